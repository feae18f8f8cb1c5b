"""The command line: what it prints, what it writes, and its options."""

import contextlib
import errno
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.neighborlist import neighbor_list
from cli_runs import SMALL, errors_of, fails

from plip import PLIPDescriptors, load_potential
from plip.cli import main
from plip.datasets import load_silicon_carbide
from plip.metrics import error_summary, read_groups
from plip.plotting import parity_plot
from plip.report import Evaluation


def test_demo_under_thirty_seconds(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--quiet"]) == 0
    report = capsys.readouterr().out
    # A demonstration that takes longer is not waited for; the fit takes a small part of it.
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
    assert errors_of(report, "test")[2] < 0.58
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plip_demo.json", "plip_demo.png"]


def test_fit_prints_the_errors_of_the_potential_it_wrote(cli_fit, cli_data):
    potential = load_potential(cli_fit["model"])
    assert 0 < len(potential.terms) <= 20
    assert potential.cutoff == 3.0
    for name, atoms in zip(("train", "test"), cli_data, strict=True):
        found = error_summary(potential, atoms)
        expected = [found[f"{t}_{m}"] for t in ("energy", "force", "stress") for m in ("rmse", "mae")]
        # The file keeps eight decimals of positions and forces; the table prints three to five digits.
        np.testing.assert_allclose(errors_of(cli_fit["report"], name), expected, rtol=1e-3, atol=6e-3)


def test_fit_counts_the_terms(cli_fit):
    kept = int(re.search(r"^all\s+[\d,]+\s+(\d+)$", cli_fit["report"], re.MULTILINE).group(1))
    assert kept == len(load_potential(cli_fit["model"]).terms)
    shown = re.findall(r"^ +\d+  (\d\.\d{3}) ", cli_fit["report"], re.MULTILINE)
    assert shown[0] == "1.000"
    assert [float(x) for x in shown] == sorted(map(float, shown), reverse=True)


def test_fit_with_terms_for_any_species(cli_fit, tmp_path):
    for option, is_shared in (("--shared", True), ("--no-shared", False)):
        output = tmp_path / "model.json"
        assert main(["fit", str(cli_fit["train"]), option, *SMALL, "--cv", "3", "-o", str(output)]) == 0
        assert any("*" in term.species for term, _ in load_potential(output).terms) == is_shared


def test_fit_with_a_preset(cli_fit, tmp_path, capsys):
    output = tmp_path / "model.json"
    options = ["--preset", "balanced", "--cutoff", "3.5", *SMALL[4:], "-o", str(output)]
    assert main(["fit", cli_fit["train"], *options]) == 0
    assert "four-body" in capsys.readouterr().out
    # The four-body interaction of this preset reaches 0.9 times as far as the others.
    assert {term.cutoff for term, _ in load_potential(output).terms} <= {3.5, 3.15}


def test_evaluate_agrees_with_fit(cli_fit, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    plot = tmp_path / "parity.svg"
    assert main(["evaluate", cli_fit["model"], cli_fit["test"], "--quiet", "--plot", str(plot)]) == 0
    report = capsys.readouterr().out
    assert errors_of(report, "data") == errors_of(cli_fit["report"], "test")
    assert "zincblende-thermal" in report
    assert "<svg" in plot.read_text(encoding="utf-8")


def _uncertainty(report, row):
    """Cells of a row of the table of uncertainty."""
    table = report[report.index("\nuncertainty") :]
    return re.search(rf"^{row}\s+(.*)$", table, re.MULTILINE).group(1).split()


def test_files_of_fit_know_their_uncertainty(cli_fit, cli_data, tmp_path, capsys):
    potential = load_potential(cli_fit["model"])
    found = Evaluation(potential, cli_data[1]).uncertainty()
    # The file of structures keeps eight decimals.
    shares = [100 * found["force_coverage"], 100 * found["energy_coverage"]]
    cells = _uncertainty(cli_fit["report"], "test")
    np.testing.assert_allclose([float(cell) for cell in cells[:2]], shares, atol=0.2)
    assert cells[2:4] == [str(found["n_atoms"]), str(found["n_extrapolated"])]
    of_folds = _uncertainty(cli_fit["report"], "cross-validation")
    assert int(of_folds[2]) == sum(map(len, cli_data[0])) and float(of_folds[4]) <= 1.0
    assert main(["evaluate", cli_fit["model"], cli_fit["test"], "-q"]) == 0
    report = capsys.readouterr().out
    assert _uncertainty(report, "data") == cells
    by_group = [int(_uncertainty(report, f"data, {name}")[2]) for name in np.unique(read_groups(cli_data[1]))]
    assert sum(by_group) == found["n_atoms"]


def test_fit_leaves_uncertainty_out_on_request(cli_fit, tmp_path, capsys):
    output = tmp_path / "small.json"
    assert main(["fit", cli_fit["train"], "--no-uncertainty", *SMALL, "-o", str(output)]) == 0
    assert load_potential(output).uncertainty is None
    assert load_potential(output).terms == load_potential(cli_fit["model"]).terms
    capsys.readouterr()
    assert main(["evaluate", str(output), cli_fit["test"], "-q"]) == 0
    report = capsys.readouterr().out
    assert "The file has no uncertainty" in report and "90 % intervals" not in report


def test_terms_come_before_what_nobody_reads(cli_fit):
    text = Path(cli_fit["model"]).read_text(encoding="utf-8")
    assert text.index('"terms"') < text.index('"uncertainty"')


def test_evaluate_without_forces_shows_energies_only(cli_fit, tmp_path, capsys):
    atoms = read(cli_fit["test"], ":")
    for one in atoms:
        one.calc = SinglePointCalculator(one, energy=one.calc.results["energy"])
    write(tmp_path / "energies.xyz", atoms, format="extxyz")
    assert main(["evaluate", cli_fit["model"], str(tmp_path / "energies.xyz"), "-q"]) == 0
    report = capsys.readouterr().out
    assert "meV/atom" in report and "eV/A" not in report and "GPa" not in report


def test_slices_and_several_files(cli_fit, capsys):
    train, test = cli_fit["train"], cli_fit["test"]
    assert main(["evaluate", cli_fit["model"], f"{train}@:4", test, "-q"]) == 0
    n_structures = int(re.search(r"^data\s+(\d+)", capsys.readouterr().out, re.MULTILINE).group(1))
    assert n_structures == 4 + len(read(test, ":"))


def test_number_of_terms(cli_fit, tmp_path, capsys):
    target = tmp_path / "model.json"
    common = ["fit", str(cli_fit["train"]), "-o", str(target), *SMALL]
    common[common.index("--max-terms") : common.index("--max-terms") + 2] = []
    assert main([*common, "--terms", "7"]) == 0
    assert len(load_potential(target).terms) == 7
    assert "folds" not in capsys.readouterr().out
    assert main([*common, "--cv", "3", "--max-terms", "12"]) == 0
    captured = capsys.readouterr().out
    assert "3 folds" in captured and "(chosen)" in captured and "cancellation" in captured
    assert 1 <= len(load_potential(target).terms) <= 12
    for options in (["--terms", "7", "--max-terms", "9"], ["--terms", "7", "--cv", "3"]):
        assert "leave" in fails(capsys, *common, *options) or "no use" in fails(capsys, *common, *options)


@pytest.mark.parametrize("name", ["readable", "fast", "stock"])
def test_targets(name, cli_fit, tmp_path, capsys):
    target = tmp_path / "model.json"
    common = ["fit", str(cli_fit["train"]), "-o", str(target), "--allow-unsafe", "-q", "--no-plot"]
    assert main([*common, "--target", name]) == 0
    potential = load_potential(target)
    interactions = {term.interaction for term, _ in potential.terms}
    assert len(potential.terms) <= (25 if name == "readable" else 60)
    assert name == "readable" or "four-body" not in interactions
    if name == "stock":
        capsys.readouterr()
        arguments = ["export", "lammps", str(target), "-o", str(tmp_path / "stock"), "--species", "C", "Si"]
        assert main(arguments) == 0
        assert "no limits of dense surroundings" in capsys.readouterr().out
    if name != "readable":
        capsys.readouterr()
        assert "--preset" in fails(capsys, *common, "--target", name, "--preset", "fast")


def test_what_is_not_safe_in_stock_styles_is_said(tmp_path, capsys):
    train = load_silicon_carbide()[0]
    write(tmp_path / "train.xyz", train)
    common = [str(tmp_path / "train.xyz"), "-o", str(tmp_path / "model.json"), "-q", "--no-plot"]
    assert main(["fit", *common, "--target", "stock"]) == 0
    said = capsys.readouterr().out
    assert "Safety: nothing found" in said
    assert re.search(r"Beyond the data, in stock styles, .*: compression: .* the energy falls by", said)
    assert main(["fit", *common, "--target", "fast"]) == 0
    assert "stock styles" not in capsys.readouterr().out


def test_few_structures_are_not_validated(cli_data, tmp_path, capsys):
    write(tmp_path / "few.xyz", cli_data[0][:4], format="extxyz")
    assert main(["fit", str(tmp_path / "few.xyz"), "-o", str(tmp_path / "model.json"), *SMALL]) == 0
    assert "folds" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        "fit --cutoff -1",
        "fit --cutoff inf",
        "fit --cv 1",
        "fit --terms 0",
        "fit --test-fraction 2",
        "learn --cv 1",
    ],
)
def test_numbers_out_of_range(command, capsys):
    name, option, value = command.split()
    with pytest.raises(SystemExit) as error:
        main([name, "a.xyz", option, value])
    assert error.value.code == 2
    assert f"argument {option}: must be" in capsys.readouterr().err


