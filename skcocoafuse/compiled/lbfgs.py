"""Maximization by limited-memory BFGS, compiled together with the density.

The two-loop recursion and the scaling of Nocedal and Wright, Numerical Optimization (2006),
algorithm 7.4 and equation 7.20; the line search brackets a step that meets the weak Wolfe
conditions (Lewis and Overton, Math. Programming 141, 2013, algorithm 2.6), and takes the maximum
of the cubic through values and slopes at the bracket's ends where there is one inside.
"""

import math
from dataclasses import dataclass

import numpy as np

from skcocoafuse._threads import raise_if_cancelled
from skcocoafuse.compiled.affine import OPTIONS
from skcocoafuse.compiled.jit import njit
from skcocoafuse.compiled.kernel import LogDensity
from skcocoafuse.compiled.log_posterior import evaluate

_RISE, _FLATTEN = 1e-3, 0.9  # of the Wolfe conditions
_MAX_TRIALS = 30  # points that a line search evaluates
_LEAST_CURVATURE = 1e-12  # of a step that is stored, relative to the gradient change
_MARGIN = 0.1  # fraction of a bracket at its ends that cubics must avoid


@dataclass(frozen=True)
class StoppingRule:
    """When to stop: after ``max_steps``, or if the gain of a step or the slope is too small.

    Parameters
    ----------
    max_steps : int
    memory : int
        Number of steps from which curvature is estimated.
    least_gain : float
        Relative to the value, or absolute if that is larger.
    least_slope : float
        Of the largest entry of the gradient.
    """

    max_steps: int
    memory: int
    least_gain: float
    least_slope: float = 1e-5


def climb(density: LogDensity, start: np.ndarray, rule: StoppingRule) -> tuple[np.ndarray, float]:
    """The local maximum uphill of ``start``, or where ``rule`` stops, and its log density."""
    point, n = start.astype(float), start.size
    steps, turns = np.empty((2, rule.memory, n))
    scales, gradient = np.empty(rule.memory), np.empty(n)
    value = evaluate(density.handle, point, gradient)
    known, left, goes_on = 0, rule.max_steps, True
    while goes_on and left > 0:
        raise_if_cancelled()
        value, known, goes_on = _climb(
            density.handle, point, value, gradient, steps, turns, scales, known,
            min(left, density.at_once), rule.least_gain, rule.least_slope,
        )  # fmt: skip
        left -= density.at_once
    return point, value + density.constant


@njit(**OPTIONS)
def _climb(
    handle, point, value, gradient, steps, turns, scales, known, max_steps, least_gain, least_slope
):
    """Move ``point`` uphill, and update the optimizer's state.

    Returns the value, the number of steps stored so far, the last ``memory`` of which are kept,
    and whether there is more to gain.
    """
    n, memory = point.size, scales.size
    end_gradient, end, direction = np.empty(n), np.empty(n), np.empty(n)
    for _ in range(max_steps):
        if not math.isfinite(value) or _largest(gradient) <= least_slope:
            return value, known, False
        _aim(gradient, steps, turns, scales, known, direction)
        slope = _dot(direction, gradient)
        first = 1.0 if known else min(1.0, 1.0 / math.sqrt(slope))
        end_value = _line_search(handle, point, value, direction, slope, first, end, end_gradient)
        if not end_value > value:  # only rounding is left, or the stored steps mislead
            if known == 0:
                return value, known, False
            known = 0
            continue
        slot = known % memory
        for i in range(n):
            steps[slot, i] = end[i] - point[i]
            turns[slot, i] = gradient[i] - end_gradient[i]
            point[i], gradient[i] = end[i], end_gradient[i]
        curvature = _dot(steps[slot], turns[slot])
        if curvature > _LEAST_CURVATURE * _dot(turns[slot], turns[slot]):
            scales[slot] = 1.0 / curvature
            known += 1
        gain, value = end_value - value, end_value
        if gain <= least_gain * max(abs(value), 1.0):
            return value, known, False
    return value, known, True


@njit(**OPTIONS)
def _aim(gradient, steps, turns, scales, known, direction):
    """Direction: the gradient times the inverse curvature estimated from stored steps."""
    memory = len(scales)
    used = min(known, memory)
    along = np.empty(used)
    direction[:] = gradient
    for back in range(used):
        slot = (known - 1 - back) % memory
        along[back] = scales[slot] * _dot(steps[slot], direction)
        _add(direction, -along[back], turns[slot])
    if used:
        last = (known - 1) % memory
        scale = 1.0 / (scales[last] * _dot(turns[last], turns[last]))
        for i in range(direction.size):
            direction[i] *= scale
    for back in range(used - 1, -1, -1):
        slot = (known - 1 - back) % memory
        _add(direction, along[back] - scales[slot] * _dot(turns[slot], direction), steps[slot])


@njit(**OPTIONS)
def _line_search(handle, point, value, direction, slope, first, end, end_gradient):
    """Value at the end of a step that meets the weak Wolfe conditions.

    Leaves that point in ``end`` and ``end_gradient``. After ``_MAX_TRIALS`` it is the longest
    step that increased the value, or none.
    """
    low, low_value, low_slope = 0.0, value, slope
    high, high_value, high_slope = math.inf, 0.0, 0.0
    length = first
    for _ in range(_MAX_TRIALS):
        end[:] = point
        _add(end, length, direction)
        end_value = evaluate(handle, end, end_gradient)
        end_slope = _dot(end_gradient, direction)
        rises = end_value >= value + _RISE * length * slope and math.isfinite(end_slope)
        if rises and end_slope <= _FLATTEN * slope:
            return end_value
        if rises:  # still steep
            low, low_value, low_slope = length, end_value, end_slope
        else:
            high, high_value, high_slope = length, end_value, end_slope
        if high == math.inf:
            length = 4.0 * low
        else:
            length = _between(low, low_value, low_slope, high, high_value, high_slope)
    end[:] = point
    _add(end, low, direction)
    return evaluate(handle, end, end_gradient)


@njit(**OPTIONS)
def _between(low, low_value, low_slope, high, high_value, high_slope):
    """The maximum of the cubic through both ends, kept away from them; or the midpoint."""
    width = high - low
    middle = 3.0 * (high_value - low_value) / width - low_slope - high_slope
    inner = middle * middle - low_slope * high_slope
    share = 0.5
    if inner >= 0.0:
        root = math.sqrt(inner)
        cubic = 1.0 - (root - middle - high_slope) / (low_slope - high_slope + 2.0 * root)
        if math.isfinite(cubic):
            share = min(max(cubic, _MARGIN), 1.0 - _MARGIN)
    return low + share * width


@njit(**OPTIONS)
def _dot(a, b):
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@njit(**OPTIONS)
def _add(a, factor, b):
    for i in range(a.size):
        a[i] += factor * b[i]


@njit(**OPTIONS)
def _largest(a):
    largest = 0.0
    for i in range(a.size):
        largest = max(largest, abs(a[i]))
    return largest
