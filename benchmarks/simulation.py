"""Accuracy per time: errors of potentials beside the CPU time of a step in ASE and in LAMMPS, on one thread.

    python benchmarks/simulation.py                        # doc/data/speed.csv and its figure; some minutes
    python benchmarks/simulation.py --quick                # the same with few steps, to try it out
    python benchmarks/simulation.py Si:si.json Mo:mo.json  # times of these potentials alone

Without arguments, potentials of silicon are fitted to `Si_train.xyz` (see `materials.py`): plip at all SIZES
of the path of `PLIPRegressorCV` with the presets "accurate" and "fast", and with the two- and N-body terms of
"fast" alone; FastPOD and linear SNAP with LAMMPS alone (`lammps_fits.py`). Errors are those of `Si_test.xyz`,
which chooses nothing. LAMMPS's own tersoff and sw, which are not fitted to these data, have no errors. NEP,
where calorine is installed, has made-up parameters, which take the same time as real ones, and runs in ASE.

Every potential runs its own crystal of some 2,000 atoms at 300 K, in ASE and (after `plip lammps build`) in
LAMMPS, with each of the SKINS. Files written with `uncertainty=True` also run with extrapolation grades on
every tenth step. All take turns, and the least time of the rounds counts, since others use the machine too.
"""

import argparse
import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import lammps_fits
import numpy as np
import peers
from ase import units
from ase.build import bulk
from ase.data import atomic_masses, atomic_numbers, reference_states
from ase.md.verlet import VelocityVerlet
from materials import from_file
from tqdm import tqdm

from plip import PLIPDescriptors, PLIPRegressorCV, load_potential
from plip.lammps import plugin_folder, start
from plip.lammps._plugin import PLUGIN

DOC = Path(__file__).resolve().parents[1] / "doc"
REPEATS = 5
# CPU seconds of a run, of which there are REPEATS.
SECONDS = 0.5
# Angstrom that LAMMPS's neighbor lists reach beyond the cutoff: that of plip's calculator, and the default.
SKINS = (0.5, 2.0)
# Equipartition halves the temperature of a crystal that starts from its lattice sites.
START = 600.0
# Numbers of terms by name and offer.
SIZES = {
    "two- and N-body": (10, 20, 35, 50),
    "fast": (10, 20, 35, 60),
    "accurate": (10, 20, 35, 60, 127, 250),
}
COLUMNS = {
    "potential": "potential",
    "terms": "terms",
    "energy": "test, meV/atom",
    "force": "test, eV/Å",
    "ASE": "ASE (µs per atom and step)",
    "LAMMPS, skin 0.5": "LAMMPS, skin 0.5",
    "LAMMPS, skin 2.0": "LAMMPS, skin 2.0 (µs per atom and step)",
    "ratio": "over tersoff",
}


def crystal(symbol):
    """A cube of some two thousand atoms."""
    atoms = bulk(symbol, cubic=True)
    return atoms * ((round((2000 / len(atoms)) ** (1 / 3)),) * 3)


def timed(run, n_atoms):
    """A function that runs for some SECONDS and returns CPU seconds per step and atom.

    run(n) makes n steps.
    """

    def seconds(steps):
        before = time.process_time()
        run(steps)
        return time.process_time() - before

    # The crystal warms up, and lists of neighbors are made.
    first = seconds(5)
    steps = 5 if first > SECONDS else max(5, round(SECONDS / (seconds(5) / 5)))
    return lambda: seconds(steps) / steps / n_atoms


def ase_run(calculator, symbol):
    """The time of a step in ASE; see `timed`."""
    atoms = crystal(symbol)
    momenta = np.random.default_rng(0).normal(size=(len(atoms), 3))
    atoms.set_momenta(momenta * np.sqrt(atoms.get_masses() * units.kB * START)[:, None])
    atoms.calc = calculator
    return timed(VelocityVerlet(atoms, 1.0 * units.fs).run, len(atoms))


