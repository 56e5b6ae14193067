"""What tests share, made once a run: by the first of pytest-xdist's workers that asks for it."""

import os
import pickle
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # no such locks: every process has a folder of its own there, see folder_of
    fcntl = None


def folder_of(basetemp: Path) -> Path:
    """Where the workers of a run find each other; ``basetemp`` is this process's own."""
    in_worker = "PYTEST_XDIST_WORKER" in os.environ
    folder = (basetemp.parent if in_worker and fcntl is not None else basetemp) / "made once"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def locked(path: Path, wait: bool):
    """Hold a lock that ends with this process, however it ends; yields whether it is held."""
    if fcntl is None:
        yield True
        return
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def made_once(folder: Path, makers: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Results of functions, each called by one process only.

    What another process makes right now is left to the end, so that several share the work. If a
    maker fails or its process dies, the next one makes it.

    Parameters
    ----------
    folder : Path
        The same for all processes; a result is a pickle in it.
    makers : dict of str to callable
        By names that are unique in the run.

    Returns
    -------
    dict
        Copies, also for the process that made them.
    """
    found = {}
    for wait in (False, True):
        for name in makers.keys() - found.keys() if wait else makers:
            with locked(folder / f"{name}.lock", wait) as held:
                if held:
                    found[name] = _made(folder / f"{name}.pickle", makers[name])
    return {name: found[name] for name in makers}


def _made(path: Path, make: Callable[[], Any]) -> Any:
    if not path.exists():
        part = path.with_suffix(".part")
        part.write_bytes(pickle.dumps(make()))
        part.replace(path)  # as a whole, or a process that dies would leave half of it
        with open(path.with_suffix(".makers"), "a") as makers:
            makers.write(f"{os.getpid()}\n")
    return pickle.loads(path.read_bytes())
