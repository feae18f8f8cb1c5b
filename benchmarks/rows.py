"""Normal equations against the bare rank-k updates of the same rows.

    python rows.py [CASE ...] --data FOLDER [--repeat N] [--instruction-set NAME]

adds up the normal equations of each case for energies and forces, and with stresses too, and updates
random rows of the same shapes with BLAS alone. They alternate, so that other work on the machine disturbs
their ratios little; printed are the least and the median of their CPU seconds (user and system, one thread).
Where structures hold only some of the species, the bare updates are those of the columns that their species
can touch; those of all columns are printed beside them. FOLDER holds ``Si_train.xyz`` and
``MoNbTa_train.xyz``; the default is the environment variable PLIP_TEST_DATA, and cases without data are left
out.

Si        silicon, 594 columns: two-body, three-body (mixed), N-body
Si4       silicon, the preset "accurate" with its four-body terms
SiC       silicon carbide (ships with plip), the preset "balanced"
MoNbTa    the preset "balanced"
binary    synthetic alloys of four species, of which each structure has two: the preset "balanced"
four      the same with all four in each structure
wide      a stream of synthetic alloys with 3,400 columns; ``--atoms 1000000`` for all of it
"""

import argparse
import functools
import os
import resource
import sys
import time
import warnings
from pathlib import Path

import ase.io
import numpy as np
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from threadpoolctl import threadpool_limits

from plip import NormalEquations, PLIPDescriptors
from plip._core._blas import add_row_products
from plip._design._rows import Design
from plip.datasets import load_silicon_carbide
from plip.descriptors._transformer import _DESIGNS
from plip.interactions import NBody, ThreeBody, TwoBody
from plip.radial import Gaussian

FORCES = ("energy", "force")
ALL = ("energy", "force", "virial")
SPECIES = ("Mo", "Nb", "Ta", "W")
# Rows of one bare update.
BLOCK = 2304


def alloys(n_atoms, n_species, seed=0):
    """Rattled bcc cells of 54 atoms, each with `n_species` of the four, and labels that do not matter."""
    rng = np.random.default_rng(seed)
    made = 0
    while made < n_atoms:
        atoms = bulk("Mo", "bcc", a=3.2, cubic=True) * (3, 3, 3)
        present = rng.choice(SPECIES, n_species, replace=False)
        atoms.symbols[:] = rng.choice(present, len(atoms))
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        forces = rng.normal(size=atoms.positions.shape)
        atoms.calc = SinglePointCalculator(
            atoms, energy=rng.normal(), forces=forces, stress=rng.normal(size=6)
        )
        made += len(atoms)
        yield atoms


def silicon(data):
    descriptors = PLIPDescriptors(
        cutoff=5.0,
        two_body=TwoBody(Gaussian(centers=16)),
        three_body=ThreeBody(Gaussian(centers=12), max_power=6, mixed=True),
        n_body=NBody(Gaussian(centers=16), powers=(2, 3)),
    )
    return ase.io.read(data / "Si_train.xyz", ":"), descriptors


def wide_model():
    return PLIPDescriptors(
        cutoff=5.0,
        two_body=TwoBody(Gaussian(centers=16)),
        three_body=ThreeBody(Gaussian(centers=4), max_power=4, mixed=True),
        n_body=NBody(Gaussian(centers=12), powers=(2, 3, 4)),
        shared=False,
    )


CASES = {
    "Si": silicon,
    "Si4": lambda data: (ase.io.read(data / "Si_train.xyz", ":"), PLIPDescriptors.preset("accurate")),
    "SiC": lambda data: (load_silicon_carbide()[0], PLIPDescriptors.preset("balanced")),
    "MoNbTa": lambda data: (
        ase.io.read(data / "MoNbTa_train.xyz", "::2"),
        PLIPDescriptors.preset("balanced"),
    ),
    "binary": lambda data: (list(alloys(10_000, 2)), PLIPDescriptors.preset("balanced")),
    "four": lambda data: (list(alloys(10_000, 4)), PLIPDescriptors.preset("balanced")),
}
NEED_DATA = ("Si", "Si4", "MoNbTa")


