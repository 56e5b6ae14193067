"""What every engine promises, and what each alone does."""

import dataclasses
import gc
import io
import re
import signal
import sys
import threading
import time
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from skcocoafuse import CoCoAFusERegressor, MoERegressor
from skcocoafuse.compiled import lbfgs
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.datasets import make_switch
from skcocoafuse.evaluation.verdicts import converged
from skcocoafuse.exceptions import (
    ChainMixingWarning,
    CollapsedExpertWarning,
    KernelFallbackWarning,
)
from skcocoafuse.inference import (
    ENGINE_NAMES,
    ENGINES,
    Settings,
    batch_and_match,
    get_engine,
    importance,
    mode_search,
    modes,
    progress,
    pymc_sampler,
    samples_posterior,
    starting_points,
    variational,
)
from skcocoafuse.inference.modes import climb
from skcocoafuse.inference.nuts import backend as nutpie_chains
from skcocoafuse.inference.nuts import sampler
from skcocoafuse.model.parameters import PARTS, Parameters
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.rows import RowsInMemory
from skcocoafuse.model.spec import ModelSpec
from skcocoafuse.posterior.monte_carlo import ess, rhat
from tests.conftest import fit_quietly
from tests.inference.test_rows_in_parts import in_parts
from tests.problems import BEHAVIORS, finite_difference, log_posterior, make_problem

QUICK = Settings(draws=60, tune=120, chains=2, target_accept=0.9, cores=2, seed=3)


@pytest.fixture(scope="module", params=ENGINE_NAMES)
def run(request, once):
    problem = make_problem(2, n=40)

    def sample():
        begun = time.perf_counter()
        return get_engine(request.param)(problem, QUICK), time.perf_counter() - begun

    name = f"run of {request.param}"
    return request.param, problem, *once({name: sample})[name]


def test_engines_give_draws_of_the_right_shape(run):
    name, problem, result, _ = run
    chains, draws = (1, 1) if name == "map" else (2, 60)
    if result.info.get("pareto_k", 0.0) > 0.7:  # every mode has chains of its own
        chains, draws = len(result.theta), chains * draws // len(result.theta)
    if name == "short_chains":  # one at each mode, or more
        assert len(result.theta) >= chains
        chains = len(result.theta)
    assert result.theta.shape == (chains, draws, problem.spec.n_parameters)
    assert result.log_posterior.shape == (chains, draws)
    assert all(stat.shape == (chains, draws) for stat in result.stats.values())
    assert ("diverging" in result.stats) == samples_posterior(name)


def test_engines_say_where_their_time_went(run):
    """Phases follow one another, so none is counted twice."""
    _, _, result, passed = run
    assert "optimization" in result.seconds or "sampling" in result.seconds
    assert min(result.seconds.values()) > 0.0
    assert sum(result.seconds.values()) <= passed


def test_engines_report_the_log_posterior_of_their_draws(run):
    _, problem, result, _ = run
    for chain, draw in ((0, 0), (-1, -1)):
        expected = log_posterior(problem, result.theta[chain, draw])
        assert result.log_posterior[chain, draw] == pytest.approx(expected, rel=1e-9)


def test_engines_begin_at_earlier_draws(run, monkeypatch):
    """No engine searches again where draws of its own tell where to begin."""
    name, problem, result, _ = run
    earlier = result.theta.reshape(-1, problem.spec.n_parameters)
    monkeypatch.setattr(mode_search, "find_modes", None)
    warm = get_engine(name)(problem, dataclasses.replace(QUICK, earlier=earlier))
    assert warm.theta.shape[-1] == problem.spec.n_parameters
    np.testing.assert_allclose(warm.log_posterior, Kernel(problem).log_posterior(warm.theta))
    if name == "map":
        np.testing.assert_allclose(warm.theta, result.theta, atol=1e-6)


@pytest.mark.parametrize("name", ["nuts", "map"])
def test_the_same_seed_gives_identical_draws(name):
    problem, engine = make_problem(2, n=40), get_engine(name)
    first, again = engine(problem, QUICK), engine(problem, QUICK)
    np.testing.assert_array_equal(first.theta, again.theta)
    other = engine(problem, dataclasses.replace(QUICK, seed=4))
    if name == "nuts":
        assert not np.array_equal(first.theta, other.theta)


@pytest.mark.parametrize("name", [name for name, row in ENGINES.items() if row.options is not None])
def test_unknown_options_are_named(name):
    settings = dataclasses.replace(QUICK, options={"max_depth": 3})
    known = re.escape(str(sorted(ENGINES[name].options)))
    with pytest.raises(
        ValueError, match=rf"inference_options has \['max_depth'\].*known options: {known}"
    ):
        get_engine(name)(make_problem(), settings)


