"""Distributions behind a transformation of the target."""

import re
import warnings

import numpy as np
import pytest
import scoringrules
from scipy import integrate, stats
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from skcocoafuse import PredictiveDistribution
from skcocoafuse.predictive.transformed import TransformedDistribution
from tests.predictive.test_distribution import make

TARGETS = np.random.default_rng(0).gamma(3.0, size=(200, 1)) + 0.1

TRANSFORMERS = {
    "identity": FunctionTransformer(),
    "log": FunctionTransformer(np.log, np.exp),
    "log10": FunctionTransformer(np.log10, lambda t: 10.0**t),
    "log1p": FunctionTransformer(np.log1p, np.expm1),
    "sqrt": FunctionTransformer(np.sqrt, np.square),
    "cbrt": FunctionTransformer(np.cbrt, lambda t: t**3),
    "arcsinh": FunctionTransformer(np.arcsinh, np.sinh),
    "negative": FunctionTransformer(np.negative, np.negative),
    "standard": StandardScaler(),
    "minmax": MinMaxScaler(),
    "maxabs": MaxAbsScaler(),
    "robust": RobustScaler(),
    "box-cox": PowerTransformer("box-cox"),
    "yeo-johnson": PowerTransformer("yeo-johnson", standardize=False),
    "chain": make_pipeline(FunctionTransformer(np.log, np.exp), StandardScaler()),
}


def inner(center=0.7, seed=0):
    """Narrow distributions around ``center`` on the model's scale."""
    problem, parameters, _ = make(seed=seed, n_draws=5)
    return PredictiveDistribution(problem.spec, parameters, problem.designs, center, 0.04)


@pytest.fixture(params=TRANSFORMERS, ids=list(TRANSFORMERS))
def dist(request):
    transformer = TRANSFORMERS[request.param].fit(TARGETS)
    center = float(np.median(transformer.transform(TARGETS)))
    return TransformedDistribution(inner(center), transformer)


def test_quantiles_and_probabilities_invert_each_other(dist):
    q = np.array([0.01, 0.3, 0.5, 0.9])
    y = dist.ppf(q)
    assert (np.diff(y, axis=1) > 0).all()
    np.testing.assert_allclose(dist.cdf(y), np.tile(q, (len(dist), 1)), rtol=1e-7)
    np.testing.assert_allclose(dist.sf(y), 1 - np.tile(q, (len(dist), 1)), rtol=1e-7)
    np.testing.assert_allclose(dist.interval(0.8), dist.ppf([0.1, 0.9]), rtol=1e-9)
    np.testing.assert_allclose(dist.median(), y[:, 2], rtol=1e-9)
    many = dist.interval([0.5, 0.8])
    np.testing.assert_allclose(many[:, :, 1], dist.interval(0.8), rtol=1e-9)


def test_density_is_the_slope_of_the_probability(dist):
    y = dist.ppf(0.4)
    h = 1e-5 * np.abs(y)
    slope = (dist.cdf(y + h) - dist.cdf(y - h)) / (2 * h)
    np.testing.assert_allclose(dist.pdf(y), slope, rtol=1e-5)
    np.testing.assert_allclose(np.log(dist.pdf(y)), dist.logpdf(y), rtol=1e-12)


def test_moments_are_those_of_the_density(dist):
    row = dist[0]
    low, high = row.ppf([1e-10, 1 - 1e-10])[0]
    mean = integrate.quad(lambda y: y * row.pdf(y)[0], low, high, limit=200)[0]
    second = integrate.quad(lambda y: (y - mean) ** 2 * row.pdf(y)[0], low, high, limit=200)[0]
    assert row.mean()[0] == pytest.approx(mean, rel=1e-6)
    assert row.std()[0] == pytest.approx(np.sqrt(second), rel=1e-4)
    np.testing.assert_allclose(row.var(), row.std() ** 2)


