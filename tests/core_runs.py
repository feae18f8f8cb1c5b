"""The compiled core alone: its instruction sets, its neighbor list, and an evaluation of a structure."""

import numpy as np
import pytest

from plip._core import Core, NeighborList
from plip._structures._evaluation import check_atoms

VARIANTS = ("baseline", "avx2", "avx512")


def neighbors(atoms, cutoff):
    cell = np.ascontiguousarray(atoms.cell.complete().array)
    return NeighborList(atoms.positions, cell, np.array(atoms.pbc, np.int32), cutoff)


def core_of(potential, simd="auto"):
    try:
        return Core(potential.species, potential.terms, np.array(list(potential.intercept.values())), simd)
    except ValueError as error:
        if "instruction set" in str(error):
            pytest.skip(f"no {simd} on this machine")
        raise


def evaluate(core, potential, atoms, skin=0.0, **options):
    species, positions, cell = check_atoms(potential.species, atoms)
    return core.evaluate(neighbors(atoms, core.cutoff + skin), positions, cell, species, **options)
