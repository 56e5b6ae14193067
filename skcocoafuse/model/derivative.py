"""Numerical derivatives of fitted transformers with respect to one input, row by row.

Each row has its own steps, based on the column's spread in ``fit`` and the row's own value, never
on other rows. From a ladder of steps each row uses the one whose neighbors agree best, which
balances curvature against rounding, whatever the units.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_EPS = np.finfo(np.float64).eps
_FEW = np.array([1e-2, 1e-3, 1e-4])  # of the scale; enough where a function is smooth
_MANY = 12  # steps otherwise, from the largest to the smallest fraction of the scale, or to ...
_LARGEST, _SMALLEST = 0.1, 1e-9  # ends of these steps: rounding dominates finer ones
_OF_VALUE = 1e-6  # ... this fraction of a value near zero, where a logarithm is steep,
_LEAST = 1e-22  # but not below this fraction of the scale
_SPACINGS = 4  # a step is at least this many times the spacing of floats at the value
_FLAT = 0.05  # a slope below this fraction of that over the largest step counts as zero
SIDES = 2 * _MANY + 1  # maximum number of values evaluated per row


class _Tolerance(NamedTuple):
    """How well slopes over two steps must agree: relatively, and in rounding errors."""

    slopes: float
    sides: float  # instead of ``slopes`` for one-sided slopes, where errors are larger
    noise: float


_STRICT = _Tolerance(1e-5, 1e-3, 0.0)
_LENIENT = _Tolerance(0.05, 0.05, 2.0)

# f(rows, values): outputs (n, columns) of rows (n,) of int, with these values (n,) in the column
Function = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Column:
    """The distribution of a column's values in ``fit``.

    ``scale`` is their standard deviation (their magnitude if they are all equal), ``low`` and
    ``high`` their range (infinite if they are all equal), and ``between`` is a value that is none
    of them.
    """

    scale: float
    low: float
    high: float
    between: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Column":
        """The column with these values; NaN and infinity are ignored."""
        values = values[np.isfinite(values)]
        if values.size == 0:
            values = np.zeros(1)
        low, high = values.min(), values.max()
        size = max(abs(low), abs(high))
        if high - low <= 10 * _EPS * size:
            scale = size or 1.0
            return cls(scale, -np.inf, np.inf, low + _LARGEST * scale)
        unit = high - low  # squares of values of 1e200 would overflow
        scale = unit * np.std((values - low) / unit)
        above = values[values > np.median(values)].min(initial=high)
        below = values[values < above].max()
        return cls(scale, low, high, below + 0.5 * (above - below))

    def pieces(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far down and up each value may be moved, (rows,) each.

        A value inside the range of ``fit`` stays there, one outside stays outside, on its side: a
        transformer may bend, clip or raise an error at the ends. If all values of ``fit`` had one
        sign, others of that sign keep it: a logarithm is undefined beyond.
        """
        low = np.where(x < self.low, -np.inf, np.where(x > self.high, self.high, self.low))
        high = np.where(x > self.high, np.inf, np.where(x < self.low, self.low, self.high))
        tiny = np.finfo(np.float64).tiny
        low = np.where((x > 0) & (x < self.low), np.maximum(low, tiny), low)
        high = np.where((x < 0) & (x > self.high), np.minimum(high, -tiny), high)
        return low, high


def derivative(function: Function, column: Column, x: np.ndarray) -> np.ndarray:
    """Derivatives of all outputs at the values of the rows.

    Parameters
    ----------
    function : callable
    column : Column
    x : ndarray of shape (rows,)
        The values of the rows.

    Returns
    -------
    ndarray of shape (rows, columns)
        At a kink, the mean of the slopes on both sides; at an end of the range of ``fit``, and
        where the function jumps, the slope on the side of the value. NaN if undefined: missing
        values, and isolated ones (codes of categories).
    """
    rows = np.arange(len(x))
    outside = np.maximum(0.0, np.maximum(column.low - x, x - column.high))
    scale = np.fmax(column.scale, outside)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # not requested
        found, fine = _estimate(function, column, x, rows, scale[:, None] * _FEW, _STRICT)
        rest = rows[~fine & np.isfinite(x)]
        if rest.size:
            steps = _ladder(column, x[rest], scale[rest])
            found[rest], _ = _estimate(function, column, x[rest], rest, steps, _LENIENT)
    return found


