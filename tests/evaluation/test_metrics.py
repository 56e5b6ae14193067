"""Metrics against scoringrules, scipy and their definitions."""

import numpy as np
import pytest
import scoringrules
from scipy import stats
from sklearn.metrics import mean_squared_error

from skcocoafuse.metrics import (
    calibration_error,
    crps,
    interval_coverage,
    interval_length,
    interval_score,
    log_predictive_density,
    pit,
)
from tests.predictive.test_distribution import make

RNG = np.random.default_rng(0)
Y = RNG.normal(size=20)


def test_coverage_and_length_of_normal_intervals():
    y = stats.norm.rvs(size=20_000, random_state=0)
    interval = np.tile(stats.norm.interval(0.9), (y.size, 1))
    assert abs(interval_coverage(y, interval) - 0.9) < 4.5 * np.sqrt(0.09 / y.size)
    np.testing.assert_allclose(interval_length(interval), 2 * stats.norm.ppf(0.95))


def test_ends_count_as_inside():
    assert interval_coverage([1.0, 2.0], [[1.0, 1.0], [0.0, 2.0]]) == 1.0


@pytest.mark.parametrize("coverage", [0.5, 0.95])
def test_interval_score_is_scoringrules_one(coverage):
    low = RNG.normal(size=20) - 1.0
    interval = np.column_stack([low, low + RNG.gamma(2.0, size=20)])
    expected = scoringrules.interval_score(Y, *interval.T, 1.0 - coverage).mean()
    assert interval_score(Y, interval, coverage) == pytest.approx(expected)


def test_interval_score_is_least_at_the_quantiles():
    y = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    ends = stats.norm.interval(0.8)
    score = [
        interval_score(y, np.tile(np.array(ends) * factor, (2000, 1)), 0.8)
        for factor in (0.9, 1.0, 1.1)
    ]
    assert score[1] == min(score)


def test_distributions_and_plain_arrays_agree():
    _, _, dist = make(n=20)
    y = dist.rvs(random_state=0)[:, 0]
    assert log_predictive_density(y, dist) == log_predictive_density(y, dist.logpdf(y))
    assert crps(y, dist) == crps(y, dist.crps(y))
    np.testing.assert_array_equal(pit(y, dist), dist.cdf(y))
    assert calibration_error(y, dist) == calibration_error(y, dist.cdf(y))


def test_calibration_error_is_the_kolmogorov_smirnov_distance():
    values = RNG.beta(2.0, 1.0, size=50)
    expected = stats.kstest(values, "uniform").statistic
    assert calibration_error(np.zeros(50), values) == pytest.approx(expected)


def with_value(y, value):
    return [value, *np.asarray(y)[1:]]


ON_OBSERVATIONS = {
    "interval_coverage": lambda y: interval_coverage(y, np.tile([-1.0, 1.0], (20, 1))),
    "interval_score": lambda y: interval_score(y, np.tile([-1.0, 1.0], (20, 1))),
    "crps": lambda y: crps(y, np.zeros(20)),
    "log_predictive_density": lambda y: log_predictive_density(y, make(n=20)[2]),
    "pit": lambda y: pit(y, make(n=20)[2]),
    "calibration_error": lambda y: calibration_error(y, np.zeros(20)),
}
SCORES = {
    "interval_coverage": lambda v: interval_coverage(Y, np.column_stack([v, v])),
    "interval_length": lambda v: interval_length(np.column_stack([v, v])),
    "crps": lambda v: crps(Y, v),
    "log_predictive_density": lambda v: log_predictive_density(Y, v),
    "pit": lambda v: pit(Y, v),
}


@pytest.mark.parametrize("metric", ON_OBSERVATIONS.values(), ids=ON_OBSERVATIONS)
@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "NaN"), (None, "NaN"), (np.inf, "infinity"), (-np.inf, "inf")]
)
def test_observations_are_refused_as_scikit_learn_does(metric, value, message):
    """A missing target is no miss of an interval, and no NaN on average."""
    y = with_value(Y, value)
    with pytest.raises(ValueError, match=f"Input contains {message}"):
        mean_squared_error(y, np.zeros(20))
    with pytest.raises(ValueError, match=f"Input y contains {message}"):
        metric(y)
    with pytest.raises(ValueError, match=r"0 sample.* a minimum of 1 is required"):
        metric([])


