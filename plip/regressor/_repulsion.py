"""Where the core repulsion of a potential begins, from how far its data reach."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import ArrayLike

from plip._structures._evaluation import take_atoms
from plip._structures._isolated import is_isolated_atom
from plip._types import FloatArray, IntArray
from plip._warnings import warn
from plip.descriptors import PLIPDescriptors
from plip.normal_equations import NormalEquations
from plip.potential import Potential
from plip.potential._prediction import evaluate_arrays
from plip.regressor._compression import (
    MOST_ATOMS,
    RESISTING,
    STEADY,
    Crystal,
    choose_crystals,
    weaker_crystals,
)
from plip.regressor._core_forces import known_forces
from plip.regressor._pushes import FEW, START, Push, find_pushes
from plip.regressor._survey import Survey

__all__ = ["automatic_repulsion", "repulsive_potential"]

# Steps by pair of species (core repulsion) and by species (density limit).
Steps: TypeAlias = Counter[tuple[str, str] | str]

# Of the shortest distance in the data. The repulsion of pairs that repel each other where the data end, such
# as neighbors in crystals, begins at the first part, so that it leaves closer pairs of other data alone. It
# begins at the next ones if two such atoms alone would fall together, at the last one if pairs hardly repel
# or crystals fall.
_STARTS = (START, 0.955, 0.96, 0.97, 0.98, 1.0)
_LAST = len(_STARTS) - 1
# eV/Angstrom. Pairs hardly repel if more than a few pushed atoms meet less force at the first distance.
_LEAST_SLOPE = 2.0
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
# eV below the least energy of an atom in the data.
_BELOW_DATA = 0.2
# Two neighbors at no distance. In sparse data, whose neighbors stand at the end of the range, any approach
# would multiply the density.
_LEAST_LIMIT = 2.0


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
    search = _Search(descriptors, coef, references, equations)
    if equations.shortest_distances is None:
        return search.potential, True
    floors, crystals = _look_at(survey, search.potential, np.flatnonzero(coef))
    search.heed_pushes(survey.structures)
    resists = search.heed_falls(crystals, survey.n_jobs)
    return search.with_floors(None if equations.sample is None else floors), resists


class _Search:
    """Potentials of the same terms on the way to a repulsion under which nothing falls together.

    Attributes
    ----------
    potential : Potential
        The one so far.
    """

    def __init__(
        self,
        descriptors: PLIPDescriptors,
        coef: ArrayLike,
        references: Mapping[str, float],
        equations: NormalEquations,
    ) -> None:
        self._of_terms = functools.partial(Potential, descriptors, coef, references)
        self._equations = equations
        self._shortest = equations.shortest_distances or {}
        self._steps: Steps = Counter()
        self._forces: dict[tuple[str, str], float] = {}
        self.potential = self._made()

    def _made(self) -> Potential:
        limits = automatic_repulsion(self._equations, self._steps)
        return self._of_terms(*limits, core_forces=self._forces or None)

    def with_floors(self, floors: Mapping[str, float] | None) -> Potential:
        """The potential so far with energy floors."""
        found = self.potential
        return self._of_terms(found.repulsion, found.density_limits, floors, found.core_forces)

    def heed_pushes(self, structures: list[Atoms]) -> None:
        """Begin as pushed atoms of the data meet resistance, with the forces that they feel."""
        pushes = find_pushes(structures, self._shortest, self.potential.cutoff)
        for pair, of_pair in pushes.items():
            if _give_way(self.potential, of_pair):
                self._steps[pair] = _LAST
        if self._steps:
            self.potential = self._made()
        wall, terms = self._of_terms(self.potential.repulsion), self._of_terms()
        self._forces = known_forces(wall, terms, structures, pushes, self._shortest)
        if self._forces:
            self.potential = self._made()

    def heed_falls(self, crystals: list[Crystal], n_jobs: int | None) -> bool:
        """Begin earlier until no isolated pair falls and crystals resist compression; whether they do."""
        known = [pair for pair, shortest in self._shortest.items() if math.isfinite(shortest)]
        pairs, slackening = known, crystals
        while True:
            # What rises once does so too when repulsion begins earlier.
            pairs = [pair for pair in pairs if _falls(self.potential, pair, START * self._shortest[pair])]
            slackening = weaker_crystals(slackening, self.potential, STEADY, n_jobs)
            if not self._step(pairs, slackening):
                # Where no density limit helps, pairs repel each other before the crystal falls.
                falling = weaker_crystals(crystals, self.potential, RESISTING, n_jobs)
                inside = [pair for pair in known if any({*pair} <= {*of.atoms.symbols} for of in falling)]
                if not self._leap(inside):
                    return not falling
            self.potential = self._made()

    def _can_be_earlier(self, pair: tuple[str, str]) -> bool:
        return self._steps[pair] < _LAST or pair in self._forces

    def _step(self, pairs: Sequence[tuple[str, str]], crystals: Sequence[Crystal]) -> bool:
        """One step for pairs and for the densities of crystals, as far as there is any; whether there is."""
        early = [pair for pair in pairs if self._can_be_earlier(pair)]
        symbols = sorted({symbol for crystal in crystals for symbol in crystal.atoms.symbols})
        less_dense = [symbol for symbol in symbols if self._steps[symbol] < len(_MARGINS) - 1]
        self._steps.update(less_dense)
        for pair in early:
            # A wall is tried first.
            if self._forces.pop(pair, None) is None:
                self._steps[pair] += 1
        return bool(early or less_dense)

    def _leap(self, pairs: Sequence[tuple[str, str]]) -> bool:
        """All steps for pairs, if there are any left; whether there were."""
        early = [pair for pair in pairs if self._can_be_earlier(pair)]
        for pair in early:
            self._steps[pair] = _LAST
            self._forces.pop(pair, None)
        return bool(early)


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
        # An atom without neighbors is no crystal, even in a periodic box.
        is_alone = is_isolated_atom(atoms, potential.cutoff)
        if atoms.pbc.all() and len(atoms) <= MOST_ATOMS and not is_alone:
            counts = np.bincount(species_a, minlength=len(least))
            composition = tuple((counts // np.gcd.reduce(counts)).tolist())
            kinds.setdefault(composition, []).append((float(energies.mean()), atoms))
    # An atom alone is known, too: it has its reference energy.
    of_species = zip(potential.species, np.minimum(least - references, 0.0).tolist(), strict=True)
    floors = {symbol: math.floor(1e4 * (energy - _BELOW_DATA)) / 1e4 for symbol, energy in of_species}
    return floors, choose_crystals(kinds.values())


def _falls(potential: Potential, pair: tuple[str, str], first: float) -> bool:
    """Whether the energy of an isolated pair falls where it comes closer than `first`, in Angstrom."""
    r = np.geomspace(first, _NO_FALL, 300)
    apart = 3.0 * potential.cutoff * np.arange(len(r))
    ends = np.stack([np.column_stack([apart, 0.0 * r, z]) for z in (0.0 * r, r)], axis=1)
    atoms = Atoms(pair * len(r), ends.reshape(-1, 3))
    energies = _energies(potential, atoms)
    return bool((np.diff(energies.reshape(-1, 2).sum(axis=1)) <= 0.0).any())


def _give_way(potential: Potential, pushes: list[Push]) -> bool:
    """Whether the energy hardly rises, or falls, as more than a few of the pushed atoms move on."""
    few = FEW * len(pushes)
    for push in pushes:
        few -= push.resistance(potential) < _LEAST_SLOPE
        if few < 0.0:
            return True
    return False


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
