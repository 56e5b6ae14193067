"""Selection of the number of experts by the predictive density of held-out rows."""

import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing as rows_of
from sklearn.utils import check_random_state, indexable

from skcocoafuse._hints import refuse
from skcocoafuse.evaluation import elpd, fit_warnings
from skcocoafuse.evaluation.alternatives import try_alternatives
from skcocoafuse.evaluation.comparison import loo_result, regressor_inside
from skcocoafuse.evaluation.cross_validation import cross_validated
from skcocoafuse.evaluation.folds import cut, partition
from skcocoafuse.evaluation.runs import Runs
from skcocoafuse.evaluation.selection import RULES, Candidate, NExpertsSelection
from skcocoafuse.exceptions import SelectionAtEdgeWarning, UncertainSelectionWarning
from skcocoafuse.inference import ENGINE_NAMES, samples_posterior
from skcocoafuse.inference.progress import progress_bar as drawn_progress

CRITERIA = ("auto", "loo", "cv")
_DEFAULT = range(1, 7)
_SCORING = {
    "scoring": "Numbers of experts are compared by the log density of held-out rows, which is "
    "'lppd' in metrics.SCORERS; criterion says how rows are held out. For another score, pass "
    "one of metrics.SCORERS to GridSearchCV(estimator, {'n_experts': [...]}, scoring=...)."
}


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
    alternatives=None,
    race=True,
    max_rows=None,
    groups=None,
    inference="auto",
    n_jobs=None,
    progress_bar=False,
    **fit_params,
) -> NExpertsSelection:
    """Select the number of experts by the predictive density of held-out rows.

    Parameters
    ----------
    estimator : estimator
        A regressor of this package, or a meta-estimator that contains one (``Pipeline``,
        ``TransformedTargetRegressor``); it is cloned, never changed.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    n_experts : iterable of int, default=range(1, 7)
        The numbers to try.
    criterion : {"auto", "loo", "cv"}, default="auto"
        How rows are held out: "loo", one at a time by importance weights, without further fits;
        "cv", in folds, with one fit per fold. "auto" is "loo" if the engine of the candidates
        samples the posterior, such as "nuts", and "cv" otherwise: draws may then be too far from
        the posterior for "loo".
    cv : int, cross-validation generator or iterable, default=5
        Folds of ``criterion="cv"``, as in scikit-learn; each row is left out once.
    rule : {"best", "one_se", "chebyshev"}, default="one_se"
        "best": the highest elpd. "one_se": the fewest experts whose elpd is within one standard
        error of the difference (paired by rows) from the best, or within 4, below which such
        errors are unreliable (Sivula et al., 2020, arXiv:2008.10296).
        "chebyshev": the highest lower bound elpd - se / sqrt(1 - confidence), this project's
        interpretation of arXiv 2505.01105.
    confidence : float, default=0.95
        Confidence of that bound.
    alternatives : dict of str to list, optional
        Other values of the estimator's parameters, named as in ``set_params``, to try with the
        selected number of experts: ``{"noise_features": [None]}``. One parameter after another, on
        the same folds; the value with the highest elpd replaces the estimator's own if ``rule``
        prefers it. If the new values together are better by more than 4, the next smaller and
        larger number of experts are tried with them, and so on while the rule prefers another.
    race : bool, default=True
        Whether candidates that cannot win are dropped after two folds, the first and the middle
        one: those that the best is ahead of in each by more than three paired standard errors and
        4, and alternatives that are behind what they would replace, in the two together, by half a
        standard error. Saves the fits to the other folds; figures of what was dropped are
        extrapolated. And once a number of experts, from the third on, is behind a smaller one in
        each by more than one standard error and 4, larger numbers are not tried; nor are several
        experts with more parameters than there are rows (unless the smallest number is of that
        kind): on few held-out rows such fits can win by chance. Only with three folds or more, and
        not with the rule "chebyshev", by which the best may be one that predicts worse.
    max_rows : int, optional
        Number of rows to choose from: a random part if there are more, by the estimator's
        ``random_state``; all by default. Figures are those of this part; what is selected is
        fitted to all rows.
    groups : array-like of shape (n_samples,), optional
        Group labels for a ``cv`` that keeps groups of rows together, such as ``GroupKFold``.
    inference : str, default="auto"
        Engine that fits the candidates; the selected number of experts is fitted to all rows by
        the estimator's own. "auto" is the estimator's own, but "vi" in place of
        one that samples the posterior, which takes many times as long, unless ``criterion`` is
        "loo".
    n_jobs : int, optional
        Number of candidates to fit in parallel, with joblib's current backend. By default, all
        cores are used: by several candidates, or by the chains of one if the engine samples the
        posterior.
    progress_bar : bool, default=False
        Whether to show the number of completed fits.
    **fit_params : dict
        Passed to ``fit``; arrays with an entry per row are subset along with the folds. With a
        ``Pipeline``, use its prefix: ``moeregressor__sample_weight``. Rows have the same weights
        in the selection as in the fits.

    Returns
    -------
    NExpertsSelection
        With ``n_experts``, ``params``, the fitted ``estimator``, ``table``,
        ``table_of_alternatives`` and ``plot()``.

    Warns
    -----
    UncertainSelectionWarning
        If the estimates of the selected fit, or of the one with the highest elpd, are unreliable,
        or if the selection depends on rows with a high Pareto k-hat.
    SelectionAtEdgeWarning
        If the largest number tried was selected, or the smallest if it is above 1.
    sklearn.exceptions.ConvergenceWarning
        The warnings of ``fit``, for the selected fit.

    Raises
    ------
    TypeError
        If the estimator has no parameter ``n_experts``, or ``alternatives`` is no dictionary of
        lists.
    ValueError
        For invalid data or parameters, unknown ones among ``alternatives``, folds that do not leave
        each row out once, or ``criterion="loo"`` if draws are too far from the posterior.

    Examples
    --------
    >>> from skcocoafuse import MoERegressor, select_n_experts
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(150, random_state=0)
    >>> model = MoERegressor(inference="vi", random_state=0)
    >>> selection = select_n_experts(model, X, y, n_experts=[1, 2])
    >>> selection.n_experts, selection.estimator.n_experts
    (2, 2)

    With two experts, noise that depends on the input is no better:

    >>> selection = select_n_experts(
    ...     model, X, y, n_experts=[1, 2], alternatives={"noise_features": [None]}
    ... )
    >>> selection.params
    {'n_experts': 2}
    >>> selection.table_of_alternatives["selected"].tolist()
    [False]
    """
    refuse(fit_params, _SCORING, "select_n_experts")
    name = _parameter_name(estimator)
    numbers = _checked(n_experts, criterion, rule, confidence)
    alternatives = _checked_alternatives(estimator, name, alternatives)
    X, y, groups = indexable(X, y, groups)
    everything, own = (X, y, fit_params), estimator
    part = _random_part(X, max_rows, cv, estimator, name)
    if part is not None:
        X, y, groups = (None if each is None else rows_of(each, part) for each in (X, y, groups))
        fit_params = cut(fit_params, part, len(everything[1]))
    race = race and rule != "chebyshev"
    estimator, engine = _with_engine(own, name.removesuffix("n_experts"), inference, criterion)
    if criterion == "auto":
        criterion = "loo" if samples_posterior(engine) else "cv"
    folds = [] if criterion == "loo" else partition(cv, X, y, groups=groups)
    n_candidates = len(numbers) + sum(map(len, alternatives.values()))
    n_candidates += len(numbers) - 1 if alternatives else 0  # at most
    with drawn_progress(progress_bar, "fits", n_candidates * max(1, len(folds))) as step:
        run = Runs(estimator, n_jobs, step)

        def evaluate(settings: list[dict], **beside) -> list[Candidate]:
            models = [clone(estimator).set_params(**each) for each in settings]
            if criterion == "loo":  # the last first: the largest number takes longest
                tasks = [(model, X, y, fit_params) for model in models]
                found = run(_leave_one_out, tasks[::-1])[::-1]
            else:
                found = cross_validated(models, X, y, fit_params, folds, run, race=race, **beside)
            _refuse_non_finite(settings[: len(found)], found)
            return found

        found = evaluate([{name: m} for m in numbers], growing=numbers)
        candidates, not_tried = dict(zip(numbers, found, strict=False)), numbers[len(found) :]
        selection = NExpertsSelection(
            candidates, criterion, rule, float(confidence), name, not_tried=tuple(not_tried)
        )
        tried = try_alternatives(selection, alternatives, evaluate)
        selection = replace(selection, alternatives=tried)
    if criterion == "cv" or estimator is not own or part is not None:
        X, y, fit_params = everything
        with fit_warnings.without_warnings():
            refitted = clone(own).set_params(**selection.params).fit(X, y, **fit_params)
        selection = replace(selection, refitted=refitted)
    _warn(selection)
    return selection


