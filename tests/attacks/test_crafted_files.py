"""Files that someone made to do harm, with the right digest: each is refused, and costs nothing."""

import json
import os
import sys

import h5py
import numpy as np
import pytest

from skcocoafuse import load
from skcocoafuse.persistence.container import pack, read_file, unpack
from tests.attacks.bounds import content
from tests.attacks.conftest import run
from tests.persistence.editing import array, at, both, numbers, reseal, without

HUGE = 10**9
EXPERT = "fit.designs.expert.transformer.$transformer"
COLUMNS = f"{EXPERT}.1.transformers"
STATE = "parameters.random_state.$random_state"


def entry(name, dtype=None, shape=None, offset=None):
    """An edit of what the index says of an array, whose bytes stay."""

    def edit(index, image):
        old = index["arrays"][name]
        index["arrays"][name] = [
            o if n is None else n for o, n in zip(old, (dtype, shape, offset), strict=True)
        ]

    return edit


def transformer(kind, **parameters):
    """Another one for the experts, fitted when the file is loaded."""
    return at(EXPERT, [kind, parameters])


def part(kind, columns, **parameters):
    return ["a", {"$transformer": [kind, parameters]}, columns]


def inputs(kinds, levels=(None, None)):
    return at("fit.inputs", {"kinds": kinds, "levels": list(levels)})


def fill(value):
    return lambda view: view.fill(value)


def nested(depth):
    inner = {"$transformer": ["StandardScaler", {}]}
    for _ in range(depth):
        inner = {"$transformer": ["FeatureUnion", {"transformer_list": [["a", inner]]}]}
    return inner


def doubled(depth):
    """Two of it in each of two: time and memory grow by powers, the JSON does not need to."""
    inner = ["a", {"$transformer": ["PolynomialFeatures", {"degree": 8}]}]
    for _ in range(depth):
        two = [inner, ["b", *inner[1:]]]
        inner = ["a", {"$transformer": ["FeatureUnion", {"transformer_list": two}]}]
    return inner[1]


