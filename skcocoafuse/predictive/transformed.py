"""Predictive distribution of the original target of a model for a transformed one."""

import copy
import warnings
from collections.abc import Callable

import numpy as np

from skcocoafuse._hints import COVERAGE, PROB, hints
from skcocoafuse._validation import check_probability
from skcocoafuse.model.parameters import STUDENT_T
from skcocoafuse.predictive import level_sets, modality
from skcocoafuse.predictive.bridges import plot, to_skpro
from skcocoafuse.predictive.distribution import PredictiveDistribution
from skcocoafuse.predictive.modality import HighestDensity, Modes, check_depth, check_prob
from skcocoafuse.predictive.quadrature import Moments, Nodes, cut_panels, moments, nodes_on
from skcocoafuse.predictive.row_mixtures import VarianceParts
from skcocoafuse.predictive.target import ROUNDING, Range, TargetMap

_WIDTH = 0.02  # of cells whose components are merged: errors of moments are about 1e-9
_REACH = 39.0  # sds of the inner distribution beyond which densities underflow
# With bounded transformations (Yeo-Johnson with a negative power) every Normal has some mass at
# infinity, so strictly no moment exists. For ordinary rows it is 1e-7 to 5e-5, too little for data
# to show.
_NEGLIGIBLE = 1e-4
_ONE_SD = 0.6827  # probability within one sd of the mean of a Normal
_SEEN = 1e-9  # a probability at an end from which shapes of densities take it into account
_LEFT_OUT = 10.0 ** np.arange(-15, -3)  # probabilities that integrals omit next to such an end


