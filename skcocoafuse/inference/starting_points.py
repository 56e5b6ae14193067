"""Starting points of optimizations: from nothing, and from another mode.

They do not depend on the order of rows or on whether a row of weight 2 is given once or twice, so
weights and repetitions lead to the same modes.
"""

import numpy as np

from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import unfused_mixture
from skcocoafuse.model.problem import Problem

_RIDGE = 0.1  # relative to a unit prior's precision: an expert may have fewer rows than columns
_BEHAVIORS = (4.0, 0.0, -4.0)  # logits of beta to start around
_DF = 10.0  # of the noise to start with
_SPARE = 0.05  # share of rows that an expert has in addition when the one to give up is drawn
_MIDDLE = 0.25, 0.75  # shares of an expert's rows between which it may be split


def propose(problem: Problem, rng: np.random.Generator, kind: int) -> np.ndarray:
    """A starting point: rows are split among experts, and each fits a ridge regression.

    Three of four starts split the gate's inputs along a random direction; the fourth
    splits along the residuals of one common regression (experts at the same inputs). The
    behavior gate starts near mixing, undecided, and near blending in turn.
    """
    spec, M = problem.spec, problem.spec.n_experts
    X_gate = problem.designs["gate"]
    by_residual = kind % 4 == 3 or spec.n_features["gate"] == 0
    direction = rng.normal(size=spec.n_features["gate"])
    direction /= np.linalg.norm(direction) + 1e-12
    shares = rng.dirichlet(np.full(M, 5.0))
    steepness = np.exp(rng.normal(1.0, 0.7))
    behavior = _BEHAVIORS[kind // 4 % len(_BEHAVIORS)] + rng.normal()
    projection = X_gate @ direction
    if by_residual:
        intercept, coef, _ = _ridge(problem, problem.weight)
        projection = problem.y - intercept - problem.designs["expert"] @ coef
    cuts = _weighted_quantiles(projection, problem.weight, np.cumsum(shares)[:-1])
    belongs = np.searchsorted(cuts, projection)
    fits = [_ridge(problem, problem.weight * (belongs == k)) for k in range(M)]
    slopes = np.zeros(M) if by_residual else steepness * np.arange(M)
    levels = np.log(shares) if by_residual else -steepness * np.concatenate([[0], np.cumsum(cuts)])
    start = spec.unpack(np.zeros(spec.n_parameters))._replace(
        expert_intercept=np.array([fit[0] for fit in fits]),
        expert_coef=np.array([fit[1] for fit in fits]).reshape(M, -1),
        sigma=np.array([fit[2] for fit in fits]),
        gate_intercept=levels,
        gate_coef=np.outer(slopes, direction),
    )
    if spec.behavior is None:
        start = start._replace(behavior_intercept=np.asarray(behavior))
    if start.noise_df is not None:
        start = start._replace(noise_df=np.asarray(_DF))
    return spec.pack(start)


def split_an_expert(problem: Problem, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give up one expert and divide the rows of another between the two.

    The moves of split-and-merge optimization (Ueda, Nakano, Ghahramani and Hinton, 2000, Neural
    Computation 12), each a new starting point near a good one. An expert is likely to be given up
    if few rows belong to it, and to be split if many do or if it predicts them badly. Its rows are
    divided at a random quantile: three times out of four along a direction of the gate's inputs,
    one of them or a random one, else by their residuals. Each half then gets its ridge regression.

    Parameters
    ----------
    problem : Problem
        With at least two experts, and rows in memory.
    theta : ndarray of shape (n_parameters,)
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_parameters,)
    """
    spec = problem.spec
    now = spec.unpack(theta)
    mixture = unfused_mixture(spec, now, problem.designs)
    belongs = forward.responsibilities(mixture, problem.y) * problem.weight[:, None]
    given_up, divided = _choose(mixture, belongs, problem.y, rng)
    share = rng.uniform(*_MIDDLE)
    steepness = np.exp(rng.normal(1.0, 0.7))
    direction = _direction(spec.n_features["gate"], rng)
    by_residual = rng.random() < 0.25 or not direction.any()
    if by_residual:
        direction, projection = 0.0 * direction, problem.y - mixture.mean[:, divided]
    else:
        projection = problem.designs["gate"] @ direction
    cut = _weighted_quantiles(projection, belongs[:, divided], np.array([share]))[0]
    above = projection > cut
    after = now.map(np.copy)
    for expert, half, sign in ((divided, ~above, -0.5), (given_up, above, 0.5)):
        fit = _ridge(problem, belongs[:, divided] * half)
        after.expert_intercept[expert], after.expert_coef[expert], after.sigma[expert] = fit
        after.noise_coef[expert] = now.noise_coef[divided]
        level = 0.0 if by_residual else sign * steepness * cut
        after.gate_intercept[expert] = now.gate_intercept[divided] - level
        after.gate_coef[expert] = now.gate_coef[divided] + sign * steepness * direction
    return spec.pack(after)


def _choose(mixture, belongs, y, rng) -> tuple[int, int]:
    """The expert to give up, and another one to split."""
    n_experts = belongs.shape[1]
    share = _shares(belongs.sum(axis=0))
    loss = mixture.log_weight - forward.component_log_density(forward.NUMPY, mixture, y)
    badness = _shares((belongs * (loss - loss.min())).sum(axis=0))
    divided = rng.choice(n_experts, p=0.5 * share + 0.5 * badness)
    spare = 1.0 / (share + _SPARE)
    spare[divided] = 0.0
    return rng.choice(n_experts, p=spare / spare.sum()), divided


def _shares(amounts: np.ndarray) -> np.ndarray:
    """Amounts over their sum; equal ones if there are no rows."""
    amounts = amounts + np.finfo(float).tiny
    return amounts / amounts.sum()


def _direction(n_columns: int, rng) -> np.ndarray:
    """A unit vector: one of the columns or, as often, a random one; empty without columns."""
    direction = rng.normal(size=n_columns)
    if n_columns and rng.random() < 0.5:
        column = rng.integers(n_columns)
        direction = np.where(np.arange(n_columns) == column, np.sign(direction), 0.0)
    return direction / (np.linalg.norm(direction) + 1e-12)


def _ridge(problem: Problem, weight: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Weighted ridge regression: intercept, coefficients, residual standard deviation."""
    X = np.column_stack([np.ones(len(problem.y)), problem.designs["expert"]])
    solution = np.linalg.solve(
        (X * weight[:, None]).T @ X + _RIDGE * np.eye(X.shape[1]), X.T @ (weight * problem.y)
    )
    error = problem.y - X @ solution
    variance = (weight @ error**2 + 0.1) / (weight.sum() + 1.0)
    return solution[0], solution[1:], max(np.sqrt(variance), 0.02)


def _weighted_quantiles(values: np.ndarray, weight: np.ndarray, q: np.ndarray) -> np.ndarray:
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weight[order])
    index = np.searchsorted(cumulative, q * cumulative[-1] * (1 - 1e-9))
    # slightly above the value, so that its row and copies of it are on the same side
    return values[order][np.minimum(index, len(values) - 1)] + 1e-9 * (1.0 + np.ptp(values))
