from plip._core._evaluate import Core, TermValues
from plip._types import BoolArray, FloatArray, Int32Array, IntArray

def evaluate_each(
    core: Core,
    positions: FloatArray,
    cells: FloatArray,
    periodic: Int32Array,
    species: Int32Array,
    borders: IntArray,
    cutoff: float,
    forces: bool = True,
    strain: bool = True,
) -> tuple[FloatArray, FloatArray | None, FloatArray | None, BoolArray]: ...
def values_of_each(
    terms: TermValues,
    positions: FloatArray,
    cells: FloatArray,
    periodic: Int32Array,
    species: Int32Array,
    borders: IntArray,
    cutoff: float,
) -> tuple[FloatArray, BoolArray]: ...
def closest_of_each(
    positions: FloatArray,
    cells: FloatArray,
    periodic: Int32Array,
    species: Int32Array,
    borders: IntArray,
    radii: FloatArray,
    cutoff: float,
) -> FloatArray: ...
def imbalances_of_each(
    positions: FloatArray,
    cells: FloatArray,
    periodic: Int32Array,
    species: Int32Array,
    borders: IntArray,
    radii: FloatArray,
    bond: float,
    cutoff: float,
) -> tuple[FloatArray, BoolArray, BoolArray]: ...
