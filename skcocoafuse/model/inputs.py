"""Unconverted inputs: numbers for parts that use columns directly, a table for transformers.

No column is converted before a part of the model uses it, so a column that only a transformer
uses, or that is unused, may contain strings, dates or missing values.
"""

import numpy as np
from sklearn.utils import check_array

from skcocoafuse._cached import cached_property

# pandas' names for object columns that contain only numbers (or missing values)
_OBJECTS_AS_NUMBERS = {"boolean", "empty", "floating", "integer", "mixed-integer-float"}
_MOST_NAMED = 5  # columns in a message


class Inputs:
    """Rows of X, from which each part takes its columns.

    Parameters
    ----------
    values : ndarray of float64, float32 or object, or pandas.DataFrame, of shape (rows, features)
    names : ndarray of str or None
        ``feature_names_in_``.
    estimator : str, optional
        Name of its class, for scikit-learn's messages.
    """

    def __init__(self, values, names=None, estimator: str | None = None):
        self.values = values
        self.names = names
        self.estimator = estimator

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and features."""
        return self.values.shape

    def rows(self, rows) -> "Inputs":
        """A subset of the rows."""
        return Inputs(take(self.values, rows), self.names, self.estimator)

    @cached_property
    def table(self):
        """All columns as a transformer receives them: a frame if they had names in ``fit``.

        Columns of a frame keep their dtype, except floats of lower precision: a numerical slope
        along a float32 column would have three digits.
        """
        if self.names is None:
            narrow = self.values.dtype == np.float32
            return self.values.astype(np.float64) if narrow else self.values
        import pandas as pd

        if not isinstance(self.values, pd.DataFrame):
            frame = pd.DataFrame(self.values, columns=self.names).infer_objects()
        else:
            frame = self.values.copy(deep=False)
        for j, kind in enumerate(frame.dtypes):
            if kind in (np.float16, np.float32):
                frame.isetitem(j, frame.iloc[:, j].astype(np.float64))
        return frame

    def numbers(self, columns: np.ndarray, argument: str) -> np.ndarray:
        """Columns that a part uses directly, as finite float64 of shape (rows, columns).

        Parameters
        ----------
        columns : ndarray of int
        argument : str
            The parameter that selects them, for messages.

        Raises
        ------
        ValueError, TypeError
            If a value is missing, infinite or not a number; the message names the columns.
        """
        if not columns.size:
            return np.empty((self.shape[0], 0))
        everything = np.array_equal(columns, np.arange(self.shape[1]))  # without a copy
        try:
            return self._checked(self.values if everything else _columns(self.values, columns))
        except (ValueError, TypeError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{error}\n{self._advice(columns, argument, str(error))}") from error

    def _checked(self, chosen) -> np.ndarray:
        for kind in getattr(chosen, "dtypes", ()):
            if getattr(kind, "kind", "") in "mM":  # otherwise numbers in arbitrary units
                raise TypeError(f"could not convert dates or durations to float: {kind}")
        return check_array(chosen, dtype=np.float64, estimator=self.estimator, input_name="X")

    def _advice(self, columns: np.ndarray, argument: str, message: str) -> str:
        bad = [int(j) for j in columns if not self._is_fine(j)]
        labels = [str(j) if self.names is None else repr(str(self.names[j])) for j in bad]
        said = ", ".join(labels[:_MOST_NAMED])
        said += f" and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else ""
        where = f"column{'s' if len(bad) > 1 else ''} {said} of X, which {argument} uses as numbers"
        if "contains infinity" in message or "contains NaN" in message:
            return (
                f"This is in {where}. Remove those rows or impute the values first, for example "
                f"with sklearn.impute.SimpleImputer, also in a transformer given as {argument}."
            )
        return (
            f"This is in {where}. Give {argument} a transformer that converts it to numbers, for "
            "example make_column_transformer((OneHotEncoder(), [...]), remainder='passthrough'), "
            "or a list of the numeric columns."
        )

    def _is_fine(self, column: int) -> bool:
        try:
            self._checked(_columns(self.values, np.array([column])))
        except (ValueError, TypeError):
            return False
        return True

    def numeric_columns(self) -> np.ndarray:
        """Which columns are numeric (or contain only missing values), (features,) of bool."""
        if isinstance(self.values, np.ndarray) and self.values.dtype != object:
            return np.ones(self.shape[1], dtype=bool)
        return np.array([holds_numbers(column_of(self.values, j)) for j in range(self.shape[1])])


def labels_of(names, n_features: int) -> list[str]:
    """Names of columns, generated if they have none."""
    return [f"x{j}" for j in range(n_features)] if names is None else [str(s) for s in names]


# -- arrays and frames -------------------------------------------------------------------


def take(table, rows):
    """Rows of an array or a frame."""
    return table.iloc[rows] if hasattr(table, "iloc") else table[rows]


def column_of(table, j: int):
    """A column of an array or a frame, as a pandas.Series."""
    if hasattr(table, "iloc"):
        return table.iloc[:, j]
    import pandas as pd

    return pd.Series(table[:, j], dtype=table.dtype)


def with_column(table, j: int, values: np.ndarray):
    """A copy of an array or a frame with one column replaced by numbers."""
    if hasattr(table, "iloc"):
        table = table.copy(deep=False)
        table.isetitem(j, values)
        return table
    table = table.copy()
    table[:, j] = values
    return table


def holds_numbers(column) -> bool:
    """Whether a pandas.Series contains real numbers, or only missing values."""
    from pandas.api.types import infer_dtype

    if column.dtype != object:
        return getattr(column.dtype, "kind", "") in "biuf"
    return infer_dtype(column, skipna=True) in _OBJECTS_AS_NUMBERS


def _columns(table, columns: np.ndarray):
    if not hasattr(table, "iloc"):
        return table[:, columns]
    chosen = table.iloc[:, columns]
    # scikit-learn accepts sparse columns only next to dense ones
    return chosen.sparse.to_dense() if _is_sparse(chosen) else chosen


def _is_sparse(frame) -> bool:
    from pandas import SparseDtype

    return all(isinstance(kind, SparseDtype) for kind in frame.dtypes)
