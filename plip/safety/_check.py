"""The check of a potential: pairs, pushed atoms, crystals that are compressed or expanded, and hot runs."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import chemical_symbols

from plip._structures._checks import check_structures, volumes
from plip._structures._isolated import is_isolated_atom
from plip._structures._neighbors import Neighbors, find_all_neighbors
from plip._types import FloatArray, Int32Array
from plip.labels._attached import attached_energy
from plip.safety._cells import supercell
from plip.safety._distances import Pair, core_distances, labelable, sorted_pair, sum_of_radii
from plip.safety._hot_runs import FAR_BELOW, TEMPERATURE, HotRuns
from plip.safety._report import Figure, Finding, SafetyReport, kind_of, name_of

if TYPE_CHECKING:
    from plip.potential import Potential

__all__ = ["check_safety"]

# Pairs of atoms are followed from 0.95 of the core distance, or from half the sum of their covalent radii,
# down to the last distance in Angstrom.
_FIRST, _OF_RADII, _LAST = 0.95, 0.5, 0.1
# Least energy in eV that two atoms must gain on this way; any two nuclei, even of hydrogen, repel by more.
_LEAST_WALL = 10.0
# Smallest and largest length of a crystal under uniform compression and expansion, over its own.
_SMALLEST, _LARGEST = 0.6, 1.5
# A crystal under tension loses energy while it shrinks, at most down to the first number times its length. A
# crystal is under no tension if there is a denser one in the data, whose length is below the second number.
_RELEASE, _DENSEST = 0.9, 0.98
# A fall in energy of less than this, in eV, is rounding, or too shallow to hold an atom.
_SHALLOW = 1e-3
# Stands for energies that are not finite, in eV.
_BOTTOMLESS = 1e100
# Most energy in eV that an atom may gain when it leaves a crystal; it should lose several eV.
_EVAPORATION = 1.0
# A gain is that of the data if its standard deviation is a smaller part of it. Where the data do not tell the
# energy of a single atom, it is a quarter or more.
_CERTAIN = 0.1
# Most structures, and most energies of atoms, that a scan computes, which bounds the time.
_MOST_CRYSTALS = 5
_MOST_RANKED = 300
_MOST_PUSHED = 12
_MOST_BONDS = 6
_PUSH_POINTS = 20
# Part of the way from which on other atoms do not count: the neighbor itself repels more. In compounds its
# other neighbors, often of the species that is pushed, stand closer to it than to each other.
_NEARLY_THERE = 0.75
_MOST_ENERGIES = 40_000
# Structures on the way to a length at which a crystal has less energy.
_ON_THE_WAY = 3

Item = TypeVar("Item")


def check_safety(potential: Potential, structures: Iterable[Atoms] | None = None) -> SafetyReport:
    """See `plip.Potential.check_safety`.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from plip.safety import check_safety
    >>> print(check_safety(model.potential_, train[::8]))
    Safety: nothing found (...)
    """
    checked = []
    if structures is not None:
        checked = check_structures(structures, species=set(potential.species), cutoff=potential.cutoff)
    check = _Check(potential, checked)
    check.pairs()
    check.crystals()
    check.pushes()
    check.hot_atoms()
    return SafetyReport(tuple(check.findings), check.counts)


class _Check:
    """One check: its findings, and how much was tried."""

    def __init__(self, potential: Potential, structures: list[Atoms]) -> None:
        self.potential = potential
        self.findings: list[Finding] = []
        self.counts: dict[str, int] = {}
        self.structures = structures
        self.distances = core_distances(potential, self.structures)
        self.samples = self._samples() if self.structures else self._lattices()

    def _find(self, kind: str, message: str, structures: Sequence[Atoms], **figures: Figure) -> None:
        shown = labelable(structures, self.distances)
        self.findings.append(Finding(kind, message, figures, shown))

    def _energy(self, atoms: Atoms) -> float:
        try:
            return self.potential.energy(atoms)
        except ValueError:  # not finite
            return -_BOTTOMLESS

    # Crystals

    def _samples(self) -> list[tuple[Atoms, float]]:
        """For each of the most frequent compositions, the structure of lowest energy and the length at which
        it has the least volume per atom in the data.
        """
        # A single atom without neighbors is no crystal, and any molecule has less energy.
        bound = [atoms for atoms in self.structures if not is_isolated_atom(atoms, self.potential.cutoff)]
        kinds = [_composition(atoms) for atoms in bound]
        frequent = [kind for kind, _ in Counter(kinds).most_common(_MOST_CRYSTALS)]
        samples = []
        for kind in frequent:
            alike = [atoms for atoms, other in zip(bound, kinds, strict=True) if other == kind]
            # Crystals are preferred to molecules.
            alike = [atoms for atoms in alike if atoms.pbc.all()] or alike
            crystal = self._lowest(alike, _MOST_RANKED // len(frequent))
            start = 1.0
            if crystal.pbc.all():
                volume = crystal.get_volume() / len(crystal)
                least = np.min(volumes(alike) / [len(atoms) for atoms in alike])
                start = float(least / volume) ** (1 / 3)
            samples.append((crystal, start))
        return samples

    def _lowest(self, alike: list[Atoms], most: int) -> Atoms:
        """The structure of lowest energy by the labels; without labels by the potential, which then is
        evaluated for at most so many structures.
        """
        energies = [attached_energy(atoms) for atoms in alike]
        if not np.isfinite(energies).all():
            alike = _spread(alike, most)
            energies = [self._energy(atoms) for atoms in alike]
        return alike[int(np.argmin([e / len(atoms) for e, atoms in zip(energies, alike, strict=True)]))]

    def _neighbors(self, atoms: Atoms) -> Neighbors:
        return find_all_neighbors(atoms, self.potential.cutoff)

    def _lattices(self) -> list[tuple[Atoms, float]]:
        """Simple lattices whose nearest neighbors are at the core distance."""
        samples = []
        for (first, second), outer in self.distances.items():
            structures = ("fcc", "bcc", "diamond") if first == second else ("rocksalt", "cesiumchloride")
            for structure in structures:
                atoms = bulk(first if first == second else first + second, structure, a=1.0)
                nearest = find_all_neighbors(atoms, 1.0).distance_p.min()
                atoms.set_cell(atoms.cell * (outer / nearest), scale_atoms=True)
                samples.append((atoms, 1.0))
        return samples

    def crystals(self) -> None:
        """Uniform compression and expansion."""
        for crystal, start in self.samples:
            name = name_of(crystal)
            lengths = np.linspace(start, min(_SMALLEST, start), 25)
            energies = np.array([self._energy(_scaled(crystal, length)) / len(crystal) for length in lengths])
            first = int(np.argmax(np.diff(energies, append=np.inf) >= 0.0)) if start > _DENSEST else 0
            if lengths[first] < _RELEASE * start or energies[0] - energies[first] > FAR_BELOW:
                first = 0
            fall, high, low = _deepest_fall(energies[first:])
            if fall > _SHALLOW:
                high, low = lengths[first + high], lengths[first + low]
                self._find(
                    "compression",
                    f"{name}: the energy falls by {fall:.3g} eV/atom from {high:.2f} to {low:.2f} of the "
                    "length",
                    [_scaled(crystal, high), _scaled(crystal, low)],
                    composition=name,
                    fall=fall,
                    lengths=(high, low),
                )
            if not self.structures:
                continue  # without data nobody knows the density of the crystal
            self._expanded(name, crystal)
            self._evaporated(name, crystal)
        self.counts["crystals or lattices"] = len(self.samples)

    def _expanded(self, name: str, crystal: Atoms) -> None:
        lengths = [*np.linspace(1.0, _LARGEST, 26), math.inf]
        energies = [self._energy(_scaled(crystal, length)) / len(crystal) for length in lengths[:-1]]
        energies.append(float(np.mean([self.potential.intercept[symbol] for symbol in crystal.symbols])))
        lowest = int(np.argmin(energies))
        depth, length = energies[0] - energies[lowest], lengths[lowest]
        if depth > FAR_BELOW:
            is_whole = length < math.inf
            self._find(
                "expansion",
                f"{name}: {depth:.3g} eV/atom below the {kind_of(crystal)} "
                + (f"at {length:.2f} of the length" if is_whole else "as single atoms"),
                [_scaled(crystal, x) for x in np.linspace(length, 1.0, _ON_THE_WAY, endpoint=False)]
                if is_whole
                else [*map(Atoms, sorted(set(crystal.symbols)))],
                composition=name,
                depth=depth,
                length=length,
            )

    def _evaporated(self, name: str, crystal: Atoms) -> None:
        """One atom of each species leaves the crystal."""
        atoms = supercell(crystal)
        energy = self._energy(atoms)
        for symbol in sorted(set(atoms.symbols)) if len(atoms) > 1 else ():
            left = atoms.copy()
            del left[int(np.flatnonzero(atoms.symbols == symbol)[0])]
            gain = energy - self._energy(left) - self.potential.intercept[symbol]
            if gain > _EVAPORATION and not self._is_known(gain, left, symbol):
                self._find(
                    "evaporation",
                    f"{name}: an atom of {symbol} gains {gain:.3g} eV when it leaves the {kind_of(crystal)}",
                    [left, Atoms(symbol)],
                    composition=name,
                    species=symbol,
                    gain=gain,
                )

    def _is_known(self, gain: float, left: Atoms, symbol: str) -> bool:
        """Whether the data say that an atom gains this energy, as helium in metals does.

        They do if they hold such surroundings as are left, and tell the energies of both parts.
        """
        if self.potential.uncertainty is None:
            return False
        of_left, of_atom = (self.potential.evaluate(part, uncertainty=True) for part in (left, Atoms(symbol)))
        is_alone = any(
            is_isolated_atom(atoms, self.potential.cutoff) and atoms.symbols[0] == symbol
            for atoms in self.structures
        )
        deviation = of_left["energy_std"] + (0.0 if is_alone else of_atom["energy_std"])
        return bool(of_left["extrapolation"].max() <= 1.0 and deviation < _CERTAIN * gain)

    # Pairs

    def pairs(self) -> None:
        """Isolated pairs of atoms at many distances, all in one structure in which they do not interact."""
        potential, cutoff = self.potential, self.potential.cutoff
        curves: list[tuple[Pair, int, FloatArray]] = []
        symbols: list[str] = []
        x: list[float] = []
        for pair, outer in self.distances.items():
            # No two atoms are bound at half the sum of their radii, even if the data reach farther.
            first = max(_FIRST * outer, min(_OF_RADII * sum_of_radii(pair), cutoff))
            near = np.geomspace(first, _LAST, 100)
            far = np.linspace(cutoff, first, 100, endpoint=False)
            curves.append((pair, len(far), np.concatenate([far, near])))
            for r in curves[-1][2]:
                left = x[-1] + cutoff + 1.0 if x else 0.0
                x += [left, left + r]
                symbols += pair
        atoms = Atoms(symbols, np.column_stack([x, np.zeros((len(x), 2))]))
        try:
            energies = potential.evaluate(atoms, forces=False, stress=False)["energies"]
        except ValueError as error:
            self._find("pair", str(error), [])
            return
        energies = energies.reshape(-1, 2).sum(axis=1)
        for pair, n_far, r in curves:
            of_pair, energies = energies[: len(r)], energies[len(r) :]
            of_pair = of_pair - sum(potential.intercept[symbol] for symbol in pair)
            if "X" not in pair:  # a dummy atom has no nucleus that repels
                self._wall(pair, r[n_far:], of_pair[n_far:])
            self._dimer(pair, r, of_pair)
        self.counts["pairs of species"] = len(curves)

    def _wall(self, pair: Pair, r: FloatArray, energies: FloatArray) -> None:
        name = "-".join(pair)
        fall, high, low = _deepest_fall(energies)
        if fall > _SHALLOW:
            self._find(
                "pair",
                f"{name}: the energy of two atoms falls by {fall:.3g} eV from {r[high]:.2f} to "
                f"{r[low]:.2f} A",
                [_two_atoms(pair, r[high]), _two_atoms(pair, r[low])],
                pair=name,
                fall=fall,
                distances=(r[high], r[low]),
            )
        elif energies[-1] - energies[0] < _LEAST_WALL:
            wall = energies[-1] - energies[0]
            self._find(
                "pair",
                f"{name}: two atoms at {_LAST:g} A have only {wall:.3g} eV more than at {r[0]:.2f} A",
                [_two_atoms(pair, r[0])],
                pair=name,
                wall=wall,
                distances=(r[0], r[-1]),
            )

    def _dimer(self, pair: Pair, r: FloatArray, energies: FloatArray) -> None:
        """Molecules of two atoms must not have less energy than the crystal of the same composition."""
        lowest = int(energies.argmin())
        if energies[lowest] > -_SHALLOW:
            return  # no molecule
        energy = 0.5 * (energies[lowest] + sum(self.potential.intercept[symbol] for symbol in pair))
        for crystal, _ in self.samples if self.structures else ():
            if _composition(crystal) == _composition(Atoms(pair)):
                depth = self._energy(crystal) / len(crystal) - energy
                if depth > FAR_BELOW:
                    name = "-".join(pair)
                    self._find(
                        "dimer",
                        f"{name}: two atoms at {r[lowest]:.2f} A have {depth:.3g} eV/atom less than the "
                        f"{kind_of(crystal)}",
                        [_two_atoms(pair, r[lowest])],
                        pair=name,
                        depth=depth,
                        distance=r[lowest],
                    )

    def pushes(self) -> None:
        """Atoms in structures, each pushed onto one of its nearest neighbors."""
        looked_at = [atoms for atoms, _ in self.samples]
        looked_at += _spread(self.structures, _MOST_PUSHED - min(len(looked_at), _MOST_PUSHED // 2))
        energies_left, n_pushes = _MOST_ENERGIES, 0
        falls: dict[Pair, list[tuple[float, Atoms, Atoms, float, float]]] = {}
        for k, atoms in enumerate(looked_at):
            share = energies_left // (len(looked_at) - k)
            number = min(_MOST_BONDS, share // (_PUSH_POINTS * len(atoms)))
            for i, j, vector, distance in self._bonds(atoms, number):
                pair = sorted_pair(atoms.symbols[i], atoms.symbols[j])
                r = np.geomspace(min(_FIRST * self.distances[pair], distance), _LAST, _PUSH_POINTS)
                pushed = [_pushed(atoms, i, vector * (1.0 - x / distance)) for x in r]
                fall, high, low = _deepest_fall(np.array([self._energy(one) for one in pushed]))
                if fall > _SHALLOW:
                    falls.setdefault(pair, []).append((fall, pushed[high], pushed[low], r[high], r[low]))
                energies_left -= _PUSH_POINTS * len(atoms)
                n_pushes += 1
        for pair, of_pair in falls.items():
            name = "-".join(pair)
            fall, pushed_atoms, _, outer, inner = max(of_pair, key=lambda one: one[0])
            self._find(
                "push",
                f"{name}: an atom of {pushed_atoms.get_chemical_formula()} pushed onto a neighbor gains "
                f"{fall:.3g} eV from {outer:.2f} to {inner:.2f} A",
                [atoms for _, higher, lower, _, _ in of_pair for atoms in (higher, lower)],
                pair=name,
                fall=fall,
                distances=(outer, inner),
            )
        self.counts["pushed atoms"] = n_pushes

    def _bonds(self, atoms: Atoms, number: int) -> list[tuple[int, int, FloatArray, float]]:
        """Pairs of neighbors (i, j, vector, distance) without an atom on the way from i to j.

        At most so many; nearest neighbors first, and all pairs of species in turn.
        """
        near = self._neighbors(atoms)
        i, j, d, vectors = near.centers(1), near.neighbor_p, near.distance_p, near.vector_pc
        names = atoms.get_chemical_symbols()
        # By rank among the neighbors of an atom, then by atoms in an order that leaps over the structure.
        order = np.lexsort((d, i))
        rank = np.empty(len(i), int)
        rank[order] = np.arange(len(i)) - np.searchsorted(i[order], i[order])
        kinds: dict[Pair, list[int]] = {}
        for p in np.lexsort(((i * 0.6180339887498949) % 1.0, rank)).tolist():
            kinds.setdefault(sorted_pair(names[i[p]], names[j[p]]), []).append(p)
        in_turn = itertools.chain.from_iterable(itertools.zip_longest(*kinds.values()))
        found: list[tuple[int, int, FloatArray, float]] = []
        for p in (p for p in in_turn if p is not None):
            if len(found) == number:
                break
            others = np.flatnonzero((i == i[p]) & (np.arange(len(i)) != p))
            if i[p] != j[p] and self._is_clear(names, i[p], vectors[p], j[others], vectors[others]):
                found.append((int(i[p]), int(j[p]), vectors[p], float(d[p])))
        return found

    def _is_clear(
        self, names: list[str], i: int, vector: FloatArray, others: Int32Array, vectors: FloatArray
    ) -> bool:
        """Whether atom i stays outside the core distances of others on most of its way along a vector."""
        along = np.clip(vectors @ vector / (vector @ vector), 0.0, 1.0)
        passing = np.linalg.norm(vectors - along[:, None] * vector, axis=1)
        least = np.array([self.distances[sorted_pair(names[i], names[k])] for k in others])
        return bool((passing >= least)[along < _NEARLY_THERE].all())

    # Hot atoms

    def hot_atoms(self) -> None:
        """Some hundred steps of a hot crystal, of one with interstitial atoms, of a slab of it, and of each
        molecule.
        """
        if not self.structures:
            return
        runs = HotRuns(self.potential, self.distances)
        # The crystal with most species, all pairs of which meet.
        crystals = [atoms for atoms, _ in self.samples if atoms.pbc.any()]
        crystals = sorted(crystals, key=lambda atoms: -len(set(atoms.symbols)))[:1]
        molecules = [atoms for atoms, _ in self.samples if len(atoms) > 1 and not atoms.pbc.any()]
        for atoms in crystals + molecules:
            runs.run(atoms)
        self.findings += runs.findings
        self.counts[f"steps at {TEMPERATURE:,.0f} K"] = runs.n_steps


def _scaled(atoms: Atoms, length: float) -> Atoms:
    """Atoms and cell at another length."""
    scaled = atoms.copy()
    scaled.positions *= length
    scaled.cell *= length
    return scaled


def _pushed(atoms: Atoms, i: int, vector: FloatArray) -> Atoms:
    """The structure with atom i moved."""
    pushed = atoms.copy()
    pushed.positions[i] += vector
    return pushed


def _two_atoms(pair: Pair, distance: float) -> Atoms:
    return Atoms(pair, [(0.0, 0.0, 0.0), (distance, 0.0, 0.0)])


def _composition(atoms: Atoms) -> tuple[tuple[str, int], ...]:
    """Reduced composition, a tuple of symbols and numbers."""
    counts = Counter(atoms.numbers.tolist())
    divisor = math.gcd(*counts.values())
    return tuple(sorted((chemical_symbols[number], count // divisor) for number, count in counts.items()))


def _spread(items: Sequence[Item], number: int) -> list[Item]:
    """At most so many items, evenly spread over the sequence."""
    if len(items) <= number:
        return list(items)
    return [items[k] for k in np.linspace(0, len(items) - 1, number).round().astype(int)]


def _deepest_fall(energies: FloatArray) -> tuple[float, int, int]:
    """The largest fall along a sequence, and the places where it begins and ends."""
    highest = np.maximum.accumulate(energies)
    low = int(np.argmax(highest - energies))
    high = int(np.argmax(energies[: low + 1]))
    return float(highest[low] - energies[low]), high, low
