"""Warnings that help: each seen on purpose, with its numbers in diagnostics_."""

import ast
import re
import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score

from skcocoafuse import CoCoAFusERegressor, MoERegressor, exceptions
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.evaluation import diagnostics, elpd, fit_warnings, verdicts
from skcocoafuse.exceptions import beyond
from skcocoafuse.inference import get_engine
from skcocoafuse.inference.engine import EngineResult, Settings
from skcocoafuse.model.design import Scale
from skcocoafuse.posterior.clusters import invariants
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.monte_carlo import rhat
from tests.conftest import REGRESSORS, fit_quietly
from tests.problems import make_problem

GOOD = {
    "rhat": 1.01,
    "rhat_within": 1.01,
    "chain_clusters": [[0, 1, 2, 3]],
    "cluster_weight": np.ones(1),
    "cluster_elpd": np.full(1, np.nan),
    "ess": 900.0,
    "n_divergences": 0,
    "expert_share": np.array([0.4, 0.6]),
    "n_chains": 4,
    "n_draws": 1000,
}


APART = {
    "chain_clusters": [[0, 2], [1, 3]],
    "cluster_weight": np.array([0.8, 0.2]),
    "cluster_elpd": np.array([-10.0, -12.5]),
    "rhat": 1.4,
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
            r"Chain\(s\) \[1\] did not move in any of 1000 draws.*Increase tune",
        ),
        (
            {"n_draws": 2, "n_chains": 3, "rhat_within": np.nan, "ess": np.nan},
            exceptions.ChainMixingWarning,
            "6 draw.* too few to tell.*more tune and draws",
        ),
        ({"rhat_within": np.inf}, exceptions.ChainMixingWarning, "R-hat inf"),
        ({"ess": 12.0}, exceptions.ChainMixingWarning, "effective sample size 12 of 4000"),
        (
            APART,
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
        fit_warnings.warn({**GOOD, **change}, stacklevel=2)
    assert len(record) == 1
    assert record[0].filename == __file__
    served = category is exceptions.CollapsedExpertWarning  # such draws can be trusted
    assert verdicts.converged({**GOOD, **change}) == served


def test_good_news_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_warnings.warn(GOOD, stacklevel=1)
        fit_warnings.warn({**GOOD, "rhat_within": np.nan, "ess": np.nan}, stacklevel=1)
    assert verdicts.converged(GOOD)


def test_a_chain_that_stands_still_is_seen():
    """Beside others that move, and also where its R-hat is infinite and others have none."""
    problem = make_problem(2, (1, 1, 1), n=40)
    theta = np.random.default_rng(0).normal(size=(3, 50, problem.spec.n_parameters))
    theta[1] = theta[1, 0]
    parameters = problem.spec.unpack(theta)
    posterior = Posterior(problem.spec, parameters, theta[..., 0], {})
    _, found = diagnostics.judge(problem, posterior, {}, False)
    assert found["still_chains"] == [1]
    assert not verdicts.settled(found)
    all_still = Posterior(problem.spec, parameters, np.repeat([[1.0], [2.0], [3.0]], 50, 1), {})
    _, found = diagnostics.judge(problem, all_still, {}, False)
    assert found["still_chains"] == [0, 1, 2]
    _, found = diagnostics.judge(problem, posterior, {}, True)
    assert found["still_chains"] == []


def messages(**change):
    """What is said of good numbers with some changed, by category."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        fit_warnings.warn({**GOOD, **change}, stacklevel=1)
    return {warning.category: str(warning.message) for warning in seen}


def the_message(**change):
    (message,) = messages(**change).values()
    return message


def test_slow_chains_whose_predictions_are_settled_are_told_apart():
    settled = the_message(rhat_within=1.2, predictive_error=0.0149)
    assert "Monte Carlo error is 0.015 predictive standard deviations; coefficients may." in settled
    for change in ({"predictive_error": 0.3}, {"predictive_error": np.nan}, {}):
        message = the_message(rhat_within=1.2, **change)
        assert message.startswith("Chains disagree")
        assert "Predictions hardly" not in message


def test_one_divergence_is_not_said_in_the_words_of_many():
    one, few = the_message(n_divergences=1), the_message(n_divergences=4)
    many = the_message(n_divergences=110)
    assert one.startswith("1 of 4000 draws came from a divergent trajectory: too few to affect")
    assert few.startswith("4 of 4000 draws came from divergent trajectories: too few to affect")
    assert "parts of the posterior may be missing" in many
    assert "missing" not in one + few
    for message in (one, few, many):
        assert "target_accept=0.99" in message
        assert "prior" not in message  # seen not to help


def test_advice_on_divergences_is_not_what_was_done_already():
    nuts = {"n_divergences": 30, "thinning": 1, "max_tree_depth": 8.0, "mean_n_steps": 60.0}
    assert the_message(**nuts).endswith("Try target_accept=0.99.")
    assert the_message(**nuts, target_accept=0.99).endswith("Try fewer experts.")
    long = {**nuts, "mean_n_steps": 210.0}  # shorter steps need trajectories that may be longer
    remedy = "target_accept=0.99 with inference_options={'maxdepth': 10}."
    assert the_message(**long).endswith(remedy)
    del long["thinning"]  # of another sampler, whose option has another name
    assert the_message(**long).endswith("target_accept=0.99.")


@pytest.mark.parametrize("change", [{"rhat_within": 1.3}, APART])
def test_more_gradients_are_advised_where_they_ran_out(change):
    """As an option that the engine accepts, word for word."""
    reached = {"max_gradients_reached": True, "n_gradients": 1_234_567}
    message = the_message(**change, **reached)
    (advice,) = re.findall(r"inference_options=(\{.*?\})", message)
    options = ast.literal_eval(advice)
    assert options == {"max_gradients": 4_000_000}
    settings = Settings(100, 100, 1, 0.8, 1, 0, options=options)
    get_engine("nuts")(make_problem(1, (1, 0, 0), behavior=1.0, n=20), settings)
    assert "max_gradients" not in the_message(**change)


@pytest.mark.parametrize(
    "change", [{"rhat_within": 1.3}, {"ess": 80.0}, {"n_divergences": 90}, APART]
)
def test_chains_of_a_fixed_length_are_not_advised_to_be_longer(change):
    advice = the_message(**change, chains_are_short=True).split(" Try ")[1]
    assert "inference='nuts'" in advice
    assert not {"draws", "tune", "target_accept"} & set(advice.replace("=", " ").split())


def test_only_what_failed_is_said_and_with_digits_enough():
    slow = the_message(ess=99.6, rhat_within=1.0499)
    assert slow.startswith("Chains mix slowly: smallest effective sample size 99.6 of 4000")
    assert "R-hat" not in slow
    apart = the_message(rhat_within=1.0502)
    assert apart.startswith("Chains disagree: worst R-hat 1.0502 (wanted: at most 1.05), over")
    assert "effective" not in apart
    both = the_message(rhat_within=1.3, ess=30.2)
    assert "R-hat 1.30 (wanted: at most 1.05) and smallest effective sample size 30 of" in both
    assert the_message(rhat_within=1.3, n_chains=1).startswith("The chain drifts")
    assert "k-hat 0.7001 (wanted: at most 0.7)" in the_message(pareto_k=0.7001)
    share = np.array([0.99004, 0.00996])
    assert "shares: [0.990, 0.00996]" in the_message(expert_share=share)


@pytest.mark.parametrize("value", [1.0500000001, 1.05, 1.0499999, 3.0, np.inf, -np.inf, np.nan])
def test_numbers_stay_on_their_side_of_a_limit(value):
    shown = float(beyond(value, 1.05, 2))
    assert (shown > 1.05, shown < 1.05) == (value > 1.05, value < 1.05)


@pytest.mark.parametrize(
    "change", [{"ess": 12.0}, {"rhat_within": 1.3}, {**APART, "pareto_k": 0.9}]
)
def test_an_approximation_has_no_chains(change):
    message = the_message(**{"pareto_k": 0.3, **change})
    assert "chain" not in message.lower()
    assert "tune" not in message
    assert ("2 modes by stacking" in message) == ("chain_clusters" in change)


def test_an_approximation_of_few_draws_has_no_chains(transition):
    X, y = transition[0][:60], transition[1][:60]
    for draws in (8, 200):
        model = MoERegressor(3, inference="vi", draws=draws, random_state=0)
        with pytest.warns(ConvergenceWarning) as seen:
            model.fit(X, y)
        assert not [w for w in seen if "chain" in str(w.message).lower()]


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
    assert verdicts.collapsed_experts(found) == [1]
    with pytest.warns(exceptions.CollapsedExpertWarning, match=r"\[1\].*less than 1%.*n_experts=2"):
        fit_warnings.warn({**GOOD, "expert_share": found["expert_share"]}, stacklevel=2)


def two_groups(problem, settings=None):
    """An engine whose chains 0 and 2 fit the data, while 1 and 3 are shifted."""
    rng = np.random.default_rng(0)
    theta = 0.05 * rng.normal(size=(4, 200, problem.spec.n_parameters))
    theta[[1, 3], :, : problem.spec.n_experts] += 1.0
    return EngineResult(theta, Kernel(problem).log_posterior(theta))


@pytest.mark.parametrize("weighted", [False, True])
def test_log_densities_of_chain_clusters_are_in_the_units_of_loo(monkeypatch, weighted):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(60, 1)), 1000.0 * rng.normal(size=60)
    weight = rng.integers(0, 4, 60).astype(float) if weighted else None
    monkeypatch.setattr("skcocoafuse.evaluation.learning.get_engine", lambda name: two_groups)
    with pytest.warns(exceptions.SeparateModesWarning) as seen:
        model = MoERegressor(1, random_state=0).fit(X, y, sample_weight=weight)
    found = model.diagnostics_
    for chains, log_density in zip(found["chain_clusters"], found["cluster_elpd"], strict=True):
        alone = model.posterior_.chains(chains)
        result = elpd.estimate(model.fitted_.problem, alone, model.fitted_.target, True)
        assert log_density == pytest.approx(result.elpd, abs=1e-8)
        assert f"(leave-one-out log density {result.elpd:.1f})" in str(seen[0].message)


def out_of_range_problem(behavior):
    """Two experts: one on the data, the other 3 widths of their range above, with weight 1/5.

    It has this weight in the first 20 rows only, of which three do not count.
    """
    problem = make_problem(2, (1, 1, 1), behavior=behavior, n=80)
    for part in problem.designs:
        problem.designs[part][:] = np.arange(80)[:, None] < 20
    problem.weight[[1, 2, 3]] = 0.0
    counting = problem.y[problem.weight > 0]
    width = np.ptp(counting)
    spec, zero = problem.spec, np.zeros((2, 10, 2))
    line = zero + np.array([0.0, counting.max() + 3.0 * width])
    coef = np.zeros((2, 10, 2, 1))
    # of the gate's logits: their difference is log(1/4) in the first rows, and -300 in others
    gate = coef + 0.5 * (np.log(0.25) + 300.0) * np.array([[-1.0], [1.0]])
    intercept = zero + 150.0 * np.array([1.0, -1.0])
    learned = (np.full((2, 10), 30.0), np.zeros((2, 10, 1))) if behavior is None else (None, None)
    parameters = spec.unpack(np.zeros((2, 10, spec.n_parameters)))._replace(
        expert_intercept=line,
        expert_coef=coef,
        gate_intercept=intercept,
        gate_coef=gate,
        behavior_intercept=learned[0],
        behavior_coef=learned[1],
    )
    return problem, Posterior(spec, parameters, np.zeros((2, 10)), {}), line[0, 0, 1]


@pytest.mark.parametrize("behavior", [1.0, None])
def test_an_expert_far_outside_the_range_is_seen_and_named(behavior):
    problem, posterior, line = out_of_range_problem(behavior)
    target = Scale(np.array(20.0), np.array(7.0))
    quantities = invariants(problem, posterior)
    found = diagnostics.diagnose(
        problem, posterior, quantities, rhat(quantities), {}, target=target
    )
    assert found["out_of_range_rows"].tolist() == [0, 17]
    np.testing.assert_allclose(found["out_of_range_weight"], [0.0, 0.2])
    assert found["out_of_range_worst_row"].tolist() == [-1, 0]
    np.testing.assert_allclose(found["out_of_range_mean"], [np.nan, 20.0 + 7.0 * line])
    counting = problem.weight > 0
    there = counting & (np.arange(80) < 20)
    lost = (0.2 * (line - problem.y[there])) ** 2
    loss = lost.sum() / counting.sum() / problem.y[counting].var()
    np.testing.assert_allclose(found["out_of_range_r2_loss"], [0.0, loss])
    own = {name: value for name, value in found.items() if name.startswith("out_of_range")}
    with pytest.warns(exceptions.ExpertOutOfRangeWarning) as seen:
        fit_warnings.warn({**GOOD, **own}, stacklevel=2)
    assert len(seen) == 1
    assert issubclass(exceptions.ExpertOutOfRangeWarning, ConvergenceWarning)
    message = str(seen[0].message)
    said = f"expert 1 at 17 row(s), with a weight of up to 20% and a mean of {20 + 7 * line:.4g}"
    assert said in message
    assert f"by about {loss:.2g} of R2" in message
    assert "expert 0" not in message
    assert "median()" in message
    assert verdicts.converged({**GOOD, **own})  # the draws are those of the posterior


def test_what_costs_the_mean_next_to_nothing_is_a_number_and_no_warning():
    """A small part of the data with a far expert, as a few rows of some real fits have it."""
    problem, posterior, _ = out_of_range_problem(1.0)
    few = problem.reweighted(np.where(np.arange(80) < 20, 5e-4, 1.0))
    _, outside = diagnostics.use_of_experts(few, posterior)
    assert outside.n_rows.tolist() == [0, 20]
    assert 0.001 < outside.r2_loss[1] < 0.01
    kept = {f"out_of_range_{name}": value for name, value in outside._asdict().items()}
    assert not messages(**kept)


def test_a_blend_has_a_single_mean_and_is_not_accused():
    """Experts outside the range are what a blend is made of, if their average is inside it."""
    problem, posterior, _ = out_of_range_problem(0.0)
    assert diagnostics.use_of_experts(problem, posterior)[1].n_rows.tolist() == [0, 0]


def test_small_weights_and_near_misses_are_left_alone():
    problem, posterior, _ = out_of_range_problem(1.0)
    width = np.ptp(problem.y[problem.weight > 0])
    parameters = posterior.parameters
    nearer, lighter = np.array([0.0, 2.01 * width]), np.array([1.8, -1.8])
    near = parameters._replace(expert_intercept=parameters.expert_intercept - nearer)
    light = parameters._replace(gate_intercept=parameters.gate_intercept + lighter)
    for changed in (near, light):
        _, outside = diagnostics.use_of_experts(problem, replace(posterior, parameters=changed))
        assert outside.n_rows.tolist() == [0, 0]


def test_the_mean_is_off_where_the_warning_says_so_and_the_median_is_not(monkeypatch):
    """As on the Energy data: an expert's line fits its own rows, and far above others keeps a tenth
    of the weight."""
    rng = np.random.default_rng(0)
    own = np.arange(120) >= 90
    X = np.column_stack([rng.normal(size=120), own])
    y = X[:, 0] + rng.normal(0.0, 0.1, 120)

    def engine(problem, settings):
        theta = 0.001 * rng.normal(size=(2, 100, problem.spec.n_parameters))
        parameters, flag = problem.spec.unpack(theta), problem.designs["expert"][:, 1]
        parameters.expert_coef[..., 0] += 1.0
        parameters.expert_coef[..., 1, 1] -= 20.0
        parameters.expert_intercept[..., 1] += 20.0 * flag.max()
        parameters.sigma[:] = 0.1
        slope = 0.5 * (np.log(9.0) + 20.0) / np.ptp(flag)
        parameters.gate_coef[..., 1] += slope * np.array([-1.0, 1.0])
        intercept = 0.5 * np.log(9.0) + slope * flag.min()
        parameters.gate_intercept[:] += intercept * np.array([1.0, -1.0])
        theta = problem.spec.pack(parameters)
        return EngineResult(theta, Kernel(problem).log_posterior(theta))

    monkeypatch.setattr("skcocoafuse.evaluation.learning.get_engine", lambda name: engine)
    with pytest.warns(exceptions.ExpertOutOfRangeWarning, match=r"at 90 row\(s\)") as seen:
        model = MoERegressor(random_state=0).fit(X, y)
    assert [w.category for w in seen] == [exceptions.ExpertOutOfRangeWarning]
    assert seen[0].filename == __file__
    median = model.predict_dist(X).median()
    loss = model.diagnostics_["out_of_range_r2_loss"].sum()
    assert loss == pytest.approx(r2_score(y, median) - model.score(X, y), rel=0.05)
    error = np.abs([model.predict(X) - y, median - y])
    assert (error[0, ~own] > 1.0).all()
    assert (error[1] < 0.5).all()
    (far,) = np.flatnonzero(model.diagnostics_["out_of_range_rows"])
    row = model.diagnostics_["out_of_range_worst_row"][far]
    line = model.predict_experts(X)[row, far]
    assert model.diagnostics_["out_of_range_mean"][far] == pytest.approx(line, rel=0.01)


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_ordinary_fits_have_no_expert_out_of_range(regressor, switch):
    X, y = switch[:2]
    for inference in ("map", "vi"):
        model = fit_quietly(regressor(3, inference=inference, random_state=0), X, y)
        assert model.diagnostics_["out_of_range_rows"].tolist() == [0, 0, 0]


def test_numbers_are_there(nuts_transition):
    for name, model in nuts_transition.items():
        numbers = model.diagnostics_
        assert numbers["rhat"] < 1.05, name
        assert numbers["ess"] > 100
        assert numbers["expert_share"].sum() == pytest.approx(1.0)
        assert 1.0 < numbers["n_effective_experts"] <= 2.0
        assert verdicts.collapsed_experts(numbers) == []
        assert numbers["n_chains"] == 4
        assert numbers["n_draws"] == 1000
        assert {"optimization", "sampling"} <= set(numbers["seconds"])


def test_summary_is_a_table_in_original_units(nuts_switch):
    model = nuts_switch["CoCoAFusERegressor"]
    table = model.summary(coverage=0.9)
    assert list(table.columns) == [
        *("part", "expert", "feature"),
        *("mean", "sd", "lower", "upper", "rhat", "ess", "meaning"),
    ]
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
    assert table.loc["gate 1: x0", "meaning"] == "change of that log weight per unit of the feature"
    assert "log odds" in table.loc["behavior: intercept", "meaning"]


def test_summary_of_a_mode_has_no_spread(map_fit):
    table = map_fit.summary()
    assert (table["sd"] == 0).all()
    assert table["rhat"].isna().all()


def test_a_thread_without_warnings_leaves_others_theirs():
    shaky = {**GOOD, "rhat_within": 1.3}
    inside, leave = threading.Event(), threading.Event()

    def silent():
        with fit_warnings.without_warnings():
            inside.set()
            assert leave.wait(60)
            fit_warnings.warn(shaky, stacklevel=1)

    thread = threading.Thread(target=silent)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        thread.start()
        assert inside.wait(60)
        fit_warnings.warn(shaky, stacklevel=1)
        assert len(seen) == 1
        leave.set()
        thread.join()
        assert len(seen) == 1
        fit_warnings.warn(shaky, stacklevel=1)
        assert len(seen) == 2
