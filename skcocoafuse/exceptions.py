"""Warnings, which say what was observed and what to try."""

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
    """Some trajectories of the sampler diverged."""


class ChainMixingWarning(ConvergenceWarning):
    """Chains disagree or mix slowly, judged by quantities that do not depend on labels."""


class CollapsedExpertWarning(ConvergenceWarning):
    """An expert is responsible for practically none of the data."""


class ExpertOutOfRangeWarning(ConvergenceWarning):
    """An expert has weight where its mean is far outside the range of the target."""


class PoorApproximationWarning(ConvergenceWarning):
    """An approximation is too far from the posterior to be corrected by importance weights."""


class SeparateModesWarning(ConvergenceWarning):
    """Chains settled in different modes; predictions are weighted by stacking."""


class InfluentialRowsWarning(ConvergenceWarning):
    """Some rows are too influential for importance weights of leave-one-out cross-validation."""


class SelectionAtEdgeWarning(ConvergenceWarning):
    """The selected number of experts is the smallest or largest of those tried."""


class UncertainSelectionWarning(ConvergenceWarning):
    """The selected number of experts depends on unreliable estimates or fits."""


class CodeCacheWarning(RuntimeWarning):
    """Compiled code cannot be cached on disk, or the cache cannot be used."""


class KernelFallbackWarning(RuntimeWarning):
    """The sampler could not use the compiled kernel; the PyMC model was used instead."""


def beyond(value: float, limit: float, decimals: int) -> str:
    """Format a number with enough decimals to show on which side of a limit it is.

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
