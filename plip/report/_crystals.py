"""Crystals found in data, and their properties by a potential, which need no further reference data."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.filters import UnitCellFilter
from ase.optimize import BFGS
from ase.phonons import Phonons

from plip._structures._layers import have_vacuum
from plip._types import FloatArray
from plip.labels._attached import attached_energy
from plip.potential import Potential

__all__ = ["Bands", "Crystal", "find_crystals"]

# Crystals that are studied, structures that are relaxed to find them, atoms of these, steps of a relaxation.
_MOST_CRYSTALS = 3
_MOST_TRIED = 8
_MOST_ATOMS = 130
_MOST_STEPS = 150
# A primitive cell of more atoms is no simple crystal but a surface, a defect or a glass.
_MOST_IN_CELL = 12
# eV/Angstrom, Angstrom: when a structure is relaxed, and when two atoms are at one place.
_FORCE, _SAME_PLACE = 2e-3, 0.08
# Crystals of one composition are alike within these, eV/atom and Angstrom^3/atom.
_ALIKE = (2e-3, 0.1)
# A relaxed crystal whose volume has changed by more has become something else.
_CHANGED = 1.6
_STRAIN = 4e-3
# Forces of many-body terms reach two cutoffs, and no atom may see two images of another: the height of the
# supercell over the cutoff, as long as it has no more atoms than this.
_HEIGHT, _MOST_IN_SUPERCELL = 4.0, 1000
_POINTS = 80
# meV: softer modes are rounding at the zone center.
_SOFT = 0.3
# Part of the largest elastic constant within which the form of a cubic crystal holds.
_CUBIC = 0.03


@dataclass(frozen=True, eq=False)
class Bands:
    """Phonon bands along a path.

    Attributes
    ----------
    x : ndarray of float64, shape (n,)
        Position on the path.
    frequencies : ndarray of float64, shape (n, n_modes)
        THz; imaginary ones are negative.
    ticks : list of (float, str)
        Special points.
    """

    x: FloatArray
    frequencies: FloatArray
    ticks: list[tuple[float, str]]

    @property
    def is_stable(self) -> bool:
        """Whether no mode is imaginary."""
        return bool(self.frequencies.min() > -_SOFT * 1e-3 / units._hplanck * units._e * 1e-12)


@dataclass(frozen=True, eq=False)
class Crystal:
    """A relaxed crystal.

    Attributes
    ----------
    atoms : ase.Atoms
        Primitive cell.
    group : str
        Group of the structure that it comes from, or "".
    lattice : dict of str to float
        Lengths in Angstrom and angles in degrees of the Bravais lattice.
    bravais : str
        Name of the Bravais lattice, such as "FCC".
    energy : float
        eV/atom, less reference energies.
    volume : float
        Angstrom^3/atom.
    elastic : ndarray of float64, shape (6, 6)
        Elastic constants in GPa, Voigt order, in the axes of the data.
    bands : Bands or None
        None if the supercell would be too large.
    """

    atoms: Atoms
    group: str
    lattice: dict[str, float]
    bravais: str
    energy: float
    volume: float
    elastic: FloatArray
    bands: Bands | None

    @property
    def name(self) -> str:
        """Composition and lattice."""
        formula = self.atoms.get_chemical_formula(empirical=True)
        atoms = "1 atom" if len(self.atoms) == 1 else f"{len(self.atoms)} atoms"
        return f"{formula}, {self.bravais}, {atoms} in the cell"

    @property
    def moduli(self) -> tuple[float, float]:
        """Bulk and shear modulus in GPa: means of Voigt's and Reuss's (R. Hill, Proc. Phys. Soc. A 65, 349
        (1952)); NaN for a crystal that is unstable under strain.
        """
        if not self.is_elastic:
            return math.nan, math.nan
        c, s = self.elastic, np.linalg.inv(self.elastic)
        found = []
        for matrix in (c, s):
            along, across, shear = (
                np.trace(matrix[:3, :3]),
                matrix[[0, 0, 1], [1, 2, 2]].sum(),
                np.trace(matrix[3:, 3:]),
            )
            found.append((along, across, shear))
        (a, b, k), (sa, sb, sk) = found
        bulk = 0.5 * ((a + 2 * b) / 9 + 1 / (sa + 2 * sb))
        shear = 0.5 * ((a - b + 3 * k) / 15 + 15 / (4 * sa - 4 * sb + 3 * sk))
        return float(bulk), float(shear)

    @property
    def is_elastic(self) -> bool:
        """Whether the energy rises under every small strain."""
        return bool(np.linalg.eigvalsh(self.elastic).min() > 0)

    @property
    def cubic(self) -> tuple[float, float, float] | None:
        """C11, C12 and C44 in GPa if the constants have the form of a cubic crystal along its axes."""
        c = self.elastic
        c11, c12, c44 = np.trace(c[:3, :3]) / 3, c[[0, 0, 1], [1, 2, 2]].mean(), np.trace(c[3:, 3:]) / 3
        form = np.zeros((6, 6))
        form[:3, :3] = c12
        np.fill_diagonal(form, [c11] * 3 + [c44] * 3)
        is_cubic = np.abs(c - form).max() <= _CUBIC * np.abs(c).max()
        return (float(c11), float(c12), float(c44)) if is_cubic else None


def find_crystals(
    potential: Potential, structures: Sequence[Atoms], groups: Sequence[str] | None = None
) -> list[Crystal]:
    """Simple crystals that structures relax to, those of the most frequent compositions first.

    Parameters
    ----------
    potential : Potential
    structures : sequence of n ase.Atoms
    groups : sequence of n str, or None
        Of each group and composition, the structure of lowest energy is relaxed.

    Returns
    -------
    list of Crystal
        At most three. What does not become a crystal with a small cell, such as surfaces and melts, is left
        out.
    """
    found: list[Crystal] = []
    # Nothing holds atoms together without terms, and any structure is at rest.
    candidates = _candidates(potential, structures, groups)[:_MOST_TRIED] if potential.terms else []
    for atoms, group in candidates:
        if len(found) == _MOST_CRYSTALS:
            break
        relaxed = _relaxed(potential, atoms)
        cell = None if relaxed is None or have_vacuum([relaxed])[0] else _primitive(relaxed)
        cell = None if cell is None or len(cell) > _MOST_IN_CELL else _relaxed(potential, cell)
        if cell is None:
            continue
        reference = sum(potential.intercept[symbol] for symbol in cell.symbols)
        energy, volume = (potential.energy(cell) - reference) / len(cell), cell.get_volume() / len(cell)
        if not any(_is_alike(other, cell, energy, volume) for other in found):
            found.append(_study(potential, cell, group, energy, volume))
    return found


def _candidates(
    potential: Potential, structures: Sequence[Atoms], groups: Sequence[str] | None
) -> list[tuple[Atoms, str]]:
    names = [""] * len(structures) if groups is None else [str(group) for group in groups]
    best: dict[tuple[str, str], tuple[float, Atoms]] = {}
    frequency: Counter[str] = Counter()
    for atoms, group in zip(structures, names, strict=True):
        if not atoms.pbc.all() or not 0 < len(atoms) <= _MOST_ATOMS:
            continue
        formula = atoms.get_chemical_formula(empirical=True)
        frequency[formula] += 1
        energy = attached_energy(atoms) / len(atoms)
        energy = energy if math.isfinite(energy) else math.inf
        if (formula, group) not in best or energy < best[formula, group][0]:
            best[formula, group] = energy, atoms
    # Each composition has a share of the places, by how frequent it is; its ground state comes first.
    ranked = sorted(best.items(), key=lambda item: (item[0][0], item[1][0]))
    taken: Counter[str] = Counter()
    shares = []
    for (formula, group), (_, atoms) in ranked:
        taken[formula] += 1
        shares.append((taken[formula] / frequency[formula], atoms, group))
    return [(atoms, group) for _, atoms, group in sorted(shares, key=lambda item: item[0])]


def _relaxed(potential: Potential, atoms: Atoms) -> Atoms | None:
    """The structure with positions and cell relaxed, None if it does not come to rest as it is."""
    made = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    made.calc = potential.calculator()
    volume = made.get_volume()
    try:
        is_relaxed = BFGS(UnitCellFilter(made), logfile=None, maxstep=0.1).run(  # type: ignore[arg-type]
            fmax=_FORCE, steps=_MOST_STEPS
        )
    except (ValueError, np.linalg.LinAlgError):  # atoms that fuse, cells that collapse
        return None
    ratio = made.get_volume() / volume
    return made if is_relaxed and 1 / _CHANGED < ratio < _CHANGED else None


def _heights(atoms: Atoms) -> FloatArray:
    """Distances between opposite faces of the cell in Angstrom."""
    faces = np.linalg.norm(np.cross(atoms.cell[[1, 2, 0]], atoms.cell[[2, 0, 1]]), axis=1)
    return atoms.get_volume() / faces


def _primitive(atoms: Atoms) -> Atoms | None:
    """The primitive cell, in the axes of the structure, from all translations that leave it as it is."""
    fractions, cell = atoms.get_scaled_positions(), atoms.cell.array
    numbers = atoms.numbers
    rarest = min(set(numbers.tolist()), key=lambda number: int((numbers == number).sum()))
    first, *others = np.flatnonzero(numbers == rarest)
    shifts = [np.zeros(3)]
    shifts += [shift for j in others if _is_translation(atoms, shift := fractions[j] - fractions[first])]
    images = np.array(list(np.ndindex(3, 3, 3))) - 1
    vectors = np.concatenate([(shift - shift.round() + images) @ cell for shift in shifts])
    lengths = np.linalg.norm(vectors, axis=1)
    vectors = vectors[np.argsort(lengths, kind="stable")]
    vectors = vectors[np.linalg.norm(vectors, axis=1) > _SAME_PLACE]
    volume = abs(np.linalg.det(cell)) / len(shifts)
    chosen = _basis(vectors, volume)
    if chosen is None:
        return None
    inside = np.linalg.solve(chosen.T, atoms.positions.T).T
    kept: list[int] = []
    for i in range(len(atoms)):
        offsets = inside[i] - inside[kept]
        offsets -= offsets.round()
        if not kept or np.linalg.norm(offsets @ chosen, axis=1).min() > 2 * _SAME_PLACE:
            kept.append(i)
    if len(kept) * len(shifts) != len(atoms):
        return None
    return Atoms(numbers[kept], atoms.positions[kept], cell=chosen, pbc=True)


def _is_translation(atoms: Atoms, shift: FloatArray) -> bool:
    """Whether a shift in fractions of the cell maps every atom onto one of its species."""
    fractions = atoms.get_scaled_positions()
    offsets = (fractions + shift)[:, None] - fractions
    offsets -= offsets.round()
    distances = np.linalg.norm(offsets @ atoms.cell.array, axis=2)
    is_same = (distances < _SAME_PLACE) & (atoms.numbers[:, None] == atoms.numbers)
    return bool(is_same.any(axis=1).all())


def _basis(vectors: FloatArray, volume: float) -> FloatArray | None:
    """Short vectors that span a cell of this volume, right-handed."""
    first = vectors[0]
    crosses = np.linalg.norm(np.cross(first, vectors), axis=1)
    flat = 1e-2 * np.linalg.norm(first) * np.linalg.norm(vectors, axis=1)
    for second in vectors[crosses > flat]:
        determinants = vectors @ np.cross(first, second)
        thirds = np.flatnonzero(np.abs(np.abs(determinants) - volume) < 0.05 * volume)
        if thirds.size:
            third = vectors[thirds[0]]
            return np.array([first, second, third if determinants[thirds[0]] > 0 else -third])
    return None


def _is_alike(crystal: Crystal, atoms: Atoms, energy: float, volume: float) -> bool:
    formulas = {
        crystal.atoms.get_chemical_formula(empirical=True),
        atoms.get_chemical_formula(empirical=True),
    }
    differences = abs(crystal.energy - energy), abs(crystal.volume - volume)
    return len(formulas) == 1 and all(d < most for d, most in zip(differences, _ALIKE, strict=True))


def _study(potential: Potential, atoms: Atoms, group: str, energy: float, volume: float) -> Crystal:
    lattice = atoms.cell.get_bravais_lattice(eps=2e-2)
    return Crystal(
        atoms,
        group,
        {name: float(value) for name, value in lattice.vars().items()},
        lattice.name,
        energy,
        volume,
        _elastic_constants(potential, atoms),
        _bands(potential, atoms),
    )


def _elastic_constants(potential: Potential, atoms: Atoms) -> FloatArray:
    """Derivatives of the stress by strain in GPa, positions relaxed in every strained cell."""
    constants = np.zeros((6, 6))
    for component, (row, column) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        for sign in (-1.0, 1.0):
            strain = np.eye(3)
            strain[row, column] += 0.5 * sign * _STRAIN
            strain[column, row] += 0.5 * sign * _STRAIN
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            if len(strained) > 1:
                strained.calc = potential.calculator()
                BFGS(strained, logfile=None, maxstep=0.05).run(fmax=_FORCE / 10, steps=_MOST_STEPS)
            constants[component] += sign * potential.stress(strained) / (2.0 * _STRAIN)
    return 0.5 * (constants + constants.T) / units.GPa


def _bands(potential: Potential, atoms: Atoms) -> Bands | None:
    """Phonon bands from finite displacements."""
    repeats = np.maximum(1, np.ceil(_HEIGHT * potential.cutoff / _heights(atoms))).astype(int)
    while repeats.prod() * len(atoms) > _MOST_IN_SUPERCELL and repeats.max() > 1:
        repeats[repeats.argmax()] -= 1
    if repeats.prod() * len(atoms) > _MOST_IN_SUPERCELL:
        return None
    path = atoms.cell.bandpath(npoints=_POINTS, eps=2e-2)
    with tempfile.TemporaryDirectory() as folder:
        name = str(Path(folder) / "phonon")
        phonons = Phonons(
            atoms, potential.calculator(), supercell=tuple(repeats.tolist()), delta=0.01, name=name
        )
        phonons.run()
        phonons.read(acoustic=True)
    energies = phonons.get_band_structure(path, verbose=False).energies[0]
    x, places, names = path.get_linear_kpoint_axis()
    labels = [name.replace("G", "Γ") for name in names]
    terahertz = units._e / units._hplanck * 1e-12
    return Bands(
        np.asarray(x), energies * terahertz, list(zip(np.asarray(places).tolist(), labels, strict=True))
    )
