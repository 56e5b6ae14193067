"""The log posterior of a problem, for machine code and for Python."""

import math
from dataclasses import replace

import numpy as np
from numba import carray

from skcocoafuse._threads import in_threads, raise_if_cancelled
from skcocoafuse.compiled.coordinates import Coordinates, laplace_transform_of, transforms_gates
from skcocoafuse.compiled.jit import python_callback
from skcocoafuse.compiled.layout import Layout, layout_of, model_of, natural_sizes
from skcocoafuse.compiled.likelihood import value_and_gradient
from skcocoafuse.compiled.log_posterior import (
    DATA,
    DENSITY,
    evaluate,
    evaluate_rows,
    log_posterior_callback,
)
from skcocoafuse.model.priors import FAMILIES, POSITIVE
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.rows import Rows, RowsInMemory, Tiles
from skcocoafuse.model.spec import ModelSpec

# Parameters times rows, about a tenth of a second: compiled code does not notice interrupts.
_NUMBERS_AT_ONCE = 30_000_000


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
        The constants of the priors, which the compiled function omits.
    plain : Coordinates
        The transformed coordinates of this model, without a linear map.
    """

    def __init__(self, problem: Problem):
        spec, rows = problem.spec, problem.rows
        self.problem = problem
        self.n_parameters = spec.n_parameters
        self.constant = _prior_constant(spec)
        self.plain = Coordinates.plain(laplace_transform_of(spec))
        self._layout, self._model = layout_of(spec), model_of(spec)
        self._tiles: Tiles | None = None
        self._elsewhere: _SumOverParts | None = None
        if isinstance(rows, RowsInMemory):
            self._tiles = replace(rows).tiles  # of a copy, so that they are freed with the kernel
        else:
            self._elsewhere = _SumOverParts(rows, self._layout)

    def user_data(
        self,
        smoothing: float = 0.0,
        coordinates: Coordinates | None = None,
        with_gradient: bool = True,
    ):
        """The data that :data:`log_posterior_callback` reads, and arrays to keep alive meanwhile.

        ``smoothing`` > 0 smooths the kinks of those Laplace priors that coordinates do not
        transform. Without ``coordinates`` the density is that of the parameters themselves; without
        ``with_gradient`` gradients are not to be used.
        """
        kinks = np.full(2, smoothing)  # of contrasts, and of all others
        if coordinates is not None:  # the transform removes the exact kink
            kinks *= [0.0 if transforms_gates(self.problem.spec) else 1.0, 0.0]
        model = self._model._replace(smoothing=kinks)
        arrays = {"basis": model.basis}
        if self._tiles is not None:
            arrays |= {"X": self._tiles.X, "y": self._tiles.y, "weight": self._tiles.weight}
        if coordinates is not None:
            arrays |= vars(coordinates)
        data = np.zeros(1, dtype=DATA)
        for name, value in {**self._layout._asdict(), **model._asdict()}.items():
            if name not in arrays:
                data[name] = value
        for name, array in arrays.items():
            data[name] = array.ctypes.data
        if self._tiles is not None:
            data["columns"], data["n_tiles"] = self._tiles.columns, len(self._tiles.X)
        data["elsewhere"] = 0 if self._elsewhere is None else self._elsewhere.address
        data["with_gradient"] = with_gradient
        return data, list(arrays.values())

    def raise_error(self) -> None:
        """Raise any exception that rows stored in parts raised inside machine code."""
        if self._elsewhere is not None:
            self._elsewhere.raise_error()

    def function(
        self,
        smoothing: float = 0.0,
        coordinates: Coordinates | None = None,
        with_gradient: bool = True,
    ) -> "LogDensity":
        """The density for optimizers and Python; see :meth:`user_data` for the arguments."""
        return LogDensity(self, smoothing, coordinates, with_gradient)

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Log posterior and gradient at one unconstrained vector."""
        return self.function()(theta)

    def log_posterior(self, theta: np.ndarray, cores: int = 1) -> np.ndarray:
        """Log posterior of many unconstrained vectors, (..., n_parameters) to (...)."""
        flat = np.ascontiguousarray(theta.reshape(-1, self.n_parameters))
        density = self.function(with_gradient=False)
        parts = in_threads(
            lambda part: density.at_many(part)[0], np.array_split(flat, cores), cores
        )
        return np.concatenate(parts).reshape(theta.shape[:-1])