def _ladder(column: Column, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Many steps for each row, decreasing, (rows, _MANY)."""
    resolved = _SPACINGS * np.spacing(np.abs(x))
    largest = np.maximum(_LARGEST * scale, 4 * resolved)
    least = np.clip(_OF_VALUE * np.abs(x), _LEAST * scale, _SMALLEST * column.scale)
    ratio = np.maximum(least, resolved) / largest
    return largest[:, None] * ratio[:, None] ** (np.arange(_MANY) / (_MANY - 1))


def _estimate(
    function: Function,
    column: Column,
    x: np.ndarray,
    rows: np.ndarray,
    steps: np.ndarray,
    tolerance: _Tolerance,
) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives (rows, columns) for decreasing steps (rows, k), and whether both sides agree."""
    n, k = steps.shape
    at, (low, high) = x[:, None], column.pieces(x[:, None])
    right, left = at + steps, at - steps
    least = _SPACINGS * np.spacing(np.abs(at))
    to_right, to_left = [
        (side >= low) & (side <= high) & (np.abs(side - at) >= least) for side in (right, left)
    ]
    moved = np.concatenate([at, np.where(to_right, right, at), np.where(to_left, left, at)], axis=1)
    values = function(np.repeat(rows, 2 * k + 1), moved.ravel()).reshape(n, 2 * k + 1, -1)
    finite = np.all(np.isfinite(values), axis=-1)
    to_right &= finite[:, 1 : k + 1] & finite[:, :1]
    to_left &= finite[:, k + 1 :] & finite[:, :1]
    values = np.where(finite[..., None], values, 0.0)
    middle, at_right, at_left = np.split(values, [1, k + 1], axis=1)
    rounding, steps = _rounding(values), steps[..., None]
    by_right, by_left = (right - at)[..., None], (at - left)[..., None]  # rounded, unlike steps

    central = (at_right - at_left) / (by_right + by_left)
    above, from_right = _one_sided((at_right - middle) / by_right, by_right, to_right)
    below, from_left = _one_sided((middle - at_left) / by_left, by_left, to_left)
    of_sides = tolerance._replace(slopes=tolerance.sides)
    both, smooth = _best(central, to_right & to_left, steps, rounding, tolerance)
    above, fine_above = _best(above, from_right, steps[:, 1:], rounding, of_sides)
    below, fine_below = _best(below, from_left, steps[:, 1:], rounding, of_sides)
    smooth &= fine_above & fine_below
    choices = [smooth[:, None], fine_above[:, None], fine_below[:, None]]
    return np.select(choices, [both, above, below], np.nan), smooth


def _one_sided(slopes, by, usable):
    """Second-order slopes from secants (rows, k, columns) of decreasing one-sided steps ``by``."""
    far, near = by[:, :-1], by[:, 1:]
    found = (far * slopes[:, 1:] - near * slopes[:, :-1]) / (far - near)
    return found, usable[:, 1:] & usable[:, :-1] & (far > near)[..., 0]


def _rounding(values: np.ndarray) -> np.ndarray:
    """Rounding errors of outputs (rows, sides, columns), (rows, 1, columns)."""
    single = (values.astype(np.float32) == values).all(axis=1, keepdims=True)
    largest = np.abs(values).max(axis=1, keepdims=True)
    return np.where(single, np.finfo(np.float32).eps, _EPS) * largest


def _best(slopes, usable, steps, rounding, tolerance: _Tolerance):
    """The slopes (rows, columns) that agree best with those over a larger step.

    ``slopes`` are (rows, k, columns), for those ``steps`` that are ``usable`` (rows, k). Also
    returns in which rows all columns agree well enough, (rows,).
    """
    usable = usable[..., None]
    slopes = np.where(usable, slopes, 0.0)
    size, noise = np.abs(slopes), rounding / steps[:, 1:]
    error = np.abs(np.diff(slopes, axis=1))
    widest = np.take_along_axis(size, usable.argmax(axis=1)[:, None], axis=1)
    allowed = tolerance.slopes * (size[:, 1:] + _FLAT * widest) + tolerance.noise * noise
    agree = usable[:, 1:] & usable[:, :-1] & (error <= allowed)
    best = np.where(agree, error + noise, np.inf).argmin(axis=1)[:, None]
    found = np.take_along_axis(slopes[:, 1:], best, axis=1)[:, 0]
    return found, agree.any(axis=1).all(axis=1)
