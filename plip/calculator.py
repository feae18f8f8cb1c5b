"""ASE calculator of a potential, with a neighbour list that lasts for many steps."""

import math
import numbers
import warnings

import numpy as np
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

from plip._structures._checks import has_full_cell
from plip._structures._evaluation import check_atoms, find_pairs

__all__ = ["PLIPCalculator"]

# More than any machine has; a mistyped number is an error, not a request to the operating system.
_MOST_THREADS = 65536


class PLIPCalculator(Calculator):
    """Energies, forces and stresses of a potential for ASE.

    Parameters
    ----------
    potential : Potential
        The potential; or use ``potential.calculator()``.
    skin : float, default=0.5
        Angstrom that neighbour lists reach beyond the cutoff. A list is used until an atom may
        have moved half of it, homogeneous strain not counted.
    n_threads : int, default=1
        Threads for systems of 4096 atoms and more. Results do not depend on it.
    **kwargs
        Passed on to `ase.calculators.calculator.Calculator`.

    Notes
    -----
    "free_energy" equals "energy". "energies" and "stresses" are shares of the atoms: half of each pair
    term belongs to both atoms, all others to their centre; half of each pair force counts for the
    stress of both atoms. They add up to "energy" and "stress".
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress", "stresses"]
    default_parameters = {}
    nolabel = True

    def __init__(self, potential, skin=0.5, n_threads=1, **kwargs):
        if not isinstance(skin, numbers.Real) or isinstance(skin, bool) or not 0 <= skin < math.inf:
            raise ValueError(f"skin must be a length in Angstrom, not negative, got {skin!r}")
        is_integer = isinstance(n_threads, numbers.Integral) and not isinstance(n_threads, bool)
        if not is_integer or not 1 <= n_threads <= _MOST_THREADS:
            raise ValueError(
                f"n_threads must be a positive integer, at most {_MOST_THREADS}, got {n_threads!r}"
            )
        super().__init__(**kwargs)
        self.potential = potential
        self.n_threads = int(n_threads)
        self._neighbors = _SkinList(potential.cutoff, float(skin))
        self._has_warned = False

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Compute all properties of ASE's list, "stresses" only where asked for.

        Raises
        ------
        ValueError
            See `Potential.evaluate`.
        PropertyNotImplementedError
            If stresses are asked for and the structure has no three independent cell vectors.

        Warns
        -----
        UserWarning
            Once, if an atom is more densely surrounded than any in the training data.
        """
        super().calculate(atoms, properties, system_changes)
        atoms = self.atoms
        volume = atoms.get_volume() if has_full_cell(atoms) else None
        if volume is None and {"stress", "stresses"}.intersection(properties):
            raise PropertyNotImplementedError("a stress needs three independent cell vectors")
        species, positions, cell = check_atoms(self.potential, atoms)
        crowding = np.zeros(len(atoms))
        energies, forces, strain, strains = self.potential.core.evaluate(
            self._neighbors.find(positions, cell, atoms.pbc),
            positions,
            cell,
            species,
            strains="stresses" in properties,
            n_threads=self.n_threads,
            crowding=crowding,
        )
        self._warn_of_crowding(crowding)
        energy = math.fsum(energies)
        self.results = {"energy": energy, "free_energy": energy, "energies": energies, "forces": forces}
        if volume is not None:
            self.results["stress"] = strain / volume
        if strains is not None:
            self.results["stresses"] = strains / volume

    def _warn_of_crowding(self, crowding):
        """Say once that the structure is denser than the data."""
        if self._has_warned or not (crowding > 1.0).any():
            return
        self._has_warned = True
        densest = int(crowding.argmax())
        warnings.warn(
            f"{np.count_nonzero(crowding > 1.0)} atoms, such as atom {densest} "
            f"({self.atoms.symbols[densest]}), are more densely surrounded than any in the training data "
            f"({crowding[densest]:.2f} of the limit): their energy is repulsion, not fitted. Add such "
            "structures to the training data if the simulation is meant to go there",
            UserWarning,
            stacklevel=4,
        )


class _SkinList:
    """A neighbour list that reaches beyond the cutoff and is made anew only when it must be."""

    def __init__(self, cutoff, skin):
        self.cutoff = cutoff
        self.skin = skin
        self.n_builds = 0
        self._pairs = None

    def __getstate__(self):
        # A copy, or another process, makes its own list.
        return {"cutoff": self.cutoff, "skin": self.skin}

    def __setstate__(self, state):
        self.__init__(**state)

    def find(self, positions, cell, pbc):
        """A list that holds all pairs within the cutoff; parameters as for `find_pairs`."""
        if not self._holds(positions, cell, pbc):
            self._pairs = find_pairs(positions, cell, pbc, self.cutoff + self.skin)
            self._positions, self._cell, self._pbc = positions.copy(), cell, np.array(pbc)
            self.n_builds += 1
        return self._pairs

    def _holds(self, positions, cell, pbc):
        if self._pairs is None or positions.shape != self._positions.shape or (pbc != self._pbc).any():
            return False
        reference, shrink = self._positions, 1.0
        if (cell != self._cell).any():
            # Strain F moves all atoms and images together: D = D_0 F + (d_j - d_i). |D_0 F| is at least |D_0|
            # times the smallest singular value of F; only displacements d beside it count against the skin.
            strain = np.linalg.solve(self._cell, cell)
            reference = reference @ strain
            shrink = np.linalg.svd(strain, compute_uv=False)[-1]
        moved = math.sqrt(np.square(positions - reference).sum(axis=1).max(initial=0.0))
        return shrink * (self.cutoff + self.skin) - 2.0 * moved >= self.cutoff
