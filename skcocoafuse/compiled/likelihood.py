"""The log likelihood of fused experts and its gradient, in tiles of rows.

Notation, per row: e_k log gate up to a shared shift, a_k gate, mu_k and s_k^2 the
experts, b the behavior gate, mbar and vbar the gate-weighted averages,

    m_k = b mu_k + (1 - b) mbar,  v_k = b s_k^2 + (1 - b) vbar,
    log p = log sum_k a_k N(y; m_k, v_k),  r_k the responsibilities.

With D_k = r_k dlogN/dm_k, V_k = r_k dlogN/dv_k, A = sum D_k, C = sum V_k:

    d/dmu_k  = b D_k + (1 - b) A a_k
    d/ds_k^2 = b V_k + (1 - b) C a_k,  and on to sigma_k and r_k if the noise has inputs
    d/de_k   = r_k - a_k + a_k (q_k - sum_j a_j q_j),  q_k = (1 - b) (A mu_k + C s_k^2)
    d/dlogit(b) = b (1 - b) sum_k [D_k (mu_k - mbar) + V_k (s_k^2 - vbar)]

Student's t with nu degrees of freedom replaces N by

    t(y; m_k, v_k) = c(nu) v_k^(-1/2) (1 + q_k)^(-(nu + 1) / 2),  q_k = (y - m_k)^2 / (nu v_k),

so that in D_k and V_k, (y - m_k)^p is multiplied by the pull w_k = (1 + 1/nu) / (1 + q_k), and
d/dnu = (dc/dnu) / c + (1 + 1/nu) / 2 - sum_k r_k [log(1 + q_k) + w_k] / 2.

Rows are processed in tiles; ``compiled.tiles`` fills the first lines
of their workspaces.
"""

import math

import numpy as np

from skcocoafuse.compiled import vector_math
from skcocoafuse.compiled.affine import (
    OPTIONS,
    ROWS,
    affine_gradient,
    gradient_of_one,
    tile_sum,
)
from skcocoafuse.compiled.jit import njit
from skcocoafuse.compiled.layout import LEARNED, Layout
from skcocoafuse.compiled.standardize import tiles_of
from skcocoafuse.compiled.tiles import (
    BETA,
    GATE,
    INV_SUM,
    MEAN,
    MU,
    OWN,
    PEAK,
    RATIO,
    SHARED,
    SLOPE,
    VAR,
    VARIANCE,
    E,
    by_name,
    by_part,
    fill_constant_variances,
    forward_tile,
)
from skcocoafuse.model import forward
from skcocoafuse.model.parameters import LEAST_DF
from skcocoafuse.model.parted import RawRows
from skcocoafuse.model.rows import RowsInMemory

_exp = vector_math.exp
_log = vector_math.log
_log1p = vector_math.log1p

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)

# Lines of the two workspaces after those of forward_tile.
_Y, _WEIGHT, _SUM_D, _SUM_V, _D_BETA, _CENTRE = range(SHARED, SHARED + 6 * ROWS, ROWS)
_RESP, _D, _V, _Q, _FAR, _PULL = range(OWN, OWN + 6 * ROWS, ROWS)

# Compiled only as parts of what calls them, as the functions of priors.
_log_constant = njit(**{**OPTIONS, "cache": False})(forward.log_constant)
_log_constant_slope = njit(**{**OPTIONS, "cache": False})(forward.log_constant_slope)


@njit(**OPTIONS)
def _precision_and_error(c, u, i):
    b = c[BETA + i]
    precision = 1.0 / (b * u[VARIANCE + i] + (1.0 - b) * c[VAR + i])
    return precision, c[_Y + i] - (b * u[MU + i] + (1.0 - b) * c[MEAN + i])


