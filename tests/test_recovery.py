"""What the method is for, on data with a known density; default inference."""

import warnings

import numpy as np
import pytest

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor
from skcocoafuse.datasets import make_bimodal, make_switch_and_transition
from skcocoafuse.metrics import interval_coverage, interval_length
from skcocoafuse.posterior.monte_carlo import ess
from tests.conftest import REGRESSORS, fit_quietly


def judge(models, X_test, y_test):
    rows = {}
    for name, model in models.items():
        interval = model.predict_interval(X_test)
        rows[name] = (
            model.log_prob(X_test, y_test).mean(),
            interval_coverage(y_test, interval),
            interval_length(interval),
        )
    return rows


def test_transition_shorter_intervals_and_higher_density(nuts_transition, transition):
    _, _, X_test, y_test, true_log_density = transition
    rows = judge(nuts_transition, X_test[:1000], y_test[:1000])
    moe, cocoa = rows["MoERegressor"], rows["CoCoAFusERegressor"]
    assert cocoa[2] < 0.9 * moe[2]
    assert 0.92 <= cocoa[1] <= 0.98
    assert cocoa[0] > moe[0]
    assert cocoa[0] > true_log_density[:1000].mean() - 0.03
    assert nuts_transition["CoCoAFusERegressor"].predict_behavior(X_test).mean() < 0.3


def test_switch_as_good_as_a_mixture_and_better_than_a_blend(nuts_switch, switch):
    _, _, X_test, y_test, true_log_density = switch
    lppd = {name: model.log_prob(X_test, y_test).mean() for name, model in nuts_switch.items()}
    assert abs(lppd["CoCoAFusERegressor"] - lppd["MoERegressor"]) < 0.02
    assert lppd["CoCoAFusERegressor"] > lppd["BoERegressor"] + 0.2
    assert lppd["CoCoAFusERegressor"] > true_log_density.mean() - 0.03
    assert nuts_switch["CoCoAFusERegressor"].predict_behavior(X_test).mean() > 0.7


def test_switch_and_transition_need_the_behavior_gate():
    """beta is small at the transition, large at the switch, and the density gains by it."""
    X, y = make_switch_and_transition(600, random_state=0)
    X_test, y_test = make_switch_and_transition(1000, random_state=1)
    models = {r.__name__: fit_quietly(r(3, random_state=0), X, y) for r in REGRESSORS}
    lppd = {name: model.log_prob(X_test, y_test).mean() for name, model in models.items()}
    assert lppd["CoCoAFusERegressor"] > max(lppd["MoERegressor"], lppd["BoERegressor"])
    beta = models["CoCoAFusERegressor"].predict_behavior(np.array([[-2.0], [2.0]]))
    assert beta[0] < 0.3
    assert beta[1] > 0.7


def test_bimodal_stays_bimodal():
    X, y = make_bimodal(300, random_state=0)
    model = fit_quietly(CoCoAFusERegressor(random_state=0), X, y)
    density = model.predict_dist([[0.0]]).pdf(np.array([[-1.0, 0.0, 1.0]]))[0]
    assert density[1] < 0.2 * min(density[0], density[2])