class TransformedDistribution:
    r"""Predictive distribution of a target that was transformed monotonically for the model.

    Quantiles and intervals are mapped, probabilities evaluated on the scale of the model, and
    densities multiplied by the derivative of the transformation. Probability of the inner
    distribution where the transformation has no values (below 0, for a square root) is assigned
    to the bound of its range: that target has a point mass, and if the bound is infinite, so are
    moments.

    Moments and CRPS have closed forms for a linear transformation. For others, they are integrals
    over the inner density by Gaussian quadrature on panels around its components, with relative
    errors of 1e-6 for a moment that exists and 1e-4 for a CRPS. If a finite value of the model is
    an infinite target, moments do not exist; a probability of at most 1e-4 is then ignored.

    Parameters
    ----------
    inner : PredictiveDistribution or TransformedDistribution
        On the transformed scale.
    transformer : object
        A fitted scikit-learn transformer of the target.

    Raises
    ------
    ValueError
        If the transformation is not strictly monotone in the region of the distributions.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.compose import TransformedTargetRegressor
    >>> from skcocoafuse import BoERegressor, predict_dist
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]] * 5, [1.0, 2.8, 7.3, 20.0] * 5
    >>> line = BoERegressor(1, inference="map", random_state=0)
    >>> model = TransformedTargetRegressor(line, func=np.log, inverse_func=np.exp).fit(X, y)
    >>> dist = predict_dist(model, [[2.0]])
    >>> type(dist).__name__, dist.median().round(1)
    ('TransformedDistribution', array([7.4]))
    """

    _inner: PredictiveDistribution
    _map: TargetMap
    _range: Range

    def __init__(self, inner, transformer):
        before: tuple = ()
        if isinstance(inner, TransformedDistribution):
            before, inner = inner._map.transformers, inner._inner
        self._inner = inner
        self._map = TargetMap(transformer, *before)
        self._line = self._map.line()
        if len(inner):
            center, sd = _center_and_sd(inner)
            reach = (center - _REACH * sd).min(), (center + _REACH * sd).max()
            self._range = self._map.range_around(center, *reach)
        else:
            self._range = Range(-np.inf, np.inf, np.nan, np.nan, np.nan, False)

    def __len__(self) -> int:
        return len(self._inner)

    def __getitem__(self, rows) -> "TransformedDistribution":
        """The distributions of some rows, given a slice, a mask, indices, or one index."""
        part = copy.copy(self)  # knows its range already
        part._inner = self._inner[rows]
        return part

    def __repr__(self) -> str:
        return f"TransformedDistribution({self._inner!r}, {self._map!r})"

    # -- the map, ends included ------------------------------------------------------------

    def _to_targets(self, t: np.ndarray) -> np.ndarray:
        """Targets of values on the model's scale; beyond an end, the target there."""
        own = self._range
        y = self._map.backward(np.clip(t, own.low, own.high))
        y = np.where(t <= own.low, own.at_low, y)
        return np.where(t >= own.high, own.at_high, y)

    def _from_targets(self, y: np.ndarray) -> np.ndarray:
        """Values on the model's scale of targets; infinite for targets outside the range."""
        own = self._range
        t = self._map.forward(y)
        lowest, highest = self._ends()[:: -1 if own.is_decreasing else 1]
        low_t, high_t = (np.inf, -np.inf) if own.is_decreasing else (-np.inf, np.inf)
        near = 1e-9 * (np.abs(t) + 1.0)
        elsewhere = ~((t >= own.low - near) & (t <= own.high + near))
        too_low = (y < lowest - self._margin(lowest)) | (elsewhere & (y < own.center))
        too_high = (y >= highest - self._margin(highest)) | (elsewhere & (y >= own.center))
        t = np.where(too_low, low_t, np.where(too_high, high_t, np.clip(t, own.low, own.high)))
        return np.where(np.isnan(y), np.nan, t)

    def _ends(self) -> np.ndarray:
        """Targets at the low and high ends on the model's scale; NaN if there is none."""
        return np.array([self._range.at_low, self._range.at_high])

    def _margin(self, end: float) -> float:
        """Distance from an end up to which a target counts as the end: rounding."""
        return ROUNDING * (abs(self._range.center) + abs(end)) if np.isfinite(end) else 0.0

    def _atoms(self) -> np.ndarray:
        """Probability beyond both ends of the range, (rows, 2), on the model's scale."""
        atoms = np.zeros((len(self), 2))
        if np.isfinite(self._range.low):
            atoms[:, 0] = self._inner.cdf(self._range.low)
        if np.isfinite(self._range.high):
            atoms[:, 1] = self._inner.sf(self._range.high)
        return atoms

    # -- quantiles and probabilities -----------------------------------------------------

    def ppf(self, q) -> np.ndarray:
        """Quantiles; arguments and shapes as in :meth:`PredictiveDistribution.ppf`."""
        q = check_probability(q, "q")
        decreasing = self._range.is_decreasing
        return self._to_targets(self._inner.isf(q) if decreasing else self._inner.ppf(q))

    def isf(self, q) -> np.ndarray:
        """Values exceeded with probability ``q``; as :meth:`PredictiveDistribution.isf`."""
        q = check_probability(q, "q")
        decreasing = self._range.is_decreasing
        return self._to_targets(self._inner.ppf(q) if decreasing else self._inner.isf(q))

    @hints(COVERAGE)
    def interval(self, coverage=0.95) -> np.ndarray:
        """Central intervals; as :meth:`PredictiveDistribution.interval`."""
        ends = self._to_targets(self._inner.interval(coverage))
        return ends[:, ::-1] if self._range.is_decreasing else ends

    def median(self) -> np.ndarray:
        """Median of each row, shape (rows,)."""
        return self._to_targets(self._inner.median())

    def cdf(self, y) -> np.ndarray:
        """Cumulative distribution function at ``y``; shapes as in :meth:`logpdf`."""
        t = self._from_targets(np.asarray(y, dtype=np.float64))
        return self._inner.sf(t) if self._range.is_decreasing else self._inner.cdf(t)

    def sf(self, y) -> np.ndarray:
        """Survival function, 1 - cdf, at ``y``; shapes as in :meth:`logpdf`."""
        t = self._from_targets(np.asarray(y, dtype=np.float64))
        return self._inner.cdf(t) if self._range.is_decreasing else self._inner.sf(t)

    def pit(self, y) -> np.ndarray:
        """Probability integral transform of observations, ``cdf(y)``."""
        return self.cdf(y)

    # -- densities -----------------------------------------------------------------------

    def logpdf(self, y) -> np.ndarray:
        """Log density at ``y``, in units of the original target.

        Parameters
        ----------
        y : float or ndarray of shape (rows,) or (rows, points)

        Returns
        -------
        ndarray of shape (rows,) or (rows, points)
            -inf outside the range of the transformation. At a finite bound of it, which has a
            point mass, the log of that probability.

        Raises
        ------
        TypeError
            If the derivative of the transformer is unknown.
        """
        y = np.asarray(y, dtype=np.float64)
        t = self._from_targets(y)
        slope = self._map.log_slope(np.where(np.isfinite(t), y, np.nan))
        inside = self._inner.logpdf(np.where(np.isfinite(t), t, 0.0)) + slope
        found = np.where(np.isfinite(t), inside, np.where(np.isnan(y), np.nan, -np.inf))
        for end, probability in zip(self._ends(), self._atoms().T, strict=True):
            with np.errstate(divide="ignore"):
                log_probability = np.log(probability[:, None] if y.ndim == 2 else probability)
            found = np.where(np.abs(y - end) <= self._margin(end), log_probability, found)
        return found

    def pdf(self, y) -> np.ndarray:
        """Density at ``y``; as :meth:`logpdf`."""
        return np.exp(self.logpdf(y))

    # -- moments and scores --------------------------------------------------------------

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
        """Mean and standard deviation of each row.

        Infinite if the transformation maps a probability of more than 1e-4 to infinity. If less,
        that part is ignored, along with about ten times as much next to it, since targets grow
        without bound there. With Student's t noise, whose tails decrease like powers, a probability
        of 2e-12 at the ends is ignored, and moments to which it would add more than a thousandth
        are infinite: both, whenever a target grows exponentially.

        Warns
        -----
        RuntimeWarning
            If a moment is infinite; it says where it is lost.
        """
        if self._line is not None:
            mean, sd = self._inner.mean_and_std()
            return self._line[0] + self._line[1] * mean, abs(self._line[1]) * sd
        found = Moments(*np.empty((2, len(self))), *np.zeros((2, len(self), 2), dtype=bool))
        atoms = self._atoms()

        def fill(rows, nodes):
            for whole, part in zip(found, self._moments(nodes, atoms[rows]), strict=True):
                whole[rows] = part

        self._integrate(fill, atoms, np.empty((len(self), 0)))
        sent = self._sent_to_infinity(atoms)
        self._warn_of_infinity(sent, atoms)
        self._warn_of_tails(found)
        # where both ends are infinite and hold something there is no mean
        to = np.array([1.0, -1.0] if self._range.is_decreasing else [-1.0, 1.0]) * np.inf
        with np.errstate(invalid="ignore"):
            infinite = np.where(sent, self._ends(), 0.0).sum(axis=1)
            infinite = infinite + np.where(found.no_mean, to, 0.0).sum(axis=1)
        away = sent.any(axis=1) | found.no_mean.any(axis=1)
        spread = np.where(away | found.no_variance.any(axis=1), np.inf, np.sqrt(found.variance))
        return np.where(away, infinite, found.mean), spread

    @property
    def _has_heavy_tails(self) -> bool:
        return self._inner.noise == STUDENT_T

    def _moments(self, nodes: Nodes, atoms: np.ndarray) -> Moments:
        ends = np.nan_to_num(self._ends(), posinf=0.0, neginf=0.0)
        return moments(nodes, atoms, ends, self._has_heavy_tails)

    def _warn_of_tails(self, found: Moments) -> None:
        without = found.no_variance.any(axis=1).sum()
        if not without:
            return
        mean = found.no_mean.any(axis=1).sum()
        warnings.warn(
            f"The tails of Student's t noise decrease like powers: with {self._map!r}, {without} "
            f"of {len(self)} rows have no finite standard deviation, and {mean} no finite mean. "
            "Use the median and quantiles, or noise='normal'.",
            RuntimeWarning,
            stacklevel=4,
        )

    def _sent_to_infinity(self, atoms: np.ndarray) -> np.ndarray:
        """Whether an end is infinite and has a non-negligible probability, (rows, 2)."""
        return (atoms > _NEGLIGIBLE) & np.isinf(self._ends())

    def _warn_of_infinity(self, sent: np.ndarray, atoms: np.ndarray) -> None:
        if not sent.any():
            return
        bound = self._range.low if sent[:, 0].any() else self._range.high
        warnings.warn(
            f"{self._map!r} has no values beyond {bound:.6g} on the scale of the model, where "
            f"{sent.any(axis=1).sum()} of {len(self)} rows have up to {atoms[sent].max():.2g} of "
            "their probability. It corresponds to an infinite target, so their mean, standard "
            "deviation and CRPS are infinite. Use the median and quantiles, or a transformer "
            "without such a bound.",
            RuntimeWarning,
            stacklevel=4,
        )

    def variance_parts(self) -> VarianceParts:
        """Variance decomposed by source, for a linear transformation.

        Returns
        -------
        VarianceParts
            Three arrays of shape (rows,), in squared units of the target.

        Raises
        ------
        TypeError
            For other transformations, since noise, experts and parameters are not additive.
        """
        if self._line is None:
            raise TypeError(
                f"The variance with {self._map!r} has no parts that add up: noise, experts and "
                "parameters are additive on the scale of the model, and the transformation is not "
                "linear. Call variance_parts() of the inner distribution, on its scale."
            )
        factor = self._line[1] ** 2
        return VarianceParts(*(factor * part for part in self._inner.variance_parts()))

    def crps(self, y) -> np.ndarray:
        """Continuous ranked probability score of observations; smaller is better.

        E|Y - y| - E|Y - Y'| / 2, the latter as E[Y (2 F(Y) - 1)].

        Parameters
        ----------
        y : float or ndarray of shape (rows,) or (rows, points)

        Returns
        -------
        ndarray of shape (rows,) or (rows, points)
            In units of the target. Infinite where moments are.
        """
        y = np.asarray(y, dtype=np.float64)
        if self._line is not None:
            return abs(self._line[1]) * self._inner.crps((y - self._line[0]) / self._line[1])
        columns = np.broadcast_to(y, (len(self),))[:, None] if y.ndim < 2 else y
        atoms, ends = self._atoms(), np.nan_to_num(self._ends(), posinf=0.0, neginf=0.0)
        sign = -1.0 if self._range.is_decreasing else 1.0
        out, finite = np.empty(columns.shape), np.nan_to_num(columns)
        infinite = np.zeros(len(self), dtype=bool)

        def fill(rows, nodes):
            n, own = rows.stop - rows.start, atoms[rows]
            if self._has_heavy_tails:
                infinite[rows] = self._moments(nodes, own).no_mean.any(axis=1)
                nodes = nodes._replace(y=np.where(infinite[rows][nodes.row], 0.0, nodes.y))
            spread = np.bincount(nodes.row, nodes.mass * nodes.y * (2.0 * nodes.below - 1.0), n)
            spread += (own * (1.0 - own)) @ (ends * [-1.0, 1.0])
            for j, at in enumerate(finite[rows].T):
                distance = np.bincount(nodes.row, nodes.mass * np.abs(nodes.y - at[nodes.row]), n)
                distance += (own * np.abs(ends - at[:, None])).sum(axis=1)
                out[rows, j] = distance - sign * spread

        self._integrate(fill, atoms, self._from_targets(columns))
        out[infinite | self._sent_to_infinity(atoms).any(axis=1)] = np.inf
        out[np.isinf(columns)] = np.inf
        out[np.isnan(columns)] = np.nan
        return out if y.ndim == 2 else out[:, 0]

    def _integrate(self, function: Callable, atoms: np.ndarray, cuts: np.ndarray) -> None:
        """Call ``function(rows, nodes)`` for chunks of rows; panels end at ``cuts`` (rows, k)."""
        low, high = self._cut_ends(atoms).T
        knots = self._map.knots

        def chunk(rows, inner):
            mixtures = modality.curves_of(inner, _WIDTH)
            edges = [
                cut_panels(mixtures.panels(k), knots, cuts[row], low[row], high[row])
                for k, row in enumerate(range(rows.start, rows.stop))
            ]
            function(rows, nodes_on(mixtures, edges, self._map.backward))

        self._inner.over_components(chunk)

    def _cut_ends(self, atoms: np.ndarray) -> np.ndarray:
        """Bounds of integration, (rows, 2), excluding what is mapped to infinity."""
        cut = np.tile([self._range.low, self._range.high], (len(self), 1))
        wanted = np.searchsorted(_LEFT_OUT, 10.0 * atoms).clip(max=len(_LEFT_OUT) - 1)
        rows = np.arange(len(self))
        for side, quantiles in ((0, self._inner.ppf), (1, self._inner.isf)):
            if np.isinf(self._ends()[side]) and np.isfinite(
                [self._range.low, self._range.high][side]
            ):
                cut[:, side] = quantiles(_LEFT_OUT)[rows, wanted[:, side]]
        return cut

    # -- shape ---------------------------------------------------------------------------

    def modes(self, min_depth: float = 0.05) -> Modes:
        """Local maxima of each row's density; as :meth:`PredictiveDistribution.modes`.

        Raises
        ------
        TypeError
            If the derivative of the transformer is unknown.
        ValueError
            If ``min_depth`` is not between 0 and 1.
        """
        check_depth(min_depth)
        atoms = self._atoms()
        tables: list[np.ndarray] = [np.empty((0, 3))] * len(self)

        def chunk(rows, inner):
            curves = _Curves(self, modality.curves_of(inner), atoms[rows])
            found = level_sets.modes(curves, len(inner.mean))
            tables[rows] = [table[table[:, 2] >= min_depth] for table in found]

        self._inner.over_components(chunk)
        t, log_density, depth = np.moveaxis(modality.padded(tables, 3), -1, 0)
        location = np.where(np.isnan(t), np.nan, self._to_targets(t))
        return Modes(location, np.exp(log_density), depth, np.isfinite(t).sum(axis=1))

    @hints(PROB)
    def hdi(self, prob: float = 0.95) -> HighestDensity:
        """Highest-density region; as :meth:`PredictiveDistribution.hdi`.

        It includes bounds of the range of the transformation that have a point mass.

        Raises
        ------
        TypeError
            If the derivative of the transformer is unknown.
        ValueError
            If ``prob`` is not strictly between 0 and 1.
        """
        prob = check_prob(prob)
        atoms = self._atoms()
        atoms = np.where(atoms > _SEEN, atoms, 0.0)
        tables: list[np.ndarray] = [np.empty((0, 2))] * len(self)

        def chunk(rows, inner):
            curves = _Curves(self, modality.curves_of(inner), atoms[rows])
            tables[rows] = level_sets.highest_density(curves, len(inner.mean), prob)

        self._inner.over_components(chunk)
        mass = self._mass_between(modality.padded(tables, 2))
        if self._range.is_decreasing:
            tables = [table[::-1, ::-1] for table in tables]
        t = modality.padded(tables, 2)
        return HighestDensity(np.where(np.isnan(t), np.nan, self._to_targets(t)), mass)

    def _mass_between(self, t: np.ndarray) -> np.ndarray:
        """Probability (rows,) inside intervals (rows, k, 2) on the model's scale, ends included."""
        below = self._inner.cdf(np.nan_to_num(t.reshape(len(t), 2 * t.shape[1]))).reshape(t.shape)
        below[..., 0] = np.where(t[..., 0] <= self._range.low, 0.0, below[..., 0])
        below[..., 1] = np.where(t[..., 1] >= self._range.high, 1.0, below[..., 1])
        return np.where(np.isnan(t[..., 0]), 0.0, below[..., 1] - below[..., 0]).sum(axis=1)

    # -- random values and conversion ------------------------------------------------------

    def rvs(self, size: int = 1, random_state=None) -> np.ndarray:
        """Draw random values (rows, size); as :meth:`PredictiveDistribution.rvs`."""
        return self._to_targets(self._inner.rvs(size, random_state))

    def plot(self, y=None, *, prob=0.9, target_name="y", ax=None):
        """Draw the density of each row; as :meth:`PredictiveDistribution.plot`."""
        return plot(self, y, prob=prob, target_name=target_name, ax=ax)

    def to_skpro(self, index=None, columns=None):
        """Convert to an object of skpro; as :meth:`PredictiveDistribution.to_skpro`."""
        return to_skpro(self, index, columns)


