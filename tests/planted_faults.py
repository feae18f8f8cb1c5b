"""Data with exact labels, and faults to plant in them, each with what the audit shall find."""

from dataclasses import dataclass

import numpy as np
from ase import units
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

VASP_ORDER = [0, 1, 2, 5, 3, 4]


def labeled(atoms, group, calculator=None):
    """The structure with EMT's labels attached."""
    computed = atoms.copy()
    computed.calc = EMT() if calculator is None else calculator
    results = {"energy": computed.get_potential_energy(), "forces": computed.get_forces().copy()}
    if atoms.pbc.all():
        results["stress"] = computed.get_stress().copy()
    found = atoms.copy()
    found.info = {"group": group}
    found.calc = SinglePointCalculator(found, **results)
    return found


def make_copper(symbols=("Cu",), seed=0):
    """Crystals, hot crystals, slabs and clusters of noise-free energies, forces and stresses."""
    rng = np.random.default_rng(seed)
    found = []
    for symbol in symbols:
        cell = bulk(symbol, cubic=True)
        for _ in range(24):
            hot = cell * (2, 2, 2)
            hot.set_cell(hot.cell * (1 + rng.normal(0, 0.02)), scale_atoms=True)
            hot.rattle(rng.uniform(0.05, 0.2), seed=int(rng.integers(1e9)))
            found.append(labeled(hot, "hot"))
        for _ in range(16):
            strained = cell.copy()
            strain = rng.normal(0, 0.02, (3, 3))
            strained.set_cell(cell.cell.array @ (np.eye(3) + 0.5 * (strain + strain.T)), scale_atoms=True)
            found.append(labeled(strained, "elastic"))
        for k in range(10):
            slab = fcc111(symbol, (2, 2, 3 + k % 3), vacuum=7.0)
            slab.pbc = True
            slab.rattle(0.08, seed=int(rng.integers(1e9)))
            found.append(labeled(slab, "slab"))
    return found


def copied(structures):
    found = []
    for atoms in structures:
        other = atoms.copy()
        results = {name: np.copy(value) for name, value in atoms.calc.results.items()}
        results["energy"] = float(results["energy"])
        other.calc = SinglePointCalculator(other, **results)
        found.append(other)
    return found


@dataclass
class Fault:
    """What is done to which structures, and what the audit must call it."""

    kind: str
    plant: object
    rows: list[int] | None = None


def scale(name, factor):
    def plant(atoms):
        atoms.calc.results[name] = atoms.calc.results[name] * factor

    return plant


def reorder(atoms):
    atoms.calc.results["stress"] = atoms.calc.results["stress"][VASP_ORDER]


def list_rows(atoms):
    atoms.calc.results["stress"] = atoms.calc.results["stress"][[0, 5, 4, 1, 3, 2]]


def make_virial(atoms):
    atoms.calc.results["stress"] = -atoms.get_volume() * atoms.calc.results["stress"]


def exchange_shear(atoms):
    atoms.calc.results["stress"] = atoms.calc.results["stress"][[0, 1, 2, 4, 3, 5]]


def divide_energy(atoms):
    atoms.calc.results["energy"] /= len(atoms)


def shift_energy(per_atom):
    def plant(atoms):
        atoms.calc.results["energy"] += per_atom * len(atoms)

    return plant


def exchange(atoms):
    atoms.calc.results["forces"] = np.roll(atoms.calc.results["forces"], 5, axis=0)


def push(atoms):
    atoms.calc.results["forces"] += [0.1, 0.0, 0.0]


def freeze(atoms):
    atoms.calc.results["forces"][: len(atoms) // 3] = 0.0


def drop_forces(atoms):
    del atoms.calc.results["forces"]


def squeeze(atoms):
    results = atoms.calc.results
    atoms.positions[1] = atoms.positions[0] + [0.9, 0.1, 0.0]
    atoms.calc = SinglePointCalculator(atoms, **results)


def lose_cell(atoms):
    results = {name: atoms.calc.results[name] for name in ("energy", "forces")}
    atoms.cell, atoms.pbc = None, False
    atoms.calc = SinglePointCalculator(atoms, **results)


def lose_cell_but_not_stress(atoms):
    results = atoms.calc.results
    atoms.cell, atoms.pbc = None, False
    atoms.calc = SinglePointCalculator(atoms, **results)


ALL_LABELS = {
    "energies in Ry": Fault("energy unit", scale("energy", 1 / units.Ry)),
    "energies in Hartree": Fault("energy unit", scale("energy", 1 / units.Ha)),
    "energies per atom": Fault("energy unit", divide_energy),
    "energies in kcal/mol": Fault("energy unit", scale("energy", units.mol / units.kcal)),
    "forces in Ry/bohr": Fault("force unit", scale("forces", units.Bohr / units.Ry)),
    "forces in Ha/bohr": Fault("force unit", scale("forces", units.Bohr / units.Ha)),
    "gradients": Fault("force sign", scale("forces", -1.0)),
    "stress in GPa": Fault("stress unit", scale("stress", 1 / units.GPa)),
    "stress in kbar": Fault("stress unit", scale("stress", 10 / units.GPa)),
    "pressure": Fault("stress sign", scale("stress", -1.0)),
    "order of VASP": Fault("stress order", reorder),
    "row by row": Fault("stress order", list_rows),
    "virials": Fault("stress unit", make_virial),
}

SOME_LABELS = {
    "one energy": Fault("energy", shift_energy(0.5), [7]),
    "forces of other atoms": Fault("forces", exchange, [9]),
    "flipped forces of some": Fault("force sign", scale("forces", -1.0), [3, 11, 12]),
    "stresses of some in kbar": Fault("stress unit", scale("stress", 10 / units.GPa), [3, 11, 30]),
    "net force": Fault("net force", push, [4, 5]),
    "frozen": Fault("constrained", freeze, [2, 6]),
    "no forces": Fault("missing label", drop_forces, [1, 8]),
    "close": Fault("close atoms", squeeze, [10]),
    "no cell": Fault("missing cell", lose_cell, [13]),
    "stress without cell": Fault("missing cell", lose_cell_but_not_stress, [14]),
}


def plant(structures, fault):
    found = copied(structures)
    rows = np.arange(len(found)) if fault.rows is None else np.array(fault.rows)
    for row in rows:
        fault.plant(found[row])
    return found, tuple(rows.tolist())
