"""What quick fits expect of every structure, each from a fit without it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from plip._types import BoolArray, FloatArray, IntArray
from plip.audit._fits import Block, Products, make_blocks
from plip.audit._rows import N_FOLDS, SampleRows, draw, volumes
from plip.labels import LabelledStructures
from plip.potential import Potential
from plip.potential._prediction import Results, evaluate_checked

__all__ = ["Expected", "expect", "robust_scale"]

# Terms of a fit, of which those that predict best are taken; structures and atoms that are sampled.
_SIZES = (10, 20, 40, 80, 150)
_ROWS_PER_TERM = 10
# Weight of energies beside forces and virials of the same relative error. Energies are few, and with it their
# errors in Si and Mo are half as large.
_ENERGY_WEIGHT = 6.0
_STRUCTURES = 300
_ATOMS = 15000
# Structures whose residual is so many robust standard deviations do not count in the next fit.
_OUTLYING = 8.0
_REPEATS = 2
# Of the weighted fits that minimize absolute deviations.
_ITERATIONS = 30


@dataclass(frozen=True, eq=False)
class Expected:
    """Predictions for n structures.

    Attributes
    ----------
    energy : (n,) float64
        eV; without reference energies where the data have no energies.
    forces : list of n (n_atoms, 3) float64
        eV/A.
    stress : (n, 6) float64
        eV/A^3, NaN without a full cell.
    """

    energy: FloatArray
    forces: list[FloatArray]
    stress: FloatArray
    _data: LabelledStructures
    _potentials: list[Potential]

    def all_of(self, k: int) -> list[Results]:
        """What each of the fits expects of structure k; most of them know it."""
        place, atoms = int(self._data.places[k]), self._data.structures[k]
        return [evaluate_checked(potential, place, atoms) for potential in self._potentials]


def robust_scale(values: FloatArray) -> float:
    """Standard deviation of a normal distribution with the same median absolute deviation from zero."""
    return float(1.4826 * np.median(np.abs(values))) if len(values) else 0.0


def expect(data: LabelledStructures, groups: NDArray[np.str_], fold: IntArray) -> Expected | None:
    """Predict every structure by a fit without its fold; None if too little can be fitted.

    Parameters
    ----------
    data : LabelledStructures
    groups : (n,) str
    fold : (n,) int
    """
    places = draw(data, groups, _STRUCTURES, _ATOMS)
    if len(places) < 3 * N_FOLDS:
        return None
    rows = SampleRows.of(data, places, fold, "accurate")
    coefs = _robust_fits(data, rows)
    if coefs is None:
        return None
    species = rows.descriptors.species_
    energy = data.labels.energy
    label = np.full(len(places), np.nan) if energy is None else energy[places] / data.n_atoms[places]
    references = [
        _reference_energies(rows, label - rows.energy_np @ coef, number) for number, coef in enumerate(coefs)
    ]
    potentials = [
        Potential(rows.descriptors, coef, dict(zip(species, reference.tolist(), strict=True)))
        for coef, reference in zip(coefs, references, strict=True)
    ]
    results = [
        evaluate_checked(potentials[fold[k]], int(data.places[k]), atoms)
        for k, atoms in enumerate(data.structures)
    ]
    return Expected(
        np.array([result["energy"] for result in results]),
        [result["forces"] for result in results],
        np.array([result["stress"] for result in results]),
        data,
        potentials,
    )


def _robust_fits(data: LabelledStructures, rows: SampleRows) -> FloatArray | None:
    """Coefficients (N_FOLDS, p) of fits that leave out labels that do not fit."""
    sample = data.take(rows.places_n)
    volume = volumes(sample.structures)
    used: dict[str, BoolArray] = {}
    everything = make_blocks(rows, sample.labels, volume, sample.n_atoms)
    coefs = None
    for _ in range(1 + _REPEATS):
        blocks = make_blocks(rows, sample.labels, volume, sample.n_atoms, used)
        if not blocks:
            return None
        n_terms = min(_SIZES[-1], sum(len(block.labels) for block in blocks.values()) // _ROWS_PER_TERM)
        # Not at first: forces, of which there are more, then tell which energies are odd.
        if "energy" in blocks and coefs is not None:
            energy = blocks["energy"]
            blocks["energy"] = replace(energy, size=energy.size / _ENERGY_WEIGHT)
        paths = Products(blocks, rows.fold_n).paths(blocks, max(n_terms, 1))
        coefs, sizes = _best_size(paths, everything, rows.fold_n)
        used = {}
        for name, size in sizes.items():
            known = np.isfinite(size)
            limit = _OUTLYING * max(robust_scale(size[known]), 1e-3 * everything[name].size)
            target = "virial" if name in ("pressure", "shear") else name
            used[target] = used.get(target, np.ones(len(sample), bool)) & ~(size > limit)
    return coefs


def _best_size(
    paths: list[FloatArray], blocks: dict[str, Block], fold_n: IntArray
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Coefficients (N_FOLDS, p) of the size that predicts best, and residuals (n,) of each target."""
    found = []
    for n_terms in _SIZES:
        coefs = np.array([path[min(n_terms, len(path) - 1)] for path in paths])
        residuals = {name: _residuals(block, coefs, fold_n) for name, block in blocks.items()}
        error = sum(
            robust_scale(size[np.isfinite(size)]) / blocks[name].size for name, size in residuals.items()
        )
        found.append((error, coefs, residuals))
    _, coefs, residuals = min(found, key=lambda entry: entry[0])
    return coefs, residuals


def _residuals(block: Block, coefs: FloatArray, fold_n: IntArray) -> FloatArray:
    """Root mean square residual of each structure by the fit without it, NaN without labels."""
    predicted = np.empty(len(block.labels))
    for fold, coef in enumerate(coefs):
        mine = fold_n[block.owner] == fold
        predicted[mine] = block.rows[mine] @ coef
    squares = np.bincount(block.owner, (block.labels - predicted) ** 2, len(fold_n))
    counts = np.bincount(block.owner, minlength=len(fold_n))
    return np.sqrt(np.divide(squares, counts, out=np.full(len(fold_n), np.nan), where=counts > 0))


def _reference_energies(rows: SampleRows, deviation_n: FloatArray, fold: int) -> FloatArray:
    """Reference energies in eV by least absolute deviations of the structures outside a fold."""
    kept = np.isfinite(deviation_n) & (rows.fold_n != fold)
    fraction, deviation = rows.fraction_ns[kept], deviation_n[kept]
    found = np.zeros(fraction.shape[1])
    weight = np.ones(len(deviation))
    for _ in range(_ITERATIONS if len(deviation) else 0):
        root = np.sqrt(weight)
        found = np.linalg.lstsq(root[:, None] * fraction, root * deviation, rcond=1e-10)[0]
        # Residuals below 1e-6 eV/atom are rounding.
        weight = 1.0 / np.maximum(np.abs(deviation - fraction @ found), 1e-6)
    return found
