"""The number of experts: figures of every candidate, rules, and the selector as an estimator."""

import os
import pickle
import sys
import threading
import warnings
from dataclasses import replace

import joblib
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import (
    ConvergenceWarning,
    NotFittedError,
    UnsetMetadataPassedError,
)
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from skcocoafuse import (
    CoCoAFusERegressor,
    MoERegressor,
    NExpertsSelection,
    NExpertsSelector,
    Prior,
    loo,
    predict_dist,
    select_n_experts,
)
from skcocoafuse._validation import cores_for
from skcocoafuse.datasets import make_switch
from skcocoafuse.evaluation.cross_validation import cross_validated
from skcocoafuse.evaluation.folds import partition
from skcocoafuse.evaluation.n_experts import _warn
from skcocoafuse.evaluation.runs import Runs
from skcocoafuse.evaluation.selection import SMALL_DIFFERENCE
from skcocoafuse.exceptions import SelectionAtEdgeWarning, UncertainSelectionWarning
from skcocoafuse.inference import ENGINES
from skcocoafuse.metrics import SCORERS
from tests.conftest import blas_threads, fit_quietly

FAST = MoERegressor(inference="vi", draws=100, random_state=0)
SAMPLED = MoERegressor(draws=150, tune=150, chains=2, random_state=0)


