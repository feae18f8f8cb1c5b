"""Labels that the calculators of structures hold; nothing is computed."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from plip._structures._checks import errors_of
from plip.labels._values import is_missing

__all__ = ["ENERGY_NAMES", "Attached", "attached_energy", "has_attached", "plain_number", "results_of"]

# Names of an energy, the preferred one first.
ENERGY_NAMES = ("free_energy", "energy")

# Angstrom. Wrapping or scaling atoms and cell there and back rounds less. At a force of 10 eV/A it changes
# the energy by 1e-7 eV.
_MOVED = 1e-8


def results_of(atoms: Atoms) -> Mapping[str, Any]:
    """Results of the calculator by name, empty without one."""
    results = getattr(atoms.calc, "results", None)
    return results if isinstance(results, Mapping) else {}


def attached_energy(atoms: Atoms) -> float:
    """Energy in eV that the calculator holds, of whatever atoms; NaN without one."""
    results = results_of(atoms)
    name = _name_of_label(results, ENERGY_NAMES)
    return math.nan if name is None else plain_number(results[name])


def has_attached(atoms: Atoms, name: str) -> bool:
    """Whether the calculator holds forces or a stress that are not all zero; NaN stands for none."""
    # Of what is no array of numbers, or missing, nobody knows a size.
    with contextlib.suppress(KeyError, TypeError, ValueError):
        return bool(np.any(np.abs(results_of(atoms)[name]) > 0.0))
    return False


class Attached:
    """Labels that the calculators of structures hold.

    Parameters
    ----------
    X : sequence of n ase.Atoms
    first : int
        Place of the first structure in the data, for messages.
    """

    def __init__(self, X: Sequence[Atoms], first: int) -> None:
        self._X = X
        self._first = first
        self._results = [results_of(atoms) for atoms in X]
        # Whether the atoms of a structure are those of its results is seen once.
        self._are_unmoved = [False] * len(X)

    def find(self, names: tuple[str, ...]) -> list[tuple[str, Any] | None]:
        """Name and value, not yet checked, of the first of some results of each structure, or None.

        Raises
        ------
        ValueError
            Results are for other atoms.
        """
        found: list[tuple[str, Any] | None] = []
        for k, results in enumerate(self._results):
            name = _name_of_label(results, names)
            if name is not None and not self._are_unmoved[k]:
                with errors_of(self._first + k, self._X[k]):
                    _check_unmoved(self._X[k], name)
                self._are_unmoved[k] = True
            found.append(None if name is None else (name, results[name]))
        return found


def _name_of_label(results: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    # A free energy of zero beside an energy is a placeholder.
    if names == ENERGY_NAMES and "free_energy" in results and plain_number(results["free_energy"]) == 0.0:
        names = names if is_missing(results.get("energy")) else ("energy",)
    for name in names:
        if not is_missing(results.get(name)):
            return name
    return None


def _check_unmoved(atoms: Atoms, name: str) -> None:
    labeled = getattr(atoms.calc, "atoms", None)
    if labeled is atoms:
        return
    if labeled is None:
        reason = "does not say for which atoms"
    else:
        pairs = {
            "positions": (atoms.positions, labeled.positions),
            "numbers": (atoms.numbers, labeled.numbers),
            "cell": (atoms.cell.array, labeled.cell.array),
            "pbc": (atoms.pbc, labeled.pbc),
        }
        changed = [what for what, (new, old) in pairs.items() if not _is_same(new, old)]
        if not changed:
            return
        reason = f"for other atoms: {', '.join(changed)} changed since"
    raise ValueError(
        f"its calculator holds {name}, but {reason}; pass the labels explicitly, attach them again with "
        "ase.calculators.singlepoint.SinglePointCalculator, or set atoms.calc = None"
    )


def _is_same(new: NDArray[Any], old: NDArray[Any]) -> bool:
    """Whether two arrays are the same, floating-point numbers up to `_MOVED`."""
    # Comparing bytes is twenty times faster and nearly always enough.
    if new.shape == old.shape and new.dtype == old.dtype and new.tobytes() == old.tobytes():
        return True
    if np.array_equal(new, old):
        return True
    return new.dtype.kind == "f" and new.shape == old.shape and bool((np.abs(new - old) <= _MOVED).all())


def plain_number(value: Any) -> float:
    """The value as a float, NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan
