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
