"""Data on which a few linear experts are not the best choice, by construction.

Run: python -m benchmarks.limits [--seeds 3]. Prints test NLL of the recipe of the user guide, with
"vi", NGBoost and a Gaussian process, means over seeds, and the seconds of a fit (choice included):

* surface: Friedman's first function, smooth with an interaction, 5 columns, 500 rows;
* irrelevant: the same with 45 more columns that have no effect;
* checkerboard: 4 x 4 fields of alternating sign, 2 columns, 1000 rows.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from sklearn.datasets import make_friedman1

from benchmarks.table import ours, peers, predictions

N_TEST = 2000


def surface(n_columns: int, seed: int):
    """500 rows and the test rows of Friedman's first function."""
    return (*make_friedman1(500 + N_TEST, n_columns, noise=1.0, random_state=seed), 500)


def checkerboard(seed: int):
    """1000 rows and the test rows of fields of alternating sign."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(1000 + N_TEST, 2))
    sign = 1.0 - 2.0 * (np.floor(4.0 * X).sum(axis=1) % 2)
    return X, sign + 0.1 * rng.normal(size=len(X)), 1000


CASES = {
    "surface": lambda seed: surface(5, seed),
    "irrelevant": lambda seed: surface(50, seed),
    "checkerboard": checkerboard,
}


def recipe(X, y, seed: int):
    """What the user guide recommends, fitted by "vi"."""
    return ours.fit("cocoafuse", "vi", X, y, seed, ours.choose("cocoafuse", X, y, seed))


CONTESTANTS = {
    "recipe": recipe,
    "ngboost": peers.ngboost,
    "gaussian process": peers.gaussian_process,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    rows = []
    for seed in range(parser.parse_args().seeds):
        for case, make in CASES.items():
            X, y, n_train = make(seed)
            X = pd.DataFrame(X, columns=[f"x{k}" for k in range(X.shape[1])])
            y = pd.Series(y)
            for name, fit in CONTESTANTS.items():
                begun = time.perf_counter()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    predict = fit(X[:n_train], y[:n_train], seed)
                seconds = time.perf_counter() - begun
                found = predictions.score(predict(X[n_train:]), y[n_train:].to_numpy())
                rows.append({"case": case, "contestant": name, **found, "seconds": seconds})
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows).groupby(["case", "contestant"], sort=False).mean()
    print(table[["nll", "rmse", "coverage95", "seconds"]].round(3).to_string())


if __name__ == "__main__":
    main()
