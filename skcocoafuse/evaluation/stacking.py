"""Stacking weights of chain clusters and of models.

The heights of modes say little about how well they predict, so chain clusters are weighted by
stacking of their leave-one-out densities.
"""

from dataclasses import replace

import numpy as np

from skcocoafuse.evaluation.loo import log_density_left_out
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.clusters import disagree, find_clusters
from skcocoafuse.posterior.draws import Posterior

_MAX_DRAWS, _MAX_ROWS = 2000, 1000  # that stacking uses, over all clusters
_ROUNDS = 1000  # at most; each increases a concave objective


def weigh_clusters(
    problem: Problem,
    posterior: Posterior,
    quantities: np.ndarray,
    overall_rhat: np.ndarray,
    cores: int = 1,
) -> Posterior:
    """The posterior with its chain clusters, heaviest first, and a weight for each.

    Parameters
    ----------
    problem : Problem
    posterior : Posterior
    quantities : ndarray of shape (chains, draws, quantities)
        From :func:`invariants`.
    overall_rhat : ndarray of shape (quantities,)
        R-hat over all chains; if none is above ``MAX_RHAT``, there is one cluster.
    cores : int, default=1
        Threads that leave-one-out densities are computed in.
    """
    if not disagree(overall_rhat):
        return posterior
    clusters = find_clusters(quantities)
    if len(clusters) == 1:
        return posterior
    rows = problem.anchors(_MAX_ROWS)
    each = [posterior.chains(chains).thinned(_MAX_DRAWS // len(clusters)) for chains in clusters]
    elpd = np.stack(
        [log_density_left_out(rows, posterior.spec, draws, cores) for draws in each], axis=1
    )
    weight = stacking_weights(elpd, rows.weight, prior_rows=1.0)
    order = np.argsort(-weight, kind="stable")
    return replace(
        posterior,
        clusters=tuple(tuple(clusters[k]) for k in order),
        cluster_weight=weight[order],
        cluster_elpd=(rows.weight @ elpd)[order]
        * (problem.rows.total_weight / rows.rows.total_weight),
    )


def stacking_weights(
    log_density: np.ndarray, row_weight: np.ndarray, prior_rows: float = 0.0
) -> np.ndarray:
    """Weights of predictive densities that maximize the log score of their mixture.

    With ``prior_rows`` above 0, they maximize the posterior under a Dirichlet prior worth that
    many observations of each density, so that no weight is zero if the score is flat near its
    maximum.

    Parameters
    ----------
    log_density : ndarray of shape (rows, densities)
        Leave-one-out log densities.
    row_weight : ndarray of shape (rows,)
    prior_rows : float, default=0.0
        Observations of each density that the prior is worth.

    Returns
    -------
    ndarray of shape (densities,)
        Non-negative, summing to one.

    References
    ----------
    Yao, Vehtari, Simpson and Gelman (2018), "Using stacking to average Bayesian predictive
    distributions", Bayesian Analysis 13(3), eq. 5; for chains in different modes, Yao,
    Vehtari and Gelman (2022), JMLR 23, who put a Dirichlet prior on them (here its exponents are
    ``prior_rows``). The objective is concave, and each round of the expectation-maximization
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
