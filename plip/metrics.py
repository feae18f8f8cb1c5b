"""Errors of predicted energies, forces and stresses, and scorers for scikit-learn's model selection.

The scorers `neg_energy_rmse`, `neg_force_rmse`, `neg_stress_rmse` and those of `group_scorers` go into
``scoring=`` of ``GridSearchCV``, ``cross_validate`` and their kin.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn
from ase import Atoms
from ase.units import GPa
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.utils.metadata_routing import MetadataRequest

from plip._core import Core
from plip._html import table
from plip._parameters import is_number
from plip._structures._checks import check_structures
from plip._structures._composition import composition_of
from plip._structures._evaluation import find_pairs, take_atoms
from plip._types import FloatArray, IntArray
from plip._warnings import warn
from plip.labels import TARGETS, LabelledStructures, Labels
from plip.labels._reading import NoLabels
from plip.potential import Potential
from plip.potential._prediction import evaluate_many, predict_labels

__all__ = [
    "Deviations",
    "Evaluation",
    "UNITS",
    "RMSEScorer",
    "cancellation",
    "coverage",
    "energy_r2",
    "error_summary",
    "errors",
    "force_r2",
    "neg_energy_rmse",
    "group_scorers",
    "neg_force_rmse",
    "neg_stress_rmse",
    "read_groups",
    "score",
]

# Units of `errors` and `error_summary`.
UNITS = {"energy": "meV/atom", "force": "eV/A", "stress": "GPa"}
# The targets of `Labels` by the names that they have here.
_OF_LABELS = dict(zip(UNITS, TARGETS, strict=True))
# Names under which reference values are handed on.
_KEYWORDS = {"energy": "y", "force": "forces", "stress": "stress"}
# eV/atom, eV/A and GPa. Extended XYZ files keep eight decimals of forces.
_ROUNDING = 1e-7


def energy_r2(
    y_true: ArrayLike, y_pred: ArrayLike, composition: ArrayLike, sample_weight: ArrayLike | None = None
) -> float:
    """R^2 of the energy per atom about the best reference by composition.

        R^2 = 1 - sum_i w_i (e_i - p_i)^2 / sum_i w_i (e_i - x_i . e0)^2,    e_i = E_i / N_i

    p_i are the predicted energies per atom, x_i the composition fractions of structure i and e0 the reference
    energies per species that fit e_i best in the sense of weighted least squares (of least norm where
    compositions do not tell species apart). For one composition that is the usual R^2 about the mean. As in
    `sklearn.metrics.r2_score`, reference energies that explain the targets exactly leave no variance: then 1
    if the prediction is exact and 0 otherwise.

    Parameters
    ----------
    y_true, y_pred : (n,) array-like
        Total energies, eV.
    composition : (n, n_species) array-like
        Number of atoms of each species.
    sample_weight : (n,) array-like, optional

    Returns
    -------
    float
        NaN, with an ``UndefinedMetricWarning``, for fewer than two structures.
    """
    composition = np.asarray(composition, dtype=float)
    n_atoms = composition.sum(axis=1)
    e_true = np.asarray(y_true, dtype=float) / n_atoms
    e_pred = np.asarray(y_pred, dtype=float) / n_atoms
    fractions = composition / n_atoms[:, None]
    root = np.ones_like(e_true) if sample_weight is None else np.sqrt(np.asarray(sample_weight, dtype=float))
    e0 = np.linalg.lstsq(fractions * root[:, None], e_true * root, rcond=None)[0]
    deviation = e_true - fractions @ e0
    # Rounding is no variance: energies per atom carry 1e-16 of their size, the fit some hundred times that.
    deviation[np.abs(deviation) <= 1e-13 * np.abs(e_true).max()] = 0.0
    return float(r2_score(deviation, deviation + (e_pred - e_true), sample_weight=sample_weight))


def force_r2(
    y_true: Sequence[ArrayLike], y_pred: Sequence[ArrayLike], sample_weight: ArrayLike | None = None
) -> float:
    """R^2 of the force components about zero.

        R^2 = 1 - sum w (F - P)^2 / sum w F^2

    P are the predicted components. Forces have the mean zero by symmetry. Where all are exactly zero: 1 if
    the prediction is exact and 0 otherwise, as in `sklearn.metrics.r2_score`.

    Parameters
    ----------
    y_true, y_pred : sequence of n arrays of shape (n_atoms, 3)
        eV/A.
    sample_weight : (n,) array-like, optional
        Of the structures.

    Returns
    -------
    float
    """
    weight = np.ones(len(y_true)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    residual = sum(w * np.sum(np.subtract(t, p) ** 2) for w, t, p in zip(weight, y_true, y_pred, strict=True))
    total = sum(w * np.sum(np.square(t)) for w, t in zip(weight, y_true, strict=True))
    if total == 0:
        return 1.0 if residual == 0 else 0.0
    return float(1 - residual / total)


def cancellation(potential: Potential, structures: Sequence[Atoms]) -> FloatArray:
    """How far the terms of a potential cancel each other: ``sum_n |w_n X_n| / |sum_n w_n X_n|``.

    At 1 all terms have the same sign, so that each can be read by itself; at 50 the energy is a small
    difference of large numbers. Reference energies do not count, nor does what follows beyond the data
    (`Potential.repulsion`).

    Parameters
    ----------
    potential : Potential
    structures : sequence of n ase.Atoms

    Returns
    -------
    (n,) ndarray of float64
        At least 1; NaN where every term is zero, and without terms.
    """
    structures = check_structures(structures, species=potential.species, cutoff=potential.cutoff)
    nothing = np.zeros(len(potential.species))
    cores = [Core(potential.species, [term], nothing) for term in potential.terms]
    parts = np.zeros((len(structures), len(cores)))
    for row, atoms in zip(parts, structures, strict=True):
        species, positions, cell = take_atoms(potential.species, atoms)
        neighbors = find_pairs(positions, cell, atoms.pbc, potential.cutoff)
        for n, core in enumerate(cores):
            row[n] = np.sum(core.evaluate(neighbors, positions, cell, species, False, False)[0])
    sums = np.abs(parts.sum(axis=1))
    return np.divide(np.abs(parts).sum(axis=1), sums, out=np.full(len(sums), np.nan), where=sums > 0)


def coverage(
    y_true: Iterable[ArrayLike], y_pred: Iterable[ArrayLike], y_std: Iterable[ArrayLike], level: float = 0.9
) -> float:
    """Share of values within the intervals that standard deviations promise.

    The interval of a value is p +- z s, with its prediction p and standard deviation s; a normal distribution
    has the share `level` within z standard deviations. The share that is found should be `level`, too.

    Parameters
    ----------
    y_true, y_pred, y_std : (n,) array-like, or sequence of n arrays
        Reference values, predictions and standard deviations in one unit: energies, or forces by structure.
        Where one of them is NaN, the value does not count.
    level : float, default=0.9
        Between 0 and 1.

    Returns
    -------
    float
        From 0 to 1; NaN if nothing counts.

    Raises
    ------
    ValueError
        If the numbers of values differ, a standard deviation is negative, or `level` is not valid.
    """
    if not is_number(level) or not 0 < level < 1:
        raise ValueError(f"level must be a number between 0 and 1, got {level!r}")
    true, found, std = (
        np.concatenate([np.zeros(0), *(np.ravel(np.asarray(part, dtype=float)) for part in values)])
        for values in (y_true, y_pred, y_std)
    )
    if not true.shape == found.shape == std.shape:
        raise ValueError(
            f"{true.size} reference values, {found.size} predictions and {std.size} standard deviations: "
            "give as many of each"
        )
    if (std < 0).any():
        raise ValueError("standard deviations must not be negative")
    miss = np.abs(true - found)
    counts = np.isfinite(miss) & np.isfinite(std)
    inside = miss[counts] <= norm.ppf(0.5 + level / 2) * std[counts]
    return float(inside.mean()) if inside.size else np.nan


def score(X: Sequence[Atoms], reference: Labels, predicted: Labels) -> float:
    """Mean of `energy_r2` and `force_r2` over the targets that the reference has.

    If there are forces, an undefined R^2 of the energy (of one structure) does not count.

    Parameters
    ----------
    X : list of n ase.Atoms
    reference, predicted : Labels
        `predicted` needs the targets that `reference` has; the weights are those of `reference`.

    Returns
    -------
    float
        At most 1.

    Raises
    ------
    ValueError
        The reference has neither energies nor forces.
    """
    parts = []
    rows = np.flatnonzero(reference.used("energy"))
    if len(rows):
        composition = composition_of([X[row] for row in rows.tolist()])
        true, found = (labels.values("energy")[rows] for labels in (reference, predicted))
        parts.append(energy_r2(true, found, composition, reference.weight("energy")[rows]))
    rows = np.flatnonzero(reference.used("force"))
    if len(rows):
        true, found = ([labels.values("force")[row] for row in rows] for labels in (reference, predicted))
        parts.append(force_r2(true, found, reference.weight("force")[rows]))
    if not parts:
        raise ValueError("no energies or forces to score against; attach them to the structures or pass y")
    defined = [part for part in parts if not np.isnan(part)]
    return float(np.mean(defined)) if defined else np.nan


def errors(predicted: Labels, reference: Labels, n_atoms: ArrayLike) -> dict[str, Any]:
    """Root mean square and mean absolute errors. Every structure, component and atom counts once.

    Parameters
    ----------
    predicted, reference : Labels
        Labels that the reference lacks do not count, and neither do weights.
    n_atoms : (n,) array-like of int

    Returns
    -------
    dict of str to int or float
        ``n_structures``, ``n_atoms`` and, for targets present, ``energy_rmse``, ``energy_mae`` (meV/atom),
        ``force_rmse``, ``force_mae`` (eV/A), ``stress_rmse``, ``stress_mae`` (GPa) and ``n_stresses``, the
        number of structures that have a stress.
    """
    n_atoms = np.asarray(n_atoms)
    result: dict[str, Any] = {"n_structures": len(n_atoms), "n_atoms": int(n_atoms.sum())}
    for target, of_labels in _OF_LABELS.items():
        rows = np.flatnonzero(reference.present(of_labels))
        if not len(rows):
            continue
        # Energies in meV.
        factor = 1e3 if target == "energy" else 1.0
        true, found = (_values(labels, target, rows, n_atoms) * factor for labels in (reference, predicted))
        result[f"{target}_rmse"] = float(root_mean_squared_error(true, found))
        result[f"{target}_mae"] = float(mean_absolute_error(true, found))
        if target == "stress":
            result["n_stresses"] = len(rows)
    return result


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
    """
    data = _labeled(model, X, labels)
    return _summarize(_predict(model, data), data.labels, data.n_atoms, read_groups(data.structures))


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
    """
    keys = ("group", "config_type") if key is None else (key,)
    names = [next((atoms.info[key] for key in keys if atoms.info.get(key) is not None), None) for atoms in X]
    if all(name is None for name in names):
        return None
    return np.array(["(no group)" if name is None else str(name) for name in names])


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
    """

    energy: FloatArray
    forces: list[FloatArray]
    extrapolation: list[FloatArray]