class Unchanged(TransformerMixin, BaseEstimator):
    """A transformer that learns nothing, not even how many features there are."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X

    def __sklearn_is_fitted__(self):
        return True


def quietly(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return select_n_experts(*arguments, **options)


@pytest.fixture(scope="module")
def data():
    return make_switch(120, random_state=0)


@pytest.fixture(scope="module")
def sampled(once, data):
    name = "numbers of experts, sampled"
    return once({name: lambda: quietly(SAMPLED, *data, n_experts=[1, 2, 3], criterion="loo")})[name]


@pytest.fixture(scope="module")
def folded(once, data):
    name = "numbers of experts, folded"
    return once({name: lambda: quietly(FAST, *data, n_experts=[2, 1], cv=3)})[name]


def test_leave_one_out_figures_are_those_of_single_fits(sampled, data):
    assert sampled.criterion == "loo"
    table = sampled.table
    assert list(table.index) == [1, 2, 3]
    for m in table.index:
        model = fit_quietly(clone(SAMPLED).set_params(n_experts=m), *data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = loo(model)
        assert table.loc[m, "elpd"] == pytest.approx(result.elpd, rel=1e-12)
        assert table.loc[m, "se"] == pytest.approx(result.se, rel=1e-12)
        assert table.loc[m, "p"] == pytest.approx(result.p_loo, rel=1e-9)
        assert table.loc[m, "n_bad_k"] == len(result.bad_rows)
        assert table.loc[m, "rhat"] == model.diagnostics_["rhat"]


def test_figures_of_folds_are_those_of_single_fits(folded, data):
    X, y = data
    assert folded.criterion == "cv"
    expected = np.empty(len(y))
    for train, test in KFold(3).split(X):
        model = fit_quietly(clone(FAST).set_params(n_experts=2), X[train], y[train])
        expected[test] = model.log_prob(X[test], y[test])
    np.testing.assert_allclose(folded.candidates[2].pointwise, expected, rtol=1e-12)
    scores = cross_validate(FAST, X, y, cv=3, scoring=SCORERS["lppd"])["test_score"]
    assert folded.table.loc[2, "elpd"] == pytest.approx(scores.mean() * len(y), rel=1e-12)
    assert not {"p", "n_bad_k"} & set(folded.table)  # of a fit to all rows


def test_folds_fit_all_rows_only_for_the_selected_number(data, monkeypatch):
    """As a search does; diagnostics are the worst of the folds."""
    sizes, fit = [], MoERegressor.fit

    def counted(self, X, y, **params):
        sizes.append((self.n_experts, len(y)))
        return fit(self, X, y, **params)

    monkeypatch.setattr(MoERegressor, "fit", counted)
    X, y = data
    found = quietly(FAST, X, y, n_experts=[1, 2], cv=3, n_jobs=1, race=False)
    assert sizes == [(2, 80)] * 3 + [(1, 80)] * 3 + [(2, 120)]
    folds = [fit_quietly(clone(FAST), X[train], y[train]) for train, _ in KFold(3).split(X)]
    assert found.table.loc[2, "rhat"] == max(each.diagnostics_["rhat"] for each in folds)
    whole = fit_quietly(clone(FAST), X, y)
    np.testing.assert_array_equal(found.estimator.predict(X), whole.predict(X))


def test_two_lines_need_two_experts(sampled, folded, data):
    for selection in (sampled, folded):
        assert selection.n_experts == 2
        assert selection.estimator.n_experts == 2
        assert list(selection.table["chosen"]).index(True) == 1
    alone = fit_quietly(clone(SAMPLED), *data)
    np.testing.assert_array_equal(sampled.estimator.predict(data[0]), alone.predict(data[0]))


def test_differences_are_paired(sampled):
    table, best = sampled.table, sampled.best
    for m, candidate in sampled.candidates.items():
        gap = sampled.candidates[best].pointwise - candidate.pointwise
        assert table.loc[m, "elpd_diff"] == pytest.approx(gap.sum())
        assert table.loc[m, "diff_se"] == pytest.approx(np.sqrt(len(gap)) * gap.std())
    assert table.loc[best, "elpd_diff"] == table.loc[best, "diff_se"] == 0.0


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_parallel_candidates_are_the_same(backend, folded, data):
    with joblib.parallel_backend(backend):
        other = quietly(FAST, *data, n_experts=[1, 2], cv=3, n_jobs=2)
    figures = ["elpd", "se", "rhat"]
    pd.testing.assert_frame_equal(other.table[figures], folded.table[figures], rtol=1e-6)


def made(pointwise, rule, sampled, **changes):
    """A selection of made-up figures."""
    whole = sampled.candidates[2]
    changes = {"bad": np.zeros(len(whole.weight), dtype=bool)} | changes
    candidates = {
        m: replace(whole, pointwise=np.asarray(values, float), **changes)
        for m, values in pointwise.items()
    }
    return NExpertsSelection(candidates, "loo", rule, 0.95)


def test_rules(sampled):
    n = len(sampled.candidates[2].weight)
    noise = np.random.default_rng(0).normal(size=n)
    noise -= noise.mean()
    base = -1.0 + 0.1 * noise
    # 2 and 3 differ by less than the error of their difference, 1 is far behind; 4 is the best
    # by its sum, though some of its rows are foreseen badly
    figures = {1: base - 1.0, 2: base, 3: base + 0.01 * np.flip(noise) + 5e-4}
    assert made(figures, "best", sampled).n_experts == 3
    assert made(figures, "one_se", sampled).n_experts == 2
    figures = {2: base, 4: base + 0.02 + 3.0 * np.flip(noise)}
    assert made(figures, "best", sampled).n_experts == 4
    assert made(figures, "chebyshev", sampled).n_experts == 2
    same = dict.fromkeys((2, 3), base)
    assert {made(same, rule, sampled).n_experts for rule in ("best", "one_se", "chebyshev")} == {2}


def test_one_standard_error_is_of_the_difference(sampled):
    """A model worse by the same amount in every row is worse for sure, however rows scatter."""
    noise = np.random.default_rng(1).normal(size=len(sampled.candidates[2].weight))
    worse = 1.01 * SMALL_DIFFERENCE / len(noise)
    assert made({1: noise - worse, 2: noise}, "one_se", sampled).n_experts == 2


def test_a_small_difference_is_none_however_sure(sampled):
    noise = np.random.default_rng(1).normal(size=len(sampled.candidates[2].weight))
    worse = 0.99 * SMALL_DIFFERENCE / len(noise)
    figures = {1: noise - worse, 2: noise}
    assert made(figures, "one_se", sampled).n_experts == 1
    assert made(figures, "best", sampled).n_experts == 2


def changed(selection, m, **changes):
    """The selection with one candidate changed."""
    candidate = replace(selection.candidates[m], **changes)
    return replace(selection, candidates=selection.candidates | {m: candidate})


def quiet(selection):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", UncertainSelectionWarning)
        _warn(selection)


def test_fits_that_cannot_be_trusted_are_named(sampled):
    base = np.full(len(sampled.candidates[2].weight), -1.0)
    fine = made({1: base - 1.0, 2: base}, "best", sampled)
    quiet(fine)
    bad = np.arange(len(base)) < 9
    shaky = changed(fine, 2, bad=bad)
    with pytest.warns(
        UncertainSelectionWarning, match="n_experts=2 has a high .* in 9 of 120 rows"
    ):
        _warn(shaky)
    assert "unreliable estimates: n_experts=[2]" in repr(shaky)
    few = changed(fine, 2, bad=np.arange(len(base)) < 2)
    assert few.untrusted == []
    quiet(few)  # the choice is the same without the two rows
    lucky = np.where(np.arange(len(base)) < 2, 100.0, -1.1)
    hangs = changed(fine, 1, pointwise=lucky, bad=lucky > 0)
    assert hangs.n_experts == 1
    assert hangs.n_experts_without_bad_rows == 2
    with pytest.warns(UncertainSelectionWarning, match="without rows of high .* would be 2"):
        _warn(hangs)
    diverged = [fine.candidates[1].diagnostics[0] | {"n_divergences": 3}]
    harmless = changed(fine, 1, diagnostics=diverged)
    assert harmless.untrusted == [1]
    quiet(harmless)  # neither chosen nor the best
    with pytest.warns(UncertainSelectionWarning, match="n_experts=2 did not converge"):
        _warn(changed(fine, 2, diagnostics=diverged))


def test_a_choice_at_the_edge_is_said(sampled):
    """More may be better where the most that was tried is best, and fewer likewise."""
    base = np.full(len(sampled.candidates[2].weight), -1.0)
    rising = made({1: base - 1.0, 2: base}, "best", sampled)
    assert rising.edge == "largest"
    assert "the largest number tried was selected" in repr(rising)
    with pytest.warns(SelectionAtEdgeWarning, match=r"^2 experts .* largest .* more .*range\(1, 6"):
        _warn(rising)
    falling = made({3: base, 4: base - 1.0}, "one_se", sampled)
    assert falling.edge == "smallest"
    with pytest.warns(
        SelectionAtEdgeWarning, match=r"3 experts .* smallest .* fewer .*range\(1, 7"
    ):
        _warn(falling)
    inside = ({1: base - 1.0, 2: base, 3: base}, {1: base, 2: base}, {2: base})
    for figures in inside:  # not even where a single one was tried
        selection = made(figures, "one_se", sampled)
        assert selection.edge is None
        assert "was tried" not in repr(selection)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", SelectionAtEdgeWarning)
            _warn(selection)


def test_a_selector_says_that_its_choice_is_at_the_edge(data):
    model = clone(FAST).set_params(inference="map")
    with pytest.warns(SelectionAtEdgeWarning, match="largest number tried"):
        NExpertsSelector(model, n_experts=[1, 2], cv=2).fit(*data)


def test_engines_registry_says_how_rows_are_left_out(data, monkeypatch):
    """No second list of engines whose draws are those of the posterior."""
    model = clone(FAST).set_params(draws=500)
    assert quietly(model, *data, n_experts=[1], cv=2).criterion == "cv"
    row = replace(ENGINES["vi"], samples_posterior=True)
    monkeypatch.setitem(ENGINES, "vi", row)
    assert quietly(model, *data, n_experts=[1], cv=2).criterion == "loo"
    with pytest.raises(ValueError, match=r"'inference' parameter of MoERegressor.*'bogus'"):
        select_n_experts(clone(FAST).set_params(inference="bogus"), *data, n_experts=[1])


def test_chains_that_disagree_are_told_of_the_choice(data):
    model = clone(FAST).set_params(draws=25, chains=1)
    with pytest.warns(
        match="Draws of the approximation are too few"
    ):  # 25 draws are too few by any measure
        select_n_experts(model, *data, n_experts=[1], cv=2)


def test_inside_a_pipeline_and_behind_a_transformed_target(data):
    X, y = data
    plain = quietly(SAMPLED, X, y, n_experts=[1, 2], criterion="loo")
    pipe = make_pipeline(StandardScaler(), SAMPLED)
    target = TransformedTargetRegressor(SAMPLED, transformer=StandardScaler())
    for wrapped in (pipe, target):
        found = quietly(wrapped, X, y, n_experts=[1, 2], criterion="loo")
        assert found.n_experts == 2
        # the model standardises by itself: the same but for rounding, and so the same chains
        np.testing.assert_allclose(found.table["elpd"], plain.table["elpd"], atol=3.0)
    assert wrapped.regressor.n_experts == 2  # as it was: clones are fitted


def test_weights_are_counts_and_cut_with_folds(data):
    X, y = data
    weight = np.ones(len(y))
    weight[::3] = 0.0
    kept = weight > 0
    found = quietly(FAST, X, y, n_experts=[2], cv=3, sample_weight=weight)
    pipe = make_pipeline(StandardScaler(), FAST)
    piped = quietly(pipe, X, y, n_experts=[2], cv=3, moeregressor__sample_weight=weight)
    assert found.candidates[2].elpd.elpd == pytest.approx(found.candidates[2].pointwise[kept].sum())
    assert piped.table["elpd"].iloc[0] == pytest.approx(found.table["elpd"].iloc[0], abs=3.0)


def test_groups_stay_together(data):
    """By hand, by the argument, and by the selector: the same folds."""
    X, y = data
    groups = np.arange(len(y)) % 4
    by_hand = list(GroupKFold(2).split(X, y, groups))
    expected = quietly(FAST, X, y, n_experts=[2], cv=by_hand).table["elpd"]
    found = quietly(FAST, X, y, n_experts=[2], cv=GroupKFold(2), groups=groups).table["elpd"]
    np.testing.assert_array_equal(found, expected)
    selector = NExpertsSelector(FAST, n_experts=[2], cv=GroupKFold(2))
    fit_quietly(selector, X, y, groups=groups)
    np.testing.assert_array_equal(selector.selection_.table["elpd"], expected)


def test_a_part_of_the_rows_suffices_to_choose(data):
    """As a selection from these rows alone, weights and groups included; all rows are fitted."""
    X, y = data
    weight, groups = 1.0 + np.arange(120) % 2, np.arange(120) % 5
    options = {"n_experts": [1, 2], "cv": GroupKFold(3)}
    whole = {"groups": groups, "sample_weight": weight}
    found = quietly(FAST, X, y, max_rows=90, **options, **whole)
    part = np.sort(np.random.RandomState(0).permutation(120)[:90])  # the estimator's seed
    of_part = {name: values[part] for name, values in whole.items()}
    alone = quietly(FAST, X[part], y[part], **options, **of_part)
    for m in (1, 2):
        np.testing.assert_array_equal(found.candidates[m].pointwise, alone.candidates[m].pointwise)
    fitted = fit_quietly(clone(FAST), X, y, sample_weight=weight)
    np.testing.assert_array_equal(found.estimator.predict(X), fitted.predict(X))
    selector = NExpertsSelector(FAST, max_rows=90, **options)
    fit_quietly(selector, X, y, **whole)
    pd.testing.assert_frame_equal(
        selector.selection_.table.drop(columns="seconds"), found.table.drop(columns="seconds")
    )


def test_no_more_rows_than_there_are(data):
    options = {"n_experts": [1, 2], "cv": 3}
    found, expected = (quietly(FAST, *data, max_rows=n, **options) for n in (120, None))
    np.testing.assert_array_equal(found.candidates[2].pointwise, expected.candidates[2].pointwise)


def test_one_at_a_time_from_a_part_of_the_rows(data):
    found = quietly(SAMPLED, *data, n_experts=[1], criterion="loo", max_rows=60)
    assert len(found.candidates[1].pointwise) == 60
    assert len(found.estimator.fitted_.problem.weight) == 120


@pytest.mark.parametrize("max_rows", [0, 1.5, True, "all"])
def test_wrong_numbers_of_rows_are_refused(max_rows, data):
    with pytest.raises(ValueError, match="max_rows must be a positive integer or None"):
        select_n_experts(FAST, *data, n_experts=[1], max_rows=max_rows)


def test_folds_of_all_rows_are_none_of_a_part(data):
    splits = list(KFold(3).split(data[0]))
    with pytest.raises(ValueError, match="cv must be able to split any rows"):
        select_n_experts(FAST, *data, n_experts=[1], max_rows=60, cv=splits)


@pytest.fixture(scope="module")
def raced(once, data):
    def with_and_without():
        return [
            quietly(FAST, *data, n_experts=[1, 2, 3], cv=4, race=race) for race in (True, False)
        ]

    return once({"numbers of experts, raced": with_and_without})["numbers of experts, raced"]


def test_a_race_drops_what_cannot_win_and_changes_nothing_else(raced):
    some, every = raced
    assert some.dropped == [1]
    assert every.dropped == []
    assert some.n_experts == every.n_experts == 2
    for m in (2, 3):
        np.testing.assert_array_equal(some.candidates[m].pointwise, every.candidates[m].pointwise)
    one, whole = some.candidates[1], every.candidates[1]
    scored = np.isin(np.arange(120) // 30, [0, 2])  # rows of the first and the middle fold
    np.testing.assert_array_equal(one.scored, scored)
    np.testing.assert_array_equal(one.pointwise[scored], whole.pointwise[scored])
    assert np.isnan(one.pointwise[~scored]).all()
    assert one.elpd.elpd == pytest.approx(2.0 * whole.pointwise[scored].sum())
    gap = (some.candidates[2].pointwise - whole.pointwise)[scored]
    assert some.table.loc[1, "elpd_diff"] == pytest.approx(2.0 * gap.sum())
    assert some.table.loc[1, "diff_se"] == pytest.approx(2.0 * np.sqrt(60) * gap.std())
    assert some.table["dropped"].tolist() == [True, False, False]
    assert "dropped after two folds: n_experts=[1]" in repr(some)
    assert "dropped after" not in repr(every)


def test_a_race_saves_fits_and_counts_them_as_done(data, monkeypatch):
    sizes, fit = [], MoERegressor.fit

    def counted(self, X, y, **params):
        sizes.append(self.n_experts)
        return fit(self, X, y, **params)

    monkeypatch.setattr(MoERegressor, "fit", counted)
    steps = []
    run = Runs(FAST, 1, lambda: steps.append(0))
    models = [clone(FAST).set_params(n_experts=m) for m in (1, 2)]
    cross_validated(models, *data, {}, partition(5, *data), run, race=True)
    assert sizes == [2, 2, 1, 1, 2, 2, 2]
    assert len(steps) == 10


def test_bounds_of_all_candidates_need_all_folds(data):
    """By the rule "chebyshev" a worse elpd can win."""
    found = quietly(FAST, *data, n_experts=[1, 2], cv=3, rule="chebyshev")
    assert found.dropped == []


def test_no_more_parameters_than_rows_are_tried():
    """MoERegressor with 6 columns: 8 parameters with one expert, 23 with two, 38 with three."""
    X, y = np.random.default_rng(0).normal(size=(30, 6)), np.arange(30.0) % 7
    for weight, tried in ((1.0, [1]), (2.0, [1, 2, 3]), (1.9, [1, 2])):  # 20 rows to fit to
        found = quietly(
            FAST, X, y, n_experts=[1, 2, 3], cv=3, sample_weight=np.full(30, weight), rule="best"
        )
        assert [*found.candidates] == tried
        assert found.not_tried == tuple({1, 2, 3} - set(tried))
    assert [*quietly(FAST, X, y, n_experts=[2, 3], cv=3).candidates] == [2]
    assert [*quietly(FAST, X, y, n_experts=[1, 2], cv=3, race=False).candidates] == [1, 2]


def test_an_alternative_can_leave_the_race(data):
    found = quietly(FAST, *data, n_experts=[2], cv=3, alternatives={"expert_features": [[]]})
    (constants,) = found.alternatives
    assert constants.candidate.dropped
    assert not constants.selected
    assert found.params == {"n_experts": 2}


@pytest.fixture(scope="module")
def fan(once):
    """A line with noise that grows, and alternatives: noise from the input, then Student's t."""
    r = np.random.default_rng(0)
    x = r.uniform(size=(200, 1))
    y = x[:, 0] + 0.05 * 20.0 ** x[:, 0] * r.normal(size=200)
    alternatives = {"noise_features": [["a"]], "noise": ["student_t"]}
    frame = pd.DataFrame(x, columns=["a"])

    def select():
        return quietly(FAST, frame, y, n_experts=[1], cv=3, alternatives=alternatives)

    return frame, y, once({"alternatives of a fan": select})["alternatives of a fan"]


