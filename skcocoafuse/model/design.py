"""Design matrices: the inputs of each part of the model, and their scale."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from skcocoafuse._process import no_warnings
from skcocoafuse._validation import refuse_extreme
from skcocoafuse.model.chunks import map_chunks
from skcocoafuse.model.derivative import SIDES, Column, derivative
from skcocoafuse.model.inputs import Inputs, column_of, holds_numbers, labels_of, take, with_column
from skcocoafuse.model.parameters import (
    INTERCEPT,
    PARAMETERS,
    PARTS,
    Parameters,
    line_of,
)
from skcocoafuse.model.recorded import RecordedInputs

_REFUSALS = (ValueError, TypeError, LookupError)  # for a value that a transformer does not know


@dataclass(frozen=True)
class Scale:
    """Location and scale that standardize columns, and the inverse transformation.

    Constant columns get scale 1, so they stay finite (and become 0).
    """

    loc: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray, weight: np.ndarray, standardize: bool) -> "Scale":
        """Weighted mean and standard deviation of the columns (or of a vector)."""
        if not standardize:
            return cls.none(values.shape[1:])
        share = weight / weight.sum()
        size = np.abs(values).max(axis=0)
        return cls.of_sums(size, lambda function, *given: function(values, share, *given))

    @classmethod
    def none(cls, shape) -> "Scale":
        """The scale that changes nothing."""
        return cls(np.zeros(shape), np.ones(shape))

    @classmethod
    def of_sums(cls, size: np.ndarray, total: Callable) -> "Scale":
        """The same for values that are stored in parts.

        ``size`` is their largest absolute value; ``total(function, *given)`` sums
        ``function(values, share, *given)`` over parts, with shares of the weight that sum to one.
        """
        loc = total(_average)
        # squares of very large or small values over- or underflow; powers of two do not round
        unit = np.ldexp(1.0, np.frexp(size)[1] - 1)
        spread = unit * np.sqrt(total(_average_square, loc, unit))
        constant = spread <= 10 * np.finfo(float).eps * size
        return cls(loc, np.where(constant, 1.0, spread))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Standardize columns (or a vector)."""
        return (values - self.loc) / self.scale

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`apply`."""
        return self.loc + self.scale * values

    def undo_line(self, intercept, coef):
        """Intercept and coefficients for unstandardized columns.

        ``intercept`` (...,) and ``coef`` (..., columns) belong to standardized columns.
        """
        coef = coef / self.scale
        return intercept - coef @ self.loc, coef

    def seen_from(self, other: "Scale") -> "Scale":
        """The scale that, applied after ``other``, gives the same result as this one alone."""
        return Scale(other.apply(self.loc), self.scale / other.scale)


def _average(values: np.ndarray, share: np.ndarray) -> np.ndarray:
    return share @ values


def _average_square(values, share, loc, unit) -> np.ndarray:
    return share @ ((values - loc) / unit) ** 2


@dataclass(frozen=True)
class Units:
    """The scales of the design matrices and of the target."""

    expert: Scale
    noise: Scale
    gate: Scale
    behavior: Scale
    target: Scale

    def undo(self, p: Parameters) -> Parameters:
        """The same model for unstandardized columns and target; any leading draw axes.

        ``sigma`` remains the noise at the average of the noise columns, not at 0.
        """
        undone = {}
        for part in PARTS:
            scale, (intercept, coef) = getattr(self, part), line_of(part)
            if intercept is None:
                undone[coef] = getattr(p, coef) / scale.scale
            elif getattr(p, intercept) is not None:
                line = scale.undo_line(getattr(p, intercept), getattr(p, coef))
                undone[intercept], undone[coef] = line
        for name, row in PARAMETERS.items():
            value = undone.get(name, getattr(p, name))
            if row.in_target_units and value is not None:
                along = self.target.scale * value
                undone[name] = self.target.loc + along if row.role == INTERCEPT else along
        return p._replace(**undone)

    def seen_from(self, other: "Units") -> "Units":
        """Units whose :meth:`undo` goes from these to those of ``other``."""
        return Units(
            **{part: getattr(self, part).seen_from(getattr(other, part)) for part in PARTS},
            target=self.target.seen_from(other.target),
        )


# Errors that floating-point arithmetic may have added to recorded values. Sums and means of a
# few values are off by a few units in their last digit; differences of values up to a few hundred
# times as large, possibly converted to other units, by more units of float64.
_FEW_UNITS = 16.0
_AFTER_CANCELLATION = 2.0**12 * float(np.finfo(np.float64).eps)  # of the largest value
_MOST = 2.0**-8  # of the largest value, regardless of the digits
_OWN_UNITS = 2.0**10  # of the last digit of the two values themselves
_EXACT = 2.0**-16  # integers, halves and 16-bit readings are multiples of it


def smallest_difference(values: np.ndarray) -> float:
    """Smallest difference between two distinct values; 0 if all are equal.

    Values that differ only by floating-point rounding (of float64, or of float32 before conversion)
    count as one value: some differences of readings with one decimal are 1e-15 apart, but the
    smallest difference is 0.1. If values this close to one another do not form groups but are
    everywhere, they are distinct.

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
    """Place value of the last binary digit of every value; infinity for 0, which has none."""
    fraction, exponent = np.frexp(values)
    digits = np.abs(np.ldexp(fraction, 53)).astype(np.int64)
    unit = np.ldexp((digits & -digits).astype(np.float64), exponent - 53)
    return np.where(values == 0.0, np.inf, unit)


