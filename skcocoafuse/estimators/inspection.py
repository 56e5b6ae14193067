"""A look at a fitted posterior: its table, export, leave-one-out densities, surplus experts."""

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcocoafuse._arviz import inference_data
from skcocoafuse._hints import COVERAGE, hints
from skcocoafuse._validation import check_probability, cores_for, seed_from
from skcocoafuse.estimators.fitted import FittedExperts
from skcocoafuse.evaluation import diagnostics, elpd, sensitivity, surplus_experts
from skcocoafuse.evaluation.elpd import LooResult
from skcocoafuse.evaluation.refits import refit_bad_rows
from skcocoafuse.evaluation.sensitivity import PriorSensitivity
from skcocoafuse.evaluation.surplus_experts import MergeResult
from skcocoafuse.inference import Settings
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.export import ATTRS, RowGroups, arviz_groups
from skcocoafuse.posterior.relabel import anchor_responsibilities
from skcocoafuse.posterior.summary import summarize


class InspectedExperts(FittedExperts):
    """Methods that tell what was learned, and how well it would predict rows left out."""

    n_experts: int
    inference: str
    chains: int
    _settings: Callable[[], Settings]
    _infer: Callable[[Problem], None]

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
        check_is_fitted(self)
        check_probability(coverage, "coverage")
        names = {part: design.names for part, design in self._designs.items()}
        original = self._original_units(self.posterior_.main_island().parameters)
        return summarize(original, names, coverage, self.diagnostics_["expert_share"])

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
              same for all draws of a chain, ``island`` and ``chain_weight``.
            - ``log_likelihood``: of each row, in units of the target, summed over experts; times
              the row's weight, as it enters the posterior.
            - ``posterior_predictive``: a new target for every draw and row.
            - ``observed_data``: the target.
            - ``constant_data``: the design matrices, in original units, and the row weights.

            Rows of weight 0 are in none of them. Experts have the same labels in all chains.
            ``island`` numbers groups of chains that agree, the heaviest first (more than one only
            with a ``SeparateModesWarning``), and ``chain_weight`` is the part of the chain in
            predictions, which ArviZ does not know of: it counts draws alike.

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
        check_is_fitted(self)
        wanted = RowGroups(log_likelihood, posterior_predictive, thin, seed_from(random_state))
        return inference_data(self._arviz_groups(wanted), ATTRS)

    def _arviz_groups(self, wanted: RowGroups) -> dict:
        return arviz_groups(
            self._problem,
            self.posterior_,
            self._original_units(self.posterior_.parameters),
            self._designs,
            self._target,
            wanted,
        )

    # -- choosing a model ----------------------------------------------------------------

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
        result = self._leave_one_out(reloo=reloo, max_draws=max_draws)
        elpd.warn(result, stacklevel=3)
        return result

    def _prior_sensitivity(self, X, conclusions, alpha, threshold) -> PriorSensitivity:
        check_is_fitted(self)
        diagnostics.check_posterior(
            self.diagnostics_, "prior_sensitivity()", "or fit again with another prior"
        )
        posterior, problem = self.posterior_.main_island(), self._problem
        if X is None:
            rows = problem.rows.anchor_numbers(sensitivity.N_ROWS)
            designs = problem.take(rows).designs
        else:
            designs = self._checked_designs(X)
            rows = np.arange(len(designs["expert"]))
        own = sensitivity.own_conclusions(
            {} if conclusions is None else conclusions, self.posterior_
        )
        names = [f"row {row}" for row in rows]
        return sensitivity.measure(problem, posterior, designs, names, own, alpha, threshold)

    def _leave_one_out(self, *, reloo=False, max_draws=None) -> LooResult:
        check_is_fitted(self)
        diagnostics.check_posterior(
            self.diagnostics_,
            "loo()",
            "or score held-out rows: cross_validate with skcocoafuse.metrics.SCORERS",
        )
        result = elpd.estimate(
            self._problem,
            self.posterior_,
            self._target,
            diagnostics.converged(self.diagnostics_),
            max_draws,
            cores_for(self.n_jobs, len(self._problem.y)),
        )
        if reloo and result.bad_rows.size:
            settings, n_fits = self._settings(), len(result.bad_rows)
            cores = cores_for(self.n_jobs, self.chains * n_fits)
            result = refit_bad_rows(
                result, self._problem, self._target, self.inference, settings, cores
            )
        return result

    # -- surplus experts -----------------------------------------------------------------

    def merge_experts(self, *, coverage=0.95, min_share=diagnostics.MIN_SHARE) -> MergeResult:
        """Fit again with as many experts as the posterior needs.

        Experts that account for next to none of the data are left out, and experts that the
        posterior does not tell apart are joined: those for which being copies (of the same
        line, noise and slopes of the gate) is inside the central region of posterior
        differences. What remains is fitted to the same rows by the same settings, from the
        beginning: the result is that of ``fit`` with fewer experts. Where chains settled in
        several modes, experts are those of the heaviest island.

        Parameters
        ----------
        coverage : float, default=0.95
            Probability inside that region. Less of it joins fewer experts.
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
        apart = surplus_experts.told_apart(self.posterior_.main_island().flat())
        share = self.diagnostics_["expert_share"]
        groups = surplus_experts.groups_of(apart, share, coverage, min_share)
        before = self._leave_one_out()
        merged, after = self, before
        if len(groups) < len(share):
            merged = self._with_experts(len(groups))
            groups = surplus_experts.in_order_of(groups, self._on_anchors(), merged._on_anchors())
            diagnostics.warn(merged.diagnostics_, stacklevel=3)
            after = merged._leave_one_out()
            elpd.warn(after, stacklevel=3, model=" after merging")
        elpd.warn(before, stacklevel=3, model=" before merging")
        return MergeResult(merged, groups, apart, share, before, after)

    def _with_experts(self, n_experts: int):
        """The same rows and settings, inferred with another number of experts."""
        other = copy.copy(self)
        other.n_experts = n_experts
        spec = replace(self._problem.spec, n_experts=n_experts)
        other._infer(replace(self._problem, spec=spec))
        return other

    def _on_anchors(self) -> np.ndarray:
        """Posterior mean responsibilities at some rows, (rows, n_experts)."""
        flat = self.posterior_.main_island().flat()
        return anchor_responsibilities(self._problem, flat)[0].mean(axis=0)
