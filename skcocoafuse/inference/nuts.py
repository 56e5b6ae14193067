"""NUTS by nutpie on the compiled kernel: nothing is compiled for a fit."""

import dataclasses
import inspect
import time
import warnings
from numbers import Integral

import numpy as np

from skcocoafuse.exceptions import KernelFallbackWarning
from skcocoafuse.inference import pymc_sampler, starts
from skcocoafuse.inference.engine import EngineResult, Settings, check_options
from skcocoafuse.inference.kernel import (
    Coordinates,
    Kernel,
    identity_callback,
    log_posterior_callback,
)
from skcocoafuse.model.problem import Problem

_SPREAD = 0.5  # standard deviation of a chain's start around the mode, in round coordinates
_N_PILOTS = 4  # modes that short chains begin from
_STATS = {"diverging": "diverging", "depth": "tree_depth", "n_steps": "n_steps"}


def sample(problem: Problem, settings: Settings) -> EngineResult:
    """Chains of the No-U-Turn sampler, begun near the best mode.

    If nutpie does not take the kernel (its interface for compiled models is not a
    promise), the PyMC model is sampled instead, with a :class:`KernelFallbackWarning`.
    """
    options = settings.options
    check_options("nuts", options, ("maxdepth",))
    maxdepth = options.get("maxdepth", 10)
    if isinstance(maxdepth, bool) or not isinstance(maxdepth, Integral) or maxdepth < 1:
        raise ValueError(f"maxdepth must be a positive integer; got {maxdepth!r}.")
    rng = np.random.default_rng(settings.seed)
    begun = time.perf_counter()
    modes = starts.find_modes(problem, rng)
    optimised = time.perf_counter()
    kernel = Kernel(problem)
    try:
        coordinates = _explore(problem, kernel, modes, settings, rng)
        explored = time.perf_counter()
        model = _nutpie_model(kernel, coordinates)
        sampler = _start_sampler(model, settings, _seed(rng))
    except (ImportError, AttributeError, TypeError) as error:
        warnings.warn(
            f"nutpie did not accept the compiled kernel ({type(error).__name__}: {error}); "
            "sampling the PyMC model instead, which is slower and gives the same posterior. "
            "Another nutpie release may help.",
            KernelFallbackWarning,
            stacklevel=4,  # the line that called fit
        )
        options = {"max_treedepth": maxdepth}
        return pymc_sampler.sample(problem, dataclasses.replace(settings, options=options))
    trace = _wait(sampler)
    theta = coordinates.to_theta(np.asarray(trace.posterior["z"].values))
    statistics = trace.sample_stats
    stats = {
        ours: np.asarray(statistics[theirs].values)
        for theirs, ours in _STATS.items()
        if theirs in statistics
    }
    return EngineResult(
        theta=theta,
        log_posterior=np.asarray(statistics["logp"].values) + kernel.constant,
        stats=stats,
        seconds={
            "optimisation": optimised - begun,
            "pilot chains": explored - optimised,
            "sampling": time.perf_counter() - explored,
        },
    )


def _explore(problem: Problem, kernel: Kernel, modes, settings: Settings, rng) -> Coordinates:
    """Coordinates at the mode of most mass that short chains from several modes lead to.

    A narrow mode may be higher than the one that holds the posterior, and chains walk out of
    it in a few steps. So two short chains begin at each of the best modes, every end point is
    optimised again, and the optimum with the greatest height times volume wins.
    """
    pilot = dataclasses.replace(settings, chains=2, draws=40, tune=120, progress_bar=False)
    ends = [mode.theta for mode in modes]
    for mode in modes[:_N_PILOTS]:
        coordinates = starts.round_coordinates(kernel, mode.theta)
        sampler = _start_sampler(_nutpie_model(kernel, coordinates), pilot, _seed(rng))
        last = np.asarray(_wait(sampler).posterior["z"].values)[:, -1]
        ends += [starts.climb(problem, theta).theta for theta in coordinates.to_theta(last)]
    function = kernel.function(starts.SOFTENING)
    found = [(function(end)[0], starts.round_coordinates(kernel, end)) for end in ends]
    return max(found, key=lambda pair: pair[0] + pair[1].log_volume)[1]


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _wait(sampler):
    """The trace; on an interrupt the chains are stopped and the interrupt goes on."""
    try:
        return sampler.wait()
    except BaseException:
        sampler.cancel()
        raise


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
        save_warmup=False,
        blocking=False,
        **low_rank,
        **settings.options,
    )


def _nutpie_model(kernel: Kernel, coordinates: Coordinates):
    """Nutpie's own class for compiled models, around the kernel.

    Its fields differ between releases, so only those that exist are filled.
    """
    import pandas as pd
    from nutpie.compile_pymc import CompiledPyMCModel

    def initial_point(seed):
        return _SPREAD * np.random.default_rng(seed).normal(size=size)

    size = kernel.n_parameters
    exact = np.zeros(1)  # no softening
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
        "user_data": kernel.user_data(exact, coordinates),
        # keeps the arrays alive while chains run
        "shared_data": {"kernel": kernel, "exact": exact, "coordinates": coordinates},
        "shared_var_keys": {},
        "logp_func": None,
        "expand_func": None,
        "reparameterized_names": (),
    }
    known = {field.name for field in dataclasses.fields(CompiledPyMCModel)}
    return CompiledPyMCModel(**{name: value for name, value in values.items() if name in known})
