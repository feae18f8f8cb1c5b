"""Labels of structures, given by the user or else attached to the Atoms."""

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from ase import Atoms

from plip._structures._checks import describe, errors_of, have_full_cells
from plip._types import FloatArray
from plip.labels._attached import ENERGY_NAMES, Attached
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
    warn_of_swallowed_entries,
)
from plip.labels._stress import components_of
from plip.labels._values import check_array, check_arrays, check_length, check_numbers, is_missing, real_array

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
    is_part: bool = False,
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
    sample_weight : array-like of shape (n,) or (n, 3), optional
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
    is_part : bool, default=False
        Whether other structures belong to the data, too.

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
    attached = Attached(X, first)
    energy = _read_energies(X, y, first, attached) if "energy" in looked_at else None
    force = _read_forces(X, forces, first, attached) if "force" in looked_at else None
    virial = _read_stresses(X, stress, first, attached) if "virial" in looked_at else None
    labels = Labels(
        energy=energy if "energy" in targets else None,
        forces=force if "force" in targets else None,
        stress=virial if "virial" in targets else None,
        sample_weight=read_sample_weight(X, sample_weight, first, required),
    )
    if "energy" in given:
        warn_of_contradiction(X, labels, given)
    labels = leave_out_placeholders(X, labels, given, first, is_part)
    warn_of_large_stresses(labels)
    warn_of_other_names(X, labels, targets if hinted is None else hinted)
    warn_of_swallowed_entries(X, first)
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
        warn(f"{name_structures(X, unlabeled, first)}: no label {purpose}; ignored", unlabeled, first)


def _given_or_attached(X: Sequence[Atoms], given: Any, name: str, attached: Attached) -> list[Any]:
    """What the user has given for each structure, or else its attached result; None where there is none."""
    if given is not None:
        return check_length(given, X, name)
    return [None if entry is None else entry[1] for entry in attached.find((name,))]


def _read_energies(X: Sequence[Atoms], y: Any, first: int, attached: Attached) -> FloatArray | None:
    """Total energies (n,), NaN where there is none, or None if no structure has one."""
    if y is not None:
        energies = check_numbers(y, X, "y", first, may_be_missing=True)
        return None if np.isnan(energies).all() else energies
    found = attached.find(ENERGY_NAMES)
    names = [None if entry is None else entry[0] for entry in found]
    if "free_energy" in names and "energy" in names:
        other = names.index("energy")
        warn(
            f"some structures have a free_energy attached, but {describe(first + other, X[other])} only an "
            "energy; the two differ wherever electrons are smeared: check that all energies are of one kind"
        )
    energies = np.full(len(X), np.nan)
    for name in ENERGY_NAMES:
        if name not in names:
            continue
        values = [None if entry is None or entry[0] != name else entry[1] for entry in found]
        for k, value in enumerate(check_arrays(values, [()] * len(X), X, name, first)):
            if value is not None:
                energies[k] = value
    return None if np.isnan(energies).all() else energies


def _read_forces(
    X: Sequence[Atoms], forces: Any, first: int, attached: Attached
) -> list[FloatArray | None] | None:
    """Forces as a list of (n_atoms, 3) or None, or None if no structure has them."""
    values = _given_or_attached(X, forces, "forces", attached)
    found = check_arrays(values, [(len(atoms), 3) for atoms in X], X, "forces", first)
    return None if all(value is None for value in found) else found


def _read_stresses(X: Sequence[Atoms], stress: Any, first: int, attached: Attached) -> FloatArray | None:
    """Stresses (n, 6) with rows of NaN where there is none, or None if no structure has one."""
    values = _given_or_attached(X, stress, "stress", attached)
    for k, is_full in enumerate(have_full_cells(X).tolist()):
        if not is_full or not _is_row(values[k]):
            with errors_of(first + k, X[k]):
                values[k] = _read_stress(values[k], is_full, is_given=stress is not None)
    found = check_arrays(values, [(6,)] * len(X), X, "stress", first)
    present = [k for k, value in enumerate(found) if value is not None]
    rows = np.full((len(X), 6), np.nan)
    if present:
        rows[present] = [found[k] for k in present]
    return rows if present else None


def _is_row(value: Any) -> bool:
    """Whether a stress is six numbers, as readers attach it, and the first of them is not missing."""
    is_plain = type(value) is np.ndarray and value.dtype == np.float64
    return is_plain and value.shape == (6,) and not math.isnan(value[0])


def _read_stress(value: Any, has_full_cell: bool, is_given: bool) -> Any:
    """Stress of one structure as six numbers, not all of which are checked, or None if it has none."""
    if is_missing(value):
        return None
    array = real_array(value, "stress")
    if is_given and array.size and np.isnan(array).all():
        return None
    if not has_full_cell:
        if not is_given:
            return None
        raise ValueError("a stress is given, but its cell has no volume; give None instead")
    return components_of(check_array(array, (3, 3), "stress")) if array.ndim == 2 else array


def read_sample_weight(X: Sequence[Atoms], sample_weight: Any, first: int, required: bool) -> FloatArray:
    """Weights (n,) of the structures or (n, 3) of their targets, one by default."""
    if sample_weight is None:
        return np.ones(len(X))
    if isinstance(sample_weight, (list, tuple)) and any(map(np.ndim, sample_weight)):
        sample_weight = real_array(sample_weight, "sample_weight")
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
