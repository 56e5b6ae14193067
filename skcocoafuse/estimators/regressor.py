"""The estimator that the three regressors share; open this first.

``fit`` names the steps in their order: validate, pose (``model``), infer, label and judge
(``evaluation``). Methods are thin: each checks its arguments and asks a function of the room that
its subject belongs to.
"""

import copy
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted

from skcocoafuse import persistence
from skcocoafuse._arviz import inference_data
from skcocoafuse._hints import COVERAGE, PREDICT, QUANTILES, hints
from skcocoafuse._threads import ended_with_the_process
from skcocoafuse._validation import (
    Interval,
    IntervalWithHint,
    StrOptions,
    check_count,
    check_probability,
    cores_for,
    fit_context,
    restore_on_error,
    seed_from,
    validate_fit,
    validate_observed,
)
from skcocoafuse.estimators import insights, predictions
from skcocoafuse.evaluation import elpd, fit_warnings, learning, surplus_experts, verdicts
from skcocoafuse.evaluation.elpd import LooResult
from skcocoafuse.evaluation.refits import refit_bad_rows
from skcocoafuse.evaluation.surplus_experts import MergeResult
from skcocoafuse.inference import ENGINE_NAMES, Settings
from skcocoafuse.model.parameters import PARTS, complete_priors, parameter_names
from skcocoafuse.model.posing import Assumptions, Posed, argument_of, pose
from skcocoafuse.model.pymc_model import build_pymc_model
from skcocoafuse.persistence.paths import local_path
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.export import ATTRS, NO_ROW_GROUPS, RowGroups, arviz_groups
from skcocoafuse.posterior.fit import Fit, checked_designs, checked_inputs
from skcocoafuse.posterior.summary import summarize
from skcocoafuse.predictive import PredictiveDistribution
from skcocoafuse.predictive.frames import check_output, interval_output, quantile_output

_NEEDS_A_SCALE = (
    "This %(name)s instance is not fitted yet, so the scale that its priors refer to is not known. "
    "Give 'y' as well, or call 'fit' first."
)


