"""Metrics and scorers for intervals and predictive distributions.

Metrics take observations first. The argument ``prediction`` is a predictive distribution (any
object with the required method: ``logpdf``, ``crps`` or ``cdf``) or an array of the values that
this method would return for ``y``. Metrics average over rows, weighted if ``sample_weight`` is
given: a weight of 2 is equivalent to repeating the row. NaN in either, and infinite observations,
raise the ValueError of scikit-learn's metrics.

Scorers follow scikit-learn: ``scorer(estimator, X, y, sample_weight=None)``, greater is better, and
they support pipelines, searches and transformed targets. ``SCORERS`` has them by name.
``RECORDERS`` are called in the same way, and record convergence diagnostics of each fit.
"""

from collections.abc import Callable

import numpy as np
import sklearn
from sklearn.utils.metadata_routing import MetadataRequest
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skcocoafuse._hints import COVERAGE, hints
from skcocoafuse._validation import (
    check_probability,
    refuse_nan,
    validate_targets,
    validate_weight,
)
from skcocoafuse.evaluation import verdicts
from skcocoafuse.predictive.prediction import predict_dist, predict_interval
from skcocoafuse.predictive.wrappers import unwrap

__all__ = [
    "RECORDERS",
    "SCORERS",
    "Scorer",
    "calibration_error",
    "crps",
    "interval_coverage",
    "interval_length",
    "interval_score",
    "log_predictive_density",
    "lppd_scorer",
    "neg_calibration_error_scorer",
    "neg_crps_scorer",
    "neg_interval_score_scorer",
    "pit",
    "recorded_convergence",
    "recorded_divergences",
    "recorded_rhat",
    "recorded_seconds",
]


def _observed_and_interval(y, interval) -> tuple[np.ndarray, np.ndarray]:
    y = validate_targets(y)
    interval = np.asarray(interval, dtype=np.float64)
    if interval.shape != (len(y), 2):
        raise ValueError(
            f"interval must have a lower and an upper bound for each of the {len(y)} rows, shape "
            f"({len(y)}, 2); got shape {interval.shape}."
        )
    refuse_nan(interval, "interval")
    return y, interval


def _values(prediction, method: str, y) -> np.ndarray:
    """The values of the distribution's method at ``y``, or the array that was given instead."""
    y = validate_targets(y)
    if hasattr(prediction, method):
        return getattr(prediction, method)(y)
    values = column_or_1d(prediction, dtype=np.float64)
    check_consistent_length(y, values)
    refuse_nan(values, "prediction")
    return values


def _average(values: np.ndarray, sample_weight) -> float:
    """Weighted mean over rows; rows of weight 0 are ignored, whatever their value."""
    if sample_weight is None:
        return float(np.mean(values))
    weight = validate_weight(sample_weight, values)
    counts = weight > 0
    return float(np.average(values[counts], weights=weight[counts]))


def interval_coverage(y, interval, *, sample_weight=None) -> float:
    """Fraction of targets inside their intervals (CIC).

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    interval : array-like of shape (n_samples, 2)
        Lower and upper bounds.
    sample_weight : array-like of shape (n_samples,), optional
        Number of times each row is counted, >= 0; 1 by default.

    Returns
    -------
    float
        In [0, 1]; ideally the nominal coverage of the intervals.

    Raises
    ------
    ValueError
        If the shapes do not match, or for weights that are negative or all zero.

    Examples
    --------
    >>> interval_coverage([0.0, 2.0], [[-1, 1], [-1, 1]])
    0.5
    """
    y, interval = _observed_and_interval(y, interval)
    return _average((y >= interval[:, 0]) & (y <= interval[:, 1]), sample_weight)


def interval_length(interval, *, sample_weight=None) -> float:
    """Average length of intervals (CIL), in units of the target.

    Parameters
    ----------
    interval : array-like of shape (n_samples, 2)
        Lower and upper bounds.
    sample_weight : array-like of shape (n_samples,), optional
        Number of times each row is counted, >= 0; 1 by default.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For a wrong shape, for NaN, or for weights whose number is wrong, or that are negative or
        all zero.

    Examples
    --------
    >>> interval_length([[-1, 1], [0, 1]])
    1.5
    """
    interval = np.asarray(interval, dtype=np.float64)
    if interval.ndim != 2 or interval.shape[1] != 2 or not len(interval):
        raise ValueError(
            "interval must have a lower and an upper bound for each row, shape (n_samples, 2); got "
            f"shape {interval.shape}."
        )
    refuse_nan(interval, "interval")
    return _average(interval[:, 1] - interval[:, 0], sample_weight)


