"""Warnings that say what was seen and what to try."""

from sklearn.exceptions import ConvergenceWarning

__all__ = [
    "ChainMixingWarning",
    "CollapsedExpertWarning",
    "DivergenceWarning",
    "InfluentialRowsWarning",
    "KernelFallbackWarning",
    "PoorApproximationWarning",
    "SelectionAtEdgeWarning",
    "SeparateModesWarning",
    "UncertainSelectionWarning",
]


class DivergenceWarning(ConvergenceWarning):
    """Trajectories of the sampler left the region where its arithmetic is accurate."""


class ChainMixingWarning(ConvergenceWarning):
    """Chains disagree, or moved too slowly, on quantities that do not depend on labels."""


class CollapsedExpertWarning(ConvergenceWarning):
    """An expert is responsible for practically none of the data."""


class PoorApproximationWarning(ConvergenceWarning):
    """An approximation of the posterior is too far from it to be corrected by weights."""


class SeparateModesWarning(ConvergenceWarning):
    """Chains settled in different modes; predictions weight them by stacking."""


class InfluentialRowsWarning(ConvergenceWarning):
    """The posterior without some rows is too far from the draws for importance weights."""


class SelectionAtEdgeWarning(ConvergenceWarning):
    """The number of experts that was chosen is at the edge of what was tried."""


class UncertainSelectionWarning(ConvergenceWarning):
    """The number of experts was chosen by figures, or among fits, that cannot be trusted."""


class KernelFallbackWarning(RuntimeWarning):
    """The sampler did not take the compiled kernel; the PyMC model was used instead."""
