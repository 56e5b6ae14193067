"""Groups as the bytes of a netCDF-4 file, created in memory so that HDF5 never meets a full disk.

Text is always of fixed size, with characters along a separate axis in arrays: netCDF's own text,
which every reader supports. Only netCDF-4's own dimension scales use variable length. Arrays are
contiguous and not filtered, so each is at an offset.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np


def image_of(groups: Mapping[str, Any], attrs: Mapping[str, str]) -> bytes:
    """The bytes of a netCDF-4 file.

    Parameters
    ----------
    groups : mapping of str to xarray.Dataset
        Of numbers, bools and strings.
    attrs : mapping of str to str
        Attributes of the root group.
    """
    import h5netcdf

    stream = io.BytesIO()
    with h5netcdf.File(stream, "w") as file:
        _set_attributes(file, attrs)
        for name, dataset in groups.items():
            _write_group(file.create_group(name), dataset)
    return stream.getvalue()


def offsets_in(image: bytes, group: str, names) -> dict[str, int]:
    """Offsets of the arrays of a group in an image, by name."""
    import h5py

    with h5py.File(io.BytesIO(image), "r") as file:
        return {name: file[group][name].id.get_offset() for name in names}


def _write_group(group, dataset) -> None:
    for dim, size in dataset.sizes.items():
        group.dimensions[dim] = size
    beside = [name for name in dataset.coords if name not in dataset.dims]
    for name, variable in dataset.variables.items():
        dims, values, attrs = _as_netcdf(variable.dims, variable.values)
        for dim, size in zip(dims, values.shape, strict=True):
            if dim not in group.dimensions:  # the axis of characters
                group.dimensions[dim] = size
        created = group.create_variable(name, dims, values.dtype, data=values)
        along = [other for other in beside if set(dataset[other].dims) <= set(dims)]
        if along and name not in dataset.coords:
            attrs["coordinates"] = " ".join(along)  # CF, for other coordinates
        _set_attributes(created, attrs)
    _set_attributes(group, dataset.attrs)


def _as_netcdf(dims: tuple[str, ...], values: np.ndarray):
    """Dims, array and attributes from which xarray and others restore bools and strings."""
    if values.dtype.kind == "b":
        return dims, values.astype(np.int8), {"dtype": "bool"}
    if values.dtype.kind not in "OU":
        return dims, values, {}
    encoded = [str(value).encode(errors="backslashreplace") for value in values.flat]
    width = max(1, *map(len, encoded)) if encoded else 1
    characters = np.array(encoded, f"S{width}").view("S1").reshape(*values.shape, width)
    return (*dims, f"string{width}"), characters, {"_Encoding": "utf-8"}


def _set_attributes(owner, attrs: Mapping[str, str]) -> None:
    import h5py

    for name, value in attrs.items():
        text = value.encode(errors="backslashreplace")
        owner.attrs[name] = np.array(text, h5py.string_dtype("utf-8", max(1, len(text))))
