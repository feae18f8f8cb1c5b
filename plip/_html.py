"""Small tables in HTML, which notebooks show."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

__all__ = ["DOCUMENTATION", "table"]

# Where the pages of doc/ are published.
DOCUMENTATION = "https://plip-potential.readthedocs.io/en/latest/"

_STYLE = "text-align:left;padding:0.15em 0.8em 0.15em 0"


def table(title: str, rows: Iterable[Sequence[object]], header: Sequence[object] = ()) -> str:
    """A titled table; all text is escaped.

    Parameters
    ----------
    title : str
    rows : iterable of sequences
        Cells.
    header : sequence, default=()
        Heads of the columns, if any.

    Returns
    -------
    str
        HTML without scripts and without references to other files.
    """

    def line(cells: Sequence[object], tag: str) -> str:
        inner = "".join(f'<{tag} style="{_STYLE}">{html.escape(str(cell))}</{tag}>' for cell in cells)
        return f"<tr>{inner}</tr>"

    head = f"<thead>{line(header, 'th')}</thead>" if header else ""
    body = "".join(line(row, "td") for row in rows)
    return f"<div><strong>{html.escape(title)}</strong><table>{head}<tbody>{body}</tbody></table></div>"
