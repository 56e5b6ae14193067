"""Pictures of fits and predictions, with matplotlib (the extra ``plot``).

Displays are as in scikit-learn: ``XDisplay.from_estimator(estimator, X, y)`` computes and draws,
``plot(ax=...)`` draws again, and the parts of the figure are attributes. They look through
pipelines, searches and transformed targets, and take names from the columns of ``X``.
"""

from skcocoafuse.plotting.calibration import CalibrationDisplay
from skcocoafuse.plotting.comparison import ComparisonDisplay
from skcocoafuse.plotting.convergence import ConvergenceDisplay
from skcocoafuse.plotting.density import PredictiveDensityDisplay
from skcocoafuse.plotting.effect import EffectDisplay
from skcocoafuse.plotting.experts import ExpertsDisplay
from skcocoafuse.plotting.fan import PredictionFanDisplay
from skcocoafuse.plotting.gate import GateDisplay
from skcocoafuse.plotting.n_experts import NExpertsDisplay
from skcocoafuse.plotting.prior_sensitivity import PriorSensitivityDisplay

__all__ = [
    "CalibrationDisplay",
    "ComparisonDisplay",
    "ConvergenceDisplay",
    "EffectDisplay",
    "ExpertsDisplay",
    "GateDisplay",
    "NExpertsDisplay",
    "PredictionFanDisplay",
    "PredictiveDensityDisplay",
    "PriorSensitivityDisplay",
]
