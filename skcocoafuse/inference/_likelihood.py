"""The log likelihood of fused experts and its gradient, in blocks of rows.

Notation, per row: e_k log gate up to a shared shift, a_k gate, mu_k and s_k^2 the
experts, b the behavior gate, mbar and vbar the gate-weighted averages,

    m_k = b mu_k + (1 - b) mbar,  v_k = b s_k^2 + (1 - b) vbar,
    log p = log sum_k a_k N(y; m_k, v_k),  r_k the responsibilities.

With D_k = r_k dlogN/dm_k, V_k = r_k dlogN/dv_k, A = sum D_k, C = sum V_k:

    d/dmu_k  = b D_k + (1 - b) A a_k
    d/ds_k^2 = b V_k + (1 - b) C a_k
    d/de_k   = r_k - a_k + a_k (q_k - sum_j a_j q_j),  q_k = (1 - b) (A mu_k + C s_k^2)
    d/dlogit(b) = b (1 - b) sum_k [D_k (mu_k - mbar) + V_k (s_k^2 - vbar)]

Rows are taken in blocks that stay in the first-level cache. Each block has a
workspace ``c`` (one line per quantity shared by the experts) and one ``w[k]`` per
expert; two base addresses per loop are few enough for the compiler to vectorise.
"""

import math

import numpy as np
from numba import njit

from skcocoafuse import _vector_math

_exp = _vector_math.exp
_log = _vector_math.log

ROWS = 64  # rows in a block; data are padded to a multiple with rows of weight 0
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)

# Infinities and NaN keep their meaning (no "nnan", "ninf"): overflow must be seen.
OPTIONS = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
}

# Lines of the shared workspace.
_Y, _WEIGHT, _BETA, _INV_SUM, _MEAN, _VAR, _PEAK, _SUM_D, _SUM_V, _D_BETA, _CENTRE = range(
    0, 11 * ROWS, ROWS
)
# Lines of each expert's workspace.
_MU, _E, _GATE, _RESP, _D, _V, _Q = range(0, 7 * ROWS, ROWS)

LEARNED, BLEND, MIXTURE = 2, 0, 1


@njit(**OPTIONS)
def _affine(X, start, intercept, coef, out):
    """Out = intercept + coef . X over the rows of one block."""
    for i in range(ROWS):
        out[i] = intercept
    for j in range(coef.size):
        x = X[j, start : start + ROWS]
        slope = coef[j]
        for i in range(ROWS):
            out[i] += slope * x[i]


@njit(**OPTIONS)
def _affine_gradient(X, start, upstream, d_coef):
    """Add X . upstream to the gradient of the coefficients; return that of the intercept."""
    for j in range(d_coef.size):
        x = X[j, start : start + ROWS]
        total = 0.0
        for i in range(ROWS):
            total += x[i] * upstream[i]
        d_coef[j] += total
    total = 0.0
    for i in range(ROWS):
        total += upstream[i]
    return total


@njit(**OPTIONS)
def _gate_and_average(c, w, variance):
    """Softmax of the gate logits, then the averages mbar and vbar."""
    n_experts = variance.size
    for i in range(ROWS):
        c[_PEAK + i] = w[0, _E + i]
    for k in range(1, n_experts):
        u = w[k]
        for i in range(ROWS):
            c[_PEAK + i] = max(c[_PEAK + i], u[_E + i])
    for i in range(ROWS):
        c[_INV_SUM + i] = 0.0
        c[_MEAN + i] = 0.0
        c[_VAR + i] = 0.0
    for k in range(n_experts):
        u = w[k]
        for i in range(ROWS):
            u[_E + i] -= c[_PEAK + i]
            u[_GATE + i] = _exp(u[_E + i])
        for i in range(ROWS):
            c[_INV_SUM + i] += u[_GATE + i]
    for i in range(ROWS):
        c[_INV_SUM + i] = 1.0 / c[_INV_SUM + i]
    for k in range(n_experts):
        u = w[k]
        for i in range(ROWS):
            u[_GATE + i] *= c[_INV_SUM + i]
            c[_MEAN + i] += u[_GATE + i] * u[_MU + i]
            c[_VAR + i] += u[_GATE + i] * variance[k]


@njit(**OPTIONS)
def _densities(c, w, variance):
    """Weighted log density of the block; leaves a_k N_k in RESP, up to a row factor."""
    n_experts = variance.size
    for i in range(ROWS):
        c[_PEAK + i] = -np.inf
    for k in range(n_experts):
        u = w[k]
        for i in range(ROWS):
            b = c[_BETA + i]
            precision = 1.0 / (b * variance[k] + (1.0 - b) * c[_VAR + i])
            error = c[_Y + i] - (b * u[_MU + i] + (1.0 - b) * c[_MEAN + i])
            u[_V + i] = precision
            u[_D + i] = error
            u[_RESP + i] = u[_E + i] - 0.5 * error * error * precision
        for i in range(ROWS):
            c[_PEAK + i] = max(c[_PEAK + i], u[_RESP + i])
    for i in range(ROWS):
        c[_SUM_D + i] = 0.0
    for k in range(n_experts):
        u = w[k]
        for i in range(ROWS):
            u[_RESP + i] = _exp(u[_RESP + i] - c[_PEAK + i]) * math.sqrt(u[_V + i])
        for i in range(ROWS):
            c[_SUM_D + i] += u[_RESP + i]
    total = 0.0
    for i in range(ROWS):
        density = _log(c[_SUM_D + i] * c[_INV_SUM + i])
        total += c[_WEIGHT + i] * (density + c[_PEAK + i] - _HALF_LOG_2PI)
    for i in range(ROWS):
        c[_PEAK + i] = c[_WEIGHT + i] / c[_SUM_D + i]
    return total


