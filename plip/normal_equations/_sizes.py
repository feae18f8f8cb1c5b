"""How large terms are: in the data, and in typical surroundings."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from plip._core import ANY, radial_function
from plip._types import FloatArray
from plip.interactions import Term
from plip.interactions._terms import KINDS
from plip.radial import RadialFamily

__all__ = ["Counts", "natural_sizes"]

# Typical surroundings begin at this share of the shortest distance, so that functions which vanish where the
# data begin are judged by their values a little closer.
_CLOSER = 0.8

# The number of neighbors in closest packing. If the data are sparse, or the cutoff ends within the first
# shell, surroundings outside the data are denser than those inside.
_LEAST_NEIGHBORS = 12.0

# Sums of squares of larger numbers overflow; no fit uses such columns.
_LARGEST = 1e150

# Points of the averages over distances.
_N_POINTS = 400


@dataclass(frozen=True, eq=False)
class Counts:
    """Sums over structures that determine typical surroundings.

    There are separate sums for each target, in the order of `plip.labels.TARGETS`. Each structure is
    multiplied by its weighted number of rows per atom, so that it counts as much as its rows.

    Attributes
    ----------
    atoms : ndarray of float64, shape (3, n_species)
        Number of atoms of each species.
    pairs : ndarray of float64, shape (3, n_species, n_species)
        Number of neighbors of one species (last index) around all atoms of another within the cutoff.
    squares : ndarray of float64, shape (3, n_terms)
        Sum over atoms of the square of each column per atom of its structure.
    """

    atoms: FloatArray
    pairs: FloatArray
    squares: FloatArray

    @staticmethod
    def shapes(n_species: int, n_terms: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the arrays by name."""
        return {"atoms": (3, n_species), "pairs": (3, n_species, n_species), "squares": (3, n_terms)}

    @classmethod
    def empty(cls, n_species: int, n_terms: int) -> Counts:
        """The counts of no data."""
        return cls(**{name: np.zeros(shape) for name, shape in cls.shapes(n_species, n_terms).items()})

    def add_structures(
        self, atoms: FloatArray, pairs: FloatArray, values: FloatArray, rows: FloatArray
    ) -> None:
        """Add n structures.

        Parameters
        ----------
        atoms : ndarray of float64, shape (n, n_species)
            Number of atoms of each species.
        pairs : ndarray of float64, shape (n, n_species, n_species)
            Number of neighbors of each species around all atoms of each.
        values : ndarray of float64, shape (n, n_terms)
            Values of all columns.
        rows : ndarray of float64, shape (n, 3)
            Weighted number of rows of each target.
        """
        sizes = atoms.sum(axis=1)
        shares = (rows / sizes[:, None]).T
        squares = np.clip(values, -_LARGEST, _LARGEST)
        squares *= squares
        squares /= sizes[:, None]
        for total, array in zip(self.arrays().values(), (atoms, pairs, squares), strict=True):
            total += np.tensordot(shares, array, axes=1)

    def combined(self, other: Counts, sign: float) -> Counts:
        """The counts of both (sign 1), or without the other (sign -1)."""
        mine, others = self.arrays(), other.arrays()
        return Counts(**{name: np.maximum(mine[name] + sign * others[name], 0.0) for name in mine})

    def arrays(self) -> dict[str, FloatArray]:
        """Arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


# The column of a function that overflows is left out.
@np.errstate(over="ignore", invalid="ignore")
def natural_sizes(
    terms: Sequence[Term],
    species: Sequence[str],
    cutoff: float,
    counts: Counts,
    shortest: FloatArray,
    targets: Sequence[int],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Size of one unit of each term in typical surroundings, as energy per atom and as force.

    Typical surroundings have as many neighbors z as the data on average, at least twelve, at random places
    from 0.8 times the shortest distance of the pair of species up to the cutoff. With the mean <.> over this
    shell, the sum of g over neighbors and the sum of its gradients have the root mean squares

        A^2 = (z <|g|>)^2 + z <g^2>,   B^2 = z <g'^2>.

    As energy a pair function has the size A/2, and another term the product of the A of its arms (A^m for a
    density). As force a pair function has the size B, and for another term the product rule gives the size
    from A and B. Both are multiplied by the root of the share of the centers among all atoms, since columns
    are judged by their root mean square. A pair function of two species has two kinds of centers, and the
    larger size counts. For ``("*", s)`` they are the atoms of s, with all their neighbors, and all other
    atoms, with their neighbors of s. If a term is larger in the data, that is its size.

    Parameters
    ----------
    terms : sequence of Term
        Columns.
    species : sequence of str
        Chemical symbols.
    cutoff : float
        Cutoff in Angstrom within which neighbors were counted.
    counts : Counts
        Of the data.
    shortest : ndarray of float64, shape (n_species, n_species)
        Shortest distance in Angstrom of each pair of species in the data.
    targets : sequence of int
        Targets that count.

    Returns
    -------
    energy, force : ndarray of float64, shape (n_terms,)
        Zero where the data have no neighbors for the term.
    seen : ndarray of float64, shape (n_terms,)
        Root mean square of the column per atom in the data.
    """
    place = {symbol: number for number, symbol in enumerate([*species, ANY])}
    targets = list(targets)
    atoms, pairs, squares = (array[targets].sum(axis=0) for array in counts.arrays().values())
    n_atoms = max(atoms.sum(), np.finfo(np.float64).tiny)
    atoms, pairs, shortest = _with_groups(atoms, pairs, shortest)
    # Numbers of Python are faster, one by one, than those of NumPy.
    share = np.sqrt(atoms / n_atoms).tolist()
    # Neighbors of each species around an atom of each.
    number = pairs / np.maximum(atoms, np.finfo(np.float64).tiny)[:, None]
    # Terms share their functions.
    known: dict[tuple[int, float, int, int], tuple[float, float]] = {}

    def sums(function: RadialFamily, reach: float, s: int, t: int) -> tuple[float, float]:
        key = id(function), reach, s, t
        if key not in known:
            known[key] = _neighbor_sums(function, reach, cutoff, float(number[s, t]), float(shortest[s, t]))
        return known[key]

    # And their arms: the product of the A of these, and the relative size of its gradients.
    products: dict[tuple[Any, ...], tuple[float, float]] = {}

    def product(term: Term, s: int, arms: list[int]) -> tuple[float, float]:
        key = (s, *arms, term.cutoff, *map(id, term.radial))
        if key not in products:
            found = [sums(function, term.cutoff, s, t) for function, t in zip(term.radial, arms, strict=True)]
            if all(value for value, _ in found):
                slope = math.hypot(*(slope / value for value, slope in found))
                products[key] = math.prod(value for value, _ in found), slope
            else:
                products[key] = 0.0, 0.0
        return products[key]

    sizes = np.zeros((2, len(terms)))
    for n, term in enumerate(terms):
        interaction = KINDS[term.interaction]
        s, *arms = (place[symbol] for symbol in term.species)
        if not interaction.has_center:
            (t,) = arms
            # Each pair counts once, whichever of its atoms is the center.
            center = len(place) + t if s == place[ANY] != t else s
            both = [
                share[a] * np.array(sums(term.radial[0], term.cutoff, a, b)) for a, b in ((center, t), (t, s))
            ]
            sizes[:, n] = np.max(both, axis=0) * (0.5, 1.0)
            continue
        value, slope = product(term, s, arms)
        if value:
            power = interaction.exponent(term.power)
            # Where a power of Python would raise an error, that of NumPy is infinite.
            energy = share[s] * float(np.float64(value) ** power)
            sizes[:, n] = energy, energy * power * slope
    seen = np.sqrt(squares / n_atoms)
    energy, force = np.minimum(np.maximum(sizes, seen), _LARGEST)
    return energy, force, seen


