"""The house rules that a machine can check: layers, light imports, PyMC where it belongs."""

import ast
import inspect
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import skcocoafuse
from skcocoafuse import datasets, metrics, plotting

ROOT = Path(skcocoafuse.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Imports go downward only: a file may import its own layer's folder and lower layers.
LAYERS = [
    {"__init__", "metrics"},
    {"estimators"},
    {"evaluation", "plotting", "streams"},
    {"inference", "persistence"},
    {"posterior"},
    {"predictive", "datasets"},
    {"compiled"},
    {"model"},
    {
        "_validation",
        "_arviz",
        "_blas",
        "_cached",
        "_hints",
        "_process",
        "_threads",
        "_version",
        "exceptions",
    },
]
DEPTH = {name: depth for depth, names in enumerate(LAYERS) for name in names}
HEAVY = {"pymc", "pytensor", "nutpie", "arviz", "numba", "xarray", "pandas", "matplotlib", "rich"}
HEAVY |= {"h5py", "h5netcdf"}
HEAVY |= {"skpro"}  # an extra
MAY_IMPORT_AT_THE_TOP = {  # files that are themselves imported inside functions
    "compiled/code_cache.py": {"numba"},
    "compiled/jit.py": {"numba"},
    "compiled/kernel.py": {"numba"},
    "compiled/log_posterior.py": {"numba"},
    "predictive/skpro_distribution.py": {"skpro", "pandas"},
}
# Methods that draw forward to the display of their object, which needs layers above them.
MAY_IMPORT_UPWARD = {"predictive/bridges.py": {"skcocoafuse.plotting"}}


def test_properties_are_cached_without_a_lock():
    """See ``_cached``: the one of functools may hang a forked process on Python 3.11."""
    found = [
        str(path.relative_to(ROOT))
        for path in FILES
        if re.search(r"functools(?: import.*|\.)cached_property", path.read_text())
    ]
    assert found == ["_cached.py"]


def room(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports(path: Path, top_level_only: bool):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def lines_of_code(path: Path) -> set[int]:
    """Numbers of the lines that are neither blank nor comments nor docstrings."""
    text = path.read_text(encoding="utf-8")
    lines = {n for n, s in enumerate(text.splitlines(), 1) if s.strip() and s.strip()[0] != "#"}
    for node in ast.walk(ast.parse(text)):
        text_alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if text_alone and isinstance(node.value.value, str):
            lines -= {*range(node.lineno, node.end_lineno + 1)}
    return lines


def test_every_room_has_its_layer():
    assert {room(path) for path in FILES} == set(DEPTH)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downward(path):
    here = room(path)
    for name in imports(path, top_level_only=False):
        parts = name.split(".")
        if parts[0] != "skcocoafuse" or len(parts) == 1 or parts[1] not in DEPTH:
            continue
        there = parts[1]
        if ".".join(parts[:2]) in MAY_IMPORT_UPWARD.get(path.relative_to(ROOT).as_posix(), ()):
            continue
        assert there == here or DEPTH[there] >= DEPTH[here], f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_packages_are_imported_inside_functions(path):
    name = str(path.relative_to(ROOT).as_posix())
    top = {module.split(".")[0] for module in imports(path, top_level_only=True)}
    assert not (top & HEAVY) - MAY_IMPORT_AT_THE_TOP.get(name, set())


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_can_be_seen_whole(path):
    """Lines of code: what a user reads in docstrings takes the room it needs."""
    count = len(lines_of_code(path))
    assert count <= 350, f"{path.name} has {count} lines of code"


def test_functions_can_be_seen_whole():
    """Half of them within 8 lines of code."""
    lengths = []
    for path in FILES:
        code = lines_of_code(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                lengths.append(len(code & {*range(node.body[0].lineno, node.end_lineno + 1)}))
    assert statistics.median(lengths) <= 8


def private_names(path: Path) -> set[str]:
    """What a file defines or assigns whose names begin with one underscore."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(getattr(node, "id", None) or node.attr)
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


BY_NAME = {"getattr", "hasattr", "setattr", "unwrap"}
PRIVATE = {path: private_names(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_is_private_stays_in_its_room(path):
    """Neither imported, nor an attribute of what came from elsewhere, nor reached by a string."""
    own = set().union(*(PRIVATE[other] for other in FILES if room(other) == room(path)))
    foreign = set().union(*PRIVATE.values()) - own
    used = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            used.add(node.attr)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in BY_NAME:
            used |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("skcocoafuse."):
            leaf = node.module.split(".")[1] == room(path)
            used |= set() if leaf else {alias.name for alias in node.names} - own
    assert not used & foreign


def numeric_constants(path: Path):
    """Lines of assignments at the top of a module of a number, or of a tuple of numbers."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        try:
            value = ast.literal_eval(node.value)
        except ValueError:
            continue
        numbers = value if isinstance(value, tuple) else (value,)
        if numbers and all(type(n) in (int, float) for n in numbers):
            yield node.lineno, node.end_lineno


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_numbers_at_the_top_of_a_module_say_why(path):
    """By a comment on their line, or on the one before."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for first, last in numeric_constants(path):
        told = "#" in lines[last - 1] or (first > 1 and lines[first - 2].startswith("#"))
        assert told, f"{path.name}:{first} {lines[first - 1]}"


@pytest.mark.parametrize(
    "module", [skcocoafuse, plotting, metrics, datasets], ids=lambda m: m.__name__
)
def test_everything_public_has_an_example(module):
    """Doctests run them; scorers are instances, whose class has one."""
    public = [getattr(module, name) for name in module.__all__]
    described = [each for each in public if inspect.isclass(each) or inspect.isfunction(each)]
    assert described
    assert [each.__name__ for each in described if ">>>" not in (each.__doc__ or "")] == []


def test_rows_are_cut_in_one_place():
    """Loops in steps of a size: the chunks of `model/chunks.py`, and constants in machine code."""

    def cuts(path):
        calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
        ranges = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "range"]
        return any(
            len(r.args) == 3 and isinstance(r.args[2], ast.Name | ast.Attribute) for r in ranges
        )

    cut = {path.relative_to(ROOT).as_posix() for path in FILES if cuts(path)}
    assert {name for name in cut if not name.startswith("compiled/")} == {"model/chunks.py"}


def test_arviz_is_known_in_one_file():
    users = {p.name for p in FILES if any(m.split(".")[0] == "arviz" for m in imports(p, False))}
    assert users == {"_arviz.py"}


def test_importing_the_package_is_light():
    code = "import sys, skcocoafuse; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not set(loaded) & {"pymc", "pytensor", "nutpie", "arviz", "numba", "matplotlib", "skpro"}
