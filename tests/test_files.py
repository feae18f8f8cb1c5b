"""Files that are written whole or not at all: their permissions, what a kill leaves, what is refused."""

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from plip import NormalEquations, PLIPDescriptors, Potential, _files
from plip._files import scratch_file, write_whole
from plip.interactions import TwoBody
from plip.lammps import export
from plip.plotting import parity_plot
from plip.radial import Gaussian
from plip.report import Evaluation

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions and special files of Unix")


def write(path, text="new"):
    with write_whole(path) as file:
        file.write(text)


def names(folder):
    return sorted(os.listdir(folder))


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture(params=["nameless", "named"])
def way(request, monkeypatch):
    """Both ways of writing: with files that have no name, and where these do not exist."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.json"


def test_text_and_bytes(way, path):
    write(path, "Å")
    assert path.read_bytes() == b"\xc3\x85"
    with write_whole(str(path), "wb") as file:
        file.write(b"\0\n")
    assert path.read_bytes() == b"\0\n"
    assert names(path.parent) == ["model.json"]


def test_what_is_no_unicode_is_escaped(way, path):
    """The name of a file of structures, in a table."""
    write(path, os.fsdecode(b"\xe9.xyz"))
    assert path.read_bytes() == rb"\udce9.xyz"


@pytest.mark.parametrize("permissions", [0o600, 0o644, 0o664, 0o640, 0o400, 0o755])
def test_an_existing_file_keeps_its_permissions(way, path, permissions):
    path.write_text("old")
    path.chmod(permissions)
    write(path)
    assert (path.read_text(), mode(path)) == ("new", permissions)


def test_a_private_file_is_never_open_to_others(way, path):
    path.write_text("old")
    path.chmod(0o600)
    with write_whole(path) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
        file.write("new")


def test_a_new_file_has_the_permissions_that_the_user_set(tmp_path):
    # In a process of its own: the mask belongs to all threads of a process.
    code = """if True:
        import os
        from plip._files import write_whole
        for way in ("nameless", "named"):
            for mask in (0o022, 0o077, 0o007):
                os.umask(mask)
                with write_whole(f"{way}{mask}") as file:
                    file.write("new")
            if hasattr(os, "O_TMPFILE"):
                del os.O_TMPFILE
    """
    subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, check=True)
    for way in ("nameless", "named"):
        for mask in (0o022, 0o077, 0o007):
            assert mode(tmp_path / f"{way}{mask}") == 0o666 & ~mask


def test_the_mask_of_the_process_is_left_alone(way, path, monkeypatch):
    monkeypatch.setattr(os, "umask", None)
    write(path)
    write(path)


def test_owner_and_group_are_kept(way, path):
    if os.geteuid() != 0:
        pytest.skip("only the superuser gives files away")
    path.write_text("old")
    os.chown(path, 1234, 4321)
    path.chmod(0o600)
    write(path)
    status = os.stat(path)
    assert (status.st_uid, status.st_gid, mode(path)) == (1234, 4321, 0o600)


def test_an_error_leaves_everything_as_it_was(way, path):
    for content in (None, "old"):
        if content is not None:
            path.write_text(content)
        before = names(path.parent)
        with pytest.raises(RuntimeError, match="half"), write_whole(path) as file:
            file.write("half" * 10000)
            raise RuntimeError("half")
        assert names(path.parent) == before
    assert path.read_text() == "old"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_disk_leaves_everything_as_it_was(way, path, monkeypatch, step):
    path.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="no space.*model.json"):
        write(path)
    assert (path.read_text(), names(path.parent)) == ("old", ["model.json"])


def test_file_and_folder_reach_the_disk_in_order(way, path, monkeypatch):
    steps = []
    fsync, replace, link = os.fsync, os.replace, os.link

    def noted(name, function):
        def call(*args, **options):
            if name == "fsync":
                kind = stat.S_IFMT(os.fstat(args[0]).st_mode)
                steps.append("folder" if kind == stat.S_IFDIR else "file")
            else:
                steps.append("name")
            return function(*args, **options)

        return call

    path.write_text("old")
    monkeypatch.setattr(os, "fsync", noted("fsync", fsync))
    monkeypatch.setattr(os, "replace", noted("replace", replace))
    monkeypatch.setattr(os, "link", noted("link", link))
    write(path)
    assert steps[0] == "file" and steps[-1] == "folder" and set(steps[1:-1]) == {"name"}


def killed_while_writing(path):
    """Contents of the folder after a process was killed amid the writing of a file."""
    code = "import time; from plip._files import write_whole\n"
    code += f"with write_whole({str(path)!r}) as file:\n"
    code += " file.write('x' * 100000); file.flush(); print('here', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return names(path.parent)


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files without a name are a matter of Linux")
def test_a_kill_leaves_nothing(path):
    assert killed_while_writing(path) == []
    path.write_text("old")
    assert killed_while_writing(path) == ["model.json"]
    assert path.read_text() == "old"


def test_links_are_followed(way, path):
    target = path.parent / "folder" / "target.json"
    target.parent.mkdir()
    path.symlink_to(target)
    for text in ("first", "second"):  # a link to nothing, then one to a file
        write(path, text)
        assert path.is_symlink() and target.read_text() == text
    assert names(target.parent) == ["target.json"]


def special_files(folder):
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder)  # the names of sockets must be short
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
    return {"folder": "folder", "pipe": "pipe", "link": "pipe", "socket": "socket"}


def test_what_is_no_regular_file_is_refused(way, tmp_path):
    kinds = {tmp_path / name: kind for name, kind in special_files(tmp_path).items()}
    kinds["/dev/null"] = "device"
    before = names(tmp_path)
    for path, kind in kinds.items():
        status = os.stat(path)
        with pytest.raises(OSError, match=f"a {kind}.*{os.path.basename(path)}"):
            write(path)
        assert os.stat(path).st_ino == status.st_ino and os.stat(path).st_mode == status.st_mode
    assert names(tmp_path) == before


def test_a_missing_folder_is_named(way, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write(tmp_path / "nowhere" / "model.json")


def test_writers_at_the_same_time_leave_one_whole_file(way, path):
    texts = [letter * 200_000 for letter in "abcd"]
    errors = []

    def many(text):
        try:
            for _ in range(20):
                write(path, text)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=many, args=(text,)) for text in texts]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        if path.exists():
            assert path.read_text() in texts
        time.sleep(0.001)
    assert errors == []
    assert path.read_text() in texts
    assert names(path.parent) == ["model.json"]


def test_the_system_without_nameless_files_falls_back(path, monkeypatch):
    """As on file systems that know the flag and do not support it, or without /proc."""
    original = os.open

    def refuse(name, flags, *args, **options):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return original(name, flags, *args, **options)

    if not hasattr(os, "O_TMPFILE"):
        pytest.skip("it has none anyway")
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        write(path, "first")
    assert path.read_text() == "first"
    monkeypatch.setattr(_files, "_link_to", lambda handle: f"/nowhere/{handle}")
    write(path, "second")
    assert (path.read_text(), names(path.parent)) == ("second", ["model.json"])


def test_a_full_disk_of_temporary_files_is_named():
    with (
        pytest.raises(OSError, match="for temporary files: name another folder, TMPDIR") as error,
        scratch_file(100) as file,
    ):
        file.write(b"1" * 200)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert error.value.filename == tempfile.gettempdir()


def test_everything_that_is_saved_goes_this_way(tmp_path):
    """Potentials, normal equations, plots and exports keep the permissions of a file and refuse a pipe."""
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.ones((4, 3)))
    pair = TwoBody(Gaussian(eta=1.0, centers=2.5))
    descriptors = PLIPDescriptors(cutoff=3.0, two_body=pair, three_body=None, n_body=None).fit([atoms])
    potential = Potential(descriptors, [0.1], {"Cu": -1.0})
    equations = NormalEquations.from_structures([atoms], descriptors)
    evaluations = {"training": Evaluation(potential, [atoms])}
    savers = {
        "model.json": potential.save,
        "equations.npz": equations.save,
        "parity.png": lambda path: parity_plot(evaluations, path),
        "pair.in": lambda path: export(potential, path.parent, ["Cu"]),
        "pairs.table": lambda path: export(potential, path.parent, ["Cu"]),
    }
    for name, save in savers.items():
        path = tmp_path / name
        path.write_text("old")
        path.chmod(0o600)
        save(path)
        assert path.stat().st_size > 10 and mode(path) == 0o600, name
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(OSError, match=f"a pipe.*{name}"):
            save(path)
        path.unlink()
