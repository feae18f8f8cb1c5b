"""The evaluation core: plain C, shared with the LAMMPS plugin, and its Cython wrapper."""

from plip._core._evaluate import (
    Core,
    NeighborList,
    check_length,
    check_power,
    check_radial,
    check_repulsion,
    check_terms,
    core_repulsion,
    find_neighbors,
    is_element,
    radial_function,
)

__all__ = [
    "Core",
    "NeighborList",
    "check_length",
    "check_power",
    "check_radial",
    "check_repulsion",
    "check_terms",
    "core_repulsion",
    "find_neighbors",
    "is_element",
    "radial_function",
]
