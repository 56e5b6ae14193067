"""Warnings that say what was seen and what to try."""

from sklearn.exceptions import ConvergenceWarning

__all__ = [
    "ChainMixingWarning",
    "CodeCacheWarning",
    "CollapsedExpertWarning",
    "DivergenceWarning",
    "ExpertOutOfRangeWarning",
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


class ExpertOutOfRangeWarning(ConvergenceWarning):
    """Far outside the range of the target lies an expert that still has weight there."""


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


class CodeCacheWarning(RuntimeWarning):
    """Compiled code cannot be kept on disk, or what is there cannot be used."""


class KernelFallbackWarning(RuntimeWarning):
    """The sampler did not take the compiled kernel; the PyMC model was used instead."""


def beyond(value: float, limit: float, decimals: int) -> str:
    """A number with as many decimals, or more, as show on which side of a limit it is.

    Examples
    --------
    >>> beyond(1.083, 1.05, 2), beyond(1.0502, 1.05, 2), beyond(99.7, 100.0, 0)
    ('1.08', '1.0502', '99.7')
    """
    text = f"{value:.{decimals}f}"
    while (float(text) > limit, float(text) < limit) != (value > limit, value < limit):
        decimals += 1
        text = f"{value:.{decimals}f}"
    return text
