"""Design rows of a sample of the structures, for quick fits.

Index suffixes: n sampled structure, f row of forces, p column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plip._design._rows import StructureDesign
from plip._structures._checks import volumes
from plip._structures._composition import species_of
from plip._types import FloatArray, IntArray
from plip.descriptors import PLIPDescriptors
from plip.labels import LabelledStructures

__all__ = ["N_FOLDS", "SampleRows", "draw", "fit_descriptors", "volumes"]

# Each prediction is of a fit without the structure.
N_FOLDS = 4

# Atoms whose forces are rows, of each structure and in all.
_MOST_ATOMS = 30
_MOST_FORCES = 4000


def draw(data: LabelledStructures, groups: NDArray[np.str_], n: int, n_atoms: int) -> IntArray:
    """Places of about n structures of at most so many atoms in all, in turn from every group.

    Sorted, and the same for the same data.
    """
    rng = np.random.default_rng(0)
    order = rng.permutation(len(data))
    turn = np.zeros(len(data))
    for group in np.unique(groups):
        members = order[groups[order] == group]
        turn[members] = np.arange(len(members)) + rng.random(len(members))
    order = np.argsort(turn)[:n]
    fits = np.cumsum(data.n_atoms[order]) <= n_atoms
    fits[0] = True
    return np.sort(order[fits])


def fit_descriptors(data: LabelledStructures, sample: LabelledStructures, preset: str) -> PLIPDescriptors:
    """Descriptors of a preset for all species of the data, with the grids of a sample."""
    return PLIPDescriptors.preset(preset, species=species_of(data.structures)).fit(list(sample.structures))


@dataclass(frozen=True, eq=False)
class SampleRows:
    """Rows of sampled structures, each structure in a fold.

    Attributes
    ----------
    descriptors : PLIPDescriptors
        Fitted.
    places_n : (n,) int
        Places of the structures in the data.
    fold_n : (n,) int
        Fold of each structure, below `N_FOLDS`.
    energy_np : (n, p) float64
        Energy per atom.
    fraction_ns : (n, n_species) float64
        Share of each species.
    virial_ncp : (n, 6, p) float64
        Virial per atom.
    force_fp : (f, p) float64
        Force components of some atoms.
    owner_f : (f,) int
        Sampled structure of each row of forces.
    component_f : (f,) int
        Place of the row among the 3 N force components of its structure.
    """

    descriptors: PLIPDescriptors
    places_n: IntArray
    fold_n: IntArray
    energy_np: FloatArray
    fraction_ns: FloatArray
    virial_ncp: FloatArray
    force_fp: FloatArray
    owner_f: IntArray
    component_f: IntArray

    @classmethod
    def of(cls, data: LabelledStructures, places: IntArray, fold: IntArray, preset: str) -> SampleRows:
        """Rows of the structures at some places; `fold` has the fold of every structure of the data."""
        sample = data.take(places)
        descriptors = fit_descriptors(data, sample, preset)
        design = descriptors._design()
        n, p = len(sample), len(descriptors.terms_)
        rng = np.random.default_rng(0)
        most = min(_MOST_ATOMS, max(1, _MOST_FORCES // n))
        energy, fraction = np.empty((n, p)), np.empty((n, len(descriptors.species_)))
        virial = np.zeros((n, 6, p))
        forces, owners, components = [], [], []
        with_forces = data.labels.present("force")[places]
        for k, atoms in enumerate(sample.structures):
            structure = StructureDesign(design, atoms, has_virials=True)
            rows = np.empty((3 * len(atoms), p))
            structure.write_rows(0, rows)
            energy[k], fraction[k] = structure.values / len(atoms), structure.counts / len(atoms)
            if structure.virials is not None:
                virial[k] = structure.virials / len(atoms)
            if with_forces[k]:
                chosen = rng.permutation(len(atoms))[:most]
                component = (3 * chosen[:, None] + np.arange(3)).ravel()
                forces.append(rows[component])
                owners.append(np.full(len(component), k))
                components.append(component)
        return cls(
            descriptors,
            places,
            fold[places],
            energy,
            fraction,
            virial,
            np.concatenate(forces) if forces else np.empty((0, p)),
            np.concatenate(owners) if owners else np.empty(0, int),
            np.concatenate(components) if components else np.empty(0, int),
        )
