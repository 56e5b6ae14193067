"""Compiled: a mixture of thousands of Normals as one of a few hundred, and its search points.

Posterior draws of one expert differ by a fraction of its standard deviation, so most components
of a row's mixture have near copies. Components in one cell, whose width in mean and log sd is a
small fraction of their sd, become two Normals. These have the cell's weight and the moments of its
means and variances: both means, both variances, the covariance, and the skewness of the variance.
The error of a probability is then of the order of the fourth power of the width.
"""

import math

import numpy as np

from skcocoafuse.compiled import vector_math
from skcocoafuse.compiled.affine import OPTIONS
from skcocoafuse.compiled.jit import njit
from skcocoafuse.compiled.mixture_sums import ROOT_2PI
from skcocoafuse.compiled.tails import DF, FAR, kernel_and_tail, log_u

_exp = vector_math.exp
_log = vector_math.log

_HASH_RANGE = 2.0**40  # cell indices are folded into it before they become integers
_SUMS = 9  # numbers stored per cell
_ALIKE = 1e-14  # relative variance of a cell's variances that is due to rounding


@njit(**OPTIONS)
def merge(weight, mean, sd, width, merged):
    """Fill ``merged`` (3, components) with weights, means and sds; return how many there are.

    Returns -1 if they do not fit. Components of weight 0 are skipped. Cells use open addressing.
    """
    size = 64
    while size < 2 * mean.size:
        size *= 2
    slot = np.full(size, -1)
    cells = np.empty((mean.size, _SUMS))
    level, place = np.empty(mean.size), np.empty(mean.size)  # the cells' keys
    n, centre = 0, mean[0]
    for i in range(mean.size):
        if not weight[i] > 0.0:
            continue
        own_level = np.floor(_log(max(sd[i], 1e-300)) / width)
        own_place = np.floor((mean[i] - centre) / (width * _exp(min(own_level * width, 700.0))))
        folded = np.int64(np.fmod(own_place, _HASH_RANGE)) * 2654435761
        at = (folded + np.int64(own_level) * 40503) & (size - 1)
        k = slot[at]
        while k >= 0 and not (level[k] == own_level and place[k] == own_place):
            at = (at + 1) & (size - 1)
            k = slot[at]
        if k < 0:
            slot[at] = k = n
            n += 1
            level[k], place[k] = own_level, own_place
            cells[k] = 0.0
            cells[k, 0], cells[k, 1] = mean[i], sd[i] * sd[i]
        _add(cells[k], weight[i], mean[i], sd[i] * sd[i])
    filled = 0
    for k in range(n):
        if filled + 2 > merged.shape[1]:
            return -1
        filled = _two_normals(cells[k], merged, filled)
    return filled


@njit(**OPTIONS)
def _add(cell, weight, mean, variance):
    """Add a component to a cell's sums.

    First mean and first variance, which are subtracted from the others, so that no digits are lost;
    then the sums of weight, a, b, a^2, a b, b^2, b^3 for differences a of means, b of variances.
    """
    a, b = mean - cell[0], variance - cell[1]
    cell[2] += weight
    cell[3] += weight * a
    cell[4] += weight * b
    cell[5] += weight * a * a
    cell[6] += weight * a * b
    cell[7] += weight * b * b
    cell[8] += weight * b * b * b


@njit(**OPTIONS)
def _two_normals(cell, merged, n):
    """Write the Normals of a cell to columns ``n`` and following; the number of the next column."""
    weight = cell[2]
    a, b = cell[3] / weight, cell[4] / weight
    mean, variance = cell[0] + a, cell[1] + b
    aa, ab = max(cell[5] / weight - a * a, 0.0), cell[6] / weight - a * b
    bb, raw = cell[7] / weight - b * b, cell[8] / weight
    merged[0, n], merged[1, n] = weight, mean
    if not bb > _ALIKE * variance * variance:
        merged[2, n] = math.sqrt(variance + aa)
        return n + 1
    # a distribution of two points with mean 0 and the second and third moment of b
    skew = (raw - 3.0 * b * bb - b * b * b) / bb
    root = math.sqrt(skew * skew + 4.0 * bb)
    upper, lower = 0.5 * (skew + root), 0.5 * (skew - root)
    rest = variance + max(aa - ab * ab / bb, 0.0)
    for k, other, own in ((0, lower, upper), (1, upper, lower)):
        merged[0, n + k] = weight * abs(other) / root
        merged[1, n + k] = mean + ab / bb * own
        merged[2, n + k] = math.sqrt(rest + own)
    return n + 2


@njit(**OPTIONS)
def _step_from(x, mean, sd, step, reach):
    """The next point to evaluate for one component that still has an effect at ``x``.

    ``step`` sds further while ``x`` is within its reach, then in steps that grow with the distance
    from its mean, until its tail is gone at three times the reach.
    """
    at = max(x, mean - 3.0 * reach * sd)
    return at + step * max(sd, abs(at - mean) / reach)


