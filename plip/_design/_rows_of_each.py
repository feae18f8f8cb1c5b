"""Design rows of several small structures at once, in which no thread waits for another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from plip._core._rows_each import rows_of_each
from plip._design._extent import Extent, density_range
from plip._design._rows import RANGE_ATOMS, Design, empty_on_lines
from plip._structures._evaluation import gather
from plip._types import FloatArray

__all__ = ["LARGEST", "RowsOfEach"]

# Atoms of a small structure, at most: those whose values are summed at once where it is computed alone.
LARGEST = RANGE_ATOMS


@dataclass(frozen=True, eq=False)
class RowsOfEach:
    """What `StructureDesign` has, of several small structures with the same part of a design.

    Attributes
    ----------
    counts : ndarray of float64, shape (n, n_species)
        Number of atoms of each species.
    pairs : ndarray of float64, shape (n, n_species, n_species)
        Number of neighbors of one species (last index) around all atoms of another within the cutoff.
    values : ndarray of float64, shape (n, n_terms)
        X_n of the whole structures.
    extent : Extent
        Shortest distances and largest densities of them all.
    """

    counts: FloatArray
    pairs: FloatArray
    values: FloatArray
    extent: Extent

    @classmethod
    def compute(
        cls,
        design: Design,
        structures: Sequence[Atoms],
        virial_rows: FloatArray | None,
        force_rows: FloatArray | None,
    ) -> RowsOfEach | None:
        """Compute all, and write the rows of virials and forces.

        Parameters
        ----------
        design : Design
            The part that belongs to the species of the structures.
        structures : sequence of ase.Atoms
            Checked; at least one. Sums over more than `LARGEST` atoms have other last digits than alone.
        virial_rows : ndarray of float64, shape (6 n, at least n_terms), or None
            Overwritten in the first n_terms columns: dX_n/d(strain), xx yy zz yz xz xy of each structure.
        force_rows : ndarray of float64, shape (3 n_atoms, at least n_terms), or None
            Overwritten in the first n_terms columns: -dX_n/dr of all atoms, x y z of each.

        Returns
        -------
        RowsOfEach or None
            None if there is an error, which `StructureDesign` raises for one of the structures.
        """
        n, n_species = len(structures), len(design.species)
        present = np.arange(n_species) if design.present is None else design.present
        gathered = gather([design.species[s] for s in present], structures)
        sizes = np.diff(gathered.borders)
        n_done, values, shortest, densest, pairs = rows_of_each(
            design.kernel,
            empty_on_lines(2 * sizes.max(), design.kernel.state_size).reshape(2, sizes.max(), -1),
            *gathered,
            design.cutoff,
            density_range(design.cutoff),
            virial_rows,
            force_rows,
        )
        if n_done < n:
            return None
        extent = Extent.empty(n_species)
        extent.shortest[present[:, None], present] = shortest
        extent.densest[present] = densest
        all_pairs = np.zeros((n, n_species, n_species))
        all_pairs[:, present[:, None], present] = pairs
        places = np.repeat(np.arange(n), sizes) * n_species + present[gathered.species]
        counts = np.bincount(places, minlength=n * n_species).reshape(n, n_species)
        return cls(counts.astype(np.float64), all_pairs, values, extent)
