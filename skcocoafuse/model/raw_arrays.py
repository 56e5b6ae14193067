"""Arrays in memory, or a memory map, as a table of rows in parts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from skcocoafuse._threads import raise_if_cancelled
from skcocoafuse.model.chunks import slices
from skcocoafuse.model.parted import RawRows, Standardization
from skcocoafuse.model.standardizing import Raw

_PART_ROWS = 65_536  # of the passes that standardize


@dataclass(frozen=True)
class RawArrays:
    """Values (rows, features), target and weight (rows,), as given; not copied.

    See :class:`~skcocoafuse.model.standardizing.RawTable`.
    """

    values: np.ndarray
    target: np.ndarray
    weight: np.ndarray

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return self.values.shape[1]

    @property
    def numeric_columns(self) -> np.ndarray:
        """All of them."""
        return np.ones(self.n_features, dtype=bool)

    def sample(self) -> np.ndarray:
        """The first rows."""
        return self.values[:2]

    def map(self, function: Callable, *arguments, each: Sequence | None = None) -> list:
        """See :class:`~skcocoafuse.model.standardizing.RawTable`."""
        found = []
        for number, part in enumerate(slices(len(self.target), _PART_ROWS)):
            raise_if_cancelled()
            raw = Raw(self.values[part], self.target[part], self.weight[part])
            own = [] if each is None else [each[number]]
            found.append(function(raw, *own, *arguments))
        return found

    def rows(self, standardization: Standardization, counts, weight: float) -> RawRows:
        """The standardized rows; all are one part."""
        return RawRows(self.values, self.target, self.weight, standardization)
