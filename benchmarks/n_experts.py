"""Whether select_n_experts finds the true number of experts, and how long it takes.

Run: python benchmarks/n_experts.py [--experts 1 2 3 4] [--seeds 20] [--engine nuts] [--jobs 2]
[--out runs.jsonl], or --diabetes for the time on 442 x 10 rows. One line of JSON per data set is
appended to the file. Data: two inputs, uniform on (-1, 1); experts follow one another along the
first, with a gate of slope 20, slopes 2 in directions 360 / M degrees apart, noise 0.3; 400 rows.
`--experts 0` is the transition data set (300 rows), where 2 is right.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

from skcocoafuse import CoCoAFusERegressor, select_n_experts
from skcocoafuse.datasets import make_transition

_NOISE, _STEEPNESS, _ROWS = 0.3, 20.0, 400
_RULES = ("best", "one_se", "chebyshev")


def make_lines(n_experts: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Data of a mixture of so many experts."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.0, 1.0, (_ROWS, 2))
    cuts = np.linspace(-1.0, 1.0, n_experts + 1)[1:-1]
    logits = _STEEPNESS * (X[:, :1] * np.arange(n_experts) - np.concatenate([[0], cuts.cumsum()]))
    expert = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    angle = rng.uniform(0.0, 2.0 * np.pi) + 2.0 * np.pi * expert / n_experts
    slopes = 2.0 * np.column_stack([np.cos(angle), np.sin(angle)])
    return X, (slopes * X).sum(axis=1) + (-1.0) ** expert + _NOISE * rng.normal(size=_ROWS)


def run(model, X, y, n_jobs) -> dict:
    """Choices by every rule, figures, seconds."""
    from dataclasses import replace

    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        selection = select_n_experts(model, X, y, n_jobs=n_jobs)
    seconds = time.perf_counter() - begun
    return {
        "seconds": seconds,
        "criterion": selection.criterion,
        **{rule: replace(selection, rule=rule).n_experts for rule in _RULES},
        "table": json.loads(selection.table.to_json(orient="columns")),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experts", nargs="+", type=int, default=[1, 2, 3, 4, 0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--engine", default="nuts")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--diabetes", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("n_experts.jsonl"))
    arguments = parser.parse_args()
    model = CoCoAFusERegressor(inference=arguments.engine, random_state=0)
    if arguments.diabetes:
        found = run(model, *load_diabetes(return_X_y=True), arguments.jobs)
        print({key: value for key, value in found.items() if key != "table"})
        raise SystemExit
    for experts in arguments.experts:
        found = []
        for seed in range(arguments.seeds):
            X, y = make_lines(experts, seed) if experts else make_transition(random_state=seed)
            found.append(run(model, X, y, arguments.jobs))
            line = {"experts": experts, "seed": seed, "engine": arguments.engine} | found[-1]
            with arguments.out.open("a") as stream:
                stream.write(json.dumps(line) + "\n")
        right = {rule: sum(f[rule] == (experts or 2) for f in found) for rule in _RULES}
        seconds = np.median([f["seconds"] for f in found])
        print(
            f"{experts or 'transition'}: right of {arguments.seeds} {right}, {seconds:.0f} s each"
        )
