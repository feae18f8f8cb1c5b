"""Whether the uncertainty of a potential holds, and which structures leave the data of its fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plip.metrics import Evaluation

__all__ = ["FOLDS", "LEVEL", "cells", "farthest", "known", "uncertainties"]

# Name of the evaluation of folds, `Evaluation.of_folds`.
FOLDS = "cross-validation"
# Share of errors that intervals should hold.
LEVEL = 0.9
# Training structures with about so many atoms tell the share to less than 1 %.
_ENOUGH_ATOMS = 5_000
# Structures that are listed.
_LISTED = 8
_SEED = 0


def known(evaluations: Mapping[str, Evaluation]) -> dict[str, Evaluation]:
    """Evaluations by potentials that know how uncertain they are.

    Folds stand for the training data, whose errors say less. A sample of both is enough: none of their atoms
    has a grade above 1.
    """
    found = {}
    for name, evaluation in evaluations.items():
        if evaluation.potential.uncertainty is None or (name == "train" and FOLDS in evaluations):
            continue
        found[name] = _sample(evaluation) if name in ("train", FOLDS) else evaluation
    return found


def _sample(evaluation: Evaluation) -> Evaluation:
    order = np.random.default_rng(_SEED).permutation(len(evaluation.n_atoms))
    count = int(np.searchsorted(np.cumsum(evaluation.n_atoms[order]), _ENOUGH_ATOMS)) + 1
    return evaluation.take(np.sort(order[:count]))


def uncertainties(evaluations: Mapping[str, Evaluation], by_group: bool) -> dict[str, dict[str, Any]]:
    """What `Evaluation.uncertainty` returns, by data set, or by group of the structures.

    Parameters
    ----------
    evaluations : mapping of str to Evaluation
        By name of the data set.
    by_group : bool
        Whether each group has a row, too.

    Returns
    -------
    dict of str to dict
        Empty if the potential does not know how uncertain it is.
    """
    found = {}
    for name, evaluation in known(evaluations).items():
        found[name] = evaluation.uncertainty(level=LEVEL)
        groups = [] if evaluation.groups is None or not by_group else np.unique(evaluation.groups).tolist()
        if len(groups) > 1:
            for group in groups:
                found[f"{name}, {group}"] = evaluation.uncertainty(group, LEVEL)
    return found


def cells(row: Mapping[str, Any]) -> list[str]:
    """Shares of forces and energies in percent, atoms, atoms above 1, largest grade, as text."""
    shares = [row.get(f"{target}_coverage", np.nan) for target in ("force", "energy")]
    counts = [f"{row[key]:,}" for key in ("n_atoms", "n_extrapolated")]
    of_shares = ["-" if np.isnan(share) else f"{100 * share:.1f}" for share in shares]
    return [*of_shares, *counts, f"{row['largest_extrapolation']:.2f}"]


def farthest(evaluation: Evaluation) -> list[tuple[int, str, float, int]]:
    """Structures with grades above 1, the farthest first.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    list of (int, str, float, int)
        Place of the structure, species and grade of its farthest atom, number of its atoms above 1.
    """
    deviations = evaluation.deviations
    if deviations is None:
        return []
    largest = np.array([grades.max(initial=0.0) for grades in deviations.extrapolation])
    found = []
    for row in np.argsort(-largest, kind="stable")[:_LISTED].tolist():
        grades = deviations.extrapolation[row]
        if largest[row] > 1.0:
            symbol = evaluation.structures[row].symbols[int(grades.argmax())]
            found.append((row, symbol, float(largest[row]), int(np.count_nonzero(grades > 1.0))))
    return found
