"""What rows say of the coefficients of a few columns, as matrices: those of a fit and of one structure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from plip._design._rows import Design, StructureDesign
from plip._structures._checks import has_full_cell
from plip._types import FloatArray, IntArray
from plip.normal_equations._blas_threads import single_blas_thread

if TYPE_CHECKING:
    from plip.normal_equations._equations import NormalEquations

__all__ = ["fit_information", "structure_information"]


def fit_information(
    equations: NormalEquations, columns: IntArray, weights: Mapping[str, float]
) -> FloatArray:
    """Products of the weighted rows of all data.

    Parameters
    ----------
    equations : NormalEquations
    columns : ndarray of int, shape (k,)
        The terms that count.
    weights : dict of str to float
        Factor of the rows of each target.

    Returns
    -------
    ndarray of float64, shape (n_species + k, n_species + k)
        X^T V^2 X, where the numbers of atoms of each species come before the terms.
    """
    n_terms, n_species = len(equations.terms), len(equations.species)
    chosen = np.r_[n_terms : n_terms + n_species, columns]
    total = np.zeros((len(chosen),) * 2)
    for target, weight in weights.items():
        total += weight**2 * equations._sums[target].between(chosen)
    return total


@single_blas_thread()
def structure_information(
    design: Design, atoms: Atoms, weights: Mapping[str, float]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Products of the weighted rows that the labels of one structure would have.

    Parameters
    ----------
    design : Design
        The terms that count.
    atoms : ase.Atoms
        Checked.
    weights : dict of str to float
        As in `fit_information`. Without a full cell there is no virial.

    Returns
    -------
    information : ndarray of float64, shape (n_species + k, n_species + k)
        As in `fit_information`.
    row : ndarray of float64, shape (n_species + k,)
        The row of the energy per atom, without its weight.
    forces : ndarray of float64, shape (k,)
        Root mean square over atoms of the length of the force of each term, without its weight.
    """
    n_terms, size = len(design.terms), len(atoms)
    structure = StructureDesign(design, atoms, has_virials=has_full_cell(atoms))
    row = np.concatenate([structure.counts, structure.values]) / size
    terms = slice(len(structure.counts), None)
    force_rows = np.empty((3 * size, n_terms))
    structure.write_rows(0, force_rows)
    products = force_rows.T @ force_rows
    information = weights.get("energy", 0.0) ** 2 * np.outer(row, row)
    information[terms, terms] += weights.get("force", 0.0) ** 2 * products
    if structure.virials is not None:
        virial_rows = structure.virials / size
        information[terms, terms] += weights.get("virial", 0.0) ** 2 * virial_rows.T @ virial_rows
    return information, row, np.sqrt(np.diagonal(products) / size)
