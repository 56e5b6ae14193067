"""Find the regressor inside scikit-learn's meta-estimators.

Pipelines, searches and transformed targets delegate ``predict`` and ``score``, but no other
methods. :func:`unwrap` returns the regressor for these, and the transformers around it.
"""

from typing import Any, NamedTuple

from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


class Unwrapped(NamedTuple):
    """A regressor, and the fitted transformers around it, outermost first."""

    estimator: Any
    of_inputs: tuple
    of_target: tuple

    def inputs(self, X):
        """The input of the regressor, from that of the outermost estimator."""
        for transformer in self.of_inputs:
            X = transformer.transform(X)
        return X

    def input_names(self) -> list[str] | None:
        """Names of the columns of the regressor's input; None if a transformer has none."""
        names = None
        try:
            for transformer in self.of_inputs:
                names = transformer.get_feature_names_out(names)
        except AttributeError:  # a step of a pipeline may be without the method
            return None
        return None if names is None else [str(name) for name in names]


def unwrap(estimator, name: str, wanted: str) -> Unwrapped:
    """The regressor with a method or attribute, inside any nesting of meta-estimators.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    name : str
        Name of a public method, property or attribute of the regressor.
    wanted : str
        What it provides, for messages: "predictive distribution".

    Returns
    -------
    Unwrapped

    Raises
    ------
    TypeError
        If there is no such regressor inside, or a search with ``refit=False``.
    sklearn.exceptions.NotFittedError
        If a meta-estimator is not fitted.
    """
    if hasattr(type(estimator), name) or hasattr(estimator, name):  # it may not be fitted
        return Unwrapped(estimator, (), ())
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator)
        inner = unwrap(estimator.steps[-1][1], name, wanted)
        before = (estimator[:-1],) if len(estimator.steps) > 1 else ()
        return inner._replace(of_inputs=before + inner.of_inputs)
    if isinstance(estimator, TransformedTargetRegressor):
        check_is_fitted(estimator)
        inner = unwrap(estimator.regressor_, name, wanted)
        return inner._replace(of_target=(estimator.transformer_, *inner.of_target))
    if hasattr(estimator, "refit") and hasattr(estimator, "estimator"):  # a search
        if not estimator.refit:
            raise TypeError(
                f"{type(estimator).__name__} has no {wanted}: with refit=False, it keeps no fitted "
                "estimator. Use refit=True, or fit the best one yourself."
            )
        check_is_fitted(estimator)
        return unwrap(estimator.best_estimator_, name, wanted)
    raise TypeError(
        f"{type(estimator).__name__} has no {wanted}. Use a CoCoAFusERegressor, MoERegressor or "
        "BoERegressor, alone or in a Pipeline, TransformedTargetRegressor or search such as "
        "GridSearchCV with refit=True."
    )
