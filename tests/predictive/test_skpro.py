"""skpro's distribution object: skpro itself as oracle, and its own conformance checks."""

import pickle
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor

from skcocoafuse import MoERegressor, PredictiveDistribution, predict_dist
from tests.predictive.test_distribution import LOC, SCALE, brute_force, make

pytest.importorskip("skpro", reason="skpro is an optional dependency (the extra 'skpro')")

from skpro.distributions.mixture import Mixture
from skpro.distributions.normal import Normal
from skpro.metrics import CRPS, LogLoss, PinballLoss
from skpro.regression.adapters.sklearn import SklearnProbaReg
from skpro.utils.estimator_checks import check_estimator

from skcocoafuse.predictive.skpro_distribution import SkproDistribution

_DAYS = ["2020-01-01", "2020-01-02", "2020-01-04", "2020-01-08", "2020-01-16", "2020-02-01"]
INDEX = pd.DatetimeIndex(_DAYS, tz="UTC", name="day")
COLUMNS = pd.Index(["power"])
WHERE = {"index": INDEX, "columns": COLUMNS}


@pytest.fixture
def ours():
    return make(n_experts=2, n_draws=2)[2].to_skpro(**WHERE)


@pytest.fixture
def theirs():
    """Two experts and two draws, component by component; their gates are constant."""
    problem, parameters, _ = make(n_experts=2, n_draws=2)
    parameters.gate_coef[...] = 0.0  # skpro's mixtures have the same weights at all rows
    dist = PredictiveDistribution(problem.spec, parameters, problem.designs, LOC, SCALE)
    weight, mean, sd = brute_force(problem, parameters)
    normals = [Normal(mu=mean[:, [k]], sigma=sd[:, [k]], **WHERE) for k in range(4)]
    return dist.to_skpro(**WHERE), Mixture(normals, weights=weight[0])


