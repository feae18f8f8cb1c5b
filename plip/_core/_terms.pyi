from collections.abc import Mapping, Sequence
from typing import TypeAlias

from plip.interactions._terms import Term

_Repulsion: TypeAlias = Mapping[tuple[str, str], tuple[float, float]] | None
_Limits: TypeAlias = Mapping[str, tuple[float, float]] | None
_Floors: TypeAlias = Mapping[str, float] | None
_Forces: TypeAlias = Mapping[tuple[str, str], float] | None

ANY: str

def is_element(symbol: str) -> bool: ...
def check_length(name: str, value: float) -> None: ...
def check_radial(code: int, p: float, q: float) -> None: ...
def check_power(interaction: str, power: float | tuple[int, ...] | None) -> None: ...
def check_terms(species: Sequence[str], terms: Sequence[tuple[Term, float]]) -> None: ...
def check_repulsion(
    species: Sequence[str],
    repulsion: _Repulsion,
    density_limits: _Limits,
    energy_floors: _Floors,
    core_forces: _Forces,
) -> None: ...