def test_logs_of_a_normal_make_a_lognormal():
    _, _, normal = make(n_experts=1, n_draws=1)
    dist = TransformedDistribution(normal, FunctionTransformer(np.log, np.exp))
    center, sd = normal.mean_and_std()
    oracle = stats.lognorm(sd, scale=np.exp(center))
    y = oracle.ppf(0.7)
    for method in ("logpdf", "cdf", "sf"):
        np.testing.assert_allclose(getattr(dist, method)(y), getattr(oracle, method)(y), rtol=1e-8)
    np.testing.assert_allclose(dist.ppf(0.2), oracle.ppf(0.2), rtol=1e-9)
    small = sd < 2.0  # mean and variance grow as exp(sd^2)
    np.testing.assert_allclose(dist.mean()[small], oracle.mean()[small], rtol=1e-6)


def test_random_values_follow_the_distribution():
    dist = TransformedDistribution(inner(), FunctionTransformer(np.log, np.exp))[:1]
    values = dist.rvs(2000, random_state=0)[0]
    assert stats.kstest(dist.cdf(values[None])[0], "uniform").pvalue > 1e-3


def test_crps_is_that_of_the_lognormal():
    _, _, normal = make(n_experts=1, n_draws=1)
    dist = TransformedDistribution(normal, FunctionTransformer(np.log, np.exp))
    center, sd = normal.mean_and_std()
    y = np.exp(center + 0.3 * sd)
    expected = scoringrules.crps_lognormal(y, center, sd)
    np.testing.assert_allclose(dist.crps(y), expected, rtol=1e-3)
    np.testing.assert_allclose(dist.crps(np.stack([y, y], axis=1))[:, 1], dist.crps(y))


def test_crps_of_a_scaled_target_is_scaled():
    scaler = StandardScaler().fit(TARGETS)
    own = inner(0.0)
    dist = TransformedDistribution(own, scaler)
    y = dist.ppf(0.6)
    expected = scaler.scale_[0] * own.crps(own.ppf(0.6))
    np.testing.assert_allclose(dist.crps(y), expected, rtol=1e-4)


def test_unknown_slopes_are_named_and_quantiles_still_work():
    odd = FunctionTransformer(lambda y: y**3, lambda t: np.cbrt(t)).fit(TARGETS)
    quantile = QuantileTransformer(n_quantiles=50, output_distribution="normal").fit(TARGETS)
    for transformer in (odd, quantile):
        center = float(np.median(transformer.transform(TARGETS)))
        dist = TransformedDistribution(inner(center), transformer)
        assert (np.diff(dist.interval(0.5), axis=1) > 0).all()
        with pytest.raises(TypeError, match=r"(?s)derivative of .* is not known.*PowerTransformer"):
            dist.logpdf(1.0)


def test_transformations_that_are_not_monotone_are_refused():
    flat = FunctionTransformer(np.abs, np.zeros_like)
    with pytest.raises(ValueError, match="not strictly monotone"):
        TransformedDistribution(inner(), flat)


def test_slices_and_description():
    dist = TransformedDistribution(inner(), FunctionTransformer(np.log, np.exp))
    np.testing.assert_array_equal(dist[2:4].ppf(0.3), dist.ppf(0.3)[2:4])
    assert "FunctionTransformer" in repr(dist)


def test_falling_maps_keep_their_tails():
    transformer = FunctionTransformer(np.negative, np.negative).fit(TARGETS)
    dist = TransformedDistribution(inner(), transformer)
    q = np.array([1e-25, 1e-9, 0.3])
    np.testing.assert_allclose(dist.cdf(dist.ppf(q)), np.tile(q, (len(dist), 1)), rtol=1e-8)
    np.testing.assert_allclose(dist.sf(dist.isf(q)), np.tile(q, (len(dist), 1)), rtol=1e-8)


# -- oracles: closed forms, brute force, values that were drawn ---------------------------------


