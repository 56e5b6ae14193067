"""The loop over the remedies: chains run until they agree or nothing is left to try."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from skcocoafuse.inference.engine import Settings, Stopwatch
from skcocoafuse.inference.nuts.backend import Launch
from skcocoafuse.inference.nuts.method import METHOD, Method
from skcocoafuse.inference.nuts.remedies import Remedy, raise_target_accept
from skcocoafuse.inference.nuts.state import (
    Cost,
    Draws,
    State,
    first_run,
    gradients_of,
)


def sample(
    launches: list[Launch],
    n_steps: float,
    settings: Settings,
    rng: np.random.Generator,
    watch: Stopwatch,
    method: Method = METHOD,
) -> tuple[Draws, dict[str, Any]]:
    """Draws of chains, which agree if possible, and a report of the remedies.

    Parameters
    ----------
    launches : list of Launch
    n_steps : float
        Steps of the trajectories of pilot chains; NaN if there were none.
    settings : Settings
    rng : numpy.random.Generator
    watch : Stopwatch
    method : Method

    Returns
    -------
    draws : Draws
    info : dict
        See :func:`report`.
    """
    n_rows = launches[0].kernel.problem.rows.n_rows
    max_gradients = method.max_gradients(settings, n_rows)
    options = {name: value for name, value in settings.options.items() if name != "max_gradients"}
    careful = settings = dataclasses.replace(settings, options=options)
    if n_steps <= method.cheap_steps:  # False for NaN
        careful = raise_target_accept(settings, n_steps)
    state = first_run(launches, careful, rng)
    state = dataclasses.replace(
        state, steps_are_short=careful is not settings, max_gradients=max_gradients
    )
    watch.lap("sampling")
    state = apply_remedies(state, method.remedies, rng, watch)
    return state.draws, report(state)


def apply_remedies(
    state: State,
    remedies: Sequence[Remedy],
    rng: np.random.Generator,
    watch: Stopwatch,
) -> State:
    """Apply the first applicable remedy until there is none.

    One that changed no draw is not tried again until another has changed some. None is applied if
    its predicted gradients would bring the fit above ``max_gradients``.
    """
    while remedy := next(
        (each for each in remedies if each.name not in state.futile and each.applies(state)), None
    ):
        predicted = remedy.relative_cost * gradients_of(state.latest)
        if state.n_gradients + predicted > state.max_gradients:
            return dataclasses.replace(state, left_out=remedy.name)
        begun = time.perf_counter()
        after = remedy.apply(state, rng)
        watch.lap(remedy.phase)
        n_gradients = after.n_gradients - state.n_gradients
        cost = Cost(remedy.name, n_gradients, time.perf_counter() - begun)
        unchanged = after.draws is state.draws
        futile = state.futile | {remedy.name} if unchanged else frozenset[str]()
        state = dataclasses.replace(after, costs=(*state.costs, cost), futile=futile)
    return state


def report(state: State) -> dict[str, Any]:
    """What ``diagnostics_`` reports about how the draws were obtained.

    Returns
    -------
    dict
        The final ``target_accept``; ``thinning``; ``n_gradients`` of all chains, including
        warm-up, and of jumps; ``remedies``, by name in the order of first application, with their
        ``rounds``, ``gradients`` and ``seconds``; ``max_gradients_reached``, whether another remedy
        would have followed; ``jumps_accepted``, the fraction of accepted jumps between modes, if
        draws were assembled by them.
    """
    found: dict[str, Any] = {
        "target_accept": state.settings.target_accept,
        "thinning": state.thinning,
        "n_gradients": state.n_gradients,
        "remedies": _costs_by_name(state.costs),
        "max_gradients_reached": bool(state.left_out),
    }
    if state.jumps_accepted is not None:
        found["jumps_accepted"] = state.jumps_accepted
    return found


def _costs_by_name(costs: tuple[Cost, ...]) -> dict[str, dict[str, float]]:
    names = dict.fromkeys(cost.remedy for cost in costs)
    own = {name: [cost for cost in costs if cost.remedy == name] for name in names}
    return {
        name: {
            "rounds": len(own[name]),
            "gradients": sum(cost.gradients for cost in own[name]),
            "seconds": sum(cost.seconds for cost in own[name]),
        }
        for name in names
    }
