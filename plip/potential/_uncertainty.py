"""What a potential knows of its own errors: standard deviations, and how far atoms are from the data."""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from scipy.linalg import solve_triangular
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from plip._design._rows import Design, StructureDesign, StructureRows
from plip._types import BoolArray, FloatArray, Int32Array, IntArray
from plip.potential._json import finite_number

__all__ = ["NEIGHBORS", "References", "Uncertainty", "as_in_a_file", "forward", "read_uncertainty"]

# Atoms of the training data that tell how large errors are where surroundings are like theirs.
NEIGHBORS = 16
# Atoms whose force rows are in memory at a time.
_BLOCK = 512
# Rows that are solved for, and places whose distances to all others are in memory, at a time.
_ROWS, _PLACES = 4096, 200


def forward(factor: FloatArray, rows: FloatArray) -> FloatArray:
    """Squares x^T (T T^T)^-1 x of rows x, for a lower triangular T.

    Parameters
    ----------
    factor : ndarray of float64, shape (p, p)
        T.
    rows : ndarray of float64, shape (n, p)

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    squares = np.empty(len(rows))
    for first in range(0, len(rows), _ROWS):
        part = rows[first : first + _ROWS]
        solved = solve_triangular(factor, part.T, lower=True, check_finite=False)
        squares[first : first + _ROWS] = np.square(solved, out=solved).sum(axis=0)
    return squares


def leverages_of_forces(factor: FloatArray, rows: StructureRows, n_atoms: int) -> FloatArray:
    """x^T (T T^T)^-1 x of the rows of each atom, the mean over its three components, (n_atoms,)."""
    leverages = np.empty(n_atoms)
    for first in range(0, n_atoms, _BLOCK):
        count = min(_BLOCK, n_atoms - first)
        force_rows = np.empty((3 * count, len(factor)))
        rows.write_rows(first, force_rows)
        leverages[first : first + count] = forward(factor, force_rows).reshape(-1, 3).mean(axis=1)
    return leverages


@dataclass(frozen=True, eq=False)
class References:
    """Atoms or structures of the training data, and the errors of the fit there.

    Attributes
    ----------
    axes : ndarray of float64, shape (n_terms, d)
        Directions in which they differ most; terms times these are a place.
    points : ndarray of float64, shape (m, d)
        Their places.
    squares : ndarray of float64, shape (m, 2)
        Squared errors over x^T C x, of a model that was not fitted there and of the fit. NaN is unknown.
    """

    axes: FloatArray
    points: FloatArray
    squares: FloatArray

    def __post_init__(self) -> None:
        for name in ("axes", "points", "squares"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), np.float64))

    @functools.cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.points)

    def squares_at(self, terms: FloatArray) -> FloatArray:
        """Mean square of those with terms like these, (n,); NaN if nothing is known.

        Parameters
        ----------
        terms : ndarray of float64, shape (n, n_terms)

        Returns
        -------
        ndarray of float64, shape (n,)
            The larger mean of both kinds of errors: that of the fit is the least that may be expected.
            Weights (1 - (d / d_max)^3)^3 fall with the distance d to zero at the first one that does not
            count, so that the mean changes smoothly. What is far from all of them may be farther off: the
            mean is multiplied by (1 + d_8^2)^(1/4) with the distance d_8 of the eighth nearest.
        """
        wanted = min(NEIGHBORS + 1, len(self.points))
        return self._mean(*self._tree.query(terms @ self.axes, k=np.arange(1, wanted + 1)))

    def spaced(self, places: IntArray, of_structure: IntArray) -> tuple[References, FloatArray]:
        """The same, with distances in the unit of the usual one to the eighth nearest of other structures.

        Parameters
        ----------
        places : ndarray of int, shape (n,)
            References that tell what is usual.
        of_structure : ndarray of int, shape (m,)
            The structure of each reference.

        Returns
        -------
        spaced : References
        squares : ndarray of float64, shape (n,)
            What `squares_at` gives at these places without the references of their own structure.
        """
        parts = np.split(places, np.arange(_PLACES, len(places), _PLACES))
        found = [self._nearest_of_others(part, of_structure) for part in parts]
        near, nearest = (np.vstack(arrays) for arrays in zip(*found, strict=True))
        eighth = _eighth(near)
        usual = float(np.median(eighth[np.isfinite(eighth)])) if np.isfinite(eighth).any() else 0.0
        unit = usual if usual > 0.0 else 1.0
        spaced = References(self.axes / unit, as_in_a_file(self.points / unit), self.squares)
        return spaced, self._mean(near / unit, nearest)

    def _nearest_of_others(self, places: IntArray, of_structure: IntArray) -> tuple[FloatArray, IntArray]:
        """Distances, ascending, and numbers of the nearest references of other structures."""
        distance = cdist(self.points[places], self.points)
        distance[of_structure[places][:, None] == of_structure] = np.inf
        wanted = min(NEIGHBORS + 1, len(self.points))
        nearest = np.argpartition(distance, wanted - 1, axis=1)[:, :wanted]
        near = np.take_along_axis(distance, nearest, axis=1)
        order = np.argsort(near, axis=1)
        return np.take_along_axis(near, order, axis=1), np.take_along_axis(nearest, order, axis=1)

    def _mean(self, distance: FloatArray, nearest: IntArray) -> FloatArray:
        far = _eighth(distance)
        growth = (1.0 + np.square(np.where(np.isfinite(far), far, 0.0))) ** 0.25
        mean: FloatArray = growth * _weighted_mean(self.squares[nearest], _tricube(distance))
        return mean

    def to_dict(self) -> dict[str, str]:
        """What JSON keeps: digits that a plot shows suffice for places and errors."""
        return {
            "axes": _encoded(self.axes),
            "points": _encoded(self.points.astype(np.float32)),
            "squares": _encoded(self.squares.astype(np.float32)),
        }


def as_in_a_file(values: FloatArray) -> FloatArray:
    """Rounded as a file keeps them, so that a potential from a file gives the same bits.

    Numbers beyond the largest of 32 bits become that one.
    """
    largest = np.finfo(np.float32).max
    return np.clip(values, -largest, largest).astype(np.float32).astype(np.float64)


def _eighth(distance: FloatArray) -> FloatArray:
    """Of rows of ascending distances, that in the middle of the neighbors that count, or the last one."""
    return distance[:, min(NEIGHBORS // 2, distance.shape[1]) - 1]


def _tricube(distance: FloatArray) -> FloatArray:
    """Weights of neighbors by rows of ascending distance; an infinite distance has none."""
    finite: BoolArray = np.isfinite(distance)
    last = np.where(finite, distance, 0.0).max(axis=1, keepdims=True, initial=0.0)
    # With few atoms none is left to end the weights at: the last one counts a little.
    reach = last * (1.0 if distance.shape[1] > NEIGHBORS else 1.1) + np.finfo(np.float64).tiny
    weights = (1.0 - np.minimum(np.where(finite, distance, 0.0) / reach, 1.0) ** 3) ** 3 * finite
    # All at one distance: all the same.
    return np.where(weights.sum(axis=1, keepdims=True) > 0, weights, finite)


def _weighted_mean(squares: FloatArray, weights: FloatArray) -> FloatArray:
    """The larger of two means over axis 1 of (n, k, 2), without NaN; NaN where nothing is left."""
    present = np.isfinite(squares)
    weight = np.where(present, weights[..., None], 0.0)
    total: FloatArray = (np.where(present, squares, 0.0) * weight).sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean = total / weight.sum(axis=1)
    return np.fmax(mean[:, 0], mean[:, 1])


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """What a potential knows of its errors: covariance of its terms, known errors, reach of the data.

    With x the terms of an atom, of a force component, or of a structure per atom, together with its
    composition if reference energies were fitted, and C = A^-1 the inverse normal matrix of the fit,

        variance of the force on atom i, per component = s_i (mean over its components of x^T C x + l_F)
        variance of the energy of n atoms              = s n (x^T C x + l_E)
        extrapolation of atom i                        = x^T G^-1 x / the largest among atoms of its species

    where G is the sum of x x^T over the atoms of the training data. x^T C x, the leverage, is what the data
    leave open of the terms. The factors s are means of squared errors over leverage, of the most similar
    atoms or structures in the data, so that they hold what the terms cannot describe, too, and grow where
    these are far. An atom with a
    neighbor closer than in the data has at least the grade shortest distance / distance.

    Attributes
    ----------
    covariance_factor : ndarray of float64, shape (m, m)
        Lower triangular T_A, T_A T_A^T = A, of the reference energies, if they were fitted, and then the
        terms.
    leverage_factor : ndarray of float64, shape (n_terms, n_terms)
        Lower triangular T_G, T_G T_G^T = G.
    leverage_limits : dict of str to float
        By species, the largest leverage of its atoms in the training data.
    shortest_distances : dict of (str, str) to float
        By sorted pair of species, Angstrom.
    of_atoms : dict of str to References
        Atoms of each species, with errors of their forces.
    of_structures : References
        Structures, with errors of their energies.
    least_leverages : (float, float)
        l_F and l_E: where symmetry leaves nothing to predict, labels still have noise.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> uncertainty = model.potential_.uncertainty
    >>> uncertainty.n_terms == len(model.potential_.terms)
    True
    >>> sorted(uncertainty.leverage_limits)
    ['C', 'Si']
    """

    covariance_factor: FloatArray
    leverage_factor: FloatArray
    leverage_limits: Mapping[str, float]
    shortest_distances: Mapping[tuple[str, str], float]
    of_atoms: Mapping[str, References]
    of_structures: References
    least_leverages: tuple[float, float]

    def __post_init__(self) -> None:
        # One layout in memory, whether from a fit or from a file, so that results have the same bits.
        for name in ("covariance_factor", "leverage_factor"):
            factor = np.ascontiguousarray(getattr(self, name), np.float64)
            if factor.ndim != 2 or len(factor) != factor.shape[1] or not np.isfinite(factor).all():
                raise ValueError(f"uncertainty: {name} must be a finite square matrix")
            if not (np.diagonal(factor) > 0).all():
                raise ValueError(f"uncertainty: {name} must have a positive diagonal")
            object.__setattr__(self, name, factor)

    @property
    def n_terms(self) -> int:
        return len(self.leverage_factor)

    @functools.cached_property
    def _covariance_of_terms(self) -> FloatArray:
        """The factor for rows without reference energies, which come first."""
        return np.ascontiguousarray(self.covariance_factor[-self.n_terms :, -self.n_terms :])

    @functools.cached_property
    def _packed_leverage_factor(self) -> FloatArray:
        return _lower_half(self.leverage_factor)

    def deviations(
        self, design: Design, atoms: Atoms, species_a: Int32Array, shares: FloatArray
    ) -> tuple[float, FloatArray]:
        """Standard deviations of a checked structure.

        Parameters
        ----------
        design : Design
            The terms of the potential, ready for the kernels.
        atoms : ase.Atoms
        species_a : ndarray of int32, shape (n_atoms,)
            Species of each atom, as a place among those of the design.
        shares : ndarray of float64, shape (n_atoms, n_terms)
            Terms of each atom.

        Returns
        -------
        energy_std : float
            eV.
        forces_std : ndarray of float64, shape (n_atoms, 3)
            eV/Angstrom, the same for the components of an atom. NaN, as for the energy, if the training data
            had no such label.
        """
        rows = StructureDesign(design, atoms)
        n_atoms = len(atoms)
        row = np.append(rows.counts, rows.values)[-len(self.covariance_factor) :] / n_atoms
        of_energy = forward(self.covariance_factor, row[None])[0] + self.least_leverages[1]
        square = self.of_structures.squares_at(shares.mean(axis=0)[None])[0]
        of_forces = leverages_of_forces(self._covariance_of_terms, rows, n_atoms) + self.least_leverages[0]
        forces = np.sqrt(self._squares_of_atoms(design.species, species_a, shares) * of_forces)
        return float(np.sqrt(n_atoms * square * of_energy)), np.repeat(forces[:, None], 3, axis=1)

    def _squares_of_atoms(
        self, species: Sequence[str], species_a: Int32Array, shares: FloatArray
    ) -> FloatArray:
        """s of each atom, (n_atoms,)."""
        squares = np.full(len(shares), np.nan)
        for number in np.unique(species_a):
            own = species_a == number
            if species[number] in self.of_atoms:
                squares[own] = self.of_atoms[species[number]].squares_at(shares[own])
        known = np.isfinite(squares)
        # Of a species without forces in the training data, the most is expected that is known of another one.
        return np.where(known, squares, squares[known].max() if known.any() else np.nan)

    def extent(self, species: Sequence[str]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Factor, limits and shortest distances as `plip._core.TermValues.extrapolation` takes them."""
        shortest = np.zeros((len(species), len(species)))
        for (first, second), distance in self.shortest_distances.items():
            s, t = species.index(first), species.index(second)
            shortest[s, t] = shortest[t, s] = distance
        limits = np.array([self.leverage_limits.get(symbol, 0.0) for symbol in species])
        return self._packed_leverage_factor, limits, shortest

    def to_dict(self) -> dict[str, Any]:
        """What JSON keeps."""
        return {
            "covariance_factor": _encoded(_lower_half(self.covariance_factor)),
            "leverage_factor": _encoded(self._packed_leverage_factor),
            "leverage_limits": dict(self.leverage_limits),
            "shortest_distances": [[*pair, distance] for pair, distance in self.shortest_distances.items()],
            "least_leverages": list(self.least_leverages),
            "of_atoms": {symbol: found.to_dict() for symbol, found in self.of_atoms.items()},
            "of_structures": self.of_structures.to_dict(),
        }


