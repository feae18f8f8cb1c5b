"""Files that are written whole or not at all."""

import contextlib
import os
import tempfile

__all__ = ["write_whole"]


@contextlib.contextmanager
def write_whole(path, mode="w"):
    """Open a file for writing that takes its place only when all is written.

    Parameters
    ----------
    path : str or path-like
        File name; an existing file is replaced in one step, or left as it was when
        writing fails.
    mode : {"w", "wb"}
        Text (UTF-8) or binary.

    Yields
    ------
    file
    """
    path = os.path.realpath(path)
    encoding = None if "b" in mode else "utf-8"
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=os.path.basename(path) + ".")
    try:
        with open(handle, mode, encoding=encoding) as file:
            yield file
        # mkstemp makes files that only their owner may read; give them the usual permissions.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