def test_alternatives_are_compared_on_the_same_folds(fan):
    """As separate selections, and one after another."""
    X, y, found = fan
    noise, tails = found.alternatives
    assert (noise.selected, tails.selected) == (True, False)  # noise is Normal
    assert found.params == {"n_experts": 1, "noise_features": ["a"]}
    assert found.estimator.noise_features == ["a"]
    assert found.estimator.noise == "normal"
    both = clone(FAST).set_params(noise_features=["a"], noise="student_t")
    alone = quietly(both, X, y, n_experts=[1], cv=3).candidates[1]
    np.testing.assert_allclose(tails.candidate.pointwise, alone.pointwise)
    gap = alone.pointwise - noise.candidate.pointwise
    assert tails.gain.elpd == pytest.approx(gap.sum())
    assert tails.gain.se == pytest.approx(np.sqrt(len(y)) * gap.std())
    assert found.table_of_alternatives["selected"].tolist() == [True, False]
    assert "noise_features=['a']" in repr(found)


def test_an_alternative_needs_to_be_clearly_better(fan):
    """By the rule; "best" takes any gain."""
    _, _, found = fan
    noise, _ = found.alternatives
    old, new = found.candidates[1], noise.candidate
    assert found.prefers(new, old)
    assert not found.prefers(old, new)
    slightly = replace(old, pointwise=old.pointwise + 1.0 / len(old.pointwise))
    assert not found.prefers(slightly, old)
    assert replace(found, rule="best").prefers(slightly, old)


@pytest.mark.parametrize("criterion", ["loo", "cv"])
def test_a_selector_predicts_by_the_alternative(fan, criterion):
    X, y, _ = fan
    model = MoERegressor(draws=150, tune=150, chains=2, random_state=0)
    pipe = make_pipeline(StandardScaler().set_output(transform="pandas"), model)
    alternatives = {"moeregressor__noise_features": [["a"]]}
    selector = NExpertsSelector(pipe, n_experts=[1], criterion=criterion, alternatives=alternatives)
    fit_quietly(selector, X, y)
    expected = {"moeregressor__n_experts": 1, "moeregressor__noise_features": ["a"]}
    assert selector.best_params_ == expected
    assert selector.best_estimator_[-1].noise_coef_.shape == (1, 1)
    assert predict_dist(selector, X).mean().shape == (200,)


def test_progress_is_shown(data, capsys):
    model = clone(FAST).set_params(inference="map")
    quietly(model, *data, n_experts=[1, 2], cv=2, progress_bar=True)
    shown = capsys.readouterr().err
    assert "fits" in shown
    assert "4/4" in shown
    quietly(model, *data, n_experts=[1], cv=2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"n_experts": 3}, ValueError, "distinct positive integers.*got 3"),
        ({"n_experts": []}, ValueError, "at least one"),
        ({"n_experts": [2, 2]}, ValueError, "distinct"),
        ({"n_experts": [0, 1]}, ValueError, "positive"),
        ({"n_experts": [1.5]}, ValueError, "integers"),
        ({"criterion": "waic"}, ValueError, "criterion must be one of.*waic"),
        ({"rule": "worst"}, ValueError, "rule must be one of.*worst"),
        ({"confidence": 1.0}, ValueError, "confidence"),
        ({"cv": ShuffleSplit(2, random_state=0)}, ValueError, "cv must leave each row out once"),
        ({"criterion": "loo", "estimator": MoERegressor(inference="map")}, ValueError, "loo"),
        ({"alternatives": [None]}, TypeError, "must be a dictionary.*got .None"),
        ({"alternatives": {"noise": "student_t"}}, TypeError, "must be a list.*'student_t'"),
        ({"alternatives": {"noise": []}}, TypeError, "at least one"),
        ({"alternatives": {"n_experts": [2]}}, ValueError, "beside n_experts"),
        ({"alternatives": {"noises": [None]}}, ValueError, "'noises', which is no parameter"),
        ({"estimator": LinearRegression()}, TypeError, "LinearRegression has none"),
    ],
)
def test_what_is_wrong_is_said(changes, error, match, data):
    arguments = {"estimator": clone(FAST), "n_experts": [1]} | changes
    with pytest.raises(error, match=match):
        select_n_experts(arguments.pop("estimator"), *data, **arguments)


