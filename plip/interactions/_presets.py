"""Offers of terms for any material: "auto" and the presets, made from the cutoff and the data.

Each interaction has a ladder of grids, from rich to poor. An offer takes for each interaction,
in turn, the richest grid that fits its share of the columns; with many species the grids
shrink, and an interaction whose poorest grid does not fit is left out. `doc/accuracy.rst` gives
the measurements behind the ladders.
"""

from collections import Counter

import numpy as np

from plip.interactions._parameters import FourBody, NBody, ThreeBody, TwoBody
from plip.interactions._terms import arm_permutations
from plip.radial import Gaussian, Slater

__all__ = ["OFFERS", "PRESETS", "automatic_interactions", "count_columns"]

# Ranks (p, q, t), from cheap to dear in simulations.
_DENSITY = ((0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0))

_BASIC = ((1, 1, 0), (1, 1, 1), (2, 1, 0))

_HIGHER = ((2, 2, 0), (2, 1, 1), (3, 1, 0), (3, 1, 1))

_RANKS = _DENSITY + _BASIC + _HIGHER

# Those that potentials of forty to sixty terms choose most.
_CHOSEN = ((1, 0, 0), (3, 0, 0), (1, 1, 0), (1, 1, 1), (2, 1, 0), (2, 1, 1), (3, 1, 1), (3, 2, 1))

_ALL_RANKS = _RANKS + ((4, 0, 0), (2, 2, 1), (2, 2, 2), (3, 2, 0), (3, 2, 1), (3, 3, 0))

# Grids are (number of Gaussians, width over spacing).
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
        (((6, 1.0), (4, 1.5)), (2, 3, 4)),
        (((4, 1.0),), (2, 3, 4)),
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
        (2, _BASIC),
        (1, _RANKS),
        (1, _BASIC),
        (1, ((1, 1, 1),)),
    )
)

# Decay constants of the exponentials that go with the Gaussians of pairs and of densities, over the shortest
# distance or a third of the cutoff, whichever is longer: steeper ones would be of no size at most distances.
# One of them is a whole repulsion, for which Gaussians need several terms that cancel each other.
_PAIR_DECAYS = (3.0, 5.0, 7.0, 10.0)

_DENSITY_DECAYS = (2.0, 4.0)

# Fewer Gaussians than these go without exponentials.
_LEAST_WITH_DECAYS = 4

# Where each offer enters the ladders (None: not at all), how many columns the interactions may have (two-,
# N-, three-body, and all four together; the four-body interaction takes what is left), and the cutoff of the
# four-body interaction over that of the others. Few four-body functions serve the first shells better
# than the whole range; five cover it. "stock" is what the pair styles of LAMMPS can express.
OFFERS = {
    "auto": {"first": (0, 0, 0, 0), "columns": (150, 200, 450, 800), "reach": 0.9, "decays": False},
    "fast": {"first": (1, 1, 3, None), "columns": (80, 100, 220, 400), "reach": 0.9, "decays": True},
    "balanced": {"first": (0, 1, 2, 6), "columns": (100, 120, 380, 600), "reach": 0.9, "decays": True},
    "accurate": {"first": (0, 0, 1, 2), "columns": (150, 200, 450, 1200), "reach": 0.8, "decays": True},
    "extensive": {"first": (0, 0, 0, 0), "columns": (150, 200, 450, 2100), "reach": 1.0, "decays": True},
    "stock": {"first": (0, 0, 4, None), "columns": (150, 200, 450, 800), "reach": 0.9, "decays": True},
}

# Names that stand for all descriptors.
PRESETS = tuple(offer for offer in OFFERS if offer != "auto")

# Least width over spacing of the two- and N-body functions of several species. They share one grid, which
# starts at the shortest distance of all pairs; where a pair has few data, narrow functions run wild.
_LEAST_WIDTH_OF_MANY = 1.5


def count_columns(n_species, interaction):
    """Number of columns of an interaction, without building them.

    Parameters
    ----------
    n_species : int
        Number of species.
    interaction : TwoBody, ThreeBody, NBody or FourBody
        Whose `radial` is a list of Gaussians with centers, and of Slater functions with zeta, given as lists.

    Returns
    -------
    int
    """
    count = sum(
        len(family.zeta if isinstance(family, Slater) else family.centers) for family in interaction.radial
    )
    pairs = n_species * (n_species + 1) // 2
    if isinstance(interaction, TwoBody):
        return pairs * count
    if isinstance(interaction, NBody):
        return n_species**2 * count * len(interaction.powers)
    if isinstance(interaction, ThreeBody):
        arms = n_species * count
        kinds = arms * (arms + 1) // 2 if interaction.mixed else pairs * count
        return n_species * kinds * (interaction.max_power + 1)
    # Burnside: the orbits of the arms under a group of permutations number the mean over the
    # group of (kinds of arms)^(cycles of the permutation).
    arms = n_species * count
    total = 0
    for rank in interaction.ranks:
        orders = arm_permutations(rank)
        total += sum(arms ** _cycles(order) for order in orders) // len(orders)
    return n_species * total


