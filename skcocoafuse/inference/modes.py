"""Modes: local maxima of the posterior density, and the Normals at them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from skcocoafuse._cached import cached_property
from skcocoafuse._threads import in_threads
from skcocoafuse.compiled import lbfgs
from skcocoafuse.compiled.coordinates import Coordinates
from skcocoafuse.compiled.kernel import Kernel, LogDensity
from skcocoafuse.compiled.lbfgs import StoppingRule

SMOOTHING = 1e-3  # smooths the kink of Laplace priors, where optimizers stop
# These posteriors are ill-conditioned: with as many stored steps as there are parameters, 300
# steps reach what 600 reach with 30 stored ones (Boston, Energy, Concrete; 5 experts).
SHORT = StoppingRule(max_steps=60, memory=60, least_gain=1e-9)
LONG = StoppingRule(max_steps=300, memory=200, least_gain=1e-9)
MAX_STACKED = 8  # modes with the largest mass; stacking gives others almost no weight
_LEAST_CURVATURE = 0.1  # that of a width of 3, where unit priors have 1


@dataclass(frozen=True)
class Mode:
    """A local maximum of the posterior density of transformed coordinates, found by optimization.

    Parameters
    ----------
    kernel : Kernel
    point : ndarray of shape (n_parameters,)
        Transformed coordinates.
    log_density : float
        Of the transformed coordinates; Laplace priors that these do not transform are smoothed.
    factor : ndarray of shape (n_parameters, n_parameters), optional
        That of the same mode given a part of the rows, which stands in for its own: the curvature
        given all rows takes two gradients per parameter.
    """

    kernel: Kernel
    point: np.ndarray
    log_density: float
    factor: np.ndarray | None = None

    @property
    def theta(self) -> np.ndarray:
        """The point as unconstrained parameters."""
        return self.kernel.plain.to_theta(self.point)

    @cached_property
    def normal(self) -> Coordinates:
        """The Normal with the curvature of the log density here, as coordinates."""
        if self.factor is None:
            return round_coordinates(self.kernel, self.point)
        return Coordinates(self.point, self.factor, self.kernel.plain.laplace_transform)

    @property
    def log_mass(self) -> float:
        """Log of height times volume: the mode's share of the evidence, up to a constant."""
        return self.log_density + self.normal.log_volume


def climb(
    kernel: Kernel,
    points: Iterable[np.ndarray],
    cores: int = 1,
    rule: StoppingRule = LONG,
    after_each: Callable[[], object] = lambda: None,
) -> list[Mode]:
    """The modes uphill of ``points`` (transformed coordinates), in their order.

    Optimizes in threads: the kernel releases the interpreter lock.
    """
    density = searched_density(kernel)

    def maximise(point):
        return Mode(kernel, *lbfgs.climb(density, point, rule))

    return in_threads(maximise, points, cores, after_each)


def searched_density(kernel: Kernel) -> LogDensity:
    """The density whose modes are searched for."""
    return kernel.function(SMOOTHING, kernel.plain)


def distinct(modes: Iterable[Mode], tolerance: float = 0.05) -> list[Mode]:
    """Highest first, dropping those with the log density of a better one.

    Permuted copies of a mode share its log density exactly, so this also removes them.
    """
    kept: list[Mode] = []
    for mode in sorted(modes, key=lambda m: -m.log_density):
        if not kept or kept[-1].log_density - mode.log_density > tolerance:
            kept.append(mode)
    return kept


def by_mass(modes: Iterable[Mode], cores: int = 1) -> list[Mode]:
    """The heaviest first; curvatures that are not known yet are computed in threads."""
    modes = list(modes)
    masses = np.array(in_threads(lambda mode: mode.log_mass, modes, cores))
    return [modes[number] for number in np.argsort(-masses, kind="stable")]


def hessian(density: LogDensity, at: np.ndarray) -> np.ndarray:
    """Second derivatives by forward differences of the gradient, symmetrized."""
    width = 1e-6  # errors of truncation and of rounding are then alike, a millionth of unit scale
    _, gradients = density.at_many(np.concatenate([at[None], at + width * np.eye(at.size)]))
    matrix = (gradients[1:] - gradients[0]) / width
    return 0.5 * (matrix + matrix.T)


def round_coordinates(kernel: Kernel, point: np.ndarray) -> Coordinates:
    """Coordinates around a mode in which the posterior is nearly a standard Normal.

    The factor is the Cholesky factor of the inverse curvature. Laplace priors that are not
    transformed are smoothed on their own scale, since the curvature of their kink is not
    informative about width; directions without curvature get the width of a unit prior.
    """
    curvature = -hessian(kernel.function(1.0, kernel.plain), point)
    eigenvalues, vectors = np.linalg.eigh(curvature)
    covariance = (vectors / np.maximum(np.abs(eigenvalues), _LEAST_CURVATURE)) @ vectors.T
    return Coordinates(point.copy(), np.linalg.cholesky(covariance), kernel.plain.laplace_transform)