def test_plot(sampled):
    mpl.use("Agg")
    ax = sampled.plot().ax_
    assert list(ax.get_xticks()) == [1, 2, 3]
    line = next(line for line in ax.lines if line.get_label() == "chosen")
    np.testing.assert_array_equal(line.get_xdata(), [2])
    assert sampled.plot(ax=ax).ax_ is ax


@pytest.fixture(scope="module")
def selector(data):
    return fit_quietly(NExpertsSelector(FAST, n_experts=[1, 2], cv=3), *data)


class TestSelector:
    """The meta-estimator."""

    @parametrize_with_checks(
        [
            NExpertsSelector(
                MoERegressor(
                    inference="map", priors={"sigma": Prior("lognormal", scale=0.25, loc=-0.5)}
                ),
                n_experts=[1, 2],
                cv=KFold(2, shuffle=True, random_state=0),
                rule="best",
            )
        ]
    )
    @pytest.mark.filterwarnings("ignore::skcocoafuse.exceptions.CollapsedExpertWarning")
    def test_scikit_learn_check(self, estimator, check):
        check(estimator)

    def test_predicts_by_the_choice(self, selector, folded, data):
        X, y = data
        assert selector.n_experts_ == 2
        np.testing.assert_array_equal(selector.predict(X), folded.estimator.predict(X))
        assert selector.score(X, y) == folded.estimator.score(X, y)
        mean = predict_dist(selector, X).mean()
        np.testing.assert_allclose(mean, folded.estimator.predict(X))
        assert selector.n_features_in_ == 1

    def test_at_the_end_of_a_pipeline_and_in_a_search(self, data):
        X, y = data
        X = pd.DataFrame(X, columns=["speed"])
        pipe = make_pipeline(StandardScaler(), NExpertsSelector(FAST, n_experts=[1, 2], cv=2))
        search = GridSearchCV(pipe, {"nexpertsselector__rule": ["best"]}, cv=2)
        fit_quietly(search, X, y)
        assert search.best_estimator_[-1].n_experts_ == 2
        assert predict_dist(search, X).mean().shape == (len(y),)

    def test_names_of_features(self, data):
        X = pd.DataFrame(data[0], columns=["speed"])
        selector = fit_quietly(NExpertsSelector(FAST, n_experts=[1], cv=2), X, data[1])
        assert list(selector.feature_names_in_) == ["speed"]
        fit_quietly(selector, *data)  # of an array, which has none
        assert not hasattr(selector, "feature_names_in_")

    def test_survives_a_pickle(self, selector, data):
        again = pickle.loads(pickle.dumps(selector))
        np.testing.assert_array_equal(again.predict(data[0]), selector.predict(data[0]))

    def test_before_fit(self, data):
        selector = NExpertsSelector(FAST)
        with pytest.raises(NotFittedError):
            selector.predict(data[0])
        with pytest.raises(NotFittedError):
            predict_dist(selector, data[0])

    def test_standard_deviations_are_passed_on(self, selector, data):
        X = data[0]
        mean, std = selector.predict(X, return_std=True)
        expected = selector.best_estimator_.predict(X, return_std=True)
        np.testing.assert_array_equal([mean, std], expected)
        pipe = make_pipeline(StandardScaler(), NExpertsSelector(FAST, n_experts=[1], cv=2))
        mean, std = fit_quietly(pipe, *data).predict(X, return_std=True)
        assert (std > 0).all()

    def test_weights_reach_fit_and_score(self, data):
        """Without metadata routing, in a search of its own."""
        X, y = data
        weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
        model = clone(FAST).set_params(inference="map")
        selector = NExpertsSelector(model, n_experts=[2], cv=2)
        search = GridSearchCV(selector, {"rule": ["best"]}, cv=KFold(2))
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # "does not support sample_weight"
            search.fit(X, y, sample_weight=weight)
        for fold, (train, test) in enumerate(KFold(2).split(X)):
            own = clone(model).fit(X[train], y[train], sample_weight=weight[train])
            expected = own.score(X[test], y[test], weight[test])
            assert search.cv_results_[f"split{fold}_test_score"][0] == pytest.approx(expected)

    def test_metadata_are_routed(self, data):
        """Weights, groups and return_std go where they are requested, under any name."""
        X, y = data
        rng = np.random.default_rng(0)
        weight, groups = rng.integers(0, 3, len(y)).astype(float), np.arange(len(y)) % 4
        model = clone(FAST).set_params(inference="map")
        folds = list(GroupKFold(2).split(X, y, groups))
        direct = NExpertsSelector(model, n_experts=[1, 2], cv=folds)
        fit_quietly(direct, X, y, sample_weight=weight)
        with sklearn.config_context(enable_metadata_routing=True):
            model = (
                clone(model)
                .set_fit_request(sample_weight="counts")
                .set_score_request(sample_weight=True)
                .set_predict_request(return_std=True)
            )
            scaler = StandardScaler().set_fit_request(sample_weight=False)
            selector = NExpertsSelector(model, n_experts=[1, 2], cv=GroupKFold(2))
            fit_quietly(selector, X, y, counts=weight, groups=groups)
            pipe = make_pipeline(scaler, clone(selector))
            fit_quietly(pipe, X, y, counts=weight, groups=groups)
            for fitted in (selector, pipe):
                mean, std = fitted.predict(X, return_std=True)
                assert (std > 0).all()
                score = fitted.score(X, y, sample_weight=weight)
                np.testing.assert_allclose(mean, direct.predict(X), atol=1e-4)
                expected = direct.best_estimator_.score(X, y, weight)
                assert score == pytest.approx(expected, abs=1e-6)
            np.testing.assert_array_equal(
                selector.selection_.table["elpd"], direct.selection_.table["elpd"]
            )
            inner = NExpertsSelector(model, n_experts=[2], cv=2)
            if sklearn.__version__.startswith("1.7."):  # it asks the selector, not the estimator
                inner.set_score_request(sample_weight=True)
            both = {"counts": weight, "sample_weight": weight}
            scores = cross_validate(inner, X, y, cv=KFold(2), params=both)["test_score"]
            for call in (
                lambda: selector.fit(X, y, speed=weight),
                lambda: selector.predict(X, speed=weight),
                lambda: selector.score(X, y, speed=weight),
            ):
                with pytest.raises(TypeError, match=r"(?s)NExpertsSelector.*speed.*not routed"):
                    call()
            with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
                NExpertsSelector(FAST).fit(X, y, sample_weight=weight)
        for score, (train, test) in zip(scores, KFold(2).split(X), strict=True):
            own = clone(FAST).set_params(inference="map")
            own.fit(X[train], y[train], sample_weight=weight[train])
            assert score == pytest.approx(own.score(X[test], y[test], weight[test]))

    def test_steps_need_not_count_features(self, data):
        pipe = make_pipeline(Unchanged(), clone(FAST).set_params(inference="map"))
        selector = fit_quietly(NExpertsSelector(pipe, n_experts=[1], cv=2), *data)
        assert not hasattr(selector, "n_features_in_")
        assert selector.predict(data[0]).shape == (120,)

    def test_of_a_blend(self, data):
        """Any of the three regressors."""
        model = CoCoAFusERegressor(inference="map", random_state=0)
        selector = fit_quietly(NExpertsSelector(model, n_experts=[1, 2], cv=3), *data)
        assert isinstance(selector.best_estimator_, CoCoAFusERegressor)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_blas_has_one_thread_beside_other_candidates(n_jobs):
    """And as many as before where there is one at a time, and afterwards."""
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        found = Runs(FAST, n_jobs, lambda: None)(blas_threads, [(), ()])
        assert blas_threads() == before
    assert before
    assert found == [[1] * len(before) if n_jobs == 2 else before] * 2