def test_a_row_says_what_an_engine_is(monkeypatch):
    """Names, options and the docstring follow from the registry; nothing else lists engines."""
    assert tuple(ENGINES) == ENGINE_NAMES
    for name, row in ENGINES.items():
        assert f'``"{name}"`` {row.words[:10]}' in " ".join(MoERegressor.__doc__.split())
        assert samples_posterior(name) == row.samples_posterior
    assert not samples_posterior("bogus")  # whoever fits says what is wrong with it
    assert not samples_posterior(["nuts"])
    monkeypatch.setitem(ENGINES, "map", dataclasses.replace(ENGINES["map"], options=("speed",)))
    settings = dataclasses.replace(QUICK, options={"speed": 3})
    assert get_engine("map")(make_problem(1, n=40), settings).theta.shape[:2] == (1, 1)


def test_nuts_samples_the_density_it_is_given():
    """Conjugate oracle: weights of zero leave the prior, whose moments are known."""
    problem = make_problem(2, (1, 1, 1), n=10)
    problem = problem.reweighted(np.zeros(10))
    settings = dataclasses.replace(QUICK, draws=4000, tune=600)
    result = get_engine("nuts")(problem, settings)
    p = problem.spec.unpack(result.theta)
    quantities = {  # mean and variance under the prior
        "log sigma": (np.log(p.sigma[..., 0]), -1.0, 1.0),
        "intercept": (p.expert_intercept[..., 1], 0.0, 2.0),
        "slope": (p.expert_coef[..., 0, 0], 0.0, 2.0),
        "logit": (p.gate_intercept[..., 1] - p.gate_intercept[..., 0], 0.0, 2.0),
        "behavior": (p.behavior_intercept, 0.0, 2.0),
    }
    for name, (draws, mean, variance) in quantities.items():
        n_effective = ess(draws[..., None])
        ess_square = ess((draws[..., None] - mean) ** 2)
        standard_error = np.sqrt(variance / n_effective[0])
        assert abs(draws.mean() - mean) < 4.5 * standard_error, name
        spread = ((draws - mean) ** 2).std() / np.sqrt(ess_square[0])
        assert abs(((draws - mean) ** 2).mean() - variance) < 4.5 * spread, name


def test_pymc_and_kernel_agree_within_monte_carlo_error(transition):
    """Two samplers, two implementations of the density, one posterior."""
    X, y = transition[0][:120], transition[1][:120]
    common = {"random_state": 1, "draws": 1000, "tune": 800, "chains": 2, "n_jobs": 2}
    fits = {
        name: fit_quietly(MoERegressor(inference=name, **common), X, y) for name in ("nuts", "pymc")
    }
    problem_free = {
        name: np.concatenate(
            [
                fit.posterior_.log_posterior[..., None],
                fit.posterior_.parameters.expert_intercept,
                fit.posterior_.parameters.expert_coef[..., 0],
                np.log(fit.posterior_.parameters.sigma),
                fit.posterior_.parameters.gate_coef[..., 0],
            ],
            axis=-1,
        )
        for name, fit in fits.items()
    }
    moments = {}
    for name, draws in problem_free.items():
        assert (rhat(draws) < 1.05).all()
        moments[name] = draws.mean(axis=(0, 1)), draws.std(axis=(0, 1)) / np.sqrt(ess(draws))
    (mean, error), (other_mean, other_error) = moments["nuts"], moments["pymc"]
    assert (np.abs(mean - other_mean) < 4.5 * np.hypot(error, other_error)).all()


def test_falls_back_to_pymc_if_nutpie_changes(monkeypatch):
    """A release whose compiled-model class is gone, or wants another field."""

    def changed(launch):
        raise TypeError("CompiledPyMCModel.__init__() missing 1 required argument: 'other'")

    marker = get_engine("map")(make_problem(2, n=40), QUICK)
    monkeypatch.setattr(nutpie_chains, "_nutpie_model", changed)
    monkeypatch.setattr(pymc_sampler, "sample", lambda problem, settings: marker)
    with pytest.warns(KernelFallbackWarning, match="missing 1 required argument.*PyMC model"):
        assert sampler.sample(make_problem(2, n=40), QUICK) is marker


