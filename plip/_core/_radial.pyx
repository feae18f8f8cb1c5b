"""Functions of a distance as the C core has them (plip_core.h): radial functions and core repulsion."""

import numpy as np

cdef extern from "plip_core.h" nogil:
    const double PLIP_SWITCH_BEGIN
    const double PLIP_SWITCH_END
    void plip_phi(int, double, double, double, double *)
    void plip_cutoff_function(double, double, double *)
    void plip_switch(double, double, double *)
    void plip_radial(int, double, double, double, double, double, double *)
    ctypedef struct plip_core_pair:
        int first_number, second_number
        double inner, outer, force
    void plip_core_repulsion(const plip_core_pair *, double, double *, double *, double *)
    int plip_atomic_number(const char *)

__all__ = ["SWITCH_RANGE", "core_repulsion", "cutoff_function", "phi", "radial_function", "switch_function"]

# Between which parts of the shortest distance the switch of a density rises.
SWITCH_RANGE = (PLIP_SWITCH_BEGIN, PLIP_SWITCH_END)


def phi(function, r):
    """A radial function without cutoff function.

    Parameters
    ----------
    function : RadialFamily
        A scalar instance.
    r : array_like
        Distances in Angstrom.

    Returns
    -------
    ndarray of float64, shape (3, *r.shape)
        Value, first and second derivative; distances in Angstrom.
    """
    cdef int code = function.code
    cdef double p, q
    cdef ptrdiff_t k
    p, q = function.kernel_parameters()
    cdef double[:, ::1] x = _room(r)
    for k in range(x.shape[0]):
        plip_phi(code, p, q, x[k, 0], &x[k, 0])
    return np.asarray(x).T.reshape(3, *np.shape(r))


def cutoff_function(double cutoff, r):
    """The cutoff function, as `phi`; at the cutoff itself the limits from below."""
    cdef ptrdiff_t k
    cdef double[:, ::1] x = _room(r)
    for k in range(x.shape[0]):
        plip_cutoff_function(cutoff, x[k, 0], &x[k, 0])
    return np.asarray(x).T.reshape(3, *np.shape(r))


def switch_function(double shortest, r):
    """The switch of a density, as `phi`; `shortest` is the shortest distance in Angstrom."""
    cdef ptrdiff_t k
    cdef double[:, ::1] x = _room(r)
    for k in range(x.shape[0]):
        plip_switch(shortest, x[k, 0], &x[k, 0])
    return np.asarray(x).T.reshape(3, *np.shape(r))


def radial_function(function, double cutoff, double switch_distance, r):
    """g(r), a radial function times its cutoff function and switch, as `phi`.

    Parameters
    ----------
    function : RadialFamily
        A scalar instance.
    cutoff : float
        Angstrom.
    switch_distance : float
        Angstrom; 0 for no switch.
    r : array_like
        Distances in Angstrom.

    Returns
    -------
    ndarray of float64, shape (3, *r.shape)
        Value, first and second derivative; distances in Angstrom.
    """
    cdef int code = function.code
    cdef double p, q
    cdef ptrdiff_t k
    p, q = function.kernel_parameters()
    cdef double[:, ::1] x = _room(r)
    for k in range(x.shape[0]):
        plip_radial(code, p, q, cutoff, switch_distance, x[k, 0], &x[k, 0])
    return np.asarray(x).T.reshape(3, *np.shape(r))


def _room(r):
    """Room for three results of each distance, which stands where the first will be."""
    r = np.asarray(r, dtype=np.float64).ravel()
    return np.column_stack([r, r, r])


def core_repulsion(pair, fade, const double[::1] r not None, double force=0.0):
    """Core repulsion of a pair, and what it does to radial functions: they become fade(r) g(reach(r)).

    Parameters
    ----------
    pair : (str, str)
        Chemical symbols.
    fade : (float, float)
        Inner and outer distance in Angstrom; see `plip.potential.Potential`.
    r : ndarray of float64, shape (n,)
        Distances in Angstrom.
    force : float
        With which it begins, eV/Angstrom; 0 if that is not known.

    Returns
    -------
    repulsion, fade, reach : ndarray of float64, shape (n, 3)
        Value, first and second derivative of the repulsion in eV, the factor, and the distance in Angstrom.
    """
    cdef int k
    cdef plip_core_pair record
    results = np.empty((3, r.shape[0], 3))
    cdef double[:, :, ::1] v = results
    record.inner, record.outer = fade
    record.force = force
    record.first_number, record.second_number = [plip_atomic_number(symbol.encode()) for symbol in pair]
    for k in range(r.shape[0]):
        plip_core_repulsion(&record, r[k], &v[0, k, 0], &v[1, k, 0], &v[2, k, 0])
    return tuple(results)
