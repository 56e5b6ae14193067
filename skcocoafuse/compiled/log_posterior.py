"""The log posterior and its gradient as one compiled function.

This is the density that :func:`skcocoafuse.model.pymc_model.build_pymc_model` defines,
derived by hand so that nothing has to be compiled per data set: one machine-code
function, cached on disk, serves every number of rows, features and experts and
all three models. Tests hold it to the PyMC model's own value and gradient.
"""

import math
from dataclasses import replace

import numpy as np
from numba import carray, types

from skcocoafuse._threads import raise_if_cancelled
from skcocoafuse.compiled.affine import OPTIONS, ROWS, in_blocks
from skcocoafuse.compiled.coordinates import (
    Coordinates,
    bends_gates,
    laplace_bends,
    pull_back,
    to_theta,
)
from skcocoafuse.compiled.jit import as_pointer, c_callback, call, njit, plain
from skcocoafuse.compiled.likelihood import log_likelihood
from skcocoafuse.compiled.tiles import LEARNED
from skcocoafuse.model.parameters import CONTRAST, PARAMETERS, PARTS
from skcocoafuse.model.priors import FAMILY_CODES, POSITIVE, Prior
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.spec import ModelSpec

_LAPLACE = FAMILY_CODES["laplace"]
_NORMAL = FAMILY_CODES["normal"]
_STUDENT_T = FAMILY_CODES["student_t"]
_LOGNORMAL = FAMILY_CODES["lognormal"]
_FLAT = FAMILY_CODES["flat"]
_HALF_NORMAL = FAMILY_CODES["half_normal"]
# Parameters times rows, a tenth of a second or so: compiled code hears of no interrupt.
_NUMBERS_AT_ONCE = 30_000_000


@njit(**OPTIONS)
def _prior(prior, x, softening, gradient):
    """Log prior of every entry of x, without its constant; adds to the gradient.

    ``prior`` is (family code, location, scale, degrees of freedom). For the families
    of positive parameters x is the logarithm, and the Jacobian is included.
    """
    family, loc, scale, df = prior[0], prior[1], prior[2], prior[3]
    total = 0.0
    for i in range(x.size):
        z = (x[i] - loc) / scale
        if family == _LAPLACE:
            r = math.sqrt(z * z + softening * softening)
            total -= r
            if r > 0.0:
                gradient[i] -= z / (r * scale)
        elif family in (_NORMAL, _LOGNORMAL):
            total -= 0.5 * z * z
            gradient[i] -= z / scale
        elif family == _STUDENT_T:
            total -= 0.5 * (df + 1.0) * math.log1p(z * z / df)
            gradient[i] -= (df + 1.0) * z / ((df + z * z) * scale)
        elif family == _HALF_NORMAL:
            q = np.exp(x[i]) / scale
            total += x[i] - 0.5 * q * q
            gradient[i] += 1.0 - q * q
        elif family == _FLAT:
            total -= abs(x[i]) + 2.0 * math.log1p(math.exp(-abs(x[i])))
            gradient[i] -= math.tanh(0.5 * x[i])
    return total