def _lower_half(matrix: FloatArray) -> FloatArray:
    """Row by row."""
    return matrix[np.tril_indices(len(matrix))]


def _encoded(array: FloatArray) -> str:
    """Numbers in base64, little-endian: half as long as digits, and exact."""
    array = np.ascontiguousarray(array)
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def _decoded(value: Any, name: str, dtype: str, shape: tuple[int, ...]) -> FloatArray:
    """The numbers of `_encoded`; one -1 in the shape is any length."""
    try:
        array = np.frombuffer(base64.b64decode(value, validate=True), dtype).astype(np.float64)
        return array.reshape(shape)
    except (TypeError, ValueError) as error:
        raise ValueError(f"uncertainty: {name} must be {shape} numbers in base64: {error}") from None


def read_uncertainty(document: Mapping[str, Any], n_terms: int, species: Sequence[str]) -> Uncertainty | None:
    """The entry "uncertainty" of a file, or None; a ValueError says what is wrong with it."""
    found = document.get("uncertainty")
    if found is None:
        return None
    _check_entries(found)
    factors = {
        "covariance_factor": _read_factor(found, "covariance_factor", (n_terms, len(species) + n_terms)),
        "leverage_factor": _read_factor(found, "leverage_factor", (n_terms,)),
    }
    distances: dict[tuple[str, str], float] = {}
    for item in found["shortest_distances"]:
        if not isinstance(item, list) or len(item) != 3 or not all(symbol in species for symbol in item[:2]):
            raise ValueError("uncertainty: shortest_distances must list two species and a distance each")
        if (item[0], item[1]) in distances or (item[1], item[0]) in distances:
            raise ValueError(f"uncertainty: the shortest distance of {item[0]}-{item[1]} is there twice")
        distances[item[0], item[1]] = _positive("shortest distance", item[2])
    if not set(found["leverage_limits"]) <= set(species):
        raise ValueError("uncertainty: leverage_limits has species that the potential does not know")
    if len(found["least_leverages"]) != 2:
        raise ValueError("uncertainty: least_leverages must be two numbers")
    of_force, of_energy = (finite_number("least leverage", value) for value in found["least_leverages"])
    return Uncertainty(
        **factors,
        least_leverages=(of_force, of_energy),
        leverage_limits={
            symbol: _positive(f"leverage limit of {symbol}", value)
            for symbol, value in found["leverage_limits"].items()
        },
        shortest_distances=distances,
        of_atoms={symbol: _read_references(item, n_terms) for symbol, item in found["of_atoms"].items()},
        of_structures=_read_references(found["of_structures"], n_terms),
    )


