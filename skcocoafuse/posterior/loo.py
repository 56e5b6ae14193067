"""Leave-one-out predictive densities by Pareto-smoothed importance sampling."""

import numpy as np

from skcocoafuse._monte_carlo import smooth_importance_weights
from skcocoafuse.model import forward
from skcocoafuse.model.problem import BLOCK_NUMBERS, Problem, row_blocks
from skcocoafuse.model.spec import ModelSpec, Parameters
from skcocoafuse.posterior.draws import mixture_of


def leave_one_out(
    problem: Problem, spec: ModelSpec, draws: Parameters
) -> tuple[np.ndarray, np.ndarray]:
    """Log density of every row given all others, on the standardised scale.

    Parameters
    ----------
    problem : Problem
        The rows.
    spec : ModelSpec
    draws : Parameters
        With one leading draw axis, from the posterior given all rows.

    Returns
    -------
    log_density : ndarray of shape (rows,)
    pareto_k : ndarray of shape (rows,)
        Above 0.7 a row's value cannot be trusted.

    References
    ----------
    Vehtari, Gelman and Gabry (2017), "Practical Bayesian model evaluation using
    leave-one-out cross-validation and WAIC", Statistics and Computing 27, eq. 10.
    """
    n_rows = len(problem.y)
    log_density, pareto_k = np.empty(n_rows), np.empty(n_rows)
    for rows, designs in row_blocks(problem.designs, BLOCK_NUMBERS // draws.sigma.size):
        mixture = mixture_of(spec, draws, designs)
        seen = forward.log_density(forward.NUMPY, mixture, problem.y[rows]).T
        # leaving a row out takes its weighted log likelihood away
        log_weight, k = smooth_importance_weights(-problem.weight[rows, None] * seen)
        log_density[rows] = np.logaddexp.reduce(log_weight + seen, axis=1)
        pareto_k[rows] = k
    return log_density, pareto_k
