"""Remedies for chains that diverge or disagree, in the order they are tried.

A remedy tells whether it ``applies`` to a state, and ``apply`` returns the new state. The first
applicable one is applied, until there is none (:mod:`skcocoafuse.inference.nuts.convergence`). All
of them leave the posterior invariant: only draws made after chains were moved or their step size
was changed are kept. A new remedy is a class here and an element of ``REMEDIES``.
"""

import dataclasses
from typing import ClassVar, Protocol

import numpy as np

from skcocoafuse._threads import in_threads
from skcocoafuse.inference.engine import Settings
from skcocoafuse.inference.nuts import bridge_sampling, jumps
from skcocoafuse.inference.nuts.backend import mean_steps
from skcocoafuse.inference.nuts.state import (
    Draws,
    State,
    continue_chains,
    draws_of,
    judged,
    labeled,
    unsettled,
)
from skcocoafuse.posterior.clusters import MAX_RHAT

# If trajectories take up to the first fraction of the steps that their depth allows, the
# target rejections are multiplied by the second; trajectories grow by about its inverse.
# Between an eighth and a quarter, acceptance 0.95 was faster and mixed better than 0.98 (wine).
TARGET_ACCEPT_STEPS = ((0.125, 0.2), (0.25, 0.5))


class Remedy(Protocol):
    """One way to get chains to agree."""

    name: ClassVar[str]
    phase: ClassVar[str]  # to which its seconds are added

    def applies(self, state: State) -> bool:
        """Whether it may help in this state."""

    def apply(self, state: State, rng: np.random.Generator) -> State:
        """The state afterwards; one with the same draws if it did not help."""


@dataclasses.dataclass(frozen=True)
class ShorterSteps:
    """Chains that diverge are continued with shorter steps.

    Divergent trajectories miss regions where the posterior curves more than around its mode, so
    the draws of such a run are dropped. Tried first, because later the draws of other remedies
    would be lost as well, and only once, because trajectories must have room to grow.

    On 40 transition data sets, fits with divergent draws fell from 39 to 4, and R-hat above 1.03
    from 2 to 0.
    """

    name: ClassVar[str] = "shorter steps"
    phase: ClassVar[str] = "sampling"

    def applies(self, state: State) -> bool:
        """If draws of the first run diverge at the requested acceptance rate."""
        return (
            not state.costs
            and not state.steps_are_short
            and any(run.statistics["diverging"].any() for run in state.latest)
            and self._settings(state) is not state.settings
        )

    def apply(self, state: State, rng: np.random.Generator) -> State:
        """Chains continue from their last draws; earlier draws are dropped."""
        settings = self._settings(state)
        return state.restarted(continue_chains(state, rng, settings), settings)

    def _settings(self, state: State) -> Settings:
        return raise_target_accept(state.settings, mean_steps(state.latest))


def raise_target_accept(settings: Settings, n_steps: float) -> Settings:
    """Settings with fewer rejections; unchanged if trajectories have no room to grow."""
    used = n_steps / 2 ** settings.options["maxdepth"]
    left = next((left for most, left in TARGET_ACCEPT_STEPS if used <= most), None)
    if left is None:
        return settings
    return dataclasses.replace(settings, target_accept=1.0 - left * (1.0 - settings.target_accept))


@dataclasses.dataclass(frozen=True)
class MoreDraws:
    """Chains that mix slowly are continued, by as many draws as the first run has.

    Of fits with R-hat above 1.05, diabetes (2 to 4 experts), Concrete and Boston agreed with twice
    to four times the draws, and with longer chains as well: these are slow, not stuck.

    Parameters
    ----------
    max_parts : int
        Total number of runs of a chain. Some folds of diabetes agree only with four; chains stop
        at three if the fourth is not needed.
    """

    max_parts: int = 4
    name: ClassVar[str] = "more draws"
    phase: ClassVar[str] = "sampling"

    def applies(self, state: State) -> bool:
        """If chains disagree, and not because each has settled in a separate mode."""
        return len(state.parts) < self.max_parts and unsettled(state.draws)

    def apply(self, state: State, rng: np.random.Generator) -> State:
        """All draws are kept and thinned, or their second half if a chain arrived late."""
        return state.extended(continue_chains(state, rng))


