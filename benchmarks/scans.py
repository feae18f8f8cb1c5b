"""Scans of a potential where its data end: the energy has to rise as atoms come closer than in the data.

`benchmarks/stability.py` calls them. Nothing here shares code with `plip.safety`.
"""

import itertools
import math

import numpy as np
from ase import Atoms, units
from ase.data import atomic_numbers, covalent_radii
from ase.md.langevin import Langevin
from ase.neighborlist import neighbor_list

# Parts of the shortest distance of the data where scans begin, and Angstrom where they end.
BEGIN, END = 0.95, 0.1
# eV. Energies of some hundred atoms are rounded to less.
ROUNDING = 1e-7
# Neighbors up to this part of the distance of the nearest one of the pair's species are pushed against.
SHELL = 1.3
# Angstrom within which neighbors are looked for.
REACH = 4.0
# A way is clear that passes others no closer than this part of the sum of the covalent radii.
CLEAR = 0.75
# Points of a push, and the least part of the length of a crystal.
POINTS = 60
SMALLEST_LENGTH = 0.6
# Part of the first length down to which the energy of a crystal under tension may fall.
AT_REST = 0.95


class Data:
    """Structures of a fit.

    Attributes
    ----------
    structures : list of ase.Atoms
    shortest : dict of (str, str) to float
        Shortest distance of each pair of species in Angstrom; three quarters of the sum of their covalent
        radii for pairs that never meet.
    """

    def __init__(self, structures):
        self.structures = structures
        symbols = sorted({symbol for atoms in structures for symbol in atoms.symbols})
        self.shortest = dict.fromkeys(itertools.combinations_with_replacement(symbols, 2), math.inf)
        for atoms in structures:
            i, j, d = neighbor_list("ijd", atoms, REACH)
            for pair in self.shortest:
                of_pair = d[(atoms.symbols[i] == pair[0]) & (atoms.symbols[j] == pair[1])]
                self.shortest[pair] = min(self.shortest[pair], of_pair.min(initial=math.inf))
        for pair, distance in self.shortest.items():
            if distance == math.inf:
                self.shortest[pair] = 0.75 * sum(covalent_radii[atomic_numbers[symbol]] for symbol in pair)


def nuclear_repulsion(first, second, r):
    """Ziegler, Biersack & Littmark (1985), eV."""
    x = r * (first**0.23 + second**0.23) / 0.46850
    weights, rates = (0.18175, 0.50986, 0.28022, 0.02817), (3.1998, 0.94229, 0.4029, 0.20162)
    screening = sum(weight * math.exp(-rate * x) for weight, rate in zip(weights, rates, strict=True))
    return 14.399645 * first * second / r * screening


def falls(x, energies):
    """All falls along a scan: (depth, where it begins, where it ends)."""
    found = []
    down = np.diff(energies) < -ROUNDING
    edges = np.flatnonzero(np.diff(np.concatenate([[0], down.astype(int), [0]])))
    for begin, end in edges.reshape(-1, 2):
        found.append((float(energies[begin] - energies[end]), float(x[begin]), float(x[end])))
    return found


def isolated_pairs(potential, data, material):
    """Two atoms alone: no dip, and at 0.3 Angstrom within 10 % of the repulsion of nuclei."""
    failures = []
    for pair, distance in data.shortest.items():
        alone = sum(potential.intercept[symbol] for symbol in pair)

        def energy(r, pair=pair, alone=alone):
            return potential.energy(Atoms(pair, [[0, 0, 0], [r, 0, 0]])) - alone

        r = np.geomspace(BEGIN * distance, END, 400)
        name = "-".join(pair)
        failures += described(name, falls(r, [energy(x) for x in r]))
        ratio = energy(0.3) / nuclear_repulsion(*(atomic_numbers[symbol] for symbol in pair), 0.3)
        if abs(ratio - 1.0) > 0.1:
            failures.append((abs(ratio - 1.0), f"{name} at 0.3 A: {ratio:.2f} of the nuclei"))
    return len(data.shortest), failures


def described(name, found):
    return [(depth, f"{name} from {begin:.3f} to {end:.3f}") for depth, begin, end in found]


