"""What each remedy of the sampler and each stage of its search is worth: fits without it.

Run: python benchmarks/ablation.py DATA_FOLDER RUNS.jsonl [--sets ...] [--experts 3 5] [--splits 3]
[--variants ...]. Sets, splits and seeds are those of uci.py, n_jobs=2. One line of JSON per fit is
appended to the file and lines that are there are not computed again, so it can be stopped at any
time; `--table` prints what the file says. All 30 fits of all variants take hours.

Draws of a seed repeat, so a fit in which a remedy was not applied is the same without that remedy:
its figures are copied, marked as such. The variants of the search always run.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from uci import SETS, load

from skcocoafuse import CoCoAFusERegressor
from skcocoafuse.evaluation.verdicts import converged
from skcocoafuse.inference import mode_search
from skcocoafuse.inference.nuts import sampler
from skcocoafuse.inference.nuts.method import METHOD, Method

_BASELINE = "as it is"
_ASKED = 0.9  # target_accept of the estimator's defaults
_FIGURES = ["nll", "rhat", "seconds", "gradients"]
_KEY = ["set", "split", "experts"]


class Variant(NamedTuple):
    """A method with something left out, and which fits that may change, by their baseline."""

    method: Method
    changes: Callable[[dict], bool] = lambda row: True
    n_starts: int = mode_search.N_STARTS
    max_rounds: int = mode_search.MAX_ROUNDS


def without(name: str) -> Method:
    """All but one of the remedies."""
    kept = tuple(remedy for remedy in METHOD.remedies if remedy.name != name)
    return replace(METHOD, remedies=kept)


def applied(name: str) -> Callable[[dict], bool]:
    """Whether a remedy was applied in a fit."""
    return lambda row: name in row["remedies"]


def steps_were_raised(row: dict) -> bool:
    """In the first run or after it."""
    return row["target_accept"] > _ASKED


def first_steps_were_raised(row: dict) -> bool:
    """Because trajectories of pilot chains were short."""
    return steps_were_raised(row) and "shorter steps" not in row["remedies"]


VARIANTS = {
    _BASELINE: Variant(METHOD),
    "no shorter steps": Variant(
        replace(without("shorter steps"), cheap_steps=0.0), steps_were_raised
    ),
    "no shorter first steps": Variant(replace(METHOD, cheap_steps=0.0), first_steps_were_raised),
    **{
        f"no {name}": Variant(without(name), applied(name))
        for name in ("more draws", "jumps between modes")
    },
    "no remedies": Variant(
        replace(METHOD, remedies=(), cheap_steps=0.0),
        lambda row: bool(row["remedies"]) or steps_were_raised(row),
    ),
    "12 optimizations": Variant(METHOD, n_starts=12),
    "no moves": Variant(METHOD, max_rounds=0),
    "six rounds of moves": Variant(METHOD, max_rounds=6),
    "depth 8": Variant(replace(METHOD, maxdepth=8)),
    "chains at one mode": Variant(replace(METHOD, comparable_mass=0.0)),
}


def fit(variant: Variant, n_experts: int, split) -> dict:
    """Figures of one fit."""
    X, X_test, y, y_test = split
    model = CoCoAFusERegressor(n_experts, random_state=0, n_jobs=2)
    sample = partial(sampler.sample, method=variant.method)
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(mock.patch.object(sampler, "sample", sample))
        stack.enter_context(mock.patch.object(mode_search, "N_STARTS", variant.n_starts))
        stack.enter_context(mock.patch.object(mode_search, "MAX_ROUNDS", variant.max_rounds))
        begun = time.perf_counter()
        model.fit(X, y)
        seconds = time.perf_counter() - begun
    found = model.diagnostics_
    return {
        "nll": float(-model.log_prob(X_test, y_test).mean()),
        "rhat": found["rhat"],
        "converged": converged(found),
        "seconds": seconds,
        "gradients": found["n_gradients"],
        "target_accept": found["target_accept"],
        "remedies": found["remedies"],
    }


def read(path: Path) -> list[dict]:
    """Rows of a file; none if there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def ablate(path: Path, key: dict, split, variants: list[str]) -> None:
    """Append the rows that the file lacks of one split, the baseline first."""
    rows = {row["variant"]: row for row in read(path) if key.items() <= row.items()}
    for name in [_BASELINE, *(name for name in variants if name != _BASELINE)]:
        if name in rows:
            continue
        if name == _BASELINE or VARIANTS[name].changes(rows[_BASELINE]):
            found = fit(VARIANTS[name], key["experts"], split) | {"copied": False}
        else:
            found = rows[_BASELINE] | {"copied": True}
        rows[name] = found | key | {"variant": name}
        with path.open("a") as stream:
            stream.write(json.dumps(rows[name]) + "\n")
        figures = {figure: round(rows[name][figure], 3) for figure in _FIGURES}
        print(name, *key.values(), figures, "copied" if found["copied"] else "", flush=True)


def tables(path: Path) -> None:
    """Means by variant, and differences from the baseline on the same splits."""
    runs = pd.DataFrame(read(path))
    names = [name for name in VARIANTS if name in set(runs["variant"])]
    baseline = runs[runs["variant"] == _BASELINE].set_index(_KEY)
    means, pairs = {}, {}
    for name in names:
        own = runs[runs["variant"] == name].set_index(_KEY)
        rest = baseline.loc[own.index]
        means[name] = {"fits": len(own), "changed": int((~own["copied"]).sum())}
        means[name] |= own[[*_FIGURES, "converged"]].mean().to_dict()
        less = (own[_FIGURES] - rest[_FIGURES]).astype(float)
        error = less.std(ddof=1) / np.sqrt(len(less))
        pairs[name] = {
            column: f"{less[column].mean():+.4g} ({error[column]:.2g})" for column in _FIGURES
        }
        pairs[name]["seconds, ratio"] = f"{own['seconds'].sum() / rest['seconds'].sum():.2f}"
    print("\nmean over fits")
    print(pd.DataFrame(means).T.round(4).to_string())
    print(f"\nwithout it less '{_BASELINE}', same splits: mean (standard error)")
    print(pd.DataFrame(pairs).T.to_string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--experts", nargs="+", type=int, default=[3, 5])
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    for experts in arguments.experts * (not arguments.table):
        for name in arguments.sets:
            X, y = load(arguments.folder, name)
            for seed in range(arguments.splits):
                split = train_test_split(X, y, test_size=0.1, random_state=seed)
                key = {"set": name, "split": seed, "experts": experts}
                ablate(arguments.runs, key, split, arguments.variants)
    tables(arguments.runs)
