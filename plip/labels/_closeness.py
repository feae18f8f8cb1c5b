"""How near the atoms of structures are to each other, and whether their forces know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from plip._core import closest_of_each
from plip._structures._balance import BALANCED, imbalances
from plip._structures._checks import describe
from plip._structures._composition import species_of
from plip._structures._evaluation import gather
from plip._structures._neighbors import find_all_neighbors
from plip._types import FloatArray
from plip.labels._plausibility import warn

if TYPE_CHECKING:
    from plip.labels._labelled import LabelledStructures

__all__ = ["SHORT", "ClosePair", "closest_shares", "find_close_pairs", "warn_of_close_pairs"]

# Shares of the sum of the covalent radii. No pair of atoms in matter comes within the first, bonds are longer
# than the second (N2 has 0.77, liquid molybdenum 0.67), and without forces nothing tells below the third.
_IMPOSSIBLE, SHORT, _VERY_SHORT = 0.25, 0.6, 0.5
# eV/A. Atoms within SHORT repel each other by more, if their labels were computed for these positions.
_REPULSION = 5.0
# Structures whose distances are looked at in one call.
_AT_A_TIME = 500


class ClosePair(NamedTuple):
    """Two atoms that are too close: share of the covalent radii, places, Angstrom, and eV/A if known."""

    share: float
    i: int
    j: int
    distance: float
    push: float | None

    def __str__(self) -> str:
        known = (
            "" if self.push is None else f", and their forces push them apart by {self.push:.1f} eV/A only"
        )
        return (
            f"atoms {self.i} and {self.j}, {self.distance:.2f} A apart, {self.share:.2f} of the sum of their "
            f"covalent radii{known}"
        )


def closest_shares(structures: Sequence[Atoms], reach: float) -> FloatArray:
    """Smallest distance in each structure, as a share of the sum of the covalent radii.

    Parameters
    ----------
    structures : sequence of n ase.Atoms
        Checked.
    reach : float
        Larger shares need not be found.

    Returns
    -------
    (n,) ndarray of float64
        At least `reach`, or infinite, where no two atoms are within it; 0 where a neighbor list would not fit
        into memory.
    """
    species = species_of(structures)
    radii = covalent_radii[[atomic_numbers[symbol] for symbol in species]]
    cutoff = 2 * reach * float(radii.max(initial=0.0))  # of the largest atoms
    parts = [
        closest_of_each(*gather(species, structures[first : first + _AT_A_TIME]), radii, cutoff)
        for first in range(0, len(structures), _AT_A_TIME)
    ]
    return np.concatenate([np.zeros(0), *parts])


def find_close_pairs(data: LabelledStructures, closest: FloatArray) -> dict[int, ClosePair]:
    """The worst pair of atoms closer than any bond whose forces do not know of it, by place of the structure.

    `closest` is from `closest_shares`, with a reach of at least SHORT.
    """
    forces = data.labels.forces
    found = {}
    for k in np.flatnonzero(closest < SHORT * (1.0 + 1e-9)).tolist():
        pair = _close_pair(data.structures[k], None if forces is None else forces[k])
        if pair is not None:
            found[k] = pair
    return found


def _close_pair(atoms: Atoms, forces: FloatArray | None) -> ClosePair | None:
    radii = covalent_radii[atoms.numbers]
    near = find_all_neighbors(atoms, 2 * SHORT * float(radii.max()))
    i = near.centers(1)
    j = near.neighbor_p
    share = near.distance_p / (radii[i] + radii[j])
    # In a compressed crystal neighbors on all sides balance each other.
    is_free = imbalances(atoms) > BALANCED
    for p in np.argsort(share, kind="stable"):
        if share[p] >= SHORT:
            break
        is_impossible = share[p] < _IMPOSSIBLE
        if not (is_impossible or is_free[i[p]] or is_free[j[p]]):
            continue
        push = None
        if forces is not None:
            push = float((forces[j[p]] - forces[i[p]]) @ near.vector_pc[p] / (2 * near.distance_p[p]))
        limit = _VERY_SHORT if push is None else SHORT
        if is_impossible or (share[p] < limit and (push is None or push < _REPULSION)):
            return ClosePair(float(share[p]), int(i[p]), int(j[p]), float(near.distance_p[p]), push)
    return None


def warn_of_close_pairs(data: LabelledStructures, shortest: Mapping[tuple[str, str], float]) -> None:
    """Warn if atoms are closer than any bond, and their forces do not know of it.

    Nothing is looked at if no pair of species comes within SHORT in the data; `shortest` are the shortest
    distances of the pairs in Angstrom.
    """
    radii = {symbol: float(covalent_radii[atomic_numbers[symbol]]) for pair in shortest for symbol in pair}
    if all(distance >= SHORT * (radii[s] + radii[t]) for (s, t), distance in shortest.items()):
        return
    close = find_close_pairs(data, closest_shares(data.structures, SHORT))
    if not close:
        return
    row = min(close, key=lambda k: close[k].share)
    places = data.places[list(close)]
    others = f" and {len(close) - 1} more" if len(close) > 1 else ""
    warn(
        f"{describe(int(data.places[row]), data.structures[row])}{others}: atoms closer than bonds are; the "
        f"closest are {close[row]}. Core repulsion begins below this distance only, so that simulations may "
        "fail: correct positions or cell (lengths are in Angstrom), or leave such structures out, which the "
        "audit names (plip.audit.audit)",
        np.isin(np.arange(places.max() + 1), places),
        kind="close atoms",
    )
