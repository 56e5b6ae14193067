"""Single predictions explained: experts, features, and sources of the variance."""

from dataclasses import dataclass, replace

import numpy as np

from skcocoafuse.evaluation.tables import Tabular
from skcocoafuse.model import forward
from skcocoafuse.model.chunks import map_chunks
from skcocoafuse.model.parameters import EXPERT
from skcocoafuse.posterior.fit import Fit
from skcocoafuse.predictive import PredictiveDistribution
from skcocoafuse.predictive.target import TargetMap
from skcocoafuse.predictive.wrappers import unwrap

_COVERAGE = 0.9  # of the interval
_LEAST_WEIGHT = 0.05  # of an expert to be named in a sentence
_MOST_NAMED = 3  # features in a sentence
_SOURCES = ("noise", "between_experts", "parameters")


@dataclass(frozen=True, eq=False)
class Explanation(Tabular):
    """Predictions of some rows, taken apart; ``str`` gives a sentence or two for each.

    Returned by :func:`explain` and by ``explain`` of a fitted regressor.

    Parameters
    ----------
    mean, std : ndarray of shape (rows,)
        Of the predictive distribution.
    interval : ndarray of shape (rows, 2)
        Central, with 90% of the probability.
    baseline : ndarray of shape (rows,)
        What the row's mix of experts predicts at average inputs, or at inputs of 0.
    contributions : ndarray of shape (rows, columns)
        What each column of the experts' design adds to the baseline; they sum to the mean.
    gate : ndarray of shape (rows, n_experts)
        Mean weights, of the heaviest chain cluster.
    variance : ndarray of shape (rows, 3)
        Shares of noise, differences between experts, and uncertain parameters.
    columns : list of str
        Names of the columns.
    from_zero : bool, default=False
        Whether the baseline is at inputs of 0, where the regressor has ``standardize=False``.
    transformed : bool, default=False
        Whether values are in units of the transformed target, on whose scale the experts are
        linear, because there are no contributions to a sum on the original one.

    Examples
    --------
    >>> from skcocoafuse import BoERegressor
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]] * 5, [0.0, 2.1, 3.9, 6.0] * 5
    >>> found = BoERegressor(1, inference="map", random_state=0).fit(X, y).explain([[2.0]])
    >>> found.contributions.round(1)  # from an average input of 1.5 on
    array([[1.]])
    >>> print(found.table["mean"].round(1).to_string(index=False))
     baseline  x0
          3.0 1.0
    """

    mean: np.ndarray
    std: np.ndarray
    interval: np.ndarray
    baseline: np.ndarray
    contributions: np.ndarray
    gate: np.ndarray
    variance: np.ndarray
    columns: list[str]
    from_zero: bool = False
    transformed: bool = False

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def table(self):
        """One row per prediction, a pandas.DataFrame with columns in groups.

        ``prediction``: mean, sd and interval; ``mean``: its baseline and contributions;
        ``expert``: weights; ``variance``: shares.
        """
        import pandas as pd

        groups = {
            ("prediction", "mean"): self.mean,
            ("prediction", "sd"): self.std,
            ("prediction", "lower"): self.interval[:, 0],
            ("prediction", "upper"): self.interval[:, 1],
            ("mean", "baseline"): self.baseline,
            **{("mean", n): c for n, c in zip(self.columns, self.contributions.T, strict=True)},
            **{("expert", str(k)): weight for k, weight in enumerate(self.gate.T)},
            **{("variance", n): s for n, s in zip(_SOURCES, self.variance.T, strict=True)},
        }
        return pd.DataFrame(groups)

    def sentence(self, row: int) -> str:
        """The explanation of one row, in words."""
        low, high = self.interval[row]
        order = np.argsort(-self.gate[row])
        experts = [k for k in order if self.gate[row, k] >= _LEAST_WEIGHT]
        named = ", ".join(f"{k} ({self.gate[row, k]:.0%})" for k in experts)
        largest = np.argsort(-np.abs(self.contributions[row]))[:_MOST_NAMED]
        added = ", ".join(f"{self.columns[j]} {self.contributions[row, j]:+.3g}" for j in largest)
        rest = self.contributions[row].sum() - self.contributions[row, largest].sum()
        if len(self.columns) > _MOST_NAMED:
            added += f", the others {rest:+.3g}"
        noise, between, parameters = self.variance[row]
        where = " (transformed target)" if self.transformed else ""
        begin = "inputs of 0" if self.from_zero else "average inputs"
        return (
            f"Row {row}{where}: {self.mean[row]:.4g} with standard deviation {self.std[row]:.3g} "
            f"({_COVERAGE:.0%} from {low:.4g} to {high:.4g}), by expert {named}. "
            f"From {self.baseline[row]:.4g} at {begin}: {added or 'no inputs'}. Of the "
            f"variance {noise:.0%} is noise, {between:.0%} differences between experts, "
            f"{parameters:.0%} uncertain parameters."
        )

    def __str__(self) -> str:
        return "\n".join(map(self.sentence, range(len(self))))

    def __repr__(self) -> str:
        return f"Explanation({len(self)} rows)"

    def _repr_html_(self) -> str:
        return self.table.to_html(float_format=lambda value: f"{value:.3g}")


