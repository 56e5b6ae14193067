"""The loop over remedies: which one is applied when, what is left out, and what is counted."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.inference import Settings, mode_search
from skcocoafuse.inference.engine import Stopwatch
from skcocoafuse.inference.nuts import backend, convergence, jumps, state
from skcocoafuse.inference.nuts.method import METHOD
from skcocoafuse.inference.nuts.remedies import REMEDIES
from skcocoafuse.inference.nuts.state import Draws, State
from tests.inference.nuts.test_convergence import SLOWER, Scripted, launches_of, shifted_runs
from tests.problems import make_problem

QUICK = Settings(draws=20, tune=30, chains=3, target_accept=0.8, cores=2, seed=3)


def some_draws():
    return Draws(np.zeros((2, 5, 1)), np.zeros((2, 5)), {})


@dataclasses.dataclass(frozen=True)
class Fake:
    """Applies as long as the state's thinning is in ``at``, and raises that if it helps."""

    name: str
    at: tuple[int, ...]
    helps: bool = True
    phase: ClassVar[str] = "sampling"
    relative_cost: ClassVar[float] = 1.0

    def applies(self, state):
        return state.thinning in self.at

    def apply(self, state, rng):
        state = dataclasses.replace(state, n_gradients=state.n_gradients + 10)
        if not self.helps:
            return state
        return dataclasses.replace(state, draws=some_draws(), thinning=state.thinning + 1)


@pytest.mark.parametrize(
    ("remedies", "expected"),
    [
        ([], ""),
        ([Fake("a", (1, 2)), Fake("b", (1, 2, 3))], "aab"),
        ([Fake("a", (2,)), Fake("b", (1, 3))], "bab"),
        ([Fake("a", (1,), helps=False)], "a"),  # in vain, so once
        ([Fake("a", (1, 2), helps=False), Fake("b", (1, 2))], "abab"),  # again for other draws
    ],
)
def test_the_first_remedy_that_applies_is_applied_until_none_does(remedies, expected):
    state = State(None, QUICK, ([],), some_draws(), n_gradients=7)
    watch = Stopwatch()
    rng = np.random.default_rng(0)
    after = convergence.apply_remedies(state, remedies, rng, watch)
    assert "".join(cost.remedy for cost in after.costs) == expected
    assert after.n_gradients == 7 + 10 * len(expected)
    told = convergence.report(after)["remedies"]
    assert list(told) == list(dict.fromkeys(expected))
    for name, cost in told.items():
        assert cost["rounds"] == expected.count(name)
        assert cost["gradients"] == 10 * expected.count(name)
    assert sum(cost["seconds"] for cost in told.values()) <= sum(watch.seconds.values()) + 1e-9


def test_a_remedy_is_left_out_if_its_own_predicted_gradients_are_too_many(monkeypatch):
    monkeypatch.setattr(convergence, "gradients_of", lambda _: 10)
    monkeypatch.setattr(Fake, "relative_cost", 1.6)
    for most, expected in ((22.9, []), (23.0, ["a"])):
        state = State(None, QUICK, ([],), some_draws(), n_gradients=7, max_gradients=most)
        after = convergence.apply_remedies(
            state, [Fake("a", (1,))], np.random.default_rng(0), Stopwatch()
        )
        assert [cost.remedy for cost in after.costs] == expected
        assert after.left_out == ("" if expected else "a")


def test_remedies_have_names_of_their_own():
    assert len({remedy.name for remedy in REMEDIES}) == len(REMEDIES) == 3


