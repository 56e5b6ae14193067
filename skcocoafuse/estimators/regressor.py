"""The base class of the three regressors; start reading here.

``fit`` names the steps in order: validate, pose (``model``), infer, label and judge
(``evaluation``). Methods are thin: each checks its arguments and calls a function of the
subpackage that its subject belongs to.
"""

import copy
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import check_is_fitted

from skcocoafuse import persistence, streams
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
    validate_sample,
)
from skcocoafuse.estimators import glance, insights, predictions
from skcocoafuse.estimators.explanations import Explanation, taken_apart
from skcocoafuse.evaluation import elpd, fit_warnings, learning, surplus_experts, verdicts
from skcocoafuse.evaluation.elpd import LooResult
from skcocoafuse.evaluation.refits import refit_bad_rows
from skcocoafuse.evaluation.surplus_experts import MergeResult
from skcocoafuse.inference import ENGINE_NAMES, Settings
from skcocoafuse.model.inputs import labels_of
from skcocoafuse.model.parameters import NOISES, PARTS, complete_priors, parameter_names
from skcocoafuse.model.posing import Assumptions, Posed, argument_of, pose, pose_in_parts
from skcocoafuse.model.pymc_model import build_pymc_model
from skcocoafuse.persistence.earlier import upgraded
from skcocoafuse.persistence.paths import local_path
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.export import ATTRS, NO_DERIVED_GROUPS, DerivedGroups, arviz_groups
from skcocoafuse.posterior.fit import Fit, checked_designs, checked_inputs
from skcocoafuse.posterior.summary import summarize
from skcocoafuse.predictive import PredictiveDistribution
from skcocoafuse.predictive.frames import (
    check_output,
    interval_output,
    posterior_output,
    quantile_output,
)

_NEEDS_A_SCALE = (
    "This %(name)s instance is not fitted yet, so the scale that its priors refer to is unknown. "
    "Pass 'y' as well, or call 'fit' first."
)


