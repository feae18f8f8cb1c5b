import numpy as np
import numpy.typing as npt

from plip._core._rows import Kernel
from plip._types import FloatArray, Int32Array

def rows_of_each(
    kernel: Kernel,
    states: FloatArray,
    positions: FloatArray,
    cells: FloatArray,
    periodic: Int32Array,
    species: Int32Array,
    borders: npt.NDArray[np.int64],
    cutoff: float,
    reach: float,
    virial_rows: FloatArray | None = None,
    force_rows: FloatArray | None = None,
) -> tuple[int, FloatArray, FloatArray, FloatArray, FloatArray]: ...
