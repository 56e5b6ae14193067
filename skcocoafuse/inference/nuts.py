"""NUTS by nutpie on the compiled kernel: nothing is compiled for a fit."""

import dataclasses
import inspect
import warnings
from contextlib import contextmanager
from numbers import Integral

import numpy as np

from skcocoafuse._monte_carlo import rhat
from skcocoafuse.exceptions import KernelFallbackWarning
from skcocoafuse.inference import jumps, pymc_sampler, starts
from skcocoafuse.inference.coordinates import Coordinates
from skcocoafuse.inference.engine import EngineResult, Settings, Stopwatch, check_options
from skcocoafuse.inference.kernel import Kernel, identity_callback, log_posterior_callback
from skcocoafuse.inference.progress import progress_bar
from skcocoafuse.inference.starts import Mode
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.islands import MAX_RHAT, MIN_DRAWS, disagree, find_islands, invariants
from skcocoafuse.posterior.relabel import relabel

_SPREAD = 0.5  # standard deviation of a chain's start around the mode, in round coordinates
_N_PILOTS = 4  # modes that two short chains each begin from
_PILOT_TUNE, _PILOT_DRAWS, _PILOT_DEPTH, _PILOT_ACCEPT = 80, 20, 6, 0.8
_HEATS = (0.2, 1.0)  # powers of the likelihood, in turn
_MAX_ROUNDS = 4
_COMPARABLE = 3.0  # log mass below the greatest of a mode that still gets chains
# Draws in the first adaptation windows. In nutpie's 10 the gradient of a Laplace prior may never
# change its sign; its variance is then 0, and the chain freezes for good (1 of 9 without data).
_EARLY_WINDOW = 30
# Draws in the later windows. In nutpie's 80 a chain may see one end of a bent ridge only, and
# then its mass matrix holds it there (1 of 20 fits of the smooth transition).
_WINDOW = 120
# 255 steps. On the diabetes data with 3 and 4 experts depth 10 (at target_accept 0.95) took 2.5
# to 3.4 times as long as depth 8 (at 0.9) and mixed no better; see benchmarks/README.md.
_DEPTH = 8
# Chains that disagree without being settled in modes of their own go on: by so many times their
# draws, and all draws are thinned to the number asked for.
_MORE_DRAWS = 2
_FROM_A_DRAW = 0.6  # part of the warm-up that is left for chains that begin at a draw
_STATS = {"logp": "logp", "diverging": "diverging", "depth": "tree_depth", "n_steps": "n_steps"}


@dataclasses.dataclass(frozen=True)
class Launch:
    """Chains to run: in which coordinates, how many, and where from.

    Each begins at one of the draws ``begins``, (draws, n_parameters), or without these near the
    centre of the coordinates.
    """

    kernel: Kernel
    coordinates: Coordinates
    chains: int
    begins: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Run:
    """What chains of one launch found: draws z (chains, draws, n_parameters), statistics."""

    kernel: Kernel
    coordinates: Coordinates
    z: np.ndarray
    statistics: dict[str, np.ndarray]

    def chain(self, number: int) -> "Run":
        """One of the chains alone."""
        own = slice(number, number + 1)
        statistics = {name: values[own] for name, values in self.statistics.items()}
        return Run(self.kernel, self.coordinates, self.z[own], statistics)

    def followed_by(self, other: "Run") -> "Run":
        """The draws of both in their order."""
        statistics = {
            name: np.concatenate([values, other.statistics[name]], axis=1)
            for name, values in self.statistics.items()
        }
        z = np.concatenate([self.z, other.z], axis=1)
        return Run(self.kernel, self.coordinates, z, statistics)

    def thinned(self, every: int) -> "Run":
        """One out of ``every`` draws."""
        kept = slice(every - 1, None, every)
        statistics = {name: values[:, kept] for name, values in self.statistics.items()}
        return Run(self.kernel, self.coordinates, self.z[:, kept], statistics)


