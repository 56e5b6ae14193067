"""Values as JSON, and back.

What JSON has no word for is a dict with one key, which begins with ``$`` and names the kind.
Kinds are a closed list, so what is read is data and never names code.
"""

import math
import reprlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from sklearn import preprocessing
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion

from skcocoafuse.model.priors import Prior

# Those that parameters and inputs determine, so that fitting again is the same. No Pipeline: its
# `memory` names a folder, whose pickles fitting would read.
TRANSFORMERS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        ColumnTransformer,
        FeatureUnion,
        preprocessing.MaxAbsScaler,
        preprocessing.MinMaxScaler,
        preprocessing.PolynomialFeatures,
        preprocessing.PowerTransformer,
        preprocessing.RobustScaler,
        preprocessing.SplineTransformer,
        preprocessing.StandardScaler,
    )
}
_NUMBERS, _STRINGS = "biuf", "UO"  # kinds of array; objects only as far as they are strings


def encode(value: Any, name: str):
    """A value as JSON can hold it.

    Parameters
    ----------
    value : object
        None, a bool, number, string, :class:`Prior`, RandomState or one of ``TRANSFORMERS``, or a
        list, tuple, dict (by strings) or array of such.
    name : str
        What to call it in messages.

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, list | tuple):
        items = [encode(item, f"{name}[{i}]") for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, Mapping) and all(_is_plain(key) for key in value):
        return {key: encode(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, np.ndarray) and _is_simple(value):
        items = encode(value.ravel().tolist(), name)
        return {"$array": [value.dtype.kind, value.dtype.itemsize, list(value.shape), items]}
    if isinstance(value, Prior):
        return {"$prior": encode(asdict(value), name)}
    if isinstance(value, np.random.RandomState):
        return {"$random_state": encode(value.get_state(legacy=False), name)}
    kind = type(value).__name__
    if TRANSFORMERS.get(kind) is type(value):
        own = {key: encode(p, f"{name}.{key}") for key, p in value.get_params(deep=False).items()}
        return {"$transformer": [kind, own]}
    raise TypeError(
        f"save() cannot write {name}: it must be None, a bool, number or string, a list, tuple, "
        "array or dict by strings of such, a Prior, a RandomState, or one of scikit-learn's "
        f"{', '.join(TRANSFORMERS)}; got {reprlib.repr(value)} of type {kind}. Give a value of "
        "that kind, or keep this estimator by joblib.dump or skops.io.dump."
    )


def _is_plain(key) -> bool:
    return isinstance(key, str) and not key.startswith("$")


def _is_simple(array: np.ndarray) -> bool:
    if array.dtype.kind == "O":
        return all(isinstance(item, str) for item in array.flat)
    return array.dtype.kind in _NUMBERS + _STRINGS


def decode(value):
    """Inverse of :func:`encode`; transformers are not fitted.

    Raises
    ------
    ValueError, TypeError
        If the value is not one that :func:`encode` makes.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if all(map(_is_plain, value)):
        return {key: decode(item) for key, item in value.items()}
    ((kind, content),) = value.items()
    if kind not in _KINDS:
        raise ValueError(f"unknown kind of value {kind!r}; known are {list(_KINDS)}")
    return _KINDS[kind](decode(content))


def _array(content) -> np.ndarray:
    kind, size, shape, items = content
    if kind in _NUMBERS:
        return np.array(items, dtype=f"{kind}{size}").reshape(shape)
    if kind not in _STRINGS:
        raise ValueError(f"unknown kind of array {kind!r}")
    return np.array(items, dtype=kind).reshape(shape)


def _random_state(content) -> np.random.RandomState:
    random_state = np.random.RandomState()
    random_state.set_state(content)
    return random_state


def _transformer(content):
    kind, parameters = content
    return TRANSFORMERS[kind](**parameters)


_KINDS: dict[str, Any] = {
    "$array": _array,
    "$float": float,
    "$prior": lambda content: Prior(**content),
    "$random_state": _random_state,
    "$transformer": _transformer,
    "$tuple": tuple,
}
