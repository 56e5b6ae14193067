"""One contestant on one split, in a process of its own; prints a row as JSON.

Run by ``benchmarks.table.run``:
python -m benchmarks.table.one SET SPLIT CONTESTANT [--folder DATA_FOLDER] [--choice FILE]
or, to choose a set-up, with the name of a regressor and without a choice:
python -m benchmarks.table.one SET SPLIT REGRESSOR --choose [--folder DATA_FOLDER]
"""

import argparse
import importlib
import json
import re
import resource
import sys
import time
import traceback
import warnings
from functools import partial
from pathlib import Path

from benchmarks.table import ours, predictions
from benchmarks.table.contestants import CONTESTANTS, Contestant
from benchmarks.table.datasets import load
from benchmarks.table.splits import split

_WARM_UP_ROWS = 120


def memory_mb(which: str) -> float:
    """Memory of this process by /proc: "VmRSS" now, "VmHWM" at its peak; NaN without /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    return int(re.search(rf"{which}:\s+(\d+) kB", status.read_text())[1]) / 1024


def cpu_seconds() -> float:
    """Of all threads of this process, and of its finished children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measure(contestant: Contestant, rows: tuple, seed: int, choice: dict | None) -> dict:
    """Fit, predict and score.

    A fit to a few of the training rows, not timed, imports packages and loads compiled code: its
    time is ``first_seconds``. CPU seconds are those of fit and prediction.
    """
    X, y, X_test, y_test = rows
    fit = warm_up = contestant.fit
    if choice is not None:
        fit = partial(contestant.fit, choice=choice)
        few_experts = choice["params"] | {"n_experts": ours.FEW_EXPERTS}
        warm_up = partial(contestant.fit, choice={"params": few_experts})
    begun = time.perf_counter()
    for module in contestant.modules:
        importlib.import_module(module)
    few = min(_WARM_UP_ROWS, len(X))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warm_up(X[:few], y[:few], seed)(X_test[:2])
    row = {"first_seconds": time.perf_counter() - begun, "baseline_memory_mb": memory_mb("VmRSS")}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        begun, cpu = time.perf_counter(), cpu_seconds()
        predict = fit(X, y, seed)
        row["fit_seconds"] = time.perf_counter() - begun
        begun = time.perf_counter()
        prediction = predict(X_test)
        row["predict_seconds"] = time.perf_counter() - begun
        row["cpu_seconds"] = cpu_seconds() - cpu
    row["peak_memory_mb"] = memory_mb("VmHWM")
    row["warnings"] = ";".join(sorted({each.category.__name__ for each in caught}))
    return row | predictions.score(prediction, y_test)


def prepared(arguments) -> tuple:
    """Training and test rows of the split."""
    X, y = load(arguments.set, arguments.folder)
    train, test = split(X, arguments.split)
    X_train, X_test = X.iloc[train].reset_index(drop=True), X.iloc[test].reset_index(drop=True)
    return X_train, y.iloc[train].to_numpy(), X_test, y.iloc[test].to_numpy()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set")
    parser.add_argument("split", type=int)
    parser.add_argument("contestant")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--choice", type=Path)
    parser.add_argument("--choose", action="store_true")
    arguments = parser.parse_args(argv)
    rows = prepared(arguments)
    if arguments.choose:
        X, y, *_ = rows
        few = min(_WARM_UP_ROWS, len(X))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours.load_compiled_code(arguments.contestant, X[:few], y[:few])
            print(json.dumps(ours.choose(arguments.contestant, X, y, arguments.split)))
        return
    row = {"n_train": len(rows[0]), "n_test": len(rows[2]), "n_columns": rows[0].shape[1]}
    choice = json.loads(arguments.choice.read_text()) if arguments.choice else None
    try:
        row |= measure(CONTESTANTS[arguments.contestant], rows, arguments.split, choice)
    except Exception as error:  # a result too
        traceback.print_exc()
        row["error"] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    print(json.dumps(row))


if __name__ == "__main__":
    main(sys.argv[1:])
