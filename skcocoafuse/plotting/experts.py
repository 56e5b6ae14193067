"""Coefficients of the experts, with their uncertainty."""

import numpy as np

from skcocoafuse._validation import check_probability
from skcocoafuse.plotting.figure import axes_in_a_row, expert_color
from skcocoafuse.plotting.subject import regressor_of, with_band

_APART = 0.7  # of the room of a feature, that its experts share


class ExpertsDisplay:
    """Slopes of the experts as a forest plot, with their noise and their share of the data.

    Create it with :meth:`from_estimator`.

    Parameters
    ----------
    slopes : ndarray of shape (3, n_experts, n_features)
        Posterior mean, lower and upper end, per unit of each column.
    noise : ndarray of shape (3, n_experts)
    share : ndarray of shape (n_experts,)
    names : list of str
    per_sd : bool
        Whether slopes are per standard deviation of each column.
    target_name : str

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_, noise_ax_, share_ax_ : matplotlib.axes.Axes

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skcocoafuse import MoERegressor
    >>> from skcocoafuse.datasets import make_switch
    >>> from skcocoafuse.plotting import ExpertsDisplay
    >>> model = MoERegressor(inference="vi", random_state=0).fit(*make_switch(150, random_state=0))
    >>> ExpertsDisplay.from_estimator(model).slopes.shape
    (3, 2, 1)
    """

    def __init__(self, slopes, noise, share, names, *, per_sd=True, target_name="y"):
        self.slopes = slopes
        self.noise = noise
        self.share = share
        self.names = names
        self.per_sd = per_sd
        self.target_name = target_name

    @classmethod
    def from_estimator(cls, estimator, *, coverage=0.9, per_sd=True, target_name=None, ax=None):
        """Draw the experts of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted; a regressor of this package, or a meta-estimator that contains one. Columns are
            those that the regressor sees.
        coverage : float, default=0.9
            Of the credible intervals.
        per_sd : bool, default=True
            Whether slopes are per standard deviation of each column, which makes them comparable,
            or per unit.
        target_name : str, optional
            "y" by default.
        ax : matplotlib.axes.Axes, optional
            Replaced by the axes of the display.

        Returns
        -------
        ExpertsDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If ``coverage`` is not a probability.
        """
        check_probability(coverage, "coverage")
        fit = regressor_of(estimator).estimator.fitted_
        draws = fit.posed.units.undo(fit.posterior.main_cluster().flat())
        design = fit.posed.designs["expert"]
        unit = design.scale.scale if per_sd else 1.0
        return cls(
            with_band(draws.expert_coef * unit, coverage),
            with_band(draws.sigma, coverage),
            fit.diagnostics["expert_share"],
            design.names,
            per_sd=per_sd,
            target_name=target_name or "y",
        ).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Replaced by the axes of the display; a new figure by default.

        Returns
        -------
        ExpertsDisplay
            Itself.
        """
        n_experts, n_features = self.slopes.shape[1:]
        height = min(1.2 + 0.22 * n_features * max(2, n_experts), 14.0)
        axes = axes_in_a_row(ax, [3.0, 1.2, 1.2], (9.0, height))
        self.ax_, self.noise_ax_, self.share_ax_ = axes
        self.figure_ = self.ax_.figure
        offsets = _APART * (np.arange(n_experts) - 0.5 * (n_experts - 1)) / n_experts
        for k in range(n_experts):
            at = np.arange(n_features) + offsets[k]
            _draw_intervals(self.ax_, self.slopes[:, k], at, expert_color(k), f"expert {k}")
            _draw_intervals(self.noise_ax_, self.noise[:, [k]], [k], expert_color(k), None)
            self.share_ax_.barh(k, self.share[k], color=expert_color(k), height=0.35)
        self.ax_.axvline(0.0, color="0.6", lw=0.8, zorder=0)
        self.ax_.set_yticks(np.arange(n_features), self.names)
        self.ax_.set_ylim(n_features - 0.5, -0.5)
        per = "sd of the column" if self.per_sd else "unit of the column"
        self.ax_.set_xlabel(f"slope ({self.target_name} per {per})")
        self.ax_.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=n_experts, frameon=False)
        for ax, label in ((self.noise_ax_, "noise"), (self.share_ax_, "share of the data")):
            ax.set_ylim(n_experts - 0.5, -0.5)
            ax.set_yticks(range(n_experts), [str(k) for k in range(n_experts)])
            ax.set_xlim(left=0.0)
            ax.set_xlabel(label if ax is self.share_ax_ else f"{label} ({self.target_name})")
        self.noise_ax_.set_ylabel("expert")
        return self


def _draw_intervals(ax, mean_and_ends, at, color, label) -> None:
    mean, low, high = mean_and_ends
    ax.hlines(at, low, high, color=color, lw=2.0)
    ax.plot(mean, at, "o", color=color, ms=5, label=label)
