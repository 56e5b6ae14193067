"""Values as JSON, and back.

Values that JSON cannot represent are dicts with one key, which begins with ``$`` and names the
kind. Kinds are a closed list, so values are data and never name code.
"""

import math
import reprlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from skcocoafuse.model.priors import Prior
from skcocoafuse.persistence.demands import is_count
from skcocoafuse.persistence.transformers import TRANSFORMERS, parameters_of, transformer_from

_STRINGS = ("U", "O")  # kinds of array; objects only if they are strings
_NUMBERS = {  # kinds of array, with the allowed bytes per number
    "b": (1,),
    "i": (1, 2, 4, 8),
    "u": (1, 2, 4, 8),
    "f": (2, 4, 8),
}
_DTYPES = {  # output dtypes of encoders
    **{kind.__name__: kind for kind in (float, int)},
    **{name: getattr(np, name) for name in ("float32", "float64", "int32", "int64")},
}
_MAX_TEXT = 2**26  # bytes of an array of strings, all padded to the longest
_TWISTER = 624  # words of a Mersenne Twister's state


def encode(value: Any, name: str):
    """A value as JSON can represent it.

    Parameters
    ----------
    value : object
        None, a bool, number, string, type of numbers, :class:`Prior`, RandomState or one of
        ``TRANSFORMERS``, or a list, tuple, dict (by strings) or array of such.
    name : str
        Its name in messages.

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
    if isinstance(value, np.random.RandomState) and _is_mersenne_twister(value):
        return {"$random_state": encode(value.get_state(legacy=False), name)}
    if isinstance(value, type) and value in _DTYPES.values():
        return {"$dtype": value.__name__}
    kind = type(value).__name__
    if TRANSFORMERS.get(kind) is type(value):
        own = {key: encode(p, f"{name}.{key}") for key, p in parameters_of(value).items()}
        return {"$transformer": [kind, own]}
    raise TypeError(
        f"save() cannot write {name}: it must be None, a bool, number or string, a list, tuple, "
        "array or dict by strings of such, a Prior, a RandomState of the usual kind (MT19937), or "
        f"one of scikit-learn's {', '.join(TRANSFORMERS)}; got {reprlib.repr(value)} of type "
        f"{kind}. Use such a value, or keep this estimator with joblib.dump or "
        "skops.io.dump."
    )


def _is_plain(key) -> bool:
    return isinstance(key, str) and not key.startswith("$")


def _is_simple(array: np.ndarray) -> bool:
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "O":
        return all(isinstance(item, str) for item in array.flat)
    return array.nbytes <= _MAX_TEXT if kind == "U" else size in _NUMBERS.get(kind, ())


def _is_mersenne_twister(random_state: np.random.RandomState) -> bool:
    return random_state.get_state(legacy=False)["bit_generator"] == "MT19937"


def decode(value):
    """Inverse of :func:`encode`; transformers are not fitted.

    Memory is proportional to the size of the JSON, and nothing is computed beyond the values.

    Raises
    ------
    ValueError, TypeError, KeyError, OverflowError
        If the value is not one that :func:`encode` returns.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if all(map(_is_plain, value)):
        return {key: decode(item) for key, item in value.items()}
    ((kind, content),) = value.items()
    if kind not in _KINDS:
        raise ValueError(f"unknown kind of value {kind!r}; known kinds: {list(_KINDS)}")
    return _KINDS[kind](decode(content))


def _array(content) -> np.ndarray:
    kind, size, shape, items = _listed(content, "$array", 4)
    if not all(map(is_count, _listed(shape, "the shape of an $array"))):
        raise ValueError(f"an $array must have a shape of counts; got {reprlib.repr(shape)}")
    if not isinstance(kind, str) or (kind not in _STRINGS and size not in _NUMBERS.get(kind, ())):
        raise ValueError(f"unknown kind of array {kind!r} of {size!r} bytes")
    flat = _flat_text(items) if kind in _STRINGS else _flat_numbers(items, kind, size)
    return flat.astype(kind).reshape(shape) if kind == "U" else flat.reshape(shape)


def _flat_text(items) -> np.ndarray:
    if not all(isinstance(item, str) for item in _listed(items, "an $array")):
        raise ValueError("an $array of strings must hold nothing else")
    if len(items) * 4 * max(map(len, items), default=0) > _MAX_TEXT:
        raise ValueError(f"an $array of strings must have at most {_MAX_TEXT} bytes")
    return np.array(items, dtype=object)


def _flat_numbers(items, kind: str, size: int) -> np.ndarray:
    fitting = {"b": bool, "i": int, "u": int, "f": float | int}[kind]
    for item in _listed(items, "an $array"):
        if not isinstance(item, fitting) or (isinstance(item, bool) and kind != "b"):
            raise ValueError(f"an $array of kind {kind!r} must not hold {reprlib.repr(item)}")
    return np.array(items, dtype=f"{kind}{size}")


def _float(content) -> float:
    if content not in ("nan", "inf", "-inf"):
        raise ValueError(f"a $float must be nan, inf or -inf; got {reprlib.repr(content)}")
    return float(content)


def _dtype(content) -> type:
    if not isinstance(content, str) or content not in _DTYPES:
        raise ValueError(f"a $dtype must be one of {list(_DTYPES)}; got {reprlib.repr(content)}")
    return _DTYPES[content]


def _prior(content) -> Prior:
    family, numbers = content["family"], {k: v for k, v in content.items() if k != "family"}
    if not isinstance(family, str):
        raise ValueError(f"a $prior must have a family by name; got {reprlib.repr(family)}")
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"a $prior must have a number {name}; got {reprlib.repr(number)}")
    return Prior(family, **numbers)


def _random_state(content) -> np.random.RandomState:
    """A RandomState; numpy does not check its position, and would read beyond the words."""
    inner, key = content["state"], content["state"]["key"]
    right = (
        content["bit_generator"] == "MT19937"
        and isinstance(key, np.ndarray)
        and (key.dtype, key.shape) == (np.uint32, (_TWISTER,))
        and key[1:].any()  # zeros generate only zeros, and Normal values never end
        and is_count(inner["pos"])
        and inner["pos"] <= _TWISTER
        and is_count(content["has_gauss"])
        and content["has_gauss"] <= 1
        and isinstance(content["gauss"], float)
        and math.isfinite(content["gauss"])
    )
    if not right:
        raise ValueError(
            f"a $random_state must be that of a Mersenne Twister: {_TWISTER} words, a position "
            "among them, and a finite number kept for later"
        )
    random_state = np.random.RandomState(0)
    random_state.set_state(content)
    return random_state


def _transformer(content):
    kind, parameters = _listed(content, "$transformer", 2)
    if not isinstance(kind, str) or not isinstance(parameters, dict):
        raise ValueError("a $transformer must be a name and parameters")
    return transformer_from(kind, parameters)


def _listed(content, what: str, length: int | None = None) -> list:
    if not isinstance(content, list) or length not in (None, len(content)):
        wanted = "" if length is None else f" of {length}"
        raise ValueError(f"{what} must be a list{wanted}; got {reprlib.repr(content)}")
    return content


_KINDS: dict[str, Any] = {
    "$array": _array,
    "$dtype": _dtype,
    "$float": _float,
    "$prior": _prior,
    "$random_state": _random_state,
    "$transformer": _transformer,
    "$tuple": lambda content: tuple(_listed(content, "a $tuple")),
}
