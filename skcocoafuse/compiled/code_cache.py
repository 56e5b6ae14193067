"""numba's cache of machine code, which may fail without harm.

numba raises errors if it can neither write nor read its cache: at import, if no folder is writable;
at a first call, if a disk is full or a file is damaged. Code compiled in this process works just
as well, so each of these becomes one warning, and the function is compiled.

numba recompiles a function when its own file changes. The functions it calls and the constants it
imports are part of its code too, so here a change of any file in ``_SOURCES`` counts.

Files contain the SHA-256 of their content, since damaged machine code may load and then return
wrong numbers, or crash. They are read and written as a whole, so two processes may replace one.
"""

import hashlib
import pickle
import threading
import warnings
from functools import lru_cache
from pathlib import Path

from numba.core import config
from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache

from skcocoafuse.exceptions import CodeCacheWarning

__all__ = ["cache_for", "in_use"]

_DIGEST = hashlib.sha256().digest_size
_ROOM = Path(__file__).parent
#: Sources of the code in this folder: its own files, and the tables that constants come from.
_SOURCES = [
    *sorted(_ROOM.glob("*.py")),
    *(_ROOM.parent / "model" / f"{table}.py" for table in ("parameters", "priors", "rows")),
]
_said = threading.Lock()  # held permanently after the first warning, so no fork finds it in between


class _DamagedFile(Exception):
    """A cache file is not what was written."""


def in_use() -> bool:
    """Whether the next process will presumably find what is compiled now."""
    return not _said.locked()


@lru_cache
def _digest_of_sources() -> bytes:
    digest = hashlib.sha256()
    for path in _SOURCES:
        if path.exists():  # not in a zip file, or if only bytecode is installed
            digest.update(path.read_bytes())
    return digest.digest()


def cache_for(function):
    """A cache for a dispatcher or C callback of numba that never raises.

    Parameters
    ----------
    function : function
        What is compiled.

    Returns
    -------
    numba.core.caching.FunctionCache or NullCache
        The latter if no folder is writable.
    """
    try:
        cache = _SafeCache(function)
    except Exception as error:  # numba raises RuntimeError, the system several OSErrors
        tried = config.CACHE_DIR or str(Path(function.__code__.co_filename).parent / "__pycache__")
        _warn(f"No folder for compiled code can be written (tried first: {tried}): {error}.")
        return NullCache()
    wanted, others = config.CACHE_DIR, getattr(config, "CACHE_LOCATOR_CLASSES", "")
    if wanted and not others and not Path(cache.cache_path).is_relative_to(wanted):
        _warn(f"NUMBA_CACHE_DIR is {wanted}, which cannot be written.", cache.cache_path)
    return cache


class _SafeCache(FunctionCache):
    """numba's cache of one function; on failure it warns, and the function is compiled."""

    def __init__(self, function):
        super().__init__(function)
        self._cache_file = _CheckedFile(
            cache_path=self._cache_path,
            # numba's own name is for files without a digest
            filename_base=f"{self._impl.filename_base}.checked",
            source_stamp=(self._impl.locator.get_source_stamp(), _digest_of_sources()),
        )

    def load_overload(self, sig, target_context):
        """The compiled function, or None, also if it cannot be read."""
        try:
            return super().load_overload(sig, target_context)
        except CodeCacheWarning:  # if warnings are errors
            raise
        except Exception as error:  # numba, pickle and LLVM each raise their own
            _warn(f"Compiled code in {self.cache_path} cannot be read: {_words(error)}.")
            return None

    def save_overload(self, sig, data):
        """Save a compiled function, if it can be written."""
        try:
            super().save_overload(sig, data)
        except CodeCacheWarning:
            raise
        except Exception as error:
            _warn(f"Compiled code cannot be written to {self.cache_path}: {_words(error)}.")


class _CheckedFile(IndexDataCacheFile):
    """Index and data files with a digest at their end; a damaged one counts as missing.

    The data file of a function repeats its index entry: with two processes, one may be older
    than the other.
    """

    def load(self, key):
        """What was saved under a key, or None."""
        name = self._load_index().get(key)
        found = None if name is None else _read(self._data_path(name))
        if found is None or found[:2] != (self._source_stamp, key):
            return None
        return found[2]

    def save(self, key, data):
        """Save under a key, replacing any existing content."""
        super().save(key, (self._source_stamp, key, data))

    def _load_index(self):
        found = _read(self._index_path)
        if found is None or found[:2] != (self._version, self._source_stamp):
            return {}  # none yet, or of another version
        return found[2]

    def _save_index(self, overloads):
        self._write(self._index_path, (self._version, self._source_stamp, overloads))

    def _save_data(self, name, data):
        self._write(self._data_path(name), data)

    def _write(self, path, content):
        content = self._dump(content)
        with self._open_for_write(path) as file:
            file.write(content + hashlib.sha256(content).digest())


def _read(path: str):
    """The content of a file; None if it cannot be read, with a warning unless it is missing."""
    try:
        content = Path(path).read_bytes()
        content, digest = content[:-_DIGEST], content[-_DIGEST:]
        if hashlib.sha256(content).digest() != digest:
            raise _DamagedFile("its SHA-256 is not that of what was written")
        return pickle.loads(content)
    except FileNotFoundError:
        return None
    except Exception as error:
        _warn(f"The file of compiled code {path} cannot be read: {_words(error)}.")
        return None


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _warn(fault: str, instead: str | None = None) -> None:
    """Warn about the first fault in this process; those of other functions are similar."""
    if not _said.acquire(blocking=False):
        return
    then = (
        f"Compiled code is saved in {instead} instead."
        if instead
        else "Missing code is compiled in this process, which takes up to a minute; results are "
        "the same, and damaged files are replaced if possible."
    )
    warnings.warn(
        f"{fault} {then} If this happens again, set NUMBA_CACHE_DIR to another folder that is "
        "writable and has space.",
        CodeCacheWarning,
        stacklevel=2,
    )