def test_faults_of_our_own_are_not_taken_for_changes_of_nutpie(monkeypatch):
    def faulty(*arguments):
        raise TypeError("a fault of this package")

    monkeypatch.setattr(sampler, "share_chains", faulty)
    with pytest.raises(TypeError, match="a fault of this package"):
        sampler.sample(make_problem(2, n=40), QUICK)


def test_the_fallback_warning_points_at_the_users_line(monkeypatch, transition):
    def changed(launch):
        raise AttributeError("no CompiledPyMCModel here")

    X, y = transition[:2]
    monkeypatch.setattr(nutpie_chains, "_nutpie_model", changed)
    monkeypatch.setattr(pymc_sampler, "sample", get_engine("map"))
    with (
        pytest.warns(KernelFallbackWarning) as record,
        pytest.raises(ValueError, match="max_treedepth"),  # an option only PyMC understands
    ):
        MoERegressor(random_state=0).fit(X, y)
    assert record[0].filename == __file__


STILL = {"draws": 120, "tune": 1, "n_jobs": 2}  # in these fits chains accept no step


@pytest.mark.parametrize(("chains", "seed"), [(1, 3), (2, 3), (4, 1)])
def test_a_warm_up_too_short_to_move_ends_in_a_warning(switch, chains, seed):
    X, y = switch[0][:80], switch[1][:80]
    with pytest.warns(ChainMixingWarning, match="Increase tune"):
        model = MoERegressor(**STILL, chains=chains, random_state=seed).fit(X, y)
    assert np.isfinite(model.predict(X, return_std=True)).all()
    assert not converged(model.diagnostics_)
    if model.diagnostics_["still_chains"] == list(range(chains)):
        with pytest.raises(ValueError, match=r"none of the chains.*moved.*more tune"):
            model.loo()


@pytest.mark.parametrize("name", ["nuts", "vi", "map"])
@pytest.mark.parametrize(("draws", "chains"), [(1, 1), (1, 3), (2, 4), (5, 1)])
def test_few_draws_are_as_many_as_asked_for_and_said_to_be_few(switch, name, draws, chains):
    X, y = switch[0][:60], switch[1][:60]
    model = MoERegressor(inference=name, draws=draws, tune=30, chains=chains, random_state=0)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        model.fit(X, y)
    shape = model.posterior_.log_posterior.shape
    if name == "nuts":
        assert shape == (chains, draws)
    assert 1 <= np.prod(shape) <= draws * chains
    assert np.isfinite(model.predict(X, return_std=True)).all()
    said = [w.message for w in record if not isinstance(w.message, CollapsedExpertWarning)]
    assert all(isinstance(message, ConvergenceWarning) for message in said)
    assert bool(said) == (name != "map")
    assert not any("nan" in str(message) for message in said)


def test_a_panic_of_nutpie_is_an_error_that_says_what_to_do(monkeypatch, capfd):
    """Rust's panics are no exceptions for Python: an "except Exception" would not see them."""
    start_sampler = nutpie_chains._start_sampler

    def without_warm_up(model, settings, seed):
        tune = settings.tune if settings.tune < QUICK.tune else 0  # pilots have theirs
        return start_sampler(model, dataclasses.replace(settings, tune=tune), seed)

    monkeypatch.setattr(nutpie_chains, "_start_sampler", without_warm_up)
    with pytest.raises(RuntimeError, match=r"compiled code stopped.*warm-up of 120\..*more tune"):
        sampler.sample(make_problem(2, n=40), QUICK)
    gc.collect()
    assert "Exception ignored" not in capfd.readouterr().err


@pytest.mark.parametrize("depth", [0, 2.5, "a", True])
def test_maxdepth_is_checked(depth):
    settings = dataclasses.replace(QUICK, options={"maxdepth": depth})
    with pytest.raises(ValueError, match="maxdepth must be a positive integer"):
        get_engine("nuts")(make_problem(), settings)


@pytest.mark.parametrize("error", [ValueError("not ours"), RuntimeError("not ours")])
def test_other_errors_are_not_hidden(monkeypatch, error):
    def broken(launch):
        raise error

    monkeypatch.setattr(nutpie_chains, "_nutpie_model", broken)
    with pytest.raises(type(error), match="not ours"):
        sampler.sample(make_problem(2, n=40), QUICK)


