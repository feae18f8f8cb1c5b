"""Cells of a crystal that simulations begin with."""

import itertools
from collections.abc import Sequence

import numpy as np
from ase import Atom, Atoms

__all__ = ["slab", "supercell", "with_interstitials", "with_vacuum"]

_FEWEST_ATOMS = 32
# Vacuum beside slabs and molecules in Angstrom.
_VACUUM = 10.0


def supercell(atoms: Atoms) -> Atoms:
    """At least 32 atoms of a crystal, made by doubling its shortest vectors; molecules stay as they are."""
    atoms = atoms.copy()
    atoms.calc, atoms.constraints = None, []
    while len(atoms) < _FEWEST_ATOMS and atoms.pbc.any():
        lengths = np.where(atoms.pbc, atoms.cell.lengths(), np.inf)
        repeats = [1, 1, 1]
        repeats[int(lengths.argmin())] = 2
        atoms = atoms.repeat(repeats)
    return atoms


def with_interstitials(atoms: Atoms, symbols: Sequence[str]) -> Atoms:
    """A crystal with one more atom of each species, each at the random point farthest from all atoms."""
    atoms = atoms.copy()
    images = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    # With so many points, several are in the widest of the holes between 40 atoms.
    fractions = np.random.default_rng(0).random((500, 3))
    for symbol in symbols:
        between = fractions[:, None] - atoms.get_scaled_positions()
        between -= between.round()
        squares = [(((between + image) @ atoms.cell.array) ** 2).sum(axis=-1) for image in images]
        nearest = np.min(squares, axis=(0, 2))
        atoms.append(Atom(symbol, fractions[nearest.argmax()] @ atoms.cell.array))
    return atoms


def slab(atoms: Atoms) -> Atoms:
    """A crystal with vacuum along its third cell vector."""
    atoms = atoms.copy()
    atoms.cell[2] *= 1.0 + _VACUUM / atoms.cell.lengths()[2]
    atoms.pbc = (True, True, False)
    return atoms


def with_vacuum(atoms: Atoms) -> Atoms:
    """The same atoms in the middle of a cell that has vacuum wherever they are not periodic.

    Programs that are periodic in all directions need it, between images of atoms that leave a slab, too.
    """
    atoms = atoms.copy()
    if not atoms.pbc.all():
        atoms.center(0.5 * _VACUUM, axis=np.flatnonzero(~atoms.pbc))
    return atoms
