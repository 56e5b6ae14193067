"""Processor seconds and memory of leave-one-out cross-validation on many rows.

A CoCoAFusE posterior of 3 experts and 4000 draws, from a fit of 300 rows that are then repeated.
Run: python benchmarks/loo_time.py [rows]
"""

import sys
import time
import tracemalloc
import warnings

import numpy as np

from skcocoafuse import CoCoAFusERegressor
from skcocoafuse.datasets import make_switch_and_transition
from skcocoafuse.evaluation import elpd

if __name__ == "__main__":
    n_rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    X, y = make_switch_and_transition(300, random_state=0)
    warnings.simplefilter("ignore")
    model = CoCoAFusERegressor(3, random_state=0).fit(X, y)
    many = model.fitted_.problem.take(np.arange(n_rows) % 300)
    for max_draws in (1000, None):
        tracemalloc.start()
        begun = time.process_time()
        result = elpd.estimate(many, model.posterior_, model.fitted_.target, True, max_draws)
        print(
            f"{n_rows} rows, {result.n_draws} draws: {time.process_time() - begun:.0f} s, "
            f"{tracemalloc.get_traced_memory()[1] / 2**20:.0f} MiB at most"
        )
        tracemalloc.stop()
