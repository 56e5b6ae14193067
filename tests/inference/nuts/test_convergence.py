"""Remedies: what is done about chains that diverge or disagree, and what is said of it."""

import dataclasses

import numpy as np
import pytest

from skcocoafuse import CoCoAFusERegressor, load
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.datasets import make_switch, make_transition
from skcocoafuse.evaluation import verdicts
from skcocoafuse.exceptions import SeparateModesWarning
from skcocoafuse.inference import Settings, get_engine, mode_search
from skcocoafuse.inference.engine import Stopwatch
from skcocoafuse.inference.nuts import backend, convergence, jumps, remedies, state
from skcocoafuse.posterior.clusters import disagree
from skcocoafuse.posterior.monte_carlo import rhat
from tests.problems import make_problem

QUICK = Settings(draws=60, tune=120, chains=2, target_accept=0.9, cores=2, seed=3)


def shifted_runs(shifts, n_draws=200):
    """A run per shift, all chains of one draws a random walk around a mode plus the shift."""
    kernel = Kernel(make_problem(2, n=60))
    mode = mode_search.find_modes(kernel, np.random.default_rng(0))[0]
    runs = []
    for number, shift in enumerate(shifts):
        z = 0.3 * np.random.default_rng(number).normal(size=(1, n_draws, kernel.n_parameters))
        z += np.linspace(*shift, n_draws)[:, None] if isinstance(shift, tuple) else shift
        statistics = {"logp": np.zeros((1, n_draws)), "diverging": np.zeros((1, n_draws), bool)}
        runs.append(backend.Run(kernel, mode.normal, z, statistics))
    return kernel, runs


class Scripted:
    """In the place of the sampler: answers in their order, the last one for ever, and questions."""

    def __init__(self, monkeypatch, *answers):
        self.answers, self.asked = answers, []
        monkeypatch.setattr(state, "run_chains", self)

    def __call__(self, launches, settings, rng):
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append((launches, settings))
        return answer(launches, settings, rng) if callable(answer) else answer


@pytest.fixture
def as_they_are(monkeypatch):
    """No jumps: the modes of chains are too far apart."""

    def declined(kernel, theta, clusters, *_):
        return jumps.Jumped(*np.indices(theta.shape[:2]), np.zeros(len(clusters)), 0)

    monkeypatch.setattr(jumps, "change_places", declined)


def logp_of(kernel, coordinates, z):
    """What nutpie says of draws: their density in the coordinates, up to the kernel's constant."""
    log_posterior = kernel.log_posterior(coordinates.to_theta(z))
    return log_posterior - kernel.constant + coordinates.log_jacobian(z)


def launches_of(runs):
    return [backend.Launch(run.kernel, run.coordinates, len(run.z)) for run in runs]


def agreed(runs, settings, n_steps=np.nan):
    """What comes of chains that start as the runs do."""
    rng = np.random.default_rng(0)
    return convergence.sample(launches_of(runs), n_steps, settings, rng, Stopwatch())


def kept(parts):
    """Draws of every chain in several parts, thinned to as many as one part has."""
    every = len(parts)
    together = [
        runs[0].coordinates.to_theta(np.concatenate([run.z[0] for run in runs])[every - 1 :: every])
        for runs in zip(*parts, strict=True)
    ]
    return np.stack(together)


SAME, SLOW, SLOWER = [0.07, 0.07, 0.07], [0.0, 0.12, 0.06], [0.0, 0.16, 0.08]
LATE, APART = [0.0, (-4.0, 2.0)], [-2.0, 2.0]


