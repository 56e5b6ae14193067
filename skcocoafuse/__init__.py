"""Bayesian experts regressors for scikit-learn, with predictive distributions one can use."""

from skcocoafuse._loading import load
from skcocoafuse._regressors import BoERegressor, CoCoAFusERegressor, MoERegressor
from skcocoafuse._version import __version__
from skcocoafuse.checks import PriorSensitivity, prior_sensitivity
from skcocoafuse.model.priors import Prior
from skcocoafuse.model_selection import (
    Comparison,
    NExpertsSelection,
    NExpertsSelector,
    compare,
    cross_val_predict_dist,
    loo,
    select_n_experts,
)
from skcocoafuse.posterior.elpd import LooResult
from skcocoafuse.posterior.merging import MergeResult
from skcocoafuse.prediction import log_prob, predict_dist, predict_interval, predict_quantiles
from skcocoafuse.predictive import (
    JoinedDistribution,
    PredictiveDistribution,
    TransformedDistribution,
)

__all__ = [
    "BoERegressor",
    "CoCoAFusERegressor",
    "Comparison",
    "JoinedDistribution",
    "LooResult",
    "MergeResult",
    "MoERegressor",
    "NExpertsSelection",
    "NExpertsSelector",
    "PredictiveDistribution",
    "Prior",
    "PriorSensitivity",
    "TransformedDistribution",
    "__version__",
    "compare",
    "cross_val_predict_dist",
    "load",
    "log_prob",
    "loo",
    "predict_dist",
    "predict_interval",
    "predict_quantiles",
    "prior_sensitivity",
    "select_n_experts",
]
