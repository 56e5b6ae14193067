"""Modes and regions of highest density of Normal mixtures; shapes as in ``mixture``."""

import math
from typing import NamedTuple

import numpy as np
from scipy import interpolate, optimize, signal

from skcocoafuse.model.forward import Components
from skcocoafuse.predictive import mixture

_NODES = 400  # of the grid that densities are looked at on
_TAIL = 1e-5  # probability left out on both sides of that grid
_ZOOMS, _ZOOM_NODES = 4, 9  # around each mode
_EVEN_NODES = 32  # between the outermost means of one draw's mixture
_AROUND = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])  # its means, in sds


class Modes(NamedTuple):
    """Local maxima of each row's density, highest first.

    Arrays (rows, most modes), NaN after a row's last: ``location``, ``density``, and
    ``depth`` in (0, 1], the part of its height that one must climb down from a mode to reach
    a higher one, 1 for the highest. ``n_modes`` (rows,) counts them.
    """

    location: np.ndarray
    density: np.ndarray
    depth: np.ndarray
    n_modes: np.ndarray


class HighestDensity(NamedTuple):
    """Each row's region of highest density.

    ``intervals`` (rows, most intervals, 2), in ascending order and NaN after a row's last, and
    the probability they hold, ``mass`` (rows,).
    """

    intervals: np.ndarray
    mass: np.ndarray


def _grid(weight, mean, sd) -> np.ndarray:
    """Nodes (rows, nodes) over all but a small probability."""
    ends = mixture.ppf(weight, mean, sd, np.tile([_TAIL, 1.0 - _TAIL], (len(mean), 1)))
    return np.linspace(ends[:, 0], ends[:, 1], _NODES, axis=1)


def modes(weight, mean, sd, min_depth: float) -> list[np.ndarray]:
    """Per row an array (modes, 3): location, density and depth, highest first."""
    x = _grid(weight, mean, sd)
    density = np.exp(mixture.logpdf(weight, mean, sd, x))
    found = []
    for row in range(len(x)):
        one = slice(row, row + 1)

        def log_density(points, one=one):
            return mixture.logpdf(weight[one], mean[one], sd[one], points[None])[0]

        padded = np.concatenate([[0.0], density[row], [0.0]])
        peaks, _ = signal.find_peaks(padded)
        depth = signal.peak_prominences(padded, peaks)[0] / padded[peaks]
        kept = [_refined(log_density, x[row], p - 1, d) for p, d in zip(peaks, depth, strict=True)]
        table = np.array([mode for mode in kept if mode[2] >= min_depth])
        found.append(table[np.argsort(-table[:, 1])])
    return found


def _refined(log_density, x, peak, depth) -> tuple[float, float, float]:
    """A mode between the neighbours of a node, by zooming in."""
    low, high = x[max(peak - 1, 0)], x[min(peak + 1, len(x) - 1)]
    for _ in range(_ZOOMS):
        nodes = np.linspace(low, high, _ZOOM_NODES)
        values = log_density(nodes)
        best = int(np.clip(values.argmax(), 1, _ZOOM_NODES - 2))
        low, high = nodes[best - 1], nodes[best + 1]
    best = int(values.argmax())
    return nodes[best], math.exp(values[best]), depth


def highest_density(weight, mean, sd, prob: float) -> list[np.ndarray]:
    """Per row an array (intervals, 2): where the density is above a level, which holds ``prob``."""
    x = _grid(weight, mean, sd)
    log_density = mixture.logpdf(weight, mean, sd, x)
    below = mixture.cdf(weight, mean, sd, x)
    return [_region(*row, prob) for row in zip(x, log_density, below, strict=True)]


def _region(x, log_density, below, prob) -> np.ndarray:
    smooth_cdf = interpolate.CubicHermiteSpline(x, below, np.exp(log_density))

    def excess(level):
        ends = smooth_cdf(_above(x, log_density, level))
        return (ends[:, 1] - ends[:, 0]).sum() - prob

    lowest, highest = log_density.min(), log_density.max()
    if excess(lowest) <= 0.0:  # only the tails beyond the grid are missing
        return np.array([[x[0], x[-1]]])
    level = optimize.brentq(excess, lowest, highest, xtol=1e-12)
    return _above(x, log_density, level)


def _above(x, log_density, level) -> np.ndarray:
    """Intervals (k, 2) where the linearly interpolated log density is at least ``level``."""
    inside = np.concatenate([[False], log_density >= level, [False]])
    first = np.flatnonzero(~inside[:-1] & inside[1:])
    last = np.flatnonzero(inside[:-1] & ~inside[1:]) - 1

    def crossing(inner, outer):
        if not 0 <= outer < len(x):
            return x[inner]
        part = (log_density[inner] - level) / (log_density[inner] - log_density[outer])
        return x[inner] + part * (x[outer] - x[inner])

    ends = zip(first, last, strict=True)
    return np.array([(crossing(i, i - 1), crossing(j, j + 1)) for i, j in ends])


def is_multimodal(components: Components) -> np.ndarray:
    """Whether each single mixture, (..., rows, experts), has more than one mode, (..., rows).

    A mixture of Normals whose means are within two of its smallest standard deviations has
    one mode; of the others the downward zeros of the slope are counted between their means,
    where all modes are.
    """
    mean = components.mean
    variance = np.broadcast_to(components.variance, mean.shape)
    weight = np.exp(components.log_weight)
    out = np.zeros(mean.shape[:-1], dtype=bool)
    unclear = np.ptp(mean, axis=-1) ** 2 > 4.0 * variance.min(axis=-1)
    if unclear.any():
        out[unclear] = _count_modes(weight[unclear], mean[unclear], np.sqrt(variance[unclear])) > 1
    return out


def _count_modes(weight, mean, sd) -> np.ndarray:
    """Modes of every mixture (mixtures, experts), seen at nodes between its means."""
    low, high = mean.min(axis=1, keepdims=True), mean.max(axis=1, keepdims=True)
    even = low + (high - low) * np.linspace(0.0, 1.0, _EVEN_NODES)
    around = (mean[:, :, None] + sd[:, :, None] * _AROUND).reshape(len(mean), -1)
    nodes = np.sort(np.clip(np.concatenate([even, around], axis=1), low, high), axis=1)
    slope = np.zeros(nodes.shape)
    for k in range(mean.shape[1]):
        z = (nodes - mean[:, k, None]) / sd[:, k, None]
        slope -= weight[:, k, None] / sd[:, k, None] ** 2 * z * np.exp(-0.5 * z * z)
    rising = slope > 0
    # before the first mean the density rises, after the last it falls
    rising[:, 0], rising[:, -1] = True, False
    return (rising[:, :-1] & ~rising[:, 1:]).sum(axis=1)


def padded(tables: list[np.ndarray]) -> np.ndarray:
    """Tables (k, columns) with different k as one array, NaN after the last entry."""
    longest = max((len(table) for table in tables), default=0)
    columns = tables[0].shape[1] if tables else 0
    out = np.full((len(tables), longest, columns), np.nan)
    for row, table in zip(out, tables, strict=True):
        row[: len(table)] = table
    return out
