"""Several small structures in one call of the C core, each with a neighbor list of its own."""

import numpy as np

from libc.math cimport INFINITY, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from plip._core._evaluate cimport (
    FIRST_LARGE,
    LARGEST_ENERGY,
    OVERLAP,
    Core,
    TermValues,
    _add_centers,
    _add_values,
    _fold_images,
    _place_images,
    _Workspace,
    _workspace,
    plip_potential,
    plip_system,
    plip_workspace,
)
from plip._core._neighbors cimport check_each, free_list, make_list, plip_list

__all__ = ["closest_of_each", "evaluate_each", "imbalances_of_each", "values_of_each"]


cdef class _Structures:
    """Structures one after the other; parameters as for `evaluate_each`.

    Holds one of them at a time, and memory for the atoms and images of the largest one so far.
    """

    cdef const double[:, ::1] positions
    cdef const double[:, :, ::1] cells
    cdef const int[:, ::1] periodic
    cdef const int[::1] species
    cdef const int[::1] identity
    cdef const int64_t[::1] borders
    cdef double cutoff
    cdef int n
    # The present one.
    cdef plip_list pairs
    cdef plip_system system
    cdef int room
    cdef double *all_positions
    cdef double *forces
    cdef int *types

    def __cinit__(
        self,
        const double[:, ::1] positions not None,
        const double[:, :, ::1] cells not None,
        const int[:, ::1] periodic not None,
        const int[::1] species not None,
        const int64_t[::1] borders not None,
        double cutoff,
    ):
        check_each(positions, cells, periodic, species, borders)
        self.positions, self.cells, self.periodic, self.species = positions, cells, periodic, species
        self.borders, self.cutoff, self.n = borders, cutoff, len(cells)
        self.identity = np.arange(np.max(species, initial=0) + 1, dtype=np.int32)
        self.system.species_of_type = &self.identity[0]

    def __dealloc__(self):
        free_list(&self.pairs)
        self.empty()

    cdef void empty(self) noexcept nogil:
        free(self.all_positions)
        free(self.forces)
        free(self.types)
        self.all_positions = self.forces = NULL
        self.types = NULL
        self.room = 0

    cdef bint make_room(self) noexcept nogil:
        """Whether there is memory for all atoms of the present structure."""
        cdef size_t n = self.pairs.n_all
        if self.pairs.n_all <= self.room:
            return True
        self.empty()
        self.all_positions = <double *>calloc(3 * n, sizeof(double))
        self.forces = <double *>calloc(3 * n, sizeof(double))
        self.types = <int *>calloc(n, sizeof(int))
        if self.all_positions == NULL or self.forces == NULL or self.types == NULL:
            return False
        self.room = self.pairs.n_all
        return True

    cdef bint take(self, int k) noexcept nogil:
        """Find the neighbors of structure k; whether it could be done."""
        cdef int64_t first = self.borders[k]
        cdef int n = <int>(self.borders[k + 1] - first)
        cdef const double *r = &self.positions[first, 0]
        cdef const double *cell = &self.cells[k, 0, 0]
        free_list(&self.pairs)
        if n == 0 or make_list(&self.pairs, n, r, cell, &self.periodic[k, 0], self.cutoff):
            return False
        if not self.make_room():
            return False
        _place_images(&self.pairs, r, cell, &self.species[first], self.all_positions, self.types)
        self.system.positions = self.all_positions
        self.system.types = self.types
        return True


