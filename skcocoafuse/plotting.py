"""Pictures, by matplotlib."""


def new_axes(ax=None):
    """The axes given, or those of a new figure.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Plots need matplotlib: pip install 'skcocoafuse[plot]'.") from error
    return plt.subplots(layout="constrained")[1]


def draw_selection(table, ax=None):
    """The elpd of each number of experts less the best, from ``NExpertsSelection.table``.

    Bars are the paired standard error of the difference; hollow marks are fits that did not
    converge or have rows of bad Pareto k-hat; the ring is around the choice.
    """
    ax = new_axes(ax)
    numbers, behind = table.index.to_numpy(), -table["elpd_diff"].to_numpy()
    ax.axhline(0.0, color="0.8", linewidth=1.0, zorder=0)
    ax.errorbar(
        numbers, behind, table["diff_se"], fmt="none", color="0.4", elinewidth=1.5, capsize=3
    )
    trusted = (table["converged"] & (table["n_bad_k"] == 0)).to_numpy()
    for here, face, label in ((trusted, "C0", None), (~trusted, "white", "not to be trusted")):
        if here.any():
            ax.plot(numbers[here], behind[here], "o", color="C0", mfc=face, label=label)
    chosen = table["chosen"].to_numpy()
    ax.plot(
        numbers[chosen], behind[chosen], "o", color="C3", mfc="none", markersize=13, label="chosen"
    )
    ax.set_xticks(numbers)
    ax.set_xlabel("number of experts")
    ax.set_ylabel("elpd less the highest (nats)")
    ax.legend()
    return ax
