"""Energies, forces and stresses of structures, and their weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plip._types import BoolArray, FloatArray, IntArray

__all__ = ["ATTRIBUTES", "TARGETS", "Labels"]

TARGETS = ("energy", "force", "virial")
# Attribute of `Labels` that holds each target.
ATTRIBUTES = {"energy": "energy", "force": "forces", "virial": "stress"}


@dataclass(frozen=True, eq=False)
class Labels:
    """Targets and weights of n structures.

    Attributes
    ----------
    energy : (n,) float64 or None
        Total energies, eV; NaN is a structure without energy.
    forces : list of n (n_atoms, 3) float64 or None, or None
        eV/A; a None in the list is a structure without forces. May share memory with what they were read
        from.
    stress : (n, 6) float64 or None
        eV/A^3, Voigt order xx yy zz yz xz xy, tension positive; a row of NaN is a structure without stress.
    sample_weight : (n,) or (n, 3) float64
        Weight of each structure, not negative; three columns are the weights of its energy, forces and
        stress.

    Examples
    --------
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.labels import read_labels
    >>> train, _ = load_silicon_carbide()
    >>> labels = read_labels(train)
    >>> labels.energy.shape, labels.forces[0].shape, labels.stress.shape
    ((167,), (8, 3), (167, 6))
    >>> labels.targets()
    ['energy', 'force', 'virial']
    """

    energy: FloatArray | None
    forces: list[FloatArray | None] | None
    stress: FloatArray | None
    sample_weight: FloatArray

    def take(self, rows: slice | IntArray) -> Labels:
        """The labels of some structures.

        Parameters
        ----------
        rows : slice or ndarray of int

        Returns
        -------
        Labels
        """
        chosen = np.arange(len(self.sample_weight))[rows]
        return Labels(
            energy=None if self.energy is None else self.energy[chosen],
            forces=None if self.forces is None else [self.forces[row] for row in chosen],
            stress=None if self.stress is None else self.stress[chosen],
            sample_weight=self.sample_weight[chosen],
        )

    @classmethod
    def joined(cls, parts: Sequence[Labels]) -> Labels:
        """The labels of several parts, one after the other.

        Parameters
        ----------
        parts : sequence of Labels
            At least one; their weights have the same number of columns.

        Returns
        -------
        Labels
        """
        targets = {target for part in parts for target in part.targets()}
        sizes = [len(part.sample_weight) for part in parts]
        shapes = {"energy": (), "virial": (6,)}

        def numbers(target: str) -> FloatArray | None:
            if target not in targets:
                return None
            values = [part.values(target) for part in parts]
            nothing = (np.full((size, *shapes[target]), np.nan) for size in sizes)
            return np.concatenate([b if a is None else a for a, b in zip(values, nothing, strict=True)])

        forces: list[FloatArray | None] | None = None
        if "force" in targets:
            forces = []
            for part, size in zip(parts, sizes, strict=True):
                forces += [None] * size if part.forces is None else part.forces
        weights = np.concatenate([part.sample_weight for part in parts])
        return cls(numbers("energy"), forces, numbers("virial"), weights)

    def only(self, targets: Collection[str]) -> Labels:
        """The labels of some targets, among "energy", "force", "virial"."""
        return Labels(
            energy=self.energy if "energy" in targets else None,
            forces=self.forces if "force" in targets else None,
            stress=self.stress if "virial" in targets else None,
            sample_weight=self.sample_weight,
        )

    def values(self, target: str) -> Any:
        """The labels of a target as the attribute has them, None if no structure has any."""
        return getattr(self, ATTRIBUTES[target])

    def present(self, target: str) -> BoolArray:
        """Which structures have a label.

        Parameters
        ----------
        target : {"energy", "force", "virial"}

        Returns
        -------
        (n,) bool
        """
        values = self.values(target)
        if values is None:
            return np.zeros(len(self.sample_weight), bool)
        if target == "force":
            return np.array([value is not None for value in values])
        return ~np.isnan(values if target == "energy" else values[:, 0])

    def weight(self, target: str) -> FloatArray:
        """Weight of a label of each structure.

        Parameters
        ----------
        target : {"energy", "force", "virial"}

        Returns
        -------
        (n,) float64
        """
        weight = self.sample_weight
        return weight if weight.ndim == 1 else weight[:, TARGETS.index(target)]

    def used(self, target: str) -> BoolArray:
        """Which structures have a label whose weight is not zero, (n,) bool."""
        return self.present(target) & (self.weight(target) > 0)

    def without_unused(self) -> Labels:
        """The same where labels of weight zero are missing."""
        energy, force, virial = (self.used(target) for target in TARGETS)
        return Labels(
            energy=None if self.energy is None else np.where(energy, self.energy, np.nan),
            forces=None
            if self.forces is None
            else [values if is_used else None for values, is_used in zip(self.forces, force, strict=True)],
            stress=None if self.stress is None else np.where(virial[:, None], self.stress, np.nan),
            sample_weight=self.sample_weight,
        )

    def targets(self) -> list[str]:
        """Names of the targets that any structure has, among "energy", "force", "virial"."""
        return [target for target in TARGETS if self.values(target) is not None]
