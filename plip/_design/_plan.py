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

import itertools
from collections.abc import Sequence

from plip._core import ANY, _rows
from plip._design._columns import Columns, columns_by_kind
from plip._design._four_body import add_four_body
from plip._design._tables import ANY_SPECIES, Entry, Group, Plan, Tables
from plip.interactions import Term
from plip.interactions._four_body import FourBody
from plip.interactions._n_body import NBody
from plip.interactions._three_body import ThreeBody
from plip.interactions._two_body import TwoBody

__all__ = ["build_plan"]


def _add_two_body(tables: Tables, columns: Columns, n_any: int) -> None:
    index = tables.add_set(columns.functions, columns.cutoff, 0)
    count = len(columns.functions)
    for s, t in [(ANY_SPECIES, ANY_SPECIES)] if n_any else tables.pairs:
        moments = tables.add_moments(s, t, index)
        # With one place for any species, either atom of a pair may be at the other place.
        labels = [(s, t)] if n_any else [(min(s, t), max(s, t)), (ANY_SPECIES, s), (ANY_SPECIES, t)]
        entries = [
            entry
            for label in labels
            for a in range(count)
            for entry in columns.entries(label, (a,), None, 0, a, a)
        ]
        group = Group(index, 0, 0, tables.halves, count, False, False, moments, 1)
        tables.add_group(s, t, group, entries)


def _add_three_body(tables: Tables, columns: Columns, n_any: int) -> None:
    max_power, count, mixed = max(columns.powers), len(columns.functions), columns.mixed
    index = tables.add_set(columns.functions, columns.cutoff, max_power)
    blind = n_any == 2
    for s in columns.centers:
        arms = [ANY_SPECIES] if blind else list(range(tables.n_species))
        moments = {t: tables.add_moments(s, t, index) for t in arms}
        # The arm t, along which the fields of the other arm act.
        for t, other in itertools.product(arms, repeat=2):
            group = Group(index, 0, max_power, moments[other], count, mixed, t == other, moments[t], 2)
            tables.add_group(s, t, group, _three_body_entries(columns, n_any, s, t, other))


def _three_body_entries(columns: Columns, n_any: int, center: int, arm: int, other: int) -> list[Entry]:
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


def _add_n_body(tables: Tables, columns: Columns, n_any: int) -> None:
    if n_any or ANY_SPECIES in columns.centers:
        _check_switches(columns)
    count = len(columns.functions)
    neighbors = [ANY_SPECIES] if n_any else list(range(tables.n_species))
    for s, t in itertools.product(columns.centers, neighbors):
        for power in columns.powers:
            is_root = power == NBody.root
            index = tables.add_set(columns.functions, columns.cutoff, 0, columns.switches, is_squared=is_root)
            moments = tables.add_moments(s, t, index)
            arms = _rows.ROOT if is_root else power
            state = tables.allocate(s, tables.padded(count))
            tables.powers[s].append((moments, state, tables.padded(count), arms))
            entries = [entry for a in range(count) for entry in columns.entries((s, t), (a,), power, 0, a, a)]
            group = Group(index, 0, 0, state, count, False, False, moments, arms)
            tables.add_group(s, t, group, entries)


def _check_switches(columns: Columns) -> None:
    n_labels = len({species for species, _, _ in columns.numbers})
    if len(set(columns.switches.values())) > 1 or len(columns.switches) not in (0, n_labels):
        raise ValueError("N-body terms of any species must have one switch in common, or none")


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
    by_kind = columns_by_kind(terms, list(species))
    tables = Tables(len(species), vector_length, any(ANY in term.species for term in terms))
    pairs = [columns for (kind, *_), columns in by_kind.items() if kind == TwoBody.kind]
    if pairs:
        tables.allocate_halves(max(len(columns.functions) for columns in pairs))
    add = {
        TwoBody.kind: _add_two_body,
        ThreeBody.kind: _add_three_body,
        NBody.kind: _add_n_body,
        FourBody.kind: add_four_body,
    }
    for (kind, _, _, n_any), columns in by_kind.items():
        add[kind](tables, columns, n_any)
    missing = set(range(len(terms))) - {column for column, *_ in tables.contributions}
    if missing:
        raise ValueError(f"the species of a term are not in order: {terms[min(missing)].name}")
    return tables.plan(len(terms))
