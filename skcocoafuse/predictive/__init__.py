"""Predictive distributions: immutable objects on top of array functions."""

from skcocoafuse.predictive.distribution import PredictiveDistribution
from skcocoafuse.predictive.joined import JoinedDistribution
from skcocoafuse.predictive.transformed import TransformedDistribution

__all__ = ["JoinedDistribution", "PredictiveDistribution", "TransformedDistribution"]
