"""The number of experts against how well held-out rows are predicted."""

import numpy as np

from skcocoafuse.plotting.figure import EXPERTS, clean, filled_or_hollow, new_axes

_LINEAR = 10.0  # nats; larger differences need less resolution


class NExpertsDisplay:
    """Differences of elpd between numbers of experts, with paired standard errors.

    The scale is logarithmic beyond 10 nats. Hollow markers are numbers whose estimates are
    unreliable; a ring marks the selected one. Create it with :meth:`from_selection`.

    Parameters
    ----------
    table : pandas.DataFrame
        :attr:`~skcocoafuse.NExpertsSelection.table` of a selection.
    untrusted : list of int, default=()

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skcocoafuse import MoERegressor, select_n_experts
    >>> from skcocoafuse.datasets import make_switch
    >>> from skcocoafuse.plotting import NExpertsDisplay
    >>> X, y = make_switch(100, random_state=0)
    >>> model = MoERegressor(inference="vi", random_state=0)
    >>> selection = select_n_experts(model, X, y, n_experts=[1, 2], cv=3, rule="best")
    >>> NExpertsDisplay.from_selection(selection).ax_.get_xlabel()
    'number of experts'
    """

    def __init__(self, table, untrusted=()):
        self.table = table
        self.untrusted = untrusted

    @classmethod
    def from_selection(cls, selection, *, ax=None):
        """Draw the result of :func:`skcocoafuse.select_n_experts`.

        Parameters
        ----------
        selection : NExpertsSelection, or fitted NExpertsSelector
        ax : matplotlib.axes.Axes, optional

        Returns
        -------
        NExpertsDisplay
        """
        selection = getattr(selection, "selection_", selection)
        return cls(selection.table, selection.untrusted).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            A new figure by default.

        Returns
        -------
        NExpertsDisplay
            Itself.
        """
        from matplotlib.ticker import SymmetricalLogLocator

        self.ax_ = ax = clean(new_axes(ax))
        self.figure_ = ax.figure
        numbers, behind = self.table.index.to_numpy(), -self.table["elpd_diff"].to_numpy()
        ax.axhline(0.0, color="0.8", linewidth=1.0, zorder=0)
        ax.errorbar(
            numbers, behind, self.table["diff_se"], fmt="none", color="0.4", elinewidth=1.5,
            capsize=3,
        )  # fmt: skip
        filled_or_hollow(ax, numbers, behind, np.isin(numbers, self.untrusted), "unreliable")
        chosen = self.table["chosen"].to_numpy()
        ax.plot(
            numbers[chosen], behind[chosen], "o", color=EXPERTS[0], mfc="none", markersize=13,
            label="chosen",
        )  # fmt: skip
        ax.set_yscale("symlog", linthresh=_LINEAR)
        ax.yaxis.set_major_locator(
            SymmetricalLogLocator(base=10, linthresh=_LINEAR, subs=(1, 2, 5))
        )
        ax.yaxis.set_major_formatter("{x:g}")
        ax.set_xticks(numbers)
        ax.set_xlabel("number of experts")
        ax.set_ylabel("elpd minus the highest (nats)")
        ax.legend(frameon=False)
        return self
