"""The command line: what it prints, what it writes, and how it fails."""

import json
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import ase.db
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.neighborlist import neighbor_list
from ase.stress import voigt_6_to_full_3x3_stress

from plip import PLIPDescriptors, PLIPRegressorCV, load_potential
from plip.cli import main
from plip.cli._data import Data, split
from plip.datasets import load_silicon_carbide
from plip.metrics import error_summary, read_groups
from plip.plotting import parity_plot
from plip.regressor import FitError
from plip.report import Evaluation
from plip.solvers import PathError

# Small settings that fit in a second; their potentials are not for simulations.
SMALL = ["--cutoff", "3.0", "--max-terms", "20", "--allow-unsafe", "--quiet", "--no-plot"]


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
    fit = ["fit", paths["train"], "--test", paths["test"], "-o", paths["model"], *SMALL]
    with redirect_stdout(StringIO()) as output, redirect_stderr(StringIO()) as errors:
        assert main(fit) == 0
    assert errors.getvalue() == ""
    paths["report"] = output.getvalue()
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
    kept = int(re.search(r"^all\s+[\d,]+\s+(\d+)$", files["report"], re.MULTILINE).group(1))
    assert kept == len(load_potential(files["model"]).terms)
    shown = re.findall(r"^ +\d+  (\d\.\d{3}) ", files["report"], re.MULTILINE)
    assert shown[0] == "1.000"
    assert [float(x) for x in shown] == sorted(map(float, shown), reverse=True)


def test_fit_with_terms_for_any_species(files, tmp_path):
    for option, is_shared in (("--shared", True), ("--no-shared", False)):
        output = tmp_path / "model.json"
        assert main(["fit", str(files["train"]), option, *SMALL, "--cv", "3", "-o", str(output)]) == 0
        assert any("*" in term.species for term, _ in load_potential(output).terms) == is_shared


def test_fit_with_a_preset(files, tmp_path, capsys):
    output = tmp_path / "model.json"
    options = ["--preset", "balanced", "--cutoff", "3.5", *SMALL[4:], "-o", str(output)]
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


def _uncertainty(report, row):
    """Cells of a row of the table of uncertainty."""
    table = report[report.index("\nuncertainty") :]
    return re.search(rf"^{row}\s+(.*)$", table, re.MULTILINE).group(1).split()


def test_files_of_fit_know_their_uncertainty(files, structures, tmp_path, capsys):
    potential = load_potential(files["model"])
    found = Evaluation(potential, structures[1]).uncertainty()
    # The file of structures keeps eight decimals.
    shares = [100 * found["force_coverage"], 100 * found["energy_coverage"]]
    cells = _uncertainty(files["report"], "test")
    np.testing.assert_allclose([float(cell) for cell in cells[:2]], shares, atol=0.2)
    assert cells[2:4] == [str(found["n_atoms"]), str(found["n_extrapolated"])]
    of_folds = _uncertainty(files["report"], "cross-validation")
    assert int(of_folds[2]) == sum(map(len, structures[0])) and float(of_folds[4]) <= 1.0
    assert main(["evaluate", files["model"], files["test"], "-q"]) == 0
    report = capsys.readouterr().out
    assert _uncertainty(report, "data") == cells
    by_group = [
        int(_uncertainty(report, f"data, {name}")[2]) for name in np.unique(read_groups(structures[1]))
    ]
    assert sum(by_group) == found["n_atoms"]


def test_fit_leaves_uncertainty_out_on_request(files, tmp_path, capsys):
    output = tmp_path / "small.json"
    assert main(["fit", files["train"], "--no-uncertainty", *SMALL, "-o", str(output)]) == 0
    assert load_potential(output).uncertainty is None
    assert load_potential(output).terms == load_potential(files["model"]).terms
    capsys.readouterr()
    assert main(["evaluate", str(output), files["test"], "-q"]) == 0
    report = capsys.readouterr().out
    assert "The file has no uncertainty" in report and "90 % intervals" not in report