def _rounding_errors(distinct: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """How far apart sorted neighbors may be due to rounding alone, (n - 1,).

    The binary digits of values show how they were computed: there are 53 in float64 and 24 in
    float32, fewer if the leading ones canceled. So errors are relative to the median number of
    digits of the values and to the largest value, since small ones may be differences of large
    ones. But a neighbor with many more digits than such a difference would leave is more
    accurate, and integers and similar values are exact.
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
    """The inputs of one part: selected columns, or a fitted transformer's output.

    Parameters
    ----------
    columns : ndarray of int or None
        Selected columns; None if a transformer computes them.
    transformer : fitted transformer or None
    scale : Scale
    names : list of str
        Names of the columns of the design matrix.
    inputs : RecordedInputs or None
        Training inputs of the transformer, so that it can be refitted when it is loaded.
    """

    columns: np.ndarray | None
    transformer: Any
    scale: Scale
    names: list[str]
    inputs: RecordedInputs | None = None

    @classmethod
    def fit_transform(
        cls, selection, X: Inputs, weight, standardize, argument
    ) -> "tuple[DesignPart, np.ndarray]":
        """Interpret ``selection``, fit its transformer if any, and standardize the result.

        A transformer processes the rows once, as in a ``Pipeline``: by its ``fit_transform`` if
        it has one.

        Parameters
        ----------
        selection : None, list of str or int, or transformer
            The value of ``argument``: ``expert_features``, ``noise_features``, ``gate_features`` or
            ``behavior_features`` of an estimator.
        X : Inputs
        weight : ndarray of shape (rows,)
        standardize : bool
        argument : str
            Name for error messages.

        Returns
        -------
        part : DesignPart
        design : ndarray of shape (rows, columns)
            The standardized design matrix of these rows.

        Raises
        ------
        ValueError
            Unknown or repeated columns, columns with missing values, or a transformer whose output
            is not a finite matrix.
        TypeError
            If ``selection`` is of another type.
        """
        if is_transformer(selection):
            return cls._of_transformer(clone(selection), X, weight, standardize, argument)
        labels = labels_of(X.names, X.shape[1])
        columns = columns_of(selection, X.names, X.shape[1], argument)
        matrix = X.numbers(columns, argument)
        for j, column in zip(columns, matrix.T, strict=True):
            refuse_extreme(
                column, f"Column {labels[j]!r} of X, which {argument} uses,", standardize
            )
        scale = Scale.fit(matrix, weight, standardize)
        return cls(columns, None, scale, [labels[j] for j in columns]), scale.apply(matrix)

    @classmethod
    def _of_transformer(cls, transformer, X: Inputs, weight, standardize, argument):
        matrix = _finite_matrix(_fit_transform_of(transformer), X.table, argument)
        labels = labels_of(X.names, X.shape[1])
        labels = _output_names(transformer, labels, matrix.shape[1])
        for label, column in zip(labels, matrix.T, strict=True):
            refuse_extreme(column, f"Column {label!r} that {argument} makes of X", standardize)
        scale = Scale.fit(matrix, weight, standardize)
        return cls(None, transformer, scale, labels, RecordedInputs.of(X)), scale.apply(matrix)

    @classmethod
    def again(cls, transformer, scale: Scale, labels, inputs, names) -> "DesignPart":
        """The part of an earlier fit, with its unfitted transformer fitted as it was then."""
        return cls(None, transformer.fit(inputs.table(names)), scale, labels, inputs)

    def names_from(self, inputs: list[str]) -> list[str]:
        """Names of the columns of the design matrix, given those of all inputs."""
        if self.columns is not None:
            return [inputs[j] for j in self.columns]
        return _output_names(self.transformer, inputs, len(self.names))

    def sees_what(self, other: "DesignPart") -> bool:
        """Whether this part and another one use the same columns, without a transformer."""
        if self.columns is None or other.columns is None:
            return False
        return np.array_equal(self.columns, other.columns)

    def transform(self, X: Inputs, argument: str) -> np.ndarray:
        """The standardized design matrix of inputs, (rows, columns).

        Raises
        ------
        ValueError, TypeError
            If a column that is used directly, or the transformer's output, has values that are not
            finite numbers.
        """
        if self.columns is not None:
            return self.scale.apply(X.numbers(self.columns, argument))
        return self.scale.apply(_finite_matrix(self.transformer.transform, X.table, argument))

    def pull_back(
        self, X: Inputs, numeric: np.ndarray, argument: str
    ) -> Callable[[np.ndarray, slice], np.ndarray]:
        """The chain rule at the rows of X: from slopes along design columns to slopes along inputs.

        A transformer is differentiated numerically, one input at a time, as
        :func:`skcocoafuse.model.derivative.derivative` describes. Slopes are NaN for inputs at
        which it accepts only the values seen in ``fit``, as an encoder of categories does.

        Parameters
        ----------
        X : Inputs
        numeric : ndarray of shape (features,) of bool
            Which inputs are numeric; a transformer's slopes along others are NaN.
        argument : str

        Returns
        -------
        callable
            ``f(slopes, rows)``: from slopes (draws, rows, columns) to (draws, rows, features), for
            a slice of the rows.

        Raises
        ------
        ValueError
            If the transformer does not accept a value close to that of a row.
        """
        if self.columns is not None:
            return lambda slopes, rows: self._scatter(slopes, X.shape[1])
        columns = self._columns_of(X, numeric)
        n_inputs, n_columns = X.shape[1], len(self.names)
        numbers = n_columns * n_inputs + SIDES * (n_columns + n_inputs)  # a jacobian and its steps

        def chain(slopes, rows):
            out = np.empty((*slopes.shape[:-1], n_inputs))

            def by_inputs(own, part):
                inputs = X.rows(slice(rows.start + own.start, rows.start + own.stop))
                jacobian = self._jacobian(inputs, columns, argument)
                by_columns = part["slopes"] / self.scale.scale
                out[:, own] = np.moveaxis(by_columns @ jacobian, 0, 1)

            map_chunks(by_inputs, {"slopes": np.moveaxis(slopes, 1, 0)}, numbers)
            return out

        return chain

    def _scatter(self, slopes: np.ndarray, n_features: int) -> np.ndarray:
        out = np.zeros((*slopes.shape[:-1], n_features))
        out[..., self.columns] = slopes / self.scale.scale
        return out

    def _columns_of(self, X: Inputs, numeric: np.ndarray) -> dict[int, Column]:
        """The inputs for which a transformer accepts values between those of ``fit``, by index."""
        assert self.inputs is not None  # its training inputs
        found = {}
        for feature in np.flatnonzero(numeric).tolist():
            column = Column.of(self.inputs.column(feature))
            with no_warnings():
                if _takes(self.transformer, X.table, feature, column.between):
                    found[feature] = column
        return found

    def _jacobian(self, X: Inputs, columns: dict[int, Column], argument: str) -> np.ndarray:
        """Derivatives of the transformer, (rows, columns, inputs); NaN for other inputs."""
        out = np.full((X.shape[0], len(self.names), X.shape[1]), np.nan)
        for feature, column in columns.items():
            own = column_of(X.table, feature)
            if not holds_numbers(own):  # unlike in fit: categories, or a column that no part uses
                continue
            moved = _Moved(self.transformer, X, feature, argument)
            values = own.to_numpy(dtype=np.float64, na_value=np.nan)
            with no_warnings():
                out[..., feature] = derivative(moved, column, values)
        return out


@dataclass(frozen=True)
class _Moved:
    """A transformer as a function of one input of some rows, (rows, columns)."""

    transformer: Any
    X: Inputs
    feature: int
    argument: str

    def __call__(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        table = with_column(take(self.X.table, rows), self.feature, values)
        try:
            return _matrix(self.transformer.transform, table, self.argument)
        except _REFUSALS as error:
            label = labels_of(self.X.names, self.X.shape[1])[self.feature]
            raise ValueError(
                f"The slope by column {label!r} of X needs values close to those of the rows, but "
                f"the transformer given as {self.argument} rejects one: {error}\nIf the column is "
                "not a quantity, pass strings or dtype 'category', for which slopes are NaN. "
                "Otherwise make the transformer accept values between those seen in fit."
            ) from error


def _takes(transformer, table, feature: int, value: float) -> bool:
    """Whether a transformer accepts a value of an input that it has not seen in ``fit``."""
    try:
        transformer.transform(with_column(take(table, slice(0, 1)), feature, np.array([value])))
    except _REFUSALS:
        return False
    return True


@contextmanager
def _noted(argument: str):
    """Note in a transformer's own errors which argument it was given as."""
    try:
        yield
    except Exception as error:
        error.add_note(f"This was raised by the transformer given as {argument}.")
        raise


def _fit_transform_of(transformer) -> Callable:
    """Its ``fit_transform``, or ``fit`` followed by ``transform`` if it has none."""
    if hasattr(transformer, "fit_transform"):
        return transformer.fit_transform
    return lambda table: transformer.fit(table.copy()).transform(table)  # fit may modify its input


def _matrix(transform: Callable, table, argument: str) -> np.ndarray:
    """Output of a transformer for a table, as float64 of shape (rows, columns)."""
    with _noted(argument):
        matrix = transform(table.copy())  # it may modify its input, which other parts use too
    matrix = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != table.shape[0]:
        raise ValueError(
            f"The transformer given as {argument} must return a matrix with a row per sample, "
            f"({table.shape[0]}, k); got shape {matrix.shape}."
        )
    try:
        return matrix.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"The transformer given as {argument} must return numbers: {error}. Let it encode or "
            "drop other columns, or do not pass them on by remainder='passthrough'."
        ) from error


