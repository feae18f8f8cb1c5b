"""The interaction of three arms."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from plip.interactions._interaction import (
    Functions,
    Interaction,
    Places,
    as_integer,
    latex_cosine,
    latex_symbol,
    text_cosine,
)
from plip.radial import RadialFamily

if TYPE_CHECKING:
    from plip.interactions._terms import Term

__all__ = ["FourBody", "arm_permutations"]


class FourBody(Interaction):
    """Interaction of three arms: the sum over ordered neighbors j, k, m of
    ``g_a(r_ij) g_b(r_ik) g_c(r_im) cos^p(theta_jik) cos^q(theta_kim) cos^t(theta_mij)``.

    Neighbors that coincide are included; those parts are two- and three-body functions.

    Parameters
    ----------
    radial : RadialFamily or list of RadialFamily
        Radial functions of the arms.
    ranks : sequence of (int, int, int), default=((1, 1, 0), (1, 1, 1), (2, 1, 0))
        Powers (p, q, t) of the three cosines.
    cutoff : float or None, default=None
        Cutoff in Angstrom, at most that of the descriptors; None takes that one.

    Examples
    --------
    >>> from plip import PLIPDescriptors
    >>> from plip.interactions import FourBody
    >>> from plip.radial import Gaussian
    >>> from ase.build import bulk
    >>> quadruplets = FourBody(Gaussian(eta=1.0, centers=2.4), ranks=((1, 1, 0), (1, 1, 1)))
    >>> descriptors = PLIPDescriptors(
    ...     5.0, two_body=None, three_body=None, n_body=None, four_body=quadruplets
    ... ).fit([bulk("Si")])
    >>> [term.power for term in descriptors.terms_]
    [(1, 1, 0), (1, 1, 1)]
    """

    kind = "four-body"
    n_arms = 3
    power_names = ("p", "q", "t")

    def __init__(
        self,
        radial: Functions,
        ranks: Sequence[tuple[int, int, int]] = ((1, 1, 0), (1, 1, 1), (2, 1, 0)),
        cutoff: float | None = None,
    ) -> None:
        self.radial = radial
        self.ranks = ranks
        self.cutoff = cutoff

    def _columns(self, places: Places, functions: list[RadialFamily]) -> Iterator[dict[str, Any]]:
        centers, *neighbors = places
        if len(set(neighbors)) > 1:
            raise ValueError("the arms of FourBody must be all of any species, or none")
        # An arm is a pair of numbers, of its species and of its function.
        arms = list(itertools.product(range(len(neighbors[0])), range(len(functions))))
        ranks = self._checked_ranks()
        for center in centers:
            for rank in ranks:
                orders = arm_permutations(rank)
                for triple in itertools.product(arms, repeat=3):
                    # The first of its orbit stands for all.
                    if all(triple <= tuple(triple[arm] for arm in order) for order in orders):
                        yield {
                            "species": (center, *(neighbors[0][s] for s, _ in triple)),
                            "radial": tuple(functions[f] for _, f in triple),
                            "power": rank,
                        }

    def _count(self, numbers: Sequence[int], n_functions: int) -> int:
        # Burnside's lemma: the number of orbits of the arms under a group of permutations is the mean
        # over the group of (number of kinds of arms)^(number of cycles of the permutation).
        kinds = numbers[1] * n_functions
        n_orbits = 0
        for rank in self._checked_ranks():
            orders = arm_permutations(rank)
            n_orbits += sum(kinds ** _n_cycles(order) for order in orders) // len(orders)
        return numbers[0] * n_orbits

    def _checked_ranks(self) -> list[tuple[int, ...]]:
        try:
            ranks = [
                tuple(as_integer("ranks of FourBody", power, 0) for power in rank) for rank in self.ranks
            ]
        except TypeError:
            ranks = []
        if not ranks or any(len(rank) != 3 for rank in ranks) or len(set(ranks)) < len(ranks):
            raise ValueError(
                f"ranks of FourBody must be different triples of powers (p, q, t), got {self.ranks!r}"
            )
        for rank in ranks:
            self._check_power("ranks", rank)
        return ranks

    @classmethod
    def formula_of(cls, term: Term) -> str:
        center, *arms = term.species
        powers = zip(("jik", "kim", "mij"), cls._powers(term), strict=True)
        angles = "".join(text_cosine(angle, power) for angle, power in powers)
        functions = [cls._arm(term, k, distance) for k, distance in enumerate(("r_ij", "r_ik", "r_im"))]
        return (
            f"sum over {cls._atoms(center, 'i')} and all neighbors "
            f"{', '.join(map(cls._atoms, arms, 'jkm'))} of "
            f"{' '.join(functions)}{angles}"
        )

    @classmethod
    def latex_of(cls, term: Term) -> str:
        center, *arms = map(latex_symbol, term.species)
        neighbors = ",\\, ".join(f"{atom} \\in {arm}" for atom, arm in zip("jkm", arms, strict=True))
        functions = "\\, ".join(cls._latex_arm(term, k, f"r_{{i{atom}}}") for k, atom in enumerate("jkm"))
        powers = zip(("jik", "kim", "mij"), cls._powers(term), strict=True)
        angles = "".join(latex_cosine(angle, power) for angle, power in powers)
        return f"\\sum_{{i \\in {center}}} \\sum_{{{neighbors}}} {functions}{angles}"


@functools.cache
def arm_permutations(rank: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Permutations of the three arms that leave the powers (p, q, t) unchanged.

    The cosines belong to the pairs of arms (0, 1), (1, 2) and (2, 0).
    """
    pairs = (frozenset((0, 1)), frozenset((1, 2)), frozenset((2, 0)))
    powers = dict(zip(pairs, rank, strict=True))
    return tuple(
        order
        for order in itertools.permutations(range(3))
        if all(powers[frozenset(order[arm] for arm in pair)] == powers[pair] for pair in pairs)
    )


def _n_cycles(order: Sequence[int]) -> int:
    """Number of cycles of a permutation of three, known from its number of fixed points."""
    n_fixed = sum(place == arm for place, arm in enumerate(order))
    return {3: 3, 1: 2, 0: 1}[n_fixed]