def evaluate_each(
    Core core not None,
    positions,
    cells,
    periodic,
    species,
    borders,
    double cutoff,
    bint forces=True,
    bint strain=True,
):
    """Energies and their derivatives of several small structures, as `Core.evaluate` gives them for each.

    Parameters
    ----------
    core : Core
    positions, species
        As for `Core.evaluate`, those of one structure after the other.
    cells : ndarray of float64, shape (n_structures, 3, 3)
    periodic : ndarray of int32, shape (n_structures, 3)
    borders : ndarray of int64, shape (n_structures + 1,)
        Where the atoms of each structure begin, and the number of all atoms.
    cutoff : float
        For the neighbor lists, Angstrom.
    forces, strain : bool
        What to return besides the energies.

    Returns
    -------
    energies, forces, strains
        As from `Core.evaluate`; strains are of shape (n_structures, 6).
    are_done : ndarray of bool, shape (n_structures,)
        The others have to be evaluated alone: they have many atoms, or an error is to be raised.
    """
    cdef _Structures each = _Structures(positions, cells, periodic, species, borders, cutoff)
    cdef _Workspace work = core.spare.pop() if core.spare else _workspace(core.potential)
    cdef int64_t first
    cdef int k
    energies, are_done = np.zeros(len(positions)), np.zeros(each.n, bool)
    all_forces = np.zeros((len(positions) if forces else 0, 3))
    strains = np.zeros((each.n if strain else 0, 6))
    cdef double[::1] e = energies
    cdef double[:, ::1] f = all_forces, d = strains
    cdef char[::1] done = are_done.view(np.int8)
    with nogil:
        for k in range(each.n):
            first = each.borders[k]
            if each.borders[k + 1] - first < FIRST_LARGE and each.take(k):
                done[k] = _evaluate(
                    core.potential,
                    work.memory,
                    each,
                    &e[first],
                    &f[first, 0] if forces else NULL,
                    &d[k, 0] if strain else NULL,
                )
    core.spare.append(work)
    return energies, all_forces if forces else None, strains if strain else None, are_done


cdef bint _evaluate(
    const plip_potential *potential,
    plip_workspace *work,
    _Structures each,
    double *energies,
    double *forces,
    double *strain,
) noexcept nogil:
    """Evaluate the present structure; whether all is as it should be."""
    cdef const plip_list *p = &each.pairs
    cdef double closest = INFINITY
    cdef int k, failed
    each.system.forces = NULL if forces == NULL else each.forces
    each.system.strain_derivative = strain
    memset(each.forces, 0, 3 * <size_t>p.n_all * sizeof(double))
    failed = _add_centers(potential, work, &each.system, p, 0, p.n_local, energies, NULL, &closest)
    if failed or closest < OVERLAP:
        return False
    for k in range(p.n_local):
        if not -LARGEST_ENERGY < energies[k] < LARGEST_ENERGY:
            return False
    if forces != NULL:
        _fold_images(p, each.forces, 3)
        memcpy(forces, each.forces, 3 * <size_t>p.n_local * sizeof(double))
    return True


def values_of_each(TermValues terms not None, positions, cells, periodic, species, borders, double cutoff):
    """`TermValues.values` of the atoms of several structures; other parameters as for `evaluate_each`.

    Parameters
    ----------
    terms : TermValues

    Returns
    -------
    values : ndarray of float64, shape (n, n_terms)
    are_done : ndarray of bool, shape (n_structures,)
        As there.
    """
    cdef _Structures each = _Structures(positions, cells, periodic, species, borders, cutoff)
    cdef _Workspace work
    cdef int k
    result, are_done = np.zeros((len(positions), terms.n_terms)), np.zeros(each.n, bool)
    if terms.n_terms == 0:
        are_done[:] = True
        return result, are_done
    cdef double[:, ::1] values = result
    cdef char[::1] done = are_done.view(np.int8)
    work = terms.spare.pop() if terms.spare else _workspace(terms.potential)
    with nogil:
        for k in range(each.n):
            if each.take(k):
                done[k] = not _add_values(
                    terms.potential,
                    work.memory,
                    &each.system,
                    &each.pairs,
                    NULL,
                    &values[each.borders[k], 0],
                    terms.n_terms,
                )
    terms.spare.append(work)
    return result, are_done


