"""What each kind of term adds to the energy of structures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from plip._structures._checks import volumes_per_atom
from plip._structures._layers import have_vacuum
from plip._types import FloatArray
from plip.inspection._data import data_of
from plip.inspection._style import (
    add_legend,
    figure_of,
    legend_width,
    new_axes,
    plain,
    set_limits,
    shade,
    short_term,
    styles,
    wrapped,
)
from plip.potential import Potential
from plip.potential._models import as_potential

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EquationOfStateDisplay", "PartitionDisplay"]

# Lengths relative to those of the structure.
_LENGTHS = np.linspace(0.85, 1.25, 81)
# Parts of the smallest and the largest volume of the data between which all values are shown.
_NEAR = (0.85, 1.15)
# eV/atom. A part that nowhere reaches it is not shown.
_NOTHING = 1e-6
# Parts that are shown; the sum of the smaller ones is another.
_MOST_PARTS = 8
# Letters of names that stand beside each other below a group of bars.
_LONG_NAME = 10
# Letters of a line of them.
_LONG_LINE = 20


class PartitionDisplay:
    """Energy per atom of some structures by kind of term, less reference energies.

    Parameters
    ----------
    names : sequence of n str
        Names of the structures, such as "crystal", "surface", "melt".
    energies : dict of str to ndarray of float64, shape (n,)
        eV/atom by label of `Potential.partition`.

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
    >>> from plip.inspection import PartitionDisplay
    >>> display = PartitionDisplay.from_estimator(model, {"first": train[0], "hot": train[100]})
    >>> display.figure_.savefig("figure.png")
    """

    ax_: Axes

    def __init__(self, names: Sequence[str], energies: Mapping[str, FloatArray]) -> None:
        self.names = list(names)
        self.energies = dict(energies)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        structures: Mapping[str, Atoms | Sequence[Atoms]],
        *,
        by: str = "interaction",
        ax: Axes | None = None,
    ) -> PartitionDisplay:
        """Part the energies of structures and plot them.

        Parameters
        ----------
        estimator : PLIPRegressor, PLIPRegressorCV or Potential
            A fitted one.
        structures : mapping of str to ase.Atoms or sequence of ase.Atoms
            By name; the mean over the atoms of several structures is taken.
        by : {"interaction", "species", "term"}, default="interaction"
            As in `Potential.partition`.
        ax : matplotlib.axes.Axes or None
            Axes to draw into; None makes some.

        Returns
        -------
        PartitionDisplay
        """
        potential = as_potential(estimator)
        if not isinstance(structures, Mapping):
            raise TypeError("structures must be a dict of structures by name, such as {'crystal': atoms}")
        rows = [
            _parts(potential, [value] if isinstance(value, Atoms) else value, by)
            for value in structures.values()
        ]
        return cls(list(structures), _by_label(rows)).plot(ax=ax)

    from_potential = from_estimator

    def plot(self, ax: Axes | None = None) -> PartitionDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Axes to draw into; None makes some.

        Returns
        -------
        self
        """
        shown = _shown(self.energies)
        # Bars leave no room for a legend.
        labels = ["sum", *map(short_term, shown)]
        width = 1.5 + 1.2 * max(len(self.names), 2) + legend_width(labels, is_full=True)
        self.ax_ = ax = new_axes(ax, "PartitionDisplay", width)
        self.figure_ = figure_of(ax)
        width = 0.8 / max(len(shown), 1)
        places = np.arange(len(self.names), dtype=float)
        for k, ((label, energy), style) in enumerate(zip(shown.items(), styles(), strict=False)):
            ax.bar(
                places + (k - 0.5 * (len(shown) - 1)) * width,
                energy,
                0.92 * width,
                facecolor=style.color,
                edgecolor="white",
                hatch=style.hatch,
                linewidth=0.5,
                label=short_term(label),
            )
        total = sum(self.energies.values(), np.zeros(len(self.names)))
        ax.hlines(total, places - 0.42, places + 0.42, color="black", linewidth=1.8, label="sum")
        ax.axhline(0.0, color="0.4", linewidth=0.8)
        is_long = max(map(len, self.names), default=0) > _LONG_NAME
        slant: dict[str, Any] = {"rotation": 20, "ha": "right"} if is_long else {}
        ax.set_xticks(places, [wrapped(plain(name), _LONG_LINE) for name in self.names], **slant)
        ax.set_ylabel("energy − reference (eV/atom)")
        add_legend(ax, labels, is_full=True)
        return self


