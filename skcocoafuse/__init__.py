"""Bayesian regression with mixtures and blends of experts, compatible with scikit-learn."""

from skcocoafuse._version import __version__
from skcocoafuse.estimators.experts import BoERegressor, CoCoAFusERegressor, MoERegressor
from skcocoafuse.estimators.explanations import Explanation, explain
from skcocoafuse.estimators.loading import load
from skcocoafuse.estimators.recipe import recommended_regressor
from skcocoafuse.estimators.selector import NExpertsSelector
from skcocoafuse.evaluation.comparison import Comparison, compare, loo
from skcocoafuse.evaluation.elpd import LooResult
from skcocoafuse.evaluation.n_experts import select_n_experts
from skcocoafuse.evaluation.out_of_fold import cross_val_predict_dist
from skcocoafuse.evaluation.prior_sensitivity import PriorSensitivity, prior_sensitivity
from skcocoafuse.evaluation.selection import NExpertsSelection
from skcocoafuse.evaluation.surplus_experts import MergeResult
from skcocoafuse.model.priors import Prior
from skcocoafuse.predictive import (
    JoinedDistribution,
    PredictiveDistribution,
    TransformedDistribution,
)
from skcocoafuse.predictive.prediction import (
    log_prob,
    predict_dist,
    predict_interval,
    predict_quantiles,
)
from skcocoafuse.streams import predict_to_parquet

__all__ = [
    "BoERegressor",
    "CoCoAFusERegressor",
    "Comparison",
    "Explanation",
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
    "explain",
    "load",
    "log_prob",
    "loo",
    "predict_dist",
    "predict_interval",
    "predict_quantiles",
    "predict_to_parquet",
    "prior_sensitivity",
    "recommended_regressor",
    "select_n_experts",
]
