"""PLIPDescriptors: from structures to the energies of the interactions, as a scikit-learn transformer."""

from __future__ import annotations

import json
import math
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

import plip
from plip._core import check_length
from plip._design._rows import Design, StructureDesign
from plip._files import write_whole
from plip._html import DOCUMENTATION
from plip._parameters import Parameters, is_number
from plip._structures._checks import check_neighbors, check_structures, errors_of
from plip._structures._composition import species_of
from plip._types import FloatArray, StrPath
from plip.descriptors._automatic import automatic_cutoff, check_within_reach, shortest_distance
from plip.descriptors._reach import cutoff_of_pairs
from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.interactions._presets import OFFERS, PRESETS, automatic_interactions, blocks_of_offer
from plip.interactions._sharing import Block, are_alike, are_complete, are_metals, sharings_of
from plip.interactions._terms import INTERACTIONS, Term, build_terms
from plip.radial import FAMILIES

__all__ = [
    "FORMAT",
    "VERSION",
    "PLIPDescriptors",
    "as_descriptors",
    "descriptors_from_dict",
    "descriptors_to_dict",
]

# What parameters of descriptors can be, by their names in files.
_CLASSES: dict[str, type[Parameters]] = {
    **FAMILIES,
    **{interaction.__name__: interaction for interaction in INTERACTIONS.values()},
}

# What descriptors have made ready; it is not pickled with them, and no use of them changes their attributes.
_DESIGNS: weakref.WeakKeyDictionary[PLIPDescriptors, Design] = weakref.WeakKeyDictionary()

FORMAT = "plip-descriptors"
# Version of the format that `save` writes.
VERSION = 1


