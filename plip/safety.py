"""Whether a potential is safe to simulate with: short distances, compression, expansion, hot atoms."""

import itertools
import math
from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from ase import Atom, Atoms, units
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii

from plip._structures._checks import check_structures
from plip._structures._evaluation import check_cell, find_pairs

__all__ = ["Finding", "SafetyReport", "check_safety"]

# Pairs are followed from this part of the distance where their repulsion begins (0.96 to 1 of the shortest
# distance in the data) down to this distance in Angstrom.
_FIRST, _LAST = 0.95, 0.1
_BEGINNING = 0.96
# eV. Every pair of nuclei, of hydrogen too, repels by more at the last distance.
_LEAST_WALL = 10.0
# Uniform compression and expansion, in parts of the length.
_SMALLEST, _LARGEST = 0.6, 1.5
# The energy of a crystal under tension falls while it shrinks, as far as this part of the length. Crystals of
# which there are denser ones in the data, in length beyond the second number, are under no tension.
_RELEASE, _DENSEST = 0.9, 0.98
# eV. Falls below it are rounding, or too shallow to hold an atom.
_SHALLOW = 1e-3
# eV/atom below the crystal that are far below it. No polymorph that a fit has missed lies so deep.
_FAR_BELOW = 0.5
# eV, for energies that are not finite.
_BOTTOMLESS = 1e100
# eV that an atom may gain at most when it leaves a crystal, where it should lose several.
_EVAPORATION = 1.0
# Part of the distance of the repulsion, or of the covalent radii where these are less, that no thermal
# collision comes to (for silicon: 70 eV).
_FUSED = 0.5
# The hot run: kelvin, steps with and without heating, steps between two draws of momenta, atoms of the cell.
_TEMPERATURE = 5000.0
_HEATED_STEPS = 300
_FREE_STEPS = 200
_DRAW = 50
_FEWEST_ATOMS = 32
# Femtoseconds for carbon; the period of vibrations grows with the root of the mass.
_TIME_STEP = 0.5
# eV/atom between the highest and the lowest total energy. Those of smooth potentials vary by a tenth of it.
_DRIFT = 0.02
# Angstrom beside a slab.
_VACUUM = 10.0
# Most structures and energies of atoms that each kind of scan looks at, which bounds the time.
_MOST_CRYSTALS = 5
_MOST_RANKED = 300
_MOST_PUSHED = 12
_MOST_ENERGIES = 40_000
_MOST_HEATED = 100_000