def pushes(potential, data, samples, centers):
    """Atoms of the samples, so many of each species, pushed onto neighbors, where no other is in the way."""
    count, failures = 0, []
    for sample, atoms in samples:
        i, j, d, vectors = neighbor_list("ijdD", atoms, REACH)
        radii = covalent_radii[atoms.numbers]
        chosen = []
        for symbol in sorted(set(atoms.symbols)):
            chosen += spread(np.flatnonzero(atoms.symbols == symbol), centers)
        for center, symbol in itertools.product(chosen, sorted(set(atoms.symbols))):
            near = np.flatnonzero((i == center) & (atoms.symbols[j] == symbol) & (j != center))
            near = near[d[near] < SHELL * d[near].min(initial=math.inf)]
            pair = tuple(sorted((atoms.symbols[center], symbol)))
            for p in near:
                r = np.geomspace(min(BEGIN * data.shortest[pair], d[p]), END, POINTS)
                way = vectors[p] * (1.0 - r[:, None] / d[p])
                others = np.flatnonzero((i == center) & (np.arange(len(i)) != p))
                least = CLEAR * (radii[center] + radii[j[others]])
                if (np.linalg.norm(vectors[others] - way[:, None], axis=2) < least).any():
                    continue  # it meets others first
                energies = []
                for step in way:
                    pushed = atoms.copy()
                    pushed.positions[center] += step
                    energies.append(potential.energy(pushed))
                count += 1
                failures += described(f"{sample}, {'-'.join(pair)}", falls(r, energies))
    return count, failures


def spread(items, number):
    """At most so many items, evenly spread over the sequence."""
    places = np.unique(np.linspace(0, len(items) - 1, min(number, len(items))).round().astype(int))
    return [items[k] for k in places]


def in_data(potential, data, material):
    chosen = spread(range(len(data.structures)), 12)
    samples = [(f"structure {k}", data.structures[k]) for k in chosen]
    return pushes(potential, data, samples, 2)


def in_crystal(potential, data, material):
    return pushes(potential, data, [("crystal", material.atoms)], 3)


def at_surface(potential, data, material):
    slab = material.atoms.copy()
    slab.center(vacuum=6.0, axis=2)
    slab.pbc = (True, True, False)
    return pushes(potential, data, [("slab", slab)], 6)


def in_molecules(potential, data, material):
    """Clusters of the atoms nearest to one atom of a crystal."""
    samples = []
    vectors = material.atoms.get_distances(0, range(len(material.atoms)), mic=True, vector=True)
    order = np.argsort(np.round(np.linalg.norm(vectors, axis=1), 6), kind="stable")
    for size in (3, 4, 5, 8, 13):
        cluster = Atoms(material.atoms.numbers[order[:size]], vectors[order[:size]])
        samples.append((f"{size} atoms", cluster))
    return pushes(potential, data, samples, 4)


def in_melt(potential, data, material):
    """Three frames of a melt that the potential itself makes."""
    atoms = material.atoms.copy()
    atoms.calc = potential.calculator()
    rng = np.random.default_rng(2)
    step = 0.5 * material.step * units.fs
    temperature = 3.0 * material.melting
    dynamics = Langevin(
        atoms, step, temperature_K=temperature, friction=0.02 / units.fs, rng=rng, fixcm=False
    )
    samples = []
    for k in range(3):
        try:
            dynamics.run(300)
        except ValueError as error:
            return 1, [(math.inf, str(error))]
        samples.append((f"melt {k}", Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)))
    return pushes(potential, data, samples, 3)


def compressions(potential, data, material):
    """Crystals of the data, from the least volume of their composition to 0.6 of the length."""
    kinds = {}
    for atoms in data.structures:
        if atoms.pbc.all():
            kinds.setdefault(composition(atoms), []).append(atoms)
    count, failures = 0, []
    for alike in kinds.values():
        volumes = np.array([atoms.get_volume() / len(atoms) for atoms in alike])
        energies = np.array([potential.energy(atoms) / len(atoms) for atoms in alike])
        normal = volumes[energies.argmin()]
        start = (volumes.min() / normal) ** (1 / 3)
        crystals = [
            (f"structure {k}", alike[k]) for k in (*spread(range(len(alike)), 4), int(energies.argmin()))
        ]
        for name, atoms in crystals:
            lengths = np.linspace(start, SMALLEST_LENGTH, 120)
            of_normal = (normal / (atoms.get_volume() / len(atoms))) ** (1 / 3)
            scan = []
            for length in lengths:
                scaled = atoms.copy()
                scaled.set_cell(length * of_normal * atoms.cell, scale_atoms=True)
                scan.append(potential.energy(scaled) / len(atoms))
            # Crystals under tension shrink first.
            first = int(np.argmax(np.diff(scan, append=np.inf) > 0.0))
            if lengths[first] >= AT_REST * start:
                lengths, scan = lengths[first:], scan[first:]
            count += 1
            failures += described(f"{name} of {atoms.get_chemical_formula()}", falls(lengths, scan))
    return count, failures


def composition(atoms):
    """Reduced composition, a tuple of symbols and numbers."""
    symbols, counts = np.unique(atoms.get_chemical_symbols(), return_counts=True)
    return tuple(zip(symbols.tolist(), (counts // np.gcd.reduce(counts)).tolist(), strict=True))


KINDS = {
    "isolated pairs": isolated_pairs,
    "pushes in the data": in_data,
    "pushes in the crystal": in_crystal,
    "pushes at a surface": at_surface,
    "pushes in molecules": in_molecules,
    "pushes in a melt": in_melt,
    "compression": compressions,
}
