"""Quick fits to sampled rows, each fold predicted by a fit to the others.

Targets are here "energy", "force", "pressure" (diagonal of the virial) and "shear", each of which counts
alike in a fit, whatever its unit: rows are divided by the root mean square of the labels.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plip._types import BoolArray, FloatArray, IntArray
from plip.audit._rows import N_FOLDS, SampleRows
from plip.labels import Labels
from plip.solvers import LinearProblem, omp_path

__all__ = ["Block", "Products", "make_blocks"]

# Root mean squares below which labels are taken for rounding: eV/atom, eV/A, eV/atom. Those in other units
# are mostly larger by what the unit is.
_ROUNDING = {"energy": 1e-5, "force": 1e-4, "pressure": 1e-5, "shear": 1e-5}

# Labels of a structure so many times as large as those of most, and how many these are, do not count.
_FAR_OFF, _QUANTILE = 10.0, 0.9
# Squared residuals count at most so many times the square of the label, or of the usual label: what a fit
# predicts far outside its data says nothing of labels. The opposite sign makes 4.
_MOST = 4.0


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of one target with their labels.

    Attributes
    ----------
    rows : (m, p) float64
        Energies without what the composition explains.
    labels : (m,) float64
        In the unit of the rows, energies without what the composition explains.
    owner : (m,) int
        Sampled structure of each row.
    size : float
        Root mean square of the labels.
    """

    rows: FloatArray
    labels: FloatArray
    owner: IntArray
    size: float


def make_blocks(
    rows: SampleRows,
    labels: Labels,
    volume_n: FloatArray,
    n_atoms_n: IntArray,
    used: Mapping[str, BoolArray] | None = None,
) -> dict[str, Block]:
    """Blocks of the targets whose labels are more than rounding.

    Parameters
    ----------
    rows : SampleRows
    labels : Labels
        Of the sampled structures.
    volume_n, n_atoms_n : (n,) arrays
        Volume of the cell in A^3, NaN without one, and number of atoms.
    used : mapping of target to (n,) bool, optional
        By target of `Labels`, which structures count; all by default.

    Returns
    -------
    dict of Block by target
    """
    every = np.ones(len(n_atoms_n), bool)
    used = {} if used is None else used
    found = {}
    if labels.energy is not None:
        k = np.flatnonzero(np.isfinite(labels.energy) & used.get("energy", every))
        fraction = rows.fraction_ns[k]
        both = np.column_stack([rows.energy_np[k], labels.energy[k] / n_atoms_n[k]])
        both -= fraction @ np.linalg.lstsq(fraction, both, rcond=1e-10)[0]
        found["energy"] = (both[:, :-1], both[:, -1], k)
    if labels.forces is not None and len(rows.owner_f):
        sizes = [0 if force is None else force.size for force in labels.forces]
        flat = np.concatenate([force.ravel() for force in labels.forces if force is not None])
        values = flat[(np.cumsum(sizes) - sizes)[rows.owner_f] + rows.component_f]
        found["force"] = _those(used.get("force", every)[rows.owner_f], rows.force_fp, values, rows.owner_f)
    if labels.stress is not None:
        k = np.flatnonzero(np.isfinite(labels.stress[:, 0] * volume_n) & used.get("virial", every))
        virial = labels.stress[k] * (volume_n / n_atoms_n)[k, None]
        for name, part in (("pressure", slice(0, 3)), ("shear", slice(3, 6))):
            x = rows.virial_ncp[k, part]
            found[name] = (x.reshape(-1, x.shape[-1]), virial[:, part].ravel(), np.repeat(k, 3))
    blocks = {}
    for name, (x, y, owner) in found.items():
        x, y, owner = _those(_near(y, owner), x, y, owner)
        size = float(np.sqrt(np.mean(y**2))) if len(y) else 0.0
        if size > _ROUNDING[name] and len(y) >= 2 * N_FOLDS:
            blocks[name] = Block(x, y, owner, size)
    return blocks


