"""Draws that Hamiltonian Monte Carlo moves towards a density."""

import numpy as np
import pytest
from scipy import stats

from skcocoafuse.inference.hamiltonian import leapfrog, moved

STEPS = (4, 12)


class Target:
    """A density of independent coordinates, from scipy or by hand; counts its calls."""

    def __init__(self, log_density, score):
        self.log_density, self.score, self.calls = log_density, score, 0

    def at_many(self, points):
        self.calls += 1
        return self.log_density(points).sum(axis=1), self.score(points)


def normal(scale, centre=0.0):
    return Target(lambda z: stats.norm(centre, scale).logpdf(z), lambda z: -(z - centre) / scale**2)


def test_trajectories_can_be_reversed_and_keep_their_energy():
    """To rounding, and to the square of the step."""
    rng = np.random.default_rng(6)
    at, momentum = rng.normal(size=(2, 10, 3))
    gumbel = Target(lambda z: z - np.exp(z), lambda z: 1 - np.exp(z))
    begin, slope = gumbel.at_many(at)
    errors = []
    for step, n_steps in ((0.02, 40), (0.01, 80)):
        there, moving, end, last = leapfrog(gumbel.at_many, at, momentum, slope, step, n_steps)
        change = end - begin - 0.5 * (moving**2 - momentum**2).sum(axis=1)
        errors.append(np.abs(change).max())
        back, returned, *_ = leapfrog(gumbel.at_many, there, -moving, last, step, n_steps)
        np.testing.assert_allclose(back, at, atol=1e-12)
        np.testing.assert_allclose(returned, -momentum, atol=1e-12)
    assert np.abs(there - at).min() > 0.01
    assert errors[1] == pytest.approx(errors[0] / 4, rel=0.05)


@pytest.mark.parametrize("n_steps", [(2, 6), STEPS])
def test_the_density_is_left_invariant(n_steps):
    """Standard Normal draws of a standard Normal density: 8000, from 125 independent walkers."""
    z = moved(normal(1.0), 3, 8000, np.random.default_rng(0), n_steps)
    assert z.shape == (8000, 3)
    # between 125 and 4000 independent draws: four standard errors of the former
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=4 / np.sqrt(125))
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=4 / np.sqrt(2 * 125))


@pytest.mark.parametrize(("scale", "centre"), [(2.0, 0.0), (2.0, 1.5), (0.5, 0.0)])
def test_draws_of_a_normal_that_is_too_narrow_or_too_wide_reach_the_density(scale, centre):
    z = moved(normal(scale, centre), 5, 16_000, np.random.default_rng(1), STEPS)
    error = scale / np.sqrt(250)
    np.testing.assert_allclose(z.mean(axis=0), centre, atol=4 * error)
    np.testing.assert_allclose(z.std(axis=0), scale, atol=4 * error / np.sqrt(2))


def test_skewness_that_a_normal_cannot_have_is_reached():
    """The logarithm of an exponential variable (Gumbel, to the left), skewness -1.14."""
    gumbel = Target(lambda z: z - np.exp(z), lambda z: 1 - np.exp(z))
    z = moved(gumbel, 1, 16_000, np.random.default_rng(2), STEPS)[:, 0]
    exact = stats.gumbel_l()
    # quantiles: errors of 250 independent draws at most
    for p in (0.05, 0.25, 0.5, 0.75, 0.95):
        error = np.sqrt(p * (1 - p) / 250)
        assert abs((z < exact.ppf(p)).mean() - p) < 4 * error
    assert stats.skew(z) < -0.7


def test_where_there_is_no_density_no_draw_goes():
    """Beyond 1 the density is zero, beyond 3 it is not a number."""

    def log_density(z):
        inside = np.where(z < 1.0, -0.5 * z**2, -np.inf)
        return np.where(z < 3.0, inside, np.nan)

    half = Target(log_density, lambda z: np.where(z < 3.0, -z, np.nan))
    z = moved(half, 1, 6000, np.random.default_rng(3), STEPS)[:, 0]
    assert (z < 1.0).all()
    cut = stats.truncnorm(-np.inf, 1.0)
    error = cut.std() / np.sqrt(94)
    assert abs(z.mean() - cut.mean()) < 4 * error


@pytest.mark.parametrize("n_draws", [1, 31, 33, 500])
def test_there_are_as_many_draws_as_wanted_and_a_seed_repeats_them(n_draws):
    draws = [moved(normal(1.0), 2, n_draws, np.random.default_rng(s), STEPS) for s in (4, 4, 5)]
    assert draws[0].shape == (n_draws, 2)
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()


def test_the_cost_is_bounded():
    """One batch of gradients at the start, and at most 12 in each of 12 and 32 transitions."""
    target = normal(1.0)
    moved(target, 2, 4000, np.random.default_rng(0), STEPS)
    assert target.calls <= 1 + 12 * 44
