"""Commands and options of ``plip``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import plip
from plip.cli import _about, _clusters, _commands, _conversions, _more_data

__all__ = ["make_parser"]

if TYPE_CHECKING:
    # What `add_subparsers` returns; argparse has no public name for it.
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]


# As `plip.solvers.SOLVERS` and the signature of PLIPRegressorCV have them, whose imports would delay the help
# by seconds. A test compares them.
SOLVERS = ("replacement", "omp", "lasso_lars", "adaptive_lasso", "ridge")
DEFAULTS = {
    "solver": "replacement",
    "alpha": "auto",
    "max_terms": "auto",
    "energy_weight": 40.0,
    "force_weight": 1.0,
    "stress_weight": 5.0,
}


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="plip",
        description="Readable interatomic potentials by sparse linear regression.",
        epilog="Begin with `plip demo`. `plip COMMAND --help` lists the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"plip {plip.__version__}")
    parser.add_argument("--traceback", action="store_true", help="show the Python traceback of an error")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    _add_demo(commands)
    _add_audit(commands)
    _add_fit(commands)
    _add_evaluate(commands)
    _add_show(commands)
    _add_report(commands)
    _add_learn(commands)
    _add_select(commands)
    _add_descriptors(commands)
    _add_accumulate(commands)
    _conversions.add_commands(commands)
    _add_about(commands)
    return parser


def _add_demo(commands: Commands) -> None:
    demo = commands.add_parser(
        "demo",
        help="fit a potential to the silicon-carbide data set that comes with plip",
        description="Fit a potential to the silicon-carbide data set that comes with plip, with the default "
        "settings. Print its errors and terms; write the potential and a parity plot.",
    )
    # A demonstration shows its potential even if the check finds something.
    demo.set_defaults(run=_commands.demo, allow_unsafe=True, uncertainty=True)
    _add_output(demo, "plip_demo.json")
    _add_run(demo)


def _add_audit(commands: Commands) -> None:
    audit = commands.add_parser(
        "audit",
        help="find what is wrong with labeled structures",
        description="Find what is wrong with labeled structures before a fit: wrong units, signs and orders "
        "of labels, shifted groups, labels unlike those of similar structures, forces set to zero, "
        "duplicates, test structures in the training data, atoms too close, missing cells. The exit code is "
        "1 if anything is found.",
    )
    audit.set_defaults(run=_commands.audit)
    audit.add_argument("data", nargs="+", help="structures, any file that ASE reads (file@slice too)")
    audit.add_argument(
        "--test",
        action="extend",
        nargs="+",
        metavar="FILE",
        help="test structures, which should not be among the data",
    )
    audit.add_argument("--quick", action="store_true", help="only the checks that `plip fit` makes by itself")
    _add_labels(audit)
    _add_progress(audit)


def _add_fit(commands: Commands) -> None:
    fit = commands.add_parser(
        "fit",
        help="fit a potential to labeled structures",
        description="Fit a potential to structures with energies (eV), forces (eV/A) or stresses (eV/A^3) "
        "and print its errors and terms; write the potential and a parity plot. A structure may lack some of "
        "these labels. The exit code is 2 if the potential fails the check of its safety and is not written.",
    )
    fit.set_defaults(run=_clusters.fit)
    fit.add_argument("train", nargs="*", help="training structures, any file that ASE reads (file@slice too)")
    fit.add_argument(
        "--normal-equations",
        nargs="+",
        metavar="NPZ",
        help="fit to the files that `plip accumulate` wrote, instead of structures",
    )
    _add_test(fit)
    _add_output(fit, "model.json")
    _add_labels(fit)
    _add_size(fit)
    _add_model(fit)
    _about.add_options(fit)
    _add_weights(fit)
    fit.add_argument(
        "--allow-unsafe",
        action="store_true",
        help="write the potential even if atoms fuse or fly apart in the check after the fit",
    )
    fit.add_argument(
        "--uncertainty",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep in the file what standard deviations and extrapolation grades need, 0.1 to 0.4 MB "
        "(default: yes)",
    )
    _add_run(fit)


def _add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help='weights of groups, which multiply squared errors: JSON, {"surface": 4, "bulk": {"energy": '
        "1, \"force\": 2, \"stress\": 0}}, or lines such as 'surface: 4' and 'bulk: energy 1, force 2' "
        "(default: 1)",
    )


def _add_test(parser: argparse.ArgumentParser) -> None:
    """Where the test structures come from."""
    test = parser.add_mutually_exclusive_group()
    test.add_argument(
        "--test",
        action="extend",
        nargs="+",
        metavar="FILE",
        help="test structures, for the report only",
    )
    test.add_argument(
        "--test-fraction",
        type=_fraction,
        metavar="X",
        help="take this share of every group as test structures, such as 0.1",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed of --test-fraction (default: 0)"
    )


def _add_size(parser: argparse.ArgumentParser) -> None:
    """What the potential is for, and its number of terms."""
    size = parser.add_argument_group("purpose and size")
    size.add_argument(
        "--target",
        choices=_commands.PURPOSES,
        default="accurate",
        help="accurate (the default), readable (at most 25 terms that hardly cancel each other), fast (no "
        "four-body terms) or stock (what `plip export lammps` can write)",
    )
    size.add_argument(
        "--terms",
        type=_count,
        metavar="N",
        help="number of terms (default: the fewest with errors near the smallest of cross-validation)",
    )
    size.add_argument(
        "--cv", type=_folds, metavar="K", help="number of folds (default: 10, of less than 50 structures 5)"
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    """Parameters of the estimator."""
    # An option that the user does not give is absent, so that PLIPRegressorCV alone has the defaults.
    model = parser.add_argument_group("model", argument_default=argparse.SUPPRESS)
    _add_offer(model)
    _add_solver(model)


def _add_offer(model: argparse._ArgumentGroup) -> None:
    """Which terms are on offer."""
    model.add_argument(
        "--preset",
        metavar="NAME",
        help="candidate terms: fast, balanced, accurate, extensive or stock (default: accurate)",
    )
    model.add_argument(
        "--cutoff",
        type=_length_or_auto,
        metavar="A",
        help="cutoff of all interactions in Angstrom, or 'auto' (default: auto)",
    )
    model.add_argument(
        "--shared",
        action=argparse.BooleanOptionalAction,
        default=argparse.SUPPRESS,
        help="whether some candidate terms hold for all species alike, as alloys need them (default: "
        "decided from the data)",
    )


def _add_solver(model: argparse._ArgumentGroup) -> None:
    """How terms are chosen, and by which weights."""
    model.add_argument(
        "--solver",
        metavar="NAME",
        help=f"how terms are selected: {', '.join(SOLVERS)} (default: {DEFAULTS['solver']})",
    )
    model.add_argument(
        "--alpha",
        type=float,
        metavar="X",
        help="strength of the penalty; the number of terms is then not cross-validated (default: "
        f"{DEFAULTS['alpha']})",
    )
    model.add_argument(
        "--max-terms",
        type=_count_or_none,
        metavar="N",
        help=f"largest number of terms, or 'none' (default: {DEFAULTS['max_terms']})",
    )
    model.add_argument(
        "--refit", action="store_true", help="fit the kept terms again without the penalty (default: no)"
    )
    weights = {"energy": "energies per atom", "force": "force components", "stress": "virials per atom"}
    for name, what in weights.items():
        model.add_argument(
            f"--{name}-weight",
            type=float,
            metavar="W",
            help=f"weight of {what} (default: {DEFAULTS[f'{name}_weight']})",
        )
    model.add_argument(
        "--reference",
        nargs="+",
        action=_Reference,
        dest="reference_energies",
        metavar="SYMBOL=E",
        help="energies of the isolated atoms in eV, such as Si=-5.4 C=-9.1, or 'isolated': those of the "
        "structures of one atom (default: fitted)",
    )


def _add_evaluate(commands: Commands) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="print the errors of a potential on labeled structures",
        description="Print the errors of a potential on labeled structures. If its file has the uncertainty, "
        "also print which share of the errors lies within the 90 % intervals, and how many atoms are beyond "
        "the data of the fit.",
    )
    evaluate.set_defaults(run=_commands.evaluate)
    evaluate.add_argument("model", help="potential, a JSON file written by plip")
    evaluate.add_argument("data", nargs="+", help="structures, any file that ASE reads (file@slice too)")
    evaluate.add_argument(
        "--plot", metavar="PNG", help="write a plot of predicted against reference values to this file"
    )
    _add_table(evaluate)
    _add_labels(evaluate)
    _add_progress(evaluate)


def _add_show(commands: Commands) -> None:
    show = commands.add_parser(
        "show",
        help="print what is in a potential: species, distances, errors, functions, terms",
        description="Print what is in a potential: species, valid distances, errors, settings, functions as "
        "small plots, terms.",
    )
    show.set_defaults(run=_commands.show)
    show.add_argument("model", help="potential, a JSON file written by plip")
    show.add_argument("--terms", type=_count, default=10, metavar="N", help="terms to print (default: 10)")


def _add_report(commands: Commands) -> None:
    report = commands.add_parser(
        "report",
        help="write a report on a potential as one HTML page",
        description="Write a report on a potential as one HTML page that needs no network: model card, "
        "errors by group, worst structures, uncertainty, functions, terms, crystals with elastic constants "
        "and phonons, where the data end. Without structures, the sections that need them are left out.",
    )
    report.set_defaults(run=_commands.report, test_fraction=None)
    report.add_argument("model", help="potential, a JSON file written by plip")
    report.add_argument(
        "train", nargs="*", help="structures of the fit, any file that ASE reads (file@slice too)"
    )
    report.add_argument("--test", action="extend", nargs="+", metavar="FILE", help="test structures")
    report.add_argument("-o", "--output", metavar="HTML", help="the report (default: beside the potential)")
    _add_labels(report)
    _add_progress(report)


def _add_learn(commands: Commands) -> None:
    learn = commands.add_parser(
        "learn",
        help="tell whether more data would help",
        description="Fit to more and more of the structures. Print the errors of each fit on structures that "
        "it has not seen, and tell whether more data would help, and of which groups. Each fit has the "
        "number of terms with the smallest errors.",
    )
    learn.set_defaults(run=_more_data.learn)
    learn.add_argument("data", nargs="+", help="labeled structures, any file that ASE reads (file@slice too)")
    learn.add_argument(
        "--terms", type=_count, metavar="N", help="number of terms of all fits (default: cross-validated)"
    )
    learn.add_argument(
        "--cv", type=_folds, metavar="K", help="number of parts (default: 10, of less than 50 structures 5)"
    )
    learn.add_argument("--plot", metavar="PNG", help="write a figure to this file")
    learn.add_argument("--csv", metavar="CSV", help="write errors by group, target and number to this file")
    _add_labels(learn)
    _add_run(learn)


def _add_select(commands: Commands) -> None:
    select = commands.add_parser(
        "select",
        help="choose the structures that are most worth labeling",
        description="Choose the structures of a pool whose labels would lower the uncertainty of the whole "
        "pool most, and write them, best first, without labels. Copies of training structures and of each "
        "other are left out.",
    )
    select.set_defaults(run=_more_data.select)
    select.add_argument(
        "pool", nargs="+", help="structures without labels, any file that ASE reads (file@slice too)"
    )
    select.add_argument(
        "--train",
        action="extend",
        nargs="+",
        required=True,
        metavar="FILE",
        help="training structures, with labels",
    )
    select.add_argument(
        "-n", "--number", type=_count, default=20, metavar="N", help="structures to choose (default: 20)"
    )
    select.add_argument(
        "-o",
        "--output",
        default="chosen.xyz",
        metavar="FILE",
        help="the chosen structures (default: chosen.xyz), with their places in the pool in atoms.info",
    )
    select.add_argument(
        "--terms",
        type=_count,
        metavar="N",
        help="number of terms of the fit (default: 50, or 100 for three species or more)",
    )
    select.add_argument(
        "--cost",
        type=float,
        default=0.0,
        metavar="P",
        help="the cost of labeling a structure is its number of atoms to this power: with 0 all structures "
        "cost the same (default: 0)",
    )
    _add_labels(select)
    _add_run(select)


def _add_descriptors(commands: Commands) -> None:
    descriptors = commands.add_parser(
        "descriptors",
        help="make the candidate terms, for `plip accumulate`",
        description="Make the candidate terms from structures that have all species, the shortest distances "
        "and typical surroundings, and write them for `plip accumulate`. Labels are not needed.",
    )
    descriptors.set_defaults(run=_clusters.descriptors)
    descriptors.add_argument(
        "structures", nargs="+", help="structures, any file that ASE reads (file@slice too)"
    )
    descriptors.add_argument(
        "-o",
        "--output",
        default="descriptors.json",
        metavar="JSON",
        help="the candidate terms (default: descriptors.json)",
    )
    _add_offer(descriptors.add_argument_group("candidate terms", argument_default=argparse.SUPPRESS))


def _add_accumulate(commands: Commands) -> None:
    accumulate = commands.add_parser(
        "accumulate",
        help="sum up a part of the data, for `plip fit --normal-equations`",
        description="Sum up a part of the training data in a file, whose size does not depend on the data. "
        "Each job of a job array takes a part, and `plip fit --normal-equations` fits to all files.",
    )
    accumulate.set_defaults(run=_clusters.accumulate)
    accumulate.add_argument(
        "data", nargs="+", help="labeled structures, any file that ASE reads (file@slice too)"
    )
    accumulate.add_argument(
        "--descriptors",
        required=True,
        metavar="JSON",
        help="the candidate terms that `plip descriptors` wrote, the same for all parts",
    )
    accumulate.add_argument("-o", "--output", required=True, metavar="NPZ", help="the sums")
    _add_labels(accumulate)
    _add_weights(accumulate)
    _add_run(accumulate)


def _add_about(commands: Commands) -> None:
    about = commands.add_parser(
        "about",
        help="set or print the authors, license and citation of a potential",
        description="Set the authors, the license or the citation in the file of a potential, and print all "
        "of them. What is not given stays as it is.",
    )
    about.set_defaults(run=_commands.about)
    about.add_argument("model", help="potential, a JSON file written by plip")
    _about.add_options(about)


def _add_output(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "-o", "--output", default=default, metavar="JSON", help=f"the potential (default: {default})"
    )
    parser.add_argument("--report", metavar="HTML", help="write a report as one HTML page to this file")
    _add_table(parser)
    plot = parser.add_mutually_exclusive_group()
    plot.add_argument(
        "--plot",
        metavar="PNG",
        help="plot of predicted against reference values (default: beside the potential)",
    )
    plot.add_argument("--no-plot", action="store_true", help="write no plot")


def _add_table(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--csv",
        metavar="CSV",
        help="write labels, predictions, errors and uncertainties of each structure to this file, in "
        "units of eV and A",
    )


def _add_labels(parser: argparse.ArgumentParser) -> None:
    labels = parser.add_argument_group("labels that do not have ASE's names or units, and groups")
    labels.add_argument("--energy-key", metavar="KEY", help="energies are in atoms.info[KEY]")
    labels.add_argument("--forces-key", metavar="KEY", help="forces are in atoms.arrays[KEY]")
    stress = labels.add_mutually_exclusive_group()
    stress.add_argument(
        "--stress-key",
        metavar="KEY",
        help="stresses are in atoms.info[KEY], as 6 (xx yy zz yz xz xy) or 3 x 3 components",
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

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        words = list(values or ())
        setattr(namespace, self.dest, "isolated" if words == ["isolated"] else self._table(words))

    def _table(self, values: list[str]) -> dict[str, float]:
        # Here, since it takes a second that `plip --version` should not.
        from ase.data import chemical_symbols

        table: dict[str, float] = {}
        for value in values:
            symbol, _, energy = value.partition("=")
            try:
                number = float(energy)
            except ValueError:
                number = math.nan
            if symbol not in chemical_symbols or not math.isfinite(number) or symbol in table:
                raise argparse.ArgumentError(
                    self, f"expected 'isolated' or SYMBOL=ENERGY, each symbol once, got {value!r}"
                )
            table[symbol] = number
        return table


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-j", "--n-jobs", type=int, metavar="N", help="number of parallel workers")
    _add_progress(parser)


def _add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log", metavar="FILE", help="append what is done, with times, to this file")
    progress = parser.add_mutually_exclusive_group()
    progress.add_argument(
        "-v", "--verbose", action="store_true", default=None, help="show progress (default: in a terminal)"
    )
    progress.add_argument("-q", "--quiet", action="store_false", dest="verbose", help="show no progress")


def _count_or_none(text: str) -> int | None:
    if text.lower() == "none":
        return None
    try:
        return _count(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"must be a positive integer or 'none', got {text!r}") from None


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def _folds(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 2, got {text!r}")
    return int(text)


def _length_or_auto(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a length in Angstrom or 'auto', got {text!r}")
    return value


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a number between 0 and 1, got {text!r}")
    return value
