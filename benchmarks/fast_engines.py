"""What to fit at a mode: batch and match, and what else the literature offers, on the same modes.

Run: python benchmarks/fast_engines.py DATA_FOLDER [--sets ...] [--experts 5] [--splits 3]
[--contestants ...]. Sets and splits are those of uci.py. All contestants start from the modes that
inference="vi" finds, and what they draw is weighted by the same stacking; only the Normal at a mode
differs, or chains take its place. Prints test NLL, 95% coverage and seconds after the search,
means over splits.

* batch and match: what inference="vi" does.
* curvature: the Normal of the curvature at the mode (Laplace's approximation).
* variational Newton: Lin, Schmidt and Khan (2020), an antithetic pair a step, Hessians by
  differences of gradients.
* DADVI: Giordano, Ingram and Broderick (2024), independent Normals fitted to 30 fixed draws.
* Pathfinder: Zhang, Carpenter, Gelman and Vehtari (2022), one path per mode, from a draw of the
  Normal of the curvature back to the mode; the iterate with the highest lower bound.
* short chains: NUTS, one chain of 100 + 100 draws from each mode, depth 6.
"""

import argparse
import dataclasses
import time
import warnings
from itertools import pairwise
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
from scipy import optimize
from sklearn.model_selection import train_test_split
from uci import SETS, load

from skcocoafuse import CoCoAFusERegressor
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.inference import EngineResult, batch_and_match, mode_search, variational
from skcocoafuse.inference.batch_and_match import MatchedNormal
from skcocoafuse.inference.engine import Stopwatch
from skcocoafuse.inference.modes import by_mass
from skcocoafuse.inference.nuts.backend import Launch, run_chains

_MODES = 8
_match = batch_and_match.fit


def curvature(density, size, rng, **_) -> MatchedNormal:
    """The Normal at the mode as it is."""
    return with_bound(density, np.zeros(size), np.eye(size), rng)


