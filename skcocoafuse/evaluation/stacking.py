"""How much to trust each chain cluster, and each of several models: stacking.

The heights of modes say little about how well they predict, so chain clusters are weighted by
stacking their leave-one-out densities.
"""

from dataclasses import replace

import numpy as np

from skcocoafuse.evaluation.loo import log_density_left_out
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.clusters import disagree, find_islands
from skcocoafuse.posterior.draws import Posterior

_MAX_DRAWS, _MAX_ROWS = 2000, 1000  # that stacking looks at, of all islands together
_ROUNDS = 1000


def weigh_islands(
    problem: Problem, posterior: Posterior, quantities: np.ndarray, overall_rhat: np.ndarray
) -> Posterior:
    """The posterior with its islands, heaviest first, and a weight for each.

    Parameters
    ----------
    problem : Problem
    posterior : Posterior
    quantities : ndarray of shape (chains, draws, quantities)
        From :func:`invariants`.
    overall_rhat : ndarray of shape (quantities,)
        R-hat of all chains together; where none is above ``MAX_RHAT`` there is one island.
    """
    if not disagree(overall_rhat):
        return posterior
    islands = find_islands(quantities)
    if len(islands) == 1:
        return posterior
    rows = problem.anchors(_MAX_ROWS)
    elpd = np.stack(
        [
            log_density_left_out(
                rows, posterior.spec, posterior.chains(chains).thinned(_MAX_DRAWS // len(islands))
            )
            for chains in islands
        ],
        axis=1,
    )
    weight = stacking_weights(elpd, rows.weight, prior_rows=1.0)
    order = np.argsort(-weight, kind="stable")
    return replace(
        posterior,
        islands=tuple(tuple(islands[k]) for k in order),
        island_weight=weight[order],
        island_elpd=(rows.weight @ elpd)[order] * (problem.weight.sum() / rows.weight.sum()),
    )


def stacking_weights(
    log_density: np.ndarray, row_weight: np.ndarray, prior_rows: float = 0.0
) -> np.ndarray:
    """Weights of predictive densities that maximise the log score of their mixture.

    With one prior row each, they maximise the posterior of the weights' log ratios, all weights
    being alike before data: a score that is flat near its maximum then leaves none at zero.

    Parameters
    ----------
    log_density : ndarray of shape (rows, islands)
        Leave-one-out log densities.
    row_weight : ndarray of shape (rows,)
    prior_rows : float, default=0.0
        Rows that speak for each of the densities from the start.

    Returns
    -------
    ndarray of shape (islands,)
        Not negative, sum to one.

    References
    ----------
    Yao, Vehtari, Simpson and Gelman (2018), "Using stacking to average Bayesian predictive
    distributions", Bayesian Analysis 13(3), eq. 5; for chains in different modes Yao,
    Vehtari and Gelman (2022), JMLR 23, who put a Dirichlet prior on them (here its exponents are
    ``prior_rows``). The objective is concave, and each round of the expectation-maximisation
    algorithm increases it.
    """
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    weight = np.full(density.shape[1], 1.0 / density.shape[1])
    for _ in range(_ROUNDS):
        part = density * weight
        counts = prior_rows + row_weight @ (part / part.sum(axis=1, keepdims=True))
        new = counts / counts.sum()
        converged = np.abs(new - weight).max() < 1e-9
        weight = new
        if converged:
            break
    return weight
