"""The only file that knows ArviZ (0.23 and 1.x share the calls made here)."""

from contextlib import contextmanager

import numpy as np


def rhat(draws: np.ndarray) -> np.ndarray:
    """Rank-normalised split R-hat of many quantities.

    Parameters
    ----------
    draws : ndarray of shape (chains, draws, quantities)

    Returns
    -------
    ndarray of shape (quantities,)
        NaN where a quantity does not vary, or there are fewer than 4 draws per chain or 8 in all.
    """
    return _of_each(draws, "rhat")


def ess(draws: np.ndarray) -> np.ndarray:
    """Bulk effective sample size of many quantities; shapes as in :func:`rhat`."""
    return _of_each(draws, "ess")


def rhat_and_ess(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both :func:`rhat` and :func:`ess`."""
    return rhat(draws), ess(draws)


def _of_each(draws: np.ndarray, name: str) -> np.ndarray:
    values = np.full(draws.shape[2], np.nan)
    varies = np.ptp(draws, axis=(0, 1)) > 0
    if draws.shape[0] * draws.shape[1] < 8 or draws.shape[1] < 4 or not varies.any():
        return values
    import arviz
    import xarray

    draws = draws[..., varies]
    if len(draws) == 1:  # a chain alone is compared with itself: its halves
        half = draws.shape[1] // 2
        draws = draws[0, : 2 * half].reshape(2, half, -1)
    dataset = xarray.Dataset({"q": (("chain", "draw", "quantity"), draws)})
    with _without_compilation(arviz):
        values[varies] = getattr(arviz, name)(dataset)["q"].values
    return values


def smooth_importance_weights(log_ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pareto-smoothed importance weights, and how much they can be trusted.

    Parameters
    ----------
    log_ratios : ndarray of shape (..., draws)
        Log of target density over proposal density, up to a constant.

    Returns
    -------
    log_weights : ndarray of shape (..., draws)
        Their exponentials sum to one.
    pareto_k : ndarray of shape (...)
        Shape of the weights' tail; above 0.7 they cannot be trusted.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao and Gabry (2024), "Pareto smoothed importance sampling",
    JMLR 25.
    """
    import arviz

    if hasattr(arviz, "psislw"):
        log_weights, pareto_k = arviz.psislw(log_ratios)
    else:
        from arviz_stats.base import array_stats

        log_weights, pareto_k = array_stats.psislw(-log_ratios, axis=-1)  # takes log likelihoods
    return np.asarray(log_weights), np.asarray(pareto_k)


@contextmanager
def _without_compilation(arviz):
    """Keep ArviZ 0.23 from compiling its variance by numba, half a second in every process."""
    switch = getattr(arviz, "Numba", None)
    if switch is None or not switch.numba_flag:
        yield
        return
    switch.disable_numba()
    try:
        yield
    finally:
        switch.enable_numba()
