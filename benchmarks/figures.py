"""Measure the figures of the page on performance of the documentation.

    python figures.py FIGURE [...] --data FOLDER

runs each figure in a process of its own and prints what it costs. FOLDER holds ``Si_train.xyz``,
``Si_test.xyz``, ``Mo_train.xyz`` (Zuo et al., J. Phys. Chem. A 124, 731 (2020)) and ``SiO2_forces.xyz``; the
default is the environment variable PLIP_TEST_DATA. Times are CPU seconds (user and system) after imports;
each is the least of a few repetitions, so that other work on the machine disturbs little.

fit       184 terms, energies and forces of Si, errors on training and test data
products  594 columns: normal equations against bare rank-k updates of the same size, and the solvers
rows      one SiO2 structure of 384 atoms, 550 columns: all its force rows
memory    594 columns, the data once and 20 times: peak memory above the imports
jobs      two workers against one, the data once and 4 times: wall time, CPU time, bits
threads   the bits for 1, 2 and 3 workers and 1 and 2 BLAS threads
million   a stream of a million atoms, 200 terms: atoms per CPU second, memory
reading   seconds to read extended XYZ against seconds to fit it
"""

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import ase.io
import numpy as np
from scipy.linalg.blas import dsyrk
from threadpoolctl import threadpool_limits

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor
from plip._design._rows import Design, StructureDesign
from plip.interactions import NBody, ThreeBody, TwoBody
from plip.radial import Gaussian

TARGETS = ("energy", "force")


def small_model():
    """184 terms."""
    return PLIPDescriptors(
        cutoff=5.0,
        two_body=TwoBody(Gaussian(centers=16)),
        three_body=ThreeBody(Gaussian(centers=12), max_power=6),
        n_body=NBody(Gaussian(centers=21), powers=(2, 3, 4, 5)),
    )


def mixed_model():
    """594 columns."""
    return PLIPDescriptors(
        cutoff=5.0,
        two_body=TwoBody(Gaussian(centers=16)),
        three_body=ThreeBody(Gaussian(centers=12), max_power=6, mixed=True),
        n_body=NBody(Gaussian(centers=16), powers=(2, 3)),
    )


def published_model():
    """550 columns for two species."""
    return PLIPDescriptors(
        cutoff=6.0,
        two_body=TwoBody(Gaussian(centers=10)),
        three_body=ThreeBody(Gaussian(centers=10), max_power=5),
        n_body=NBody(Gaussian(centers=10), powers=(4, 5, 6, 7)),
    )


def least_cpu(function, repeat=5):
    """Least CPU seconds of some calls, and what the last one returned."""
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        value = function()
        seconds.append(time.process_time() - start)
    return min(seconds), value


def peak_megabytes():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1024)


def root_mean_squares(potential, structures):
    """Errors: energies in meV/atom, forces in eV/A."""
    energies, forces = [], []
    for atoms in structures:
        result = potential.evaluate(atoms, stress=False)
        energies.append((result["energy"] - atoms.get_potential_energy()) / len(atoms))
        forces.append(result["forces"] - atoms.get_forces(apply_constraint=False))
    return 1000 * np.sqrt(np.mean(np.square(energies))), np.sqrt(np.mean(np.square(np.concatenate(forces))))


def fit(data):
    train, test = ase.io.read(data / "Si_train.xyz", ":"), ase.io.read(data / "Si_test.xyz", ":")

    def whole():
        model = PLIPRegressor(small_model(), alpha=1e-6, max_terms=None).fit(train)
        return model, root_mean_squares(model.potential_, train), root_mean_squares(model.potential_, test)

    seconds, (model, of_train, of_test) = least_cpu(whole)
    print(f"fit: {model.n_features_in_} terms ({model.n_terms_} kept), {seconds:.2f} CPU s with errors")
    for name, (energy, force) in (("train", of_train), ("test", of_test)):
        print(f"    {name}: {energy:.2f} meV/atom, {force:.4f} eV/A")


