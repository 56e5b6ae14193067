"""Array functions of Normal mixtures: a row per distribution, a column per component.

Throughout, ``weight``, ``mean`` and ``sd`` have shape (rows, components), weights sum to one in
each row, and points ``x`` or probabilities ``q`` have shape (rows, points). The sums are compiled,
in ``compiled.mixture_sums``, which is loaded at the first use: a third of a second.
"""

import numpy as np
from scipy import special

from skcocoafuse.predictive.merging import merged, panel_edges

_MAX_STEPS = 200  # more halvings of a bracket than a number has bits, from far out too
_TOLERANCE = 1e-10  # of a quantile's probability, relative to the nearer tail
_COARSE = 256  # components of the thinned mixture that gives the first guess
_OUTERMOST = np.array([[1e-8, 1.0 - 1e-8]])  # probabilities at the ends of the panels
_PAIRS = 1500  # components up to which pairs are faster than panels
# Of cells whose components are merged, tried until few are left. Of 12000 components of a rough
# approximation, all of them different, the widest leave 1400, with an error of 2e-8.
_WIDTHS = (0.05, 0.1, 0.2, 0.3)
_GAUSS = np.polynomial.legendre.leggauss(10)
_SPREAD_TOLERANCE = 1e-10  # between a panel and its halves, relative to all


def _at_points(name, weight, mean, sd, x, *arguments) -> np.ndarray:
    """A compiled sum at all points; NaN where a point is NaN."""
    from skcocoafuse.compiled import mixture_sums

    out = np.empty(x.shape)
    weight, mean, sd, x = (np.ascontiguousarray(a) for a in (weight, mean, sd, x))
    getattr(mixture_sums, name)(weight, mean, sd, x, *arguments, out)
    out[np.isnan(x)] = np.nan
    return out


def logpdf(weight, mean, sd, x):
    """Log density at ``x``; stays finite far from every component."""
    return _at_points("log_density", weight, mean, sd, x)


def log_density_of_draws(weight, mean, sd, y):
    """Log density at ``y`` (rows,) given each draw, (rows, draws).

    Components are (rows, experts, draws), and weights sum to one over the experts of a draw.
    """
    from skcocoafuse.compiled import mixture_sums

    out = np.empty((mean.shape[0], mean.shape[2]))
    mixture_sums.log_density_of_draws(weight, mean, sd, np.ascontiguousarray(y), out)
    return out


def cdf(weight, mean, sd, x):
    """Probability below ``x``."""
    return _with_limits(_at_points("probability", weight, mean, sd, x, 1.0), x)


def sf(weight, mean, sd, x):
    """Probability above ``x``, accurate where it is small."""
    return _with_limits(_at_points("probability", weight, mean, sd, x, -1.0), -x)


def _with_limits(probability, x):
    """Exactly 0 and 1 at infinite points, where the loops do not reach them."""
    probability[x == -np.inf] = 0.0
    probability[x == np.inf] = 1.0
    return probability


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

    Near copies among the components are merged first, in wider cells the more there are, with a
    relative error of about 1e-8. Few components are summed over pairs, in closed form. Many are
    integrated by Gaussian quadrature on panels around every component, halved where needed, with
    tails in closed form.
    """
    from skcocoafuse.compiled import mixture_sums

    out = np.empty(len(mean))
    for row, components in enumerate(zip(weight, mean, sd, strict=True)):
        w, m, s = _few(*components)
        if len(w) <= _PAIRS:
            out[row] = 2.0 * mixture_sums.over_pairs(w, m, s)
        else:
            low, high = ppf(w[None], m[None], s[None], _OUTERMOST)[0]
            knots = panel_edges(w, m, s, low, high)
            out[row] = mixture_sums.spread(w, m, s, knots, *_GAUSS, _SPREAD_TOLERANCE)
    return out


def _few(weight, mean, sd) -> list[np.ndarray]:
    """One mixture's components, merged in the narrowest cells that leave few of them."""
    for width in _WIDTHS:
        components = merged(weight, mean, sd, width)
        if len(components[0]) <= _PAIRS:
            break
    return [np.ascontiguousarray(each) for each in components]


def crps(weight, mean, sd, x):
    """Continuous ranked probability score of observations ``x``: E|X - x| - E|X - X'| / 2.

    References
    ----------
    Gneiting and Raftery (2007), JASA 102(477), eq. 21; Grimit, Gneiting, Berrocal and
    Johnson (2006), QJRMS 132 for mixtures of Normals.
    """
    return expected_distance(weight, mean, sd, x) - 0.5 * spread(weight, mean, sd)[:, None]
