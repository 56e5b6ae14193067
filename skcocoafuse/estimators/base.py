"""The estimator the three regressors share; open this first.

``fit`` and its steps name the rooms of the package in their order: validation, design matrices
and specification (``model``), the engine (``inference``), labels (``posterior``),
``evaluation``. What a fitted estimator can say is in ``fitted`` and ``inspection``.
"""

import copy
import time
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted

from skcocoafuse import persistence
from skcocoafuse._threads import ended_with_the_process
from skcocoafuse._validation import (
    Interval,
    IntervalWithHint,
    StrOptions,
    all_or_nothing,
    check_count,
    cores_for,
    fit_context,
    seed_from,
    validate_fit,
)
from skcocoafuse.estimators.inspection import InspectedExperts
from skcocoafuse.evaluation import diagnostics
from skcocoafuse.inference import ENGINE_NAMES, Settings, get_engine
from skcocoafuse.model.design import DesignPart, Scale, rounding_variance, smallest_difference
from skcocoafuse.model.inputs import Inputs
from skcocoafuse.model.mixtures import random_targets
from skcocoafuse.model.parameters import complete_priors, parameter_names
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.pymc_model import build_pymc_model
from skcocoafuse.model.spec import ModelSpec
from skcocoafuse.persistence.fitted import FittedState
from skcocoafuse.persistence.paths import local_path
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.export import NO_ROW_GROUPS
from skcocoafuse.posterior.relabel import relabel

_MAX_EARLIER = 200  # draws of the fit before that a warm start looks at
_NEEDS_A_SCALE = (
    "This %(name)s instance is not fitted yet, so the scale that its priors refer to is not known. "
    "Give 'y' as well, or call 'fit' first."
)


