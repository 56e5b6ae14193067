"""Can the draws be trusted? Numbers first, warnings second."""

import warnings
from collections.abc import Callable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np
from scipy import special

from skcocoafuse.evaluation.stacking import weigh_clusters
from skcocoafuse.exceptions import (
    ChainMixingWarning,
    CollapsedExpertWarning,
    DivergenceWarning,
    ExpertOutOfRangeWarning,
    PoorApproximationWarning,
    SeparateModesWarning,
    beyond,
)
from skcocoafuse.model import forward
from skcocoafuse.model.chunks import map_chunks
from skcocoafuse.model.design import Scale
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.clusters import MAX_RHAT, N_ANCHORS, invariants
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.monte_carlo import (
    MAX_PARETO_K,
    enough_draws,
    ess,
    ess_of_resampled,
    rhat,
)

MIN_ESS = 100.0
# Of chains, with one of which nothing can be compared; they count where others were relocated.
MIN_INDEPENDENT_STARTS = 2
_MAX_INDEPENDENT = 250  # draws per chain that R-hat looks at, if they are independent
_silent = ContextVar("silent", default=False)
MIN_SHARE = 0.01  # of the rows' weight; an expert below it has collapsed
# Part of the draws. What lies behind so few divergences has about as little of the mass, and shifts
# averages by less than their Monte Carlo error, a 60th of a standard deviation for 4000 draws.
_FEW_DIVERGENCES = 0.001
_CAREFUL = 0.99  # target_accept that left no divergences, or fewer
# An expert whose mean is a width of the target's range outside that range is two widths or so
# from the targets around: with 1% of the weight it moves the predictive mean by 2% of the range.
# At a few rows that is in the noise; what costs a hundredth of the target's variance is said.
_FAR = 1.0  # widths of the range
_MAX_WEIGHT_FAR = 0.01
_MAX_R2_LOSS = 0.01
#: Scale of a target that is looked at as it was standardised.
STANDARDIZED = Scale(np.zeros(()), np.ones(()))


def judge(
    problem: Problem,
    posterior: Posterior,
    seconds: dict[str, float],
    independent: bool,
    target: Scale = STANDARDIZED,
) -> tuple[Posterior, dict]:
    """The posterior with its clusters weighed, and the numbers of :func:`diagnose`."""
    looked_at = posterior.shortened(_MAX_INDEPENDENT) if independent else posterior
    quantities = invariants(problem, looked_at)
    overall_rhat = rhat(quantities)
    posterior = weigh_clusters(problem, posterior, quantities, overall_rhat)
    found = diagnose(problem, posterior, quantities, overall_rhat, seconds, independent, target)
    return posterior, found