@njit(**OPTIONS)
def _upstream(c, w, variance, learned):
    """Derivatives by mu_k (into D), log gate (into E) and logit beta (into D_BETA).

    Returns through ``variance``'s companion ``w[k, Q]`` the derivative by s_k^2.
    """
    n_experts = variance.size
    for i in range(ROWS):
        c[_SUM_D + i] = 0.0
        c[_SUM_V + i] = 0.0
        c[_D_BETA + i] = 0.0
        c[_CENTRE + i] = 0.0
    for k in range(n_experts):
        u = w[k]
        for i in range(ROWS):
            r = u[_RESP + i] * c[_PEAK + i]
            z = u[_D + i] * u[_V + i]
            u[_RESP + i] = r
            u[_V + i] = 0.5 * r * (z * z - u[_V + i])
            u[_D + i] = r * z
        for i in range(ROWS):
            c[_SUM_D + i] += u[_D + i]
            c[_SUM_V + i] += u[_V + i]
        if learned:
            for i in range(ROWS):
                c[_D_BETA + i] += u[_D + i] * (u[_MU + i] - c[_MEAN + i]) + u[_V + i] * (
                    variance[k] - c[_VAR + i]
                )
    for k in range(n_experts):
        u = w[k]
        for i in range(ROWS):
            q = c[_SUM_D + i] * u[_MU + i] + c[_SUM_V + i] * variance[k]
            u[_Q + i] = (1.0 - c[_BETA + i]) * q
        for i in range(ROWS):
            c[_CENTRE + i] += u[_GATE + i] * u[_Q + i]
    if learned:
        for i in range(ROWS):
            c[_D_BETA + i] *= c[_BETA + i] * (1.0 - c[_BETA + i])
    for k in range(n_experts):
        u = w[k]
        for i in range(ROWS):
            a = u[_GATE + i]
            b = c[_BETA + i]
            u[_E + i] = u[_RESP + i] + a * (u[_Q + i] - c[_CENTRE + i] - c[_WEIGHT + i])
            u[_D + i] = b * u[_D + i] + (1.0 - b) * c[_SUM_D + i] * a
            u[_Q + i] = b * u[_V + i] + (1.0 - b) * c[_SUM_V + i] * a


@njit(**OPTIONS)
def _sum(line):
    total = 0.0
    for i in range(ROWS):
        total += line[i]
    return total


@njit(**OPTIONS)
def log_likelihood(
    intercept, coef, variance, gate_intercept, gate_coef, behavior_intercept, behavior_coef,
    X_expert, X_gate, X_behavior, y, weight, behavior,
    d_intercept, d_coef, d_variance, d_gate_intercept, d_gate_coef, d_behavior_coef,
):  # fmt: skip
    """Sum of weighted row log densities; adds to the gradients, returns that of h too."""
    n_experts = variance.size
    c = np.empty(11 * ROWS)
    w = np.empty((n_experts, 7 * ROWS))
    learned = behavior == LEARNED
    total = 0.0
    d_behavior_intercept = 0.0
    for start in range(0, y.size, ROWS):
        y_block, weight_block = y[start : start + ROWS], weight[start : start + ROWS]
        beta = c[_BETA : _BETA + ROWS]
        for i in range(ROWS):
            c[_Y + i] = y_block[i]
            c[_WEIGHT + i] = weight_block[i]
            beta[i] = behavior
        if learned:
            _affine(X_behavior, start, behavior_intercept, behavior_coef, beta)
            for i in range(ROWS):
                beta[i] = 1.0 / (1.0 + _exp(min(-beta[i], 700.0)))
        for k in range(n_experts):
            _affine(X_expert, start, intercept[k], coef[k], w[k, _MU : _MU + ROWS])
            _affine(X_gate, start, gate_intercept[k], gate_coef[k], w[k, _E : _E + ROWS])
        _gate_and_average(c, w, variance)
        total += _densities(c, w, variance)
        _upstream(c, w, variance, learned)
        for k in range(n_experts):
            u = w[k]
            d_variance[k] += _sum(u[_Q : _Q + ROWS])
            d_intercept[k] += _affine_gradient(X_expert, start, u[_D : _D + ROWS], d_coef[k])
            d_gate_intercept[k] += _affine_gradient(
                X_gate, start, u[_E : _E + ROWS], d_gate_coef[k]
            )
        if learned:
            d_behavior_intercept += _affine_gradient(
                X_behavior, start, c[_D_BETA : _D_BETA + ROWS], d_behavior_coef
            )
    return total, d_behavior_intercept
