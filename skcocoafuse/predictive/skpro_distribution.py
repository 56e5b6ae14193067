"""Predictive distributions as skpro objects; imports skpro, so import this module lazily."""

from typing import ClassVar

import numpy as np
import pandas as pd
from skpro.distributions.base import BaseDistribution

from skcocoafuse._cached import cached_property

_FAR = 1e-9  # probability below the point from which self-distances are measured


class SkproDistribution(BaseDistribution):
    """A predictive distribution with skpro's interface.

    Every method delegates to ``dist``, without further approximation. Random values come from
    NumPy's global generator, as in skpro, and a sample uses one posterior draw in all rows.

    Parameters
    ----------
    dist : PredictiveDistribution or TransformedDistribution
    index : pandas.Index of length ``len(dist)``, optional
    columns : pandas.Index of length 1, optional
        Without index and columns, ``dist`` must have one row, and methods return scalars.

    Raises
    ------
    ValueError
        If index and columns do not match ``dist``.

    Examples
    --------
    >>> from skcocoafuse import MoERegressor
    >>> from skcocoafuse.datasets import make_switch
    >>> from skcocoafuse.predictive.skpro_distribution import SkproDistribution
    >>> X, y = make_switch(100, random_state=0)
    >>> model = MoERegressor(inference="map", random_state=0).fit(X, y)
    >>> SkproDistribution(model.predict_dist(X), range(100), ["y"]).iloc[:3].mean().shape
    (3, 1)
    """

    _tags: ClassVar[dict] = {
        "capabilities:approx": ["pdfnorm"],
        "capabilities:exact": ["mean", "var", "energy", "pdf", "log_pdf", "cdf", "ppf"],
        "distr:measuretype": "continuous",
        "distr:paramtype": "composite",
        "broadcast_init": "off",
    }

    def __init__(self, dist, index=None, columns=None):
        self.dist = dist
        super().__init__(index=index, columns=columns)
        shape = (1, 1) if self.ndim == 0 else self.shape
        if shape != (len(dist), 1):
            raise ValueError(
                f"index must have a label for each of the {len(dist)} rows and columns a single "
                f"one, for the target; got {shape[0]} and {shape[1]} (without both: one row)."
            )

    # -- what skpro calls: points arrive in the shape of self, () or (rows, 1) ------------

    def _mean(self):
        return self.dist.mean().reshape(self.shape)

    def _var(self):
        return self.dist.var().reshape(self.shape)

    def _pdf(self, x):
        return self._at(self.dist.pdf, x)

    def _log_pdf(self, x):
        return self._at(self.dist.logpdf, x)

    def _cdf(self, x):
        return self._at(self.dist.cdf, x)

    def _surv(self, x):
        return self._at(self.dist.sf, x)

    def _ppf(self, p):
        p = np.ravel(p)
        out = np.empty(len(p))
        for level in np.unique(p):
            rows = np.flatnonzero(p == level)
            out[rows] = self.dist[rows].ppf(level)
        return out.reshape(self.shape)

    def _energy_self(self):
        return self._self_distance.reshape(self.shape)

    def _energy_x(self, x):
        # the score of x is E|X - x| - E|X - X'| / 2
        return self._at(self.dist.crps, x) + 0.5 * self._energy_self()

    @cached_property
    def _self_distance(self) -> np.ndarray:
        """E|X - X'|, (rows,): from the score of a point below all of X, where E|X - x| is known."""
        below = self.dist.ppf(_FAR)
        return 2.0 * (self.dist.mean() - below - self.dist.crps(below))

    def _sample(self, n_samples=None):
        values = self.dist.rvs(1 if n_samples is None else n_samples)
        if self.ndim == 0:
            return values[0, 0] if n_samples is None else pd.DataFrame(values[0])
        index = self.index if n_samples is None else _repeated(self.index, n_samples)
        return pd.DataFrame(values.T.reshape(-1, 1), index=index, columns=self.columns)

    def _at(self, function, x):
        return function(np.ravel(x)).reshape(self.shape)

    # -- rows ----------------------------------------------------------------------------

    def _iloc(self, rowidx=None, colidx=None):
        if np.isscalar(rowidx) and np.isscalar(colidx):
            return self._iat(rowidx, colidx)
        rows, columns = _positions(rowidx, len(self)), _positions(colidx, 1)
        return SkproDistribution(self.dist[rows], self.index[rows], self.columns[columns])

    def _iat(self, rowidx=None, colidx=None):
        if rowidx is None or colidx is None:
            raise ValueError("iat takes a row and a column; got only one of them.")
        _positions(colidx, 1)  # an IndexError for all columns but the only one
        return SkproDistribution(self.dist[int(rowidx)])


def _positions(selected, length: int) -> np.ndarray:
    """Positions from an argument of ``iloc``: None for all, a number, a slice, a mask, a list."""
    everything = np.arange(length)
    if selected is None:
        return everything
    if not isinstance(selected, slice):
        selected = np.atleast_1d(np.asarray(selected))
        selected = selected.astype(int) if selected.size == 0 else selected
    return everything[selected]


def _repeated(index: pd.Index, times: int) -> pd.MultiIndex:
    """Repeat ``index``, with the number of the repetition as the first level."""
    tiled = index.take(np.tile(np.arange(len(index)), times))
    levels = [tiled.get_level_values(level) for level in range(index.nlevels)]
    number = np.repeat(np.arange(times), len(index))
    return pd.MultiIndex.from_arrays([number, *levels], names=[None, *index.names])
