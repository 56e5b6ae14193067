"""The rows of a problem: all that inference sees of the data, wherever they are stored.

The likelihood is a sum over rows, so an implementation that stores rows in parts (a memory map,
the partitions of a cluster) can add up the contributions of the parts. Engines, diagnostics and
exports access rows only through the protocol :class:`Rows`, whatever the implementation.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from skcocoafuse._cached import cached_property
from skcocoafuse.model.parameters import PARTS

#: Rows in a tile: 64 numbers of a column are half a kilobyte, so everything an expert needs of
#: a tile stays in the first-level cache.
TILE_ROWS = 64
#: Rows among which anchors are looked for.
MAX_SORTED = 100_000


class Part(Protocol):
    """Some of the rows, in this process: :class:`RowsInMemory`, or arrays as they were given.

    Attributes
    ----------
    n_rows : int
    y, weight : ndarray of shape (n_rows,)
    """

    @property
    def n_rows(self) -> int: ...  # noqa: D102

    @property
    def y(self) -> np.ndarray: ...  # noqa: D102

    @property
    def weight(self) -> np.ndarray: ...  # noqa: D102

    def take(self, rows: np.ndarray | slice) -> "RowsInMemory":
        """A subset of the rows, by index."""

    def parts(self) -> Iterator[tuple[slice, "RowsInMemory"]]:
        """All rows in their order, piece by piece: which rows they are, and the rows themselves."""


class Rows(Protocol):
    """Standardized rows: a design matrix for each part, a target and a weight.

    Attributes
    ----------
    n_rows : int
        Number of rows, including those of weight 0.
    total_weight : float
    """

    @property
    def n_rows(self) -> int: ...  # noqa: D102

    @property
    def total_weight(self) -> float: ...  # noqa: D102

    def map(self, function: Callable, *arguments, each: Sequence | None = None) -> list:
        """Results of ``function(part, *arguments)`` for all parts, in the order of the rows.

        With ``each``, one value per part, of ``function(part, own, *arguments)``. ``function`` is
        defined at module level, so that it can be pickled; parts are :class:`Part`.
        """

    def sum(self, function: Callable, *arguments) -> np.ndarray:
        """Sum of the arrays that :meth:`map` returns."""

    def anchors(self, n: int) -> "RowsInMemory":
        """At most ``n`` rows of positive weight, spread evenly over the sorted target.

        The selection does not depend on the order of up to ``MAX_SORTED`` rows; of more, a random
        subset of this size is sorted.
        """

    def random_part(self, n: int, rng: np.random.Generator) -> "RowsInMemory":
        """All rows if at most ``n`` have positive weight, else a random subset of ``n`` of these.

        Weights are rescaled to keep their sum.
        """


def evenly_spaced(n: int, most: int) -> np.ndarray:
    """At most ``most`` of the indices 0 to n - 1, spread evenly from the first to the last."""
    return np.linspace(0, n - 1, min(most, n)).round().astype(int)


def random_ranks(n: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """At most ``most`` of the numbers 0 to n - 1 at random, sorted."""
    if n <= most:
        return np.arange(n)
    return np.sort(rng.choice(n, most, replace=False))


class Tiles(NamedTuple):
    """Rows as machine code processes them: ``TILE_ROWS`` at a time, padded with rows of weight 0.

    Parameters
    ----------
    X : ndarray of shape (tiles, columns * TILE_ROWS)
        The columns of all parts, part by part and column by column.
    columns : ndarray of int, shape (parts, 2)
        Index of the first number of every part's columns in a tile, and of the first after them.
        Parts that are the same array have the same columns.
    y, weight : ndarray of shape (tiles, TILE_ROWS)
    """

    X: np.ndarray
    columns: np.ndarray
    y: np.ndarray
    weight: np.ndarray


def in_tiles(*designs: np.ndarray) -> np.ndarray:
    """Matrices (rows, columns) side by side in tiles, (tiles, columns * TILE_ROWS), zero-padded."""
    n_rows, n_columns = len(designs[0]), sum(X.shape[1] for X in designs)
    n_tiles = -(-n_rows // TILE_ROWS)
    padded = np.zeros((n_tiles * TILE_ROWS, n_columns))  # np.pad is slower for few rows
    np.concatenate(designs, axis=1, out=padded[:n_rows])
    tiles = padded.reshape(n_tiles, TILE_ROWS, n_columns).transpose(0, 2, 1)
    return tiles.reshape(n_tiles, n_columns * TILE_ROWS)


def designs_in_tiles(designs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """``X`` and ``columns`` of :class:`Tiles`, with an array that is that of several parts once."""
    stored: list[np.ndarray] = []
    columns, first = np.empty((len(PARTS), 2), dtype=np.int64), [0]
    for own, part in zip(columns, PARTS, strict=True):
        matrix = designs[part]
        at = next((k for k, other in enumerate(stored) if _same(matrix, other)), len(stored))
        if at == len(stored):
            stored.append(matrix)
            first.append(first[-1] + matrix.shape[1] * TILE_ROWS)
        own[:] = first[at], first[at + 1]
    return in_tiles(*stored), columns


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays are views of the same numbers."""
    if one.shape != other.shape or one.strides != other.strides:
        return False
    return one.__array_interface__["data"] == other.__array_interface__["data"]


