"""Atomic replacement of files: there is the old one or the new one, never a partial one."""

import contextlib
import errno
import os
import re
import secrets
import stat

try:
    import fcntl
except ImportError:  # Windows: no locks to distinguish leftovers from files in use
    fcntl = None  # type: ignore[assignment]

# Name of a file while it is being written. It is unique and does not depend on the final name,
# which may have the maximum length.
_PART = ".skcocoafuse-{}.part"
_IS_PART = re.compile(r"\.skcocoafuse-[0-9a-f]{16}\.part")


def replace_file(path, content: bytes) -> None:
    """Write a file, or leave everything as it was.

    The bytes are written to a new file in the same folder and flushed to disk before the file
    gets its name. A replaced file's permissions are kept; a new file gets the default ones. A
    symbolic link is replaced, and its target is not touched. Leftovers of killed saves in the
    folder are removed.

    Parameters
    ----------
    path : str or path-like
    content : bytes

    Raises
    ------
    OSError
        If the file cannot be written, or ``path`` is a folder, a device or a pipe.
    """
    path = os.fspath(path)
    folder = os.path.dirname(path) or os.curdir
    kept = _permissions(path)
    _clear_leftovers(folder)
    try:
        _write_and_rename(path, folder, kept, content)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, path) from error  # not the temporary name
    with contextlib.suppress(OSError):  # some file systems cannot; the file is complete anyway
        _sync_folder(folder)


def _write_and_rename(path: str, folder: str, kept: int | None, content: bytes) -> None:
    part, descriptor = _create_part(folder, kept)
    try:
        try:
            if kept is not None and not os.path.islink(path):
                os.chmod(descriptor if os.chmod in os.supports_fd else part, kept)
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
            if fcntl is not None:
                os.replace(part, path)  # still locked: no other save mistakes it for a leftover
        finally:
            os.close(descriptor)
        if fcntl is None:
            os.replace(part, path)  # Windows cannot rename open files
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise


def _permissions(path: str) -> int | None:
    """Permissions of the file that ``path`` refers to, None if there is none."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "save() replaces regular files, not devices or pipes", path)
    return stat.S_IMODE(mode) & 0o777


def _create_part(folder: str, kept: int | None) -> tuple[str, int]:
    """Name and descriptor of a new, locked file, readable only by those who could read the old one.

    ``tempfile.mkstemp`` would do if there were a safe way to determine the umask afterwards.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        part = os.path.join(folder, _PART.format(secrets.token_hex(8)))
        descriptor = os.open(part, flags, 0o666 if kept is None else kept & 0o666)
        if _is_ours(part, descriptor):
            return part, descriptor
        os.close(descriptor)  # before it was locked, another save mistook it for a leftover


def _is_ours(part: str, descriptor: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks, where nothing is mistaken for a leftover either
    try:
        return os.path.samestat(os.stat(part), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _clear_leftovers(folder: str) -> None:
    """Remove partial files that no process holds a lock on: their writers were killed."""
    if fcntl is None:
        return
    try:
        with os.scandir(folder) as entries:
            parts = [entry.path for entry in entries if _IS_PART.fullmatch(entry.name)]
    except OSError:
        return  # no such folder, which opening a file will report, or one that cannot be listed
    for part in parts:
        # being written, another user's, or just removed by another save: not ours to remove
        with contextlib.suppress(OSError):
            descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(part)
            finally:
                os.close(descriptor)


def _sync_folder(folder: str) -> None:
    """Flush the new name to disk as well."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
