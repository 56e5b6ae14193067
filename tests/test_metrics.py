import numpy as np
from scipy import stats

from skcocoafuse.metrics import interval_coverage, interval_length


def test_coverage_and_length_of_normal_intervals():
    y = stats.norm.rvs(size=20_000, random_state=0)
    interval = np.tile(stats.norm.interval(0.9), (y.size, 1))
    assert abs(interval_coverage(y, interval) - 0.9) < 4.5 * np.sqrt(0.09 / y.size)
    np.testing.assert_allclose(interval_length(interval), 2 * stats.norm.ppf(0.95))


def test_ends_count_as_inside():
    assert interval_coverage([1.0, 2.0], [[1.0, 1.0], [0.0, 2.0]]) == 1.0