class PLIPDescriptors(TransformerMixin, BaseEstimator):
    """Descriptors of structures: the sum of each term, one column per term.

    A column holds X_n, the interaction summed over the structure, so that the energy is
    ``sum_n w_n X_n`` plus the reference energies of the atoms. The default of estimators,
    ``PLIPDescriptors.preset("accurate")``, offers four-body terms too; ``PLIPDescriptors()`` does not.

    Parameters
    ----------
    cutoff : float or "auto", default="auto"
        Cutoff in Angstrom. "auto" encloses about 33 atoms of any material: in crystals it is twice the cube
        root of the volume per atom, elsewhere the radius with as many neighbors by the cutoff function.
        Empty space does not count; for isolated molecules alone it is 5. It is at least 1.6 times the
        distance of the nearest neighbors of any species. If a fit has curves of isolated pairs, at least
        eight distances with forces, it is where their attraction has fallen to a hundredth of its maximum, if
        that is longer, or where their forces vanish. It is at least the cutoff of any interaction.
    two_body : TwoBody, "auto" or None, default="auto"
        Pair interaction; None leaves it out, "auto" chooses it from the cutoff and the data.
    three_body : ThreeBody, "auto" or None, default="auto"
        Angular interaction.
    n_body : NBody, "auto" or None, default="auto"
        Embedding interaction.
    four_body : FourBody, "auto" or None, default=None
        Interaction of three arms. Each interaction may also be the name of a preset,
        "fast", "balanced", "accurate", "extensive" or "stock"; see `preset`.
    species : sequence of str or None, default=None
        Chemical symbols; None takes those of the structures seen in fit.
    atom_counts : bool, default=False
        Whether `transform` puts the number of atoms of each species in front, one column per species.
    shared : bool or "auto", default="auto"
        Whether there are terms with "*" in their label, which sum over atoms of any species and which alloys
        share. "auto" gives them to interactions that are "auto" or the name of a preset, where all species
        are metals or of similar size (covalent radii within 25 %), or the data lack a combination of them.
        Terms of particular species are offered beside them as far as the data hold every combination; other
        combinations are predicted from what they share. With one species there are none.

    Attributes
    ----------
    cutoff_ : float
        Cutoff in Angstrom: the one given, or the one that "auto" has chosen.
    terms_ : list of Term
        What each column means, in order.
    species_ : tuple of str
        Chemical symbols in alphabetical order.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from plip import PLIPDescriptors
    >>> from plip.interactions import TwoBody
    >>> from plip.radial import Gaussian
    >>> descriptors = PLIPDescriptors(
    ...     two_body=TwoBody(Gaussian(eta=1.0, centers=[2.0, 3.0])), three_body=None, n_body=None
    ... )
    >>> descriptors.fit_transform([bulk("Si"), bulk("Si") * (2, 2, 2)]).shape
    (2, 2)
    """

    # Links of scikit-learn's diagrams.
    _doc_link_module = "plip"
    _doc_link_template = DOCUMENTATION + "api/plip.{estimator_name}.html"

    def __init__(
        self,
        cutoff: float | str = "auto",
        two_body: TwoBody | str | None = "auto",
        three_body: ThreeBody | str | None = "auto",
        n_body: NBody | str | None = "auto",
        four_body: FourBody | str | None = None,
        species: Sequence[str] | None = None,
        atom_counts: bool = False,
        shared: bool | str = "auto",
    ) -> None:
        self.cutoff = cutoff
        self.two_body = two_body
        self.three_body = three_body
        self.n_body = n_body
        self.four_body = four_body
        self.species = species
        self.atom_counts = atom_counts
        self.shared = shared

    @classmethod
    def preset(cls, name: str, **parameters: Any) -> Self:
        """Descriptors for any material, with the cost of a simulation in mind.

        The grids are chosen in fit, from the cutoff, the number of species and the shortest
        distance of the data.

        Parameters
        ----------
        name : {"fast", "balanced", "accurate", "extensive", "stock"}
            "fast" offers about a hundred two-, three- and N-body terms for one species, "balanced" adds a
            small four-body interaction, "accurate" a larger one. "extensive" offers 1,611 terms for the most
            accurate potential of any size; its terms take up to twice the time in a simulation. "stock"
            offers what `plip.lammps.export` can write for pair styles that every LAMMPS has.
        **parameters
            Other parameters of the constructor, such as ``cutoff=5.0``.

        Returns
        -------
        PLIPDescriptors
            Not yet fitted.

        Raises
        ------
        ValueError
            If there is no preset of this name.

        Examples
        --------
        >>> PLIPDescriptors.preset("fast")
        PLIPDescriptors(four_body='fast', n_body='fast', three_body='fast',
                        two_body='fast')
        """
        if not isinstance(name, str) or name not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(map(repr, PRESETS))}, got {name!r}")
        return cls(**{**dict.fromkeys(INTERACTIONS, name), **parameters})

    def set_params(self, **params: Any) -> Self:
        """Set parameters, nested ones as ``three_body__max_power``.

        Parameters
        ----------
        **params
            Values by name.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no such parameter, or a nested parameter belongs to an interaction that is not an
            object, such as "auto" or None.
        """
        for key in params:
            name, _, nested = key.partition("__")
            value = params.get(name, getattr(self, name, None))
            if nested and name in INTERACTIONS and not hasattr(value, "set_params"):
                kind = INTERACTIONS[name].__name__
                raise ValueError(
                    f"{name} is {value!r}, which has no parameter {nested!r}: give an object, "
                    f"descriptors=PLIPDescriptors({name}={kind}(...))"
                )
        return super().set_params(**params)

    def fit(self, X: Iterable[Atoms], y: object = None) -> Self:
        """Fix the species and the table of terms.

        Parameters
        ----------
        X : sequence of ase.Atoms
            Structures.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a structure or a parameter is not valid; the message names it.
        """
        return self._fit_checked(check_structures(X, **self._limits(is_fitted=False)))

    def _limits(self, is_fitted: bool) -> dict[str, Any]:
        """What `check_structures` checks for: species and cutoff of the fit, or the species for a fit."""
        if is_fitted:
            return {"species": self.species_, "cutoff": self.cutoff_}
        return {"species": self._given_species()}

    def _chosen_cutoff(
        self, structures: Sequence[Atoms], first: int, forces: Sequence[FloatArray | None] | None
    ) -> float:
        """The cutoff in Angstrom, the automatic one if need be."""
        value = self.cutoff
        if isinstance(value, str) and value == "auto":
            given = [getattr(getattr(self, name), "cutoff", None) for name in INTERACTIONS]
            # Other values are refused when the terms are built.
            lengths = [float(own) for own in given if is_number(own) and math.isfinite(own)]
            automatic = automatic_cutoff(structures, first)
            return max([cutoff_of_pairs(automatic, structures, forces, first), *lengths])
        if not is_number(value) or not 0 < value < math.inf:
            preset = isinstance(value, str) and value in PRESETS
            remedy = f"; a preset is PLIPDescriptors.preset({value!r})" if preset else ""
            raise ValueError(f'cutoff must be a positive length in Angstrom or "auto", got {value!r}{remedy}')
        check_length("cutoff", value)
        return float(value)

    def _given_species(self) -> list[str] | None:
        """The parameter `species`, sorted and checked, or None."""
        if self.species is None:
            return None
        if isinstance(self.species, str) or not all(symbol in atomic_numbers for symbol in self.species):
            raise ValueError(f"species must be a sequence of chemical symbols, got {self.species!r}")
        if len(self.species) == 0 or len(set(self.species)) < len(self.species):
            raise ValueError(
                f"species must be different chemical symbols, at least one, got {self.species!r}"
            )
        return sorted(self.species)

    def _shares(self, name: str, species: Sequence[str], is_complete: bool) -> bool:
        """Whether an interaction has terms for any species."""
        if isinstance(self.shared, str) and self.shared == "auto":
            is_shared = isinstance(getattr(self, name), str) and (are_alike(species) or not is_complete)
        elif isinstance(self.shared, (bool, np.bool_)):
            is_shared = bool(self.shared)
        else:
            raise ValueError(f'shared must be True, False or "auto", got {self.shared!r}')
        return is_shared and len(species) > 1 and getattr(self, name) is not None

    def _fit_checked(
        self,
        structures: Sequence[Atoms],
        first: int = 0,
        forces: Sequence[FloatArray | None] | None = None,
    ) -> Self:
        """Fit to checked structures; `first` is the place of the first one in the data.

        `forces` in eV/Angstrom, of those that have any, say how far isolated pairs interact.
        """
        species = self._given_species()
        if species is None:
            species = species_of(structures)
        cutoff = self._chosen_cutoff(structures, first, forces)
        check_neighbors(structures, cutoff, first)
        interactions = {name: getattr(self, name) for name in INTERACTIONS}
        offers = {
            name: value for name, value in interactions.items() if isinstance(value, str) and value in OFFERS
        }
        shortest = shortest_distance(structures, cutoff, first) if offers else math.inf
        metal = len(species) == 1 and are_metals(species)
        made = {
            offer: automatic_interactions(len(species), shortest, cutoff, offer, metal)
            for offer in set(offers.values())
        }
        interactions |= {name: made[offer][name] for name, offer in offers.items()}
        present = {
            frozenset(chemical_symbols[number] for number in numbers)
            for numbers in {frozenset(atoms.numbers.tolist()) for atoms in structures}
        }
        blocks = {}
        for name, interaction in interactions.items():
            is_complete = are_complete(present, species, INTERACTIONS[name].n_arms + 1)
            if self._shares(name, species, is_complete):
                if name in offers:
                    blocks[name] = blocks_of_offer(
                        name, len(species), shortest, cutoff, offers[name], is_complete, metal
                    )
                elif interaction is not None:
                    blocks[name] = [
                        Block(interaction, sharing, unlike)
                        for sharing, unlike in sharings_of(name, is_complete)
                    ]
        terms = build_terms(species, cutoff, blocks, **interactions)
        check_within_reach(structures, max(term.cutoff for term in terms), first)
        self.terms_ = terms
        self.cutoff_ = cutoff
        self.species_ = tuple(species)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "terms_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags

    def _design(self) -> Design:
        """The terms, ready for the kernels, which is made once."""
        design = _DESIGNS.get(self)
        if design is None or design.terms != tuple(self.terms_):
            design = _DESIGNS[self] = Design(self.terms_, self.species_)
        return design

    def transform(self, X: Iterable[Atoms]) -> FloatArray:
        """Interactions of each structure.

        Parameters
        ----------
        X : sequence of ase.Atoms
            Structures with species seen in fit.

        Returns
        -------
        ndarray of float64, shape (n_structures, n_terms), or (n_structures, n_species + n_terms)
            X_n of the whole structure; with `atom_counts` the numbers of atoms come first.

        Examples
        --------
        >>> fitted = descriptors.fit([bulk("Si")])
        >>> fitted.transform([bulk("Si", a=5.5)]).shape
        (1, 2)
        """
        check_is_fitted(self)
        structures = check_structures(X, **self._limits(is_fitted=True))
        design = self._design()
        n_counts = len(self.species_) if self.atom_counts else 0
        columns = np.empty((len(structures), n_counts + len(self.terms_)))
        for index, (row, atoms) in enumerate(zip(columns, structures, strict=True)):
            with errors_of(index, atoms):
                structure = StructureDesign(design, atoms)
            row[:n_counts] = structure.counts[:n_counts]
            row[n_counts:] = structure.values
        return columns

    def design_rows(
        self, atoms: Atoms, forces: bool = True, virial: bool = True
    ) -> tuple[FloatArray, FloatArray | None, FloatArray | None]:
        """Values and derivatives of all terms for one structure.

        Parameters
        ----------
        atoms : ase.Atoms
            Structure with species seen in fit.
        forces, virial : bool, default=True
            Whether to compute these rows.

        Returns
        -------
        energy_row : ndarray of float64, shape (n_terms,)
            X_n.
        force_rows : ndarray of float64, shape (3 * n_atoms, n_terms), or None
            -dX_n/dr in 1/Angstrom, x y z of each atom.
        virial_rows : ndarray of float64, shape (6, n_terms), or None
            dX_n/d(strain), order xx yy zz yz xz xy; the volume times the stress of X_n.

        Examples
        --------
        >>> energy, forces, virial = fitted.design_rows(bulk("Si"))
        >>> energy.shape, forces.shape, virial.shape
        ((2,), (6, 2), (6, 2))
        """
        check_is_fitted(self)
        (atoms,) = check_structures([atoms], **self._limits(is_fitted=True))
        with errors_of(0, atoms):
            structure = StructureDesign(self._design(), atoms, has_virials=virial)
        force_rows = np.empty((3 * len(atoms), len(self.terms_))) if forces else None
        if force_rows is not None:
            structure.write_rows(0, force_rows)
        return structure.values, force_rows, structure.virials

    def save(self, path: StrPath) -> None:
        """Write fitted descriptors as JSON, whole or not at all.

        Parameters
        ----------
        path : str or path-like
            `plip.descriptors.load_descriptors` reads it.

        Raises
        ------
        NotFittedError
            If the descriptors are not fitted.
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self)
        header = {"format": FORMAT, "version": VERSION, "plip": plip.__version__}
        with write_whole(path) as file:
            json.dump({**header, **descriptors_to_dict(self)}, file, indent=1)
            file.write("\n")

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Names of the columns.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of object, shape (n_columns,)

        Examples
        --------
        >>> fitted.get_feature_names_out().shape
        (2,)
        """
        check_is_fitted(self)
        counts = [f"atoms {symbol}" for symbol in self.species_] if self.atom_counts else []
        return np.array(counts + [term.name for term in self.terms_], dtype=object)