CRAFTED = {
    # arrays: beyond the file, larger than it, of what compiled code does not expect
    "array beyond the end": (entry("y", offset=HUGE), "inside the file"),
    "array before the start": (entry("y", offset=-8), "inside the file"),
    "array of 8 GB": (entry("y", shape=[HUGE]), "inside the file"),
    "array whose size overflows": (entry("y", shape=[2**62, 2**62]), "inside the file"),
    "array of a negative size": (entry("y", shape=[-1]), "shape"),
    "array of true rows": (entry("y", shape=[True]), "shape"),
    "array of many axes": (entry("y", shape=[1] * 40), "shape"),
    "arrays over each other": (
        lambda index, image: index["arrays"].update(
            {f"stats_{k}": ["<f8", [len(image) // 8], 0] for k in range(1000)}
        ),
        "must share",
    ),
    "many statistics of the same bytes": (
        lambda index, image: index["arrays"].update(
            {f"stats_{k}": index["arrays"]["log_posterior"] for k in range(10_000)}
        ),
        "must share",
    ),
    "objects": (entry("y", dtype="|O"), "dtype"),
    "records": (entry("y", dtype="<f8,<f8"), "dtype"),
    "text for numbers": (entry("y", dtype="<U8"), "dtype"),
    "small target": (entry("y", dtype="|i1"), "y must have numbers of its kind"),
    "single precision": (entry("X_expert", dtype="<f4"), "X_expert must have numbers of its kind"),
    "integers for draws": (entry("sigma", dtype="<i8"), "sigma must have numbers of its kind"),
    "flags that are none": (
        both(
            array("feature_is_used", np.full(2, 7, np.uint8)),
            lambda index, image: index["arrays"]["feature_is_used"].__setitem__(0, "|b1"),
        ),
        "bytes 0 and 1",
    ),
    "fewer rows of a matrix": (array("X_gate", np.zeros((79, 1))), "shape"),
    "one axis more": (array("y", np.zeros((80, 1))), "y must have one axis"),
    "infinite target": (numbers("y", fill(np.inf)), "y must have finite"),
    "draws that are no numbers": (numbers("expert_coef", fill(np.nan)), "finite"),
    "negative sigma": (numbers("sigma", fill(-1.0)), "positive"),
    "negative weights": (numbers("sample_weight", fill(-1.0)), "no negative"),
    "no weight at all": (numbers("sample_weight", fill(0.0)), "a positive one"),
    "no arrays": (at("arrays", []), "arrays"),
    "array that is no list": (at("arrays.y", {"offset": 0}), "arrays.y"),
    # sizes that are only said
    "a billion inputs": (
        both(at("fit.n_features_in", HUGE), at("fit.feature_names_in", None)),
        "n_features_in",
    ),
    "a billion experts": (at("fit.n_experts", HUGE), "shape"),
    "experts without end": (at("fit.n_experts", 10**400), "shape"),
    "a billion chains": (at("fit.islands", [list(range(1000)), [HUGE]]), "each chain once"),
    "a column far away": (
        at("fit.designs.gate.columns", {"$array": ["i", 8, [1], [HUGE]]}),
        "numbers below 2",
    ),
    "a column from the end": (
        at("fit.designs.gate.columns", {"$array": ["i", 8, [1], [-1]]}),
        "numbers below 2",
    ),
    "text as long as the longest": (
        at("parameters.gate_features", {"$array": ["U", 4, [3000], ["a" * 100_000] + [""] * 2999]}),
        "at most",
    ),
    "an array larger than its items": (
        at("fit.designs.gate.columns", {"$array": ["i", 8, [HUGE], [0]]}),
        "reshape",
    ),
    # transformers, which are fitted
    "a billion knots": (
        transformer("SplineTransformer", n_knots=HUGE),
        "n_knots must be an int from 0 to",
    ),
    "knots without number": (
        transformer("SplineTransformer", n_knots={"$float": "nan"}),
        "n_knots must be an int",
    ),
    "a spline of a high degree": (transformer("SplineTransformer", degree=5000), "degree must be"),
    "a polynomial of a high degree": (
        transformer("PolynomialFeatures", degree=HUGE, interaction_only=True),
        "degree must be",
    ),
    "of which few monomials are kept": (
        transformer("PolynomialFeatures", degree={"$tuple": [40, 40]}),
        "columns must be",
    ),
    "minus a billion knots, to pay for others": (
        transformer("SplineTransformer", n_knots=-HUGE),
        "n_knots must be",
    ),
    "a column many times": (
        transformer("ColumnTransformer", transformers=[part("StandardScaler", [0] * 100_000)]),
        "columns must be",
    ),
    "many empty parts": (
        transformer("FeatureUnion", transformer_list=[[f"{k}", "drop"] for k in range(100_000)]),
        "columns must be",
    ),
    "unions of unions": (at(EXPERT.removesuffix(".$transformer"), doubled(10)), "columns must be"),
    "unions without end": (at(EXPERT.removesuffix(".$transformer"), nested(300)), "RecursionError"),
    "processes": (at(f"{EXPERT}.1.n_jobs", 64), "n_jobs must be null"),
    "processes of one inside": (
        at(f"{COLUMNS}.0.$tuple.1.$transformer", ["FeatureUnion", {"n_jobs": -1}]),
        "n_jobs must be null",
    ),
    "processes in a parameter": (
        at("parameters.gate_features", {"$transformer": ["FeatureUnion", {"n_jobs": 2}]}),
        "n_jobs must be null",
    ),
    "a billion knots in a parameter": (
        at("parameters.gate_features", {"$transformer": ["SplineTransformer", {"n_knots": HUGE}]}),
        "n_knots must be an int from 0 to",
    ),
    "names as long as a format says": (
        at(f"{EXPERT}.1.verbose_feature_names_out", "{feature_name:>99999999999}"),
        "without formats",
    ),
    "another transformer": (transformer("Pipeline", steps=[]), "unknown transformer"),
    "a transformer of the system": (transformer("os.system", command="true"), "unknown"),
    "parameters that it has not": (transformer("StandardScaler", memory="x"), "memory"),
    "a prior as a transformer": (
        at("fit.designs.expert.transformer", {"$prior": {"family": "laplace"}}),
        "a known kind",
    ),
    "no transformer but its name": (at("fit.designs.expert.transformer", "drop"), "a known kind"),
    "a type of no numbers": (
        transformer("OneHotEncoder", dtype={"$dtype": "object"}),
        "a $dtype must be",
    ),
    "as many categories as a list has": (
        transformer(
            "OneHotEncoder", categories=[{"$array": ["f", 8, [5000], [*map(float, range(5000))]]}]
        ),
        "columns must be",
    ),
    "a column for each value, again and again": (
        transformer(
            "FeatureUnion",
            transformer_list=[[f"{k}", {"$transformer": ["OneHotEncoder", {}]}] for k in range(99)],
        ),
        "columns must be",
    ),
    # what transformers were fitted to
    "inputs that are a list": (at("fit.inputs", []), "inputs must have kinds and levels"),
    "inputs of another kind": (inputs(["float64", "os.system"]), "of a known kind"),
    "kinds of other columns": (inputs(["float64"]), "an entry per column"),
    "levels of other objects": (inputs(["float64", "object"], [None, [[]]]), "codes of levels"),
    "codes of no level": (
        both(inputs(["float64", "object"], [None, ["a"]]), numbers("X", fill(1.0))),
        "codes of levels",
    ),
    "a text of a megabyte in every row": (
        both(inputs(["float64", "str"], [None, ["a" * 2**20]]), numbers("X", fill(0.0))),
        "characters a row",
    ),
    "flags of columns that are numbers": (
        at("fit.numeric_columns", {"$array": ["i", 8, [2], [0, 1]]}),
        "numeric_columns must have 2 flags",
    ),
    # random states
    "a position beyond the words": (at(f"{STATE}.state.pos", 10**6), "Mersenne"),
    "a position before them": (at(f"{STATE}.state.pos", -5), "Mersenne"),
    "few words": (at(f"{STATE}.state.key", {"$array": ["u", 4, [1], [1]]}), "Mersenne"),
    "words that are zero": (
        at(f"{STATE}.state.key", {"$array": ["u", 4, [624], [0] * 624]}),
        "Mersenne",
    ),
    "another generator": (at(f"{STATE}.bit_generator", "PCG64"), "Mersenne"),
    "a number kept that is none": (at(f"{STATE}.gauss", {"$float": "nan"}), "Mersenne"),
    # JSON of other types
    "a text for the parameters": (at("parameters", "all"), "names and values"),
    "a list for the fit": (at("fit", []), "TypeError"),
    "a text for the designs": (at("fit.designs", "all"), "TypeError"),
    "names that are numbers": (at("fit.designs.gate.names", [1]), "list of strings"),
    "a name for names": (at("fit.designs.gate.names", "x"), "list of strings"),
    "text for a scale": (at("fit.target.scale", "1"), "target must have loc and scale"),
    "a scale of zero": (at("fit.target.scale", 0.0), "target must have loc and scale"),
    "an infinite location": (at("fit.target.loc", {"$float": "inf"}), "target must have"),
    "a negative variance": (at("fit.rounding_variance", -1.0), "rounding_variance"),
    "weights that do not sum to one": (
        at("fit.island_weight", {"$array": ["f", 8, [1], [3.0]]}),
        "sum of one",
    ),
    "priors that are a list": (at("fit.priors", []), "priors must be a dict"),
    "a prior of text": (
        at("fit.priors.sigma", {"$prior": {"family": "lognormal", "scale": "1"}}),
        "number scale",
    ),
    "no diagnostics": (at("fit.diagnostics", None), "diagnostics"),
    "diagnostics of text": (at("fit.diagnostics.rhat", "1"), "diagnostics.rhat"),
    "shares of other experts": (
        at("fit.diagnostics.expert_share", {"$array": ["f", 8, [1], [1.0]]}),
        "expert_share",
    ),
    "remedies that are a list": (at("fit.diagnostics.remedies", []), "diagnostics.remedies"),
    "a remedy without its cost": (
        at("fit.diagnostics.remedies", {"more draws": {"rounds": 1}}),
        "rounds and gradients and seconds",
    ),
    "a remedy of text": (
        at("fit.diagnostics.remedies", {"x": {"rounds": 1, "gradients": "1", "seconds": 0.1}}),
        "gradients must be a number",
    ),
    "half a fit": (without("fit.islands"), "islands"),
    "draws of another type": (at("parameters.draws", "many"), "draws"),
    "jobs of another type": (at("parameters.n_jobs", [1]), "n_jobs"),
    "a prior of another type": (at("parameters.priors", {"sigma": 1.0}), "priors"),
}


def _texts():
    """Indices that are no JSON, or none that could be read."""
    yield "no JSON", b"{'format': 1}", "cannot be read"
    yield "an empty index", b"", "cannot be read"
    yield "no UTF-8", b'{"format": "\xff"}', "cannot be read"
    yield "lists without end", b"[" * 1_000_000, "cannot be read"
    yield "a number without end", b'{"format": ' + b"9" * 100_000 + b"}", "cannot be read"
    yield "no number", b'{"format": NaN}', "cannot be read"
    yield "a list", b"[]", "must be a JSON object"


TEXTS = {name: (text, says) for name, text, says in _texts()}


@pytest.fixture(scope="module")
def said(files, tmp_path_factory):
    """What loading says to each crafted file, all in one process."""
    folder = tmp_path_factory.mktemp("crafted")
    source = files["vi"]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)  # what is nested must be written
    for name, (edit, _) in CRAFTED.items():
        reseal(source, folder / f"{name}.nc", edit)
    sys.setrecursionlimit(limit)
    for name, (text, _) in TEXTS.items():
        contents = unpack(read_file(source), source)
        (folder / f"{name}.nc").write_bytes(pack(bytes(contents.image), text))
    return run("crafted", folder, timeout=120)


@pytest.mark.parametrize("name", [*CRAFTED, *TEXTS])
def test_crafted_files_are_refused(name, said):
    _, says = (CRAFTED | TEXTS)[name]
    assert says in said[name]
    assert f"{name}.nc" in said[name]


# -- what HDF5 can be told, which is not asked -------------------------------------------


def external(group, other):
    del group["y"]
    outside = [(str(other), 0, h5py.h5f.UNLIMITED)]
    group.create_dataset("y", (80,), "f8", external=outside)


def virtual(group, other):
    del group["y"]
    layout = h5py.VirtualLayout((80,), "f8")
    layout[:] = h5py.VirtualSource(str(other), "skcocoafuse/y", (80,))
    group.create_virtual_dataset("y", layout)


def external_link(group, other):
    del group["y"]
    group["y"] = h5py.ExternalLink(str(other), "skcocoafuse/y")


def soft_link(group, other):
    del group["y"]
    group["y"] = h5py.SoftLink("/skcocoafuse/sample_weight")


def sparse(group, other):
    del group["y"]
    group.create_dataset("y", (2**28,), "f8", chunks=(2**20,))


def varying(group, other):
    group.attrs["fit"] = "{}"


TRICKS = (external, virtual, external_link, soft_link, sparse, varying)


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.__name__)
def test_what_hdf5_is_told_of_other_places_is_refused(trick, files, tmp_path):
    """The digest says that the file was changed. Made right again, nothing of it is followed."""
    path = tmp_path / "told.nc"
    path.write_bytes(files["vi"].read_bytes())
    with h5py.File(path, "r+") as file:
        trick(file["skcocoafuse"], files["map"])
    with pytest.raises(ValueError, match="damaged"):
        load(path)
    index = json.dumps(unpack(read_file(files["vi"]), path).index).encode()
    path.write_bytes(pack(path.read_bytes(), index))
    loaded = load(path)
    assert content(loaded) == content(load(files["vi"]))


# -- what is no file ---------------------------------------------------------------------


def test_pipes_and_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", "/dev/null"):
        with pytest.raises(ValueError, match="must be a regular file"):
            load(path)
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


def test_a_file_that_is_one_hole_is_not_read(files, tmp_path):
    path = tmp_path / "hole.nc"
    path.write_bytes(files["map"].read_bytes())
    os.truncate(path, 2**40)
    with pytest.raises(ValueError, match="truncated or damaged"):
        load(path)
