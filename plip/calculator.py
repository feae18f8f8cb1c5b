"""ASE calculator of a potential, with a neighbor list that lasts for many steps."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.io import write
from ase.outputs import Properties

from plip._core import NeighborList
from plip._files import without_empty_texts
from plip._parameters import is_integer, is_number
from plip._structures._checks import has_full_cell
from plip._structures._evaluation import check_atoms, check_cell, check_positions, check_species, find_pairs
from plip._types import BoolArray, FloatArray, Int32Array, StrPath
from plip._warnings import warn

if TYPE_CHECKING:
    from plip.potential import Potential

__all__ = ["ExtrapolationError", "ExtrapolationObserver", "PLIPCalculator"]

_OF_UNCERTAINTY = ("energy_std", "forces_std", "extrapolation")

# More than any machine has: a mistyped number is an error, not a request to the operating system.
_MOST_THREADS = 65536


class PLIPCalculator(Calculator):
    """Energies, forces and stresses of a potential for ASE.

    Parameters
    ----------
    potential : Potential
        The potential; or use ``potential.calculator()``.
    skin : float, default=0.5
        Distance in Angstrom by which neighbor lists reach beyond the cutoff. A list is used until an atom
        may have moved by half of it; homogeneous strain does not count.
    n_threads : int, default=1
        Number of threads for systems of 4096 atoms and more. Results do not depend on it.
    uncertainty : bool, default=False
        Whether `results` also have "energy_std" (eV), "forces_std", (n_atoms, 3), eV/Angstrom, and
        "extrapolation", (n_atoms,), as in `Potential.evaluate`. Deviations cost several times a step; for
        the grade alone, now and then, use an `ExtrapolationObserver`.
    **kwargs
        Passed on to `ase.calculators.calculator.Calculator`: ``directory``, ``label`` and ``atoms``.

    Raises
    ------
    TypeError
        If `potential` is none, or a parameter is not known.

    Notes
    -----
    "free_energy" equals "energy". "energies" and "stresses" are the shares of the atoms: each atom of a pair
    has half of the pair term, the center has all of any other term, and each atom of a pair has half of the
    stress of their pair force. They add up to "energy" and "stress".

    As all calculators of ASE, this one serves one thread at a time. Several can share the potential.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from ase.build import bulk
    >>> atoms = bulk("SiC", "zincblende", a=4.38) * (2, 2, 2)
    >>> atoms.calc = model.potential_.calculator()
    >>> atoms.get_potential_energy() / len(atoms) < -5.0
    True
    >>> atoms.get_stress().shape
    (6,)
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress", "stresses"]
    default_parameters = {}
    nolabel = True
    _frame: _Frame | None = None

    def __init__(
        self,
        potential: Potential,
        skin: float = 0.5,
        n_threads: int = 1,
        uncertainty: bool = False,
        **kwargs: Any,
    ) -> None:
        if not hasattr(potential, "_core"):
            raise TypeError(
                "potential must be a plip.Potential, such as load_potential(path) and model.potential_, got "
                f"{type(potential).__name__}"
            )
        if not is_number(skin) or not 0 <= skin < math.inf:
            raise ValueError(f"skin must be a length in Angstrom, not negative, got {skin!r}")
        if not is_integer(n_threads) or not 1 <= n_threads <= _MOST_THREADS:
            raise ValueError(
                f"n_threads must be a positive integer, at most {_MOST_THREADS}, got {n_threads!r}"
            )
        if uncertainty:
            potential.check_uncertainty()
            self.implemented_properties = [*self.implemented_properties, *_OF_UNCERTAINTY]
        super().__init__(**kwargs)
        self.potential = potential
        self.uncertainty = bool(uncertainty)
        self.n_threads = int(n_threads)
        self._neighbors = _SkinList(potential.cutoff, float(skin))
        self._has_warned = False

    def set(self, **kwargs: Any) -> dict[str, Any]:
        """Refuse parameters: ASE would take any, and those of this class stay as they are.

        Parameters
        ----------
        **kwargs
            None.

        Returns
        -------
        dict
            Empty: what has changed.

        Raises
        ------
        TypeError
            If there are any.
        """
        if kwargs:
            raise TypeError(
                f"the calculator has no parameter {', '.join(kwargs)} that can be set: give skin, n_threads "
                "and uncertainty to potential.calculator"
            )
        return {}

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """What has changed since the last calculation.

        Parameters
        ----------
        atoms : ase.Atoms
        tol : float
            Ignored: every change counts but those of charges and magnetic moments, which change no energy.

        Returns
        -------
        list of str
            Among "positions", "numbers", "cell" and "pbc", or all changes that ASE knows.
        """
        last = self.atoms
        if last is None or len(last) != len(atoms):
            return list(all_changes)
        pairs = {
            "positions": (atoms.positions, last.positions),
            "numbers": (atoms.numbers, last.numbers),
            "cell": (atoms.cell.array, last.cell.array),
            "pbc": (atoms.pbc, last.pbc),
        }
        return [name for name, (new, old) in pairs.items() if (new != old).any()]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute all properties; "stresses" only if they are asked for.

        Raises
        ------
        ValueError
            See `Potential.evaluate`.
        PropertyNotImplementedError
            If stresses are asked for and the structure has no three independent cell vectors.

        Warns
        -----
        UserWarning
            Once, if an atom is more densely surrounded than any in the training data.
        """
        atoms = self.atoms if atoms is None else atoms
        if atoms is None:
            raise ValueError("the calculator has no structure: pass atoms to calculate")
        frame = self._frame
        if frame is None or not frame.is_of(atoms):
            frame = self._frame = _Frame(self.potential.species, atoms)
        species, cell, volume = frame.species, frame.cell, frame.volume
        if volume is None and {"stress", "stresses"}.intersection(properties):
            raise PropertyNotImplementedError("a stress needs three independent cell vectors")
        positions = check_positions(atoms)
        crowding = np.zeros(len(atoms))
        neighbors = self._neighbors.find(positions, cell, atoms.pbc)
        energies, forces, strain, strains = self.potential._core.evaluate(
            neighbors,
            positions,
            cell,
            species,
            strains="stresses" in properties,
            n_threads=self.n_threads,
            crowding=crowding,
        )
        self._warn_of_crowding(atoms, crowding)
        energy = math.fsum(energies.tolist())
        results = {"energy": energy, "free_energy": energy, "energies": energies, "forces": forces}
        if volume is not None:
            results["stress"] = strain / volume
            if strains is not None:
                results["stresses"] = strains / volume
        if self.uncertainty:
            found = self.potential._uncertain_results(atoms, neighbors, positions, cell, species)
            results.update(zip(_OF_UNCERTAINTY, found, strict=True))
        # Structure and results change together: one that is refused leaves those of the last one.
        super().calculate(atoms, properties, system_changes)
        self.results = results

    def export_properties(self) -> Properties:
        """Results as ASE's container, which knows nothing of what `uncertainty` adds.

        Returns
        -------
        ase.outputs.Properties
            Energies, forces and stresses.
        """
        return Properties(
            {name: value for name, value in self.results.items() if name not in _OF_UNCERTAINTY}
        )

    def extrapolation(self, atoms: Atoms) -> FloatArray:
        """How far the surroundings of each atom are from those of the fit.

        Parameters
        ----------
        atoms : ase.Atoms
            Structure, usually one of a simulation with this calculator, whose neighbor list is used again.

        Returns
        -------
        ndarray of float64, shape (n_atoms,)
            At most 1 for the atoms that were fitted; see `Potential.evaluate`.

        Raises
        ------
        ValueError
            If the potential has no `uncertainty`, or for a structure that `Potential.evaluate` refuses.
        """
        self.potential.check_uncertainty()
        species, positions, cell = check_atoms(self.potential.species, atoms)
        neighbors = self._neighbors.find(positions, cell, atoms.pbc)
        return self.potential._grades(neighbors, positions, cell, species)

    def _warn_of_crowding(self, atoms: Atoms, crowding: FloatArray) -> None:
        """Warn once that the structure is denser than the training data."""
        if self._has_warned or not (crowding > 1.0).any():
            return
        self._has_warned = True
        densest = int(crowding.argmax())
        n_others = np.count_nonzero(crowding > 1.0) - 1
        others = f", and so {'are' if n_others > 1 else 'is'} {n_others} more" if n_others else ""
        warn(
            f"atom {densest} ({atoms.symbols[densest]}) is more densely surrounded than any in the training "
            f"data, {crowding[densest]:.2f} times the limit{others}. A repulsion, which is not fitted, keeps "
            "its neighbors away. Add such structures to the training data if the simulation should go there"
        )


class _Frame:
    """What a calculation takes of a structure beside positions, checked once while it stays the same."""

    def __init__(self, known: Sequence[str], atoms: Atoms) -> None:
        self.species: Int32Array = check_species(known, atoms)
        self.cell: FloatArray = check_cell(atoms.cell, atoms.pbc)
        self.volume = atoms.get_volume() if has_full_cell(atoms) else None
        self._of = atoms.numbers.copy(), atoms.cell.array.copy(), atoms.pbc.copy()

    def is_of(self, atoms: Atoms) -> bool:
        numbers, cell, pbc = self._of
        return (
            len(numbers) == len(atoms)
            and not (numbers != atoms.numbers).any()
            and not (cell != atoms.cell.array).any()
            and not (pbc != atoms.pbc).any()
        )


class ExtrapolationError(RuntimeError):
    """A simulation has left the data of its potential.

    Attributes
    ----------
    atoms : ase.Atoms
        Copy of the structure.
    grade : float
        Its largest extrapolation grade.
    """

    def __init__(self, message: str, atoms: Atoms, grade: float) -> None:
        super().__init__(message)
        self.atoms = atoms
        self.grade = grade

    def __reduce__(self) -> tuple[type, tuple[str, Atoms, float]]:
        return type(self), (str(self), self.atoms, self.grade)


class ExtrapolationObserver:
    """Watches a simulation and stops it, or stores structures, where atoms are far from the data.

    Parameters
    ----------
    atoms : ase.Atoms
        The structure that moves, with a `PLIPCalculator`.
    limit : float, default=1.0
        Grade that is too large. 1 is the farthest atom of the training data.
    path : str, path-like or None, default=None
        Extended XYZ file to which structures above the limit are appended, with ``info["extrapolation"]``.
    stop : bool, default=True
        Whether to raise `ExtrapolationError`, which ends the simulation.

    Attributes
    ----------
    largest : list of float
        Largest grade of the structure at each call.
    structures : list of ase.Atoms
        Copies of the structures above the limit.

    Examples
    --------
    >>> from ase import units
    >>> from ase.build import bulk
    >>> from ase.md.verlet import VelocityVerlet
    >>> from plip import PLIPRegressor
    >>> from plip.calculator import ExtrapolationObserver
    >>> from plip.datasets import load_silicon_carbide
    >>> train, _ = load_silicon_carbide()
    >>> atoms = bulk("SiC", "zincblende", a=4.38, cubic=True)
    >>> atoms.calc = PLIPRegressor("fast", max_terms=20).fit(train[::8]).potential_.calculator()
    >>> dynamics = VelocityVerlet(atoms, 1 * units.fs)
    >>> observer = ExtrapolationObserver(atoms, limit=2.0, path="far.xyz")
    >>> dynamics.attach(observer, interval=10)
    >>> dynamics.run(20)
    True
    >>> len(observer.largest)
    3
    """

    def __init__(
        self, atoms: Atoms, limit: float = 1.0, path: StrPath | None = None, stop: bool = True
    ) -> None:
        if not is_number(limit) or not limit > 0:
            raise ValueError(f"limit must be a positive number, got {limit!r}")
        if not isinstance(atoms.calc, PLIPCalculator):
            raise TypeError("atoms need a PLIPCalculator: set atoms.calc = potential.calculator()")
        atoms.calc.potential.check_uncertainty()
        self.atoms = atoms
        self.limit = float(limit)
        self.path = path
        self.stop = stop
        self.largest: list[float] = []
        self.structures: list[Atoms] = []

    def __call__(self) -> None:
        grades = self.atoms.calc.extrapolation(self.atoms)
        largest = float(grades.max(initial=0.0))
        self.largest.append(largest)
        if not largest > self.limit:
            return
        found = self.atoms.copy()
        found.info = {**without_empty_texts(found.info), "extrapolation": largest}
        self.structures.append(found)
        if self.path is not None:
            write(os.fspath(self.path), found, format="extxyz", append=True)
        if self.stop:
            atom = int(grades.argmax())
            raise ExtrapolationError(
                f"atom {atom} ({found.symbols[atom]}) has the extrapolation grade {largest:.3g}, above the "
                f"limit {self.limit:g}: label this structure, add it to the data and fit again, or take a "
                "larger limit",
                found,
                largest,
            )


class _SkinList:
    """A neighbor list that reaches beyond the cutoff and is rebuilt only when it must be."""

    def __init__(self, cutoff: float, skin: float) -> None:
        self.cutoff = cutoff
        self.skin = skin
        self.n_builds = 0
        # The list and what it is of, together: an interrupt never leaves the one without the other.
        self._kept: tuple[NeighborList, FloatArray, FloatArray, BoolArray] | None = None

    def __getstate__(self) -> dict[str, float]:
        # A copy builds its own list, also in another process.
        return {"cutoff": self.cutoff, "skin": self.skin}

    def __setstate__(self, state: dict[str, float]) -> None:
        type(self).__init__(self, **state)

    def find(self, positions: FloatArray, cell: FloatArray, pbc: BoolArray) -> NeighborList:
        """A list that holds all pairs within the cutoff; parameters as for `find_pairs`."""
        kept = self._kept
        if kept is not None and self._holds(*kept[1:], positions, cell, pbc):
            return kept[0]
        pairs = find_pairs(positions, cell, pbc, self.cutoff + self.skin)
        self._kept = pairs, positions.copy(), cell, np.array(pbc)
        self.n_builds += 1
        return pairs

    def _holds(
        self,
        reference: FloatArray,
        old_cell: FloatArray,
        old_pbc: BoolArray,
        positions: FloatArray,
        cell: FloatArray,
        pbc: BoolArray,
    ) -> bool:
        """Whether the list of the first three serves the others."""
        if positions.shape != reference.shape or (pbc != old_pbc).any():
            return False
        shrink = 1.0
        if (cell != old_cell).any():
            # Strain F moves all atoms and images together: D = D_0 F + (d_j - d_i). |D_0 F| is at least |D_0|
            # times the smallest singular value of F, so that only the displacements d use up the skin.
            strain = np.linalg.solve(old_cell, cell)
            reference = reference @ strain
            shrink = np.linalg.svd(strain, compute_uv=False)[-1]
        moved = math.sqrt(np.square(positions - reference).sum(axis=1).max(initial=0.0))
        return shrink * (self.cutoff + self.skin) - 2.0 * moved >= self.cutoff
