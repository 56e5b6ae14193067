"""Lines and intervals from data with gross outliers, with Normal and with Student's t noise.

A share of the targets of ``make_switch_and_transition`` is moved by 5 to 15 standard deviations of
all targets. Fits are judged on clean rows: rmse of the mean from the true mean, NLL, and the share
inside 95% and 90% intervals. Where all outliers are outside, an interval that holds 95% of
the data as they are, outliers included, holds all of the clean ones if 5% are outliers, and
one that holds 90% of the data holds 94.7% of the clean ones.

Run: python benchmarks/outliers.py [--engines vi nuts] [--seeds 5] [--share 0.05] [--rows 600]
"""

import argparse
import time
import warnings

import numpy as np

from skcocoafuse import CoCoAFusERegressor
from skcocoafuse.datasets import make_switch_and_transition


def with_outliers(y: np.ndarray, share: float, rng) -> np.ndarray:
    """The targets, of which some are moved up or down."""
    away = rng.choice([-1.0, 1.0], len(y)) * rng.uniform(5.0, 15.0, len(y)) * y.std()
    return np.where(rng.random(len(y)) < share, y + away, y)


def true_mean(density, X: np.ndarray) -> np.ndarray:
    """Mean of a true density, by the trapezoidal rule."""
    grid = np.linspace(-8.0, 8.0, 1601)
    values = np.array([density(np.full((len(grid), 1), x), grid) for x in X[:, 0]])
    return np.trapezoid(values * grid, grid, axis=1)


def figures(seed: int, noise: str, share: float, n_rows: int, engine: str) -> list[float]:
    """Rmse, NLL, coverage of 95% and 90% intervals, degrees of freedom, and seconds of a fit."""
    X, y = make_switch_and_transition(n_rows, random_state=seed)
    y = with_outliers(y, share, np.random.default_rng(seed))
    X_test, y_test, density = make_switch_and_transition(
        1000, random_state=1000 + seed, return_density=True
    )
    model = CoCoAFusERegressor(3, noise=noise, inference=engine, random_state=seed)
    begun = time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - begun
    inside = []
    for coverage in (0.95, 0.9):
        lower, upper = model.predict_interval(X_test, coverage).T
        inside.append(((lower <= y_test) & (y_test <= upper)).mean())
    error = model.predict(X_test) - true_mean(density, X_test)
    nll = -model.log_prob(X_test, y_test).mean()
    return [np.sqrt((error**2).mean()), nll, *inside, model.noise_df_, seconds]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", nargs="+", default=["vi", "nuts"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--rows", type=int, default=600)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print("engine, noise, share of outliers: rmse, NLL, inside 95%, inside 90%, df, seconds")
    for engine in arguments.engines:
        for share in (0.0, arguments.share):
            for noise in ("normal", "student_t"):
                found = [
                    figures(seed, noise, share, arguments.rows, engine)
                    for seed in range(arguments.seeds)
                ]
                mean = "  ".join(f"{x:.3f}" for x in np.mean(found, axis=0))
                print(f"{engine} {noise} {share:g}: {mean}", flush=True)
