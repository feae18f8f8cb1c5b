"""Energies, forces and stresses of checked structures by a potential."""

from __future__ import annotations

import functools
import itertools
import math
import pickle
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NotRequired, TypedDict, TypeVar

import numpy as np
from ase import Atoms

from plip._core import evaluate_each
from plip._parameters import check_n_jobs
from plip._structures._checks import errors_of, has_full_cell, volumes
from plip._structures._evaluation import find_pairs, gather, take_atoms
from plip._types import FloatArray, Int32Array
from plip.labels import Labels

if TYPE_CHECKING:
    from plip.potential._potential import Potential

__all__ = ["Results", "evaluate_arrays", "evaluate_checked", "evaluate_many", "predict_labels"]

# What is made of a chunk of structures.
Chunk = TypeVar("Chunk")

# As many chunks of structures has each worker, so that they end together.
_CHUNKS_PER_WORKER = 16


class Results(TypedDict):
    """What `Potential.evaluate` returns."""

    energy: float
    energies: FloatArray
    forces: NotRequired[FloatArray]
    stress: NotRequired[FloatArray]
    energy_std: NotRequired[float]
    forces_std: NotRequired[FloatArray]
    extrapolation: NotRequired[FloatArray]


def evaluate_arrays(
    potential: Potential,
    atoms: Atoms,
    arrays: tuple[Int32Array, FloatArray, FloatArray],
    forces: bool,
    stress: bool,
    uncertainty: bool = False,
) -> Results:
    """As `Potential.evaluate`, of a structure and its arrays from `check_atoms` or `take_atoms`."""
    species, positions, cell = arrays
    neighbors = find_pairs(positions, cell, atoms.pbc, potential.cutoff)
    energies, force, strain, _ = potential._core.evaluate(neighbors, positions, cell, species, forces, stress)
    results: Results = {"energy": math.fsum(energies), "energies": energies}
    if force is not None:
        results["forces"] = force
    if strain is not None:
        # As atoms.get_volume(), which counts the vectors of the cell first.
        volume = np.abs(np.linalg.det(atoms.cell.array))
        results["stress"] = strain / volume if has_full_cell(atoms) else np.full(6, np.nan)
    if uncertainty:
        found = potential._uncertain_results(atoms, neighbors, positions, cell, species)
        results["energy_std"], results["forces_std"], results["extrapolation"] = found
    return results


def evaluate_checked(
    potential: Potential,
    index: int,
    atoms: Atoms,
    forces: bool = True,
    stress: bool = True,
    uncertainty: bool = False,
) -> Results:
    """As `Potential.evaluate`, of a structure that was checked; errors name its place in the data."""
    with errors_of(index, atoms):
        arrays = take_atoms(potential.species, atoms)
        return evaluate_arrays(potential, atoms, arrays, forces, stress, uncertainty)


def evaluate_many(
    potential: Potential,
    structures: Sequence[Atoms],
    n_jobs: int | None = None,
    forces: bool = True,
    stress: bool = False,
    uncertainty: bool = False,
    places: Iterable[int] | None = None,
) -> list[Results]:
    """Results of structures that were checked for the species and cutoff of the potential.

    Errors name the places of the structures in the data, which are counted from 0 by default.
    """
    evaluator = _Evaluator(potential, forces, stress, uncertainty)
    chunks = _by_chunks(evaluator, structures, n_jobs, places)
    return list(itertools.chain.from_iterable(chunks))


def _by_chunks(
    evaluator: Callable[[Sequence[int], Sequence[Atoms]], Chunk],
    structures: Sequence[Atoms],
    n_jobs: int | None,
    places: Iterable[int] | None,
) -> list[Chunk]:
    """What the evaluator returns for chunks of structures and their places."""
    check_n_jobs(n_jobs)
    # Not needed to evaluate one structure, as simulations do.
    import joblib

    from plip._workers import new_workers

    indices = list(range(len(structures)) if places is None else places)
    ends = np.cumsum([len(atoms) for atoms in structures])
    n_chunks = min(len(structures), _CHUNKS_PER_WORKER * joblib.effective_n_jobs(n_jobs))
    borders = ends[-1] * np.arange(1, n_chunks) / n_chunks if n_chunks else []
    chunks = np.unique([0, *np.searchsorted(ends, borders), len(structures)]).tolist()
    jobs = (
        joblib.delayed(evaluator)(indices[start:end], structures[start:end])
        for start, end in itertools.pairwise(chunks)
    )
    results: list[Chunk] = new_workers(n_jobs)(jobs)
    return results


class _Evaluator:
    """Results of chunks of structures by a potential, in any process."""

    def __init__(self, potential: Potential, forces: bool, stress: bool, uncertainty: bool = False) -> None:
        self.potential = potential
        self.forces = forces
        self.stress = stress
        self._uncertainty = uncertainty

    def __call__(self, indices: Sequence[int], structures: Sequence[Atoms]) -> list[Results]:
        options = self.forces, self.stress, self._uncertainty
        return [
            evaluate_checked(self.potential, index, atoms, *options)
            for index, atoms in zip(indices, structures, strict=True)
        ]

    @functools.cached_property
    def _pickled(self) -> bytes:
        return pickle.dumps((self.potential, self.forces, self.stress, self._uncertainty))

    def __reduce__(self) -> tuple[Callable[[bytes], _Evaluator], tuple[bytes]]:
        return _from_bytes, (self._pickled,)


@functools.lru_cache(maxsize=2)
def _from_bytes(pickled: bytes) -> _Evaluator:
    """The evaluator that was pickled; a process makes its potential ready once, not for every chunk."""
    return _Evaluator(*pickle.loads(pickled))


def predict_labels(
    potential: Potential,
    structures: Sequence[Atoms],
    n_jobs: int | None = None,
    forces: bool = True,
    stress: bool = True,
    places: Iterable[int] | None = None,
) -> Labels:
    """As `Potential.predict`, of structures as in `evaluate_many`."""
    predict = functools.partial(_labels, _Evaluator(potential, forces, stress))
    return Labels.joined(_by_chunks(predict, structures, n_jobs, places))


def _labels(evaluator: _Evaluator, indices: Sequence[int], structures: Sequence[Atoms]) -> Labels:
    """What the potential of an evaluator says of a chunk of structures, which are evaluated in one call."""
    potential = evaluator.potential
    arrays = gather(potential.species, structures)
    found = evaluate_each(potential._core, *arrays, potential.cutoff, evaluator.forces, evaluator.stress)
    energies, forces, strains, are_done = found
    energy = np.array([math.fsum(of_structure) for of_structure in arrays.split(energies)])
    all_forces: list[FloatArray | None] | None = None if forces is None else [*arrays.split(forces)]
    stress = None if strains is None else strains / volumes(structures)[:, None]
    for row in np.flatnonzero(~are_done).tolist():
        result = evaluator([indices[row]], [structures[row]])[0]
        energy[row] = result["energy"]
        if all_forces is not None:
            all_forces[row] = result["forces"]
        if stress is not None:
            stress[row] = result["stress"]
    return Labels(energy, all_forces, stress, sample_weight=np.ones(len(structures)))
