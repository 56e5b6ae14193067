"""One thread of BLAS, whatever else runs beside."""

import pytest
from threadpoolctl import threadpool_limits

from skcocoafuse._blas import one_thread_of_blas
from tests.conftest import blas_threads


@pytest.fixture
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        assert blas_threads()
        yield blas_threads()


def test_the_limit_is_given_back(two_threads):
    with one_thread_of_blas():
        assert blas_threads() == [1] * len(two_threads)
    assert blas_threads() == two_threads
    with pytest.raises(KeyError, match="on purpose"), one_thread_of_blas():
        raise KeyError("on purpose")
    assert blas_threads() == two_threads


def test_the_first_of_two_to_leave_does_not_lift_the_others_limit(two_threads):
    """Fits in threads begin and end in any order."""
    first, second = one_thread_of_blas(), one_thread_of_blas()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert blas_threads() == [1] * len(two_threads)
    second.__exit__(None, None, None)
    assert blas_threads() == two_threads
