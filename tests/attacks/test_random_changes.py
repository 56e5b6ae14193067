"""Files with random changes: the same fit or a ValueError, within seconds, and nothing hangs."""

import pytest

from tests.attacks.conftest import run

ENGINES = ("map", "vi", "nuts")


def damage(files, n, timeout):
    for engine in ENGINES:
        counts = run("damage", files[engine], n, timeout=timeout)
        print(engine, counts)
        assert sum(counts.values()) == n
        # a change that loads must have left all bytes as they were: zeros over zeros, and the like
        assert sum(k for name, k in counts.items() if "refused" in name) > 0.8 * n


def forgeries(files, n, timeout):
    for engine in ENGINES:
        counts = run("forgery", files[engine], n, timeout=timeout)
        print(engine, counts)
        assert sum(counts.values()) == n


def test_damaged_files(files):
    damage(files, 70, timeout=120)


def test_forged_files(files):
    """Whoever makes the digest right again gets no further than a fit or a ValueError."""
    forgeries(files, 60, timeout=120)


@pytest.mark.slow
def test_many_damaged_files(files):
    damage(files, 1700, timeout=600)


@pytest.mark.slow
def test_many_forged_files(files):
    forgeries(files, 1700, timeout=600)
