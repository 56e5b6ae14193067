"""Seconds of a CoCoAFusE fit in a fresh process, imports included, and of the next fit.

500 rows, 1 feature, 2 experts, 4 chains, 1000 draws after warm-up; the kernel's disk cache is
warmed by a first process that does not count. Run: python benchmarks/fit_time.py [repetitions]
"""

import json
import statistics
import subprocess
import sys

_CHILD = """
import time
begun = time.perf_counter()
import json, warnings
from skcocoafuse import CoCoAFusERegressor
from skcocoafuse.datasets import make_transition
warnings.simplefilter("ignore")
imported = time.perf_counter()
seconds = []
for seed in (0, 1):
    X, y = make_transition(500, random_state=seed)
    model = CoCoAFusERegressor(n_experts=2, random_state=seed).fit(X, y)
    seconds.append(time.perf_counter())
print(json.dumps({
    "import": imported - begun, "fresh": seconds[0] - begun, "next": seconds[1] - seconds[0],
    "divergences": model.diagnostics_["n_divergences"], "ess": model.diagnostics_["ess"],
}))
"""


def one_process() -> dict[str, float]:
    """Time two fits in a new interpreter."""
    out = subprocess.run([sys.executable, "-c", _CHILD], check=True, capture_output=True, text=True)
    return json.loads(out.stdout.splitlines()[-1])


if __name__ == "__main__":
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    one_process()
    runs = [one_process() for _ in range(repetitions)]
    for key in ("import", "fresh", "next", "divergences", "ess"):
        values = sorted(run[key] for run in runs)
        middle = statistics.median(values)
        print(f"{key:12s} median {middle:8.2f}   from {values[0]:.2f} to {values[-1]:.2f}")
