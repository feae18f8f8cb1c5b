"""Forces that do not belong to the positions beside them, whatever their unit and sign."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plip._types import BoolArray
from plip.audit._report import Finding
from plip.audit._trial import Trial

__all__ = ["find_foreign_forces"]

# Share of the squares of forces that a quick fit leaves unexplained. Its median over structures is less than
# 0.1 for Si, Mo, Ta, SiC, alloys and molecules, at most 0.6 for a few structures of many kinds, and at least
# 0.9 where atoms or components are exchanged.
_UNEXPLAINED = 0.7
# Structures with large forces that must have been looked at, and of those so many for each species: a fit to
# less does not know how each pair of species interacts.
_FEWEST = 10
_OF_EACH_SPECIES = 3


def find_foreign_forces(trial: Trial, frozen: Sequence[BoolArray]) -> list[Finding]:
    """Find forces in another order of atoms or components, or beside a cell that was rotated.

    Parameters
    ----------
    trial : Trial
        Reads labels in the units and signs that were found.
    frozen : list of n (n_atoms,) bool
        As `plip.audit._labels.frozen_atoms` finds them: forces beside those set to zero are not judged.

    Returns
    -------
    list of Finding
    """
    places, shares = trial.unexplained_forces()
    are_free = np.array([not frozen[k].any() for k in places], bool)
    places, shares = places[are_free], shares[are_free]
    fewest = max(_FEWEST, _OF_EACH_SPECIES * trial.n_species)
    if len(places) < fewest or np.median(shares) < _UNEXPLAINED:
        return []
    foreign = places[shares > _UNEXPLAINED]
    evidence = (
        f"forces that do not follow from positions: of {len(places)} structures with large forces, a quick "
        f"fit to the others explains those of {len(places) - len(foreign)}"
    )
    remedy = (
        "Check that forces and positions are of the same atoms, in the same order and directions: programs "
        "sort atoms by species, and LAMMPS rotates cells"
    )
    return [Finding("foreign forces", tuple(foreign.tolist()), evidence, remedy)]