@pytest.mark.usefixtures("ctrl_c_raises")
@pytest.mark.parametrize("moment", ["search", "sampling"])
@pytest.mark.parametrize("fitted_before", [False, True])
def test_an_interrupt_leaves_the_estimator_as_it_was(
    monkeypatch, transition, fitted_before, moment
):
    """Ctrl-C, sent when the search begins, or half a second into the chains."""
    X, y = transition[:2]
    estimator = CoCoAFusERegressor(inference="map", random_state=0)
    if fitted_before:
        estimator.fit(X, y)
    estimator.set_params(inference="nuts", draws=50_000)
    before = dict(vars(estimator))
    start_sampler, find_modes = nutpie_chains._start_sampler, mode_search.find_modes

    def interrupted_sampler(model, settings, seed):
        if settings.draws == 50_000:  # not a pilot
            threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT)).start()
        return start_sampler(model, settings, seed)

    def interrupted_search(*arguments):
        signal.raise_signal(signal.SIGINT)
        return find_modes(*arguments)

    if moment == "sampling":
        monkeypatch.setattr(nutpie_chains, "_start_sampler", interrupted_sampler)
    else:
        monkeypatch.setattr(mode_search, "find_modes", interrupted_search)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, y)
    assert vars(estimator) == before


@pytest.mark.parametrize("behavior", BEHAVIORS.values(), ids=BEHAVIORS)
def test_starts_end_in_modes_best_first(behavior):
    problem = make_problem(3, behavior=behavior, n=200)
    found = mode_search.find_modes(Kernel(problem), np.random.default_rng(0))
    values = [mode.log_density for mode in found]
    assert values == sorted(values, reverse=True)
    assert np.min(-np.diff(values), initial=np.inf) > 0
    function = Kernel(problem).function(modes.SMOOTHING)
    polished = mode_search.polish(found[:1])
    value, gradient = function(polished)
    assert value >= function(found[0].theta)[0]
    assert np.abs(gradient).max() < 1e-5