@njit(**OPTIONS)
def log_posterior(
    theta, X_expert, X_gate, X_behavior, y, weight, basis, priors, rounding_variance, behavior,
    softening, gradient, slopes,
):  # fmt: skip
    """Log posterior density at ``theta``, without the priors' constants; fills ``gradient``.

    Without ``slopes``, in half the time, the likelihood's part of the gradient is left out.

    Design matrices are in blocks of rows, see ``affine.in_blocks``; ``y`` and ``weight`` are as
    long as these.
    ``basis`` is the (n_experts, n_experts - 1) sum-to-zero basis of the gates, ``priors``
    has a row per parameter block in the order of ``theta`` (see ``ModelSpec.blocks``),
    ``rounding_variance`` is part of every expert's variance, ``behavior`` is BLEND, MIXTURE
    or LEARNED. ``softening`` > 0 rounds the kink of Laplace priors, for optimisers; 0 is
    the exact density; the first is that of all priors but the gates', the second theirs.
    """
    M = basis.shape[0]
    K = M - 1
    d_e, d_g = X_expert.shape[1] // ROWS, X_gate.shape[1] // ROWS
    d_b = X_behavior.shape[1] // ROWS
    at_coef = M
    at_sigma = at_coef + M * d_e
    at_gate = at_sigma + M
    at_gate_coef = at_gate + K
    at_behavior = at_gate_coef + K * d_g
    at_behavior_coef = at_behavior + 1

    gradient.fill(0.0)
    variance = np.empty(M)
    d_variance = np.zeros(M)
    for k in range(M):
        variance[k] = np.exp(2.0 * theta[at_sigma + k]) + rounding_variance
    raw = theta[at_gate_coef:at_behavior].reshape((K, d_g))
    gate = np.zeros(M)
    gate_coef = np.zeros((M, d_g))
    for k in range(M):
        for m in range(K):
            gate[k] += basis[k, m] * theta[at_gate + m]
            for j in range(d_g):
                gate_coef[k, j] += basis[k, m] * raw[m, j]
    d_gate = np.zeros(M)
    d_gate_coef = np.zeros((M, d_g))
    own_softening, gate_softening = softening[0], softening[1]
    learned = behavior == LEARNED
    h = theta[at_behavior] if learned else 0.0

    total, d_h = log_likelihood(
        theta[:M], theta[at_coef:at_sigma].reshape((M, d_e)), variance,
        gate, gate_coef, h, theta[at_behavior_coef:],
        X_expert, X_gate, X_behavior, y, weight, behavior,
        gradient[:M], gradient[at_coef:at_sigma].reshape((M, d_e)), d_variance,
        d_gate, d_gate_coef, gradient[at_behavior_coef:], slopes,
    )  # fmt: skip

    for k in range(M):
        gradient[at_sigma + k] = 2.0 * (variance[k] - rounding_variance) * d_variance[k]
    total += _prior(priors[0], theta[:at_coef], own_softening, gradient[:at_coef])
    total += _prior(priors[1], theta[at_coef:at_sigma], own_softening, gradient[at_coef:at_sigma])
    total += _prior(priors[2], theta[at_sigma:at_gate], own_softening, gradient[at_sigma:at_gate])
    total += _prior(priors[3], gate, gate_softening, d_gate)
    total += _prior(priors[4], gate_coef.ravel(), gate_softening, d_gate_coef.ravel())
    for m in range(K):
        for k in range(M):
            gradient[at_gate + m] += basis[k, m] * d_gate[k]
            for j in range(d_g):
                gradient[at_gate_coef + m * d_g + j] += basis[k, m] * d_gate_coef[k, j]
    if learned:
        gradient[at_behavior] = d_h
        end = at_behavior_coef + d_b
        total += _prior(
            priors[5],
            theta[at_behavior:at_behavior_coef],
            own_softening,
            gradient[at_behavior:at_behavior_coef],
        )
        total += _prior(
            priors[6], theta[at_behavior_coef:end], own_softening, gradient[at_behavior_coef:end]
        )
    return total