@pytest.mark.parametrize("options", [{"criterion": "cv", "cv": 3}, {"criterion": "loo"}], ids=str)
def test_fits_in_threads_do_not_touch_warning_filters(monkeypatch, options):
    """These belong to the whole process; two threads that change them leave a mess."""
    places = set()

    class Recorded(warnings.catch_warnings):
        def __enter__(self):
            if threading.current_thread() is not threading.main_thread():
                places.add(sys._getframe(1).f_globals["__name__"])
            return super().__enter__()

    model = clone(FAST).set_params(draws=100)
    if options["criterion"] == "loo":
        model.set_params(inference="nuts", tune=20, draws=25)  # too few to converge
    X, y = make_switch(60, random_state=0)
    filters = list(warnings.filters)
    monkeypatch.setattr(warnings, "catch_warnings", Recorded)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        select_n_experts(model, X, y, n_experts=[1, 2, 3], n_jobs=2, **options)
    assert filters == list(warnings.filters)
    assert "sklearn.utils.validation" in places  # threads there were, and they were looked at
    ours = "skcocoafuse", "sklearn.utils.parallel"
    assert not [name for name in places if name.startswith(ours)]
    kinds = [warning.category for warning in record]
    if options["criterion"] == "loo":
        assert any(issubclass(kind, ConvergenceWarning) for kind in kinds)
    assert len(kinds) == len(set(kinds))  # of the one that was chosen, each kind once


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_threads_have_the_configuration_of_scikit_learn(n_jobs):
    with config_context(assume_finite=True, skip_parameter_validation=True):
        found = Runs(FAST, n_jobs, lambda: None)(get_config, [(), ()])
        assert found == [get_config()] * 2


@pytest.mark.parametrize(("engine", "apart"), [("pymc", True), ("advi", True), ("nuts", False)])
def test_engines_that_threads_would_break_have_processes(engine, apart):
    """PyTensor keeps tables for all graphs of a process, and PyMC forks."""
    for model in (MoERegressor(inference=engine), make_pipeline(MoERegressor(inference=engine))):
        found = Runs(model, 2, lambda: None)(os.getpid, [()] * 4)
        assert (os.getpid() not in found) == apart


def test_another_engine_fits_the_candidates(data):
    """And the estimator's own, with its options, the selected number; in the selector as well."""
    X, y = data
    options = {"n_experts": [1, 2], "rule": "best", "cv": 3}
    candidates = quietly(FAST, X, y, **options)
    nuts = clone(FAST).set_params(inference="nuts", tune=100, inference_options={"maxdepth": 6})
    selection = quietly(nuts, X, y, **options)
    assert selection.n_experts == candidates.n_experts
    pd.testing.assert_frame_equal(
        selection.table.drop(columns="seconds"), candidates.table.drop(columns="seconds")
    )
    alone = fit_quietly(clone(nuts).set_params(n_experts=selection.n_experts), X, y)
    selector = fit_quietly(NExpertsSelector(nuts, **options), X, y)
    for found in (selection.estimator, selector.best_estimator_):
        assert found.get_params() == alone.get_params()
        np.testing.assert_array_equal(found.predict(X), alone.predict(X))


