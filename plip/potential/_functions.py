"""A potential as functions of a few numbers: pairs, triplets, densities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from plip._structures._evaluation import check_atoms, find_pairs
from plip._types import FloatArray
from plip.potential._partition import additive_core

if TYPE_CHECKING:
    from plip.interactions import Term
    from plip.potential._potential import Potential

__all__ = ["embedding_energy", "pair_energy", "triplet_energy"]

# Angstrom. Atoms that are closer coincide.
_SHORTEST = 1e-3
_LONGEST = 1e3


def pair_energy(potential: Potential, r: ArrayLike, species: Sequence[str]) -> FloatArray:
    """See `Potential.pair_energy`."""
    symbols = _symbols(potential, species, 2, "pair_energy")
    return _pair(potential, _lengths("r", r), symbols)


def triplet_energy(
    potential: Potential, r_ij: ArrayLike, r_ik: ArrayLike, angle: ArrayLike, species: Sequence[str]
) -> FloatArray:
    """See `Potential.triplet_energy`."""
    symbols = _symbols(potential, species, 3, "triplet_energy")
    degrees = np.asarray(angle, np.float64)
    if not ((degrees >= 0.0) & (degrees <= 180.0)).all():
        raise ValueError("angle must be from 0 to 180 degrees")
    r_ij, r_ik, degrees = np.broadcast_arrays(_lengths("r_ij", r_ij), _lengths("r_ik", r_ik), degrees)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    r_jk = np.hypot(r_ij - r_ik * cosine, r_ik * sine)
    if not (r_jk >= _SHORTEST).all():
        raise ValueError(
            "atoms j and k of a triplet coincide: where the angle is 0, r_ij and r_ik must differ"
        )
    nothing = np.zeros_like(cosine)
    positions = [
        (nothing, nothing, nothing),
        (r_ij, nothing, nothing),
        (r_ik * cosine, r_ik * sine, nothing),
    ]
    i, j, k = symbols
    return (
        _cluster(potential, symbols, np.moveaxis(np.array(positions), (0, 1), (-2, -1)))
        - _pair(potential, r_ij, (i, j))
        - _pair(potential, r_ik, (i, k))
        - _pair(potential, r_jk, (j, k))
    )


def embedding_energy(potential: Potential, density: ArrayLike, species: str, atoms: Atoms) -> FloatArray:
    """See `Potential.embedding_energy`."""
    (symbol,) = _symbols(potential, (species,), 1, "embedding_energy")
    ratio = np.asarray(density, np.float64)
    if not ((ratio >= 0.0) & np.isfinite(ratio)).all():
        raise ValueError("density must be a finite ratio of at least 0; it is 1 in the structure")
    places, positions, cell = check_atoms(potential.species, atoms)
    is_center = places == potential.species.index(symbol)
    if not is_center.any():
        raise ValueError(f"the structure has no atom of {symbol}: give one that has")
    pairs = find_pairs(positions, cell, atoms.pbc, potential.cutoff)
    by_power: dict[float, list[tuple[Term, float]]] = {}
    for term, coefficient in potential.terms:
        if term.interaction == "N-body" and isinstance(term.power, (int, float)):
            by_power.setdefault(term.power, []).append((term, coefficient))

    def mean(terms: Sequence[tuple[Term, float]]) -> float:
        core = additive_core(potential, terms)
        return float(core.evaluate(pairs, positions, cell, places, False, False)[0][is_center].mean())

    repulsion = mean([]) if potential.repulsion else 0.0
    energy = np.zeros_like(ratio)
    # Where all densities around an atom grow by a factor, a term of power m grows by its m-th power.
    for power, terms in sorted(by_power.items()):
        energy += (mean(terms) - repulsion) * ratio**power
    return energy


def _symbols(potential: Potential, species: Sequence[str], n: int, name: str) -> tuple[str, ...]:
    symbols = (species,) if isinstance(species, str) else tuple(species)
    if len(symbols) != n or not set(symbols) <= set(potential.species):
        raise ValueError(
            f"{name} needs {n} species out of {', '.join(potential.species)}, such as "
            f"{potential.species[:1] * n if n > 1 else potential.species[0]!r}; got {species!r}"
        )
    return symbols


def _lengths(name: str, r: ArrayLike) -> FloatArray:
    lengths = np.asarray(r, np.float64)
    if not ((lengths >= _SHORTEST) & (lengths <= _LONGEST)).all():
        raise ValueError(f"{name} must be from {_SHORTEST:g} to {_LONGEST:g} Angstrom")
    return lengths


def _pair(potential: Potential, r: FloatArray, symbols: tuple[str, ...]) -> FloatArray:
    ends = np.zeros((*r.shape, 2, 3))
    ends[..., 1, 0] = r
    return _cluster(potential, symbols, ends)


def _cluster(potential: Potential, symbols: tuple[str, ...], positions: FloatArray) -> FloatArray:
    """Energies of isolated clusters less those of their atoms.

    Parameters
    ----------
    symbols : tuple of k str
        Species of the atoms, the same for all clusters.
    positions : ndarray of float64, shape (..., k, 3)
        Angstrom; no atom is farther than `_LONGEST` from the origin of its cluster.

    Returns
    -------
    ndarray of float64, shape (...)
    """
    *shape, k, _ = positions.shape
    clusters = positions.reshape(-1, k, 3)
    n = len(clusters)
    if n == 0:
        return np.zeros(shape)
    # One structure holds all of them, at the nodes of a cubic lattice where no cluster sees another.
    side = _cube_root(n)
    nodes = np.stack(np.unravel_index(np.arange(n), (side, side, side)), axis=1)
    extent = float(np.ptp(clusters, axis=(0, 1)).max())
    placed = clusters + (extent + 1.1 * potential.cutoff) * nodes[:, None, :]
    atoms = Atoms(symbols * n, placed.reshape(-1, 3))
    energies = potential.evaluate(atoms, forces=False, stress=False)["energies"].reshape(n, k)
    # Not the reference energies where an energy floor is above them.
    alone = [potential.evaluate(Atoms(symbol), forces=False, stress=False)["energy"] for symbol in symbols]
    energy: FloatArray = (energies - alone).sum(axis=1).reshape(shape)
    return energy


def _cube_root(n: int) -> int:
    """The least integer whose cube is at least n."""
    root = round(n ** (1.0 / 3.0))
    return root if root**3 >= n else root + 1
