"""R-hat after chains were relocated: from how many starts they descend, and what is said of it."""

import dataclasses
import warnings

import numpy as np
import pytest

from skcocoafuse import CoCoAFusERegressor, load
from skcocoafuse.datasets import make_switch
from skcocoafuse.evaluation import fit_warnings, verdicts
from skcocoafuse.exceptions import ChainMixingWarning
from skcocoafuse.inference.nuts import backend, jumps, state

GOOD = {
    "rhat": 1.01,
    "rhat_within": 1.01,
    "chain_clusters": [[0, 1, 2, 3]],
    "ess": 900.0,
    "n_divergences": 0,
    "n_chains": 4,
    "n_draws": 1000,
    "expert_share": np.array([0.4, 0.6]),
    "cluster_weight": np.ones(1),
    "cluster_elpd": np.full(1, np.nan),
}


@pytest.mark.parametrize(
    ("origins", "chosen"),
    [
        ((0, 1, 2, 3), [0, 1, 2, 3]),
        ((0, 0, 2, 0), [0, 2]),
        ((2, 2, 2, 2), [2]),
        ((1, 0, 2), [0, 1, 2]),  # two that changed places
        ((2, 0, 2, 3), [1, 2, 3]),  # 1 went to 0 before 0 went to 2
    ],
)
def test_starts_that_chains_descend_from_are_counted_once(origins, chosen):
    """Each by the chain that stayed, if it did."""
    assert state.independent_starts(origins) == chosen


def said(**change):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        fit_warnings.warn({**GOOD, **change}, stacklevel=1)
    return [str(w.message) for w in seen if w.category is ChainMixingWarning]


@pytest.mark.parametrize(
    ("change", "served"),
    [
        ({"n_relocated": 0, "n_independent_starts": 4}, True),
        ({"n_relocated": 3, "n_independent_starts": 1, "rhat_independent_starts": np.nan}, False),
        ({"n_relocated": 2, "n_independent_starts": 2, "rhat_independent_starts": 1.02}, True),
        ({"n_relocated": 2, "n_independent_starts": 2, "rhat_independent_starts": 1.3}, False),
        ({"n_relocated": 2, "n_independent_starts": 2, "rhat_independent_starts": np.inf}, False),
        ({"n_relocated": 2, "n_independent_starts": 2, "rhat_independent_starts": np.nan}, False),
        ({"n_moved": 0}, True),  # files of earlier releases
        ({"n_moved": 2}, True),
        ({"n_moved": 3}, False),
        ({"n_moved": 8}, False),
        ({"n_chains": 1, "chain_clusters": [[0]]}, True),  # a single chain was never relocated
    ],
)
def test_agreement_by_construction_is_not_convergence(change, served):
    found = {**GOOD, **change}
    assert verdicts.converged(found) == verdicts.settled(found) == served
    assert bool(said(**change)) != served


def test_the_warning_says_why_and_what_to_do():
    (message,) = said(n_relocated=3, n_independent_starts=1, rhat_independent_starts=np.nan)
    assert message.startswith("R-hat 1.010 does not show that chains found the same region")
    assert "3 time(s), a chain was restarted from a draw of another chain" in message
    assert "1 independent start(s) (wanted: at least 2)" in message
    assert "chains=8 or another random_state" in message
    (message,) = said(n_relocated=2, n_independent_starts=2, rhat_independent_starts=1.3)
    assert "chains with independent starts disagree (R-hat 1.30, wanted: at most 1.05)" in message
    (message,) = said(n_moved=8)
    assert "have 1 independent start(s)" in message


def test_a_disagreement_is_said_once():
    relocated = {"n_relocated": 3, "n_independent_starts": 1}
    (message,) = said(**relocated, rhat_within=1.3)
    assert message.startswith("Chains disagree")
    assert not said(
        **relocated,
        chain_clusters=[[0, 1], [2, 3]],
        cluster_weight=np.full(2, 0.5),
        cluster_elpd=np.zeros(2),
    )  # another category names the clusters


def misplace(monkeypatch, chains):
    """The first run of long chains has settled, some of them far from where the mass is."""
    calls = []

    def run_chains(launches, settings, rng):
        runs = backend.run_chains(launches, settings, rng)
        calls.append(len(launches))
        if len(calls) > 1:
            return runs
        (run,) = runs
        kernel = run.kernel
        z = 0.3 * np.random.default_rng(0).normal(size=run.z.shape)
        z[chains] += 6.0 + 3.0 * np.array(chains)[:, None, None]
        theta = run.coordinates.to_theta(z)
        logp = kernel.log_posterior(theta) - kernel.constant + run.coordinates.log_jacobian(z)
        statistics = {
            **run.statistics,
            "logp": logp,
            "diverging": np.zeros(logp.shape, dtype=bool),
        }
        return [dataclasses.replace(run, z=z, statistics=statistics)]

    monkeypatch.setattr(state, "run_chains", run_chains)
    monkeypatch.setattr(jumps, "connected", lambda *_: False)  # made-up draws do jump back


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("misplaced", "n_left"), [([1, 2], 1), ([2], 2)])
def test_a_fit_of_relocated_chains_is_judged_by_those_that_were_not(
    monkeypatch, tmp_path, misplaced, n_left
):
    """With one start left nothing can be said, however small R-hat is; and files keep that."""
    misplace(monkeypatch, misplaced)
    X, y = make_switch(100, random_state=0)
    model = CoCoAFusERegressor(1, chains=3, draws=250, tune=250, random_state=0, n_jobs=2)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = model.fit(X, y).diagnostics_
    assert found["n_relocated"] == len(misplaced)
    assert found["n_independent_starts"] == n_left
    assert found["rhat"] < 1.05
    relocation = found["remedies"]["relocation"]
    assert relocation["rounds"] == 1
    assert 0 < relocation["gradients"] < found["n_gradients"]
    assert 0 < relocation["seconds"] < sum(found["seconds"].values())
    assert verdicts.converged(found) == (n_left > 1)
    about_starts = [w for w in seen if "independent start" in str(w.message)]
    assert len(about_starts) == (n_left == 1)
    model.save(tmp_path / "fit.nc")
    again = load(tmp_path / "fit.nc")
    np.testing.assert_equal(again.diagnostics_, found)
    assert list(again.diagnostics_["remedies"]) == list(found["remedies"])
