"""Normals fitted variationally at several modes, corrected by importance weights or moved."""

import dataclasses
from typing import Any

import numpy as np
from scipy import stats

from skcocoafuse._threads import in_threads
from skcocoafuse.compiled.coordinates import Coordinates
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.inference import batch_and_match, hamiltonian, mode_search
from skcocoafuse.inference.engine import EngineResult, Settings, Stopwatch
from skcocoafuse.inference.importance import resample
from skcocoafuse.inference.modes import Mode
from skcocoafuse.model.forward import logsumexp
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.clusters import MIN_DRAWS
from skcocoafuse.posterior.monte_carlo import MAX_PARETO_K, log_shares

# With more rows than are searched, from the curvature of a part of them, which is nearly right: 128
# gradients per Normal. With twice as many the test density of wind and kin8nm is the same.
_MANY_ROWS: dict[str, Any] = {"n_pairs": 16, "max_steps": 4, "width": 1.0}
# With more than modes are refined on thoroughly, 64 each: four of these are 0.02 better on protein
# than two with 128.
_VERY_MANY_ROWS = _MANY_ROWS | {"n_pairs": 8}
_POOL_OF_MANY_ROWS = 100  # proposals, which suffice for k-hat; none is kept
# Leapfrog steps of draws that are moved, with at most this many rows and with more. The fewer rows,
# the less Normal is the posterior, and the less a step costs: (4, 12) is better than (2, 6) by up
# to 0.06 in test NLL with 50 to 455 rows, and no better with 691 to 1440 (benchmarks/LOG.md).
_FEW_ROWS, _STEPS, _STEPS_OF_MORE_ROWS = 500, (4, 12), (2, 6)
_POOL = 4  # proposals per kept draw, if weights are usable
_FIRST_POOL = 1000  # proposals of a first pool that shows whether they are
_HOPELESS = 1.0  # k-hat of the first pool above which they are not
_DF = 10.0  # degrees of freedom of proposals; Normals with small samples miss the tails


@dataclasses.dataclass(frozen=True)
class _Approximation:
    """A Normal of transformed coordinates, and its evidence lower bound."""

    normal: Coordinates
    bound: float

    def log_density(self, theta: np.ndarray, df: float = np.inf) -> np.ndarray:
        """Of parameters, (draws, n_parameters); of a t distribution if ``df`` is finite."""
        standard = stats.multivariate_t(shape=np.eye(theta.shape[-1]), df=df)
        z = self.normal.from_theta(theta)
        own = standard.logpdf(z).reshape(len(theta))
        return own - self.normal.log_volume - self.normal.log_jacobian(z)

    def log_posterior(self, theta: np.ndarray) -> np.ndarray:
        """The log posterior where the approximation is exact: the bound is the evidence there."""
        return self.bound + self.log_density(theta)


