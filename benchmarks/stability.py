"""Whether potentials survive what simulations do to them: heat, pressure, defects, surfaces, fast atoms.

    python benchmarks/stability.py                                  # everything: hours on one core
    python benchmarks/stability.py --materials Si SiC --models default fast --time 2
    python benchmarks/stability.py --tests matrix --temperatures 5000 --repulsion none

Each model is fitted to the training structures of each material, then runs on cells of some 60 atoms:

- matrix: molecular dynamics at each temperature, at zero pressure below twice the melting point, else at the
  volume of the crystal; melted first, where it is liquid. Then a tenth of the time, at least 0.3 ps, without
  a thermostat. 4 materials, 5 models and 5 temperatures make 100 runs;
- quench: a melt at zero pressure, cooled to 300 K;
- defects: relaxed interstitials of each species, and a vacancy;
- knock-on: one atom gets 100 eV;
- surface: a slab at 0.8 of the melting point;
- scans: `plip.Potential.check_safety`: pairs, pushed atoms, compression to 0.6 and expansion to 1.5 of the
  length, dimers, hot steps.

A run has collapsed if two atoms are closer than half the sum of their covalent radii, if the energy falls
1 eV/atom below the crystal's (that of a defect: 5 eV in all), or if a number is no longer finite. An atom is
lost if its nearest neighbor is farther than 1.8 times the distance of neighbors in the crystal. A liquid has
boiled if it has less than half the density of the crystal, silicon up to 2,500 K if it has less than 2 g/cm3.
The drift is the difference of the mean total energies of the first and the last quarter of the part without a
thermostat.

Data sets other than silicon carbide are read from the folder PLIP_TEST_DATA, or ../shared/datasets beside the
repository; materials without data are left out.
"""

import argparse
import math
import os
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atom, units
from ase.build import bulk
from ase.data import covalent_radii
from ase.io import read
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from ase.neighborlist import neighbor_list
from ase.optimize import FIRE

from plip import PLIPRegressor, load_potential
from plip.datasets import load_silicon_carbide

TEMPERATURES = (300, 1500, 2500, 5000, 8000)
MODELS = ("default", "fast", "balanced", "accurate", "extensive")
TESTS = ("matrix", "quench", "defects", "knock-on", "surface", "scans")
# g/cm3 in units of ASE.
GRAM_PER_CM3 = units.mol * 1e-24
# eV below the crystal per atom. What the atoms of a compound differ in is less.
LEAST_FORMATION = -5.0
# Times the melting point: crystals of this temperature melt within half a picosecond.
MELTING = 3.0
# Steps between two looks at a run.
LOOK = 50
# Steps between two changes of the volume, and the time of its relaxation; a liquid that boils is softer than
# the crystal, and takes ten times as long.
BAROSTAT = 10
RELAXATION = 100.0 * units.fs


@dataclass(frozen=True)
class Material:
    """A crystal and how to simulate it: kelvin, femtoseconds, GPa."""

    atoms: object
    data: str | None
    melting: float
    step: float
    bulk_modulus: float

    @property
    def nearest(self):
        return neighbor_list("d", self.atoms, 4.0).min()


def alloy(symbols, atoms):
    atoms.symbols = np.random.default_rng(5).permutation(np.resize(symbols, len(atoms)))
    return atoms


MATERIALS = {
    "Si": Material(bulk("Si", a=5.46, cubic=True) * 2, "Si_train.xyz", 1687.0, 1.0, 98.0),
    "Mo": Material(bulk("Mo", a=3.16, cubic=True) * 3, "Mo_train.xyz", 2896.0, 2.0, 260.0),
    "Mo-Nb-Ta": Material(
        alloy(["Mo", "Nb", "Ta"], bulk("Mo", a=3.26, cubic=True) * 3), "MoNbTa_train.xyz", 2950.0, 2.0, 200.0
    ),
    "SiC": Material(bulk("SiC", "zincblende", a=4.38, cubic=True) * 2, None, 3100.0, 1.0, 220.0),
}


def structures(material):
    if material.data is None:
        return load_silicon_carbide()[0]
    default = Path(__file__).resolve().parents[2] / "shared" / "datasets"
    path = Path(os.environ.get("PLIP_TEST_DATA", default), material.data)
    return read(path, ":") if path.is_file() else None


def fitted(name, train, options):
    """The potential of a model: the default, a preset by the recipe of the docs, or a file."""
    if name.endswith(".json"):
        return load_potential(name)
    settings = {} if options.repulsion == "auto" else {"repulsion": None}
    if options.stress_weight is not None:
        settings["stress_weight"] = options.stress_weight
    if name != "default":
        settings.update(solver="replacement", alpha=0.0, max_terms=options.max_terms)
        return PLIPRegressor(name, **settings).fit(train).potential_
    return PLIPRegressor(**settings).fit(train).potential_


