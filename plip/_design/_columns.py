"""Columns by what is computed together: those of one interaction, cutoff, and places of any species."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, TypeAlias

from plip._core import ANY
from plip._design._tables import ANY_SPECIES, Entry
from plip.interactions import Term
from plip.interactions._two_body import TwoBody
from plip.radial import RadialFamily

__all__ = ["Columns", "Kind", "columns_by_kind"]


class Columns:
    """The columns of one interaction whose labels have "*" in the same places.

    Attributes
    ----------
    functions : list of RadialFamily
        The radial functions of its terms.
    cutoff : float
        Angstrom.
    powers : list
        The powers of its terms.
    switches : dict of tuple to float
        Shortest distances in Angstrom by numbers of two species.
    numbers : dict of (tuple, tuple, power) to int
        Columns by the numbers of their species, of their functions, and their power.
    """

    def __init__(self, cutoff: float) -> None:
        self.cutoff = cutoff
        self.functions: list[RadialFamily] = []
        # Integers or ranks, by the interaction.
        self.powers: list[Any] = []
        self.switches: dict[tuple[int, ...], float] = {}
        self.numbers: dict[tuple[tuple[int, ...], tuple[int, ...], Any], int] = {}
        self._places: dict[Any, int] = {}

    def add(self, column: int, term: Term, species: tuple[int, ...], identities: list[Any]) -> None:
        """Add a column; `identities` tell functions apart and have one entry for each of the term."""
        for function, identity in zip(term.radial, identities, strict=True):
            if identity not in self._places:
                self._places[identity] = len(self.functions)
                self.functions.append(function)
        if term.power not in self.powers:
            self.powers.append(term.power)
        if term.switch is not None:
            self.switches[species] = term.switch
        functions = tuple(self._places[identity] for identity in identities)
        self.numbers[species, functions, term.power] = column

    def entries(
        self,
        species: tuple[int, ...],
        functions: tuple[int, ...],
        power: Any,
        degree: int,
        field: int,
        function: int,
    ) -> list[Entry]:
        """The entry, as `add_group` takes it, of the column of these species, functions and power, if any."""
        column = self.numbers.get((species, functions, power))
        return [] if column is None else [(column, degree, field, function, 1.0)]

    @functools.cached_property
    def centers(self) -> list[int]:
        """The first species of the terms."""
        return sorted({species[0] for species, _, _ in self.numbers})

    @functools.cached_property
    def mixed(self) -> bool:
        """Whether there are terms of several functions."""
        return any(len(set(functions)) > 1 for _, functions, _ in self.numbers)


# Interaction, cutoff, whether centers of all species have the same tables, and how many neighbors may be of
# any species.
Kind: TypeAlias = tuple[str, float, bool, int]


def columns_by_kind(terms: Sequence[Term], species: list[str]) -> dict[Kind, Columns]:
    """The columns that are computed together, those of centers of any species first."""
    columns: dict[Kind, Columns] = {}
    identity_of: dict[int, Any] = {}
    number = {symbol: index for index, symbol in enumerate(species)} | {ANY: ANY_SPECIES}
    for column, term in enumerate(terms):
        for function in term.radial:  # terms share their functions
            if id(function) not in identity_of:
                identity_of[id(function)] = type(function), function.kernel_parameters()
        center, *neighbors = term.species
        n_any = neighbors.count(ANY)
        # A pair has no center, so that one place for any species makes no difference.
        is_any = center == ANY and (term.interaction != TwoBody.kind or n_any == 1)
        kind = term.interaction, term.cutoff, is_any, n_any
        columns.setdefault(kind, Columns(term.cutoff)).add(
            column,
            term,
            tuple(number[symbol] for symbol in term.species),
            [identity_of[id(function)] for function in term.radial],
        )
    return dict(sorted(columns.items(), key=lambda item: not item[0][2]))
