"""Can the draws be trusted? Numbers first, warnings second."""

import warnings

import numpy as np
from scipy import special

from skcocoafuse._monte_carlo import MAX_PARETO_K, enough_draws, ess, ess_of_resampled, rhat
from skcocoafuse.exceptions import (
    ChainMixingWarning,
    CollapsedExpertWarning,
    DivergenceWarning,
    PoorApproximationWarning,
    SeparateModesWarning,
)
from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.model.problem import BLOCK_NUMBERS, Problem, row_blocks
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.islands import MAX_RHAT, N_ANCHORS, invariants, weigh_islands

MIN_ESS = 100.0
_MAX_INDEPENDENT = 250  # draws per chain that R-hat looks at, if they are independent
MIN_SHARE = 0.01  # of the rows' weight; an expert below it has collapsed


def judge(
    problem: Problem, posterior: Posterior, seconds: dict[str, float], independent: bool
) -> tuple[Posterior, dict]:
    """The posterior with its islands weighed, and the numbers of :func:`diagnose`."""
    looked_at = posterior.shortened(_MAX_INDEPENDENT) if independent else posterior
    quantities = invariants(problem, looked_at)
    overall_rhat = rhat(quantities)
    posterior = weigh_islands(problem, posterior, quantities, overall_rhat)
    found = diagnose(problem, posterior, quantities, overall_rhat, seconds, independent)
    return posterior, found


def diagnose(
    problem: Problem,
    posterior: Posterior,
    quantities: np.ndarray,
    overall_rhat: np.ndarray,
    seconds: dict[str, float],
    independent: bool = False,
) -> dict:
    """Numbers on convergence and on how the experts are used.

    Convergence is judged on quantities that do not depend on expert labels: the log
    posterior, and the log density, mean and variance of the predictive distribution at
    ten rows.

    Parameters
    ----------
    problem : Problem
    posterior : Posterior
    quantities : ndarray of shape (chains, draws, quantities)
        From :func:`skcocoafuse.posterior.islands.invariants`.
    overall_rhat : ndarray of shape (quantities,)
        Their R-hat, all chains together.
    seconds : dict of str to float
    independent : bool, default=False
        Whether draws of a chain are independent; how many differ is then their effective number.

    Returns
    -------
    dict
        ``rhat``: the worst over all invariants, NaN for a single draw;
        ``rhat_log_posterior``; ``rhat_within`` and ``ess``: the worst inside an island;
        ``still_chains``: those that never moved;
        ``islands``: lists of chains that agree, heaviest first, with ``island_weight`` (their
        part in predictions) and ``island_elpd``; ``n_divergences``; ``mean_n_steps``,
        ``max_tree_depth`` (NaN where unknown); ``expert_share``: ndarray of shape
        (n_experts,), the part of the data each expert accounts for, summing to one;
        ``n_effective_experts``: the exponential of the shares' entropy (Hill's number of order
        1), from 1 to n_experts, which is reached where shares are equal;
        ``n_chains``, ``n_draws`` (per chain); ``seconds``: dict per phase.
    """
    islands = [list(chains) for chains in posterior.islands]
    rhat_within = overall_rhat
    if len(islands) > 1:
        rhat_within = np.concatenate([rhat(quantities[chains]) for chains in islands])
    if independent:
        sizes = [ess_of_resampled(posterior.log_posterior[chains]) for chains in islands]
        ess_within = np.array(sizes)
    else:
        ess_within = np.concatenate([ess(quantities[chains]) for chains in islands])
    stats = posterior.stats
    share = expert_share(problem, posterior.main_island())
    return {
        "rhat": _worst(np.nanmax, overall_rhat),
        "rhat_log_posterior": float(overall_rhat[0]),
        "rhat_within": _worst(np.nanmax, rhat_within),
        "ess": _worst(np.nanmin, ess_within),
        "still_chains": [] if independent else _still_chains(posterior),
        "islands": islands,
        "island_weight": posterior.island_weight,
        "island_elpd": posterior.island_elpd,
        "n_divergences": int(stats["diverging"].sum()) if "diverging" in stats else 0,
        "mean_n_steps": float(stats["n_steps"].mean()) if "n_steps" in stats else np.nan,
        "max_tree_depth": float(stats["tree_depth"].max()) if "tree_depth" in stats else np.nan,
        "expert_share": share,
        "n_effective_experts": float(np.exp(special.entr(share).sum())),
        "n_chains": posterior.n_chains,
        "n_draws": posterior.n_draws,
        "seconds": dict(seconds),
    }


