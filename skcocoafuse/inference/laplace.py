"""Gaussian approximations at several modes, corrected by importance weights."""

import numpy as np
from scipy import stats

from skcocoafuse.compiled.coordinates import Coordinates
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.inference import mode_search
from skcocoafuse.inference.engine import EngineResult, Settings, Stopwatch
from skcocoafuse.inference.importance import resample
from skcocoafuse.model.forward import logsumexp
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.monte_carlo import MAX_PARETO_K, log_shares

_MAX_NORMALS = 8  # with the largest mass; others have a negligible share of the draws
_POOL = 4  # proposals per kept draw, if weights are usable
_FIRST_POOL = 1000  # proposals of a first pool that shows whether they are
_HOPELESS = 1.0  # k-hat of the first pool above which they are not
_DF = 10.0  # degrees of freedom of proposals; Normals with small samples miss the tails


def sample(problem: Problem, settings: Settings) -> EngineResult:
    """Draws from Normals at the modes, with the curvature there as inverse covariance.

    Normals are in transformed coordinates, at the modes with the largest mass. Each mode is
    weighted by its volume times its height (its approximate evidence). Proposals from Student t
    distributions of the same scale, whose wider tails bound the weights (Geweke, 1989,
    Econometrica 57), are resampled by smoothed importance weights. If the Pareto k-hat of these is
    above 0.7, the weights are unreliable; then every mode gets separate, uncorrected chains, and
    predictions weight the modes as they weight chain clusters. A small first pool detects hopeless
    cases.
    """
    rng = np.random.default_rng(settings.seed)
    kernel = Kernel(problem)
    watch = Stopwatch()
    modes = mode_search.begin(kernel, settings, rng)
    modes = sorted(modes, key=lambda mode: -mode.log_mass)[:_MAX_NORMALS]
    watch.lap("optimisation")
    normals = [mode.normal for mode in modes]
    log_share = log_shares(np.array([mode.log_mass for mode in modes]))
    n_kept = settings.chains * settings.draws
    for pool_size, limit in ((_FIRST_POOL, _HOPELESS), (_POOL * n_kept, MAX_PARETO_K)):
        counts = rng.multinomial(pool_size, np.exp(log_share))
        pool = rng.permutation(np.concatenate(_draw(normals, counts, rng, _DF)))
        log_posterior = kernel.log_posterior(pool)
        log_proposal = _log_density(normals, log_share, pool)
        chosen, pareto_k = resample(log_posterior, log_proposal, n_kept, limit, rng)
        if chosen is None:
            break
    if chosen is not None:
        theta = pool[chosen].reshape(settings.chains, settings.draws, -1)
        log_posterior = log_posterior[chosen].reshape(theta.shape[:2])
    else:
        normals = normals[:n_kept]  # at least one draw each; only the heaviest if more
        chains_each = min(-(-settings.chains // len(normals)), n_kept // len(normals))
        normals = [normal for normal in normals for _ in range(chains_each)]
        theta = np.stack(_draw(normals, [n_kept // len(normals)] * len(normals), rng))
        log_posterior = kernel.log_posterior(theta)
    watch.lap("sampling")
    return EngineResult(
        theta=theta,
        log_posterior=log_posterior,
        seconds=watch.seconds,
        info={"pareto_k": pareto_k},
        independent=True,
    )


def _draw(normals: list[Coordinates], counts, rng, df: float = np.inf) -> list[np.ndarray]:
    """Draws around each center, ``counts`` each, from t distributions if ``df`` is finite."""
    draws = []
    for normal, count in zip(normals, counts, strict=True):
        z = rng.normal(size=(count, len(normal.centre)))
        if np.isfinite(df):
            z *= np.sqrt(df / rng.chisquare(df, size=(count, 1)))
        draws.append(normal.to_theta(z))
    return draws


def _log_density(normals: list[Coordinates], log_share, theta: np.ndarray) -> np.ndarray:
    """Log density of the mixture of t distributions, (draws,)."""
    standard = stats.multivariate_t(shape=np.eye(theta.shape[-1]), df=_DF)
    terms = []
    for normal, share in zip(normals, log_share, strict=True):
        z = normal.from_theta(theta)
        own = standard.logpdf(z).reshape(len(theta))
        terms.append(share + own - normal.log_volume - normal.log_jacobian(z))
    return logsumexp(np.stack(terms, axis=-1))
