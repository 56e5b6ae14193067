"""A path means the same to ``save`` and ``load``, whatever its type, and errors leave nothing."""

import os
from pathlib import Path

import numpy as np
import pytest

from skcocoafuse import MoERegressor, load


@pytest.fixture(scope="module")
def model(transition):
    X, y = transition[0][:40], transition[1][:40]
    return MoERegressor(1, inference="map", random_state=0).fit(X, y)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A working directory and a home, both empty."""
    here, home = tmp_path / "here", tmp_path / "home"
    for place in (here, home):
        place.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    return here, home


def files(place):
    return sorted(str(p.relative_to(place)) for p in place.rglob("*") if p.is_file())


TYPES = pytest.mark.parametrize("kind", [str, Path, os.fsencode], ids=["str", "Path", "bytes"])


@TYPES
@pytest.mark.parametrize(
    "name", ["x.nc", "./x.nc", "~x.nc", "~/x.nc", "s3::x.nc", "größe 1.nc", "no-suffix"]
)
def test_a_path_is_taken_as_it_is_written(model, places, kind, name):
    here, home = places
    (here / "~").mkdir()
    model.save(kind(name))
    assert files(here) == [os.path.normpath(name)]
    assert files(home) == []
    for again in (kind(name), name, Path(name), here / name):
        np.testing.assert_array_equal(load(again).expert_coef_, model.expert_coef_)


@TYPES
def test_a_tilde_is_not_the_home(model, places, kind):
    (places[1] / "saved.nc").touch()
    for function in (model.save, load):
        with pytest.raises(FileNotFoundError, match=r"expanduser\(path\)"):
            function(kind("~/saved.nc"))
    assert files(places[0]) == []
    assert files(places[1]) == ["saved.nc"]


@pytest.mark.parametrize(
    ("path", "error", "match"),
    [
        ("", FileNotFoundError, "a file in a folder that exists"),
        ("missing/x.nc", FileNotFoundError, "missing/x.nc"),
        ("x.nc/", IsADirectoryError, "not a folder"),
        (".", IsADirectoryError, "not a folder"),
        (3, TypeError, "path must be a str or path-like.*got 3"),
        (None, TypeError, "got None"),
    ],
)
def test_what_is_no_name_of_a_file(model, places, path, error, match):
    for function in (model.save, load):
        with pytest.raises(error, match=match):
            function(path)
    assert files(places[0]) == files(places[1]) == []