def diagnose(
    problem: Problem,
    posterior: Posterior,
    quantities: np.ndarray,
    overall_rhat: np.ndarray,
    seconds: dict[str, float],
    independent: bool = False,
    target: Scale = STANDARDIZED,
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
        From :func:`skcocoafuse.posterior.clusters.invariants`.
    overall_rhat : ndarray of shape (quantities,)
        Their R-hat, all chains together.
    seconds : dict of str to float
    independent : bool, default=False
        Whether draws of a chain are independent; how many differ is then their effective number.
    target : Scale
        Of the target; figures in its units are those of the standardised one by default.

    Returns
    -------
    dict
        ``rhat``: the worst over all invariants, NaN for a single draw;
        ``rhat_log_posterior``; ``rhat_within`` and ``ess``: the worst inside a cluster;
        ``still_chains``: those that never moved;
        ``chain_clusters``: lists of chains that agree, heaviest first, with ``cluster_weight``
        (their part in predictions) and ``cluster_elpd`` (leave-one-out log density of the target
        in its units, as ``loo()`` has it); ``n_divergences``; ``mean_n_steps``,
        ``max_tree_depth`` (NaN where unknown); ``expert_share``: ndarray of shape
        (n_experts,), the part of the data each expert accounts for, summing to one;
        ``n_effective_experts``: the exponential of the shares' entropy (Hill's number of order
        1), from 1 to n_experts, which is reached where shares are equal; of each expert the
        ``out_of_range_rows``, the greatest ``out_of_range_weight``, in which row that is, the
        ``out_of_range_mean`` there, and ``out_of_range_r2_loss`` (see :class:`OutOfRange`);
        ``n_chains``, ``n_draws`` (per chain); ``seconds``: dict per phase.
    """
    clusters = [list(chains) for chains in posterior.clusters]
    rhat_within = overall_rhat
    if len(clusters) > 1:
        rhat_within = np.concatenate([rhat(quantities[chains]) for chains in clusters])
    if independent:
        sizes = [ess_of_resampled(posterior.log_posterior[chains]) for chains in clusters]
        ess_within = np.array(sizes)
    else:
        ess_within = np.concatenate([ess(quantities[chains]) for chains in clusters])
    stats = posterior.stats
    share, outside = use_of_experts(problem, posterior.main_cluster())
    log_scale = problem.weight.sum() * np.log(target.scale)
    return {
        "rhat": _worst(np.nanmax, overall_rhat),
        "rhat_log_posterior": float(overall_rhat[0]),
        "rhat_within": _worst(np.nanmax, rhat_within),
        "ess": _worst(np.nanmin, ess_within),
        "still_chains": [] if independent else _still_chains(posterior),
        "chain_clusters": clusters,
        "cluster_weight": posterior.cluster_weight,
        "cluster_elpd": posterior.cluster_elpd - log_scale,
        "n_divergences": int(stats["diverging"].sum()) if "diverging" in stats else 0,
        "mean_n_steps": float(stats["n_steps"].mean()) if "n_steps" in stats else np.nan,
        "max_tree_depth": float(stats["tree_depth"].max()) if "tree_depth" in stats else np.nan,
        "expert_share": share,
        "n_effective_experts": float(np.exp(special.entr(share).sum())),
        "out_of_range_rows": outside.n_rows,
        "out_of_range_weight": outside.weight,
        "out_of_range_worst_row": outside.row,
        "out_of_range_mean": target.undo(outside.mean),
        "out_of_range_r2_loss": outside.r2_loss,
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


class OutOfRange(NamedTuple):
    """Where the mean of an expert, after fusion, is far outside the range of the target.

    Far is more than the width of that range. Arrays (n_experts,). ``n_rows``: rows of the fit where
    such draws of the expert have more than 1% of the weight; ``weight``: the most they have, at
    row ``row``, and ``mean``: their mean there (NaN and -1 where an expert never is outside).
    ``r2_loss``: what they alone do to the predictive mean at those rows, squared, over the
    variance of the target.
    """

    n_rows: np.ndarray
    weight: np.ndarray
    row: np.ndarray
    mean: np.ndarray
    r2_loss: np.ndarray


def use_of_experts(
    problem: Problem, posterior: Posterior, max_draws: int = 100
) -> tuple[np.ndarray, OutOfRange]:
    """Part of the data's weight each expert accounts for, and where it is out of range.

    The former, (n_experts,), is the mean responsibility.
    """
    thinned = posterior.thinned(max_draws)
    seen = problem.y[problem.weight > 0]
    low, high = seen.min(), seen.max()
    far = _FAR * (high - low)
    total = np.zeros(thinned.sigma.shape[1])
    far_weight, far_part = np.empty((2, len(problem.y), len(total)))

    def add(rows, designs):
        mixture = mixture_of(posterior.spec, thinned, designs)
        responsibility = forward.responsibilities(mixture, problem.y[rows]).mean(axis=0)
        np.add(total, problem.weight[rows] @ responsibility, out=total)
        outside = (mixture.mean < low - far) | (mixture.mean > high + far)
        weight = np.where(outside, np.exp(mixture.log_weight), 0.0)
        far_weight[rows] = weight.mean(axis=0)
        far_part[rows] = (weight * mixture.mean).mean(axis=0)

    map_chunks(add, problem.designs, thinned.sigma.size)
    return total / problem.weight.sum(), _out_of_range(problem, far_weight, far_part)


def _out_of_range(problem: Problem, weight: np.ndarray, part: np.ndarray) -> OutOfRange:
    """From weights of far draws, and their part in the mean, both (rows, n_experts)."""
    share = problem.weight / problem.weight.sum()
    weight = np.where(share[:, None] > 0, weight, 0.0)
    row = weight.argmax(axis=0)
    most, experts = weight.max(axis=0), np.arange(weight.shape[1])
    never = most == 0.0
    counted = weight > _MAX_WEIGHT_FAR
    pull = np.where(counted, part - weight * problem.y[:, None], 0.0)
    variance = share @ (problem.y - share @ problem.y) ** 2
    return OutOfRange(
        n_rows=counted.sum(axis=0),
        weight=most,
        row=np.where(never, -1, row),
        mean=np.where(never, np.nan, part[row, experts] / np.where(never, 1.0, most)),
        r2_loss=share @ pull**2 / variance,
    )


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
        len(diagnostics["chain_clusters"]) > 1
        or _mixes_badly(diagnostics)
        or _agrees_by_construction(diagnostics)
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


def _agrees_by_construction(diagnostics: dict) -> bool:
    """Whether chains that were not restarted from another one are too few, or disagree.

    A relocated chain agrees with its donor because it started there, so R-hat of all chains does
    not say that chains from different starts found the same region.
    """
    relocated, independent = _relocated(diagnostics)
    if not relocated:
        return False
    return independent < MIN_INDEPENDENT_STARTS or not _independent_rhat(diagnostics) <= MAX_RHAT


def _independent_rhat(diagnostics: dict) -> float:
    return diagnostics.get("rhat_independent_starts", diagnostics["rhat"])  # as in older files


def _relocated(diagnostics: dict) -> tuple[int, int]:
    """How often chains were relocated, and how many independent starts that leaves.

    Older files have the former only, as ``n_moved``; each time at most one start is lost.
    """
    n_chains = diagnostics["n_chains"]
    relocated = diagnostics.get("n_relocated", diagnostics.get("n_moved", 0))
    return relocated, diagnostics.get("n_independent_starts", n_chains - relocated)


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
            f"too far from it: Pareto k-hat {beyond(diagnostics['pareto_k'], MAX_PARETO_K, 2)} "
            f"(wanted: at most {MAX_PARETO_K}). Fit with inference='nuts', {otherwise}."
        )


@contextmanager
def without_warnings():
    """Give no warnings of this room in this thread, where results are judged by their numbers.

    ``warnings.catch_warnings`` changes filters of the whole process, so it is not for threads.
    """
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def warnings_are_off() -> bool:
    """Whether :func:`without_warnings` holds here."""
    return _silent.get()


def warn(diagnostics: dict, stacklevel: int) -> None:
    """One warning for each thing seen that a user can act on."""
    if warnings_are_off():
        return
    for category, message_of in _MESSAGES.items():
        message = message_of(diagnostics)
        if message:
            warnings.warn(message, category, stacklevel=stacklevel)


def _is_approximation(diagnostics: dict) -> bool:
    """Whether draws are not those of Markov chains: nothing about chains can be said then."""
    return "pareto_k" in diagnostics


def _n_draws(diagnostics: dict) -> int:
    return diagnostics["n_chains"] * diagnostics["n_draws"]


def _of_divergences(diagnostics: dict) -> str | None:
    count, total = diagnostics["n_divergences"], _n_draws(diagnostics)
    if not count:
        return None
    came = f"{count} of {total} draws came from "
    came += "a divergent trajectory" if count == 1 else "divergent trajectories"
    remedy = _against_divergences(diagnostics)
    if count <= _FEW_DIVERGENCES * total:
        return f"{came}: so few hardly change predictions. To avoid them, try {remedy}."
    return f"{came}, so parts of the posterior may be missing. Try {remedy}."


def _against_divergences(diagnostics: dict) -> str:
    """What left none, or fewer, on real data sets; tighter priors on sigma did not."""
    if diagnostics.get("target_accept", 0.0) >= _CAREFUL:
        return "fewer experts"
    depth = diagnostics.get("max_tree_depth", np.nan)
    steps = diagnostics.get("mean_n_steps", np.nan)
    # Shorter steps need longer trajectories. Cut off at the same depth, they mixed eight times
    # worse on the Energy data; two levels more, and they mixed as well as before.
    cut_off = "thinning" in diagnostics and steps > 0.5 * 2.0**depth
    options = f" with inference_options={{'maxdepth': {depth + 2:.0f}}}" if cut_off else ""
    return f"target_accept={_CAREFUL}{options}"


def _of_separate_modes(diagnostics: dict) -> str | None:
    clusters, weight = diagnostics["chain_clusters"], diagnostics["cluster_weight"]
    if len(clusters) == 1 or _stands_still(diagnostics):
        return None
    approximation = _is_approximation(diagnostics)
    described = "; ".join(
        ("" if approximation else f"chains {chains} ")
        + f"with weight {part:.2f} (leave-one-out log density {elpd:.1f})"
        for chains, part, elpd in zip(clusters, weight, diagnostics["cluster_elpd"], strict=True)
    )
    what, which, instead = "Chains settled in", "cluster", "another random_state"
    if approximation:
        what, which, instead = "The approximation has draws in", "group", "inference='nuts'"
    return (
        f"{what} {len(clusters)} groups{'' if approximation else ', or chain clusters,'} that "
        f"disagree (R-hat {beyond(diagnostics['rhat'], MAX_RHAT, 2)}): {described}. Predictions "
        f"are weighted by stacking; coefficients and summary() are those of the first {which}. "
        f"Try fewer experts or {instead}."
    )


def _of_mixing(diagnostics: dict) -> str | None:
    if _stands_still(diagnostics):
        return (
            f"Chain(s) {diagnostics['still_chains']} did not move in any of "
            f"{diagnostics['n_draws']} draws: warm-up was too short to find how far steps can go. "
            "Give more tune (500 by default)."
        )
    if _cannot_tell(diagnostics):
        what, remedy = "whether chains mix", "more tune and draws"
        if _is_approximation(diagnostics):
            what, remedy = "how good they are", "more draws"
        return (
            f"{_n_draws(diagnostics)} draw(s) are too few to tell {what} (wanted: an effective "
            f"sample size of at least {MIN_ESS:.0f}). Give {remedy}."
        )
    failed = []
    disagree = diagnostics["rhat_within"] > MAX_RHAT
    if disagree:
        worst = beyond(diagnostics["rhat_within"], MAX_RHAT, 2)
        failed.append(f"worst R-hat {worst} (wanted: at most {MAX_RHAT})")
    if diagnostics["ess"] < MIN_ESS:
        least = beyond(diagnostics["ess"], MIN_ESS, 0)
        failed.append(
            f"smallest effective sample size {least} of {_n_draws(diagnostics)} draws (wanted: at "
            f"least {MIN_ESS:.0f})"
        )
    if not failed:
        return _of_relocation(diagnostics)
    what, remedy = "Chains mix slowly", "more tune and draws, or fewer experts"
    if _is_approximation(diagnostics):
        what, remedy = "Draws of the approximation are too few", "more draws"
    elif disagree:
        what = "Chains disagree" if diagnostics["n_chains"] > 1 else "The chain drifts"
    return (
        f"{what}: {' and '.join(failed)}, over the log posterior and predictions at {N_ANCHORS} "
        f"rows. Try {remedy}; see diagnostics_."
    )


def _of_relocation(diagnostics: dict) -> str | None:
    if len(diagnostics["chain_clusters"]) > 1 or not _agrees_by_construction(diagnostics):
        return None
    relocated, independent = _relocated(diagnostics)
    n_chains, worst = diagnostics["n_chains"], _independent_rhat(diagnostics)
    if independent < MIN_INDEPENDENT_STARTS:
        left = f"chains now have {max(independent, 1)} independent start(s) (wanted: at least "
        left += f"{MIN_INDEPENDENT_STARTS})"
    else:
        left = f"chains with independent starts disagree (R-hat {beyond(worst, MAX_RHAT, 2)}, "
        left += f"wanted: at most {MAX_RHAT})"
    return (
        f"R-hat {diagnostics['rhat']:.3f} does not show that chains found the same region on their "
        f"own: {relocated} time(s) a chain was restarted from a draw of another one, because the "
        f"region it was in holds hardly any of the posterior's mass, and {left}. Fit with "
        f"chains={2 * n_chains}, or with another random_state, and compare the predictions."
    )


def _of_approximation(diagnostics: dict) -> str | None:
    if not approximates_badly(diagnostics):
        return None
    return (
        "The approximation is not the posterior: Pareto k-hat "
        f"{beyond(diagnostics['pareto_k'], MAX_PARETO_K, 2)} (wanted: at most {MAX_PARETO_K}), so "
        "its draws were left uncorrected. Use inference='nuts' where intervals matter."
    )


def _of_collapsed(diagnostics: dict) -> str | None:
    share, collapsed = diagnostics["expert_share"], collapsed_experts(diagnostics)
    if not collapsed:
        return None
    shares = ", ".join(beyond(part, MIN_SHARE, 3) for part in share)
    return (
        f"Expert(s) {collapsed} account for less than {MIN_SHARE:.0%} of the data "
        f"(shares: [{shares}]). The data do not ask for so many experts: "
        f"try n_experts={max(1, len(share) - len(collapsed))}, or merge_experts()."
    )


def _of_out_of_range(diagnostics: dict) -> str | None:
    loss = diagnostics.get("out_of_range_r2_loss", np.zeros(0))  # which older files lack
    experts = np.flatnonzero(loss > _MAX_R2_LOSS)
    if not experts.size:
        return None
    n_rows, row = diagnostics["out_of_range_rows"], diagnostics["out_of_range_worst_row"]
    weight, mean = diagnostics["out_of_range_weight"], diagnostics["out_of_range_mean"]
    described = "; ".join(
        f"expert {k} at {n_rows[k]} row(s), with up to {weight[k]:.0%} of the weight and a mean of "
        f"{mean[k]:.4g} (row {row[k]})"
        for k in experts
    )
    return (
        "Far outside the range of the target, by more than its width, are experts that still have "
        f"over {_MAX_WEIGHT_FAR:.0%} of the weight there: {described}. This pulls the predictive "
        "mean, and with it predict() and score(), away from the targets, by about "
        f"{loss[experts].sum():.2g} of R2. predict_dist(X).median() is the better point "
        "prediction; or fit with another random_state, and compare by loo()."
    )


_MESSAGES: dict[type[Warning], Callable[[dict], str | None]] = {
    DivergenceWarning: _of_divergences,
    SeparateModesWarning: _of_separate_modes,
    ChainMixingWarning: _of_mixing,
    PoorApproximationWarning: _of_approximation,
    CollapsedExpertWarning: _of_collapsed,
    ExpertOutOfRangeWarning: _of_out_of_range,
}
