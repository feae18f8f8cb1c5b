"""The evaluation core: plain C, shared with the LAMMPS plugin, and its Cython wrappers."""

from plip._core._evaluate import LARGEST_GRADE, Core, TermValues
from plip._core._evaluate_each import closest_of_each, evaluate_each, imbalances_of_each, values_of_each
from plip._core._neighbors import (
    NeighborList,
    enclosing_radii,
    find_neighbors,
    find_surroundings,
    shortest_distance,
)
from plip._core._radial import (
    SWITCH_RANGE,
    core_repulsion,
    cutoff_function,
    phi,
    radial_function,
    switch_function,
)
from plip._core._terms import (
    ANY,
    check_length,
    check_power,
    check_radial,
    check_repulsion,
    check_terms,
    is_element,
)

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
    "enclosing_radii",
    "evaluate_each",
    "find_neighbors",
    "find_surroundings",
    "is_element",
    "phi",
    "radial_function",
    "shortest_distance",
    "switch_function",
    "imbalances_of_each",
    "values_of_each",
]
