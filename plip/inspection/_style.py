"""How all figures look: colors, lines, strips of data, shades."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plip._types import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "DATA",
    "LEGEND_WIDTH",
    "Style",
    "add_legend",
    "draw_strip",
    "figure_of",
    "is_crowded",
    "new_axes",
    "set_limits",
    "shade",
    "styles",
]

# Colors that color-blind readers can tell apart (M. Okabe and K. Ito, Color Universal Design, 2008), without
# yellow, which is invisible on paper. Lines, markers and hatches tell series apart where there is no color.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINES = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (8, 3)), (0, (1, 3)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_HATCHES = ("", "///", "...", "\\\\\\", "xxx", "+++", "ooo")

# What stands for data: not a color of a series.
DATA = "0.78"
# Series that a legend in the axes has room for, and the width of one beside them in inches.
_MOST_INSIDE = 4
LEGEND_WIDTH = 3.0
# Part of the height of axes that a strip of data takes.
_STRIP = 0.16


@dataclass(frozen=True)
class Style:
    """How one series looks."""

    color: str
    line: Any
    marker: str
    hatch: str


def styles() -> Iterator[Style]:
    """The look of the first series, the second, and so on; after 7 colors, lines and markers go on."""
    for turn in itertools.count():
        for k, color in enumerate(_COLORS):
            place = (k + turn) % len(_COLORS)
            yield Style(color, _LINES[place], _MARKERS[place], _HATCHES[place])


def new_axes(ax: Axes | None, name: str, width: float = 4.8, height: float = 3.6) -> Axes:
    """These axes, or new ones.

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
        raise ImportError(f"{name} needs matplotlib: pip install matplotlib") from error
    _, made = plt.subplots(figsize=(width, height), layout="constrained")
    return made


def is_crowded(n_series: int) -> bool:
    """Whether so many series need a legend beside the axes, which a figure should have room for."""
    return n_series > _MOST_INSIDE


def add_legend(ax: Axes, n_series: int, **options: Any) -> None:
    """A legend in the axes, or beside them for many series."""
    place: dict[str, Any] = {"fontsize": "small", "frameon": False, **options}
    if is_crowded(n_series):
        place |= {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    ax.legend(**place)


def figure_of(ax: Axes) -> Figure:
    """The figure of axes."""
    # Of a subfigure this is the whole figure; get_figure(root=True) came with matplotlib 3.10.
    figure = ax.figure.figure
    assert figure is not None
    return figure


def shade(ax: Axes, low: float, high: float, label: str, hatch: str = "") -> None:
    """Shade a range of x that the data say nothing of."""
    if high > low:
        ax.axvspan(
            low, high, facecolor="0.93", edgecolor="0.8", hatch=hatch, linewidth=0, zorder=0, label=label
        )


def draw_strip(ax: Axes, edges: FloatArray, counts: FloatArray, color: str = DATA, label: str = "") -> None:
    """Draw a histogram of data in a strip at the bottom of axes, whose limits of y leave room for it."""
    most = counts.max(initial=0.0)
    if most > 0:
        heights = 0.9 * _STRIP * counts / most
        ax.stairs(
            heights,
            edges,
            fill=True,
            color=color,
            alpha=0.9 if color == DATA else 0.35,
            transform=ax.get_xaxis_transform(),
            zorder=1,
            label=label or None,
        )


def set_limits(ax: Axes, low: float, high: float, has_strip: bool) -> None:
    """Limits of y for values from `low` to `high`, with some room, and that of a strip."""
    span = (high - low) or 1.0
    low, high = low - 0.06 * span, high + 0.06 * span
    if has_strip:
        low -= _STRIP * (high - low) / (1.0 - _STRIP)
    ax.set_ylim(low, high)
