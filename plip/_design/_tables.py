"""The tables that the compiled kernels read: function sets, places in the state of an atom, sums and columns.

They know no interaction; `plip._design._plan` fills them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from plip._core import _rows
from plip._core._rows import HARMONICS, MONOMIALS, n_components_below
from plip._types import FloatArray, Int32Array
from plip.radial import RadialFamily

__all__ = ["ANY_SPECIES", "CACHE_LINE", "Entry", "Group", "Plan", "Table", "Tables"]

# Numbers in a line of the cache.
CACHE_LINE = 8
# Number of any species in the tables by species; the last one in C.
ANY_SPECIES = -1
# Sums of products that fit the fastest cache for several atoms at a time.
_TILE = 256

Table: TypeAlias = NDArray[np.void]
# Column, degree, field, function, coefficient.
Entry: TypeAlias = tuple[int, int, int, int, float]
# Column, two places, coefficient: the fields of `plip_contribution`.
Contribution: TypeAlias = tuple[int, tuple[int, int], float]


@dataclass(frozen=True)
class Plan:
    """The tables of the kernels. The structs of plip/_core/plip_rows.h, which are their dtypes, explain them.

    Attributes
    ----------
    n_terms, n_species, n_labels : int
        Numbers of columns and of species; with terms of any species, `n_labels` is one more than `n_species`.
    state_size : int
        Numbers of the state of an atom.
    n_halves : int
        Numbers of the constant field of the two-body interaction.
    max_degree : tuple of two int
        Highest degree of the monomials and of the harmonics; -1 for none.
    cutoffs : ndarray of float64, shape (n_cutoffs,)
        Ascending, in Angstrom.
    sets : ndarray of plip_function_set, shape (n_sets,)
        Sets of radial functions that share a cutoff.
    switches : ndarray of float64, shape (n_sets, n_labels, n_labels)
        Shortest distances in Angstrom for the switch of a density; 0 for no switch.
    families, p, q : ndarray of int32 and float64, shape (n_functions,)
        The radial functions and their parameters. Sets are padded to whole vectors, with -1 and zeros.
    centers : ndarray of plip_center_tables, shape (n_labels,)
        Moments, powers and products of centers of each species.
    groups_of : ndarray of plip_range, shape (n_labels, n_labels)
        Groups by the species of center and neighbor.
    moments : ndarray of plip_moments, shape (n_moments,)
        Moments of a function set over the neighbors of one species.
    powers : ndarray of plip_power, shape (n_powers,)
        Fields of the N-body interaction.
    products : ndarray of plip_product, shape (n_products,)
        Fields of the four-body interaction.
    groups : ndarray of plip_group, shape (n_groups,)
        Fields of one arm that are evaluated together.
    contributions : ndarray of plip_contribution, shape (n_contributions,)
        What sums of the groups contribute to the columns.
    """

    n_terms: int
    n_species: int
    n_labels: int
    state_size: int
    n_halves: int
    max_degree: tuple[int, ...]
    cutoffs: FloatArray
    sets: Table
    switches: FloatArray
    families: Int32Array
    p: FloatArray
    q: FloatArray
    centers: Table
    groups_of: Table
    moments: Table
    powers: Table
    products: Table
    groups: Table
    contributions: Table

    def __post_init__(self) -> None:
        # The kernels check the tables once, and trust them from then on.
        for field in fields(self):
            if isinstance(table := getattr(self, field.name), np.ndarray):
                table.flags.writeable = False


@dataclass
class _FunctionSet:
    """Radial functions that share a cutoff."""

    functions: list[RadialFamily]
    cutoff: float
    max_degree: int
    basis: int
    switch: FloatArray
    is_squared: bool = False

    def __post_init__(self) -> None:
        self.identity = [(type(function), function.kernel_parameters()) for function in self.functions]

    def serves(self, other: _FunctionSet) -> bool:
        """Whether the moments of another set are among those of this one."""
        return (
            (self.identity, self.cutoff, self.basis) == (other.identity, other.cutoff, other.basis)
            and self.is_squared == other.is_squared
            and self.max_degree >= other.max_degree
            and np.array_equal(self.switch, other.switch)
        )


@dataclass
class Group:
    """Fields of one arm that are evaluated together; the columns of `plip_group` by their names."""

    set: int
    lowest: int
    highest: int
    state: int
    count: int
    outer: bool
    has_own: bool
    moments: int
    arms: int
    contributions: tuple[int, int] = (0, 0)


class Tables:
    """Collects the tables while interactions are added one after the other.

    Tables by species have an entry for centers or neighbors of any species, too, if a term needs it: it is
    the last one, number `ANY_SPECIES`.
    """

    def __init__(self, n_species: int, vector_length: int, has_any: bool) -> None:
        self.n_species = n_species
        self.labels = [*range(n_species), *([ANY_SPECIES] if has_any else [])]
        self.vector_length = vector_length
        self.sets: list[_FunctionSet] = []
        self.pairs = list(itertools.product(range(n_species), repeat=2))
        self.groups: dict[tuple[int, int], list[Group]] = {
            pair: [] for pair in itertools.product(self.labels, repeat=2)
        }
        self.contributions: list[Contribution] = []
        # By species of the center. Place in the state of the moments by neighbor species and function set.
        self.moments: list[dict[tuple[int, int], int]] = [{} for _ in self.labels]
        self.powers: list[list[tuple[int, ...]]] = [[] for _ in self.labels]
        self.products: list[list[Table]] = [[] for _ in self.labels]
        # The state begins with what centers of all species have.
        self.common_size = 0
        self.own_size = [0] * n_species
        self.halves = 0
        self.n_halves = 0

    def padded(self, count: int) -> int:
        """The smallest number of whole vectors that holds `count`."""
        return -(-count // self.vector_length) * self.vector_length

    def width(self, index: int) -> int:
        """Number of functions of a set, padded."""
        return self.padded(len(self.sets[index].functions))

    def allocate(self, center: int, length: int) -> int:
        """The place of `length` numbers more in the state of a center."""
        if center == ANY_SPECIES:
            assert not any(self.own_size)  # what is common must be known first
            place = self.common_size
            self.common_size += length
        else:
            place = self.common_size + self.own_size[center]
            self.own_size[center] += length
        return place

    def add_set(
        self,
        functions: list[RadialFamily],
        cutoff: float,
        max_degree: int,
        switches: dict[tuple[int, ...], float] | None = None,
        basis: int = HARMONICS,
        is_squared: bool = False,
    ) -> int:
        """Index of a function set, which may be one that is known."""
        switch = np.zeros((len(self.labels), len(self.labels)))
        for pair, value in (switches or {}).items():
            if ANY_SPECIES in pair:
                switch[:] = value
            else:
                switch[pair] = switch[pair[::-1]] = value
        wanted = _FunctionSet(functions, cutoff, max_degree, basis, switch, is_squared)
        for index, known in enumerate(self.sets):
            if known.serves(wanted):
                return index
        self.sets.append(wanted)
        return len(self.sets) - 1

    def add_moments(self, center: int, neighbor: int, index: int) -> int:
        """Place of the moments of a function set in the state of a center."""
        known = self.moments[center]
        if (neighbor, index) not in known:
            count = n_components_below(self.sets[index].basis, self.sets[index].max_degree + 1)
            common = self._common_moments().get((neighbor, index))
            known[neighbor, index] = (
                self.allocate(center, count * self.width(index)) if common is None else common
            )
        return known[neighbor, index]

    def _common_moments(self) -> dict[tuple[int, int], int]:
        """Those that centers of all species have."""
        return self.moments[ANY_SPECIES] if ANY_SPECIES in self.labels else {}

    def add_group(self, center: int, neighbor: int, group: Group, entries: list[Entry]) -> None:
        """Add a group of fields; `entries` are (column, degree, field, function, coefficient).

        Groups without entries, those of species without terms, are left out.
        """
        if not entries:
            return
        begin = len(self.contributions)
        rows, row = self.shape_of_sums(group)
        places: dict[tuple[int, float], list[int]] = {}
        for column, degree, field, function, coefficient in entries:
            place = ((degree - group.lowest) * rows + (function if group.outer else 0)) * row + field
            places.setdefault((column, coefficient), []).append(place)
        for (column, coefficient), found in places.items():
            self.contributions += _in_pairs(column, coefficient, found)
        group.contributions = (begin, len(self.contributions))
        self.groups[center, neighbor].append(group)

    def shape_of_sums(self, group: Group) -> tuple[int, int]:
        """Number and length of the rows of sums of one degree, as in plip_rows_plan.h."""
        if group.outer:
            return len(self.sets[group.set].functions), self.padded(3 * group.count)
        return 1, 3 * self.padded(group.count)

    def allocate_halves(self, most_functions: int) -> None:
        """Allocate the constant fields of the two-body interaction."""
        self.n_halves = self.padded(most_functions)
        self.halves = self.allocate(ANY_SPECIES, self.n_halves)

    def plan(self, n_terms: int) -> Plan:
        """The tables as the kernels take them."""
        cutoffs = sorted({of_set.cutoff for of_set in self.sets})
        max_degree = tuple(
            max((of_set.max_degree for of_set in self.sets if of_set.basis == basis), default=-1)
            for basis in (MONOMIALS, HARMONICS)
        )
        moments, places_of_own = self._moment_tables()
        groups, groups_of = self._group_tables(places_of_own)
        products = [_interleaved(of_center) for of_center in self.products]
        ranges = [_ranges(map(len, tables)) for tables in (self.moments, self.powers, products)]
        return Plan(
            n_terms=n_terms,
            n_species=self.n_species,
            n_labels=len(self.labels),
            state_size=-(-(self.common_size + max(self.own_size)) // CACHE_LINE) * CACHE_LINE,
            n_halves=self.n_halves,
            max_degree=max_degree,
            cutoffs=np.array(cutoffs, np.float64),
            sets=self._set_table(cutoffs),
            switches=np.array([of_set.switch for of_set in self.sets], np.float64),
            **self._function_tables(),
            centers=np.array(
                [(*of_center, self.halves) for of_center in zip(*ranges, strict=True)], _rows.CENTER
            ),
            groups_of=np.array(groups_of, _rows.RANGE).reshape(len(self.labels), len(self.labels)),
            moments=np.array(moments, _rows.MOMENTS),
            powers=np.array(list(itertools.chain(*self.powers)), _rows.POWER),
            products=np.concatenate(products, dtype=_rows.PRODUCT),
            groups=np.array(groups, _rows.GROUP),
            contributions=np.array(self.contributions, _rows.CONTRIBUTION),
        )

    def _set_table(self, cutoffs: list[float]) -> Table:
        rows: list[tuple[Any, ...]] = []
        first = 0
        for index, of_set in enumerate(self.sets):
            cutoff = cutoffs.index(of_set.cutoff)
            rows.append(
                (first, len(of_set.functions), cutoff, of_set.max_degree, of_set.basis, of_set.is_squared)
            )
            first += self.width(index)
        return np.array(rows, _rows.FUNCTION_SET)

    def _function_tables(self) -> dict[str, NDArray[Any]]:
        families: list[int] = []
        parameters: list[tuple[float, float]] = []
        for index, of_set in enumerate(self.sets):
            n_missing = self.width(index) - len(of_set.functions)
            families += [function.code for function in of_set.functions] + [-1] * n_missing
            parameters += [function.kernel_parameters() for function in of_set.functions]
            parameters += [(0.0, 0.0)] * n_missing
        p, q = np.array(parameters, np.float64).T.copy()
        return {"families": np.array(families, np.intc), "p": p, "q": q}

    def _moment_tables(self) -> tuple[list[tuple[int, ...]], dict[tuple[int, int, int], int]]:
        """The rows of the table, and {(center, neighbor, function set): place of the own sums}."""
        has_own = {
            (*pair, group.set) for pair, groups in self.groups.items() for group in groups if group.has_own
        }
        common = self._common_moments()
        # Whoever computes moments computes those without a dominant neighbor, too.
        has_own |= {(ANY_SPECIES, t, index) for _, t, index in has_own if (t, index) in common}
        rows: list[tuple[int, ...]] = []
        places: dict[tuple[int, int, int], int] = {}
        n_own = 0
        for center, moments in zip(self.labels, self.moments, strict=True):
            for (neighbor, index), state in moments.items():
                if center != ANY_SPECIES and (neighbor, index) in common:
                    state = _rows.COMMON
                own = -1
                if (center, neighbor, index) in has_own:
                    own = places[center, neighbor, index] = n_own
                    n_own += self.width(index) ** 2
                rows.append((neighbor % len(self.labels), index, state, own))
        return rows, places

    def _group_tables(
        self, places_of_own: dict[tuple[int, int, int], int]
    ) -> tuple[list[tuple[Any, ...]], list[tuple[int, int]]]:
        rows: list[tuple[Any, ...]] = []
        n_sums: int = 0
        for pair in self.groups:
            for group in self.groups[pair]:
                own = places_of_own[(*pair, group.set)] if group.has_own else -1
                rows.append(
                    (
                        group.set,
                        group.lowest,
                        group.highest,
                        group.state,
                        group.count,
                        group.outer,
                        own,
                        group.moments,
                        group.arms,
                        group.contributions,
                        n_sums,
                    )
                )
                n_sums += (group.highest - group.lowest + 1) * math.prod(self.shape_of_sums(group))
        return rows, _ranges(map(len, self.groups.values()))


def _in_pairs(column: int, coefficient: float, places: list[int]) -> Iterator[Contribution]:
    """Contributions with the same coefficient, two at a time. A single one at the end is taken twice."""
    for k in range(0, len(places) - 1, 2):
        yield column, (places[k], places[k + 1]), coefficient
    if len(places) % 2:
        yield column, (places[-1], places[-1]), coefficient / 2.0


def _interleaved(parts: list[Table]) -> Table:
    """The products of all fields in an order in which those that follow each other have different targets.

    A processor waits for a sum before it adds to it again. `_TILE` targets stay close at hand.
    """
    products = np.concatenate([np.zeros(0, _rows.PRODUCT), *parts], dtype=_rows.PRODUCT)
    products = products[np.argsort(products["target"], kind="stable")]
    target = products["target"]
    _, first, number = np.unique(target, return_index=True, return_inverse=True)
    turn = np.arange(len(target)) - first[number]
    return products[np.lexsort((target, turn, number // _TILE))]


def _ranges(lengths: Iterable[int]) -> list[tuple[int, int]]:
    """(begin, end) of each of several tables that are put one behind the other."""
    ends = list(itertools.accumulate(lengths))
    return list(zip([0, *ends[:-1]], ends, strict=True))
