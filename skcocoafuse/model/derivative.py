"""Numerical derivatives of fitted transformers by one input, row by row.

Each row has steps of its own: they come from the column's spread in ``fit`` and from the row's own
value, never from other rows. Of a ladder of steps each row takes the one whose neighbors agree
best, which balances curvature against rounding, in whatever units.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_EPS = np.finfo(np.float64).eps
_FEW = np.array([1e-2, 1e-3, 1e-4])  # of the scale; enough where a function is smooth
_MANY = 12  # steps elsewhere, from the largest to the smallest part of the scale, or to ...
_LARGEST, _SMALLEST = 0.1, 1e-9
_OF_VALUE = 1e-6  # ... this part of a value near zero, where a logarithm is steep,
_LEAST = 1e-16  # but not below this part of the scale
_SPACINGS = 16  # a step is at least so many times the spacing of floats at the value
SIDES = 2 * _MANY + 1  # values a row is moved to, at most

# f(rows, values): outputs (n, columns) of rows (n,) of int, with these values (n,) in the column
Function = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Column:
    """Where the values of a column were in ``fit``.

    ``scale`` is their standard deviation (their size where they are all the same), ``low`` and
    ``high`` their range (infinite where they are all the same).
    """

    scale: float
    low: float
    high: float
    between: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Column":
        """The column of these values; NaN and infinity do not count."""
        distinct = np.unique(values[np.isfinite(values)])
        if len(distinct) == 0:
            distinct = np.zeros(1)
        low, high = distinct[0], distinct[-1]
        size = max(abs(low), abs(high))
        if high - low <= 10 * _EPS * size:
            scale = size or 1.0
            return cls(scale, -np.inf, np.inf, low + _LARGEST * scale)
        unit = high - low  # squares of values of 1e200 would overflow
        scale = unit * np.std((values[np.isfinite(values)] - low) / unit)
        middle = len(distinct) // 2
        between = distinct[middle - 1] + 0.5 * (distinct[middle] - distinct[middle - 1])
        return cls(scale, low, high, between)

    def pieces(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far down and up each value may be moved, (rows,) each.

        A value inside the range of ``fit`` stays there, one outside stays outside, on its side: a
        transformer may bend, clip or refuse at the ends. Where all values of ``fit`` had one sign,
        others of that sign keep it: a logarithm has nothing beyond.
        """
        low = np.where(x < self.low, -np.inf, np.where(x > self.high, self.high, self.low))
        high = np.where(x > self.high, np.inf, np.where(x < self.low, self.low, self.high))
        tiny = np.finfo(np.float64).tiny
        low = np.where((x > 0) & (x < self.low), np.maximum(low, tiny), low)
        high = np.where((x < 0) & (x > self.high), np.minimum(high, -tiny), high)
        return low, high


def derivative(function: Function, column: Column, x: np.ndarray) -> np.ndarray:
    """Derivatives of all outputs at the rows' own values.

    Parameters
    ----------
    function : callable
    column : Column
    x : ndarray of shape (rows,)
        The rows' own values.

    Returns
    -------
    ndarray of shape (rows, columns)
        At a kink the mean of the slopes on both sides; at an end of the range of ``fit``, and
        where the function jumps, that of the side that the value belongs to. NaN where there is
        none: missing values, and isolated ones (codes of categories).
    """
    rows = np.arange(len(x))
    outside = np.maximum(0.0, np.maximum(column.low - x, x - column.high))
    spacing = np.spacing(np.abs(x))
    scale = np.fmax(np.fmax(column.scale, outside), _SPACINGS / _LARGEST * spacing)
    found, fine = _estimate(function, column, x, rows, scale[:, None] * _FEW, 1e-5, 1e-3)
    rest = rows[~fine & np.isfinite(x)]
    if rest.size:
        x, scale = x[rest], scale[rest]
        largest = _LARGEST * scale
        least = np.clip(_OF_VALUE * np.abs(x), _LEAST * scale, _SMALLEST * column.scale)
        ratio = (least / largest)[:, None] ** (np.arange(_MANY) / (_MANY - 1))
        steps = largest[:, None] * ratio
        found[rest], _ = _estimate(function, column, x, rest, steps, 0.05, 0.05)
    return found


