"""Quick fits to labels that are read in one way or another.

Shear does not take part: energies, forces and pressures tell units and signs, and then what shear should be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plip._types import BoolArray, FloatArray, IntArray
from plip.audit._fits import Block, Products, make_blocks
from plip.audit._readings import Reading, convert
from plip.audit._rows import N_FOLDS, SampleRows, draw, volumes
from plip.labels import LabelledStructures

__all__ = ["CONSISTENT", "SHOWS", "Trial", "help_most"]

# Targets of the fits that show each kind.
SHOWS = {
    "energy unit": "energy",
    "force unit": "force",
    "force sign": "force",
    "stress unit": "pressure",
    "stress sign": "pressure",
    "stress order": "pressure",
}
# Terms of a fit, structures and atoms that are sampled.
_TERMS = 50
_STRUCTURES = 200
_ATOMS = 6000
# Share of squares left unexplained from which on labels are suspicious.
CONSISTENT = 0.15
# Forces of a structure are large beyond this part of the root mean square of all, and beyond so many eV/A:
# those on relaxed atoms and in strained crystals are for the most part what a calculation has not converged.
_LARGE = 0.5
_LEAST_FORCE = 0.1
# Structures that a reading must explain better.
_FEWEST = 3


class Trial:
    """Readings of the labels of a sample, or of a part of it."""

    def __init__(self, data: LabelledStructures, groups: NDArray[np.str_], fold: IntArray) -> None:
        self.places = draw(data, groups, _STRUCTURES, _ATOMS)
        self.groups = groups[self.places]
        self._rows = SampleRows.of(data, self.places, fold, "fast")
        sample = data.take(self.places)
        self._labels, self._n_atoms = sample.labels, sample.n_atoms
        self._volume = volumes(sample.structures)
        self._products: dict[tuple[str, ...], Products] = {}

    @property
    def n_species(self) -> int:
        return len(self._rows.descriptors.species_)

    @property
    def n_energies(self) -> int:
        return int(self._labels.present("energy").sum())

    @property
    def everyone(self) -> BoolArray:
        """All sampled structures."""
        return np.ones(len(self.places), bool)

    def blocks(self, reading: Reading, members: BoolArray) -> dict[str, Block]:
        """Rows, with the labels of some sampled structures read in another way.

        Shear is left out, whose components may be in another order.
        """
        labels = convert(self._labels, reading, self._n_atoms, self._volume, members)
        blocks = make_blocks(self._rows, labels, self._volume, self._n_atoms)
        return {name: block for name, block in blocks.items() if name != "shear"}

    def shear(self) -> tuple[FloatArray, FloatArray, IntArray] | None:
        """Shear labels (m, 3), what fits to the other labels expect, and the sampled structures (m,)."""
        blocks = make_blocks(self._rows, self._labels, self._volume, self._n_atoms)
        shear = blocks.pop("shear", None)
        if shear is None or not blocks:
            return None
        coefs = self.products(blocks).coefficients(blocks, _TERMS)
        expected = np.einsum("mp,mp->m", shear.rows, coefs[self._rows.fold_n[shear.owner]])
        return shear.labels.reshape(-1, 3), expected.reshape(-1, 3), shear.owner[::3]

    def products(self, blocks: dict[str, Block]) -> Products:
        # Outliers of the energies, which are left out, depend on the reading.
        key = tuple(f"{name} {hash(block.owner.tobytes())}" for name, block in blocks.items())
        if key not in self._products:
            self._products[key] = Products(blocks, self._rows.fold_n)
        return self._products[key]

    def unexplained(
        self,
        reading: Reading,
        members: BoolArray,
        folds: Sequence[int] = range(N_FOLDS),
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Shares of squares left unexplained by target, of all structures and of those that are read so."""
        blocks = self.blocks(reading, members)
        if len(blocks) < 2:
            return {}, {}
        of_all, own = {}, {}
        for name, squares in self.products(blocks).residual_squares(blocks, _TERMS, folds).items():
            block = blocks[name]
            of_all[name] = float(np.nanmean(squares)) / block.size**2
            mine = members[block.owner] & np.isfinite(squares)
            size = np.sum(block.labels[mine] ** 2)
            if size > 0:
                own[name] = float(np.sum(squares[mine]) / size)
        return of_all, own

    def unexplained_forces(self) -> tuple[IntArray, FloatArray]:
        """Structures with large forces, and the shares of squares that fits without them leave unexplained.

        Returns
        -------
        places : (m,) int
            In the data.
        shares : (m,) float64
        """
        blocks = self.blocks(Reading(), self.everyone)
        if "force" not in blocks or len(blocks) < 2:
            return np.zeros(0, np.int64), np.zeros(0)
        force = blocks["force"]
        squares = self.products(blocks).residual_squares(blocks, _TERMS)["force"]
        rest, whole, count = (
            np.bincount(force.owner, values, len(self.places))
            for values in (squares, force.labels**2, np.ones(len(force.owner)))
        )
        least = max(_LARGE**2 * np.mean(force.labels**2), _LEAST_FORCE**2)
        large = whole > least * np.maximum(count, 1)
        return self.places[large], rest[large] / whole[large]

    def accept(self, reading: Reading, members: BoolArray) -> None:
        self._labels = convert(self._labels, reading, self._n_atoms, self._volume, members)

    def helps_most(self, reading: Reading, members: BoolArray) -> bool:
        """Whether a reading explains many of the structures that it is for, and harms few."""
        before, after = (self._relative_squares(other, members) for other in (Reading(), reading))
        changed = {SHOWS[kind] for kind, _ in reading.names} & set(before) & set(after)
        # NaN where there is no such label, or one so far off that it is not fitted: then all is unexplained.
        ratios = [
            np.where(np.isnan(after[name]), 1.0, after[name])
            / np.where(np.isnan(before[name]), 1.0, before[name])
            for name in changed
        ]
        return help_most(np.concatenate(ratios)) if ratios else False

    def _relative_squares(self, reading: Reading, members: BoolArray) -> dict[str, FloatArray]:
        """Squared residuals of each of some structures over the squares of its labels, by target."""
        blocks = self.blocks(reading, members)
        found = {}
        for name, squares in self.products(blocks).residual_squares(blocks, _TERMS).items():
            block = blocks[name]
            rest, whole = (
                np.bincount(block.owner, values, len(members)) for values in (squares, block.labels**2)
            )
            usable = members & (whole > 0)
            found[name] = np.where(usable, rest / np.where(usable, whole, 1.0) + 1e-12, np.nan)
        return found

    def fullest_fold(self, members: BoolArray) -> int:
        """The fold that has the most of some sampled structures."""
        return int(np.bincount(self._rows.fold_n[members], minlength=N_FOLDS).argmax())

    def group_names(self) -> list[str]:
        """Groups with enough sampled structures to tell a reading from another."""
        names, counts = np.unique(self.groups, return_counts=True)
        return [str(name) for name, count in zip(names, counts, strict=True) if count >= _FEWEST]


def help_most(ratios: FloatArray) -> bool:
    """Whether another reading divides the errors of many structures, and multiplies those of few.

    Parameters
    ----------
    ratios : (n,) float64
        Squared errors of each structure after over before; NaN does not count.
    """
    better, worse = np.count_nonzero(ratios < 0.5), np.count_nonzero(ratios > 2.0)
    return bool(better >= _FEWEST and better > 2 * worse)