def products(data):
    train = ase.io.read(data / "Si_train.xyz", ":")
    descriptors = mixed_model().fit(train)
    seconds, equations = least_cpu(
        lambda: NormalEquations.from_structures(train, descriptors, targets=TARGETS, n_jobs=1)
    )
    n_rows, width = sum(equations.n_rows.values()), len(equations.terms) + 2
    rows = np.random.default_rng(0).normal(size=(n_rows, width))
    with threadpool_limits(1):
        bare = least_cpu(lambda: dsyrk(1.0, rows.T))[0]
    print(f"products: {len(equations.terms)} columns, {n_rows} rows: {seconds:.2f} CPU s")
    print(f"    bare rank-k update {bare:.2f} CPU s, ratio {seconds / bare:.2f}")
    for solver in ("lasso_lars", "omp", "adaptive_lasso", "ridge"):
        model = PLIPRegressor(descriptors, solver=solver)
        seconds = least_cpu(lambda model=model: model.fit_normal_equations(equations), 3)[0]
        print(f"    solve, {solver}: {seconds:.2f} CPU s ({model.n_terms_} terms)")


def rows(data):
    atoms = ase.io.read(data / "SiO2_forces.xyz", "0")
    descriptors = published_model().fit([atoms])
    design = Design(descriptors.terms_, descriptors.species_)

    def force_rows():
        structure = StructureDesign(design, atoms)
        of_forces = np.zeros((3 * len(atoms), len(descriptors.terms_)))
        structure.write_rows(0, of_forces)
        return of_forces

    seconds, of_forces = least_cpu(force_rows, 10)
    print(f"rows: {of_forces.shape[0]} x {of_forces.shape[1]}: {seconds:.3f} CPU s with the neighbors")


def memory(data, repeat=None):
    if repeat is None:
        for times in (1, 20, 60):
            _in_process("memory", data, "--repeat", str(times))
        return
    train = ase.io.read(data / "Si_train.xyz", ":")
    # SciPy's linear algebra is imported by the first fit.
    PLIPRegressor(PLIPDescriptors(cutoff=3.0), max_terms=5).fit(train[:5])
    before = peak_megabytes()
    PLIPRegressor(mixed_model()).fit(atoms for _ in range(repeat) for atoms in train)
    peak = peak_megabytes()
    print(f"memory: data {repeat} times: peak {peak:.0f} MB, {peak - before:.0f} MB above imports and data")


def jobs(data):
    train = ase.io.read(data / "Si_train.xyz", ":")
    descriptors = mixed_model().fit(train)
    for times in (1, 4):
        best = {}
        for _ in range(5):
            for n_jobs in (1, 2):
                wall, cpu = time.perf_counter(), time.process_time()
                equations = NormalEquations.from_structures(
                    times * train, descriptors, n_jobs=n_jobs, targets=TARGETS
                )
                figures = time.perf_counter() - wall, time.process_time() - cpu, digest(equations)
                best[n_jobs] = min(best.get(n_jobs, figures), figures)
        for n_jobs, (wall, cpu, bits) in best.items():
            print(f"jobs: data {times} times, {n_jobs}: {wall:.2f} s wall, {cpu:.2f} CPU s, bits {bits}")
        print(f"    speed-up {best[1][0] / best[2][0]:.2f}, CPU time x {best[2][1] / best[1][1]:.2f}")


def digest(equations):
    """A few characters that change with any bit of the problem."""
    problem = equations.problem()
    return hashlib.sha256(problem.gram.tobytes() + problem.moment.tobytes()).hexdigest()[:12]


def threads(data, n_jobs=None):
    if n_jobs is None:
        for n_threads in (1, 2):
            for n in (1, 2, 3):
                variables = {f"{name}_NUM_THREADS": str(n_threads) for name in ("OPENBLAS", "MKL", "OMP")}
                _in_process("threads", data, "--n-jobs", str(n), variables=variables)
        return
    train = ase.io.read(data / "Si_train.xyz", ":")
    equations = NormalEquations.from_structures(train, mixed_model(), n_jobs=n_jobs)
    coefficients = PLIPRegressor().fit_normal_equations(equations).coef_
    bits = hashlib.sha256(coefficients.tobytes()).hexdigest()[:12]
    n_threads = os.environ.get("OPENBLAS_NUM_THREADS")
    print(f"threads: {n_jobs} workers, {n_threads} BLAS threads: equations {digest(equations)}, fit {bits}")


