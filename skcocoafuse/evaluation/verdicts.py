"""What the diagnostics of a fit imply: whether it is reliable, and for what."""

import numpy as np

from skcocoafuse.exceptions import beyond
from skcocoafuse.posterior.clusters import MAX_RHAT
from skcocoafuse.posterior.monte_carlo import MAX_PARETO_K, MIN_ESS, enough_draws

MIN_SHARE = 0.01  # of the rows' weight; an expert below it has collapsed


def collapsed_experts(diagnostics: dict) -> list[int]:
    """Experts that account for less than ``MIN_SHARE`` of the data."""
    return np.flatnonzero(diagnostics["expert_share"] < MIN_SHARE).tolist()


def converged(diagnostics: dict) -> bool:
    """Whether ``fit`` gives no warning, except about unused or out-of-range experts.

    True for the single draw of ``inference="map"``, which cannot be diagnosed.
    """
    return settled(diagnostics) and not diagnostics["n_divergences"]


def settled(diagnostics: dict) -> bool:
    """Whether chains agree and draws represent the posterior, regardless of divergences."""
    return not (
        len(diagnostics["chain_clusters"]) > 1
        or mixes_badly(diagnostics)
        or approximates_badly(diagnostics)
    )


def mixes_badly(diagnostics: dict) -> bool:
    """Whether chains of one cluster disagree, have few effective draws, or cannot be judged."""
    return (
        diagnostics["rhat_within"] > MAX_RHAT
        or diagnostics["ess"] < MIN_ESS
        or stands_still(diagnostics)
        or cannot_tell(diagnostics)
    )


def stands_still(diagnostics: dict) -> bool:
    """Whether a chain never moved."""
    return bool(diagnostics.get("still_chains"))  # missing in older files


def cannot_tell(diagnostics: dict) -> bool:
    """Whether there are too few draws for R-hat, other than the single draw of "map"."""
    n_chains, n_draws = diagnostics["n_chains"], diagnostics["n_draws"]
    if n_chains * n_draws == 1:  # others than "map" count their draws, or their steps
        return not np.isnan([diagnostics["ess"], diagnostics["mean_n_steps"]]).all()
    return not enough_draws(n_chains, n_draws)


def approximates_badly(diagnostics: dict) -> bool:
    """Whether draws come from an approximation that is too far from the posterior."""
    return diagnostics.get("pareto_k", np.nan) > MAX_PARETO_K


def check_posterior(diagnostics: dict, what: str, otherwise: str) -> None:
    """Check that there are several draws and that they represent the posterior.

    Raises
    ------
    ValueError
        If not; ``what`` names the caller, ``otherwise`` an alternative remedy.
    """
    if diagnostics["n_chains"] * diagnostics["n_draws"] == 1:
        raise ValueError(
            f"{what} needs draws from the posterior, more than one; got 1, as with "
            "inference='map'. Fit with inference='nuts', or with 'vi' for a quick look."
        )
    if len(diagnostics.get("still_chains", [])) == diagnostics["n_chains"]:
        raise ValueError(
            f"{what} needs draws from the posterior; none of the chains of this fit moved. Refit "
            "with more tune (500 by default)."
        )
    if approximates_badly(diagnostics):
        raise ValueError(
            f"{what} needs draws from the posterior. Those of this fit come from an approximation "
            f"too far from it: Pareto k-hat {beyond(diagnostics['pareto_k'], MAX_PARETO_K, 2)} "
            f"(wanted: at most {MAX_PARETO_K}). Fit with inference='nuts', {otherwise}."
        )
