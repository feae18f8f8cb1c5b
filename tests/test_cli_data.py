"""The command line reads labels under any name, groups with weights, stresses in any unit, and databases."""

import re
from pathlib import Path

import ase.db
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.stress import voigt_6_to_full_3x3_stress
from cli_runs import KEYS, SMALL, errors_of, fails, sizes, with_keys

from plip import PLIPDescriptors, PLIPRegressorCV, load_potential
from plip.cli import main
from plip.cli._data import Data, split
from plip.datasets import load_silicon_carbide

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

GROUP = "zincblende-elastic"


def test_labels_under_other_names(cli_fit, cli_data, tmp_path, capsys):
    path = tmp_path / "renamed.xyz"
    write(path, [with_keys(atoms) for atoms in cli_data[1]], format="extxyz")
    assert main(["evaluate", cli_fit["model"], str(path), "-q", *KEYS]) == 0
    renamed = errors_of(capsys.readouterr().out, "data")
    assert renamed == errors_of(cli_fit["report"], "test")


def test_reports_name_structures_of_several_files_by_file(cli_fit, cli_data, tmp_path, capsys):
    # Atoms that are closer than any of the fit.
    squeezed = cli_data[1][0].copy()
    squeezed.set_cell(0.6 * squeezed.cell, scale_atoms=True)
    squeezed.calc = SinglePointCalculator(squeezed, **cli_data[1][0].calc.results)
    second = str(tmp_path / "second.xyz")
    write(second, [cli_data[1][1], squeezed], format="extxyz")
    distance = squeezed.get_distance(0, 1, mic=True)
    expected = f"down to {distance:.2f} A (C-Si, {second}, structure 1)"
    assert main(["evaluate", cli_fit["model"], cli_fit["test"], second, "-q"]) == 0
    assert expected in " ".join(capsys.readouterr().out.split())
    tests = ["--test", cli_fit["test"], second]
    assert main(["fit", cli_fit["train"], *tests, *SMALL, "-o", str(tmp_path / "model.json")]) == 0
    assert expected in " ".join(capsys.readouterr().out.split())


def test_named_energy_wins_over_attached_ones(cli_fit, cli_data, tmp_path, capsys):
    path = tmp_path / "both.xyz"
    atoms = cli_data[1][0].copy()
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, free_energy=0.0)
    atoms.info["REF_energy"] = float(load_potential(cli_fit["model"]).energy(atoms))
    write(path, atoms, format="extxyz")
    assert main(["evaluate", cli_fit["model"], str(path), "-q", "--energy-key", "REF_energy"]) == 0
    assert errors_of(capsys.readouterr().out, "data") == [0.0, 0.0]


def test_key_that_some_structures_lack_is_a_missing_label(cli_fit, cli_data, tmp_path, capsys):
    path = tmp_path / "part.xyz"
    renamed = [with_keys(atoms) for atoms in cli_data[1]]
    # The attached labels are not the requested ones.
    renamed[0].calc = SinglePointCalculator(renamed[0], energy=1.0)
    del renamed[0].info["REF_energy"], renamed[2].info["REF_energy"], renamed[1].arrays["REF_forces"]
    write(path, renamed, format="extxyz")
    assert main(["evaluate", cli_fit["model"], str(path), "-q", *KEYS]) == 0
    n, n_atoms = len(renamed), sum(map(len, renamed))
    assert sizes(capsys.readouterr().out, "data") == [
        n,
        n_atoms,
        n - 2,
        3 * (n_atoms - len(renamed[1])),
        6 * n,
    ]


@pytest.mark.parametrize("option", ["energy", "forces", "stress", "virial", "group"])
def test_key_that_no_structure_has(option, cli_fit, tmp_path, capsys):
    message = fails(
        capsys, "fit", cli_fit["train"], f"--{option}-key", "nothing", "-o", tmp_path / "a.json", "-q"
    )
    assert f"--{option}-key" in message and "'nothing'" in message and "train.xyz" in message


def test_fit_of_structures_that_lack_labels(cli_data, tmp_path, capsys):
    train = [atoms.copy() for atoms in cli_data[0]]
    for k, (atoms, labeled) in enumerate(zip(train, cli_data[0], strict=True)):
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
    assert sizes(captured.out, "train") == expected
    model = PLIPRegressorCV(PLIPDescriptors.preset("accurate", cutoff=3.0), max_terms=20)
    model.fit(read(tmp_path / "part.xyz", ":"))
    fitted = load_potential(tmp_path / "model.json")
    assert [c for _, c in fitted.terms] == [c for _, c in model.potential_.terms]