def _parameter_name(estimator) -> str:
    """Name of the parameter ``n_experts``, however deeply nested."""
    names = [name for name in estimator.get_params() if name.rpartition("__")[2] == "n_experts"]
    if len(names) != 1:
        raise TypeError(
            "estimator must have exactly one parameter n_experts, its own or that of a step; "
            f"{type(estimator).__name__} has {names or 'none'}. Use a CoCoAFusERegressor, "
            "MoERegressor or BoERegressor, alone or in a Pipeline or TransformedTargetRegressor."
        )
    return names[0]


def _random_part(X, max_rows, cv, estimator, name: str) -> np.ndarray | None:
    """The rows to choose from, in order, or None for all."""
    if max_rows is None:
        return None
    if not isinstance(max_rows, Integral) or isinstance(max_rows, bool) or max_rows < 1:
        raise ValueError(f"max_rows must be a positive integer or None; got {max_rows!r}.")
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    if n_rows <= int(max_rows):
        return None
    if not (cv is None or isinstance(cv, Integral) or hasattr(cv, "split")):
        raise ValueError(
            "max_rows takes a part of the rows, so cv must be able to split any rows: pass a "
            "number of folds or a splitter such as KFold, not the indices of all rows."
        )
    seed = estimator.get_params()[name.removesuffix("n_experts") + "random_state"]
    return np.sort(check_random_state(seed).permutation(n_rows)[: int(max_rows)])


