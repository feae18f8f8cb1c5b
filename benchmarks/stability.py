"""Whether potentials survive what simulations do to them: heat, pressure, defects, surfaces, fast atoms.

    python benchmarks/stability.py results.jsonl                    # everything: hours on one core
    python benchmarks/stability.py results.jsonl --tests matrix     # the 100 runs of 20 ps
    python benchmarks/stability.py short.jsonl --materials Si SiC --models default fast --time 2

Each result is a line that is appended to the file; what is there already is not done again. Fitted potentials
are kept in a folder beside it, one for each material and model, and so are not fitted twice. The table of
counts comes last; `--table` prints it alone.

Models are the default ("default", PLIPRegressor without settings), each preset, what `plip fit` makes
("fit", "fit-readable" and so on), the published method without core repulsion ("0.1.0", the default of that
version), and presets without any penalty ("extensive-127": 127 terms by replacement). Simulations are done by
LAMMPS with `pair_style plip` (`plip lammps build`), on cells of some 60 atoms:

- matrix: molecular dynamics at each temperature, at zero pressure below twice the melting point, else at the
  volume of the crystal; melted first, where it is liquid. Then a twentieth of the time, at least 0.3 ps, in
  short steps without a thermostat. 4 materials, 5 models and 5 temperatures make 100 runs;
- quench: a melt at zero pressure, cooled to 300 K;
- knock-on: one atom gets 100 eV;
- surface: a slab at 0.8 of the melting point;
- defects: relaxed interstitials of each species, and a vacancy;
- check: `plip.Potential.check_safety`;
- scans: see `scans.py`: pairs, pushed atoms, compression. Each kind is one run; it fails with its first dip.

A run has collapsed if two atoms are closer than half the sum of their covalent radii, if the energy falls
1 eV/atom below the crystal's (that of a defect: 5 eV in all), or if a number is no longer finite. An atom is
lost if its nearest neighbor is farther than 1.8 times the distance of neighbors in the crystal. A liquid of
less than 1.5 times the melting point has boiled if it has less than half the density of the crystal, silicon
if less than 2 g/cm3. Hotter matter at zero pressure is free to boil, and its single atoms are vapor, not
lost: silicon carbide, which sublimes near 3,100 K, expands at 5,000 K.
The drift is the difference of the mean total energies of the first and the last quarter of the part without a
thermostat, at most 1e-3 eV/atom.
"""

import argparse
import contextlib
import json
import math
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import scans
from ase import Atom, units
from ase.data import covalent_radii
from ase.io import write
from ase.neighborlist import neighbor_list
from ase.optimize import FIRE
from materials import MATERIALS
from tqdm import tqdm

from plip import PLIPDescriptors, PLIPRegressor, load_potential
from plip.cli import main as plip

TEMPERATURES = (300, 1500, 2500, 5000, 8000)
MODELS = ("default", "fast", "balanced", "stock", "extensive")
SIMULATED = ("Si", "Mo", "Mo-Nb-Ta", "SiC")
# g/cm3 in units of ASE.
GRAM_PER_CM3 = units.mol * 1e-24
# eV below the crystal per atom. What the atoms of a compound differ in is less.
LEAST_FORMATION = -5.0
# eV/atom.
MOST_DRIFT = 1e-3
# Times the melting point: crystals of this temperature melt within half a picosecond.
MELTING = 3.0
# Times the melting point, below which a liquid at zero pressure does not boil.
LIQUID = 1.5
# Part of the density of the crystal below which matter is a gas.
GAS = 0.3
# Steps between two looks at a run.
LOOK = 100
# Relaxation of the volume and friction in ps.
RELAXATION, FRICTION = 0.2, 0.1
# Part of the time step where the energy must be conserved: the error of the integrator, which falls with its
# square, is several meV/atom at 8,000 K.
FINE = 0.25
# What a run may fail by.
FAILURES = ("collapsed", "lost", "boiled", "drifting", "unsafe")


