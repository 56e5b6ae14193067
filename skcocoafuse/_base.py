"""The estimator the three regressors share; open this first.

``fit`` and its steps name the rooms of the package in their order: validation, design matrices
and specification (``model``), the engine (``inference``), labels (``posterior``),
``diagnostics``. What a fitted estimator can say is in ``_fitted`` and ``_inspection``.
"""

import copy
import time
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone

from skcocoafuse import diagnostics
from skcocoafuse._inspection import InspectedExperts
from skcocoafuse._validation import (
    Interval,
    StrOptions,
    all_or_nothing,
    chain_cores,
    fit_context,
    seed_from,
    validate_fit,
)
from skcocoafuse.inference import ENGINE_NAMES, Settings, get_engine
from skcocoafuse.model.design import DesignPart, Scale, rounding_variance, smallest_difference
from skcocoafuse.model.priors import complete_priors
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.pymc_model import build_pymc_model
from skcocoafuse.model.spec import ModelSpec
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.relabel import relabel

_MAX_EARLIER = 200  # draws of the fit before that a warm start looks at


class BaseExpertsRegressor(InspectedExperts, RegressorMixin, BaseEstimator):
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
        warm_start=False,
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
        self.warm_start = warm_start
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
        "warm_start": ["boolean"],
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
        before = copy.copy(self)
        with all_or_nothing(self):
            problem = self._pose(*validate_fit(self, X, y, sample_weight))
            self._infer(problem, before._draws_for(self, problem) if self.warm_start else None)
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

    def _draws_for(self, other: "BaseExpertsRegressor", problem: Problem) -> np.ndarray | None:
        """Draws of this fit as unconstrained parameters of the problem that another one posed.

        None if there was no fit, or none to begin at: not settled, or of other parameters.
        """
        if not self.__sklearn_is_fitted__() or not diagnostics.settled(self.diagnostics_):
            return None
        if self.posterior_.spec.n_experts != problem.spec.n_experts or any(
            design.names != other._designs[part].names for part, design in self._designs.items()
        ):
            return None
        draws = self.posterior_.thinned(_MAX_EARLIER)
        return problem.spec.pack(self._units.seen_from(other._units).undo(draws))

    def _infer(self, problem: Problem, earlier: np.ndarray | None = None) -> None:
        """Find the posterior, label its experts, judge it, publish what was learned."""
        settings = replace(self._settings(), earlier=earlier)
        result = get_engine(self.inference)(problem, settings)
        begun = time.perf_counter()
        parameters = relabel(problem, problem.spec.unpack(result.theta), result.log_posterior)
        posterior = Posterior(
            problem.spec,
            parameters.map(np.ascontiguousarray),
            result.log_posterior,
            result.stats,
        )
        self.posterior_, found = diagnostics.judge(problem, posterior, result.seconds)
        self._problem = problem  # leave-one-out densities and exports need the rows
        self._publish_coefficients()
        found.update(result.info)
        found["seconds"]["after sampling"] = time.perf_counter() - begun
        self.diagnostics_ = found

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
        original = self._original_units(self.posterior_.main_island().parameters)
        mean = original.map(lambda a: a.mean(axis=(0, 1)))
        self.intercept_, self.coef_ = mean.expert_intercept, mean.expert_coef
        self.sigma_ = mean.sigma
        self.gate_intercept_, self.gate_coef_ = mean.gate_intercept, mean.gate_coef
        if self._behavior is None:
            self.behavior_intercept_ = float(mean.behavior_intercept)
            self.behavior_coef_ = mean.behavior_coef

    def __sklearn_is_fitted__(self):
        return hasattr(self, "posterior_")
