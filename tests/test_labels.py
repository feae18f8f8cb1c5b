"""Reading of labels: attached and given ones, and those that are missing."""

from types import SimpleNamespace

import numpy as np
import pandas
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import read, write
from sample_labels import STRESS, labeled_copper, targets_present

from plip.labels import read_labels

# Data without a problem must not cause a warning.
pytestmark = pytest.mark.filterwarnings("error::UserWarning")


class Explosive(Calculator):
    """A live calculator that must not be run."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, *args, **kwargs):
        raise AssertionError("a calculator was started")


def test_attached_labels():
    X = labeled_copper()
    labels = read_labels(X)
    np.testing.assert_array_equal(labels.energy, [atoms.calc.results["energy"] for atoms in X])
    assert labels.energy.dtype == np.float64
    for atoms, forces in zip(X, labels.forces, strict=True):
        np.testing.assert_array_equal(forces, atoms.calc.results["forces"])
    np.testing.assert_array_equal(labels.stress, np.outer([1, 2, 3, 4], STRESS))
    np.testing.assert_array_equal(labels.sample_weight, np.ones(4))


def test_extended_xyz_as_ase_reads_it(tmp_path):
    X = labeled_copper()
    write(tmp_path / "data.xyz", X, format="extxyz")
    labels = read_labels(read(tmp_path / "data.xyz", ":"))
    expected = read_labels(X)
    # extxyz keeps eight decimals of forces.
    np.testing.assert_allclose(labels.energy, expected.energy, atol=1e-7)
    np.testing.assert_allclose(np.concatenate(labels.forces), np.concatenate(expected.forces), atol=1e-7)
    np.testing.assert_allclose(labels.stress, expected.stress, atol=1e-7)


def test_constraints_do_not_touch_forces():
    slab = fcc111("Cu", (2, 2, 3), vacuum=6.0)
    slab.set_constraint(FixAtoms(mask=[atom.tag > 1 for atom in slab]))
    forces = np.random.default_rng(0).normal(size=(len(slab), 3))
    slab.calc = SinglePointCalculator(slab, energy=-1.0, forces=forces)
    # ASE itself hides the forces on fixed atoms.
    assert (slab.get_forces() == 0).any()
    np.testing.assert_array_equal(read_labels([slab]).forces[0], forces)


def test_live_calculator_is_not_started():
    atoms = bulk("Cu")
    for calculator in (EMT(), Explosive()):
        atoms.calc = calculator
        with pytest.raises(ValueError, match="no energies, forces or stresses"):
            read_labels([atoms])
        labels = read_labels([atoms], y=[1.0])
        assert labels.forces is None
        assert labels.stress is None
        assert not calculator.results


def test_results_of_a_live_calculator_count_for_its_atoms_only():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1)
    atoms.calc = EMT()
    forces = atoms.get_forces()
    labels = read_labels([atoms])
    np.testing.assert_array_equal(labels.forces[0], forces)
    assert labels.energy[0] == atoms.calc.results["free_energy"]
    # The other structure has not been seen by the calculator that both share.
    other = atoms.copy()
    other.rattle(0.1)
    other.calc = atoms.calc
    with pytest.raises(ValueError, match=r"structure 1 \(Cu4\): its calculator holds .* positions changed"):
        read_labels([atoms, other])
    assert "forces" in atoms.calc.results


def move(atoms):
    atoms.positions[0, 0] += 1e-5


def strain(atoms):
    atoms.cell[0, 0] *= 1.00001


def transmute(atoms):
    atoms.numbers[0] = 28


def open_up(atoms):
    atoms.pbc = False


def shorten(atoms):
    del atoms[0]


def forget(atoms):
    atoms.calc.atoms = None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (move, "positions changed"),
        (strain, "cell changed"),
        (transmute, "numbers changed"),
        (open_up, "pbc changed"),
        (shorten, "positions, numbers changed"),
        (forget, "does not say for which atoms"),
    ],
)
def test_labels_of_atoms_that_have_changed_are_an_error(change, message):
    X = labeled_copper()
    change(X[2])
    with pytest.raises(ValueError, match=rf"^structure 2 \(.*{message}"):
        read_labels(X)
    # Given labels replace attached ones, which are then not read.
    given = read_labels(labeled_copper())
    X = X[:2] + [X[2]] + X[3:]
    if change is not shorten:
        labels = read_labels(X, y=given.energy, forces=given.forces, stress=given.stress)
        np.testing.assert_array_equal(labels.energy, given.energy)


def test_rounding_and_magnetic_moments_are_no_move():
    X = labeled_copper()
    for atoms in X:
        atoms.set_scaled_positions(atoms.get_scaled_positions(wrap=False))
        atoms.set_initial_magnetic_moments(np.ones(len(atoms)))
        atoms.set_initial_charges(np.ones(len(atoms)))
    assert read_labels(X).energy is not None


def test_free_energy_before_energy():
    X = labeled_copper()
    for atoms in X:
        atoms.calc.results["free_energy"] = -100.0
    np.testing.assert_array_equal(read_labels(X).energy, np.full(4, -100.0))


def test_mixed_kinds_of_energy_warn():
    X = labeled_copper()
    X[0].calc.results["free_energy"] = -100.0
    with pytest.warns(UserWarning, match=r"structure 1 \(Cu8\) only an energy"):
        labels = read_labels(X)
    assert labels.energy[0] == -100.0


def test_other_results_are_ignored():
    X = labeled_copper()
    for atoms in X:
        atoms.calc.results |= {"magmoms": np.full(len(atoms), np.nan), "charges": None, "dipole": np.ones(3)}
    assert read_labels(X).energy is not None


def test_a_result_of_none_is_absent():
    X = labeled_copper()
    for atoms in X:
        atoms.calc.results["stress"] = None
    assert read_labels(X).stress is None


def test_calculators_without_results_are_passed_over():
    X = labeled_copper()
    for atoms in X:
        atoms._calc = SimpleNamespace()
    assert read_labels(X, y=np.zeros(4)).forces is None


@pytest.mark.parametrize("target", ["energy", "forces", "stress"])
def test_one_target_is_enough(target):
    labels = read_labels(labeled_copper(**{name: name == target for name in ("energy", "forces", "stress")}))
    for name in ("energy", "forces", "stress"):
        assert (getattr(labels, name) is not None) == (name == target)


def test_no_target_at_all():
    X = labeled_copper()
    for atoms in X:
        atoms.calc = None
        atoms.info["dft_energy"] = 1.0
        atoms.arrays["dft_forces"] = atoms.positions.copy()
    with pytest.raises(ValueError, match=r"pass them as y=.*info\['dft_energy'\] and arrays\['dft_forces'\]"):
        read_labels(X)


@pytest.mark.parametrize("absent", [None, ..., pandas.NA])
def test_attached_labels_of_some_structures_only(absent):
    X = labeled_copper()
    for index, name in ((0, "energy"), (1, "forces"), (1, "energy"), (2, "stress"), (3, "energy")):
        if absent is Ellipsis:
            del X[index].calc.results[name]
        else:
            X[index].calc.results[name] = absent
    labels = read_labels(X)
    assert targets_present(labels) == {
        "energy": [False, False, True, False],
        "force": [True, False, True, True],
        "virial": [True, True, False, True],
    }
    assert labels.energy[2] == X[2].calc.results["energy"]
    assert labels.forces[1] is None
    np.testing.assert_array_equal(labels.forces[3], X[3].calc.results["forces"])
    taken = labels.take(np.array([1, 2]))
    assert targets_present(taken) == {
        "energy": [False, True],
        "force": [False, True],
        "virial": [True, False],
    }


@pytest.mark.parametrize(
    "container", [list, tuple, lambda y: np.array(y, dtype=object), lambda y: pandas.Series(y, dtype=object)]
)
@pytest.mark.parametrize("absent", [None, pandas.NA, np.ma.masked])
def test_given_labels_of_some_structures_only(container, absent):
    X = labeled_copper(forces=False)
    forces = [np.full((len(atoms), 3), 0.5) for atoms in X]
    given = [forces[0], None, absent, forces[3]]
    if isinstance(container(["x"]), np.ndarray):
        array = np.empty(4, dtype=object)
        array[:] = given
        given = array
    labels = read_labels(X, y=container([absent, -24.0, None, -48.0]), forces=given)
    # Attached labels do not replace labels that are given as missing.
    np.testing.assert_array_equal(labels.energy, [np.nan, -24.0, np.nan, -48.0])
    assert targets_present(labels)["force"] == [True, False, False, True]
    np.testing.assert_array_equal(labels.forces[3], forces[3])


def test_nullable_and_masked_arrays():
    X = labeled_copper(energy=False)
    series = pandas.Series([-12.0, None, -36.0, -48.0], dtype="Float64")
    masked = np.ma.array([-12.0, 999.0, -36.0, -48.0], mask=[0, 1, 0, 0])
    for y in (series, masked):
        np.testing.assert_array_equal(read_labels(X, y=y).energy, [-12.0, np.nan, -36.0, -48.0])
    # In a series of plain floats None has become NaN, which may be a failed calculation.
    with pytest.raises(ValueError, match="structure 1 .*y is nan"):
        read_labels(X, y=pandas.Series([-12.0, None, -36.0, -48.0]))


def test_stress_is_a_table():
    X = [bulk("Cu", a=3.6 + 0.1 * k) for k in range(3)]
    stress = 1e-3 * np.arange(18.0).reshape(3, 6)
    table = pandas.DataFrame(stress, columns=["xx", "yy", "zz", "yz", "xz", "xy"], index=[5, 1, 3])
    np.testing.assert_array_equal(read_labels(X, stress=table).stress, stress)


def test_labels_of_nobody():
    X = labeled_copper()
    labels = read_labels(X, y=[None] * 4, forces=[None] * 4)
    assert labels.energy is None and labels.forces is None
    with pytest.raises(ValueError, match="no energies, forces or stresses to fit"):
        read_labels(X, y=[None] * 4, forces=[None] * 4, stress=[None] * 4)


def test_a_structure_without_any_label_is_named():
    X = labeled_copper()
    X[1].calc = X[3].calc = None
    with pytest.warns(UserWarning, match=r"structure 1 \(Cu8\) and 1 other: no label to fit"):
        labels = read_labels(X)
    assert targets_present(labels)["energy"] == [True, False, True, False]
    # Not where it does not count.
    read_labels(X, sample_weight=[1, 0, 1, 0])


def test_index_of_a_part_of_the_data():
    X = labeled_copper()
    X[2].calc.results["forces"] = np.zeros((1, 3))
    with pytest.raises(ValueError, match=r"^structure 102 \(Cu12\)"):
        read_labels(X, first=100)


@pytest.mark.parametrize("container", [list, tuple, np.array, pandas.DataFrame])
def test_weights_of_targets_in_any_container(container):
    rows = [[1.0, 2.0, 3.0], [0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [2.0, 2.0, 2.0]]
    labels = read_labels(labeled_copper(), sample_weight=container(rows))
    np.testing.assert_array_equal(labels.sample_weight, rows)


@pytest.mark.parametrize("container", [list, tuple, np.array, pandas.Series])
def test_given_energies_win(container):
    y = [1, 2.5, np.float32(3), np.int64(4)]
    labels = read_labels(
        labeled_copper(forces=False, stress=False), y=container(y), sample_weight=container(y)
    )
    np.testing.assert_array_equal(labels.energy, y)
    np.testing.assert_array_equal(labels.sample_weight, y)
    assert labels.energy.dtype == labels.sample_weight.dtype == np.float64


def test_given_forces_win():
    X = labeled_copper()
    forces = [np.full((len(atoms), 3), index + 1, dtype=np.float32) for index, atoms in enumerate(X)]
    array = np.empty(4, dtype=object)
    array[:] = forces
    for given in (forces, tuple(forces), array, [f.tolist() for f in forces]):
        labels = read_labels(X, forces=given)
        for expected, found in zip(forces, labels.forces, strict=True):
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == np.float64
    same_size = [X[0], X[0]]
    assert len(read_labels(same_size, forces=np.ones((2, 4, 3))).forces) == 2


def test_molecules_without_cell():
    atoms = molecule("H2O")
    labels = read_labels([atoms, Atoms("H")], y=[1.0, 2.0], forces=[np.ones((3, 3)), np.zeros((1, 3))])
    assert labels.stress is None
