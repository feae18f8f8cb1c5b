"""Offers of terms for any material: "auto" and the presets, made from the cutoff and the data.

Each interaction has a ladder of grids, from rich to poor. An offer takes for each interaction,
in turn, the richest grid that fits its share of the columns; with many species the grids
shrink, and an interaction whose poorest grid does not fit is left out. `doc/accuracy_notes.rst` gives
the measurements behind the ladders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from plip.interactions._four_body import FourBody
from plip.interactions._interaction import Interaction, Sharing
from plip.interactions._n_body import NBody
from plip.interactions._sharing import Block, sharings_of
from plip.interactions._three_body import ThreeBody
from plip.interactions._two_body import TwoBody
from plip.radial import Gaussian, RadialFamily, Slater

__all__ = ["OFFERS", "PRESETS", "Offer", "automatic_interactions", "blocks_of_offer"]

# Ranks (p, q, t), from cheap to dear in simulations.
_DENSITY = ((0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0))
_BASIC = ((1, 1, 0), (1, 1, 1), (2, 1, 0))
_HIGHER = ((2, 2, 0), (2, 1, 1), (3, 1, 0), (3, 1, 1))
_RANKS = _DENSITY + _BASIC + _HIGHER
_ALL_RANKS = _RANKS + ((4, 0, 0), (2, 2, 1), (2, 2, 2), (3, 2, 0), (3, 2, 1), (3, 3, 0))
# Those that potentials of forty to sixty terms choose most.
_CHOSEN = _DENSITY[1::2] + ((1, 1, 0), (1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2), (3, 1, 1), (4, 1, 1))
_FEW = ((1, 1, 0), (1, 1, 1), (2, 1, 1), (3, 1, 1))

# The ladders. Grids are (number of Gaussians, width over spacing).
_TWO_BODY = tuple(
    {"grids": grids}
    for grids in (
        ((12, 1.0), (6, 1.0)),
        ((8, 1.0), (4, 1.0)),
        ((8, 1.0),),
        ((6, 1.0),),
        ((4, 1.0),),
        ((3, 1.0),),
        ((2, 1.0),),
        ((1, 1.0),),
    )
)

_N_BODY = tuple(
    {"grids": grids, "powers": powers}
    for grids, powers in (
        (((12, 1.0), (8, 1.5), (6, 2.0)), (2, 3, 4)),
        (((8, 1.0), (6, 2.0)), (2, 3, 4)),
        (((6, 1.0), (4, 1.5)), (2, 3, 4)),
        (((6, 1.0), (4, 1.5)), (2, 3)),
        (((4, 1.0),), (2, 3, 4)),
        (((4, 1.0),), (2, 3)),
        (((3, 1.0),), (2, 3)),
        (((2, 1.0),), (2,)),
        (((1, 1.0),), (2,)),
    )
)

_THREE_BODY = tuple(
    {"grids": ((count, 1.0),), "max_power": max_power, "mixed": mixed}
    for count, max_power, mixed in (
        (6, 6, True),
        (5, 5, True),
        (4, 5, True),
        (4, 4, True),
        (6, 5, False),
        (4, 4, False),
        (3, 3, False),
        (2, 3, False),
        (2, 2, False),
        (1, 2, False),
        (1, 1, False),
    )
)

_FOUR_BODY = tuple(
    {"grids": ((count, 1.0),), "ranks": ranks}
    for count, ranks in (
        (5, _ALL_RANKS),
        (4, _ALL_RANKS),
        (4, _CHOSEN),
        (3, _ALL_RANKS),
        (3, _RANKS),
        (2, _ALL_RANKS),
        (2, _RANKS),
        (2, _FEW),
        (2, _BASIC),
        (1, _RANKS),
        (1, _BASIC),
        (1, ((1, 1, 1),)),
    )
)

# Decay constants of the exponentials that go with the Gaussians of pairs and of densities, in units of one
# over the shortest distance, or over a third of the cutoff if that is longer: steeper exponentials are
# negligible at most distances. One exponential describes a repulsion for which Gaussians need several terms
# that cancel each other.
_PAIR_DECAYS = (3.0, 5.0, 7.0, 10.0)
_DENSITY_DECAYS = (2.0, 4.0)
# Grids of fewer Gaussians go without exponentials.
_LEAST_WITH_DECAYS = 4

# The two- and N-body functions of several species have at least this width over spacing. All pairs share one
# grid, which starts at the shortest distance of any; narrow functions run wild where a pair has few data.
_LEAST_WIDTH_OF_MANY = 1.5


@dataclass(frozen=True)
class Offer:
    """How much to offer of each interaction.

    Attributes
    ----------
    two_body, n_body, three_body, four_body : int or None
        The rung of its ladder at which the interaction enters; None leaves it out.
    columns : (int, int, int)
        Most columns of the two-, N- and three-body interactions. The four-body interaction takes what the
        others leave.
    all_columns : int
        Most columns of all interactions together.
    reach : float
        Cutoff of the four-body interaction over that of the others. Few functions serve the first shells
        better than the whole range; five cover it.
    decays : bool
        Whether pairs and densities have exponentials too.
    roots : bool
        Whether a metal has roots of densities beside their powers.
    share : float
        With several species terms are offered in three blocks: for particular species, for particular centers
        among any atoms, and for any atoms. Each block has this part of the columns above.
    """

    two_body: int
    n_body: int
    three_body: int
    four_body: int | None
    columns: tuple[int, int, int]
    all_columns: int
    reach: float = 0.9
    decays: bool = True
    roots: bool = True
    share: float = 1.0


OFFERS = {
    "auto": Offer(0, 0, 0, 0, (150, 165, 450), 800, decays=False, roots=False, share=1 / 3),
    "fast": Offer(1, 2, 3, None, (80, 95, 220), 400),
    "balanced": Offer(0, 2, 2, 6, (100, 95, 380), 600),
    "accurate": Offer(1, 1, 1, 2, (150, 140, 400), 1200, reach=0.8),
    "extensive": Offer(0, 0, 0, 0, (150, 165, 450), 2100, reach=1.0, share=0.5),
    # What the pair styles of LAMMPS can express.
    "stock": Offer(0, 0, 4, None, (150, 165, 450), 800, roots=False),
}

# Names that stand for all descriptors.
PRESETS = tuple(name for name in OFFERS if name != "auto")


@dataclass(frozen=True)
class _Range:
    """Where the radial functions of an interaction stand.

    Attributes
    ----------
    first, last : float
        Center of the first Gaussian, and the end of the grid, in Angstrom.
    least_width : float
        Least width over spacing of the Gaussians.
    decays : tuple of float
        Decay constants of the exponentials, see `_PAIR_DECAYS`.
    """

    first: float
    last: float
    least_width: float = 1.0
    decays: tuple[float, ...] = ()

    def functions(self, grids: Sequence[tuple[int, float]]) -> list[RadialFamily]:
        """Families for grids of (number of Gaussians, width over spacing)."""
        radial: list[RadialFamily] = [
            self.gaussians(count, max(width, self.least_width)) for count, width in grids
        ]
        if self.decays and max(count for count, _ in grids) >= _LEAST_WITH_DECAYS:
            length = max(self.first, self.last / 3.0)
            radial.append(Slater(powers=[0.0], zeta=[_rounded(decay / length, 5) for decay in self.decays]))
        return radial

    def gaussians(self, count: int, width: float) -> Gaussian:
        """Gaussians at equal distances; `width` is their standard deviation over their spacing."""
        centers = [_rounded(x, 5) for x in np.linspace(self.first, self.last, count, endpoint=False)]
        sigma = width * (self.last - self.first) / count
        return Gaussian(eta=_rounded(0.5 / sigma**2, 5), centers=centers)


def _rounded(value: float, digits: int) -> float:
    """Rounded to so many significant digits."""
    return float(f"{value:.{digits}g}")


@dataclass(frozen=True)
class _Ladder:
    """The grids of an interaction, from rich to poor, and where its functions stand."""

    kind: Callable[..., Interaction]
    rungs: Sequence[dict[str, Any]]
    where: _Range
    own_cutoff: float | None = None

    def choose(self, most: int, n_species: int, cutoff: float, sharing: Sharing = ()) -> Interaction | None:
        """The richest interaction with at most so many columns, None if there is none."""
        for rung in self.rungs:
            parameters = {name: value for name, value in rung.items() if name != "grids"}
            interaction = self.kind(
                radial=self.where.functions(rung["grids"]), cutoff=self.own_cutoff, **parameters
            )
            if interaction.count(n_species, cutoff, sharing) <= most:
                return interaction
        return None


def _n_body_rungs(chosen: Offer) -> list[dict[str, Any]]:
    """The ladder of the N-body interaction of an offer."""
    roots = (NBody.root,) if chosen.roots else ()
    return [rung | {"powers": (*roots, *rung["powers"])} for rung in _N_BODY[chosen.n_body :]]


def _ladders(chosen: Offer, shortest: float, cutoff: float, least_width: float) -> dict[str, _Ladder]:
    """The ladders of an offer by interaction."""
    first = _rounded(min(shortest, 0.6 * cutoff), 2)
    pairs = _Range(first, cutoff, least_width, _PAIR_DECAYS if chosen.decays else ())
    densities = _Range(first, cutoff, least_width, _DENSITY_DECAYS if chosen.decays else ())
    ladders = {
        "two_body": _Ladder(TwoBody, _TWO_BODY[chosen.two_body :], pairs),
        "three_body": _Ladder(ThreeBody, _THREE_BODY[chosen.three_body :], _Range(first, cutoff)),
        "n_body": _Ladder(NBody, _n_body_rungs(chosen), densities),
    }
    if chosen.four_body is not None:
        reach = chosen.reach * cutoff
        arms = _Range(min(first, 0.6 * reach), reach)
        ladders["four_body"] = _Ladder(FourBody, _FOUR_BODY[chosen.four_body :], arms, _rounded(reach, 5))
    return ladders


def automatic_interactions(
    n_species: int, shortest: float, cutoff: float, offer: str = "auto", metal: bool = True
) -> dict[str, Interaction | None]:
    """Interactions between particular species, for any material.

    The Gaussians stand at equal distances, from the shortest distance in the data up to the cutoff. Their
    width is their spacing, or more where smooth densities serve better. All offers but "auto" have
    exponentials too.

    Parameters
    ----------
    n_species : int
        Number of species.
    shortest : float
        Shortest distance in the data in Angstrom.
    cutoff : float
        Cutoff in Angstrom.
    offer : {"auto", "fast", "balanced", "accurate", "extensive", "stock"}, default="auto"
        How much to offer.
    metal : bool, default=True
        Whether this is one metal. Others have no roots of densities: the second-moment approximation is of d
        bands, directed bonds have angles, and in alloys roots make mixtures worse that the data do not hold.

    Returns
    -------
    dict
        ``two_body``, ``three_body``, ``n_body``, ``four_body``. An interaction is None if the offer does
        not have it or even its poorest grid has too many columns. The pair interaction is never None.
    """
    return _choose(_offer(offer, metal), n_species, shortest, cutoff)


def _offer(name: str, metal: bool) -> Offer:
    return replace(OFFERS[name], roots=OFFERS[name].roots and metal)


def _choose(chosen: Offer, n_species: int, shortest: float, cutoff: float) -> dict[str, Interaction | None]:
    """As `automatic_interactions`."""
    most_two, most_n, most_three = chosen.columns
    ladders = _ladders(chosen, shortest, cutoff, 1.0 if n_species == 1 else _LEAST_WIDTH_OF_MANY)

    def n_columns(*interactions: Interaction | None) -> int:
        return sum(one.count(n_species, cutoff) for one in interactions if one is not None)

    two_body = ladders["two_body"].choose(most_two, n_species, cutoff)
    if two_body is None:  # there are so many species that one function of each pair is too much
        two_body = TwoBody([ladders["two_body"].where.gaussians(1, 1.0)])
    three_body = ladders["three_body"].choose(most_three, n_species, cutoff)
    if three_body is None:  # its share is free for the densities
        most_n += most_three
    most_n = min(most_n, chosen.all_columns - n_columns(two_body, three_body))
    n_body = ladders["n_body"].choose(most_n, n_species, cutoff)
    four_body = None
    if "four_body" in ladders:
        left = chosen.all_columns - n_columns(two_body, three_body, n_body)
        four_body = ladders["four_body"].choose(left, n_species, cutoff)
    return {"two_body": two_body, "three_body": three_body, "n_body": n_body, "four_body": four_body}


def blocks_of_offer(
    name: str,
    n_species: int,
    shortest: float,
    cutoff: float,
    offer: str,
    is_complete: bool,
    metal: bool = True,
) -> list[Block]:
    """What an offer has of one interaction for several species.

    Each sharing has the richest grid within its columns; one is left out if even its poorest grid has more.

    Parameters
    ----------
    name : {"two_body", "three_body", "n_body", "four_body"}
        Interaction.
    n_species, shortest, cutoff, offer, metal
        As for `automatic_interactions`.
    is_complete : bool
        Whether the data hold every combination of species; see `sharings_of`.

    Returns
    -------
    list of Block
    """
    chosen = _offer(offer, metal)
    two, n, three = (int(chosen.share * most) for most in chosen.columns)
    chosen = replace(chosen, columns=(two, n, three), all_columns=int(chosen.share * chosen.all_columns))
    # Centers have no four-body terms of their own where the particular species have; else a third of all.
    most_columns = {"two_body": two, "n_body": n, "three_body": three, "four_body": chosen.all_columns // 3}
    found: list[Block] = []
    for sharing, unlike in sharings_of(name, is_complete):
        interaction: Interaction | None
        if all(sharing):
            interaction = _choose(chosen, 1, shortest, cutoff)[name]
        elif not any(sharing):
            interaction = _choose(chosen, n_species, shortest, cutoff)[name]
        else:
            ladder = _ladders(chosen, shortest, cutoff, _LEAST_WIDTH_OF_MANY).get(name)
            interaction = None
            if ladder is not None:
                interaction = ladder.choose(most_columns[name], n_species, cutoff, sharing)
        if interaction is not None:
            found.append(Block(interaction, sharing, unlike))
    return found
