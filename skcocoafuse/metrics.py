"""How good intervals and predictive distributions are, on plain arrays and as scorers.

Functions take observations first. Where a function takes ``prediction``, that is a predictive
distribution (anything with the method it needs: ``logpdf``, ``crps``, ``cdf``) or the plain
array of what that method would return for ``y``. All average over rows. NaN in either, and infinite
observations, raise the ValueError of scikit-learn's metrics.

Scorers follow scikit-learn: ``scorer(estimator, X, y)``, greater is better, and they see through
pipelines, searches and transformed targets. ``SCORERS`` has them by name. ``RECORDERS`` are called
the same way, and write down how far each fit can be trusted.
"""

import numpy as np
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skcocoafuse import diagnostics
from skcocoafuse._validation import check_probability, refuse_nan, validate_targets
from skcocoafuse._wrappers import unwrap
from skcocoafuse.prediction import predict_dist, predict_interval

__all__ = [
    "RECORDERS",
    "SCORERS",
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
            f"interval must have a lower and an upper end for each of the {len(y)} rows, shape "
            f"({len(y)}, 2); got shape {interval.shape}."
        )
    refuse_nan(interval, "interval")
    return y, interval


def _values(prediction, method: str, y) -> np.ndarray:
    """What the distribution's method says at ``y``, or the array that was given instead."""
    y = validate_targets(y)
    if hasattr(prediction, method):
        return getattr(prediction, method)(y)
    values = column_or_1d(prediction, dtype=np.float64)
    check_consistent_length(y, values)
    refuse_nan(values, "prediction")
    return values


def interval_coverage(y, interval) -> float:
    """Share of targets inside their intervals (CIC).

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    interval : array-like of shape (n_samples, 2)
        Lower and upper ends.

    Returns
    -------
    float
        In [0, 1]; wanted is the intervals' nominal coverage.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> interval_coverage([0.0, 2.0], [[-1, 1], [-1, 1]])
    0.5
    """
    y, interval = _observed_and_interval(y, interval)
    return float(np.mean((y >= interval[:, 0]) & (y <= interval[:, 1])))


def interval_length(interval) -> float:
    """Average length of intervals (CIL), in the target's units.

    Parameters
    ----------
    interval : array-like of shape (n_samples, 2)
        Lower and upper ends.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shape does not fit, or for NaN.

    Examples
    --------
    >>> interval_length([[-1, 1], [0, 1]])
    1.5
    """
    interval = np.asarray(interval, dtype=np.float64)
    if interval.ndim != 2 or interval.shape[1] != 2 or not len(interval):
        raise ValueError(
            "interval must have a lower and an upper end for each row, shape (n_samples, 2); got "
            f"shape {interval.shape}."
        )
    refuse_nan(interval, "interval")
    return float(np.mean(interval[:, 1] - interval[:, 0]))


def interval_score(y, interval, coverage=0.95) -> float:
    """Average interval (Winkler) score, in the target's units; smaller is better.

    The length of an interval, plus 2 / (1 - coverage) for every unit a target lies outside.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    interval : array-like of shape (n_samples, 2)
        Lower and upper ends of central intervals.
    coverage : float, default=0.95
        Their nominal coverage.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes do not fit, or coverage is not strictly between 0 and 1.

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
    return float(np.mean(high - low + 2.0 / (1.0 - coverage) * outside))


def log_predictive_density(y, prediction) -> float:
    """Average log predictive density (LPPD per row); greater is better.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    prediction : distribution, or array-like of shape (n_samples,)
        With ``logpdf``, or the log densities themselves.

    Returns
    -------
    float

    Examples
    --------
    >>> log_predictive_density([0.0, 2.0], [-1.0, -2.0])
    -1.5
    """
    return float(np.mean(_values(prediction, "logpdf", y)))


def crps(y, prediction) -> float:
    """Average continuous ranked probability score, in the target's units; smaller is better.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    prediction : distribution, or array-like of shape (n_samples,)
        With ``crps``, or the scores themselves.

    Returns
    -------
    float
    """
    return float(np.mean(_values(prediction, "crps", y)))


def pit(y, prediction) -> np.ndarray:
    """Probability integral transform: the predicted probability of a value up to ``y``.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    prediction : distribution, or array-like of shape (n_samples,)
        With ``cdf``, or the probabilities themselves.

    Returns
    -------
    ndarray of shape (n_samples,)
        Uniform on (0, 1) if predictions are calibrated.
    """
    return _values(prediction, "cdf", y)


def calibration_error(y, prediction) -> float:
    """How far PIT values are from uniform: greatest distance of their distribution function.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    prediction : distribution, or array-like of shape (n_samples,)
        With ``cdf``, or the probabilities themselves.

    Returns
    -------
    float
        In [0, 1], the Kolmogorov-Smirnov distance; about 0.87 / sqrt(n_samples) for
        calibrated predictions, because n_samples is finite.

    Examples
    --------
    >>> calibration_error([1.0, 2.0], [0.25, 0.75])
    0.25
    """
    values = np.sort(pit(y, prediction))
    n = len(values)
    above = np.arange(1, n + 1) / n - values
    below = values - np.arange(n) / n
    return float(max(above.max(), below.max()))


def lppd_scorer(estimator, X, y) -> float:
    """Average log predictive density; a scorer."""
    return log_predictive_density(y, predict_dist(estimator, X))


def neg_crps_scorer(estimator, X, y) -> float:
    """Negative continuous ranked probability score; a scorer."""
    return -crps(y, predict_dist(estimator, X))


def neg_interval_score_scorer(estimator, X, y) -> float:
    """Negative interval score of central 95% intervals; a scorer."""
    return -interval_score(y, predict_interval(estimator, X, 0.95), 0.95)


def neg_calibration_error_scorer(estimator, X, y) -> float:
    """Negative calibration error; a scorer."""
    return -calibration_error(y, predict_dist(estimator, X))


#: Scorers by name, for ``scoring=`` of ``cross_validate`` and ``GridSearchCV``: all of them, or
#: ``scoring={"lppd": SCORERS["lppd"], "r2": "r2"}`` beside scikit-learn's own.
SCORERS = {
    "lppd": lppd_scorer,
    "neg_crps": neg_crps_scorer,
    "neg_interval_score": neg_interval_score_scorer,
    "neg_calibration_error": neg_calibration_error_scorer,
}


def _diagnostics(estimator) -> dict:
    return unwrap(estimator, "diagnostics_", "diagnostics").estimator.diagnostics_


def recorded_rhat(estimator, X, y) -> float:
    """R-hat of the fit, the worst of label-free quantities; NaN for a single draw."""
    return float(_diagnostics(estimator)["rhat"])


def recorded_divergences(estimator, X, y) -> float:
    """Number of divergent draws of the fit."""
    return float(_diagnostics(estimator)["n_divergences"])


def recorded_convergence(estimator, X, y) -> float:
    """1 if the fit passed the checks that ``fit`` warns of, else 0."""
    return float(diagnostics.converged(_diagnostics(estimator)))


def recorded_seconds(estimator, X, y) -> float:
    """Seconds of inference."""
    return float(sum(_diagnostics(estimator)["seconds"].values()))


#: What to write into ``cv_results_`` beside scores: ``scoring=SCORERS | RECORDERS`` with
#: ``refit="lppd"``. Their ranks mean nothing.
RECORDERS = {
    "rhat": recorded_rhat,
    "n_divergences": recorded_divergences,
    "converged": recorded_convergence,
    "inference_seconds": recorded_seconds,
}
