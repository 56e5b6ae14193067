"""Predictions along one feature."""

import numpy as np

from skcocoafuse._validation import check_probability
from skcocoafuse.model.inputs import column_of
from skcocoafuse.plotting.figure import (
    DATA,
    MAIN,
    clean,
    expert_color,
    point_area,
    shades,
    stacked_axes,
)
from skcocoafuse.plotting.subject import Curves, curves_of, line_of, name_of_target, rows_of
from skcocoafuse.predictive.prediction import predict_dist

_CELLS = 400  # of the part of the target's range that is shown, whose densities are ranked
_OUTER_CELLS = 60  # on either side of it
_LEAST_CELLS = 7  # that a branch is drawn with: about five pixels
_TAIL = 1e-3  # probability on either side of the range
_BEYOND = 0.5  # of the observed range: how far axes follow the regions beyond it
_SHOWN = 0.02  # gate weight from which a line of an expert is drawn


class PredictionFanDisplay:
    """The predictive distribution along one feature, with experts, gate and behavior gate.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    x : ndarray of shape (n_points,)
        Increasing values of the feature.
    mean : ndarray of shape (n_points,)
    levels : ndarray of shape (k,)
        Probabilities of the regions, in ascending order.
    intervals : ndarray of shape (n_points, 2, k), or None
        Central intervals, if these are to be drawn.
    regions : tuple of (ndarray of shape (cells,), ndarray of shape (n_points, cells)), or None
        For highest-density regions: values of the target, and the probability of all values that
        are more likely.
    observed : tuple of (x, y), or None
    curves : Curves or None
    names : tuple of str
        Of the feature and of the target.
    shown : tuple of float, or None
        Limits of the target's axis. From the constructors: the observed values and the regions, of
        which no more is cut off than what is beyond the observed values by half their range.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_, gate_ax_, behavior_ax_ : matplotlib.axes.Axes
        Of the fan, the gate and the behavior gate; None if not drawn.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skcocoafuse import CoCoAFusERegressor
    >>> from skcocoafuse.datasets import make_switch_and_transition
    >>> from skcocoafuse.plotting import PredictionFanDisplay
    >>> X, y = make_switch_and_transition(300, random_state=0)
    >>> model = CoCoAFusERegressor(3, inference="vi", random_state=0).fit(X, y)
    >>> display = PredictionFanDisplay.from_estimator(model, X, y)
    >>> display.behavior_ax_.get_xlabel()
    'x0'
    """

    def __init__(self, x, mean, levels, *, intervals=None, regions=None, observed=None,
                 curves: Curves | None = None, names=("x", "y"), shown=None):  # fmt: skip
        self.x = x
        self.mean = mean
        self.levels = levels
        self.intervals = intervals
        self.regions = regions
        self.observed = observed
        self.curves = curves
        self.names = names
        self.shown = shown

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        feature=None,
        at="median",
        kind="hdr",
        coverage=(0.5, 0.8, 0.95),
        curves=True,
        n_points=200,
        target_name=None,
        ax=None,
    ):
        """Draw the predictions of a fitted estimator over the range of a feature.

        Parameters
        ----------
        estimator : estimator
            Fitted; a regressor of this package, or a meta-estimator that contains one.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Gives the range of the feature and typical values of the others.
        y : array-like of shape (n_samples,), optional
            Observed targets of these rows, which are drawn.
        feature : str or int, optional
            Name or position; not needed if there is only one.
        at : "median" or int, default="median"
            Where other features are held: at their medians (or most frequent values), or as in
            this row of X.
        kind : {"hdr", "interval"}, default="hdr"
            Highest-density regions, which have two branches where the density has, or central
            intervals.
        coverage : float or list of float, default=(0.5, 0.8, 0.95)
            Probabilities of the regions.
        curves : bool, default=True
            Whether to draw experts, gate and, if it is learned, behavior gate. Bands are 90%
            credible. Beta is gray where experts agree or one has all weight, since it makes no
            difference there.
        n_points : int, default=200
        target_name : str, optional
            By default the name of ``y``, or "y".
        ax : matplotlib.axes.Axes, optional
            Replaced by the axes of the display.

        Returns
        -------
        PredictionFanDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If an argument is invalid.
        """
        line = line_of(X, feature, at, n_points)
        observed = None
        if y is not None:
            table, names = rows_of(X)
            values = column_of(table, names.index(line.name)).to_numpy(dtype=float)
            observed = values, np.asarray(y, dtype=float)
        return cls.from_predictions(
            line.values,
            predict_dist(estimator, line.X),
            kind=kind,
            coverage=coverage,
            observed=observed,
            curves=curves_of(estimator, line.X, 0.9) if curves else None,
            names=(line.name, name_of_target(target_name, y)),
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        x,
        dist,
        *,
        kind="hdr",
        coverage=(0.5, 0.8, 0.95),
        observed=None,
        curves=None,
        names=("x", "y"),
        ax=None,
    ):
        """Draw predictive distributions of rows along ``x``.

        Parameters
        ----------
        x : array-like of shape (n_points,)
            Increasing.
        dist : PredictiveDistribution or TransformedDistribution
            Of as many rows.
        kind, coverage, ax
            As in :meth:`from_estimator`.
        observed : tuple of (x, y), optional
        curves : Curves, optional
        names : tuple of str, default=("x", "y")

        Returns
        -------
        PredictionFanDisplay
        """
        levels = np.sort(np.atleast_1d(check_probability(coverage, "coverage")))
        if kind not in ("hdr", "interval"):
            raise ValueError(f"kind must be 'hdr' or 'interval'; got {kind!r}.")
        intervals = regions = None
        shown = _shown_range(dist, observed, levels[-1])
        if kind == "interval":
            intervals = dist.interval(levels)
        else:
            regions = _regions(dist, shown)
        x, mean = np.asarray(x, dtype=float), dist.mean()
        return cls(
            x, mean, levels, intervals=intervals, regions=regions, observed=observed,
            curves=curves, names=names, shown=shown,
        ).plot(ax=ax)  # fmt: skip

    def plot(self, *, ax=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Replaced by the axes of the display; a new figure by default.

        Returns
        -------
        PredictionFanDisplay
            Itself.
        """
        curves = self.curves
        if curves is not None and curves.gate.shape[2] == 1:  # a single expert is the mean
            curves = None
        learned = curves is not None and curves.behavior is not None
        axes = stacked_axes(ax, [3.2, *([1.0] * ((curves is not None) + learned))])
        self.figure_, self.ax_ = axes[0].figure, clean(axes[0])
        self.gate_ax_ = axes[1] if curves is not None else None
        self.behavior_ax_ = axes[-1] if learned else None
        self._draw_fan(self.ax_)
        if curves is not None:
            self._draw_experts(self.ax_, curves)
            self._draw_gate(clean(self.gate_ax_), curves)
            if curves.behavior is not None:
                self._draw_behavior(clean(self.behavior_ax_), curves.behavior, curves.identified)
        axes[-1].set_xlabel(self.names[0])
        self.ax_.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        return self

    def _draw_fan(self, ax) -> None:
        colors = shades(len(self.levels))
        if self.intervals is not None:
            for k, color in zip(range(len(self.levels))[::-1], colors, strict=True):
                low, high = self.intervals[:, :, k].T
                ax.fill_between(self.x, low, high, color=color, lw=0)
        else:
            values, content = self.regions
            content = _with_visible_spikes(content)
            ax.contourf(
                self.x, values, content.T, levels=[0.0, *self.levels], colors=colors[::-1],
                antialiased=True,
            )  # fmt: skip
        kind = "interval" if self.intervals is not None else "region"
        for level, color in zip(self.levels, colors[::-1], strict=True):
            ax.fill_between([], [], [], color=color, lw=0, label=f"{level:.0%} {kind}")
        ax.plot(self.x, self.mean, color=MAIN, lw=1.8, label="mean", zorder=4)
        if self.observed is not None:
            ax.scatter(*self.observed, s=point_area(len(self.observed[0])), color=DATA, alpha=0.45,
                       lw=0, zorder=3, label="observed")  # fmt: skip
        if self.shown is not None:
            ax.set_ylim(*self.shown)
        ax.set_xlim(self.x[0], self.x[-1])
        ax.set_ylabel(self.names[1])

    def _draw_experts(self, ax, curves: Curves) -> None:
        limits = ax.get_ylim()
        for k in range(curves.experts.shape[1]):
            shown = np.where(curves.gate[0, :, k] > _SHOWN, self.x, np.nan)
            for start in range(len(self.x) - 1):
                part = slice(start, start + 2)
                alpha = float(np.clip(curves.gate[0, start, k], 0.15, 1.0))
                ax.plot(shown[part], curves.experts[part, k], color=expert_color(k), lw=1.6,
                        alpha=alpha, zorder=5)  # fmt: skip
            ax.plot([], [], color=expert_color(k), lw=1.6, label=f"expert {k}")
        ax.set_ylim(limits)

    def _draw_gate(self, ax, curves: Curves) -> None:
        for k in range(curves.gate.shape[2]):
            mean, low, high = curves.gate[:, :, k]
            ax.fill_between(self.x, low, high, color=expert_color(k), alpha=0.25, lw=0)
            ax.plot(self.x, mean, color=expert_color(k), lw=1.6)
        ax.set(ylabel="gate", ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])

    def _draw_behavior(self, ax, behavior: np.ndarray, identified: np.ndarray) -> None:
        mean, low, high = behavior
        for where, color in ((~identified, "0.75"), (identified, MAIN)):
            known = _widened(where) if color == MAIN else where
            ax.fill_between(self.x, low, high, where=known, color=color, alpha=0.3, lw=0)
            ax.plot(self.x, np.where(known, mean, np.nan), color=color, lw=1.8)
        ax.set(ylabel=r"behavior $\beta$", ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
        ax.set_yticklabels(["0 blends", "", "1 mixes"])


def _regions(dist, shown: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the target's range, and for each row the probability of cells as dense or denser.

    Cells are small in the range that is shown; others serve only to rank the probability there.
    """
    ends = dist.ppf([_TAIL, 1.0 - _TAIL])
    low, high = shown
    below = np.linspace(min(ends.min(), low), low, _OUTER_CELLS, endpoint=False)
    above = np.linspace(max(ends.max(), high), high, _OUTER_CELLS, endpoint=False)[::-1]
    edges = np.unique(np.concatenate([below, np.linspace(low, high, _CELLS + 1), above]))
    mass = np.diff(dist.cdf(np.tile(edges, (len(ends), 1))), axis=1)
    order = np.argsort(-mass / np.diff(edges), axis=1)
    content = np.empty_like(mass)
    np.put_along_axis(content, order, np.cumsum(np.take_along_axis(mass, order, 1), axis=1), axis=1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    inside = (middle > low) & (middle < high)
    return middle[inside], content[:, inside]


def _shown_range(dist, observed, largest: float) -> tuple[float, float]:
    """Of the target: the observed values and the regions, unless these go far beyond them."""
    tail = 0.5 * (1.0 - largest)
    ends = dist.ppf([tail, 1.0 - tail])
    low, high = ends.min(), ends.max()
    if observed is not None:
        least, most = np.min(observed[1]), np.max(observed[1])
        reach = _BEYOND * (most - least)
        low = np.clip(low, least - reach, least)
        high = np.clip(high, most, most + reach)
    margin = 0.04 * (high - low)
    return low - margin, high + margin


def _with_visible_spikes(content: np.ndarray) -> np.ndarray:
    """The same with the densest cell of every branch widened: a spike would be too thin to see."""
    inner = content[:, 1:-1]
    peak = (inner <= content[:, :-2]) & (inner <= content[:, 2:])
    seen = np.where(np.pad(peak, ((0, 0), (1, 1))), content, 1.0)
    wide = content.copy()
    for shift in range(1, _LEAST_CELLS // 2 + 1):
        np.minimum(wide[:, shift:], seen[:, :-shift], out=wide[:, shift:])
        np.minimum(wide[:, :-shift], seen[:, shift:], out=wide[:, :-shift])
    return wide


def _widened(where: np.ndarray) -> np.ndarray:
    """With the neighbors, so that lines of two colors meet."""
    wide = where.copy()
    wide[1:] |= where[:-1]
    wide[:-1] |= where[1:]
    return wide
