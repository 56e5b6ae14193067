"""CRPS three ways, the variance split, modes and regions of highest density."""

import numpy as np
import pytest
import scoringrules
from scipy import integrate, stats

from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.predictive import _sums, mixture, modality
from tests.predictive.test_distribution import brute_force, make


def random_mixture(rows=4, components=5, seed=0, scales=(0.2, 2.0)):
    rng = np.random.default_rng(seed)
    weight = rng.dirichlet(np.ones(components), size=rows)
    mean = 3.0 * rng.normal(size=(rows, components))
    return weight, mean, np.exp(rng.uniform(*np.log(scales), size=(rows, components)))


def paired_spread(weight, mean, sd):
    """E|X - X'|, summed over pairs of components."""
    between = np.sqrt(sd[:, None] ** 2 + sd**2)
    z = (mean[:, None] - mean) / between
    each = between * (z * (2.0 * stats.norm.cdf(z) - 1.0) + 2.0 * stats.norm.pdf(z))
    return weight @ each @ weight


def test_crps_of_one_normal_is_the_closed_form():
    y = np.linspace(-4, 4, 9)[None]
    got = mixture.crps(np.ones((1, 1)), np.zeros((1, 1)), np.full((1, 1), 1.5), y)
    np.testing.assert_allclose(got[0], scoringrules.crps_normal(y[0], 0.0, 1.5), rtol=1e-9)


def test_crps_is_scoringrules_one_and_the_pair_sum():
    parts = random_mixture()
    y = np.random.default_rng(1).normal(scale=3.0, size=(4, 1))
    got = mixture.crps(*parts, y)[:, 0]
    weight, mean, sd = parts
    np.testing.assert_allclose(got, scoringrules.crps_mixnorm(y[:, 0], mean, sd, weight), rtol=1e-8)
    pairs = [paired_spread(*row) for row in zip(*parts, strict=True)]
    np.testing.assert_allclose(mixture.spread(*parts), pairs, rtol=1e-9)


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
        pairs = [paired_spread(*row) for row in zip(*parts, strict=True)]
        np.testing.assert_allclose(mixture.spread(*parts), pairs, rtol=1e-11)


def test_crps_of_many_components_is_integrated():
    """So many components that pairs would be slower; without pairs the result is the same."""
    parts = random_mixture(rows=3, components=3000)
    knots = mixture.ppf(*parts, np.tile(mixture._KNOTS, (3, 1)))
    nodes, node_weight = mixture._GAUSS
    for weight, mean, sd, knot in zip(*parts, knots, strict=True):
        tails = _sums._beyond(weight, mean, sd, 1 / sd, knot[0], 1.0)
        tails += _sums._beyond(weight, mean, sd, 1 / sd, knot[-1], -1.0)
        inner = _sums._between_knots(weight, mean, 1 / sd, knot, nodes, node_weight, 1e-10, tails)
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


# -- modes and regions -------------------------------------------------------------------


def two_peaks(distance, share=0.5):
    return np.array([[share, 1 - share]]), np.array([[0.0, distance]]), np.ones((1, 2))


@pytest.mark.parametrize(("distance", "expected"), [(0.0, 1), (1.9, 1), (2.1, 2), (6.0, 2)])
def test_two_equal_normals_have_two_modes_beyond_two_sds(distance, expected):
    assert len(modality.modes(*two_peaks(distance), min_depth=0.0)[0]) == expected


def test_modes_are_zeros_of_the_slope_with_their_depth():
    parts = two_peaks(5.0, share=0.7)
    table = modality.modes(*parts, min_depth=0.05)[0]
    for location, density, _ in table:
        h = 1e-4
        left, at, right = np.exp(mixture.logpdf(*parts, location + np.array([[-h, 0.0, h]])))[0]
        assert abs(right - left) / (2 * h) < 1e-3 * density
        assert density == pytest.approx(at)
    assert table[0, 1] > table[1, 1]
    assert table[0, 2] == pytest.approx(1.0, abs=1e-3)
    valley = np.exp(mixture.logpdf(*parts, np.linspace(0, 5, 2001)[None])).min()
    assert table[1, 2] == pytest.approx(1 - valley / table[1, 1], abs=1e-3)
    assert len(modality.modes(*two_peaks(2.2), min_depth=0.5)[0]) == 1


def test_shallow_modes_and_padding():
    _, _, dist = make(n=10)
    modes = dist.modes()
    assert modes.location.shape == modes.density.shape == modes.depth.shape
    assert (modes.n_modes >= 1).all()
    assert (modes.n_modes <= dist.modes(min_depth=0.0).n_modes).all()
    np.testing.assert_allclose(dist.pdf(modes.location[:, 0]), modes.density[:, 0])


@pytest.mark.parametrize("prob", [0.5, 0.95])
def test_region_of_one_normal_is_its_central_interval(prob):
    _, _, dist = make(n_experts=1, n_draws=1)
    region = dist.hdi(prob)
    np.testing.assert_allclose(region.intervals[:, 0], dist.interval(prob), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(region.mass, prob, atol=1e-4)


def test_region_of_two_peaks_is_two_intervals_of_equal_density():
    region = modality.highest_density(*two_peaks(8.0), prob=0.8)[0]
    assert region.shape == (2, 2)
    density = np.exp(mixture.logpdf(*two_peaks(8.0), region.reshape(1, -1)))
    np.testing.assert_allclose(density, density.mean(), rtol=1e-3)
    mass = np.diff(mixture.cdf(*two_peaks(8.0), region.reshape(1, -1)).reshape(2, 2), axis=1).sum()
    assert mass == pytest.approx(0.8, abs=1e-4)


def test_region_is_no_longer_than_the_central_interval():
    _, _, dist = make(n=20)
    region = dist.hdi(0.9)
    length = np.nansum(region.intervals[..., 1] - region.intervals[..., 0], axis=1)
    central = np.ptp(dist.interval(0.9), axis=1)
    assert (length <= central * (1 + 1e-3)).all()
    np.testing.assert_allclose(region.mass, 0.9, atol=1e-3)
    with pytest.raises(ValueError, match="prob must be"):
        dist.hdi(1.0)


def test_blends_have_one_mode_and_distant_mixtures_two():
    assert (make(behavior=0.0)[2].prob_multimodal() == 0).all()
    assert (make(n_experts=1)[2].prob_multimodal() == 0).all()


def test_counted_modes_agree_with_brute_force():
    weight, mean, sd = random_mixture(rows=60, components=3, seed=3, scales=(0.3, 1.5))
    counted = modality._count_modes(weight, mean, sd)
    x = np.linspace(mean.min() - 5, mean.max() + 5, 20_001)
    for row in range(60):
        density = (weight[row] * stats.norm.pdf(x[:, None], mean[row], sd[row])).sum(1)
        slope = np.sign(np.diff(density))
        slope = slope[slope != 0]
        assert counted[row] == ((slope[:-1] > 0) & (slope[1:] < 0)).sum()


def test_the_guarantee_never_hides_a_mode():
    """Draws called unimodal without counting are unimodal by counting."""
    problem, parameters, _ = make(n_draws=60, n=20, seed=4)
    block = mixture_of(problem.spec, parameters, problem.designs)
    sd = np.sqrt(np.broadcast_to(block.variance, block.mean.shape))
    certain = np.ptp(block.mean, axis=-1) ** 2 <= 4 * (sd**2).min(axis=-1)
    assert certain.any()
    counts = modality._count_modes(
        np.exp(block.log_weight)[certain], block.mean[certain], sd[certain]
    )
    assert (counts == 1).all()
