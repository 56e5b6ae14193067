"""Search for modes: optimizations from diverse starting points, then moves from the best ends.

With up to ``MAX_ROWS`` rows the search does not depend on the order of rows or on whether a row of
weight 2 is given once or twice. With more rows a random subset is searched, and only its best modes
are refined on more: on up to ``MAX_ROWS_REFINED`` rows thoroughly, on all rows in a few steps, so
the cost on all rows is about a hundred gradients however many there are.
"""

from collections.abc import Callable

import numpy as np
from scipy import optimize

from skcocoafuse._threads import in_threads
from skcocoafuse.compiled import lbfgs
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.compiled.lbfgs import StoppingRule
from skcocoafuse.inference.engine import Settings
from skcocoafuse.inference.modes import (
    LONG,
    MAX_STACKED,
    SHORT,
    SMOOTHING,
    Mode,
    by_mass,
    climb,
    distinct,
    hessian,
    searched_density,
)
from skcocoafuse.inference.progress import progress_bar
from skcocoafuse.inference.starting_points import propose, split_an_expert
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.rows import evenly_spaced

N_STARTS = 48  # four of each of the 12 kinds of starting point
_N_KEPT = 16  # distinct ends that are refined: their order after short runs may change
# Modes that are improved independently of one another: descendants of a single one are alike, and
# stacked predictions of modes that differ are better (Concrete and Boston, 5 experts).
_N_LINES = 8
MAX_ROUNDS = 12  # of moves of every line; six were 0.07 worse in test NLL on Energy (5 experts)
_PATIENCE = 4  # moves of a line in a row that are not better, after which it rests
# A move that ends this far below is not better: one in ten that added mass had lost more than 16 on
# Boston, 2 on Concrete and Wine.
_MAX_LOSS = 10.0
N_REVISITED, N_FRESH = 8, 8  # earlier draws to start from, and new starts in addition
MAX_ROWS = 2000  # used by the search
MAX_ROWS_REFINED = 10_000  # that modes are refined on thoroughly
# From nearly the right curvature. With four modes and 20 steps, all of them on all rows, vi with
# 8 experts was 0.09 worse in test NLL on wind (4017 rows), 0.02 on kin8nm and 0.04 on protein.
_REFINED = StoppingRule(max_steps=100, memory=100, least_gain=1e-9)
_ON_ALL_ROWS = StoppingRule(max_steps=12, memory=12, least_gain=1e-9)
_MAX_POLISHING = 80  # steps of BFGS on all rows; it ends at rounding accuracy after about 40
_MAX_STACKED_OF_MANY_ROWS = 4  # if modes are not refined on all rows thoroughly; saves time
GAIN = 1.0  # in log mass, that justifies another search or a move
# Draws of a posterior are about half a unit of log density per parameter below its mode: 0.6 to
# 1.1 after a twentieth of the rows changed, thousands on other data.
_MAX_FALL = 2.0


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
    heights, _ = searched_density(kernel).at_many(points)
    if not modes[0].log_density - heights.mean() <= _MAX_FALL * kernel.n_parameters:
        return []
    rng = np.random.default_rng(settings.seed)
    part = kernel.problem.random_part(MAX_ROWS, rng)
    fresh = _climb_in_two(kernel, _starts(kernel, part, N_FRESH, rng), settings.cores)
    best, known = (by_mass(found, settings.cores)[0].log_mass for found in (fresh, modes))
    if best > known + GAIN:
        return []
    return distinct([*modes, *fresh])


def _starts(kernel: Kernel, problem: Problem, n: int, rng) -> list[np.ndarray]:
    """Starting points of all kinds in turn, transformed coordinates."""
    return [kernel.plain.from_theta(propose(problem, rng, kind)) for kind in range(n)]


