"""Whether a potential is safe to simulate with: short distances, compression, expansion, hot atoms."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
from ase import Atom, Atoms, units
from ase.build import bulk
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from plip._structures._checks import check_structures, volumes
from plip._structures._neighbors import Neighbors, find_all_neighbors
from plip._types import FloatArray, Int32Array

if TYPE_CHECKING:
    from plip.potential import Potential

__all__ = ["Finding", "SafetyReport", "check_safety"]

# The core distance of a pair of species is where its repulsion begins: at 0.96 to 1 of the shortest distance
# in the data. Pairs of atoms are followed from 0.95 of it down to the last distance in Angstrom.
_FIRST, _LAST = 0.95, 0.1
_BEGINNING = 0.96
# Least energy in eV that two atoms must gain on this way; any two nuclei, even of hydrogen, repel by more.
_LEAST_WALL = 10.0
# Smallest and largest length of a crystal under uniform compression and expansion, over its own.
_SMALLEST, _LARGEST = 0.6, 1.5
# A crystal under tension loses energy while it shrinks, at most down to the first number times its length. A
# crystal is under no tension if there is a denser one in the data, whose length is below the second number.
_RELEASE, _DENSEST = 0.9, 0.98
# A fall in energy of less than this, in eV, is rounding, or too shallow to hold an atom.
_SHALLOW = 1e-3
# So many eV/atom below the crystal is far below it: no polymorph that a fit has missed lies so deep.
_FAR_BELOW = 0.5
# Stands for energies that are not finite, in eV.
_BOTTOMLESS = 1e100
# Most energy in eV that an atom may gain when it leaves a crystal; it should lose several eV.
_EVAPORATION = 1.0
# Atoms have fused if they are closer than this times the core distance, and than this times the sum of their
# covalent radii: no thermal collision comes so close (for silicon it takes 70 eV).
_FUSED = 0.5
# The hot run: temperature in kelvin, number of steps with and without heating, steps between two draws of
# velocities, least number of atoms.
_TEMPERATURE = 5000.0
_HEATED_STEPS = 300
_FREE_STEPS = 200
_DRAW = 50
_FEWEST_ATOMS = 32
# Time step for carbon in femtoseconds; it grows with the root of the mass, as the periods of vibrations do.
_TIME_STEP = 0.5
# Largest change of the total energy in eV/atom; that of smooth potentials is a tenth of it.
_DRIFT = 0.02
# Vacuum beside a slab in Angstrom.
_VACUUM = 10.0
# Most structures, and most energies of atoms, that a scan computes, which bounds the time.
_MOST_CRYSTALS = 5
_MOST_RANKED = 300
_MOST_PUSHED = 12
_MOST_BONDS = 6
_PUSH_POINTS = 20
_MOST_ENERGIES = 40_000
_MOST_HEATED = 100_000


Pair: TypeAlias = tuple[str, str]
Figure: TypeAlias = float | tuple[float, ...] | str
Item = TypeVar("Item")


@dataclass(frozen=True)
class Finding:
    """One way in which a potential fails.

    Attributes
    ----------
    kind : {"pair", "dimer", "push", "compression", "expansion", "evaporation", "collapse", "drift"}
        What was tried.
    message : str
        What happened, in one line.
    figures : mapping of str to float, tuple of float or str
        The numbers of the message, in eV, Angstrom, kelvin and femtoseconds.

    Examples
    --------
    >>> from plip import PLIPDescriptors, PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, _ = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=40, contribution_penalty=0.0, repulsion=None).fit(train[::4])
    >>> finding = model.potential_.check_safety(train[::4]).findings[0]
    >>> finding.kind
    'pair'
    """

    kind: str
    message: str
    figures: Mapping[str, Figure] = field(default_factory=lambda: MappingProxyType({}))

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


@dataclass(frozen=True, repr=False)
class SafetyReport:
    """What `plip.Potential.check_safety` found.

    Attributes
    ----------
    findings : tuple of Finding
        Empty if nothing failed.
    counts : mapping of str to int
        How many pairs, pushed atoms, crystals and time steps were tried.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> report = model.potential_.check_safety(train[::8])
    >>> report.is_safe, report.findings
    (True, ())
    """

    findings: tuple[Finding, ...]
    counts: Mapping[str, int]

    @property
    def is_safe(self) -> bool:
        """Whether there is no finding."""
        return not self.findings

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of findings, a sorted tuple of str."""
        return tuple(sorted({finding.kind for finding in self.findings}))

    def __str__(self) -> str:
        tried = ", ".join(f"{name}: {count}" for name, count in self.counts.items() if count)
        if self.is_safe:
            return f"Safety: nothing found ({tried})"
        number = len(self.findings)
        head = f"Safety: {number} finding{'s' * (number > 1)} ({tried})"
        return "\n".join([head, *(f"  {finding}" for finding in self.findings)])

    __repr__ = __str__


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
    return SafetyReport(tuple(check.findings), MappingProxyType(dict(check.counts)))


