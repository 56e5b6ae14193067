"""Consistent expert labels, after sampling.

The posterior is invariant to permutations of the experts (their priors and those of the gate are
exchangeable), so draws may be permuted freely; permutations are chosen so that each expert has
the same meaning in every draw.
"""

import itertools

import numpy as np
from scipy.optimize import linear_sum_assignment

from skcocoafuse._threads import raise_if_cancelled
from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import unfused_mixture
from skcocoafuse.model.parameters import Parameters
from skcocoafuse.model.problem import Problem

N_ANCHORS = 100  # rows: experts differ at many, and draws times rows take time
_MAX_ROUNDS = 20  # each lowers the cost; iteration stops when no draw changes
_MAX_DRAWS = 1000  # that are averaged over
_MAX_ENUMERATED = 5  # experts; one assignment problem per draw takes longer than 120 sums


def relabel(problem: Problem, parameters: Parameters, log_posterior: np.ndarray) -> Parameters:
    """Permute the experts of every draw so that labels agree.

    Parameters
    ----------
    problem : Problem
        Its rows, or an even selection of ``N_ANCHORS`` of them, serve as anchors.
    parameters : Parameters
        Arrays with the leading axes (chains, draws).
    log_posterior : ndarray of shape (chains, draws)
        The best draw is the first reference.

    Returns
    -------
    relabeled : Parameters
        Experts are ordered by the average target they account for, lowest first.

    References
    ----------
    M. Stephens (2000), "Dealing with label switching in mixture models", JRSS B 62(4),
    algorithm 2, on the responsibilities of the unfused experts (those of the fused ones
    become equal as beta goes to 0).
    """
    M = problem.spec.n_experts
    if M == 1:
        return parameters
    lead = log_posterior.shape
    flat = parameters.flatten_draws()
    responsibility, y = anchor_responsibilities(problem, flat)
    order = stephens(responsibility, int(np.argmax(log_posterior)))
    responsibility = np.take_along_axis(responsibility, order[:, None, :], axis=-1)
    share = responsibility.mean(axis=0)
    order = order[:, np.argsort((y @ share) / np.maximum(share.sum(axis=0), 1e-300))]
    return parameters.permute_experts(order.reshape(*lead, M))


def anchor_responsibilities(problem: Problem, flat: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """Responsibilities of the unfused experts (draws, anchors, M), and the anchors' y."""
    anchors = problem.anchors(N_ANCHORS)
    mixture = unfused_mixture(problem.spec, flat, anchors.designs)
    return forward.responsibilities(mixture, anchors.y), anchors.y


def stephens(responsibility: np.ndarray, reference: int) -> np.ndarray:
    """Permutations that minimize the Kullback-Leibler divergence of draws from their average.

    Parameters
    ----------
    responsibility : ndarray of shape (draws, anchors, M)
        Rows sum to one over the last axis.
    reference : int
        The draw to start from.

    Returns
    -------
    ndarray of int, shape (draws, M)
        ``order[s, k]`` is the expert of draw s that takes label k.
    """
    n_draws, n_anchors, M = responsibility.shape
    by_expert = np.ascontiguousarray(responsibility.mT)  # (draws, M, anchors)
    part = by_expert[:: -(-n_draws // _MAX_DRAWS)]
    average = responsibility[reference]
    order = np.empty((0, M), dtype=int)
    for _ in range(_MAX_ROUNDS):
        new = _nearest(part, average)
        if np.array_equal(new, order):
            break
        order = new
        takes = np.eye(M)[order].mT.reshape(-1, M)  # row (s, j): the label of expert j of draw s
        average = part.reshape(-1, n_anchors).T @ takes / len(part)
    return order if len(part) == n_draws else _nearest(by_expert, average)


def _nearest(by_expert: np.ndarray, average: np.ndarray) -> np.ndarray:
    """The permutation of every draw (draws, M, anchors) that is closest to an average."""
    raise_if_cancelled()
    n_draws, M, n_anchors = by_expert.shape
    # gain[s, k, j]: cross term of giving label k to expert j of draw s
    gain = by_expert.reshape(-1, n_anchors) @ np.log(average + 1e-12)
    return _best_permutations(gain.reshape(n_draws, M, M).mT)


def _best_permutations(gain: np.ndarray) -> np.ndarray:
    """The permutation of largest total gain for every draw: (draws, M, M) to (draws, M)."""
    M = gain.shape[-1]
    if M > _MAX_ENUMERATED:
        return np.array([linear_sum_assignment(-g)[1] for g in gain])
    permutations = np.array(list(itertools.permutations(range(M))))
    total = np.sum([gain[:, label, permutations[:, label]] for label in range(M)], axis=0)
    return permutations[total.argmax(axis=1)]
