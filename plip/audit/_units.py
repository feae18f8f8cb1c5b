"""Units, signs and orders of labels, from whether energies, forces and stresses belong together.

Forces and virials are derivatives of the energy, so one fit serves all of them, unless one has another
unit, sign or order of components. Each reading of the labels that programs and files lead to is tried: the
right one is what a fit explains on structures that it has not seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from ase import units
from numpy.typing import NDArray

from plip._types import FloatArray, IntArray
from plip.audit._fits import Products, make_blocks
from plip.audit._report import Finding
from plip.audit._rows import SampleRows, draw, volumes
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
# Another reading must leave less than this part of what is unexplained as the labels are.
_BETTER = 0.5
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

    @property
    def targets(self) -> set[str]:
        """Targets that are taken for something else."""
        return {kind.split()[0] for kind, _ in self.names}


def convert(labels: Labels, reading: Reading, volume: FloatArray) -> Labels:
    """Labels in eV, eV/A and eV/A^3, if they are what the reading says."""
    stress = labels.stress
    if stress is not None:
        stress = reading.stress * stress[:, list(reading.order)]
        stress = stress / volume[:, None] if reading.is_virial else stress
    return replace(
        labels,
        energy=None if labels.energy is None else reading.energy * labels.energy,
        forces=None
        if labels.forces is None
        else [None if force is None else reading.force * force for force in labels.forces],
        stress=stress,
    )


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
    """Readings of the labels of a sample."""

    def __init__(self, data: LabelledStructures, rows: SampleRows) -> None:
        self._rows = rows
        sample = data.take(rows.places_n)
        self._labels, self._n_atoms = sample.labels, sample.n_atoms
        self._volume = volumes(sample.structures)
        self._products: dict[tuple[str, ...], Products] = {}

    def unexplained(self, reading: Reading, without: tuple[str, ...] = ()) -> dict[str, float]:
        """Share of squares left unexplained, by target."""
        labels = convert(self._labels, reading, self._volume)
        blocks = make_blocks(self._rows, labels, self._volume, self._n_atoms)
        blocks = {name: block for name, block in blocks.items() if name not in without}
        if len(blocks) < 2:
            return {}
        key = tuple(f"{name} {len(block.labels)}" for name, block in blocks.items())
        if key not in self._products:
            self._products[key] = Products(blocks, self._rows.fold_n)
        return self._products[key].unexplained(blocks, _TERMS)


def find_units(
    data: LabelledStructures, groups: NDArray[np.str_], fold: IntArray
) -> tuple[list[Finding], Reading]:
    """Find labels in another unit, sign or order.

    Parameters
    ----------
    data : LabelledStructures
    groups : (n,) str
    fold : (n,) int

    Returns
    -------
    findings : list of Finding
    reading : Reading
        What the labels are.
    """
    plain = Reading()
    if len(data.labels.targets()) < 2 or len(data) < 2 * 4:
        return [], plain
    places = draw(data, groups, _STRUCTURES, _ATOMS)
    trial = _Trial(data, SampleRows.of(data, places, fold, "fast"))
    as_is = trial.unexplained(plain)
    if len(as_is) < 2 or max(as_is.values()) < _CONSISTENT:
        return [], plain
    # Orders change the shear first: units are found without it.
    chosen = plain
    for candidates, without in ((list(_readings()), ("shear",)), (None, ())):
        others = list(_orders(chosen)) if candidates is None else candidates
        chosen = _best(trial, chosen, others, without)
    return _describe(data, trial, as_is, chosen), chosen


def _best(trial: _Trial, current: Reading, others: list[Reading], without: tuple[str, ...]) -> Reading:
    """The best of some readings, or the current one unless another is clearly better."""
    present = trial.unexplained(current, without)
    if not present:
        return current
    tried = [(trial.unexplained(other, without), other) for other in others]
    # Labels that are rounding in another unit are not explained by it.
    ranked = sorted(
        (sum(found.values()), k) for k, (found, _) in enumerate(tried) if set(found) == set(present)
    )
    if not ranked:
        return current
    least, best = ranked[0]
    found, reading = tried[best]
    ratios = {name: found[name] / present[name] for name in found if found[name] < _EXPLAINED}
    if len(ratios) < 2 or not _mends(reading, current, ratios):
        return current
    if sum(found[name] for name in ratios) > _BETTER * sum(present[name] for name in ratios):
        return current
    rivals = [tried[k][1] for total, k in ranked[1:] if total < _ALIKE * least]
    return _either(reading, rivals) if rivals else reading


def _mends(other: Reading, current: Reading, ratios: dict[str, float]) -> bool:
    """Whether each target that differs between two readings is explained much better."""
    changed = {kind for kind, _ in set(other.names) - set(current.names)}
    shows = _SHOWS if "shear" in ratios else {**_SHOWS, "stress order": ("pressure",)}
    return all(
        min((ratios[name] for name in shows[kind] if name in ratios), default=1.0) < _BETTER
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
    data: LabelledStructures, trial: _Trial, before: dict[str, float], reading: Reading
) -> list[Finding]:
    """One finding for each thing that is not as intended."""
    if not reading.names:
        return []
    after = trial.unexplained(reading)
    errors = " and ".join(
        f"{100 * np.sqrt(before[name]):.0f} % to {100 * np.sqrt(after[name]):.0f} % ({name})"
        for name in after
        if name in before
    )
    findings = []
    for kind, text in reading.names:
        target = {"energy": "energy", "force": "force", "stress": "virial"}[kind.split()[0]]
        remedy = _OPTIONS[kind].format(energy=reading.energy, force=reading.force, stress=reading.stress)
        if kind == "stress unit" and reading.is_virial:
            remedy = "Name them with --virial-key (plip.labels.stress_from_virial)"
        evidence = (
            f"{text}: read so, errors of a quick fit on structures that it has not seen fall, of the size "
            f"of the "
            f"labels, from {errors}"
        )
        structures = np.flatnonzero(data.labels.present(target))
        findings.append(Finding(kind, tuple(structures.tolist()), evidence, remedy))
    return findings
