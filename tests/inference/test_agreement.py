"""Going on, jumps and moves: what chains that disagree do next."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from skcocoafuse import CoCoAFusERegressor
from skcocoafuse.datasets import make_transition
from skcocoafuse.inference import Settings, agreement, chains, evidence, get_engine, starts
from skcocoafuse.inference.engine import Stopwatch
from skcocoafuse.inference.kernel import Kernel
from tests.problems import make_problem

QUICK = Settings(draws=60, tune=120, chains=2, target_accept=0.9, cores=2, seed=3)


def shifted_runs(shifts, n_draws=200):
    """A run per shift, all chains of one draws a random walk around a mode plus the shift."""
    kernel = Kernel(make_problem(2, n=60))
    mode = starts.find_modes(kernel, np.random.default_rng(0))[0]
    runs = []
    for number, shift in enumerate(shifts):
        z = 0.3 * np.random.default_rng(number).normal(size=(1, n_draws, kernel.n_parameters))
        z += np.linspace(*shift, n_draws)[:, None] if isinstance(shift, tuple) else shift
        statistics = {"logp": np.zeros((1, n_draws)), "diverging": np.zeros((1, n_draws), bool)}
        runs.append(chains.Run(kernel, mode.normal, z, statistics))
    return kernel, runs


@pytest.mark.parametrize(
    ("shifts", "expected"),
    [
        ([0.0, 0.0, 0.0], False),  # converged
        ([0.0, 0.2, 0.1], True),  # near, and not the same
        ([-1.0, -1.0, 1.0, 1.0], False),  # modes of their own, each explored
        ([0.0, (-2.0, 2.0)], True),  # still on its way
    ],
)
def test_chains_go_on_where_that_can_help(shifts, expected):
    def goes_on(n_draws):
        return agreement._should_go_on(agreement._joined(*shifted_runs(shifts, n_draws)))

    assert goes_on(200) is expected
    assert not goes_on(50)


def stood_still(run):
    """The run as if no step had been accepted after the first draw."""
    return dataclasses.replace(run, z=np.repeat(run.z[:, :1], run.z.shape[1], axis=1))


def test_a_chain_that_stood_still_is_moved_to_one_that_did_not():
    kernel, runs = shifted_runs([0.0, 0.1, 0.0])
    runs[0] = stood_still(runs[0])
    moved = agreement._moves(kernel, runs, QUICK, np.random.default_rng(0))
    assert list(moved) == [0]
    assert moved[0] in (1, 2)
    none = [stood_still(run) for run in runs]
    assert agreement._moves(kernel, none, QUICK, np.random.default_rng(0)) == {}


def launches_of(runs):
    return [chains.Launch(run.kernel, run.coordinates, len(run.z)) for run in runs]


def test_chains_go_on_from_their_last_draws():
    """Kept are some of both parts, in their order, and the same ones for the same seed."""
    settings = dataclasses.replace(QUICK, draws=120, tune=100)
    kernel, runs = shifted_runs([0.0, 0.2], n_draws=120)
    later, again = (agreement._go_on(runs, {}, settings, np.random.default_rng(3)) for _ in "ab")
    assert [run.z.shape for run in later] == [(1, 120, kernel.n_parameters)] * 2
    for before, more, repeated in zip(runs, later, again, strict=True):
        np.testing.assert_array_equal(more.z, repeated.z)
        joined = before.followed_by(more).thinned(3)
        np.testing.assert_array_equal(joined.z[:, :40], before.z[:, 2::3])
        np.testing.assert_array_equal(joined.z[:, 40:], more.z[:, 2::3])
        assert joined.statistics["diverging"].shape == (1, 80)
    draws = agreement._joined(kernel, later)
    np.testing.assert_allclose(draws.log_posterior, kernel.log_posterior(draws.theta))
    assert "logp" not in draws.statistics


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
    seen = []

    def answer(launches, settings, rng):
        seen.append((launches, settings))
        return begun if len(seen) == 1 else later

    monkeypatch.setattr(agreement, "run_chains", answer)
    settings = dataclasses.replace(QUICK, draws=200, options={"maxdepth": 8})
    launches, rng = launches_of(begun), np.random.default_rng(0)
    chains_, found = agreement._without_divergences(launches, 21.0, settings, rng)
    assert found == dataclasses.replace(settings, target_accept=pytest.approx(expected))
    assert [s for _, s in seen] == [settings, found][: len(seen)]
    again = expected != settings.target_accept
    assert len(seen) == 1 + again
    for chain, run, first in zip(chains_, later if again else begun, begun, strict=True):
        np.testing.assert_array_equal(chain.z, run.z)
        if again:
            (launch,) = [q for q in seen[1][0] if (q.begins == first.z[0, -1:]).all()]
            assert launch.chains == 1


@pytest.mark.parametrize("diverging", [0, 5])
def test_short_trajectories_are_in_shorter_steps_from_the_beginning(monkeypatch, diverging):
    """Pilot chains tell how long they are; steps become shorter once, whatever diverges then."""
    begun = shifted_runs([0.0, 0.0])[1]
    begun[0].statistics["diverging"][0, :diverging] = True
    seen = []
    monkeypatch.setattr(agreement, "run_chains", lambda *args: seen.append(args) or begun)
    settings = dataclasses.replace(QUICK, draws=200, options={"maxdepth": 8})
    launches, rng = launches_of(begun), np.random.default_rng(0)
    chains_, found = agreement._without_divergences(launches, 20.0, settings, rng)
    ((_, used, _),) = seen
    assert used == found == dataclasses.replace(settings, target_accept=pytest.approx(0.98))
    np.testing.assert_array_equal(chains_[1].z, begun[1].z)


@pytest.mark.filterwarnings("ignore::skcocoafuse.exceptions.DivergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_bent_ridge_is_sampled_in_shorter_steps(monkeypatch):
    """Transition data on which far more draws diverge at the acceptance rate asked for."""
    model = CoCoAFusERegressor(2, target_accept=0.8, random_state=0)
    X, y = make_transition(random_state=7)
    found = model.fit(X, y).diagnostics_
    monkeypatch.setattr(agreement, "_CAREFULLY", ())
    before = model.fit(X, y).diagnostics_
    assert before["target_accept"] == 0.8
    assert found["target_accept"] == pytest.approx(0.96)
    assert found["n_divergences"] < before["n_divergences"] / 2
    assert found["mean_n_steps"] > before["mean_n_steps"]


SLOW, SLOWER, SAME = [0.0, 0.12, 0.06], [0.0, 0.16, 0.08], [0.07, 0.07, 0.07]


LATE, APART = [0.0, (-4.0, 2.0)], [-2.0, 2.0]


@pytest.mark.parametrize(
    ("parts", "thinning"),
    [
        ([SAME], 1),  # agree at once
        ([APART], 1),  # settled apart: for jumps
        ([SLOW, SAME], 2),  # agree with twice the draws
        ([SLOWER, SAME, SAME], 3),  # with three times as many
        ([SLOWER, SLOWER, SLOWER, SLOWER], 4),  # never, but none is apart
        ([LATE, APART], 1),  # one arrived late: its way there is dropped
        ([LATE, LATE, APART, APART], 2),  # later still
    ],
)
def test_chains_go_on_for_as_many_draws_as_at_first(monkeypatch, parts, thinning):
    n_draws, lengths = 200, []
    kernel, _ = shifted_runs(SAME, n_draws)
    parts = [shifted_runs(shifts, n_draws)[1] for shifts in parts]
    answers = iter(parts[1:])

    def answer(launches, settings, rng):
        lengths.append(settings.draws)
        return next(answers)

    monkeypatch.setattr(agreement, "run_chains", answer)
    settings = dataclasses.replace(QUICK, draws=n_draws)
    rng = np.random.default_rng(0)
    last, draws, found = agreement._until_settled(kernel, parts[0], settings, rng)
    assert lengths == [n_draws] * (len(parts) - 1)
    np.testing.assert_array_equal(last[1].z, parts[-1][1].z)
    assert found == thinning
    for chain, first in enumerate(parts[0]):
        z = np.concatenate([part[chain].z[0] for part in parts[-thinning:]])
        expected = first.coordinates.to_theta(z[thinning - 1 :: thinning])
        np.testing.assert_array_equal(draws.theta[chain], expected)


@pytest.mark.parametrize(("islands", "thinning"), [([], 4), ([[0, 1]], 4), ([[0], [1]], 2)])
def test_a_fit_that_went_on_says_so(monkeypatch, islands, thinning):
    """All draws are kept, or the later half of them where a chain is apart."""
    problem = make_problem(2, n=60)
    settings = dataclasses.replace(QUICK, draws=100, tune=100)
    monkeypatch.setattr(agreement, "_MAX_MOVES", 0)
    monkeypatch.setattr(agreement, "_should_go_on", lambda *_: True)

    def judged(problem, draws):
        return dataclasses.replace(draws, islands=islands)

    monkeypatch.setattr(agreement, "_judged", judged)
    monkeypatch.setattr(agreement.jumps, "settled", lambda *_: False)
    result = get_engine("nuts")(problem, settings)
    assert result.info["thinning"] == thinning
    assert result.theta.shape[:2] == (settings.chains, 100)
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
    found = evidence.bridge(log_ratio(own), log_ratio(drawn))
    assert found == pytest.approx(np.log(3.0), abs=0.03)  # its error is 0.007
    outside = log_ratio(drawn)
    outside[drawn < -1.0] = np.nan
    kept = log_ratio(own[own > -1.0][:15_000])
    found = evidence.bridge(kept, outside[: len(kept)])
    assert found == pytest.approx(np.log(3.0 * first.sf(-1.0)), abs=0.03)


@pytest.mark.parametrize("behavior", [None, 1.0, 0.0], ids=["cocoafuse", "moe", "boe"])
def test_evidence_without_data_is_one(behavior):
    """The posterior is then the prior, whose density holds all constants."""
    problem = make_problem(1, (2, 0, 0), behavior=behavior, n=60)
    kernel = Kernel(problem).tempered(1e-12)
    theta = prior_draws(problem, np.random.default_rng(0))
    found = evidence.log_evidence(kernel, theta, np.random.default_rng(1))
    np.testing.assert_allclose(found, 0.0, atol=0.1)


def test_evidence_tells_parts_of_a_posterior():
    """Draws of one half of the prior have half its mass, wherever the cut is."""
    kernel = Kernel(make_problem(1, (2, 0, 0), behavior=1.0, n=60)).tempered(1e-12)
    theta = prior_draws(kernel.problem, np.random.default_rng(0), 20_000)
    first = theta[:, 0]
    for share in (0.5, 0.9):
        part = theta[first < np.quantile(first, share)]
        found = evidence.log_evidence(kernel, part, np.random.default_rng(1))
        np.testing.assert_allclose(found, np.log(share), atol=0.25)


def test_a_clear_difference_is_beyond_doubt():
    best = np.array([0.0, 0.5, -0.5, 0.2])
    assert not evidence.clearly_less(best - 2.9, best)
    assert evidence.clearly_less(best - 3.1, best)
    vague = np.array([-20.0, -3.0, 5.0, -12.0])
    assert not evidence.clearly_less(vague, best)
    assert not evidence.clearly_less(best - 5.0, vague)
    both = evidence.clearly_less(np.stack([best, best - 10.0]), best)
    np.testing.assert_array_equal(both, [False, True])


def test_chains_move_to_where_the_mass_is(monkeypatch):
    """A chain in a corner that holds nothing begins anew at a draw of the one that holds all."""
    kernel, runs = shifted_runs([0.0, 6.0, 0.0], n_draws=400)
    moved = agreement._moves(kernel, runs, QUICK, np.random.default_rng(0))
    assert list(moved) == [1]
    assert moved[1] in (0, 2)
    seen = []
    monkeypatch.setattr(agreement, "run_chains", lambda launches, *_: seen.extend(launches))
    agreement._go_on(runs, moved, QUICK, np.random.default_rng(0))
    np.testing.assert_array_equal(seen[0].begins, runs[0].z[0, -1:])
    np.testing.assert_array_equal(seen[1].begins, runs[moved[1]].z[0])


def test_a_fit_whose_chain_had_to_move_agrees_in_the_end(monkeypatch):
    """A chain is held in a corner until it moves; draws from before are not kept."""
    kernel, stuck = shifted_runs([0.0, 6.0], n_draws=200)
    settings = dataclasses.replace(QUICK, draws=200, tune=100)
    run_chains, calls = agreement.run_chains, []

    def held(launches, settings, rng):
        calls.append(launches)
        return stuck if len(calls) == 1 else run_chains(launches, settings, rng)

    monkeypatch.setattr(agreement, "run_chains", held)
    monkeypatch.setattr(agreement.jumps, "connected", lambda _: False)
    rng = np.random.default_rng(0)
    draws, info = agreement.sample(launches_of(stuck), np.nan, settings, rng, Stopwatch())
    assert info["n_moved"] == 1
    assert draws.theta.shape == (2, 200, kernel.n_parameters)
    theta = kernel.plain.from_theta(draws.theta)
    np.testing.assert_allclose(draws.log_posterior, kernel.log_posterior(draws.theta))
    apart = np.abs(theta[0].mean(axis=0) - theta[1].mean(axis=0)) / theta.std(axis=(0, 1))
    assert apart.max() < 1.5


def test_chains_that_agree_in_pairs_are_left_to_it(monkeypatch):
    """R-hat of all is above its limit, but there is no other place to move to."""
    settings = dataclasses.replace(QUICK, draws=200, tune=100)
    slow = [0.0, 0.2, 0.1]
    answers = iter([shifted_runs(slow)[1] for _ in range(4)])
    monkeypatch.setattr(agreement, "run_chains", lambda *_: next(answers))
    _, begun = shifted_runs(slow)
    rng = np.random.default_rng(0)
    draws, info = agreement.sample(launches_of(begun), np.nan, settings, rng, Stopwatch())
    assert draws.islands == [[0, 1, 2]]
    assert info == {"target_accept": settings.target_accept, "thinning": 4, "n_moved": 0}


def test_chains_of_like_mass_stay_where_they_are():
    kernel, runs = shifted_runs([0.0, 0.0, 0.1], n_draws=400)
    assert agreement._moves(kernel, runs, QUICK, np.random.default_rng(0)) == {}
