"""From interactions to the flat arrays that the compiled kernels read.

Every column is a polynomial in moments of the neighborhood of an atom i,

    M_a^alpha(i) = sum_j g_a(r_ij) B_alpha(u_ij),   u_ij the unit vector from i to j,

with one of two angular bases B (plip/_core/plip_angular.h). *Solid harmonics* R_lm, normalized so that

    P_l(cos(theta_jik)) = sum_m R_lm(u_ij) R_lm(u_ik),

serve the three-body interaction: 2 l + 1 numbers of each degree. Its columns in powers of the cosine follow
from those in Legendre polynomials by a fixed combination, taken when all sums over neighbors are
done. *Monomials* u^alpha = u_x^alpha_x u_y^alpha_y u_z^alpha_z serve the four-body interaction, whose
contractions are simple in them: cos^l(theta_jik) = sum_{|alpha| = l} l!/alpha! u_ij^alpha u_ik^alpha.

The derivative of a column with respect to one neighbor n of a center is a sum of products
``g_a(r) p(u)``, one for each arm that n can be, where the *field* p is a homogeneous
polynomial whose coefficients depend on the center alone:

| interaction | field of an arm | degree | arms k |
| --- | --- | --- | --- |
| two-body | 1/2 | 0 | 1 |
| three-body | sum_m M_b^lm R_lm(u), less the neighbor itself | l | 2 |
| N-body | m M_a^(m - 1) | 0 | m |
| its root | M_a^(-1/2) / 2, M_a a sum of g_a^2 | 0 | 1/2 |
| four-body | the tensors of the other two arms contracted with u | p + t, p + q, q + t | 3 |

Since a column is homogeneous of degree k in its arms, its value is 1/k times the sum
over arms and neighbors of ``g_a(r) p(u)``: the same tables serve values and derivatives.

The *state* of an atom holds its moments and the coefficients of its fields. Blocks of the
state have the function index last, padded to a multiple of the vector length of the kernels,
so that they run over whole vectors.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from plip._core import ANY, _rows
from plip._core._rows import (
    HARMONICS,
    MONOMIALS,
    angular_components,
    contraction,
    n_components,
    n_components_below,
)
from plip._types import FloatArray, Int32Array
from plip.interactions import Term
from plip.interactions._four_body import FourBody, arm_permutations
from plip.interactions._n_body import NBody
from plip.interactions._three_body import ThreeBody
from plip.interactions._two_body import TwoBody
from plip.radial import RadialFamily

__all__ = ["CACHE_LINE", "Plan", "build_plan"]

# Numbers in a line of the cache.
CACHE_LINE = 8
# Number of any species in the tables by species; the last one in C.
ANY_SPECIES = -1
# Of the four-body interaction: 480 MB, and some ten milliseconds for each atom.
MAX_PRODUCTS = 20_000_000
# Sums of products that fit the fastest cache for several atoms at a time.
_TILE = 256

Table: TypeAlias = NDArray[np.void]
Rank: TypeAlias = tuple[int, ...]
# Numbers of the species and of the function of an arm.
Arm: TypeAlias = tuple[int, int]
# The arm of a field that is open.
_OPEN: Arm = (-1, -1)
# Column, degree, field, function, coefficient.
Entry: TypeAlias = tuple[int, int, int, int, float]
# Column, two places, coefficient: the fields of `plip_contribution`.
Contribution: TypeAlias = tuple[int, tuple[int, int], float]
# Summands of each rank, as `contraction` gives them.
Contractions: TypeAlias = dict[Rank, Table]
# Rank, arms with `_OPEN` for the open one, number of the open arm.
Field: TypeAlias = tuple[Rank, tuple[Arm, ...], int]


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


def arm_degrees(rank: Rank) -> tuple[int, int, int]:
    """Degrees of the moments of the three arms of a four-body term."""
    p, q, t = rank
    return p + t, p + q, q + t


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
class _Group:
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


class _FourBodyFields:
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


class _Columns:
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


def _columns_by_kind(terms: Sequence[Term], species: list[str]) -> dict[Kind, _Columns]:
    """The columns that are computed together, those of centers of any species first."""
    columns: dict[Kind, _Columns] = {}
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
        columns.setdefault(kind, _Columns(term.cutoff)).add(
            column,
            term,
            tuple(number[symbol] for symbol in term.species),
            [identity_of[id(function)] for function in term.radial],
        )
    return dict(sorted(columns.items(), key=lambda item: not item[0][2]))


class _Builder:
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
        self.groups: dict[tuple[int, int], list[_Group]] = {
            pair: [] for pair in itertools.product(self.labels, repeat=2)
        }
        self.contributions: list[Contribution] = []
        # By species of the center. Place in the state of the moments by neighbor species and function set.
        self.moments: list[dict[tuple[int, int], int]] = [{} for _ in self.labels]
        self.powers: list[list[tuple[int, ...]]] = [[] for _ in self.labels]
        self.products: list[list[Table]] = [[] for _ in self.labels]
        self.monomial_weights = np.zeros(0)
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

    def add_group(self, center: int, neighbor: int, group: _Group, entries: list[Entry]) -> None:
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

    def shape_of_sums(self, group: _Group) -> tuple[int, int]:
        """Number and length of the rows of sums of one degree, as in plip_rows_plan.h."""
        if group.outer:
            return len(self.sets[group.set].functions), self.padded(3 * group.count)
        return 1, 3 * self.padded(group.count)

    def allocate_halves(self, most_functions: int) -> None:
        """Allocate the constant fields of the two-body interaction."""
        self.n_halves = self.padded(most_functions)
        self.halves = self.allocate(ANY_SPECIES, self.n_halves)

    def add_two_body(self, columns: _Columns, n_any: int) -> None:
        index = self.add_set(columns.functions, columns.cutoff, 0)
        count = len(columns.functions)
        for s, t in [(ANY_SPECIES, ANY_SPECIES)] if n_any else self.pairs:
            moments = self.add_moments(s, t, index)
            # With one place for any species, either atom of a pair may be at the other place.
            labels = [(s, t)] if n_any else [(min(s, t), max(s, t)), (ANY_SPECIES, s), (ANY_SPECIES, t)]
            entries = [
                entry
                for label in labels
                for a in range(count)
                for entry in columns.entries(label, (a,), None, 0, a, a)
            ]
            group = _Group(index, 0, 0, self.halves, count, False, False, moments, 1)
            self.add_group(s, t, group, entries)

    def add_three_body(self, columns: _Columns, n_any: int) -> None:
        max_power, count, mixed = max(columns.powers), len(columns.functions), columns.mixed
        index = self.add_set(columns.functions, columns.cutoff, max_power)
        blind = n_any == 2
        for s in columns.centers:
            arms = [ANY_SPECIES] if blind else list(range(self.n_species))
            moments = {t: self.add_moments(s, t, index) for t in arms}
            # The arm t, along which the fields of the other arm act.
            for t, other in itertools.product(arms, repeat=2):
                group = _Group(index, 0, max_power, moments[other], count, mixed, t == other, moments[t], 2)
                self.add_group(s, t, group, self._three_body_entries(columns, n_any, s, t, other))

    @staticmethod
    def _three_body_entries(columns: _Columns, n_any: int, center: int, arm: int, other: int) -> list[Entry]:
        """Entries of a group: field b of the other arm with function a of the arm.

        With one arm to any species, either arm may be that one.
        """
        entries: list[Entry] = []
        for power in range(max(columns.powers) + 1):
            for a, b in itertools.product(range(len(columns.functions)), repeat=2):
                if not columns.mixed and a != b:
                    continue
                if n_any == 1:
                    labels = [((ANY_SPECIES, other), (a, b)), ((ANY_SPECIES, arm), (b, a))]
                elif arm == other:
                    labels = [((arm, other), functions) for functions in sorted({(a, b), (b, a)})]
                else:
                    labels = [((arm, other), (a, b)) if arm < other else ((other, arm), (b, a))]
                for arms, functions in labels:
                    entries += columns.entries((center, *arms), functions, power, power, b, a)
        return entries

    def add_n_body(self, columns: _Columns, n_any: int) -> None:
        if n_any or ANY_SPECIES in columns.centers:
            self._check_switches(columns)
        count = len(columns.functions)
        neighbors = [ANY_SPECIES] if n_any else list(range(self.n_species))
        for s, t in itertools.product(columns.centers, neighbors):
            for power in columns.powers:
                is_root = power == NBody.root
                index = self.add_set(
                    columns.functions, columns.cutoff, 0, columns.switches, is_squared=is_root
                )
                moments = self.add_moments(s, t, index)
                arms = _rows.ROOT if is_root else power
                state = self.allocate(s, self.padded(count))
                self.powers[s].append((moments, state, self.padded(count), arms))
                entries = [
                    entry for a in range(count) for entry in columns.entries((s, t), (a,), power, 0, a, a)
                ]
                group = _Group(index, 0, 0, state, count, False, False, moments, arms)
                self.add_group(s, t, group, entries)

    @staticmethod
    def _check_switches(columns: _Columns) -> None:
        n_labels = len({species for species, _, _ in columns.numbers})
        if len(set(columns.switches.values())) > 1 or len(columns.switches) not in (0, n_labels):
            raise ValueError("N-body terms of any species must have one switch in common, or none")

    def add_four_body(self, columns: _Columns, n_any: int) -> None:
        max_degree = max(max(arm_degrees(rank)) for rank in columns.powers)
        index = self.add_set(columns.functions, columns.cutoff, max_degree, basis=MONOMIALS)
        contractions = {rank: contraction(rank) for rank in columns.powers}
        self.monomial_weights = angular_components((max_degree, -1))["weight"]
        arms = [t for t in self.labels if (n_any > 0 if t == ANY_SPECIES else n_any < 3)]
        for s, of_center in self._four_body_fields(columns, contractions).items():
            moments = {t: self.add_moments(s, t, index) for t in arms}
            for degree, members in sorted(of_center.by_degree.items()):
                width = self.padded(len(members))
                state = self.allocate(s, n_components(MONOMIALS, degree) * width)
                self._add_products(s, index, contractions, members, state, width)
                for t in arms:
                    entries = of_center.entries(degree, t)
                    if entries:
                        place = moments[t] + n_components_below(MONOMIALS, degree) * self.width(index)
                        group = _Group(index, degree, degree, state, len(members), True, False, place, 3)
                        self.add_group(s, t, group, entries)

    def _four_body_fields(self, columns: _Columns, contractions: Contractions) -> dict[int, _FourBodyFields]:
        """The fields of centers of each species."""
        fields_of = {center: _FourBodyFields() for center in columns.centers}
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
        self,
        center: int,
        index: int,
        contractions: Contractions,
        members: Sequence[Field],
        state: int,
        width: int,
    ) -> None:
        """Fields of one degree as products of moments of the two arms that are not open.

        The coefficients of field number n stand at every `width`-th place from `state` + n on.
        """
        alike: dict[tuple[Rank, int], list[tuple[int, ...]]] = {}
        for number, (rank, arms, open_arm) in enumerate(members):
            places = [self.moments[center][t, index] + a for t, a in arms[:open_arm] + arms[open_arm + 1 :]]
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
                products[operand] = place + (first + summands["abc"[k]]) * self.width(index)
            # The weights of the open arm are multiplied in when fields are contracted with moments.
            first = n_components_below(MONOMIALS, degrees[open_arm])
            products["weight"] = summands["coefficient"] / self.monomial_weights[first + components]
            self.products[center].append(products.ravel())

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


def build_plan(terms: Sequence[Term], species: Sequence[str], vector_length: int) -> Plan:
    """Tables of the kernels for terms.

    Parameters
    ----------
    terms : sequence of Term
        All columns, in order.
    species : sequence of str
        Chemical symbols, sorted.
    vector_length : int
        What the kernels pad blocks of functions and fields to.

    Returns
    -------
    Plan
    """
    by_kind = _columns_by_kind(terms, list(species))
    builder = _Builder(len(species), vector_length, any(ANY in term.species for term in terms))
    pairs = [columns for (kind, *_), columns in by_kind.items() if kind == TwoBody.kind]
    if pairs:
        builder.allocate_halves(max(len(columns.functions) for columns in pairs))
    add = {
        TwoBody.kind: builder.add_two_body,
        ThreeBody.kind: builder.add_three_body,
        NBody.kind: builder.add_n_body,
        FourBody.kind: builder.add_four_body,
    }
    for (kind, _, _, n_any), columns in by_kind.items():
        add[kind](columns, n_any)
    missing = set(range(len(terms))) - {column for column, *_ in builder.contributions}
    if missing:
        raise ValueError(f"the species of a term are not in order: {terms[min(missing)].name}")
    return builder.plan(len(terms))
