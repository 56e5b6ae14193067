"""What a place in a file demands of a value that was read; each says the place if it is not met."""

import reprlib

import numpy as np


def check(right: bool | np.bool_, name: str, wanted: str) -> None:
    """A ValueError that says what ``name`` must have, unless it is right."""
    if not right:
        raise ValueError(f"{name} must have {wanted}")


def is_count(value) -> bool:
    """Whether it is an int, no bool, and not negative."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def count(value, name: str, least: int = 0) -> int:
    """An int of at least so much."""
    if not is_count(value) or value < least:
        raise ValueError(f"{name} must be an int from {least}; got {reprlib.repr(value)}")
    return value


def number(value, name: str, least: float | None = None) -> float:
    """A number, and a finite one where there is a least one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number; got {reprlib.repr(value)}")
    if least is not None and not least <= value < np.inf:
        raise ValueError(f"{name} must be finite and at least {least}; got {value!r}")
    return float(value)


def numbers(value, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array of float64; a plain number is one without axes."""
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
