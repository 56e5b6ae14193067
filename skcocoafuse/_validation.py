"""The only file that touches scikit-learn's validation internals."""

import multiprocessing
from contextlib import contextmanager
from numbers import Integral

import joblib
import numpy as np
from scipy.sparse import issparse
from sklearn.base import _fit_context
from sklearn.utils import assert_all_finite, check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    _get_feature_names,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

__all__ = [
    "MAX_MAGNITUDE",
    "Interval",
    "IntervalWithHint",
    "StrOptions",
    "check_count",
    "check_probability",
    "cores_for",
    "fit_context",
    "refuse_extreme",
    "refuse_nan",
    "restore_on_error",
    "seed_from",
    "validate_fit",
    "validate_observed",
    "validate_predict",
    "validate_targets",
    "validate_weight",
]

fit_context = _fit_context  # checks the constructor's parameters against their constraints


# Means, variances and slopes sum squares and products of two such values over rows, and undoing the
# scale squares it once more; the largest float64 is 1.8e308, so 1e150 leaves 1e8 rows of both.
MAX_MAGNITUDE = 1e150
# Without standardisation slopes and intercepts are of order 1, by their priors. Of their sum at
# inputs of 1e15 rounding leaves a tenth, and products of four such inputs overflow at 1e77.
MAX_AS_IT_IS = 1e15
# The log posterior adds priors, of order 1, to a sum of log densities times their weights. Numbers
# of 1e15 are known to a tenth in float64, so beyond that nothing is left of the priors.
MAX_WEIGHT = 1e15


class IntervalWithHint(Interval):
    """An interval of numbers; what is outside is answered with a hint as well.

    Parameters
    ----------
    *bounds
        Type, left and right bound, as in ``Interval``.
    closed : str
    hint : str
        What else one may have wanted.
    """

    def __init__(self, *bounds, closed, hint):
        super().__init__(*bounds, closed=closed)
        self.hint = hint

    def __str__(self):
        return f"{super().__str__()} ({self.hint})"


def validate_fit(estimator, X, y, sample_weight):
    """Checked data for ``fit``; sets ``n_features_in_`` and feature names.

    Returns
    -------
    X : ndarray of float64 or object, or pandas.DataFrame, of shape (rows, features)
        Not looked into: each part of the model checks the columns that it uses.
    y : ndarray of shape (rows,)
    weight : ndarray of shape (rows,)

    Raises
    ------
    ValueError, TypeError
        As scikit-learn does; for NaN and infinity in y with the advice to impute, for a
        constant target, for targets beyond 1e150, and for weights that are negative, all zero, or
        beyond 1e15 in all.
    """
    validate_data(estimator, X, y, skip_check_array=True)
    X = _table(estimator, X, objects=False, ensure_min_samples=2)
    with _advice_to_impute():
        y = _check_y(y, y_numeric=True, estimator=estimator)
    check_consistent_length(X, y)
    y = np.asarray(y, dtype=np.float64)
    with _advice_to_impute():  # again: None among objects is NaN only now
        assert_all_finite(y, input_name="y")
    refuse_extreme(y, "y")
    weight = validate_weight(sample_weight, X)
    _refuse_heavy(weight)
    seen = y[weight > 0]
    if np.ptp(seen) == 0:
        raise ValueError(
            f"y is constant ({seen[0]!r} in all {seen.size} rows): there is no spread to model. "
            "Check the target column."
        )
    return X, y, weight


def validate_predict(estimator, X, objects: bool):
    """Rows with the features seen in ``fit``, as :func:`validate_fit` has them.

    ``objects`` says whether X had columns without numbers in ``fit``.
    """
    table = _table(estimator, X, objects)
    validate_data(estimator, X, reset=False, skip_check_array=True)
    return table


def _table(estimator, X, objects: bool, **least):
    """A frame where it has names and ``fit`` saw names, else an array: of floats if it can be.

    With ``objects`` an array is of objects in any case: whether some rows happen to hold numbers
    only must not matter.
    """
    if hasattr(estimator, "feature_names_in_") and _get_feature_names(X) is not None:
        # in scikit-learn's words, without a look at the values
        check_array(np.broadcast_to(0.0, X.shape), estimator=estimator, **least)
        return _frame(X)
    options = {"ensure_all_finite": False, "estimator": estimator, "input_name": "X", **least}
    if objects:
        return check_array(X, dtype=object, **options)
    try:
        return check_array(X, dtype=np.float64, **options)
    except (ValueError, TypeError):
        if not _may_be_mixed(X):
            raise
    return check_array(X, dtype=object, **options)


