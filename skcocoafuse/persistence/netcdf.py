"""Groups as the bytes of a netCDF-4 file, made in memory: a full disk is no matter of HDF5.

Text is bytes of a fixed size throughout, characters along an axis of their own in arrays: netCDF's
own text, which every reader of it knows. Of variable length there is only what netCDF-4 itself has
in its dimensions. Arrays are contiguous and not filtered, so each is at an offset.
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
        Of the whole.
    """
    import h5netcdf

    stream = io.BytesIO()
    with h5netcdf.File(stream, "w") as file:
        _set_attributes(file, attrs)
        for name, dataset in groups.items():
            _write_group(file.create_group(name), dataset)
    return stream.getvalue()


def offsets_in(image: bytes, group: str, names) -> dict[str, int]:
    """Where the arrays of a group begin in an image, by name."""
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
            if dim not in group.dimensions:  # that of characters
                group.dimensions[dim] = size
        created = group.create_variable(name, dims, values.dtype, data=values)
        along = [other for other in beside if set(dataset[other].dims) <= set(dims)]
        if along and name not in dataset.coords:
            attrs["coordinates"] = " ".join(along)  # so CF names coordinates that are no dims
        _set_attributes(created, attrs)
    _set_attributes(group, dataset.attrs)


def _as_netcdf(dims: tuple[str, ...], values: np.ndarray):
    """Dims, array and attributes by which xarray and others know bools and strings again."""
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
