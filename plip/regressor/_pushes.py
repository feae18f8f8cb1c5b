"""Atoms that are pushed onto neighbors, closer than any in the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from plip._structures._checks import volumes_per_atom
from plip._structures._evaluation import take_atoms
from plip._structures._neighbors import Neighbors, find_all_neighbors
from plip._types import FloatArray
from plip.potential import Potential
from plip.potential._prediction import evaluate_arrays

__all__ = ["FEW", "START", "Distances", "Push", "Pushes", "find_pushes"]

# Of the shortest distance in the data, to which atoms are pushed.
START = 0.95
# Part of the pushed atoms that may be exceptions.
FEW = 0.05
# Pushes of atoms onto neighbors: of how many structures, and with how many atoms, at most; how far these are
# rattled in Angstrom, which stands for melts; onto how many neighbors of a species; and the part of the sum
# of covalent radii within which other atoms are in the way.
_PUSHED_STRUCTURES, _PUSHED_ATOMS = 60, 3000
_RATTLE = 0.2
_MOST_WAYS = 2
_CLEAR = 0.75


class Push(NamedTuple):
    """A structure, the atom in it that was pushed, and the unit vector of the push."""

    atoms: Atoms
    pushed: int
    direction: FloatArray

    def moved(self, further: float) -> Atoms:
        """The structure after `further` Angstrom of the push."""
        atoms = self.atoms.copy()
        atoms.positions[self.pushed] += further * self.direction
        return atoms

    def resistance(self, potential: Potential, further: float = 0.0) -> float:
        """Force in eV/Angstrom against the push, after `further` Angstrom of it."""
        atoms = self.moved(further)
        arrays = take_atoms(potential.species, atoms)
        forces = evaluate_arrays(potential, atoms, arrays, forces=True, stress=False)["forces"]
        return float(-forces[self.pushed] @ self.direction)


Distances: TypeAlias = Mapping[tuple[str, str], float]
Pushes: TypeAlias = dict[tuple[str, str], list[Push]]


def find_pushes(
    structures: list[Atoms], shortest_distances: Distances, cutoff: float, rattle: float = _RATTLE
) -> Pushes:
    """Structures in which an atom stands closer to a neighbor than any in the data.

    Of some structures, the atom of each species with the fewest neighbors is pushed, where the density limit
    helps least, onto the nearest neighbors of each species that no other atom stands before.
    """
    pushes: Pushes = {pair: [] for pair in shortest_distances}
    # Sparse ones first, and then any.
    several = [atoms for atoms in structures if len(atoms) > 1]
    size = sum(map(len, several)) / max(len(several), 1)
    number = int(min(_PUSHED_STRUCTURES, _PUSHED_ATOMS / max(size, 1.0), len(several)))
    sparse = [several[k] for k in np.argsort(-volumes_per_atom(several), kind="stable")[: number // 2]]
    evenly = np.unique(np.linspace(0, len(several) - 1, number - len(sparse)).astype(int))
    rng = np.random.default_rng(0)
    for atoms in (*sparse, *(several[k] for k in evenly)):
        atoms = atoms.copy()
        atoms.rattle(rattle, rng=rng)
        near = find_all_neighbors(atoms, cutoff)
        n_neighbors = np.diff(near.first_as)
        for symbol in sorted(set(atoms.symbols)):
            of_species = np.flatnonzero(atoms.symbols == symbol)
            i = int(of_species[n_neighbors[of_species].argmin()])
            for other in sorted(set(atoms.symbols)):
                pair = (symbol, other) if symbol <= other else (other, symbol)
                shortest = START * shortest_distances[pair]
                for vector in _clear_ways(atoms, near, i, other) if math.isfinite(shortest) else ():
                    distance = float(np.linalg.norm(vector))
                    pushed = atoms.copy()
                    pushed.positions[i] += (1.0 - shortest / distance) * vector
                    pushes[pair].append(Push(pushed, i, vector / distance))
    return pushes


def _clear_ways(atoms: Atoms, near: Neighbors, i: int, other: str) -> list[FloatArray]:
    """Vectors from atom i to the nearest neighbors of a species that no other atom stands before."""
    part = slice(near.first_as[i], near.first_as[i + 1])
    vectors, distances, j = near.vector_pc[part], near.distance_p[part], near.neighbor_p[part]
    radii = covalent_radii[atoms.numbers]
    of_species = np.flatnonzero((j != i) & (atoms.symbols[j] == other))
    found = []
    for p in of_species[np.argsort(distances[of_species])]:
        # Of the others, how far from the neighbor they stand on the way, and how far from the way.
        along = np.clip(vectors @ vectors[p] / distances[p] ** 2, 0.0, 1.0)
        apart = np.linalg.norm(vectors - along[:, None] * vectors[p], axis=1)
        clear = apart > _CLEAR * (radii[i] + radii[j])
        clear[p] = True
        if clear.all():
            found.append(vectors[p])
        if len(found) == _MOST_WAYS:
            break
    return found
