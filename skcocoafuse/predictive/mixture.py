"""Array functions of Normal mixtures: a row per distribution, a column per component.

Everywhere: ``weight``, ``mean`` and ``sd`` have shape (rows, components), weights sum to
one in each row, and points ``x`` or probabilities ``q`` have shape (rows, points). The sums are
compiled, in ``_sums``, which is loaded at the first use: a third of a second.
"""

import numpy as np
from scipy import special

_MAX_STEPS = 200
_TOLERANCE = 1e-10  # of a quantile's probability, relative to the nearer tail
_COARSE = 256  # components of the thinned mixture that gives the first guess
_REACH = 9.0  # standard deviations beyond which a component has no mass that counts
_FIRST_NODES, _MAX_NODES = 64, 2**13  # of the trapezoidal rule
_SPREAD_TOLERANCE = 1e-10  # between one step width and half of it, relative


def _at_points(name, weight, mean, sd, x, *arguments) -> np.ndarray:
    """A compiled sum at all points; NaN where a point is NaN."""
    from skcocoafuse.predictive import _sums

    out = np.empty(x.shape)
    weight, mean, sd, x = (np.ascontiguousarray(a) for a in (weight, mean, sd, x))
    getattr(_sums, name)(weight, mean, sd, x, *arguments, out)
    out[np.isnan(x)] = np.nan
    return out


def logpdf(weight, mean, sd, x):
    """Log density at ``x``; stays finite far from every component."""
    return _at_points("log_density", weight, mean, sd, x)


def cdf(weight, mean, sd, x):
    """Probability below ``x``."""
    return _at_points("probability", weight, mean, sd, x, 1.0)


def sf(weight, mean, sd, x):
    """Probability above ``x``, accurate where it is small."""
    return _at_points("probability", weight, mean, sd, x, -1.0)


def ppf(weight, mean, sd, q):
    """Quantiles: the ``x`` with ``cdf(x) = q``, by safeguarded Newton steps.

    Probabilities above one half are solved through the upper tail, so both tails are
    accurate relative to themselves.
    """
    settings = special.ndtri(q), _COARSE, _TOLERANCE, _MAX_STEPS
    return _at_points("quantiles", weight, mean, sd, q, *settings)


def isf(weight, mean, sd, q):
    """The ``x`` with ``sf(x) = q``: quantiles of the mirrored mixture, mirrored."""
    return -ppf(weight, -mean, sd, q)


def expected_distance(weight, mean, sd, x):
    """E|X - x|, in closed form."""
    return _at_points("distance", weight, mean, sd, x)


def spread(weight, mean, sd) -> np.ndarray:
    """E|X - X'| of two independent values, (rows,): twice the integral of F (1 - F).

    By the trapezoidal rule with ever smaller steps: the integrand is as smooth as its narrowest
    component and vanishes at both ends, so the error falls exponentially once steps are as short as
    that. Rows where components are narrower still are summed over pairs of components.
    """
    from skcocoafuse.predictive import _sums

    out = np.empty(len(mean))
    weight, mean, sd = (np.ascontiguousarray(a) for a in (weight, mean, sd))
    _sums.spread(weight, mean, sd, _REACH, _FIRST_NODES, _MAX_NODES, _SPREAD_TOLERANCE, out)
    for row in np.flatnonzero(np.isnan(out)):
        used = weight[row] > 0
        out[row] = _paired_spread(weight[row, used], mean[row, used], sd[row, used])
    return out


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
