"""Fits kept by a release in which the noise had no inputs (commit 305d471, format 2.1)."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest

from skcocoafuse import load
from tests.conftest import fit_quietly

FOLDER = Path(__file__).parent / "before_noise"


@pytest.fixture(scope="module", params=["fit.pickle", "fit.nc"])
def model(request):
    path = FOLDER / request.param
    if path.suffix == ".nc":
        return load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of another scikit-learn
        return pickle.loads(path.read_bytes())


@pytest.fixture(scope="module")
def kept():
    """Inputs, target, and the predictions of that release."""
    numbers = np.loadtxt(FOLDER / "predictions.csv", delimiter=",")
    return numbers[:, :2], *numbers[:, 2:].T


def test_predicts_as_before(model, kept):
    X, y, mean, log_density = kept
    np.testing.assert_allclose(model.predict(X), mean, rtol=1e-9)
    np.testing.assert_allclose(model.log_prob(X, y), log_density, rtol=1e-9)


def test_has_a_constant_noise(model, kept):
    X = kept[0]
    assert model.get_params()["noise_features"] == ()
    assert model.noise_coef_.shape == (2, 0)
    np.testing.assert_allclose(model.predict_noise(X), np.tile(model.sigma_, (len(X), 1)))
    assert not any(name.startswith("noise") for name in model.summary().index)


def test_can_be_kept_and_fitted_again(model, kept, tmp_path):
    X, y = kept[:2]
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    model.save(tmp_path / "fit.nc")
    np.testing.assert_array_equal(load(tmp_path / "fit.nc").predict(X), model.predict(X))
    warm = again.set_params(warm_start=True, noise_features=[0], inference="map")
    assert fit_quietly(warm, X, y).noise_coef_.shape == (2, 1)
