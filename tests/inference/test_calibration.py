"""Simulation-based calibration in small; benchmarks/sbc.py runs the whole."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from skcocoafuse._threads import in_threads
from skcocoafuse.inference import Settings

PATH = Path(__file__).parents[2] / "benchmarks" / "sbc.py"

# By simulation of the scores alone: 0.09% false alarms (Bonferroni promises 0.1%), and where the
# ranks of a single quantity have mean 0.40 (Beta(0.8, 1.2)) the test fails with probability 0.94.
# With 24 simulations in the band of the benchmark it was 0.14, of which 0.05 were false alarms.
N_SIMULATIONS, FALSE_ALARMS = 260, 1e-3


@pytest.fixture(scope="module")
def sbc():
    spec = importlib.util.spec_from_file_location("sbc", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def z_scores(sbc, rank):
    """Location and spread of ranks (..., simulations, quantities) against those of uniform ones."""
    centered = np.arange(sbc.N_RANKS + 1) - 0.5 * sbc.N_RANKS
    apart = rank - 0.5 * sbc.N_RANKS
    root = np.sqrt(rank.shape[-2])
    location = apart.mean(axis=-2) / (centered.std() / root)
    squares = centered**2
    spread = ((apart**2).mean(axis=-2) - squares.mean()) / (squares.std() / root)
    return np.stack([location, spread], axis=-2)


def limit(sbc):
    """Of the absolute scores of all quantities together, at the rate of false alarms."""
    return stats.norm.isf(FALSE_ALARMS / (2 * 2 * len(sbc.QUANTITIES)))


@pytest.mark.slow
def test_nuts_is_calibrated(sbc):
    """True values rank among short chains as among independent draws of the posterior."""
    settings = Settings(draws=100, tune=250, chains=2, target_accept=0.9, cores=1, seed=0)
    n_parts = 10

    def part(seed):
        return sbc.ranks(N_SIMULATIONS // n_parts, settings, seed=seed)

    rank = np.concatenate(in_threads(part, range(n_parts), 2))
    assert rank.shape == (N_SIMULATIONS, len(sbc.QUANTITIES))
    z = z_scores(sbc, rank)
    assert np.abs(z).max() < limit(sbc), dict(zip(sbc.QUANTITIES, z.T.round(2), strict=True))


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [
        (1.0, 1.0, 0.0, 1.5 * FALSE_ALARMS),  # the posterior itself
        (0.8, 1.2, 0.9, 1.0),  # shifted: mean rank 0.40
        (1.2, 0.8, 0.9, 1.0),
        (1.8, 1.8, 0.9, 1.0),  # too wide
        (0.6, 0.6, 0.9, 1.0),  # too narrow
    ],
)
def test_calibration_has_power(sbc, a, b, low, high):
    """How often it fails where one quantity's ranks are those of a Beta; no fit is made."""
    rng = np.random.default_rng(0)
    n_times, failed = 20_000 if low == 0.0 else 2000, 0
    for _ in range(n_times // 500):
        rank = rng.integers(0, sbc.N_RANKS + 1, (500, N_SIMULATIONS, len(sbc.QUANTITIES)))
        if (a, b) != (1.0, 1.0):
            rank[..., 0] = rng.binomial(sbc.N_RANKS, rng.beta(a, b, rank.shape[:2]))
        failed += (np.abs(z_scores(sbc, rank)) >= limit(sbc)).any(axis=(1, 2)).sum()
    assert low <= failed / n_times <= high


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
