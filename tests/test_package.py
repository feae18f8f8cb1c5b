"""The package as installed: names, version, light import."""

import ast
import importlib
import importlib.metadata
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import plip

ROOT = Path(__file__).resolve().parents[1]


def _run(code):
    command = [sys.executable, "-P", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", plip.__all__)
def test_public_names_are_there(name):
    assert getattr(plip, name) is not None
    assert name in dir(plip)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Regressor'"):
        _ = plip.Regressor


def test_submodules_are_attributes():
    code = """if True:
        import pkgutil, plip
        names = {module.name for module in pkgutil.iter_modules(plip.__path__) if module.name[0] != "_"}
        assert names <= set(dir(plip)), names - set(dir(plip))
        for name in names:
            module = getattr(plip, name)
            assert module.__name__ == f"plip.{name}" and module.__all__
        print(len(plip.datasets.load_silicon_carbide()))
    """
    assert _run(code).split() == ["2"]


def test_type_checkers_see_all_submodules():
    tree = ast.parse(Path(plip.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "plip"]
    seen = {alias.asname for node in imports for alias in node.names}
    assert seen == {name for _, name, _ in pkgutil.iter_modules(plip.__path__) if not name.startswith("_")}


@pytest.mark.parametrize("name", ["_nothing", "nothing", "importlib", "_files.nothing"])
def test_only_what_is_there_is_an_attribute(name):
    assert name not in dir(plip)
    if name != "importlib":
        assert not hasattr(plip, name)


def test_every_public_module_declares_its_names():
    for module in pkgutil.iter_modules(plip.__path__, "plip."):
        if not module.name.rpartition(".")[2].startswith("_"):
            loaded = importlib.import_module(module.name)
            assert loaded.__all__, module.name
            assert all(hasattr(loaded, name) for name in loaded.__all__), module.name


def _callables():
    """Public functions, classes and methods by name."""
    for module in pkgutil.iter_modules(plip.__path__, "plip."):
        if module.name.rpartition(".")[2].startswith("_"):
            continue
        for name in importlib.import_module(module.name).__all__:
            value = getattr(importlib.import_module(module.name), name)
            if inspect.isclass(value):
                methods = {key: item for key, item in vars(value).items() if inspect.isfunction(item)}
                yield from (
                    (f"{name}.{key}", item) for key, item in methods.items() if not key.startswith("_")
                )
            if inspect.isclass(value) or inspect.isfunction(value):
                yield name, value


def test_documented_defaults_are_those_of_the_signature():
    n_checked = 0
    for name, value in _callables():
        lines = re.findall(r"^(\w+(?:, \w+)*) : .*\bdefault=(.+)$", inspect.getdoc(value) or "", re.MULTILINE)
        for names, text in lines:
            names, default = names.split(", "), ast.literal_eval(text)
            defaults = default if len(names) > 1 and isinstance(default, tuple) else [default] * len(names)
            for parameter, expected in zip(names, defaults, strict=True):
                assert inspect.signature(value).parameters[parameter].default == expected, (name, parameter)
                n_checked += 1
    assert n_checked > 70


def test_import_is_light():
    assert (
        _run("import sys, plip; print('sklearn' in sys.modules, 'ase' in sys.modules)").split()
        == ["False"] * 2
    )


def test_fits_load_no_figures_and_no_commands():
    code = (
        "import sys; from plip import PLIPRegressor; from plip.datasets import load_silicon_carbide; "
        "PLIPRegressor('fast', max_terms=5).fit(load_silicon_carbide()[0][::8]); print(*sys.modules)"
    )
    loaded = set(_run(code).split())
    assert "plip.regressor" in loaded
    rooms = {"audit", "calculator", "cli", "inspection", "lammps", "model_selection", "report", "selection"}
    assert not loaded & {"matplotlib", "jinja2", "dask", "ray", *(f"plip.{room}" for room in rooms)}


def test_version_is_the_one_of_the_distribution():
    try:
        installed = importlib.metadata.version("plip-potential")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("run from a checkout, not installed")
    assert installed == plip.__version__


def test_changelog_has_the_form_of_keep_a_changelog():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *versions = re.findall(r"^## (.*)$", text, re.MULTILINE)
    released = re.compile(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}")
    assert first == "[Unreleased]" or released.fullmatch(first)[1] == plip.__version__
    assert all(map(released.fullmatch, versions))
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds


def _private_imports(path):
    """Imports of private modules or names of scikit-learn."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("sklearn.") and re.search(r"\._[a-z]", name):
                yield f"{path.name}: {name}"


def test_nothing_private_of_scikit_learn():
    # What is private there changes without notice from one release to the next.
    sources = list(Path(plip.__file__).parent.rglob("*.py"))
    assert len(sources) > 10
    assert [found for path in sources for found in _private_imports(path)] == []


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").rglob("*.py")), ids=lambda path: path.name)
def test_benchmarks_import_what_is_there(path):
    names = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "plip"
        for alias in node.names
    ]
    for module, name in names:
        assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"


def test_oldest_dependencies_are_those_of_the_project():
    """`.ci/oldest` tests with the versions that pyproject.toml allows at least."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    # "test" names other extras of the project itself.
    parts = re.fullmatch(r"plip-potential\[(.*)\]", *extras["test"]).group(1).split(",")
    needed = [*project["dependencies"], *(line for part in parts for line in extras[part])]
    least = dict(re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", line).groups() for line in needed)
    pinned = (ROOT / ".ci" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in pinned if not line.startswith("#"))
    for name, version in least.items():
        # 8, 8.0 and 8.0.0 are the same version.
        assert re.sub(r"(\.0|\.\*)+$", "", pins[name]) == re.sub(r"(\.0)+$", "", version), name
