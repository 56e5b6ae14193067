"""Jumps between modes that chains know but cannot reach from one another.

Chains that settled in separate modes say nothing of how much each mode holds. A jump takes a
draw of one mode to the other: in coordinates in which both are round, along a path of densities
from the first to the second, with short trajectories on the way. It is accepted with the
probability that keeps the posterior (Neal, 1996, "Sampling from multimodal distributions using
tempered transitions", Statistics and Computing 6, with the two modes' coordinates in the place
of temperatures). So chains change modes as often as the modes' masses ask for.
"""

from collections.abc import Callable

import numpy as np

from skcocoafuse._threads import in_threads
from skcocoafuse.compiled.coordinates import Coordinates
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.posterior.monte_carlo import rhat

_STAGES, _STEPS = 60, 8  # densities on the way, leapfrog steps at each
ATTEMPTS = (24, 96)  # per chain; the more if chains disagree after the fewer
_STEP_SIZES = (0.3, 0.2, 0.14, 0.1, 0.07)
_WANTED, _PROBES = 0.8, 12  # acceptance of a trajectory, and how many are looked at
MIN_ACCEPTED = 0.1  # of the jumps out of any island but the one that holds chains best


def change_places(
    kernel: Kernel, theta: np.ndarray, islands: list[list[int]], attempts: int, cores: int, rng
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which draw of which chain every chain holds after jumps between islands.

    A chain stays in an island for a piece of draws, tries to jump from the last of them, and goes
    on with a piece of draws of the island it is then in. Pieces are taken in a random order,
    none twice before all are used.

    Parameters
    ----------
    kernel : Kernel
    theta : ndarray of shape (chains, draws, n_parameters)
        Consistently labelled.
    islands : list of list of int
        Chains of each island, two islands or more, each with draws that agree.
    attempts : int
        Jumps that every chain tries; fewer where it has fewer draws.
    cores : int
    rng : numpy.random.Generator

    Returns
    -------
    chain, draw : ndarray of int, shape (chains, draws)
        Where each draw is taken from.
    accepted : ndarray of shape (islands,)
        Part of the jumps out of each island that were accepted.
    """
    n_chains, n_draws = theta.shape[:2]
    u, bends = kernel.plain.from_theta(theta), kernel.plain.bends
    frames = [Coordinates.around(np.concatenate(u[chains]), bends) for chains in islands]
    step_size = _step_size(kernel, frames, rng)
    attempts = min(attempts, n_draws - 1)
    length = -(-n_draws // (attempts + 1))
    begins = np.minimum(np.arange(attempts + 1) * length, n_draws - length)
    stock = [
        rng.permutation([(chain, begin) for chain in chains for begin in begins])
        for chains in islands
    ]
    at_first = {chain: k for k, chains in enumerate(islands) for chain in chains}
    seeds = rng.integers(2**31, size=n_chains)

    def follow(number):
        own = np.random.default_rng(seeds[number])
        functions = [kernel.function(coordinates=frame) for frame in frames]
        island, pieces = at_first[number], []
        visits, left = (np.zeros(len(islands), dtype=int) for _ in range(2))
        for attempt in range(attempts + 1):
            place = number + n_chains * visits[island]
            chain, begin = stock[island][place % len(stock[island])]
            pieces.append((chain, begin))
            visits[island] += 1
            if attempt == attempts:
                break
            there = int(own.choice([k for k in range(len(islands)) if k != island]))
            z = frames[island].from_theta(theta[chain, begin + length - 1])
            offset = frames[there].log_volume - frames[island].log_volume
            work = _work(functions[island], functions[there], offset, z, step_size, own)
            if np.log(own.uniform()) < work:
                left[island] += 1
                island = there
        chain, begin = np.array(pieces).T
        draw = (begin[:, None] + np.arange(length)).ravel()[:n_draws]
        visits[island] -= 1  # no jump was tried from the last piece
        return np.repeat(chain, length)[:n_draws], draw, visits, left

    followed = in_threads(follow, range(n_chains), cores)
    chain, draw, tried, left = (np.stack(part) for part in zip(*followed, strict=True))
    return chain, draw, left.sum(axis=0) / tried.sum(axis=0)


def _work(here: Callable, there: Callable, offset: float, z, step_size: float, rng) -> float:
    """Log acceptance ratio of a jump: what the changes of density along the way add up to."""
    total = 0.0
    for stage in range(1, _STAGES + 1):
        with np.errstate(invalid="ignore"):  # NaN where neither has a density
            total += (there(z)[0] + offset - here(z)[0]) / _STAGES
        if not np.isfinite(total):
            return -np.inf
        if stage < _STAGES:
            z, _ = _trajectory(here, there, stage / _STAGES, z, step_size, rng)
    return total


def _trajectory(here, there, share, z, step_size, rng) -> tuple[np.ndarray, bool]:
    """A trajectory on the density between the two, accepted or not.

    One that does not end at a number, with a density there, is not accepted.
    """

    def between(at):
        (value, slope), (other_value, other_slope) = here(at), there(at)
        return (1 - share) * value + share * other_value, (1 - share) * slope + share * other_slope

    momentum = rng.normal(size=len(z))
    with np.errstate(over="ignore", invalid="ignore"):  # steps that are too long leave all bounds
        value, slope = between(z)
        at, moving = z, momentum
        for _ in range(_STEPS):
            moving = moving + 0.5 * step_size * slope
            at = at + step_size * moving
            end, slope = between(at)
            moving = moving + 0.5 * step_size * slope
        gain = end - value - 0.5 * (moving @ moving - momentum @ momentum)
    accepted = bool(np.log(rng.uniform()) < gain)  # False for NaN
    return (at, True) if accepted else (z, False)


def _step_size(kernel: Kernel, frames: list[Coordinates], rng) -> float:
    """The longest step of a few that keeps trajectories halfway between modes."""
    here, there = (kernel.function(coordinates=frame) for frame in frames[:2])
    for step_size in _STEP_SIZES:
        z, kept = np.zeros(kernel.n_parameters), 0
        for probe in range(2 * _PROBES):
            z, accepted = _trajectory(here, there, 0.5, z, step_size, rng)
            kept += accepted and probe >= _PROBES
        if kept >= _WANTED * _PROBES:
            break
    return step_size


def connected(accepted: np.ndarray) -> bool:
    """Whether chains leave all islands but one often enough to forget where they began."""
    return bool((np.sort(accepted)[1:] >= MIN_ACCEPTED).all())


def settled(quantities: np.ndarray, islands: list[list[int]], limit: float) -> bool:
    """Whether there are several islands, each of them converged (not so a chain that froze)."""
    return len(islands) > 1 and all(
        bool((rhat(quantities[chains]) <= limit).all()) for chains in islands
    )
