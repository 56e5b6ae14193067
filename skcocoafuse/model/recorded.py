"""Training inputs of a transformer, as plain numbers that can be pickled and written to a file."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from skcocoafuse.model.inputs import Inputs, column_of, holds_numbers, labels_of

_EXACT = 2.0**53  # smaller integers are exact in float64
_TEXT_PER_ROW = 2**10  # characters: a long text shared by rows is stored once, until it is a column
_ORDERED = "ordered category"
_UNITS = r"\[(s|ms|us|ns)(, [\w/+:-]+)?\]"
# data types by pandas' names; numbers of other types are recorded as float64
_KIND = re.compile(
    rf"bool|boolean|[Uu]?[Ii]nt\d+|[Ff]loat\d+|(bool|double|float|u?int\d+|string)\[pyarrow\]"
    rf"|object|str|string|category|{_ORDERED}|(datetime64|timedelta64){_UNITS}"
)


@dataclass(frozen=True)
class RecordedInputs:
    """The rows of a fit, for refitting a transformer and for the range of columns.

    Parameters
    ----------
    values : ndarray of float64 of shape (rows, features)
        Numbers; in a column with levels, the index of each value among them. NaN is missing.
    kinds : list of str, or None
        Data type of each column of a frame or an object array; None if all are float64. The empty
        string marks a column of values that are not recorded: lists, periods, custom objects.
    levels : list of (list or None), or None
        The distinct values of columns that are not numbers or do not fit float64.
    """

    values: np.ndarray
    kinds: list[str] | None = None
    levels: list[list[Any] | None] | None = None

    @classmethod
    def of(cls, inputs: Inputs) -> "RecordedInputs":
        """Record these inputs as transformers see them."""
        table = inputs.table
        if hasattr(table, "iloc"):
            if (table.dtypes == np.float64).all():
                return cls(table.to_numpy(copy=True))  # it may change after fit
        elif table.dtype == np.float64:
            return cls(table.copy())
        recorded = [_record(column_of(table, j)) for j in range(inputs.shape[1])]
        values, kinds, levels = zip(*recorded, strict=True)
        return cls(np.column_stack(values), list(kinds), list(levels))

    @classmethod
    def read(cls, values: np.ndarray, kinds=None, levels=None) -> "RecordedInputs":
        """The same from a file, which may contain anything.

        Raises
        ------
        ValueError
            If columns are not of a known kind, or codes and levels do not match.
        """
        if kinds is None and levels is None:
            return cls(values)
        for name, found in (("kinds", kinds), ("levels", levels)):
            if not isinstance(found, list) or len(found) != values.shape[1]:
                raise ValueError(f"{name} of inputs must be a list with an entry per column")
        for codes, kind, own in zip(values.T, kinds, levels, strict=True):
            if not isinstance(kind, str) or not _KIND.fullmatch(kind):
                raise ValueError(f"a column of inputs must be of a known kind; got {kind!r}")
            known = codes[~np.isnan(codes)]
            if own is None:
                continue
            if not (
                isinstance(own, list)
                and all(map(_is_level, own))
                and ((known >= 0) & (known < len(own)) & (known % 1 == 0)).all()
            ):
                raise ValueError(f"a column of inputs of kind {kind!r} must have codes of levels")
            lengths = np.array([len(s) if isinstance(s, str) else 0 for s in own], dtype=float)
            if lengths[known.astype(int)].sum() > _TEXT_PER_ROW * len(codes) + lengths.sum():
                raise ValueError(
                    "a column of inputs that rows share texts of must have at most "
                    f"{_TEXT_PER_ROW} characters a row"
                )
        return cls(values, kinds, levels)

    def table(self, names):
        """The rows as the transformer saw them, except for columns that are not recorded."""
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

    def n_distinct(self, names):
        """Number of distinct values in each column, a pandas.Series."""
        import pandas as pd

        return pd.DataFrame(self.values, columns=names).nunique(dropna=False)

    def not_recorded(self, names) -> list[str]:
        """Labels of columns whose values are not recorded."""
        labels = labels_of(names, self.values.shape[1])
        return [labels[j] for j, kind in enumerate(self.kinds or []) if not kind]


def _record(column) -> tuple[np.ndarray, str, list[Any] | None]:
    """Values, kind and levels of a column, as :class:`RecordedInputs` stores them."""
    import pandas as pd

    kind, missing = str(column.dtype), column.isna().to_numpy()
    if holds_numbers(column) and column.dtype != object:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if column.dtype.kind == "f" or (np.abs(values[~missing]) < _EXACT).all():
            return values, kind if _KIND.fullmatch(kind) else "float64", None
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
    if not (_KIND.fullmatch(kind) and all(map(_is_level, levels))):
        return np.full(len(column), np.nan), "", None
    return np.where(codes < 0, np.nan, codes), kind, levels


def _is_level(value) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _codes_of_objects(column) -> tuple[np.ndarray, list[Any]]:
    """Indices among distinct objects; 1, 1.0 and True are distinct, and so are None and NaN."""
    positions: dict[Any, int] = {}
    codes = np.empty(len(column), dtype=int)
    levels: list[Any] = []
    for row, value in enumerate(column):
        if not (_is_level(value) or isinstance(value, np.generic)):
            return codes, [value]  # which is not a valid level
        key = (type(value), value if value == value else "NaN")
        if key not in positions:
            positions[key] = len(levels)
            levels.append(value)
        codes[row] = positions[key]
    return codes, levels


def _restore(values: np.ndarray, kind: str, levels: list[Any] | None):
    """The column that :func:`_record` recorded, as a pandas.Series."""
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