class BaseExpertsRegressor(RegressorMixin, BaseEstimator):
    """A few linear experts, a gate, and a behavior between mixing and blending."""

    #: beta(x) if it is fixed: 1.0 mixes, 0.0 blends; None if it is learned.
    _behavior: ClassVar[float | None]
    _posed: Posed
    posterior_: Posterior
    diagnostics_: dict[str, Any]

    def __init__(
        self,
        n_experts=2,
        *,
        expert_features=None,
        noise_features=(),
        gate_features=None,
        noise="normal",
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
        self.noise_features = noise_features
        self.gate_features = gate_features
        self.noise = noise
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
        "expert_features": "no_validation",  # DesignPart validates selections
        "noise_features": "no_validation",
        "gate_features": "no_validation",
        "noise": [StrOptions(set(NOISES))],
        "priors": "no_validation",  # complete_priors validates them
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
        """Fit the model: infer the posterior.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Columns that a part of the model uses directly must be numeric. Other columns may hold
            whatever the transformers in ``expert_features``, ``gate_features`` etc. accept. Arrays
            of more than six million numbers are not copied. With ``inference="map"`` or ``"vi"``:
            also a Dask array or DataFrame, or a Parquet dataset (its path, or a
            ``pyarrow.dataset.Dataset``); see the user guide, "Many rows".
        y : array-like of shape (n_samples,)
            A Dask collection with the rows of X, or the name of a column of the Parquet dataset.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative factor of each row's log likelihood. A weight of 2 is equivalent to
            repeating the row. A Dask collection or the name of a column, as ``y``.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For invalid data or parameters. After any exception, including a warning turned into
            an error, the estimator is unchanged.
        ImportError
            If the extra for Parquet or Dask is not installed.
        RuntimeError
            If a Dask cluster has no workers, or loses what it cannot compute again.
        """
        earlier = self.fitted_ if self.warm_start and self.__sklearn_is_fitted__() else None
        given = X, y, sample_weight, self._selections(), self.inference
        with restore_on_error(self), ended_with_the_process(), streams.table_of(*given) as table:
            if table is None:
                posed = self._pose(X, y, sample_weight)
                fit = learning.learn(posed, self.inference, self._settings(), earlier)
            else:
                posed = self._pose_in_parts(table)
                fit = learning.learn(posed, self.inference, self._settings(), earlier)
                fit = fit.with_a_part_of_the_rows()
            self._publish(fit)
            # points at the user's line, not scikit-learn's; inside, since a warning may be an error
            fit_warnings.warn(fit.diagnostics, stacklevel=4)
        return self

    def __setstate__(self, state):
        """Restore a pickled estimator, also one of an earlier release."""
        super().__setstate__(upgraded(state))

    # -- the steps of fit, and its results ---------------------------------------------------

    def _pose(self, X, y, sample_weight) -> Posed:
        """Validate and standardize the data, and state the model's assumptions about them."""
        X, y, weight = validate_fit(self, X, y, sample_weight)
        return pose(self._assumptions(), X, y, weight, getattr(self, "feature_names_in_", None))

    def _pose_in_parts(self, table) -> Posed:
        """The same for rows on disk or on a cluster."""
        names = validate_sample(self, table.sample())
        return pose_in_parts(self._assumptions(), table, names)

    def _selections(self) -> dict[str, Any]:
        """The inputs of each part; a part that a model does not have sees nothing."""
        return {part: getattr(self, argument_of(part), []) for part in PARTS}

    def _assumptions(self) -> Assumptions:
        return Assumptions(
            model=type(self).__name__,
            n_experts=self.n_experts,
            behavior=self._behavior,
            features=self._selections(),
            priors=self.priors,
            standardize=self.standardize,
            resolution=self.target_resolution,
            noise=self.noise,
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
        """Store the results of a fit, and the posterior means in original units.

        The means are those of the heaviest chain cluster.
        """
        self._posed, self.posterior_, self.diagnostics_ = fit.posed, fit.posterior, fit.diagnostics
        main = fit.posed.units.undo(fit.posterior.main_cluster().parameters)
        self.noise_df_ = np.inf  # of a Normal
        for name in parameter_names(self._behavior, fit.problem.spec.noise):
            mean = getattr(main, name).mean(axis=(0, 1))
            setattr(self, f"{name}_", mean if mean.ndim else float(mean))

    @property
    def fitted_(self) -> Fit:
        """The result of ``fit`` as one record, which functions of this package accept.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        return Fit(self._posed, self.posterior_, self.diagnostics_)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "posterior_")

    def _html_repr(self) -> str:
        """scikit-learn's diagram, and below it what the fit found."""
        diagram = estimator_html_repr(self)
        return diagram + glance.html(self.fitted_) if self.__sklearn_is_fitted__() else diagram

    # -- before seeing the data --------------------------------------------------------------

    def build_model(self, X, y, sample_weight=None):
        """The PyMC model that ``fit`` infers, on the standardized scale.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`.

        Returns
        -------
        pymc.Model
            With named parameters, dims and an observed ``y``; works with
            ``pm.sample_prior_predictive``, ``pm.model_to_graphviz`` and ``pm.sample``. The
            estimator itself is not changed.
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
        """Draw from the prior predictive distribution.

        Priors are on the standardized scale, so the location and scale of inputs and target are
        needed. With ``y``, they are those that ``fit(X, y)`` would use; the estimator need not be
        fitted and is not changed. Without ``y``, they (and the priors) are those of the fit, and
        ``X`` may be any rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        y : array-like of shape (n_rows,), optional
            Only its mean, standard deviation and resolution are used.
        sample_weight : array-like of shape (n_rows,), optional
            As in :meth:`fit`; only with ``y``.
        n_samples : int, default=500
        random_state : int, RandomState instance or None, default=None
        return_parameters : bool, default=False
            Whether to also return the parameters that the data sets were drawn with.

        Returns
        -------
        values : ndarray of shape (n_samples, n_rows)
            In units of the target. Each row of the array is one data set: one draw of all
            parameters, and independent noise.
        parameters : dict of str to ndarray
            Only if ``return_parameters=True``. Keys are those of ``priors``; values are in
            original units, as ``expert_coef_`` etc., with a leading axis of length ``n_samples``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``, if ``y`` is not given.
        ValueError
            For invalid data, or if ``n_samples`` is not a positive integer.

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
        """The problem that ``fit`` would solve, posed by a clone, so ``self`` is not changed."""
        other = clone(self)
        other._validate_params()
        return other._pose(X, y, sample_weight)

    # -- prediction --------------------------------------------------------------------------

    def predict_dist(self, X) -> PredictiveDistribution:
        """Predictive distribution of each row: noise, experts and parameter uncertainty.

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
    @streams.on_partitions
    def predict(self, X, return_std=False):
        """Mean of the predictive distribution, and optionally its standard deviation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to also return the standard deviation, noise included.

        Returns
        -------
        mean : ndarray of shape (n_samples,)
        std : ndarray of shape (n_samples,)
            Only if ``return_std=True``. Infinite, with a warning, if Student's t noise may have no
            variance.
        """
        dist = self.predict_dist(X)
        if return_std:
            return dist.mean_and_std()
        return dist.mean()

    @hints(COVERAGE)
    @streams.on_partitions
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
            Lower and upper bounds.
        DataFrame of shape (n_samples, 2), or (n_samples, 2 k) for k coverages
            If ``output="pandas"``: columns ``"lower"`` and ``"upper"``; for a list of coverages,
            both for each coverage.

        Raises
        ------
        ValueError
            If a coverage is not strictly between 0 and 1, or ``output`` is unknown.
        """
        check_probability(coverage, "coverage")
        check_output(output)
        return interval_output(self.predict_dist(X).interval(coverage), coverage, X, output)

    @hints(QUANTILES)
    @streams.on_partitions
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
        """Draw from the posterior predictive distribution.

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
            If ``n_samples`` is not a non-negative integer.
        """
        n_samples = check_count(n_samples, "n_samples", least=0)
        return self.predict_dist(X).rvs(n_samples, random_state)

    def sample_posterior_predictive(self, X, n_samples=500, random_state=None):
        """Draw from the posterior predictive distribution, as :meth:`sample_y`, draws first.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        n_samples : int, default=500
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        ndarray of shape (n_samples, n_rows)
            In units of the target, laid out as in :meth:`sample_prior_predictive`. Each row of
            the array is one data set: one posterior draw, and independent noise.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If ``n_samples`` is not a positive integer.

        Examples
        --------
        >>> from skcocoafuse import MoERegressor
        >>> from skcocoafuse.datasets import make_switch
        >>> X, y = make_switch(100, random_state=0)
        >>> model = MoERegressor(inference="vi", random_state=0).fit(X, y)
        >>> model.sample_posterior_predictive(X, 50, random_state=0).shape
        (50, 100)
        """
        return self.predict_dist(X).rvs(check_count(n_samples, "n_samples"), random_state).T

    @streams.on_partitions
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
            If y contains NaN, or its length differs from that of X.
        """
        return self.predict_dist(X).logpdf(validate_observed(y, X))

    @hints(COVERAGE)
    @streams.on_partitions
    def predict_mean(self, X, coverage=None, output="default"):
        """Mean of the predictive distribution, as :meth:`predict`, with a credible interval.

        The interval is about the mean, due to uncertain parameters, and narrows with more data.
        :meth:`predict_interval` is about new observations, noise included.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        coverage : float, optional
            Probability inside a central credible interval.
        output : {"default", "pandas"}, default="default"
            Arrays, or a DataFrame with the index of ``X``.

        Returns
        -------
        mean : ndarray of shape (n_samples,)
        interval : ndarray of shape (n_samples, 2)
            Only if ``coverage`` is given.
        DataFrame
            If ``output="pandas"``: columns ``"mean"`` and, with ``coverage``, ``"lower"`` and
            ``"upper"``.

        Raises
        ------
        ValueError
            If ``coverage`` is not strictly between 0 and 1, or ``output`` is unknown.

        Examples
        --------
        >>> from skcocoafuse import BoERegressor
        >>> from skcocoafuse.datasets import make_switch
        >>> X, y = make_switch(100, random_state=0)
        >>> model = BoERegressor(inference="vi", random_state=0).fit(X, y)
        >>> mean, credible = model.predict_mean(X, coverage=0.9)
        >>> low, high = model.predict_interval(X, coverage=0.9).T
        >>> bool((credible[:, 0] > low).all() and (credible[:, 1] < high).all())
        True
        """
        return self._insight(insights.mean, X, coverage, output, axis=None)

    def _insight(self, function, X, coverage, output, axis: str | None = "expert"):
        """Posterior mean and credible interval of a function of ``insights``."""
        check_output(output)
        tails = insights.credible_tails(coverage)
        mean, ends = function(self.fitted_, checked_designs(self, X), tails)
        labels = None if axis is None else range(mean.shape[1])
        return posterior_output(mean, ends, X, output, labels, axis or "")

    # -- inspecting the experts: if chains disagree, those of the heaviest chain cluster -----

    @hints(COVERAGE)
    @streams.on_partitions
    def predict_experts(self, X, coverage=None, output="default"):
        """Posterior mean of each expert's line, before fusion.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        coverage : float, optional
            Probability inside a central credible interval.
        output : {"default", "pandas"}, default="default"
            Arrays, or a DataFrame with the index of ``X`` and experts as columns.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_experts)
            In the target's units.
        interval : ndarray of shape (n_samples, n_experts, 2)
            Only if ``coverage`` is given.
        DataFrame
            If ``output="pandas"``: a column for each expert, or with ``coverage`` the columns
            ``"mean"``, ``"lower"`` and ``"upper"`` for each.

        Raises
        ------
        ValueError
            If ``coverage`` is not strictly between 0 and 1, or ``output`` is unknown.
        """
        return self._insight(insights.expert_means, X, coverage, output)

    @hints(COVERAGE)
    @streams.on_partitions
    def predict_noise(self, X, coverage=None, output="default"):
        """Posterior mean of the noise around each expert's line: its standard deviation.

        That of Student's t is its scale times sqrt(df / (df - 2)), and infinite if df is at most 2;
        the scale is returned for it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        coverage : float, optional
            Probability inside a central credible interval.
        output : {"default", "pandas"}, default="default"
            Arrays, or a DataFrame with the index of ``X`` and experts as columns.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_experts)
            In the target's units, the rounding of the target included. The same at all rows if
            ``noise_features`` is empty.
        interval : ndarray of shape (n_samples, n_experts, 2)
            Only if ``coverage`` is given.
        DataFrame
            If ``output="pandas"``: a column for each expert, or with ``coverage`` the columns
            ``"mean"``, ``"lower"`` and ``"upper"`` for each.

        Raises
        ------
        ValueError
            If ``coverage`` is not strictly between 0 and 1, or ``output`` is unknown.

        Examples
        --------
        >>> import numpy as np
        >>> from skcocoafuse import BoERegressor
        >>> X = np.linspace(0.0, 1.0, 200)[:, None]
        >>> y = 2.0 * X[:, 0] + (0.1 + X[:, 0]) * np.random.default_rng(0).normal(size=200)
        >>> model = BoERegressor(1, noise_features=None, inference="map").fit(X, y)
        >>> low, high = model.predict_noise([[0.0], [1.0]])[:, 0]
        >>> bool(high > 4 * low)
        True
        """
        return self._insight(insights.noise, X, coverage, output)

    @hints(COVERAGE)
    @streams.on_partitions
    def predict_gate(self, X, coverage=None, output="default"):
        """Posterior mean of the gate, the weight of each expert.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        coverage : float, optional
            Probability inside a central credible interval.
        output : {"default", "pandas"}, default="default"
            Arrays, or a DataFrame with the index of ``X`` and experts as columns.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_experts)
            Rows sum to one.
        interval : ndarray of shape (n_samples, n_experts, 2)
            Only if ``coverage`` is given.
        DataFrame
            If ``output="pandas"``: a column for each expert, or with ``coverage`` the columns
            ``"mean"``, ``"lower"`` and ``"upper"`` for each.

        Raises
        ------
        ValueError
            If ``coverage`` is not strictly between 0 and 1, or ``output`` is unknown.
        """
        return self._insight(insights.gate, X, coverage, output)

    @streams.on_partitions
    def responsibilities(self, X, y):
        """Posterior probability that each expert produced each observation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        ndarray of shape (n_samples, n_experts)
            Rows sum to one. Where beta is 0, the experts act as one and this is the gate. Far from
            all experts (and at infinity), the expert with the widest density gets all of it.

        Raises
        ------
        ValueError
            If y contains NaN, or its length differs from that of X.
        """
        designs, main = checked_designs(self, X), self.posterior_.main_cluster()
        dist = predictions.of_posterior(self._posed, main, designs, self.n_jobs)
        return dist.responsibilities(validate_observed(y, X))

    @hints(COVERAGE)
    def local_coef(self, X, coverage=None, output="default"):
        """Derivative of the predictive mean with respect to each input, at each row.

        It is a weighted average of the experts' coefficients plus the change of the weights
        times the differences between experts. It is exact for columns of X and numerical for
        columns that a transformer in ``expert_features`` or ``gate_features`` uses, with step
        sizes based on the spread of the column in ``fit`` and on the value in the row.

        Where a transformer has a kink (a spline of degree 1 at its knots), the slope is the mean
        of the slopes on both sides. At the smallest and largest values of the column in ``fit``,
        where a spline may stop or clip, it is the slope on the inner side; where a transformer
        jumps (a step of :class:`~sklearn.preprocessing.KBinsDiscretizer`), it is the slope on the
        side that the value belongs to.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        coverage : float, optional
            Probability inside a central credible interval of each derivative.
        output : {"default", "pandas"}, default="default"
            Arrays, or a DataFrame with the index of ``X`` and features as columns.

        Returns
        -------
        coef : ndarray of shape (n_samples, n_features)
            Units of the target per unit of the input; 0 for numeric columns that no part uses.
            NaN where the derivative is not defined: for columns of strings, categories or dates,
            for numbers that a transformer treats as categories, and for missing (imputed) values.
        interval : ndarray of shape (n_samples, n_features, 2)
            Only if ``coverage`` is given.
        DataFrame
            If ``output="pandas"``: a column for each feature, or with ``coverage`` the columns
            ``"mean"``, ``"lower"`` and ``"upper"`` for each.

        Raises
        ------
        ValueError
            If ``coverage`` is not strictly between 0 and 1, ``output`` is unknown, or a transformer
            rejects values close to those of a row.
        """
        check_output(output)
        tails, inputs = insights.credible_tails(coverage), checked_inputs(self, X)
        coef, ends = insights.local_coef(self.fitted_, inputs, tails)
        labels = labels_of(inputs.names, inputs.shape[1])
        return posterior_output(coef, ends, X, output, labels, "feature")

    def explain(self, X) -> Explanation:
        """Predictions of rows taken apart: experts, features, and sources of the variance.

        The predictive mean is the experts' lines averaged by their weights, so what each column
        adds, from average inputs on, is exact and in units of the target. The weights depend on
        inputs as well: for the effect of changing an input, see :meth:`local_coef`. In a pipeline
        or search use :func:`skcocoafuse.explain`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A few rows.

        Returns
        -------
        Explanation
            ``print`` it for sentences; ``table`` has the numbers.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> from skcocoafuse import BoERegressor
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]] * 5, [0.0, 2.1, 3.9, 6.0] * 5
        >>> model = BoERegressor(1, inference="map", random_state=0).fit(X, y)
        >>> model.explain([[2.5]]).table["mean"].round(1)
           baseline   x0
        0       3.0  2.0
        """
        designs = checked_designs(self, X)
        gate, _ = insights.gate(self.fitted_, designs)
        dist = predictions.of_posterior(self._posed, self.posterior_, designs, self.n_jobs)
        return taken_apart(self.fitted_, designs, gate, dist)

    def plot(self, X, y=None, *, feature=None, ax=None):
        """Draw predictions along a feature, with experts, gate and behavior gate.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Gives the range of the feature and typical values of the others.
        y : array-like of shape (n_samples,), optional
            Observed targets of these rows, which are drawn.
        feature : str or int, optional
            Name or position; not needed if there is only one.
        ax : matplotlib.axes.Axes, optional
            Replaced by the axes of the display.

        Returns
        -------
        skcocoafuse.plotting.PredictionFanDisplay
            Its ``from_estimator`` has more options, and takes pipelines and searches.

        Raises
        ------
        ImportError
            If matplotlib is not installed; the extra ``plot`` installs it.
        sklearn.exceptions.NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from skcocoafuse import MoERegressor
        >>> from skcocoafuse.datasets import make_switch
        >>> X, y = make_switch(150, random_state=0)
        >>> display = MoERegressor(inference="vi", random_state=0).fit(X, y).plot(X, y)
        >>> display.ax_.get_ylabel(), display.gate_ax_.get_xlabel()
        ('y', 'x0')
        """
        from skcocoafuse.plotting import PredictionFanDisplay

        check_is_fitted(self)
        return PredictionFanDisplay.from_estimator(self, X, y, feature=feature, ax=ax)

    # -- inspecting the posterior ------------------------------------------------------------

    @hints(COVERAGE)
    def summary(self, coverage=0.95):
        """Posterior summary of each parameter, in original units.

        Parameters
        ----------
        coverage : float, default=0.95
            Probability inside the interval between ``lower`` and ``upper``.

        Returns
        -------
        pandas.DataFrame
            One row per parameter, with columns ``part`` of the model, ``expert``, ``feature`` (a
            column of the part's inputs, or "intercept", "sigma" or "noise_df"), ``mean``, ``sd``,
            ``lower``, ``upper``, ``rhat`` and ``ess`` (NaN for ``inference="map"``), and
            ``meaning`` in words. The index has the first three as one label.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> from skcocoafuse import BoERegressor
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]] * 5, [0.0, 2.1, 3.9, 6.0] * 5
        >>> table = BoERegressor(1, inference="map", random_state=0).fit(X, y).summary()
        >>> slopes = table[table["feature"] == "x0"]
        >>> slopes["part"].tolist(), slopes["mean"].round(1).tolist()
        (['expert', 'gate'], [2.0, 0.0])
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
        """Convert the posterior and the training rows to an ArviZ object.

        Parameters
        ----------
        log_likelihood, posterior_predictive : bool, default=True
            Whether to include these two groups, which have a value for every draw and row.
        thin : "auto" or int, default="auto"
            Keep every ``thin``-th draw in these two groups; other groups have all draws. "auto"
            keeps as many as fit into half a gigabyte per group. :func:`arviz.loo` computes
            effective sample sizes from all draws, so pass ``reff=1`` with thinned groups.
        random_state : int, RandomState instance or None, default=None
            Seed of ``posterior_predictive`` and ``prior``.

        Returns
        -------
        arviz.InferenceData or xarray.DataTree
            The former with ArviZ 0.x, the latter with ArviZ 1.x, with these groups:

            - ``posterior``: parameters in original units, as in ``expert_coef_`` etc., with the
              dims ``expert``, ``expert_feature``, ``noise_feature``, ``gate_feature`` and
              ``behavior_feature``.
              ``sigma`` includes the variance added by rounding of the target.
            - ``posterior_standardized``: every variable of the PyMC model of ``build_model``, for
              PyMC functions that take a posterior.
            - ``sample_stats``: ``lp`` (log posterior of the unconstrained standardized
              parameters); ``diverging``, ``tree_depth`` and ``n_steps`` of sampled draws, and
              ``energy`` if each follows the one before (they were neither thinned nor assembled by
              jumps, see ``diagnostics_["remedies"]``); and ``chain_cluster`` and
              ``chain_weight``, constant within a chain.
            - ``log_likelihood``: of each row, in units of the target, summed over experts and
              multiplied by the row's weight, as in the posterior.
            - ``posterior_predictive``: a new target for every draw and row.
            - ``prior``: 1000 draws from the priors, of the variables of ``posterior``.
            - ``log_prior``: log density of the prior of each parameter, up to a constant.
            - ``observed_data``: the target.
            - ``constant_data``: the design matrices, in original units, and the row weights.

            Rows of weight 0 are excluded. Experts have the same labels in all chains.
            ``chain_cluster`` numbers groups of chains that agree, the heaviest first (more than one
            only with a ``SeparateModesWarning``), and ``chain_weight`` is the weight of the chain
            in predictions, which ArviZ ignores: it treats draws as equally weighted.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If ``thin`` is neither "auto" nor a positive integer.

        Notes
        -----
        ``inference="map"`` gives one chain of one draw, which is enough for
        ``posterior_predictive`` and ``constant_data``; diagnostics, intervals and ``loo`` need more
        draws.

        Examples
        --------
        >>> from skcocoafuse import MoERegressor
        >>> from skcocoafuse.datasets import make_switch
        >>> X, y = make_switch(100, random_state=0)
        >>> model = MoERegressor(inference="vi", draws=50, random_state=0).fit(X, y)
        >>> data = model.to_arviz(random_state=0)
        >>> data["posterior"]["expert_coef"].dims
        ('chain', 'draw', 'expert', 'expert_feature')
        >>> data["log_likelihood"]["y"].shape
        (4, 50, 100)
        """
        fit = self.fitted_
        wanted = DerivedGroups(log_likelihood, posterior_predictive, thin, seed_from(random_state))
        return inference_data(arviz_groups(fit, wanted), ATTRS)

    def loo(self, *, reloo=False, max_draws=None) -> LooResult:
        """Leave-one-out cross-validation on the rows of ``fit``, without refitting.

        Pareto-smoothed importance sampling reweights draws from the posterior given all rows to
        draws given all rows but one. If chains settled in several modes, rows are left out of
        each chain cluster separately and the densities are mixed with the stacking weights, which
        are based on all rows.

        Parameters
        ----------
        reloo : bool, default=False
            Whether to refit without the row for each row whose importance weights are unreliable.
            Fits run ``n_jobs`` at a time with the estimator's current ``inference``, ``draws``
            etc. and the standardization of the whole data.
        max_draws : int, optional
            Maximum number of posterior draws to use, at least 25 and evenly spaced; all by
            default. Run time is proportional to rows times draws.

        Returns
        -------
        LooResult
            In units of the target; :func:`skcocoafuse.compare` compares several.

        Warns
        -----
        InfluentialRowsWarning
            If the weights of at least 1% of the rows are unreliable; ``bad_rows`` of the result
            lists such rows in any case.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If the draws do not represent the posterior: a single draw, as with
            ``inference="map"``, or draws of ``"vi"`` or ``"advi"`` with
            ``diagnostics_["pareto_k"]`` above 0.7. Also if ``max_draws`` is too small.

        Examples
        --------
        >>> from skcocoafuse import BoERegressor
        >>> from skcocoafuse.datasets import make_switch
        >>> X, y = make_switch(100, random_state=0)
        >>> result = BoERegressor(inference="vi", random_state=0).fit(X, y).loo()
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
        """Refit with only as many experts as the posterior needs.

        Experts that account for almost none of the data are dropped, and experts that the
        posterior does not separate are merged: those for which identity (same line, noise and
        gate slopes) is inside the central region of the posterior of their differences. The
        smaller model is fitted from scratch to the same rows with the same settings, so the
        result is that of ``fit`` with fewer experts. If chains settled in several modes, experts
        are those of the heaviest chain cluster.

        Parameters
        ----------
        coverage : float, default=0.95
            Probability of that region. A smaller value merges fewer experts.
        min_share : float, default=0.01
            Share of the data below which an expert is dropped; the expert with the largest share
            is always kept.

        Returns
        -------
        MergeResult
            With the new ``estimator``, the ``groups`` of former experts, and the leave-one-out
            cross-validation of both. This estimator is not changed; if it has no surplus
            experts, it is itself the ``estimator`` of the result.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            The warnings of ``fit`` for the new estimator, and those of ``loo`` for both.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If ``coverage`` or ``min_share`` is not strictly between 0 and 1; if there are too few
            draws, as with ``inference="map"``, or they do not represent the posterior, as in
            ``loo``.

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
        """A fit to the same rows with the same settings and another number of experts."""
        other = copy.copy(self)
        other.n_experts = n_experts
        fit = learning.with_experts(self.fitted_, n_experts, self.inference, self._settings())
        other._publish(fit)
        return other

    # -- saving a fit ------------------------------------------------------------------------

    def save(self, path):
        """Save the fitted estimator to a netCDF-4 file, for :func:`skcocoafuse.load`.

        Other programs can read it as well: the posterior, sampler statistics and data are stored
        in ArviZ's groups, parameters and diagnostics as JSON. The user guide describes the format.

        Parameters
        ----------
        path : str or path-like
            As for ``open``, so "~" is not expanded. An existing file is replaced once the new one
            is complete and on disk, so readers and other processes that save to it never see a
            partial file. Permissions are kept. A symbolic link is replaced, not the file it
            points to.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError
            If a parameter, or a transformer fitted inside, is of a type that the format does not
            support (a function, a custom transformer), if a transformer was fitted to a table
            with an unsupported column (other than numbers, strings, categories and dates), or if
            the estimator is of a custom class. Nothing is written in these cases; use
            :mod:`joblib` or skops instead.
        ValueError
            If a parameter was set to a value that ``fit`` would reject, or
            :func:`skcocoafuse.load` could not read the file. Nothing is written.
        OSError
            If the file cannot be written, for example because the disk is full. An existing file
            is kept.

        Notes
        -----
        Constructor parameters and all results of ``fit`` are saved; metadata requests (as set by
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
        groups = arviz_groups(fit, NO_DERIVED_GROUPS)
        del groups["posterior_standardized"]  # the fit has it
        persistence.write(path, type(self), self.get_params(deep=False), fit, groups)

    def _check_parameters(self) -> None:
        """Raise for parameters that ``fit`` would reject regardless of the data."""
        self._validate_params()
        complete_priors(self.priors)

    def _restore(self, fit: Fit):
        """Set the fitted attributes from a saved fit."""
        self.n_features_in_ = len(fit.posed.numeric_columns)
        if fit.posed.feature_names is not None:
            self.feature_names_in_ = fit.posed.feature_names
        self._publish(fit)
        return self
