"""How contestants stand against one another, from tables of means over splits."""

import pandas as pd

from benchmarks.table.contestants import PEERS
from benchmarks.table.ours import REGRESSORS

ENGINES = ("nuts", "short_chains", "vi")
MAIN = "cocoafuse"
PARTS = tuple(name for name in REGRESSORS if name != MAIN)  # what the main one generalizes


def on_most_sets(table: pd.DataFrame) -> pd.DataFrame:
    """The table without contestants that ran on at most half of its sets.

    A rank is a place among those that ran: on one set of twelve it says little.
    """
    return table.loc[:, table.notna().mean() > 0.5]


def among_peers(table: pd.DataFrame, own: str) -> pd.DataFrame:
    """One of ours and the peers, on its sets: its siblings do not compete with it."""
    return table.loc[table[own].notna(), [name for name in table if name in (own, *PEERS)]]


def mean_ranks(table: pd.DataFrame) -> pd.Series:
    """Mean rank over the sets that each contestant has, 1 for the smallest; ties share ranks.

    Of contestants that ran on most sets.
    """
    return on_most_sets(table).rank(axis=1).mean().sort_values()


def beside_peers(table: pd.DataFrame) -> pd.DataFrame:
    """Of ours with each engine: on how many sets it is first, and where it is not.

    Parameters
    ----------
    table : DataFrame
        Of a score, smaller is better: a row per set, a column per contestant.

    Returns
    -------
    DataFrame
        A row per engine that ran: ``first`` on so many of ``sets``, ``mean rank``, and what is
        ``behind`` whom, by how much.
    """
    rows = {}
    for own in (f"{MAIN}-{engine}" for engine in ENGINES):
        if own not in table:
            continue
        scores = among_peers(table, own)
        peers = scores.drop(columns=own)
        gap = scores[own] - peers.min(axis=1)
        rows[own] = {
            "first": int((gap <= 0.0).sum()),
            "sets": int(gap.notna().sum()),
            "mean rank": round(float(mean_ranks(scores)[own]), 2),
            "behind": ", ".join(
                f"{name} {value:.3f} ({peers.loc[name].idxmin()})"
                for name, value in gap[gap > 0.0].items()
            ),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def coverage_of_rows(runs: pd.DataFrame) -> pd.DataFrame:
    """Share of all test rows inside the 95% intervals, each row once, by contestant.

    Parameters
    ----------
    runs : DataFrame
        Rows of results, the same splits of a set for all contestants.

    Returns
    -------
    DataFrame
        ``coverage`` and the number of test ``rows`` it is from, a row per contestant.
    """
    inside = (runs["coverage95"] * runs["n_test"]).groupby(runs["contestant"]).sum()
    rows = runs.groupby("contestant")["n_test"].sum()
    return pd.DataFrame({"coverage": (inside / rows).round(3), "rows": rows})