def million(data, n_atoms=1_000_000):
    from ase.calculators.singlepoint import SinglePointCalculator

    originals = ase.io.read(data / "Mo_train.xyz", ":")
    descriptors = PLIPDescriptors(
        cutoff=5.0,
        two_body=TwoBody(Gaussian(centers=16)),
        three_body=ThreeBody(Gaussian(centers=16), max_power=6),
        n_body=NBody(Gaussian(centers=18), powers=(2, 3, 4, 5)),
    ).fit(originals)
    # What making the structures costs is measured on some of them, and taken off.
    made = {"atoms": 0, "structures": 0}

    def stream(n_atoms):
        rng = np.random.default_rng(0)
        made.update(atoms=0, structures=0)
        while made["atoms"] < n_atoms:
            original = originals[made["structures"] % len(originals)]
            atoms = original.copy()
            atoms.positions += rng.normal(scale=0.02, size=atoms.positions.shape)
            # Labels of the unmoved structure: their values do not matter here.
            atoms.calc = SinglePointCalculator(atoms, **original.calc.results)
            made["atoms"] += len(atoms)
            made["structures"] += 1
            yield atoms

    start = time.process_time()
    for _ in stream(n_atoms / 10):
        pass
    making = (time.process_time() - start) * 10
    NormalEquations.from_structures(stream(n_atoms / 100), descriptors, targets=TARGETS)
    before = peak_megabytes()
    for part in (n_atoms // 10, n_atoms):
        start = time.process_time()
        equations = NormalEquations.from_structures(stream(part), descriptors, targets=TARGETS)
        seconds = time.process_time() - start - making * part / n_atoms
        peak, n = peak_megabytes(), made["atoms"]
        print(f"million: {n} atoms in {made['structures']} structures, {len(equations.terms)} terms:")
        print(f"    {seconds:.1f} CPU s, {n / seconds:.0f} atoms per CPU s")
        print(f"    peak {peak:.0f} MB, {peak - before:.0f} MB above that of the first hundredth")


def reading(data, n_atoms=100_000):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.xyz"
        content = (data / "Mo_train.xyz").read_text()
        structures = ase.io.read(data / "Mo_train.xyz", ":")
        repeat = -(-n_atoms // sum(len(atoms) for atoms in structures))
        path.write_text(content * repeat)
        n_atoms = repeat * sum(len(atoms) for atoms in structures)
        print(f"reading: {n_atoms} atoms, {path.stat().st_size / 1e6:.1f} MB")
        seconds = least_cpu(lambda: ase.io.read(path, ":"), 2)[0]
        print(f"    ase.io.read: {seconds:.2f} CPU s, {n_atoms / seconds:.0f} atoms per CPU s")
        if find_spec("ase_extxyz") is not None:
            seconds = least_cpu(lambda: ase.io.read(path, ":", format="cextxyz"), 2)[0]
            print(f"    with ase-extxyz: {seconds:.2f} CPU s, {n_atoms / seconds:.0f} atoms per CPU s")
        structures *= repeat
        for name, descriptors in (("default", PLIPDescriptors()), ("594 columns", mixed_model())):
            seconds = least_cpu(lambda d=descriptors: PLIPRegressor(d).fit(structures), 2)[0]
            print(f"    fit, {name}: {seconds:.2f} CPU s, {n_atoms / seconds:.0f} atoms per CPU s")


FIGURES = (fit, products, rows, memory, jobs, threads, million, reading)


def _in_process(name, data, *options, variables=None):
    command = [sys.executable, __file__, name, "--data", str(data), "--in-process", *options]
    subprocess.run(command, check=True, env=os.environ | (variables or {}))


def main():
    names = [figure.__name__ for figure in FIGURES]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", nargs="*", metavar="FIGURE")
    parser.add_argument("--data", type=Path, default=os.environ.get("PLIP_TEST_DATA"), metavar="FOLDER")
    parser.add_argument("--atoms", type=int, help="number of atoms for 'million' and 'reading'")
    for option in ("--repeat", "--n-jobs"):
        parser.add_argument(option, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data or set PLIP_TEST_DATA")
    if unknown := set(arguments.figures).difference(names):
        parser.error(f"no figure {', '.join(sorted(unknown))}; choose from {', '.join(names)}")
    for figure in FIGURES:
        if figure.__name__ not in (arguments.figures or names):
            continue
        if not arguments.in_process:
            atoms = [] if arguments.atoms is None else ["--atoms", str(arguments.atoms)]
            _in_process(figure.__name__, arguments.data, *atoms)
            continue
        options = {"repeat": arguments.repeat, "n_jobs": arguments.n_jobs, "n_atoms": arguments.atoms}
        figure(arguments.data, **{key: value for key, value in options.items() if value is not None})


if __name__ == "__main__":
    main()
