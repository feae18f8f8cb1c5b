"""Errors of each structure as a file, and errors of data sets in the record of a potential."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from plip._files import write_whole
from plip._structures._checks import volumes
from plip._types import StrPath
from plip.metrics import Evaluation
from plip.potential import Potential

__all__ = ["with_errors", "write_table"]

_COLUMNS = (
    *(
        "set",
        "structure",
        "formula",
        "group",
        "n_atoms",
        "energy",
        "energy_predicted",
        "energy_error_per_atom",
    ),
    *("force_rmse", "force_max", "stress_rmse", "stress_max"),
    *("energy_std", "force_std", "extrapolation"),
)


def write_table(
    path: StrPath, evaluations: Mapping[str, Evaluation], places: Mapping[str, Sequence[str]]
) -> None:
    """Write a line for each structure as comma-separated values.

    Energies are in eV, errors of forces in eV/Angstrom and of stresses in eV/Angstrom^3. Cells are empty
    without a label. The last columns are the standard deviation of the energy, that of the forces (root mean
    square) and the largest extrapolation grade; they are empty if the potential does not know them.

    Parameters
    ----------
    path : str or path-like
    evaluations : mapping of str to Evaluation
        By name of the data set.
    places : mapping of str to sequence of str
        Where the structures come from.
    """
    with write_whole(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for name, evaluation in evaluations.items():
            for row in range(len(evaluation.structures)):
                writer.writerow([name, places[name][row], *_cells(evaluation, row)])


def _cells(evaluation: Evaluation, row: int) -> list[Any]:
    atoms, labels, found = evaluation.structures[row], evaluation.reference, evaluation.predicted
    group = "" if evaluation.groups is None else evaluation.groups[row]
    cells = [atoms.get_chemical_formula(), group, len(atoms)]
    if labels.present("energy")[row] and labels.energy is not None and found.energy is not None:
        energy, predicted = float(labels.energy[row]), float(found.energy[row])
        cells += [repr(energy), repr(predicted), f"{(predicted - energy) / len(atoms):.6g}"]
    else:
        cells += [""] * 3
    for target in ("force", "virial"):
        if labels.present(target)[row]:
            error = np.asarray(found.values(target)[row]) - labels.values(target)[row]
            largest = np.abs(error).max(initial=0.0)
            cells += [f"{np.sqrt(np.mean(error**2)) if error.size else 0.0:.6g}", f"{largest:.6g}"]
        else:
            cells += ["", ""]
    known = evaluation.deviations
    if known is None:
        return [*cells, "", "", ""]
    of_forces = np.sqrt(np.mean(np.square(known.forces[row])))
    values = (known.energy[row], of_forces, known.extrapolation[row].max(initial=0.0))
    return [*cells, *(f"{value:.6g}" if np.isfinite(value) else "" for value in values)]


def with_errors(potential: Potential, evaluations: Mapping[str, Evaluation]) -> Potential:
    """The potential with the errors of data sets in its record, in eV/atom (virials, too) and eV/Angstrom."""
    record = potential.fit_record or {}
    for name, evaluation in evaluations.items():
        summary = evaluation.summary()
        factors = {"energy": 1e-3, "force": 1.0}
        errors = {
            target: factor * summary[f"{target}_rmse"]
            for target, factor in factors.items()
            if f"{target}_rmse" in summary
        }
        if "stress_rmse" in summary:
            errors["virial"] = _virial_error(evaluation)
        record.setdefault("errors", {})[name] = {f"{t}_rmse": float(f"{e:.8g}") for t, e in errors.items()}
    return potential.with_fit_record(record)


def _virial_error(evaluation: Evaluation) -> float:
    """Root mean square error of virials per atom, eV, as fits have it."""
    reference, predicted = evaluation.reference, evaluation.predicted
    rows = np.flatnonzero(reference.present("virial"))
    structures = [evaluation.structures[row] for row in rows]
    per_atom = volumes(structures) / [len(atoms) for atoms in structures]
    errors = np.asarray(predicted.values("virial"))[rows] - np.asarray(reference.values("virial"))[rows]
    return float(np.sqrt(np.mean(np.square(per_atom[:, None] * errors))))
