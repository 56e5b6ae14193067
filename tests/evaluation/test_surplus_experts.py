"""When two experts are copies, how surely draws say otherwise, and who goes with whom."""

import numpy as np
import pytest
from scipy import stats

from skcocoafuse.evaluation.surplus_experts import (
    MergeResult,
    groups_of,
    in_order_of,
    separation,
)
from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.model.parameters import Parameters
from tests.problems import BEHAVIORS, make_problem

NUMBERS = 1 + 2 + 1 + 3  # intercept, slopes, log sigma, slopes of the gate


def draws_of(numbers, gate_intercept=None) -> Parameters:
    """Parameters from (draws, experts, NUMBERS): what the rule looks at, in a row."""
    if gate_intercept is None:
        gate_intercept = np.zeros(numbers.shape[:2])
    return Parameters(
        expert_intercept=numbers[..., 0],
        expert_coef=numbers[..., 1:3],
        sigma=np.exp(numbers[..., 3]),
        gate_intercept=gate_intercept,
        gate_coef=numbers[..., 4:],
        noise_coef=numbers[..., :0],
    )


def random_numbers(n_experts=3, n_draws=400, seed=0):
    """Correlated draws whose means are about as far apart as they are wide."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(NUMBERS, NUMBERS))
    return (
        rng.normal(size=(n_experts, NUMBERS))
        + rng.normal(size=(n_draws, n_experts, 1)) @ (np.ones((1, NUMBERS)))
        + rng.normal(size=(n_draws, n_experts, NUMBERS)) @ mix
    )


@pytest.mark.parametrize("behavior", BEHAVIORS.values(), ids=BEHAVIORS)
def test_one_expert_with_both_gates_is_the_same_as_two_copies(behavior):
    """So the rule asks for no more and no less than an expert can take the place of two."""
    problem = make_problem(3, behavior=behavior)
    theta = np.random.default_rng(1).normal(size=(5, problem.spec.n_parameters))
    three = problem.spec.unpack(theta)
    for name in ("expert_intercept", "expert_coef", "sigma", "gate_coef"):
        getattr(three, name)[:, 2] = getattr(three, name)[:, 1]
    two = three._replace(
        **{
            name: getattr(three, name)[:, :2]
            for name in ("expert_intercept", "expert_coef", "sigma", "gate_coef")
        },
        gate_intercept=np.column_stack(
            [three.gate_intercept[:, 0], np.logaddexp(*three.gate_intercept[:, 1:].T)]
        ),
    )
    one, other = (
        forward.log_density(
            forward.NUMPY, mixture_of(problem.spec, each, problem.designs), problem.y
        )
        for each in (three, two)
    )
    np.testing.assert_allclose(one, other, rtol=1e-10)


def test_normal_differences_have_the_content_of_a_chi_squared_distribution():
    rng = np.random.default_rng(0)
    n_draws, mix = 20_000, rng.normal(size=(NUMBERS, NUMBERS))
    mean = 2.5 * rng.normal(size=NUMBERS) @ mix / np.sqrt(NUMBERS)
    first = rng.normal(size=(n_draws, NUMBERS))
    second = first - mean - rng.normal(size=(n_draws, NUMBERS)) @ mix
    found = separation(draws_of(np.stack([first, second], axis=1)))
    squared = mean @ np.linalg.solve(mix.T @ mix, mean)
    content = stats.chi2.cdf(squared, NUMBERS)
    assert 0.2 < content < 0.8  # a case that could go wrong either way
    # the fraction's own error, and that of the estimated distance, each at most 0.5 / sqrt(draws)
    assert found[0, 1] == pytest.approx(content, abs=4 * np.hypot(0.5, 0.5) / np.sqrt(n_draws))


def test_copies_are_not_separation_and_constants_are():
    numbers = random_numbers()
    numbers[:, 2] = numbers[:, 1]
    gate_intercept = np.random.default_rng(1).normal(size=numbers.shape[:2])
    found = separation(draws_of(numbers, gate_intercept))  # which does not matter
    assert found[1, 2] == 0.0
    assert found[0, 1] == pytest.approx(found[0, 2])
    numbers[:, 2, 0] += 1e-3  # however little: there is no doubt about it
    assert separation(draws_of(numbers))[1, 2] == 1.0
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 0.0)


@pytest.mark.parametrize("number", range(NUMBERS))
def test_one_number_is_enough_to_tell_apart(number):
    numbers = np.random.default_rng(0).normal(size=(500, 2, NUMBERS))
    assert separation(draws_of(numbers))[0, 1] < 0.5
    numbers[:, 1, number] += 15.0
    assert separation(draws_of(numbers))[0, 1] > 0.95


def test_permuted_experts():
    numbers, order = random_numbers(), [2, 0, 1]
    found = separation(draws_of(numbers))
    assert np.ptp(found[np.triu_indices(3, 1)]) > 0.05  # there is something to permute
    permuted = separation(draws_of(numbers[:, order]))
    np.testing.assert_allclose(permuted, found[np.ix_(order, order)], atol=1e-12)


def test_units_of_inputs_and_target_do_not_matter():
    """The line y = b + w x and its noise, in units 7 - 1000 y and (x - 3) / 50."""
    draws = draws_of(random_numbers())
    shift, scale = 3.0, 50.0
    other = draws._replace(
        expert_intercept=7.0
        - 1000.0 * (draws.expert_intercept + shift * draws.expert_coef.sum(axis=-1)),
        expert_coef=-1000.0 * scale * draws.expert_coef,
        sigma=1000.0 * draws.sigma,
        gate_coef=scale * draws.gate_coef,
    )
    np.testing.assert_allclose(separation(other), separation(draws), atol=1e-12)


def test_experts_that_differ_in_the_noise_alone_are_separated():
    numbers = random_numbers(2)
    numbers[:, 1] = numbers[:, 0]
    alike = draws_of(numbers)
    assert separation(alike)[0, 1] == 0.0
    slopes = np.array([[-1.0], [1.0]]) + 0.05 * np.random.default_rng(0).normal(size=(400, 2, 1))
    assert separation(alike._replace(noise_coef=slopes))[0, 1] > 0.99


def test_too_few_draws():
    numbers = random_numbers(n_draws=10 * NUMBERS)
    assert separation(draws_of(numbers)).shape == (3, 3)
    with pytest.raises(ValueError, match=r"merge_experts\(\).*at least 70.*7 numbers.*got 69"):
        separation(draws_of(numbers[1:]))


def table(n_experts, **pairs):
    """Everybody told apart, but for pairs such as ``p01=0.3``."""
    found = 1.0 - np.eye(n_experts)
    for name, value in pairs.items():
        j, k = int(name[1]), int(name[2])
        found[j, k] = found[k, j] = value
    return found


EVEN = np.full(4, 0.25)


@pytest.mark.parametrize(
    ("apart", "share", "expected"),
    [
        (table(4), EVEN, ((0,), (1,), (2,), (3,))),
        (table(4, p13=0.0, p02=0.9), EVEN, ((0, 2), (1, 3))),
        (table(4, p13=0.96), EVEN, ((0,), (1,), (2,), (3,))),
        # a vague expert, like two that differ, goes with the nearer
        (table(4, p01=0.3, p12=0.2), EVEN, ((0,), (1, 2), (3,))),
        (table(4, p01=0.3, p12=0.2, p02=0.5), EVEN, ((0, 1, 2), (3,))),
        # of one that is not used nothing remains, not even as a go-between
        (table(4, p01=0.0), np.array([0.5, 0.004, 0.2, 0.296]), ((0,), (2,), (3,))),
        (table(4), np.array([0.002, 0.993, 0.003, 0.002]), ((1,),)),
        (table(1), np.ones(1), ((0,),)),
    ],
)
def test_groups(apart, share, expected):
    assert groups_of(apart, share, 0.95, 0.01) == expected
    n = len(share)
    order = np.random.default_rng(0).permutation(n)
    permuted = groups_of(apart[np.ix_(order, order)], share[order], 0.95, 0.01)
    assert {frozenset(order[list(g)].tolist()) for g in permuted} == set(map(frozenset, expected))


def test_somebody_is_always_left():
    """More experts than a hundredth can be given to each."""
    share = np.full(150, 0.99 / 149)
    share[7] = 0.01
    assert groups_of(table(150), share, 0.95, 0.05) == ((7,),)


def test_groups_follow_the_rows():
    before = np.eye(3)[[0, 0, 1, 1, 2, 2]]
    after = np.eye(2)[[1, 1, 0, 0, 1, 1]]
    assert in_order_of(((0, 2), (1,)), before, after) == ((1,), (0, 2))
    assert in_order_of(((0,), (1,)), before, after[:, ::-1]) == ((0,), (1,))  # 2 was pruned


def test_the_former_name_of_the_separation_says_the_new_one():
    result = MergeResult(None, ((0,), (1,)), np.eye(2), np.ones(2), None, None)
    with pytest.warns(FutureWarning, match="told_apart is now separation"):
        assert result.told_apart is result.separation
