"""The best mode found, as a single draw: fast, and blind to parameter uncertainty."""

import time

import numpy as np

from skcocoafuse.inference import starts
from skcocoafuse.inference.engine import EngineResult, Settings, check_options
from skcocoafuse.inference.kernel import Kernel
from skcocoafuse.model.problem import Problem


def sample(problem: Problem, settings: Settings) -> EngineResult:
    """Maximum a posteriori in the unconstrained space, one chain with one draw."""
    check_options("map", settings.options, ())
    begun = time.perf_counter()
    modes = starts.find_modes(problem, np.random.default_rng(settings.seed))
    theta = starts.polish(problem, modes[0].theta)
    value, _ = Kernel(problem)(theta)
    return EngineResult(
        theta=theta[None, None, :],
        log_posterior=np.full((1, 1), value),
        seconds={"optimisation": time.perf_counter() - begun},
    )
