"""Some hundred steps of hot atoms, which must stay apart, conserve their energy, and cool to no deep hole."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from ase import Atoms, units

from plip._types import FloatArray
from plip.safety._cells import slab, supercell, with_interstitials
from plip.safety._distances import Pair, first_within, labelable, sum_of_radii
from plip.safety._report import Finding, kind_of, name_of

if TYPE_CHECKING:
    from plip.potential import Potential

__all__ = ["FAR_BELOW", "TEMPERATURE", "HotRuns"]

# So many eV/atom below the crystal is far below it: no polymorph that a fit has missed lies so deep.
FAR_BELOW = 0.5
# Hot surroundings that have cooled lie above the crystal, or are another of its polymorphs. Those of fits to
# 50 data sets end 0.02 eV/atom below it at most, or, where the fit knows little but one crystal, 0.2 to 5.
_BELOW = 0.1
# Steps of the cooling, in which little is left to gain after 100.
_COOLED_STEPS = 200
# Atoms have fused if they are closer than this times the core distance, and than this times the sum of their
# covalent radii: no thermal collision comes so close (for silicon it takes 70 eV).
_FUSED = 0.5
# Temperature in kelvin, number of steps with and without heating, steps between two draws of velocities.
TEMPERATURE = 5000.0
_HEATED_STEPS = 300
_FREE_STEPS = 200
_DRAW = 50
# Time step for carbon in femtoseconds; it grows with the root of the mass, as the periods of vibrations do.
_TIME_STEP = 0.5
# Largest change of the total energy in eV/atom; that of smooth potentials is a tenth of it.
_DRIFT = 0.02
# A larger one counts if it is there in steps so many times shorter, too: the error of the integrator falls
# with the square of the step.
_FINER = 4
# Most atoms times steps, which bounds the time.
_MOST_HEATED = 100_000
# Steps between two structures on the way, about a period of vibrations.
_APART = 25


class HotRuns:
    """Runs of a crystal, of the crystal with interstitial atoms, and of a slab of it, or of a molecule.

    Parameters
    ----------
    potential : Potential
    distances : mapping of pairs of species to float
        Core distances in Angstrom.

    Attributes
    ----------
    findings : list of Finding
    n_steps : int
        Number of steps so far.
    """

    def __init__(self, potential: Potential, distances: Mapping[Pair, float]) -> None:
        self.findings: list[Finding] = []
        self.n_steps = 0
        self._potential = potential
        self._distances = distances
        self._fused = {pair: _FUSED * min(r, sum_of_radii(pair)) for pair, r in distances.items()}

    def run(self, crystal: Atoms) -> None:
        """All runs of a structure."""
        name = name_of(crystal)
        walk = _Walk(self._potential, supercell(crystal))
        atoms = walk.atoms
        try:
            walk.step(0.0)
            lowest = walk.energy / len(atoms)
        except ValueError:  # not finite
            lowest = -math.inf
        start = _Start(lowest, min(lowest, self._cooled(walk)), walk.way)
        if not atoms.pbc.all():
            self._simulate(name, atoms, start, free_steps=_FREE_STEPS)
        else:
            self._simulate(name, atoms, start)
            # Interstitial atoms and surfaces, which data of crystals seldom have, are new surroundings.
            crowded = with_interstitials(atoms, self._potential.species)
            self._simulate(f"{name} with interstitials", crowded, start, free_steps=_FREE_STEPS)
            self._simulate(f"slab of {name}", slab(atoms), start)

    def _find(self, kind: str, name: str, message: str, way: Sequence[Atoms], **figures: float) -> None:
        text = f"{name} at {TEMPERATURE:,.0f} K{message}"
        shown = labelable(way, self._distances)
        found = Finding(kind, text, {"structure": name, "temperature": TEMPERATURE, **figures}, shown)
        self.findings.append(found)

    def _simulate(self, name: str, atoms: Atoms, start: _Start, free_steps: int = 0) -> None:
        """Velocity Verlet steps: first with velocities that are drawn anew now and then, then without, and
        at last with velocities that are taken away.
        """
        walk = _Walk(self._potential, atoms, start.way)
        step = walk.time_step
        share = min(1.0, _MOST_HEATED / (len(atoms) * (_HEATED_STEPS + free_steps)))
        n_heated, n_free = math.ceil(share * _HEATED_STEPS), math.ceil(share * free_steps)
        totals, reason = self._go_on(walk, step, n_heated, start.lowest, np.random.default_rng(0))
        n_done = len(totals)
        if not reason and n_free:
            heated = walk.copy()
            totals, reason = self._go_on(walk, step, n_free, start.lowest)
            n_done += len(totals)
            if not reason and np.ptp(totals) > _DRIFT:
                walk = heated
                totals, reason = self._go_on(walk, step / _FINER, _FINER * n_free, start.lowest)
                n_done = n_heated + len(totals) // _FINER
            if not reason and (drift := float(np.ptp(totals))) > _DRIFT:
                message = f": the total energy changes by {drift:.3g} eV/atom"
                self._find("drift", name, message, walk.way, drift=drift)
        if reason:
            n_done += 1
            time = n_done * step / units.fs
            self._find("collapse", name, f", after {time:.1f} fs: {reason}", walk.way, time=time)
        elif (depth := start.at_rest - self._cooled(walk)) > _BELOW:
            kind = kind_of(atoms)
            message = f" and then cooled: the energy is {depth:.3g} eV/atom below that of the cooled {kind}"
            self._find("collapse", name, message, walk.way, depth=depth)
        self.n_steps += n_done

    def _cooled(self, walk: _Walk) -> float:
        """Energy in eV/atom after steps that lose their kinetic energy wherever the atoms go uphill."""
        for _ in range(math.ceil(min(_COOLED_STEPS, _MOST_HEATED / len(walk.atoms)))):
            try:
                walk.step(walk.time_step)
            except ValueError:  # not finite
                return -math.inf
            walk.stop_uphill()
        walk.way.append(walk.atoms.copy())
        return walk.energy / len(walk.atoms)

    def _go_on(
        self, walk: _Walk, step: float, n_steps: int, lowest: float, rng: np.random.Generator | None = None
    ) -> tuple[list[float], str | None]:
        """Total energies in eV/atom after each step until a collapse, and how that came about, or None.

        Velocities are drawn now and then if there is a generator.
        """
        totals: list[float] = []
        for done in range(n_steps):
            if rng is not None and done % _DRAW == 0:
                walk.draw_velocities(rng)
            try:
                walk.step(step)
                reason = self._collapsed(walk, lowest, is_thorough=done % _DRAW == 0)
            except ValueError as error:  # atoms at one place, or far away
                reason = str(error)
            if reason:
                walk.way.append(walk.atoms.copy())
                return totals, reason
            totals.append(walk.total_energy / len(walk.atoms))
        return totals, None

    def _collapsed(self, walk: _Walk, lowest: float, is_thorough: bool) -> str | None:
        """How the structure has collapsed, or None; a thorough look is at distances, too."""
        atoms, energy = walk.atoms, walk.energy / len(walk.atoms)
        if not math.isfinite(energy):
            return "the energy is not finite"
        if energy < lowest - FAR_BELOW:
            return f"the energy is {lowest - energy:.3g} eV/atom below that of the {kind_of(atoms)}"
        if not is_thorough:
            return None
        fused = first_within(atoms, self._fused)
        return None if fused is None else f"atoms of {'-'.join(fused[0])} come as close as {fused[1]:.2f} A"


class _Start(NamedTuple):
    """The structure itself, from which all runs begin once it has cooled.

    `lowest` and `at_rest` are its energies before and after, in eV/atom; `way` is what it was meanwhile.
    """

    lowest: float
    at_rest: float
    way: list[Atoms]


class _Walk:
    """Atoms on their way; units of ASE.

    Parameters
    ----------
    potential : Potential
    atoms : ase.Atoms
    way : sequence of ase.Atoms
        What led here.

    Attributes
    ----------
    way : list of ase.Atoms
        What led here, what they were at first, and now and then on their way.
    masses : ndarray of float64, shape (n_atoms, 1)
    time_step : float
        A good one for these atoms.
    energy : float
        Potential energy after the last step, less the reference energies: those of all electrons, and of
        the interstitial atoms, must not count.
    """

    def __init__(self, potential: Potential, atoms: Atoms, way: Sequence[Atoms] = ()) -> None:
        self.atoms = atoms.copy()
        self.way = [*way, atoms.copy()]
        self.masses: FloatArray = atoms.get_masses()[:, None]
        self.time_step = _TIME_STEP * math.sqrt(max(1.0, float(self.masses.min())) / 12.0) * units.fs
        self.energy = 0.0
        self._potential = potential
        self._references = math.fsum(potential.intercept[symbol] for symbol in atoms.symbols)
        self._velocities, self._forces = np.zeros((2, len(atoms), 3))
        self._n_steps = 0

    def copy(self) -> _Walk:
        """The same atoms at the same place, which go on by themselves."""
        copied = copy.copy(self)
        copied.atoms, copied._velocities, copied.way = self.atoms.copy(), self._velocities.copy(), [*self.way]
        return copied

    def draw_velocities(self, rng: np.random.Generator) -> None:
        """Those of the temperature of the check."""
        roots = np.sqrt(units.kB * TEMPERATURE / self.masses)
        self._velocities = roots * rng.normal(size=self._velocities.shape)

    def step(self, length: float) -> None:
        """A velocity Verlet step."""
        self._velocities += 0.5 * length * self._forces / self.masses
        self.atoms.positions += length * self._velocities
        results = self._potential.evaluate(self.atoms, stress=False)
        self.energy, self._forces = results["energy"] - self._references, results["forces"]
        self._velocities += 0.5 * length * self._forces / self.masses
        self._n_steps += 1
        if self._n_steps % _APART == 0:
            self.way.append(self.atoms.copy())

    def stop_uphill(self) -> None:
        """Take the velocities away if the forces point against them."""
        if (self._velocities * self._forces).sum() < 0.0:
            self._velocities = np.zeros_like(self._velocities)

    @property
    def total_energy(self) -> float:
        """Potential and kinetic energy."""
        return float(self.energy + 0.5 * (self.masses * self._velocities**2).sum())
