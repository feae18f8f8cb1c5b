"""Potentials without a fit, and a structure to try them on."""

from types import SimpleNamespace

import numpy as np

from random_inputs.interactions import random_interactions

_POTENTIALS = {}


def hand_potential(number):
    """A potential made by hand, from a few that are kept."""
    from plip.interactions._terms import build_terms
    from plip.potential import Potential

    if number not in _POTENTIALS:
        rng = np.random.default_rng([7, number])
        species = (("Si",), ("O", "Si"), ("C", "H", "O"), ("Cu",))[number % 4]
        cutoff = (2.0, 3.3, 4.6)[number % 3]
        while True:
            parts = random_interactions(rng, cutoff, len(species))
            terms = build_terms(["*", *species] if number % 5 == 0 else list(species), cutoff, **parts)
            if len(terms) <= 150:
                break
        coef = rng.normal(size=len(terms)) * 0.01
        intercept = {symbol: -1.5 * (n + 1) for n, symbol in enumerate(species)}
        _POTENTIALS[number] = Potential(SimpleNamespace(terms_=terms, species_=species), coef, intercept)
    return _POTENTIALS[number]


def probe_structure(potential):
    """A small structure of the species of a potential."""
    from ase import Atoms

    symbols = [potential.species[k % len(potential.species)] for k in range(4)]
    positions = [[0, 0, 0], [1.3, 0.2, 0.1], [0.3, 1.5, -0.2], [-0.6, 0.7, 1.4]]
    return Atoms(symbols, positions, cell=[9.0, 9.0, 9.0], pbc=True)
