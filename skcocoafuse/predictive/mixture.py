"""Array functions of mixtures: a row per distribution, a column per component.

Points ``x`` or probabilities ``q`` have shape (rows, points). The sums are compiled, in
``compiled.mixture_sums``, which is loaded at the first use: a third of a second.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

from skcocoafuse.predictive.merging import merged, panel_edges
from skcocoafuse.predictive.student_t import t_panels

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


class Mixtures(NamedTuple):
    """Mixtures of Normals, or of Student's t, in the units of the target.

    Parameters
    ----------
    weight, mean, scale : ndarray of shape (rows, experts * draws)
        Draws of the first expert, then those of the next. Weights sum to one in each row. The scale
        of a Normal is its standard deviation.
    table : ndarray of shape (numbers * draws,), optional
        :func:`~skcocoafuse.compiled.tails.t_table` of the draws; None for Normals.
    """

    weight: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    table: np.ndarray | None = None

    def of(self, rows: slice) -> "Mixtures":
        """Those of some rows."""
        return self._replace(weight=self.weight[rows], mean=self.mean[rows], scale=self.scale[rows])

    def by_draw(self, n_experts: int) -> "Mixtures":
        """The same with components of shape (rows, experts, draws)."""
        shape = len(self.mean), n_experts, -1
        return self._replace(
            weight=self.weight.reshape(shape),
            mean=self.mean.reshape(shape),
            scale=self.scale.reshape(shape),
        )


def _at_points(name, own: Mixtures, x, *arguments) -> np.ndarray:
    """A compiled sum at all points; NaN where a point is NaN."""
    from skcocoafuse.compiled import mixture_sums

    out = np.empty(x.shape)
    weight, mean, scale, x = map(np.ascontiguousarray, (own.weight, own.mean, own.scale, x))
    getattr(mixture_sums, name)(weight, mean, scale, own.table, x, *arguments, out)
    out[np.isnan(x)] = np.nan
    return out


def logpdf(mixtures: Mixtures, x):
    """Log density at ``x``; stays finite far from every component."""
    return _at_points("log_density", mixtures, x)


def log_density_of_draws(by_draw: Mixtures, y):
    """Log density at ``y`` (rows,) given each draw, (rows, draws).

    From ``Mixtures.by_draw``, but weights sum to one over the experts of a draw.
    """
    from skcocoafuse.compiled import mixture_sums

    out = np.empty((by_draw.mean.shape[0], by_draw.mean.shape[2]))
    mixture_sums.log_density_of_draws(*by_draw, np.ascontiguousarray(y), out)
    return out


def cdf(mixtures: Mixtures, x):
    """Probability below ``x``."""
    return _with_limits(_at_points("probability", mixtures, x, 1.0), x)


def sf(mixtures: Mixtures, x):
    """Probability above ``x``, accurate where it is small."""
    return _with_limits(_at_points("probability", mixtures, x, -1.0), -x)


def _with_limits(probability, x):
    """Exactly 0 and 1 at infinite points, where the loops do not reach them."""
    probability[x == -np.inf] = 0.0
    probability[x == np.inf] = 1.0
    return probability


def ppf(mixtures: Mixtures, q):
    """Quantiles: the ``x`` with ``cdf(x) = q``, by safeguarded Newton steps.

    Probabilities above one half are solved through the upper tail, so both tails are
    accurate relative to themselves.
    """
    if mixtures.table is None:
        farthest = special.ndtri(q)
    else:
        from skcocoafuse.compiled import tails

        farthest = special.stdtrit(tails.least_df(mixtures.table), q)
    settings = farthest, _COARSE, _TOLERANCE, _MAX_STEPS
    return _at_points("quantiles", mixtures, q, *settings)


def isf(mixtures: Mixtures, q):
    """The ``x`` with ``sf(x) = q``: quantiles of the mirrored mixture, mirrored."""
    return -ppf(mixtures._replace(mean=-mixtures.mean), q)


def expected_distance(mixtures: Mixtures, x):
    """E|X - x|, in closed form."""
    return _at_points("distance", mixtures, x)


def spread(mixtures: Mixtures) -> np.ndarray:
    """E|X - X'| of two independent values, (rows,): twice the integral of F (1 - F).

    Near copies among the components are merged first, in wider cells the more there are, with a
    relative error of about 1e-8. Few components are summed over pairs, in closed form. Many are
    integrated by Gaussian quadrature on panels around every component, halved where needed, with
    tails in closed form. Student's t are always integrated, and never merged.
    """
    from skcocoafuse.compiled import mixture_sums

    out = np.empty(len(mixtures.mean))
    for row, components in enumerate(zip(*mixtures[:3], strict=True)):
        if mixtures.table is not None:
            ends = ppf(mixtures.of(slice(row, row + 1)), _OUTERMOST)[0]
            knots = t_panels(*components, *ends)
            out[row] = mixture_sums.spread_of_t(*components, mixtures.table, knots, *_GAUSS)
            continue
        w, m, s = _few(*components)
        if len(w) <= _PAIRS:
            out[row] = 2.0 * mixture_sums.over_pairs(w, m, s)
        else:
            low, high = ppf(Mixtures(w[None], m[None], s[None]), _OUTERMOST)[0]
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


def crps(mixtures: Mixtures, x):
    """Continuous ranked probability score of observations ``x``: E|X - x| - E|X - X'| / 2.

    References
    ----------
    Gneiting and Raftery (2007), JASA 102(477), eq. 21; Grimit, Gneiting, Berrocal and
    Johnson (2006), QJRMS 132 for mixtures of Normals.
    """
    return expected_distance(mixtures, x) - 0.5 * spread(mixtures)[:, None]
