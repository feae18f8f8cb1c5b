"""The terms of a potential as a table of pandas and as LaTeX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plip._parameters import is_integer
from plip.radial import number_latex

if TYPE_CHECKING:
    import pandas

    from plip.potential._potential import Potential

__all__ = ["to_frame", "to_latex"]


def to_frame(potential: Potential) -> pandas.DataFrame:
    """See `Potential.to_frame`."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_frame needs pandas: pip install pandas") from error
    rows = [
        {
            "coefficient": coefficient,
            "interaction": term.interaction,
            "species": "-".join(term.species),
            "radial": " ".join(function.label() for function in dict.fromkeys(term.radial)),
            "power": term.power,
            "cutoff": term.cutoff,
            "formula": term.formula(),
            "name": term.name,
        }
        for term, coefficient in potential.terms
    ]
    columns = ("coefficient", "interaction", "species", "radial", "power", "cutoff", "formula", "name")
    return pandas.DataFrame(rows, columns=list(columns))


def to_latex(potential: Potential, digits: int) -> str:
    """See `Potential.to_latex`."""
    if not is_integer(digits) or not 1 <= digits <= 17:
        raise ValueError(f"digits must be an integer from 1 to 17, got {digits!r}")
    lines = [
        f"{_signed(energy, digits)}\\, N_{{\\mathrm{{{symbol}}}}}"
        for symbol, energy in potential.intercept.items()
    ]
    lines += [f"{_signed(coefficient, digits)} {term.latex()}" for term, coefficient in potential.terms]
    body = " \\\\\n    & ".join(lines)
    return f"\\begin{{align*}}\nE = {{}} & {body}\n\\end{{align*}}\n"


def _signed(value: float, digits: int) -> str:
    return f"{'-' if value < 0 else '+'} {number_latex(float(f'{abs(value):.{digits - 1}e}'))}"
