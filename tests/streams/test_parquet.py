"""Parquet datasets: the fit of the same rows in memory, and the same messages."""

import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

from skcocoafuse import MoERegressor, load, predict_dist, predict_to_parquet
from skcocoafuse.streams import parquet
from tests.streams.problems import FEATURES, assert_same, model, table


@pytest.fixture(scope="module")
def frame():
    return table()


@pytest.fixture(scope="module")
def folder(frame, tmp_path_factory):
    """Three files of unequal length and row groups, one of them without rows."""
    folder = tmp_path_factory.mktemp("rows")
    for number, rows in enumerate((slice(0, 3500), slice(3500, 3500), slice(3500, None))):
        part = pa.Table.from_pandas(frame[rows], preserve_index=False)
        pq.write_table(part, folder / f"{number}.parquet", row_group_size=1300)
    return folder


@pytest.fixture(scope="module")
def in_memory(frame):
    return model().fit(frame[FEATURES], frame["power"], frame["hours"])


@pytest.mark.parametrize("batch_rows", [450, 1_000_000])
def test_the_fit_is_that_in_memory(folder, in_memory, batch_rows, monkeypatch):
    monkeypatch.setattr(parquet, "_BATCH_ROWS", batch_rows)
    filtered = ds.dataset(folder).filter(pc.field("power") < 1e6)  # all rows
    for source in (folder, str(folder), ds.dataset(folder), filtered):
        found = model().fit(source, "power", "hours")
        assert_same(found, in_memory)
        assert list(found.feature_names_in_) == FEATURES
        assert found.n_features_in_ == 2


def test_variational_fits_agree(frame, folder):
    """Draws of Normals that agree to 1e-4: the same ones, but for those resampled at a tie."""
    expected = model(inference="vi").fit(frame[FEATURES], frame["power"])
    found = model(inference="vi").fit(folder, "power")
    assert found.diagnostics_["pareto_k"] == pytest.approx(
        expected.diagnostics_["pareto_k"], abs=1e-3
    )
    theta, other = (m.posterior_.spec.pack(m.posterior_.flat()) for m in (expected, found))
    same = np.isclose(theta, other, rtol=1e-4, atol=1e-4).all(axis=1)
    assert same.mean() > 0.98


def test_all_other_columns_are_features_by_default(frame, tmp_path):
    frame.drop(columns="site").to_parquet(tmp_path / "rows.parquet")
    whole = MoERegressor(2, inference="map", random_state=0)
    found = whole.fit(tmp_path / "rows.parquet", "power", "hours")
    assert list(found.feature_names_in_) == ["speed", "temperature"]
    by_index = model(expert_features=[0, 1], gate_features=[0], behavior_features=[0])
    named = model().fit(tmp_path / "rows.parquet", "power")
    by_index.fit(tmp_path / "rows.parquet", "power")
    assert list(by_index.feature_names_in_) == ["speed", "temperature", "hours"]
    np.testing.assert_allclose(by_index.expert_coef_, named.expert_coef_, rtol=1e-5)


def test_numbers_of_any_kind(frame, tmp_path):
    """float32, integers, booleans and decimals, and nulls where weights do not count."""
    frame = frame[FEATURES].assign(
        power=frame["power"], old=frame["speed"] > 0, n=np.arange(len(frame)) % 7
    )
    kinds = pa.Table.from_pandas(frame, preserve_index=False)
    decimal = kinds["temperature"].cast(pa.decimal128(12, 4), safe=False)
    kinds = kinds.set_column(1, "temperature", decimal)
    pq.write_table(kinds, tmp_path / "rows.parquet")
    frame["temperature"] = frame["temperature"].round(4)
    found = MoERegressor(2, inference="map", random_state=0).fit(tmp_path, "power")
    expected = MoERegressor(2, inference="map", random_state=0)
    expected.fit(frame.drop(columns="power"), frame["power"])
    np.testing.assert_allclose(found.expert_coef_, expected.expert_coef_, rtol=1e-3, atol=1e-4)
    narrow = frame[FEATURES].astype(np.float32).assign(power=frame["power"])
    narrow.to_parquet(tmp_path / "rows.parquet")
    assert np.isfinite(model().fit(tmp_path, "power").sigma_).all()


