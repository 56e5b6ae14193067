"""Validation; the only file that uses scikit-learn's validation internals."""

import multiprocessing
import sys
from contextlib import contextmanager
from numbers import Integral, Real

import joblib
import numpy as np
from joblib.parallel import get_active_backend
from scipy.sparse import issparse
from sklearn.base import _fit_context
from sklearn.utils import assert_all_finite, check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_y,
    _get_feature_names,
    check_consistent_length,
    check_non_negative,
    column_or_1d,
    validate_data,
)

from skcocoafuse._threads import SHARES_CORES

__all__ = [
    "MAX_MAGNITUDE",
    "Interval",
    "IntervalWithHint",
    "StrOptions",
    "check_count",
    "check_probability",
    "cores_for",
    "fit_context",
    "is_dask",
    "refuse_extreme",
    "refuse_nan",
    "refuse_totals",
    "restore_on_error",
    "seed_from",
    "validate_fit",
    "validate_observed",
    "validate_part",
    "validate_predict",
    "validate_sample",
    "validate_targets",
    "validate_weight",
]

fit_context = _fit_context  # checks the constructor's parameters against their constraints


# Means, variances and slopes sum squares and products of two such values over rows, and undoing the
# scale squares it once more; the largest float64 is 1.8e308, so 1e150 leaves 1e8 rows of both.
MAX_MAGNITUDE = 1e150
# Without standardization slopes and intercepts are of order 1, by their priors. Of their sum at
# inputs of 1e15 rounding leaves a tenth, and products of four such inputs overflow at 1e77.
MAX_AS_IT_IS = 1e15
# The log posterior adds priors, of order 1, to a sum of log densities times their weights. Numbers
# of 1e15 are known to a tenth in float64, so beyond that nothing is left of the priors.
MAX_WEIGHT = 1e15


class IntervalWithHint(Interval):
    """An interval of numbers whose error message includes a hint.

    Parameters
    ----------
    *bounds
        Type, left and right bound, as in ``Interval``.
    closed : str
    hint : str
        What else the user may want.
    """

    def __init__(self, *bounds, closed, hint):
        super().__init__(*bounds, closed=closed)
        self.hint = hint

    def __str__(self):
        return f"{super().__str__()} ({self.hint})"


def validate_fit(estimator, X, y, sample_weight):
    """Validate the data of ``fit``; sets ``n_features_in_`` and feature names.

    Returns
    -------
    X : ndarray of float64, float32 or object, or pandas.DataFrame, of shape (rows, features)
        Values are not checked: each part of the model checks the columns that it uses.
    y : ndarray of shape (rows,)
    weight : ndarray of shape (rows,)

    Raises
    ------
    ValueError, TypeError
        As in scikit-learn; for NaN or infinity in y, with the advice to impute; for a constant
        target; for targets beyond 1e150; and for weights that are negative, all zero, or sum to
        more than 1e15.
    """
    validate_data(estimator, X, y, skip_check_array=True)
    X = _table(estimator, X, objects=False, ensure_min_samples=2)
    y = _validate_target(X, y, estimator)
    refuse_extreme(y, "y")
    weight = validate_weight(sample_weight, X)
    seen = y[weight > 0]
    with np.errstate(over="ignore"):
        total = float(weight.sum())
    refuse_totals(seen.min(), seen.max(), seen.size, float(weight.max()), total)
    return X, y, weight


def validate_part(values, y, weight) -> tuple[np.ndarray, np.ndarray]:
    """Targets and weights of some of the rows, as :func:`validate_fit` returns those of all.

    What concerns all rows, such as a constant target, is not checked.

    Raises
    ------
    ValueError, TypeError
        As in :func:`validate_fit`.
    """
    if not len(values):
        return np.zeros(0), np.zeros(0)
    return _validate_target(values, y), validate_weight(weight, values, some=True)


def _validate_target(X, y, estimator=None) -> np.ndarray:
    """Finite targets as float64, (rows,), as many as rows of X."""
    with _advice_to_impute():
        y = _check_y(y, y_numeric=True, estimator=estimator)
    check_consistent_length(X, y)
    y = np.asarray(y, dtype=np.float64)
    with _advice_to_impute():  # again: None among objects becomes NaN only here
        assert_all_finite(y, input_name="y")
    return y


def validate_sample(estimator, X) -> np.ndarray | None:
    """Names of the features, or None, given a few rows; sets ``n_features_in_`` and names.

    Raises
    ------
    ValueError, TypeError
        As in scikit-learn, for mixed types of names.
    """
    validate_data(estimator, X, skip_check_array=True)
    return getattr(estimator, "feature_names_in_", None)


