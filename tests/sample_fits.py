"""Descriptors and labels of small fits."""

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from plip import PLIPDescriptors
from plip.interactions import NBody, ThreeBody, TwoBody
from plip.radial import Gaussian
from plip.safety import Finding, SafetyReport


def small_descriptors(**changes):
    settings = {
        "cutoff": 4.0,
        "two_body": TwoBody(Gaussian(eta=1.0, centers=[1.6, 2.2, 2.8, 3.4])),
        "three_body": ThreeBody(Gaussian(eta=1.0, centers=[1.8, 2.8]), max_power=2),
        "n_body": NBody(Gaussian(eta=1.0, centers=[1.8, 2.8]), powers=(2, 3)),
    }
    return PLIPDescriptors(**(settings | changes))


def separate_labels(structures):
    """Structures without calculators, and their labels."""
    results = [atoms.calc.results for atoms in structures]
    bare = [atoms.copy() for atoms in structures]
    energies = np.array([result["energy"] for result in results])
    return bare, energies, [result["forces"] for result in results], [result["stress"] for result in results]


# Copper, and what a check may say of a potential of it


def labeled_by_emt(atoms, stress=True):
    atoms.calc = EMT()
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if stress and atoms.pbc.all():
        results["stress"] = atoms.get_stress()
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def heated_copper():
    """Strained, heated and cut copper, with the energies of effective medium theory."""
    rng = np.random.default_rng(0)
    structures = []
    for k, length in enumerate(np.linspace(3.2, 4.4, 25)):
        atoms = bulk("Cu", a=length, cubic=True) * ((2, 1, 1) if k % 2 else (1, 1, 1))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(scale=0.03, size=(3, 3))), scale_atoms=True)
        atoms.rattle(0.05 + 0.1 * (k % 3), rng=rng)
        structures.append(labeled_by_emt(atoms))
    for k in range(6):
        atoms = fcc111("Cu", (2, 2, 3), vacuum=6.0)
        atoms.info.clear()  # what no file can hold
        atoms.rattle(0.1 + 0.03 * k, rng=rng)
        structures.append(labeled_by_emt(atoms))
    structures.append(labeled_by_emt(Atoms("Cu", cell=[12.0] * 3, pbc=True)))
    return structures


def report_of_one():
    return SafetyReport((Finding("pair", "A-B: falls"),), {"pushed atoms": 3, "pairs of species": 0})


# Missing labels


def partly_labeled(structures):
    """Energies, forces or both of each structure, and isolated atoms with an energy alone."""
    made = []
    for index, source in enumerate(structures):
        results = dict(source.calc.results)
        for name in {0: ["energy"], 1: ["forces"], 2: ["stress"]}.get(index % 4, []):
            del results[name]
        atoms = source.copy()
        atoms.calc = SinglePointCalculator(atoms, **results)
        made.append(atoms)
    return [*made, lone_atom("Si", -0.8), lone_atom("C", -1.3)]


def lone_atom(symbol, energy):
    atoms = Atoms(symbol)
    atoms.calc = SinglePointCalculator(atoms, energy=energy)
    return atoms
