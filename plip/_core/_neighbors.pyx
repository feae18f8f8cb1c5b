"""Python face of the neighbor list in C (plip_list.c).

Index suffixes: a local atom, b any atom (local ones first, then images), c Cartesian, p pair, s species.
"""

import numpy as np

from libc.math cimport INFINITY, M_PI, cbrt, fabs, sqrt
from libc.stdint cimport int64_t

cdef extern from "plip_core.h" nogil:
    enum:
        PLIP_TOO_MANY
        PLIP_FAR_AWAY

    int plip_list_build(plip_list *, int, const double *, const double *, const int *, double)
    void plip_list_free(plip_list *)

__all__ = ["NeighborList", "enclosing_radii", "find_neighbors", "find_surroundings", "shortest_distance"]

cdef enum:
    # Of a search for a radius, which takes about four.
    MOST_STEPS = 100


cdef int make_list(
    plip_list *pairs, int n, const double *positions, const double *cell, const int *periodic, double cutoff
) noexcept nogil:
    """For other modules: make a list of checked arguments; not zero if it cannot be made."""
    return plip_list_build(pairs, n, positions, cell, periodic, cutoff)


cdef void free_list(plip_list *pairs) noexcept nogil:
    plip_list_free(pairs)


cdef int check_each(
    const double[:, ::1] positions,
    const double[:, :, ::1] cells,
    const int[:, ::1] periodic,
    const int[::1] species,
    const int64_t[::1] borders,
) except -1:
    """For other modules: raise unless these are arrays of several structures; see `evaluate_each`."""
    cdef Py_ssize_t n = len(cells), k
    if positions.shape[1] != 3 or cells.shape[1] != 3 or cells.shape[2] != 3 or periodic.shape[1] != 3:
        raise ValueError("positions must be of shape (n, 3), cells (n, 3, 3), periodic (n, 3)")
    if len(species) != len(positions) or len(periodic) != n or len(borders) != n + 1:
        raise ValueError("there must be one species per position, and one cell per structure")
    if borders[0] != 0 or borders[n] != len(positions):
        raise ValueError("borders must begin with 0 and end with the number of atoms")
    for k in range(n):
        if borders[k] > borders[k + 1]:
            raise ValueError("borders must ascend")
    return 0


cdef int build_list(
    plip_list *pairs,
    const double[:, ::1] positions,
    const double[:, ::1] cell,
    const int[::1] periodic,
    double cutoff,
) except -1:
    """Make a neighbor list; see `NeighborList` for the parameters and errors."""
    cdef int status, n = positions.shape[0]
    cdef const double *r = &positions[0, 0] if n else NULL
    if n and positions.shape[1] != 3 or cell.shape[0] != 3 or cell.shape[1] != 3 or periodic.shape[0] != 3:
        raise ValueError("positions must be of shape (n, 3), cell (3, 3), periodic (3,)")
    if not 0.0 < cutoff < INFINITY:
        raise ValueError(f"cutoff must be a positive length in Angstrom, got {cutoff}")
    with nogil:
        status = plip_list_build(pairs, n, r, &cell[0, 0], &periodic[0], cutoff)
    if status == PLIP_TOO_MANY:
        raise ValueError(
            f"the structure has too many neighbors within {cutoff:g} Angstrom for the memory (more than "
            "200,000 of one atom, or more than 50 million and 500 for each atom): check its cell and "
            "positions (in Angstrom), or use a shorter cutoff or a smaller structure"
        )
    if status == PLIP_FAR_AWAY:
        raise ValueError(
            "the structure has atoms too many cell vectors away from its cell, or lengths not finite: "
            "correct its cell and positions (in Angstrom)"
        )
    if status:
        raise MemoryError("the neighbor list does not fit into memory")
    return 0


