"""Nanoseconds per row of one value and gradient, beside a floor set by exp, log and sqrt.

For M experts a row needs 2 M + 1 exponentials, M square roots and one logarithm; the floor is
what these alone cost in a loop over an array that stays in the first-level cache, plus
2 d (2 M + 1) multiply-adds (value and gradient) at the rate of a loop of them.

The last columns are the ratios of the same with a noise that depends on the d inputs, and with
Student's t noise.

Run: python benchmarks/kernel_speed.py
"""

import math
import statistics
import time

import numpy as np
from numba import njit

from skcocoafuse.compiled import vector_math
from skcocoafuse.compiled.affine import OPTIONS
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.model.parameters import NORMAL, PARTS, STUDENT_T
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.rows import RowsInMemory
from skcocoafuse.model.spec import ModelSpec

_exp, _log = vector_math.exp, vector_math.log
_SIZE = 1024


@njit(**{**OPTIONS, "cache": False})
def _loop_exp(x, out, rounds):
    for _ in range(rounds):
        for i in range(x.size):
            out[i] = _exp(x[i] - out[i])


@njit(**{**OPTIONS, "cache": False})
def _loop_log(x, out, rounds):
    for _ in range(rounds):
        for i in range(x.size):
            out[i] = _log(x[i] + abs(out[i]))


@njit(**{**OPTIONS, "cache": False})
def _loop_sqrt(x, out, rounds):
    for _ in range(rounds):
        for i in range(x.size):
            out[i] = math.sqrt(x[i] + out[i])


@njit(**{**OPTIONS, "cache": False})
def _loop_multiply_add(x, out, rounds):
    for _ in range(rounds):
        for i in range(x.size):
            out[i] += 0.999 * x[i]


def floor_of(loop) -> float:
    """Nanoseconds per element."""
    x, out = np.linspace(0.5, 1.5, _SIZE), np.zeros(_SIZE)
    loop(x, out, 1)
    times = []
    for _ in range(7):
        out[:] = 0.0
        begun = time.perf_counter()
        loop(x, out, 2000)
        times.append((time.perf_counter() - begun) / 2000 / _SIZE)
    return 1e9 * min(times)


def kernel_time(n: int, d: int, M: int, n_noise: int = 0, noise: str = NORMAL) -> float:
    """Nanoseconds per row of value and gradient."""
    rng = np.random.default_rng(0)
    spec = ModelSpec(M, {**dict.fromkeys(PARTS, d), "noise": n_noise}, noise=noise)
    X = rng.normal(size=(n, d))
    designs = {**dict.fromkeys(PARTS, X), "noise": X[:, :n_noise]}
    rows = RowsInMemory(designs, rng.normal(size=n), np.ones(n))
    function = Kernel(Problem(spec, rows)).function()
    theta = 0.3 * rng.normal(size=spec.n_parameters)
    function(theta)
    count = max(5, int(2e7 / (n * M * (d + 4))))
    times = []
    for _ in range(7):
        begun = time.perf_counter()
        for _ in range(count):
            function(theta)
        times.append((time.perf_counter() - begun) / count)
    return 1e9 * statistics.median(times) / n


if __name__ == "__main__":
    loops = {"exp": _loop_exp, "log": _loop_log, "sqrt": _loop_sqrt, "fma": _loop_multiply_add}
    unit = {name: floor_of(loop) for name, loop in loops.items()}
    print("ns per element:", {name: round(value, 2) for name, value in unit.items()})
    print(
        f"{'n':>6s} {'d':>3s} {'M':>2s} {'us/gradient':>12s} {'ns/row':>8s} {'floor':>7s} ratio "
        f"{'noise(x)':>9s} {'t':>5s}"
    )
    for n, d, M in [(500, 1, 2), (500, 10, 3), (5000, 10, 3), (50_000, 10, 4)]:
        floor = (2 * M + 1) * unit["exp"] + unit["log"] + M * unit["sqrt"]
        floor += 2 * d * (2 * M + 1) * unit["fma"]  # forward and backward
        variants = ({}, {"n_noise": d}, {"noise": STUDENT_T})
        times = [[kernel_time(n, d, M, **each) for each in variants] for _ in range(3)]
        measured = statistics.median(one for one, _, _ in times)
        with_inputs = statistics.median(other / one for one, other, _ in times)
        student_t = statistics.median(other / one for one, _, other in times)
        print(
            f"{n:6d} {d:3d} {M:2d} {measured * n / 1e3:12.1f} {measured:8.1f} {floor:7.1f} "
            f"{measured / floor:5.1f} {with_inputs:9.2f} {student_t:5.2f}"
        )
