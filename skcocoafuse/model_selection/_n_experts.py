"""How many experts: fits with each number, judged by how they predict rows left out."""

import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.base import _fit_context as fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing as rows_of
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from skcocoafuse import diagnostics, prediction
from skcocoafuse._wrappers import unwrap
from skcocoafuse.exceptions import UncertainSelectionWarning
from skcocoafuse.inference.progress import progress_bar as drawn_progress
from skcocoafuse.model_selection._comparison import loo_result
from skcocoafuse.posterior import elpd
from skcocoafuse.posterior.elpd import Difference

CRITERIA = ("auto", "loo", "cv")
RULES = ("best", "one_se", "chebyshev")
_DEFAULT = range(1, 7)
_EXACT = ("nuts", "pymc")  # engines whose draws are those of the posterior


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fit with some number of experts, and how it predicts rows left out.

    Parameters
    ----------
    estimator : estimator
        Fitted to all rows.
    pointwise : ndarray of shape (n_samples,)
        Log density of each row, in the target's units, by leave-one-out or K-fold
        cross-validation.
    in_sample : ndarray of shape (n_samples,)
        Log density of each row by the fit that has seen it.
    weight : ndarray of shape (n_samples,)
    n_bad_k : int
        Rows whose leave-one-out density cannot be trusted; 0 for K-fold cross-validation.
    converged : bool
        Whether the fit, and those of all folds, passed the checks that ``fit`` warns of.
    seconds : float
        Of all its fits.
    """

    estimator: Any
    pointwise: np.ndarray
    in_sample: np.ndarray
    weight: np.ndarray
    n_bad_k: int
    converged: bool
    seconds: float

    @property
    def diagnostics(self) -> dict:
        """``diagnostics_`` of the fit to all rows."""
        return _inside(self.estimator).diagnostics_

    @cached_property
    def elpd(self) -> Difference:
        """Sum of ``pointwise`` by weight, and its standard error."""
        counts = self.weight > 0
        return Difference(*elpd.sum_and_error(self.pointwise[counts], self.weight[counts]))

    def less(self, other: "Candidate") -> Difference:
        """By how much its elpd exceeds another's, with the paired standard error."""
        counts = self.weight > 0
        gap = self.pointwise[counts] - other.pointwise[counts]
        return Difference(*elpd.sum_and_error(gap, self.weight[counts]))


