"""Names of types that many signatures share."""

import os

import numpy as np
import numpy.typing as npt

__all__ = ["BoolArray", "FloatArray", "Int32Array", "IntArray", "StrPath"]

FloatArray = npt.NDArray[np.float64]
# Positions in other arrays, and counts.
IntArray = npt.NDArray[np.intp]
Int32Array = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]
StrPath = str | os.PathLike[str]
