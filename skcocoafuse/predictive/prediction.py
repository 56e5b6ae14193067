"""Predictive distributions through pipelines, searches and transformed targets.

scikit-learn's meta-estimators delegate ``predict`` and ``score``, but no other methods. These
functions find the regressor inside and transform its distribution back to the original target.
"""

import numpy as np

from skcocoafuse._hints import COVERAGE, QUANTILES, hints
from skcocoafuse._validation import check_probability, validate_observed
from skcocoafuse.predictive import PredictiveDistribution, TransformedDistribution
from skcocoafuse.predictive.frames import check_output, interval_output, quantile_output
from skcocoafuse.predictive.wrappers import unwrap

__all__ = ["log_prob", "predict_dist", "predict_interval", "predict_quantiles"]


def predict_dist(estimator, X) -> PredictiveDistribution | TransformedDistribution:
    """Predictive distribution of each row, by an estimator alone or inside meta-estimators.

    Parameters
    ----------
    estimator : estimator
        Fitted; a regressor of this package, or any with ``predict_dist``, possibly nested in
        ``Pipeline``, ``GridSearchCV``, ``RandomizedSearchCV``, ``HalvingGridSearchCV`` (anything
        with a ``best_estimator_``) and ``TransformedTargetRegressor``.
    X : array-like of shape (n_samples, n_features)
        Input of the outermost estimator.

    Returns
    -------
    PredictiveDistribution or TransformedDistribution
        The latter with a ``TransformedTargetRegressor``, in units of the original target.

    Raises
    ------
    TypeError
        If no estimator inside has predictive distributions.
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
    """Central predictive intervals, by an estimator alone or inside meta-estimators.

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
        Lower and upper bounds, in units of the target.
    DataFrame of shape (n_samples, 2), or (n_samples, 2 k) for k coverages
        If ``output="pandas"``: columns ``"lower"`` and ``"upper"``; for a list of coverages,
        both for each coverage.

    Raises
    ------
    TypeError
        If no estimator inside has predictive distributions.
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
    """Quantiles of the predictive distribution, by an estimator alone or inside meta-estimators.

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
        In units of the target.

    Raises
    ------
    TypeError
        If no estimator inside has predictive distributions.
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
    """Log predictive density of observed targets, by an estimator alone or inside meta-estimators.

    Parameters
    ----------
    estimator, X
        As in :func:`predict_dist`.
    y : array-like of shape (n_samples,)

    Returns
    -------
    ndarray of shape (n_samples,)
        In units of the target: the derivative of a target transformation is included.

    Raises
    ------
    TypeError
        If no estimator inside has predictive distributions, or the derivative of a target
        transformer is unknown.
    ValueError
        If y contains NaN, or its length differs from that of X.

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
