"""Models against how well held-out rows are predicted."""

import numpy as np

from skcocoafuse.plotting.figure import clean, filled_or_hollow, new_axes


class ComparisonDisplay:
    """Differences of the models' elpd from the highest one, with paired standard errors.

    Hollow markers are models whose fits did not pass their checks; the vertical line is the first
    model. Create it with :meth:`from_comparison`, or by ``plot`` of a comparison.

    Parameters
    ----------
    table : pandas.DataFrame
        :attr:`~skcocoafuse.Comparison.table` of a comparison.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skcocoafuse import MoERegressor, compare
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(200, random_state=0)
    >>> models = {
    ...     str(n): MoERegressor(n, inference="vi", random_state=0).fit(X, y) for n in (1, 2)
    ... }
    >>> display = compare(models).plot()
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['2', '1']
    """

    def __init__(self, table):
        self.table = table

    @classmethod
    def from_comparison(cls, comparison, *, ax=None):
        """Draw the result of :func:`skcocoafuse.compare`.

        Parameters
        ----------
        comparison : Comparison
        ax : matplotlib.axes.Axes, optional
            Those of a new figure by default.

        Returns
        -------
        ComparisonDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        return cls(comparison.table).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            A new figure by default.

        Returns
        -------
        ComparisonDisplay
            Itself.
        """
        self.ax_ = ax = clean(new_axes(ax, (6.0, 1.0 + 0.5 * len(self.table))))
        self.figure_ = ax.figure
        behind, at = -self.table["elpd_diff"].to_numpy(), np.arange(len(self.table))
        ax.axvline(0.0, color="0.8", lw=1.0, zorder=0)
        ax.errorbar(
            behind, at, xerr=self.table["diff_se"], fmt="none", color="0.4", elinewidth=1.5,
            capsize=3,
        )  # fmt: skip
        failed = ~self.table["converged"].to_numpy(dtype=bool)
        filled_or_hollow(ax, behind, at, failed, "checks not passed")
        if failed.any():
            ax.legend(frameon=False)
        ax.set_yticks(at, [str(name) for name in self.table.index])
        ax.set(xlabel="elpd minus the highest (nats)", ylim=(len(at) - 0.5, -0.5))
        return self