@dataclasses.dataclass(frozen=True)
class Draws:
    """Draws of all chains, (chains, draws, ...), and how far chains agree.

    ``islands`` is empty where chains agree or are too short to tell; otherwise ``quantities`` are
    those of :func:`skcocoafuse.posterior.islands.invariants`.
    """

    theta: np.ndarray
    log_posterior: np.ndarray
    statistics: dict[str, np.ndarray]
    quantities: np.ndarray = dataclasses.field(default_factory=lambda: np.empty((0, 0, 0)))
    islands: list[list[int]] = dataclasses.field(default_factory=list)


def sample(problem: Problem, settings: Settings) -> EngineResult:
    """Chains of the No-U-Turn sampler, begun near the modes that hold the posterior.

    If nutpie does not take the kernel (its interface for compiled models is not a
    promise), the PyMC model is sampled instead, with a :class:`KernelFallbackWarning`.
    """
    options = settings.options
    check_options("nuts", options, ("maxdepth",))
    maxdepth = options.get("maxdepth", _DEPTH)
    if isinstance(maxdepth, bool) or not isinstance(maxdepth, Integral) or maxdepth < 1:
        raise ValueError(f"maxdepth must be a positive integer; got {maxdepth!r}.")
    settings = dataclasses.replace(settings, options={"maxdepth": maxdepth})
    rng = np.random.default_rng(settings.seed)
    kernel = Kernel(problem)
    watch = Stopwatch()
    known = starts.revisit(kernel, settings)
    modes = known or starts.find_modes(kernel, rng, settings.cores, settings.progress_bar)
    watch.lap("optimisation")
    try:
        earlier = settings.earlier
        if known and earlier is not None and len(earlier) >= MIN_DRAWS:  # and not a single mode
            launches = _resume(known, earlier, settings.chains)
        else:
            launches = _share_chains(_explore(modes, settings, rng), settings.chains)
        watch.lap("pilot chains")
        draws, thinning = _until_settled(kernel, launches, settings, rng)
    except _NutpieHasChanged as change:
        warnings.warn(
            f"nutpie did not accept the compiled kernel ({change}); "
            "sampling the PyMC model instead, which is slower and gives the same posterior. "
            "Another nutpie release may help.",
            KernelFallbackWarning,
            stacklevel=5,  # the line that called fit
        )
        options = {"max_treedepth": maxdepth}
        return pymc_sampler.sample(problem, dataclasses.replace(settings, options=options))
    watch.lap("sampling")
    result = EngineResult(
        draws.theta, draws.log_posterior, draws.statistics, watch.seconds, {"thinning": thinning}
    )
    if draws.islands and jumps.settled(draws.quantities, draws.islands, MAX_RHAT):
        result = _with_jumps(kernel, result, draws.islands, settings, rng)
    watch.lap("jumps between modes")
    return result


def _until_settled(kernel: Kernel, launches: list[Launch], settings: Settings, rng):
    """Draws of chains that agree, or sit in modes of their own; and their thinning.

    Chains that do neither go on. If all draws of each still disagree, some chain
    had not arrived, and the first draws of all are dropped as warm-up.
    """
    runs = _sample_from(launches, settings, rng)
    draws = _joined(kernel, runs)
    if not _should_go_on(draws):
        return draws, 1
    first, later = _go_on(runs, settings, rng)
    together = [own.followed_by(more) for own, more in zip(first, later, strict=True)]
    draws = _joined(kernel, [run.thinned(1 + _MORE_DRAWS) for run in together])
    if not draws.islands:
        return draws, 1 + _MORE_DRAWS
    return _joined(kernel, [run.thinned(_MORE_DRAWS) for run in later]), _MORE_DRAWS


def _with_jumps(kernel: Kernel, result: EngineResult, islands, settings, rng) -> EngineResult:
    """The draws as they are if jumps connect the modes that chains have settled in."""
    spec = kernel.problem.spec
    labelled = relabel(kernel.problem, spec.unpack(result.theta), result.log_posterior)
    theta = spec.pack(labelled)
    chain, draw, accepted = jumps.change_places(kernel, theta, islands, settings.cores, rng)
    if not jumps.connected(accepted):
        return result
    return dataclasses.replace(
        result,
        theta=theta[chain, draw],
        log_posterior=result.log_posterior[chain, draw],
        stats={name: values[chain, draw] for name, values in result.stats.items()},
        info={**result.info, "jumps_accepted": float(accepted.mean())},
    )


