"""R-hat, effective sizes and Pareto smoothing against ArviZ, and against known answers."""

import arviz
import numpy as np
import pytest
from scipy import stats

from skcocoafuse.posterior.monte_carlo import (
    ess,
    ess_of_resampled,
    log_shares,
    rhat,
    smooth_importance_weights,
)


@pytest.mark.parametrize("shape", [(2, 50, 3), (4, 101, 5), (8, 4, 1)])
def test_rhat_is_that_of_arviz(shape):
    rng = np.random.default_rng(shape)
    draws = rng.standard_t(3, size=shape).cumsum(axis=1)  # slow, heavy-tailed
    draws[..., 0] = np.round(draws[..., 0])  # ties
    expected = [float(arviz.rhat(draws[..., k])) for k in range(shape[2])]
    np.testing.assert_allclose(rhat(draws), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 50, 4), (4, 101, 6), (3, 1000, 4), (8, 4, 2), (2, 5, 2)])
def test_ess_is_that_of_arviz(shape):
    """Slow, independent and alternating draws, one of them with ties, one of chains apart."""
    rng = np.random.default_rng(shape)
    draws = rng.standard_t(3, size=shape)
    for t in range(1, shape[1]):
        draws[:, t] += np.linspace(-0.9, 0.98, shape[2]) * draws[:, t - 1]
    draws[..., 0] = np.round(draws[..., 0])
    draws[..., 1] += np.arange(shape[0])[:, None]
    expected = [float(arviz.ess(draws[..., k])) for k in range(shape[2])]
    np.testing.assert_allclose(ess(draws), expected, rtol=1e-10)


def test_ess_of_one_chain_compares_its_halves():
    draws = np.random.default_rng(0).normal(size=(1, 401, 2)).cumsum(axis=1)
    halves = draws[0, :400].reshape(2, 200, 2)
    np.testing.assert_array_equal(ess(draws), ess(halves))
    assert np.isnan(ess(np.ones((2, 100, 1)))).all()
    assert np.isnan(ess(draws[:, :7])).all()


def test_rhat_sees_location_scale_and_drift():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(4, 500, 4))
    draws[0, :, 1] += 2.0
    draws[0, :, 2] *= 5.0
    draws[..., 3] += np.linspace(0.0, 4.0, 500)
    values = rhat(draws)
    assert values[0] < 1.01
    assert (values[1:] > 1.1).all()
    assert rhat(draws[:1])[3] > 1.1  # a chain alone is compared with itself
    assert np.isnan(rhat(np.ones((4, 100, 1)))).all()
    assert np.isnan(rhat(draws[:, :3])).all()


def arviz_psis(log_ratios):
    if hasattr(arviz, "psislw"):
        return arviz.psislw(log_ratios)
    from arviz_stats.base import array_stats

    return array_stats.psislw(-log_ratios, axis=-1)