def find_neighbors(
    const double[:, ::1] positions not None,
    const double[:, ::1] cell not None,
    pbc,
    double cutoff,
    const int[::1] species not None,
    int n_species,
):
    """All neighbors within a cutoff, by center and by the species of the neighbor.

    Parameters
    ----------
    positions : ndarray of float64, shape (n_atoms, 3)
        Angstrom; may lie outside the cell.
    cell : ndarray of float64, shape (3, 3)
        Angstrom, in rows; rows of directions that are not periodic do not matter.
    pbc : array_like of bool, shape (3,)
        Periodic directions.
    cutoff : float
        Angstrom.
    species : ndarray of int32, shape (n_atoms,)
        Species of each atom, below `n_species`.
    n_species : int
        Number of species.

    Returns
    -------
    first_as : ndarray of int64, shape (n_atoms * n_species + 1,)
        Pairs ``first_as[i * n_species + s]`` to ``first_as[i * n_species + s + 1]`` are the neighbors of
        species s of atom i, in an order that depends on the arguments only.
    neighbor_p : ndarray of int32, shape (n_pairs,)
        Index j of the neighbor.
    vector_pc : ndarray of float64, shape (n_pairs, 3)
        Vectors r_j - r_i, image included, in Angstrom; opposite ones differ by their sign alone.
    distance_p : ndarray of float64, shape (n_pairs,)
        Their lengths in Angstrom, below `cutoff`.

    Raises
    ------
    ValueError
        As for `NeighborList`, or if a species is out of range.
    """
    return _find_neighbors(positions, cell, pbc, cutoff, species, n_species, NULL)


def find_surroundings(
    const double[:, ::1] positions not None,
    const double[:, ::1] cell not None,
    pbc,
    double cutoff,
    const int[::1] species not None,
    int n_species,
    double reach,
):
    """`find_neighbors`, and what is closest and densest among them.

    Parameters
    ----------
    positions, cell, pbc, cutoff, species, n_species
        As there.
    reach : float
        Range in Angstrom of the density, the sum over neighbors of (1 - r^2 / reach^2)^3.

    Returns
    -------
    first_as, neighbor_p, vector_pc, distance_p : ndarrays
        As from `find_neighbors`.
    shortest : ndarray of float64, shape (n_species, n_species)
        Shortest distance in Angstrom by species of center and neighbor, symmetric; infinite without such a
        pair.
    densest : ndarray of float64, shape (n_species,)
        Largest density around an atom of each species.
    counts : ndarray of float64, shape (n_species, n_species)
        Number of neighbors of each species (column) around all atoms of each species (row).

    Raises
    ------
    ValueError
        As for `find_neighbors`.
    """
    cdef extreme_neighbors found
    n = max(n_species, 1)
    shortest, densest, counts = np.full((n, n), np.inf), np.zeros(n), np.zeros((n, n))
    cdef double[:, ::1] near = shortest, number = counts
    cdef double[::1] dense = densest
    found.reach, found.shortest, found.densest, found.counts = reach, &near[0, 0], &dense[0], &number[0, 0]
    neighbors = _find_neighbors(positions, cell, pbc, cutoff, species, n_species, &found)
    # Rounding may make the two directions of a pair differ.
    return *neighbors, np.minimum(shortest, shortest.T), densest, counts


