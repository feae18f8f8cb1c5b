"""Vacuum in cells: beside slabs and around molecules, but not in crystals, melts and skewed cells."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from plip._structures._layers import have_vacuum

CELL = bulk("Cu", cubic=True) * (2, 2, 2)


def with_gap(width):
    """A slab of copper below vacuum, `width` Angstrom between planes of atoms."""
    slab = CELL.copy()
    top = slab.positions[:, 2].max()
    slab.cell[2, 2] = top + width
    return slab


def in_a_box(atoms, length=12.0):
    return Atoms(atoms.numbers, atoms.positions, cell=[length] * 3, pbc=True)


CASES = {
    "crystal": (CELL, False),
    "primitive cell": (bulk("Cu"), False),
    "one atom far from its images": (Atoms("Ar", cell=[5.0, 5.0, 5.0], pbc=True), True),
    "narrow gap": (with_gap(4.4), False),
    "slab": (with_gap(4.6), True),
    "hexagonal slab": (fcc111("Cu", (1, 1, 4), vacuum=5.0, periodic=True), True),
    "molecule": (in_a_box(molecule("H2O")), True),
}


def test_vacuum_in_cells():
    structures = [atoms for atoms, _ in CASES.values()]
    expected = [has_vacuum for _, has_vacuum in CASES.values()]
    assert have_vacuum(structures).tolist() == expected
    assert have_vacuum([]).tolist() == []


@pytest.mark.parametrize("name", CASES)
def test_vacuum_does_not_depend_on_how_a_structure_is_written(name):
    atoms, expected = CASES[name]
    rng = np.random.default_rng(0)
    moved = atoms.copy()
    moved.positions += rng.normal(size=3) + rng.integers(-2, 3, (len(atoms), 3)) @ atoms.cell.array
    shuffled = moved[rng.permutation(len(moved))]
    shuffled.rotate(50.0, (1, 2, 3), rotate_cell=True)
    assert have_vacuum([atoms, shuffled, moved * (2, 1, 1)]).tolist() == [expected] * 3
