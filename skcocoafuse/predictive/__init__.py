"""What is predicted: the predictive distribution as a value object over array functions."""

from skcocoafuse.predictive.distribution import PredictiveDistribution
from skcocoafuse.predictive.joined import JoinedDistribution
from skcocoafuse.predictive.transformed import TransformedDistribution

__all__ = ["JoinedDistribution", "PredictiveDistribution", "TransformedDistribution"]
