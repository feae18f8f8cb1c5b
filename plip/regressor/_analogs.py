"""Pairs of species that no structure holds together: what is particular about them follows from their twins.

A fit to alloys of Mo and Nb, and of Nb and Ta, knows nothing of the heat that Mo and Ta give off when they
mix. Neighbors in one group of the periodic table whose atoms have the same size are chemical twins, such as
Nb and Ta, Zr and Hf, or Pd and Pt. What makes Mo-Nb more than Mo among its own kind and Nb among its own is
thus taken for Mo-Ta too. `doc/accuracy_notes.rst` gives the measurements.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from ase.data import atomic_numbers, covalent_radii

from plip._core import ANY
from plip._types import FloatArray
from plip.interactions import Term

__all__ = ["find_analogs", "with_analogs"]

# Largest difference of the covalent radii of twins. That of Nb and Ta is 4 %, of Mo and W 5 %; that of Ag and
# Au, of which only one gives off heat when it mixes with Cu, is 7 %.
_SAME_SIZE = 0.055

_NOBLE_GASES = (0, 2, 10, 18, 36, 54, 86, 118)


def _period(symbol: str) -> int:
    number = atomic_numbers[symbol]
    return next(n for n, last in enumerate(_NOBLE_GASES) if number <= last)


def _group(symbol: str) -> int:
    """Group of the periodic table, 1 to 18; the lanthanides and actinides count as 3."""
    period = _period(symbol)
    last, length = _NOBLE_GASES[period], _NOBLE_GASES[period] - _NOBLE_GASES[period - 1]
    from_end = last - atomic_numbers[symbol]
    place = length - from_end
    if (from_end < 6 and period > 1) or from_end == 0:
        return 18 - from_end
    return place if place <= 3 or length == 18 else max(3, 18 - from_end)


def _are_twins(first: str, second: str) -> bool:
    if first == second:
        return True
    sizes = sorted(covalent_radii[atomic_numbers[symbol]] for symbol in (first, second))
    return (
        _group(first) == _group(second)
        and abs(_period(first) - _period(second)) <= 1
        and bool(sizes[1] <= (1.0 + _SAME_SIZE) * sizes[0])
    )


def find_analogs(
    shortest_distances: Mapping[tuple[str, str], float],
) -> dict[tuple[str, str], tuple[str, str] | None]:
    """Pairs of unlike species without data, and a pair of their twins that has data.

    Parameters
    ----------
    shortest_distances : dict of (str, str) to float
        Shortest distance of each pair of species, infinite for those that never come within the cutoff.

    Returns
    -------
    dict of (str, str) to (str, str) or None
        Species of the second pair are in the order of their twins in the first; None if there is none.
    """
    seen = {pair for pair, distance in shortest_distances.items() if math.isfinite(distance)}
    species = sorted({symbol for pair in shortest_distances for symbol in pair})
    analogs: dict[tuple[str, str], tuple[str, str] | None] = {}
    for pair in shortest_distances:
        if pair in seen or pair[0] == pair[1]:
            continue
        twins = [
            other
            for other in itertools.permutations(species, 2)
            if tuple(sorted(other)) in seen and all(map(_are_twins, pair, other))
        ]
        # One that shares a species is nearer than one that does not.
        analogs[pair] = max(twins, key=lambda other: len({*pair} & {*other}), default=None)
    return analogs


def with_analogs(
    coef: FloatArray,
    terms: Sequence[Term],
    analogs: Mapping[tuple[str, str], tuple[str, str] | None],
) -> FloatArray:
    """Coefficients in which the terms of pairs without data have those of their analogs.

    Parameters
    ----------
    coef : ndarray of float64, shape (n_terms,)
        Zero for all terms of pairs without data.
    terms : sequence of Term
        Columns.
    analogs : dict
        As from `find_analogs`.

    Returns
    -------
    ndarray of float64, shape (n_terms,)
        What other terms share has its effect without this: only if there are terms of any species are the
        particular terms what is left beyond them. Else `coef` is returned.
    """
    if not any(analogs.values()) or not any(ANY in term.species for term in terms):
        return coef
    place = {term: n for n, term in enumerate(terms)}
    completed = coef.copy()
    for pair, analog in analogs.items():
        if analog is None:
            continue
        twin = dict(zip(analog, pair, strict=True)) | {ANY: ANY}
        for n in np.flatnonzero(coef).tolist():
            if set(terms[n].species) - {ANY} == set(analog):
                other = place.get(_renamed(terms[n], twin))
                if other is not None:
                    completed[other] = coef[n]
    return completed


def _renamed(term: Term, names: Mapping[str, str]) -> Term:
    """The term of other species, which are sorted as in every term of its interaction."""
    species = tuple(names[symbol] for symbol in term.species)
    if term.interaction == "two-body":
        species = tuple(sorted(species))
    elif term.interaction == "three-body":
        first, second = sorted((1, 2), key=lambda place: species[place])
        species = (species[0], species[first], species[second])
        return replace(term, species=species, radial=(term.radial[first - 1], term.radial[second - 1]))
    return replace(term, species=species)
