"""What descriptors take from the data: the cutoff and the shortest distance."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray

from plip._structures._checks import errors_of
from plip._structures._neighbors import find_all_neighbors
from plip._types import FloatArray

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
_STRUCTURES, _OF_SPECIES = 500, 100


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
    nearest: dict[str, list[float]] = {}
    for index in _places(structures):
        radius, symbols, distances = _surroundings(first + index, structures[index])
        radii.append(radius)
        for symbol, distance in zip(symbols, distances.tolist(), strict=True):
            if distance < _ISOLATED:
                nearest.setdefault(symbol, []).append(distance)
    dense = [radius for radius in radii if np.isfinite(radius)]
    cutoff = _quantile(dense, 1 / 4) if dense else _CUTOFF_OF_SPARSE
    # A decile, since the atoms of a gas seldom are as close as their shortest distance.
    least = [_LEAST_PER_NEAREST * _quantile(distances, 1 / 10) for distances in nearest.values()]
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
    return float(np.quantile(np.asarray(values, np.float64), share, method="lower"))


def _surroundings(index: int, atoms: Atoms) -> tuple[float, list[str], FloatArray]:
    """Radius of the neighborhoods in a structure, infinite if it is sparse; symbols and distances of the
    nearest neighbors of a sample of its atoms.
    """
    sample = np.array(_spread(len(atoms), _SAMPLE))
    for reach in _SEARCHES:
        with errors_of(index, atoms):
            near = find_all_neighbors(atoms, reach)
        first, last = near.first_as[sample], near.first_as[sample + 1]
        owner_p = np.repeat(np.arange(len(sample)), last - first)
        distance_p = np.concatenate(
            [near.distance_p[begin:end] for begin, end in zip(first.tolist(), last.tolist(), strict=True)]
        )
        nearest = np.full(len(sample), np.inf)
        np.minimum.at(nearest, owner_p, distance_p)
        radii = _radii(owner_p, distance_p, len(sample), reach)
        n_inside = 1 + np.bincount(owner_p, distance_p < radii[owner_p], minlength=len(sample))
        sparse = n_inside < _FEWEST
        sparse |= radii > np.maximum(_WIDEST, _WIDEST_PER_NEAREST * nearest)
        sparse |= nearest > _ISOLATED
        radii[sparse] = np.inf
        # In a slab of three layers, one third of the atoms is not at a surface.
        radius = _quantile(radii, 1 / 3)
        if np.isfinite(radius):
            break
    return radius, [chemical_symbols[number] for number in atoms.numbers[sample].tolist()], nearest


def _radii(owner_p: NDArray[np.intp], distance_p: FloatArray, n_atoms: int, reach: float) -> FloatArray:
    """Radius around each atom at which the cutoff function counts `_COUNT` atoms; infinite beyond `reach`.

    `distance_p` are the distances of the neighbors of all atoms, `owner_p` says of which one.
    """

    def counts(radii: FloatArray) -> NDArray[np.floating[Any]]:
        part = np.minimum(distance_p / radii[owner_p], 1.0)
        return 1.0 + np.bincount(owner_p, 0.5 + 0.5 * np.cos(np.pi * part), minlength=n_atoms)

    low, high = np.zeros(n_atoms), np.full(n_atoms, reach)
    at_low, at_high = np.ones(n_atoms), np.cbrt(counts(high))
    wanted = np.cbrt(_COUNT)
    enclosed = at_high >= wanted
    # The cube root of the number of atoms is nearly straight: false position ends within a thousandth.
    for _ in range(4):
        share = (wanted - at_low) / np.maximum(at_high - at_low, np.finfo(np.float64).tiny)
        middle = low + (high - low) * np.clip(share, 0.0, 1.0)
        found = np.cbrt(counts(middle))
        enough = found >= wanted
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        at_low, at_high = np.where(enough, at_low, found), np.where(enough, found, at_high)
    return np.where(enclosed, middle, np.inf)


def shortest_distance(structures: Sequence[Atoms], cutoff: float, first: int = 0) -> float:
    """Shortest distance between two atoms, at most the cutoff, in Angstrom."""
    shortest = cutoff
    for index, atoms in enumerate(structures):
        with errors_of(first + index, atoms):
            near = find_all_neighbors(atoms, shortest)
        if near.distance_p.size:
            shortest = float(near.distance_p.min())
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
