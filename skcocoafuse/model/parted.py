"""Rows that are standardized as they are needed: arrays as given, or parts kept elsewhere.

A standardized copy of the columns, and another one in tiles, take several times the memory of
float32 data. :class:`RawRows` holds only references to the arrays; :class:`RowsInParts` is what
rows on disk or on a cluster have in common.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from skcocoafuse._cached import cached_property
from skcocoafuse._threads import raise_if_cancelled
from skcocoafuse.model.chunks import slices
from skcocoafuse.model.design import DesignPart, Scale, each_once
from skcocoafuse.model.parameters import PARTS
from skcocoafuse.model.rows import MAX_SORTED, TILE_ROWS, RowsInMemory, random_ranks

#: Rows that are standardized at once: their tiles stay in the second-level cache.
BLOCK_ROWS = 128 * TILE_ROWS


@dataclass(frozen=True)
class Standardization:
    """How columns of numbers become design matrices, and targets standardized ones.

    Parameters
    ----------
    designs : dict of str to DesignPart
        Of columns used directly, for each of ``PARTS``.
    target : Scale
    """

    designs: dict[str, DesignPart]
    target: Scale

    def matrices(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Design matrices of rows, the same array for parts with the same columns."""

        def matrix_of(part):
            design = self.designs[part]
            return design.scale.apply(values[:, design.columns].astype(np.float64, copy=False))

        return each_once(self.designs, matrix_of)

    @cached_property
    def in_tiles(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What fills tiles: column, location and scale of each of their columns; and their parts.

        The last array is ``columns`` of :class:`~skcocoafuse.model.rows.Tiles`.
        """
        designs: list[DesignPart] = []
        ends = [0]

        def stored(part):
            designs.append(self.designs[part])
            ends.append(ends[-1] + len(designs[-1].names))
            return ends[-2:]

        where = each_once(self.designs, stored)
        return (
            np.concatenate([design.columns for design in designs]).astype(np.int64),
            np.concatenate([design.scale.loc for design in designs]),
            np.concatenate([design.scale.scale for design in designs]),
            TILE_ROWS * np.array([where[part] for part in PARTS]),
        )


class RowsInParts(ABC):
    """Rows in several parts, wherever these are; see :class:`~skcocoafuse.model.rows.Rows`.

    Parameters
    ----------
    counts : ndarray of int, shape (parts, 2)
        Number of rows of each part, and of those with a positive weight.
    total_weight : float
    """

    counts: np.ndarray
    total_weight: float

    @abstractmethod
    def map(self, function: Callable, *arguments, each: Sequence | None = None) -> list:
        """See :class:`~skcocoafuse.model.rows.Rows`."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.counts[:, 0].sum())

    def sum(self, function: Callable, *arguments) -> np.ndarray:
        """See :class:`~skcocoafuse.model.rows.Rows`."""
        return np.sum(self.map(function, *arguments), axis=0)

    def random_part(self, n: int, rng: np.random.Generator) -> RowsInMemory:
        """See :class:`~skcocoafuse.model.rows.Rows`."""
        n_counting = int(self.counts[:, 1].sum())
        return self.gathered(random_ranks(n_counting, n, rng)).rescaled(self.total_weight)

    def anchors(self, n: int) -> RowsInMemory:
        """See :class:`~skcocoafuse.model.rows.Rows`."""
        ranks = random_ranks(int(self.counts[:, 1].sum()), MAX_SORTED, np.random.default_rng(0))
        return self.gathered(ranks).anchors(n)

    def gathered(self, ranks: np.ndarray) -> RowsInMemory:
        """Rows by their sorted ranks among those of positive weight."""
        return joined(self.map(_of_ranks, each=split_ranks(self.counts, ranks)))


def split_ranks(counts: np.ndarray, ranks: np.ndarray) -> list[np.ndarray]:
    """Sorted ranks among all rows of positive weight as ranks in each part; see ``counts``."""
    edges = np.concatenate([[0], np.cumsum(counts[:, 1])])
    cuts = np.searchsorted(ranks, edges)
    return [ranks[a:b] - e for a, b, e in zip(cuts[:-1], cuts[1:], edges[:-1], strict=True)]


def _of_ranks(part, ranks: np.ndarray) -> RowsInMemory:
    return part.take(np.flatnonzero(part.weight > 0)[ranks])


def joined(parts: Sequence[RowsInMemory]) -> RowsInMemory:
    """All rows of several parts."""
    designs = {part: np.concatenate([rows.designs[part] for rows in parts]) for part in PARTS}
    y = np.concatenate([rows.y for rows in parts])
    return RowsInMemory(designs, y, np.concatenate([rows.weight for rows in parts]))


@dataclass(frozen=True)
class RawRows(RowsInParts):
    """Arrays in memory as they were given, or a memory map, standardized block by block.

    They are not copied: whoever changes them changes the rows.

    Parameters
    ----------
    values : ndarray of shape (rows, features), float32 or float64
    target : ndarray of shape (rows,)
    weight : ndarray of shape (rows,)
    standardization : Standardization
    """

    values: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    standardization: Standardization

    @cached_property
    def counts(self) -> np.ndarray:  # type: ignore[override]
        """All rows are one part."""
        return np.array([[len(self.target), np.count_nonzero(self.weight)]])

    @cached_property
    def total_weight(self) -> float:  # type: ignore[override]
        """Sum of the weights."""
        return float(self.weight.sum())

    @cached_property
    def y(self) -> np.ndarray:
        """Standardized target."""
        return self.standardization.target.apply(self.target)

    @cached_property
    def designs(self) -> dict[str, np.ndarray]:
        """Standardized design matrices of all rows: a copy, for what needs them at once."""
        return self.standardization.matrices(self.values)

    def take(self, rows: np.ndarray | slice) -> RowsInMemory:
        """A subset of the rows, standardized."""
        designs = self.standardization.matrices(self.values[rows])
        y = self.standardization.target.apply(self.target[rows])
        return RowsInMemory(designs, y, self.weight[rows])

    def reweighted(self, weight: np.ndarray) -> "RawRows":
        """The same rows with other weights."""
        return replace(self, weight=weight)

    def anchor_numbers(self, n: int) -> np.ndarray:
        """Indices of the rows of :meth:`anchors`."""
        return RowsInMemory({}, self.y, self.weight).anchor_numbers(n)

    def parts(self) -> Iterator[tuple[slice, RowsInMemory]]:
        """See :class:`~skcocoafuse.model.rows.Part`."""
        for where in slices(self.n_rows, BLOCK_ROWS):
            raise_if_cancelled()
            yield where, self.take(where)

    def map(self, function: Callable, *arguments, each: Sequence | None = None) -> list:
        """See :class:`~skcocoafuse.model.rows.Rows`."""
        return [function(self, *([] if each is None else [each[0]]), *arguments)]