def sample(problem: Problem, settings: Settings) -> EngineResult:
    """Draws from Normals fitted variationally, with full covariance, at several modes.

    Normals are in transformed coordinates, at the modes with the largest mass, and fitted by
    :mod:`skcocoafuse.inference.batch_and_match` in the coordinates of each mode. A mode at which
    that fails is dropped and counted (``n_failed_modes``).

    Each Normal is weighted by its evidence lower bound. Proposals from Student t distributions of
    the same scale, whose wider tails bound the weights (Geweke, 1989, Econometrica 57), are
    resampled by smoothed importance weights. If the Pareto k-hat of these is above 0.7, the weights
    are unreliable; then every mode gets separate chains, whose draws are moved towards the
    posterior (:mod:`skcocoafuse.inference.hamiltonian`) unless there are many rows, and predictions
    weight the modes as they weight chain clusters, by stacking. A small first pool detects hopeless
    cases.

    Raises
    ------
    RuntimeError
        If no Normal could be fitted.
    """
    rng, kernel, watch = np.random.default_rng(settings.seed), Kernel(problem), Stopwatch()
    n_kept = settings.chains * settings.draws
    modes = mode_search.begin(kernel, settings, rng)
    watch.lap("optimization")
    fits, n_failed = _approximate(modes, n_kept, settings, rng)
    watch.lap("variational")
    corrected, pareto_k = _corrected(fits, kernel, n_kept, settings, rng)
    if corrected is not None:
        theta, log_posterior = corrected
        theta = theta.reshape(settings.chains, settings.draws, -1)
        log_posterior = log_posterior.reshape(theta.shape[:2])
    else:
        chains_each = min(-(-settings.chains // len(fits)), n_kept // len(fits))
        fits = [fit for fit in fits for _ in range(chains_each)]
        n_each = n_kept // len(fits)
        if _has_many_rows(kernel):
            draws = _draw(fits, [n_each] * len(fits), rng)
            each = zip(fits, draws, strict=True)
            theta = np.stack(draws)
            log_posterior = np.stack([fit.log_posterior(own) for fit, own in each])
        else:
            theta = _moved(fits, n_each, kernel, settings.cores, rng)
            log_posterior = kernel.log_posterior(theta, settings.cores)
    watch.lap("sampling")
    return EngineResult(
        theta=theta,
        log_posterior=log_posterior,
        seconds=watch.seconds,
        info={"pareto_k": pareto_k, "n_failed_modes": n_failed},
        independent=True,
    )


def _has_many_rows(kernel: Kernel) -> bool:
    return kernel.problem.rows.n_rows > mode_search.MAX_ROWS


def _corrected(
    fits: list[_Approximation],
    kernel: Kernel,
    n_kept: int,
    settings: Settings,
    rng: np.random.Generator,
) -> tuple[tuple[np.ndarray, np.ndarray] | None, float]:
    """Draws that follow the posterior, or None; and k-hat of their weights.

    Parameters, (n_kept, n_parameters), and log posterior, (n_kept,). With many rows k-hat is
    estimated, and draws are not corrected.
    """
    log_share = log_shares(np.array([fit.bound for fit in fits]))
    pools = [(_FIRST_POOL, _HOPELESS), (_POOL * n_kept, MAX_PARETO_K)]
    if _has_many_rows(kernel):
        pools = [(_POOL_OF_MANY_ROWS, -np.inf)]
    for pool_size, limit in pools:
        counts = rng.multinomial(pool_size, np.exp(log_share))
        pool = rng.permutation(np.concatenate(_draw(fits, counts, rng, _DF)))
        log_posterior = kernel.log_posterior(pool, settings.cores)
        log_proposal = _log_density(fits, log_share, pool)
        chosen, pareto_k = resample(log_posterior, log_proposal, n_kept, limit, rng)
        if chosen is None:
            return None, pareto_k
    return (pool[chosen], log_posterior[chosen]), pareto_k


def _approximate(
    modes: list[Mode], n_kept: int, settings: Settings, rng: np.random.Generator
) -> tuple[list[_Approximation], int]:
    """Approximations at the heaviest modes, and the number of modes at which there is none.

    There are no more than can have chains that are long enough to tell clusters apart.
    """
    modes = mode_search.heaviest(modes, settings.cores)[: max(1, n_kept // MIN_DRAWS)]
    options = _options(modes[0].kernel.problem.rows.n_rows)
    seeds = rng.integers(2**31, size=len(modes))

    def approximate(job) -> _Approximation | None:
        mode, seed = job
        density = mode.kernel.function(0.0, mode.normal)
        try:
            found = batch_and_match.fit(
                density, len(mode.point), np.random.default_rng(seed), **options
            )
        except np.linalg.LinAlgError:
            return None
        own = mode.normal
        normal = dataclasses.replace(
            own, centre=own.transformed(found.mean), factor=own.factor @ found.factor
        )
        return _Approximation(normal, found.bound + own.log_volume)

    found = in_threads(approximate, list(zip(modes, seeds, strict=True)), settings.cores)
    fits = [fit for fit in found if fit is not None]
    if not fits:
        raise RuntimeError(
            f"No Normal could be fitted at any of {len(modes)} modes. Use inference='nuts', or "
            "stronger priors."
        )
    return fits, len(modes) - len(fits)


def _options(n_rows: int) -> dict[str, Any]:
    """Of :func:`batch_and_match.fit`: the more rows, the fewer gradients."""
    if n_rows <= mode_search.MAX_ROWS:
        return {}
    return _MANY_ROWS if n_rows <= mode_search.MAX_ROWS_REFINED else _VERY_MANY_ROWS


def _draw(fits: list[_Approximation], counts, rng, df: float = np.inf) -> list[np.ndarray]:
    """Draws around each center, ``counts`` each, from t distributions if ``df`` is finite."""
    draws = []
    for fit, count in zip(fits, counts, strict=True):
        z = rng.normal(size=(count, len(fit.normal.centre)))
        if np.isfinite(df):
            z *= np.sqrt(df / rng.chisquare(df, size=(count, 1)))
        draws.append(fit.normal.to_theta(z))
    return draws


def _moved(
    fits: list[_Approximation], count: int, kernel: Kernel, cores: int, rng: np.random.Generator
) -> np.ndarray:
    """Draws of each Normal, moved towards the posterior: parameters, (fits, count, ...)."""
    seeds = rng.integers(2**31, size=len(fits))
    n_steps = _STEPS if kernel.problem.rows.n_rows <= _FEW_ROWS else _STEPS_OF_MORE_ROWS

    def move(job) -> np.ndarray:
        fit, seed = job
        density, size = kernel.function(0.0, fit.normal), len(fit.normal.centre)
        z = hamiltonian.moved(density, size, count, np.random.default_rng(seed), n_steps)
        return fit.normal.to_theta(z)

    return np.stack(in_threads(move, list(zip(fits, seeds, strict=True)), cores))


def _log_density(fits: list[_Approximation], log_share, theta: np.ndarray) -> np.ndarray:
    """Log density of the mixture of t distributions, (draws,)."""
    terms = np.stack([fit.log_density(theta, _DF) for fit in fits], axis=-1)
    return logsumexp(log_share + terms)
