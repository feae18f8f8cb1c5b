"""Names of types that many signatures share."""

import os
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["BoolArray", "FloatArray", "Int32Array", "IntArray", "StrPath"]

FloatArray: TypeAlias = npt.NDArray[np.float64]
# Positions in other arrays, and counts.
IntArray: TypeAlias = npt.NDArray[np.intp]
Int32Array: TypeAlias = npt.NDArray[np.int32]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
StrPath: TypeAlias = str | os.PathLike[str]
