"""What species share: which places of a term stand for any species, and where sharing may break.

With several species terms come in a hierarchy: for any atoms; for particular centers among any atoms; and
for particular species. A term of the last kind sums over a combination of species. If the data hold the
combination, the fit can tell what is particular about it. If they do not, its terms are zero there, while
those of other combinations are not: what particular terms know of Nb-Nb and of Ta-Ta is lost between Nb and
Ta. Then particular terms of one species alone are not on offer. Those of unlike species are what these have
beyond a center among any atoms, and an atom among strangers that the data do not hold behaves as among its
own kind. `doc/accuracy_notes.rst` gives the measurements.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ase.data import atomic_numbers, covalent_radii

from plip._core import ANY
from plip.interactions._interaction import Interaction, Sharing

__all__ = ["Block", "are_alike", "are_complete", "are_metals", "sharings_of"]

# Largest ratio of covalent radii of species that are of similar size. In silicon carbide, silica and indium
# phosphide it is 1.3 to 1.7.
_SIMILAR = 1.25

_NOT_METALS = frozenset("H He B C N O F Ne Si P S Cl Ar Ge As Se Br Kr Sb Te I Xe At Rn".split())

# For which places any species may stand, and whether terms of one species alone are left out. In the order of
# Term.species; the pair interaction with one place for any species sums over centers and their neighbors.
_OF_ANY: dict[str, tuple[Sharing, ...]] = {
    "two_body": ((True, True), (True, False)),
    "three_body": ((True, True, True), (False, True, True)),
    "n_body": ((True, True), (False, True)),
    "four_body": ((True, True, True, True),),
}
_WITHOUT_COMBINATIONS: dict[str, tuple[Sharing, bool]] = {
    "two_body": ((False, False), True),
    # Linear in one of the arms, so that it says something of a third species.
    "three_body": ((False, True, False), True),
    "n_body": ((False, False), True),
    "four_body": ((False, True, True, True), False),
}


@dataclass(frozen=True)
class Block:
    """Columns of one interaction.

    Attributes
    ----------
    interaction : Interaction
        Its parameters.
    sharing : tuple of bool
        Which places of the terms are for atoms of any species; () stands for none.
    unlike : bool
        Whether terms of one species alone are left out.
    """

    interaction: Interaction
    sharing: Sharing = ()
    unlike: bool = False

    def keeps(self, species: Sequence[str]) -> bool:
        """Whether the block has terms of these species."""
        return not self.unlike or len(set(species) - {ANY}) > 1


def sharings_of(name: str, is_complete: bool) -> list[tuple[Sharing, bool]]:
    """The sharings of an interaction, and whether terms of one species alone are left out.

    Parameters
    ----------
    name : {"two_body", "three_body", "n_body", "four_body"}
        Interaction.
    is_complete : bool
        Whether the data hold every combination of species that its terms have.
    """
    of_any = [(sharing, False) for sharing in _OF_ANY[name]]
    particular = ((False,) * len(of_any[0][0]), False) if is_complete else _WITHOUT_COMBINATIONS[name]
    return [particular, *of_any]


def are_metals(species: Sequence[str]) -> bool:
    """Whether all species are metals."""
    return _NOT_METALS.isdisjoint(species)


def are_alike(species: Sequence[str]) -> bool:
    """Whether all species are metals, or of similar covalent radii."""
    radii = [covalent_radii[atomic_numbers[symbol]] for symbol in species]
    return are_metals(species) or bool(max(radii) <= _SIMILAR * min(radii))


def are_complete(present: Iterable[frozenset[str]], species: Sequence[str], n_places: int) -> bool:
    """Whether every combination of so many species is in one of the structures.

    Parameters
    ----------
    present : iterable of frozenset of str
        Species of each structure, or the different ones of these.
    species : sequence of str
        All species.
    n_places : int
        Number of places of a term.
    """
    present = set(present)
    return all(
        any(kinds.issuperset(combination) for kinds in present)
        for combination in itertools.combinations(species, min(n_places, len(species)))
    )
