"""Credible intervals of what is inside a model: those of its draws, as arrays and as frames."""

import numpy as np
import pandas as pd
import pytest
from scipy import special

from skcocoafuse import CoCoAFusERegressor
from skcocoafuse.datasets import make_switch_and_transition
from tests.conftest import fit_quietly

METHODS = [
    *("predict_mean", "predict_experts", "predict_noise", "predict_gate", "predict_behavior"),
    "local_coef",
]


@pytest.fixture(scope="module")
def rows():
    X, _ = make_switch_and_transition(7, random_state=1)
    dates = pd.date_range("2026-01-01", periods=7)
    return pd.DataFrame({"speed": 3.0 + 10.0 * X[:, 0], "heat": np.arange(7.0)}, index=dates)


@pytest.fixture(scope="module")
def fitted(once):
    X, y = make_switch_and_transition(200, random_state=0)
    heat = np.random.default_rng(0).normal(3.0, 2.0, 200)
    X = pd.DataFrame({"speed": 3.0 + 10.0 * X[:, 0], "heat": heat})
    model = CoCoAFusERegressor(3, noise_features=["speed"], inference="vi", draws=100)
    model.set_params(random_state=0)
    return once({"credible": lambda: fit_quietly(model, X, 50.0 + 20.0 * y)})["credible"]


def by_hand(model, X):
    """Values of every draw and row, from draws in original units and nothing else."""
    p = model.fitted_.posed.units.undo(model.posterior_.main_cluster().flat())
    X = X.to_numpy()
    lines = p.expert_intercept[:, None, :] + X @ p.expert_coef.mT
    gate = special.softmax(p.gate_intercept[:, None, :] + X @ p.gate_coef.mT, axis=-1)
    beta = special.expit(p.behavior_intercept[:, None] + p.behavior_coef @ X.T)
    return {
        "predict_experts": lines,
        "predict_gate": gate,
        "predict_behavior": beta,
        "predict_mean": (gate * lines).sum(axis=-1),
    }


@pytest.mark.parametrize("method", METHODS[:-1])
def test_intervals_are_those_of_the_draws(fitted, rows, method):
    mean, interval = getattr(fitted, method)(rows, coverage=0.8)
    np.testing.assert_allclose(mean, getattr(fitted, method)(rows))
    assert interval.shape == (*mean.shape, 2)
    assert (interval[..., 0] < interval[..., 1]).all()
    if method == "predict_noise":
        return
    draws = by_hand(fitted, rows)[method]
    if method != "predict_mean":
        np.testing.assert_allclose(mean, draws.mean(axis=0), rtol=1e-8)
        expected = np.quantile(draws, [0.1, 0.9], axis=0)
        np.testing.assert_allclose(np.moveaxis(interval, -1, 0), expected, rtol=1e-7, atol=1e-9)
    elif len(fitted.posterior_.clusters) == 1:
        expected = np.quantile(draws, [0.1, 0.9], axis=0, method="inverted_cdf")
        np.testing.assert_allclose(interval.T, expected, rtol=1e-7)


def test_the_mean_is_that_of_predict(fitted, rows):
    np.testing.assert_allclose(fitted.predict_mean(rows), fitted.predict(rows), rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_frames_have_the_numbers_of_the_arrays(fitted, rows, method):
    call = getattr(fitted, method)
    mean, interval = call(rows, coverage=0.8)
    alone, whole = call(rows, output="pandas"), call(rows, coverage=0.8, output="pandas")
    for frame in (alone, whole):
        assert frame.index.equals(rows.index)
    np.testing.assert_array_equal(alone.to_numpy().reshape(mean.shape), mean)
    if mean.ndim == 1:
        assert list(whole.columns) == ["mean", "lower", "upper"]
        np.testing.assert_array_equal(whole[["lower", "upper"]], interval)
        return
    labels = ["speed", "heat"] if method == "local_coef" else [0, 1, 2]
    assert list(alone.columns) == labels
    assert alone.columns.name == ("feature" if method == "local_coef" else "expert")
    for k, label in enumerate(labels):
        assert list(whole[label].columns) == ["mean", "lower", "upper"]
        np.testing.assert_array_equal(whole[label]["mean"], mean[:, k])
        np.testing.assert_array_equal(whole[label][["lower", "upper"]], interval[:, k])


def test_arrays_have_frames_with_plain_labels(fitted, rows):
    frame = fit_quietly(
        CoCoAFusERegressor(2, inference="map", random_state=0), rows.to_numpy(), np.arange(7.0)
    ).local_coef(rows.to_numpy(), output="pandas")
    assert list(frame.columns) == ["x0", "x1"]
    assert frame.index.equals(pd.RangeIndex(7))


@pytest.mark.parametrize("method", METHODS)
def test_bad_arguments_are_named(fitted, rows, method):
    call = getattr(fitted, method)
    with pytest.raises(ValueError, match="coverage must"):
        call(rows, coverage=1.0)
    with pytest.raises(ValueError, match="output must be 'default'"):
        call(rows, output="polars")
    with pytest.raises(TypeError, match="It is called coverage here"):
        call(rows, level=0.9)


def test_predict_says_which_interval_is_which(fitted, rows):
    with pytest.raises(TypeError, match=r"predict_interval\(X.*new observations, predict_mean"):
        fitted.predict(rows, coverage=0.9)
