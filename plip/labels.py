"""Targets of structures (energies, forces, stresses), given or attached, and their weights."""

import numbers
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase.stress import full_3x3_to_voigt_6_stress

from plip._structures import describe, has_full_cell

__all__ = [
    "TARGETS",
    "Labels",
    "read_energies",
    "read_forces",
    "read_labels",
    "read_sample_weight",
    "read_stresses",
]

TARGETS = ("energy", "force", "virial")

# Angstrom. Wrapping or scaling atoms and cell there and back rounds less; at a force of 10 eV/A it is 1e-7
# eV.
_MOVED = 1e-8


@dataclass(frozen=True, eq=False)
class Labels:
    """Targets and weights of n structures.

    Attributes
    ----------
    energy : (n,) float64 or None
        Total energies, eV.
    forces : list of n (n_atoms, 3) float64, or None
        eV/A. May share memory with what they were read from.
    stress : (n, 6) float64 or None
        eV/A^3, Voigt order xx yy zz yz xz xy, tension positive; a row of NaN is a structure without stress.
    sample_weight : (n,) float64
        Weight of each structure, not negative.
    """

    energy: np.ndarray | None
    forces: list | None
    stress: np.ndarray | None
    sample_weight: np.ndarray

    def take(self, rows):
        """The labels of some structures.

        Parameters
        ----------
        rows : slice or ndarray of int

        Returns
        -------
        Labels
        """
        chosen = np.arange(len(self.sample_weight))[rows]
        return Labels(
            energy=None if self.energy is None else self.energy[chosen],
            forces=None if self.forces is None else [self.forces[row] for row in chosen],
            stress=None if self.stress is None else self.stress[chosen],
            sample_weight=self.sample_weight[chosen],
        )


def read_labels(X, y=None, forces=None, stress=None, sample_weight=None, targets=TARGETS):
    """Collect the targets of structures: those given, else those attached to the Atoms.

    Attached labels are results that ``atoms.calc`` already holds for exactly these atoms: no calculation is
    started and no constraint is applied (``atoms.get_forces()`` would do both).

    Parameters
    ----------
    X : list of ase.Atoms
        As returned by `check_structures`.
    y : array-like of shape (n,), optional
        Total energies, eV.
    forces : sequence of n array-likes of shape (n_atoms, 3), optional
        eV/A.
    stress : array-like of shape (n, 6), or sequence of None, (6,) or (3, 3), optional
        eV/A^3, Voigt order xx yy zz yz xz xy, tension positive; None or a row of NaN where there is none.
    sample_weight : array-like of shape (n,), optional
        One by default.
    targets : collection of {"energy", "force", "virial"}, optional
        Those wanted; attached labels of the others are not looked at.

    Returns
    -------
    Labels

    Raises
    ------
    ValueError
        No target at all; energies or forces of some structures only; a wrong shape; NaN or infinite values; a
        stress given for a structure whose cell has no volume; negative weights or none above zero; attached
        labels of atoms that have moved since. The message names the first such structure.

    Warns
    -----
    UserWarning
        Free energies are attached to some structures and only energies of another kind to others.
    """
    found = {}
    for target, read, given in (
        ("energy", read_energies, y),
        ("force", read_forces, forces),
        ("virial", read_stresses, stress),
    ):
        # What is given is checked in any case; what is attached for a target nobody wants is not looked at.
        values = read(X, given) if given is not None or target in targets else None
        found[target] = values if target in targets else None
    labels = Labels(found["energy"], found["force"], found["virial"], read_sample_weight(X, sample_weight))
    if labels.energy is None and labels.forces is None and labels.stress is None:
        names = {"energy": "energies", "force": "forces", "virial": "stresses"}
        wanted = [names[target] for target in TARGETS if target in targets]
        unwanted = [names[target] for target in TARGETS if target not in targets]
        alternatives = [", ".join(wanted[:-1]), wanted[-1]] if wanted[1:] else wanted or ["labels"]
        message = (
            f"no {' or '.join(alternatives)} to fit: pass them as y=, forces=, stress=, or attach them with "
            "atoms.calc = ase.calculators.singlepoint.SinglePointCalculator(atoms, energy=..., forces=...)"
        )
        message += _hint(X[0])
        if unwanted:
            message += (
                f". The weight of {' and '.join(unwanted)} is 0: if they are what there is to fit, raise "
                "energy_weight, force_weight or stress_weight"
            )
        raise ValueError(message)
    return labels


