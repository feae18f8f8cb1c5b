"""The ASE calculator: all properties, the neighbor list that is reused, ASE's own tools."""

import copy
import importlib.util
import io
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.calculators.test import gradient_test
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter
from ase.md.nptberendsen import NPTBerendsen
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from sample_potentials import energy_after_a_move, energy_of, interactions, make_potential, sample_potential
from sample_structures import sample

from plip import PLIPRegressor
from plip.calculator import PLIPCalculator
from plip.interactions import TwoBody
from plip.interactions._terms import build_terms
from plip.potential import Potential
from plip.radial import LennardJones


@pytest.fixture(scope="module")
def solid():
    """Copper with a Lennard-Jones potential that holds it together, and some many-body terms."""
    atoms = bulk("Cu", cubic=True, a=3.7) * (2, 2, 2)
    pair = build_terms(["Cu"], 5.0, two_body=TwoBody(LennardJones(sigma=2.35)))
    small = make_potential(atoms, build_terms(["Cu"], 4.0, **interactions(4.0)), n_terms=20, size=0.05)
    terms = pair + [term for term, _ in small.terms]
    coef = np.concatenate([[0.4], small.coef])
    potential = Potential(SimpleNamespace(terms_=terms, species_=("Cu",)), coef, {"Cu": -3.5})
    return atoms, potential


def warm(atoms, kelvin=300):
    momenta = np.random.default_rng(0).normal(size=(len(atoms), 3))
    momenta *= np.sqrt(atoms.get_masses() * units.kB * kelvin)[:, None]
    atoms.set_momenta(momenta - momenta.mean(axis=0))


@pytest.mark.parametrize("name", ["bulk", "small cell", "triclinic", "slab", "three species"])
def test_all_properties(name):
    atoms, cutoff = sample(name)
    potential = sample_potential(atoms, cutoff)
    expected = potential.evaluate(atoms)
    atoms.calc = potential.calculator()
    # The list with a skin has the neighbors in another order.
    close = {"rtol": 0, "atol": 1e-11}
    np.testing.assert_allclose(atoms.get_potential_energy(), expected["energy"], **close)
    np.testing.assert_allclose(atoms.get_potential_energy(force_consistent=True), expected["energy"], **close)
    np.testing.assert_allclose(atoms.get_potential_energies(), expected["energies"], **close)
    np.testing.assert_allclose(atoms.get_forces(), expected["forces"], **close)
    np.testing.assert_allclose(atoms.get_stress(), expected["stress"], **close)
    np.testing.assert_allclose(atoms.get_stresses().sum(axis=0), expected["stress"], **close)
    assert set(PLIPCalculator.implemented_properties) == {
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
        "stresses",
    }


def test_molecule_has_no_stress():
    atoms, cutoff = sample("molecule")
    atoms.calc = sample_potential(atoms, cutoff).calculator()
    assert np.isfinite(atoms.get_forces()).all()
    for method in (atoms.get_stress, atoms.get_stresses):
        with pytest.raises(PropertyNotImplementedError):
            method()


def test_parameters_are_checked():
    potential = sample_potential(*sample("bulk"), n_terms=3)
    for name, values in (
        ("skin", (-0.1, np.nan, np.inf, "1", None, True)),
        ("n_threads", (0, -1, 1.5, 2.0, "2", None, True, 2**40, np.array([1, 2]))),
    ):
        for value in values:
            with pytest.raises(ValueError, match=name):
                potential.calculator(**{name: value})


@pytest.mark.parametrize("other", ["model.json", None, PLIPRegressor()])
def test_only_potentials_have_calculators(other):
    with pytest.raises(TypeError, match="load_potential"):
        PLIPCalculator(other)


def test_unknown_parameters_are_refused(tmp_path):
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff, n_terms=3)
    with pytest.raises(TypeError, match="no parameter nthreads"):
        potential.calculator(nthreads=2)
    calc = potential.calculator(directory=str(tmp_path), atoms=atoms)
    assert atoms.calc is calc
    with pytest.raises(TypeError, match="no parameter skin"):
        calc.set(skin=3.0)
    assert calc.set() == {}
    assert atoms.get_potential_energy() == pytest.approx(potential.energy(atoms), abs=1e-10)


@pytest.mark.parametrize("number", [2, np.int64(2), np.uint8(2)])
def test_any_integer_is_a_number_of_threads(number):
    atoms, cutoff = sample("small cell")
    atoms *= (13, 13, 13)  # enough atoms for threads
    potential = sample_potential(sample("small cell")[0], cutoff, n_terms=5)
    atoms.calc = potential.calculator(n_threads=number, skin=np.float32(0.25))
    assert atoms.get_potential_energy() == potential.calculator(skin=0.25).get_potential_energy(atoms)