@dataclass(frozen=True)
class RowsInMemory:
    """Rows as arrays.

    Parameters
    ----------
    designs : dict of str to ndarray
        A design matrix (rows, columns) for each of ``PARTS``; the same array for parts with the
        same inputs saves memory and time.
    y : ndarray of shape (rows,)
        Standardized target.
    weight : ndarray of shape (rows,)
        Factor of each row's log likelihood.
    """

    designs: dict[str, np.ndarray]
    y: np.ndarray
    weight: np.ndarray

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.y)

    @cached_property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return float(self.weight.sum())

    @cached_property
    def tiles(self) -> Tiles:
        """The rows in tiles, for machine code."""
        vectors = in_tiles(self.y[:, None]), in_tiles(self.weight[:, None])
        return Tiles(*designs_in_tiles(self.designs), *vectors)

    def take(self, rows: np.ndarray | slice) -> "RowsInMemory":
        """A subset of the rows, by index."""
        designs = {part: X[rows] for part, X in self.designs.items()}
        return RowsInMemory(designs, self.y[rows], self.weight[rows])

    def reweighted(self, weight: np.ndarray) -> "RowsInMemory":
        """The same rows with other weights."""
        return replace(self, weight=weight)

    def rescaled(self, total_weight: float) -> "RowsInMemory":
        """The same rows with weights that sum to ``total_weight``."""
        return self.reweighted(self.weight * (total_weight / self.total_weight))

    def parts(self) -> Iterator[tuple[slice, "RowsInMemory"]]:
        """See :class:`Part`: all rows at once."""
        yield slice(0, self.n_rows), self

    # -- the protocol ----------------------------------------------------------------------

    def map(self, function: Callable, *arguments, each: Sequence | None = None) -> list:
        """See :class:`Rows`: all rows are one part."""
        return [function(self, *([] if each is None else [each[0]]), *arguments)]

    def sum(self, function: Callable, *arguments) -> np.ndarray:
        """``function(self, *arguments)``: all rows are one part."""
        return function(self, *arguments)

    def anchors(self, n: int) -> "RowsInMemory":
        """See :class:`Rows`."""
        return self.take(self.anchor_numbers(n))

    def anchor_numbers(self, n: int) -> np.ndarray:
        """Indices of the rows of :meth:`anchors`."""
        rows = np.flatnonzero(self.weight > 0)
        rows = rows[random_ranks(len(rows), MAX_SORTED, np.random.default_rng(0))]
        rows = rows[np.argsort(self.y[rows], kind="stable")]
        return rows[evenly_spaced(len(rows), n)]

    def random_part(self, n: int, rng: np.random.Generator) -> "RowsInMemory":
        """See :class:`Rows`."""
        counting = np.flatnonzero(self.weight > 0)
        if len(counting) <= n:
            return self
        part = self.take(counting[random_ranks(len(counting), n, rng)])
        return part.rescaled(self.total_weight)
