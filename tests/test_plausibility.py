"""Doubts about labels: other names, placeholders, wrong units, contradictions, predictions."""

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import covalent_radii
from ase.io import read, write
from ase.neighborlist import neighbor_list
from sample_labels import STRESS, labeled_copper, targets_present
from sample_potentials import sample_potential
from sample_structures import random_structure

from plip._structures._balance import BALANCED, have_bonds, imbalances, must_have_forces
from plip.audit import audit
from plip.datasets import load_silicon_carbide
from plip.labels import TARGETS, LabelledStructures, LabelWarning, read_labels

# Data without a problem must not cause a warning.
pytestmark = pytest.mark.filterwarnings("error::UserWarning")


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
    X = elsewhere(labeled_copper(), target, key)
    where = "arrays" if target == "forces" else "info"
    with pytest.warns(UserWarning, match=rf"4 of 4 structures have no {target}, but {where}\['{key}'\]"):
        read_labels(X)
    # No warning about a target that nobody wants, unless it is hinted.
    others = [name for name in TARGETS if name[:5] != {"stress": "virial"}.get(target, target)[:5]]
    read_labels(X, targets=others)
    with pytest.warns(UserWarning, match=key):
        read_labels(X, targets=others, hinted=TARGETS)


def test_all_other_names_are_in_one_warning():
    X = elsewhere(elsewhere(labeled_copper(), "forces", "force"), "stress", "virial")
    with pytest.warns(UserWarning, match="'force'.*'virial'") as record:
        read_labels(X)
    assert len(record) == 1


def test_other_names_beside_the_right_ones_are_no_matter():
    X = labeled_copper()
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
    assert read_labels([slab]).stress is None


def test_settings_and_texts_are_no_labels():
    X = labeled_copper(energy=False, stress=False)
    for atoms in X:
        atoms.info |= {"energy_weight": 1.0, "energy_sigma": 0.1, "energy_method": "PBE", "stress_ok": True}
        atoms.info |= {"virial": "unknown", "virials": np.zeros(4), "kinetic_energy": 1.0}
        atoms.arrays["force_mask"] = np.zeros(len(atoms), bool)
    read_labels(X)


# Placeholders


@pytest.mark.parametrize("given", [False, True])
def test_energies_of_zero_beside_forces_are_left_out(given):
    X = labeled_copper(stress=False)
    for atoms in X:
        atoms.calc.results["energy"] = 0.0
    with pytest.warns(UserWarning, match=r"structure 0 \(Cu4\) and 3 others of 4: an energy of exactly 0"):
        labels = read_labels(X, y=np.zeros(4) if given else None)
    assert labels.energy is None
    # The forces decide, even if nobody wants them.
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="no energies to fit"):
        read_labels(X, targets=["energy"])


def test_energies_of_zero_beside_stresses_are_left_out():
    X = labeled_copper(forces=False)
    for atoms in X:
        atoms.calc.results["energy"] = 0.0
    with pytest.warns(UserWarning, match="4: an energy of exactly 0 beside forces or a stress"):
        assert targets_present(read_labels(X))["energy"] == [False] * 4


def test_a_free_energy_of_zero_does_not_hide_the_energy():
    X = labeled_copper()
    for atoms in X:
        atoms.calc.results["free_energy"] = 0.0
    np.testing.assert_array_equal(read_labels(X).energy, [a.calc.results["energy"] for a in X])


def test_stresses_in_other_units():
    X = labeled_copper()
    for atoms in X:
        atoms.calc.results["stress"] *= 1602.2
    # In kbar: 16, 32, 48 and 64 for 1.6 to 6.4 GPa.
    with pytest.warns(UserWarning, match="half of the stresses .* virials"):
        read_labels(X)


@pytest.mark.parametrize("far", [False, True])
def test_energies_of_zero_in_a_part_of_the_data(far):
    X = labeled_copper(10, stress=False)
    energies = [0.1 * index - 0.45 - 5.0 * far for index in range(10)]
    for index, atoms in enumerate(X):
        atoms.calc.results["energy"] = 0.0 if index in (3, 7) else energies[index] * len(atoms)
    with pytest.warns(UserWarning, match=r"structure 3 \(Cu16\) and 1 other of 10: an energy of exactly 0"):
        labels = read_labels(X)
    assert np.flatnonzero(np.isnan(labels.energy)).tolist() == [3, 7]


