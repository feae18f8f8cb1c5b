from collections.abc import Sequence

from plip._core._neighbors import NeighborList
from plip._core._terms import _Floors, _Forces, _Limits, _Repulsion
from plip._types import FloatArray, Int32Array
from plip.interactions._terms import Term

LARGEST_GRADE: float

class Core:
    def __init__(
        self,
        species: Sequence[str],
        terms: Sequence[tuple[Term, float]],
        reference: FloatArray,
        simd: str = "auto",
        repulsion: _Repulsion = None,
        density_limits: _Limits = None,
        energy_floors: _Floors = None,
        core_forces: _Forces = None,
        is_additive: bool = False,
    ) -> None: ...
    @property
    def cutoff(self) -> float: ...
    @property
    def table_error(self) -> float: ...
    @property
    def memory(self) -> int: ...
    @property
    def simd(self) -> str: ...
    def evaluate(
        self,
        neighbors: NeighborList,
        positions: FloatArray,
        cell: FloatArray,
        species: Int32Array,
        forces: bool = True,
        strain: bool = True,
        strains: bool = False,
        n_threads: int = 1,
        crowding: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray | None, FloatArray | None, FloatArray | None]: ...

class TermValues:
    def __init__(self, species: Sequence[str], terms: Sequence[Term], simd: str = "auto") -> None: ...
    @property
    def cutoff(self) -> float: ...
    def values(
        self, neighbors: NeighborList, positions: FloatArray, cell: FloatArray, species: Int32Array
    ) -> FloatArray: ...
    def extrapolation(
        self,
        neighbors: NeighborList,
        positions: FloatArray,
        cell: FloatArray,
        species: Int32Array,
        factor: FloatArray,
        limits: FloatArray,
        shortest: FloatArray,
    ) -> FloatArray: ...
