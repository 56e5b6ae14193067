"""Whoever writes another package's words is told ours."""

import inspect

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcocoafuse import (
    CoCoAFusERegressor,
    MoERegressor,
    NExpertsSelector,
    cross_val_predict_dist,
    predict_dist,
    predict_interval,
    predict_quantiles,
    select_n_experts,
)
from skcocoafuse._hints import COVERAGE
from skcocoafuse.metrics import SCORERS, interval_score

FAST = MoERegressor(inference="map", random_state=0)


@pytest.fixture(scope="module")
def data(switch):
    return switch[0][:60], switch[1][:60]


@pytest.fixture(scope="module")
def fitted(data):
    return make_pipeline(StandardScaler(), FAST).fit(*data)


@pytest.fixture(scope="module")
def calls(fitted, data):
    """What makes intervals, by name."""
    X, y = data
    logs = TransformedTargetRegressor(FAST, func=np.sinh, inverse_func=np.arcsinh).fit(X, y)
    ends = predict_interval(fitted, X)
    model = fitted[-1]
    return {
        "method": lambda **given: model.predict_interval(X, **given),
        "function": lambda **given: predict_interval(fitted, X, **given),
        "distribution": predict_dist(fitted, X).interval,
        "behind a transformed target": predict_dist(logs, X).interval,
        "out of fold": cross_val_predict_dist(FAST, X, y, cv=2).interval,
        "slopes": lambda **given: model.local_coef(X, **given),
        "summary": model.summary,
        "score": lambda **given: interval_score(y, ends, **given),
    }


NAMES = [
    "method",
    "function",
    "distribution",
    "behind a transformed target",
    "out of fold",
    "slopes",
    "summary",
    "score",
]


@pytest.mark.parametrize("name", NAMES)
def test_alpha_is_told_of_coverage(name, calls):
    """As statsmodels and MAPIE have it; scipy says confidence, ArviZ ci_prob."""
    with pytest.raises(TypeError, match=r"argument 'alpha'.*alpha=0\.05.*use coverage=0\.95"):
        calls[name](alpha=0.05)
    for other in set(COVERAGE) - {"alpha"}:
        with pytest.raises(TypeError, match=f"argument '{other}'.*is called coverage here"):
            calls[name](**{other: 0.9})
    calls[name](coverage=0.9)


def test_regions_of_highest_density_are_told_of_prob(fitted, data):
    """As ArviZ has it, or as our own intervals do."""
    X, y = data
    for dist in (predict_dist(fitted, X[:2]), cross_val_predict_dist(FAST, X, y, cv=2)):
        with pytest.raises(TypeError, match=r"argument 'alpha'.*use prob=0\.95"):
            dist.hdi(alpha=0.05)
        for name in ("coverage", "ci_prob", "hdi_prob"):
            with pytest.raises(TypeError, match=f"argument '{name}'.*is called prob here"):
                dist.hdi(**{name: 0.9})


def test_predict_is_told_of_intervals_and_quantiles(fitted, data):
    """As MAPIE before 1.0 and quantile-forest have it, through a pipeline as well."""
    for estimator in (fitted, fitted[-1]):
        with pytest.raises(TypeError, match=r"predict_interval\(X, coverage=0\.95\)"):
            estimator.predict(data[0], alpha=0.05)
        with pytest.raises(TypeError, match=r"predict_quantiles\(X, quantiles"):
            estimator.predict(data[0], quantiles=[0.1, 0.9])


@pytest.mark.parametrize("name", ["alpha", "q", "quantile"])
def test_other_names_of_quantiles(name, fitted, data):
    for call in (
        lambda **given: predict_quantiles(fitted, data[0], **given),
        lambda **given: fitted[-1].predict_quantiles(data[0], **given),
    ):
        with pytest.raises(TypeError, match=f"'{name}'.*is called quantiles here"):
            call(**{name: [0.05, 0.95]})


def test_signatures_stay_and_unknown_keywords_are_python_s_errors(fitted, data):
    assert list(inspect.signature(predict_interval).parameters)[:3] == [
        "estimator",
        "X",
        "coverage",
    ]
    assert "return_std" in inspect.signature(MoERegressor.predict).parameters
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        predict_interval(fitted, data[0], colour=3)


@pytest.mark.parametrize("value", ["auto", range(1, 4), None, 0, 2.5])
def test_numbers_to_choose_from_are_told_of_the_selector(value, data):
    for regressor in (MoERegressor, CoCoAFusERegressor):
        with pytest.raises(ValueError, match=r"n_experts.*int in.*NExpertsSelector chooses it"):
            regressor(value, inference="map").fit(*data)


def test_scoring_by_name(data):
    """scikit-learn refuses names that are not its own, before it asks any of us."""
    for search in (
        lambda: cross_validate(FAST, *data, scoring="lppd"),
        lambda: GridSearchCV(FAST, {"n_experts": [1]}, scoring="lppd").fit(*data),
    ):
        with pytest.raises(ValueError, match=r"'scoring' parameter.* Got 'lppd'"):
            search()
    scores = cross_validate(FAST, *data, cv=2, scoring=SCORERS["lppd"])
    assert np.isfinite(scores["test_score"]).all()


def test_scoring_where_we_choose_is_told_of_scorers(data):
    for call in (
        lambda: select_n_experts(FAST, *data, n_experts=[1, 2], scoring="lppd"),
        lambda: NExpertsSelector(FAST, n_experts=[1, 2]).fit(*data, scoring="lppd"),
    ):
        with pytest.raises(TypeError, match=r"'scoring'.*metrics\.SCORERS"):
            call()
