"""Time and memory of predictions: 100 000 rows, 2000 draws, 3 experts.

Run: python benchmarks/prediction.py [--rows 100000] [--jobs 2] [--thinned 500]. Each task runs in
a process of its own; its extra memory is the peak above what the process held before, results
included (Linux only: the peak is reset through /proc/self/clear_refs).
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

TASKS = {
    "mean and std": lambda dist, y: dist.mean_and_std(),
    "95% intervals": lambda dist, y: dist.interval(0.95),
    "log density": lambda dist, y: dist.logpdf(y),
    "cdf": lambda dist, y: dist.cdf(y),
    "crps": lambda dist, y: dist.crps(y),
    "hdi": lambda dist, y: dist.hdi(0.95),
    "modes": lambda dist, y: dist.modes(),
    "prob_multimodal": lambda dist, y: dist.prob_multimodal(),
}
_SLOW = {"crps", "hdi", "modes", "prob_multimodal"}  # a fiftieth of the rows
_REPEATS = 3


def distribution(n_rows: int, n_jobs: int):
    """Draws of a fit to 500 rows, on many rows of ten inputs."""
    from skcocoafuse import CoCoAFusERegressor

    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 10))
    signal = np.where(X[:, 0] > 0, X[:, 1], 3.0 - X[:, 2])
    y = signal + 0.3 * rng.normal(size=n_rows)
    model = CoCoAFusERegressor(3, draws=500, chains=4, n_jobs=n_jobs, random_state=0)
    return model.fit(X[:500], y[:500]).predict_dist(X), y


def peak(reset: bool = False) -> float:
    """Most memory this process held since the last reset, in MiB."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def run(task: str, n_rows: int, n_jobs: int, n_draws: int | None) -> None:
    """Time a task and print it."""
    dist, y = distribution(n_rows, n_jobs)
    if task in _SLOW:
        dist, y = dist[: n_rows // 50], y[: n_rows // 50]
    if n_draws:
        dist = dist.thinned(n_draws, 0)
    TASKS[task](dist[:100], y[:100])  # compiled or loaded
    before, seconds = peak(reset=True), []
    for _ in range(_REPEATS):
        begun = time.perf_counter()
        TASKS[task](dist, y)
        seconds.append(time.perf_counter() - begun)
    print(
        f"{task:16} {len(dist):7d} rows x {dist.n_draws} draws: {np.median(seconds):7.2f} s, "
        f"extra memory at most {peak() - before:5.0f} MiB",
        flush=True,
    )


def accuracy(n_rows: int, n_draws: int) -> None:
    """What fewer draws lose: probabilities at the ends of 95 % intervals."""
    dist, _ = distribution(n_rows, 2)
    dist = dist[:2000]
    ends = dist.interval(0.95)
    thin = dist.thinned(n_draws, 0)
    for side, q in ((0, 0.025), (1, 0.975)):
        error = thin.cdf(ends[:, side]) - q
        said = dist.thinning_error(n_draws, ends[:, side])
        print(
            f"{n_draws} draws, probability below the end at {q}: rms error "
            f"{np.sqrt(np.mean(error**2)):.5f} (said {np.sqrt(np.mean(said**2)):.5f}), "
            f"largest {np.abs(error).max():.5f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--thinned", type=int)
    parser.add_argument("--task", choices=TASKS)
    arguments = parser.parse_args()
    if arguments.task:
        run(arguments.task, arguments.rows, arguments.jobs, arguments.thinned)
        raise SystemExit
    for name in TASKS:
        subprocess.run([sys.executable, *sys.argv, "--task", name], check=True)
    accuracy(arguments.rows, arguments.thinned or 500)
