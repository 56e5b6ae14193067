"""Mixtures of Student's t as curves, and panels for integrals over them.

Unlike Normals, near copies are not merged: a mixture of two Student's t has no other moments to
match. The tails decrease like powers, so points and panels in them are at distances that double.
"""

import numpy as np

from skcocoafuse.predictive.merging import ascending, walk

_STEP, _PANEL_STEP = 0.35, 1.5  # of points, and of panels, in scales of a component
OUTERMOST = 1e-15  # probability beyond integrals
_FARTHEST = 2.0 ** np.arange(3, 60)  # scales beyond all means, where tails are evaluated


def t_panels(weight, mean, scale, low: float, high: float) -> np.ndarray:
    """Edges of panels from ``low`` to ``high`` on which ten nodes are exact to rounding."""
    weight, mean, scale = ascending(weight, mean, scale)
    inside = walk(weight, mean, scale, _PANEL_STEP)
    ends = []
    for edge, away, end in (
        (inside[0], mean[0] - inside[0], inside[0] - low),
        (inside[-1], inside[-1] - mean[-1], high - inside[-1]),
    ):
        # each panel is as wide as its distance from the means, where the density has its poles
        first = max(away, scale.max())
        n = max(0, int(np.ceil(np.log2(1.0 + max(end, 0.0) / first))))
        ends.append((edge, first * (2.0 ** np.arange(1, n + 1) - 1.0)))
    (left, down), (right, up) = ends
    edges = np.concatenate([(left - down)[::-1], inside, right + up])
    return np.concatenate([[low], edges[(edges > low) & (edges < high)], [high]])


class StudentTMixtures:
    """Densities of several rows' mixtures, as :class:`~.level_sets.Curves`.

    Parameters
    ----------
    weight, mean, scale, table : ndarray
        Fields of :class:`~.mixture.Mixtures`.
    """

    def __init__(self, weight, mean, scale, table):
        arrays = (np.ascontiguousarray(a) for a in (weight, mean, 1.0 / scale))
        self._mixtures = (*arrays, table)
        self._rows = list(zip(weight, mean, scale, strict=True))
        points = [_points(*own) for own in self._rows]
        self.x = np.concatenate(points)
        self.row = np.repeat(np.arange(len(points)), [len(own) for own in points])
        self.atoms = np.zeros((len(points), 2))

    def log_density(self, row: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Log density of the rows at the points."""
        from skcocoafuse.compiled import mixture_sums

        out = np.empty(len(x))
        mixture_sums.log_density_at(*self._mixtures, row, x, out)
        return out

    def below(self, row: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Probability of the rows below the points."""
        from skcocoafuse.compiled import mixture_sums

        out = np.empty(len(x))
        mixture_sums.below_at(*self._mixtures, row, x, out)
        return out

    def panels(self, row: int) -> np.ndarray:
        """Edges of panels (edges,) on which one row is smooth, out to where little is left."""
        x = self.x[self.row == row]
        below = self.below(np.full(len(x), row), x)
        inside = (below > OUTERMOST) & (below < 1.0 - OUTERMOST)
        return t_panels(*self._rows[row], x[inside][0], x[inside][-1])


def _points(weight, mean, scale) -> np.ndarray:
    """Evaluation points of one mixture: around every component, and outside all of them."""
    weight, mean, scale = ascending(weight, mean, scale)
    inside = walk(weight, mean, scale, _STEP)
    low = mean[0] - _FARTHEST[::-1] * scale.max()
    high = mean[-1] + _FARTHEST * scale.max()
    return np.concatenate([low[low < inside[0]], inside, high[high > inside[-1]]])
