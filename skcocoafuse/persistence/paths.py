"""The meaning of paths, for both ``save`` and ``load``."""

import errno
import os
from pathlib import Path


def local_path(path) -> Path:
    """The absolute path of a file, so that no library involved interprets it differently.

    As for ``open``, ``numpy.save`` and ``joblib.dump``, a path is taken literally: "~" is an
    ordinary name, and so is "https:". xarray expands the former and downloads from the latter.

    Parameters
    ----------
    path : str, bytes or path-like
        Relative paths start at the working directory.

    Raises
    ------
    TypeError
        If it is none of these; open files are not accepted.
    FileNotFoundError
        If it is empty, or its folder does not exist.
    IsADirectoryError
        If it is a folder, or ends with a separator.
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