@pytest.mark.parametrize(
    ("parts", "thinning"),
    [
        ([SAME], 1),  # agree at once
        ([APART], 1),  # settled apart: for jumps
        ([[-1.0, -1.0, 1.0, 1.0]], 1),  # in pairs
        ([SLOW, SAME], 2),  # agree with twice the draws
        ([SLOWER, SAME, SAME], 3),  # with three times as many
        ([SLOWER, SLOWER, SLOWER, SLOWER], 4),  # never, but none is apart
        ([LATE, APART], 1),  # one arrived late: its way there is dropped
        ([LATE, LATE, APART, APART], 2),  # later still
    ],
)
@pytest.mark.usefixtures("as_they_are", "however_little_predictions_change")
def test_chains_go_on_for_as_many_draws_as_at_first(monkeypatch, parts, thinning):
    """From the last draw of each, until they agree or sit in modes of their own."""
    parts = [shifted_runs(shifts)[1] for shifts in parts]
    sampler = Scripted(monkeypatch, *parts)
    settings = dataclasses.replace(QUICK, draws=200)
    draws, info = agreed(parts[0], settings)
    assert len(sampler.asked) == len(parts)
    assert (info["target_accept"], info["thinning"]) == (0.9, thinning)
    for before, (launches, asked) in zip(parts, sampler.asked[1:], strict=False):
        assert asked == settings
        for launch, run in zip(launches, before, strict=True):
            assert launch.chains == 1
            np.testing.assert_array_equal(launch.initial_points, run.z[0, -1:])
    np.testing.assert_array_equal(draws.theta, kept(parts[-thinning:]))
    assert {name: values.shape for name, values in draws.statistics.items()} == {
        "diverging": draws.theta.shape[:2]
    }


def test_chains_too_short_to_tell_do_not_go_on(monkeypatch):
    runs = shifted_runs(LATE, n_draws=50)[1]
    sampler = Scripted(monkeypatch, runs)
    draws, info = agreed(runs, dataclasses.replace(QUICK, draws=50))
    assert len(sampler.asked) == info["thinning"] == 1
    assert draws.clusters == []


@pytest.mark.usefixtures("as_they_are")
def test_real_chains_go_on_alike_for_the_same_seed(monkeypatch):
    """And the log posterior that they report is that of the draws that are kept."""
    kernel, begun = shifted_runs([0.0, 0.2], n_draws=120)
    begun = [dataclasses.replace(run, z=3.0 * run.z) for run in begun]  # about as wide as theirs
    for run in begun:
        run.statistics["logp"] = logp_of(run.kernel, run.coordinates, run.z)
    settings = dataclasses.replace(QUICK, draws=120, tune=100)
    run_chains = backend.run_chains
    Scripted(monkeypatch, begun, run_chains)
    first, info = agreed(begun, settings)
    Scripted(monkeypatch, begun, run_chains)
    again, _ = agreed(begun, settings)
    assert info["remedies"]["more draws"]["rounds"] >= 1
    np.testing.assert_array_equal(first.theta, again.theta)
    np.testing.assert_allclose(first.log_posterior, kernel.log_posterior(first.theta))


@pytest.mark.parametrize(
    ("diverging", "n_steps", "expected"),
    [
        (0, 16, 0.9),
        (2, 16, 0.9),  # of 400
        (3, 16, 0.98),
        (3, 32, 0.98),
        (3, 33, 0.95),
        (3, 64, 0.95),
        (3, 65, 0.9),
        (2, 33, 0.9),
    ],
)
def test_chains_that_diverge_go_on_in_shorter_steps(monkeypatch, diverging, n_steps, expected):
    """And only draws from then on are kept; if trajectories have room to become longer."""
    begun = shifted_runs([0.0, 0.0])[1]
    for run in begun:
        run.statistics["n_steps"] = np.full((1, 200), n_steps)
    begun[1].statistics["diverging"][0, :diverging] = True
    later = shifted_runs([0.1, 0.1])[1]
    sampler = Scripted(monkeypatch, begun, later)
    settings = dataclasses.replace(QUICK, draws=200, options={"maxdepth": 7})
    draws, info = agreed(begun, settings, n_steps=21.0)
    assert info["target_accept"] == pytest.approx(expected)
    shorter = dataclasses.replace(
        settings, target_accept=pytest.approx(expected), options={"maxdepth": 8}
    )
    again = expected != settings.target_accept
    assert [asked for _, asked in sampler.asked] == [settings, shorter][: 1 + again]
    np.testing.assert_array_equal(draws.theta, kept([later if again else begun]))
    if again:
        for launch, run in zip(sampler.asked[1][0], begun, strict=True):
            np.testing.assert_array_equal(launch.initial_points, run.z[0, -1:])
            assert launch.chains == 1


