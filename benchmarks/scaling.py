"""Strong scaling in LAMMPS: the work of a process that has few atoms, and runs under MPI.

    python benchmarks/scaling.py --csv doc/data/scaling.csv   # blocks down to 32 atoms
    python benchmarks/scaling.py si.json --ranks 1 2          # and 512 atoms on so many processes

A process of a parallel run has the atoms of its block and ghosts around it. A periodic crystal of the same
shape on one process has as many of both. It shows the CPU time per step that such a process needs, whatever
the number of cores at hand. What a network adds is not in it; the bytes of positions and forces of ghosts,
which go out and come back in each step, are given. The ranks of `--ranks` run on this machine; more than it
has cores for say nothing.
"""

import argparse
import csv
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lammps_fits
from materials import from_file
from tqdm import tqdm

from plip import PLIPRegressorCV
from plip.lammps import plugin_folder

# Cells of eight atoms along x, y and z, as LAMMPS would cut a cube.
BLOCKS = ((8, 8, 8), (8, 4, 4), (4, 4, 4), (4, 4, 2), (4, 2, 2), (2, 2, 2), (2, 2, 1))
REPEATS = 5
# Atoms times steps of a run.
WORK = 200_000
TIME = "µs per atom and step"
COLUMNS = [
    "atoms",
    "ghosts",
    "kB per step",
    f"plip ({TIME})",
    "over 4,096",
    f"tersoff ({TIME})",
    "over 4,096",
]
CRYSTAL = """units metal
lattice diamond 5.431
region box block 0 {} 0 {} 0 {}
create_box 1 box
create_atoms 1 box
mass 1 28.085
{}
velocity all create 600 1 loop geom
neighbor 1.0 bin
neigh_modify every 1 delay 0 check yes
fix nve all nve
run 20
"""


def fitted(folder):
    """File of the potential of 127 terms on the path of the default fit to silicon."""
    path = Path(folder, "si.json")
    PLIPRegressorCV(max_terms=127).fit(from_file("Si_train.xyz")()).potential_at(127).save(path)
    return path


def block_run(pair, cells):
    """A function that gives microseconds per atom and step of a block, and its number of ghosts."""
    from lammps import lammps

    lmp = lammps(cmdargs=lammps_fits.QUIET)
    lmp.commands_string(CRYSTAL.format(*cells, pair))
    n = lmp.get_natoms()
    steps = max(10, WORK // n)

    def run():
        before = time.process_time()
        lmp.command(f"run {steps}")
        return 1e6 * (time.process_time() - before) / steps / n

    return run, lmp.extract_setting("nghost")


def blocks(styles):
    """Rows of the table."""
    runs = {(name, cells): block_run(pair, cells) for name, pair in styles.items() for cells in BLOCKS}
    times = {key: [] for key in runs}
    for _ in tqdm(range(REPEATS), desc="rounds"):
        for key, (run, _) in runs.items():
            times[key].append(run())
    rows = []
    for cells in BLOCKS:
        atoms, ghosts = 8 * cells[0] * cells[1] * cells[2], runs["plip", cells][1]
        # Positions go out, forces come back: three numbers of eight bytes each.
        row = [atoms, ghosts, round(48e-3 * ghosts, 1)]
        for name in styles:
            least, whole = min(times[name, cells]), min(times[name, BLOCKS[0]])
            row += [round(least, 2), round(least / whole, 2)]
        rows.append(row)
    return rows


def wall_time(pair, ranks):
    """Microseconds per atom and step of 512 atoms on so many processes, by LAMMPS's own clock."""
    n, steps = 8 * 4**3, WORK // 512
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "in").write_text(CRYSTAL.format(4, 4, 4, pair) + f"run {steps}\n")
        programs = Path(sys.executable).parent
        lmp = [programs / "lmp", "-in", "in", "-log", "log", "-screen", "none"]
        environment = dict(os.environ, OMP_NUM_THREADS="1")
        subprocess.run(
            [programs / "mpiexec", "-n", str(ranks), *lmp], cwd=folder, env=environment, check=True
        )
        log = Path(folder, "log").read_text()
    seconds = float(re.findall(r"Loop time of (\S+)", log)[-1])
    return 1e6 * seconds / steps / n


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("potential", nargs="?", help="potential of silicon; by default 127 terms are fitted")
    parser.add_argument("--ranks", nargs="+", type=int, default=[], help="numbers of processes")
    parser.add_argument("--csv", help="write the table to this file")
    arguments = parser.parse_args()
    os.environ["LAMMPS_PLUGIN_PATH"] = plugin_folder()
    from lammps import __file__ as lammps_file

    tersoff = Path(lammps_file).parent / "share" / "lammps" / "potentials" / "Si.tersoff"
    path = arguments.potential or fitted(tempfile.mkdtemp())
    styles = {
        "plip": f'pair_style plip\npair_coeff * * "{Path(path).resolve()}" Si',
        "tersoff": f'pair_style tersoff\npair_coeff * * "{tersoff}" Si',
    }
    rows = blocks(styles)
    for row in (COLUMNS, *rows):
        print("  ".join(f"{value!s:>12}" for value in row))
    if arguments.csv:
        with open(arguments.csv, "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    for ranks in arguments.ranks:
        least = {name: min(wall_time(pair, ranks) for _ in range(REPEATS)) for name, pair in styles.items()}
        figures = ", ".join(f"{name} {value:.2f}" for name, value in least.items())
        print(f"{ranks} ranks, {512 // ranks} atoms each, microseconds of wall time: {figures}")


if __name__ == "__main__":
    main()
