"""Warnings that help: each seen on purpose, with its numbers in diagnostics_."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skcocoafuse import CoCoAFusERegressor, diagnostics, exceptions
from skcocoafuse._monte_carlo import rhat
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.islands import invariants
from tests.problems import make_problem

GOOD = {
    "rhat": 1.01,
    "rhat_within": 1.01,
    "islands": [[0, 1, 2, 3]],
    "island_weight": np.ones(1),
    "island_elpd": np.full(1, np.nan),
    "ess": 900.0,
    "n_divergences": 0,
    "expert_share": np.array([0.4, 0.6]),
    "n_chains": 4,
    "n_draws": 1000,
}


@pytest.mark.parametrize(
    ("change", "category", "message"),
    [
        ({"n_divergences": 3}, exceptions.DivergenceWarning, "3 of 4000 draws.*target_accept"),
        ({"rhat_within": 1.3}, exceptions.ChainMixingWarning, "R-hat 1.30.*more tune and draws"),
        ({"pareto_k": 0.9}, exceptions.PoorApproximationWarning, "k-hat 0.90.*inference='nuts'"),
        (
            {"still_chains": [1], "rhat_within": np.nan, "ess": np.nan},
            exceptions.ChainMixingWarning,
            r"Chain\(s\) \[1\] did not move in any of 1000 draws.*more tune",
        ),
        (
            {"n_draws": 2, "n_chains": 3, "rhat_within": np.nan, "ess": np.nan},
            exceptions.ChainMixingWarning,
            "6 draw.* too few to tell.*more tune and draws",
        ),
        ({"rhat_within": np.inf}, exceptions.ChainMixingWarning, "R-hat inf"),
        ({"ess": 12.0}, exceptions.ChainMixingWarning, "effective sample size 12 of 4000"),
        (
            {
                "islands": [[0, 2], [1, 3]],
                "island_weight": np.array([0.8, 0.2]),
                "island_elpd": np.array([-10.0, -12.5]),
                "rhat": 1.4,
            },
            exceptions.SeparateModesWarning,
            r"2 groups.*R-hat 1.40.*\[0, 2\] with weight 0.80.*-10.0.*chains \[1, 3\].*stacking",
        ),
        (
            {"expert_share": np.array([0.996, 0.004])},
            exceptions.CollapsedExpertWarning,
            r"Expert\(s\) \[1\].*try n_experts=1",
        ),
    ],
)
def test_each_problem_has_its_warning(change, category, message):
    assert issubclass(category, ConvergenceWarning)
    with pytest.warns(category, match=message) as record:
        diagnostics.warn({**GOOD, **change}, stacklevel=2)
    assert len(record) == 1
    assert record[0].filename == __file__
    served = category is exceptions.CollapsedExpertWarning  # such draws can be trusted
    assert diagnostics.converged({**GOOD, **change}) == served


def test_good_news_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        diagnostics.warn(GOOD, stacklevel=1)
        diagnostics.warn({**GOOD, "rhat_within": np.nan, "ess": np.nan}, stacklevel=1)
    assert diagnostics.converged(GOOD)


def test_a_chain_that_stands_still_is_seen():
    """Beside others that move, and also where its R-hat is infinite and others have none."""
    problem = make_problem(2, (1, 1, 1), n=40)
    theta = np.random.default_rng(0).normal(size=(3, 50, problem.spec.n_parameters))
    theta[1] = theta[1, 0]
    parameters = problem.spec.unpack(theta)
    posterior = Posterior(problem.spec, parameters, theta[..., 0], {})
    _, found = diagnostics.judge(problem, posterior, {}, False)
    assert found["still_chains"] == [1]
    assert not diagnostics.settled(found)
    all_still = Posterior(problem.spec, parameters, np.repeat([[1.0], [2.0], [3.0]], 50, 1), {})
    _, found = diagnostics.judge(problem, all_still, {}, False)
    assert found["still_chains"] == [0, 1, 2]
    _, found = diagnostics.judge(problem, posterior, {}, True)
    assert found["still_chains"] == []


def test_too_few_draws_are_seen(transition):
    """A real fit far too short: chains cannot have mixed."""
    X, y = transition[:2]
    model = CoCoAFusERegressor(draws=20, tune=20, random_state=0)
    with pytest.warns(exceptions.ChainMixingWarning) as record:
        model.fit(X, y)
    assert model.diagnostics_["ess"] < 100
    mixing = [w for w in record if w.category is exceptions.ChainMixingWarning]
    assert mixing[0].filename == __file__  # points at the user's line


def test_surplus_expert_is_seen():
    """An expert that the gate never chooses accounts for nothing."""
    problem = make_problem(3, (1, 1, 1), behavior=1.0, n=80)
    theta = np.random.default_rng(0).normal(size=(2, 10, problem.spec.n_parameters))
    parameters = problem.spec.unpack(theta)
    parameters.gate_intercept[..., 1] -= 1e6
    posterior = Posterior(problem.spec, parameters, theta[..., 0], {})
    quantities = invariants(problem, posterior)
    found = diagnostics.diagnose(problem, posterior, quantities, rhat(quantities), {})
    assert found["expert_share"][1] < 1e-9
    assert found["expert_share"].sum() == pytest.approx(1.0)
    first, _, last = found["expert_share"]
    entropy = -first * np.log(first) - last * np.log(last)
    assert found["n_effective_experts"] == pytest.approx(np.exp(entropy))
    assert diagnostics.collapsed_experts(found) == [1]
    with pytest.warns(exceptions.CollapsedExpertWarning, match=r"\[1\].*less than 1%.*n_experts=2"):
        diagnostics.warn({**GOOD, "expert_share": found["expert_share"]}, stacklevel=2)


def test_numbers_are_there(nuts_transition):
    for name, model in nuts_transition.items():
        numbers = model.diagnostics_
        assert numbers["rhat"] < 1.05, name
        assert numbers["ess"] > 100
        assert numbers["expert_share"].sum() == pytest.approx(1.0)
        assert 1.0 < numbers["n_effective_experts"] <= 2.0
        assert diagnostics.collapsed_experts(numbers) == []
        assert numbers["n_chains"] == 4
        assert numbers["n_draws"] == 1000
        assert {"optimisation", "sampling"} <= set(numbers["seconds"])


def test_summary_is_a_table_in_original_units(nuts_switch):
    model = nuts_switch["CoCoAFusERegressor"]
    table = model.summary(coverage=0.9)
    assert list(table.columns) == ["mean", "sd", "lower", "upper", "rhat", "ess", "meaning"]
    assert table.loc["expert 0: intercept", "mean"] == pytest.approx(model.expert_intercept_[0])
    assert table.loc["expert 1: x0", "mean"] == pytest.approx(model.expert_coef_[1, 0])
    assert table.loc["gate 1: x0", "mean"] == pytest.approx(model.gate_coef_[1, 0])
    assert table.loc["behavior: x0", "mean"] == pytest.approx(model.behavior_coef_[0])
    assert ((table["lower"] < table["mean"]) & (table["mean"] < table["upper"])).all()
    assert (table["rhat"] < 1.05).all()
    narrower = model.summary(coverage=0.5)
    assert (narrower["upper"] - narrower["lower"] < table["upper"] - table["lower"]).all()
    share = model.diagnostics_["expert_share"]
    assert f"{share[1]:.0%} of the rows" in table.loc["expert 1: intercept", "meaning"]
    assert table.loc["gate 1: x0", "meaning"] == "change of that log weight per unit of x0"
    assert "log odds" in table.loc["behavior: intercept", "meaning"]


def test_summary_of_a_mode_has_no_spread(map_fit):
    table = map_fit.summary()
    assert (table["sd"] == 0).all()
    assert table["rhat"].isna().all()
