"""Model comparison by leave-one-out cross-validation."""

from dataclasses import dataclass, replace
from itertools import pairwise
from numbers import Real

import numpy as np

from skcocoafuse._cached import cached_property
from skcocoafuse.evaluation import elpd
from skcocoafuse.evaluation.elpd import Difference, LooResult
from skcocoafuse.evaluation.fit_warnings import without_warnings
from skcocoafuse.evaluation.stacking import stacking_weights
from skcocoafuse.evaluation.tables import Tabular
from skcocoafuse.predictive.target import TargetMap
from skcocoafuse.predictive.wrappers import unwrap

_SAME_TARGET = 1e-6  # relative to a target: what a transformation and its inverse may lose


def loo(estimator, *, reloo=False, max_draws=None) -> LooResult:
    """Leave-one-out cross-validation of an estimator, alone or inside meta-estimators.

    Parameters
    ----------
    estimator : estimator
        Fitted; a regressor of this package, possibly nested in ``Pipeline``, ``GridSearchCV``
        (anything with a ``best_estimator_``) and ``TransformedTargetRegressor``. Preceding steps
        are not refitted: they keep what they learned from a left-out row.
    reloo : bool, default=False
    max_draws : int, optional
        As in the estimators' ``loo``.

    Returns
    -------
    LooResult
        With a ``TransformedTargetRegressor``, in units of the original target, so that it can be
        compared with models of that target.

    Warns
    -----
    InfluentialRowsWarning
        If the importance weights of at least 1% of the rows are unreliable.

    Raises
    ------
    TypeError
        If no estimator inside has ``loo``, or the derivative of a target transformer is unknown.
    ValueError
        As in the estimators' ``loo``.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skcocoafuse import MoERegressor, loo
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(100, random_state=0)
    >>> pipe = make_pipeline(StandardScaler(), MoERegressor(inference="vi", random_state=0))
    >>> loo(pipe.fit(X, y)).n_rows
    100
    """
    result = loo_result(estimator, reloo=reloo, max_draws=max_draws)
    elpd.warn(result, stacklevel=3)
    return result


def loo_result(estimator, **options) -> LooResult:
    """As :func:`loo`, without warnings."""
    inside = unwrap(estimator, "loo", "leave-one-out densities")
    with without_warnings():
        result = inside.estimator.loo(**options)
    for transformer in reversed(inside.of_target):
        result = _behind(result, TargetMap(transformer))
    return result


def regressor_inside(estimator):
    """The fitted regressor of this package inside an estimator."""
    return unwrap(estimator, "fitted_", "leave-one-out densities").estimator


def _behind(inner: LooResult, target: TargetMap) -> LooResult:
    """A result in units of the original target, from one for the transformed target."""
    y = target.backward(inner.y)
    slope = target.log_slope(y)
    is_decreasing = target.range_around(inner.y, inner.y.min(), inner.y.max()).is_decreasing
    return replace(
        inner,
        pointwise=inner.pointwise + slope,
        in_sample=inner.in_sample + slope,
        pit=1.0 - inner.pit if is_decreasing else inner.pit,
        y=y,
    )


@dataclass(frozen=True, eq=False)
class Comparison(Tabular):
    """Leave-one-out results of several models on the same rows, from :func:`compare`.

    Parameters
    ----------
    results : dict of str to LooResult
        Highest elpd first.
    confidence : float
        Confidence of the lower bounds in ``table``.
    kind : str
        Kind of those bounds, as in :meth:`LooResult.lower_bound`.

    Examples
    --------
    >>> from skcocoafuse import MoERegressor, compare
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(150, random_state=0)
    >>> two, one = (MoERegressor(m, inference="vi", random_state=0).fit(X, y) for m in (2, 1))
    >>> compared = compare({"two lines": two, "one line": one})
    >>> compared.select(confidence=0.9)
    'two lines'
    >>> compared.difference("two lines", "one line").lower_bound(0.9) > 0
    True
    """

    results: dict[str, LooResult]
    confidence: float
    kind: str

    @cached_property
    def weights(self) -> dict[str, float]:
        """Stacking weights: those that maximize the log score of the mixture of all models."""
        pointwise = np.stack([r.pointwise[r.weight > 0] for r in self.results.values()], axis=1)
        first = self._first()
        found = stacking_weights(pointwise, first.weight[first.weight > 0])
        return dict(zip(self.results, found.tolist(), strict=True))

    def _first(self) -> LooResult:
        return next(iter(self.results.values()))

    def difference(self, model: str, other: str) -> Difference:
        """Difference of the elpd of two models, with the paired standard error.

        Parameters
        ----------
        model, other : str
            Names of two models.

        Returns
        -------
        Difference
            ``model`` minus ``other``, with ``elpd``, ``se`` and
            ``lower_bound(confidence, kind)``.

        Raises
        ------
        ValueError
            If a name is unknown.
        """
        for name in (model, other):
            if name not in self.results:
                raise ValueError(f"No model is named {name!r}; known: {list(self.results)}.")
        return elpd.difference(self.results[model], self.results[other])

    def select(self, confidence=None, kind=None) -> str:
        """Name of the model with the highest lower bound of its elpd.

        Parameters
        ----------
        confidence : float, optional
        kind : {"chebyshev", "cantelli", "normal"}, optional
            Those of the comparison by default.

        Raises
        ------
        ValueError
            As in :meth:`LooResult.lower_bound`.
        """
        confidence = self.confidence if confidence is None else confidence
        kind = self.kind if kind is None else kind
        return max(self.results, key=lambda name: self.results[name].lower_bound(confidence, kind))

    @property
    def table(self):
        """All results, one row per model, highest elpd first.

        Returns
        -------
        pandas.DataFrame
            ``rank``: from 0. ``elpd``, ``se``, ``p_loo``. ``elpd_lower``: lower bound of elpd.
            ``elpd_diff``, ``diff_se``: elpd of the first model minus that of this one, and the
            paired standard error. ``diff_lower``: lower bound of that difference; if above 0, the
            first model is better with the requested confidence. ``weight``: by stacking.
            ``n_bad_k``: number of rows with unreliable importance weights. ``converged``: whether
            the fit passed its checks.
        """
        import pandas as pd

        best = next(iter(self.results))
        rows = []
        for rank, (name, result) in enumerate(self.results.items()):
            behind = self.difference(best, name)
            rows.append(
                {
                    "rank": rank,
                    "elpd": result.elpd,
                    "se": result.se,
                    "p_loo": result.p_loo,
                    "elpd_lower": result.lower_bound(self.confidence, self.kind),
                    "elpd_diff": behind.elpd,
                    "diff_se": behind.se,
                    "diff_lower": behind.lower_bound(self.confidence, self.kind),
                    "weight": self.weights[name],
                    "n_bad_k": len(result.bad_rows),
                    "converged": result.converged,
                }
            )
        return pd.DataFrame(rows, index=pd.Index(self.results, name="model"))

    def plot(self, ax=None):
        """Draw the difference of each model's elpd from the highest one.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Those of a new figure by default.

        Returns
        -------
        skcocoafuse.plotting.ComparisonDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed; the extra ``plot`` installs it.
        """
        from skcocoafuse.plotting import ComparisonDisplay

        return ComparisonDisplay.from_comparison(self, ax=ax)

    def __repr__(self) -> str:
        return self.table.to_string(float_format=lambda value: f"{value:.2f}")

    def _repr_html_(self) -> str:
        return self.table.to_html(float_format=lambda value: f"{value:.2f}")