def _center_and_sd(inner: PredictiveDistribution) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of each row; of Student's t, half the width of what holds as much of a Normal."""
    if inner.noise != STUDENT_T:
        return inner.mean_and_std()
    return inner.mean(), 0.5 * np.ptp(inner.interval(_ONE_SD), axis=1)


class _Curves:
    """Densities of targets on the scale of the model, as :class:`~.level_sets.Curves`."""

    def __init__(self, own: TransformedDistribution, mixtures, atoms: np.ndarray):
        self._own, self._mixtures, self.atoms = own, mixtures, atoms
        low, high = own._range.low, own._range.high
        inside = (mixtures.x > low) & (mixtures.x < high)
        knots = own._map.knots
        knots = knots[(knots > low) & (knots < high)]
        rows = np.arange(len(atoms))
        # an end of negligible probability does not affect the shape, even with infinite slopes
        at_low, at_high = (rows[part > _SEEN] for part in atoms.T)
        row = [mixtures.row[inside], np.repeat(rows, len(knots)), at_low, at_high]
        x = [
            mixtures.x[inside],
            np.tile(knots, len(rows)),
            np.full(len(at_low), low),
            np.full(len(at_high), high),
        ]
        order = np.lexsort((np.concatenate(x), np.concatenate(row)))
        self.row, self.x = np.concatenate(row)[order], np.concatenate(x)[order]

    def log_density(self, row: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Log density of the rows' targets at the points; -inf at an infinite target."""
        y = self._own._to_targets(x)
        slope = self._own._map.log_slope(np.where(np.isfinite(y), y, np.nan))
        return self._mixtures.log_density(row, x) + np.where(np.isnan(slope), -np.inf, slope)

    def below(self, row: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Probability of the rows below the points."""
        return self._mixtures.below(row, x)
