"""The silicon-carbide data set: complete, labeled, and fit to be read anywhere."""

from collections import Counter

import numpy as np
import pytest

from plip.datasets import load_silicon_carbide
from plip.labels import read_labels


@pytest.fixture(scope="module")
def silicon_carbide():
    return load_silicon_carbide()


def test_sizes_are_those_of_the_docstring(silicon_carbide):
    train, test = silicon_carbide
    assert (len(train), len(test)) == (167, 27)
    assert (sum(map(len, train)), sum(map(len, test))) == (1223, 197)


def test_every_structure_has_all_labels(silicon_carbide):
    for structures in silicon_carbide:
        labels = read_labels(structures)
        assert np.isfinite(labels.energy).all()
        assert all(np.isfinite(forces).all() for forces in labels.forces)
        assert np.isfinite(labels.stress).all()


def test_train_and_test_share_no_structure_and_all_groups(silicon_carbide):
    train, test = silicon_carbide
    indices = Counter(int(atoms.info["index"]) for atoms in train + test)
    assert max(indices.values()) == 1
    assert {atoms.info["group"] for atoms in train} == {atoms.info["group"] for atoms in test}


def test_stress_is_the_slope_of_the_cold_curve(silicon_carbide):
    # Pins unit, sign and order of the attached stress: dE/dV is a third of its trace.
    train, test = silicon_carbide
    curve = [atoms for atoms in train + test if atoms.info["group"] == "zincblende-eos"]
    curve.sort(key=lambda atoms: atoms.get_volume())
    volume = np.array([atoms.get_volume() for atoms in curve])
    energy = np.array([atoms.get_potential_energy() for atoms in curve])
    slope = np.polynomial.Polynomial.fit(volume, energy, 6).deriv()(volume)
    attached = np.array([atoms.get_stress()[:3].mean() for atoms in curve])
    # Plane waves of a fixed energy cutoff change in number with the volume (Pulay stress), which moves
    # the energies off the integral of the stress by some 0.01 eV/A^3.
    np.testing.assert_allclose(slope, attached, atol=0.03)
    assert np.ptp(attached) > 0.5


def test_forces_add_up_to_nothing(silicon_carbide):
    for structures in silicon_carbide:
        for atoms in structures:
            # The grid of the exchange-correlation energy breaks translational symmetry a little.
            assert np.abs(atoms.get_forces().sum(axis=0)).max() < 0.1


def test_each_call_gives_structures_of_its_own():
    first, _ = load_silicon_carbide()
    first[0].positions += 1.0
    second, _ = load_silicon_carbide()
    assert not np.allclose(first[0].positions, second[0].positions)
