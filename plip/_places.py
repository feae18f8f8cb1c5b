"""Where structures come from: messages name files and places there instead of numbers in the data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["LocatedError", "located", "with_places"]

# As `plip._structures._checks.describe` names structures.
_NUMBER = re.compile(r"\b[Ss]tructure (\d+)\b")

_place_of: ContextVar[Callable[[int], str] | None] = ContextVar("_place_of", default=None)


class LocatedError(ValueError):
    """An error whose message names the file itself: what looks like a number of the data in it is none."""


@contextmanager
def located(place: Callable[[int], str]) -> Iterator[None]:
    """Context in which errors, and warnings of this thread, say where their structures come from.

    Parameters
    ----------
    place : callable
        The place of the structure of a number in the data, such as "b.xyz, structure 3"; an IndexError leaves
        the number.
    """
    token = _place_of.set(place)
    try:
        yield
    except LocatedError:
        raise
    except ValueError as error:
        raise LocatedError(with_places(error)) from error
    finally:
        _place_of.reset(token)


def with_places(message: object) -> str:
    """A message with the places of structures, as far as the context knows them."""
    place = _place_of.get()
    if place is None:
        return str(message)

    def named(match: re.Match[str]) -> str:
        try:
            return place(int(match[1]))
        except IndexError:
            return match[0]

    return _NUMBER.sub(named, str(message))
