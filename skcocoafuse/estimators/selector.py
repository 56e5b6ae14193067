"""A meta-estimator that selects the number of experts during ``fit``."""

from numbers import Integral, Real
from typing import Any, ClassVar

import sklearn
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin
from sklearn.base import _fit_context as fit_context
from sklearn.model_selection import check_cv
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from skcocoafuse.evaluation.n_experts import CRITERIA, select_n_experts
from skcocoafuse.evaluation.selection import RULES
from skcocoafuse.inference import ENGINE_NAMES


class NExpertsSelector(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Regressor whose number of experts is selected on held-out rows.

    A meta-estimator around :func:`select_n_experts`, for use as the last step of a ``Pipeline``:
    it selects the number of experts in ``fit`` and predicts with the selected fit.

    Parameters
    ----------
    estimator : estimator
    n_experts : iterable of int, default=(1, 2, 3, 4, 5, 6)
    criterion : {"auto", "loo", "cv"}, default="auto"
    cv : int, cross-validation generator or iterable, default=5
    rule : {"best", "one_se", "chebyshev"}, default="one_se"
    confidence : float, default=0.95
    alternatives : dict of str to list, optional
    race : bool, default=True
    max_rows : int, optional
    inference : str, default="auto"
    n_jobs : int, optional
    progress_bar : bool, default=False
        All as in :func:`select_n_experts`.

    Notes
    -----
    With metadata routing enabled, ``fit`` passes metadata to the estimator and to ``cv`` as
    requested, ``predict`` and ``score`` to the estimator.

    Attributes
    ----------
    selection_ : NExpertsSelection
    n_experts_ : int
        The selected number of experts.
    best_params_ : dict
        That number and the selected alternatives, as in ``set_params`` of the estimator.
    best_estimator_ : estimator
        The fitted estimator with these parameters; ``predict_dist``, ``loo`` and the other
        functions of this package use it.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of str
        Names of features seen during ``fit``; only if X has string column names.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skcocoafuse import MoERegressor, NExpertsSelector, predict_dist
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(150, random_state=0)
    >>> model = MoERegressor(inference="vi", random_state=0)
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
        alternatives=None,
        race=True,
        max_rows=None,
        inference="auto",
        n_jobs=None,
        progress_bar=False,
    ):
        self.estimator = estimator
        self.n_experts = n_experts
        self.criterion = criterion
        self.cv = cv
        self.rule = rule
        self.confidence = confidence
        self.alternatives = alternatives
        self.race = race
        self.max_rows = max_rows
        self.inference = inference
        self.n_jobs = n_jobs
        self.progress_bar = progress_bar

    refit = True  # as in a search: there is a fitted best estimator

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [HasMethods(["fit", "predict"])],
        "n_experts": "no_validation",  # select_n_experts validates it
        "criterion": [StrOptions(set(CRITERIA))],
        "cv": ["cv_object"],
        "rule": [StrOptions(set(RULES))],
        "confidence": [Real],
        "alternatives": "no_validation",
        "race": ["boolean"],
        "max_rows": [Integral, None],
        "inference": [StrOptions({"auto", *ENGINE_NAMES})],
        "n_jobs": [Integral, None],
        "progress_bar": ["boolean"],
    }

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, **fit_params):
        """Select the number of experts and keep the corresponding fit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        **fit_params : dict
            Passed to ``fit`` of the estimator, such as ``sample_weight``; ``groups`` is passed to
            ``cv``. With metadata routing enabled, each is passed where it is requested.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As in :func:`select_n_experts`; with metadata routing enabled, also for metadata that
            are not requested.
        """
        if self._routes():
            routed = process_routing(self, "fit", **fit_params)
            own, for_cv = routed.estimator.fit, routed.splitter.split
        else:
            own, for_cv = dict(fit_params), {}
            if "groups" in own:
                for_cv["groups"] = own.pop("groups")
        cv, groups = self.cv, for_cv.get("groups")
        if for_cv.keys() - {"groups"}:  # select_n_experts passes groups only
            cv = list(check_cv(self.cv).split(X, y, **for_cv))
        self.selection_ = select_n_experts(
            self.estimator,
            X,
            y,
            n_experts=self.n_experts,
            criterion=self.criterion,
            cv=cv,
            rule=self.rule,
            confidence=self.confidence,
            alternatives=self.alternatives,
            race=self.race,
            max_rows=self.max_rows,
            groups=groups,
            inference=self.inference,
            n_jobs=self.n_jobs,
            progress_bar=self.progress_bar,
            **own,
        )
        self.best_estimator_ = self.selection_.estimator
        self.n_experts_ = self.selection_.n_experts
        self.best_params_ = self.selection_.params
        for name in ("n_features_in_", "feature_names_in_"):  # a pipeline may not know the first
            if hasattr(self.best_estimator_, name):
                setattr(self, name, getattr(self.best_estimator_, name))
            elif hasattr(self, name):  # from an earlier fit
                delattr(self, name)
        return self

    def predict(self, X, **predict_params):
        """Mean of the predictive distribution of the selected fit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        **predict_params : dict
            Passed to ``predict`` of the estimator, such as ``return_std=True``; with metadata
            routing enabled, only if it requests them.

        Returns
        -------
        mean : ndarray of shape (n_samples,)
        std : ndarray of shape (n_samples,)
            Only with ``return_std=True``.
        """
        check_is_fitted(self)
        if self._routes():
            predict_params = process_routing(self, "predict", **predict_params).estimator.predict
        return self.best_estimator_.predict(X, **predict_params)

    def score(self, X, y, sample_weight=None, **score_params):
        """Score of the selected fit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional
        **score_params : dict
            Passed to ``score`` of the estimator; with metadata routing enabled, these and the
            weights are passed only if it requests them.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        if sample_weight is not None:
            score_params["sample_weight"] = sample_weight
        if self._routes():
            score_params = process_routing(self, "score", **score_params).estimator.score
        return self.best_estimator_.score(X, y, **score_params)

    def get_metadata_routing(self) -> MetadataRouter:
        """Get the metadata routing of this object.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
            From ``fit`` to ``fit`` of the estimator and ``split`` of ``cv``, and from ``predict``
            and ``score`` to those of the estimator.
        """
        to_estimator = MethodMapping()
        for method in ("fit", "predict", "score"):
            to_estimator.add(caller=method, callee=method)
        to_cv = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self)
        router.add(estimator=self.estimator, method_mapping=to_estimator)
        return router.add(splitter=self.cv, method_mapping=to_cv)

    @staticmethod
    def _routes() -> bool:
        return sklearn.get_config()["enable_metadata_routing"]
