"""Search for modes: many short optimizations from diverse starts.

With up to ``MAX_ROWS`` rows the search does not depend on the order of rows or on whether a row of
weight 2 is given once or twice, so weights and repetitions lead to the same modes. With more rows
a random subset is searched, and only its best modes are refined on all rows.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import optimize

from skcocoafuse._threads import in_threads
from skcocoafuse.compiled import lbfgs
from skcocoafuse.compiled.coordinates import Coordinates
from skcocoafuse.compiled.kernel import Kernel, LogDensity
from skcocoafuse.compiled.lbfgs import StoppingRule
from skcocoafuse.inference.engine import Settings
from skcocoafuse.inference.progress import progress_bar
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.rows import evenly_spaced

N_STARTS = 48  # four of each of the 12 kinds of starting point
N_KEPT = 16  # distinct ends that are refined: their order after short runs may change
N_REVISITED, N_FRESH = 8, 8  # earlier draws to start from, and new starts in addition
MAX_ROWS = 4000  # used by the search
GAIN = 1.0  # gain in log mass that justifies another search
SMOOTHING = 1e-3  # smooths the kink of Laplace priors, where optimizers stop
_SHORT = StoppingRule(max_steps=60, memory=20, least_gain=1e-9)
_LONG = StoppingRule(max_steps=600, memory=30, least_gain=1e-11)
_RIDGE = 0.1  # relative to a unit prior's precision: an expert may have fewer rows than columns
_BEHAVIORS = (4.0, 0.0, -4.0)  # logits of beta to start around
_LEAST_CURVATURE = 0.1  # that of a width of 3, where unit priors have 1
# Draws of a posterior are about half a unit of log density per parameter below its mode: 0.6 to
# 1.1 after a twentieth of the rows changed, thousands on other data.
_MAX_FALL = 2.0


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
    """

    kernel: Kernel
    point: np.ndarray
    log_density: float

    @property
    def theta(self) -> np.ndarray:
        """The point as unconstrained parameters."""
        return self.kernel.plain.to_theta(self.point)

    @cached_property
    def normal(self) -> Coordinates:
        """The Normal with the curvature of the log density here, as coordinates."""
        return round_coordinates(self.kernel, self.point)

    @property
    def log_mass(self) -> float:
        """Log of height times volume: the mode's share of the evidence, up to a constant."""
        return self.log_density + self.normal.log_volume

    def on(self, kernel: Kernel) -> "Mode":
        """The same point for another density, of which it need not be a mode."""
        if kernel is self.kernel:
            return self
        return Mode(kernel, self.point, _searched_density(kernel)(self.point)[0])


def begin(kernel: Kernel, settings: Settings, rng: np.random.Generator) -> list[Mode]:
    """Modes near earlier draws if these are still informative, else those of a full search."""
    return revisit(kernel, settings) or find_modes(
        kernel, rng, settings.cores, settings.progress_bar
    )


def revisit(kernel: Kernel, settings: Settings) -> list[Mode]:
    """Modes near earlier draws, highest first; none if no draws are still informative.

    They are not if they are far below the modes that they lead to, or if a few new starts lead
    to more mass. The generator is not used, so the full search that then follows is the same as
    without earlier draws.
    """
    if settings.earlier is None:
        return []
    points = kernel.plain.from_theta(settings.earlier)
    spread = points[evenly_spaced(len(points), N_REVISITED)]
    modes = _climb_in_two(kernel, spread, settings.cores)
    heights, _ = _searched_density(kernel).at_many(points)
    if not modes[0].log_density - heights.mean() <= _MAX_FALL * kernel.n_parameters:
        return []
    rng = np.random.default_rng(settings.seed)
    part = kernel.problem.random_part(MAX_ROWS, rng)
    proposals = [kernel.plain.from_theta(_propose(part, rng, kind)) for kind in range(N_FRESH)]
    fresh = _climb_in_two(kernel, proposals, settings.cores)
    if _greatest_mass(fresh) > _greatest_mass(modes) + GAIN:
        return []
    return distinct([*modes, *fresh])


def _greatest_mass(modes: list[Mode]) -> float:
    """Log mass of the heaviest mode."""
    return max(mode.log_mass for mode in modes)


def find_modes(
    kernel: Kernel, rng: np.random.Generator, cores: int = 1, show_progress: bool = False
) -> list[Mode]:
    """Local maxima of the density of transformed coordinates, highest first; at least one.

    Parameters
    ----------
    kernel : Kernel
    rng : numpy.random.Generator
    cores : int, default=1
        Optimizations that run at the same time; the modes do not depend on it.
    show_progress : bool, default=False
        Whether to draw a progress bar.

    Returns
    -------
    list of Mode
        At most ``N_KEPT``, distinct in their log density.
    """
    part = kernel.problem.random_part(MAX_ROWS, rng)
    searched = kernel if part is kernel.problem else Kernel(part)
    proposals = [
        kernel.plain.from_theta(_propose(searched.problem, rng, kind)) for kind in range(N_STARTS)
    ]
    stages = [(searched, _SHORT), (searched, _LONG)]
    if searched is not kernel:
        stages.append((kernel, _LONG))
    points, total = proposals, N_STARTS + N_KEPT * (len(stages) - 1)
    with progress_bar(show_progress, "looking for modes", total) as step:
        for on, rule in stages:
            modes = distinct(_climb_all(on, points, rule, cores, step))[:N_KEPT]
            points = [mode.point for mode in modes]
    return modes


def climb(kernel: Kernel, points: Iterable[np.ndarray], cores: int = 1) -> list[Mode]:
    """The distinct modes reached from ``points`` (transformed coordinates), highest first."""
    return distinct(_climb_all(kernel, points, _LONG, cores))


