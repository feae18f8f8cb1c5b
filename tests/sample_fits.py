"""Descriptors and labels of small fits."""

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from plip import PLIPDescriptors
from plip.interactions import NBody, ThreeBody, TwoBody
from plip.radial import Gaussian


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
