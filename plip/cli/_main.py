"""The entry point of the command ``plip``: run a command, and say in one line what went wrong."""

import contextlib
import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import plip
from plip.cli._errors import CommandError
from plip.cli._outputs import Outputs
from plip.cli._parser import make_parser

__all__ = ["main"]

# Without a handler Python would print every warning a second time.
logging.getLogger("plip").addHandler(logging.NullHandler())

# As argparse does on a wrong option.
EXIT_USER_ERROR = 2

# As shells report a process that was interrupted.
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : list of str or None, default=None
        Arguments without the program's name; None takes those of the process.

    Returns
    -------
    int
        Exit code: 0, 1 if `plip audit` has findings, or 2 after an error that the user can correct, which
        one line describes.

    Examples
    --------
    >>> from plip.cli import main
    >>> from ase.io import write
    >>> from plip.datasets import load_silicon_carbide
    >>> write("train.xyz", load_silicon_carbide()[0][::20])
    >>> main(["audit", "train.xyz"])
    Audit of 9 structures: nothing found
    0
    """
    arguments = make_parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        # A letter that the terminal cannot show must not end a command before its files are written. In the
        # locale C Python escapes surrogates only.
        sys.stdout.reconfigure(errors="backslashreplace")
    output, messages = _Stream(sys.stdout), _Stream(sys.stderr)
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(messages),
        warnings.catch_warnings(),
    ):
        warnings.showwarning = _show_warning
        # Whatever filters the environment sets, a warning neither disappears nor ends a command.
        warnings.simplefilter("default", UserWarning)
        try:
            arguments.outputs = Outputs(arguments)
            log = getattr(arguments, "log", None)
            if log is not None:
                arguments.outputs.file(log)
            with _logged(log, sys.argv[1:] if argv is None else argv):
                code: int | None = arguments.run(arguments)
            output.finish()
        except KeyboardInterrupt:
            print("plip: interrupted", file=sys.stderr)
            return EXIT_INTERRUPTED
        except (CommandError, MemoryError, OSError, ValueError) as error:
            if arguments.traceback:
                traceback.print_exc()
            print(f"plip: error: {_one_line(error)}", file=sys.stderr)
            return EXIT_USER_ERROR
        else:
            return code or 0
        finally:
            output.flush()


class _Stream:
    """A stream of text whose end does not end the command, which still has files to write.

    The reader of a pipe, such as `head`, may have enough, or the disk may be full.
    """

    def __init__(self, stream: TextIO | None) -> None:
        # There is none where it was closed before.
        self._stream = stream or io.StringIO()
        self._failure: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._failing():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._failing():
            self._stream.flush()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._failure = error
            # What is left goes nowhere, and Python does not complain again at exit.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def finish(self) -> None:
        """Raise if something could not be written that somebody may want to read."""
        self.flush()
        if self._failure is not None and not isinstance(self._failure, BrokenPipeError):
            self._failure.filename = "output"
            raise self._failure


@contextlib.contextmanager
def _logged(path: str | None, argv: Sequence[str]) -> Iterator[None]:
    """Context in which messages of the command, its end or its error are appended to a file."""
    if path is None:
        yield
        return
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("plip")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        logger.info("plip %s: %s", plip.__version__, " ".join(argv))
        yield
        logger.info("done")
    except BaseException as error:
        logger.error("%s: %s", type(error).__name__, _one_line(error))
        raise
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()


def _one_line(error: object) -> str:
    if isinstance(error, MemoryError):
        # Often without a text.
        return f"not enough memory: {error or 'it is used up'}; take fewer workers or a smaller preset"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"plip: warning: {_one_line(message)}", file=sys.stderr)
    logging.getLogger("plip").warning(_one_line(message))
