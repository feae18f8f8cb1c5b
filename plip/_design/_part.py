"""The columns that structures of some species need, and what they stand for among those of all species."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from plip._core import ANY
from plip._types import FloatArray, IntArray
from plip.interactions import Term
from plip.interactions._n_body import NBody
from plip.interactions._two_body import TwoBody
from plip.radial import RadialFamily

__all__ = ["Placement", "of_one_species"]


class Placement(NamedTuple):
    """Where the columns of a part stand among those of a whole: several may be multiples of the same.

    Attributes
    ----------
    columns : ndarray of int, shape (n,)
        Numbers in the whole, ascending; all others are zero.
    sources : ndarray of int, shape (n,)
        The column of the part that each of them is a multiple of.
    factors : ndarray of float64, shape (n,)
        The multiples.
    """

    columns: IntArray
    sources: IntArray
    factors: FloatArray

    @classmethod
    def of(cls, columns: IntArray) -> Placement:
        """That of a part with just these columns."""
        return cls(columns, np.arange(len(columns)), np.ones(len(columns)))

    def followed_by(self, column: int, source: int) -> Placement:
        """The same with one more column behind all others."""
        return Placement(
            np.append(self.columns, column), np.append(self.sources, source), np.append(self.factors, 1.0)
        )

    def widened(self, rows: FloatArray, width: int) -> FloatArray:
        """Rows of the part, (n_rows, n_columns of it), as rows of the whole, (n_rows, width)."""
        wide = np.zeros((len(rows), width))
        wide[:, self.columns] = rows[:, self.sources] * self.factors
        return wide

    def gathered(self, coef: FloatArray, n_columns: int) -> FloatArray:
        """Coefficients of all columns as those of the part, (n_columns,)."""
        gathered = np.zeros(n_columns)
        np.add.at(gathered, self.sources, self.factors * coef[self.columns])
        return gathered


def of_one_species(terms: Sequence[Term], symbol: str) -> tuple[list[Term], IntArray, FloatArray]:
    """Different terms that are left where all atoms are of one species, which stands for "*".

    Returns
    -------
    different : list of Term
        In the order in which they first occur.
    sources : ndarray of int, shape (n_terms,)
        The one that each of the terms is a multiple of.
    factors : ndarray of float64, shape (n_terms,)
        The multiples.
    """
    different: list[Term] = []
    places: dict[tuple[Hashable, ...], int] = {}
    functions: dict[RadialFamily, int] = {}
    # Terms share their functions, whose hashes take longer than all else.
    number_of: dict[int, int] = {}
    sources, factors = np.zeros(len(terms), int), np.ones(len(terms))
    has_one_switch = _has_one_switch(terms)
    for k, term in enumerate(terms):
        if term.interaction == TwoBody.kind and term.species.count(ANY) == 1:
            # Of a pair, either atom may be the one of any species.
            factors[k] = 2.0
        # Arms that differ have other sums over pairs of neighbors.
        are_alike = term.species[-len(term.radial) :].count(ANY) in (0, len(term.radial))
        is_resolved = are_alike and (term.interaction != NBody.kind or has_one_switch)
        species = (symbol,) * len(term.species) if is_resolved else term.species
        for function in term.radial:
            if id(function) not in number_of:
                number_of[id(function)] = functions.setdefault(function, len(functions))
        numbers = [number_of[id(function)] for function in term.radial]
        key = term.interaction, species, *numbers, term.power, term.cutoff, term.switch
        if key not in places:
            places[key] = len(different)
            different.append(dataclasses.replace(term, species=species))
        sources[k] = places[key]
    return different, sources, factors


def _has_one_switch(terms: Sequence[Term]) -> bool:
    """Whether all densities are switched on at the same distance, as those of the same species must be."""
    return len({term.switch for term in terms if term.interaction == NBody.kind}) <= 1
