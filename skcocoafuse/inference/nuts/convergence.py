"""Chains until they agree: going on, jumps between modes, moves to where the mass is.

Each step is taken only where the one before did not do. Chains that diverge go on in shorter steps.
Chains that disagree and are not settled go on. Chains that are settled in modes of their own may
jump between these. Chains that stay where the posterior has hardly any mass begin anew where it
has.
"""

import dataclasses
from functools import reduce

import numpy as np

from skcocoafuse._threads import in_threads
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.inference.engine import Settings, Stopwatch
from skcocoafuse.inference.nuts import bridge_sampling, jumps
from skcocoafuse.inference.nuts.backend import Launch, Run, mean_steps, run_chains
from skcocoafuse.model.problem import Problem
from skcocoafuse.posterior.clusters import MAX_RHAT, MIN_DRAWS, disagree, find_islands, invariants
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.monte_carlo import rhat
from skcocoafuse.posterior.relabel import relabel

# Where draws diverge and trajectories take up to the first part of the steps that the limit of
# their depth allows, the second part of the rejections aimed at is left. They grow by that.
_CAREFULLY = ((0.125, 0.2), (0.25, 0.5))
_CHEAP = 20  # steps of a pilot chain's trajectory up to which that is done from the beginning
_MAX_PARTS = 4  # of as many draws as asked for; draws of chains that went on are then thinned
_MAX_MOVES = 2  # times that chains begin anew


@dataclasses.dataclass(frozen=True)
class Draws:
    """Draws of all chains, (chains, draws, ...), and how far chains agree.

    ``islands`` is empty where chains agree or are too short to tell; otherwise ``quantities`` are
    those of :func:`skcocoafuse.posterior.clusters.invariants`.
    """

    theta: np.ndarray
    log_posterior: np.ndarray
    statistics: dict[str, np.ndarray]
    quantities: np.ndarray = dataclasses.field(default_factory=lambda: np.empty((0, 0, 0)))
    islands: list[list[int]] = dataclasses.field(default_factory=list)


def sample(
    launches: list[Launch],
    n_steps: float,
    settings: Settings,
    rng: np.random.Generator,
    watch: Stopwatch,
) -> tuple[Draws, dict]:
    """Draws of chains that agree if that can be reached, and what it took.

    ``n_steps`` is how many steps the trajectories of pilot chains took.

    Where a chain begins has no part in what it converges to. So chains may be taken from where
    they cannot stay for long, and only what they draw from then on is kept. Chains of one island
    are left to it: they are slow, and more draws are for the caller to ask for.

    Returns
    -------
    draws : Draws
    info : dict
        ``target_accept`` in the end; ``thinning``; ``n_moved``, how often a chain began anew
        elsewhere; ``jumps_accepted``, the part of the jumps between modes, if there were any.
    """
    kernel = launches[0].kernel
    runs, settings = _without_divergences(launches, n_steps, settings, rng)
    runs, draws, thinning = _until_settled(kernel, runs, settings, rng)
    watch.lap("sampling")
    draws, info = _with_jumps(kernel, draws, settings, rng)
    watch.lap("jumps between modes")
    n_moved = 0
    for _ in range(_MAX_MOVES):
        if len(draws.islands) < 2:  # chains that agree in pairs are slow, not in the wrong place
            break
        moved = _moves(kernel, runs, settings, rng)
        if not moved and not _should_go_on(draws):
            break
        n_moved += len(moved)
        runs = _go_on(runs, moved, settings, rng)
        runs, draws, thinning = _until_settled(kernel, runs, settings, rng)
        watch.lap("sampling")
        draws, info = _with_jumps(kernel, draws, settings, rng)
        watch.lap("jumps between modes")
    found = {"target_accept": settings.target_accept, "thinning": thinning, "n_moved": n_moved}
    return draws, found | info


def _without_divergences(launches: list[Launch], n_steps: float, settings: Settings, rng):
    """Each chain's first run, or if one diverges the next, in shorter steps; settings of these.

    Divergent trajectories hide where the posterior bends more than it does around its mode, so
    draws beside them are dropped. Where pilot chains say that trajectories are cheap, the first
    run is in shorter steps already.
    """
    careful = _more_careful(settings, n_steps) if n_steps <= _CHEAP else settings
    runs = run_chains(launches, careful, rng)
    chains = [run.chain(number) for run in runs for number in range(len(run.z))]
    diverge = any(run.statistics["diverging"].any() for run in chains)
    if careful is not settings or not diverge:
        return chains, careful
    careful = _more_careful(settings, mean_steps(chains))
    return (chains if careful is settings else _go_on(chains, {}, careful, rng)), careful


def _more_careful(settings: Settings, n_steps: float) -> Settings:
    """Settings with fewer rejections; the same ones where trajectories have no room to grow."""
    used = n_steps / 2 ** settings.options["maxdepth"]
    left = next((left for most, left in _CAREFULLY if used <= most), None)
    if left is None:
        return settings
    return dataclasses.replace(settings, target_accept=1.0 - left * (1.0 - settings.target_accept))


