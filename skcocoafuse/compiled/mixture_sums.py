"""Compiled sums over the components of mixtures, one distribution at a time.

Everything here is a loop over components that compilers turn into vector instructions; loops
over points and rows are outside. Arrays: ``weight``, ``mean`` and ``scale`` (rows, components),
``x`` and ``out`` (rows, points). ``table`` is None for Normals, whose scale is the standard
deviation. For Student's t it is a :func:`~.tails.t_table` of the draws, and components are those of
all draws for one expert, then those for the next. ``fused_mixture`` computes the components.
"""

import math

import numpy as np

from skcocoafuse.compiled import vector_math
from skcocoafuse.compiled.affine import OPTIONS
from skcocoafuse.compiled.jit import njit
from skcocoafuse.compiled.tails import (
    DF,
    LOG_PEAK,
    N_ROWS,
    PEAK,
    kernel_and_tail,
    log_u,
    t_density_and_tail,
)

_exp = vector_math.exp
_log = vector_math.log

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
ROOT_2PI = math.sqrt(2.0 * math.pi)


@njit(**OPTIONS)
def _below_and_slope(weight, mean, inverse_scale, table, x, sign):
    """Probability below ``x`` (above it for sign -1), and the density there."""
    below, slope = 0.0, 0.0
    if table is None:
        for i in range(mean.size):
            z = sign * (x - mean[i]) * inverse_scale[i]
            bell, tail = kernel_and_tail(z)
            below += weight[i] * (tail if z < 0.0 else 1.0 - tail)
            slope += weight[i] * inverse_scale[i] * bell
        return below, slope / ROOT_2PI
    n_draws = table.size // N_ROWS
    for first in range(0, mean.size, n_draws):
        w, m = weight[first : first + n_draws], mean[first : first + n_draws]
        s = inverse_scale[first : first + n_draws]
        for i in range(n_draws):
            z = sign * (x - m[i]) * s[i]
            density, tail = t_density_and_tail(z, table, n_draws, i)
            below += w[i] * (tail if z < 0.0 else 1.0 - tail)
            slope += w[i] * s[i] * density
    return below, slope


@njit(**OPTIONS)
def probability(weight, mean, scale, table, x, sign, out):
    """Probability below every point, above it for sign -1."""
    for row in range(mean.shape[0]):
        w, m, inverse_scale = weight[row], mean[row], 1.0 / scale[row]
        for j in range(x.shape[1]):
            out[row, j] = _below_and_slope(w, m, inverse_scale, table, x[row, j], sign)[0]


@njit(**OPTIONS)
def _log_peaks(weight, scale, table, height):
    """Log of the height of every component at its own mean, for Normals up to a constant."""
    for i in range(height.size):
        height[i] = _log(max(weight[i], 1e-300)) - _log(scale[i])
    if table is not None:
        n_draws = table.size // N_ROWS
        for first in range(0, height.size, n_draws):
            for i in range(n_draws):
                height[first + i] += table[LOG_PEAK * n_draws + i]


@njit(**OPTIONS)
def _log_terms(height, mean, inverse_scale, table, x, term):
    """Log density of every component at ``x``, as :func:`_log_peaks`; the largest."""
    greatest = -np.inf
    if table is None:
        for i in range(mean.size):
            z = (x - mean[i]) * inverse_scale[i]
            term[i] = height[i] - 0.5 * z * z
            greatest = max(greatest, term[i])
        return greatest
    n_draws = table.size // N_ROWS
    for first in range(0, mean.size, n_draws):
        own, m = term[first : first + n_draws], mean[first : first + n_draws]
        s, top = inverse_scale[first : first + n_draws], height[first : first + n_draws]
        df = table[DF * n_draws : (DF + 1) * n_draws]
        for i in range(n_draws):
            far = log_u((x - m[i]) * s[i], df[i])
            own[i] = top[i] - 0.5 * (df[i] + 1.0) * far
        for i in range(n_draws):
            greatest = max(greatest, own[i])
    return greatest


@njit(**OPTIONS)
def log_density(weight, mean, scale, table, x, out):
    """Log density at every point, finite even if all components are far away."""
    n = mean.shape[1]
    height, term = np.empty(n), np.empty(n)
    constant = -_HALF_LOG_2PI if table is None else 0.0
    for row in range(mean.shape[0]):
        inverse_scale = 1.0 / scale[row]
        _log_peaks(weight[row], scale[row], table, height)
        for j in range(x.shape[1]):
            greatest = _log_terms(height, mean[row], inverse_scale, table, x[row, j], term)
            if greatest == -np.inf:  # so far that squares overflow
                out[row, j] = greatest
                continue
            total = 0.0
            for i in range(n):
                total += _exp(term[i] - greatest)
            out[row, j] = greatest + math.log(total) + constant


