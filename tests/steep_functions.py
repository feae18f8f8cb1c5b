"""Radial functions that are steep at short distance, atoms so close, and how exact the rows of a fit are."""

import numpy as np
from ase import Atoms

from plip._design._rows import Design, StructureDesign
from plip.radial import GaussianType, LennardJones, LogNormal, Power, Slater, StillingerWeber

STEEP = [
    LennardJones(sigma=2.3),
    Power(powers=-6.0),
    Slater(powers=-4.0, zeta=0.5),
    GaussianType(powers=-5.0, zeta=0.2),
    StillingerWeber(gamma=-1.5, onset=0.2),
    LogNormal(onsets=0.1, scales=1.0),
]


def close_neighbors(distance):
    """Atoms at this distance in a cluster, at a right angle, of two species, and in a crystal."""
    near = distance * np.array([0.48, 0.6, 0.64])
    return [
        Atoms("Cu3", [[0, 0, 0], near, [0.3, 2.6, 0.4]]),
        Atoms("Cu3", [[0, 0, 0], [distance, 0, 0], [0, 1.1 * distance, 0]]),
        Atoms("CuAgCuAg", [[0, 0, 0], near, [0.3, 2.6, 0.4], [2.5, -0.3, 0.2]]),
        Atoms("CuAg", [[0, 0, 0], near], cell=[[3.3, 0, 0], [0.2, 3.1, 0], [0, 0.1, 3.2]], pbc=True),
    ]


def assert_exact_rows(atoms, terms, values, forces, strain):
    """The columns of a fit are right to rounding, however much larger a neighbor's part with itself is."""
    design = StructureDesign(Design(terms, sorted(set(atoms.symbols))), atoms, has_virials=True)
    force_rows, virial_rows = np.zeros((3 * len(atoms), len(terms))), design.virials
    design.write_rows(0, force_rows)
    # Odd powers of the cosine may cancel by symmetry: the largest force of all powers is what rounds. Bounded
    # functions may vanish at the closest neighbor and not at others, where they are below 1.
    sizes = {}
    for term, force in zip(terms, np.abs(forces).max(axis=(0, 1)), strict=True):
        key = term.interaction, term.species, term.radial
        sizes[key] = max(sizes.get(key, 0.0), float(force))
    atol = 1e-15 + 2e-12 * np.array([sizes[term.interaction, term.species, term.radial] for term in terms])
    assert (np.abs(design.values - values) < atol).all()
    assert (np.abs(force_rows - forces.reshape(force_rows.shape)) < atol).all()
    assert (np.abs(virial_rows - strain) < atol * 10.0).all()
