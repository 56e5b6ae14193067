"""Checks of what was assumed: which priors conclusions hang on."""

from numbers import Real

from skcocoafuse.evaluation.sensitivity import PriorSensitivity
from skcocoafuse.predictive.wrappers import unwrap

__all__ = ["PriorSensitivity", "prior_sensitivity"]


def prior_sensitivity(
    estimator, X=None, *, conclusions=None, alpha=1.25, threshold=0.05
) -> PriorSensitivity:
    """Which priors the conclusions hang on, by power-scaling and without fitting again.

    The density of each prior, and that of the likelihood, is taken to the powers ``1 / alpha``
    and ``alpha``; importance weights, smoothed by a Pareto distribution, make draws of the
    posterior those of the changed one. The sensitivity is how far a conclusion then moves: the
    cumulative Jensen-Shannon distance of its distributions per doubling of the power.

    Parameters
    ----------
    estimator : estimator
        Fitted; one of this package inside any nesting of ``Pipeline``, ``GridSearchCV`` (whatever
        has a ``best_estimator_``) and ``TransformedTargetRegressor``. Behind the latter, mean and
        standard deviation are those of the target that the regressor saw.
    X : array-like of shape (n_rows, n_features), optional
        The rows that conclusions are about, as the outermost estimator takes them; at most 50
        rows of the fit, spread evenly over the sorted target, by default.
    conclusions : dict of str to array-like of shape (n_chains, n_draws, ...), optional
        Numbers of every draw that you draw conclusions from, beside the four that are always
        there; ``to_arviz()["posterior"]["expert_coef"]``, for example.
    alpha : float, default=1.25
        Above 1. Greater ones go farther and are harder on the weights.
    threshold : float, default=0.05
        Sensitivity from which on a prior is named, positive. 0.05 is that of the literature: about
        what moves the mean of a normal distribution by 0.3 standard deviations when the power is
        doubled.

    Returns
    -------
    PriorSensitivity
        Of four conclusions that do not depend on labels: ``mean`` and ``sd``, of the predictive
        distribution of a draw, each at the row where it is most sensitive; ``behavior``, beta on
        average over the rows, weighed by the variance between experts (where they agree it means
        nothing; only where beta is learned); ``log density``, of the rows of the fit. It has
        ``sensitive_priors`` and ``table``. Where chains settled in several modes, it is about the
        heaviest island.

    Raises
    ------
    TypeError
        If there is no regressor of this package inside, or ``conclusions`` is no mapping.
    ValueError
        If the draws are not those of the posterior: a single one, as after
        ``inference="map"``, or those of ``"laplace"`` or ``"advi"`` where
        ``diagnostics_["pareto_k"]`` is above 0.7. Or for a bad ``alpha``, ``threshold`` or
        entry of ``conclusions``.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    References
    ----------
    Kallioinen, Paananen, Buerkner and Vehtari (2024), "Detecting and diagnosing prior and
    likelihood sensitivity with power-scaling", Statistics and Computing 34.

    Examples
    --------
    >>> from skcocoafuse import BoERegressor, Prior, prior_sensitivity
    >>> from skcocoafuse.datasets import make_transition
    >>> X, y = make_transition(100, random_state=0)
    >>> narrow = {"sigma": Prior("lognormal", loc=1.0, scale=0.1)}
    >>> model = BoERegressor(1, priors=narrow, inference="laplace", random_state=0).fit(X, y)
    >>> prior_sensitivity(model).sensitive_priors[0]
    'sigma'
    """
    for name, value, least in (("alpha", alpha, 1.0), ("threshold", threshold, 0.0)):
        if not isinstance(value, Real) or not least < float(value) < float("inf"):
            raise ValueError(f"{name} must be a finite number above {least:g}; got {value!r}.")
    inside = unwrap(estimator, "_prior_sensitivity", "prior sensitivity")
    X = None if X is None else inside.inputs(X)
    return inside.estimator._prior_sensitivity(X, conclusions, float(alpha), float(threshold))
