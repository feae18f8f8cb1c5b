"""A fitted potential: evaluate it, look into it, save it."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from plip._core import ANY, Core, NeighborList, TermValues, check_repulsion, check_terms
from plip._design._rows import Design
from plip._files import write_whole
from plip._html import table
from plip._structures._checks import check_structures
from plip._structures._evaluation import check_atoms
from plip._types import FloatArray, Int32Array, StrPath
from plip.interactions import Term
from plip.labels import Labels
from plip.potential import _functions, _tables
from plip.potential._json import (
    check_about,
    check_fit_record,
    contents,
    errors_of_file,
    read_document,
    to_text,
)
from plip.potential._limits import FrozenDict, read_floors, read_forces, read_limits, read_repulsion
from plip.potential._once import Once
from plip.potential._partition import Part, Partition, selected
from plip.potential._prediction import Results, evaluate_arrays, predict_labels
from plip.potential._uncertainty import Uncertainty, read_uncertainty

if TYPE_CHECKING:
    import pandas

    from plip.calculator import PLIPCalculator
    from plip.safety import SafetyReport

__all__ = ["Potential", "load_potential"]


class FittedDescriptors(Protocol):
    """What a potential reads of fitted descriptors."""

    terms_: Sequence[Term]
    species_: Sequence[str]


class Potential:
    """The sum of reference energies and terms, ``E = sum_i e0(Z_i) + sum_n w_n X_n``.

    Parameters
    ----------
    descriptors : PLIPDescriptors
        Fitted descriptors; `terms_` and `species_` are read.
    coef : array_like of float, shape (n_terms,)
        Coefficients w_n; terms whose coefficient is zero are left out.
    intercept : dict of str to float
        Reference energy e0 of each species in eV.
    repulsion : dict of (str, str) to (float, float), or None
        Core repulsion by pair of species: the two distances in Angstrom between which it takes over. Without
        it (None, or a missing pair) the terms alone hold at any distance.
    density_limits : dict of str to (float, float), or None
        By species, the range in Angstrom within which neighbors count for the density around an atom, and
        the largest density (no unit), beyond which the terms fade out. None, or a missing species, means no
        limit.
    energy_floors : dict of str to float, or None
        By species, the least energy of an atom, less its reference energy, in eV; what is below counts as
        little more. None, or a species that is missing: no floor.
    core_forces : dict of (str, str) to float, or None
        By pair of species that has a repulsion, the force in eV/Angstrom with which it begins, that of the
        terms there. Without it (None, or a missing pair) the repulsion is a wall.

    Attributes
    ----------
    species : tuple of str
        Chemical symbols that the potential knows, in alphabetical order.
    terms : list of (Term, float)
        Terms with their coefficients, in the order of the descriptors.
    coef : ndarray of float64, shape (len(terms),)
        The coefficients alone, read-only.
    intercept : dict of str to float
        Reference energies in eV; it cannot be changed.
    repulsion : dict of (str, str) to (float, float), or None
        Sorted pairs of species, and the distances in Angstrom between which the core repulsion takes over.
    density_limits : dict of str to (float, float), or None
        Ranges in Angstrom and limits of the density by species.
    energy_floors : dict of str to float, or None
        Least energies of an atom in eV by species.
    core_forces : dict of (str, str) to float, or None
        Forces in eV/Angstrom with which the core repulsion of sorted pairs of species begins; others have a
        wall.
    cutoff : float
        Distance in Angstrom up to which neighbors matter.
    fit_record : dict or None
        Facts about the fit, as JSON has them: "settings" of the estimator; "data", with sizes, a hash and the
        shortest distances; "errors" by data set; "sizes", the errors of other numbers of terms; "safety",
        what `check_safety` found. Entries may be missing. It is a copy, and no part of the physics.
        None in files of older versions, and for a potential that was made without a fit, until it is checked.
    about : dict or None
        Who made the potential and on what terms others may use it: "authors", a list of names, "license" and
        "citation", texts. Entries may be missing. It is a copy.
    uncertainty : Uncertainty or None
        What standard deviations and extrapolation grades need, no part of the physics; None without a
        calibration.
    table_error : float
        Estimated bound of the error of a pair force from radial tables, eV/Angstrom. It holds where
        neighbors are no closer than in matter, about 1.5 Angstrom. Where they are closer and radial
        functions grow, errors grow with the forces, up to 1e-10 of the largest. Where terms make forces
        beyond 1e4 eV/Angstrom, no tables are used, and only rounding is left.

    Raises
    ------
    ValueError
        If lengths do not match, a number is not finite or out of range, or a species has no reference energy.

    Notes
    -----
    Outside the data the energy is no longer the sum of terms. The outer of the two distances of a pair is a
    little below the shortest in the training data. For a closer pair, radial functions keep the value that
    they have near that distance and fade out toward the inner one. A force takes their place, `core_forces`
    or that of a wall, and further in the screened repulsion of the nuclei (Ziegler, Biersack & Littmark, The
    Stopping and Range of Ions in Solids (1985)). Where
    the density n = sum over neighbors of (1 - r^2/range^2)^3 around an atom exceeds its limit, the binding
    terms fade out and a repulsion 150 eV log(n / limit)^2.65 takes over. Binding also ends where neighbors
    are far closer than in the data. An atom whose energy is below its floor, a little below the least in the
    data, gains hardly more, 0.5 eV at most. All this is smooth to second derivatives, and changes no bit
    within the data. `doc/model.rst` has the equations.

    Radial functions are evaluated by splines of degree seven on a grid that is refined until the error of a
    pair force is about 1e-9 eV/Angstrom, and exactly where no spline is that good. Forces
    and stress are the exact derivatives of the returned energy.

    A potential cannot be changed, so that its energies agree with the file that it saves; a
    copy is the potential itself. Its record alone grows, by what `check_safety` finds.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> potential = model.potential_
    >>> potential.species, len(potential.terms)
    (('C', 'Si'), 20)
    >>> term, coefficient = potential.terms[0]
    >>> term.interaction
    'two-body'
    """

    __slots__ = (
        "__weakref__",
        "_about_text",
        "_coef",
        "_core_forces",
        "_core_once",
        "_density_limits",
        "_design_once",
        "_energy_floors",
        "_fit_text",
        "_partitions",
        "_reference",
        "_repulsion",
        "_species",
        "_term_values_once",
        "_terms",
        "_uncertainty",
    )

    def __init__(
        self,
        descriptors: FittedDescriptors,
        coef: ArrayLike,
        intercept: Mapping[str, float],
        repulsion: Mapping[tuple[str, str], tuple[float, float]] | None = None,
        density_limits: Mapping[str, tuple[float, float]] | None = None,
        energy_floors: Mapping[str, float] | None = None,
        core_forces: Mapping[tuple[str, str], float] | None = None,
    ) -> None:
        coef = np.asarray(coef, dtype=np.float64)
        if not hasattr(descriptors, "terms_"):
            raise ValueError("the descriptors are not fitted: call their fit with structures first")
        terms = list(descriptors.terms_)
        if coef.shape != (len(terms),):
            raise ValueError(
                f"coef must have one value for each of {len(terms)} terms, got an array of shape {coef.shape}"
            )
        kept = np.flatnonzero(coef)
        self._assign(
            descriptors.species_,
            [terms[n] for n in kept],
            coef[kept],
            intercept,
            repulsion,
            density_limits,
            energy_floors,
            core_forces,
        )

    @staticmethod
    def _of_state(**state: Any) -> Potential:
        """The potential of what `__getstate__` gives, or of a part of it."""
        made = Potential.__new__(Potential)
        made._assign(**state)
        return made

    def _assign(
        self,
        species: Iterable[str],
        terms: Sequence[Term],
        coef: ArrayLike,
        intercept: Mapping[str, float],
        repulsion: Mapping[tuple[str, str], tuple[float, float]] | None = None,
        density_limits: Mapping[str, tuple[float, float]] | None = None,
        energy_floors: Mapping[str, float] | None = None,
        core_forces: Mapping[tuple[str, str], float] | None = None,
        fit_record: Mapping[str, Any] | None = None,
        uncertainty: Uncertainty | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        species = tuple(species)
        reference = _checked_reference(species, terms, intercept)
        if not np.isfinite(coef).all() or not np.isfinite(reference).all():
            raise ValueError("coefficients and reference energies must be finite")
        # An array over bytes can never be made writeable.
        self._coef = np.frombuffer(np.asarray(coef, dtype=np.float64).tobytes())
        self._species = species
        self._reference = reference
        self._repulsion = read_repulsion(repulsion, species)
        self._density_limits = read_limits(density_limits, species)
        self._energy_floors = read_floors(energy_floors, species)
        self._core_forces = read_forces(core_forces, self._repulsion)
        limits = self._density_limits, self._energy_floors, self._core_forces
        check_repulsion(species, self._repulsion, *limits)
        self._terms = tuple(terms)
        # Text cannot be changed, whatever is nested in it.
        self._fit_text = None if fit_record is None else json.dumps(check_fit_record(fit_record))
        self._about_text = json.dumps(check_about(about))
        if uncertainty is not None and uncertainty.n_terms != len(self._terms):
            raise ValueError("uncertainty belongs to a potential with another number of terms")
        self._uncertainty = uncertainty
        self._core_once = Once(
            functools.partial(
                Core,
                species,
                self.terms,
                np.array(reference),
                repulsion=self._repulsion,
                density_limits=self._density_limits,
                energy_floors=self._energy_floors,
                core_forces=self._core_forces,
            )
        )
        self._design_once = Once(functools.partial(Design, self._terms, species))
        self._term_values_once = Once(functools.partial(TermValues, species, self._terms))
        self._partitions: dict[str, Partition] = {}

    @property
    def species(self) -> tuple[str, ...]:
        return self._species

    @property
    def coef(self) -> FloatArray:
        return self._coef

    @property
    def intercept(self) -> dict[str, float]:
        return FrozenDict(zip(self._species, self._reference, strict=True))

    @property
    def repulsion(self) -> dict[tuple[str, str], tuple[float, float]] | None:
        return self._repulsion

    @property
    def density_limits(self) -> dict[str, tuple[float, float]] | None:
        return self._density_limits

    @property
    def energy_floors(self) -> dict[str, float] | None:
        return self._energy_floors

    @property
    def core_forces(self) -> dict[tuple[str, str], float] | None:
        return self._core_forces

    @property
    def fit_record(self) -> dict[str, Any] | None:
        return None if self._fit_text is None else json.loads(self._fit_text)

    @property
    def about(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = json.loads(self._about_text)
        return found

    @property
    def uncertainty(self) -> Uncertainty | None:
        return self._uncertainty

    @property
    def terms(self) -> list[tuple[Term, float]]:
        return list(zip(self._terms, self._coef.tolist(), strict=True))

    @property
    def cutoff(self) -> float:
        lengths = [term.cutoff for term in self._terms]
        lengths += [outer for _, outer in (self.repulsion or {}).values()]
        lengths += [reach for reach, _ in (self.density_limits or {}).values()]
        # Without terms any length will do for the search for neighbors.
        return max(lengths, default=1.0)

    @property
    def table_error(self) -> float:
        return self._core.table_error

    @property
    def _core(self) -> Core:
        """The potential as the C core has it."""
        return self._core_once()

    @property
    def _term_values(self) -> TermValues:
        """The terms as the C core has them, each a value of its own."""
        return self._term_values_once()

    def _uncertain_results(
        self,
        atoms: Atoms,
        neighbors: NeighborList,
        positions: FloatArray,
        cell: FloatArray,
        species: Int32Array,
    ) -> tuple[float, FloatArray, FloatArray]:
        """The last three results of `evaluate`, of a checked structure and its pairs."""
        known = self.check_uncertainty()
        shares = self._term_values.values(neighbors, positions, cell, species)
        deviations = known.deviations(self._design_once(), atoms, species, shares)
        return *deviations, self._grades(neighbors, positions, cell, species)

    def _grades(
        self, neighbors: NeighborList, positions: FloatArray, cell: FloatArray, species: Int32Array
    ) -> FloatArray:
        """The extrapolation grades alone."""
        extent = self.check_uncertainty().extent(self._species)
        return self._term_values.extrapolation(neighbors, positions, cell, species, *extent)

    def __repr__(self) -> str:
        size = f"{len(self._terms)} terms, cutoff {self.cutoff:g} Angstrom"
        return f"<Potential {'-'.join(self.species)}: {size}>"

    def _repr_html_(self) -> str:
        energies = ", ".join(f"{symbol} {energy:.6g}" for symbol, energy in self.intercept.items())
        title = f"Potential {'-'.join(self.species)}: cutoff {self.cutoff:g} Å, reference (eV): {energies}"
        rows = [(f"{coefficient:.6g}", term.interaction, term.formula()) for term, coefficient in self.terms]
        return table(title, rows, ("coefficient", "interaction", "formula"))

    def __getstate__(self) -> dict[str, Any]:
        return {
            "species": self._species,
            "terms": self._terms,
            "coef": self._coef,
            "intercept": dict(self.intercept),
            "repulsion": self._repulsion,
            "density_limits": self._density_limits,
            "energy_floors": self._energy_floors,
            "core_forces": self._core_forces,
            "fit_record": self.fit_record,
            "uncertainty": self._uncertainty,
            "about": self.about,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._assign(**state)

    def __copy__(self) -> Potential:
        return self

    def __deepcopy__(self, memo: object) -> Potential:
        return self

    def with_fit_record(self, record: Mapping[str, Any] | None) -> Potential:
        """The same potential with other facts about its fit.

        Parameters
        ----------
        record : mapping or None
            As `fit_record`: names and values that JSON knows; numbers are finite.

        Returns
        -------
        Potential

        Raises
        ------
        ValueError
            If JSON cannot hold the record.
        """
        return self._with(fit_record=record)

    def with_about(self, about: Mapping[str, Any] | None) -> Potential:
        """The same potential with other authors, license and citation.

        Parameters
        ----------
        about : mapping or None
            As `about`: some of "authors", a list of names, "license", best a SPDX identifier such as
            "CC-BY-4.0", and "citation".

        Returns
        -------
        Potential

        Raises
        ------
        ValueError
            If it has other entries, or these are not texts.
        """
        return self._with(about=about)

    def with_uncertainty(self, uncertainty: Uncertainty | None) -> Potential:
        """The same potential with another record of its errors, or without one.

        Parameters
        ----------
        uncertainty : Uncertainty or None
            As `uncertainty`, of a potential with the same terms.

        Returns
        -------
        Potential

        Raises
        ------
        ValueError
            If it belongs to another number of terms.
        """
        return self._with(uncertainty=uncertainty)

    def _with(self, **changed: Any) -> Potential:
        """The same potential with another record, which changes nothing that was made of its terms."""
        made = Potential._of_state(**{**self.__getstate__(), **changed})
        made._core_once, made._design_once = self._core_once, self._design_once
        made._term_values_once = self._term_values_once
        return made

    def evaluate(
        self, atoms: Atoms, forces: bool = True, stress: bool = True, uncertainty: bool = False
    ) -> Results:
        """Energy and its derivatives in one pass.

        Parameters
        ----------
        atoms : ase.Atoms
            Structure; it is not changed, and its calculator and constraints do not matter.
        forces, stress : bool, default=True
            Whether to compute forces and stress.
        uncertainty : bool, default=False
            Whether to say how uncertain the results are, by what `uncertainty` holds.

        Returns
        -------
        dict
            "energy": float, eV; "energies": (n_atoms,) float64, eV; "forces": (n_atoms, 3) float64,
            eV/Angstrom; "stress": (6,) float64, eV/Angstrom^3, order xx yy zz yz xz xy, tension positive,
            NaN without three independent cell vectors. With `uncertainty` also the standard deviations
            "energy_std", float, eV, and "forces_std", (n_atoms, 3) float64, eV/Angstrom, and "extrapolation",
            (n_atoms,) float64: how far the surroundings of an atom are from those of the fit, at most 1 for
            the atoms that were fitted. `doc/uncertainty.rst` has the equations.

        Raises
        ------
        TypeError
            If `atoms` is not an Atoms.
        ValueError
            If it has an unknown species, positions or a cell that are not finite, a periodic
            direction without a cell vector, or two atoms closer than 1e-3 Angstrom; also if `uncertainty` is
            asked for and the potential has none.

        Examples
        --------
        >>> found = potential.evaluate(test[0], uncertainty=True)
        >>> sorted(found)
        ['energies', 'energy', 'energy_std', 'extrapolation', 'forces', 'forces_std', 'stress']
        >>> found["forces"].shape
        (8, 3)
        """
        arrays = check_atoms(self.species, atoms)
        if uncertainty:
            self.check_uncertainty()
        return evaluate_arrays(self, atoms, arrays, forces, stress, uncertainty)

    def check_uncertainty(self) -> Uncertainty:
        """What the potential knows of its errors; without it a ValueError that says what to do."""
        if self._uncertainty is None:
            raise ValueError(
                "this potential does not know how uncertain it is: fit it to structures, and save it with "
                "save(path, uncertainty=True); after a fit to normal equations, partial_fit or a generator, "
                "call the calibrate method of the model with all structures"
            )
        return self._uncertainty

    def predict(
        self, X: Iterable[Atoms], n_jobs: int | None = None, forces: bool = True, stress: bool = True
    ) -> Labels:
        """Energies, forces and stresses of many structures.

        Parameters
        ----------
        X : sequence of n ase.Atoms
            Structures; they are checked before any is evaluated.
        n_jobs : int or None, default=None
            Number of joblib workers. The result is the same to the last bit for any number.
        forces, stress : bool, default=True
            Whether to compute forces and stresses.

        Returns
        -------
        plip.labels.Labels
            `energy`, (n,) float64, eV; `forces`, a list of (n_atoms, 3) float64, eV/Angstrom, or None;
            `stress`, (n, 6) float64, eV/Angstrom^3, or None, a row of NaN without three independent cell
            vectors; every `sample_weight` is 1.

        Raises
        ------
        TypeError, ValueError
            If a structure or `n_jobs` is not valid; the message names the structure.

        Examples
        --------
        >>> labels = potential.predict(test)
        >>> labels.energy.shape, labels.stress.shape
        ((27,), (27, 6))
        """
        structures = check_structures(X, species=self.species, cutoff=self.cutoff)
        return predict_labels(self, structures, n_jobs, forces, stress)

    def energy(self, atoms: Atoms) -> float:
        """Total energy in eV; see `evaluate`.

        Examples
        --------
        >>> bool(abs(potential.energy(test[0]) - test[0].get_potential_energy()) < 1.0)
        True
        """
        return self.evaluate(atoms, forces=False, stress=False)["energy"]

    def forces(self, atoms: Atoms) -> FloatArray:
        """Forces in eV/Angstrom, (n_atoms, 3) float64; see `evaluate`.

        Examples
        --------
        >>> potential.forces(test[0]).shape
        (8, 3)
        """
        return self.evaluate(atoms, stress=False)["forces"]

    def stress(self, atoms: Atoms) -> FloatArray:
        """Stress in eV/Angstrom^3, (6,) float64, ASE's order and sign; see `evaluate`.

        Examples
        --------
        >>> potential.stress(test[0]).shape
        (6,)
        """
        return self.evaluate(atoms, forces=False)["stress"]

    def partition(self, atoms: Atoms, by: str = "interaction") -> dict[str, Part]:
        """What each part of the potential adds to the energy and the forces of a structure.

        Parameters
        ----------
        atoms : ase.Atoms
            As in `evaluate`.
        by : {"interaction", "species", "term"}, default="interaction"
            What labels the parts: the interaction (``"two-body"``), the species of the term (``"Si-O"``;
            center first, as in `Term.species`; ``*`` is any species), or the name of the term.

        Returns
        -------
        dict of str to dict
            By label "energy": float, eV; "energies": (n_atoms,) float64, eV; "forces": (n_atoms, 3) float64,
            eV/Angstrom. Besides the terms there are always "reference", the reference energies; "repulsion",
            the core repulsion; and "limits", what density limits, energy floors and the end of binding
            change, exactly zero within the data. All parts add up to `evaluate`, to rounding.

        Raises
        ------
        TypeError
            If `atoms` is not an Atoms.
        ValueError
            If `by` is not valid, or for a structure that `evaluate` refuses.

        Notes
        -----
        The energy of an atom holds half of its pairs, and the terms of which it is the center. Functions of
        pairs that are closer than in the data fade in each part as they do in the whole.

        Examples
        --------
        >>> parts = potential.partition(test[0])
        >>> sum(part["energy"] for part in parts.values()) - potential.energy(test[0]) < 1e-9
        True
        >>> list(parts)[:2]
        ['reference', 'two-body']
        """
        if not isinstance(by, str) or by not in self._partitions:
            partition = Partition(self, by)
            self._partitions[by] = partition
        return self._partitions[by].evaluate(atoms)

    def select(self, interaction: str | None = None, species: str | Sequence[str] | None = None) -> Potential:
        """A part of the potential as a potential of its own.

        Parameters
        ----------
        interaction : {"two-body", "three-body", "N-body", "four-body"} or None, default=None
            Interaction of the terms; None takes all.
        species : str, sequence of str or None, default=None
            Species of the terms as in `Term.species`, such as ``("Si", "O")`` or ``"Si-O"``; ``*`` stands for
            terms of any species. None takes all.

        Returns
        -------
        Potential
            The chosen terms with reference energies of zero, without density limits and energy floors, which
            belong to the whole. It keeps the core repulsion, since its functions fade with it. Within
            the data it gives what `partition` gives.

        Raises
        ------
        ValueError
            If no term is of this kind.

        Examples
        --------
        >>> {term.interaction for term, _ in potential.select(interaction="two-body").terms}
        {'two-body'}
        """
        terms = selected(self.terms, interaction, species)
        return Potential._of_state(
            species=self._species,
            terms=[term for term, _ in terms],
            coef=[coefficient for _, coefficient in terms],
            intercept=dict.fromkeys(self._species, 0.0),
            repulsion=self._repulsion,
            core_forces=self._core_forces,
        )

    def pair_energy(self, r: ArrayLike, species: Sequence[str]) -> FloatArray:
        """Energy of an isolated pair of atoms less that of its atoms, the first of the many-body expansion.

        Parameters
        ----------
        r : array_like of float
            Distances in Angstrom, from 1e-3 to 1000, of any shape.
        species : (str, str)
            Chemical symbols of both atoms.

        Returns
        -------
        ndarray of float64
            eV, of the shape of `r`. All of the potential counts, N-body terms and core repulsion too,
            whatever basis wrote it.

        Raises
        ------
        ValueError
            If a distance or a species is not valid.

        Examples
        --------
        >>> potential.pair_energy([1.5, 2.0, 6.0], ("C", "Si")).shape
        (3,)
        """
        return _functions.pair_energy(self, r, species)

    def triplet_energy(
        self, r_ij: ArrayLike, r_ik: ArrayLike, angle: ArrayLike, species: Sequence[str]
    ) -> FloatArray:
        """Energy of an isolated triplet of atoms less that of its pairs and atoms.

        Parameters
        ----------
        r_ij, r_ik : array_like of float
            Distances in Angstrom from the center i to j and k, from 1e-3 to 1000.
        angle : array_like of float
            Angle between them in degrees, from 0 to 180. The arrays are broadcast.
        species : (str, str, str)
            Chemical symbols of i, j and k, the center first: i is where the angle is. Terms of all three
            atoms count.

        Returns
        -------
        ndarray of float64
            eV, of the broadcast shape.

        Raises
        ------
        ValueError
            If a distance, an angle or a species is not valid, or j and k coincide.

        Examples
        --------
        >>> potential.triplet_energy(1.9, 1.9, [90.0, 109.5, 120.0], ("Si", "C", "C")).shape
        (3,)
        """
        return _functions.triplet_energy(self, r_ij, r_ik, angle, species)

    def embedding_energy(self, density: ArrayLike, species: str, atoms: Atoms) -> FloatArray:
        """Energy of the N-body terms of an atom, as a function of the density around it.

        Each N-body term is a power of a density, and terms have different densities. The energy is that of an
        atom for which all of them are multiplied by one factor, as more or fewer neighbors do.

        Parameters
        ----------
        density : array_like of float
            Densities relative to those in the structure, of any shape: 1 is the structure, 0 an atom alone.
        species : str
            Chemical symbol of the atom.
        atoms : ase.Atoms
            Structure that is the unit of density, usually a crystal. The mean over its atoms of the species
            is taken.

        Returns
        -------
        ndarray of float64
            eV, of the shape of `density`; 0 for a density of 0.

        Raises
        ------
        TypeError
            If `atoms` is not an Atoms.
        ValueError
            If a density, the species or the structure is not valid.

        Examples
        --------
        >>> potential.embedding_energy([0.5, 1.0, 1.5], "Si", test[0]).shape
        (3,)
        """
        return _functions.embedding_energy(self, density, species, atoms)

    def to_frame(self) -> pandas.DataFrame:
        """The terms as a table.

        Returns
        -------
        pandas.DataFrame
            A row for each term: "coefficient" (eV), "interaction", "species" (the center first, if there is
            one), "radial", "power", "cutoff" (Angstrom), "formula", "name".

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> potential.to_frame().shape[0] == len(potential.terms)
        True
        """
        return _tables.to_frame(self)

    def to_latex(self, digits: int = 4) -> str:
        """The energy as an equation.

        Parameters
        ----------
        digits : int, default=4
            Significant digits of coefficients.

        Returns
        -------
        str
            An ``align*`` environment of the package amsmath with a line for each reference energy (``N`` is a
            number of atoms) and each term; see `Term.latex`. ``\\allowdisplaybreaks`` lets it run over pages.
            It holds within the data: what replaces the terms where the data end is no part of it.

        Raises
        ------
        ValueError
            If `digits` is not from 1 to 17.

        Examples
        --------
        >>> "e^{" in potential.to_latex(digits=3)
        True
        """
        return _tables.to_latex(self, digits)

    def calculator(self, **kwargs: Any) -> PLIPCalculator:
        """An ASE calculator; see `plip.calculator.PLIPCalculator` for the parameters.

        Examples
        --------
        >>> atoms = test[0].copy()
        >>> atoms.calc = potential.calculator()
        >>> atoms.get_forces().shape
        (8, 3)
        """
        from plip.calculator import PLIPCalculator

        return PLIPCalculator(self, **kwargs)

    def check_safety(self, structures: Iterable[Atoms] | None = None) -> SafetyReport:
        """Try situations of simulations: short distances, compression, expansion, hot atoms.

        The result becomes the entry "safety" of `fit_record`, so that `save` keeps it.

        Parameters
        ----------
        structures : iterable of ase.Atoms or None, default=None
            Structures like those to be simulated, usually those of the fit. None tries pairs of atoms and
            compressed simple lattices only.

        Returns
        -------
        plip.safety.SafetyReport
            `is_safe`, `findings`, and the `structures` whose labels mend the potential; printed, it says what
            was tried and what failed.

        Raises
        ------
        TypeError, ValueError
            If `structures` are not valid, or have species that the potential does not know.

        Notes
        -----
        The energy must not fall as atoms come closer than in the data. The check tries two isolated atoms of
        each pair of species, from 0.95 of the distance where repulsion begins, or from half the sum of their
        covalent radii if that is longer, to 0.1 Angstrom; atoms in structures, pushed onto their nearest
        neighbors; and the crystals among the structures, compressed from the least volume of their
        composition to 0.6 of the length. Crystals that are expanded to 1.5 of the length, or taken apart into
        pairs or atoms, must not be 0.5 eV/atom lower, and no atom may gain 1 eV when it leaves the crystal,
        unless the data say so (of helium in a metal, with isolated atoms and the bare metal in `structures`).
        A few hundred steps at 5,000 K, of a crystal, of one with interstitial atoms, of a slab and of each
        molecule, must not fuse atoms and must conserve the energy, at least in steps of a quarter. What they
        lead to must not be 0.1 eV/atom lower than the crystal or the molecule after both are cooled.

        The same input gives the same report. A few hundred small structures take about a second; of a larger
        set, the check takes a sample.

        Examples
        --------
        >>> potential.check_safety(train[::4]).is_safe
        True
        """
        from plip.safety import check_safety

        report = check_safety(self, structures)
        self._fit_text = json.dumps({**(self.fit_record or {}), "safety": report.as_record()})
        return report

    def save(self, path: StrPath, uncertainty: bool = False) -> None:
        """Write the potential as readable JSON, exact to the last bit.

        Parameters
        ----------
        path : str or path-like
            File name. An existing file is replaced in one step; if writing fails, it stays as it was.
        uncertainty : bool, default=False
            Whether the file keeps what standard deviations and extrapolation grades need, in Python and
            LAMMPS: 0.1 to 0.4 MB for a default fit, 1.3 MB for 300 terms.

        Raises
        ------
        ValueError
            If `uncertainty` is asked for and the potential has none.
        OSError
            If the file cannot be written, or `path` exists and is no regular file.

        Examples
        --------
        >>> potential.save("SiC.json")
        """
        if uncertainty:
            self.check_uncertainty()
        with write_whole(path) as file:
            file.write(to_text(self, uncertainty))


def _checked_reference(
    species: tuple[str, ...], terms: Iterable[Term], intercept: Mapping[str, float]
) -> tuple[float, ...]:
    """The reference energies in the order of the species, of which the terms have no others."""
    if set(intercept) != set(species) or len(set(species)) != len(species) or not species:
        raise ValueError(
            f"intercept must give one reference energy for each of the species {', '.join(species)}, "
            f"got {intercept!r}"
        )
    unknown = {symbol for term in terms for symbol in term.species} - {ANY, *species}
    if unknown:
        raise ValueError(f"terms have species without a reference energy: {', '.join(sorted(unknown))}")
    return tuple(float(intercept[symbol]) for symbol in species)


def load_potential(path: StrPath) -> Potential:
    """Read a potential that `Potential.save` has written.

    Parameters
    ----------
    path : str or path-like
        JSON file.

    Returns
    -------
    Potential

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the file is not a potential, is damaged, or has a newer format.

    Warns
    -----
    UserWarning
        If the file says that `Potential.check_safety` has found simulations that fail.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from plip import load_potential
    >>> model.potential_.save("SiC.json")
    >>> load_potential("SiC.json").species
    ('C', 'Si')
    """
    from plip.safety._report import warn_of_findings

    document = read_document(path)
    with errors_of_file(path):
        state = contents(document)
        uncertainty = read_uncertainty(document, len(state["terms"]), state["species"])
        potential = Potential._of_state(**state, uncertainty=uncertainty)
        check_terms(potential.species, potential.terms)
    warn_of_findings(path, (potential.fit_record or {}).get("safety"))
    return potential