@hints(COVERAGE)
def interval_score(y, interval, coverage=0.95, *, sample_weight=None) -> float:
    """Average interval (Winkler) score, in units of the target; smaller is better.

    The length of an interval, plus 2 / (1 - coverage) times the distance of a target outside it.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    interval : array-like of shape (n_samples, 2)
        Lower and upper bounds of central intervals.
    coverage : float, default=0.95
        Nominal coverage of the intervals.
    sample_weight : array-like of shape (n_samples,), optional
        Number of times each row is counted, >= 0; 1 by default.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes do not match, if coverage is not strictly between 0 and 1, or for weights
        that are negative or all zero.

    References
    ----------
    Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation",
    JASA 102(477), eq. 43.

    Examples
    --------
    >>> interval_score([0.0, 2.0], [[-1, 1], [-1, 1]], coverage=0.5)
    4.0
    """
    y, interval = _observed_and_interval(y, interval)
    coverage = float(check_probability(coverage, "coverage"))
    low, high = interval.T
    outside = np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0)
    return _average(high - low + 2.0 / (1.0 - coverage) * outside, sample_weight)


def log_predictive_density(y, prediction, *, sample_weight=None) -> float:
    """Average log predictive density (LPPD per row); greater is better.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    prediction : distribution, or array-like of shape (n_samples,)
        A distribution with ``logpdf``, or the log densities themselves.
    sample_weight : array-like of shape (n_samples,), optional
        Number of times each row is counted, >= 0; 1 by default.

    Returns
    -------
    float

    Examples
    --------
    >>> log_predictive_density([0.0, 2.0], [-1.0, -2.0])
    -1.5
    """
    return _average(_values(prediction, "logpdf", y), sample_weight)


def crps(y, prediction, *, sample_weight=None) -> float:
    """Average continuous ranked probability score, in units of the target; smaller is better.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    prediction : distribution, or array-like of shape (n_samples,)
        A distribution with ``crps``, or the scores themselves.
    sample_weight : array-like of shape (n_samples,), optional
        Number of times each row is counted, >= 0; 1 by default.

    Returns
    -------
    float

    Examples
    --------
    >>> from skcocoafuse import BoERegressor
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]] * 5, [0.0, 2.1, 3.9, 6.0] * 5
    >>> from skcocoafuse.metrics import crps
    >>> dist = BoERegressor(1, inference="map", random_state=0).fit(X, y).predict_dist(X)
    >>> print(f"{crps(y, dist):.2f}")
    0.13
    """
    return _average(_values(prediction, "crps", y), sample_weight)


def pit(y, prediction) -> np.ndarray:
    """Probability integral transform: the predicted probability of a value up to ``y``.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    prediction : distribution, or array-like of shape (n_samples,)
        A distribution with ``cdf``, or the probabilities themselves.

    Returns
    -------
    ndarray of shape (n_samples,)
        Uniform on (0, 1) if predictions are calibrated.

    Examples
    --------
    >>> from scipy import stats
    >>> from skcocoafuse.metrics import pit
    >>> pit([0.0, 1.0], stats.norm()).round(2)
    array([0.5 , 0.84])
    """
    return _values(prediction, "cdf", y)


def calibration_error(y, prediction, *, sample_weight=None) -> float:
    """Kolmogorov-Smirnov distance between the PIT values and the uniform distribution.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    prediction : distribution, or array-like of shape (n_samples,)
        A distribution with ``cdf``, or the probabilities themselves.
    sample_weight : array-like of shape (n_samples,), optional
        Number of times each row is counted, >= 0; 1 by default.

    Returns
    -------
    float
        In [0, 1]; about 0.87 / sqrt(n_samples) even for calibrated predictions, because
        n_samples is finite.

    Examples
    --------
    >>> calibration_error([1.0, 2.0], [0.25, 0.75])
    0.25
    """
    values = pit(y, prediction)
    weight = validate_weight(sample_weight, values)
    order = np.argsort(values)
    order = order[weight[order] > 0]
    values, weight = values[order], weight[order]
    up_to = np.cumsum(weight)
    total = up_to[-1]
    above = up_to / total - values
    below = values - (up_to - weight) / total
    return float(max(above.max(), below.max()))


