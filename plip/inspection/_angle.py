"""Energies of triplets against the angle."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
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
    styles,
)
from plip.potential import Potential
from plip.potential._models import as_potential

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["AngleDisplay"]

# Curves of triplets that one picture can show.
_MOST_TRIPLETS = 6
# A triplet has data where arms are at most so much longer than nearest neighbors.
_SHELL = 1.25
# eV. Less is as good as nothing, and rounding has no shape to look at.
_FLAT = 1e-4


class AngleDisplay:
    """Energies of isolated triplets, less those of their pairs, against the angle.

    A curve is thin, and a map gray, where the ends of the arms are so close that they have core repulsion.

    Parameters
    ----------
    angles : ndarray of float64, shape (n,)
        Degrees.
    energies : dict of (str, str, str) to ndarray of float64, shape (n,)
        eV by species of center and arms.
    arms : dict of (str, str, str) to (float, float)
        Lengths of arms in Angstrom, usually those of nearest neighbors.
    closest : dict of (str, str, str) to float
        Distance in Angstrom between the ends of the arms below which core repulsion takes over.
    factors : ndarray of float64, shape (m,)
        Lengths of both arms of the map, relative to `arms`.
    surface : ndarray of float64, shape (m, n)
        eV, of the first triplet.
    data : TrainingData or None
        Whose angles are shown.

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
    >>> from plip.inspection import AngleDisplay
    >>> display = AngleDisplay.from_estimator(model, species=("Si", "C", "C"))
    >>> display.figure_.savefig("figure.png")
    """

    ax_: Axes

    def __init__(
        self,
        angles: FloatArray,
        energies: Mapping[tuple[str, ...], FloatArray],
        arms: Mapping[tuple[str, ...], tuple[float, float]],
        closest: Mapping[tuple[str, ...], float],
        factors: FloatArray,
        surface: FloatArray,
        data: TrainingData | None = None,
    ) -> None:
        self.angles = angles
        self.energies = dict(energies)
        self.arms = dict(arms)
        self.closest = dict(closest)
        self.factors = factors
        self.surface = surface
        self.data = data

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        species: Sequence[str] | None = None,
        r: float | tuple[float, float] | None = None,
        kind: str = "curve",
        ax: Axes | None = None,
    ) -> AngleDisplay:
        """Plot the triplets of a fitted estimator above the angles of its data.

        Parameters
        ----------
        estimator : PLIPRegressor or PLIPRegressorCV
        species : (str, str, str) or None
            Center and arms; None takes the triplets of the three-body terms with the largest energies.
        r : float, (float, float) or None
            Lengths of the arms in Angstrom; None takes the median distance of nearest neighbors in the data,
            and the minimum of the pair energy without data.
        kind : {"curve", "map"}, default="curve"
            Against the angle, or against angle and length of the arms.
        ax : matplotlib.axes.Axes or None
            Axes to draw into; None makes some.

        Returns
        -------
        AngleDisplay
        """
        return cls._of(as_potential(estimator), data_of(estimator), species, r).plot(ax=ax, kind=kind)

    @classmethod
    def from_potential(
        cls,
        potential: Potential,
        structures: Iterable[Atoms] | None = None,
        *,
        species: Sequence[str] | None = None,
        r: float | tuple[float, float] | None = None,
        kind: str = "curve",
        ax: Axes | None = None,
    ) -> AngleDisplay:
        """Plot the triplets of a potential.

        Parameters
        ----------
        potential : Potential
        structures : iterable of ase.Atoms or None
            Those of the fit, whose angles are shown; None shows none.
        species, r, kind, ax
            As in `from_estimator`.

        Returns
        -------
        AngleDisplay
        """
        data = None if structures is None else TrainingData(structures, potential)
        return cls._of(as_potential(potential), data, species, r).plot(ax=ax, kind=kind)

    @classmethod
    def _of(
        cls,
        potential: Potential,
        data: TrainingData | None,
        species: Sequence[str] | None,
        r: float | tuple[float, float] | None,
    ) -> AngleDisplay:
        symbols = sorted(potential.species)
        triplets: list[tuple[str, ...]] = (
            [tuple(species)]
            if species is not None
            else [
                (center, *arms)
                for center in symbols
                for arms in itertools.combinations_with_replacement(symbols, 2)
            ]
        )
        angles, factors = np.linspace(30.0, 180.0, 151), np.linspace(0.85, 1.35, 51)
        arms = {triplet: _arms(potential, data, triplet, r) for triplet in triplets}
        energies = {
            triplet: potential.triplet_energy(*lengths, angles, triplet) for triplet, lengths in arms.items()
        }
        largest = sorted(energies, key=lambda triplet: -float(np.ptp(energies[triplet])))[:_MOST_TRIPLETS]
        first, second = (length * factors[:, None] for length in arms[largest[0]])
        return cls(
            angles,
            {triplet: energies[triplet] for triplet in largest},
            arms,
            {triplet: _start_of_repulsion(potential, triplet[1], triplet[2]) for triplet in largest},
            factors,
            potential.triplet_energy(first, second, angles, largest[0]),
            data,
        )

    def plot(self, ax: Axes | None = None, kind: str = "curve") -> AngleDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Axes to draw into; None makes some.
        kind : {"curve", "map"}, default="curve"
            All triplets against the angle, or the first against angle and length of the arms.

        Returns
        -------
        self
        """
        if kind not in ("curve", "map"):
            raise ValueError(f"kind must be 'curve' or 'map', got {kind!r}")
        labels = {triplet: self._label(triplet) for triplet in self.energies}
        room = legend_width(list(labels.values())) if kind == "curve" else 0.0
        self.ax_ = ax = new_axes(ax, "AngleDisplay", 4.8 + room)
        self.figure_ = figure_of(ax)
        ax.set(xlim=(self.angles[0], self.angles[-1]), xlabel="angle (degrees)")
        ax.set_xticks(range(30, 181, 30))
        if kind == "curve":
            self._draw_curves(ax, labels)
        else:
            self._draw_map(ax)
        return self

    def _label(self, triplet: tuple[str, ...]) -> str:
        center, *arms = triplet
        lengths = ", ".join(f"{length:.2f}" for length in dict.fromkeys(self.arms[triplet]))
        return f"{arms[0]}-{center}-{arms[1]}, arms {lengths} Å"

    def _is_free(self, triplet: tuple[str, ...], factors: FloatArray) -> BoolArray:
        """Whether the ends of the arms are no closer than core repulsion allows, shape (m, n)."""
        first, second = (length * factors[:, None] for length in self.arms[triplet])
        across = first**2 + second**2 - 2.0 * first * second * np.cos(np.radians(self.angles))
        is_free: BoolArray = across >= self.closest[triplet] ** 2
        return is_free

    def _draw_curves(self, ax: Axes, labels: Mapping[tuple[str, ...], str]) -> None:
        ax.axhline(0.0, color="0.4", linewidth=0.8)
        shown = [np.array([-_FLAT, _FLAT])]
        for (triplet, energy), style in zip(self.energies.items(), styles(), strict=False):
            if self.data is not None:
                color = DATA if len(self.energies) == 1 else style.color
                draw_strip(ax, *self._histogram(triplet), color, "angles in the data" * (color == DATA))
            is_free = self._is_free(triplet, np.ones(1))[0]
            look = {"color": style.color, "linestyle": style.line}
            ax.plot(self.angles, energy, linewidth=0.9, alpha=0.6, **look)
            ax.plot(
                self.angles, np.where(is_free, energy, np.nan), linewidth=2.0, label=labels[triplet], **look
            )
            shown.append(energy[is_free])
        ax.set_ylabel("triplet energy (eV)")
        values = np.concatenate(shown)
        set_limits(ax, float(values.min()), float(values.max()), has_strip=self.data is not None)
        add_legend(ax, list(labels.values()))

    def _histogram(self, triplet: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
        assert self.data is not None
        edges = np.linspace(0.0, 180.0, 91)
        first, second = self.arms[triplet]
        return edges, self.data.angles(triplet, (_SHELL * first, _SHELL * second), edges)

    def _draw_map(self, ax: Axes) -> None:
        triplet = next(iter(self.energies))
        center, *arms = triplet
        is_free = self._is_free(triplet, self.factors)
        most = max(float(np.abs(self.surface[is_free]).max(initial=0.0)), _FLAT)
        lengths = self.factors * self.arms[triplet][0]
        shown = np.where(is_free, self.surface, np.nan)
        ax.set_facecolor("0.9")
        scale: dict[str, Any] = {"cmap": "PuOr_r", "vmin": -most, "vmax": most}
        image = ax.pcolormesh(self.angles, lengths, shown, shading="nearest", rasterized=True, **scale)
        if most > _FLAT:
            lines = ax.contour(self.angles, lengths, shown, 8, colors="0.25", linewidths=0.7)
            ax.clabel(lines, fontsize="x-small", fmt="%.2g")
        ax.set_ylabel(f"arms of {arms[0]}-{center}-{arms[1]} (Å)")
        bar = self.figure_.colorbar(image, ax=ax)
        bar.set_label("triplet energy (eV)")


def _arms(
    potential: Potential,
    data: TrainingData | None,
    triplet: tuple[str, ...],
    r: float | tuple[float, float] | None,
) -> tuple[float, float]:
    """Lengths of the arms of a triplet."""
    if r is not None:
        first, second = (r, r) if isinstance(r, (int, float)) else r
        return float(first), float(second)
    lengths = []
    for arm in triplet[1:]:
        length = None if data is None else data.nearest.get((triplet[0], arm))
        if length is None:
            pair = (triplet[0], arm)
            start = _start_of_repulsion(potential, *pair) or 0.4 * potential.cutoff
            grid = np.linspace(start, 0.9 * potential.cutoff, 200)
            length = float(grid[np.argmin(potential.pair_energy(grid, pair))])
        lengths.append(length)
    return lengths[0], lengths[1]


def _start_of_repulsion(potential: Potential, first: str, second: str) -> float:
    """Distance below which the core repulsion of a pair takes over, 0 without one."""
    pair = (min(first, second), max(first, second))
    return (potential.repulsion or {}).get(pair, (0.0, 0.0))[1]
