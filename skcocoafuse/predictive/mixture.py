"""Array functions of Normal mixtures: a row per distribution, a column per component.

Everywhere: ``weight``, ``mean`` and ``sd`` have shape (rows, components), weights sum to
one in each row, and points ``x`` or probabilities ``q`` have shape (rows, points).
"""

import math

import numpy as np
from scipy import special

_MAX_STEPS = 200
_TOLERANCE = 1e-11  # of a quantile's probability, relative to the nearer tail
_COARSE = 256  # components of the thinned mixture that gives the first guess
_REACH = 9.0  # standard deviations beyond which a component has no mass that counts
_FIRST_NODES, _MAX_NODES = 64, 2**13  # of the trapezoidal rule
_SPREAD_TOLERANCE = 1e-10  # between one step width and half of it, relative


def _over_points(function, x: np.ndarray) -> np.ndarray:
    return np.stack([function(x[:, j, None]) for j in range(x.shape[1])], axis=1)


def logpdf(weight, mean, sd, x):
    """Log density at ``x``; stays finite far from every component."""
    log_weight = np.log(np.maximum(weight, 1e-300))

    def at(point):
        z = (point - mean) / sd
        terms = log_weight - 0.5 * z * z - np.log(sd)
        return special.logsumexp(terms, axis=1) - 0.5 * math.log(2 * math.pi)

    return _over_points(at, x)


def cdf(weight, mean, sd, x):
    """Probability below ``x``."""
    return _over_points(lambda point: (weight * special.ndtr((point - mean) / sd)).sum(1), x)


def sf(weight, mean, sd, x):
    """Probability above ``x``, accurate where it is small."""
    return _over_points(lambda point: (weight * special.ndtr((mean - point) / sd)).sum(1), x)


def ppf(weight, mean, sd, q):
    """Quantiles: the ``x`` with ``cdf(x) = q``, by safeguarded Newton steps.

    Probabilities above one half are solved through the upper tail, so both tails are
    accurate relative to themselves.
    """
    columns = [_quantile(weight, mean, sd, q[:, j]) for j in range(q.shape[1])]
    return np.stack(columns, axis=1)


def _quantile(weight, mean, sd, q):
    stride = max(1, mean.shape[1] // _COARSE)
    guess = None
    if stride > 1:
        part = weight[:, ::stride]
        total = part.sum(1, keepdims=True)
        if (total > 0).all():
            guess = _solve(part / total, mean[:, ::stride], sd[:, ::stride], q, None, 1e-4)
    return _solve(weight, mean, sd, q, guess, _TOLERANCE)


def _solve(weight, mean, sd, q, guess, tolerance):
    # the quantile of a mixture lies between the least and the greatest of its components'
    upper = q > 0.5
    tail = np.where(upper, 1.0 - q, q)
    own = mean + sd * special.ndtri(q)[:, None]
    used = weight > 0
    low = np.where(used, own, np.inf).min(1)
    high = np.where(used, own, -np.inf).max(1)
    x = 0.5 * (low + high) if guess is None else np.clip(guess, low, high)
    sign = np.where(upper, -1.0, 1.0)
    open_rows = np.arange(len(q))
    for _ in range(_MAX_STEPS):
        r = open_rows
        w, m, s = (weight, mean, sd) if len(r) == len(q) else (weight[r], mean[r], sd[r])
        z = (x[r, None] - m) / s
        excess = (w * special.ndtr(sign[r, None] * z)).sum(1) - tail[r]
        below = sign[r] * excess < 0  # x lies below the quantile
        low[r] = np.where(below, x[r], low[r])
        high[r] = np.where(below, high[r], x[r])
        unsolved = np.abs(excess) > tolerance * tail[r]
        unsolved &= high[r] - low[r] > 4 * np.spacing(np.abs(x[r]))
        if not unsolved.any():
            break
        density = (w * np.exp(-0.5 * z * z) / s).sum(1) / math.sqrt(2 * math.pi)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = x[r] - sign[r] * excess / density
        inside = (step > low[r]) & (step < high[r])  # False for NaN too
        x[r] = np.where(unsolved, np.where(inside, step, 0.5 * (low[r] + high[r])), x[r])
        open_rows = r[unsolved]
    return x


def expected_distance(weight, mean, sd, x):
    """E|X - x|, in closed form."""

    def at(point):
        error = point - mean
        z = error / sd
        normal_density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        return (weight * (error * (2.0 * special.ndtr(z) - 1.0) + 2.0 * sd * normal_density)).sum(1)

    return _over_points(at, x)


def spread(weight, mean, sd) -> np.ndarray:
    """E|X - X'| of two independent values, (rows,): twice the integral of F (1 - F).

    By the trapezoidal rule with ever smaller steps: the integrand is as smooth as its narrowest
    component and vanishes at both ends, so the error falls exponentially once steps are as short as
    that. Rows where components are narrower still are summed over pairs of components.
    """
    out = np.empty(len(mean))
    for row, (w, m, s) in enumerate(zip(weight, mean, sd, strict=True)):
        used = w > 0
        w, m, s = w[used], m[used], s[used]
        out[row] = _integrated_spread(w, m, s)
        if np.isnan(out[row]):
            out[row] = _paired_spread(w, m, s)
    return out


def _integrated_spread(weight, mean, sd) -> float:
    """NaN where the finest steps are not fine enough."""
    low, high = (mean - _REACH * sd).min(), (mean + _REACH * sd).max()
    n, total, width = _FIRST_NODES, 0.0, high - low
    nodes = low + width * np.arange(1, n) / n
    previous = np.nan
    while n <= _MAX_NODES:
        for x in nodes:
            below = weight @ special.ndtr((x - mean) / sd)
            total += below * (1.0 - below)
        value = 2.0 * total * width / n
        if abs(value - previous) <= _SPREAD_TOLERANCE * value:
            return value
        previous = value
        nodes = low + width * (np.arange(n) + 0.5) / n
        n *= 2
    return np.nan


def _paired_spread(weight, mean, sd) -> float:
    """Sum over all pairs: E|N(d, v)| = d (2 Phi(d / sqrt v) - 1) + 2 sqrt v phi(d / sqrt v)."""
    total = 0.0
    for w, m, s in zip(weight, mean, sd, strict=True):
        both = np.sqrt(s * s + sd * sd)
        total += w * expected_distance(weight[None], mean[None], both[None], np.array([[m]]))[0, 0]
    return total


def crps(weight, mean, sd, x):
    """Continuous ranked probability score of observations ``x``: E|X - x| - E|X - X'| / 2.

    References
    ----------
    Gneiting and Raftery (2007), JASA 102(477), eq. 21; Grimit, Gneiting, Berrocal and
    Johnson (2006), QJRMS 132 for mixtures of Normals.
    """
    return expected_distance(weight, mean, sd, x) - 0.5 * spread(weight, mean, sd)[:, None]