# Behavior, intercepts and slopes of the two lines, slope of the second expert's logit.
TRUTHS = {
    "switch": (1.0, [-1.5, 1.5], [0.5, 0.5], 2.0),
    "transition": (0.0, [-1.0, 1.0], [-1.2, 0.8], 1.5),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_starts_find_the_mode_near_the_truth(name, request):
    """No start is told of it, and their best mode is as high as that uphill of the truth."""
    behavior, intercepts, slopes, steepness = TRUTHS[name]
    X, y = request.getfixturevalue(name)[:2]
    designs = {**dict.fromkeys(PARTS, X), "noise": X[:, :0]}
    spec = ModelSpec(2, {part: X.shape[1] for part, X in designs.items()}, behavior)
    problem = Problem(spec, RowsInMemory(designs, y, np.ones(len(y))))
    truth = Parameters(
        expert_intercept=np.array(intercepts),
        expert_coef=np.array(slopes)[:, None],
        sigma=np.full(2, 0.25),
        gate_intercept=np.zeros(2),
        gate_coef=0.5 * steepness * np.array([[-1.0], [1.0]]),
        behavior_intercept=None,
        behavior_coef=None,
        noise_coef=np.zeros((2, 0)),
    )
    kernel = Kernel(problem)
    near = modes.climb(kernel, [kernel.plain.from_theta(spec.pack(truth))])[0]
    best = mode_search.find_modes(kernel, np.random.default_rng(0))[0]
    assert best.log_density >= near.log_density - 1e-6
    found, reached = (spec.unpack(mode.theta) for mode in (best, near))
    order = np.argsort(found.expert_intercept)  # experts may be found in either order
    for one, other in zip(found[:3], reached[:3], strict=True):
        np.testing.assert_allclose(one[order], other, atol=1e-3)
    ours, theirs = (np.ptp(p.gate_coef) for p in (found, reached))
    assert ours == pytest.approx(theirs, rel=1e-3)


def test_the_mode_of_a_switch_has_the_true_lines(switch):
    X, y = switch[:2]
    fit = MoERegressor(inference="map", random_state=0).fit(X, y)
    np.testing.assert_allclose(fit.expert_intercept_, [-1.5, 1.5], atol=0.1)
    np.testing.assert_allclose(fit.expert_coef_[:, 0], [0.5, 0.5], atol=0.1)
    np.testing.assert_allclose(fit.sigma_, 0.25, atol=0.05)
    difference = fit.gate_coef_[1, 0] - fit.gate_coef_[0, 0]
    assert difference == pytest.approx(2.0, abs=0.5)


def test_starts_do_not_depend_on_row_order_or_repetition():
    problem = make_problem(2, n=60)
    twice = problem.take(np.tile(np.arange(60), 2)[::-1]).reweighted(np.full(120, 0.5))
    for kind in range(4):
        one = starting_points.propose(problem, np.random.default_rng(kind), kind)
        other = starting_points.propose(twice, np.random.default_rng(kind), kind)
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_modes_do_not_depend_on_the_number_of_threads():
    kernel = Kernel(make_problem(3, n=150))
    one, two = (mode_search.find_modes(kernel, np.random.default_rng(0), cores) for cores in (1, 2))
    assert [mode.log_density for mode in one] == [mode.log_density for mode in two]


def test_many_rows_are_searched_by_a_part_of_them(monkeypatch, switch):
    """The part leads to the same best mode, which is a mode given all rows."""
    X, y = switch[:2]
    whole = MoERegressor(inference="map", random_state=0).fit(X, y)
    monkeypatch.setattr(mode_search, "MAX_ROWS", 100)
    part = MoERegressor(inference="map", random_state=0).fit(X, y)
    np.testing.assert_allclose(part.expert_coef_, whole.expert_coef_, rtol=1e-6)
    np.testing.assert_allclose(part.sigma_, whole.sigma_, rtol=1e-6)


@pytest.mark.parametrize(("refined", "left"), [(300, 0.01), (100, 1.0)])
def test_modes_of_a_part_of_the_rows_end_near_those_of_all(monkeypatch, refined, left):
    """With up to ``refined`` rows they are refined thoroughly; with more, in a few steps."""
    kernel = Kernel(make_problem(2, n=300))
    monkeypatch.setattr(mode_search, "MAX_ROWS", 60)
    monkeypatch.setattr(mode_search, "MAX_ROWS_REFINED", refined)
    best = mode_search.heaviest(mode_search.find_modes(kernel, np.random.default_rng(0)))[0]
    assert best.kernel is kernel
    (end,) = climb(kernel, [best.point])
    assert 0.0 <= end.log_density - best.log_density < left


@pytest.mark.parametrize("engine", ["map", "vi"])
def test_many_rows_take_few_gradients_of_all_of_them(monkeypatch, engine):
    """At most 400 evaluations, and the same posterior as from a search on all rows."""
    X, y = make_switch(2000, random_state=0)
    spec = ModelSpec(2, dict.fromkeys(PARTS, 1), 1.0)
    problem = Problem(spec, RowsInMemory(dict.fromkeys(PARTS, X), y, np.ones(len(y))))
    settings = dataclasses.replace(QUICK, draws=1000)
    whole = get_engine(engine)(problem, settings)
    monkeypatch.setattr(mode_search, "MAX_ROWS", 300)
    monkeypatch.setattr(mode_search, "MAX_ROWS_REFINED", 600)
    all_rows = in_parts(problem, 1000)
    found = get_engine(engine)(all_rows, settings)
    assert 0 < all_rows.rows.maps <= 400
    mean, other = (result.theta.mean(axis=(0, 1)) for result in (found, whole))
    sd, other_sd = (result.theta.std(axis=(0, 1)) for result in (found, whole))
    order = np.argsort(mean[:2]), np.argsort(other[:2])  # experts may be in either order
    lines, other_lines = mean[:4].reshape(2, 2)[:, order[0]], other[:4].reshape(2, 2)[:, order[1]]
    if engine == "map":
        np.testing.assert_allclose(lines, other_lines, atol=1e-6)
        return
    np.testing.assert_allclose(lines, other_lines, atol=0.3 * other_sd[:4].max())
    np.testing.assert_allclose(np.sort(sd), np.sort(other_sd), rtol=0.3)
    heights = Kernel(problem).log_posterior(found.theta)
    assert np.abs(heights - found.log_posterior).mean() < 1.0  # as the Normal has them


def test_a_part_of_the_rows_weighs_as_much_as_all():
    problem = make_problem(2, n=200, weighted=True)
    problem.weight[:100] = 0.0
    assert problem.random_part(100, np.random.default_rng(0)) is problem  # only 100 count
    part = problem.random_part(40, np.random.default_rng(0))
    assert len(part.y) == 40
    assert part.weight.min() > 0
    assert part.weight.sum() == pytest.approx(problem.weight.sum())


def around(mode, n=200):
    """Draws of the Normal at a mode, as parameters."""
    rng = np.random.default_rng(0)
    return mode.normal.to_theta(rng.normal(size=(n, len(mode.point))))


def test_a_mode_is_found_again_from_draws_around_it():
    kernel = Kernel(make_problem(2, n=150))
    best = max(mode_search.find_modes(kernel, np.random.default_rng(0)), key=lambda m: m.log_mass)
    again = mode_search.revisit(kernel, dataclasses.replace(QUICK, earlier=around(best)))
    assert max(mode.log_mass for mode in again) >= best.log_mass - 0.05
    heights = [mode.log_density for mode in again]
    assert heights == sorted(heights, reverse=True)


def test_earlier_draws_are_given_up_where_they_mislead():
    """Draws around a mode that new starts surpass, and draws far from any mode."""
    kernel = Kernel(make_problem(3, n=150))
    found = mode_search.find_modes(kernel, np.random.default_rng(0))
    lesser = min(found, key=lambda mode: mode.log_mass)
    far = around(found[0]) + 10.0
    for earlier in (around(lesser), far):
        assert mode_search.revisit(kernel, dataclasses.replace(QUICK, earlier=earlier)) == []


def test_threads_of_blas_do_not_change_a_fit():
    """Matrix products of this size round differently with one and with two of them."""
    problem = make_problem(5, (13, 13, 13), n=455)
    engine, settings = get_engine("vi"), dataclasses.replace(QUICK, draws=20)

    def draws(n_threads):
        with threadpool_limits(n_threads, user_api="blas"):
            return engine(problem, settings).theta

    np.testing.assert_array_equal(draws(1), draws(2))


def zigzag(n=300):
    """Three lines over one input, and three experts."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-2.0, 2.0, size=(n, 1))
    y = np.interp(X[:, 0], [-2.0, -0.7, 0.7, 2.0], [-1.0, 1.0, -1.0, 1.0])
    y += rng.normal(scale=0.1, size=n)
    spec = ModelSpec(3, dict.fromkeys(PARTS, 1), 1.0)
    return Problem(spec, RowsInMemory(dict.fromkeys(PARTS, X), y, np.ones(n)))


def test_moves_find_the_best_mode_from_poor_ones():
    """Each mode gains mass or stays, no two become one, and a seed repeats the search."""
    kernel = Kernel(zigzag())
    density, rng = modes.searched_density(kernel), np.random.default_rng(0)
    starts = [width * rng.normal(size=kernel.n_parameters) for width in (1e-6, 1e-2)]
    begun = [modes.Mode(kernel, *lbfgs.climb(density, at, modes.SHORT)) for at in starts]
    one, two = (mode_search.improve(begun, np.random.default_rng(1), n) for n in (1, 2))
    gains = [after.log_mass - before.log_mass for after, before in zip(one, begun, strict=True)]
    assert min(gains) >= 0.0
    best = modes.by_mass(mode_search.find_modes(kernel, np.random.default_rng(0)))[0]
    assert modes.by_mass(one)[0].log_mass >= best.log_mass - 1.0 > begun[0].log_mass + 50.0
    assert len(modes.distinct(one)) == len(one)
    assert [mode.log_density for mode in one] == [mode.log_density for mode in two]


def test_one_expert_cannot_be_split():
    kernel = Kernel(make_problem(1, n=60))
    found = mode_search.find_modes(kernel, np.random.default_rng(0))
    assert mode_search.improve(found, np.random.default_rng(0)) == found


@pytest.mark.parametrize("n_columns", [0, 2])
def test_splits_do_not_depend_on_row_order_or_repetition(n_columns):
    problem = make_problem(3, (2, n_columns, 0), behavior=1.0, n=60)
    twice = problem.take(np.tile(np.arange(60), 2)[::-1]).reweighted(np.full(120, 0.5))
    theta = np.random.default_rng(0).normal(size=problem.spec.n_parameters)
    for seed in range(8):
        one, other = (
            starting_points.split_an_expert(each, theta, np.random.default_rng(seed))
            for each in (problem, twice)
        )
        np.testing.assert_allclose(one, other, atol=1e-6)
        assert np.isfinite(one).all()
        before, after = problem.spec.unpack(theta), problem.spec.unpack(one)
        kept = (before.expert_intercept == after.expert_intercept).sum()
        assert kept == 1  # of three experts one is split and one is given up


def test_chains_are_shared_among_modes_of_comparable_mass():
    class Peak:
        kernel = normal = None

        def __init__(self, log_mass):
            self.log_mass = log_mass

    def counts(masses, chains):
        return [run.chains for run in sampler.share_chains([Peak(m) for m in masses], chains)]

    assert counts([0.0], 4) == [4]
    assert counts([0.0, -1.0, -50.0], 4) == [2, 2]
    assert counts([0.0, -1.0, -2.0], 7) == [3, 2, 2]
    assert counts([0.0, -1.0, -2.0], 3) == [3]  # two chains per mode at least
    assert counts([0.0, -1.0], 1) == [1]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        (
            "nuts",
            {},
            "2 chains of 30 draws: about .* gradients .*, 7,620 at most, 9,000 with",
        ),
        ("advi", {"n": 200}, "fitting .* 200/200"),
        ("pymc", {}, "sampling .* 60/60"),
    ],
)
def test_progress_is_shown_on_request_only_and_on_stderr(capfd, name, options, expected):
    """As bars are, so that the output of a program stays its own."""
    problem = make_problem(2, n=40)
    get_engine("map")(problem, QUICK)
    assert capfd.readouterr() == ("", "")
    settings = dataclasses.replace(QUICK, tune=15, draws=15, progress_bar=True, options=options)
    get_engine(name)(problem, settings)
    out, err = capfd.readouterr()
    assert out == ""
    assert "looking for modes" in err
    assert re.search(expected, err)


def test_a_bar_leaves_what_is_printed_beside_it(monkeypatch):
    """On a terminal too, where bars redraw themselves."""
    printed, drawn = io.StringIO(), io.StringIO()
    drawn.isatty = lambda: True
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", printed)
    monkeypatch.setattr(sys, "stderr", drawn)
    with progress.progress_bar(True, "climbing", 2) as step:
        print("a result")
        step()
    assert printed.getvalue() == "a result\n"
    assert "climbing" in drawn.getvalue()


def test_a_notebook_is_told_of_each_percent(monkeypatch):
    seen = []
    handle = SimpleNamespace(update=seen.append)
    fake = SimpleNamespace(HTML=str, display=lambda html, display_id: handle)
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=fake))
    with progress._in_notebook("climbing", 20_000) as step:
        for _ in range(20_000):
            step()
    assert len(seen) == 101
    assert "20000/20000" in seen[-1]


def test_callbacks_of_ones_own_are_called_beside_the_bar():
    seen = []
    arguments = {"progressbar": True, "nuts_sampler": "pymc", "chains": 1, "tune": 1, "draws": 1}
    arguments["callback"] = lambda **state: seen.append(state)
    with pymc_sampler._progress(arguments):
        assert arguments["progressbar"] is False
        arguments["callback"](trace=None, draw=1)
    assert seen == [{"trace": None, "draw": 1}]
    other = {**arguments, "progressbar": True, "nuts_sampler": "nutpie"}
    before = dict(other)
    with pymc_sampler._progress(other):
        assert other == before


def test_progress_in_a_notebook_needs_no_widgets(monkeypatch):
    """A stand-in for IPython's display: what a notebook would be told to show."""
    seen = []

    class Handle:
        def update(self, html):
            seen.append(html)

    def display(html, display_id):
        seen.append(html)
        return Handle()

    fake = SimpleNamespace(HTML=str, display=display)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=fake))
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    with progress.progress_bar(True, "climbing", 5) as step:
        step()
        step()
    assert [html.rpartition(" ")[2] for html in seen] == ["0/5", "1/5", "2/5", "2/2"]
    assert all("climbing" in html and "<progress" in html for html in seen)


