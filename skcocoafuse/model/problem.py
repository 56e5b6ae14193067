"""A regression problem ready for inference: what is assumed and what was seen."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from skcocoafuse._threads import raise_if_cancelled
from skcocoafuse.model.rows import RowsInMemory
from skcocoafuse.model.spec import ModelSpec

BLOCK_NUMBERS = 4_000_000  # numbers in one temporary array of a block of rows


def row_blocks(
    designs: dict[str, np.ndarray], size: int
) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
    """Design matrices ``size`` rows (at least one) at a time, to bound memory."""
    n_rows, size = len(designs["expert"]), max(1, size)
    for start in range(0, n_rows, size):
        raise_if_cancelled()
        rows = slice(start, min(start + size, n_rows))
        yield rows, {part: X[rows] for part, X in designs.items()}


@dataclass(frozen=True)
class Problem:
    """What is assumed, and what was seen.

    Parameters
    ----------
    spec : ModelSpec
    rows : Rows
        Standardised; in memory wherever ``designs``, ``y`` and ``weight`` are asked for.
    """

    spec: ModelSpec
    rows: RowsInMemory

    @property
    def designs(self) -> dict[str, np.ndarray]:
        """Design matrices of all parts, (rows, columns) each."""
        return self.rows.designs

    @property
    def y(self) -> np.ndarray:
        """Standardised target, (rows,)."""
        return self.rows.y

    @property
    def weight(self) -> np.ndarray:
        """Factor of each row's log likelihood, (rows,)."""
        return self.rows.weight

    def anchors(self, n: int) -> "Problem":
        """The problem with the anchor rows only, see :class:`Rows`."""
        return replace(self, rows=self.rows.anchors(n))

    def random_part(self, n: int, rng: np.random.Generator) -> "Problem":
        """The problem itself if at most ``n`` rows count, else with ``n`` of them for all."""
        part = self.rows.random_part(n, rng)
        return self if part is self.rows else replace(self, rows=part)

    def take(self, rows: np.ndarray) -> "Problem":
        """The problem with some of its rows, by their numbers."""
        return replace(self, rows=self.rows.take(rows))

    def reweighted(self, weight: np.ndarray) -> "Problem":
        """The problem with other row weights."""
        return replace(self, rows=self.rows.reweighted(weight))

    def without(self, row: int, weight: float) -> "Problem":
        """The problem with so much less weight on a row."""
        rest = self.weight.copy()
        rest[row] -= weight
        return self.reweighted(rest)
