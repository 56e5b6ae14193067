"""What a display is of: the regressor inside an estimator, rows along a feature, and names."""

from typing import Any, NamedTuple

import numpy as np

from skcocoafuse.model import forward
from skcocoafuse.model.inputs import column_of, holds_numbers, labels_of, take, with_column
from skcocoafuse.model.mixtures import beta_of, unfused_mixture
from skcocoafuse.posterior.fit import checked_designs
from skcocoafuse.predictive.wrappers import unwrap

_DRAWS = 400  # of bands: their ends are quantiles, known to a tenth of their width
_ALONE = 0.99  # gate weight of an expert, above which beta makes no difference
_LEAST_SHARE = 0.02  # of the variance that experts make, of the largest; below, beta is not known


class Curves(NamedTuple):
    """What experts, gate and behavior gate do at rows, with credible bands.

    Parameters
    ----------
    experts : ndarray of shape (rows, n_experts)
        In the target's units, those of the original one if it is transformed.
    gate : ndarray of shape (3, rows, n_experts)
        Mean, lower and upper end.
    behavior : ndarray of shape (3, rows), or None
        The same of a learned beta.
    identified : ndarray of bool, shape (rows,)
        Where the experts that share a row differ, so that beta makes a difference.
    """

    experts: np.ndarray
    gate: np.ndarray
    behavior: np.ndarray | None
    identified: np.ndarray


def regressor_of(estimator):
    """The regressor of this package inside an estimator, as :class:`.Unwrapped`."""
    return unwrap(estimator, "predict_gate", "gate")


def curves_of(estimator, X, coverage: float) -> Curves:
    """Curves at rows, of the heaviest chain cluster."""
    inside = regressor_of(estimator)
    regressor = inside.estimator
    designs = checked_designs(regressor, inside.inputs(X))
    fit = regressor.fitted_
    spec, draws = fit.problem.spec, fit.posterior.main_cluster().thinned(_DRAWS)
    unfused = unfused_mixture(spec, draws, designs)
    gate = np.exp(unfused.log_weight)
    _, within, between = forward.mean_and_variance_parts(unfused)
    share = (between / (within + between)).mean(axis=0)
    behavior = None
    if spec.behavior is None:
        beta = beta_of(spec, forward.draws_innermost(draws), designs["behavior"])[..., 0]
        behavior = with_band(beta, coverage)
    experts = fit.target.undo(unfused.mean.mean(axis=0))
    for transformer in reversed(inside.of_target):
        lines = [transformer.inverse_transform(line[:, None])[:, 0] for line in experts.T]
        experts = np.column_stack(lines)
    shared = gate.mean(axis=0).max(axis=1) < _ALONE
    identified = shared & (share > _LEAST_SHARE * max(share.max(), np.finfo(float).tiny))
    return Curves(experts, with_band(gate, coverage), behavior, identified)


def with_band(draws: np.ndarray, coverage: float) -> np.ndarray:
    """Mean over the first axis, then lower and upper end of the central interval."""
    tails = [0.5 * (1 - coverage), 0.5 * (1 + coverage)]
    return np.stack([draws.mean(axis=0), *np.quantile(draws, tails, axis=0)])


def name_of_target(given: str | None, y) -> str:
    """The name given, or that of ``y``, or "y"."""
    return given or getattr(y, "name", None) or "y"


class Line(NamedTuple):
    """Rows along one feature: its values, the rows, and its name."""

    values: np.ndarray
    X: Any
    name: str


def line_of(X, feature, at, n_points: int) -> Line:
    """Rows over the range of a feature, the others held fixed.

    Parameters
    ----------
    X : array or pandas.DataFrame of shape (rows, features)
    feature : str, int or None
        None if there is only one.
    at : "median", or a row of X by its position
        Where the other features are held: at their medians, those that are not numbers at their
        most frequent values; or as in that row.
    n_points : int

    Raises
    ------
    ValueError
        If the feature is unknown, or not given although there are several; or if it is not numeric.
    """
    table, names = rows_of(X)
    number = number_of(feature, names)
    column = column_of(table, number)
    if not holds_numbers(column):
        raise ValueError(f"feature {names[number]!r} is not numeric, so it has no range to draw.")
    values = np.linspace(column.min(), column.max(), n_points)
    row = _typical_row(table) if isinstance(at, str) and at == "median" else take(table, [at])
    rows = take(row, np.zeros(n_points, dtype=int))
    if hasattr(rows, "reset_index"):
        rows = rows.reset_index(drop=True)
    return Line(values, with_column(rows, number, values), names[number])


def rows_of(X) -> tuple[Any, list[str]]:
    """The rows as an array or pandas.DataFrame, and names of their columns."""
    table = X if hasattr(X, "iloc") else np.asarray(X)
    return table, labels_of(getattr(table, "columns", None), table.shape[1])


def number_of(feature, names: list[str]) -> int:
    """Position of a feature, given by its name or position.

    Raises
    ------
    ValueError
        If it is unknown, or not given although there are several.
    """
    if feature is None:
        if len(names) == 1:
            return 0
        raise ValueError(f"X has several features; choose one of feature={names}.")
    if isinstance(feature, str):
        if feature not in names:
            raise ValueError(f"feature={feature!r} is not a column of X, which has {names}.")
        return names.index(feature)
    if not 0 <= feature < len(names):
        raise ValueError(f"feature={feature!r} is not a column of X, which has {len(names)}.")
    return int(feature)


def _typical_row(table):
    if not hasattr(table, "iloc"):
        if table.dtype != object:
            return np.median(table, axis=0)[None]
        import pandas as pd

        return _typical_row(pd.DataFrame(table).infer_objects()).to_numpy(dtype=object)
    row = table.iloc[[0]].copy()
    for j in range(table.shape[1]):
        column = table.iloc[:, j]
        typical = column.median() if holds_numbers(column) else column.mode().iloc[0]
        dtype = np.float64 if holds_numbers(column) else column.dtype
        row.isetitem(j, row.iloc[:, j].astype(dtype))
        row.iloc[0, j] = typical
    return row
