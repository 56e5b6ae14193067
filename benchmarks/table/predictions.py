"""What a contestant predicts, and its scores."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skcocoafuse import metrics

COVERAGE = 0.95
TAILS = (1.0 - COVERAGE) / 2.0, (1.0 + COVERAGE) / 2.0
# Levels of quantiles whose pinball losses make a CRPS: the middles of a hundred equal steps.
LEVELS = (np.arange(100) + 0.5) / 100.0
SCORES = ("nll", "crps", "rmse", "coverage95", "length95", "interval_score95")


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a contestant says about the test rows, in units of the target.

    Parameters
    ----------
    mean : ndarray of shape (rows,)
        Its point prediction.
    interval : ndarray of shape (rows, 2)
        Central 95% interval.
    distribution : object, optional
        With ``logpdf(y)`` and ``crps(y)``; None if there is no density.
    quantiles : ndarray of shape (rows, 100), optional
        At ``LEVELS``, of contestants that have quantiles but no density.
    """

    mean: np.ndarray
    interval: np.ndarray
    distribution: Any = None
    quantiles: np.ndarray | None = None


class NormalMixture:
    """Mixture of Normals for each row; one component is a Normal.

    Parameters
    ----------
    weight, mean, sd : array-like of shape (rows,) or (rows, components)
        Weights sum to one in each row.
    """

    def __init__(self, weight, mean, sd):
        from skcocoafuse.predictive import mixture

        shaped = (np.reshape(a, (len(a), -1)).astype(np.float64) for a in (weight, mean, sd))
        self._mixtures, self._functions = mixture.Mixtures(*shaped), mixture

    def mean(self) -> np.ndarray:
        """Mean of each row."""
        return np.sum(self._mixtures.weight * self._mixtures.mean, axis=1)

    def interval(self) -> np.ndarray:
        """Central 95% interval of each row, (rows, 2)."""
        levels = np.broadcast_to(TAILS, (len(self._mixtures.mean), 2))
        return self._functions.ppf(self._mixtures, levels)

    def logpdf(self, y) -> np.ndarray:
        """Log density of each row's observation."""
        return self._functions.logpdf(self._mixtures, np.asarray(y)[:, None])[:, 0]

    def crps(self, y) -> np.ndarray:
        """Continuous ranked probability score of each row's observation."""
        return self._functions.crps(self._mixtures, np.asarray(y)[:, None])[:, 0]

    def prediction(self) -> Prediction:
        """Mean, interval and distribution."""
        return Prediction(self.mean(), self.interval(), self)


def normal(mean, sd) -> Prediction:
    """The prediction of a contestant with a Normal distribution."""
    mean, sd = np.asarray(mean, dtype=np.float64), np.asarray(sd, dtype=np.float64)
    return NormalMixture(np.ones_like(mean), mean, sd).prediction()


def score(prediction: Prediction, y: np.ndarray) -> dict[str, float]:
    """The scores of a prediction, by name; without those that it does not allow.

    NLL is the mean negative log density; only contestants with a density have one. The CRPS of
    quantiles is twice their mean pinball loss over ``LEVELS``.
    """
    y = np.asarray(y, dtype=np.float64)
    found = {
        "rmse": float(np.sqrt(np.mean((prediction.mean - y) ** 2))),
        "coverage95": metrics.interval_coverage(y, prediction.interval),
        "length95": metrics.interval_length(prediction.interval),
        "interval_score95": metrics.interval_score(y, prediction.interval, COVERAGE),
    }
    if prediction.distribution is not None:
        found["nll"] = -metrics.log_predictive_density(y, prediction.distribution)
        found["crps"] = metrics.crps(y, prediction.distribution)
    elif prediction.quantiles is not None:
        above = y[:, None] - prediction.quantiles
        found["crps"] = float(2.0 * np.mean(np.maximum(LEVELS * above, (LEVELS - 1.0) * above)))
    return found
