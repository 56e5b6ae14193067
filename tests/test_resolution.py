"""Targets recorded in steps: no expert may be surer than the record."""

import numpy as np
import pytest
from scipy import stats

from skcocoafuse import CoCoAFusERegressor, MoERegressor
from skcocoafuse.model.design import smallest_difference
from skcocoafuse.model.parameters import PARTS
from skcocoafuse.model.spec import ModelSpec


def ratings(n=300, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    return X, np.clip(np.round(5.5 + 0.6 * X[:, 0] + 0.7 * rng.normal(size=n)), 3, 8)


def test_ratings_get_a_density_that_knows_their_step():
    """Without a least variance an expert sits on one rating, and its density has no limit."""
    X, y = ratings()
    common = {"n_experts": 3, "inference": "map", "random_state": 0}
    model = MoERegressor(**common).fit(X, y)
    assert (model.sigma_ >= 1.0 / np.sqrt(12.0)).all()
    highest = stats.norm.pdf(0.0, scale=1.0 / np.sqrt(12.0))
    assert np.exp(model.log_prob(X, y)).max() <= highest
    unlimited = MoERegressor(**common, target_resolution=0.0).fit(X, y)
    assert unlimited.sigma_.min() < 1e-3


def test_ratings_can_be_sampled():
    X, y = ratings()
    model = CoCoAFusERegressor(draws=300, tune=300, chains=2, random_state=0, n_jobs=2).fit(X, y)
    assert model.diagnostics_["rhat"] < 1.1
    X_test, y_test = ratings(2000, seed=1)
    truth = np.diff(stats.norm.cdf(np.arange(2.5, 9), 5.5 + 0.6 * X_test[:, :1], 0.7), axis=1)
    entropy = -np.log(truth[np.arange(2000), (y_test - 3).astype(int)]).mean()
    # a density within a step of 1 cannot beat the probabilities of the steps by more than
    # sampling error and the sharpness of a Normal at its centre
    assert entropy - 0.35 < -model.log_prob(X_test, y_test).mean() < entropy + 0.1


def test_resolution_is_read_off_the_target():
    assert smallest_difference(np.array([3.0, 3.5, 3.0, 7.0])) == 0.5
    assert smallest_difference(np.array([2.0, 2.0])) == 0.0
    X, y = ratings(60)
    common = {"inference": "map", "random_state": 0}
    auto = CoCoAFusERegressor(**common).fit(X, y)
    given = CoCoAFusERegressor(**common, target_resolution=1.0).fit(X, y)
    np.testing.assert_allclose(auto.sigma_, given.sigma_, rtol=1e-9)
    cents = CoCoAFusERegressor(**common).fit(X, 100.0 * y)
    np.testing.assert_allclose(cents.sigma_, 100.0 * auto.sigma_, rtol=1e-4)


def readings(seed, decimals=1, offset=20.0, dtype=float):
    """Two series with so many decimals, 0 to 3 steps apart, and X that tells nothing."""
    r = np.random.default_rng(seed)
    X = r.normal(size=(200, 1))
    step = 10.0**-decimals
    warm = np.round(offset + 50 * step * X[:, 0], decimals).astype(dtype)
    apart = step * r.choice([0, 1, 2, 3], 200)
    return X, warm, np.round(warm - apart.astype(dtype), decimals).astype(dtype)


SEEDS = range(5)
RNG = np.random.default_rng(0)
THIRDS = RNG.integers(0, 9, 200)
BEGUN = np.round(1.7e9 + RNG.uniform(0, 1e6, 200), 3)  # seconds since 1970
TENTHS = np.subtract(*readings(0)[1:])
RECORDED = {  # values, and the step they were recorded in
    "tenths": (RNG.choice([0.1, 0.2, 0.7], 200), 0.1),
    "sums of tenths": (RNG.choice([0.1, 0.2, 0.3], (200, 3)).sum(axis=1), 0.1),
    "sums minus sums": (
        np.round(RNG.uniform(0, 10, (200, 3)), 1) @ [1, 1, -1] - RNG.choice([0.1, 0.2], 200),
        0.1,
    ),
    "thirds by two ways": (np.append(THIRDS / 3, THIRDS * (1 / 3)), 1 / 3),
    "percent": (100 * np.round(RNG.uniform(size=200), 2), 1.0),
    "mean of seven ratings": (RNG.integers(1, 6, (200, 7)).mean(axis=1), 1 / 7),
    "standardized": ((TENTHS - TENTHS.mean()) / 0.1, 1.0),
    "durations": (np.round(BEGUN + 0.001 * THIRDS, 3) - BEGUN, 0.001),
    "six decimals far from zero": (np.round(1e6 + 1e-6 * THIRDS, 6), 1e-6),
    "float32": (np.float32(THIRDS / 10), 0.1),
    "float32 sums": (np.float32(RNG.choice([0.1, 0.2, 0.3], (200, 3))).sum(axis=1), 0.1),
    "float32 far from zero": (np.float32(np.round(100 + 0.01 * THIRDS, 2)), 0.01),
}


@pytest.mark.parametrize(("values", "step"), RECORDED.values(), ids=RECORDED)
def test_rounding_in_floating_point_is_no_difference(values, step):
    assert smallest_difference(np.asarray(values, dtype=float)) == pytest.approx(step, rel=2e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", SEEDS)
def test_differences_of_readings_have_the_step_of_the_readings(seed, dtype):
    for decimals in (1, 2, 3):
        _, warm, cold = readings(seed, decimals, 200 * 10.0**-decimals, dtype)
        y = (warm - cold).astype(float)
        assert smallest_difference(y) == pytest.approx(10.0**-decimals, rel=2e-3)
        assert smallest_difference(-1e-30 * y) == pytest.approx(1e-30 * 10.0**-decimals, rel=2e-3)


FINE = {
    "beside ones": ([0.0, 1e-9, 2e-9, 1.0], 1e-9),
    "beside a million": ([0.0, 1e-9, 2e-9, 1e6], 1e-9),
    "beside a million in float32": (np.float32([0.0, 1e-9, 2e-9, 1e6]), 1e-9),
    "alone": (1e-9 * THIRDS, 1e-9),
    "tiny": (1e-300 * THIRDS, 1e-300),
    "powers of two": (2.0**-30 * THIRDS, 2.0**-30),
    "far from zero": (np.round(1e6 + RNG.choice([0.0, 1e-6, 2e-6, 1.0], 200), 6), 1e-6),
    "pairs": ([500.0, 500.01, 800.0, 800.01], 0.01),
    "pairs in float32": (np.float32([500.0, 500.01, 800.0, 800.01]), 0.01),
    "integers": ([0, 1, 100_000, 100_001, 16_000_000, 16_000_001], 1.0),
    "ratings and a code": (np.append(np.arange(11) / 2, 1e6), 0.5),
    "ratings, one of them odd, and a code": (np.append(np.arange(11), [3.7, 1e6]), 0.3),
}


@pytest.mark.parametrize(("values", "step"), FINE.values(), ids=FINE)
def test_a_fine_step_beside_a_wide_spread_is_kept(values, step):
    assert smallest_difference(np.asarray(values, dtype=float)) == pytest.approx(step, rel=2e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_continuous_targets_have_next_to_no_step(dtype):
    """No groups of values are taken for one, however many values there are."""
    for n in (200, 100_000):
        y = np.random.default_rng(n).normal(size=n)
        two = np.append(1e-3 * y, 1000.0 + 1e-3 * y)
        for values, scale in ((y, 1.0), (np.exp(3 * y), 1.0), (two, 1e-3)):
            exact = np.diff(np.unique(values.astype(dtype).astype(float)))
            found = smallest_difference(values.astype(dtype).astype(float))
            assert exact.min() <= found < max(1e-3 * scale, 2 * exact.min())


@pytest.mark.parametrize("seed", SEEDS)
def test_experts_do_not_collapse_onto_differences_of_readings(seed):
    """Some differences of readings, 0.1 apart, are 1e-15 apart: no expert fits inside."""
    X, warm, cold = readings(seed)
    model = MoERegressor(inference="map", random_state=0).fit(X, warm - cold)
    assert model.sigma_.min() >= 0.0999 / np.sqrt(12.0)


def test_differences_of_readings_can_be_sampled():
    X, warm, cold = readings(0)
    model = MoERegressor(draws=200, tune=200, chains=2, random_state=0, n_jobs=2)
    model.fit(X, warm - cold)
    assert model.sigma_.min() >= 0.0999 / np.sqrt(12.0)


def test_a_target_that_is_constant_up_to_rounding_is_refused():
    X, warm, _ = readings(0)
    for y in (warm - np.round(warm - 0.1, 1), np.where(X[:, 0] > 0, 0.3, 0.1 + 0.2)):
        assert smallest_difference(y) == 0.0
        with pytest.raises(ValueError, match=r"constant up to rounding.*Check the target"):
            MoERegressor(inference="map").fit(X, y)
    fine = 1e6 + 1e-7 * np.arange(200)
    assert smallest_difference(fine) > 0.0


def test_rows_without_weight_do_not_set_the_step():
    X, y = ratings(60)
    weight = np.ones(62)
    weight[60:] = 0.0
    X_more, y_more = np.vstack([X, X[:2]]), np.append(y, [4.25, 4.5])
    model = MoERegressor(inference="map", random_state=0).fit(X_more, y_more, weight)
    assert (model.sigma_ >= 1.0 / np.sqrt(12.0)).all()


def test_unpacking_is_undone_by_packing():
    spec = ModelSpec(3, dict.fromkeys(PARTS, 2), rounding_variance=0.1)
    theta = np.random.default_rng(0).normal(size=(5, spec.n_parameters))
    np.testing.assert_allclose(spec.pack(spec.unpack(theta)), theta, atol=1e-9)
    least = spec.unpack(theta)._replace(sigma=np.full((5, 3), 0.1))  # less than rounding
    assert np.isfinite(spec.pack(least)).all()


@pytest.mark.parametrize("resolution", [-1.0, "fine", None])
def test_a_bad_resolution_is_refused(resolution):
    with pytest.raises(ValueError, match="target_resolution"):
        CoCoAFusERegressor(target_resolution=resolution).fit(*ratings(20))