def as_descriptors(value: object) -> PLIPDescriptors:
    """Descriptors from what a user may give for them.

    Parameters
    ----------
    value : PLIPDescriptors, str or None
        Descriptors, which are returned as they are; the name of a preset; or None for
        ``PLIPDescriptors()``.

    Returns
    -------
    PLIPDescriptors

    Raises
    ------
    TypeError
        If the value is of another type.
    ValueError
        If there is no preset of this name.
    """
    if value is None:
        return PLIPDescriptors()
    if isinstance(value, PLIPDescriptors):
        return value
    if isinstance(value, str) and value in PRESETS:
        return PLIPDescriptors.preset(value)
    names = ", ".join(map(repr, PRESETS))
    error = ValueError if isinstance(value, str) else TypeError
    raise error(f"descriptors must be PLIPDescriptors, the name of a preset ({names}) or None, got {value!r}")


def descriptors_to_dict(descriptors: PLIPDescriptors) -> dict[str, Any]:
    """Fitted descriptors as plain data for JSON; `descriptors_from_dict` is the inverse."""
    return {
        "parameters": {name: _to_plain(value) for name, value in descriptors.get_params(deep=False).items()},
        "cutoff": descriptors.cutoff_,
        "species": list(descriptors.species_),
        "terms": [term.to_dict() for term in descriptors.terms_],
    }


def descriptors_from_dict(data: Mapping[str, Any]) -> PLIPDescriptors:
    """Fitted descriptors from plain data."""
    descriptors = PLIPDescriptors(**{name: _from_plain(value) for name, value in data["parameters"].items()})
    descriptors.cutoff_ = data["cutoff"]
    descriptors.species_ = tuple(data["species"])
    descriptors.terms_ = [Term.from_dict(term) for term in data["terms"]]
    return descriptors


def _to_plain(value: Any) -> Any:
    if isinstance(value, Parameters):
        # Files know no subclasses of users.
        known = next(base for base in _CLASSES.values() if isinstance(value, base))
        parameters = {name: _to_plain(getattr(value, name)) for name in known._parameter_names()}
        return {"class": known.__name__, "parameters": parameters}
    if isinstance(value, dict):  # the switch of NBody
        return {"pairs": [[*pair, _to_plain(distance)] for pair, distance in value.items()]}
    if isinstance(value, (list, tuple, range, np.ndarray)):
        return [_to_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _from_plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "pairs" in value:
        return {(first, second): distance for first, second, distance in value["pairs"]}
    parameters = {name: _from_plain(item) for name, item in value["parameters"].items()}
    return _CLASSES[value["class"]](**parameters)
