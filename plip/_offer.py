"""The offer of terms that "auto" makes: interactions chosen from the cutoff and the data."""

import numpy as np

from plip._neighbors import find_neighbors
from plip.interactions import NBody, ThreeBody, TwoBody
from plip.radial import Gaussian

__all__ = ["automatic_interactions", "shortest_distance"]


def shortest_distance(structures, cutoff):
    """Shortest distance between two atoms, at most the cutoff, in Angstrom."""
    shortest = cutoff
    for atoms in structures:
        near = find_neighbors(atoms, np.zeros(len(atoms), np.int32), 1, shortest)
        if near.distance_p.size:
            shortest = float(near.distance_p.min())
    return shortest


def _gaussians(count, first, cutoff, width=1.0):
    """`count` Gaussians from `first` to the cutoff; `width` is their sigma over their spacing."""
    centers = np.round(np.linspace(first, cutoff, count, endpoint=False), 4)
    sigma = width * (cutoff - first) / count
    return Gaussian(eta=round(0.5 / sigma**2, 4), centers=centers.tolist())


# From rich to poor; the first that fits its share of the columns is offered.
_TWO_BODY = ((12, 6), (8, 4), (8,), (6,), (4,), (3,), (2,), (1,))
_THREE_BODY = (
    (6, 6, True),
    (4, 5, True),
    (6, 5, False),
    (4, 4, False),
    (3, 3, False),
    (2, 3, False),
    (2, 2, False),
    (1, 2, False),
    (1, 1, False),
)
_N_BODY = (
    (((12, 1.0), (8, 1.5), (6, 2.0)), (2, 3, 4)),
    (((6, 1.0), (4, 1.5)), (2, 3, 4)),
    (((4, 1.0),), (2, 3, 4)),
    (((3, 1.0),), (2, 3)),
    (((2, 1.0),), (2,)),
    (((1, 1.0),), (2,)),
)
_MAX_TWO_BODY, _MAX_THREE_BODY, _MAX_N_BODY = 150, 450, 200


def automatic_interactions(n_species, shortest, cutoff):
    """Two-, three- and N-body interactions for any material.

    Parameters
    ----------
    n_species : int
        Number of species.
    shortest : float
        Shortest distance in the data in Angstrom.
    cutoff : float
        Cutoff in Angstrom.

    Returns
    -------
    dict
        ``two_body``, ``three_body``, ``n_body``; None for an interaction of which not
        even the poorest grid fits.
    """
    first = round(min(shortest, 0.6 * cutoff), 1)
    pairs = n_species * (n_species + 1) // 2
    others = n_species * (n_species - 1) // 2
    two_body = three_body = n_body = None
    for counts in _TWO_BODY:
        if pairs * sum(counts) <= _MAX_TWO_BODY:
            two_body = TwoBody([_gaussians(count, first, cutoff) for count in counts])
            break
    for count, max_power, mixed in _THREE_BODY:
        if mixed:
            arms = n_species * count * (count + 1) // 2 + others * count**2
        else:
            arms = pairs * count
        if n_species * arms * (max_power + 1) <= _MAX_THREE_BODY:
            three_body = ThreeBody(_gaussians(count, first, cutoff), max_power=max_power, mixed=mixed)
            break
    for grids, powers in _N_BODY:
        if n_species**2 * sum(count for count, _ in grids) * len(powers) <= _MAX_N_BODY:
            n_body = NBody([_gaussians(count, first, cutoff, width) for count, width in grids], powers=powers)
            break
    return {"two_body": two_body, "three_body": three_body, "n_body": n_body}
