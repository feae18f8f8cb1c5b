"""Errors against the number of training structures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from plip.inspection._style import add_legend, figure_of, legend_width, new_axes, plain, styles
from plip.metrics._errors import SHOWN_UNITS
from plip.model_selection import LearningCurve, learning_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LearningDisplay"]

_TITLES = {"energy": "energies", "force": "forces", "stress": "stresses"}


class LearningDisplay:
    """Errors of structures that were left out against the number of structures that were fitted.

    Parameters
    ----------
    curve : LearningCurve
        As from `plip.model_selection.learning_curve`.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes, after `plot`.
    figure_ : matplotlib.figure.Figure
        Figure, after `plot`.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.inspection import LearningDisplay
    >>> train, _ = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=10)
    >>> display = LearningDisplay.from_estimator(model, train[::4], n_folds=3)
    >>> display.figure_.savefig("figure.png")
    """

    ax_: Axes

    def __init__(self, curve: LearningCurve) -> None:
        self.curve = curve

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Sequence[Atoms],
        *,
        groups: Any = None,
        n_folds: int | None = None,
        target: str = "force",
        by_group: bool = False,
        ax: Axes | None = None,
    ) -> LearningDisplay:
        """Compute a learning curve and plot it.

        Parameters
        ----------
        estimator : PLIPRegressor or PLIPRegressorCV
            Settings; it is neither fitted nor changed.
        X : sequence of ase.Atoms
            Structures with labels attached.
        groups, n_folds
            As in `plip.model_selection.learning_curve`.
        target, by_group, ax
            As in `plot`.

        Returns
        -------
        LearningDisplay
        """
        curve = learning_curve(estimator, X, groups=groups, n_folds=n_folds)
        return cls(curve).plot(ax=ax, target=target, by_group=by_group)

    def plot(self, ax: Axes | None = None, target: str = "force", by_group: bool = False) -> LearningDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Axes to draw into; None makes some.
        target : {"energy", "force", "stress"}, default="force"
            Whose errors to plot.
        by_group : bool, default=False
            Whether each group of structures has a line.

        Returns
        -------
        self
        """
        if target not in self.curve.errors:
            raise ValueError(f"target must be one of {', '.join(self.curve.errors)}, got {target!r}")
        curves = {"all": self.curve.errors}
        if by_group:
            curves |= self.curve.by_group
        shown = {name: found[target] for name, found in curves.items() if target in found}
        self.ax_ = ax = new_axes(ax, "LearningDisplay", 4.8 + legend_width([*map(plain, shown)]))
        self.figure_ = figure_of(ax)
        sizes = self.curve.sizes
        for (name, values), style in zip(shown.items(), styles(), strict=False):
            mean, spread = np.sqrt(np.nanmean(values**2, axis=1)), np.nanstd(values, axis=1)
            ax.plot(
                sizes,
                mean,
                color=style.color,
                linestyle=style.line,
                marker=style.marker,
                markersize=4,
                label=plain(name),
            )
            if not by_group:
                ax.fill_between(
                    sizes, mean - spread, mean + spread, color=style.color, alpha=0.2, linewidth=0
                )
        ax.set_xscale("log")
        ax.set_xticks(sizes, [f"{size:.0f}" for size in sizes])
        ax.minorticks_off()
        ax.set(xlabel="number of structures", ylabel=f"RMSE of {_TITLES[target]} ({SHOWN_UNITS[target]})")
        ax.set_ylim(bottom=0.0)
        if len(shown) > 1:
            add_legend(ax, list(shown))
        return self
