"""Reduce mixtures of thousands of Normals to some hundreds, and choose evaluation points."""

import numpy as np

WIDTH = 0.05  # of cells whose components are merged: errors of probabilities are about 1e-8
_MANY = 200  # components from which this pays
_WORTH = 0.5  # share of the components that may be left; if there are more, none are merged
_LEAST_WEIGHT = 1e-9  # of components around which points are placed
_STEP, _REACH = 0.35, 3.0  # distance of points in sds of a component, and how far around its mean
_PANEL_STEP = 1.5  # the same for panels of integrals, on which ten nodes are exact to rounding
_TAIL_STEP, _GONE = 2.0, 38.0  # the same in tails, which end where densities underflow
_OUTSIDE = np.array([5.0, 8.0, 13.0, 21.0, 38.0])  # sds beyond all means, where tails are evaluated
_NODES = 512  # points of a row to reserve memory for at first

Components = tuple[np.ndarray, np.ndarray, np.ndarray]  # weights, means, sds of one mixture


def merged(weight, mean, sd, width: float = WIDTH) -> Components:
    """Weight, mean and sd of one mixture (components,), with near copies merged."""
    from skcocoafuse.compiled import merged_sums

    if len(mean) < _MANY or not width:
        return weight, mean, sd
    cells = np.empty((3, int(_WORTH * len(mean))))
    n = merged_sums.merge(weight, mean, sd, width, cells)
    if n < 0:
        return weight, mean, sd
    return cells[0, :n], cells[1, :n], cells[2, :n]


class MergedMixtures:
    """Densities of several rows' mixtures, as :class:`~.level_sets.Curves`.

    Parameters
    ----------
    weight, mean, sd : ndarray of shape (rows, components)
    width : float
        Width of the cells whose components are merged, in their sds; 0 keeps all components.
    """

    def __init__(self, weight, mean, sd, width: float = WIDTH):
        rows = [ascending(*merged(*row, width)) for row in zip(weight, mean, sd, strict=True)]
        components = tuple(np.concatenate(parts) for parts in zip(*rows, strict=True))
        self._start = np.cumsum([0] + [len(own[0]) for own in rows])
        widest = np.array([own[2].max() for own in rows])
        self._mixtures = (*components, self._start, widest)
        self._before = np.concatenate([[0.0], np.cumsum(components[0])])
        self._rows = rows
        points = [_points(*own) for own in rows]
        self.x = np.concatenate(points)
        self.row = np.repeat(np.arange(len(rows)), [len(own) for own in points])
        self.atoms = np.zeros((len(rows), 2))

    def log_density(self, row: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Log density of the rows at the points."""
        from skcocoafuse.compiled import merged_sums

        out = np.empty(len(x))
        merged_sums.log_density_at(*self._mixtures, row, x, out)
        return out

    def below(self, row: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Probability of the rows below the points."""
        from skcocoafuse.compiled import merged_sums

        out = np.empty(len(x))
        merged_sums.below_at(*self._mixtures, self._before, row, x, out)
        return out

    def panels(self, row: int) -> np.ndarray:
        """Edges of panels (edges,) on which one row is smooth, out to where densities underflow."""
        mean, sd = self._rows[row][1:]
        low, high = (mean - _GONE * sd).min(), (mean + _GONE * sd).max()
        inside = walk(*self._rows[row], _PANEL_STEP)
        tails = [
            np.arange(inside[0] - _TAIL_STEP * sd.max(), low, -_TAIL_STEP * sd.max()),
            np.arange(inside[-1] + _TAIL_STEP * sd.max(), high, _TAIL_STEP * sd.max()),
        ]
        return np.concatenate([[low], tails[0][::-1], inside, tails[1], [high]])


def ascending(weight, mean, sd) -> Components:
    """Components in the order of their means, without those of weight 0."""
    order = np.argsort(mean, kind="stable")
    order = order[weight[order] > 0]
    return weight[order], mean[order], sd[order]


def _points(weight, mean, sd) -> np.ndarray:
    """Evaluation points of one mixture: around every component, and outside all of them."""
    inside = walk(weight, mean, sd, _STEP)
    low = np.array([(mean - z * sd).min() for z in _OUTSIDE[::-1]])
    high = np.array([(mean + z * sd).max() for z in _OUTSIDE])
    return np.concatenate([low[low < inside[0]], inside, high[high > inside[-1]]])


def panel_edges(weight, mean, sd, low: float, high: float) -> np.ndarray:
    """Points from ``low`` to ``high`` between which the mixture is smooth, for integrals."""
    weight, mean, sd = ascending(weight, mean, sd)
    inside = walk(weight, mean, sd, _PANEL_STEP)
    return np.concatenate([[low], inside[(inside > low) & (inside < high)], [high]])


def walk(weight, mean, sd, step: float) -> np.ndarray:
    """Points around every component, in steps of so many of its sds; means ascend."""
    from skcocoafuse.compiled import merged_sums

    out = np.empty(_NODES)
    while True:
        n = merged_sums.nodes(weight, mean, sd, _LEAST_WEIGHT, step, _REACH, out)
        if n <= len(out):
            return out[:n]
        out = np.empty(n)