def _worst(function, values: np.ndarray) -> float:
    return np.nan if np.isnan(values).all() else float(function(values))


def _still_chains(posterior: Posterior) -> list[int]:
    """Chains of several draws that are all the same: no step was ever accepted."""
    if posterior.n_draws == 1:
        return []
    return np.flatnonzero(np.ptp(posterior.log_posterior, axis=1) == 0.0).tolist()


def expert_share(problem: Problem, posterior: Posterior, max_draws: int = 100) -> np.ndarray:
    """Part of the data's weight each expert accounts for, (n_experts,): mean responsibility."""
    thinned = posterior.thinned(max_draws)
    total = np.zeros(thinned.sigma.shape[1])
    for rows, designs in row_blocks(problem.designs, BLOCK_NUMBERS // thinned.sigma.size):
        mixture = mixture_of(posterior.spec, thinned, designs)
        responsibility = forward.responsibilities(mixture, problem.y[rows]).mean(axis=0)
        total = total + problem.weight[rows] @ responsibility
    return total / problem.weight.sum()


def collapsed_experts(diagnostics: dict) -> list[int]:
    """Experts that account for less than ``MIN_SHARE`` of the data."""
    return np.flatnonzero(diagnostics["expert_share"] < MIN_SHARE).tolist()


def converged(diagnostics: dict) -> bool:
    """Whether :func:`warn` has nothing to say, but for experts without data.

    True for the single draw of ``inference="map"``, of which nothing can be seen.
    """
    return settled(diagnostics) and not diagnostics["n_divergences"]


def settled(diagnostics: dict) -> bool:
    """Whether chains agree and draws are those of the posterior, but for parts that diverge."""
    return not (
        len(diagnostics["islands"]) > 1
        or _mixes_badly(diagnostics)
        or approximates_badly(diagnostics)
    )


def _mixes_badly(diagnostics: dict) -> bool:
    return (
        diagnostics["rhat_within"] > MAX_RHAT
        or diagnostics["ess"] < MIN_ESS
        or _stands_still(diagnostics)
        or _cannot_tell(diagnostics)
    )


def _stands_still(diagnostics: dict) -> bool:
    return bool(diagnostics.get("still_chains"))  # older files do not say


def _cannot_tell(diagnostics: dict) -> bool:
    """Whether draws are too few for R-hat; the single draw of "map" is not meant."""
    n_chains, n_draws = diagnostics["n_chains"], diagnostics["n_draws"]
    if n_chains * n_draws == 1:  # others than "map" count their draws, or their steps
        return not np.isnan([diagnostics["ess"], diagnostics["mean_n_steps"]]).all()
    return not enough_draws(n_chains, n_draws)


def approximates_badly(diagnostics: dict) -> bool:
    """Whether draws are those of an approximation that is too far from the posterior."""
    return diagnostics.get("pareto_k", np.nan) > MAX_PARETO_K


def check_posterior(diagnostics: dict, what: str, otherwise: str) -> None:
    """Whether importance weights can start from these draws: they are many, and the posterior's.

    Raises
    ------
    ValueError
        If not; ``what`` names who asks, ``otherwise`` what else one could do.
    """
    if diagnostics["n_chains"] * diagnostics["n_draws"] == 1:
        raise ValueError(
            f"{what} needs draws from the posterior, more than one; got 1, all that "
            "inference='map' keeps. Fit with inference='nuts', or 'laplace' for a fast look."
        )
    if len(diagnostics.get("still_chains", [])) == diagnostics["n_chains"]:
        raise ValueError(
            f"{what} needs draws from the posterior; none of the chains of this fit has moved. Fit "
            "again with more tune (500 by default)."
        )
    if approximates_badly(diagnostics):
        raise ValueError(
            f"{what} needs draws from the posterior. Those of this fit come from an approximation "
            f"too far from it: Pareto k-hat {diagnostics['pareto_k']:.2f} (wanted: at most "
            f"{MAX_PARETO_K}). Fit with inference='nuts', {otherwise}."
        )


def warn(diagnostics: dict, stacklevel: int) -> None:
    """One warning for each thing seen that a user can act on."""
    total = diagnostics["n_chains"] * diagnostics["n_draws"]
    divergences = diagnostics["n_divergences"]
    if divergences:
        warnings.warn(
            f"{divergences} of {total} draws came from divergent trajectories, so parts of the "
            "posterior may be missing. Try target_accept=0.99, tighter priors on sigma, or "
            "fewer experts.",
            DivergenceWarning,
            stacklevel=stacklevel,
        )
    islands, weight = diagnostics["islands"], diagnostics["island_weight"]
    if len(islands) > 1 and not _stands_still(diagnostics):
        described = "; ".join(
            f"chains {chains} with weight {part:.2f} (leave-one-out log density {elpd:.1f})"
            for chains, part, elpd in zip(islands, weight, diagnostics["island_elpd"], strict=True)
        )
        warnings.warn(
            f"Chains settled in {len(islands)} groups that disagree (R-hat "
            f"{diagnostics['rhat']:.2f}): {described}. Predictions are weighted by stacking; "
            "coefficients and summary() are those of the first group. Try fewer experts, more "
            "chains, or another random_state.",
            SeparateModesWarning,
            stacklevel=stacklevel,
        )
    if _stands_still(diagnostics):
        warnings.warn(
            f"Chain(s) {diagnostics['still_chains']} did not move in any of "
            f"{diagnostics['n_draws']} draws: warm-up was too short to find how far steps can go. "
            "Give more tune (500 by default).",
            ChainMixingWarning,
            stacklevel=stacklevel,
        )
    elif _cannot_tell(diagnostics):
        warnings.warn(
            f"{total} draw(s) are too few to tell whether chains mix (wanted: an effective sample "
            f"size of at least {MIN_ESS:.0f}). Give more tune and draws.",
            ChainMixingWarning,
            stacklevel=stacklevel,
        )
    elif _mixes_badly(diagnostics):
        warnings.warn(
            f"Chains disagree or mix slowly: worst R-hat {diagnostics['rhat_within']:.2f} (wanted: "
            f"at most {MAX_RHAT}), smallest effective sample size {diagnostics['ess']:.0f} of "
            f"{total} draws "
            f"(wanted: at least {MIN_ESS:.0f}), over the log posterior and predictions at "
            f"{N_ANCHORS} rows. Try more tune and draws, fewer experts, or another random_state; "
            "see diagnostics_.",
            ChainMixingWarning,
            stacklevel=stacklevel,
        )
    if approximates_badly(diagnostics):
        warnings.warn(
            "The approximation is not the posterior: Pareto k-hat "
            f"{diagnostics['pareto_k']:.2f} (wanted: at most {MAX_PARETO_K}), so its draws were "
            "left uncorrected. Use inference='nuts' where intervals matter.",
            PoorApproximationWarning,
            stacklevel=stacklevel,
        )
    share = diagnostics["expert_share"]
    collapsed = collapsed_experts(diagnostics)
    if collapsed:
        warnings.warn(
            f"Expert(s) {collapsed} account for less than {MIN_SHARE:.0%} of the data "
            f"(shares: {np.round(share, 3).tolist()}). The data do not ask for so many experts: "
            f"try n_experts={max(1, len(share) - len(collapsed))}, or merge_experts().",
            CollapsedExpertWarning,
            stacklevel=stacklevel,
        )
