from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy.typing as npt

from plip._core._neighbors import NeighborList
from plip._types import FloatArray, Int32Array
from plip.interactions._terms import Term
from plip.radial import RadialFamily

_Repulsion: TypeAlias = Mapping[tuple[str, str], tuple[float, float]] | None
_Limits: TypeAlias = Mapping[str, tuple[float, float]] | None
_Floors: TypeAlias = Mapping[str, float] | None

ANY: str
LARGEST_GRADE: float
SWITCH_RANGE: tuple[float, float]

def is_element(symbol: str) -> bool: ...
def check_length(name: str, value: float) -> None: ...
def check_radial(code: int, p: float, q: float) -> None: ...
def check_power(interaction: str, power: float | tuple[int, ...] | None) -> None: ...
def check_terms(species: Sequence[str], terms: Sequence[tuple[Term, float]]) -> None: ...
def phi(function: RadialFamily, r: npt.ArrayLike) -> FloatArray: ...
def cutoff_function(cutoff: float, r: npt.ArrayLike) -> FloatArray: ...
def switch_function(shortest: float, r: npt.ArrayLike) -> FloatArray: ...
def radial_function(
    function: RadialFamily, cutoff: float, switch_distance: float, r: npt.ArrayLike
) -> FloatArray: ...
def core_repulsion(
    pair: tuple[str, str], fade: tuple[float, float], r: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]: ...
def check_repulsion(
    species: Sequence[str], repulsion: _Repulsion, density_limits: _Limits, energy_floors: _Floors
) -> None: ...

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
