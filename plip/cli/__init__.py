"""The command ``plip``."""

from plip.cli._main import main

__all__ = ["main"]
