"""Draws of an approximation, moved towards the posterior by Hamiltonian Monte Carlo.

Sources: Neal (2011), "MCMC using Hamiltonian dynamics", Handbook of Markov chain Monte Carlo,
section 5.3; from a variational approximation: Salimans, Kingma and Welling (2015), "Markov chain
Monte Carlo and variational inference: bridging the gap", ICML. A few walkers take some transitions
each, in the coordinates of the approximation, so there is no mass matrix to adapt, and the
acceptance of all of them adapts the length of a step.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from skcocoafuse.compiled.kernel import LogDensity
from skcocoafuse.inference.importance import uncorrected

# Test densities are as good as with 32 walkers, 8 and 16 transitions and no state given twice, for
# 0.7 of the time; so they are with 8 walkers, whose draws are worth too little (benchmarks/LOG.md).
_N_BURN_IN, _N_KEPT = 12, 32  # transitions whose states are not kept, and at most that are
_MIN_WALKERS = 20  # so that draws of a mode are worth a hundred if every fifth walker stands still
_REPEATED = 2  # times that a state is given as a draw
_TRIED = 4  # starts per walker: where densities are not finite at some, others are taken
_FIRST_STEP, _ACCEPTANCE = 0.3, 0.8  # of leapfrog, in standard deviations; aimed at
_JITTER = (0.7, 1.2)  # factors of the step


def moved(
    density: LogDensity,
    size: int,
    n_draws: int,
    rng: np.random.Generator,
    n_steps: tuple[int, int],
) -> np.ndarray:
    """Draws that start as standard Normal and are nearer to a density.

    After burn-in every transition leaves the density invariant. Walkers stay in the mode that they
    start in.

    Parameters
    ----------
    density : LogDensity
        Of coordinates in which it is roughly standard Normal.
    size : int
        Number of coordinates.
    n_draws : int
    rng : numpy.random.Generator
    n_steps : tuple of int
        The fewest and the most leapfrog steps of a transition; their number is random, so that
        trajectories do not come back to where they began.

    Returns
    -------
    ndarray of shape (n_draws, size)
        In random order, from half as many states, of which those of the same walker are correlated.
    """
    n_states = -(-n_draws // _REPEATED)
    n_walkers = max(_MIN_WALKERS, -(-n_states // _N_KEPT))
    walkers = _Walkers(density, rng.normal(size=(_TRIED * n_walkers, size)), n_walkers, n_steps)
    step, kept = _FIRST_STEP, []
    for _ in range(_N_BURN_IN):
        step *= np.exp(walkers.transition(step, rng) - _ACCEPTANCE)
    for _ in range(-(-n_states // n_walkers)):
        walkers.transition(step, rng)
        kept.append(walkers.at)
    return rng.permutation(np.concatenate(kept * _REPEATED))[:n_draws]


def leapfrog(
    density: Callable, at: np.ndarray, momentum: np.ndarray, gradient: np.ndarray, step, n_steps
) -> tuple[np.ndarray, np.ndarray, Any, np.ndarray]:
    """Position, momentum, log density and gradient after some steps along a trajectory.

    Parameters
    ----------
    density : callable
        Returns the log density and its gradient, at one position or at each of many.
    at, momentum, gradient : ndarray
        At the beginning.
    step : float
    n_steps : int
        At least one.
    """
    for _ in range(n_steps):
        momentum = momentum + 0.5 * step * gradient
        at = at + step * momentum
        value, gradient = density(at)
        momentum = momentum + 0.5 * step * gradient
    return at, momentum, value, gradient


class _Walkers:
    """Where they are, (walkers, size), with log densities and gradients: at first, finite ones."""

    def __init__(self, density: LogDensity, starts: np.ndarray, n: int, n_steps: tuple[int, int]):
        value, gradient = density.at_many(starts)
        known = uncorrected(np.where(np.isfinite(gradient).all(axis=1), value, np.nan), n)
        self.at, self.value, self.gradient = starts[known], value[known], gradient[known]
        self.density, self.n_steps = density, n_steps

    def transition(self, step: float, rng: np.random.Generator) -> float:
        """Move each along a trajectory of the same length, or not; returns the mean acceptance."""
        n_steps = int(rng.integers(*self.n_steps, endpoint=True))
        step = step * rng.uniform(*_JITTER)
        start = rng.normal(size=self.at.shape)
        with np.errstate(over="ignore", invalid="ignore"):  # far outside; not accepted
            at, momentum, value, gradient = leapfrog(
                self.density.at_many, self.at, start, self.gradient, step, n_steps
            )
            gain = value - self.value - 0.5 * (momentum**2 - start**2).sum(axis=1)
            acceptance = np.exp(np.minimum(np.nan_to_num(gain, nan=-np.inf), 0.0))
        accepted = rng.uniform(size=len(at)) < acceptance
        self.at = np.where(accepted[:, None], at, self.at)
        self.value = np.where(accepted, value, self.value)
        self.gradient = np.where(accepted[:, None], gradient, self.gradient)
        return float(acceptance.mean())
