"""Monotone transformations of the target, as scikit-learn's transformers define them.

``forward`` maps the original target y to the scale t of the model, ``backward`` maps it back.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy import special
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from skcocoafuse._cached import cached_property
from skcocoafuse._process import no_warnings

# log of the absolute derivative of functions that FunctionTransformer may hold
_LOG_SLOPES: dict[Any, Callable[[np.ndarray], np.ndarray]] = {
    None: np.zeros_like,
    np.log: lambda y: -np.log(y),
    np.log2: lambda y: -np.log(y) - np.log(np.log(2.0)),
    np.log10: lambda y: -np.log(y) - np.log(np.log(10.0)),
    np.log1p: lambda y: -np.log1p(y),
    np.exp: lambda y: y,
    np.expm1: lambda y: y,
    np.sqrt: lambda y: -0.5 * np.log(y) - np.log(2.0),
    np.cbrt: lambda y: -2.0 / 3.0 * np.log(np.abs(y)) - np.log(3.0),
    np.arcsinh: lambda y: -0.5 * np.log1p(y * y),
    np.sinh: lambda y: np.log(np.cosh(y)),
    np.negative: np.zeros_like,
    np.reciprocal: lambda y: -2.0 * np.log(np.abs(y)),
    special.logit: lambda y: -np.log(y) - np.log1p(-y),
    special.expit: lambda y: -y - 2.0 * np.log1p(np.exp(-y)),
}
_AFFINE = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler)
ROUNDING = 1e-12  # of a target at an end, relative to the size of targets
_PROBES = 400  # points at which a map is evaluated on each side
_BISECTIONS = 100  # of an end of the range, to the last digit
# Tolerance of a round trip, relative to the value (logarithms near their pole lose digits) and to
# the spread of the distributions.
_RETURN, _RETURN_OF_SPREAD = 1e-6, 1e-10
_ROUNDING = 1e-13  # relative change of a target that says nothing
_SHRINKS = 0.7  # steps toward a finite limit shrink by more, each a hundred times nearer
_NOT_MONOTONE = (
    "{0} is not strictly monotone in the region of the predictive distributions, so their "
    "quantiles and probabilities cannot be mapped. Use a monotone transformer, or predict on the "
    "transformed scale with the inner regressor."
)


class Range(NamedTuple):
    """The range on which a transformation and its inverse undo each other.

    ``low`` < ``high`` are its bounds on the scale of the model, infinite if there is none within
    reach. ``at_low``, ``at_high`` are the targets there, which may be infinite; NaN if there is no
    bound. ``center`` is a target inside.
    """

    low: float
    high: float
    at_low: float
    at_high: float
    center: float
    is_decreasing: bool


class TargetMap:
    """Fitted transformers of a single target, applied to arrays of any shape.

    Parameters
    ----------
    *transformers : object
        With ``transform`` and ``inverse_transform`` on one column; strictly monotone. They, and
        the steps of pipelines among them, are applied to the target in order.
    """

    def __init__(self, *transformers):
        self.transformers = tuple(_steps(transformers))

    def __repr__(self) -> str:
        return " > ".join(repr(transformer) for transformer in self.transformers)

    def forward(self, y: np.ndarray) -> np.ndarray:
        """From targets to the scale of the model; NaN for values that transformers reject."""
        for transformer in self.transformers:
            y = _apply(transformer.transform, y)
        return y

    def backward(self, t: np.ndarray) -> np.ndarray:
        """From the scale of the model to targets; NaN for values that transformers reject."""
        for transformer in reversed(self.transformers):
            t = _apply(transformer.inverse_transform, t)
        return t

    def line(self) -> tuple[float, float] | None:
        """``a`` and ``b`` if targets are a + b t; None if the map is not linear."""
        if not all(_is_affine(transformer) for transformer in self.transformers):
            return None
        zero, one = self.backward(np.array([0.0, 1.0]))
        return float(zero), float(one - zero)

    @cached_property
    def knots(self) -> np.ndarray:
        """Where the map is not smooth, on the scale of the model, (knots,)."""
        found = [np.empty(0)]
        for k, transformer in enumerate(self.transformers):
            found.append(TargetMap(*self.transformers[k:]).forward(_knots(transformer)))
        everything = np.concatenate(found)
        return np.unique(everything[np.isfinite(everything)])

    def log_slope(self, y: np.ndarray) -> np.ndarray:
        """Log of the absolute derivative of :meth:`forward` at targets ``y``.

        Raises
        ------
        TypeError
            If the derivative of a transformer is unknown.
        """
        y = np.asarray(y, dtype=np.float64)
        total = np.zeros_like(y)
        for transformer in self.transformers:
            total = total + _log_slope(transformer, y)
            y = _apply(transformer.transform, y)
        return total

    def range_around(self, centers: np.ndarray, low: float, high: float) -> Range:
        """Where the map is monotone and the transformers undo each other, around some centers.

        Parameters
        ----------
        centers : ndarray of shape (rows,)
            Centers of the distributions, on the scale of the model.
        low, high : float
            Bounds of the distributions.

        Raises
        ------
        ValueError
            If no such range exists.
        """
        spread = max(high - low, np.finfo(float).tiny)
        near = np.concatenate([centers, np.linspace(low, high, _PROBES)])
        near = near[self._returns(near, spread)]
        if not near.size:
            raise ValueError(_NOT_MONOTONE.format(self))
        middle = np.median(centers)
        start = near[np.abs(near - middle).argmin()]
        first, at_first = self._end(start, low, spread)
        last, at_last = self._end(start, high, spread)
        sides = self.backward(np.array([max(first, low), min(last, high)]))
        if not last > first or sides[0] == sides[1]:
            raise ValueError(_NOT_MONOTONE.format(self))
        center = float(self.backward(np.array([start]))[0])
        at_first, at_last = (
            0.0 if abs(y) <= ROUNDING * abs(center) else y for y in (at_first, at_last)
        )
        return Range(first, last, at_first, at_last, center, bool(sides[1] < sides[0]))

    def _returns(self, t, spread: float) -> np.ndarray:
        """Whether a round trip to the target and back returns to ``t``."""
        with np.errstate(all="ignore"):
            there = self.backward(t)
            apart = np.abs(self.forward(there) - t)
        return np.isfinite(there) & (apart <= _RETURN * np.abs(t) + _RETURN_OF_SPREAD * spread)

    def _end(self, start: float, far: float, spread: float) -> tuple[float, float]:
        """A bound of the range and the target there; infinite and NaN if it is beyond ``far``."""
        steps = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, _PROBES)])
        t = start + steps * (far - start)
        with np.errstate(all="ignore"):
            y = self.backward(t)
            moves = np.diff(y)
            moves = np.where(np.abs(moves) <= _ROUNDING * np.abs(y[1:]), 0.0, np.sign(moves))
        returns = self._returns(t, spread)
        direction = moves[moves != 0][0] if (moves != 0).any() else 0.0
        valid = np.concatenate([[True], (moves == direction) | (moves == 0)]) & ~np.isnan(y)
        valid = np.logical_and.accumulate(valid)
        last = np.flatnonzero(valid & returns)[-1]
        if last == len(t) - 1:
            return float(np.copysign(np.inf, far - start)), np.nan
        inside, outside = t[last], t[last + 1]
        for _ in range(_BISECTIONS):
            middle = 0.5 * (inside + outside)
            went_on = direction * float(np.diff(self.backward(np.array([inside, middle])))[0]) >= 0
            if went_on and self._returns(np.array([middle]), spread)[0]:
                inside = middle
            else:
                outside = middle
        return float(inside), self._limit(inside, outside, direction)

    def _limit(self, inside: float, outside: float, direction: float) -> float:
        """The target at a bound: infinite if it diverges toward where the inverse is undefined."""
        with np.errstate(all="ignore"):
            at, beyond = self.backward(np.array([inside, outside]))
            if abs(beyond - at) <= _RETURN * abs(at):  # clipped or folded, and no pole
                return float(at)
            gap = np.geomspace(1e-2, 1e-12, 6) * (abs(inside) + 1.0)
            y = self.backward(inside - np.sign(outside - inside) * gap)
            steps = np.abs(np.diff(y))
        if np.isfinite(steps).all() and steps[-1] < _SHRINKS * steps[-2]:
            return float(at)
        return float(direction * np.inf)


def _apply(function, values) -> np.ndarray:
    """A transformer's method on an array of any shape; NaN for infinite and rejected values."""
    values = np.asarray(values, dtype=np.float64)
    column = np.where(np.isfinite(values), values, np.nan).reshape(-1, 1)
    if not column.size:
        return values
    with no_warnings(), np.errstate(all="ignore"):  # some warn about values they cannot invert
        try:
            column = function(column)
        except ValueError:  # such as values that are not positive, for the Box-Cox transformation
            column = np.array([_apply_to_one(function, value) for value in column[:, 0]])
    return np.asarray(column, dtype=np.float64).reshape(values.shape)


