"""Where the core repulsion of a potential begins, from how far its data reach."""

import math
import warnings

import numpy as np
from ase.data import atomic_numbers, covalent_radii

__all__ = ["automatic_repulsion"]

# The repulsion begins a little below the shortest distance: few data do not meet the shortest one there is.
_OUTER = 0.96
# The learned functions are gone at this part of the distance at which the repulsion begins, and at 0.3
# Angstrom at the latest, where the repulsion of nuclei alone is right.
_INNER = 0.25
_LONGEST_INNER = 0.3
# Surroundings that are this much denser, by 5 % in length, are still near the data.
_DENSITY_MARGIN = 1.15
# Two neighbors at no distance. In sparse data, whose neighbors stand at the end of the range, any approach
# would multiply the density.
_LEAST_LIMIT = 2.0


def automatic_repulsion(equations):
    """Core repulsion and density limits that leave all data as they are.

    The core repulsion of a pair of species begins at 0.96 of its shortest distance in the data; that of a
    pair that never comes within the cutoff begins at the sum of its covalent radii, or at the cutoff if that
    is less. The density around an atom is limited to 1.15 times the largest in the data, and to 2 at least.

    Parameters
    ----------
    equations : NormalEquations
        Which know the shortest distances and the largest densities of their structures.

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
            outer = np.floor(1000.0 * _OUTER * shortest) / 1000.0
        else:
            # No farther than the data were searched: they may hold closer pairs.
            outer = min(sum(covalent_radii[atomic_numbers[symbol]] for symbol in pair), searched)
        outer = float(outer)
        inner = max(_INNER * outer, min(_LONGEST_INNER, 0.5 * outer))
        repulsion[pair] = round(inner, 4), round(outer, 3)
    limits = {
        symbol: (equations.density_range, max(_DENSITY_MARGIN * largest, _LEAST_LIMIT))
        for symbol, largest in equations.largest_densities.items()
        if largest > 0.0
    }
    return repulsion, limits or None
