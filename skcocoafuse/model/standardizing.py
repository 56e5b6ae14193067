"""Standardization of rows in parts: a few passes, with sums over parts.

For arrays too large to copy, and for rows on disk or on a cluster. Each pass calls a function of
one part for all parts, wherever these are.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from skcocoafuse._validation import refuse_extreme, refuse_totals
from skcocoafuse.model.design import DesignPart, Scale, columns_of, is_transformer
from skcocoafuse.model.inputs import Inputs, labels_of
from skcocoafuse.model.parted import Standardization, split_ranks
from skcocoafuse.model.rows import MAX_SORTED, Rows, random_ranks


class Raw(NamedTuple):
    """A part of the rows as it was given: values (rows, features), target and weight (rows,)."""

    values: np.ndarray
    target: np.ndarray
    weight: np.ndarray


class RawTable(Protocol):
    """Rows before standardization, in parts."""

    @property
    def n_features(self) -> int:
        """Number of columns."""

    @property
    def numeric_columns(self) -> np.ndarray:
        """Which of them are numbers, (features,) of bool."""

    def sample(self):
        """A few rows of the same kind, as an array or pandas.DataFrame."""

    def map(self, function: Callable, *arguments, each: Sequence | None = None) -> list:
        """As that of :class:`~skcocoafuse.model.rows.Rows`; parts are :class:`Raw`."""

    def rows(self, standardization: Standardization, counts: np.ndarray, weight: float) -> Rows:
        """The standardized rows, given numbers of rows of parts and the sum of weights."""


class _Seen(NamedTuple):
    """What one look at a part tells; ``size``: largest absolute values, the target's last."""

    n_rows: int
    n_counting: int
    weight: float
    heaviest: float
    size: np.ndarray
    low: float
    high: float


def standardize_in_parts(
    features: dict, standardize: bool, model: str, table: RawTable, names
) -> tuple[Standardization, Rows, np.ndarray]:
    """Choose and standardize columns.

    Parameters
    ----------
    features : dict of str to (None or list)
        The inputs of each part of the model, by the argument that selects them.
    standardize : bool
    model : str
        Its name, for messages.
    table : RawTable
    names : ndarray of str, or None
        Of the features.

    Returns
    -------
    standardization : Standardization
    rows : Rows
    targets : ndarray of shape (at most MAX_SORTED,)
        Those of a random part of the rows, in original units.

    Raises
    ------
    ValueError, TypeError
        If a selection or a value is invalid, or a transformer is given.
    """
    columns = {}
    for argument, selection in features.items():
        if is_transformer(selection):
            raise TypeError(
                f"{argument} is a transformer, which needs all rows at once, but these come in "
                "parts. Transform the columns before, or select them by a list of names or indices."
            )
        columns[argument] = columns_of(selection, names, table.n_features, argument)
    used = np.unique(np.concatenate(list(columns.values())))
    inputs = Inputs(table.sample(), names, model)
    for argument, own in columns.items():  # before a pass over all rows
        inputs.numbers(own, argument)
    seen = table.map(_look, columns, used, names, model, standardize)
    counts = np.array([(part.n_rows, part.n_counting) for part in seen])
    weight, size = sum(part.weight for part in seen), np.max([part.size for part in seen], axis=0)
    low, high = min(part.low for part in seen), max(part.high for part in seen)
    heaviest = max(part.heaviest for part in seen)
    refuse_totals(low, high, int(counts[:, 1].sum()), heaviest, weight)

    def total(function, *given):
        return np.sum(table.map(_sum_of_shares, used, weight, function, given), axis=0)

    scale = Scale.of_sums(size, total) if standardize else Scale.none(size.shape)
    labels = labels_of(names, table.n_features)
    designs = {}
    for argument, own in columns.items():
        at = np.searchsorted(used, own)
        own_scale = Scale(scale.loc[at], scale.scale[at])
        part = argument.removesuffix("_features")
        designs[part] = DesignPart(own, None, own_scale, [labels[j] for j in own])
    standardization = Standardization(designs, Scale(scale.loc[-1], scale.scale[-1]))
    ranks = random_ranks(int(counts[:, 1].sum()), MAX_SORTED, np.random.default_rng(0))
    targets = np.concatenate(table.map(_targets, each=split_ranks(counts, ranks)))
    return standardization, table.rows(standardization, counts, float(weight)), targets


def _look(raw: Raw, columns: dict, used: np.ndarray, names, model: str, standardize) -> _Seen:
    """Refuse values that are no finite numbers of a size that can be squared."""
    size = np.zeros(raw.values.shape[1])
    if not len(raw.target):
        return _Seen(0, 0, 0.0, 0.0, np.append(size[used], 0.0), np.inf, -np.inf)
    inputs, labels = Inputs(raw.values, names, model), labels_of(names, raw.values.shape[1])
    for argument, own in columns.items():
        matrix = inputs.numbers(own, argument)
        for j, column in zip(own, matrix.T, strict=True):
            name = f"Column {labels[j]!r} of X, which {argument} uses,"
            refuse_extreme(column, name, standardize)
            size[j] = np.abs(column).max(initial=0.0)
    refuse_extreme(raw.target, "y")
    counting = raw.target[raw.weight > 0]
    with np.errstate(over="ignore"):
        weight = float(raw.weight.sum())
    return _Seen(
        len(raw.target),
        len(counting),
        weight,
        float(raw.weight.max()),
        np.append(size[used], np.abs(raw.target).max(initial=0.0)),
        counting.min(initial=np.inf),
        counting.max(initial=-np.inf),
    )


def _sum_of_shares(raw: Raw, used, weight: float, function: Callable, given: tuple) -> np.ndarray:
    values = np.column_stack([raw.values[:, used], raw.target])
    return function(values, raw.weight / weight, *given)


def _targets(raw: Raw, ranks: np.ndarray) -> np.ndarray:
    return raw.target[np.flatnonzero(raw.weight > 0)[ranks]]