class BaseExpertsRegressor(RegressorMixin, BaseEstimator):
    """A few linear experts, a gate, and a behavior in between mixing and blending."""

    #: beta(x) where it is not learned: 1.0 mixes, 0.0 blends, None learns it.
    _behavior: ClassVar[float | None]
    _posed: Posed
    posterior_: Posterior
    diagnostics_: dict[str, Any]

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
        earlier = self.fitted_ if self.warm_start and self.__sklearn_is_fitted__() else None
        with restore_on_error(self), ended_with_the_process():
            posed = self._pose(X, y, sample_weight)
            fit = learning.learn(posed, self.inference, self._settings(), earlier)
            self._publish(fit)
            # the user's line, past scikit-learn's; inside, since a warning may be an error
            fit_warnings.warn(fit.diagnostics, stacklevel=4)
        return self

    # -- the steps of fit, and what it found -------------------------------------------------

    def _pose(self, X, y, sample_weight) -> Posed:
        """Check data, standardise them, and say what is assumed of them."""
        X, y, weight = validate_fit(self, X, y, sample_weight)
        return pose(self._assumptions(), X, y, weight, getattr(self, "feature_names_in_", None))

    def _assumptions(self) -> Assumptions:
        return Assumptions(
            model=type(self).__name__,
            n_experts=self.n_experts,
            behavior=self._behavior,
            # a part that a model does not have sees nothing
            features={part: getattr(self, argument_of(part), []) for part in PARTS},
            priors=self.priors,
            standardize=self.standardize,
            resolution=self.target_resolution,
        )

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

    def _publish(self, fit: Fit) -> None:
        """Become fitted: keep what was found, and posterior means in original units.

        The means are those of the heaviest chain cluster.
        """
        self._posed, self.posterior_, self.diagnostics_ = fit.posed, fit.posterior, fit.diagnostics
        main = fit.posed.units.undo(fit.posterior.main_cluster().parameters)
        for name in parameter_names(self._behavior):
            mean = getattr(main, name).mean(axis=(0, 1))
            setattr(self, f"{name}_", mean if mean.ndim else float(mean))

    @property
    def fitted_(self) -> Fit:
        """What ``fit`` found as one record, which functions of this package take.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        return Fit(self._posed, self.posterior_, self.diagnostics_)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "posterior_")

    # -- before any row is learned from ------------------------------------------------------

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
        posed = self._posed_by_a_clone(X, y, sample_weight)
        return build_pymc_model(posed.problem, posed.column_names)

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
        """Draws from the prior predictive distribution, before any row is learned from.

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
            posed, designs = self._posed, checked_designs(self, X)
        else:
            posed = self._posed_by_a_clone(X, y, sample_weight)
            designs = posed.problem.designs
        values, parameters = predictions.of_prior(posed, designs, n_samples, random_state)
        return (values, parameters) if return_parameters else values

    def _posed_by_a_clone(self, X, y, sample_weight) -> Posed:
        """The problem that ``fit`` would solve; what a clone learns of data stays off this one."""
        other = clone(self)
        other._validate_params()
        return other._pose(X, y, sample_weight)

    # -- prediction --------------------------------------------------------------------------

    def predict_dist(self, X) -> PredictiveDistribution:
        """The predictive distribution of every row: noise, experts and parameters together.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        PredictiveDistribution
        """
        designs = checked_designs(self, X)
        return predictions.of_posterior(self._posed, self.posterior_, designs, self.n_jobs)

    @hints(PREDICT)
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

    @hints(COVERAGE)
    def predict_interval(self, X, coverage=0.95, output="default"):
        """Central predictive intervals.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        coverage : float or list of float, default=0.95
        output : {"default", "pandas"}, default="default"
            An array, or a DataFrame with the index of ``X``.

        Returns
        -------
        ndarray of shape (n_samples, 2), or (n_samples, 2, k) for k coverages
            Lower and upper ends.
        DataFrame of shape (n_samples, 2), or (n_samples, 2 k) for k coverages
            If ``output="pandas"``: columns ``"lower"`` and ``"upper"``; for a list of coverages
            both under each coverage.

        Raises
        ------
        ValueError
            If a coverage is not strictly between 0 and 1, or ``output`` is unknown.
        """
        check_probability(coverage, "coverage")
        check_output(output)
        return interval_output(self.predict_dist(X).interval(coverage), coverage, X, output)

    @hints(QUANTILES)
    def predict_quantiles(self, X, quantiles=(0.05, 0.5, 0.95), output="default"):
        """Quantiles of the predictive distribution.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        quantiles : list of float, default=(0.05, 0.5, 0.95)
        output : {"default", "pandas"}, default="default"
            An array, or a DataFrame with the index of ``X`` and the quantiles as columns.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, n_quantiles)

        Raises
        ------
        ValueError
            If a quantile is not strictly between 0 and 1, or ``output`` is unknown.
        """
        quantiles = np.atleast_1d(check_probability(quantiles, "quantiles"))
        check_output(output)
        return quantile_output(self.predict_dist(X).ppf(quantiles), quantiles, X, output)

    def sample_y(self, X, n_samples=1, random_state=None):
        """Draws from the posterior predictive distribution at these rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        n_samples : int, default=1
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        ndarray of shape (n_rows, n_samples)
            Each column uses one posterior draw.

        Raises
        ------
        ValueError
            If ``n_samples`` is no integer, or below 0.
        """
        n_samples = check_count(n_samples, "n_samples", least=0)
        return self.predict_dist(X).rvs(n_samples, random_state)

    def sample_posterior_predictive(self, X, n_samples=500, random_state=None):
        """Draws from the posterior predictive distribution, as :meth:`sample_y`, draws first.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        n_samples : int, default=500
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        ndarray of shape (n_samples, n_rows)
            In units of the target, as ``sample_prior_predictive`` has it. Each row of the
            array is one data set: one posterior draw, and independent noise.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If ``n_samples`` is no positive integer.

        Examples
        --------
        >>> from skcocoafuse import MoERegressor
        >>> from skcocoafuse.datasets import make_switch
        >>> X, y = make_switch(100, random_state=0)
        >>> model = MoERegressor(inference="laplace", random_state=0).fit(X, y)
        >>> model.sample_posterior_predictive(X, 50, random_state=0).shape
        (50, 100)
        """
        return self.predict_dist(X).rvs(check_count(n_samples, "n_samples"), random_state).T

    def log_prob(self, X, y):
        """Log predictive density of observed targets; its mean is the LPPD.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        ndarray of shape (n_samples,)
            Minus infinity for infinite targets.

        Raises
        ------
        ValueError
            If y has NaN, or another length than X.
        """
        return self.predict_dist(X).logpdf(validate_observed(y, X))

    # -- a look at the experts: where chains disagree, by the heaviest chain cluster ---------

    def predict_experts(self, X):
        """Posterior mean of every expert's own line, before any fusion.

        Returns
        -------
        ndarray of shape (n_samples, n_experts)
            In the target's units.
        """
        return insights.expert_means(self.fitted_, checked_designs(self, X))

    def predict_gate(self, X):
        """Posterior mean of the gate, the weight of every expert.

        Returns
        -------
        ndarray of shape (n_samples, n_experts)
            Rows sum to one.
        """
        return insights.gate(self.fitted_, checked_designs(self, X))

    def responsibilities(self, X, y):
        """Posterior probability that each expert produced each observation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        ndarray of shape (n_samples, n_experts)
            Rows sum to one. Where beta is 0 the experts act as one, and this is the gate. Far from
            all experts, infinity included, it is the one with the widest density.

        Raises
        ------
        ValueError
            If y has NaN, or another length than X.
        """
        designs, main = checked_designs(self, X), self.posterior_.main_cluster()
        dist = predictions.of_posterior(self._posed, main, designs, self.n_jobs)
        return dist.responsibilities(validate_observed(y, X))

    @hints(COVERAGE)
    def local_coef(self, X, coverage=None):
        """How much the predictive mean changes with each input, at each row.

        The derivative of the mean, which is a weighted average of the experts' coefficients
        plus the change of the weights times the experts' differences; exact for columns of
        X, numerical behind a transformer in ``expert_features`` or ``gate_features``, with steps
        that come from the spread of the column in ``fit`` and from the row's own value.

        Where a transformer has a kink (a spline of degree 1 at its knots) the slope is the mean
        of those on both sides. At the smallest and largest value of the column in ``fit``, where
        a spline may stop or clip, it is the slope on their inner side, and where a transformer
        jumps (a step of :class:`~sklearn.preprocessing.KBinsDiscretizer`) the slope on the side
        that the value belongs to.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        coverage : float, optional
            Probability inside a central credible interval of each derivative.

        Returns
        -------
        coef : ndarray of shape (n_samples, n_features)
            Units of the target per unit of the input; 0 for numbers that no part uses. NaN where
            there is no derivative: for columns of strings, categories or dates, for numbers that
            a transformer takes as categories, and where a value is missing (and imputed).
        interval : ndarray of shape (n_samples, n_features, 2)
            Only if ``coverage`` is given.

        Raises
        ------
        ValueError
            If ``coverage`` is not strictly between 0 and 1, or a transformer refuses values close
            to those of a row.
        """
        tails = []
        if coverage is not None:
            outside = 1.0 - float(check_probability(coverage, "coverage"))
            tails = [0.5 * outside, 1.0 - 0.5 * outside]
        coef, interval = insights.local_coef(self.fitted_, checked_inputs(self, X), tails)
        return (coef, interval) if tails else coef

    # -- a look at the posterior -------------------------------------------------------------

    @hints(COVERAGE)
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
            and ``ess`` (NaN for ``inference="map"``), and ``meaning`` in words.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        fit = self.fitted_
        check_probability(coverage, "coverage")
        original = fit.posed.units.undo(fit.posterior.main_cluster().parameters)
        share = fit.diagnostics["expert_share"]
        return summarize(original, fit.posed.column_names, coverage, share)

    def to_arviz(
        self,
        *,
        log_likelihood=True,
        posterior_predictive=True,
        thin="auto",
        random_state=None,
    ):
        """The posterior and the rows it was learned from, for ArviZ.

        Parameters
        ----------
        log_likelihood, posterior_predictive : bool, default=True
            Whether to include these two groups, which have a value for every draw and row.
        thin : "auto" or int, default="auto"
            One draw out of so many is kept in these two groups; all of them elsewhere. "auto"
            keeps as many as fit into half a gigabyte per group. :func:`arviz.loo` takes
            effective sample sizes from all draws, so give it ``reff=1`` for thinned groups.
        random_state : int, RandomState instance or None, default=None
            Seed of ``posterior_predictive``.

        Returns
        -------
        arviz.InferenceData or xarray.DataTree
            The former with ArviZ 0.x, the latter with ArviZ 1.x, with these groups:

            - ``posterior``: parameters in original units, as in ``expert_coef_`` and its
              siblings, with the dims ``expert``, ``expert_feature``, ``gate_feature`` and
              ``behavior_feature``. ``sigma`` includes what rounding the target added.
            - ``posterior_standardized``: every variable of the PyMC model of ``build_model``, so
              that functions of PyMC that take a posterior take it.
            - ``sample_stats``: ``lp`` (log posterior of the unconstrained standardised
              parameters), and ``diverging``, ``tree_depth`` and ``n_steps`` of sampled draws; the
              same for all draws of a chain, ``chain_cluster`` and ``chain_weight``.
            - ``log_likelihood``: of each row, in units of the target, summed over experts; times
              the row's weight, as it enters the posterior.
            - ``posterior_predictive``: a new target for every draw and row.
            - ``observed_data``: the target.
            - ``constant_data``: the design matrices, in original units, and the row weights.

            Rows of weight 0 are in none of them. Experts have the same labels in all chains.
            ``chain_cluster`` numbers groups of chains that agree, the heaviest first (more than one
            only with a ``SeparateModesWarning``), and ``chain_weight`` is the part of the chain in
            predictions, which ArviZ does not know of: to it, draws are equally weighted.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If ``thin`` is neither "auto" nor a positive integer.

        Notes
        -----
        ``inference="map"`` gives one chain of one draw: good for ``posterior_predictive`` and
        ``constant_data``, while diagnostics, intervals and ``loo`` need more draws.

        Examples
        --------
        >>> from skcocoafuse import MoERegressor
        >>> from skcocoafuse.datasets import make_switch
        >>> X, y = make_switch(100, random_state=0)
        >>> model = MoERegressor(inference="laplace", draws=50, random_state=0).fit(X, y)
        >>> data = model.to_arviz(random_state=0)
        >>> data["posterior"]["expert_coef"].dims
        ('chain', 'draw', 'expert', 'expert_feature')
        >>> data["log_likelihood"]["y"].shape
        (4, 50, 100)
        """
        fit = self.fitted_
        wanted = RowGroups(log_likelihood, posterior_predictive, thin, seed_from(random_state))
        return inference_data(arviz_groups(fit, wanted), ATTRS)

    def loo(self, *, reloo=False, max_draws=None) -> LooResult:
        """Leave-one-out cross-validation on the rows of ``fit``, without fitting again.

        By Pareto-smoothed importance sampling: draws from the posterior given all rows get
        the weights that make them draws given all but one. Where chains settled in several
        modes, rows are left out of each chain cluster by itself and the densities are mixed by
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
            If weights of 1% of the rows, or more, cannot be trusted; ``bad_rows`` of the result
            lists these rows however few they are.

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
        result = elpd.of_fit(self.fitted_, max_draws, self.n_jobs)
        if reloo and result.bad_rows.size:
            cores = cores_for(self.n_jobs, self.chains * len(result.bad_rows))
            settings = self._settings()
            result = refit_bad_rows(result, self.fitted_, self.inference, settings, cores)
        elpd.warn(result, stacklevel=3)
        return result

    def merge_experts(self, *, coverage=0.95, min_share=verdicts.MIN_SHARE) -> MergeResult:
        """Fit again with as many experts as the posterior needs.

        Experts that account for next to none of the data are left out, and experts that the
        posterior does not separate are merged: those for which being copies (of the same
        line, noise and slopes of the gate) is inside the central region of posterior
        differences. What remains is fitted to the same rows by the same settings, from the
        beginning: the result is that of ``fit`` with fewer experts. Where chains settled in
        several modes, experts are those of the heaviest chain cluster.

        Parameters
        ----------
        coverage : float, default=0.95
            Probability inside that region. Less of it merges fewer experts.
        min_share : float, default=0.01
            Part of the data below which an expert is left out; the one with the largest share
            stays in any case.

        Returns
        -------
        MergeResult
            With the new ``estimator``, ``groups`` of former experts, and the leave-one-out
            cross-validation of both. This estimator stays as it was; if it has no surplus
            experts it is itself the ``estimator`` of the result.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            Of the kinds that ``fit`` warns of, for the new estimator, and that ``loo`` warns of,
            for both.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If ``coverage`` or ``min_share`` is not strictly between 0 and 1; if draws are too
            few, as after ``inference="map"``, or not those of the posterior, as for ``loo``.

        Examples
        --------
        >>> from skcocoafuse import MoERegressor
        >>> from skcocoafuse.datasets import make_switch
        >>> X, y = make_switch(100, random_state=0)
        >>> model = MoERegressor(2, draws=300, chains=2, random_state=0).fit(X, y)
        >>> result = model.merge_experts()
        >>> result.groups, result.estimator is model
        (((0,), (1,)), True)
        """
        check_is_fitted(self)
        coverage = float(check_probability(coverage, "coverage"))
        min_share = float(check_probability(min_share, "min_share"))
        return surplus_experts.merge(self, self._with_experts, coverage, min_share, stacklevel=3)

    def _with_experts(self, n_experts: int):
        """The same rows and settings, inferred with another number of experts."""
        other = copy.copy(self)
        other.n_experts = n_experts
        fit = learning.with_experts(self.fitted_, n_experts, self.inference, self._settings())
        other._publish(fit)
        return other

    # -- keeping a fit -----------------------------------------------------------------------

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
        fit = self.fitted_
        self._check_parameters()
        path = local_path(path)
        groups = arviz_groups(fit, NO_ROW_GROUPS)
        del groups["posterior_standardized"]  # the fit has it
        persistence.write(path, type(self), self.get_params(deep=False), fit, groups)

    def _check_parameters(self) -> None:
        """Whether ``fit`` would take them, as far as they do not depend on data."""
        self._validate_params()
        complete_priors(self.priors)

    def _restore(self, fit: Fit):
        """Become fitted, as a file says."""
        self.n_features_in_ = len(fit.posed.numeric_columns)
        if fit.posed.feature_names is not None:
            self.feature_names_in_ = fit.posed.feature_names
        self._publish(fit)
        return self
