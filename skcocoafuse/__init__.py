"""Bayesian experts regressors for scikit-learn, with predictive distributions one can use."""

from skcocoafuse._regressors import BoERegressor, CoCoAFusERegressor, MoERegressor
from skcocoafuse._version import __version__
from skcocoafuse.model.priors import Prior
from skcocoafuse.prediction import log_prob, predict_dist, predict_interval, predict_quantiles
from skcocoafuse.predictive import PredictiveDistribution, TransformedDistribution

__all__ = [
    "BoERegressor",
    "CoCoAFusERegressor",
    "MoERegressor",
    "PredictiveDistribution",
    "Prior",
    "TransformedDistribution",
    "__version__",
    "log_prob",
    "predict_dist",
    "predict_interval",
    "predict_quantiles",
]