def _with_groups(
    atoms: FloatArray, pairs: FloatArray, shortest: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The same with groups of atoms behind the species.

    The first group holds all atoms. The others, which are centers only, hold all atoms but those of one
    species each.
    """
    is_other = ~np.eye(len(atoms), dtype=bool)
    atoms = np.concatenate([atoms, [atoms.sum()], is_other @ atoms])
    pairs = np.concatenate([pairs, pairs.sum(axis=0, keepdims=True), is_other @ pairs])
    of_others = [shortest[row].min(axis=0, initial=np.inf) for row in is_other]
    shortest = np.concatenate([shortest, shortest.min(axis=0, keepdims=True), of_others])
    return (
        atoms,
        np.concatenate([pairs, pairs.sum(axis=1, keepdims=True)], axis=1),
        np.concatenate([shortest, shortest.min(axis=1, keepdims=True)], axis=1),
    )


# The folds of cross-validation differ in the numbers of neighbors alone.
@functools.lru_cache(maxsize=4096)
def _shell_means(function: RadialFamily, reach: float, first: float) -> tuple[float, float, float]:
    """The means of |g|, g^2 and g'^2 over the shell from `first` to `reach`."""
    r = first + (reach - first) * (np.arange(_N_POINTS) + 0.5) / _N_POINTS
    value, slope, _ = radial_function(function, reach, 0.0, r)
    part = 3.0 * r**2 * (reach - first) / _N_POINTS / (reach**3 - first**3)
    mean, square, slope_square = (np.stack([np.abs(value), value**2, slope**2]) @ part).tolist()
    return mean, square, slope_square


def _neighbor_sums(
    function: RadialFamily, reach: float, cutoff: float, number: float, shortest: float
) -> tuple[float, float]:
    """A and B of `natural_sizes` for so many neighbors within the cutoff."""
    if number == 0 or shortest == np.inf:
        return 0.0, 0.0
    first = min(_CLOSER * shortest, 0.9 * reach)
    # Neighbors are counted within the largest cutoff; those within a shorter one are as dense.
    number = max(number * (reach**3 - first**3) / (cutoff**3 - first**3), _LEAST_NEIGHBORS)
    mean, square, slope_square = _shell_means(function, reach, first)
    sum_of_means = number * mean
    return math.sqrt(sum_of_means * sum_of_means + number * square), math.sqrt(number * slope_square)
