"""Predictive distributions through pipelines, searches and transformed targets.

scikit-learn's meta-estimators pass on ``predict`` and ``score``, but no methods they do not
know. These functions go down to the regressor inside, and its distribution up again.
"""

import numpy as np

from skcocoafuse._hints import COVERAGE, QUANTILES, hints
from skcocoafuse._validation import check_probability, validate_observed
from skcocoafuse.predictive import PredictiveDistribution, TransformedDistribution
from skcocoafuse.predictive.frames import check_output, interval_output, quantile_output
from skcocoafuse.predictive.wrappers import unwrap

__all__ = ["log_prob", "predict_dist", "predict_interval", "predict_quantiles"]


def predict_dist(estimator, X) -> PredictiveDistribution | TransformedDistribution:
    """Predictive distribution of every row, by an estimator or whatever it is wrapped in.

    Parameters
    ----------
    estimator : estimator
        Fitted; one of this package, or with a ``predict_dist`` of its own, inside any nesting of
        ``Pipeline``, ``GridSearchCV``, ``RandomizedSearchCV``, ``HalvingGridSearchCV`` (whatever
        has a ``best_estimator_``) and ``TransformedTargetRegressor``.
    X : array-like of shape (n_samples, n_features)
        What the outermost estimator takes.

    Returns
    -------
    PredictiveDistribution or TransformedDistribution
        The latter behind a ``TransformedTargetRegressor``: in the target's own units.

    Raises
    ------
    TypeError
        If there is no predictive distribution inside.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skcocoafuse import MoERegressor, predict_dist
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(100, random_state=0)
    >>> pipe = make_pipeline(StandardScaler(), MoERegressor(inference="map", random_state=0))
    >>> predict_dist(pipe.fit(X, y), X[:3]).interval(0.9).shape
    (3, 2)
    """
    inside = unwrap(estimator, "predict_dist", "predictive distribution")
    dist = inside.estimator.predict_dist(inside.inputs(X))
    for transformer in reversed(inside.of_target):
        dist = TransformedDistribution(dist, transformer)
    return dist


@hints(COVERAGE)
def predict_interval(estimator, X, coverage=0.95, output="default"):
    """Central predictive intervals, by an estimator or whatever it is wrapped in.

    Parameters
    ----------
    estimator, X
        As in :func:`predict_dist`.
    coverage : float or list of float, default=0.95
    output : {"default", "pandas"}, default="default"
        An array, or a DataFrame with the index of ``X``.

    Returns
    -------
    ndarray of shape (n_samples, 2), or (n_samples, 2, k) for k coverages
        Lower and upper ends, in the target's units.
    DataFrame of shape (n_samples, 2), or (n_samples, 2 k) for k coverages
        If ``output="pandas"``: columns ``"lower"`` and ``"upper"``; for a list of coverages
        both under each coverage.

    Raises
    ------
    TypeError
        If there is no predictive distribution inside.
    ValueError
        If a coverage is not strictly between 0 and 1, or ``output`` is unknown.

    Examples
    --------
    >>> from skcocoafuse import BoERegressor, predict_interval
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(100, random_state=0)
    >>> model = BoERegressor(inference="map", random_state=0).fit(X, y)
    >>> predict_interval(model, X, [0.5, 0.9]).shape
    (100, 2, 2)
    """
    check_probability(coverage, "coverage")
    check_output(output)
    return interval_output(predict_dist(estimator, X).interval(coverage), coverage, X, output)


@hints(QUANTILES)
def predict_quantiles(estimator, X, quantiles=(0.05, 0.5, 0.95), output="default"):
    """Quantiles of the predictive distribution, by an estimator or whatever it is wrapped in.

    Parameters
    ----------
    estimator, X
        As in :func:`predict_dist`.
    quantiles : list of float, default=(0.05, 0.5, 0.95)
    output : {"default", "pandas"}, default="default"
        An array, or a DataFrame with the index of ``X`` and the quantiles as columns.

    Returns
    -------
    ndarray or DataFrame of shape (n_samples, n_quantiles)
        In the target's units.

    Raises
    ------
    TypeError
        If there is no predictive distribution inside.
    ValueError
        If a quantile is not strictly between 0 and 1, or ``output`` is unknown.

    Examples
    --------
    >>> from skcocoafuse import BoERegressor, predict_quantiles
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(100, random_state=0)
    >>> model = BoERegressor(inference="map", random_state=0).fit(X, y)
    >>> predict_quantiles(model, X).shape
    (100, 3)
    """
    quantiles = np.atleast_1d(check_probability(quantiles, "quantiles"))
    check_output(output)
    return quantile_output(predict_dist(estimator, X).ppf(quantiles), quantiles, X, output)


def log_prob(estimator, X, y):
    """Log predictive density of observed targets, by an estimator or whatever it is wrapped in.

    Parameters
    ----------
    estimator, X
        As in :func:`predict_dist`.
    y : array-like of shape (n_samples,)

    Returns
    -------
    ndarray of shape (n_samples,)
        In the target's units: behind a transformation its slope is included.

    Raises
    ------
    TypeError
        If there is no predictive distribution inside, or the slope of a
        target's transformer is not known.
    ValueError
        If y has NaN, or another length than X.

    Examples
    --------
    >>> from skcocoafuse import BoERegressor, log_prob
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(100, random_state=0)
    >>> model = BoERegressor(inference="map", random_state=0).fit(X, y)
    >>> log_prob(model, X, y).shape
    (100,)
    """
    return predict_dist(estimator, X).logpdf(validate_observed(y, X))
