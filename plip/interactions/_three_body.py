"""The angular interaction of two arms."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from plip._core import ANY
from plip.interactions._interaction import (
    Functions,
    Interaction,
    Places,
    as_integer,
    latex_cosine,
    latex_symbol,
    text_cosine,
)
from plip.interactions._two_body import n_pairs_of, pairs_of
from plip.radial import RadialFamily

if TYPE_CHECKING:
    from plip.interactions._terms import Term

__all__ = ["ThreeBody"]


class ThreeBody(Interaction):
    """Angular interaction: the sum over triplets of ``g_a(r_ij) g_b(r_ik) cos^l(theta_jik)``.

    Parameters
    ----------
    radial : RadialFamily or list of RadialFamily
        Radial functions of the arms.
    max_power : int, default=5
        Largest power l of the cosine; all from 0 on are offered.
    mixed : bool, default=False
        Whether the two arms may have different radial functions.
    cutoff : float or None, default=None
        Cutoff in Angstrom, at most that of the descriptors; None takes that one.

    Examples
    --------
    >>> from plip import PLIPDescriptors
    >>> from plip.interactions import ThreeBody
    >>> from plip.radial import Gaussian
    >>> from ase.build import bulk
    >>> angles = ThreeBody(Gaussian(eta=1.0, centers=2.4), max_power=2, cutoff=3.5)
    >>> descriptors = PLIPDescriptors(5.0, two_body=None, three_body=angles, n_body=None).fit([bulk("Si")])
    >>> [term.power for term in descriptors.terms_]
    [0, 1, 2]
    """

    kind = "three-body"
    n_arms = 2
    power_names = ("l",)

    def __init__(
        self, radial: Functions, max_power: int = 5, mixed: bool = False, cutoff: float | None = None
    ) -> None:
        self.radial = radial
        self.max_power = max_power
        self.mixed = mixed
        self.cutoff = cutoff

    def _columns(self, places: Places, functions: list[RadialFamily]) -> Iterator[dict[str, Any]]:
        powers = self._offered_powers()
        if not isinstance(self.mixed, (bool, np.bool_)):
            raise ValueError(f"mixed of ThreeBody must be True or False, got {self.mixed!r}")
        for center in places[0]:
            for arms in pairs_of(*places[1:]):
                for pair in self._function_pairs(functions, same_species=arms[0] == arms[1]):
                    for power in powers:
                        yield {"species": (center, *arms), "radial": pair, "power": power}

    def _offered_powers(self) -> range:
        max_power = as_integer("max_power of ThreeBody", self.max_power, 0)
        self._check_power("max_power", max_power)
        return range(max_power + 1)

    def _function_pairs(
        self, functions: list[RadialFamily], same_species: bool
    ) -> Iterable[tuple[RadialFamily, ...]]:
        """Radial functions of both arms; arms of the same species may be exchanged."""
        if not self.mixed:
            return ((function, function) for function in functions)
        if same_species:
            return itertools.combinations_with_replacement(functions, 2)
        return itertools.product(functions, repeat=2)

    def _count(self, numbers: Sequence[int], n_functions: int) -> int:
        n_centers, *arms = numbers
        if self.mixed:
            pairs = n_pairs_of(*(number * n_functions for number in arms))
        else:
            pairs = n_pairs_of(*arms) * n_functions
        return n_centers * pairs * len(self._offered_powers())

    @classmethod
    def formula_of(cls, term: Term) -> str:
        center, first, second = term.species
        # Arms that differ tell apart which neighbor is which.
        meet = first == second or ANY in (first, second)
        order = "ordered " if meet and (first, term.radial[0]) != (second, term.radial[1]) else ""
        return (
            f"sum over {cls._atoms(center, 'i')} and {order}neighbors {cls._atoms(first, 'j')}, "
            f"{cls._atoms(second, 'k')} of "
            f"{cls._arm(term, 0, 'r_ij')} {cls._arm(term, 1, 'r_ik')}{text_cosine('jik', *cls._powers(term))}"
        )

    @classmethod
    def latex_of(cls, term: Term) -> str:
        center, first, second = map(latex_symbol, term.species)
        same = term.species[1] == term.species[2] and term.radial[0] == term.radial[1]
        neighbors = f"j < k \\in {first}" if same else f"j \\in {first},\\, k \\in {second},\\, j \\ne k"
        return (
            f"\\sum_{{i \\in {center}}} \\sum_{{{neighbors}}} {cls._latex_arm(term, 0, 'r_{ij}')}\\, "
            f"{cls._latex_arm(term, 1, 'r_{ik}')}{latex_cosine('jik', *cls._powers(term))}"
        )