@pytest.mark.parametrize("diverging", [0, 5])
def test_short_trajectories_are_in_shorter_steps_from_the_beginning(monkeypatch, diverging):
    """Pilot chains tell how long they are; steps become shorter once, whatever diverges then."""
    begun = shifted_runs([0.0, 0.0])[1]
    begun[0].statistics["diverging"][0, :diverging] = True
    sampler = Scripted(monkeypatch, begun)
    settings = dataclasses.replace(QUICK, draws=200, options={"maxdepth": 7})
    draws, info = agreed(begun, settings, n_steps=20.0)
    ((_, asked),) = sampler.asked
    assert (asked.target_accept, asked.options) == (pytest.approx(0.98), {"maxdepth": 8})
    assert info["target_accept"] == asked.target_accept
    np.testing.assert_array_equal(draws.theta, kept([begun]))


@pytest.mark.filterwarnings("ignore::skcocoafuse.exceptions.DivergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_bent_ridge_is_sampled_in_shorter_steps(monkeypatch):
    """Transition data on which far more draws diverge at the acceptance rate asked for."""
    model = CoCoAFusERegressor(2, target_accept=0.8, random_state=0)
    X, y = make_transition(random_state=7)
    found = model.fit(X, y).diagnostics_
    run_chains = backend.run_chains

    def as_asked_for(launches, settings, rng):
        return run_chains(launches, dataclasses.replace(settings, target_accept=0.8), rng)

    Scripted(monkeypatch, as_asked_for)
    before = model.fit(X, y).diagnostics_
    assert found["target_accept"] == pytest.approx(0.96)
    assert found["n_divergences"] < before["n_divergences"] / 2
    assert found["mean_n_steps"] > before["mean_n_steps"]


def test_chains_go_on_where_predictions_may_change_enough_for_the_price(monkeypatch):
    """Their error must be above that share of ``least_error`` which a run has of all gradients."""
    runs = [dataclasses.replace(run, n_gradients=np.array([1000])) for run in shifted_runs(SLOW)[1]]
    sampler = Scripted(monkeypatch, runs)
    kernel = runs[0].kernel
    draws = state.judged(kernel, state.draws_of(kernel, runs))
    assert draws.clusters == [[0, 1, 2]]
    monkeypatch.setattr(remedies, "predictive_error", lambda *_: 0.01)  # a fifth of least_error
    for max_gradients, goes_on in ((14_900, False), (15_100, True)):
        sampler.asked.clear()
        settings = dataclasses.replace(QUICK, draws=200, options={"max_gradients": max_gradients})
        info = agreed(runs, settings)[1]
        assert (len(sampler.asked) > 1) == goes_on
        assert list(info["remedies"]) == ["more draws"] * goes_on
        assert not info["max_gradients_reached"]


def test_chains_go_on_if_few_draws_are_effective(monkeypatch):
    """Although they agree: each wanders so slowly, and so far, as the others."""
    kernel, runs = shifted_runs(SAME, n_draws=400)
    rng = np.random.default_rng(0)
    for number, run in enumerate(runs):
        phase = np.linspace(0.0, 12.0 * np.pi, 400) + rng.uniform(0.0, 2.0 * np.pi)
        runs[number] = dataclasses.replace(run, z=run.z + 0.3 * np.sin(phase)[:, None])
    slow = state.judged(kernel, state.draws_of(kernel, runs))
    assert slow.clusters == [[0, 1, 2]]
    assert not disagree(rhat(slow.quantities))
    assert state.unsettled(slow)
    assert state.judged(kernel, state.draws_of(kernel, shifted_runs(SAME, 400)[1])).clusters == []


@pytest.mark.usefixtures("however_little_predictions_change")
def test_a_fit_that_went_on_says_so(monkeypatch):
    """The engine, whose chains never quite agree: of four parts one draw in four is kept."""
    problem = make_problem(2, n=60)
    settings = dataclasses.replace(QUICK, draws=200, tune=100, chains=3)

    def slow(launches, *_):
        kernel, coordinates = launches[0].kernel, launches[0].coordinates
        z = np.concatenate([run.z for run in shifted_runs(SLOWER)[1]])
        statistics = {
            "logp": logp_of(kernel, coordinates, z),
            "diverging": np.zeros((3, 200), bool),
        }
        whole = backend.Run(kernel, coordinates, z, statistics)
        return [whole] if len(launches) == 1 else [whole.chain(k) for k in range(3)]

    sampler = Scripted(monkeypatch, slow)
    result = get_engine("nuts")(problem, settings)
    assert len(sampler.asked) == result.info["thinning"] == 4
    assert result.theta.shape[:2] == (3, 200)
    expected = Kernel(problem).log_posterior(result.theta)
    np.testing.assert_allclose(result.log_posterior, expected, rtol=1e-10)


@pytest.mark.usefixtures("however_little_predictions_change")
def test_chains_that_agree_in_pairs_are_left_to_it(monkeypatch):
    """R-hat of all is above its limit, but there is no mode to jump to."""
    settings = dataclasses.replace(QUICK, draws=200, tune=100)
    _, begun = shifted_runs([0.0, 0.2, 0.1])
    sampler = Scripted(monkeypatch, begun)
    draws, info = agreed(begun, settings)
    assert len(sampler.asked) == 4
    assert draws.clusters == [[0, 1, 2]]
    assert (info["target_accept"], info["thinning"]) == (0.9, 4)


def test_chains_in_modes_that_jumps_do_not_connect_stay_where_they_are(monkeypatch):
    _, begun = shifted_runs([-0.5, -0.5, 0.5, 0.5], n_draws=400)
    sampler = Scripted(monkeypatch, begun)
    monkeypatch.setattr(jumps, "connected", lambda *_: False)
    draws, _ = agreed(begun, dataclasses.replace(QUICK, draws=400))
    assert draws.clusters == [[0, 1], [2, 3]]
    assert len(sampler.asked) == 1


def test_a_chain_far_from_the_mass_hardly_counts(monkeypatch, tmp_path):
    """It is a cluster that a warning names and stacking gives little weight; files keep that."""

    def misplaced(launches, settings, rng):
        (run,) = backend.run_chains(launches, settings, rng)
        z = 0.3 * np.random.default_rng(0).normal(size=run.z.shape)
        z[2] += 12.0
        logp = logp_of(run.kernel, run.coordinates, z)
        statistics = {
            **run.statistics,
            "logp": logp,
            "diverging": np.zeros(logp.shape, dtype=bool),
        }
        return [dataclasses.replace(run, z=z, statistics=statistics)]

    Scripted(monkeypatch, misplaced)
    monkeypatch.setattr(jumps, "connected", lambda *_: False)  # made-up draws do jump back
    X, y = make_switch(100, random_state=0)
    model = CoCoAFusERegressor(1, chains=3, draws=250, tune=250, random_state=0, n_jobs=2)
    with pytest.warns(SeparateModesWarning):
        found = model.fit(X, y).diagnostics_
    assert found["chain_clusters"] == [[0, 1], [2]]
    assert found["cluster_weight"][1] < 0.05
    assert not verdicts.converged(found)
    jumped = found["remedies"]["jumps between modes"]
    assert jumped["rounds"] == 1
    assert 0 < jumped["gradients"] < found["n_gradients"]
    assert 0 < jumped["seconds"] < sum(found["seconds"].values())
    model.save(tmp_path / "fit.nc")
    again = load(tmp_path / "fit.nc")
    np.testing.assert_equal(again.diagnostics_, found)
    assert list(again.diagnostics_["remedies"]) == list(found["remedies"])
