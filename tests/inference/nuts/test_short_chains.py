"""Chains of a fixed short length from several modes."""

import dataclasses

import numpy as np
import pytest

from skcocoafuse import MoERegressor
from skcocoafuse.datasets import make_switch_and_transition
from skcocoafuse.inference import Settings, get_engine, mode_search
from skcocoafuse.posterior.monte_carlo import ess, rhat
from tests.conftest import fit_quietly
from tests.problems import make_problem

SETTINGS = Settings(draws=500, tune=500, chains=4, target_accept=0.9, cores=2, seed=3)


def test_chains_of_one_mode_sample_the_posterior():
    """Means within five Monte Carlo errors of long chains, of which each bound one in 1e6."""
    problem = make_problem(1, (2, 0, 0), behavior=1.0, n=400)
    short, long = (get_engine(name)(problem, SETTINGS) for name in ("short_chains", "nuts"))
    assert short.theta.shape[:2] == (4, 100)
    assert rhat(short.theta).max() < 1.05
    sd = long.theta.std(axis=(0, 1))
    error = sd * np.sqrt(1 / ess(short.theta) + 1 / ess(long.theta))
    assert (np.abs(short.theta.mean(axis=(0, 1)) - long.theta.mean(axis=(0, 1))) < 5 * error).all()
    # the standard deviation of n independent Normals has a relative error of 1 / sqrt(2 n)
    tolerance = 5 / np.sqrt(2 * ess(short.theta).min())
    np.testing.assert_allclose(short.theta.std(axis=(0, 1)), sd, rtol=tolerance)


@pytest.mark.parametrize(("n_modes", "chains", "expected"), [(1, 4, 4), (3, 4, 6), (20, 4, 8)])
def test_every_mode_has_as_many_chains(monkeypatch, n_modes, chains, expected):
    """At least as many as were asked for, at eight modes at most."""
    problem, find = make_problem(2, n=60), mode_search.begin
    monkeypatch.setattr(mode_search, "begin", lambda *given: [find(*given)[0]] * n_modes)
    settings = dataclasses.replace(SETTINGS, draws=5, tune=40, chains=chains)
    result = get_engine("short_chains")(problem, settings)
    assert result.theta.shape[:2] == (expected, 5)


def test_a_fit_converges_where_modes_are_connected():
    X, y = make_switch_and_transition(200, random_state=0)
    found = fit_quietly(
        MoERegressor(3, inference="short_chains", random_state=0), X, y
    ).diagnostics_
    assert found["n_draws"] == 100
    assert found["chains_are_short"]
    assert sum(found["cluster_weight"]) == pytest.approx(1.0)
