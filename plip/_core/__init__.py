"""The evaluation core: plain C, shared with the LAMMPS plugin, and its Cython wrapper."""

from plip._core._evaluate import Core, NeighborList, find_neighbors

__all__ = ["Core", "NeighborList", "find_neighbors"]
