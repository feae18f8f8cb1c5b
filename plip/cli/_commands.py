"""The commands of ``plip``, a thin layer over the Python interface."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from argparse import Namespace
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plip.cli._errors import CommandError
from plip.cli._outputs import check_writable
from plip.cli._safety import refusal, write_failing

# Commands import the rest themselves, so that `plip --help` is quick.
if TYPE_CHECKING:
    from plip._types import FloatArray
    from plip.audit import AuditReport
    from plip.cli._data import Data, Keys
    from plip.labels import LabelledStructures, Labels
    from plip.metrics import Evaluation
    from plip.potential import Potential
    from plip.regressor import PLIPRegressor, PLIPRegressorCV
    from plip.safety import SafetyReport

# Of batch jobs; see --log.
_log = logging.getLogger("plip.cli")

# Name of the evaluation of folds.
FOLDS = "cross-validation"

# Of `plip audit` with findings.
EXIT_FINDINGS = 1

# With fewer structures there is no cross-validation.
FEWEST_TO_VALIDATE = 5

# The options that name the labels of each weight.
LABEL_OPTIONS = {
    "energy_weight": "--energy-key",
    "force_weight": "--forces-key",
    "stress_weight": "--stress-key or --virial-key",
}

# Options of ``plip fit`` that are parameters of the estimator.
SETTINGS = (
    "preset",
    "cutoff",
    "shared",
    "solver",
    "alpha",
    "max_terms",
    "refit",
    "energy_weight",
    "force_weight",
    "stress_weight",
    "reference_energies",
)

# Settings by purpose; options take precedence. "stock" is for the pair styles of any LAMMPS.
PURPOSES: dict[str, dict[str, Any]] = {
    "accurate": {},
    "readable": {"max_terms": 25, "selection": "min"},
    "fast": {"preset": "fast"},
    "stock": {"preset": "stock"},
}

# Options by attribute of `plip.cli._data.Keys`.
KEYS = {
    "energy": "energy_key",
    "forces": "forces_key",
    "stress": "stress_key",
    "virial": "virial_key",
    "stress_unit": "stress_unit",
    "stress_sign": "stress_sign",
    "group": "group_key",
}


def demo(arguments: Namespace) -> None:
    from plip.cli._data import Data
    from plip.datasets import load_silicon_carbide
    from plip.metrics import read_groups
    from plip.regressor import PLIPRegressorCV

    output, plot = _outputs(arguments)
    train, test = (
        Data(X, [f"structure {k}" for k in range(len(X))], read_groups(X)) for X in load_silicon_carbide()
    )
    print("Silicon carbide, density-functional theory (PBE), data set of plip.datasets\n")
    _fit_and_report(PLIPRegressorCV(), train, test, None, arguments, output, plot)


def audit(arguments: Namespace) -> int:
    data = _read(arguments.data, arguments)
    test = None if arguments.test is None else _read(arguments.test, arguments, required=False)
    report = _audited(data, test, quick=arguments.quick)
    print(report)
    return 0 if report.is_clean else EXIT_FINDINGS


def _audited(data: Data, test: Data | None, quick: bool = False) -> AuditReport:
    from plip.audit import audit

    return audit(
        data.structures,
        None if test is None else test.structures,
        groups=data.groups,
        places=data.places,
        test_places=None if test is None else test.places,
        quick=quick,
    )


def fit(arguments: Namespace) -> None:
    from plip.cli._data import split, weights_of_groups
    from plip.descriptors import PLIPDescriptors
    from plip.regressor import PLIPRegressor, PLIPRegressorCV
    from plip.regressor._checks import check_parameters

    purpose = PURPOSES[arguments.target]
    if "preset" in purpose and "preset" in arguments:
        raise CommandError(f"--target {arguments.target} chooses the candidate terms: leave --preset out")
    given = {name: value for name, value in vars(arguments).items() if name in SETTINGS}
    settings = {"preset": "accurate", **purpose, **given}
    offer = {name: settings.pop(name) for name in ("preset", "cutoff", "shared") if name in settings}
    settings["descriptors"] = PLIPDescriptors.preset(offer.pop("preset"), **offer)
    if arguments.terms is not None:
        if "max_terms" in given:
            raise CommandError("--terms is the number of terms: leave --max-terms out")
        settings["max_terms"] = arguments.terms
    unsized = {name: value for name, value in settings.items() if name != "selection"}
    check_parameters(PLIPRegressor(**unsized, n_jobs=arguments.n_jobs).get_params(deep=False), False)
    output, plot = _outputs(arguments)
    train = _read(arguments.train, arguments)
    test = None if arguments.test is None else _read(arguments.test, arguments, required=False)
    if arguments.test_fraction is not None:
        isolated = settings.get("reference_energies") == "isolated"
        train, test = split(train, arguments.test_fraction, arguments.seed, keep_single_atoms=isolated)
    weights = None if arguments.weights is None else weights_of_groups(arguments.weights, train.groups)
    is_sized = arguments.terms is not None or "alpha" in given
    if arguments.cv is not None and is_sized:
        raise CommandError("--terms and --alpha decide the number of terms: leave --cv out")
    if is_sized or len(train.structures) < FEWEST_TO_VALIDATE:
        settings.pop("selection", None)
        model = PLIPRegressor(**settings)
    else:
        model = PLIPRegressorCV(**settings, cv=arguments.cv)
    _fit_and_report(model, train, test, weights, arguments, output, plot)


def _fit_and_report(
    model: PLIPRegressor | PLIPRegressorCV,
    train: Data,
    test: Data | None,
    weights: FloatArray | None,
    arguments: Namespace,
    output: Path,
    plot: Path | None,
) -> None:
    from plip._structures._composition import species_of
    from plip.cli._about import signed
    from plip.report import fit_report
    from plip.report._tables import with_errors
    from plip.report._text import safety_text

    # Errors in the data and options come before the long work.
    page = None if arguments.report is None else arguments.outputs.page(arguments.report)
    table = None if arguments.csv is None else arguments.outputs.file(arguments.csv)
    checked = {"train": _check(train)}
    _check_weights(vars(arguments), checked["train"].labels)
    if test is not None:
        checked["test"] = _check(test, species=species_of(train.structures))
    _log.info("read %d structures", len(train.structures))
    audited = _print_audit(train, test, checked)
    model.set_params(n_jobs=arguments.n_jobs, verbose=int(_shows_progress(arguments)))
    took = _timed_fit(model, train, checked["train"], weights)
    model.potential_ = signed(model.potential_, arguments)
    safety = model.potential_.check_safety(train.structures)
    # It is saved before the report, so that no error in the report can lose the fit.
    written = safety.is_safe or arguments.allow_unsafe
    if written:
        _save(model, output, arguments)
    evaluations = _evaluate(model, train, test, checked)
    if written and test is not None:
        model.potential_ = with_errors(model.potential_, {"test": evaluations["test"]})
        _save(model, output, arguments)
    # Of structures, a report names those of the test alone.
    with nullcontext() if test is None else test.located():
        print(fit_report(model, evaluations))
    print(f"\n{took}")
    print(safety_text(safety.as_record()))
    if vars(arguments).get("target") == "stock":
        _print_safety_of_styles(model, train, safety)
    failing = write_failing(safety, model, arguments, output)
    if not written:
        raise CommandError(refusal(safety, output, failing, len(audited.findings)))
    _log.info("wrote %s", output)
    print(f"Potential: {output}")
    _write_plot(evaluations, plot)
    if table is not None:
        _write_table(table, {"train": train, FOLDS: train, "test": test}, evaluations)
    if page is not None:
        pages = {"train": train, "test": test}
        _write_page(page, model.potential_, pages, evaluations, safety, audited)


def _timed_fit(
    model: PLIPRegressor | PLIPRegressorCV, train: Data, data: LabelledStructures, weights: FloatArray | None
) -> str:
    """Fit, and say how long it took."""
    from plip.labels import LabelWarning
    from plip.regressor import FitError
    from plip.solvers import PathError

    wall, processor = time.perf_counter(), _processor_seconds()
    try:
        with train.located(), warnings.catch_warnings():
            # They have been shown, for all targets.
            warnings.simplefilter("ignore", LabelWarning)
            model.fit(data, sample_weight=weights)
    except (PathError, FitError) as error:
        raise CommandError(error) from error
    wall, processor = time.perf_counter() - wall, _processor_seconds() - processor
    _log.info("fitted %d terms in %.1f s", len(model.potential_.terms), wall)
    return f"Fitted in {wall:.1f} s ({processor:.1f} s of CPU time)"


def _save(model: PLIPRegressor | PLIPRegressorCV, path: Path, arguments: Namespace) -> None:
    # A potential without terms has no uncertainty.
    keep = arguments.uncertainty and model.potential_.uncertainty is not None
    model.potential_.save(path, uncertainty=keep)


def _print_safety_of_styles(
    model: PLIPRegressor | PLIPRegressorCV, train: Data, safety: SafetyReport
) -> None:
    """Print what is not safe where the pair styles of any LAMMPS leave the limits of the potential out."""
    from plip.potential import Potential

    whole = model.potential_
    exported = Potential(
        model.descriptors_, model.coef_, whole.intercept, whole.repulsion, core_forces=whole.core_forces
    )
    for finding in exported.check_safety(train.structures).findings:
        if finding.kind not in safety.kinds:
            print(f"Beyond the data, in stock styles, which have no limits of dense surroundings: {finding}")


def _evaluate(
    model: PLIPRegressor | PLIPRegressorCV,
    train: Data,
    test: Data | None,
    checked: Mapping[str, LabelledStructures],
) -> dict[str, Evaluation]:
    """Evaluations of the training data, of cross-validation if there was one, and of the test data."""
    from plip.metrics import Evaluation

    evaluations = {}
    with train.located():
        evaluations["train"] = Evaluation(
            model.potential_, checked["train"], train.groups, n_jobs=model.n_jobs
        )
        if hasattr(model, "folds_"):
            evaluations[FOLDS] = Evaluation.of_folds(model, checked["train"], train.groups)
    if test is not None:
        with test.located():
            evaluations["test"] = Evaluation(
                model.potential_, checked["test"], test.groups, n_jobs=model.n_jobs
            )
    return evaluations


def _write_table(path: Path, data: Mapping[str, Data | None], evaluations: Mapping[str, Evaluation]) -> None:
    from plip.report._tables import write_table

    places = {name: found.places for name, found in data.items() if found is not None}
    write_table(path, evaluations, places)
    print(f"Errors of each structure: {path}")


def _write_page(
    path: Path,
    potential: Potential,
    data: Mapping[str, Data | None],
    evaluations: Mapping[str, Evaluation],
    safety: SafetyReport | None = None,
    audit: AuditReport | None = None,
) -> None:
    from plip.report import write_report

    places = {name: found.places for name, found in data.items() if found is not None}
    write_report(
        path,
        potential,
        evaluations,
        places=places,
        findings=None if audit is None else audit.findings,
        remarks=() if audit is None else audit.remarks,
        safety=safety,
    )
    print(f"Report: {path}")


def _print_audit(train: Data, test: Data | None, checked: Mapping[str, LabelledStructures]) -> AuditReport:
    """Print what a quick audit finds, one line each."""
    from plip.audit._audit import audit_labelled

    test_places = None if test is None else test.places
    with train.located():
        report = audit_labelled(
            checked["train"], train.groups, checked.get("test"), quick=True, test_places=test_places
        )
    report = report.placed(train.places, test_places)
    for finding in report.findings:
        print(f"Audit: {finding}")
    for remark in report.remarks:
        print(f"Remark: {remark}")
    return report


def _check(data: Data, species: Collection[str] | None = None) -> LabelledStructures:
    """Check structures and read their labels."""
    from plip.labels import LabelledStructures

    with data.located():
        return LabelledStructures.read(data.structures, species=species)


def _check_weights(settings: Mapping[str, Any], labels: Labels) -> None:
    """Refuse weights of labels that no structure has."""
    from plip.regressor._checks import find_unlabeled

    name = find_unlabeled(settings, labels.targets())
    if name is not None:
        option = f"--{name.replace('_', '-')}"
        raise CommandError(
            f"{option} is {settings[name]:g}, but no training structure has such a label: name it with "
            f"{LABEL_OPTIONS[name]}, or leave {option} out"
        )


def evaluate(arguments: Namespace) -> None:
    from plip.potential import load_potential
    from plip.report import Evaluation, evaluation_report

    plot = None if arguments.plot is None else arguments.outputs.plot(arguments.plot)
    table = None if arguments.csv is None else arguments.outputs.file(arguments.csv)
    potential = load_potential(arguments.model)
    data = _read(arguments.data, arguments)
    with data.located():
        evaluations = {"data": Evaluation(potential, data.structures, data.groups)}
    print(
        f"{arguments.model}: {'-'.join(potential.species)}, {len(potential.terms)} terms, "
        f"cutoff {potential.cutoff:g} A\n"
    )
    with data.located():
        print(evaluation_report(evaluations))
    if potential.uncertainty is None:
        print("\nThe file has no uncertainty: no intervals and extrapolation grades (plip fit --uncertainty)")
    _write_plot(evaluations, plot)
    if table is not None:
        _write_table(table, {"data": data}, evaluations)


def show(arguments: Namespace) -> None:
    from plip.potential import load_potential
    from plip.report import potential_summary

    potential = load_potential(arguments.model)
    print(f"{arguments.model}\n")
    print(potential_summary(potential, arguments.terms))


def about(arguments: Namespace) -> None:
    from plip.cli._about import OPTIONS, signed
    from plip.potential import load_potential

    known = load_potential(arguments.model)
    potential = signed(known, arguments)
    if potential.about != known.about:
        check_writable(arguments.model)
        potential.save(arguments.model, uncertainty=potential.uncertainty is not None)
    found = potential.about or {}
    for name in OPTIONS:
        value = found.get(name, "unknown")
        print(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


def report(arguments: Namespace) -> None:
    from plip.potential import load_potential
    from plip.report import Evaluation

    page = arguments.outputs.page(arguments.output or Path(arguments.model).with_suffix(".html"))
    potential = load_potential(arguments.model)
    data: dict[str, Data | None] = {}
    for name in ("train", "test"):
        paths = getattr(arguments, name)
        data[name] = _read(paths, arguments) if paths else None
    evaluations = {}
    for name, found in data.items():
        if found is not None:
            with found.located():
                evaluations[name] = Evaluation(potential, found.structures, found.groups)
    train = data["train"]
    audited = None if train is None else _audited(train, data["test"])
    _write_page(page, potential, data, evaluations, audit=audited)


def _write_plot(evaluations: Mapping[str, Evaluation], path: Path | None) -> None:
    if path is not None:
        from plip.plotting import parity_plot

        parity_plot(evaluations, path=path)
        print(f"Parity plot: {path}")


def _processor_seconds() -> float:
    """CPU seconds of this process and of its finished workers."""
    return sum(os.times()[:4])


# Files


def _outputs(arguments: Namespace) -> tuple[Path, Path | None]:
    """Paths of the potential and of the plot (None for no plot)."""
    output = arguments.outputs.file(arguments.output)
    if arguments.no_plot:
        return output, None
    if arguments.plot is not None:
        return output, arguments.outputs.plot(arguments.plot)
    if find_spec("matplotlib") is None:
        print("plip: no parity plot without matplotlib: pip install matplotlib", file=sys.stderr)
        return output, None
    return output, arguments.outputs.file(output.with_suffix(".png"))


def _shows_progress(arguments: Namespace) -> bool:
    return sys.stderr.isatty() if arguments.verbose is None else bool(arguments.verbose)


def _read(paths: list[str], arguments: Namespace, required: bool = True) -> Data:
    from plip.cli._data import read_files

    return read_files(paths, keys_of(arguments), required=required, progress=_shows_progress(arguments))


def keys_of(arguments: Namespace) -> Keys:
    """Where the labels of structures are."""
    from plip.cli._data import Keys

    keys = Keys(**{name: getattr(arguments, option) for name, option in KEYS.items()})
    if keys.virial is not None and (keys.stress_unit, keys.stress_sign) != ("eV/A^3", "tension"):
        raise CommandError("--virial-key is in eV: --stress-unit and --stress-sign are for stresses")
    return keys
