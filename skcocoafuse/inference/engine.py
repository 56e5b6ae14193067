"""What every engine takes and gives."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skcocoafuse.model.problem import Problem


@dataclass(frozen=True)
class Settings:
    """How to look for the posterior; what is not an engine's business it leaves alone.

    Parameters
    ----------
    draws, tune, chains : int
        Kept draws per chain, warm-up draws per chain, number of chains.
    target_accept : float
        Acceptance rate the step size aims at.
    cores : int
        Chains that run at the same time.
    seed : int
        The only source of randomness.
    progress_bar : bool
    options : dict
        Options of the engine's own, from ``inference_options``.
    earlier : ndarray of shape (draws, n_parameters), optional
        Where the search may begin: draws of a settled fit to other data, as unconstrained
        parameters of the problem at hand, spread evenly over its chains.
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
        Sampler statistics: ``diverging``, ``tree_depth``, ``n_steps`` where they exist.
    seconds : dict of str to float
        Time of each phase.
    info : dict of str to float
        Other numbers for ``diagnostics_``: ``pareto_k`` where importance weights were used.
    independent : bool
        Whether the draws of a chain are independent of one another, not steps of a Markov chain;
        resampled ones may be there several times.
    """

    theta: np.ndarray
    log_posterior: np.ndarray
    stats: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    info: dict[str, float] = field(default_factory=dict)
    independent: bool = False


class Stopwatch:
    """Seconds of each phase, one after the other."""

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
    """What an engine is; its row in the registry.

    Parameters
    ----------
    module : str
        Where its function ``sample`` is.
    samples_posterior : bool
        Whether its draws are those of the posterior once it has converged. Those of
        approximations need a look at their Pareto k-hat before they are taken for such.
    options : tuple of str, or None
        ``inference_options`` that it knows; None if it hands all of them on to another package.
    words : str
        What it does, to follow its name in a sentence.
    several_threads : bool, default=True
        Whether fits may run beside one another in the threads of a process.
    """

    module: str
    samples_posterior: bool
    options: tuple[str, ...] | None
    words: str
    several_threads: bool = True


def check_options(engine: str, options: dict[str, Any], known: tuple[str, ...] | None) -> None:
    """Raise a ValueError that lists the known options if there is an unknown one."""
    if known is None:
        return
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"inference_options has {unknown}, which inference={engine!r} does not know; "
            f"known options: {sorted(known)}."
        )