def fit(name, train, path):
    """Write the potential of a model."""
    if name.partition("-")[0] == "fit":
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "train.xyz")
            write(file, train, format="extxyz")
            command = ["fit", str(file), "-o", str(path), "--allow-unsafe", "--no-plot", "-q"]
            with contextlib.redirect_stdout(None):
                plip([*command, "--target", name.partition("-")[2] or "accurate"])
        return
    preset, _, size = name.partition("-")
    settings = {"descriptors": preset}
    if name == "default":
        settings = {}
    elif name == "0.1.0":
        settings = {
            "descriptors": PLIPDescriptors(cutoff=5.0),
            "solver": "lasso_lars",
            "energy_weight": 30.0,
            "stress_weight": 0.0,
            "repulsion": None,
        }
    elif size:
        settings |= {"max_terms": int(size), "contribution_penalty": 0.0, "stress_weight": 0.0}
    PLIPRegressor(**settings).fit(train).potential_.save(path)


class Collapse(Exception):
    """The atoms are no longer matter."""


class Run:
    """A simulation in LAMMPS that is looked at while it runs.

    Parameters
    ----------
    material : Material
    potential : Potential
    path : Path
        Its file.
    atoms : ase.Atoms
        In a cell with right angles; changed as the simulation goes on.
    temperature : float
        Kelvin.
    seed : int
    """

    def __init__(self, material, potential, path, atoms, temperature, seed):
        from lammps import lammps

        self.material, self.atoms, self.seed = material, atoms, seed
        crystal = material.atoms.copy()
        self.floor = potential.energy(crystal) / len(crystal) - 1.0
        self.crystal_density = density(crystal)
        # Fast atoms need short steps.
        self.step = 1e-3 * material.step * min(1.0, math.sqrt(2000.0 / max(temperature, 1.0)))
        self.time = 0.0
        self.is_slab = not atoms.pbc.all()
        self.lammps = lammps(cmdargs=["-screen", "none", "-log", "none"])
        # Without it, LAMMPS knows no potential that could fail.
        if "plip" not in self.lammps.available_styles("pair"):
            raise SystemExit("LAMMPS does not have pair_style plip: build it with `plip lammps build`")
        species = sorted(set(atoms.symbols))
        x, y, z = atoms.cell.lengths()
        self.commands(
            "units metal",
            f"boundary p p {'m' if self.is_slab else 'p'}",
            f"region cell block 0 {x} 0 {y} 0 {z}",
            f"create_box {len(species)} cell",
        )
        types = [species.index(symbol) + 1 for symbol in atoms.symbols]
        positions = atoms.get_positions(wrap=not self.is_slab)
        self.lammps.create_atoms(
            len(atoms), list(range(1, len(atoms) + 1)), types, positions.ravel().tolist()
        )
        masses = [f"mass {k + 1} {Atom(symbol).mass}" for k, symbol in enumerate(species)]
        self.commands(
            *masses,
            "pair_style plip",
            f"pair_coeff * * {path} {' '.join(species)}",
            f"velocity all create {max(temperature, 1e-6)} {seed} dist gaussian",
            "fix move all nve",
            f"timestep {self.step}",
            "thermo_modify lost error",
        )

    def commands(self, *lines):
        try:
            for line in lines:
                self.lammps.command(line)
        except Exception as error:  # LAMMPS knows no other
            reason = " ".join(str(error).split())
            raise Collapse(f"{reason[:120]} ({self.time:.2f} ps)") from error

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.lammps.close()

    def thermostat(self, temperature, picoseconds, barostat=False):
        """Langevin dynamics, at constant volume or with Berendsen's barostat at zero pressure."""
        self.commands(f"fix heat all langevin {temperature} {temperature} {FRICTION} {self.seed}")
        if barostat:
            modulus = 1e4 * self.material.bulk_modulus
            self.commands(f"fix press all press/berendsen iso 0 0 {RELAXATION} modulus {modulus}")
        self._run(picoseconds, LOOK)
        self.commands("unfix heat", *(["unfix press"] if barostat else []))

    def free(self, picoseconds, part=1.0):
        """Without a thermostat, with a part of the time step; returns the drift in eV/atom."""
        self.commands(f"timestep {part * self.step}")
        totals = self._run(picoseconds, 10, part)
        quarter = max(1, len(totals) // 4)
        return abs(np.mean(totals[-quarter:]) - np.mean(totals[:quarter])) / len(self.atoms)

    def _run(self, picoseconds, chunk, part=1.0):
        """Steps in chunks; returns the total energy after each."""
        totals, done = [], 0
        steps = math.ceil(picoseconds / (part * self.step))
        while done < steps:
            self.commands(f"run {chunk} pre {'no' if totals and chunk < LOOK else 'yes'} post no")
            done += chunk
            self.time += chunk * part * self.step
            totals.append(self.lammps.get_thermo("etotal"))
            if done % LOOK == 0:
                self._look()
            if self.is_gas():
                break  # nothing will change that
        return totals

    def _look(self):
        low, high, *_ = self.lammps.extract_box()
        self.atoms.positions = np.array(self.lammps.gather_atoms("x", 1, 3)).reshape(-1, 3)
        if not self.is_slab:
            self.atoms.cell = np.subtract(high, low)
        energy = self.lammps.get_thermo("pe") / len(self.atoms)
        if not (math.isfinite(energy) and np.isfinite(self.atoms.positions).all()):
            raise Collapse(f"not finite ({self.time:.2f} ps)")
        pair, share = closest(self.atoms)
        if energy < self.floor:
            raise Collapse(
                f"{energy:.2f} eV/atom, crystal {self.floor + 1.0:.2f}, {pair} at {share:.2f} of radii "
                f"({self.time:.2f} ps)"
            )
        if share < 0.5:
            raise Collapse(f"{pair} atoms at {share:.2f} of their radii ({self.time:.2f} ps)")

    def is_gas(self):
        return not self.is_slab and density(self.atoms) < GAS * self.crystal_density

    def lost(self):
        """Number of atoms without a neighbor."""
        return lost(self.atoms, self.material)


def lost(atoms, material):
    return len(atoms) - len(set(neighbor_list("i", atoms, 1.8 * material.nearest)))


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


# ------------------------------------------------------------------ tests: name, then outcome


def matrix(material, potential, path, options):
    for temperature in options.temperatures:

        def run(temperature=temperature):
            npt = temperature < 2.0 * material.melting
            outcome = {}
            with Run(material, potential, path, material.atoms.copy(), temperature, options.seed) as run:
                if temperature > material.melting:
                    run.thermostat(MELTING * material.melting, 0.5)
                run.thermostat(temperature, options.time, barostat=npt)
                outcome["density"] = density(run.atoms)
                alone = run.lost()
                may_boil = npt and temperature > LIQUID * material.melting
                outcome |= {"lost": 0, "note": f"{alone} alone"} if may_boil else {"lost": alone}
                outcome["boiled"] = int(npt and has_boiled(material, run, temperature))
                outcome["drift"] = run.free(max(0.3, 0.05 * options.time), FINE)
            return outcome

        yield f"{temperature} K", run


def has_boiled(material, run, temperature):
    if temperature > LIQUID * material.melting:
        return False
    least = 0.5
    if set(material.atoms.symbols) == {"Si"}:
        least = 2.0 / run.crystal_density
    return density(run.atoms) < least * run.crystal_density


def quench(material, potential, path, options):
    hot = 1.3 * material.melting

    def run():
        atoms = material.atoms.copy()
        with Run(material, potential, path, atoms, MELTING * material.melting, options.seed) as run:
            run.thermostat(MELTING * material.melting, 0.5)
            run.thermostat(hot, 0.4 * options.time, barostat=True)
            liquid = density(run.atoms)
            outcome = {"boiled": int(has_boiled(material, run, hot))}
            for temperature in np.linspace(hot, 300.0, 8):
                run.thermostat(temperature, 0.05 * options.time, barostat=True)
            outcome["density"] = density(run.atoms)
            outcome["lost"] = run.lost()
            outcome["note"] = f"liquid {liquid:.2f}, crystal {run.crystal_density:.2f} g/cm3"
        return outcome

    yield f"melt at {hot:.0f} K, quench to 300 K", run


def knock_on(material, potential, path, options):
    for k, symbol in enumerate(sorted(set(material.atoms.symbols))):

        def run(k=k, symbol=symbol):
            atoms = material.atoms.repeat((2, 2, 1))
            chosen = int(np.flatnonzero(atoms.symbols == symbol)[0])
            direction = np.array([1.0, 0.35, 0.2]) + 0.1 * k
            direction /= np.linalg.norm(direction)
            # Angstrom per ps.
            speed = math.sqrt(2.0 * 100.0 / atoms.get_masses()[chosen]) * 1000.0 * units.fs
            outcome = {}
            with Run(material, potential, path, atoms, 300.0, options.seed) as run:
                x, y, z = speed * direction
                run.commands(f"group fast id {chosen + 1}", f"velocity fast set {x} {y} {z}")
                # Short steps while the atom is fast, 0.4 A/fs for carbon.
                drift = run.free(0.1, 0.1)
                outcome["drift"] = max(drift, run.free(0.3, 0.3))
                outcome["lost"] = run.lost()
            return outcome

        yield f"100 eV for {symbol}", run


def surface(material, potential, path, options):
    temperature = 0.8 * material.melting

    def run():
        atoms = material.atoms.copy()
        atoms.center(vacuum=6.0, axis=2)
        atoms.pbc = (True, True, False)
        outcome = {}
        with Run(material, potential, path, atoms, temperature, options.seed) as run:
            run.thermostat(temperature, 0.5 * options.time)
            outcome["lost"] = run.lost()
            outcome["drift"] = run.free(max(0.3, 0.05 * options.time), FINE)
        return outcome

    yield f"(001) slab at {temperature:.0f} K", run


def defects(material, potential, path, options):
    cases = {"vacancy": None, **{f"interstitial {symbol}": symbol for symbol in potential.species}}
    for name, symbol in cases.items():

        def run(symbol=symbol):
            atoms = material.atoms.copy()
            perfect = potential.energy(atoms) / len(atoms)
            if symbol is None:
                del atoms[0]
            else:
                atoms.append(Atom(symbol, widest_hole(atoms)))
            atoms.rattle(0.01, seed=options.seed)
            before = potential.energy(atoms)
            atoms.calc = potential.calculator()
            try:
                FIRE(atoms, logfile=None).run(fmax=0.05, steps=300)
            except ValueError as error:  # atoms at one place
                raise Collapse(str(error)) from error
            gained = before - atoms.get_potential_energy()
            # Against the crystal per atom: of a compound, the energy of the atom that comes or goes is in it.
            formation = atoms.get_potential_energy() - perfect * len(atoms)
            note = f"gains {gained:.2f} eV, {formation:+.2f} eV, {closest(atoms)[1]:.2f} of radii"
            if formation < LEAST_FORMATION or closest(atoms)[1] < 0.5:
                raise Collapse(note)
            return {"lost": lost(atoms, material), "note": note}

        yield name, run


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


def check(material, potential, path, options):
    def run():
        report = potential.check_safety(options.train(material))
        return {
            "unsafe": len(report.findings),
            "note": "; ".join(str(finding) for finding in report.findings),
        }

    yield "check_safety", run


def scan(material, potential, path, options):
    for name, function in scans.KINDS.items():

        def run(function=function):
            count, found = function(potential, options.data(material), material)
            worst = max(found, default=(0.0, ""))
            note = (
                f"{len(found)} of {count} fail, worst by {worst[0]:.2g} eV: {worst[1]}"
                if found
                else f"{count} pass"
            )
            return {"unsafe": int(bool(found)), "note": note}

        yield name, run


TESTS = {
    "matrix": matrix,
    "quench": quench,
    "knock-on": knock_on,
    "surface": surface,
    "defects": defects,
    "check": check,
    "scans": scan,
}


class Options(argparse.Namespace):
    """The command's arguments, and the training structures of the present material."""

    present = None

    def train(self, material):
        if self.present is not material:
            self.present, self.read, self.scanned = material, material.structures(), None
        return self.read

    def data(self, material):
        structures = self.train(material)
        if self.scanned is None:
            self.scanned = scans.Data(structures)
        return self.scanned


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="file that results are appended to, a line each")
    parser.add_argument("--materials", nargs="+", choices=MATERIALS, default=list(SIMULATED))
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--tests", nargs="+", choices=TESTS, default=list(TESTS))
    parser.add_argument("--temperatures", nargs="+", type=int, default=list(TEMPERATURES), metavar="K")
    parser.add_argument("--time", type=float, default=20.0, metavar="PS", help="of a run (default: 20)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print the table of the results alone")
    options = parser.parse_args(namespace=Options())
    if not options.table:
        warnings.simplefilter("ignore", UserWarning)
        simulate(options)
    print_table(options.results)