@pytest.mark.parametrize("shape", [(3, 3), (6,)])
@pytest.mark.parametrize("kind", STRESSES)
def test_units_and_signs_of_stresses(kind, shape, cli_fit, cli_data, tmp_path, capsys):
    options, made = STRESSES[kind]
    path = tmp_path / "stress.xyz"
    atoms = [one.copy() for one in cli_data[1]]
    for one, labeled in zip(atoms, cli_data[1], strict=True):
        results = labeled.calc.results
        stress = results["stress"] if shape == (6,) else voigt_6_to_full_3x3_stress(results["stress"])
        one.info["my_virial"] = made(stress, one.get_volume())
        one.calc = SinglePointCalculator(one, energy=results["energy"], forces=results["forces"])
    write(path, atoms, format="extxyz")
    assert main(["evaluate", cli_fit["model"], str(path), "-q", *options]) == 0
    assert errors_of(capsys.readouterr().out, "data") == errors_of(cli_fit["report"], "test")


def test_unit_of_attached_stresses(cli_fit, cli_data, tmp_path, capsys):
    path = tmp_path / "stress.xyz"
    atoms = [one.copy() for one in cli_data[1]]
    for one, labeled in zip(atoms, cli_data[1], strict=True):
        results = labeled.calc.results
        one.calc = SinglePointCalculator(one, **{**results, "stress": -1602.1766208 * results["stress"]})
    write(path, atoms, format="extxyz")
    units = ["--stress-unit", "kbar", "--stress-sign", "compression"]
    assert main(["evaluate", cli_fit["model"], str(path), "-q", *units]) == 0
    assert errors_of(capsys.readouterr().out, "data") == errors_of(cli_fit["report"], "test")


def test_virial_of_a_molecule_is_passed_over(cli_fit, cli_data, tmp_path, capsys):
    atoms = [with_keys(one, virial=np.eye(3)) for one in cli_data[1][:2]]
    atoms[1].cell, atoms[1].pbc = None, False
    write(tmp_path / "molecule.xyz", atoms, format="extxyz")
    keys = [*KEYS[:4], "--virial-key", "virial"]
    assert main(["evaluate", cli_fit["model"], str(tmp_path / "molecule.xyz"), "-q", *keys]) == 0
    assert sizes(capsys.readouterr().out, "data")[-1] == 6


@pytest.mark.parametrize("bad", [np.ones(5), "none", np.full((3, 3), np.nan)])
def test_bad_virial_names_file_and_structure(bad, cli_fit, cli_data, tmp_path, capsys):
    atoms = [with_keys(one, dft_virial=np.eye(3)) for one in cli_data[1]]
    atoms[3].info["dft_virial"] = bad
    write(tmp_path / "b.xyz", atoms, format="extxyz")
    message = fails(
        capsys,
        "evaluate",
        cli_fit["model"],
        cli_fit["test"],
        tmp_path / "b.xyz",
        *KEYS[:4],
        "--virial-key",
        "dft_virial",
    )
    assert f"b.xyz, structure 3 ({atoms[3].get_chemical_formula()}): virial" in message


def test_labels_under_other_names_are_shown(cli_data, tmp_path, capsys):
    atoms = [one.copy() for one in cli_data[0]]
    for one, labeled in zip(atoms, cli_data[0], strict=True):
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
    assert sizes(captured.out, "train")[3:] == [3 * sum(map(len, atoms)), 6 * len(atoms)]
    for weight, key in (("stress", "--virial-key"), ("force", "--forces-key")):
        assert main([*command, f"--{weight}-weight", "40", "-o", str(tmp_path / "no.json")]) == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert message.startswith(f"plip: error: --{weight}-weight is 40") and key in message
    assert not (tmp_path / "no.json").exists()