def test_it_is_the_same_plain_object(folder, in_memory, frame, tmp_path):
    """It keeps a part of the rows, so files, pickles and leave-one-out work without the dataset."""
    found = model(inference="vi", draws=50).fit(folder, "power", "hours")
    rows = found.fitted_.problem.rows
    assert rows.n_rows == (frame["hours"] > 0).sum()  # of more than 20 000, that many
    assert rows.total_weight == pytest.approx(frame["hours"].sum())
    found.save(tmp_path / "fit.nc")
    X = frame[FEATURES][:20]
    for again in (load(tmp_path / "fit.nc"), pickle.loads(pickle.dumps(found))):
        np.testing.assert_allclose(again.predict(X), found.predict(X))
        assert again.loo().elpd == pytest.approx(found.loo().elpd)


def test_a_part_of_many_rows_is_kept(folder, frame, monkeypatch):
    monkeypatch.setattr("skcocoafuse.posterior.fit._MAX_KEPT", 500)
    found = model(inference="vi", draws=50).fit(folder, "power", "hours")
    rows = found.fitted_.problem.rows
    assert rows.n_rows == 500
    assert rows.total_weight == pytest.approx(frame["hours"].sum())
    all_rows = model(inference="vi", draws=50).fit(frame[FEATURES], frame["power"], frame["hours"])
    one, other = found.loo(), all_rows.loo()
    # each of 500 rows stands for a dozen; the error of the part itself, in standard deviations
    spread = np.std(one.pointwise) * rows.total_weight / np.sqrt(500)
    assert abs(one.elpd - other.elpd) < 4 * spread


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (("watts",), ValueError, r"y='watts' is not a column of the dataset, which has \['site'"),
        (("power", "days"), ValueError, "sample_weight='days' is not a column"),
        ((None,), TypeError, "y is the name of a column; got None"),
        (("site",), ValueError, "y='site' must be a column of numbers; it is "),
    ],
)
def test_names_that_are_wrong(folder, arguments, error, match):
    with pytest.raises(error, match=match):
        model().fit(folder, *arguments)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"expert_features": ["site", "speed"]}, ValueError, "(?s)could not convert.*'site' of X"),
        ({"gate_features": ["colour"]}, ValueError, "has 'colour', which is not a column of X"),
        ({"gate_features": SplineTransformer()}, TypeError, "gate_features is a transformer"),
        ({"inference": "nuts"}, ValueError, "passes over all rows many thousands.*'vi'"),
        ({"inference": "pymc"}, ValueError, "passes over all rows"),
    ],
    ids=str,
)
def test_models_that_do_not_fit_are_refused_before_a_pass(
    folder, frame, changes, error, match, monkeypatch
):
    monkeypatch.setattr(parquet.ParquetTable, "_batches", None)
    with pytest.raises(error, match=match) as found:
        model(**changes).fit(folder, "power")
    if "site" in match:
        with pytest.raises(error) as in_memory:
            model(**changes).fit(frame[["site", "speed", "temperature"]][:2], frame["power"][:2])
        assert str(found.value) == str(in_memory.value)


@pytest.mark.parametrize(
    ("column", "values", "match"),
    [
        ("speed", {1402: np.nan}, "(?s)X contains NaN.*'speed' of X.*rows 1000 to 1999 of the"),
        ("power", {2100: np.inf}, "(?s)y contains infinity.*impute.*rows 2000 to"),
        ("power", {2100: np.nan}, "(?s)y contains NaN.*rows 2000 to"),
        ("hours", {5: -1.0}, "(?s)[Nn]egative.*sample_weight.*rows 0 to 999"),
        ("hours", {5: 1e16}, "must sum to at most 1e[+]15"),
        ("speed", {5: 1e200}, "at most 1e[+]150 in absolute value"),
        ("hours", 0.0, "at least one non-zero"),
        ("power", 3.5, r"y is constant \(3.5 in all 4000 rows\)"),
    ],
)
def test_values_that_are_wrong_are_found(frame, tmp_path, column, values, match, monkeypatch):
    monkeypatch.setattr(parquet, "_BATCH_ROWS", 1000)
    frame = frame.copy()
    if isinstance(values, dict):
        for row, value in values.items():
            frame.loc[row, column] = value
    else:
        frame[column] = values
    frame.to_parquet(tmp_path / "rows.parquet")
    fitted = model().fit(table(500)[FEATURES], table(500)["power"])
    before = dict(vars(fitted))
    with pytest.raises(ValueError, match=match):
        fitted.fit(tmp_path / "rows.parquet", "power", "hours")
    assert vars(fitted) == before


