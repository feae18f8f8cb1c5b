"""Reference energies of species, by least squares or from isolated atoms."""

from collections.abc import Mapping, Sequence

import numpy as np
from ase.data import atomic_numbers

from plip._structures._composition import composition_of
from plip._structures._isolated import is_isolated_atom
from plip._types import FloatArray
from plip._warnings import warn
from plip.labels import LabelledStructures
from plip.normal_equations._blas_threads import single_blas_thread

__all__ = [
    "find_isolated_energies",
    "check_isolated_energies",
    "mean_isolated_energies",
    "least_squares_reference",
]

# eV. Energies of one isolated atom in several boxes may differ this much.
_SAME_ENERGY = 1e-3


def find_isolated_energies(
    data: LabelledStructures, species: Sequence[str], cutoff: float
) -> dict[str, list[float]]:
    """Energies of the structures that are one atom without neighbors within the cutoff.

    Parameters
    ----------
    data : LabelledStructures
        Structures of weight zero do not count.
    species : sequence of str
        Chemical symbols.
    cutoff : float
        Angstrom.

    Returns
    -------
    dict
        A list of energies in eV for each chemical symbol.
    """
    found: dict[str, list[float]] = {symbol: [] for symbol in species}
    energy = data.labels.energy
    if energy is None:
        return found
    for k in np.flatnonzero(data.labels.used("energy")).tolist():
        atoms = data.structures[k]
        if is_isolated_atom(atoms, cutoff):
            found[atoms.symbols[0]].append(float(energy[k]))
    return found


def check_isolated_energies(
    isolated_energies: Mapping[str, Sequence[float]] | None,
) -> Mapping[str, Sequence[float]]:
    """Return the energies; raise unless `find_isolated_energies` found one for every species."""
    if isolated_energies is None:
        raise ValueError(
            "these normal equations were written by an older version, which did not note energies of "
            "isolated atoms: give reference_energies as a dict"
        )
    missing = [symbol for symbol, energies in isolated_energies.items() if not energies]
    if missing:
        raise ValueError(
            'reference_energies="isolated" needs a structure of one atom without neighbors that has an '
            f"energy, for each species; there is none of {', '.join(missing)}: add it, or give the energies "
            "as a dict"
        )
    return isolated_energies


def mean_isolated_energies(isolated_energies: Mapping[str, Sequence[float]] | None) -> dict[str, float]:
    """Reference energies from those that `find_isolated_energies` found.

    Parameters
    ----------
    isolated_energies : dict
        Lists of energies in eV by chemical symbol.

    Returns
    -------
    dict
        eV by chemical symbol.

    Raises
    ------
    ValueError
        A species has no energy.

    Warns
    -----
    UserWarning
        Energies of one species differ by more than 1 meV. Their mean is taken.
    """
    found = check_isolated_energies(isolated_energies)
    for symbol, energies in found.items():
        if max(energies) - min(energies) > _SAME_ENERGY:
            warn(
                f"the energies of {len(energies)} isolated atoms of {symbol} differ, from "
                f"{min(energies):.6g} to {max(energies):.6g} eV; their mean is taken",
            )
    return {symbol: float(np.mean(energies)) for symbol, energies in found.items()}


@single_blas_thread()
def least_squares_reference(data: LabelledStructures, species: Sequence[str]) -> FloatArray:
    """Energies by species that fit the energies per atom best, of least norm, shape (n_species,)."""
    energy = data.labels.energy
    if energy is None:
        return np.zeros(len(species))
    numbers = [atomic_numbers[symbol] for symbol in species]
    counts = composition_of(data.structures, numbers)
    present = data.labels.present("energy")
    counts, energy = counts[present], energy[present]
    sizes = counts.sum(axis=1, keepdims=True)
    return np.linalg.lstsq(counts / sizes, energy / sizes[:, 0], rcond=1e-10)[0]