def compare(models, *, confidence=0.95, kind="chebyshev") -> Comparison:
    """Compare models by leave-one-out cross-validation on the rows they were fitted to.

    Parameters
    ----------
    models : dict of str to estimator or LooResult
        At least two, fitted to the same rows in the same order; estimators as in :func:`loo`.
    confidence : float, default=0.95
        Confidence of lower bounds, strictly between 0 and 1.
    kind : {"chebyshev", "cantelli", "normal"}, default="chebyshev"
        Kind of lower bounds, as in :meth:`LooResult.lower_bound`.

    Returns
    -------
    Comparison

    Warns
    -----
    InfluentialRowsWarning
        For each estimator with unreliable importance weights for at least 1% of its rows.

    Raises
    ------
    TypeError
        If ``models`` is not a dictionary, or has a value without leave-one-out densities.
    ValueError
        If there are fewer than two models, if they were fitted to different targets or weights,
        or for an invalid ``confidence`` or ``kind``.

    References
    ----------
    Vehtari, Gelman and Gabry (2017), Statistics and Computing 27, section 5.2.
    Yao, Vehtari, Simpson and Gelman (2018), "Using stacking to average Bayesian predictive
    distributions", Bayesian Analysis 13(3).

    Examples
    --------
    >>> from skcocoafuse import MoERegressor, compare
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(200, random_state=0)
    >>> models = {
    ...     "two lines": MoERegressor(2, inference="vi", random_state=0).fit(X, y),
    ...     "one line": MoERegressor(1, inference="vi", random_state=0).fit(X, y),
    ... }
    >>> compared = compare(models, confidence=0.9)
    >>> compared.table.index[0], compared.select()
    ('two lines', 'two lines')
    """
    if not isinstance(models, dict):
        raise TypeError(
            "models must be a dictionary that maps names to fitted estimators or LooResults; got "
            f"{type(models).__name__}."
        )
    if len(models) < 2:
        raise ValueError(f"models must have at least two entries; got {list(models)}.")
    if not isinstance(confidence, Real):
        raise TypeError(f"confidence must be a number, not a list; got {confidence!r}.")
    elpd.lower_bound(0.0, 1.0, confidence, kind)  # validates before the work starts
    results = {}
    for name, model in models.items():
        results[name] = model if isinstance(model, LooResult) else loo_result(model)
        if model is not results[name]:  # loo() has warned about a LooResult already
            elpd.warn(results[name], stacklevel=3, model=f" of model {name!r}")
    for (name, one), (other, two) in pairwise(results.items()):
        _check_same_rows(name, one, other, two)
    ranked = dict(sorted(results.items(), key=lambda item: -item[1].elpd))
    return Comparison(ranked, float(confidence), kind)


def _check_same_rows(name: str, one: LooResult, other: str, two: LooResult) -> None:
    """Raise a ValueError if the rows with a positive weight differ."""
    remedy = (
        "Fit all models to the same rows in the same order, or compare their scores on new data."
    )
    if one.n_rows != two.n_rows:
        raise ValueError(
            "Models must be fitted to the same rows; "
            f"{name!r} has {one.n_rows} of positive weight, {other!r} {two.n_rows}. {remedy}"
        )
    for what in ("y", "weight"):
        a, b = (getattr(r, what)[r.weight > 0] for r in (one, two))
        apart = np.flatnonzero(np.abs(a - b) > _SAME_TARGET * (np.abs(a) + np.ptp(a)))
        if apart.size:
            raise ValueError(
                f"Models must be fitted to the same rows; {what} of {name!r} and {other!r} differs "
                f"in {apart.size} of {len(a)}, first in row {apart[0]}: {a[apart[0]]:.6g} and "
                f"{b[apart[0]]:.6g}. {remedy}"
            )
