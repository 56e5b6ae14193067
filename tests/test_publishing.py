"""What `python -m build` packs, and that the same version and licence are named everywhere."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import skcocoafuse

ROOT = Path(__file__).parents[1]
GENERATED = ["doc/_build/html/index.html", "doc/auto_examples/plot.rst", "tests/old.pyc"]
NAME = f"skcocoafuse-{skcocoafuse.__version__}"


def sources() -> set[str]:
    """Files under version control, without those of services, such as ``.github/``."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout, so it is not known which files are sources")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    return {name for name in listed if name and name[0] != "." and (ROOT / name).exists()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of both archives, built from a copy of the sources with generated files beside.

    Without isolation, so that nothing is downloaded.
    """
    pytest.importorskip("build", reason="needs the package build, of the extra test")
    copy = tmp_path_factory.mktemp("sources")
    for name in sorted(sources()):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    for name in GENERATED:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).touch()
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert not done.returncode, done.stdout + done.stderr
    return copy / "dist"


@pytest.fixture(scope="module")
def wheel(built):
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as archive:
        yield archive


def test_sdist_has_every_source_and_nothing_generated(built):
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        files = {m.name.removeprefix(f"{NAME}/") for m in archive.getmembers() if m.isfile()}
    extra = {name for name in files - sources() if ".egg-info/" not in name}
    assert sources() <= files
    assert extra == {"PKG-INFO", "setup.cfg"}


def test_wheel_has_the_package_its_data_and_its_licences(wheel):
    files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert files == {name for name in sources() if name.startswith("skcocoafuse/")}
    assert files > {
        "skcocoafuse/py.typed",
        "skcocoafuse/datasets/wind_power.csv.gz",
        "skcocoafuse/datasets/wind_power.LICENSE.txt",
    }
    licences = {"LICENSE", "skcocoafuse/datasets/wind_power.LICENSE.txt"}
    assert {f"{NAME}.dist-info/licenses/{name}" for name in licences} <= {*wheel.namelist()}


def test_metadata_say_what_pypi_shows(wheel):
    metadata = message_from_bytes(wheel.read(f"{NAME}.dist-info/METADATA"))
    assert metadata["Version"] == skcocoafuse.__version__
    assert metadata["License-Expression"] == "BSD-3-Clause AND etalab-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Author"]
    assert metadata["Keywords"]
    urls = {url.partition(",")[0] for url in metadata.get_all("Project-URL")}
    assert urls >= {"Repository", "Documentation", "Changelog"}
    minors = {c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier") if ":: 3." in c}
    assert min(minors) == metadata["Requires-Python"].removeprefix(">=")
