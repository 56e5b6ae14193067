"""Chunks of rows: all rows once and in order, within the memory, ended by an interrupt."""

import threading
import tracemalloc

import numpy as np
import pytest

from skcocoafuse._threads import Cancelled, Work
from skcocoafuse.model import chunks
from skcocoafuse.model.chunks import map_chunks, rows_per_chunk
from skcocoafuse.model.mixtures import mixture_of
from tests.problems import make_problem

ARRAYS = {"a": np.arange(103), "b": np.arange(206.0).reshape(103, 2)}


def seen(numbers_per_row, **limits):
    """Rows of each chunk, after a look that the arrays are those of the rows."""

    def look(rows, part):
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(part[name], array[rows])
        return np.arange(103)[rows]

    return map_chunks(look, ARRAYS, numbers_per_row, **limits)


@pytest.mark.parametrize("n_jobs", [None, 1, 3])
@pytest.mark.parametrize("max_memory", [1, 8000, 64 * 103 * 5 * 3, 10**9])
def test_every_row_is_in_one_chunk_and_in_order(n_jobs, max_memory):
    found = seen(5, n_jobs=n_jobs, max_memory=max_memory)
    np.testing.assert_array_equal(np.concatenate(found), np.arange(103))
    assert len({len(rows) for rows in found[:-1]}) <= 1


def test_chunks_of_all_threads_share_the_memory():
    one = rows_per_chunk(10, max_memory=640_000)
    assert (one, rows_per_chunk(10, max_memory=640_000, n_threads=4)) == (1000, 250)
    assert rows_per_chunk(10, max_memory=640_000, n_arrays=4) == 2000
    assert rows_per_chunk(10, max_memory=640_000, max_rows=64) == 64
    assert rows_per_chunk(10**9) == rows_per_chunk(10, max_memory=0) == 1
    assert [len(rows) for rows in seen(10, max_memory=640 * 50)] == [50, 50, 3]


def test_the_limit_has_one_home(monkeypatch):
    assert len(seen(1)) == 1
    monkeypatch.setattr(chunks, "MAX_MEMORY", 64 * 10)
    assert len(seen(1)) == 11


def test_no_rows_and_no_numbers_are_no_matter():
    assert map_chunks(lambda rows, part: 1 / 0, {"a": np.empty((0, 3))}, 5) == []
    assert len(seen(0)) == 1


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_exception_ends_the_chunks(n_jobs):
    begun = []

    def fail(rows, part):
        begun.append(rows.start)
        if rows.start == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_chunks(fail, ARRAYS, 1, n_jobs=n_jobs, max_rows=1)
    assert len(begun) < 103


def test_cancelled_work_begins_no_further_chunk():
    work, begun, found = Work(), [], []

    def of_rows(rows, part):
        begun.append(rows.start)
        work._cancelled.set()

    def whole():
        try:
            map_chunks(of_rows, ARRAYS, 1, max_rows=1)
        except Cancelled:
            found.append("cancelled")

    thread = threading.Thread(target=work.task(whole))
    thread.start()
    thread.join(60)
    assert (begun, found) == ([0], ["cancelled"])


def test_mixtures_of_numpy_stay_within_the_memory():
    problem = make_problem(3, n=4000)
    theta = 0.1 * np.random.default_rng(0).normal(size=(200, problem.spec.n_parameters))
    draws = problem.spec.unpack(theta)

    def moments(rows, part):
        mixture = mixture_of(problem.spec, draws, part)
        weight = np.exp(mixture.log_weight)
        return float((weight * mixture.mean**2 + weight * mixture.variance).sum())

    map_chunks(moments, problem.designs, draws.sigma.size, max_memory=20_000_000)
    tracemalloc.start()
    map_chunks(moments, problem.designs, draws.sigma.size, max_memory=20_000_000)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 5_000_000 < most < 20_000_000
