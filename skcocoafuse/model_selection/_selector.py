"""A meta-estimator that chooses the number of experts when it is fitted."""

from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin
from sklearn.base import _fit_context as fit_context
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted

from skcocoafuse.model_selection._n_experts import CRITERIA, select_n_experts
from skcocoafuse.model_selection._selection import RULES


class NExpertsSelector(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """The regressor with as many experts as rows left out ask for.

    A meta-estimator around :func:`select_n_experts`, for the end of a ``Pipeline``: it chooses
    when it is fitted, and predicts by the fit that was chosen.

    Parameters
    ----------
    estimator : estimator
    n_experts : iterable of int, default=(1, 2, 3, 4, 5, 6)
    criterion : {"auto", "loo", "cv"}, default="auto"
    cv : int, cross-validation generator or iterable, default=5
    rule : {"best", "one_se", "chebyshev"}, default="one_se"
    confidence : float, default=0.95
    n_jobs : int, optional
    progress_bar : bool, default=False
        All as in :func:`select_n_experts`.

    Attributes
    ----------
    selection_ : NExpertsSelection
    n_experts_ : int
        The number chosen.
    best_estimator_ : estimator
        The fitted estimator with that number; ``predict_dist``, ``loo`` and the other functions
        of this package find it there.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only if ``X`` has names.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skcocoafuse import MoERegressor, NExpertsSelector, predict_dist
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(150, random_state=0)
    >>> model = MoERegressor(inference="laplace", random_state=0)
    >>> pipe = make_pipeline(StandardScaler(), NExpertsSelector(model, n_experts=[1, 2]))
    >>> pipe.fit(X, y)[-1].n_experts_
    2
    >>> predict_dist(pipe, X).mean().shape
    (150,)
    """

    def __init__(
        self,
        estimator,
        *,
        n_experts=(1, 2, 3, 4, 5, 6),
        criterion="auto",
        cv=5,
        rule="one_se",
        confidence=0.95,
        n_jobs=None,
        progress_bar=False,
    ):
        self.estimator = estimator
        self.n_experts = n_experts
        self.criterion = criterion
        self.cv = cv
        self.rule = rule
        self.confidence = confidence
        self.n_jobs = n_jobs
        self.progress_bar = progress_bar

    refit = True  # as of a search: there is a fitted best estimator

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [HasMethods(["fit", "predict"])],
        "n_experts": "no_validation",  # select_n_experts says what is wrong
        "criterion": [StrOptions(set(CRITERIA))],
        "cv": ["cv_object"],
        "rule": [StrOptions(set(RULES))],
        "confidence": [Real],
        "n_jobs": [Integral, None],
        "progress_bar": ["boolean"],
    }

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, **fit_params):
        """Choose the number of experts and keep its fit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        **fit_params : dict
            Passed to ``fit`` of the estimator, such as ``sample_weight``.

        Returns
        -------
        self
        """
        self.selection_ = select_n_experts(
            self.estimator,
            X,
            y,
            n_experts=self.n_experts,
            criterion=self.criterion,
            cv=self.cv,
            rule=self.rule,
            confidence=self.confidence,
            n_jobs=self.n_jobs,
            progress_bar=self.progress_bar,
            **fit_params,
        )
        self.best_estimator_ = self.selection_.estimator
        self.n_experts_ = self.selection_.n_experts
        self.n_features_in_ = self.best_estimator_.n_features_in_
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_
        return self

    def predict(self, X):
        """Mean of the predictive distribution of the fit that was chosen.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        return self.best_estimator_.predict(X)

    def score(self, X, y, sample_weight=None):
        """Score of the fit that was chosen.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        check_is_fitted(self)
        return self.best_estimator_.score(X, y, sample_weight)