def read_energies(X, y=None):
    """Total energies (n,), eV: `y`, else the attached ones (free energies first); None if there are none.

    Forces are the derivatives of the free energy, which differs from ``energy`` where a calculator
    extrapolates that to zero smearing. Parameters and errors as in `read_labels`.
    """
    if y is not None:
        return _check_vector(y, X, "y")
    attached = [_attached(index, atoms, ("free_energy", "energy")) for index, atoms in enumerate(X)]
    if not _all_or_none(attached, X, "energy", "y="):
        return None
    names = {name for name, _ in attached}
    if len(names) > 1:
        other = next(index for index, (name, _) in enumerate(attached) if name == "energy")
        warnings.warn(
            f"some structures have a free_energy attached, but {describe(other, X[other])} only an energy; "
            "the two differ wherever electrons are smeared: check that all energies are of one kind",
            UserWarning,
            stacklevel=3,
        )
    return np.array(
        [_check_array(value, (), index, X[index], name) for index, (name, value) in enumerate(attached)]
    )


def read_forces(X, forces=None):
    """Forces as a list of (n_atoms, 3), eV/A: `forces`, else the attached ones; None if there are none.

    Parameters and errors as in `read_labels`.
    """
    if forces is None:
        attached = [_attached(index, atoms, ("forces",)) for index, atoms in enumerate(X)]
        if not _all_or_none(attached, X, "forces", "forces="):
            return None
        forces = [value for _, value in attached]
    forces = _check_length(forces, X, "forces")
    return [
        _check_array(value, (len(atoms), 3), index, atoms, "forces")
        for index, (atoms, value) in enumerate(zip(X, forces, strict=True))
    ]


def read_stresses(X, stress=None):
    """Stresses (n, 6), eV/A^3, with rows of NaN where there is none: `stress`, else the attached ones.

    None if no structure has a stress. Attached stresses of structures whose cell has no volume are passed
    over, for they mean nothing. Parameters and errors as in `read_labels`.
    """
    given = stress is not None
    if given:
        values = _check_length(stress, X, "stress")
    else:
        attached = [_attached(index, atoms, ("stress",)) for index, atoms in enumerate(X)]
        values = [None if entry is None else entry[1] for entry in attached]
    rows = np.full((len(X), 6), np.nan)
    for index, (atoms, value) in enumerate(zip(X, values, strict=True)):
        if value is None:
            continue
        row = _numeric(value, index, atoms, "stress")
        if given and row.size and np.isnan(row).all():
            continue
        if not has_full_cell(atoms):
            if not given:
                continue
            raise ValueError(
                f"{describe(index, atoms)}: a stress is given, but its cell has no volume; give None instead"
            )
        row = _check_array(row, (3, 3) if row.ndim == 2 else (6,), index, atoms, "stress")
        rows[index] = row if row.ndim == 1 else full_3x3_to_voigt_6_stress(row)
    return None if np.isnan(rows).all() else rows


def read_sample_weight(X, sample_weight=None):
    """Weights (n,) of the structures, one by default. Parameters and errors as in `read_labels`."""
    if sample_weight is None:
        return np.ones(len(X))
    weights = _check_vector(sample_weight, X, "sample_weight")
    if (weights < 0).any():
        index = (weights < 0).argmax()
        raise ValueError(
            f"{describe(index, X[index])}: sample_weight is {weights[index]:g}; it must not be negative"
        )
    if not weights.any():
        raise ValueError("sample_weight is zero for every structure; at least one must count")
    return weights


