"""Random changes of a saved file, each loaded: ``python -m tests.attacks.damage FILE N``.

Prints as JSON how many changes of each kind were refused, and how many gave the same fit. Ends with
an error if one gave another fit, anything else than a ValueError, or took longer than it may.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from skcocoafuse import load
from tests.attacks.bounds import bound, content, outcome


def flip(data: bytearray, rng) -> None:
    """Some bits."""
    for place in rng.integers(len(data), size=rng.choice([1, 1, 2, 8])):
        data[place] ^= 1 << int(rng.integers(8))


def cut(data: bytearray, rng) -> None:
    """The end, or a piece from within."""
    start = int(rng.integers(len(data)))
    size = len(data) if rng.random() < 0.5 else int(2 ** rng.uniform(0, 14))
    del data[start : start + size]


def zero(data: bytearray, rng) -> None:
    """A block, at times a page of a disk; or right where HDF5 keeps text of any length."""
    size = int(2 ** rng.uniform(0, 14))
    start = int(rng.integers(len(data)))
    if rng.random() < 0.3:
        size, start = 4096, start // 4096 * 4096
    elif rng.random() < 0.1:
        size, start = 48, max(0, data.find(b"GCOL")) + 16
    end = min(len(data), start + size)
    data[start:end] = bytes(end - start)


def insert(data: bytearray, rng) -> None:
    """Bytes, at times at the end."""
    start = len(data) if rng.random() < 0.1 else int(rng.integers(len(data)))
    data[start:start] = rng.bytes(int(2 ** rng.uniform(0, 10)))


def overwrite(data: bytearray, rng) -> None:
    """A block by another one of the file."""
    size = min(int(2 ** rng.uniform(3, 13)), len(data) // 2)
    source, target = rng.integers(len(data) - size, size=2)
    data[target : target + size] = data[source : source + size]


CHANGES = (flip, cut, zero, insert, overwrite)


def main(source: str, n: int) -> None:
    original, expected = Path(source).read_bytes(), content(load(source))
    bound()
    counts: Counter = Counter()
    with TemporaryDirectory() as folder:
        path = Path(folder, "changed.nc")
        for seed in range(n):
            rng, data = np.random.default_rng(seed), bytearray(original)
            change = CHANGES[seed % len(CHANGES)]
            change(data, rng)
            path.write_bytes(data)
            result, found = outcome(path)
            if result == "loaded" and content(found) != expected:
                sys.exit(f"change {seed} ({change.__name__}) gave another fit")
            counts[f"{change.__name__}: {result}"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
