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
