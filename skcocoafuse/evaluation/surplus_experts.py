"""Surplus experts: those that the posterior does not separate, and the result of merging them.

Two experts that agree in intercept, slopes, residual standard deviation and gate slopes have
gates in a constant ratio, and one expert with the sum of both gates gives the same density, for
every beta. Experts on the same line with different gates may both be needed (left and right of a
third), so gate slopes are compared; gate intercepts are not.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import squareform

from skcocoafuse.evaluation import elpd, fit_warnings
from skcocoafuse.evaluation.elpd import Difference, LooResult, difference
from skcocoafuse.model.parameters import Parameters
from skcocoafuse.posterior.fit import Fit
from skcocoafuse.posterior.relabel import anchor_responsibilities

_DRAWS_PER_NUMBER = 10  # of a covariance matrix
_ROUNDING = 1e-12  # relative to a number, or to the largest eigenvalue: negligible

Groups = tuple[tuple[int, ...], ...]


def separation(draws: Parameters) -> np.ndarray:
    """How clearly the posterior separates each pair of experts, between 0 and 1.

    The probability of the smallest region of their posterior differences that contains zero, where
    regions are ellipsoids around the mean with the covariance of the draws.

    Parameters
    ----------
    draws : Parameters
        With one leading draw axis and consistently labeled experts.

    Returns
    -------
    ndarray of shape (n_experts, n_experts)
        Symmetric, 0 on the diagonal; invariant to the units of inputs and target.

    Raises
    ------
    ValueError
        If there are fewer than ten draws for each number that differs.

    References
    ----------
    Box and Tiao (1973), "Bayesian Inference in Statistical Analysis", on regions of highest
    posterior density: a value is judged by the content of the region that just reaches it. That
    regions are ellipsoids, as for Normal posteriors, is an approximation.
    """
    numbers = np.concatenate(
        [
            draws.expert_intercept[..., None],
            draws.expert_coef,
            np.log(draws.sigma)[..., None],
            draws.noise_coef,
            draws.gate_coef,
        ],
        axis=-1,
    )
    n_draws, n_experts, n_numbers = numbers.shape
    needed = _DRAWS_PER_NUMBER * n_numbers
    if n_draws < needed:
        raise ValueError(
            f"merge_experts() needs draws from the posterior, at least {needed}: ten for each of "
            f"the {n_numbers} numbers in which two experts may differ; got {n_draws} "
            "(inference='map' keeps only 1). Fit with inference='nuts', or with more draws."
        )
    found = np.zeros((n_experts, n_experts))
    for j, k in combinations(range(n_experts), 2):
        one, other = numbers[:, j], numbers[:, k]
        gap = np.where(np.isclose(one, other, rtol=_ROUNDING, atol=_ROUNDING), 0.0, one - other)
        found[j, k] = found[k, j] = _nearer_than_zero(gap)
    return found


def _nearer_than_zero(x: np.ndarray) -> float:
    """Share of draws x (draws, numbers) closer to their mean m, by Mahalanobis distance, than 0.

    With A the mean of x x^T, c = m^T A^-1 x and t = m^T A^-1 m, the Sherman-Morrison formula
    for A - m m^T makes that (1 - t) x^T A^-1 x + (1 - c)^2 < 1. Unlike the covariance, A also
    serves numbers that are the same in all draws.
    """
    size = np.sqrt((x**2).mean(axis=0))
    x = x / np.where(size > 0, size, 1.0)
    metric = np.linalg.pinv(x.T @ x / len(x), rcond=_ROUNDING, hermitian=True)
    toward = metric @ x.mean(axis=0)
    c = x @ toward
    nearer = (1.0 - c.mean()) * ((x @ metric) * x).sum(axis=1) + (1.0 - c) ** 2 < 1.0
    return float(nearer.mean())


def groups_of(
    separated: np.ndarray, share: np.ndarray, coverage: float, min_share: float
) -> Groups:
    """Groups of experts to merge, as tuples; unused experts are in no group.

    By complete linkage: within a group, no two experts are separated.

    Parameters
    ----------
    separated : ndarray of shape (n_experts, n_experts)
        From :func:`separation`.
    share : ndarray of shape (n_experts,)
        Share of the data each accounts for.
    coverage : float
        Experts with a larger separation are separated.
    min_share : float
        Experts with a smaller share are unused, except the one with the largest share.
    """
    used = np.flatnonzero(share >= min(min_share, share.max()))
    if len(used) == 1:
        return ((int(used[0]),),)
    tree = linkage(squareform(separated[np.ix_(used, used)]), method="complete")
    label = fcluster(tree, coverage, criterion="distance")
    groups = [tuple(used[label == each].tolist()) for each in np.unique(label)]
    return tuple(sorted(groups))


def in_order_of(groups: Groups, before: np.ndarray, after: np.ndarray) -> Groups:
    """The groups in the order of the new experts that account for most of the same rows.

    Parameters
    ----------
    groups : tuple of tuple of int
    before : ndarray of shape (rows, experts)
        Responsibilities of the experts that are in groups.
    after : ndarray of shape (rows, groups)
        Responsibilities of the new experts, one per group.
    """
    joined = np.stack([before[:, list(group)].sum(axis=1) for group in groups], axis=1)
    _, order = linear_sum_assignment(after.T @ joined, maximize=True)
    return tuple(groups[k] for k in order)


@dataclass(frozen=True, eq=False)
class MergeResult:
    """Result of ``merge_experts()`` of a fitted regressor.

    Parameters
    ----------
    estimator : estimator
        Fitted to the same rows with one expert per group; the original estimator itself if every
        expert is needed.
    groups : tuple of tuple of int
        For each expert of ``estimator``, the former experts it replaces.
    separation : ndarray of shape (n_experts, n_experts)
        How clearly the posterior separates each pair of former experts, from 0 (copies) to 1;
        within a group at most the requested ``coverage``.
    share : ndarray of shape (n_experts,)
        Share of the data that each former expert accounts for.
    loo_before, loo_after : LooResult
        Leave-one-out cross-validation with all experts, and of ``estimator``.

    Examples
    --------
    >>> from skcocoafuse import MoERegressor
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(100, random_state=0)
    >>> model = MoERegressor(2, draws=300, chains=2, random_state=0).fit(X, y)
    >>> result = model.merge_experts()
    >>> result.changed, result.groups, result.pruned, result.separation.shape
    (False, ((0,), (1,)), (), (2, 2))
    """

    estimator: Any
    groups: Groups
    separation: np.ndarray
    share: np.ndarray
    loo_before: LooResult
    loo_after: LooResult

    @property
    def told_apart(self) -> np.ndarray:
        """Former name of ``separation``."""
        warnings.warn(
            "MergeResult.told_apart is now separation; the old name will be removed.",
            FutureWarning,
            stacklevel=2,
        )
        return self.separation

    @property
    def changed(self) -> bool:
        """Whether there are fewer experts than before."""
        return len(self.groups) < len(self.share)

    @property
    def pruned(self) -> tuple[int, ...]:
        """Former experts in no group: they accounted for almost none of the data."""
        return tuple(sorted(set(range(len(self.share))) - {k for g in self.groups for k in g}))

    @property
    def difference(self) -> Difference:
        """The elpd of ``loo_after`` minus that of ``loo_before``, with paired standard error."""
        return difference(self.loo_after, self.loo_before)

    def __repr__(self) -> str:
        lines = [f"MergeResult: {len(self.share)} experts, {len(self.groups)} after merging"]
        for now, group in enumerate(self.groups):
            line = f"  expert {now}: was {', '.join(map(str, group))}"
            if len(group) > 1:
                surest = self.separation[np.ix_(group, group)].max()
                line += f" (separated with probability {surest:.2f} at most)"
            lines.append(line)
        lines += [f"  pruned: {k}, with {self.share[k]:.1%} of the data" for k in self.pruned]
        gap = self.difference
        lines.append(
            f"  elpd: {self.loo_before.elpd:.1f} before, {self.loo_after.elpd:.1f} after "
            f"(difference {gap.elpd:+.1f}, se {gap.se:.1f})"
        )
        return "\n".join(lines)


def merge(
    estimator, refit: Callable[[int], Any], coverage: float, min_share: float, stacklevel: int
) -> MergeResult:
    """Refit with only as many experts as the posterior needs, and compare.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    refit : callable
        ``refit(n_experts)`` returns an estimator fitted to the same rows.
    coverage, min_share : float
        As in :func:`groups_of`.
    stacklevel : int
        Of warnings about both fits; 1 is this function.
    """
    fit = estimator.fitted_
    separated = separation(fit.posterior.main_cluster().flat())
    share = fit.diagnostics["expert_share"]
    groups = groups_of(separated, share, coverage, min_share)
    before = elpd.of_fit(fit, n_jobs=estimator.n_jobs)
    merged, after = estimator, before
    if len(groups) < len(share):
        merged = refit(len(groups))
        groups = in_order_of(groups, _on_anchors(fit), _on_anchors(merged.fitted_))
        fit_warnings.warn(merged.diagnostics_, stacklevel + 1)
        after = elpd.of_fit(merged.fitted_, n_jobs=estimator.n_jobs)
        elpd.warn(after, stacklevel + 1, model=" after merging")
    elpd.warn(before, stacklevel + 1, model=" before merging")
    return MergeResult(merged, groups, separated, share, before, after)


def _on_anchors(fit: Fit) -> np.ndarray:
    """Posterior mean responsibilities at some rows, (rows, n_experts)."""
    flat = fit.posterior.main_cluster().flat()
    return anchor_responsibilities(fit.problem, flat)[0].mean(axis=0)
