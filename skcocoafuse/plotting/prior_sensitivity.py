"""Which conclusions move with which prior."""

import numpy as np

from skcocoafuse.plotting.figure import clean, expert_color, new_axes

_APART = 0.6  # of the room of a prior, that its conclusions share


class PriorSensitivityDisplay:
    """Sensitivity of conclusions to the prior of each parameter, and the reporting threshold.

    Filled markers are those with a diagnosis. Create it with :meth:`from_sensitivity`, or by
    ``plot`` of a :class:`~skcocoafuse.PriorSensitivity`.

    Parameters
    ----------
    table : pandas.DataFrame
        :attr:`~skcocoafuse.PriorSensitivity.table`.
    threshold : float

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skcocoafuse import BoERegressor, prior_sensitivity
    >>> from skcocoafuse.datasets import make_transition
    >>> X, y = make_transition(100, random_state=0)
    >>> model = BoERegressor(1, inference="vi", random_state=0).fit(X, y)
    >>> display = prior_sensitivity(model).plot()
    >>> display.ax_.get_xlabel()
    'prior sensitivity'
    """

    def __init__(self, table, threshold):
        self.table = table
        self.threshold = threshold

    @classmethod
    def from_sensitivity(cls, sensitivity, *, ax=None):
        """Draw the result of :func:`skcocoafuse.prior_sensitivity`.

        Parameters
        ----------
        sensitivity : PriorSensitivity
        ax : matplotlib.axes.Axes, optional
            Those of a new figure by default.

        Returns
        -------
        PriorSensitivityDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        return cls(sensitivity.table, sensitivity.threshold).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            A new figure by default.

        Returns
        -------
        PriorSensitivityDisplay
            Itself.
        """
        rows = self.table.reset_index()
        priors, conclusions = (list(rows[name].unique()) for name in ("prior", "conclusion"))
        self.ax_ = ax = clean(new_axes(ax, (6.5, 1.0 + 0.5 * len(priors))))
        self.figure_ = ax.figure
        shift = _APART * (np.arange(len(conclusions)) / len(conclusions) - 0.5)
        for k, conclusion in enumerate(conclusions):
            own = rows[rows["conclusion"] == conclusion]
            at = own["prior"].map(priors.index).to_numpy() + shift[k]
            values, told = own["prior_sensitivity"].to_numpy(), (own["diagnosis"] != "").to_numpy()
            color = expert_color(k)
            ax.plot(values, at, "o", color=color, mfc="white", label=conclusion)
            ax.plot(values[told], at[told], "o", color=color)
        ax.axvline(self.threshold, color="0.4", ls="--", lw=1.0, zorder=0)
        ax.set_yticks(range(len(priors)), priors)
        ax.set(xlabel="prior sensitivity", ylim=(len(priors) - 0.5, -0.5))
        ax.set_xlim(left=0.0)
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return self