def _estimate(function, column, x, rows, steps, tolerance, tolerance_of_sides):
    """Derivatives (rows, columns), and whether both sides agree on them (rows,).

    ``steps`` (rows, k) decrease.
    """
    n, k = steps.shape
    low, high = column.pieces(x)
    at = x[:, None]
    right, left = at + steps, at - steps
    least = _SPACINGS * np.spacing(np.abs(at))
    to_right, to_left = [
        (side >= low[:, None]) & (side <= high[:, None]) & (np.abs(side - at) >= least)
        for side in (right, left)
    ]
    moved = np.concatenate([at, np.where(to_right, right, at), np.where(to_left, left, at)], axis=1)
    values = function(np.repeat(rows, 2 * k + 1), moved.ravel()).reshape(n, 2 * k + 1, -1)
    finite = np.isfinite(values).all(axis=-1)
    to_right &= finite[:, 1 : k + 1] & finite[:, :1]
    to_left &= finite[:, k + 1 :] & finite[:, :1]
    values = np.where(finite[..., None], values, 0.0)
    middle, at_right, at_left = np.split(values, [1, k + 1], axis=1)
    by_right, by_left = (right - at)[..., None], (at - left)[..., None]
    rounding = _EPS * np.abs(values).max(axis=1, keepdims=True), np.spacing(np.abs(at))[..., None]

    with np.errstate(divide="ignore", invalid="ignore"):
        up, down = (at_right - middle) / by_right, (middle - at_left) / by_left
        central = (at_right - at_left) / (by_right + by_left)
    steps = steps[..., None]
    both = _best(central, to_right & to_left, steps, rounding, tolerance)
    above, to_right = _one_sided(up, by_right, to_right)
    below, to_left = _one_sided(down, by_left, to_left)
    estimates = [
        both,
        _best(above, to_right, steps[:, 1:], rounding, tolerance_of_sides),
        _best(below, to_left, steps[:, 1:], rounding, tolerance_of_sides),
    ]
    slopes, fine = zip(*estimates, strict=True)
    everywhere = np.logical_and.reduce(fine)
    choices = [good[:, None] for good in (everywhere, *fine[1:])]
    return np.select(choices, slopes, np.nan), everywhere


def _one_sided(slopes, by, usable):
    """Of second order, from secants (rows, k, columns) of decreasing steps ``by`` to one side."""
    far, near = by[:, :-1], by[:, 1:]
    found = (far * slopes[:, 1:] - near * slopes[:, :-1]) / (far - near)
    return found, usable[:, 1:] & usable[:, :-1]


def _best(slopes, usable, steps, rounding, tolerance):
    """The slopes (rows, columns) whose larger step agrees best, and whether that is enough (rows,).

    ``slopes`` are (rows, k, columns), for steps that may be ``usable`` (rows, k).
    """
    usable = usable[..., None]
    slopes = np.where(usable, slopes, 0.0)
    of_outputs, of_values = rounding
    steepest = np.abs(slopes).max(axis=1, keepdims=True)
    noise = (of_outputs + of_values * steepest) / steps
    error = np.abs(np.diff(slopes, axis=1))
    total = np.where(usable[:, 1:] & usable[:, :-1], error + noise[:, 1:], np.inf)
    best = total.argmin(axis=1)[:, None]
    at_best = [np.take_along_axis(a, best, axis=1)[:, 0] for a in (slopes[:, 1:], error, noise)]
    found, error, noise = at_best
    typical = np.abs(np.take_along_axis(slopes, usable.argmax(axis=1)[:, None], axis=1))[:, 0]
    enough = error <= tolerance * np.abs(found) + 1e-6 * typical + 4.0 * noise
    known = np.isfinite(total).any(axis=1)
    return found, (enough & known).all(axis=1)
