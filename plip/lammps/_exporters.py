"""Exports for any LAMMPS. What writes them is imported late, since LAMMPS imports this room at each start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plip._types import StrPath

if TYPE_CHECKING:
    from plip.potential import Potential

__all__ = ["export", "export_kim"]


def export(potential: Potential, folder: StrPath, species: Sequence[str]) -> Path:
    """Write a potential for the pair styles that every LAMMPS has.

    The two-body part and the core repulsion become ``table``, the N-body part ``eam/fs`` (with the reference
    energies), the three-body part ``meam/spline``. ``pair.in`` combines them by ``hybrid/overlay``; include
    it in the input (units metal). Tables begin at 0.2 Angstrom, have 10,000 knots and agree with the
    potential to about 1e-9 eV/Angstrom. No stock style has limits of the density, so they are left out.

    Parameters
    ----------
    potential : Potential
        The potential.
    folder : str or path-like
        Where to write; created if necessary. ``pair.in`` names its files by this path.
    species : sequence of str
        Chemical symbols of LAMMPS's atom types, in order; each once.

    Returns
    -------
    pathlib.Path
        ``pair.in``.

    Raises
    ------
    ValueError
        If some terms have no stock style, or the species do not match.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.lammps import export
    >>> train, _ = load_silicon_carbide()
    >>> model = PLIPRegressor("stock", max_terms=10).fit(train[::8])
    >>> export(model.potential_, "stock", ["Si", "C"]).name
    'pair.in'
    """
    from plip.lammps._export import write_styles

    return write_styles(potential, Path(folder), list(species))


def export_kim(
    potential: Potential, folder: StrPath, name: str | None = None, species: Sequence[str] | None = None
) -> Path:
    """Write a potential as a simulator model of OpenKIM, for ``kim init`` of LAMMPS and for openkim.org.

    Parameters
    ----------
    potential : Potential
        The potential; `about` gives authors, license and citation.
    folder : str or path-like
        Where to make the folder of the model; created if necessary.
    name : str or None, default=None
        Name of the model, letters, digits and underscores. None: ``Sim_LAMMPS_PLIP_``, the last names of the
        authors and the species.
    species : sequence of str or None, default=None
        Chemical symbols that the model has, each once; None takes all. At most three.

    Returns
    -------
    pathlib.Path
        The folder of the model, which has its name.

    Raises
    ------
    ValueError
        If some terms have no stock style, species do not match or are more than three, or it is no name.
    OSError
        If a file cannot be written.

    Notes
    -----
    The pair styles are those of `export`. ``meam/spline`` takes the atom types for the elements of its file
    in their order, so that there are files for every order of every set of species. A simulation may have any
    of the species in any order, each as one atom type. Whoever uploads the model to OpenKIM adds what belongs
    to their account: the KIM ID, contributor and developers.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.lammps import export_kim
    >>> train, _ = load_silicon_carbide()
    >>> potential = PLIPRegressor("stock", max_terms=10).fit(train[::8]).potential_
    >>> export_kim(potential, "kim", "Sim_LAMMPS_PLIP_Doe_SiC").name
    'Sim_LAMMPS_PLIP_Doe_SiC'
    """
    from plip.lammps._kim import write_simulator_model

    return write_simulator_model(potential, Path(folder), name, species)
