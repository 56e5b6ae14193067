"""From checked data and a user's assumptions to a problem, and back to the original units."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skcocoafuse.model.design import (
    DesignPart,
    Scale,
    Units,
    each_once,
    is_transformer,
    rounding_variance,
    smallest_difference,
)
from skcocoafuse.model.inputs import Inputs
from skcocoafuse.model.parameters import complete_priors, default_priors, parameter_names
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.raw_arrays import RawArrays
from skcocoafuse.model.rows import RowsInMemory
from skcocoafuse.model.spec import ModelSpec
from skcocoafuse.model.standardizing import RawTable, standardize_in_parts

_COPIES = 2  # of a column: standardized, and in tiles
_MAX_COPIED = 100_000_000  # bytes; larger arrays are standardized block by block, when needed


@dataclass(frozen=True)
class Assumptions:
    """What a user assumes before seeing data.

    Parameters
    ----------
    model : str
        Its name, for messages.
    n_experts : int
    behavior : float or None
        As in :class:`~skcocoafuse.model.spec.ModelSpec`.
    features : dict of str to (None, list or transformer)
        The inputs of each part of the model.
    priors : dict of str to Prior, or None
    standardize : bool
    resolution : "auto" or float
        The step in which the target was recorded, in the target's units.
    noise : str
        As in :class:`~skcocoafuse.model.spec.ModelSpec`.
    """

    model: str
    n_experts: int
    behavior: float | None
    features: dict[str, Any]
    priors: Any
    standardize: bool
    resolution: Any
    noise: str


@dataclass(frozen=True, eq=False)
class Posed:
    """A problem ready for inference, and the maps between original and standardized units.

    Parameters
    ----------
    designs : dict of str to DesignPart
        How inputs become the design matrix of each part.
    target : Scale
    problem : Problem
        The rows, on the standardized scale.
    numeric_columns : ndarray of shape (features,) of bool
        Which inputs are numeric.
    feature_names : ndarray of str, or None
        ``feature_names_in_``.
    """

    designs: dict[str, DesignPart]
    target: Scale
    problem: Problem
    numeric_columns: np.ndarray
    feature_names: np.ndarray | None

    @property
    def units(self) -> Units:
        """The map from standardized parameters to those in the original units."""
        scales = {part: design.scale for part, design in self.designs.items()}
        return Units(**scales, target=self.target)

    @property
    def column_names(self) -> dict[str, list[str]]:
        """Names of the columns of each design matrix."""
        return {part: design.names for part, design in self.designs.items()}

    def matrices(self, inputs: Inputs) -> dict[str, np.ndarray]:
        """Standardized design matrices of rows, (rows, columns) each."""
        return each_once(
            self.designs,
            lambda part: self.designs[part].transform(inputs, argument_of(part)),
        )


def argument_of(part: str) -> str:
    """The constructor's parameter that selects the inputs of a part."""
    return f"{part}_features"


def pose(assumed: Assumptions, X, y: np.ndarray, weight: np.ndarray, names=None) -> Posed:
    """Standardize, build design matrices, and complete the specification.

    Parameters
    ----------
    assumed : Assumptions
    X : ndarray or pandas.DataFrame of shape (rows, features)
    y, weight : ndarray of shape (rows,)
        All as :func:`skcocoafuse._validation.validate_fit` returns them.
    names : ndarray of str, optional
        Of the features.

    Raises
    ------
    ValueError, TypeError
        If a selection of features, a prior or the target is invalid.
    """
    if _copies_are_large(assumed, X):
        return pose_in_parts(assumed, RawArrays(X, y, weight), names)
    inputs = Inputs(X, names, assumed.model)
    parts, matrices = _designs(assumed, inputs, weight)
    target = Scale.fit(y, weight, assumed.standardize)
    rows = RowsInMemory(matrices, target.apply(y), weight)
    spec = _specify(assumed, parts, target, y[weight > 0])
    return Posed(parts, target, Problem(spec, rows), inputs.numeric_columns(), names)


def pose_in_parts(assumed: Assumptions, table: RawTable, names=None) -> Posed:
    """The same for rows that are standardized in parts; parts of the model use columns directly.

    The step in which the target was recorded is estimated from a random part of the rows.
    """
    features = {argument_of(part): selection for part, selection in assumed.features.items()}
    standardization, rows, targets = standardize_in_parts(
        features, assumed.standardize, assumed.model, table, names
    )
    parts, target = standardization.designs, standardization.target
    spec = _specify(assumed, parts, target, targets)
    problem = Problem(spec, rows)  # type: ignore[arg-type]
    return Posed(parts, target, problem, table.numeric_columns, names)


def _copies_are_large(assumed: Assumptions, X) -> bool:
    """Whether standardized copies of an array of numbers would take much memory."""
    if not isinstance(X, np.ndarray) or X.dtype == object:
        return False
    if any(map(is_transformer, assumed.features.values())):
        return False
    return _COPIES * 8 * X.size > _MAX_COPIED


def _specify(assumed: Assumptions, parts: dict[str, DesignPart], target: Scale, y) -> ModelSpec:
    """The specification of the model, given some targets in original units."""
    resolution = _recorded_step(y) if assumed.resolution == "auto" else assumed.resolution
    has = parameter_names(assumed.behavior, assumed.noise)
    n_features = {part: len(design.names) for part, design in parts.items()}
    defaults = default_priors(n_features)
    return ModelSpec(
        assumed.n_experts,
        n_features,
        behavior=assumed.behavior,
        priors=complete_priors(assumed.priors, has, assumed.model, defaults),
        rounding_variance=rounding_variance(float(resolution / target.scale)),
        noise=assumed.noise,
    )


def _designs(assumed: Assumptions, inputs: Inputs, weight):
    """The design of each part, and its design matrix for these rows."""
    found = {
        part: DesignPart.fit_transform(
            selection, inputs, weight, assumed.standardize, argument_of(part)
        )
        for part, selection in assumed.features.items()
    }
    parts = {part: design for part, (design, _) in found.items()}
    return parts, each_once(parts, lambda part: found[part][1])


def _recorded_step(y: np.ndarray) -> float:
    """The step in which a target was recorded, estimated from its values.

    Raises
    ------
    ValueError
        If values differ only by rounding.
    """
    step = smallest_difference(y)
    if step == 0.0:
        raise ValueError(
            f"y is constant up to rounding ({float(y.min())!r} to {float(y.max())!r} in {y.size} "
            "rows): there is no variation to model. Check the target column, or set "
            "target_resolution if it is recorded that finely."
        )
    return step