@dataclass(frozen=True, eq=False)
class NExpertsSelection:
    """Fits with several numbers of experts and the choice among them.

    Objects come from :func:`select_n_experts`.

    Parameters
    ----------
    candidates : dict of int to Candidate
        By number of experts, rising.
    criterion : {"loo", "cv"}
        The one that was used.
    rule : {"best", "one_se", "chebyshev"}
    confidence : float
        Of the lower bounds in the table and of the rule "chebyshev".
    """

    candidates: dict[int, Candidate]
    criterion: str
    rule: str
    confidence: float

    @property
    def best(self) -> int:
        """The number of experts with the highest elpd, the smallest of these."""
        return max(self.candidates, key=lambda m: self.candidates[m].elpd.elpd)

    @property
    def n_experts(self) -> int:
        """The number of experts chosen by the rule."""
        if self.rule == "one_se":
            best = self.candidates[self.best]
            behind = {m: best.less(each) for m, each in self.candidates.items()}
            return next(m for m, gap in behind.items() if m == self.best or gap.elpd <= gap.se)
        if self.rule == "chebyshev":
            return max(self.candidates, key=self._lower_bound)
        return self.best

    @property
    def estimator(self):
        """The estimator with the chosen number of experts, fitted to all rows."""
        return self.candidates[self.n_experts].estimator

    @property
    def untrusted(self) -> list[int]:
        """Numbers of experts whose leave-one-out figures cannot be trusted.

        Folds are foreseen by fits that have not seen them, so their figures can be trusted
        whatever the fits are like.
        """
        if self.criterion == "cv":
            return []
        return [m for m, c in self.candidates.items() if c.n_bad_k or not c.converged]

    @property
    def table(self):
        """All figures, a row per number of experts.

        Returns
        -------
        pandas.DataFrame
            ``elpd``, ``se``: log density of all rows when left out, and its standard error.
            ``elpd_diff``, ``diff_se``: the best elpd less this one, and the paired standard
            error. ``elpd_lower``: the lower bound by Chebyshev's inequality. ``p``: effective
            number of parameters. ``n_bad_k``: rows that cannot be trusted. ``rhat``,
            ``converged``: of the fit (and all folds). ``collapsed``: experts that account for
            less than 1% of the data. ``seconds``: of all fits. ``chosen``: by the rule.
        """
        import pandas as pd

        rows, best = [], self.candidates[self.best]
        for m, candidate in self.candidates.items():
            behind = best.less(candidate)
            gained = candidate.in_sample - candidate.pointwise
            rows.append(
                {
                    "elpd": candidate.elpd.elpd,
                    "se": candidate.elpd.se,
                    "elpd_diff": behind.elpd,
                    "diff_se": behind.se,
                    "elpd_lower": self._lower_bound(m),
                    "p": elpd.sum_and_error(gained, candidate.weight)[0],
                    "n_bad_k": candidate.n_bad_k,
                    "rhat": candidate.diagnostics["rhat"],
                    "converged": candidate.converged,
                    "collapsed": len(diagnostics.collapsed_experts(candidate.diagnostics)),
                    "seconds": candidate.seconds,
                    "chosen": m == self.n_experts,
                }
            )
        return pd.DataFrame(rows, index=pd.Index(self.candidates, name="n_experts"))

    def plot(self, ax=None):
        """Draw the elpd of all numbers of experts less the best.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to; a new figure by default.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            Without matplotlib, which the extra ``plot`` installs.
        """
        from skcocoafuse.plotting import draw_selection

        return draw_selection(self.table, ax)

    def _lower_bound(self, n_experts: int) -> float:
        return self.candidates[n_experts].elpd.lower_bound(self.confidence)

    def __repr__(self) -> str:
        head = f"{self.n_experts} experts, by {self.criterion} and the rule {self.rule!r}"
        lines = [head, self.table.to_string(float_format=lambda value: f"{value:.2f}")]
        if self.untrusted:
            lines.append(f"figures not to be trusted: n_experts={self.untrusted}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.table.to_html(float_format=lambda value: f"{value:.2f}")


def select_n_experts(
    estimator,
    X,
    y,
    *,
    n_experts=_DEFAULT,
    criterion="auto",
    cv=5,
    rule="one_se",
    confidence=0.95,
    n_jobs=None,
    progress_bar=False,
    **fit_params,
) -> NExpertsSelection:
    """Choose the number of experts by how well rows left out are predicted.

    Parameters
    ----------
    estimator : estimator
        One of this package, or what contains one (``Pipeline``, ``TransformedTargetRegressor``);
        it is cloned, never changed.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    n_experts : iterable of int, default=range(1, 7)
        The numbers to try.
    criterion : {"auto", "loo", "cv"}, default="auto"
        How rows are left out: "loo", one by one by importance weights, without further fits; "cv",
        in folds, by a fit for each. "auto" is "loo" for engines that sample the posterior
        ("nuts", "pymc") and "cv" for others, whose draws may be too far from it for "loo".
    cv : int, cross-validation generator or iterable, default=5
        Folds of ``criterion="cv"``, as in scikit-learn; each row is left out once.
    rule : {"best", "one_se", "chebyshev"}, default="one_se"
        "best": the highest elpd. "one_se": the fewest experts whose elpd is not below the best
        by more than the standard error of that difference, paired by rows. "chebyshev": the
        highest lower bound elpd - se / sqrt(1 - confidence), this project's reading of
        arXiv 2505.01105.
    confidence : float, default=0.95
        Of that bound.
    n_jobs : int, optional
        Candidates that are fitted at the same time, by joblib's current backend. By default one
        after the other, the chains of each in parallel.
    progress_bar : bool, default=False
        Whether to show how many fits are done.
    **fit_params : dict
        Passed to ``fit``; arrays with an entry per row are cut with the folds. Inside a
        ``Pipeline`` with its prefix: ``moeregressor__sample_weight``.

    Returns
    -------
    NExpertsSelection
        With ``n_experts``, the fitted ``estimator``, ``table`` and ``plot()``.

    Warns
    -----
    UncertainSelectionWarning
        If the fit that was chosen, or the one of highest elpd, cannot be trusted.
    sklearn.exceptions.ConvergenceWarning
        Of the kinds that ``fit`` warns of, for the fit that was chosen.

    Raises
    ------
    TypeError
        If the estimator has no parameter ``n_experts``.
    ValueError
        For bad data or parameters, folds that do not leave each row out once, or
        ``criterion="loo"`` where draws are too far from the posterior.

    Examples
    --------
    >>> from skcocoafuse import MoERegressor, select_n_experts
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(150, random_state=0)
    >>> model = MoERegressor(inference="laplace", random_state=0)
    >>> selection = select_n_experts(model, X, y, n_experts=[1, 2])
    >>> selection.n_experts, selection.estimator.n_experts
    (2, 2)
    """
    name = _parameter_name(estimator)
    numbers = _checked(n_experts, criterion, rule, confidence)
    if criterion == "auto":
        engine = estimator.get_params()[name.removesuffix("n_experts") + "inference"]
        criterion = "loo" if engine in _EXACT else "cv"
    # what fit warns of is in the table
    with warnings.catch_warnings(), drawn_progress(progress_bar, "fits", len(numbers)) as step:
        run = _Runs(n_jobs, step)
        models = {m: clone(estimator).set_params(**{name: m}) for m in numbers}
        whole = run(_fit_whole, [(models[m], X, y, fit_params, criterion) for m in numbers])
    candidates = dict(zip(numbers, whole, strict=True))
    if criterion == "cv":
        folds = _folds(cv, X, y)
        with (
            warnings.catch_warnings(),
            drawn_progress(progress_bar, "folds", len(numbers) * len(folds)) as step,
        ):
            tasks = [(models[m], X, y, fit_params, *fold) for m in numbers for fold in folds]
            found = iter(_Runs(n_jobs, step)(_fit_fold, tasks))
        candidates = {
            m: _left_out_by(folds, candidate, [next(found) for _ in folds])
            for m, candidate in candidates.items()
        }
    candidates = dict(sorted(candidates.items()))
    for m, candidate in candidates.items():
        if not np.isfinite(candidate.elpd.elpd):
            raise ValueError(f"With n_experts={m} some row left out has no density.")
    selection = NExpertsSelection(candidates, criterion, rule, float(confidence))
    _warn(selection)
    return selection


def _parameter_name(estimator) -> str:
    """Of the number of experts, however deep inside."""
    names = [name for name in estimator.get_params() if name.rpartition("__")[2] == "n_experts"]
    if len(names) != 1:
        raise TypeError(
            "estimator must have one parameter n_experts, its own or that of a step; "
            f"{type(estimator).__name__} has {names or 'none'}. Wanted: CoCoAFusERegressor, "
            "MoERegressor or BoERegressor, alone or inside Pipeline or TransformedTargetRegressor."
        )
    return names[0]


def _checked(n_experts, criterion, rule, confidence) -> list[int]:
    """The numbers to try, the largest first: it takes longest."""
    for name, value, known in (("criterion", criterion, CRITERIA), ("rule", rule, RULES)):
        if value not in known:
            raise ValueError(f"{name} must be one of {list(known)}; got {value!r}.")
    elpd.lower_bound(0.0, 1.0, confidence)  # says what is wrong before the work
    numbers = list(n_experts) if isinstance(n_experts, Iterable) else []
    whole = all(isinstance(m, Integral) and not isinstance(m, bool) and m >= 1 for m in numbers)
    if not numbers or not whole or len(set(numbers)) < len(numbers):
        raise ValueError(
            "n_experts must hold distinct positive integers, at least one, such as range(1, 7); "
            f"got {n_experts!r}."
        )
    return sorted((int(m) for m in numbers), reverse=True)


class _Runs:
    """Tasks in parallel, with a step of the progress bar after each; results in their order."""

    def __init__(self, n_jobs: int | None, step):
        self.n_jobs, self.step = n_jobs, step

    def __call__(self, function, tasks: list[tuple]) -> list:
        done = []
        parallel = Parallel(n_jobs=self.n_jobs, return_as="generator")
        for result in parallel(delayed(function)(*task) for task in tasks):
            done.append(result)
            self.step()
        return done


def _inside(estimator):
    """The regressor with the posterior."""
    return unwrap(estimator, "_leave_one_out", "leave-one-out densities").estimator


def _fit_quietly(estimator, X, y, fit_params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y, **fit_params)


def _fit_whole(estimator, X, y, fit_params, criterion) -> Candidate:
    begun = time.perf_counter()
    estimator = _fit_quietly(estimator, X, y, fit_params)
    inside = _inside(estimator)
    if criterion == "loo":
        result = loo_result(estimator)
        pointwise, in_sample, n_bad_k = result.pointwise, result.in_sample, len(result.bad_rows)
    else:
        in_sample = pointwise = prediction.log_prob(estimator, X, y)
        n_bad_k = 0
    return Candidate(
        estimator,
        pointwise,
        in_sample,
        inside._problem.weight,
        n_bad_k,
        diagnostics.converged(inside.diagnostics_),
        time.perf_counter() - begun,
    )


def _folds(cv, X, y) -> list[tuple[np.ndarray, np.ndarray]]:
    folds = list(check_cv(cv).split(X, y))
    times = np.bincount(np.concatenate([test for _, test in folds]), minlength=len(y))
    if len(times) != len(y) or (times != 1).any():
        raise ValueError(
            "cv must leave each row out once, as KFold does; "
            f"{(times != 1).sum()} of {len(y)} rows are left out never or more than once."
        )
    return folds


def _fit_fold(estimator, X, y, fit_params, train, test) -> tuple[np.ndarray, bool, float]:
    """Log densities of the rows left out, whether the fit converged, seconds."""
    begun = time.perf_counter()
    own = {
        name: rows_of(value, train) if np.shape(value)[:1] == (len(y),) else value
        for name, value in fit_params.items()
    }
    fitted = _fit_quietly(clone(estimator), rows_of(X, train), rows_of(y, train), own)
    density = prediction.log_prob(fitted, rows_of(X, test), rows_of(y, test))
    fine = diagnostics.converged(_inside(fitted).diagnostics_)
    return density, fine, time.perf_counter() - begun


def _left_out_by(folds, whole: Candidate, found: list) -> Candidate:
    """A candidate judged by its folds."""
    densities, fine, seconds = zip(*found, strict=True)
    pointwise = np.empty_like(whole.in_sample)
    for (_, test), density in zip(folds, densities, strict=True):
        pointwise[test] = density
    return Candidate(
        whole.estimator,
        pointwise,
        whole.in_sample,
        whole.weight,
        0,
        whole.converged and all(fine),
        whole.seconds + sum(seconds),
    )


def _warn(selection: NExpertsSelection) -> None:
    chosen, best = selection.n_experts, selection.best
    diagnostics.warn(selection.candidates[chosen].diagnostics, stacklevel=4)
    doubtful = [m for m in sorted({chosen, best}) if m in selection.untrusted]
    if not doubtful:
        return
    said = []
    for m in doubtful:
        candidate = selection.candidates[m]
        reasons = [] if candidate.converged else ["did not converge"]
        if candidate.n_bad_k:
            reasons.append(f"has {candidate.n_bad_k} rows of bad Pareto k-hat")
        said.append(f"n_experts={m} {' and '.join(reasons)}")
    warnings.warn(
        f"The choice of {chosen} experts (highest elpd: {best}) hangs on fits that cannot be "
        f"trusted: {'; '.join(said)}. See `table`; criterion='cv' needs no importance weights, "
        "and more draws and tune help chains to agree.",
        UncertainSelectionWarning,
        stacklevel=3,
    )


class NExpertsSelector(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """The regressor with as many experts as rows left out ask for.

    A meta-estimator around :func:`select_n_experts`, for the end of a ``Pipeline``: it chooses
    when it is fitted, and predicts by the fit that was chosen.

    Parameters
    ----------
    estimator : estimator
    n_experts : iterable of int, default=range(1, 7)
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
        n_experts=_DEFAULT,
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
