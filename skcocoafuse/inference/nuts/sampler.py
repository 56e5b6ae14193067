"""NUTS by nutpie on the compiled kernel: nothing is compiled for a fit."""

import dataclasses
import warnings
from numbers import Integral

import numpy as np

from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.exceptions import KernelFallbackWarning
from skcocoafuse.inference import mode_search, pymc_sampler
from skcocoafuse.inference.engine import EngineResult, Settings, Stopwatch
from skcocoafuse.inference.mode_search import Mode
from skcocoafuse.inference.nuts import convergence
from skcocoafuse.inference.nuts.backend import Launch, NutpieHasChanged, Run, mean_steps, run_chains
from skcocoafuse.inference.progress import progress_bar
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.clusters import MIN_DRAWS

_N_PILOTS = 4  # modes that two short chains each begin from
_PILOT_TUNE, _PILOT_DRAWS, _PILOT_DEPTH, _PILOT_ACCEPT = 80, 20, 6, 0.8
_HEATS = (0.2, 1.0)  # powers of the likelihood, in turn
_MAX_ROUNDS = 4
_COMPARABLE = 3.0  # log mass below the greatest of a mode that still gets chains
# 255 steps. On the diabetes data with 3 and 4 experts depth 10 (at target_accept 0.95) took 2.5
# to 3.4 times as long as depth 8 (at 0.9) and mixed no better; see benchmarks/LOG.md.
_DEPTH = 8


def sample(problem: Problem, settings: Settings) -> EngineResult:
    """Chains of the No-U-Turn sampler, begun near the modes that hold the posterior.

    If nutpie does not take the kernel (its interface for compiled models is not a
    promise), the PyMC model is sampled instead, with a :class:`KernelFallbackWarning`.
    """
    options = settings.options
    maxdepth = options.get("maxdepth", _DEPTH)
    if isinstance(maxdepth, bool) or not isinstance(maxdepth, Integral) or maxdepth < 1:
        raise ValueError(f"maxdepth must be a positive integer; got {maxdepth!r}.")
    settings = dataclasses.replace(settings, options={"maxdepth": maxdepth})
    rng = np.random.default_rng(settings.seed)
    kernel = Kernel(problem)
    watch = Stopwatch()
    known = mode_search.revisit(kernel, settings)
    modes = known or mode_search.find_modes(kernel, rng, settings.cores, settings.progress_bar)
    watch.lap("optimisation")
    try:
        earlier = settings.earlier
        if known and earlier is not None and len(earlier) >= MIN_DRAWS:  # and not a single mode
            mode = max(known, key=lambda mode: mode.log_mass)  # chains move in its coordinates
            n_steps = mean_steps(_run_pilots([mode], settings, rng))
            begins = mode.normal.from_theta(earlier)
            launches = [Launch(kernel, mode.normal, settings.chains, begins)]
        else:
            modes, n_steps = _explore(modes, settings, rng)
            launches = _share_chains(modes, settings.chains)
        watch.lap("pilot chains")
        draws, info = convergence.sample(launches, n_steps, settings, rng, watch)
    except NutpieHasChanged as change:
        warnings.warn(
            f"nutpie did not accept the compiled kernel ({change}); "
            "sampling the PyMC model instead, which is slower and gives the same posterior. "
            "Another nutpie release may help.",
            KernelFallbackWarning,
            stacklevel=6,  # the line that called fit
        )
        options = {"max_treedepth": maxdepth}
        return pymc_sampler.sample(problem, dataclasses.replace(settings, options=options))
    return EngineResult(draws.theta, draws.log_posterior, draws.statistics, watch.seconds, info)


def _explore(modes: list[Mode], settings: Settings, rng) -> tuple[list[Mode], float]:
    """Modes that short chains lead to, the one of most mass first; steps of a trajectory.

    A narrow mode may be higher than the one that holds the posterior, and optimisation from
    random starts misses most. So short chains begin at the modes of most mass, on a tempered
    posterior (likelihood to the power 0.2) and on the posterior itself in turn, and climb from
    where they end, until neither finds more mass (height times volume). How long trajectories are
    on the posterior itself foretells what chains will take.
    """
    kernel, n_steps = modes[0].kernel, np.nan
    modes = sorted(modes, key=lambda mode: -mode.log_mass)
    rounds = _HEATS * _MAX_ROUNDS
    rounds_without_gain = 0
    with progress_bar(settings.progress_bar, "pilot chains", len(rounds)) as step:
        for heat in rounds:
            tempered = kernel.tempered(heat)
            begun = [mode.on(tempered) for mode in modes[:_N_PILOTS]]
            runs = _run_pilots(begun, settings, rng)
            ends = np.concatenate([run.coordinates.bent(run.z[:, -1]) for run in runs])
            step()
            if heat == 1.0:
                n_steps = mean_steps(runs)
            best = modes[0].log_mass
            found = mode_search.climb(kernel, ends, settings.cores)
            modes = mode_search.distinct([*modes[:_N_PILOTS], *found])
            modes.sort(key=lambda mode: -mode.log_mass)
            gained = modes[0].log_mass > best + mode_search.GAIN
            rounds_without_gain = 0 if gained else rounds_without_gain + 1
            if rounds_without_gain == len(_HEATS):
                break
    return modes, n_steps


def _run_pilots(modes: list[Mode], settings: Settings, rng) -> list[Run]:
    """Two short chains at each of the modes."""
    pilot = dataclasses.replace(
        settings,
        draws=_PILOT_DRAWS,
        tune=_PILOT_TUNE,
        target_accept=_PILOT_ACCEPT,
        progress_bar=False,
        options={"maxdepth": _PILOT_DEPTH},
    )
    return run_chains([_launch(mode, 2) for mode in modes], pilot, rng)


def _launch(mode: Mode, chains: int) -> Launch:
    return Launch(mode.kernel, mode.normal, chains)


def _share_chains(modes: list[Mode], n_chains: int) -> list[Launch]:
    """How many chains begin at each mode: two or more, at those of comparable mass."""
    close = [mode for mode in modes if modes[0].log_mass - mode.log_mass < _COMPARABLE]
    close = close[: max(1, n_chains // 2)]
    counts = np.full(len(close), n_chains // len(close))
    counts[: n_chains % len(close)] += 1
    return [_launch(mode, n) for mode, n in zip(close, counts.tolist(), strict=True)]