def test_named_energies_do_not_silence_the_forces(cli_data, tmp_path, capsys):
    atoms = [with_keys(one) for one in cli_data[0]]
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
def test_messages_name_the_file_and_the_index_in_it(use, slice_, place, cli_fit, cli_data, tmp_path, capsys):
    bad = [_spoil(atoms) if k == 5 else atoms for k, atoms in enumerate(cli_data[1])]
    write(tmp_path / "b.xyz", bad, format="extxyz")
    path = f"{tmp_path / 'b.xyz'}{slice_}"
    command = {
        "train": ["fit", cli_fit["test"], path],
        "test": ["fit", cli_fit["train"], "--test", cli_fit["test"], "--test", path],
        "evaluate": ["evaluate", cli_fit["model"], cli_fit["test"], path],
    }[use]
    output = [] if use == "evaluate" else ["-o", tmp_path / "model.json"]
    message = fails(capsys, *command, *output, "-q")
    assert f"b.xyz, structure {place} ({bad[5].get_chemical_formula()}): forces" in message
    assert not (tmp_path / "model.json").exists()


def test_warnings_name_the_file(cli_fit, cli_data, tmp_path, capsys):
    unlabeled = cli_data[1][0].copy()
    unlabeled.calc = None
    write(tmp_path / "b.xyz", [cli_data[1][1], unlabeled], format="extxyz")
    assert main(["evaluate", cli_fit["model"], cli_fit["test"], str(tmp_path / "b.xyz"), "-q"]) == 0
    assert "b.xyz, structure 1 (" in capsys.readouterr().err


def _group_fit(cli_fit, tmp_path, capsys, text, *options):
    """Coefficients of a fit with a file of weights."""
    (tmp_path / "weights").write_text(text, encoding="utf-8")
    output = tmp_path / "weighted.json"
    weights = ["--weights", str(tmp_path / "weights")]
    assert main(["fit", cli_fit["train"], "-o", str(output), *SMALL, *weights, *options]) == 0
    capsys.readouterr()
    return [coefficient for _, coefficient in load_potential(output).terms]


def _python_fit(cli_fit, sample_weight, **settings):
    model = PLIPRegressorCV(PLIPDescriptors.preset("accurate", cutoff=3.0), max_terms=20, **settings)
    model.fit(read(cli_fit["train"], ":"), sample_weight=sample_weight)
    return [coefficient for _, coefficient in model.potential_.terms]


@pytest.mark.parametrize(
    "text", [f'{{"{GROUP}": 7}}', f"# Weights\n\n{GROUP}: 7  # seven\n", f'"{GROUP}": 7.0']
)
def test_weights_of_groups(text, cli_fit, cli_data, tmp_path, capsys):
    weight = [7.0 if atoms.info["group"] == GROUP else 1.0 for atoms in cli_data[0]]
    assert 1 < weight.count(7.0) < len(weight)
    assert _group_fit(cli_fit, tmp_path, capsys, text) == _python_fit(cli_fit, weight)


@pytest.mark.parametrize(
    "text",
    [
        f'{{"{GROUP}": {{"energy": 9, "forces": 0, "stress": 4}}}}',
        f"{GROUP}: energy 9, force 0, stress 4",
        f"{GROUP}: {{energy: 9, force: 0, virial: 4}}",
        f"{GROUP}: energy=9 force=0 stress=4",
    ],
)
def test_weights_of_groups_by_target(text, cli_fit, cli_data, tmp_path, capsys):
    weight = np.array([[9, 0, 4] if atoms.info["group"] == GROUP else [1, 1, 1] for atoms in cli_data[0]])
    found = _group_fit(cli_fit, tmp_path, capsys, text, "--stress-weight", "0.5")
    assert found == _python_fit(cli_fit, weight, stress_weight=0.5)


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
def test_wrong_files_of_weights(text, expected, cli_fit, tmp_path, capsys):
    (tmp_path / "weights").write_text(text, encoding="utf-8")
    message = fails(
        capsys, "fit", cli_fit["train"], "-o", tmp_path / "no.json", "-q", "--weights", tmp_path / "weights"
    )
    assert str(tmp_path / "weights") in message and re.search(expected, message)


def test_missing_file_of_weights(cli_fit, tmp_path, capsys):
    message = fails(capsys, "fit", cli_fit["train"], "-q", "-o", tmp_path / "no.json", "--weights", "missing")
    assert "missing: No such file" in message