@pytest.mark.parametrize("bad", ["Si", "Si=a", "Xx=1", "Si=nan", "Si=1 Si=2", "isolated Si=1"])
def test_wrong_reference_energies(bad, capsys):
    with pytest.raises(SystemExit) as error:
        main(["fit", "a.xyz", "--reference", *bad.split()])
    assert error.value.code == 2
    assert "SYMBOL=ENERGY" in capsys.readouterr().err


# Of few structures, whose potentials fail the check.
@pytest.mark.filterwarnings("ignore:.*simulations with this potential fail")
def test_dummy_atoms_have_reference_energies(tmp_path):
    structures = [Atoms("CuX", [[0, 0, 0], [0, 0, 2 + 0.05 * k]]) for k in range(12)]
    for k, atoms in enumerate(structures):
        atoms.calc = SinglePointCalculator(atoms, energy=-3.0 - 0.1 * k)
    write(tmp_path / "train.xyz", structures, format="extxyz")
    output = tmp_path / "model.json"
    options = ["--preset", "fast", "--terms", "2", "--no-plot", "-q", "--allow-unsafe", "-o", str(output)]
    assert main(["fit", str(tmp_path / "train.xyz"), *options, "--reference", "Cu=-3.5", "X=0"]) == 0
    assert load_potential(output).intercept == {"Cu": -3.5, "X": 0.0}


