"""The compiled forward computation, for a tile of rows and one draw of the parameters.

Gate, behavior gate and fusion as in ``forward``, which tests compare this with. Rows are processed
in tiles that stay in the first-level cache. Each tile has a workspace ``c`` (one line per quantity
shared by the experts) and one ``w[k]`` per expert; two base addresses per loop are few enough for
the compiler to vectorize.
"""

import math
from typing import NamedTuple

import numpy as np

from skcocoafuse.compiled import vector_math
from skcocoafuse.compiled.affine import OPTIONS, ROWS, affine, affine_of_one
from skcocoafuse.compiled.jit import njit
from skcocoafuse.compiled.layout import AT, LEARNED, OF
from skcocoafuse.compiled.natural import slice_of
from skcocoafuse.model.forward import FLAT, MAX_LOG_RATIO

_exp = vector_math.exp

# Lines of the shared workspace, and their number; more may follow.
BETA, INV_SUM, MEAN, VAR, PEAK, SHARED = range(0, 6 * ROWS, ROWS)
# Lines of each expert's workspace, in the same way.
MU, E, GATE, VARIANCE, RATIO, SLOPE, OWN = range(0, 7 * ROWS, ROWS)


@njit(**OPTIONS)
def _gate_and_average(c, w):
    """Softmax of the gate logits, then the averages mbar and vbar."""
    n_experts = len(w)
    for i in range(ROWS):
        c[PEAK + i] = w[0, E + i]
    for k in range(1, n_experts):
        u = w[k]
        for i in range(ROWS):
            c[PEAK + i] = max(c[PEAK + i], u[E + i])
    for i in range(ROWS):
        c[INV_SUM + i] = 0.0
        c[MEAN + i] = 0.0
        c[VAR + i] = 0.0
    for k in range(n_experts):
        u = w[k]
        for i in range(ROWS):
            u[E + i] -= c[PEAK + i]
            u[GATE + i] = _exp(u[E + i])
        for i in range(ROWS):
            c[INV_SUM + i] += u[GATE + i]
    for i in range(ROWS):
        c[INV_SUM + i] = 1.0 / c[INV_SUM + i]
    for k in range(n_experts):
        u = w[k]
        for i in range(ROWS):
            u[GATE + i] *= c[INV_SUM + i]
            c[MEAN + i] += u[GATE + i] * u[MU + i]
            c[VAR + i] += u[GATE + i] * u[VARIANCE + i]


@njit(**OPTIONS)
def fill_constant_variances(w, natural):
    """Fill VARIANCE, for all tiles if the noise has no inputs."""
    for k in range(natural.variance.size):
        u = w[k]
        for i in range(ROWS):
            u[VARIANCE + i] = natural.variance[k]


@njit(**OPTIONS)
def _variances(w, natural, X, rounding_variance):
    """Fill VARIANCE with s_k(x)^2, and RATIO and SLOPE.

    The part of the variance that is not rounding is RATIO times that at average inputs; SLOPE is
    the derivative of the log of RATIO with respect to r_k . x.
    """
    n_experts = natural.variance.size
    affine(X.noise, np.zeros(n_experts), natural.noise_coef, w, SLOPE)
    for k in range(n_experts):
        u = w[k]
        excess = natural.variance[k] - rounding_variance
        for i in range(ROWS):
            t = max(min(u[SLOPE + i], FLAT), -FLAT)
            shrunk = 1.0 / math.sqrt(1.0 + t * t * (1.0 / MAX_LOG_RATIO**2))
            u[RATIO + i] = _exp(2.0 * t * shrunk)
            u[SLOPE + i] = 2.0 * shrunk * shrunk * shrunk
            u[VARIANCE + i] = rounding_variance + excess * u[RATIO + i]


class Natural(NamedTuple):
    """The natural parameters by name: the arguments of a row's likelihood."""

    expert_intercept: np.ndarray  # (n_experts,)
    expert_coef: np.ndarray  # (n_experts * columns,)
    variance: np.ndarray  # (n_experts,), at average inputs
    noise_coef: np.ndarray  # (n_experts * columns,)
    gate_intercept: np.ndarray  # (n_experts,)
    gate_coef: np.ndarray  # (n_experts * columns,)
    behavior_intercept: np.ndarray  # (1,), or empty if beta is fixed
    behavior_coef: np.ndarray  # (columns,)
    excess_df: np.ndarray  # (1,): degrees of freedom over the least, or empty for Normal noise


@njit(**OPTIONS)
def by_name(natural, layout):
    """Views of a vector of natural parameters, or of the gradient by these."""
    first = layout.natural
    return Natural(
        slice_of(natural, first, AT.expert_intercept),
        slice_of(natural, first, AT.expert_coef),
        slice_of(natural, first, AT.sigma),
        slice_of(natural, first, AT.noise_coef),
        slice_of(natural, first, AT.gate_intercept),
        slice_of(natural, first, AT.gate_coef),
        slice_of(natural, first, AT.behavior_intercept),
        slice_of(natural, first, AT.behavior_coef),
        slice_of(natural, first, AT.noise_df),
    )


class Designs(NamedTuple):
    """The columns of each part in a tile, one column after the other."""

    expert: np.ndarray
    noise: np.ndarray
    gate: np.ndarray
    behavior: np.ndarray


@njit(**OPTIONS)
def by_part(X, columns):
    """Views of a tile with the columns of all parts, which may be the same."""
    return Designs(
        X[columns[OF.expert, 0] : columns[OF.expert, 1]],
        X[columns[OF.noise, 0] : columns[OF.noise, 1]],
        X[columns[OF.gate, 0] : columns[OF.gate, 1]],
        X[columns[OF.behavior, 0] : columns[OF.behavior, 1]],
    )


@njit(**OPTIONS)
def forward_tile(c, w, natural, X, layout):
    """Fill BETA, INV_SUM, MEAN, VAR, PEAK and MU, E, GATE, VARIANCE: all that fusion needs.

    ``natural`` is from :func:`by_name`, ``X`` from :func:`by_part`. Before the first tile call
    :func:`fill_constant_variances`.
    """
    beta = c[BETA : BETA + ROWS]
    for i in range(ROWS):
        beta[i] = layout.behavior
    if layout.behavior == LEARNED:
        affine_of_one(X.behavior, natural.behavior_intercept[0], natural.behavior_coef, beta)
        for i in range(ROWS):
            beta[i] = 1.0 / (1.0 + _exp(min(-beta[i], 700.0)))
    affine(X.expert, natural.expert_intercept, natural.expert_coef, w, MU)
    affine(X.gate, natural.gate_intercept, natural.gate_coef, w, E)
    if X.noise.size > 0:
        _variances(w, natural, X, layout.rounding_variance)
    _gate_and_average(c, w)