def test_key_of_groups(cli_fit, cli_data, tmp_path, capsys):
    atoms = [one.copy() for one in cli_data[1]]
    for k, (one, labeled) in enumerate(zip(atoms, cli_data[1], strict=True)):
        one.calc = SinglePointCalculator(one, **labeled.calc.results)
        del one.info["group"]
        one.info["kind"] = f"kind-{k % 3}"
        if k:
            one.info["config_type"] = f"type-{k % 2}"
    write(tmp_path / "groups.xyz", atoms, format="extxyz")
    command = ["evaluate", cli_fit["model"], str(tmp_path / "groups.xyz"), "-q"]
    assert main(command) == 0
    report = capsys.readouterr().out
    assert re.findall(r"^(\S+ ?\S*) \(\d\) ", report, re.MULTILINE) == ["(no group)", "type-0", "type-1"]
    assert main([*command, "--group-key", "kind"]) == 0
    report = capsys.readouterr().out
    assert re.findall(r"^(\S+) \(\d\) ", report, re.MULTILINE) == ["kind-0", "kind-1", "kind-2"]


def test_part_of_every_group_for_the_test(cli_data, tmp_path, capsys):
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
    assert "leaves nothing to train on" in fails(capsys, *command, "--test-fraction", "0.99")


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


@pytest.mark.parametrize("name", ["data.db", "data.json"])
def test_databases(name, cli_fit, cli_data, tmp_path, capsys):
    with ase.db.connect(tmp_path / name) as database:
        for k, labeled in enumerate(cli_data[1]):
            results = labeled.calc.results
            data = {"dft_forces": results["forces"], "dft_stress": results["stress"]}
            database.write(labeled.copy(), data=data, dft=results["energy"], config_type=f"type-{k % 2}")
    keys = ["--energy-key", "dft", "--forces-key", "dft_forces", "--stress-key", "dft_stress", "-q"]
    path = str(tmp_path / name)
    assert main(["evaluate", cli_fit["model"], path, *keys]) == 0
    report = capsys.readouterr().out
    assert errors_of(report, "data") == pytest.approx(
        errors_of(cli_fit["report"], "test"), rel=1e-3, abs=6e-3
    )
    assert "type-1" in report
    for slice_, n in (
        ("@:3", 3),
        ("@1::2", len(cli_data[1]) // 2),
        ("@-1", 1),
        ("@config_type=type-1", None),
    ):
        assert main(["evaluate", cli_fit["model"], path + slice_, *keys]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        found = sizes(captured.out, "data")[0]
        assert found == (len(cli_data[1]) // 2 if n is None else n)
    assert "--energy-key" in fails(capsys, "evaluate", cli_fit["model"], path)


def test_sign_in_the_name_of_a_file(cli_fit, capsys, tmp_path):
    path = tmp_path / "train@300.xyz"
    path.write_bytes(Path(cli_fit["test"]).read_bytes())
    for part, n in (("", len(read(cli_fit["test"], ":"))), ("@:2", 2)):
        assert main(["evaluate", cli_fit["model"], f"{path}{part}", "-q"]) == 0
        captured = capsys.readouterr()
        assert (captured.err, sizes(captured.out, "data")[0]) == ("", n)
    assert "'one' is neither" in fails(capsys, "evaluate", cli_fit["model"], f"{path}@one", "-q")


def test_database_with_calculated_labels(cli_fit, cli_data, tmp_path, capsys):
    write(tmp_path / "data.db", cli_data[1])
    assert main(["evaluate", cli_fit["model"], str(tmp_path / "data.db"), "-q"]) == 0
    found = errors_of(capsys.readouterr().out, "data")
    assert found == pytest.approx(errors_of(cli_fit["report"], "test"), rel=1e-3, abs=6e-3)


def test_labels_computed_by_a_potential_are_no_reference(cli_fit, cli_data, tmp_path, capsys):
    atoms = cli_data[1][0].copy()
    atoms.calc = load_potential(cli_fit["model"]).calculator()
    atoms.get_potential_energy()
    write(tmp_path / "own.traj", atoms)
    assert main(["evaluate", cli_fit["model"], str(tmp_path / "own.traj"), "-q"]) == 0
    assert "computed by a potential of plip" in capsys.readouterr().err
    # Still so where one label has another source.
    atoms = read(tmp_path / "own.traj")
    atoms.info["dft"] = -1.0
    write(tmp_path / "own.traj", atoms)
    assert main(["evaluate", cli_fit["model"], str(tmp_path / "own.traj"), "-q", "--energy-key", "dft"]) == 0
    assert "computed by a potential of plip" in capsys.readouterr().err
