"""Compiled loops over posterior draws: the components of a tile of rows, or their moments.

The arguments ``draws`` are vectors of natural parameters, (draws, n_natural); ``X`` is a tile with
the columns of all parts, which ``columns`` locates, see :class:`~.model.rows.Tiles`.
"""

import numpy as np

from skcocoafuse.compiled.affine import OPTIONS, ROWS
from skcocoafuse.compiled.jit import njit
from skcocoafuse.compiled.tiles import (
    BETA,
    GATE,
    MEAN,
    MU,
    OWN,
    SHARED,
    VAR,
    VARIANCE,
    by_name,
    by_part,
    fill_constant_variances,
    forward_tile,
)


@njit(**OPTIONS)
def _workspaces(n_experts):
    return np.empty(SHARED), np.empty((n_experts, OWN))


@njit(**OPTIONS)
def components(draws, draw_weight, X, columns, layout, weight, mean, variance):
    """Fill weights, means and variances of the first rows, (rows, experts, draws) each."""
    n_rows, n_experts, n_draws = weight.shape
    c, w = _workspaces(n_experts)
    designs = by_part(X, columns)
    for s in range(n_draws):
        natural = by_name(draws[s], layout)
        fill_constant_variances(w, natural)
        forward_tile(c, w, natural, designs, layout)
        for k in range(n_experts):
            for i in range(n_rows):
                b = c[BETA + i]
                weight[i, k, s] = draw_weight[s] * w[k, GATE + i]
                mean[i, k, s] = b * w[k, MU + i] + (1.0 - b) * c[MEAN + i]
                variance[i, k, s] = b * w[k, VARIANCE + i] + (1.0 - b) * c[VAR + i]


@njit(**OPTIONS)
def moments(draws, draw_weight, noise_weight, X, columns, layout, out):
    """Mean, noise, between-expert and parameter variance of the rows, into ``out`` (4, ROWS).

    By the law of total variance; ``noise_weight`` (draws,) is the factor of each draw's noise.
    Deviations of the mean between draws are relative to the first draw, so that no digits are lost
    if they are small.
    """
    n_draws, n_experts = len(draws), layout.n_experts
    c, w = _workspaces(n_experts)
    origin, shift = np.empty(ROWS), np.empty(ROWS)
    between = np.empty(ROWS)
    designs = by_part(X, columns)
    out[:] = 0.0
    for s in range(n_draws):
        natural = by_name(draws[s], layout)
        fill_constant_variances(w, natural)
        forward_tile(c, w, natural, designs, layout)
        part = draw_weight[s]
        if s == 0:
            for i in range(ROWS):
                origin[i] = c[MEAN + i]
        for i in range(ROWS):
            between[i] = 0.0
        for k in range(n_experts):
            for i in range(ROWS):
                apart = c[BETA + i] * (w[k, MU + i] - c[MEAN + i])
                between[i] += w[k, GATE + i] * apart * apart
        for i in range(ROWS):
            shift[i] = c[MEAN + i] - origin[i]
            out[0, i] += part * shift[i]
            out[1, i] += noise_weight[s] * c[VAR + i]
            out[2, i] += part * between[i]
            out[3, i] += part * shift[i] * shift[i]
    for i in range(ROWS):
        out[3, i] = max(out[3, i] - out[0, i] * out[0, i], 0.0)
        out[0, i] += origin[i]
