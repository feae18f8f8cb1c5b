"""Predicted against reference values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from plip._types import FloatArray
from plip.inspection._style import add_legend, figure_of, legend_width, new_axes, plain, styles
from plip.labels import Labels
from plip.metrics import Evaluation
from plip.metrics._errors import SHOWN_UNITS
from plip.potential._models import as_potential

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ParityDisplay"]

# Label of the axes, digits of the error and its unit over that of the axes, by target.
_TARGETS = {
    "energy": ("energy (eV/atom)", 1, 1e3),
    "force": ("force component (eV/Å)", 3, 1.0),
    "stress": ("stress component (GPa)", 2, 1.0),
}


# Of more points than this, one is drawn in each of so many places along both axes, smaller than markers.
_MANY = 20_000
_PLACES = 1_000


class ParityDisplay:
    """Predicted against reference values of one target, with errors by group.

    Use `from_estimator`, `from_potential` or `from_evaluations`.

    Parameters
    ----------
    series : dict of str to (ndarray, ndarray)
        Reference and predicted values by name of the group or the data set.
    target : {"energy", "force", "stress"}
        What they are: eV/atom, eV/Angstrom, GPa.

    Attributes
    ----------
    rmse : dict of str to float
        Root mean square error of each series in the unit of `plip.metrics.UNITS`.
    ax_ : matplotlib.axes.Axes
        Axes, after `plot`.
    figure_ : matplotlib.figure.Figure
        Figure, after `plot`.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from plip.inspection import ParityDisplay
    >>> display = ParityDisplay.from_estimator(model, test, target="force")
    >>> display.figure_.savefig("figure.png")
    """

    ax_: Axes

    def __init__(self, series: Mapping[str, tuple[FloatArray, FloatArray]], target: str) -> None:
        _check_target(target)
        self.series = dict(series)
        self.target = target
        factor = _TARGETS[target][2]
        self.rmse = {name: factor * _root_mean_square(*pair) for name, pair in self.series.items()}

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Sequence[Atoms],
        *,
        target: str = "force",
        groups: ArrayLike | None = None,
        labels: Labels | None = None,
        ax: Axes | None = None,
    ) -> ParityDisplay:
        """Evaluate structures and plot.

        Parameters
        ----------
        estimator : PLIPRegressor, PLIPRegressorCV or Potential
            A fitted one.
        X : sequence of n ase.Atoms
            Structures with labels attached.
        target : {"energy", "force", "stress"}, default="force"
            What to compare.
        groups : array_like of n str, or None
            Group of each structure; None takes those of `plip.metrics.read_groups`.
        labels : Labels or None
            Labels; None takes the attached ones.
        ax : matplotlib.axes.Axes or None
            Axes to draw into; None makes some.

        Returns
        -------
        ParityDisplay
        """
        evaluation = Evaluation(as_potential(estimator), X, groups, labels)
        return cls(_by_group(evaluation, target), target).plot(ax=ax)

    from_potential = from_estimator

    @classmethod
    def from_evaluations(
        cls, evaluations: Mapping[str, Evaluation], *, target: str = "force", ax: Axes | None = None
    ) -> ParityDisplay:
        """Plot evaluations of several data sets, such as "train" and "test"; later ones are on top.

        Parameters
        ----------
        evaluations : mapping of str to plip.metrics.Evaluation
            By name of the data set; those without labels of the target are left out.
        target, ax
            As in `from_estimator`.

        Returns
        -------
        ParityDisplay
        """
        series = {
            name: evaluation.parity(target)
            for name, evaluation in evaluations.items()
            if target in evaluation.n_labels
        }
        return cls(series, target).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> ParityDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Axes to draw into; None makes some.

        Returns
        -------
        self
        """
        title, digits, _ = _TARGETS[self.target]
        unit = SHOWN_UNITS[self.target]
        labels = [f"{plain(name)}: RMSE {error:.{digits}f} {unit}" for name, error in self.rmse.items()]
        self.ax_ = ax = new_axes(ax, "ParityDisplay", 4.4 + legend_width(labels), 4.4)
        self.figure_ = figure_of(ax)
        ends = [values for pair in self.series.values() for values in pair if values.size]
        low, high = min(map(np.min, ends), default=0.0), max(map(np.max, ends), default=0.0)
        for pair, label, style in zip(self.series.values(), labels, styles(), strict=False):
            ax.plot(
                *_visible(*pair, low, high),
                linestyle="none",
                marker=style.marker,
                markersize=3 if len(pair[0]) > 300 else 4.5,
                markeredgewidth=0,
                alpha=0.6,
                color=style.color,
                rasterized=True,  # a file with a vector drawing of every force component would be huge
                label=label,
            )
        if ends:
            margin = 0.04 * (high - low) or 1.0
            limits = (low - margin, high + margin)
            ax.plot(limits, limits, color="0.4", linewidth=0.8, zorder=0)
            ax.set(xlim=limits, ylim=limits)
        ax.set(aspect="equal", xlabel=f"reference {title}", ylabel=f"predicted {title}")
        add_legend(ax, labels, loc="upper left", handletextpad=0.2, markerscale=1.5)
        return self


def _check_target(target: str) -> None:
    if target not in _TARGETS:
        raise ValueError(f"target must be one of {', '.join(_TARGETS)}, got {target!r}")


def _root_mean_square(reference: FloatArray, predicted: FloatArray) -> float:
    errors = reference - predicted
    return float(np.sqrt(np.mean(np.square(errors, out=errors))))


def _visible(
    reference: FloatArray, predicted: FloatArray, low: float, high: float
) -> tuple[FloatArray, FloatArray]:
    """The points; of many, one in each place from `low` to `high` that a reader can tell from others."""
    if len(reference) <= _MANY or not low < high:
        return reference, predicted
    shown = np.full(_PLACES**2, -1)
    for first in range(0, len(reference), _MANY):
        part = slice(first, first + _MANY)
        row, column = (
            np.minimum((values[part] - low) / (high - low) * _PLACES, _PLACES - 1).astype(int)
            for values in (reference, predicted)
        )
        shown[_PLACES * row + column] = np.arange(first, first + len(row))
    points = np.sort(shown[shown >= 0])
    return reference[points], predicted[points]


def _by_group(evaluation: Evaluation, target: str) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Reference and predicted values of the groups, the largest first."""
    _check_target(target)
    if target not in evaluation.n_labels:
        raise ValueError(f"no structure has a label of the target {target!r}")
    if evaluation.groups is None:
        return {"all": evaluation.parity(target)}
    series = {}
    for group in np.unique(evaluation.groups).tolist():
        reference, predicted = evaluation.parity(target, group)
        if reference.size:
            series[group] = reference, predicted
    return dict(sorted(series.items(), key=lambda item: -len(item[1][0])))