cdef tuple _find_neighbors(
    const double[:, ::1] positions,
    const double[:, ::1] cell,
    pbc,
    double cutoff,
    const int[::1] species,
    int n_species,
    extreme_neighbors *extremes,
):
    """The arrays of `find_neighbors`; what is extreme among them is added unless it is NULL."""
    cdef NeighborList pairs
    cdef neighbor_arrays to
    cdef Py_ssize_t n = positions.shape[0], i
    cdef bint outside = n_species < 1 or species.shape[0] != n
    for i in range(n if not outside else 0):
        outside |= not 0 <= species[i] < n_species
    if outside:
        raise ValueError("species must have one number from 0 to n_species - 1 for each atom")
    pairs = _list_within(positions, cell, pbc, cutoff)
    first = np.zeros(n * <size_t>n_species + 1, np.int64)
    if pairs.n_pairs == 0:
        return first, np.empty(0, np.int32), np.empty((0, 3)), np.empty(0)
    neighbors = np.empty(pairs.n_pairs, np.int32)
    vectors, distances = np.empty((pairs.n_pairs, 3)), np.empty(pairs.n_pairs)
    cdef int64_t[::1] first_as = first
    cdef int[::1] neighbor_p = neighbors
    cdef double[:, ::1] vector_pc = vectors
    cdef double[::1] distance_p = distances
    to.first, to.neighbor = &first_as[0], &neighbor_p[0]
    to.vector, to.distance = &vector_pc[0, 0], &distance_p[0]
    with nogil:
        fill_neighbors(
            &pairs.pairs, &positions[0, 0], &cell[0, 0], cutoff, &species[0], n_species, &to, extremes
        )
    n_found = first_as[n * n_species]
    return first, neighbors[:n_found], vectors[:n_found], distances[:n_found]


cdef void fill_neighbors(
    const plip_list *p,
    const double *positions,
    const double *cell,
    double cutoff,
    const int *species,
    int n_species,
    neighbor_arrays *to,
    extreme_neighbors *extremes,
) noexcept nogil:
    """For other modules, too: fill the arrays of `find_neighbors`, which have room for all pairs of a list.

    The list reaches SLIGHTLY_FARTHER. What is extreme among the neighbors is added unless it is NULL.
    """
    cdef int64_t *first
    cdef int64_t m, end = 0
    cdef double r
    cdef int i, t, b
    to.first[0] = 0
    for i in range(p.n_local):
        first = to.first + i * <int64_t>n_species
        for t in range(n_species):
            for m in range(p.offset[i], p.offset[i + 1]):
                b = p.neighbors[m]
                if species[p.owner[b]] != t:
                    continue
                r = _find_vector(p, positions, cell, i, b, to.vector + 3 * end)
                if r < cutoff:
                    to.neighbor[end] = p.owner[b]
                    to.distance[end] = r
                    end += 1
            first[t + 1] = end
        if extremes != NULL:
            _add_extremes(extremes, species[i], n_species, first, to.distance)


cdef void _add_extremes(
    extreme_neighbors *extremes, int s, int n_species, const int64_t *first, const double *distance
) noexcept nogil:
    """Add an atom of species s, whose neighbors of each species begin at `first`."""
    cdef double *shortest = extremes.shortest + s * n_species
    cdef double density = 0.0, left
    cdef int64_t m
    cdef int t
    for t in range(n_species):
        extremes.counts[s * n_species + t] += first[t + 1] - first[t]
        for m in range(first[t], first[t + 1]):
            shortest[t] = min(shortest[t], distance[m])
            if distance[m] < extremes.reach:
                left = 1.0 - (distance[m] / extremes.reach) * (distance[m] / extremes.reach)
                density += left * left * left
    extremes.densest[s] = max(extremes.densest[s], density)


cdef NeighborList _list_within(
    const double[:, ::1] positions, const double[:, ::1] cell, pbc, double cutoff
):
    periodic = np.array(pbc, dtype=bool).astype(np.int32)
    return NeighborList(positions, cell, periodic, SLIGHTLY_FARTHER * cutoff)


cdef inline double _find_vector(
    const plip_list *p, const double *positions, const double *cell, int i, int b, double *d
) noexcept nogil:
    """Vector from atom i to a neighbor in the list, and its length."""
    cdef int j = p.owner[b], c
    cdef int[3] shift
    for c in range(3):
        shift[c] = p.shift[3 * <size_t>b + c] - p.shift[3 * <size_t>i + c]
    for c in range(3):
        d[c] = positions[3 * <size_t>j + c] - positions[3 * <size_t>i + c] + (
            shift[0] * cell[c] + shift[1] * cell[3 + c] + shift[2] * cell[6 + c]
        )
    return sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])


