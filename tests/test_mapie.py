"""MAPIE's conformal regressors around our estimators: intervals hold what they promise."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcocoafuse import MoERegressor
from skcocoafuse.metrics import interval_coverage
from tests.conftest import REGRESSORS

pytest.importorskip("mapie", reason="MAPIE is needed by these tests only (the extra 'test')")

from mapie.regression import (
    ConformalizedQuantileRegressor,
    CrossConformalRegressor,
    SplitConformalRegressor,
)

LEVELS = [0.8, 0.95]
N_SETS, N_ROWS = 12, 150  # calibration sets: coverage is a promise about their average
NOISE = 3 * np.sqrt(0.8 * 0.2 / (N_SETS * N_ROWS))  # three standard errors of that average


@pytest.fixture(scope="module")
def few():
    """Too few rows for so many columns: the mode alone is sure of itself and wrong."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30 + N_SETS * N_ROWS + 1000, 12))
    y = 2.0 * X[:, 0] + rng.normal(size=len(X))
    model = MoERegressor(1, inference="map", random_state=0).fit(X[:30], y[:30])
    sets = np.split(np.arange(30, 30 + N_SETS * N_ROWS), N_SETS)
    return model, X, y, sets, slice(30 + N_SETS * N_ROWS, None)


class Quantile(RegressorMixin, BaseEstimator):
    """One quantile of a fitted model, as a regressor."""

    def __init__(self, model, quantile):
        self.model = model
        self.quantile = quantile

    def fit(self, X, y):
        return self

    @property
    def n_features_in_(self):
        return self.model.n_features_in_

    def predict(self, X):
        return self.model.predict_quantiles(X, self.quantile)[:, 0]


def by_split(model, X, y, level):
    return SplitConformalRegressor(model, confidence_level=level, prefit=True).conformalize(X, y)


def by_quantiles(model, X, y, level):
    levels = (1 - level) / 2, (1 + level) / 2, 0.5
    quantiles = [Quantile(model, q) for q in levels]
    conformal = ConformalizedQuantileRegressor(quantiles, confidence_level=level, prefit=True)
    return conformal.conformalize(X, y)


@pytest.mark.parametrize("method", [by_split, by_quantiles])
@pytest.mark.parametrize("level", LEVELS)
def test_calibration_repairs_a_model_that_is_too_sure(method, level, few):
    model, X, y, sets, test = few
    assert interval_coverage(y[test], model.predict_interval(X[test], level)) < level - 0.1
    found = []
    for rows in sets:
        conformal = method(model, X[rows], y[rows], level)
        intervals = conformal.predict_interval(X[test])[1][..., 0]
        found.append(interval_coverage(y[test], intervals))
    assert level - NOISE < np.mean(found) < level + NOISE + 0.02


@pytest.mark.parametrize("level", LEVELS)
def test_so_does_a_level_from_the_probability_scale(level, few):
    """Scores 2 |pit - 1/2| of calibration rows; what the example on calibration does."""
    model, X, y, sets, test = few
    found = []
    for rows in sets:
        scores = np.sort(2 * np.abs(model.predict_dist(X[rows]).pit(y[rows]) - 0.5))
        asked = scores[int(np.ceil((len(rows) + 1) * level)) - 1]
        found.append(interval_coverage(y[test], model.predict_interval(X[test], asked)))
    assert level - NOISE < np.mean(found) < level + NOISE + 0.02


@pytest.mark.parametrize("regressor", REGRESSORS, ids=lambda r: r.__name__)
def test_wraps_every_regressor_and_pipelines(regressor, transition):
    X, y, X_test, y_test = transition[:4]
    model = regressor(inference="map", random_state=0)
    split = SplitConformalRegressor(
        make_pipeline(StandardScaler(), model), confidence_level=LEVELS, prefit=False
    )
    split.fit(X[:150], y[:150]).conformalize(X[150:], y[150:])
    cross = CrossConformalRegressor(model, confidence_level=LEVELS, cv=3)
    cross.fit_conformalize(X, y)
    for conformal in (split, cross):
        mean, intervals = conformal.predict_interval(X_test)
        assert mean.shape == (len(X_test),)
        for k, level in enumerate(LEVELS):
            # one calibration set of 150 or 300 rows: its coverage may be off by a few percent
            assert interval_coverage(y_test, intervals[..., k]) > level - 0.05


def test_the_split_is_centered_at_our_mean(few):
    model, X, y, sets, test = few
    mean, intervals = by_split(model, X[sets[0]], y[sets[0]], 0.9).predict_interval(X[test])
    np.testing.assert_allclose(mean, model.predict(X[test]))
    np.testing.assert_allclose(intervals[..., 0].mean(axis=1), mean)
