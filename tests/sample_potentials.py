"""Potentials made by hand: random coefficients, scaled so that every term matters in a given structure."""

import itertools
from types import SimpleNamespace

import numpy as np
import oracle
from ase.neighborlist import neighbor_list

from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.interactions._terms import build_terms
from plip.potential import Potential
from plip.radial import Gaussian, Power, Slater


def interactions(cutoff, mixed=False, four_body=True, switch=None):
    """All interactions, with cutoffs of their own where these are legal."""
    return {
        "two_body": TwoBody([Gaussian(eta=1.5, centers=[1.5, 2.5]), Power(powers=-2.0)]),
        "three_body": ThreeBody(
            [Gaussian(eta=1.0, centers=[1.2, 2.5]), Slater(powers=1.0, zeta=0.7)], max_power=4, mixed=mixed
        ),
        "n_body": NBody(Gaussian(eta=1.0, centers=[1.5, 2.5]), powers=(2, 3, 5), switch=switch),
        "four_body": FourBody(Gaussian(eta=0.8, centers=[1.4, 2.4])) if four_body else None,
    }


def make_potential(atoms, terms, seed=0, n_terms=None, size=1.0):
    """A potential of (some of) the terms, each of them of about `size` eV in this structure."""
    rng = np.random.default_rng(seed)
    if n_terms is not None and n_terms < len(terms):
        terms = [terms[n] for n in sorted(rng.choice(len(terms), n_terms, replace=False))]
    magnitudes = oracle.oracle_magnitudes(atoms, terms)
    # Terms that hardly exist in this structure get the coefficient of those of 0.01 eV.
    coef = rng.normal(size=len(terms)) * size / np.maximum(magnitudes, 0.01)
    species = tuple(sorted(set(atoms.symbols)))
    intercept = {symbol: -3.21 * (n + 1) for n, symbol in enumerate(species)}
    return Potential(SimpleNamespace(terms_=terms, species_=species), coef, intercept)


def sample_potential(atoms, cutoff, seed=0, n_terms=80, **options):
    """A potential with all interactions for a structure."""
    species = sorted(set(atoms.symbols))
    terms = build_terms(species, cutoff, **interactions(cutoff, **options))
    return make_potential(atoms, terms, seed, n_terms)


def floors_of(potential, structures, below):
    """Floors that much below the least energy of an atom of each species."""
    least = dict.fromkeys(potential.species, 0.0)
    for atoms in structures:
        energies = potential.evaluate(atoms, forces=False, stress=False)["energies"]
        for symbol, energy in zip(atoms.symbols, energies, strict=True):
            least[symbol] = min(least[symbol], energy - potential.intercept[symbol])
    return {symbol: energy - below for symbol, energy in least.items()}


def beyond(potential, repulsion=None, density_limits=None, energy_floors=None, core_forces=None):
    """The same terms with other distances, limits, floors and forces."""
    state = potential.__getstate__()
    state |= {"repulsion": repulsion, "density_limits": density_limits}
    state |= {"energy_floors": energy_floors, "core_forces": core_forces}
    changed = Potential.__new__(Potential)
    changed.__setstate__(state)
    return changed


def densities(atoms, reach):
    i, d = neighbor_list("id", atoms, reach)
    return np.bincount(i, (1.0 - (d / reach) ** 2) ** 3, minlength=len(atoms))


def inside_and_outside(atoms, cutoff):
    """A potential whose repulsion, density limit and floor matter for about half of the pairs and atoms."""
    potential = sample_potential(atoms, cutoff, seed=3)
    d = neighbor_list("d", atoms, cutoff)
    middle = np.median(d) if len(d) else 2.0
    pairs = itertools.combinations_with_replacement(potential.species, 2)
    reach = 0.8 * cutoff
    # 1.003 times it is not a distance of any sample.
    limit = max(np.mean(densities(atoms, reach)) / 1.2, 1e-3)
    repulsion = {pair: (0.4 * middle, 1.003 * middle) for pair in pairs}
    # Every second pair has a force of its own.
    forces = {pair: 4.0 + n for n, pair in enumerate(repulsion) if n % 2 == 0}
    learned = beyond(potential, repulsion, core_forces=forces).evaluate(atoms)["energies"]
    learned -= [potential.intercept[symbol] for symbol in atoms.symbols]
    return beyond(
        potential,
        repulsion,
        {symbol: (reach, limit) for symbol in potential.species},
        # Some atoms are little below it, where it matters most.
        {symbol: float(np.median(learned)) + 0.1 for symbol in potential.species},
        forces,
    )


def energy_of(atoms):
    """For other processes, which cannot import test modules."""
    return atoms.get_potential_energy()


def energy_after_a_move(atoms):
    atoms.positions[0] += 0.05
    return atoms.get_potential_energy()
