"""The four-body interaction in the tables of the kernels: its fields as products of moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from plip._core import _rows
from plip._core._rows import MONOMIALS, angular_components, contraction, n_components, n_components_below
from plip._design._columns import Columns
from plip._design._tables import ANY_SPECIES, Entry, Group, Table, Tables
from plip._types import FloatArray
from plip.interactions._four_body import arm_permutations

__all__ = ["add_four_body"]

# 480 MB, and some ten milliseconds for each atom.
MAX_PRODUCTS = 20_000_000

Rank: TypeAlias = tuple[int, ...]
# Numbers of the species and of the function of an arm.
Arm: TypeAlias = tuple[int, int]
# The arm of a field that is open.
_OPEN: Arm = (-1, -1)
# Summands of each rank, as `contraction` gives them.
Contractions: TypeAlias = dict[Rank, Table]
# Rank, arms with `_OPEN` for the open one, number of the open arm.
Field: TypeAlias = tuple[Rank, tuple[Arm, ...], int]


def arm_degrees(rank: Rank) -> tuple[int, int, int]:
    """Degrees of the moments of the three arms of a four-body term."""
    p, q, t = rank
    return p + t, p + q, q + t


class FourBodyFields:
    """The fields of the four-body columns of centers of one species.

    A field belongs to a rank and to three arms, (species, function) each. One of them is open: the arm to the
    neighbor at which the field acts. Columns share fields.

    Attributes
    ----------
    by_degree : dict
        Degree to the fields of that degree, (rank, arms, number of the open arm) each; that arm is `_OPEN`.
    """

    def __init__(self) -> None:
        self.by_degree: dict[int, list[Field]] = {}
        self._numbers: dict[tuple[Rank, tuple[Arm, ...]], int] = {}
        self._coefficients: dict[tuple[int, int], dict[tuple[int, int, int], float]] = {}

    def add_column(self, column: int, rank: Rank, arms: tuple[Arm, ...]) -> None:
        """Add the derivatives of a column, one for each arm."""
        for k, (species, function) in enumerate(arms):
            field = _with_open_arm(rank, arms, k)
            open_arm = field.index(_OPEN)
            degree = arm_degrees(rank)[open_arm]
            members = self.by_degree.setdefault(degree, [])
            if (rank, field) not in self._numbers:
                self._numbers[rank, field] = len(members)
                members.append((rank, field, open_arm))
            coefficients = self._coefficients.setdefault((degree, species), {})
            entry = column, self._numbers[rank, field], function
            coefficients[entry] = coefficients.get(entry, 0.0) + 1.0

    def entries(self, degree: int, species: int) -> list[Entry]:
        """The entries, as `add_group` takes them, of the fields of a degree and an arm to one species."""
        coefficients = self._coefficients.get((degree, species), {})
        return [
            (column, degree, field, function, coefficient)
            for (column, field, function), coefficient in coefficients.items()
        ]

    def n_products(self, contractions: Contractions) -> int:
        """How many products of moments the fields are made of."""
        return sum(len(contractions[rank]) for members in self.by_degree.values() for rank, *_ in members)


def _with_open_arm(rank: Rank, arms: tuple[Arm, ...], number: int) -> tuple[Arm, ...]:
    """The arms with one of them open, the same for all whose order the rank does not tell apart."""
    rest = [*arms]
    rest[number] = _OPEN
    return min([(rest[a], rest[b], rest[c]) for a, b, c in arm_permutations(rank)])


def add_four_body(tables: Tables, columns: Columns, n_any: int) -> None:
    """Add columns of which `n_any` arms are of any species."""
    max_degree = max(max(arm_degrees(rank)) for rank in columns.powers)
    index = tables.add_set(columns.functions, columns.cutoff, max_degree, basis=MONOMIALS)
    contractions = {rank: contraction(rank) for rank in columns.powers}
    weights = angular_components((max_degree, -1))["weight"]
    arms = [t for t in tables.labels if (n_any > 0 if t == ANY_SPECIES else n_any < 3)]
    for s, of_center in _fields_of_centers(columns, contractions).items():
        moments = {t: tables.add_moments(s, t, index) for t in arms}
        for degree, members in sorted(of_center.by_degree.items()):
            width = tables.padded(len(members))
            state = tables.allocate(s, n_components(MONOMIALS, degree) * width)
            _add_products(tables, s, index, contractions, weights, members, state, width)
            for t in arms:
                entries = of_center.entries(degree, t)
                if entries:
                    place = moments[t] + n_components_below(MONOMIALS, degree) * tables.width(index)
                    group = Group(index, degree, degree, state, len(members), True, False, place, 3)
                    tables.add_group(s, t, group, entries)


def _fields_of_centers(columns: Columns, contractions: Contractions) -> dict[int, FourBodyFields]:
    """The fields of centers of each species."""
    fields_of = {center: FourBodyFields() for center in columns.centers}
    for (species, functions, rank), column in columns.numbers.items():
        center, *arms = species
        fields_of[center].add_column(column, rank, tuple(zip(arms, functions, strict=True)))
    if sum(of_center.n_products(contractions) for of_center in fields_of.values()) > MAX_PRODUCTS:
        raise ValueError(
            f"the four-body interaction takes more than {MAX_PRODUCTS:,} products of moments per "
            "atom: give lower ranks, fewer radial functions or fewer species"
        )
    return fields_of


def _add_products(
    tables: Tables,
    center: int,
    index: int,
    contractions: Contractions,
    weights: FloatArray,
    members: Sequence[Field],
    state: int,
    width: int,
) -> None:
    """Fields of one degree as products of moments of the two arms that are not open.

    The coefficients of field number n stand at every `width`-th place from `state` + n on. `weights` are
    those of the monomials.
    """
    alike: dict[tuple[Rank, int], list[tuple[int, ...]]] = {}
    for number, (rank, arms, open_arm) in enumerate(members):
        places = [tables.moments[center][t, index] + a for t, a in arms[:open_arm] + arms[open_arm + 1 :]]
        alike.setdefault((rank, open_arm), []).append((number, *places))
    for (rank, open_arm), found in alike.items():
        summands, degrees = contractions[rank], arm_degrees(rank)
        numbers, *operands = np.array(found).T[:, :, None]
        products = np.zeros((len(found), len(summands)), _rows.PRODUCT)
        components = summands["abc"[open_arm]]
        products["target"] = state + numbers + components * width
        closed = [k for k in range(3) if k != open_arm]
        for operand, k, place in zip(("first", "second"), closed, operands, strict=True):
            first = n_components_below(MONOMIALS, degrees[k])
            products[operand] = place + (first + summands["abc"[k]]) * tables.width(index)
        # The weights of the open arm are multiplied in when fields are contracted with moments.
        first = n_components_below(MONOMIALS, degrees[open_arm])
        products["weight"] = summands["coefficient"] / weights[first + components]
        tables.products[center].append(products.ravel())
