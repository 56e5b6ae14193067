"""Local coefficients against finite differences of the predictive mean."""

import numpy as np
import pytest
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
)

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor

MODELS = {
    "mixture": lambda: MoERegressor(inference="vi", draws=40, random_state=0),
    "blend": lambda: BoERegressor(3, inference="map", random_state=0),
    "learned": lambda: CoCoAFusERegressor(inference="vi", draws=40, random_state=0),
    "own columns": lambda: CoCoAFusERegressor(
        inference="map", expert_features=[0, 2], gate_features=[1], random_state=0
    ),
    "not standardised": lambda: MoERegressor(inference="map", standardize=False, random_state=0),
    "transformer": lambda: MoERegressor(
        inference="map",
        expert_features=SplineTransformer(4, extrapolation="linear"),
        random_state=0,
    ),
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal([0.0, 5.0, -2.0], [1.0, 3.0, 0.2], size=(150, 3))
    y = np.tanh(2 * X[:, 0]) * (X[:, 1] - 5) + X[:, 2] + 0.1 * rng.normal(size=150)
    return X, y


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", MODELS)
def test_local_coef_is_the_slope_of_the_mean(name, data):
    X, y = data
    model = MODELS[name]().fit(X, y)
    at = X[:20]
    coef = model.local_coef(at)
    assert coef.shape == (20, 3)
    for feature, width in enumerate(1e-5 * X.std(axis=0)):
        step = width * np.eye(3)[feature]
        slope = (model.predict(at + step) - model.predict(at - step)) / (2 * width)
        np.testing.assert_allclose(coef[:, feature], slope, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_one_expert_has_its_coefficients_everywhere(data):
    X, y = data
    model = MoERegressor(1, inference="vi", draws=200, random_state=0).fit(X, y)
    coef, interval = model.local_coef(X[:5], coverage=0.9)
    np.testing.assert_allclose(coef, np.tile(model.expert_coef_[0], (5, 1)), rtol=1e-10)
    table = model.summary(coverage=0.9)
    expected = table.loc[[f"expert 0: x{j}" for j in range(3)], ["lower", "upper"]].to_numpy()
    np.testing.assert_allclose(interval[0], expected, rtol=0.02, atol=0.02 * np.ptp(expected))
    with pytest.raises(ValueError, match="coverage must be"):
        model.local_coef(X, coverage=90)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_intervals_widen_with_coverage_and_hold_the_mean(data):
    X, y = data
    model = MODELS["learned"]().fit(X, y)
    coef, narrow = model.local_coef(X, coverage=0.5)
    _, wide = model.local_coef(X, coverage=0.99)
    assert (wide[..., 0] <= narrow[..., 0]).all()
    assert (narrow[..., 1] <= wide[..., 1]).all()
    inside = (coef >= wide[..., 0]) & (coef <= wide[..., 1])
    assert inside.mean() > 0.99


TRANSFORMERS = {
    # of three knots: with four, 150 rows have several modes, and rounding decides which is found
    "spline": lambda: SplineTransformer(3, extrapolation="linear"),
    "polynomial": lambda: PolynomialFeatures(2, include_bias=False),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_units_make_no_difference(name, data):
    """Neither those of the inputs nor those of the rows that are asked for besides."""
    X, y = data

    def model():
        features = TRANSFORMERS[name]()
        options = {"expert_features": features, "gate_features": features}
        return MoERegressor(inference="map", random_state=0, **options)

    expected = model().fit(X, y).local_coef(X[:20])
    for units in ([1e-9, 1.0, 1e9], [1e9, 1e-9, 1e-3]):
        fitted = model().fit(units * X, y)
        rows = np.concatenate([units * X[:20], 1e8 * (units * X[:2]), 1e-8 * (units * X[:2])])
        found = fitted.local_coef(rows) * units
        np.testing.assert_allclose(found[:20], expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(found[:20], fitted.local_coef(rows[:20]) * units)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_one_expert_behind_a_transformer_has_an_analytic_slope(data):
    """At rows from 1e-8 to 1e4 times those of the fit."""
    X, y = data
    powers = PolynomialFeatures(3, include_bias=False)
    logs = FunctionTransformer(np.log, feature_names_out="one-to-one")
    at = np.concatenate([size * X[:10, :1] for size in (1e-8, 1e-3, 1.0, -1e2, 1e4)])
    model = MoERegressor(1, inference="map", expert_features=powers, gate_features=[])
    found = model.fit(X[:, :1], y).local_coef(at)[:, 0]
    b = model.expert_coef_[0]
    x = at[:, 0]
    np.testing.assert_allclose(found, b[0] + 2 * b[1] * x + 3 * b[2] * x**2, rtol=1e-7)
    positive = np.exp(3 * X[:, :1])  # from 1e-4 to 1e3
    model = MoERegressor(1, inference="map", expert_features=logs, gate_features=[])
    found = model.fit(positive, y).local_coef(positive)
    np.testing.assert_allclose(found, model.expert_coef_[0, 0] / positive, rtol=1e-6)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_values_that_nobody_asked_for_are_not_warned_of(data):
    y = data[1]
    codes = np.arange(len(y))[:, None] % 3
    encoder = OneHotEncoder(handle_unknown="warn")
    model = MoERegressor(1, inference="map", expert_features=encoder, gate_features=[])
    assert np.isnan(model.fit(codes, y).local_coef(codes[:5])).all()
