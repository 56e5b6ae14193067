"""Jumps between modes keep the posterior: exact averages, balance, and what chains hold then."""

import itertools
import signal
import threading
import warnings

import numpy as np
import pytest

from skcocoafuse.compiled.coordinates import Coordinates
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.inference import get_engine
from skcocoafuse.inference.engine import EngineResult, Settings, Stopwatch
from skcocoafuse.inference.nuts import backend, convergence, jumps, state
from skcocoafuse.posterior.clusters import MAX_RHAT, find_clusters, invariants
from skcocoafuse.posterior.draws import Posterior
from tests.problems import make_problem

SETTINGS = Settings(draws=150, tune=150, chains=4, target_accept=0.9, cores=2, seed=0)


def normal(z):
    return -0.5 * z @ z, -z


def logistic(z):
    """Not normal, and with an evidence of its own: the density is e^-z / (1 + e^-z)^2, mass 1."""
    return -(np.abs(z) + 2 * np.log1p(np.exp(-np.abs(z)))).sum(), -np.tanh(0.5 * z)


@pytest.mark.parametrize("step_size", [0.2, 0.6])
def test_the_mean_of_exponential_work_is_the_ratio_of_masses(step_size):
    """For every number of stages and step size (Jarzynski, 1997)."""
    rng = np.random.default_rng(0)
    size, offset = 3, 0.7
    expected = np.exp(offset) / (2 * np.pi) ** (size / 2)
    ratios = np.array(
        [
            np.exp(jumps._work(normal, logistic, offset, rng.normal(size=size), step_size, rng))
            for _ in range(400)
        ]
    )
    assert abs(ratios.mean() - expected) < 4.5 * ratios.std() / np.sqrt(len(ratios))


def test_work_back_and_forth_balances():
    """Jumps both ways from equilibrium estimate the same ratio (Crooks, 1999)."""
    rng = np.random.default_rng(1)
    there = [jumps._work(normal, logistic, 0.0, rng.normal(size=2), 0.4, rng) for _ in range(200)]
    back = [jumps._work(logistic, normal, 0.0, rng.logistic(size=2), 0.4, rng) for _ in range(200)]
    log_ratio = -np.log(2 * np.pi)
    assert np.mean(there) <= log_ratio + 4.5 * np.std(there) / np.sqrt(200)
    assert -np.mean(back) >= log_ratio - 4.5 * np.std(back) / np.sqrt(200)


def test_trajectories_keep_the_density_between():
    rng = np.random.default_rng(2)
    z, draws = np.zeros(1), []
    for _ in range(4000):
        z, _ = jumps._trajectory(normal, normal, 0.3, z, 0.5, rng)
        draws.append(z[0])
    assert np.mean(draws) == pytest.approx(0.0, abs=0.1)
    assert np.var(draws) == pytest.approx(1.0, abs=0.15)


def nowhere(z):
    """No density, and slopes without end in both directions."""
    return np.float64(-np.inf), np.where(np.arange(len(z)) % 2, np.inf, -np.inf)


