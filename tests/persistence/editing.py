"""Crafted files: what a file says is changed, and its digest made right again."""

import json
import math
from pathlib import Path

import numpy as np

from skcocoafuse.persistence.container import pack, read_file, unpack


def reseal(source, target, edit) -> None:
    """Write an edited copy: ``edit(index, image)`` changes both in place."""
    contents = unpack(read_file(source), source)
    index, image = contents.index, bytearray(contents.image)
    edit(index, image)
    Path(target).write_bytes(pack(bytes(image), json.dumps(index).encode()))


def at(way: str, value):
    """An edit of the index; dots lead inward, and numbers are places in lists."""

    def edit(index, image):
        *outer, last = way.split(".")
        inner = index
        for step in outer:
            inner = inner[int(step) if isinstance(inner, list) else step]
        inner[int(last) if isinstance(inner, list) else last] = value

    return edit


def without(way: str):
    def edit(index, image):
        *outer, last = way.split(".")
        inner = index
        for step in outer:
            inner = inner[step]
        del inner[last]

    return edit


def array(name: str, values):
    """An edit that puts another array behind the rest of the image."""

    def edit(index, image):
        index["arrays"][name] = [values.dtype.str, list(values.shape), len(image)]
        image += values.tobytes()

    return edit


def numbers(name: str, change):
    """An edit of an array's bytes, where they are: ``change(view)`` in place."""

    def edit(index, image):
        dtype, shape, offset = index["arrays"][name]
        change(np.frombuffer(image, dtype, math.prod(shape), offset).reshape(shape))

    return edit


def both(*edits):
    def edit(index, image):
        for one in edits:
            one(index, image)

    return edit
