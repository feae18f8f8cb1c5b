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


def _gaussians(count, first, cutoff):
    """`count` Gaussians from `first` to the cutoff, as wide as they are apart."""
    centers = np.round(np.linspace(first, cutoff, count, endpoint=False), 4)
    spacing = (cutoff - first) / count
    return Gaussian(eta=round(0.5 / spacing**2, 4), centers=centers.tolist())


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
        ``two_body``, ``three_body``, ``n_body``.
    """
    first = round(min(shortest, 0.6 * cutoff), 1)
    return {
        "two_body": TwoBody(_gaussians(16, first, cutoff)),
        "three_body": ThreeBody(_gaussians(10, first, cutoff), max_power=5, mixed=True),
        "n_body": NBody(_gaussians(12, first, cutoff), powers=(2, 3, 4)),
    }
