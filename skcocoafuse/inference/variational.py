"""Normals fitted variationally at several modes, corrected by importance weights or stacked."""

import dataclasses

import numpy as np
from scipy import stats

from skcocoafuse._threads import in_threads
from skcocoafuse.compiled.coordinates import Coordinates
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.inference import batch_and_match, mode_search
from skcocoafuse.inference.engine import EngineResult, Settings, Stopwatch
from skcocoafuse.inference.importance import resample
from skcocoafuse.inference.modes import Mode, by_mass
from skcocoafuse.model.forward import logsumexp
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.clusters import MIN_DRAWS
from skcocoafuse.posterior.monte_carlo import MAX_PARETO_K, log_shares

_MAX_NORMALS = 8  # with the largest mass; stacking gives others almost no weight
# Of these, with more rows than are searched: one mode has nearly all the mass then, and each step
# of four takes 32 gradients of all rows.
_MANY_ROWS = {"n_pairs": 16, "max_steps": 4, "width": 1.0}
_MAX_NORMALS_OF_MANY_ROWS = 2  # see above
_POOL = 4  # proposals per kept draw, if weights are usable
_FIRST_POOL = 1000  # proposals of a first pool that shows whether they are
_HOPELESS = 1.0  # k-hat of the first pool above which they are not
_DF = 10.0  # degrees of freedom of proposals; Normals with small samples miss the tails


@dataclasses.dataclass(frozen=True)
class _Approximation:
    """A Normal of transformed coordinates, and its evidence lower bound."""

    normal: Coordinates
    bound: float


def sample(problem: Problem, settings: Settings) -> EngineResult:
    """Draws from Normals fitted variationally, with full covariance, at several modes.

    Normals are in transformed coordinates, at the modes with the largest mass, and fitted by
    :mod:`skcocoafuse.inference.batch_and_match` in the coordinates of each mode. A mode at which
    that fails is dropped and counted (``n_failed_modes``).

    Each Normal is weighted by its evidence lower bound. Proposals from Student t distributions of
    the same scale, whose wider tails bound the weights (Geweke, 1989, Econometrica 57), are
    resampled by smoothed importance weights. If the Pareto k-hat of these is above 0.7, the weights
    are unreliable; then every mode gets separate, uncorrected chains, and predictions weight the
    modes as they weight chain clusters, by stacking. A small first pool detects hopeless cases.

    Raises
    ------
    RuntimeError
        If no Normal could be fitted.
    """
    rng, kernel, watch = np.random.default_rng(settings.seed), Kernel(problem), Stopwatch()
    n_kept = settings.chains * settings.draws
    modes = mode_search.begin(kernel, settings, rng)
    watch.lap("optimisation")
    fits, n_failed = _approximate(modes, n_kept, settings, rng)
    normals = [fit.normal for fit in fits]
    watch.lap("variational")
    log_share = log_shares(np.array([fit.bound for fit in fits]))
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
        chains_each = min(-(-settings.chains // len(normals)), n_kept // len(normals))
        normals = [normal for normal in normals for _ in range(chains_each)]
        theta = np.stack(_draw(normals, [n_kept // len(normals)] * len(normals), rng))
        log_posterior = kernel.log_posterior(theta)
    watch.lap("sampling")
    return EngineResult(
        theta=theta,
        log_posterior=log_posterior,
        seconds=watch.seconds,
        info={"pareto_k": pareto_k, "n_failed_modes": n_failed},
        independent=True,
    )


def _approximate(
    modes: list[Mode], n_kept: int, settings: Settings, rng: np.random.Generator
) -> tuple[list[_Approximation], int]:
    """Approximations at the heaviest modes, and the number of modes at which there is none.

    There are no more than can have chains that are long enough to tell clusters apart.
    """
    n_rows = modes[0].kernel.problem.rows.n_rows
    many_rows = n_rows > mode_search.MAX_ROWS
    most = _MAX_NORMALS_OF_MANY_ROWS if many_rows else _MAX_NORMALS
    modes = by_mass(modes)[: max(1, min(most, n_kept // MIN_DRAWS))]
    seeds = rng.integers(2**31, size=len(modes))

    def approximate(job) -> _Approximation | None:
        mode, seed = job
        density = mode.kernel.function(0.0, mode.normal)
        options = _MANY_ROWS if many_rows else {}
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
