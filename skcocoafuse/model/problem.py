"""A regression problem ready for inference: model assumptions and data."""

from dataclasses import dataclass, replace

import numpy as np

from skcocoafuse.model.rows import RowsInMemory
from skcocoafuse.model.spec import ModelSpec


@dataclass(frozen=True)
class Problem:
    """Model assumptions and data.

    Parameters
    ----------
    spec : ModelSpec
    rows : Rows
        Standardized; in memory if ``designs``, ``y`` and ``weight`` are used.
    """

    spec: ModelSpec
    rows: RowsInMemory

    @property
    def designs(self) -> dict[str, np.ndarray]:
        """Design matrices of all parts, (rows, columns) each."""
        return self.rows.designs

    @property
    def y(self) -> np.ndarray:
        """Standardized target, (rows,)."""
        return self.rows.y

    @property
    def weight(self) -> np.ndarray:
        """Factor of each row's log likelihood, (rows,)."""
        return self.rows.weight

    def anchors(self, n: int) -> "Problem":
        """The problem with only the anchor rows, see :class:`Rows`."""
        return replace(self, rows=self.rows.anchors(n))

    def random_part(self, n: int, rng: np.random.Generator) -> "Problem":
        """The problem itself if at most ``n`` rows count, else a random subset of ``n`` of them."""
        part = self.rows.random_part(n, rng)
        return self if part is self.rows else replace(self, rows=part)

    def take(self, rows: np.ndarray) -> "Problem":
        """The problem with some of its rows, by their numbers."""
        return replace(self, rows=self.rows.take(rows))

    def reweighted(self, weight: np.ndarray) -> "Problem":
        """The problem with other row weights."""
        return replace(self, rows=self.rows.reweighted(weight))

    def without(self, row: int, weight: float) -> "Problem":
        """The problem with the weight of a row reduced by ``weight``."""
        rest = self.weight.copy()
        rest[row] -= weight
        return self.reweighted(rest)