def through_joblib(thing):
    file = io.BytesIO()
    joblib.dump(thing, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize(
    "twin_of",
    [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing)), through_joblib],
    ids=["copy", "deepcopy", "pickle", "joblib"],
)
def test_copies_of_a_calculator(used, twin_of):
    """A copy has the same energy, also after moves of its own, and leaves the original alone."""
    atoms, cutoff = sample("triclinic")
    potential = sample_potential(atoms, cutoff)
    energy = potential.energy(atoms)
    atoms.calc = potential.calculator(skin=0.3, n_threads=2)
    if used:
        atoms.get_forces()
    twins = [twin_of(atoms.calc)] if twin_of is copy.copy else [twin_of(atoms.calc), twin_of(atoms).calc]
    for calc in twins:
        assert calc is not atoms.calc
        assert calc.n_threads == 2
        other = atoms.copy()
        other.calc = calc
        assert other.get_potential_energy() == pytest.approx(energy, abs=1e-10)
        other.positions[1] += 0.3
        assert other.get_potential_energy() == pytest.approx(potential.energy(other), abs=1e-10)
        assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-10)


def test_calculators_in_use_go_to_other_processes():
    atoms, cutoff = sample("triclinic")
    potential = sample_potential(atoms, cutoff)
    atoms.calc = potential.calculator()
    atoms.get_forces()
    moved = atoms.copy()
    moved.positions[0] += 0.05
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(energy_of, atoms).result() == pytest.approx(potential.energy(atoms), abs=1e-10)
        there = pool.submit(energy_after_a_move, atoms).result()
    assert there == pytest.approx(potential.energy(moved), abs=1e-10)


