"""Files are replaced as a whole or not at all, whatever was there and whatever goes wrong."""

import errno
import fcntl
import os
import stat
import subprocess
import sys

import pytest

from skcocoafuse.persistence import atomic
from skcocoafuse.persistence.atomic import replace_file

NEW = bytes(range(256)) * 400


def mode(path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.fixture(params=[0o022, 0o077, 0o027], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_has_the_permissions_of_new_files(tmp_path, umask):
    replace_file(tmp_path / "fit.nc", NEW)
    assert (tmp_path / "fit.nc").read_bytes() == NEW
    assert mode(tmp_path / "fit.nc") == 0o666 & ~umask
    assert names(tmp_path) == ["fit.nc"]


@pytest.mark.parametrize("kept", [0o600, 0o644, 0o640, 0o666, 0o400], ids=oct)
def test_a_file_that_is_replaced_keeps_its_permissions(kept, tmp_path):
    path = tmp_path / "fit.nc"
    path.write_bytes(b"old")
    path.chmod(kept)
    replace_file(str(path), NEW)
    assert path.read_bytes() == NEW
    assert mode(path) == kept


@pytest.mark.parametrize("kept", [0o600, 0o666], ids=oct)
def test_no_byte_is_seen_by_those_who_may_not_read_it(kept, tmp_path, monkeypatch):
    """Not even before the permissions are set: whoever opens a file then can read it later."""
    path = tmp_path / "fit.nc"
    path.write_bytes(b"old")
    path.chmod(kept)
    seen, opened = [], os.open

    def watched(name, flags, *rest, **options):
        descriptor = opened(name, flags, *rest, **options)
        if flags & os.O_CREAT:
            seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", watched)
    replace_file(path, NEW)
    assert len(seen) == 1
    assert seen[0] & ~kept == 0


def test_links_are_replaced_and_not_written_through(tmp_path):
    target, link = tmp_path / "mine.txt", tmp_path / "fit.nc"
    target.write_bytes(b"mine")
    target.chmod(0o600)
    link.symlink_to(target)
    replace_file(link, NEW)
    assert target.read_bytes() == b"mine"
    assert not link.is_symlink()
    assert link.read_bytes() == NEW
    assert mode(link) == 0o600  # who could not read what was under the name still cannot
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    replace_file(link, NEW)
    assert names(tmp_path) == ["fit.nc", "mine.txt"]


def test_hard_links_keep_what_they_had(tmp_path):
    path, other = tmp_path / "fit.nc", tmp_path / "other.nc"
    path.write_bytes(b"old")
    os.link(path, other)
    replace_file(path, NEW)
    assert other.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["fit.nc.part", ".fit.nc.part", ".skcocoafuse-mine.part"])
@pytest.mark.parametrize("is_link", [False, True])
def test_files_of_ones_own_are_left_alone(name, is_link, tmp_path):
    own, elsewhere = tmp_path / name, tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    own.symlink_to(elsewhere) if is_link else own.write_bytes(b"mine")
    replace_file(tmp_path / "fit.nc", NEW)
    assert own.read_bytes() == elsewhere.read_bytes() == b"mine"
    assert own.is_symlink() == is_link


def test_a_name_as_long_as_names_can_be(tmp_path):
    replace_file(tmp_path / ("n" * 255), NEW)
    assert names(tmp_path) == ["n" * 255]


def test_a_name_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    replace_file("fit.nc", NEW)
    assert (tmp_path / "fit.nc").read_bytes() == NEW


# -- what goes wrong ---------------------------------------------------------------------


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "chmod", "open"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()], ids=repr)
def test_nothing_is_left_by_an_error(call, error, tmp_path, monkeypatch):
    path = tmp_path / "fit.nc"
    path.write_bytes(b"old")
    real, done = getattr(os, call), []

    def failing(*arguments, **options):
        if call == "write" and not done:  # half of it still fits
            done.append(True)
            return real(arguments[0], arguments[1][: len(NEW) // 2])
        raise error

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(type(error)) as info:
        replace_file(path, NEW)
    monkeypatch.undo()
    if isinstance(error, OSError):
        assert info.value.filename == str(path)  # and not a name that nobody gave
    assert names(tmp_path) == ["fit.nc"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("place", ["folder", "no/fit.nc", "file/fit.nc", "pipe", "", "folder/"])
def test_places_where_no_file_can_be(place, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"mine")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="Errno"):
        replace_file(os.path.join(tmp_path, place), NEW)
    assert names(tmp_path) == ["file", "folder", "pipe"]
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


def test_devices_are_not_replaced():
    for device in ("/dev/null", "/dev/full"):
        with pytest.raises(OSError, match="regular files, not devices"):
            replace_file(device, NEW)
        assert stat.S_ISCHR(os.stat(device).st_mode)


def test_a_disk_without_fsync_of_folders(tmp_path, monkeypatch):
    real = os.fsync

    def only_files(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not of folders")
        return real(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    replace_file(tmp_path / "fit.nc", NEW)
    assert (tmp_path / "fit.nc").read_bytes() == NEW


# -- what others left, and what they are at ----------------------------------------------

_KILLED = """
import os, signal, sys
from skcocoafuse.persistence.atomic import replace_file

call, path = sys.argv[1:]
real = getattr(os, call)

def killed(*arguments, **options):
    if call == "write":
        real(arguments[0], arguments[1][:1000])
    os.kill(os.getpid(), signal.SIGKILL)

setattr(os, call, killed)
replace_file(path, b"new" * 1000)
"""


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_later_save_clears_what_a_kill_left(call, tmp_path):
    path = tmp_path / "fit.nc"
    path.write_bytes(b"old")
    subprocess.run([sys.executable, "-c", _KILLED, call, path], check=False)
    assert len(names(tmp_path)) == 2
    assert path.read_bytes() == b"old"
    replace_file(path, NEW)
    assert names(tmp_path) == ["fit.nc"]


def test_what_is_being_written_is_no_leftover(tmp_path):
    part = tmp_path / atomic._PART.format("0" * 16)
    with open(part, "wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        replace_file(tmp_path / "fit.nc", NEW)
        assert part.exists()
    replace_file(tmp_path / "fit.nc", NEW)
    assert not part.exists()


def test_a_part_that_was_taken_for_a_leftover_is_made_again(tmp_path, monkeypatch):
    """Another save may clear it in the moment between its making and its lock."""
    real, cleared = fcntl.flock, []

    def late(descriptor, how):
        if not cleared:
            (part,) = tmp_path.iterdir()
            cleared.append(part)
            part.unlink()
        return real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    replace_file(tmp_path / "fit.nc", NEW)
    assert len(cleared) == 1
    assert names(tmp_path) == ["fit.nc"]


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    part = tmp_path / atomic._PART.format("0" * 16)
    part.write_bytes(b"of another save, perhaps")

    def none(descriptor, how):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    replace_file(tmp_path / "fit.nc", NEW)
    assert names(tmp_path) == [part.name, "fit.nc"]
