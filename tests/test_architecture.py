"""The shape of the package: imports run one way, and every public name is where it was."""

import ast
import graphlib
import importlib
from collections import defaultdict
from pathlib import Path

import pytest

import plip

PACKAGE = Path(plip.__file__).parent

# Rooms from the ground up, as in doc/architecture.rst: a room imports only rooms of lower floors.
FLOORS = (
    {"_types", "_html", "_parameters", "_places", "_workers"},
    {"_files", "_core", "_warnings", "datasets", "parallel"},
    {"_reading", "_structures", "radial", "solvers", "_config"},
    {"interactions", "labels"},
    {"calculator", "safety"},
    {"_design"},
    {"potential", "descriptors"},
    {"lammps", "legacy", "metrics", "normal_equations"},
    {"audit", "regressor"},
    {"model_selection"},
    {"inspection"},
    {"plotting", "report", "selection"},
    {"cli"},
    {"__main__"},
)

PUBLIC = {
    "plip": {
        *("NormalEquations", "PLIPDescriptors", "PLIPRegressor", "PLIPRegressorCV", "Potential"),
        *("__version__", "load_potential", "show_config"),
    },
    "plip.audit": {"AuditReport", "Finding", "audit"},
    "plip.calculator": {"ExtrapolationError", "ExtrapolationObserver", "PLIPCalculator"},
    "plip.cli": {"main"},
    "plip.datasets": {"load_silicon_carbide"},
    "plip.descriptors": {"PLIPDescriptors", "load_descriptors"},
    "plip.inspection": {
        *("AngleDisplay", "DensityDisplay", "EquationOfStateDisplay", "PairDisplay", "ParityDisplay"),
        *("LearningDisplay", "PartitionDisplay", "PathDisplay", "StabilityDisplay"),
        "UncertaintyDisplay",
    },
    "plip.interactions": {"FourBody", "NBody", "Term", "ThreeBody", "TwoBody"},
    "plip.labels": {
        *(
            "STRESS_UNITS",
            "TARGETS",
            "LabelWarning",
            "LabelledStructures",
            "Labels",
            "convert_stress",
            "read_labels",
        ),
        "stress_from_virial",
    },
    "plip.lammps": {"BuildError", "build_plugin", "export", "export_kim", "plugin_folder", "start"},
    "plip.legacy": {"load_legacy"},
    "plip.metrics": {
        *("UNITS", "Deviations", "Evaluation", "RMSEScorer", "cancellation", "coverage", "energy_r2"),
        *("error_summary", "errors"),
        *("force_r2", "group_scorers", "neg_energy_rmse", "neg_force_rmse", "neg_stress_rmse"),
        *("read_groups", "score"),
    },
    "plip.model_selection": {
        *("LearningCurve", "StratifiedByGroup", "as_column", "composition_groups", "learning_curve"),
    },
    "plip.normal_equations": {"NormalEquations"},
    "plip.parallel": {"use_executor"},
    "plip.plotting": {"parity_plot"},
    "plip.potential": {"Potential", "Uncertainty", "load_potential", "potential_schema"},
    "plip.radial": {
        *("FAMILIES", "Gaussian", "GaussianType", "LennardJones", "LogNormal", "Lorentzian", "Power"),
        *("RadialFamily", "Slater", "StillingerWeber", "cutoff_function"),
    },
    "plip.regressor": {"FitError", "PLIPRegressor", "PLIPRegressorCV", "fit_committee"},
    "plip.report": {"Evaluation", "evaluation_report", "fit_report", "potential_summary", "write_report"},
    "plip.safety": {"Finding", "SafetyReport", "check_safety"},
    "plip.selection": {"select_structures"},
    "plip.solvers": {
        *("SOLVERS", "LinearProblem", "Path", "PathError", "adaptive_lasso_path", "lasso_lars_path"),
        *("omp_path", "refit", "refit_path", "replacement_path", "residual_squares"),
        *("ridge_elimination_path", "ridge_path", "solve"),
    },
}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): path for path in sorted(PACKAGE.rglob("*.py*")) if path.suffix in (".py", ".pyx")
}


def is_for_type_checkers(node):
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def import_nodes(tree):
    """Every import that Python runs, those inside functions too."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif not is_for_type_checkers(node):
            stack.extend(ast.iter_child_nodes(node))


def imported(path):
    """Modules of the package that a Python file imports."""
    for node in import_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in SOURCES)
        elif node.level == 0 and node.module in SOURCES:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in SOURCES else node.module


def import_graph():
    """Imported modules by module; the package itself, which loads all others lazily, is left out."""
    return {
        name: {other for other in imported(path) if other not in ("plip", name)}
        for name, path in SOURCES.items()
        if name != "plip" and path.suffix == ".py"
    }


def test_files_import_each_other_in_no_circle():
    graph = import_graph()
    assert len(graph) > 40
    assert {"plip._design._plan"} <= graph["plip._design._rows"]
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


def test_rooms_import_only_lower_floors():
    floor = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
    rooms = defaultdict(set)
    for name, others in import_graph().items():
        room = name.split(".")[1]
        rooms[room] |= {other.split(".")[1] for other in others} - {room}
    assert set(rooms) == set(floor)
    upward = [(room, other) for room in rooms for other in rooms[room] if floor[other] >= floor[room]]
    assert upward == []


def exported(path):
    """The names in `__all__` of a Python file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def test_files_name_what_others_take_from_them():
    """What a file does not list may change without a look at others, those of its own room too."""
    files = {name: path for name, path in SOURCES.items() if path.suffix == ".py"}
    private = {name: path for name, path in files.items() if path.name[0] == "_" and path.name[1] != "_"}
    listed = {name: exported(path) for name, path in private.items()}
    unlisted = {
        (node.module, alias.name)
        for path in files.values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module in listed
        for alias in node.names
        if alias.name not in listed[node.module]
    }
    assert unlisted == set()


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names(module):
    assert set(importlib.import_module(module).__all__) == PUBLIC[module]


def test_every_public_module_is_listed():
    public = {name for name in SOURCES if not any(part.startswith("_") for part in name.split("."))}
    assert public == set(PUBLIC)


def test_faces_of_folders_only_hand_names_on():
    faces = [path for path in PACKAGE.glob("*/__init__.py") if path.parent.name not in ("_core", "datasets")]
    assert len(faces) >= 8
    for path in faces:
        kinds = {type(node).__name__ for node in ast.parse(path.read_text(encoding="utf-8")).body}
        assert kinds <= {"Expr", "ImportFrom", "Assign"}, path
