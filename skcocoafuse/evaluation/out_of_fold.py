"""Out-of-fold predictive distributions."""

import sklearn
from sklearn.base import clone
from sklearn.utils import _safe_indexing as rows_of
from sklearn.utils import indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from skcocoafuse.evaluation.folds import fit_part, partition
from skcocoafuse.evaluation.runs import Runs
from skcocoafuse.predictive.joined import JoinedDistribution
from skcocoafuse.predictive.prediction import predict_dist


def cross_val_predict_dist(
    estimator, X, y, *, groups=None, cv=None, n_jobs=None, params=None
) -> JoinedDistribution:
    """Out-of-fold predictive distribution of each row.

    The counterpart of scikit-learn's ``cross_val_predict`` for distributions: intervals, quantiles,
    densities and scores of all rows, each from the fit to the folds without the row.

    Parameters
    ----------
    estimator : estimator
        A regressor of this package, or a meta-estimator that :func:`predict_dist` supports:
        ``Pipeline``, searches, ``TransformedTargetRegressor``, :class:`NExpertsSelector`. It is
        cloned, never changed.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    groups : array-like of shape (n_samples,), optional
        Group labels for a ``cv`` that keeps groups of rows together. With metadata routing
        enabled, pass them in ``params``.
    cv : int, cross-validation generator or iterable, optional
        As in scikit-learn; 5 folds by default. Each row must be left out exactly once.
    n_jobs : int, optional
        Number of folds to fit in parallel, with joblib's current backend; by default as in
        :func:`select_n_experts`.
    params : dict, optional
        Passed to ``fit``; arrays with an entry per row, such as ``sample_weight``, are subset
        along with the folds. With metadata routing enabled, each is passed where it is requested.

    Returns
    -------
    JoinedDistribution
        Rows in the order of ``X``. It has ``interval``, ``ppf``, ``mean``, ``logpdf``, ``cdf``,
        ``pit``, ``crps`` and the other methods of :class:`PredictiveDistribution`, in units of
        the original target, and the functions of :mod:`skcocoafuse.metrics` accept it.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        The warnings of ``fit``, for each fold.

    Raises
    ------
    TypeError
        If no estimator inside has predictive distributions, or for unexpected parameters.
    ValueError
        For invalid data, or folds that do not leave each row out exactly once.

    Examples
    --------
    >>> from skcocoafuse import MoERegressor, cross_val_predict_dist
    >>> from skcocoafuse.datasets import make_switch
    >>> from skcocoafuse.metrics import interval_coverage
    >>> X, y = make_switch(200, random_state=0)
    >>> dist = cross_val_predict_dist(MoERegressor(inference="map", random_state=0), X, y)
    >>> dist.interval(0.9).shape, dist.ppf([0.1, 0.5, 0.9]).shape
    ((200, 2), (200, 3))
    >>> bool(abs(interval_coverage(y, dist.interval(0.9)) - 0.9) < 0.1)
    True
    """
    X, y = indexable(X, y)
    params = {} if params is None else params
    if sklearn.get_config()["enable_metadata_routing"]:
        for_fit, for_cv = _routed(estimator, cv, groups, params)
    else:
        for_fit, for_cv = params, {"groups": groups}
    folds = partition(cv, X, y, **for_cv)
    runs = Runs(estimator, n_jobs, lambda: None)
    dists = runs(_left_out, [(clone(estimator), X, y, for_fit, *fold) for fold in folds])
    return JoinedDistribution([(test, dist) for (_, test), dist in zip(folds, dists, strict=True)])


def _routed(estimator, cv, groups, params) -> tuple[dict, dict]:
    """The parameters requested by ``fit`` and by ``split``."""
    if groups is not None:
        raise ValueError(
            "groups must be one of params if metadata routing is enabled: "
            "params={'groups': groups}, with a cv that requests them."
        )
    router = MetadataRouter(owner="cross_val_predict_dist")
    router.add(estimator=estimator, method_mapping=MethodMapping().add(caller="fit", callee="fit"))
    router.add(splitter=cv, method_mapping=MethodMapping().add(caller="fit", callee="split"))
    routed = process_routing(router, "fit", **params)
    return routed.estimator.fit, routed.splitter.split


def _left_out(estimator, X, y, params, train, test):
    """Distributions of the held-out rows."""
    fitted = fit_part(estimator, X, y, params, train)
    return predict_dist(fitted, rows_of(X, test))
