"""The structures that a potential describes worst, and what is odd about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from plip._structures._neighbors import find_all_neighbors
from plip._types import FloatArray, IntArray
from plip.metrics import Evaluation
from plip.potential import Potential

__all__ = ["WorstStructure", "largest_errors", "worst_structures"]

# Structures that are shown, and the share of the data beyond which a quantity is odd.
_MOST = 8
_TAIL = 0.02
# Errors below this are alike, in the unit of any target.
_TINY = 1e-9
# Groups and compositions with so few structures are rare.
_RARE = 3


@dataclass(frozen=True)
class WorstStructure:
    """One structure with large errors.

    Attributes
    ----------
    index : int
        Place in its data set.
    formula, group : str
    errors : dict of str to float
        Largest absolute error by target, in the units of `plip.metrics.UNITS`.
    oddities : tuple of str
        What sets it apart from the other structures.
    """

    index: int
    formula: str
    group: str
    errors: dict[str, float]
    oddities: tuple[str, ...]


def largest_errors(evaluation: Evaluation) -> dict[str, FloatArray]:
    """Largest absolute error of each structure by target; NaN without a label.

    Energies in meV/atom, forces in eV/Angstrom, stresses in GPa.
    """
    found: dict[str, FloatArray] = {}
    for target in evaluation.n_labels:
        reference, predicted = evaluation.parity(target)
        error = np.abs(predicted - reference) * (1e3 if target == "energy" else 1.0)
        is_present = evaluation.reference.present({"stress": "virial"}.get(target, target))
        sizes = {"energy": np.ones_like(evaluation.n_atoms), "force": 3 * evaluation.n_atoms}.get(
            target, np.full_like(evaluation.n_atoms, 6)
        )[is_present]
        worst = np.full(len(evaluation.n_atoms), np.nan)
        # A structure without atoms has no force.
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        worst[is_present] = np.maximum.reduceat(error, starts)
        found[target] = worst
    return found


def worst_structures(potential: Potential, evaluation: Evaluation) -> list[WorstStructure]:
    """The structures whose largest error of a target is the greatest multiple of the median.

    Parameters
    ----------
    potential : Potential
    evaluation : Evaluation

    Returns
    -------
    list of WorstStructure
        The worst first.
    """
    errors = largest_errors(evaluation)
    # The mean would grow with the outliers.
    relative = [values / max(float(np.nanmedian(values)), _TINY) for values in errors.values()]
    score = np.nanmax(np.array([*relative, np.zeros(len(evaluation.n_atoms))]), axis=0)
    order = np.argsort(-score, kind="stable")[:_MOST]
    oddities = _oddities(potential, evaluation, order)
    groups = evaluation.groups
    return [
        WorstStructure(
            row,
            evaluation.structures[row].get_chemical_formula(),
            "" if groups is None else str(groups[row]),
            {target: float(errors[target][row]) for target in errors if np.isfinite(errors[target][row])},
            tuple(found),
        )
        for row, found in zip(order.tolist(), oddities, strict=True)
    ]


def _oddities(potential: Potential, evaluation: Evaluation, rows: IntArray) -> list[list[str]]:
    """What sets each of the rows apart, in words."""
    structures = evaluation.structures
    if len(structures) == 1:
        return [[] for _ in rows]
    features = _features(potential, evaluation)
    formulas = [atoms.get_chemical_formula(empirical=True) for atoms in structures]
    of_formula = Counter(formulas)
    of_group = Counter([] if evaluation.groups is None else evaluation.groups.tolist())
    found = []
    for row in rows.tolist():
        words = []
        for name, unit, values in features:
            value = values[row]
            if not np.isfinite(value):
                continue
            known = values[np.isfinite(values)]
            above, below = np.mean(known >= value), np.mean(known <= value)
            text, rare = f"{name} {value:.3g} {unit}", max(_TAIL, 1.0 / len(known))
            if above <= rare:
                words.append(f"{text}, more than in {100 * np.mean(known < value):.0f} % of the data")
            elif below <= rare:
                words.append(f"{text}, less than in {100 * np.mean(known > value):.0f} % of the data")
        group = None if evaluation.groups is None else str(evaluation.groups[row])
        if group is not None and of_group[group] <= _RARE:
            words.append(f"one of {of_group[group]} structures of the group {group}")
        if of_formula[formulas[row]] <= _RARE:
            words.append(f"one of {of_formula[formulas[row]]} structures of the composition {formulas[row]}")
        found.append(words)
    return found


def _features(potential: Potential, evaluation: Evaluation) -> list[tuple[str, str, FloatArray]]:
    """Name, unit and values of what is compared."""
    structures = evaluation.structures
    volumes = [atoms.get_volume() / len(atoms) if atoms.pbc.all() else np.nan for atoms in structures]
    features = [("volume", "Å³/atom", np.array(volumes))]
    features.append(("shortest distance", "Å", _shortest(potential, structures)))
    if evaluation.reference.forces is not None:
        forces = [
            np.nan if force is None else np.linalg.norm(force, axis=1).max()
            for force in evaluation.reference.forces
        ]
        features.append(("largest force", "eV/Å", np.array(forces)))
    if evaluation.reference.energy is not None:
        reference = [sum(potential.intercept[symbol] for symbol in atoms.symbols) for atoms in structures]
        energies = (evaluation.reference.energy - reference) / evaluation.n_atoms
        features.append(("energy less reference", "eV/atom", energies))
    return features


def _shortest(potential: Potential, structures: Sequence[Atoms]) -> FloatArray:
    return np.array(
        [find_all_neighbors(atoms, potential.cutoff).distance_p.min(initial=np.inf) for atoms in structures]
    )