@pytest.mark.parametrize("n_draws", [100, 1000, 4000])
def test_is_that_of_arviz(n_draws):
    """The releases of ArviZ differ by a draw in the tail, and in where they begin it."""
    rng = np.random.default_rng(n_draws)
    log_ratios = rng.standard_t(5, size=(20, n_draws)) * rng.uniform(0.2, 1.0, size=(20, 1))
    log_weights, k = smooth_importance_weights(log_ratios)
    expected, expected_k = arviz_psis(log_ratios)
    np.testing.assert_allclose(k, expected_k, atol=0.06)
    body = np.argsort(log_ratios, axis=1)[:, : n_draws // 2]
    both = [np.take_along_axis(a, body, axis=1) for a in (log_weights, np.asarray(expected))]
    np.testing.assert_allclose(*both, atol=0.1)


@pytest.mark.parametrize("size", [1.0, 1e6, 1e12, 1e300])
def test_shares_sum_to_one_however_large_logs_are(size):
    log_weight = size + np.random.default_rng(0).normal(size=(3, 8))
    log_weight[0, 1:] = -np.inf
    share = np.exp(log_shares(log_weight))
    np.testing.assert_allclose(share.sum(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_array_equal(share[0], [1.0, *np.zeros(7)])
    difference = log_weight[1:] - log_weight[1:, :1]
    np.testing.assert_allclose(np.log(share[1:] / share[1:, :1]), difference, atol=1e-12)


def test_weights_sum_to_one_keep_their_order_and_ignore_constants():
    log_ratios = np.random.default_rng(0).normal(size=(2, 3, 400))
    log_weights, k = smooth_importance_weights(log_ratios)
    assert k.shape == (2, 3)
    np.testing.assert_allclose(np.exp(log_weights).sum(axis=-1), 1.0)
    order = np.argsort(log_ratios, axis=-1)
    assert (np.diff(np.take_along_axis(log_weights, order, axis=-1), axis=-1) >= 0.0).all()
    moved, moved_k = smooth_importance_weights(log_ratios + 700.0)
    np.testing.assert_allclose(moved, log_weights, atol=1e-9)
    np.testing.assert_allclose(moved_k, k, atol=1e-9)


def test_k_is_the_shape_of_the_tail():
    """Weights with exactly Pareto tails, against the prior's pull towards 0.5."""
    rng = np.random.default_rng(1)
    for shape in (0.2, 0.5, 0.9):
        weights = stats.genpareto(shape).rvs((40, 10_000), random_state=rng)
        _, k = smooth_importance_weights(np.log(weights))
        n = 3 * 100
        expected = (n * shape + 5) / (n + 10)
        # variance of the estimator, (1 + k)^2 / n, over 40 sets
        assert k.mean() == pytest.approx(expected, abs=4 * (1 + shape) / np.sqrt(40 * n))


@pytest.mark.parametrize("scale", [1e-12, 50.0, 300.0, 1e4])
def test_weights_of_any_spread_are_finite(scale):
    log_ratios = scale * np.random.default_rng(2).normal(size=(50, 1000))
    with np.errstate(over="raise", invalid="raise"):
        log_weights, k = smooth_importance_weights(log_ratios)
    np.testing.assert_allclose(np.exp(log_weights).sum(axis=1), 1.0)
    assert not np.isnan(k).any()
    assert (k > 0.7).all() == (scale > 1.0)


def test_tail_that_falls_below_the_least_float_does_not_overflow():
    """As of one row that outweighs all others, in an approximation that misses it."""
    log_ratios = -7.5 * np.arange(1000.0)[None]
    with np.errstate(over="raise", invalid="raise"):
        log_weights, k = smooth_importance_weights(log_ratios)
    assert k[0] > 100
    np.testing.assert_allclose(np.exp(log_weights).sum(), 1.0)


@pytest.mark.parametrize("n_draws", [3, 24, 500])
def test_degenerate_weights(n_draws):
    equal, k = smooth_importance_weights(np.zeros((1, n_draws)))
    np.testing.assert_allclose(equal, -np.log(n_draws))
    assert k[0] == (np.inf if n_draws < 25 else -np.inf)
    one = np.full(n_draws, -np.inf)
    one[0] = 3.0
    alone, k = smooth_importance_weights(one)
    assert alone[0] == 0.0
    assert (alone[1:] == -np.inf).all()
    assert k == np.inf


def test_effective_size_of_resampled_draws_is_kishs():
    """All of different draws, one of equal ones, and what weights promise before resampling."""
    rng = np.random.default_rng(0)
    different = rng.normal(size=(4, 250))
    assert ess_of_resampled(different) == 1000
    assert ess_of_resampled(np.ones((4, 250))) == 1
    assert ess_of_resampled(np.repeat(different, 2)) == 1000
    weight = rng.exponential(size=4000)
    weight /= weight.sum()
    n = 1000
    found = [ess_of_resampled(rng.choice(4000, n, p=weight).astype(float)) for _ in range(50)]
    # the expected sum of squared parts: that of the weights, and of drawing n times
    expected = 1.0 / ((weight**2).sum() * (1.0 - 1.0 / n) + 1.0 / n)
    assert np.mean(found) == pytest.approx(expected, rel=0.02)
