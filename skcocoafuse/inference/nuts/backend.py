"""Chains run by nutpie on the compiled kernel: the only file that uses nutpie."""

import dataclasses
import inspect
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from skcocoafuse._threads import raise_if_cancelled
from skcocoafuse.compiled.coordinates import Coordinates
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.compiled.log_posterior import identity_callback, log_posterior_callback
from skcocoafuse.inference.engine import ENERGY, Settings, without_energy

# Standard deviation of starting points around the mode, in coordinates in which that of the
# posterior is nearly 1: chains start closer to the mode than their draws are. Not compared.
_SPREAD = 0.5
# Fraction of the warm-up for chains that start at a draw. On the transition a whole warm-up took
# 3.46 s, 0.6 of it 3.02 s, 0.4 of it 2.77 s, but two of these fits had to be continued.
_TUNE_FROM_DRAW = 0.6
# Draws in the first adaptation windows. In nutpie's 10 the gradient of a Laplace prior may never
# change sign; its variance is then 0, and the chain freezes permanently (1 of 9 without data).
_EARLY_WINDOW = 30
# Draws in the later windows. In nutpie's 80 a chain may see only one end of a curved ridge,
# and its mass matrix then keeps it there (1 of 20 fits of the smooth transition).
_WINDOW = 120
# Seconds to wait for one of several samplers before checking the next one and interrupts. It bounds
# how long a core is idle and has no effect on draws.
_POLL = 0.005
_STATS = {
    "logp": "logp",
    "diverging": "diverging",
    "depth": "tree_depth",
    "n_steps": "n_steps",
    "energy": ENERGY,
}


@dataclasses.dataclass(frozen=True)
class Launch:
    """Chains to run: their coordinates, number and starting points.

    Each starts at one of ``initial_points``, (points, n_parameters), or, without these, near the
    center of the coordinates.
    """

    kernel: Kernel
    coordinates: Coordinates
    chains: int
    initial_points: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Run:
    """The draws of the chains of one launch.

    ``z`` are draws, (chains, draws, n_parameters), in ``coordinates``; ``statistics`` are arrays of
    shape (chains, draws); ``n_gradients``, (chains,), are leapfrog steps, including the warm-up.
    """

    kernel: Kernel
    coordinates: Coordinates
    z: np.ndarray
    statistics: dict[str, np.ndarray]
    n_gradients: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, dtype=int))

    def chain(self, number: int) -> "Run":
        """A single chain."""
        own = slice(number, number + 1)
        statistics = {name: values[own] for name, values in self.statistics.items()}
        z, n_gradients = self.z[own], self.n_gradients[own]
        return Run(self.kernel, self.coordinates, z, statistics, n_gradients)

    def followed_by(self, other: "Run") -> "Run":
        """The draws of both runs in order."""
        statistics = {
            name: np.concatenate([values, other.statistics[name]], axis=1)
            for name, values in self.statistics.items()
        }
        z = np.concatenate([self.z, other.z], axis=1)
        n_gradients = self.n_gradients + other.n_gradients
        return Run(self.kernel, self.coordinates, z, statistics, n_gradients)

    def thinned(self, every: int) -> "Run":
        """One out of ``every`` draws."""
        if every == 1:
            return self
        kept = slice(every - 1, None, every)
        statistics = without_energy(self.statistics)
        statistics = {name: values[:, kept] for name, values in statistics.items()}
        return dataclasses.replace(self, z=self.z[:, kept], statistics=statistics)


def run_chains(launches: list[Launch], settings: Settings, rng) -> list[Run]:
    """Run all launches, as many chains at a time as there are cores.

    Launches share the cores; if there are more launches than cores, each gets one core, and the
    next launch starts as soon as another is done. Draws do not depend on that. An exception,
    especially an interrupt, ends every chain before it propagates, so none keeps running.

    Raises
    ------
    RuntimeError
        If nutpie's compiled code panics, as it does after some warm-ups that are too short.
    """
    shares = _shares([launch.chains for launch in launches], settings.cores)
    seeds = [int(rng.integers(2**31)) for _ in launches]
    traces: dict[int, Any] = {}
    running: dict[int, Any] = {}
    with _panics_as_errors(settings), ExitStack() as started:
        for number, launch in enumerate(launches):
            while running and sum(shares[n] for n in running) + shares[number] > settings.cores:
                traces |= _take_finished(running)
            with _as_change_of_nutpie():
                sampler = _start(launch, settings, shares[number], seeds[number])
            started.callback(_cancel, sampler)  # no effect on a finished one
            running[number] = sampler
        while running:
            traces |= _take_finished(running)
    with _as_change_of_nutpie():
        return [
            _read(launch, traces[number], settings.draws) for number, launch in enumerate(launches)
        ]