@njit(**OPTIONS)
def log_density_of_draws(weight, mean, scale, table, y, out):
    """Log density at y (rows,) by each draw alone, (rows, draws); arrays (rows, experts, draws).

    ``weight`` sums to one over the experts of a draw. Finite even if all experts are far away.
    """
    constant = -_HALF_LOG_2PI if table is None else 0.0
    n_rows, n_experts, n_draws = mean.shape
    greatest, total, height = np.empty(n_draws), np.empty(n_draws), np.empty(n_draws)
    term = np.empty((n_experts, n_draws))
    for row in range(n_rows):
        greatest[:] = -np.inf
        total[:] = 0.0
        for k in range(n_experts):
            _log_peaks(weight[row, k], scale[row, k], table, height)
            _log_terms(height, mean[row, k], 1.0 / scale[row, k], table, y[row], term[k])
            for i in range(n_draws):
                greatest[i] = max(greatest[i], term[k, i])
        for k in range(n_experts):
            for i in range(n_draws):
                total[i] += _exp(term[k, i] - greatest[i])
        for i in range(n_draws):
            out[row, i] = greatest[i] + _log(total[i]) + constant


@njit(**OPTIONS)
def _mean_distance(weight, mean, x):
    """E(x - X)."""
    total = 0.0
    for i in range(mean.size):
        total += weight[i] * (x - mean[i])
    return total


@njit(**OPTIONS)
def distance(weight, mean, scale, table, x, out):
    """E|X - x| at every point, in closed form."""
    for row in range(mean.shape[0]):
        inverse_scale = 1.0 / scale[row]
        for j in range(x.shape[1]):
            at = x[row, j]
            below = _beyond(weight[row], mean[row], scale[row], inverse_scale, table, at, 1.0)
            out[row, j] = 2.0 * below - _mean_distance(weight[row], mean[row], at)


@njit(**OPTIONS)
def below_at(weight, mean, inverse_scale, table, row, x, out):
    """Probability of mixture ``row[j]`` below ``x[j]``."""
    for j in range(x.size):
        k = row[j]
        out[j] = _below_and_slope(weight[k], mean[k], inverse_scale[k], table, x[j], 1.0)[0]


@njit(**OPTIONS)
def log_density_at(weight, mean, inverse_scale, table, row, x, out):
    """Log density of mixture ``row[j]`` of Student's t at ``x[j]``."""
    n_draws = table.size // N_ROWS
    for j in range(x.size):
        total = 0.0
        for first in range(0, mean.shape[1], n_draws):
            part = slice(first, first + n_draws)
            w, m, s = weight[row[j], part], mean[row[j], part], inverse_scale[row[j], part]
            for i in range(n_draws):
                power = 0.5 * (table[DF * n_draws + i] + 1.0)
                kernel = _exp(-power * log_u((x[j] - m[i]) * s[i], table[DF * n_draws + i]))
                total += w[i] * s[i] * table[PEAK * n_draws + i] * kernel
        out[j] = math.log(max(total, 1e-307))


# -- quantiles -----------------------------------------------------------------------------


@njit(**OPTIONS)
def _reach(weight, mean, scale):
    """Smallest and largest mean, and largest scale, of the components with positive weight."""
    least, greatest, widest = np.inf, -np.inf, 0.0
    for i in range(mean.size):
        if weight[i] > 0.0:
            least = min(least, mean[i])
            greatest = max(greatest, mean[i])
            widest = max(widest, scale[i])
    return least, greatest, widest


@njit(**OPTIONS)
def _every(stride, values, n_draws):
    """Every ``stride``-th draw of each expert."""
    return values.reshape(-1, n_draws)[:, ::stride].copy().reshape(-1)


