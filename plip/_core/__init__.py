"""The evaluation core: plain C, shared with the LAMMPS plugin, and its Cython wrappers."""

from plip._core._evaluate import (
    ANY,
    LARGEST_GRADE,
    SWITCH_RANGE,
    Core,
    TermValues,
    check_length,
    check_power,
    check_radial,
    check_repulsion,
    check_terms,
    core_repulsion,
    cutoff_function,
    is_element,
    phi,
    radial_function,
    switch_function,
)
from plip._core._evaluate_each import closest_of_each, evaluate_each, values_of_each
from plip._core._neighbors import NeighborList, extremes, find_neighbors

__all__ = [
    "ANY",
    "LARGEST_GRADE",
    "SWITCH_RANGE",
    "Core",
    "NeighborList",
    "TermValues",
    "check_length",
    "check_power",
    "check_radial",
    "check_repulsion",
    "check_terms",
    "closest_of_each",
    "core_repulsion",
    "cutoff_function",
    "evaluate_each",
    "extremes",
    "find_neighbors",
    "is_element",
    "phi",
    "radial_function",
    "switch_function",
    "values_of_each",
]
