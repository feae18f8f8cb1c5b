"""CPU time per atom and step of potentials in ASE and in LAMMPS, on one thread.

    python benchmarks/simulation.py Si:si.json Mo:mo.json

Every potential runs its own crystal at 300 K, in ASE and (where `plip lammps build` was run) in LAMMPS,
whose Tersoff and Stillinger-Weber potentials of silicon run beside it. LAMMPS runs with each of the SKINS.
"""

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

from plip import load_potential
from plip.lammps import PLUGIN, plugin_folder, start

STEPS = 100
REPEATS = 5
# Angstrom that LAMMPS's neighbour lists reach beyond the cutoff: that of plip's calculator, and the default.
SKINS = (0.5, 2.0)
# Equipartition halves the temperature of a crystal that starts from its lattice sites.
START = 600.0


def crystal(symbol):
    """A cube of some two thousand atoms."""
    atoms = bulk(symbol, cubic=True)
    return atoms * ((round((2000 / len(atoms)) ** (1 / 3)),) * 3)


def ase_time(potential, symbol):
    """Seconds per atom and step, the best of some runs: others use the machine too."""
    atoms = crystal(symbol)
    momenta = np.random.default_rng(0).normal(size=(len(atoms), 3))
    atoms.set_momenta(momenta * np.sqrt(atoms.get_masses() * units.kB * START)[:, None])
    atoms.calc = potential.calculator()
    dynamics = VelocityVerlet(atoms, 1.0 * units.fs)
    dynamics.run(STEPS)
    times = []
    for _ in range(REPEATS):
        before = time.process_time()
        dynamics.run(STEPS)
        times.append(time.process_time() - before)
    return min(times) / STEPS / len(atoms)


def lammps_time(pair, symbol, skin=SKINS[0]):
    """Seconds per atom and step: a run less the same one without steps."""
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

    times = [seconds(STEPS) - seconds(0) for _ in range(REPEATS)]
    return min(times) / STEPS / len(atoms)


def lammps_times(pair, symbol):
    """Microseconds with each of the skins, as text."""
    return ", ".join(f"{1e6 * lammps_time(pair, symbol, skin):.2f} (skin {skin} A)" for skin in SKINS)


def main(arguments):
    lammps = find_spec("lammps") is not None and Path(start(), PLUGIN).exists()
    os.environ["LAMMPS_PLUGIN_PATH"] = plugin_folder()
    if not lammps:
        print(f"no LAMMPS, or no plugin in {plugin_folder()}: ASE only")
    for argument in arguments:
        symbol, _, path = argument.partition(":")
        path = Path(path).resolve()
        potential = load_potential(path)
        line = f"{symbol}, {len(potential.terms)} terms: ASE {1e6 * ase_time(potential, symbol):.2f}"
        if lammps:
            pair = f'pair_style plip\npair_coeff * * "{path}" {symbol}'
            line += f", LAMMPS {lammps_times(pair, symbol)}"
        print(line + " microseconds per atom and step", flush=True)
    if lammps:
        files = Path(find_spec("lammps").submodule_search_locations[0]) / "share" / "lammps" / "potentials"
        for style in ("tersoff", "sw"):
            pair = f'pair_style {style}\npair_coeff * * "{files}/Si.{style}" Si'
            print(f"Si, {style}: LAMMPS {lammps_times(pair, 'Si')} microseconds per atom and step")


if __name__ == "__main__":
    main(sys.argv[1:])