class Evaluation:
    """Labels of structures and what a potential predicts for them.

    Parameters
    ----------
    potential : Potential
        The potential.
    X : sequence of n ase.Atoms
        Structures with labels attached.
    groups : (n,) array of str, or None, default=None
        Group of each structure; None takes those of `plip.metrics.read_groups`.
    labels : Labels or None, default=None
        The labels; None reads the attached ones.

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
        If labels are missing or not valid, see `plip.labels.read_labels`.

    Warns
    -----
    UserWarning
        As in `plip.labels.read_labels`, and if all digits of the labels are those of the predictions.
    """

    def __init__(
        self,
        potential: Potential,
        X: Sequence[Atoms],
        groups: NDArray[np.str_] | None = None,
        labels: Labels | None = None,
    ) -> None:
        data = _labeled(potential, X, labels)
        self._assign(potential, data, _predict(potential, data), groups)
        if self._agrees():
            warn(
                "labels and predictions agree in all digits that files have: these labels seem to have been "
                "computed by this potential, and the errors say nothing about its accuracy",
            )

    @classmethod
    def of_folds(
        cls,
        model: Any,
        X: Sequence[Atoms],
        groups: NDArray[np.str_] | None = None,
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
        data = _labeled(model, X, labels)
        owners = {int(row): potential for rows, potential in model.folds_ for row in rows}
        if not owners or max(owners) >= len(data):
            raise ValueError(f"the folds are not those of {len(data)} structures: give the data of the fit")
        kept = np.array(sorted(owners))
        parts = [_predict(owners[row], data.take(np.array([row]))) for row in kept.tolist()]
        made = cls.__new__(cls)
        groups = read_groups(data.structures) if groups is None else groups
        groups = None if groups is None else groups[kept]
        made._assign(model.potential_, data.take(kept), _joined(parts), groups)
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
        self.groups = read_groups(data.structures) if groups is None else groups
        self.reference = data.labels
        self.predicted = predicted

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
        if self.reference.forces is None or not self.parity("force")[0].any():
            return False
        return all(np.abs(np.subtract(*self.parity(target))).max() <= _ROUNDING for target in self.n_labels)

    @property
    def n_labels(self) -> dict[str, int]:
        """dict: number of labels (energies, components of forces and stresses) by target that is present."""
        present = self.reference.targets()
        return {
            target: self.parity(target)[0].size
            for target, of_labels in _OF_LABELS.items()
            if of_labels in present
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
        is_shown = self.reference.present(_OF_LABELS[target])
        rows = np.flatnonzero(is_shown if group is None else is_shown & (self.groups == group))
        reference = _values(self.reference, target, rows, self.n_atoms)
        return reference, _values(self.predicted, target, rows, self.n_atoms)

    @functools.cached_property
    def deviations(self) -> Deviations | None:
        """Deviations or None: how uncertain the predictions are, computed when first asked for.

        None if the potential does not know, since its file was written without it.
        """
        if self.potential.uncertainty is None:
            return None
        found = evaluate_many(self.potential, self.structures, forces=False, stress=False, uncertainty=True)
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
        rows = np.flatnonzero(is_shown if group is None else is_shown & (self.groups == group))
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
        rows = np.arange(len(self.n_atoms)) if group is None else np.flatnonzero(self.groups == group)
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
        part.potential = self.potential
        part.structures = [self.structures[row] for row in rows.tolist()]
        part.n_atoms = self.n_atoms[rows]
        part.groups = None if self.groups is None else self.groups[rows]
        part.reference, part.predicted = self.reference.take(rows), self.predicted.take(rows)
        return part

    def errors(self, group: str | None = None) -> dict[str, Any]:
        """Errors as `plip.metrics.errors` gives them, of all structures or of one group."""
        rows = np.arange(len(self.n_atoms)) if group is None else np.flatnonzero(self.groups == group)
        return errors(self.predicted.take(rows), self.reference.take(rows), self.n_atoms[rows])

    def summary(self) -> dict[str, Any]:
        """Errors of all structures and by group, as `plip.metrics.error_summary` gives them."""
        return _summarize(self.predicted, self.reference, self.n_atoms, self.groups)


class RMSEScorer:
    """Negative root mean square error of energies per atom, forces or stresses, a scikit-learn scorer.

    Reference values are passed, or else attached to the structures. ``GridSearchCV`` and ``cross_validate``
    pass `y`. They pass `forces`, `stress` and `sample_weight` only if metadata routing is enabled and the
    scorer asks for them: ``scoring=neg_force_rmse.set_score_request(forces=True)``.

    Parameters
    ----------
    target : {"energy", "force", "stress"}
        "energy": eV/atom, structures weighted by `sample_weight`; "force": eV/A, and "stress": eV/A^3,
        components weighted by the `sample_weight` of their structure.
    group : str or None, default=None
        Group of the structures that count; None counts all.
    key : str or None, default=None
        Key of the group in ``atoms.info``; for None see `read_groups`.
    """

    def __init__(self, target: str, group: str | None = None, key: str | None = None) -> None:
        if target not in UNITS:
            raise ValueError(f"target must be one of {', '.join(UNITS)}, got {target!r}")
        self.target = target
        self.group = group
        self.key = key
        self._requests: dict[str, bool | str | None] = {
            "forces": None,
            "stress": None,
            "sample_weight": None,
        }

    def __repr__(self) -> str:
        return f"neg_{self.target}_rmse" + (f" of {self.group}" if self.group is not None else "")

    def __call__(
        self,
        estimator: Any,
        X: Sequence[Atoms],
        y: ArrayLike | None = None,
        *,
        forces: Sequence[ArrayLike] | None = None,
        stress: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : PLIPRegressor
            Or anything with ``predict`` (energy), ``predict_forces`` or ``predict_stress``.
        X : sequence of n ase.Atoms
        y : (n,) array-like, optional
            Total energies, eV.
        forces : sequence of n array-likes of shape (n_atoms, 3), optional
            eV/A.
        stress : (n, 6) array-like, optional
            eV/A^3.
        sample_weight : (n,) array-like, optional

        Returns
        -------
        float
            Not positive; larger is better.

        Raises
        ------
        ValueError
            No reference values of the target, given or attached, or unusable ones (see
            `plip.labels.read_labels`), or no such value in the group.
        """
        of_labels = _OF_LABELS[self.target]
        reading: dict[str, Any] = {"targets": (of_labels,), "purpose": "to score against"}
        try:
            data = LabelledStructures.read(
                X, y, forces, stress, sample_weight, **_limits(estimator), **reading
            )
        except NoLabels as error:
            if self.target == "energy":
                raise
            raise ValueError(
                f"{error}. To hand {_KEYWORDS[self.target]} to a scorer, enable metadata routing and use "
                f"neg_{self.target}_rmse.set_score_request({_KEYWORDS[self.target]}=True)"
            ) from None
        data = data.take(np.flatnonzero(data.labels.present(of_labels) & self._counts(data)))
        if not len(data):
            raise ValueError(
                f"no structure of the group {self.group!r} has a label to score against: split the data so "
                "that every part has each group, as plip.model_selection.StratifiedByGroup does"
            )
        predicted, rows, n_atoms = _predict(estimator, data), range(len(data)), data.n_atoms
        true, found = (_values(labels, self.target, rows, n_atoms) for labels in (data.labels, predicted))
        weight = data.labels.weight(of_labels)
        if self.target != "energy":
            weight = np.repeat(weight, 3 * n_atoms if self.target == "force" else 6)
        unit = GPa if self.target == "stress" else 1.0
        return -unit * float(root_mean_squared_error(true, found, sample_weight=weight))

    def _counts(self, data: LabelledStructures) -> NDArray[np.bool_]:
        """Which structures are of the group."""
        if self.group is None:
            return np.ones(len(data), bool)
        names = read_groups(data.structures, self.key)
        return np.zeros(len(data), bool) if names is None else names == self.group

    def set_score_request(self, **requests: bool | str | None) -> RMSEScorer:
        """Return a copy of the scorer that asks for metadata.

        Parameters
        ----------
        **requests : {True, False, None, str}
            Whether `forces`, `stress` and `sample_weight` are to be passed on, or the name under which they
            come.

        Returns
        -------
        RMSEScorer

        Raises
        ------
        RuntimeError
            Metadata routing is not enabled.
        TypeError
            Metadata of another name.
        """
        if not sklearn.get_config()["enable_metadata_routing"]:
            raise RuntimeError("enable metadata routing: sklearn.set_config(enable_metadata_routing=True)")
        unknown = requests.keys() - self._requests.keys()
        if unknown:
            raise TypeError(
                f"{self} takes forces, stress and sample_weight, not {', '.join(sorted(unknown))}"
            )
        scorer = copy.copy(self)
        scorer._requests = self._requests | requests
        return scorer

    def get_metadata_routing(self) -> MetadataRequest:
        """Return what the scorer asks for, as ``sklearn.utils.metadata_routing.MetadataRequest``."""
        request = MetadataRequest(owner=repr(self))
        for name, alias in self._requests.items():
            request.score.add_request(param=name, alias=alias)
        return request


neg_energy_rmse = RMSEScorer("energy")
neg_force_rmse = RMSEScorer("force")
neg_stress_rmse = RMSEScorer("stress")


def group_scorers(X: Sequence[Atoms], target: str = "force", key: str | None = None) -> dict[str, RMSEScorer]:
    """Scorers of the groups of structures, for ``scoring=`` of ``cross_validate`` and ``GridSearchCV``.

    Parameters
    ----------
    X : sequence of n ase.Atoms
        Structures with groups.
    target : {"energy", "force", "stress"}, default="force"
    key : str or None, default=None
        Key of the group in ``atoms.info``; for None see `read_groups`.

    Returns
    -------
    dict of str to RMSEScorer
        By name of the group.

    Raises
    ------
    ValueError
        If no structure has a group.
    """
    names = read_groups(X, key)
    if names is None:
        raise ValueError("no structure names a group: give `key`, the key in atoms.info")
    return {name: RMSEScorer(target, name, key) for name in sorted(set(names.tolist()))}


def _limits(model: object) -> dict[str, Any]:
    """Species and cutoff to check structures for; other models than potentials check them themselves."""
    potential = _potential(model)
    return {} if potential is None else {"species": potential.species, "cutoff": potential.cutoff}


def _potential(model: object) -> Potential | None:
    """The potential that a model is or has, or None."""
    potential = getattr(model, "potential_", model)
    return potential if isinstance(potential, Potential) else None


def _labeled(model: object, X: Sequence[Atoms], labels: Labels | None) -> LabelledStructures:
    """Structures checked for a model, with the labels given or attached."""
    if labels is None:
        return LabelledStructures.read(X, **_limits(model), purpose="to compare with")
    structures = check_structures(X, **_limits(model))
    return LabelledStructures(tuple(structures), labels, np.arange(len(structures)))


def _predict(model: Any, data: LabelledStructures) -> Labels:
    """What a model predicts for structures, of the targets that they have."""
    forces, stress = data.labels.forces is not None, data.labels.stress is not None
    potential = _potential(model)
    if potential is not None:
        n_jobs = getattr(model, "n_jobs", None)
        return predict_labels(potential, data.structures, n_jobs, forces, stress, data.places)
    X = list(data.structures)
    return Labels(
        energy=None if data.labels.energy is None else np.asarray(model.predict(X)),
        forces=model.predict_forces(X) if forces else None,
        stress=np.asarray(model.predict_stress(X)) if stress else None,
        sample_weight=np.ones(len(X)),
    )


def _joined(parts: Sequence[Labels]) -> Labels:
    """Labels of one structure after the other, which have the same targets or lack some."""
    energy = [np.full(1, np.nan) if part.energy is None else part.energy for part in parts]
    stress = [np.full((1, 6), np.nan) if part.stress is None else part.stress for part in parts]
    return Labels(
        energy=np.concatenate(energy),
        forces=[None if part.forces is None else part.forces[0] for part in parts],
        stress=np.concatenate(stress),
        sample_weight=np.ones(len(parts)),
    )


def _values(labels: Labels, target: str, rows: Sequence[int] | IntArray, n_atoms: IntArray) -> FloatArray:
    """Labels of some structures as one vector: eV/atom, eV/A or GPa."""
    values = labels.values(_OF_LABELS[target])
    if target == "energy":
        return (values / n_atoms)[rows]
    if target == "force":
        return np.concatenate([np.zeros((0, 3)), *(values[row] for row in rows)]).ravel()
    return values[rows].ravel() / GPa


def _summarize(
    predicted: Labels, reference: Labels, n_atoms: IntArray, groups: NDArray[np.str_] | None
) -> dict[str, Any]:
    """What `errors` returns, of all structures and under "groups" of each group."""
    summary = errors(predicted, reference, n_atoms)
    if groups is not None:
        summary["groups"] = {}
        for name in sorted(set(groups)):
            rows = np.flatnonzero(groups == name)
            summary["groups"][name] = errors(predicted.take(rows), reference.take(rows), n_atoms[rows])
    return summary
