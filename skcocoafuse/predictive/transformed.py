"""The predictive distribution of a target that the model saw through a transformation."""

import copy

import numpy as np

from skcocoafuse._hints import COVERAGE, hints
from skcocoafuse._validation import check_probability
from skcocoafuse.predictive.bridges import to_skpro
from skcocoafuse.predictive.target import TargetMap

_PROBE = 0.7  # standard deviations around the mean where the transformation must be monotone
_NODES, _PANELS = 16, 24  # Gauss-Legendre nodes per panel, panels
_CRPS_TAIL, _CRPS_NODES = 1e-8, 401
_REACH = 14.0  # standard deviations of the inner distribution that integrals cover


class TransformedDistribution:
    """A :class:`PredictiveDistribution` behind a monotone transformation of the target.

    Quantiles and intervals are mapped, probabilities looked up, densities multiplied by the
    slope of the transformation. Moments are integrals over the inner density, accurate as
    long as they exist and 14 standard deviations hold all of it that counts.

    Parameters
    ----------
    inner : PredictiveDistribution
        On the transformed scale.
    transformer : object
        A fitted scikit-learn transformer of the target.

    Raises
    ------
    ValueError
        If the transformation is not strictly monotone where the distributions lie.
    """

    def __init__(self, inner, transformer):
        self._inner = inner
        self._map = TargetMap(transformer)
        mean, sd = inner.mean_and_std()
        self._falls = self._map.falls(mean - _PROBE * sd, mean + _PROBE * sd)

    def __len__(self) -> int:
        return len(self._inner)

    def __getitem__(self, rows) -> "TransformedDistribution":
        """The distributions of some rows: a slice, a mask, indices, or one index."""
        part = copy.copy(self)  # knows already whether the transformation falls
        part._inner = self._inner[rows]
        return part

    def __repr__(self) -> str:
        return f"TransformedDistribution({self._inner!r}, {self._map.transformer!r})"

    # -- quantiles and probabilities -----------------------------------------------------

    def ppf(self, q) -> np.ndarray:
        """Quantiles; arguments and shapes as in :meth:`PredictiveDistribution.ppf`."""
        q = check_probability(q, "q")
        return self._map.backward(self._inner.isf(q) if self._falls else self._inner.ppf(q))

    def isf(self, q) -> np.ndarray:
        """Values exceeded with probability ``q``; as :meth:`PredictiveDistribution.isf`."""
        q = check_probability(q, "q")
        return self._map.backward(self._inner.ppf(q) if self._falls else self._inner.isf(q))

    @hints(COVERAGE)
    def interval(self, coverage=0.95) -> np.ndarray:
        """Central intervals; as :meth:`PredictiveDistribution.interval`."""
        ends = self._map.backward(self._inner.interval(coverage))
        return ends[:, ::-1] if self._falls else ends

    def median(self) -> np.ndarray:
        """Median of each row, shape (rows,)."""
        return self._map.backward(self._inner.median())

    def cdf(self, y) -> np.ndarray:
        """Probability of a value up to ``y``; shapes as in :meth:`logpdf`."""
        t = self._map.forward(y)
        return self._inner.sf(t) if self._falls else self._inner.cdf(t)

    def sf(self, y) -> np.ndarray:
        """Probability of a value above ``y``; shapes as in :meth:`logpdf`."""
        t = self._map.forward(y)
        return self._inner.cdf(t) if self._falls else self._inner.sf(t)

    def pit(self, y) -> np.ndarray:
        """Probability integral transform of observations, ``cdf(y)``."""
        return self.cdf(y)

    def crps(self, y) -> np.ndarray:
        """Continuous ranked probability score of observations; smaller is better.

        The integral of (F - step at y)^2 between the quantiles 1e-8 and 1 - 1e-8, by the
        trapezoidal rule on 401 points on both sides of ``y`` with Richardson's correction.

        Parameters
        ----------
        y : float or ndarray of shape (rows,) or (rows, points)

        Returns
        -------
        ndarray of shape (rows,) or (rows, points)
            In the target's units.
        """
        y = np.asarray(y, dtype=np.float64)
        columns = np.broadcast_to(y, (len(self),))[:, None] if y.ndim < 2 else y
        ends = self.ppf([_CRPS_TAIL, 1.0 - _CRPS_TAIL])
        scores = [self._crps_of(column, ends) for column in columns.T]
        return np.stack(scores, axis=1) if y.ndim == 2 else scores[0]

    def _crps_of(self, y, ends) -> np.ndarray:
        total = np.zeros(len(self))
        sides = ((np.minimum(ends[:, 0], y), y, 0.0), (y, np.maximum(ends[:, 1], y), 1.0))
        for low, high, step in sides:
            # even on the scale of the model, where the density is smooth
            t = np.linspace(self._map.forward(low), self._map.forward(high), _CRPS_NODES, axis=1)
            points = self._map.backward(t)
            gap = (self.cdf(points) - step) ** 2
            fine = np.trapezoid(gap, points, axis=1)
            coarse = np.trapezoid(gap[:, ::2], points[:, ::2], axis=1)
            total += (4.0 * fine - coarse) / 3.0  # Richardson: the error of order two cancels
        return total

    # -- densities -----------------------------------------------------------------------

    def logpdf(self, y) -> np.ndarray:
        """Log density at ``y``, in the target's own units.

        Parameters
        ----------
        y : float or ndarray of shape (rows,) or (rows, points)

        Returns
        -------
        ndarray of shape (rows,) or (rows, points)

        Raises
        ------
        TypeError
            If the derivative of the transformer is not known.
        """
        slope = self._map.log_slope(np.asarray(y, dtype=np.float64))
        return self._inner.logpdf(self._map.forward(y)) + slope

    def pdf(self, y) -> np.ndarray:
        """Density at ``y``; as :meth:`logpdf`."""
        return np.exp(self.logpdf(y))

    # -- moments and random values -------------------------------------------------------

    def mean(self) -> np.ndarray:
        """Mean of each row, shape (rows,); not the transformed mean of the inner distribution."""
        return self.mean_and_std()[0]

    def var(self) -> np.ndarray:
        """Variance of each row, shape (rows,)."""
        return self.mean_and_std()[1] ** 2

    def std(self) -> np.ndarray:
        """Standard deviation of each row, shape (rows,)."""
        return self.mean_and_std()[1]

    def mean_and_std(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each row, by Gauss-Legendre quadrature."""
        center, sd = self._inner.mean_and_std()
        nodes, weight = np.polynomial.legendre.leggauss(_NODES)
        edges = np.linspace(-_REACH, _REACH, _PANELS + 1)
        half = 0.5 * np.diff(edges)[:, None]
        steps = (edges[:-1, None] + half + half * nodes).ravel()
        t = center[:, None] + sd[:, None] * steps
        mass = self._inner.pdf(t) * sd[:, None] * (half * weight).ravel()
        y = np.where(mass > 0, self._map.backward(t), 0.0)
        mean = (mass * y).sum(axis=1) / mass.sum(axis=1)
        variance = (mass * (y - mean[:, None]) ** 2).sum(axis=1) / mass.sum(axis=1)
        return mean, np.sqrt(variance)

    def rvs(self, size: int = 1, random_state=None) -> np.ndarray:
        """Random values (rows, size); as :meth:`PredictiveDistribution.rvs`."""
        return self._map.backward(self._inner.rvs(size, random_state))

    def to_skpro(self, index=None, columns=None):
        """As a distribution object of skpro; as :meth:`PredictiveDistribution.to_skpro`."""
        return to_skpro(self, index, columns)
