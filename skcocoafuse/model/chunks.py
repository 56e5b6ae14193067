"""Processing of many rows in chunks: bounded memory, several threads, checks for interrupts."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from joblib import effective_n_jobs

from skcocoafuse._threads import in_threads
from skcocoafuse.model.rows import Part

# Bytes that all chunks may take together. Results for all rows, which grow with the rows, often
# take more; with less, chunks are so small that Python's overhead becomes noticeable.
MAX_MEMORY = 256_000_000
# Arrays of the largest size that numpy expressions hold at once: a mixture's log weights, means
# and variances, results computed from them, and intermediate terms.
_ARRAYS = 8
_BYTES = np.dtype(np.float64).itemsize


def rows_per_chunk(
    numbers_per_row: int,
    *,
    n_arrays: int = _ARRAYS,
    max_rows: int | None = None,
    n_threads: int = 1,
    max_memory: int | None = None,
) -> int:
    """Rows that fit into the memory of one thread, at least one; see :func:`map_chunks`."""
    memory = MAX_MEMORY if max_memory is None else max_memory
    row = n_threads * n_arrays * _BYTES * max(1, numbers_per_row)
    size = max(1, int(memory // row))
    return size if max_rows is None else min(size, max_rows)


def map_chunks(
    function: Callable,
    arrays: Mapping[str, np.ndarray],
    numbers_per_row: int,
    *,
    n_jobs: int | None = 1,
    **limits,
) -> list:
    """Results of a function for chunks of rows, in their order.

    Parameters
    ----------
    function : callable
        ``function(rows, part)``, called with a slice and a dict of the arrays' rows in it.
    arrays : mapping of str to ndarray of shape (rows, ...)
        For example, design matrices.
    numbers_per_row : int
        Numbers per row in the largest temporary array of the function.
    n_jobs : int or None, default=1
        Number of threads, as elsewhere in scikit-learn. They share the memory.
    n_arrays : int, default=8
        Number of arrays of that size that are held at once.
    max_rows : int, optional
        Maximum number of rows in a chunk, however much memory is available.
    max_memory : int, optional
        Bytes that chunks of all threads may take together; ``MAX_MEMORY`` by default. A chunk has
        at least one row.

    Returns
    -------
    list
        After the first exception or an interrupt, no further chunk is started.
    """
    n_threads = effective_n_jobs(n_jobs)
    size = rows_per_chunk(numbers_per_row, n_threads=n_threads, **limits)
    n_rows = len(next(iter(arrays.values())))

    def chunk(rows: slice):
        return function(rows, {name: array[rows] for name, array in arrays.items()})

    return in_threads(chunk, slices(n_rows, size), n_threads)


def slices(n: int, size: int) -> Iterator[slice]:
    """The numbers 0 to n - 1 in order, ``size`` at a time."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def map_rows(function: Callable, rows: Part, numbers_per_row: int, **limits) -> list:
    """:func:`map_chunks` over the design matrices of rows."""
    return [
        result
        for where, part in rows.parts()
        for result in map_chunks(
            shifted(function, where.start), part.designs, numbers_per_row, **limits
        )
    ]


def shifted(function: Callable, start: int) -> Callable:
    """A function of a slice of all rows as one of a slice of the rows from ``start`` on."""

    def of_part(rows: slice, *arrays):
        return function(slice(start + rows.start, start + rows.stop), *arrays)

    return of_part
