"""Whether chains agree."""

import numpy as np

from skcocoafuse.plotting.figure import MAIN, axes_in_a_row, expert_color
from skcocoafuse.plotting.subject import regressor_of
from skcocoafuse.posterior.clusters import MAX_RHAT, N_ANCHORS, invariants
from skcocoafuse.posterior.monte_carlo import rhat

_GROUPS = ("log density", "mean", "log variance")  # of the predictions at the anchor rows


class ConvergenceDisplay:
    """Traces of quantities that do not depend on expert labels, and their R-hat.

    The left panel shows the log posterior, the middle one the prediction that chains agree on
    least, the right one R-hat of all of these quantities. Chains of one color belong to the same
    chain cluster. Create it with :meth:`from_estimator`.

    Parameters
    ----------
    quantities : ndarray of shape (chains, draws, quantities)
        The log posterior, then log density, mean and log variance at ten training rows.
    clusters : sequence of sequences of int
        Chains that agree.
    rhat : ndarray of shape (quantities,)
    note : str
        Number of clusters and what remedies did, if any.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    trace_ax_, worst_ax_, rhat_ax_ : matplotlib.axes.Axes

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skcocoafuse import MoERegressor
    >>> from skcocoafuse.datasets import make_switch
    >>> from skcocoafuse.plotting import ConvergenceDisplay
    >>> model = MoERegressor(inference="vi", random_state=0).fit(*make_switch(150, random_state=0))
    >>> bool(ConvergenceDisplay.from_estimator(model).rhat.max() < 1.05)
    True
    """

    def __init__(self, quantities, clusters, rhat, *, note=""):
        self.quantities = quantities
        self.clusters = clusters
        self.rhat = rhat
        self.note = note

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Draw the chains of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted; a regressor of this package, or a meta-estimator that contains one.
        ax : matplotlib.axes.Axes, optional
            Replaced by the axes of the display.

        Returns
        -------
        ConvergenceDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            For the single draw of ``inference="map"``.
        """
        fit = regressor_of(estimator).estimator.fitted_
        if fit.posterior.log_posterior.size == 1:
            raise ValueError("inference='map' has a single draw, so there are no chains to draw.")
        quantities = invariants(fit.problem, fit.posterior)
        clusters, found = fit.posterior.clusters, fit.diagnostics
        note = f"{len(clusters)} chain cluster{'s' * (len(clusters) > 1)}"
        if remedies := found.get("remedies"):
            note += f"; remedies: {', '.join(map(str, remedies))}"
        return cls(quantities, clusters, rhat(quantities), note=note).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Replaced by the axes of the display; a new figure by default.

        Returns
        -------
        ConvergenceDisplay
            Itself.
        """
        self.trace_ax_, self.worst_ax_, self.rhat_ax_ = axes_in_a_row(ax, [1, 1, 1], (10.0, 3.0))
        self.figure_ = self.trace_ax_.figure
        worst = 1 + int(np.nan_to_num(self.rhat[1:]).argmax())
        group, row = divmod(worst - 1, (len(self.rhat) - 1) // len(_GROUPS))
        for ax, number in ((self.trace_ax_, 0), (self.worst_ax_, worst)):
            for cluster, chains in enumerate(self.clusters):
                for chain in chains:
                    ax.plot(
                        self.quantities[chain, :, number], color=expert_color(cluster), lw=0.6,
                        alpha=0.7,
                    )  # fmt: skip
            ax.set_xlabel("draw")
        self.trace_ax_.set(ylabel="log posterior", title=self.note)
        label = f"{_GROUPS[group]} at row {row + 1} of {N_ANCHORS}"
        self.worst_ax_.set(ylabel=label, title=f"R-hat {self.rhat[worst]:.3f}")
        names = ["log posterior", *_GROUPS]
        parts = [self.rhat[:1], *np.split(self.rhat[1:], len(_GROUPS))]
        for at, values in enumerate(parts):
            self.rhat_ax_.plot(values, np.full(len(values), at), "o", color=MAIN, alpha=0.5, ms=5)
        self.rhat_ax_.axvline(MAX_RHAT, color="0.4", ls="--", lw=1.0)
        self.rhat_ax_.set_yticks(range(len(names)), names)
        self.rhat_ax_.set(xlabel="R-hat", ylim=(len(names) - 0.5, -0.5))
        return self
