"""Checks of values that were read from a file; their messages name the value's place in it."""

import reprlib

import numpy as np


def check(right: bool | np.bool_, name: str, wanted: str) -> None:
    """Raise a ValueError that says what ``name`` must have, unless it is right."""
    if not right:
        raise ValueError(f"{name} must have {wanted}")


def is_count(value) -> bool:
    """Whether it is a nonnegative int and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def count(value, name: str, least: int = 0) -> int:
    """An int that is at least ``least``."""
    if not is_count(value) or value < least:
        raise ValueError(f"{name} must be an int from {least}; got {reprlib.repr(value)}")
    return value


def number(value, name: str, least: float | None = None) -> float:
    """A number; finite and at least ``least``, if that is given."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number; got {reprlib.repr(value)}")
    if least is not None and not least <= value < np.inf:
        raise ValueError(f"{name} must be finite and at least {least}; got {value!r}")
    return float(value)


def numbers(value, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array of float64; a plain number counts as one without axes."""
    if not isinstance(value, np.ndarray):
        value = np.array(number(value, name))
    if value.shape != shape or value.dtype != np.float64:
        raise ValueError(
            f"{name} must have {' x '.join(map(str, shape)) or 'one'} numbers of float64; got "
            f"shape {value.shape} of {value.dtype}"
        )
    return value


def strings(value, name: str) -> list[str]:
    """A list of strings."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{name} must be a list of strings; got {reprlib.repr(value)}")
    return value


def group_numbers(value, name: str) -> list[list[int]]:
    """A list of lists of counts."""
    if not isinstance(value, list) or not all(isinstance(group, list) for group in value):
        raise ValueError(f"{name} must be a list of lists; got {reprlib.repr(value)}")
    return [[count(item, name) for item in group] for group in value]