def test_fits_on_good_data_converge_and_do_not_warn(transition):
    X, y = transition[:2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = MoERegressor(random_state=0).fit(X, y)
    assert model.diagnostics_["rhat"] < 1.05
    assert model.diagnostics_["ess"] > 100


def test_the_same_seed_twice_gives_identical_draws(transition):
    X, y = transition[:2]
    fits = [
        fit_quietly(CoCoAFusERegressor(draws=50, tune=100, random_state=7), X, y) for _ in range(2)
    ]
    for one, other in zip(*(fit.posterior_.parameters for fit in fits), strict=True):
        np.testing.assert_array_equal(one, other)


def test_row_order_at_predict_does_not_matter(nuts_transition, transition):
    X_test = transition[2][:50]
    order = np.random.default_rng(0).permutation(50)
    for model in nuts_transition.values():
        np.testing.assert_allclose(model.predict(X_test[order]), model.predict(X_test)[order])
        np.testing.assert_allclose(
            model.predict_interval(X_test[order]), model.predict_interval(X_test)[order]
        )


@pytest.mark.parametrize("regressor", [MoERegressor, BoERegressor])
def test_permuting_columns_permutes_coefficients(regressor, switch):
    X, y = switch[:2]
    X = np.column_stack([X, np.random.default_rng(0).normal(size=(len(X), 2))])
    order = [2, 0, 1]
    one = fit_quietly(regressor(random_state=0), X, y)
    other = fit_quietly(regressor(random_state=0), X[:, order], y)

    def draws(model):
        p = model.posterior_.parameters
        return p.expert_coef.reshape(*p.expert_coef.shape[:2], -1)

    errors = []
    for model in (one, other):
        values = draws(model)
        scale = values.std(axis=(0, 1)) / np.sqrt(ess(values))
        errors.append(scale.reshape(2, 3))
    scale = model.fitted_.target.scale / X.std(axis=0)
    tolerance = 5.0 * np.hypot(errors[0][:, order], errors[1]) * scale[order]
    assert (np.abs(one.expert_coef_[:, order] - other.expert_coef_) < tolerance).all()


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_shifting_and_scaling_y_shifts_and_scales_predictions(regressor, transition):
    X, y, X_test = transition[:3]
    one = regressor(inference="map", random_state=0).fit(X, y)
    other = regressor(inference="map", random_state=0).fit(X, 1000.0 - 50.0 * y)
    mean, std = one.predict(X_test, return_std=True)
    other_mean, other_std = other.predict(X_test, return_std=True)
    np.testing.assert_allclose(other_mean, 1000.0 - 50.0 * mean, atol=0.01)
    np.testing.assert_allclose(other_std, 50.0 * std, rtol=1e-3)


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_one_expert_is_bayesian_linear_regression(regressor):
    """With much data the three models with one expert are least squares."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    y = 3.0 + X @ [2.0, -1.0] + 0.5 * rng.normal(size=400)
    model = regressor(n_experts=1, draws=500, random_state=0).fit(X, y)
    A = np.column_stack([np.ones(400), X])
    solution, residual = np.linalg.lstsq(A, y, rcond=None)[:2]
    found = [model.expert_intercept_[0], *model.expert_coef_[0]]
    np.testing.assert_allclose(found, solution, atol=0.02)
    assert model.sigma_[0] == pytest.approx(np.sqrt(residual[0] / 397), rel=0.03)


def test_attributes_are_in_original_units(map_fit, transition):
    """The published coefficients reproduce gate, experts and behavior by hand."""
    X = 2.0 + transition[2][:7]
    lines = map_fit.expert_intercept_ + X @ map_fit.expert_coef_.T
    np.testing.assert_allclose(map_fit.predict_experts(X), lines)
    logits = map_fit.gate_intercept_ + X @ map_fit.gate_coef_.T
    gate = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(map_fit.predict_gate(X), gate)
    if isinstance(map_fit, CoCoAFusERegressor):
        h = map_fit.behavior_intercept_ + X @ map_fit.behavior_coef_
        np.testing.assert_allclose(map_fit.predict_behavior(X), 1 / (1 + np.exp(-h)))
    mean, std = map_fit.predict(X, return_std=True)
    np.testing.assert_allclose(mean, (gate * lines).sum(axis=1))
    assert std.min() >= map_fit.sigma_.min() * 0.99
    quantiles = map_fit.predict_quantiles(X)
    assert quantiles.shape == (7, 3)
    assert map_fit.sample_y(X, 5, random_state=0).shape == (7, 5)
    shares = map_fit.responsibilities(X, mean)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)


def test_without_standardisation_data_are_taken_as_they_are(transition):
    X, y = transition[:2]
    model = MoERegressor(inference="map", standardize=False, random_state=0).fit(X, y)
    np.testing.assert_allclose(
        model.expert_coef_, model.posterior_.parameters.expert_coef[0, 0], rtol=1e-12
    )