@njit(**OPTIONS)
def quantiles(weight, mean, scale, table, q, standard, coarse, tolerance, max_steps, out):
    """The x with P(X <= x) = q; ``standard`` are quantiles of the standard component, the farthest.

    A mixture of about ``coarse`` of the components gives the first guess.
    """
    stride = max(1, mean.shape[1] // coarse)
    n_draws = mean.shape[1] if table is None else table.size // N_ROWS
    part_table = None if table is None else _every(stride, table, n_draws)
    for row in range(mean.shape[0]):
        w, m, inverse_scale = weight[row], mean[row], 1.0 / scale[row]
        least, greatest, widest = _reach(w, m, scale[row])
        part, part_mean = _every(stride, w, n_draws), _every(stride, m, n_draws)
        part_inverse_scale = _every(stride, inverse_scale, n_draws)
        total = part.sum()
        for j in range(q.shape[1]):
            upper = q[row, j] > 0.5
            sign, tail = (-1.0, 1.0 - q[row, j]) if upper else (1.0, q[row, j])
            # the quantile is between the smallest and largest of the components' quantiles
            low = least + widest * min(standard[row, j], 0.0)
            high = greatest + widest * max(standard[row, j], 0.0)
            x = 0.5 * (low + high)
            if stride > 1 and total > 0.0:
                x = _solve(
                    part, part_mean, part_inverse_scale, part_table,
                    sign, tail * total, x, low, high, 1e-4, max_steps,
                )  # fmt: skip
            out[row, j] = _solve(
                w, m, inverse_scale, table, sign, tail, x, low, high, tolerance, max_steps
            )


@njit(**OPTIONS)
def _solve(weight, mean, inverse_scale, table, sign, tail, x, low, high, tolerance, max_steps):
    """Newton steps on the logarithm of the probability, kept between narrowing bounds.

    Once errors are small they converge quadratically, and two in a row predict the next, c error^2
    with the last c, so the last step need not be checked.
    """
    previous = np.inf
    for _ in range(max_steps):
        below, slope = _below_and_slope(weight, mean, inverse_scale, table, x, sign)
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
def _panel(weight, mean, inverse_scale, table, low, high, nodes, node_weight):
    """Integral of F (1 - F) between two points, by Gauss's rule."""
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    total = 0.0
    for j in range(nodes.size):
        x = middle + half * nodes[j]
        below = _below_and_slope(weight, mean, inverse_scale, table, x, 1.0)[0]
        total += node_weight[j] * below * (1.0 - below)
    return half * total


@njit(**OPTIONS)
def _beyond(weight, mean, scale, inverse_scale, table, x, sign):
    """E max(x - X, 0), or E max(X - x, 0) for sign -1: the integral of a tail's probability."""
    total = 0.0
    if table is None:
        for i in range(mean.size):
            z = sign * (x - mean[i]) * inverse_scale[i]
            bell, tail = kernel_and_tail(z)
            below = tail if z < 0.0 else 1.0 - tail
            total += weight[i] * scale[i] * (z * below + bell / ROOT_2PI)
        return total
    n_draws = table.size // N_ROWS
    for first in range(0, mean.size, n_draws):
        w, m = weight[first : first + n_draws], mean[first : first + n_draws]
        s, r = scale[first : first + n_draws], inverse_scale[first : first + n_draws]
        for i in range(n_draws):
            z = sign * (x - m[i]) * r[i]
            density, tail = t_density_and_tail(z, table, n_draws, i)
            below = tail if z < 0.0 else 1.0 - tail
            df = table[DF * n_draws + i]
            total += w[i] * s[i] * (z * below + density * (df + z * z) / (df - 1.0))
    return total


@njit(**OPTIONS)
def over_pairs(weight, mean, sd):
    """E|X - X'| / 2 of a mixture of Normals as a sum over pairs of components."""
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
    """Integral of F (1 - F) of Normals between the outermost knots; NaN if pairs would be faster.

    Panels are halved until halves agree with the whole.
    """
    waiting = [(0.0, 0.0, 0.0) for _ in range(0)]
    total, scale = 0.0, tails
    for k in range(knot.size - 1):
        whole = _panel(weight, mean, inverse_sd, None, knot[k], knot[k + 1], nodes, node_weight)
        waiting.append((knot[k], knot[k + 1], whole))
        scale += whole
    left_to_do = knot.size + mean.size // (4 * nodes.size)
    while len(waiting) > 0:
        if left_to_do == 0:
            return np.nan
        left_to_do -= 1
        low, high, whole = waiting.pop()
        middle = 0.5 * (low + high)
        left = _panel(weight, mean, inverse_sd, None, low, middle, nodes, node_weight)
        right = _panel(weight, mean, inverse_sd, None, middle, high, nodes, node_weight)
        if abs(left + right - whole) <= tolerance * scale:
            total += left + right
        else:
            waiting.append((low, middle, left))
            waiting.append((middle, high, right))
    return total


@njit(**OPTIONS)
def spread(weight, mean, sd, knots, nodes, node_weight, tolerance):
    """E|X - X'| of one mixture of Normals: twice the integral of F (1 - F).

    ``knots`` are the edges of panels. Beyond the outermost, where F or 1 - F is effectively one,
    the integral is known.
    """
    inverse_sd = 1.0 / sd
    tails = _beyond(weight, mean, sd, inverse_sd, None, knots[0], 1.0)
    tails += _beyond(weight, mean, sd, inverse_sd, None, knots[-1], -1.0)
    inner = _between_knots(weight, mean, inverse_sd, knots, nodes, node_weight, tolerance, tails)
    return 2.0 * (over_pairs(weight, mean, sd) if math.isnan(inner) else tails + inner)


@njit(**OPTIONS)
def spread_of_t(weight, mean, scale, table, knots, nodes, node_weight):
    """The same of one mixture of Student's t, on panels narrow enough to need no halving."""
    inverse_scale = 1.0 / scale
    total = _beyond(weight, mean, scale, inverse_scale, table, knots[0], 1.0)
    total += _beyond(weight, mean, scale, inverse_scale, table, knots[-1], -1.0)
    for k in range(knots.size - 1):
        low, high = knots[k], knots[k + 1]
        total += _panel(weight, mean, inverse_scale, table, low, high, nodes, node_weight)
    return 2.0 * total
