"""Commands for data in parts, as job arrays have them: terms, sums of each part, a fit to all sums."""

from __future__ import annotations

import functools
import os
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from plip.cli import _commands
from plip.cli._errors import CommandError
from plip.cli._safety import refusal, write_failing

# As in `_commands`, for a quick `plip --help`.
if TYPE_CHECKING:
    from pathlib import Path

    from plip.cli._data import Data
    from plip.labels import LabelledStructures
    from plip.metrics import Evaluation
    from plip.normal_equations import NormalEquations
    from plip.regressor import PLIPRegressor

# Options of `plip fit` that need structures, and those that the sums have answered.
_NEEDS_STRUCTURES = {
    "train": "training files",
    "test_fraction": "--test-fraction",
    "weights": "--weights",
    "cv": "--cv",
    "report": "--report",
}
_NEEDS_TEST = {"plot": "--plot", "csv": "--csv"}
_ANSWERED = ("preset", "cutoff", "shared")


def descriptors(arguments: Namespace) -> None:
    from plip.cli._data import Data, read_parts
    from plip.descriptors import PLIPDescriptors

    output = arguments.outputs.file(arguments.output)
    offer = {name: value for name, value in vars(arguments).items() if name in _ANSWERED}
    data = Data(*read_parts(arguments.structures), groups=None)
    with data.located():
        made = PLIPDescriptors.preset(offer.pop("preset", "accurate"), **offer).fit(data.structures)
    made.save(output)
    print(
        f"{len(made.terms_)} terms of {', '.join(made.species_)}, cutoff {made.cutoff_:g} A, from "
        f"{len(data.structures)} structures: {output}"
    )


def accumulate(arguments: Namespace) -> None:
    from plip.cli._data import attach, read_group_weights, weight_of
    from plip.descriptors import load_descriptors
    from plip.normal_equations import NormalEquations

    output = arguments.outputs.file(arguments.output)
    keys = _commands.keys_of(arguments)
    for number, path in enumerate(arguments.data):
        if os.path.realpath(path) in map(os.path.realpath, arguments.data[:number]):
            raise CommandError(f"{path} is given twice: its structures would count twice; leave one out")
    weigh = None
    if arguments.weights is not None:
        weigh = functools.partial(weight_of, table=read_group_weights(arguments.weights), key=keys.group)
    equations = NormalEquations.from_files(
        arguments.data,
        load_descriptors(arguments.descriptors),
        n_jobs=arguments.n_jobs,
        verbose=int(_commands._shows_progress(arguments)),
        prepare=functools.partial(attach, keys=keys),
        sample_weight=weigh,
    )
    targets = {"energy": "energy", "forces": "force", "stress": "virial", "virial": "virial"}
    for name, target in targets.items():
        key = getattr(arguments, f"{name}_key")
        if key is not None and not equations.n_rows[target]:
            raise CommandError(f"--{name}-key: no structure has a label {key!r}")
    equations.save(output)
    print(f"{_described(equations)}: {output}")


def _described(equations: NormalEquations) -> str:
    rows = equations.n_rows
    return (
        f"{equations.n_structures} structures with {rows['energy']} energies, {rows['force'] // 3} forces "
        f"and {rows['virial'] // 6} stresses"
    )


def fit(arguments: Namespace) -> None:
    """Fit to structures or to sums."""
    if arguments.normal_equations is not None:
        _fit_normal_equations(arguments)
    elif arguments.train:
        _commands.fit(arguments)
    else:
        raise CommandError(
            "give training structures (before --test, which takes all files behind it), or --normal-equations"
        )


def _fit_normal_equations(arguments: Namespace) -> None:
    from plip.regressor import FitError, PLIPRegressor
    from plip.solvers import PathError

    output = arguments.outputs.file(arguments.output)
    settings = _settings(arguments)
    plot = None if arguments.plot is None else arguments.outputs.plot(arguments.plot)
    table = None if arguments.csv is None else arguments.outputs.file(arguments.csv)
    test = None if arguments.test is None else _commands._read(arguments.test, arguments, required=False)
    equations = _merged(arguments.normal_equations)
    # Errors in the data come before the long work.
    checked = None if test is None else _commands._check(test, species=equations.species)
    print(f"{_described(equations)} in {len(arguments.normal_equations)} files")
    model = PLIPRegressor(equations.descriptors, **settings, n_jobs=arguments.n_jobs)
    try:
        model.fit_normal_equations(equations)
    except (PathError, FitError) as error:
        raise CommandError(error) from error
    evaluations = _finish(model, equations, test, checked, arguments, output)
    _commands._write_plot(evaluations, plot)
    if table is not None:
        _commands._write_table(table, {"test": test}, evaluations)


