"""Where the core repulsion of a potential begins, from how far its data reach."""

import math
import warnings

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from plip.potential import Potential

__all__ = ["automatic_repulsion", "repulsive_potential"]

# Of the shortest distance in the data: few data do not meet the shortest one there is, and their repulsion
# begins a little below it. Where the terms of an isolated pair fall below _RISING, it begins earlier.
_STARTS = (0.96, 0.98, 1.0)
_RISING = 0.95
# Of the sum of covalent radii; neighbors in dense metals stand at 0.85 of it.
_OF_RADII = 0.75
# The learned functions are gone at this part of the distance at which the repulsion begins, and at 0.3
# Angstrom at the latest, where the repulsion of nuclei alone is right.
_INNER = 0.25
_LONGEST_INNER = 0.3
# Surroundings that are this much denser, by 5 % in length, are still near the data.
_DENSITY_MARGIN = 1.15
# Two neighbors at no distance. In sparse data, whose neighbors stand at the end of the range, any approach
# would multiply the density.
_LEAST_LIMIT = 2.0


def repulsive_potential(descriptors, coef, references, equations):
    """Potential with core repulsion and density limits that leave all data as they are.

    Parameters
    ----------
    descriptors, coef, references
        As the first three parameters of `plip.potential.Potential`.
    equations : NormalEquations
        See `automatic_repulsion`.

    Returns
    -------
    Potential
    """
    starts = {}
    for start in _STARTS[1:]:
        potential = Potential(descriptors, coef, references, *automatic_repulsion(equations, starts))
        if potential.repulsion is None:
            return potential
        falling = [
            pair
            for pair, shortest in equations.shortest_distances.items()
            if math.isfinite(shortest) and _falls(potential, pair, _RISING * shortest)
        ]
        if not falling:
            return potential
        starts.update(dict.fromkeys(falling, start))
    return Potential(descriptors, coef, references, *automatic_repulsion(equations, starts))


def _falls(potential, pair, first):
    """Whether the energy of an isolated pair falls where it comes closer than `first`, in Angstrom."""
    r = np.linspace(first, 0.6 * first, 30)
    apart = 3.0 * potential.cutoff * np.arange(len(r))
    ends = np.stack([np.column_stack([apart, 0.0 * r, z]) for z in (0.0 * r, r)], axis=1)
    atoms = Atoms(pair * len(r), ends.reshape(-1, 3))
    energies = potential.evaluate(atoms, forces=False, stress=False)["energies"]
    return bool((np.diff(energies.reshape(-1, 2).sum(axis=1)) <= 0.0).any())


def automatic_repulsion(equations, starts):
    """Core repulsion and density limits.

    The core repulsion of a pair of species begins at 0.96 of its shortest distance in the data; that of a
    pair that never comes within the cutoff begins at 0.75 of the sum of its covalent radii, or at the cutoff
    if that is less. The density around an atom is limited to 1.15 times the largest in the data, and to 2 at
    least.

    Parameters
    ----------
    equations : NormalEquations
        Which know the shortest distances and the largest densities of their structures.
    starts : dict of (str, str) to float
        Parts of the shortest distance at which the repulsion begins instead, by pair.

    Returns
    -------
    repulsion : dict of (str, str) to (float, float), or None
        As `Potential` takes it.
    density_limits : dict of str to (float, float), or None
        As `Potential` takes it.

    Warns
    -----
    UserWarning
        If the normal equations do not know how far their data reach.
    """
    if equations.shortest_distances is None:
        warnings.warn(
            "these normal equations come from a version of plip that did not keep the shortest distances of "
            "the data: the potential has no core repulsion. Accumulate them anew from the structures",
            UserWarning,
            stacklevel=4,
        )
        return None, None
    searched = max(term.cutoff for term in equations.terms)
    repulsion = {}
    for pair, shortest in equations.shortest_distances.items():
        if math.isfinite(shortest):
            outer = np.floor(1000.0 * starts.get(pair, _STARTS[0]) * shortest) / 1000.0
        else:
            # No farther than the data were searched: they may hold closer pairs.
            radii = sum(covalent_radii[atomic_numbers[symbol]] for symbol in pair)
            outer = min(_OF_RADII * radii, searched)
        outer = float(outer)
        inner = max(_INNER * outer, min(_LONGEST_INNER, 0.5 * outer))
        repulsion[pair] = round(inner, 4), round(outer, 3)
    limits = {
        symbol: (equations.density_range, max(_DENSITY_MARGIN * largest, _LEAST_LIMIT))
        for symbol, largest in equations.largest_densities.items()
    }
    return repulsion, limits
