"""Normals fitted by batch and match."""

import numpy as np
import pytest
from scipy import stats

from skcocoafuse.inference import batch_and_match
from skcocoafuse.inference.batch_and_match import _match

SIZE = 6


class NormalDensity:
    """An unnormalized Normal log density, as engines see densities."""

    def __init__(self, mean, covariance, log_constant=0.0):
        self.mean, self.precision = mean, np.linalg.inv(covariance)
        self.log_constant = log_constant

    def at_many(self, points):
        error = points - self.mean
        scores = -error @ self.precision
        return self.log_constant + 0.5 * (error * scores).sum(axis=1), scores


def covariance_of(scales, rng):
    """A covariance with these standard deviations along random axes."""
    axes = stats.ortho_group.rvs(len(scales), random_state=rng)
    return (axes * np.square(scales)) @ axes.T


@pytest.mark.parametrize("scales", [np.full(SIZE, 1.0), np.geomspace(0.02, 20.0, SIZE)])
@pytest.mark.parametrize("width", [0.1, 1.0])
def test_a_normal_is_found_exactly(scales, width):
    """Scores of a Normal are linear, so matching them leaves only the start to be forgotten."""
    rng = np.random.default_rng(0)
    mean, covariance = rng.normal(size=SIZE), covariance_of(scales, rng)
    density = NormalDensity(mean, covariance, log_constant=3.0)
    found = batch_and_match.fit(density, SIZE, np.random.default_rng(1), max_steps=200, width=width)
    whitened = np.linalg.solve(np.linalg.cholesky(covariance), found.factor)
    np.testing.assert_allclose(whitened @ whitened.T, np.eye(SIZE), atol=0.05)
    distance = np.linalg.solve(np.linalg.cholesky(covariance), found.mean - mean)
    np.testing.assert_allclose(distance, 0.0, atol=0.05)
    evidence = 3.0 + 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
    assert found.bound == pytest.approx(evidence, abs=0.3)


@pytest.mark.parametrize("n_draws", [4, 40])
def test_a_step_is_that_of_the_paper(n_draws):
    """Equations 7 to 12 of Cai et al. (2024): with fewer draws than coordinates, and with more."""
    rng = np.random.default_rng(0)
    size, rate = 12, 3.0
    shrunk = rate / (1.0 + rate)
    before = covariance_of(np.geomspace(0.1, 10.0, size), rng)
    centre, draws, scores = rng.normal(size=size), *rng.normal(size=(2, n_draws, size))
    mean, factor, S, entropy = _match(centre, before, draws, scores, rate)
    slope, away = scores.mean(axis=0), centre - draws.mean(axis=0)
    U = rate * np.cov(scores.T, ddof=0) + shrunk * np.outer(slope, slope)
    V = before + rate * np.cov(draws.T, ddof=0) + shrunk * np.outer(away, away)
    np.testing.assert_allclose(S @ U @ S + S, V, atol=1e-8)
    np.testing.assert_allclose(factor @ factor.T, S, atol=1e-10)
    expected = (1.0 - shrunk) * centre + shrunk * (S @ slope + draws.mean(axis=0))
    np.testing.assert_allclose(mean, expected, atol=1e-10)
    assert entropy == pytest.approx(stats.multivariate_normal(cov=S).entropy())


def test_the_bound_is_below_the_evidence_of_a_wide_tailed_density():
    """Independent Student t marginals, whose evidence is known."""
    law = stats.t(4)

    class Tails:
        def at_many(self, points):
            return law.logpdf(points).sum(axis=1), -5.0 * points / (4.0 + points**2)

    found = batch_and_match.fit(Tails(), SIZE, np.random.default_rng(0))
    assert -1.0 < found.bound < 0.2  # it is about -0.2, with a Monte Carlo error of 0.1
    assert (np.diag(found.factor @ found.factor.T) > 1.0).all()


def test_a_seed_repeats_a_fit():
    density = NormalDensity(np.zeros(SIZE), np.eye(SIZE))
    one, two = (batch_and_match.fit(density, SIZE, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.factor, two.factor)


def test_a_density_without_values_is_an_error():
    class Nowhere:
        def at_many(self, points):
            return np.full(len(points), -np.inf), np.full(points.shape, np.nan)

    with pytest.raises(np.linalg.LinAlgError, match="not finite at most draws"):
        batch_and_match.fit(Nowhere(), SIZE, np.random.default_rng(0))
