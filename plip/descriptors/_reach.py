"""How far isolated pairs in the data interact."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from ase import Atoms

from plip._structures._checks import errors_of
from plip._structures._composition import species_of
from plip._structures._neighbors import find_all_neighbors
from plip._types import FloatArray

__all__ = ["cutoff_of_pairs"]

# Pairs are isolated if no other atom and no image is within this distance in Angstrom.
_ISOLATED = 10.0
# So many distances of a pair of species make a curve.
_LEAST_DISTANCES = 8
# Parts of the largest attraction. Forces below the first do not need a longer cutoff. First principles never
# give forces below the second, but a potential that ends does.
_WEAK, _NOTHING = 1e-2, 1e-6
# A cutoff is at most so many times as long as without pairs: costs grow with its third power.
_MOST = 1.5


def cutoff_of_pairs(
    automatic: float,
    structures: Sequence[Atoms],
    forces: Sequence[FloatArray | None] | None,
    first: int = 0,
) -> float:
    """The automatic cutoff, corrected by curves of isolated pairs.

    A curve is made of at least eight isolated pairs of the same species with forces. The cutoff is at least
    the first of its distances from which on forces are below a hundredth of the largest attraction, or the
    last one. If the forces of all pairs of species vanish from some distance on, they come from a potential
    that ends: its end is the cutoff, also if it is shorter.

    Parameters
    ----------
    automatic : float
        Cutoff without regard to pairs in Angstrom.
    structures : sequence of ase.Atoms
        Checked structures.
    forces : sequence of ndarray of float64, shapes (n_atoms, 3), or None
        eV/Angstrom; None where there are none.
    first : int, default=0
        Place of the first structure in the data, for messages.

    Returns
    -------
    float
        Angstrom, rounded up to 0.01.
    """
    curves = _pair_curves(structures, forces, first)
    species = species_of(structures)
    strong, ends = [automatic], []
    for pair in itertools.combinations_with_replacement(species, 2):
        r, attraction = curves.get(pair, (np.empty(0), np.empty(0)))
        if len(r) < _LEAST_DISTANCES or attraction.max() <= 0.0:
            ends.append(np.inf)
            continue
        size = np.abs(attraction) / attraction.max()
        strong.append(_behind(r, size, _WEAK))
        ends.append(_behind(r, size, _NOTHING) if size[-1] <= _NOTHING else np.inf)
    cutoff = max(ends) if np.isfinite(max(ends)) else max(strong)
    cutoff = min(cutoff, _MOST * automatic)
    return automatic if cutoff == automatic else float(np.ceil(cutoff * 100.0 - 1e-6) / 100.0)


def _behind(r: FloatArray, size: FloatArray, least: float) -> float:
    """The first distance from which on a curve is not above `least`; the last one if it is above it there."""
    last = int(np.flatnonzero(size > least)[-1])
    return float(r[min(last + 1, len(r) - 1)])


def _pair_curves(
    structures: Sequence[Atoms], forces: Sequence[FloatArray | None] | None, first: int
) -> dict[tuple[str, ...], tuple[FloatArray, FloatArray]]:
    """Distances of isolated pairs, ascending, and attraction in eV/Angstrom, by sorted pair of species."""
    found: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for index, (atoms, force) in enumerate(zip(structures, forces or (), strict=False)):
        if len(atoms) != 2 or force is None:
            continue
        with errors_of(first + index, atoms):
            near = find_all_neighbors(atoms, _ISOLATED)
        if len(near.distance_p) != 2:
            continue
        distance = float(near.distance_p[0])
        attraction = float((force[0] - force[1]) @ near.vector_pc[0]) / (2.0 * distance)
        found.setdefault(tuple(sorted(atoms.symbols)), []).append((distance, attraction))
    curves = {pair: np.array(sorted(points)).T for pair, points in found.items()}
    return {pair: (r, attraction) for pair, (r, attraction) in curves.items()}