class _SumOverParts:
    """The log likelihood of rows stored in parts, as a function that C can call."""

    def __init__(self, rows: Rows, layout: Layout):
        self._rows, self._layout = rows, layout
        self._error: BaseException | None = None
        self._callback = python_callback(self._fill, DENSITY)
        self.address = self._callback.address

    def _fill(self, n, natural, gradient, value, with_gradient) -> int:
        at, wanted = carray(natural, (n,)).copy(), bool(with_gradient)
        try:
            found = self._rows.sum(value_and_gradient, at, self._layout, wanted)
        except BaseException as error:  # there is no caller in Python to raise it to
            self._error = error
            return -1  # tells samplers to stop
        carray(value, (1,))[0] = found[0]
        carray(gradient, (n,))[:] = found[1:]
        return 0

    def raise_error(self) -> None:
        """Raise the exception of the rows, once."""
        error = self._error or self._callback.error  # an interrupt may arrive between the two
        self._error = self._callback.error = None
        if error is not None:
            raise error


class LogDensity:
    """A log density and its gradient, as functions of unconstrained vectors.

    With ``smoothing`` > 0, |z| becomes sqrt(z^2 + smoothing^2) in Laplace priors, for optimizers.
    With ``coordinates`` the vectors are their z, the density is that of their u, and smoothing
    applies to priors they do not transform. The interpreter lock is released during computation;
    threads may share it.

    Attributes
    ----------
    handle : ndarray of int64
        Input of :func:`evaluate`: the addresses of :data:`log_posterior_callback` and of its
        data, which are valid as long as this object exists.
    constant : float
        The constant that :func:`evaluate` omits.
    at_once : int
        Evaluations between checks for interrupts, which wait for compiled code to return.
    """

    def __init__(
        self,
        kernel: Kernel,
        smoothing: float,
        coordinates: Coordinates | None,
        with_gradient: bool,
    ):
        self._kernel = kernel  # its rows, if elsewhere, are checked for errors
        self._data, self._arrays = kernel.user_data(smoothing, coordinates, with_gradient)
        self.handle = np.array([log_posterior_callback.address, self._data.ctypes.data])
        self.constant = kernel.constant
        self.at_once = max(
            1, _NUMBERS_AT_ONCE // (kernel.n_parameters * kernel.problem.rows.n_rows)
        )

    def __call__(self, at: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient at one vector."""
        raise_if_cancelled()
        gradient = np.empty(at.size)
        value = evaluate(self.handle, np.ascontiguousarray(at), gradient)
        self._kernel.raise_error()
        return value + self.constant, gradient

    def at_many(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and gradients at the rows of a matrix."""
        values, gradients = np.empty(len(points)), np.empty_like(points)
        for start in range(0, len(points), self.at_once):
            part = slice(start, start + self.at_once)
            raise_if_cancelled()
            evaluate_rows(self.handle, points[part], values[part], gradients[part])
            self._kernel.raise_error()
        return values + self.constant, gradients


def _prior_constant(spec: ModelSpec) -> float:
    """The constants of all prior densities, which the compiled function omits.

    Computed as the difference at a point where every entry of a parameter is 0 (1 for positive
    ones), so that no formula is duplicated. The density of contrasts is over the logits, not their
    coordinates: hence natural sizes.
    """
    total, sizes = 0.0, natural_sizes(spec)
    for block in spec.blocks:
        if not block.size:  # one expert's gate has natural parameters, but no prior
            continue
        prior = spec.priors[block.name]
        full = prior.log_density(math.log, 1.0 if block.constraint == POSITIVE else 0.0)
        entry = FAMILIES[prior.family].entry  # in Python, so nothing is compiled for it
        total += sizes[block.name] * (full - entry(0.0, prior.loc, prior.scale, prior.df, 0.0)[0])
    return total
