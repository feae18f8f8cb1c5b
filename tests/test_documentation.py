"""The reference has every public name, and every example of a docstring runs."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest
from test_architecture import PUBLIC

ROOT = Path(__file__).resolve().parents[1]
# The same object under a second name.
ALIASES = {"plip.report.Evaluation": "plip.metrics.Evaluation"}
# Errors and warnings are documented where they are raised.
NO_EXAMPLE = (Exception,)


def public_objects():
    """Public names and what they stand for, each object once."""
    found = {}
    for module, names in PUBLIC.items():
        for name in sorted(names):
            value = getattr(importlib.import_module(module), name)
            if all(value is not other for other in found.values()):
                found[f"{module}.{name}"] = value
    return found


OBJECTS = public_objects()
DOCUMENTED = {
    name: value for name, value in OBJECTS.items() if inspect.isclass(value) or inspect.isfunction(value)
}


def methods(name, value):
    """The methods of a class that have a docstring; those of a public base have their turn there."""
    bases = [base for base in value.__mro__ if base is value or base not in OBJECTS.values()]
    for key in dict.fromkeys(key for base in bases for key in vars(base)):
        method = inspect.getattr_static(value, key)
        method = getattr(method, "__func__", method)
        is_ours = inspect.isfunction(method) and method.__module__.startswith("plip")
        if is_ours and not key.startswith("_") and method.__doc__:
            yield f"{name}.{key}", method


def test_the_reference_has_every_public_name():
    path = ROOT / "doc" / "api.rst"
    if not path.is_file():
        pytest.skip("the documentation is not here")
    text = path.read_text(encoding="utf-8")
    listed = {f"plip.{name}" for name in re.findall(r"^   ([\w.]+)$", text, re.MULTILINE)}
    listed |= set(re.findall(r"^\.\. py:data:: (\S+)$", text, re.MULTILINE))
    by_module = {f"{module}.{name}" for module, names in PUBLIC.items() for name in names}
    objects = {}
    for name in listed:
        assert name in by_module, f"doc/api.rst has {name}, which is not public"
        objects[name] = getattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2])
    for name in by_module - listed - set(ALIASES):
        value = getattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2])
        assert any(value is other for other in objects.values()), f"doc/api.rst lacks {name}"


@pytest.mark.parametrize("name", DOCUMENTED)
def test_examples_of_docstrings_run(name, tmp_path, monkeypatch):
    """Those of a class first, then those of its methods, which may go on with what the class has made."""
    value = DOCUMENTED[name]
    if "matplotlib" in (inspect.getdoc(value) or ""):
        pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    parser, names = doctest.DocTestParser(), {}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    parts = [(name, value), *(methods(name, value) if inspect.isclass(value) else ())]
    own = parser.get_examples(inspect.getdoc(value) or "")
    is_error = inspect.isclass(value) and issubclass(value, NO_EXAMPLE)
    assert own or is_error, f"{name} has no example"
    output = []
    for part, item in parts:
        test = parser.get_doctest(inspect.getdoc(item) or "", names, part, None, 0)
        if test.examples:
            runner.run(test, out=output.append, clear_globs=False)
            names = test.globs
    assert runner.failures == 0, "".join(output)
