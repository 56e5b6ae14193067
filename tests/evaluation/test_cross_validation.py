"""Folds, and the race: on densities made up here, without fits."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from skcocoafuse import MoERegressor, NExpertsSelection
from skcocoafuse.evaluation.cross_validation import _FoldFit, _may_win, cross_validated
from skcocoafuse.evaluation.folds import partition
from skcocoafuse.evaluation.runs import Runs
from skcocoafuse.evaluation.selection import Candidate


def heats(*gaps):
    """A leader, candidates that are behind in two folds by some nats with errors of 1, and rows."""
    noise = np.tile([1.0, -1.0], (2, 25)) / 50**0.5
    scored = np.arange(200) < 100
    behind = [np.zeros((2, 50)), *(noise - np.reshape(gap, (2, 1)) / 50 for gap in gaps)]
    candidates = [
        Candidate(
            np.concatenate([each.ravel(), np.full(100, np.nan)]), np.ones(200), ~scored, [{}], 0.0,
            scored=scored,
        )
        for each in behind
    ]  # fmt: skip
    return candidates, [np.arange(50), np.arange(50, 100)]


def test_only_what_is_clearly_worse_in_both_folds_leaves_the_race():
    entered, rows = heats((4.1, 4.1), (3.9, 40.0), (40.0, 3.9), (0.0, 0.0))
    assert _may_win(entered, None, rows, 3.0) == [True, False, True, True, True]
    assert _may_win(entered[1:], entered[0], rows, 3.0) == [False, True, True, True]  # a rival


@pytest.mark.parametrize(("gap", "kept"), [(2.9, True), (3.1, False)])
def test_the_race_knows_standard_errors(gap, kept):
    entered, rows = heats((gap, gap))
    tenfold = [replace(each, pointwise=10.0 * each.pointwise) for each in entered]
    assert _may_win(tenfold, None, rows, 3.0) == [True, kept]
    assert _may_win(tenfold, None, rows, gap - 0.01) == [True, False]


def test_rows_without_weight_do_not_decide_a_race():
    (leader, behind), rows = heats((9.0, 9.0))
    weight = np.ones(200)
    weight[:50] = 0.0
    found = [replace(each, weight=weight) for each in (leader, behind)]
    assert _may_win(found, None, rows, 3.0) == [True, True]


def test_what_is_too_large_leaves_the_race_and_does_not_lead_it():
    entered, rows = heats((9.0, 9.0), (12.0, 12.0))
    first, *others = entered
    large = replace(first, n_experts=2, most_experts=1)
    assert large.too_large
    assert _may_win(entered, None, rows, 3.0) == [True, False, False]
    assert _may_win([large, *others], None, rows, 3.0) == [False, True, True]
    every = [replace(each, n_experts=2, most_experts=1) for each in entered]
    assert _may_win(every[::-1], None, rows, 3.0) == [True, False, False]  # the smallest is left
    assert _may_win([large, others[1]], others[0], rows, 3.0) == [False, True]  # a rival
    assert _may_win([large, others[0]], every[0], rows, 3.0) == [True, False]  # itself too large


class KnownDensity(NamedTuple):
    """Predicts rows with the mean log density of its number of experts."""

    n_experts: int
    gain: tuple[float, ...]
    most_experts: float


@pytest.fixture
def series(monkeypatch):
    """Which models of a growing series run in a race, by their gain in nats a row."""

    def fit_fold(model, X, y, fit_params, train, test):
        fits.append((model.n_experts, test[0] // 40))
        noise = 0.1 * np.random.default_rng(model.n_experts).normal(size=len(test))
        density, weight = model.gain[model.n_experts] + noise, np.ones(len(train))
        return _FoldFit(density, weight, {}, 1.0, model.n_experts, model.most_experts)

    def run(*gain, most=np.inf, growing=True, race=True, **options):
        fits.clear()
        models = [KnownDensity(m, gain, most) for m in range(len(gain))]
        options |= {"race": race, "growing": list(range(len(gain))) if growing else None}
        rows = np.zeros((200, 1)), np.zeros(200)
        folds = partition(5, *rows)
        counted = Runs(MoERegressor(), 1, lambda: steps.append(0))
        steps.clear()
        found = cross_validated(models, *rows, {}, folds, counted, **options)
        assert len(steps) == 5 * len(gain)  # what was not run is counted as done
        return found, fits

    fits, steps = [], []
    monkeypatch.setattr("skcocoafuse.evaluation.cross_validation._fit_fold", fit_fold)
    return run


def test_larger_models_are_not_tried_once_one_is_behind(series):
    found, fits = series(0.0, 1.0, 0.8, 0.5, 2.0)
    assert len(found) == 3  # the third one is behind the second: the last two never ran
    assert fits[:6] == [(0, 0), (0, 2), (1, 0), (1, 2), (2, 0), (2, 2)]
    assert {m for m, _ in fits} == {0, 1, 2}
    assert len(series(0.0, 1.0, 1.0, 0.8, 2.0, 3.0)[0]) == 4  # one by one
    assert len(series(1.0, 0.0, 1.1, 1.1, 1.2)[0]) == 5  # the second is too small
    assert len(series(0.0, 1.0, 0.95, 0.5)[0]) == 4  # 2 nats a fold: nearly equal
    found, fits = series(0.0, 1.0, 0.8, 0.5, 2.0, growing=False)
    assert len(found) == 5
    assert fits[:4] == [(4, 0), (4, 2), (3, 0), (3, 2)]  # the last first


def test_models_that_are_too_large_are_not_tried(series):
    found, fits = series(0.0, 1.0, 2.0, 3.0, most=1)
    assert [each.dropped for each in found] == [True, False]  # the first is clearly worse
    assert {m for m, _ in fits} == {0, 1}
    found, _ = series(0.0, 1.0, 2.0, most=-1)
    assert [each.dropped for each in found] == [False]  # something has to be selected
    found, _ = series(0.95, 1.0, 0.95, 2.0, most=2, growing=False)
    assert [each.dropped for each in found] == [False, False, False, True]  # best, but too large
    found, _ = series(0.0, 1.0, 2.0, 3.0, most=1, race=False)
    assert [each.dropped or each.too_large for each in found] == [False] * 4  # as was asked for


def test_what_has_to_gain_leaves_the_race_if_it_is_behind(series):
    """By 1.2 nats a fold, with errors of 0.6: not clearly."""
    rival = Candidate(np.ones(200), np.ones(200), np.zeros(200, dtype=bool), [{}], 0.0)
    beside = {"growing": False, "rival": rival}
    found, _ = series(0.97, 1.03, **beside)
    assert [each.dropped for each in found] == [False, False]
    found, fits = series(0.97, 1.03, must_gain=True, **beside)
    assert [each.dropped for each in found] == [True, False]
    assert fits == [(1, 0), (1, 2), (0, 0), (0, 2), (1, 1), (1, 3), (1, 4)]
    found, _ = series(0.97, 1.03, must_gain=True, race=False, **beside)
    assert [each.dropped for each in found] == [False, False]
    weight = np.where(np.arange(200) < 120, 0.0, 1.0)  # no row that counts was predicted
    found, _ = series(
        0.97, 1.03, must_gain=True, growing=False, rival=replace(rival, weight=weight)
    )
    assert [each.dropped for each in found] == [False, False]


def test_what_was_dropped_is_not_selected():
    """Its extrapolated elpd can be the highest if the rows it predicted are easy."""
    entered, _ = heats((9.0, 9.0))
    whole = np.concatenate([np.zeros(100), np.full(100, -1.0)])
    winner = Candidate(whole, np.ones(200), np.zeros(200, dtype=bool), [{}], 0.0)
    candidates = {1: entered[1], 2: winner}
    for rule in ("best", "one_se", "chebyshev"):
        found = NExpertsSelection(candidates, "cv", rule, 0.95)
        assert candidates[1].elpd.elpd > candidates[2].elpd.elpd
        assert found.best == found.n_experts == 2
    assert found.candidates[2].elpd_difference(entered[1]).elpd == pytest.approx(36.0)
