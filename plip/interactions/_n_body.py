"""The embedding interaction: powers of a density."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import atomic_numbers

from plip._core import ANY, SWITCH_RANGE
from plip.interactions._interaction import (
    Functions,
    Interaction,
    Places,
    as_integer,
    as_length,
    latex_symbol,
)
from plip.radial import RadialFamily, number_text

if TYPE_CHECKING:
    from plip.interactions._terms import Term

__all__ = ["NBody"]


class NBody(Interaction):
    """Embedding interaction: the sum over atoms of ``(sum_j g(r_ij) f_s(r_ij))^m``.

    Parameters
    ----------
    radial : RadialFamily or list of RadialFamily
        Radial functions of the density.
    powers : sequence of int, default=(4, 5, 6, 7)
        Powers m of the density, from 2 on.
    switch : dict or None, default=None
        Shortest distances in Angstrom by unordered pair of chemical symbols, such as
        ``{("Si", "O"): 2.4}``. The density of such a pair is turned on between 0.95
        and 1.05 times that distance. None means no switch. Densities with "*" in their
        label have the switch of ``("*", "*")``.
    cutoff : float or None, default=None
        Cutoff in Angstrom, at most that of the descriptors; None takes that one.
    """

    kind = "N-body"
    power_names = ("m",)

    def __init__(
        self,
        radial: Functions,
        powers: Sequence[int] | int = (4, 5, 6, 7),
        switch: Mapping[tuple[str, str], float] | None = None,
        cutoff: float | None = None,
    ) -> None:
        self.radial = radial
        self.powers = powers
        self.switch = switch
        self.cutoff = cutoff

    def _columns(self, places: Places, functions: list[RadialFamily]) -> Iterator[dict[str, Any]]:
        powers = self._checked_powers()
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

    def _checked_powers(self) -> list[int]:
        powers = list(self.powers) if np.iterable(self.powers) else [self.powers]
        powers = [as_integer("powers of NBody", power, 2) for power in powers]
        if not powers or len(set(powers)) < len(powers):
            raise ValueError(f"powers of NBody must be different integers from 2 on, got {self.powers!r}")
        for power in powers:
            self._check_power("powers", power)
        return powers

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
    def exponent(power: int) -> int:
        return power

    @classmethod
    def formula_of(cls, term: Term) -> str:
        center, neighbor = term.species
        density = cls._arm(term, 0, "r")
        if term.switch is not None:
            low, high = (number_text(factor * term.switch) for factor in SWITCH_RANGE)
            density += f" fs(r; {low}, {high})"
        return (
            f"sum over {cls._atoms(center)} of "
            f"(sum over neighbors {cls._atoms(neighbor)} of {density})^{term.power}"
        )

    @classmethod
    def latex_of(cls, term: Term) -> str:
        center, neighbor = map(latex_symbol, term.species)
        switch = "" if term.switch is None else "\\, f_s(r_{ij})"
        return (
            f"\\sum_{{i \\in {center}}} \\Bigl( \\sum_{{j \\in {neighbor}}} "
            f"{cls._latex_arm(term, 0, 'r_{ij}')}{switch} \\Bigr)^{{{term.power}}}"
        )