def _shares(chains: list[int], cores: int) -> list[int]:
    """Cores of each launch: at least one, at most as many as it has chains."""
    each, more = divmod(cores, len(chains))
    return [max(1, min(n, each + (k < more))) for k, n in enumerate(chains)]


def _start(launch: Launch, settings: Settings, cores: int, seed: int):
    fraction = 1.0 if launch.initial_points is None else _TUNE_FROM_DRAW
    own = dataclasses.replace(
        settings,
        # with more chains than draws, ArviZ suspects that axes are swapped
        draws=max(settings.draws, launch.chains),
        chains=launch.chains,
        cores=cores,
        tune=max(1, int(fraction * settings.tune)),  # nutpie panics without a warm-up
    )
    return _start_sampler(_nutpie_model(launch), own, seed)


def _take_finished(running: dict[int, Any]) -> dict[int, Any]:
    """Traces of finished samplers, if any, which are removed from ``running``.

    There is no way to wait for the first of several samplers, so each is polled in turn.
    """
    traces = {}
    for number, sampler in list(running.items()):
        raise_if_cancelled()
        try:
            traces[number] = sampler.wait(timeout=_POLL)
        except TimeoutError:
            continue
        del running[number]
    return traces


@contextmanager
def _panics_as_errors(settings: Settings):
    try:
        yield
    except BaseException as error:
        if not _is_panic(error):
            raise
        raise RuntimeError(
            f"nutpie's compiled code stopped ({error}) in chains of {settings.draws} draws after a "
            f"warm-up of {settings.tune}. It needs a warm-up that is long enough to adapt: give "
            "more tune (500 by default). If it still stops, use inference='pymc'."
        ) from error


def _is_panic(error: BaseException) -> bool:
    """Whether Rust code panicked, whose error is not an :class:`Exception` nor importable."""
    return type(error).__name__ == "PanicException"


def _cancel(sampler) -> None:
    """Stop chains; a sampler that panicked would do so again at every call, and is dropped."""
    try:
        sampler.cancel()
    except BaseException as error:
        if not _is_panic(error):
            raise
        vars(sampler).clear()  # otherwise its destructor would call it again


def mean_steps(runs: list[Run]) -> float:
    """Mean number of steps of a trajectory over all draws of all chains."""
    steps = [run.statistics["n_steps"] for run in runs]
    return float(sum(values.sum() for values in steps) / sum(values.size for values in steps))


def _read(launch: Launch, trace, draws: int) -> Run:
    """The last draws of a trace."""
    statistics = {
        ours: np.asarray(trace.sample_stats[theirs].values)[:, -draws:]
        for theirs, ours in _STATS.items()
        if theirs in trace.sample_stats
    }
    z = np.asarray(trace.posterior["z"].values)[:, -draws:]
    return Run(launch.kernel, launch.coordinates, z, statistics, _n_gradients(trace, len(z)))


def _n_gradients(trace, n_chains: int) -> np.ndarray:
    """Leapfrog steps of each chain, including warm-up, if the trace has them."""
    total = np.zeros(n_chains, dtype=int)
    for name in ("warmup_sample_stats", "sample_stats"):
        group: Any = getattr(trace, name, ())
        if "n_steps" in group:
            total += np.asarray(group["n_steps"].values).sum(axis=1).astype(int)
    return total


class NutpieHasChanged(Exception):
    """nutpie's interface for compiled models is none of the known ones."""


@contextmanager
def _as_change_of_nutpie():
    try:
        yield
    except (ImportError, AttributeError, TypeError) as error:
        raise NutpieHasChanged(f"{type(error).__name__}: {error}") from error


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
        # for the number of its steps; ArviZ mistakes axes with more chains than draws
        save_warmup=settings.tune >= settings.chains,
        blocking=False,
        **low_rank,
        **settings.options,
    )


def _nutpie_model(launch: Launch):
    """The kernel as an instance of nutpie's class for compiled models.

    Its fields differ between releases, so only those that exist are set.
    """
    import pandas as pd
    from nutpie.compile_pymc import CompiledPyMCModel

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
        "initial_point_func": _initial_point_function(launch),
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


def _initial_point_function(launch: Launch):
    """A function from a seed to the starting point of a chain."""

    def initial_point(seed):
        rng = np.random.default_rng(seed)
        if launch.initial_points is None:
            return _SPREAD * rng.normal(size=launch.kernel.n_parameters)
        return rng.choice(launch.initial_points)

    return initial_point