@njit(**OPTIONS)
def nodes(weight, mean, sd, least_weight, step, reach, out):
    """Points between which the density of a mixture is nearly monotone, ascending; their number.

    Means ascend. Points begin and end with the reach of components, in sds. Components of less than
    ``least_weight`` are ignored. As many points as fit into ``out`` are written; the number may be
    larger.
    """
    margin = 3.0 * reach * sd.max()
    n, first, x = 0, 0, np.inf
    for i in range(mean.size):
        if weight[i] >= least_weight:
            x = min(x, mean[i] - reach * sd[i])
    while x < np.inf:
        if n < out.size:
            out[n] = x
        n += 1
        while first < mean.size and mean[first] + margin <= x:
            first += 1
        following = np.inf
        for i in range(first, mean.size):
            if mean[i] - margin >= following:
                break
            if weight[i] >= least_weight and mean[i] + 3.0 * reach * sd[i] > x:
                following = min(following, _step_from(x, mean[i], sd[i], step, reach))
        x = max(following, np.nextafter(x, np.inf))
    return n


@njit(**OPTIONS)
def _first_above(mean, begin, end, value):
    """The first of the ascending means from ``begin`` to ``end`` that is above a value."""
    while begin < end:
        middle = (begin + end) // 2
        if mean[middle] > value:
            end = middle
        else:
            begin = middle + 1
    return begin


@njit(**OPTIONS)
def log_density_at(weight, mean, sd, start, widest, row, x, out):
    """Log density of mixture ``row[j]`` at ``x[j]``.

    Mixtures are stored one after another from ``start``, with ascending means and largest sds
    ``widest``. Below about -700 the value only indicates that.
    """
    for j in range(x.size):
        own, margin = row[j], FAR * widest[row[j]]
        first = _first_above(mean, start[own], start[own + 1], x[j] - margin)
        last = _first_above(mean, first, start[own + 1], x[j] + margin)
        total = 0.0
        for i in range(first, last):
            z = min(abs((x[j] - mean[i]) / sd[i]), FAR)
            total += weight[i] / sd[i] * _exp(-0.5 * z * z)
        out[j] = math.log(max(total / ROOT_2PI, 1e-307))


@njit(**OPTIONS)
def below_at(weight, mean, sd, start, widest, before, row, x, out):
    """Probability of mixture ``row[j]`` below ``x[j]``, as :func:`log_density_at`.

    ``before`` is the weight of all components before each.
    """
    for j in range(x.size):
        own, margin = row[j], FAR * widest[row[j]]
        first = _first_above(mean, start[own], start[own + 1], x[j] - margin)
        last = _first_above(mean, first, start[own + 1], x[j] + margin)
        total = before[first] - before[start[own]]
        for i in range(first, last):
            z = (x[j] - mean[i]) / sd[i]
            tail = kernel_and_tail(z)[1]
            total += weight[i] * (tail if z < 0.0 else 1.0 - tail)
        out[j] = total


# -- single draws ---------------------------------------------------------------------------


@njit(**OPTIONS)
def _rises(weight, mean, scale, df, x):
    """Whether the density of one draw's mixture rises at ``x``; Normals if ``df`` is None."""
    slope = 0.0
    for k in range(mean.size):
        z = (x - mean[k]) / scale[k]
        if df is None:
            bell = _exp(-0.5 * z * z)
        else:
            bell = _exp(-0.5 * (df + 3.0) * log_u(z, df))
        slope -= weight[k] / (scale[k] * scale[k]) * z * bell
    return slope > 0.0


@njit(**OPTIONS)
def _following(mean, scale, x, step, reach):
    """The next point to evaluate after ``x``; inf beyond all components."""
    following = np.inf
    for k in range(mean.size):
        if mean[k] + 3.0 * reach * scale[k] > x:
            following = min(following, _step_from(x, mean[k], scale[k], step, reach))
    return max(following, np.nextafter(x, np.inf))


@njit(**OPTIONS)
def _has_several_modes(weight, mean, scale, df, step, reach):
    """Whether the density falls and then rises again between the smallest and largest mean.

    Never if these are means of Normals within two of the smallest sds: such a mixture has one mode.
    """
    least, greatest = mean.min(), mean.max()
    if df is None and greatest - least <= 2.0 * scale.min():
        return False
    fell = False
    x = _following(mean, scale, least, step, reach)
    while x < greatest:
        if not _rises(weight, mean, scale, df, x):
            fell = True
        elif fell:
            return True
        x = _following(mean, scale, x, step, reach)
    return False  # at the largest mean it falls


@njit(**OPTIONS)
def multimodal_share(weight, mean, scale, table, step, reach, out):
    """Weight of the draws whose mixture has several modes; arrays (rows, experts, draws)."""
    n_rows, n_experts, n_draws = mean.shape
    own_weight, own_mean, own_scale = np.empty(n_experts), np.empty(n_experts), np.empty(n_experts)
    for row in range(n_rows):
        out[row] = 0.0
        for s in range(n_draws):
            part = 0.0
            for k in range(n_experts):
                own_weight[k] = weight[row, k, s]
                own_mean[k] = mean[row, k, s]
                own_scale[k] = scale[row, k, s]
                part += own_weight[k]
            df = None if table is None else table[DF * n_draws + s]
            own = own_weight, own_mean, own_scale
            if part > 0.0 and _has_several_modes(*own, df, step, reach):
                out[row] += part