def shortest_distance(
    const double[:, ::1] positions not None, const double[:, ::1] cell not None, pbc, double cutoff
):
    """Shortest distance between two atoms, images included; infinite if none is below the cutoff.

    Parameters
    ----------
    positions, cell, pbc, cutoff
        As for `find_neighbors`.

    Returns
    -------
    float
        Angstrom.

    Raises
    ------
    ValueError
        As for `NeighborList`.
    """
    cdef NeighborList pairs = _list_within(positions, cell, pbc, cutoff)
    cdef const plip_list *p = &pairs.pairs
    cdef double[3] d
    cdef double shortest = INFINITY
    cdef int i
    cdef int64_t m
    with nogil:
        for i in range(p.n_local):
            for m in range(p.offset[i], p.offset[i + 1]):
                shortest = min(
                    shortest, _find_vector(p, &positions[0, 0], &cell[0, 0], i, p.neighbors[m], d)
                )
    return shortest if shortest < cutoff else INFINITY


def enclosing_radii(
    const double[:, ::1] positions not None,
    const double[:, ::1] cell not None,
    pbc,
    const int[::1] atoms not None,
    double reach,
    double count,
):
    """Radii around atoms at which the cutoff function counts so many atoms.

    The count within a radius R is the sum of (1 + cos(pi r / R)) / 2 over the atom itself and its neighbors.

    Parameters
    ----------
    positions, cell, pbc
        As for `find_neighbors`.
    atoms : ndarray of int32, shape (n,)
        Places of the atoms.
    reach : float
        Largest radius in Angstrom.
    count : float
        More than 1.

    Returns
    -------
    radii : ndarray of float64, shape (n,)
        Angstrom; the cube root of the count is right within 1e-4. Infinite beyond `reach`.
    n_inside : ndarray of int32, shape (n,)
        Atoms within the radius, or within `reach`; the atom itself is one.
    nearest : ndarray of float64, shape (n,)
        Distance of the nearest neighbor in Angstrom, infinite beyond `reach`.

    Raises
    ------
    ValueError
        As for `NeighborList`, or if a place is not that of an atom.
    """
    cdef Py_ssize_t n = atoms.shape[0], k
    radii, inside, nearest = np.full(n, np.inf), np.empty(n, np.int32), np.full(n, np.inf)
    cdef double[::1] radius = radii, shortest = nearest
    cdef int[::1] n_inside = inside
    cdef NeighborList pairs
    cdef const plip_list *p
    cdef int64_t m, most = 1, found
    cdef double[3] d
    for k in range(n):
        if not 0 <= atoms[k] < positions.shape[0]:
            raise ValueError(f"there is no atom {atoms[k]}")
    pairs = _list_within(positions, cell, pbc, reach)
    p = &pairs.pairs
    for k in range(n):
        most = max(most, p.offset[atoms[k] + 1] - p.offset[atoms[k]])
    cdef double[::1] distance = np.empty(most)
    with nogil:
        for k in range(n):
            found = 0
            for m in range(p.offset[atoms[k]], p.offset[atoms[k] + 1]):
                distance[found] = _find_vector(
                    p, &positions[0, 0], &cell[0, 0], atoms[k], p.neighbors[m], d
                )
                shortest[k] = min(shortest[k], distance[found])
                found += distance[found] < reach
            radius[k] = _enclosing_radius(&distance[0], found, reach, count)
            n_inside[k] = 1
            for m in range(found):
                n_inside[k] += distance[m] < radius[k]
    nearest[nearest >= reach] = np.inf
    return radii, inside, nearest


