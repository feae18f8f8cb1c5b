"""Plots of errors; they need matplotlib (``pip install 'plip-potential[plot]'``)."""

import itertools
from pathlib import Path

import numpy as np

from plip._files import write_whole
from plip.metrics import UNITS

__all__ = ["parity_plot"]

# Colours that stay apart for colour-blind readers (M. Okabe and K. Ito, Color Universal Design, 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
# Axis of each target of an Evaluation and the format of its error.
PANELS = {
    "energy": ("energy (eV/atom)", "{:.1f}"),
    "force": ("force component (eV/A)", "{:.3f}"),
    "stress": ("stress component (GPa)", "{:.2f}"),
}


def parity_plot(evaluations, path=None):
    """Predicted against reference values, a panel for each target.

    Parameters
    ----------
    evaluations : dict
        `plip.report.Evaluation` by name of the data set; later ones are drawn on top.
    path : str or Path or None, default=None
        Where to write the plot, in a format that matplotlib knows by its ending; the file is written
        whole or not at all.

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


def _draw(axes, target, evaluations):
    title, form = PANELS[target]
    values = []
    for (name, evaluation), colour in zip(evaluations.items(), itertools.cycle(COLOURS), strict=False):
        if target not in evaluation.n_labels:
            continue
        reference, predicted = evaluation.parity(target)
        values += [reference, predicted]
        rmse = form.format(evaluation.errors()[f"{target}_rmse"])
        axes.plot(
            reference,
            predicted,
            linestyle="none",
            marker=".",
            markersize=5,
            markeredgewidth=0,
            alpha=0.6,
            color=colour,
            rasterized=True,  # a vector drawing of every force component would be a huge file
            label=f"{name}: RMSE {rmse} {UNITS[target]}",
        )
    values = np.concatenate(values)
    margin = 0.04 * np.ptp(values) or 1.0
    limits = (values.min() - margin, values.max() + margin)
    axes.plot(limits, limits, color="0.4", linewidth=0.8, zorder=0)
    axes.set(
        xlim=limits, ylim=limits, aspect="equal", xlabel=f"reference {title}", ylabel=f"predicted {title}"
    )
    axes.legend(loc="upper left", frameon=False, fontsize="small", handletextpad=0.2)


def _save(figure, path):
    with write_whole(path, "wb") as file:
        figure.savefig(file, format=path.suffix[1:].lower(), dpi=150)
