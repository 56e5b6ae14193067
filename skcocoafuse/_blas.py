"""One thread of BLAS while some work runs, also where such work overlaps in threads."""

from threadpoolctl import threadpool_limits

from skcocoafuse._process import process_wide


@process_wide
def one_thread_of_blas():
    """Limit BLAS of the whole process to one thread until the last of those inside leaves."""
    return threadpool_limits(1, user_api="blas")
