"""The predictive distribution: an exact mixture over posterior draws and experts."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from skcocoafuse._validation import check_probability, seed_from
from skcocoafuse.model import forward
from skcocoafuse.model.problem import row_blocks
from skcocoafuse.model.spec import ModelSpec, Parameters
from skcocoafuse.posterior.draws import mixture_of
from skcocoafuse.predictive import mixture, modality
from skcocoafuse.predictive.bridges import to_skpro

_BLOCK_BYTES = 8 * 2**20  # working memory of one block of rows: small enough for caches
_ARRAYS = 6  # arrays of (draws, rows, experts) alive at once inside a block


class VarianceParts(NamedTuple):
    """Where the variance of each row comes from; the three add up to it. Arrays (rows,).

    ``noise``: around the fused experts. ``between_experts``: of the fused experts' means, in a
    draw. ``parameters``: of the predictive mean, from draw to draw.
    """

    noise: np.ndarray
    between_experts: np.ndarray
    parameters: np.ndarray

    def total(self) -> np.ndarray:
        """The variance itself."""
        return self.noise + self.between_experts + self.parameters


class Modes(NamedTuple):
    """Local maxima of each row's density, highest first.

    Arrays (rows, most modes), NaN after a row's last: ``location``, ``density``, and
    ``depth`` in (0, 1], the part of its height that one must climb down from a mode to reach
    a higher one, 1 for the highest. ``n_modes`` (rows,) counts them.
    """

    location: np.ndarray
    density: np.ndarray
    depth: np.ndarray
    n_modes: np.ndarray


class HighestDensity(NamedTuple):
    """Each row's region of highest density.

    ``intervals`` (rows, most intervals, 2), in ascending order and NaN after a row's last, and
    the probability they hold, ``mass`` (rows,).
    """

    intervals: np.ndarray
    mass: np.ndarray


class PredictiveDistribution:
    r"""Distribution of the target at each row: one Normal mixture per row.

    The density is the average over posterior draws of
    :math:`\sum_i a_i N(y; m_i, v_i)`, nothing is sampled or fitted again. Words are
    scipy's; every method works on all rows at once, in blocks of bounded memory.

    Objects come from ``predict_dist``; they are immutable and can be sliced by row
    (``dist[:10]``, ``dist[mask]``).

    Parameters
    ----------
    spec : ModelSpec
    parameters : Parameters
        Arrays with one leading draw axis, on the standardised scale.
    designs : dict of str to ndarray
        Standardised design matrices of the rows.
    loc, scale : float
        Target = loc + scale * standardised target.
    draw_weight : ndarray of shape (draws,), optional
        Part of each draw, summing to one; equal by default.

    Examples
    --------
    >>> from skcocoafuse import MoERegressor
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(100, random_state=0)
    >>> dist = MoERegressor(inference="map", random_state=0).fit(X, y).predict_dist(X[:3])
    >>> dist.interval(0.9).shape
    (3, 2)
    """

    def __init__(
        self,
        spec: ModelSpec,
        parameters: Parameters,
        designs: dict[str, np.ndarray],
        loc: float = 0.0,
        scale: float = 1.0,
        draw_weight: np.ndarray | None = None,
    ):
        self._spec = spec
        self._parameters = parameters
        self._designs = designs
        self._loc = float(loc)
        self._scale = float(scale)
        n_draws = len(parameters.sigma)
        self._draw_weight = np.full(n_draws, 1.0 / n_draws) if draw_weight is None else draw_weight

    def __len__(self) -> int:
        return len(self._designs["expert"])

    def __getitem__(self, rows) -> "PredictiveDistribution":
        """The distributions of some rows: a slice, a mask, indices, or one index."""
        if isinstance(rows, int | np.integer):
            rows = [rows]
        designs = {part: X[rows] for part, X in self._designs.items()}
        return PredictiveDistribution(
            self._spec, self._parameters, designs, self._loc, self._scale, self._draw_weight
        )

    def __repr__(self) -> str:
        return (
            f"PredictiveDistribution({len(self)} rows, {self.n_draws} draws, "
            f"{self._spec.n_experts} experts)"
        )

    @property
    def n_draws(self) -> int:
        """Number of posterior draws that are averaged."""
        return len(self._parameters.sigma)

    # -- the mixture, block by block ---------------------------------------------------

    def _blocks(self) -> Iterator[tuple[slice, forward.Components]]:
        """Row slices with their mixtures, arrays (draws, rows, experts), original units."""
        per_row = 8 * _ARRAYS * self.n_draws * self._spec.n_experts
        for rows, designs in row_blocks(self._designs, _BLOCK_BYTES // per_row):
            standard = mixture_of(self._spec, self._parameters, designs)
            yield (
                rows,
                forward.Components(
                    standard.log_weight,
                    self._loc + self._scale * standard.mean,
                    self._scale**2 * standard.variance,
                ),
            )

    def _flat_blocks(self):
        """Row slices with weight, mean and sd as (rows, draws * experts)."""
        for rows, block in self._blocks():
            shape = block.mean.shape
            weight = np.exp(block.log_weight) * self._draw_weight[:, None, None]
            sd = np.sqrt(np.broadcast_to(block.variance, shape))
            yield (
                rows,
                *(np.moveaxis(a, 1, 0).reshape(shape[1], -1) for a in (weight, block.mean, sd)),
            )

    def _per_point(self, function, x) -> np.ndarray:
        """Evaluate a mixture function at points broadcast against the rows."""
        x = np.asarray(x, dtype=np.float64)
        if x.ndim > 2 or (x.ndim > 0 and x.shape[0] not in (1, len(self))):
            raise ValueError(
                f"Points must be a number, one per row ({len(self)},) or a row each "
                f"({len(self)}, k); got shape {x.shape}."
            )
        columns = x if x.ndim == 2 else x.reshape(-1, 1)
        points = np.broadcast_to(columns, (len(self), columns.shape[1]))
        out = np.empty(points.shape)
        for rows, weight, mean, sd in self._flat_blocks():
            out[rows] = function(weight, mean, sd, points[rows])
        return out if x.ndim == 2 else out[:, 0]

    # -- moments -----------------------------------------------------------------------

    def _moments(self) -> tuple[np.ndarray, VarianceParts]:
        mean, noise, between, parameters = (np.empty(len(self)) for _ in range(4))
        part = self._draw_weight[:, None]  # summed row by row: a matrix product is not, to the bit
        for rows, block in self._blocks():
            m, own_noise, own_between = forward.mean_and_variance_parts(block)
            mean[rows] = (part * m).sum(axis=0)
            noise[rows] = (part * own_noise).sum(axis=0)
            between[rows] = (part * own_between).sum(axis=0)
            parameters[rows] = (part * (m - mean[rows]) ** 2).sum(axis=0)
        return mean, VarianceParts(noise, between, parameters)

    def mean_and_std(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each row, in one pass over the draws."""
        mean, parts = self._moments()
        return mean, np.sqrt(parts.total())

    def mean(self) -> np.ndarray:
        """Mean of each row, shape (rows,), in the target's units."""
        return self._moments()[0]

    def var(self) -> np.ndarray:
        """Variance of each row, shape (rows,): noise, experts and parameters together."""
        return self._moments()[1].total()

    def variance_parts(self) -> VarianceParts:
        """The variance split by its source: noise, differences between experts, parameters.

        Returns
        -------
        VarianceParts
            Three arrays of shape (rows,), in squared units of the target; their sum is ``var()``.
        """
        return self._moments()[1]

    def std(self) -> np.ndarray:
        """Standard deviation of each row, shape (rows,)."""
        return self.mean_and_std()[1]

    def median(self) -> np.ndarray:
        """Median of each row, shape (rows,)."""
        return self.ppf(0.5)

    # -- densities and probabilities ---------------------------------------------------

    def logpdf(self, y) -> np.ndarray:
        """Log density at ``y``.

        Parameters
        ----------
        y : float or ndarray of shape (rows,) or (rows, points)

        Returns
        -------
        ndarray of shape (rows,) or (rows, points)
        """
        return self._per_point(mixture.logpdf, y)

    def pdf(self, y) -> np.ndarray:
        """Density at ``y``; shapes as in :meth:`logpdf`."""
        return np.exp(self.logpdf(y))

    def cdf(self, y) -> np.ndarray:
        """Probability of a value up to ``y``; shapes as in :meth:`logpdf`."""
        return self._per_point(mixture.cdf, y)

    def sf(self, y) -> np.ndarray:
        """Probability of a value above ``y``; shapes as in :meth:`logpdf`."""
        return self._per_point(mixture.sf, y)

    def ppf(self, q) -> np.ndarray:
        """Quantiles.

        Parameters
        ----------
        q : float or list of float
            Probabilities strictly between 0 and 1.

        Returns
        -------
        ndarray of shape (rows,), or (rows, len(q)) for a list

        Raises
        ------
        ValueError
            If a probability is not between 0 and 1.
        """
        q = check_probability(q, "q")
        out = self._per_point(mixture.ppf, np.tile(np.atleast_1d(q), (len(self), 1)))
        return out if q.ndim else out[:, 0]

    def interval(self, coverage=0.95) -> np.ndarray:
        """Central intervals, with equal probability left out on both sides.

        Parameters
        ----------
        coverage : float or list of float, default=0.95

        Returns
        -------
        ndarray of shape (rows, 2), or (rows, 2, len(coverage)) for a list
            Lower and upper ends, in the target's units.

        Raises
        ------
        ValueError
            If a coverage is not between 0 and 1.
        """
        coverage = check_probability(coverage, "coverage")
        tails = 0.5 * (1.0 - np.atleast_1d(coverage))
        ends = self.ppf(np.concatenate([tails, 1.0 - tails]))
        ends = ends.reshape(len(self), 2, -1)
        return ends if coverage.ndim else ends[..., 0]

    # -- scores of observations ----------------------------------------------------------

    def pit(self, y) -> np.ndarray:
        """Probability integral transform of observations, ``cdf(y)``."""
        return self.cdf(y)

    def crps(self, y) -> np.ndarray:
        """Continuous ranked probability score of observations; smaller is better.

        Parameters
        ----------
        y : float or ndarray of shape (rows,) or (rows, points)

        Returns
        -------
        ndarray of shape (rows,) or (rows, points)
            In the target's units.

        References
        ----------
        Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and
        estimation", JASA 102(477), eq. 21.
        """
        return self._per_point(mixture.crps, y)

    # -- shape ---------------------------------------------------------------------------

    def modes(self, min_depth: float = 0.05) -> Modes:
        """Local maxima of each row's density, averaged over posterior draws.

        Parameters
        ----------
        min_depth : float, default=0.05
            Modes less deep are left out: ripples.

        Returns
        -------
        Modes
            Seen on 400 points between the quantiles 1e-5 and 1 - 1e-5, then refined; of two
            modes closer than two of these points one may be missed.
        """
        tables = [
            table
            for _, weight, mean, sd in self._flat_blocks()
            for table in modality.modes(weight, mean, sd, min_depth)
        ]
        location, density, depth = np.moveaxis(_padded(tables), -1, 0)
        return Modes(location, density, depth, np.isfinite(location).sum(axis=1))

    def hdi(self, prob: float = 0.95) -> HighestDensity:
        """The smallest region that holds a probability: one interval, or several.

        Parameters
        ----------
        prob : float, default=0.95

        Returns
        -------
        HighestDensity
            Intervals, and the probability they hold exactly, which is ``prob`` up to the
            interpolation of the density between 400 points (1e-4 or better).

        Raises
        ------
        ValueError
            If ``prob`` is not strictly between 0 and 1.
        """
        prob = float(check_probability(prob, "prob"))
        regions = [
            region
            for _, weight, mean, sd in self._flat_blocks()
            for region in modality.highest_density(weight, mean, sd, prob)
        ]
        intervals = _padded(regions)
        ends = intervals.reshape(len(self), -1)
        below = self.cdf(np.where(np.isnan(ends), 0.0, ends))
        below = np.where(np.isnan(ends), 0.0, below).reshape(intervals.shape)
        return HighestDensity(intervals, (below[..., 1] - below[..., 0]).sum(axis=1))

    def prob_multimodal(self) -> np.ndarray:
        """Posterior probability that a row's density has several modes, shape (rows,).

        Of one posterior draw at a time, so it is about the model, not about the uncertainty
        of its parameters: :meth:`modes` looks at the average. Draws whose fused means are within
        two of their smallest standard deviations certainly have one mode, which is the case
        wherever beta is at most 2 vbar / (d + sqrt(d^2 + D^2 vbar)), with D the range of the
        experts' means and d = vbar - min s^2; modes of the others are counted.
        """
        out = np.empty(len(self))
        for rows, block in self._blocks():
            out[rows] = (self._draw_weight[:, None] * modality.is_multimodal(block)).sum(axis=0)
        return out

    def responsibilities(self, y) -> np.ndarray:
        """Posterior mean probability that each expert produced ``y``, (rows, n_experts)."""
        y = np.asarray(y, dtype=np.float64)
        out = np.empty((len(self), self._spec.n_experts))
        for rows, block in self._blocks():
            terms = forward.component_log_density(forward.NUMPY, block, y[rows])
            responsibility = np.exp(forward.NUMPY.log_softmax(terms))
            out[rows] = np.tensordot(self._draw_weight, responsibility, axes=1)
        return out

    # -- sampling ----------------------------------------------------------------------

    def rvs(self, size: int = 1, random_state=None) -> np.ndarray:
        """Random values.

        A column uses the same posterior draw in all rows, so it is one possible data set
        (as ``sample_y`` of a Gaussian process); noise is independent between rows.

        Parameters
        ----------
        size : int, default=1
        random_state : int, numpy.random.RandomState or None

        Returns
        -------
        ndarray of shape (rows, size)
        """
        rng = np.random.default_rng(seed_from(random_state))
        out = np.empty((len(self), size))
        draws = rng.choice(self.n_draws, size=size, p=self._draw_weight)
        for column, draw in enumerate(draws):
            one = self._parameters.map(lambda a, s=draw: a[s])
            block = mixture_of(self._spec, one, self._designs)
            noise = rng.gumbel(size=block.log_weight.shape)
            chosen = np.argmax(block.log_weight + noise, axis=-1)[:, None]
            mean = np.take_along_axis(block.mean, chosen, axis=-1)[:, 0]
            variance = np.broadcast_to(block.variance, block.mean.shape)
            sd = np.sqrt(np.take_along_axis(variance, chosen, axis=-1)[:, 0])
            out[:, column] = self._loc + self._scale * rng.normal(mean, sd)
        return out

    def to_skpro(self, index=None, columns=None):
        """The same distributions as a distribution object of skpro.

        Parameters
        ----------
        index : pandas.Index of length rows, optional
            Labels of the rows, such as ``X.index``; numbers by default.
        columns : list of one label, optional
            Name of the target; 0 by default, as in skpro.

        Returns
        -------
        skpro.distributions.base.BaseDistribution
            Of shape (rows, 1), with skpro's ``mean``, ``var``, ``pdf``, ``log_pdf``, ``cdf``,
            ``ppf``, ``quantile``, ``energy``, ``sample``, ``loc`` and ``iloc``: nothing is
            approximated anew, and its metrics take it.

        Raises
        ------
        ImportError
            If skpro is not installed: ``pip install "skcocoafuse[skpro]"``.
        ValueError
            If ``index`` or ``columns`` have the wrong length.

        Examples
        --------
        >>> from skcocoafuse import MoERegressor
        >>> from skcocoafuse.datasets import make_switch
        >>> X, y = make_switch(100, random_state=0)
        >>> model = MoERegressor(inference="map", random_state=0).fit(X, y)
        >>> model.predict_dist(X[:3]).to_skpro(columns=["y"]).quantile([0.1, 0.9]).shape
        (3, 2)
        """
        return to_skpro(self, index, columns)


def _padded(tables: list[np.ndarray]) -> np.ndarray:
    """Tables (k, columns) with different k as one array, NaN after the last entry."""
    longest = max((len(table) for table in tables), default=0)
    columns = tables[0].shape[1] if tables else 0
    out = np.full((len(tables), longest, columns), np.nan)
    for row, table in zip(out, tables, strict=True):
        row[: len(table)] = table
    return out
