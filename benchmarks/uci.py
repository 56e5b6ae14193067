"""Convergence and test density on real sets, beside NGBoost, on the same splits.

Run: python benchmarks/uci.py DATA_FOLDER [--sets ...] [--experts 3 5] [--splits 3]
[--methods nuts vi chosen ngboost] [--random-states 0] [--out runs.jsonl]; one line of JSON per
fit is appended to the file, and `--table runs.jsonl` prints the tables of a file without fitting
anything.
DATA_FOLDER holds concrete.csv, energy_heating.csv, boston.csv, kin8nm.csv and wine_red.csv,
target last. "chosen" is vi with the number of experts selected among those given, by its folds of
the training rows. Splits are 90/10, seeds 0, 1, 2; kin8nm is cut to its first 2000 rows of a
shuffle with seed 0.
"""

import argparse
import json
import time
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

SETS = {
    "concrete": "concrete.csv",
    "energy": "energy_heating.csv",
    "boston": "boston.csv",
    "kin8nm": "kin8nm.csv",
    "wine": "wine_red.csv",
}
_MAX_ROWS = {"kin8nm": 2000}


def load(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """X and y of a set."""
    table = pd.read_csv(folder / SETS[name]).to_numpy(dtype=np.float64)
    if name in _MAX_ROWS:
        table = table[np.random.default_rng(0).permutation(len(table))[: _MAX_ROWS[name]]]
    return table[:, :-1], table[:, -1]


def run_ours(method, n_experts, split, random_state) -> dict:
    """Fit CoCoAFusE and score it, each chain alone as well."""
    from skcocoafuse import CoCoAFusERegressor
    from skcocoafuse.evaluation.loo import log_density_left_out
    from skcocoafuse.posterior.fit import checked_designs
    from skcocoafuse.predictive import PredictiveDistribution

    X, X_test, y, y_test = split
    model = CoCoAFusERegressor(n_experts, inference=method, random_state=random_state)
    begun = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    seconds = time.perf_counter() - begun
    found = model.diagnostics_
    designs = checked_designs(model, X_test)
    spec, rows = model.posterior_.spec, model.fitted_.problem
    chain_nll, chain_elpd = [], []  # (chains, rows), (chains,)
    for chain in range(found["n_chains"]):
        alone = model.posterior_.chains([chain])
        predicted = PredictiveDistribution(
            spec, alone.flat(), designs, model.fitted_.target.loc, model.fitted_.target.scale
        )
        chain_nll.append(-predicted.logpdf(y_test))
        chain_elpd.append(float(log_density_left_out(rows, spec, alone.thinned(500)).sum()))
    return {
        "nll": float(-model.log_prob(X_test, y_test).mean()),
        "chain_nll": [float(nll.mean()) for nll in chain_nll],
        "best_by_other_half": best_by_other_half(np.stack(chain_nll)),
        "best_by_loo": float(chain_nll[int(np.argmax(chain_elpd))].mean()),
        "rmse": float(np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2))),
        "fit_seconds": seconds,
        "warned": sorted(
            {w.category.__name__ for w in caught if issubclass(w.category, ConvergenceWarning)}
        ),
        "log_posterior": [float(v) for v in model.posterior_.log_posterior.mean(axis=1)],
        **{
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in found.items()
        },
    }


def best_by_other_half(nll: np.ndarray) -> float:
    """NLL of the chain that is best on one half of the test rows on the other half, mean of 200.

    The least of several noisy means is too low by what made it the least; chosen on rows other
    than those it is scored on, the best chain has no such advantage.
    """
    rng, n_rows, found = np.random.default_rng(0), nll.shape[1], []
    for _ in range(200):
        first = rng.permutation(n_rows) < n_rows // 2
        for chosen_on in (first, ~first):
            best = nll[:, chosen_on].mean(axis=1).argmin()
            found.append(nll[best, ~chosen_on].mean())
    return float(np.mean(found))