def refuse_totals(low: float, high: float, n_rows: int, largest: float, total: float) -> None:
    """Raise a ValueError if the targets of positive weight are constant, or weights unusable.

    Parameters
    ----------
    low, high : float
        The least and largest target of positive weight.
    n_rows : int
        Number of rows of positive weight.
    largest, total : float
        The largest weight, and their sum, which may have overflowed.

    Raises
    ------
    ValueError
        For a constant target, and for weights that are all zero or sum to more than 1e15.
    """
    _refuse_no_weight(largest)
    if largest > MAX_WEIGHT or total > MAX_WEIGHT:
        raise ValueError(
            f"sample_weight must sum to at most {MAX_WEIGHT:g}: a weight is the number of times "
            "its row is counted, and with larger sums the priors are lost to rounding of the log "
            f"likelihood; got {largest!r} as the largest. If the weights are relative, divide "
            "them by their mean."
        )
    if low == high:
        raise ValueError(
            f"y is constant ({float(low)!r} in all {n_rows} rows): there is no variation to "
            "model. Check the target column."
        )


def validate_predict(estimator, X, objects: bool):
    """Validate rows with the features seen in ``fit``; X as :func:`validate_fit` returns it.

    ``objects`` says whether X had non-numeric columns in ``fit``.
    """
    if is_dask(X):
        raise TypeError(
            "X is a Dask collection, whose rows would all be gathered here. predict, "
            "predict_interval, predict_quantiles and log_prob are lazy for these; for the rest "
            "pass X.compute(), or use map_blocks or map_partitions of X."
        )
    table = _table(estimator, X, objects)
    validate_data(estimator, X, reset=False, skip_check_array=True)
    return table


def is_dask(value) -> bool:
    """Whether a value is a Dask collection, without importing Dask."""
    return type(value).__module__.partition(".")[0] in ("dask", "dask_expr")


def _table(estimator, X, objects: bool, **least):
    """A frame if X has names and ``fit`` saw names, else an array, of floats if possible.

    With ``objects`` the array is always of objects: the result must not depend on whether the
    rows happen to hold only numbers.
    """
    if hasattr(estimator, "feature_names_in_") and _get_feature_names(X) is not None:
        # with scikit-learn's messages, but without checking values
        check_array(np.broadcast_to(0.0, X.shape), estimator=estimator, **least)
        return _frame(X)
    options = {"ensure_all_finite": False, "estimator": estimator, "input_name": "X", **least}
    if objects:
        return check_array(X, dtype=object, **options)
    try:
        return check_array(X, dtype=[np.float64, np.float32], **options)
    except (ValueError, TypeError):
        if not _may_be_mixed(X):
            raise
    return check_array(X, dtype=object, **options)


def _may_be_mixed(X) -> bool:
    """Whether X is two-dimensional with values that are not floats."""
    if issparse(X):
        return False
    try:
        array = np.asarray(X)
    except ValueError:  # rows of different lengths
        return False
    return array.ndim == 2 and array.dtype.kind in "OSTUmM"


def _frame(X):
    """Convert a dataframe of any library to pandas."""
    import pandas as pd

    if isinstance(X, pd.DataFrame):
        return X
    return pd.DataFrame({name: np.asarray(X[name]) for name in _get_feature_names(X)})


def validate_observed(y, X) -> np.ndarray:
    """``y`` as a float vector with a value per row of ``X``; infinity is allowed (density 0).

    Raises
    ------
    ValueError
        As in scikit-learn, for a wrong shape or length and for NaN.
    """
    y = column_or_1d(y, dtype=np.float64, warn=True)
    check_consistent_length(X, y)
    refuse_nan(y, "y")
    return y


def validate_weight(sample_weight, values, some: bool = False) -> np.ndarray:
    """Weights as a float vector with a value per row of ``values``; ones, in no memory, if None.

    With ``some`` they are those of some of the rows, and may all be zero.

    Raises
    ------
    ValueError
        If their number differs from that of the rows, if any is negative, NaN or infinite, or if
        all are zero.
    """
    if sample_weight is None:
        return np.broadcast_to(1.0, len(values))
    n_rows = len(values)
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n_rows, sample_weight)
    weight = check_array(
        sample_weight, dtype=np.float64, order="C", ensure_2d=False, input_name="sample_weight"
    )
    if weight.shape != (n_rows,):
        raise ValueError(
            f"sample_weight must be a number or an array of shape ({n_rows},), a weight per row; "
            f"got shape {weight.shape}."
        )
    check_non_negative(weight, "`sample_weight`")
    if not some:
        _refuse_no_weight(weight.max())
    return weight


