"""How many labels a choice of structures saves: errors against their number, chosen and at random.

    python benchmarks/selection.py emt
    python benchmarks/selection.py MoNbTa_train.xyz --seeds 5 --ways random chosen per-atom

The labels of all structures but 20 are hidden, drawn at random with each seed. Each round doubles the number
of labels, at random or by `plip.selection.select_structures`, and fits again with the default settings.
Errors are those of structures that no round sees: 200 of a file, drawn at random, or those of other runs.
With "emt" all are snapshots of molecular dynamics of copper, gold and three alloys at 300 to 3,000 K, labeled
by ASE's EMT.

The columns hold geometric means over seeds, and in brackets the smallest and largest. "saves" is how many
structures at random reach the error of the chosen ones, over their number, by interpolation of logarithms;
">" says that no number of rounds at random does.
"""

import argparse
import warnings
from collections import defaultdict

import numpy as np
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from tqdm import tqdm

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor
from plip.selection import select_structures

FIRST = 20
# Cost of `select_structures` by way of choosing.
WAYS = {"random": None, "chosen": 0.0, "per-atom": 1.0}
TARGETS = {"energy": ("meV/atom", 1e3), "force": ("eV/A", 1.0)}


def emt_structures(n_snapshots, seed):
    """Snapshots of runs of five compositions at four temperatures, the lower ones as often as the higher."""
    random = np.random.default_rng(seed)
    structures = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        for temperature in (300, 1000, 2000, 3000):
            atoms = bulk("Cu", "fcc", a=3.61 + 0.47 * share, cubic=True).repeat(2)
            atoms.symbols[random.permutation(len(atoms))[: round(share * len(atoms))]] = "Au"
            atoms.set_cell(atoms.cell * random.uniform(0.98, 1.04), scale_atoms=True)
            atoms.calc = EMT()
            MaxwellBoltzmannDistribution(atoms, temperature_K=2 * temperature, rng=random)
            dynamics = Langevin(
                atoms, 4 * units.fs, temperature_K=temperature, friction=0.01 / units.fs, rng=random
            )
            for _ in range(n_snapshots):
                dynamics.run(15)
                snapshot = atoms.copy()
                names = ("energy", "forces", "stress")
                labels = {name: atoms.calc.get_property(name, atoms) for name in names}
                snapshot.calc = SinglePointCalculator(snapshot, **labels)
                structures.append(snapshot)
    return structures


def read_sets(name):
    """Pool and test."""
    if name == "emt":
        return emt_structures(30, 0), emt_structures(6, 1)
    structures = read(name, ":")
    order = np.random.default_rng(0).permutation(len(structures))
    return [structures[k] for k in order[200:]], [structures[k] for k in order[:200]]


def curve(pool, test, descriptors, order, cost, sizes):
    """Errors and numbers of atoms by number of structures."""
    have = order[:FIRST]
    model = PLIPRegressor(descriptors)
    equations = NormalEquations.from_structures([pool[k] for k in have], descriptors)
    found = {}
    for size in sizes:
        if size > len(have):
            if cost is None:
                more = order[len(have) : size]
            else:
                rest = sorted(set(order) - set(have))
                places = select_structures([pool[k] for k in rest], size - len(have), model, cost=cost)
                more = [rest[k] for k in places]
            equations += NormalEquations.from_structures([pool[k] for k in more], descriptors)
            have = have + more
        model.fit_normal_equations(equations)
        references = equations.references(model.coef_[None])
        squares = test.mean_squares(model.coef_[None], references)
        errors = {target: float(np.sqrt(squares[target][0])) for target in TARGETS}
        found[size] = errors | {"atoms": sum(len(pool[k]) for k in have)}
    return found


def savings(size, error, sizes, at_random):
    """How many times as many structures at random have this error."""
    # Errors of rounds at random need not fall.
    falling = np.minimum.accumulate(at_random)
    if error < falling[-1]:
        return f">{sizes[-1] / size:.1f}"
    needed = np.exp(np.interp(-np.log(error), -np.log(falling), np.log(sizes)))
    return f"{needed / size:.1f}"


def show(results, sizes):
    """Tables of errors by number of structures."""
    for target, (unit, factor) in TARGETS.items():
        print(f"\n{target}, {unit}")
        means = {}
        for way, curves in results.items():
            values = factor * np.array([[found[size][target] for size in sizes] for found in curves])
            means[way] = np.exp(np.log(values).mean(axis=0))
            print(f"  {way}")
            for k, size in enumerate(sizes):
                saved = savings(size, means[way][k], sizes, means["random"]) if way != "random" else ""
                atoms = np.mean([found[size]["atoms"] for found in curves])
                print(
                    f"    {size:>5} structures, {atoms:>6.0f} atoms: {means[way][k]:8.3f} "
                    f"({values[:, k].min():.3f} to {values[:, k].max():.3f})  {saved and f'saves {saved}'}"
                )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="'emt' or a file of labeled structures")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", type=int, default=[20, 40, 80, 160, 320])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["random", "chosen"])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    pool, test = read_sets(arguments.data)
    # The columns of all fits are the same; they follow from geometry alone.
    descriptors = PLIPDescriptors.preset("accurate").fit(pool)
    equations = NormalEquations.from_structures(test, descriptors)
    results = defaultdict(list)
    with tqdm(total=arguments.seeds * len(arguments.ways)) as bar:
        for seed in range(arguments.seeds):
            order = np.random.default_rng(seed).permutation(len(pool)).tolist()
            for way in arguments.ways:
                found = curve(pool, equations, descriptors, order, WAYS[way], arguments.sizes)
                results[way].append(found)
                bar.update()
    print(f"{arguments.data}: {len(pool)} structures in the pool, {len(test)} for tests")
    show(results, arguments.sizes)


if __name__ == "__main__":
    main()