def test_one_energy_of_zero_may_be_the_zero_of_energy():
    X = labeled_copper(stress=False)
    for index, atoms in enumerate(X):
        atoms.calc.results["energy"] = 0.3 * index * len(atoms)
    assert read_labels(X).energy[0] == 0.0
    # Far from all others it is not.
    for atoms in X[1:]:
        atoms.calc.results["energy"] -= 5.0 * len(atoms)
    with pytest.warns(UserWarning, match="structure 0"):
        assert np.isnan(read_labels(X).energy[0])


def test_energies_of_zero_without_forces_are_kept():
    X = labeled_copper(stress=False)
    X += [Atoms("Cu"), Atoms("Cu")]
    for atoms in X[4:]:
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((1, 3)))
    # Energies relative to those of free atoms.
    np.testing.assert_array_equal(read_labels(X).energy[4:], [0.0, 0.0])
    # Others have stresses, which free atoms have not.
    X[:4] = labeled_copper()
    np.testing.assert_array_equal(read_labels(X).energy[4:], [0.0, 0.0])
    for atoms in X[4:]:
        atoms.calc.results["stress"] = np.full(6, np.nan)
    np.testing.assert_array_equal(read_labels(X).energy[4:], [0.0, 0.0])
    X = labeled_copper(forces=False, stress=False)
    assert (read_labels(X, y=np.zeros(4)).energy == 0).all()


def test_forces_of_zero_that_symmetry_does_not_ask_for_are_left_out():
    X = labeled_copper(stress=False)
    for atoms in X:
        atoms.calc.results["forces"] = np.zeros((len(atoms), 3))
    with pytest.warns(UserWarning, match=r"structure 0 \(Cu4\) and 3 others of 4: forces of exactly 0"):
        labels = read_labels(X)
    assert labels.forces is None
    forces = [np.zeros((len(atoms), 3)) for atoms in X]
    with pytest.warns(UserWarning, match="forces of exactly 0.*Give None where"):
        assert len(read_labels(X, forces=forces).forces) == 4
    # A part of the data: the last two.
    X = labeled_copper(stress=False)
    for atoms in X[2:]:
        atoms.calc.results["forces"] = np.zeros((len(atoms), 3))
    with pytest.warns(UserWarning, match=r"structure 2 .* and 1 other of 4: forces of exactly 0"):
        labels = read_labels(X)
    assert targets_present(labels)["force"] == [True, True, False, False]


def test_forces_of_zero_that_symmetry_asks_for_are_kept():
    X = [bulk("Cu", a=a) for a in (3.5, 3.6, 3.7)] + [bulk("NaCl", "rocksalt", a=5.6), Atoms("Cu")]
    for index, atoms in enumerate(X):
        forces = np.zeros((len(atoms), 3))
        atoms.calc = SinglePointCalculator(atoms, energy=index - 3.0, forces=forces, stress=STRESS)
    assert targets_present(read_labels(X))["force"] == [True] * 5


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
    labels = targets_present(read_labels(X))
    assert labels["force"] == labels["virial"] == [True] * 8
    # Between bonded atoms zeros are none of the potential's.
    for atoms in X[2:4]:
        atoms.calc.results["forces"] = np.zeros((2, 3))
    with pytest.warns(UserWarning, match=r"structure 2 \(Cu2\) and 1 other of 8: forces of exactly 0"):
        labels = read_labels(X)
    assert targets_present(labels)["force"] == [True, True, False, False, True, True, True, True]


def test_stresses_of_zero_are_left_out():
    X = labeled_copper()
    for atoms in X[1:3]:
        atoms.calc.results["stress"] = np.zeros(6)
    with pytest.warns(UserWarning, match=r"structure 1 \(Cu8\) and 1 other of 4: a stress of exactly 0"):
        labels = read_labels(X)
    assert targets_present(labels)["virial"] == [True, False, False, True]
    # A stress of zero is right for atoms that do not interact.
    lone = [Atoms("Cu", cell=[20, 20, 20], pbc=True) for _ in range(3)]
    for atoms in lone:
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, stress=np.zeros(6))
    assert targets_present(read_labels(lone))["virial"] == [True] * 3