@njit(**OPTIONS)
def _densities(c, w, log_constant, excess_df):
    """Weighted log density of the tile; leaves a_k f_k in RESP, up to a row factor.

    ``excess_df`` is empty for Normal noise; for Student's t, FAR has log(1 + q) and PULL w.
    """
    n_experts = len(w)
    for i in range(ROWS):
        c[PEAK + i] = -np.inf
    for k in range(n_experts):
        u = w[k]
        if excess_df.size == 0:
            for i in range(ROWS):
                precision, error = _precision_and_error(c, u, i)
                u[_V + i] = precision
                u[_D + i] = error
                u[_RESP + i] = u[E + i] - 0.5 * error * error * precision
        else:
            df = LEAST_DF + excess_df[0]
            for i in range(ROWS):
                precision, error = _precision_and_error(c, u, i)
                u[_V + i] = precision
                u[_D + i] = error
                q = error * error * precision / df
                u[_FAR + i] = _log1p(q)
                u[_PULL + i] = (1.0 + 1.0 / df) / (1.0 + q)
                u[_RESP + i] = u[E + i] - 0.5 * (df + 1.0) * u[_FAR + i]
        for i in range(ROWS):
            c[PEAK + i] = max(c[PEAK + i], u[_RESP + i])
    for i in range(ROWS):
        c[_SUM_D + i] = 0.0
    for k in range(n_experts):
        u = w[k]
        for i in range(ROWS):
            u[_RESP + i] = _exp(u[_RESP + i] - c[PEAK + i]) * math.sqrt(u[_V + i])
        for i in range(ROWS):
            c[_SUM_D + i] += u[_RESP + i]
    total = 0.0
    for i in range(ROWS):
        density = _log(c[_SUM_D + i] * c[INV_SUM + i])
        total += c[_WEIGHT + i] * (density + c[PEAK + i] + log_constant)
    for i in range(ROWS):
        c[PEAK + i] = c[_WEIGHT + i] / c[_SUM_D + i]
    return total


@njit(**OPTIONS)
def _upstream(c, w, learned, student_t):
    """Derivatives by mu_k (into D), log gate (into E) and logit beta (into D_BETA).

    The derivative by s_k^2 is returned in ``w[k, Q]``.
    """
    n_experts = len(w)
    for i in range(ROWS):
        c[_SUM_D + i] = 0.0
        c[_SUM_V + i] = 0.0
        c[_D_BETA + i] = 0.0
        c[_CENTRE + i] = 0.0
    for k in range(n_experts):
        u = w[k]
        if student_t:
            for i in range(ROWS):
                r = u[_RESP + i] * c[PEAK + i]
                z = u[_D + i] * u[_V + i]
                u[_RESP + i] = r
                u[_V + i] = 0.5 * r * (z * z * u[_PULL + i] - u[_V + i])
                u[_D + i] = r * z * u[_PULL + i]
        else:
            for i in range(ROWS):
                r = u[_RESP + i] * c[PEAK + i]
                z = u[_D + i] * u[_V + i]
                u[_RESP + i] = r
                u[_V + i] = 0.5 * r * (z * z - u[_V + i])
                u[_D + i] = r * z
        for i in range(ROWS):
            c[_SUM_D + i] += u[_D + i]
            c[_SUM_V + i] += u[_V + i]
        if learned:
            for i in range(ROWS):
                c[_D_BETA + i] += u[_D + i] * (u[MU + i] - c[MEAN + i]) + u[_V + i] * (
                    u[VARIANCE + i] - c[VAR + i]
                )
    for k in range(n_experts):
        u = w[k]
        for i in range(ROWS):
            q = c[_SUM_D + i] * u[MU + i] + c[_SUM_V + i] * u[VARIANCE + i]
            u[_Q + i] = (1.0 - c[BETA + i]) * q
        for i in range(ROWS):
            c[_CENTRE + i] += u[GATE + i] * u[_Q + i]
    if learned:
        for i in range(ROWS):
            c[_D_BETA + i] *= c[BETA + i] * (1.0 - c[BETA + i])
    for k in range(n_experts):
        u = w[k]
        for i in range(ROWS):
            a = u[GATE + i]
            b = c[BETA + i]
            u[E + i] = u[_RESP + i] + a * (u[_Q + i] - c[_CENTRE + i] - c[_WEIGHT + i])
            u[_D + i] = b * u[_D + i] + (1.0 - b) * c[_SUM_D + i] * a
            u[_Q + i] = b * u[_V + i] + (1.0 - b) * c[_SUM_V + i] * a


