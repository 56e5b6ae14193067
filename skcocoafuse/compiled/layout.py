"""The records that compiled functions take, and their layout.

The likelihood of a row is a function of the natural parameters: intercepts, coefficients and
variances of all experts and the excess of the degrees of freedom over the least, one after the
other in a vector, in the order of the table of parameters.
"""

import math
from collections import namedtuple
from typing import Any, NamedTuple

import numpy as np

from skcocoafuse.model.parameters import (
    CONTRAST,
    DF,
    LEAST_DF,
    PARAMETERS,
    PARTS,
    SD,
    STUDENT_T,
    Parameters,
)
from skcocoafuse.model.priors import FAMILY_CODES, POSITIVE
from skcocoafuse.model.spec import ModelSpec

#: Indices of the parameters and parts, as ``AT.gate_coef`` and ``OF.gate``: constants of machine
#: code, which has no strings.
AT: Any = namedtuple("AT", PARAMETERS)(*range(len(PARAMETERS)))
OF: Any = namedtuple("OF", PARTS)(*range(len(PARTS)))

LEARNED, BLEND, MIXTURE = 2, 0, 1  # beta: a logistic function of the behavior inputs, 0, or 1
#: Map from the unconstrained vector to the natural parameter: identity, exp, variance from the
#: logarithm of a standard deviation, or sum-to-zero contrast.
SAME, EXPONENTIAL, VARIANCE, CENTERED = range(4)


class Layout(NamedTuple):
    """The positions of parameters, and what else a row's likelihood depends on.

    Parameters
    ----------
    natural : ndarray of int, shape (parameters + 1,)
        First entry of every parameter in the vector of natural parameters; one that the model does
        not have is empty.
    n_experts : int
    behavior : int
        BLEND, MIXTURE or LEARNED.
    rounding_variance : float
        Part of every variance, whatever the inputs.
    student_t : bool
        Whether the noise is Student's t, not Normal.
    """

    natural: np.ndarray
    n_experts: int
    behavior: int
    rounding_variance: float
    student_t: bool


class Model(NamedTuple):
    """The model assumptions, apart from the layout.

    Parameters
    ----------
    unconstrained : ndarray of int, shape (parameters + 1,)
        First entry of every parameter in the unconstrained vector.
    constraint : ndarray of int, shape (parameters,)
        SAME, EXPONENTIAL, VARIANCE or CENTERED.
    prior : ndarray of shape (parameters, 4)
        Code of the family, loc, scale and degrees of freedom.
    basis : ndarray of shape (n_experts, n_experts - 1)
        Sum-to-zero basis of the gates.
    smoothing : ndarray of shape (2,)
        Smoothing of the kinks of priors: of contrasts, and of all others.
    """

    unconstrained: np.ndarray
    constraint: np.ndarray
    prior: np.ndarray
    basis: np.ndarray
    smoothing: np.ndarray


def layout_of(spec: ModelSpec) -> Layout:
    """The layout of a model."""
    behavior = LEARNED if spec.behavior is None else int(spec.behavior)
    sizes = list(natural_sizes(spec).values())
    return Layout(
        _firsts(sizes),
        spec.n_experts,
        behavior,
        spec.rounding_variance,
        spec.noise == STUDENT_T,
    )


def _firsts(sizes: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def natural_sizes(spec: ModelSpec) -> dict[str, int]:
    """Entries of every parameter of the table; none for those that the model does not have."""
    own = {block.name for block in spec.blocks}
    return {
        name: math.prod(spec.sizes[axis] for axis in row.axes) if name in own else 0
        for name, row in PARAMETERS.items()
    }


def model_of(spec: ModelSpec) -> Model:
    """The assumptions of a model, without smoothing."""
    sizes = {block.name: block.size for block in spec.blocks}
    return Model(
        _firsts([sizes.get(name, 0) for name in PARAMETERS]),
        np.array([_constraint(row) for row in PARAMETERS.values()], dtype=np.int64),
        np.array([_prior_record(spec.priors[name]) for name in PARAMETERS]),
        np.ascontiguousarray(spec.basis),
        np.zeros(2),
    )


def _constraint(row) -> int:
    if row.constraint == CONTRAST:
        return CENTERED
    if row.role == SD:
        return VARIANCE
    return EXPONENTIAL if row.constraint == POSITIVE else SAME


def _prior_record(prior) -> list[float]:
    """A prior as a record for machine code."""
    return [FAMILY_CODES[prior.family], prior.loc, prior.scale, prior.df]


def natural_parameters(parameters: Parameters) -> np.ndarray:
    """Natural parameters of draws with one leading axis, (draws, n_natural)."""
    values = []
    for name, row in PARAMETERS.items():
        value = getattr(parameters, name)
        if value is not None:
            if row.role == SD:
                value = value**2
            elif row.role == DF:
                value = value - LEAST_DF
            values.append(value.reshape(len(value), -1))
    return np.concatenate(values, axis=1, dtype=np.float64)
