"""Fitted estimators as netCDF-4 files that other programs and other releases can read.

ArviZ's groups are for others. The group ``skcocoafuse`` is what :func:`read` goes by: every array
bit by bit, and in its attribute ``fit`` the rest as JSON.
"""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from skcocoafuse._version import __version__
from skcocoafuse.persistence.fitted import FittedState, arrays_of, state_from, values_of
from skcocoafuse.persistence.values import decode, encode

FORMAT = "skcocoafuse fit"
MAJOR, MINOR = 1, 0  # a reader takes every minor version of its major one
_GROUP = "skcocoafuse"
_HDF5 = b"\x89HDF\r\n\x1a\n"  # how netCDF-4 files begin


class Saved(NamedTuple):
    """What a file holds: an estimator's class, its parameters, and what ``fit`` found."""

    kind: type
    parameters: dict[str, Any]
    state: FittedState


def write(path, kind: type, parameters: dict[str, Any], state: FittedState, groups) -> None:
    """Write a fitted estimator.

    Parameters
    ----------
    path : str or path-like
    kind : type
        Class of the estimator.
    parameters : dict
        Of its constructor.
    state : FittedState
    groups : dict of str to xarray.Dataset
        For other programs.

    Raises
    ------
    TypeError
        If the class is not of this package, or a value of a kind that has no place in JSON.
    """
    import xarray

    if not kind.__module__.startswith("skcocoafuse."):
        raise TypeError(
            "save() writes regressors of skcocoafuse, so that load() runs no other code; got an "
            f"estimator of the class {kind.__qualname__} in {kind.__module__}. Keep it by "
            "joblib.dump or skops.io.dump."
        )
    attrs = {
        "format": FORMAT,
        "format_version": f"{MAJOR}.{MINOR}",
        "estimator": kind.__name__,
        "parameters": _dumps({name: encode(p, name) for name, p in parameters.items()}),
        "versions": _dumps(_versions()),
    }
    fit = {name: encode(value, name) for name, value in values_of(state).items()}
    own = xarray.Dataset(arrays_of(state), attrs={"fit": _dumps(fit)})
    tree = xarray.DataTree.from_dict({**groups, _GROUP: own})
    tree.attrs.update(attrs)
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    try:
        tree.to_netcdf(part, engine="h5netcdf", encoding={f"/{_GROUP}": _checksums(own)})
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read(path, kinds: Mapping[str, tuple[type, float | None]]) -> Saved:
    """Read what :func:`write` wrote.

    Parameters
    ----------
    path : str or path-like
    kinds : mapping of str to (type, float or None)
        Classes that a file may name, with their ``ModelSpec.behavior``.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be opened.
    ValueError
        If it is not ours, of another major version, truncated, or does not fit together.
    """
    attrs = _our_attributes(path)
    name = str(attrs.get("estimator"))
    if name not in kinds:
        raise ValueError(
            f"{path} cannot be loaded: its attribute 'estimator' must be one of {list(kinds)}; got "
            f"{name!r}. Upgrade skcocoafuse if a newer release wrote the file."
        )
    kind, behavior = kinds[name]
    try:
        parameters = decode(json.loads(attrs["parameters"]))
        state = _read_state(path, behavior)
    except Exception as error:  # damage can cause any; the cause stays attached
        raise ValueError(
            f"{path} is damaged, or its parts do not fit together: {type(error).__name__}: {error}."
            f" It was saved with {attrs.get('versions')}. Copy it again, save the fit again, or "
            "load it with the versions it was saved with."
        ) from error
    return Saved(kind, parameters, state)


def _read_state(path, behavior: float | None) -> FittedState:
    import h5py

    with h5py.File(path, "r") as file:
        group = file[_GROUP]
        return state_from(group, decode(json.loads(group.attrs["fit"])), behavior)


def _our_attributes(path) -> dict[str, Any]:
    """Attributes of a whole file of this format and major version."""
    import h5py

    with open(path, "rb") as stream:
        head = stream.read(len(_HDF5))
    if head != _HDF5:
        raise ValueError(
            f"{path} was not written by save(): it must be a netCDF-4 file, which begins with "
            f"{_HDF5!r}; got {head!r}. Read other files with what wrote them: joblib.load, "
            "pickle.load, skops.io.load."
        )
    try:
        with h5py.File(path, "r") as file:
            attrs = dict(file.attrs)
    except (OSError, KeyError, RuntimeError) as error:  # what h5py makes of HDF5's errors
        raise ValueError(
            f"{path} is truncated or damaged: it must be a whole netCDF-4 file; got {error}. Copy "
            "it again, or save the fit again."
        ) from error
    if attrs.get("format") != FORMAT:
        raise ValueError(
            f"{path} was not written by save(): its attribute 'format' must be {FORMAT!r}; got "
            f"{attrs.get('format')!r}. Groups that to_arviz() gave are read by arviz.from_netcdf; "
            "they are not a whole fit."
        )
    found = str(attrs.get("format_version"))
    if found.split(".")[0] != str(MAJOR):
        raise ValueError(
            f"{path} is of another major version: format_version must be {MAJOR}.x for skcocoafuse "
            f"{__version__}; got {found}. Load it with the versions it was saved with, "
            f"{attrs.get('versions')}, or a newer skcocoafuse."
        )
    return attrs


def _checksums(arrays) -> dict[str, dict[str, Any]]:
    """Encodings by which HDF5 notices, when it reads an array, that numbers have changed."""
    return {
        name: {"fletcher32": True}
        for name, array in arrays.data_vars.items()
        if array.size and array.ndim
    }


def _dumps(value) -> str:
    return json.dumps(value, allow_nan=False)


def _versions() -> dict[str, str]:
    """Of what a file depends on."""
    packages = ("numpy", "scikit-learn", "xarray", "h5netcdf")
    return {
        "skcocoafuse": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }
