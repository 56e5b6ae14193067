"""Convergence diagnostics, and how the experts are used."""

from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy import special

from skcocoafuse.evaluation.stacking import weigh_clusters
from skcocoafuse.model import forward
from skcocoafuse.model.chunks import map_chunks
from skcocoafuse.model.design import Scale
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.model.parameters import Parameters
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.clusters import invariants, predictive_error
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.monte_carlo import (
    ess,
    ess_of_resampled,
    rhat,
)

_MAX_INDEPENDENT = 250  # draws per chain that R-hat is computed from, if they are independent
# An expert whose mean is a width of the target's range outside that range is two widths or so
# from the targets around: with 1% of the weight it moves the predictive mean by 2% of the range.
# At a few rows that is within the noise; losing a hundredth of the target's variance is reported.
_DRAWS_USED = 10, 100  # fewest and most draws to see how experts are used
_MAX_MIXTURES = 1_000_000  # of draws and rows, beyond the fewest draws: seconds without a gain
_FAR = 1.0  # widths of the range
MAX_WEIGHT_FAR = 0.01  # of an expert there, at a row
MAX_R2_LOSS = 0.01  # of the target's variance
#: Scale of a target in standardized units.
STANDARDIZED = Scale(np.zeros(()), np.ones(()))


def judge(
    problem: Problem,
    posterior: Posterior,
    seconds: dict[str, float],
    independent: bool,
    target: Scale = STANDARDIZED,
    cores: int = 1,
) -> tuple[Posterior, dict]:
    """The posterior with weighted clusters, and the results of :func:`diagnose`."""
    looked_at = posterior.shortened(_MAX_INDEPENDENT) if independent else posterior
    quantities = invariants(problem, looked_at)
    overall_rhat = rhat(quantities)
    posterior = weigh_clusters(problem, posterior, quantities, overall_rhat, cores)
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
    """Convergence diagnostics, and how the experts are used.

    Convergence is assessed on quantities that do not depend on expert labels: the log
    posterior, and the log density, mean and variance of the predictive distribution at
    ten rows.

    Parameters
    ----------
    problem : Problem
    posterior : Posterior
    quantities : ndarray of shape (chains, draws, quantities)
        From :func:`skcocoafuse.posterior.clusters.invariants`.
    overall_rhat : ndarray of shape (quantities,)
        Their R-hat over all chains.
    seconds : dict of str to float
    independent : bool, default=False
        Whether draws of a chain are independent; the effective sample size is then computed from
        the number of distinct draws.
    target : Scale
        Scale of the target, for results in its units; standardized units by default.

    Returns
    -------
    dict
        ``rhat``: the worst over all invariants, NaN for a single draw;
        ``rhat_log_posterior``; ``rhat_within`` and ``ess``: the worst within a cluster;
        ``predictive_error``: the Monte Carlo error of predictions within a cluster, in predictive
        standard deviations; ``still_chains``: chains that never moved;
        ``chain_clusters``: lists of chains that agree, heaviest first, with ``cluster_weight``
        (their weight in predictions) and ``cluster_elpd`` (leave-one-out log density of the
        target in its units, as in ``loo()``); ``n_divergences``; ``mean_n_steps``,
        ``max_tree_depth`` (NaN if unknown); ``expert_share``: ndarray of shape
        (n_experts,), the share of the data each expert accounts for, summing to one;
        ``n_effective_experts``: the exponential of the entropy of the shares (Hill number of
        order 1), from 1 to n_experts, the latter for equal shares; for each expert
        ``out_of_range_rows``, the largest ``out_of_range_weight``, the row where it occurs, the
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
    log_scale = problem.rows.total_weight * np.log(target.scale)
    return {
        "rhat": _worst(np.nanmax, overall_rhat),
        "rhat_log_posterior": float(overall_rhat[0]),
        "rhat_within": _worst(np.nanmax, rhat_within),
        "ess": _worst(np.nanmin, ess_within),
        "predictive_error": predictive_error(quantities, clusters),
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
    """Chains of several draws that are all equal: no step was ever accepted."""
    if posterior.n_draws == 1:
        return []
    return np.flatnonzero(np.ptp(posterior.log_posterior, axis=1) == 0.0).tolist()


class OutOfRange(NamedTuple):
    """Where the mean of an expert, after fusion, is far outside the range of the target.

    Far means by more than the width of that range. Arrays (n_experts,). ``n_rows``: number of rows
    of the fit where such draws of the expert have more than 1% of the weight; ``weight``: their
    largest weight, at row ``row``, and ``mean``: their mean there (NaN and -1 for an expert that
    is never outside). ``r2_loss``: the squared shift of the predictive mean that they alone cause
    at those rows, over the variance of the target.
    """

    n_rows: np.ndarray
    weight: np.ndarray
    row: np.ndarray
    mean: np.ndarray
    r2_loss: np.ndarray


def use_of_experts(problem: Problem, posterior: Posterior) -> tuple[np.ndarray, OutOfRange]:
    """Share of the data each expert accounts for, and where it is out of range.

    The share, (n_experts,), is the mean responsibility, weighted by row.
    """
    rows, (least, most) = problem.rows, _DRAWS_USED
    thinned = posterior.thinned(max(least, min(most, _MAX_MIXTURES // rows.n_rows)))
    lows, highs = zip(*rows.map(_range_of_targets), strict=True)
    low, high = min(lows), max(highs)
    far = _FAR * (high - low)
    given = posterior.spec, thinned, low - far, high + far, rows.total_weight
    use = reduce(_Use.followed_by, rows.map(_use_in_part, *given))
    outside = OutOfRange(
        n_rows=use.n_far,
        weight=use.weight,
        row=use.row,
        mean=use.mean,
        r2_loss=use.pull / use.variance,
    )
    return use.share, outside


def _range_of_targets(part) -> tuple[float, float]:
    """The smallest and largest target of positive weight."""
    low, high = np.inf, -np.inf
    for _, rows in part.parts():
        y = rows.y[rows.weight > 0]
        low, high = min(low, y.min(initial=np.inf)), max(high, y.max(initial=-np.inf))
    return low, high


class _Use(NamedTuple):
    """How experts are used in some of the rows; shares of weight are those of all rows.

    ``n_rows``, share of weight ``total``, ``average`` and sum of squares ``variance`` of the
    target; the others as in :class:`OutOfRange`, with ``pull`` for the sum of squared shifts.
    """

    n_rows: int
    total: float
    average: float
    variance: float
    share: np.ndarray
    n_far: np.ndarray
    weight: np.ndarray
    row: np.ndarray
    mean: np.ndarray
    pull: np.ndarray

    @classmethod
    def nothing(cls, n_experts: int) -> "_Use":
        """The use in no rows."""
        zeros, nowhere = np.zeros(n_experts), np.full(n_experts, -1)
        far = np.zeros(n_experts, dtype=int)
        return cls(0, 0.0, 0.0, 0.0, zeros, far, zeros, nowhere, np.full(n_experts, np.nan), zeros)

    def followed_by(self, other: "_Use") -> "_Use":
        """The use in these rows and in those that follow."""
        total = self.total + other.total
        gap, ratio = other.average - self.average, other.total / total if total else 0.0
        later = other.weight > self.weight
        return _Use(
            self.n_rows + other.n_rows,
            total,
            self.average + gap * ratio,
            self.variance + other.variance + gap**2 * self.total * ratio,
            self.share + other.share,
            self.n_far + other.n_far,
            np.where(later, other.weight, self.weight),
            np.where(later, self.n_rows + other.row, self.row),
            np.where(later, other.mean, self.mean),
            self.pull + other.pull,
        )


def _use_in_part(part, spec, draws: Parameters, low: float, high: float, total: float) -> _Use:
    """The use of experts in a part of the rows; outside is below ``low`` and above ``high``."""

    def use(_, rows):
        mixture = mixture_of(spec, draws, rows)
        y, share = rows["y"], rows["weight"] / total
        responsibility = forward.responsibilities(mixture, y).mean(axis=0)
        outside = (mixture.mean < low) | (mixture.mean > high)
        far = np.where(outside, np.exp(mixture.log_weight), 0.0)
        weight = np.where(share[:, None] > 0, far.mean(axis=0), 0.0)
        shift = (far * mixture.mean).mean(axis=0)
        row = weight.argmax(axis=0)
        most, experts = weight.max(axis=0), np.arange(weight.shape[1])
        never = most == 0.0
        counted = weight > MAX_WEIGHT_FAR
        pull = np.where(counted, shift - weight * y[:, None], 0.0)
        average = share @ y / share.sum() if share.any() else 0.0
        return _Use(
            len(y),
            share.sum(),
            average,
            share @ (y - average) ** 2,
            share @ responsibility,
            counted.sum(axis=0),
            most,
            np.where(never, -1, row),
            np.where(never, np.nan, shift[row, experts] / np.where(never, 1.0, most)),
            share @ pull**2,
        )

    found = []
    for _, rows in part.parts():
        arrays = {**rows.designs, "y": rows.y, "weight": rows.weight}
        found += map_chunks(use, arrays, draws.sigma.size)
    return reduce(_Use.followed_by, found, _Use.nothing(spec.n_experts))
