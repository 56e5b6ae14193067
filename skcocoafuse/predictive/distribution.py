"""The predictive distribution: an exact mixture over posterior draws and experts."""

import copy
import warnings

import numpy as np

from skcocoafuse._hints import COVERAGE, PROB, hints
from skcocoafuse._validation import check_points, check_probability, seed_from
from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import random_targets
from skcocoafuse.model.parameters import Parameters
from skcocoafuse.model.spec import ModelSpec
from skcocoafuse.predictive import mixture, modality
from skcocoafuse.predictive.bridges import plot, to_skpro
from skcocoafuse.predictive.modality import HighestDensity, Modes, check_depth, check_prob
from skcocoafuse.predictive.row_mixtures import RowMixtures, VarianceParts


class PredictiveDistribution:
    r"""Predictive distribution of the target: one mixture per row.

    The density is the average over posterior draws of
    :math:`\sum_i a_i f(y; m_i, v_i)`, f Normal with variance :math:`v_i` or Student's t with scale
    :math:`\sqrt{v_i}`, without further sampling or approximation. Methods have the names of
    ``scipy.stats`` and work on all rows at once, in chunks of bounded memory. Objects are returned
    by ``predict_dist``, are immutable, and can be indexed by row (``dist[:10]``).

    Parameters
    ----------
    spec : ModelSpec
    parameters : Parameters
        Arrays with one leading draw axis, on the standardized scale.
    designs : dict of str to ndarray
        Standardized design matrices of the rows.
    loc, scale : float
        Target = loc + scale * standardized target.
    draw_weight : ndarray of shape (draws,), optional
        Weight of each draw, summing to one; equal by default.
    n_jobs : int, optional
        Number of threads that work on chunks of rows; None means 1, -1 all cores.
    max_memory : int, optional
        Memory limit in bytes of all chunks together, results not included; 256 MB by default. A
        chunk has at least one row.

    Examples
    --------
    >>> from skcocoafuse import MoERegressor
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(100, random_state=0)
    >>> dist = MoERegressor(inference="map", random_state=0).fit(X, y).predict_dist(X[:3])
    >>> dist.interval(0.9).shape
    (3, 2)
    """

    _designs: dict[str, np.ndarray]
    _mixtures: RowMixtures

    def __init__(
        self,
        spec: ModelSpec,
        parameters: Parameters,
        designs: dict[str, np.ndarray],
        loc: float = 0.0,
        scale: float = 1.0,
        draw_weight: np.ndarray | None = None,
        *,
        n_jobs: int | None = None,
        max_memory: int | None = None,
    ):
        n_draws = len(parameters.sigma)
        if draw_weight is None:
            draw_weight = np.full(n_draws, 1.0 / n_draws)
        loc, scale = float(loc), float(scale)
        mixtures = RowMixtures(spec, parameters, draw_weight, loc, scale, n_jobs, max_memory)
        self.__dict__.update(_designs=designs, _mixtures=mixtures)

    def __setattr__(self, name, value):
        raise AttributeError(
            f"A PredictiveDistribution is immutable; cannot set {name!r}. Slice its rows, or call "
            "thinned() or using(), for a new one."
        )

    def __len__(self) -> int:
        return len(self._designs["expert"])

    def __getitem__(self, rows) -> "PredictiveDistribution":
        """The distributions of some rows, given a slice, a mask, indices, or one index."""
        if isinstance(rows, int | np.integer):
            rows = [rows]
        return self._like(designs={part: X[rows] for part, X in self._designs.items()})

    def _like(self, designs=None, **changes) -> "PredictiveDistribution":
        other = copy.copy(self)
        if designs is not None:
            other.__dict__["_designs"] = designs
        if changes:
            other.__dict__["_mixtures"] = self._mixtures.changed(**changes)
        return other

    def using(self, *, n_jobs=None, max_memory=None) -> "PredictiveDistribution":
        """The same distributions with other ``n_jobs`` and ``max_memory``, see the class."""
        return self._like(n_jobs=n_jobs, max_memory=max_memory)

    def thinned(self, n_draws: int, random_state=None) -> "PredictiveDistribution":
        """Average over fewer posterior draws, which is faster and has a known error.

        Draws are sampled with replacement, in proportion to their weights; a draw sampled twice
        counts twice. The root mean square error of a probability is then given by
        :meth:`thinning_error`, and is at most 0.5 / sqrt(n_draws).

        Parameters
        ----------
        n_draws : int
            Number of draws to sample.
        random_state : int, numpy.random.RandomState or None

        Returns
        -------
        PredictiveDistribution

        Raises
        ------
        ValueError
            If ``n_draws`` is less than 1.
        """
        if n_draws < 1:
            raise ValueError(f"n_draws must be at least 1; got {n_draws!r}.")
        weight = self._mixtures.draw_weight
        rng = np.random.default_rng(seed_from(random_state))
        count = rng.multinomial(n_draws, weight / weight.sum())
        kept = np.flatnonzero(count)
        parameters = self._mixtures.parameters.map(lambda a: a[kept])
        return self._like(parameters=parameters, draw_weight=count[kept] / n_draws)

    def thinning_error(self, n_draws: int, y) -> np.ndarray:
        """Root mean square error of ``cdf(y)`` if only ``n_draws`` draws are averaged.

        It is the standard deviation over draws of the probability given the draw, divided by
        sqrt(n_draws): small if the noise is large compared to the uncertainty of the parameters.
        Divided by the density it is, to first order, the error of a quantile.

        Parameters
        ----------
        n_draws : int
        y : float or ndarray of shape (rows,)

        Returns
        -------
        ndarray of shape (rows,)
        """
        own = self._mixtures
        points = np.broadcast_to(np.asarray(y, dtype=np.float64), (len(self),))
        points = (points - own.loc) / own.scale
        out = np.empty(len(self))

        def fill(rows, chunk, weight):
            below = forward.probability_below(chunk, points[rows])
            center = (weight * below).sum(axis=0)
            out[rows] = np.sqrt((weight * (below - center) ** 2).sum(axis=0) / n_draws)

        self._mixtures.over_draws(fill, self._designs)
        return out

    def __repr__(self) -> str:
        return (
            f"PredictiveDistribution({len(self)} rows, {self.n_draws} draws, "
            f"{self._mixtures.spec.n_experts} experts)"
        )

    @property
    def noise(self) -> str:
        """Distribution of the noise around fused experts: ``"normal"`` or ``"student_t"``."""
        return self._mixtures.spec.noise

    @property
    def n_draws(self) -> int:
        """Number of posterior draws that are averaged."""
        return len(self._mixtures.draw_weight)

    def _per_point(self, function, x) -> np.ndarray:
        """Evaluate a mixture function at points broadcast against the rows."""
        x = check_points(x, len(self))
        columns = x if x.ndim == 2 else x.reshape(-1, 1)
        points = np.broadcast_to(columns, (len(self), columns.shape[1]))
        out = np.empty(points.shape)

        def fill(rows, mixtures):
            out[rows] = function(mixtures, points[rows])

        self.over_components(fill)
        return out if x.ndim == 2 else out[:, 0]

    def over_components(self, function) -> None:
        """Call ``function(rows, mixtures)`` for chunks of rows, see ``RowMixtures``."""
        self._mixtures.over_components(function, self._designs)

    # -- moments -----------------------------------------------------------------------

    def _moments(self) -> tuple[np.ndarray, VarianceParts]:
        mean, *parts = self._mixtures.moments(self._designs)
        return mean, VarianceParts(*parts)

    def mean_and_std(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each row, in one pass over the draws.

        Warns
        -----
        RuntimeWarning
            If the standard deviations are infinite, which those of Student's t with at most 2
            degrees of freedom are.
        """
        mean, parts = self._moments()
        self._warn_of_tails()
        return mean, np.sqrt(parts.total())

    def _warn_of_tails(self) -> None:
        """Warn if a draw's noise has no variance."""
        if np.isinf(self._mixtures.noise_weight).any():
            share = self._mixtures.draw_weight[np.isinf(self._mixtures.noise_weight)].sum()
            warnings.warn(
                f"With a posterior probability of {share:.2g}, Student's t noise has at most 2 "
                "degrees of freedom and so no variance: standard deviations are infinite. Use "
                "intervals and quantiles.",
                RuntimeWarning,
                stacklevel=3,
            )

    def mean(self) -> np.ndarray:
        """Mean of each row, shape (rows,), in units of the target."""
        return self._moments()[0]

    def var(self) -> np.ndarray:
        """Variance of each row, shape (rows,), from noise, experts and parameters together.

        Infinite, with a warning, where :meth:`mean_and_std` is.
        """
        self._warn_of_tails()
        return self._moments()[1].total()

    def variance_parts(self) -> VarianceParts:
        """Variance decomposed by source: noise, differences between experts, parameters.

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
        """Cumulative distribution function at ``y``; shapes as in :meth:`logpdf`."""
        return self._per_point(mixture.cdf, y)

    def sf(self, y) -> np.ndarray:
        """Survival function, 1 - cdf, at ``y``; shapes as in :meth:`logpdf`."""
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
            If a probability is not strictly between 0 and 1.
        """
        return self._at_probabilities(mixture.ppf, q)

    def isf(self, q) -> np.ndarray:
        """Values exceeded with probability ``q``; as :meth:`ppf`, but accurate for small ``q``."""
        return self._at_probabilities(mixture.isf, q)

    def _at_probabilities(self, function, q) -> np.ndarray:
        q = check_probability(q, "q")
        out = self._per_point(function, np.tile(np.atleast_1d(q), (len(self), 1)))
        return out if q.ndim else out[:, 0]

    @hints(COVERAGE)
    def interval(self, coverage=0.95) -> np.ndarray:
        """Central intervals, with equal probability outside on both sides.

        Parameters
        ----------
        coverage : float or list of float, default=0.95

        Returns
        -------
        ndarray of shape (rows, 2), or (rows, 2, len(coverage)) for a list
            Lower and upper bounds, in units of the target.

        Raises
        ------
        ValueError
            If a coverage is not strictly between 0 and 1.
        """
        coverage = check_probability(coverage, "coverage")
        tails = 0.5 * (1.0 - np.atleast_1d(coverage))
        ends = self.ppf(np.concatenate([tails, 1.0 - tails]))
        ends = ends.reshape(len(self), 2, coverage.size)
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
            In units of the target.

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
            Modes of a smaller depth (ripples) are omitted. From 0, which omits none, to 1.

        Returns
        -------
        Modes
            Of the exact density, searched around each component in steps relative to its sd.

        Raises
        ------
        ValueError
            If ``min_depth`` is not between 0 and 1.
        """
        check_depth(min_depth)
        tables = self._tables(modality.modes, min_depth, 3)
        location, density, depth = np.moveaxis(tables, -1, 0)
        return Modes(location, density, depth, np.isfinite(location).sum(axis=1))

    @hints(PROB)
    def hdi(self, prob: float = 0.95) -> HighestDensity:
        """Highest-density region: the smallest one with a given probability.

        Parameters
        ----------
        prob : float, default=0.95

        Returns
        -------
        HighestDensity
            One or more intervals per row, and their exact probability, which is ``prob`` up to a
            relative error of 1e-6.

        Raises
        ------
        ValueError
            If ``prob`` is not strictly between 0 and 1.
        """
        prob = check_prob(prob)
        intervals = self._tables(modality.highest_density, prob, 2)
        return HighestDensity(intervals, modality.mass_of(intervals, self.cdf))

    def _tables(self, function, argument, columns: int) -> np.ndarray:
        """Join a function's tables (k, columns) of all rows, padded with NaN."""
        tables: list[np.ndarray] = [np.empty((0, columns))] * len(self)

        def fill(rows, mixtures):
            tables[rows] = function(mixtures, argument)

        self.over_components(fill)
        return modality.padded(tables, columns)

    def prob_multimodal(self) -> np.ndarray:
        """Posterior probability that a row's density has several modes, shape (rows,).

        The density is that given one posterior draw at a time, so this is about the model, not
        about the uncertainty of its parameters; :meth:`modes` is about the average. With Normal
        noise, a draw whose fused means differ by at most two of their smallest standard deviations
        has one mode, which is the case if beta is at most 2 vbar / (d + sqrt(d^2 + D^2 vbar)), with
        D the range of the experts' means and d = vbar - min s^2. For other draws, and for Student's
        t, to which this bound does not apply, modes are counted.
        """
        out = np.empty(len(self))

        def fill(rows, mixtures):
            out[rows] = modality.multimodal_share(mixtures.by_draw(self._mixtures.spec.n_experts))

        self.over_components(fill)
        return out

    def responsibilities(self, y) -> np.ndarray:
        """Posterior mean probability that each expert produced ``y``, (rows, n_experts)."""
        own = self._mixtures
        y = (np.broadcast_to(np.asarray(y, dtype=np.float64), (len(self),)) - own.loc) / own.scale
        out = np.empty((len(self), own.spec.n_experts))

        def fill(rows, chunk, weight):
            responsibility = forward.responsibilities(chunk, y[rows])
            out[rows] = (weight[..., None] * responsibility).sum(axis=0)

        self._mixtures.over_draws(fill, self._designs)
        return out

    # -- sampling ----------------------------------------------------------------------

    def rvs(self, size: int = 1, random_state=None) -> np.ndarray:
        """Draw random values.

        Each column uses the same posterior draw in all rows, so it is one possible data set
        (like ``sample_y`` of a Gaussian process); noise is independent between rows.

        Parameters
        ----------
        size : int, default=1
        random_state : int, numpy.random.RandomState or None

        Returns
        -------
        ndarray of shape (rows, size)
        """
        rng = np.random.default_rng(seed_from(random_state))
        own = self._mixtures
        draws = rng.choice(self.n_draws, size=size, p=own.draw_weight)
        chosen = own.parameters.map(lambda a: a[draws])
        return own.loc + own.scale * random_targets(rng, own.spec, chosen, self._designs).T

    # -- picture and conversion -------------------------------------------------------

    def plot(self, y=None, *, prob=0.9, target_name="y", ax=None):
        """Draw the density of each row; for a few rows.

        Parameters
        ----------
        y : array-like of shape (rows,), optional
            Observed targets.
        prob : float, default=0.9
            Probability of the highest-density regions.
        target_name : str, default="y"
        ax : matplotlib.axes.Axes, optional
            For a single row.

        Returns
        -------
        skcocoafuse.plotting.PredictiveDensityDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed; the extra ``plot`` installs it.
        ValueError
            If ``prob`` is not a probability, or ``ax`` is given for several rows.
        """
        return plot(self, y, prob=prob, target_name=target_name, ax=ax)

    def to_skpro(self, index=None, columns=None):
        """Convert to a distribution object of skpro.

        Parameters
        ----------
        index, columns : pandas.Index or list, optional
            Labels of the rows, such as ``X.index``, and one for the target; integers by default.

        Returns
        -------
        skpro.distributions.base.BaseDistribution
            Of shape (rows, 1), without further approximation, for skpro's metrics etc.

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
