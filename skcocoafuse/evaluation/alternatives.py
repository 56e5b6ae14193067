"""Other settings, tried with the selected number of experts."""

from collections.abc import Callable

from skcocoafuse.evaluation.selection import Alternative, Candidate, NExpertsSelection


def try_alternatives(
    selection: NExpertsSelection,
    alternatives: dict[str, list],
    evaluate: Callable[[list[dict], Candidate], list[Candidate]],
) -> tuple[Alternative, ...]:
    """All values, one parameter after another, beside what was selected of those before.

    Parameters
    ----------
    selection : NExpertsSelection
        Of the number of experts.
    alternatives : dict of str to list
    evaluate : callable
        Returns the candidates with each of some sets of parameters, which may drop those that are
        clearly worse than the candidate it is given.
    """
    tried: tuple[Alternative, ...] = ()
    current, params = selection.selected, selection.params
    for name, values in alternatives.items():
        found = evaluate([{**params, name: value} for value in values], current)
        gains = [candidate.elpd_difference(current) for candidate in found]
        finished = [k for k, candidate in enumerate(found) if not candidate.dropped]
        best = max(finished, key=lambda k: gains[k].elpd, default=-1)
        better = bool(finished) and selection.prefers(found[best], current)
        tried += tuple(
            Alternative(name, value, candidate, gain, better and k == best)
            for k, (value, candidate, gain) in enumerate(zip(values, found, gains, strict=True))
        )
        if better:
            current, params = found[best], {**params, name: values[best]}
    return tried
