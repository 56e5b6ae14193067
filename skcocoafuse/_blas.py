"""One thread of BLAS while some work runs, also where such work overlaps in threads."""

from contextlib import ExitStack, contextmanager
from threading import Lock

from threadpoolctl import threadpool_limits

_lock = Lock()
_n_inside = 0
_limit = ExitStack()


@contextmanager
def one_thread_of_blas():
    """Limit BLAS of the whole process to one thread until the last of those inside leaves.

    ``threadpool_limits`` alone gives back what it found: the first of two to leave would lift the
    other's limit, and the second would leave one thread behind for good.
    """
    global _n_inside
    with _lock:
        if _n_inside == 0:
            _limit.enter_context(threadpool_limits(1, user_api="blas"))
        _n_inside += 1
    try:
        yield
    finally:
        with _lock:
            _n_inside -= 1
            if _n_inside == 0:
                _limit.close()
