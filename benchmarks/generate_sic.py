"""Label small silicon-carbide cells with density-functional theory (GPAW, PBE, plane waves).

This made the data set of `plip.datasets.load_silicon_carbide`. Every structure is drawn from a seeded
generator, so the list of structures is the same in every run; the labels are GPAW's.

    python generate_sic.py out.xyz [start [step]]

with GPAW 22.8 and its 0.9.20000 PBE setups; several processes share the work by `start` and `step`.
"""

import sys
import time

import numpy as np
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

rng = np.random.default_rng(20261122)


def strained(atoms, amplitude):
    eps = rng.uniform(-amplitude, amplitude, (3, 3))
    eps = (eps + eps.T) / 2
    atoms = atoms.copy()
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + eps), scale_atoms=True)
    return atoms


def min_distance(atoms):
    repeated = atoms.repeat((2, 2, 2))
    distances = repeated.get_all_distances(mic=True)
    return distances[np.triu_indices(len(repeated), 1)].min()


def rattled(atoms, sigma, dmin=1.35):
    while True:
        candidate = atoms.copy()
        candidate.positions += rng.normal(0, sigma, candidate.positions.shape)
        if min_distance(candidate) > dmin:
            return candidate


def structures():
    zincblende = bulk("SiC", "zincblende", a=4.38, cubic=True)
    wurtzite = bulk("SiC", "wurtzite", a=3.09, c=5.05)
    rocksalt = bulk("SiC", "rocksalt", a=4.06, cubic=True)
    out = []
    for scale in np.linspace(0.91, 1.10, 12):
        atoms = zincblende.copy()
        atoms.set_cell(zincblende.cell[:] * scale, scale_atoms=True)
        out.append(("zincblende-eos", atoms))
    for _ in range(20):
        out.append(("zincblende-elastic", rattled(strained(zincblende, 0.04), 0.02)))
    for sigma in (0.05, 0.10, 0.15):
        for _ in range(20):
            out.append(("zincblende-thermal", rattled(strained(zincblende, 0.03), sigma)))
    for _ in range(36):
        out.append(("zincblende-hot", rattled(strained(zincblende, 0.05), 0.25)))
    for sigma in (0.05, 0.12):
        for _ in range(14):
            out.append(("wurtzite", rattled(strained(wurtzite, 0.04), sigma)))
    for _ in range(18):
        out.append(("rocksalt", rattled(strained(rocksalt, 0.05), 0.08)))
    for _ in range(20):
        atoms = zincblende.copy()
        del atoms[int(rng.integers(8))]
        out.append(("vacancy", rattled(strained(atoms, 0.02), 0.08)))
    return out


def label(atoms):
    from gpaw import GPAW, PW, FermiDirac

    size = tuple(int(max(2, round(8.8 / length))) for length in atoms.cell.lengths())
    atoms.calc = GPAW(
        mode=PW(400, dedecut="estimate"),
        xc="PBE",
        kpts={"size": size},
        occupations=FermiDirac(0.1),
        txt="gpaw.txt",
        maxiter=150,
        convergence={"energy": 1e-6, "density": 1e-6},
    )
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    labeled = atoms.copy()
    labeled.calc = SinglePointCalculator(labeled, energy=energy, forces=forces, stress=stress)
    return labeled


if __name__ == "__main__":
    target = sys.argv[1]
    start = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    step = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    todo = structures()
    order = np.random.default_rng(7).permutation(len(todo))
    for number, index in enumerate(order[start::step]):
        group, atoms = todo[index]
        began = time.time()
        try:
            labeled = label(atoms)
        except Exception as error:  # a structure whose self-consistency does not converge is left out
            print(index, group, "left out:", type(error).__name__, flush=True)
            continue
        labeled.info.update(group=group, index=int(index))
        write(target, labeled, append=True, format="extxyz")
        print(
            number,
            index,
            group,
            len(labeled),
            f"{labeled.get_potential_energy() / len(labeled):.4f} eV/atom",
            f"{np.abs(labeled.get_forces()).max():.2f} eV/A",
            f"{time.time() - began:.0f} s",
            flush=True,
        )
