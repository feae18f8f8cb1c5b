"""Random inputs of every kind, always the same ones; `benchmarks/fuzz.py` checks as many as wanted."""

import json
from pathlib import Path

import fuzzing
import numpy as np
import pytest
from random_inputs.damage import dump_document, mutate_document
from random_inputs.files import equations_file, potential_file
from random_inputs.structures import random_structure

# Some seconds each. Crashes and hangs are failures too: the checks run in processes of their own.
COUNTS = {"models": 40, "calculators": 100, "potentials": 500, "equations": 200}


def assert_no_failure(kind, count):
    counts, failures = fuzzing.run(kind, 0, count)
    commands = [f"python tests/fuzzing.py {kind} {seed} {seed + 1}: {message}" for seed, message in failures]
    assert not failures, "\n".join(commands)
    assert sum(counts.values()) == count
    # Inputs that are refused before anything is checked prove little.
    assert counts["held"] > count // 20


@pytest.mark.parametrize("kind", COUNTS)
def test_random_inputs(kind):
    assert_no_failure(kind, COUNTS[kind])


def test_lammps_reads_what_python_reads(plugin, tmp_path, monkeypatch):
    monkeypatch.setenv("LAMMPS_PLUGIN_PATH", str(plugin))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert_no_failure("plugin", 150)


def test_inputs_depend_on_the_seed_alone():
    for make in (random_structure, potential_file, equations_file):
        first, second = (make(np.random.default_rng(3)) for _ in range(2))
        assert first == second


def test_crashes_hangs_and_failures_are_told_apart(monkeypatch, tmp_path):
    """The checks of a copy of the module that ends, waits or fails at will."""
    source = tmp_path / "fuzzing.py"
    text = Path(fuzzing.__file__).read_text(encoding="utf-8")
    planted = """
def check(kind, seed):
    if seed == 1:
        faulthandler._sigabrt()
    if seed == 2:
        while True:
            pass
    if seed == 3:
        raise ValueError("wrong")
    return "held"

"""
    source.write_text(text.replace("\nif __name__", planted + "\nif __name__"), encoding="utf-8")
    monkeypatch.setattr(fuzzing, "__file__", str(source))
    counts, failures = fuzzing.run("models", 0, 5, seconds=2.0)
    assert counts == {"held": 2, "crashed": 1, "hung": 1, "failed": 1}
    assert [seed for seed, _ in failures] == [1, 2, 3]
    assert "ValueError: wrong" in failures[2][1]


def test_documents_are_changed():
    document = {"terms": [{"a": 1, "b": [1, 2]}], "species": ["Si"]}
    before = json.dumps(document)
    changed = {dump_document(mutate_document(np.random.default_rng(n), document)) for n in range(50)}
    assert len(changed) > 30
    assert json.dumps(document) == before
