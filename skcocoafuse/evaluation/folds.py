"""Cross-validation folds that leave out each row once."""

import numpy as np
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing as rows_of


def partition(cv, X, y, **split_params) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of each fold.

    Parameters
    ----------
    cv : int, cross-validation generator, iterable or None
        As in scikit-learn.
    X, y : array-like
    **split_params : dict
        Passed to ``split`` of ``cv``: ``groups``.

    Returns
    -------
    list of (train, test)

    Raises
    ------
    ValueError
        If a row is not left out exactly once, or without ``y``.
    """
    if y is None:
        raise ValueError("Cross-validation requires y to be passed, but the target y is None.")
    n_rows = len(y)
    splits = check_cv(cv).split(X, y, **split_params)
    folds = [(_positions(train), _positions(test)) for train, test in splits]
    left_out = np.concatenate([test for _, test in folds])
    if not np.array_equal(np.sort(left_out), np.arange(n_rows)):
        times = np.bincount(left_out[(left_out >= 0) & (left_out < n_rows)], minlength=n_rows)
        outside = len(left_out) - times.sum()
        raise ValueError(
            "cv must leave each row out once, as KFold does; "
            f"{(times != 1).sum()} of {n_rows} rows are left out never or more than once"
            + (f", and {outside} indices are out of bounds." if outside else ".")
        )
    return folds


def _positions(rows) -> np.ndarray:
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows


def fit_part(estimator, X, y, params: dict, rows: np.ndarray):
    """Fit an estimator to some rows; ``params`` of ``fit`` are given for all rows."""
    own = cut(params, rows, len(y))
    return estimator.fit(rows_of(X, rows), rows_of(y, rows), **own)


def cut(params: dict, rows: np.ndarray, n_rows: int) -> dict:
    """Parameters of ``fit`` for some rows: arrays with an entry per row are subset."""
    return {
        name: rows_of(value, rows) if np.shape(value)[:1] == (n_rows,) else value
        for name, value in params.items()
    }
