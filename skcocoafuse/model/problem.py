"""A regression problem ready for inference: what is assumed and what was seen."""

from dataclasses import dataclass, replace

import numpy as np

from skcocoafuse.model.spec import ModelSpec


def evenly(n: int, most: int) -> np.ndarray:
    """Numbers of at most ``most`` of n things, spread evenly from the first to the last."""
    return np.linspace(0, n - 1, min(most, n)).round().astype(int)


@dataclass(frozen=True)
class Problem:
    """Specification and standardised data.

    Parameters
    ----------
    spec : ModelSpec
    designs : dict of str to ndarray
        Design matrices ``"expert"``, ``"gate"`` and ``"behavior"``, (rows, columns) each.
    y : ndarray of shape (rows,)
        Standardised target.
    weight : ndarray of shape (rows,)
        Factor of each row's log likelihood.
    """

    spec: ModelSpec
    designs: dict[str, np.ndarray]
    y: np.ndarray
    weight: np.ndarray

    def anchors(self, n: int) -> "Problem":
        """The problem with the rows of :meth:`anchor_rows` only."""
        return self.rows(self.anchor_rows(n))

    def anchor_rows(self, n: int) -> np.ndarray:
        """Numbers of at most ``n`` rows that count, spread evenly over the sorted target.

        The selection does not depend on the order of the rows.
        """
        rows = np.flatnonzero(self.weight > 0)
        rows = rows[np.argsort(self.y[rows], kind="stable")]
        return rows[evenly(len(rows), n)]

    def random_part(self, n: int, rng: np.random.Generator) -> "Problem":
        """The problem itself if at most ``n`` rows count, else ``n`` of them for all.

        Weights are scaled so that they keep their sum.
        """
        counting = np.flatnonzero(self.weight > 0)
        if len(counting) <= n:
            return self
        part = self.rows(np.sort(rng.choice(counting, n, replace=False)))
        return replace(part, weight=part.weight * (self.weight.sum() / part.weight.sum()))

    def without(self, row: int, weight: float) -> "Problem":
        """The problem with so much less weight on a row."""
        rest = self.weight.copy()
        rest[row] -= weight
        return replace(self, weight=rest)

    def rows(self, rows: np.ndarray) -> "Problem":
        """The same problem with some of its rows."""
        designs = {part: X[rows] for part, X in self.designs.items()}
        return Problem(self.spec, designs, self.y[rows], self.weight[rows])