def normals(center, sd, n=1, seed=0):
    """One Normal a row: means around ``center``, standard deviations around ``sd``."""
    problem, parameters, _ = make(n_experts=1, n_draws=1, n=n, seed=seed)
    scale = sd / parameters.sigma[0, 0]
    line = parameters.expert_intercept[0] + problem.designs["expert"] @ parameters.expert_coef[0, 0]
    loc = center - scale * line.mean()
    return PredictiveDistribution(problem.spec, parameters, problem.designs, loc, scale)


def spiked(seed=0):
    """A narrow and a wide expert, many draws: what fixed windows of standard deviations miss."""
    problem, parameters, _ = make(n_experts=2, n_draws=300, n=3, seed=seed)
    draws = np.random.default_rng(seed).normal(size=(300, 2))
    near = parameters.map(lambda a: a[:1] + 0.02 * (a - a[:1]))
    wide = near._replace(sigma=np.exp(0.1 * draws) * np.array([1e-4, 0.5]))
    return PredictiveDistribution(problem.spec, wide, problem.designs, 0.5, 0.5)


@pytest.mark.parametrize("sd", [0.1, 1.0, 3.0])
def test_moments_and_crps_behind_a_log_are_the_lognormal_ones(sd):
    dist = TransformedDistribution(normals(0.3, sd), FunctionTransformer(np.log, np.exp))
    center, sd = (float(a[0]) for a in dist._inner.mean_and_std())
    oracle = stats.lognorm(sd, scale=np.exp(center))
    assert dist.mean()[0] == pytest.approx(oracle.mean(), rel=1e-6)
    assert dist.std()[0] == pytest.approx(oracle.std(), rel=1e-6)
    y = oracle.ppf([0.001, 0.3, 0.9])
    expected = scoringrules.crps_lognormal(y, center, sd)
    np.testing.assert_allclose(dist.crps(y[None])[0], expected, rtol=1e-4)


def test_moments_behind_a_line_are_exact():
    own = spiked()
    for transformer in (StandardScaler(), MinMaxScaler((2, 5)), RobustScaler(), MaxAbsScaler()):
        dist = TransformedDistribution(own, transformer.fit(TARGETS))
        zero, one = transformer.inverse_transform([[0.0], [1.0]])[:, 0]
        np.testing.assert_allclose(dist.mean(), zero + (one - zero) * own.mean(), rtol=1e-12)
        np.testing.assert_allclose(dist.std(), (one - zero) * own.std(), rtol=1e-12)
        np.testing.assert_allclose(dist.variance_parts().total(), dist.var(), rtol=1e-12)
        y = dist.ppf(0.7)
        np.testing.assert_allclose(dist.crps(y), (one - zero) * own.crps(own.ppf(0.7)), rtol=1e-9)


@pytest.mark.parametrize("name", ["log1p", "sqrt", "cbrt", "yeo-johnson", "box-cox", "chain"])
def test_moments_of_spiked_mixtures_are_those_of_dense_sums(name):
    transformer = TRANSFORMERS[name].fit(TARGETS)
    dist = TransformedDistribution(spiked(), transformer)
    p = (np.arange(400_000) + 0.5) / 400_000  # the mean of quantiles at the middles of even parts
    y = dist[0].ppf(p)[0]
    assert dist[0].mean()[0] == pytest.approx(y.mean(), rel=1e-4)
    assert dist[0].std()[0] == pytest.approx(y.std(), rel=1e-3)
    at = float(y[250_000])
    gap = np.abs(y - at).mean() - (y * (2 * p - 1)).mean()
    assert dist[0].crps(at)[0] == pytest.approx(gap, rel=1e-3)


