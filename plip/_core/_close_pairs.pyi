import numpy as np
import numpy.typing as npt

from plip._types import FloatArray

def first_close_pair(
    positions: FloatArray,
    cells: FloatArray,
    inverse: FloatArray,
    thickness: FloatArray,
    borders: npt.NDArray[np.int64],
    distance: float,
) -> tuple[int, int, int, float] | None: ...
