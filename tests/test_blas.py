"""One thread of BLAS, whatever else runs beside."""

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from skcocoafuse._blas import one_thread_of_blas


def threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        assert threads()
        yield threads()


def test_the_limit_is_given_back(two_threads):
    with one_thread_of_blas():
        assert threads() == [1] * len(two_threads)
    assert threads() == two_threads
    with pytest.raises(KeyError), one_thread_of_blas():
        raise KeyError
    assert threads() == two_threads


def test_the_first_of_two_to_leave_does_not_lift_the_others_limit(two_threads):
    """Fits in threads begin and end in any order."""
    first, second = one_thread_of_blas(), one_thread_of_blas()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert threads() == [1] * len(two_threads)
    second.__exit__(None, None, None)
    assert threads() == two_threads
