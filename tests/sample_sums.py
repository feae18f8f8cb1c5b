"""Structures and descriptors of small normal equations, and how sums are compared."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from plip import PLIPDescriptors
from plip.interactions import NBody, ThreeBody, TwoBody
from plip.radial import Gaussian


def labeled(atoms, rng, energy=True, forces=True, stress=True):
    """Atoms with random labels attached."""
    results = {}
    if energy:
        results["energy"] = -5.0 * len(atoms) + rng.normal()
    if forces:
        results["forces"] = rng.normal(size=(len(atoms), 3))
    if stress:
        results["stress"] = rng.normal(size=6)
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def labeled_carbides():
    """Silicon carbide of 4 to 36 atoms, some with more carbon, with random labels."""
    rng = np.random.default_rng(4)
    made = []
    for size in (1, 2, 3, 2, 1, 3, 2, 2):
        atoms = bulk("SiC", "zincblende", a=4.4) * (size, size, 2)
        atoms.rattle(0.1, rng=rng)
        if size == 1:
            atoms.symbols[0] = "C"
        made.append(labeled(atoms, rng))
    return made


def carbide_descriptors(structures):
    return PLIPDescriptors(
        cutoff=4.0,
        two_body=TwoBody(Gaussian(eta=1.0, centers=[1.8, 2.6, 3.4])),
        three_body=ThreeBody(Gaussian(eta=1.0, centers=[2.0, 3.0]), max_power=2, mixed=True, cutoff=3.5),
        n_body=NBody(Gaussian(eta=0.5, centers=[2.0]), powers=(2, 3)),
    ).fit(structures)


def take_labels_away(structures):
    for index, names in {0: ["stress"], 1: ["energy"], 2: ["forces"], 4: ["energy", "forces"]}.items():
        for name in names:
            del structures[index].calc.results[name]
    for name in ("energy", "forces"):
        del structures[5].calc.results[name]


def dense_rows(structures, descriptors, energy_weight, force_weight, stress_weight, sample_weight):
    """Weighted rows and targets of the labels attached, and the composition columns."""
    rows, compositions, targets = [], [], []
    for atoms, weight in zip(structures, sample_weight, strict=True):
        values, forces, virial = descriptors.design_rows(atoms)
        results = atoms.calc.results
        counts = np.array([np.count_nonzero(atoms.symbols == s) for s in descriptors.species_])
        size = len(atoms)
        for factor, name, block, composition, unit in (
            (energy_weight, "energy", values[None] / size, counts[None] / size, 1 / size),
            (force_weight, "forces", forces, np.zeros((3 * size, len(counts))), 1.0),
            (stress_weight, "stress", virial / size, np.zeros((6, len(counts))), atoms.get_volume() / size),
        ):
            if name not in results:
                continue
            target = unit * np.ravel(results[name])
            factor = factor * np.sqrt(weight)
            rows.append(factor * block)
            compositions.append(factor * composition)
            targets.append(factor * target)
    return np.concatenate(rows), np.concatenate(compositions), np.concatenate(targets)


def assert_same(a, b, rtol=1e-9):
    a, b = a.problem(2.0, 1.0, 0.5), b.problem(2.0, 1.0, 0.5)
    scale = np.sqrt(np.outer(np.diag(a.gram), np.diag(a.gram)))
    np.testing.assert_allclose(a.gram / scale, b.gram / scale, atol=rtol)
    np.testing.assert_allclose(a.moment, b.moment, atol=rtol * np.sqrt(a.target_square) * scale.max())
    assert a.weight_sum == pytest.approx(b.weight_sum, rel=1e-14)
