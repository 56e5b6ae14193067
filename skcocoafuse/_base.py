"""The estimator the three regressors share; open this first.

``fit`` names the rooms of the package in their order: validation, design matrices and
specification (``model``), the engine (``inference``), labels (``posterior``),
``diagnostics``. Everything after ``fit`` is arithmetic on stored numpy arrays.
"""

import time
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted

from skcocoafuse import diagnostics
from skcocoafuse._monte_carlo import rhat
from skcocoafuse._validation import (
    Interval,
    StrOptions,
    all_or_nothing,
    chain_cores,
    check_probability,
    fit_context,
    seed_from,
    validate_fit,
    validate_observed,
    validate_predict,
)
from skcocoafuse.inference import ENGINE_NAMES, Settings, get_engine
from skcocoafuse.model import forward
from skcocoafuse.model.design import DesignPart, Scale, rounding_variance, smallest_difference
from skcocoafuse.model.priors import complete_priors
from skcocoafuse.model.problem import BLOCK_NUMBERS, Problem, row_blocks
from skcocoafuse.model.pymc_model import build_pymc_model
from skcocoafuse.model.spec import ModelSpec
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.islands import invariants, weigh_islands
from skcocoafuse.posterior.relabel import relabel
from skcocoafuse.posterior.summary import summarize
from skcocoafuse.predictive import PredictiveDistribution


class BaseExpertsRegressor(RegressorMixin, BaseEstimator):
    """A few linear experts, a gate, and a behavior in between mixing and blending."""

    #: beta(x) where it is not learned: 1.0 mixes, 0.0 blends, None learns it.
    _behavior: ClassVar[float | None]

    def __init__(
        self,
        n_experts=2,
        *,
        expert_features=None,
        gate_features=None,
        priors=None,
        inference="nuts",
        draws=1000,
        tune=500,
        chains=4,
        target_accept=0.95,
        inference_options=None,
        standardize=True,
        target_resolution="auto",
        n_jobs=None,
        random_state=None,
        progress_bar=False,
    ):
        self.n_experts = n_experts
        self.expert_features = expert_features
        self.gate_features = gate_features
        self.priors = priors
        self.inference = inference
        self.draws = draws
        self.tune = tune
        self.chains = chains
        self.target_accept = target_accept
        self.inference_options = inference_options
        self.standardize = standardize
        self.target_resolution = target_resolution
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.progress_bar = progress_bar

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_experts": [Interval(Integral, 1, None, closed="left")],
        "expert_features": "no_validation",  # DesignPart says what is wrong with a selection
        "gate_features": "no_validation",
        "priors": "no_validation",  # so does complete_priors
        "inference": [StrOptions(set(ENGINE_NAMES))],
        "draws": [Interval(Integral, 1, None, closed="left")],
        "tune": [Interval(Integral, 1, None, closed="left")],
        "chains": [Interval(Integral, 1, None, closed="left")],
        "target_accept": [Interval(Real, 0, 1, closed="neither")],
        "inference_options": [dict, None],
        "standardize": ["boolean"],
        "target_resolution": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "progress_bar": ["boolean"],
    }

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Infer the posterior.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional
            Factor of each row's log likelihood, >= 0. A weight of 2 is the same as writing
            the row twice.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For bad data or parameters; the estimator is then left as it was.
        """
        with all_or_nothing(self):
            problem = self._pose(*validate_fit(self, X, y, sample_weight))
            result = get_engine(self.inference)(problem, self._settings())
            begun = time.perf_counter()
            parameters = relabel(problem, problem.spec.unpack(result.theta), result.log_posterior)
            posterior = Posterior(
                problem.spec,
                parameters.map(np.ascontiguousarray),
                result.log_posterior,
                result.stats,
            )
            quantities = invariants(problem, posterior)
            overall_rhat = rhat(quantities)
            self.posterior_ = weigh_islands(problem, posterior, quantities, overall_rhat)
            self._publish_coefficients()
            found = diagnostics.diagnose(
                problem, self.posterior_, quantities, overall_rhat, result.seconds
            )
            found.update(result.info)
            found["seconds"]["after sampling"] = time.perf_counter() - begun
            self.diagnostics_ = found
        diagnostics.warn(self.diagnostics_, stacklevel=4)  # the user's line, past scikit-learn's
        return self

    def build_model(self, X, y, sample_weight=None):
        """The PyMC model that ``fit`` infers, on the standardised scale.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`.

        Returns
        -------
        pymc.Model
            With named parameters, dims and an observed ``y``; works with
            ``pm.sample_prior_predictive``, ``pm.model_to_graphviz``, ``pm.sample``. The
            estimator itself stays as it was.
        """
        other = clone(self)  # what it learns of the data stays off this estimator
        other._validate_params()
        problem = other._pose(*validate_fit(other, X, y, sample_weight))
        names = {part: design.names for part, design in other._designs.items()}
        return build_pymc_model(problem, names)

    # -- fitting, step by step -----------------------------------------------------------

    def _pose(self, X, y, weight) -> Problem:
        """Standardise, build the design matrices and the specification."""
        names = getattr(self, "feature_names_in_", None)
        selections = {
            "expert": self.expert_features,
            "gate": self.gate_features,
            "behavior": getattr(self, "behavior_features", []),  # only one model has such a gate
        }
        self._designs = {
            part: DesignPart.fit(selection, X, names, weight, self.standardize, f"{part}_features")
            for part, selection in selections.items()
        }
        self._target = Scale.fit(y, weight, self.standardize)
        designs = self._design_matrices(X)
        resolution = self.target_resolution
        if resolution == "auto":
            resolution = smallest_difference(y[weight > 0])
        spec = ModelSpec(
            self.n_experts,
            designs["expert"].shape[1],
            designs["gate"].shape[1],
            designs["behavior"].shape[1],
            behavior=self._behavior,
            priors=complete_priors(self.priors),
            rounding_variance=rounding_variance(resolution / self._target.scale),
        )
        return Problem(spec, designs, self._target.apply(y), weight)

    def _design_matrices(self, X) -> dict[str, np.ndarray]:
        names = getattr(self, "feature_names_in_", None)
        return {
            part: design.transform(X, names, f"{part}_features")
            for part, design in self._designs.items()
        }

    def _settings(self) -> Settings:
        return Settings(
            draws=self.draws,
            tune=self.tune,
            chains=self.chains,
            target_accept=self.target_accept,
            cores=chain_cores(self.n_jobs, self.chains),
            seed=seed_from(self.random_state),
            progress_bar=self.progress_bar,
            options=dict(self.inference_options or {}),
        )

    def _publish_coefficients(self) -> None:
        """Posterior means in original units, as attributes; of the heaviest island's chains."""
        original = self._original_parameters()
        mean = original.map(lambda a: a.mean(axis=(0, 1)))
        self.intercept_, self.coef_ = mean.expert_intercept, mean.expert_coef
        self.sigma_ = mean.sigma
        self.gate_intercept_, self.gate_coef_ = mean.gate_intercept, mean.gate_coef
        if self._behavior is None:
            self.behavior_intercept_ = float(mean.behavior_intercept)
            self.behavior_coef_ = mean.behavior_coef

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

    def __sklearn_is_fitted__(self):
        return hasattr(self, "posterior_")
