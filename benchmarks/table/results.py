"""The file of results: tidy, one row per set, split and contestant."""

import csv
import os
from pathlib import Path

COLUMNS = (
    "set", "split", "contestant", "n_train", "n_test", "n_columns",
    "nll", "crps", "rmse", "coverage95", "length95", "interval_score95",
    "fit_seconds", "choose_seconds", "cpu_seconds", "choose_cpu_seconds", "predict_seconds",
    "first_seconds", "peak_memory_mb", "baseline_memory_mb", "warnings", "n_experts", "choice",
    "error", "version", "peer", "peer_version", "python", "cpu", "cores", "date",
)  # fmt: skip
KEY = ("set", "split", "contestant")
TIMED_OUT = "TimeoutError"


def append(path: Path, row: dict) -> None:
    """Write a row at the end of the file, and have it on disk; its folder is made if there is none.

    Raises
    ------
    ValueError
        For a name that is not in ``COLUMNS``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists() or not path.stat().st_size
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
        file.flush()
        os.fsync(file.fileno())


def finished(path: Path) -> set[tuple[str, ...]]:
    """Keys, as strings, of the rows that need not be run again.

    Those without an error, and those that took too long, which would take as long again.
    """
    if not path.exists():
        return set()
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    done = [row for row in rows if not row["error"] or row["error"].startswith(TIMED_OUT)]
    return {tuple(row[name] for name in KEY) for row in done}