def explain(estimator, X) -> Explanation:
    """Predictions of rows taken apart, by an estimator alone or inside meta-estimators.

    Parameters
    ----------
    estimator : estimator
        Fitted; a regressor of this package, possibly nested in ``Pipeline``, ``GridSearchCV``
        (anything with a ``best_estimator_``) and ``TransformedTargetRegressor``.
    X : array-like of shape (n_samples, n_features)
        A few rows, as input of the outermost estimator.

    Returns
    -------
    Explanation
        Of the columns that the regressor sees, under the names that the steps before it give them.
        With a ``TransformedTargetRegressor`` in units of the original target if the
        transformation is linear; otherwise in units of the transformed target (``transformed`` is
        then True), since a nonlinear function of a sum is no sum. :func:`predict_dist` has the
        distribution of the original target.

    Raises
    ------
    TypeError
        If there is no regressor of this package inside.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import PolynomialFeatures
    >>> from skcocoafuse import BoERegressor, explain
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]] * 5, [0.0, 1.1, 3.9, 9.0] * 5
    >>> square = PolynomialFeatures(2, include_bias=False)
    >>> pipe = make_pipeline(square, BoERegressor(1, inference="map", random_state=0)).fit(X, y)
    >>> explain(pipe, [[2.5]]).table["mean"].columns.tolist()
    ['baseline', 'x0', 'x0^2']
    """
    inside = unwrap(estimator, "explain", "explanation of predictions")
    regressor = inside.estimator
    found = regressor.explain(inside.inputs(X))
    names = inside.input_names()
    if names is not None:
        found = replace(found, columns=regressor.fitted_.posed.designs[EXPERT].names_from(names))
    return _of_original_target(found, TargetMap(*inside.of_target)) if inside.of_target else found


def _of_original_target(found: Explanation, target: TargetMap) -> Explanation:
    """In units of the original target, if that is a linear function of the transformed one."""
    line = target.line()
    if line is None:
        return replace(found, transformed=True)
    zero, slope = line
    return replace(
        found,
        mean=zero + slope * found.mean,
        std=abs(slope) * found.std,
        interval=np.sort(zero + slope * found.interval, axis=1),
        baseline=zero + slope * found.baseline,
        contributions=slope * found.contributions,
    )


def taken_apart(fit: Fit, designs, gate: np.ndarray, dist: PredictiveDistribution) -> Explanation:
    """Explain predictions of rows.

    Parameters
    ----------
    fit : Fit
    designs : dict of str to ndarray
        Standardized design matrices.
    gate : ndarray of shape (rows, n_experts)
        Mean weights.
    dist : PredictiveDistribution
        Of these rows.
    """
    draws, draw_weight = fit.posterior.flat(), fit.posterior.draw_weight()

    def mixed(_, part):
        """Intercept and slopes of the average line, given the weights: (rows, 1 + columns)."""
        weights = np.exp(forward.log_gate(forward.NUMPY, draws, part["gate"]))
        weights = weights * draw_weight[:, None, None]
        intercept = np.einsum("srk,sk->r", weights, draws.expert_intercept)
        return np.column_stack([intercept, np.einsum("srk,skj->rj", weights, draws.expert_coef)])

    lines = np.concatenate(map_chunks(mixed, designs, draws.sigma.size))
    mean, std = dist.mean_and_std()
    parts = dist.variance_parts()
    return Explanation(
        mean=mean,
        std=std,
        interval=dist.interval(_COVERAGE),
        baseline=fit.target.undo(lines[:, 0]),
        contributions=fit.target.scale * lines[:, 1:] * designs[EXPERT],
        gate=gate,
        variance=np.column_stack([getattr(parts, name) for name in _SOURCES])
        / parts.total()[:, None],
        columns=fit.posed.column_names[EXPERT],
        from_zero=not fit.posed.designs[EXPERT].scale.loc.any(),
    )
