"""Structures that occur twice, nearly twice, or in training and test data.

Candidates are found by their average minimum distances (Widdowson et al., MATCH Commun. Math. Comput.
Chem. 87, 529 (2022)): the mean over atoms of the distance to the k-th neighbor does not depend on the
order of atoms, on the choice of the cell or on its orientation, and changes by at most twice the largest
displacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from plip._places import with_places
from plip._structures._composition import formula_key
from plip._structures._neighbors import find_neighbors
from plip._types import FloatArray, IntArray
from plip.audit._report import Finding, name_places, numbered
from plip.labels import LabelledStructures

__all__ = ["find_duplicates", "find_leaks"]

# Angstrom. Reach and number of the neighbors that are compared.
_REACH, _NEIGHBORS = 5.0, 12
# Angstrom. Rounding of positions in files; root mean square displacement of near duplicates, which is less
# than what a snapshot moves in 5 fs at room temperature; radius of the search for candidates.
_SAME, _NEAR, _SEARCH = 1e-3, 0.02, 0.05
# A larger strain is meant.
_SAME_CELL = 2e-4
# One atom that moves is a calculation of force constants.
_MEANT = 3.5
# eV/atom. Energies of the same structure agree within this.
_SAME_ENERGY = 1e-3
# eV/atom. Nearly the same structures that differ by more tell a fit something.
_STEP = 0.01


@dataclass(frozen=True)
class _Pair:
    """Two structures that are the same (displacement 0) or nearly so."""

    first: int
    second: int
    displacement: float


def find_duplicates(data: LabelledStructures) -> list[Finding]:
    """Duplicates and near duplicates within data."""
    pairs = _pairs(data.structures, None)
    same = [pair for pair in pairs if pair.displacement <= _SAME]
    findings = []
    if same:
        families = _families(len(data), same)
        members = sorted(int(k) for family in families for k in family)
        findings.append(
            Finding(
                "duplicate",
                tuple(members),
                f"the same structures up to {_SAME:g} A, order of atoms and translation: "
                f"{_list(families)}{_contradictions(data, families)}",
                "Keep one of each: a duplicate counts twice, and cross-validation takes it for a test",
            )
        )
    near = [pair for pair in pairs if pair.displacement > _SAME and not _is_step(data, pair)]
    near = _unusual(data.structures, near)
    if near:
        families = _families(len(data), near)
        members = sorted(int(k) for family in families for k in family)
        closest = min(pair.displacement for pair in near)
        findings.append(
            Finding(
                "near duplicate",
                tuple(members),
                f"the same cell, and atoms that differ by less than {_NEAR:g} A (root mean square, at least "
                f"{closest:.4f} A): {_list(families)}{_contradictions(data, families)}",
                "Keep one of each",
            )
        )
    return findings


def _is_step(data: LabelledStructures, pair: _Pair) -> bool:
    """Whether the forces say that so small a displacement changes the energy much, as in stiff molecules."""
    if data.labels.energy is None or data.labels.forces is None:
        return False
    rows = [pair.first, pair.second]
    forces = [data.labels.forces[row] for row in rows]
    change = abs(float(np.subtract(*data.labels.energy[rows])))
    # The most that a displacement of this size makes of the larger of the forces.
    most = max((float(np.linalg.norm(force)) for force in forces if force is not None), default=0.0)
    most *= pair.displacement * np.sqrt(data.n_atoms[pair.first])
    return _STEP * float(data.n_atoms[pair.first]) < change <= most


def find_leaks(
    data: LabelledStructures, test: LabelledStructures, test_places: Sequence[str] | None
) -> list[Finding]:
    """Test structures that training data hold too."""
    n = len(data)
    pairs = _pairs([*data.structures, *test.structures], n)
    if not pairs:
        return []
    train = tuple(sorted({pair.first for pair in pairs}))
    tested = tuple(sorted({pair.second - n for pair in pairs}))
    same = sum(pair.displacement <= _SAME for pair in pairs)
    names = numbered(range(len(test))) if test_places is None else test_places
    examples = "; ".join(
        f"{names[pair.second - n]} of the test is {with_places(f'structure {pair.first}')}"
        for pair in pairs[:5]
    )
    return [
        Finding(
            "leak",
            train,
            f"test structures that are training structures up to {_NEAR:g} A: {same} pairs are the same, "
            f"{len(pairs) - same} nearly ({examples}); errors of the test are then those of the fit",
            "Leave them out of the test, or draw the test from the training data",
            "--test-fraction 0.1",
            test_structures=tested,
        )
    ]


def _pairs(structures: Sequence[Atoms], n_first: int | None) -> list[_Pair]:
    """Pairs that are the same or nearly so; of the first `n_first` structures with others, if given."""
    buckets: dict[tuple[bytes, bytes], list[int]] = {}
    for k, atoms in enumerate(structures):
        buckets.setdefault((formula_key(atoms), atoms.pbc.tobytes()), []).append(k)
    pairs = []
    for alike in buckets.values():
        members = _with_twin_cells(structures, alike)
        if len(members) < 2 or (n_first is not None and not min(members) < n_first <= max(members)):
            continue
        profiles = [_profile(structures[k]) for k in members]
        tree = cKDTree(np.array([profile.mean(axis=0) for profile in profiles]))
        found = tree.query_pairs(_SEARCH, p=np.inf, output_type="ndarray")
        for a, b in found[np.lexsort((found[:, 1], found[:, 0]))].tolist():
            first, second = members[a], members[b]
            if n_first is not None and not first < n_first <= second:
                continue
            displacement = _displacement(structures[first], structures[second])
            if (displacement is None or displacement > _NEAR) and _are_permuted(
                structures[first], structures[second], profiles[a], profiles[b]
            ):
                displacement = 0.0
            if displacement is not None and displacement <= _NEAR:
                pairs.append(_Pair(first, second, displacement))
    return pairs


def _with_twin_cells(structures: Sequence[Atoms], members: list[int]) -> list[int]:
    """Those of some structures whose cell another one may have, as far as `_have_same_cell` tells."""
    if len(members) < 2:
        return []
    cells = np.array([structures[k].cell.array.ravel() for k in members])
    most = _SAME_CELL * max(float(np.abs(cells).max()), 1.0)
    # A tree is slow where many points are the same.
    distinct, kind, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    is_shared = counts > 1
    if len(distinct) > 1:
        # Twice, since the bound itself is excluded.
        distance, _ = cKDTree(distinct).query(distinct, k=2, p=np.inf, distance_upper_bound=2 * most)
        is_shared |= np.isfinite(distance[:, 1])
    return [k for k, one in zip(members, kind.ravel().tolist(), strict=True) if is_shared[one]]


def _profile(atoms: Atoms) -> FloatArray:
    """Distances (n, m) in A to the nearest neighbors of each species; columns sorted within a species."""
    kinds, species = np.unique(atoms.numbers, return_inverse=True)
    near = find_neighbors(atoms, species.astype(np.int32), len(kinds), _REACH)
    n, n_kinds = len(atoms), len(kinds)
    distances = np.full((n * n_kinds, _NEIGHBORS), _REACH)
    bucket = np.repeat(np.arange(n * n_kinds), np.diff(near.first_as))
    order = np.lexsort((near.distance_p, bucket))
    place = np.arange(len(order)) - near.first_as[bucket[order]]
    kept = place < _NEIGHBORS
    distances[bucket[order][kept], place[kept]] = near.distance_p[order][kept]
    profile = distances.reshape(n, n_kinds * _NEIGHBORS)
    return np.concatenate([np.sort(profile[species == kind], axis=0) for kind in range(n_kinds)])


def _are_permuted(first: Atoms, second: Atoms, distances: FloatArray, others: FloatArray) -> bool:
    """Whether two structures differ by the order of their atoms and a translation.

    Rotated and mirrored crystals do not count: strains of one crystal along x, y and z are meant.
    """
    if np.abs(distances - others).max() > _SAME or not _have_same_cell(first, second):
        return False
    if first.pbc.any() and not first.pbc.all():
        return False
    rare = min(set(first.numbers.tolist()), key=lambda number: np.count_nonzero(first.numbers == number))
    start = first.positions[first.numbers == rare][0]
    return any(_coincide(first, second, end - start) for end in second.positions[second.numbers == rare])


def _coincide(first: Atoms, second: Atoms, shift: FloatArray) -> bool:
    """Whether every atom of one structure, shifted, is an atom of the other."""
    moved, others = first.positions + shift, second.positions
    box = None
    if first.pbc.all():
        inverse = np.linalg.inv(first.cell.array)
        # Rounding must not leave 1.
        moved, others = (moved @ inverse % 1.0) % 1.0, (others @ inverse % 1.0) % 1.0
        box = 1.0
    distance, nearest = cKDTree(others, boxsize=box).query(moved)
    length = 1.0 if box is None else float(np.linalg.norm(first.cell.array, axis=1).max())
    is_one_to_one = len(set(nearest.tolist())) == len(first)
    same_species = np.array_equal(first.numbers, second.numbers[nearest])
    return bool(is_one_to_one and same_species and distance.max() * length <= 2 * _SAME)


def _have_same_cell(first: Atoms, second: Atoms) -> bool:
    cell = first.cell.array
    return bool(np.abs(second.cell.array - cell).max() <= _SAME_CELL * max(np.abs(cell).max(), 1.0))


def _displacement(first: Atoms, second: Atoms) -> float | None:
    """Root mean square displacement in A without translation, None for another cell or order of atoms."""
    if not np.array_equal(first.numbers, second.numbers) or not _have_same_cell(first, second):
        return None
    moved = second.positions - first.positions
    if first.pbc.any():
        moved -= moved[0]
        periodic = minkowski_reduce(first.cell, first.pbc)[0][first.pbc]
        inverse = np.linalg.pinv(periodic)
        moved -= np.rint(moved @ inverse) @ periodic
    moved -= moved.mean(axis=0)
    lengths = np.linalg.norm(moved, axis=1)
    size = float(np.sqrt(np.mean(lengths**2)))
    # A single atom that has moved is meant.
    if size > _SAME and len(first) > _MEANT**2 and lengths.max() > _MEANT * size:
        return None
    return size


def _unusual(structures: Sequence[Atoms], near: list[_Pair]) -> list[_Pair]:
    """Near pairs, unless most structures of their formula have one: then small steps are meant."""
    if not near:
        return []
    formulas = [formula_key(atoms) for atoms in structures]
    found = []
    for formula in {formulas[pair.first] for pair in near}:
        chosen = [pair for pair in near if formulas[pair.first] == formula]
        involved = {k for pair in chosen for k in (pair.first, pair.second)}
        if len(involved) <= max(2, formulas.count(formula) / 2):
            found += chosen
    return sorted(found, key=lambda pair: (pair.first, pair.second))


def _families(n: int, pairs: list[_Pair]) -> list[IntArray]:
    """Sets of structures that pairs connect, each sorted."""
    first, second = np.array([(pair.first, pair.second) for pair in pairs]).T
    graph = coo_matrix((np.ones(len(pairs)), (first, second)), shape=(n, n))
    _, family = connected_components(graph, directed=False)
    members = np.unique(np.concatenate([first, second]))
    return [members[family[members] == number] for number in np.unique(family[members])]


def _list(families: list[IntArray]) -> str:
    texts = [
        name_places([with_places(name) for name in numbered(family.tolist())], " and ")
        for family in families[:5]
    ]
    rest = f" and {len(families) - 5} more sets" if len(families) > 5 else ""
    return "; ".join(texts) + rest


def _contradictions(data: LabelledStructures, families: list[IntArray]) -> str:
    """What to say of sets whose energies differ."""
    if data.labels.energy is None:
        return ""
    energy = data.labels.energy / data.n_atoms
    spreads = [0.0]
    for family in families:
        known = energy[family][np.isfinite(energy[family])]
        spreads.append(float(np.ptp(known)) if len(known) else 0.0)
    different = sum(spread > _SAME_ENERGY for spread in spreads)
    if not different:
        return ""
    return f"; in {different} of these sets energies differ, by up to {1e3 * max(spreads):.1f} meV/atom"
