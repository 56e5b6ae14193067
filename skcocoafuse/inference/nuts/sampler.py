"""NUTS by nutpie on the compiled kernel: the steps of a fit."""

import dataclasses
import warnings
from numbers import Integral

import numpy as np

from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.exceptions import KernelFallbackWarning
from skcocoafuse.inference import mode_search, pymc_sampler
from skcocoafuse.inference.engine import EngineResult, Settings, Stopwatch
from skcocoafuse.inference.modes import Mode, by_mass
from skcocoafuse.inference.nuts import convergence
from skcocoafuse.inference.nuts.backend import Launch, NutpieHasChanged, mean_steps
from skcocoafuse.inference.nuts.method import METHOD, Method
from skcocoafuse.inference.nuts.pilots import run_pilots
from skcocoafuse.inference.nuts.state import gradients_of
from skcocoafuse.inference.progress import announce
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.clusters import MIN_DRAWS


def sample(problem: Problem, settings: Settings, method: Method = METHOD) -> EngineResult:
    """Chains of the No-U-Turn sampler, started near the modes with the largest posterior mass.

    If nutpie does not accept the kernel (its interface for compiled models is not guaranteed), the
    PyMC model is sampled instead, with a :class:`KernelFallbackWarning`.

    Parameters
    ----------
    problem : Problem
    settings : Settings
    method : Method
        Stages and remedies, for benchmarks that leave some out.
    """
    given = {"maxdepth": method.maxdepth} | settings.options
    options = {name: _positive_integer(name, value) for name, value in given.items()}
    settings = dataclasses.replace(settings, options=options)
    try:
        return _sample_kernel(Kernel(problem), settings, method)
    except NutpieHasChanged as change:
        warnings.warn(
            f"nutpie did not accept the compiled kernel ({change}); "
            "sampling the PyMC model instead, which is slower and gives the same posterior. "
            "Another nutpie release may help.",
            KernelFallbackWarning,
            stacklevel=7,  # the line that called fit
        )
    options = {"max_treedepth": options["maxdepth"]}
    return pymc_sampler.sample(problem, dataclasses.replace(settings, options=options))


def _positive_integer(name: str, given) -> int:
    if isinstance(given, bool) or not isinstance(given, Integral) or given < 1:
        raise ValueError(f"{name} must be a positive integer; got {given!r}.")
    return int(given)


def _sample_kernel(kernel: Kernel, settings: Settings, method: Method) -> EngineResult:
    """Search for modes, pilot chains, long chains, remedies."""
    rng, watch = np.random.default_rng(settings.seed), Stopwatch()
    known = mode_search.revisit(kernel, settings)
    modes = known or mode_search.find_modes(kernel, rng, settings.cores, settings.progress_bar)
    watch.lap("optimization")
    launches, n_steps, n_gradients = _launches(known, modes, settings, rng, method)
    watch.lap("pilot chains")
    n_rows = kernel.problem.rows.n_rows
    announce(
        settings.progress_bar, _plan(settings, n_steps, method.max_gradients(settings, n_rows))
    )
    draws, info = convergence.sample(launches, n_steps, settings, rng, watch, method)
    info["n_gradients"] += n_gradients
    return EngineResult(draws.theta, draws.log_posterior, draws.statistics, watch.seconds, info)


def _plan(settings: Settings, n_steps: float, max_gradients: float) -> str:
    """What the chains will take: trajectories as in pilot chains, or as long as their depth allows.

    With many rows that is most of a fit, and its time is known after the first few draws.
    """
    n_draws = settings.draws + settings.tune
    least = settings.chains * n_draws * n_steps
    most = settings.chains * n_draws * (2 ** settings.options["maxdepth"] - 1)
    return (
        f"{settings.chains} chains of {n_draws} draws: about {least:,.0f} gradients of the log "
        f"posterior, {most:,} at most, {max(most, int(max_gradients)):,} with remedies"
    )


def _launches(
    known: list[Mode], modes: list[Mode], settings: Settings, rng, method: Method
) -> tuple[list[Launch], float, int]:
    """Chains to start; steps of a pilot chain's trajectory; gradients used by pilot chains."""
    earlier = settings.earlier
    if known and earlier is not None and len(earlier) >= MIN_DRAWS:  # and not a single mode
        mode = by_mass(known)[0]  # chains run in its coordinates
        runs = run_pilots(mode, settings, rng)
        points = mode.normal.from_theta(earlier)
        launch = Launch(mode.kernel, mode.normal, settings.chains, points)
        return [launch], mean_steps(runs), gradients_of(runs)
    modes = by_mass(modes, settings.cores)
    runs = run_pilots(modes[0], settings, rng)
    launches = share_chains(modes, settings.chains, method.comparable_mass)
    return launches, mean_steps(runs), gradients_of(runs)


def share_chains(
    modes: list[Mode], n_chains: int, comparable_mass: float = METHOD.comparable_mass
) -> list[Launch]:
    """Distribute chains over the modes of comparable mass, at least two at each."""
    close = [m for m in modes if modes[0].log_mass - m.log_mass < comparable_mass] or modes[:1]
    close = close[: max(1, n_chains // 2)]
    counts = np.full(len(close), n_chains // len(close))
    counts[: n_chains % len(close)] += 1
    return [
        Launch(mode.kernel, mode.normal, n) for mode, n in zip(close, counts.tolist(), strict=True)
    ]
