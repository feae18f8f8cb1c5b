"""The command line: what it prints, what it writes, and how it fails."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from plip import load_potential
from plip.cli import main
from plip.datasets import load_silicon_carbide
from plip.metrics import error_summary
from plip.plotting import parity_plot
from plip.report import Evaluation
from plip.solvers import PathError

# Small settings that fit in a second.
SMALL = ["--cutoff", "3.0", "--max-terms", "20", "--quiet", "--no-plot"]


@pytest.fixture(scope="module")
def structures():
    train, test = load_silicon_carbide()
    return train[::6], test[::4]


@pytest.fixture(scope="module")
def files(structures, tmp_path_factory):
    """Training and test file, a model fitted to the first, and what the fit printed."""
    folder = tmp_path_factory.mktemp("cli")
    paths = {name: str(folder / f"{name}.xyz") for name in ("train", "test")}
    for name, atoms in zip(paths, structures, strict=True):
        write(paths[name], atoms, format="extxyz")
    paths["model"] = str(folder / "model.json")
    run = [sys.executable, "-m", "plip", "fit", paths["train"], "--test", paths["test"], "-o", paths["model"]]
    done = subprocess.run([*run, *SMALL], capture_output=True, text=True, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    paths["report"] = done.stdout
    return paths


def _fails(capsys, *arguments):
    """The one line of a user error."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("plip: error: "), captured.err
    return lines[0]


def _errors(report, row):
    """Numbers of a row of the table of errors."""
    table = report[report.index("errors") :]
    return [float(x) for x in re.search(rf"^{row}\s+(.*)$", table, re.MULTILINE).group(1).split()]


