"""Fits with more experts than the data ask for, and what is left of them."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor, compare
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.evaluation.verdicts import collapsed_experts
from skcocoafuse.exceptions import InfluentialRowsWarning
from skcocoafuse.inference import EngineResult
from skcocoafuse.model.parameters import Parameters
from tests.conftest import fit_quietly

SAMPLER = {"draws": 300, "tune": 300, "chains": 2, "random_state": 0}


def two_lines(n=150, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2.0, 2.0, (n, 1))
    left = rng.uniform(size=n) < 1.0 / (1.0 + np.exp(4.0 * X[:, 0]))
    y = np.where(left, 1.0 + 2.0 * X[:, 0], -1.0 - X[:, 0]) + 0.3 * rng.normal(size=n)
    return X, y


def quietly(model, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.merge_experts(**arguments)


@pytest.fixture(scope="module")
def surplus(once):
    """Three experts on two lines."""
    name = "a surplus expert"
    return once({name: lambda: fit_quietly(MoERegressor(3, **SAMPLER), *two_lines())})[name]


@pytest.fixture(scope="module")
def merged(once, surplus):
    name = "a surplus expert, merged"
    return once({name: lambda: quietly(surplus)})[name]


def check_two_lines(result):
    assert len(result.groups) == 2
    joined = [k for group in result.groups for k in group]
    assert sorted([*joined, *result.pruned]) == list(range(len(result.share)))
    gap = result.difference
    assert gap.elpd > -2.0 * gap.se
    np.testing.assert_allclose(np.sort(result.estimator.expert_coef_[:, 0]), [-1.0, 2.0], atol=0.35)


def test_surplus_expert_goes_and_loo_does_not_suffer(surplus, merged):
    check_two_lines(merged)
    assert merged.changed
    compared = compare({"after": merged.estimator, "before": surplus})
    expected = compared.difference("after", "before")
    assert (merged.difference.elpd, merged.difference.se) == (expected.elpd, expected.se)


def test_is_the_fit_with_fewer_experts(merged):
    model, (X, y) = merged.estimator, two_lines()
    fresh = fit_quietly(MoERegressor(2, **SAMPLER), X, y)
    assert model.get_params() == fresh.get_params()
    np.testing.assert_array_equal(model.predict(X), fresh.predict(X))
    np.testing.assert_array_equal(model.log_prob(X, y), fresh.log_prob(X, y))
    assert clone(model).n_experts == 2


def test_the_original_stays_as_it_was(surplus, merged):
    assert surplus.n_experts == 3
    assert surplus.expert_coef_.shape == (3, 1)
    assert surplus.posterior_.spec.n_experts == surplus.fitted_.problem.spec.n_experts == 3
    assert len(surplus.diagnostics_["expert_share"]) == len(merged.share) == 3
    assert merged.estimator.posterior_.spec.n_experts == 2


def test_says_what_it_did(merged):
    text = repr(merged)
    assert "3 experts, 2 after merging" in text
    assert f"{merged.loo_before.elpd:.1f} before, {merged.loo_after.elpd:.1f} after" in text
    assert ("separated with probability" in text) == any(len(g) > 1 for g in merged.groups)


def test_experts_that_are_needed_stay():
    rng = np.random.default_rng(0)
    X = rng.uniform(-3.0, 3.0, (150, 1))
    segment = np.digitize(X[:, 0], [-1.0, 1.0])
    line = np.array([2.0, 0.0, -2.0])[segment] + np.array([1.0, -1.0, 1.0])[segment] * X[:, 0]
    model = fit_quietly(MoERegressor(3, **SAMPLER), X, line + 0.3 * rng.normal(size=150))
    result = quietly(model)
    assert result.estimator is model
    assert not result.changed
    assert result.groups == ((0,), (1,), (2,))
    assert (result.separation[np.triu_indices(3, 1)] > 0.99).all()
    assert result.loo_after is result.loo_before
    assert (result.difference.elpd, result.difference.se) == (0.0, 0.0)


def test_one_line_on_both_sides_of_another_is_two_experts():
    """The gate of two experts could not go back and forth."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-2.0, 2.0, (150, 1))
    y = np.where(np.abs(X[:, 0]) < 0.8, 2.0 - X[:, 0], X[:, 0] - 2.0) + 0.3 * rng.normal(size=150)
    result = quietly(fit_quietly(MoERegressor(3, **SAMPLER), X, y))
    assert not result.changed
    assert result.separation[0, 1] > 0.95


