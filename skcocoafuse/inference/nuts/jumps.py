"""Jumps between modes that chains have found but cannot reach from one another.

Chains that settled in separate modes do not show how much mass each mode holds. A jump moves a
draw of one mode to the other: in coordinates in which both are nearly standard normal, along a path
of densities from the first to the second, with short trajectories on the way. It is accepted with
the probability that leaves the posterior invariant (Neal, 1996, "Sampling from multimodal
distributions using tempered transitions", Statistics and Computing 6, with the two modes'
coordinates in place of temperatures). So chains change modes in proportion to the modes' masses.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skcocoafuse._threads import in_threads
from skcocoafuse.compiled.coordinates import Coordinates
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.inference.hamiltonian import leapfrog
from skcocoafuse.posterior.monte_carlo import rhat

# Densities on the way, and leapfrog steps at each: two of three jumps on kin8nm are accepted. On
# Concrete 2, whose modes are narrow, even 480 densities did not connect them.
_STAGES, _STEPS = 60, 8
# The first that works is used, longest first. Not compared.
_STEP_SIZES = (0.3, 0.2, 0.14, 0.1, 0.07)
# A step size works if this fraction of this many trajectories halfway is accepted. Not compared.
_WANTED, _PROBES = 0.8, 12


class Jumped(NamedTuple):
    """The draws of chains after jumps.

    ``chain`` and ``draw``, both (chains, draws), give the origin of each draw; ``accepted``,
    (clusters,), is the fraction of accepted jumps out of each cluster; ``n_gradients`` is the
    number of gradients used.
    """

    chain: np.ndarray
    draw: np.ndarray
    accepted: np.ndarray
    n_gradients: int


def change_places(
    kernel: Kernel, theta: np.ndarray, clusters: list[list[int]], attempts: int, cores: int, rng
) -> Jumped:
    """The draws, by chain and index, that make up every chain after jumps between clusters.

    A chain stays in a cluster for a piece of draws, attempts to jump from the last of them, and
    continues with a piece of draws of the cluster it is then in.

    Parameters
    ----------
    kernel : Kernel
    theta : ndarray of shape (chains, draws, n_parameters)
        Consistently labeled.
    clusters : list of list of int
        Chains of each cluster, two clusters or more, each with draws that agree.
    attempts : int
        Jumps that every chain attempts; fewer if it has fewer draws.
    cores : int
    rng : numpy.random.Generator
    """
    n_chains, n_draws = theta.shape[:2]
    u, transform = kernel.plain.from_theta(theta), kernel.plain.laplace_transform
    frames = [Coordinates.around(np.concatenate(u[chains]), transform) for chains in clusters]
    here, there = (_Counted(kernel.function(coordinates=frame)) for frame in frames[:2])
    step_size = _step_size(here, there, kernel.n_parameters, rng)
    pieces = _Pieces.cut(theta, clusters, min(attempts, n_draws - 1) + 1, rng)
    start = {chain: k for k, chains in enumerate(clusters) for chain in chains}
    seeds = rng.integers(2**31, size=n_chains)

    def walk(number):
        densities = [_Counted(kernel.function(coordinates=frame)) for frame in frames]
        own = _Walk(frames, densities, pieces, step_size, np.random.default_rng(seeds[number]))
        return *own.follow(number, start[number]), sum(density.count for density in densities)

    walks = in_threads(walk, range(n_chains), cores)
    chain, draw, tried, left, counts = (np.stack(part) for part in zip(*walks, strict=True))
    n_gradients = int(counts.sum()) + here.count + there.count
    return Jumped(chain, draw, left.sum(axis=0) / tried.sum(axis=0), n_gradients)


class _Counted:
    """A log density with its gradient, and how often it was evaluated."""

    def __init__(self, density: Callable):
        self.density, self.count = density, 0

    def __call__(self, z):
        self.count += 1
        return self.density(z)


@dataclasses.dataclass(frozen=True)
class _Pieces:
    """Successive draws of chains, in a random order within each cluster.

    ``stock`` has (chain, first draw) of the pieces of each cluster, all of ``length`` draws.
    """

    theta: np.ndarray
    n_pieces: int
    length: int
    stock: list[np.ndarray]

    @classmethod
    def cut(cls, theta: np.ndarray, clusters: list[list[int]], n_pieces: int, rng) -> "_Pieces":
        """``n_pieces`` of every chain; they overlap if draws do not divide evenly."""
        n_draws = theta.shape[1]
        length = -(-n_draws // n_pieces)
        firsts = np.minimum(np.arange(n_pieces) * length, n_draws - length)
        stock = [
            rng.permutation([(chain, first) for chain in chains for first in firsts])
            for chains in clusters
        ]
        return cls(theta, n_pieces, length, stock)

    def take(self, cluster: int, place: int) -> np.ndarray:
        """Chain and first draw of a piece; no piece is repeated before all are used."""
        return self.stock[cluster][place % len(self.stock[cluster])]

    def expand(self, taken: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Chain and draw of each draw of the pieces, as many as a chain has."""
        chain, first = np.array(taken).T
        draw = (first[:, None] + np.arange(self.length)).ravel()
        n_draws = self.theta.shape[1]
        return np.repeat(chain, self.length)[:n_draws], draw[:n_draws]


