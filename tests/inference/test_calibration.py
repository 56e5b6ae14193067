"""Simulation-based calibration in small; benchmarks/sbc.py runs the whole."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from skcocoafuse.inference import Settings

PATH = Path(__file__).parents[2] / "benchmarks" / "sbc.py"


@pytest.fixture(scope="module")
def sbc():
    spec = importlib.util.spec_from_file_location("sbc", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nuts_is_calibrated(sbc):
    settings = Settings(draws=100, tune=250, chains=2, target_accept=0.9, cores=2, seed=0)
    rank = sbc.ranks(24, settings)
    lower, upper = sbc.band(len(rank), probability=0.999)
    curves = sbc.ecdf(rank)
    assert ((curves >= lower[:, None]) & (curves <= upper[:, None])).all()


def test_the_band_holds_uniform_ranks_and_sees_others(sbc):
    """Its coverage on fresh uniform ranks; ranks that are too narrow, or shifted, leave it."""
    rng = np.random.default_rng(5)
    lower, upper = sbc.band(100, probability=0.9)

    def inside(ranks):
        curve = sbc.ecdf(ranks[:, None])[:, 0]
        return ((curve >= lower) & (curve <= upper)).all()

    held = sum(inside(rng.integers(0, sbc.N_RANKS + 1, 100)) for _ in range(500))
    assert stats.binomtest(held, 500, 0.9).pvalue > 1e-3
    assert not inside(rng.binomial(sbc.N_RANKS, 0.5, 100))
    assert not inside(rng.integers(0, 3 * sbc.N_RANKS // 4, 100))
