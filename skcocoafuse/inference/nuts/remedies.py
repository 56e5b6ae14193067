"""Remedies for chains that diverge or disagree, in the order they are tried.

A remedy tells whether it ``applies`` to a state, and ``apply`` returns the new state. The first
applicable one is applied, until there is none (:mod:`skcocoafuse.inference.nuts.convergence`). All
of them leave the posterior invariant: only draws made after chains were moved or their step size
was changed are kept. A new remedy is a class here and an element of ``REMEDIES``.
"""

import dataclasses
from typing import ClassVar, Protocol

import numpy as np

from skcocoafuse.inference.engine import Settings, without_energy
from skcocoafuse.inference.nuts import jumps
from skcocoafuse.inference.nuts.backend import mean_steps
from skcocoafuse.inference.nuts.state import (
    Draws,
    State,
    continue_chains,
    labeled,
    quantities_of,
    unsettled,
)
from skcocoafuse.posterior.clusters import MAX_RHAT, disagree, predictive_error
from skcocoafuse.posterior.monte_carlo import rhat

# If trajectories take up to the first fraction of the steps that one more depth allows, the
# target rejections are multiplied by the second; trajectories grow by about its inverse.
# Between an eighth and a quarter, acceptance 0.95 was faster and mixed better than 0.98 (wine).
TARGET_ACCEPT_STEPS = ((0.125, 0.2), (0.25, 0.5))


class Remedy(Protocol):
    """One way to get chains to agree."""

    name: ClassVar[str]
    phase: ClassVar[str]  # to which its seconds are added
    relative_cost: ClassVar[float]  # predicted gradients, over those of the latest run

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
    from 2 to 0. Nine fits of real data with few divergent draws (3 or 5 experts) had nearly the
    same test density without it (0.008 worse on average, 0.05 at most), in eight cases a smaller
    R-hat, and took 55% of the gradients.

    Parameters
    ----------
    least_share : float
        Fraction of divergent draws.
    """

    least_share: float = 0.005
    name: ClassVar[str] = "shorter steps"
    phase: ClassVar[str] = "sampling"
    relative_cost: ClassVar[float] = 1.6  # mean of nine fits: 1.4 to 2.2

    def applies(self, state: State) -> bool:
        """If draws of the first run diverge at the requested acceptance rate."""
        return (
            not state.costs
            and not state.steps_are_short
            and bool(state.draws.statistics["diverging"].mean() > self.least_share)
            and self._settings(state) is not state.settings
        )

    def apply(self, state: State, rng: np.random.Generator) -> State:
        """Chains continue from their last draws; earlier draws are dropped."""
        settings = self._settings(state)
        return state.restarted(continue_chains(state, rng, settings), settings)

    def _settings(self, state: State) -> Settings:
        return raise_target_accept(state.settings, mean_steps(state.latest))


def raise_target_accept(settings: Settings, n_steps: float) -> Settings:
    """Settings with fewer rejections, and one more depth for the shorter steps.

    They are unchanged if trajectories have no room to grow.
    """
    options = settings.options | {"maxdepth": settings.options["maxdepth"] + 1}
    used = n_steps / 2 ** options["maxdepth"]
    left = next((left for most, left in TARGET_ACCEPT_STEPS if used <= most), None)
    if left is None:
        return settings
    target_accept = 1.0 - left * (1.0 - settings.target_accept)
    return dataclasses.replace(settings, target_accept=target_accept, options=options)


@dataclasses.dataclass(frozen=True)
class MoreDraws:
    """Chains that mix slowly are continued, while that may change predictions enough.

    By as many draws as the first run has.

    Of fits with R-hat above 1.05, diabetes (2 to 4 experts), Concrete and Boston agreed with twice
    to four times the draws, and with longer chains as well: these are slow, not stuck.

    Parameters
    ----------
    max_parts : int
        Total number of runs of a chain. Some folds of diabetes agree only with four; chains stop
        at three if the fourth is not needed.
    least_error : float
        Monte Carlo error of predictions, in predictive standard deviations, that is worth all
        gradients which a fit may take: 0.001 in log density at the row where it is largest. A run
        that takes a tenth of them is worth a tenth of it.
    """

    max_parts: int = 4
    least_error: float = 0.05
    name: ClassVar[str] = "more draws"
    phase: ClassVar[str] = "sampling"
    relative_cost: ClassVar[float] = 1.0

    def applies(self, state: State) -> bool:
        """If chains disagree, and not because each has settled in a separate mode.

        Or if they agree and few draws are effective.
        """
        return (
            len(state.parts) < self.max_parts
            and unsettled(state.draws)
            and predictive_error(state.draws.quantities, state.draws.clusters)
            > self.least_error * state.share_of_next
        )

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
    relative_cost: ClassVar[float] = 1.0  # 0.4 to 1.1

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
            if not disagree(rhat(quantities_of(kernel, assembled))):
                break
        return dataclasses.replace(
            state,
            draws=assembled,
            n_gradients=n_gradients,
            jumps_accepted=float(jumped.accepted.mean()),
        )


def _assemble(draws: Draws, theta: np.ndarray, jumped: jumps.Jumped) -> Draws:
    at = jumped.chain, jumped.draw
    statistics = without_energy(draws.statistics)
    statistics = {name: values[at] for name, values in statistics.items()}
    return Draws(theta[at], draws.log_posterior[at], statistics)


REMEDIES: tuple[Remedy, ...] = (ShorterSteps(), MoreDraws(), Jumps())
