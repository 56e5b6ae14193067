"""Work in threads that ends with its caller.

An exception, especially an interrupt, reaches the thread that waits for the others, and nothing
notifies these. They would continue in the background, and a process that ends while they are in
compiled code crashes. So code that starts work in threads cancels it on exit and waits until it
has ended, and long-running work regularly checks whether it was canceled.
"""

import atexit
import ctypes
import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar, copy_context
from threading import Event, Lock, current_thread, get_ident, main_thread
from typing import Any

#: Whether this thread is one of several fits that use all cores together, so that each has one.
SHARES_CORES: ContextVar[bool] = ContextVar("SHARES_CORES", default=False)
_MOMENT = 0.002  # seconds between checks whether tasks have ended
_PATIENCE = 1.0  # seconds after which unfinished tasks are canceled again
_LAST = 10.0  # seconds that the process waits at exit for threads started elsewhere


class Cancelled(BaseException):
    """Ends work that nobody waits for; no ``except Exception`` catches it."""


class Work:
    """Tasks that are canceled together, and with the work that they are a part of.

    Pickled for another process, it becomes work of that process, which nothing cancels there.
    """

    def __init__(self) -> None:
        self._part_of = _current.get()
        self._cancelled = Event()
        self._threads: set[int] = set()  # in which a task is running
        self._lock = Lock()

    def __reduce__(self):
        return Work, ()

    def task(self, function: Callable) -> "Task":
        """The function as a part of this work; it may then be called in any thread."""
        return Task(self, function)

    @property
    def cancelled(self) -> bool:
        """Whether this work, or the work it is a part of, was canceled."""
        part_of = self._part_of
        return self._cancelled.is_set() or (part_of is not None and part_of.cancelled)

    @property
    def running(self) -> bool:
        """Whether any task is running."""
        return bool(self._threads)

    def cancel(self) -> None:
        """Make tasks raise :class:`Cancelled` when they check for it or run Python code."""
        self._cancelled.set()
        with self._lock:
            for thread in self._threads - {get_ident()}:
                _raise_in(thread, Cancelled)

    def __enter__(self) -> "Work":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        """Cancel tasks after an exception; wait until none is running."""
        told = -math.inf
        while self.running:
            # if an exception is propagating, another interrupt adds nothing
            with suppress(KeyboardInterrupt) if kind is not None else nullcontext():
                if (kind is not None or self.cancelled) and time.monotonic() > told + _PATIENCE:
                    told = time.monotonic()
                    self.cancel()  # again: an exception may get lost in callbacks from C
                time.sleep(_MOMENT)

    def _begin(self) -> None:
        with self._lock:
            self._threads.add(get_ident())

    def _end(self) -> None:
        with self._lock:
            self._threads.discard(get_ident())
            _raise_in(get_ident(), None)


class Task:
    """A function that is counted while it runs, and returns None if it is canceled.

    Its own exceptions cancel the work it is a part of.
    """

    def __init__(self, work: Work, function: Callable) -> None:
        self.work, self.function = work, function

    def __call__(self, *arguments) -> Any:
        token = _current.set(self.work)
        try:
            self.work._begin()
            raise_if_cancelled()
            return self.function(*arguments)
        except Cancelled:
            return None
        except BaseException:
            self.work.cancel()
            raise
        finally:
            self._end()
            _current.reset(token)

    def _end(self) -> None:
        try:
            self.work._end()
        except Cancelled:  # raised after the function had ended
            self._end()


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Make a thread raise an exception as soon as it runs Python code; None revokes that."""
    given = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), given)


_current: ContextVar[Work | None] = ContextVar("current work", default=None)


_rest_of_the_process = Work()


@contextmanager
def ended_with_the_process():
    """Cancel this thread's work, and wait for it, when Python exits."""
    work = _rest_of_the_process
    if _current.get() is not None or current_thread() is main_thread():
        yield  # another thread waits for it
        return
    token = _current.set(work)
    work._begin()
    try:
        yield
    finally:
        work._end()
        _current.reset(token)


def _end_the_rest() -> None:
    _rest_of_the_process.cancel()
    last = time.monotonic() + _LAST
    while _rest_of_the_process.running and time.monotonic() < last:
        time.sleep(_MOMENT)


atexit.register(_end_the_rest)


def raise_if_cancelled() -> None:
    """End the work of this thread if nobody waits for it anymore.

    Raises
    ------
    Cancelled
        If it was canceled.
    """
    work = _current.get()
    if work is not None and work.cancelled:
        raise Cancelled


def in_threads(
    function: Callable,
    items: Iterable,
    n_threads: int,
    after_each: Callable[[], object] = lambda: None,
) -> list:
    """Results of a function for all items, in order; the first exception ends all work.

    Parameters
    ----------
    function : callable
        Function of one item. Each call sees the caller's context variables.
    items : iterable
    n_threads : int
        With one thread, or for one item, the function is called in this thread.
    after_each : callable, optional
        Called in this thread after each result.
    """
    items, results = list(items), []
    if min(n_threads, len(items)) <= 1:
        for item in items:
            raise_if_cancelled()
            results.append(function(item))
            after_each()
        return results
    with ThreadPoolExecutor(n_threads) as threads, Work() as work:
        task = work.task(function)
        started = [threads.submit(copy_context().run, task, item) for item in items]
        for future in started:
            results.append(future.result())
            after_each()
    raise_if_cancelled()  # with the surrounding work; some results are then None
    return results
