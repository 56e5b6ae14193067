"""Pilot chains: short chains that find where the posterior mass is before long chains start."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from skcocoafuse.inference import mode_search
from skcocoafuse.inference.engine import Settings
from skcocoafuse.inference.modes import Mode, by_mass, climb, distinct
from skcocoafuse.inference.nuts.backend import Launch, Run, mean_steps, run_chains
from skcocoafuse.inference.nuts.method import METHOD, Method
from skcocoafuse.inference.nuts.state import gradients_of
from skcocoafuse.inference.progress import progress_bar

# Short, since only the end points of pilot chains and the length of their trajectories matter.
# Not compared with other values.
_PILOT: dict[str, Any] = {"draws": 20, "tune": 80, "target_accept": 0.8, "options": {"maxdepth": 6}}


class Found(NamedTuple):
    """Modes, the one with the largest mass first, and figures of the pilot chains.

    ``n_steps`` are those of a trajectory on the posterior itself, which predict those of long
    chains; NaN if no pilot chain ran on it.
    """

    modes: list[Mode]
    n_steps: float
    n_gradients: int


def explore(
    modes: list[Mode], settings: Settings, rng: np.random.Generator, method: Method = METHOD
) -> Found:
    """Modes that pilot chains lead to.

    A narrow mode may be higher than the one with most of the posterior mass, and optimization from
    random starts misses most modes. So short chains start at the modes with the largest mass
    (height times volume), on the posterior with its likelihood raised to each of
    ``method.likelihood_powers`` in turn, and optimization starts from the ends of the chains. The
    search stops once none of the powers leads to more mass.
    """
    found = Found(by_mass(modes), np.nan, 0)
    powers = method.likelihood_powers * method.max_rounds
    rounds_without_gain = 0
    with progress_bar(settings.progress_bar, "pilot chains", len(powers)) as step:
        for power in powers:
            best = found.modes[0].log_mass
            found = _explore_once(found, power, method.n_pilots, settings, rng)
            step()
            gained = found.modes[0].log_mass > best + mode_search.GAIN
            rounds_without_gain = 0 if gained else rounds_without_gain + 1
            if rounds_without_gain == len(method.likelihood_powers):
                break
    return found


def _explore_once(
    found: Found, power: float, n_pilots: int, settings: Settings, rng: np.random.Generator
) -> Found:
    """One round, at one power of the likelihood."""
    kernel, starts = found.modes[0].kernel, found.modes[:n_pilots]
    tempered = kernel.tempered(power)
    runs = run_pilots([mode.on(tempered) for mode in starts], settings, rng)
    ends = np.concatenate([run.coordinates.transformed(run.z[:, -1]) for run in runs])
    uphill = climb(kernel, ends, settings.cores)
    modes = by_mass(distinct([*starts, *uphill]))
    n_steps = mean_steps(runs) if power == 1.0 else found.n_steps
    return Found(modes, n_steps, found.n_gradients + gradients_of(runs))


def run_pilots(modes: list[Mode], settings: Settings, rng: np.random.Generator) -> list[Run]:
    """Two short chains at each of the modes."""
    short = dataclasses.replace(settings, progress_bar=False, **_PILOT)
    return run_chains([Launch(mode.kernel, mode.normal, 2) for mode in modes], short, rng)
