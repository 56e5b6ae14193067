"""Leave-one-out predictive densities by Pareto-smoothed importance sampling.

A weight of 2 is equivalent to repeating the row, so leaving one out removes one copy of a row,
or all of it if its weight is below 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skcocoafuse.model.chunks import shifted
from skcocoafuse.model.parameters import Parameters
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.spec import ModelSpec
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.monte_carlo import smooth_importance_weights
from skcocoafuse.predictive.mixture import cdf as probability_below
from skcocoafuse.predictive.mixture import log_density_of_draws
from skcocoafuse.predictive.row_mixtures import RowMixtures

_LEAST_WEIGHT = 0.01  # of a chain cluster, from which its k-hats enter those of the mixture


class RowsLeftOut(NamedTuple):
    """Leave-one-out predictions of each row, arrays (rows,), on the standardized scale.

    ``log_density``: given all other rows. ``in_sample``: log density given all rows, itself
    included. ``pareto_k``: above 0.7, ``log_density`` and ``pit`` are unreliable. ``pit``:
    probability of a smaller target given all other rows.
    """

    log_density: np.ndarray
    in_sample: np.ndarray
    pareto_k: np.ndarray
    pit: np.ndarray


def one_copy(weight: np.ndarray) -> np.ndarray:
    """The part of each row's weight that leaving one out removes, (rows,)."""
    return np.minimum(weight, 1.0)


def leave_one_out(
    problem: Problem, spec: ModelSpec, draws: Parameters, n_jobs: int | None = 1
) -> RowsLeftOut:
    """Leave out each row in turn, given equally weighted draws.

    Parameters
    ----------
    problem : Problem
        The rows.
    spec : ModelSpec
    draws : Parameters
        With one leading draw axis, from the posterior given all rows.
    n_jobs : int or None, default=1
        Number of threads, as in scikit-learn.

    Returns
    -------
    RowsLeftOut

    References
    ----------
    Vehtari, Gelman and Gabry (2017), "Practical Bayesian model evaluation using
    leave-one-out cross-validation and WAIC", Statistics and Computing 27, eq. 10; for the
    PIT, Gelfand, Dey and Chang (1992), "Model determination using predictive distributions
    with implementation via sampling-based methods".
    """
    found = RowsLeftOut(*np.empty((4, problem.rows.n_rows)))

    def figures(rows, mixture, seen, log_weight, pareto_k):
        found.log_density[rows] = _log_sum(log_weight + seen)
        found.in_sample[rows] = _log_sum(seen) - np.log(seen.shape[1])
        found.pareto_k[rows] = pareto_k
        weight = mixture.by_draw(spec.n_experts).weight * np.exp(log_weight)[:, None, :]
        left_out = mixture._replace(weight=weight.reshape(len(seen), -1))
        found.pit[rows] = probability_below(left_out, problem.y[rows, None])[:, 0]

    _over_chunks(figures, problem, spec, draws, n_jobs)
    return found


def log_density_left_out(
    problem: Problem, spec: ModelSpec, draws: Parameters, n_jobs: int | None = 1
) -> np.ndarray:
    """Only the log densities of :func:`leave_one_out`, (rows,)."""
    found = np.empty(problem.rows.n_rows)

    def figures(rows, _, seen, log_weight, __):
        found[rows] = _log_sum(log_weight + seen)

    _over_chunks(figures, problem, spec, draws, n_jobs)
    return found


def _log_sum(terms: np.ndarray) -> np.ndarray:
    """Log of the sum of exponentials of finite terms, (rows, draws) to (rows,)."""
    greatest = terms.max(axis=1)
    return greatest + np.log(np.exp(terms - greatest[:, None]).sum(axis=1))


def _over_chunks(function: Callable, problem: Problem, spec, draws, n_jobs) -> None:
    """Call ``function(rows, mixture, seen, log_weight, pareto_k)`` for chunks of rows.

    ``mixture``: :class:`~skcocoafuse.predictive.mixture.Mixtures`, but the weights of each draw sum
    to one; log densities and log weights are (rows, draws).
    """
    taken = one_copy(problem.weight)[:, None]
    mixtures = RowMixtures(spec, draws, np.ones(len(draws.sigma)), 0.0, 1.0, n_jobs)

    def chunk(rows, mixture):
        seen = log_density_of_draws(mixture.by_draw(spec.n_experts), problem.y[rows])
        log_weight, pareto_k = smooth_importance_weights(-taken[rows] * seen)
        function(rows, mixture, seen, log_weight, pareto_k)

    for where, part in problem.rows.parts():
        mixtures.over_components(shifted(chunk, where.start), part.designs)


def leave_one_out_of_mixture(
    problem: Problem, posterior: Posterior, max_draws: int | None, cores: int = 1
) -> tuple[RowsLeftOut, int, int]:
    """Leave each row out of the mixture of chain clusters that predictions use.

    Rows are left out of each cluster separately, then densities and probabilities are averaged
    with the clusters' weights. The weights themselves are based on all rows.

    Parameters
    ----------
    problem : Problem
    posterior : Posterior
    max_draws : int or None
        Maximum number of draws to use, over all clusters; None for all.
    cores : int, default=1
        Number of threads.

    Returns
    -------
    found : RowsLeftOut
        ``pareto_k`` is the largest over clusters with a weight of at least 0.01.
    n_draws, n_least : int
        Number of draws used, in total and of the smallest cluster.
    """
    clusters = [posterior.chains(chains) for chains in posterior.clusters]
    if max_draws is None:
        draws = [cluster.flat() for cluster in clusters]
    else:
        draws = [cluster.thinned(max_draws // len(clusters)) for cluster in clusters]
    counts = [len(each.sigma) for each in draws]
    parts = [leave_one_out(problem, posterior.spec, each, cores) for each in draws]
    if len(parts) == 1:
        return parts[0], counts[0], counts[0]
    weight = posterior.cluster_weight[:, None]
    with np.errstate(divide="ignore"):  # a cluster may have no weight
        log_weight = np.log(weight)
    log_density, in_sample, pareto_k, pit = (
        np.stack(figure) for figure in zip(*parts, strict=True)
    )
    found = RowsLeftOut(
        np.logaddexp.reduce(log_weight + log_density),
        np.logaddexp.reduce(log_weight + in_sample),
        np.where(weight >= _LEAST_WEIGHT, pareto_k, -np.inf).max(axis=0),
        (weight * pit).sum(axis=0),
    )
    return found, sum(counts), min(counts)