def test_an_engine_can_be_named(data):
    """It fits the candidates, not the selected number."""
    X, y = data
    pipe = make_pipeline(StandardScaler(), FAST)
    selection = quietly(pipe, X, y, n_experts=[2], cv=2, inference="map")
    optimized = make_pipeline(StandardScaler(), clone(FAST).set_params(inference="map"))
    scores = cross_validate(optimized, X, y, cv=2, scoring=SCORERS["lppd"])["test_score"]
    assert selection.table.loc[2, "elpd"] == pytest.approx(scores.mean() * len(y), rel=1e-9)
    assert selection.estimator[-1].inference == "vi"
    for call in (
        lambda: select_n_experts(FAST, X, y, inference="mcmc"),
        lambda: NExpertsSelector(FAST, inference="mcmc").fit(X, y),
    ):
        with pytest.raises(ValueError, match=r"inference.*must be"):
            call()


def cores_of_a_fit():
    """Threads that a fit would use, in the thread that asks."""
    return cores_for(None, 64)


@pytest.mark.parametrize(
    ("inference", "each"), [("map", 1), ("vi", 1), ("nuts", joblib.cpu_count())]
)
def test_all_cores_are_used_once_by_default(inference, each):
    """By several fits of one thread each, or by one fit whose chains run at the same time."""
    model = MoERegressor(inference=inference)
    found = Runs(model, None, lambda: None)(cores_of_a_fit, [()] * 3)
    assert found == [each] * 3
    assert cores_of_a_fit() == joblib.cpu_count()
    assert Runs(model, 1, lambda: None)(cores_of_a_fit, [()]) == [joblib.cpu_count()]