def _positive(name: str, value: Any) -> float:
    number = finite_number(name, value)
    if number <= 0.0:
        raise ValueError(f"uncertainty: the {name} must be positive, got {value!r}")
    return number


def _read_factor(found: Mapping[str, Any], name: str, sizes: Sequence[int]) -> FloatArray:
    """A triangular matrix of one of these sizes, from its lower half row by row."""
    packed = _decoded(found[name], name, "<f8", (-1,))
    for size in sizes:
        if len(packed) == size * (size + 1) // 2:
            factor = np.zeros((size, size))
            factor[np.tril_indices(size)] = packed
            return factor
    raise ValueError(f"uncertainty: {name} has {len(packed)} numbers, not those of half a matrix of terms")


def _check_entries(found: Any) -> None:
    kinds = {
        "covariance_factor": str,
        "leverage_factor": str,
        "leverage_limits": dict,
        "shortest_distances": list,
        "least_leverages": list,
        "of_atoms": dict,
        "of_structures": dict,
    }
    if not isinstance(found, dict):
        raise ValueError(f"uncertainty must be an object or null, got {found!r}")
    for name, kind in kinds.items():
        if not isinstance(found.get(name), kind):
            raise ValueError(f"uncertainty: {name} is missing or of the wrong kind")


def _read_references(item: Any, n_terms: int) -> References:
    if not isinstance(item, dict):
        raise ValueError("uncertainty: references must be objects by species")
    axes = _decoded(item.get("axes"), "axes", "<f8", (n_terms, -1))
    points = _decoded(item.get("points"), "points", "<f4", (-1, axes.shape[1]))
    return References(axes, points, _decoded(item.get("squares"), "squares", "<f4", (len(points), 2)))
