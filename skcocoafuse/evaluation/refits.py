"""The posterior without a row, by inferring it again."""

from dataclasses import replace

import joblib
import numpy as np

from skcocoafuse.evaluation import diagnostics
from skcocoafuse.evaluation.elpd import LooResult
from skcocoafuse.evaluation.loo import one_copy
from skcocoafuse.inference import Settings, get_engine
from skcocoafuse.model.design import Scale
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.predictive import PredictiveDistribution


def refit_bad_rows(
    result: LooResult,
    problem: Problem,
    target: Scale,
    inference: str,
    settings: Settings,
    cores: int,
) -> LooResult:
    """Leave the rows that importance weights fail for out by a fit each.

    Standardisation and priors stay those of the whole problem: it is the posterior as posed
    that loses a row.

    Parameters
    ----------
    result : LooResult
        Of the problem.
    problem : Problem
    target : Scale
        Of the target.
    inference : str
        Name of the engine.
    settings : Settings
        All fits share its seed.
    cores : int
        Fits that run at the same time, each in a process of its own, times chains of each.

    Returns
    -------
    LooResult
        With exact figures of those rows, and 0 for their k-hats.
    """
    rows = result.bad_rows
    workers = max(1, min(cores, len(rows)))
    settings = replace(settings, cores=max(1, min(settings.chains, cores // workers)))
    fits = joblib.Parallel(n_jobs=workers)(
        joblib.delayed(_left_out)(problem, row, inference, settings) for row in rows
    )
    figures = {name: getattr(result, name).copy() for name in ("pointwise", "pit", "pareto_k")}
    refitted, converged = result.refitted.copy(), result.converged
    for row, (log_density, pit, settled) in zip(rows, fits, strict=True):
        figures["pointwise"][row] = log_density - np.log(target.scale)
        figures["pit"][row], figures["pareto_k"][row] = pit, 0.0
        refitted[row], converged = True, converged and settled
    return replace(result, **figures, refitted=refitted, converged=converged)


def _left_out(problem: Problem, row, inference: str, settings: Settings):
    rest = problem.without(row, one_copy(problem.weight)[row])
    posterior, converged = _posterior(rest, inference, settings)
    designs = {part: X[[row]] for part, X in problem.designs.items()}
    foreseen = PredictiveDistribution(
        posterior.spec, posterior.flat(), designs, draw_weight=posterior.draw_weight()
    )
    return foreseen.logpdf(problem.y[row])[0], foreseen.pit(problem.y[row])[0], converged


def _posterior(problem: Problem, inference: str, settings: Settings) -> tuple[Posterior, bool]:
    """As in ``fit``, but for labels, which predictions do not depend on."""
    result = get_engine(inference)(problem, settings)
    posterior = Posterior(
        problem.spec, problem.spec.unpack(result.theta), result.log_posterior, result.stats
    )
    posterior, found = diagnostics.judge(problem, posterior, {}, result.independent)
    return posterior, diagnostics.converged({**found, **result.info})
