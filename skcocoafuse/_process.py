"""Settings of the whole process that are changed for a while, also where threads overlap."""

import functools
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Lock


def process_wide(change: Callable[[], AbstractContextManager]):
    """A change that is made by the first of those inside, and undone by the last to leave.

    What a setting was before is otherwise given back too early or not at all: the first of two to
    leave undoes the other's change, and the second leaves the first one's behind for good.

    Parameters
    ----------
    change : callable
        Makes the context manager that changes the setting.

    Returns
    -------
    callable
        Makes context managers that may overlap.
    """
    lock, change_made = Lock(), ExitStack()
    n_inside = 0

    @functools.wraps(change)
    @contextmanager
    def shared():
        nonlocal n_inside
        with lock:
            if n_inside == 0:
                change_made.enter_context(change())
            n_inside += 1
        try:
            yield
        finally:
            with lock:
                n_inside -= 1
                if n_inside == 0:
                    change_made.close()

    return shared


@process_wide
@contextmanager
def no_warnings():
    """Say nothing of values that nobody asked for; other threads are not heard either."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