def test_terms_come_before_what_nobody_reads(files):
    text = Path(files["model"]).read_text(encoding="utf-8")
    assert text.index('"terms"') < text.index('"uncertainty"')


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


def test_key_that_some_structures_lack_is_a_missing_label(files, structures, tmp_path, capsys):
    path = tmp_path / "part.xyz"
    renamed = [_renamed(atoms) for atoms in structures[1]]
    # The attached labels are not the requested ones.
    renamed[0].calc = SinglePointCalculator(renamed[0], energy=1.0)
    del renamed[0].info["REF_energy"], renamed[2].info["REF_energy"], renamed[1].arrays["REF_forces"]
    write(path, renamed, format="extxyz")
    assert main(["evaluate", files["model"], str(path), "-q", *KEYS]) == 0
    n, n_atoms = len(renamed), sum(map(len, renamed))
    assert _sizes(capsys.readouterr().out, "data") == [
        n,
        n_atoms,
        n - 2,
        3 * (n_atoms - len(renamed[1])),
        6 * n,
    ]


@pytest.mark.parametrize("option", ["energy", "forces", "stress", "virial", "group"])
def test_key_that_no_structure_has(option, files, tmp_path, capsys):
    message = _fails(
        capsys, "fit", files["train"], f"--{option}-key", "nothing", "-o", tmp_path / "a.json", "-q"
    )
    assert f"--{option}-key" in message and "'nothing'" in message and "train.xyz" in message


def _sizes(report, row):
    """Sizes of a data set: structures, atoms, and labels by target."""
    sizes = re.search(rf"^{row}\s+(\d.*)$", report, re.MULTILINE).group(1)
    return [int(size.replace(",", "")) for size in sizes.split()]


def test_fit_of_structures_that_lack_labels(structures, tmp_path, capsys):
    train = [atoms.copy() for atoms in structures[0]]
    for k, (atoms, labeled) in enumerate(zip(train, structures[0], strict=True)):
        results = dict(labeled.calc.results)
        del results[("energy", "forces", "stress")[k % 3]]
        results.pop("free_energy", None)
        atoms.calc = SinglePointCalculator(atoms, **results)
    write(tmp_path / "part.xyz", train, format="extxyz")
    assert main(["fit", str(tmp_path / "part.xyz"), "-o", str(tmp_path / "model.json"), *SMALL]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    n_forces = sum(3 * len(atoms) for k, atoms in enumerate(train) if k % 3 != 1)
    n = len(train)
    expected = [n, sum(map(len, train)), n - len(train[::3]), n_forces, 6 * (n - len(train[2::3]))]
    assert _sizes(captured.out, "train") == expected
    model = PLIPRegressorCV(PLIPDescriptors.preset("accurate", cutoff=3.0), max_terms=20)
    model.fit(read(tmp_path / "part.xyz", ":"))
    fitted = load_potential(tmp_path / "model.json")
    assert [c for _, c in fitted.terms] == [c for _, c in model.potential_.terms]


def test_number_of_terms(files, tmp_path, capsys):
    target = tmp_path / "model.json"
    common = ["fit", str(files["train"]), "-o", str(target), *SMALL]
    common[common.index("--max-terms") : common.index("--max-terms") + 2] = []
    assert main([*common, "--terms", "7"]) == 0
    assert len(load_potential(target).terms) == 7
    assert "folds" not in capsys.readouterr().out
    assert main([*common, "--cv", "3", "--max-terms", "12"]) == 0
    captured = capsys.readouterr().out
    assert "3 folds" in captured and "(chosen)" in captured and "cancellation" in captured
    assert 1 <= len(load_potential(target).terms) <= 12
    for options in (["--terms", "7", "--max-terms", "9"], ["--terms", "7", "--cv", "3"]):
        assert "leave" in _fails(capsys, *common, *options) or "no use" in _fails(capsys, *common, *options)


@pytest.mark.parametrize("name", ["readable", "fast", "stock"])
def test_targets(name, files, tmp_path, capsys):
    target = tmp_path / "model.json"
    common = ["fit", str(files["train"]), "-o", str(target), "--allow-unsafe", "-q", "--no-plot"]
    assert main([*common, "--target", name]) == 0
    potential = load_potential(target)
    interactions = {term.interaction for term, _ in potential.terms}
    assert len(potential.terms) <= (25 if name == "readable" else 60)
    assert name == "readable" or "four-body" not in interactions
    if name == "stock":
        arguments = ["export", "lammps", str(target), "-o", str(tmp_path / "stock"), "--species", "C", "Si"]
        assert main(arguments) == 0
    if name != "readable":
        capsys.readouterr()
        assert "--preset" in _fails(capsys, *common, "--target", name, "--preset", "fast")


def test_few_structures_are_not_validated(structures, tmp_path, capsys):
    write(tmp_path / "few.xyz", structures[0][:4], format="extxyz")
    assert main(["fit", str(tmp_path / "few.xyz"), "-o", str(tmp_path / "model.json"), *SMALL]) == 0
    assert "folds" not in capsys.readouterr().out


STRESSES = {
    "virial": (["--virial-key", "my_virial"], lambda stress, volume: -volume * stress),
    "GPa": (
        ["--stress-key", "my_virial", "--stress-unit", "GPa"],
        lambda stress, volume: stress * 160.21766208,
    ),
    "kbar": (
        ["--stress-key", "my_virial", "--stress-unit", "kbar", "--stress-sign", "compression"],
        lambda stress, volume: -stress * 1602.1766208,
    ),
    "sign": (["--stress-key", "my_virial", "--stress-sign", "compression"], lambda stress, volume: -stress),
}


@pytest.mark.parametrize("shape", [(3, 3), (6,)])
@pytest.mark.parametrize("kind", STRESSES)
def test_units_and_signs_of_stresses(kind, shape, files, structures, tmp_path, capsys):
    options, made = STRESSES[kind]
    path = tmp_path / "stress.xyz"
    atoms = [one.copy() for one in structures[1]]
    for one, labeled in zip(atoms, structures[1], strict=True):
        results = labeled.calc.results
        stress = results["stress"] if shape == (6,) else voigt_6_to_full_3x3_stress(results["stress"])
        one.info["my_virial"] = made(stress, one.get_volume())
        one.calc = SinglePointCalculator(one, energy=results["energy"], forces=results["forces"])
    write(path, atoms, format="extxyz")
    assert main(["evaluate", files["model"], str(path), "-q", *options]) == 0
    assert _errors(capsys.readouterr().out, "data") == _errors(files["report"], "test")


def test_unit_of_attached_stresses(files, structures, tmp_path, capsys):
    path = tmp_path / "stress.xyz"
    atoms = [one.copy() for one in structures[1]]
    for one, labeled in zip(atoms, structures[1], strict=True):
        results = labeled.calc.results
        one.calc = SinglePointCalculator(one, **{**results, "stress": -1602.1766208 * results["stress"]})
    write(path, atoms, format="extxyz")
    units = ["--stress-unit", "kbar", "--stress-sign", "compression"]
    assert main(["evaluate", files["model"], str(path), "-q", *units]) == 0
    assert _errors(capsys.readouterr().out, "data") == _errors(files["report"], "test")


def test_virial_of_a_molecule_is_passed_over(files, structures, tmp_path, capsys):
    atoms = [_renamed(one, virial=np.eye(3)) for one in structures[1][:2]]
    atoms[1].cell, atoms[1].pbc = None, False
    write(tmp_path / "molecule.xyz", atoms, format="extxyz")
    keys = [*KEYS[:4], "--virial-key", "virial"]
    assert main(["evaluate", files["model"], str(tmp_path / "molecule.xyz"), "-q", *keys]) == 0
    assert _sizes(capsys.readouterr().out, "data")[-1] == 6


@pytest.mark.parametrize("bad", [np.ones(5), "none", np.full((3, 3), np.nan)])
def test_bad_virial_names_file_and_structure(bad, files, structures, tmp_path, capsys):
    atoms = [_renamed(one, dft_virial=np.eye(3)) for one in structures[1]]
    atoms[3].info["dft_virial"] = bad
    write(tmp_path / "b.xyz", atoms, format="extxyz")
    message = _fails(
        capsys,
        "evaluate",
        files["model"],
        files["test"],
        tmp_path / "b.xyz",
        *KEYS[:4],
        "--virial-key",
        "dft_virial",
    )
    assert f"b.xyz, structure 3 ({atoms[3].get_chemical_formula()}): virial" in message


def test_labels_under_other_names_are_shown(structures, tmp_path, capsys):
    atoms = [one.copy() for one in structures[0]]
    for one, labeled in zip(atoms, structures[0], strict=True):
        results = labeled.calc.results
        one.info["virial"] = -one.get_volume() * voigt_6_to_full_3x3_stress(results["stress"])
        one.arrays["force"] = results["forces"]
        one.calc = SinglePointCalculator(one, energy=results["energy"])
    write(tmp_path / "nep.xyz", atoms, format="extxyz")
    command = ["fit", str(tmp_path / "nep.xyz"), "-o", str(tmp_path / "model.json"), *SMALL]
    assert main(command) == 0
    (warning,) = capsys.readouterr().err.splitlines()
    for words in ("plip: warning: ", "'force'", "'virial'", "--forces-key", "--virial-key"):
        assert words in warning
    # Nothing is left to warn of.
    assert main([*command, "--forces-key", "force", "--virial-key", "virial", "--stress-weight", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert _sizes(captured.out, "train")[3:] == [3 * sum(map(len, atoms)), 6 * len(atoms)]
    for weight, key in (("stress", "--virial-key"), ("force", "--forces-key")):
        assert main([*command, f"--{weight}-weight", "40", "-o", str(tmp_path / "no.json")]) == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert message.startswith(f"plip: error: --{weight}-weight is 40") and key in message
    assert not (tmp_path / "no.json").exists()


def test_named_energies_do_not_silence_the_forces(structures, tmp_path, capsys):
    atoms = [_renamed(one) for one in structures[0]]
    write(tmp_path / "ref.xyz", atoms, format="extxyz")
    command = ["fit", str(tmp_path / "ref.xyz"), "-o", str(tmp_path / "model.json"), *SMALL]
    assert main([*command, "--energy-key", "REF_energy"]) == 0
    (warning,) = capsys.readouterr().err.splitlines()
    assert "REF_forces" in warning and "REF_stress" in warning and "REF_energy" not in warning


def _spoil(atoms):
    """A copy with a force that is no number."""
    results = {**atoms.calc.results, "forces": np.full((len(atoms), 3), np.nan)}
    atoms = atoms.copy()
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


@pytest.mark.parametrize("use", ["train", "test", "evaluate"])
@pytest.mark.parametrize(("slice_", "place"), [("", 5), ("@2:", 5), ("@1::2", 5), ("@5", 5), ("@-2:", 5)])
def test_messages_name_the_file_and_the_index_in_it(use, slice_, place, files, structures, tmp_path, capsys):
    bad = [_spoil(atoms) if k == 5 else atoms for k, atoms in enumerate(structures[1])]
    write(tmp_path / "b.xyz", bad, format="extxyz")
    path = f"{tmp_path / 'b.xyz'}{slice_}"
    command = {
        "train": ["fit", files["test"], path],
        "test": ["fit", files["train"], "--test", files["test"], "--test", path],
        "evaluate": ["evaluate", files["model"], files["test"], path],
    }[use]
    output = [] if use == "evaluate" else ["-o", tmp_path / "model.json"]
    message = _fails(capsys, *command, *output, "-q")
    assert f"b.xyz, structure {place} ({bad[5].get_chemical_formula()}): forces" in message
    assert not (tmp_path / "model.json").exists()


def test_warnings_name_the_file(files, structures, tmp_path, capsys):
    unlabeled = structures[1][0].copy()
    unlabeled.calc = None
    write(tmp_path / "b.xyz", [structures[1][1], unlabeled], format="extxyz")
    assert main(["evaluate", files["model"], files["test"], str(tmp_path / "b.xyz"), "-q"]) == 0
    assert "b.xyz, structure 1 (" in capsys.readouterr().err


@pytest.mark.parametrize("bad", ["Si", "Si=a", "Xx=1", "Si=nan", "Si=1 Si=2", "isolated Si=1"])
def test_wrong_reference_energies(bad, capsys):
    with pytest.raises(SystemExit) as error:
        main(["fit", "a.xyz", "--reference", *bad.split()])
    assert error.value.code == 2
    assert "SYMBOL=ENERGY" in capsys.readouterr().err


GROUP = "zincblende-elastic"


def _group_fit(files, tmp_path, capsys, text, *options):
    """Coefficients of a fit with a file of weights."""
    (tmp_path / "weights").write_text(text, encoding="utf-8")
    output = tmp_path / "weighted.json"
    weights = ["--weights", str(tmp_path / "weights")]
    assert main(["fit", files["train"], "-o", str(output), *SMALL, *weights, *options]) == 0
    capsys.readouterr()
    return [coefficient for _, coefficient in load_potential(output).terms]


def _python_fit(files, sample_weight, **settings):
    model = PLIPRegressorCV(PLIPDescriptors.preset("accurate", cutoff=3.0), max_terms=20, **settings)
    model.fit(read(files["train"], ":"), sample_weight=sample_weight)
    return [coefficient for _, coefficient in model.potential_.terms]


@pytest.mark.parametrize(
    "text", [f'{{"{GROUP}": 7}}', f"# Weights\n\n{GROUP}: 7  # seven\n", f'"{GROUP}": 7.0']
)
def test_weights_of_groups(text, files, structures, tmp_path, capsys):
    weight = [7.0 if atoms.info["group"] == GROUP else 1.0 for atoms in structures[0]]
    assert 1 < weight.count(7.0) < len(weight)
    assert _group_fit(files, tmp_path, capsys, text) == _python_fit(files, weight)


@pytest.mark.parametrize(
    "text",
    [
        f'{{"{GROUP}": {{"energy": 9, "forces": 0, "stress": 4}}}}',
        f"{GROUP}: energy 9, force 0, stress 4",
        f"{GROUP}: {{energy: 9, force: 0, virial: 4}}",
        f"{GROUP}: energy=9 force=0 stress=4",
    ],
)
def test_weights_of_groups_by_target(text, files, structures, tmp_path, capsys):
    weight = np.array([[9, 0, 4] if atoms.info["group"] == GROUP else [1, 1, 1] for atoms in structures[0]])
    found = _group_fit(files, tmp_path, capsys, text, "--stress-weight", "0.5")
    assert found == _python_fit(files, weight, stress_weight=0.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("magic: 2", f"'magic'.*{GROUP}"),
        (f"{GROUP}: -1", "at least 0"),
        (f"{GROUP}: nan", "at least 0"),
        (f"{GROUP}:", "at least 0"),
        (f"{GROUP}", "group: weight"),
        (f"{GROUP}: energy 1 force", "group: weight"),
        (f"{GROUP}: charge 1", "'charge'"),
        (f"{GROUP}: 1\n{GROUP}: 2", "twice"),
        (f'{{"{GROUP}": 1, "{GROUP}": 2}}', "twice"),
        (f'{{"{GROUP}": true}}', "at least 0"),
        (f'{{"{GROUP}": [1, 2, 3]}}', "at least 0"),
        (f'{{"{GROUP}": 1', "weights:"),
        (f'{{"{GROUP}": 1{"0" * 400}}}', "at least 0"),
        ('{"a":' * 100_000, "weights:"),
    ],
)
def test_wrong_files_of_weights(text, expected, files, tmp_path, capsys):
    (tmp_path / "weights").write_text(text, encoding="utf-8")
    message = _fails(
        capsys, "fit", files["train"], "-o", tmp_path / "no.json", "-q", "--weights", tmp_path / "weights"
    )
    assert str(tmp_path / "weights") in message and re.search(expected, message)


def test_missing_file_of_weights(files, tmp_path, capsys):
    message = _fails(capsys, "fit", files["train"], "-q", "-o", tmp_path / "no.json", "--weights", "missing")
    assert "missing: No such file" in message


def test_key_of_groups(files, structures, tmp_path, capsys):
    atoms = [one.copy() for one in structures[1]]
    for k, (one, labeled) in enumerate(zip(atoms, structures[1], strict=True)):
        one.calc = SinglePointCalculator(one, **labeled.calc.results)
        del one.info["group"]
        one.info["kind"] = f"kind-{k % 3}"
        if k:
            one.info["config_type"] = f"type-{k % 2}"
    write(tmp_path / "groups.xyz", atoms, format="extxyz")
    command = ["evaluate", files["model"], str(tmp_path / "groups.xyz"), "-q"]
    assert main(command) == 0
    report = capsys.readouterr().out
    assert re.findall(r"^(\S+ ?\S*) \(\d\) ", report, re.MULTILINE) == ["(no group)", "type-0", "type-1"]
    assert main([*command, "--group-key", "kind"]) == 0
    report = capsys.readouterr().out
    assert re.findall(r"^(\S+) \(\d\) ", report, re.MULTILINE) == ["kind-0", "kind-1", "kind-2"]


def test_part_of_every_group_for_the_test(structures, tmp_path, capsys):
    atoms = [one.copy() for one in load_silicon_carbide()[0][:48]]
    for k, one in enumerate(atoms):
        one.info = {"config_type": "many" if k < 31 else "few" if k < 47 else "one"}
        one.calc = SinglePointCalculator(one, energy=-1.0 * k)
    write(tmp_path / "all.xyz", atoms, format="extxyz")
    command = ["fit", str(tmp_path / "all.xyz"), "-o", str(tmp_path / "model.json"), *SMALL]

    def groups(*options):
        assert main([*command, *options]) == 0
        report = capsys.readouterr().out
        return report[report.index("test, by group") :]

    report = groups("--test-fraction", "0.25")
    assert re.findall(r"^(\S+) \((\d+)\)", report, re.MULTILINE) == [("few", "4"), ("many", "8")]
    assert report.splitlines()[:4] == groups("--test-fraction", "0.25", "--seed", "0").splitlines()[:4]
    assert report.splitlines()[:4] != groups("--test-fraction", "0.25", "--seed", "1").splitlines()[:4]
    assert "leaves nothing to train on" in _fails(capsys, *command, "--test-fraction", "0.99")


def test_groups_too_small_for_their_share_are_pooled():
    n = 40
    groups = np.array(["bulk"] * 20 + [f"pair {k // 2}" for k in range(20)])
    atoms = [Atoms("Si2" if k else "SiGe", [(0, 0, 0), (0, 0, 2)]) for k in range(n)]
    data = Data(atoms, [str(k) for k in range(n)], groups)
    for seed in range(5):
        train, test = split(data, 0.1, seed)
        assert sorted([*map(int, train.places), *map(int, test.places)]) == list(range(n))
        # The only structure with germanium is in the training set.
        assert "0" in train.places and set(train.groups) == set(groups)
        assert sorted(test.groups == "bulk") == [False, False, True, True]
        assert len(split(data, 0.001, seed)[1].places) == 1


def test_every_element_is_trained_on():
    atoms = [Atoms("Si2" if k > 1 else "SiGe", [(0, 0, 0), (0, 0, 2)]) for k in range(4)]
    data = Data(atoms, [str(k) for k in range(4)], None)
    left_out = {frozenset(split(data, 0.5, seed)[1].places) for seed in range(20)}
    # At most one of the two structures with germanium.
    assert {"0", "1"} not in left_out and {"2", "3"} in left_out
    assert {"0"} in left_out or {"1"} in left_out


@pytest.mark.parametrize("value", ["0", "1", "-0.1", "nan", "ten"])
def test_test_fraction_is_between_zero_and_one(value, capsys):
    with pytest.raises(SystemExit) as error:
        main(["fit", "a.xyz", "--test-fraction", value])
    assert error.value.code == 2
    assert "between 0 and 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "both", [["--test", "b.xyz", "--test-fraction", "0.1"], ["--stress-key", "a", "--virial-key", "b"]]
)
def test_options_that_exclude_each_other(both, capsys):
    with pytest.raises(SystemExit) as error:
        main(["fit", "a.xyz", *both])
    assert error.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["data.db", "data.json"])
