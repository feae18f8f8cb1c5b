"""What descriptors take from the data: the cutoff and the shortest distance."""

import functools
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from plip import _core
from plip._structures._checks import errors_of
from plip._structures._neighbors import arrays_of, find_all_neighbors
from plip._types import FloatArray, Int32Array

__all__ = ["automatic_cutoff", "check_within_reach", "shortest_distance"]

# Constants of the automatic cutoff. Small changes of any of them hardly change the cutoff of crystals, slabs,
# clusters and molecules.

# The number of atoms that the cutoff function (1 + cos(pi r / r_c)) / 2 counts within twice the cube root of
# the volume per atom: the integral of 4 pi r^2 f_c(r) over a uniform density that includes the atom itself.
_COUNT = 32 * np.pi / 3 * (0.5 - 3 / np.pi**2)
# Radii of the searches for neighbors in Angstrom; the last one bounds the cutoff (crystals of cesium: 9.6).
_SEARCHES = (6.0, 8.0, 10.0)
# Atoms farther than this from all others, in Angstrom, are isolated (nearest neighbors in cesium: 5.2).
_ISOLATED = 6.0
# Matter such as molecules in boxes and gases is sparse: the sphere holds fewer than 16 atoms instead of 33,
# or is wider than 5.5 Angstrom and 3.2 times the distance of the nearest neighbor (close-packed crystals:
# 1.8, diamond: 2.3).
_FEWEST, _WIDEST, _WIDEST_PER_NEAREST = 16, 5.5, 3.2
# Cutoff of sparse matter in Angstrom.
_CUTOFF_OF_SPARSE = 5.0
# The cutoff is at least this times the distance of the nearest neighbors; the second shell of close-packed
# crystals stands at 1.41.
_LEAST_PER_NEAREST = 1.6
# Atoms looked at in each structure.
_SAMPLE = 32
# Structures looked at, and those of each species that are at least.
_STRUCTURES, _OF_SPECIES = 200, 50


def automatic_cutoff(structures: Sequence[Atoms], first: int = 0) -> float:
    """Cutoff that encloses about 33 atoms, judged by the surroundings of the atoms.

    In a crystal the cutoff is twice the cube root of the volume per atom. Elsewhere it is the radius at which
    the cutoff function, summed over the neighbors, has the same value as in such a crystal, so that empty
    space in a cell does not count. The lower tercile over the atoms of a structure is taken, then the lower
    quartile over the structures. Sparse structures (isolated molecules, gases, chains) have no such radius
    and are left out; if all are sparse, the cutoff is 5 Angstrom. The cutoff is at least 1.6 times the
    distance of the nearest neighbor of each species (the lower decile), so that the first two shells of
    large atoms are inside. Of very many structures some hundred are looked at, from all over the data.

    Parameters
    ----------
    structures : list of ase.Atoms
        From `plip._structures._checks.check_structures`.
    first : int, default=0
        Place of the first structure in the data, for messages.

    Returns
    -------
    float
        Angstrom, rounded to 0.1.
    """
    radii: list[float] = []
    numbers, nearest = [], []
    for index in _places(structures):
        atoms = structures[index]
        sample = np.array(_spread(len(atoms), _SAMPLE), np.int32)
        with errors_of(first + index, atoms):
            radius, distances = _surroundings(atoms, sample)
        radii.append(radius)
        numbers.append(atoms.numbers[sample])
        nearest.append(distances)
    number, distance = np.concatenate(numbers), np.concatenate(nearest)
    dense = [radius for radius in radii if np.isfinite(radius)]
    cutoff = _quantile(dense, 1 / 4) if dense else _CUTOFF_OF_SPARSE
    # A decile, since the atoms of a gas seldom are as close as their shortest distance.
    is_near = distance < _ISOLATED
    least = [
        _LEAST_PER_NEAREST * _quantile(distance[is_near & (number == species)], 1 / 10)
        for species in np.unique(number[is_near])
    ]
    return max(round(max([cutoff, *least]), 1), 0.1)


def _places(structures: Sequence[Atoms]) -> list[int]:
    """Places of the structures to look at: all over the data, and enough of every species."""
    chosen = set(_spread(len(structures), _STRUCTURES))
    members: dict[int, list[int]] = {}
    for index, atoms in enumerate(structures) if len(chosen) < len(structures) else ():
        for number in set(atoms.numbers.tolist()):
            members.setdefault(number, []).append(index)
    for places in members.values():
        chosen.update(places[k] for k in _spread(len(places), _OF_SPECIES))
    return sorted(chosen)


@functools.lru_cache(maxsize=256)
def _spread(n: int, most: int) -> tuple[int, ...]:
    """At most so many of n places, evenly."""
    return tuple(np.unique(np.linspace(0, n - 1, most).astype(int)).tolist())


def _quantile(values: ArrayLike, share: float) -> float:
    """The largest value that at most such a share of the others lie below."""
    # numpy.quantile takes ten times as long.
    ordered = np.sort(values)
    return float(ordered[int(share * (len(ordered) - 1))])


def _surroundings(atoms: Atoms, sample: Int32Array) -> tuple[float, FloatArray]:
    """Radius of the neighborhoods in a structure, infinite if it is sparse, and distances of the nearest
    neighbors, both judged by a sample of its atoms.
    """
    positions, cell = arrays_of(atoms)
    for reach in _SEARCHES:
        radii, n_inside, nearest = _core.enclosing_radii(positions, cell, atoms.pbc, sample, reach, _COUNT)
        sparse = n_inside < _FEWEST
        sparse |= radii > np.maximum(_WIDEST, _WIDEST_PER_NEAREST * nearest)
        sparse |= nearest > _ISOLATED
        radii[sparse] = np.inf
        # In a slab of three layers, one third of the atoms is not at a surface.
        radius = _quantile(radii, 1 / 3)
        if np.isfinite(radius):
            break
    return radius, nearest


def shortest_distance(structures: Sequence[Atoms], cutoff: float, first: int = 0) -> float:
    """Shortest distance between two atoms, at most the cutoff, in Angstrom."""
    shortest = cutoff
    for index, atoms in enumerate(structures):
        with errors_of(first + index, atoms):
            positions, cell = arrays_of(atoms)
            shortest = min(shortest, _core.shortest_distance(positions, cell, atoms.pbc, shortest))
    return shortest


def check_within_reach(structures: Sequence[Atoms], cutoff: float, first: int = 0) -> None:
    """Raise if the cutoff is too short for any pair of atoms, although some atoms are neighbors.

    Parameters
    ----------
    structures : list of ase.Atoms
        From `plip._structures._checks.check_structures`.
    cutoff : float
        Angstrom.
    first : int, default=0
        Place of the first structure in the data, for messages.

    Raises
    ------
    ValueError
        If so; the message names the shortest distance.
    """
    for index, atoms in enumerate(structures):
        with errors_of(first + index, atoms):
            if find_all_neighbors(atoms, cutoff).distance_p.size:
                return
    shortest = shortest_distance(structures, _ISOLATED, first)
    if cutoff <= shortest < _ISOLATED:
        raise ValueError(
            f"the cutoff of {cutoff:g} A is below the shortest distance of two atoms in the data, "
            f"{shortest:.4g} A, so that every term is zero: use a longer cutoff (lengths are in Angstrom)"
        )
