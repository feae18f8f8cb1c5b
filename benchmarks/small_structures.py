"""Measure `plip fit` on a file of many small structures of two species.

    python small_structures.py [--structures 25000] [--n-jobs 2]

writes structures of 20 atoms, strained and disordered silicon carbide with energies, forces and stresses of
a potential, to extended XYZ, and runs in processes of their own: ASE's reader, that of plip, and `plip fit`
with its default settings, errors and audit included. CPU seconds are those after imports for the readers, and
all of `plip fit`; memory is the peak of the process.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from plip import PLIPRegressor
from plip.datasets import load_silicon_carbide

READERS = {
    "ase.io.read": "from ase.io import read\nstart()\nX = read(path, ':')",
    "plip": (
        "from plip._reading._parts import split_file\n"
        "start()\nX = [atoms for part in split_file(path) for atoms in part]"
    ),
}
# `start` begins the time.
FRAME = """
import sys, time
path, begin = sys.argv[1], 0.0
def start():
    global begin
    begin = time.process_time()
{}
print(time.process_time() - begin)
"""


def structures(n):
    """Crystals of 20 atoms, strained, with atoms of the other species and displacements."""
    potential = PLIPRegressor().fit(load_silicon_carbide()[0]).potential_
    rng = np.random.default_rng(1)
    for k in range(n):
        crystal, a = (("zincblende", 4.36), ("rocksalt", 4.1))[k % 2]
        atoms = bulk("SiC", crystal, a=a) * (5, 2, 1)
        swapped = rng.random(20) < 0.15
        atoms.numbers[swapped] = np.where(atoms.numbers[swapped] == 14, 6, 14)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0.0, 0.02, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(0.0, 0.08, (20, 3))
        found = potential.evaluate(atoms)
        labels = {name: found[name] for name in ("energy", "forces", "stress")}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        atoms.info["config_type"] = crystal
        yield atoms


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--structures", type=int, default=25_000)
    parser.add_argument("--n-jobs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.xyz"
        write(path, list(structures(arguments.structures)))
        print(f"{arguments.structures} structures, {path.stat().st_size / 1e6:.1f} MB")
        for name, code in READERS.items():
            command = [sys.executable, "-c", FRAME.format(code), path]
            seconds = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(f"    {name}: {seconds:.2f} CPU s")
        command = [
            sys.executable,
            "-m",
            "plip",
            "fit",
            path,
            "-o",
            path.with_suffix(".json"),
            "--allow-unsafe",
        ]
        before, start = os.times(), time.perf_counter()
        subprocess.run([*command, "-q", "-j", str(arguments.n_jobs)], check=True, stdout=subprocess.DEVNULL)
        wall, after = time.perf_counter() - start, os.times()
        processor = sum(after[2:4]) - sum(before[2:4])
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"    plip fit -j {arguments.n_jobs}: {wall:.1f} s wall, {processor:.1f} CPU s, {peak:.0f} MB")


if __name__ == "__main__":
    main()