class EquationOfStateDisplay:
    """Energy per atom by kind of term while a crystal is compressed and expanded, less reference energies.

    Parameters
    ----------
    volumes : ndarray of float64, shape (n,)
        Angstrom^3 per atom.
    energies : dict of str to ndarray of float64, shape (n,)
        eV/atom by label of `Potential.partition`.
    known : (float, float) or None
        Smallest and largest volume per atom of the data.

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
    >>> from plip.inspection import EquationOfStateDisplay
    >>> display = EquationOfStateDisplay.from_estimator(model, train[0])
    >>> display.figure_.savefig("figure.png")
    """

    ax_: Axes

    def __init__(
        self,
        volumes: FloatArray,
        energies: Mapping[str, FloatArray],
        known: tuple[float, float] | None = None,
    ) -> None:
        self.volumes = volumes
        self.energies = dict(energies)
        self.known = known

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        atoms: Atoms,
        *,
        lengths: ArrayLike = _LENGTHS,
        by: str = "interaction",
        ax: Axes | None = None,
    ) -> EquationOfStateDisplay:
        """Compress and expand a crystal and plot; volumes outside of those of the data are shaded.

        Parameters
        ----------
        estimator : PLIPRegressor or PLIPRegressorCV
        atoms : ase.Atoms
            A crystal.
        lengths : array_like of float, shape (n,)
            Lengths relative to those of the crystal.
        by : {"interaction", "species", "term"}, default="interaction"
            As in `Potential.partition`.
        ax : matplotlib.axes.Axes or None
            Axes to draw into; None makes some.

        Returns
        -------
        EquationOfStateDisplay
        """
        data = data_of(estimator)
        structures = None if data is None else data.structures
        return cls.from_potential(as_potential(estimator), atoms, structures, lengths=lengths, by=by, ax=ax)

    @classmethod
    def from_potential(
        cls,
        potential: Potential,
        atoms: Atoms,
        structures: Iterable[Atoms] | None = None,
        *,
        lengths: ArrayLike = _LENGTHS,
        by: str = "interaction",
        ax: Axes | None = None,
    ) -> EquationOfStateDisplay:
        """Compress and expand a crystal and plot.

        Parameters
        ----------
        potential : Potential
        atoms : ase.Atoms
            A crystal.
        structures : iterable of ase.Atoms or None
            Those of the fit. Volumes beyond those of its periodic structures of the same species, without
            vacuum, are shaded.
        lengths, by, ax
            As in `from_estimator`.

        Returns
        -------
        EquationOfStateDisplay
        """
        if not atoms.pbc.all():
            raise ValueError(
                "the equation of state is that of a crystal: give a structure periodic in 3 directions"
            )
        rows, volumes = [], []
        for length in np.asarray(lengths, np.float64).tolist():
            strained = atoms.copy()
            strained.set_cell(length * atoms.cell, scale_atoms=True)
            volumes.append(strained.get_volume() / len(strained))
            rows.append(_parts(as_potential(potential), [strained], by))
        known = None if structures is None else _volumes(atoms, structures)
        return cls(np.array(volumes), _by_label(rows), known).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> EquationOfStateDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Axes to draw into; None makes some.

        Returns
        -------
        self
        """
        shown = _shown(self.energies)
        labels = ["sum", *map(short_term, shown)]
        self.ax_ = ax = new_axes(ax, "EquationOfStateDisplay", 4.8 + legend_width(labels))
        self.figure_ = figure_of(ax)
        ax.axhline(0.0, color="0.4", linewidth=0.8)
        first, last = float(self.volumes[0]), float(self.volumes[-1])
        if self.known is not None:
            shade(ax, first, min(self.known[0], last), "no data")
            shade(ax, max(self.known[1], first), last, "_" if self.known[0] > first else "no data")
        for (label, energy), style in zip(shown.items(), styles(), strict=False):
            look = {"color": style.color, "linestyle": style.line, "linewidth": 1.6}
            ax.plot(self.volumes, energy, label=short_term(label), **look)
        total = sum(self.energies.values(), np.zeros(len(self.volumes)))
        ax.plot(self.volumes, total, color="black", linewidth=2.6, label="sum")
        # Far from the data, parts are so large that all else would be a line.
        low, high = (
            (first, last) if self.known is None else (_NEAR[0] * self.known[0], _NEAR[1] * self.known[1])
        )
        is_near = (self.volumes >= low) & (self.volumes <= high)
        values = np.concatenate([energy[is_near] for energy in (total, *shown.values())])
        values = values if values.size else total
        low, high = float(values.min()), float(values.max())
        # The least sum is shown wherever it is, unless it is far deeper.
        low = max(min(low, float(total.min())), 2.0 * low - high)
        set_limits(ax, low, high, has_strip=False)
        ax.set(xlim=(first, last), xlabel="volume (Å³/atom)")
        ax.set_ylabel("energy − reference (eV/atom)")
        add_legend(ax, labels)
        return self


def _parts(potential: Potential, structures: Sequence[Atoms], by: str) -> dict[str, float]:
    """Energies per atom by label, without the reference."""
    sums: dict[str, float] = {}
    for atoms in structures:
        for label, part in potential.partition(atoms, by=by).items():
            if label != "reference":
                sums[label] = sums.get(label, 0.0) + part["energy"]
    n_atoms = sum(map(len, structures))
    return {label: energy / n_atoms for label, energy in sums.items()}


def _by_label(rows: Sequence[Mapping[str, float]]) -> dict[str, FloatArray]:
    labels = dict.fromkeys(label for row in rows for label in row)
    return {label: np.array([row[label] for row in rows]) for label in labels}


def _shown(energies: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The largest parts, in their order, and the sum of the others."""
    sizes = {label: float(np.abs(energy).max(initial=0.0)) for label, energy in energies.items()}
    present = [label for label, size in sizes.items() if size > _NOTHING]
    largest = sorted(present, key=lambda label: -sizes[label])[:_MOST_PARTS]
    shown = {label: energies[label] for label in present if label in largest}
    others = [energies[label] for label in present if label not in largest]
    if others:
        shown[f"{len(others)} others"] = np.sum(others, axis=0)
    return shown


def _volumes(crystal: Atoms, structures: Iterable[Atoms]) -> tuple[float, float] | None:
    """Smallest and largest volume per atom of structures of the species of a crystal, without vacuum."""
    species = set(crystal.symbols)
    alike = [atoms for atoms in structures if atoms.pbc.all() and set(atoms.symbols) == species]
    volumes = volumes_per_atom(alike)[~have_vacuum(alike)]
    return (float(volumes.min()), float(volumes.max())) if volumes.size else None
