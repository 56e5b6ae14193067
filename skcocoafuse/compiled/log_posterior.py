"""The log posterior and its gradient as one compiled function.

This is the density that :func:`skcocoafuse.model.pymc_model.build_pymc_model` defines,
derived by hand so that nothing has to be compiled per data set: one machine-code
function, cached on disk, serves every number of rows, features and experts and
all three models. Tests compare it with the PyMC model's value and gradient.
"""

import numpy as np
from numba import carray, types

from skcocoafuse.compiled.affine import OPTIONS
from skcocoafuse.compiled.coordinates import pull_back, to_theta
from skcocoafuse.compiled.jit import as_pointer, c_callback, call, njit
from skcocoafuse.compiled.layout import Layout, Model
from skcocoafuse.compiled.likelihood import log_likelihood
from skcocoafuse.compiled.natural import add_gradient, to_natural
from skcocoafuse.compiled.priors import log_prior
from skcocoafuse.model.parameters import PARAMETERS, PARTS
from skcocoafuse.model.rows import TILE_ROWS, Tiles

_N = len(PARAMETERS)
#: Data that C passes to the density: the fields of :class:`Layout` and :class:`Model`, and
#: everything else it depends on. Arrays whose size depends on data are given by their addresses.
DATA = np.dtype(
    [
        ("natural", "i8", (_N + 1,)),
        ("n_experts", "i8"),
        ("behavior", "i8"),
        ("unconstrained", "i8", (_N + 1,)),
        ("constraint", "i8", (_N,)),
        ("prior", "f8", (_N, 4)),
        ("basis", "i8"),
        ("rounding_variance", "f8"),
        ("student_t", "?"),
        ("smoothing", "f8", (2,)),
        ("columns", "i8", (len(PARTS), 2)),  # of the tiles, as the next four
        ("X", "i8"),  # an address, as the next two; all 0 where rows are elsewhere
        ("y", "i8"),
        ("weight", "i8"),
        ("n_tiles", "i8"),
        ("elsewhere", "i8"),  # address of a C function with their likelihood, or 0
        ("with_gradient", "i8"),
        ("centre", "i8"),  # of coordinates, as the next two; 0 for the parameters themselves
        ("factor", "i8"),
        ("laplace_transform", "i8"),
    ]
)
_REALS = types.CPointer(types.double)
#: Signature of a density that C can call: (n, at, gradient, value, data), 0 if all is finite.
DENSITY = types.int64(types.uint64, _REALS, _REALS, _REALS, types.voidptr)


@njit(**OPTIONS)
def _layout_in(data):
    return Layout(
        data["natural"],
        data["n_experts"],
        data["behavior"],
        data["rounding_variance"],
        data["student_t"],
    )


@njit(**OPTIONS)
def _model_in(data):
    n_experts = data["n_experts"]
    return Model(
        data["unconstrained"],
        data["constraint"],
        data["prior"],
        carray(as_pointer(data["basis"]), (n_experts, n_experts - 1), np.float64),
        data["smoothing"],
    )


@njit(**OPTIONS)
def _tiles_in(data):
    n_tiles, columns = data["n_tiles"], data["columns"]
    return Tiles(
        carray(as_pointer(data["X"]), (n_tiles, columns.max()), np.float64),
        columns,
        carray(as_pointer(data["y"]), (n_tiles, TILE_ROWS), np.float64),
        carray(as_pointer(data["weight"]), (n_tiles, TILE_ROWS), np.float64),
    )


@njit(**OPTIONS)
def _log_likelihood(natural, layout, data, d_natural):
    """The log likelihood, wherever the rows are, and 0 or an error code."""
    if data["elsewhere"] == 0:
        tiles = _tiles_in(data)
        wanted = data["with_gradient"] != 0
        return log_likelihood(natural, layout, tiles, d_natural, wanted), 0
    value = np.empty(1)
    failed = call(
        data["elsewhere"], natural.size, natural.ctypes.data, d_natural.ctypes.data,
        value.ctypes.data, data["with_gradient"],
    )  # fmt: skip
    return (np.nan if failed else value[0]), failed


@njit(**OPTIONS)
def log_posterior(theta, data, gradient):
    """Log posterior density at ``theta``, without the priors' constants; fills ``gradient``.

    ``data`` is a record of :data:`DATA`. Also returns 0 or an error code.
    """
    layout, model = _layout_in(data), _model_in(data)
    natural, d_natural = np.empty(layout.natural[-1]), np.zeros(layout.natural[-1])
    to_natural(theta, model, layout, natural)
    total, failed = _log_likelihood(natural, layout, data, d_natural)
    gradient[:] = 0.0
    total += log_prior(theta, natural, model, layout, gradient, d_natural)
    add_gradient(natural, d_natural, model, layout, gradient)
    return total, failed


@njit(**OPTIONS)
def _in_coordinates(z, data, gradient):
    """The same as a function of coordinates, with the part of the Jacobian that does not cancel."""
    n = z.size
    centre = carray(as_pointer(data["centre"]), (n,), np.float64)
    factor = carray(as_pointer(data["factor"]), (n, n), np.float64)
    laplace_transform = carray(as_pointer(data["laplace_transform"]), (n, 2), np.float64)
    theta, slope, u = np.empty(n), np.empty(n), np.empty(n)
    log_jacobian = to_theta(centre, factor, laplace_transform, z, u, theta)
    total, failed = log_posterior(theta, data, slope)
    pull_back(factor, laplace_transform, u, slope, gradient)
    return log_jacobian + total, failed


@c_callback(DENSITY)
def log_posterior_callback(n, at, gradient, value, data):
    """C-callable :func:`log_posterior`, in coordinates if there are any.

    Returns 0, or 1 if the density or its gradient is not finite.
    """
    record = carray(data, (1,), DATA)[0]
    point, slope = carray(at, (n,)), carray(gradient, (n,))
    if record["centre"] != 0:
        result, failed = _in_coordinates(point, record, slope)
    else:
        result, failed = log_posterior(point, record, slope)
    carray(value, (1,))[0] = result
    for i in range(n):
        result += slope[i]
    if failed != 0:
        return failed
    return 0 if np.isfinite(result) else 1


@njit(cache=True, nogil=True)
def evaluate(handle, at, gradient):
    """Value, without the priors' constants, and gradient of a :class:`LogDensity`."""
    value = np.empty(1)
    call(handle[0], at.size, at.ctypes.data, gradient.ctypes.data, value.ctypes.data, handle[1])
    return value[0]


@njit(cache=True, nogil=True)
def evaluate_rows(handle, points, values, gradients):
    """The same at every row of ``points``."""
    for i in range(len(points)):
        values[i] = evaluate(handle, points[i], gradients[i])


@c_callback(types.int64(types.uint64, types.uint64, _REALS, _REALS, types.voidptr))
def identity_callback(n, n_out, theta, out, user_data):
    """C-callable copy: samplers need a function that expands the unconstrained vector."""
    source, target = carray(theta, (n,)), carray(out, (n_out,))
    for i in range(n):
        target[i] = source[i]
    return 0
