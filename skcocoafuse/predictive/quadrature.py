"""Integrals over mixtures of many rows, by Gaussian quadrature on panels around components."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skcocoafuse.predictive.merging import MergedMixtures
from skcocoafuse.predictive.student_t import StudentTMixtures

_GAUSS = np.polynomial.legendre.leggauss(10)  # nodes and weights on each panel
# Of Student's t the tails may have no moments after a transformation. A moment is taken to be
# infinite if what is beyond this probability adds more than this share to it.
_BEYOND, _SHARE = 1e-12, 1e-3
_HUGE = 1e100  # targets whose squares may overflow, which count as beyond
_LEAST_LOG_DENSITY = -700.0  # below it a density is indistinguishable from 0


class Nodes(NamedTuple):
    """Nodes of some rows: probability at each, probability below it, target there."""

    row: np.ndarray
    mass: np.ndarray
    below: np.ndarray
    y: np.ndarray


def cut_panels(panels, knots, cuts, low: float, high: float) -> np.ndarray:
    """Edges of one row's panels between ``low`` and ``high``, knots and cuts among them."""
    low, high = max(low, panels[0]), min(high, panels[-1])
    if not high > low:  # all of the row is beyond an end
        return np.array([low, low])
    everything = np.concatenate([panels, knots, cuts[np.isfinite(cuts)], [low, high]])
    return np.unique(everything[(everything >= low) & (everything <= high)])


def nodes_on(
    mixtures: MergedMixtures | StudentTMixtures,
    edges: list[np.ndarray],
    backward: Callable[[np.ndarray], np.ndarray],
) -> Nodes:
    """Nodes on the panels of every row; ``backward`` maps them to targets."""
    half = np.concatenate([0.5 * np.diff(own) for own in edges])
    middle = np.concatenate([0.5 * (own[1:] + own[:-1]) for own in edges])
    panels = np.array([len(own) - 1 for own in edges])
    row = np.repeat(np.arange(len(edges)), panels * len(_GAUSS[0]))
    t = (middle[:, None] + half[:, None] * _GAUSS[0]).ravel()
    log_density = mixtures.log_density(row, t)
    mass = np.where(log_density > _LEAST_LOG_DENSITY, np.exp(log_density), 0.0)
    mass = mass * (half[:, None] * _GAUSS[1]).ravel()
    # what has no mass must not matter, infinite or not
    return Nodes(row, mass, mixtures.below(row, t), np.where(mass > 0, backward(t), 0.0))


class Moments(NamedTuple):
    """Mean and variance of some rows, and whether each tail makes them infinite, (rows, 2)."""

    mean: np.ndarray
    variance: np.ndarray
    no_mean: np.ndarray
    no_variance: np.ndarray


def moments(nodes: Nodes, atoms: np.ndarray, ends: np.ndarray, heavy_tails: bool) -> Moments:
    """Moments of targets; point masses ``atoms`` (rows, 2) are at ``ends`` (2,)."""
    n = len(atoms)
    sides: tuple[np.ndarray, ...] = ()
    used = np.ones(len(nodes.row), dtype=bool)
    if heavy_tails:
        huge = ~(np.abs(nodes.y) < _HUGE)
        low = (nodes.below < _BEYOND) | (huge & (nodes.below < 0.5))
        high = (nodes.below > 1.0 - _BEYOND) | (huge & (nodes.below >= 0.5))
        sides, used = (low, high), ~(low | high)

    row, mass, y = nodes.row[used], nodes.mass[used], nodes.y[used]
    total = np.bincount(row, mass, n) + atoms.sum(axis=1)
    mean = (np.bincount(row, mass * y, n) + atoms @ ends) / total
    away = np.bincount(row, mass * (y - mean[row]) ** 2, n)
    variance = (away + (atoms * (ends - mean[:, None]) ** 2).sum(axis=1)) / total
    missing = np.zeros((2, n, 2), dtype=bool)
    for side, beyond in enumerate(sides):
        at, distance = nodes.row[beyond], np.abs(nodes.y[beyond] - mean[nodes.row[beyond]])
        for power in (1, 2):
            with np.errstate(over="ignore"):
                added = np.bincount(at, nodes.mass[beyond] * distance**power, n)
            missing[power - 1, :, side] = ~(added <= _SHARE * variance ** (0.5 * power))
    return Moments(mean, variance, *missing)