def test_demo_under_thirty_seconds(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--quiet"]) == 0
    report = capsys.readouterr().out
    # The figure that the main job is held to; the fit takes a small part of it.
    assert float(re.search(r"\((\S+) s of CPU time\)", report).group(1)) < 30
    for word in (
        "meV/atom",
        "eV/A",
        "RMSE",
        "MAE",
        "three-body",
        "offered",
        "kept",
        "strongest terms",
        "fc(r",
    ):
        assert word in report
    assert (tmp_path / "plip_demo.png").read_bytes().startswith(b"\x89PNG")
    potential = load_potential(tmp_path / "plip_demo.json")
    assert 0 < len(potential.terms) <= 300
    # An eighth of the root mean square of the forces of the test set, 4.6 eV/A.
    assert _errors(report, "test")[2] < 0.58
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plip_demo.json", "plip_demo.png"]


def test_fit_prints_the_errors_of_the_potential_it_wrote(files, structures):
    potential = load_potential(files["model"])
    assert 0 < len(potential.terms) <= 20
    assert potential.cutoff == 3.0
    for name, atoms in zip(("train", "test"), structures, strict=True):
        found = error_summary(potential, atoms)
        expected = [found[f"{t}_{m}"] for t in ("energy", "force", "stress") for m in ("rmse", "mae")]
        # The file keeps eight decimals of positions and forces; the table prints three to five digits.
        np.testing.assert_allclose(_errors(files["report"], name), expected, rtol=1e-3, atol=6e-3)


def test_fit_counts_the_terms(files):
    kept = int(re.search(r"^all\s+\d+\s+(\d+)$", files["report"], re.MULTILINE).group(1))
    assert kept == len(load_potential(files["model"]).terms)
    shown = re.findall(r"^ +\d+  (\d\.\d{3}) ", files["report"], re.MULTILINE)
    assert shown[0] == "1.000"
    assert [float(x) for x in shown] == sorted(map(float, shown), reverse=True)


def test_fit_with_a_preset(files, tmp_path, capsys):
    output = tmp_path / "model.json"
    options = ["--preset", "balanced", "--cutoff", "3.5", "--quiet", "--no-plot", "-o", str(output)]
    assert main(["fit", files["train"], *options]) == 0
    assert "four-body" in capsys.readouterr().out
    # The four-body interaction of this preset reaches 0.9 times as far as the others.
    assert {term.cutoff for term, _ in load_potential(output).terms} <= {3.5, 3.15}


def test_evaluate_agrees_with_fit(files, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    plot = tmp_path / "parity.svg"
    assert main(["evaluate", files["model"], files["test"], "--quiet", "--plot", str(plot)]) == 0
    report = capsys.readouterr().out
    assert _errors(report, "data") == _errors(files["report"], "test")
    assert "zincblende-thermal" in report
    assert "<svg" in plot.read_text(encoding="utf-8")


def test_evaluate_without_forces_shows_energies_only(files, tmp_path, capsys):
    atoms = read(files["test"], ":")
    for one in atoms:
        one.calc = SinglePointCalculator(one, energy=one.calc.results["energy"])
    write(tmp_path / "energies.xyz", atoms, format="extxyz")
    assert main(["evaluate", files["model"], str(tmp_path / "energies.xyz"), "-q"]) == 0
    report = capsys.readouterr().out
    assert "meV/atom" in report and "eV/A" not in report and "GPa" not in report


def test_slices_and_several_files(files, capsys):
    train, test = files["train"], files["test"]
    assert main(["evaluate", files["model"], f"{train}@:4", test, "-q"]) == 0
    n_structures = int(re.search(r"^data\s+(\d+)", capsys.readouterr().out, re.MULTILINE).group(1))
    assert n_structures == 4 + len(read(test, ":"))


def _renamed(atoms, **extra):
    """A copy whose labels are where ASE does not look for them."""
    results = atoms.calc.results
    atoms = atoms.copy()
    atoms.info.update(REF_energy=results["energy"], REF_stress=results["stress"], **extra)
    atoms.arrays["REF_forces"] = results["forces"]
    return atoms


KEYS = ["--energy-key", "REF_energy", "--forces-key", "REF_forces", "--stress-key", "REF_stress"]


def test_labels_under_other_names(files, structures, tmp_path, capsys):
    path = tmp_path / "renamed.xyz"
    write(path, [_renamed(atoms) for atoms in structures[1]], format="extxyz")
    assert main(["evaluate", files["model"], str(path), "-q", *KEYS]) == 0
    renamed = _errors(capsys.readouterr().out, "data")
    assert renamed == _errors(files["report"], "test")


def test_named_energy_wins_over_attached_ones(files, structures, tmp_path, capsys):
    path = tmp_path / "both.xyz"
    atoms = structures[1][0].copy()
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, free_energy=0.0)
    atoms.info["REF_energy"] = float(load_potential(files["model"]).energy(atoms))
    write(path, atoms, format="extxyz")
    assert main(["evaluate", files["model"], str(path), "-q", "--energy-key", "REF_energy"]) == 0
    assert _errors(capsys.readouterr().out, "data") == [0.0, 0.0]


def test_missing_key_names_the_structure(files, structures, tmp_path, capsys):
    path = tmp_path / "part.xyz"
    renamed = [_renamed(atoms) for atoms in structures[1]]
    del renamed[2].info["REF_energy"]
    write(path, renamed, format="extxyz")
    message = _fails(capsys, "evaluate", files["model"], path, "-q", "--energy-key", "REF_energy")
    assert "structure 2" in message and "REF_energy" in message


def test_unlabelled_file_lists_what_it_has(files, structures, tmp_path, capsys):
    path = tmp_path / "renamed.xyz"
    write(path, [_renamed(atoms) for atoms in structures[1]], format="extxyz")
    message = _fails(capsys, "fit", path, "-o", tmp_path / "model.json")
    assert "REF_energy" in message and "REF_forces" in message and "--energy-key" in message
    assert not (tmp_path / "model.json").exists()


def test_partial_stress_is_taken_and_absent_stress_is_an_error(files, structures, tmp_path, capsys):
    path = tmp_path / "part.xyz"
    renamed = [_renamed(atoms) for atoms in structures[1]]
    del renamed[0].info["REF_stress"]
    write(path, renamed, format="extxyz")
    assert main(["evaluate", files["model"], str(path), "-q", *KEYS]) == 0
    n_stresses = int(re.search(r"^data .* (\d+)$", capsys.readouterr().out, re.MULTILINE).group(1))
    assert n_stresses == 6 * (len(renamed) - 1)
    assert "virial" in _fails(capsys, "evaluate", files["model"], path, *KEYS[:4], "--stress-key", "virial")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fit", "missing.xyz"], "missing.xyz: no such file"),
        (["fit", "{train}", "--test", "missing.xyz"], "missing.xyz: no such file"),
        (["evaluate", "missing.json", "{test}"], "missing.json"),
        (["evaluate", "{train}", "{test}"], "train.xyz"),
        (["fit", "{train}", "-o", "nowhere/model.json"], "no folder nowhere"),
        (["fit", "{train}", "-o", "."], "is a folder"),
        (["fit", "{train}", "--plot", "plot.doc"], "plot.doc"),
        (["fit", "{train}", "--cutoff", "-1"], "cutoff"),
        (["fit", "{train}", "--preset", "best"], "preset must be one of"),
        (["fit", "{train}", "--solver", "magic"], "solver"),
        (["fit", "{train}", "--alpha", "-1"], "alpha"),
        (["fit", "{train}", "--energy-weight", "nan"], "energy_weight"),
        (["fit", "{garbage}"], "cannot read"),
        (["fit", "{empty}"], "empty.xyz"),
    ],
)
def test_user_errors_are_one_line(arguments, expected, files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "garbage.xyz").write_text("3\nno\natoms\n", encoding="utf-8")
    (tmp_path / "empty.xyz").touch()
    names = {**files, "garbage": "garbage.xyz", "empty": "empty.xyz"}
    before = sorted(tmp_path.iterdir())
    assert expected in _fails(capsys, *[argument.format(**names) for argument in arguments], "-q")
    assert sorted(tmp_path.iterdir()) == before


