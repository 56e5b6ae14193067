"""The PyMC model is usable with PyMC's own tools; what it says is what the kernel computes."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

from skcocoafuse import CoCoAFusERegressor, MoERegressor
from skcocoafuse.model.pymc_model import build_pymc_model, free_variables
from tests.problems import make_problem


@pytest.fixture(scope="module")
def model(transition):
    X, y = transition[:2]
    return CoCoAFusERegressor(n_experts=3).build_model(X, y)


def test_parameters_have_names_and_dims(model):
    free = {variable.name for variable in model.free_RVs}
    assert free == {
        "expert_intercept", "expert_coef", "sigma", "gate_intercept_contrast",
        "gate_coef_contrast", "behavior_intercept", "behavior_coef",
    }  # fmt: skip
    assert [variable.name for variable in model.observed_RVs] == ["y"]
    dims = model.named_vars_to_dims
    assert tuple(dims["expert_coef"]) == ("expert", "expert_feature")
    assert tuple(dims["gate_coef"]) == ("expert", "gate_feature")
    assert tuple(dims["y"]) == ("row",)
    assert len(model.coords["expert"]) == 3


def test_estimator_stays_as_it_was(transition):
    estimator = MoERegressor()
    before = dict(vars(estimator))
    estimator.build_model(*transition[:2])
    assert vars(estimator) == before


def test_graph_can_be_drawn(model):
    assert "expert_coef" in pm.model_to_graphviz(model).source


def test_prior_predictive_draws_come_from_the_restricted_priors(model):
    """On the way gates sum to zero, and their entries follow the exact sampler's law."""
    with model:
        trace = pm.sample_prior_predictive(draws=400, random_seed=0)
    gate = trace.prior["gate_intercept"].values[0]
    np.testing.assert_allclose(gate.sum(axis=-1), 0.0, atol=1e-10)
    from skcocoafuse import Prior
    from skcocoafuse.model.priors import sample_sum_to_zero

    exact = sample_sum_to_zero(np.random.default_rng(3), Prior("laplace"), (20_000, 3))
    for k in range(3):
        assert stats.ks_2samp(gate[:, k], exact[:, k]).pvalue > 1e-3
    coefficients = trace.prior["gate_coef"].values[0]
    assert coefficients.shape == (400, 3, 1)
    assert stats.ks_2samp(coefficients[:, 1, 0], exact[:, 1]).pvalue > 1e-3
    assert trace.prior_predictive["y"].shape == (1, 400, 300)


def test_prior_predictive_y_follows_the_mixture():
    """At fixed parameters, y drawn by the model has the distribution's own quantiles."""
    problem = make_problem(n_experts=2, n=3)
    theta = np.random.default_rng(0).normal(size=problem.spec.n_parameters)
    from skcocoafuse import PredictiveDistribution

    dist = PredictiveDistribution(problem.spec, problem.spec.unpack(theta[None]), problem.designs)

    with build_pymc_model(problem) as model:
        fixed = pm.do(model, free_variables(problem.spec, theta))
    draws = pm.draw(fixed["y"], draws=2000, random_seed=1)
    for row in range(3):
        pit = dist[row].cdf(draws[:, row][None, :])[0]
        assert stats.kstest(pit, "uniform").pvalue > 1e-3


def test_nothing_without_entries_is_declared(transition):
    X, y = transition[:2]
    one = MoERegressor(n_experts=1).build_model(X, y)
    assert {v.name for v in one.free_RVs} == {"expert_intercept", "expert_coef", "sigma"}
    constant = CoCoAFusERegressor(gate_features=[], behavior_features=[]).build_model(X, y)
    assert "gate_coef_contrast" not in {v.name for v in constant.free_RVs}