def _apply_to_one(function, value: float) -> float:
    try:
        return float(np.ravel(function(np.array([[value]])))[0])
    except ValueError:
        return np.nan


def _is_affine(transformer) -> bool:
    if isinstance(transformer, FunctionTransformer):
        return transformer.func in (None, np.negative) and transformer.inverse_func in (
            None,
            np.negative,
        )
    return isinstance(transformer, _AFFINE) and not getattr(transformer, "clip", False)


def _steps(transformers) -> Iterator[Any]:
    """The transformers, with pipelines replaced by their steps."""
    for transformer in transformers:
        if isinstance(transformer, Pipeline):
            yield from _steps(step for _, step in transformer.steps)
        elif transformer is not None and transformer != "passthrough":
            yield transformer


def _knots(transformer) -> np.ndarray:
    """Targets at which a transformer is not smooth."""
    if isinstance(transformer, QuantileTransformer):
        return transformer.quantiles_[:, 0]
    if isinstance(transformer, PowerTransformer) and transformer.method == "yeo-johnson":
        return np.zeros(1)
    return np.empty(0)


def _log_slope(transformer, y):
    if isinstance(transformer, FunctionTransformer) and not transformer.kw_args:
        try:
            slope = _LOG_SLOPES.get(transformer.func)
        except TypeError:  # a callable without a hash
            slope = None
        if slope is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                return slope(y)
    if isinstance(transformer, _AFFINE) and not getattr(transformer, "clip", False):
        zero, one = TargetMap(transformer).forward(np.array([0.0, 1.0]))
        return np.full_like(y, np.log(abs(one - zero)))
    if isinstance(transformer, PowerTransformer):
        return _log_power_slope(transformer, y)
    raise TypeError(
        f"The derivative of {transformer!r} is not known, so densities cannot be computed in units "
        "of the original target. Supported are FunctionTransformer with "
        f"{sorted(f.__name__ for f in _LOG_SLOPES if f is not None)} (also as func of a "
        "TransformedTargetRegressor), StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, "
        "PowerTransformer and pipelines of these. Quantiles, intervals and probabilities "
        "work with any monotone transformer."
    )


def _log_power_slope(transformer: PowerTransformer, y):
    power = transformer.lambdas_[0]
    if transformer.method == "box-cox":
        slope = (power - 1.0) * np.log(y)
    else:
        slope = np.sign(y) * (power - 1.0) * np.log1p(np.abs(y))
    if transformer.standardize:
        slope = slope - np.log(transformer._scaler.scale_[0])
    return slope
