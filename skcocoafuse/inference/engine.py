"""Arguments and results that all engines share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skcocoafuse.model.problem import Problem

#: The Hamiltonian's value at a draw. It says something together with that of the draw before.
ENERGY = "energy"


def without_energy(statistics: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Statistics of draws that do not follow one another, which are thinned or reordered."""
    return {name: values for name, values in statistics.items() if name != ENERGY}


@dataclass(frozen=True)
class Settings:
    """Settings of inference; an engine ignores those that do not concern it.

    Parameters
    ----------
    draws, tune, chains : int
        Kept draws per chain, warm-up draws per chain, number of chains.
    target_accept : float
        Target acceptance rate of the step size adaptation.
    cores : int
        Chains that run at the same time.
    seed : int
        The only source of randomness.
    progress_bar : bool
    options : dict
        Options specific to the engine, from ``inference_options``.
    earlier : ndarray of shape (draws, n_parameters), optional
        Possible starting points of the search: draws of a converged fit to other data, as
        unconstrained parameters of this problem, spread evenly over its chains.
    """

    draws: int
    tune: int
    chains: int
    target_accept: float
    cores: int
    seed: int
    progress_bar: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    earlier: np.ndarray | None = None


@dataclass(frozen=True)
class EngineResult:
    """Draws from (an approximation of) the posterior.

    Parameters
    ----------
    theta : ndarray of shape (chains, draws, n_parameters)
        Unconstrained parameters in the order of ``ModelSpec.blocks``.
    log_posterior : ndarray of shape (chains, draws)
    stats : dict of str to ndarray of shape (chains, draws)
        Sampler statistics: ``diverging``, ``tree_depth``, ``n_steps``, ``energy`` if available.
    seconds : dict of str to float
        Time of each phase.
    info : dict of str to float
        Other numbers for ``diagnostics_``: ``pareto_k`` if importance weights were used.
    independent : bool
        Whether the draws of a chain are independent of one another, not steps of a Markov chain;
        resampled ones may be repeated.
    """

    theta: np.ndarray
    log_posterior: np.ndarray
    stats: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    info: dict[str, float] = field(default_factory=dict)
    independent: bool = False


class Stopwatch:
    """Seconds of successive phases."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        """Add the time since the last lap to ``phase``."""
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._last
        self._last = now


Engine = Callable[[Problem, Settings], EngineResult]


@dataclass(frozen=True)
class EngineRow:
    """The properties of an engine; its row in the registry.

    Parameters
    ----------
    module : str
        The module of its function ``sample``.
    samples_posterior : bool
        Whether its draws are those of the posterior once it has converged. For draws
        of approximations, the Pareto k-hat must be checked first.
    options : tuple of str, or None
        ``inference_options`` that it accepts; None if it passes all of them on to another package.
    words : str
        A description that follows its name in a sentence.
    several_threads : bool, default=True
        Whether fits may run concurrently in threads of one process.
    few_passes : bool, default=False
        Whether it passes over all rows some hundred times at most, and accesses them only through
        sums and random parts: then they may be on disk or on a cluster.
    """

    module: str
    samples_posterior: bool
    options: tuple[str, ...] | None
    words: str
    several_threads: bool = True
    few_passes: bool = False


def check_options(engine: str, options: dict[str, Any], known: tuple[str, ...] | None) -> None:
    """Raise a ValueError that lists the known options if there is an unknown one."""
    if known is None:
        return
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"inference_options has {unknown}, which inference={engine!r} does not accept; "
            f"known options: {sorted(known)}."
        )
