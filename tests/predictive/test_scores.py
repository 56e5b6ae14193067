"""CRPS three ways, the variance split, probability integral transforms."""

import numpy as np
import pytest
import scoringrules
from scipy import integrate, stats

from skcocoafuse.compiled import mixture_sums
from skcocoafuse.predictive import merging, mixture
from skcocoafuse.predictive.mixture import Mixtures
from tests.predictive.test_distribution import brute_force, make


def random_mixture(rows=4, components=5, seed=0, scales=(0.2, 2.0)):
    rng = np.random.default_rng(seed)
    weight = rng.dirichlet(np.ones(components), size=rows)
    mean = 3.0 * rng.normal(size=(rows, components))
    sd = np.exp(rng.uniform(*np.log(scales), size=(rows, components)))
    return Mixtures(weight, mean, sd)


def posterior_mixture(rows=4, experts=3, draws=1000, seed=0, spike=1e-3):
    """Draws of a few experts, one of them a spike: near copies as posteriors have them."""
    rng = np.random.default_rng(seed)
    size = (rows, draws, experts)
    mean = 3.0 * rng.normal(size=(rows, 1, experts)) + 0.1 * rng.normal(size=size)
    sd = np.array([0.3, 1.0, spike])[:experts] * np.exp(0.1 * rng.normal(size=size))
    mean[..., -1] = mean[:, :1, -1] + 0.1 * spike * rng.normal(size=size[:2])
    logit = rng.normal(size=(rows, 1, experts)) + 0.1 * rng.normal(size=size)
    weight = np.exp(logit) / np.exp(logit).sum(axis=-1, keepdims=True) / draws
    return Mixtures(*(a.reshape(rows, -1) for a in (weight, mean, sd)))


def paired_spread(weight, mean, sd):
    """E|X - X'|, summed over pairs of components."""
    between = np.sqrt(sd[:, None] ** 2 + sd**2)
    z = (mean[:, None] - mean) / between
    each = between * (z * (2.0 * stats.norm.cdf(z) - 1.0) + 2.0 * stats.norm.pdf(z))
    return weight @ each @ weight


def test_crps_of_one_normal_is_the_closed_form():
    y = np.linspace(-4, 4, 9)[None]
    got = mixture.crps(Mixtures(np.ones((1, 1)), np.zeros((1, 1)), np.full((1, 1), 1.5)), y)
    np.testing.assert_allclose(got[0], scoringrules.crps_normal(y[0], 0.0, 1.5), rtol=1e-9)


def test_crps_is_scoringrules_one_and_the_pair_sum():
    parts = random_mixture()
    y = np.random.default_rng(1).normal(scale=3.0, size=(4, 1))
    got = mixture.crps(parts, y)[:, 0]
    weight, mean, sd, _ = parts
    np.testing.assert_allclose(got, scoringrules.crps_mixnorm(y[:, 0], mean, sd, weight), rtol=1e-8)
    pairs = [paired_spread(*row) for row in zip(*parts[:3], strict=True)]
    np.testing.assert_allclose(mixture.spread(parts), pairs, rtol=1e-9)


def test_crps_is_the_integral_of_its_definition():
    _, _, dist = make(n=2)
    y = dist.ppf(0.8)
    for row in range(2):
        own = dist[row]
        low, high = own.ppf([1e-12, 1 - 1e-12])[0]

        def gap(x, own=own, at=y[row]):
            return (own.cdf(x)[0] - (x >= at)) ** 2

        expected = sum(
            integrate.quad(gap, a, b, limit=200, epsabs=1e-10)[0]
            for a, b in ((low, y[row]), (y[row], high))
        )
        assert own.crps(y[row])[0] == pytest.approx(expected, rel=1e-7)


def test_crps_survives_draws_on_very_different_scales():
    for components in (40, 1500):  # over pairs of them, or by quadrature until that is slower
        parts = random_mixture(components=components, scales=(1e-6, 1e6))
        pairs = [paired_spread(*row) for row in zip(*parts[:3], strict=True)]
        np.testing.assert_allclose(mixture.spread(parts), pairs, rtol=1e-11)


def test_crps_of_many_components_is_integrated():
    """So many components that pairs would be slower; without pairs the result is the same."""
    parts = random_mixture(rows=3, components=3000)
    nodes, node_weight = mixture._GAUSS
    outermost = mixture.ppf(parts, np.tile(mixture._OUTERMOST, (3, 1)))
    for weight, mean, sd, ends in zip(*parts[:3], outermost, strict=True):
        knot = merging.panel_edges(weight, mean, sd, *ends)
        tails = mixture_sums._beyond(weight, mean, sd, 1 / sd, None, knot[0], 1.0)
        tails += mixture_sums._beyond(weight, mean, sd, 1 / sd, None, knot[-1], -1.0)
        inner = mixture_sums._between_knots(
            weight, mean, 1 / sd, knot, nodes, node_weight, 1e-10, tails
        )
        assert 2 * (tails + inner) == pytest.approx(paired_spread(weight, mean, sd), rel=1e-11)


def test_variance_parts_add_up():
    problem, parameters, dist = make()
    parts = dist.variance_parts()
    np.testing.assert_allclose(sum(parts), dist.var(), rtol=1e-13)
    weight, mean, sd = brute_force(problem, parameters)
    expected = (weight * (sd**2 + mean**2)).sum(1) - (weight * mean).sum(1) ** 2
    np.testing.assert_allclose(sum(parts), expected)
    assert all((part > 0).all() for part in parts)


def test_variance_parts_vanish_where_they_must():
    assert (make(n_draws=1)[2].variance_parts().parameters == 0).all()
    np.testing.assert_allclose(make(n_experts=1)[2].variance_parts().between_experts, 0, atol=1e-25)
    np.testing.assert_allclose(
        make(behavior=0.0)[2].variance_parts().between_experts, 0, atol=1e-25
    )


def test_pit_of_own_values_is_uniform():
    _, _, dist = make(n=400)
    # values of one call share their posterior draw, so every row has a call of its own
    values = np.array([dist[i].pit(dist[i].rvs(random_state=i)[:, 0])[0] for i in range(len(dist))])
    assert stats.kstest(values, "uniform").pvalue > 1e-3


def test_crps_of_posterior_draws_is_the_pair_sum():
    """Thousands of near copies are merged before the integral."""
    parts = posterior_mixture(rows=3, draws=1500)
    pairs = [paired_spread(*row) for row in zip(*parts[:3], strict=True)]
    np.testing.assert_allclose(mixture.spread(parts), pairs, rtol=1e-7)
