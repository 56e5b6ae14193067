"""Modes of densities, and the regions where they exceed a level, for many rows at once.

A density is evaluated at points between which it is nearly monotone. Maxima and minima are refined
and added to these points; then it is monotone between neighbors, a level is crossed there at most
once, and a bracketing root finder is safe. All rows take each step together. Points of all rows
are in one vector, with ``row`` parallel to ``x``, in ascending order within a row.
"""

from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

_GOLDEN = 0.5 * (np.sqrt(5.0) - 1.0)
_NARROWINGS = 36  # 3e-8 of the first width is left, where a maximum is flat to rounding
_MAX_STEPS = 100  # more halvings of a bracket than a number has bits
_HALVINGS = 50  # of a level, on interpolated values
_STEEP = 1e3  # height over a level that represents infinity
_LOPSIDED = 100.0  # ratio of the heights at two ends from which bisection is faster
_LEVEL_TOLERANCE = 1e-11  # of a log density
_CLOSE = 1e-13  # width of the bracket of a crossing relative to its location
_MASS_TOLERANCE = 1e-9  # relative to the probability wanted


class Curves(Protocol):
    """Densities of several rows on one axis.

    ``row``, ``x`` : ndarray of shape (points,)
        Initial points, at least two in every row.
    ``atoms`` : ndarray of shape (rows, 2)
        Point masses at the first and last point of every row.
    """

    row: np.ndarray
    x: np.ndarray
    atoms: np.ndarray

    def log_density(self, row: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Log density of the rows at the points."""

    def below(self, row: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Probability of the rows below the points."""


class Landscape(NamedTuple):
    """Points of all rows, maxima and minima among them, and the log density there."""

    row: np.ndarray
    x: np.ndarray
    height: np.ndarray


def landscape(curves: Curves) -> Landscape:
    """The curves' own points, and every maximum and minimum between them."""
    row, x = curves.row, curves.x
    height = curves.log_density(row, x)
    inside = row[:-2] == row[2:]
    before, at, after = height[:-2], height[1:-1], height[2:]
    sign = np.zeros(len(at))
    sign[inside & (at > before) & (at >= after)] = 1.0
    sign[inside & (at < before) & (at <= after)] = -1.0
    turns = np.flatnonzero(sign)
    own, sign = row[turns + 1], sign[turns]
    refined = _turning_points(curves, own, x[turns], x[turns + 2], sign)
    refined_height = curves.log_density(own, refined)
    with np.errstate(invalid="ignore"):  # of two infinite heights neither is better
        better = sign * (refined_height - height[turns + 1]) > 0  # not where it is flat to rounding
    row, x = np.concatenate([row, own[better]]), np.concatenate([x, refined[better]])
    height = np.concatenate([height, refined_height[better]])
    order = np.lexsort((x, row))
    return Landscape(row[order], x[order], height[order])


def _turning_points(curves: Curves, row, low, high, sign) -> np.ndarray:
    """Where the log density times ``sign`` is largest within brackets, by golden-section search."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left = sign * curves.log_density(row, left)
    at_right = sign * curves.log_density(row, right)
    for _ in range(_NARROWINGS):
        go_left = at_left >= at_right
        low, high = np.where(go_left, low, left), np.where(go_left, right, high)
        kept = np.where(go_left, left, right)
        at_kept = np.where(go_left, at_left, at_right)
        new = np.where(go_left, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        at_new = sign * curves.log_density(row, new)
        left, right = np.where(go_left, new, kept), np.where(go_left, kept, new)
        at_left, at_right = np.where(go_left, at_new, at_kept), np.where(go_left, at_kept, at_new)
    return np.where(at_left >= at_right, left, right)


# -- modes ----------------------------------------------------------------------------------


def modes(curves: Curves, n_rows: int) -> list[np.ndarray]:
    """For each row an array (modes, 3): location, log density and depth, highest first."""
    land = landscape(curves)
    start = np.searchsorted(land.row, np.arange(n_rows + 1))
    return [_peaks(land.x[begin:end], land.height[begin:end]) for begin, end in pairwise(start)]


def _peaks(x, height) -> np.ndarray:
    """Maxima of one row and their depth: the relative descent on the way to a higher one."""
    walled = np.concatenate([[-np.inf], height, [-np.inf]])
    peaks = np.flatnonzero((height > walled[:-2]) & (height >= walled[2:]))
    top = height[peaks]
    floors = [height[a:b].min() for a, b in pairwise(peaks)]
    table = np.empty((len(peaks), 3))
    for k in range(len(peaks)):
        saddle = max(_way_to_higher(top, floors, k, -1), _way_to_higher(top, floors, k, 1))
        table[k] = x[peaks[k]], top[k], -np.expm1(saddle - top[k])
    return table[np.argsort(-top, kind="stable")]


def _way_to_higher(top, floors, k: int, direction: int) -> float:
    """The lowest point on the way to the next higher peak; -inf if there is none on this side."""
    lowest, other = np.inf, k + direction
    while 0 <= other < len(top):
        lowest = min(lowest, floors[min(other, other - direction)])
        # of two equal peaks the left one is the higher
        if top[other] > top[k] or (top[other] == top[k] and direction < 0):
            return lowest
        other += direction
    return -np.inf


# -- regions of highest density ---------------------------------------------------------------


class _Ends(NamedTuple):
    """Where regions begin and end, in order; ``begins`` is False for the ends."""

    row: np.ndarray
    x: np.ndarray
    begins: np.ndarray


def highest_density(curves: Curves, n_rows: int, prob: float) -> list[np.ndarray]:
    """For each row an array (intervals, 2), ascending: the smallest region of probability ``prob``.

    Points that have a point mass are included first: no region is smaller.
    """
    land = landscape(curves)
    start = np.searchsorted(land.row, np.arange(n_rows + 1))
    wanted = prob - curves.atoms.sum(axis=1)
    level = np.full(n_rows, np.inf)
    level[wanted > 0] = _interpolated_levels(curves, land, wanted)[wanted > 0]
    level, ends = _levels(curves, land, level, wanted)
    cut = np.searchsorted(ends.row, np.arange(n_rows + 1))
    regions = []
    for k in range(n_rows):
        own = slice(cut[k], cut[k + 1])
        begins = ends.begins[own]
        intervals = np.column_stack([ends.x[own][begins], ends.x[own][~begins]])
        outermost = land.x[start[k]], land.x[start[k + 1] - 1]
        regions.append(_with_atoms(intervals, outermost, curves.atoms[k], prob))
    return regions


def _with_atoms(intervals, outermost, atoms, prob: float) -> np.ndarray:
    """The intervals, and the end points that are needed but not inside yet."""
    needed = atoms > 0
    if atoms.max() >= prob:  # one point alone holds it
        needed = np.arange(2) == atoms.argmax()
    points = [
        (x, x)
        for x, wanted in zip(outermost, needed, strict=True)
        if wanted and not (intervals == x).any()
    ]
    everything = np.concatenate([intervals, np.reshape(points, (-1, 2))])
    return everything[np.argsort(everything[:, 0], kind="stable")]


def _interpolated_levels(curves: Curves, land: Landscape, wanted: np.ndarray) -> np.ndarray:
    """Levels (rows,) at which regions have about the wanted probability, by bisection.

    Between neighbors, the probability is interpolated linearly in the log density.
    """
    below = curves.below(land.row, land.x)
    inside = np.flatnonzero(land.row[:-1] == land.row[1:])
    row, mass = land.row[inside], below[inside + 1] - below[inside]
    top = np.maximum(land.height[inside], land.height[inside + 1])
    bottom = np.minimum(land.height[inside], land.height[inside + 1])
    start = np.searchsorted(land.row, np.arange(len(wanted)))
    finite = np.clip(land.height, -_STEEP, _STEEP)
    low, high = np.minimum.reduceat(finite, start), np.maximum.reduceat(finite, start)
    for _ in range(_HALVINGS):
        level = 0.5 * (low + high)
        with np.errstate(divide="ignore", invalid="ignore"):
            part = (top - level[row]) / (top - bottom)
        part = np.where(bottom >= level[row], 1.0, np.where(top > level[row], part, 0.0))
        part = np.where(np.isnan(part), 1.0, np.clip(part, 0.0, 1.0))
        enough = np.bincount(row, part * mass, minlength=len(wanted)) >= wanted
        low, high = np.where(enough, level, low), np.where(enough, high, level)
    return 0.5 * (low + high)


def _levels(curves: Curves, land: Landscape, level, wanted) -> tuple[np.ndarray, _Ends]:
    """Levels at which regions have the wanted probability, and the ends of the regions.

    By the secant method, safeguarded by levels with too much and too little probability.
    """
    low, high = np.full(len(level), -_STEEP), np.full(len(level), _STEEP)
    before, excess_before = np.full(len(level), np.nan), np.full(len(level), np.nan)
    ends = _ends(curves, land, level, wanted > 0)  # others are single points
    for _ in range(_MAX_STEPS):
        excess = _mass(curves, ends, len(level)) - wanted
        open_rows = (wanted > 0) & ~(np.abs(excess) <= _MASS_TOLERANCE * np.abs(wanted))
        open_rows &= high - low > _CLOSE * np.maximum(1.0, np.abs(level))
        if not open_rows.any():
            break
        low, high = np.where(excess > 0, level, low), np.where(excess > 0, high, level)
        with np.errstate(divide="ignore", invalid="ignore"):
            secant = level - excess * (level - before) / (excess - excess_before)
        nearby = level + np.where(excess > 0, 1e-3, -1e-3)  # where there is no secant yet
        step = np.where(np.isfinite(before), secant, nearby)
        step = np.where((low < step) & (step < high), step, 0.5 * (low + high))
        before, excess_before = level, excess
        level = np.where(open_rows, step, level)
        moved = _ends(curves, land, level, open_rows)
        ends = _replaced(ends, moved, open_rows)
    return level, ends


def _replaced(ends: _Ends, moved: _Ends, rows: np.ndarray) -> _Ends:
    """The ends, with those of some rows replaced."""
    kept = ~rows[ends.row]
    joined = [np.concatenate([a[kept], b]) for a, b in zip(ends, moved, strict=True)]
    order = np.lexsort((joined[1], joined[0]))
    return _Ends(*(a[order] for a in joined))


def _mass(curves: Curves, ends: _Ends, n_rows: int) -> np.ndarray:
    """Probability inside the regions of every row."""
    below = curves.below(ends.row, ends.x)
    return np.bincount(ends.row, np.where(ends.begins, -below, below), minlength=n_rows)


def _ends(curves: Curves, land: Landscape, level, rows: np.ndarray) -> _Ends:
    """Where the densities of some rows cross their levels, or start and end above them."""
    part = rows[land.row]
    row, x, height = (a[part] for a in land)
    above = height >= level[row]
    same = row[:-1] == row[1:]
    cross = np.flatnonzero(same & (above[:-1] != above[1:]))
    found = _crossings(curves, row[cross], x[cross], x[cross + 1], level[row[cross]], height, cross)
    is_first = np.concatenate([[True], ~same])[: len(row)]
    is_last = np.concatenate([~same, [True]])[: len(row)]
    first, last = np.flatnonzero(is_first & above), np.flatnonzero(is_last & above)
    everything = _Ends(
        np.concatenate([row[first], row[cross], row[last]]),
        np.concatenate([x[first], found, x[last]]),
        np.concatenate([np.ones(len(first), bool), above[cross + 1], np.zeros(len(last), bool)]),
    )
    order = np.lexsort((~everything.begins, everything.x, everything.row))
    return _Ends(*(a[order] for a in everything))


def _crossings(curves: Curves, row, low, high, level, height, cell) -> np.ndarray:
    """Where the log density equals the level within brackets, by the Illinois algorithm."""
    at_low = np.clip(height[cell] - level, -_STEEP, _STEEP)
    at_high = np.clip(height[cell + 1] - level, -_STEEP, _STEEP)
    x = 0.5 * (low + high)
    waiting = np.arange(len(x))
    side = np.zeros(len(x))  # which end moved last
    for _ in range(_MAX_STEPS):
        a, b, ya, yb = low[waiting], high[waiting], at_low[waiting], at_high[waiting]
        sizes = np.abs(ya), np.abs(yb)
        lopsided = np.maximum(*sizes) > _LOPSIDED * np.minimum(*sizes)
        t = np.where(lopsided, 0.5, ya / np.where(lopsided, 1.0, ya - yb))
        at = a + t * (b - a)
        x[waiting] = at
        y = np.clip(curves.log_density(row[waiting], at) - level[waiting], -_STEEP, _STEEP)
        left = np.sign(y) == np.sign(ya)
        # the end that stays twice counts half, so that both move
        low[waiting] = np.where(left, at, a)
        high[waiting] = np.where(left, b, at)
        at_low[waiting] = np.where(left, y, np.where(side[waiting] < 0, 0.5 * ya, ya))
        at_high[waiting] = np.where(left, np.where(side[waiting] > 0, 0.5 * yb, yb), y)
        side[waiting] = np.where(left, 1.0, -1.0)
        size = np.maximum(np.abs(a), np.abs(b))
        done = (np.abs(y) <= _LEVEL_TOLERANCE) | (b - a <= _CLOSE * size)
        waiting = waiting[~done]
        if not waiting.size:
            break
    return x
