"""Units, signs and orders of labels, from whether energies, forces and stresses belong together.

Forces and virials are derivatives of the energy, so one fit serves all of them, unless one has another
unit, sign or order of components. Each reading of the labels that programs and files lead to is tried: the
right one is what a fit explains on structures that it has not seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import units
from numpy.typing import NDArray

from plip._types import BoolArray, FloatArray, IntArray
from plip.audit._fits import Block, Products, make_blocks
from plip.audit._report import Finding
from plip.audit._rows import N_FOLDS, SampleRows, draw, volumes
from plip.labels import LabelledStructures, Labels

__all__ = ["ENERGY_UNITS", "FORCE_UNITS", "STRESS_UNITS", "Reading", "convert", "find_units"]

_KCAL, _KJ = units.kcal / units.mol, units.kJ / units.mol

# In eV, eV/A and eV/A^3.
ENERGY_UNITS = {"Ry": units.Ry, "Hartree": units.Ha, "kcal/mol": _KCAL, "kJ/mol": _KJ}
FORCE_UNITS = {
    "Ry/bohr": units.Ry / units.Bohr,
    "Hartree/bohr": units.Ha / units.Bohr,
    "kcal/mol/A": _KCAL,
    "kJ/mol/A": _KJ,
    "kJ/mol/nm": _KJ / units.nm,
}
STRESS_UNITS = {
    "GPa": units.GPa,
    "kbar": 0.1 * units.GPa,
    "Ry/bohr^3": units.Ry / units.Bohr**3,
    "Hartree/bohr^3": units.Ha / units.Bohr**3,
}
_VIRIAL = "eV (virial)"
_VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")
# Where each component stands in the files of other programs, besides any order of the three last.
_ROW_BY_ROW = (0, 3, 5, 4, 2, 1)

# Targets of the fits that show each kind.
_SHOWS = {
    "energy unit": ("energy",),
    "force unit": ("force",),
    "force sign": ("force",),
    "stress unit": ("pressure", "shear"),
    "stress sign": ("pressure", "shear"),
    "stress order": ("shear",),
}
# Terms of a fit, structures and atoms that are sampled.
_TERMS = 50
_STRUCTURES = 200
_ATOMS = 6000
# Share of squares that a right reading leaves unexplained at most, and up to which labels belong together
# without doubt. Right readings of Si, Mo, Ta, SiC and Mo-Nb-Ta leave less than 0.1, wrong ones more than
# 0.35.
_EXPLAINED = 0.5
_CONSISTENT = 0.15
# Part of the squares left unexplained of a target that makes a group suspicious, and most readings that are
# accepted one after the other.
_SUSPECT = 0.3
# Structures that a reading must explain better.
_FEWEST = 3
_MOST_READINGS = 4
# Another reading must leave less than this part of what is unexplained as the labels are.
_BETTER = 0.5
# The same for shear in another order: a right order makes all the difference.
_ORDERED = 0.2
# Readings that are tried in all folds.
_PROMISING = 4
# Readings that are nearly as good cannot be told apart.
_ALIKE = 1.2


@dataclass(frozen=True)
class Reading:
    """What labels are taken for: factors that turn them into eV, eV/A and eV/A^3.

    Attributes
    ----------
    energy, force, stress : float
    is_virial : bool
        Whether stresses are virials: `stress` is then their sign.
    order : tuple of int
        Places of xx yy zz yz xz xy among the six components.
    names : tuple of (kind, str)
        Kind and text of each finding that the reading stands for.
    """

    energy: float = 1.0
    force: float = 1.0
    stress: float = 1.0
    is_virial: bool = False
    order: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    names: tuple[tuple[str, str], ...] = ()


def convert(labels: Labels, reading: Reading, volume: FloatArray, members: BoolArray) -> Labels:
    """Labels in eV, eV/A and eV/A^3, if those of some structures, (n,) bool, are what the reading says."""
    energy, forces, stress = labels.energy, labels.forces, labels.stress
    if energy is not None:
        energy = np.where(members, reading.energy, 1.0) * energy
    if forces is not None:
        forces = [
            reading.force * force if force is not None and member else force
            for force, member in zip(forces, members, strict=True)
        ]
    if stress is not None:
        converted = reading.stress * stress[:, list(reading.order)]
        converted = converted / volume[:, None] if reading.is_virial else converted
        stress = np.where(members[:, None], converted, stress)
    return replace(labels, energy=energy, forces=forces, stress=stress)


def _readings() -> Iterator[Reading]:
    """Readings other than the intended one, the order of stresses aside."""
    for unit, factor in ENERGY_UNITS.items():
        yield Reading(energy=factor, names=(("energy unit", f"energies in {unit}"),))
    for unit, factor in {"": 1.0, **FORCE_UNITS}.items():
        unit_name = (("force unit", f"forces in {unit}"),) if unit else ()
        if unit:
            yield Reading(force=factor, names=unit_name)
        yield Reading(force=-factor, names=(*unit_name, ("force sign", "forces of the opposite sign")))
    for unit, factor in {"": 1.0, **STRESS_UNITS, _VIRIAL: 1.0}.items():
        is_virial = unit == _VIRIAL
        unit_name = (("stress unit", f"stresses in {unit}"),) if unit else ()
        for sign in (1.0, -1.0):
            # Virials are positive under compression.
            is_other_sign = sign > 0 if is_virial else sign < 0
            sign_name = (("stress sign", "stresses of the opposite sign"),) if is_other_sign else ()
            if unit_name or sign_name:
                yield Reading(stress=sign * factor, is_virial=is_virial, names=(*unit_name, *sign_name))
    for (energy, e), (force, f) in zip(ENERGY_UNITS.items(), FORCE_UNITS.items(), strict=False):
        names = (("energy unit", f"energies in {energy}"), ("force unit", f"forces in {force}"))
        yield Reading(energy=e, force=f, names=names)
    yield _ordered(Reading(), _ROW_BY_ROW)


def _orders(reading: Reading) -> Iterator[Reading]:
    """The reading with other orders of the shear components."""
    if reading.order == _ROW_BY_ROW:
        return
    for order in list(itertools.permutations((3, 4, 5)))[1:]:
        yield _ordered(reading, (0, 1, 2, *order))


def _ordered(reading: Reading, order: tuple[int, ...]) -> Reading:
    listed = " ".join(_VOIGT[order.index(place)] for place in range(6))
    name = ("stress order", f"stress components in the order {listed}")
    return replace(reading, order=order, names=(*reading.names, name))


class _Trial:
    """Readings of the labels of a sample, or of a part of it."""

    def __init__(self, data: LabelledStructures, rows: SampleRows) -> None:
        self._rows = rows
        sample = data.take(rows.places_n)
        self._labels, self._n_atoms = sample.labels, sample.n_atoms
        self._volume = volumes(sample.structures)
        self._products: dict[tuple[str, ...], Products] = {}

    def blocks(self, reading: Reading, members: BoolArray, without: tuple[str, ...] = ()) -> dict[str, Block]:
        """Rows, with the labels of some sampled structures read in another way."""
        labels = convert(self._labels, reading, self._volume, members)
        blocks = make_blocks(self._rows, labels, self._volume, self._n_atoms)
        return {name: block for name, block in blocks.items() if name not in without}

    def products(self, blocks: dict[str, Block]) -> Products:
        # Outliers of the energies, which are left out, depend on the reading.
        key = tuple(f"{name} {hash(block.owner.tobytes())}" for name, block in blocks.items())
        if key not in self._products:
            self._products[key] = Products(blocks, self._rows.fold_n)
        return self._products[key]

    def unexplained(
        self,
        reading: Reading,
        members: BoolArray,
        without: tuple[str, ...] = (),
        folds: Sequence[int] = range(N_FOLDS),
    ) -> dict[str, float]:
        """Share of squares left unexplained, by target."""
        blocks = self.blocks(reading, members, without)
        return self.products(blocks).unexplained(blocks, _TERMS, folds) if len(blocks) > 1 else {}

    def accept(self, reading: Reading, members: BoolArray) -> None:
        self._labels = convert(self._labels, reading, self._volume, members)

    def helps_most(self, reading: Reading, members: BoolArray) -> bool:
        """Whether a reading explains many of the structures that it is for, and harms few."""
        votes = np.zeros(2, int)
        before, after = (self._relative_squares(other, members) for other in (Reading(), reading))
        changed = {kind for kind, _ in reading.names}
        for name in {name for kind in changed for name in _SHOWS[kind]} & set(before) & set(after):
            ratio = after[name] / before[name]
            # NaN where a structure has no such label.
            votes += [np.count_nonzero(ratio < 0.5), np.count_nonzero(ratio > 2.0)]
        return bool(votes[0] >= _FEWEST and votes[0] > 2 * votes[1])

    def _relative_squares(self, reading: Reading, members: BoolArray) -> dict[str, FloatArray]:
        """Squared residuals of each of some structures over the squares of its labels, by target."""
        blocks = self.blocks(reading, members)
        found = {}
        for name, squares in self.products(blocks).residual_squares(blocks, _TERMS).items():
            block = blocks[name]
            rest, whole = (
                np.bincount(block.owner, values, len(members)) for values in (squares, block.labels**2)
            )
            usable = members & (whole > 0)
            found[name] = np.where(usable, rest / np.where(usable, whole, 1.0) + 1e-12, np.nan)
        return found

    def suspects(self, groups_n: NDArray[np.str_], names: NDArray[np.str_]) -> list[str]:
        """Groups that have a large part of what is left unexplained of a target."""
        blocks = self.blocks(Reading(), np.ones(len(groups_n), bool))
        found = set()
        for name, squares in self.products(blocks).residual_squares(blocks, _TERMS).items():
            block = blocks[name]
            by_group = {group: squares[groups_n[block.owner] == group].sum() for group in names}
            if squares.sum() > _CONSISTENT * len(squares) * block.size**2:
                found |= {group for group, part in by_group.items() if part > _SUSPECT * squares.sum()}
        return sorted(found)


def find_units(
    data: LabelledStructures, groups: NDArray[np.str_], fold: IntArray
) -> tuple[list[Finding], Labels]:
    """Find labels of all structures, or of a group, in another unit, sign or order.

    Parameters
    ----------
    data : LabelledStructures
    groups : (n,) str
    fold : (n,) int

    Returns
    -------
    findings : list of Finding
    labels : Labels
        In eV, eV/A and eV/A^3.
    """
    findings: list[Finding] = []
    labels = data.labels
    if len(labels.targets()) < 2 or len(data) < 2 * N_FOLDS:
        return findings, labels
    places = draw(data, groups, _STRUCTURES, _ATOMS)
    trial = _Trial(data, SampleRows.of(data, places, fold, "fast"))
    volume = volumes(data.structures)
    for _ in range(_MOST_READINGS):
        before = trial.unexplained(Reading(), np.ones(len(places), bool))
        if len(before) < 2 or max(before.values()) < _CONSISTENT:
            break
        parts = [np.ones(len(data), bool)]
        names = np.unique(groups)
        if len(names) > 1:
            parts += [groups == name for name in trial.suspects(groups[places], names)]
        tried = [(_read(trial, members[places]), members) for members in parts]
        found = [
            (sum(trial.unexplained(reading, members[places]).values()), k)
            for k, (reading, members) in enumerate(tried)
            if reading.names and trial.helps_most(reading, members[places])
        ]
        if not found:
            break
        # A group must be better than all structures together, which come first.
        place = found[0][1] if found[0][0] <= _ALIKE * min(found)[0] else min(found)[1]
        reading, members = tried[place]
        after = trial.unexplained(reading, members[places])
        findings += _describe(labels, before, after, reading, members)
        labels = convert(labels, reading, volume, members)
        trial.accept(reading, members[places])
    return findings, labels


def _read(trial: _Trial, members: BoolArray) -> Reading:
    """The best reading of the labels of some structures."""
    # Orders change the shear first: units are found without it.
    reading = _best(trial, members, Reading(), list(_readings()), ("shear",))
    return _best(trial, members, reading, list(_orders(reading)), ())


def _best(
    trial: _Trial, members: BoolArray, current: Reading, others: list[Reading], without: tuple[str, ...]
) -> Reading:
    """The best of some readings, or the current one unless another is clearly better."""
    present = trial.unexplained(current, members, without)
    if not present:
        return current
    # One fold tells which readings are worth the others.
    first = [trial.unexplained(other, members, without, (0,)) for other in others]
    # Labels that are rounding in another unit are not explained by it.
    usable = [k for k, found in enumerate(first) if set(found) == set(present)]
    promising = sorted(usable, key=lambda k: sum(first[k].values()))
    tried = [(trial.unexplained(others[k], members, without), others[k]) for k in promising[:_PROMISING]]
    ranked = sorted((sum(found.values()), k) for k, (found, _) in enumerate(tried))
    if not ranked:
        return current
    least, best = ranked[0]
    found, reading = tried[best]
    ratios = {name: found[name] / present[name] for name in found if found[name] < _EXPLAINED}
    if len(ratios) < 2 or not _mends(reading, current, ratios, "shear" in present):
        return current
    if sum(found[name] for name in ratios) > _BETTER * sum(present[name] for name in ratios):
        return current
    rivals = [tried[k][1] for total, k in ranked[1:] if total < _ALIKE * least]
    return _either(reading, rivals) if rivals else reading


def _mends(other: Reading, current: Reading, ratios: dict[str, float], has_shear: bool) -> bool:
    """Whether each target that differs between two readings is explained much better."""
    changed = {kind for kind, _ in set(other.names) - set(current.names)}
    shows = _SHOWS if has_shear else {**_SHOWS, "stress order": ("pressure",)}
    return all(
        min((ratios[name] for name in shows[kind] if name in ratios), default=1.0)
        < (_ORDERED if kind == "stress order" else _BETTER)
        for kind in changed
    )


def _either(reading: Reading, rivals: list[Reading]) -> Reading:
    """The reading, named together with those that cannot be told from it."""
    alternatives = " or ".join(text for rival in rivals for _, text in rival.names)
    names = tuple((kind, f"{text} (or {alternatives})") for kind, text in reading.names)
    return replace(reading, names=names)


_OPTIONS = {
    "energy unit": "Multiply the energies by {energy:.6g}",
    "force unit": "Multiply the forces by {force:.6g}",
    "force sign": "Change the sign of the forces (gradients are minus the forces)",
    "stress unit": "Give --stress-unit, or multiply the stresses by {stress:.6g} "
    "(plip.labels.convert_stress)",
    "stress sign": "Give --stress-sign compression (plip.labels.convert_stress)",
    "stress order": "Write the components in the order xx yy zz yz xz xy",
}


def _describe(
    labels: Labels, before: dict[str, float], after: dict[str, float], reading: Reading, members: BoolArray
) -> list[Finding]:
    """One finding for each thing that is not as intended."""
    errors = " and ".join(
        f"{100 * np.sqrt(before[name]):.0f} % to {100 * np.sqrt(after[name]):.0f} % ({name})"
        for name in after
        if name in before
    )
    others = "" if members.all() else ", unlike those of the other groups"
    findings = []
    for kind, text in reading.names:
        target = {"energy": "energy", "force": "force", "stress": "virial"}[kind.split()[0]]
        remedy = _OPTIONS[kind].format(energy=reading.energy, force=reading.force, stress=reading.stress)
        if kind == "stress unit" and reading.is_virial:
            remedy = "Name them with --virial-key (plip.labels.stress_from_virial)"
        evidence = (
            f"{text}{others}: read so, errors of a quick fit on structures that it has not seen change, in "
            f"parts of the size of the labels, from {errors}"
        )
        structures = np.flatnonzero(labels.present(target) & members)
        findings.append(Finding(kind, tuple(structures.tolist()), evidence, remedy))
    return findings
