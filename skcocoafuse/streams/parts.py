"""A part of the rows as numbers, checked where it is read."""

from collections.abc import Callable

import numpy as np

from skcocoafuse._validation import validate_part
from skcocoafuse.model.standardizing import Raw


def raw_part(values: np.ndarray, y, weight) -> Raw:
    """The part, with ones for weights if there are none.

    Raises
    ------
    ValueError, TypeError
        As in memory, for lengths that differ, and for targets and weights that are no finite
        numbers.
    """
    return Raw(values, *validate_part(values, y, weight))


def numbers_of(columns: list) -> np.ndarray:
    """Columns of numbers side by side, (rows, columns); NaN for None, which is not a number.

    float32 if all are, else float64.
    """
    given = [column for column in columns if column is not None]
    narrow = bool(given) and all(column.dtype == np.float32 for column in given)
    n_rows = len(given[0]) if given else 0
    out = np.full((n_rows, len(columns)), np.nan, dtype=np.float32 if narrow else np.float64)
    for j, column in enumerate(columns):
        if column is not None:
            out[:, j] = column
    return out


def call_for_part(function: Callable, raw, own: tuple, arguments: tuple, where: str):
    """``function(raw, *own, *arguments)``; errors about its values say where it is.

    Raises
    ------
    ValueError, TypeError
        Those of the function.
    """
    try:
        return function(raw, *own, *arguments)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{error}\nThis is in {where}.") from error


def own_arguments(each, n_parts: int) -> list[tuple]:
    """The arguments of each part, as tuples: none, or one."""
    return [()] * n_parts if each is None else [(value,) for value in each]
