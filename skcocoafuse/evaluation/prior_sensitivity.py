"""Which priors conclusions are sensitive to."""

from dataclasses import asdict, dataclass
from numbers import Real

import numpy as np

from skcocoafuse.evaluation import power_scaling, verdicts
from skcocoafuse.evaluation.power_scaling import (
    ALL,
    BAD_WEIGHTS,
    CONFLICT,
    FEW_DRAWS,
    STRONG,
    Sensitivity,
)
from skcocoafuse.evaluation.tables import Tabular
from skcocoafuse.posterior.fit import checked_designs
from skcocoafuse.posterior.monte_carlo import trusted_pareto_k
from skcocoafuse.predictive.wrappers import Unwrapped, unwrap


@dataclass(frozen=True, eq=False)
class PriorSensitivity(Tabular):
    """Sensitivity of conclusions to priors, from :func:`skcocoafuse.prior_sensitivity`.

    Parameters
    ----------
    entries : tuple of Sensitivity
        One for each prior and conclusion, the largest prior sensitivity first.
    threshold : float
        Reporting threshold of the sensitivity.
    k_threshold : float
        Pareto k-hat up to which importance weights are reliable.
    n_draws : int
        Number of posterior draws used.

    Examples
    --------
    >>> from skcocoafuse import BoERegressor, prior_sensitivity
    >>> from skcocoafuse.datasets import make_transition
    >>> X, y = make_transition(1000, random_state=0)
    >>> model = BoERegressor(1, inference="vi", random_state=0).fit(X, y)
    >>> result = prior_sensitivity(model)
    >>> result.sensitive_priors
    []
    >>> float(result.table["prior_sensitivity"].max().round(1))
    0.0
    """

    entries: tuple[Sensitivity, ...]
    threshold: float
    k_threshold: float
    n_draws: int

    @property
    def sensitive_priors(self) -> list[str]:
        """Parameters with a prior that a conclusion is sensitive to, the most sensitive first."""
        told = [e.prior for e in self.entries if e.diagnosis in (CONFLICT, STRONG)]
        return [name for name in dict.fromkeys(told) if name != ALL]

    @property
    def table(self):
        """All results, the largest prior sensitivity first.

        Returns
        -------
        pandas.DataFrame
            Index: ``prior`` (name of a parameter, or "all" for all priors together) and
            ``conclusion``. ``entry``: the most sensitive entry of a conclusion with several.
            ``prior_sensitivity``, ``likelihood_sensitivity``: distance that its distribution moves
            per doubling of the power. ``noise``: root mean square of ``prior_sensitivity`` if the
            two were unrelated, due to the finite number of draws. ``shift``: change of the mean
            per doubling of the prior's power, in posterior standard deviations. ``pareto_k``: of
            the importance weights, the larger of prior and likelihood. ``diagnosis``: in words;
            empty if there is nothing to report.
        """
        import pandas as pd

        return pd.DataFrame([asdict(e) for e in self.entries]).set_index(["prior", "conclusion"])

    def plot(self, ax=None):
        """Draw the sensitivity of every conclusion to every prior, and the threshold.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Those of a new figure by default.

        Returns
        -------
        skcocoafuse.plotting.PriorSensitivityDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed; the extra ``plot`` installs it.
        """
        from skcocoafuse.plotting import PriorSensitivityDisplay

        return PriorSensitivityDisplay.from_sensitivity(self, ax=ax)

    def _words(self) -> str:
        told = self.sensitive_priors
        unclear = [e for e in self.entries if e.diagnosis in (BAD_WEIGHTS, FEW_DRAWS)]
        said = "No conclusion is found to be sensitive to the prior of a single parameter"
        if told:
            said = f"Conclusions are sensitive to the prior of {', '.join(told)}"
        few = (
            f"; {len(unclear)} of {len(self.entries)} values cannot be determined"
            if unclear
            else ""
        )
        return f"{said} (threshold {self.threshold:g}, {self.n_draws} draws{few})."

    def _wide(self):
        """Prior sensitivities, one row per prior and one column per conclusion."""
        import pandas as pd

        wide: dict[str, dict[str, float]] = {}
        for e in self.entries:
            wide.setdefault(e.conclusion, {})[e.prior] = e.prior_sensitivity
        return pd.DataFrame(wide, index=list(dict.fromkeys(e.prior for e in self.entries)))

    def __repr__(self) -> str:
        return f"{self._words()}\n{self._wide().to_string(float_format='{:.3f}'.format)}"

    def _repr_html_(self) -> str:
        return f"<p>{self._words()}</p>{self._wide().to_html(float_format='{:.3f}'.format)}"


def prior_sensitivity(
    estimator, X=None, *, conclusions=None, alpha=1.25, threshold=0.05
) -> PriorSensitivity:
    """Which priors conclusions are sensitive to, by power-scaling, without refitting.

    The densities of each prior and of the likelihood are raised to the powers ``1 / alpha`` and
    ``alpha``; Pareto-smoothed importance weights turn draws from the posterior into draws from the
    perturbed one. The sensitivity is how far a conclusion then moves: the cumulative
    Jensen-Shannon distance of its distributions per doubling of the power.

    Parameters
    ----------
    estimator : estimator
        Fitted; a regressor of this package, possibly nested in ``Pipeline``, ``GridSearchCV``
        (anything with a ``best_estimator_``) and ``TransformedTargetRegressor``. With the latter,
        mean and standard deviation are those of the transformed target.
    X : array-like of shape (n_rows, n_features), optional
        The rows that conclusions are about, as input of the outermost estimator; by default, at
        most 50 rows of the fit, spread evenly over the sorted target.
    conclusions : dict of str to array-like of shape (n_chains, n_draws, ...), optional
        Further quantities with a value for every draw, in addition to the four standard ones; for
        example ``to_arviz()["posterior"]["expert_coef"]``.
    alpha : float, default=1.25
        Power, above 1. Larger values perturb more, but make importance weights less reliable.
    threshold : float, default=0.05
        Reporting threshold of the sensitivity, positive. 0.05 is that of the literature: it
        corresponds to a shift of the mean of a normal distribution by about 0.3 standard
        deviations when the power is doubled.

    Returns
    -------
    PriorSensitivity
        Of four conclusions that do not depend on labels: ``mean`` and ``sd`` of the predictive
        distribution given a draw, each at the most sensitive row; ``behavior``, beta averaged
        over the rows, weighted by the variance between experts (where they agree, it is
        meaningless; only if beta is learned); ``log density`` of the rows of the fit. It has
        ``sensitive_priors`` and ``table``. If chains settled in several modes, it is about the
        heaviest chain cluster.

    Raises
    ------
    TypeError
        If there is no regressor of this package inside, or ``conclusions`` is not a mapping.
    ValueError
        If the draws do not represent the posterior: a single draw, as with ``inference="map"``,
        or draws of ``"vi"`` or ``"advi"`` with ``diagnostics_["pareto_k"]`` above 0.7. Also
        for an invalid ``alpha``, ``threshold`` or entry of ``conclusions``.
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
    >>> model = BoERegressor(1, priors=narrow, inference="vi", random_state=0).fit(X, y)
    >>> prior_sensitivity(model).sensitive_priors[0]
    'sigma'
    """
    for name, value, least in (("alpha", alpha, 1.0), ("threshold", threshold, 0.0)):
        if not isinstance(value, Real) or not least < float(value) < float("inf"):
            raise ValueError(f"{name} must be a finite number above {least:g}; got {value!r}.")
    inside = unwrap(estimator, "fitted_", "prior sensitivity")
    fit = inside.estimator.fitted_
    verdicts.check_posterior(fit.diagnostics, "prior_sensitivity()", "or refit with another prior")
    rows, designs = _rows_of_interest(inside, X)
    own = power_scaling.own_conclusions({} if conclusions is None else conclusions, fit.posterior)
    alpha, threshold = float(alpha), float(threshold)
    posterior = fit.posterior.main_cluster()
    entries = power_scaling.measure(fit.problem, posterior, designs, rows, own, alpha, threshold)
    n_draws = posterior.log_posterior.size
    return PriorSensitivity(entries, threshold, trusted_pareto_k(n_draws), n_draws)


def _rows_of_interest(inside: Unwrapped, X) -> tuple[list[str], dict[str, np.ndarray]]:
    """Names of the rows that conclusions are about, and their design matrices."""
    if X is None:
        problem = inside.estimator.fitted_.problem
        rows = problem.rows.anchor_numbers(power_scaling.N_ROWS)
        designs = problem.take(rows).designs
    else:
        designs = checked_designs(inside.estimator, inside.inputs(X))
        rows = np.arange(len(designs["expert"]))
    return [f"row {row}" for row in rows], designs
