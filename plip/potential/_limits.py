"""Where the terms of a potential end: core repulsion, limits of density and floors of energy, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn, TypeVar

from plip.potential._json import LIMIT, finite_number

__all__ = ["FrozenDict", "read_floors", "read_forces", "read_limits", "read_repulsion"]

Key = TypeVar("Key")
Value = TypeVar("Value")


class FrozenDict(dict[Key, Value]):
    """A dict that cannot be changed; it equals a dict of the same items, also in JSON."""

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("a potential cannot be changed: make another one with these values")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type, tuple[dict[Key, Value]]]:
        return type(self), (dict(self),)


def read_repulsion(
    repulsion: Mapping[tuple[str, str], tuple[float, float]] | None, species: tuple[str, ...]
) -> FrozenDict[tuple[str, str], tuple[float, float]] | None:
    """Distances by sorted pair; the core checks their ranges."""
    if repulsion is None:
        return None
    checked: dict[tuple[str, str], tuple[float, float]] = {}
    for pair, fade in repulsion.items():
        if not isinstance(pair, tuple) or len(pair) != 2 or not set(pair) <= set(species):
            raise ValueError(f"repulsion must name pairs of {', '.join(species)}, got {pair!r}")
        first, second = sorted(pair)
        if not isinstance(fade, (list, tuple)) or len(fade) != 2 or (first, second) in checked:
            raise ValueError(f"the repulsion of {'-'.join(pair)} must be two distances, given once")
        inner, outer = (finite_number(f"repulsion of {'-'.join(pair)}", distance) for distance in fade)
        checked[first, second] = inner, outer
    return FrozenDict(checked)


def read_forces(
    forces: Mapping[tuple[str, str], float] | None,
    repulsion: Mapping[tuple[str, str], tuple[float, float]] | None,
) -> FrozenDict[tuple[str, str], float] | None:
    """Forces by sorted pair, of pairs that have a repulsion."""
    if forces is None:
        return None
    checked: dict[tuple[str, str], float] = {}
    for pair, force in forces.items():
        first, second = sorted(pair) if isinstance(pair, tuple) and len(pair) == 2 else ("", "")
        if (first, second) not in (repulsion or {}) or (first, second) in checked:
            raise ValueError(f"core_forces must name pairs that have a repulsion, each once; got {pair!r}")
        checked[first, second] = finite_number(f"core force of {first}-{second}", force)
        if not checked[first, second] > 0.0:
            raise ValueError(f"the core force of {first}-{second} must be positive, got {force!r}")
    return FrozenDict(checked)


def read_limits(
    limits: Mapping[str, tuple[float, float]] | None, species: tuple[str, ...]
) -> FrozenDict[str, tuple[float, float]] | None:
    """Ranges and limits of the density by species."""
    if limits is None:
        return None
    unknown = sorted(set(limits) - set(species))
    if unknown:
        raise ValueError(f"density_limits has species without a reference energy: {', '.join(unknown)}")
    checked = {}
    for symbol, limit in limits.items():
        named = zip(LIMIT, limit, strict=True)
        reach, most = (finite_number(f"density {name} of {symbol}", value) for name, value in named)
        checked[symbol] = reach, most
    return FrozenDict(checked)


def read_floors(
    floors: Mapping[str, float] | None, species: tuple[str, ...]
) -> FrozenDict[str, float] | None:
    """Least energies by species."""
    if floors is None:
        return None
    unknown = sorted(set(floors) - set(species))
    if unknown:
        raise ValueError(f"energy_floors has species without a reference energy: {', '.join(unknown)}")
    return FrozenDict(
        {symbol: finite_number(f"energy floor of {symbol}", energy) for symbol, energy in floors.items()}
    )
