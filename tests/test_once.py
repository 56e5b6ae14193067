"""Work of several processes on the same results: each is made once, and a death is no matter."""

import multiprocessing
import os
import signal
import time

import pytest

from tests.once import folder_of, locked, made_once

SPAWN = multiprocessing.get_context("spawn")
pytest.importorskip("fcntl")


def slow(folder, name):
    """A maker that leaves a trace of every call."""

    def make():
        with open(folder / f"{name}.calls", "a") as calls:
            calls.write(f"{os.getpid()}\n")
        time.sleep(0.5)
        return {"name": name}

    return make


def ask(folder, names):
    found = made_once(folder, {name: slow(folder, name) for name in names})
    assert found == {name: {"name": name} for name in names}


def hold(folder, name):
    with locked(folder / f"{name}.lock", wait=True):
        (folder / "held").touch()
        (folder / f"{name}.part").write_bytes(b"half of it")
        time.sleep(600)


def started(target, *arguments):
    process = SPAWN.Process(target=target, args=arguments)
    process.start()
    return process


def test_each_is_made_by_one_process_and_both_work(tmp_path):
    both = [started(ask, tmp_path, ["a", "b"]), started(ask, tmp_path, ["a", "b"])]
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    calls = [(tmp_path / f"{name}.calls").read_text().splitlines() for name in "ab"]
    assert [len(pids) for pids in calls] == [1, 1]


def test_a_process_that_dies_leaves_nobody_waiting(tmp_path):
    holder = started(hold, tmp_path, "a")
    until = time.monotonic() + 60
    while not (tmp_path / "held").exists() and time.monotonic() < until:
        time.sleep(0.02)
    with locked(tmp_path / "a.lock", wait=False) as held:
        assert not held
    os.kill(holder.pid, signal.SIGKILL)
    holder.join(60)
    ask(tmp_path, ["a"])


def test_a_maker_that_fails_is_asked_again(tmp_path):
    with pytest.raises(ZeroDivisionError):
        made_once(tmp_path, {"a": lambda: 1 / 0})
    assert made_once(tmp_path, {"a": lambda: 1}) == {"a": 1}
    assert made_once(tmp_path, {"a": lambda: 1 / 0}) == {"a": 1}


def test_workers_meet_above_their_own_folders(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    (tmp_path / "gw0").mkdir()
    assert folder_of(tmp_path / "gw0").parent == tmp_path / "gw0"
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert folder_of(tmp_path / "gw0").parent == tmp_path
