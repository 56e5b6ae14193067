"""The result of ``fit``, as one record that functions accept and files store."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcocoafuse._validation import validate_predict
from skcocoafuse.model.design import Scale
from skcocoafuse.model.inputs import Inputs
from skcocoafuse.model.parameters import Parameters
from skcocoafuse.model.posing import Posed
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.draws import Posterior

_MAX_KEPT = 20_000  # rows of a fit to rows elsewhere: 2 MB with ten columns


@dataclass(frozen=True, eq=False)
class Fit:
    """A problem, its posterior, and its diagnostics.

    Parameters
    ----------
    posed : Posed
        The problem, with the conversion from and to original units.
    posterior : Posterior
    diagnostics : dict
        From :func:`skcocoafuse.evaluation.diagnostics.diagnose`, with additions by the engine.
    """

    posed: Posed
    posterior: Posterior
    diagnostics: dict[str, Any]

    def __repr__(self) -> str:
        return f"Fit({self.problem.rows.n_rows} rows, {self.posterior!r})"

    @property
    def problem(self) -> Problem:
        """The rows and the assumptions."""
        return self.posed.problem

    @property
    def target(self) -> Scale:
        """Scale of the target."""
        return self.posed.target

    def with_a_part_of_the_rows(self) -> "Fit":
        """The fit with a random part of its rows in memory, whose weights sum to those of all."""
        part = self.problem.random_part(_MAX_KEPT, np.random.default_rng(0))
        return replace(self, posed=replace(self.posed, problem=part))

    def in_original_units(self) -> Parameters:
        """Draws of all chains in original units, with leading axes (chains, draws)."""
        return self.posed.units.undo(self.posterior.parameters)


def checked_inputs(estimator, X) -> Inputs:
    """Validate rows for a fitted estimator, with the features seen in ``fit``.

    Parameters
    ----------
    estimator : estimator
        With ``fitted_``, a :class:`Fit`.
    X : array-like of shape (rows, features)

    Raises
    ------
    sklearn.exceptions.NotFittedError
        Before ``fit``.
    ValueError, TypeError
        As in scikit-learn, for other features than those seen in ``fit``.
    """
    check_is_fitted(estimator)
    posed = estimator.fitted_.posed
    X = validate_predict(estimator, X, objects=not posed.numeric_columns.all())
    return Inputs(X, posed.feature_names, type(estimator).__name__)


def checked_designs(estimator, X) -> dict[str, np.ndarray]:
    """Standardized design matrices of rows; arguments and errors as in :func:`checked_inputs`."""
    inputs = checked_inputs(estimator, X)
    return estimator.fitted_.posed.matrices(inputs)
