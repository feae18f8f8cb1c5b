"""Types of the public names and of the compiled modules, and that the package brings them.

mypy reads this file too (see pyproject.toml). `assert_type` does nothing at run time.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any, assert_type

import numpy as np
import pytest
from ase import Atoms
from numpy.typing import NDArray

import plip
from plip import _core
from plip.calculator import PLIPCalculator
from plip.interactions import Term

Floats = NDArray[np.float64]

MODULES = [module.name for module in pkgutil.iter_modules(plip.__path__, "plip.") if module.name[5] != "_"]
COMPILED = [
    f"plip._core._{name}"
    for name in (
        "blas",
        "evaluate",
        "evaluate_each",
        "neighbors",
        "radial",
        "rows",
        "rows_each",
        "swaps",
        "terms",
    )
]


def test_type_checkers_know_the_lazy_names() -> None:
    structures, _ = plip.datasets.load_silicon_carbide()
    assert_type(structures, list[Atoms])
    assert_type(plip.radial.Gaussian(eta=1.0, centers=2.0).evaluate(2.0), tuple[Floats, Floats])
    descriptors = plip.PLIPDescriptors(cutoff=3.0).fit(structures[:1])
    potential = plip.Potential(descriptors, np.ones(len(descriptors.terms_)), {"C": 0.0, "Si": 0.0})
    assert_type(potential.energy(structures[0]), float)
    assert_type(potential.evaluate(structures[0])["forces"], Floats)
    assert_type(potential.terms, list[tuple[Term, float]])
    assert_type(potential.calculator(), PLIPCalculator)
    model = plip.PLIPRegressor("fast", max_terms=3).fit(structures[:10])
    assert_type(model, plip.PLIPRegressor)
    assert_type(model.predict(structures[:1]), Floats)
    assert_type(model.predict_forces(structures[:1]), list[Floats])
    assert_type(model.potential_at(3), plip.Potential)
    with pytest.raises(AttributeError):
        # mypy would report this ignore as unused if it believed that plip has any name.
        _ = plip.Regressor  # type: ignore[attr-defined]


def test_the_package_says_that_it_is_typed() -> None:
    assert files("plip").joinpath("py.typed").is_file()


def functions_of(name: str, value: object) -> Iterator[tuple[str, Callable[..., Any]]]:
    """A function, or the methods and properties that a class defines itself, with their names."""
    if inspect.isfunction(value):
        yield name, value
    elif isinstance(value, type):
        for key, member in vars(value).items():
            function = getattr(member, "fget", None) or getattr(member, "__func__", member)
            is_private = key.startswith("_") and not key.endswith("__")
            # The methods of dataclasses are in no file, or in that of dataclasses.
            if inspect.isfunction(function) and not is_private:
                if inspect.unwrap(function).__code__.co_filename not in ("<string>", dataclasses.__file__):
                    yield f"{name}.{key}", function


def missing_annotations(function: Callable[..., Any]) -> list[str]:
    signature = inspect.signature(function)
    missing = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.annotation is inspect.Parameter.empty and name not in ("self", "cls")
    ]
    return missing + ["return"] * (signature.return_annotation is inspect.Signature.empty)


@pytest.mark.parametrize("module", MODULES)
def test_public_functions_have_annotations(module: str) -> None:
    loaded = importlib.import_module(module)
    public = [pair for name in loaded.__all__ for pair in functions_of(name, getattr(loaded, name))]
    missing = {name: missing_annotations(function) for name, function in public}
    assert {name: names for name, names in missing.items() if names} == {}


def stub_parameters(node: ast.FunctionDef) -> list[tuple[str, bool]]:
    """Name of each parameter and whether it has a default."""
    names = [argument.arg for argument in node.args.args]
    first_default = len(names) - len(node.args.defaults)
    return [(name, place >= first_default) for place, name in enumerate(names)]


def compiled_parameters(function: Callable[..., Any]) -> list[tuple[str, bool]]:
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.default is not inspect.Parameter.empty) for each in parameters]


@pytest.mark.parametrize("module", COMPILED)
def test_stubs_agree_with_the_compiled_modules(module: str) -> None:
    compiled = importlib.import_module(module)
    stub = ast.parse(files("plip._core").joinpath(f"{module.rpartition('.')[2]}.pyi").read_text("utf-8"))
    described = {node.name: node for node in stub.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    variables = [ast.unparse(node.target) for node in stub.body if isinstance(node, ast.AnnAssign)]
    # Private names are aliases of types.
    constants = {name for name in variables if name[0] != "_"}
    assert set(described) | constants == set(compiled.__all__)
    for name, node in described.items():
        value = getattr(compiled, name)
        if isinstance(node, ast.FunctionDef):
            assert stub_parameters(node) == compiled_parameters(value), name
            continue
        members = {member.name: member for member in node.body if isinstance(member, ast.FunctionDef)}
        assert set(members) == {key for key in vars(value) if key[0] != "_"} | {"__init__"}, name
        for key, member in members.items():
            # Cython does not tell the parameters of constructors.
            if callable(getattr(value, key)) and key != "__init__":
                assert stub_parameters(member) == compiled_parameters(getattr(value, key)), f"{name}.{key}"


def test_stubs_agree_with_the_constructors() -> None:
    # mypy compares these calls with the stub.
    _core.Core(
        species=["H"],
        terms=[],
        reference=np.zeros(1),
        simd="auto",
        repulsion={("H", "H"): (0.5, 0.7)},
        density_limits=None,
        core_forces={("H", "H"): 3.0},
    )
    periodic = np.zeros(3, np.int32)
    _core.NeighborList(positions=np.zeros((1, 3)), cell=np.eye(3), periodic=periodic, cutoff=1.0)