def _joined(kernel: Kernel, runs: list[Run]) -> Draws:
    """All chains of several runs, and whether they agree."""
    statistics = {
        name: np.concatenate([run.statistics[name] for run in runs]) for name in runs[0].statistics
    }
    bending = np.concatenate([run.coordinates.log_bending(run.z) for run in runs])
    theta = np.concatenate([run.coordinates.to_theta(run.z) for run in runs])
    log_posterior = statistics.pop("logp") + kernel.constant - bending
    return _judged(kernel.problem, Draws(theta, log_posterior, statistics))


def _judged(problem: Problem, draws: Draws) -> Draws:
    """The draws with what they disagree in, if they do and are long enough to tell."""
    if draws.theta.shape[1] < MIN_DRAWS:
        return draws
    parameters = problem.spec.unpack(draws.theta)
    posterior = Posterior(problem.spec, parameters, draws.log_posterior, {})
    quantities = invariants(problem, posterior)
    if not disagree(rhat(quantities)):
        return draws
    return dataclasses.replace(draws, quantities=quantities, islands=find_islands(quantities))


def _should_go_on(draws: Draws) -> bool:
    """Whether chains disagree other than by each sitting in a mode of its own."""
    if not draws.islands:
        return False
    return len(draws.islands) == 1 or any(
        disagree(rhat(draws.quantities[chains])) for chains in draws.islands
    )


def _go_on(runs: list[Run], settings: Settings, rng) -> tuple[list[Run], list[Run]]:
    """Every chain by itself, and what it finds from its last draw on."""
    longer = dataclasses.replace(settings, draws=_MORE_DRAWS * settings.draws)
    chains = [run.chain(number) for run in runs for number in range(len(run.z))]
    launches = [Launch(run.kernel, run.coordinates, 1, run.z[0, -1:]) for run in chains]
    return chains, _sample_from(launches, longer, rng)


def _explore(modes: list[Mode], settings: Settings, rng) -> list[Mode]:
    """Modes that short chains lead to, the one of most mass first.

    A narrow mode may be higher than the one that holds the posterior, and optimisation from
    random starts misses most. So short chains begin at the modes of most mass, on a tempered
    posterior (likelihood to the power 0.2) and on the posterior itself in turn, and climb from
    where they end, until neither finds more mass (height times volume).
    """
    kernel = modes[0].kernel
    modes = sorted(modes, key=lambda mode: -mode.log_mass)
    pilot = dataclasses.replace(
        settings,
        draws=_PILOT_DRAWS,
        tune=_PILOT_TUNE,
        target_accept=_PILOT_ACCEPT,
        progress_bar=False,
        options={"maxdepth": _PILOT_DEPTH},
    )
    rounds = _HEATS * _MAX_ROUNDS
    rounds_without_gain = 0
    with progress_bar(settings.progress_bar, "pilot chains", len(rounds)) as step:
        for heat in rounds:
            tempered = kernel.tempered(heat)
            begun = [_launch(mode.on(tempered), 2) for mode in modes[:_N_PILOTS]]
            runs = _sample_from(begun, pilot, rng)
            ends = np.concatenate([run.coordinates.bent(run.z[:, -1]) for run in runs])
            step()
            best = modes[0].log_mass
            found = starts.climb(kernel, ends, settings.cores)
            modes = starts.distinct([*modes[:_N_PILOTS], *found])
            modes.sort(key=lambda mode: -mode.log_mass)
            gained = modes[0].log_mass > best + starts.GAIN
            rounds_without_gain = 0 if gained else rounds_without_gain + 1
            if rounds_without_gain == len(_HEATS):
                break
    return modes


def _launch(mode: Mode, chains: int) -> Launch:
    return Launch(mode.kernel, mode.normal, chains)


