"""Bayesian experts regressors for scikit-learn, with predictive distributions one can use."""

from skcocoafuse._regressors import BoERegressor, CoCoAFusERegressor, MoERegressor
from skcocoafuse.model.priors import Prior
from skcocoafuse.predictive import PredictiveDistribution

__version__ = "0.1.0.dev0"

__all__ = [
    "BoERegressor",
    "CoCoAFusERegressor",
    "MoERegressor",
    "PredictiveDistribution",
    "Prior",
    "__version__",
]
