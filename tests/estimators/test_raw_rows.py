"""Arrays that are too large to be copied: the fit is that of copies, in little more memory."""

import pickle
import tracemalloc

import numpy as np
import pytest

from skcocoafuse import CoCoAFusERegressor, MoERegressor
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.datasets import make_switch_and_transition
from skcocoafuse.model import posing
from skcocoafuse.model.parted import BLOCK_ROWS, RawRows
from skcocoafuse.model.rows import RowsInMemory


@pytest.fixture
def large(monkeypatch):
    """Every array of numbers counts as large."""
    monkeypatch.setattr(posing, "_MAX_COPIED", 0)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X, y = make_switch_and_transition(3 * BLOCK_ROWS // 2 + 5, random_state=0)
    X = np.column_stack([X, rng.normal(50.0, 9.0, (len(X), 2))]).astype(np.float32)
    return X, y, rng.integers(0, 3, len(y)).astype(float)


MODEL = CoCoAFusERegressor(
    3,
    expert_features=[0, 2],
    gate_features=[2, 0],
    behavior_features=[0, 2],
    noise_features=[1],
    inference="map",
    random_state=0,
)


def posed(data, **changes):
    return CoCoAFusERegressor(**MODEL.get_params() | changes)._pose(*data)


def test_the_log_posterior_is_that_of_copies(data, monkeypatch):
    """With parts that share columns, in another order, and an incomplete last tile."""
    for changes in ({}, {"standardize": False}, {"noise": "student_t", "gate_features": [1, 0]}):
        copied = posed(data, **changes).problem
        with monkeypatch.context() as patch:
            patch.setattr(posing, "_MAX_COPIED", 0)
            raw = posed(data, **changes).problem
        assert isinstance(copied.rows, RowsInMemory)
        assert isinstance(raw.rows, RawRows)
        assert raw.spec == copied.spec
        one, two = Kernel(copied), Kernel(raw)
        points = np.random.default_rng(1).normal(0.0, 0.5, (3, one.n_parameters))
        for expected, found in zip(
            one.function().at_many(points), two.function().at_many(points), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_fit_is_that_of_copies(data, order, dtype, monkeypatch, tmp_path):
    X, y, weight = data
    X = np.asarray(X, dtype=dtype, order=order)
    expected = MoERegressor(2, inference="map", random_state=0).fit(X, y, weight)
    monkeypatch.setattr(posing, "_MAX_COPIED", 0)
    np.save(tmp_path / "X.npy", X)
    for values in (X, np.load(tmp_path / "X.npy", mmap_mode="r")):
        found = MoERegressor(2, inference="map", random_state=0).fit(values, y, weight)
        assert isinstance(found.fitted_.problem.rows, RawRows)
        for name in ("expert_coef_", "gate_coef_", "sigma_"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-5)
        np.testing.assert_allclose(found.predict(X[:50]), expected.predict(X[:50]), rtol=1e-6)
        for name in ("expert_share", "out_of_range_r2_loss"):
            np.testing.assert_allclose(
                found.diagnostics_[name], expected.diagnostics_[name], rtol=1e-4
            )


def test_what_needs_the_rows_has_them(data, large, tmp_path):
    """Leave-one-out, files, ArviZ and pickles, also after the fit."""
    X, y, _ = data
    model = MoERegressor(2, inference="vi", draws=50, random_state=0).fit(X[:300], y[:300])
    assert isinstance(model.fitted_.problem.rows, RawRows)
    copied = pickle.loads(pickle.dumps(model))
    assert copied.loo().elpd == pytest.approx(model.loo().elpd, rel=1e-9)
    model.save(tmp_path / "fit.nc")
    model.to_arviz()
    from skcocoafuse import load

    np.testing.assert_allclose(load(tmp_path / "fit.nc").loo().elpd, model.loo().elpd)


def test_memory_does_not_grow_with_the_rows(data, large):
    """float32 rows are neither copied nor converted; 40 bytes a row would be a copy of y, X."""
    peaks = []
    for n in (100_000, 200_000):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(n, 8)).astype(np.float32)
        y = X[:, 0] + rng.normal(size=n)
        tracemalloc.start()
        posed = MoERegressor(2)._pose(X, y, None)
        Kernel(posed.problem)(np.zeros(posed.problem.spec.n_parameters))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 100_000 < 20  # y without rows of weight 0, and which these are


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (np.nan, r"(?s)contains NaN.*column 1 of X"),
        (np.inf, "contains infinity"),
        (1e38, None),
    ],
)
def test_errors_are_those_of_copies(data, large, bad, match):
    X, y, _ = data
    X = X.copy()
    X[-3, 1] = bad
    if match is None:
        assert np.isfinite(MoERegressor(inference="map", random_state=0).fit(X, y).score(X, y))
        return
    with pytest.raises(ValueError, match=match):
        MoERegressor(inference="map").fit(X, y)


def test_float32_inputs_are_exact_for_transformers(data):
    """Slopes by numerical differences would otherwise have three digits."""
    from sklearn.preprocessing import SplineTransformer

    X, y, _ = data
    X, y = X[:200, :1], y[:200]
    fits = [
        MoERegressor(2, expert_features=SplineTransformer(5), inference="map", random_state=0).fit(
            values, y
        )
        for values in (X, X.astype(float))
    ]
    one, two = (
        model.local_coef(values) for model, values in zip(fits, (X, X.astype(float)), strict=True)
    )
    np.testing.assert_array_equal(one, two)
