"""What the command line says of mistakes: one line that names the file, the structure and the remedy."""

import logging
import re

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from cli_runs import KEYS, fails, with_keys

from plip.cli import main
from plip.regressor import FitError
from plip.solvers import PathError


def test_empty_potential_is_never_written_silently(cli_fit, tmp_path, capsys, monkeypatch):
    # Outside of pytest nothing handles log records, so that Python prints warnings among them.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    command = [
        "fit",
        cli_fit["test"],
        "-o",
        str(tmp_path / "model.json"),
        "--cutoff",
        "3",
        "-q",
        "--no-plot",
    ]
    assert main([*command, "--alpha", "1e9"]) == 0
    captured = capsys.readouterr()
    assert "no term was kept" in captured.out
    assert "plip: warning: no term was kept" in captured.err
    assert captured.err.count("no term was kept") == 1


def test_unlabeled_file_lists_what_it_has(cli_fit, cli_data, tmp_path, capsys):
    path = tmp_path / "renamed.xyz"
    write(path, [with_keys(atoms) for atoms in cli_data[1]], format="extxyz")
    message = fails(capsys, "fit", path, "-o", tmp_path / "model.json")
    assert "REF_energy" in message and "REF_forces" in message and "--energy-key" in message
    assert not (tmp_path / "model.json").exists()


def test_partial_stress_is_taken_and_absent_stress_is_an_error(cli_fit, cli_data, tmp_path, capsys):
    path = tmp_path / "part.xyz"
    renamed = [with_keys(atoms) for atoms in cli_data[1]]
    del renamed[0].info["REF_stress"]
    write(path, renamed, format="extxyz")
    assert main(["evaluate", cli_fit["model"], str(path), "-q", *KEYS]) == 0
    n_stresses = int(re.search(r"^data .* (\d+)$", capsys.readouterr().out, re.MULTILINE).group(1))
    assert n_stresses == 6 * (len(renamed) - 1)
    assert "virial" in fails(capsys, "evaluate", cli_fit["model"], path, *KEYS[:4], "--stress-key", "virial")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fit", "missing.xyz"], "missing.xyz: no such file"),
        (["fit", "{train}", "--test", "missing.xyz"], "missing.xyz: no such file"),
        # A pattern of names that the shell has replaced.
        (["fit", "--test", "{test}", "{train}"], "training structures (before --test, which takes all files"),
        (["evaluate", "missing.json", "{test}"], "missing.json"),
        (["evaluate", "{train}", "{test}"], "train.xyz"),
        (["fit", "{train}", "-o", "nowhere/model.json"], "no folder nowhere"),
        (["fit", "{train}", "-o", "."], "is a folder"),
        (["fit", "{train}", "--plot", "plot.doc"], "plot.doc"),
        (["fit", "{train}", "--virial-key", "virial", "--stress-unit", "GPa"], "--virial-key is in eV"),
        (
            ["fit", "{train}", "--virial-key", "virial", "--stress-sign", "compression"],
            "--virial-key is in eV",
        ),
        (["fit", "{train}", "--preset", "best"], "preset must be one of"),
        (["fit", "{train}", "--solver", "magic"], "solver"),
        (["fit", "{train}", "--alpha", "-1"], "alpha"),
        (["fit", "{train}", "--energy-weight", "nan"], "energy_weight"),
        (["fit", "{garbage}"], "structure 0 should have 3 atoms, but the file ends after 1"),
        (["fit", "{empty}"], "empty.xyz"),
    ],
)
def test_user_errors_are_one_line(arguments, expected, cli_fit, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "garbage.xyz").write_text("3\nno\natoms\n", encoding="utf-8")
    (tmp_path / "empty.xyz").touch()
    names = {**cli_fit, "garbage": "garbage.xyz", "empty": "empty.xyz"}
    before = sorted(tmp_path.iterdir())
    assert expected in fails(capsys, *[argument.format(**names) for argument in arguments], "-q")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("option", ["--solver magic", "--alpha -1", "--energy-weight -1", "-j 0"])
def test_bad_settings_come_before_any_file_is_read(option, capsys):
    name = option.split()[0].strip("-").replace("-", "_").replace("j", "n_jobs")
    assert f"error: {name} must be" in fails(capsys, "fit", "missing.xyz", *option.split())


def test_bad_labels_name_the_structure(cli_fit, cli_data, tmp_path, capsys):
    path = tmp_path / "bad.xyz"
    bad = [atoms.copy() for atoms in cli_data[1]]
    for index, atoms in enumerate(bad):
        energy = np.nan if index == 3 else cli_data[1][index].calc.results["energy"]
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
    write(path, bad, format="extxyz")
    assert "structure 3" in fails(capsys, "fit", path, "-o", tmp_path / "model.json", "-q")


def test_unknown_species_in_evaluate(cli_fit, cli_data, tmp_path, capsys):
    path = tmp_path / "germanium.xyz"
    atoms = cli_data[1][0].copy()
    atoms.symbols[0] = "Ge"
    atoms.calc = SinglePointCalculator(atoms, energy=1.0)
    write(path, atoms, format="extxyz")
    assert "Ge" in fails(capsys, "evaluate", cli_fit["model"], path, "-q")


def test_bad_test_data_is_found_before_the_fit(cli_fit, cli_data, tmp_path, monkeypatch, capsys):
    path = tmp_path / "germanium.xyz"
    atoms = cli_data[1][0].copy()
    atoms.symbols[0] = "Ge"
    atoms.calc = SinglePointCalculator(atoms, energy=1.0)
    write(path, atoms, format="extxyz")
    monkeypatch.setattr("plip.PLIPRegressor.fit", lambda *arguments, **options: pytest.fail("fitted"))
    message = fails(capsys, "fit", cli_fit["train"], "--test", path, "-o", tmp_path / "model.json", "-q")
    assert "germanium.xyz, structure 0 (" in message and "Ge" in message


@pytest.mark.parametrize("kind", [PathError, FitError])
def test_fit_that_fails_is_one_line(kind, cli_fit, tmp_path, monkeypatch, capsys):
    def fit(*arguments, **options):
        raise kind("alpha cannot be reached")

    monkeypatch.setattr("plip.PLIPRegressorCV.fit", fit)
    message = fails(capsys, "fit", cli_fit["train"], "-o", tmp_path / "model.json", "-q")
    assert message == "plip: error: alpha cannot be reached"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["Unable to allocate 50.5 MiB", ""])
def test_memory_that_is_used_up_is_one_line(text, cli_fit, tmp_path, monkeypatch, capsys):
    def fit(*arguments, **options):
        raise MemoryError(text)

    monkeypatch.setattr("plip.PLIPRegressorCV.fit", fit)
    message = fails(capsys, "fit", cli_fit["train"], "-o", tmp_path / "model.json", "-q")
    assert message.startswith("plip: error: not enough memory: ") and text in message


def test_failed_fit_leaves_the_old_potential(cli_fit, tmp_path, capsys):
    target = tmp_path / "model.json"
    target.write_text("{}", encoding="utf-8")
    fails(capsys, "fit", cli_fit["train"], "--alpha", "-1", "-o", target, "-q")
    assert target.read_text(encoding="utf-8") == "{}"
