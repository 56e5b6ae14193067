"""Compiled sums over the components of Normal mixtures, one distribution at a time.

Everything here is a loop over components that compilers turn into vector instructions; loops
over points and rows are outside. Arrays: ``weight``, ``mean`` and ``sd`` (rows, components), ``x``
and ``out`` (rows, points). ``fused_mixture`` computes the components.
"""

import math

import numpy as np
from scipy import special

from skcocoafuse.compiled import vector_math
from skcocoafuse.compiled.affine import OPTIONS
from skcocoafuse.compiled.jit import njit

_exp = vector_math.exp
_log = vector_math.log

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
ROOT_2PI = math.sqrt(2.0 * math.pi)
FAR = 39.0  # standard deviations beyond which the tail is below the smallest float

# P(Z > z) = exp(-z^2 / 2) p(t) / (1 + z), with p nearly constant in t = (z - 5) / (z + 5) for
# z >= 0; accurate to 1e-14 of itself (the form is that of Shepherd and Laframboise, 1981,
# Mathematics of Computation 36; the coefficients are computed here).
_MIDDLE, _DEGREE = 5.0, 22


def _scaled_tail(t):
    z = _MIDDLE * (1.0 + t) / (1.0 - t)
    return 0.5 * special.erfcx(z / math.sqrt(2.0)) * (1.0 + z)


_P = tuple(
    np.polynomial.chebyshev.cheb2poly(
        np.polynomial.chebyshev.chebinterpolate(_scaled_tail, _DEGREE)
    ).tolist()
)


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


@njit(**OPTIONS)
def _below_and_slope(weight, mean, inverse_sd, x, sign):
    """Probability below ``x`` (above it for sign -1), and the density there."""
    below, slope = 0.0, 0.0
    for i in range(mean.size):
        z = sign * (x - mean[i]) * inverse_sd[i]
        bell, tail = kernel_and_tail(z)
        below += weight[i] * (tail if z < 0.0 else 1.0 - tail)
        slope += weight[i] * inverse_sd[i] * bell
    return below, slope / ROOT_2PI


@njit(**OPTIONS)
def probability(weight, mean, sd, x, sign, out):
    """Probability below every point, above it for sign -1."""
    for row in range(mean.shape[0]):
        inverse_sd = 1.0 / sd[row]
        for j in range(x.shape[1]):
            out[row, j] = _below_and_slope(weight[row], mean[row], inverse_sd, x[row, j], sign)[0]


@njit(**OPTIONS)
def log_density(weight, mean, sd, x, out):
    """Log density at every point, finite even if all components are far away."""
    n = mean.shape[1]
    height, term = np.empty(n), np.empty(n)
    for row in range(mean.shape[0]):
        inverse_sd = 1.0 / sd[row]
        for i in range(n):
            height[i] = _log(max(weight[row, i], 1e-300)) + _log(inverse_sd[i])
        for j in range(x.shape[1]):
            greatest = -np.inf
            for i in range(n):
                z = (x[row, j] - mean[row, i]) * inverse_sd[i]
                term[i] = height[i] - 0.5 * z * z
                greatest = max(greatest, term[i])
            if greatest == -np.inf:  # so far that squares overflow
                out[row, j] = greatest
                continue
            total = 0.0
            for i in range(n):
                total += _exp(term[i] - greatest)
            out[row, j] = greatest + math.log(total) - _HALF_LOG_2PI


@njit(**OPTIONS)
def log_density_of_draws(weight, mean, sd, y, out):
    """Log density at y (rows,) by each draw alone, (rows, draws); arrays (rows, experts, draws).

    ``weight`` sums to one over the experts of a draw. Finite even if all experts are far away.
    """
    n_rows, n_experts, n_draws = mean.shape
    greatest, total = np.empty(n_draws), np.empty(n_draws)
    term = np.empty((n_experts, n_draws))
    for row in range(n_rows):
        greatest[:] = -np.inf
        total[:] = 0.0
        for k in range(n_experts):
            for i in range(n_draws):
                z = (y[row] - mean[row, k, i]) / sd[row, k, i]
                term[k, i] = _log(max(weight[row, k, i], 1e-300)) - 0.5 * z * z
                greatest[i] = max(greatest[i], term[k, i])
        for k in range(n_experts):
            for i in range(n_draws):
                total[i] += _exp(term[k, i] - greatest[i]) / sd[row, k, i]
        for i in range(n_draws):
            out[row, i] = greatest[i] + _log(total[i]) - _HALF_LOG_2PI


