"""Exact leave-one-out by inferring again, and what importance weights make of it."""

from dataclasses import replace

import numpy as np
import pytest

from skcocoafuse import BoERegressor, MoERegressor
from skcocoafuse.evaluation.learning import infer
from skcocoafuse.evaluation.refits import refit_bad_rows
from skcocoafuse.evaluation.verdicts import converged
from skcocoafuse.exceptions import InfluentialRowsWarning
from tests.conftest import fit_quietly


@pytest.fixture(scope="module")
def small(switch):
    """A single expert on 25 rows, one of weight 2 and one that does not count."""
    X, y, weight = switch[0][:25], switch[1][:25], np.ones(25)
    weight[[3, 4]] = 2.0, 0.0
    model = MoERegressor(
        1,
        inference="vi",
        draws=1000,
        standardize=False,
        target_resolution=0,
        random_state=0,
        n_jobs=1,
    )
    return model.fit(X, y, sample_weight=weight), X, y, weight


def refit(model, result):
    settings = model._settings()
    return refit_bad_rows(result, model.fitted_, model.inference, settings, 1)


def test_importance_weights_are_what_refits_say(small):
    model, *_ = small
    result = model.loo()
    exact = refit(model, replace(result, pareto_k=np.where(np.arange(25) < 9, 2.0, 0.0)))
    assert exact.refitted.sum() == 8  # a row of weight 0 is no bad row
    assert (exact.pareto_k[exact.refitted] == 0.0).all()
    np.testing.assert_allclose(result.pointwise, exact.pointwise, atol=0.15)
    np.testing.assert_allclose(result.pit, exact.pit, atol=0.03)
    assert result.elpd == pytest.approx(exact.elpd, abs=0.3)
    assert result.se == pytest.approx(exact.se, abs=0.15)
    assert exact.converged


@pytest.mark.parametrize("row", [0, 3])
def test_a_refit_is_the_fit_of_all_other_rows(small, row):
    """Where nothing is standardised, fit() with one copy less is the same fit."""
    model, X, y, weight = small
    result = model.loo()
    bad = np.where(np.arange(25) == row, 2.0, 0.0)
    exact = refit(model, replace(result, pareto_k=bad))
    assert np.flatnonzero(exact.refitted).tolist() == [row]
    rest = weight - (np.arange(25) == row)
    other = MoERegressor(**model.get_params()).fit(X, y, sample_weight=rest)
    at = slice(row, row + 1)
    assert exact.pointwise[row] == pytest.approx(other.log_prob(X[at], y[at])[0], abs=1e-9)
    assert exact.pit[row] == pytest.approx(other.predict_dist(X[at]).pit(y[at])[0], abs=1e-9)
    kept = np.arange(25) != row
    np.testing.assert_array_equal(exact.pointwise[kept], result.pointwise[kept])


def test_an_outlier_is_named_and_refitted(transition):
    X, y = transition[0][:60], transition[1][:60].copy()
    y[7] += 8.0
    model = BoERegressor(1, inference="vi", draws=500, chains=2, random_state=0, n_jobs=1).fit(X, y)
    with pytest.warns(InfluentialRowsWarning, match=r"rows 7[,)].*1 fits") as seen:
        rough = model.loo()
    assert seen[0].filename == __file__
    result = model.loo(reloo=True)
    assert rough.bad_rows.tolist() == [7]
    assert result.bad_rows.size == 0
    assert np.flatnonzero(result.refitted).tolist() == [7]
    assert result.pointwise[7] < rough.pointwise[7] - 0.1  # weights see too few bad draws
    assert result.p_loo > rough.p_loo
    assert "0 bad Pareto k, 1 refitted" in repr(result)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_independent_draws_are_judged_as_those_of_fits(switch, seed):
    """As a Markov chain these 120 draws pass; resampled ones count once, and are too few."""
    X, y = switch[0][:60], switch[1][:60]
    model = MoERegressor(1, inference="vi", draws=30, random_state=seed, n_jobs=1)
    fit_quietly(model, X, y)
    settings = model._settings()
    posterior, found = infer(model.fitted_.problem, "vi", settings, labeled=False)
    np.testing.assert_array_equal(posterior.log_posterior, model.posterior_.log_posterior)
    assert converged(found) == converged(model.diagnostics_)
    assert not converged(found)


@pytest.mark.slow
def test_processes_change_nothing(small):
    model, *_ = small
    result = replace(model.loo(), pareto_k=np.where(np.arange(25) < 2, 2.0, 0.0))
    one = refit(model, result)
    settings = model._settings()
    two = refit_bad_rows(result, model.fitted_, model.inference, settings, 2)
    np.testing.assert_allclose(one.pointwise, two.pointwise, rtol=1e-9)
