"""The warnings of ``fit``: one message for each problem that a user can act on."""

import warnings
from collections.abc import Callable
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from skcocoafuse.evaluation.diagnostics import MAX_R2_LOSS, MAX_WEIGHT_FAR
from skcocoafuse.evaluation.verdicts import (
    MIN_SHARE,
    approximates_badly,
    cannot_tell,
    collapsed_experts,
    stands_still,
)
from skcocoafuse.exceptions import (
    ChainMixingWarning,
    CollapsedExpertWarning,
    DivergenceWarning,
    ExpertOutOfRangeWarning,
    PoorApproximationWarning,
    SeparateModesWarning,
    beyond,
)
from skcocoafuse.posterior.clusters import MAX_RHAT, N_ANCHORS
from skcocoafuse.posterior.monte_carlo import MAX_PARETO_K, MIN_ESS

_silent = ContextVar("silent", default=False)
# Share of the draws. The region behind so few divergences has about as little of the mass; missing
# it shifts averages by less than their Monte Carlo error, a 60th of a standard deviation for 4000
# draws.
_FEW_DIVERGENCES = 0.001
# Predictive standard deviations; costs 0.0002 in log density at the row where it is largest.
_SMALL_ERROR = 0.02
_CAREFUL = 0.99  # target_accept that left no or fewer divergences


@contextmanager
def without_warnings():
    """Suppress the warnings of this subpackage in this thread, if results are judged otherwise.

    ``warnings.catch_warnings`` changes the filters of the whole process, so it is not thread-safe.
    """
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def warnings_are_off() -> bool:
    """Whether :func:`without_warnings` is active."""
    return _silent.get()


def warn(diagnostics: dict, stacklevel: int) -> None:
    """Give one warning for each problem that a user can act on."""
    if warnings_are_off():
        return
    for category, message in messages(diagnostics).items():
        warnings.warn(message, category, stacklevel=stacklevel)


def messages(diagnostics: dict) -> dict[type[Warning], str]:
    """What :func:`warn` says of a fit, by category."""
    found = {category: message_of(diagnostics) for category, message_of in _MESSAGES.items()}
    return {category: message for category, message in found.items() if message}


def _is_approximation(diagnostics: dict) -> bool:
    """Whether the draws do not come from Markov chains, so messages must not mention chains."""
    return "pareto_k" in diagnostics


def _chains_are_short(diagnostics: dict) -> bool:
    """Whether chains have a fixed short length, so that no option makes them longer."""
    return diagnostics.get("chains_are_short", False)


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
        return f"{came}: too few to affect predictions noticeably. To avoid them, try {remedy}."
    return f"{came}, so parts of the posterior may be missing. Try {remedy}."


def _against_divergences(diagnostics: dict) -> str:
    """What left no or fewer divergences on real data sets; tighter priors on sigma did not."""
    if _chains_are_short(diagnostics):
        return "inference='nuts'"
    if diagnostics.get("target_accept", 0.0) >= _CAREFUL:
        return "fewer experts"
    depth = diagnostics.get("max_tree_depth", np.nan)
    steps = diagnostics.get("mean_n_steps", np.nan)
    # Shorter steps need longer trajectories. Truncated at the same depth, they mixed eight times
    # worse on the Energy data; with two more levels, they mixed as well as before.
    cut_off = "thinning" in diagnostics and steps > 0.5 * 2.0**depth
    options = f" with inference_options={{'maxdepth': {depth + 2:.0f}}}" if cut_off else ""
    return f"target_accept={_CAREFUL}{options}"


def _of_separate_modes(diagnostics: dict) -> str | None:
    clusters, weight = diagnostics["chain_clusters"], diagnostics["cluster_weight"]
    if len(clusters) == 1 or stands_still(diagnostics) or _is_approximation(diagnostics):
        return None
    described = "; ".join(
        f"chains {chains} with weight {part:.2f} (leave-one-out log density {elpd:.1f})"
        for chains, part, elpd in zip(clusters, weight, diagnostics["cluster_elpd"], strict=True)
    )
    remedy = f"fewer experts{_more_gradients(diagnostics)} or another random_state"
    if _chains_are_short(diagnostics):
        remedy = "inference='nuts' to report coefficients or their intervals, or fewer experts"
    return (
        f"Chains settled in {len(clusters)} groups, or chain clusters, that "
        f"disagree (R-hat {beyond(diagnostics['rhat'], MAX_RHAT, 2)}): {described}. Predictions "
        f"are weighted by stacking; coefficients and summary() are those of the first cluster. "
        f"Try {remedy}."
    )


def _more_gradients(diagnostics: dict) -> str:
    """A remedy, if sampling stopped because of its budget of gradients."""
    if not diagnostics.get("max_gradients_reached", False):
        return ""
    more = int(float(f"{3 * diagnostics['n_gradients']:.0e}"))  # one digit; an integer is required
    return f", inference_options={{'max_gradients': {more:_}}}"


