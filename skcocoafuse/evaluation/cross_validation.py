"""Candidates by cross-validation: one fit per fold, and none for those that cannot win."""

import time

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing as rows_of

from skcocoafuse.evaluation import elpd, fit_warnings
from skcocoafuse.evaluation.comparison import regressor_inside
from skcocoafuse.evaluation.folds import fit_part
from skcocoafuse.evaluation.selection import SMALL_DIFFERENCE, Candidate
from skcocoafuse.predictive import prediction

# Paired standard errors behind the leader, in each of the first folds: of what is dropped, and of
# what makes larger models of a series pointless. In 126 choices by all folds, the latter would have
# cost 0.00001 nats a row; with 100 columns it spares nine tenths of the time (benchmarks/LOG.md).
_CLEARLY_WORSE, _WORSE = 3.0, 1.0
_ALWAYS_TRIED = 3  # of a series: these take little time, and say whether more may help


def cross_validated(
    models, X, y, fit_params, folds, run, *, race, rival=None, growing=False
) -> list[Candidate]:
    """Predictions of held-out rows by each model.

    In a race, all models predict the rows of two folds, the first and the middle one: in sorted
    data, these are rows at one end and rows between others. Those that are clearly worse than the
    best in each of the two are dropped.

    Parameters
    ----------
    models : list of estimator
        Cloned, never changed.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    fit_params : dict
    folds : list of (train, test)
    run : Runs
    race : bool
        Whether to drop models.
    rival : Candidate, optional
        Takes part in the race, with no further fits.
    growing : bool, default=False
        Whether each model is larger than the one before: in a race, those after the third are then
        tried one by one, and no more once one is behind a smaller one in each of the two folds.

    Returns
    -------
    list of Candidate
        Of the models that were tried: of a growing series the smaller ones.
    """
    fits: dict[tuple[int, int], tuple] = {}

    def fit(numbers, of_folds) -> None:
        # the last first: of a growing series it takes longest
        keys = [(k, fold) for k in sorted(numbers, reverse=True) for fold in of_folds]
        tasks = [(models[k], X, y, fit_params, *folds[fold]) for k, fold in keys]
        fits.update(zip(keys, run(_fit_fold, tasks), strict=True))

    def candidate(k) -> Candidate:
        done = [fold for fold in range(len(folds)) if (k, fold) in fits]
        predicted = [fits[k, fold] for fold in done]
        return _left_out_by([folds[fold] for fold in done], predicted, len(y))

    everyone = range(len(models))
    first = sorted({0, len(folds) // 2})
    if not race or len(first) == len(folds):
        fit(everyone, range(len(folds)))
        return [candidate(k) for k in everyone]
    heats = [folds[fold][1] for fold in first]
    entered: list[Candidate] = []
    while len(entered) < len(models):
        to = len(models) if not growing else max(_ALWAYS_TRIED, len(entered) + 1)
        some = everyone[len(entered) : to]
        fit(some, first)
        entered += [candidate(k) for k in some]
        if growing and not _in_reach(entered, rival, heats, _WORSE)[-1]:
            break
    run.skip((len(models) - len(entered)) * len(folds))
    kept = np.flatnonzero(_in_reach(entered, rival, heats, _CLEARLY_WORSE))
    run.skip((len(entered) - len(kept)) * (len(folds) - len(first)))
    fit(kept, [fold for fold in range(len(folds)) if fold not in first])
    return [candidate(k) for k in range(len(entered))]


def _in_reach(
    entered: list[Candidate], rival: Candidate | None, heats: list[np.ndarray], errors: float
) -> list[bool]:
    """Whether each is not behind the best one, in every heat, by some paired standard errors."""
    heats = [heat[entered[0].weight[heat] > 0] for heat in heats]
    if not all(map(len, heats)):
        return [True] * len(entered)
    rows = np.concatenate(heats)
    leader = max(
        [*entered, *([rival] if rival else [])],
        key=lambda each: each.weight[rows] @ each.pointwise[rows],
    )

    def behind(candidate, heat) -> bool:
        gap = leader.pointwise[heat] - candidate.pointwise[heat]
        total, error = elpd.sum_and_error(gap, candidate.weight[heat])
        return total > max(errors * error, SMALL_DIFFERENCE)

    return [not all(behind(each, heat) for heat in heats) for each in entered]


def _fit_fold(
    estimator, X, y, fit_params, train, test
) -> tuple[np.ndarray, np.ndarray, dict, float]:
    """Log densities of the rows left out, weights of the others, diagnostics, seconds."""
    begun = time.perf_counter()
    with fit_warnings.without_warnings():
        fitted = fit_part(clone(estimator), X, y, fit_params, train)
    density = prediction.log_prob(fitted, rows_of(X, test), rows_of(y, test))
    inside = regressor_inside(fitted)
    weight = inside.fitted_.problem.weight
    return density, weight, inside.diagnostics_, time.perf_counter() - begun


def _left_out_by(folds, fits: list, n_rows: int) -> Candidate:
    """A candidate by the log densities of its folds."""
    densities, weights, diagnostics, seconds = zip(*fits, strict=True)
    pointwise, weight = np.full(n_rows, np.nan), np.empty(n_rows)
    scored = np.zeros(n_rows, dtype=bool)
    for (train, test), density, own in zip(folds, densities, weights, strict=True):
        pointwise[test], weight[train], scored[test] = density, own, True
    bad = np.zeros(n_rows, dtype=bool)
    return Candidate(pointwise, weight, bad, list(diagnostics), sum(seconds), scored=scored)
