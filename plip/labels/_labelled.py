"""Structures with their labels, checked once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms

from plip._structures._checks import CLOSEST_IN_DATA, check_limits, check_structures
from plip._types import IntArray
from plip.labels._labels import TARGETS, Labels
from plip.labels._outliers import warn_of_outliers
from plip.labels._reading import no_labels, read_labels, read_sample_weight

__all__ = ["LabelledStructures"]


@dataclass(frozen=True, eq=False)
class LabelledStructures:
    """Structures with their labels, both checked.

    Made by `read`; what comes after it need not check them again. Estimators, normal equations and
    `plip.metrics.Evaluation` take them in place of structures.

    Attributes
    ----------
    structures : tuple of n ase.Atoms
        The structures themselves, not copies.
    labels : Labels
        Their targets and weights.
    places : (n,) ndarray of int
        Places of the structures in the data, for messages.

    Examples
    --------
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.labels import LabelledStructures
    >>> train, _ = load_silicon_carbide()
    >>> data = LabelledStructures.read(train)
    >>> len(data), len(data.take([0, 5]))
    (167, 2)
    """

    structures: tuple[Atoms, ...]
    labels: Labels
    places: IntArray

    @classmethod
    def read(
        cls,
        X: Iterable[Atoms],
        y: Any = None,
        forces: Any = None,
        stress: Any = None,
        sample_weight: Any = None,
        *,
        species: Iterable[str] | None = None,
        cutoff: float | None = None,
        first: int = 0,
        **reading: Any,
    ) -> LabelledStructures:
        """Check structures and read their labels.

        Parameters
        ----------
        X : sequence of n ase.Atoms, or LabelledStructures
            The latter have their labels; what was checked of them is not checked again.
        y, forces, stress, sample_weight : optional
            As in `read_labels`.
        species : iterable of str, optional
            Chemical symbols that may occur; any by default.
        cutoff : float, optional
            Angstrom. A structure with more neighbors within it than fit into memory is an error.
        first : int, default=0
            Place of the first structure in the data, for messages.
        **reading
            Further options of `read_labels`.

        Returns
        -------
        LabelledStructures

        Raises
        ------
        TypeError, ValueError
            A structure or label is not valid, or two atoms are within 0.05 Angstrom of each other; the
            message names the structure.

        Warns
        -----
        LabelWarning
            As `read_labels`, and of labels far beyond those of the others.
        """
        if isinstance(X, LabelledStructures):
            if any(labels is not None for labels in (y, forces, stress)):
                raise TypeError("X has its labels: leave y, forces and stress out, or pass its structures")
            return X._again(sample_weight, species, cutoff, **reading)
        checked = check_structures(X, species=species, cutoff=cutoff, first=first, closest=CLOSEST_IN_DATA)
        structures = tuple(checked)
        labels = read_labels(structures, y, forces, stress, sample_weight, first=first, **reading)
        warn_of_outliers(structures, labels, first)
        return cls(structures, labels, np.arange(first, first + len(structures)))

    def _again(
        self,
        sample_weight: Any,
        species: Iterable[str] | None,
        cutoff: float | None,
        targets: Collection[str] = TARGETS,
        purpose: str = "to fit",
        required: bool = True,
        **_: Any,
    ) -> LabelledStructures:
        """What `read` returns of the structures of these; `sample_weight` None keeps the weights."""
        check_limits(self.structures, species, cutoff)
        labels = self.labels.only(targets)
        if sample_weight is not None:
            weights = read_sample_weight(self.structures, sample_weight, 0, required)
            labels = replace(labels, sample_weight=weights)
        if required and not labels.targets():
            raise no_labels(self.structures[0], targets, purpose)
        return replace(self, labels=labels)

    def __len__(self) -> int:
        return len(self.structures)

    def __iter__(self) -> Iterator[Atoms]:
        return iter(self.structures)

    @cached_property
    def n_atoms(self) -> IntArray:
        """(n,) ndarray of int: number of atoms of each structure."""
        return np.array([len(atoms) for atoms in self.structures])

    def take(self, rows: slice | IntArray) -> LabelledStructures:
        """Some of the structures with their labels.

        Parameters
        ----------
        rows : slice or ndarray of int

        Returns
        -------
        LabelledStructures
        """
        chosen = np.arange(len(self))[rows]
        structures = tuple(self.structures[row] for row in chosen)
        return LabelledStructures(structures, self.labels.take(chosen), self.places[chosen])

    def read_here(self) -> LabelledStructures:
        """The structures themselves, as other things may read them when asked."""
        return self

    @classmethod
    def joined(cls, parts: Sequence[LabelledStructures]) -> LabelledStructures:
        """The structures of several parts, one after the other.

        Parameters
        ----------
        parts : sequence of LabelledStructures
            At least one; their weights have the same number of columns.

        Returns
        -------
        LabelledStructures
        """
        if len(parts) == 1:
            return parts[0]
        structures = tuple(atoms for part in parts for atoms in part.structures)
        places = np.concatenate([part.places for part in parts])
        return cls(structures, Labels.joined([part.labels for part in parts]), places)
