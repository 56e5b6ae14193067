"""Transformers that a file may name, and limits on the cost of refitting them.

They are fully determined by parameters and inputs, so that refitting reproduces them. No Pipeline:
its `memory` names a folder, whose pickles fitting would read.
"""

import string
from numbers import Integral
from typing import Any

import numpy as np
from sklearn import preprocessing
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion

TRANSFORMERS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        ColumnTransformer,
        FeatureUnion,
        preprocessing.MaxAbsScaler,
        preprocessing.MinMaxScaler,
        preprocessing.OneHotEncoder,
        preprocessing.OrdinalEncoder,
        preprocessing.PolynomialFeatures,
        preprocessing.PowerTransformer,
        preprocessing.RobustScaler,
        SimpleImputer,
        preprocessing.SplineTransformer,
        preprocessing.StandardScaler,
    )
}
_NAME_FIELDS = {"feature_name", "transformer_name"}  # of ColumnTransformer's own templates
# Intermediate columns that a transformer may create for each input or output column: a union of a
# few nested splines and polynomials needs several.
_ROOM = 16
_LEAST_ROOM = 100  # a polynomial of high degree in one input
_MAX_COLUMNS = 10_000  # of an unfitted one, as in a parameter, whose inputs are not known
_MAX_DEGREE = 50  # the time of a spline grows with its square, and accuracy is lost far below it


def parameters_of(transformer) -> dict[str, Any]:
    """Parameters to save; not ``n_jobs``, since no file may start processes."""
    own = transformer.get_params(deep=False)
    return {name: None if name == "n_jobs" else value for name, value in own.items()}


def transformer_from(kind: str, parameters: dict[str, Any]):
    """An unfitted transformer of the list.

    Raises
    ------
    TypeError, ValueError
        If the kind or a parameter is unknown, or a parameter is not plain data or would create too
        many columns.
    """
    if kind not in TRANSFORMERS:
        raise ValueError(f"unknown transformer {kind!r}; known transformers: {list(TRANSFORMERS)}")
    if parameters.get("n_jobs") is not None:
        raise ValueError(f"{kind}.n_jobs must be null in a file; got {parameters['n_jobs']!r}")
    template = parameters.get("verbose_feature_names_out")
    if isinstance(template, str) and not _is_plain_template(template):
        raise ValueError(
            f"{kind}.verbose_feature_names_out must have no fields except {sorted(_NAME_FIELDS)}, "
            f"without formats; got {template!r}"
        )
    made = TRANSFORMERS[kind](**parameters)
    check_cost(made, range(1), _MAX_COLUMNS)
    return made


def _is_plain_template(template: str) -> bool:
    """Whether it only concatenates names; a format could request any length."""
    return all(
        field is None or (field in _NAME_FIELDS and not form and not conversion)
        for _, field, form, conversion in string.Formatter().parse(template)
    )


def check_cost(transformer, n_values, n_outputs: int) -> None:
    """Reject a transformer that takes much more memory than its inputs and outputs.

    Parameters
    ----------
    transformer : transformer
        One of the list, not fitted.
    n_values : pandas.Series of int, or range
        The number of distinct values in each input, by its name if inputs have names. A range, of
        some length, if inputs are not known.
    n_outputs : int
        The number of columns that it produced.

    Raises
    ------
    ValueError, TypeError, LookupError
        If it would create many more intermediate columns, or its parameters are invalid.
    """
    room = _ROOM * (len(n_values) + n_outputs) + _LEAST_ROOM
    _spend(transformer, n_values, room, room)


def _spend(transformer, n_values, left: int, most: int) -> int:
    """Number of columns that may still be created after those of this transformer."""
    n_inputs = len(n_values)
    left -= max(1, n_inputs)
    if isinstance(transformer, preprocessing.SplineTransformer):
        knots = transformer.knots
        n_knots = transformer.n_knots if isinstance(knots, str) else len(knots)
        degree = _at_most(transformer.degree, _MAX_DEGREE, "degree", transformer)
        left -= n_inputs * (degree + _at_most(n_knots, most, "n_knots", transformer))
    elif isinstance(transformer, preprocessing.PolynomialFeatures):
        degrees = transformer.degree
        degrees = [degrees] if isinstance(degrees, Integral) else list(degrees)
        degree = max(_at_most(k, _MAX_DEGREE, "degree", transformer) for k in degrees)
        left -= _n_monomials(n_inputs, degree, transformer.interaction_only, most)
    elif isinstance(transformer, preprocessing.OneHotEncoder):
        left -= _n_categories(transformer, n_values)
    elif isinstance(transformer, SimpleImputer):
        left -= n_inputs  # missing-value indicators
    elif isinstance(transformer, FeatureUnion):
        for _, part in transformer.transformer_list:
            left = _spend_part(part, n_values, left, most)
    elif isinstance(transformer, ColumnTransformer):
        for _, part, columns in transformer.transformers:
            left = _spend_part(part, _chosen(n_values, columns), left, most)
        left = _spend_part(transformer.remainder, n_values, left, most)
    _at_most(most - left, most, "columns", transformer)
    return left


def _spend_part(part, n_values, left: int, most: int) -> int:
    if isinstance(part, str):  # "drop", "passthrough"
        return left - max(1, len(n_values))
    return _spend(part, n_values, left, most)


def _chosen(n_values, columns):
    """The inputs that a ColumnTransformer passes on."""
    columns = [columns] if isinstance(columns, Integral | str) else list(columns)
    if isinstance(n_values, range):
        return range(len(columns))
    by_name = any(isinstance(column, str) for column in columns)
    return n_values.loc[columns] if by_name else n_values.iloc[columns]


def _n_categories(encoder, n_values) -> int:
    """Maximum number of columns of a one-hot encoder."""
    if not isinstance(encoder.categories, str):
        return sum(map(len, encoder.categories))
    if isinstance(n_values, range):
        return len(n_values)
    most = encoder.max_categories  # rare ones share a column
    return int((n_values if most is None else np.minimum(n_values, most)).sum())


def _n_monomials(n_inputs: int, degree: int, interaction_only: bool, most: int) -> int:
    """Number of monomials up to a degree, all of which are computed; stops above ``most``."""
    total = of_degree = 1
    for k in range(1, degree + 1):
        factor = n_inputs - k + 1 if interaction_only else n_inputs + k - 1
        of_degree = of_degree * max(0, factor) // k
        total += of_degree
        if total > most:
            break
    return total


def _at_most(number, most: int, name: str, transformer) -> int:
    if not isinstance(number, Integral) or not 0 <= int(number) <= most:
        raise ValueError(
            f"{type(transformer).__name__} must not take much more memory than its inputs and its "
            f"columns, which are in the file: {name} must be an int from 0 to {most}; got "
            f"{number!r}"
        )
    return int(number)
