"""Plots of errors; they need matplotlib (``pip install 'plip-potential[plot]'``)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from plip._files import write_whole
from plip._types import FloatArray, StrPath
from plip.metrics import UNITS, Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["parity_plot"]

# Colors that color-blind readers can tell apart (M. Okabe and K. Ito, Color Universal Design, 2008).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
# Label of the axes and format of the error, by target.
PANELS = {
    "energy": ("energy (eV/atom)", "{:.1f}"),
    "force": ("force component (eV/A)", "{:.3f}"),
    "stress": ("stress component (GPa)", "{:.2f}"),
}


def parity_plot(evaluations: Mapping[str, Evaluation], path: StrPath | None = None) -> Figure:
    """Plot predicted against reference values, one panel for each target.

    Parameters
    ----------
    evaluations : mapping of str to plip.metrics.Evaluation
        Evaluations by name of the data set; later ones are drawn on top.
    path : str or path-like or None, default=None
        File to write, in the format of its ending; it is written whole or not at all.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If matplotlib does not know the format.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("parity_plot needs matplotlib: pip install 'plip-potential[plot]'") from error
    shown = [
        target
        for target in PANELS
        if any(target in evaluation.n_labels for evaluation in evaluations.values())
    ]
    figure = Figure(figsize=(4.4 * len(shown), 4.4), layout="constrained")
    for axes, target in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        _draw(axes, target, evaluations)
    if path is not None:
        _save(figure, Path(path))
    return figure


def _draw(axes: Axes, target: str, evaluations: Mapping[str, Evaluation]) -> None:
    title, form = PANELS[target]
    drawn: list[FloatArray] = []
    for (name, evaluation), color in zip(evaluations.items(), itertools.cycle(COLORS), strict=False):
        if target not in evaluation.n_labels:
            continue
        reference, predicted = evaluation.parity(target)
        drawn += [reference, predicted]
        rmse = form.format(evaluation.errors()[f"{target}_rmse"])
        axes.plot(
            reference,
            predicted,
            linestyle="none",
            marker=".",
            markersize=5,
            markeredgewidth=0,
            alpha=0.6,
            color=color,
            rasterized=True,  # a file with a vector drawing of every force component would be huge
            label=f"{name}: RMSE {rmse} {UNITS[target]}",
        )
    values = np.concatenate(drawn)
    margin = 0.04 * np.ptp(values) or 1.0
    limits = (values.min() - margin, values.max() + margin)
    axes.plot(limits, limits, color="0.4", linewidth=0.8, zorder=0)
    axes.set(
        xlim=limits, ylim=limits, aspect="equal", xlabel=f"reference {title}", ylabel=f"predicted {title}"
    )
    axes.legend(loc="upper left", frameon=False, fontsize="small", handletextpad=0.2)


def _save(figure: Figure, path: Path) -> None:
    with write_whole(path, "wb") as file:
        figure.savefig(file, format=path.suffix[1:].lower(), dpi=150)
