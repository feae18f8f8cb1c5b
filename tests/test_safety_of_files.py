"""What files and commands make of the check of safety: refusals, structures to label, warnings."""

import re
from types import MappingProxyType

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write
from sample_fits import heated_copper, report_of_one

from plip import PLIPRegressor, load_potential
from plip.cli import main
from plip.cli._errors import CommandError
from plip.cli._outputs import Outputs
from plip.potential import Potential
from plip.report import potential_summary
from plip.safety import Finding, SafetyReport


@pytest.fixture(scope="module")
def copper_structures():
    return heated_copper()


@pytest.fixture
def copper_file(copper_structures, tmp_path):
    path = tmp_path / "train.xyz"
    write(path, copper_structures, format="extxyz")
    return str(path)


def test_an_unsafe_potential_is_not_written(copper_file, tmp_path, capsys, monkeypatch):
    finding = Finding("collapse", "Cu at 5,000 K, after 10 fs: atoms come as close as 0.1 A")
    report = SafetyReport((finding,), MappingProxyType({"steps at 5,000 K": 10}))
    monkeypatch.setattr(Potential, "check_safety", lambda self, structures=None: report)
    output = tmp_path / "model.json"
    command = ["fit", copper_file, "-o", str(output), "--preset", "fast", "--terms", "8", "-q", "--no-plot"]
    assert main(command) == 2
    captured = capsys.readouterr()
    assert not output.exists()
    assert "Safety: " in captured.out and "finding" in captured.out
    (message,) = captured.err.splitlines()
    assert "was not written" in message and "melts" in message and "--allow-unsafe" in message
    assert "audit" not in message
    assert main([*command, "--allow-unsafe"]) == 0
    captured = capsys.readouterr()
    assert output.exists() and "Safety: " in captured.out and captured.err == ""
    assert not (tmp_path / "model_failing.xyz").exists()  # the finding has no structures
    # Wrong labels are corrected before more structures are labeled.
    wrong = read(copper_file, ":")
    for atoms in wrong:
        atoms.calc.results["forces"] = -atoms.calc.results["forces"]
    write(copper_file, wrong, format="extxyz")
    assert main([*command, "-o", str(tmp_path / "other.json")]) == 2
    captured = capsys.readouterr()
    assert "Audit: force sign" in captured.out
    assert "fail: collapse (see above). First correct what the audit has found. " in captured.err


def test_structures_that_fail_are_written(copper_file, copper_structures, tmp_path, capsys, monkeypatch):
    rng = np.random.default_rng(5)
    failing = [bulk("Cu", a=3.0 + 0.1 * k, cubic=True) for k in range(14)]
    for atoms in failing:
        atoms.rattle(0.3, rng=rng)
    finding = Finding("collapse", "Cu at 5,000 K", structures=(*failing, *copper_structures[:3]))
    report = SafetyReport((finding,), MappingProxyType({"steps at 5,000 K": 10}))
    monkeypatch.setattr(Potential, "check_safety", lambda self, structures=None: report)
    output = str(tmp_path / "model.json")
    command = ["fit", copper_file, "-o", output, "--preset", "fast", "--terms", "8", "-q", "--no-plot"]
    first, second = tmp_path / "model_failing.xyz", tmp_path / "model_failing_2.xyz"
    assert main(command) == 2
    captured = capsys.readouterr()
    assert f"Structures to label, best first: {first}" in captured.out
    assert f"Calculate the structures in {first}," in captured.err
    found = read(first, ":")
    assert len(found) == 10 and all(atoms.calc is None for atoms in found)
    cells = [atoms.cell.array for atoms in failing]  # those of the data are known
    assert all(any(np.allclose(atoms.cell.array, cell) for cell in cells) for atoms in found)
    text = first.read_text()
    # What is there may hold labels by now.
    assert main([*command, "--allow-unsafe"]) == 0
    assert str(second) in capsys.readouterr().out
    assert first.read_text() == text == second.read_text()
    # Nor does it replace another output.
    assert main([*command, "--allow-unsafe", "--csv", str(tmp_path / "model_failing_3.xyz")]) == 0
    assert str(tmp_path / "model_failing_4.xyz") in capsys.readouterr().out
    assert (tmp_path / "model_failing_4.xyz").read_text() == text
    # A fit to sums has no structures but those of the check.
    terms, sums = str(tmp_path / "terms.json"), str(tmp_path / "sums.npz")
    assert main(["descriptors", copper_file, "--preset", "fast", "-o", terms]) == 0
    assert main(["accumulate", copper_file, "--descriptors", terms, "-o", sums, "-q"]) == 0
    summed = tmp_path / "summed.json"
    assert main(["fit", "--normal-equations", sums, "--terms", "8", "-o", str(summed), "-q"]) == 2
    assert "summed_failing.xyz, add them" in capsys.readouterr().err
    assert not summed.exists() and len(read(tmp_path / "summed_failing.xyz", ":")) == 10


