"""The data set that comes with plip."""

from importlib.resources import files

import ase.io
from ase import Atoms

__all__ = ["load_silicon_carbide"]


def load_silicon_carbide() -> tuple[list[Atoms], list[Atoms]]:
    """Silicon-carbide cells labeled with density-functional theory.

    Periodic cells of 4 to 8 atoms: zincblende (cold curve, elastic strain, thermal and strong
    displacements, single vacancies), wurtzite and rocksalt. ``atoms.info["group"]`` names the kind.
    Energies (eV), forces (eV/Angstrom) and stresses (eV/Angstrom^3, ASE's Voigt order and sign)
    are attached as a single-point calculator.

    Returns
    -------
    train : list of ase.Atoms
        167 structures with 1,223 atoms.
    test : list of ase.Atoms
        27 structures with 197 atoms, of the same kinds, for the final error only.

    Notes
    -----
    Structures of one kind stand together. Shuffle them before you split, as ``KFold(shuffle=True)`` and
    `plip.model_selection.StratifiedByGroup` do; folds in this order would be tests on kinds that the training
    data lack.

    Computed for this package with GPAW 22.8 (J. J. Mortensen et al., J. Chem. Phys. 160, 092503
    (2024)): PBE, plane waves up to 400 eV, smearing 0.1 eV. The script that made them is
    ``benchmarks/generate_sic.py`` of the source distribution.

    Examples
    --------
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> len(train), len(test)
    (167, 27)
    """
    return _read("sic_train.xyz"), _read("sic_test.xyz")


def _read(name: str) -> list[Atoms]:
    with files(__name__).joinpath(name).open(encoding="utf-8") as file:
        return list(ase.io.iread(file, ":", format="extxyz", parallel=False))
