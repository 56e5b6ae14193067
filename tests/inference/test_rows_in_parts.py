"""Rows that come in parts, as from a memory map or a cluster: engines find the same posterior."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.evaluation.diagnostics import use_of_experts
from skcocoafuse.evaluation.learning import infer
from skcocoafuse.inference import Settings, get_engine
from skcocoafuse.model.parameters import PARTS
from skcocoafuse.model.parted import RowsInParts
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.draws import Posterior
from tests.problems import BEHAVIORS, make_problem


@dataclass(eq=False)
class Pieces(RowsInParts):
    """Pieces in memory, as whoever adds another kind of rows would begin."""

    pieces: list
    maps = 0

    @property
    def counts(self):
        return np.array([(part.n_rows, np.count_nonzero(part.weight)) for part in self.pieces])

    @property
    def total_weight(self):
        return sum(part.total_weight for part in self.pieces)

    def map(self, function, *arguments, each=None):
        self.maps += 1
        own = [()] * len(self.pieces) if each is None else [(value,) for value in each]
        return [
            function(part, *extra, *arguments) for part, extra in zip(self.pieces, own, strict=True)
        ]


def in_parts(problem, *cuts):
    edges = [0, *cuts, problem.rows.n_rows]
    parts = [problem.rows.take(slice(a, b)) for a, b in pairwise(edges)]
    return Problem(problem.spec, Pieces(parts))


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
    assert other.rows.maps > 10  # 22 for map: the search itself has its rows in memory


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


def test_judgement_does_not_know():
    """The use of experts is added up part by part, also if a part has no row that counts."""
    problem = make_problem(2, (1, 1, 1), n=80, weighted=True)
    weight = problem.weight.copy()
    weight[30] = 0.0
    problem = problem.reweighted(weight)
    other = in_parts(problem, 30, 31)
    posterior, expected = infer(problem, "vi", settings())
    same, found = infer(other, "vi", settings())
    np.testing.assert_allclose(same.log_posterior, posterior.log_posterior, rtol=1e-4)
    for name in ("expert_share", "cluster_elpd", "pareto_k"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-6)


def test_experts_out_of_range_in_any_part():
    """Rows are numbered across parts, and sums are those of all rows."""
    problem = make_problem(3, (1, 1, 1), n=90, weighted=True)
    draws = np.random.default_rng(2).normal(0.0, 2.0, (1, 40, problem.spec.n_parameters))
    posterior = Posterior(problem.spec, problem.spec.unpack(draws), np.zeros((1, 40)), {})
    share, outside = use_of_experts(problem, posterior)
    assert (outside.n_rows > 1).all()
    for cuts in ((1,), (40, 41), (7, 30, 64)):
        found = use_of_experts(in_parts(problem, *cuts), posterior)
        np.testing.assert_allclose(found[0], share, rtol=1e-12)
        np.testing.assert_array_equal(found[1].row, outside.row)
        np.testing.assert_allclose(found[1], outside, rtol=1e-10)


@pytest.mark.parametrize("n", [1, 7, 79, 80, 200])
def test_a_random_part_and_anchors_do_not_know(n):
    """The same rows in the same order, and never one of weight 0."""
    problem = make_problem(2, (1, 2, 1), n=80, weighted=True)
    weight = problem.weight * (np.arange(80) % 3 > 0)
    rows = problem.reweighted(weight).rows
    for cuts in ((30, 31), (3,), (79,)):
        other = in_parts(problem.reweighted(weight), *cuts).rows
        for one, two in (
            (rows.anchors(n), other.anchors(n)),
            (
                rows.random_part(n, np.random.default_rng(3)),
                other.random_part(n, np.random.default_rng(3)),
            ),
        ):
            counts = one.weight > 0  # all rows are taken if there are few
            np.testing.assert_array_equal(two.y, one.y[counts])
            np.testing.assert_allclose(two.weight, one.weight[counts], rtol=1e-12)
            for part in PARTS:
                np.testing.assert_array_equal(two.designs[part], one.designs[part][counts])


def test_anchors_of_many_rows_are_those_of_a_random_part(monkeypatch):
    monkeypatch.setattr("skcocoafuse.model.rows.MAX_SORTED", 25)
    monkeypatch.setattr("skcocoafuse.model.parted.MAX_SORTED", 25)
    problem = make_problem(2, (1, 1, 1), n=80)
    anchors = problem.rows.anchors(25)
    assert np.isin(anchors.y, problem.y).all()
    np.testing.assert_array_equal(np.sort(anchors.y), anchors.y)
    np.testing.assert_array_equal(in_parts(problem, 9, 40).rows.anchors(25).y, anchors.y)


class Unreachable(Exception):
    pass


def test_an_error_of_the_rows_reaches_the_caller():
    problem = in_parts(make_problem(1, n=40), 20)
    kernel = Kernel(problem)
    theta = np.zeros(kernel.n_parameters)
    kernel(theta)

    def fail(function, *arguments, each=None):
        raise Unreachable("a worker is gone")

    problem.rows.map = fail
    with pytest.raises(Unreachable, match="a worker is gone"):
        kernel(theta)
    with pytest.raises(Unreachable):
        get_engine("map")(problem, settings())
    del problem.rows.map
    assert np.isfinite(kernel(theta)[0])  # and is forgotten
