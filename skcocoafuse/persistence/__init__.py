"""Fitted estimators as netCDF-4 files that other programs and other releases can read.

ArviZ's groups, and a group ``skcocoafuse`` with every array bit for bit, are for other programs.
``read`` uses only the index that follows them (``container``): the offsets of those arrays, and
everything else as JSON.
"""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from skcocoafuse._version import __version__
from skcocoafuse.persistence.atomic import replace_file
from skcocoafuse.persistence.container import Contents, arrays_in, pack, read_file, unpack
from skcocoafuse.persistence.fitted import arrays_of, fit_from, values_of
from skcocoafuse.persistence.netcdf import image_of, offsets_in
from skcocoafuse.persistence.values import decode, encode
from skcocoafuse.posterior.fit import Fit

FORMAT = "skcocoafuse fit"
MAJOR, MINOR = 2, 3  # a reader accepts every minor version of its major version
_GROUP = "skcocoafuse"


class Saved(NamedTuple):
    """Contents of a file: an estimator's class, its parameters, and the result of ``fit``."""

    kind: type
    parameters: dict[str, Any]
    fit: Fit


def write(path, kind: type, parameters: dict[str, Any], fit: Fit, groups) -> None:
    """Write a fitted estimator.

    Parameters
    ----------
    path : str or path-like
    kind : type
        Class of the estimator.
    parameters : dict
        Constructor parameters.
    fit : Fit
    groups : dict of str to xarray.Dataset
        For other programs.

    Raises
    ------
    TypeError
        If the class is not from this package, or a value cannot be written as JSON.
    ValueError
        If the file could not be read again.
    OSError
        If the file cannot be written.
    """
    if not kind.__module__.startswith("skcocoafuse."):
        raise TypeError(
            "save() writes regressors of skcocoafuse, so that load() runs no other code; got an "
            f"estimator of the class {kind.__qualname__} in {kind.__module__}. Save it with "
            "joblib.dump or skops.io.dump."
        )
    content = _content(kind, parameters, fit, groups)
    try:
        contents = unpack(content, path)
        _parameters_in(contents)
        _fit_in(contents, fit.problem.spec.behavior)
    except Exception as error:  # any error that reading would raise
        raise ValueError(
            f"save() wrote nothing to {path}, because load() would reject it: "
            f"{type(error).__name__}: {error}. Save it with joblib.dump or skops.io.dump."
        ) from error
    replace_file(path, content)


def _content(kind: type, parameters: dict[str, Any], fit: Fit, groups) -> bytes:
    """The bytes of a file."""
    import xarray

    index = {
        "format": FORMAT,
        "format_version": f"{MAJOR}.{MINOR}",
        "estimator": kind.__name__,
        "parameters": {name: encode(p, name) for name, p in parameters.items()},
        "versions": _versions(),
        "fit": {name: encode(value, name) for name, value in values_of(fit).items()},
    }
    text = {name: v if isinstance(v, str) else _dumps(v) for name, v in index.items()}
    arrays = arrays_of(fit)
    own = xarray.Dataset(arrays, attrs={"fit": text.pop("fit")})
    image = image_of({**groups, _GROUP: own}, text)
    offsets = offsets_in(image, _GROUP, arrays)
    index["arrays"] = {
        name: [array.dtype.str, list(array.shape), offsets[name]]
        for name, (_, array) in arrays.items()
    }
    return pack(image, _dumps(index).encode())


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
        If it is not from :func:`write`, of another major version, truncated, damaged, or
        inconsistent.
    """
    contents = unpack(read_file(path), path)
    index = contents.index
    name = _class_name(index, path)
    if name not in kinds:
        raise ValueError(
            f"{path} cannot be loaded: its attribute 'estimator' must be one of {list(kinds)}; got "
            f"{name!r}. Upgrade skcocoafuse if a newer release wrote the file."
        )
    kind, behavior = kinds[name]
    try:
        parameters = _parameters_in(contents)
        fit = _fit_in(contents, behavior)
    except Exception as error:  # damage can cause any error; it is chained
        raise ValueError(
            f"{path} is damaged, or its parts do not match: {type(error).__name__}: {error}."
            f" It was saved with {index.get('versions')}. Copy it again, save the fit again, or "
            "load it with the versions it was saved with."
        ) from error
    return Saved(kind, parameters, fit)


def _parameters_in(contents: Contents) -> dict[str, Any]:
    parameters = decode(contents.index["parameters"])
    if not isinstance(parameters, dict):
        raise ValueError("parameters must be names and values")
    return parameters


def _fit_in(contents: Contents, behavior: float | None) -> Fit:
    return fit_from(arrays_in(contents), decode(contents.index["fit"]), behavior)


def _class_name(index: dict[str, Any], path) -> str:
    """Class name of the estimator in a file of this format and major version."""
    if index.get("format") != FORMAT:
        raise ValueError(
            f"{path} was not written by save(): its 'format' must be {FORMAT!r}; got "
            f"{index.get('format')!r}."
        )
    found = index.get("format_version")
    if not isinstance(found, str) or found.split(".")[0] != str(MAJOR):
        raise ValueError(
            f"{path} is of another major version: format_version must be {MAJOR}.x for skcocoafuse "
            f"{__version__}; got {found}. Load it with the versions it was saved with, "
            f"{index.get('versions')}, or a newer skcocoafuse."
        )
    return str(index.get("estimator"))


def _dumps(value) -> str:
    return json.dumps(value, allow_nan=False)


def _versions() -> dict[str, str]:
    """Versions of the packages that a file depends on."""
    packages = ("numpy", "scikit-learn", "xarray", "h5netcdf")
    return {
        "skcocoafuse": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }
