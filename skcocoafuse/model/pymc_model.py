"""The PyMC model: the definition of the posterior that ``fit`` infers."""

from typing import Any

import numpy as np

from skcocoafuse.model import forward
from skcocoafuse.model.parameters import CONTRAST, DF, LEAST_DF, SD, STUDENT_T, Parameters
from skcocoafuse.model.priors import FAMILIES, POSITIVE, Prior, sample_sum_to_zero
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.spec import Block, ModelSpec


def pytensor_ops() -> forward.Ops:
    """The function table of :mod:`forward` for PyTensor variables."""
    import pytensor.tensor as pt
    from pytensor.gradient import disconnected_grad

    def logsumexp(x):
        # pt.logsumexp over one expert loses its shift in a rewrite of PyTensor 2.38, and the
        # gradient is then 0 / 0 where densities underflow
        peak = disconnected_grad(x.max(axis=-1, keepdims=True))
        return peak[..., 0] + pt.log(pt.exp(x - peak).sum(axis=-1))

    return forward.Ops(
        exp=pt.exp,
        log=pt.log,
        log1p=pt.log1p,
        clip=pt.clip,
        expit=pt.sigmoid,
        log_softmax=lambda x: pt.special.log_softmax(x, axis=-1),
        logsumexp=logsumexp,
        linear=lambda X, coef: X @ coef.mT,
    )


def build_pymc_model(problem: Problem, feature_names: dict[str, list[str]] | None = None):
    """A ``pm.Model`` on the standardized scale with named parameters, dims and observed ``y``.

    Gates are free in the sum-to-zero basis (``gate_intercept_contrast``,
    ``gate_coef_contrast``), with the symmetric versions as deterministic variables; so are degrees
    of freedom as their excess over 1 (``noise_df_excess``).
    Parameters without entries (no columns, one expert's gate) are left out. ``sigma`` is the
    noise without the rounding of the target (``ModelSpec.rounding_variance``).

    Parameters
    ----------
    problem : Problem
        Specification, design matrices, target and row weights.
    feature_names : dict, optional
        Coordinates for the dims ``expert_feature``, ``noise_feature``, ``gate_feature`` and
        ``behavior_feature``.

    Returns
    -------
    pymc.Model
    """
    import pymc as pm

    spec, names = problem.spec, feature_names or {}
    coords: dict[str, Any] = {"expert": np.arange(spec.n_experts), "row": np.arange(len(problem.y))}
    for part, X in problem.designs.items():
        coords[f"{part}_feature"] = names.get(part, [f"x{j}" for j in range(X.shape[1])])
    coords["contrast"] = np.arange(spec.n_experts - 1)

    with pm.Model(coords=coords) as model:
        X_data = {
            part: pm.Data(f"X_{part}", design, dims=("row", f"{part}_feature"))
            for part, design in problem.designs.items()
            if design.shape[1] > 0
        }
        y = pm.Data("y_data", problem.y, dims="row")
        weight = pm.Data("sample_weight", problem.weight, dims="row")
        parameters = _parameters(problem)
        _observe(problem, parameters, X_data, y, weight)
    return model


def variable_name(block: Block) -> str:
    """Name in the PyMC model of a block's free variable."""
    if block.row.role == DF:
        return f"{block.name}_excess"
    return f"{block.name}_contrast" if block.constraint == CONTRAST else block.name


def variable_dims(block: Block) -> tuple[str, ...]:
    """Dims in the PyMC model of a block's free variable."""
    dims = block.row.axes
    return ("contrast", *dims[1:]) if block.constraint == CONTRAST else dims


def free_variables(spec: ModelSpec, theta: np.ndarray) -> dict[str, np.ndarray]:
    """Values of the PyMC model's free variables, (..., *shape), of unconstrained vectors."""
    values, start = {}, 0
    for block in spec.blocks:
        part = theta[..., start : start + block.size].reshape(theta.shape[:-1] + block.shape)
        start += block.size
        if block.size:
            values[variable_name(block)] = np.exp(part) if block.constraint == POSITIVE else part
    return values


def _parameters(problem: Problem) -> Parameters:
    """Declare the random variables, in the order of ``ModelSpec.blocks``."""
    import pymc as pm
    import pytensor.tensor as pt

    spec, M = problem.spec, problem.spec.n_experts
    values: dict[str, Any] = {}
    for block in spec.blocks:
        prior, dims = spec.priors[block.name], block.row.axes
        variable = FAMILIES[prior.family].variable
        if block.size == 0:
            shape = (M, *block.shape[1:]) if block.constraint == CONTRAST else block.shape
            values[block.name] = pt.zeros(shape)
        elif block.constraint == CONTRAST:
            free = _sum_to_zero(
                variable_name(block), prior, block.shape, spec.basis, variable_dims(block)
            )
            values[block.name] = pm.Deterministic(block.name, spec.basis @ free, dims=dims)
        elif block.row.role == DF:
            free = variable(pm, variable_name(block), prior, dims)
            values[block.name] = pm.Deterministic(block.name, LEAST_DF + free, dims=dims)
        elif block.row.role == SD and spec.rounding_variance > 0.0:
            free = variable(pm, block.name, prior, dims)
            values[block.name] = pt.sqrt(free**2 + spec.rounding_variance)
        else:
            values[block.name] = variable(pm, block.name, prior, dims)
    return Parameters(**values)


def _sum_to_zero(name: str, prior: Prior, shape, basis, dims):
    """Coordinates of a vector (or of each column) restricted to sum to zero.

    The density is the product of the prior over the vector's entries, restricted to
    that plane; its normalizing constant there is omitted.
    """
    import pymc as pm
    import pytensor.tensor as pt

    def logp(value, centre):
        return prior.log_density(pt.log, basis @ (value - centre)).sum()

    def random(centre, rng=None, size=None):
        lead = () if size is None else tuple(size)
        full = sample_sum_to_zero(rng, prior, (*lead, *shape[1:], basis.shape[0]))
        free = full @ basis
        return centre + (free if len(shape) == 1 else np.moveaxis(free, -1, -2))

    core = "(k)" if len(shape) == 1 else "(k,d)"
    return pm.CustomDist(
        name, np.zeros(shape), logp=logp, random=random, dims=dims, signature=f"{core}->{core}"
    )


def _observe(problem: Problem, parameters: Parameters, X, y, weight):
    """The likelihood: sum over rows of weight times log density of the fused mixture.

    Degrees of freedom have no axes here, and in mixtures one for rows and one for experts.
    """
    import pymc as pm
    import pytensor.tensor as pt

    ops, spec = pytensor_ops(), problem.spec
    n = len(problem.y)
    design = {part: X.get(part, pt.zeros((n, 0))) for part in problem.designs}
    design["noise"] = X.get("noise")  # constant without columns
    if spec.behavior is None:
        beta = forward.behavior(ops, parameters, design["behavior"])
    else:
        beta = spec.behavior
    mixture = forward.components(ops, parameters, design, beta, spec.rounding_variance)

    def given(log_weight, mean, variance, df=()):
        return forward.Components(log_weight, mean, variance, *(each[..., None] for each in df))

    def logp(value, weight, log_weight, mean, variance, *df):
        return weight * forward.log_density(ops, given(log_weight, mean, variance, df), value)

    def random(weight, log_weight, mean, variance, *df, rng=None, size=None):
        return forward.random_values(rng, given(log_weight, mean, variance, df))

    has_df = spec.noise == STUDENT_T
    pm.CustomDist(
        "y",
        weight,
        *mixture[:3],
        *([parameters.noise_df] if has_df else []),
        logp=logp,
        random=random,
        signature=f"(),(m),(m),(m){',()' if has_df else ''}->()",
        observed=y,
        dims="row",
    )