def run_chosen(numbers, split, random_state) -> dict:
    """CoCoAFusE by vi with a number of experts selected on the training rows."""
    from skcocoafuse import CoCoAFusERegressor, select_n_experts

    X, X_test, y, y_test = split
    model = CoCoAFusERegressor(inference="vi", random_state=random_state)
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        selection = select_n_experts(model, X, y, n_experts=numbers, rule="best")
    seconds = time.perf_counter() - begun
    chosen, (lower, upper) = selection.estimator, selection.estimator.predict_interval(X_test).T
    return {
        "chosen": selection.n_experts,
        "nll": float(-chosen.log_prob(X_test, y_test).mean()),
        "coverage": float(np.mean((lower <= y_test) & (y_test <= upper))),
        "rmse": float(np.sqrt(np.mean((chosen.predict(X_test) - y_test) ** 2))),
        "fit_seconds": seconds,
    }


def run_ngboost(split, random_state) -> dict:
    """NGBoost's defaults with early stopping on a tenth of the training rows."""
    from ngboost import NGBRegressor

    X, X_test, y, y_test = split
    begun = time.perf_counter()
    model = NGBRegressor(early_stopping_rounds=20, random_state=random_state, verbose=False)
    model.fit(X, y)
    seconds = time.perf_counter() - begun
    nll = -model.pred_dist(X_test).logpdf(y_test).mean()
    rmse = np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2))
    return {"nll": float(nll), "rmse": float(rmse), "fit_seconds": seconds}


def tables(path: Path) -> None:
    """Print what a file of runs says."""
    runs = pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    runs["method"] = runs["method"] + runs["experts"].map(lambda m: f" {m:.0f}" if m else "")
    pivot = runs.pivot_table(index="set", columns="method", values=["nll", "fit_seconds"])
    print(pivot.round(3).to_string())
    sampled = runs[runs["method"].str.startswith("nuts")]
    if len(sampled):
        sampled = sampled.assign(
            best_chain=sampled["chain_nll"].map(min),
            mean_chain=sampled["chain_nll"].map(np.mean),
            converged=sampled["rhat"] < 1.05,
            warns=sampled["warned"].map(bool),
        )
        columns = "set method split random_state rhat ess mean_n_steps target_accept n_divergences"
        columns += " thinning nll best_chain warns fit_seconds"
        print(sampled[columns.split()].round(3).to_string())
        print(sampled.groupby("method")["converged"].mean().to_string())
        rest = sampled[~sampled["converged"]]
        print(f"not converged: {len(rest)}, all warn: {rest['warns'].all()}")
        print("mean NLL less that of a chain alone, and standard error: not converged, converged")
        for name in ("mean_chain", "best_chain", "best_by_other_half", "best_by_loo"):
            less = (sampled["nll"] - sampled[name]).groupby(sampled["converged"])
            print(name, less.agg(["mean", "sem", "size"]).round(4).to_dict("index"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--experts", nargs="+", type=int, default=[3, 5])
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["nuts", "vi", "ngboost"])
    parser.add_argument("--random-states", nargs="+", type=int, default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs.jsonl"))
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    if arguments.table:
        tables(arguments.table)
        raise SystemExit
    for name in arguments.sets:
        X, y = load(arguments.folder, name)
        for seed in range(arguments.splits):
            split = train_test_split(X, y, test_size=0.1, random_state=seed)
            for method, state in product(arguments.methods, arguments.random_states):
                alone = method in ("chosen", "ngboost")
                for experts in [0] if alone else arguments.experts:
                    if method == "ngboost":
                        result = run_ngboost(split, state)
                    elif method == "chosen":
                        result = run_chosen(arguments.experts, split, state)
                    else:
                        result = run_ours(method, experts, split, state)
                    line = {"set": name, "split": seed, "method": method, "experts": experts}
                    with arguments.out.open("a") as stream:
                        stream.write(json.dumps(line | {"random_state": state} | result) + "\n")
    tables(arguments.out)
