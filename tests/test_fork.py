"""A fork while another thread works: the child has neither its locks nor its settings."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

HEAD = """if True:
    import os, signal, sys, threading, time, warnings
    warnings.simplefilter("ignore")
    import numpy as np
    from threadpoolctl import threadpool_info, threadpool_limits
    from skcocoafuse import MoERegressor
    from skcocoafuse.datasets import make_switch

    X, y = make_switch(30, random_state=0)
    model = MoERegressor(inference="map", n_jobs=1, random_state=0)
    limits = threadpool_limits(2, user_api="blas")

    def blas():
        return [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]

    def child(work):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work()
                code = 0
            finally:
                os._exit(code)
        for _ in range(3000):  # a cold cache is compiled first
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                assert os.waitstatus_to_exitcode(status) == 0, status
                return
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise SystemExit("the child hangs")

    def fit_and_predict():
        assert blas() == before, (blas(), before)
        assert len(warnings.filters) == n_filters
        fitted = model.fit(X, y)
        assert np.isfinite(fitted.predict(X)).all()
        assert blas() == before

    before, n_filters = blas(), len(warnings.filters)
"""


def run(code):
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HEAD + code],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_child_fits_while_a_thread_of_its_parent_did():
    run("""
    stop = threading.Event()
    def loop():
        other = MoERegressor(inference="map", n_jobs=1, random_state=1)
        while not stop.is_set():
            other.fit(X, y)
    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    for pause in (0.0, 0.03, 2.0, 0.05, 0.02):  # the first while the thread imports
        time.sleep(pause)
        child(fit_and_predict)
    stop.set()
    thread.join()
    assert blas() == before
    """)


def test_settings_of_threads_that_the_child_does_not_have_are_undone():
    run("""
    from skcocoafuse._blas import one_thread_of_blas
    from skcocoafuse._process import no_warnings
    inside, leave = threading.Event(), threading.Event()
    with one_thread_of_blas():
        assert set(blas()) == {1}
    def hold():
        with one_thread_of_blas(), no_warnings():
            inside.set()
            leave.wait()
    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    inside.wait()
    assert set(blas()) == {1}, (blas(), before)
    def own():
        assert blas() == before, blas()
        assert len(warnings.filters) == n_filters
    child(own)
    with one_thread_of_blas():  # those of the thread that forks stay, until it leaves
        def kept():
            assert set(blas()) == {1}, (blas(), before)
        child(kept)
        pid = os.fork()
    if pid == 0:
        os._exit(0 if blas() == before else 1)
    status = os.waitpid(pid, 0)[1]; assert status == 0, status
    leave.set()
    thread.join()
    assert blas() == before
    """)


def test_locks_that_other_threads_hold_are_waited_for():
    run("""
    from numba.core.compiler_lock import global_compiler_lock
    from skcocoafuse import _process
    locks = [global_compiler_lock, *(setting.lock for setting in _process._settings)]
    for lock in locks:
        held = threading.Event()
        def hold():
            with lock:
                held.set()
                time.sleep(0.3)
        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        held.wait()
        def taken():
            with lock:
                pass
        child(taken)
        thread.join()
    """)


def test_imports_of_other_threads_are_waited_for(tmp_path):
    """In the child, the lock of a module that was half imported would never be released."""
    (tmp_path / "xarray.py").write_text("import time; time.sleep(1); here = 1")
    run(f"""
    sys.path.insert(0, {str(tmp_path)!r})
    thread = threading.Thread(target=__import__, args=("xarray",))
    thread.start()
    while "xarray" not in sys.modules:
        time.sleep(0.01)
    def use():
        import xarray
        assert xarray.here
    child(use)
    thread.join()
    """)


def test_properties_that_other_threads_compute_do_not_block():
    """In Python 3.11 all instances share a lock, which a child inherits as it is."""
    run("""
    from skcocoafuse._cached import cached_property
    inside, leave = threading.Event(), threading.Event()
    class Slow:
        @cached_property
        def value(self):
            if threading.current_thread() is not threading.main_thread():
                inside.set()
                leave.wait()
            return 1
    thread = threading.Thread(target=lambda: Slow().value)
    thread.start()
    inside.wait()
    child(lambda: Slow().value)
    leave.set()
    thread.join()
    assert isinstance(Slow.value, cached_property)
    """)
