import gc
import warnings

import numpy as np
import pytest
from scipy import integrate, stats

from skcocoafuse import datasets

MAKERS = [
    datasets.make_bimodal,
    datasets.make_switch,
    datasets.make_switch_and_transition,
    datasets.make_transition,
]


@pytest.mark.parametrize("make", MAKERS)
def test_density_is_the_one_drawn_from(make):
    """Mass one at every x, and uniform probability transforms of the draws."""
    X, y, density = make(2000, random_state=0, return_density=True)
    grid = np.linspace(-15, 15, 6001)
    for x in (-1.9, 0.0, 0.4, 1.9):
        values = density(np.full((grid.size, 1), x), grid)
        assert integrate.trapezoid(values, grid) == pytest.approx(1.0, abs=1e-6)
    pit = []
    for x, value in zip(X[:400, 0], y[:400], strict=True):
        values = density(np.full((grid.size, 1), x), grid)
        pit.append(np.interp(value, grid, integrate.cumulative_trapezoid(values, grid, initial=0)))
    assert stats.kstest(pit, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("make", MAKERS)
def test_shapes_and_seeds(make):
    X, y = make(17, random_state=3)
    assert X.shape == (17, 1)
    assert y.shape == (17,)
    np.testing.assert_array_equal(y, make(17, random_state=3)[1])
    assert not np.array_equal(y, make(17, random_state=4)[1])
    loud = make(500, noise=2.0, random_state=3)[1]
    assert loud.std() > make(500, noise=0.1, random_state=3)[1].std()


def test_wind_power():
    bunch = datasets.load_wind_power()
    assert bunch.data.shape == (4464, 2)
    assert bunch.feature_names == ["wind_speed_ms", "ambient_temp_C"]
    assert "Etalab" in bunch.DESCR
    assert ((bunch.data[:, 0] > 5) & (bunch.target <= 0)).sum() == 340  # it stood still
    X, y = datasets.load_wind_power(return_X_y=True, as_frame=True)
    assert list(X.columns) == bunch.feature_names
    assert y.name == bunch.target_name == "power_kW"
    np.testing.assert_array_equal(y, bunch.target)


def test_wind_power_closes_its_file():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        datasets.load_wind_power()
        gc.collect()
    assert not caught
