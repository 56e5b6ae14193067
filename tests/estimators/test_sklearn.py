"""At home in scikit-learn: pipelines, searches, cloning, names, metadata routing."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor, Prior
from tests.conftest import REGRESSORS, fit_quietly

FAST = {"inference": "map", "random_state": 0}


@pytest.fixture(scope="module")
def frame(transition):
    X, y = transition[:2]
    table = pd.DataFrame({"x": X[:, 0], "kind": np.where(X[:, 0] > 0.3, "a", "b")})
    return table, pd.Series(y, name="target")


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_pipeline_with_a_scaler_changes_nothing(regressor, transition):
    """Inputs are standardised inside, so a scaler before is idle."""
    X, y, X_test = transition[:3]
    plain = regressor(**FAST).fit(X, y)
    pipeline = make_pipeline(StandardScaler(), regressor(**FAST)).fit(X, y)
    np.testing.assert_allclose(pipeline.predict(X_test), plain.predict(X_test), atol=1e-5)
    mean, std = pipeline.predict(X_test, return_std=True)
    assert mean.shape == std.shape == (len(X_test),)
    assert (std > 0).all()


def test_pipeline_with_a_column_transformer_on_a_frame(frame):
    X, y = frame
    columns = ColumnTransformer(
        [("number", StandardScaler(), ["x"]), ("kind", OneHotEncoder(drop="first"), ["kind"])]
    )
    model = make_pipeline(columns, CoCoAFusERegressor(**FAST)).fit(X, y)
    assert model.score(X, y) > 0.8


def test_cross_validate_and_grid_search(transition):
    X, y = transition[:2]
    scores = cross_validate(MoERegressor(**FAST), X, y, cv=3, return_train_score=True)
    assert (scores["test_score"] > 0.5).all()
    grid = {"n_experts": [1, 2, 3], "priors": [None, {"expert_coef": Prior("normal")}]}
    search = GridSearchCV(BoERegressor(**FAST), grid, cv=3).fit(X, y)
    assert search.best_params_["n_experts"] >= 2
    assert search.predict(X).shape == y.shape


def test_grid_search_in_worker_processes_over_nested_names(transition):
    X, y = transition[:2]
    pipeline = make_pipeline(StandardScaler(), MoERegressor(draws=100, tune=200, random_state=0))
    pipeline.steps[-1] = ("regressor", pipeline.steps[-1][1])
    search = GridSearchCV(pipeline, {"regressor__n_experts": [1, 2]}, cv=2, n_jobs=2)
    fit_quietly(search, X, y)
    assert search.best_params_ == {"regressor__n_experts": 2}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_transformed_target_regressor(transition):
    X, y = transition[:2]
    inner = CoCoAFusERegressor(**FAST)
    bent = TransformedTargetRegressor(inner, func=np.sinh, inverse_func=np.arcsinh).fit(X, y)
    by_hand = clone(inner).fit(X, np.sinh(y))
    np.testing.assert_allclose(bent.predict(X), np.arcsinh(by_hand.predict(X)))
    scaled = TransformedTargetRegressor(inner, transformer=StandardScaler()).fit(X, y)
    assert scaled.score(X, y) > 0.8
    assert scaled.score(X, y) == pytest.approx(clone(inner).fit(X, y).score(X, y), abs=1e-6)


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_clone_and_set_params(regressor):
    priors = {"sigma": Prior("half_normal")}
    estimator = regressor(3, gate_features=["a"], priors=priors, **FAST)
    copy = clone(estimator)
    assert copy.get_params()["priors"] == priors
    assert copy.set_params(n_experts=4).n_experts == 4
    assert estimator.n_experts == 3


def test_feature_names_are_kept_and_checked(frame):
    X, y = frame
    X = X[["x"]].assign(z=np.arange(len(X)) % 7)
    model = MoERegressor(gate_features=["x"], expert_features=["z", "x"], **FAST).fit(X, y)
    assert list(model.feature_names_in_) == ["x", "z"]
    assert model.expert_coef_.shape == (2, 2)
    assert model.gate_coef_.shape == (2, 1)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(X[["z", "x"]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X.to_numpy())


def test_each_part_may_see_its_own_inputs(transition):
    X, y = transition[:2]
    X = np.column_stack([X, np.random.default_rng(0).normal(size=len(X))])
    model = CoCoAFusERegressor(
        expert_features=SplineTransformer(n_knots=4),
        gate_features=[0],
        behavior_features=[],
        **FAST,
    ).fit(X, y)
    assert model.expert_coef_.shape == (2, 12)
    assert model.gate_coef_.shape == (2, 1)
    assert model.behavior_coef_.shape == (0,)
    assert np.ptp(model.predict_behavior(X)) < 1e-12
    classical = MoERegressor(gate_features=[], **FAST).fit(X, y)  # mixture of regressions
    assert np.ptp(classical.predict_gate(X), axis=0).max() < 1e-12


def test_metadata_routing(transition):
    X, y = transition[:2]
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        model = MoERegressor(**FAST).set_fit_request(sample_weight=True)
        model.set_predict_request(return_std=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        routed = make_pipeline(scaler, model).fit(X, y, sample_weight=weight)
        mean, std = routed.predict(X, return_std=True)
        scores = cross_validate(
            model.set_score_request(sample_weight=True),
            X,
            y,
            cv=2,
            params={"sample_weight": weight},
        )
    direct = MoERegressor(**FAST).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(mean, direct.predict(X), atol=1e-5)
    assert std.shape == y.shape
    assert np.isfinite(scores["test_score"]).all()


def test_a_column_vector_target_warns_as_in_scikit_learn(transition):
    X, y = transition[:2]
    with pytest.warns(sklearn.exceptions.DataConversionWarning, match="column-vector"):
        model = MoERegressor(**FAST).fit(X, y[:, None])
    np.testing.assert_array_equal(model.predict(X), MoERegressor(**FAST).fit(X, y).predict(X))


def test_weights_scale_the_log_likelihood(transition):
    """A weight of 3 is three copies, also for the sampled posterior's mode."""
    X, y = transition[0][:60], transition[1][:60]
    weight = np.random.default_rng(0).integers(1, 4, 60)
    one = CoCoAFusERegressor(**FAST).fit(X, y, sample_weight=weight)
    other = CoCoAFusERegressor(**FAST).fit(X.repeat(weight, axis=0), y.repeat(weight))
    np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=1e-6)
    np.testing.assert_allclose(one.expert_coef_, other.expert_coef_, rtol=1e-5)


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_a_regressor_is_one_class_on_top_of_one(regressor):
    """All that the three share is written in one class, which needs no methods of others."""
    own = [kind for kind in regressor.__mro__ if kind.__module__.startswith("skcocoafuse.")]
    assert len(own) == 2
    learned = {"predict_behavior", "__init__", "set_fit_request"}
    extra = {n for n, f in vars(regressor).items() if callable(f)} - set(dir(own[1]))
    assert extra <= learned


def test_what_fit_found_is_one_record(map_fit):
    fit = map_fit.fitted_
    assert fit.posterior is map_fit.posterior_
    assert fit.diagnostics is map_fit.diagnostics_
    assert {name for name in vars(map_fit) if name.startswith("_")} == {"_posed"}
    with pytest.raises(NotFittedError):
        _ = clone(map_fit).fitted_
