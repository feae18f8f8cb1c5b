"""What the evaluation core takes of a structure: checked atoms and cell, pairs of neighbors."""

import functools
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from ase import Atoms
from ase.cell import Cell
from ase.data import atomic_numbers
from numpy.typing import ArrayLike, NDArray

from plip._core import NeighborList
from plip._structures._checks import LARGEST_LENGTH, has_full_cell
from plip._types import BoolArray, FloatArray, Int32Array, IntArray

__all__ = [
    "Gathered",
    "check_atoms",
    "check_cell",
    "check_positions",
    "check_species",
    "find_pairs",
    "gather",
    "take_atoms",
]

Number = TypeVar("Number", bound=np.generic)

_LARGEST_NUMBER = max(atomic_numbers.values())


def check_atoms(known: Sequence[str], atoms: Atoms) -> tuple[Int32Array, FloatArray, FloatArray]:
    """Arrays of a structure as the core takes them.

    Parameters
    ----------
    known : sequence of str
        Chemical symbols that the potential knows.
    atoms : ase.Atoms

    Returns
    -------
    species : ndarray of int32, shape (n,)
        Position of each atom's species among `known`.
    positions : ndarray of float64, shape (n, 3)
        Angstrom.
    cell : ndarray of float64, shape (3, 3)
        Angstrom; unit vectors stand for missing ones.

    Raises
    ------
    TypeError, ValueError
        See `Potential.evaluate`.
    """
    species = check_species(known, atoms)
    positions = check_positions(atoms)
    return species, positions, check_cell(atoms.cell, atoms.pbc)


def check_species(known: Sequence[str], atoms: Atoms) -> Int32Array:
    """The species of `check_atoms`."""
    if not hasattr(atoms, "get_atomic_numbers"):
        raise TypeError(
            f"expected one ase.Atoms, got {type(atoms).__name__}: evaluate structures one by one, or use "
            "predict"
        )
    numbers_a = atoms.get_atomic_numbers()
    inside = (numbers_a >= 0) & (numbers_a <= _LARGEST_NUMBER)
    species = _places(tuple(known))[np.where(inside, numbers_a, 0)]
    species[~inside] = -1
    if (species < 0).any():
        symbol = atoms.get_chemical_symbols()[int(np.argmax(species < 0))] if inside.all() else "unknown"
        raise ValueError(
            f"the structure has {symbol}, which this potential does not know; its species are "
            f"{', '.join(known)}"
        )
    return species


def check_positions(atoms: Atoms) -> FloatArray:
    """The positions of `check_atoms`."""
    positions = np.ascontiguousarray(atoms.positions, dtype=np.float64)
    # The comparison is False for NaN.
    if not (np.abs(positions) <= LARGEST_LENGTH).all():
        raise ValueError(
            f"the structure has positions that are NaN, infinite or beyond {LARGEST_LENGTH:g} Angstrom"
        )
    return positions


def take_atoms(known: Sequence[str], atoms: Atoms) -> tuple[Int32Array, FloatArray, FloatArray]:
    """As `check_atoms`, of a structure that `check_structures` has checked for these species."""
    positions = np.ascontiguousarray(atoms.positions, dtype=np.float64)
    if has_full_cell(atoms):
        cell = np.array(atoms.cell.array, np.float64, order="C")
    else:
        complete, has_volume = _complete(atoms.cell)
        cell = complete if has_volume else np.eye(3)
    return _places(tuple(known))[atoms.numbers], positions, cell


class Gathered(NamedTuple):
    """Several structures as `evaluate_each` takes them, from `gather`."""

    positions: FloatArray
    cells: FloatArray
    periodic: Int32Array
    species: Int32Array
    borders: IntArray

    def split(self, values: NDArray[Number]) -> list[NDArray[Number]]:
        """Values of all atoms, (n, ...), as those of each structure."""
        return np.split(values, self.borders[1:-1])


def gather(known: Sequence[str], structures: Sequence[Atoms]) -> Gathered:
    """Arrays of at least one structure, checked as for `take_atoms`."""
    species, positions, cells = zip(*(take_atoms(known, atoms) for atoms in structures), strict=True)
    return Gathered(
        np.concatenate(positions),
        np.array(cells),
        np.array([atoms.pbc for atoms in structures], np.int32),
        np.concatenate(species),
        np.cumsum([0, *map(len, positions)]),
    )


@functools.lru_cache(maxsize=8)
def _places(known: tuple[str, ...]) -> Int32Array:
    """Place among the known species by atomic number, -1 where there is none."""
    places = np.full(_LARGEST_NUMBER + 1, -1, np.int32)
    places[[atomic_numbers[symbol] for symbol in known]] = np.arange(len(known))
    return places


def _complete(cell: Cell) -> tuple[FloatArray, bool]:
    """The cell with unit vectors for missing ones, and whether it has a volume."""
    full = np.ascontiguousarray(cell.complete().array)
    lengths = np.linalg.norm(full, axis=1)
    # 1e-12 of the volume of a cuboid is rounding: the vectors are coplanar.
    return full, bool(abs(np.linalg.det(full)) > 1e-12 * lengths.prod())


def check_cell(cell: Cell, pbc: BoolArray) -> FloatArray:
    """Check lengths and volume, and return the completed cell; see `check_atoms`."""
    # The comparison is False for NaN.
    if not (np.abs(cell.array) <= LARGEST_LENGTH).all():
        raise ValueError(
            f"the structure has a cell that is NaN, infinite or beyond {LARGEST_LENGTH:g} Angstrom"
        )
    missing = np.asarray(pbc) & ~cell.array.any(axis=1)
    if missing.any():
        raise ValueError(
            f"the structure is periodic along cell vector {'abc'[int(missing.argmax())]}, which is zero: "
            "give the cell, or set pbc to False"
        )
    full, has_volume = _complete(cell)
    if np.any(pbc) and not has_volume:
        raise ValueError("the structure has a cell without volume: correct the cell, or set pbc to False")
    return full if has_volume else np.eye(3)


def find_pairs(positions: FloatArray, cell: FloatArray, pbc: ArrayLike, cutoff: float) -> NeighborList:
    """Neighbor list of the core."""
    return NeighborList(positions, cell, np.asarray(pbc, dtype=np.int32), cutoff)
