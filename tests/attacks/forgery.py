"""Random changes of what a saved file says, its digest made right again, each loaded.

``python -m tests.attacks.forgery FILE N`` prints as JSON how many of each kind were refused, and
how many gave a fit, which then must predict. Ends with an error if one raised anything else than a
ValueError, or took longer or more memory than it may.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from skcocoafuse import load
from skcocoafuse.persistence.container import pack, read_file, unpack
from tests.attacks.bounds import bound, outcome, watchdog
from tests.attacks.damage import CHANGES

HOSTILE = [
    None, True, -1, 0, 3, 10**9, 10**400, -(2**63), 0.5, 1e308, 5e-324, "", "x", "$array",
    "9" * 5000, [], [[]], [0] * 1000, [10**9, 10**9], ["a"], {}, {"a": {}}, {"$float": "nan"},
    {"$float": "1e5"}, {"$tuple": [1]}, {"$array": ["f", 8, [2], [0.0, 1.0]]},
    {"$array": ["U", 4, [1], ["a"]]}, {"$array": ["f", 8, [0, 10**9], []]},
    {"$prior": {"family": "laplace"}}, {"$python": "exit()"},
    {"$transformer": ["SplineTransformer", {"n_knots": 10**9}]},
    {"$transformer": ["PolynomialFeatures", {"degree": 10**9}]},
    {"$transformer": ["FeatureUnion", {"transformer_list": [], "n_jobs": 64}]},
    {"$transformer": ["OneHotEncoder", {}]}, {"$dtype": "float32"}, {"$dtype": "object"},
]  # fmt: skip


def in_values(contents, rng) -> bytes:
    """One or two values in the JSON, anywhere, replaced or removed."""
    index = json.loads(json.dumps(contents.index))
    for _ in range(rng.integers(1, 3)):
        places = list(_places(index))
        inner, key = places[rng.integers(len(places))]
        if rng.random() < 0.1:
            del inner[key]
        else:
            inner[key] = HOSTILE[rng.integers(len(HOSTILE))]
    return pack(bytes(contents.image), json.dumps(index).encode())


def _places(node):
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)


def in_json(contents, rng) -> bytes:
    """Bytes of the JSON, as if damaged."""
    text = bytearray(json.dumps(contents.index).encode())
    CHANGES[rng.integers(len(CHANGES))](text, rng)
    return pack(bytes(contents.image), bytes(text))


def in_image(contents, rng) -> bytes:
    """Bytes of the arrays and of HDF5's own, as if damaged."""
    image = bytearray(contents.image)
    CHANGES[rng.integers(len(CHANGES))](image, rng)
    return pack(bytes(image), json.dumps(contents.index).encode())


FORGERIES = (in_values, in_json, in_image)


def look_at(model, X) -> None:
    model.predict_interval(X)
    model.log_prob(X, X[:, 0])
    model.summary()


def main(source: str, n: int) -> None:
    contents = unpack(read_file(source), source)
    X = np.zeros((3, contents.index["fit"]["n_features_in"]))
    look_at(load(source), X)  # imports and compiled code are not what is timed
    bound()
    counts: Counter = Counter()
    with TemporaryDirectory() as folder:
        path = Path(folder, "forged.nc")
        for seed in range(n):
            forge = FORGERIES[seed % len(FORGERIES)]
            path.write_bytes(forge(contents, np.random.default_rng(seed)))
            try:
                result, model = outcome(path)
                if result == "loaded":
                    with watchdog():
                        look_at(model, X)
            except Exception as error:
                raise RuntimeError(f"forgery {seed} ({forge.__name__}): {error!r}") from error
            counts[f"{forge.__name__}: {result}"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