def lammps_run(pair, symbol, skin):
    """The same in LAMMPS."""
    from lammps import lammps

    number = atomic_numbers[symbol]
    lattice = reference_states[number]
    atoms = crystal(symbol)
    cells = round(atoms.cell[0, 0] / lattice["a"])
    lmp = lammps(cmdargs=lammps_fits.QUIET)
    lmp.commands_string(
        f"""units metal
lattice {lattice["symmetry"]} {lattice["a"]}
region box block 0 {cells} 0 {cells} 0 {cells}
create_box 1 box
create_atoms 1 box
mass 1 {atomic_masses[number]}
{pair}
velocity all create {START} 1 loop geom
neighbor {skin} bin
neigh_modify every 1 delay 0 check yes
timestep 0.001
fix nve all nve
"""
    )
    return timed(lambda steps: lmp.command(f"run {steps}"), len(atoms))


def write_snap(folder, twojmax=6):
    """Files of a SNAP potential with made-up coefficients; returns the lines that use it."""
    n_components = {6: 30, 8: 55}[twojmax]
    coefficients = 1e-4 * np.random.default_rng(0).normal(size=n_components + 1)
    return "\n".join(lammps_fits.write_snap("Si", coefficients, folder, twojmax))


def write_nep(folder):
    """The file of a NEP of usual size with made-up parameters."""
    cutoffs, n_max, basis, l_max, neurons = (5, 4), (4, 4), (8, 8), 4, 30
    # Angular functions have l = 1 ... l_max, and one four-body invariant.
    dimension = n_max[0] + 1 + (n_max[1] + 1) * (l_max + 1)
    expansion = sum((n + 1) * (k + 1) for n, k in zip(n_max, basis, strict=True))
    parameters = 1e-3 * np.random.default_rng(0).normal(size=(dimension + 2) * neurons + 1 + expansion)
    lines = [
        "nep4 1 Si",
        "cutoff {} {} 500 200".format(*cutoffs),
        "n_max {} {}".format(*n_max),
        "basis_size {} {}".format(*basis),
        f"l_max {l_max} 2 0",
        f"ANN {neurons} 0",
        *map(str, parameters),
        *["1.0"] * dimension,
    ]
    path = Path(folder, "nep.txt")
    path.write_text("\n".join(lines) + "\n")
    return path


def plip_style(path, symbol):
    return f'pair_style plip\npair_coeff * * "{path}" {symbol}'


def given_potentials(arguments, has_plugin):
    """Rows of the files of the command line."""
    rows = []
    for argument in arguments:
        symbol, _, name = argument.partition(":")
        path = Path(name).resolve()
        potential = load_potential(path)
        row = {"potential": path.name, "terms": len(potential.terms), "symbol": symbol}
        rows.append(row | {"calculator": potential.calculator(), "pair": plip_style(path, symbol)})
        if has_plugin and "uncertainty" in json.loads(path.read_text()):
            grades = f"{plip_style(path, symbol)}\nfix grades all pair 10 plip extrapolation 1"
            rows.append(row | {"potential": f"{path.name}, grades", "pair": grades})
    return rows


def fitted_potentials(folder):
    """Rows of the sizes of plip and of the fits of LAMMPS, with their test errors."""
    train, test = from_file("Si_train.xyz")(), from_file("Si_test.xyz")()
    if train is None or test is None:
        raise SystemExit(
            "no data of silicon: PLIP_TEST_DATA names the folder of Si_train.xyz and Si_test.xyz"
        )
    rows = []
    for offer, sizes in SIZES.items():
        descriptors = PLIPDescriptors.preset("accurate" if offer == "accurate" else "fast")
        if offer == "two- and N-body":
            descriptors.set_params(three_body=None)
        model = PLIPRegressorCV(descriptors, max_terms=max(sizes)).fit(train)
        for size in sizes:
            potential = model.potential_at(size)
            path = Path(folder, f"{offer}-{size}.json".replace(" ", "-"))
            potential.save(path)
            results = [potential.evaluate(atoms, stress=False) for atoms in test]
            found = peers.errors(test, *([result[key] for result in results] for key in ("energy", "forces")))
            row = {"potential": f"plip, {offer}", "terms": size, **found}
            rows.append(row | {"calculator": potential.calculator(), "pair": plip_style(path, "Si")})
    if find_spec("lammps") is not None:
        rows += fits_of_lammps(train, test, folder)
    return rows


