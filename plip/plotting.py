"""Plots of errors, all targets in one figure; `plip.inspection` has the panels one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plip._types import StrPath
from plip.inspection import ParityDisplay
from plip.inspection._style import save_figure
from plip.metrics import UNITS, Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["parity_plot"]


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

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from plip.metrics import Evaluation
    >>> from plip.plotting import parity_plot
    >>> figure = parity_plot({"test": Evaluation(model.potential_, test)}, "parity.png")
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("parity_plot needs matplotlib: pip install matplotlib") from error
    shown = [
        target
        for target in UNITS
        if any(target in evaluation.n_labels for evaluation in evaluations.values())
    ]
    figure = Figure(figsize=(4.4 * len(shown), 4.4), layout="constrained")
    for axes, target in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        ParityDisplay.from_evaluations(evaluations, target=target, ax=axes)
    if path is not None:
        save_figure(figure, path)
    return figure