def _share_chains(modes: list[Mode], n_chains: int) -> list[Launch]:
    """How many chains begin at each mode: two or more, at those of comparable mass."""
    close = [mode for mode in modes if modes[0].log_mass - mode.log_mass < _COMPARABLE]
    close = close[: max(1, n_chains // 2)]
    counts = np.full(len(close), n_chains // len(close))
    counts[: n_chains % len(close)] += 1
    return [_launch(mode, n) for mode, n in zip(close, counts.tolist(), strict=True)]


def _resume(modes: list[Mode], earlier: np.ndarray, chains: int) -> list[Launch]:
    """Chains from earlier draws, in the coordinates of the heaviest mode."""
    mode = max(modes, key=lambda mode: mode.log_mass)
    return [Launch(mode.kernel, mode.normal, chains, mode.normal.from_theta(earlier))]


def _sample_from(launches: list[Launch], settings: Settings, rng) -> list[Run]:
    """Run all launches at the same time."""
    cores = max(1, settings.cores // len(launches))
    samplers = []
    try:
        for launch in launches:
            part = 1.0 if launch.begins is None else _FROM_A_DRAW
            own = dataclasses.replace(
                settings, chains=launch.chains, cores=cores, tune=int(part * settings.tune)
            )
            seed = int(rng.integers(2**31))
            with _as_change_of_nutpie():
                samplers.append(_start_sampler(_nutpie_model(launch), own, seed))
        traces = [sampler.wait() for sampler in samplers]
    except BaseException:  # an interrupt above all: no chain goes on behind the user's back
        for sampler in samplers:
            sampler.cancel()
        raise
    with _as_change_of_nutpie():
        return [_read(launch, trace) for launch, trace in zip(launches, traces, strict=True)]


def _read(launch: Launch, trace) -> Run:
    statistics = {
        ours: np.asarray(trace.sample_stats[theirs].values)
        for theirs, ours in _STATS.items()
        if theirs in trace.sample_stats
    }
    z = np.asarray(trace.posterior["z"].values)
    return Run(launch.kernel, launch.coordinates, z, statistics)


class _NutpieHasChanged(Exception):
    """Another interface for compiled models than the known ones."""


@contextmanager
def _as_change_of_nutpie():
    try:
        yield
    except (ImportError, AttributeError, TypeError) as error:
        raise _NutpieHasChanged(f"{type(error).__name__}: {error}") from error


def _start_sampler(model, settings: Settings, seed: int):
    import nutpie

    new = "adaptation" in inspect.signature(nutpie.sample).parameters
    low_rank = {"adaptation": "low_rank"} if new else {"low_rank_modified_mass_matrix": True}
    return nutpie.sample(
        model,
        draws=settings.draws,
        tune=settings.tune,
        chains=settings.chains,
        cores=settings.cores,
        seed=seed,
        target_accept=settings.target_accept,
        progress_bar=settings.progress_bar,
        early_window_switch_freq=_EARLY_WINDOW,
        mass_matrix_switch_freq=_WINDOW,
        save_warmup=False,
        blocking=False,
        **low_rank,
        **settings.options,
    )


def _nutpie_model(launch: Launch):
    """Nutpie's own class for compiled models, around the kernel.

    Its fields differ between releases, so only those that exist are filled.
    """
    import pandas as pd
    from nutpie.compile_pymc import CompiledPyMCModel

    def initial_point(seed):
        rng = np.random.default_rng(seed)
        if launch.begins is None:
            return _SPREAD * rng.normal(size=size)
        return rng.choice(launch.begins)

    size = launch.kernel.n_parameters
    data, arrays = launch.kernel.user_data(0.0, launch.coordinates)
    index = pd.RangeIndex(size)
    values = {
        "_n_dim": size,
        "n_expanded": size,
        "dims": {"z": ("parameter",)},
        "_coords": {"parameter": index, "unconstrained_parameter": index},
        "_shapes": {"z": (size,)},
        "shape_info": (["z"], [slice(0, size)], [(size,)]),
        "compiled_logp_func": log_posterior_callback,
        "compiled_expand_func": identity_callback,
        "initial_point_func": initial_point,
        "user_data": data,
        # keeps the arrays alive while chains run
        "shared_data": dict(enumerate(arrays)),
        "shared_var_keys": {},
        "logp_func": None,
        "expand_func": None,
        "reparameterized_names": (),
    }
    known = {field.name for field in dataclasses.fields(CompiledPyMCModel)}
    return CompiledPyMCModel(**{name: value for name, value in values.items() if name in known})
