"""What is foreseen: the predictive distribution as a value object over array functions."""

from skcocoafuse.predictive.distribution import PredictiveDistribution

__all__ = ["PredictiveDistribution"]
