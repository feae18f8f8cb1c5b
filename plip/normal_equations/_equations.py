"""Normal equations: what a linear fit needs to know of the data, in memory that does not grow.

They are accumulated structure by structure, kept apart by target (energy per atom, force component, virial
per atom), and merged by addition.
"""

from __future__ import annotations

import itertools
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from typing import IO, Any, TypeVar

import joblib
import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from plip._design._extent import Extent, density_range
from plip._html import table
from plip._parameters import check_n_jobs
from plip._types import FloatArray, StrPath
from plip._warnings import warn
from plip.descriptors import PLIPDescriptors
from plip.descriptors._transformer import as_descriptors
from plip.interactions import Term
from plip.labels import TARGETS, LabelledStructures
from plip.labels._reading import no_labels
from plip.normal_equations._accumulation import Accumulator
from plip.normal_equations._archive import read_archive, write_archive
from plip.normal_equations._batches import new_accumulator, read_batches, read_head
from plip.normal_equations._blas_threads import single_blas_thread
from plip.normal_equations._file_pieces import FileSequence, Treatment
from plip.normal_equations._hash import HASHES
from plip.normal_equations._problem import linear_problem, pseudo_inverse
from plip.normal_equations._sample import Sample
from plip.normal_equations._sizes import Counts, natural_sizes
from plip.normal_equations._sums import Sums, are_products
from plip.solvers import LinearProblem

__all__ = ["NormalEquations"]

Known = TypeVar("Known")

# Median ratio of the root mean square of columns, composition projected out, to that of their values, below
# which the penalty on contributions is reduced. It is 1.2 to 1.9 in data of Si, Mo, SiC, Cu-Au and Ta.
_LEAST_VARIED = 0.03


