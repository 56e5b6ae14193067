"""Modes and regions of highest density: definitions, brute force, hostile shapes."""

import numpy as np
import pytest
from scipy import integrate, signal, stats

from skcocoafuse import MoERegressor
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.predictive import level_sets, merging, mixture, modality
from skcocoafuse.predictive.merging import MergedMixtures
from skcocoafuse.predictive.mixture import Mixtures
from tests.conftest import fit_quietly
from tests.predictive.test_distribution import make
from tests.predictive.test_scores import posterior_mixture, random_mixture


def two_peaks(distance, share=0.5):
    weight, mean = np.array([[share, 1 - share]]), np.array([[0.0, distance]])
    return Mixtures(weight, mean, np.ones((1, 2)))


@pytest.mark.parametrize(("distance", "expected"), [(0.0, 1), (1.9, 1), (2.1, 2), (6.0, 2)])
def test_two_equal_normals_have_two_modes_beyond_two_sds(distance, expected):
    assert len(modality.modes(two_peaks(distance), min_depth=0.0)[0]) == expected


def test_modes_are_zeros_of_the_slope_with_their_depth():
    parts = two_peaks(5.0, share=0.7)
    table = modality.modes(parts, min_depth=0.05)[0]
    for location, density, _ in table:
        h = 1e-4
        left, at, right = np.exp(mixture.logpdf(parts, location + np.array([[-h, 0.0, h]])))[0]
        assert abs(right - left) / (2 * h) < 1e-3 * density
        assert density == pytest.approx(at)
    assert table[0, 1] > table[1, 1]
    assert table[0, 2] == 1.0
    valley = np.exp(mixture.logpdf(parts, np.linspace(0, 5, 2001)[None])).min()
    assert table[1, 2] == pytest.approx(1 - valley / table[1, 1], abs=1e-6)
    assert len(modality.modes(two_peaks(2.2), min_depth=0.5)[0]) == 1


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
    np.testing.assert_allclose(region.intervals[:, 0], dist.interval(prob), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(region.mass, prob, rtol=1e-6)


def test_region_of_two_peaks_is_two_intervals_of_equal_density():
    region = modality.highest_density(two_peaks(8.0), prob=0.8)[0]
    assert region.shape == (2, 2)
    density = np.exp(mixture.logpdf(two_peaks(8.0), region.reshape(1, -1)))
    np.testing.assert_allclose(density, density.mean(), rtol=1e-9)
    mass = np.diff(mixture.cdf(two_peaks(8.0), region.reshape(1, -1)).reshape(2, 2), axis=1).sum()
    assert mass == pytest.approx(0.8, rel=1e-6)


def test_region_is_no_longer_than_the_central_interval():
    _, _, dist = make(n=20)
    region = dist.hdi(0.9)
    length = np.nansum(region.intervals[..., 1] - region.intervals[..., 0], axis=1)
    central = np.ptp(dist.interval(0.9), axis=1)
    assert (length <= central * (1 + 1e-3)).all()
    np.testing.assert_allclose(region.mass, 0.9, rtol=1e-6)
    for bad in (0.0, 1.0, np.nan, [0.5, 0.9]):
        with pytest.raises(ValueError, match="prob must be"):
            dist.hdi(bad)


def test_blends_have_one_mode_and_distant_mixtures_two():
    assert (make(behavior=0.0)[2].prob_multimodal() == 0).all()
    assert (make(n_experts=1)[2].prob_multimodal() == 0).all()


def test_draws_with_several_modes_are_those_of_brute_force():
    own = random_mixture(rows=60, components=3, seed=3, scales=(0.3, 1.5))
    weight, mean, sd, _ = own
    several = modality.multimodal_share(own.by_draw(3))
    x = np.linspace(mean.min() - 5, mean.max() + 5, 20_001)
    for row in range(60):
        density = (weight[row] * stats.norm.pdf(x[:, None], mean[row], sd[row])).sum(1)
        slope = np.sign(np.diff(density))
        slope = slope[slope != 0]
        peaks = ((slope[:-1] > 0) & (slope[1:] < 0)).sum()
        assert several[row] == pytest.approx(float(peaks > 1))


def test_the_guarantee_never_hides_a_mode():
    """Draws called unimodal without a look are unimodal when looked at."""
    problem, parameters, _ = make(n_draws=60, n=20, seed=4)
    block = mixture_of(problem.spec, parameters, problem.designs)
    sd = np.sqrt(np.broadcast_to(block.variance, block.mean.shape))
    certain = np.ptp(block.mean, axis=-1) ** 2 <= 4 * (sd**2).min(axis=-1)
    assert certain.any()
    parts = Mixtures(np.exp(block.log_weight)[certain], block.mean[certain], sd[certain])
    assert {len(table) for table in modality.modes(parts, min_depth=0.0)} == {1}


@pytest.mark.parametrize("prob", [0.02, 0.3, 0.9, 0.999])
def test_regions_of_posteriors_with_a_spike_hold_what_was_asked(prob):
    """A spike a thousandth as wide as the rest, which even points would miss."""
    parts = posterior_mixture()
    for row, region in enumerate(modality.highest_density(parts, prob)):
        one = parts.of(slice(row, row + 1))
        ends = region.reshape(1, -1)
        assert (np.diff(ends) > 0).all()
        mass = np.diff(mixture.cdf(one, ends).reshape(-1, 2)).sum()
        assert mass == pytest.approx(prob, rel=1e-6)
        height = mixture.logpdf(one, ends)
        np.testing.assert_allclose(height, height.mean(), atol=1e-3)
        # no region of this probability is smaller: what is inside is higher than what is not
        x = mixture.ppf(one, np.linspace(0.0005, 0.9995, 4001)[None])
        inside = ((x[0, :, None] > region[:, 0]) & (x[0, :, None] < region[:, 1])).any(axis=1)
        density = mixture.logpdf(one, x)[0]
        assert density[inside].min() > density[~inside].max() - 1e-3


def test_regions_of_many_shapes_hold_what_was_asked():
    for seed in range(10):
        parts = random_mixture(rows=8, components=6, seed=seed, scales=(1e-4, 3.0))
        for row, region in enumerate(modality.highest_density(parts, 0.8)):
            one = parts.of(slice(row, row + 1))
            mass = np.diff(mixture.cdf(one, region.reshape(1, -1)).reshape(-1, 2)).sum()
            assert mass == pytest.approx(0.8, rel=1e-6)


def test_modes_of_many_shapes_are_those_of_brute_force():
    """But for those a hundredth deep, which are found between two points only by luck."""
    for seed in range(10):
        own = random_mixture(rows=4, components=5, seed=seed, scales=(0.05, 1.0))
        weight, mean, sd, _ = own
        x = np.linspace(mean.min() - 6, mean.max() + 6, 200_001)
        for row, table in enumerate(modality.modes(own, min_depth=0.01)):
            parts = zip(weight[row], mean[row], sd[row], strict=True)
            density = sum(w * stats.norm.pdf(x, m, s) for w, m, s in parts)
            peaks, _ = signal.find_peaks(density)
            depth = signal.peak_prominences(density, peaks)[0] / density[peaks]
            peaks, depth = peaks[depth >= 0.01], depth[depth >= 0.01]
            order = np.argsort(-density[peaks])
            np.testing.assert_allclose(table[:, 0], x[peaks[order]], atol=x[1] - x[0])
            np.testing.assert_allclose(table[:, 1], density[peaks[order]], rtol=1e-6)
            np.testing.assert_allclose(table[1:, 2], depth[order][1:], atol=1e-6)


def test_merged_components_are_the_mixture():
    parts = posterior_mixture(draws=4000)
    few, all_of_them = MergedMixtures(*parts[:3]), MergedMixtures(*parts[:3], width=0.0)
    assert len(few._before) < 0.12 * len(all_of_them._before)
    row, x = all_of_them.row, all_of_them.x
    np.testing.assert_allclose(few.below(row, x), all_of_them.below(row, x), atol=2e-7)
    weight, mean, sd = (a[0] for a in parts[:3])
    cells = merging.merged(weight, mean, sd)
    assert cells[0].sum() == pytest.approx(1.0, rel=1e-12)
    assert cells[0] @ cells[1] == pytest.approx(weight @ mean, rel=1e-12)
    second = weight @ (sd**2 + mean**2)
    assert cells[0] @ (cells[2] ** 2 + cells[1] ** 2) == pytest.approx(second, rel=1e-12)


def test_components_that_are_not_alike_are_left_as_they_are():
    parts = tuple(a[0] for a in random_mixture(components=500, scales=(1e-6, 1e6))[:3])
    for one, other in zip(merging.merged(*parts), parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_shifts_and_scales_move_regions_and_modes():
    parts = posterior_mixture(rows=2)
    for shift, scale in ((1e8, 1.0), (0.0, 1e-12), (-3e5, 1e9)):
        moved = Mixtures(parts[0], shift + scale * parts[1], scale * parts[2])
        for one, other in zip(
            modality.highest_density(parts, 0.9),
            modality.highest_density(moved, 0.9),
            strict=True,
        ):
            near = 1e-6 * scale + 1e-9 * abs(shift)
            np.testing.assert_allclose(other, shift + scale * one, atol=near)
        assert [len(t) for t in modality.modes(parts, 0.05)] == [
            len(t) for t in modality.modes(moved, 0.05)
        ]


def test_a_spike_is_seen():
    """Zeros among ordinary targets, which even points would miss; by the mode of the posterior."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 1))
    y = np.exp(1 + 0.5 * X[:, 0] + rng.normal(0, 0.4, 400))
    y = np.where(rng.random(400) < 0.4, 0, y)
    dist = MoERegressor(2, inference="map", random_state=0).fit(X, y).predict_dist(X[:30])
    for prob in (0.3, 0.9):
        np.testing.assert_allclose(dist.hdi(prob).mass, prob, rtol=1e-6)
    at_zero = dist.cdf(0.01) - dist.cdf(-0.01)
    narrow = np.nansum(np.diff(dist.hdi(0.3).intervals, axis=2), axis=(1, 2))
    assert (narrow[at_zero > 0.31] < 0.02).all()
    assert (dist.modes(min_depth=0.0).n_modes == 2).all()


def test_edges_of_the_arguments():
    _, _, dist = make()
    nothing = dist[:0]
    assert nothing.hdi().intervals.shape == (0, 0, 2)
    assert nothing.hdi().mass.shape == nothing.modes().n_modes.shape == (0,)
    assert nothing.prob_multimodal().shape == (0,)
    assert (dist.modes(1.0).n_modes == 1).all()
    for bad in (2.0, -0.1, np.nan):
        with pytest.raises(ValueError, match="min_depth must be between 0"):
            dist.modes(bad)


def test_far_from_all_data():
    X = np.linspace(-1.0, 1.0, 60)[:, None]
    y = X[:, 0] + np.random.default_rng(0).normal(0, 0.1, 60)
    model = MoERegressor(2, inference="vi", draws=50, random_state=0)
    dist = fit_quietly(model, X, y).predict_dist([[1e8], [-1e8], [1e12]])
    with np.errstate(invalid="raise", divide="raise", over="raise"):
        assert np.isfinite(dist.hdi(0.9).mass).all()
        assert (dist.modes().n_modes >= 1).all()
    rounding = np.spacing(np.abs(dist.mean())) / model.sigma_.min()  # of the ends of intervals
    assert (np.abs(dist.hdi(0.9).mass - 0.9) < 1e-6 + rounding).all()


class Triangle:
    """A density with a jump at 0, where it is highest, and an atom at 1."""

    def __init__(self, atom):
        self.row, self.x = np.zeros(5, dtype=int), np.linspace(0.0, 1.0, 5)
        self.atom = atom
        self.atoms = np.array([[0.0, atom]])

    def log_density(self, row, x):
        with np.errstate(divide="ignore"):
            return np.log((1 - self.atom) * 2 * (1 - x))

    def below(self, row, x):
        return (1 - self.atom) * (1 - (1 - x) ** 2)


def test_regions_begin_at_ends_and_points_come_first():
    region = level_sets.highest_density(Triangle(0.0), 1, 0.75)[0]
    np.testing.assert_allclose(region, [[0.0, 0.5]], atol=1e-9)
    region = level_sets.highest_density(Triangle(0.2), 1, 0.8)[0]
    np.testing.assert_allclose(region, [[0.0, 0.5], [1.0, 1.0]], atol=1e-9)
    np.testing.assert_array_equal(level_sets.highest_density(Triangle(0.9), 1, 0.8)[0], [[1, 1]])
    assert integrate.quad(lambda x: np.exp(Triangle(0.2).log_density(0, x)), 0, 1)[0] == (
        pytest.approx(0.8)
    )
