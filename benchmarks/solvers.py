"""Errors of cross-validation against the number of terms, for every solver.

    python benchmarks/solvers.py Si_train.xyz Mo_train.xyz --offers extensive --solvers omp replacement

The script makes one potential for each size and solver. Its energy weight has the smallest error in
cross-validation over the file. The error is that of `PLIPRegressorCV`: the mean over energies and
forces of the mean square error over that of a model without terms. Several random choices of the folds
reduce the effect of chance. The difference of the errors of two solvers in each fold, with its standard
error, shows whether one is better. No test file is read: `accuracy.py` does that.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from ase.io import read
from tqdm import tqdm

from plip import NormalEquations, PLIPDescriptors, Potential
from plip.solvers import SOLVERS, solve

N_FOLDS = 5
N_DEALS = 3


def descriptors_of(offer):
    """ "auto", "auto+4" (with the four-body interaction) or a preset; with "@6" at a cutoff of 6 Angstrom."""
    name, _, cutoff = offer.partition("@")
    parameters = {"cutoff": float(cutoff)} if cutoff else {}
    if name == "auto":
        return PLIPDescriptors(**parameters)
    if name == "auto+4":
        return PLIPDescriptors(four_body="auto", **parameters)
    return PLIPDescriptors.preset(name, **parameters)


def deal_folds(X, seed):
    """Fold of each structure: those of each group are shuffled, then dealt out."""
    groups = np.array([str(atoms.info.get("group")) for atoms in X])
    order = np.random.default_rng(seed).permutation(len(X))
    order = order[np.argsort(groups[order], kind="stable")]
    folds = np.empty(len(X), int)
    folds[order] = np.arange(len(X)) % N_FOLDS
    return folds


class Fits:
    """Normal equations of a file in folds, and the potentials that follow from them."""

    def __init__(self, X, offer, sizes, weights, seed):
        self.folds = deal_folds(X, seed)
        self.sizes = sizes
        self.weights = weights
        descriptors = descriptors_of(offer).fit(X)
        self.parts = [
            NormalEquations.from_structures(
                [X[k] for k in np.flatnonzero(self.folds == fold)], descriptors, targets=("energy", "force")
            )
            for fold in range(N_FOLDS)
        ]
        self.total = sum(self.parts[1:], self.parts[0])

    def coefficients(self, equations, solver, weight):
        """Refitted models of all sizes, shape (n_sizes, n_terms)."""
        _, path = solve(equations.problem(weight), solver, alpha=0.0, max_terms=max(self.sizes), refit=True)
        return path.at_sizes(self.sizes).coefs

    def cross_validate(self, solver):
        """Mean squares over held-out folds, {target: (n_weights, n_sizes)}; errors by fold."""
        squares, rows, relative = {}, {}, []
        null = self.total.null_mean_squares()
        for part in self.parts:
            rest = self.total - part
            relative.append(np.empty((len(self.weights), len(self.sizes))))
            for w, weight in enumerate(self.weights):
                coefs = self.coefficients(rest, solver, weight)
                found = part.mean_squares(coefs, rest.references(coefs))
                relative[-1][w] = relative_error(found, null)
                for target, values in found.items():
                    squares.setdefault(target, np.zeros_like(relative[-1]))[w] += values * part.n_rows[target]
            for target, count in part.n_rows.items():
                rows[target] = rows.get(target, 0) + count
        return {target: square / rows[target] for target, square in squares.items()}, relative


def relative_error(squares, null):
    """What `PLIPRegressorCV` minimizes."""
    return np.mean([squares[t] / null[t] for t in ("energy", "force") if t in squares], axis=0)


def microseconds(potential, atoms):
    """CPU time per atom of energy and forces, neighbors included, on at least 1,000 atoms."""
    repeat = int(np.ceil((1000 / len(atoms)) ** (1 / 3)))
    atoms = atoms.repeat(repeat) if atoms.pbc.all() else atoms
    best = np.inf
    for _ in range(4):  # the first also makes the tables; the least disturbed one counts
        start = time.process_time()
        potential.evaluate(atoms, stress=False)
        best = min(best, time.process_time() - start)
    return 1e6 * best / len(atoms)


def measure(train, offer, solvers, sizes, weights):
    """One row per solver and size."""
    deals = [Fits(train, offer, sizes, weights, seed) for seed in range(N_DEALS)]
    fits = deals[0]
    null = fits.total.null_mean_squares()
    rows = []
    for solver in solvers:
        results = [deal.cross_validate(solver) for deal in tqdm(deals, desc=f"{offer}, {solver}")]
        squares = {target: np.mean([found[target] for found, _ in results], axis=0) for target in null}
        by_fold = np.concatenate([relative for _, relative in results])
        relative = relative_error(squares, null)
        for s, w in enumerate(relative.argmin(axis=0)):
            coef = fits.coefficients(fits.total, solver, weights[w])[s]
            potential = Potential(fits.total.descriptors, coef, fits.total.reference_energies(coef))
            rows.append(
                {
                    "offer": f"{offer} ({len(coef)})",
                    "solver": solver,
                    "size": sizes[s],
                    "terms": int(np.count_nonzero(coef)),
                    "weight": weights[w],
                    "cv": relative[w, s],
                    "by_fold": by_fold[:, w, s],
                    "energy": 1e3 * np.sqrt(squares["energy"][w, s]) if "energy" in squares else np.nan,
                    "force": np.sqrt(squares["force"][w, s]),
                    "us": microseconds(potential, train[0]),
                }
            )
    return rows


def print_table(name, rows):
    print(f"\n{name}\n")
    print("offer (columns)   solver        terms  weight | meV/atom    eV/A  relative | us/atom")
    for row in rows:
        print(
            f"{row['offer']:17s} {row['solver']:13s} {row['terms']:5d} {row['weight']:7g} | "
            f"{row['energy']:8.2f}  {row['force']:.4f}  {row['cv']:.6f} | {row['us']:7.1f}"
        )
    for row in rows:
        base = next(r for r in rows if (r["offer"], r["size"]) == (row["offer"], row["size"]))
        if row is not base:
            change = row["by_fold"] - base["by_fold"]
            mean, spread = change.mean(), change.std(ddof=1) / np.sqrt(len(change))
            print(
                f"  {row['offer']}, {row['size']} terms: {row['solver']} against {base['solver']} "
                f"{100 * mean / base['cv']:+.1f} % with a standard error of {100 * spread / base['cv']:.1f} %"
            )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", help="training structures, extended XYZ")
    parser.add_argument(
        "--offers", nargs="+", default=["auto", "accurate"], help="auto, auto+4, fast, accurate@5.5, ..."
    )
    parser.add_argument("--solvers", nargs="+", default=["lasso_lars", "omp", "replacement"], choices=SOLVERS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[50, 127, 400])
    parser.add_argument("--energy-weights", nargs="+", type=float, default=[30.0, 60.0, 120.0, 240.0])
    options = parser.parse_args()
    for name in options.data:
        train = read(name, ":")
        rows = []
        for offer in options.offers:
            rows += measure(train, offer, options.solvers, options.sizes, options.energy_weights)
        print_table(Path(name).stem, rows)


if __name__ == "__main__":
    main()
