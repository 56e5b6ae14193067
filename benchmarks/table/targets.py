"""What the defaults must show, checked on tables of means over splits."""

from collections.abc import Iterator

import pandas as pd

from benchmarks.table.standings import ENGINES, MAIN, PARTS, among_peers, mean_ranks

MAX_LOSS = 0.02  # nats behind the better of the mixture and the blend
MEAN_COVERAGE, SET_COVERAGE = (0.93, 0.97), (0.90, 0.99)
Line = tuple[str, bool, str]


def check(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Every target, whether it is met, and the numbers, on the sets that have run.

    Parameters
    ----------
    tables : dict of str to DataFrame
        By metric: a row per set, a column per contestant.

    Returns
    -------
    DataFrame
        Columns ``target``, ``met`` and ``numbers``.
    """
    lines: list[Line] = []
    for engine in ENGINES:
        if f"{MAIN}-{engine}" in tables["nll"]:
            lines += [
                _rank(tables["nll"], "NLL", engine, 1),
                _rank(tables["crps"], "CRPS", engine, 2),
                *_coverage(tables["coverage95"], engine),
                *_no_worse_than_its_parts(tables["nll"], engine),
            ]
    lines += _seconds(tables)
    found = pd.DataFrame(lines, columns=["target", "met", "numbers"])
    return found.assign(met=found["met"].map({True: "pass", False: "FAIL"}))


def _rank(table: pd.DataFrame, metric: str, engine: str, at_most: int) -> Line:
    """Place by mean rank among peers; the other regressors of this package are left out."""
    own = f"{MAIN}-{engine}"
    means = mean_ranks(among_peers(table, own))
    place = 1 + int((means < means[own]).sum())
    numbers = ", ".join(f"{name} {rank:.2f}" for name, rank in means.items())
    return f"{own}: place by mean rank of {metric} at most {at_most}", place <= at_most, numbers


def _coverage(table: pd.DataFrame, engine: str) -> Iterator[Line]:
    own = table[f"{MAIN}-{engine}"].dropna()
    low, high = MEAN_COVERAGE
    yield (
        f"{MAIN}-{engine}: mean coverage in {low} to {high}",
        bool(low <= own.mean() <= high),
        f"{own.mean():.3f}",
    )
    low, high = SET_COVERAGE
    yield (
        f"{MAIN}-{engine}: coverage of every set in {low} to {high}",
        bool(own.between(low, high).all()),
        ", ".join(f"{name} {value:.3f}" for name, value in own.items()),
    )


def _no_worse_than_its_parts(table: pd.DataFrame, engine: str) -> Iterator[Line]:
    parts = [f"{name}-{engine}" for name in PARTS]
    if set(parts) <= set(table):
        behind = (table[f"{MAIN}-{engine}"] - table[parts].min(axis=1, skipna=False)).dropna()
        yield (
            f"{MAIN}-{engine}: NLL at most {MAX_LOSS} above the better of moe and boe",
            bool((behind <= MAX_LOSS).all()),
            ", ".join(f"{name} {value:+.3f}" for name, value in behind.items()),
        )


def _seconds(tables: dict[str, pd.DataFrame]) -> Iterator[Line]:
    """Time of "vi" as a share of NGBoost's, of the fit alone and with the choice."""
    fit, choose = tables["fit_seconds"], tables["choose_seconds"]
    own = f"{MAIN}-vi"
    if not {own, "ngboost"} <= set(fit):
        return
    fit = fit[[own, "ngboost"]].dropna()
    choose = choose.reindex(fit.index)
    for words, seconds in (("fit", fit[own]), ("choice and fit", fit[own] + choose[own])):
        share = seconds / fit["ngboost"]
        yield (
            f"{own}: seconds of {words} at most NGBoost's, in the mean over sets",
            bool(seconds.sum() <= fit["ngboost"].sum()),
            ", ".join(f"{name} {value:.2f}" for name, value in share.items()),
        )