@njit(**OPTIONS)
def _noise_gradient(w, natural, X_noise, rounding_variance, d):
    """Add the gradient by the variances at average inputs and by the coefficients of the noise."""
    n_experts = natural.variance.size
    if X_noise.size == 0:
        for k in range(n_experts):
            d.variance[k] += tile_sum(w[k, _Q : _Q + ROWS])
        return
    for k in range(n_experts):
        u = w[k]
        excess = natural.variance[k] - rounding_variance
        for i in range(ROWS):
            u[RATIO + i] *= u[_Q + i]
            u[SLOPE + i] *= excess * u[RATIO + i]
        d.variance[k] += tile_sum(w[k, RATIO : RATIO + ROWS])
    unused = np.empty(n_experts)  # of intercepts, which a ratio does not have
    affine_gradient(X_noise, w, SLOPE, unused, d.noise_coef)


@njit(**OPTIONS)
def _df_gradient(c, w, excess_df, d_excess_df):
    """Add the gradient by the excess of the degrees of freedom, after :func:`_upstream`."""
    df = LEAST_DF + excess_df[0]
    slope = _log_constant_slope(df) + 0.5 + 0.5 / df
    total = slope * tile_sum(c[_WEIGHT : _WEIGHT + ROWS])
    for k in range(len(w)):
        u = w[k]
        for i in range(ROWS):
            u[_FAR + i] = u[_RESP + i] * (u[_FAR + i] + u[_PULL + i])
        total -= 0.5 * tile_sum(u[_FAR : _FAR + ROWS])
    d_excess_df[0] += total


@njit(**OPTIONS)
def log_likelihood(natural, layout, tiles, d_natural, with_gradient):
    """Sum of weighted log densities of the rows; adds the gradient to ``d_natural``.

    Without the gradient it takes half the time. ``tiles`` is a :class:`~.model.rows.Tiles`.
    """
    p, d = by_name(natural, layout), by_name(d_natural, layout)
    learned = layout.behavior == LEARNED
    c = np.empty(SHARED + 6 * ROWS)
    w = np.empty((layout.n_experts, OWN + 6 * ROWS))
    fill_constant_variances(w, p)
    log_constant = -_HALF_LOG_2PI
    if layout.student_t:
        log_constant = _log_constant(math.log, LEAST_DF + p.excess_df[0])
    total = 0.0
    for tile in range(len(tiles.X)):
        X = by_part(tiles.X[tile], tiles.columns)
        for i in range(ROWS):
            c[_Y + i] = tiles.y[tile, i]
            c[_WEIGHT + i] = tiles.weight[tile, i]
        forward_tile(c, w, p, X, layout)
        total += _densities(c, w, log_constant, p.excess_df)
        if not with_gradient:
            continue
        _upstream(c, w, learned, layout.student_t)
        affine_gradient(X.expert, w, _D, d.expert_intercept, d.expert_coef)
        affine_gradient(X.gate, w, E, d.gate_intercept, d.gate_coef)
        _noise_gradient(w, p, X.noise, layout.rounding_variance, d)
        if learned:
            d_beta = c[_D_BETA : _D_BETA + ROWS]
            gradient_of_one(X.behavior, d_beta, d.behavior_coef)
            d.behavior_intercept[0] += tile_sum(d_beta)
        if layout.student_t:
            _df_gradient(c, w, p.excess_df, d.excess_df)
    return total


def value_and_gradient(
    rows: RowsInMemory | RawRows, natural: np.ndarray, layout: Layout, with_gradient: bool
) -> np.ndarray:
    """Log likelihood of the rows, then its gradient by natural parameters; a sum over rows.

    The function that :meth:`~skcocoafuse.model.rows.Rows.sum` adds up for rows stored in parts.
    """
    out = np.zeros(1 + natural.size)
    for tiles in tiles_of(rows):
        out[0] += log_likelihood(natural, layout, tiles, out[1:], with_gradient)
    return out