def cpu(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def touched_columns(descriptors, present):
    """Number of columns that structures of these species can touch."""
    return sum(set(term.species) <= {*present, "*"} for term in descriptors.terms_)


def bare_updates(shapes):
    """What updates the products of random rows of some (number of rows, width)."""
    rng = np.random.default_rng(0)
    widest = max(width for _, width in shapes)
    numbers, memory = rng.normal(size=BLOCK * widest), np.zeros(widest * widest)

    def update():
        for n_rows, width in shapes:
            products = memory[: width * width].reshape(width, width)
            for first in range(0, n_rows, BLOCK):
                n = min(BLOCK, n_rows - first)
                add_row_products(numbers[: n * width].reshape(n, width), products)

    return update


def shapes_of(structures, descriptors, is_compressed):
    """(Number of force rows, width) of the structures with the same species, or of all with all columns."""
    rows = {}
    for atoms in structures:
        present = frozenset(atoms.symbols) if is_compressed else frozenset(descriptors.species_)
        rows[present] = rows.get(present, 0) + 3 * len(atoms)
    extra = 1 + len(descriptors.species_)
    return [(n_rows, touched_columns(descriptors, present) + extra) for present, n_rows in rows.items()]


def measure(name, data, repeat, instruction_set):
    structures, descriptors = CASES[name](data)
    descriptors = descriptors.fit(structures)
    design = _DESIGNS[descriptors] = Design(descriptors.terms_, descriptors.species_, instruction_set)
    accumulate = functools.partial(NormalEquations.from_structures, structures, descriptors, n_jobs=1)
    jobs = {
        "energies, forces": lambda: accumulate(targets=FORCES),
        "with stresses": lambda: accumulate(targets=ALL),
        "bare": bare_updates(shapes_of(structures, descriptors, True)),
        "bare, all columns": bare_updates(shapes_of(structures, descriptors, False)),
    }
    if len(descriptors.species_) == 1:
        del jobs["bare, all columns"]
    seconds = {job: [] for job in jobs}
    with threadpool_limits(1):
        for _ in range(repeat):
            for job, run in jobs.items():
                seconds[job].append(cpu(run))
    n_atoms = sum(map(len, structures))
    print(
        f"{name}: {len(descriptors.terms_)} columns, {n_atoms} atoms in {len(structures)} structures, "
        f"{design.kernel.instruction_set}"
    )
    report(seconds)


def report(seconds):
    seconds = {job: np.array(values) for job, values in seconds.items()}
    for job, values in seconds.items():
        line = f"    {job:18} {values.min():6.2f} CPU s (median {np.median(values):.2f})"
        if not job.startswith("bare"):
            line += ", times bare: " + ratio(values, seconds["bare"])
            if "bare, all columns" in seconds:
                line += ", times bare, all columns: " + ratio(values, seconds["bare, all columns"])
        print(line)
    print("    stresses on top:  ", ratio(seconds["with stresses"], seconds["energies, forces"]))


def ratio(values, others):
    return f"{values.min() / others.min():.2f} (median {np.median(values / others):.2f})"


def measure_stream(n_atoms):
    """One pass over a stream with all three targets: CPU time without that of making it, and memory."""
    descriptors = wide_model().fit(list(alloys(2000, 4)))
    NormalEquations.from_structures(alloys(2000, 4), descriptors)
    making = cpu(lambda: [None for _ in alloys(n_atoms / 20, 4)]) * 20
    width = len(descriptors.terms_) + len(descriptors.species_) + 1
    print(f"wide: {len(descriptors.terms_)} columns, {n_atoms} atoms")
    with threadpool_limits(1):
        bare = cpu(bare_updates([(3 * n_atoms // 20, width)])) * 20
        seconds = cpu(lambda: NormalEquations.from_structures(alloys(n_atoms, 4), descriptors)) - making
        bare = (bare + cpu(bare_updates([(3 * n_atoms // 20, width)])) * 20) / 2
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1024)
    print(f"    {seconds:.1f} CPU s, bare {bare:.1f} CPU s, ratio {seconds / bare:.2f}, peak {peak:.0f} MB")


def main():
    names = [*CASES, "wide"]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help="of " + ", ".join(names))
    parser.add_argument("--data", type=Path, default=os.environ.get("PLIP_TEST_DATA"), metavar="FOLDER")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--atoms", type=int, default=20_000, help="of the stream")
    parser.add_argument("--instruction-set", default="auto")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in arguments.cases or names:
        if name == "wide":
            measure_stream(arguments.atoms)
        elif arguments.data is not None or name not in NEED_DATA:
            measure(name, arguments.data, arguments.repeat, arguments.instruction_set)


if __name__ == "__main__":
    main()