@dataclass(frozen=True)
class Finding:
    """One way in which a potential fails.

    Attributes
    ----------
    kind : {"pair", "dimer", "push", "compression", "expansion", "evaporation", "collapse", "drift"}
        What was tried.
    message : str
        What happened, in one line.
    figures : mapping of str to value
        The numbers of the message, in eV, Angstrom, kelvin and femtoseconds.
    """

    kind: str
    message: str
    figures: MappingProxyType = field(default_factory=lambda: MappingProxyType({}))

    def __str__(self):
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
    """

    findings: tuple
    counts: MappingProxyType

    @property
    def is_safe(self):
        """Whether there is no finding."""
        return not self.findings

    @property
    def kinds(self):
        """The kinds of findings, a sorted tuple of str."""
        return tuple(sorted({finding.kind for finding in self.findings}))

    def __str__(self):
        tried = ", ".join(f"{count} {name}" for name, count in self.counts.items() if count)
        if self.is_safe:
            return f"Safety: nothing found ({tried})"
        number = len(self.findings)
        head = f"Safety: {number} finding{'s' * (number > 1)} ({tried})"
        return "\n".join([head, *(f"  {finding}" for finding in self.findings)])

    __repr__ = __str__


def check_safety(potential, structures=None):
    """See `plip.Potential.check_safety`."""
    if structures is not None:
        structures = check_structures(structures, species=set(potential.species), cutoff=potential.cutoff)
    check = _Check(potential, structures)
    check.pairs()
    check.crystals()
    check.pushes()
    check.hot_atoms()
    return SafetyReport(tuple(check.findings), MappingProxyType(dict(check.counts)))


class _Check:
    """One check: the findings and what was tried."""

    def __init__(self, potential, structures):
        self.potential = potential
        self.findings = []
        self.counts = {}
        self.structures = [atoms for atoms in structures or [] if len(atoms)]
        self.distances = _core_distances(potential, self.structures)
        self.samples = self._samples() if self.structures else self._lattices()

    def _find(self, kind, message, **figures):
        self.findings.append(Finding(kind, message, MappingProxyType(figures)))

    def _energy(self, atoms):
        try:
            return self.potential.energy(atoms)
        except ValueError:  # not finite
            return -_BOTTOMLESS

    # Crystals

    def _samples(self):
        """Of each of the most frequent compositions, the structure of lowest energy and the least volume."""
        kinds = [_composition(atoms) for atoms in self.structures]
        frequent = [kind for kind, _ in Counter(kinds).most_common(_MOST_CRYSTALS)]
        samples = []
        for kind in frequent:
            alike = [atoms for atoms, other in zip(self.structures, kinds, strict=True) if other == kind]
            # Crystals before molecules, where there are any.
            alike = [atoms for atoms in alike if atoms.pbc.all()] or alike
            crystal = self._lowest(alike, _MOST_RANKED // len(frequent))
            start = 1.0
            if crystal.pbc.all():
                volume = crystal.get_volume() / len(crystal)
                least = min(atoms.get_volume() / len(atoms) for atoms in alike)
                start = (least / volume) ** (1 / 3)
            samples.append((crystal, start))
        return samples

    def _lowest(self, alike, most):
        """The structure of lowest energy: of the labels, or else of the potential, for at most so many."""
        # An atom alone is no crystal, whatever the potential says.
        bound = [atoms for atoms in alike if len(atoms) > 1 or len(self._neighbors(atoms)[0])] or alike
        energies = [_label(atoms) for atoms in bound]
        if None in energies:
            bound = _spread(bound, most)
            energies = [self._energy(atoms) for atoms in bound]
        return bound[int(np.argmin([e / len(atoms) for e, atoms in zip(energies, bound, strict=True)]))]

    def _neighbors(self, atoms):
        return _neighbors(atoms, self.potential.cutoff)

    def _lattices(self):
        """Simple lattices whose neighbors stand where the repulsion begins."""
        samples = []
        for (first, second), outer in self.distances.items():
            structures = ("fcc", "bcc", "diamond") if first == second else ("rocksalt", "cesiumchloride")
            for structure in structures:
                atoms = bulk(first if first == second else first + second, structure, a=1.0)
                nearest = _neighbors(atoms, 1.0)[2].min()
                atoms.set_cell(atoms.cell * (outer / nearest), scale_atoms=True)
                samples.append((atoms, 1.0))
        return samples

    def crystals(self):
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
                continue  # how dense matter really is, only data tell
            self._expanded(name, crystal)
            self._evaporated(name, crystal)
        self.counts["crystals or lattices"] = len(self.samples)

    def _expanded(self, name, crystal):
        lengths = [*np.linspace(1.0, _LARGEST, 26), math.inf]
        energies = [self._scaled(crystal, length) for length in lengths[:-1]]
        # As single atoms.
        energies.append(np.mean([self.potential.intercept[symbol] for symbol in crystal.symbols]))
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

    def _evaporated(self, name, crystal):
        """Atoms that leave the crystal for good."""
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

    def _scaled(self, atoms, length):
        """Energy per atom at another length."""
        scaled = atoms.copy()
        scaled.positions *= length
        scaled.cell *= length
        return self._energy(scaled) / len(atoms)

    # Pairs

    def pairs(self):
        """Isolated pairs, all in one structure of pairs that do not see each other."""
        potential, cutoff = self.potential, self.potential.cutoff
        curves, symbols, x = [], [], []
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
            if "X" not in pair:  # sites without a nucleus
                self._wall("-".join(pair), r[n_far:], of_pair[n_far:])
            self._dimer(pair, r, of_pair)
        self.counts["pairs of species"] = len(curves)

    def _wall(self, name, r, energies):
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

    def _dimer(self, pair, r, energies):
        """A molecule of two atoms with less energy than the crystal of the same composition."""
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

    def pushes(self):
        """Atoms in structures, each pushed onto one of its nearest neighbors."""
        looked_at = [atoms for atoms, _ in self.samples]
        looked_at += _spread(self.structures, _MOST_PUSHED - min(len(looked_at), _MOST_PUSHED // 2))
        energies_left, n_pushes, worst = _MOST_ENERGIES, 0, {}
        for k, atoms in enumerate(looked_at):
            share = energies_left // (len(looked_at) - k)
            points = 20
            number = min(6, share // (points * len(atoms)))
            for i, j, vector, distance in self._bonds(atoms, number):
                pair = tuple(sorted((atoms.symbols[i], atoms.symbols[j])))
                r = np.geomspace(min(_FIRST * self.distances[pair], distance), _LAST, points)
                energies = []
                for x in r:
                    pushed = atoms.copy()
                    pushed.positions[i] += vector * (1.0 - x / distance)
                    energies.append(self._energy(pushed))
                energies_left -= points * len(atoms)
                n_pushes += 1
                fall, high, low = _deepest_fall(np.array(energies))
                if fall > max(_SHALLOW, worst.get(pair, (0.0,))[0]):
                    worst[pair] = fall, r[high], r[low], atoms.get_chemical_formula()
        for pair, (fall, high, low, formula) in worst.items():
            name = "-".join(pair)
            self._find(
                "push",
                f"{name}: an atom of {formula} pushed onto a neighbor gains {fall:.3g} eV from {high:.2f} to "
                f"{low:.2f} A",
                pair=name,
                fall=fall,
                distances=(high, low),
            )
        self.counts["pushed atoms"] = n_pushes

    def _bonds(self, atoms, number):
        """Pairs (i, j, vector, distance) of atoms i with a clear way to j; nearest first, of all species."""
        i, j, d, vectors = self._neighbors(atoms)
        names = atoms.get_chemical_symbols()
        # By rank among the neighbors of an atom, then by atoms in an order that leaps over the structure.
        order = np.lexsort((d, i))
        rank = np.empty(len(i), int)
        rank[order] = np.arange(len(i)) - np.searchsorted(i[order], i[order])
        kinds = {}
        for p in np.lexsort(((i * 0.6180339887498949) % 1.0, rank)):
            kinds.setdefault(tuple(sorted((names[i[p]], names[j[p]]))), []).append(p)
        found = []
        # The pairs of species in turn.
        for p in (p for turn in itertools.zip_longest(*kinds.values()) for p in turn if p is not None):
            if len(found) == number:
                break
            others = np.flatnonzero((i == i[p]) & (np.arange(len(i)) != p))
            if i[p] != j[p] and self._is_clear(names, i[p], vectors[p], j[others], vectors[others]):
                found.append((i[p], j[p], vectors[p], d[p]))
        return found

    def _is_clear(self, names, i, vector, others, vectors):
        """Whether atom i keeps its distance to the others all along a vector."""
        along = np.clip(vectors @ vector / (vector @ vector), 0.0, 1.0)
        passing = np.linalg.norm(vectors - along[:, None] * vector, axis=1)
        least = np.array([self.distances[tuple(sorted((names[i], names[k])))] for k in others])
        return bool((passing >= least).all())

    # Hot atoms

    def hot_atoms(self):
        """Some hundred steps of a hot crystal, and of a slab of it."""
        if not self.structures:
            return
        # The most species first: all their pairs meet.
        crystal = max((atoms for atoms, _ in self.samples), key=lambda atoms: len(set(atoms.symbols)))
        name = crystal.get_chemical_formula(empirical=True)
        atoms = _grown(crystal, _FEWEST_ATOMS)
        lowest = self._energy(atoms) / len(atoms)
        if not atoms.pbc.all():
            steps = self._simulate(name, atoms, lowest, free_steps=_FREE_STEPS)
        else:
            # Data of crystals have neither, and each brings atoms into new surroundings.
            crowded = _with_interstitials(atoms, self.potential.species)
            steps = self._simulate(f"{name} with interstitials", crowded, lowest, free_steps=_FREE_STEPS)
            steps += self._simulate(f"slab of {name}", _slab(atoms), lowest)
        self.counts[f"steps at {_TEMPERATURE:,.0f} K"] = steps

    def _simulate(self, name, atoms, lowest, free_steps=0):
        """Velocity Verlet with momenta drawn anew now and then, at last without; returns the steps done."""
        masses = atoms.get_masses()[:, None]
        step = _TIME_STEP * math.sqrt(max(1.0, masses.min()) / 12.0) * units.fs
        rng = np.random.default_rng(0)
        positions = atoms.positions
        forces, totals = np.zeros_like(positions), []
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

    def _collapsed(self, atoms, energy, lowest, done):
        """Why atoms are no longer matter, or None."""
        if not math.isfinite(energy):
            return "the energy is not finite"
        if energy < lowest - _FAR_BELOW:
            return f"the energy is {lowest - energy:.3g} eV/atom below that of the crystal"
        if done % _DRAW:
            return None
        i, j, d, _ = _neighbors(atoms, _FUSED * max(self.distances.values()))
        for a, b, r in zip(i, j, d, strict=True):
            pair = tuple(sorted((atoms.symbols[a], atoms.symbols[b])))
            if r < _FUSED * min(self.distances[pair], _radii(pair)):
                return f"atoms of {'-'.join(pair)} come as close as {r:.2f} A"
        return None


def _core_distances(potential, structures):
    """Where the repulsion of each pair begins, or would begin: the shortest distance in the data."""
    pairs = itertools.combinations_with_replacement(potential.species, 2)
    known = potential.repulsion or {}
    distances = {}
    for pair in pairs:
        distances[pair] = known[pair][1] if pair in known else math.inf
    missing = [pair for pair, distance in distances.items() if distance == math.inf]
    if missing:
        for atoms in structures:
            symbols = np.array(atoms.get_chemical_symbols())
            i, j, d, _ = _neighbors(atoms, potential.cutoff)
            for pair in missing:
                of_pair = d[(symbols[i] == pair[0]) & (symbols[j] == pair[1])]
                distances[pair] = min(distances[pair], of_pair.min(initial=math.inf))
        for pair in missing:
            distances[pair] = _BEGINNING * distances[pair] if distances[pair] < math.inf else _radii(pair)
    return distances


def _radii(pair):
    return float(sum(covalent_radii[atomic_numbers[symbol]] for symbol in pair))


def _neighbors(atoms, cutoff):
    """Pairs i, j, their distances and vectors from i to j."""
    positions = np.ascontiguousarray(atoms.positions)
    cell = check_cell(positions, atoms.cell, atoms.pbc)
    i, j, shifts = find_pairs(positions, cell, atoms.pbc, cutoff).to_arrays()
    vectors = positions[j] - positions[i] + shifts @ cell
    return i, j, np.linalg.norm(vectors, axis=1), vectors


def _label(atoms):
    """Energy that is attached to a structure, or None."""
    results = getattr(atoms.calc, "results", {})
    energy = results.get("free_energy", results.get("energy"))
    return float(energy) if energy is not None and np.isfinite(energy) else None


def _composition(atoms):
    """Reduced composition, a tuple of symbols and numbers."""
    counts = Counter(atoms.get_chemical_symbols())
    divisor = math.gcd(*counts.values())
    return tuple(sorted((symbol, count // divisor) for symbol, count in counts.items()))


def _spread(items, number):
    """At most so many items, evenly spread over the sequence."""
    if len(items) <= number:
        return list(items)
    return [items[k] for k in np.linspace(0, len(items) - 1, number).round().astype(int)]


def _grown(atoms, fewest):
    """A supercell with as many atoms, its shortest vectors repeated first; molecules as they are."""
    atoms = atoms.copy()
    atoms.calc, atoms.constraints = None, []
    while len(atoms) < fewest and atoms.pbc.any():
        lengths = np.where(atoms.pbc, atoms.cell.lengths(), np.inf)
        repeats = [1, 1, 1]
        repeats[int(lengths.argmin())] = 2
        atoms = atoms.repeat(repeats)
    return atoms


def _with_interstitials(atoms, symbols):
    """A crystal with an atom of each symbol in its widest holes."""
    atoms = atoms.copy()
    images = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    # So many that the widest of the holes between 40 atoms has several points.
    fractions = np.random.default_rng(0).random((500, 3))
    for symbol in symbols:
        between = fractions[:, None] - atoms.get_scaled_positions()
        between -= between.round()
        squares = [(((between + image) @ atoms.cell.array) ** 2).sum(axis=-1) for image in images]
        nearest = np.min(squares, axis=(0, 2))
        atoms.append(Atom(symbol, fractions[nearest.argmax()] @ atoms.cell.array))
    return atoms


def _slab(atoms):
    """A crystal with vacuum along its third cell vector."""
    atoms = atoms.copy()
    atoms.cell[2] *= 1.0 + _VACUUM / atoms.cell.lengths()[2]
    atoms.pbc = (True, True, False)
    return atoms


def _deepest_fall(energies):
    """The largest fall along a sequence, and the places where it begins and ends."""
    highest = np.maximum.accumulate(energies)
    low = int(np.argmax(highest - energies))
    high = int(np.argmax(energies[: low + 1]))
    return float(highest[low] - energies[low]), high, low