def _settings(arguments: Namespace) -> dict[str, Any]:
    """Parameters of the estimator."""
    for name, option in _NEEDS_STRUCTURES.items():
        if getattr(arguments, name):
            raise CommandError(f"--normal-equations hold no structures: leave {option} out")
    for name, option in _NEEDS_TEST.items():
        if getattr(arguments, name) is not None and arguments.test is None:
            raise CommandError(f"--normal-equations hold no structures: {option} needs --test")
    purpose = dict(_commands.PURPOSES[arguments.target])
    purpose.pop("selection", None)
    given = {name: value for name, value in vars(arguments).items() if name in _commands.SETTINGS}
    if "preset" in purpose or not given.keys().isdisjoint(_ANSWERED):
        raise CommandError(
            "the files of --normal-equations have their candidate terms: give --preset, --cutoff and "
            "--shared to `plip descriptors` instead, and leave --target fast or stock out"
        )
    settings = {**purpose, **given}
    if arguments.terms is not None:
        if "max_terms" in given:
            raise CommandError("--terms is the number of terms: leave --max-terms out")
        settings["max_terms"] = arguments.terms
    return settings


def _merged(paths: list[str]) -> NormalEquations:
    from plip.normal_equations import NormalEquations

    total: NormalEquations | None = None
    read: dict[int, str] = {}
    for path in paths:
        part = NormalEquations.load(path)
        # Files of older versions have no hash.
        if part.data_hash in read:
            raise CommandError(f"{path} holds the same data as {read[part.data_hash]}: leave one of them out")
        if part.data_hash is not None:
            read[part.data_hash] = path
        if total is None:
            total = part
        elif part.species != total.species or part.terms != total.terms:
            raise CommandError(
                f"{path} has other terms than {paths[0]}: accumulate all parts with the same --descriptors"
            )
        else:
            total = total + part
    assert total is not None  # argparse asks for at least one
    return total


def _finish(
    model: PLIPRegressor,
    equations: NormalEquations,
    test: Data | None,
    checked: LabelledStructures | None,
    arguments: Namespace,
    output: Path,
) -> dict[str, Evaluation]:
    """Check, write and describe the potential; returns its errors on test structures, if there are any."""
    from plip.cli._about import signed
    from plip.metrics import Evaluation
    from plip.report import evaluation_report
    from plip.report._tables import with_errors
    from plip.report._text import safety_text

    potential = signed(model.potential_, arguments)
    seen = [] if equations.sample is None else list(equations.sample.structures())
    safety = potential.check_safety(seen or None)
    evaluations: dict[str, Evaluation] = {}
    if test is not None and checked is not None:
        with test.located():
            evaluations["test"] = Evaluation(potential, checked, test.groups, n_jobs=arguments.n_jobs)
        potential = with_errors(potential, evaluations)
    written = safety.is_safe or arguments.allow_unsafe
    if written:
        potential.save(output)
    print(f"{len(potential.terms)} terms, root mean square errors of the fit: {_errors(model, equations)}")
    if test is not None:
        with test.located():
            print(evaluation_report(evaluations))
    print(safety_text(safety.as_record()))
    print(
        "Without structures the number of terms is not cross-validated (--terms), there are no "
        "uncertainties, and the check takes a sample of the geometry"
    )
    failing = write_failing(safety, model, arguments, output)
    if not written:
        raise CommandError(refusal(safety, output, failing))
    print(f"Potential: {output}")
    return evaluations


def _errors(model: PLIPRegressor, equations: NormalEquations) -> str:
    import numpy as np

    energies = model.potential_.intercept
    references = np.array([[energies[symbol] for symbol in equations.species]])
    squares = equations.mean_squares(model.coef_[None], references)
    units = {"energy": (1e3, "meV/atom"), "force": (1.0, "eV/A"), "virial": (1e3, "meV/atom")}
    errors = {target: units[target][0] * np.sqrt(found[0]) for target, found in squares.items()}
    return ", ".join(f"{target} {error:.4g} {units[target][1]}" for target, error in errors.items())