@pytest.mark.parametrize("metric", SCORES.values(), ids=SCORES)
def test_scores_that_are_missing_are_refused(metric):
    with pytest.raises(ValueError, match=r"Input (interval|prediction) contains NaN"):
        metric(with_value(Y, np.nan))


def test_infinite_scores_and_ends_are_numbers():
    assert log_predictive_density(Y, with_value(Y, -np.inf)) == -np.inf
    assert interval_coverage(Y, np.tile([-np.inf, np.inf], (20, 1))) == 1.0


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"shape \(20, 2\); got shape \(2, 20\)"):
        interval_coverage(Y, np.zeros((2, 20)))
    with pytest.raises(ValueError, match=r"shape \(n_samples, 2\); got shape \(20,\)"):
        interval_length(Y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        crps(Y, np.zeros(3))
    with pytest.raises(ValueError, match="coverage must be"):
        interval_score(Y, np.zeros((20, 2)), coverage=95)


INTERVAL = np.column_stack([Y - 0.5, Y + RNG.normal(0.5, 0.4, 20)])
DENSITY, SCORE, PIT = RNG.normal(size=20), RNG.gamma(2.0, size=20), RNG.beta(2.0, 1.0, size=20)
BY_ROW = {  # a metric of some rows, by their numbers
    "coverage": lambda rows, **w: interval_coverage(Y[rows] + 0.3, INTERVAL[rows], **w),
    "length": lambda rows, **w: interval_length(INTERVAL[rows], **w),
    "interval score": lambda rows, **w: interval_score(Y[rows] + 0.3, INTERVAL[rows], 0.8, **w),
    "log density": lambda rows, **w: log_predictive_density(Y[rows], DENSITY[rows], **w),
    "crps": lambda rows, **w: crps(Y[rows], SCORE[rows], **w),
    "calibration error": lambda rows, **w: calibration_error(Y[rows], PIT[rows], **w),
}


@pytest.mark.parametrize("name", BY_ROW)
def test_a_weight_is_how_often_a_row_counts(name):
    metric, rows = BY_ROW[name], np.arange(20)
    times = np.random.default_rng(1).integers(0, 4, 20)
    repeated = metric(rows.repeat(times))
    assert metric(rows, sample_weight=times) == pytest.approx(repeated, rel=1e-12)
    assert metric(rows, sample_weight=0.1 * times) == pytest.approx(repeated, rel=1e-12)
    assert metric(rows, sample_weight=np.ones(20)) == pytest.approx(metric(rows), rel=1e-14)
    assert metric(rows) != pytest.approx(repeated, rel=1e-3)


@pytest.mark.parametrize("name", BY_ROW)
def test_bad_weights_are_refused(name):
    for weight, match in (
        (np.ones(3), "sample_weight"),
        (np.full(20, -1.0), "[Nn]egative"),
        (np.zeros(20), "zero"),
        (np.full(20, np.nan), "NaN"),
    ):
        with pytest.raises(ValueError, match=match):
            BY_ROW[name](np.arange(20), sample_weight=weight)


def test_a_row_that_does_not_count_may_have_no_density():
    assert log_predictive_density([0.0, 1.0], [-1.0, -np.inf], sample_weight=[1, 0]) == -1.0


def test_weighted_calibration_error_of_importance_weights():
    """Uniform values by weight are calibrated, whatever they are without."""
    values = (np.arange(2000) + 0.5) / 2000
    skewed = values**2  # density 1 / (2 sqrt(v)), so the weight 2 sqrt(v) makes it uniform
    assert calibration_error(np.zeros(2000), skewed) == pytest.approx(0.25, abs=1e-3)
    weight = 2.0 * np.sqrt(skewed)
    assert calibration_error(np.zeros(2000), skewed, sample_weight=weight) < 1e-3
