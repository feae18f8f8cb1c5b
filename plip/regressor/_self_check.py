"""A fitted potential is checked by structures of its fit: kernels for fits and for potentials must agree."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from plip._design._rows import Design
from plip._design._rows_of_each import RowsOfEach
from plip._structures._checks import describe
from plip._types import FloatArray
from plip.labels import LabelledStructures
from plip.potential import Potential
from plip.potential._prediction import evaluate_checked

__all__ = ["FitError", "check_examples"]

# A fit is refused if its potential differs from it by more than this part of an energy or force,
_AGREEMENT = 1e-6
# and by more than radial tables may cause, in eV and eV/Angstrom, with many terms and neighbors.
_TABLES = 1e-6


class FitError(RuntimeError):
    """Energies and forces of a fitted potential differ from those of its fit."""


def check_examples(
    potential: Potential, design: Design, coef: FloatArray, examples: LabelledStructures
) -> None:
    """Raise unless the potential has the energies and forces of the fit for some structures."""
    reference = np.array([potential.intercept[symbol] for symbol in design.species])
    for place, atoms in zip(examples.places, examples.structures, strict=True):
        interaction, forces = _fitted(design, coef, atoms)
        found = evaluate_checked(potential, place, atoms, stress=False)
        energy_error = abs(found["energy"] - design.counts(atoms) @ reference - interaction) / len(atoms)
        force_error = np.abs(found["forces"] - forces).max()
        if (
            not energy_error <= _AGREEMENT * abs(interaction) / len(atoms) + _TABLES
            or not force_error <= _AGREEMENT * np.abs(forces).max() + _TABLES
        ):
            raise FitError(
                f"{describe(place, atoms)}: energy and forces of the fitted potential differ from those of "
                f"the fit by {energy_error:.1e} eV/atom and {force_error:.1e} eV/A. Coefficients of up to "
                f"{np.abs(coef).max():.0e} lose digits: offer fewer or less steep radial functions"
            )


def _fitted(design: Design, coef: FloatArray, atoms: Atoms) -> tuple[float, FloatArray]:
    """Energy without reference energies and forces, (n_atoms, 3), of the fit for a structure."""
    part = design.part(atoms)
    coef = part.placement.gathered(coef, part.kernel.n_terms)
    rows = np.empty((3 * len(atoms), len(coef)))
    found = RowsOfEach.compute(part, [atoms], None, rows)
    assert found is not None  # as in the fit
    return float(found.values[0] @ coef), (rows @ coef).reshape(-1, 3)
