"""Crystals of the data that are compressed, whose energy should go on rising."""

from __future__ import annotations

from collections.abc import Iterable

import joblib
import numpy as np
from ase import Atoms

from plip._structures._checks import volumes_per_atom
from plip._structures._evaluation import take_atoms
from plip._workers import new_workers
from plip.potential import Potential
from plip.potential._prediction import evaluate_arrays

__all__ = ["MOST_ATOMS", "RESISTING", "STEADY", "Crystal", "choose_crystals", "weaker_crystals"]

# Compression of crystals: parts of the length; where one under tension is at rest at last; and parts of its
# steepest slope so far: the energy should go on rising with the first; with less than the second, it may fall
# between two lengths.
_LENGTHS = np.linspace(1.0, 0.58, 43)
_AT_REST = 0.95
STEADY, RESISTING = 0.9, 0.2
# Compositions of which crystals are compressed at most, and atoms of each. Of each composition, so many more
# crystals of few atoms, such as other structures than the stable one.
_MOST_COMPOSITIONS = 3
MOST_ATOMS = 70
_OTHERS, _FEW_ATOMS = 3, 8
# Structures with more room per atom than so many times that of the stable one are atoms, molecules or slabs
# in a box, and no crystals.
_MOST_ROOM = 2.0


class Crystal:
    """A crystal that is compressed uniformly.

    Parameters
    ----------
    atoms : ase.Atoms
    normal : float
        Volume per atom in Angstrom^3 of the stable crystal. Parts of the length refer to it; the first one is
        that of `atoms`, unless it is larger.
    """

    def __init__(self, atoms: Atoms, normal: float) -> None:
        self.atoms = atoms
        self._scale = (normal / float(volumes_per_atom([atoms])[0])) ** (1 / 3)
        lengths = _LENGTHS[self._scale * _LENGTHS < 1.0 + 1e-9]
        # Of data that are denser than all that is looked at, the end.
        self._lengths = lengths if len(lengths) > 2 else _LENGTHS[-2:]
        self._measured: tuple[Potential, float] | None = None

    def least_slope(self, potential: Potential) -> float:
        """Least slope of the energy under compression, as a part of the steepest so far."""
        if self._measured is None or self._measured[0] is not potential:
            self._measured = potential, self._measure(potential)
        return self._measured[1]

    def _measure(self, potential: Potential) -> float:
        species, positions, cell = take_atoms(potential.species, self.atoms)
        energies = []
        for length in self._scale * self._lengths:
            arrays = species, length * positions, length * cell
            results = evaluate_arrays(potential, self.atoms, arrays, forces=False, stress=False)
            energies.append(results["energies"].mean())
        slopes = np.diff(energies) / -np.diff(self._lengths)
        # Crystals under tension may fall at first.
        under_load = self._lengths[1:] < _AT_REST * self._lengths[0]
        slopes = slopes[under_load | (np.maximum.accumulate(slopes) > 0.0)]
        return float((slopes / np.maximum(np.maximum.accumulate(slopes), 1e-9)).min(initial=1.0))


def choose_crystals(kinds: Iterable[list[tuple[float, Atoms]]]) -> list[Crystal]:
    """Crystals to compress: of lists of one composition each, with energies per atom, the longest."""
    frequent = sorted(kinds, key=len, reverse=True)[:_MOST_COMPOSITIONS]
    return [crystal for alike in frequent for crystal in _crystals_of(alike)]


def _crystals_of(alike: list[tuple[float, Atoms]]) -> list[Crystal]:
    """Of structures of one composition, with their energies per atom, those to compress."""
    rooms = volumes_per_atom([atoms for _, atoms in alike])
    stable = min(range(len(alike)), key=lambda k: alike[k][0])
    normal = float(rooms[stable])
    chosen = [alike[stable][1], alike[int(np.argmin(rooms))][1]]
    least: dict[int, tuple[float, Atoms]] = {}
    for (energy, atoms), room in zip(alike, rooms, strict=True):
        size = len(atoms)
        is_small = size <= _FEW_ATOMS and room <= _MOST_ROOM * normal
        if is_small and (size not in least or energy < least[size][0]):
            least[size] = energy, atoms
    chosen += [least[size][1] for size in sorted(least)[:_OTHERS]]
    return [Crystal(atoms, normal) for atoms in {id(atoms): atoms for atoms in chosen}.values()]


def weaker_crystals(
    crystals: list[Crystal], potential: Potential, slope: float, n_jobs: int | None
) -> list[Crystal]:
    """The crystals whose least slope is below this one."""
    jobs = (joblib.delayed(crystal.least_slope)(potential) for crystal in crystals)
    slopes: list[float] = new_workers(n_jobs, is_local=True)(jobs)
    return [crystal for crystal, least in zip(crystals, slopes, strict=True) if least < slope]