@dataclasses.dataclass(frozen=True)
class Jumps:
    """Chains that have settled in different modes jump between them.

    Each mode then gets its share of the posterior. On kin8nm two of three jumps are
    accepted, and R-hat is 1.01 instead of 1.3 to 1.7; on Boston and Energy none succeeded before
    chains had settled, so they are not tried there.

    Parameters
    ----------
    attempts : tuple of int
        Jumps that each chain attempts; the second number only if chains disagree after the first.
        With 24 jumps and 12% of them accepted, R-hat was 1.17 on Concrete.
    min_accepted : float
        Fraction of accepted jumps out of every cluster except the one that retains chains best.
        With 24 attempts a chain then leaves its mode two or three times, so it can forget where it
        started.
    """

    attempts: tuple[int, ...] = (24, 96)
    min_accepted: float = 0.1
    name: ClassVar[str] = "jumps between modes"
    phase: ClassVar[str] = "jumps between modes"

    def applies(self, state: State) -> bool:
        """If there are several clusters, each of which has converged."""
        return jumps.settled(state.draws.quantities, state.draws.clusters, MAX_RHAT)

    def apply(self, state: State, rng: np.random.Generator) -> State:
        """Draws assembled from pieces between jumps, if these connect all clusters.

        They are final, whether they agree or not: they contain no single chain to continue.
        """
        kernel, draws, n_gradients = state.kernel, state.draws, state.n_gradients
        theta, cores = labeled(kernel, draws), state.settings.cores
        for attempts in self.attempts:
            jumped = jumps.change_places(kernel, theta, draws.clusters, attempts, cores, rng)
            n_gradients += jumped.n_gradients
            if not jumps.connected(jumped.accepted, self.min_accepted):
                return dataclasses.replace(state, n_gradients=n_gradients)
            assembled = _assemble(draws, theta, jumped)
            if not judged(kernel, assembled).clusters:
                break
        return dataclasses.replace(
            state,
            draws=assembled,
            n_gradients=n_gradients,
            jumps_accepted=float(jumped.accepted.mean()),
        )


def _assemble(draws: Draws, theta: np.ndarray, jumped: jumps.Jumped) -> Draws:
    at = jumped.chain, jumped.draw
    statistics = {name: values[at] for name, values in draws.statistics.items()}
    return Draws(theta[at], draws.log_posterior[at], statistics)


@dataclasses.dataclass(frozen=True)
class Relocation:
    """Chains that stay where there is very little mass are restarted where there is most.

    The starting point of a chain does not affect what it converges to, and only draws from then on
    are kept. The height of the density would be misleading: on Boston the chain with the highest
    log posterior had
    e^-25 of the mass around another. Energy 1 and 2 ended at R-hat 1.03 instead of 1.55 and 1.69.

    R-hat is less informative afterwards, because a relocated chain agrees with its donor by
    construction; ``State.origins`` keeps track of the remaining starts.

    Parameters
    ----------
    max_rounds : int
        Each costs as much as all preceding continuations; four rounds were no better than two.
    """

    max_rounds: int = 2
    name: ClassVar[str] = "relocation"
    phase: ClassVar[str] = "sampling"

    def applies(self, state: State) -> bool:
        """If there are several clusters: chains of a single one are slow, not misplaced."""
        return len(state.draws.clusters) > 1 and state.rounds(self.name) < self.max_rounds

    def apply(self, state: State, rng: np.random.Generator) -> State:
        """All chains continue, those with little mass from a draw of the chain with most.

        Without any such chain they continue only if some have not settled yet.
        """
        donors = find_donors(state, rng)
        if not donors and not unsettled(state.draws):
            return state
        restarted = state.restarted(continue_chains(state, rng, donors=donors), state.settings)
        origins = tuple(
            state.origins[donors.get(chain, chain)] for chain in range(len(state.origins))
        )
        n_relocated = state.n_relocated + len(donors)
        return dataclasses.replace(restarted, origins=origins, n_relocated=n_relocated)


def find_donors(state: State, rng: np.random.Generator) -> dict[int, int]:
    """For each chain that stays where there is very little mass, the one with most mass.

    A chain that has not moved at all shows nothing about the mass around it, and is relocated.
    """
    draws = draws_of(state.kernel, state.latest)
    frozen = np.ptp(draws.log_posterior, axis=1) == 0.0
    numbers, estimates = _log_masses(state, labeled(state.kernel, draws), ~frozen, rng)
    if not numbers.size:
        return {}
    best = int(np.median(estimates, axis=1).argmax())
    poor = numbers[bridge_sampling.clearly_less(estimates, estimates[best])]
    return dict.fromkeys([*poor.tolist(), *np.flatnonzero(frozen).tolist()], int(numbers[best]))


def _log_masses(
    state: State, theta: np.ndarray, moving: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the chains whose mass can be estimated, and the estimates, (chains, 4)."""
    seeds = rng.integers(2**31, size=len(theta))

    def estimate(number):
        own = np.random.default_rng(seeds[number])
        return bridge_sampling.log_evidence(state.kernel, theta[number], own)

    numbers = np.flatnonzero(moving)
    estimates = np.array(in_threads(estimate, numbers, state.settings.cores)).reshape(-1, 4)
    known = np.isfinite(estimates).all(axis=1)
    return numbers[known], estimates[known]


REMEDIES: tuple[Remedy, ...] = (ShorterSteps(), MoreDraws(), Jumps(), Relocation())
