"""The best mode found, as a single draw: fast, but without parameter uncertainty."""

import numpy as np

from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.inference import mode_search
from skcocoafuse.inference.engine import EngineResult, Settings, Stopwatch
from skcocoafuse.model.problem import Problem


def sample(problem: Problem, settings: Settings) -> EngineResult:
    """Maximum a posteriori in the unconstrained space, one chain with one draw."""
    watch = Stopwatch()
    rng, kernel = np.random.default_rng(settings.seed), Kernel(problem)
    modes = mode_search.begin(kernel, settings, rng)
    theta = mode_search.polish(modes)
    value, _ = kernel(theta)
    watch.lap("optimization")
    return EngineResult(
        theta=theta[None, None, :],
        log_posterior=np.full((1, 1), value),
        seconds=watch.seconds,
    )
