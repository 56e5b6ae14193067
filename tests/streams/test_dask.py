"""Dask collections on a cluster: the fit of the same rows in memory, lazy predictions, faults."""

import os
import signal
import threading
import time
import warnings

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

from skcocoafuse import MoERegressor
from skcocoafuse.compiled.layout import layout_of
from skcocoafuse.streams import cluster as streams
from tests.streams.problems import FEATURES, assert_same, model, table

pytestmark = [
    pytest.mark.xdist_group("dask"),
    pytest.mark.filterwarnings("ignore::skcocoafuse.exceptions.CollapsedExpertWarning"),
]
N = 6000


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(processes=True, **options) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def frame():
    return table(N)


@pytest.fixture(scope="module")
def in_memory(frame):
    return model().fit(frame[FEATURES], frame["power"], frame["hours"])


def by_index(**changes):
    features = {"expert_features": [0, 1], "gate_features": [0], "behavior_features": [0]}
    return model(**features | changes)


def collections(frame, chunks):
    """X, y and weights as Dask arrays with these chunks of rows."""
    X = da.from_array(frame[FEATURES].to_numpy(), chunks=(chunks, -1))
    return X, *(da.from_array(frame[name].to_numpy(), chunks=chunks) for name in ("power", "hours"))


def unknown(array):
    """The same partitions, of unknown sizes."""
    return array.map_blocks(lambda x: x, dtype=array.dtype, chunks=array.chunks)[
        da.ones(array.shape[0], chunks=array.chunks[0], dtype=bool)
    ]


@pytest.mark.parametrize(
    "chunks", [N, 1700, ((0, 5, 4000, 1, 1994),)], ids=["one", "several", "unequal, empty"]
)
def test_the_fit_is_that_in_memory(client, frame, in_memory, chunks):
    chunks = chunks[0] if isinstance(chunks, tuple) else chunks
    X, y, weight = collections(frame, chunks)
    assert_same(by_index().fit(X, y, weight), in_memory)


def test_collections_of_any_kind(client, frame, in_memory):
    """Chunks of columns, unknown sizes, other chunks of y, columns of y, frames, and no cluster."""
    X, y, weight = collections(frame, 2500)
    for given in (
        (X.rechunk((2500, 1)), y[:, None], weight),
        (unknown(X), unknown(y), unknown(weight)),
        (X, y.rechunk(999), frame["hours"]),
        (X, frame["power"].to_list(), weight),
    ):
        assert_same(by_index().fit(*given), in_memory)
    frames = dd.from_pandas(frame, npartitions=3)
    for given in (
        (frames[FEATURES], frames["power"], frames["hours"]),
        (frames[FEATURES], frames[["power"]], frames["hours"].values),
    ):
        found = model().fit(*given)
        assert_same(found, in_memory)
        assert list(found.feature_names_in_) == FEATURES


def test_without_a_cluster(frame, in_memory):
    """Partitions are then computed here."""
    X, y, weight = collections(frame, 2500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "_client", lambda: None)
        assert_same(by_index().fit(X, y, weight), in_memory)


def test_variational_fits_agree_whatever_the_partitions(client, frame):
    """Draws of Normals that agree to 1e-4: the same ones, but for those resampled at a tie."""
    expected = by_index(inference="vi").fit(frame[FEATURES].to_numpy(), frame["power"])
    found = by_index(inference="vi").fit(*collections(frame, (100, 5900))[:2])
    theta, other = (m.posterior_.spec.pack(m.posterior_.flat()) for m in (expected, found))
    assert np.isclose(theta, other, rtol=1e-4, atol=1e-4).all(axis=1).mean() > 0.98


def test_rows_stay_on_their_workers(client, frame, monkeypatch):
    """What comes back for a pass is a value and a gradient, but to standardize and for parts."""
    results, mapped = [], streams._Workers.map
    posed = by_index()._pose(frame[FEATURES].to_numpy(), frame["power"], None)

    def noted(self, *arguments, **options):
        found = mapped(self, *arguments, **options)
        results.append(isinstance(found, np.ndarray) and found.shape == sizes)
        return found

    sizes = (layout_of(posed.problem.spec).natural[-1] + 1,)

    monkeypatch.setattr(streams._Workers, "map", noted)
    found = by_index().fit(*collections(frame, 2500))
    assert len(results) - sum(results) <= 13
    assert sum(results) > 10
    assert found.fitted_.problem.rows.n_rows == (frame["hours"] > 0).sum()


# -- input that does not fit -----------------------------------------------------------------


