"""A Parquet dataset, read batch by batch in every pass."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from skcocoafuse._threads import raise_if_cancelled
from skcocoafuse.model.parted import RawRows, RowsInParts, Standardization
from skcocoafuse.model.standardizing import Raw
from skcocoafuse.streams.parts import (
    call_for_part,
    numbers_of,
    own_arguments,
    raw_part,
)

_CHANGED = "The Parquet dataset has changed during the fit."
_BATCH_ROWS = 131_072  # ten columns of them, decoded and standardized, take 20 MB


@dataclass(frozen=True)
class ParquetTable:
    """Columns of a dataset; see :class:`~skcocoafuse.model.standardizing.RawTable`.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
    names : ndarray of str
        Of the features.
    target : str
    weight : str or None
    """

    dataset: ds.Dataset
    names: np.ndarray
    target: str
    weight: str | None

    @classmethod
    def of(cls, X, y, sample_weight, features) -> "ParquetTable":
        """The table that ``fit`` is asked for.

        Features are the columns that all parts of the model name, or else all columns but the
        target and the weights.

        Raises
        ------
        TypeError
            If ``y`` or ``sample_weight`` is not the name of a column.
        ValueError
            If there is no such column, or the target or weights are not numbers.
        """
        dataset = dataset_of(X)
        for name, argument in ((y, "y"), (sample_weight, "sample_weight")):
            if name is None and argument == "sample_weight":
                continue
            if not isinstance(name, str):
                raise TypeError(
                    f"With a Parquet dataset, {argument} is the name of a column; got {name!r}."
                )
            if name not in dataset.schema.names:
                raise ValueError(
                    f"{argument}={name!r} is not a column of the dataset, which has "
                    f"{dataset.schema.names}."
                )
            kind = dataset.schema.field(name).type
            if not _is_number(kind):
                raise ValueError(f"{argument}={name!r} must be a column of numbers; it is {kind}.")
        others = [name for name in dataset.schema.names if name not in (y, sample_weight)]
        named = [selection for selection in features if _names(selection)]
        wanted = {name for selection in named for name in selection}
        if len(named) == len(features) and wanted and wanted <= set(others):
            others = [name for name in others if name in wanted]
        return cls(dataset, np.array(others, dtype=object), y, sample_weight)

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return len(self.names)

    @property
    def numeric_columns(self) -> np.ndarray:
        """Which features are numbers."""
        schema = self.dataset.schema
        return np.array([_is_number(schema.field(name).type) for name in self.names])

    def sample(self):
        """The first rows, as a pandas.DataFrame.

        Raises
        ------
        ValueError
            If there are none.
        """
        first = next(iter(batches_of(self.dataset, list(self.names), _BATCH_ROWS)), None)
        if first is None:
            raise ValueError("The Parquet dataset has no rows.")
        return first[:2].to_pandas()

    def map(self, function: Callable, *arguments, each: Sequence | None = None) -> list:
        """See :class:`~skcocoafuse.model.standardizing.RawTable`; parts are batches."""
        found: list = []
        start = 0
        for batch in self._batches():
            if each is not None and len(found) == len(each):
                raise RuntimeError(_CHANGED)
            where = f"rows {start} to {start + batch.num_rows - 1} of the dataset"
            own = () if each is None else (each[len(found)],)
            found.append(call_for_part(self._use, batch, (function, *own), arguments, where))
            start += batch.num_rows
        return found

    def rows(self, standardization: Standardization, counts, weight: float) -> "ParquetRows":
        """The standardized rows."""
        return ParquetRows(self, standardization, counts, weight)

    def _use(self, batch: pa.RecordBatch, function: Callable, *arguments):
        """The function of a batch as numbers."""
        columns = [
            _numbers(batch.column(j)) if is_number else None
            for j, is_number in enumerate(self.numeric_columns)
        ]
        weight = None if self.weight is None else _numbers(batch.column(len(columns) + 1))
        raw = raw_part(numbers_of(columns), _numbers(batch.column(len(columns))), weight)
        return function(raw, *arguments)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        names = [*self.names, self.target, *([] if self.weight is None else [self.weight])]
        return batches_of(self.dataset, names, _BATCH_ROWS)


@dataclass(frozen=True)
class ParquetRows(RowsInParts):
    """The rows of a table, standardized as they are read; parts are batches.

    Parameters
    ----------
    table : ParquetTable
    standardization : Standardization
    counts, total_weight
        As in :class:`~skcocoafuse.model.parted.RowsInParts`.
    """

    table: ParquetTable
    standardization: Standardization
    counts: np.ndarray
    total_weight: float

    def map(self, function: Callable, *arguments, each: Sequence | None = None) -> list:
        """See :class:`~skcocoafuse.model.rows.Rows`.

        Raises
        ------
        RuntimeError
            If the dataset has changed since the first pass.
        """
        own = own_arguments(each, len(self.counts))
        found = self.table.map(_on_rows, self.standardization, function, arguments, each=own)
        if len(found) != len(self.counts):
            raise RuntimeError(_CHANGED)
        return found


def _on_rows(raw: Raw, own: tuple, standardization, function: Callable, arguments: tuple):
    return function(RawRows(*raw, standardization), *own, *arguments)


def batches_of(dataset: ds.Dataset, columns: list[str], most: int) -> Iterator[pa.RecordBatch]:
    """The rows of a dataset in their order, at most so many at a time.

    Row group by row group where fragments can be had: a scan of the whole dataset reads far ahead
    of a slower user, up to gigabytes, and Arrow's own allocator keeps what it has had.
    """
    options = {
        "columns": columns,
        "batch_size": most,
        "batch_readahead": 1,
        "memory_pool": pa.system_memory_pool(),
    }
    scans: Iterable
    try:
        groups = [group for part in dataset.get_fragments() for group in part.split_by_row_group()]
        scans = (group.to_batches(schema=dataset.schema, **options) for group in groups)
    except (ValueError, AttributeError):  # filtered, or not of Parquet
        scans = [dataset.to_batches(fragment_readahead=1, **options)]
    for scan in scans:
        for batch in scan:
            raise_if_cancelled()
            if batch.num_rows:
                yield batch


def dataset_of(source) -> ds.Dataset:
    """The dataset at a path, or the dataset itself.

    Raises
    ------
    ValueError
        If there is no such file, or it is no Parquet.
    TypeError
        For another type.
    """
    if isinstance(source, ds.Dataset):
        return source
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            "X must be an array, a DataFrame, the path of a Parquet file or folder, or a "
            f"pyarrow.dataset.Dataset; got {type(source).__name__}."
        )
    try:
        return ds.dataset(os.fspath(source), format="parquet")
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise ValueError(f"X={os.fspath(source)!r} is no Parquet dataset: {error}") from error


def _names(selection) -> bool:
    """Whether a selection of features is a list of names, or selects nothing."""
    return isinstance(selection, list | tuple) and all(isinstance(n, str) for n in selection)


def _is_number(kind: pa.DataType) -> bool:
    tests = pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_decimal
    return any(test(kind) for test in tests)


def _numbers(column: pa.Array) -> np.ndarray:
    """A column as floats, NaN where it is null."""
    kind = pa.float32() if column.type == pa.float32() else pa.float64()
    return pc.cast(column, kind).to_numpy(zero_copy_only=False)
