"""Options for the authors, the license and the citation of a potential."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plip.potential import Potential

__all__ = ["OPTIONS", "add_options", "signed"]

# Options by entry of `Potential.about`.
OPTIONS = {"authors": "author", "license": "license", "citation": "cite"}


def add_options(parser: argparse.ArgumentParser) -> None:
    about = parser.add_argument_group("who made the potential (kept in its file)")
    about.add_argument(
        "--author", action="append", type=_text, metavar="NAME", help="an author (may be repeated)"
    )
    about.add_argument(
        "--license", type=_text, metavar="NAME", help="license of the potential, such as CC-BY-4.0 or CC0-1.0"
    )
    about.add_argument(
        "--cite", type=_text, metavar="TEXT", help="the publication that users of the potential should cite"
    )


def _text(text: str) -> str:
    """What a potential takes, known before a fit has worked for it."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"must be UTF-8, got {text!r}; set LANG to a UTF-8 locale") from None
    return text


def signed(potential: Potential, arguments: argparse.Namespace) -> Potential:
    """The potential with what the options say, and what it knew before."""
    given = {name: getattr(arguments, option, None) for name, option in OPTIONS.items()}
    about: dict[str, Any] = potential.about or {}
    about.update((name, value) for name, value in given.items() if value is not None)
    return potential.with_about(about)