def _count_columns_of(n_species, *interactions):
    """Number of columns of several interactions, some of which may be None."""
    return sum(count_columns(n_species, one) for one in interactions if one is not None)


def _cycles(order):
    """Number of cycles of a permutation of three: by its number of fixed points."""
    return {3: 3, 1: 2, 0: 1}[Counter(k == arm for k, arm in enumerate(order))[True]]


def _gaussians(count, first, cutoff, width):
    """`count` Gaussians from `first` to the cutoff; `width` is their sigma over their spacing."""
    centers = [_rounded(center, 5) for center in np.linspace(first, cutoff, count, endpoint=False)]
    sigma = width * (cutoff - first) / count
    return Gaussian(eta=_rounded(0.5 / sigma**2, 5), centers=centers)


def _rounded(value, digits):
    """Rounded to so many significant digits."""
    return float(f"{value:.{digits}g}")


def _exponentials(decays, first, cutoff):
    return Slater(powers=[0.0], zeta=[_rounded(decay / max(first, cutoff / 3.0), 5) for decay in decays])


def _choose(kind, ladder, begin, n_species, first, reach, budget, cutoff=None, least_width=1.0, decays=()):
    """The richest interaction, from rung `begin` on, that fits the budget; None if there is none."""
    for rung in ladder[begin:]:
        parameters = {name: value for name, value in rung.items() if name != "grids"}
        radial = [_gaussians(count, first, reach, max(width, least_width)) for count, width in rung["grids"]]
        if decays and max(count for count, _ in rung["grids"]) >= _LEAST_WITH_DECAYS:
            radial.append(_exponentials(decays, first, reach))
        interaction = kind(radial, cutoff=cutoff, **parameters)
        if count_columns(n_species, interaction) <= budget:
            return interaction
    return None


def automatic_interactions(n_species, shortest, cutoff, offer="auto"):
    """Interactions for any material.

    Gaussians stand at equal distances from the shortest distance of the data on up to the
    cutoff. Their width is their spacing, or more where smooth densities serve better. All offers but "auto"
    have exponentials too.

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

    Returns
    -------
    dict
        ``two_body``, ``three_body``, ``n_body``, ``four_body``; None for an interaction that
        the offer does not have or of which not even the poorest grid fits. A pair interaction
        there is always.
    """
    first = _rounded(min(shortest, 0.6 * cutoff), 2)
    begin_two, begin_n, begin_three, begin_four = OFFERS[offer]["first"]
    most_two, most_n, most_three, most = OFFERS[offer]["columns"]
    least_width = 1.0 if n_species == 1 else _LEAST_WIDTH_OF_MANY
    has_decays = OFFERS[offer]["decays"]
    two_body = _choose(
        TwoBody,
        _TWO_BODY,
        begin_two,
        n_species,
        first,
        cutoff,
        most_two,
        least_width=least_width,
        decays=_PAIR_DECAYS if has_decays else (),
    )
    if two_body is None:  # so many species that even one function each exceeds the share
        two_body = TwoBody([_gaussians(1, first, cutoff, 1.0)])
    three_body = _choose(ThreeBody, _THREE_BODY, begin_three, n_species, first, cutoff, most_three)
    if three_body is None:  # with so many species that its columns are free for the others
        most_n += most_three
    left = most - _count_columns_of(n_species, two_body, three_body)
    most_n = min(most_n, left)
    n_body = _choose(
        NBody,
        _N_BODY,
        begin_n,
        n_species,
        first,
        cutoff,
        most_n,
        least_width=least_width,
        decays=_DENSITY_DECAYS if has_decays else (),
    )
    four_body = None
    if begin_four is not None:
        left -= _count_columns_of(n_species, n_body)
        reach = OFFERS[offer]["reach"] * cutoff
        four_body = _choose(
            FourBody,
            _FOUR_BODY,
            begin_four,
            n_species,
            min(first, 0.6 * reach),
            reach,
            left,
            _rounded(reach, 5),
        )
    return {"two_body": two_body, "three_body": three_body, "n_body": n_body, "four_body": four_body}
