"""Processor seconds and quality of a warm fit beside a cold one, on data that changed a little.

Run: python benchmarks/warm_start.py DATA_FOLDER [--sets ...] [--experts 2 3]
[--methods nuts vi] [--changes ...] [--repetitions 3]; DATA_FOLDER holds concrete.csv, target
last (diabetes comes with scikit-learn). Cold and warm fits alternate, each pair with a seed
of its own; the fit before is made once. Processor seconds of all threads, because others on the
machine count less in them.
"""

import argparse
import copy
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

from skcocoafuse import CoCoAFusERegressor
from skcocoafuse.evaluation import verdicts

_SHARE = 0.05  # of the rows that change


def load(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """X and y of a set, shuffled."""
    if name == "diabetes":
        X, y = load_diabetes(return_X_y=True)
    else:
        table = np.loadtxt(folder / f"{name}.csv", delimiter=",", skiprows=1)
        X, y = table[:, :-1], table[:, -1]
    order = np.random.default_rng(0).permutation(len(y))
    return X[order], y[order]


def more_rows(X, y):
    """A twentieth of the rows is new."""
    some = slice(round((1 - _SHARE) * len(y)))
    return (X[some], y[some]), (X, y)


def one_row(X, y):
    """The target of one row is moved by one standard deviation."""
    other = y.copy()
    other[0] += y.std()
    return (X, y), (X, other)


def window(X, y):
    """A window of nine tenths of the rows slides on by a tenth."""
    tenth = len(y) // 10
    before, after = slice(0, 9 * tenth), slice(tenth, 10 * tenth)
    return (X[before], y[before]), (X[after], y[after])


CHANGES = {"more rows": more_rows, "one row": one_row, "window": window}


def timed(model, X, y) -> dict[str, float]:
    """Fit, and what is worth knowing of it."""
    begun = time.process_time()
    model.fit(X, y)
    seconds, found = time.process_time() - begun, model.diagnostics_
    clusters = found["chain_clusters"]
    return {
        "s": seconds,
        "rhat": float(np.max(found["rhat"] if len(clusters) == 1 else found["rhat_within"])),
        "ess": found["ess"],
        "clusters": len(clusters),
        "one of": found.get("thinning", 1),
        "k": found.get("pareto_k", np.nan),
        "resumed": found["seconds"].get("pilot chains", np.inf) < 0.05,
        "lp": float(model.posterior_.log_posterior.mean()),
    }


def line(label: str, runs: list[dict[str, float]]) -> str:
    """Medians of the runs, and the worst R-hat."""
    middle = {key: np.median([run[key] for run in runs]) for key in runs[0]}
    worst = max(run["rhat"] for run in runs)
    return (
        f"{label:45s} {middle['s']:7.1f} s  R-hat {middle['rhat']:.3f} (worst {worst:.3f})  "
        f"ESS {middle['ess']:5.0f}  clusters {[run['clusters'] for run in runs]}  "
        f"one of {[run['one of'] for run in runs]}  k-hat {middle['k']:.2f}  "
        f"mean log posterior {middle['lp']:.1f}"
    )


def main() -> None:
    """Print the lines of every set, number of experts, engine and change."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", default=["concrete", "diabetes"])
    parser.add_argument("--experts", nargs="+", type=int, default=[2, 3])
    parser.add_argument("--methods", nargs="+", default=["nuts", "vi"])
    parser.add_argument("--changes", nargs="+", default=list(CHANGES), choices=list(CHANGES))
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in given.sets:
        X, y = load(given.folder, name)
        CoCoAFusERegressor(inference="vi", draws=100).fit(X[:50], y[:50])  # compiles
        for n_experts in given.experts:
            for method in given.methods:
                for change in given.changes:
                    before, after = CHANGES[change](X, y)
                    cold = CoCoAFusERegressor(n_experts, inference=method, random_state=100)
                    fitted = copy.copy(cold).fit(*before)
                    runs = []
                    for seed in range(given.repetitions):
                        warm = copy.copy(fitted).set_params(warm_start=True, random_state=seed)
                        cold.set_params(random_state=seed)
                        runs.append((timed(cold, *after), timed(warm, *after)))
                    label = f"{name}, M {n_experts}, {method}, {change}"
                    ratios = [one["s"] / other["s"] for one, other in runs]
                    print(line(f"{label}: cold", [one for one, _ in runs]))
                    print(line(f"{label}: warm", [other for _, other in runs]))
                    resumed = [other["resumed"] for _, other in runs]
                    print(f"    times as fast: {np.median(ratios):.2f}, {np.round(ratios, 2)}")
                    print(f"    before settled: {verdicts.settled(fitted.diagnostics_)}")
                    print(f"    chains began at draws: {resumed}", flush=True)


if __name__ == "__main__":
    main()
