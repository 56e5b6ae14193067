"""Predictive distributions with Student's t noise: scipy, integrals and brute force."""

import warnings

import numpy as np
import pytest
from scipy import integrate, signal, stats
from sklearn.compose import TransformedTargetRegressor

from skcocoafuse import BoERegressor, predict_dist
from skcocoafuse.compiled.mixture_sums import probability
from skcocoafuse.compiled.tails import t_table
from skcocoafuse.predictive import PredictiveDistribution, mixture, modality
from skcocoafuse.predictive.mixture import Mixtures
from tests.conftest import fit_quietly
from tests.predictive.test_scores import posterior_mixture, random_mixture
from tests.problems import make_problem


def make(n_experts=3, n_draws=40, n=6, seed=0, behavior=None, least=0.0):
    problem = make_problem(n_experts, behavior=behavior, n=n, n_noise=1, noise="student_t")
    theta = np.random.default_rng(seed).normal(size=(n_draws, problem.spec.n_parameters))
    theta[:, -1] += least  # log of the degrees of freedom over 1
    parameters = problem.spec.unpack(theta)
    return PredictiveDistribution(problem.spec, parameters, problem.designs, 1.5, 2.0)


def components(dist):
    """Weights and scipy's distributions of all components, (rows, components)."""
    kept = []

    def keep(_, mixtures):
        kept.append(Mixtures(*(a.copy() for a in mixtures[:3])))

    dist.over_components(keep)
    weight, mean, scale = (np.concatenate([m[k] for m in kept]) for k in range(3))
    df = dist._mixtures.parameters.noise_df
    return weight, stats.t(np.tile(df, weight.shape[1] // len(df)), mean, scale)


@pytest.fixture(scope="module")
def dist():
    return make()


@pytest.mark.parametrize("df", [1.0, 1.3, 2.7, 10.0, 200.0, 1e5])
def test_tails_are_those_of_scipy(df):
    z = np.concatenate([np.linspace(-12.0, 12.0, 401), [-1e8, -300.0, -40.0, 40.0, 300.0, 1e8]])
    one, out = np.ones((1, 1)), np.empty((1, len(z)))
    for sign, exact in ((1.0, stats.t.cdf(z, df)), (-1.0, stats.t.sf(z, df))):
        probability(one, 0 * one, one, t_table(np.array([df])), z[None], sign, out)
        seen = exact > 1e-290
        np.testing.assert_allclose(out[0][seen], exact[seen], rtol=2e-12)


def test_tails_of_many_degrees_of_freedom_are_normal():
    z = np.linspace(-30.0, 8.0, 200)
    one, out = np.ones((1, 1)), np.empty((1, len(z)))
    probability(one, 0 * one, one, t_table(np.array([1e14])), z[None], 1.0, out)
    np.testing.assert_allclose(out[0], stats.norm.cdf(z), rtol=1e-7)


def test_densities_and_probabilities_are_sums_over_components(dist):
    weight, parts = components(dist)
    for x in (-1e6, -30.0, 0.0, 1.7, 25.0):
        np.testing.assert_allclose(dist.pdf(x), (weight * parts.pdf(x)).sum(1), rtol=1e-11)
        np.testing.assert_allclose(dist.cdf(x), (weight * parts.cdf(x)).sum(1), rtol=1e-11)
        np.testing.assert_allclose(dist.sf(x), (weight * parts.sf(x)).sum(1), rtol=1e-11)


def test_moments_are_those_of_the_components():
    dist = make(least=4.0)
    weight, parts = components(dist)
    mean = (weight * parts.mean()).sum(1)
    variance = (weight * (parts.var() + parts.mean() ** 2)).sum(1) - mean**2
    np.testing.assert_allclose(dist.mean(), mean, rtol=1e-10)
    np.testing.assert_allclose(dist.var(), variance, rtol=1e-9)
    np.testing.assert_allclose(dist.variance_parts().total(), variance, rtol=1e-9)


def test_without_a_variance_standard_deviations_are_infinite_and_said_to_be(dist):
    weight, parts = components(dist)
    np.testing.assert_allclose(dist.mean(), (weight * parts.mean()).sum(1), rtol=1e-10)
    for method in (dist.std, dist.var, dist.mean_and_std):
        with pytest.warns(RuntimeWarning, match="no variance: standard deviations are infinite"):
            found = method()
        assert (np.atleast_2d(found)[-1] == np.inf).all()
    parts = dist.variance_parts()
    assert (parts.noise == np.inf).all()
    assert np.isfinite(parts.between_experts + parts.parameters).all()


def test_quantiles_are_inverse_out_to_the_far_tails(dist):
    q = np.array([1e-12, 1e-6, 0.025, 0.5, 0.8, 1 - 1e-6])
    np.testing.assert_allclose(dist.cdf(dist.ppf(q)), np.tile(q, (len(dist), 1)), rtol=1e-9)
    np.testing.assert_allclose(dist.sf(dist.isf(q)), np.tile(q, (len(dist), 1)), rtol=1e-9)


def test_crps_is_the_integral_of_its_definition(dist):
    weight, parts = components(dist)
    y = dist.ppf(0.7)
    for row in range(3):

        def below(x, row=row):
            own = stats.t.cdf(x, parts.args[0], parts.args[1][row], parts.args[2][row])
            return weight[row] @ own

        options = {"epsrel": 1e-8, "limit": 200}
        left = integrate.quad(lambda x: below(x) ** 2, -np.inf, y[row], **options)[0]
        right = integrate.quad(lambda x: (1 - below(x)) ** 2, y[row], np.inf, **options)[0]
        assert dist[row].crps(y[row])[0] == pytest.approx(left + right, rel=1e-6)


def test_crps_of_values_is_half_the_expected_distance_of_two():
    """Of its own values on average; a law without numerical integration."""
    dist = make(n=2, least=2.0)
    rng = np.random.default_rng(0)
    values = np.concatenate([dist.rvs(1, int(s)) for s in rng.integers(2**31, size=4000)], axis=1)
    scores = dist.crps(values)
    half = 0.5 * np.abs(values[:, ::2] - values[:, 1::2])
    error = 4 * np.hypot(scores.std(1) / np.sqrt(4000), half.std(1) / np.sqrt(2000))
    assert (np.abs(scores.mean(1) - half.mean(1)) < error).all()


def test_random_values_have_the_distribution():
    dist = make(n=300)
    values = np.array([dist[i].pit(dist[i].rvs(random_state=i)[:, 0])[0] for i in range(len(dist))])
    assert stats.kstest(values, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("prob", [0.3, 0.95, 0.9999])
def test_regions_hold_what_was_asked_at_one_height(dist, prob):
    region = dist.hdi(prob)
    np.testing.assert_allclose(region.mass, prob, rtol=1e-6)
    height = dist.logpdf(np.nan_to_num(region.intervals.reshape(len(dist), -1)))
    height[np.isnan(region.intervals.reshape(len(dist), -1))] = np.nan
    assert (np.nanmax(height, axis=1) - np.nanmin(height, axis=1) < 1e-5).all()
    length = np.nansum(np.diff(region.intervals, axis=2), axis=(1, 2))
    assert (length <= np.ptp(dist.interval(prob), axis=1) * (1 + 1e-5)).all()


def test_modes_are_those_of_brute_force():
    parts = random_mixture(rows=20, components=4, seed=1, scales=(0.2, 1.0))
    own = parts._replace(table=t_table(np.array([2.5])))
    _, mean, scale, _ = own
    x = np.linspace(mean.min() - 6, mean.max() + 6, 100_001)
    several = modality.multimodal_share(own.by_draw(4))
    for row, table in enumerate(modality.modes(own, min_depth=0.0)):
        density = (parts.weight[row] * stats.t.pdf(x[:, None], 2.5, mean[row], scale[row])).sum(1)
        peaks, _ = signal.find_peaks(density)
        deep = signal.peak_prominences(density, peaks)[0] > 1e-3 * density[peaks]
        found = table[table[:, 2] > 1e-3]
        np.testing.assert_allclose(np.sort(found[:, 0]), x[peaks[deep]], atol=2 * (x[1] - x[0]))
        np.testing.assert_allclose(found[0, 1], density.max(), rtol=1e-6)
        if len(peaks) == deep.sum():
            assert several[row] == pytest.approx(float(len(peaks) > 1))


def test_two_equal_components_are_not_bound_by_that_of_normals():
    """Within two scales, where Normals have one mode, Student's t may have two."""
    weight, mean = np.full((1, 2), 0.5), np.array([[0.0, 1.9]])
    own = Mixtures(weight, mean, np.ones((1, 2)))
    assert modality.multimodal_share(own.by_draw(2))[0] == 0.0
    heavy = own._replace(table=t_table(np.array([1.2])))
    assert modality.multimodal_share(heavy.by_draw(2))[0] == 1.0


def test_log_density_of_draws_is_that_of_each():
    parts = posterior_mixture(draws=5)
    df = 2.0 + np.random.default_rng(0).lognormal(size=5)
    rows = len(parts.mean)
    weight, mean, scale = (a.reshape(rows, 3, 5) for a in parts[:3])
    y = np.array([0.0, 3.0, -50.0, 1e9])
    found = mixture.log_density_of_draws(Mixtures(5 * weight, mean, scale, t_table(df)), y)
    density = stats.t.pdf(y[:, None, None], df, mean, scale)
    np.testing.assert_allclose(found, np.log((5 * weight * density).sum(1)), rtol=1e-10)


def test_far_points_and_no_numbers(dist):
    ends = np.tile([-np.inf, -1e200, 1e200, np.inf], (len(dist), 1))
    np.testing.assert_allclose(dist.cdf(ends), np.tile([0, 0, 1, 1], (len(dist), 1)), atol=1e-100)
    assert np.isnan(dist.cdf(np.nan)).all()
    assert np.isnan(dist.logpdf(np.nan)).all()
    assert np.isfinite(dist.logpdf(1e100)).all()  # tails decrease like powers
    assert dist[:0].crps(np.zeros(0)).shape == dist[:0].ppf(0.5).shape == (0,)


@pytest.fixture(scope="module")
def positive():
    """Inputs, and targets above 0.3 with Student's t noise."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0.0, 3.0, (200, 1))
    return X, 2.0 + X[:, 0] + 0.1 * rng.standard_t(8.0, 200)


def fit_to(positive, func, inverse):
    X, y = positive
    inner = BoERegressor(1, noise="student_t", inference="vi", draws=200, random_state=0)
    model = TransformedTargetRegressor(inner, func=func, inverse_func=inverse, check_inverse=False)
    return predict_dist(fit_quietly(model, X, inverse(y)), X[:4])


def test_a_linear_target_keeps_its_moments(positive):
    dist = fit_to(positive, np.negative, np.negative)
    inner = dist._inner
    np.testing.assert_allclose(dist.mean(), -inner.mean())
    np.testing.assert_allclose(dist.std(), inner.std())
    np.testing.assert_allclose(dist.crps(np.ones(4)), inner.crps(-np.ones(4)))


def test_an_exponential_of_student_t_has_no_mean(positive):
    dist = fit_to(positive, np.log, np.exp)
    with pytest.warns(RuntimeWarning, match="4 of 4 rows have no finite standard deviation, and 4"):
        mean, std = dist.mean_and_std()
    assert (mean == np.inf).all()
    assert (std == np.inf).all()
    assert (dist.crps(np.full(4, 10.0)) == np.inf).all()
    np.testing.assert_allclose(dist.median(), np.exp(dist._inner.median()))
    np.testing.assert_allclose(dist.hdi(0.9).mass, 0.9, rtol=1e-6)


def test_moments_that_exist_are_integrals(positive):
    """A square root's inverse has a mean, (E T)^2 + Var T, whatever the degrees of freedom."""
    dist = fit_to(positive, np.sqrt, np.square)
    inner = dist._inner
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # there may be no standard deviation
        mean = dist.mean()
    np.testing.assert_allclose(mean, inner.mean() ** 2 + inner.var(), rtol=1e-5)
