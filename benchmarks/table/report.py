"""Table, figures and targets from a file of results, and from nothing else.

Run: python -m benchmarks.table.report results.csv --out FOLDER [--splits 0 1 2]
[--timed-splits 0] [--without moe-nuts]. Writes ``benchmark_table.rst``, ``benchmark_ranks.svg`` and
``benchmark_coverage.svg`` to the folder, and prints how ours stand among peers and whether the
targets are met.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.table import figures, results, standings, targets
from benchmarks.table.contestants import CONTESTANTS, OURS
from benchmarks.table.datasets import SETS

TITLES = {
    "nll": "Negative log density",
    "crps": "CRPS",
    "rmse": "Root mean squared error",
    "coverage95": "Coverage of 95% intervals",
    "length95": "Length of 95% intervals",
    "interval_score95": "Interval score, 95%",
    "fit_seconds": "Seconds of a fit",
    "choose_seconds": "Seconds of the choice of settings",
    "peak_memory_mb": "Peak memory of the process, MB",
}
MEASURED = ("fit_seconds", "choose_seconds", "peak_memory_mb")  # not scores of predictions
RANKED = ("nll", "crps", "interval_score95", "rmse")  # smaller is better


def read(path: Path) -> pd.DataFrame:
    """The last row of each set, split and contestant, of the sets that any of ours has run."""
    runs = pd.read_csv(path, dtype={"error": str, "warnings": str})
    compared = runs.loc[runs["contestant"].isin(OURS), "set"]
    runs = runs[runs["set"].isin(compared)]
    return runs.drop_duplicates(list(results.KEY), keep="last").reset_index(drop=True)


def by_set(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean over splits: a row per set, a column per contestant, in the order of the registries.

    See :func:`complete` for the splits that count.
    """
    return _over_splits(runs, metric, "mean")


def _over_splits(runs: pd.DataFrame, metric: str, how: str) -> pd.DataFrame:
    table = complete(runs, metric).groupby(["set", "contestant"])[metric].agg(how).unstack()
    sets = [name for name in SETS if name in table.index]
    return table.loc[sets, [name for name in CONTESTANTS if name in table.columns]]


def complete(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows with the metric, the same splits of a set for all of its contestants.

    A contestant that failed on a split is left out of that set; a split that not all of the
    others have run yet is left out as well.
    """
    failed = runs["error"].notna().groupby([runs["set"], runs["contestant"]]).transform("any")
    runs = runs[~failed].dropna(subset=[metric])
    n_contestants = runs.groupby("set")["contestant"].transform("nunique")
    present = runs.groupby(["set", "split"])["contestant"].transform("nunique")
    return runs[present == n_contestants]


def rst(runs: pd.DataFrame) -> str:
    """The tables as reStructuredText: a row per contestant, a column per set."""
    parts = []
    for metric, title in TITLES.items():
        if runs[metric].isna().all():
            continue
        mean, error = by_set(runs, metric), _over_splits(runs, metric, "sem")
        shown = pd.DataFrame(
            [[_cell(*pair) for pair in zip(mean[name], error[name], strict=True)] for name in mean],
            index=mean.columns,
            columns=mean.index,
        )
        if metric in RANKED:
            ranks = standings.mean_ranks(mean).reindex(mean.columns)
            shown["mean rank"] = ranks.map("{:.2f}".format, na_action="ignore").fillna("")
        parts.append(_csv_table(title, shown))
    return "\n".join(parts) + "\n" + _failures(runs)


def _cell(mean: float, error: float) -> str:
    if np.isnan(mean):
        return ""
    return f"{mean:.3g}" if np.isnan(error) else f"{mean:.3g} ± {error:.1g}"


def _csv_table(title: str, shown: pd.DataFrame) -> str:
    rows = "\n".join(
        "   " + ", ".join(f'"{cell}"' for cell in [name, *cells])
        for name, *cells in shown.itertuples()
    )
    head = ", ".join(f'"{name}"' for name in ["", *shown.columns])
    return f".. csv-table:: {title}\n   :header: {head}\n\n{rows}\n"


def _failures(runs: pd.DataFrame) -> str:
    """A line for each contestant and set with runs that failed."""
    failed = runs.dropna(subset=["error"])
    if failed.empty:
        return "No run failed.\n"
    counted = failed.groupby(["contestant", "set", "error"]).size()
    return "\n".join(f"* {a} on {b}: {c} ({n})" for (a, b, c), n in counted.items()) + "\n"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--splits", type=int, nargs="+", help="only these; all by default")
    parser.add_argument(
        "--timed-splits",
        type=int,
        nargs="*",
        help="splits that were run with nothing beside: times are of these only, and left out if "
        "there are none; of all by default",
    )
    parser.add_argument("--without", nargs="+", default=[], choices=CONTESTANTS, help="left out")
    options = parser.parse_args(argv)
    runs = read(options.results)
    runs = runs[~runs["contestant"].isin(options.without)]
    if options.splits:
        runs = runs[runs["split"].isin(options.splits)]
    if options.timed_splits is not None:
        timed = runs["split"].isin(options.timed_splits)
        runs = runs.assign(**{name: runs[name].where(timed) for name in MEASURED})
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "benchmark_table.rst").write_text(rst(runs), encoding="utf-8")
    tables = {metric: by_set(runs, metric) for metric in TITLES}
    figures.ranks({name: tables[name] for name in ("nll", "crps")}, options.out)
    figures.coverage_and_length(tables["coverage95"], tables["length95"], options.out)
    _print_standings(runs, tables)


def _print_standings(runs: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> None:
    for metric in ("nll", "crps"):
        found = standings.beside_peers(tables[metric]).to_string()
        print(f"{TITLES[metric]}, among peers:\n{found}\n")
    rows = standings.coverage_of_rows(complete(runs, "coverage95")).to_string()
    print(f"Coverage of all test rows:\n{rows}\n")
    print(f"Targets:\n{targets.check(tables).to_string(index=False)}")


if __name__ == "__main__":
    main()