cdef double _enclosing_radius(const double *distance, int64_t n, double reach, double count) noexcept nogil:
    """The radius of one atom from the distances of its neighbors.

    The cube root of the count is nearly straight, so that false position soon ends; of an end that stays, the
    half counts each time (Dowell and Jarratt, BIT 11, 168 (1971)).
    """
    cdef double wanted = cbrt(count), low = 0.0, high = reach, below = 1.0 - wanted, middle, difference
    cdef double above = cbrt(_count_within(distance, n, high)) - wanted
    cdef int _, side = 0
    if above < 0.0:
        return INFINITY
    for _ in range(MOST_STEPS):
        middle = high - (high - low) * above / (above - below)
        difference = cbrt(_count_within(distance, n, middle)) - wanted
        if fabs(difference) < 1e-4:
            break
        if difference > 0.0:
            high, above = middle, difference
            below *= 0.5 if side > 0 else 1.0
            side = 1
        else:
            low, below = middle, difference
            above *= 0.5 if side < 0 else 1.0
            side = -1
    return middle


cdef double _count_within(const double *distance, int64_t n, double radius) noexcept nogil:
    """The sum of the cutoff function over an atom and its neighbors."""
    cdef double total = 1.0, inverse = 1.0 / radius, angle, square
    cdef int64_t m
    for m in range(n):
        # The series of the sine up to its 13th power, right to 1e-9, takes a tenth of the time of cos.
        angle = M_PI * (min(distance[m] * inverse, 1.0) - 0.5)
        square = angle * angle
        total += 0.5 - 0.5 * angle * (1.0 + square * (-1.0 / 6.0 + square * (1.0 / 120.0 + square * (
            -1.0 / 5040.0 + square * (1.0 / 362880.0 + square * (
                -1.0 / 39916800.0 + square * (1.0 / 6227020800.0)
            ))
        ))))
    return total


cdef class NeighborList:
    """All pairs of atoms closer than a cutoff, both ways; images are atoms of their own.

    Parameters
    ----------
    positions : ndarray of float64, shape (n, 3)
        Angstrom; may lie outside the cell.
    cell : ndarray of float64, shape (3, 3)
        Angstrom, in rows; rows of directions that are not periodic do not matter.
    periodic : ndarray of int32, shape (3,)
    cutoff : float
        Angstrom.

    Attributes
    ----------
    n_local, n_all, n_pairs : int
        Atoms, atoms with images, directed pairs.

    Raises
    ------
    ValueError
        If there are more neighbors or images than memory should hold (200,000 of one atom; 50 million pairs,
        or 500 for each atom if that is more), an atom is too far outside the cell, or the cutoff is not a
        positive number.
    """

    def __cinit__(
        self,
        const double[:, ::1] positions not None,
        const double[:, ::1] cell not None,
        const int[::1] periodic not None,
        double cutoff,
    ):
        build_list(&self.pairs, positions, cell, periodic, cutoff)

    def __dealloc__(self):
        plip_list_free(&self.pairs)

    @property
    def n_local(self):
        return self.pairs.n_local

    @property
    def n_all(self):
        return self.pairs.n_all

    @property
    def n_pairs(self):
        return self.pairs.offset[self.pairs.n_local]

    def to_arrays(self):
        """The list as arrays.

        Returns
        -------
        i, j : ndarray of int32, shape (n_pairs,)
            Local indices of both atoms.
        S : ndarray of int32, shape (n_pairs, 3)
            Cell vectors between them: ``D = r_j - r_i + S @ cell``.
        """
        cdef plip_list *p = &self.pairs
        i = np.repeat(
            np.arange(p.n_local, dtype=np.int32), np.diff(np.asarray(<int64_t[:p.n_local + 1]>p.offset))
        )
        if i.size == 0:
            return i, i.copy(), np.empty((0, 3), np.int32)
        b = np.asarray(<int[:i.size]>p.neighbors)
        shift = np.asarray(<int[:3 * p.n_all]>p.shift).reshape(-1, 3)
        return i, np.asarray(<int[:p.n_all]>p.owner)[b], shift[b] - shift[i]
