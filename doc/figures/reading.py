"""The pictures of doc/reading.rst: a potential of silicon carbide, and fits to known potentials.

python doc/figures/reading.py doc/figures
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from plip import PLIPRegressorCV
from plip.datasets import load_silicon_carbide
from plip.inspection import (
    AngleDisplay,
    DensityDisplay,
    EquationOfStateDisplay,
    PairDisplay,
    ParityDisplay,
    PartitionDisplay,
    PathDisplay,
    StabilityDisplay,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import known_potentials  # noqa: E402, from the folder of examples


def silicon_carbide():
    """Functions of a fit, and how the fit came about."""
    train, test = load_silicon_carbide()
    model = PLIPRegressorCV().fit(train)
    crystal = next(atoms for atoms in train if atoms.info["group"] == "zincblende-eos")

    functions, axes = plt.subplots(2, 2, figsize=(9.6, 7.2), layout="constrained")
    PairDisplay.from_estimator(model, ax=axes[0, 0])
    AngleDisplay.from_estimator(model, species=("Si", "C", "C"), kind="map", ax=axes[0, 1])
    DensityDisplay.from_estimator(model, ax=axes[1, 0])
    EquationOfStateDisplay.from_estimator(model, crystal, ax=axes[1, 1])

    fit, axes = plt.subplots(1, 2, figsize=(9.6, 4.0), layout="constrained")
    path = PathDisplay.from_estimator(model, test, ax=axes[0])
    path.plot(ax=axes[1], quantity="cancellation")

    by_group = {}
    for atoms in train:
        by_group.setdefault(atoms.info["group"], []).append(atoms)
    parity = ParityDisplay.from_estimator(model, test)
    parts = PartitionDisplay.from_estimator(model, by_group)
    stability = StabilityDisplay.from_estimator(model, max_terms=20)
    return {
        "functions": functions,
        "path": fit,
        "parity": parity.figure_,
        "partition": parts.figure_,
        "stability": stability.figure_,
    }


def known_fits():
    """Known potentials with models that recover their functions: name, potential, unfitted model."""
    return [
        ("Stillinger-Weber", known_potentials.stillinger_weber(), PLIPRegressorCV()),
        ("Tersoff", known_potentials.tersoff(), known_potentials.fine()),
        ("embedded atom, logarithm", known_potentials.embedded_atom("logarithm"), PLIPRegressorCV()),
        ("embedded atom, root", known_potentials.embedded_atom("root"), PLIPRegressorCV()),
    ]


def known():
    """Pairs and angles of fits, and those of the potentials that made the data."""
    figure, axes = plt.subplots(2, 4, figsize=(12.0, 5.8), layout="constrained")
    angles = np.linspace(55.0, 180.0, 51)
    for (pairs, triplets), (name, truth, model) in zip(axes.T, known_fits(), strict=True):
        data = known_potentials.make_data(truth)
        model.fit(data, sample_weight=known_potentials.weights(data))
        PairDisplay.from_estimator(model, ax=pairs)
        r = np.linspace(0.84 * truth.bond, truth.reach, 40)
        pairs.plot(r, truth.pair_energy(r), "o", color="#D55E00", markersize=3, label="truth")
        AngleDisplay.from_estimator(model, r=truth.bond, ax=triplets)
        energies = truth.triplet_energy(truth.bond, truth.bond, angles)
        triplets.plot(angles, energies, "o", color="#D55E00", markersize=3, label="truth")
        pairs.set_title(name)
        for ax in (pairs, triplets):
            ax.legend(frameon=False, fontsize="x-small")
    return {"known": figure}


def main(folder):
    for name, figure in (silicon_carbide() | known()).items():
        figure.savefig(Path(folder) / f"reading_{name}.png", dpi=90)


if __name__ == "__main__":
    main(*sys.argv[1:])
