"""``pm.sample`` on the PyMC model: slow to start, but with all of PyMC's options."""

import logging
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import Any

import numpy as np

from skcocoafuse._process import process_wide
from skcocoafuse._threads import raise_if_cancelled
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.inference import mode_search
from skcocoafuse.inference.engine import ENERGY, EngineResult, Settings, Stopwatch
from skcocoafuse.inference.progress import progress_bar
from skcocoafuse.model.priors import POSITIVE
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.pymc_model import build_pymc_model, free_variables, variable_name

_alone = Lock()  # held by the thread that uses PyMC

_LOOK = 0.1  # seconds after which a thread waiting for PyMC checks whether it was canceled
_STATS = {name: name for name in ("diverging", "tree_depth", "n_steps", ENERGY)}


def sample(problem: Problem, settings: Settings) -> EngineResult:
    """Chains of ``pm.sample``, started at the best mode.

    ``inference_options`` are passed to ``pm.sample`` unchanged (for example ``nuts_sampler``).
    """
    import pymc as pm

    rng = np.random.default_rng(settings.seed)
    watch = Stopwatch()
    kernel = Kernel(problem)
    mode = mode_search.begin(kernel, settings, rng)[0]
    watch.lap("optimization")
    arguments: dict[str, Any] = {
        "draws": settings.draws,
        "tune": settings.tune,
        "chains": settings.chains,
        "cores": settings.cores,
        "target_accept": settings.target_accept,
        "random_seed": int(rng.integers(2**31)),
        "initvals": free_variables(problem.spec, mode.theta),
        "progressbar": settings.progress_bar,
        "compute_convergence_checks": False,
        "nuts_sampler": "pymc",  # the only sampler in both PyMC versions that honors initvals
        "init": "adapt_diag",  # the default would move the start by up to 1 in every coordinate
    }
    arguments.update(settings.options)
    n_draws = arguments["draws"]
    # with more chains than draws, ArviZ suspects that axes are swapped
    arguments["draws"] = max(n_draws, arguments["chains"])
    with model_alone(problem, settings), _progress(arguments):
        trace = pm.sample(**arguments)
    watch.lap("sampling")
    statistics = trace.sample_stats
    theta = unconstrained(problem, trace.posterior)[:, -n_draws:]
    return EngineResult(
        theta=theta,
        log_posterior=kernel.log_posterior(theta),  # its name differs between samplers
        stats={
            ours: np.asarray(statistics[theirs].values)[:, -n_draws:]
            for theirs, ours in _STATS.items()
            if theirs in statistics
        },
        seconds=watch.seconds,
    )


@contextmanager
def model_alone(problem: Problem, settings: Settings):
    """The PyMC model, with PyMC locked for this thread, and silent unless progress is shown.

    PyTensor keeps global tables of graphs, and fails if one thread adds to them while another
    iterates over them.
    """
    while not _alone.acquire(timeout=_LOOK):
        raise_if_cancelled()
    try:
        with build_pymc_model(problem), quiet(not settings.progress_bar):
            yield
    finally:
        _alone.release()


@contextmanager
def _progress(arguments: dict[str, Any]):
    """A bar on stderr instead of the one that PyMC's own sampler draws on stdout."""
    if arguments["nuts_sampler"] != "pymc":
        yield
        return
    shown, callback = arguments["progressbar"], arguments.get("callback")
    n_draws = arguments["chains"] * (arguments["tune"] + arguments["draws"])
    with progress_bar(shown, "sampling", n_draws) as step:

        def after_a_draw(**state):
            raise_if_cancelled()
            step()
            if callback is not None:
                callback(**state)

        arguments.update(progressbar=False, callback=after_a_draw)
        yield


@process_wide
@contextmanager
def _without_log_lines():
    logger = logging.getLogger("pymc")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def quiet(quiet: bool):
    """Suppress PyMC's log messages if ``quiet``."""
    return _without_log_lines() if quiet else nullcontext()


def unconstrained(problem: Problem, posterior) -> np.ndarray:
    """Unconstrained vectors (chains, draws, n_parameters) from the variables of a trace."""
    parts = []
    for block in problem.spec.blocks:
        if block.size:
            part = np.asarray(posterior[variable_name(block)].values)
            part = part.reshape(*part.shape[:2], -1)
            parts.append(np.log(part) if block.constraint == POSITIVE else part)
    return np.concatenate(parts, axis=-1)
