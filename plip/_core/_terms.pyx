"""Terms, and what replaces them outside the data, as the C core takes them; which ones can be evaluated."""

import numpy as np

from libc.stdlib cimport calloc, free
from libc.string cimport memset

cdef extern from "plip_core.h" nogil:
    enum:
        PLIP_ERROR_LENGTH
        PLIP_TWO_BODY
        PLIP_THREE_BODY
        PLIP_N_BODY
        PLIP_FOUR_BODY
        PLIP_ANY
        PLIP_ROOT

    int plip_check_length(const char *, double, char *)
    int plip_check_radial(int, double, double, char *)
    int plip_check_power(int, const int *, char *)
    int plip_check_term(int, const plip_term *, char *)
    int plip_check_repulsion(int, const plip_repulsion *, char *)
    int plip_atomic_number(const char *)

__all__ = [
    "ANY",
    "check_length",
    "check_power",
    "check_radial",
    "check_repulsion",
    "check_terms",
    "is_element",
]

KINDS = {
    "two-body": PLIP_TWO_BODY,
    "three-body": PLIP_THREE_BODY,
    "N-body": PLIP_N_BODY,
    "four-body": PLIP_FOUR_BODY,
}

# In place of a species of a term: atoms of every species.
ANY = "*"


def is_element(symbol):
    """Whether a str is a chemical symbol (or "X", the dummy atom of ASE)."""
    return "\0" not in symbol and plip_atomic_number(symbol.encode(errors="replace")) >= 0


def check_length(name, double value):
    """Raise ValueError for what is no cutoff or switch distance, in Angstrom."""
    cdef char[PLIP_ERROR_LENGTH] error
    if plip_check_length(name.encode(), value, error):
        raise ValueError(error.decode(errors="replace"))


def check_radial(int code, double p, double q):
    """Raise ValueError for parameters outside the range of a radial family."""
    cdef char[PLIP_ERROR_LENGTH] error
    if plip_check_radial(code, p, q, error):
        raise ValueError(error.decode())


def check_power(interaction, power):
    """Raise ValueError for powers that cannot be evaluated.

    Parameters
    ----------
    interaction : str
        As that of a Term.
    power : None, int, 0.5 or tuple of int
    """
    cdef int[3] powers
    cdef char[PLIP_ERROR_LENGTH] error
    _set_power(powers, power, KINDS[interaction] == PLIP_N_BODY)
    if plip_check_power(KINDS[interaction], powers, error):
        raise ValueError(f"{error.decode()}, got {power!r}")


def check_terms(species, terms):
    """Raise ValueError for the first term that cannot be evaluated; parameters as for `Core`."""
    cdef plip_term record
    cdef char[PLIP_ERROR_LENGTH] error
    index = {symbol: s for s, symbol in enumerate(species)}
    for n, (term, coefficient) in enumerate(terms):
        _set_term(&record, index, term, coefficient)
        if plip_check_term(len(index), &record, error):
            raise ValueError(f"term {n}: {error.decode()}")


def check_repulsion(species, repulsion, density_limits, energy_floors, core_forces):
    """Raise ValueError for what replaces terms and cannot be evaluated; parameters as for `Core`."""
    cdef char[PLIP_ERROR_LENGTH] error
    beyond = _Repulsion(species, repulsion, density_limits, energy_floors, core_forces)
    if plip_check_repulsion(len(species), &beyond.record, error):
        raise ValueError(error.decode(errors="replace"))


cdef class _Repulsion:
    """The record of the core for what replaces the terms outside the data, and its memory."""

    def __cinit__(
        self, species, repulsion, density_limits, energy_floors, core_forces, bint is_additive=False
    ):
        cdef int n = len(species), k, s, t
        self.symbols = <const char **>calloc(n + 1, sizeof(char *))
        if self.symbols == NULL:
            raise MemoryError
        self.names = [symbol.encode() for symbol in species]
        for k in range(n):
            self.symbols[k] = self.names[k]
        index = {symbol: k for k, symbol in enumerate(species)}
        self.distances = np.zeros((3, n, n))
        self.limits = np.zeros((2, n))
        for (first, second), fade in (repulsion or {}).items():
            s, t = index[first], index[second]
            for k in range(2):
                self.distances[k, s, t] = self.distances[k, t, s] = fade[k]
        for (first, second), force in (core_forces or {}).items():
            s, t = index[first], index[second]
            self.distances[2, s, t] = self.distances[2, t, s] = force
        for symbol, limit in (density_limits or {}).items():
            s = index[symbol]
            for k in range(2):
                self.limits[k, s] = limit[k]
        self.floors = np.full(n, -np.inf)
        for symbol, energy in (energy_floors or {}).items():
            self.floors[index[symbol]] = energy
        self.record.symbols = self.symbols
        self.record.inner, self.record.outer = &self.distances[0, 0, 0], &self.distances[1, 0, 0]
        self.record.force = &self.distances[2, 0, 0]
        self.record.range, self.record.limit = &self.limits[0, 0], &self.limits[1, 0]
        self.record.floor = &self.floors[0]
        self.record.is_additive = is_additive

    def __dealloc__(self):
        free(self.symbols)


cdef _set_power(int *powers, power, bint is_density):
    """What an int cannot hold is out of every range as well."""
    powers[0] = powers[1] = powers[2] = 0
    if power is not None:
        for m, value in enumerate(power if isinstance(power, tuple) else (power,)):
            # The core has no power 0 of a density, but a number in its place for the root.
            if is_density and value in (0, 0.5):
                value = PLIP_ROOT if value else -1
            powers[m] = min(max(value, -10**9), 10**9)


cdef _set_term(plip_term *record, index, term, double coefficient):
    memset(record, 0, sizeof(plip_term))
    record.kind = KINDS[term.interaction]
    for m, symbol in enumerate(term.species):
        record.species[m] = PLIP_ANY if symbol == ANY else index.get(symbol, -1)
    for m, function in enumerate(term.radial):
        record.family[m] = function.code
        record.p[m], record.q[m] = function.kernel_parameters()
    _set_power(record.power, term.power, record.kind == PLIP_N_BODY)
    record.cutoff = term.cutoff
    record.switch_distance = term.switch or 0.0
    record.coefficient = coefficient


cdef plip_term *_term_records(species, terms) except NULL:
    """Records of terms and their coefficients; the caller frees them."""
    cdef int k
    cdef plip_term *records = <plip_term *>calloc(len(terms) + 1, sizeof(plip_term))
    if records == NULL:
        raise MemoryError
    index = {symbol: s for s, symbol in enumerate(species)}
    try:
        for k, (term, coefficient) in enumerate(terms):
            _set_term(records + k, index, term, coefficient)
    except BaseException:
        free(records)
        raise
    return records
