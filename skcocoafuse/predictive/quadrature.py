"""Integrals over mixtures of many rows, by Gaussian quadrature on panels around components."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skcocoafuse.predictive.merging import MergedMixtures

_GAUSS = np.polynomial.legendre.leggauss(10)  # nodes and weights on each panel
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
    mixtures: MergedMixtures,
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