def engine_of(intercept, gate_intercept):
    """Draws around these lines of no slope; experts of equal numbers are copies."""
    intercept, gate_intercept = np.array(intercept), np.array(gate_intercept)

    def engine(problem, settings):
        rng, M = np.random.default_rng(settings.seed), problem.spec.n_experts
        copies = np.unique(intercept[:M], return_inverse=True)[1]
        noise = rng.normal(size=(2, 200, 4, M))[..., copies]
        level, slope, log_sigma, gate = np.moveaxis(0.1 * noise, 2, 0)
        parameters = Parameters(
            expert_intercept=intercept[:M] + level,
            expert_coef=slope[..., None],
            sigma=0.3 * np.exp(log_sigma),
            gate_intercept=gate_intercept[:M] + np.zeros_like(level),
            gate_coef=gate[..., None],
            noise_coef=np.zeros((*level.shape, 0)),
        )
        theta = problem.spec.pack(parameters)
        return EngineResult(theta, Kernel(problem).log_posterior(theta))

    return lambda name: engine


def test_copies_are_joined_with_certainty(monkeypatch):
    X, y = two_lines()
    monkeypatch.setattr(
        "skcocoafuse.evaluation.learning.get_engine", engine_of([-1.0, 1.0, 1.0], [0.0, 0.5, -1.0])
    )
    result = quietly(fit_quietly(MoERegressor(3, random_state=0), X, y), coverage=0.01)
    assert result.groups == ((0,), (1, 2))
    assert result.separation[1, 2] == 0.0
    assert result.pruned == ()


def test_an_expert_without_rows_is_pruned(monkeypatch):
    X, y = two_lines()
    monkeypatch.setattr(
        "skcocoafuse.evaluation.learning.get_engine", engine_of([-1.0, 1.0, 8.0], [0.0, 0.0, -30.0])
    )
    model = fit_quietly(MoERegressor(3, random_state=0), X, y)
    (unused,) = collapsed_experts(model.diagnostics_)
    assert 1.0 < model.diagnostics_["n_effective_experts"] < 2.0 + 1e-6
    result = quietly(model)
    assert result.pruned == (unused,)
    assert [len(group) for group in result.groups] == [1, 1]
    assert f"pruned: {unused}, with 0.0% of the data" in repr(result)


def test_a_single_expert():
    model = fit_quietly(MoERegressor(1, inference="vi", random_state=0), *two_lines())
    result = quietly(model)
    assert result.estimator is model
    assert result.groups == ((0,),)
    assert model.diagnostics_["n_effective_experts"] == pytest.approx(1.0)


def test_bad_arguments(map_fit, surplus):
    with pytest.raises(ValueError, match=r"merge_experts\(\) needs draws.*'map'.*'nuts'"):
        map_fit.merge_experts()
    for name in ("coverage", "min_share"):
        with pytest.raises(ValueError, match=f"{name} must be .*strictly between 0 and 1; got 1"):
            surplus.merge_experts(**{name: 1})


def test_rows_that_loo_cannot_trust_are_named_at_the_call(switch):
    X, y = switch[0][:60], switch[1][:60].copy()
    y[7] += 8.0
    model = fit_quietly(BoERegressor(1, inference="vi", random_state=0), X, y)
    with pytest.warns(InfluentialRowsWarning, match="before merging") as seen:
        model.merge_experts()
    assert seen[0].filename == __file__


@pytest.mark.slow
@pytest.mark.parametrize("regressor", [MoERegressor, CoCoAFusERegressor])
def test_two_surplus_experts(regressor):
    check_two_lines(quietly(fit_quietly(regressor(4, **SAMPLER), *two_lines(200))))
