"""Scores of predictive distributions and intervals: functions of arrays, and scorers."""

from skcocoafuse.evaluation.metrics import *  # noqa: F403 - the public names, listed there
from skcocoafuse.evaluation.metrics import __all__ as __all__
