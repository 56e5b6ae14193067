"""Gaussian approximations at several modes, corrected by importance weights."""

import time

import numpy as np
from scipy import linalg

from skcocoafuse._arviz import smooth_importance_weights
from skcocoafuse.diagnostics import MAX_PARETO_K
from skcocoafuse.inference import starts
from skcocoafuse.inference.engine import EngineResult, Settings, check_options
from skcocoafuse.inference.kernel import Coordinates, Kernel
from skcocoafuse.model.forward import logsumexp
from skcocoafuse.model.problem import Problem

_POOL = 4  # proposals per kept draw
_LOG_2PI = np.log(2.0 * np.pi)


def sample(problem: Problem, settings: Settings) -> EngineResult:
    """Draws from a mixture of Normals at the modes, resampled by smoothed importance weights.

    Each mode has the covariance of the curvature there, and the weight of its volume times its
    height (its approximate evidence). Where the Pareto k-hat of the weights is above 0.7, they
    say more about luck than about the posterior, and the draws stay uncorrected.
    """
    check_options("laplace", settings.options, ())
    rng = np.random.default_rng(settings.seed)
    begun = time.perf_counter()
    kernel = Kernel(problem)
    modes = starts.find_modes(kernel, rng, settings.cores)
    optimised = time.perf_counter()
    normals = [mode.normal for mode in modes]
    evidence = np.array([mode.log_mass for mode in modes])
    log_share = evidence - logsumexp(evidence)
    n_kept = settings.chains * settings.draws
    pool = _draw(normals, log_share, _POOL * n_kept, rng)
    log_posterior = kernel.log_posterior(pool)
    log_ratio = log_posterior - _log_density(normals, log_share, pool)
    log_ratio[~np.isfinite(log_ratio)] = -np.inf
    log_weight, pareto_k = smooth_importance_weights(log_ratio)
    if pareto_k <= MAX_PARETO_K:
        weight = np.exp(log_weight)
        chosen = rng.choice(len(pool), n_kept, replace=True, p=weight / weight.sum())
    else:
        chosen = rng.choice(np.flatnonzero(np.isfinite(log_ratio)), n_kept, replace=False)
    shape = (settings.chains, settings.draws)
    return EngineResult(
        theta=pool[chosen].reshape(*shape, -1),
        log_posterior=log_posterior[chosen].reshape(shape),
        seconds={
            "optimisation": optimised - begun,
            "sampling": time.perf_counter() - optimised,
        },
        info={"pareto_k": float(pareto_k)},
    )


def _draw(normals: list[Coordinates], log_share, n: int, rng) -> np.ndarray:
    counts = rng.multinomial(n, np.exp(log_share))
    size = len(normals[0].centre)
    draws = [
        normal.to_theta(rng.normal(size=(count, size)))
        for normal, count in zip(normals, counts, strict=True)
    ]
    return rng.permutation(np.concatenate(draws))


def _log_density(normals: list[Coordinates], log_share, theta: np.ndarray) -> np.ndarray:
    """Log density of the mixture of Normals, (draws,)."""
    terms = []
    for normal, share in zip(normals, log_share, strict=True):
        z = linalg.solve_triangular(normal.factor, (theta - normal.centre).T, lower=True)
        terms.append(share - 0.5 * ((z * z).sum(axis=0) + len(z) * _LOG_2PI) - normal.log_volume)
    return logsumexp(np.stack(terms, axis=-1))