@pytest.mark.usefixtures("however_little_predictions_change")
@pytest.mark.parametrize("left_out", [remedy.name for remedy in REMEDIES])
def test_any_remedy_can_be_left_out(monkeypatch, left_out):
    """Chains that diverge, mix slowly and sit apart call for all of them."""
    begun, later, apart = (shifted_runs(shifts)[1] for shifts in (SLOWER, SLOWER, [-2.0, 2.0, 6.0]))
    for run in [*begun, *later, *apart]:
        run.statistics["n_steps"] = np.full((1, 200), 16)
    begun[0].statistics["diverging"][:] = True
    monkeypatch.setattr(jumps, "connected", lambda *_: False)
    kept = tuple(remedy for remedy in REMEDIES if remedy.name != left_out)

    def ran(answers, remedies):
        Scripted(monkeypatch, *answers)
        settings = dataclasses.replace(QUICK, draws=200, options={"maxdepth": 7})
        method = dataclasses.replace(METHOD, remedies=remedies)
        rng = np.random.default_rng(0)
        launches = launches_of(answers[0])
        _, info = convergence.sample(launches, np.nan, settings, rng, Stopwatch(), method)
        return set(info["remedies"])

    names = {remedy.name for remedy in REMEDIES}
    whole = ran([begun, later], REMEDIES) | ran([apart], REMEDIES)
    assert whole == names
    assert ran([begun, later], kept) | ran([apart], kept) == names - {left_out}


@pytest.fixture(scope="module")
def modes():
    return mode_search.find_modes(Kernel(make_problem(2, n=60)), np.random.default_rng(0))


def test_gradients_are_counted_with_those_of_the_warm_up(modes):
    launch = backend.Launch(modes[0].kernel, modes[0].normal, 3)
    (run,) = backend.run_chains([launch], QUICK, np.random.default_rng(0))
    kept = run.statistics["n_steps"].sum(axis=1)
    assert run.n_gradients.shape == (3,)
    assert (run.n_gradients >= kept + QUICK.tune).all()  # a step or more for each draw
    alone = [run.chain(number).n_gradients for number in range(3)]
    np.testing.assert_array_equal(np.concatenate(alone), run.n_gradients)
    twice = run.followed_by(run)
    np.testing.assert_array_equal(twice.n_gradients, 2 * run.n_gradients)
    np.testing.assert_array_equal(twice.thinned(2).n_gradients, twice.n_gradients)


def test_gradients_of_jumps_are_counted(modes, monkeypatch):
    kernel = modes[0].kernel
    theta = kernel.plain.to_theta(
        modes[0].point + 0.1 * np.random.default_rng(0).normal(size=(4, 60, kernel.n_parameters))
    )
    evaluated, function = [], Kernel.function

    def counted(self, *arguments, **options):
        density = function(self, *arguments, **options)
        return lambda z: evaluated.append(1) or density(z)

    monkeypatch.setattr(Kernel, "function", counted)
    rng = np.random.default_rng(0)
    jumped = jumps.change_places(kernel, theta, [[0, 1], [2, 3]], 3, 2, rng)
    assert jumped.n_gradients == len(evaluated) > 0


@pytest.mark.usefixtures("however_little_predictions_change")
def test_remedies_end_with_their_gradients(monkeypatch):
    """A remedy is left out if one more run like the latest would exceed the allowance."""
    begun = shifted_runs(SLOWER)[1]
    begun = [dataclasses.replace(run, n_gradients=np.array([1000])) for run in begun]
    rows = begun[0].kernel.problem.rows.n_rows

    def outcome(**options):
        monkeypatch.setattr(state, "run_chains", lambda *_: begun)
        settings = dataclasses.replace(QUICK, draws=200, options=options)
        launches = launches_of(begun)
        rng = np.random.default_rng(0)
        return convergence.sample(launches, np.nan, settings, rng, Stopwatch())[1]

    assert outcome(max_gradients=5999)["n_gradients"] == 3000
    stopped, enough = outcome(max_gradients=11_999), outcome(max_gradients=12_000)
    assert stopped["remedies"]["more draws"] == pytest.approx(
        {"rounds": 2, "gradients": 6000, "seconds": 0}, abs=60
    )
    assert stopped["max_gradients_reached"]
    assert enough["remedies"]["more draws"]["rounds"] == 3
    assert not enough["max_gradients_reached"]
    n_draws = QUICK.chains * (QUICK.draws + QUICK.tune)
    assert METHOD.max_gradients(QUICK, rows) == n_draws * 150
    assert METHOD.max_gradients(QUICK, 10**6) == pytest.approx(n_draws * 0.11)
