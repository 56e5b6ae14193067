"""What a fitted experts regressor can say: predictions, and a look inside.

Nothing here fits; everything is arithmetic on the draws in ``posterior_``.
"""

from typing import ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcocoafuse._hints import COVERAGE, PREDICT, QUANTILES, hints
from skcocoafuse._validation import (
    check_count,
    check_probability,
    validate_observed,
    validate_predict,
)
from skcocoafuse.model import forward
from skcocoafuse.model.chunks import map_chunks
from skcocoafuse.model.design import DesignPart, Scale, Units
from skcocoafuse.model.inputs import Inputs
from skcocoafuse.model.parameters import Parameters
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.predictive import PredictiveDistribution
from skcocoafuse.predictive.frames import check_output, interval_output, quantile_output
from skcocoafuse.predictive.local import local_slopes


class FittedExperts:
    """Methods of a regressor that holds ``posterior_``, its designs, target's scale and rows."""

    _behavior: ClassVar[float | None]
    _numeric_columns: np.ndarray
    _designs: dict[str, DesignPart]
    _target: Scale
    _problem: Problem
    n_jobs: int | None
    posterior_: Posterior
    diagnostics_: dict

    def _inputs(self, X) -> Inputs:
        check_is_fitted(self)
        X = validate_predict(self, X, objects=not self._numeric_columns.all())
        return Inputs(X, getattr(self, "feature_names_in_", None), type(self).__name__)

    def _design_matrices(self, X: Inputs) -> dict[str, np.ndarray]:
        return {
            part: design.transform(X, f"{part}_features") for part, design in self._designs.items()
        }

    @property
    def _units(self) -> Units:
        scales = {part: design.scale for part, design in self._designs.items()}
        return Units(**scales, target=self._target)

    def _original_units(self, p: Parameters) -> Parameters:
        """Draws of all parameters in original units instead of standardised ones."""
        return self._units.undo(p)

    def _checked_designs(self, X) -> dict[str, np.ndarray]:
        return self._design_matrices(self._inputs(X))

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
            n_jobs=self.n_jobs,
        )

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

        Raises
        ------
        ValueError
            If ``n_samples`` is no integer, or below 0.
        """
        n_samples = check_count(n_samples, "n_samples", least=0)
        return self.predict_dist(X).rvs(n_samples, random_state)

    def sample_posterior_predictive(self, X, n_samples=500, random_state=None):
        """Data sets the model deems possible at these rows, as :meth:`sample_y`, draws first.

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
        lines = forward.expert_means(forward.NUMPY, mean, designs["expert"])
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
            Rows sum to one. Where beta is 0 the experts act as one, and this is the gate. Far from
            all experts, infinity included, it is the one with the widest density.

        Raises
        ------
        ValueError
            If y has NaN, or another length than X.
        """
        dist = self._distribution(X, main_island=True)
        return dist.responsibilities(validate_observed(y, X))

    def _in_blocks(self, X, function):
        """Join ``function(draws, designs)`` over chunks of rows, to bound memory."""
        designs = self._checked_designs(X)
        flat = self.posterior_.main_island().flat()
        chunks = map_chunks(lambda _, part: function(flat, part), designs, flat.sigma.size)
        return np.concatenate(chunks)

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
        X = self._inputs(X)
        designs = self._design_matrices(X)
        chains = {
            part: self._designs[part].pull_back(X, self._numeric_columns, f"{part}_features")
            for part in ("expert", "gate")
        }

        def pull_back(part, slopes, rows):
            return self._target.scale * chains[part](slopes, rows)

        posterior = self.posterior_
        coef, interval = local_slopes(
            posterior.flat(),
            designs,
            posterior.draw_weight(),
            pull_back,
            X.shape[1],
            tails,
        )
        coef[:, ~self._numeric_columns] = interval[:, ~self._numeric_columns] = np.nan
        return (coef, interval) if tails else coef