def _of_mixing(diagnostics: dict) -> str | None:
    if stands_still(diagnostics):
        return (
            f"Chain(s) {diagnostics['still_chains']} did not move in any of "
            f"{diagnostics['n_draws']} draws: warm-up was too short to adapt the step size. "
            "Increase tune (500 by default)."
        )
    if cannot_tell(diagnostics):
        what, remedy = "whether chains mix", "more tune and draws"
        if _is_approximation(diagnostics):
            what, remedy = "how good they are", "more draws"
        return (
            f"{_n_draws(diagnostics)} draw(s) are too few to tell {what} (wanted: an effective "
            f"sample size of at least {MIN_ESS:.0f}). Use {remedy}."
        )
    if _chains_are_short(diagnostics) and len(diagnostics["chain_clusters"]) > 1:
        return None  # as chains from separate modes do; another warning says so
    failed = []
    # Normals at different modes differ however many draws there are: another warning says so
    modes_differ = _is_approximation(diagnostics) and approximates_badly(diagnostics)
    disagree = diagnostics["rhat_within"] > MAX_RHAT and not modes_differ
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
        return None
    what = "Chains mix slowly"
    remedy = f"more tune and draws{_more_gradients(diagnostics)}, or fewer experts"
    if _is_approximation(diagnostics):
        what, remedy = "Draws of the approximation are too few", "more draws"
    elif _chains_are_short(diagnostics):
        remedy = "inference='nuts', or fewer experts"
    if disagree and not _is_approximation(diagnostics):
        what = "Chains disagree" if diagnostics["n_chains"] > 1 else "The chain drifts"
    return (
        f"{what}: {' and '.join(failed)}, over the log posterior and the predictions at "
        f"{N_ANCHORS} rows.{_of_predictions(diagnostics)} Try {remedy}; see diagnostics_."
    )


def _of_predictions(diagnostics: dict) -> str:
    error = diagnostics.get("predictive_error", np.nan)  # missing in older files
    if not error <= _SMALL_ERROR:
        return ""
    return (
        f" Predictions hardly depend on that: their Monte Carlo error is {error:.3f} predictive "
        "standard deviations; coefficients may."
    )


def _of_approximation(diagnostics: dict) -> str | None:
    if not approximates_badly(diagnostics):
        return None
    several = ""
    if len(diagnostics["chain_clusters"]) > 1:
        several = (
            f" Predictions weight its {len(diagnostics['chain_clusters'])} modes by stacking; "
            "coefficients and summary() are those of the first."
        )
    return (
        "The approximation is far from the posterior: Pareto k-hat "
        f"{beyond(diagnostics['pareto_k'], MAX_PARETO_K, 2)} (wanted: at most {MAX_PARETO_K}), so "
        f"importance weights cannot correct it.{several} Use inference='nuts' to report "
        "coefficients or their intervals."
    )


def _of_collapsed(diagnostics: dict) -> str | None:
    share, collapsed = diagnostics["expert_share"], collapsed_experts(diagnostics)
    if not collapsed:
        return None
    shares = ", ".join(beyond(part, MIN_SHARE, 3) for part in share)
    return (
        f"Expert(s) {collapsed} account for less than {MIN_SHARE:.0%} of the data "
        f"(shares: [{shares}]). The data do not support this number of experts: "
        f"try n_experts={max(1, len(share) - len(collapsed))}, or merge_experts()."
    )


def _of_out_of_range(diagnostics: dict) -> str | None:
    loss = diagnostics.get("out_of_range_r2_loss", np.zeros(0))  # missing in older files
    experts = np.flatnonzero(loss > MAX_R2_LOSS)
    if not experts.size:
        return None
    n_rows, row = diagnostics["out_of_range_rows"], diagnostics["out_of_range_worst_row"]
    weight, mean = diagnostics["out_of_range_weight"], diagnostics["out_of_range_mean"]
    described = "; ".join(
        f"expert {k} at {n_rows[k]} row(s), with a weight of up to {weight[k]:.0%} and a mean of "
        f"{mean[k]:.4g} (row {row[k]})"
        for k in experts
    )
    return (
        "Experts predict far outside the range of the target, by more than its width, at rows "
        f"where they have more than {MAX_WEIGHT_FAR:.0%} of the weight: {described}. This pulls "
        "the predictive mean, and thus predict() and score(), away from the targets, by about "
        f"{loss[experts].sum():.2g} of R2. predict_dist(X).median() is a better point "
        "prediction; or refit with another random_state, and compare by loo()."
    )


_MESSAGES: dict[type[Warning], Callable[[dict], str | None]] = {
    DivergenceWarning: _of_divergences,
    SeparateModesWarning: _of_separate_modes,
    ChainMixingWarning: _of_mixing,
    PoorApproximationWarning: _of_approximation,
    CollapsedExpertWarning: _of_collapsed,
    ExpertOutOfRangeWarning: _of_out_of_range,
}
