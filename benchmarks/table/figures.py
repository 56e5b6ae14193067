"""The two figures: mean ranks with a critical difference, and coverage against length."""

from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.table import standings
from benchmarks.table.contestants import OURS

_COLORS = {True: "tab:blue", False: "tab:gray"}  # whether it is ours
_MARKERS = "os^DvP*X<>"
_LENGTHS = (0.25, 4.0)  # shown, relative to the median method
_TITLES = {"nll": "negative log density", "crps": "CRPS"}


def critical_difference(n_contestants: int, n_sets: int, level: float = 0.05) -> float:
    """Difference of mean ranks that is significant by Nemenyi's test.

    Demšar (2006), "Statistical comparisons of classifiers over multiple data sets", JMLR 7,
    section 3.2.2.
    """
    q = stats.studentized_range.ppf(1.0 - level, n_contestants, np.inf) / np.sqrt(2.0)
    return float(q * np.sqrt(n_contestants * (n_contestants + 1) / (6.0 * n_sets)))


def ranks(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Draw mean ranks over the sets that all have, of contestants that ran on most of them.

    One panel per metric.
    """
    from matplotlib import pyplot as plt

    fig, axes = plt.subplots(1, len(tables), figsize=(5.0 * len(tables), 4.2), layout="constrained")
    for ax, (metric, table) in zip(np.atleast_1d(axes), tables.items(), strict=True):
        table = standings.on_most_sets(table).dropna()
        means = standings.mean_ranks(table)[::-1]
        ax.scatter(means, range(len(means)), c=[_COLORS[name in OURS] for name in means.index])
        ax.set_yticks(range(len(means)), means.index)
        ax.set_xlabel(f"mean rank, {_TITLES[metric]}, {len(table)} sets")
        if len(means) > 1:
            gap = critical_difference(len(means), len(table))
            ax.axvspan(means.min(), means.min() + gap, color="tab:blue", alpha=0.12, lw=0)
            ax.set_title(f"shaded: within the critical difference {gap:.1f} of the first", size=9)
    fig.savefig(folder / "benchmark_ranks.svg")
    plt.close(fig)


def coverage_and_length(coverage: pd.DataFrame, length: pd.DataFrame, folder: Path) -> None:
    """Draw each contestant's coverage against its length, relative to the median one's of a set.

    Mean coverage and median length over sets; a small point per set, at the edge if it is beyond.
    Of ours only the main regressor.
    """
    from matplotlib import pyplot as plt

    relative = length.div(length.median(axis=1), axis=0)
    fig, ax = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    ax.axvline(0.95, color="k", lw=0.8, ls=":")
    shown = [name for name in coverage if name not in OURS or name.startswith("cocoafuse")]
    for name, marker in zip(shown, cycle(_MARKERS), strict=False):
        color = _COLORS[name in OURS]
        seen = relative[name].clip(*_LENGTHS)
        ax.scatter(coverage[name], seen, s=6, color=color, alpha=0.35, lw=0, clip_on=False)
        middle = coverage[name].mean(), relative[name].median()
        ax.scatter(*middle, color=color, marker=marker, s=50, label=name)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    ax.set(
        yscale="log",
        ylim=_LENGTHS,
        xlabel="coverage of 95% intervals",
        ylabel="length, relative to the median",
    )
    for axis_formatter in (ax.yaxis.set_major_formatter, ax.yaxis.set_minor_formatter):
        axis_formatter("{x:g}")
    fig.savefig(folder / "benchmark_coverage.svg")
    plt.close(fig)