@pytest.mark.parametrize(
    "both", [["--test", "b.xyz", "--test-fraction", "0.1"], ["--stress-key", "a", "--virial-key", "b"]]
)
def test_options_that_exclude_each_other(both, capsys):
    with pytest.raises(SystemExit) as error:
        main(["fit", "a.xyz", *both])
    assert error.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err


def test_automatic_cutoff(cli_fit, tmp_path, capsys):
    output = ["-o", str(tmp_path / "model.json")]
    options = ["--cutoff", "auto", "--max-terms", "5", *SMALL[4:], *output]
    assert main(["fit", cli_fit["test"], *options]) == 0
    expected = PLIPDescriptors(cutoff="auto").fit(read(cli_fit["test"], ":")).cutoff_
    assert load_potential(tmp_path / "model.json").cutoff == pytest.approx(expected)


def test_cutoff_below_the_shortest_distance(cli_fit, cli_data, tmp_path, capsys):
    shortest = min(neighbor_list("d", atoms, 3.0).min() for atoms in cli_data[0])
    for cutoff in ("0.5", f"{shortest - 1e-3:.6f}"):
        message = fails(capsys, "fit", cli_fit["train"], "-o", tmp_path / "no.json", "-q", "--cutoff", cutoff)
        assert f"{shortest:.4g} A" in message and f"cutoff of {float(cutoff):g} A" in message
    assert not list(tmp_path.iterdir())


def test_output_is_replaced(cli_fit, tmp_path, capsys):
    target = tmp_path / "model.json"
    target.write_text("old", encoding="utf-8")
    assert main(["fit", cli_fit["train"], "-o", str(target), *SMALL]) == 0
    assert json.loads(target.read_text(encoding="utf-8"))


def test_progress_goes_to_stderr(cli_fit, tmp_path, capsys):
    settings = [setting for setting in SMALL if setting != "--quiet"]
    assert main(["fit", cli_fit["train"], "-o", str(tmp_path / "model.json"), "--verbose", *settings]) == 0
    captured = capsys.readouterr()
    assert "Reading" in captured.err and "%" in captured.err
    assert "Reading" not in captured.out


