"""Targets recorded in steps: no expert may be surer than the record."""

import numpy as np
import pytest
from scipy import stats

from skcocoafuse import CoCoAFusERegressor, MoERegressor
from skcocoafuse.model.design import smallest_difference
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


def test_rows_without_weight_do_not_set_the_step():
    X, y = ratings(60)
    weight = np.ones(62)
    weight[60:] = 0.0
    X_more, y_more = np.vstack([X, X[:2]]), np.append(y, [4.25, 4.5])
    model = MoERegressor(inference="map", random_state=0).fit(X_more, y_more, weight)
    assert (model.sigma_ >= 1.0 / np.sqrt(12.0)).all()


def test_unpacking_is_undone_by_packing():
    spec = ModelSpec(3, 2, 2, 2, rounding_variance=0.1)
    theta = np.random.default_rng(0).normal(size=(5, spec.n_parameters))
    np.testing.assert_allclose(spec.pack(spec.unpack(theta)), theta, atol=1e-9)
    least = spec.unpack(theta)._replace(sigma=np.full((5, 3), 0.1))  # less than rounding
    assert np.isfinite(spec.pack(least)).all()


@pytest.mark.parametrize("resolution", [-1.0, "fine", None])
def test_a_bad_resolution_is_refused(resolution):
    with pytest.raises(ValueError, match="target_resolution"):
        CoCoAFusERegressor(target_resolution=resolution).fit(*ratings(20))
