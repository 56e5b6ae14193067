"""Short chains from several modes, for predictions: stacking weighs what they found."""

import dataclasses
from typing import Any

import numpy as np

from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.inference import mode_search
from skcocoafuse.inference.engine import EngineResult, Settings, Stopwatch
from skcocoafuse.inference.nuts.backend import Launch, run_chains
from skcocoafuse.inference.nuts.state import draws_of, gradients_of
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.clusters import MIN_DRAWS

# As many draws as it takes to separate clusters of chains, and as many of warm-up: in these
# coordinates the posterior is nearly round already. Not compared.
_LENGTH = MIN_DRAWS
_SHORT: dict[str, Any] = {"target_accept": 0.8, "options": {"maxdepth": 6}}  # as pilot chains


def sample(problem: Problem, settings: Settings) -> EngineResult:
    """Chains of 100 draws after a warm-up of 100, one from each of up to eight modes.

    With more than 10 000 rows there are up to four modes. There are at least ``settings.chains``
    chains, so with fewer modes several start at each. They are not continued if they disagree:
    predictions weight chain clusters by stacking (Yao, Vehtari and Gelman, 2022, JMLR 23).
    """
    rng, kernel, watch = np.random.default_rng(settings.seed), Kernel(problem), Stopwatch()
    modes = mode_search.heaviest(mode_search.begin(kernel, settings, rng), settings.cores)
    watch.lap("optimization")
    length: dict[str, Any] = {
        "draws": min(settings.draws, _LENGTH),
        "tune": min(settings.tune, _LENGTH),
    }
    short = dataclasses.replace(settings, progress_bar=False, **length, **_SHORT)
    each = -(-settings.chains // len(modes))
    runs = run_chains([Launch(mode.kernel, mode.normal, each) for mode in modes], short, rng)
    draws = draws_of(kernel, runs)
    watch.lap("sampling")
    info: dict[str, float] = {"n_gradients": gradients_of(runs), "chains_are_short": True}
    return EngineResult(draws.theta, draws.log_posterior, draws.statistics, watch.seconds, info)
