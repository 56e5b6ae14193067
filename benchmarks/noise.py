"""Test density with a noise that depends on inputs, and with a constant one, on the same folds.

Run: python benchmarks/noise.py DATA_FOLDER [--sets ...] [--experts 2 3] [--folds 10]
[--inference vi] [--scales 0.25]. DATA_FOLDER holds engel.csv, mcycle.csv and the files of uci.py;
"fan" and "wave" are made: noise that grows tenfold around a line and around a sine. Scales are
those of the Laplace prior of the coefficients of the noise.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold
from uci import load

ONE_INPUT = ("engel", "mcycle")
MADE = {"fan": (lambda x: 2.0 * x, 0.1), "wave": (lambda x: np.sin(3.0 * x), 0.05)}


def load_any(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """X and y of a set."""
    if name in MADE:
        (line, least), rng = MADE[name], np.random.default_rng(0)
        x = rng.uniform(0.0, 1.0, 300)
        return x[:, None], line(x) + least * 10.0**x * rng.normal(size=300)
    if name in ONE_INPUT:
        table = pd.read_csv(folder / f"{name}.csv").to_numpy(dtype=np.float64)
        return table[:, :-1], table[:, -1]
    return load(folder, name)


def scores(model, X, y, folds) -> np.ndarray:
    """NLL, coverage of 95% intervals and seconds of the fit of each fold, (folds, 3)."""
    out = []
    for train, test in folds:
        begun = time.perf_counter()
        model.fit(X[train], y[train])
        seconds = time.perf_counter() - begun
        lower, upper = model.predict_interval(X[test]).T
        inside = (lower <= y[test]) & (y[test] <= upper)
        out.append((-model.log_prob(X[test], y[test]).mean(), inside.mean(), seconds))
    return np.array(out)


if __name__ == "__main__":
    from skcocoafuse import CoCoAFusERegressor, Prior

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", default=[*ONE_INPUT, *MADE])
    parser.add_argument("--experts", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--at-most", type=int, help="number of folds that are fitted")
    parser.add_argument("--inference", default="vi")
    parser.add_argument("--scales", type=float, nargs="+", default=[0.25])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print("set, experts, scale: NLL, difference from constant noise (error), coverage, seconds")
    for name in arguments.sets:
        X, y = load_any(arguments.folder, name)
        splitter = KFold(arguments.folds, shuffle=True, random_state=0)
        folds = list(splitter.split(X))[: arguments.at_most]
        for n_experts in arguments.experts:
            model = CoCoAFusERegressor(n_experts, inference=arguments.inference, random_state=0)
            constant = scores(model, X, y, folds)
            print(f"{name} {n_experts} constant: {constant.mean(axis=0).round(3)}", flush=True)
            model.set_params(noise_features=None)
            for scale in arguments.scales:
                model.set_params(priors={"noise_coef": Prior("laplace", scale)})
                found = scores(model, X, y, folds)
                gap = found[:, 0] - constant[:, 0]
                error = gap.std(ddof=1) / np.sqrt(len(gap))
                nll, coverage, seconds = found.mean(axis=0)
                print(
                    f"{name} {n_experts} {scale:g}: {nll:.3f} {gap.mean():+.3f} ({error:.3f}) "
                    f"{coverage:.3f} {seconds:.1f}",
                    flush=True,
                )
