"""Where each expert counts, over two features."""

import numpy as np

from skcocoafuse.model.inputs import column_of, holds_numbers, take, with_column
from skcocoafuse.plotting.figure import DATA, clean, expert_color, new_axes, point_area
from skcocoafuse.plotting.subject import line_of, number_of, regressor_of, rows_of

_FAINT = 0.15  # opacity where an expert's weight is just the largest


class GateDisplay:
    """Regions of two features where an expert has the largest gate weight, and contours of beta.

    For weights along one feature see :class:`PredictionFanDisplay`. Create it with
    :meth:`from_estimator`.

    Parameters
    ----------
    x, y : ndarray of shape (n_points,)
        Values of the two features.
    gate : ndarray of shape (n_points, n_points, n_experts)
        Mean weights; the first axis belongs to ``y``.
    behavior : ndarray of shape (n_points, n_points), or None
        Mean beta, if it is learned.
    names : tuple of str
    observed : tuple of ndarray, or None
        Rows to draw.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import numpy as np
    >>> from skcocoafuse import MoERegressor
    >>> from skcocoafuse.plotting import GateDisplay
    >>> X = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    >>> model = MoERegressor(inference="vi", random_state=0).fit(X, np.abs(X[:, 0] - X[:, 1]))
    >>> GateDisplay.from_estimator(model, X, features=(0, 1)).ax_.get_xlabel()
    'x0'
    """

    def __init__(self, x, y, gate, behavior=None, *, names=("x0", "x1"), observed=None):
        self.x = x
        self.y = y
        self.gate = gate
        self.behavior = behavior
        self.names = names
        self.observed = observed

    @classmethod
    def from_estimator(
        cls, estimator, X, *, features, at="median", n_points=80, show_rows=True, ax=None
    ):
        """Draw the gate of a fitted estimator over the ranges of two features.

        Parameters
        ----------
        estimator : estimator
            Fitted; a regressor of this package, or a meta-estimator that contains one.
        X : array-like or DataFrame of shape (n_samples, n_features)
        features : tuple of two str or int
            The horizontal and the vertical axis.
        at : "median" or int, default="median"
            Where other features are held: at their medians (or most frequent values), or as in
            this row of X.
        n_points : int, default=80
            In each direction.
        show_rows : bool, default=True
            Whether to draw the rows of X.
        ax : matplotlib.axes.Axes, optional

        Returns
        -------
        GateDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If features are unknown, not numeric, or not two different ones.
        """
        table, names = rows_of(X)
        numbers = [number_of(feature, names) for feature in features]
        if len(set(numbers)) != 2:
            raise ValueError(f"features must be two different ones; got {features!r}.")
        across, up = (line_of(table, number, at, n_points) for number in numbers)
        rows = with_column(
            take(across.X, np.tile(np.arange(n_points), n_points)),
            numbers[1],
            np.repeat(up.values, n_points),
        )
        inside = regressor_of(estimator)
        own = inside.inputs(rows)
        gate = inside.estimator.predict_gate(own).reshape(n_points, n_points, -1)
        behavior = None
        if hasattr(inside.estimator, "predict_behavior"):
            behavior = inside.estimator.predict_behavior(own).reshape(n_points, n_points)
        observed = None
        if show_rows:
            observed = tuple(_numbers(table, number) for number in numbers)
        return cls(
            across.values,
            up.values,
            gate,
            behavior,
            names=(across.name, up.name),
            observed=observed,
        ).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            A new figure by default.

        Returns
        -------
        GateDisplay
            Itself.
        """
        from matplotlib.colors import to_rgb
        from matplotlib.patches import Patch

        self.ax_ = clean(new_axes(ax))
        self.figure_ = self.ax_.figure
        winner, most = self.gate.argmax(axis=2), self.gate.max(axis=2)
        least = 1.0 / self.gate.shape[2]
        strength = _FAINT + (0.6 - _FAINT) * (most - least) / max(1.0 - least, 1e-12)
        colors = np.array([to_rgb(expert_color(k)) for k in range(self.gate.shape[2])])
        image = 1.0 - strength[..., None] * (1.0 - colors[winner])
        box = (self.x[0], self.x[-1], self.y[0], self.y[-1])
        self.ax_.imshow(image, origin="lower", extent=box, aspect="auto", interpolation="nearest")
        present = np.unique(winner)
        if len(present) > 1:
            for k in present:
                self.ax_.contour(
                    self.x, self.y, (winner == k).astype(float), levels=[0.5],
                    colors="white", linewidths=1.2,
                )  # fmt: skip
        if self.behavior is not None and np.ptp(self.behavior) > 0.1:
            lines = self.ax_.contour(
                self.x, self.y, self.behavior, levels=[0.1, 0.5, 0.9], colors="0.2",
                linewidths=0.9, linestyles=["dotted", "solid", "dashed"],
            )  # fmt: skip
            self.ax_.clabel(lines, fmt=lambda level: rf"$\beta$ = {level:g}", fontsize="small")
        if self.observed is not None:
            size = point_area(len(self.observed[0]))
            self.ax_.scatter(*self.observed, s=size, color=DATA, alpha=0.5, lw=0)
        self.ax_.set(xlabel=self.names[0], ylabel=self.names[1], xlim=box[:2], ylim=box[2:])
        patches = [Patch(color=expert_color(k), alpha=0.6, label=f"expert {k}") for k in present]
        self.ax_.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        return self


def _numbers(table, number: int) -> np.ndarray:
    column = column_of(table, number)
    assert holds_numbers(column)  # line_of has refused others
    return column.to_numpy(dtype=float, na_value=np.nan)
