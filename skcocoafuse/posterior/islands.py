"""Chains that ended in different modes: islands, and how much to trust each.

Two chains belong together if R-hat of the pair is small for every quantity that does not
depend on labels; islands are the connected components. The heights of modes say little about
how well they predict, so islands are weighted by stacking their leave-one-out densities.
"""

from dataclasses import replace

import numpy as np
from scipy.sparse.csgraph import connected_components

from skcocoafuse._monte_carlo import rhat
from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.loo import log_density_left_out

N_ANCHORS = 10
MAX_RHAT = 1.05  # of all chains together; below it there is one island
_MAX_PAIR_RHAT = 1.2
MIN_DRAWS = 100  # per chain; shorter chains disagree because they are short
_MAX_PAIR_DRAWS = 250  # of each chain of a pair
_MAX_DRAWS, _MAX_ROWS = 2000, 1000  # that stacking looks at, of all islands together
_ROUNDS = 1000


def invariants(problem: Problem, posterior: Posterior) -> np.ndarray:
    """Quantities that do not depend on labels, (chains, draws, quantities).

    The log posterior, then log density, mean and log variance at every anchor row.
    """
    anchors = problem.anchors(N_ANCHORS)
    mixture = mixture_of(posterior.spec, posterior.parameters, anchors.designs)
    log_density = forward.log_density(forward.NUMPY, mixture, anchors.y)
    mean, variance = forward.mean_and_variance(mixture)
    return np.concatenate(
        [posterior.log_posterior[..., None], log_density, mean, np.log(variance)], axis=-1
    )


def disagree(rhats: np.ndarray) -> bool:
    """Whether any R-hat of several quantities, NaN left aside, is above ``MAX_RHAT``."""
    return bool(np.nanmax(rhats, initial=0.0) > MAX_RHAT)


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


def find_islands(quantities: np.ndarray) -> list[list[int]]:
    """Chains that agree, as lists of their numbers; all of them if they are too short to tell."""
    n_chains, n_draws = quantities.shape[:2]
    if n_chains == 1 or n_draws < MIN_DRAWS:
        return [list(range(n_chains))]
    first, second = np.triu_indices(n_chains, k=1)
    quantities = quantities[:, :: -(-n_draws // _MAX_PAIR_DRAWS)]
    pairs = np.concatenate([quantities[[i, j]] for i, j in zip(first, second, strict=True)], axis=2)
    pair_rhat = rhat(pairs).reshape(len(first), -1)
    linked = np.zeros((n_chains, n_chains), dtype=bool)
    linked[first, second] = np.nanmax(pair_rhat, axis=1, initial=0.0) <= _MAX_PAIR_RHAT
    count, label = connected_components(linked, directed=False)
    return [np.flatnonzero(label == k).tolist() for k in range(count)]


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
