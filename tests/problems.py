"""Small random problems, and the log posterior written out plainly, as an oracle."""

import numpy as np

from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.model.parameters import PARTS, complete_priors
from skcocoafuse.model.priors import POSITIVE
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.rows import RowsInMemory
from skcocoafuse.model.spec import ModelSpec

BEHAVIORS = {"learned": None, "blend": 0.0, "mixture": 1.0}


def make_problem(
    n_experts=2,
    sizes=(2, 3, 1),
    behavior=None,
    n=70,
    seed=0,
    weighted=False,
    priors=None,
    rounding_variance=0.0,
    n_noise=0,
    noise="normal",
) -> Problem:
    """Design matrices of their own for all parts; standard normal data.

    ``sizes`` are the columns of experts, gate and behavior, ``n_noise`` those of the noise.
    """
    rng = np.random.default_rng(seed)
    columns = dict(zip(("expert", "gate", "behavior"), sizes, strict=True)) | {"noise": n_noise}
    columns = {part: columns[part] for part in PARTS}
    priors = complete_priors(priors)
    spec = ModelSpec(n_experts, columns, behavior, priors, rounding_variance, noise)
    designs = {part: rng.normal(size=(n, d)) for part, d in columns.items()}
    weight = rng.uniform(0.0, 2.0, n) if weighted else np.ones(n)
    return Problem(spec, RowsInMemory(designs, rng.normal(size=n), weight))


def log_posterior(problem: Problem, theta: np.ndarray) -> float:
    """The definition, by the numpy forward mathematics and the priors' own densities."""
    spec = problem.spec
    parameters = spec.unpack(theta)
    mixture = mixture_of(spec, parameters, problem.designs)
    total = problem.weight @ forward.log_density(forward.NUMPY, mixture, problem.y)
    for block in spec.blocks:
        values = getattr(parameters, block.name)
        if block.name == "noise_df":
            values = values - 1.0
        elif block.constraint == POSITIVE:
            values = np.sqrt(values**2 - spec.rounding_variance)
        if block.size:
            total += np.sum(spec.priors[block.name].log_density(np.log, values))
        if block.constraint == POSITIVE:
            total += np.log(values).sum()  # the unconstrained vector holds the logarithm
    return float(total)


def finite_difference(function, theta: np.ndarray, width=1e-6) -> np.ndarray:
    steps = width * np.eye(theta.size)
    return np.array([(function(theta + h) - function(theta - h)) / (2 * width) for h in steps])
