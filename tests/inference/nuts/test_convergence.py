"""Remedies: what is done about chains that diverge or disagree, and what is said of it."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from skcocoafuse import CoCoAFusERegressor
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.datasets import make_transition
from skcocoafuse.inference import Settings, get_engine, mode_search
from skcocoafuse.inference.engine import Stopwatch
from skcocoafuse.inference.nuts import backend, bridge_sampling, convergence, jumps, state
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
    """Neither jumps nor moves: the modes of chains are too far apart, and of like mass."""

    def declined(kernel, theta, clusters, *_):
        return jumps.Jumped(*np.indices(theta.shape[:2]), np.zeros(len(clusters)), 0)

    monkeypatch.setattr(jumps, "change_places", declined)
    monkeypatch.setattr(bridge_sampling, "log_evidence", lambda *_: np.zeros(4))


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
@pytest.mark.usefixtures("as_they_are")
def test_chains_go_on_for_as_many_draws_as_at_first(monkeypatch, parts, thinning):
    """From the last draw of each, until they agree or sit in modes of their own."""
    parts = [shifted_runs(shifts)[1] for shifts in parts]
    sampler = Scripted(monkeypatch, *parts)
    settings = dataclasses.replace(QUICK, draws=200)
    draws, info = agreed(parts[0], settings)
    assert len(sampler.asked) == len(parts)
    assert (info["target_accept"], info["thinning"], info["n_relocated"]) == (0.9, thinning, 0)
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


def stood_still(run):
    """The run as if no step had been accepted after the first draw."""
    return dataclasses.replace(run, z=np.repeat(run.z[:, :1], run.z.shape[1], axis=1))


def moves_in(sampler):
    """Which call relocated which chains: those that start at any of the draws of another."""
    found = {}
    for number, (launches, _) in enumerate(sampler.asked[1:], start=1):
        moved = [k for k, launch in enumerate(launches) if len(launch.initial_points) > 1]
        if moved:
            found[number] = moved
    return found


def test_a_chain_that_stood_still_is_moved_to_one_that_did_not(monkeypatch):
    begun = shifted_runs([0.0, 0.1, 0.0])[1]
    begun[0] = stood_still(begun[0])
    good = shifted_runs(SAME)[1]

    def answer(launches, *_):
        return good if len(launches[0].initial_points) > 1 else begun

    sampler = Scripted(monkeypatch, begun, answer)
    draws, info = agreed(begun, dataclasses.replace(QUICK, draws=200))
    assert info["n_relocated"] == 1
    ((number, moved),) = moves_in(sampler).items()
    assert moved == [0]
    begins = sampler.asked[number][0][0].initial_points
    assert any(np.array_equal(begins, run.z[0]) for run in begun[1:])
    np.testing.assert_array_equal(draws.theta, kept([good]))


def test_where_all_chains_stood_still_there_is_nowhere_to_move_to(monkeypatch):
    begun = [stood_still(run) for run in shifted_runs([0.0, 0.1, 0.0])[1]]
    sampler = Scripted(monkeypatch, begun)
    _, info = agreed(begun, dataclasses.replace(QUICK, draws=200))
    assert info["n_relocated"] == 0
    assert moves_in(sampler) == {}


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
    assert info["thinning"] > 1
    np.testing.assert_array_equal(first.theta, again.theta)
    np.testing.assert_allclose(first.log_posterior, kernel.log_posterior(first.theta))


@pytest.mark.parametrize(
    ("diverging", "n_steps", "expected"),
    [
        (0, 16, 0.9),
        (1, 16, 0.98),
        (1, 32, 0.98),
        (1, 33, 0.95),
        (1, 64, 0.95),
        (1, 65, 0.9),
        (0, 33, 0.9),
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
    settings = dataclasses.replace(QUICK, draws=200, options={"maxdepth": 8})
    draws, info = agreed(begun, settings, n_steps=21.0)
    assert info["target_accept"] == pytest.approx(expected)
    shorter = dataclasses.replace(settings, target_accept=pytest.approx(expected))
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
    settings = dataclasses.replace(QUICK, draws=200, options={"maxdepth": 8})
    draws, info = agreed(begun, settings, n_steps=20.0)
    ((_, asked),) = sampler.asked
    assert asked == dataclasses.replace(settings, target_accept=pytest.approx(0.98))
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


def prior_draws(problem, rng, n=4000):
    return problem.spec.pack(problem.spec.sample_prior(rng, n))


def test_bridge_knows_the_ratio_of_two_normals():
    """Masses 3 and 1 of Normals that overlap; infinities and NaN are draws without density."""
    rng = np.random.default_rng(0)
    first, second = stats.norm(0.0, 1.0), stats.norm(1.0, 1.5)

    def log_ratio(x):
        return np.log(3.0) + first.logpdf(x) - second.logpdf(x)

    own, drawn = first.rvs(20_000, random_state=rng), second.rvs(20_000, random_state=rng)
    found = bridge_sampling.bridge(log_ratio(own), log_ratio(drawn))
    assert found == pytest.approx(np.log(3.0), abs=0.03)  # its error is 0.007
    outside = log_ratio(drawn)
    outside[drawn < -1.0] = np.nan
    kept = log_ratio(own[own > -1.0][:15_000])
    found = bridge_sampling.bridge(kept, outside[: len(kept)])
    assert found == pytest.approx(np.log(3.0 * first.sf(-1.0)), abs=0.03)


@pytest.mark.parametrize("behavior", [None, 1.0, 0.0], ids=["cocoafuse", "moe", "boe"])
def test_evidence_without_data_is_one(behavior):
    """The posterior is then the prior, whose density holds all constants."""
    problem = make_problem(1, (2, 0, 0), behavior=behavior, n=60)
    kernel = Kernel(problem).tempered(1e-12)
    theta = prior_draws(problem, np.random.default_rng(0))
    found = bridge_sampling.log_evidence(kernel, theta, np.random.default_rng(1))
    np.testing.assert_allclose(found, 0.0, atol=0.1)


def test_evidence_tells_parts_of_a_posterior():
    """Draws of one half of the prior have half its mass, wherever the cut is."""
    kernel = Kernel(make_problem(1, (2, 0, 0), behavior=1.0, n=60)).tempered(1e-12)
    theta = prior_draws(kernel.problem, np.random.default_rng(0), 20_000)
    first = theta[:, 0]
    for share in (0.5, 0.9):
        part = theta[first < np.quantile(first, share)]
        found = bridge_sampling.log_evidence(kernel, part, np.random.default_rng(1))
        np.testing.assert_allclose(found, np.log(share), atol=0.25)


def test_a_clear_difference_is_beyond_doubt():
    best = np.array([0.0, 0.5, -0.5, 0.2])
    assert not bridge_sampling.clearly_less(best - 2.9, best)
    assert bridge_sampling.clearly_less(best - 3.1, best)
    vague = np.array([-20.0, -3.0, 5.0, -12.0])
    assert not bridge_sampling.clearly_less(vague, best)
    assert not bridge_sampling.clearly_less(best - 5.0, vague)
    both = bridge_sampling.clearly_less(np.stack([best, best - 10.0]), best)
    np.testing.assert_array_equal(both, [False, True])


def test_chains_move_to_where_the_mass_is(monkeypatch):
    """A chain in a corner that holds nothing is restarted from a draw of the one that holds all."""
    _, begun = shifted_runs([0.0, 6.0, 0.0], n_draws=400)
    _, later = shifted_runs(SAME, n_draws=400)
    sampler = Scripted(monkeypatch, begun, later)
    monkeypatch.setattr(jumps, "connected", lambda *_: False)
    draws, info = agreed(begun, dataclasses.replace(QUICK, draws=400))
    assert info["n_relocated"] == 1
    assert moves_in(sampler) == {1: [1]}
    first, second, third = (launch.initial_points for launch in sampler.asked[1][0])
    np.testing.assert_array_equal(first, begun[0].z[0, -1:])
    np.testing.assert_array_equal(third, begun[2].z[0, -1:])
    assert any(np.array_equal(second, begun[k].z[0]) for k in (0, 2))
    np.testing.assert_array_equal(draws.theta, kept([later]))  # none from before


def test_a_fit_whose_chain_had_to_move_agrees_in_the_end(monkeypatch):
    """A chain is held in a corner until it moves; draws from before are not kept."""
    kernel, stuck = shifted_runs([0.0, 6.0], n_draws=200)
    settings = dataclasses.replace(QUICK, draws=200, tune=100)
    Scripted(monkeypatch, stuck, backend.run_chains)
    monkeypatch.setattr(jumps, "connected", lambda *_: False)
    draws, info = agreed(stuck, settings)
    assert info["n_relocated"] == 1
    assert draws.theta.shape == (2, 200, kernel.n_parameters)
    theta = kernel.plain.from_theta(draws.theta)
    np.testing.assert_allclose(draws.log_posterior, kernel.log_posterior(draws.theta))
    apart = np.abs(theta[0].mean(axis=0) - theta[1].mean(axis=0)) / theta.std(axis=(0, 1))
    assert apart.max() < 1.5


def test_chains_that_agree_in_pairs_are_left_to_it(monkeypatch):
    """R-hat of all is above its limit, but there is no other place to move to."""
    settings = dataclasses.replace(QUICK, draws=200, tune=100)
    _, begun = shifted_runs([0.0, 0.2, 0.1])
    sampler = Scripted(monkeypatch, begun)
    draws, info = agreed(begun, settings)
    assert len(sampler.asked) == 4
    assert draws.clusters == [[0, 1, 2]]
    assert (info["target_accept"], info["thinning"], info["n_relocated"]) == (0.9, 4, 0)


def test_chains_of_like_mass_stay_where_they_are(monkeypatch):
    """On either side of a mode, equally far."""
    _, begun = shifted_runs([-0.5, -0.5, 0.5, 0.5], n_draws=400)
    sampler = Scripted(monkeypatch, begun)
    monkeypatch.setattr(jumps, "connected", lambda *_: False)
    draws, info = agreed(begun, dataclasses.replace(QUICK, draws=400))
    assert draws.clusters == [[0, 1], [2, 3]]
    assert info["n_relocated"] == 0
    assert len(sampler.asked) == 1
