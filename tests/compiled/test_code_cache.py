"""A cache of compiled code that cannot be written or read costs time, and one warning."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SMALL = """if True:
    from numba import types
    from skcocoafuse.compiled.jit import c_callback, njit

    @njit(cache=True)
    def inner(x):
        return 2.0 * x

    @njit(cache=True)
    def outer(x):
        return inner(x) + 1.0

    @c_callback(types.float64(types.float64))
    def callback(x):
        return outer(x)
"""
USE = """if True:
    import json, warnings
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        import small
        values = [small.outer(3.0), small.callback.ctypes(3.0), small.outer(4)]
    print(json.dumps({
        "values": values,
        "warnings": [[w.category.__name__, str(w.message)] for w in record],
        "hits": sum(small.outer.stats.cache_hits.values()) + small.callback.cache_hits,
    }))
"""


def run(code, cache, folder="."):
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "NUMBA_CACHE_DIR": str(cache),
            "PYTHONPATH": os.pathsep.join([str(folder), os.getcwd()]),
            "NUMBA_DISABLE_JIT": "0",
        },
        timeout=500,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def one_warning(found):
    ((category, message),) = found["warnings"]
    assert category == "CodeCacheWarning"
    assert "NUMBA_CACHE_DIR" in message
    return message


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The folder of a module of a few compiled functions, which call one another."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.py").write_text(SMALL)
    return folder


@pytest.fixture(scope="module")
def filled(small):
    """The cache of a process that had nothing in its way."""
    cache = small / "cache"
    assert run(USE, cache, small) == {"values": [7.0, 7.0, 9.0], "warnings": [], "hits": 0}
    return cache


@pytest.fixture
def cache(filled, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(filled, tmp_path / "cache"))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path):
    path.write_bytes(b"")


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def foreign(path):
    path.write_bytes(np.random.default_rng(0).bytes(3000))


def made_a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("fault", [cut, emptied, flipped, foreign, made_a_folder])
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_a_damaged_file_is_compiled_again_and_replaced(small, cache, kind, fault):
    """Also where LLVM would load it: machine code with another bit gives other numbers."""
    files = sorted(cache.rglob(f"*.{kind}"))
    assert len(files) >= 3
    for path in files:
        fault(path)
    damaged = run(USE, cache, small)
    assert damaged["values"] == [7.0, 7.0, 9.0]
    assert any(str(path) in one_warning(damaged) for path in files)
    after = run(USE, cache, small)
    assert after["values"] == [7.0, 7.0, 9.0]
    if fault is made_a_folder:  # a user's, whatever is in it
        one_warning(after)
    else:
        assert (after["warnings"], after["hits"]) == ([], 3)


FULL_DISK = """if True:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
"""
READ_ONLY = """if True:
    import errno, tempfile
    def refused(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")
    tempfile.TemporaryFile = refused
"""
UNREADABLE = """if True:
    import errno, io
    def refused(path, *args, open=io.open, **kwargs):
        if str(path).endswith(".nbi"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open(path, *args, **kwargs)
    io.open = refused
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX")
def test_a_full_disk_leaves_nothing_half_written(small, tmp_path):
    cache = tmp_path / "cache"
    found = run(FULL_DISK + USE, cache, small)
    assert found["values"] == [7.0, 7.0, 9.0]
    assert str(cache) in one_warning(found)
    assert not [path for path in cache.rglob("*") if ".tmp." in path.name]
    after = run(USE, cache, small)
    assert (after["values"], after["warnings"]) == ([7.0, 7.0, 9.0], [])


def test_no_folder_can_be_written(small, tmp_path):
    found = run(READ_ONLY + USE, tmp_path / "cache", small)
    assert found["values"] == [7.0, 7.0, 9.0]
    assert str(tmp_path / "cache") in one_warning(found)


def test_files_of_another_user(small, cache):
    found = run(UNREADABLE + USE, cache, small)
    assert found["values"] == [7.0, 7.0, 9.0]
    assert "Permission denied" in one_warning(found)


def test_a_folder_that_cannot_be_used_is_named_though_numba_has_another(small):
    (small / "file").write_text("")
    found = run(USE, small / "file" / "cache", small)
    message = one_warning(found)
    assert str(small / "file" / "cache") in message
    assert str(small / "__pycache__") in message
    assert list((small / "__pycache__").glob("*.nbi"))


def test_a_warning_as_an_error_is_one(small, cache):
    for path in cache.rglob("*.nbi"):
        cut(path)
    code = """if True:
        import json, warnings
        from skcocoafuse.exceptions import CodeCacheWarning
        warnings.simplefilter("error")
        try:
            import small
        except CodeCacheWarning:
            import small
            print(json.dumps(small.outer(3.0)))
    """
    assert run(code, cache, small) == 7.0


def test_an_index_and_a_data_file_of_different_processes(small, cache):
    """Each of two processes may have replaced one of them last."""
    first, second = sorted(cache.rglob("small.outer*.nbc"))
    content = first.read_bytes(), second.read_bytes()
    first.write_bytes(content[1])
    second.write_bytes(content[0])
    found = run(USE, cache, small)
    assert (found["values"], found["warnings"]) == ([7.0, 7.0, 9.0], [])


FIT = """if True:
    import json, logging, warnings
    logging.disable()
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        from skcocoafuse import CoCoAFusERegressor
        from skcocoafuse.datasets import make_transition
        X, y = make_transition(20, random_state=0)
        model = CoCoAFusERegressor(inference="map", random_state=0, n_jobs=1).fit(X, y)
        values = model.predict(X[:2]).tolist() + model.predict_dist(X[:2]).median().tolist()
    caught = [[w.category.__name__, str(w.message)] for w in record]
    print(json.dumps({
        "values": values, "warnings": [w for w in caught if w[0] == "CodeCacheWarning"]
    }))
"""


@pytest.mark.slow  # compiles everything, four times
def test_fits_and_predictions_without_a_cache(tmp_path):
    expected = run(FIT, tmp_path)
    assert expected["warnings"] == []
    files = [*tmp_path.rglob("*.nbi"), *tmp_path.rglob("*.nbc")]
    rng = np.random.default_rng(0)
    for path in files:
        rng.choice([cut, emptied, flipped, foreign])(path)
    damaged = run(FIT, tmp_path)
    one_warning(damaged)
    for found in (
        damaged,
        run(FIT, tmp_path),
        run(READ_ONLY + FIT, tmp_path / "b"),
        run(FULL_DISK + FIT, tmp_path / "c"),
    ):
        np.testing.assert_allclose(found["values"], expected["values"], rtol=1e-9)
