"""Scorers in scikit-learn's protocols: weights, metadata routing, clones, worker processes."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcocoafuse import MoERegressor, predict_dist
from skcocoafuse.metrics import (
    RECORDERS,
    SCORERS,
    calibration_error,
    crps,
    interval_score,
    log_predictive_density,
    lppd_scorer,
)
from tests.conftest import fit_quietly

FAST = MoERegressor(inference="map", random_state=0)
METRICS = {
    "lppd": lambda y, dist, w: log_predictive_density(y, dist, sample_weight=w),
    "neg_crps": lambda y, dist, w: -crps(y, dist, sample_weight=w),
    "neg_interval_score": lambda y, dist, w: -interval_score(y, dist.interval(), sample_weight=w),
    "neg_calibration_error": lambda y, dist, w: -calibration_error(y, dist, sample_weight=w),
}


@pytest.fixture(scope="module")
def data(switch):
    X, y = switch[0][:120], switch[1][:120]
    return X, y, np.random.default_rng(0).integers(0, 4, len(y)).astype(float)


@pytest.fixture(scope="module")
def model(data):
    return clone(FAST).fit(*data[:2])


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.parametrize("name", SCORERS)
def test_scores_are_metrics_by_weight(name, model, data):
    X, y, weight = data
    dist = predict_dist(model, X)
    scorer = SCORERS[name]
    assert scorer(model, X, y) == METRICS[name](y, dist, None)
    weighted = scorer(model, X, y, sample_weight=weight)
    assert weighted == METRICS[name](y, dist, weight)
    assert weighted != scorer(model, X, y)
    times = weight.astype(int)
    assert weighted == pytest.approx(scorer(model, X.repeat(times, axis=0), y.repeat(times)))


def expected(data, name, fit_weight, score_weight):
    """A scorer's value in each of two folds, by hand."""
    X, y, weight = data
    scores = []
    for train, test in KFold(2).split(X):
        own = {"sample_weight": weight[train]} if fit_weight else {}
        fitted = fit_quietly(clone(FAST), X[train], y[train], **own)
        dist = predict_dist(fitted, X[test])
        scores.append(METRICS[name](y[test], dist, weight[test] if score_weight else None))
    return np.array(scores)


def folds_of(search, name="score"):
    return np.array([search.cv_results_[f"split{k}_test_{name}"][0] for k in range(2)])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_weighs_rows_in_fit_and_score(n_jobs, data):
    """Without metadata routing, as scikit-learn's own scorers; one score, and several."""
    X, y, weight = data
    options = {"param_grid": {"n_experts": [2]}, "cv": KFold(2), "n_jobs": n_jobs}
    one = GridSearchCV(FAST, scoring=SCORERS["neg_crps"], **options)
    several = GridSearchCV(FAST, scoring=SCORERS | RECORDERS, refit="lppd", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # "does not support sample_weight"
        warnings.filterwarnings("ignore", "One or more of the test scores are non-finite")  # R-hat
        one.fit(X, y, sample_weight=weight)
        several.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(folds_of(one), expected(data, "neg_crps", True, True))
    for name in SCORERS:
        np.testing.assert_allclose(folds_of(several, name), expected(data, name, True, True))
    assert (folds_of(several, "converged") == 1.0).all()


@pytest.mark.parametrize(("fit_weight", "score_weight"), [(True, False), (False, True)])
def test_weights_are_routed_to_who_asks(fit_weight, score_weight, data, routing):
    X, y, weight = data
    model = clone(FAST).set_fit_request(sample_weight=fit_weight)
    scorers = copy.deepcopy(SCORERS)
    for scorer in scorers.values():
        assert scorer.set_score_request(sample_weight=score_weight) is scorer
    found = cross_validate(
        model, X, y, cv=KFold(2), scoring=scorers | RECORDERS, params={"sample_weight": weight}
    )
    for name in SCORERS:
        by_hand = expected(data, name, fit_weight, score_weight)
        np.testing.assert_allclose(found[f"test_{name}"], by_hand)
    assert (found["test_n_divergences"] == 0).all()


def test_weights_under_another_name_in_worker_processes(data, routing):
    X, y, weight = data
    pipe = make_pipeline(StandardScaler(), clone(FAST).set_fit_request(sample_weight=False))
    scorer = copy.copy(lppd_scorer).set_score_request(sample_weight="importance")
    search = GridSearchCV(
        pipe, {"moeregressor__n_experts": [2]}, cv=KFold(2), scoring=scorer, n_jobs=2
    )
    search = clone(search).fit(X, y, importance=weight)  # clones keep requests
    np.testing.assert_allclose(folds_of(search), expected(data, "lppd", False, True), rtol=1e-4)
    again = pickle.loads(pickle.dumps(search))
    assert again.score(X, y, importance=weight) == search.score(X, y, importance=weight)
    assert again.score(X, y, importance=weight) != again.score(X, y)


def test_weights_that_nobody_decided_on_are_an_error(data, routing):
    X, y, weight = data
    model = clone(FAST).set_fit_request(sample_weight=True)
    with pytest.raises(UnsetMetadataPassedError, match=r"lppd_scorer\.score"):
        cross_validate(
            model, X, y, cv=2, scoring=copy.copy(lppd_scorer), params={"sample_weight": weight}
        )


def test_a_copy_has_requests_of_its_own(routing):
    own = copy.copy(lppd_scorer).set_score_request(sample_weight=True)
    assert own.get_metadata_routing().score.requests == {"sample_weight": True}
    assert lppd_scorer.get_metadata_routing().score.requests == {"sample_weight": None}


def test_bad_requests_are_named(routing):
    with pytest.raises(ValueError, match="valid identifier"):
        copy.copy(lppd_scorer).set_score_request(sample_weight="my weight")
    with pytest.raises(TypeError, match="recorded_rhat takes no sample_weight"):
        copy.copy(RECORDERS["rhat"]).set_score_request(sample_weight=True)


def test_requests_need_metadata_routing():
    with pytest.raises(RuntimeError, match="enable_metadata_routing=True"):
        copy.copy(lppd_scorer).set_score_request(sample_weight=True)


def test_scorers_say_who_they_are():
    assert repr(lppd_scorer) == lppd_scorer.__name__ == "lppd_scorer"
    assert "log predictive density" in lppd_scorer.__doc__
    assert repr(pickle.loads(pickle.dumps(RECORDERS["rhat"]))) == "recorded_rhat"
