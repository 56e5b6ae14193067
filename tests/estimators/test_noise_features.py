"""Noise that depends on inputs: in fits, predictions, tables, files and searches."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import OneHotEncoder

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor, Prior, load
from skcocoafuse.model.forward import MAX_LOG_RATIO
from tests.conftest import REGRESSORS, fit_quietly

TRUE_SLOPE = 0.8  # of the log of the noise, per unit of x


@pytest.fixture(scope="module")
def fan():
    """A line with noise that grows tenfold over the inputs, and a column that does not matter."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.uniform(0.0, 3.0, 400), "other": rng.normal(size=400)})
    sd = 0.2 * np.exp(TRUE_SLOPE * X["x"])
    return X, 1.0 + 2.0 * X["x"] + sd * rng.normal(size=400), sd


@pytest.fixture(scope="module")
def model(once, fan):
    X, y, _ = fan
    estimator = BoERegressor(1, noise_features=None, draws=500, random_state=0)
    return once({"fan": lambda: fit_quietly(estimator, X, y)})["fan"]


def test_the_true_noise_is_recovered(model, fan):
    """Within four posterior standard deviations; the slope of the other column is small."""
    X, _, sd = fan
    table = model.summary()
    for column, truth in (("x", TRUE_SLOPE), ("other", 0.0)):
        row = table.loc[f"noise 0: {column}"]
        # a slope of 0.8 over 1.5 units on either side is bent by up to 4%
        assert abs(row["mean"] - truth) < 4 * row["sd"] + 0.04 * truth
    assert model.noise_coef_.shape == (1, 2)
    np.testing.assert_allclose(model.predict_noise(X)[:, 0], sd, rtol=0.3)
    assert "+1" in table.loc["noise 0: x", "meaning"]  # more than doubles per unit


def test_intervals_are_as_wide_as_the_noise_at_their_rows(model, fan):
    X, y, _ = fan
    inside = stats.norm.cdf(stats.norm.ppf(model.predict_dist(X).pit(y)))
    for half in (X["x"] < 1.5, X["x"] > 1.5):
        assert stats.kstest(inside[half], "uniform").pvalue > 1e-3
    lower, upper = model.predict_interval(X).T
    narrow, wide = (upper - lower)[X["x"].argmin()], (upper - lower)[X["x"].argmax()]
    assert wide > 5 * narrow


def test_one_expert_is_a_normal_with_that_noise(fan):
    X, y, _ = fan
    fit = fit_quietly(MoERegressor(1, noise_features=["x"], inference="map"), X, y)
    found = fit.log_prob(X, y)
    expected = stats.norm.logpdf(y, fit.predict_experts(X)[:, 0], fit.predict_noise(X)[:, 0])
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    mean, std = fit.predict(X, return_std=True)  # by compiled moments, not components
    np.testing.assert_allclose(mean, fit.predict_experts(X)[:, 0], rtol=1e-8)
    np.testing.assert_allclose(std, fit.predict_noise(X)[:, 0], rtol=1e-8)


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_moments_are_those_of_the_mixture(regressor, fan):
    X, y, _ = fan
    estimator = regressor(
        3, noise_features=["x"], inference="vi", draws=50, target_resolution=0.5, random_state=0
    )
    fit = fit_quietly(estimator, X[:200], y[:200])
    # wide: a draw can have an expert of little weight far from the data
    dist, grid = fit.predict_dist(X[:5]), np.linspace(-300.0, 400.0, 200_001)
    density = dist.pdf(np.tile(grid, (5, 1)))
    mean = np.trapezoid(grid * density, grid, axis=1)
    std = np.sqrt(np.trapezoid((grid - mean[:, None]) ** 2 * density, grid, axis=1))
    np.testing.assert_allclose(dist.mean_and_std(), [mean, std], rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(dist.variance_parts().total()), std, rtol=1e-5)


def test_noise_without_inputs_is_the_default(fan):
    X, y, _ = fan
    fits = [
        fit_quietly(
            CoCoAFusERegressor(2, noise_features=none, inference="map", random_state=0), X, y
        )
        for none in ((), [])
    ]
    default = fit_quietly(CoCoAFusERegressor(2, inference="map", random_state=0), X, y)
    for fit in fits:
        np.testing.assert_array_equal(fit.log_prob(X, y), default.log_prob(X, y))
    noise = default.predict_noise(X)
    np.testing.assert_allclose(noise, np.tile(default.sigma_, (len(X), 1)), rtol=1e-12)


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_far_away_the_noise_stays_within_its_bound(regressor, fan):
    X, y, _ = fan
    fit = fit_quietly(regressor(2, noise_features=None, inference="map", random_state=0), X, y)
    far = X.iloc[:4] * 0.0 + 1e6 * np.array([[1, 0], [-1, 0], [0, 1], [1, -1]])
    noise = fit.predict_noise(far)
    assert (noise <= fit.sigma_ * np.exp(MAX_LOG_RATIO) * (1 + 1e-9)).all()
    assert (noise >= fit.sigma_ * np.exp(-MAX_LOG_RATIO) * (1 - 1e-9)).all()
    assert np.isfinite(fit.predict_interval(far)).all()
    assert np.isfinite(fit.predict_dist(far).crps(np.zeros(4))).all()


