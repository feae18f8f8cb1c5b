"""Rows of single structures, computed or taken from a joblib.Memory."""

import joblib
import numpy as np

from plip._design import StructureDesign

__all__ = ["Storage", "direct"]


def direct(design, atoms, forces, has_stress):
    """The rows of a structure, computed when asked for."""
    return StructureDesign(design, atoms)


class Storage:
    """Keeps what the kernels compute of a structure, keyed by the structure and the terms.

    Parameters
    ----------
    memory : joblib.Memory
        Where to keep it.
    design : Design
        Terms; they are part of the key.
    """

    def __init__(self, memory, design):
        self._compute = memory.cache(_compute, ignore=["design"])
        self._setting = joblib.hash([[term.to_dict() for term in design.terms], design.species])

    def __call__(self, design, atoms, forces, has_stress):
        values, shortest, force_rows, force_products, virial_rows = self._compute(
            design,
            self._setting,
            atoms.numbers,
            atoms.positions,
            atoms.cell[:],
            atoms.pbc,
            forces,
            has_stress,
        )
        return _StoredStructure(design, atoms, values, shortest, force_rows, force_products, virial_rows)


class _StoredStructure:
    """What `StructureDesign` offers, from stored arrays."""

    def __init__(self, design, atoms, values, shortest, force_rows, force_products, virial_rows):
        self.atoms = atoms
        self.values = values
        self.shortest = shortest
        self.counts = design.counts(atoms)
        self.force_products = force_products
        self._force_rows = force_rows
        self._virial_rows = virial_rows

    def write_rows(self, first_atom, force_rows, virial_rows):
        n_terms = len(self.values)
        if self._force_rows is not None:
            begin = 3 * first_atom
            force_rows[:, :n_terms] = self._force_rows[begin : begin + len(force_rows)]
        if virial_rows is not None and first_atom == 0:
            virial_rows[:, :n_terms] += self._virial_rows


def _compute(design, setting, numbers, positions, cell, pbc, forces, has_stress):
    """Values, shortest distances, force rows or their products with the forces, virial rows."""
    from ase import Atoms

    structure = StructureDesign(design, Atoms(numbers, positions, cell=cell, pbc=pbc))
    n_terms, n_rows = len(structure.values), 3 * len(numbers)
    virial_rows = np.zeros((6, n_terms)) if has_stress else None
    force_rows = force_products = None
    if forces is not None or has_stress:
        force_rows = np.empty((n_rows, n_terms))
        structure.write_rows(0, force_rows, virial_rows)
        if forces is None:
            force_rows = None
        elif n_rows > n_terms + 1:
            rows = np.column_stack([force_rows, forces.ravel()])
            force_rows, force_products = None, rows.T @ rows
    return structure.values, structure.shortest, force_rows, force_products, virial_rows