def _until_settled(kernel: Kernel, chains: list[Run], settings: Settings, rng):
    """Each chain's last run, and draws of all that agree, or sit in modes of their own; thinning.

    Chains that do neither go on for as many draws as at first. If with these some are apart, a
    chain may not have arrived, and the first half of all draws is dropped as warm-up.
    """
    parts, draws, thinning = [chains], _joined(kernel, chains), 1
    while len(parts) < _MAX_PARTS and _should_go_on(draws):
        parts.append(_go_on(parts[-1], {}, settings, rng))
        draws, thinning = _together(kernel, parts), len(parts)
        if len(draws.islands) > 1:
            later = parts[len(parts) // 2 :]
            draws, thinning = _together(kernel, later), len(later)
    return parts[-1], draws, thinning


def _together(kernel: Kernel, parts: list[list[Run]]) -> Draws:
    """Draws of each chain's parts in their order, thinned to as many as one part has."""
    whole = [reduce(Run.followed_by, runs) for runs in zip(*parts, strict=True)]
    return _joined(kernel, [run.thinned(len(parts)) for run in whole])


def _go_on(chains: list[Run], moved: dict[int, int], settings: Settings, rng) -> list[Run]:
    """More draws from every chain's last, or from one of the chain it moves to."""
    launches = []
    for number, run in enumerate(chains):
        begins = run.z[0, -1:]
        if number in moved:
            run = chains[moved[number]]
            begins = run.z[0]
        launches.append(Launch(run.kernel, run.coordinates, 1, begins))
    return run_chains(launches, settings, rng)


def _moves(kernel: Kernel, chains: list[Run], settings: Settings, rng) -> dict[int, int]:
    """Chains that stay where there is hardly any mass, and the one where there is most.

    A chain that did not move at all tells nothing of the mass around it, and is moved.
    """
    draws = _draws(kernel, chains)
    still = np.ptp(draws.log_posterior, axis=1) == 0.0
    theta = _labelled(kernel, draws)
    seeds = rng.integers(2**31, size=len(chains))

    def estimate(number):
        return bridge_sampling.log_evidence(
            kernel, theta[number], np.random.default_rng(seeds[number])
        )

    numbers = np.flatnonzero(~still)
    estimated = in_threads(estimate, numbers, settings.cores)
    found = dict(zip(numbers.tolist(), estimated, strict=True))
    found = {number: each for number, each in found.items() if np.isfinite(each).all()}
    if not found:
        return {}
    numbers, estimates = np.array(list(found)), np.stack(list(found.values()))
    best = int(np.median(estimates, axis=1).argmax())
    poor = numbers[bridge_sampling.clearly_less(estimates, estimates[best])]
    return dict.fromkeys([*poor.tolist(), *np.flatnonzero(still).tolist()], int(numbers[best]))


def _with_jumps(kernel: Kernel, draws: Draws, settings: Settings, rng) -> tuple[Draws, dict]:
    """Draws that agree if jumps connect the modes that chains have settled in, else the same."""
    if not jumps.settled(draws.quantities, draws.islands, MAX_RHAT):
        return draws, {}
    theta = _labelled(kernel, draws)
    for attempts in jumps.ATTEMPTS:
        chain, draw, accepted = jumps.change_places(
            kernel, theta, draws.islands, attempts, settings.cores, rng
        )
        if not jumps.connected(accepted):
            return draws, {}
        statistics = {name: values[chain, draw] for name, values in draws.statistics.items()}
        found = Draws(theta[chain, draw], draws.log_posterior[chain, draw], statistics)
        if not _judged(kernel.problem, found).islands:
            break
    return found, {"jumps_accepted": float(accepted.mean())}


def _labelled(kernel: Kernel, draws: Draws) -> np.ndarray:
    spec = kernel.problem.spec
    return spec.pack(relabel(kernel.problem, spec.unpack(draws.theta), draws.log_posterior))


def _joined(kernel: Kernel, runs: list[Run]) -> Draws:
    """All chains of several runs, and whether they agree."""
    return _judged(kernel.problem, _draws(kernel, runs))


def _draws(kernel: Kernel, runs: list[Run]) -> Draws:
    statistics = {
        name: np.concatenate([run.statistics[name] for run in runs]) for name in runs[0].statistics
    }
    bending = np.concatenate([run.coordinates.log_bending(run.z) for run in runs])
    theta = np.concatenate([run.coordinates.to_theta(run.z) for run in runs])
    log_posterior = statistics.pop("logp") + kernel.constant - bending
    return Draws(theta, log_posterior, statistics)


def _judged(problem: Problem, draws: Draws) -> Draws:
    """The draws with what they disagree in, if they do and are long enough to tell."""
    if draws.theta.shape[1] < MIN_DRAWS:
        return draws
    parameters = problem.spec.unpack(draws.theta)
    posterior = Posterior(problem.spec, parameters, draws.log_posterior, {})
    quantities = invariants(problem, posterior)
    if not disagree(rhat(quantities)):
        return draws
    return dataclasses.replace(draws, quantities=quantities, islands=find_islands(quantities))


def _should_go_on(draws: Draws) -> bool:
    """Whether chains disagree other than by each sitting in a mode of its own."""
    if not draws.islands:
        return False
    return len(draws.islands) == 1 or any(
        disagree(rhat(draws.quantities[chains])) for chains in draws.islands
    )