def test_advi_refuses_unknown_methods():
    settings = dataclasses.replace(QUICK, options={"method": "svgd"})
    with pytest.raises(ValueError, match=r"one of \['fullrank_advi', 'advi'\]; got 'svgd'"):
        get_engine("advi")(make_problem(), settings)


def test_hessian_is_the_second_derivative():
    problem = make_problem(2, n=40)
    function = Kernel(problem).function(0.1)
    theta = np.random.default_rng(0).normal(size=problem.spec.n_parameters)
    numeric = finite_difference(lambda at: function(at)[1], theta, width=1e-5)
    np.testing.assert_allclose(modes.hessian(function, theta), numeric, atol=1e-3)


def assert_same_moments(approximation, chains, atol):
    """Means within Monte Carlo error (4000 resampled draws), standard deviations within atol."""
    error = chains.theta.std(axis=(0, 1)) * np.sqrt(1 / ess(chains.theta) + 3 / 4000)
    difference = approximation.theta.mean(axis=(0, 1)) - chains.theta.mean(axis=(0, 1))
    assert (np.abs(difference) < 4.5 * error).all()
    ratio = approximation.theta.std(axis=(0, 1)) / chains.theta.std(axis=(0, 1))
    np.testing.assert_allclose(ratio, 1.0, atol=atol)


