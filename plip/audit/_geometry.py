"""Structures that cannot be meant: atoms too close, lengths in bohr, numbers for species, missing cells."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols, covalent_radii
from ase.units import Bohr

from plip._core import closest_of_each
from plip._structures._balance import BALANCED, imbalances
from plip._structures._checks import has_full_cell
from plip._structures._composition import formula_key, species_of
from plip._structures._evaluation import gather
from plip._structures._neighbors import find_all_neighbors
from plip._types import FloatArray
from plip.audit._report import Finding
from plip.labels import LabelledStructures
from plip.labels._attached import results_of

__all__ = ["find_close_atoms", "find_lengths_in_bohr", "find_missing_cells", "find_types"]

# Shares of the sum of the covalent radii. No pair of atoms in matter comes within the first, bonds are longer
# than the second (N2 has 0.77, liquid molybdenum 0.67), and without forces nothing tells below the third.
_IMPOSSIBLE, _SHORT, _VERY_SHORT = 0.25, 0.6, 0.5
# eV/A. Atoms within _SHORT repel each other by more, if their labels were computed for these positions.
_REPULSION = 5.0
# Neighbors in elements have 0.73 to 1.24 of the sum of their covalent radii, save for noble gases. Where
# lengths are in bohr, the shortest distance of most structures is beyond _APART. Curves of dimers reach below
# _BOND, too; in bohr only the closest pairs of hot liquids do.
_BOND, _BONDED, _APART = 1.1, 1.25, 1.35
_NOBLE = ("He", "Ne", "Ar", "Kr", "Xe", "Rn")
# Data with more species may be of all elements.
_MOST_TYPES = 10
# Distances across the border of a cell are normal if they are this part of the shortest distance inside.
_FITS = 0.85
# Structures without periodicity are as many as this share of periodic ones of the same formula, or they
# are meant.
_MINORITY = 0.25
# Structures whose distances are looked at in one call.
_AT_A_TIME = 500
# Atoms in a cube of the shortest distance, without vacuum: hot diamond 0.55, fcc 1.4.
_DENSE = 0.5


def find_close_atoms(data: LabelledStructures) -> list[Finding]:
    """Atoms closer than any bond, whose forces do not know of it."""
    found = {k: _close_pair(data.structures[k], _forces(data, k)) for k in _with_short_distances(data)}
    close = {k: pair for k, pair in found.items() if pair is not None}
    if not close:
        return []
    ratio, i, j, distance, push = min(close.values(), key=lambda pair: pair[0])
    known = "" if push is None else f", and their forces push them apart by {push:.1f} eV/A only"
    return [
        Finding(
            "close atoms",
            tuple(close),
            f"atoms closer than bonds are; the closest are atoms {i} and {j}, {distance:.2f} A apart, "
            f"{ratio:.2f} "
            f"of the sum of their covalent radii{known}",
            "Correct positions or cell, or leave the structures out",
        )
    ]


def _with_short_distances(data: LabelledStructures) -> list[int]:
    """Places of the structures that have a distance below _SHORT."""
    closest = np.concatenate(list(_shortest(data, _SHORT)))
    return np.flatnonzero(closest < _SHORT * (1.0 + 1e-9)).tolist()


def _shortest(data: LabelledStructures, share: float) -> Iterator[FloatArray]:
    """Smallest distances of structures by covalent radii, part by part; infinite if not below a share."""
    species = species_of(data.structures)
    radii = covalent_radii[[atomic_numbers[symbol] for symbol in species]]
    # Of the largest atoms.
    reach = 2 * share * float(radii.max())
    for first in range(0, len(data), _AT_A_TIME):
        yield closest_of_each(*gather(species, data.structures[first : first + _AT_A_TIME]), radii, reach)


def find_lengths_in_bohr(data: LabelledStructures) -> list[Finding]:
    """Structures of which no two atoms are as close as bonds are, until their lengths are read in bohr."""
    if not set(_NOBLE).isdisjoint(species_of(data.structures)):
        return []
    usual = _usual_distance(data)
    if not _APART < usual < _BONDED / Bohr:
        return []
    evidence = (
        f"the nearest atoms of a structure are usually {usual:.2f} of the sum of their covalent radii apart, "
        f"but {Bohr * usual:.2f} if lengths are in bohr, as in bonds"
    )
    remedy = f"Multiply positions and cells by {Bohr:.6g}, unless such distances are meant"
    return [Finding("length unit", tuple(range(len(data))), evidence, remedy)]


def _usual_distance(data: LabelledStructures) -> float:
    """Median of the smallest distances; infinite if atoms are far from each other, 0 if any are bonded."""
    parts = []
    for part in _shortest(data, _BONDED / Bohr):
        if part.min() < _BOND:
            return 0.0
        parts.append(part)
    return float(np.median(np.concatenate(parts)))


def find_types(data: LabelledStructures) -> list[Finding]:
    """Structures whose species are H, He, Li, ...: ASE takes atom types of LAMMPS for atomic numbers."""
    n = len(species_of(data.structures))
    first = chemical_symbols[1 : n + 1]
    if n > _MOST_TYPES or set(first) != set(species_of(data.structures)):
        return []
    # Hydrogen is bonded, and hydrogen with helium, too; three to ten of these are in no data together.
    are_alone = np.median([len(atoms) for atoms in data.structures]) < 2
    if n < 3 and (are_alone or _usual_distance(data) < _APART):
        return []
    types = "type 1" if n == 1 else f"types 1 to {n}"
    evidence = f"the species are {', '.join(first)}, as ASE reads atom {types} of LAMMPS"
    remedy = "Set the right ones (atoms.symbols) and write the structures again, unless these are meant"
    return [Finding("species", tuple(range(len(data))), evidence, remedy)]


def _forces(data: LabelledStructures, k: int) -> FloatArray | None:
    return None if data.labels.forces is None else data.labels.forces[k]


def _close_pair(
    atoms: Atoms, forces: FloatArray | None
) -> tuple[float, int, int, float, float | None] | None:
    """Share of the covalent radii, atoms, distance and repulsion of the worst pair that cannot be meant."""
    radii = covalent_radii[atoms.numbers]
    near = find_all_neighbors(atoms, 2 * _SHORT * float(radii.max()))
    i = near.centers(1)
    j = near.neighbor_p
    ratio = near.distance_p / (radii[i] + radii[j])
    if not len(ratio) or ratio.min() >= _SHORT:
        return None
    # In a compressed crystal neighbors on all sides balance each other.
    is_free = imbalances(atoms) > BALANCED
    for p in np.argsort(ratio, kind="stable"):
        if ratio[p] >= _SHORT:
            return None
        if not (is_free[i[p]] or is_free[j[p]]):
            continue
        push = None
        if forces is not None:
            push = float((forces[j[p]] - forces[i[p]]) @ near.vector_pc[p] / (2 * near.distance_p[p]))
        limit = _VERY_SHORT if push is None else _SHORT
        if ratio[p] < _IMPOSSIBLE or (ratio[p] < limit and (push is None or push < _REPULSION)):
            return float(ratio[p]), int(i[p]), int(j[p]), float(near.distance_p[p]), push
    return None


def find_missing_cells(data: LabelledStructures) -> list[Finding]:
    """Structures that have lost their cell or their periodicity."""
    if all(atoms.pbc.any() for atoms in data.structures):
        return []
    partners = _periodic_cells(data.structures)
    with_stress, fits_other = [], []
    formulas = [formula_key(atoms) for atoms in data.structures]
    free = Counter(
        formula for formula, atoms in zip(formulas, data.structures, strict=True) if not atoms.pbc.any()
    )
    periodic = Counter(
        formula for formula, atoms in zip(formulas, data.structures, strict=True) if atoms.pbc.all()
    )
    for k, atoms in enumerate(data.structures):
        if atoms.pbc.any():
            continue
        stress = results_of(atoms).get("stress")
        if stress is not None and np.any(stress):
            with_stress.append(k)
        elif free[formulas[k]] <= _MINORITY * periodic[formulas[k]] and _fits_a_cell(
            atoms, partners[formulas[k]]
        ):
            fits_other.append(k)
    findings = []
    remedy = "Set cell and pbc (atoms.cell, atoms.pbc; Lattice= and pbc= in extended XYZ)"
    if with_stress:
        evidence = "not periodic, but with a stress, which only a periodic cell has"
        findings.append(Finding("missing cell", tuple(with_stress), evidence, remedy))
    if fits_other:
        evidence = (
            "not periodic, but the atoms fill the cell of periodic structures of the same formula: across "
            "its "
            f"borders they are no closer than {_FITS} of the shortest distance inside, and leave no gap"
        )
        findings.append(Finding("missing cell", tuple(fits_other), evidence, remedy))
    return findings


def _periodic_cells(structures: Sequence[Atoms]) -> dict[bytes, list[FloatArray]]:
    """Up to a few cells of periodic structures by formula."""
    found: dict[bytes, list[FloatArray]] = defaultdict(list)
    counts: Counter[bytes] = Counter()
    for atoms in structures:
        if atoms.pbc.all():
            formula = formula_key(atoms)
            counts[formula] += 1
            # Powers of two: cells from all over the data.
            if counts[formula].bit_count() == 1:
                found[formula].append(atoms.cell.array)
    return found


def _fits_a_cell(atoms: Atoms, cells: Sequence[FloatArray]) -> bool:
    """Whether atoms without periodicity fill their own cell or one of others, and do not overlap there."""
    if len(atoms) < 2:
        return False
    own = [atoms.cell.array] if has_full_cell(atoms) else []
    shortest = _nearest(atoms)
    for cell in [*own, *cells]:
        periodic = Atoms(atoms.numbers, atoms.positions, cell=cell, pbc=True)
        inside, nearest = _nearest(periodic), shortest
        density = len(atoms) / periodic.get_volume()
        # A vacuum makes the cell much larger than the atoms need.
        if inside.min() >= _FITS * nearest.min() and density * np.median(inside) ** 3 > _DENSE:
            return True
    return False


def _nearest(atoms: Atoms) -> FloatArray:
    """Distance of every atom to its nearest neighbor in A, 6 at most."""
    near = find_all_neighbors(atoms, 6.0)
    nearest = np.full(len(atoms), 6.0)
    np.minimum.at(nearest, near.centers(1), near.distance_p)
    return nearest
