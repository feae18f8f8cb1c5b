"""Small structures of every kind, without symmetry: all are rattled or drawn with a fixed seed."""

import numpy as np
import oracle
from ase import Atoms
from ase.build import bulk, fcc111, molecule


def _rattled(atoms, seed, size=0.08):
    atoms.positions += np.random.default_rng(seed).normal(scale=size, size=atoms.positions.shape)
    return atoms


def _diamond():
    return _rattled(bulk("Si", cubic=True), 1), 4.2


def _small_cell():
    # 3.15 A wide, far less than the cutoff: up to 26 neighbors of an atom are images of two atoms.
    return _rattled(bulk("Mo", cubic=True), 2), 4.6


def _one_atom_cell():
    # All neighbors are images of the atom itself: no force by symmetry, but a virial.
    return Atoms("Cu", cell=[[2.5, 0.1, 0.0], [1.2, 2.3, 0.2], [1.1, 0.8, 2.2]], pbc=True), 4.4


def _triclinic():
    # Left-handed and far from reduced, so that images beyond the first shell are needed.
    cell = [[4.1, 0.0, 0.0], [2.9, -3.9, 0.3], [-1.6, -2.1, 4.4]]
    fractions = [[0.02, 0.01, 0.03], [0.47, 0.29, 0.22], [0.21, 0.61, 0.66], [0.83, 0.68, 0.41]]
    return Atoms("GaAsGaAs", scaled_positions=fractions, cell=cell, pbc=True), 4.0


def _slab():
    return _rattled(fcc111("Al", (1, 2, 3), vacuum=5.0, periodic=False, orthogonal=True), 3), 4.0


def _slab_without_third_vector():
    atoms = fcc111("Al", (1, 2, 2), orthogonal=True)
    atoms.cell[2] = 0.0
    atoms.pbc = (True, True, False)
    return _rattled(atoms, 4), 4.0


def _ribbon():
    # Periodic along the first and the last vector of a skewed cell, not along the one between.
    cell = [[3.6, 0.4, 0.2], [0.3, 9.0, 1.0], [-1.1, 0.5, 4.3]]
    fractions = [[0.1, 0.2, 0.1], [0.6, 0.25, 0.5], [0.3, 0.45, 0.85]]
    return Atoms("TiOO", scaled_positions=fractions, cell=cell, pbc=(True, False, True)), 4.0


def _chain():
    positions = [[0.0, 0.0, 0.0], [0.5, 0.2, 1.3], [1.5, -0.2, 1.5]]
    return Atoms("CCH", positions=positions, cell=[[0, 0, 0], [0, 0, 0], [0.3, 0.2, 2.5]], pbc=(0, 0, 1)), 4.3


def _molecule():
    return _rattled(molecule("CH3OH"), 5, size=0.05), 2.6


def _isolated_atom():
    return Atoms("Ne"), 4.0


def _three_species():
    fractions = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return _rattled(Atoms("SrTiO3", scaled_positions=fractions, cell=[3.9, 3.95, 4.0], pbc=True), 6), 3.6


def _two_species():
    return _rattled(bulk("SiC", "zincblende", a=4.36, cubic=True), 7), 3.4


_MAKERS = {
    "bulk": _diamond,
    "small cell": _small_cell,
    "one-atom cell": _one_atom_cell,
    "triclinic": _triclinic,
    "slab": _slab,
    "slab without third vector": _slab_without_third_vector,
    "ribbon": _ribbon,
    "chain": _chain,
    "molecule": _molecule,
    "isolated atom": _isolated_atom,
    "three species": _three_species,
    "two species": _two_species,
}
SAMPLE_NAMES = tuple(_MAKERS)


def sample(name):
    """A fresh copy of a sample structure and a cutoff (A) that suits it, see `clear_radius`."""
    atoms, cutoff = _MAKERS[name]()
    return atoms, clear_radius(atoms, cutoff)


def clear_radius(atoms, wanted, factors=(1.0,), margin=2e-3):
    """The first radius r >= `wanted` (A) for which no pair is within `margin` of any factor * r.

    At a cutoff the second derivative of f_c jumps, at the ends of a switch the third: a finite difference
    across them is off by far more than the tolerance. `margin` is more than a finite difference here moves
    a pair.
    """
    distances = oracle.pair_distances(atoms, (wanted + 1.5) * max(factors))
    for radius in np.arange(wanted, wanted + 1.0, margin / 2):
        if all(np.abs(distances - factor * radius).min(initial=np.inf) > margin for factor in factors):
            return float(radius)
    raise ValueError("the distances of this structure leave no gap; take a smaller structure")


def switch_radius(atoms, wanted):
    """A switch (A) near `wanted` with no pair at its ends, 0.95 and 1.05 times the radius."""
    return clear_radius(atoms, wanted, factors=(0.95, 1.05))


def random_structure(n_atoms, periodic, seed, symbols=("Si", "O")):
    """Random atoms, at least 1.3 A apart, in a random cell; None where the draw has no room for them."""
    rng = np.random.default_rng(seed)
    while True:
        cell = rng.normal(scale=1.2, size=(3, 3)) + np.diag(rng.uniform(2.5, 4.5, size=3))
        if abs(np.linalg.det(cell)) > 12.0 * n_atoms:
            break
        if rng.random() < 0.01:  # some hundred draws without success
            return None
    for _ in range(200):
        atoms = Atoms(
            rng.choice(symbols, size=n_atoms),
            scaled_positions=rng.uniform(-0.5, 1.5, (n_atoms, 3)),
            cell=cell,
            pbc=periodic,
        )
        if not (oracle.pair_distances(atoms, 1.3).size or _own_image_too_close(atoms)):
            return atoms
    return None


def _own_image_too_close(atoms):
    return any(np.linalg.norm(v) < 1.3 for v, p in zip(atoms.cell, atoms.pbc, strict=True) if p)