@njit(**OPTIONS)
def distance(weight, mean, sd, x, out):
    """E|X - x| at every point, in closed form."""
    for row in range(mean.shape[0]):
        inverse_sd = 1.0 / sd[row]
        for j in range(x.shape[1]):
            out[row, j] = _distance(weight[row], mean[row], sd[row], inverse_sd, x[row, j])


@njit(**OPTIONS)
def _distance(weight, mean, sd, inverse_sd, x):
    total = 0.0
    for i in range(mean.size):
        error = x - mean[i]
        bell, tail = kernel_and_tail(error * inverse_sd[i])
        total += weight[i] * (abs(error) * (1.0 - 2.0 * tail) + 2.0 / ROOT_2PI * sd[i] * bell)
    return total


# -- quantiles -----------------------------------------------------------------------------


@njit(**OPTIONS)
def _reach(weight, mean, sd):
    """Smallest and largest mean, and largest sd, of the components with positive weight."""
    least, greatest, widest = np.inf, -np.inf, 0.0
    for i in range(mean.size):
        if weight[i] > 0.0:
            least = min(least, mean[i])
            greatest = max(greatest, mean[i])
            widest = max(widest, sd[i])
    return least, greatest, widest


@njit(**OPTIONS)
def quantiles(weight, mean, sd, q, normal_quantile, coarse, tolerance, max_steps, out):
    """The x with P(X <= x) = q; ``normal_quantile`` are those of a standard Normal.

    A mixture of every ``mean.shape[1] // coarse``-th component gives the first guess.
    """
    stride = max(1, mean.shape[1] // coarse)
    for row in range(mean.shape[0]):
        w, m, inverse_sd = weight[row], mean[row], 1.0 / sd[row]
        least, greatest, widest = _reach(w, m, sd[row])
        part, part_mean = w[::stride].copy(), m[::stride].copy()
        part_inverse_sd = inverse_sd[::stride].copy()
        total = part.sum()
        for j in range(q.shape[1]):
            upper = q[row, j] > 0.5
            sign, tail = (-1.0, 1.0 - q[row, j]) if upper else (1.0, q[row, j])
            # the quantile is between the smallest and largest of the components' quantiles
            low = least + widest * min(normal_quantile[row, j], 0.0)
            high = greatest + widest * max(normal_quantile[row, j], 0.0)
            x = 0.5 * (low + high)
            if stride > 1 and total > 0.0:
                x = _solve(
                    part, part_mean, part_inverse_sd,
                    sign, tail * total, x, low, high, 1e-4, max_steps,
                )  # fmt: skip
            out[row, j] = _solve(w, m, inverse_sd, sign, tail, x, low, high, tolerance, max_steps)


@njit(**OPTIONS)
def _solve(weight, mean, inverse_sd, sign, tail, x, low, high, tolerance, max_steps):
    """Newton steps on the logarithm of the probability, kept between narrowing bounds.

    Once errors are small they converge quadratically, and two in a row predict the next, c error^2
    with the last c, so the last step need not be checked.
    """
    previous = np.inf
    for _ in range(max_steps):
        below, slope = _below_and_slope(weight, mean, inverse_sd, x, sign)
        error = abs(below - tail) / tail
        if error <= tolerance:
            break
        if sign * (below - tail) < 0.0:
            low = x
        else:
            high = x
        if high - low <= 4.0 * np.spacing(abs(x)):
            break
        step = np.nan  # if the denominator is zero
        if below > 0.0 and slope > 0.0:
            step = x - sign * below / slope * math.log(below / tail)
        inside = low < step < high
        x = step if inside else 0.5 * (low + high)
        ratio = error / previous
        if inside and previous < 0.05 and ratio < 0.1 and 10.0 * ratio**2 * error <= tolerance:
            break
        previous = error if inside else np.inf
    return x


# -- spread --------------------------------------------------------------------------------


@njit(**OPTIONS)
def _panel(weight, mean, inverse_sd, low, high, nodes, node_weight):
    """Integral of F (1 - F) between two points, by Gauss's rule."""
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    total = 0.0
    for j in range(nodes.size):
        below = _below_and_slope(weight, mean, inverse_sd, middle + half * nodes[j], 1.0)[0]
        total += node_weight[j] * below * (1.0 - below)
    return half * total


@njit(**OPTIONS)
def _beyond(weight, mean, sd, inverse_sd, x, sign):
    """E max(x - X, 0), or E max(X - x, 0) for sign -1: the integral of a tail's probability."""
    total = 0.0
    for i in range(mean.size):
        z = sign * (x - mean[i]) * inverse_sd[i]
        bell, tail = kernel_and_tail(z)
        below = tail if z < 0.0 else 1.0 - tail
        total += weight[i] * sd[i] * (z * below + bell / ROOT_2PI)
    return total


@njit(**OPTIONS)
def over_pairs(weight, mean, sd):
    """E|X - X'| / 2 as a sum over pairs of components."""
    total = 0.0
    for i in range(mean.size):
        variance = sd[i] * sd[i]
        own = 0.0
        for j in range(i):
            between = math.sqrt(variance + sd[j] * sd[j])
            z = abs(mean[i] - mean[j]) / between
            bell, tail = kernel_and_tail(z)
            own += weight[j] * between * (z * (1.0 - 2.0 * tail) + 2.0 / ROOT_2PI * bell)
        total += weight[i] * own + weight[i] ** 2 * sd[i] / math.sqrt(math.pi)
    return total


@njit(**OPTIONS)
def _between_knots(weight, mean, inverse_sd, knot, nodes, node_weight, tolerance, tails):
    """Integral of F (1 - F) between the outermost knots; NaN if pairs would be faster.

    Panels are halved until halves agree with the whole.
    """
    waiting = [(0.0, 0.0, 0.0) for _ in range(0)]
    total, scale = 0.0, tails
    for k in range(knot.size - 1):
        whole = _panel(weight, mean, inverse_sd, knot[k], knot[k + 1], nodes, node_weight)
        waiting.append((knot[k], knot[k + 1], whole))
        scale += whole
    left_to_do = knot.size + mean.size // (4 * nodes.size)
    while len(waiting) > 0:
        if left_to_do == 0:
            return np.nan
        left_to_do -= 1
        low, high, whole = waiting.pop()
        middle = 0.5 * (low + high)
        left = _panel(weight, mean, inverse_sd, low, middle, nodes, node_weight)
        right = _panel(weight, mean, inverse_sd, middle, high, nodes, node_weight)
        if abs(left + right - whole) <= tolerance * scale:
            total += left + right
        else:
            waiting.append((low, middle, left))
            waiting.append((middle, high, right))
    return total


@njit(**OPTIONS)
def spread(weight, mean, sd, knots, nodes, node_weight, tolerance):
    """E|X - X'| of one mixture: twice the integral of F (1 - F).

    ``knots`` are the edges of panels. Beyond the outermost, where F or 1 - F is effectively one,
    the integral is known.
    """
    inverse_sd = 1.0 / sd
    tails = _beyond(weight, mean, sd, inverse_sd, knots[0], 1.0)
    tails += _beyond(weight, mean, sd, inverse_sd, knots[-1], -1.0)
    inner = _between_knots(weight, mean, inverse_sd, knots, nodes, node_weight, tolerance, tails)
    return 2.0 * (over_pairs(weight, mean, sd) if math.isnan(inner) else tails + inner)
