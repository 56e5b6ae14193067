"""Temporary changes of process-wide settings, also by overlapping threads.

A fork copies such settings, and the locks of threads that the child does not have. So a fork waits
until no other thread holds one, and the child undoes the changes of others.
"""

import functools
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from threading import RLock, get_ident
from typing import Any

# Packages that this one imports inside functions, and what those import
_IMPORTED_LATE = {"skcocoafuse", "arviz", "h5py", "llvmlite", "matplotlib", "numba", "nutpie"}
_IMPORTED_LATE |= {"pandas", "pymc", "pytensor", "rich", "scipy", "sklearn", "skpro", "xarray"}


def process_wide(change: Callable[[], AbstractContextManager]):
    """A change that the first thread to enter makes and the last to leave undoes.

    Otherwise a setting is restored too early or not at all: the first of two threads to leave
    undoes the other's change, and the second leaves the first one's behind permanently.

    Parameters
    ----------
    change : callable
        Returns the context manager that changes the setting.

    Returns
    -------
    callable
        Returns context managers that may overlap.
    """
    setting = _Setting(change)
    _settings.append(setting)

    @functools.wraps(change)
    @contextmanager
    def shared():
        thread = get_ident()
        setting.enter(thread)
        try:
            yield
        finally:
            setting.leave(thread)

    return shared


class _Setting:
    """A change of a process-wide setting, and how often each thread has entered it."""

    def __init__(self, change):
        self.change, self.made = change, ExitStack()
        self.inside: Counter[int] = Counter()
        self.lock = RLock()

    def enter(self, thread: int) -> None:
        with self.lock:
            if not self.inside:
                self.made.enter_context(self.change())
            self.inside[thread] += 1

    def leave(self, thread: int) -> None:
        with self.lock:
            self.inside[thread] -= 1
            self.inside += Counter()  # drops counts of zero
            if not self.inside:
                self.made.close()

    def only(self, thread: int) -> None:
        """Undo changes made for threads that no longer exist."""
        was = bool(self.inside)
        self.inside = Counter({t: n for t, n in self.inside.items() if t == thread})
        if was and not self.inside:
            self.made.close()


_settings: list[_Setting] = []


# -- forks ---------------------------------------------------------------------------------


_held: list[Any] = []  # locks acquired by a fork, in order


def _before_fork() -> None:
    """Wait for other threads' imports, compilations and changes, in the order they may nest."""
    _wait_for_imports()
    numba_has = sys.modules.get("numba.core.compiler_lock")
    locks: list[Any] = [] if numba_has is None else [numba_has.global_compiler_lock]
    for lock in [*locks, *(setting.lock for setting in _settings)]:
        lock.acquire()
        _held.append(lock)


def _wait_for_imports() -> None:
    """A module that another thread imports at the time of a fork stays locked in the child."""
    for name, module in list(sys.modules.items()):
        late = name.partition(".")[0] in _IMPORTED_LATE
        if late and getattr(getattr(module, "__spec__", None), "_initializing", False):
            try:
                import_module(name)  # returns at once where this thread imports it
            except Exception:  # the importing thread will see it; nothing is locked now
                continue


def _release() -> None:
    while _held:
        _held.pop().release()


def _in_child() -> None:
    _release()
    for setting in _settings:
        setting.only(get_ident())


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_release, after_in_child=_in_child)


@process_wide
@contextmanager
def no_warnings():
    """Suppress warnings about values that the user did not request, in other threads too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
