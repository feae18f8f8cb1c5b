"""Labels of structures beside what a model predicts for them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from plip._html import table
from plip._structures._checks import as_list, check_structures
from plip._types import BoolArray, FloatArray, IntArray
from plip._warnings import warn
from plip._workers import new_workers
from plip.labels import LabelledStructures, Labels
from plip.metrics._errors import OF_LABELS, UNITS, coverage, errors, summarize, values_of
from plip.potential import Potential
from plip.potential._models import as_estimator, potential_of
from plip.potential._prediction import evaluate_many, predict_labels

__all__ = [
    "Deviations",
    "Evaluation",
    "error_summary",
    "labeled",
    "limits_of",
    "predicted_labels",
    "read_groups",
]

# eV/atom, eV/A and GPa. Extended XYZ files keep eight decimals of forces.
_ROUNDING = 1e-7


@dataclass(frozen=True, eq=False)
class Deviations:
    """How uncertain predictions for structures are; see `Potential.evaluate`.

    Attributes
    ----------
    energy : ndarray of float64, shape (n,)
        Standard deviations of total energies in eV.
    forces : list of ndarray of float64, shape (n_atoms, 3)
        Standard deviations of forces in eV/Angstrom.
    extrapolation : list of ndarray of float64, shape (n_atoms,)
        Extrapolation grades.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.metrics import Evaluation
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> deviations = Evaluation(model.potential_, test).deviations
    >>> deviations.energy.shape, deviations.forces[0].shape
    ((27,), (8, 3))
    """

    energy: FloatArray
    forces: list[FloatArray]
    extrapolation: list[FloatArray]


class Evaluation:
    """Labels of structures and what a potential predicts for them.

    Parameters
    ----------
    potential : Potential, or a fitted estimator
        The potential.
    X : sequence of n ase.Atoms, or LabelledStructures
        Structures with labels attached, or with their labels.
    groups : array_like of n str, or None, default=None
        Group of each structure; None takes those of `plip.metrics.read_groups`.
    labels : Labels or None, default=None
        The labels; None reads the attached ones.
    n_jobs : int or None, default=None
        Number of joblib workers.

    Attributes
    ----------
    potential : Potential
        The potential; of folds, that of the whole fit.
    structures : list of n ase.Atoms
        The structures.
    n_atoms : (n,) int
        Number of atoms of each structure.
    groups : (n,) str or None
        Group of each structure, None if no structure has one.
    reference, predicted : Labels
        The labels, and predictions of the targets that have labels.

    Raises
    ------
    ValueError
        If labels are missing or not valid, see `plip.labels.read_labels`, or there is not one group for each
        structure.

    Warns
    -----
    UserWarning
        As in `plip.labels.read_labels`, and if all digits of the labels are those of the predictions.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from plip.metrics import Evaluation
    >>> evaluation = Evaluation(model.potential_, test)
    >>> sorted(map(str, set(evaluation.groups)))[:3]
    ['rocksalt', 'vacancy', 'wurtzite']
    >>> evaluation.errors()["n_structures"]
    27
    """

    def __init__(
        self,
        potential: Potential,
        X: Sequence[Atoms] | LabelledStructures,
        groups: ArrayLike | None = None,
        labels: Labels | None = None,
        n_jobs: int | None = None,
    ) -> None:
        data = labeled(potential, X, labels)
        self._n_jobs = n_jobs
        predicted = predicted_labels(potential, data, n_jobs)
        self._assign(potential_of(potential) or potential, data, predicted, _groups_of(data, groups))
        if self._agrees():
            warn(
                "labels and predictions agree in all digits that files have: these labels seem to have been "
                "computed by this potential, and the errors say nothing about its accuracy",
            )

    @classmethod
    def of_folds(
        cls,
        model: Any,
        X: Sequence[Atoms] | LabelledStructures,
        groups: ArrayLike | None = None,
        labels: Labels | None = None,
    ) -> Evaluation:
        """Predictions for each structure of a fit by the model that was fitted without it.

        Parameters
        ----------
        model : PLIPRegressorCV
            A fitted one.
        X, groups, labels
            Those of the fit, in their order; otherwise as above.

        Returns
        -------
        Evaluation
            Structures that were in no fold are left out. `deviations` are those of the whole fit.

        Raises
        ------
        ValueError
            If the folds are those of other data.
        """
        model = as_estimator(model)
        if not hasattr(model, "folds_"):
            raise TypeError(f"only a fitted PLIPRegressorCV has folds, got {type(model).__name__}")
        data = labeled(model, X, labels)
        owners = {int(row): potential for rows, potential in model.folds_ for row in rows}
        if not owners or max(owners) >= len(data):
            raise ValueError(f"the folds are not those of {len(data)} structures: give the data of the fit")
        kept = np.array(sorted(owners))
        made = cls.__new__(cls)
        names = _groups_of(data, groups)
        made._n_jobs = model.n_jobs
        data = data.take(kept)
        predicted = _predicted_by([owners[row] for row in kept.tolist()], data, model.n_jobs)
        made._assign(model.potential_, data, predicted, None if names is None else names[kept])
        return made

    def _assign(
        self,
        potential: Potential,
        data: LabelledStructures,
        predicted: Labels,
        groups: NDArray[np.str_] | None,
    ) -> None:
        self.potential = potential
        self.structures = list(data.structures)
        self.n_atoms = data.n_atoms
        self.groups = groups
        self.reference = data.labels
        self.predicted = predicted

    def __repr__(self) -> str:
        found = self.errors()
        present = [target for target in UNITS if f"{target}_rmse" in found]
        rmse = ", ".join(f"{target} {found[f'{target}_rmse']:.4g} {UNITS[target]}" for target in present)
        return f"<Evaluation of {len(self.structures)} structures: RMSE {rmse}>"

    def _repr_html_(self) -> str:
        summary = self.summary()
        present = [target for target in UNITS if f"{target}_rmse" in summary]
        found = {"all": summary, **summary.get("groups", {})}
        rows = [
            (name, row["n_structures"], *(f"{row.get(f'{t}_rmse', np.nan):.4g}" for t in present))
            for name, row in found.items()
        ]
        header = ("group", "structures", *(f"RMSE {target} ({UNITS[target]})" for target in present))
        return table("Evaluation", rows, header)

    def _agrees(self) -> bool:
        """Whether labels are predictions that a file kept: all agree, and some force is not zero."""
        pairs = zip(self.reference.forces or (), self.predicted.forces or (), strict=True)
        forces = [(one, found) for one, found in pairs if one is not None and found is not None]
        if not any(one.any() for one, _ in forces):
            return False
        # The first structure tells others apart.
        others = (self.parity(target) for target in self.n_labels if target != "force")
        return all(
            np.abs(one - found).max(initial=0.0) <= _ROUNDING
            for one, found in itertools.chain(forces, others)
        )

    def _is_in(self, group: str | None) -> BoolArray:
        """Which structures are in a group, or all of them for None."""
        return np.full(len(self.n_atoms), group is None) | (self.groups == group)

    @property
    def n_labels(self) -> dict[str, int]:
        """dict: number of labels (energies, components of forces and stresses) by target that is present."""
        sizes = {"energy": np.ones_like(self.n_atoms), "force": 3 * self.n_atoms}
        sizes["stress"] = 6 * sizes["energy"]
        present = {target: self.reference.present(of_labels) for target, of_labels in OF_LABELS.items()}
        return {
            target: int(sizes[target][present[target]].sum())
            for target, of_labels in OF_LABELS.items()
            if of_labels in self.reference.targets()
        }

    def parity(self, target: str, group: str | None = None) -> tuple[FloatArray, FloatArray]:
        """Reference and predicted values of a target that is present.

        Parameters
        ----------
        target : {"energy", "force", "stress"}
            Energies per atom (eV/atom), force components (eV/A) or stress components (GPa).
        group : str or None, default=None
            Group of the structures; None takes all.

        Returns
        -------
        reference, predicted : (m,) float64
        """
        is_shown = self.reference.present(OF_LABELS[target])
        rows = np.flatnonzero(is_shown & self._is_in(group))
        reference = values_of(self.reference, target, rows, self.n_atoms)
        return reference, values_of(self.predicted, target, rows, self.n_atoms)

    @functools.cached_property
    def deviations(self) -> Deviations | None:
        """Deviations or None: how uncertain the predictions are, computed when first asked for.

        None if the potential does not know, since its file was written without it.
        """
        if self.potential.uncertainty is None:
            return None
        found = evaluate_many(self.potential, self.structures, self._n_jobs, forces=False, uncertainty=True)
        return Deviations(
            np.array([result["energy_std"] for result in found]),
            [result["forces_std"] for result in found],
            [result["extrapolation"] for result in found],
        )

    def std(self, target: str, group: str | None = None) -> FloatArray:
        """Standard deviations of the values that `parity` gives.

        Parameters
        ----------
        target : {"energy", "force"}
            In eV/atom or eV/Angstrom.
        group : str or None, default=None
            Group of the structures; None takes all.

        Returns
        -------
        (m,) float64

        Raises
        ------
        ValueError
            For another target, or if the potential does not know how uncertain it is.
        """
        if target not in ("energy", "force"):
            raise ValueError(f"there are standard deviations of energy and force, not of {target!r}")
        deviations = self._known_deviations()
        is_shown = self.reference.present(target)
        rows = np.flatnonzero(is_shown & self._is_in(group))
        if target == "energy":
            return (deviations.energy / self.n_atoms)[rows]
        return np.concatenate([np.zeros(0), *(deviations.forces[row].ravel() for row in rows)])

    def uncertainty(self, group: str | None = None, level: float = 0.9) -> dict[str, Any]:
        """What the standard deviations and extrapolation grades of structures amount to.

        Parameters
        ----------
        group : str or None, default=None
            Group of the structures; None takes all.
        level : float, default=0.9
            As in `coverage`.

        Returns
        -------
        dict of str to int or float
            ``energy_coverage`` and ``force_coverage``, the `coverage` of targets that have labels;
            ``n_atoms``; ``n_extrapolated``, the number of atoms with a grade above 1; and
            ``largest_extrapolation``, the largest grade.

        Raises
        ------
        ValueError
            If the potential does not know how uncertain it is.
        """
        deviations = self._known_deviations()
        result: dict[str, Any] = {}
        for target in ("energy", "force"):
            if target in self.n_labels and len(std := self.std(target, group)):
                result[f"{target}_coverage"] = coverage(*self.parity(target, group), std, level)
        rows = np.flatnonzero(self._is_in(group))
        grades = np.concatenate([np.zeros(0), *(deviations.extrapolation[row] for row in rows)])
        result["n_atoms"] = len(grades)
        result["n_extrapolated"] = int(np.count_nonzero(grades > 1.0))
        result["largest_extrapolation"] = float(grades.max(initial=0.0))
        return result

    def _known_deviations(self) -> Deviations:
        """Deviations; a ValueError says what to do if there are none."""
        self.potential.check_uncertainty()
        assert self.deviations is not None
        return self.deviations

    def take(self, rows: IntArray) -> Evaluation:
        """Some of the structures; `rows` is an ndarray of int."""
        part = type(self).__new__(type(self))
        part.potential, part._n_jobs = self.potential, self._n_jobs
        part.structures = [self.structures[row] for row in rows.tolist()]
        part.n_atoms = self.n_atoms[rows]
        part.groups = None if self.groups is None else self.groups[rows]
        part.reference, part.predicted = self.reference.take(rows), self.predicted.take(rows)
        return part

    def errors(self, group: str | None = None) -> dict[str, Any]:
        """Errors as `plip.metrics.errors` gives them, of all structures or of one group."""
        rows = np.flatnonzero(self._is_in(group))
        return errors(self.predicted.take(rows), self.reference.take(rows), self.n_atoms[rows])

    def summary(self) -> dict[str, Any]:
        """Errors of all structures and by group, as `plip.metrics.error_summary` gives them."""
        return summarize(self.predicted, self.reference, self.n_atoms, self.groups)


def error_summary(model: Any, X: Sequence[Atoms], labels: Labels | None = None) -> dict[str, Any]:
    """Errors of a model on structures, overall and per group.

    Parameters
    ----------
    model : PLIPRegressor or Potential
        Or any other estimator with ``predict``, ``predict_forces`` and ``predict_stress``.
    X : sequence of n ase.Atoms
        Groups are those of `read_groups`.
    labels : Labels, optional
        The attached ones by default.

    Returns
    -------
    dict
        What `errors` returns for all structures and, if any structure names a group, ``"groups"``: a dict
        from the name of each group, in alphabetical order, to what `errors` returns for it.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from plip.metrics import error_summary
    >>> sorted(error_summary(model, test))[:4]
    ['energy_mae', 'energy_rmse', 'force_mae', 'force_rmse']
    """
    data = labeled(model, X, labels)
    return summarize(predicted_labels(model, data), data.labels, data.n_atoms, read_groups(data.structures))


def _groups_of(data: LabelledStructures, groups: ArrayLike | None) -> NDArray[np.str_] | None:
    """The groups given, one for each structure, or those that structures name."""
    if groups is None:
        return read_groups(data.structures)
    names = np.asarray(groups).astype(str)
    if names.shape != (len(data),):
        raise ValueError(
            f"groups must hold one name per structure, shape ({len(data)},), got shape {names.shape}"
        )
    return names


def read_groups(X: Sequence[Atoms], key: str | None = None) -> NDArray[np.str_] | None:
    """Group of each structure, such as "bulk" or "surface".

    Parameters
    ----------
    X : sequence of n ase.Atoms
    key : str or None, default=None
        Key of the group in ``atoms.info``; None means ``"group"``, and ``"config_type"`` where there is none.

    Returns
    -------
    (n,) ndarray of str, or None
        ``"(no group)"`` for structures without a group; None if no structure has one.

    Examples
    --------
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.metrics import read_groups
    >>> train, _ = load_silicon_carbide()
    >>> str(read_groups(train)[0])
    'zincblende-eos'
    """
    keys = ("group", "config_type") if key is None else (key,)
    structures = as_list(X)
    names = [
        next((atoms.info[key] for key in keys if atoms.info.get(key) is not None), None)
        for atoms in structures
    ]
    if all(name is None for name in names):
        return None
    return np.array(["(no group)" if name is None else str(name) for name in names])


def limits_of(model: object) -> dict[str, Any]:
    """Species and cutoff to check structures for; other models than potentials check them themselves."""
    potential = potential_of(model)
    return {} if potential is None else {"species": potential.species, "cutoff": potential.cutoff}


def labeled(
    model: object, X: Sequence[Atoms] | LabelledStructures, labels: Labels | None
) -> LabelledStructures:
    """Structures checked for a model, with the labels given or attached."""
    if labels is None:
        return LabelledStructures.read(X, **limits_of(model), purpose="to compare with")
    structures = check_structures(X, **limits_of(model))
    return LabelledStructures(tuple(structures), labels, np.arange(len(structures)))


def predicted_labels(model: Any, data: LabelledStructures, n_jobs: int | None = None) -> Labels:
    """What a model predicts for structures, of the targets that they have; by default with its own n_jobs."""
    forces, stress = data.labels.forces is not None, data.labels.stress is not None
    potential = potential_of(model)
    if potential is not None:
        model = getattr(model, "best_estimator_", model)
        n_jobs = getattr(model, "n_jobs", None) if n_jobs is None else n_jobs
        return predict_labels(potential, data.structures, n_jobs, forces, stress, data.places)
    X = list(data.structures)
    return Labels(
        energy=None if data.labels.energy is None else np.asarray(model.predict(X)),
        forces=model.predict_forces(X) if forces else None,
        stress=np.asarray(model.predict_stress(X)) if stress else None,
        sample_weight=np.ones(len(X)),
    )


def _predicted_by(potentials: Sequence[Potential], data: LabelledStructures, n_jobs: int | None) -> Labels:
    """Predictions for structures, each by a potential of its own, of the targets that they have."""
    n = len(data)
    energy, stress = np.full(n, np.nan), np.full((n, 6), np.nan)
    forces: list[FloatArray | None] = [None] * n
    members: dict[int, list[int]] = {}
    for row, potential in enumerate(potentials):
        members.setdefault(id(potential), []).append(row)
    # Tables of potentials take a while to make: those of several are made at a time.
    new_workers(n_jobs, is_local=True)(
        joblib.delayed(getattr)(potentials[rows[0]], "_core") for rows in members.values()
    )
    for rows in members.values():
        part = predicted_labels(potentials[rows[0]], data.take(np.array(rows)), n_jobs)
        energy[rows] = part.energy
        if part.stress is not None:
            stress[rows] = part.stress
        if part.forces is not None:
            for row, values in zip(rows, part.forces, strict=True):
                forces[row] = values
    return Labels(energy=energy, forces=forces, stress=stress, sample_weight=np.ones(n))
