"""Files that are written whole or not at all, and digests that tell whether their arrays are undamaged."""

import contextlib
import errno
import hashlib
import os
import secrets
import stat

import numpy as np

__all__ = ["digest_arrays", "write_whole"]

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)
# What opening a file without a name fails with where the system or the file system has none.
_NO_NAMELESS = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS}


@contextlib.contextmanager
def write_whole(path, mode="w"):
    """Open a file for writing that takes its place, on the disk, only when all is written.

    Parameters
    ----------
    path : str or path-like
        File name; an existing file is replaced in one step and keeps its permissions, or is left as it was
        when writing fails. The target of a symbolic link is replaced, not the link.
    mode : {"w", "wb"}
        Text (UTF-8) or binary.

    Yields
    ------
    file

    Raises
    ------
    OSError
        If the file cannot be written, or `path` is there and is no regular file.

    Notes
    -----
    Under Linux the file has no name until it is complete, so that nothing is left when the process is killed
    while it writes; only for the moment in which it takes the place of another it has a name of its own,
    ``.NAME.XXXXXXXX.tmp``. On other systems it has that name from the beginning, and what a kill leaves under
    it can be deleted.
    """
    before = _status(path)
    path = os.path.realpath(path)
    handle, temporary = _open_new(path)
    try:
        with open(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            if before is not None:
                _take_over(handle, before)
            yield file
            file.flush()
            os.fsync(handle)
            if temporary is None:
                temporary = _give_name(handle, path)
        if temporary is not None:
            os.replace(temporary, path)
    except BaseException:
        if temporary is not None:
            os.unlink(temporary)
        raise
    _sync_folder(os.path.dirname(path))


def digest_arrays(text, arrays):
    """Digest of a text and of arrays with their names, types and shapes.

    Parameters
    ----------
    text : str
        What belongs to the arrays.
    arrays : dict of str to ndarray
        Their order does not matter.

    Returns
    -------
    str
    """
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]))
    return digest.hexdigest()


def _status(path):
    """Status of the file that is replaced, None for a new one."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for test, name in _KINDS if test(status.st_mode)), "no regular file")
        code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EEXIST
        raise OSError(code, f"cannot be replaced, since it is {kind}: give the name of a file", str(path))
    return status


def _open_new(path):
    """Handle and name (None without one) of a new file beside `path`, with the permissions of new files."""
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


def _temporary(path):
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{secrets.token_hex(4)}.tmp")


def _take_over(handle, before):
    """Give a file the owner and the permissions of another."""
    if not hasattr(os, "fchmod"):
        return
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        # Only the superuser may give files away.
        with contextlib.suppress(PermissionError):
            os.fchown(handle, before.st_uid, before.st_gid)
    os.fchmod(handle, stat.S_IMODE(before.st_mode))


def _link_to(handle):
    return f"/proc/self/fd/{handle}"


def _give_name(handle, path):
    """Name a complete file that has none `path`, or, where a file is there already, return another name."""
    with contextlib.suppress(FileExistsError):
        _link(handle, path)
        return None
    temporary = _temporary(path)
    _link(handle, temporary)
    return temporary


def _link(handle, name):
    # With a folder, which does not matter for absolute names, os.link follows the link in /proc.
    os.link(_link_to(handle), name, src_dir_fd=handle)


def _sync_folder(folder):
    """Write the new name to the disk, where folders can be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
