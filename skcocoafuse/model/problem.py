"""A regression problem ready for inference: what is assumed and what was seen."""

from dataclasses import dataclass

import numpy as np

from skcocoafuse.model.spec import ModelSpec


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
        """At most ``n`` rows that count, spread evenly over the sorted target.

        The selection does not depend on the order of the rows.
        """
        rows = np.flatnonzero(self.weight > 0)
        rows = rows[np.argsort(self.y[rows], kind="stable")]
        rows = rows[np.linspace(0, len(rows) - 1, min(n, len(rows))).round().astype(int)]
        designs = {part: X[rows] for part, X in self.designs.items()}
        return Problem(self.spec, designs, self.y[rows], self.weight[rows])
