"""Reading of labels."""

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
from sample_potentials import sample_potential

from plip.labels import TARGETS, convert_stress, read_labels, stress_from_virial

# Data without a problem must not cause a warning.
pytestmark = pytest.mark.filterwarnings("error::UserWarning")

STRESS = np.array([0.01, 0.02, 0.03, 0.001, 0.002, 0.003])


def make(n=4, **which):
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


class Explosive(Calculator):
    """A live calculator that must not be run."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, *args, **kwargs):
        raise AssertionError("a calculator was started")


def test_attached_labels():
    X = make()
    labels = read_labels(X)
    np.testing.assert_array_equal(labels.energy, [atoms.calc.results["energy"] for atoms in X])
    assert labels.energy.dtype == np.float64
    for atoms, forces in zip(X, labels.forces, strict=True):
        np.testing.assert_array_equal(forces, atoms.calc.results["forces"])
    np.testing.assert_array_equal(labels.stress, np.outer([1, 2, 3, 4], STRESS))
    np.testing.assert_array_equal(labels.sample_weight, np.ones(4))


def test_extended_xyz_as_ase_reads_it(tmp_path):
    X = make()
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
    X = make()
    change(X[2])
    with pytest.raises(ValueError, match=rf"^structure 2 \(.*{message}"):
        read_labels(X)
    # Given labels replace attached ones, which are then not read.
    given = read_labels(make())
    X = X[:2] + [X[2]] + X[3:]
    if change is not shorten:
        labels = read_labels(X, y=given.energy, forces=given.forces, stress=given.stress)
        np.testing.assert_array_equal(labels.energy, given.energy)


def test_rounding_and_magnetic_moments_are_no_move():
    X = make()
    for atoms in X:
        atoms.set_scaled_positions(atoms.get_scaled_positions(wrap=False))
        atoms.set_initial_magnetic_moments(np.ones(len(atoms)))
        atoms.set_initial_charges(np.ones(len(atoms)))
    assert read_labels(X).energy is not None


def test_free_energy_before_energy():
    X = make()
    for atoms in X:
        atoms.calc.results["free_energy"] = -100.0
    np.testing.assert_array_equal(read_labels(X).energy, np.full(4, -100.0))


def test_mixed_kinds_of_energy_warn():
    X = make()
    X[0].calc.results["free_energy"] = -100.0
    with pytest.warns(UserWarning, match=r"structure 1 \(Cu8\) only an energy"):
        labels = read_labels(X)
    assert labels.energy[0] == -100.0


def test_other_results_are_ignored():
    X = make()
    for atoms in X:
        atoms.calc.results |= {"magmoms": np.full(len(atoms), np.nan), "charges": None, "dipole": np.ones(3)}
    assert read_labels(X).energy is not None


def test_a_result_of_none_is_absent():
    X = make()
    for atoms in X:
        atoms.calc.results["stress"] = None
    assert read_labels(X).stress is None


def test_calculators_without_results_are_passed_over():
    X = make()
    for atoms in X:
        atoms._calc = SimpleNamespace()
    assert read_labels(X, y=np.zeros(4)).forces is None


@pytest.mark.parametrize("target", ["energy", "forces", "stress"])
def test_one_target_is_enough(target):
    labels = read_labels(make(**{name: name == target for name in ("energy", "forces", "stress")}))
    for name in ("energy", "forces", "stress"):
        assert (getattr(labels, name) is not None) == (name == target)


def test_no_target_at_all():
    X = make()
    for atoms in X:
        atoms.calc = None
        atoms.info["dft_energy"] = 1.0
        atoms.arrays["dft_forces"] = atoms.positions.copy()
    with pytest.raises(ValueError, match=r"pass them as y=.*info\['dft_energy'\] and arrays\['dft_forces'\]"):
        read_labels(X)


def present(labels):
    return {target: labels.present(target).tolist() for target in TARGETS}


@pytest.mark.parametrize("absent", [None, ..., pandas.NA])
def test_attached_labels_of_some_structures_only(absent):
    X = make()
    for index, name in ((0, "energy"), (1, "forces"), (1, "energy"), (2, "stress"), (3, "energy")):
        if absent is Ellipsis:
            del X[index].calc.results[name]
        else:
            X[index].calc.results[name] = absent
    labels = read_labels(X)
    assert present(labels) == {
        "energy": [False, False, True, False],
        "force": [True, False, True, True],
        "virial": [True, True, False, True],
    }
    assert labels.energy[2] == X[2].calc.results["energy"]
    assert labels.forces[1] is None
    np.testing.assert_array_equal(labels.forces[3], X[3].calc.results["forces"])
    taken = labels.take(np.array([1, 2]))
    assert present(taken) == {"energy": [False, True], "force": [False, True], "virial": [True, False]}


@pytest.mark.parametrize(
    "container", [list, tuple, lambda y: np.array(y, dtype=object), lambda y: pandas.Series(y, dtype=object)]
)
@pytest.mark.parametrize("absent", [None, pandas.NA, np.ma.masked])
def test_given_labels_of_some_structures_only(container, absent):
    X = make(forces=False)
    forces = [np.full((len(atoms), 3), 0.5) for atoms in X]
    given = [forces[0], None, absent, forces[3]]
    if isinstance(container(["x"]), np.ndarray):
        array = np.empty(4, dtype=object)
        array[:] = given
        given = array
    labels = read_labels(X, y=container([absent, -24.0, None, -48.0]), forces=given)
    # Attached labels do not replace labels that are given as missing.
    np.testing.assert_array_equal(labels.energy, [np.nan, -24.0, np.nan, -48.0])
    assert present(labels)["force"] == [True, False, False, True]
    np.testing.assert_array_equal(labels.forces[3], forces[3])


def test_nullable_and_masked_arrays():
    X = make(energy=False)
    series = pandas.Series([-12.0, None, -36.0, -48.0], dtype="Float64")
    masked = np.ma.array([-12.0, 999.0, -36.0, -48.0], mask=[0, 1, 0, 0])
    for y in (series, masked):
        np.testing.assert_array_equal(read_labels(X, y=y).energy, [-12.0, np.nan, -36.0, -48.0])
    # In a series of plain floats None has become NaN, which may be a failed calculation.
    with pytest.raises(ValueError, match="structure 1 .*y is nan"):
        read_labels(X, y=pandas.Series([-12.0, None, -36.0, -48.0]))


def test_labels_of_nobody():
    X = make()
    labels = read_labels(X, y=[None] * 4, forces=[None] * 4)
    assert labels.energy is None and labels.forces is None
    with pytest.raises(ValueError, match="no energies, forces or stresses to fit"):
        read_labels(X, y=[None] * 4, forces=[None] * 4, stress=[None] * 4)


def test_a_structure_without_any_label_is_named():
    X = make()
    X[1].calc = X[3].calc = None
    with pytest.warns(UserWarning, match=r"structure 1 \(Cu8\) and 1 other: no label to fit"):
        labels = read_labels(X)
    assert present(labels)["energy"] == [True, False, True, False]
    # Not where it does not count.
    read_labels(X, sample_weight=[1, 0, 1, 0])


def mask(array, *entries):
    masked = np.ma.array(array, mask=np.zeros(np.shape(array), bool))
    masked[entries or ...] = np.ma.masked
    return masked


def entries(array, value):
    changed = np.array(array, dtype=object)
    changed[-1, -1] = value
    return changed


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: mask(a, 0), "masked"),
        (lambda a: [mask(a[0], 1), *a[1:]], "masked"),
        (lambda a: a > 0, "bool"),
        (lambda a: a.astype(complex), "complex"),
        (lambda a: a.astype(str), "real numbers"),
        (lambda a: entries(a, "1.0"), "str"),
        (lambda a: entries(a, True), "bool"),
        (lambda a: entries(a, 1j), "complex"),
        (lambda a: entries(a, None), "NoneType"),
        (lambda a: entries(a, np.ma.masked), "masked"),
        (lambda a: [[True, 0.0, 1.0], *a.tolist()[1:]], "bool"),
        (lambda a: [[*a[0, :2], np.bool_(True)], *a.tolist()[1:]], "bool"),
        (lambda a: entries(a, 10**400), "real numbers"),
    ],
)
def test_what_an_array_says_beside_its_numbers(attached, spoil, message):
    X = make()
    if attached:
        X[1].calc.results["forces"] = spoil(X[1].calc.results["forces"])
        given = {}
    else:
        given = {"forces": [atoms.calc.results["forces"] for atoms in X]}
        given["forces"][1] = spoil(given["forces"][1])
    with pytest.raises(ValueError, match=rf"^structure 1 \(Cu8\): forces .*{message}"):
        read_labels(X, **given)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("energy", True, "bool"),
        ("energy", np.bool_(False), "bool"),
        ("energy", "1.5", "str"),
        ("energy", 1j, "complex"),
        ("stress", mask(STRESS, 2), "masked"),
        ("stress", STRESS > 0, "bool"),
        ("stress", ["0", *STRESS[1:]], "str"),
    ],
)
def test_types_of_attached_energies_and_stresses(name, value, message):
    X = make()
    X[1].calc.results[name] = value
    with pytest.raises(ValueError, match=rf"^structure 1 \(Cu8\): {name} .*{message}"):
        read_labels(X)


def test_masked_as_a_whole_is_missing():
    X = make()
    X[0].calc.results |= {"energy": np.ma.masked, "stress": mask(STRESS)}
    X[2].calc.results["forces"] = mask(np.zeros((12, 3)))
    labels = read_labels(X)
    assert present(labels) == {
        "energy": [False, True, True, True],
        "force": [True, True, False, True],
        "virial": [False, True, True, True],
    }
    # A mask that hides nothing changes nothing.
    X[1].calc.results["forces"] = np.ma.array(X[1].calc.results["forces"])
    np.testing.assert_array_equal(read_labels(X).forces[1], labels.forces[1])


def test_numbers_with_units_are_refused():
    class Quantity(np.ndarray):
        unit = "kcal/mol"

    X = make()
    X[1].calc.results["forces"] = X[1].calc.results["forces"].view(Quantity)
    with pytest.raises(ValueError, match="^structure 1 .*forces has a unit"):
        read_labels(X)


def test_index_of_a_part_of_the_data():
    X = make()
    X[2].calc.results["forces"] = np.zeros((1, 3))
    with pytest.raises(ValueError, match=r"^structure 102 \(Cu12\)"):
        read_labels(X, first=100)


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
    for virial, volume in ((np.eye(3), 0.0), (np.eye(3), NAN), (np.eye(2), 1.0), ([NAN] * 6, 1.0)):
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
    X = make()
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
    X = make(1, stress=False)
    np.testing.assert_array_equal(read_labels(X, stress=[matrix]).stress, [STRESS])
    np.testing.assert_array_equal(read_labels(X, stress=np.array([matrix])).stress, [STRESS])
    X[0].calc.results["stress"] = np.array(matrix)
    np.testing.assert_array_equal(read_labels(X).stress, [STRESS])


def test_stress_without_a_full_cell():
    slab = fcc111("Cu", (1, 1, 3))
    slab.cell[2] = 0
    for value in (STRESS, np.full(6, np.nan)):
        slab.calc = SinglePointCalculator(slab, energy=1.0, stress=value)
        assert read_labels([slab]).stress is None
    assert read_labels([slab], stress=[None]).stress is None
    with pytest.raises(ValueError, match=r"structure 0 \(Cu3\): a stress is given, but"):
        read_labels([slab], stress=[STRESS])


@pytest.mark.parametrize("container", [list, tuple, np.array, pandas.Series])
def test_given_energies_win(container):
    y = [1, 2.5, np.float32(3), np.int64(4)]
    labels = read_labels(make(forces=False, stress=False), y=container(y), sample_weight=container(y))
    np.testing.assert_array_equal(labels.energy, y)
    np.testing.assert_array_equal(labels.sample_weight, y)
    assert labels.energy.dtype == labels.sample_weight.dtype == np.float64


def test_given_forces_win():
    X = make()
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


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("y", [1, NAN, 2, 3], "structure 1 .*y is nan"),
        ("y", [1, 2, -INF, 3], "structure 2 .*y is -inf"),
        ("y", [1, True, 2, 3], "structure 1 .*bool"),
        ("y", np.array([True, False, True, True]), "structure 0 .*bool"),
        ("y", np.array([1, 2, "x", 4], dtype=object), "structure 2 .*str"),
        ("y", [1, 2, 10**400, 3], "structure 2 .*y is 1000"),
        ("y", [1, 2, "3", 4], "structure 2 .*str"),
        ("y", np.array(["1", "2", "3", "4"]), "structure 0 .*str"),
        ("y", [1, 2j, 3, 4], "structure 1 .*complex"),
        ("y", [[1], [2], [3], [4]], "structure 0 .*list"),
        ("y", np.zeros((4, 1)), r"shape \(4, 1\)"),
        ("y", np.array(1.0), r"shape \(\)"),
        ("y", 3.0, "one entry per structure"),
        ("y", [1, 2, 3], "3 entries for 4 structures"),
        ("sample_weight", [1, NAN, 2, 3], "structure 1 .*sample_weight is nan"),
        ("sample_weight", [1, INF, 2, 3], "structure 1 .*sample_weight is inf"),
        ("sample_weight", [1, 1, 1, -1], "structure 3 .*negative"),
        ("sample_weight", [1, 1, True, 1], "structure 2 .*bool"),
        ("sample_weight", [1, None, 1, 1], "structure 1 .*NoneType"),
        ("sample_weight", np.ma.masked_equal([1.0, 1.0, 2.0, 1.0], 2.0), "structure 2 .*masked entry"),
        ("sample_weight", [0, 0, 0, 0], "zero for every structure"),
        ("sample_weight", np.zeros((4, 3)), "zero for every structure"),
        ("sample_weight", np.ones((4, 2)), r"got shape \(4, 2\)"),
        ("sample_weight", np.ones((3, 3)), "3 entries for 4 structures"),
        ("sample_weight", np.diag([1.0, 1, 1, -1])[:, 1:], "structure 3 .*negative"),
        ("sample_weight", np.ones((4, 3), bool), "structure 0 .*bool"),
        (
            "sample_weight",
            np.ma.masked_equal(np.diag([1.0, 1, 2, 1])[:, 1:], 2),
            "structure 2 .*masked entry",
        ),
        ("sample_weight", [1, 2], "2 entries for 4 structures"),
        ("sample_weight", 1.0, "one entry per structure"),
        ("forces", [np.zeros((4, 3))] * 3, "3 entries for 4 structures"),
        ("forces", [np.zeros((4, 3))] * 4, r"structure 1 .*shape \(8, 3\), got shape \(4, 3\)"),
        ("forces", [np.zeros(12)] * 4, r"structure 0 .*shape \(4, 3\), got shape \(12,\)"),
        ("forces", ["x"] * 4, "structure 0 .*real numbers"),
        ("forces", [[[1, 2, 3], [1, 2]]] * 4, "structure 0 .*real numbers"),
        ("forces", 1.0, "one entry per structure"),
        ("stress", [STRESS] * 3, "3 entries for 4 structures"),
        ("stress", [STRESS, STRESS[:5], STRESS, STRESS], r"structure 1 .*shape \(6,\), got shape \(5,\)"),
        ("stress", [[], STRESS, STRESS, STRESS], r"structure 0 .*shape \(6,\), got shape \(0,\)"),
        ("stress", [STRESS, STRESS, np.zeros((2, 3)), STRESS], r"structure 2 .*shape \(3, 3\)"),
        ("stress", [STRESS, [0, 0, NAN, 0, 0, 0], STRESS, STRESS], "structure 1 .*NaN or infinite"),
        ("stress", [STRESS, [0, 0, INF, 0, 0, 0], STRESS, STRESS], "structure 1 .*NaN or infinite"),
    ],
)
def test_given_labels_that_are_unusable(argument, value, message):
    with pytest.raises(ValueError, match=message):
        read_labels(make(), **{argument: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("energy", NAN, "energy has NaN"),
        ("energy", INF, "energy has NaN or infinite"),
        ("energy", np.zeros(12), "a single number, got shape"),
        ("energy", "low", "real numbers"),
        ("forces", np.zeros((5, 3)), r"shape \(12, 3\), got shape \(5, 3\)"),
        ("forces", np.full((12, 3), NAN), "forces has NaN"),
        ("forces", np.full((12, 3), -INF), "forces has NaN or infinite"),
        ("stress", np.full(6, NAN), "stress has NaN"),
        ("stress", np.zeros(5), r"shape \(6,\)"),
    ],
)
def test_attached_labels_that_are_unusable(name, value, message):
    X = make()
    X[2].calc.results[name] = value
    with pytest.raises(ValueError, match=rf"^structure 2 \(Cu12\): .*{message}"):
        read_labels(X)


def test_nan_forces_in_given_list():
    X = make()
    forces = read_labels(X).forces
    forces[3] = forces[3].copy()
    forces[3][5, 1] = NAN
    with pytest.raises(ValueError, match=r"^structure 3 \(Cu16\): forces has NaN"):
        read_labels(X, forces=forces)


def test_weights_of_zero_are_allowed_beside_others():
    np.testing.assert_array_equal(read_labels(make(), sample_weight=[0, 1, 0, 2]).sample_weight, [0, 1, 0, 2])


def test_molecules_without_cell():
    atoms = molecule("H2O")
    labels = read_labels([atoms, Atoms("H")], y=[1.0, 2.0], forces=[np.ones((3, 3)), np.zeros((1, 3))])
    assert labels.stress is None


# Labels under other names


def elsewhere(X, target, key):
    """Move a label to a name that nobody looks at."""
    for atoms in X:
        value = atoms.calc.results.pop(target)
        if target == "forces":
            atoms.arrays[key] = value
        else:
            atoms.info[key] = value
    return X


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("forces", "force"),
        ("forces", "REF_forces"),
        ("forces", "dft_force"),
        ("energy", "REF_energy"),
        ("energy", "E_tot"),
        ("energy", "E"),
        ("energy", "E0"),
        ("energy", "Epot"),
        ("forces", "f"),
        ("forces", "frc"),
        ("energy", "dft_free_energy"),
        ("stress", "virial"),
        ("stress", "pressure_tensor"),
        ("stress", "REF_virials"),
        ("stress", "dft_stress"),
    ],
)
def test_labels_under_other_names_are_named(target, key):
    X = elsewhere(make(), target, key)
    where = "arrays" if target == "forces" else "info"
    with pytest.warns(UserWarning, match=rf"4 of 4 structures have no {target}, but {where}\['{key}'\]"):
        read_labels(X)
    # No warning about a target that nobody wants, unless it is hinted.
    others = [name for name in TARGETS if name[:5] != {"stress": "virial"}.get(target, target)[:5]]
    read_labels(X, targets=others)
    with pytest.warns(UserWarning, match=key):
        read_labels(X, targets=others, hinted=TARGETS)


def test_all_other_names_are_in_one_warning():
    X = elsewhere(elsewhere(make(), "forces", "force"), "stress", "virial")
    with pytest.warns(UserWarning, match="'force'.*'virial'") as record:
        read_labels(X)
    assert len(record) == 1


def test_other_names_beside_the_right_ones_are_no_matter():
    X = make()
    for atoms in X:
        atoms.arrays["REF_forces"] = atoms.positions.copy()
        atoms.info |= {"REF_energy": 1.0, "virial": np.eye(3)}
    read_labels(X)
    # If some structures lack the label, the warning is about those.
    del X[2].calc.results["forces"]
    with pytest.warns(UserWarning, match=r"1 of 4 structures have no forces, but arrays\['REF_forces'\]"):
        read_labels(X)


def test_a_virial_without_a_volume_gives_no_stress():
    slab = fcc111("Cu", (1, 1, 3))
    slab.cell[2] = 0
    slab.calc = SinglePointCalculator(slab, energy=-1.0, forces=np.ones((3, 3)))
    slab.info["virial"] = np.eye(3)
    read_labels([slab])


def test_settings_and_texts_are_no_labels():
    X = make(energy=False, stress=False)
    for atoms in X:
        atoms.info |= {"energy_weight": 1.0, "energy_sigma": 0.1, "energy_method": "PBE", "stress_ok": True}
        atoms.info |= {"virial": "unknown", "virials": np.zeros(4), "kinetic_energy": 1.0}
        atoms.arrays["force_mask"] = np.zeros(len(atoms), bool)
    read_labels(X)


# Placeholders


@pytest.mark.parametrize("given", [False, True])
def test_energies_of_zero_beside_forces_are_left_out(given):
    X = make(stress=False)
    for atoms in X:
        atoms.calc.results["energy"] = 0.0
    with pytest.warns(UserWarning, match=r"structure 0 \(Cu4\) and 3 others of 4: an energy of exactly 0"):
        labels = read_labels(X, y=np.zeros(4) if given else None)
    assert labels.energy is None
    # The forces decide, even if nobody wants them.
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="no energies to fit"):
        read_labels(X, targets=["energy"])


def test_energies_of_zero_beside_stresses_are_left_out():
    X = make(forces=False)
    for atoms in X:
        atoms.calc.results["energy"] = 0.0
    with pytest.warns(UserWarning, match="4: an energy of exactly 0 beside forces or a stress"):
        assert present(read_labels(X))["energy"] == [False] * 4


def test_a_free_energy_of_zero_does_not_hide_the_energy():
    X = make()
    for atoms in X:
        atoms.calc.results["free_energy"] = 0.0
    np.testing.assert_array_equal(read_labels(X).energy, [a.calc.results["energy"] for a in X])


def test_stresses_in_other_units():
    X = make()
    for atoms in X:
        atoms.calc.results["stress"] *= 1602.2
    # In kbar: 16, 32, 48 and 64 for 1.6 to 6.4 GPa.
    with pytest.warns(UserWarning, match="half of the stresses .* virials"):
        read_labels(X)


@pytest.mark.parametrize("far", [False, True])
def test_energies_of_zero_in_a_part_of_the_data(far):
    X = make(10, stress=False)
    energies = [0.1 * index - 0.45 - 5.0 * far for index in range(10)]
    for index, atoms in enumerate(X):
        atoms.calc.results["energy"] = 0.0 if index in (3, 7) else energies[index] * len(atoms)
    with pytest.warns(UserWarning, match=r"structure 3 \(Cu16\) and 1 other of 10: an energy of exactly 0"):
        labels = read_labels(X)
    assert np.flatnonzero(np.isnan(labels.energy)).tolist() == [3, 7]


def test_one_energy_of_zero_may_be_the_zero_of_energy():
    X = make(stress=False)
    for index, atoms in enumerate(X):
        atoms.calc.results["energy"] = 0.3 * index * len(atoms)
    assert read_labels(X).energy[0] == 0.0
    # Far from all others it is not.
    for atoms in X[1:]:
        atoms.calc.results["energy"] -= 5.0 * len(atoms)
    with pytest.warns(UserWarning, match="structure 0"):
        assert np.isnan(read_labels(X).energy[0])


def test_energies_of_zero_without_forces_are_kept():
    X = make(stress=False)
    X += [Atoms("Cu"), Atoms("Cu")]
    for atoms in X[4:]:
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((1, 3)))
    # Energies relative to those of free atoms.
    np.testing.assert_array_equal(read_labels(X).energy[4:], [0.0, 0.0])
    X = make(forces=False, stress=False)
    assert (read_labels(X, y=np.zeros(4)).energy == 0).all()


def test_forces_of_zero_that_symmetry_does_not_ask_for_are_left_out():
    X = make(stress=False)
    for atoms in X:
        atoms.calc.results["forces"] = np.zeros((len(atoms), 3))
    with pytest.warns(UserWarning, match=r"structure 0 \(Cu4\) and 3 others of 4: forces of exactly 0"):
        labels = read_labels(X)
    assert labels.forces is None
    forces = [np.zeros((len(atoms), 3)) for atoms in X]
    with pytest.warns(UserWarning, match="forces of exactly 0.*Give None where"):
        assert len(read_labels(X, forces=forces).forces) == 4
    # A part of the data: the last two.
    X = make(stress=False)
    for atoms in X[2:]:
        atoms.calc.results["forces"] = np.zeros((len(atoms), 3))
    with pytest.warns(UserWarning, match=r"structure 2 .* and 1 other of 4: forces of exactly 0"):
        labels = read_labels(X)
    assert present(labels)["force"] == [True, True, False, False]


def test_forces_of_zero_that_symmetry_asks_for_are_kept():
    X = [bulk("Cu", a=a) for a in (3.5, 3.6, 3.7)] + [bulk("NaCl", "rocksalt", a=5.6), Atoms("Cu")]
    for index, atoms in enumerate(X):
        forces = np.zeros((len(atoms), 3))
        atoms.calc = SinglePointCalculator(atoms, energy=index - 3.0, forces=forces, stress=STRESS)
    assert present(read_labels(X))["force"] == [True] * 5


def test_forces_of_zero_beyond_the_end_of_a_potential_are_kept():
    """A scan of a dimer: the potential that computed it ends at 3.4 A."""
    X = []
    for r in (2.0, 2.2, 2.4, 2.6, 3.0, 3.5, 4.0, 4.5):
        atoms = Atoms("Cu2", [[0, 0, 0], [0.6 * r, 0, 0.8 * r]], cell=[20, 20, 20], pbc=True)
        force = -2.0 * max(3.4 - r, 0.0) * atoms.positions[1] / r
        results = {"energy": -(max(3.4 - r, 0.0) ** 2), "forces": np.array([-force, force])}
        stress = atoms.positions[1, [0, 1, 2, 1, 0, 0]] * force[[0, 1, 2, 2, 2, 1]] / atoms.get_volume()
        atoms.calc = SinglePointCalculator(atoms, **results, stress=stress)
        X.append(atoms)
    assert sum(not atoms.calc.results["forces"].any() for atoms in X) == 3
    labels = present(read_labels(X))
    assert labels["force"] == labels["virial"] == [True] * 8
    # Between bonded atoms zeros are none of the potential's.
    for atoms in X[2:4]:
        atoms.calc.results["forces"] = np.zeros((2, 3))
    with pytest.warns(UserWarning, match=r"structure 2 \(Cu2\) and 1 other of 8: forces of exactly 0"):
        labels = read_labels(X)
    assert present(labels)["force"] == [True, True, False, False, True, True, True, True]


def test_stresses_of_zero_are_left_out():
    X = make()
    for atoms in X[1:3]:
        atoms.calc.results["stress"] = np.zeros(6)
    with pytest.warns(UserWarning, match=r"structure 1 \(Cu8\) and 1 other of 4: a stress of exactly 0"):
        labels = read_labels(X)
    assert present(labels)["virial"] == [True, False, False, True]
    # A stress of zero is right for atoms that do not interact.
    lone = [Atoms("Cu", cell=[20, 20, 20], pbc=True) for _ in range(3)]
    for atoms in lone:
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, stress=np.zeros(6))
    assert present(read_labels(lone))["virial"] == [True] * 3


def test_nothing_but_zeros_is_left_alone():
    X = make()
    for atoms in X:
        results = {name: np.zeros_like(value) for name, value in atoms.calc.results.items()}
        atoms.calc.results = results
    assert present(read_labels(X)) == {target: [True] * 4 for target in TARGETS}


# Labels that do not belong together


def many(**which):
    X = make(8, **which)
    for index, atoms in enumerate(X):
        atoms.calc.results["energy"] += (-1.0) ** index
    return X


@pytest.mark.parametrize("change", [lambda y: (y - y.mean()) / y.std(), lambda y: 2 * y, lambda y: y**2])
@pytest.mark.parametrize("other", ["forces", "stress"])
def test_energies_that_contradict_the_attached_ones(change, other):
    X = many(**{name: name == other for name in ("energy", "forces", "stress")} | {"energy": True})
    y = np.array([atoms.calc.results["energy"] for atoms in X])
    with pytest.warns(UserWarning, match=f"not those attached beside the {other}"):
        read_labels(X, y=change(y))
    # Without forces or stresses in use there is nothing to contradict.
    read_labels(X, y=change(y), targets=["energy"])


def test_another_zero_of_energy_is_no_contradiction():
    X = many()
    for atoms in X:
        atoms.calc.results["free_energy"] = 1.001 * atoms.calc.results["energy"]
    y = np.array([atoms.calc.results["energy"] for atoms in X])
    for given in (y, y + 3.0 * np.array([len(atoms) for atoms in X]), y - 7.0, 1.001 * y):
        read_labels(X, y=given)
    forces = [atoms.calc.results["forces"] for atoms in X]
    read_labels(X, y=2 * y, forces=forces, targets=["energy", "force"])


def test_labels_that_a_potential_of_plip_has_computed(tmp_path):
    X = make()
    potential = sample_potential(X[0], 4.0, n_terms=4)
    for atoms in X:
        atoms.calc = potential.calculator()
        atoms.get_stress()
    with pytest.warns(UserWarning, match="structure 0 .* and 3 others: .* by a potential of plip"):
        read_labels(X)
    write(tmp_path / "run.traj", X)
    with pytest.warns(UserWarning, match="by a potential of plip"):
        read_labels(read(tmp_path / "run.traj", ":"))
    y, forces = np.arange(4.0), [np.ones((len(atoms), 3)) for atoms in X]
    read_labels(X, y, forces, targets=["energy", "force"])