class Collapse(Exception):
    """The atoms are no longer matter."""


class Run:
    """A simulation that is looked at while it runs.

    Parameters
    ----------
    material : Material
    potential : Potential
    atoms : ase.Atoms
    temperature : float
        Kelvin.
    rng : numpy.random.Generator
    """

    def __init__(self, material, potential, atoms, temperature, rng):
        self.material, self.atoms, self.temperature, self.rng = material, atoms, temperature, rng
        crystal = material.atoms.copy()
        self.floor = potential.energy(crystal) / len(crystal) - 1.0
        self.crystal_density = density(crystal)
        # Fast atoms need short steps.
        self.step = material.step * min(1.0, math.sqrt(2000.0 / max(temperature, 1.0))) * units.fs
        atoms.calc = potential.calculator()
        spread = np.sqrt(atoms.get_masses() * units.kB * temperature)[:, None]
        atoms.set_momenta(spread * rng.normal(size=(len(atoms), 3)))
        self.time = 0.0
        self.is_slab = False

    def thermostat(self, temperature, picoseconds, barostat=False):
        """Langevin dynamics, at constant volume or with Berendsen's barostat at zero pressure."""
        dynamics = Langevin(
            self.atoms,
            self.step,
            temperature_K=temperature,
            friction=0.01 / units.fs,
            rng=self.rng,
            fixcm=False,
        )
        if barostat:
            dynamics.attach(self._relax_volume, interval=BAROSTAT)
        self._run(dynamics, picoseconds)

    def _relax_volume(self):
        """Berendsen et al., J. Chem. Phys. 81, 3684 (1984); seldom, since each costs an evaluation."""
        pressure = -np.mean(self.atoms.get_stress(voigt=False, include_ideal_gas=True).diagonal())
        rate = BAROSTAT * self.step / RELAXATION / (self.material.bulk_modulus * units.GPa)
        # No more than a percent of the length at once.
        scale = np.clip(1.0 + rate * pressure, 0.97, 1.03) ** (1 / 3)
        self.atoms.set_cell(scale * self.atoms.cell, scale_atoms=True)

    def free(self, picoseconds, step=None):
        """Without a thermostat; returns the drift in eV/atom."""
        totals = []
        dynamics = VelocityVerlet(self.atoms, step or self.step)
        dynamics.attach(lambda: totals.append(self.atoms.get_total_energy() / len(self.atoms)), interval=5)
        self._run(dynamics, picoseconds)
        quarter = max(1, len(totals) // 4)
        return abs(np.mean(totals[-quarter:]) - np.mean(totals[:quarter]))

    def _run(self, dynamics, picoseconds):
        end = self.time + picoseconds
        while self.time < end - 1e-9:
            try:
                dynamics.run(LOOK)
            except ValueError as error:  # atoms at one place
                raise Collapse(f"{error} ({self.time:.2f} ps)") from error
            self.time += LOOK * dynamics.dt / (1000.0 * units.fs)
            self._look()
            if not self.is_slab and density(self.atoms) < 0.3 * self.crystal_density:
                return  # a gas; nothing will change that

    def _look(self):
        energy = self.atoms.get_potential_energy() / len(self.atoms)
        if not math.isfinite(energy) or energy < self.floor:
            raise Collapse(f"{energy:.2f} eV/atom, crystal {self.floor + 1.0:.2f} ({self.time:.2f} ps)")
        pair, share = closest(self.atoms)
        if share < 0.5:
            raise Collapse(f"{pair} atoms at {share:.2f} of their radii ({self.time:.2f} ps)")

    def lost(self):
        """Number of atoms without a neighbor."""
        i = neighbor_list("i", self.atoms, 1.8 * self.material.nearest)
        return len(self.atoms) - len(set(i))


def density(atoms):
    """g/cm3."""
    return atoms.get_masses().sum() / atoms.cell.volume / GRAM_PER_CM3


def closest(atoms):
    """The closest pair, and its distance over the sum of the covalent radii."""
    radii = covalent_radii[atoms.numbers]
    i, j, d = neighbor_list("ijd", atoms, 2.4 * radii.max())
    if not len(d):
        return "no", math.inf
    share = d / (radii[i] + radii[j])
    k = int(share.argmin())
    return "-".join(sorted((atoms.symbols[i[k]], atoms.symbols[j[k]]))), share[k]


# ------------------------------------------------------------------ tests: each yields (name, outcome)


def matrix(material, potential, options, rng):
    for temperature in options.temperatures:
        run = Run(material, potential, material.atoms.copy(), temperature, rng)
        npt = temperature < 2.0 * material.melting
        outcome = Counter(runs=1)
        try:
            if temperature > material.melting:
                run.thermostat(MELTING * material.melting, 0.5)
            run.thermostat(temperature, options.time, barostat=npt)
            outcome["density"] = density(run.atoms)
            outcome["lost"] = run.lost()
            outcome["boiled"] = int(npt and has_boiled(material, run, temperature))
            outcome["drift"] = run.free(max(0.3, 0.1 * options.time))
        except Collapse as error:
            outcome["collapsed"], outcome["note"] = 1, str(error)
        yield f"{temperature} K, {'zero pressure' if npt else 'constant volume'}", outcome


def has_boiled(material, run, temperature):
    least = 0.5
    if set(material.atoms.symbols) == {"Si"} and temperature <= 2500:
        least = 2.0 / run.crystal_density
    return density(run.atoms) < least * run.crystal_density


def quench(material, potential, options, rng):
    run = Run(material, potential, material.atoms.copy(), MELTING * material.melting, rng)
    hot = 1.3 * material.melting
    outcome = Counter(runs=1)
    try:
        run.thermostat(MELTING * material.melting, 0.5)
        run.thermostat(hot, 0.4 * options.time, barostat=True)
        liquid = density(run.atoms)
        outcome["boiled"] = int(has_boiled(material, run, hot))
        for temperature in np.linspace(hot, 300.0, 8):
            run.thermostat(temperature, 0.05 * options.time, barostat=True)
        outcome["density"] = density(run.atoms)
        outcome["lost"] = run.lost()
        outcome["note"] = f"liquid {liquid:.2f}, crystal {run.crystal_density:.2f} g/cm3"
    except Collapse as error:
        outcome["collapsed"], outcome["note"] = 1, str(error)
    yield f"melt at {hot:.0f} K, quench to 300 K", outcome


def defects(material, potential, options, rng):
    crystal = material.atoms
    perfect = potential.energy(crystal) / len(crystal)
    cases = {"vacancy": None, **{f"interstitial {symbol}": symbol for symbol in potential.species}}
    for name, symbol in cases.items():
        atoms = crystal.copy()
        if symbol is None:
            del atoms[0]
        else:
            atoms.append(Atom(symbol, widest_hole(crystal)))
        atoms.rattle(0.01, rng=rng)
        before = potential.energy(atoms)
        run = Run(material, potential, atoms, 0.0, rng)
        outcome = Counter(runs=1)
        try:
            FIRE(atoms, logfile=None).run(fmax=0.05, steps=300)
            run._look()
            outcome["lost"] = run.lost()
            gained = before - atoms.get_potential_energy()
            # Against the crystal per atom: of a compound, the energy of the atom that comes or goes is in it.
            formation = atoms.get_potential_energy() - perfect * len(atoms)
            outcome["collapsed"] = int(formation < LEAST_FORMATION)
            outcome["note"] = f"gains {gained:.2f} eV, {formation:+.2f} eV, {closest(atoms)[1]:.2f} of radii"
        except (Collapse, ValueError) as error:
            outcome["collapsed"], outcome["note"] = 1, str(error)
        yield name, outcome


def widest_hole(atoms):
    """The place farthest from all atoms, of a grid as fine as a 24th of the cell."""
    best, place = -1.0, None
    count = 12
    fractions = np.stack(np.meshgrid(*[np.arange(count) / count / 2] * 3, indexing="ij"), -1).reshape(-1, 3)
    for point in fractions @ atoms.cell.array:
        probe = atoms.copy()
        probe.append(Atom("X", point))
        nearest = probe.get_distances(-1, range(len(atoms)), mic=True).min()
        if nearest > best + 1e-6:
            best, place = nearest, point
    return place


def knock_on(material, potential, options, rng):
    atoms = material.atoms.repeat((2, 2, 1))
    for k, symbol in enumerate(sorted(set(atoms.symbols))):
        run = Run(material, potential, atoms.copy(), 300.0, rng)
        chosen = int(np.flatnonzero(atoms.symbols == symbol)[0])
        direction = np.array([1.0, 0.35, 0.2]) + 0.1 * k
        direction /= np.linalg.norm(direction)
        momenta = run.atoms.get_momenta()
        momenta[chosen] = direction * math.sqrt(2.0 * run.atoms.get_masses()[chosen] * 100.0)
        run.atoms.set_momenta(momenta)
        outcome = Counter(runs=1)
        try:
            # Short steps while the atom is fast, 0.4 A/fs for carbon.
            drift = run.free(0.1, step=0.1 * run.step)
            outcome["drift"] = max(drift, run.free(0.3, step=0.3 * run.step))
            outcome["lost"] = run.lost()
        except Collapse as error:
            outcome["collapsed"], outcome["note"] = 1, str(error)
        yield f"100 eV for {symbol}", outcome


def surface(material, potential, options, rng):
    atoms = material.atoms.copy()
    atoms.center(vacuum=6.0, axis=2)
    atoms.pbc = (True, True, False)
    temperature = 0.8 * material.melting
    run = Run(material, potential, atoms, temperature, rng)
    run.is_slab = True
    outcome = Counter(runs=1)
    try:
        run.thermostat(temperature, 0.5 * options.time)
        outcome["lost"] = run.lost()
        outcome["drift"] = run.free(max(0.3, 0.1 * options.time))
    except Collapse as error:
        outcome["collapsed"], outcome["note"] = 1, str(error)
    yield f"(001) slab at {temperature:.0f} K", outcome


def scans(material, potential, options, rng):
    report = potential.check_safety(options.train)
    for finding in report.findings:
        print(f"      {finding}")
    yield "check_safety", Counter(runs=1, unsafe=len(report.findings), note=", ".join(report.kinds))


FUNCTIONS = dict(zip(TESTS, (matrix, quench, defects, knock_on, surface, scans), strict=True))
COUNTS = ("runs", "collapsed", "lost", "boiled", "drifting", "unsafe")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--materials", nargs="+", choices=MATERIALS, default=list(MATERIALS))
    parser.add_argument(
        "--models", nargs="+", default=list(MODELS), help="'default', presets, or files of potentials"
    )
    parser.add_argument("--tests", nargs="+", choices=TESTS, default=list(TESTS))
    parser.add_argument("--temperatures", nargs="+", type=int, default=list(TEMPERATURES), metavar="K")
    parser.add_argument("--time", type=float, default=20.0, metavar="PS", help="of a run (default: 20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repulsion", choices=("auto", "none"), default="auto")
    parser.add_argument("--stress-weight", type=float, metavar="W", help="default: that of PLIPRegressor")
    parser.add_argument("--max-terms", type=int, default=127, metavar="N", help="terms of the presets")
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    totals = {}
    for name in options.materials:
        material = MATERIALS[name]
        options.train = structures(material)
        if options.train is None:
            print(f"{name}: no data set {material.data}, see PLIP_TEST_DATA")
            continue
        for model in options.models:
            potential = fitted(model, options.train, options)
            total = totals.setdefault((name, model), Counter())
            print(f"{name}, {model}: {len(potential.terms)} terms, cutoff {potential.cutoff:g} A")
            for test in options.tests:
                rng = np.random.default_rng(options.seed)
                before = time.perf_counter()
                for title, outcome in FUNCTIONS[test](material, potential, options, rng):
                    seconds, before = time.perf_counter() - before, time.perf_counter()
                    outcome["drifting"] = int(outcome["drift"] > 1e-3)
                    total.update({count: outcome[count] for count in COUNTS})
                    print(f"   {test}, {title}: {line(outcome)} ({seconds:.0f} s)", flush=True)
    print(f"\n{'':24s}" + "".join(f"{count:>11s}" for count in COUNTS))
    for (name, model), total in totals.items():
        print(f"{name + ', ' + Path(model).stem:24s}" + "".join(f"{total[count]:11d}" for count in COUNTS))
    whole = sum(totals.values(), Counter())
    print(f"{'all':24s}" + "".join(f"{whole[count]:11d}" for count in COUNTS))


def line(outcome):
    words = []
    if outcome["collapsed"]:
        words.append("COLLAPSED")
    if outcome["lost"]:
        words.append(f"LOST {outcome['lost']}")
    if outcome["boiled"]:
        words.append("BOILED")
    if outcome["drifting"]:
        words.append("DRIFTS")
    if outcome["density"]:
        words.append(f"{outcome['density']:.2f} g/cm3")
    if outcome["drift"]:
        words.append(f"drift {outcome['drift']:.1e} eV/atom")
    if outcome["unsafe"]:
        words.append(f"{outcome['unsafe']} findings")
    if outcome["note"]:
        words.append(str(outcome["note"]))
    return ", ".join(words) or "fine"


if __name__ == "__main__":
    main()