def _recorded_step(y: np.ndarray) -> float:
    """The step in which a target was recorded, as far as its values tell.

    Raises
    ------
    ValueError
        If values differ by rounding only.
    """
    step = smallest_difference(y)
    if step == 0.0:
        raise ValueError(
            f"y is constant up to rounding ({float(y.min())!r} to {float(y.max())!r} in {y.size} "
            "rows): there is no spread to model. Check the target column, or give "
            "target_resolution if it is recorded that finely."
        )
    return step


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
        target_accept=0.9,
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
        "n_experts": [
            IntervalWithHint(Integral, 1, None, closed="left", hint="NExpertsSelector chooses it")
        ],
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
        X : array-like or DataFrame of shape (n_samples, n_features)
            Numbers where a part of the model uses columns directly. Other columns may hold what
            transformers in ``expert_features`` and its siblings take.
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
            For bad data or parameters; the estimator is then left as it was, as by any exception,
            a warning that is an error included.
        """
        before = copy.copy(self)
        with all_or_nothing(self), ended_with_the_process():
            problem = self._pose(*validate_fit(self, X, y, sample_weight))
            self._infer(problem, before._draws_for(self, problem) if self.warm_start else None)
            # the user's line, past scikit-learn's; inside, since a warning may be an error
            diagnostics.warn(self.diagnostics_, stacklevel=4)
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
        other, problem = self._posed(X, y, sample_weight)
        names = {part: design.names for part, design in other._designs.items()}
        return build_pymc_model(problem, names)

    def sample_prior_predictive(
        self,
        X,
        y=None,
        sample_weight=None,
        *,
        n_samples=500,
        random_state=None,
        return_parameters=False,
    ):
        """Data sets the priors deem possible, before any row is learned from.

        Priors are on the standardised scale, so inputs and target must be known as far as
        their location and scale go. With ``y`` these are what ``fit(X, y)`` would take; the
        estimator need not be fitted and stays as it was. Without ``y`` they are those of the
        fit, so are its priors, and ``X`` may be any rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        y : array-like of shape (n_rows,), optional
            Only its mean, standard deviation and resolution are used.
        sample_weight : array-like of shape (n_rows,), optional
            As in :meth:`fit`; together with ``y``.
        n_samples : int, default=500
        random_state : int, RandomState instance or None, default=None
        return_parameters : bool, default=False
            Whether to return the parameters that the data sets were drawn with as well.

        Returns
        -------
        values : ndarray of shape (n_samples, n_rows)
            In units of the target. Each row of the array is one data set: one draw of all
            parameters, and independent noise.
        parameters : dict of str to ndarray
            Only if ``return_parameters``: by the names of ``priors``, in original units as
            ``expert_coef_`` and its siblings, with a leading axis of length ``n_samples``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``, if ``y`` is not given.
        ValueError
            For bad data, or if ``n_samples`` is no positive integer.

        Examples
        --------
        >>> from skcocoafuse import CoCoAFusERegressor
        >>> from skcocoafuse.datasets import make_switch
        >>> X, y = make_switch(100, random_state=0)
        >>> model = CoCoAFusERegressor(3)
        >>> values, parameters = model.sample_prior_predictive(
        ...     X, y, n_samples=20, random_state=0, return_parameters=True
        ... )
        >>> values.shape, parameters["sigma"].shape
        ((20, 100), (20, 3))
        """
        n_samples = check_count(n_samples, "n_samples")
        if y is None:
            check_is_fitted(self, msg=_NEEDS_A_SCALE)
            posed, spec, designs = self, self._problem.spec, self._checked_designs(X)
        else:
            posed, problem = self._posed(X, y, sample_weight)
            spec, designs = problem.spec, problem.designs
        rng = np.random.default_rng(seed_from(random_state))
        parameters = spec.sample_prior(rng, n_samples)
        values = posed._target.undo(random_targets(rng, spec, parameters, designs))
        if not return_parameters:
            return values
        named = posed._original_units(parameters)._asdict()
        return values, {name: draws for name, draws in named.items() if draws is not None}

    def _posed(self, X, y, sample_weight) -> "tuple[BaseExpertsRegressor, Problem]":
        """A clone that has learned the scales of checked data, and the problem it would fit."""
        other = clone(self)  # what it learns of the data stays off this estimator
        other._validate_params()
        return other, other._pose(*validate_fit(other, X, y, sample_weight))

    # -- fitting, step by step -----------------------------------------------------------

    def _pose(self, X, y, weight) -> Problem:
        """Standardise, build the design matrices and the specification."""
        inputs = Inputs(X, getattr(self, "feature_names_in_", None), type(self).__name__)
        self._numeric_columns = inputs.numeric_columns()
        selections = {
            "expert": self.expert_features,
            "gate": self.gate_features,
            "behavior": getattr(self, "behavior_features", []),  # only one model has such a gate
        }
        found = {
            part: DesignPart.fit_transform(
                selection, inputs, weight, self.standardize, f"{part}_features"
            )
            for part, selection in selections.items()
        }
        self._designs = {part: design for part, (design, _) in found.items()}
        self._target = Scale.fit(y, weight, self.standardize)
        designs = {part: matrix for part, (_, matrix) in found.items()}
        resolution = self.target_resolution
        if resolution == "auto":
            resolution = _recorded_step(y[weight > 0])
        spec = ModelSpec(
            self.n_experts,
            designs["expert"].shape[1],
            designs["gate"].shape[1],
            designs["behavior"].shape[1],
            behavior=self._behavior,
            priors=complete_priors(
                self.priors, parameter_names(self._behavior), type(self).__name__
            ),
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
        self.posterior_, found = diagnostics.judge(
            problem, posterior, result.seconds, result.independent, self._target
        )
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
            cores=cores_for(self.n_jobs, self.chains),
            seed=seed_from(self.random_state),
            progress_bar=self.progress_bar,
            options=dict(self.inference_options or {}),
        )

    def _publish_coefficients(self) -> None:
        """Posterior means in original units, as attributes; of the heaviest island's chains."""
        original = self._original_units(self.posterior_.main_island().parameters)
        mean = original.map(lambda a: a.mean(axis=(0, 1)))
        for name in parameter_names(self._behavior):
            value = getattr(mean, name)
            setattr(self, f"{name}_", value if value.ndim else float(value))

    # -- keeping a fit -------------------------------------------------------------------

    def save(self, path):
        """Write the fitted estimator to one netCDF-4 file, for :func:`skcocoafuse.load`.

        Other programs can read it as well: the posterior, the sampler's statistics and the data
        in ArviZ's groups, parameters and diagnostics as JSON. The user guide describes the file.

        Parameters
        ----------
        path : str or path-like
            As for ``open``, so "~" is not expanded. A file there is replaced, once the new one is
            complete and on the disk: a reader, or another process that saves there, never meets a
            part of one. It keeps its permissions. A symbolic link is replaced, and not what it
            points to.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError
            If a parameter, or a transformer fitted inside, is of a kind that the file has no
            place for (a function, a transformer of your own), if a transformer was fitted to a
            table with a column that it has no place for (other than numbers, strings, categories
            and dates), or the estimator is of a class of your own. Nothing is written then;
            :mod:`joblib` and skops take these.
        ValueError
            If a parameter was set to what ``fit`` would not take, or :func:`skcocoafuse.load`
            could not read the file. Nothing is written then either.
        OSError
            If the file cannot be written, as on a full disk. What was there stays.

        Notes
        -----
        Constructor parameters and all that ``fit`` found are kept; metadata requests (as by
        ``set_fit_request``) and ``n_jobs`` of transformers are not.

        Examples
        --------
        >>> import os, tempfile
        >>> from skcocoafuse import MoERegressor, load
        >>> from skcocoafuse.datasets import make_switch
        >>> X, y = make_switch(100, random_state=0)
        >>> model = MoERegressor(inference="map", random_state=0).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(os.path.join(folder, "switch.nc"))
        ...     again = load(os.path.join(folder, "switch.nc"))
        >>> bool((again.predict(X) == model.predict(X)).all())
        True
        """
        check_is_fitted(self)
        self._check_parameters()
        path = local_path(path)
        groups = self._arviz_groups(NO_ROW_GROUPS)
        del groups["posterior_standardized"]  # the state has it
        persistence.write(path, type(self), self.get_params(deep=False), self._state(), groups)

    def _check_parameters(self) -> None:
        """Whether ``fit`` would take them, as far as they do not depend on data."""
        self._validate_params()
        complete_priors(self.priors)

    def _state(self) -> FittedState:
        """All that ``fit`` found."""
        return FittedState(
            self._designs,
            self._target,
            self._problem,
            self.posterior_,
            self.diagnostics_,
            self.n_features_in_,
            getattr(self, "feature_names_in_", None),
            self._numeric_columns,
        )

    def _restore(self, state: FittedState):
        """Become fitted; the inverse of :meth:`_state`."""
        self._numeric_columns = state.numeric_columns
        self._designs, self._target, self._problem = state.designs, state.target, state.problem
        self.posterior_, self.diagnostics_ = state.posterior, state.diagnostics
        self.n_features_in_ = state.n_features_in
        if state.feature_names_in is not None:
            self.feature_names_in_ = state.feature_names_in
        self._publish_coefficients()
        return self

    def __sklearn_is_fitted__(self):
        return hasattr(self, "posterior_")
