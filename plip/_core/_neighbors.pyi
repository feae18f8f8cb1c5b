import numpy as np
import numpy.typing as npt

from plip._types import FloatArray, Int32Array

def find_neighbors(
    positions: FloatArray,
    cell: FloatArray,
    pbc: npt.ArrayLike,
    cutoff: float,
    species: Int32Array,
    n_species: int,
) -> tuple[npt.NDArray[np.int64], Int32Array, FloatArray, FloatArray]: ...
def find_surroundings(
    positions: FloatArray,
    cell: FloatArray,
    pbc: npt.ArrayLike,
    cutoff: float,
    species: Int32Array,
    n_species: int,
    reach: float,
) -> tuple[npt.NDArray[np.int64], Int32Array, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]: ...
def shortest_distance(
    positions: FloatArray, cell: FloatArray, pbc: npt.ArrayLike, cutoff: float
) -> float: ...
def enclosing_radii(
    positions: FloatArray,
    cell: FloatArray,
    pbc: npt.ArrayLike,
    atoms: Int32Array,
    reach: float,
    count: float,
) -> tuple[FloatArray, Int32Array, FloatArray]: ...

class NeighborList:
    def __init__(
        self, positions: FloatArray, cell: FloatArray, periodic: Int32Array, cutoff: float
    ) -> None: ...
    @property
    def n_local(self) -> int: ...
    @property
    def n_all(self) -> int: ...
    @property
    def n_pairs(self) -> int: ...
    def to_arrays(self) -> tuple[Int32Array, Int32Array, Int32Array]: ...
