"""How a check ends: held, refused by the package, or an AssertionError that says what is wrong."""

import numpy as np


class Refused(Exception):
    """The package has refused an input as it should."""


def refusal(error, path=None):
    """Raise Refused if the error is one that the package may give."""
    if isinstance(error, np.linalg.LinAlgError) or not str(error).strip():
        raise error
    if path is not None and str(path) not in str(error):
        raise AssertionError(f"the message does not name the file: {error!r}") from error
    raise Refused(str(error)) from error


def outcome_of(function):
    """What a function returns and None, or None and its ValueError."""
    try:
        return function(), None
    except ValueError as error:
        return None, error


def assert_close(name, found, expected, allowed):
    """Numbers differ by no more than is allowed for each; names the worst."""
    found, expected, allowed = np.broadcast_arrays(found, expected, allowed)
    bad = ~(np.abs(found - expected) <= allowed)
    if bad.any():
        k = np.unravel_index(np.argmax(np.abs(found - expected) / np.maximum(allowed, 1e-300)), bad.shape)
        raise AssertionError(
            f"{name}: {float(found[k])!r} against {float(expected[k])!r}, allowed {float(allowed[k]):.1e}"
        )
