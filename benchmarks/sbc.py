"""Simulation-based calibration: are a sampler's draws from the posterior it claims.

Parameters are drawn from the prior, data from the parameters, and the posterior is sampled.
If the sampler is right, the rank of a true quantity among its posterior draws is uniform
(Talts et al. 2018, arXiv 1804.06788). Quantities do not depend on labels; the joint
log likelihood is among them because it sees errors that single parameters do not (Modrak et al.
2023, Bayesian Analysis). Bands are simultaneous over the whole ECDF (Sailynoja, Buerkner
and Vehtari 2022, Statistics and Computing 32).

Run: python benchmarks/sbc.py [simulations] [--engine nuts] [--seed 0]
[--picture doc/images/sbc.png] [--ranks ranks_0.npy ranks_1.npy ...]. Ranks are saved to the
first of these files; those in the others, from runs with other seeds, are judged and drawn
together with them. With 0 simulations all are read.
"""

import argparse
from dataclasses import replace

import numpy as np

from skcocoafuse import CoCoAFusERegressor
from skcocoafuse.inference import Settings, get_engine
from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import beta_of, mixture_of
from skcocoafuse.model.parameters import PARTS, Parameters
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.rows import RowsInMemory
from skcocoafuse.model.spec import ModelSpec
from skcocoafuse.predictive import PredictiveDistribution

N_RANKS = 63  # draws a true value is ranked among
QUANTITIES = (
    "log likelihood",
    "mean at -1",
    "mean at 1",
    "log sd at -1",
    "log sd at 1",
    "beta at 0",
    "log df",
)


def quantities(problem: Problem, parameters: Parameters) -> np.ndarray:
    """What is ranked, (draws, quantities); parameters have one draw axis.

    The seventh is the logarithm of the degrees of freedom, if noise has any.
    """
    spec = problem.spec
    mixture = mixture_of(spec, parameters, problem.designs)
    log_likelihood = forward.log_density(forward.NUMPY, mixture, problem.y).sum(axis=-1)
    points = np.array([[-1.0], [1.0], [0.0]])
    at = {part: points[:, : X.shape[1]] for part, X in problem.designs.items()}
    mean, variance = forward.mean_and_variance(mixture_of(spec, parameters, at))
    beta = np.broadcast_to(beta_of(spec, parameters, at["behavior"]), (len(mean), 3, 1))
    log_sd = 0.5 * np.log(variance)
    df = [] if parameters.noise_df is None else [np.log(parameters.noise_df)]
    return np.column_stack([log_likelihood, mean[:, :2], log_sd[:, :2], beta[:, 2, 0], *df])


def ranks(
    n_simulations: int,
    settings: Settings,
    engine="nuts",
    n_rows=30,
    seed=0,
    n_noise=0,
    noise="normal",
) -> np.ndarray:
    """Rank of every true quantity among ``N_RANKS`` thinned draws, (simulations, quantities)."""
    spec = ModelSpec(2, {**dict.fromkeys(PARTS, 1), "noise": n_noise}, noise=noise)
    found = []
    for simulation in range(n_simulations):
        rng = np.random.default_rng([seed, simulation])
        column = rng.normal(size=(n_rows, 1))
        designs = {part: column[:, :n] for part, n in spec.n_features.items()}
        truth = spec.sample_prior(rng, 1)
        y = PredictiveDistribution(spec, truth, designs).rvs(1, int(rng.integers(2**31)))[:, 0]
        problem = Problem(spec, RowsInMemory(designs, y, np.ones(n_rows)))
        result = get_engine(engine)(problem, replace(settings, seed=simulation))
        theta = result.theta.reshape(-1, spec.n_parameters)
        thinned = theta[np.linspace(0, len(theta) - 1, N_RANKS).round().astype(int)]
        true = quantities(problem, truth)
        found.append((quantities(problem, spec.unpack(thinned)) < true).sum(axis=0))
    return np.array(found)


def band(n_simulations: int, probability=0.99, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limit of the ECDF of uniform ranks, for all ranks at once.

    Pointwise binomial limits, at the level that lets a share ``probability`` of simulated
    uniform samples stay inside everywhere.
    """
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, N_RANKS + 1, size=(4000, n_simulations))
    counts = np.array([np.cumsum(np.bincount(s, minlength=N_RANKS + 1)) for s in samples])[:, :-1]
    lower_tail = (counts[:, None] >= counts[None, :400]).mean(axis=0)
    upper_tail = (counts[:, None] <= counts[None, :400]).mean(axis=0)
    worst = np.minimum(lower_tail, upper_tail).min(axis=1)
    level = np.quantile(worst, 1 - probability)
    lower, upper = np.quantile(counts, [level, 1 - level], axis=0, method="nearest")
    return lower / n_simulations, upper / n_simulations


def ecdf(rank: np.ndarray) -> np.ndarray:
    """ECDF of ranks at 0, 1, ..., N_RANKS - 1, per quantity: (N_RANKS, quantities)."""
    return np.array([(rank <= r).mean(axis=0) for r in range(N_RANKS)])


def draw_picture(rank: np.ndarray, path: str) -> None:
    """ECDF minus its expectation, with the band."""
    import matplotlib.pyplot as plt

    lower, upper = band(len(rank))
    expected = (np.arange(N_RANKS) + 1) / (N_RANKS + 1)
    columns = (rank.shape[1] + 1) // 2
    figure, axes = plt.subplots(
        2, columns, figsize=(3 * columns, 5), sharex=True, sharey=True, layout="constrained"
    )
    for name, curve, axis in zip(QUANTITIES, ecdf(rank).T, axes.flat, strict=False):
        axis.fill_between(expected, lower - expected, upper - expected, color="0.88", lw=0)
        axis.step(expected, curve - expected, where="mid", color="C0")
        axis.set_title(name)
    figure.supxlabel("rank of the true value, as a fraction")
    figure.supylabel("ECDF minus uniform")
    figure.suptitle(f"{len(rank)} simulations; band: 99%, simultaneous")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("simulations", type=int, nargs="?", default=300)
    parser.add_argument("--engine", default="nuts")
    parser.add_argument("--noise", default="normal", choices=["normal", "student_t"])
    parser.add_argument("--noise-inputs", type=int, default=0, choices=[0, 1])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ranks", nargs="+", default=["ranks.npy"])
    parser.add_argument("--picture", default="sbc.png")
    arguments = parser.parse_args()
    settings = CoCoAFusERegressor(random_state=0)._settings()  # the defaults
    if arguments.simulations:
        own = ranks(
            arguments.simulations,
            settings,
            arguments.engine,
            seed=arguments.seed,
            n_noise=arguments.noise_inputs,
            noise=arguments.noise,
        )
        np.save(arguments.ranks[0], own)
    rank = np.concatenate([np.load(path) for path in arguments.ranks])
    lower, upper = band(len(rank))
    outside = ((ecdf(rank) < lower[:, None]) | (ecdf(rank) > upper[:, None])).any(axis=0)
    for name, out, mean in zip(QUANTITIES, outside, rank.mean(axis=0) / N_RANKS, strict=False):
        print(f"{name:16s} mean rank {mean:.3f}  {'OUTSIDE the band' if out else 'inside'}")
    draw_picture(rank, arguments.picture)
