r"""Tail probabilities of standard Normal and Student's t variables, as vector instructions.

With :math:`\nu` degrees of freedom (infinite for a Normal), :math:`u = 1 + z^2 / \nu` and
:math:`y = z / \sqrt u`, for z >= 0,

.. math:: P(Z > z) = u^{-\nu / 2} \frac{p(t)}{1 + y}, \qquad
    t = \frac{a y - b}{a y + b}, \quad a^2 = 1/\nu + 1/c^2, \quad b = 1 - y / \sqrt\nu,

where p is nearly constant. For a Normal the kernel is :math:`e^{-z^2/2}` and t is
(z - c) / (z + c): the form of Shepherd and Laframboise (1981), Mathematics of Computation 36. The
coefficients of p are computed here, and accurate to 1e-12 of the probability for every nu >= 1.
"""

import math

import numpy as np
from numpy.polynomial import chebyshev
from scipy import special

from skcocoafuse.compiled import vector_math
from skcocoafuse.compiled.affine import OPTIONS
from skcocoafuse.compiled.jit import njit
from skcocoafuse.model import forward

_exp = vector_math.exp

FAR = 39.0  # standard deviations beyond which the tail of a Normal is below the smallest float
_FARTHEST = 1e140  # its square does not overflow
_MIDDLE, _DEGREE = 5.0, 22  # c, and the degree of p: 16 gives 3e-12 of the tail, 22 1e-15


def _scaled_tail(t):
    z = _MIDDLE * (1.0 + t) / (1.0 - t)
    return 0.5 * special.erfcx(z / math.sqrt(2.0)) * (1.0 + z)


_P = tuple(chebyshev.cheb2poly(chebyshev.chebinterpolate(_scaled_tail, _DEGREE)).tolist())


@njit(**OPTIONS)
def kernel_and_tail(z):
    """exp(-z^2 / 2), and P(Z > |z|) of a standard Normal Z."""
    a = min(abs(z), FAR)
    bell = _exp(-0.5 * a * a)
    t = (a - _MIDDLE) / (a + _MIDDLE)
    s = t * t
    even = _P[22] * s + _P[20]
    even = (even * s + _P[18]) * s + _P[16]
    even = (even * s + _P[14]) * s + _P[12]
    even = (even * s + _P[10]) * s + _P[8]
    even = (even * s + _P[6]) * s + _P[4]
    even = (even * s + _P[2]) * s + _P[0]
    odd = _P[21] * s + _P[19]
    odd = (odd * s + _P[17]) * s + _P[15]
    odd = (odd * s + _P[13]) * s + _P[11]
    odd = (odd * s + _P[9]) * s + _P[7]
    odd = (odd * s + _P[5]) * s + _P[3]
    odd = odd * s + _P[1]
    p = even + t * odd
    return bell, bell * p / (1.0 + a)


# -- Student's t ----------------------------------------------------------------------------

#: Rows of :func:`t_table`, before the coefficients of p, and their number.
DF, ROOT, SLOPE, PEAK, LOG_PEAK, FIRST = range(6)
N_ROWS = FIRST + _DEGREE + 1

_POINTS = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
_VALUES = chebyshev.chebvander(_POINTS, _DEGREE)
_SLOPES = chebyshev.chebval(_POINTS, chebyshev.chebder(np.eye(_DEGREE + 1))).T
_TO_POWERS = np.zeros((_DEGREE + 1, _DEGREE + 1))
for _k in range(_DEGREE + 1):
    _TO_POWERS[: _k + 1, _k] = chebyshev.cheb2poly(np.eye(_DEGREE + 1)[_k, : _k + 1])


def t_table(df: np.ndarray) -> np.ndarray:
    r"""What tails of Student's t depend on, row by row, with a column for each draw.

    Rows: ``DF``, nu; ``ROOT``, 1 / sqrt(nu); ``SLOPE``, a; ``PEAK``, the density at 0;
    ``LOG_PEAK``; from ``FIRST`` on the coefficients of p. That the derivative of P(Z > z) is minus
    the density is a linear differential equation for q = p / (1 + y),

    .. math:: (1 - y^2 / \nu)\, q'(y) - y\, q(y) = -f(0),

    with a single solution that is bounded where t = 1. It is solved for p by collocation.

    Parameters
    ----------
    df : ndarray of shape (n,)
        At least 1.

    Returns
    -------
    ndarray of shape (N_ROWS * n,)
        Row by row: machine code is three times as fast as with a matrix.
    """
    root = 1.0 / np.sqrt(df)
    slope = np.sqrt(1.0 / df + 1.0 / _MIDDLE**2)
    log_peak = forward.log_constant(np.log, df)
    peak = np.exp(log_peak)
    ratio = (1.0 + _POINTS) / (1.0 - _POINTS)  # a y / b
    away = slope[:, None] + ratio * root[:, None]
    y = ratio / away
    left = slope[:, None] / away * (1.0 + y * root[:, None])  # 1 - y^2 / nu
    dt_dy = 2.0 * away**2 / (slope[:, None] * (1.0 + ratio) ** 2)
    of_slope = left * dt_dy / (1.0 + y)
    of_value = left / (1.0 + y) ** 2 + y / (1.0 + y)
    matrix = of_slope[..., None] * _SLOPES - of_value[..., None] * _VALUES
    right = np.broadcast_to(-peak[:, None, None], (*y.shape, 1))
    powers = np.linalg.solve(matrix, right)[..., 0] @ _TO_POWERS.T
    return np.vstack([df, root, slope, peak, log_peak, powers.T]).ravel()


def least_df(table: np.ndarray) -> float:
    """The fewest degrees of freedom in a table."""
    return float(table.reshape(N_ROWS, -1)[DF].min())


@njit(**OPTIONS)
def log_u(z, df):
    """Log of u."""
    a = min(abs(z), _FARTHEST)
    return vector_math.log1p(a * a / df)


@njit(**OPTIONS)
def t_density_and_tail(z, table, n, i):
    """Density at z, and P(Z > |z|), of Student's t with the degrees of freedom of draw i of n."""
    a = min(abs(z), _FARTHEST)
    kernel = _exp(-0.5 * table[DF * n + i] * log_u(a, table[DF * n + i]))
    wide = a * table[ROOT * n + i]
    root_u = math.sqrt(1.0 + wide * wide)
    y = a / root_u
    rest = 1.0 / (root_u * (root_u + wide))  # b, without cancellation
    t = (y * table[SLOPE * n + i] - rest) / (y * table[SLOPE * n + i] + rest)
    s = t * t
    even, odd = table[27 * n + i] * s + table[25 * n + i], table[26 * n + i] * s + table[24 * n + i]
    even = (even * s + table[23 * n + i]) * s + table[21 * n + i]
    odd = (odd * s + table[22 * n + i]) * s + table[20 * n + i]
    even = (even * s + table[19 * n + i]) * s + table[17 * n + i]
    odd = (odd * s + table[18 * n + i]) * s + table[16 * n + i]
    even = (even * s + table[15 * n + i]) * s + table[13 * n + i]
    odd = (odd * s + table[14 * n + i]) * s + table[12 * n + i]
    even = (even * s + table[11 * n + i]) * s + table[9 * n + i]
    odd = (odd * s + table[10 * n + i]) * s + table[8 * n + i]
    even = even * s + table[7 * n + i]
    odd = odd * s + table[6 * n + i]
    p = even * s + table[FIRST * n + i] + t * odd
    return table[PEAK * n + i] * kernel / root_u, kernel * p / (1.0 + y)