def wrong(X, y, weight):
    """Calls of fit that are wrong, and what is said."""
    yield (X, y[:-1]), ValueError, r"inconsistent numbers of samples: \[6000, 5999\]"
    yield (X[:, 0], y), ValueError, "Expected 2D array, got 1D array instead"
    yield (X, X), ValueError, "y should be a 1d array, got an array of 2d"
    yield (X, None), ValueError, "requires y to be passed, but the target y is None"
    yield (X.compute(), y), TypeError, r"X must be a Dask array or DataFrame; got ndarray"
    yield (unknown(X), y.compute()), ValueError, "y is in memory, but the sizes .* are unknown"
    yield (unknown(X), y.rechunk(100)), ValueError, "y has 60 partitions and X 3, of unknown"
    yield (
        (unknown(X), unknown(y.rechunk((2400, 2500, 1100)))),
        ValueError,
        ("(?s)inconsistent numbers of samples.*partition [012] of the Dask"),
    )
    yield (X, y, -weight), ValueError, r"(?s)[Nn]egative.*partition [012] of the Dask"
    yield (X, 0 * y + 1), ValueError, r"y is constant \(1.0 in all 6000 rows\)"
    yield (X, y, 0 * weight), ValueError, "at least one non-zero"


def test_what_does_not_fit_is_said(client, frame):
    for given, error, match in wrong(*collections(frame, 2500)):
        with pytest.raises(error, match=match):
            by_index().fit(*given)


def test_nan_is_found_and_its_partition_named(client, frame):
    X, y, _ = collections(frame, 2500)
    holes = da.map_blocks(_with_a_hole, X, dtype=X.dtype)
    with pytest.raises(ValueError, match=r"(?s)X contains NaN.*column 1 of X.*partition 1 of the"):
        by_index().fit(holes, y)
    assert np.isfinite(by_index(expert_features=[0]).fit(holes, y).sigma_).all()  # not used
    with pytest.raises(ValueError, match=r"(?s)y contains NaN.*impute.*partition 2 of the Dask"):
        by_index().fit(X, da.where(da.arange(N, chunks=2500) == 5500, np.nan, y))


def _with_a_hole(block, block_info=None):
    block = block.copy()
    if block_info and block_info[None]["chunk-location"][0] == 1:
        block[7, 1] = np.nan
    return block


def test_models_that_do_not_fit_are_refused_before_a_pass(client, frame, monkeypatch):
    frames = dd.from_pandas(frame, npartitions=3)
    monkeypatch.setattr(streams._Workers, "map", None)
    with pytest.raises(ValueError, match=r"(?s)could not convert.*'site' of X, which expert_feat"):
        model(expert_features=None).fit(frames[["site", *FEATURES]], frames["power"])
    with pytest.raises(ValueError, match=r"'nuts' passes over all rows.*'vi'"):
        model(inference="nuts").fit(frames[FEATURES], frames["power"])
    with pytest.raises(ValueError, match="has 'colour', which is not a column of X"):
        model(gate_features=["colour"]).fit(frames[FEATURES], frames["power"])


# -- lazy predictions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("predict", {}),
        ("predict_interval", {}),
        ("predict_interval", {"coverage": [0.5, 0.9]}),
        ("predict_quantiles", {"quantiles": [0.1, 0.5, 0.9]}),
        ("predict_gate", {}),
        ("predict_behavior", {}),
        ("predict_experts", {}),
        ("predict_noise", {}),
    ],
)
def test_predictions_are_lazy_and_those_in_memory(frame, in_memory, name, options):
    expected = getattr(in_memory, name)(frame[FEATURES], **options)
    frames = dd.from_pandas(frame[FEATURES], npartitions=3)
    lazy = getattr(in_memory, name)(frames, **options)
    assert isinstance(lazy, da.Array)
    assert lazy.dtype == expected.dtype
    assert lazy.shape[1:] == expected.shape[1:]
    np.testing.assert_allclose(lazy.compute(scheduler="sync"), expected)


def test_predictions_of_arrays_have_known_sizes(frame):
    fitted = by_index().fit(frame[FEATURES].to_numpy(), frame["power"])
    X, y, _ = collections(frame, 2500)
    for values in (X, X.rechunk((1000, 1))):
        assert fitted.predict(values).chunks == values.chunks[:1]
        assert fitted.predict_interval(values).chunks == (values.chunks[0], (2,))
    mean, std = fitted.predict(X, return_std=True)
    expected = fitted.predict(X.compute(), return_std=True)
    np.testing.assert_allclose(da.stack([mean, std]).compute(scheduler="sync"), expected)
    lazy = fitted.log_prob(X, y.rechunk(999)), fitted.responsibilities(X, y=y)
    for found, name in zip(lazy, ("log_prob", "responsibilities"), strict=True):
        expected = getattr(fitted, name)(X.compute(), y.compute())
        np.testing.assert_allclose(found.compute(scheduler="sync"), expected)
    assert unknown(X).shape[0] != unknown(X).shape[0]  # NaN
    np.testing.assert_allclose(fitted.predict(unknown(X)).compute(scheduler="sync"), mean)


