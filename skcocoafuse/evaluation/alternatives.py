"""Other settings, tried with the selected number of experts, and other numbers with these."""

from collections.abc import Callable

from skcocoafuse.evaluation.selection import (
    SMALL_DIFFERENCE,
    Alternative,
    Candidate,
    NExpertsSelection,
)

Evaluate = Callable[..., list[Candidate]]


def try_alternatives(
    selection: NExpertsSelection, alternatives: dict[str, list], evaluate: Evaluate
) -> tuple[Alternative, ...]:
    """All values, one parameter after another, beside what was selected of those before.

    If these are better by more than ``SMALL_DIFFERENCE`` together, numbers of experts next to the
    selected one follow.

    Parameters
    ----------
    selection : NExpertsSelection
        Of the number of experts.
    alternatives : dict of str to list
    evaluate : callable
        ``evaluate(settings, rival=candidate)`` returns the candidates with each of some sets of
        parameters, and may drop those that are clearly worse than the rival; with
        ``must_gain=True``, also those that will hardly be better.
    """
    tried: tuple[Alternative, ...] = ()
    current, params = selection.selected, selection.params
    for name, values in alternatives.items():
        settings = [{**params, name: value} for value in values]
        found = evaluate(settings, rival=current, must_gain=True)
        finished = [k for k, candidate in enumerate(found) if not candidate.dropped]
        best = max(finished, key=lambda k: found[k].elpd_difference(current).elpd, default=-1)
        better = bool(finished) and selection.prefers(found[best], current)
        tried += _beside(current, name, values, found, best if better else None)
        if better:
            current, params = found[best], {**params, name: values[best]}
    if current.elpd_difference(selection.selected).elpd > SMALL_DIFFERENCE:
        tried += _numbers_nearby(selection, current, params, evaluate)
    return tried


def _numbers_nearby(
    selection: NExpertsSelection, current: Candidate, params: dict, evaluate: Evaluate
) -> tuple[Alternative, ...]:
    """The next smaller and larger number, and so on from the one that the rule selects of them."""
    name, numbers = selection.name, [*selection.candidates, *selection.not_tried]
    tried: tuple[Alternative, ...] = ()
    chosen = params[name]
    known = {chosen: current}
    while True:
        at = numbers.index(chosen)
        beside = numbers[max(0, at - 1) : at + 2]
        nearby = [m for m in beside if m not in known and m <= current.most_experts]
        if not nearby:
            return tried
        found = evaluate([{**params, name: m} for m in nearby], rival=current)
        known |= zip(nearby, found, strict=True)
        now = selection.choose(known)
        moved = nearby.index(now) if now != chosen else None
        tried += _beside(current, name, nearby, found, moved)
        if moved is None:
            return tried
        chosen, current = now, known[now]


def _beside(
    current: Candidate, name: str, values: list, found: list[Candidate], selected: int | None
) -> tuple[Alternative, ...]:
    """The candidates with each value, beside what was selected before."""
    return tuple(
        Alternative(name, value, candidate, candidate.elpd_difference(current), k == selected)
        for k, (value, candidate) in enumerate(zip(values, found, strict=True))
    )