def test_databases(name, files, structures, tmp_path, capsys):
    with ase.db.connect(tmp_path / name) as database:
        for k, labeled in enumerate(structures[1]):
            results = labeled.calc.results
            data = {"dft_forces": results["forces"], "dft_stress": results["stress"]}
            database.write(labeled.copy(), data=data, dft=results["energy"], config_type=f"type-{k % 2}")
    keys = ["--energy-key", "dft", "--forces-key", "dft_forces", "--stress-key", "dft_stress", "-q"]
    path = str(tmp_path / name)
    assert main(["evaluate", files["model"], path, *keys]) == 0
    report = capsys.readouterr().out
    assert _errors(report, "data") == pytest.approx(_errors(files["report"], "test"), rel=1e-3, abs=6e-3)
    assert "type-1" in report
    for slice_, n in (
        ("@:3", 3),
        ("@1::2", len(structures[1]) // 2),
        ("@-1", 1),
        ("@config_type=type-1", None),
    ):
        assert main(["evaluate", files["model"], path + slice_, *keys]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        found = _sizes(captured.out, "data")[0]
        assert found == (len(structures[1]) // 2 if n is None else n)
    assert "--energy-key" in _fails(capsys, "evaluate", files["model"], path)


def test_sign_in_the_name_of_a_file(files, capsys, tmp_path):
    path = tmp_path / "train@300.xyz"
    path.write_bytes(Path(files["test"]).read_bytes())
    for part, n in (("", len(read(files["test"], ":"))), ("@:2", 2)):
        assert main(["evaluate", files["model"], f"{path}{part}", "-q"]) == 0
        captured = capsys.readouterr()
        assert (captured.err, _sizes(captured.out, "data")[0]) == ("", n)
    assert "'one' is neither" in _fails(capsys, "evaluate", files["model"], f"{path}@one", "-q")


def test_database_with_calculated_labels(files, structures, tmp_path, capsys):
    write(tmp_path / "data.db", structures[1])
    assert main(["evaluate", files["model"], str(tmp_path / "data.db"), "-q"]) == 0
    found = _errors(capsys.readouterr().out, "data")
    assert found == pytest.approx(_errors(files["report"], "test"), rel=1e-3, abs=6e-3)


def test_labels_computed_by_a_potential_are_no_reference(files, structures, tmp_path, capsys):
    atoms = structures[1][0].copy()
    atoms.calc = load_potential(files["model"]).calculator()
    atoms.get_potential_energy()
    write(tmp_path / "own.traj", atoms)
    assert main(["evaluate", files["model"], str(tmp_path / "own.traj"), "-q"]) == 0
    assert "computed by a potential of plip" in capsys.readouterr().err
    # Still so where one label has another source.
    atoms = read(tmp_path / "own.traj")
    atoms.info["dft"] = -1.0
    write(tmp_path / "own.traj", atoms)
    assert main(["evaluate", files["model"], str(tmp_path / "own.traj"), "-q", "--energy-key", "dft"]) == 0
    assert "computed by a potential of plip" in capsys.readouterr().err


def test_automatic_cutoff(files, tmp_path, capsys):
    output = ["-o", str(tmp_path / "model.json")]
    options = ["--cutoff", "auto", "--max-terms", "5", *SMALL[4:], *output]
    assert main(["fit", files["test"], *options]) == 0
    expected = PLIPDescriptors(cutoff="auto").fit(read(files["test"], ":")).cutoff_
    assert load_potential(tmp_path / "model.json").cutoff == pytest.approx(expected)


def test_cutoff_below_the_shortest_distance(files, structures, tmp_path, capsys):
    shortest = min(neighbor_list("d", atoms, 3.0).min() for atoms in structures[0])
    for cutoff in ("0.5", f"{shortest - 1e-3:.6f}"):
        message = _fails(capsys, "fit", files["train"], "-o", tmp_path / "no.json", "-q", "--cutoff", cutoff)
        assert f"{shortest:.4g} A" in message and f"cutoff of {float(cutoff):g} A" in message
    assert not list(tmp_path.iterdir())


def test_empty_potential_is_never_written_silently(files, tmp_path, capsys):
    command = ["fit", files["test"], "-o", str(tmp_path / "model.json"), "--cutoff", "3", "-q", "--no-plot"]
    assert main([*command, "--alpha", "1e9"]) == 0
    captured = capsys.readouterr()
    assert "no term was kept" in captured.out
    assert "plip: warning: no term was kept" in captured.err
    assert captured.err.count("no term was kept") == 1


def test_unlabeled_file_lists_what_it_has(files, structures, tmp_path, capsys):
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
        (["fit", "{train}", "--virial-key", "virial", "--stress-unit", "GPa"], "--virial-key is in eV"),
        (
            ["fit", "{train}", "--virial-key", "virial", "--stress-sign", "compression"],
            "--virial-key is in eV",
        ),
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
    monkeypatch.setattr("plip.PLIPRegressor.fit", lambda *arguments, **options: pytest.fail("fitted"))
    message = _fails(capsys, "fit", files["train"], "--test", path, "-o", tmp_path / "model.json", "-q")
    assert "germanium.xyz, structure 0 (" in message and "Ge" in message


@pytest.mark.parametrize("kind", [PathError, FitError])
def test_fit_that_fails_is_one_line(kind, files, tmp_path, monkeypatch, capsys):
    def fit(*arguments, **options):
        raise kind("alpha cannot be reached")

    monkeypatch.setattr("plip.PLIPRegressorCV.fit", fit)
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


def test_without_matplotlib(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr("plip.cli._commands.find_spec", lambda name: None)
    settings = [setting for setting in SMALL if setting != "--no-plot"]
    target = tmp_path / "model.json"
    assert main(["fit", files["train"], "-o", str(target), *settings]) == 0
    assert "pip install matplotlib" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]
    message = _fails(capsys, "fit", files["train"], "-o", target, "--plot", tmp_path / "a.png", "-q")
    assert "pip install matplotlib" in message
    with pytest.raises(ImportError, match="pip install matplotlib"):
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
    for one, labeled in zip(atoms, structures[1], strict=True):
        one.calc = SinglePointCalculator(one, **labeled.calc.results)
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


def test_reference_energies(files, structures, tmp_path, capsys):
    output = tmp_path / "model.json"
    command = ["fit", files["train"], "-o", str(output), *SMALL, "--reference"]
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
    assert "Si" in _fails(capsys, *command, "C=-9.1")
