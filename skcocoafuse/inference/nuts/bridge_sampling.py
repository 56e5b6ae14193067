"""The posterior mass around a chain, by bridge sampling.

A chain that stays in one region does not show how much of the posterior mass that region holds,
and the height of the density there says little: a lower region may be wider. Bridge sampling
compares the draws with those of a Normal fitted to them, whose mass is known.
"""

import numpy as np

from skcocoafuse.compiled.coordinates import Coordinates
from skcocoafuse.compiled.kernel import Kernel

# Quarters of a chain that the Normal is fitted to, and those that are compared with it, in four
# ways; the spread of the estimates is their error.
_HALVES = (([0, 2], [1, 3]), ([1, 3], [0, 2]), ([0, 1], [2, 3]), ([2, 3], [0, 1]))
# The fixed-point iteration stops far below the error of the estimate, usually much earlier than
# this.
_ROUNDS, _TOLERANCE = 1000, 1e-6
# A clear difference in log mass: a twentieth. Estimates of the same mass have ranges of 0.9 to
# 27, so the range counts as well.
_CLEARLY = 3.0


def log_evidence(kernel: Kernel, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Estimates of the log of the posterior's mass around draws, up to a shared constant.

    Parameters
    ----------
    kernel : Kernel
    theta : ndarray of shape (draws, n_parameters)
        Draws of one chain in order, consistently labeled.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (4,)
        From different halves of the draws; their spread is their error.

    References
    ----------
    Meng and Wong (1996), "Simulating ratios of normalizing constants via a simple identity: a
    theoretical exploration", Statistica Sinica 6, equation 4.1; a Normal fitted to one half of
    the draws and compared with the other as in Gronau et al. (2017), "A tutorial on bridge
    sampling", Journal of Mathematical Psychology 81.
    """
    quarters = np.array_split(kernel.plain.from_theta(theta), 4)
    estimates = []
    for fitted, compared in _HALVES:
        frame = Coordinates.around(
            np.concatenate([quarters[i] for i in fitted]), kernel.plain.laplace_transform
        )
        own = frame.from_transformed(np.concatenate([quarters[i] for i in compared]))
        density = kernel.function(coordinates=frame, with_gradient=False)

        def log_ratio(z, density=density, frame=frame):
            standard = -0.5 * (z**2 + np.log(2.0 * np.pi)).sum(axis=1)
            return density.at_many(z)[0] + frame.log_volume - standard

        estimates.append(bridge(log_ratio(own), log_ratio(rng.normal(size=own.shape))))
    return np.array(estimates)


def bridge(own: np.ndarray, drawn: np.ndarray) -> float:
    """Log of the ratio of two densities' masses, from equally many draws of each.

    Parameters
    ----------
    own, drawn : ndarray of shape (draws,)
        Log ratio of the first density to the second, at draws of the first and of the second.

    Returns
    -------
    float
        NaN if the first density is zero at all draws of the second.
    """
    drawn = np.where(np.isfinite(drawn), drawn, -np.inf)
    if not np.isfinite(drawn).any():
        return np.nan
    estimate = np.median(own)
    for _ in range(_ROUNDS):
        up = np.logaddexp.reduce(drawn - np.logaddexp(drawn, estimate))
        down = np.logaddexp.reduce(-np.logaddexp(own, estimate))
        change = up - down - estimate
        estimate += change
        if abs(change) < _TOLERANCE:
            break
    return float(estimate)


def clearly_less(estimates: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether a region has clearly less mass than another, beyond the estimates' error.

    Parameters
    ----------
    estimates : ndarray of shape (..., 4)
        From :func:`log_evidence`.
    others : ndarray of shape (4,)
        Estimates of the other region.

    Returns
    -------
    ndarray of bool, shape (...)
        True if medians differ by more than 3 and by more than the range of either region's
        estimates.
    """
    doubt = np.maximum(np.maximum(np.ptp(estimates, axis=-1), np.ptp(others)), _CLEARLY)
    return np.median(others) - np.median(estimates, axis=-1) > doubt
