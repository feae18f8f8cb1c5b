"""Potentials and their terms, evaluated for the atoms of one structure by the C core (plip_core.h).

Index suffixes: a local atom, b any atom (local ones first, then images), c Cartesian, v Voigt.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from libc.math cimport INFINITY
from libc.stdlib cimport free
from libc.string cimport memset

from plip._core._neighbors cimport NeighborList, plip_list
from plip._core._terms cimport _Repulsion, _term_records, plip_repulsion, plip_term

cdef extern from "plip_core.h" nogil:
    enum:
        PLIP_ERROR_LENGTH
        PLIP_CENTERS

    ctypedef struct plip_center:
        int atom
        int n_neighbors
        const int *neighbors
        double energy
        double closest
        double crowding

    plip_potential *plip_create(
        int, const double *, int, const plip_term *, const plip_repulsion *, const char *, char *
    )
    void plip_free(plip_potential *)
    double plip_cutoff(const plip_potential *)
    const char *plip_simd(const plip_potential *)
    double plip_table_error(const plip_potential *)
    size_t plip_memory(const plip_potential *)
    plip_workspace *plip_workspace_create(const plip_potential *)
    void plip_workspace_free(plip_workspace *)
    int plip_evaluate(
        const plip_potential *, plip_workspace *, const plip_system *, int, plip_center *, int
    )

    const double PLIP_LARGEST_GRADE
    plip_potential *plip_create_terms(int, int, const plip_term *, const char *, char *)
    int plip_term_values(
        const plip_potential *, plip_workspace *, const plip_system *, int, const plip_center *, int, double *
    )
    int plip_extrapolation(
        const plip_potential *,
        plip_workspace *,
        const plip_system *,
        const plip_extent *,
        int,
        const plip_center *,
        int,
        double *,
    )

__all__ = ["LARGEST_GRADE", "Core", "TermValues"]

# Of an atom outside of the data; see plip_core.h.
LARGEST_GRADE = PLIP_LARGEST_GRADE

# Systems of at least so many atoms are cut into BLOCKS blocks whose forces are summed in order. The borders
# depend on the number of atoms only, so that the number of threads does not change a bit of the result.
LARGE = 4096
BLOCKS = 8
FIRST_LARGE = LARGE
# Angstrom; see plip._structures._checks.
OVERLAP = 1e-3
# eV.
LARGEST_ENERGY = 1e200
# All bits of a neighbor index are the index.
cdef int NO_MASK = 0x7FFFFFFF


cdef class Core:
    """A potential made ready for evaluation.

    Parameters
    ----------
    species : sequence of str
        Chemical symbols; atoms are given by their position in it.
    terms : sequence of (Term, float)
        Terms and coefficients.
    reference : ndarray of float64, shape (n_species,)
        Reference energies in eV.
    simd : {"auto", "avx512", "avx2", "baseline"}
        Variant of the kernel; "auto" takes the best of this machine.
    repulsion : mapping of (str, str) to (float, float), or None
        Pairs of species, in any order, and the two distances in Angstrom between which the core repulsion
        takes over.
    density_limits : mapping of str to (float, float), or None
        Species, and the range in Angstrom and the limit of the density around its atoms.
    energy_floors : mapping of str to float, or None
        Species, and the least learned energy of its atoms in eV.
    core_forces : mapping of (str, str) to float, or None
        Pairs of species whose core repulsion begins with a force of its own in eV/Angstrom, and that force.
    is_additive : bool
        Whether terms are only added up, even if neighbors are so close that binding should end. Limits and
        floors must be None, too, if the energy is to be the sum of energies of parts of the terms.

    Attributes
    ----------
    cutoff : float
        Largest cutoff in Angstrom, 0 without terms.
    table_error : float
        Estimated bound of the error of a pair force by the radial tables, eV/Angstrom; see `Potential`.
    memory : int
        Bytes of plan and tables.
    simd : str
        The variant in use.

    Raises
    ------
    ValueError
        If a term cannot be evaluated.
    """

    def __cinit__(
        self,
        species,
        terms,
        const double[::1] reference not None,
        simd="auto",
        repulsion=None,
        density_limits=None,
        energy_floors=None,
        core_forces=None,
        bint is_additive=False,
    ):
        cdef _Repulsion beyond
        cdef plip_term *records
        cdef char[PLIP_ERROR_LENGTH] error
        cdef bytes variant = simd.encode()
        cdef const char *name = variant
        cdef int n_species = len(species), n_terms = len(terms)
        if reference.shape[0] != n_species:
            raise ValueError("there must be one reference energy per species")
        beyond = _Repulsion(
            species, repulsion, density_limits, energy_floors, core_forces, is_additive
        )
        records = _term_records(species, terms)
        with nogil:  # tables take a while
            self.potential = plip_create(
                n_species, &reference[0], n_terms, records, &beyond.record, name, error
            )
        free(records)
        if self.potential == NULL:
            raise ValueError(error.decode())
        self.spare = []

    def __dealloc__(self):
        plip_free(self.potential)

    @property
    def cutoff(self):
        return plip_cutoff(self.potential)

    @property
    def table_error(self):
        return plip_table_error(self.potential)

    @property
    def memory(self):
        return plip_memory(self.potential)

    @property
    def simd(self):
        return plip_simd(self.potential).decode()

    def evaluate(
        self,
        NeighborList neighbors not None,
        const double[:, ::1] positions not None,
        const double[:, ::1] cell not None,
        const int[::1] species not None,
        bint forces=True,
        bint strain=True,
        bint strains=False,
        int n_threads=1,
        double[::1] crowding=None,
    ):
        """Energies and their derivatives.

        Parameters
        ----------
        neighbors : NeighborList
            Holds all pairs within the cutoff; longer ones do not matter.
        positions : ndarray of float64, shape (n, 3)
            Angstrom; the atoms of the list, each near where it was when the list was made.
        cell : ndarray of float64, shape (3, 3)
            Angstrom, in rows.
        species : ndarray of int32, shape (n,)
            Position of each atom's species in the list of species.
        forces, strain, strains : bool
            What to return besides the energies.
        n_threads : int
            Threads for large systems. The result does not depend on it.
        crowding : ndarray of float64, shape (n,), or None
            Overwritten: density around each atom over its limit, 0 without a limit.

        Returns
        -------
        energies : ndarray of float64, shape (n,)
            Energy of each atom in eV, reference energy included; half of each pair's.
        forces : ndarray of float64, shape (n, 3), or None
            eV/Angstrom.
        strain : ndarray of float64, shape (6,), or None
            Derivative of the energy with respect to strain in eV, order xx yy zz yz xz xy.
        strains : ndarray of float64, shape (n, 6), or None
            The same by atom, half of each pair force to both atoms.

        Raises
        ------
        ValueError
            If two atoms are closer than 1e-3 Angstrom.
        """
        cdef plip_list *p = &neighbors.pairs
        cdef int n = p.n_local, n_all = p.n_all
        if crowding is not None and crowding.shape[0] != n:
            raise ValueError("crowding must have one entry per atom of the neighbor list")
        r, types = _with_images(neighbors, positions, cell, species)
        energies = np.zeros(n)
        n_blocks = BLOCKS if n >= LARGE else 1
        borders = [n * k // n_blocks for k in range(n_blocks + 1)]

        def block(k):
            results = [
                np.zeros((n_all, 3)) if forces else None,
                np.zeros(6) if strain else None,
                np.zeros((n_all, 6)) if strains else None,
            ]
            self._block(neighbors, borders[k], borders[k + 1], r, types, energies, crowding, *results)
            return results

        totals = None
        if n_threads > 1 and n_blocks > 1:
            with ThreadPoolExecutor(n_threads) as pool:
                for results in pool.map(block, range(n_blocks)):
                    totals = _add(totals, results)
        else:
            for k in range(n_blocks):
                totals = _add(totals, block(k))
        return (
            energies,
            _fold(neighbors, totals[0]) if forces else None,
            totals[1],
            _fold(neighbors, totals[2]) if strains else None,
        )

    def _block(
        self,
        NeighborList neighbors,
        int first,
        int last,
        const double[:, ::1] positions,
        const int[::1] types,
        double[::1] energies,
        double[::1] crowding,
        double[:, ::1] forces,
        double[::1] strain,
        double[:, ::1] strains,
    ):
        """Add the centers from `first` to `last` - 1."""
        cdef plip_system system
        cdef int k, status
        cdef double closest = INFINITY
        cdef double *crowd = NULL if crowding is None else &crowding[0]
        cdef int[::1] identity = np.arange(np.max(types, initial=0) + 1, dtype=np.int32)
        cdef _Workspace work
        if positions.shape[0] == 0:
            return
        work = self.spare.pop() if self.spare else _workspace(self.potential)
        system.positions = &positions[0, 0]
        system.types = &types[0]
        system.species_of_type = &identity[0]
        system.forces = NULL if forces is None else &forces[0, 0]
        system.strain_derivative = NULL if strain is None else &strain[0]
        system.strain_derivatives = NULL if strains is None else &strains[0, 0]
        system.centroid_derivatives = NULL
        with nogil:
            status = _add_centers(
                self.potential,
                work.memory,
                &system,
                &neighbors.pairs,
                first,
                last,
                &energies[0],
                crowd,
                &closest,
            )
        self.spare.append(work)
        if status:
            raise MemoryError("the neighbors of an atom do not fit into memory")
        if closest < OVERLAP:
            raise ValueError(
                f"two atoms are closer than {OVERLAP:g} Angstrom (periodic images included): remove one of "
                "them"
            )
        # False for NaN, too. Sums of such numbers would overflow.
        for k in range(first, last):
            if not -LARGEST_ENERGY < energies[k] < LARGEST_ENERGY:
                raise ValueError(
                    f"the energy of atom {k}, or a force, is not finite: a radial function is too steep for "
                    "its shortest distance, or a coefficient too large"
                )


cdef class TermValues:
    """The terms of a potential, each of them a value of its own.

    Parameters
    ----------
    species : sequence of str
        Chemical symbols; atoms are given by their position in it.
    terms : sequence of Term
    simd : {"auto", "avx512", "avx2", "baseline"}
        Variant of the kernel; "auto" takes the best of this machine.

    Attributes
    ----------
    cutoff : float
        Largest cutoff in Angstrom, 0 without terms.

    Raises
    ------
    ValueError
        If a term cannot be evaluated.
    """

    def __cinit__(self, species, terms, simd="auto"):
        cdef char[PLIP_ERROR_LENGTH] error
        cdef bytes variant = simd.encode()
        cdef plip_term *records = _term_records(species, [(term, 1.0) for term in terms])
        self.n_species, self.n_terms = len(species), len(terms)
        self.potential = plip_create_terms(self.n_species, self.n_terms, records, variant, error)
        free(records)
        if self.potential == NULL:
            raise ValueError(error.decode())
        self.spare = []

    def __dealloc__(self):
        plip_free(self.potential)

    @property
    def cutoff(self):
        return plip_cutoff(self.potential)

    def values(
        self,
        NeighborList neighbors not None,
        const double[:, ::1] positions not None,
        const double[:, ::1] cell not None,
        const int[::1] species not None,
    ):
        """Values of the terms of each atom; parameters as for `Core.evaluate`.

        Returns
        -------
        values : ndarray of float64, shape (n, n_terms)
            X_n with this atom as center; half of each pair of the atom for two-body terms. Sums over atoms
            are the descriptors of the structure. They agree to about 1e-9 of what the term is in matter.
        """
        result = np.zeros((species.shape[0], self.n_terms))
        self._fill(neighbors, positions, cell, species, NULL, result)
        return result

    def extrapolation(
        self,
        NeighborList neighbors not None,
        const double[:, ::1] positions not None,
        const double[:, ::1] cell not None,
        const int[::1] species not None,
        const double[::1] factor not None,
        const double[::1] limits not None,
        const double[:, ::1] shortest not None,
    ):
        """Extrapolation grades of each atom; other parameters as for `Core.evaluate`.

        A grade is the leverage |T^-1 x|^2 of the values x of the atom over the limit of its species. If a
        neighbor is closer than the shortest distance of the data, this distance over that of the neighbor
        counts if it is larger. Atoms of a species without data have `LARGEST_GRADE`, and no grade is larger.

        Parameters
        ----------
        factor : ndarray of float64, shape (n_terms (n_terms + 1) / 2,)
            Lower triangle T, row by row.
        limits : ndarray of float64, shape (n_species,)
            Largest leverage of the atoms of each species in the data; 0 if there are none.
        shortest : ndarray of float64, shape (n_species, n_species)
            Shortest distance of each pair of species in the data in Angstrom, symmetric; 0 if there is none.

        Returns
        -------
        grades : ndarray of float64, shape (n,)
        """
        cdef plip_extent extent
        if factor.shape[0] != self.n_terms * (self.n_terms + 1) // 2:
            raise ValueError("the factor must be the lower triangle of a matrix of the terms")
        if not limits.shape[0] == shortest.shape[0] == shortest.shape[1] == self.n_species:
            raise ValueError("limits and shortest distances must be those of the species")
        extent.factor = &factor[0] if self.n_terms else NULL
        extent.limits = &limits[0]
        extent.shortest = &shortest[0, 0]
        result = np.zeros((species.shape[0], 1))
        self._fill(neighbors, positions, cell, species, &extent, result)
        return result[:, 0]

    cdef _fill(
        self,
        NeighborList neighbors,
        const double[:, ::1] positions,
        const double[:, ::1] cell,
        const int[::1] species,
        const plip_extent *extent,
        double[:, ::1] result,
    ):
        """Values of the terms, or with an extent the grades."""
        cdef plip_list *p = &neighbors.pairs
        cdef plip_system system
        cdef int status
        cdef _Workspace work
        cdef double[:, ::1] r
        cdef int[::1] types
        cdef const int[::1] identity = np.arange(self.n_species, dtype=np.int32)
        r, types = _with_images(neighbors, positions, cell, species)
        if p.n_local == 0 or self.n_terms == 0:
            return
        work = self.spare.pop() if self.spare else _workspace(self.potential)
        memset(&system, 0, sizeof(plip_system))
        system.positions = &r[0, 0]
        system.types = &types[0]
        system.species_of_type = &identity[0]
        with nogil:
            status = _add_values(
                self.potential, work.memory, &system, p, extent, &result[0, 0], result.shape[1]
            )
        self.spare.append(work)
        if status:
            raise MemoryError("the neighbors of an atom do not fit into memory")


cdef class _Workspace:
    """Scratch memory of one thread."""

    def __dealloc__(self):
        plip_workspace_free(self.memory)


cdef _Workspace _workspace(const plip_potential *potential):
    cdef _Workspace work = _Workspace()
    work.memory = plip_workspace_create(potential)
    if work.memory == NULL:
        raise MemoryError
    return work


cdef void _set_centers(const plip_list *p, int first, int n, plip_center *centers) noexcept nogil:
    """The n atoms from `first` on, with their neighbors."""
    cdef int k
    for k in range(n):
        centers[k].atom = first + k
        centers[k].n_neighbors = <int>(p.offset[first + k + 1] - p.offset[first + k])
        centers[k].neighbors = p.neighbors + p.offset[first + k]


cdef int _add_centers(
    const plip_potential *potential,
    plip_workspace *work,
    const plip_system *system,
    const plip_list *p,
    int first,
    int last,
    double *energies,
    double *crowding,
    double *closest,
) noexcept nogil:
    """Evaluate the centers from `first` to `last` - 1; not zero without memory."""
    cdef plip_center[PLIP_CENTERS] centers
    cdef int n, k, status = 0
    while first < last:
        n = min(PLIP_CENTERS, last - first)
        _set_centers(p, first, n, centers)
        status |= plip_evaluate(potential, work, system, n, centers, NO_MASK)
        for k in range(n):
            energies[first + k] = centers[k].energy
            closest[0] = min(closest[0], centers[k].closest)
            if crowding != NULL:
                crowding[first + k] = centers[k].crowding
        first += n
    return status


cdef int _add_values(
    const plip_potential *potential,
    plip_workspace *work,
    const plip_system *system,
    const plip_list *p,
    const plip_extent *extent,
    double *result,
    Py_ssize_t n_columns,
) noexcept nogil:
    """Values of the terms, or with an extent the grades, of all atoms; not zero without memory."""
    cdef plip_center[PLIP_CENTERS] centers
    cdef int n, first = 0, status = 0
    while first < p.n_local:
        n = min(PLIP_CENTERS, p.n_local - first)
        _set_centers(p, first, n, centers)
        if extent == NULL:
            status |= plip_term_values(
                potential, work, system, n, centers, NO_MASK, result + first * n_columns
            )
        else:
            status |= plip_extrapolation(
                potential, work, system, extent, n, centers, NO_MASK, result + first * n_columns
            )
        first += n
    return status


cdef void _place_images(
    const plip_list *p, const double *positions, const double *cell, const int *species, double *r, int *types
) noexcept nogil:
    """Positions and species of all atoms, those of images too."""
    cdef int a, b, c
    cdef const int *shift
    for b in range(p.n_all):
        a = p.owner[b]
        shift = p.shift + 3 * <size_t>b
        types[b] = species[a]
        for c in range(3):
            r[3 * <size_t>b + c] = positions[3 * <size_t>a + c] + (
                shift[0] * cell[c] + shift[1] * cell[3 + c] + shift[2] * cell[6 + c]
            )


cdef _with_images(
    NeighborList neighbors,
    const double[:, ::1] positions,
    const double[:, ::1] cell,
    const int[::1] species,
):
    """Positions and species of all atoms, those of images too."""
    cdef plip_list *p = &neighbors.pairs
    cdef int n = p.n_local
    if positions.shape[0] != n or species.shape[0] != n or positions.shape[1] != 3:
        raise ValueError("positions and species must have one row per atom of the neighbor list")
    positions_all = np.empty((p.n_all, 3))
    species_all = np.empty(p.n_all, np.int32)
    cdef double[:, ::1] r = positions_all
    cdef int[::1] types = species_all
    if p.n_all:
        with nogil:
            _place_images(p, &positions[0, 0], &cell[0, 0], &species[0], &r[0, 0], &types[0])
    return positions_all, species_all


def _add(totals, results):
    if totals is None:
        return results
    for total, result in zip(totals, results, strict=True):
        if total is not None:
            total += result
    return totals


def _fold(NeighborList neighbors, double[:, ::1] values):
    """Add the rows of the images to those of their owners."""
    cdef plip_list *p = &neighbors.pairs
    if p.n_all:
        with nogil:
            _fold_images(p, &values[0, 0], values.shape[1])
    # A copy, so that the memory of the images is given back.
    return np.array(values[:p.n_local])


cdef void _fold_images(const plip_list *p, double *values, Py_ssize_t n_columns) noexcept nogil:
    cdef Py_ssize_t b, c
    for b in range(p.n_local, p.n_all):
        for c in range(n_columns):
            values[p.owner[b] * n_columns + c] += values[b * n_columns + c]