def _attached(index, atoms, names):
    """Return (name, value) of the first of `names` that the calculator of `atoms` holds, or None."""
    results = getattr(atoms.calc, "results", None)
    if not isinstance(results, Mapping):
        return None
    for name in names:
        if results.get(name) is not None:
            _check_unmoved(index, atoms, name)
            return name, results[name]
    return None


def _check_unmoved(index, atoms, name):
    labelled = getattr(atoms.calc, "atoms", None)
    if labelled is None:
        reason = "does not say for which atoms"
    else:
        changed = [
            what
            for what, new, old in (
                ("positions", atoms.positions, labelled.positions),
                ("numbers", atoms.numbers, labelled.numbers),
                ("cell", atoms.cell.array, labelled.cell.array),
                ("pbc", atoms.pbc, labelled.pbc),
            )
            # The comparison of bytes is twenty times faster and nearly always enough.
            if not (
                (new.shape == old.shape and new.dtype == old.dtype and new.tobytes() == old.tobytes())
                or np.array_equal(new, old)
                or (new.dtype.kind == "f" and new.shape == old.shape and (np.abs(new - old) <= _MOVED).all())
            )
        ]
        if not changed:
            return
        reason = f"for other atoms: {', '.join(changed)} changed since"
    raise ValueError(
        f"{describe(index, atoms)}: its calculator holds {name}, but {reason}; pass the labels explicitly, "
        "attach them again with ase.calculators.singlepoint.SinglePointCalculator, or set atoms.calc = None"
    )


def _all_or_none(attached, X, what, argument):
    missing = [value is None for value in attached]
    if all(missing):
        return False
    if any(missing):
        first, other = missing.index(True), missing.index(False)
        raise ValueError(
            f"{describe(first, X[first])}: no {what} attached, while {describe(other, X[other])} has; attach "
            f"them to all structures or to none, or pass {argument}"
        )
    return True


def _check_length(values, X, name):
    try:
        values = list(values)
    except TypeError:
        raise ValueError(f"{name} must hold one entry per structure, got {type(values).__name__}") from None
    if len(values) != len(X):
        raise ValueError(f"{name} has {len(values)} entries for {len(X)} structures; give one for each")
    return values


def _check_vector(values, X, name):
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) != 1:
        raise ValueError(f"{name} must be one number per structure, shape ({len(X)},), got shape {shape}")
    values = _check_length(values, X, name)
    for index, value in enumerate(values):
        if not isinstance(value, numbers.Real):
            raise ValueError(
                f"{describe(index, X[index])}: {name} must be one number per structure, got "
                f"{type(value).__name__}"
            )
        if not np.isfinite(value):
            raise ValueError(
                f"{describe(index, X[index])}: {name} is {value}; correct it or leave the structure out"
            )
    return np.array(values, dtype=np.float64)


def _numeric(value, index, atoms, name):
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iufO":
            raise TypeError
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        raise ValueError(f"{describe(index, atoms)}: {name} must be an array of real numbers") from None


def _check_array(value, shape, index, atoms, name):
    array = _numeric(value, index, atoms, name)
    if array.shape != shape:
        expected = f"shape {shape}" if shape else "a single number"
        raise ValueError(f"{describe(index, atoms)}: {name} must be {expected}, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(
            f"{describe(index, atoms)}: {name} has NaN or infinite values; correct it or leave it out"
        )
    return array


def _hint(atoms):
    """Point out labels under names that ASE does not recognise, as extended XYZ files often have."""
    found = [f"info[{key!r}]" for key in atoms.info if "energy" in str(key).lower()]
    found += [f"arrays[{key!r}]" for key in atoms.arrays if "force" in key.lower()]
    if not found:
        return ""
    return f". Structure 0 has {' and '.join(found)}: pass them, e.g. y=[atoms.info[...] for atoms in X]"
