"""Searches with joblib's backends: the same results, and no more threads than cores."""

import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from sklearn.model_selection import GridSearchCV

from skcocoafuse import MoERegressor, cross_val_predict_dist, select_n_experts
from skcocoafuse._validation import cores_for
from skcocoafuse.datasets import make_switch

pytestmark = pytest.mark.xdist_group("joblib")
MODEL = MoERegressor(inference="vi", draws=100, random_state=0)
BACKENDS = ["loky", "threading", "dask in processes", "dask in threads"]


@pytest.fixture(scope="module")
def data():
    return make_switch(120, random_state=0)


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    """The name for ``joblib.parallel_config``, with the cluster that it needs."""
    name, _, where = request.param.partition(" in ")
    if not where:
        yield name
        return
    options = {"processes": where == "processes", "dashboard_address": None}
    options |= {"n_workers": 2 if where == "processes" else 1}
    options |= {"threads_per_worker": 2 // options["n_workers"]}
    with LocalCluster(**options) as cluster, Client(cluster):
        yield name


def threads_of_a_fit(estimator, X, y=None) -> int:
    """A score: threads that a fit uses there by default."""
    return cores_for(None, 64)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fits_beside_others_have_one_thread(backend, data):
    """Two fits at a time, of one thread each; alone, a fit has all cores."""
    fast = MoERegressor(inference="map", random_state=0)
    search = GridSearchCV(fast, {"n_experts": [1, 2]}, cv=2, scoring=threads_of_a_fit)
    search.set_params(refit=False, n_jobs=2)
    assert threads_of_a_fit(fast, None) == joblib.cpu_count()
    with joblib.parallel_config(backend):
        scores = search.fit(*data).cv_results_
    assert {scores[f"split{k}_test_score"][m] for k in range(2) for m in range(2)} == {1}
    assert threads_of_a_fit(fast, None) == joblib.cpu_count()


@pytest.fixture(scope="module")
def expected(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = GridSearchCV(MODEL, {"n_experts": [1, 2]}, cv=2).fit(*data)
        selection = select_n_experts(MODEL, *data, n_experts=[1, 2], cv=3)
        return search, selection, cross_val_predict_dist(MODEL, *data, cv=3).mean()


def test_results_do_not_depend_on_the_backend(backend, data, expected):
    search, selection, mean = expected
    with warnings.catch_warnings(), joblib.parallel_config(backend, n_jobs=2):
        warnings.simplefilter("ignore")
        found = GridSearchCV(MODEL, {"n_experts": [1, 2]}, cv=2).fit(*data)
        selected = select_n_experts(MODEL, *data, n_experts=[1, 2], cv=3)
        predicted = cross_val_predict_dist(MODEL, *data, cv=3).mean()
    np.testing.assert_allclose(
        found.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"], rtol=1e-6
    )
    figures = ["elpd", "se", "rhat"]
    pd.testing.assert_frame_equal(selected.table[figures], selection.table[figures], rtol=1e-6)
    np.testing.assert_allclose(predicted, mean, rtol=1e-6)


def test_chains_beside_others_run_one_after_another(backend, data):
    """The same draws as chains at the same time."""
    sampled = MoERegressor(draws=50, tune=50, chains=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sampled.fit(*data).posterior_.log_posterior
        with joblib.parallel_config(backend):
            found = joblib.Parallel(n_jobs=2)(joblib.delayed(_levels)(sampled, data) for _ in "ab")
    np.testing.assert_allclose(found, [expected] * 2, rtol=1e-9)


def _levels(model, data):
    return model.fit(*data).posterior_.log_posterior