def test_bad_labels_name_the_structure(files, structures, tmp_path, capsys):
    path = tmp_path / "bad.xyz"
    bad = [atoms.copy() for atoms in structures[1]]
    for index, atoms in enumerate(bad):
        energy = np.nan if index == 3 else structures[1][index].calc.results["energy"]
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
    write(path, bad, format="extxyz")
    assert "structure 3" in _fails(capsys, "fit", path, "-o", tmp_path / "model.json", "-q")


def test_unknown_species_in_evaluate(files, structures, tmp_path, capsys):
    path = tmp_path / "germanium.xyz"
    atoms = structures[1][0].copy()
    atoms.symbols[0] = "Ge"
    atoms.calc = SinglePointCalculator(atoms, energy=1.0)
    write(path, atoms, format="extxyz")
    assert "Ge" in _fails(capsys, "evaluate", files["model"], path, "-q")


def test_bad_test_data_is_found_before_the_fit(files, structures, tmp_path, monkeypatch, capsys):
    path = tmp_path / "germanium.xyz"
    atoms = structures[1][0].copy()
    atoms.symbols[0] = "Ge"
    atoms.calc = SinglePointCalculator(atoms, energy=1.0)
    write(path, atoms, format="extxyz")
    monkeypatch.setattr("plip.PLIPRegressor.fit", lambda *arguments: pytest.fail("fitted"))
    message = _fails(capsys, "fit", files["train"], "--test", path, "-o", tmp_path / "model.json", "-q")
    assert "test data: structure 0" in message and "Ge" in message


def test_path_that_ends_early_is_one_line(files, tmp_path, monkeypatch, capsys):
    def fit(*arguments):
        raise PathError("alpha cannot be reached")

    monkeypatch.setattr("plip.PLIPRegressor.fit", fit)
    message = _fails(capsys, "fit", files["train"], "-o", tmp_path / "model.json", "-q")
    assert message == "plip: error: alpha cannot be reached"
    assert not list(tmp_path.iterdir())


def test_failed_fit_leaves_the_old_potential(files, tmp_path, capsys):
    target = tmp_path / "model.json"
    target.write_text("{}", encoding="utf-8")
    _fails(capsys, "fit", files["train"], "--alpha", "-1", "-o", target, "-q")
    assert target.read_text(encoding="utf-8") == "{}"


def test_output_is_replaced(files, tmp_path, capsys):
    target = tmp_path / "model.json"
    target.write_text("old", encoding="utf-8")
    assert main(["fit", files["train"], "-o", str(target), *SMALL]) == 0
    assert json.loads(target.read_text(encoding="utf-8"))


def test_progress_goes_to_stderr(files, tmp_path, capsys):
    settings = [setting for setting in SMALL if setting != "--quiet"]
    assert main(["fit", files["train"], "-o", str(tmp_path / "model.json"), "--verbose", *settings]) == 0
    captured = capsys.readouterr()
    assert "Reading" in captured.err and "%" in captured.err
    assert "Reading" not in captured.out


def test_traceback_on_request(capsys):
    assert main(["--traceback", "fit", "missing.xyz"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["fit"], ["nonsense"], ["fit", "a.xyz", "--max-terms", "0"]])
def test_wrong_usage_exits_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert "usage: plip" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as error:
        main(["--version"])
    assert error.value.code == 0
    assert re.fullmatch(r"plip \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


def test_without_matplotlib(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr("plip.cli.find_spec", lambda name: None)
    settings = [setting for setting in SMALL if setting != "--no-plot"]
    target = tmp_path / "model.json"
    assert main(["fit", files["train"], "-o", str(target), *settings]) == 0
    assert "plip-potential[plot]" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]
    message = _fails(capsys, "fit", files["train"], "-o", target, "--plot", tmp_path / "a.png", "-q")
    assert "plip-potential[plot]" in message
    with pytest.raises(ImportError, match=r"plip-potential\[plot\]"):
        parity_plot({})


def test_parity_plot_has_a_panel_for_each_target(files, structures):
    pytest.importorskip("matplotlib")
    atoms = structures[1]
    figure = parity_plot({"test": Evaluation(load_potential(files["model"]), atoms)})
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert [label.split()[1] for label in labels] == ["energy", "force", "stress"]
    reference, predicted = figure.axes[1].lines[0].get_data()
    assert len(reference) == 3 * sum(map(len, atoms))
    rmse = np.sqrt(np.mean((np.asarray(reference) - predicted) ** 2))
    assert f"{rmse:.3f}" in figure.axes[1].get_legend().get_texts()[0].get_text()


def test_report_with_groups_missing(files, structures):
    atoms = [one.copy() for one in structures[1]]
    for one, labelled in zip(atoms, structures[1], strict=True):
        one.calc = SinglePointCalculator(one, **labelled.calc.results)
    del atoms[0].info["group"]
    evaluation = Evaluation(load_potential(files["model"]), atoms)
    assert evaluation.errors("(no group)")["n_structures"] == 1


def test_reader_that_stops_early_is_no_error(files, tmp_path):
    command = [sys.executable, "-u", "-m", "plip", "evaluate", files["model"], files["test"], "-q"]
    # Not in the checkout, whose plip/ without compiled modules `python -m` would find first.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait()
