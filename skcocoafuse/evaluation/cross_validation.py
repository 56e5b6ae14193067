"""Candidates by cross-validation: one fit per fold, and none for those that cannot win."""

import time
from dataclasses import replace
from typing import NamedTuple

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
# Paired standard errors behind a rival, in the first folds together, of what will hardly gain.
_HARDLY_BETTER = 0.5
_MIN_TRIED = 3  # of a series, whichever is behind: these take little time


def cross_validated(
    models, X, y, fit_params, folds, run, *, race, rival=None, must_gain=False, growing=None
) -> list[Candidate]:
    """Predictions of held-out rows by each model.

    In a race, all models predict the rows of two folds, the first and the middle one: in sorted
    data, these are rows at one end and rows between others. Those that are clearly worse than the
    best in each of the two are dropped, and those that are too large: such fits interpolate, and
    few held-out rows do not always show it.

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
    must_gain : bool, default=False
        Whether a race also drops models that are behind the rival in the two folds together, by
        half a paired standard error.
    growing : list of int, optional
        Numbers of experts, in ascending order, of models that are otherwise alike: in a race, they
        are then tried one by one, until the next one is too large, or one, from the third on, is
        behind a smaller one in each of the two folds.

    Returns
    -------
    list of Candidate
        Of the models that were tried: of a growing series the smaller ones.
    """
    fits: dict[tuple[int, int], _FoldFit] = {}

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
        return [replace(candidate(k), most_experts=np.inf) for k in everyone]  # each may win
    heats = [folds[fold][1] for fold in first]
    entered: list[Candidate] = []
    while len(entered) < len(models):
        some = everyone[len(entered) : len(entered) + 1 if growing else None]
        fit(some, first)
        entered += [candidate(k) for k in some]
        if growing and not _may_grow(entered, growing, heats):
            break
    run.skip((len(models) - len(entered)) * len(folds))
    stays = np.array(_may_win(entered, rival, heats, _CLEARLY_WORSE))
    if must_gain:
        stays &= np.array(_may_gain(entered, rival, np.concatenate(heats)))
    kept = np.flatnonzero(stays)
    run.skip((len(entered) - len(kept)) * (len(folds) - len(first)))
    fit(kept, [fold for fold in range(len(folds)) if fold not in first])
    return [candidate(k) for k in range(len(entered))]


def _may_grow(entered: list[Candidate], growing: list[int], heats: list[np.ndarray]) -> bool:
    """Whether the next number of experts may be better than those that were tried."""
    following = growing[len(entered) :]
    if following and following[0] > entered[-1].most_experts:
        return False
    return len(entered) < _MIN_TRIED or _may_win(entered, None, heats, _WORSE)[-1]


def _may_win(
    entered: list[Candidate], rival: Candidate | None, heats: list[np.ndarray], errors: float
) -> list[bool]:
    """Whether each is small enough, and not behind the best such one, in every heat, by errors.

    The errors are paired and standard. The first is small enough if none is.
    """
    field = [each for each in entered if _small_enough(each, rival)]
    if rival is not None:
        field.append(rival)
    field = field or entered[:1]
    heats = [heat[entered[0].weight[heat] > 0] for heat in heats]
    if not all(map(len, heats)):
        return [each in field for each in entered]
    rows = np.concatenate(heats)
    leader = max(field, key=lambda each: each.weight[rows] @ each.pointwise[rows])

    def behind(candidate, heat) -> bool:
        gap = leader.pointwise[heat] - candidate.pointwise[heat]
        total, error = elpd.sum_and_error(gap, candidate.weight[heat])
        return total > max(errors * error, SMALL_DIFFERENCE)

    return [each in field and not all(behind(each, heat) for heat in heats) for each in entered]


def _may_gain(entered: list[Candidate], rival: Candidate, rows: np.ndarray) -> list[bool]:
    """Whether each is at least not far behind the rival, which may be by chance, in some rows."""
    rows = rows[rival.weight[rows] > 0]
    if not rows.size:
        return [True] * len(entered)
    gaps = [(rival.pointwise - each.pointwise)[rows] for each in entered]
    sums = [elpd.sum_and_error(gap, rival.weight[rows]) for gap in gaps]
    return [total <= _HARDLY_BETTER * error for total, error in sums]


def _small_enough(candidate: Candidate, rival: Candidate | None) -> bool:
    """Whether it is not too large, or no more so than what was selected before."""
    return not candidate.too_large or (rival is not None and rival.too_large)


class _FoldFit(NamedTuple):
    """What a fit to all rows but those of a fold says.

    Parameters
    ----------
    density : ndarray of shape (n_left_out,)
        Log density of the rows left out.
    weight : ndarray of shape (n_train,)
        Of the others.
    diagnostics : dict
    seconds : float
    n_experts, most_experts : int
        As in :class:`Candidate`.
    """

    density: np.ndarray
    weight: np.ndarray
    diagnostics: dict
    seconds: float
    n_experts: int
    most_experts: int


def _fit_fold(estimator, X, y, fit_params, train, test) -> _FoldFit:
    begun = time.perf_counter()
    with fit_warnings.without_warnings():
        fitted = fit_part(clone(estimator), X, y, fit_params, train)
    density = prediction.log_prob(fitted, rows_of(X, test), rows_of(y, test))
    inside = regressor_inside(fitted)
    spec, weight = inside.fitted_.problem.spec, inside.fitted_.problem.weight
    return _FoldFit(
        density,
        weight,
        inside.diagnostics_,
        time.perf_counter() - begun,
        spec.n_experts,
        spec.most_experts(weight.sum()),
    )


def _left_out_by(folds, fits: list[_FoldFit], n_rows: int) -> Candidate:
    """A candidate by the log densities of its folds."""
    pointwise, weight = np.full(n_rows, np.nan), np.empty(n_rows)
    scored = np.zeros(n_rows, dtype=bool)
    for (train, test), fit in zip(folds, fits, strict=True):
        pointwise[test], weight[train], scored[test] = fit.density, fit.weight, True
    return Candidate(
        pointwise,
        weight,
        np.zeros(n_rows, dtype=bool),
        [fit.diagnostics for fit in fits],
        sum(fit.seconds for fit in fits),
        scored=scored,
        n_experts=fits[0].n_experts,
        most_experts=min(fit.most_experts for fit in fits),
    )