def with_bound(density, mean, factor, rng, n=100) -> MatchedNormal:
    """A Normal with its lower bound by Monte Carlo; it fails if the bound is not finite."""
    half = rng.normal(size=(n // 2, len(mean)))
    values, _ = density.at_many(mean + np.concatenate([half, -half]) @ factor.T)
    entropy = np.log(np.diag(factor)).sum() + 0.5 * len(mean) * np.log(2 * np.pi * np.e)
    bound = values.mean() + entropy
    if not np.isfinite(bound):
        raise np.linalg.LinAlgError("the bound is not finite")
    return MatchedNormal(mean, factor, float(bound))


def variational_newton(density, size, rng, steps=30, rate=0.25, width=1e-4, **_) -> MatchedNormal:
    """Natural-gradient steps with a second-order term that keeps the precision positive."""
    mean, precision, kept = np.zeros(size), np.eye(size), []
    for step in range(steps):
        late = step >= 0.6 * steps
        r = rate * (0.5 if late else 1.0)
        covariance = np.linalg.inv(precision)
        half = np.linalg.cholesky(covariance) @ rng.normal(size=size)
        curved, slope = np.zeros((size, size)), np.zeros(size)
        for z in (mean + half, mean - half):
            steps_of = width * np.eye(size)
            _, g = density.at_many(np.concatenate([z + steps_of, z - steps_of, z[None]]))
            hessian = (g[:size] - g[size : 2 * size]) / (2 * width)
            curved -= 0.25 * (hessian + hessian.T)
            slope += 0.5 * g[-1]
        gap = curved - precision
        precision = precision + r * gap + 0.5 * r**2 * gap @ covariance @ gap
        precision = 0.5 * (precision + precision.T)
        move = np.linalg.solve(precision, slope)
        mean = mean + r * move * min(1.0, np.sqrt(size) / (np.linalg.norm(move) + 1e-9))
        if late:
            kept.append((mean, precision))
    mean, precision = (np.mean(part, axis=0) for part in zip(*kept, strict=True))
    return with_bound(density, mean, np.linalg.cholesky(np.linalg.inv(precision)), rng)


def dadvi(density, size, rng, n=30, **_) -> MatchedNormal:
    """Independent Normals for which the average over fixed draws is optimal."""
    noise = rng.normal(size=(n, size))

    def negated(at):
        mean, sd = at[:size], np.exp(at[size:])
        values, slopes = density.at_many(mean + noise * sd)
        if not np.isfinite(values).all():
            return np.inf, np.zeros(2 * size)
        gradient = np.concatenate([slopes.mean(axis=0), (slopes * noise).mean(axis=0) * sd + 1.0])
        return -(values.mean() + at[size:].sum()), -gradient

    start = np.concatenate([np.zeros(size), np.full(size, np.log(0.1))])
    found = optimize.minimize(negated, start, jac=True, method="L-BFGS-B", options={"maxiter": 100})
    return with_bound(density, found.x[:size], np.diag(np.exp(found.x[size:])), rng)


def pathfinder(density, size, rng, memory=10, **_) -> MatchedNormal:
    """The best Normal along an optimization path, with its inverse curvature estimate."""
    path = []

    def negated(z):
        value, slope = density(z)
        path.append((z.copy(), -slope))
        return -value, -slope

    start = rng.normal(size=size)
    optimize.minimize(negated, start, jac=True, method="L-BFGS-B", options={"maxiter": 60})
    best, inverse, stored = None, np.eye(size), []
    for (z, g), (z_next, g_next) in pairwise(path):
        s, t = z_next - z, g_next - g
        if s @ t > 1e-12 * (t @ t):
            stored = [*stored, (s, t)][-memory:]
        inverse = np.eye(size)
        for s, t in stored:
            left = np.eye(size) - np.outer(s, t) / (s @ t)
            inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ t)
        try:
            factor = np.linalg.cholesky(inverse)
            found = with_bound(density, z_next - inverse @ g_next, factor, rng, n=20)
        except np.linalg.LinAlgError:
            continue
        best = found if best is None or found.bound > best.bound else best
    if best is None:
        raise np.linalg.LinAlgError("no iterate has a Normal")
    return best


def short_chains(problem, settings) -> EngineResult:
    """NUTS from each mode, in place of the Normals."""
    rng, kernel, watch = np.random.default_rng(settings.seed), Kernel(problem), Stopwatch()
    modes = by_mass(mode_search.begin(kernel, settings, rng))[:_MODES]
    watch.lap("optimization")
    short = dataclasses.replace(
        settings, draws=100, tune=100, target_accept=0.8, options={"maxdepth": 6}
    )  # 60 draws are fewer than stacking tells chains apart by
    runs = run_chains([Launch(kernel, mode.normal, 1) for mode in modes], short, rng)
    theta = np.concatenate([run.coordinates.to_theta(run.z) for run in runs])
    watch.lap("variational")
    info = {"pareto_k": np.inf, "n_failed_modes": 0}
    log_posterior = kernel.log_posterior(theta)
    return EngineResult(theta, log_posterior, seconds=watch.seconds, info=info, independent=True)


CONTESTANTS = {
    "batch and match": _match,
    "curvature": curvature,
    "variational Newton": variational_newton,
    "DADVI": dadvi,
    "Pathfinder": pathfinder,
    "short chains": None,
}


def score(name: str, n_experts: int, split) -> dict:
    """Figures of one fit."""
    X, X_test, y, y_test = split
    patch = mock.patch.object(batch_and_match, "fit", CONTESTANTS[name])
    if name == "short chains":
        patch = mock.patch.object(variational, "sample", short_chains)
    with warnings.catch_warnings(), patch:
        warnings.simplefilter("ignore")
        model = CoCoAFusERegressor(n_experts, inference="vi", random_state=0).fit(X, y)
    found = model.diagnostics_
    low, high = model.predict_interval(X_test).T
    return {
        "nll": float(-model.log_prob(X_test, y_test).mean()),
        "coverage": float(((y_test >= low) & (y_test <= high)).mean()),
        "seconds": found["seconds"]["variational"],
        "search": found["seconds"]["optimization"],
        "failed": found["n_failed_modes"],
        "k-hat": found["pareto_k"],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--experts", type=int, default=5)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--contestants", nargs="+", default=list(CONTESTANTS))
    arguments = parser.parse_args()
    begun, rows = time.perf_counter(), []
    for name in arguments.sets:
        X, y = load(arguments.folder, name)
        for seed in range(arguments.splits):
            split = train_test_split(X, y, test_size=0.1, random_state=seed)
            for contestant in arguments.contestants:  # alternated
                found = score(contestant, arguments.experts, split)
                rows.append({"set": name, "contestant": contestant, **found})
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows).groupby(["set", "contestant"], sort=False).mean()
    print(table.round(3).to_string())
    print(f"{time.perf_counter() - begun:.0f} s")
