"""Modes and highest-density regions of mixtures."""

from functools import partial
from typing import NamedTuple

import numpy as np

from skcocoafuse._validation import check_probability
from skcocoafuse.predictive import level_sets, mixture
from skcocoafuse.predictive.merging import WIDTH, MergedMixtures
from skcocoafuse.predictive.mixture import Mixtures
from skcocoafuse.predictive.student_t import StudentTMixtures

_STEP, _REACH = 0.5, 3.0  # sds between points of a draw, and around its means
_TOLERANCE = 1e-6  # of a region's probability, relative; merged components are much closer


class Modes(NamedTuple):
    """Local maxima of each row's density, highest first.

    Arrays (rows, largest number of modes), padded with NaN: ``location``, ``density``, and
    ``depth`` in (0, 1], the fraction of its height that one must descend from a mode to reach
    a higher one, 1 for the highest. ``n_modes`` (rows,) is their number.
    """

    location: np.ndarray
    density: np.ndarray
    depth: np.ndarray
    n_modes: np.ndarray


class HighestDensity(NamedTuple):
    """Highest-density region of each row.

    ``intervals`` (rows, largest number of intervals, 2), in ascending order and padded with NaN,
    and their total probability, ``mass`` (rows,).
    """

    intervals: np.ndarray
    mass: np.ndarray


def check_depth(min_depth: float) -> None:
    """Raise a ValueError unless a depth is between 0 and 1."""
    if not 0.0 <= min_depth <= 1.0:
        raise ValueError(
            f"min_depth must be between 0 (all modes) and 1 (only the highest); got {min_depth!r}."
        )


def check_prob(prob) -> float:
    """Validate the probability of a region.

    Raises
    ------
    ValueError
        If it is not a single number strictly between 0 and 1.
    """
    if np.ndim(prob) != 0:
        raise ValueError(f"prob must be a single number strictly between 0 and 1; got {prob!r}.")
    return float(check_probability(prob, "prob"))


def mass_of(intervals: np.ndarray, cdf) -> np.ndarray:
    """Probability (rows,) inside intervals (rows, k, 2), padded with NaN."""
    ends = intervals.reshape(len(intervals), 2 * intervals.shape[1])
    below = np.where(np.isnan(ends), 0.0, cdf(np.where(np.isnan(ends), 0.0, ends)))
    return np.diff(below.reshape(intervals.shape), axis=2).sum(axis=(1, 2))


def curves_of(mixtures: Mixtures, width: float = WIDTH) -> MergedMixtures | StudentTMixtures:
    """The densities of the rows; Normals closer than ``width`` are merged, see the classes."""
    if mixtures.table is None:
        return MergedMixtures(mixtures.weight, mixtures.mean, mixtures.scale, width)
    return StudentTMixtures(*mixtures)


def modes(mixtures: Mixtures, min_depth: float) -> list[np.ndarray]:
    """For each row an array (modes, 3): location, density and depth, highest first."""
    tables = level_sets.modes(curves_of(mixtures), len(mixtures.mean))
    for row, table in enumerate(tables):
        one = mixtures.of(slice(row, row + 1))
        table[:, 1] = np.exp(mixture.logpdf(one, table[None, :, 0])[0])
    return [table[table[:, 2] >= min_depth] for table in tables]


def highest_density(mixtures: Mixtures, prob: float) -> list[np.ndarray]:
    """For each row an array (intervals, 2): the highest-density region of probability ``prob``."""
    regions = level_sets.highest_density(curves_of(mixtures), len(mixtures.mean), prob)
    if mixtures.table is not None:  # nothing was merged
        return regions
    for row, region in enumerate(regions):
        one = mixtures.of(slice(row, row + 1))
        mass = mass_of(region[None], partial(mixture.cdf, one))[0]
        if not abs(mass - prob) <= _TOLERANCE * prob:
            regions[row] = level_sets.highest_density(curves_of(one, 0.0), 1, prob)[0]
    return regions


def multimodal_share(by_draw: Mixtures) -> np.ndarray:
    """Share (rows,) of the draws whose mixture has several modes.

    From ``Mixtures.by_draw``. A mixture of Normals whose means are within two of its smallest
    standard deviations has one mode; for others, and for Student's t, the slope is examined between
    the means, where all modes are.
    """
    from skcocoafuse.compiled import merged_sums

    out = np.empty(len(by_draw.mean))
    merged_sums.multimodal_share(*by_draw, _STEP, _REACH, out)
    return out


def padded(tables: list[np.ndarray], columns: int) -> np.ndarray:
    """Tables (k, columns) with different k as one array, padded with NaN."""
    longest = max((len(table) for table in tables), default=0)
    out = np.full((len(tables), longest, columns), np.nan)
    for row, table in zip(out, tables, strict=True):
        row[: len(table)] = table
    return out
