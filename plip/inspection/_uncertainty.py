"""Errors against the uncertainty that a potential predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from scipy.stats import norm

from plip._types import FloatArray
from plip.inspection._style import add_legend, figure_of, legend_width, new_axes, plain, styles
from plip.labels import Labels
from plip.metrics import Evaluation, coverage
from plip.potential._models import as_potential

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["UncertaintyDisplay"]

# What axes call the values, their unit, and its factor, by target.
_TARGETS = {"energy": ("energies", "meV/atom", 1e3), "force": ("forces", "eV/Å", 1.0)}
# Values in a bin, at least; bins; and points of a series that are drawn.
_IN_BIN, _BINS, _POINTS = 20, 12, 2_000


class UncertaintyDisplay:
    """Errors against the standard deviations that a potential predicts for them.

    Values are put into bins by their standard deviation. A marker shows the error that the share `level` of a
    bin does not exceed, against half the width of their intervals. Markers on the diagonal say that intervals
    hold what they promise, large ones as well as small ones; above it, errors are larger than predicted. Dots
    are single values.

    Use `from_estimator`, `from_potential` or `from_evaluations`.

    Parameters
    ----------
    series : dict of str to (ndarray, ndarray)
        Errors, of any sign, and standard deviations by name of the group or the data set. Where one of them
        is NaN, the value does not count.
    target : {"energy", "force"}
        What they are: eV/atom or eV/Angstrom.
    level : float, default=0.9
        Share of errors that intervals should hold.

    Attributes
    ----------
    coverage : dict of str to float
        Share that they hold, of each series.
    bins : dict of str to (ndarray, ndarray)
        Half widths of intervals (median) and errors (quantile) of the bins of each series, eV/atom or
        eV/Angstrom.
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
    >>> from plip.inspection import UncertaintyDisplay
    >>> display = UncertaintyDisplay.from_estimator(model, test)
    >>> display.figure_.savefig("figure.png")
    """

    ax_: Axes

    def __init__(
        self, series: Mapping[str, tuple[FloatArray, FloatArray]], target: str, level: float = 0.9
    ) -> None:
        if target not in _TARGETS:
            raise ValueError(f"target must be one of {', '.join(_TARGETS)}, got {target!r}")
        self.target = target
        self.level = level
        self.series = {}
        for name, (errors, deviations) in series.items():
            counts = np.isfinite(errors) & np.isfinite(deviations)
            if counts.any():
                self.series[name] = errors[counts], deviations[counts]
        self.coverage = {
            name: coverage(errors, np.zeros_like(errors), deviations, level)
            for name, (errors, deviations) in self.series.items()
        }
        self._width = float(norm.ppf(0.5 + level / 2))
        self.bins = {name: self._binned(*pair) for name, pair in self.series.items()}

    def _binned(self, errors: FloatArray, deviations: FloatArray) -> tuple[FloatArray, FloatArray]:
        order = np.argsort(deviations, kind="stable")
        parts = np.array_split(order, min(_BINS, max(1, len(order) // _IN_BIN)))
        widths = np.array([self._width * np.median(deviations[part]) for part in parts])
        return widths, np.array([np.quantile(np.abs(errors[part]), self.level) for part in parts])

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Sequence[Atoms],
        *,
        target: str = "force",
        groups: ArrayLike | None = None,
        labels: Labels | None = None,
        level: float = 0.9,
        ax: Axes | None = None,
    ) -> UncertaintyDisplay:
        """Evaluate structures and plot.

        Parameters
        ----------
        estimator : PLIPRegressor, PLIPRegressorCV or Potential
            A fitted one that knows how uncertain it is.
        X : sequence of n ase.Atoms
            Structures with labels attached.
        target : {"energy", "force"}, default="force"
            What to compare.
        groups : array_like of n str, or None
            Group of each structure; None takes those of `plip.metrics.read_groups`.
        labels : Labels or None
            Labels; None takes the attached ones.
        level : float, default=0.9
            Share of errors that intervals should hold.
        ax : matplotlib.axes.Axes or None
            Axes to draw into; None makes some.

        Returns
        -------
        UncertaintyDisplay
        """
        potential = as_potential(estimator)
        potential.check_uncertainty()
        evaluation = Evaluation(potential, X, groups, labels)
        names = [None] if evaluation.groups is None else np.unique(evaluation.groups).tolist()
        series = {name or "all": _errors(evaluation, target, name) for name in names}
        largest_first = dict(sorted(series.items(), key=lambda item: -len(item[1][0])))
        return cls(largest_first, target, level).plot(ax=ax)

    from_potential = from_estimator

    @classmethod
    def from_evaluations(
        cls,
        evaluations: Mapping[str, Evaluation],
        *,
        target: str = "force",
        level: float = 0.9,
        ax: Axes | None = None,
    ) -> UncertaintyDisplay:
        """Plot evaluations of several data sets, such as "cross-validation" and "test".

        Parameters
        ----------
        evaluations : mapping of str to plip.metrics.Evaluation
            By name of the data set; those without labels of the target are left out.
        target, level, ax
            As in `from_estimator`.

        Returns
        -------
        UncertaintyDisplay
        """
        series = {
            name: _errors(evaluation, target)
            for name, evaluation in evaluations.items()
            if target in evaluation.n_labels
        }
        return cls(series, target, level).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> UncertaintyDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Axes to draw into; None makes some.

        Returns
        -------
        self
        """
        labels = [f"{plain(name)}: {100 * self.coverage[name]:.1f} % inside" for name in self.series]
        self.ax_ = ax = new_axes(ax, "UncertaintyDisplay", 4.4 + legend_width(labels), 4.4)
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        self.figure_ = figure_of(ax)
        title, unit, factor = _TARGETS[self.target]
        drawn, lines = [], []
        for (name, (errors, deviations)), label, style in zip(
            self.series.items(), labels, styles(), strict=False
        ):
            step = -(-len(errors) // _POINTS)
            points = factor * np.abs(errors[::step]), factor * self._width * deviations[::step]
            ax.plot(
                points[1],
                points[0],
                linestyle="none",
                marker=".",
                markersize=2.5 if len(errors) > 300 else 5,
                markeredgewidth=0,
                alpha=0.3,
                color=style.color,
                rasterized=True,
                zorder=1,
            )
            lines += ax.plot(
                factor * self.bins[name][0],
                factor * self.bins[name][1],
                color=style.color,
                linestyle=style.line,
                marker=style.marker,
                markersize=5,
                label=label,
            )
            drawn += [points[1], factor * self.bins[name][1]]
        values = np.concatenate([np.zeros(0), *drawn])
        values = values[values > 0]
        if values.size:
            # Zeros by symmetry, exact or rounded, have no place on these axes.
            limits = np.quantile(values, 0.005) / 1.5, values.max() * 1.5
            ax.plot(limits, limits, color="0.4", linewidth=0.8, zorder=0)
            ax.set(xscale="log", yscale="log", xlim=limits, ylim=(limits[0] / 10.0, limits[1]))
            for line in lines:
                x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
                is_shown = (x >= limits[0]) & (y >= limits[0] / 10.0)
                line.set_data(x[is_shown], y[is_shown])
            if limits[1] < 100.0 * limits[0]:
                # Powers of ten alone would be one or two numbers; by itself matplotlib writes too many.
                ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
                ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
                ax.xaxis.set_minor_formatter(NullFormatter())
        share = f"{100 * self.level:.0f} %"
        ax.set(
            xlabel=f"half width of the {share} interval ({unit})",
            ylabel=f"{share} of the errors of {title} are below ({unit})",
        )
        if self.series:
            add_legend(ax, labels, loc="lower right")
        return self


def _errors(evaluation: Evaluation, target: str, group: str | None = None) -> tuple[FloatArray, FloatArray]:
    """Errors and standard deviations."""
    if target not in evaluation.n_labels:
        raise ValueError(f"no structure has a label of the target {target!r}")
    reference, predicted = evaluation.parity(target, group)
    return predicted - reference, evaluation.std(target, group)
