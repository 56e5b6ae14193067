"""Choosing among models, and among numbers of experts, by how they predict rows left out."""

from skcocoafuse.model_selection._comparison import Comparison, compare, loo
from skcocoafuse.model_selection._n_experts import select_n_experts
from skcocoafuse.model_selection._out_of_fold import cross_val_predict_dist
from skcocoafuse.model_selection._selection import NExpertsSelection
from skcocoafuse.model_selection._selector import NExpertsSelector

__all__ = [
    "Comparison",
    "NExpertsSelection",
    "NExpertsSelector",
    "compare",
    "cross_val_predict_dist",
    "loo",
    "select_n_experts",
]
