"""Chains that ended in different modes: chain clusters.

Two chains belong together if R-hat of the pair is small for every quantity that does not
depend on labels; clusters are the connected components.
"""

from collections.abc import Iterable

import numpy as np
from scipy.sparse.csgraph import connected_components

from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.monte_carlo import rhat

N_ANCHORS = 10  # rows; chains in other modes differ in predictions at most rows, not at one
MAX_RHAT = 1.05  # of all chains together; below it there is one cluster
# Of pairs of chains, whose R-hat varies more than that of all chains; after a spurious link, R-hat
# of all chains still warns, whereas a missing link splits a cluster.
_MAX_PAIR_RHAT = 1.2
MIN_DRAWS = 100  # per chain; shorter chains disagree because they are short
_MAX_PAIR_DRAWS = 250  # of each chain of a pair


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


def predictive_error(quantities: np.ndarray, clusters: Iterable[list[int]]) -> float:
    """Monte Carlo error of the predictions of each cluster, the largest, in predictive sds.

    That of the predictive mean, or of the logarithm of the predictive sd, whichever is larger, at
    the anchor row where it is largest: the standard error over halves of chains (batch means). NaN
    for chains of a single draw.

    Parameters
    ----------
    quantities : ndarray of shape (chains, draws, quantities)
        From :func:`invariants`.
    clusters : iterable of list of int
        Chains of each cluster.
    """
    if quantities.shape[1] < 2:
        return np.nan
    return max(_error_of_cluster(quantities[chains]) for chains in clusters)


def _error_of_cluster(quantities: np.ndarray) -> float:
    half = quantities.shape[1] // 2
    batches = np.concatenate([quantities[:, :half], quantities[:, half : 2 * half]])
    _, mean, log_variance = np.split(batches[..., 1:], 3, axis=-1)
    within = np.exp(log_variance)
    centre, log_sd = mean.mean(axis=1), 0.5 * np.log(within.mean(axis=1) + mean.var(axis=1))
    sd = np.sqrt(within.mean(axis=(0, 1)) + mean.var(axis=(0, 1)))
    errors = np.concatenate([centre.std(axis=0, ddof=1) / sd, log_sd.std(axis=0, ddof=1)])
    return float(errors.max() / np.sqrt(len(batches)))


def disagree(rhats: np.ndarray) -> bool:
    """Whether any R-hat of several quantities, ignoring NaN, is above ``MAX_RHAT``."""
    return bool(np.nanmax(rhats, initial=0.0) > MAX_RHAT)


def find_clusters(quantities: np.ndarray) -> list[list[int]]:
    """Lists of chains that agree; a single one if chains are too short to tell."""
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