def _finite_matrix(transform: Callable, table, argument: str) -> np.ndarray:
    matrix = _matrix(transform, table, argument)
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


def is_transformer(selection) -> bool:
    """Whether a selection of features is a transformer."""
    return hasattr(selection, "fit") and hasattr(selection, "transform")


def each_once(designs: dict[str, DesignPart], matrix_of: Callable[[str], Any]) -> dict[str, Any]:
    """The matrix of every part, the same one for parts that use the same columns directly."""
    matrices: dict[str, Any] = {}
    for part, design in designs.items():
        same = (other for other in matrices if design.sees_what(designs[other]))
        twin = next(same, None)
        matrices[part] = matrix_of(part) if twin is None else matrices[twin]
    return matrices


def columns_of(selection, names, n_features: int, argument: str) -> np.ndarray:
    """Indices of the columns that a list of names or indices, or None for all, selects."""
    if selection is None:
        return np.arange(n_features)
    if isinstance(selection, str) or not hasattr(selection, "__iter__"):
        raise TypeError(
            f"{argument} must be None, a list of column names or indices, or a transformer; "
            f"got {selection!r}."
        )
    chosen = [_column(entry, names, n_features, argument) for entry in selection]
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"{argument} contains a column twice: {list(selection)!r}.")
    return np.array(chosen, dtype=int)


def _column(entry, names, n_features: int, argument: str) -> int:
    if isinstance(entry, str):
        known = [] if names is None else list(names)
        if entry not in known:
            have = f"X has {known}" if known else "X has no column names; use indices"
            raise ValueError(f"{argument} has {entry!r}, which is not a column of X: {have}.")
        return known.index(entry)
    if isinstance(entry, bool | np.bool_) or not isinstance(entry, int | np.integer):
        raise TypeError(f"{argument} must contain column names or indices; got {entry!r}.")
    if not -n_features <= entry < n_features:
        raise ValueError(f"{argument} has column {entry}, but X has {n_features} columns.")
    return int(entry) % n_features
