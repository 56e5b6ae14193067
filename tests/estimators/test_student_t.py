"""Student's t noise: in fits, predictions, tables, files and searches."""

import pickle
import warnings

import numpy as np
import pytest
from scipy import special, stats
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor, Prior, load
from skcocoafuse.datasets import make_switch_and_transition
from skcocoafuse.evaluation.loo import leave_one_out
from tests.conftest import REGRESSORS, fit_quietly

TRUE_DF = 4.0


@pytest.fixture(scope="module")
def line():
    """A line with noise of four degrees of freedom and scale 0.5."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0.0, 3.0, (600, 1))
    return X, 1.0 + 2.0 * X[:, 0] + 0.5 * rng.standard_t(TRUE_DF, 600)


@pytest.fixture(scope="module")
def model(once, line):
    X, y = line
    estimator = BoERegressor(1, noise="student_t", draws=500, random_state=0)
    return once({"heavy tails": lambda: fit_quietly(estimator, X, y)})["heavy tails"]


def test_the_true_noise_is_recovered(model, line):
    table = model.summary()
    draws = np.log(model.posterior_.parameters.noise_df - 1)
    assert abs(draws.mean() - np.log(TRUE_DF - 1)) < 4 * draws.std()
    row = table.loc["expert 0: sigma"]
    assert abs(row["mean"] - 0.5) < 4 * row["sd"]
    assert model.noise_df_ == pytest.approx(table.loc["noise: noise_df", "mean"])
    assert "outliers" in table.loc["noise: noise_df", "meaning"]


def test_one_expert_is_student_t_regression(line):
    X, y = line
    fit = fit_quietly(MoERegressor(1, noise="student_t", inference="map"), X, y)
    own = stats.t(fit.noise_df_, fit.predict_experts(X)[:, 0], fit.predict_noise(X)[:, 0])
    np.testing.assert_allclose(fit.log_prob(X, y), own.logpdf(y), rtol=1e-8)
    moments = own.mean(), own.std()
    np.testing.assert_allclose(fit.predict(X, return_std=True), moments, rtol=1e-8)


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_many_degrees_of_freedom_are_normal_noise(regressor, line):
    X, y = line
    options = {"inference": "map", "random_state": 0}
    normal = fit_quietly(regressor(2, **options), X, y)
    limit = {"noise_df": Prior("lognormal", loc=18.0, scale=0.01)}
    other = fit_quietly(regressor(2, noise="student_t", priors=limit, **options), X, y)
    assert other.noise_df_ > 1e7
    assert normal.noise_df_ == np.inf
    np.testing.assert_allclose(other.log_prob(X, y), normal.log_prob(X, y), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(other.predict(X), normal.predict(X), rtol=1e-3)


def outlying(y, share=0.05, seed=1):
    """Targets of which some are 5 to 15 standard deviations away."""
    rng = np.random.default_rng(seed)
    bad = rng.random(len(y)) < share
    away = rng.choice([-1.0, 1.0], len(y)) * rng.uniform(5.0, 15.0, len(y)) * y.std()
    return np.where(bad, y + away, y)


def test_outliers_do_not_bend_the_lines(once):
    X, y = make_switch_and_transition(400, random_state=0)
    X_test, y_test = make_switch_and_transition(2000, random_state=1)
    cases = {
        "clean, normal": (y, "normal"),
        "outliers, normal": (outlying(y), "normal"),
        "outliers, student_t": (outlying(y), "student_t"),
    }
    rmse = {}
    for name, (target, noise) in cases.items():
        estimator = CoCoAFusERegressor(3, noise=noise, inference="vi", random_state=0)
        fit = fit_quietly(estimator, X, target)
        rmse[name] = np.sqrt(((fit.predict(X_test) - y_test) ** 2).mean())
    assert rmse["outliers, student_t"] < 1.05 * rmse["clean, normal"]
    assert rmse["outliers, normal"] > 1.2 * rmse["clean, normal"]


def test_units_do_not_matter(line):
    X, y = line
    options = {"noise": "student_t", "inference": "map", "random_state": 0}
    one = fit_quietly(MoERegressor(2, **options), X, y)
    other = fit_quietly(MoERegressor(2, **options), 1000.0 * X + 7.0, 60.0 * y - 3.0)
    assert other.noise_df_ == pytest.approx(one.noise_df_, rel=1e-3)
    np.testing.assert_allclose(other.sigma_, 60.0 * one.sigma_, rtol=1e-3)


def test_leave_one_out_is_the_harmonic_mean_of_densities(line):
    """Where no smoothing is needed: importance weights are inverse densities."""
    X, y = line
    estimator = BoERegressor(1, noise="student_t", inference="vi", draws=1000, random_state=0)
    fit = fit_quietly(estimator, X, y)
    draws = fit.posterior_.flat()
    found = leave_one_out(fit.fitted_.problem, fit.posterior_.spec, draws)
    row = np.flatnonzero(found.pareto_k < 0.0)[:20]
    assert len(row)
    problem = fit.fitted_.problem
    mean = draws.expert_intercept[:, 0] + problem.designs["expert"][row] @ draws.expert_coef[:, 0].T
    seen = stats.t.logpdf(problem.y[row, None], draws.noise_df, mean, draws.sigma[:, 0])
    expected = np.log(seen.shape[1]) - special.logsumexp(-seen, axis=1)
    np.testing.assert_allclose(found.log_density[row], expected, atol=2e-3)


def test_files_pickles_and_copies_keep_it(model, line, tmp_path):
    X, y = line
    model.save(tmp_path / "fit.nc")
    for again in (load(tmp_path / "fit.nc"), pickle.loads(pickle.dumps(model))):
        assert again.get_params()["noise"] == "student_t"
        assert again.noise_df_ == model.noise_df_
        np.testing.assert_array_equal(again.log_prob(X, y), model.log_prob(X, y))
    assert clone(model).noise == "student_t"


def test_arviz_pymc_and_skpro_know_it(model, line):
    X, y = line
    groups = model.to_arviz(log_likelihood=True, posterior_predictive=False)
    found = groups["posterior"]["noise_df"]
    assert found.dims == ("chain", "draw")
    assert float(found.mean()) == pytest.approx(model.noise_df_)
    built = model.build_model(X, y)
    assert {"noise_df_excess", "noise_df"} <= set(built.named_vars)
    by_rows = groups["log_likelihood"]["y"].stack(sample=("chain", "draw")).values
    log_density = special.logsumexp(by_rows, axis=1) - np.log(by_rows.shape[1])
    np.testing.assert_allclose(log_density, model.log_prob(X, y), rtol=1e-6, atol=1e-6)
    dist = model.predict_dist(X[:5])
    skpro = dist.to_skpro(columns=["y"])
    np.testing.assert_allclose(skpro.cdf(np.full((5, 1), 3.0)).to_numpy()[:, 0], dist.cdf(3.0))


def test_prior_draws_have_it(line):
    X, y = line
    estimator = MoERegressor(2, noise="student_t")
    values, parameters = estimator.sample_prior_predictive(
        X, y, n_samples=300, random_state=0, return_parameters=True
    )
    assert values.shape == (300, len(X))
    assert (parameters["noise_df"] > 1.0).all()
    assert np.median(parameters["noise_df"]) == pytest.approx(1 + np.exp(2.5), rel=0.2)


@pytest.mark.parametrize(
    "inference",
    [
        "map",
        "vi",
        "nuts",
        pytest.param("advi", marks=pytest.mark.slow),
        pytest.param("pymc", marks=pytest.mark.slow),
    ],
)
def test_all_engines_fit_it(inference, line):
    X, y = line
    options = {"inference_options": {"n": 60_000}} if inference == "advi" else {}
    estimator = MoERegressor(
        1, noise="student_t", inference=inference, draws=100, tune=200, random_state=0, **options
    )
    fit = fit_quietly(estimator, X[:200], y[:200])
    assert 1.0 < fit.noise_df_ < 30.0
    assert fit.expert_coef_[0, 0] == pytest.approx(2.0, abs=0.2)


def test_a_search_prefers_the_right_noise(line):
    X, y = line
    search = GridSearchCV(
        BoERegressor(1, inference="map", random_state=0),
        {"noise": ["normal", "student_t"], "noise_features": [(), None]},
        scoring=lambda m, X, y: m.log_prob(X, y).mean(),
    )
    assert fit_quietly(search, X, y).best_params_["noise"] == "student_t"


def test_changing_the_noise_and_fitting_again_leaves_nothing_behind(line):
    X, y = line
    fit = fit_quietly(BoERegressor(1, noise="student_t", inference="map", warm_start=True), X, y)
    assert np.isfinite(fit.noise_df_)
    fit_quietly(fit.set_params(noise="normal"), X, y)
    assert fit.noise_df_ == np.inf
    assert fit.posterior_.parameters.noise_df is None
    assert not any("noise_df" in name for name in fit.summary().index)


def test_warm_starts_keep_the_distribution(line):
    X, y = line
    options = {"noise": "student_t", "inference": "vi", "draws": 200, "random_state": 0}
    warm = fit_quietly(MoERegressor(2, warm_start=True, **options), X[:500], y[:500])
    fit_quietly(warm, X, y)
    cold = fit_quietly(MoERegressor(2, **options), X, y)
    assert warm.log_prob(X, y).mean() == pytest.approx(cold.log_prob(X, y).mean(), abs=0.02)


def test_messages_name_what_to_do(line):
    X, y = line
    with pytest.raises(ValueError, match="'noise' parameter of BoERegressor must be a str among"):
        BoERegressor(noise="laplace").fit(X, y)
    priors = {"noise_df": Prior("lognormal")}
    with pytest.raises(ValueError, match="set noise='student_t'"):
        BoERegressor(priors=priors).fit(X, y)
    with pytest.raises(ValueError, match="family for positive numbers"):
        BoERegressor(noise="student_t", priors={"noise_df": Prior("normal")}).fit(X, y)


def test_extreme_outliers_raise_no_warnings_of_arithmetic(line):
    X, y = line
    y = y.copy()
    y[:3] = [1e9, -1e12, 1e6]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        fit = MoERegressor(2, noise="student_t", inference="map", random_state=0).fit(X, y)
        dist = fit.predict_dist(X[:3])
        assert np.isfinite(dist.crps(y[:3])).all()
        assert np.isfinite(dist.interval(0.999)).all()
        np.testing.assert_allclose(dist.hdi(0.9).mass, 0.9, rtol=1e-5)
