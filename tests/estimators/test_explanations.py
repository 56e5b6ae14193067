"""Predictions taken apart: parts sum to the whole, and sentences say what the table has."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer, StandardScaler

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor, explain, predict_dist
from skcocoafuse.datasets import make_switch_and_transition
from tests.conftest import fit_quietly


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X, y = make_switch_and_transition(200, random_state=0)
    frame = pd.DataFrame({"speed": X[:, 0], "heat": rng.normal(20.0, 5.0, 200)})
    frame["load"], frame["age"] = rng.normal(size=(2, 200))
    return frame, 100.0 + 10.0 * y + 2.0 * frame["heat"]


@pytest.fixture(scope="module")
def fitted(once, data):
    model = CoCoAFusERegressor(3, inference="vi", draws=100, random_state=0)
    return once({"explained": lambda: fit_quietly(model, *data)})["explained"]


def test_contributions_sum_to_the_mean(fitted, data):
    """Also if chain clusters are weighted, and whatever beta is."""
    X, _ = data
    found = fitted.explain(X)
    mean, std = fitted.predict(X, return_std=True)
    np.testing.assert_allclose(found.baseline + found.contributions.sum(axis=1), mean, rtol=1e-9)
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.std, std)
    np.testing.assert_allclose(found.variance.sum(axis=1), 1.0)
    np.testing.assert_allclose(found.gate, fitted.predict_gate(X))
    np.testing.assert_allclose(found.interval, fitted.predict_interval(X, 0.9))
    assert found.columns == list(X)


@pytest.mark.parametrize("standardize", [True, False])
def test_a_single_line_is_that_of_its_coefficients(data, standardize):
    X, y = data
    model = MoERegressor(1, inference="map", standardize=standardize, random_state=0)
    model = fit_quietly(model, X, y)
    found = model.explain(X[:5])
    centre = X.mean().to_numpy() if standardize else 0.0
    expected = model.expert_coef_[0] * (X[:5].to_numpy() - centre)
    np.testing.assert_allclose(found.contributions, expected, rtol=1e-8)
    assert (found.gate == 1.0).all()
    np.testing.assert_allclose(found.variance[:, 0], 1.0)
    assert f"at {'average inputs' if standardize else 'inputs of 0'}: " in str(found)


def test_columns_of_transformers_are_named(data):
    X, y = data
    model = BoERegressor(2, expert_features=SplineTransformer(4), inference="map", random_state=0)
    found = fit_quietly(model, X[["speed"]], y).explain(X[["speed"]][:3])
    assert found.columns[0] == "speed_sp_0"
    np.testing.assert_allclose(found.baseline + found.contributions.sum(axis=1), found.mean)


def test_tables_and_sentences_agree(fitted, data):
    X, _ = data
    found = fitted.explain(X[:2])
    table = found.table
    assert table.shape == (2, 4 + 5 + 3 + 3)
    assert table["expert"].sum(axis=1).to_numpy() == pytest.approx(1.0)
    first, second = str(found).splitlines()
    assert first.startswith(f"Row 0: {found.mean[0]:.4g} with standard deviation")
    largest = found.columns[np.abs(found.contributions[1]).argmax()]
    assert f"inputs: {largest} " in second
    assert "the others" in second  # four columns, of which three are named
    assert repr(found) == "Explanation(2 rows)"
    assert "baseline" in found._repr_html_()


def test_before_fit():
    with pytest.raises(NotFittedError):
        MoERegressor().explain([[0.0]])


# -- through meta-estimators -------------------------------------------------------------


def test_a_pipeline_is_seen_through_with_its_names(data):
    X, y = data
    scale = make_column_transformer((StandardScaler(), ["heat", "speed"]), remainder="drop")
    model = MoERegressor(2, expert_features=[1], inference="map", random_state=0)
    search = GridSearchCV(make_pipeline(scale, model), {"moeregressor__n_experts": [1, 2]}, cv=2)
    fit_quietly(search, X, y)
    found = explain(search, X[:3])
    assert found.columns == ["standardscaler__speed"]
    np.testing.assert_allclose(found.mean, search.predict(X[:3]))
    np.testing.assert_allclose(found.baseline + found.contributions.sum(axis=1), found.mean)


def test_names_are_those_of_the_regressor_where_steps_have_none(data):
    X, y = data
    nameless = FunctionTransformer(lambda X: X.to_numpy())
    pipe = make_pipeline(nameless, BoERegressor(1, inference="map", random_state=0)).fit(X, y)
    assert explain(pipe, X[:2]).columns == ["x0", "x1", "x2", "x3"]
    assert explain(pipe[-1], X[:2].to_numpy()).columns == ["x0", "x1", "x2", "x3"]


def test_linear_transformations_of_the_target_are_undone(data):
    X, y = data
    model = BoERegressor(2, inference="map", random_state=0)
    negative = FunctionTransformer(np.negative, np.negative)
    for transformer in (StandardScaler(), make_pipeline(StandardScaler(), negative)):
        whole = TransformedTargetRegressor(model, transformer=transformer).fit(X, y)
        found, dist = explain(whole, X[:4]), predict_dist(whole, X[:4])
        assert not found.transformed
        np.testing.assert_allclose(found.mean, dist.mean())
        np.testing.assert_allclose(found.std, dist.std())
        np.testing.assert_allclose(found.interval, dist.interval(0.9))
        np.testing.assert_allclose(found.baseline + found.contributions.sum(axis=1), found.mean)


def test_other_targets_are_explained_on_the_transformed_scale_and_it_says_so(data):
    X, y = data
    model = BoERegressor(2, inference="map", random_state=0)
    whole = TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp).fit(X, y)
    found = explain(whole, X[:2])
    assert found.transformed
    np.testing.assert_allclose(found.mean, whole.regressor_.predict(X[:2]))
    assert found.sentence(0).startswith("Row 0 (transformed target): ")


def test_what_cannot_be_explained(data):
    with pytest.raises(TypeError, match="StandardScaler has no explanation of predictions"):
        explain(StandardScaler(), data[0])
    with pytest.raises(NotFittedError):
        explain(make_pipeline(StandardScaler(), MoERegressor()), data[0])