def test_bad_structures_are_refused():
    atoms, cutoff = sample("bulk")
    atoms.calc = sample_potential(atoms, cutoff, n_terms=3).calculator()
    atoms.get_forces()
    atoms.positions[1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        atoms.get_forces()
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(ValueError, match="closer than"):
        atoms.get_forces()
    other = Atoms("Ge")
    other.calc = atoms.calc
    with pytest.raises(ValueError, match="Ge"):
        other.get_potential_energy()


def test_what_was_refused_has_no_results():
    atoms, cutoff = sample("bulk")
    calc = sample_potential(atoms, cutoff, n_terms=3).calculator()
    calc.calculate(atoms)
    energy = calc.results["energy"]
    lost, unknown = atoms.copy(), atoms.copy()
    lost.positions[1] = lost.positions[0]
    unknown.symbols[0] = "Ge"
    for bad, message in ((lost, "closer than"), (unknown, "Ge")):
        with pytest.raises(ValueError, match=message):
            calc.calculate(bad)
        assert calc.get_property("energy", atoms, allow_calculation=False) == energy
        with pytest.raises(ValueError, match=message):
            calc.get_property("energy", bad)
        calc.calculate(atoms)


# The list that is reused


def test_reused_list_gives_the_right_forces(solid):
    """Random walks of positions and cell, with and without rebuilding."""
    atoms, potential = solid
    atoms = atoms.copy()
    calc = potential.calculator(skin=0.6)
    rng = np.random.default_rng(1)
    n_steps = 40
    for _ in range(n_steps):
        atoms.positions += rng.normal(scale=0.02, size=(len(atoms), 3))
        strain = rng.normal(scale=0.004, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        calc.calculate(atoms, ["forces", "stress"])
        expected = potential.evaluate(atoms)
        np.testing.assert_allclose(calc.results["energy"], expected["energy"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(calc.results["forces"], expected["forces"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(calc.results["stress"], expected["stress"], rtol=0, atol=1e-11)
    # It was reused, and rebuilt in time.
    assert 1 < calc._neighbors.n_builds < n_steps / 3


def test_list_lasts_until_half_the_skin(solid):
    atoms, potential = solid
    atoms = atoms.copy()
    calc = potential.calculator(skin=0.4)

    def builds():
        calc.calculate(atoms, ["energy"])
        return calc._neighbors.n_builds

    assert builds() == 1
    atoms.positions[3, 0] += 0.199
    assert builds() == 1
    atoms.positions[3, 0] += 0.002
    assert builds() == 2
    # Homogeneous strain of a large cell moves far atoms by more than the skin, but pairs only by a little.
    atoms.set_cell(atoms.cell * 1.05, scale_atoms=True)
    assert builds() == 2
    atoms.set_cell(atoms.cell * 0.8, scale_atoms=True)
    assert builds() == 3
    atoms.pbc = (True, True, False)
    assert builds() == 4
    del atoms[0]
    assert builds() == 5
    # Jumps by a cell vector are displacements, whatever they do to the physics.
    atoms.positions[2] += atoms.cell[0]
    assert builds() == 6


class Interrupted(np.ndarray):
    """Positions of which no copy can be made in time."""

    def copy(self, order="C"):
        raise KeyboardInterrupt


def test_an_interrupt_leaves_no_list_of_other_positions(solid):
    atoms, potential = solid
    calc = potential.calculator()
    calc.calculate(atoms)
    moved = atoms.positions.copy()
    moved[::2] *= 2.0
    with pytest.raises(KeyboardInterrupt):
        calc._neighbors.find(moved.view(Interrupted), atoms.cell.array, atoms.pbc)
    calc.calculate(atoms)
    assert calc.results["energy"] == pytest.approx(potential.energy(atoms), abs=1e-9)


def test_same_list_serves_exchanged_species():
    atoms, cutoff = sample("two species")
    potential = sample_potential(atoms, cutoff)
    calc = potential.calculator()
    calc.calculate(atoms, ["energy"])
    atoms.numbers[[0, 5]] = atoms.numbers[[5, 0]]
    calc.calculate(atoms, ["energy"])
    assert calc.results["energy"] == pytest.approx(potential.energy(atoms), abs=1e-11)
    assert calc._neighbors.n_builds == 1


def test_every_change_of_a_structure_counts():
    """Species, cell and periodicity are kept from one step to the next, as long as they are the same."""
    atoms, cutoff = sample("three species")
    potential = sample_potential(atoms, cutoff)
    atoms.calc = calculator = potential.calculator()

    def check(changed):
        assert calculator.check_state(atoms) == changed
        fresh = potential.evaluate(atoms)
        assert atoms.get_potential_energy() == pytest.approx(fresh["energy"], abs=1e-10)
        np.testing.assert_allclose(atoms.get_forces(), fresh["forces"], rtol=0, atol=1e-11)
        np.testing.assert_allclose(atoms.get_stress(), fresh["stress"], rtol=0, atol=1e-11)
        assert calculator.check_state(atoms) == []

    atoms.get_potential_energy()
    atoms.positions[0, 1] += 1e-15 * (1.0 + abs(atoms.positions[0, 1]))
    check(["positions"])
    other = (atoms.numbers != atoms.numbers[0]).argmax()
    atoms.numbers[[0, other]] = atoms.numbers[[other, 0]]
    check(["numbers"])
    atoms.set_cell(atoms.cell.array * 1.01)
    check(["cell"])
    atoms.pbc = [True, False, True]
    check(["pbc"])
    atoms.set_initial_charges(np.ones(len(atoms)))
    assert calculator.check_state(atoms) == []
    del atoms[-1]
    atoms.get_potential_energy()
    assert len(atoms.get_forces()) == len(atoms)
    atoms.positions[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        atoms.get_forces()
    atoms.positions[0, 0] = 0.0
    atoms.cell[0] = 0.0
    with pytest.raises(ValueError, match="periodic along cell vector a"):
        atoms.get_forces()


def test_shrinking_cell_brings_new_neighbors():
    # Without the strain in the criterion, the pairs beyond the old list would be lost.
    atoms, cutoff = sample("small cell")
    potential = sample_potential(atoms, cutoff)
    calc = potential.calculator(skin=0.3)
    for factor in (1.0, 0.98, 0.96, 0.93, 0.9):
        squeezed = atoms.copy()
        squeezed.set_cell(atoms.cell * factor, scale_atoms=True)
        calc.calculate(squeezed, ["energy"])
        assert calc.results["energy"] == pytest.approx(potential.energy(squeezed), abs=1e-10)


# ASE's tools


def test_energy_is_conserved(solid):
    atoms, potential = solid
    atoms = atoms.copy()
    atoms.calc = potential.calculator()
    warm(atoms)
    start = atoms.get_total_energy()
    energies = []
    dynamics = VelocityVerlet(atoms, 2 * units.fs)
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()), interval=10)
    dynamics.run(300)
    # The error of the integrator at 2 fs; it does not grow.
    assert np.abs(np.array(energies) - start).max() < 2e-4 * len(atoms)
    assert abs(np.mean(energies[-10:]) - np.mean(energies[1:11])) < 1e-5 * len(atoms)


def test_relaxation_of_cell_and_positions(solid):
    atoms, potential = solid
    atoms = atoms.copy()
    atoms.rattle(0.05, seed=2)
    atoms.calc = potential.calculator()
    assert BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-4, steps=300)
    assert np.abs(atoms.get_stress()).max() < 1e-5
    np.testing.assert_allclose(*gradient_test(atoms, indices=[0, 1]), rtol=0, atol=1e-5)


def test_pressure_coupling_changes_the_cell(solid):
    atoms, potential = solid
    atoms = atoms.copy()
    atoms.calc = potential.calculator()
    warm(atoms)
    volume = atoms.get_volume()
    NPTBerendsen(
        atoms,
        2 * units.fs,
        temperature_K=300,
        pressure_au=1.0 * units.GPa,
        compressibility_au=0.01 / units.GPa,
        taut=50 * units.fs,
        taup=200 * units.fs,
    ).run(50)
    assert atoms.get_volume() != volume
    assert atoms.get_potential_energy() == pytest.approx(potential.energy(atoms), abs=1e-9)


def test_constraints_are_left_to_ase(solid):
    atoms, potential = solid
    atoms = atoms.copy()
    atoms.rattle(0.05, seed=2)
    atoms.set_constraint(FixAtoms([0]))
    atoms.calc = potential.calculator()
    assert not atoms.get_forces()[0].any()
    assert atoms.get_forces(apply_constraint=False)[0].any()


# Scripts of the documentation


def example(name):
    path = Path(__file__).parents[1] / "doc" / "examples" / f"{name}.py"
    if not path.exists():
        pytest.skip("the documentation is not here")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_elastic_constants():
    """A pair potential in an fcc crystal at zero stress obeys Cauchy's relation C12 = C44."""
    terms = build_terms(["Cu"], 5.0, two_body=TwoBody(LennardJones(sigma=2.35)))
    potential = Potential(SimpleNamespace(terms_=terms, species_=("Cu",)), [0.4], {"Cu": 0.0})
    script = example("plot_elastic_constants")
    atoms = script.relaxed_crystal(potential.calculator(), "Cu", "fcc", 3.7)
    values = {"a": atoms.cell[0, 0], **script.elastic_constants(atoms)}
    assert 3.5 < values["a"] < 3.9
    assert values["C12"] == pytest.approx(values["C44"], abs=0.2)
    assert values["C11"] > values["C12"]

    # The same from stresses of strained cells, as training data hold them; 0.5 % is not quite a small strain.
    structures = []
    for component in range(6):
        for size in (-0.005, 0.005):
            row, column = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))[component]
            strain = np.zeros((3, 3))
            strain[row, column] += size / 2
            strain[column, row] += size / 2
            atoms = bulk("Cu", "fcc", a=values["a"], cubic=True) * (2, 1, 1)
            atoms.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
            stress = potential.evaluate(atoms)["stress"]
            atoms.calc = SinglePointCalculator(atoms, stress=stress)
            structures.append(atoms)
    found = example("elastic_constants_of_data").elastic_constants(structures, values["a"] * 1.001)
    assert found[0] == pytest.approx(values["a"], rel=5e-4)
    for name, value in zip(("C11", "C12", "C44"), found[1:], strict=True):
        assert value / units.GPa == pytest.approx(values[name], rel=0.03)


def test_phonons(tmp_path, monkeypatch):
    """Runs in a folder of its own, since ASE keeps a cache of forces, and finds plausible frequencies."""
    monkeypatch.chdir(tmp_path)
    terms = build_terms(["Cu"], 3.6, two_body=TwoBody(LennardJones(sigma=2.35)))
    potential = Potential(SimpleNamespace(terms_=terms, species_=("Cu",)), [0.4], {"Cu": 0.0})
    bands = example("plot_phonons").phonon_bands(bulk("Cu", a=3.66), potential.calculator())
    assert np.isfinite(bands.energies).all()
    # Longitudinal phonons of copper-like atoms and springs: some ten meV.
    assert 5e-3 < bands.energies.max() < 0.1


@pytest.mark.parametrize("pbc", [True, False])
def test_atoms_that_meet_within_the_skin(pbc):
    atoms, cutoff = sample("two species")
    potential = sample_potential(atoms, cutoff, n_terms=20)
    atoms.pbc = pbc
    atoms.calc = potential.calculator(skin=3.0)
    atoms.get_potential_energy()
    n_builds = atoms.calc._neighbors.n_builds
    start = atoms.positions.copy()
    for shift in ([0.0, 0.0, 0.0], [3e-4, 0.0, 0.0]):
        atoms.positions[4:6] = (start[4] + start[5]) / 2
        atoms.positions[5] += shift
        with pytest.raises(ValueError, match="two atoms are closer"):
            atoms.get_potential_energy()
        with pytest.raises(ValueError, match="two atoms are closer"):
            potential.energy(atoms)
    assert atoms.calc._neighbors.n_builds == n_builds  # this is about a list that is used again
    atoms.positions = start
    assert atoms.get_potential_energy() == pytest.approx(potential.energy(atoms), abs=1e-10)


def test_a_calculator_without_a_structure_asks_for_one():
    atoms, cutoff = sample("bulk")
    with pytest.raises(ValueError, match="pass atoms to calculate"):
        sample_potential(atoms, cutoff).calculator().calculate()