def test_traceback_on_request(capsys):
    assert main(["--traceback", "fit", "missing.xyz"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["evaluate"], ["nonsense"], ["fit", "a.xyz", "--max-terms", "0"]])
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


def test_without_matplotlib(cli_fit, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr("plip.cli._commands.find_spec", lambda name: None)
    settings = [setting for setting in SMALL if setting != "--no-plot"]
    target = tmp_path / "model.json"
    assert main(["fit", cli_fit["train"], "-o", str(target), *settings]) == 0
    assert "pip install matplotlib" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]
    message = fails(capsys, "fit", cli_fit["train"], "-o", target, "--plot", tmp_path / "a.png", "-q")
    assert "pip install matplotlib" in message
    with pytest.raises(ImportError, match="pip install matplotlib"):
        parity_plot({})


def test_parity_plot_has_a_panel_for_each_target(cli_fit, cli_data):
    pytest.importorskip("matplotlib")
    atoms = cli_data[1]
    figure = parity_plot({"test": Evaluation(load_potential(cli_fit["model"]), atoms)})
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert [label.split()[1] for label in labels] == ["energy", "force", "stress"]
    reference, predicted = figure.axes[1].lines[0].get_data()
    assert len(reference) == 3 * sum(map(len, atoms))
    rmse = np.sqrt(np.mean((np.asarray(reference) - predicted) ** 2))
    assert f"{rmse:.3f}" in figure.axes[1].get_legend().get_texts()[0].get_text()


def test_report_with_groups_missing(cli_fit, cli_data):
    atoms = [one.copy() for one in cli_data[1]]
    for one, labeled in zip(atoms, cli_data[1], strict=True):
        one.calc = SinglePointCalculator(one, **labeled.calc.results)
    del atoms[0].info["group"]
    evaluation = Evaluation(load_potential(cli_fit["model"]), atoms)
    assert evaluation.errors("(no group)")["n_structures"] == 1


def test_reader_that_stops_early_is_no_error(cli_fit, tmp_path):
    command = [sys.executable, "-u", "-m", "plip", "evaluate", cli_fit["model"], cli_fit["test"], "-q"]
    # Not in the checkout, whose plip/ without compiled modules `python -m` would find first.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait()


class Closed(io.StringIO):
    """A stream that cannot be written to."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.handle = os.open(os.devnull, os.O_WRONLY)

    def write(self, text):
        raise self.error

    def fileno(self):
        return self.handle


@pytest.mark.parametrize(
    "error", [BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError(errno.ENOSPC, "full")]
)
def test_all_files_are_written_if_no_output_is(error, cli_fit, tmp_path, capsys):
    """A pipe whose reader has enough is no error, but a disk that is full."""
    output, table = tmp_path / "model.json", tmp_path / "table.csv"
    command = ["fit", cli_fit["train"], "-o", str(output), "--csv", str(table), "--preset", "fast"]
    command += ["--terms", "5", "--allow-unsafe", "--no-plot"]
    with contextlib.redirect_stdout(Closed(error)), contextlib.redirect_stderr(Closed(error)):
        code = main(command)
    assert code == (0 if error.errno == errno.EPIPE else 2)
    assert len(load_potential(output).terms) == 5
    assert table.read_text(encoding="utf-8")
    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        assert main(["show", str(output)]) == 0


# Of few structures, whose potentials fail the check.
@pytest.mark.filterwarnings("ignore:.*simulations with this potential fail")
def test_reference_energies(cli_fit, cli_data, tmp_path, capsys):
    output = tmp_path / "model.json"
    command = ["fit", cli_fit["train"], "-o", str(output), *SMALL, "--reference"]
    assert main([*command, "Si=-5.4", "C=-9.1"]) == 0
    assert load_potential(output).intercept == {"C": -9.1, "Si": -5.4}
    isolated = []
    for symbol, energy in (("Si", -0.75), ("C", -1.25)):
        isolated.append(Atoms(symbol, cell=[20] * 3, pbc=True))
        isolated[-1].calc = SinglePointCalculator(isolated[-1], energy=energy)
    write(tmp_path / "isolated.xyz", isolated, format="extxyz")
    assert (
        main(["fit", str(tmp_path / "isolated.xyz"), *command[1:], "isolated", "--test-fraction", "0.2"]) == 0
    )
    assert load_potential(output).intercept == {"C": -1.25, "Si": -0.75}
    capsys.readouterr()
    assert "Si" in fails(capsys, *command, "C=-9.1")