def _checked_alternatives(estimator, name: str, alternatives) -> dict[str, list]:
    """Lists of values by parameter, none of them that of the number of experts."""
    known = sorted(set(estimator.get_params()) - {name})
    if alternatives is None:
        return {}
    if not isinstance(alternatives, Mapping):
        raise TypeError(
            "alternatives must be a dictionary from parameters to lists of values, such as "
            f"{{'noise_features': [None]}}; got {alternatives!r}."
        )
    for parameter, values in alternatives.items():
        if parameter not in known:
            raise ValueError(
                f"alternatives has {parameter!r}, which is no parameter of the estimator beside "
                f"{name}; known parameters: {known}."
            )
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise TypeError(
                f"alternatives[{parameter!r}] must be a list of values, at least one; got "
                f"{values!r}."
            )
    return {parameter: list(values) for parameter, values in alternatives.items()}


def _refuse_non_finite(settings: list[dict], found: list[Candidate]) -> None:
    for params, candidate in zip(settings, found, strict=True):
        if not np.isfinite(candidate.elpd.elpd):
            said = ", ".join(f"{name}={value!r}" for name, value in params.items())
            raise ValueError(f"With {said} a held-out row has a non-finite predictive density.")


def _with_engine(estimator, prefix: str, inference: str, criterion: str) -> tuple[Any, str]:
    """The estimator that fits the candidates, itself or a clone, and its engine."""
    if inference not in ("auto", *ENGINE_NAMES):
        raise ValueError(
            f"inference must be 'auto' or one of {list(ENGINE_NAMES)}; got {inference!r}."
        )
    own = estimator.get_params()[prefix + "inference"]
    if inference == "auto":
        inference = "vi" if samples_posterior(own) and criterion != "loo" else own
    if inference == own:
        return estimator, own
    other = {"inference": inference, "inference_options": None}  # options are those of an engine
    changed = clone(estimator).set_params(**{prefix + name: value for name, value in other.items()})
    return changed, inference


def _checked(n_experts, criterion, rule, confidence) -> list[int]:
    """The numbers to try, in ascending order."""
    for name, value, known in (("criterion", criterion, CRITERIA), ("rule", rule, RULES)):
        if value not in known:
            raise ValueError(f"{name} must be one of {list(known)}; got {value!r}.")
    elpd.lower_bound(0.0, 1.0, confidence)  # validates before the work starts
    numbers = list(n_experts) if isinstance(n_experts, Iterable) else []
    integers = all(isinstance(m, Integral) and not isinstance(m, bool) for m in numbers)
    if not (numbers and integers and min(numbers) >= 1 and len(set(numbers)) == len(numbers)):
        raise ValueError(
            "n_experts must contain distinct positive integers, at least one, such as range(1, 7); "
            f"got {n_experts!r}."
        )
    return sorted(int(m) for m in numbers)


def _leave_one_out(estimator, X, y, fit_params) -> Candidate:
    begun = time.perf_counter()
    with fit_warnings.without_warnings():  # the table shows what fit would warn about
        estimator = estimator.fit(X, y, **fit_params)
    inside, result = regressor_inside(estimator), loo_result(estimator)
    return Candidate(
        result.pointwise,
        inside.fitted_.problem.weight,
        np.isin(np.arange(len(result.pointwise)), result.bad_rows),
        [inside.diagnostics_],
        time.perf_counter() - begun,
        result.p_loo,
        estimator,
        n_experts=inside.fitted_.problem.spec.n_experts,
    )


def _around(chosen: int) -> str:
    return f"range({max(1, chosen - 2)}, {chosen + 4})"


def _warn(selection: NExpertsSelection) -> None:
    chosen, best = selection.n_experts, selection.best
    fit_warnings.warn(regressor_inside(selection.estimator).diagnostics_, stacklevel=4)
    said = []
    for m in sorted({chosen, best} & set(selection.untrusted)):
        candidate = selection.candidates[m]
        reason = f"has a high Pareto k-hat in {candidate.bad.sum()} of {len(candidate.bad)} rows"
        said.append(f"n_experts={m} {reason if candidate.converged else 'did not converge'}")
    other = selection.n_experts_without_bad_rows
    if other != chosen:
        said.append(f"without rows of high Pareto k-hat it would be {other}")
    edge = selection.edge
    if edge:
        warnings.warn(
            f"{chosen} experts were selected, the {edge} number tried, so "
            f"{'more' if edge == 'largest' else 'fewer'} may predict better. Try numbers on both "
            f"sides: n_experts={_around(chosen)}.",
            SelectionAtEdgeWarning,
            stacklevel=3,
        )
    if not said:
        return
    warnings.warn(
        f"The selection of {chosen} experts (highest elpd: {best}) depends on unreliable "
        f"estimates: {'; '.join(said)}. See `table`; criterion='cv' needs no importance weights, "
        "and more draws and tune help chains to agree.",
        UncertainSelectionWarning,
        stacklevel=3,
    )