@dataclasses.dataclass(frozen=True)
class _Walk:
    """The path of one chain through clusters."""

    frames: list[Coordinates]
    densities: list[_Counted]
    pieces: _Pieces
    step_size: float
    rng: np.random.Generator

    def follow(self, number: int, cluster: int):
        """Chain and index of its draws; attempted and accepted jumps out of each cluster."""
        n_chains, n_clusters = len(self.pieces.theta), len(self.frames)
        visits, left = (np.zeros(n_clusters, dtype=int) for _ in range(2))
        taken: list[np.ndarray] = []
        while True:
            taken.append(self.pieces.take(cluster, number + n_chains * visits[cluster]))
            if len(taken) == self.pieces.n_pieces:
                break
            visits[cluster] += 1
            there = int(self.rng.choice([k for k in range(n_clusters) if k != cluster]))
            if self._jumps(taken[-1], cluster, there):
                left[cluster] += 1
                cluster = there
        return *self.pieces.expand(taken), visits, left

    def _jumps(self, piece: np.ndarray, here: int, there: int) -> bool:
        """Whether a jump from the last draw of a piece is accepted."""
        chain, first = piece
        frame, other = self.frames[here], self.frames[there]
        z = frame.from_theta(self.pieces.theta[chain, first + self.pieces.length - 1])
        offset = other.log_volume - frame.log_volume
        pair = self.densities[here], self.densities[there]
        work = _work(*pair, offset, z, self.step_size, self.rng)
        return bool(np.log(self.rng.uniform()) < work)


def _work(here: Callable, there: Callable, offset: float, z, step_size: float, rng) -> float:
    """Log acceptance ratio of a jump: the sum of the density changes along the path."""
    total = 0.0
    for stage in range(1, _STAGES + 1):
        with np.errstate(invalid="ignore"):  # NaN if both densities are zero
            total += (there(z)[0] + offset - here(z)[0]) / _STAGES
        if not np.isfinite(total):
            return -np.inf
        if stage < _STAGES:
            z, _ = _trajectory(here, there, stage / _STAGES, z, step_size, rng)
    return total


def _trajectory(here, there, share, z, step_size, rng) -> tuple[np.ndarray, bool]:
    """A trajectory on the density between the two, accepted or not.

    It is rejected unless it ends at a finite point with a positive density.
    """

    def between(at):
        (value, slope), (other_value, other_slope) = here(at), there(at)
        return (1 - share) * value + share * other_value, (1 - share) * slope + share * other_slope

    momentum = rng.normal(size=len(z))
    with np.errstate(over="ignore", invalid="ignore"):  # steps that are too long overflow
        value, slope = between(z)
        at, moving, end, _ = leapfrog(between, z, momentum, slope, step_size, _STEPS)
        gain = end - value - 0.5 * (moving @ moving - momentum @ momentum)
    accepted = bool(np.log(rng.uniform()) < gain)  # False for NaN
    return (at, True) if accepted else (z, False)


def _step_size(here: Callable, there: Callable, size: int, rng) -> float:
    """The longest step of a few at which trajectories halfway between modes are accepted."""
    for step_size in _STEP_SIZES:
        z, kept = np.zeros(size), 0
        for probe in range(2 * _PROBES):
            z, accepted = _trajectory(here, there, 0.5, z, step_size, rng)
            kept += accepted and probe >= _PROBES
        if kept >= _WANTED * _PROBES:
            break
    return step_size


def connected(accepted: np.ndarray, min_accepted: float) -> bool:
    """Whether chains leave all clusters except one often enough to forget where they started."""
    return bool((np.sort(accepted)[1:] >= min_accepted).all())


def settled(quantities: np.ndarray, clusters: list[list[int]], limit: float) -> bool:
    """Whether there are several clusters, all of them converged (a frozen chain is not)."""
    return len(clusters) > 1 and all(
        bool((rhat(quantities[chains]) <= limit).all()) for chains in clusters
    )
