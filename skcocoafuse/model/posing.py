"""From checked data and a user's assumptions to a problem, and back to the original units."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skcocoafuse.model.design import (
    DesignPart,
    Scale,
    Units,
    rounding_variance,
    smallest_difference,
)
from skcocoafuse.model.inputs import Inputs
from skcocoafuse.model.parameters import complete_priors, parameter_names
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.rows import RowsInMemory
from skcocoafuse.model.spec import ModelSpec


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
        return _each_once(
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
    inputs = Inputs(X, names, assumed.model)
    numeric_columns = inputs.numeric_columns()
    parts, matrices = _designs(assumed, inputs, weight)
    target = Scale.fit(y, weight, assumed.standardize)
    resolution = assumed.resolution
    if resolution == "auto":
        resolution = _recorded_step(y[weight > 0])
    has = parameter_names(assumed.behavior, assumed.noise)
    spec = ModelSpec(
        assumed.n_experts,
        {part: X.shape[1] for part, X in matrices.items()},
        behavior=assumed.behavior,
        priors=complete_priors(assumed.priors, has, assumed.model),
        rounding_variance=rounding_variance(resolution / target.scale),
        noise=assumed.noise,
    )
    rows = RowsInMemory(matrices, target.apply(y), weight)
    return Posed(parts, target, Problem(spec, rows), numeric_columns, names)


def _designs(assumed: Assumptions, inputs: Inputs, weight):
    """The design of each part, and its design matrix for these rows."""
    found = {
        part: DesignPart.fit_transform(
            selection, inputs, weight, assumed.standardize, argument_of(part)
        )
        for part, selection in assumed.features.items()
    }
    parts = {part: design for part, (design, _) in found.items()}
    return parts, _each_once(parts, lambda part: found[part][1])


def _each_once(
    designs: dict[str, DesignPart], matrix_of: Callable[[str], np.ndarray]
) -> dict[str, np.ndarray]:
    """The matrix of every part, the same array for parts that use the same columns directly."""
    matrices: dict[str, np.ndarray] = {}
    for part, design in designs.items():
        same = (other for other in matrices if design.sees_what(designs[other]))
        twin = next(same, None)
        matrices[part] = matrix_of(part) if twin is None else matrices[twin]
    return matrices


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
