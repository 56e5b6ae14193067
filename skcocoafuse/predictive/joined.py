"""Predictive distributions of several fits, joined in the order of the rows."""

import numpy as np

from skcocoafuse._hints import COVERAGE, PROB, hints
from skcocoafuse._validation import check_points, seed_from
from skcocoafuse.predictive.bridges import plot, to_skpro
from skcocoafuse.predictive.modality import HighestDensity, Modes


class JoinedDistribution:
    """Predictive distributions of several fits, each for some of the rows.

    Returned by :func:`skcocoafuse.cross_val_predict_dist`: each row has the distribution of the
    fit that did not see it. Methods are those of the inner distributions, for all rows at once;
    objects can be indexed by row.

    Parameters
    ----------
    parts : list of (ndarray of int, distribution)
        Row indices, and the distribution of these rows: a :class:`PredictiveDistribution`, a
        :class:`TransformedDistribution`, or another object with the required methods.

    Raises
    ------
    ValueError
        If a row has no distribution, or several.

    Examples
    --------
    >>> from skcocoafuse import MoERegressor, cross_val_predict_dist
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(100, random_state=0)
    >>> dist = cross_val_predict_dist(MoERegressor(inference="map", random_state=0), X, y, cv=2)
    >>> dist, dist[:3].interval(0.9).shape
    (JoinedDistribution(100 rows from 2 fits), (3, 2))
    """

    def __init__(self, parts):
        self._parts = [(np.asarray(rows, dtype=np.intp), dist) for rows, dist in parts]
        lengths = [(len(rows), len(dist)) for rows, dist in self._parts]
        if any(rows != own for rows, own in lengths):
            raise ValueError(
                "Each part must have a row for each of its distributions; got (rows, "
                f"distributions) = {lengths}."
            )
        rows = np.concatenate([rows for rows, _ in self._parts])
        if not np.array_equal(np.sort(rows), np.arange(len(rows))):
            raise ValueError(
                "Rows of all parts together must be 0, 1, ... without gaps or repetition; got "
                f"{len(rows)} rows from {rows.min()} to {rows.max()}."
            )
        self._n_rows = len(rows)

    @property
    def parts(self) -> list:
        """Row indices and their distribution, for each fit."""
        return list(self._parts)

    def __len__(self) -> int:
        return self._n_rows

    def __getitem__(self, rows) -> "JoinedDistribution":
        """The distributions of some rows, given a slice, a mask, indices, or one index."""
        wanted = np.atleast_1d(np.arange(len(self))[rows])
        part_of = np.empty(len(self), dtype=np.intp)
        place = np.empty(len(self), dtype=np.intp)
        for number, (own, _) in enumerate(self._parts):
            part_of[own], place[own] = number, np.arange(len(own))
        cut = []
        for number, (_, dist) in enumerate(self._parts):
            new = np.flatnonzero(part_of[wanted] == number)
            cut.append((new, dist[place[wanted[new]]]))
        return JoinedDistribution([part for part in cut if len(part[0])] or cut[:1])

    def __repr__(self) -> str:
        return f"JoinedDistribution({len(self)} rows from {len(self._parts)} fits)"

    # -- from parts to the whole ---------------------------------------------------------

    def _each(self, method: str, *arguments):
        """Call a method without arguments that depend on the row."""
        return self._joined([getattr(dist, method)(*arguments) for _, dist in self._parts])

    def _at(self, method: str, y):
        """Call a method that takes a point for all rows, one per row, or several."""
        y = check_points(y, len(self))
        own = y.ndim and len(y) == len(self)
        return self._joined(
            [getattr(dist, method)(y[rows] if own else y) for rows, dist in self._parts]
        )

    def _joined(self, results: list):
        """Results of all parts, arrays (rows, ...) or tuples of these, in the order of the rows."""
        first = results[0]
        if not isinstance(first, tuple):
            return self._in_order(results)
        fields = [self._in_order(field) for field in zip(*results, strict=True)]
        return type(first)(*fields) if hasattr(first, "_fields") else tuple(fields)

    def _in_order(self, arrays) -> np.ndarray:
        """One array of all rows, padded with NaN if some have fewer entries (modes, intervals)."""
        most = np.max([array.shape[1:] for array in arrays], axis=0).astype(int)
        out = np.empty((len(self), *most), dtype=np.result_type(*arrays))
        for (rows, _), array in zip(self._parts, arrays, strict=True):
            missing = [(0, int(n)) for n in most - np.array(array.shape[1:], dtype=int)]
            if any(after for _, after in missing):
                array = np.pad(array, [(0, 0), *missing], constant_values=np.nan)
            out[rows] = array
        return out

    # -- properties of each row, as in PredictiveDistribution ------------------------------

    def mean(self) -> np.ndarray:
        """Mean of each row, shape (rows,), in units of the target."""
        return self._each("mean")

    def var(self) -> np.ndarray:
        """Variance of each row, shape (rows,)."""
        return self._each("var")

    def std(self) -> np.ndarray:
        """Standard deviation of each row, shape (rows,)."""
        return self._each("std")

    def mean_and_std(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each row, in one pass."""
        return self._each("mean_and_std")

    def variance_parts(self):
        """Variance decomposed by source; as :meth:`PredictiveDistribution.variance_parts`."""
        return self._each("variance_parts")

    def median(self) -> np.ndarray:
        """Median of each row, shape (rows,)."""
        return self._each("median")

    def ppf(self, q) -> np.ndarray:
        """Quantiles; arguments and shapes as in :meth:`PredictiveDistribution.ppf`."""
        return self._each("ppf", q)

    def isf(self, q) -> np.ndarray:
        """Values exceeded with probability ``q``; as :meth:`PredictiveDistribution.isf`."""
        return self._each("isf", q)

    @hints(COVERAGE)
    def interval(self, coverage=0.95) -> np.ndarray:
        """Central intervals; as :meth:`PredictiveDistribution.interval`."""
        return self._each("interval", coverage)

    @hints(PROB)
    def hdi(self, prob: float = 0.95) -> HighestDensity:
        """Highest-density region; as :meth:`PredictiveDistribution.hdi`."""
        return self._each("hdi", prob)

    def modes(self, min_depth: float = 0.05) -> Modes:
        """Local maxima of each row's density; as :meth:`PredictiveDistribution.modes`."""
        return self._each("modes", min_depth)

    def prob_multimodal(self) -> np.ndarray:
        """Posterior probability of several modes, shape (rows,)."""
        return self._each("prob_multimodal")

    # -- at points: a scalar, one per row, or (rows, points) -------------------------------

    def logpdf(self, y) -> np.ndarray:
        """Log density at ``y``; shapes as in :meth:`PredictiveDistribution.logpdf`."""
        return self._at("logpdf", y)

    def pdf(self, y) -> np.ndarray:
        """Density at ``y``; shapes as in :meth:`logpdf`."""
        return self._at("pdf", y)

    def cdf(self, y) -> np.ndarray:
        """Cumulative distribution function at ``y``; shapes as in :meth:`logpdf`."""
        return self._at("cdf", y)

    def sf(self, y) -> np.ndarray:
        """Survival function, 1 - cdf, at ``y``; shapes as in :meth:`logpdf`."""
        return self._at("sf", y)

    def pit(self, y) -> np.ndarray:
        """Probability integral transform of observations, ``cdf(y)``."""
        return self._at("pit", y)

    def crps(self, y) -> np.ndarray:
        """Continuous ranked probability score of observations; smaller is better."""
        return self._at("crps", y)

    # -- random values and conversion ------------------------------------------------------

    def rvs(self, size: int = 1, random_state=None) -> np.ndarray:
        """Draw random values, shape (rows, size).

        Each column uses one posterior draw of each fit in all rows of that fit; fits are
        independent of one another.
        """
        rng = np.random.default_rng(seed_from(random_state))
        seeds = rng.integers(2**31 - 1, size=len(self._parts))
        return self._joined(
            [dist.rvs(size, int(seed)) for (_, dist), seed in zip(self._parts, seeds, strict=True)]
        )

    def plot(self, y=None, *, prob=0.9, target_name="y", ax=None):
        """Draw the density of each row; as :meth:`PredictiveDistribution.plot`."""
        return plot(self, y, prob=prob, target_name=target_name, ax=ax)

    def to_skpro(self, index=None, columns=None):
        """Convert to an object of skpro; as :meth:`PredictiveDistribution.to_skpro`."""
        return to_skpro(self, index, columns)
