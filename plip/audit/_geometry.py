"""Structures that cannot be meant: atoms too close, lengths in bohr, numbers for species, missing cells."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.units import Bohr

from plip._structures._checks import has_full_cell
from plip._structures._composition import formula_key, rows_of_compositions, species_of
from plip._structures._neighbors import find_all_neighbors
from plip._types import FloatArray
from plip.audit._report import Finding
from plip.labels import LabelledStructures
from plip.labels._attached import has_attached
from plip.labels._closeness import closest_shares, find_close_pairs

__all__ = ["Closest", "find_close_atoms", "find_length_units", "find_missing_cells", "find_types"]

# Neighbors in elements have 0.73 to 1.24 of the sum of their covalent radii, save for noble gases. Where
# lengths are in bohr, the shortest distance of most structures is beyond _APART. Curves of dimers reach below
# _BOND, too; in bohr only the closest pairs of hot liquids do.
_BOND, _BONDED, _APART = 1.1, 1.25, 1.35
# In nm, the shortest distance is below this.
_CROWDED = 0.25
# Structures of one composition whose bonds tell how long those of the others are, to this part.
_FEWEST_BONDED = 3
_CLOSE_BY = 0.15
# eV/atom. Of bonds that are twice as long, less than in any metal.
_PRICE = 0.25
_NOBLE = ("He", "Ne", "Ar", "Kr", "Xe", "Rn")
# Data with more species may be of all elements.
_MOST_TYPES = 10
# Distances across the border of a cell are normal if they are this part of the shortest distance inside.
_FITS = 0.85
# Structures without periodicity are as many as this share of periodic ones of the same formula, or they
# are meant.
_MINORITY = 0.25
# Atoms in a cube of the shortest distance, without vacuum: hot diamond 0.55, fcc 1.4.
_DENSE = 0.5


class Closest:
    """The smallest distance in each structure, as a share of the sum of the covalent radii.

    Parameters
    ----------
    structures : sequence of ase.Atoms

    Attributes
    ----------
    shares : (n,) ndarray of float64
        Exact up to 1.35; beyond, up to 2.36, if any two atoms are so near; infinite elsewhere.
    """

    def __init__(self, structures: Sequence[Atoms]) -> None:
        self.shares = closest_shares(structures, _APART)
        # Few structures are so sparse, whose neighbors take a longer search.
        sparse = np.flatnonzero(self.shares >= _APART)
        self.shares[sparse] = closest_shares([structures[k] for k in sparse.tolist()], _BONDED / Bohr)

    def usual(self) -> float:
        """Their median; infinite if atoms are far from each other, 0 if any are bonded."""
        return 0.0 if self.shares.min() < _BOND else float(np.median(self.shares))


def find_close_atoms(data: LabelledStructures, closest: Closest) -> list[Finding]:
    """Atoms closer than any bond, whose forces do not know of it."""
    close = find_close_pairs(data, closest.shares)
    if not close:
        return []
    worst = min(close.values(), key=lambda pair: pair.share)
    return [
        Finding(
            "close atoms",
            tuple(close),
            f"atoms closer than bonds are; the closest are {worst}",
            "Correct positions or cell, or leave the structures out",
        )
    ]


def find_length_units(data: LabelledStructures, closest: Closest) -> list[Finding]:
    """Structures whose nearest atoms are as close as bonds are if their lengths are read in bohr or nm."""
    if not set(_NOBLE).isdisjoint(species_of(data.structures)):
        return []
    usual, median = closest.usual(), float(np.median(closest.shares))
    everyone = tuple(range(len(data)))
    if _APART < usual < _BONDED / Bohr:
        return [_length_unit(everyone, usual, "bohr", Bohr)]
    if 0.0 < median < _CROWDED < 10.0 * median < _APART:
        return [_length_unit(everyone, median, "nm", 10.0)]
    some = _apart_without_price(data, closest.shares)
    if not some:
        return []
    return [_length_unit(tuple(some), float(np.median(closest.shares[some])), "bohr", Bohr)]


def _length_unit(members: tuple[int, ...], usual: float, unit: str, factor: float) -> Finding:
    evidence = (
        f"the nearest atoms of a structure are usually {usual:.2f} of the sum of their covalent radii apart, "
        f"but {factor * usual:.2f} if lengths are in {unit}, as in bonds"
    )
    remedy = f"Multiply positions and cells by {factor:.6g}, unless such distances are meant"
    return Finding("length unit", members, evidence, remedy)


def _apart_without_price(data: LabelledStructures, shares: FloatArray) -> list[int]:
    """Structures that lack bonds which others of their composition have, but not the energy of these bonds.

    Read in bohr, they have bonds like those of the others.
    """
    energy = data.labels.energy
    is_apart = (shares > _APART) & (shares < _BONDED / Bohr)
    if energy is None or not is_apart.any():
        return []
    alike = rows_of_compositions(data.structures)
    per_atom = energy / data.n_atoms
    found = []
    for rows in alike:
        members = rows[np.isfinite(per_atom[rows])]
        bonded = members[shares[members] < _APART]
        # Of more, either may be the mistaken ones.
        if len(bonded) < max(_FEWEST_BONDED, is_apart[members].sum()):
            continue
        # Atoms that are twice as far apart lose most of their cohesion, an eV or more.
        bound = np.quantile(per_atom[bonded], 0.75) + _PRICE
        has_bonds = np.abs(Bohr * shares[members] / np.median(shares[bonded]) - 1.0) < _CLOSE_BY
        found += members[is_apart[members] & has_bonds & (per_atom[members] <= bound)].tolist()
    return sorted(found)


def find_types(data: LabelledStructures, closest: Closest) -> list[Finding]:
    """Structures whose species are H, He, Li, ...: ASE takes atom types of LAMMPS for atomic numbers."""
    n = len(species_of(data.structures))
    first = chemical_symbols[1 : n + 1]
    if n > _MOST_TYPES or set(first) != set(species_of(data.structures)):
        return []
    # Hydrogen is bonded, and hydrogen with helium, too; three to ten of these are in no data together.
    are_alone = np.median([len(atoms) for atoms in data.structures]) < 2
    if n < 3 and (are_alone or closest.usual() < _APART):
        return []
    types = "type 1" if n == 1 else f"types 1 to {n}"
    evidence = f"the species are {', '.join(first)}, as ASE reads atom {types} of LAMMPS"
    remedy = "Set the right ones (atoms.symbols) and write the structures again, unless these are meant"
    return [Finding("species", tuple(range(len(data))), evidence, remedy)]


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
        if has_attached(atoms, "stress"):
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
