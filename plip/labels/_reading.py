"""Labels of structures, given by the user or else attached to the Atoms."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from ase import Atoms

from plip._structures._checks import describe, errors_of, has_full_cell
from plip._types import BoolArray, FloatArray
from plip.labels._attached import ENERGY_NAMES, attached_label
from plip.labels._labels import TARGETS, Labels
from plip.labels._plausibility import (
    leave_out_placeholders,
    name_structures,
    other_names,
    warn,
    warn_of_contradiction,
    warn_of_large_stresses,
    warn_of_other_names,
    warn_of_predictions,
)
from plip.labels._stress import components_of
from plip.labels._values import check_array, check_length, check_numbers, is_missing, real_array

__all__ = ["NoLabels", "no_labels", "read_labels", "read_sample_weight"]

_PLURALS = {"energy": "energies", "force": "forces", "virial": "stresses"}


def read_labels(
    X: Sequence[Atoms],
    y: Any = None,
    forces: Any = None,
    stress: Any = None,
    sample_weight: Any = None,
    targets: Collection[str] = TARGETS,
    hinted: Collection[str] | None = None,
    first: int = 0,
    purpose: str = "to fit",
    required: bool = True,
) -> Labels:
    """Collect the targets of structures: those given, else those attached to the Atoms.

    Attached labels are results that ``atoms.calc`` already holds for exactly these atoms: no calculation is
    started and no constraint is applied (``atoms.get_forces()`` would do both). Energies are those named
    ``free_energy``, else ``energy``: forces are the derivatives of the free energy, which differs from
    ``energy`` where a calculator extrapolates that to zero smearing.

    A label is missing where it is None (or ``pandas.NA``, or masked as a whole), or where nothing is
    attached.

    Parameters
    ----------
    X : list of ase.Atoms
        As returned by `check_structures`.
    y : array-like of shape (n,), optional
        Total energies, eV.
    forces : sequence of n array-likes of shape (n_atoms, 3), optional
        eV/A.
    stress : array-like of shape (n, 6), or sequence of n array-likes of shape (6,) or (3, 3), optional
        eV/A^3, Voigt order xx yy zz yz xz xy, tension positive; a row of NaN counts as missing. Attached
        stresses of structures whose cell has no volume mean nothing and are passed over.
    sample_weight : array-like of shape (n,), or array of shape (n, 3), optional
        One by default; three columns are weights of the energy, the forces and the stress.
    targets : collection of {"energy", "force", "virial"}, optional
        Targets to read; attached labels of other targets are ignored.
    hinted : collection of {"energy", "force", "virial"}, optional
        Targets whose labels under other names deserve a warning; `targets` by default.
    first : int, default=0
        Place of the first structure in the data, for messages.
    purpose : str, default="to fit"
        What the labels are for; messages say it.
    required : bool, default=True
        Whether it is an error that no structure has a label, or none a weight.

    Returns
    -------
    Labels

    Raises
    ------
    ValueError
        No target at all; a wrong shape; NaN or infinite values; masked entries within a label; booleans,
        strings, complex numbers, numbers with units; a stress given for a structure whose cell has no volume,
        or as a matrix that is not symmetric; negative weights or none above zero; attached labels of atoms
        that have moved since. The message names the first such structure.

    Warns
    -----
    LabelWarning
        Structures without any label; labels under names that are ignored; labels that are exactly zero where
        they cannot be (placeholders of a reader), which are left out; energies that contradict those attached
        beside the forces; labels that a potential of plip computed; free energies attached to some structures
        and only energies of another kind to others.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from plip.labels import read_labels
    >>> structures = [bulk("Si", a=5.4), bulk("Si", a=5.5)]
    >>> read_labels(structures, y=[-10.8, -10.7]).energy
    array([-10.8, -10.7])
    """
    values = zip(TARGETS, (y, forces, stress), strict=True)
    given = {target for target, value in values if value is not None}
    # Labels that are given are checked in any case, attached ones only if they are wanted.
    looked_at = given.union(targets)
    # Whether the atoms of a structure are those of its results is seen once.
    unmoved = np.zeros(len(X), bool)
    energy = _read_energies(X, y, first, unmoved) if "energy" in looked_at else None
    force = _read_forces(X, forces, first, unmoved) if "force" in looked_at else None
    virial = _read_stresses(X, stress, first, unmoved) if "virial" in looked_at else None
    labels = Labels(
        energy=energy if "energy" in targets else None,
        forces=force if "force" in targets else None,
        stress=virial if "virial" in targets else None,
        sample_weight=read_sample_weight(X, sample_weight, first, required),
    )
    if "energy" in given:
        warn_of_contradiction(X, labels, given)
    labels = leave_out_placeholders(X, labels, given, first)
    warn_of_large_stresses(labels)
    warn_of_other_names(X, labels, targets if hinted is None else hinted)
    if required and not labels.targets():
        raise no_labels(X[0], targets, purpose)
    warn_of_predictions(X, labels, given, first)
    # A scorer takes what it finds.
    if purpose != "to score against":
        _warn_of_unlabeled(X, labels, first, purpose)
    return labels


class NoLabels(ValueError):
    """The data have no label of the targets that are wanted."""


def no_labels(atoms: Atoms, targets: Collection[str], purpose: str = "to fit") -> NoLabels:
    """The error for data without any label.

    Parameters
    ----------
    atoms : ase.Atoms
        Structure 0.
    targets, purpose
        As in `read_labels`.

    Returns
    -------
    NoLabels
    """
    wanted = [_PLURALS[target] for target in TARGETS if target in targets]
    unwanted = [_PLURALS[target] for target in TARGETS if target not in targets]
    alternatives = [", ".join(wanted[:-1]), wanted[-1]] if wanted[1:] else wanted or ["labels"]
    message = (
        f"no {' or '.join(alternatives)} {purpose}: pass them as y=, forces=, stress=, or attach them with "
        "atoms.calc = ase.calculators.singlepoint.SinglePointCalculator(atoms, energy=..., forces=...)"
    )
    hints = [hint for target in TARGETS for hint in other_names(atoms, target)]
    if hints:
        names = " and ".join(hints)
        message += f". Structure 0 has {names}: pass them, e.g. y=[atoms.info[...] for atoms in X]"
    if unwanted and purpose == "to fit":
        message += (
            f". The weight of {' and '.join(unwanted)} is 0: if they are what there is to fit, raise "
            "energy_weight, force_weight or stress_weight"
        )
    return NoLabels(message)


def _warn_of_unlabeled(X: Sequence[Atoms], labels: Labels, first: int, purpose: str) -> None:
    """Warn of structures that have a weight but no label."""
    is_labeled = np.any([labels.present(target) for target in TARGETS], axis=0)
    has_weight = labels.sample_weight.reshape(len(X), -1).any(axis=1)
    unlabeled = has_weight & ~is_labeled
    if unlabeled.any():
        warn(f"{name_structures(X, unlabeled, first)}: no label {purpose}; passed over", unlabeled, first)


def _attached(
    X: Sequence[Atoms], names: tuple[str, ...], first: int, unmoved: BoolArray
) -> list[tuple[str, Any] | None]:
    """Name and value of the first of some results in each calculator, or None.

    `unmoved` (n,) says which atoms are known to be those of the results, and learns of others.
    """
    found: list[tuple[str, Any] | None] = []
    for k, (atoms, is_unmoved) in enumerate(zip(X, unmoved.tolist(), strict=True)):
        with errors_of(first + k, atoms):
            found.append(attached_label(atoms, names, is_unmoved))
    unmoved |= [entry is not None for entry in found]
    return found


def _given_or_attached(
    X: Sequence[Atoms], given: Any, name: str, first: int, unmoved: BoolArray
) -> list[Any]:
    """What the user has given for each structure, or else its attached result; None where there is none."""
    if given is not None:
        return check_length(given, X, name)
    return [None if entry is None else entry[1] for entry in _attached(X, (name,), first, unmoved)]


def _read_energies(X: Sequence[Atoms], y: Any, first: int, unmoved: BoolArray) -> FloatArray | None:
    """Total energies (n,), NaN where there is none, or None if no structure has one."""
    if y is not None:
        energies = check_numbers(y, X, "y", first, may_be_missing=True)
        return None if np.isnan(energies).all() else energies
    attached = _attached(X, ENERGY_NAMES, first, unmoved)
    names = [None if entry is None else entry[0] for entry in attached]
    if "free_energy" in names and "energy" in names:
        other = names.index("energy")
        warn(
            f"some structures have a free_energy attached, but {describe(first + other, X[other])} only an "
            "energy; the two differ wherever electrons are smeared: check that all energies are of one kind"
        )
    energies = np.full(len(X), np.nan)
    for k, entry in enumerate(attached):
        if entry is not None:
            name, value = entry
            with errors_of(first + k, X[k]):
                energies[k] = check_array(value, (), name)
    return None if np.isnan(energies).all() else energies


def _read_forces(
    X: Sequence[Atoms], forces: Any, first: int, unmoved: BoolArray
) -> list[FloatArray | None] | None:
    """Forces as a list of (n_atoms, 3) or None, or None if no structure has them."""
    found: list[FloatArray | None] = [None] * len(X)
    for k, value in enumerate(_given_or_attached(X, forces, "forces", first, unmoved)):
        if not is_missing(value):
            with errors_of(first + k, X[k]):
                found[k] = check_array(value, (len(X[k]), 3), "forces")
    return None if all(value is None for value in found) else found


def _read_stresses(X: Sequence[Atoms], stress: Any, first: int, unmoved: BoolArray) -> FloatArray | None:
    """Stresses (n, 6) with rows of NaN where there is none, or None if no structure has one."""
    rows = np.full((len(X), 6), np.nan)
    for k, value in enumerate(_given_or_attached(X, stress, "stress", first, unmoved)):
        if not is_missing(value):
            with errors_of(first + k, X[k]):
                rows[k] = _read_stress(X[k], value, is_given=stress is not None)
    return None if np.isnan(rows).all() else rows


def _read_stress(atoms: Atoms, value: Any, is_given: bool) -> FloatArray:
    """Stress of one structure, (6,), NaN if it has none."""
    array = real_array(value, "stress")
    if is_given and array.size and np.isnan(array).all():
        return np.full(6, np.nan)
    if not has_full_cell(atoms):
        if not is_given:
            return np.full(6, np.nan)
        raise ValueError("a stress is given, but its cell has no volume; give None instead")
    array = check_array(array, (3, 3) if array.ndim == 2 else (6,), "stress")
    return array if array.ndim == 1 else components_of(array)


def read_sample_weight(X: Sequence[Atoms], sample_weight: Any, first: int, required: bool) -> FloatArray:
    """Weights (n,) of the structures or (n, 3) of their targets, one by default."""
    if sample_weight is None:
        return np.ones(len(X))
    if getattr(sample_weight, "shape", ())[1:] == (len(TARGETS),):
        columns = np.asanyarray(sample_weight).T
        weights = np.column_stack([check_numbers(column, X, "sample_weight", first) for column in columns])
    else:
        weights = check_numbers(sample_weight, X, "sample_weight", first)
    if (weights < 0).any():
        k = np.argwhere(weights < 0)[0, 0]
        raise ValueError(
            f"{describe(first + k, X[k])}: sample_weight is {weights[k].min():g}; it must not be negative"
        )
    if required and not weights.any():
        raise ValueError("sample_weight is zero for every structure; at least one must count")
    return weights