def test_molecules_without_stress_have_no_stress_of_zero():
    X = labeled_copper()
    for distance in (2.2, 2.3):
        X.append(Atoms("Cu2", [[0, 0, 0], [0, 0, distance]]))
        X[-1].calc = SinglePointCalculator(X[-1], energy=-1.0, forces=[[0, 0, 1.0], [0, 0, -1.0]])
    assert targets_present(read_labels(X))["virial"] == [True] * 4 + [False] * 2


def test_nothing_but_zeros_is_left_alone():
    X = labeled_copper()
    for atoms in X:
        results = {name: np.zeros_like(value) for name, value in atoms.calc.results.items()}
        atoms.calc.results = results
    assert targets_present(read_labels(X)) == {target: [True] * 4 for target in TARGETS}


# Labels that do not belong together


def many(**which):
    X = labeled_copper(8, **which)
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
    X = labeled_copper()
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


OUTLIERS = {
    "placeholder": ("energy", lambda value, atoms: -99999.0, "energies of"),
    "failed": ("energy", lambda value, atoms: value + 150.0 * len(atoms), "energies of 1.5e.02 eV/atom"),
    "forces": ("forces", lambda value, atoms: 1e5 * value, "forces of"),
    "stress": ("stress", lambda value, atoms: value + 1e4, "stresses of"),
}


@pytest.mark.parametrize("name", OUTLIERS)
def test_a_label_beyond_what_matter_has_gives_a_warning(name):
    label, spoil, message = OUTLIERS[name]
    train = [atoms.copy() for atoms in load_silicon_carbide()[0]]
    for atoms, source in zip(train, load_silicon_carbide()[0], strict=True):
        atoms.calc = SinglePointCalculator(atoms, **source.calc.results)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        LabelledStructures.read(train)
    results = train[60].calc.results
    results[label] = spoil(results[label], train[60])
    with pytest.warns(LabelWarning, match=rf"^structure 160 \(.*\): {message}.*placeholder") as caught:
        LabelledStructures.read(train, first=100)
    assert caught[0].message.structures == (160,)
    assert any(60 in finding.structures for finding in audit(train, quick=True).findings)
    # Nuclei that nearly touch have such labels.
    train[60].positions[1] = train[60].positions[0] + 0.3
    train[60].calc = SinglePointCalculator(train[60], **results)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        LabelledStructures.read(train)


@pytest.mark.parametrize("symbols", [("Si",), ("H", "O", "Ti")])
def test_imbalances_are_those_of_all_neighbors(symbols):
    """Beside a sum over the neighbors that ASE finds; several structures at once or each alone."""
    structures = [
        random_structure(n, periodic, n, symbols) for n, periodic in ((5, True), (1, False), (4, False))
    ]
    for atoms in structures:
        i, j, distance, vector = neighbor_list("ijdD", atoms, 5.0)
        pull = (1.0 - distance / 5.0) ** 2
        sums, total, is_bonded = np.zeros((len(atoms), 3)), np.zeros(len(atoms)), np.zeros(len(atoms), bool)
        np.add.at(sums, i, (pull / distance)[:, None] * vector)
        np.add.at(total, i, pull)
        radii = covalent_radii[atoms.numbers]
        is_bonded[i[distance < 1.3 * (radii[i] + radii[j])]] = True
        expected = np.where(is_bonded, np.linalg.norm(sums, axis=1) / np.maximum(total, 1e-300), 0.0)
        np.testing.assert_allclose(imbalances(atoms), expected, atol=1e-12)
        assert have_bonds([atoms]) == is_bonded.any()
    assert must_have_forces(structures).tolist() == [
        bool((imbalances(a) > BALANCED).any()) for a in structures
    ]
    assert have_bonds([]).shape == must_have_forces([]).shape == (0,)


def test_neighbors_that_do_not_fit_into_memory_are_an_error():
    with pytest.raises(ValueError, match="neighbors"):
        have_bonds([Atoms("H", cell=np.eye(3) * 1e-2, pbc=True)])
