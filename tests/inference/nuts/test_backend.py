"""Launches of chains share the cores, and leave nothing running."""

import dataclasses
import signal
import threading
import time

import numpy as np
import pytest

from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.inference import Settings, mode_search
from skcocoafuse.inference.nuts import backend, pilots, sampler, state
from skcocoafuse.inference.nuts.method import METHOD
from skcocoafuse.posterior.clusters import MIN_DRAWS
from tests.problems import make_problem

QUICK = Settings(draws=20, tune=30, chains=4, target_accept=0.8, cores=1, seed=3)


class Watched:
    """A sampler of which it is known when it is done."""

    def __init__(self, sampler, cores, active):
        self.sampler, self.cores, self.active = sampler, cores, active
        self.active.append(self)

    def wait(self, **timeout):
        trace = self.sampler.wait(**timeout)
        self.active.remove(self)
        return trace

    def cancel(self):
        self.sampler.cancel()
        if self in self.active:
            self.active.remove(self)


@pytest.fixture
def watch(monkeypatch):
    """Cores in use after every start of a sampler, and samplers that are not done."""
    in_use, active = [], []
    start_sampler = backend._start_sampler

    def start(model, settings, seed):
        sampler = Watched(start_sampler(model, settings, seed), settings.cores, active)
        in_use.append(sum(own.cores for own in active))
        return sampler

    monkeypatch.setattr(backend, "_start_sampler", start)
    return in_use, active


@pytest.fixture(scope="module")
def modes():
    kernel = Kernel(make_problem(3, n=60))
    return mode_search.find_modes(kernel, np.random.default_rng(0))


def launch(mode, n_chains):
    return backend.Launch(mode.kernel, mode.normal, n_chains)


def run_with(cores, launches):
    settings = dataclasses.replace(QUICK, cores=cores)
    return backend.run_chains(launches, settings, np.random.default_rng(0))


@pytest.mark.parametrize("n_chains", [(2, 2, 2, 2), (1, 1, 1, 1), (3, 2), (4,)], ids=str)
def test_launches_share_the_cores(watch, modes, n_chains):
    """And what they draw does not depend on how many cores there are."""
    in_use, active = watch
    launches = [launch(modes[0], n) for n in n_chains]
    draws = []
    for cores in (1, 2, 3, 8):
        in_use.clear()
        draws.append([run.z for run in run_with(cores, launches)])
        assert len(in_use) == len(launches)
        assert max(in_use) == min(cores, sum(n_chains))
        assert active == []
    for others in draws[1:]:
        for one, other in zip(draws[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cores", [1, 2])
def test_a_fit_keeps_to_its_cores(watch, monkeypatch, cores):
    """In pilots, in chains that share modes, and where chains go on."""
    in_use, active = watch
    rounds, launches = [], []

    def pilot(several, settings, rng):
        rounds.append(len(several))
        return backend.run_chains(several, settings, rng)

    def drifting(several, settings, rng):
        launches.append(len(several))
        runs = backend.run_chains(several, settings, rng)
        if len(launches) > 1:
            return runs
        way = np.linspace(-4.0, 4.0, settings.draws)[:, None]
        return [dataclasses.replace(run, z=run.z + way) for run in runs]

    monkeypatch.setattr(pilots, "run_chains", pilot)
    monkeypatch.setattr(state, "run_chains", drifting)
    everywhere = dataclasses.replace(METHOD, comparable_mass=np.inf)
    options = {"max_gradients": 10**9}
    settings = dataclasses.replace(QUICK, cores=cores, draws=MIN_DRAWS, options=options)
    sampler.sample(make_problem(3, n=60), settings, everywhere)
    assert rounds == [1]
    assert 1 < launches[0] < 4
    assert set(launches[1:]) == {4}  # a launch for each chain that goes on
    assert max(in_use) == cores
    assert active == []


@pytest.mark.usefixtures("ctrl_c_raises")
@pytest.mark.parametrize("cores", [1, 2, 4])
def test_an_interrupt_ends_every_chain(watch, modes, cores):
    """Those under way are cancelled, and those that wait for a core never begin."""
    in_use, active = watch
    long = dataclasses.replace(QUICK, cores=cores, draws=10_000_000)

    def interrupt():
        last = time.monotonic() + 30.0
        while len(in_use) < cores and time.monotonic() < last:
            time.sleep(0.01)
        time.sleep(0.2)  # time for one more to begin, if it would
        signal.raise_signal(signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        backend.run_chains([launch(modes[0], 1)] * 4, long, np.random.default_rng(0))
    assert len(in_use) == cores
    assert active == []
    interrupter.join()


def test_a_failure_ends_the_other_chains(modes, monkeypatch):
    began, cancelled = [], []

    class Fails:
        def __init__(self, number):
            self.number = number

        def wait(self, **timeout):
            if self.number == 1:
                raise RuntimeError("a chain failed")
            raise TimeoutError

        def cancel(self):
            cancelled.append(self.number)

    def start(model, settings, seed):
        began.append(seed)
        return Fails(len(began) - 1)

    monkeypatch.setattr(backend, "_start_sampler", start)
    with pytest.raises(RuntimeError, match="a chain failed"):
        run_with(2, [launch(modes[0], 1)] * 4)
    assert len(began) == 2
    assert sorted(cancelled) == [0, 1]