def fits_of_lammps(train, test, folder):
    rows = []
    fits = {
        "FastPOD": lammps_fits.fit_pod,
        "SNAP, 2J = 6": lambda *arguments: lammps_fits.fit_snap(*arguments, twojmax=6),
        "SNAP, 2J = 8": lambda *arguments: lammps_fits.fit_snap(*arguments, twojmax=8),
    }
    for number, (name, fit) in enumerate(fits.items()):
        own = Path(folder, f"fit{number}")
        own.mkdir()
        lines, n_coefficients = fit("Si", train, own)
        found = peers.errors(test, *lammps_fits.predict("Si", lines, test))
        rows.append({"potential": name, "terms": n_coefficients, **found, "pair": "\n".join(lines)})
    return rows


def references(folder):
    """Rows without errors: LAMMPS's own potentials, and NEP."""
    rows = []
    if find_spec("lammps") is not None:
        package = Path(find_spec("lammps").submodule_search_locations[0])
        files = package / "share" / "lammps" / "potentials"
        for style in ("tersoff", "sw"):
            pair = f'pair_style {style}\npair_coeff * * "{files}/Si.{style}" Si'
            rows.append({"potential": f"{style}, of LAMMPS", "pair": pair})
    if find_spec("calorine") is None:
        print("NEP is left out: calorine is not installed")
    else:
        from calorine.calculators import CPUNEP

        rows.append({"potential": "NEP, of calorine", "calculator": CPUNEP(str(write_nep(folder)))})
    return rows


def measure(rows, has_plugin, repeats):
    """Adds the times in microseconds to the rows."""
    runs = []
    for row in tqdm(rows, desc="crystals"):
        symbol = row.get("symbol", "Si")
        if "calculator" in row:
            runs.append((row, "ASE", ase_run(row["calculator"], symbol)))
        if "pair" in row and (has_plugin or "pair_style plip" not in row["pair"]):
            for skin in SKINS:
                runs.append((row, f"LAMMPS, skin {skin}", lammps_run(row["pair"], symbol, skin)))
    times = [[run() for _, _, run in runs] for _ in tqdm(range(repeats), desc="rounds")]
    for (row, where, _), values in zip(runs, zip(*times, strict=True), strict=True):
        row[where] = 1e6 * min(values)
        row[f"{where}, median"] = 1e6 * float(np.median(values))
    reference = next((row for row in rows if row["potential"].startswith("tersoff")), {})
    for row, skin in itertools.product(rows, SKINS):
        where = f"LAMMPS, skin {skin}"
        if where in row and where in reference:
            row[f"{where}, ratio"] = row[where] / reference[where]
    for row in rows:
        row["ratio"] = row.get("LAMMPS, skin 2.0, ratio")


def show(rows):
    """A line for each potential and place."""
    print("microseconds per atom and step: least and median of the rounds, and the ratio to tersoff")
    for row, where in itertools.product(rows, ("ASE", *(f"LAMMPS, skin {skin}" for skin in SKINS))):
        if where in row:
            name = f"{row['potential']}, {row['terms']} terms" if "terms" in row else row["potential"]
            ratio = row.get(f"{where}, ratio")
            line = f"{name:36s} {where:18s} {row[where]:7.2f} {row[f'{where}, median']:7.2f}"
            print(line if ratio is None else f"{line} {ratio:7.2f}")


def write_table(rows):
    def cell(value):
        return f"{value:.3g}" if isinstance(value, float) else "" if value is None else value

    with open(DOC / "data" / "speed.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS.values())
        writer.writerows([cell(row.get(key)) for key in COLUMNS] for row in rows)


def main():
    global SECONDS
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("potentials", nargs="*", metavar="ELEMENT:FILE", help="time these alone")
    parser.add_argument("--quick", action="store_true", help="few steps, one round, no table and no figure")
    arguments = parser.parse_args()
    if arguments.quick:
        SECONDS = 0.02
    has_plugin = find_spec("lammps") is not None and Path(start(), PLUGIN).exists()
    os.environ["LAMMPS_PLUGIN_PATH"] = plugin_folder()
    if not has_plugin:
        print(f"no LAMMPS, or no plugin in {plugin_folder()}: plip runs in ASE only")
    with tempfile.TemporaryDirectory() as folder:
        if arguments.potentials:
            rows = given_potentials(arguments.potentials, has_plugin)
        else:
            rows = fitted_potentials(folder)
        rows += references(folder)
        measure(rows, has_plugin, 1 if arguments.quick else REPEATS)
    show(rows)
    if not arguments.quick and not arguments.potentials:
        write_table(rows)
        subprocess.run([sys.executable, DOC / "figures" / "claims.py"], check=True)


if __name__ == "__main__":
    main()