def test_vi_with_trusted_weights_is_the_posterior():
    """One expert and much data: a Normal posterior, so both engines give its moments."""
    problem = make_problem(1, (2, 0, 0), behavior=1.0, n=400)
    settings = dataclasses.replace(QUICK, draws=2000, tune=400)
    vi, chains = (get_engine(name)(problem, settings) for name in ("vi", "nuts"))
    assert vi.info["pareto_k"] < 0.7
    assert_same_moments(vi, chains, atol=0.1)


@pytest.mark.parametrize(("draws", "chains"), [(1, 1), (2, 1), (1, 4), (3, 2), (1, 9)])
def test_vi_has_a_draw_in_every_chain(monkeypatch, draws, chains):
    """Of modes more than draws the heaviest have one each."""
    monkeypatch.setattr(variational, "resample", lambda *arguments: (None, np.inf))
    problem = make_problem(3, n=100)
    settings = dataclasses.replace(QUICK, draws=draws, chains=chains)
    result = variational.sample(problem, settings)
    n_chains, n_draws = result.log_posterior.shape
    assert n_draws >= 1
    assert n_chains * n_draws <= draws * chains
    assert n_chains == min(draws * chains, chains)  # of one mode: others need 100 draws each
    np.testing.assert_allclose(result.log_posterior, Kernel(problem).log_posterior(result.theta))


