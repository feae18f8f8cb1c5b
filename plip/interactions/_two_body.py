"""The pair interaction."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from plip._core import ANY
from plip.interactions._interaction import Functions, Interaction, Places, latex_symbol
from plip.radial import RadialFamily

if TYPE_CHECKING:
    from plip.interactions._terms import Term

__all__ = ["TwoBody", "n_pairs_of", "pairs_of"]


class TwoBody(Interaction):
    """Pair interaction: the sum over pairs of atoms of ``g(r_ij)``.

    Parameters
    ----------
    radial : RadialFamily or list of RadialFamily
        Radial functions.
    cutoff : float or None, default=None
        Cutoff in Angstrom, at most that of the descriptors; None takes that one.

    Examples
    --------
    >>> from plip import PLIPDescriptors
    >>> from plip.interactions import TwoBody
    >>> from plip.radial import Gaussian
    >>> from ase.build import bulk
    >>> pairs = TwoBody(Gaussian(eta=1.0, centers=[2.0, 3.0]))
    >>> descriptors = PLIPDescriptors(5.0, two_body=pairs, three_body=None, n_body=None).fit([bulk("Si")])
    >>> descriptors.terms_[0].formula()
    'sum over pairs Si-Si of [exp(-1 (r - 2)^2)] fc(r; 5)'
    """

    kind = "two-body"
    has_center = False

    def __init__(self, radial: Functions, cutoff: float | None = None) -> None:
        self.radial = radial
        self.cutoff = cutoff

    def _columns(self, places: Places, functions: list[RadialFamily]) -> Iterator[dict[str, Any]]:
        for pair in pairs_of(*places):
            for function in functions:
                yield {"species": pair, "radial": (function,)}

    def _count(self, numbers: Sequence[int], n_functions: int) -> int:
        return n_pairs_of(*numbers) * n_functions

    @classmethod
    def formula_of(cls, term: Term) -> str:
        if term.species == (ANY, ANY):
            return f"sum over pairs of any species of {cls._arm(term, 0, 'r')}"
        if ANY in term.species:
            (center,) = set(term.species) - {ANY}
            return f"sum over {center} and neighbors of any species of {cls._arm(term, 0, 'r')}"
        return f"sum over pairs {'-'.join(term.species)} of {cls._arm(term, 0, 'r')}"

    @classmethod
    def latex_of(cls, term: Term) -> str:
        first, second = map(latex_symbol, term.species)
        # With one place for any species, a pair counts once for each of its atoms that is in the other.
        atoms = "i, j" if term.species.count(ANY) == 1 else "\\{i, j\\}"
        return f"\\sum_{{{atoms},\\, i \\in {first},\\, j \\in {second}}} {cls._latex_arm(term, 0, 'r_{ij}')}"


def pairs_of(first: Sequence[str], second: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Unordered pairs of what may stand at two places."""
    if first == second:
        return itertools.combinations_with_replacement(first, 2)
    return itertools.product(first, second)


def n_pairs_of(first: int, second: int) -> int:
    """The number of such pairs for so many species at both places."""
    return first * (first + 1) // 2 if first == second else first * second
