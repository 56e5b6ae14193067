"""What the user guide says of the code, where a machine can check it."""

import ast
import doctest
import re
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest

import skcocoafuse

ROOT = Path(skcocoafuse.__file__).parent
DOC = Path(__file__).parents[1] / "doc"
PAGES = [
    path for folder in (".", "coming_from", "user_guide") for path in DOC.glob(f"{folder}/*.rst")
]
PAGE = (DOC / "user_guide" / "sampler.rst").read_text("utf-8")
TABLES = re.split(r"^`(.+)\.py`\n~+$", PAGE, flags=re.MULTILINE)  # text, file, its table, file, ...
ROWS = [
    (name, value, file)
    for file, table in zip(TABLES[1::2], TABLES[2::2], strict=True)
    for name, value in re.findall(r"\* - `([\w.]+)`\n     - (.+)\n     - \S", table)
]


def test_every_row_of_the_table_of_constants_is_read():
    assert len(ROWS) == PAGE.count("   * - `") > 0


@pytest.mark.parametrize("file", sorted({file for _, _, file in ROWS}))
def test_table_of_constants_is_that_of_the_sampler(file):
    rows = [(name, value) for name, value, of in ROWS if of == file]
    module = import_module("skcocoafuse." + file.replace("/", "."))
    for name, value in rows:
        assert attrgetter(name)(module) == ast.literal_eval(value), name
    listed = {name.split(".")[0] for name, _ in rows}
    assert numbers((ROOT / f"{file}.py").read_text("utf-8")) <= listed


def numbers(source: str) -> set[str]:
    """Names in capitals that a module gives numbers to, or flat tuples of numbers."""
    found = set()
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign):
            continue
        (target,) = node.targets
        pairs = [(target, node.value)]
        if isinstance(target, ast.Tuple):
            pairs = list(zip(target.elts, node.value.elts, strict=True))
        found |= {name.id for name, value in pairs if name.id.isupper() and is_number(value)}
    return found


def is_number(node: ast.expr) -> bool:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return False
    return all(isinstance(n, int | float) for n in (value if isinstance(value, tuple) else [value]))


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(PAGES), ids=lambda page: page.stem)
def test_code_on_a_page_runs_and_prints_what_is_shown(page):
    assert doctest.testfile(str(page), module_relative=False).failed == 0
