"""Potentials: derivatives, symmetries, files, errors."""

import copy
import json
import pickle
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms
from bad_files import BAD_FILES, GOOD_FILES
from sample_potentials import interactions, make_potential, sample_potential
from sample_structures import SAMPLE_NAMES, sample, switch_radius

from plip import Potential, load_potential
from plip.interactions import NBody, TwoBody
from plip.interactions._terms import Term, build_terms
from plip.radial import Gaussian, LennardJones, Power

# Central differences of fourth order with this step (A, or strain) have truncation and rounding errors of
# about 1e-11 of the energies of the parts, which are about 1 eV.
STEP = 5e-4
WEIGHTS = {-2: 1 / 12, -1: -8 / 12, 1: 8 / 12, 2: -1 / 12}


def derivative(energy_at):
    return sum(weight * energy_at(n * STEP) for n, weight in WEIGHTS.items()) / STEP


def strained(atoms, strain):
    atoms = atoms.copy()
    deformation = np.eye(3) + strain
    atoms.set_cell(atoms.cell.array @ deformation)
    atoms.positions = atoms.positions @ deformation
    return atoms


def moved(atoms, atom, axis, distance):
    atoms = atoms.copy()
    atoms.positions[atom, axis] += distance
    return atoms


def assert_close(found, expected, scale):
    """The relative error of the issue, 1e-7, of the largest component."""
    assert np.abs(np.subtract(found, expected)).max() <= 1e-7 * max(np.abs(scale).max(), 1e-2)


def test_predict_is_evaluate_of_each_structure():
    crystal, cutoff = sample("three species")
    potential = sample_potential(crystal, cutoff)
    molecule = Atoms(crystal.symbols[:2], [[0.0, 0.0, 0.0], [2.0, 0.5, 0.0]])
    structures = [crystal, molecule, moved(crystal, 0, 1, 0.1)]
    expected = [potential.evaluate(atoms) for atoms in structures]
    for n_jobs in (None, 2):
        labels = potential.predict(structures, n_jobs)
        assert labels.energy.tolist() == [results["energy"] for results in expected]
        for k, results in enumerate(expected):
            np.testing.assert_array_equal(labels.forces[k], results["forces"])
            np.testing.assert_array_equal(labels.stress[k], results["stress"])
    assert labels.present("virial").tolist() == [True, False, True]
    assert potential.predict(structures, forces=False).forces is None
    assert potential.predict(structures, stress=False).stress is None


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_predict_is_evaluate_in_any_cell(name):
    atoms, cutoff = sample(name)
    potential = sample_potential(atoms, cutoff)
    expected = potential.evaluate(atoms)
    labels = potential.predict([atoms, atoms])
    assert labels.energy.tolist() == [expected["energy"]] * 2
    for k in range(2):
        np.testing.assert_array_equal(labels.forces[k], expected["forces"])
        if labels.stress is not None:
            np.testing.assert_array_equal(labels.stress[k], expected["stress"])


def test_predict_is_evaluate_of_many_atoms_among_few():
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff, n_terms=5)
    large = atoms.repeat((8, 8, 8))
    assert len(large) == 4096
    labels = potential.predict([atoms, large, atoms])
    for k, expected in enumerate(map(potential.evaluate, (atoms, large))):
        assert labels.energy[k] == expected["energy"]
        np.testing.assert_array_equal(labels.forces[k], expected["forces"])
        np.testing.assert_array_equal(labels.stress[k], expected["stress"])
    assert labels.energy[2] == labels.energy[0]


