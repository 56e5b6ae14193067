"""Can the draws be trusted? Numbers first, warnings second."""

import warnings

import numpy as np

from skcocoafuse._arviz import rhat_and_ess
from skcocoafuse.exceptions import (
    ChainMixingWarning,
    CollapsedExpertWarning,
    DivergenceWarning,
    PoorApproximationWarning,
)
from skcocoafuse.model import forward
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.draws import Posterior, mixture_of

N_ANCHORS = 10
MAX_RHAT = 1.05
MIN_ESS = 100.0
MAX_PARETO_K = 0.7
MIN_SHARE = 0.01  # of the rows' weight; an expert below it has collapsed


def diagnose(problem: Problem, posterior: Posterior, seconds: dict[str, float]) -> dict:
    """Numbers on convergence and on how the experts are used.

    Convergence is judged on quantities that do not depend on expert labels: the log
    posterior, and the log density, mean and variance of the predictive distribution at
    ``N_ANCHORS`` rows.

    Returns
    -------
    dict
        ``rhat`` and ``ess``: the worst over all invariants, NaN for a single draw;
        ``rhat_log_posterior``; ``n_divergences``; ``mean_n_steps``, ``max_tree_depth``
        (NaN where unknown); ``expert_share``: ndarray of shape (n_experts,), the part of
        the data each expert accounts for, summing to one; ``n_chains``, ``n_draws`` (per
        chain); ``seconds``: dict per phase.
    """
    rhat, ess = rhat_and_ess(invariants(problem, posterior))
    stats = posterior.stats
    return {
        "rhat": _worst(np.nanmax, rhat),
        "rhat_log_posterior": float(rhat[0]),
        "ess": _worst(np.nanmin, ess),
        "n_divergences": int(stats["diverging"].sum()) if "diverging" in stats else 0,
        "mean_n_steps": float(stats["n_steps"].mean()) if "n_steps" in stats else np.nan,
        "max_tree_depth": float(stats["tree_depth"].max()) if "tree_depth" in stats else np.nan,
        "expert_share": expert_share(problem, posterior),
        "n_chains": posterior.n_chains,
        "n_draws": posterior.n_draws,
        "seconds": dict(seconds),
    }


def _worst(function, values: np.ndarray) -> float:
    return float(function(values)) if np.isfinite(values).any() else np.nan


def invariants(problem: Problem, posterior: Posterior) -> np.ndarray:
    """Quantities that do not depend on labels, (chains, draws, quantities).

    The log posterior, then log density, mean and log variance at every anchor row.
    """
    anchors = problem.anchors(N_ANCHORS)
    mixture = mixture_of(posterior.spec, posterior.parameters, anchors.designs)
    log_density = forward.log_density(forward.NUMPY, mixture, anchors.y)
    mean, variance = forward.mean_and_variance(mixture)
    return np.concatenate(
        [posterior.log_posterior[..., None], log_density, mean, np.log(variance)], axis=-1
    )


def expert_share(problem: Problem, posterior: Posterior, max_draws: int = 100) -> np.ndarray:
    """Part of the data's weight each expert accounts for, (n_experts,): mean responsibility."""
    flat = posterior.flat()
    step = max(1, len(flat.sigma) // max_draws)
    thinned = flat.map(lambda a: a[::step])
    total, block = 0.0, 2000
    for start in range(0, len(problem.y), block):
        rows = slice(start, start + block)
        designs = {part: X[rows] for part, X in problem.designs.items()}
        mixture = mixture_of(posterior.spec, thinned, designs)
        terms = forward.component_log_density(forward.NUMPY, mixture, problem.y[rows])
        responsibility = np.exp(forward.NUMPY.log_softmax(terms)).mean(axis=0)
        total = total + problem.weight[rows] @ responsibility
    return total / problem.weight.sum()


def warn(diagnostics: dict, stacklevel: int) -> None:
    """One warning for each thing seen that a user can act on."""
    total = diagnostics["n_chains"] * diagnostics["n_draws"]
    divergences = diagnostics["n_divergences"]
    if divergences:
        warnings.warn(
            f"{divergences} of {total} draws came from divergent trajectories, so parts of the "
            "posterior may be missing. Try a higher target_accept (0.98 or 0.99), tighter "
            "priors on sigma, or fewer experts.",
            DivergenceWarning,
            stacklevel=stacklevel,
        )
    rhat, ess = diagnostics["rhat"], diagnostics["ess"]
    if rhat > MAX_RHAT or ess < MIN_ESS:
        warnings.warn(
            f"Chains disagree or mix slowly: worst R-hat {rhat:.2f} (wanted: at most "
            f"{MAX_RHAT}), smallest effective sample size {ess:.0f} of {total} draws (wanted: "
            f"at least {MIN_ESS:.0f}), over the log posterior and predictions at "
            f"{N_ANCHORS} rows. Try more tune and draws, fewer experts, or another random_state; "
            "see diagnostics_.",
            ChainMixingWarning,
            stacklevel=stacklevel,
        )
    pareto_k = diagnostics.get("pareto_k", np.nan)
    if pareto_k > MAX_PARETO_K:
        warnings.warn(
            f"The Laplace approximation is not the posterior: Pareto k-hat {pareto_k:.2f} (wanted: "
            f"at most {MAX_PARETO_K}), so its draws were left uncorrected. Use inference='nuts' "
            "where intervals matter.",
            PoorApproximationWarning,
            stacklevel=stacklevel,
        )
    share = diagnostics["expert_share"]
    collapsed = np.flatnonzero(share < MIN_SHARE)
    if collapsed.size:
        warnings.warn(
            f"Expert(s) {collapsed.tolist()} account for less than {MIN_SHARE:.0%} of the data "
            f"(shares: {np.round(share, 3).tolist()}). The data do not ask for so many experts: "
            f"try n_experts={max(1, len(share) - collapsed.size)}.",
            CollapsedExpertWarning,
            stacklevel=stacklevel,
        )
