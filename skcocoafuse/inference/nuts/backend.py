"""Chains run by nutpie on the compiled kernel: the only file that knows nutpie."""

import dataclasses
import inspect
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from skcocoafuse._threads import raise_if_cancelled
from skcocoafuse.compiled.coordinates import Coordinates
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.compiled.log_posterior import identity_callback, log_posterior_callback
from skcocoafuse.inference.engine import Settings

_SPREAD = 0.5  # standard deviation of a chain's start around the mode, in round coordinates
_FROM_A_DRAW = 0.6  # part of the warm-up that is left for chains that begin at a draw
# Draws in the first adaptation windows. In nutpie's 10 the gradient of a Laplace prior may never
# change its sign; its variance is then 0, and the chain freezes for good (1 of 9 without data).
_EARLY_WINDOW = 30
# Draws in the later windows. In nutpie's 80 a chain may see one end of a bent ridge only, and
# then its mass matrix holds it there (1 of 20 fits of the smooth transition).
_WINDOW = 120
_MOMENT = 0.005  # seconds to wait for one of several samplers that a core may be free after
_LOOK = 0.1  # seconds after which to look whether anybody waits for the chains
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


def run_chains(launches: list[Launch], settings: Settings, rng) -> list[Run]:
    """Run all launches, as many chains at a time as there are cores.

    Launches share the cores; of more launches than cores each has one, and the next begins where
    one is done. Draws do not depend on that. An exception, an interrupt above all, ends every
    chain before it leaves: none goes on behind the user's back.

    Raises
    ------
    RuntimeError
        If nutpie's compiled code stops, as it does after some warm-ups that are too short.
    """
    shares = _shares([launch.chains for launch in launches], settings.cores)
    seeds = [int(rng.integers(2**31)) for _ in launches]
    traces: dict[int, Any] = {}
    running: dict[int, Any] = {}
    with _panics_as_errors(settings), ExitStack() as started:
        for number, launch in enumerate(launches):
            while running and sum(shares[n] for n in running) + shares[number] > settings.cores:
                traces |= _take_finished(running, _MOMENT)
            with _as_change_of_nutpie():
                sampler = _start(launch, settings, shares[number], seeds[number])
            started.callback(_cancel, sampler)  # nothing, where it is done
            running[number] = sampler
        while running:
            traces |= _take_finished(running, _LOOK)
    with _as_change_of_nutpie():
        return [
            _read(launch, traces[number], settings.draws) for number, launch in enumerate(launches)
        ]


def _shares(chains: list[int], cores: int) -> list[int]:
    """Cores of each launch: at least one, at most as many as it has chains."""
    each, more = divmod(cores, len(chains))
    return [max(1, min(n, each + (k < more))) for k, n in enumerate(chains)]


def _start(launch: Launch, settings: Settings, cores: int, seed: int):
    part = 1.0 if launch.begins is None else _FROM_A_DRAW
    own = dataclasses.replace(
        settings,
        # with more chains than draws ArviZ takes the axes for confused
        draws=max(settings.draws, launch.chains),
        chains=launch.chains,
        cores=cores,
        tune=max(1, int(part * settings.tune)),  # nutpie panics without a warm-up
    )
    return _start_sampler(_nutpie_model(launch), own, seed)


def _take_finished(running: dict[int, Any], timeout: float) -> dict[int, Any]:
    """Traces of samplers that are done, which leave ``running``; none may be, for now.

    Samplers have no way to wait for the first of several, so each is waited for some seconds.
    """
    traces = {}
    for number, sampler in list(running.items()):
        raise_if_cancelled()
        try:
            traces[number] = sampler.wait(timeout=timeout)
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
            f"warm-up of {settings.tune}. It needs a warm-up that is long enough to adapt in: give "
            "more tune (500 by default). If it stops with that as well, use inference='pymc'."
        ) from error


def _is_panic(error: BaseException) -> bool:
    """Whether Rust code panicked: its exceptions are no :class:`Exception`, and not importable."""
    return type(error).__name__ == "PanicException"


def _cancel(sampler) -> None:
    """Stop chains; a sampler that panicked, and does so whenever it is asked, is let go."""
    try:
        sampler.cancel()
    except BaseException as error:
        if not _is_panic(error):
            raise
        vars(sampler).clear()  # or its destructor would ask again


def mean_steps(runs: list[Run]) -> float:
    """Steps of a trajectory, mean over all draws of all chains."""
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
    return Run(launch.kernel, launch.coordinates, z, statistics)


class NutpieHasChanged(Exception):
    """Another interface for compiled models than the known ones."""


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
