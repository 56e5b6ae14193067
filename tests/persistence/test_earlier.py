"""Fits kept by earlier releases.

``before_noise``: the noise had no inputs (commit 305d471, format 2.1). ``before_student_t``: it was
always Normal (commit 7951207, format 2.2), here with an input.
"""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest

from skcocoafuse import load
from tests.conftest import fit_quietly

INPUTS_OF_THE_NOISE = {"before_noise": 0, "before_student_t": 1}


@pytest.fixture(scope="module", params=INPUTS_OF_THE_NOISE)
def folder(request):
    return Path(__file__).parent / request.param


@pytest.fixture(scope="module", params=["fit.pickle", "fit.nc"])
def model(request, folder):
    path = folder / request.param
    if path.suffix == ".nc":
        return load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of another scikit-learn
        return pickle.loads(path.read_bytes())


@pytest.fixture(scope="module")
def kept(folder):
    """Inputs, target, and the predictions of that release."""
    numbers = np.loadtxt(folder / "predictions.csv", delimiter=",")
    return numbers[:, :2], *numbers[:, 2:].T


def test_predicts_as_before(model, kept):
    X, y, mean, log_density = kept
    np.testing.assert_allclose(model.predict(X), mean, rtol=1e-9)
    np.testing.assert_allclose(model.log_prob(X, y), log_density, rtol=1e-9)


def test_has_the_noise_it_had(model, kept, folder):
    X, n = kept[0], INPUTS_OF_THE_NOISE[folder.name]
    assert model.get_params()["noise"] == "normal"
    assert model.noise_df_ == np.inf
    assert model.noise_coef_.shape == (2, n)
    assert sum(name.startswith("noise") for name in model.summary().index) == 2 * n
    assert len(np.unique(model.predict_noise(X), axis=0)) == (len(X) if n else 1)


def test_can_be_kept_and_fitted_again(model, kept, tmp_path):
    X, y = kept[:2]
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    model.save(tmp_path / "fit.nc")
    np.testing.assert_array_equal(load(tmp_path / "fit.nc").predict(X), model.predict(X))
    warm = again.set_params(warm_start=True, noise_features=[0], noise="student_t", inference="map")
    fit_quietly(warm, X, y)
    assert warm.noise_coef_.shape == (2, 1)
    assert np.isfinite(warm.noise_df_)
