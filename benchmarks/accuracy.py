"""Errors against the number of terms, for every solver, beside published figures.

    python accuracy.py Si_train.xyz:Si_test.xyz Ta.xyz --offers accurate --plot front.png

A data set is a pair of files, train and test, or one file with five folds that are held out in turn.
The script makes one potential for each size and solver. Its energy weight has the smallest error in
cross-validation over the train file. The error is that of `PLIPRegressorCV`: the mean over energies and
forces of the mean square error over that of a model without terms. Several random choices of the folds
reduce the effect of chance. The difference of the errors of two solvers in each fold, with its standard
error, shows whether one is better. Test errors choose nothing.
`--no-test` does not read the test files and prints only the errors of cross-validation.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
from ase.io import read
from tqdm import tqdm

from plip import NormalEquations, PLIPDescriptors, Potential
from plip.labels import Labels, read_labels
from plip.metrics import errors
from plip.solvers import SOLVERS, solve

N_FOLDS = 5
N_DEALS = 3

# Test errors on the published splits: name, coefficients, energy (meV/atom), force (eV/Angstrom).
# Peers on the same test files, published (those that say so; data and MTP: Zuo et al., J. Phys. Chem. A 124,
# 731 (2020)) or measured for this comparison (the others).
PUBLISHED = {
    "Mo_test": [
        ("MTP, published fit", 329, 3.98, 0.151),
        ("pypolymlp", 6820, 4.40, 0.164),
        ("pypolymlp", 1336, 4.32, 0.186),
        ("pypolymlp", 702, 6.23, 0.250),
        ("GAP", 315, 2.69, 0.188),
        ("quadratic SNAP", 496, 9.84, 0.194),
        ("linear ACE", 397, 7.80, 0.205),
        ("linear ACE + ZBL", 127, 7.75, 0.311),
        ("SNAP", 56, 9.63, 0.262),
    ],
    "Si_test": [
        ("MTP, published fit", 913, 3.02, 0.088),
        ("pypolymlp", 6820, 2.95, 0.099),
        ("pypolymlp", 1336, 3.53, 0.100),
        ("pypolymlp", 702, 7.27, 0.122),
        ("quadratic SNAP", 496, 3.98, 0.139),
        ("linear ACE + ZBL", 127, 5.84, 0.179),
        ("SNAP", 56, 7.48, 0.173),
    ],
}


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
        start = time.process_time()
        self.parts = [
            NormalEquations.from_structures(
                [X[k] for k in np.flatnonzero(self.folds == fold)], descriptors, targets=("energy", "force")
            )
            for fold in range(N_FOLDS)
        ]
        self.seconds = time.process_time() - start
        self.total = sum(self.parts[1:], self.parts[0])

    def coefficients(self, equations, solver, weight):
        """Refitted models of all sizes, shape (n_sizes, n_terms)."""
        _, path = solve(equations.problem(weight), solver, alpha=0.0, max_terms=max(self.sizes), refit=True)
        return path.at_sizes(self.sizes).coefs

    def cross_validate(self, solver):
        """Mean squares over held-out folds, {target: (n_weights, n_sizes)}; errors and models by fold."""
        squares, rows, models, relative = {}, {}, [], []
        null = self.total.null_mean_squares()
        for part in self.parts:
            rest = self.total - part
            models.append([self.coefficients(rest, solver, weight) for weight in self.weights])
            relative.append(np.empty((len(self.weights), len(self.sizes))))
            for w, coefs in enumerate(models[-1]):
                found = part.mean_squares(coefs, rest.references(coefs))
                relative[-1][w] = relative_error(found, null)
                for target, values in found.items():
                    squares.setdefault(target, np.zeros_like(relative[-1]))[w] += values * part.n_rows[target]
            for target, count in part.n_rows.items():
                rows[target] = rows.get(target, 0) + count
        return {target: square / rows[target] for target, square in squares.items()}, relative, models


def relative_error(squares, null):
    """What `PLIPRegressorCV` minimizes."""
    return np.mean([squares[t] / null[t] for t in ("energy", "force") if t in squares], axis=0)


def join(predictions, places):
    """Predictions for parts of a list as predictions for the whole."""
    order = np.argsort(np.concatenate(places))
    energy = np.concatenate([labels.energy for labels in predictions])
    forces = [force for labels in predictions for force in labels.forces]
    return Labels(energy[order], [forces[k] for k in order], None, np.ones(len(order)))


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


def measure(train, test, offer, solvers, sizes, weights):
    """One row per solver and size."""
    deals = [Fits(train, offer, sizes, weights, seed) for seed in range(N_DEALS)]
    fits = deals[0]
    null = fits.total.null_mean_squares()
    rows = []
    for solver in solvers:
        results = [deal.cross_validate(solver) for deal in tqdm(deals, desc=f"{offer}, {solver}")]
        first, _, models = results[0]
        squares = {target: np.mean([found[target] for found, _, _ in results], axis=0) for target in first}
        by_fold = np.concatenate([relative for _, relative, _ in results])
        relative = relative_error(squares, null)
        for s, w in enumerate(relative.argmin(axis=0)):
            coef = fits.coefficients(fits.total, solver, weights[w])[s]
            potential = Potential(fits.total.descriptors, coef, fits.total.reference_energies(coef))
            row = {
                "offer": f"{offer} ({len(coef)})",
                "solver": solver,
                "size": sizes[s],
                "terms": int(np.count_nonzero(coef)),
                "weight": weights[w],
                "cv": relative[w, s],
                "by_fold": by_fold[:, w, s],
                "cv_energy": 1e3 * np.sqrt(squares["energy"][w, s]) if "energy" in squares else np.nan,
                "cv_force": np.sqrt(squares["force"][w, s]),
                "us": microseconds(potential, train[0]),
            }
            if test == "folds":
                places, predictions = [], []
                for fold, part in enumerate(fits.parts):
                    coef = models[fold][w][s]
                    held_out = np.flatnonzero(fits.folds == fold)
                    reference = (fits.total - part).reference_energies(coef)
                    potential = Potential(part.descriptors, coef, reference)
                    held = [train[k] for k in held_out]
                    predictions.append(potential.predict(held, stress=False))
                    places.append(held_out)
                row["errors"] = grouped_errors(join(predictions, places), train)
            elif test is not None:
                row["errors"] = grouped_errors(potential.predict(test, stress=False), test)
            rows.append(row)
    return rows


def grouped_errors(predicted, X):
    """Errors over all structures, under None, and of each group."""
    labels = read_labels(X)
    n_atoms = np.array([len(atoms) for atoms in X])
    groups = np.array([str(atoms.info.get("group", "")) for atoms in X])
    chosen = {None: np.arange(len(X))} | {
        group: np.flatnonzero(groups == group) for group in sorted(set(groups))
    }
    found = {}
    for group, rows in chosen.items():
        true = labels.take(rows)
        found[group] = errors(
            predicted.take(rows), Labels(true.energy, true.forces, None, true.sample_weight), n_atoms[rows]
        )
    return found


def print_table(name, rows, published):
    print(f"\n{name}\n")
    print(
        "offer (columns)   solver        terms  weight |  CV meV/atom  eV/A  relative |  "
        "test meV/atom  eV/A | us/atom"
    )
    for row in rows:
        energy, force = errors_of(row)
        print(
            f"{row['offer']:17s} {row['solver']:13s} {row['terms']:5d} {row['weight']:7g} | "
            f"{row['cv_energy']:12.2f} {row['cv_force']:.4f}  {row['cv']:.6f} | "
            f"{energy:14.2f} {force:6.4f} | {row['us']:7.1f}"
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
    for peer, size, energy, force in published:
        print(f"{peer:31s} {size:5d}         | {'':29s} | {energy:14.2f} {force:6.3f} |")
    last = rows[-1]
    for group, found in last.get("errors", {}).items():
        if group:
            print(
                f"  {last['offer']}, {last['solver']}, {last['terms']} terms: {group:16s} "
                f"{found.get('energy_rmse', np.nan):8.2f} {found['force_rmse']:.4f}"
            )


def errors_of(row):
    """Energy and force RMSE on the structures that were held out."""
    found = row.get("errors", {}).get(None, {})
    return found.get("energy_rmse", np.nan), found.get("force_rmse", np.nan)


def plot_front(path, tables):
    """Force and energy error against terms and against time, one row of panels per data set."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(len(tables), 3, figsize=(13, 3.8 * len(tables)), squeeze=False)
    for axes, (name, rows, published) in zip(panels, tables, strict=True):
        offers = list(dict.fromkeys(row["offer"] for row in rows))
        solvers = list(dict.fromkeys(row["solver"] for row in rows))
        for kind in itertools.product(offers, solvers):
            mine = [row for row in rows if (row["offer"], row["solver"]) == kind]
            style = f"C{offers.index(kind[0])}" + ("-", "--", ":", "-.")[solvers.index(kind[1]) % 4]
            terms, speed = [row["terms"] for row in mine], [row["us"] for row in mine]
            energy, force = zip(*map(errors_of, mine), strict=True)
            for axis, x, y in zip(axes, (terms, terms, speed), (force, energy, force), strict=True):
                axis.plot(x, y, style, marker="o", label=", ".join(kind))
        if published:
            _, sizes, energies, forces = zip(*published, strict=True)
            axes[0].plot(sizes, forces, "k^")
            axes[1].plot(sizes, energies, "k^")
            axes[2].plot([], [], "k^", label="other packages")
        labels = (("terms", "force"), ("terms", "energy"), ("microseconds per atom", "force"))
        units = {"force": "force RMSE (eV/Å)", "energy": "energy RMSE (meV/atom)"}
        for axis, (x, y) in zip(axes, labels, strict=True):
            axis.set(xscale="log" if x == "terms" else "linear", xlabel=x, ylabel=units[y], title=name)
        axes[2].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.02, 1.0))
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", help="TRAIN:TEST, or one file for cross-validation")
    parser.add_argument(
        "--offers", nargs="+", default=["auto", "accurate"], help="auto, auto+4, fast, accurate@5.5, ..."
    )
    parser.add_argument("--solvers", nargs="+", default=["lasso_lars", "omp", "replacement"], choices=SOLVERS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[50, 127, 400])
    parser.add_argument("--energy-weights", nargs="+", type=float, default=[30.0, 60.0, 120.0, 240.0])
    parser.add_argument("--no-test", action="store_true", help="leave the test files unread")
    parser.add_argument("--plot", help="file for the plot")
    options = parser.parse_args()
    tables = []
    for name in options.data:
        train_file, _, test_file = name.partition(":")
        train = read(train_file, ":")
        test = None if options.no_test else read(test_file, ":") if test_file else "folds"
        rows = []
        for offer in options.offers:
            rows += measure(train, test, offer, options.solvers, options.sizes, options.energy_weights)
        stem = Path(test_file or train_file).stem
        published = PUBLISHED.get(stem, []) if test_file else []
        print_table(stem, rows, published)
        tables.append((stem, rows, published))
    if options.plot:
        plot_front(options.plot, tables)


if __name__ == "__main__":
    main()
