"""Files that are written whole or not at all, and digests that reveal damaged arrays."""

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from plip._types import StrPath

__all__ = ["digest_arrays", "scratch_file", "without_empty_texts", "write_whole"]

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)
# Errors of a system or file system that has no files without a name.
_NO_NAMELESS = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS}
# Errors of a disk or a quota that is full.
_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextlib.contextmanager
def write_whole(path: StrPath, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file for writing; it appears under its name, on the disk, only when all is written.

    Parameters
    ----------
    path : str or path-like
        File name. An existing file is replaced in one step and keeps its permissions; if writing fails, it
        stays as it was. The target of a symbolic link is replaced, not the link.
    mode : {"w", "wb"}
        Text (UTF-8, with escapes for what it cannot hold) or binary.

    Yields
    ------
    file

    Raises
    ------
    OSError
        If the file cannot be written, or `path` exists and is no regular file.

    Notes
    -----
    On Linux the file has no name until it is complete, so that a killed process leaves nothing behind. It has
    the temporary name ``.NAME.XXXXXXXX.tmp`` only for the moment in which it replaces another file. Other
    systems use that name from the beginning; after a kill such a file can be deleted.
    """
    before = _status(path)
    path = os.path.realpath(path)
    handle, temporary = _open_new(path)
    try:
        # Names of files, which tables and reports have, are bytes that need not be UTF-8.
        encoding, errors = (None, None) if "b" in mode else ("utf-8", "backslashreplace")
        with open(handle, mode, encoding=encoding, errors=errors) as file:
            if before is not None:
                _take_over(handle, before)
            yield file
            file.flush()
            os.fsync(handle)
            if temporary is None:
                temporary = _give_name(handle, path)
        if temporary is not None:
            os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            os.unlink(temporary)
        # Errors of open files, such as those of a full disk, do not have their names.
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)
        raise
    _sync_folder(os.path.dirname(path))


@contextlib.contextmanager
def scratch_file(most_in_memory: int) -> Iterator[IO[bytes]]:
    """Open a file without a name that is gone afterwards.

    Parameters
    ----------
    most_in_memory : int
        Bytes up to which it stays in memory.

    Yields
    ------
    file

    Raises
    ------
    OSError
        If it cannot be written; the message says where it would be.
    """
    try:
        with tempfile.SpooledTemporaryFile(most_in_memory) as file:
            yield file
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            error.filename = tempfile.gettempdir()
            error.strerror = f"{error.strerror} for temporary files: name another folder, TMPDIR=..."
        raise


def digest_arrays(text: str, arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Digest of a text and of arrays with their names, types and shapes.

    Parameters
    ----------
    text : str
        What is stored beside the arrays.
    arrays : dict of str to ndarray
        Their order does not matter.

    Returns
    -------
    str
    """
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _status(path: StrPath) -> os.stat_result | None:
    """Status of the file to replace, None for a new file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for test, name in _KINDS if test(status.st_mode)), "no regular file")
        code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EEXIST
        raise OSError(code, f"cannot be replaced, since it is {kind}: give the name of a file", str(path))
    return status


def _open_new(path: str) -> tuple[int, str | None]:
    """Handle and name (None if it has no name) of a new file beside `path`, with the usual permissions."""
    folder = os.path.dirname(path)
    if hasattr(os, "O_TMPFILE"):
        try:
            handle = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno not in _NO_NAMELESS:
                raise
        else:
            if os.path.exists(_link_to(handle)):
                return handle, None
            os.close(handle)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    temporary = _temporary(path)
    return os.open(temporary, flags, 0o666), temporary


def _temporary(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{secrets.token_hex(4)}.tmp")


def _take_over(handle: int, before: os.stat_result) -> None:
    """Give a file the owner and the permissions of another."""
    if not hasattr(os, "fchmod"):
        return
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        # Only the superuser may give files away.
        with contextlib.suppress(PermissionError):
            os.fchown(handle, before.st_uid, before.st_gid)
    os.fchmod(handle, stat.S_IMODE(before.st_mode))


def _link_to(handle: int) -> str:
    return f"/proc/self/fd/{handle}"


def _give_name(handle: int, path: str) -> str | None:
    """Name a nameless file `path`; if that exists, give it a temporary name and return that."""
    with contextlib.suppress(FileExistsError):
        _link(handle, path)
        return None
    temporary = _temporary(path)
    _link(handle, temporary)
    return temporary


def _link(handle: int, name: str) -> None:
    # os.link follows the link in /proc only when it is given a folder, which absolute names ignore.
    os.link(_link_to(handle), name, src_dir_fd=handle)


def _sync_folder(folder: str) -> None:
    """Write the new name to the disk, on systems that can open folders."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def without_empty_texts(info: Mapping[Any, Any]) -> dict[Any, Any]:
    """What a structure to be written knows beside its atoms, without texts of no character.

    ASE writes these to extended XYZ as a key without a value, and reads the next entry for it.
    """
    return {key: value for key, value in info.items() if not (isinstance(value, str) and not value)}