def test_a_dataset_without_rows(frame, tmp_path):
    frame[:0].to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="has no rows"):
        model().fit(tmp_path, "power")


@pytest.mark.parametrize("source", ["nothing.parquet", "text.parquet"])
def test_what_is_no_dataset(tmp_path, source):
    (tmp_path / "text.parquet").write_text("speed,power\n1,2\n")
    with pytest.raises(ValueError, match="is no Parquet dataset"):
        model().fit(tmp_path / source, "power")


def test_a_dataset_that_changes_is_noticed(frame, tmp_path, monkeypatch):
    path = tmp_path / "rows.parquet"
    frame.to_parquet(path)
    rows = parquet.ParquetTable.rows

    def rewritten(self, *arguments):
        frame[:500].to_parquet(path)
        return rows(self, *arguments)

    monkeypatch.setattr(parquet, "_BATCH_ROWS", 1000)
    monkeypatch.setattr(parquet.ParquetTable, "rows", rewritten)
    with pytest.raises((RuntimeError, OSError)):
        model().fit(path, "power")


def test_without_pyarrow_the_extra_is_named(folder, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "skcocoafuse.streams.parquet", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'skcocoafuse\[parquet\]'"):
        model().fit(str(folder), "power")


# -- predictions -----------------------------------------------------------------------------


def test_predictions_are_those_in_memory(frame, folder, in_memory, tmp_path):
    n = predict_to_parquet(
        in_memory, folder, tmp_path / "out.parquet", coverage=0.8, keep=["site"], batch_rows=999
    )
    assert n == len(frame)
    found = pd.read_parquet(tmp_path / "out.parquet")
    dist = in_memory.predict_dist(frame[FEATURES])
    mean, std = dist.mean_and_std()
    expected = pd.DataFrame({"site": frame["site"], "mean": mean, "std": std})
    expected[["lower", "upper"]] = dist.interval(0.8)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_predictions_of_a_pipeline_without_intervals(frame, folder, tmp_path):
    pipe = make_pipeline(StandardScaler(), MoERegressor(2, inference="map", random_state=0))
    pipe.fit(frame[FEATURES], frame["power"])
    out = tmp_path / "out.parquet"
    out.write_text("an old file")
    predict_to_parquet(pipe, ds.dataset(folder), out, coverage=None)
    found = pd.read_parquet(out)
    assert list(found) == ["mean", "std"]
    np.testing.assert_allclose(found["mean"], predict_dist(pipe, frame[FEATURES]).mean())


def test_no_file_is_left_half_written(folder, in_memory, tmp_path, monkeypatch):
    out = tmp_path / "out.parquet"
    out.write_text("an old file")
    calls = []

    def fail(estimator, X):
        calls.append(len(X))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return predict_dist(estimator, X)

    monkeypatch.setattr("skcocoafuse.streams.parquet_predictions.predict_dist", fail)
    with pytest.raises(KeyboardInterrupt):
        predict_to_parquet(in_memory, folder, out, batch_rows=1000)
    assert len(calls) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
    assert out.read_text() == "an old file"


def test_predictions_that_cannot_be_made(folder, frame, in_memory, tmp_path):
    out = tmp_path / "out.parquet"
    frame[["speed"]].to_parquet(tmp_path / "few.parquet")
    with pytest.raises(ValueError, match=r"has no columns \['temperature', 'id'\]"):
        predict_to_parquet(in_memory, tmp_path / "few.parquet", out, keep=["id"])
    nameless = MoERegressor(2, inference="map").fit(frame[FEATURES].to_numpy(), frame["power"])
    with pytest.raises(ValueError, match="fitted without names of columns"):
        predict_to_parquet(nameless, folder, out)
    with pytest.raises(ValueError, match="coverage must be"):
        predict_to_parquet(in_memory, folder, out, coverage=95)
    assert not out.exists()