def test_what_is_beyond_a_square_root_belongs_to_zero():
    """Y = max(T, 0)^2, in closed form."""
    dist = TransformedDistribution(normals(0.5, 0.7), FunctionTransformer(np.sqrt, np.square))
    center, sd = (float(a[0]) for a in dist._inner.mean_and_std())
    below = stats.norm.cdf(0, center, sd)
    assert dist.cdf(0.0)[0] == pytest.approx(below, rel=1e-6)
    assert dist.cdf(-1e-9)[0] == 0.0
    np.testing.assert_array_equal(dist.ppf([0.01, 0.5 * below]), 0.0)
    assert (np.diff(dist.ppf(np.linspace(0.001, 0.999, 50))) >= 0).all()
    truncated = stats.truncnorm(-center / sd, np.inf, center, sd)
    mean = (1 - below) * truncated.moment(2)
    second = (1 - below) * truncated.moment(4)
    assert dist.mean()[0] == pytest.approx(mean, rel=1e-6)
    assert dist.std()[0] == pytest.approx(np.sqrt(second - mean**2), rel=1e-6)
    # a probability of its own, not an infinite density
    assert dist.logpdf(0.0)[0] == pytest.approx(np.log(below), rel=1e-6)
    assert dist.logpdf(-1.0)[0] == -np.inf
    values = dist.rvs(4000, random_state=0)[0]
    assert (values == 0).mean() == pytest.approx(below, abs=4.5 * np.sqrt(below / 4000))
    region = dist.hdi(0.9)
    assert region.mass[0] == pytest.approx(0.9, rel=1e-6)
    assert region.intervals[0, 0, 0] == 0.0


def test_an_end_that_holds_enough_is_the_region():
    """The density beside zero is infinite, but the point alone is smaller."""
    dist = TransformedDistribution(normals(-1.2, 0.7), FunctionTransformer(np.sqrt, np.square))
    at_zero = dist.cdf(0.0)[0]
    assert at_zero > 0.95
    region = dist.hdi(0.9)
    np.testing.assert_array_equal(region.intervals, [[[0.0, 0.0]]])
    assert region.mass[0] == pytest.approx(at_zero, rel=1e-8)  # the end is bisected


def test_scores_outside_of_a_range_count_the_distance():
    transformer = QuantileTransformer(n_quantiles=50).fit(TARGETS)
    dist = TransformedDistribution(normals(0.5, 0.2), transformer)
    low, high = TARGETS.min(), TARGETS.max()
    np.testing.assert_allclose(dist.cdf([[low - 1, high + 1]]), [[0, 1]])
    outside = dist.crps([[low - 5, high + 1000]]) - dist.crps([[low, high]])
    np.testing.assert_allclose(outside, [[5, 1000]], rtol=1e-6)
    assert low <= dist.ppf(1e-9)[0] <= dist.ppf(1 - 1e-9)[0] <= high
    values = dist.rvs(200_000, random_state=0)[0]
    assert dist.mean()[0] == pytest.approx(values.mean(), abs=5 * values.std() / np.sqrt(200_000))


def test_targets_that_a_logarithm_refuses_are_impossible():
    dist = TransformedDistribution(normals(0.0, 0.4), FunctionTransformer(np.log, np.exp))
    y = np.array([[-np.inf, -1.0, 0.0, 1e-300]])
    np.testing.assert_allclose(dist.cdf(y), 0.0, atol=1e-300)
    np.testing.assert_array_equal(dist.sf(y), 1.0)
    np.testing.assert_array_equal(dist.logpdf(y)[0, :3], -np.inf)
    np.testing.assert_allclose(dist.crps(y)[0, 1:], [1.0 + dist.crps(0.0)[0], *dist.crps(y)[0, 2:]])
    assert np.isfinite(dist.crps(y)[0, 1:]).all()
    assert dist.crps(-np.inf)[0] == np.inf
    assert np.isnan(dist.crps(np.nan)[0])


def test_a_reciprocal_keeps_to_its_branch():
    transformer = FunctionTransformer(np.reciprocal, np.reciprocal)
    dist = TransformedDistribution(normals(1.0, 0.2), transformer)
    center, sd = (float(a[0]) for a in dist._inner.mean_and_std())
    np.testing.assert_array_equal(dist.cdf([[-1.0, 0.0]]), 0.0)
    assert dist.cdf(2.0)[0] == pytest.approx(stats.norm.sf(0.5, center, sd), rel=1e-9)
    values = dist.rvs(5000, random_state=0)[0]
    assert (values > 0).all()


