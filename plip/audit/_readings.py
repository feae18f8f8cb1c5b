"""What labels may be instead of what they are taken for: other units, signs and orders of components."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from ase import units

from plip._types import BoolArray, FloatArray, IntArray
from plip.labels import Labels

__all__ = [
    "ENERGY_UNITS",
    "FORCE_UNITS",
    "STRESS_UNITS",
    "SYSTEMS",
    "Reading",
    "convert",
    "list_order",
    "possible_readings",
]

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
# Units of energies and forces that programs use together.
SYSTEMS = {
    "Ry": "Ry/bohr",
    "Hartree": "Hartree/bohr",
    "kcal/mol": "kcal/mol/A",
    "kJ/mol": "kJ/mol/A",
}
_VIRIAL = "eV (virial)"
_VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")
# Where each component stands in files that list a matrix row by row.
_ROW_BY_ROW = (0, 3, 5, 4, 2, 1)


@dataclass(frozen=True)
class Reading:
    """What labels are taken for: factors that turn them into eV, eV/A and eV/A^3.

    Attributes
    ----------
    energy, force, stress : float
    is_per_atom : bool
        Whether energies are those per atom.
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
    is_per_atom: bool = False
    is_virial: bool = False
    order: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    names: tuple[tuple[str, str], ...] = ()

    @property
    def changes_energy(self) -> bool:
        return self.is_per_atom or self.energy != 1.0


def convert(
    labels: Labels, reading: Reading, n_atoms: IntArray, volume: FloatArray, members: BoolArray
) -> Labels:
    """Labels in eV, eV/A and eV/A^3, if those of some structures, (n,) bool, are what the reading says."""
    energy, forces, stress = labels.energy, labels.forces, labels.stress
    if energy is not None:
        factor = reading.energy * (n_atoms if reading.is_per_atom else 1.0)
        energy = np.where(members, factor, 1.0) * energy
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


def possible_readings() -> Iterator[Reading]:
    """Readings other than the intended one, orders of the shear components aside."""
    for unit, factor in ENERGY_UNITS.items():
        yield Reading(energy=factor, names=(("energy unit", f"energies in {unit}"),))
    yield Reading(is_per_atom=True, names=(("energy unit", "energies per atom"),))
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
    for energy, force in SYSTEMS.items():
        names = (("energy unit", f"energies in {energy}"), ("force unit", f"forces in {force}"))
        yield Reading(energy=ENERGY_UNITS[energy], force=FORCE_UNITS[force], names=names)
    text = f"stress components in the order {list_order(_ROW_BY_ROW)}"
    yield Reading(order=_ROW_BY_ROW, names=(("stress order", text),))


def list_order(order: tuple[int, ...]) -> str:
    """Components as they stand, if those at `order` are xx yy zz yz xz xy."""
    return " ".join(_VOIGT[order.index(place)] for place in range(6))
