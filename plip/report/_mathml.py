"""Formulas of terms as MathML, which browsers typeset without scripts and fonts of their own."""

from __future__ import annotations

import html
import re

__all__ = ["to_mathml"]

_TOKEN = re.compile(r"\\(?:[A-Za-z]+|.)|\d+(?:\.\d+)?|\s+|.")
_SYMBOLS = {
    "\\in": "<mo>∈</mo>",
    "\\ne": "<mo>≠</mo>",
    "\\times": "<mo>×</mo>",
    "\\ast": "<mo>∗</mo>",
    "\\theta": "<mi>θ</mi>",
    "\\cos": "<mi>cos</mi>",
    "\\ln": "<mi>ln</mi>",
    "\\,": '<mspace width="0.17em"></mspace>',
    "\\{": '<mo stretchy="false">{</mo>',
    "\\}": '<mo stretchy="false">}</mo>',
    "-": "<mo>−</mo>",
}
# Delimiters, and how large they are.
_LARGE = {"\\bigl": "1.2em", "\\bigr": "1.2em", "\\Bigl": "1.8em", "\\Bigr": "1.8em"}
_SUM = '<mo movablelimits="false">∑</mo>'


def to_mathml(latex: str) -> str:
    """The LaTeX of `plip.interactions.Term.latex` as MathML.

    Parameters
    ----------
    latex : str
        Mathematics of the commands that terms use.

    Returns
    -------
    str
        An element for each part between thin spaces, so that lines can break there.

    Raises
    ------
    ValueError
        If a command is not known, or braces do not match.
    """
    parser = _Parser([token for token in _TOKEN.findall(latex) if not token.isspace()])
    parts = parser.parts()
    if parser.tokens:
        raise ValueError(f"unbalanced braces in {latex!r}")
    return "<wbr>".join(f'<math displaystyle="true">{"".join(part)}</math>' for part in parts if part)


class _Parser:
    """Recursive descent; tokens are taken from the end of a reversed list."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens[::-1]

    def parts(self) -> list[list[str]]:
        """Everything up to a closing brace or the end, in parts that end with a thin space."""
        parts: list[list[str]] = [[]]
        while self.tokens and self.tokens[-1] != "}":
            # The cutoff function stays with what it cuts off.
            is_end = self.tokens[-1] == "\\," and self.tokens[-2:-1] != ["f"]
            parts[-1].append(self._scripted())
            if is_end:
                parts.append([])
        return parts

    def _scripted(self) -> str:
        """One item with its sub- and superscript."""
        base = self._item()
        scripts: dict[str, str] = {}
        while self.tokens and self.tokens[-1] in ("^", "_"):
            name = self.tokens.pop()
            scripts[name] = self._item()
        under, over = scripts.get("_"), scripts.get("^")
        if under is not None and base == _SUM:
            return f"<munder>{base}{under}</munder>"
        if under is not None and over is not None:
            return f"<msubsup>{base}{under}{over}</msubsup>"
        if under is not None:
            return f"<msub>{base}{under}</msub>"
        return base if over is None else f"<msup>{base}{over}</msup>"

    def _group(self) -> str:
        """What is between braces."""
        if not self.tokens or self.tokens.pop() != "{":
            raise ValueError("a brace is missing")
        inner = "".join(item for part in self.parts() for item in part)
        if not self.tokens:
            raise ValueError("a brace is not closed")
        self.tokens.pop()
        return f"<mrow>{inner}</mrow>"

    def _item(self) -> str:
        if not self.tokens:
            raise ValueError("nothing to typeset")
        if self.tokens[-1] == "{":
            return self._group()
        token = self.tokens.pop()
        if token == "\\sum":
            return _SUM
        if token == "\\frac":
            return f"<mfrac>{self._group()}{self._group()}</mfrac>"
        if token == "\\mathrm":
            name = re.sub("<[^>]*>", "", self._group())
            return f'<mi mathvariant="normal">{name}</mi>'
        if token in _LARGE:
            return f'<mo stretchy="true" minsize="{_LARGE[token]}">{html.escape(self.tokens.pop())}</mo>'
        if token in _SYMBOLS:
            return _SYMBOLS[token]
        if token.startswith("\\"):
            raise ValueError(f"{token} is not a command that terms use")
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token.isalpha():
            return f"<mi>{token}</mi>"
        stretchy = ' stretchy="false"' if token in "()[]" else ""
        return f"<mo{stretchy}>{html.escape(token)}</mo>"
