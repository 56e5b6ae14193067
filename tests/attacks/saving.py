"""Saves that are killed, that meet each other, and that find no room, in processes forked here.

``python -m tests.attacks.saving {kills,crowd,full} FILE OTHER N`` prints figures as JSON. Ends with
an error if a file was ever there in part, or something was left.
"""

import itertools
import json
import os
import resource
import signal
import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from skcocoafuse import load
from skcocoafuse.persistence.atomic import replace_file
from tests.attacks.bounds import content


def forked(function) -> int:
    """Number of a process that does this and nothing else."""
    child = os.fork()
    if child:
        return child
    try:
        function()
        os._exit(0)
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
    finally:
        os._exit(1)


def writes(models, contents, path: Path, times) -> None:
    """Whole saves and bare writes in turn: a save spends most of its time before it writes."""
    for k in times:
        if k % 2:
            models[k // 2 % 2].save(path)
        else:
            for _ in range(20):
                replace_file(path, contents[k // 2 % 2])


def kills(models, path: Path, n: int) -> dict:
    """Processes that save again and again, killed at any moment."""
    rng, known = np.random.default_rng(0), {content(model) for model in models}
    contents = [packed(model, path) for model in models]
    found = 0
    for delay in rng.uniform(0.0, 0.5, size=n):
        child = forked(lambda: writes(models, contents, path, itertools.count()))
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert content(load(path)) in known
        found += len(os.listdir(path.parent)) > 1
    models[0].save(path)
    assert os.listdir(path.parent) == [path.name]
    return {"kills": n, "that left a file until the next save": found}


def crowd(models, path: Path, n: int, writers: int = 4, readers: int = 2) -> dict:
    """Processes that save to one path, while others load it."""
    known = {content(model) for model in models}
    contents = [packed(model, path) for model in models]
    parent = os.getpid()

    def read():
        while os.getppid() == parent:
            assert content(load(path)) in known

    reading = [forked(read) for _ in range(readers)]
    writing = [
        forked(lambda: writes(models, contents, path, range(2 * n // writers)))
        for _ in range(writers)
    ]
    failed = sum(os.waitpid(child, 0)[1] != 0 for child in writing)
    for child in reading:
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "a reader met a part of a file"
    assert not failed
    assert os.listdir(path.parent) == [path.name]
    return {"saves": n // writers * writers, "writes": 20 * (n // writers) * writers}


def packed(model, path: Path) -> bytes:
    model.save(path)
    return path.read_bytes()


def full(models, path: Path, n: int) -> dict:
    """No room beyond so many bytes; the process lives, and saves where there is room again."""
    models[0].save(path)
    before, limit = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    said: set[str] = set()
    for room in np.linspace(0, len(before) - 1, n).astype(int).tolist():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
        try:
            models[1].save(path)
            sys.exit(f"{room} bytes were enough")
        except OSError as error:
            said.add(type(error).__name__)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]
    models[1].save(path)
    assert content(load(path)) == content(models[1])
    return {"full": n, "said": sorted(said)}


def main(what: str, file: str, other: str, n: str) -> None:
    warnings.simplefilter("ignore")
    models = [load(file), load(other)]
    with TemporaryDirectory() as folder:
        models[1].save(Path(folder, "first.nc"))  # imports what saving needs, before any fork
        os.unlink(Path(folder, "first.nc"))
        print(json.dumps(globals()[what](models, Path(folder, "fit.nc"), int(n))))


if __name__ == "__main__":
    main(*sys.argv[1:])
