"""Energies of the N-body terms against the density."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from plip._types import FloatArray
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

__all__ = ["DensityDisplay"]

_DENSITIES = np.linspace(0.0, 2.0, 201)


class DensityDisplay:
    """Energy of the N-body terms of an atom against the density around it.

    Parameters
    ----------
    density : ndarray of float64, shape (n,)
        Relative to that in the crystal of each species.
    energies : dict of str to ndarray of float64, shape (n,)
        eV by species of the atom.
    samples : dict of str to ndarray of float64
        Densities around atoms of the data, relative to the crystal.
    limits : dict of str to float
        Largest densities that the potential takes from its terms, relative to the crystal.

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
    >>> from plip.inspection import DensityDisplay
    >>> display = DensityDisplay.from_estimator(model)
    >>> display.figure_.savefig("figure.png")
    """

    ax_: Axes

    def __init__(
        self,
        density: FloatArray,
        energies: Mapping[str, FloatArray],
        samples: Mapping[str, FloatArray] | None = None,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self.density = density
        self.energies = dict(energies)
        self.samples = dict(samples or {})
        self.limits = dict(limits or {})

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        crystals: Mapping[str, Atoms] | None = None,
        *,
        density: ArrayLike = _DENSITIES,
        ax: Axes | None = None,
    ) -> DensityDisplay:
        """Plot the density parts of a fitted estimator, with the densities of its data.

        Parameters
        ----------
        estimator : PLIPRegressor or PLIPRegressorCV
        crystals : mapping of str to ase.Atoms, or None
            Structure that is the unit of density, by species of the atom. None takes the periodic structure
            of the data with the lowest energy per atom, less reference energies, among those of the fewest
            species: the element, if the data hold it.
        density : array_like of float, shape (n,)
            Relative densities.
        ax : matplotlib.axes.Axes or None
            Axes to draw into; None makes some.

        Returns
        -------
        DensityDisplay
        """
        return cls._of(as_potential(estimator), data_of(estimator), crystals, density).plot(ax=ax)

    @classmethod
    def from_potential(
        cls,
        potential: Potential,
        structures: Iterable[Atoms] | None = None,
        crystals: Mapping[str, Atoms] | None = None,
        *,
        density: ArrayLike = _DENSITIES,
        ax: Axes | None = None,
    ) -> DensityDisplay:
        """Plot the density parts of a potential; give structures of the fit, or a crystal for each species.

        Parameters
        ----------
        potential : Potential
        structures : iterable of ase.Atoms or None
            Those of the fit.
        crystals, density, ax
            As in `from_estimator`.

        Returns
        -------
        DensityDisplay
        """
        data = None if structures is None else TrainingData(structures, potential)
        return cls._of(as_potential(potential), data, crystals, density).plot(ax=ax)

    @classmethod
    def _of(
        cls,
        potential: Potential,
        data: TrainingData | None,
        crystals: Mapping[str, Atoms] | None,
        density: ArrayLike,
    ) -> DensityDisplay:
        if not (crystals is None or isinstance(crystals, Mapping)):
            raise TypeError("crystals must be a dict of structures by species, such as {'Si': atoms}")
        grid = np.asarray(density, np.float64)
        energies, samples, limits = {}, {}, {}
        for symbol in sorted(potential.species):
            crystal = (crystals or {}).get(symbol)
            if crystal is None and data is not None:
                crystal = data.crystal(potential, symbol)
            if crystal is None:
                continue
            energies[symbol] = potential.embedding_energy(grid, symbol, crystal)
            reach, most = (potential.density_limits or {}).get(symbol, (0.8 * potential.cutoff, np.inf))
            unit = float(TrainingData([crystal], potential).densities(symbol, reach).mean())
            if unit > 0:
                limits[symbol] = most / unit
                if data is not None:
                    samples[symbol] = data.densities(symbol, reach) / unit
        if not energies:
            raise ValueError("there is no periodic structure to compare with: give crystals, one by species")
        return cls(grid, energies, samples, limits)

    def plot(self, ax: Axes | None = None) -> DensityDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Axes to draw into; None makes some.

        Returns
        -------
        self
        """
        self.ax_ = ax = new_axes(ax, "DensityDisplay", 4.8 + legend_width(list(self.energies)))
        self.figure_ = figure_of(ax)
        ax.axhline(0.0, color="0.4", linewidth=0.8)
        ax.axvline(1.0, color="0.4", linewidth=0.8, linestyle=":")
        last = float(self.density[-1])
        edges = np.linspace(0.0, last, 81)
        for (symbol, energy), style in zip(self.energies.items(), styles(), strict=False):
            if symbol in self.samples:
                is_alone = len(self.energies) == 1
                counts = np.histogram(self.samples[symbol], edges)[0].astype(float)
                label = "densities in the data" if is_alone else ""
                draw_strip(ax, edges, counts, DATA if is_alone else style.color, label)
            ax.plot(
                self.density, energy, color=style.color, linestyle=style.line, linewidth=2.0, label=symbol
            )
        end = max(self.limits.values(), default=np.inf)
        shade(ax, min(end, last), last, "beyond the data", "///")
        inside = self.density <= end
        values = np.concatenate([energy[inside] for energy in self.energies.values()])
        set_limits(ax, float(values.min()), float(values.max()), has_strip=bool(self.samples))
        ax.set(xlim=(float(self.density[0]), last), xlabel="density / that in the crystal")
        ax.set_ylabel("N-body energy (eV/atom)")
        add_legend(ax, list(self.energies))
        return self
