"""Rows that come in parts, as from a memory map or a cluster: engines find the same posterior."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.evaluation.learning import infer
from skcocoafuse.evaluation.loo import leave_one_out
from skcocoafuse.evaluation.power_scaling import log_likelihood
from skcocoafuse.inference import Settings, get_engine
from skcocoafuse.model.parameters import PARTS
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.rows import RowsInMemory
from tests.problems import BEHAVIORS, make_problem


@dataclass(eq=False)
class RowsInParts:
    """The protocol, as whoever adds another kind of rows would begin."""

    parts_in_memory: list
    sums = 0

    @property
    def n_rows(self):
        return sum(part.n_rows for part in self.parts_in_memory)

    @property
    def total_weight(self):
        return sum(part.total_weight for part in self.parts_in_memory)

    @property
    def y(self):
        return np.concatenate([part.y for part in self.parts_in_memory])

    @property
    def weight(self):
        return np.concatenate([part.weight for part in self.parts_in_memory])

    def parts(self):
        start = 0
        for part in self.parts_in_memory:
            yield slice(start, start + part.n_rows), part
            start += part.n_rows

    def sum(self, function, *arguments):
        self.sums += 1
        return np.sum([function(part, *arguments) for part in self.parts_in_memory], axis=0)

    def anchors(self, n):
        return self._gathered().anchors(n)

    def random_part(self, n, rng):
        return self._gathered().random_part(n, rng)

    def _gathered(self):
        all_parts = self.parts_in_memory
        designs = {p: np.concatenate([part.designs[p] for part in all_parts]) for p in PARTS}
        return RowsInMemory(designs, self.y, self.weight)


def in_parts(problem, *cuts):
    edges = [0, *cuts, problem.rows.n_rows]
    parts = [problem.rows.take(slice(a, b)) for a, b in pairwise(edges)]
    return Problem(problem.spec, RowsInParts(parts))


@pytest.mark.parametrize("behavior", BEHAVIORS.values(), ids=BEHAVIORS)
def test_the_posterior_is_the_same(behavior):
    problem = make_problem(3, behavior=behavior, n=150, weighted=True, rounding_variance=0.01)
    whole, parts = Kernel(problem), Kernel(in_parts(problem, 64, 70))
    points = np.random.default_rng(0).normal(size=(4, whole.n_parameters))
    for coordinates in (None, whole.plain):
        values, gradients = whole.function(coordinates=coordinates).at_many(points)
        found = parts.function(coordinates=coordinates).at_many(points)
        np.testing.assert_allclose(found[0], values, rtol=1e-12)
        np.testing.assert_allclose(found[1], gradients, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(parts.log_posterior(points), whole.log_posterior(points), rtol=1e-12)


def settings(**changed):
    wanted = {"draws": 200, "tune": 200, "chains": 2, "target_accept": 0.9, "cores": 2, "seed": 0}
    return Settings(**(wanted | changed))


@pytest.mark.parametrize("engine", ["map", "vi"])
def test_engines_do_not_know(engine):
    """To rounding: the random numbers are the same, and draws follow from the mode smoothly."""
    problem = make_problem(2, (1, 1, 1), behavior=1.0, n=80)
    other = in_parts(problem, 30)
    expected = get_engine(engine)(problem, settings())
    found = get_engine(engine)(other, settings())
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-4, atol=1e-4)
    assert other.rows.sums > 10  # 22 for map: the search itself has its rows in memory


def test_the_sampler_does_not_know():
    problem = make_problem(1, (2, 0, 0), behavior=1.0, n=60)
    other = in_parts(problem, 20, 21)
    expected = get_engine("nuts")(problem, settings(draws=800))
    found = get_engine("nuts")(other, settings(draws=800))
    draws, others = (r.theta.reshape(-1, problem.spec.n_parameters) for r in (expected, found))
    # one expert: a unimodal posterior that mixes at once, so at least every fourth draw counts
    error = np.hypot(draws.std(axis=0), others.std(axis=0)) / np.sqrt(len(draws) / 4)
    assert (np.abs(draws.mean(axis=0) - others.mean(axis=0)) < 4.5 * error).all()
    np.testing.assert_allclose(
        found.log_posterior, Kernel(problem).log_posterior(found.theta), rtol=1e-10
    )


def test_judgement_and_leave_one_out_do_not_know():
    problem = make_problem(2, (1, 1, 1), n=80, weighted=True)
    other = in_parts(problem, 30, 31)
    posterior, expected = infer(problem, "vi", settings())
    same, found = infer(other, "vi", settings())
    np.testing.assert_allclose(same.log_posterior, posterior.log_posterior, rtol=1e-4)
    for name in ("expert_share", "out_of_range_weight", "cluster_elpd", "pareto_k"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-6)
    draws = posterior.thinned(200)
    for one, two in zip(
        leave_one_out(problem, problem.spec, draws),
        leave_one_out(other, problem.spec, draws),
        strict=True,
    ):
        np.testing.assert_allclose(two, one, rtol=1e-12)
    np.testing.assert_allclose(
        log_likelihood(other, draws), log_likelihood(problem, draws), rtol=1e-12
    )


class Unreachable(Exception):
    pass


def test_an_error_of_the_rows_reaches_the_caller():
    problem = in_parts(make_problem(1, n=40), 20)
    kernel = Kernel(problem)
    theta = np.zeros(kernel.n_parameters)
    kernel(theta)

    def fail(function, *arguments):
        raise Unreachable("a worker is gone")

    problem.rows.sum = fail
    with pytest.raises(Unreachable, match="a worker is gone"):
        kernel(theta)
    with pytest.raises(Unreachable):
        get_engine("map")(problem, settings())
    del problem.rows.sum
    assert np.isfinite(kernel(theta)[0])  # and is forgotten