def test_units_do_not_matter(fan):
    X, y, _ = fan
    options = {"noise_features": None, "inference": "map", "random_state": 0}
    one = fit_quietly(MoERegressor(2, **options), X, y)
    other = fit_quietly(MoERegressor(2, **options), 1000.0 * X + 7.0, 60.0 * y - 3.0)
    np.testing.assert_allclose(other.noise_coef_, one.noise_coef_ / 1000.0, rtol=1e-4)
    np.testing.assert_allclose(
        other.predict_noise(1000.0 * X + 7.0), 60.0 * one.predict_noise(X), rtol=1e-4
    )


def test_a_transformer_makes_inputs_of_the_noise(fan, tmp_path):
    """Two groups with different noise; and the file of such a fit."""
    X, _, _ = fan
    rng = np.random.default_rng(1)
    X = X.assign(site=rng.choice(["calm", "wild"], len(X)))
    y = X["x"] + np.where(X["site"] == "wild", 1.0, 0.2) * rng.normal(size=len(X))
    encoded = make_column_transformer((OneHotEncoder(drop="first"), ["site"]))
    estimator = CoCoAFusERegressor(
        1,
        expert_features=["x"],
        noise_features=encoded,
        gate_features=[],
        behavior_features=[],
        inference="vi",
        draws=100,
        random_state=0,
    )
    fit = fit_quietly(estimator, X, y)
    noise = fit.predict_noise(X)[:, 0]
    assert noise[X["site"] == "wild"] == pytest.approx(1.0, abs=0.15)
    assert noise[X["site"] == "calm"] == pytest.approx(0.2, abs=0.05)
    fit.save(tmp_path / "fit.nc")
    loaded = load(tmp_path / "fit.nc")
    np.testing.assert_array_equal(loaded.predict_noise(X), fit.predict_noise(X))
    np.testing.assert_array_equal(loaded.log_prob(X, y), fit.log_prob(X, y))


def test_arviz_pymc_and_priors_know_it(model, fan):
    X, y, _ = fan
    groups = model.to_arviz(log_likelihood=False, posterior_predictive=False)
    posterior = groups["posterior"]["noise_coef"]
    assert posterior.dims == ("chain", "draw", "expert", "noise_feature")
    assert posterior["noise_feature"].values.tolist() == ["x", "other"]
    np.testing.assert_allclose(posterior.mean(("chain", "draw")).values, model.noise_coef_)
    built = model.build_model(X, y)
    assert tuple(built.named_vars_to_dims["noise_coef"]) == ("expert", "noise_feature")
    tight = clone(model).set_params(inference="map", priors={"noise_coef": Prior("laplace", 1e-3)})
    assert np.abs(fit_quietly(tight, X, y).noise_coef_).max() < 0.01


def test_a_search_prefers_noise_that_depends_on_inputs(fan):
    X, y, _ = fan
    grid = {"noise_features": [(), None], "n_experts": [1]}
    search = GridSearchCV(
        BoERegressor(inference="map", random_state=0),
        grid,
        scoring=lambda m, X, y: m.log_prob(X, y).mean(),
    )
    assert fit_quietly(search, X, y).best_params_["noise_features"] is None


@pytest.mark.parametrize(
    "inference", ["map", "vi", "nuts", pytest.param("advi", marks=pytest.mark.slow)]
)
def test_all_engines_fit_it(inference, fan):
    X, y, _ = fan
    options = {"inference_options": {"n": 60_000}} if inference == "advi" else {}
    estimator = MoERegressor(
        1, noise_features=["x"], inference=inference, draws=100, tune=200, random_state=0, **options
    )
    fit = fit_quietly(estimator, X[:150], y[:150])
    assert fit.noise_coef_[0, 0] == pytest.approx(TRUE_SLOPE, abs=0.25)


def test_messages_name_the_argument(fan):
    X, y, _ = fan
    with pytest.raises(ValueError, match="noise_features has 'wind', which is not a column of X"):
        BoERegressor(noise_features=["wind"]).fit(X, y)
    with pytest.raises(TypeError, match="noise_features must be None, a list of column names"):
        BoERegressor(noise_features="x").fit(X, y)


def test_steep_lines_and_tiny_units_have_a_summary_without_warnings(fan):
    """exp of a slope in the thousands overflows."""
    X, y, _ = fan
    fit = fit_quietly(BoERegressor(1, noise_features=["x"], inference="map"), X / 1e4, 1e3 * y)
    assert fit.expert_coef_[0, 0] > 1e6
    assert fit.noise_coef_[0, 0] > 1e3
    with np.errstate(all="raise", under="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        meaning = fit.summary()["meaning"]
    assert "+inf%" in meaning["noise 0: x"]
