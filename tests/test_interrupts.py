"""Ctrl-C: nothing goes on behind it, and the process ends as any other."""

import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, threading, time, warnings
import joblib
import numpy as np
import nutpie  # ArviZ 0.x, which it imports, compiles functions meanwhile; numba reports interrupts
from sklearn.model_selection import GridSearchCV
from skcocoafuse import MoERegressor, NExpertsSelector, cross_val_predict_dist, select_n_experts
from skcocoafuse.datasets import make_transition
from skcocoafuse.evaluation.elpd import LooResult

warnings.simplefilter("ignore")
signal.signal(signal.SIGINT, signal.default_int_handler)
X, y = make_transition(200, random_state=0)
quick = MoERegressor(2, inference="vi", draws=500, random_state=0, n_jobs=2).fit(X, y)
quick.predict_dist(X).crps(y)
slow = MoERegressor(3, draws=200_000, random_state=0)
many = np.repeat(X, 200, axis=0)


def reloo():
    short = MoERegressor(1, tune=100, draws=300, random_state=0, n_jobs=2).fit(X, y)
    LooResult.bad_rows = property(lambda self: np.arange(200))
    begin()
    short.set_params(draws=200_000).loo(reloo=True)


def search(backend):
    with joblib.parallel_backend(backend):
        GridSearchCV(slow, {"n_experts": [2, 3]}, cv=2, n_jobs=2).fit(X, y)


SCENES = {
    "fit": lambda: slow.fit(X, y),
    "choice by loo": lambda: select_n_experts(slow, X, y, n_experts=[1, 2, 3], n_jobs=2),
    "choice by folds": lambda: NExpertsSelector(slow, criterion="cv", n_jobs=2).fit(X, y),
    "out of fold": lambda: cross_val_predict_dist(slow, X, y, n_jobs=2),
    "search": lambda: search("loky"),
    "search in threads": lambda: search("threading"),
    "crps": lambda: [quick.predict_dist(many).crps(np.repeat(y, 200)) for _ in range(50)],
    "refits": reloo,
}


def begin():
    threading.Timer(2.0, interrupt).start()


def interrupt():
    global sent
    sent = time.monotonic()
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


scene = sys.argv[1]
if scene != "refits":
    begin()
try:
    SCENES[scene]()
except KeyboardInterrupt:
    print("seconds", time.monotonic() - sent)
    time.sleep(0.2)  # for workers to be collected
    begun = time.process_time()
    time.sleep(0.5)
    print("busy", (time.process_time() - begun) / 0.5)
"""

SCENES = [
    "fit",
    "choice by loo",
    "choice by folds",
    "out of fold",
    "search",
    "search in threads",
    "crps",
    "refits",
]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("scene", SCENES)
def test_an_interrupt_ends_all_work(scene):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, scene],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=120)
        finally:
            end_session(process.pid)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    figures = dict(zip(out.split()[::2], map(float, out.split()[1::2]), strict=True))
    assert figures["seconds"] < 10.0  # a second where the machine has nothing else to do
    if scene != "search in threads":  # these are of whoever chose them, until Python ends
        assert figures["busy"] < 0.2


def end_session(number: int) -> None:
    """Whatever a test that failed has left."""
    try:
        os.killpg(number, signal.SIGKILL)
    except ProcessLookupError:
        return
