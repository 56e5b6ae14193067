"""Whether predictive distributions are calibrated."""

import numpy as np
from scipy import stats

from skcocoafuse._validation import check_probability, validate_observed
from skcocoafuse.plotting.figure import MAIN, axes_in_a_row
from skcocoafuse.plotting.subject import name_of_target
from skcocoafuse.predictive.prediction import predict_dist

_SIMULATED = 2000  # uniform samples, for a band whose level is known to 0.5%
_MOST_POINTS = 100  # at which the distribution of the PIT is looked at
_COVERAGES = np.linspace(0.05, 0.99, 48)  # nominal ones


class CalibrationDisplay:
    """The probability integral transform, and coverage and length of central intervals.

    The left panel shows the empirical distribution of the PIT minus that of a uniform variable,
    with a band that a calibrated forecast leaves anywhere with probability 5% (simultaneous:
    Säilynoja, Bürkner and Vehtari, 2022, Statistics and Computing 32). A curve that rises on the
    left and falls on the right belongs to intervals that are too short. The middle panel shows the
    share of observations inside central intervals, the right one the intervals' mean length.

    Create it with :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_pit`.

    Parameters
    ----------
    pit : ndarray of shape (rows,)
    length : ndarray, or None
        Mean length of central intervals at the coverages 0.05 to 0.99.
    level : float, default=0.95
        Probability of the bands.
    target_name : str, default="y"

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    pit_ax_, coverage_ax_, length_ax_ : matplotlib.axes.Axes
        The last is None without lengths.
    inside_ : bool
        Whether the curve of the PIT stays inside its band.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skcocoafuse import BoERegressor
    >>> from skcocoafuse.datasets import make_transition
    >>> from skcocoafuse.plotting import CalibrationDisplay
    >>> X, y = make_transition(400, random_state=0)
    >>> model = BoERegressor(inference="vi", random_state=0).fit(X[:200], y[:200])
    >>> CalibrationDisplay.from_estimator(model, X[200:], y[200:]).inside_
    True
    """

    def __init__(self, pit, length=None, *, level=0.95, target_name="y"):
        self.pit = pit
        self.length = length
        self.level = level
        self.target_name = target_name

    @classmethod
    def from_estimator(cls, estimator, X, y, *, level=0.95, target_name=None, ax=None):
        """Draw the calibration of an estimator on rows that it was not fitted to.

        Parameters
        ----------
        estimator : estimator
            Fitted; a regressor of this package, or a meta-estimator that contains one.
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        level : float, default=0.95
            Probability of the bands.
        target_name : str, optional
            By default the name of ``y``, or "y".
        ax : matplotlib.axes.Axes, optional
            Replaced by the axes of the display.

        Returns
        -------
        CalibrationDisplay
        """
        name = name_of_target(target_name, y)
        dist = predict_dist(estimator, X)
        return cls.from_predictions(y, dist, level=level, target_name=name, ax=ax)

    @classmethod
    def from_predictions(cls, y, dist, *, level=0.95, target_name="y", ax=None):
        """Draw the calibration of predictive distributions, such as cross-validated ones.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
        dist : PredictiveDistribution, TransformedDistribution or JoinedDistribution
            For example from :func:`skcocoafuse.cross_val_predict_dist`.
        level, target_name, ax
            As in :meth:`from_estimator`.

        Returns
        -------
        CalibrationDisplay
        """
        y = validate_observed(y, np.asarray(y))
        length = np.diff(dist.interval(_COVERAGES), axis=1)[:, 0].mean(axis=0)
        return cls(dist.pit(y), length, level=level, target_name=target_name).plot(ax=ax)

    @classmethod
    def from_pit(cls, pit, *, level=0.95, ax=None):
        """Draw the calibration of probability integral transforms, such as ``loo().pit``.

        Parameters
        ----------
        pit : array-like of shape (n_samples,)
        level, ax
            As in :meth:`from_estimator`.

        Returns
        -------
        CalibrationDisplay
        """
        return cls(np.asarray(pit, dtype=float), level=level).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Replaced by the axes of the display; a new figure by default.

        Returns
        -------
        CalibrationDisplay
            Itself.
        """
        check_probability(self.level, "level")
        n = 2 if self.length is None else 3
        axes = axes_in_a_row(ax, [1.0] * n, (3.4 * n, 3.0))
        self.figure_, (self.pit_ax_, self.coverage_ax_) = axes[0].figure, axes[:2]
        self.length_ax_ = axes[2] if n == 3 else None
        self._draw_pit(self.pit_ax_)
        self._draw_coverage(self.coverage_ax_)
        if self.length_ax_ is not None:
            self.length_ax_.plot(_COVERAGES, self.length, color=MAIN, lw=1.8)
            self.length_ax_.set(
                xlabel="nominal coverage", ylabel=f"mean length ({self.target_name})"
            )
            self.length_ax_.set_ylim(bottom=0.0)
        return self

    def _draw_pit(self, ax) -> None:
        at, low, high = _simultaneous_band(len(self.pit), self.level)
        share = np.searchsorted(np.sort(self.pit), at, side="right") / len(self.pit)
        self.inside_ = bool(((share >= low) & (share <= high)).all())
        ends = np.concatenate([[0.0], at, [1.0]])
        ax.fill_between(ends, _closed(low - at), _closed(high - at), step="mid", color="0.88", lw=0)
        ax.axhline(0.0, color="0.5", lw=0.8)
        ax.plot(ends, _closed(share - at), color=MAIN, lw=1.6)
        ax.set(xlabel="PIT", ylabel="ECDF minus uniform", xlim=(0, 1))

    def _draw_coverage(self, ax) -> None:
        n = len(self.pit)
        covered = np.abs(2.0 * self.pit - 1.0)[:, None] <= _COVERAGES
        tail = 0.5 * (1.0 - self.level)
        low, high = stats.binom.ppf([[tail], [1.0 - tail]], n, _COVERAGES) / n
        ax.fill_between(_COVERAGES, low, high, color="0.88", lw=0)
        ax.plot([0, 1], [0, 1], color="0.5", lw=0.8)
        ax.plot(_COVERAGES, covered.mean(axis=0), color=MAIN, lw=1.6)
        ax.set(xlabel="nominal coverage", ylabel="share inside", xlim=(0, 1), ylim=(0, 1))


def _closed(values: np.ndarray) -> np.ndarray:
    """With zeros at both ends, where distribution functions agree."""
    return np.concatenate([[0.0], values, [0.0]])


def _simultaneous_band(n: int, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points in (0, 1), and shares of n uniform values below them, lowest and highest.

    All of them together hold with probability ``level``, of single ones the same for all points
    (Säilynoja et al., 2022, algorithm 1, by simulation).
    """
    k = min(n, _MOST_POINTS)
    at = np.arange(1, k) / k if k > 1 else np.array([0.5])
    rng = np.random.default_rng(0)
    cells = rng.multinomial(n, np.full(len(at) + 1, 1.0 / (len(at) + 1)), size=_SIMULATED)
    counts = np.cumsum(cells, axis=1)[:, :-1]
    tails = 2.0 * np.minimum(stats.binom.cdf(counts, n, at), stats.binom.sf(counts - 1, n, at))
    single = np.quantile(tails.min(axis=1), 1.0 - level)
    low, high = stats.binom.ppf([[0.5 * single], [1.0 - 0.5 * single]], n, at) / n
    return at, low, high