@pytest.mark.parametrize("weight", [1e-300, 1e4, 1e6, 1e12])
def test_vi_takes_rows_of_any_weight(weight):
    """Log masses of 1e6 and more have no digits left for shares that sum to one."""
    r = np.random.default_rng(0)
    X = r.normal(size=(200, 1))
    y = 2 * X[:, 0] + 0.3 * (1 + (X[:, 0] > 0)) * r.normal(size=200)
    model = MoERegressor(inference="vi", draws=100, random_state=0)
    model = fit_quietly(model, X, y, sample_weight=np.full(200, weight))
    assert np.isfinite(model.predict(X, return_std=True)).all()


def test_modes_where_no_normal_is_found_are_dropped_and_counted(monkeypatch):
    problem, fit, failures = make_problem(3, n=100), batch_and_match.fit, iter([True, False])

    def sometimes(*arguments, **options):
        if next(failures, True):
            raise np.linalg.LinAlgError
        return fit(*arguments, **options)

    monkeypatch.setattr(batch_and_match, "fit", sometimes)
    settings = dataclasses.replace(QUICK, draws=400, cores=1)
    result = get_engine("vi")(problem, settings)
    assert result.info["n_failed_modes"] >= 1
    assert np.isfinite(result.log_posterior).all()
    with pytest.raises(RuntimeError, match=r"No Normal could be fitted at any of .*'nuts'"):
        get_engine("vi")(problem, settings)  # now all fail


def test_draws_of_an_approximation_that_has_few_with_a_density_are_there_again():
    log_posterior = np.array([-np.inf, 3.0, np.nan, 2.0, np.inf])
    np.testing.assert_array_equal(importance.uncorrected(log_posterior, 5), [1, 3, 1, 3, 1])
    np.testing.assert_array_equal(importance.uncorrected(log_posterior, 1), [1])
    with pytest.raises(ValueError, match=r"None of 2 draws.*inference='nuts'"):
        importance.uncorrected(log_posterior[[0, 2]], 5)
    nowhere = np.full(100, -np.inf)
    rng = np.random.default_rng(0)
    assert importance.resample(nowhere, np.zeros(100), 5, 0.7, rng) == (None, np.inf)


def test_advi_keeps_as_many_draws_as_asked_for(monkeypatch):
    """Where most draws of the approximation have no posterior density."""
    log_posterior = Kernel.log_posterior

    def mostly_none(kernel, theta):
        values = log_posterior(kernel, theta)
        values[3:] = np.nan
        return values

    monkeypatch.setattr(Kernel, "log_posterior", mostly_none)
    settings = dataclasses.replace(QUICK, draws=5, options={"method": "advi", "n": 10})
    result = get_engine("advi")(make_problem(2, n=40), settings)
    assert result.theta.shape[:2] == result.log_posterior.shape == (2, 5)
    assert np.isfinite(result.log_posterior).all()
    assert result.independent


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fullrank_advi", "advi"])
def test_advi_finds_a_normal_posterior(method):
    """One expert and much data: a Normal posterior, nearly without correlation."""
    problem = make_problem(1, (2, 0, 0), behavior=1.0, n=400)
    settings = dataclasses.replace(QUICK, draws=2000, tune=400)
    chains = get_engine("nuts")(problem, settings)
    settings = dataclasses.replace(settings, options={"method": method})
    advi = get_engine("advi")(problem, settings)
    assert advi.info["pareto_k"] < 0.7  # so the draws are corrected
    assert_same_moments(advi, chains, atol=0.15)
