"""Expected log predictive density: a sum over rows, its standard error and lower bounds."""

import warnings
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from scipy import special

from skcocoafuse._validation import check_probability, cores_for
from skcocoafuse.evaluation import fit_warnings, verdicts
from skcocoafuse.evaluation.loo import leave_one_out_of_mixture
from skcocoafuse.evaluation.tables import Tabular
from skcocoafuse.exceptions import InfluentialRowsWarning, beyond
from skcocoafuse.model.design import Scale
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.fit import Fit
from skcocoafuse.posterior.monte_carlo import LEAST_DRAWS, trusted_pareto_k

# standard errors below the estimate, by name
_DISTANCE = {
    "chebyshev": lambda confidence: 1.0 / np.sqrt(1.0 - confidence),
    "cantelli": lambda confidence: np.sqrt(confidence / (1.0 - confidence)),
    "normal": special.ndtri,
}
_NAMED_ROWS = 5  # in a warning
_MANY_BAD_ROWS = 0.01  # share of the rows from which a warning is given


def sum_and_error(values: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Sum over rows and its standard error; a weight is a number of identical rows.

    The standard error is sqrt(N * variance of the values), with N the sum of the weights.

    References
    ----------
    Vehtari, Gelman and Gabry (2017), Statistics and Computing 27, section 5.
    """
    total = float(weight @ values)
    return total, float(np.sqrt(weight @ (values - total / weight.sum()) ** 2))


def lower_bound(estimate, error, confidence=0.95, kind="chebyshev"):
    r"""Lower confidence bound of an estimate.

    Parameters
    ----------
    estimate, error : float or ndarray
        The estimate and its standard error.
    confidence : float or list of float, default=0.95
        Strictly between 0 and 1.
    kind : {"chebyshev", "cantelli", "normal"}, default="chebyshev"
        ``estimate - k * error``, where k is :math:`1 / \sqrt{1 - c}`,
        :math:`\sqrt{c / (1 - c)}`, or the c-quantile of a standard normal distribution.

    Returns
    -------
    float, or ndarray of the shape of ``confidence``

    Raises
    ------
    ValueError
        For an unknown kind, or a confidence that is not strictly between 0 and 1.
    """
    if kind not in _DISTANCE:
        raise ValueError(f"kind must be one of {list(_DISTANCE)}; got {kind!r}.")
    bound = estimate - _DISTANCE[kind](check_probability(confidence, "confidence")) * error
    return float(bound) if np.ndim(bound) == 0 else bound


@dataclass(frozen=True)
class Difference:
    """Difference of two models' elpd on the same rows, with its paired standard error.

    Parameters
    ----------
    elpd : float
        Log density of all rows under one model minus that under the other.
    se : float
        Its standard error: the square root of n times the variance of the rows' differences.
    """

    elpd: float
    se: float

    def lower_bound(self, confidence=0.95, kind="chebyshev"):
        """Lower confidence bound of the difference; as :meth:`.LooResult.lower_bound`."""
        return lower_bound(self.elpd, self.se, confidence, kind)


@dataclass(frozen=True, eq=False)
class LooResult(Tabular):
    """Leave-one-out cross-validation of a fitted regressor.

    Returned by ``loo()``. Log densities are in nats, for the target in its original units; greater
    is better. A row's weight is a number of identical rows, one of which is left out at a time;
    rows of weight 0 have entries, but are excluded from all sums.

    Parameters
    ----------
    pointwise : ndarray of shape (n_samples,)
        Log density of each row given all others.
    in_sample : ndarray of shape (n_samples,)
        Log density of each row given all rows, itself included.
    pareto_k : ndarray of shape (n_samples,)
        Tail shape of each row's importance weights: above ``k_threshold``, the row's estimates
        are unreliable. 0 for rows that were refitted.
    pit : ndarray of shape (n_samples,)
        Probability of a target below the observed one, given all other rows; uniform on (0, 1)
        if predictions are calibrated.
    y : ndarray of shape (n_samples,)
        The targets.
    weight : ndarray of shape (n_samples,)
        ``sample_weight`` of the fit.
    refitted : ndarray of bool, shape (n_samples,)
        Rows whose estimates come from a fit without them, not from importance weights.
    n_draws : int
        Number of posterior draws used.
    k_threshold : float
        min(1 - 1 / log10(S), 0.7) for S draws (of the smallest chain cluster, if there are
        several).
    converged : bool
        Whether the fit (and each refit) passed the convergence checks of ``fit``.

    References
    ----------
    Vehtari, Gelman and Gabry (2017), "Practical Bayesian model evaluation using
    leave-one-out cross-validation and WAIC", Statistics and Computing 27.
    Vehtari, Simpson, Gelman, Yao and Gabry (2024), "Pareto smoothed importance sampling",
    JMLR 25.

    Examples
    --------
    >>> from skcocoafuse import MoERegressor
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(100, random_state=0)
    >>> result = MoERegressor(inference="vi", random_state=0).fit(X, y).loo()
    >>> result.pointwise.shape, result.pit.shape, result.n_rows
    ((100,), (100,), 100)
    >>> result.lower_bound(0.9) < result.lower_bound(0.9, kind="cantelli") < result.elpd
    True
    """

    pointwise: np.ndarray
    in_sample: np.ndarray
    pareto_k: np.ndarray
    pit: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    refitted: np.ndarray
    n_draws: int
    k_threshold: float
    converged: bool

    @property
    def elpd(self) -> float:
        """Expected log predictive density: the weighted sum of ``pointwise``."""
        return sum_and_error(self.pointwise, self.weight)[0]

    @property
    def se(self) -> float:
        """Standard error of ``elpd`` as an estimate for new data, from the variance over rows."""
        return sum_and_error(self.pointwise, self.weight)[1]

    @property
    def p_loo(self) -> float:
        """Effective number of parameters: the sum of ``in_sample - pointwise``, by weight."""
        return sum_and_error(self.in_sample - self.pointwise, self.weight)[0]

    @property
    def n_rows(self) -> int:
        """Number of rows with a positive weight."""
        return int((self.weight > 0).sum())

    @property
    def bad_rows(self) -> np.ndarray:
        """Indices of rows of positive weight whose ``pareto_k`` is above ``k_threshold``."""
        return np.flatnonzero((self.weight > 0) & (self.pareto_k > self.k_threshold))

    @property
    def table(self):
        """One row per row of the fit, in its order.

        Returns
        -------
        pandas.DataFrame
            ``y``, ``pointwise``, ``in_sample``, ``pareto_k``, ``pit``, ``weight`` and ``refitted``,
            as described above.
        """
        import pandas as pd

        names = ("y", "pointwise", "in_sample", "pareto_k", "pit", "weight", "refitted")
        return pd.DataFrame({name: getattr(self, name) for name in names}).rename_axis("row")

    def lower_bound(self, confidence=0.95, kind="chebyshev"):
        r"""Lower confidence bound of the elpd, ``elpd - k * se``.

        Parameters
        ----------
        confidence : float or list of float, default=0.95
            Strictly between 0 and 1; c below.
        kind : {"chebyshev", "cantelli", "normal"}, default="chebyshev"
            Chebyshev's inequality, :math:`k = 1 / \sqrt{1 - c}`, this project's interpretation of
            arXiv 2505.01105; Cantelli's one-sided inequality, :math:`k = \sqrt{c / (1 - c)}`,
            whose bound is never lower; or the quantile of a normal distribution,
            :math:`k = \Phi^{-1}(c)`, which assumes that the sum is approximately normal.

        Returns
        -------
        float, or ndarray of the shape of ``confidence``

        Raises
        ------
        ValueError
            For an unknown kind, or a confidence that is not strictly between 0 and 1.
        """
        return lower_bound(self.elpd, self.se, confidence, kind)

    def __repr__(self) -> str:
        return (
            f"LooResult(elpd={self.elpd:.1f}, se={self.se:.1f}, p_loo={self.p_loo:.1f}; "
            f"{self.n_rows} rows, {self.n_draws} draws, {len(self.bad_rows)} bad Pareto k, "
            f"{int(self.refitted.sum())} refitted)"
        )


def difference(one: LooResult, two: LooResult) -> Difference:
    """Difference of two models' elpd on the same rows, with the paired standard error."""
    counts, same = one.weight > 0, two.weight > 0
    gap = one.pointwise[counts] - two.pointwise[same]
    return Difference(*sum_and_error(gap, one.weight[counts]))


def of_fit(fit: Fit, max_draws: int | None = None, n_jobs: int | None = None) -> LooResult:
    """Leave-one-out cross-validation of a fit.

    Parameters
    ----------
    fit : Fit
    max_draws : int or None
        Maximum number of draws to use; None for all.
    n_jobs : int or None
        Number of threads.

    Raises
    ------
    ValueError
        If the draws do not represent the posterior, or ``max_draws`` is below 25.
    """
    verdicts.check_posterior(
        fit.diagnostics,
        "loo()",
        "or score held-out rows: cross_validate with skcocoafuse.metrics.SCORERS",
    )
    return estimate(
        fit.problem,
        fit.posterior,
        fit.target,
        verdicts.converged(fit.diagnostics),
        max_draws,
        cores_for(n_jobs, fit.problem.rows.n_rows),
    )


def estimate(
    problem: Problem,
    posterior: Posterior,
    target: Scale,
    converged: bool,
    max_draws: int | None = None,
    cores: int = 1,
) -> LooResult:
    """Leave-one-out cross-validation of a problem, in units of the target.

    Parameters
    ----------
    problem : Problem
    posterior : Posterior
        Given all rows of the problem.
    target : Scale
        Scale of the target; its density is that of the standardized one divided by the scale.
    converged : bool
    max_draws : int or None
        Maximum number of draws to use; None for all.
    cores : int, default=1
        Number of threads.

    Raises
    ------
    ValueError
        If ``max_draws`` is below 25.
    """
    if max_draws is not None and not (isinstance(max_draws, Integral) and max_draws >= LEAST_DRAWS):
        raise ValueError(
            f"max_draws must be None or an integer of at least {LEAST_DRAWS}, so that Pareto k-hat "
            f"can be estimated; got {max_draws!r}."
        )
    found, n_draws, n_least = leave_one_out_of_mixture(problem, posterior, max_draws, cores)
    log_scale = float(np.log(target.scale))
    return LooResult(
        pointwise=found.log_density - log_scale,
        in_sample=found.in_sample - log_scale,
        pareto_k=found.pareto_k,
        pit=found.pit,
        y=target.undo(problem.y),
        weight=problem.weight,
        refitted=np.zeros(problem.rows.n_rows, dtype=bool),
        n_draws=n_draws,
        k_threshold=trusted_pareto_k(n_least),
        converged=converged,
    )


def warn(result: LooResult, stacklevel: int, model: str = "") -> None:
    """Warn if the estimates of many rows are unreliable; ``model`` names the model.

    If there are fewer than one in a hundred, only ``bad_rows`` of the result lists them.
    """
    bad = result.bad_rows
    if fit_warnings.warnings_are_off():
        return
    if bad.size < _MANY_BAD_ROWS * result.n_rows or not bad.size:
        return
    worst = bad[np.argsort(-result.pareto_k[bad], kind="stable")]
    named = ", ".join(map(str, worst[:_NAMED_ROWS])) + (", ..." if bad.size > _NAMED_ROWS else "")
    largest, most = result.pareto_k[worst[0]], result.k_threshold
    warnings.warn(
        f"Leave-one-out estimates of {bad.size} of {result.n_rows} rows{model} are unreliable: "
        f"their Pareto k-hat is above {beyond(most, largest, 2)} (largest: "
        f"{beyond(largest, most, 2)}; rows {named}), "
        "so elpd is probably too high. "
        f"loo(reloo=True) refits without each of them ({bad.size} fits).",
        InfluentialRowsWarning,
        stacklevel=stacklevel,
    )
