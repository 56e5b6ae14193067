"""Axes, colors and labels that all displays share."""

from collections.abc import Sequence

import numpy as np

#: Colors that are told apart with any color vision, and in gray (Okabe and Ito, 2008).
EXPERTS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#000000", "#999933")
MAIN = "#0072B2"
DATA = "0.25"
#: Shades of ``MAIN`` for nested regions: from light to dark.
_LIGHT, _DARK = np.array([0.87, 0.93, 0.97]), np.array([0.36, 0.62, 0.80])


def new_axes(ax=None, size: tuple[float, float] | None = None):
    """The axes given, or those of a new figure, of matplotlib's size by default.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    return pyplot().subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def pyplot():
    """The module ``matplotlib.pyplot``.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Plots need matplotlib: pip install 'skcocoafuse[plot]'.") from error
    return plt


def shades(n: int) -> list[tuple[float, ...]]:
    """Colors of n nested regions, the outermost and lightest first."""
    steps = np.linspace(0.0, 1.0, n) if n > 1 else np.array([0.5])
    return [tuple(_LIGHT + step * (_DARK - _LIGHT)) for step in steps]


def expert_color(number: int) -> str:
    """Color of an expert, the same in all displays."""
    return EXPERTS[number % len(EXPERTS)]


def stacked_axes(ax, heights: Sequence[float]) -> list:
    """Axes below one another with a common x axis: in a new figure, or in the place of ``ax``."""
    size = (7.0, 3.2 + 1.25 * (len(heights) - 1))
    figure, cells = _cells(ax, size, (len(heights), 1), height_ratios=heights, hspace=0.1)
    first = figure.add_subplot(cells[0])
    rest = [figure.add_subplot(cell, sharex=first) for cell in cells[1:]]
    for upper in [first, *rest][:-1]:
        upper.tick_params(labelbottom=False)
    return [first, *rest]


def axes_in_a_row(ax, widths: Sequence[float], size: tuple[float, float]) -> list:
    """Axes beside one another: in a new figure of a size, or in the place of ``ax``."""
    figure, cells = _cells(ax, size, (1, len(widths)), width_ratios=widths, wspace=0.35)
    return [clean(figure.add_subplot(cell)) for cell in cells]


def _cells(ax, size, shape: tuple[int, int], *, hspace=None, wspace=None, **ratios):
    """A figure and the cells of a grid in it; a new figure has its own way of spacing them."""
    if ax is None:
        figure = pyplot().figure(figsize=size, layout="constrained")
        return figure, list(figure.add_gridspec(*shape, **ratios))
    figure, place = ax.figure, ax.get_subplotspec()
    ax.remove()
    return figure, list(place.subgridspec(*shape, hspace=hspace, wspace=wspace, **ratios))


def filled_or_hollow(ax, x, y, hollow: np.ndarray, label: str) -> None:
    """Draw points, hollow ones under a label."""
    for here, face, own in ((~hollow, MAIN, None), (hollow, "white", label)):
        if here.any():
            ax.plot(x[here], y[here], "o", color=MAIN, mfc=face, label=own)


def point_area(n_points: int) -> float:
    """Area of the marker of an observed row (points squared): the more rows, the smaller."""
    return float(np.clip(90.0 / np.sqrt(n_points), 2.5, 13.0))


def clean(ax):
    """Axes without the frame's upper and right lines."""
    ax.spines[["top", "right"]].set_visible(False)
    return ax