def _may_be_mixed(X) -> bool:
    """Whether these are rows and columns of something that is no float by itself."""
    if issparse(X):
        return False
    try:
        array = np.asarray(X)
    except ValueError:  # rows of different lengths
        return False
    return array.ndim == 2 and array.dtype.kind in "OSTUmM"


def _frame(X):
    """A frame of any library as one of pandas."""
    import pandas as pd

    if isinstance(X, pd.DataFrame):
        return X
    return pd.DataFrame({name: np.asarray(X[name]) for name in _get_feature_names(X)})


def validate_observed(y, X) -> np.ndarray:
    """``y`` as a float vector with a value per row of ``X``; infinity has a density of 0.

    Raises
    ------
    ValueError
        As scikit-learn does, for another shape or length and for NaN.
    """
    y = column_or_1d(y, dtype=np.float64, warn=True)
    check_consistent_length(X, y)
    refuse_nan(y, "y")
    return y


def validate_weight(sample_weight, values) -> np.ndarray:
    """Weights as a float vector with a value per row of ``values``, ones for None.

    Raises
    ------
    ValueError
        If there is not one for each row, if one is negative, NaN or infinite, or all are zero.
    """
    return _check_sample_weight(
        sample_weight,
        values,
        dtype=np.float64,
        ensure_non_negative=True,
        allow_all_zero_weights=False,
    )


def validate_targets(y) -> np.ndarray:
    """``y`` as a float vector, as scikit-learn's metrics take it.

    Raises
    ------
    ValueError
        As scikit-learn does, for another shape, no rows, NaN and infinity.
    """
    y = column_or_1d(y, dtype=np.float64)
    return check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")


def refuse_extreme(values: np.ndarray, name: str, standardized: bool = True) -> None:
    """Raise a ValueError for numbers too large for sums of their squares.

    Inputs that are not standardised must also leave digits to an intercept.

    Parameters
    ----------
    values : ndarray of float64
        Finite.
    name : str
        What they are, for the message.
    standardized : bool, default=True
        Whether they will be standardised.
    """
    if not values.size:
        return
    extreme = values.flat[np.argmax(np.abs(values))]
    most, why = MAX_MAGNITUDE, "sums of squares are numbers in double precision"
    if not standardized:
        most, why = MAX_AS_IT_IS, "an intercept is seen beside it with standardize=False"
    if abs(extreme) > most:
        raise ValueError(
            f"{name} must be at most {most:g} in absolute value, so that {why}; "
            f"got {float(extreme)!r}. If the value is wrong, "
            "remove its row or correct it; else choose another unit (divide by a constant)."
        )


def _refuse_heavy(weight: np.ndarray) -> None:
    largest = float(weight.max())
    # the largest first: a sum may overflow
    if largest > MAX_WEIGHT or weight.sum() > MAX_WEIGHT:
        raise ValueError(
            f"sample_weight must sum to at most {MAX_WEIGHT:g}: a weight is the number of times "
            "that its row counts, and beyond this rounding of the log likelihood hides the priors; "
            f"got {largest!r} as the largest of {weight.size}. Divide the weights by their mean if "
            "they are relative."
        )


def refuse_nan(values: np.ndarray, name: str) -> None:
    """Raise the ValueError of scikit-learn for NaN; infinity is let through."""
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
    """Undo every change of the estimator's attributes if the block is left by an exception.

    An interrupt counts as one: nothing stays half-fitted.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def seed_from(random_state) -> int:
    """An integer seed from whatever scikit-learn takes as ``random_state``."""
    return int(check_random_state(random_state).randint(2**31 - 1))


def cores_for(n_jobs: int | None, tasks: int) -> int:
    """How many of these tasks (chains, fits, rows) run at once.

    None means every core, or one inside a worker process (a parallel grid search).
    """
    if n_jobs is None and multiprocessing.parent_process() is None:
        n_jobs = -1
    return max(1, min(tasks, joblib.effective_n_jobs(n_jobs)))


def check_probability(value, name: str) -> np.ndarray:
    """An array of numbers strictly between 0 and 1, of the shape of ``value``.

    Raises
    ------
    ValueError
        If one is not.
    """
    array = np.asarray(value, dtype=np.float64)
    if array.ndim > 1 or array.size == 0 or not ((array > 0) & (array < 1)).all():
        raise ValueError(
            f"{name} must be a number, or a list of numbers, strictly between 0 and 1; "
            f"got {value!r}."
        )
    return array


def check_count(value, name: str, least: int = 1) -> int:
    """A positive integer, or one of at least ``least``.

    Raises
    ------
    ValueError
        If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        wanted = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise ValueError(f"{name} must be {wanted}; got {value!r}.")
    return int(value)
