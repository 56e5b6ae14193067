"""Fits that begin at the posterior of the fit before: the same result, found sooner."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skcocoafuse import CoCoAFusERegressor, MoERegressor
from skcocoafuse.compiled import lbfgs
from skcocoafuse.inference import mode_search
from skcocoafuse.inference.nuts import backend
from skcocoafuse.posterior.clusters import invariants
from skcocoafuse.posterior.monte_carlo import ess, rhat
from tests.conftest import fit_quietly


@pytest.fixture(scope="module")
def before(once, switch):
    """A fit to nine tenths of the rows, in other units."""
    X, y = switch[0][:270], switch[1][:270]
    return once({"before": lambda: fit_quietly(MoERegressor(random_state=5), X, y)})["before"]


def warm(model, **parameters):
    return copy.copy(model).set_params(warm_start=True, **parameters)


@pytest.fixture
def effort(monkeypatch):
    """What a fit spends before its sampling: whole searches, climbs and warm-up draws."""
    spent = {"searches": 0, "climbs": 0, "warm-up": 0}
    search, climb, start_sampler = (
        mode_search.find_modes,
        lbfgs.climb,
        backend._start_sampler,
    )

    def counted_search(*arguments):
        spent["searches"] += 1
        return search(*arguments)

    def counted_climb(*arguments):
        spent["climbs"] += 1
        return climb(*arguments)

    def counted_sampler(model, settings, seed):
        pilot = settings.draws if settings.draws < 100 else 0
        spent["warm-up"] += settings.chains * (settings.tune + pilot)
        return start_sampler(model, settings, seed)

    monkeypatch.setattr(mode_search, "find_modes", counted_search)
    monkeypatch.setattr(lbfgs, "climb", counted_climb)
    monkeypatch.setattr(backend, "_start_sampler", counted_sampler)
    return spent


def moments(model):
    """Means of label-free quantities, and their Monte Carlo errors."""
    draws = invariants(model.fitted_.problem, model.posterior_)
    assert (rhat(draws) < 1.05).all()
    return draws.mean(axis=(0, 1)), draws.std(axis=(0, 1)) / np.sqrt(ess(draws))


def test_a_warm_fit_finds_the_posterior_of_a_cold_one_with_less_effort(
    before, nuts_switch, switch, effort
):
    cold = nuts_switch["MoERegressor"]
    refitted = fit_quietly(warm(before, random_state=1), *switch[:2])
    (mean, error), (other, other_error) = moments(refitted), moments(cold)
    assert (np.abs(mean - other) < 4.5 * np.hypot(error, other_error)).all()
    warmly = dict(effort)
    effort.update(dict.fromkeys(effort, 0))
    fit_quietly(clone(cold), *switch[:2])
    assert (warmly["searches"], effort["searches"]) == (0, 1)
    assert warmly["climbs"] < 0.5 * effort["climbs"]
    assert warmly["warm-up"] < 0.7 * effort["warm-up"]  # 0.6 of it, and pilot chains in both


def test_on_other_data_a_warm_fit_is_the_cold_one(before, transition):
    """To the last bit, so nothing of the fit before is left."""
    X, y = 100.0 * transition[0], -5.0 * transition[1]
    quick = {"random_state": 2, "draws": 50, "tune": 100, "chains": 2}
    refitted = fit_quietly(warm(before, **quick), X, y)
    cold = fit_quietly(MoERegressor(**quick), X, y)
    np.testing.assert_array_equal(refitted.posterior_.log_posterior, cold.posterior_.log_posterior)


def test_the_same_seed_repeats_a_warm_fit_also_after_pickling(before, switch, effort):
    X, y = switch[:2]
    quick = {"random_state": 2, "draws": 50, "tune": 100}
    fits = [
        fit_quietly(warm(start, **quick), X, y)
        for start in (before, pickle.loads(pickle.dumps(before)))
    ]
    assert effort["searches"] == 0
    one, other = (fit.posterior_.log_posterior for fit in fits)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "change",
    [{"inference": "vi"}, {"inference": "map"}, {"priors": {}}, {"standardize": False}],
    ids=lambda change: next(iter(change)) + str(next(iter(change.values()))),
)
def test_options_that_leave_the_parameters_alone_may_change(before, switch, effort, change):
    fit_quietly(warm(before, random_state=0, draws=50, tune=100, **change), *switch[:2])
    assert effort["searches"] == 0


@pytest.fixture(scope="module")
def mode(transition):
    X = pd.DataFrame({"a": transition[0][:, 0], "b": np.sin(5.0 * transition[0][:, 0])})
    return CoCoAFusERegressor(inference="map", random_state=0).fit(X, transition[1]), X


@pytest.mark.parametrize(
    "change",
    [
        {"n_experts": 3},
        {"gate_features": ["b"]},
        {"X": lambda X: X[["b", "a"]]},
        {"X": lambda X: X.rename(columns={"a": "c"})},
        {"X": lambda X: X[["a"]]},
    ],
    ids=["experts", "gate", "order", "names", "columns"],
)
def test_other_parameters_begin_anew(mode, transition, effort, change):
    fitted, X = mode
    parameters = dict(change)
    X = parameters.pop("X", lambda X: X)(X)
    refitted = warm(fitted, **parameters).fit(X, transition[1])
    assert effort["searches"] == 1
    anew = clone(fitted).set_params(**parameters).fit(X, transition[1])
    np.testing.assert_array_equal(refitted.expert_coef_, anew.expert_coef_)


@pytest.mark.parametrize(
    ("found", "searches"),
    [({"ess": 20.0}, 1), ({"chain_clusters": ((0,), (1,))}, 1), ({"n_divergences": 3}, 0)],
)
def test_a_fit_that_did_not_settle_is_nowhere_to_begin(mode, transition, effort, found, searches):
    fitted, X = mode
    fitted = warm(fitted)
    fitted.diagnostics_ = {**fitted.diagnostics_, **found}
    fitted.fit(X, transition[1])
    assert effort["searches"] == searches


def test_chains_explore_where_the_fit_before_knew_a_mode_only(mode, transition, effort):
    fitted, X = mode
    quick = {"inference": "nuts", "draws": 100, "tune": 100, "chains": 2}
    fit_quietly(warm(fitted, **quick), X, transition[1])
    assert effort["searches"] == 0
    assert effort["warm-up"] > 2 * 100  # pilot chains


def test_a_first_fit_and_a_clone_have_nothing_to_begin_at(mode, transition, effort):
    fitted, X = mode
    first = clone(warm(fitted)).fit(X, transition[1])
    assert effort["searches"] == 1
    np.testing.assert_array_equal(first.expert_coef_, fitted.expert_coef_)
