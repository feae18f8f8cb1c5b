"""What the user of a command can correct."""

__all__ = ["CommandError"]


class CommandError(Exception):
    """An error that the user can correct; shown as one line."""
