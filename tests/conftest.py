"""Fixtures that several files share: fits are made once a run, see `once`."""

import functools
import signal

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor
from skcocoafuse.datasets import make_switch, make_transition
from tests.once import folder_of, made_once

REGRESSORS = [MoERegressor, BoERegressor, CoCoAFusERegressor]


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run tests marked slow")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


def blas_threads():
    """Threads of every BLAS that is loaded."""
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def fit_quietly(estimator, X, y, **arguments):
    """Fit where convergence warnings are beside the point of the test."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X, y, **arguments)


@pytest.fixture
def ctrl_c_raises():
    """Python's own handler, also where the suite runs in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """``once({name: function})``: their results by name, which all workers of a run share.

    For what takes seconds. Names are unique in the run, and results must pickle.
    """
    return functools.partial(made_once, folder_of(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="session")
def transition():
    """300 rows to fit and 2000 to judge on, with their true log density."""
    X, y = make_transition(300, random_state=0)
    X_test, y_test, density = make_transition(2000, random_state=1, return_density=True)
    return X, y, X_test, y_test, np.log(density(X_test, y_test))


@pytest.fixture(scope="session")
def switch():
    X, y = make_switch(300, random_state=0)
    X_test, y_test, density = make_switch(2000, random_state=1, return_density=True)
    return X, y, X_test, y_test, np.log(density(X_test, y_test))


@pytest.fixture(scope="session")
def nuts_transition(once, transition):
    """The three models on the transition, by their default inference."""
    return _default_fits(once, "transition", *transition[:2])


@pytest.fixture(scope="session")
def nuts_switch(once, switch):
    return _default_fits(once, "switch", *switch[:2])


def _default_fits(once, name, X, y):
    def fit(regressor):
        return lambda: fit_quietly(regressor(random_state=0), X, y)

    fits = once({f"{r.__name__} of {name}": fit(r) for r in REGRESSORS})
    return {r.__name__: found for r, found in zip(REGRESSORS, fits.values(), strict=True)}


@pytest.fixture(scope="session", params=REGRESSORS, ids=lambda r: r.__name__)
def map_fit(request, once, transition):
    """A fast instance of each regressor."""
    model = request.param(inference="map", random_state=0)
    name = f"map fit of {request.param.__name__}"
    return once({name: lambda: model.fit(*transition[:2])})[name]
