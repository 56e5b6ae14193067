"""What a transformer was fitted to, as plain numbers that travel and can be written to a file."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skcocoafuse.model.inputs import Inputs, column_of, holds_numbers, labels_of

_EXACT = 2.0**53  # whole numbers below are float64s
_ORDERED = "ordered category"


@dataclass(frozen=True)
class RecordedInputs:
    """The rows of a fit, to fit a transformer to them again and to know the range of columns.

    Parameters
    ----------
    values : ndarray of float64 of shape (rows, features)
        Numbers; in a column with levels the position of each value among them. NaN is missing.
    kinds : list of str, or None
        Data type of each column, of a frame or of objects; None where all are float64. The empty
        string is a column of values that are not recorded: lists, periods, objects of your own.
    levels : list of (list or None), or None
        The distinct values of columns that are not numbers, or not numbers of float64.
    """

    values: np.ndarray
    kinds: list[str] | None = None
    levels: list[list[Any] | None] | None = None

    @classmethod
    def of(cls, inputs: Inputs) -> "RecordedInputs":
        """Record what transformers see of these inputs."""
        table = inputs.table
        if hasattr(table, "iloc"):
            if (table.dtypes == np.float64).all():
                return cls(table.to_numpy())
        elif table.dtype == np.float64:
            return cls(table)
        recorded = [_record(column_of(table, j)) for j in range(inputs.shape[1])]
        values, kinds, levels = zip(*recorded, strict=True)
        return cls(np.column_stack(values), list(kinds), list(levels))

    def table(self, names):
        """The rows as the transformer saw them, but for columns that are not recorded."""
        import pandas as pd

        if self.kinds is None or self.levels is None:
            return self.values if names is None else pd.DataFrame(self.values, columns=names)
        recorded = zip(self.values.T, self.kinds, self.levels, strict=True)
        frame = pd.concat([_restore(*column) for column in recorded], axis=1)
        return frame.to_numpy(dtype=object) if names is None else frame.set_axis(names, axis=1)

    def column(self, j: int) -> np.ndarray:
        """A column of numbers, (rows,) of float64."""
        levels = None if self.levels is None else self.levels[j]
        if levels is None:
            return self.values[:, j]
        return _at(self.values[:, j], levels).astype(np.float64)

    def not_recorded(self, names) -> list[str]:
        """Labels of columns whose values are not here."""
        labels = labels_of(names, self.values.shape[1])
        return [labels[j] for j, kind in enumerate(self.kinds or []) if not kind]


def _record(column) -> tuple[np.ndarray, str, list[Any] | None]:
    """Values, kind and levels of a column, as :class:`RecordedInputs` has them."""
    import pandas as pd

    kind, missing = str(column.dtype), column.isna().to_numpy()
    if holds_numbers(column) and column.dtype != object:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if column.dtype.kind == "f" or (np.abs(values[~missing]) < _EXACT).all():
            return values, kind, None
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, found = column.cat.codes.to_numpy(), column.cat.categories.tolist()
        kind = _ORDERED if column.cat.ordered else "category"
    elif getattr(column.dtype, "kind", "") in "mM":
        found, codes = np.unique(column.astype(np.int64).to_numpy(), return_inverse=True)
    elif column.dtype == object:
        codes, found = _codes_of_objects(column)
    else:
        codes, found = pd.factorize(column)
    levels = [value.item() if isinstance(value, np.generic) else value for value in found]
    if not all(value is None or isinstance(value, bool | int | float | str) for value in levels):
        return np.full(len(column), np.nan), "", None
    return np.where(codes < 0, np.nan, codes), kind, levels


def _codes_of_objects(column) -> tuple[np.ndarray, list[Any]]:
    """Positions among distinct objects; 1, 1.0 and True are distinct, and so are None and NaN."""
    positions: dict[Any, int] = {}
    codes = np.empty(len(column), dtype=int)
    levels: list[Any] = []
    for row, value in enumerate(column):
        if not (value is None or isinstance(value, bool | int | float | str | np.generic)):
            return codes, [value]  # which is no level
        key = (type(value), value if value == value else "NaN")
        if key not in positions:
            positions[key] = len(levels)
            levels.append(value)
        codes[row] = positions[key]
    return codes, levels


def _restore(values: np.ndarray, kind: str, levels: list[Any] | None):
    """The column that :func:`_record` took, as a pandas.Series."""
    import pandas as pd

    if not kind:
        return pd.Series(np.full(len(values), None), dtype=object)
    if levels is None:
        return pd.Series(values).astype(kind)
    if kind in ("category", _ORDERED):
        codes = np.where(np.isnan(values), -1, values).astype(int)
        return pd.Series(pd.Categorical.from_codes(codes, levels, ordered=kind == _ORDERED))
    found = _at(values, levels)
    if kind.startswith(("datetime64", "timedelta64")):
        return pd.Series(found.astype(np.int64)).astype(kind)
    return pd.Series(found, dtype=object).astype(kind)


def _at(codes: np.ndarray, levels: list[Any]) -> np.ndarray:
    """The level of every code, (rows,) of object; None where the code is NaN."""
    known = ~np.isnan(codes)
    of_level = np.empty(len(levels), dtype=object)
    of_level[:] = levels
    found = np.full(len(codes), None, dtype=object)
    found[known] = of_level[codes[known].astype(int)]
    return found