def _climb_in_two(
    kernel: Kernel, points, cores: int, step: Callable[[], object] = lambda: None
) -> list[Mode]:
    """Distinct modes uphill; only the best distinct ends of short runs are refined."""
    ends = distinct(climb(kernel, points, cores, SHORT, step))[:_N_KEPT]
    return distinct(climb(kernel, [end.point for end in ends], cores, LONG, step))


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
        Distinct in their log density.
    """
    searched, *larger = _growing_parts(kernel, rng)
    total = N_STARTS + _N_KEPT + (MAX_ROUNDS + len(larger)) * _N_LINES
    with progress_bar(show_progress, "looking for modes", total) as step:
        starts = _starts(searched, searched.problem, N_STARTS, rng)
        lines = by_mass(_climb_in_two(searched, starts, cores, step), cores)[:_N_LINES]
        modes = improve(lines, rng, cores, step)
        for part, rule in zip(larger, (_REFINED, _ON_ALL_ROWS), strict=False):
            modes = _transfer(modes, part, rule, cores, step)
    return distinct(modes)


def _growing_parts(kernel: Kernel, rng: np.random.Generator) -> list[Kernel]:
    """Kernels of random parts of the rows, the smaller first, and the one of all rows."""
    parts = [kernel.problem.random_part(size, rng) for size in (MAX_ROWS, MAX_ROWS_REFINED)]
    return [*(Kernel(part) for part in parts if part is not kernel.problem), kernel]


def heaviest(modes: list[Mode], cores: int = 1) -> list[Mode]:
    """The modes that are worth an approximation each, the heaviest first."""
    many = modes[0].kernel.problem.rows.n_rows > MAX_ROWS_REFINED
    return by_mass(modes, cores)[: _MAX_STACKED_OF_MANY_ROWS if many else MAX_STACKED]


def improve(
    modes: list[Mode],
    rng: np.random.Generator,
    cores: int = 1,
    step: Callable[[], object] = lambda: None,
) -> list[Mode]:
    """The modes after moves that gave each more mass, in the same order.

    A move gives up one expert, divides another and optimizes from there. It is accepted if its end
    has more mass than the mode that it started from and is none of the other modes. A line rests
    after several moves in a row that are not.
    """
    kernel, modes = modes[0].kernel, list(modes)
    failures = np.zeros(len(modes), dtype=int)  # since the last success
    if kernel.problem.spec.n_experts == 1:
        return modes
    for _ in range(MAX_ROUNDS):
        active = np.flatnonzero(failures < _PATIENCE)
        starts = [split_an_expert(kernel.problem, modes[line].theta, rng) for line in active]
        points = [kernel.plain.from_theta(start) for start in starts]
        ends = climb(kernel, points, cores, LONG, step)
        pairs = [(end, modes[line]) for end, line in zip(ends, active, strict=True)]
        failures[active] += 1
        gains = in_threads(_gains_mass, pairs, cores)
        for line, end, better in zip(active, ends, gains, strict=True):
            others = [mode for number, mode in enumerate(modes) if number != line]
            if better and len(distinct([end, *others])) == len(modes):
                modes[line], failures[line] = end, 0
    return modes


def _gains_mass(pair: tuple[Mode, Mode]) -> bool:
    """Whether the first mode has more mass than the second; its curvature takes many gradients."""
    end, mode = pair
    loss = mode.log_density - end.log_density
    return loss < _MAX_LOSS and end.log_mass > mode.log_mass + GAIN


def _transfer(
    modes: list[Mode], kernel: Kernel, rule: StoppingRule, cores: int, step
) -> list[Mode]:
    """Modes of a part of the rows, refined on more rows in the coordinates of the part."""

    def refine(mode):
        density = kernel.function(SMOOTHING, mode.normal)
        z, log_density = lbfgs.climb(density, np.zeros(kernel.n_parameters), rule)
        point = mode.normal.transformed(z)
        return Mode(kernel, point, log_density, mode.normal.factor)

    return in_threads(refine, modes, cores, step)


def polish(modes: list[Mode]) -> np.ndarray:
    """Parameters of highest posterior density near any of the modes, to rounding accuracy.

    Starts L-BFGS at the modes of the transformed coordinates, then a trust-region Newton method
    at the best result. With more rows than are searched, starts BFGS at the highest mode, with the
    curvature of the part of the rows, instead: a matrix of second derivatives takes two gradients
    of all rows per parameter.
    """
    kernel = modes[0].kernel
    density = kernel.function(SMOOTHING)

    def negated(theta):
        value, gradient = density(theta)
        return -value, -gradient

    tolerance = 1e-10 * kernel.problem.rows.n_rows
    if modes[0].factor is not None:
        spread = kernel.plain.widening(modes[0].point)[:, None] * modes[0].factor
        options = {"hess_inv0": spread @ spread.T, "gtol": tolerance, "maxiter": _MAX_POLISHING}
        return optimize.minimize(
            negated, modes[0].theta, jac=True, method="BFGS", options=options
        ).x
    near, _ = max(
        (lbfgs.climb(density, mode.theta, LONG) for mode in modes), key=lambda end: end[1]
    )
    result = optimize.minimize(
        negated,
        near,
        jac=True,
        hess=lambda at: -hessian(density, at),
        method="trust-exact",
        options={"gtol": tolerance, "maxiter": 50},
    )
    return result.x