class _Check:
    """One check: its findings, and how much was tried."""

    def __init__(self, potential: Potential, structures: list[Atoms]) -> None:
        self.potential = potential
        self.findings: list[Finding] = []
        self.counts: dict[str, int] = {}
        self.structures = structures
        self.distances = _core_distances(potential, self.structures)
        self.samples = self._samples() if self.structures else self._lattices()

    def _find(self, kind: str, message: str, **figures: Figure) -> None:
        self.findings.append(Finding(kind, message, MappingProxyType(figures)))

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
        kinds = [_composition(atoms) for atoms in self.structures]
        frequent = [kind for kind, _ in Counter(kinds).most_common(_MOST_CRYSTALS)]
        samples = []
        for kind in frequent:
            alike = [atoms for atoms, other in zip(self.structures, kinds, strict=True) if other == kind]
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
        # A single atom without neighbors is no crystal.
        bound = [
            atoms for atoms in alike if len(atoms) > 1 or self._neighbors(atoms).distance_p.size
        ] or alike
        labels = [_label(atoms) for atoms in bound]
        energies = [label for label in labels if label is not None]
        if len(energies) < len(bound):
            bound = _spread(bound, most)
            energies = [self._energy(atoms) for atoms in bound]
        return bound[int(np.argmin([e / len(atoms) for e, atoms in zip(energies, bound, strict=True)]))]

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
            name = crystal.get_chemical_formula(empirical=True)
            lengths = np.linspace(start, min(_SMALLEST, start), 25)
            energies = np.array([self._scaled(crystal, length) for length in lengths])
            first = int(np.argmax(np.diff(energies, append=np.inf) >= 0.0)) if start > _DENSEST else 0
            if lengths[first] < _RELEASE * start or energies[0] - energies[first] > _FAR_BELOW:
                first = 0
            fall, high, low = _deepest_fall(energies[first:])
            if fall > _SHALLOW:
                high, low = lengths[first + high], lengths[first + low]
                self._find(
                    "compression",
                    f"{name}: the energy falls by {fall:.3g} eV/atom from {high:.2f} to {low:.2f} of the "
                    "length",
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
        energies = [self._scaled(crystal, length) for length in lengths[:-1]]
        energies.append(float(np.mean([self.potential.intercept[symbol] for symbol in crystal.symbols])))
        lowest = int(np.argmin(energies))
        depth, length = energies[0] - energies[lowest], lengths[lowest]
        if depth > _FAR_BELOW:
            where = f"at {length:.2f} of the length" if length < math.inf else "as single atoms"
            self._find(
                "expansion",
                f"{name}: {depth:.3g} eV/atom below the crystal {where}",
                composition=name,
                depth=depth,
                length=length,
            )

    def _evaporated(self, name: str, crystal: Atoms) -> None:
        """One atom of each species leaves the crystal."""
        atoms = _grown(crystal, _FEWEST_ATOMS)
        energy = self._energy(atoms)
        for symbol in sorted(set(atoms.symbols)) if len(atoms) > 1 else ():
            left = atoms.copy()
            del left[int(np.flatnonzero(atoms.symbols == symbol)[0])]
            gain = energy - self._energy(left) - self.potential.intercept[symbol]
            if gain > _EVAPORATION:
                self._find(
                    "evaporation",
                    f"{name}: an atom of {symbol} gains {gain:.3g} eV when it leaves the crystal",
                    composition=name,
                    species=symbol,
                    gain=gain,
                )

    def _scaled(self, atoms: Atoms, length: float) -> float:
        """Energy per atom at another length."""
        scaled = atoms.copy()
        scaled.positions *= length
        scaled.cell *= length
        return self._energy(scaled) / len(atoms)

    # Pairs

    def pairs(self) -> None:
        """Isolated pairs of atoms at many distances, all in one structure in which they do not interact."""
        potential, cutoff = self.potential, self.potential.cutoff
        curves: list[tuple[Pair, int, FloatArray]] = []
        symbols: list[str] = []
        x: list[float] = []
        for pair, outer in self.distances.items():
            near = np.geomspace(_FIRST * outer, _LAST, 100)
            far = np.linspace(cutoff, _FIRST * outer, 100, endpoint=False)
            curves.append((pair, len(far), np.concatenate([far, near])))
            for r in curves[-1][2]:
                left = x[-1] + cutoff + 1.0 if x else 0.0
                x += [left, left + r]
                symbols += pair
        atoms = Atoms(symbols, np.column_stack([x, np.zeros((len(x), 2))]))
        try:
            energies = potential.evaluate(atoms, forces=False, stress=False)["energies"]
        except ValueError as error:
            self._find("pair", str(error))
            return
        energies = energies.reshape(-1, 2).sum(axis=1)
        for pair, n_far, r in curves:
            of_pair, energies = energies[: len(r)], energies[len(r) :]
            of_pair = of_pair - sum(potential.intercept[symbol] for symbol in pair)
            if "X" not in pair:  # a dummy atom has no nucleus that repels
                self._wall("-".join(pair), r[n_far:], of_pair[n_far:])
            self._dimer(pair, r, of_pair)
        self.counts["pairs of species"] = len(curves)

    def _wall(self, name: str, r: FloatArray, energies: FloatArray) -> None:
        fall, high, low = _deepest_fall(energies)
        if fall > _SHALLOW:
            self._find(
                "pair",
                f"{name}: the energy of two atoms falls by {fall:.3g} eV from {r[high]:.2f} to "
                f"{r[low]:.2f} A",
                pair=name,
                fall=fall,
                distances=(r[high], r[low]),
            )
        elif energies[-1] - energies[0] < _LEAST_WALL:
            wall = energies[-1] - energies[0]
            self._find(
                "pair",
                f"{name}: two atoms at {_LAST:g} A have only {wall:.3g} eV more than at {r[0]:.2f} A",
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
                if depth > _FAR_BELOW:
                    name = "-".join(pair)
                    self._find(
                        "dimer",
                        f"{name}: two atoms at {r[lowest]:.2f} A have {depth:.3g} eV/atom less than the "
                        "crystal",
                        pair=name,
                        depth=depth,
                        distance=r[lowest],
                    )

    def pushes(self) -> None:
        """Atoms in structures, each pushed onto one of its nearest neighbors."""
        looked_at = [atoms for atoms, _ in self.samples]
        looked_at += _spread(self.structures, _MOST_PUSHED - min(len(looked_at), _MOST_PUSHED // 2))
        energies_left, n_pushes = _MOST_ENERGIES, 0
        worst: dict[Pair, tuple[float, float, float, str]] = {}
        for k, atoms in enumerate(looked_at):
            share = energies_left // (len(looked_at) - k)
            number = min(_MOST_BONDS, share // (_PUSH_POINTS * len(atoms)))
            for i, j, vector, distance in self._bonds(atoms, number):
                pair = _pair(atoms.symbols[i], atoms.symbols[j])
                fall, high, low = self._push(atoms, i, vector, distance, self.distances[pair])
                if fall > max(_SHALLOW, worst[pair][0] if pair in worst else 0.0):
                    worst[pair] = fall, high, low, atoms.get_chemical_formula()
                energies_left -= _PUSH_POINTS * len(atoms)
                n_pushes += 1
        for pair, (fall, high, low, formula) in worst.items():
            name = "-".join(pair)
            self._find(
                "push",
                f"{name}: an atom of {formula} pushed onto a neighbor gains {fall:.3g} eV from {high:.2f} "
                f"to {low:.2f} A",
                pair=name,
                fall=fall,
                distances=(high, low),
            )
        self.counts["pushed atoms"] = n_pushes

    def _push(
        self, atoms: Atoms, i: int, vector: FloatArray, distance: float, core_distance: float
    ) -> tuple[float, float, float]:
        """Largest fall in energy of atom i on its way along a vector to a neighbor, and the distances of
        the neighbor where the fall begins and ends.
        """
        r = np.geomspace(min(_FIRST * core_distance, distance), _LAST, _PUSH_POINTS)
        energies = []
        for x in r:
            pushed = atoms.copy()
            pushed.positions[i] += vector * (1.0 - x / distance)
            energies.append(self._energy(pushed))
        fall, high, low = _deepest_fall(np.array(energies))
        return fall, r[high], r[low]

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
            kinds.setdefault(_pair(names[i[p]], names[j[p]]), []).append(p)
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
        """Whether atom i stays outside the core distances of the others along a vector."""
        along = np.clip(vectors @ vector / (vector @ vector), 0.0, 1.0)
        passing = np.linalg.norm(vectors - along[:, None] * vector, axis=1)
        least = np.array([self.distances[_pair(names[i], names[k])] for k in others])
        return bool((passing >= least).all())

    # Hot atoms

    def hot_atoms(self) -> None:
        """Some hundred steps of a hot crystal with interstitial atoms, and of a slab of it."""
        if not self.structures:
            return
        # The one with most species, all pairs of which meet.
        crystal = max((atoms for atoms, _ in self.samples), key=lambda atoms: len(set(atoms.symbols)))
        name = crystal.get_chemical_formula(empirical=True)
        atoms = _grown(crystal, _FEWEST_ATOMS)
        lowest = self._energy(atoms) / len(atoms)
        if not atoms.pbc.all():
            steps = self._simulate(name, atoms, lowest, free_steps=_FREE_STEPS)
        else:
            # Interstitial atoms and surfaces, which data of crystals seldom have, are new surroundings.
            crowded = _with_interstitials(atoms, self.potential.species)
            steps = self._simulate(f"{name} with interstitials", crowded, lowest, free_steps=_FREE_STEPS)
            steps += self._simulate(f"slab of {name}", _slab(atoms), lowest)
        self.counts[f"steps at {_TEMPERATURE:,.0f} K"] = steps

    def _simulate(self, name: str, atoms: Atoms, lowest: float, free_steps: int = 0) -> int:
        """Velocity Verlet steps: first with velocities that are drawn anew now and then, then without.

        Returns the number of steps done.
        """
        masses = atoms.get_masses()[:, None]
        step = _TIME_STEP * math.sqrt(max(1.0, masses.min()) / 12.0) * units.fs
        rng = np.random.default_rng(0)
        positions = atoms.positions
        velocities, forces = np.zeros_like(positions), np.zeros_like(positions)
        totals: list[float] = []
        share = min(1.0, _MOST_HEATED / (len(atoms) * (_HEATED_STEPS + free_steps)))
        heated = math.ceil(share * _HEATED_STEPS)
        steps = heated + math.ceil(share * free_steps)
        for done in range(steps):
            if done % _DRAW == 0 and done < heated:
                velocities = np.sqrt(units.kB * _TEMPERATURE / masses) * rng.normal(size=(len(atoms), 3))
            velocities += 0.5 * step * forces / masses
            positions += step * velocities
            try:
                results = self.potential.evaluate(atoms, stress=False)
                reason = self._collapsed(atoms, results["energy"] / len(atoms), lowest, done)
            except ValueError as error:  # atoms at one place, or far away
                reason = str(error)
            if reason:
                time = (done + 1) * step / units.fs
                self._find(
                    "collapse",
                    f"{name} at {_TEMPERATURE:,.0f} K, after {time:.0f} fs: {reason}",
                    structure=name,
                    temperature=_TEMPERATURE,
                    time=time,
                )
                return done + 1
            forces = results["forces"]
            velocities += 0.5 * step * forces / masses
            if done >= heated:
                totals.append((results["energy"] + 0.5 * (masses * velocities**2).sum()) / len(atoms))
        drift = float(np.ptp(totals)) if totals else 0.0
        if drift > _DRIFT:
            self._find(
                "drift",
                f"{name} at {_TEMPERATURE:,.0f} K: the total energy changes by {drift:.3g} eV/atom",
                structure=name,
                temperature=_TEMPERATURE,
                drift=drift,
            )
        return steps

    def _collapsed(self, atoms: Atoms, energy: float, lowest: float, done: int) -> str | None:
        """How the structure has collapsed, or None."""
        if not math.isfinite(energy):
            return "the energy is not finite"
        if energy < lowest - _FAR_BELOW:
            return f"the energy is {lowest - energy:.3g} eV/atom below that of the crystal"
        if done % _DRAW:
            return None
        near = find_all_neighbors(atoms, _FUSED * max(self.distances.values()))
        for i, j, r in zip(near.centers(1), near.neighbor_p, near.distance_p, strict=True):
            pair = _pair(atoms.symbols[i], atoms.symbols[j])
            if r < _FUSED * min(self.distances[pair], _radii(pair)):
                return f"atoms of {'-'.join(pair)} come as close as {r:.2f} A"
        return None


def _pair(first: str, second: str) -> Pair:
    """A sorted pair of species."""
    return (first, second) if first < second else (second, first)


def _core_distances(potential: Potential, structures: list[Atoms]) -> dict[Pair, float]:
    """Core distance of each pair of species, in Angstrom.

    It is where the repulsion of the potential begins; without one, 0.96 of the shortest distance in the
    structures, or the sum of the covalent radii.
    """
    known = potential.repulsion or {}
    pairs = list(itertools.combinations_with_replacement(potential.species, 2))
    shortest = {pair: math.inf for pair in pairs if pair not in known}
    for atoms in structures if shortest else ():
        symbols = np.array(atoms.get_chemical_symbols())
        near = find_all_neighbors(atoms, potential.cutoff)
        first, second = symbols[near.centers(1)], symbols[near.neighbor_p]
        for pair in shortest:
            of_pair = near.distance_p[(first == pair[0]) & (second == pair[1])]
            shortest[pair] = of_pair.min(initial=shortest[pair])
    distances = {}
    for pair in pairs:
        if pair in known:
            distances[pair] = known[pair][1]
        else:
            distances[pair] = _BEGINNING * shortest[pair] if shortest[pair] < math.inf else _radii(pair)
    return distances


def _radii(pair: Pair) -> float:
    """Sum of the covalent radii in Angstrom."""
    return float(sum(covalent_radii[atomic_numbers[symbol]] for symbol in pair))


def _label(atoms: Atoms) -> float | None:
    """Energy that is attached to a structure, or None."""
    results = getattr(atoms.calc, "results", {})
    energy = results.get("free_energy", results.get("energy"))
    return float(energy) if energy is not None and np.isfinite(energy) else None


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


def _grown(atoms: Atoms, fewest: int) -> Atoms:
    """A supercell of at least so many atoms, made by doubling its shortest vectors; molecules stay as is."""
    atoms = atoms.copy()
    atoms.calc, atoms.constraints = None, []
    while len(atoms) < fewest and atoms.pbc.any():
        lengths = np.where(atoms.pbc, atoms.cell.lengths(), np.inf)
        repeats = [1, 1, 1]
        repeats[int(lengths.argmin())] = 2
        atoms = atoms.repeat(repeats)
    return atoms


def _with_interstitials(atoms: Atoms, symbols: Sequence[str]) -> Atoms:
    """A crystal with one more atom of each species, each at the random point farthest from all atoms."""
    atoms = atoms.copy()
    images = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    # With so many points, several are in the widest of the holes between 40 atoms.
    fractions = np.random.default_rng(0).random((500, 3))
    for symbol in symbols:
        between = fractions[:, None] - atoms.get_scaled_positions()
        between -= between.round()
        squares = [(((between + image) @ atoms.cell.array) ** 2).sum(axis=-1) for image in images]
        nearest = np.min(squares, axis=(0, 2))
        atoms.append(Atom(symbol, fractions[nearest.argmax()] @ atoms.cell.array))
    return atoms


def _slab(atoms: Atoms) -> Atoms:
    """A crystal with vacuum along its third cell vector."""
    atoms = atoms.copy()
    atoms.cell[2] *= 1.0 + _VACUUM / atoms.cell.lengths()[2]
    atoms.pbc = (True, True, False)
    return atoms


def _deepest_fall(energies: FloatArray) -> tuple[float, int, int]:
    """The largest fall along a sequence, and the places where it begins and ends."""
    highest = np.maximum.accumulate(energies)
    low = int(np.argmax(highest - energies))
    high = int(np.argmax(energies[: low + 1]))
    return float(highest[low] - energies[low]), high, low
