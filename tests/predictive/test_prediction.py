"""Predictive distributions through scikit-learn's meta-estimators."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skcocoafuse import (
    MoERegressor,
    log_prob,
    predict_dist,
    predict_interval,
    predict_quantiles,
)
from skcocoafuse.datasets import make_switch
from skcocoafuse.metrics import RECORDERS, SCORERS

GRID = {"moeregressor__n_experts": [1, 2]}


@pytest.fixture(scope="module")
def data(switch):
    X, y = switch[:2]
    return X[:120], np.exp(0.3 * y[:120])


def model():
    return MoERegressor(inference="map", random_state=0)


def pipe():
    return make_pipeline(StandardScaler(), model())


WRAPPERS = {
    "alone": model,
    "pipeline": pipe,
    "nested pipelines": lambda: Pipeline([("outer", pipe())]),
    "grid": lambda: GridSearchCV(pipe(), GRID, cv=2),
    "random": lambda: RandomizedSearchCV(pipe(), GRID, n_iter=1, cv=2, random_state=0),
    "halving": lambda: HalvingGridSearchCV(pipe(), GRID, cv=2, min_resources=40, random_state=0),
    "grid in a pipeline": lambda: make_pipeline(
        PolynomialFeatures(2, include_bias=False), GridSearchCV(pipe(), GRID, cv=2)
    ),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_functions_see_through_wrappers(name, data):
    X, y = data
    fitted = WRAPPERS[name]().fit(X, y)
    dist = predict_dist(fitted, X)
    np.testing.assert_allclose(dist.mean(), fitted.predict(X))
    np.testing.assert_array_equal(predict_interval(fitted, X, 0.8), dist.interval(0.8))
    np.testing.assert_array_equal(predict_quantiles(fitted, X, [0.1, 0.9]), dist.ppf([0.1, 0.9]))
    np.testing.assert_array_equal(log_prob(fitted, X, y), dist.logpdf(y))


@pytest.mark.parametrize("name", ["alone", "pipeline", "grid"])
def test_transformed_targets_at_every_depth(name, data):
    """log(y) modelled inside: quantiles are mapped, the density gets 1 / y."""
    X, y = data
    inside = WRAPPERS[name]()
    fitted = TransformedTargetRegressor(inside, func=np.log, inverse_func=np.exp).fit(X, y)
    on_logs = WRAPPERS[name]().fit(X, np.log(y))
    np.testing.assert_allclose(
        predict_interval(fitted, X), np.exp(predict_interval(on_logs, X)), rtol=1e-10
    )
    expected = log_prob(on_logs, X, np.log(y)) - np.log(y)
    np.testing.assert_allclose(log_prob(fitted, X, y), expected, rtol=1e-9)


def test_a_search_over_transformed_targets(data):
    X, y = data
    inner = TransformedTargetRegressor(model(), func=np.log, inverse_func=np.exp)
    grid = {"regressor__n_experts": [1, 2]}
    search = GridSearchCV(inner, grid, cv=2, scoring=SCORERS["lppd"]).fit(X, y)
    assert predict_interval(search, X, [0.5, 0.9]).shape == (len(X), 2, 2)
    assert search.best_params_["regressor__n_experts"] == 2  # the switch has two branches
    assert search.best_score_ == pytest.approx(search.cv_results_["mean_test_score"].max())


def test_estimators_without_a_distribution_are_named():
    with pytest.raises(TypeError, match="LinearRegression has no predictive distribution"):
        predict_dist(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), [[0.0]])
    with pytest.raises(TypeError, match="LinearRegression has no predictive distribution"):
        predict_interval(make_pipeline(LinearRegression()).fit([[0.0], [1.0]], [0.0, 1.0]), [[0.0]])
    search = GridSearchCV(pipe(), GRID, refit=False)
    with pytest.raises(TypeError, match="refit=False"):
        predict_dist(search, [[0.0]])


@pytest.fixture(scope="module")
def frame(data):
    X, y = data
    index = pd.date_range("2015-07-01", periods=len(X), freq="10min", tz="UTC", name="time")
    return pd.DataFrame(X, columns=["x"], index=index[::-1]), pd.Series(y, index=index[::-1])


@pytest.mark.parametrize("name", ["alone", "pipeline", "grid in a pipeline"])
@pytest.mark.parametrize("transformed", [False, True])
def test_frames_hold_the_arrays_under_the_index_of_X(name, transformed, frame):
    X, y = frame
    fitted = WRAPPERS[name]()
    if transformed:
        fitted = TransformedTargetRegressor(fitted, func=np.log, inverse_func=np.exp)
    fitted.fit(X, y)

    one = predict_interval(fitted, X, 0.8, output="pandas")
    assert list(one.columns) == ["lower", "upper"]
    np.testing.assert_array_equal(one, predict_interval(fitted, X, 0.8))

    several = predict_interval(fitted, X, [0.5, 0.8], output="pandas")
    assert several.columns.names == ["coverage", "end"]
    pd.testing.assert_frame_equal(several[0.8], one, check_names=False)
    array = predict_interval(fitted, X, [0.5, 0.8])
    np.testing.assert_array_equal(several[0.5], array[..., 0])

    quantiles = predict_quantiles(fitted, X, [0.1, 0.9], output="pandas")
    assert quantiles.columns.name == "quantile"
    np.testing.assert_allclose(quantiles[[0.1, 0.9]], one, rtol=1e-8)
    for found in (one, several, quantiles):
        pd.testing.assert_index_equal(found.index, X.index)


def test_methods_give_the_same_frames_as_functions(frame):
    X, y = frame
    fitted = model().fit(X, y)
    for coverage in (0.9, [0.5, 0.9]):
        pd.testing.assert_frame_equal(
            fitted.predict_interval(X, coverage, output="pandas"),
            predict_interval(fitted, X, coverage, output="pandas"),
        )
    pd.testing.assert_frame_equal(
        fitted.predict_quantiles(X, 0.5, output="pandas"),
        predict_quantiles(fitted, X, [0.5], output="pandas"),
    )
    numbered = fitted.predict_interval(X.to_numpy()[:3].tolist(), output="pandas")
    assert list(numbered.index) == [0, 1, 2]


def test_unknown_output_is_named_before_anything_is_computed():
    for call in (
        lambda: predict_interval(model(), [[0.0]], output="polars"),
        lambda: predict_quantiles(model(), [[0.0]], output="polars"),
        lambda: model().predict_interval([[0.0]], output="polars"),
        lambda: model().predict_quantiles([[0.0]], output="polars"),
    ):
        with pytest.raises(ValueError, match=r"output must be 'default' .* got 'polars'"):
            call()


@pytest.mark.parametrize("name", ["alone", "pipeline", "grid"])
def test_unfitted_estimators_say_so(name):
    with pytest.raises(NotFittedError):
        predict_dist(WRAPPERS[name](), [[0.0]])
    with pytest.raises(NotFittedError):
        predict_dist(TransformedTargetRegressor(WRAPPERS[name]()), [[0.0]])


def test_bad_probabilities_are_named(data):
    X, y = data
    fitted = model().fit(X, y)
    with pytest.raises(ValueError, match="coverage must be"):
        predict_interval(fitted, X, 95)
    with pytest.raises(ValueError, match="quantiles must be"):
        predict_quantiles(fitted, X, [0.0, 0.5])


def test_scorers_in_cross_validation(data):
    """By name, several at once, through a pipeline; greater is better for each."""
    X, y = data
    good = cross_validate(pipe(), X, y, cv=3, scoring=SCORERS)
    poor = cross_validate(pipe(), X, np.random.default_rng(0).permutation(y), cv=3, scoring=SCORERS)
    for name in SCORERS:
        assert np.isfinite(good[f"test_{name}"]).all()
    for name in ("lppd", "neg_crps", "neg_interval_score"):
        assert good[f"test_{name}"].mean() > poor[f"test_{name}"].mean()
    search = GridSearchCV(pipe(), GRID, cv=2, scoring=SCORERS, refit="neg_crps").fit(X, y)
    assert search.best_params_ == {"moeregressor__n_experts": 2}


def test_searches_record_how_far_fits_can_be_trusted():
    X, y = make_switch(120, random_state=0)
    model = MoERegressor(inference="vi", draws=100, chains=2, random_state=0)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), model),
        {"moeregressor__n_experts": [1, 2]},
        cv=2,
        scoring=SCORERS | RECORDERS,
        refit="lppd",
    ).fit(X, y)
    found = search.best_estimator_[-1].diagnostics_
    assert RECORDERS["rhat"](search, X, y) == found["rhat"]
    assert RECORDERS["inference_seconds"](search, X, y) == sum(found["seconds"].values()) > 0
    results = search.cv_results_
    for fold in range(2):
        assert (results[f"split{fold}_test_rhat"] < 1.2).all()
        assert (results[f"split{fold}_test_inference_seconds"] > 0).all()
        assert set(results[f"split{fold}_test_converged"]) <= {0.0, 1.0}
        assert (results[f"split{fold}_test_n_divergences"] == 0).all()
    with pytest.raises(TypeError, match="LinearRegression has no diagnostics"):
        RECORDERS["rhat"](LinearRegression(), X, y)
