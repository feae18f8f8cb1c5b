"""The pair interaction."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from plip.interactions._interaction import Functions, Interaction, latex_symbol
from plip.radial import RadialFamily

if TYPE_CHECKING:
    from plip.interactions._terms import Term

__all__ = ["TwoBody"]


class TwoBody(Interaction):
    """Pair interaction: the sum over pairs of atoms of ``g(r_ij)``.

    Parameters
    ----------
    radial : RadialFamily or list of RadialFamily
        Radial functions.
    cutoff : float or None, default=None
        Cutoff in Angstrom, at most that of the descriptors; None takes that one.
    """

    kind = "two-body"
    has_center = False

    def __init__(self, radial: Functions, cutoff: float | None = None) -> None:
        self.radial = radial
        self.cutoff = cutoff

    def _columns(self, species: Sequence[str], functions: list[RadialFamily]) -> Iterator[dict[str, Any]]:
        for pair in itertools.combinations_with_replacement(species, 2):
            for function in functions:
                yield {"species": pair, "radial": (function,)}

    def _count(self, n_species: int, n_functions: int) -> int:
        return n_species * (n_species + 1) // 2 * n_functions

    @classmethod
    def formula_of(cls, term: Term) -> str:
        return f"sum over pairs {'-'.join(term.species)} of {cls._arm(term, 0, 'r')}"

    @classmethod
    def latex_of(cls, term: Term) -> str:
        first, second = map(latex_symbol, term.species)
        return (
            f"\\sum_{{\\{{i, j\\}},\\, i \\in {first},\\, j \\in {second}}} "
            f"{cls._latex_arm(term, 0, 'r_{ij}')}"
        )
