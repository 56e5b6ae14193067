"""Monotone transformations of the target, as scikit-learn's transformers define them.

``forward`` goes from the user's target y to the model's
scale t, ``backward`` returns.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)

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


class TargetMap:
    """A fitted transformer of a single target, applied to arrays of any shape.

    Parameters
    ----------
    transformer : object
        With ``transform`` and ``inverse_transform`` on one column; strictly monotone.
    """

    def __init__(self, transformer):
        self.transformer = transformer

    def forward(self, y: np.ndarray) -> np.ndarray:
        """From targets to the scale of the model."""
        return self._apply(self.transformer.transform, y)

    def backward(self, t: np.ndarray) -> np.ndarray:
        """From the scale of the model to targets."""
        return self._apply(self.transformer.inverse_transform, t)

    @staticmethod
    def _apply(function, values):
        values = np.asarray(values, dtype=np.float64)
        column = np.asarray(function(values.reshape(-1, 1)), dtype=np.float64)
        return column.reshape(values.shape)

    def falls(self, low: np.ndarray, high: np.ndarray) -> bool:
        """Whether greater t mean smaller targets, judged between ``low`` < ``high``.

        Raises
        ------
        ValueError
            If some rows rise and others fall, or values coincide: quantiles cannot be mapped.
        """
        rise = np.sign(self.backward(high) - self.backward(low))
        if not rise.size:
            return False
        if (rise == rise[0]).all() and rise[0] != 0:
            return bool(rise[0] < 0)
        raise ValueError(
            f"{self.transformer!r} is not strictly monotone where the predictive distributions "
            "lie, so their quantiles and probabilities cannot be mapped. Take a monotone "
            "transformer, or predict on the transformed scale with the inner regressor."
        )

    def log_slope(self, y: np.ndarray) -> np.ndarray:
        """Log of the absolute derivative of :meth:`forward` at targets ``y``.

        Raises
        ------
        TypeError
            If the transformer's derivative is not known.
        """
        return _log_slope(self.transformer, np.asarray(y, dtype=np.float64))


def _log_slope(transformer, y):
    if isinstance(transformer, Pipeline):
        total = np.zeros_like(y)
        for _, step in transformer.steps:
            if step is None or step == "passthrough":
                continue
            total = total + _log_slope(step, y)
            y = TargetMap(step).forward(y)
        return total
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
        f"The derivative of {transformer!r} is not known, so densities cannot be given in the "
        "target's own units. Known are FunctionTransformer with "
        f"{sorted(f.__name__ for f in _LOG_SLOPES if f is not None)} (also as func of a "
        "TransformedTargetRegressor), StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, "
        "PowerTransformer and pipelines of them. Quantiles, intervals and probabilities "
        "work with every monotone transformer."
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
