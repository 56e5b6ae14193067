"""Dask collections: workers hold the rows, and send back sums.

Parameters go out and a value and a gradient come back for every partition. Partitions are futures
with their graphs, so the scheduler computes those of a lost worker again.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask import delayed

from skcocoafuse._cached import cached_property
from skcocoafuse._threads import raise_if_cancelled
from skcocoafuse.model.inputs import column_of, holds_numbers
from skcocoafuse.model.parted import RawRows, RowsInParts, Standardization
from skcocoafuse.model.standardizing import Raw
from skcocoafuse.streams.parts import (
    call_for_part,
    numbers_of,
    own_arguments,
    raw_part,
)

_MOMENT = 1.0  # seconds between looks at whether there are workers
_MAX_ALONE = 30.0  # seconds to wait for a worker if there is none


def table_of(X, y, sample_weight) -> "DaskTable":
    """The table of Dask collections; its partitions are computed where the client is, or here.

    Raises
    ------
    ValueError, TypeError
        If the collections do not fit together.
    """
    blocks, sample = blocks_of(X)
    if y is None:
        raise ValueError("This estimator requires y to be passed, but the target y is None.")
    targets = blocks_like(y, X, blocks, "y")
    weights = [None] * len(blocks)
    if sample_weight is not None:
        weights = blocks_like(sample_weight, X, blocks, "sample_weight")
    parts = [
        delayed(_read)(*block, number)
        for number, block in enumerate(zip(blocks, targets, weights, strict=True))
    ]
    client = _client()
    workers = _Here(dask.compute(*parts)) if client is None else _Workers.of_delayed(client, parts)
    return DaskTable(workers, sample)


@dataclass(frozen=True)
class DaskTable:
    """Partitions on workers; see :class:`~skcocoafuse.model.standardizing.RawTable`.

    Parameters
    ----------
    workers : object with ``map`` and ``release``
    sample_rows : ndarray or pandas.DataFrame
        A few rows of the same kind, of made-up values.
    """

    workers: Any
    sample_rows: Any

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return self.sample_rows.shape[1]

    @property
    def numeric_columns(self) -> np.ndarray:
        """Which features are numbers."""
        return _numeric(self.sample_rows)

    def sample(self):
        """A few rows of the same kind."""
        return self.sample_rows

    def map(self, function: Callable, *arguments, each: Sequence | None = None) -> list:
        """See :class:`~skcocoafuse.model.standardizing.RawTable`."""
        return self.workers.map(function, arguments, each)

    def rows(self, standardization: Standardization, counts, weight: float) -> "DaskRows":
        """The standardized rows."""
        return DaskRows(self.workers.each(_rows_of, standardization), counts, weight)

    def release(self) -> None:
        """Cancel what is running, and let workers forget the partitions."""
        self.workers.release()


@dataclass(frozen=True)
class DaskRows(RowsInParts):
    """Partitions on workers, standardized there as they are needed.

    Parameters
    ----------
    workers : object with ``map``
        Of partitions that are :class:`~skcocoafuse.model.parted.RawRows`.
    counts, total_weight
        As in :class:`~skcocoafuse.model.parted.RowsInParts`.
    """

    workers: Any
    counts: np.ndarray
    total_weight: float

    def map(self, function: Callable, *arguments, each: Sequence | None = None) -> list:
        """See :class:`~skcocoafuse.model.rows.Rows`."""
        return self.workers.map(function, arguments, each)

    def sum(self, function: Callable, *arguments) -> np.ndarray:
        """See :class:`~skcocoafuse.model.rows.Rows`: added up by the workers."""
        return self.workers.map(function, arguments, total=True)


def _rows_of(raw: Raw, standardization: Standardization) -> RawRows:
    return RawRows(*raw, standardization)


def _of_group(
    function: Callable, parts: Sequence, numbers, own: list, arguments: tuple, total: bool
):
    """Results for some partitions in this process, or their sum."""
    found = [
        call_for_part(function, part, extra, arguments, _where(number))
        for part, number, extra in zip(parts, numbers, own, strict=True)
    ]
    return np.sum(found, axis=0) if total else found


class _Here:
    """Partitions in this process, if there is no cluster."""

    def __init__(self, parts: Sequence):
        self._parts = parts

    def each(self, function: Callable, *arguments) -> "_Here":
        """Functions of all partitions in their place."""
        return _Here([function(part, *arguments) for part in self._parts])

    def map(self, function: Callable, arguments: tuple, each=None, total: bool = False):
        """Results for all partitions, in order, or their sum."""
        own = own_arguments(each, len(self._parts))
        return _of_group(function, self._parts, range(len(own)), own, arguments, total)

    def release(self) -> None:
        """Nothing is running."""


class _Workers:
    """Partitions on the workers of a cluster.

    There is one task for every thread of the cluster, not for every partition: each takes
    milliseconds of the scheduler, which is what limits a cluster.
    """

    def __init__(self, client, parts: list):
        self._client = client
        self._parts = parts
        self._made: list[_Workers] = []

    @classmethod
    def of_delayed(cls, client, parts: list) -> "_Workers":
        """Start to compute delayed partitions."""
        return cls(client, client.compute(parts))

    def each(self, function: Callable, *arguments) -> "_Workers":
        """Functions of all partitions, which stay on their workers."""
        submit = self._client.submit
        parts = [submit(function, part, *arguments, pure=False) for part in self._parts]
        self._made.append(_Workers(self._client, parts))
        return self._made[-1]

    def map(self, function: Callable, arguments: tuple, each=None, total: bool = False):
        """Results for all partitions, in order, or their sum.

        Raises
        ------
        RuntimeError
            If no worker is left, or the cluster lost what it cannot compute again.
        """
        own = own_arguments(each, len(self._parts))
        futures = [
            self._client.submit(
                _of_group,
                function,
                [self._parts[number] for number in group],
                group,
                [own[number] for number in group],
                arguments,
                total,
                pure=False,
            )
            for group in self._groups
        ]
        try:
            found = self._gathered(futures)
        except BaseException:
            self._client.cancel(futures)
            raise
        if total:
            return np.sum(found, axis=0)
        numbers = [number for group in self._groups for number in group]
        results = [result for of_group in found for result in of_group]
        return [results[k] for k in np.argsort(numbers)]

    def release(self) -> None:
        """Cancel the partitions, and all that is computed from them."""
        if self._client.status == "running":
            self._client.cancel(
                [*(part for made in self._made for part in made._parts), *self._parts]
            )

    @cached_property
    def _groups(self) -> list[list[int]]:
        """Numbers of the partitions of each task: those of a worker, divided among its threads."""
        with _failures_explained():
            self._wait(self._parts)
        threads, where = self._client.nthreads(), self._client.who_has(self._parts)
        holders: dict[str, list[int]] = {}
        for number, part in enumerate(self._parts):
            at = where.get(part.key) or ("",)  # lost since then
            holders.setdefault(at[0], []).append(number)
        return [
            numbers[k::n]
            for worker, numbers in holders.items()
            for n in [threads.get(worker, 1)]
            for k in range(min(n, len(numbers)))
        ]

    def _gathered(self, futures: list) -> list:
        with _failures_explained():
            self._wait(futures)
            return self._client.gather(futures)

    def _wait(self, futures: list) -> None:
        from distributed import wait

        alone_since = None
        while True:
            raise_if_cancelled()
            try:
                wait(futures, timeout=_MOMENT)
                return
            except TimeoutError:
                alone_since = self._alone_since(alone_since)

    def _alone_since(self, before: float | None) -> float | None:
        if self._client.status == "running" and self._client.nthreads():
            return None
        since = time.monotonic() if before is None else before
        if time.monotonic() - since > _MAX_ALONE:
            raise RuntimeError(
                f"The Dask cluster has had no worker for {_MAX_ALONE:g} seconds. The estimator is "
                "as before; add workers and fit again."
            )
        return since


@contextmanager
def _failures_explained():
    """Failures of the cluster, not of what it computes, as RuntimeErrors that say what to do."""
    from distributed.comm import CommClosedError
    from distributed.scheduler import KilledWorker

    try:
        yield
    except (CancelledError, CommClosedError, KilledWorker) as error:
        raise RuntimeError(
            f"The Dask cluster failed during the fit: {error!r}. The estimator is as before; fit "
            "again once the cluster is well."
        ) from error


def _client():
    """The current client of a cluster, or None."""
    try:
        from distributed import get_client

        return get_client()
    except (ImportError, ValueError):
        return None


def _where(number: int) -> str:
    return f"partition {number} of the Dask collection"


# -- partitions ------------------------------------------------------------------------------


def blocks_of(X) -> tuple[list, Any]:
    """Delayed partitions of X with all columns, and a few rows of its kind.

    Raises
    ------
    ValueError
        If X is not two-dimensional.
    TypeError
        If X is not a Dask array or DataFrame.
    """
    if isinstance(X, da.Array):
        if X.ndim != 2:
            raise ValueError(f"Expected 2D array, got {X.ndim}D array instead: X is {X!r}.")
        if np.isnan(X.shape[1]):
            raise ValueError(
                "The number of columns of X is unknown; call X.compute_chunk_sizes() first."
            )
        whole = X.rechunk({1: -1}) if X.numblocks[1] > 1 else X
        return list(whole.to_delayed().ravel()), np.ones((2, X.shape[1]), X.dtype)
    if hasattr(X, "partitions") and hasattr(X, "columns"):
        return X.to_delayed(), X._meta_nonempty
    raise TypeError(
        "If y or sample_weight is a Dask collection, X must be a Dask array or DataFrame; got "
        f"{type(X).__name__}. Use dask.array.from_array(X) or y.compute()."
    )


def blocks_like(values, X, blocks: list, name: str) -> list:
    """Delayed partitions of a vector, the same rows as those of X.

    Raises
    ------
    ValueError
        If the numbers of rows or of partitions differ, or cannot be known.
    """
    known = isinstance(X, da.Array) and not np.isnan(X.shape[0])
    if not hasattr(values, "dask"):
        if not known:
            raise ValueError(
                f"{name} is in memory, but the sizes of the partitions of X are unknown. Pass a "
                f"Dask collection with the partitions of X, or call X.compute_chunk_sizes()."
            )
        values = da.from_array(np.asarray(values), chunks=-1)
    if isinstance(values, da.Array):
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1:
            raise ValueError(f"{name} should be a 1d array, got an array of {values.ndim}d.")
        if known and not np.isnan(values.shape[0]):
            if values.shape[0] != X.shape[0]:
                raise ValueError(
                    "Found input variables with inconsistent numbers of samples: "
                    f"{[X.shape[0], values.shape[0]]}"
                )
            values = values.rechunk((X.chunks[0],))
    found = list(np.ravel(np.array(values.to_delayed(), dtype=object)))
    if len(found) != len(blocks):
        raise ValueError(
            f"{name} has {len(found)} partitions and X {len(blocks)}, of unknown sizes. Both must "
            "have the same rows in each: derive them from one collection, or repartition."
        )
    return found


def _read(X, y, weight, number: int) -> Raw:
    """A partition as numbers, on the worker that has it."""
    numeric = _numeric(X)
    if hasattr(X, "iloc"):
        columns = [
            column_of(X, j).to_numpy(na_value=np.nan) if is_number else None
            for j, is_number in enumerate(numeric)
        ]
        values = numbers_of(columns)
    else:
        values = np.asarray(X)
        if values.dtype != np.float32:
            values = values.astype(np.float64, copy=False)
    return call_for_part(raw_part, values, (), (_vector(y), _vector(weight)), _where(number))


def _vector(values):
    """A vector, or a frame of one column, as an array."""
    return values if values is None else np.asarray(values)


def _numeric(rows) -> np.ndarray:
    if not hasattr(rows, "iloc"):
        return np.ones(rows.shape[1], dtype=bool)
    return np.array([holds_numbers(column_of(rows, j)) for j in range(rows.shape[1])])
