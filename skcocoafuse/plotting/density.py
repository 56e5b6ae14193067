"""The predictive density at single rows."""

import numpy as np

from skcocoafuse._validation import check_probability
from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.plotting.figure import MAIN, clean, expert_color, pyplot, shades
from skcocoafuse.plotting.subject import name_of_target, regressor_of
from skcocoafuse.posterior.fit import checked_designs
from skcocoafuse.predictive.prediction import predict_dist

_POINTS = 801  # per density
_TAIL = 5e-4  # probability on either side of what is drawn
_DRAWS = 200  # that the curves of single experts average
_COLUMNS = 3  # panels side by side
# Of the mean density inside the region: spikes are cut off there, so that the rest can be seen.
# That of a Normal is at most 1.7 times its mean.
_TALLEST = 6.0


class PredictiveDensityDisplay:
    """Densities of rows with their modes, highest-density regions, experts and observed values.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    y : ndarray of shape (rows, points)
        Values of the target.
    density : ndarray of shape (rows, points)
    regions : ndarray of shape (rows, k, 2)
        Intervals of the highest-density regions, NaN where there are fewer.
    modes : list of ndarray
        Of each row, inside its region. Triangles show them, upright ones where the axis is cut off
        below.
    prob : float
        Probability of the regions.
    experts : ndarray of shape (n_experts, rows, points), or None
        Weighted densities of the experts; they sum to the density.
    observed : ndarray of shape (rows,), or None
    labels : list of str
        Of the rows.
    target_name : str

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    axes_ : list of matplotlib.axes.Axes
        One for each row.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skcocoafuse import MoERegressor
    >>> from skcocoafuse.datasets import make_bimodal
    >>> from skcocoafuse.plotting import PredictiveDensityDisplay
    >>> X, y = make_bimodal(200, random_state=0)
    >>> model = MoERegressor(inference="vi", random_state=0).fit(X, y)
    >>> len(PredictiveDensityDisplay.from_estimator(model, X[:2], y[:2]).axes_)
    2
    """

    def __init__(self, y, density, regions, modes, *, prob=0.9, experts=None, observed=None,
                 labels=None, target_name="y"):  # fmt: skip
        self.y = y
        self.density = density
        self.regions = regions
        self.modes = modes
        self.prob = prob
        self.experts = experts
        self.observed = observed
        self.labels = labels
        self.target_name = target_name

    @classmethod
    def from_estimator(
        cls, estimator, X, y=None, *, prob=0.9, experts=True, target_name=None, ax=None
    ):
        """Draw the predictive densities of rows.

        Parameters
        ----------
        estimator : estimator
            Fitted; a regressor of this package, or a meta-estimator that contains one.
        X : array-like or DataFrame of shape (n_rows, n_features)
            A few rows; each gets a panel.
        y : array-like of shape (n_rows,), optional
            Observed targets.
        prob : float, default=0.9
            Probability of the highest-density region.
        experts : bool, default=True
            Whether to draw what each expert contributes; not for transformed targets.
        target_name : str, optional
            By default the name of ``y``, or "y".
        ax : matplotlib.axes.Axes, optional
            For a single row.

        Returns
        -------
        PredictiveDensityDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If ``prob`` is not a probability.
        """
        inside = regressor_of(estimator)
        contributions = None
        if experts and not inside.of_target:
            contributions = _contributions(inside.estimator, inside.inputs(X))
        return cls.from_predictions(
            predict_dist(estimator, X),
            y,
            prob=prob,
            experts=contributions,
            labels=[f"row {row}" for row in X.index] if hasattr(X, "index") else None,
            target_name=name_of_target(target_name, y),
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls, dist, y=None, *, prob=0.9, experts=None, labels=None, target_name="y", ax=None
    ):
        """Draw predictive distributions.

        Parameters
        ----------
        dist : PredictiveDistribution or TransformedDistribution
        y : array-like of shape (n_rows,), optional
        prob, target_name, ax
            As in :meth:`from_estimator`.
        experts : callable, optional
            From values (rows, points) to weighted densities (n_experts, rows, points).
        labels : list of str, optional

        Returns
        -------
        PredictiveDensityDisplay
        """
        check_probability(prob, "prob")
        low, high = dist.ppf([_TAIL, 1.0 - _TAIL]).T
        observed = None if y is None else np.asarray(y, dtype=float)
        if observed is not None:
            low, high = np.fmin(low, observed), np.fmax(high, observed)
        margin = 0.05 * (high - low)
        values = np.linspace(low - margin, high + margin, _POINTS).T
        regions = dist.hdi(prob).intervals
        return cls(
            values,
            dist.pdf(values),
            regions,
            [_inside(*row) for row in zip(dist.modes().location, regions, strict=True)],
            prob=prob,
            experts=None if experts is None else experts(values),
            observed=observed,
            labels=labels or [f"row {number}" for number in range(len(values))],
            target_name=target_name,
        ).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            For a single row; a new figure by default.

        Returns
        -------
        PredictiveDensityDisplay
            Itself.

        Raises
        ------
        ValueError
            If there are several rows, but one pair of axes.
        """
        n = len(self.y)
        if ax is None:
            columns = min(n, _COLUMNS)
            lines = -(-n // columns)
            size = (3.6 * columns + 0.6, 2.7 * lines)
            self.figure_, axes = pyplot().subplots(
                lines, columns, figsize=size, squeeze=False, layout="constrained"
            )
            for unused in axes.ravel()[n:]:
                unused.set_visible(False)
            self.axes_ = list(axes.ravel()[:n])
        elif n > 1:
            raise ValueError(f"ax is for a single row; there are {n}.")
        else:
            self.figure_, self.axes_ = ax.figure, [ax]
        for row, own in enumerate(self.axes_):
            self._draw(clean(own), row)
        for own in self.axes_[-min(n, _COLUMNS) :]:
            own.set_xlabel(self.target_name)
        handles = {
            label: handle
            for own in self.axes_
            for handle, label in zip(*own.get_legend_handles_labels(), strict=True)
        }
        legend = handles.values(), handles.keys()
        if ax is None:
            self.figure_.legend(*legend, loc="outside right upper", frameon=False)
        else:
            ax.legend(*legend, frameon=False, fontsize="small")
        return self

    def _draw(self, ax, row: int) -> None:
        y, density = self.y[row], self.density[row]
        inside = np.zeros(len(y), dtype=bool)
        for low, high in self.regions[row]:
            inside |= (y >= low) & (y <= high)
        ax.fill_between(y, density, where=inside, color=shades(1)[0], lw=0,
                        label=f"{self.prob:.0%} region")  # fmt: skip
        if self.experts is not None:
            for k, own in enumerate(self.experts[:, row]):
                if own.max() > 0.01 * density.max():
                    ax.plot(y, own, color=expert_color(k), lw=1.2, label=f"expert {k}")
        ax.plot(y, density, color=MAIN, lw=1.8)
        width = np.nansum(np.diff(self.regions[row], axis=1))
        top = min(1.12 * density.max(), _TALLEST * self.prob / width)
        for mode in self.modes[row]:
            height = np.interp(mode, y, density)
            ax.plot(mode, min(height, 0.97 * top), "v" if height < top else "^", color=MAIN, ms=5)
        if self.observed is not None:
            ax.axvline(self.observed[row], color="0.2", lw=1.3, ls="--", label="observed")
        ax.set_ylim(0.0, top)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        if self.labels is not None:
            ax.set_title(self.labels[row], fontsize="medium", loc="left")


def _inside(modes: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """The modes inside any of the intervals."""
    within = (modes[:, None] >= regions[:, 0]) & (modes[:, None] <= regions[:, 1])
    return modes[within.any(axis=1)]


def _contributions(regressor, X):
    """A function of values (rows, points): weighted densities of experts, in the target's units."""
    designs, fit = checked_designs(regressor, X), regressor.fitted_
    mixture = mixture_of(fit.problem.spec, fit.posterior.main_cluster().thinned(_DRAWS), designs)

    def weighted(values: np.ndarray) -> np.ndarray:
        points = fit.target.apply(values).T  # (points, rows)
        logs = (forward.component_log_density(forward.NUMPY, mixture, z) for z in points)
        density = np.stack([np.exp(log).mean(axis=0) for log in logs])  # (points, rows, n_experts)
        return density.T / fit.target.scale

    return weighted
