"""Coverage and log density of ours by folds of the training rows, with the chosen settings.

A test split has few rows; folds predict all training rows, which says more about coverage.

Run: python -m benchmarks.table.out_of_fold DATA_FOLDER RESULTS_CSV [--split 0] [--sets ...]. Fits
by "vi".
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.table import ours
from benchmarks.table.contestants import CONTESTANTS
from benchmarks.table.datasets import SETS, load
from benchmarks.table.splits import split as rows_of_split

COVERAGES = (0.5, 0.8, 0.9, 0.95, 0.99)
N_FOLDS = 5


def of_folds(regressor: str, params: dict, X, y, seed: int) -> dict:
    """NLL, and the share of rows inside central intervals of each coverage."""
    from skcocoafuse import cross_val_predict_dist
    from skcocoafuse.metrics import interval_coverage

    model = ours.recommended(regressor, "vi", seed).estimator.set_params(**params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dist = cross_val_predict_dist(model, X, y, cv=N_FOLDS)
    held = {f"{each:.0%}": interval_coverage(y, dist.interval(each)) for each in COVERAGES}
    return {"nll": -float(np.mean(dist.logpdf(y))), **held}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--split", type=int, default=0)
    parser.add_argument("--sets", nargs="+", choices=SETS)
    options = parser.parse_args()
    table = pd.read_csv(options.results)
    ran = table[(table["split"] == options.split) & table["contestant"].str.endswith("-vi")]
    for name, contestant, choice in ran[["set", "contestant", "choice"]].itertuples(index=False):
        if options.sets and name not in options.sets:
            continue
        X, y = load(name, options.folder)
        train, _ = rows_of_split(X, options.split)
        regressor = CONTESTANTS[contestant].regressor
        found = of_folds(
            regressor, json.loads(choice), X.iloc[train], y.iloc[train].to_numpy(), options.split
        )
        said = "  ".join(f"{key} {value:.3f}" for key, value in found.items())
        print(f"{name} {regressor} {choice}: {said}", flush=True)


if __name__ == "__main__":
    main()
