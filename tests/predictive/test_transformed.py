"""Distributions behind a transformation of the target."""

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
