"""Files that are replaced as a whole: there is the old one or the new one, never a part."""

import contextlib
import errno
import os
import re
import secrets
import stat

try:
    import fcntl
except ImportError:  # Windows: no locks, so leftovers are not told from files being written
    fcntl = None  # type: ignore[assignment]

# A file while it is written. The name is one that nobody else gives, and does not depend on that
# of the file, which may be as long as names can be.
_PART = ".skcocoafuse-{}.part"
_IS_PART = re.compile(r"\.skcocoafuse-[0-9a-f]{16}\.part")


def replace_file(path, content: bytes) -> None:
    """Write a file, or leave everything as it was.

    The bytes go to a new file in the same folder, reach the disk, and then get the name. A file
    that had it keeps its permissions; a new one gets those of any new file. A symbolic link is
    replaced, what it points to is not touched. What a save that was killed left in the folder is
    removed.

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
        raise OSError(error.errno, error.strerror, path) from error  # not of the part's name
    with contextlib.suppress(OSError):  # some file systems cannot; the file is whole anyway
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
                os.replace(part, path)  # still locked: no other save takes it for a leftover
        finally:
            os.close(descriptor)
        if fcntl is None:
            os.replace(part, path)  # Windows renames no open file
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise


def _permissions(path: str) -> int | None:
    """Permissions of the file that ``path`` leads to, None if there is none."""
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
    """Name and descriptor of a new file, locked, that nobody may read who could not read the old.

    ``tempfile.mkstemp`` would do, if there were a safe way to learn the umask afterwards.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        part = os.path.join(folder, _PART.format(secrets.token_hex(8)))
        descriptor = os.open(part, flags, 0o666 if kept is None else kept & 0o666)
        if _is_ours(part, descriptor):
            return part, descriptor
        os.close(descriptor)  # before it was locked, another save took it for a leftover


def _is_ours(part: str, descriptor: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks, where nothing is taken for a leftover either
    try:
        return os.path.samestat(os.stat(part), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _clear_leftovers(folder: str) -> None:
    """Remove parts that no process holds a lock on: those who wrote them were killed."""
    if fcntl is None:
        return
    try:
        with os.scandir(folder) as entries:
            parts = [entry.path for entry in entries if _IS_PART.fullmatch(entry.name)]
    except OSError:
        return  # no such folder, which opening a file in it says, or one without a view of it
    for part in parts:
        # being written, another user's, or just removed by another save: in any case not ours
        with contextlib.suppress(OSError):
            descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(part)
            finally:
                os.close(descriptor)


def _sync_folder(folder: str) -> None:
    """Have the new name on the disk as well."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
