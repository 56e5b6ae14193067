"""Plots with matplotlib."""

import numpy as np

_LINEAR = 10.0  # nats; larger differences need less resolution


def new_axes(ax=None):
    """The axes given, or those of a new figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Plots need matplotlib: pip install 'skcocoafuse[plot]'.") from error
    return plt.subplots(layout="constrained")[1]


def draw_selection(table, untrusted, ax=None):
    """Plot elpd relative to the best number of experts, for ``NExpertsSelection``.

    Error bars are the paired standard error of the difference; hollow markers are numbers of
    experts in ``untrusted``; a ring marks the selected one. The scale is logarithmic beyond
    10 nats.
    """
    ax = new_axes(ax)
    numbers, behind = table.index.to_numpy(), -table["elpd_diff"].to_numpy()
    ax.axhline(0.0, color="0.8", linewidth=1.0, zorder=0)
    ax.errorbar(
        numbers, behind, table["diff_se"], fmt="none", color="0.4", elinewidth=1.5, capsize=3
    )
    hollow = np.isin(numbers, untrusted)
    for here, face, label in ((~hollow, "C0", None), (hollow, "white", "unreliable")):
        if here.any():
            ax.plot(numbers[here], behind[here], "o", color="C0", mfc=face, label=label)
    chosen = table["chosen"].to_numpy()
    ax.plot(
        numbers[chosen], behind[chosen], "o", color="C3", mfc="none", markersize=13, label="chosen"
    )
    ax.set_yscale("symlog", linthresh=_LINEAR)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_xticks(numbers)
    ax.set_xlabel("number of experts")
    ax.set_ylabel("elpd minus the highest (nats)")
    ax.legend()
    return ax
