"""The embedding interaction: powers and roots of a density."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import atomic_numbers

from plip._core import ANY, SWITCH_RANGE
from plip._parameters import is_number
from plip.interactions._interaction import (
    Functions,
    Interaction,
    Places,
    as_integer,
    as_length,
    latex_symbol,
)
from plip.radial import RadialFamily, number_latex, number_text

if TYPE_CHECKING:
    from plip.interactions._terms import Term

__all__ = ["NBody"]


class NBody(Interaction):
    """Embedding interaction: the sum over atoms of ``(sum_j g(r_ij) f_s(r_ij))^m``.

    The power 0.5 stands for ``(sum_j (g(r_ij) f_s(r_ij))^2)^(1/2)``, the bond energy of the second-moment
    approximation, whose density is the sum of squares of hopping integrals (F. Ducastelle, J. Phys. France
    31, 1055 (1970); F. Cleri and V. Rosato, Phys. Rev. B 48, 22 (1993)). For one neighbor it is the absolute
    value of g, and so it is smooth where neighbors come and go. No polynomial has its shape at low density.

    Parameters
    ----------
    radial : RadialFamily or list of RadialFamily
        Radial functions of the density.
    powers : sequence of int or 0.5, default=(4, 5, 6, 7)
        Powers m of the density, from 2 on, or 0.5.
    switch : dict or None, default=None
        Shortest distances in Angstrom by unordered pair of chemical symbols, such as
        ``{("Si", "O"): 2.4}``. The density of such a pair is turned on between 0.95
        and 1.05 times that distance. None means no switch. Densities with "*" in their
        label have the switch of ``("*", "*")``.
    cutoff : float or None, default=None
        Cutoff in Angstrom, at most that of the descriptors; None takes that one.

    Examples
    --------
    >>> from plip import PLIPDescriptors
    >>> from plip.interactions import NBody
    >>> from plip.radial import Slater
    >>> from ase.build import bulk
    >>> densities = NBody(Slater(powers=0.0, zeta=1.5), powers=(0.5, 2))
    >>> descriptors = PLIPDescriptors(5.0, two_body=None, three_body=None, n_body=densities).fit([bulk("Cu")])
    >>> [(term.species, term.power) for term in descriptors.terms_]
    [(('Cu', 'Cu'), 0.5), (('Cu', 'Cu'), 2)]
    """

    kind = "N-body"
    power_names = ("m",)
    root = 0.5

    def __init__(
        self,
        radial: Functions,
        powers: Sequence[float] | float = (4, 5, 6, 7),
        switch: Mapping[tuple[str, str], float] | None = None,
        cutoff: float | None = None,
    ) -> None:
        self.radial = radial
        self.powers = powers
        self.switch = switch
        self.cutoff = cutoff

    def _columns(self, places: Places, functions: list[RadialFamily]) -> Iterator[dict[str, Any]]:
        powers = self._checked_powers()
        changing = [function.label() for function in functions if function.changes_sign]
        if self.root in powers and changing:
            raise ValueError(
                f"the power 0.5 of NBody has a kink where a function changes sign: leave {changing[0]} out"
            )
        switches = self._checked_switch()
        for center, neighbor in itertools.product(*places):
            pair = (ANY, ANY) if ANY in (center, neighbor) else tuple(sorted((center, neighbor)))
            switch = switches.get(pair)
            for function in functions:
                for power in powers:
                    yield {
                        "species": (center, neighbor),
                        "radial": (function,),
                        "power": power,
                        "switch": switch,
                    }

    def _count(self, numbers: Sequence[int], n_functions: int) -> int:
        return math.prod(numbers) * n_functions * len(self._checked_powers())

    def _checked_powers(self) -> list[float]:
        powers = list(self.powers) if np.iterable(self.powers) else [self.powers]
        powers = [self._checked_power(power) for power in powers]
        if not powers or len(set(powers)) < len(powers):
            raise ValueError(
                f"powers of NBody must be different integers from 2 on, or 0.5, got {self.powers!r}"
            )
        for power in powers:
            self._check_power("powers", power)
        return powers

    @classmethod
    def _checked_power(cls, power: object) -> float:
        if is_number(power) and power == cls.root:
            return cls.root
        return as_integer("powers of NBody other than 0.5", power, 2)

    def _checked_switch(self) -> dict[tuple[str, ...], float]:
        """Shortest distance by sorted pair of species."""
        if self.switch is None:
            return {}
        if not isinstance(self.switch, dict):
            raise ValueError(
                f"switch of NBody must be a dict such as {{('Si', 'O'): 2.4}}, got {self.switch!r}"
            )
        distances: dict[tuple[str, ...], float] = {}
        for pair, value in self.switch.items():
            if pair != (ANY, ANY) and (
                not isinstance(pair, tuple) or len(pair) != 2 or not all(s in atomic_numbers for s in pair)
            ):
                raise ValueError(
                    f"keys of switch must be pairs of chemical symbols or ('*', '*'), got {pair!r}"
                )
            distance = as_length(f"switch of {pair}", value)
            if distances.setdefault(tuple(sorted(pair)), distance) != distance:
                raise ValueError(f"switch gives two distances for the pair {pair}: leave one out")
        return distances

    @staticmethod
    def _switch_range(distance: float) -> list[float]:
        """Where the density is turned on, in Angstrom, without the last digit that rounding leaves."""
        return [round(factor * distance, 12) for factor in SWITCH_RANGE]

    @classmethod
    def exponent(cls, power: Any) -> int:
        # The root of a sum of squares is at most the sum.
        return 1 if power == cls.root else int(power)

    @classmethod
    def formula_of(cls, term: Term) -> str:
        center, neighbor = term.species
        density = cls._arm(term, 0, "r")
        if term.switch is not None:
            density += f" fs(r; {', '.join(map(number_text, cls._switch_range(term.switch)))})"
        if term.power == cls.root:
            density = f"({density})^2"
        return (
            f"sum over {cls._atoms(center)} of "
            f"(sum over neighbors {cls._atoms(neighbor)} of {density})^{term.power}"
        )

    @classmethod
    def latex_of(cls, term: Term) -> str:
        center, neighbor = map(latex_symbol, term.species)
        density = cls._latex_arm(term, 0, "r_{ij}")
        if term.switch is not None:
            distances = ", ".join(map(number_latex, cls._switch_range(term.switch)))
            density += f"\\, f_s^{{{distances}}}(r_{{ij}})"
        power = str(term.power)
        if term.power == cls.root:
            density, power = f"\\bigl[ {density} \\bigr]^2", "1/2"
        return f"\\sum_{{i \\in {center}}} \\Bigl( \\sum_{{j \\in {neighbor}}} {density} \\Bigr)^{{{power}}}"
