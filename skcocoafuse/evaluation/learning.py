"""From a posed problem to a diagnosed posterior: infer, label the experts, diagnose."""

import time
from dataclasses import replace

import numpy as np

from skcocoafuse.evaluation import diagnostics, verdicts
from skcocoafuse.inference import Settings, get_engine
from skcocoafuse.model.design import Scale
from skcocoafuse.model.posing import Posed
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.fit import Fit
from skcocoafuse.posterior.relabel import relabel

_MAX_EARLIER = 200  # draws of the earlier fit that a warm start uses


def learn(posed: Posed, inference: str, settings: Settings, earlier: Fit | None = None) -> Fit:
    """Infer the posterior of a problem.

    Parameters
    ----------
    posed : Posed
    inference : str
        Name of the engine.
    settings : Settings
    earlier : Fit, optional
        A fit to other data that a warm start may start from.
    """
    settings = replace(settings, earlier=draws_to_start_from(earlier, posed))
    posterior, found = infer(posed.problem, inference, settings, posed.target)
    return Fit(posed, posterior, found)


def draws_to_start_from(earlier: Fit | None, posed: Posed) -> np.ndarray | None:
    """Draws of an earlier fit as unconstrained parameters of this problem.

    None if they cannot serve as a start: the fit did not settle, or has other parameters.
    """
    if earlier is None or not verdicts.settled(earlier.diagnostics):
        return None
    same_experts = earlier.posterior.spec.n_experts == posed.problem.spec.n_experts
    if not same_experts or earlier.posed.column_names != posed.column_names:
        return None
    draws = earlier.posterior.thinned(_MAX_EARLIER)
    units = earlier.posed.units.seen_from(posed.units)
    return posed.problem.spec.pack(units.undo(draws))


def infer(
    problem: Problem,
    inference: str,
    settings: Settings,
    target: Scale = diagnostics.STANDARDIZED,
    labeled: bool = True,
) -> tuple[Posterior, dict]:
    """The posterior and its diagnostics.

    Parameters
    ----------
    problem : Problem
    inference : str
        Name of the engine.
    settings : Settings
    target : Scale, optional
        Scale of the target, for diagnostics in its units.
    labeled : bool, default=True
        Whether to relabel experts consistently; predictions do not depend on labels.
    """
    result = get_engine(inference)(problem, settings)
    begun = time.perf_counter()
    parameters = problem.spec.unpack(result.theta)
    if labeled:
        parameters = relabel(problem, parameters, result.log_posterior)
    parameters = parameters.map(np.ascontiguousarray)
    posterior = Posterior(problem.spec, parameters, result.log_posterior, result.stats)
    posterior, found = diagnostics.judge(
        problem, posterior, result.seconds, result.independent, target, settings.cores
    )
    found.update(result.info)
    found["seconds"]["after sampling"] = time.perf_counter() - begun
    return posterior, found


def with_experts(fit: Fit, n_experts: int, inference: str, settings: Settings) -> Fit:
    """Fit another number of experts to the same rows, from a cold start."""
    spec = replace(fit.problem.spec, n_experts=n_experts)
    posed = replace(fit.posed, problem=replace(fit.problem, spec=spec))
    return learn(posed, inference, settings)
