"""Every row's distribution by the fit that has not seen it."""

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneOut,
    RepeatedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
    cross_val_predict,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcocoafuse import MoERegressor, NExpertsSelector, cross_val_predict_dist, predict_dist
from skcocoafuse.metrics import SCORERS, calibration_error, crps, interval_coverage

FAST = MoERegressor(inference="map", random_state=0)
FOLDS = KFold(3, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def data(switch):
    X, y = switch[:2]
    return pd.DataFrame(X[:120], columns=["x"]), np.exp(0.3 * y[:120])


def logs(inside):
    return TransformedTargetRegressor(inside, func=np.log, inverse_func=np.exp)


WRAPPERS = {
    "alone": lambda: FAST,
    "pipeline": lambda: make_pipeline(StandardScaler(), FAST),
    "search": lambda: GridSearchCV(FAST, {"n_experts": [1, 2]}, cv=2, scoring=SCORERS["lppd"]),
    "transformed target": lambda: logs(FAST),
    "selector": lambda: NExpertsSelector(FAST, n_experts=[1, 2], cv=2),
    "all of them": lambda: logs(
        make_pipeline(StandardScaler(), NExpertsSelector(FAST, n_experts=[1, 2], cv=2))
    ),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", WRAPPERS)
def test_rows_are_those_of_single_fits(name, data):
    X, y = data
    estimator = WRAPPERS[name]()
    found = cross_val_predict_dist(estimator, X, y, cv=FOLDS)
    assert len(found) == len(y)
    for train, test in FOLDS.split(X):
        fitted = clone(estimator).fit(X.iloc[train], y[train])
        expected = predict_dist(fitted, X.iloc[test])
        own = found[test]
        np.testing.assert_array_equal(own.interval(0.9), expected.interval(0.9))
        np.testing.assert_array_equal(own.ppf([0.2, 0.7]), expected.ppf([0.2, 0.7]))
        np.testing.assert_array_equal(found.logpdf(y)[test], expected.logpdf(y[test]))
    if name in ("alone", "pipeline", "search"):
        np.testing.assert_allclose(found.mean(), cross_val_predict(estimator, X, y, cv=FOLDS))
    assert not hasattr(estimator, "posterior_")  # clones are fitted


def test_scores_are_those_of_cross_validation(data):
    X, y = data
    found = cross_val_predict_dist(FAST, X, y, cv=KFold(3))  # folds of one size
    scores = sklearn.model_selection.cross_validate(FAST, X, y, cv=3, scoring=SCORERS)
    assert crps(y, found) == pytest.approx(-scores["test_neg_crps"].mean())
    assert found.logpdf(y).mean() == pytest.approx(scores["test_lppd"].mean())
    assert abs(interval_coverage(y, found.interval(0.9)) - 0.9) < 0.1
    assert calibration_error(y, found) < 0.2


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_folds_at_the_same_time(backend, data):
    alone = cross_val_predict_dist(FAST, *data, cv=FOLDS)
    with joblib.parallel_backend(backend):
        together = cross_val_predict_dist(FAST, *data, cv=FOLDS, n_jobs=2)
    np.testing.assert_allclose(together.interval(0.9), alone.interval(0.9), rtol=1e-6)


def test_weights_are_cut_with_the_folds(data):
    X, y = data
    weight = np.random.default_rng(0).integers(0, 3, len(y))
    pipe = make_pipeline(StandardScaler(), FAST)
    found = cross_val_predict_dist(
        pipe, X, y, cv=FOLDS, params={"moeregressor__sample_weight": pd.Series(weight)}
    )
    for train, test in FOLDS.split(X):
        fitted = clone(pipe).fit(X.iloc[train], y[train], moeregressor__sample_weight=weight[train])
        np.testing.assert_array_equal(found.mean()[test], fitted.predict(X.iloc[test]))


def test_groups_stay_together(data):
    X, y = data
    groups = np.arange(len(y)) % 4
    by_hand = cross_val_predict_dist(FAST, X, y, cv=list(GroupKFold(2).split(X, y, groups)))
    found = cross_val_predict_dist(FAST, X, y, cv=GroupKFold(2), groups=groups)
    np.testing.assert_array_equal(found.mean(), by_hand.mean())
    weight = np.random.default_rng(0).integers(0, 3, len(y))
    weighted = cross_val_predict_dist(
        FAST, X, y, cv=GroupKFold(2), groups=groups, params={"sample_weight": weight}
    )
    with sklearn.config_context(enable_metadata_routing=True):
        asking = clone(FAST).set_fit_request(sample_weight="counts")
        routed = cross_val_predict_dist(
            asking, X, y, cv=GroupKFold(2), params={"counts": weight, "groups": groups}
        )
        with pytest.raises(ValueError, match="groups must be one of params"):
            cross_val_predict_dist(FAST, X, y, cv=GroupKFold(2), groups=groups)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            cross_val_predict_dist(FAST, X, y, params={"sample_weight": weight})
    np.testing.assert_array_equal(routed.mean(), weighted.mean())
    assert not np.array_equal(routed.mean(), by_hand.mean())


def test_lists_masks_and_single_rows(data):
    X, y = data[0].to_numpy()[:12].tolist(), np.log(data[1])[:12].tolist()
    whole = cross_val_predict_dist(FAST, X, y, cv=LeaveOneOut())
    assert len(whole.parts) == 12
    first = np.arange(12) < 6
    halves = cross_val_predict_dist(FAST, X, y, cv=[(first, ~first), (~first, first)])
    indices = cross_val_predict_dist(FAST, X, y, cv=2)
    np.testing.assert_array_equal(halves.mean(), indices.mean())


@pytest.mark.parametrize(
    ("cv", "match"),
    [
        (TimeSeriesSplit(3), "30 of 120 rows are left out never or more than once"),
        (RepeatedKFold(n_splits=2, n_repeats=2), "120 of 120 rows"),
        (ShuffleSplit(2, random_state=0), "cv must leave each row out once"),
        ([([0, 1, 2], np.arange(121))], "1 indices are out of bounds"),
    ],
    ids=["time", "repeated", "shuffled", "too many"],
)
def test_folds_that_are_no_partition_are_refused(cv, match, data):
    with pytest.raises(ValueError, match=match):
        cross_val_predict_dist(FAST, *data, cv=cv)


def test_what_has_no_distribution_is_named(data):
    with pytest.raises(TypeError, match="LinearRegression has no predictive distribution"):
        cross_val_predict_dist(LinearRegression(), *data, cv=2)
    with pytest.raises(TypeError, match="speed"):
        cross_val_predict_dist(FAST, *data, cv=2, params={"speed": 1})


def test_a_fit_that_warns_says_so_here(data):
    model = MoERegressor(inference="vi", draws=25, chains=1, random_state=0)
    with pytest.warns(
        match="Draws of the approximation are too few"
    ):  # 25 draws are too few by any measure
        cross_val_predict_dist(model, *data, cv=2)
