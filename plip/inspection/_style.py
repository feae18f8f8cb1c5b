"""How all figures look: colors, lines, strips of data, shades."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plip._files import write_whole
from plip._types import FloatArray, StrPath

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "DATA",
    "Style",
    "add_legend",
    "draw_strip",
    "figure_of",
    "legend_width",
    "new_axes",
    "plain",
    "save_figure",
    "set_limits",
    "shade",
    "short_term",
    "styles",
    "wrapped",
]

# Colors that color-blind readers can tell apart (M. Okabe and K. Ito, Color Universal Design, 2008), without
# yellow, which is invisible on paper. Lines, markers and hatches tell series apart where there is no color.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINES = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (8, 3)), (0, (1, 3)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_HATCHES = ("", "///", "...", "\\\\\\", "xxx", "+++", "ooo")

# What stands for data: not a color of a series.
DATA = "0.78"
# Series that a legend in the axes has room for, and letters of their names.
_MOST_INSIDE = 4
_MOST_LETTERS = 36
# Of a legend beside the axes: lines of a column, letters of a line of the title, inches of marks and letters.
_MOST_ROWS = 14
_TITLE = 24
_MARK, _LETTER = 0.6, 0.075
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


def plain(name: str) -> str:
    """A name that users gave, for a figure: dollars are no mathematics, and none is hidden from a legend."""
    name = name.replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name


def wrapped(name: str, width: int = _MOST_LETTERS) -> str:
    """A long name in several lines."""
    return textwrap.fill(name, width)


def short_term(name: str) -> str:
    """The name of a term with parameters of three digits and without their names; others as they are."""

    def digits(match: re.Match[str]) -> str:
        return f"{float(match[1]):.3g}"

    return re.sub(r"\w+=(-?[\d.e+-]+)(?=[,)])", digits, name)


def legend_width(labels: Sequence[str], is_full: bool = False) -> float:
    """Inches that a legend takes beside the axes; 0 for few short labels, which are in them unless full."""
    if not is_full and len(labels) <= _MOST_INSIDE and max(map(len, labels), default=0) <= _MOST_LETTERS:
        return 0.0
    lines = [line for label in labels for line in wrapped(label).splitlines()]
    return _n_columns(labels) * (_MARK + _LETTER * max(map(len, lines), default=0))


def _n_columns(labels: Sequence[str]) -> int:
    lines = sum(len(wrapped(label).splitlines()) for label in labels)
    return max(-(-lines // _MOST_ROWS), 1)


def add_legend(
    ax: Axes, series: Sequence[str], is_full: bool = False, title: str = "", **options: Any
) -> None:
    """A legend in the axes, or beside them if `legend_width` says so for the labels of the series."""
    handles, labels = ax.get_legend_handles_labels()
    look: dict[str, Any] = {"fontsize": "small", "title_fontsize": "small", "frameon": False, **options}
    if legend_width(series, is_full):
        title = wrapped(title, _TITLE)
        look |= {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "ncols": _n_columns(labels)}
    legend = ax.legend(handles, list(map(wrapped, labels)), title=title or None, **look)
    for patch in legend.get_patches():
        if not patch.get_linewidth():  # a shade may lie on the same shade
            patch.set(edgecolor="0.6", linewidth=0.5)


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


def save_figure(figure: Figure, path: StrPath) -> None:
    """Write a figure in the format that the name of the file tells."""
    with write_whole(path, "wb") as file:
        figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=150)
