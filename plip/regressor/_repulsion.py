"""Where the core repulsion of a potential begins, from how far its data reach."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import joblib
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import ArrayLike

from plip._core import core_repulsion
from plip._structures._checks import volumes
from plip._structures._evaluation import take_atoms
from plip._structures._neighbors import Neighbors, find_all_neighbors
from plip._types import FloatArray, IntArray
from plip._warnings import warn
from plip._workers import new_workers
from plip.descriptors import PLIPDescriptors
from plip.normal_equations import NormalEquations
from plip.potential import Potential
from plip.potential._prediction import evaluate_arrays
from plip.regressor._survey import Survey

__all__ = ["automatic_repulsion", "repulsive_potential"]

# Steps by pair of species (core repulsion) and by species (density limit).
Steps: TypeAlias = Counter[tuple[str, str] | str]

# Of the shortest distance in the data. The repulsion of pairs that repel each other where the data end, such
# as neighbors in crystals, begins at the first part, so that it leaves closer pairs of other data alone. It
# begins at the next ones if two such atoms alone would fall together, at the last one if pairs hardly repel
# or crystals fall.
_STARTS = (0.95, 0.955, 0.96, 0.97, 0.98, 1.0)
# eV/Angstrom. Pairs hardly repel if more than a few pushed atoms meet less force at the first distance.
_LEAST_SLOPE = 2.0
_FEW = 0.05
# The force of the core repulsion is that of the terms of a pair where these come to rest, at this part of the
# distance at which the repulsion begins. So many pushed atoms must feel it; no more are looked at. All but
# the lowest and the highest tenth of them must agree to this part of it. On the way from where the repulsion
# begins, it must not fall by more than this part, and must not grow by more than this factor (Lennard-Jones
# atoms have 1.95) to more than that of a wall. It is this number of eV/Angstrom at least, and that many times
# the force with which all but a few pushed atoms are pulled by their other neighbors.
_REST = 0.95
_LEAST_PUSHES, _MOST_PUSHES = 5, 12
_TENTH, _ALIKE = 0.1, 1.0
_FALLEN, _GROWN = 0.3, 2.0
_LEAST_FORCE, _OF_PULL = 1.0, 1.5
# Isolated pairs are tried down to this distance in Angstrom.
_NO_FALL = 0.3
# Of the sum of covalent radii; neighbors in dense metals stand at 0.85 of it.
_OF_RADII = 0.75
# The learned functions are gone at this part of the distance at which the repulsion begins, and at 0.3
# Angstrom at the latest, where the repulsion of nuclei alone is right.
_INNER = 0.25
_LONGEST_INNER = 0.3
# Surroundings that are so much denser than the densest of the data, 5 % in length, are still near them. Where
# the terms of a crystal slacken as it is compressed, fewer are; the last number keeps rounding from the data.
_MARGINS = (1.15, 1.07, 1.001)
# Compression of crystals: parts of the length; where one under tension is at rest at last; and parts of its
# steepest slope so far: the energy should go on rising with the first; with less than the second, it may fall
# between two lengths.
_LENGTHS = np.linspace(1.0, 0.58, 43)
_AT_REST = 0.95
_STEADY, _RESISTING = 0.9, 0.2
# Compositions of which crystals are compressed at most, and atoms of each. Of each composition, so many more
# crystals of few atoms, such as other structures than the stable one.
_MOST_COMPOSITIONS = 3
_MOST_ATOMS = 70
_OTHERS, _FEW_ATOMS = 3, 8
# Pushes of atoms onto neighbors: of how many structures, and with how many atoms, at most; how far these are
# rattled in Angstrom, which stands for melts; onto how many neighbors of a species; and the part of the sum
# of covalent radii within which other atoms are in the way.
_PUSHED_STRUCTURES, _PUSHED_ATOMS = 60, 3000
_RATTLE = 0.2
_MOST_WAYS = 2
_CLEAR = 0.75
# eV below the least energy of an atom in the data.
_BELOW_DATA = 0.2
# Two neighbors at no distance. In sparse data, whose neighbors stand at the end of the range, any approach
# would multiply the density.
_LEAST_LIMIT = 2.0


class Push(NamedTuple):
    """A structure, the atom in it that was pushed, and the unit vector of the push."""

    atoms: Atoms
    pushed: int
    direction: FloatArray

    def moved(self, further: float) -> Atoms:
        """The structure after `further` Angstrom of the push."""
        atoms = self.atoms.copy()
        atoms.positions[self.pushed] += further * self.direction
        return atoms

    def resistance(self, potential: Potential, further: float = 0.0) -> float:
        """Force in eV/Angstrom against the push, after `further` Angstrom of it."""
        atoms = self.moved(further)
        arrays = take_atoms(potential.species, atoms)
        forces = evaluate_arrays(potential, atoms, arrays, forces=True, stress=False)["forces"]
        return float(-forces[self.pushed] @ self.direction)


Distances: TypeAlias = Mapping[tuple[str, str], float]
Pushes: TypeAlias = dict[tuple[str, str], list[Push]]


class Crystal:
    """A crystal that is compressed uniformly.

    Parameters
    ----------
    atoms : ase.Atoms
    normal : float
        Volume per atom in Angstrom^3 of the stable crystal. Parts of the length refer to it; the first one is
        that of `atoms`, unless it is larger.
    """

    def __init__(self, atoms: Atoms, normal: float) -> None:
        self.atoms = atoms
        self._scale = (normal / float(_rooms([atoms])[0])) ** (1 / 3)
        lengths = _LENGTHS[self._scale * _LENGTHS < 1.0 + 1e-9]
        # Of data that are denser than all that is looked at, the end.
        self._lengths = lengths if len(lengths) > 2 else _LENGTHS[-2:]
        self._measured: tuple[Potential, float] | None = None

    def least_slope(self, potential: Potential) -> float:
        """Least slope of the energy under compression, as a part of the steepest so far."""
        if self._measured is None or self._measured[0] is not potential:
            self._measured = potential, self._measure(potential)
        return self._measured[1]

    def _measure(self, potential: Potential) -> float:
        species, positions, cell = take_atoms(potential.species, self.atoms)
        energies = []
        for length in self._scale * self._lengths:
            arrays = species, length * positions, length * cell
            results = evaluate_arrays(potential, self.atoms, arrays, forces=False, stress=False)
            energies.append(results["energies"].mean())
        slopes = np.diff(energies) / -np.diff(self._lengths)
        # Crystals under tension may fall at first.
        under_load = self._lengths[1:] < _AT_REST * self._lengths[0]
        slopes = slopes[under_load | (np.maximum.accumulate(slopes) > 0.0)]
        return float((slopes / np.maximum(np.maximum.accumulate(slopes), 1e-9)).min(initial=1.0))


def repulsive_potential(
    descriptors: PLIPDescriptors,
    coef: ArrayLike,
    references: Mapping[str, float],
    equations: NormalEquations,
    survey: Survey,
) -> tuple[Potential, bool]:
    """Potential with core repulsion, density limits and energy floors that leave all data as they are.

    Parameters
    ----------
    descriptors, coef, references
        As the first three parameters of `plip.potential.Potential`.
    equations : NormalEquations
        See `automatic_repulsion`.
    survey : Survey
        Of these equations.

    Returns
    -------
    potential : Potential
    resists : bool
        Whether it resists the compression of crystals of the data. Where terms fall steeply before they have
        faded out, no limit that leaves the data as they are helps.
    """
    steps: Steps = Counter()
    forces: dict[tuple[str, str], float] = {}

    def made() -> Potential:
        limits = automatic_repulsion(equations, steps)
        return Potential(descriptors, coef, references, *limits, core_forces=forces or None)

    potential = made()
    shortest_distances = equations.shortest_distances
    if shortest_distances is None:
        return potential, True
    floors, crystals = _look_at(survey, potential, np.flatnonzero(coef))
    pushes = _pushes(survey.structures, shortest_distances, potential.cutoff)
    for pair, of_pair in pushes.items():
        if _give_way(potential, of_pair):
            steps[pair] = len(_STARTS) - 1
    if steps:
        potential = made()
    wall = Potential(descriptors, coef, references, potential.repulsion)
    terms = Potential(descriptors, coef, references)
    forces = _known_forces(wall, terms, survey.structures, pushes, shortest_distances)
    if forces:
        potential = made()
    known = [pair for pair, shortest in shortest_distances.items() if math.isfinite(shortest)]

    last = len(_STARTS) - 1
    pairs, slackening = known, crystals
    while True:
        # What rises once does so too when repulsion begins earlier.
        pairs = [pair for pair in pairs if _falls(potential, pair, _STARTS[0] * shortest_distances[pair])]
        slackening = _weaker(slackening, potential, _STEADY, survey.n_jobs)
        symbols = {symbol for crystal in slackening for symbol in crystal.atoms.symbols}
        early = [pair for pair in pairs if steps[pair] < last or pair in forces]
        denser = [symbol for symbol in sorted(symbols) if steps[symbol] < len(_MARGINS) - 1]
        steps.update(denser)
        for pair in early:
            # A wall is tried first.
            if forces.pop(pair, None) is None:
                steps[pair] += 1
        if not early and not denser:
            # Where no density limit helps, pairs repel each other before the crystal falls.
            falling = _weaker(crystals, potential, _RESISTING, survey.n_jobs)
            inside = [pair for pair in known if any({*pair} <= {*of.atoms.symbols} for of in falling)]
            early = [pair for pair in inside if steps[pair] < last or pair in forces]
            if not early:
                break
            for pair in early:
                steps[pair] = last
                forces.pop(pair, None)
        potential = made()
    known_floors = None if equations.sample is None else floors
    limits = potential.repulsion, potential.density_limits, known_floors, potential.core_forces
    return Potential(descriptors, coef, references, *limits), not falling


def _weaker(crystals: list[Crystal], potential: Potential, slope: float, n_jobs: int | None) -> list[Crystal]:
    """The crystals whose least slope is below this one."""
    jobs = (joblib.delayed(crystal.least_slope)(potential) for crystal in crystals)
    slopes: list[float] = new_workers(n_jobs, is_local=True)(jobs)
    return [crystal for crystal, least in zip(crystals, slopes, strict=True) if least < slope]


def _energies(potential: Potential, atoms: Atoms) -> FloatArray:
    """Energies in eV of the atoms of a structure that was checked."""
    arrays = take_atoms(potential.species, atoms)
    return evaluate_arrays(potential, atoms, arrays, forces=False, stress=False)["energies"]


def _look_at(survey: Survey, potential: Potential, kept: IntArray) -> tuple[dict[str, float], list[Crystal]]:
    """What the structures of the fit say, which feel no repulsion.

    Returns
    -------
    floors : dict of str to float
        A little below the least energy of an atom of each species, its reference energy taken off, in eV.
    crystals : list of Crystal
        Of each of the most frequent compositions, that of least energy per atom, that of least volume, and
        some of few atoms.
    """
    least = np.full(len(potential.species), np.inf)
    kinds: dict[tuple[int, ...], list[tuple[float, Atoms]]] = {}
    references = np.array([potential.intercept[symbol] for symbol in potential.species])
    for atoms, (species_a, terms) in zip(survey.structures, survey.values(kept), strict=True):
        energies = terms @ potential.coef + references[species_a]
        np.minimum.at(least, species_a, energies)
        if atoms.pbc.all() and len(atoms) <= _MOST_ATOMS:
            counts = np.bincount(species_a, minlength=len(least))
            composition = tuple((counts // np.gcd.reduce(counts)).tolist())
            kinds.setdefault(composition, []).append((float(energies.mean()), atoms))
    # An atom alone is known, too: it has its reference energy.
    of_species = zip(potential.species, np.minimum(least - references, 0.0).tolist(), strict=True)
    floors = {symbol: math.floor(1e4 * (energy - _BELOW_DATA)) / 1e4 for symbol, energy in of_species}
    frequent = sorted(kinds.values(), key=len, reverse=True)[:_MOST_COMPOSITIONS]
    return floors, [crystal for alike in frequent for crystal in _crystals(alike)]


def _crystals(alike: list[tuple[float, Atoms]]) -> list[Crystal]:
    """Of structures of one composition, with their energies per atom, those to compress."""
    rooms = _rooms([atoms for _, atoms in alike])
    stable = min(range(len(alike)), key=lambda k: alike[k][0])
    chosen = [alike[stable][1], alike[int(np.argmin(rooms))][1]]
    least: dict[int, tuple[float, Atoms]] = {}
    for energy, atoms in alike:
        size = len(atoms)
        if size <= _FEW_ATOMS and (size not in least or energy < least[size][0]):
            least[size] = energy, atoms
    chosen += [least[size][1] for size in sorted(least)[:_OTHERS]]
    room = float(rooms[stable])
    return [Crystal(atoms, room) for atoms in {id(atoms): atoms for atoms in chosen}.values()]


def _falls(potential: Potential, pair: tuple[str, str], first: float) -> bool:
    """Whether the energy of an isolated pair falls where it comes closer than `first`, in Angstrom."""
    r = np.geomspace(first, _NO_FALL, 300)
    apart = 3.0 * potential.cutoff * np.arange(len(r))
    ends = np.stack([np.column_stack([apart, 0.0 * r, z]) for z in (0.0 * r, r)], axis=1)
    atoms = Atoms(pair * len(r), ends.reshape(-1, 3))
    energies = _energies(potential, atoms)
    return bool((np.diff(energies.reshape(-1, 2).sum(axis=1)) <= 0.0).any())


def _pushes(
    structures: list[Atoms], shortest_distances: Distances, cutoff: float, rattle: float = _RATTLE
) -> Pushes:
    """Structures in which an atom stands closer to a neighbor than any in the data.

    Of some structures, the atom of each species with the fewest neighbors is pushed, where the density limit
    helps least, onto the nearest neighbors of each species that no other atom stands before.
    """
    pushes: Pushes = {pair: [] for pair in shortest_distances}
    # Sparse ones first, and then any.
    several = [atoms for atoms in structures if len(atoms) > 1]
    size = sum(map(len, several)) / max(len(several), 1)
    number = int(min(_PUSHED_STRUCTURES, _PUSHED_ATOMS / max(size, 1.0), len(several)))
    sparse = [several[k] for k in np.argsort(-_rooms(several), kind="stable")[: number // 2]]
    evenly = np.unique(np.linspace(0, len(several) - 1, number - len(sparse)).astype(int))
    rng = np.random.default_rng(0)
    for atoms in (*sparse, *(several[k] for k in evenly)):
        atoms = atoms.copy()
        atoms.rattle(rattle, rng=rng)
        near = find_all_neighbors(atoms, cutoff)
        n_neighbors = np.diff(near.first_as)
        for symbol in sorted(set(atoms.symbols)):
            of_species = np.flatnonzero(atoms.symbols == symbol)
            i = int(of_species[n_neighbors[of_species].argmin()])
            for other in sorted(set(atoms.symbols)):
                pair = (symbol, other) if symbol <= other else (other, symbol)
                shortest = _STARTS[0] * shortest_distances[pair]
                for vector in _clear_ways(atoms, near, i, other) if math.isfinite(shortest) else ():
                    distance = float(np.linalg.norm(vector))
                    pushed = atoms.copy()
                    pushed.positions[i] += (1.0 - shortest / distance) * vector
                    pushes[pair].append(Push(pushed, i, vector / distance))
    return pushes


def _rooms(structures: Sequence[Atoms]) -> FloatArray:
    """Volume per atom of each structure in Angstrom^3, infinite for those that are not periodic."""
    are_periodic = [atoms.pbc.all() for atoms in structures]
    per_atom = volumes(structures) / [len(atoms) for atoms in structures]
    return np.where(are_periodic, per_atom, np.inf)


def _clear_ways(atoms: Atoms, near: Neighbors, i: int, other: str) -> list[FloatArray]:
    """Vectors from atom i to the nearest neighbors of a species that no other atom stands before."""
    part = slice(near.first_as[i], near.first_as[i + 1])
    vectors, distances, j = near.vector_pc[part], near.distance_p[part], near.neighbor_p[part]
    radii = covalent_radii[atoms.numbers]
    of_species = np.flatnonzero((j != i) & (atoms.symbols[j] == other))
    found = []
    for p in of_species[np.argsort(distances[of_species])]:
        # Of the others, how far from the neighbor they stand on the way, and how far from the way.
        along = np.clip(vectors @ vectors[p] / distances[p] ** 2, 0.0, 1.0)
        apart = np.linalg.norm(vectors - along[:, None] * vectors[p], axis=1)
        clear = apart > _CLEAR * (radii[i] + radii[j])
        clear[p] = True
        if clear.all():
            found.append(vectors[p])
        if len(found) == _MOST_WAYS:
            break
    return found


def _give_way(potential: Potential, pushes: list[Push]) -> bool:
    """Whether the energy hardly rises, or falls, as more than a few of the pushed atoms move on."""
    few = _FEW * len(pushes)
    for push in pushes:
        few -= push.resistance(potential) < _LEAST_SLOPE
        if few < 0.0:
            return True
    return False


def _known_forces(
    wall: Potential, terms: Potential, structures: list[Atoms], pushes: Pushes, shortest_distances: Distances
) -> dict[tuple[str, str], float]:
    """Forces in eV/Angstrom with which the core repulsion of pairs goes on where their terms end.

    Parameters
    ----------
    wall : Potential
        Terms with a core repulsion whose forces are not known, and without limits.
    terms : Potential
        The terms alone.
    structures, shortest_distances
        As in `_pushes`.
    pushes : dict of (str, str) to list of Push
        From `_pushes`.
    """
    assert wall.repulsion is not None
    forces: dict[tuple[str, str], float] = {}
    calm: Pushes = {}
    for pair, of_pair in pushes.items():
        further = _STARTS[0] * shortest_distances[pair] - _REST * wall.repulsion[pair][1]
        apart = _with_one_close_neighbor(wall, of_pair, further)
        if len(of_pair) >= _LEAST_PUSHES > len(apart):
            # Rattled atoms of crystals may all have others.
            calm = calm or _pushes(structures, shortest_distances, wall.cutoff, 0.0)
            apart += _with_one_close_neighbor(wall, calm[pair], further)
        if len(apart) >= _LEAST_PUSHES:
            slope = _slope_of_terms(wall, terms, pair, apart, further)
            force = float(f"{slope / _slope_of_repulsion(wall, pair, 1.0):.4g}")
            # Nuclei of light atoms repel by too little to go on from any slope.
            if _slope_of_repulsion(wall, pair, force) > 0.99 * slope > 0.0:
                forces[pair] = force
    return forces


def _slope_of_terms(
    wall: Potential, terms: Potential, pair: tuple[str, str], pushes: list[Push], further: float
) -> float:
    """How strongly the terms of a pair push where they come to rest, in eV/Angstrom; 0 if it is not known."""
    assert wall.repulsion is not None
    of_wall = _slope_of_repulsion(wall, pair, 0.0)
    before = further - (1.0 - _REST) * wall.repulsion[pair][1]
    # The pair feels the repulsion alone or the terms. All else is the same.
    others = np.array([push.resistance(wall, further) for push in pushes]) - of_wall
    slopes = np.array([push.resistance(terms, further) for push in pushes]) - others
    first = float(np.median([push.resistance(terms, before) for push in pushes] - others))
    low, slope, high = np.quantile(slopes, (_TENTH, 0.5, 1.0 - _TENTH)).tolist()
    pull = -float(np.quantile(others, _FEW))
    enough = max(slope, _LEAST_FORCE, _OF_PULL * pull)
    agrees = high - low < _ALIKE * enough and first - slope < _FALLEN * enough
    return enough if agrees and enough < max(_GROWN * first, of_wall) else 0.0


def _with_one_close_neighbor(wall: Potential, pushes: list[Push], further: float) -> list[Push]:
    """Some of the pushes whose atom feels the core repulsion of one neighbor alone."""
    assert wall.repulsion is not None
    starts = {pair: outer for pair, (_, outer) in wall.repulsion.items()}
    found = []
    for k in np.unique(np.linspace(0, len(pushes) - 1, _MOST_PUSHES).astype(int)) if pushes else ():
        atoms, pushed = pushes[k].moved(further), pushes[k].pushed
        near = find_all_neighbors(atoms, max(starts.values()))
        part = slice(near.first_as[pushed], near.first_as[pushed + 1])
        others = [sorted((atoms.symbols[pushed], other)) for other in atoms.symbols[near.neighbor_p[part]]]
        if (near.distance_p[part] < [starts[first, second] for first, second in others]).sum() == 1:
            found.append(pushes[k])
    return found


def _slope_of_repulsion(wall: Potential, pair: tuple[str, str], force: float) -> float:
    """How strongly the core repulsion of a pair pushes where terms come to rest, in eV/Angstrom."""
    assert wall.repulsion is not None
    r = np.array([_REST * wall.repulsion[pair][1]])
    return -float(core_repulsion(pair, wall.repulsion[pair], r, force)[0][0, 1])


def automatic_repulsion(
    equations: NormalEquations, steps: Steps
) -> tuple[dict[tuple[str, str], tuple[float, float]] | None, dict[str, tuple[float, float]] | None]:
    """Core repulsion and density limits.

    The core repulsion of a pair of species begins at 0.95 of its shortest distance in the data; that of a
    pair that never comes within the cutoff begins at 0.75 of the sum of its covalent radii, or at the cutoff
    if that is less. The density around an atom is limited to 1.15 times the largest in the data (1.07 or
    1.001 times where crystals would collapse), and to 2 at least.

    Parameters
    ----------
    equations : NormalEquations
        Which know the shortest distances and the largest densities of their structures.
    steps : Counter of (str, str) and of str
        How many steps earlier the repulsion of a pair begins: at 0.955 (1), 0.96 (2), 0.97 (3), 0.98 (4) or
        all (5) of the shortest distance. How many steps less the density around atoms of a species may
        exceed that of the data: times 1.07 (1) or 1.001 (2).

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
    if equations.shortest_distances is None or equations.largest_densities is None:
        warn(
            "these normal equations come from a version of plip that did not keep the shortest distances of "
            "the data: the potential has no core repulsion. Accumulate them anew from the structures",
        )
        return None, None
    searched = max(term.cutoff for term in equations.terms)
    repulsion = {}
    for pair, shortest in equations.shortest_distances.items():
        if math.isfinite(shortest):
            outer = np.floor(1000.0 * _STARTS[steps[pair]] * shortest) / 1000.0
        else:
            # No farther than the data were searched: they may hold closer pairs.
            radii = sum(covalent_radii[atomic_numbers[symbol]] for symbol in pair)
            outer = min(_OF_RADII * radii, searched)
        outer = float(outer)
        inner = max(_INNER * outer, min(_LONGEST_INNER, 0.5 * outer))
        repulsion[pair] = round(inner, 4), round(outer, 3)
    limits = {
        symbol: (equations.density_range, max(_MARGINS[steps[symbol]] * largest, _LEAST_LIMIT))
        for symbol, largest in equations.largest_densities.items()
    }
    return repulsion, limits