def test_agrees_with_a_mixture_of_skpro_normals(theirs):
    ours, mixture = theirs
    x = mixture.mean() + np.linspace(-4, 4, 6)[:, None]
    pd.testing.assert_frame_equal(ours.mean(), mixture.mean())
    pd.testing.assert_frame_equal(ours.var(), mixture.var())
    for name in ("pdf", "log_pdf", "cdf", "surv"):
        pd.testing.assert_frame_equal(getattr(ours, name)(x), getattr(mixture, name)(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skpro's mixture finds quantiles by bisection
        expected = mixture.quantile([0.05, 0.5])
    pd.testing.assert_frame_equal(ours.quantile([0.05, 0.5]), expected, atol=1e-9)


def test_agrees_with_a_normal_of_skpro():
    """One expert and one draw; skpro knows the energy of a Normal in closed form."""
    problem, parameters, dist = make(n_experts=1, n_draws=1)
    _, mean, sd = brute_force(problem, parameters)
    ours, normal = dist.to_skpro(**WHERE), Normal(mu=mean, sigma=sd, **WHERE)
    x = normal.mean() + np.linspace(-4, 4, 6)[:, None]
    pd.testing.assert_frame_equal(ours.energy(), normal.energy(), rtol=1e-7)
    pd.testing.assert_frame_equal(ours.energy(x), normal.energy(x), rtol=1e-7)
    p = pd.DataFrame(np.linspace(0.01, 0.99, 6), **WHERE)
    pd.testing.assert_frame_equal(ours.ppf(p), normal.ppf(p))
    pd.testing.assert_frame_equal(ours.cdf(ours.ppf(p)), p)


def test_keeps_and_selects_rows(ours):
    full = ours.mean()
    pd.testing.assert_index_equal(full.index, INDEX)
    pd.testing.assert_index_equal(full.columns, COLUMNS)
    for rows in ([4, 1], slice(1, 5, 2), np.arange(6) > 2, range(2), [-1]):
        part = ours.iloc[rows]
        pd.testing.assert_frame_equal(part.mean(), full.iloc[rows])
    pd.testing.assert_frame_equal(ours.loc[INDEX[[3, 0]]].var(), ours.var().iloc[[3, 0]])
    pd.testing.assert_frame_equal(ours.head(2).mean(), full.head(2))
    number = ours.iat[2, 0]
    assert number.mean() == pytest.approx(full.iat[2, 0])
    assert number.cdf(number.ppf(0.3)) == pytest.approx(0.3)
    with pytest.raises(IndexError, match="index 1 is out of bounds"):
        ours.iat[2, 1]


def test_samples_follow_the_distribution(ours):
    np.random.seed(0)  # noqa: NPY002 - skpro's only source of randomness
    sample = ours.sample(4000)
    assert sample.index.nlevels == 2
    pd.testing.assert_index_equal(sample.loc[7].index, INDEX, exact="equiv")
    by_row = sample.groupby(level=1)
    error = (by_row.mean() - ours.mean()) / np.sqrt(ours.var() / 4000)
    assert np.abs(error.to_numpy()).max() < 4.5
    np.testing.assert_allclose(by_row.var(), ours.var(), rtol=0.15)
    pd.testing.assert_index_equal(ours.sample().index, INDEX)


def test_metrics_of_skpro_take_it(switch):
    X, y = switch[0][:80], switch[1][:80]
    dist = MoERegressor(inference="map", random_state=0).fit(X, y).predict_dist(X)
    ours, observed = dist.to_skpro(columns=["y"]), pd.DataFrame({"y": y})
    assert CRPS()(observed, ours) == pytest.approx(dist.crps(y).mean(), rel=1e-6)
    assert LogLoss()(observed, ours) == pytest.approx(-dist.logpdf(y).mean())
    quantiles = ours.quantile([0.1, 0.9])
    error = y[:, None] - dist.ppf([0.1, 0.9])
    pinball = np.maximum(np.array([0.1, 0.9]) * error, np.array([-0.9, -0.1]) * error).mean()
    assert PinballLoss()(observed, quantiles) == pytest.approx(pinball)


def test_behind_a_transformed_target(switch):
    X, y = switch[0][:80], np.exp(switch[1][:80] / 3)
    inner = MoERegressor(inference="map", random_state=0)
    fitted = TransformedTargetRegressor(inner, func=np.log, inverse_func=np.exp).fit(X, y)
    dist = predict_dist(fitted, X[:5])
    ours, observed = dist.to_skpro(), pd.DataFrame(y[:5])
    np.testing.assert_allclose(ours.log_pdf(observed).to_numpy()[:, 0], dist.logpdf(y[:5]))
    assert CRPS()(observed, ours) == pytest.approx(dist.crps(y[:5]).mean(), rel=1e-5)


def test_regressors_fit_into_skpros_adapter(switch):
    X, y = pd.DataFrame(switch[0][:80], columns=["x"]), pd.DataFrame({"y": switch[1][:80]})
    adapter = SklearnProbaReg(MoERegressor(inference="map", random_state=0)).fit(X, y)
    expected = adapter.estimator_.predict(X, return_std=True)
    np.testing.assert_allclose(adapter.predict_proba(X).mean().to_numpy()[:, 0], expected[0])
    np.testing.assert_allclose(adapter.predict_var(X).to_numpy()[:, 0], expected[1] ** 2)


def test_passes_skpros_own_checks(monkeypatch):
    dist = make(n_draws=3)[2]
    examples = [{"dist": dist, **WHERE}, {"dist": dist[2]}]
    monkeypatch.setattr(
        SkproDistribution,
        "get_test_params",
        classmethod(lambda cls, parameter_set="default": examples),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_estimator(SkproDistribution, verbose=False)
    assert len(found) > 50
    assert set(found.values()) == {"PASSED"}


def test_pickles(ours):
    again = pickle.loads(pickle.dumps(ours))
    pd.testing.assert_frame_equal(again.mean(), ours.mean())


def test_labels_that_do_not_fit_are_counted():
    dist = make()[2]
    with pytest.raises(ValueError, match=r"each of the 6 rows and columns a single one.*5 and 1"):
        dist.to_skpro(index=range(5))
    with pytest.raises(ValueError, match="got 6 and 2"):
        dist.to_skpro(columns=["a", "b"])
    with pytest.raises(ValueError, match="without both: one row"):
        SkproDistribution(dist)


def test_without_skpro_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "skcocoafuse.predictive.skpro_distribution")
    monkeypatch.setitem(sys.modules, "skpro.distributions.base", None)
    with pytest.raises(ImportError, match=r'pip install "skcocoafuse\[skpro\]"'):
        make()[2].to_skpro()
