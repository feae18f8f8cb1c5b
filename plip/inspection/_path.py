"""Models of growing size: errors, cancellation, cost, and which terms all folds keep."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from plip._types import FloatArray, IntArray
from plip.inspection._style import add_legend, figure_of, new_axes, short_term, styles
from plip.potential import Potential
from plip.potential._models import as_estimator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PathDisplay", "StabilityDisplay"]

# Factor and label of each quantity.
_QUANTITIES = {
    "energy": (1e3, "RMSE of energies (meV/atom)"),
    "force": (1.0, "RMSE of forces (eV/Å)"),
    "virial": (1e3, "RMSE of virials (meV/atom)"),
    "cancellation": (1.0, "cancellation"),
    "cost": (1e6, "time (µs/atom)"),
}
# Sizes whose cost is measured, and how often; the best time counts.
_TIMED_SIZES = 8
_REPEATS = 5


class PathDisplay:
    """Errors, cancellation or cost against the number of terms.

    Parameters
    ----------
    curves : dict of str to dict of str to (ndarray, ndarray)
        Numbers of terms and values, by quantity ("energy", "force", "virial", "cancellation", "cost") and by
        name ("train", "cross-validation", "test"), in eV, Angstrom and seconds.
    chosen : int
        Number of terms of the model.

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
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from plip.inspection import PathDisplay
    >>> display = PathDisplay.from_estimator(model, test, quantity="force")
    >>> display.figure_.savefig("figure.png")
    """

    ax_: Axes

    def __init__(
        self, curves: Mapping[str, Mapping[str, tuple[IntArray | FloatArray, FloatArray]]], chosen: int
    ) -> None:
        self.curves = {quantity: dict(named) for quantity, named in curves.items()}
        self.chosen = chosen

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X_test: Sequence[Atoms] | None = None,
        *,
        quantity: str = "force",
        cost_of: Atoms | None = None,
        ax: Axes | None = None,
    ) -> PathDisplay:
        """Find the errors of all models on the path and plot one quantity.

        Parameters
        ----------
        estimator : PLIPRegressor or PLIPRegressorCV
            A fitted one. Only `PLIPRegressorCV` knows errors of folds.
        X_test : sequence of ase.Atoms or None
            Structures with labels attached, for the errors of tests.
        quantity : {"energy", "force", "virial", "cancellation", "cost"}, default="force"
            What to plot; `plot` can plot the others.
        cost_of : ase.Atoms or None
            Structure for which the time of an evaluation is measured, for "cost".
        ax : matplotlib.axes.Axes or None
            Axes to draw into; None makes some.

        Returns
        -------
        PathDisplay
        """
        estimator = as_estimator(estimator)
        equations, path = estimator.normal_equations_, estimator.path_
        results = getattr(estimator, "cv_results_", None)
        sizes = path.n_terms if results is None else results["n_terms"]
        references = equations.references(path.coefs, estimator._references)
        named = {"train": equations.mean_squares(path.coefs, references)}
        if X_test is not None:
            tests = type(equations).from_structures(X_test, estimator.descriptors_)
            named["test"] = tests.mean_squares(path.coefs, references)
        curves: dict[str, dict[str, tuple[Any, FloatArray]]] = {}
        for name, squares in named.items():
            for target, values in squares.items():
                curves.setdefault(target, {})[name] = sizes, np.sqrt(values)
        for target, found in curves.items():
            if results is not None and f"{target}_rmse" in results:
                found["cross-validation"] = sizes, results[f"{target}_rmse"]
        curves["cancellation"] = {"mean structure": (sizes, equations.mean_cancellation(path.coefs))}
        if cost_of is not None:
            curves["cost"] = {f"{len(cost_of)} atoms": _costs(estimator, cost_of)}
        # Terms that twins lend do not count here.
        chosen = getattr(estimator, "selected_size_", int(path.n_terms[-1]))
        return cls(curves, chosen).plot(ax=ax, quantity=quantity)

    def plot(self, ax: Axes | None = None, quantity: str = "force") -> PathDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Axes to draw into; None makes some.
        quantity : {"energy", "force", "virial", "cancellation", "cost"}, default="force"
            What to plot.

        Returns
        -------
        self
        """
        if quantity not in self.curves:
            raise ValueError(f"quantity must be one of {', '.join(self.curves)}, got {quantity!r}")
        self.ax_ = ax = new_axes(ax, "PathDisplay")
        from matplotlib.ticker import MaxNLocator

        self.figure_ = figure_of(ax)
        factor, title = _QUANTITIES[quantity]
        shown = []
        for (name, (sizes, values)), style in zip(self.curves[quantity].items(), styles(), strict=False):
            marker = style.marker if len(sizes) <= _TIMED_SIZES else None
            label = None if quantity == "cancellation" else name
            ax.plot(
                sizes,
                factor * values,
                color=style.color,
                linestyle=style.line,
                linewidth=1.8,
                marker=marker,
                label=label,
            )
            # Models of hardly any term would squeeze all others.
            shown.append(factor * values[np.asarray(sizes) >= min(5, int(np.max(sizes)))])
        label = f"chosen: {self.chosen} term{'s' * (self.chosen != 1)}"
        ax.axvline(self.chosen, color="0.4", linewidth=0.9, linestyle=":", label=label)
        values = np.concatenate(shown)
        values = values[np.isfinite(values)]
        if values.size and quantity != "cancellation":
            ax.set_ylim(0.0, 1.08 * float(values.max()))
        ax.set(xlabel="number of terms", ylabel=title)
        ax.set_xlim(left=0)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        add_legend(ax, list(self.curves[quantity]))
        return self


