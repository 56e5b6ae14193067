"""Exact leave-one-out results by refitting."""

from dataclasses import replace

import joblib
import numpy as np

from skcocoafuse.evaluation import verdicts
from skcocoafuse.evaluation.elpd import LooResult
from skcocoafuse.evaluation.learning import infer
from skcocoafuse.evaluation.loo import one_copy
from skcocoafuse.inference import Settings
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.fit import Fit
from skcocoafuse.predictive import PredictiveDistribution


def refit_bad_rows(
    result: LooResult, fit: Fit, inference: str, settings: Settings, cores: int
) -> LooResult:
    """Refit without each row for which importance weights are unreliable.

    Standardization and priors remain those of the whole problem, so that the posterior differs by
    the row only.

    Parameters
    ----------
    result : LooResult
        The result of the fit.
    fit : Fit
    inference : str
        Name of the engine.
    settings : Settings
        All fits share its seed.
    cores : int
        Number of fits to run in parallel, each in a separate process, times chains of each.

    Returns
    -------
    LooResult
        With exact results for those rows, and 0 for their k-hats.
    """
    rows = result.bad_rows
    workers = max(1, min(cores, len(rows)))
    settings = replace(settings, cores=max(1, min(settings.chains, cores // workers)))
    fits = joblib.Parallel(n_jobs=workers)(
        joblib.delayed(_left_out)(fit.problem, row, inference, settings) for row in rows
    )
    figures = {name: getattr(result, name).copy() for name in ("pointwise", "pit", "pareto_k")}
    refitted, converged = result.refitted.copy(), result.converged
    for row, (log_density, pit, settled) in zip(rows, fits, strict=True):
        figures["pointwise"][row] = log_density - np.log(fit.target.scale)
        figures["pit"][row], figures["pareto_k"][row] = pit, 0.0
        refitted[row], converged = True, converged and settled
    return replace(result, **figures, refitted=refitted, converged=converged)


def _left_out(problem: Problem, row, inference: str, settings: Settings):
    """Log density and PIT of a row given a fit without it, and whether that fit converged."""
    rest = problem.without(row, one_copy(problem.weight)[row])
    posterior, found = infer(rest, inference, settings, labeled=False)
    designs = problem.take(np.array([row])).designs
    predicted = PredictiveDistribution(
        posterior.spec, posterior.flat(), designs, draw_weight=posterior.draw_weight()
    )
    y = problem.y[row]
    return predicted.logpdf(y)[0], predicted.pit(y)[0], verdicts.converged(found)
