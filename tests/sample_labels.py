"""Copper with labels attached."""

import numpy as np
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from plip.labels import TARGETS

STRESS = np.array([0.01, 0.02, 0.03, 0.001, 0.002, 0.003])


def labeled_copper(n=4, **which):
    """Rattled copper cells of 4, 8, 12, ... atoms with made-up labels attached."""
    rng = np.random.default_rng(0)
    X = []
    for index in range(n):
        atoms = bulk("Cu", cubic=True) * (index + 1, 1, 1)
        atoms.rattle(0.1, seed=index)
        results = {
            "energy": -3.0 * len(atoms) + index,
            "forces": rng.normal(size=(len(atoms), 3)),
            "stress": STRESS * (index + 1),
        }
        kept = {name: value for name, value in results.items() if which.get(name, True)}
        atoms.calc = SinglePointCalculator(atoms, **kept)
        X.append(atoms)
    return X


def targets_present(labels):
    """Whether each structure has a label, by target."""
    return {target: labels.present(target).tolist() for target in TARGETS}