def read_results(path):
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def simulate(options):
    done = {tuple(result["run"]) for result in read_results(options.results)}
    folder = options.results.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    jobs = []
    for name in options.materials:
        if MATERIALS[name].structures() is None:
            print(f"{name}: no data, see PLIP_TEST_DATA")
            continue
        jobs += [(name, model, test) for model in options.models for test in options.tests]
    with tqdm(jobs) as bar:
        for name, model, test in bar:
            bar.set_description(f"{name}, {model}, {test}")
            material, path = MATERIALS[name], folder / f"{name.replace(' ', '')}-{model}.json"
            if not path.exists():
                fit(model, options.train(material), path)
            potential = load_potential(path)
            for case, run in TESTS[test](material, potential, path, options):
                key = (name, model, test, case)
                if key in done:
                    continue
                try:
                    outcome = run()
                except Collapse as collapse:
                    outcome = {"collapsed": 1, "note": str(collapse)}
                outcome["drifting"] = int(outcome.get("drift", 0.0) > MOST_DRIFT)
                with options.results.open("a") as file:
                    file.write(json.dumps({"run": key, **outcome}) + "\n")
                if any(outcome.get(failure) for failure in FAILURES):
                    bar.write(f"{', '.join(key)}: {line(outcome)}")


def line(outcome):
    words = [f"{name} {outcome[name]}" for name in FAILURES if outcome.get(name)]
    if "density" in outcome:
        words.append(f"{outcome['density']:.2f} g/cm3")
    if outcome.get("drift"):
        words.append(f"drift {outcome['drift']:.1e} eV/atom")
    return ", ".join([*words, outcome.get("note", "")])


def print_table(path):
    """Runs that fail, of all runs, by model and test; and by what."""
    totals, tests = {}, []
    for result in read_results(path):
        _, model, test, _ = result["run"]
        tests += [test] if test not in tests else []
        failed = any(result.get(failure) for failure in FAILURES)
        for column in (test, "all"):
            totals.setdefault((model, column), Counter()).update({"runs": 1, "failed": int(failed)})
        totals[model, "all"].update({name: int(bool(result.get(name))) for name in FAILURES})
    print(f"{'failed of runs':18s}" + "".join(f"{name:>11s}" for name in (*tests, "all", *FAILURES)))
    for model in dict.fromkeys(model for model, _ in totals):
        cells = []
        for test in (*tests, "all"):
            count = totals.get((model, test), Counter())
            cells.append(f"{count['failed']} of {count['runs']}" if count["runs"] else "")
        cells += [str(totals[model, "all"][name]) for name in FAILURES]
        print(f"{model:18s}" + "".join(f"{cell:>11s}" for cell in cells))


if __name__ == "__main__":
    main()
