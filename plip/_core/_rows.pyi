from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plip._design._tables import Plan
from plip._structures._neighbors import Neighbors
from plip._types import FloatArray

RANGE: np.dtype[np.void]
FUNCTION_SET: np.dtype[np.void]
MOMENTS: np.dtype[np.void]
POWER: np.dtype[np.void]
PRODUCT: np.dtype[np.void]
GROUP: np.dtype[np.void]
CONTRIBUTION: np.dtype[np.void]
CENTER: np.dtype[np.void]
COMPONENT: np.dtype[np.void]
COMMON: int
MONOMIALS: int
ROOT: int
HARMONICS: int

def n_components(basis: int, degree: int) -> int: ...
def n_components_below(basis: int, degree: int) -> int: ...
def angular_components(max_degree: Sequence[int]) -> NDArray[np.void]: ...
def strains(max_degree: Sequence[int]) -> NDArray[np.void]: ...
def legendre_of_powers(max_degree: int) -> FloatArray: ...
def contraction(rank: Sequence[int]) -> NDArray[np.void]: ...
def instruction_sets() -> tuple[list[str], list[str]]: ...
def vector_length(instruction_set: str = "auto") -> int: ...

class Kernel:
    def __init__(self, plan: Plan, instruction_set: str = "auto") -> None: ...
    @property
    def n_terms(self) -> int: ...
    @property
    def n_species(self) -> int: ...
    @property
    def n_labels(self) -> int: ...
    @property
    def state_size(self) -> int: ...
    @property
    def instruction_set(self) -> str: ...
    def values(
        self,
        neighbors: Neighbors,
        states: FloatArray,
        dominant: FloatArray,
        values: FloatArray,
        virials: FloatArray | None = None,
        first_atom: int = 0,
        last_atom: int | None = None,
    ) -> None: ...
    def derivatives(
        self,
        neighbors: Neighbors,
        states: FloatArray,
        dominant: FloatArray,
        first_atom: int,
        force_rows: FloatArray,
    ) -> None: ...