class Scorer:
    """Scorer or recorder of a fitted estimator, for ``scoring=`` in scikit-learn.

    Called as ``scorer(estimator, X, y, sample_weight=None)``. It supports metadata routing;
    without it, searches pass their weights as they do to scikit-learn's scorers.

    Parameters
    ----------
    function : callable
        ``function(estimator, X, y, sample_weight)``; greater is better.
    name : str
    weighted : bool, default=True
        Whether weights have an effect; recorders do not use them.

    Examples
    --------
    >>> from sklearn.model_selection import cross_validate
    >>> from skcocoafuse import BoERegressor
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]] * 5, [0.0, 2.1, 3.9, 6.0] * 5
    >>> from skcocoafuse.metrics import lppd_scorer, recorded_convergence
    >>> scoring = {"lppd": lppd_scorer, "converged": recorded_convergence}
    >>> model = BoERegressor(1, inference="vi", random_state=0)
    >>> found = cross_validate(model, X, y, cv=4, scoring=scoring)
    >>> print(found["test_lppd"].mean().round(1))
    -0.4
    >>> found["test_converged"]
    array([1., 1., 1., 1.])
    """

    def __init__(self, function: Callable[..., float], name: str, *, weighted: bool = True):
        self._function, self._weighted = function, weighted
        self.__name__, self.__doc__ = name, function.__doc__
        self._metadata_request = self._asking_for(None)

    def __call__(self, estimator, X, y, sample_weight=None) -> float:
        """Score a fitted estimator, alone or inside meta-estimators."""
        return self._function(estimator, X, y, sample_weight)

    def __repr__(self) -> str:
        return self.__name__

    def set_score_request(self, *, sample_weight: bool | str | None) -> "Scorer":
        """Request weights, as with every scorer of scikit-learn.

        This changes the shared scorer object; ``copy.copy(scorer)`` has separate requests.

        Parameters
        ----------
        sample_weight : bool, str or None
            True to request the weights, False to ignore them, a name to request those passed
            under that name, None to raise an error if weights are passed.

        Returns
        -------
        Scorer
            The scorer itself.

        Raises
        ------
        RuntimeError
            If metadata routing is not enabled.
        TypeError
            If weights have no effect.
        ValueError
            If ``sample_weight`` is none of these.
        """
        if not sklearn.get_config()["enable_metadata_routing"]:
            raise RuntimeError(
                "set_score_request needs metadata routing. Enable it with "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        if not self._weighted:
            raise TypeError(f"{self!r} takes no sample_weight: it describes the fit as a whole.")
        self._metadata_request = self._asking_for(sample_weight)
        return self

    def get_metadata_routing(self) -> MetadataRequest:
        """Get the metadata request of this scorer.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRequest
        """
        return self._metadata_request

    def _asking_for(self, sample_weight) -> MetadataRequest:
        request = MetadataRequest(owner=self.__name__)
        if self._weighted:
            request.score.add_request(param="sample_weight", alias=sample_weight)
        return request

    def _accept_sample_weight(self) -> bool:
        """Called by searches without metadata routing; they would warn if this were False."""
        return True


def _lppd(estimator, X, y, sample_weight):
    """Average log predictive density, as a scorer."""
    return log_predictive_density(y, predict_dist(estimator, X), sample_weight=sample_weight)


def _neg_crps(estimator, X, y, sample_weight):
    """Negative continuous ranked probability score, as a scorer."""
    return -crps(y, predict_dist(estimator, X), sample_weight=sample_weight)


def _neg_interval_score(estimator, X, y, sample_weight):
    """Negative interval score of central 95% intervals, as a scorer."""
    ends = predict_interval(estimator, X, 0.95)
    return -interval_score(y, ends, 0.95, sample_weight=sample_weight)


def _neg_calibration_error(estimator, X, y, sample_weight):
    """Negative calibration error, as a scorer."""
    return -calibration_error(y, predict_dist(estimator, X), sample_weight=sample_weight)


lppd_scorer = Scorer(_lppd, "lppd_scorer")
neg_crps_scorer = Scorer(_neg_crps, "neg_crps_scorer")
neg_interval_score_scorer = Scorer(_neg_interval_score, "neg_interval_score_scorer")
neg_calibration_error_scorer = Scorer(_neg_calibration_error, "neg_calibration_error_scorer")

#: Scorers by name, for ``scoring=`` of ``cross_validate`` and ``GridSearchCV``: all of them, or
#: ``scoring={"lppd": SCORERS["lppd"], "r2": "r2"}`` together with scikit-learn's. scikit-learn
#: only accepts names of its own scorers, so use ``scoring=SCORERS["lppd"]``, not ``"lppd"``.
SCORERS = {
    "lppd": lppd_scorer,
    "neg_crps": neg_crps_scorer,
    "neg_interval_score": neg_interval_score_scorer,
    "neg_calibration_error": neg_calibration_error_scorer,
}


def _diagnostics(estimator) -> dict:
    return unwrap(estimator, "diagnostics_", "diagnostics").estimator.diagnostics_


def _rhat(estimator, X, y, sample_weight):
    """R-hat of the fit, the largest over label-free quantities; NaN for a single draw."""
    return float(_diagnostics(estimator)["rhat"])


def _divergences(estimator, X, y, sample_weight):
    """Number of divergent draws of the fit."""
    return float(_diagnostics(estimator)["n_divergences"])


def _convergence(estimator, X, y, sample_weight):
    """1 if the fit passed the convergence checks of ``fit``, else 0."""
    return float(verdicts.converged(_diagnostics(estimator)))


def _seconds(estimator, X, y, sample_weight):
    """Inference time in seconds."""
    return float(sum(_diagnostics(estimator)["seconds"].values()))


recorded_rhat = Scorer(_rhat, "recorded_rhat", weighted=False)
recorded_divergences = Scorer(_divergences, "recorded_divergences", weighted=False)
recorded_convergence = Scorer(_convergence, "recorded_convergence", weighted=False)
recorded_seconds = Scorer(_seconds, "recorded_seconds", weighted=False)

#: Diagnostics to record in ``cv_results_`` along with scores: ``scoring=SCORERS | RECORDERS`` with
#: ``refit="lppd"``. Their ranks are meaningless.
RECORDERS = {
    "rhat": recorded_rhat,
    "n_divergences": recorded_divergences,
    "converged": recorded_convergence,
    "inference_seconds": recorded_seconds,
}
