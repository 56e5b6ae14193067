"""The same CoCoAFusE posterior by this package, by Stan, and by PyMC the plain way.

500 rows of make_transition, 1 feature, 2 experts, 4 chains of 1000 draws. Every run is a
fresh process on its own data set (by repetition), and runs of the contestants alternate. "cold" is
the time from starting Python to having draws of a first fit, "second" that of a fit to other data
in the same process. Effective samples are those of the log posterior and the smallest over
the predictive means at 10 rows; per second of sampling, without building or importing.

Run: python benchmarks/peers.py [--repetitions 3] [--contestants ours pymc stan]
(`pip install ".[bench]"` for Stan; it needs g++). Stan's build cache is emptied before each run.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

N, CHAINS, DRAWS = 500, 4, 1000

# Identical to build_model: gates in the sum-to-zero basis, priors without their constants.
STAN = """
data { int N; vector[N] x; vector[N] y; }
parameters {
  vector[2] b; vector[2] w; vector<lower=0>[2] s; real g; real v; real h; real u;
}
model {
  b ~ double_exponential(0, 1);
  w ~ double_exponential(0, 1);
  s ~ lognormal(-1, 1);
  target += -2 * abs(g) / sqrt2() - 2 * abs(v) / sqrt2();
  h ~ double_exponential(0, 1);
  u ~ double_exponential(0, 1);
  for (n in 1:N) {
    vector[2] e = [(g + v * x[n]) / sqrt2(), -(g + v * x[n]) / sqrt2()]';
    vector[2] la = log_softmax(e);
    vector[2] a = exp(la);
    real beta = inv_logit(h + u * x[n]);
    vector[2] mu = b + w * x[n];
    vector[2] m = beta * mu + (1 - beta) * dot_product(a, mu);
    vector[2] sd_ = sqrt(beta * square(s) + (1 - beta) * dot_product(a, square(s)));
    target += log_sum_exp(la[1] + normal_lpdf(y[n] | m[1], sd_[1]),
                          la[2] + normal_lpdf(y[n] | m[2], sd_[2]));
  }
}
"""


def pose(seed):
    """The standardised problem, the same for every contestant."""
    from skcocoafuse import CoCoAFusERegressor
    from skcocoafuse.datasets import make_transition

    X, y = make_transition(N, random_state=seed)
    model = CoCoAFusERegressor(2)
    return model._pose(X, y, None).problem


def effective(problem, theta) -> dict[str, float]:
    """ESS and R-hat of the log posterior and of the predictive mean at 10 rows."""
    import numpy as np

    from skcocoafuse.compiled.kernel import Kernel
    from skcocoafuse.model import forward
    from skcocoafuse.model.mixtures import mixture_of
    from skcocoafuse.posterior.monte_carlo import ess, rhat

    log_posterior = Kernel(problem).log_posterior(theta)
    anchors = problem.anchors(10).designs
    mean, _ = forward.mean_and_variance(
        mixture_of(problem.spec, problem.spec.unpack(theta), anchors)
    )
    judged = np.concatenate([log_posterior[..., None], mean], axis=-1)
    n_effective = ess(judged)
    return {
        "ess_log_posterior": float(n_effective[0]),
        "ess_mean": float(n_effective[1:].min()),
        "rhat": float(rhat(judged).max()),
        "mean_log_posterior": float(log_posterior.mean()),
    }


def ours(seed):
    from skcocoafuse import CoCoAFusERegressor
    from skcocoafuse.datasets import make_transition

    X, y = make_transition(N, random_state=seed)
    model = CoCoAFusERegressor(2, draws=DRAWS, chains=CHAINS, random_state=seed).fit(X, y)
    p = model.posterior_
    return p.spec.pack(p.parameters), model.diagnostics_["seconds"]["sampling"]


def pymc(seed):
    """What a PyMC user does: the graph, nutpie, random starts."""
    import pymc as pm

    from skcocoafuse.inference.pymc_sampler import unconstrained
    from skcocoafuse.model.pymc_model import build_pymc_model

    problem = pose(seed)
    with build_pymc_model(problem):
        begun = time.perf_counter()
        trace = pm.sample(
            draws=DRAWS, tune=1000, chains=CHAINS, cores=2, nuts_sampler="nutpie",
            random_seed=seed, progressbar=False, compute_convergence_checks=False,
        )  # fmt: skip
    return unconstrained(problem, trace.posterior), time.perf_counter() - begun


def stan(seed):
    import numpy as np
    import stan as pystan

    problem = pose(seed)
    data = {"N": N, "x": problem.designs["expert"][:, 0].tolist(), "y": problem.y.tolist()}
    built = pystan.build(STAN, data=data, random_seed=seed + 1)
    begun = time.perf_counter()
    fit = built.sample(num_chains=CHAINS, num_samples=DRAWS, num_warmup=1000)
    seconds = time.perf_counter() - begun

    def draws(name):  # (chains, draws, size): pystan puts draws last, chains fastest
        array = fit[name].reshape(-1, DRAWS, CHAINS)
        return np.moveaxis(array, (0, 1, 2), (2, 1, 0))

    parts = [draws("b"), draws("w"), np.log(draws("s")), draws("g"), draws("v")]
    return np.concatenate([*parts, draws("h"), draws("u")], axis=-1), seconds


def one_run(contestant, seed, started):
    """In a fresh process: two fits, timed; printed as JSON."""
    import warnings

    warnings.simplefilter("ignore")
    fit = {"ours": ours, "pymc": pymc, "stan": stan}[contestant]
    theta, sampling = fit(seed)
    cold = time.time() - started
    result = {"cold": cold, "sampling": sampling}
    if contestant != "stan":
        begun = time.perf_counter()
        fit(seed + 100)
        result["second"] = time.perf_counter() - begun
    result.update(effective(pose(seed), theta))
    result["ess_log_posterior/s"] = result["ess_log_posterior"] / sampling
    result["ess_mean/s"] = result["ess_mean"] / sampling
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--contestants", nargs="+", default=["ours", "pymc", "stan"])
    parser.add_argument("--one", nargs=3)
    arguments = parser.parse_args()
    if arguments.one:
        contestant, seed, started = arguments.one
        one_run(contestant, int(seed), float(started))
        raise SystemExit
    runs: dict[str, list[dict]] = {name: [] for name in arguments.contestants}
    for seed in range(-1, arguments.repetitions):
        for name in arguments.contestants:
            if seed < 0 and name != "ours":
                continue  # a first run of ours fills the disk cache, as an installation does
            if name == "stan":
                shutil.rmtree(Path.home() / ".cache" / "httpstan", ignore_errors=True)
            command = [sys.executable, __file__, "--one", name, str(max(seed, 0)), str(time.time())]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            if seed >= 0:
                runs[name].append(json.loads(out.splitlines()[-1]))
                print(name, seed, runs[name][-1], flush=True)
    for key in runs[arguments.contestants[0]][0]:
        row = {}
        for name, found in runs.items():
            if key in found[0]:
                row[name] = statistics.median(run[key] for run in found)
        print(f"{key:22s}", "  ".join(f"{name} {value:10.3f}" for name, value in row.items()))