def _costs(estimator: Any, atoms: Atoms) -> tuple[IntArray, FloatArray]:
    """Numbers of terms, and seconds per atom of an evaluation with forces."""
    sizes, rows = np.unique(estimator.path_.n_terms, return_index=True)
    chosen = np.unique(np.linspace(0, len(sizes) - 1, _TIMED_SIZES).astype(int))
    like = estimator.potential_
    beyond_data = like.repulsion, like.density_limits, like.energy_floors, like.core_forces
    seconds = []
    for coef in estimator.path_.coefs[rows[chosen]]:
        potential = Potential(estimator.descriptors_, coef, like.intercept, *beyond_data)
        potential.evaluate(atoms)
        times = []
        for _ in range(_REPEATS):
            start = time.perf_counter()
            potential.evaluate(atoms)
            times.append(time.perf_counter() - start)
        seconds.append(min(times) / max(len(atoms), 1))
    return sizes[chosen], np.array(seconds)


class StabilityDisplay:
    """Share of the folds of cross-validation whose model of the chosen size keeps a term.

    Parameters
    ----------
    names : sequence of n str
        Names of terms.
    shares : ndarray of float64, shape (n,)
        From 0 to 1.
    is_kept : ndarray of bool, shape (n,)
        Whether the model of all data keeps the term.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes, after `plot`.
    figure_ : matplotlib.figure.Figure
        Figure, after `plot`.

    Examples
    --------
    >>> from plip import PLIPRegressorCV
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.inspection import StabilityDisplay
    >>> train, _ = load_silicon_carbide()
    >>> model = PLIPRegressorCV("fast", cv=3, max_terms=10).fit(train[::4])
    >>> display = StabilityDisplay.from_estimator(model)
    >>> display.figure_.savefig("figure.png")
    """

    ax_: Axes

    def __init__(self, names: Sequence[str], shares: FloatArray, is_kept: Any) -> None:
        self.names = list(names)
        self.shares = np.asarray(shares, np.float64)
        self.is_kept = np.asarray(is_kept, bool)

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, max_terms: int = 25, ax: Axes | None = None
    ) -> StabilityDisplay:
        """Plot the terms that most folds keep.

        Parameters
        ----------
        estimator : PLIPRegressorCV
            A fitted one.
        max_terms : int, default=25
            How many terms to show: those of the model that most folds keep first, then the others.
        ax : matplotlib.axes.Axes or None
            Axes to draw into; None makes some.

        Returns
        -------
        StabilityDisplay
        """
        estimator = as_estimator(estimator)
        if not hasattr(estimator, "stability_"):
            raise TypeError("only a fitted PLIPRegressorCV has folds; give one that was fitted to structures")
        is_kept = estimator.coef_ != 0
        order = np.lexsort(
            (-np.abs(estimator.coef_ * estimator.column_scale_), ~is_kept, -estimator.stability_)
        )
        order = order[estimator.stability_[order] > 0][:max_terms]
        names = [estimator.descriptors_.terms_[n].name for n in order.tolist()]
        return cls(names, estimator.stability_[order], is_kept[order]).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> StabilityDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Axes to draw into; None makes some.

        Returns
        -------
        self
        """
        self.ax_ = ax = new_axes(ax, "StabilityDisplay", 8.4, 1.2 + 0.21 * len(self.names))
        self.figure_ = figure_of(ax)
        rows = np.arange(len(self.names))
        looks = zip((True, False), ("in the model", "not in the model"), styles(), strict=False)
        for is_kept, label, style in looks:
            part = self.is_kept == is_kept
            if part.any():
                ax.barh(
                    rows[part],
                    100.0 * self.shares[part],
                    color=style.color if is_kept else "white",
                    edgecolor=style.color,
                    hatch="" if is_kept else "///",
                    height=0.7,
                    label=label,
                )
        ax.set_yticks(rows, [short_term(name) for name in self.names], fontsize="x-small")
        ax.set(xlim=(0, 100), xlabel="folds that keep the term (%)")
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.legend(frameon=False, fontsize="small", ncol=2, loc="lower right", bbox_to_anchor=(1.0, 1.0))
        return self
