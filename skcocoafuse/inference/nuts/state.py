"""The state of the loop over remedies: an immutable record, and functions of it."""

import dataclasses
from functools import reduce

import numpy as np

from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.inference.engine import Settings
from skcocoafuse.inference.nuts.backend import Launch, Run, run_chains
from skcocoafuse.posterior.clusters import MIN_DRAWS, disagree, find_clusters, invariants
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.monte_carlo import MIN_ESS, ess, rhat
from skcocoafuse.posterior.relabel import relabel

# Effective draws over draws below which chains are continued, where few draws were asked for and
# MIN_ESS is too much to want. Not compared.
_LEAST_EFFICIENCY = 0.1


@dataclasses.dataclass(frozen=True)
class Draws:
    """Draws of all chains, (chains, draws, ...), and whether they suffice.

    ``clusters`` is empty if they do, or if chains are too short to tell; otherwise ``quantities``
    are those of :func:`skcocoafuse.posterior.clusters.invariants`.
    """

    theta: np.ndarray
    log_posterior: np.ndarray
    statistics: dict[str, np.ndarray]
    quantities: np.ndarray = dataclasses.field(default_factory=lambda: np.empty((0, 0, 0)))
    clusters: list[list[int]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of one application of a remedy."""

    remedy: str
    gradients: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class State:
    """Chains as they are after some remedies.

    Parameters
    ----------
    kernel : Kernel
    settings : Settings
        Settings of the latest run and of its continuations.
    parts : tuple of list of Run
        Successive runs whose draws are kept, each with a run per chain.
    draws : Draws
        The draws to return if no remedy follows.
    n_gradients : int
        Evaluations of the log density's gradient so far.
    max_gradients : float
        Remedies may bring ``n_gradients`` to this number.
    steps_are_short : bool
        Whether the first run had a higher target acceptance rate than requested.
    thinning : int
        Every ``thinning``-th draw is kept.
    jumps_accepted : float, optional
        Fraction of accepted jumps between clusters, if ``draws`` are assembled by them.
    costs : tuple of Cost
        Costs of the remedies that were applied, in order.
    futile : frozenset of str
        Remedies that changed nothing when applied to these draws.
    left_out : str
        A remedy that would have taken too many gradients.
    """

    kernel: Kernel
    settings: Settings
    parts: tuple[list[Run], ...]
    draws: Draws
    n_gradients: int
    max_gradients: float = np.inf
    steps_are_short: bool = False
    thinning: int = 1
    jumps_accepted: float | None = None
    costs: tuple[Cost, ...] = ()
    futile: frozenset[str] = frozenset()
    left_out: str = ""

    @property
    def share_of_next(self) -> float:
        """Gradients of one more run like the latest, over ``max_gradients``."""
        return gradients_of(self.latest) / self.max_gradients

    @property
    def latest(self) -> list[Run]:
        """The last run of every chain."""
        return self.parts[-1]

    def restarted(self, runs: list[Run], settings: Settings) -> "State":
        """The state with the draws of ``runs`` alone: all earlier ones were warm-up."""
        return dataclasses.replace(
            self,
            settings=settings,
            parts=(runs,),
            draws=_join(self.kernel, runs),
            n_gradients=self.n_gradients + gradients_of(runs),
            thinning=1,
        )

    def extended(self, runs: list[Run]) -> "State":
        """The state with the draws of ``runs`` added, thinned to the number of one run.

        If some chains still disagree, one of them may have arrived late: the first half of all
        draws then counts as warm-up.
        """
        parts = (*self.parts, runs)
        draws, thinning = _together(self.kernel, parts), len(parts)
        if len(draws.clusters) > 1:
            later = parts[len(parts) // 2 :]
            draws, thinning = _together(self.kernel, later), len(later)
        return dataclasses.replace(
            self,
            parts=parts,
            draws=draws,
            thinning=thinning,
            n_gradients=self.n_gradients + gradients_of(runs),
        )


def first_run(launches: list[Launch], settings: Settings, rng: np.random.Generator) -> State:
    """Chains from all launches."""
    runs = run_chains(launches, settings, rng)
    chains = [run.chain(number) for run in runs for number in range(len(run.z))]
    kernel = launches[0].kernel
    return State(kernel, settings, (chains,), _join(kernel, chains), gradients_of(runs))


def continue_chains(
    state: State, rng: np.random.Generator, settings: Settings | None = None
) -> list[Run]:
    """One more run of every chain, from its last draw; by default with the latest settings."""
    launches = [Launch(run.kernel, run.coordinates, 1, run.z[0, -1:]) for run in state.latest]
    return run_chains(launches, settings or state.settings, rng)


def gradients_of(runs: list[Run]) -> int:
    """Gradients used by runs, including warm-up."""
    return int(sum(run.n_gradients.sum() for run in runs))


def unsettled(draws: Draws) -> bool:
    """Whether more draws are called for, and not because each chain stays in a separate mode."""
    if not draws.clusters:
        return False
    return len(draws.clusters) == 1 or any(
        disagree(rhat(draws.quantities[chains])) for chains in draws.clusters
    )


def labeled(kernel: Kernel, draws: Draws) -> np.ndarray:
    """Unconstrained parameters of the draws, experts consistently labeled."""
    spec = kernel.problem.spec
    return spec.pack(relabel(kernel.problem, spec.unpack(draws.theta), draws.log_posterior))


def draws_of(kernel: Kernel, runs: list[Run]) -> Draws:
    """All chains of several runs, without checking whether they agree."""
    statistics = {
        name: np.concatenate([run.statistics[name] for run in runs]) for name in runs[0].statistics
    }
    log_jacobian = np.concatenate([run.coordinates.log_jacobian(run.z) for run in runs])
    theta = np.concatenate([run.coordinates.to_theta(run.z) for run in runs])
    log_posterior = statistics.pop("logp") + kernel.constant - log_jacobian
    return Draws(theta, log_posterior, statistics)


def quantities_of(kernel: Kernel, draws: Draws) -> np.ndarray:
    """Quantities used to assess convergence, (chains, draws, quantities)."""
    problem = kernel.problem
    parameters = problem.spec.unpack(draws.theta)
    return invariants(problem, Posterior(problem.spec, parameters, draws.log_posterior, {}))


def judged(kernel: Kernel, draws: Draws) -> Draws:
    """The draws with chain clusters, if these call for more draws and are long enough to tell.

    A single cluster if chains agree in pairs, or if they agree and too few draws are effective.
    """
    if draws.theta.shape[1] < MIN_DRAWS:
        return draws
    quantities = quantities_of(kernel, draws)
    if disagree(rhat(quantities)):
        clusters = find_clusters(quantities)
    elif np.nanmin(ess(quantities), initial=np.inf) < _wanted_ess(draws.log_posterior.size):
        clusters = [list(range(len(quantities)))]
    else:
        return draws
    return dataclasses.replace(draws, quantities=quantities, clusters=clusters)


def _wanted_ess(n_draws: int) -> float:
    return min(MIN_ESS, _LEAST_EFFICIENCY * n_draws)


def _join(kernel: Kernel, runs: list[Run]) -> Draws:
    return judged(kernel, draws_of(kernel, runs))


def _together(kernel: Kernel, parts: tuple[list[Run], ...]) -> Draws:
    """Draws of each chain's runs in order, thinned to the number of one run."""
    whole = [reduce(Run.followed_by, runs) for runs in zip(*parts, strict=True)]
    return _join(kernel, [run.thinned(len(parts)) for run in whole])
