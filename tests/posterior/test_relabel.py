import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from skcocoafuse.posterior.relabel import _best_permutations, relabel, stephens
from tests.problems import make_problem


def shuffled_draws(n_experts, seed=0):
    """Draws near one truth, every one with its experts in a random order."""
    rng = np.random.default_rng(seed)
    problem = make_problem(n_experts, n=150)
    truth = 1.5 * rng.normal(size=problem.spec.n_parameters)
    theta = truth + 0.05 * rng.normal(size=(2, 50, truth.size))
    straight = problem.spec.unpack(theta)
    order = rng.permuted(np.tile(np.arange(n_experts), (2, 50, 1)), axis=-1)
    return problem, straight, straight.permute_experts(order), order


@pytest.mark.parametrize("n_experts", [2, 3, 5])
def test_random_permutations_are_undone(n_experts):
    problem, straight, mixed, _ = shuffled_draws(n_experts)
    # the target is drawn from the model, so that the experts mean something
    lines = (
        straight.expert_intercept[0, 0] + problem.designs["expert"] @ straight.expert_coef[0, 0].T
    )
    rng = np.random.default_rng(1)
    rows = np.arange(150)
    problem.y[:] = lines[rows, rng.integers(n_experts, size=150)]
    found = relabel(problem, mixed, np.zeros((2, 50)))
    spread_straight = straight.expert_intercept.std(axis=(0, 1))
    spread_found = found.expert_intercept.std(axis=(0, 1))
    np.testing.assert_allclose(np.sort(spread_found), np.sort(spread_straight), rtol=1e-9)
    assert relabel(problem, straight, np.zeros((2, 50))).sigma == pytest.approx(found.sigma)


def test_parameters_of_an_expert_stay_together():
    problem, _, mixed, _ = shuffled_draws(3)
    found = relabel(problem, mixed, np.zeros((2, 50)))
    for chain, draw in ((0, 0), (1, 17)):
        before = {
            (b, *w, s)
            for b, w, s in zip(
                mixed.expert_intercept[chain, draw],
                map(tuple, mixed.gate_coef[chain, draw]),
                mixed.sigma[chain, draw],
                strict=True,
            )
        }
        after = {
            (b, *w, s)
            for b, w, s in zip(
                found.expert_intercept[chain, draw],
                map(tuple, found.gate_coef[chain, draw]),
                found.sigma[chain, draw],
                strict=True,
            )
        }
        assert before == after


def test_stephens_beats_brute_force_on_no_draw():
    """Every permutation is the best for the final average, by enumeration."""
    from itertools import permutations

    rng = np.random.default_rng(0)
    responsibility = rng.dirichlet([0.3, 0.5, 0.8], size=(30, 40))
    order = stephens(responsibility, 0)
    sorted_ = np.take_along_axis(responsibility, order[:, None, :], axis=-1)
    log_average = np.log(sorted_.mean(axis=0) + 1e-12)
    for s in range(30):
        gains = {
            p: np.sum(responsibility[s][:, list(p)] * log_average) for p in permutations(range(3))
        }
        assert gains[tuple(order[s])] == pytest.approx(max(gains.values()))


def test_one_expert_is_left_alone():
    problem, straight, _, _ = shuffled_draws(1)
    assert relabel(problem, straight, np.zeros((2, 50))) is straight


@pytest.mark.parametrize("which", ["MoERegressor", "CoCoAFusERegressor"])
def test_no_switching_within_or_between_chains(nuts_switch, which):
    """Bimodal parameters would show as a spread near half the experts' distance (3)."""
    intercept = nuts_switch[which].posterior_.parameters.expert_intercept
    assert (intercept[..., 0] < intercept[..., 1]).mean() == 1.0
    chain_means = intercept.mean(axis=1)
    assert np.ptp(chain_means, axis=0).max() < 0.1


@pytest.mark.parametrize("n_experts", [2, 4, 5, 6])
def test_the_best_permutation_beats_every_other(n_experts):
    gain = np.random.default_rng(n_experts).normal(size=(30, n_experts, n_experts))
    chosen = _best_permutations(gain)
    for g, order in zip(gain, chosen, strict=True):
        rows, columns = linear_sum_assignment(-g)
        assert g[np.arange(n_experts), order].sum() == pytest.approx(g[rows, columns].sum())
        assert sorted(order) == list(range(n_experts))
