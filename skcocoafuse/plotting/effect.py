"""The effect of a feature, averaged over rows."""

import numpy as np

from skcocoafuse._validation import check_probability
from skcocoafuse.model import forward
from skcocoafuse.model.chunks import map_chunks
from skcocoafuse.model.inputs import take, with_column
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.model.rows import evenly_spaced
from skcocoafuse.plotting.figure import MAIN, axes_in_a_row
from skcocoafuse.plotting.subject import line_of, number_of, regressor_of, rows_of, with_band
from skcocoafuse.posterior.fit import checked_designs
from skcocoafuse.predictive.prediction import predict_dist

_DRAWS = 200  # of bands
_QUANTILES = (0.05, 0.5, 0.95)  # drawn without bands


class EffectDisplay:
    """Mean, standard deviation and quantiles of predictions as one feature changes.

    The partial dependence (Friedman, 2001, Annals of Statistics 29) of each: the average over rows
    whose feature is set to the same value, with credible bands for mean and standard deviation,
    those given one posterior draw. Create it with :meth:`from_estimator`.

    Parameters
    ----------
    x : ndarray of shape (n_points,)
    mean, std : ndarray of shape (3, n_points)
        Average, lower and upper end.
    quantiles : ndarray of shape (n_points, 3)
        Of probabilities 0.05, 0.5 and 0.95.
    names : tuple of str
        Of the feature and of the target.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    mean_ax_, std_ax_, quantile_ax_ : matplotlib.axes.Axes

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skcocoafuse import MoERegressor
    >>> from skcocoafuse.datasets import make_switch
    >>> from skcocoafuse.plotting import EffectDisplay
    >>> X, y = make_switch(150, random_state=0)
    >>> model = MoERegressor(inference="vi", random_state=0).fit(X, y)
    >>> EffectDisplay.from_estimator(model, X, n_points=20).mean.shape
    (3, 20)
    """

    def __init__(self, x, mean, std, quantiles, *, names=("x", "y")):
        self.x = x
        self.mean = mean
        self.std = std
        self.quantiles = quantiles
        self.names = names

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        feature=None,
        coverage=0.9,
        n_points=40,
        max_rows=100,
        target_name=None,
        ax=None,
    ):
        """Draw the effect of a feature on the predictions of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted; a regressor of this package, or a meta-estimator that contains one and does not
            transform the target.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows to average over.
        feature : str or int, optional
            Name or position; not needed if there is only one.
        coverage : float, default=0.9
            Of the credible bands.
        n_points : int, default=40
        max_rows : int, default=100
            At most so many rows are averaged over, evenly spaced ones.
        target_name : str, optional
            "y" by default.
        ax : matplotlib.axes.Axes, optional
            Replaced by the axes of the display.

        Returns
        -------
        EffectDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If an argument is invalid, or the target is transformed.
        """
        check_probability(coverage, "coverage")
        inside = regressor_of(estimator)
        if inside.of_target:
            raise ValueError(
                "The target is transformed, so draws of its mean have no closed form; use "
                "PredictionFanDisplay, which shows the distribution of the original target."
            )
        line = line_of(X, feature, "median", n_points)
        table, names = rows_of(X)
        number = number_of(feature, names)
        some = take(table, evenly_spaced(len(table), max_rows))
        mean, std, quantiles = [], [], []
        for value in line.values:
            rows = with_column(some, number, np.full(len(some), value))
            of_draws = _moments_of_draws(inside.estimator, inside.inputs(rows))
            mean.append(of_draws[0])
            std.append(of_draws[1])
            quantiles.append(predict_dist(estimator, rows).ppf(_QUANTILES).mean(axis=0))
        display = cls(
            line.values,
            with_band(np.array(mean).T, coverage),
            with_band(np.array(std).T, coverage),
            np.array(quantiles),
            names=(line.name, target_name or "y"),
        )
        return display.plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Replaced by the axes of the display; a new figure by default.

        Returns
        -------
        EffectDisplay
            Itself.
        """
        self.mean_ax_, self.std_ax_, self.quantile_ax_ = axes_in_a_row(ax, [1, 1, 1], (10.0, 3.0))
        self.figure_ = self.mean_ax_.figure
        for ax, (middle, low, high) in ((self.mean_ax_, self.mean), (self.std_ax_, self.std)):
            ax.fill_between(self.x, low, high, color=MAIN, alpha=0.25, lw=0)
            ax.plot(self.x, middle, color=MAIN, lw=1.8)
        for probability, values in zip(_QUANTILES, self.quantiles.T, strict=True):
            style = "-" if probability == 0.5 else "--"
            self.quantile_ax_.plot(
                self.x, values, style, color=MAIN, lw=1.5, label=f"{probability:.0%}"
            )
        self.quantile_ax_.legend(frameon=False, fontsize="small")
        self.std_ax_.set_ylim(bottom=0.0)
        for ax, label in (
            (self.mean_ax_, "mean"),
            (self.std_ax_, "standard deviation"),
            (self.quantile_ax_, "quantiles"),
        ):
            ax.set(xlabel=self.names[0], ylabel=f"{label} ({self.names[1]})")
        return self


def _moments_of_draws(regressor, X) -> np.ndarray:
    """Mean and standard deviation of predictions given a draw, averaged over rows: (2, draws)."""
    fit, designs = regressor.fitted_, checked_designs(regressor, X)
    draws, spec = fit.posterior.thinned(_DRAWS), fit.problem.spec

    def moments(_, part):
        mean, variance = forward.mean_and_variance(mixture_of(spec, draws, part))
        return np.stack([mean.sum(axis=1), np.sqrt(variance).sum(axis=1)])

    chunks = map_chunks(moments, designs, draws.sigma.size)
    mean, std = np.sum(chunks, axis=0) / len(designs["expert"])
    return np.stack([fit.target.undo(mean), fit.target.scale * std])
