"""Bayesian experts regressors for scikit-learn, with predictive distributions one can use."""

from skcocoafuse._regressors import BoERegressor, CoCoAFusERegressor, MoERegressor
from skcocoafuse._version import __version__
from skcocoafuse.model.priors import Prior
from skcocoafuse.predictive import PredictiveDistribution

__all__ = [
    "BoERegressor",
    "CoCoAFusERegressor",
    "MoERegressor",
    "PredictiveDistribution",
    "Prior",
    "__version__",
]
