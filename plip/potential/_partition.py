"""What each part of a potential adds to energies and forces."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypedDict

import numpy as np
from ase import Atoms

from plip._core import Core, NeighborList
from plip._structures._evaluation import check_atoms, find_pairs
from plip._types import FloatArray, Int32Array
from plip.interactions import Term

if TYPE_CHECKING:
    from plip.potential._potential import Potential

__all__ = ["Part", "Partition", "additive_core", "selected", "species_label"]

# What `Core.evaluate` takes of a structure.
Arrays: TypeAlias = tuple[NeighborList, FloatArray, FloatArray, Int32Array]
# Energies of the atoms and forces.
Values: TypeAlias = tuple[FloatArray, FloatArray]


class Part(TypedDict):
    """What one part of a potential adds."""

    energy: float
    energies: FloatArray
    forces: FloatArray


def species_label(term: Term) -> str:
    """The species of a term as `partition` names them: ``Si-O``, ``Si-O-O``; ``*`` is any species."""
    return "-".join(term.species)


LABELS: dict[str, Callable[[Term], str]] = {
    "interaction": lambda term: term.interaction,
    "species": species_label,
    "term": lambda term: term.name,
}


def additive_core(
    potential: Potential, terms: Sequence[tuple[Term, float]], reference: FloatArray | None = None
) -> Core:
    """The core of some terms of a potential and of its core repulsion, by default without reference energies.

    Its energies are sums over terms whatever the structure: pairs fade as in the potential, but nothing else
    does.
    """
    if reference is None:
        reference = np.zeros(len(potential.species))
    return Core(
        potential.species,
        terms,
        reference,
        repulsion=potential.repulsion,
        core_forces=potential.core_forces,
        is_additive=True,
    )


class Partition:
    """The parts of a potential, ready for evaluation.

    Within the data, an energy is the reference energy, plus terms whose functions fade where the core
    repulsion takes over, plus this repulsion. All this is a sum, and is evaluated part by part. Beyond the
    data, density limits, energy floors and the end of binding act on the sum of the terms; what they change
    is a part of its own.

    Parameters
    ----------
    potential : Potential
    by : {"interaction", "species", "term"}

    Raises
    ------
    ValueError
        If there is no such partition.
    """

    def __init__(self, potential: Potential, by: str) -> None:
        if not isinstance(by, str) or by not in LABELS:
            raise ValueError(f"by must be one of {', '.join(LABELS)}, got {by!r}")
        groups: dict[str, list[tuple[Term, float]]] = {}
        for term, coefficient in potential.terms:
            groups.setdefault(LABELS[by](term), []).append((term, coefficient))
        self.potential = potential
        self.cores = {label: additive_core(potential, terms) for label, terms in groups.items()}
        self.reference = np.array([potential.intercept[symbol] for symbol in potential.species])
        # With reference energies as in the potential, so that rounding is the same.
        self.sum_of_terms = additive_core(potential, potential.terms, self.reference)
        self.repulsion = additive_core(potential, [])

    def evaluate(self, atoms: Atoms) -> dict[str, Part]:
        """The parts of a structure; see `Potential.partition`."""
        potential = self.potential
        species, positions, cell = check_atoms(potential.species, atoms)
        neighbors = find_pairs(positions, cell, atoms.pbc, potential.cutoff)
        arrays = neighbors, positions, cell, species
        total, additive, repulsion = (
            _values(core, arrays) for core in (potential._core, self.sum_of_terms, self.repulsion)
        )
        reference = self.reference[species], np.zeros_like(positions)
        parts = {label: _minus(_values(core, arrays), repulsion) for label, core in self.cores.items()}
        _add_rest(parts, _minus(_minus(additive, reference), repulsion))
        found = {"reference": reference, **parts, "repulsion": repulsion, "limits": _minus(total, additive)}
        return {
            label: Part(energy=math.fsum(energies), energies=energies, forces=forces)
            for label, (energies, forces) in found.items()
        }


def _values(core: Core, arrays: Arrays) -> Values:
    energies, forces, _, _ = core.evaluate(*arrays, forces=True, strain=False)
    assert forces is not None
    return energies, forces


def _minus(first: Values, second: Values) -> Values:
    return first[0] - second[0], first[1] - second[1]


def _add_rest(parts: dict[str, Values], whole: Values) -> None:
    """Let the parts add up to the whole.

    Each part has radial tables of its own, whose errors differ from those of the whole, by about 1e-9
    eV/Angstrom. The largest part takes the difference.
    """
    if parts:
        largest = max(parts, key=lambda label: float(np.abs(parts[label][0]).sum()))
        for k in range(2):
            parts[largest][k][...] += whole[k] - sum(values[k] for values in parts.values())


def selected(
    terms: Sequence[tuple[Term, float]], interaction: str | None, species: str | Sequence[str] | None
) -> list[tuple[Term, float]]:
    """Terms of an interaction and of a combination of species; see `Potential.select`."""
    kinds = list(dict.fromkeys(term.interaction for term, _ in terms))
    if interaction is not None and interaction not in kinds:
        raise ValueError(
            f"interaction must be one of {', '.join(kinds) or '(no terms)'}, got {interaction!r}"
        )
    found = [(term, w) for term, w in terms if interaction in (None, term.interaction)]
    if species is None:
        return found
    wanted = tuple(species.split("-") if isinstance(species, str) else species)
    chosen = [(term, w) for term, w in found if term.species == wanted]
    if not chosen:
        known = ", ".join(dict.fromkeys(species_label(term) for term, _ in found))
        raise ValueError(f"species must be those of a term: one of {known or '(no terms)'}; got {species!r}")
    return chosen
