"""Saves that are killed, that meet each other, and that find no room: the file is always whole."""

import pytest

from tests.attacks.conftest import run


def test_a_full_disk(files):
    print(run("saving", "full", files["map"], files["nuts"], 7, timeout=120))


def test_a_few_kills(files):
    print(run("saving", "kills", files["map"], files["nuts"], 5, timeout=120))


def test_a_few_processes_at_once(files):
    print(run("saving", "crowd", files["map"], files["nuts"], 8, timeout=120))


@pytest.mark.slow
def test_many_kills(files):
    print(run("saving", "kills", files["map"], files["nuts"], 100, timeout=500))


@pytest.mark.slow
def test_many_processes_at_once(files):
    print(run("saving", "crowd", files["map"], files["nuts"], 160, timeout=500))
