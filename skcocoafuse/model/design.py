"""Design matrices: which inputs a part of the model sees, and on what scale."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from skcocoafuse.model.spec import Parameters

_RELATIVE_STEP = 1e-6  # of numerical derivatives


@dataclass(frozen=True)
class Scale:
    """Location and scale that standardise columns, and the way back.

    Constant columns get scale 1, so they stay finite (and become 0).
    """

    loc: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray, weight: np.ndarray, standardize: bool) -> "Scale":
        """Weighted mean and standard deviation of the columns (or of a vector)."""
        if not standardize:
            return cls(np.zeros(values.shape[1:]), np.ones(values.shape[1:]))
        share = weight / weight.sum()
        loc = share @ values
        size = np.abs(values).max(axis=0)
        # squares of very large and very small values are no numbers; powers of two round nothing
        unit = np.ldexp(1.0, np.frexp(size)[1] - 1)
        spread = unit * np.sqrt(share @ ((values - loc) / unit) ** 2)
        constant = spread <= 10 * np.finfo(float).eps * size
        return cls(loc, np.where(constant, 1.0, spread))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Standardise columns (or a vector)."""
        return (values - self.loc) / self.scale

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`apply`."""
        return self.loc + self.scale * values

    def undo_line(self, intercept, coef):
        """Intercept and coefficients for unstandardised columns.

        ``intercept`` (...,) and ``coef`` (..., columns) belong to standardised columns.
        """
        coef = coef / self.scale
        return intercept - coef @ self.loc, coef

    def seen_from(self, other: "Scale") -> "Scale":
        """What :meth:`apply` has to be after ``other``, so that both do what it does alone."""
        return Scale(other.apply(self.loc), self.scale / other.scale)


@dataclass(frozen=True)
class Units:
    """The scales of the three design matrices and of the target."""

    expert: Scale
    gate: Scale
    behavior: Scale
    target: Scale

    def undo(self, p: Parameters) -> Parameters:
        """The same model for unstandardised columns and target; any leading draw axes."""
        b, w = self.expert.undo_line(p.expert_intercept, p.expert_coef)
        g, v = self.gate.undo_line(p.gate_intercept, p.gate_coef)
        undone = p._replace(
            expert_intercept=self.target.undo(b),
            expert_coef=self.target.scale * w,
            sigma=self.target.scale * p.sigma,
            gate_intercept=g,
            gate_coef=v,
        )
        if p.behavior_intercept is None:
            return undone
        h, u = self.behavior.undo_line(p.behavior_intercept, p.behavior_coef)
        return undone._replace(behavior_intercept=h, behavior_coef=u)

    def seen_from(self, other: "Units") -> "Units":
        """Units whose :meth:`undo` goes from these to those of ``other``."""
        return Units(
            self.expert.seen_from(other.expert),
            self.gate.seen_from(other.gate),
            self.behavior.seen_from(other.behavior),
            self.target.seen_from(other.target),
        )


# What arithmetic in floating point may have added to recorded values. Sums and means of a few
# values are off by a few units in the last of their digits; differences of values that are up to
# a few hundred times as large, also in other units afterwards, by more of those of float64.
_FEW_UNITS = 16.0
_AFTER_CANCELLATION = 2.0**12 * float(np.finfo(np.float64).eps)  # of the largest value
_MOST = 2.0**-8  # of the largest value, whatever digits say
_OWN_UNITS = 2.0**10  # of the last digit that two values have themselves
_EXACT = 2.0**-16  # what integers, halves, and readings of 16 bits are multiples of


def smallest_difference(values: np.ndarray) -> float:
    """Smallest difference between two distinct values; 0 if all are equal.

    Values that differ only by how floating point rounded them (float64, or float32 before they
    came here) are one value: of differences of readings with one decimal some are 1e-15 apart,
    but the smallest difference is 0.1. Where values so close to one another do not form groups,
    but lie everywhere, they are distinct.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Finite.
    """
    distinct = np.unique(values)
    gaps, unit = np.diff(distinct), _last_digit(distinct)
    rounding = _rounding_errors(distinct, unit)
    apart = gaps > rounding
    if not apart.any():
        least = min(_FEW_UNITS * unit.min(), _AFTER_CANCELLATION * np.abs(distinct).max())
        return 0.0 if np.ptp(distinct) <= least else float(gaps.min())
    first, last = np.append(True, apart), np.append(apart, True)
    in_groups = (distinct[last] - distinct[first]).max() <= rounding.max()
    return float((gaps[apart] if in_groups else gaps).min())


def _last_digit(values: np.ndarray) -> np.ndarray:
    """What the last binary digit of every value is worth; infinity for 0, which has none."""
    fraction, exponent = np.frexp(values)
    digits = np.abs(np.ldexp(fraction, 53)).astype(np.int64)
    unit = np.ldexp((digits & -digits).astype(np.float64), exponent - 53)
    return np.where(values == 0.0, np.inf, unit)


def _rounding_errors(distinct: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """How far apart sorted neighbors may be by rounding alone, (n - 1,).

    The binary digits of values tell how they were computed: there are 53 in float64 and 24 in
    float32, fewer where the leading ones canceled. So errors are relative to the digits that
    values have in the median and to the largest of them, since small ones may be differences of
    such. But a neighbor with many more digits than such a difference would leave is known better,
    and integers and the like are exact.
    """
    rounded = unit < _EXACT
    if not rounded.any():
        return np.zeros(len(distinct) - 1)
    of_digits = _FEW_UNITS * float(np.median(unit[rounded] / np.abs(distinct[rounded])))
    relative = max(min(of_digits, _MOST), _AFTER_CANCELLATION)
    own = _OWN_UNITS * np.minimum(unit[:-1], unit[1:])
    return np.minimum(relative * np.abs(distinct).max(), own)


def rounding_variance(resolution: float) -> float:
    """Variance that rounding to multiples of ``resolution`` adds (Sheppard's correction).

    References
    ----------
    Sheppard (1898), "On the calculation of the most probable values of frequency-constants,
    for data arranged according to equidistant division of a scale", Proc. London Math.
    Soc. 29.
    """
    return float(resolution) ** 2 / 12.0


@dataclass(frozen=True)
class DesignPart:
    """One part's view of the inputs: chosen columns, or a fitted transformer's output.

    Parameters
    ----------
    columns : ndarray of int or None
        Chosen columns; None where a transformer makes them.
    transformer : fitted transformer or None
    scale : Scale
    names : list of str
        Names of the columns of the design matrix.
    inputs : ndarray of shape (rows, features) or None
        What the transformer was fitted to, so that it can be fitted again when it is loaded.
    """

    columns: np.ndarray | None
    transformer: Any
    scale: Scale
    names: list[str]
    inputs: np.ndarray | None = None

    @classmethod
    def fit(cls, selection, X, names, weight, standardize, argument) -> "DesignPart":
        """Read ``selection``, fit what is to be fitted.

        Parameters
        ----------
        selection : None, list of str or int, or transformer
            The value of ``argument``, an estimator's ``expert_features`` or its siblings.
        X : ndarray of shape (rows, features)
        names : ndarray of str or None
            Feature names, where X had any.
        weight : ndarray of shape (rows,)
        standardize : bool
        argument : str
            Name for error messages.

        Raises
        ------
        ValueError
            Unknown or repeated columns, or a transformer whose output is no finite matrix.
        TypeError
            ``selection`` is of another kind.
        """
        labels = _labels(names, X.shape[1])
        if hasattr(selection, "fit") and hasattr(selection, "transform"):
            transformer = clone(selection).fit(_frame(X, names))
            matrix = _matrix(transformer, X, names, argument)
            labels = _output_names(transformer, labels, matrix.shape[1])
            scale = Scale.fit(matrix, weight, standardize)
            return cls(None, transformer, scale, labels, X)
        columns = _columns(selection, names, X.shape[1], argument)
        scale = Scale.fit(X[:, columns], weight, standardize)
        return cls(columns, None, scale, [labels[j] for j in columns])

    @classmethod
    def again(cls, transformer, scale: Scale, labels, inputs, names) -> "DesignPart":
        """The part of an earlier fit, its transformer (not fitted yet) fitted as it was then."""
        return cls(None, transformer.fit(_frame(inputs, names)), scale, labels, inputs)

    def transform(self, X: np.ndarray, names, argument: str) -> np.ndarray:
        """The standardised design matrix of validated inputs, (rows, columns)."""
        if self.transformer is None:
            return self.scale.apply(X[:, self.columns])
        return self.scale.apply(_matrix(self.transformer, X, names, argument))

    def pull_back(self, slopes: np.ndarray, X: np.ndarray, names, argument: str) -> np.ndarray:
        """Slopes by the inputs, (..., rows, features), of slopes by the design's columns.

        A transformer is differentiated numerically, one input at a time.
        """
        slopes = slopes / self.scale.scale
        out = np.zeros((*slopes.shape[:-1], X.shape[1]))
        if self.transformer is None:
            out[..., self.columns] = slopes
            return out
        for feature in range(X.shape[1]):
            width = _RELATIVE_STEP * max(1.0, np.abs(X[:, feature]).max())
            sides = []
            for step in (width, -width):
                moved = X.copy()
                moved[:, feature] += step
                sides.append(_matrix(self.transformer, moved, names, argument))
            out[..., feature] = (slopes * (sides[0] - sides[1]) / (2.0 * width)).sum(axis=-1)
        return out


def _labels(names, n_features: int) -> list[str]:
    return [f"x{j}" for j in range(n_features)] if names is None else [str(s) for s in names]


def _frame(X: np.ndarray, names):
    """X as the user gave it, as far as a transformer can tell: with names if it had them."""
    if names is None:
        return X
    import pandas as pd

    return pd.DataFrame(X, columns=names)


def _matrix(transformer, X: np.ndarray, names, argument: str) -> np.ndarray:
    matrix = transformer.transform(_frame(X, names))
    matrix = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != X.shape[0]:
        raise ValueError(
            f"The transformer given as {argument} must return a matrix with a row per sample, "
            f"({X.shape[0]}, k); got shape {matrix.shape}."
        )
    matrix = matrix.astype(np.float64)
    if not np.isfinite(matrix).all():
        raise ValueError(
            f"The transformer given as {argument} returned NaN or infinity; "
            "let it impute or clip them."
        )
    return matrix


def _output_names(transformer, labels: list[str], n_columns: int) -> list[str]:
    if hasattr(transformer, "get_feature_names_out"):
        return [str(s) for s in transformer.get_feature_names_out(labels)]
    return [f"t{j}" for j in range(n_columns)]


def _columns(selection, names, n_features: int, argument: str) -> np.ndarray:
    if selection is None:
        return np.arange(n_features)
    if isinstance(selection, str) or not hasattr(selection, "__iter__"):
        raise TypeError(
            f"{argument} must be None, a list of column names or indices, or a transformer; "
            f"got {selection!r}."
        )
    chosen = [_column(entry, names, n_features, argument) for entry in selection]
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"{argument} names a column twice: {list(selection)!r}.")
    return np.array(chosen, dtype=int)


def _column(entry, names, n_features: int, argument: str) -> int:
    if isinstance(entry, str):
        known = [] if names is None else list(names)
        if entry not in known:
            have = f"X has {known}" if known else "X has no column names; use indices"
            raise ValueError(f"{argument} has {entry!r}, which is no column of X: {have}.")
        return known.index(entry)
    if isinstance(entry, bool | np.bool_) or not isinstance(entry, int | np.integer):
        raise TypeError(f"{argument} must hold column names or indices; got {entry!r}.")
    if not -n_features <= entry < n_features:
        raise ValueError(f"{argument} has column {entry}, but X has {n_features} columns.")
    return int(entry) % n_features