def _climb_in_two(kernel: Kernel, points: Iterable[np.ndarray], cores: int) -> list[Mode]:
    """The same, but only the distinct ends of short runs are refined."""
    short = distinct(_climb_all(kernel, points, _SHORT, cores))
    return climb(kernel, [mode.point for mode in short], cores)


def _climb_all(
    kernel: Kernel,
    points: Iterable[np.ndarray],
    rule: StoppingRule,
    cores: int,
    after_each: Callable[[], object] = lambda: None,
) -> list[Mode]:
    """Optimize from every point, in threads: the kernel releases the interpreter lock."""
    density = _searched_density(kernel)

    def maximise(point):
        return Mode(kernel, *lbfgs.climb(density, point, rule))

    return in_threads(maximise, points, cores, after_each)


def _searched_density(kernel: Kernel) -> LogDensity:
    return kernel.function(SMOOTHING, kernel.plain)


def distinct(modes: list[Mode], tolerance: float = 0.05) -> list[Mode]:
    """Highest first, dropping those with the log density of a better one.

    Permuted copies of a mode share its log density exactly, so this also removes them.
    """
    kept: list[Mode] = []
    for mode in sorted(modes, key=lambda m: -m.log_density):
        if not kept or kept[-1].log_density - mode.log_density > tolerance:
            kept.append(mode)
    return kept


def _propose(problem: Problem, rng: np.random.Generator, kind: int) -> np.ndarray:
    """A starting point: rows are split among experts, and each fits a ridge regression.

    Three of four starts split the gate's inputs along a random direction; the fourth
    splits along the residuals of one common regression (experts at the same inputs). The
    behavior gate starts near mixing, undecided, and near blending in turn.
    """
    spec, M = problem.spec, problem.spec.n_experts
    X_gate = problem.designs["gate"]
    by_residual = kind % 4 == 3 or spec.n_features["gate"] == 0
    direction = rng.normal(size=spec.n_features["gate"])
    direction /= np.linalg.norm(direction) + 1e-12
    shares = rng.dirichlet(np.full(M, 5.0))
    steepness = np.exp(rng.normal(1.0, 0.7))
    behavior = _BEHAVIORS[kind // 4 % len(_BEHAVIORS)] + rng.normal()
    projection = X_gate @ direction
    if by_residual:
        intercept, coef, _ = _ridge(problem, np.ones(len(problem.y)))
        projection = problem.y - intercept - problem.designs["expert"] @ coef
    cuts = _weighted_quantiles(projection, problem.weight, np.cumsum(shares)[:-1])
    belongs = np.searchsorted(cuts, projection)
    fits = [_ridge(problem, (belongs == k).astype(float)) for k in range(M)]
    slopes = np.zeros(M) if by_residual else steepness * np.arange(M)
    levels = np.log(shares) if by_residual else -steepness * np.concatenate([[0], np.cumsum(cuts)])
    start = spec.unpack(np.zeros(spec.n_parameters))._replace(
        expert_intercept=np.array([fit[0] for fit in fits]),
        expert_coef=np.array([fit[1] for fit in fits]).reshape(M, -1),
        sigma=np.array([fit[2] for fit in fits]),
        gate_intercept=levels,
        gate_coef=np.outer(slopes, direction),
    )
    if spec.behavior is None:
        start = start._replace(behavior_intercept=np.asarray(behavior))
    return spec.pack(start)


def _ridge(problem: Problem, belongs: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Weighted ridge regression: intercept, coefficients, residual standard deviation."""
    X = np.column_stack([np.ones(len(problem.y)), problem.designs["expert"]])
    weight = problem.weight * belongs
    solution = np.linalg.solve(
        (X * weight[:, None]).T @ X + _RIDGE * np.eye(X.shape[1]), X.T @ (weight * problem.y)
    )
    error = problem.y - X @ solution
    variance = (weight @ error**2 + 0.1) / (weight.sum() + 1.0)
    return solution[0], solution[1:], max(np.sqrt(variance), 0.02)


def _weighted_quantiles(values: np.ndarray, weight: np.ndarray, q: np.ndarray) -> np.ndarray:
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weight[order])
    index = np.searchsorted(cumulative, q * cumulative[-1] * (1 - 1e-9))
    # slightly above the value, so that its row and copies of it are on the same side
    return values[order][np.minimum(index, len(values) - 1)] + 1e-9 * (1.0 + np.ptp(values))


def polish(modes: list[Mode]) -> np.ndarray:
    """Parameters of highest posterior density near any of the modes, to rounding accuracy.

    Starts L-BFGS at the modes of the transformed coordinates, then a trust-region Newton method
    at the best result.
    """
    kernel = modes[0].kernel
    density = kernel.function(SMOOTHING)

    def negated(theta):
        value, gradient = density(theta)
        return -value, -gradient

    near, _ = max(
        (lbfgs.climb(density, mode.theta, _LONG) for mode in modes), key=lambda end: end[1]
    )
    result = optimize.minimize(
        negated,
        near,
        jac=True,
        hess=lambda at: -hessian(density, at),
        method="trust-exact",
        options={"gtol": 1e-10 * kernel.problem.rows.n_rows, "maxiter": 50},
    )
    return result.x


def hessian(density: LogDensity, at: np.ndarray) -> np.ndarray:
    """Second derivatives by central differences of the gradient, symmetrized."""
    width = 1e-5
    steps = width * np.eye(at.size)
    _, gradients = density.at_many(np.concatenate([at + steps, at - steps]))
    matrix = (gradients[: at.size] - gradients[at.size :]) / (2 * width)
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
