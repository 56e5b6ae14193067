"""Work in threads: results as of a loop, and nothing goes on behind an exception."""

import pickle
import threading
import time
import warnings
from contextvars import ContextVar

import joblib
import pytest

from skcocoafuse._threads import Cancelled, Work, in_threads, raise_if_cancelled


def forever(begun=None):
    if begun is not None:
        begun.set()
    while True:
        raise_if_cancelled()
        time.sleep(0.001)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("n_items", [0, 1, 7])
def test_results_are_in_order(n_threads, n_items):
    seen = []
    squares = in_threads(lambda k: k * k, iter(range(n_items)), n_threads, lambda: seen.append(1))
    assert squares == [k * k for k in range(n_items)]
    assert len(seen) == n_items


@pytest.mark.parametrize("n_threads", [1, 2])
def test_context_variables_are_those_of_the_caller(n_threads):
    color = ContextVar("color", default="none")
    color.set("red")
    assert in_threads(lambda _: color.get(), range(2), n_threads) == ["red", "red"]


def test_the_first_exception_ends_the_others():
    begun, n_begun = threading.Event(), []

    def task(k):
        n_begun.append(k)
        if k == 0:
            assert begun.wait(60)
            raise KeyError("of the first")
        forever(begun)

    before = threading.active_count()
    with pytest.raises(KeyError, match="of the first"):
        in_threads(task, range(50), 2)
    assert threading.active_count() == before
    assert len(n_begun) == 2  # what had not begun did not begin


def test_exceptions_of_the_callers_own_end_the_others():
    begun = threading.Event()

    def after_each():
        assert begun.wait(60)
        raise KeyError("a bar that fails")

    with pytest.raises(KeyError, match="a bar"):
        in_threads(lambda k: k if k == 0 else forever(begun), range(2), 2, after_each)


def test_parts_of_parts_end_with_the_whole():
    begun = threading.Barrier(3)

    def outer(k):
        in_threads(inner, range(2), 2)
        raise AssertionError("not reached")

    def inner(k):
        begun.wait(60)
        forever()

    def fails(k):
        if k == 0:
            begun.wait(60)
            raise KeyError("on purpose")
        outer(k)

    with pytest.raises(KeyError, match="on purpose"):
        in_threads(fails, range(2), 2)


def test_work_that_never_asks_ends_as_well():
    """As the compilers of other packages, which are written in Python."""
    begun, ended = threading.Event(), []

    def busy(k):
        try:
            begun.set()
            while True:
                pass
        finally:
            ended.append(k)

    def fails(k):
        if k == 0:
            assert begun.wait(60)
            raise KeyError("on purpose")
        busy(k)

    with pytest.raises(KeyError, match="on purpose"):
        in_threads(fails, range(2), 2)
    assert ended == [1]


def test_a_task_in_the_callers_thread_raises_what_it_raised():
    with pytest.raises(KeyError, match="on purpose"), Work() as work:
        work.task({}.__getitem__)("on purpose")
    for _ in range(1000):
        pass  # nothing comes after


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_work_goes_into_threads_and_processes_of_joblib(backend):
    with joblib.parallel_backend(backend), Work() as work:
        task = joblib.delayed(work.task(divmod))
        assert joblib.Parallel(2)(task(k, 3) for k in range(4)) == [divmod(k, 3) for k in range(4)]


def test_work_of_joblibs_threads_ends_too():
    begun, work = threading.Event(), Work()
    task = joblib.delayed(work.task(forever))

    def interrupted():
        with work:
            running = joblib.Parallel(2, prefer="threads", return_as="generator")(
                task(begun) for _ in range(2)
            )
            assert begun.wait(60)
            raise KeyError("on purpose", running)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joblib's, that nobody took the results
        with pytest.raises(KeyError, match="on purpose"):
            interrupted()
    assert not work.running


def test_cancelled_work_says_so_where_it_is_asked():
    raise_if_cancelled()  # nothing was started, so nothing was cancelled
    work = Work()
    work.cancel()
    assert work.cancelled
    assert not pickle.loads(pickle.dumps(work)).cancelled
    assert work.task(lambda: 1)() is None
    assert not issubclass(Cancelled, Exception)
