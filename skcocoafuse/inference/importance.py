"""Draws of an approximation, corrected by importance weights if these can be trusted."""

import numpy as np

from skcocoafuse.posterior.monte_carlo import smooth_importance_weights


def resample(
    log_posterior: np.ndarray,
    log_proposal: np.ndarray,
    n: int,
    max_pareto_k: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray | None, float]:
    """Indices of proposals to keep so that they follow the posterior.

    Parameters
    ----------
    log_posterior, log_proposal : ndarray of shape (proposals,)
        Log densities, each up to a constant, of draws from the proposal.
    n : int
        Number of draws to keep.
    max_pareto_k : float
        Largest k-hat of weights that can be trusted.
    rng : numpy.random.Generator

    Returns
    -------
    chosen : ndarray of int, shape (n,), or None
        Resampled with Pareto-smoothed weights; None if k-hat shows that these are unreliable.
    pareto_k : float
    """
    log_ratio = log_posterior - log_proposal
    finite = np.isfinite(log_ratio)
    if not finite.any():
        return None, np.inf
    log_ratio[~finite] = -np.inf
    log_weight, pareto_k = smooth_importance_weights(log_ratio)
    if not pareto_k <= max_pareto_k:
        return None, float(pareto_k)
    return rng.choice(len(log_weight), n, p=np.exp(log_weight)), float(pareto_k)


def uncorrected(log_posterior: np.ndarray, n: int) -> np.ndarray:
    """The first n proposals with finite posterior density, repeated if there are fewer.

    Parameters
    ----------
    log_posterior : ndarray of shape (proposals,)
    n : int

    Returns
    -------
    chosen : ndarray of int, shape (n,)

    Raises
    ------
    ValueError
        If none of the proposals has a finite density.
    """
    finite = np.flatnonzero(np.isfinite(log_posterior))
    if not finite.size:
        raise ValueError(
            f"None of {log_posterior.size} draws of the approximation has finite posterior "
            "density: it did not converge. Use inference='nuts' or 'vi', or another "
            "random_state."
        )
    return np.resize(finite, n)