class Kernel:
    """The log posterior of one problem, ready for machine code and for Python.

    Parameters
    ----------
    problem : Problem

    Attributes
    ----------
    problem : Problem
    n_parameters : int
    constant : float
        The constants of the priors, which the compiled function leaves out.
    plain : Coordinates
        The bent coordinates of this model, without a linear map.
    """

    def __init__(self, problem: Problem):
        spec = problem.spec
        self.problem = problem
        padding = -len(problem.y) % ROWS
        self.n_parameters = spec.n_parameters
        self.constant = _prior_constant(spec)
        designs = [in_blocks(problem.designs[part]) for part in PARTS]
        y, weight = np.pad(problem.y, (0, padding)), np.pad(problem.weight, (0, padding))
        # a row for every parameter, whether this model has it or not
        priors = np.array([_prior_row(spec.priors[name]) for name in PARAMETERS])
        behavior = LEARNED if spec.behavior is None else int(spec.behavior)
        rounding = np.array([spec.rounding_variance])
        self._arrays = [*designs, y, weight, np.ascontiguousarray(spec.basis), priors, rounding]
        self._sizes = [X.shape[1] for X in designs] + [
            len(designs[0]),
            spec.n_experts,
            len(priors),
            behavior,
        ]
        self.plain = Coordinates.plain(laplace_bends(spec))

    def tempered(self, power: float) -> "Kernel":
        """The kernel with the likelihood to a power, itself for 1."""
        if power == 1.0:
            return self
        return Kernel(replace(self.problem, weight=power * self.problem.weight))

    def user_data(
        self, softening: float = 0.0, coordinates: Coordinates | None = None, slopes: bool = True
    ):
        """What :data:`log_posterior_callback` reads, and the arrays to keep while it does.

        ``softening`` > 0 rounds the kinks of those Laplace priors that coordinates do not
        bend. Without ``coordinates`` the density is that of the parameters themselves; without
        ``slopes`` gradients are not to be used.
        """
        rounded = np.full(2, softening)
        if coordinates is not None:  # bending takes away the exact kink
            rounded *= [0.0, 0.0 if bends_gates(self.problem.spec) else 1.0]
        arrays = [*self._arrays, rounded]
        if coordinates is not None:
            arrays += [coordinates.centre, coordinates.factor, coordinates.bends]
        addresses = [array.ctypes.data for array in arrays] + [0, 0, 0]
        return np.array([*addresses[:_N_ADDRESSES], *self._sizes, slopes], dtype=np.int64), arrays

    def function(
        self, softening: float = 0.0, coordinates: Coordinates | None = None, slopes: bool = True
    ) -> "LogDensity":
        """The density for optimisers and for Python, see :meth:`user_data` for the arguments."""
        return LogDensity(self, softening, coordinates, slopes)

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Log posterior and gradient at one unconstrained vector."""
        return self.function()(theta)

    def log_posterior(self, theta: np.ndarray) -> np.ndarray:
        """Log posterior of many unconstrained vectors, (..., n_parameters) to (...)."""
        flat = np.ascontiguousarray(theta.reshape(-1, self.n_parameters))
        return self.function(slopes=False).at_many(flat)[0].reshape(theta.shape[:-1])


class LogDensity:
    """A log density and its gradient, as functions of unconstrained vectors.

    With ``softening`` > 0, |z| becomes sqrt(z^2 + softening^2) in Laplace priors, for optimisers.
    With ``coordinates`` the vectors are their z, the density is that of their u, and softening is
    left to priors they do not bend. The interpreter lock is released while it computes; threads
    may share it.

    Attributes
    ----------
    handle : ndarray of int64
        What :func:`evaluate` reads: the addresses of :data:`log_posterior_callback` and of its
        data, which are there as long as this object.
    constant : float
        What :func:`evaluate` leaves out.
    at_once : int
        Evaluations between which to look for interrupts, which wait for compiled code to return.
    """

    def __init__(
        self,
        kernel: Kernel,
        softening: float,
        coordinates: Coordinates | None,
        slopes: bool,
    ):
        self._data, self._arrays = kernel.user_data(softening, coordinates, slopes)
        self.handle = np.array([log_posterior_callback.address, self._data.ctypes.data])
        self.constant = kernel.constant
        self.at_once = max(1, _NUMBERS_AT_ONCE // (kernel.n_parameters * len(kernel.problem.y)))

    def __call__(self, at: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient at one vector."""
        raise_if_cancelled()
        gradient = np.empty(at.size)
        return evaluate(self.handle, np.ascontiguousarray(at), gradient) + self.constant, gradient

    def at_many(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and gradients at the rows of a matrix."""
        values, gradients = np.empty(len(points)), np.empty_like(points)
        for start in range(0, len(points), self.at_once):
            part = slice(start, start + self.at_once)
            raise_if_cancelled()
            _evaluate_rows(self.handle, points[part], values[part], gradients[part])
        return values + self.constant, gradients


def _prior_row(prior: Prior) -> list[float]:
    return [FAMILY_CODES[prior.family], prior.loc, prior.scale, prior.df]


def _prior_constant(spec: ModelSpec) -> float:
    """What :func:`log_posterior` leaves out: the constants of all prior densities.

    Found as the difference at a point where every entry of a parameter is 0 (1 for
    positive ones), so that no formula has a second home.
    """
    total, at_zero = 0.0, plain(_prior)
    for block in spec.blocks:
        prior = spec.priors[block.name]
        count = block.size
        if block.constraint == CONTRAST:  # the density is over the M logits, not their coordinates
            count = spec.n_experts * int(np.prod(block.shape[1:])) if block.size else 0
        if block.constraint == POSITIVE:
            full = prior.log_density(math.log, 1.0)
        else:
            full = prior.log_density(math.log, 0.0)
        row = np.array(_prior_row(prior))
        total += count * (full - at_zero(row, np.zeros(1), 0.0, np.zeros(1)))
    return total


_N_SIZES = 8
_N_ADDRESSES = 12  # at the head of user_data; the last three are 0 without coordinates
_REALS = types.CPointer(types.double)


@c_callback(types.int64(types.uint64, _REALS, _REALS, _REALS, types.voidptr))
def log_posterior_callback(n, theta, gradient, value, user_data):
    """C-callable :func:`log_posterior`, in coordinates if there are any.

    Returns 0, or 1 where the density or its gradient is not finite.
    """
    u = carray(user_data, (_N_ADDRESSES + _N_SIZES,), np.int64)
    blocks, rows = u[15], ROWS * u[15]
    M, n_priors, behavior = u[16], u[17], u[18]
    z = carray(theta, (n,))
    g = carray(gradient, (n,))
    moved = u[9] != 0
    at, slope, bent = np.empty(n), np.empty(n), np.empty(n)
    result = 0.0
    if moved:
        centre = carray(as_pointer(u[9]), (n,), np.float64)
        factor = carray(as_pointer(u[10]), (n, n), np.float64)
        bends = carray(as_pointer(u[11]), (n, 2), np.float64)
        result = to_theta(centre, factor, bends, z, bent, at)
    else:
        for i in range(n):
            at[i] = z[i]
    result += log_posterior(
        at,
        carray(as_pointer(u[0]), (blocks, u[12]), np.float64),
        carray(as_pointer(u[1]), (blocks, u[13]), np.float64),
        carray(as_pointer(u[2]), (blocks, u[14]), np.float64),
        carray(as_pointer(u[3]), (rows,), np.float64),
        carray(as_pointer(u[4]), (rows,), np.float64),
        carray(as_pointer(u[5]), (M, M - 1), np.float64),
        carray(as_pointer(u[6]), (n_priors, 4), np.float64),
        carray(as_pointer(u[7]), (1,), np.float64)[0],
        behavior,
        carray(as_pointer(u[8]), (2,), np.float64),
        slope,
        u[19] != 0,
    )
    if moved:
        factor = carray(as_pointer(u[10]), (n, n), np.float64)
        bends = carray(as_pointer(u[11]), (n, 2), np.float64)
        pull_back(factor, bends, bent, slope, g)
    else:
        for i in range(n):
            g[i] = slope[i]
    carray(value, (1,))[0] = result
    for i in range(n):
        result += g[i]
    return 0 if np.isfinite(result) else 1


@njit(cache=True, nogil=True)
def evaluate(handle, at, gradient):
    """Value, without the priors' constants, and gradient of a :class:`LogDensity`."""
    value = np.empty(1)
    call(handle[0], at.size, at.ctypes.data, gradient.ctypes.data, value.ctypes.data, handle[1])
    return value[0]


@njit(cache=True, nogil=True)
def _evaluate_rows(handle, points, values, gradients):
    for i in range(len(points)):
        values[i] = evaluate(handle, points[i], gradients[i])


@c_callback(types.int64(types.uint64, types.uint64, _REALS, _REALS, types.voidptr))
def identity_callback(n, n_out, theta, out, user_data):
    """C-callable copy: samplers ask how to expand the unconstrained vector."""
    source, target = carray(theta, (n,)), carray(out, (n_out,))
    for i in range(n):
        target[i] = source[i]
    return 0
