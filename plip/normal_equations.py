"""Normal equations: all that a linear fit needs to know of the data, in memory that does not grow.

Accumulated structure by structure, kept apart per target (energy per atom, force
component, virial per atom), merged by addition.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

import joblib
import numpy as np
from sklearn.base import clone
from threadpoolctl import ThreadpoolController
from tqdm.auto import tqdm

from plip._design import Design
from plip._files import write_whole
from plip._structures import check_structures, has_full_cell
from plip.descriptors import descriptors_from_dict, descriptors_to_dict
from plip.labels import read_labels
from plip.solvers import LinearProblem

__all__ = ["TARGETS", "NormalEquations"]

TARGETS = ("energy", "force", "virial")

_FORMAT = "plip-normal-equations"
_VERSION = 1

# Rows per rank-k update: enough for matrix products to run at full speed, and with 800 columns
# 13 MB, which is what each worker holds.
_BLOCK_ROWS = 2048
# Atoms per chunk, the unit of parallel work: enough that adding up the products of a chunk
# (n_terms^2) costs little beside making them (rows x n_terms^2), few enough to share out evenly.
_CHUNK_ATOMS = 1000
# Structures that a stream is read ahead.
_BATCH = 512

# Above this number of columns the matrices take gigabytes.
_MANY_COLUMNS = 5000

_threadpools = ThreadpoolController()


def single_blas_thread():
    """Context in which BLAS runs on one thread, so that bits do not depend on thread settings."""
    return _threadpools.limit(limits=1, user_api="blas")


@dataclass
class _Sums:
    """Products of the rows [X, composition, y] of one target, weighted by sample weights."""

    products: np.ndarray
    weight: float = 0.0
    n_rows: int = 0

    def add_rows(self, rows, weights):
        """Add rows that are already scaled by the square roots of their weights."""
        if len(rows):
            self.products += np.dot(rows.T, rows)
            self.weight += float(np.sum(weights))
            self.n_rows += len(rows)

    def combine(self, other, sign):
        return _Sums(
            self.products + sign * other.products,
            self.weight + sign * other.weight,
            self.n_rows + sign * other.n_rows,
        )


class NormalEquations:
    """Sums over all rows of a data set, from which every fit follows.

    Made by `from_structures`; sums of disjoint data sets merge with ``+``, and a subset
    is taken out with ``-``.

    Attributes
    ----------
    descriptors : PLIPDescriptors
        Fitted descriptors.
    n_structures : int
        Number of structures.
    """

    def __init__(self, descriptors, sums, reference, n_structures):
        self.descriptors = descriptors
        self._sums = sums
        self._reference = reference
        self.n_structures = n_structures

    @property
    def terms(self):
        """tuple of Term: the columns."""
        return tuple(self.descriptors.terms_)

    @property
    def species(self):
        """tuple of str: chemical symbols."""
        return self.descriptors.species_

    @property
    def n_rows(self):
        """dict: number of rows by target ("energy", "force", "virial")."""
        return {target: self._sums[target].n_rows for target in TARGETS}

    @property
    def weight_sums(self):
        """dict: sum of the sample weights of the rows by target."""
        return {target: self._sums[target].weight for target in TARGETS}

    @classmethod
    def from_structures(
        cls,
        X,
        descriptors,
        y=None,
        forces=None,
        stress=None,
        sample_weight=None,
        n_jobs=None,
        verbose=0,
    ):
        """Accumulate the normal equations of labelled structures.

        Parameters
        ----------
        X : iterable of ase.Atoms
            Structures. A generator is read in batches and never held as a whole; its
            labels must be attached to the Atoms.
        descriptors : PLIPDescriptors
            Fitted, or else fitted here to a clone.
        y : array_like of float64, shape (n_structures,), or None
            Total energies in eV; None takes the attached ones.
        forces : sequence of array_like, shapes (n_atoms, 3), or None
            Forces in eV/Angstrom; None takes the attached ones.
        stress : array_like, shape (n_structures, 6), or None
            Stress in eV/Angstrom^3, ASE's Voigt order and sign; None takes the attached ones.
        sample_weight : array_like, shape (n_structures,), or None
            Weight of each structure, which multiplies all its squared residuals.
        n_jobs : int or None, default=None
            Number of joblib workers. The result is the same to the last bit for any number.
        verbose : int, default=0
            Whether to show a progress bar.

        Returns
        -------
        NormalEquations

        Raises
        ------
        TypeError, ValueError
            If a structure or label is not valid; the message names its index.
        """
        if isinstance(X, Iterator):
            if any(labels is not None for labels in (y, forces, stress, sample_weight)):
                raise TypeError(
                    "X is a generator, so labels must be attached to its Atoms: "
                    "leave y, forces, stress and sample_weight out, or pass a list"
                )
            return cls._from_stream(X, descriptors, n_jobs, verbose)
        return cls._from_list(X, descriptors, y, forces, stress, sample_weight, n_jobs, verbose)

    @classmethod
    def _from_stream(cls, stream, descriptors, n_jobs, verbose):
        total = None
        batch = []
        with tqdm(desc="structures", unit="", disable=not verbose) as bar:
            for exhausted, atoms in _with_end(stream):
                if not exhausted:
                    batch.append(atoms)
                if len(batch) == _BATCH or (exhausted and (batch or total is None)):
                    part = cls._from_list(batch, descriptors, n_jobs=n_jobs)
                    bar.update(len(batch))
                    descriptors = part.descriptors
                    if total is not None and set(part._targets()) != set(total._targets()):
                        raise ValueError(
                            f"structures {total.n_structures} to {total.n_structures + len(batch) - 1} have "
                            f"labels for {' and '.join(part._targets())}, those before for "
                            f"{' and '.join(total._targets())}: label all alike"
                        )
                    total = part if total is None else total + part
                    batch = []
        return total

    def _targets(self):
        return [target for target in ("energy", "force") if self._sums[target].n_rows]

    @classmethod
    def _from_list(
        cls, X, descriptors, y=None, forces=None, stress=None, sample_weight=None, n_jobs=None, verbose=0
    ):
        fitted = hasattr(descriptors, "terms_")
        structures = check_structures(
            X, species=descriptors.species_ if fitted else descriptors.species, cutoff=descriptors.cutoff
        )
        labels = read_labels(structures, y, forces, stress, sample_weight)
        if not fitted:
            descriptors = clone(descriptors).fit(structures)
        return cls.from_labels(structures, descriptors, labels, n_jobs=n_jobs, verbose=verbose)

    @classmethod
    def from_labels(cls, structures, descriptors, labels, reference=None, n_jobs=None, verbose=0):
        """Accumulate checked structures with checked labels.

        Parameters
        ----------
        structures : list of ase.Atoms
            From `plip._structures.check_structures`.
        descriptors : PLIPDescriptors
            Fitted.
        labels : Labels
            From `plip.labels.read_labels`.
        reference : ndarray of float64, shape (n_species,), or None
            Energies per atom that are taken off before summing, for the sake of rounding;
            None takes the least-squares ones.
        n_jobs, verbose
            As in `from_structures`.

        Returns
        -------
        NormalEquations
        """
        _warn_of_memory(len(descriptors.terms_), len(descriptors.species_))
        if reference is None:
            reference = _least_squares_reference(structures, descriptors.species_, labels)
        design = Design(descriptors.terms_, descriptors.species_)
        chunks = _chunks([len(atoms) for atoms in structures])
        jobs = (
            joblib.delayed(_chunk_sums)(
                design, structures[chunk], _slice(labels, chunk), reference, chunk.start, os.getpid()
            )
            for chunk in chunks
        )
        sums = _empty_sums(len(descriptors.terms_), len(descriptors.species_))
        with single_blas_thread(), tqdm(total=len(structures), desc="structures", disable=not verbose) as bar:
            parts = joblib.Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(jobs)
            for chunk, part in zip(chunks, parts, strict=True):
                for target in TARGETS:
                    if part[target] is not None:
                        sums[target] = sums[target].combine(part[target], 1)
                bar.update(chunk.stop - chunk.start)
        return cls(descriptors, sums, reference, len(structures))

    def __add__(self, other):
        return self._combine(other, 1)

    def __sub__(self, other):
        return self._combine(other, -1)

    def _combine(self, other, sign):
        if not isinstance(other, NormalEquations):
            return NotImplemented
        if self.terms != other.terms or self.species != other.species:
            raise ValueError("these normal equations have different terms: use the same fitted descriptors")
        rebased = other._rebased(self._reference)
        sums = {target: self._sums[target].combine(rebased[target], sign) for target in TARGETS}
        if any(part.n_rows < 0 for part in sums.values()):
            raise ValueError("cannot take out more rows than there are")
        return NormalEquations(
            self.descriptors, sums, self._reference, self.n_structures + sign * other.n_structures
        )

    def _rebased(self, reference):
        """The sums with other reference energies taken off."""
        change = self._reference - reference
        if not change.any():
            return self._sums
        n_terms = len(self.terms)
        transform = np.eye(n_terms + len(change) + 1)
        transform[n_terms:-1, -1] = change
        energy = self._sums["energy"]
        products = transform.T @ energy.products @ transform
        return {**self._sums, "energy": _Sums(products, energy.weight, energy.n_rows)}

    def problem(self, energy_weight=30.0, force_weight=1.0, stress_weight=0.0):
        """The weighted least-squares problem, reference energies projected out.

        Parameters
        ----------
        energy_weight, force_weight, stress_weight : float
            Factors of the rows: energy per atom (eV), force components (eV/Angstrom),
            virial per atom (eV).

        Returns
        -------
        LinearProblem
        """
        weights = dict(zip(TARGETS, (energy_weight, force_weight, stress_weight), strict=True))
        used = [target for target in TARGETS if weights[target] > 0 and self._sums[target].weight > 0]
        if not used:
            raise ValueError("no target has both rows and a positive weight: give labels or weights")
        total = sum(weights[target] ** 2 * self._sums[target].products for target in used)
        n_terms = len(self.terms)
        variables = np.r_[:n_terms, total.shape[0] - 1]
        reduced = total[np.ix_(variables, variables)]
        if "energy" in used:
            composition, inverse = self._composition()
            cross = self._sums["energy"].products[n_terms:-1][:, variables]
            reduced = reduced - weights["energy"] ** 2 * (cross.T @ inverse @ cross)
            # What is left of a column that follows the composition is rounding.
            nothing = np.diag(reduced) <= 1e-12 * np.diag(total)[variables]
            reduced[nothing, :] = 0.0
            reduced[:, nothing] = 0.0
        return LinearProblem(
            gram=reduced[:-1, :-1],
            moment=reduced[:-1, -1],
            target_square=float(reduced[-1, -1]),
            weight_sum=sum(self._sums[target].weight for target in used),
        )

    def _composition(self):
        """Products of the composition columns and their pseudo-inverse."""
        n_terms = len(self.terms)
        composition = self._sums["energy"].products[n_terms:-1, n_terms:-1]
        return composition, np.linalg.pinv(composition, rcond=1e-10, hermitian=True)

    def reference_energies(self, coef):
        """Reference energy per species that goes with the coefficients.

        Parameters
        ----------
        coef : array_like of float64, shape (n_terms,)
            Coefficients.

        Returns
        -------
        dict
            eV by chemical symbol; the ones of least norm where compositions do not tell
            species apart, and 0 where no energy was given.
        """
        coef = np.asarray(coef, np.float64)
        if not self._sums["energy"].n_rows:
            return dict.fromkeys(self.species, 0.0)
        n_terms = len(self.terms)
        composition, inverse = self._composition()
        rows = self._sums["energy"].products[n_terms:-1]
        change = inverse @ (rows[:, -1] - rows[:, :n_terms] @ coef)
        # The part of the reference that the data cannot see is dropped.
        energies = inverse @ composition @ self._reference + change
        return dict(zip(self.species, energies.tolist(), strict=True))

    def save(self, path):
        """Write to a NumPy archive, whole or not at all.

        Parameters
        ----------
        path : str or path-like
            File name, usually ending in ``.npz``.
        """
        header = {
            "format": _FORMAT,
            "version": _VERSION,
            "descriptors": descriptors_to_dict(self.descriptors),
            "n_structures": self.n_structures,
            "n_rows": self.n_rows,
            "weight_sums": self.weight_sums,
        }
        arrays = {target: self._sums[target].products for target in TARGETS}
        with write_whole(path, "wb") as file:
            np.savez(file, header=json.dumps(header), reference=self._reference, **arrays)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        NormalEquations

        Raises
        ------
        ValueError
            If the file holds something else or was written by a newer version.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                header = json.loads(str(archive["header"]))
                if header["format"] != _FORMAT:
                    raise ValueError(f"its format is {header['format']!r}")
                if header["version"] > _VERSION:
                    raise ValueError(f"its version {header['version']} is newer than this plip: update plip")
                sums = {
                    target: _Sums(archive[target], header["weight_sums"][target], header["n_rows"][target])
                    for target in TARGETS
                }
                descriptors = descriptors_from_dict(header["descriptors"])
                return cls(descriptors, sums, archive["reference"], header["n_structures"])
        except (ValueError, KeyError, EOFError, TypeError) as error:
            raise ValueError(f"{os.fspath(path)} does not hold normal equations of plip: {error}") from error


def _with_end(iterable):
    """(False, item) for every item, then (True, None)."""
    for item in iterable:
        yield False, item
    yield True, None


def _warn_of_memory(n_terms, n_species):
    if n_terms > _MANY_COLUMNS:
        import warnings

        gigabytes = len(TARGETS) * (n_terms + n_species + 1) ** 2 * 8 / 1e9
        warnings.warn(
            f"{n_terms} columns: the normal equations take {gigabytes:.1f} GB, and each worker as much again. "
            "Choose fewer radial functions, powers or species pairs to save memory.",
            ResourceWarning,
            stacklevel=4,
        )


def _least_squares_reference(structures, species, labels):
    """Energies per atom by species that come nearest to the labels, of least norm."""
    if labels.energy is None:
        return np.zeros(len(species))
    counts = np.array(
        [[np.count_nonzero(atoms.symbols == symbol) for symbol in species] for atoms in structures], np.float64
    )
    sizes = counts.sum(axis=1, keepdims=True)
    return np.linalg.lstsq(counts / sizes, labels.energy / sizes[:, 0], rcond=1e-10)[0]


def _chunks(sizes):
    """Slices of about equally many atoms; they depend on the structures alone."""
    chunks, start, atoms = [], 0, 0
    for index, size in enumerate(sizes):
        atoms += size
        if atoms >= _CHUNK_ATOMS:
            chunks.append(slice(start, index + 1))
            start, atoms = index + 1, 0
    if start < len(sizes):
        chunks.append(slice(start, len(sizes)))
    return chunks


def _slice(labels, chunk):
    parts = {}
    for name in ("energy", "forces", "stress", "sample_weight"):
        value = getattr(labels, name)
        parts[name] = None if value is None else value[chunk]
    return parts


def _empty_sums(n_terms, n_species):
    width = n_terms + n_species + 1
    return {target: _Sums(np.zeros((width, width))) for target in TARGETS}


def _chunk_sums(design, structures, labels, reference, first_index, parent_process):
    """Sums of one chunk; targets without labels are None."""
    if os.getpid() != parent_process:
        with single_blas_thread():
            return _accumulate(design, structures, labels, reference, first_index)
    return _accumulate(design, structures, labels, reference, first_index)


def _accumulate(design, structures, labels, reference, first_index):
    n_terms = design.kernel.n_terms
    n_species = len(design.species)
    sums = _empty_sums(n_terms, n_species)
    width = n_terms + n_species + 1
    present = {
        "energy": labels["energy"] is not None,
        "force": labels["forces"] is not None,
        "virial": labels["stress"] is not None and np.isfinite(labels["stress"]).any(),
    }
    energy_rows, energy_weights = [], []
    virial_rows, virial_weights = [], []
    block = np.zeros((_BLOCK_ROWS // 3 * 3, width))
    used, block_weights = 0, []
    for k, atoms in enumerate(structures):
        weight = labels["sample_weight"][k]
        if weight == 0.0:
            continue
        root = np.sqrt(weight)
        structure = design.structure(atoms)
        if not np.isfinite(structure.values).all():
            raise ValueError(
                f"structure {first_index + k}: its descriptors are not finite; a radial function is too steep "
                "for its shortest distance, or the distance is wrong"
            )
        size = len(atoms)
        if present["energy"]:
            energy = labels["energy"][k] - structure.counts @ reference
            energy_rows.append(root / size * np.concatenate([structure.values, structure.counts, [energy]]))
            energy_weights.append(weight)
        stress = labels["stress"][k] if present["virial"] else None
        has_stress = stress is not None and np.isfinite(stress).all() and has_full_cell(atoms)
        virial = np.zeros((6, width)) if has_stress else None
        if present["force"] or has_stress:
            first = 0
            while first < size:
                if used == len(block):
                    sums["force"].add_rows(block, block_weights)
                    used, block_weights = 0, []
                last = min(size, first + (len(block) - used) // 3)
                rows = block[used : used + 3 * (last - first)]
                rows[:] = 0.0
                structure.add_rows(first, rows, virial)
                if present["force"]:
                    rows[:, -1] = labels["forces"][k][first:last].ravel()
                    rows *= root
                    used += len(rows)
                    block_weights.append(weight * len(rows))
                first = last
        if has_stress:
            virial[:, -1] = atoms.get_volume() * stress
            virial_rows.append(root / size * virial)
            virial_weights += [weight] * 6
    sums["force"].add_rows(block[:used], block_weights)
    if energy_rows:
        sums["energy"].add_rows(np.array(energy_rows), energy_weights)
    if virial_rows:
        sums["virial"].add_rows(np.concatenate(virial_rows), virial_weights)
    return {target: sums[target] if sums[target].n_rows else None for target in TARGETS}