def closest_of_each(
    positions, cells, periodic, species, borders, const double[::1] radii not None, double cutoff
):
    """Smallest distance between atoms of each structure, as a part of the sum of their radii.

    Other parameters are as for `evaluate_each`.

    Parameters
    ----------
    radii : ndarray of float64, shape (n_species,)
        Angstrom.

    Returns
    -------
    ndarray of float64, shape (n_structures,)
        Infinite without a pair within the cutoff, zero where no neighbor list can be made.
    """
    cdef _Structures each = _Structures(positions, cells, periodic, species, borders, cutoff)
    cdef int k
    if len(species) and not 0 <= np.min(species) <= np.max(species) < len(radii):
        raise ValueError("species must be places among the radii")
    closest = np.zeros(each.n)
    cdef double[::1] least = closest
    with nogil:
        for k in range(each.n):
            if each.take(k):
                least[k] = _closest(each, radii)
    return closest


cdef double _closest(_Structures each, const double[::1] radii) noexcept nogil:
    """The same of the present structure."""
    cdef const plip_list *p = &each.pairs
    cdef const double *r = each.all_positions
    cdef const int *types = each.types
    cdef double least = INFINITY, square
    cdef int64_t place
    cdef int i, b, c
    for i in range(p.n_local):
        for place in range(p.offset[i], p.offset[i + 1]):
            b = p.neighbors[place]
            square = 0.0
            for c in range(3):
                square += (r[3 * b + c] - r[3 * i + c]) ** 2
            least = min(least, sqrt(square) / (radii[types[i]] + radii[types[b]]))
    return least


def imbalances_of_each(
    positions, cells, periodic, species, borders, const double[::1] radii not None, double bond, double cutoff
):
    """How far the neighbors of each atom are from balance, and which atoms are bonded.

    Other parameters are as for `evaluate_each`.

    Parameters
    ----------
    radii : ndarray of float64, shape (n_species,)
        Angstrom.
    bond : float
        Atoms are bonded within so many sums of their radii.

    Returns
    -------
    imbalances : ndarray of float64, shape (n,)
        ``|sum_j f(r_ij) r_ij / |r_ij|| / sum_j f(r_ij)`` with ``f(r) = (1 - r / cutoff)^2``; 0 without
        neighbors.
    are_bonded : ndarray of bool, shape (n,)
    are_done : ndarray of bool, shape (n_structures,)
        As there.
    """
    cdef _Structures each = _Structures(positions, cells, periodic, species, borders, cutoff)
    cdef int k
    if len(species) and not 0 <= np.min(species) <= np.max(species) < len(radii):
        raise ValueError("species must be places among the radii")
    found, are_bonded = np.zeros(len(positions)), np.zeros(len(positions), bool)
    are_done = np.zeros(each.n, bool)
    cdef double[::1] imbalances = found
    cdef char[::1] bonded = are_bonded.view(np.int8), done = are_done.view(np.int8)
    with nogil:
        for k in range(each.n):
            if each.take(k):
                _find_imbalances(
                    each, radii, bond, cutoff, &imbalances[each.borders[k]], &bonded[each.borders[k]]
                )
                done[k] = True
    return found, are_bonded, are_done


cdef void _find_imbalances(
    _Structures each, const double[::1] radii, double bond, double cutoff, double *imbalances, char *bonded
) noexcept nogil:
    """The same of the present structure."""
    cdef const plip_list *p = &each.pairs
    cdef const double *r = each.all_positions
    cdef const int *types = each.types
    cdef double distance, pull, total
    cdef double[3] vector, sums
    cdef int64_t place
    cdef int i, b, c
    for i in range(p.n_local):
        total = sums[0] = sums[1] = sums[2] = 0.0
        for place in range(p.offset[i], p.offset[i + 1]):
            b = p.neighbors[place]
            for c in range(3):
                vector[c] = r[3 * b + c] - r[3 * i + c]
            distance = sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
            if distance < bond * (radii[types[i]] + radii[types[b]]):
                bonded[i] = True
            pull = max(0.0, 1.0 - distance / cutoff) ** 2
            total += pull
            for c in range(3):
                sums[c] += pull / distance * vector[c]
        if total > 0.0:
            imbalances[i] = sqrt(sums[0] ** 2 + sums[1] ** 2 + sums[2] ** 2) / total