def test_bounds_of_power_transformers():
    """A negative power: finite values of the model are infinite targets."""
    rng = np.random.default_rng(0)
    y = rng.gamma(2, np.exp(rng.normal(size=300) / 2))[:, None]
    transformer = PowerTransformer().fit(y)
    assert transformer.lambdas_[0] < 0
    ordinary = TransformedDistribution(normals(0.0, 0.8), transformer)
    values = ordinary.rvs(100_000, random_state=0)[0]
    assert ordinary.mean()[0] == pytest.approx(values.mean(), rel=0.02)
    assert np.isfinite(ordinary.crps(float(y[0, 0]))).all()
    far = TransformedDistribution(normals(5.5, 0.8), transformer)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert far.median()[0] == np.inf
        assert far.mean()[0] == np.inf
    (own,) = caught  # the transformer's words on values that were only tried are not passed on
    assert issubclass(own.category, RuntimeWarning)
    assert re.search(r"no values beyond 4\.\d+ on the scale of the model", str(own.message))
    assert 0 < far.cdf(1e3)[0] < 1


def test_nested_transformations_are_one():
    log, scaler = FunctionTransformer(np.log, np.exp), StandardScaler()
    pipe = make_pipeline(log, scaler).fit(TARGETS)
    twice = TransformedDistribution(TransformedDistribution(inner(0.0), scaler), log)
    once = TransformedDistribution(inner(0.0), pipe)
    for method in ("mean", "std", "median"):
        np.testing.assert_allclose(getattr(twice, method)(), getattr(once, method)(), rtol=1e-9)
    y = once.ppf(0.3)
    np.testing.assert_allclose(twice.logpdf(y), once.logpdf(y))
    np.testing.assert_allclose(twice.crps(y), once.crps(y))


def test_regions_and_modes_are_those_of_the_density(dist):
    """``pdf`` is the oracle; a line moves the inner regions."""
    region = dist.hdi(0.8)
    np.testing.assert_allclose(region.mass, 0.8, rtol=1e-6)
    ends = region.intervals.reshape(len(dist), -1)
    assert (np.diff(ends, axis=1)[~np.isnan(np.diff(ends, axis=1))] > 0).all()
    height = dist.logpdf(ends)
    np.testing.assert_allclose(np.nanmax(height, axis=1), np.nanmin(height, axis=1), atol=1e-4)
    modes = dist.modes()
    top = modes.location[:, :1]
    width = 1e-3 * np.ptp(dist.interval(0.8), axis=1)[:, None]
    around = dist.pdf(np.concatenate([top - width, top, top + width], axis=1))
    assert (around[:, 1] >= around[:, [0, 2]].max(axis=1) * (1 - 1e-9)).all()
    np.testing.assert_allclose(modes.density[:, 0], around[:, 1], rtol=1e-4)


def test_variance_does_not_split_behind_a_curve():
    dist = TransformedDistribution(inner(), FunctionTransformer(np.log, np.exp))
    with pytest.raises(TypeError, match="has no parts that add up"):
        dist.variance_parts()


def test_no_rows():
    for transformer in (FunctionTransformer(np.log, np.exp), StandardScaler().fit(TARGETS)):
        dist = TransformedDistribution(inner(), transformer)[:0]
        assert dist.mean().shape == dist.std().shape == dist.median().shape == (0,)
        assert dist.hdi().intervals.shape[0] == dist.modes().n_modes.size == 0
        assert dist.crps(1.0).shape == dist.logpdf(1.0).shape == (0,)
        assert dist.interval(0.9).shape == (0, 2)
        empty = TransformedDistribution(inner()[:0], transformer)
        assert empty.ppf([0.1, 0.9]).shape == (0, 2)
