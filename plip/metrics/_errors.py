"""Measures of errors of energies, forces and stresses, of cancellation and of coverage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import GPa
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from plip._core import Core
from plip._parameters import is_number
from plip._structures._checks import check_structures
from plip._structures._composition import composition_of
from plip._structures._evaluation import find_pairs, take_atoms
from plip._types import FloatArray, IntArray
from plip.labels import TARGETS, Labels
from plip.potential import Potential
from plip.potential._models import as_potential

__all__ = [
    "OF_LABELS",
    "SHOWN_UNITS",
    "UNITS",
    "cancellation",
    "coverage",
    "energy_r2",
    "errors",
    "force_r2",
    "score",
    "summarize",
    "values_of",
]

# Units of `errors` and `error_summary`.
UNITS = {"energy": "meV/atom", "force": "eV/A", "stress": "GPa"}
# With the letter that plain text does without, for figures and pages.
SHOWN_UNITS = {target: unit.replace("/A", "/Å") for target, unit in UNITS.items()}
# The targets of `Labels` by the names that they have here.
OF_LABELS = dict(zip(UNITS, TARGETS, strict=True))

# eV/A. Sums of neighbors that symmetry cancels are some 1e-14; files have eight digits at most.
_NO_FORCE = 1e-8


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

    Examples
    --------
    >>> from plip.metrics import energy_r2
    >>> round(energy_r2([-10.0, -10.4, -10.9], [-10.1, -10.4, -10.8], composition=[[2], [2], [2]]), 3)
    0.951
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

    P are the predicted components. Forces have the mean zero by symmetry. Where all are zero but for rounding
    (1e-8 eV/Angstrom, root mean square), as in strained crystals: 1 if those of the prediction are, too, and
    0 otherwise, as in `sklearn.metrics.r2_score`.

    Parameters
    ----------
    y_true, y_pred : sequence of n arrays of shape (n_atoms, 3)
        eV/A.
    sample_weight : (n,) array-like, optional
        Of the structures.

    Returns
    -------
    float

    Examples
    --------
    >>> from plip.metrics import force_r2
    >>> round(force_r2([[[0.0, 0.0, 1.0]]], [[[0.0, 0.1, 0.9]]]), 3)
    0.98
    """
    weight = np.ones(len(y_true)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    residual = sum(w * np.sum(np.subtract(t, p) ** 2) for w, t, p in zip(weight, y_true, y_pred, strict=True))
    total = sum(w * np.sum(np.square(t)) for w, t in zip(weight, y_true, strict=True))
    rounding = sum(w * np.size(t) for w, t in zip(weight, y_true, strict=True)) * _NO_FORCE**2
    if total <= rounding:
        return 1.0 if residual <= rounding else 0.0
    return float(1 - residual / total)


def cancellation(potential: Potential, structures: Sequence[Atoms]) -> FloatArray:
    """How far the terms of a potential cancel each other: ``sum_n |w_n X_n| / |sum_n w_n X_n|``.

    At 1 all terms have the same sign, so that each can be read by itself; at 50 the energy is a small
    difference of large numbers. Reference energies do not count, nor does what follows beyond the data
    (`Potential.repulsion`).

    Parameters
    ----------
    potential : Potential, or a fitted estimator
    structures : sequence of n ase.Atoms

    Returns
    -------
    (n,) ndarray of float64
        At least 1; NaN where every term is zero, and without terms.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from plip.metrics import cancellation
    >>> bool((cancellation(model.potential_, test) >= 1.0).all())
    True
    """
    potential = as_potential(potential)
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

    Examples
    --------
    >>> from plip.metrics import coverage
    >>> coverage([0.0, 1.0, 2.0, 3.0], [0.1, 1.1, 1.9, 4.0], [0.2, 0.2, 0.2, 0.2])
    0.75
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

    Examples
    --------
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.labels import read_labels
    >>> from plip.metrics import score
    >>> _, test = load_silicon_carbide()
    >>> labels = read_labels(test)
    >>> score(test, labels, labels)
    1.0
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

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from plip.labels import read_labels
    >>> from plip.metrics import errors
    >>> found = errors(model.potential_.predict(test), read_labels(test), [len(atoms) for atoms in test])
    >>> found["n_structures"]
    27
    >>> sorted(found)[:4]
    ['energy_mae', 'energy_rmse', 'force_mae', 'force_rmse']
    """
    n_atoms = np.asarray(n_atoms)
    result: dict[str, Any] = {"n_structures": len(n_atoms), "n_atoms": int(n_atoms.sum())}
    for target, of_labels in OF_LABELS.items():
        rows = np.flatnonzero(reference.present(of_labels))
        if not len(rows):
            continue
        true, found = (values_of(labels, target, rows, n_atoms) for labels in (reference, predicted))
        if target == "energy":  # in meV
            true, found = 1e3 * true, 1e3 * found
        result[f"{target}_rmse"] = float(root_mean_squared_error(true, found))
        result[f"{target}_mae"] = float(mean_absolute_error(true, found))
        if target == "stress":
            result["n_stresses"] = len(rows)
    return result


def values_of(labels: Labels, target: str, rows: Sequence[int] | IntArray, n_atoms: IntArray) -> FloatArray:
    """Labels of some structures as one vector: eV/atom, eV/A or GPa."""
    values = labels.values(OF_LABELS[target])
    if target == "energy":
        return (values / n_atoms)[rows]
    if target == "force":
        return np.concatenate([np.zeros((0, 3)), *(values[row] for row in rows)]).ravel()
    return values[rows].ravel() / GPa


def summarize(
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
