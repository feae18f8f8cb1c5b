"""Errors of structures by the fit, and by models that were not fitted to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import joblib
import numpy as np
from ase import Atoms
from scipy.linalg import LinAlgError, cho_solve, cholesky

from plip._design._rows import Design, StructureDesign
from plip._structures._checks import has_full_cell
from plip._types import FloatArray, IntArray
from plip._workers import new_workers
from plip.labels import LabelledStructures
from plip.potential._uncertainty import NEIGHBORS

__all__ = [
    "MOST_REFERENCES",
    "SEED",
    "Errors",
    "Fit",
    "Fold",
    "FoldModel",
    "errors_of_forces",
    "models_of_folds",
]

# Coefficients and reference energies of a fold; NaN where none holds a structure out.
FoldModel: TypeAlias = tuple[FloatArray, FloatArray]

# Atoms, and structures, that a potential remembers.
MOST_REFERENCES = 2_000
# Part of the diagonal that keeps what is left without a structure from breaking down.
_LEFT_OUT = 1e-9
SEED = 0


@dataclass(frozen=True, eq=False)
class Fold:
    """Structures that a model was not fitted to, and this model.

    Attributes
    ----------
    test : ndarray of int
        Places of the structures in the data.
    coef : ndarray of float64, shape (n_terms,)
    references : ndarray of float64, shape (n_species,)
    """

    test: IntArray
    coef: FloatArray
    references: FloatArray


@dataclass(frozen=True, eq=False)
class Fit:
    """The fit, and which columns of a design are its terms.

    Attributes
    ----------
    coef : ndarray of float64, shape (n_columns,)
        Of all columns, those of folds too.
    intercept : ndarray of float64, shape (n_species,)
        Reference energies in eV.
    kept : ndarray of int, shape (n_terms,)
        Columns that are terms of the fit.
    matrix, factor : ndarray of float64, shape (m, m)
        Normal matrix of the reference energies, if they were fitted, and the terms, without the prior, and
        the triangle of Cholesky with it.
    weights : mapping of str to float
        Weight of each target in the fit.
    """

    coef: FloatArray
    intercept: FloatArray
    kept: IntArray
    matrix: FloatArray
    factor: FloatArray
    weights: Mapping[str, float]

    @property
    def n_references(self) -> int:
        """Number of fitted reference energies, which come before the terms in matrix and factor."""
        return len(self.matrix) - len(self.kept)

    def energy_rows(self, totals: FloatArray, counts: FloatArray) -> FloatArray:
        """Rows of energies per atom, (n, m), from terms and numbers of atoms of structures."""
        rows = np.hstack([counts, totals[:, self.kept]]) / counts.sum(axis=1, keepdims=True)
        return np.ascontiguousarray(rows[:, -len(self.matrix) :])


@dataclass(frozen=True, eq=False)
class Errors:
    """Squared errors of a structure, by a model that has not seen it and by the fit.

    Attributes
    ----------
    sample : ndarray of int, shape (m,)
        Atoms whose errors are there.
    of_force : ndarray of float64, shape (m, 2, 3)
    rows : ndarray of float64, shape (3 m, n_terms)
        Rows of the forces on these atoms.
    unseen_energy : float
        Error of the energy per atom in eV by a fit without the structure; NaN with folds.
    """

    sample: IntArray
    of_force: FloatArray
    rows: FloatArray
    unseen_energy: float


def models_of_folds(
    folds: Sequence[Fold] | None, n: int, rows: IntArray, union: IntArray
) -> list[FoldModel | None]:
    """The model of the first fold that holds each of some structures out.

    Parameters
    ----------
    folds : sequence of Fold, or None
        None gives None for each structure.
    n : int
        Number of structures in the data.
    rows : ndarray of int
        Places of the structures there.
    union : ndarray of int
        Columns whose coefficients are taken.
    """
    if folds is None:
        return [None] * len(rows)
    first = np.full(n, -1)
    for number, fold in reversed(list(enumerate(folds))):
        first[fold.test] = number
    nowhere = np.full(len(union), np.nan), np.full(len(folds[0].references), np.nan)
    models = [*((fold.coef[union], fold.references) for fold in folds), nowhere]
    return [models[number] for number in first[rows].tolist()]


def errors_of_forces(
    design: Design,
    data: LabelledStructures,
    models: Sequence[FoldModel | None],
    model: Fit,
    n_jobs: int | None,
) -> list[Errors]:
    """Errors of all these structures."""
    samples = _sampled_atoms(data.structures, design.species)
    jobs = (
        joblib.delayed(_errors)(design, data.take(np.array([row])), sample, model, models[row])
        for row, sample in enumerate(samples)
    )
    found: list[Errors] = new_workers(n_jobs)(jobs)
    return found


def _errors(
    design: Design,
    data: LabelledStructures,
    sample: IntArray,
    model: Fit,
    fold: FoldModel | None,
) -> Errors:
    """Errors of one structure."""
    atoms, labels = data.structures[0], data.labels
    n_atoms = len(atoms)
    rows = StructureDesign(design, atoms, has_virials=fold is None)
    force_rows = np.empty((3 * n_atoms, len(design.terms)))
    rows.write_rows(0, force_rows)
    forces = None if labels.forces is None else labels.forces[0]
    if forces is None:
        forces = np.full((n_atoms, 3), np.nan)
    fit = (force_rows @ model.coef).reshape(-1, 3) - forces
    kept_rows = np.ascontiguousarray(force_rows[:, model.kept])
    unseen_energy = np.nan
    if fold is None:
        assert rows.virials is not None  # as asked for
        energy = np.nan if labels.energy is None else labels.energy[0]
        energy_row = model.energy_rows(rows.values[None], rows.counts[None])
        of_energy = (rows.values @ model.coef + rows.counts @ model.intercept - energy) / n_atoms
        of_virial = np.full(6, np.nan)
        if labels.stress is not None and has_full_cell(atoms):
            of_virial = (rows.virials @ model.coef - labels.stress[0] * atoms.get_volume()) / n_atoms
        change = _change(
            model,
            np.broadcast_to(labels.sample_weight.reshape(1, -1), (1, 3))[0],
            {
                "energy": (energy_row, np.array([of_energy])),
                "force": (kept_rows, fit.ravel()),
                "virial": (rows.virials[:, model.kept] / n_atoms, of_virial),
            },
        )
        unseen = fit + (kept_rows @ change[model.n_references :]).reshape(-1, 3)
        unseen_energy = float(of_energy + energy_row[0] @ change)
    else:
        unseen = (force_rows @ fold[0]).reshape(-1, 3) - forces
    of_sample = kept_rows.reshape(n_atoms, 3, len(model.kept))[sample].reshape(-1, len(model.kept))
    return Errors(
        sample,
        np.stack([np.square(part[sample]) for part in (unseen, fit)], axis=1),
        of_sample,
        unseen_energy,
    )


def _change(model: Fit, weight: FloatArray, parts: Mapping[str, tuple[FloatArray, FloatArray]]) -> FloatArray:
    """Change of reference energies and coefficients if a structure is left out of the normal equations.

    Parameters
    ----------
    model : Fit
    weight : ndarray of float64, shape (3,)
        Weight of the structure for each target.
    parts : mapping of str to (ndarray, ndarray)
        Rows R and errors r of each target; errors of NaN are missing labels.

    Returns
    -------
    ndarray of float64, shape (m,)
        The solution of (A - R^T V^2 R) dw = R^T V^2 r.
    """
    gram, moment = np.zeros_like(model.matrix), np.zeros(len(model.matrix))
    for (target, (rows, errors)), of_target in zip(parts.items(), weight, strict=True):
        if np.isfinite(errors).all():
            square = model.weights[target] ** 2 * of_target
            first = len(model.matrix) - rows.shape[1]
            gram[first:, first:] += square * rows.T @ rows
            moment[first:] += square * rows.T @ errors
    scale = np.sqrt(np.maximum(np.diagonal(model.matrix), np.finfo(np.float64).tiny))
    left = (model.matrix - gram) / scale / scale[:, None]
    # What this structure alone has told is unknown without it: its coefficients stay.
    left[np.diag_indices_from(left)] += _LEFT_OUT
    try:
        change: FloatArray = cho_solve((cholesky(left, lower=True), True), moment / scale) / scale
    except LinAlgError:
        return np.zeros(len(moment))
    return change


def _sampled_atoms(structures: Sequence[Atoms], species: Sequence[str]) -> list[IntArray]:
    """Atoms of structures that a potential remembers: as many of each species, at random."""
    rng = np.random.default_rng(SEED)
    symbols = np.concatenate([np.array(atoms.get_chemical_symbols()) for atoms in structures])
    owner = np.repeat(np.arange(len(structures)), [len(atoms) for atoms in structures])
    atom = np.concatenate([np.arange(len(atoms)) for atoms in structures])
    share = max(MOST_REFERENCES // len(species), 4 * NEIGHBORS)
    of_species = (rng.permutation(np.flatnonzero(symbols == symbol))[:share] for symbol in species)
    rows = np.sort(np.concatenate(list(of_species)))
    return [atom[rows[owner[rows] == number]] for number in range(len(structures))]
