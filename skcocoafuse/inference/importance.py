"""Draws of an approximation, corrected by importance weights where these can be trusted."""

import numpy as np

from skcocoafuse._monte_carlo import smooth_importance_weights


def resample(
    log_posterior: np.ndarray,
    log_proposal: np.ndarray,
    n: int,
    max_pareto_k: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray | None, float]:
    """Which proposals to keep so that they follow the posterior.

    Parameters
    ----------
    log_posterior, log_proposal : ndarray of shape (proposals,)
        Log densities, each up to a constant, of draws from the proposal.
    n : int
        Draws to keep.
    max_pareto_k : float
        Of weights that can be trusted.
    rng : numpy.random.Generator

    Returns
    -------
    chosen : ndarray of int, shape (n,), or None
        Resampled with Pareto-smoothed weights; None where k-hat says that these are luck.
    pareto_k : float
    """
    log_ratio = log_posterior - log_proposal
    log_ratio[~np.isfinite(log_ratio)] = -np.inf
    log_weight, pareto_k = smooth_importance_weights(log_ratio)
    if not pareto_k <= max_pareto_k:
        return None, float(pareto_k)
    weight = np.exp(log_weight)
    return rng.choice(len(weight), n, p=weight / weight.sum()), float(pareto_k)