def _those(
    chosen: BoolArray, rows: FloatArray, labels: FloatArray, owner: IntArray
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Some of the rows, not copied if they are all."""
    return (rows, labels, owner) if chosen.all() else (rows[chosen], labels[chosen], owner[chosen])


def _near(labels: FloatArray, owner: IntArray) -> BoolArray:
    """Rows of structures whose labels are not so far off that they would hide those of all others."""
    if not len(labels):
        return np.zeros(0, bool)
    size = np.sqrt(np.bincount(owner, labels**2) / np.maximum(np.bincount(owner), 1))
    usual = np.quantile(size[np.unique(owner)], _QUANTILE)
    return np.asarray((size <= _FAR_OFF * usual)[owner], bool)


class Products:
    """Products of the rows of blocks by fold; labels may change without the rows."""

    def __init__(self, blocks: Mapping[str, Block], fold_n: IntArray) -> None:
        self._folds = {
            name: [np.flatnonzero(fold_n[block.owner] == fold) for fold in range(N_FOLDS)]
            for name, block in blocks.items()
        }
        self._rows: dict[str, list[FloatArray]] = {}
        self._grams: dict[str, list[FloatArray]] = {}
        for name, block in blocks.items():
            self._add(name, block)

    def _add(self, name: str, block: Block) -> None:
        self._rows[name] = [block.rows[f] for f in self._folds[name]]
        grams = [rows.T @ rows for rows in self._rows[name]]
        # What each fit takes: all folds but one.
        total = np.sum(grams, axis=0)
        self._grams[name] = [total - gram for gram in grams]

    def replaced(self, name: str, block: Block) -> Products:
        """The same with other rows of one target and of the same structures."""
        other = copy.copy(self)
        other._rows, other._grams = dict(self._rows), dict(self._grams)
        other._add(name, block)
        return other

    def unexplained(
        self, blocks: Mapping[str, Block], n_terms: int, folds: Sequence[int] = range(N_FOLDS)
    ) -> dict[str, float]:
        """Share of the squares of each target in some folds left unexplained, by fits to the others."""
        squares = self.residual_squares(blocks, n_terms, folds)
        return {name: float(np.nanmean(squares[name])) / block.size**2 for name, block in blocks.items()}

    def residual_squares(
        self, blocks: Mapping[str, Block], n_terms: int, folds: Sequence[int] = range(N_FOLDS)
    ) -> dict[str, FloatArray]:
        """Squared residuals of the rows of some folds, by fits without their fold; NaN of others."""
        squares = {name: np.full(len(block.labels), np.nan) for name, block in blocks.items()}
        for fold, coef in zip(folds, self.coefficients(blocks, n_terms, folds), strict=True):
            for name, block in blocks.items():
                f = self._folds[name][fold]
                label = block.labels[f]
                most = _MOST * np.maximum(label**2, block.size**2)
                squares[name][f] = np.minimum((label - self._rows[name][fold] @ coef) ** 2, most)
        return squares

    def coefficients(
        self, blocks: Mapping[str, Block], n_terms: int, folds: Sequence[int] = range(N_FOLDS)
    ) -> FloatArray:
        """Coefficients (n, p) of fits without each of n folds."""
        return np.array([path[-1] for path in self.paths(blocks, n_terms, folds)])

    def paths(
        self, blocks: Mapping[str, Block], n_terms: int, folds: Sequence[int] = range(N_FOLDS)
    ) -> list[FloatArray]:
        """Coefficients (at most n_terms + 1, p) of 0, 1, 2, ... terms of fits without each of n folds."""
        moments = {
            name: np.array(
                [block.labels[f] @ rows for f, rows in zip(self._folds[name], self._rows[name], strict=True)]
            )
            for name, block in blocks.items()
        }
        return [self._path(blocks, moments, n_terms, fold) for fold in folds]

    def _path(
        self, blocks: Mapping[str, Block], moments: Mapping[str, FloatArray], n_terms: int, without: int
    ) -> FloatArray:
        gram: FloatArray | float = 0.0
        moment: FloatArray | float = 0.0
        square = 0.0
        for name, block in blocks.items():
            labels = np.delete(block.labels, self._folds[name][without])
            if not len(labels):
                continue
            scale = 1.0 / (len(labels) * block.size**2)
            gram = gram + scale * self._grams[name][without]
            moment = moment + scale * np.delete(moments[name], without, axis=0).sum(axis=0)
            square += scale * float(labels @ labels)
        problem = LinearProblem(np.asarray(gram), np.asarray(moment), square, 1.0)
        coefs: FloatArray = omp_path(problem, max_terms=n_terms).coefs
        return coefs