class NormalEquations:
    """Sums over all rows of a data set, from which every fit follows.

    `from_structures` makes them. ``+`` merges the sums of disjoint data sets, and ``-`` takes a subset out.

    Attributes
    ----------
    descriptors : PLIPDescriptors
        Fitted descriptors.
    n_structures : int
        Number of structures.
    isolated_energies : dict, or None
        Energies in eV of the structures that are one atom without neighbors: a list for each chemical
        symbol. None in files of older versions, which do not hold them.
    sample : Sample, or None
        Geometry of the structures with a label, of at most 100,000 atoms; of more, every second structure and
        so on. None in files of older versions.
    data_hash : int, or None
        Names the structures and the labels that were read, whatever their order; see
        `plip.normal_equations._hash.data_hash`. None in files of older versions.

    Examples
    --------
    >>> from plip import NormalEquations, PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=10).fit(train[::4])
    >>> first = NormalEquations.from_structures(train[::4], model.descriptors_)
    >>> second = NormalEquations.from_structures(train[1::4], model.descriptors_)
    >>> both = first + second
    >>> both.n_structures == first.n_structures + second.n_structures
    True
    >>> model.fit_normal_equations(both).n_terms_ <= 10
    True
    """

    def __init__(
        self,
        descriptors: PLIPDescriptors,
        sums: dict[str, Sums],
        reference: FloatArray,
        n_structures: int,
        extent: Extent | None = None,
        counts: Counts | None = None,
        isolated_energies: dict[str, list[float]] | None = None,
        sample: Sample | None = None,
        data_hash: int | None = None,
    ) -> None:
        self.descriptors = descriptors
        self._sums = sums
        self._reference = reference
        self.n_structures = n_structures
        self._extent = extent
        self._counts = counts
        self.isolated_energies = isolated_energies
        self.sample = sample
        self.data_hash = data_hash

    def __repr__(self) -> str:
        size = f"{len(self.terms)} terms, {self.n_structures} structures"
        return f"<NormalEquations {'-'.join(self.species)}: {size}>"

    def _repr_html_(self) -> str:
        rows = [("species", ", ".join(self.species)), ("terms", f"{len(self.terms):,}")]
        rows += [("structures", f"{self.n_structures:,}")]
        rows += [(f"{target} rows", f"{n:,}") for target, n in self.n_rows.items()]
        return table("NormalEquations", rows)

    @property
    def terms(self) -> tuple[Term, ...]:
        """tuple of Term: the columns."""
        return tuple(self.descriptors.terms_)

    @property
    def species(self) -> tuple[str, ...]:
        """tuple of str: chemical symbols."""
        return self.descriptors.species_

    @property
    def absent_species(self) -> tuple[str, ...]:
        """tuple of str: chemical symbols that no structure holds; none where an old file does not say."""
        if self._counts is None:
            return ()
        counts = self._counts.atoms.sum(axis=0).tolist()
        return tuple(symbol for symbol, count in zip(self.species, counts, strict=True) if count == 0)

    @property
    def n_rows(self) -> dict[str, int]:
        """dict: number of rows by target ("energy", "force", "virial")."""
        return {target: self._sums[target].n_rows for target in TARGETS}

    @property
    def weight_sums(self) -> dict[str, float]:
        """dict: sum of the sample weights of the rows by target."""
        return {target: self._sums[target].weight for target in TARGETS}

    @property
    def shortest_distances(self) -> dict[tuple[str, str], float] | None:
        """dict of (str, str) to float, or None: shortest distance of each pair of species in Angstrom.

        Symbols are sorted, structures without weight do not count, and the distance is infinite where the
        pair never comes within the cutoff. ``-`` does not change it. None in files of older versions.
        """
        return None if self._extent is None else self._extent.shortest_distances(self.species)

    @property
    def largest_densities(self) -> dict[str, float] | None:
        """dict of str to float, or None: largest density around an atom of each species.

        The density is the sum over neighbors of (1 - r^2 / `density_range`^2)^3. What `shortest_distances`
        says of weights, ``-`` and files holds here too.
        """
        return None if self._extent is None else self._extent.largest_densities(self.species)

    @property
    def density_range(self) -> float:
        """float: distance in Angstrom up to which neighbors count for `largest_densities`."""
        return density_range(max(term.cutoff for term in self.terms))

    @classmethod
    def from_structures(
        cls,
        X: Iterable[Atoms],
        descriptors: PLIPDescriptors | str | None,
        y: ArrayLike | None = None,
        forces: Sequence[ArrayLike | None] | None = None,
        stress: ArrayLike | Sequence[ArrayLike | None] | None = None,
        sample_weight: ArrayLike | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        memory: joblib.Memory | StrPath | None = None,
        targets: Sequence[str] = TARGETS,
    ) -> NormalEquations:
        """Accumulate the normal equations of labeled structures.

        Parameters
        ----------
        X : iterable of ase.Atoms
            Structures. A generator is read in batches and never held as a whole; its labels must be attached
            to the Atoms.
        descriptors : PLIPDescriptors, name of a preset or None
            Fitted descriptors are used as they are; a clone of others is fitted. None means
            ``PLIPDescriptors()``.
        y : array_like of float64, shape (n_structures,), or None
            Total energies in eV; None takes the attached ones.
        forces : sequence of array_like, shapes (n_atoms, 3), or None
            Forces in eV/Angstrom; None takes the attached ones.
        stress : array_like, shape (n_structures, 6), or None
            Stress in eV/Angstrom^3, ASE's Voigt order and sign; None takes the attached ones.
        sample_weight : array_like, shape (n_structures,) or (n_structures, 3), or None
            Weight of each structure, which multiplies its squared residuals; three columns are the weights of
            its energy, forces and stress.
        n_jobs : int or None, default=None
            Number of joblib workers. The result is the same to the last bit for any number.
        verbose : int, default=0
            Whether to show a progress bar.
        memory : joblib.Memory, str, path-like or None
            Where to keep the rows of each structure for later fits; None keeps nothing.
        targets : sequence of {"energy", "force", "virial"}
            Targets to accumulate, among those that have labels.

        Returns
        -------
        NormalEquations

        Raises
        ------
        TypeError, ValueError
            If a structure or label is not valid; the message names its index.

        Examples
        --------
        >>> NormalEquations.from_structures(train[2::4], model.descriptors_).n_structures
        42
        """
        check_n_jobs(n_jobs)
        descriptors = as_descriptors(descriptors)
        labels = (y, forces, stress, sample_weight)
        reading = {"targets": targets}
        return cls._accumulate(X, descriptors, labels, reading, verbose=verbose, memory=memory, n_jobs=n_jobs)

    @classmethod
    def from_files(
        cls,
        paths: Sequence[StrPath],
        descriptors: PLIPDescriptors | str | None,
        n_jobs: int | None = None,
        verbose: int = 0,
        memory: joblib.Memory | StrPath | None = None,
        targets: Sequence[str] = TARGETS,
        prepare: Callable[[Atoms], Any] | None = None,
        sample_weight: Callable[[Atoms], ArrayLike] | None = None,
    ) -> NormalEquations:
        """Accumulate the normal equations of labeled structures in files, which the workers read.

        The result is that of `from_structures` with all the structures, to the last bit. At no time does a
        process hold more than a few chunks of them. One difference follows from that: attached labels of
        exactly zero that cannot be true are left out even if there is only one of them.

        Parameters
        ----------
        paths : sequence of str or path-like
            Files that ASE reads; ``file@slice`` is a part of one. Workers, who must see the files, read
            extended XYZ; other formats, and what is compressed, are read here, one file or 500 frames of a
            trajectory at a time.
        descriptors : PLIPDescriptors, name of a preset or None
            Fitted descriptors are used as they are. A clone of others is fitted to the first 512 structures,
            as for a generator: fit them yourself if these lack species or surroundings.
        n_jobs, verbose, memory, targets
            As in `from_structures`.
        prepare : callable or None
            Is called with each structure that was read, for instance to attach labels that have other names.
            For workers in other processes it must be a function of a module.
        sample_weight : callable or None
            Is called in the same way, and returns the weight of a structure, or the three weights of its
            energy, forces and stress; None is 1.

        Returns
        -------
        NormalEquations

        Raises
        ------
        TypeError, ValueError
            If a structure or label is not valid; the message names its file and its index there.

        Examples
        --------
        >>> from ase.io import write
        >>> write("train.xyz", train)
        >>> NormalEquations.from_files(["train.xyz"], model.descriptors_).n_structures
        167
        """
        check_n_jobs(n_jobs)
        if isinstance(paths, (str, os.PathLike)):
            raise TypeError(f"paths must be a list of file names, got {paths!r}: pass [{paths!r}]")
        fitted = as_descriptors(descriptors)
        files = FileSequence(paths, Treatment(prepare, sample_weight))
        with files.located(), tqdm(desc="structures", unit="", disable=not verbose) as bar:
            head, fitted = read_head(files, fitted, targets)
            accumulator = new_accumulator(head, fitted, bar, memory=memory, n_jobs=n_jobs)
            reading = {**fitted._limits(is_fitted=True), "targets": targets}
            found = cls(*accumulator.finish(itertools.chain([head], files.pieces(reading))))
        if not any(found.n_rows.values()):
            raise no_labels(head.structures[0], targets)
        return found

    @classmethod
    def _accumulate(
        cls,
        X: Iterable[Atoms],
        descriptors: PLIPDescriptors,
        labels: tuple[Any, ...],
        reading: dict[str, Any],
        inspect: Callable[[LabelledStructures, PLIPDescriptors], None] | None = None,
        verbose: int = 0,
        **options: Any,
    ) -> NormalEquations:
        """As `from_structures`.

        `labels` are y, forces, stress and sample_weight, `reading` further options of `read_labels`.
        `inspect` is called with each batch (a list is one) and the fitted descriptors before its work.
        """
        is_stream = isinstance(X, Iterator)
        if is_stream and any(values is not None for values in labels):
            raise TypeError(
                "X is a generator, so labels must be attached to its Atoms: "
                "leave y, forces, stress and sample_weight out, or pass a list"
            )
        accumulator: Accumulator | None = None
        # A generator has no length, so its structures are counted.
        total = None if is_stream or not isinstance(X, Sized) else len(X)
        with tqdm(total=total, desc="structures", disable=not verbose) as bar:
            try:
                for data, fitted in read_batches(X, descriptors, labels, reading):
                    if inspect is not None:
                        inspect(data, fitted)
                    if accumulator is None:
                        accumulator = new_accumulator(data, fitted, bar, **options)
                    if is_stream:
                        accumulator.add(data)
            except BaseException:
                if accumulator is not None:
                    accumulator.stop()
                raise
            assert accumulator is not None  # read_batches refuses data without structures
            return cls(*accumulator.finish(() if is_stream else [data]))

    def __add__(self, other: NormalEquations) -> NormalEquations:
        return self._combined(other, 1)._merged() if isinstance(other, NormalEquations) else NotImplemented

    def __radd__(self, other: int) -> NormalEquations:
        # The built-in sum starts from 0.
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __sub__(self, other: NormalEquations) -> NormalEquations:
        if not isinstance(other, NormalEquations):
            return NotImplemented
        rest = self._combined(other, -1)._merged()
        for target, n_rows in rest.n_rows.items():
            if n_rows and not are_products(rest._sums[target].products):
                raise ValueError(f"the {target} rows to take out are not among those that were added")
        return rest

    def _combined(self, other: NormalEquations, sign: int) -> NormalEquations:
        """As ``+`` (sign 1) and ``-`` (sign -1), with the memory of both until they are `_merged`."""
        if self.terms != other.terms or self.species != other.species:
            raise ValueError("these normal equations have different terms: use the same fitted descriptors")
        # Data without energies have no reference.
        reference = self._reference if self.n_rows["energy"] else other._reference
        rebased = other._rebased(reference)
        sums = {target: self._sums[target].combined(rebased[target], sign) for target in TARGETS}
        if any(part.n_rows < 0 for part in sums.values()):
            raise ValueError("cannot take out more rows than there are")
        extent, sample = self._extent, self.sample
        if sign > 0:
            extent = _of_both(extent, other._extent, Extent.merged)
            sample = _of_both(sample, other.sample, Sample.merged)
        combine = operator.add if sign > 0 else _removed
        return NormalEquations(
            self.descriptors,
            sums,
            reference,
            self.n_structures + sign * other.n_structures,
            extent,
            _of_both(self._counts, other._counts, lambda a, b: a.combined(b, sign)),
            _of_both(
                self.isolated_energies,
                other.isolated_energies,
                lambda a, b: {symbol: combine(energies, b[symbol]) for symbol, energies in a.items()},
            ),
            sample,
            _of_both(self.data_hash, other.data_hash, lambda a, b: (a + sign * b) % HASHES),
        )

    def _merged(self) -> NormalEquations:
        """The same with memory of its own."""
        self._sums = {target: sums.merged() for target, sums in self._sums.items()}
        return self

    def _stow(self, file: IO[bytes]) -> None:
        """Move the sums to a file, from which they are read whenever they are needed."""
        for sums in self._sums.values():
            sums.stow(file)

    @single_blas_thread()
    def _rebased(self, reference: FloatArray) -> dict[str, Sums]:
        """The sums, with other reference energies taken off the energies."""
        change = self._reference - reference
        if not change.any():
            return self._sums
        return {**self._sums, "energy": self._sums["energy"].shifted(len(self.terms), change)}

    @single_blas_thread()
    def problem(
        self,
        energy_weight: float = 40.0,
        force_weight: float = 1.0,
        stress_weight: float = 5.0,
        reference_energies: Mapping[str, float] | None = None,
        contribution_penalty: float | Callable[[LinearProblem], float] = 0.0,
    ) -> LinearProblem:
        """The weighted least-squares problem, with reference energies projected out or fixed.

        Parameters
        ----------
        energy_weight, force_weight, stress_weight : float, default=40.0, 1.0, 5.0
            Factors of the rows: energy per atom (eV), force components (eV/Angstrom),
            virial per atom (eV).
        reference_energies : dict or None
            eV by chemical symbol, to take off the energies. None fits them: the composition is projected out.
        contribution_penalty : float or callable
            Strength mu, or what finds it from the problem without it, of a penalty on what each term
            contributes to the energy per atom,

                mu f / 2 sum_n x_n^2 w_n^2,

            x_n is the root mean square of X_n / N over the data, not centered: large terms that cancel each
            other cost much. f is the ratio of the weighted to the unweighted sum of squares of the
            labels (composition projected out), so that mu does not depend on the unit of the weights. In
            nearly perfect crystals, where columns hardly vary, x_n is reduced.

        Returns
        -------
        LinearProblem

        Examples
        --------
        >>> both.problem(energy_weight=60.0).gram.shape == (len(both.terms), len(both.terms))
        True
        """
        weights = dict(zip(TARGETS, (energy_weight, force_weight, stress_weight), strict=True))
        used = [target for target in TARGETS if weights[target] > 0 and self._sums[target].weight > 0]
        if not used:
            raise ValueError("no target has both rows and a positive weight: give labels or weights")
        all_sums = self._sums
        if reference_energies is not None:
            all_sums = self._rebased(self._by_species(reference_energies))
        n_terms = len(self.terms)

        products = np.zeros((n_terms + len(self.species) + 1,) * 2)
        for target in used:
            all_sums[target].add_to(products, weights[target] ** 2)
        if reference_energies is not None:  # Nothing is left to project out.
            products[n_terms:-1] = 0.0
            products[-1, n_terms:-1] = 0.0
        weight_sum = sum(self._sums[target].weight for target in used)
        if self._counts is None or self._extent is None:
            return linear_problem(products, n_terms, weight_sum)
        share = {target: weights[target] ** 2 * self._sums[target].weight / weight_sum for target in used}
        n_rows = sum(self._sums[target].n_rows for target in used)
        sizes, seen = self._sizes(self._counts, self._extent, share)
        weighted_seen = np.sqrt(sum(share.values())) * seen
        problem = linear_problem(products, n_terms, weight_sum, sizes, weighted_seen, n_rows)
        kept = problem.scales > 0
        if callable(contribution_penalty):
            contribution_penalty = contribution_penalty(problem)
        if contribution_penalty == 0 or problem.target_square == 0 or not kept.any():
            return problem
        # In nearly perfect crystals the columns hardly vary, however large they are.
        varied = np.median(problem.scales[kept] / np.maximum(weighted_seen[kept], np.finfo(np.float64).tiny))
        seen = seen * min(varied / _LEAST_VARIED, 1.0)
        labels = np.add.reduce([all_sums[target].rows(n_terms)[:, n_terms:] for target in used])
        if reference_energies is not None:
            labels[:-1] = labels[:, :-1] = 0.0
        factor = problem.target_square / linear_problem(labels, 0, weight_sum).target_square
        return replace(problem, ridge=problem.ridge + contribution_penalty * factor * seen**2)

    def _sizes(
        self, counts: Counts, extent: Extent, share: Mapping[str, float]
    ) -> tuple[FloatArray, FloatArray]:
        """Natural sizes of the columns in weighted rows, and root mean squares of their values per atom."""
        cutoff = max(term.cutoff for term in self.terms)
        targets = [TARGETS.index(target) for target in share]
        energy, force, seen = natural_sizes(
            self.terms, self.species, cutoff, counts, extent.shortest, targets
        )
        of_target = {"energy": energy, "force": force, "virial": np.maximum(energy, force)}
        sizes = np.sqrt(sum(share[target] * of_target[target] ** 2 for target in share))
        return sizes, seen

    def _by_species(self, energies: Mapping[str, float]) -> FloatArray:
        return np.array([energies[symbol] for symbol in self.species], np.float64)

    def reference_energies(self, coef: ArrayLike) -> dict[str, float]:
        """Fitted reference energies of the species that belong to some coefficients.

        Parameters
        ----------
        coef : array_like of float64, shape (n_terms,)
            Coefficients.

        Returns
        -------
        dict
            eV by chemical symbol: those of least norm where compositions do not tell species apart, and 0
            without energies.
        """
        energies = self.references(np.asarray(coef, np.float64)[None, :])[0]
        return dict(zip(self.species, energies.tolist(), strict=True))

    @single_blas_thread()
    def references(
        self, coefs: FloatArray, reference_energies: Mapping[str, float] | None = None
    ) -> FloatArray:
        """Reference energies of several models.

        Parameters
        ----------
        coefs : ndarray of float64, shape (m, n_terms)
        reference_energies : dict or None
            As in `problem`; if given, those of every model.

        Returns
        -------
        ndarray of float64, shape (m, n_species)
            As in `reference_energies`.
        """
        if reference_energies is not None:
            return np.tile(self._by_species(reference_energies), (len(coefs), 1))
        if not self._sums["energy"].n_rows:
            return np.zeros((len(coefs), len(self.species)))
        n_terms = len(self.terms)
        rows = self._sums["energy"].rows(n_terms)[:-1]
        composition = rows[:, n_terms:-1]
        inverse = pseudo_inverse(composition)
        change = (rows[:, -1] - coefs @ rows[:, :n_terms].T) @ inverse
        # Drop the part of the reference that the data cannot tell.
        return inverse @ composition @ self._reference + change

    @single_blas_thread()
    def mean_squares(self, coefs: FloatArray, references: FloatArray) -> dict[str, FloatArray]:
        """Weighted mean square errors of several models on these data.

        They follow from rows that were kept, or their triangular factor, without loss of digits. There are
        products alone of data from which others were taken out, in archives of older versions, and, for more
        than 100 columns, of more forces than columns and of more than twice as many energies or stresses.

        Parameters
        ----------
        coefs : ndarray of float64, shape (m, n_terms)
        references : ndarray of float64, shape (m, n_species)
            Reference energies in eV.

        Returns
        -------
        dict of ndarray of float64, shape (m,)
            For each target that has rows: (eV/atom)^2, (eV/Angstrom)^2, (eV/atom)^2.

        Warns
        -----
        UserWarning
            Errors that follow from products alone are known to less than 1e-6 of their size, because they are
            below 1e-5 of the terms.
        """
        model = np.column_stack([coefs, references - self._reference, np.full(len(coefs), -1.0)])
        found = {}
        for target in TARGETS:
            sums = self._sums[target]
            if sums.weight > 0:
                squares = sums.squares(model)
                found[target] = squares / sums.weight
                if sums.are_rounding(model, squares).any():
                    warn(
                        f"{target} errors of some models are so small beside their terms, which cancel each "
                        "other, that these sums give few digits of them: compute them from the potential "
                        "(plip.metrics.Evaluation)",
                    )
        return found

    def mean_cancellation(self, coefs: FloatArray) -> FloatArray:
        """Cancellation in the mean structure: ``sum_n |w_n x_n| / |sum_n w_n x_n|`` of several models.

        Parameters
        ----------
        coefs : ndarray of float64, shape (m, n_terms)

        Returns
        -------
        ndarray of float64, shape (m,)
            x_n is the mean of X_n / N over the structures with energies. NaN without energies, and for models
            without terms. `plip.metrics.cancellation` gives it for each structure.
        """
        n_terms = len(self.terms)
        means = self._sums["energy"].rows(n_terms)[:-1, :n_terms].sum(axis=0)
        parts = coefs * means
        sums = np.abs(parts.sum(axis=1))
        return np.divide(np.abs(parts).sum(axis=1), sums, out=np.full(len(sums), np.nan), where=sums > 0)

    def null_mean_squares(self) -> dict[str, float]:
        """Mean squares without any term: about the reference by composition, or about zero.

        That of energies is exactly zero where they follow the composition alone, and that of forces where
        they are rounding.
        """
        nothing = np.zeros((1, len(self.terms)))
        found = {
            target: value[0] for target, value in self.mean_squares(nothing, self.references(nothing)).items()
        }
        # Of such energies the reference leaves rounding, some 1e-15 of their size.
        if found.get("energy", 1.0) <= (1e-12 * np.abs(self._reference).max()) ** 2:
            found["energy"] = 0.0
        # Of forces that symmetry forbids, sums of neighbors leave some 1e-14 eV/A, and files eight digits.
        if found.get("force", 1.0) <= 1e-16:
            found["force"] = 0.0
        return found

    def save(self, path: StrPath) -> None:
        """Write a NumPy archive, whole or not at all.

        Parameters
        ----------
        path : str or path-like
            File name, usually ending in ``.npz``.

        Examples
        --------
        >>> both.save("both.npz")
        """
        write_archive(path, self, self._sums, self._reference, self._extent, self._counts)

    @classmethod
    def load(cls, path: StrPath) -> NormalEquations:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        NormalEquations

        Raises
        ------
        OSError
            If the file cannot be opened.
        ValueError
            If the file holds something else, is damaged, or was written in a newer format.

        Examples
        --------
        >>> NormalEquations.load("both.npz").n_structures == both.n_structures
        True
        """
        return cls(*read_archive(path))


def _of_both(
    first: Known | None, second: Known | None, combine: Callable[[Known, Known], Known]
) -> Known | None:
    """What follows from what both know, or None; files of older versions do not know all."""
    return None if first is None or second is None else combine(first, second)


def _removed(energies: list[float], others: list[float]) -> list[float]:
    rest = list(energies)
    for energy in others:
        if energy in rest:
            rest.remove(energy)
    return rest
