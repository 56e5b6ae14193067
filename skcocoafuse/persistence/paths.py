"""What a path means, to ``save`` and ``load`` alike."""

import errno
import os
from pathlib import Path


def local_path(path) -> Path:
    """The file that a path names, absolute, so that no library on the way reads it otherwise.

    As for ``open``, ``numpy.save`` and ``joblib.dump``, a path is taken as it is written: "~" is a
    name like any other, and so is "https:". xarray expands the one and downloads by the other.

    Parameters
    ----------
    path : str, bytes or path-like
        Relative ones begin at the working directory.

    Raises
    ------
    TypeError
        If it is none of these; open files have no name to go by.
    FileNotFoundError
        If it is empty, or its folder is not there.
    IsADirectoryError
        If it is a folder, or ends as one does.
    """
    try:
        written = os.fsdecode(path)
    except TypeError:
        raise TypeError(
            f"path must be a str or path-like, the name of a file; got {path!r}."
        ) from None
    found = Path(written).absolute()
    separators = tuple(filter(None, (os.sep, os.altsep)))
    if not written or not found.parent.is_dir():
        home = written.startswith("~")
        advice = " '~' is not expanded: give os.path.expanduser(path)." if home else ""
        raise FileNotFoundError(
            errno.ENOENT, f"path must name a file in a folder that exists.{advice} Got", written
        )
    if written.endswith(separators) or found.is_dir():
        raise IsADirectoryError(errno.EISDIR, "path must name a file, not a folder; got", written)
    return found
