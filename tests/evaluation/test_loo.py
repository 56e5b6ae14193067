"""Leave-one-out densities of rows: closed forms, ArviZ, weights as copies, clusters."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from skcocoafuse.evaluation.loo import leave_one_out, leave_one_out_of_mixture
from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.draws import Posterior
from tests.posterior.test_monte_carlo import arviz_psis
from tests.problems import make_problem


def conjugate(n=25, seed=0):
    """One expert, an intercept alone with known sigma: leave-one-out has a closed form."""
    problem = make_problem(1, (0, 0, 0), behavior=1.0, n=n, seed=seed)
    s, prior_variance = 0.8, 2.0
    weight = np.random.default_rng(seed).uniform(0.5, 2.0, n)
    problem = problem.reweighted(weight.copy())

    def posterior():
        precision = 1 / prior_variance + weight.sum() / s**2
        return (weight @ problem.y) / s**2 / precision, 1 / precision

    mean, variance = posterior()
    draws = np.random.default_rng(seed + 1).normal(mean, np.sqrt(variance), 40_000)
    theta = np.column_stack([draws, np.full_like(draws, np.log(s))])
    exact = []
    for i in range(n):
        weight[i] -= (one := min(weight[i], 1.0))  # a copy of the row, or what there is of it
        m, v = posterior()
        weight[i] += one
        foreseen = stats.norm(m, np.sqrt(v + s**2))
        exact.append((foreseen.logpdf(problem.y[i]), foreseen.cdf(problem.y[i])))
    return problem, problem.spec.unpack(theta), *np.array(exact).T


def test_leave_one_out_is_the_closed_form():
    problem, draws, exact, pit = conjugate()
    found = leave_one_out(problem, problem.spec, draws)
    assert found.pareto_k.max() < 0.5
    np.testing.assert_allclose(found.log_density, exact, atol=0.01)
    np.testing.assert_allclose(found.pit, pit, atol=0.003)


def test_leave_one_out_does_not_depend_on_chunks(monkeypatch):
    problem, draws, *_ = conjugate()
    draws = draws.map(lambda a: a[:500])
    whole = leave_one_out(problem, problem.spec, draws)
    monkeypatch.setattr("skcocoafuse.model.chunks.MAX_MEMORY", 1)
    for one, other in zip(whole, leave_one_out(problem, problem.spec, draws), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    for one, other in zip(whole, leave_one_out(problem, problem.spec, draws, 2), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.fixture(scope="module")
def three_experts():
    """A problem with rows that differ, and draws that scatter: 900, whose root is whole."""
    problem = make_problem(3, (2, 1, 1), n=40, seed=3)
    theta = 0.3 * np.random.default_rng(4).normal(size=(900, problem.spec.n_parameters))
    return problem, problem.spec.unpack(theta)


def permuted(problem: Problem, order) -> Problem:
    return problem.take(order)


def test_probabilities_are_those_of_the_smoothed_weights_of_arviz(three_experts):
    problem, draws = three_experts
    found = leave_one_out(problem, problem.spec, draws)
    mixture = mixture_of(problem.spec, draws, problem.designs)
    seen = forward.log_density(forward.NUMPY, mixture, problem.y).T
    log_weight, pareto_k = (np.asarray(a) for a in arviz_psis(-seen.copy()))
    below = stats.norm.cdf(problem.y[:, None], mixture.mean, np.sqrt(mixture.variance))
    below = (np.exp(mixture.log_weight) * below).sum(axis=-1).T
    density = special.logsumexp(log_weight + seen, axis=1)
    np.testing.assert_allclose(found.log_density, density, atol=1e-9)
    np.testing.assert_allclose(found.pareto_k, pareto_k, atol=1e-9)
    np.testing.assert_allclose(found.pit, (np.exp(log_weight) * below).sum(axis=1), atol=1e-9)
    in_sample = special.logsumexp(seen, axis=1) - np.log(900)
    np.testing.assert_allclose(found.in_sample, in_sample, atol=1e-12)


@pytest.mark.parametrize("what", ["rows", "draws", "experts"])
def test_order_changes_nothing(three_experts, what):
    problem, draws = three_experts
    whole = leave_one_out(problem, problem.spec, draws)
    rng, rows = np.random.default_rng(0), np.arange(40)
    if what == "rows":
        rows = rng.permutation(40)
        problem = permuted(problem, rows)
    elif what == "draws":
        order = rng.permutation(900)
        draws = draws.map(lambda a: a[order])
    else:
        draws = draws.permute_experts(np.argsort(rng.normal(size=(900, 3)), axis=1))
    for one, other in zip(whole, leave_one_out(problem, problem.spec, draws), strict=True):
        np.testing.assert_allclose(other, one[rows], atol=1e-9)


def test_a_weight_of_two_is_the_row_twice_and_one_of_them_is_left_out(three_experts):
    problem, draws = three_experts
    rows = np.repeat(np.arange(40), np.arange(40) % 3)
    weighted = problem.reweighted(np.arange(40) % 3.0)
    twice = leave_one_out(permuted(problem, rows), problem.spec, draws)
    once = leave_one_out(weighted, problem.spec, draws)
    for one, other in zip(once, twice, strict=True):
        np.testing.assert_allclose(one[rows], other, atol=1e-12)
    unseen = weighted.weight == 0  # left out already
    np.testing.assert_allclose(once.log_density[unseen], once.in_sample[unseen])


def test_a_row_of_small_weight_is_left_out_whole():
    problem, draws, exact, _ = conjugate(seed=5)
    assert problem.weight.min() < 0.7
    found = leave_one_out(problem, problem.spec, draws)
    small = problem.weight < 1
    np.testing.assert_allclose(found.log_density[small], exact[small], atol=0.01)


def test_clusters_are_left_one_out_apart_and_mixed_by_weight():
    problem = make_problem(2, n=30)
    theta = 0.2 * np.random.default_rng(0).normal(size=(3, 400, problem.spec.n_parameters))
    theta[2] += 0.5
    parameters = problem.spec.unpack(theta)
    weight = np.array([0.7, 0.3])
    posterior = Posterior(
        problem.spec, parameters, np.zeros((3, 400)), {}, ((2,), (0, 1)), weight, np.zeros(2)
    )
    parts = [
        leave_one_out(problem, problem.spec, posterior.chains(chains).flat())
        for chains in posterior.clusters
    ]
    found, n_draws, n_least = leave_one_out_of_mixture(problem, posterior, None)
    assert (n_draws, n_least) == (1200, 400)
    expected = np.log(weight @ [np.exp(part.log_density) for part in parts])
    np.testing.assert_allclose(found.log_density, expected)
    np.testing.assert_allclose(found.pit, weight @ [part.pit for part in parts])
    expected = np.max([part.pareto_k for part in parts], axis=0)
    np.testing.assert_array_equal(found.pareto_k, expected)
    mixture = mixture_of(problem.spec, posterior.flat(), problem.designs)
    density = np.exp(forward.log_density(forward.NUMPY, mixture, problem.y))
    np.testing.assert_allclose(np.exp(found.in_sample), posterior.draw_weight() @ density)
    alone = replace(posterior, cluster_weight=np.array([1.0, 0.0]))
    without = leave_one_out_of_mixture(problem, alone, None)[0]
    for one, other in zip(without, parts[0], strict=True):
        np.testing.assert_allclose(one, other)
    assert leave_one_out_of_mixture(problem, posterior, 300)[1:] == (300, 150)


def test_memory_does_not_grow_with_rows():
    peaks = []
    for n in (2000, 6000):
        problem = make_problem(3, n=n)
        theta = 0.1 * np.random.default_rng(0).normal(size=(500, problem.spec.n_parameters))
        draws = problem.spec.unpack(theta)
        tracemalloc.start()
        leave_one_out(problem, problem.spec, draws)
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
    assert max(peaks) < 150.0
    assert peaks[1] < peaks[0] + 5.0