@pytest.mark.parametrize("error", [OSError("no space left"), CommandError("no permission to write")])
def test_structures_that_cannot_be_written_do_not_hide_the_findings(
    copper_file, copper_structures, tmp_path, capsys, monkeypatch, error
):
    def refuse(self, path):
        raise error

    report = SafetyReport((Finding("collapse", "Cu", structures=(bulk("Cu", a=4.0),)),), {"pairs": 1})
    monkeypatch.setattr(Potential, "check_safety", lambda self, structures=None: report)
    monkeypatch.setattr(Outputs, "new", refuse)
    output = tmp_path / "model.json"
    command = ["fit", copper_file, "-o", str(output), "--preset", "fast", "--terms", "8", "-q", "--no-plot"]
    assert main(command) == 2
    captured = capsys.readouterr()
    assert f"Structures to label were not written: {error}" in captured.out
    assert f"{output} was not written" in captured.err and "Add training structures" in captured.err
    assert main([*command, "--allow-unsafe"]) == 0 and output.exists()


def test_a_safe_potential_is_written(copper_structures, tmp_path, capsys):
    write(tmp_path / "train.xyz", copper_structures, format="extxyz")
    command = ["fit", str(tmp_path / "train.xyz"), "-o", str(tmp_path / "model.json"), "--preset", "fast"]
    command += ["--solver", "replacement", "--alpha", "0", "--max-terms", "30", "--stress-weight", "10"]
    assert main([*command, "-q", "--no-plot"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Safety: ")]
    assert len(lines) == 1 and lines[0].startswith("Safety: nothing found (")
    # The file tells of it.
    potential = load_potential(tmp_path / "model.json")
    assert potential.fit_record["safety"]["findings"] == []
    assert main(["show", str(tmp_path / "model.json")]) == 0
    assert lines[0] in " ".join(capsys.readouterr().out.split())
    changed = potential.with_fit_record({**potential.fit_record, "safety": report_of_one().as_record()})
    assert str(report_of_one()) in potential_summary(changed)
    assert "Safety: not checked" in potential_summary(potential.with_fit_record(None))
    whole = report_of_one().as_record()
    wrong = [whole | {"counts": [1]}, whole | {"findings": "push"}, whole | {"findings": [1]}]
    for damaged in (None, "safe", [], {}, *wrong):
        changed = potential.with_fit_record({**potential.fit_record, "safety": damaged})
        assert "Safety: what the file says of it is damaged" in potential_summary(changed)


def test_files_of_failing_potentials_warn(copper_structures, tmp_path):
    potential = PLIPRegressor("fast", max_terms=5).fit(copper_structures).potential_
    record = report_of_one().as_record()
    failing = potential.with_fit_record({"safety": record})
    failing.save(tmp_path / "failing.json")
    finding = re.escape(record["findings"][0])
    message = f"failing.json: simulations with this potential fail, .*: {finding}. plip show"
    with pytest.warns(UserWarning, match=message) as caught:
        assert load_potential(tmp_path / "failing.json").fit_record == failing.fit_record
    assert len(caught) == 1 and caught[0].filename == __file__
    twice = record | {"findings": 2 * record["findings"]}
    potential.with_fit_record({"safety": twice}).save(tmp_path / "failing.json")
    with pytest.warns(UserWarning, match=r" \(1 more\)\. plip show"):
        load_potential(tmp_path / "failing.json")
    # Nothing is said of others: warnings are errors.
    for other in (None, {}, {"safety": None}, {"safety": SafetyReport((), {"pairs": 1}).as_record()}):
        potential.with_fit_record(other).save(tmp_path / "model.json")
        assert load_potential(tmp_path / "model.json").fit_record == other
