"""The bytes of a saved fit: a netCDF-4 image, an index of its arrays, and a footer.

======  ===============================================================================
image   A complete netCDF-4 (HDF5) file. Other programs read it and stop at its end.
index   JSON: all values but arrays, and dtype, shape and offset of each array.
footer  ``_MAGIC``, start of the index, size of the file, SHA-256 of all bytes before it.
======  ===============================================================================

Reading uses only the footer and the index. HDF5 never sees the bytes of a file: damaged metadata
can make it loop or crash, and crafted metadata can name other files, virtual data sets and
filters. Here every number comes from within the image.
"""

import hashlib
import json
import math
import os
import stat
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from skcocoafuse.persistence.demands import is_count

_HDF5 = b"\x89HDF\r\n\x1a\n"  # the first bytes of netCDF-4 files
_MAGIC = b"skcocoafuse fit\n"
_FOOTER = struct.Struct("<16sQQ32s")  # 64 bytes
_DIGEST = hashlib.sha256().digest_size
_MAX_NDIM = 8  # a variable of a fit has at most 4 axes
# allowed dtypes of arrays: in either byte order, none that contain pointers
_DTYPES = {
    order + kind for order in "<>" for kind in ("f8", "f4", "i8", "i4", "i2", "u8", "u4", "u2")
} | {"|b1", "|i1", "|u1"}


@dataclass(frozen=True)
class Contents:
    """A file with a valid digest: the bytes of its image, and its index."""

    image: memoryview
    index: dict[str, Any]


def pack(image: bytes, index: bytes) -> bytes:
    """The bytes of a file.

    Parameters
    ----------
    image : bytes
        Of a netCDF-4 file.
    index : bytes
        A JSON object.
    """
    size = len(image) + len(index) + _FOOTER.size
    footer = _FOOTER.pack(_MAGIC, len(image), size, bytes(_DIGEST))[:-_DIGEST]
    content = image + index + footer
    return content + hashlib.sha256(content).digest()


def read_file(path) -> bytes:
    """The bytes of a file that :func:`pack` may have made, read once.

    Only the first and last few bytes of other files are read.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be opened.
    ValueError
        If it does not begin or end like such a file; the message says which.
    """
    with open(path, "rb", opener=_open_at_once) as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(
                f"{path} was not written by save(): it must be a regular file; got a device, a "
                "pipe or a socket."
            )
        head = stream.read(len(_HDF5))
        if head != _HDF5:
            raise ValueError(
                f"{path} was not written by save(): it must be a netCDF-4 file, which begins with "
                f"{_HDF5!r}; got {head!r}. Read other files with what wrote them: joblib.load, "
                "pickle.load, skops.io.load."
            )
        stream.seek(max(0, status.st_size - _FOOTER.size))
        if not _ends_well(stream.read(_FOOTER.size), status.st_size):
            raise ValueError(_no_footer(path))
        stream.seek(0)
        return stream.read(status.st_size)


def _open_at_once(path, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for a writer


def _ends_well(footer: bytes, size: int) -> bool:
    if len(footer) != _FOOTER.size:
        return False
    magic, start, stated, _ = _FOOTER.unpack(footer)
    return magic == _MAGIC and stated == size and start <= size - _FOOTER.size


def _no_footer(path) -> str:
    return (
        f"{path} is truncated or damaged, or was not written by save(): such a file ends with its "
        "size and its SHA-256, and this one does not. Copy it again, or save the fit again. "
        "Programs that modify a file drop them: open it read-only. Groups that "
        "to_arviz() returned are read by arviz.from_netcdf; they are not a whole fit. Files of "
        "format 1, of development versions before the first release, cannot be converted: fit "
        "again, or load them with the skcocoafuse that wrote them."
    )


def unpack(content: bytes, path) -> Contents:
    """Inverse of :func:`pack`; nothing is used before the digest has been verified.

    Parameters
    ----------
    content : bytes
    path : str or path-like
        For messages.

    Raises
    ------
    ValueError
        If the digest differs, or the index is not a JSON object.
    """
    if not _ends_well(content[-_FOOTER.size :], len(content)):
        raise ValueError(_no_footer(path))
    *_, start, _, digest = _FOOTER.unpack(content[-_FOOTER.size :])
    view = memoryview(content)
    if hashlib.sha256(view[:-_DIGEST]).digest() != digest:
        raise ValueError(
            f"{path} is damaged: its SHA-256 must be {digest.hex()}, as recorded in it, but its "
            "bytes have another, so some have changed since it was saved. Copy it again, or "
            "save the fit again."
        )
    try:
        index = json.loads(bytes(view[start : -_FOOTER.size]), parse_constant=_no_constant)
        if not isinstance(index, dict):
            raise ValueError(f"it must be a JSON object; got {type(index).__name__}")
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged: its index cannot be read: {type(error).__name__}: {error}. Copy "
            "it again, or save the fit again."
        ) from error
    return Contents(view[:start], index)


def _no_constant(name: str):
    raise ValueError(f"{name} is not valid JSON")


def arrays_in(contents: Contents) -> dict[str, np.ndarray]:
    """Arrays by name, as views of the image: they cost no memory.

    Raises
    ------
    ValueError
        If the index describes an impossible array, or more data than the image contains.
    """
    entries = contents.index.get("arrays")
    if not isinstance(entries, dict):
        raise ValueError("arrays must be a JSON object")
    arrays = {name: _array_in(contents.image, entry, name) for name, entry in entries.items()}
    total = sum(array.nbytes for array in arrays.values())
    if total > len(contents.image):
        raise ValueError(f"arrays must share {len(contents.image)} bytes; got {total}")
    return arrays


def _array_in(image: memoryview, entry, name: str) -> np.ndarray:
    if not isinstance(entry, list) or len(entry) != 3:
        raise ValueError(f"arrays.{name} must be [dtype, shape, offset]")
    dtype, shape, offset = entry
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ValueError(f"arrays.{name} must be of a dtype among {sorted(_DTYPES)}")
    if not isinstance(shape, list) or len(shape) > _MAX_NDIM or not all(map(is_count, shape)):
        raise ValueError(f"arrays.{name} must have a shape of at most {_MAX_NDIM} axes")
    count = math.prod(shape)
    size = count * np.dtype(dtype).itemsize
    if not is_count(offset) or offset + size > len(image):
        raise ValueError(f"arrays.{name} must be inside the file; got {size} bytes from {offset!r}")
    if dtype == "|b1" and (np.frombuffer(image, "|u1", count, offset) > 1).any():
        raise ValueError(f"arrays.{name} must be of bytes 0 and 1, as bools are")
    return np.frombuffer(image, dtype, count, offset).reshape(shape)
