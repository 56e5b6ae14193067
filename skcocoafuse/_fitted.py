"""What a fitted experts regressor can say: predictions, and a look inside.

Nothing here fits; everything is arithmetic on the draws in ``posterior_``.
"""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcocoafuse import diagnostics
from skcocoafuse._monte_carlo import MAX_PARETO_K
from skcocoafuse._validation import (
    chain_cores,
    check_probability,
    validate_observed,
    validate_predict,
)
from skcocoafuse.inference import Settings
from skcocoafuse.inference.refit import refit_bad_rows
from skcocoafuse.model import forward
from skcocoafuse.model.design import DesignPart, Scale
from skcocoafuse.model.problem import BLOCK_NUMBERS, Problem, row_blocks
from skcocoafuse.posterior import elpd
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.elpd import LooResult
from skcocoafuse.posterior.summary import summarize
from skcocoafuse.predictive import PredictiveDistribution
from skcocoafuse.predictive.local import local_slopes


class FittedExperts:
    """Methods of a regressor that holds ``posterior_``, its designs, target's scale and rows."""

    _behavior: ClassVar[float | None]
    inference: str
    chains: int
    n_jobs: int | None
    _settings: Callable[[], Settings]
    _designs: dict[str, DesignPart]
    _target: Scale
    _problem: Problem
    posterior_: Posterior
    diagnostics_: dict

    def _design_matrices(self, X) -> dict[str, np.ndarray]:
        names = getattr(self, "feature_names_in_", None)
        return {
            part: design.transform(X, names, f"{part}_features")
            for part, design in self._designs.items()
        }

    def _original_parameters(self):
        """Draws of all parameters in original units, (chains, draws, ...)."""
        p = self.posterior_.main_island().parameters
        loc, scale = self._target.loc, self._target.scale
        b, w = self._designs["expert"].original_units(p.expert_intercept, p.expert_coef)
        g, v = self._designs["gate"].original_units(p.gate_intercept, p.gate_coef)
        original = p._replace(
            expert_intercept=loc + scale * b,
            expert_coef=scale * w,
            sigma=scale * p.sigma,
            gate_intercept=g,
            gate_coef=v,
        )
        if self._behavior is None:
            h, u = self._designs["behavior"].original_units(p.behavior_intercept, p.behavior_coef)
            original = original._replace(behavior_intercept=h, behavior_coef=u)
        return original

    def _checked_designs(self, X) -> dict[str, np.ndarray]:
        check_is_fitted(self)
        return self._design_matrices(validate_predict(self, X))

    # -- prediction ----------------------------------------------------------------------

    def predict_dist(self, X) -> PredictiveDistribution:
        """The predictive distribution of every row: noise, experts and parameters together.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        PredictiveDistribution
        """
        return self._distribution(X)

    def _distribution(self, X, main_island=False) -> PredictiveDistribution:
        designs = self._checked_designs(X)
        posterior = self.posterior_.main_island() if main_island else self.posterior_
        return PredictiveDistribution(
            posterior.spec,
            posterior.flat(),
            designs,
            float(self._target.loc),
            float(self._target.scale),
            posterior.draw_weight(),
        )

    def predict(self, X, return_std=False):
        """Mean of the predictive distribution, and its standard deviation on request.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to return the standard deviation, noise included, as well.

        Returns
        -------
        mean : ndarray of shape (n_samples,)
        std : ndarray of shape (n_samples,)
            Only if ``return_std``.
        """
        dist = self.predict_dist(X)
        if return_std:
            return dist.mean_and_std()
        return dist.mean()

    def predict_interval(self, X, coverage=0.95):
        """Central predictive intervals.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        coverage : float or list of float, default=0.95

        Returns
        -------
        ndarray of shape (n_samples, 2), or (n_samples, 2, k) for k coverages
            Lower and upper ends.

        Raises
        ------
        ValueError
            If a coverage is not strictly between 0 and 1.
        """
        check_probability(coverage, "coverage")
        return self.predict_dist(X).interval(coverage)

    def predict_quantiles(self, X, quantiles=(0.05, 0.5, 0.95)):
        """Quantiles of the predictive distribution.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        quantiles : list of float, default=(0.05, 0.5, 0.95)

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles)

        Raises
        ------
        ValueError
            If a quantile is not strictly between 0 and 1.
        """
        quantiles = np.atleast_1d(check_probability(quantiles, "quantiles"))
        return self.predict_dist(X).ppf(quantiles)

    def sample_y(self, X, n_samples=1, random_state=None):
        """Data sets the model deems possible at these rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        n_samples : int, default=1
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        ndarray of shape (n_rows, n_samples)
            Each column uses one posterior draw.
        """
        return self.predict_dist(X).rvs(n_samples, random_state)

    def log_prob(self, X, y):
        """Log predictive density of observed targets; its mean is the LPPD.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        return self.predict_dist(X).logpdf(validate_observed(y, X))

    # -- looking inside: where chains disagree, at the heaviest island -------------------

    def predict_experts(self, X):
        """Posterior mean of every expert's own line, before any fusion.

        Returns
        -------
        ndarray of shape (n_samples, n_experts)
            In the target's units.
        """
        designs = self._checked_designs(X)
        flat = self.posterior_.main_island().flat()
        mean = flat.map(lambda a: a.mean(axis=0))  # linear, so this is exact
        lines = forward.expert_means(mean, designs["expert"])
        return self._target.loc + self._target.scale * lines

    def predict_gate(self, X):
        """Posterior mean of the gate, the weight of every expert.

        Returns
        -------
        ndarray of shape (n_samples, n_experts)
            Rows sum to one.
        """

        def gate(flat, designs):
            return np.exp(forward.log_gate(forward.NUMPY, flat, designs["gate"])).mean(axis=0)

        return self._in_blocks(X, gate)

    def responsibilities(self, X, y):
        """Posterior probability that each expert produced each observation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        ndarray of shape (n_samples, n_experts)
            Rows sum to one. Where beta is 0 the experts act as one, and this is the gate.
        """
        dist = self._distribution(X, main_island=True)
        return dist.responsibilities(validate_observed(y, X))

    def _in_blocks(self, X, function):
        """Join ``function(draws, designs)`` over blocks of rows, to bound memory."""
        designs = self._checked_designs(X)
        flat = self.posterior_.main_island().flat()
        blocks = row_blocks(designs, BLOCK_NUMBERS // flat.sigma.size)
        return np.concatenate([function(flat, block) for _, block in blocks])

    def local_coef(self, X, coverage=None):
        """How much the predictive mean changes with each input, at each row.

        The derivative of the mean, which is a weighted average of the experts' coefficients
        plus the change of the weights times the experts' differences; exact for columns of
        X, numerical behind a transformer in ``expert_features`` or ``gate_features``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        coverage : float, optional
            Probability inside a central credible interval of each derivative.

        Returns
        -------
        coef : ndarray of shape (n_samples, n_features)
            Units of the target per unit of the input.
        interval : ndarray of shape (n_samples, n_features, 2)
            Only if ``coverage`` is given.

        Raises
        ------
        ValueError
            If ``coverage`` is not strictly between 0 and 1.
        """
        tails = []
        if coverage is not None:
            outside = 1.0 - float(check_probability(coverage, "coverage"))
            tails = [0.5 * outside, 1.0 - 0.5 * outside]
        check_is_fitted(self)
        X = validate_predict(self, X)
        names = getattr(self, "feature_names_in_", None)

        def pull_back(part, slopes, rows):
            design = self._designs[part]
            return self._target.scale * design.pull_back(slopes, X[rows], names, f"{part}_features")

        posterior = self.posterior_
        coef, interval = local_slopes(
            posterior.flat(),
            self._design_matrices(X),
            posterior.draw_weight(),
            pull_back,
            X.shape[1],
            tails,
        )
        return (coef, interval) if tails else coef

    def summary(self, coverage=0.95):
        """Posterior of every parameter, in original units.

        Parameters
        ----------
        coverage : float, default=0.95
            Probability inside the interval between ``lower`` and ``upper``.

        Returns
        -------
        pandas.DataFrame
            A row per parameter; columns ``mean``, ``sd``, ``lower``, ``upper``, ``rhat``
            and ``ess`` (NaN for ``inference="map"``).

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        check_probability(coverage, "coverage")
        names = {part: design.names for part, design in self._designs.items()}
        return summarize(self._original_parameters(), names, coverage)

    # -- choosing a model ----------------------------------------------------------------

    def loo(self, *, reloo=False, max_draws=None) -> LooResult:
        """Leave-one-out cross-validation on the rows of ``fit``, without fitting again.

        By Pareto-smoothed importance sampling: draws from the posterior given all rows get
        the weights that make them draws given all but one. Where chains settled in several
        modes, each island is left-one-out by itself and their densities are mixed by
        stacking weights, which have seen all rows.

        Parameters
        ----------
        reloo : bool, default=False
            Whether to fit again, without it, for each row whose weights cannot be trusted.
            Fits run ``n_jobs`` at a time with the estimator's current ``inference``, ``draws``
            and the like, on the standardisation of the whole data.
        max_draws : int, optional
            Most posterior draws to use, at least 25 and spread evenly; all by default. Time
            is proportional to rows times draws.

        Returns
        -------
        LooResult
            In units of the target; :func:`skcocoafuse.compare` sets several side by side.

        Warns
        -----
        InfluentialRowsWarning
            If weights of some rows cannot be trusted.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If the draws are not those of the posterior: a single one, as after
            ``inference="map"``, or those of ``"laplace"`` or ``"advi"`` where
            ``diagnostics_["pareto_k"]`` is above 0.7. Or if ``max_draws`` is too small.

        Examples
        --------
        >>> from skcocoafuse import BoERegressor
        >>> from skcocoafuse.datasets import make_switch
        >>> X, y = make_switch(100, random_state=0)
        >>> result = BoERegressor(inference="laplace", random_state=0).fit(X, y).loo()
        >>> result.p_loo > 0, result.pointwise.shape
        (True, (100,))
        """
        result = self._leave_one_out(reloo, max_draws)
        elpd.warn(result, stacklevel=3)
        return result

    def _leave_one_out(self, reloo=False, max_draws=None) -> LooResult:
        check_is_fitted(self)
        if diagnostics.approximates_badly(self.diagnostics_):
            raise ValueError(
                "loo() needs draws from the posterior. Those of inference="
                f"{self.inference!r} come from an approximation too far from it: Pareto k-hat "
                f"{self.diagnostics_['pareto_k']:.2f} (wanted: at most {MAX_PARETO_K}). Fit with "
                "inference='nuts', or score held-out rows: cross_validate with "
                "skcocoafuse.metrics.SCORERS."
            )
        result = elpd.estimate(
            self._problem,
            self.posterior_,
            self._target,
            diagnostics.converged(self.diagnostics_),
            max_draws,
        )
        if reloo and result.bad_rows.size:
            settings, n_fits = self._settings(), len(result.bad_rows)
            cores = chain_cores(self.n_jobs, self.chains * n_fits)
            result = refit_bad_rows(
                result, self._problem, self._target, self.inference, settings, cores
            )
        return result