def steep(z):
    """A density whose slopes overflow after a few steps that are too long."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.float64(-(z**4).sum()), -4.0 * z**3


@pytest.mark.parametrize(
    ("here", "there", "step_size"),
    [
        (normal, nowhere, 0.3),
        (nowhere, nowhere, 0.3),
        (steep, nowhere, 1e8),
        (normal, steep, 1e8),
        (steep, steep, 1e8),
    ],
)
def test_jumps_out_of_all_bounds_are_declined_without_a_word(here, there, step_size):
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for z in rng.normal(size=(5, 4)):
            end, accepted = jumps._trajectory(here, there, 0.5, z, step_size, rng)
            assert not accepted
            np.testing.assert_array_equal(end, z)
            work = jumps._work(here, there, 0.0, z, step_size, rng)
            assert (work == -np.inf) == (there is nowhere)


@pytest.fixture(scope="module")
def run():
    problem = make_problem(2, n=80)
    return problem, get_engine("nuts")(problem, SETTINGS)


@pytest.mark.parametrize("n_draws", [150, 20])  # the latter with fewer than the jumps asked for
def test_clusters_of_one_mode_change_places_freely(run, n_draws):
    """Chains of the same mode, called two clusters: all of them visit both."""
    problem, result = run
    theta = result.theta[:, :n_draws]
    kernel, clusters = Kernel(problem), [[0, 2], [1, 3]]
    jumped = jumps.change_places(kernel, theta, clusters, 24, 2, np.random.default_rng(0))
    chain, draw = jumped.chain, jumped.draw
    assert jumps.connected(jumped.accepted, 0.1)
    assert chain.shape == draw.shape == theta.shape[:2]
    assert (draw >= 0).all()
    assert (draw < n_draws).all()
    share = np.isin(chain, clusters[1]).mean(axis=1)
    assert (share > 0).all()
    assert (share < 1).all()
    again = jumps.change_places(kernel, theta, clusters, 24, 1, np.random.default_rng(0))
    np.testing.assert_array_equal(chain, again[0])
    np.testing.assert_array_equal(draw, again[1])
    used = np.unique(np.stack([chain, draw]).reshape(2, -1), axis=1).shape[1]
    assert used > 0.6 * chain.size


def two_modes(problem, result):
    """Independent draws around one point by two chains, around another by the other two."""
    center = result.theta.mean(axis=(0, 1))
    theta = center + 0.05 * np.random.default_rng(0).normal(size=(4, 150, len(center)))
    theta[2:] += 3.0
    log_posterior = Kernel(problem).log_posterior(theta)
    return EngineResult(theta, log_posterior, {}, {}, {})


def settled(problem, result):
    parameters = problem.spec.unpack(result.theta)
    quantities = invariants(problem, Posterior(problem.spec, parameters, result.log_posterior, {}))
    return jumps.settled(quantities, find_clusters(quantities), MAX_RHAT)


@pytest.fixture
def sample_from(monkeypatch):
    """What becomes of chains whose draws are those of a result."""

    def sample_from(problem, result):
        kernel = Kernel(problem)
        z = kernel.plain.from_theta(result.theta)
        logp = result.log_posterior - kernel.constant + kernel.plain.log_jacobian(z)
        statistics = {"logp": logp, "diverging": np.zeros(logp.shape, dtype=bool)}
        whole = backend.Run(kernel, kernel.plain, z, statistics)
        monkeypatch.setattr(state, "run_chains", lambda *_: [whole])
        launches = [backend.Launch(kernel, kernel.plain, len(z))]
        rng = np.random.default_rng(0)
        return convergence.sample(launches, np.nan, SETTINGS, rng, Stopwatch())

    return sample_from


def test_chains_of_one_mode_are_left_alone(run):
    problem, result = run
    assert not settled(problem, result)
    assert "jumps_accepted" not in result.info


def test_few_draws_of_many_parameters_have_coordinates(run):
    problem, result = run
    frame = Coordinates.around(result.theta[0, :5], Kernel(problem).plain.laplace_transform)
    assert (np.diag(frame.factor) > 0).all()


def test_frozen_chains_are_not_settled():
    rng = np.random.default_rng(0)
    quantities = rng.normal(size=(4, 200, 3))
    quantities[2:] += 10.0
    assert jumps.settled(quantities, [[0, 1], [2, 3]], 1.05)
    assert not jumps.settled(quantities, [[0, 1, 2, 3]], 1.05)
    quantities[3] = quantities[3, :1]
    assert not jumps.settled(quantities, [[0, 1], [2], [3]], 1.05)


def test_jumps_that_are_accepted_often_enough_are_kept(run, monkeypatch, sample_from):
    problem, result = run
    kernel, apart = Kernel(problem), two_modes(problem, result)
    assert settled(problem, apart)
    source = np.arange(4)[::-1, None] * np.ones(150, dtype=int)
    draw = np.tile(np.arange(150), (4, 1))
    for accepted, changed in (([0.5, 0.3], True), ([0.01, 0.9], True), ([0.01, 0.05], False)):
        answer = jumps.Jumped(source, draw, np.array(accepted), 0)
        monkeypatch.setattr(jumps, "change_places", lambda *_, answer=answer: answer)
        found, info = sample_from(problem, apart)
        assert ("jumps_accepted" in info) is changed
        assert bool(found.clusters) is not changed
        expected = apart.log_posterior[::-1] if changed else apart.log_posterior
        np.testing.assert_allclose(found.log_posterior, expected)
        np.testing.assert_allclose(found.log_posterior, kernel.log_posterior(found.theta))


@pytest.mark.parametrize(("agree", "expected"), [(True, [24]), (False, [24, 96])])
def test_more_jumps_are_tried_where_few_leave_chains_apart(
    run, monkeypatch, sample_from, agree, expected
):
    problem, result = run
    chain = np.tile(np.arange(4), (150, 1)).T
    if agree:
        chain = np.random.default_rng(0).permuted(chain, axis=0)
    draw, seen = np.tile(np.arange(150), (4, 1)), []

    def answer(kernel, theta, clusters, attempts, cores, rng):
        seen.append(attempts)
        return jumps.Jumped(chain, draw, np.array([0.2, 0.2]), 100)

    monkeypatch.setattr(jumps, "change_places", answer)
    _, info = sample_from(problem, two_modes(problem, result))
    assert seen == expected
    assert info["jumps_accepted"] == pytest.approx(0.2)


@pytest.mark.usefixtures("ctrl_c_raises")
def test_an_interrupt_ends_jumps(monkeypatch):
    """It reaches the main thread alone; the others end with it, at the next density.

    A second signal while the first is handled would break the locks of Python's ``threading``.
    """
    kernel = Kernel(make_problem(2, n=40))
    theta = np.random.default_rng(0).normal(size=(4, 100, kernel.n_parameters))
    work, calls, ended = jumps._work, itertools.count(), []

    def endless(here, there, offset, z, step_size, rng):
        try:
            if next(calls) == 0:
                signal.raise_signal(signal.SIGINT)  # of the main thread, whoever raises it
            while True:
                work(here, there, offset, z, step_size, rng)
        finally:
            ended.append(threading.current_thread())

    monkeypatch.setattr(jumps, "_work", endless)
    rng = np.random.default_rng(0)
    with pytest.raises(KeyboardInterrupt):
        jumps.change_places(kernel, theta, [[0, 1], [2, 3]], 24, 2, rng)
    assert ended
    for thread in ended:
        thread.join(60)
        assert not thread.is_alive()