def test_predict_names_the_structure_whose_energy_is_not_finite():
    atoms = Atoms("Si2", [[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    terms = build_terms(["Si"], 3.0, two_body=TwoBody(Power(powers=-400.0)))
    potential = Potential(SimpleNamespace(terms_=terms, species_=("Si",)), [1.0], {"Si": 0.0})
    close = moved(atoms, 1, 0, -1.99)
    assert np.isfinite(potential.predict([atoms]).energy).all()
    with pytest.raises(ValueError, match=r"^structure 1 \(Si2\): the energy of atom"):
        potential.predict([atoms, close])


def test_predict_names_what_it_refuses():
    atoms, cutoff = sample("three species")
    potential = sample_potential(atoms, cutoff)
    with pytest.raises(ValueError, match=r"^structure 1 \(Xe\): element Xe is not among the known species"):
        potential.predict([atoms, Atoms("Xe")])
    with pytest.raises(TypeError, match="X is a single Atoms"):
        potential.predict(atoms)
    with pytest.raises(ValueError, match="n_jobs"):
        potential.predict([atoms], n_jobs=0)


# Derivatives


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_forces_are_the_gradient(name, mixed):
    atoms, cutoff = sample(name)
    potential = sample_potential(atoms, cutoff, mixed=mixed)
    forces = potential.forces(atoms)
    rng = np.random.default_rng(4)
    for atom in rng.choice(len(atoms), min(len(atoms), 3), replace=False):
        for axis in range(3):
            slope = derivative(lambda d, a=atom, c=axis: potential.energy(moved(atoms, a, c, d)))
            assert_close(forces[atom, axis], -slope, forces)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("name", [name for name in SAMPLE_NAMES if sample(name)[0].cell.rank == 3])
def test_stress_is_the_strain_derivative(name, mixed):
    atoms, cutoff = sample(name)
    potential = sample_potential(atoms, cutoff, mixed=mixed)
    stress = potential.stress(atoms)
    expected = []
    for first, second in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        direction = np.zeros((3, 3))
        direction[first, second] += 0.5
        direction[second, first] += 0.5
        expected.append(
            derivative(lambda e, d=direction: potential.energy(strained(atoms, e * d))) / atoms.get_volume()
        )
    assert_close(stress, expected, stress)


def test_every_family_has_exact_derivatives(families):
    atoms, cutoff = sample("two species")
    for name, family in families.items():
        parts = interactions(cutoff)
        for part in parts.values():
            part.set_params(radial=family)
        potential = make_potential(atoms, build_terms(["C", "Si"], cutoff, **parts), n_terms=80)
        forces = potential.forces(atoms)
        slope = derivative(lambda d, p=potential: p.energy(moved(atoms, 3, 1, d)))
        assert abs(forces[3, 1] + slope) <= 1e-7 * np.abs(forces).max(), name


def test_switched_densities_have_exact_derivatives():
    atoms, cutoff = sample("bulk")
    switch = {("Si", "Si"): switch_radius(atoms, 2.4)}
    part = NBody(Gaussian(eta=1.0, centers=2.2), powers=(2, 4), switch=switch)
    potential = make_potential(atoms, build_terms(["Si"], cutoff, n_body=part))
    forces = potential.forces(atoms)
    for axis in range(3):
        slope = derivative(lambda d, c=axis: potential.energy(moved(atoms, 2, c, d)))
        assert_close(forces[2, axis], -slope, forces)


def test_energy_and_forces_vanish_smoothly_at_the_cutoff():
    potential = sample_potential(*sample("small cell"), n_terms=None)
    r = potential.cutoff
    alone = 2 * potential.intercept["Mo"]
    for distance in (r - 1e-6, r, r + 1e-6):
        pair = Atoms("Mo2", positions=[[0, 0, 0], [distance, 0, 0]])
        # f_c rises with the square of the distance to the cutoff.
        assert potential.energy(pair) == pytest.approx(alone, abs=1e-9)
        assert np.abs(potential.forces(pair)).max() < 1e-4


# Symmetries


@pytest.mark.parametrize("name", ["bulk", "triclinic", "slab", "molecule", "three species"])
def test_symmetries(name):
    atoms, cutoff = sample(name)
    potential = sample_potential(atoms, cutoff, mixed=True)
    reference = potential.evaluate(atoms)
    assert np.abs(reference["forces"].sum(axis=0)).max() < 1e-11

    shifted = atoms.copy()
    shifted.positions += [11.3, -7.7, 0.4]
    rotated = atoms.copy()
    rotated.rotate(37.0, (1.0, 0.3, -0.2), rotate_cell=True)
    vectors, turned = (np.vstack([a.positions, a.cell.array]) for a in (atoms, rotated))
    turn = np.linalg.lstsq(vectors, turned, rcond=None)[0]
    order = np.random.default_rng(0).permutation(len(atoms))
    for other, expected in (
        (shifted, reference["forces"]),
        (rotated, reference["forces"] @ turn),
        (atoms[order], reference["forces"][order]),
    ):
        results = potential.evaluate(other)
        # Another place in the interval of a table: 1e-11; rounding errors of the same size.
        assert results["energy"] == pytest.approx(reference["energy"], abs=1e-9)
        np.testing.assert_allclose(results["forces"], expected, rtol=0, atol=1e-8)


def test_supercell_is_eight_times_the_cell():
    atoms, cutoff = sample("triclinic")
    potential = sample_potential(atoms, cutoff)
    one, eight = potential.evaluate(atoms), potential.evaluate(atoms * (2, 2, 2))
    assert eight["energy"] == pytest.approx(8 * one["energy"], rel=1e-13)
    np.testing.assert_allclose(eight["forces"], np.tile(one["forces"], (8, 1)), rtol=0, atol=1e-11)
    np.testing.assert_allclose(eight["stress"], one["stress"], rtol=0, atol=1e-13)


def test_energies_add_up():
    atoms, cutoff = sample("two species")
    results = sample_potential(atoms, cutoff).evaluate(atoms)
    assert results["energies"].sum() == pytest.approx(results["energy"], rel=1e-14)


def test_isolated_atom_has_its_reference_energy():
    atoms, cutoff = sample("isolated atom")
    potential = sample_potential(atoms, cutoff)
    assert potential.energy(atoms) == potential.intercept["Ne"]
    assert not potential.forces(atoms).any()
    assert np.isnan(potential.stress(atoms)).all()


def test_input_is_not_modified():
    atoms, cutoff = sample("slab")
    atoms.set_constraint(FixAtoms([0, 1]))
    before = atoms.copy()
    forces = sample_potential(atoms, cutoff).forces(atoms)
    assert atoms == before
    assert np.abs(forces[:2]).max() > 0  # constraints do not matter


def test_the_same_call_gives_the_same_bits():
    atoms, cutoff = sample("three species")
    potential = sample_potential(atoms, cutoff)
    first, second = potential.evaluate(atoms), potential.evaluate(atoms)
    assert first["energy"] == second["energy"] == potential.energy(atoms)
    np.testing.assert_array_equal(first["forces"], potential.forces(atoms))
    np.testing.assert_array_equal(first["stress"], potential.stress(atoms))


# Contents


def small_potential():
    terms = build_terms(["C", "Si"], 4.0, two_body=TwoBody(Gaussian(eta=1.0, centers=[1.5, 2.5])))
    descriptors = SimpleNamespace(terms_=terms, species_=("C", "Si"))
    return Potential(descriptors, [0.1, 0.0, -0.3, 1 / 3, 0.0, 2e-17], {"C": -1.1, "Si": -2.2}), terms


def test_terms_are_those_that_matter():
    potential, terms = small_potential()
    assert potential.terms == [(terms[0], 0.1), (terms[2], -0.3), (terms[3], 1 / 3), (terms[5], 2e-17)]
    assert potential.species == ("C", "Si")
    assert potential.cutoff == 4.0
    assert potential.intercept == {"C": -1.1, "Si": -2.2}
    assert "C-Si" in repr(potential) and "4 terms" in repr(potential)
    with pytest.raises(ValueError):
        potential.coef[0] = 1.0


def test_nothing_can_be_changed(tmp_path):
    """Whatever is refused or changes a copy, the energy and the file stay those of the coefficients."""
    potential, terms = small_potential()
    atoms = Atoms("SiC", positions=[[0, 0, 0], [0, 0, 1.8]])
    potential.save(tmp_path / "before.json")
    intercept = potential.intercept
    for change in (
        lambda: intercept.update(Si=0.0),
        lambda: intercept.__setitem__("Si", 0.0),
        lambda: intercept.__delitem__("Si"),
        lambda: intercept.__ior__({"Si": 0.0}),
        lambda: intercept.setdefault("O", 0.0),
        lambda: intercept.pop("Si"),
        intercept.popitem,
        intercept.clear,
    ):
        with pytest.raises(TypeError, match="cannot be changed"):
            change()
    for name in ("species", "coef", "intercept", "terms", "cutoff", "energies"):
        with pytest.raises(AttributeError):
            setattr(potential, name, None)
    for name in ("species", "coef", "intercept"):
        with pytest.raises(AttributeError):
            delattr(potential, name)
    with pytest.raises(ValueError):
        potential.coef.flags.writeable = True
    with pytest.raises(AttributeError, match="cannot be changed"):
        potential.terms[0][0].radial[0].eta = 3.0
    with pytest.raises(AttributeError, match="cannot be changed"):
        potential.terms[0][0].radial[0].set_params(centers=3.0)
    with pytest.raises(AttributeError, match="cannot be changed"):
        del potential.terms[0][0].radial[0].eta
    with pytest.raises(AttributeError):
        potential.terms[0][0].cutoff = 3.0
    potential.terms.clear()
    terms.clear()

    other, _ = small_potential()
    assert potential.energy(atoms) == other.energy(atoms)
    potential.save(tmp_path / "after.json")
    assert (tmp_path / "after.json").read_bytes() == (tmp_path / "before.json").read_bytes()


def test_functions_that_a_user_made_are_copied():
    function = Gaussian(eta=1.0, centers=1.5)
    term = Term("two-body", ("C", "Si"), (function,), None, 4.0)
    descriptors = SimpleNamespace(terms_=[term], species_=("C", "Si"))
    coef, reference = np.array([0.5]), {"C": -1.0, "Si": -2.0}
    potential = Potential(descriptors, coef, reference)
    function.eta, coef[0], reference["C"] = 9.0, 9.0, 9.0
    atoms = Atoms("SiC", positions=[[0, 0, 0], [0, 0, 1.8]])
    value = np.exp(-(0.3**2)) * 0.5 * (1 + np.cos(np.pi * 1.8 / 4.0))
    assert potential.energy(atoms) == pytest.approx(-3.0 + 0.5 * value, abs=1e-9)


@pytest.mark.parametrize("twin_of", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_the_frozen_intercept_is_a_dict(twin_of):
    potential, _ = small_potential()
    intercept = twin_of(potential.intercept)
    assert intercept == {"C": -1.1, "Si": -2.2} and isinstance(intercept, dict)
    assert json.loads(json.dumps(intercept)) == intercept
    assert dict(intercept, Si=0.0) == {"C": -1.1, "Si": 0.0}
    with pytest.raises(TypeError):
        intercept["C"] += 1.0


def test_no_terms_at_all():
    _, terms = small_potential()
    descriptors = SimpleNamespace(terms_=terms, species_=("C", "Si"))
    potential = Potential(descriptors, np.zeros(6), {"C": -1.0, "Si": -2.0})
    atoms = Atoms("SiC", positions=[[0, 0, 0], [0, 0, 1.8]], cell=[3, 3, 3], pbc=True)
    assert potential.energy(atoms) == -3.0
    assert not potential.forces(atoms).any()
    assert not potential.stress(atoms).any()


def test_constructor_refuses():
    _, terms = small_potential()
    descriptors = SimpleNamespace(terms_=terms, species_=("C", "Si"))
    reference = {"C": 0.0, "Si": 0.0}
    for coef, intercept, match in (
        (np.ones(5), reference, "6 terms"),
        (np.full(6, np.nan), reference, "finite"),
        (np.ones(6), {"C": 0.0}, "Si"),
        (np.ones(6), {"C": 0.0, "Si": np.inf}, "finite"),
    ):
        with pytest.raises(ValueError, match=match):
            Potential(descriptors, coef, intercept)


# Files


def assert_same_bits(first, second, atoms):
    assert second.terms == first.terms
    assert second.intercept == first.intercept
    np.testing.assert_array_equal(second.coef, first.coef)
    one, two = first.evaluate(atoms), second.evaluate(atoms)
    assert one["energy"] == two["energy"]
    np.testing.assert_array_equal(one["forces"], two["forces"])
    np.testing.assert_array_equal(one["stress"], two["stress"])


def test_round_trips_keep_every_bit(tmp_path):
    for name in ("three species", "molecule"):
        atoms, cutoff = sample(name)
        potential = sample_potential(
            atoms, cutoff, mixed=True, switch={tuple(sorted(set(atoms.symbols)))[:2]: np.pi / 2}
        )
        potential.save(tmp_path / "model.json")
        for other in (
            load_potential(tmp_path / "model.json"),
            load_potential(str(tmp_path / "model.json")),
            pickle.loads(pickle.dumps(potential)),
            copy.deepcopy(potential),
        ):
            assert_same_bits(potential, other, atoms)


def test_file_is_readable(tmp_path):
    potential, _ = small_potential()
    potential.save(tmp_path / "model.json")
    text = (tmp_path / "model.json").read_text()
    document = json.loads(text)
    assert document["format"] == "plip-potential"
    assert document["version"] == 2
    assert document["units"] == {"energy": "eV", "length": "Angstrom"}
    assert document["species"] == ["C", "Si"]
    assert document["reference_energies"] == {"C": -1.1, "Si": -2.2}
    assert len(document["terms"]) == 4
    assert document["terms"][2]["coefficient"] == 1 / 3
    # one line per term
    assert sum('"coefficient"' in line for line in text.splitlines()) == 4


def test_saving_is_whole_or_not_at_all(tmp_path, monkeypatch):
    potential, _ = small_potential()
    path = tmp_path / "model.json"
    potential.save(path)
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        potential.save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.json"]


def broken_files():
    potential, _ = small_potential()

    def document(change):
        def make(path):
            potential.save(path)
            data = json.loads(path.read_text())
            change(data)
            path.write_text(json.dumps(data))

        return make

    def cut_off(path):
        potential.save(path)
        path.write_bytes(path.read_bytes()[:-40])

    return {
        "cut off": (cut_off, "JSON"),
        "empty": (lambda path: path.write_text(""), "JSON"),
        "binary": (lambda path: path.write_bytes(b"\x80\x04\xff\x00"), "JSON"),
        "another format": (lambda path: path.write_text("[1, 2]"), "not a plip potential"),
        "newer": (document(lambda d: d.update(version=6)), "upgrade plip-potential"),
        "no version": (document(lambda d: d.pop("version")), "damaged"),
        "other units": (document(lambda d: d["units"].update(energy="Ry")), "units"),
        "unknown symbol": (document(lambda d: d["species"].append("Xx")), "species"),
        "no species": (document(lambda d: d.update(species=[], reference_energies={})), "damaged"),
        "species twice": (document(lambda d: d["species"].append("C")), "damaged"),
        "missing reference": (document(lambda d: d["reference_energies"].pop("C")), "reference energy"),
        "reference is text": (document(lambda d: d["reference_energies"].update(C="1")), "finite number"),
        "coefficient is NaN": (document(lambda d: d["terms"][0].update(coefficient=np.nan)), "NaN"),
        "coefficient is missing": (document(lambda d: d["terms"][0].pop("coefficient")), "finite number"),
        "no terms": (document(lambda d: d.pop("terms")), "terms"),
        "term is text": (document(lambda d: d["terms"].append("x")), "terms"),
        "no cutoff": (document(lambda d: d["terms"][0].pop("cutoff")), "not the description of a term"),
        "bad radial": (document(lambda d: d["terms"][0]["radial"][0].update(eta=-1.0)), "eta"),
        "foreign species": (document(lambda d: d["terms"][0].update(species=["C", "O"])), "energy: O"),
    }


@pytest.mark.parametrize("name", broken_files())
def test_broken_files_are_named_with_a_remedy(name, tmp_path):
    make, match = broken_files()[name]
    path = tmp_path / "broken.json"
    make(path)
    with pytest.raises(ValueError, match=match) as error:
        load_potential(path)
    assert "broken.json" in str(error.value)


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(name, tmp_path):
    (tmp_path / "bad.json").write_bytes(BAD_FILES[name])
    begin = time.perf_counter()
    with pytest.raises(ValueError, match=r"bad\.json"):
        load_potential(tmp_path / "bad.json")
    assert time.perf_counter() - begin < 1.0


@pytest.mark.parametrize("name", GOOD_FILES)
def test_unusual_files(name, tmp_path):
    (tmp_path / "good.json").write_bytes(GOOD_FILES[name])
    potential = load_potential(tmp_path / "good.json")
    atoms = Atoms("SiOSi", positions=[[0, 0, 0], [1.7, 0, 0], [1.7, 1.8, 0.3]])
    assert np.isfinite(potential.energy(atoms))
    potential.save(tmp_path / "again.json")
    assert load_potential(tmp_path / "again.json").terms == potential.terms


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.json"):
        load_potential(tmp_path / "nothing.json")


def test_no_scikit_learn_is_needed(tmp_path):
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff)
    potential.save(tmp_path / "model.json")
    atoms.write(tmp_path / "atoms.xyz")
    code = """if True:
        import sys
        sys.modules["sklearn"] = None  # its import fails
        from ase.io import read
        from plip import load_potential
        atoms = read("atoms.xyz")
        potential = load_potential("model.json")
        atoms.calc = potential.calculator()
        assert abs(atoms.get_potential_energy() - potential.energy(atoms)) < 1e-12
        print(repr(potential.energy(atoms)))
    """
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    # The file of the positions has 8 decimals.
    assert float(run.stdout) == pytest.approx(potential.energy(atoms), abs=1e-5)


# Bad structures


def bad_structures():
    def change(**values):
        atoms = Atoms("SiC", positions=[[0, 0, 0], [0, 0, 1.8]], cell=[4, 4, 4], pbc=True)
        for name, value in values.items():
            setattr(atoms, name, value)
        return atoms

    return {
        "NaN": (change(positions=[[0, 0, 0], [0, 0, np.nan]]), "positions"),
        "infinite": (change(positions=[[0, 0, 0], [0, 0, np.inf]]), "positions"),
        "far": (change(positions=[[0, 0, 0], [0, 0, 1e8]]), "positions"),
        "NaN cell": (change(cell=np.diag([1.0, 2.0, np.nan])), "cell"),
        "unknown species": (change(numbers=[14, 8]), "O, which this potential does not know"),
        "no element": (change(numbers=[14, 0]), "does not know"),
        "no cell": (change(cell=np.zeros((3, 3))), "cell vector a"),
        "flat cell": (change(cell=[[4, 0, 0], [0, 4, 0], [4, 4, 0]]), "without volume"),
        "one place": (change(positions=[[0, 0, 0], [0, 4, 8 - 1e-4]]), "closer than 0.001"),
        "thin cell": (change(cell=[4, 4, 1e-4]), "closer than 0.001"),
    }


@pytest.mark.parametrize("name", bad_structures())
def test_bad_structures(name):
    potential, _ = small_potential()
    atoms, match = bad_structures()[name]
    for method in (potential.energy, potential.forces, potential.stress):
        with pytest.raises(ValueError, match=match):
            method(atoms)


def test_a_list_is_not_a_structure():
    potential, _ = small_potential()
    with pytest.raises(TypeError, match="one by one"):
        potential.energy([Atoms("Si")])


def test_no_atoms():
    potential, _ = small_potential()
    for atoms in (Atoms(), Atoms(cell=[3, 3, 3], pbc=True), Atoms(cell=[3, 0, 0], pbc=(1, 0, 0))):
        results = potential.evaluate(atoms)
        assert results["energy"] == 0.0
        assert (results["energies"].shape, results["forces"].shape) == ((0,), (0, 3))
        np.testing.assert_array_equal(results["stress"], np.full(6, 0.0 if atoms.cell.rank == 3 else np.nan))
        atoms.calc = potential.calculator()
        assert (atoms.get_potential_energy(), atoms.get_forces().shape) == (0.0, (0, 3))


def test_structures_that_are_too_dense():
    potential, _ = small_potential()
    atoms = Atoms("C", cell=[0.04] * 3, pbc=True)
    for energy in (potential.energy, potential.calculator().get_potential_energy):
        with pytest.raises(ValueError, match="too many neighbors"):
            energy(atoms)
    with pytest.raises(ValueError, match="too many neighbors"):
        potential.energy(Atoms("C", cell=[0.1] * 3, pbc=True).repeat(16))


def test_cell_with_a_tiny_angle_takes_no_time():
    potential, _ = small_potential()
    angle = np.radians(0.15)
    vectors = np.array([[800, 0, 0], [800 * np.cos(angle), 800 * np.sin(angle), 0], [0, 0, 4]])
    atoms = Atoms("C", cell=vectors, pbc=True)
    reduced = Atoms("C", cell=atoms.cell.minkowski_reduce()[0], pbc=True)
    begin = time.perf_counter()
    energy = potential.energy(atoms)
    assert time.perf_counter() - begin < 0.5
    assert energy == pytest.approx(potential.energy(reduced), abs=1e-12)


def test_functions_too_steep_for_a_structure_are_refused():
    """Instead of energies that are infinite, or not a number."""
    dimer = Atoms("Cu2", [[0, 0, 0], [0, 0, 1.5]])
    steep = ((LennardJones(sigma=4e9), 1.0), (Power(powers=2e30), 1.0), (Power(powers=0.0), 1e300))
    for function, coefficient in steep:
        terms = build_terms(["Cu"], 4.0, n_body=NBody(function, powers=(2, 3)))
        coef = [coefficient, -0.5 * coefficient]
        potential = Potential(SimpleNamespace(terms_=terms, species_=("Cu",)), coef, {"Cu": 0.0})
        for evaluate in (potential.evaluate, potential.calculator().get_potential_energy):
            with pytest.raises(ValueError, match="energy of atom 0, or a force, is not finite"):
                evaluate(dimer)