def _refuse_no_weight(largest: float) -> None:
    if largest == 0.0:
        raise ValueError("Sample weights must contain at least one non-zero number.")


def validate_targets(y) -> np.ndarray:
    """``y`` as a float vector, validated as in scikit-learn's metrics.

    Raises
    ------
    ValueError
        As in scikit-learn, for a wrong shape, no rows, NaN or infinity.
    """
    y = column_or_1d(y, dtype=np.float64)
    return check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")


def refuse_extreme(values: np.ndarray, name: str, standardized: bool = True) -> None:
    """Raise a ValueError for numbers whose sums of squares would overflow.

    Inputs that are not standardized must also be small enough for an intercept to matter.

    Parameters
    ----------
    values : ndarray of float64
        Finite.
    name : str
        Name of the values, for the message.
    standardized : bool, default=True
        Whether they will be standardized.

    Raises
    ------
    ValueError
        If a value is too large.
    """
    if not values.size:
        return
    extreme = values.flat[np.argmax(np.abs(values))]
    most, why = MAX_MAGNITUDE, "sums of squares do not overflow in double precision"
    if not standardized:
        most, why = MAX_AS_IT_IS, "an intercept is not lost to rounding with standardize=False"
    if abs(extreme) > most:
        raise ValueError(
            f"{name} must be at most {most:g} in absolute value, so that {why}; "
            f"got {float(extreme)!r}. If the value is wrong, correct it or remove its row; "
            "otherwise use another unit (divide by a constant)."
        )


def refuse_nan(values: np.ndarray, name: str) -> None:
    """Raise scikit-learn's ValueError for NaN; infinity is allowed."""
    assert_all_finite(np.where(np.isinf(values), 0.0, values), input_name=name)


@contextmanager
def _advice_to_impute():
    try:
        yield
    except ValueError as error:
        message = str(error)
        if "contains infinity" in message or "y contains NaN" in message:
            raise ValueError(
                f"{message}\nRemove those rows or impute the values first, for example with "
                "sklearn.impute.SimpleImputer."
            ) from error
        raise


@contextmanager
def restore_on_error(estimator):
    """Restore the estimator's attributes if the ``with`` block raises an exception.

    This includes interrupts: the estimator is never left half-fitted.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def seed_from(random_state) -> int:
    """An integer seed from any ``random_state`` that scikit-learn accepts."""
    return int(check_random_state(random_state).randint(2**31 - 1))


def cores_for(n_jobs: int | None, tasks: int) -> int:
    """Number of tasks (chains, fits, rows) to run in parallel.

    None means all cores, or one beside others: inside a worker process or thread (a parallel grid
    search), whether of joblib, Dask or this package.
    """
    if n_jobs is None:
        n_jobs = 1 if _is_beside_others() else -1
    return max(1, min(tasks, joblib.effective_n_jobs(n_jobs)))


def _is_beside_others() -> bool:
    if multiprocessing.parent_process() is not None or SHARES_CORES.get():
        return True
    if get_active_backend()[0].nesting_level:  # in a thread of joblib
        return True
    distributed = sys.modules.get("distributed")  # without it there are no workers
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True


def check_probability(value, name: str) -> np.ndarray:
    """Validate probabilities; returns an array of the shape of ``value``.

    Raises
    ------
    ValueError
        If a number is not strictly between 0 and 1.
    """
    array = np.asarray(value, dtype=np.float64)
    if array.ndim > 1 or array.size == 0 or not ((array > 0) & (array < 1)).all():
        raise ValueError(
            f"{name} must be a number, or a list of numbers, strictly between 0 and 1; "
            f"got {value!r}."
        )
    return array


def check_points(value, n_rows: int) -> np.ndarray:
    """Validate points at which distributions of rows are evaluated; returns an array.

    Raises
    ------
    ValueError
        Unless there is one for all rows, one per row, or several per row.
    """
    points = np.asarray(value, dtype=np.float64)
    if points.ndim > 2 or (points.ndim and len(points) not in (1, n_rows)):
        raise ValueError(
            f"Points must be a scalar, or have shape ({n_rows},), one per row, ({n_rows}, k), k "
            f"per row, or (1, k), the same k for every row; got shape {points.shape}."
        )
    return points


def check_count(value, name: str, least: int = 1) -> int:
    """Validate an integer of at least ``least``.

    Raises
    ------
    ValueError
        If ``value`` is not an integer, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        wanted = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise ValueError(f"{name} must be {wanted}; got {value!r}.")
    return int(value)
