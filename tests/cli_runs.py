"""Runs of the command line and the files that they work on."""

import re

from plip.cli import main

# Small settings that fit in a second; their potentials are not for simulations.
SMALL = ["--cutoff", "3.0", "--max-terms", "20", "--allow-unsafe", "--quiet", "--no-plot"]

# Labels as `with_keys` calls them.
KEYS = ["--energy-key", "REF_energy", "--forces-key", "REF_forces", "--stress-key", "REF_stress"]


def fails(capsys, *arguments):
    """The one line of a user error."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("plip: error: "), captured.err
    return lines[0]


def errors_of(report, row):
    """Numbers of a row of the table of errors."""
    table = report[report.index("errors") :]
    return [float(x) for x in re.search(rf"^{row}\s+(.*)$", table, re.MULTILINE).group(1).split()]


def with_keys(atoms, **extra):
    """A copy whose labels are where ASE does not look for them."""
    results = atoms.calc.results
    atoms = atoms.copy()
    atoms.info.update(REF_energy=results["energy"], REF_stress=results["stress"], **extra)
    atoms.arrays["REF_forces"] = results["forces"]
    return atoms


def sizes(report, row):
    """Sizes of a data set: structures, atoms, and labels by target."""
    sizes = re.search(rf"^{row}\s+(\d.*)$", report, re.MULTILINE).group(1)
    return [int(size.replace(",", "")) for size in sizes.split()]
