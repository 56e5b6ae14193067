"""From the unconstrained vector to natural parameters and back with the gradient."""

import numpy as np

from skcocoafuse.compiled.affine import OPTIONS
from skcocoafuse.compiled.jit import njit
from skcocoafuse.compiled.layout import CENTERED, EXPONENTIAL, VARIANCE


@njit(**OPTIONS)
def slice_of(vector, first, parameter):
    """The entries of one parameter in a vector of all parameters."""
    return vector[first[parameter] : first[parameter + 1]]


@njit(**OPTIONS)
def to_natural(theta, model, layout, natural):
    """Fill ``natural`` with the natural parameters of an unconstrained vector."""
    for parameter in range(model.constraint.size):
        x = slice_of(theta, model.unconstrained, parameter)
        values = slice_of(natural, layout.natural, parameter)
        kind = model.constraint[parameter]
        if kind == CENTERED:
            _from_contrasts(x, model.basis, values)
            continue
        for i in range(x.size):
            if kind == VARIANCE:
                values[i] = np.exp(2.0 * x[i]) + layout.rounding_variance
            elif kind == EXPONENTIAL:
                values[i] = np.exp(x[i])
            else:
                values[i] = x[i]


@njit(**OPTIONS)
def _from_contrasts(x, basis, values):
    """Values (n_experts, columns) of their coordinates (n_experts - 1, columns)."""
    n_experts, n_contrasts = basis.shape
    columns = values.size // n_experts
    for k in range(n_experts):
        for j in range(columns):
            total = 0.0
            for m in range(n_contrasts):
                total += basis[k, m] * x[m * columns + j]
            values[k * columns + j] = total


@njit(**OPTIONS)
def add_gradient(natural, d_natural, model, layout, gradient):
    """Add to ``gradient``, that of the unconstrained vector, the contribution of ``d_natural``."""
    for parameter in range(model.constraint.size):
        values = slice_of(natural, layout.natural, parameter)
        upstream = slice_of(d_natural, layout.natural, parameter)
        own = slice_of(gradient, model.unconstrained, parameter)
        kind = model.constraint[parameter]
        if kind == CENTERED:
            _to_contrasts(upstream, model.basis, own)
            continue
        for i in range(own.size):
            if kind == VARIANCE:
                own[i] += 2.0 * (values[i] - layout.rounding_variance) * upstream[i]
            elif kind == EXPONENTIAL:
                own[i] += values[i] * upstream[i]
            else:
                own[i] += upstream[i]


@njit(**OPTIONS)
def _to_contrasts(upstream, basis, own):
    n_experts, n_contrasts = basis.shape
    columns = upstream.size // n_experts
    for m in range(n_contrasts):
        for k in range(n_experts):
            for j in range(columns):
                own[m * columns + j] += basis[k, m] * upstream[k * columns + j]
