"""What the README promises is done."""

import csv
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_python_example_runs(tmp_path, monkeypatch, capsys):
    (example,) = _blocks("python")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    assert (tmp_path / "SiC.json").is_file()
    assert 1 <= len(names["model"].potential_.terms) <= 100
    # The first test structure has the potential as its calculator by then.
    # The example is there to impress: an R^2 below this would be a bad advertisement.
    assert names["model"].score(names["test"][1:]) > 0.98
    assert "Safety: nothing found" in capsys.readouterr().out
    shown = names["test"][0].get_potential_energy()
    predicted = names["model"].predict(names["test"][:1])[0]
    # The saved potential is the fitted one; its evaluation may round differently.
    assert abs(shown - predicted) < 1e-9 * abs(predicted)


def test_python_example_has_ten_lines():
    (example,) = _blocks("python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 10


def test_ci_runs_the_test_command():
    commands = [line for block in _blocks("sh") for line in block.splitlines() if "pytest" in line]
    assert len(commands) == 1
    assert commands[0] in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_commands_are_self_contained():
    commands = [line for block in _blocks("sh") for line in block.splitlines() if "venv" in line]
    assert len(commands) == 2
    assert all(line.startswith("python3 -m venv .venv && .venv/bin/pip install ") for line in commands)


def test_the_table_is_that_of_the_measurement():
    path = ROOT / "doc" / "data" / "peers_mo.csv"
    if not path.is_file():
        pytest.skip("the measurements are not here")
    with open(path, encoding="utf-8", newline="") as file:
        _, *measured = csv.reader(file)
    lines = [line for line in README.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    # Without the version and the memory, and without the header, its rule, and what was published.
    assert rows[2:-1] == [[name, *rest[1:3], *rest[4:]] for name, *rest in measured]