def test_predictions_as_frames_have_meta_and_divisions(frame, in_memory):
    frames = dd.from_pandas(frame[FEATURES], npartitions=3)
    lazy = in_memory.predict_interval(frames, output="pandas")
    expected = in_memory.predict_interval(frame[FEATURES], output="pandas")
    assert lazy.divisions == frames.divisions
    pd.testing.assert_frame_equal(lazy._meta, expected[:0], check_index_type=False)
    pd.testing.assert_frame_equal(lazy.compute(scheduler="sync"), expected)


def test_lazy_predictions_are_checked_at_once(frame, in_memory):
    frames = dd.from_pandas(frame, npartitions=3)
    with pytest.raises(ValueError, match="feature names should match"):
        in_memory.predict(frames[["speed"]])
    with pytest.raises(ValueError, match="coverage must be"):
        in_memory.predict_interval(frames[FEATURES], coverage=95)
    with pytest.raises(TypeError, match="unexpected keyword argument 'alpha'"):
        in_memory.predict_interval(frames[FEATURES], alpha=0.1)
    with pytest.raises(TypeError, match=r"rows would all be gathered here.*compute"):
        in_memory.predict_dist(frames[FEATURES])
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        MoERegressor().predict(frames[FEATURES])


# -- faults ----------------------------------------------------------------------------------


def at_pass(monkeypatch, number, action):
    """Do something before a pass over the partitions; returns the list of passes."""
    passes, whole = [], streams._Workers.map

    def counted(self, *arguments, **options):
        passes.append(threading.current_thread().name)
        if len(passes) == number:
            action()
        return whole(self, *arguments, **options)

    monkeypatch.setattr(streams._Workers, "map", counted)
    return passes


def test_a_killed_worker_does_not_lose_the_fit(client, frame, in_memory, monkeypatch):
    pids = client.run(os.getpid)

    def kill():
        os.kill(next(iter(pids.values())), signal.SIGKILL)

    passes = at_pass(monkeypatch, 20, kill)
    found = by_index().fit(*collections(frame, 1000))
    assert len(passes) > 30
    assert_same(found, in_memory)
    client.wait_for_workers(2)
    assert set(client.run(os.getpid).values()) != set(pids.values())


def test_a_cluster_that_fails_is_said(client, frame, monkeypatch):
    """Futures that somebody cancels; the estimator is as before."""
    fitted = by_index().fit(frame[FEATURES].to_numpy(), frame["power"])
    before = dict(vars(fitted))
    tables, made = [], streams._Workers.each
    monkeypatch.setattr(
        streams._Workers, "each", lambda self, *a: tables.append(self) or made(self, *a)
    )
    at_pass(monkeypatch, 10, lambda: tables[0].release())
    with pytest.raises(RuntimeError, match=r"(?s)cluster failed during the fit.*as before"):
        fitted.fit(*collections(frame, 1000)[:2])
    assert vars(fitted) == before


def nothing_runs(client, seconds=20):
    """Whether workers have nothing to do, and no rows, within some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(client.processing().values()) and not any(client.has_what().values()):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("number", [2, 15, 30], ids=["standardizing", "refining", "polishing"])
def test_an_interrupt_leaves_nothing_running(client, frame, monkeypatch, number):
    fitted = by_index().fit(frame[FEATURES].to_numpy(), frame["power"])
    before = dict(vars(fitted))

    def interrupt():
        raise KeyboardInterrupt

    at_pass(monkeypatch, number, interrupt)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(*collections(frame, 1000))
    assert vars(fitted) == before
    assert nothing_runs(client)


def test_nothing_is_left_after_a_fit(client, frame):
    by_index().fit(*collections(frame, 1000))
    assert nothing_runs(client)


def test_without_workers_there_is_an_error(frame, monkeypatch):
    """Within half a minute, cut short here; the estimator is as before."""
    monkeypatch.setattr(streams, "_MAX_ALONE", 2.0)
    fitted = by_index().fit(frame[FEATURES].to_numpy(), frame["power"])
    before = dict(vars(fitted))
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with (
        LocalCluster(processes=False, **options) as cluster,
        Client(cluster, set_as_default=True),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        at_pass(monkeypatch, 5, lambda: cluster.scale(0))
        begun = time.monotonic()
        with pytest.raises(RuntimeError, match=r"no worker for 2 seconds.* as before"):
            fitted.fit(*collections(frame, 1000))
        assert time.monotonic() - begun < 30
    assert vars(fitted) == before
