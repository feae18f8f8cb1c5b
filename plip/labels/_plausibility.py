"""Doubts about labels: placeholders of readers, other names, wrong units, contradictions."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from ase import Atoms
from ase.units import GPa

from plip import _warnings
from plip._structures._balance import have_bonds, must_have_forces
from plip._structures._checks import describe, has_full_cell
from plip._structures._composition import composition_of
from plip._types import BoolArray, FloatArray
from plip.labels._attached import has_attached, plain_number, results_of
from plip.labels._labels import ATTRIBUTES, TARGETS, Labels
from plip.labels._values import have_larger, real_array

__all__ = [
    "LabelWarning",
    "leave_out_placeholders",
    "name_structures",
    "other_names",
    "warn",
    "warn_of_contradiction",
    "warn_of_large_stresses",
    "warn_of_other_names",
    "warn_of_predictions",
    "warn_of_swallowed_entries",
]

# eV/atom. Energies relative to that of one structure are rarely all larger.
_FAR = 1.0

# eV/A^3. Four times the pressure at the center of the earth; virials in eV are mostly larger.
_LARGE_STRESS = 10.0

# Parts of the names that people give to labels, and whole names; a key with a word of the last is a setting.
_LOOKS_LIKE = {
    "energy": ("energy", "etot", "e_tot", "toten", "epot", "e_pot"),
    "force": ("force", "frc", "grad"),
    "virial": ("virial", "stress", "pressure"),
}
_SHORT = {"energy": ("e", "e0", "pe"), "force": ("f", "fxyz"), "virial": ()}
_SETTING = ("weight", "cutoff", "sigma", "kinetic", "std", "unit")

# An entry of a line of extended XYZ that is a label or says what is periodic.
_ENTRY = re.compile(
    rf"\w*(?:pbc|{'|'.join(word for words in _LOOKS_LIKE.values() for word in words)})\w*=.", re.I
)

_PLACEHOLDER = "Taken for the placeholder of a file without this label and left out; None says so"


class LabelWarning(UserWarning):
    """Labels that are probably not what was meant.

    Attributes
    ----------
    structures : tuple of int
        Places of the structures in the data; empty where the message is about all.
    kind : str
        What an audit calls it.
    """

    structures: tuple[int, ...] = ()
    kind = "labels"


def warn(message: str, chosen: BoolArray | None = None, first: int = 0, kind: str = "labels") -> None:
    """Warn of the chosen structures, (n,) bool, or of all."""
    warning = LabelWarning(message)
    warning.kind = kind
    if chosen is not None:
        warning.structures = tuple((first + np.flatnonzero(chosen)).tolist())
    _warnings.warn(warning, LabelWarning)


def name_structures(X: Sequence[Atoms], chosen: BoolArray, first: int) -> str:
    """Name the first of the chosen structures, (n,) bool, and count the others."""
    rows = np.flatnonzero(chosen)
    others = len(rows) - 1
    rest = f" and {others} other{'s' if others > 1 else ''}" if others else ""
    return f"{describe(first + rows[0], X[rows[0]])}{rest}"


# Labels of exactly zero


def leave_out_placeholders(
    X: Sequence[Atoms], labels: Labels, given: Collection[str], first: int, is_part: bool = False
) -> Labels:
    """Labels without those that are exactly zero where no calculation gives zero.

    Readers of files put zeros where the file has nothing. These zeros cannot be true:

    - an energy of zero beside forces or a stress that are not zero. It may be true of one structure, whose
      energy is then the zero of energy, unless all other energies are far away;
    - forces of zero on bonded atoms whose surroundings have no symmetry that forbids a force;
    - a stress of zero between bonded atoms. One structure may have such forces or such a stress.

    Atoms are bonded within 1.3 times the sum of their covalent radii. Farther apart, potentials may have
    ended.

    Where all labels of a structure are zero, nothing tells. Forces and stresses that the user has given are
    kept, with a warning.

    Parameters
    ----------
    X : list of n ase.Atoms
    labels : Labels
    given : collection of {"energy", "force", "virial"}
        Targets that the user has given.
    first : int
        Place of the first structure in the data, for messages.
    is_part : bool, default=False
        Whether others belong to the data, too: then nothing tells that one structure is the only one.

    Returns
    -------
    Labels
    """
    most = 0 if is_part else 1
    energy, forces, stress = labels.energy, labels.forces, labels.stress
    has_force = _are_not_zero(X, "forces", [None] * len(X) if forces is None else forces)
    # A row of NaN is no stress.
    rows = [None] * len(X) if stress is None else [None if np.isnan(row).any() else row for row in stress]
    has_stress = _are_not_zero(X, "stress", rows)
    pushed = has_force | has_stress
    if energy is not None:
        energy = _without_zero_energies(X, energy, pushed, first, most)
    # NaN counts as not zero.
    informed = pushed | (np.ones(len(X), bool) if energy is None else energy != 0)
    if forces is not None:
        forces = _without_zero_forces(X, forces, informed & ~has_force, "force" in given, first, most)
    if stress is not None:
        stress = _without_zero_stresses(X, stress, informed & ~has_stress, "virial" in given, first, most)
    return replace(labels, energy=energy, forces=forces, stress=stress)


def _are_not_zero(X: Sequence[Atoms], name: str, values: Sequence[FloatArray | None]) -> BoolArray:
    """Which structures have forces or a stress that are not all zero, read or only attached, (n,)."""
    found = have_larger(values, 0.0)
    for k, value in enumerate(values):
        if value is None:
            found[k] = has_attached(X[k], name)
    return found


def _without_zero_energies(
    X: Sequence[Atoms], energy: FloatArray, pushed: BoolArray, first: int, most: int
) -> FloatArray | None:
    zero = (energy == 0) & pushed
    others = (energy / [len(atoms) for atoms in X])[np.isfinite(energy) & (energy != 0)]
    is_zero_of_energy = (
        zero.sum() <= most and others.size and np.abs(others).min() <= max(_FAR, np.ptp(others))
    )
    if not zero.any() or is_zero_of_energy:
        return energy
    reason = "an energy of exactly 0 beside forces or a stress that are not zero"
    warn(f"{name_structures(X, zero, first)} of {len(X)}: {reason}. {_PLACEHOLDER}", zero, first)
    energy = np.where(zero, np.nan, energy)
    return None if np.isnan(energy).all() else energy


def _without_zero_forces(
    X: Sequence[Atoms],
    forces: list[FloatArray | None],
    suspect: BoolArray,
    is_given: bool,
    first: int,
    most: int,
) -> list[FloatArray | None] | None:
    zero = np.zeros(len(X), bool)
    suspects = [k for k in np.flatnonzero(suspect).tolist() if forces[k] is not None]
    zero[suspects] = must_have_forces([X[k] for k in suspects])
    reason = "forces of exactly 0 though no symmetry forbids them"
    if not _warn_of_zeros(X, zero, is_given, first, most, reason):
        return forces
    forces = [None if out else force for out, force in zip(zero, forces, strict=True)]
    return None if all(force is None for force in forces) else forces


def _without_zero_stresses(
    X: Sequence[Atoms], stress: FloatArray, suspect: BoolArray, is_given: bool, first: int, most: int
) -> FloatArray | None:
    zero = suspect & ~np.isnan(stress[:, 0])
    zero[zero] = have_bonds([X[k] for k in np.flatnonzero(zero).tolist()])
    if not _warn_of_zeros(X, zero, is_given, first, most, "a stress of exactly 0 between near atoms"):
        return stress
    stress = np.where(zero[:, None], np.nan, stress)
    return None if np.isnan(stress).all() else stress


def _warn_of_zeros(
    X: Sequence[Atoms], zero: BoolArray, is_given: bool, first: int, most: int, reason: str
) -> bool:
    """Warn of more than `most` labels of zero; return whether to leave them out."""
    if zero.sum() <= most:
        return False
    ending = "Give None where there is no label" if is_given else _PLACEHOLDER
    warn(f"{name_structures(X, zero, first)} of {len(X)}: {reason}. {ending}", zero, first)
    return not is_given


# Labels under other names


def other_names(atoms: Atoms, target: str) -> list[str]:
    """Arrays and info keys of a structure that look like labels of a target."""
    force = target == "force"
    found = []
    for key, value in (atoms.arrays if force else atoms.info).items():
        name = str(key).lower()
        if any(word in name for word in _SETTING):
            continue
        if name not in _SHORT[target] and not any(word in name for word in _LOOKS_LIKE[target]):
            continue
        try:
            shape = real_array(value, "").shape
        except ValueError:
            continue
        if shape in {"energy": ((),), "force": ((len(atoms), 3),), "virial": ((6,), (9,), (3, 3))}[target]:
            found.append(f"{'arrays' if force else 'info'}[{key!r}]")
    return found


def warn_of_swallowed_entries(X: Sequence[Atoms], first: int) -> None:
    """Warn of files of extended XYZ whose lines have a key without a value before a label or ``pbc``.

    ASE writes an empty text so, and reads what follows for the value.
    """
    found: dict[int, tuple[object, str]] = {}
    for k, atoms in enumerate(X):
        for key, value in atoms.info.items():
            if isinstance(value, str) and "=" in value and _ENTRY.match(value):
                found[k] = key, value
    if found:
        chosen = np.zeros(len(X), bool)
        chosen[list(found)] = True
        key, value = next(iter(found.values()))
        warn(
            f"{name_structures(X, chosen, first)}: info[{key!r}] is {value!r}: the file has nothing after "
            f"'{key}=', and its reader took the next entry for the value. Give it a text there, "
            "or leave it out",
            chosen,
            first,
        )


def warn_of_other_names(X: Sequence[Atoms], labels: Labels, targets: Collection[str]) -> None:
    """Warn of labels under names that nobody looks at, where the label is missing."""
    if not labels.targets():
        return  # The error for that case names them too.
    parts = []
    for target in TARGETS:
        if target not in targets:
            continue
        missing = ~labels.present(target)
        lacking = [atoms for atoms, is_missing in zip(X, missing, strict=True) if is_missing]
        if target == "virial":
            lacking = [atoms for atoms in lacking if has_full_cell(atoms)]
        names = [name for atoms in lacking for name in other_names(atoms, target)]
        if names:
            parts.append(
                f"{len(lacking)} of {len(X)} structures have no {ATTRIBUTES[target]}, but "
                f"{' and '.join(dict.fromkeys(names))}, which is not used"
            )
    if parts:
        warn(
            f"{'; '.join(parts)}. Pass such labels as y=, forces=, stress= (plip.labels.stress_from_virial "
            "converts a virial) or, on the command line, name them with --energy-key, --forces-key, "
            "--stress-key, --virial-key"
        )


# Labels of another unit or origin


def warn_of_large_stresses(labels: Labels) -> None:
    """Warn if most stresses are larger than any that matter has."""
    if labels.stress is None:
        return
    largest = np.median(np.abs(labels.stress[labels.present("virial")]).max(axis=1))
    if largest > _LARGE_STRESS:
        warn(
            f"half of the stresses have a component above {largest / GPa:.0f} GPa: they seem to be virials "
            "(eV), or in GPa or kbar; plip takes eV/A^3 (plip.labels.stress_from_virial and convert_stress "
            "convert them)",
            kind="stress unit",
        )


def warn_of_contradiction(X: Sequence[Atoms], labels: Labels, given: Collection[str]) -> None:
    """Warn if given energies are not those that belong to attached forces or stresses, up to their zero."""
    attached = [ATTRIBUTES[target] for target in labels.targets() if target not in given]
    energy = labels.energy
    if energy is None or not attached:
        return
    # One more column is a constant.
    composition = np.column_stack([composition_of(X), np.ones(len(X))])
    ratios = []
    for name in ("energy", "free_energy"):
        other = np.array([plain_number(results_of(atoms).get(name)) for atoms in X])
        both = np.isfinite(energy) & np.isfinite(other)
        if both.sum() > composition.shape[1]:
            size = _beside_composition(other[both], composition[both])
            difference = _beside_composition(energy[both] - other[both], composition[both])
            floor = 1e-6 + 1e-9 * np.abs(other[both]).max()
            ratios.append(np.linalg.norm(difference) / (np.linalg.norm(size) + floor))
    # Extrapolation to zero smearing makes less than one percent.
    if ratios and min(ratios) > 0.01:
        warn(
            f"the energies given are not those attached beside the {' and '.join(attached)} that are used: "
            "they differ by more than a constant for each species, so that forces are no longer their "
            "derivatives (sklearn.compose.TransformedTargetRegressor scales y alone). Give forces= and "
            "stress= that belong to y, or set atoms.calc = None"
        )


def _beside_composition(values: FloatArray, composition: FloatArray) -> FloatArray:
    """What the composition does not explain of some values."""
    return values - composition @ np.linalg.lstsq(composition, values, rcond=None)[0]


def warn_of_predictions(X: Sequence[Atoms], labels: Labels, given: Collection[str], first: int) -> None:
    """Warn of attached labels that a potential of plip has computed."""
    is_attached = np.zeros(len(X), bool)
    for target in labels.targets():
        if target not in given:
            is_attached |= labels.present(target)
    # ASE's name of the calculator, which trajectories and databases keep.
    is_of_plip = [getattr(atoms.calc, "name", None) == "plipcalculator" for atoms in X]
    used = is_attached & is_of_plip
    if used.any():
        warn(
            f"{name_structures(X, used, first)}: the labels attached were computed by a potential of plip. "
            "Errors against them say nothing about its accuracy; attach labels of the reference method",
            used,
            first,
        )
