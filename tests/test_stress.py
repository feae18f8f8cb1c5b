"""Stresses as labels: virials, units, signs, matrices, cells without a volume."""

import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from sample_labels import STRESS, labeled_copper

from plip.labels import convert_stress, read_labels, stress_from_virial

# Data without a problem must not cause a warning.
pytestmark = pytest.mark.filterwarnings("error::UserWarning")


def test_stress_from_virial():
    virial = np.array([[1.0, 0.4, 0.3], [0.4, 2.0, 0.2], [0.3, 0.2, 3.0]])
    expected = -np.array([1.0, 2.0, 3.0, 0.2, 0.3, 0.4]) / 50.0
    for given in (virial, virial.ravel(), virial.tolist(), [1.0, 2.0, 3.0, 0.2, 0.3, 0.4]):
        np.testing.assert_allclose(stress_from_virial(given, 50.0), expected, rtol=1e-15)
    # What ASE computes, written as extended XYZ files have it.
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1)
    atoms.calc = EMT()
    virial = -atoms.get_volume() * atoms.get_stress(voigt=False)
    np.testing.assert_allclose(stress_from_virial(virial, atoms.get_volume()), atoms.get_stress(), atol=1e-15)
    for virial, volume in ((np.eye(3), 0.0), (np.eye(3), np.nan), (np.eye(2), 1.0), ([np.nan] * 6, 1.0)):
        with pytest.raises(ValueError, match="virial"):
            stress_from_virial(virial, volume)


def test_convert_stress():
    # 1 eV/A^3 is 160.2176634 GPa; ASE's constants are older by 1e-8.
    in_gpa = STRESS * 160.2176634
    np.testing.assert_allclose(convert_stress(in_gpa, "GPa"), STRESS, rtol=1e-7)
    np.testing.assert_allclose(convert_stress(-10 * in_gpa, "kbar", "compression"), STRESS, rtol=1e-7)
    xx, yy, zz, yz, xz, xy = STRESS
    np.testing.assert_array_equal(convert_stress([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]), STRESS)
    for wrong in ({"unit": "bar"}, {"sign": "pressure"}):
        with pytest.raises(ValueError, match="must be"):
            convert_stress(STRESS, **wrong)
    with pytest.raises(ValueError, match="bool"):
        convert_stress(STRESS > 0)


def test_stress_of_some_structures_only():
    X = labeled_copper()
    del X[1].calc.results["stress"]
    labels = read_labels(X)
    np.testing.assert_array_equal(np.isnan(labels.stress).all(axis=1), [False, True, False, False])
    np.testing.assert_array_equal(labels.stress[[0, 2, 3]], np.outer([1, 3, 4], STRESS))
    labels = read_labels(X, stress=[None, STRESS, np.full(6, np.nan), list(STRESS)])
    np.testing.assert_array_equal(np.isnan(labels.stress[:, 0]), [True, False, True, False])
    assert read_labels(X, stress=[None] * 4).stress is None


def test_stress_as_a_matrix():
    xx, yy, zz, yz, xz, xy = STRESS
    matrix = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
    X = labeled_copper(1, stress=False)
    np.testing.assert_array_equal(read_labels(X, stress=[matrix]).stress, [STRESS])
    np.testing.assert_array_equal(read_labels(X, stress=np.array([matrix])).stress, [STRESS])
    X[0].calc.results["stress"] = np.array(matrix)
    np.testing.assert_array_equal(read_labels(X).stress, [STRESS])


def test_matrix_that_is_not_symmetric():
    matrix = np.diag([0.1, 0.2, 0.3])
    matrix[0, 1] = 0.05
    X = labeled_copper(2, stress=False)
    with pytest.raises(ValueError, match=r"structure 1 \(.*matrix of its stress is not symmetric .*0\.05 eV"):
        read_labels(X, stress=[None, matrix])
    with pytest.raises(ValueError, match="not symmetric"):
        convert_stress(160 * matrix, "GPa")
    with pytest.raises(ValueError, match="not symmetric"):
        stress_from_virial(50 * matrix.ravel(), 50.0)
    # Rounding, and what a relaxed cell has.
    matrix[0, 1] = 1e-3
    assert read_labels(X, stress=[None, matrix]).stress[1, 5] == pytest.approx(5e-4)
    noise = np.random.default_rng(0).normal(scale=1e-5, size=(3, 3))
    np.testing.assert_allclose(stress_from_virial(-50 * noise, 50.0)[5], (noise[0, 1] + noise[1, 0]) / 2)


def test_stress_without_a_full_cell():
    slab = fcc111("Cu", (1, 1, 3))
    slab.cell[2] = 0
    for value in (STRESS, np.full(6, np.nan)):
        slab.calc = SinglePointCalculator(slab, energy=1.0, stress=value)
        assert read_labels([slab]).stress is None
    assert read_labels([slab], stress=[None]).stress is None
    with pytest.raises(ValueError, match=r"structure 0 \(Cu3\): a stress is given, but"):
        read_labels([slab], stress=[STRESS])
