"""Energies of pairs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from plip._types import BoolArray, FloatArray
from plip.inspection._data import TrainingData, data_of
from plip.inspection._style import (
    DATA,
    add_legend,
    draw_strip,
    figure_of,
    legend_width,
    new_axes,
    set_limits,
    shade,
    styles,
)
from plip.potential import Potential
from plip.potential._models import as_potential

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PairDisplay"]

# Angstrom. Gaps of a histogram that are no wider are no regions without data.
_NARROW = 0.1


class PairDisplay:
    """Energies of isolated pairs, above the distances in the data.

    A curve is thick where the data hold such pairs. A star marks pairs that the data hold in larger
    structures only: what two atoms do by themselves is then an extrapolation. Distances are shaded where no
    species has any, and hatched where all pairs have core repulsion.

    Parameters
    ----------
    r : ndarray of float64, shape (n,)
        Distances in Angstrom.
    energies : dict of (str, str) to ndarray of float64, shape (n,)
        eV by sorted pair of species.
    repulsion : dict of (str, str) to float
        Distance in Angstrom below which the core repulsion takes over.
    data : TrainingData or None
        Distances in the data.

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
    >>> from plip.inspection import PairDisplay
    >>> display = PairDisplay.from_estimator(model)
    >>> display.figure_.savefig("figure.png")
    """

    ax_: Axes

    def __init__(
        self,
        r: FloatArray,
        energies: Mapping[tuple[str, str], FloatArray],
        repulsion: Mapping[tuple[str, str], float],
        data: TrainingData | None = None,
    ) -> None:
        self.r = r
        self.energies = dict(energies)
        self.repulsion = dict(repulsion)
        self.data = data

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> PairDisplay:
        """Plot the pairs of a fitted estimator above the distances of its data.

        Parameters
        ----------
        estimator : PLIPRegressor or PLIPRegressorCV
        ax : matplotlib.axes.Axes or None
            Axes to draw into; None makes some.

        Returns
        -------
        PairDisplay
        """
        return cls._of(as_potential(estimator), data_of(estimator)).plot(ax=ax)

    @classmethod
    def from_potential(
        cls, potential: Potential, structures: Iterable[Atoms] | None = None, *, ax: Axes | None = None
    ) -> PairDisplay:
        """Plot the pairs of a potential.

        Parameters
        ----------
        potential : Potential
        structures : iterable of ase.Atoms or None
            Those of the fit, whose distances are shown; None shows none.
        ax : matplotlib.axes.Axes or None
            Axes to draw into; None makes some.

        Returns
        -------
        PairDisplay
        """
        data = None if structures is None else TrainingData(structures, potential)
        return cls._of(as_potential(potential), data).plot(ax=ax)

    @classmethod
    def _of(cls, potential: Potential, data: TrainingData | None) -> PairDisplay:
        outer = {pair: distances[1] for pair, distances in (potential.repulsion or {}).items()}
        first = 0.85 * min(outer.values(), default=0.3 * potential.cutoff)
        r = np.linspace(first, potential.cutoff, 500)
        pairs = itertools.combinations_with_replacement(sorted(potential.species), 2)
        return cls(r, {pair: potential.pair_energy(r, pair) for pair in pairs}, outer, data)

    def plot(self, ax: Axes | None = None) -> PairDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Axes to draw into; None makes some.

        Returns
        -------
        self
        """
        labels = {pair: "-".join(pair) + "*" * self._is_extrapolated(pair) for pair in self.energies}
        self.ax_ = ax = new_axes(ax, "PairDisplay", 4.8 + legend_width(list(labels.values())))
        self.figure_ = figure_of(ax)
        ax.axhline(0.0, color="0.4", linewidth=0.8)
        known = {pair: self._has_data(pair) for pair in self.energies}
        for (pair, energy), style in zip(self.energies.items(), styles(), strict=False):
            if self.data is not None and pair in self.data.distances:
                color = DATA if len(self.energies) == 1 else style.color
                label = "distances in the data" if len(self.energies) == 1 else ""
                draw_strip(ax, self.data.edges, self.data.distances[pair], color, label)
            ax.plot(self.r, energy, color=style.color, linestyle=style.line, linewidth=0.9, alpha=0.6)
            supported = np.where(known[pair], energy, np.nan)
            ax.plot(
                self.r,
                supported,
                color=style.color,
                linestyle=style.line,
                linewidth=2.0,
                label=labels[pair],
            )
        shade(ax, self.r[0], min(self.repulsion.values(), default=0.0), "core repulsion", "///")
        self._shade_gaps(ax, np.any(list(known.values()), axis=0))
        ax.set(xlim=(self.r[0], self.r[-1]), xlabel="distance (Å)", ylabel="pair energy (eV)")
        set_limits(ax, *self._range(known), has_strip=self.data is not None)
        is_starred = any(self._is_extrapolated(pair) for pair in self.energies)
        title = "* extrapolated: no isolated pairs in the data" if is_starred else ""
        add_legend(ax, list(labels.values()), loc="upper right", title=title)
        return self

    def _is_extrapolated(self, pair: tuple[str, str]) -> bool:
        """Whether the data are known and hold no isolated pair."""
        return self.data is not None and pair not in self.data.isolated

    def _has_data(self, pair: tuple[str, str]) -> BoolArray:
        """Whether the data hold a pair at each distance; without data, whether there is no core repulsion."""
        is_far = self.r >= self.repulsion.get(pair, 0.0)
        if self.data is None:
            return is_far
        counts = self.data.distances.get(pair, np.zeros(len(self.data.edges) - 1))
        bins = np.searchsorted(self.data.edges, self.r, side="right") - 1
        has_data: BoolArray = is_far & (counts[np.minimum(bins, len(counts) - 1)] > 0)
        return has_data

    def _shade_gaps(self, ax: Axes, is_known: BoolArray) -> None:
        """Shade distances beyond the repulsion that no pair of the data has."""
        inner = min(self.repulsion.values(), default=0.0)
        unknown = np.concatenate([[False], ~is_known & (self.r >= inner), [False]]).astype(int)
        starts, ends = np.flatnonzero(np.diff(unknown) == 1), np.flatnonzero(np.diff(unknown) == -1)
        label = "no data"
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            first, last = self.r[start], self.r[min(end, len(self.r) - 1)]
            if last - first > _NARROW:
                shade(ax, first, last, label)
                label = "_"

    def _range(self, known: Mapping[tuple[str, str], BoolArray]) -> tuple[float, float]:
        """What the axes show: all wells, and of repulsive branches as much again, or to the first data."""
        supported = [energy[known[pair]] for pair, energy in self.energies.items() if known[pair].any()]
        low = min((float(energy.min()) for energy in supported), default=-1.0)
        high = max((float(energy[0]) for energy in supported), default=1.0)
        deepest = max(-low, 0.05)
        return min(low, 0.0), max(min(high, 2.5 * deepest), 0.6 * deepest)
