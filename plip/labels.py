"""Targets of structures (energies, forces, stresses), given or attached, and their weights."""

import numbers
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import GPa

from plip._structures._checks import describe, has_full_cell
from plip._structures._neighbors import find_neighbors

__all__ = [
    "STRESS_UNITS",
    "TARGETS",
    "LabelWarning",
    "Labels",
    "convert_stress",
    "read_labels",
    "stress_from_virial",
]

TARGETS = ("energy", "force", "virial")
# eV/A^3.
STRESS_UNITS = {"eV/A^3": 1.0, "GPa": GPa, "kbar": 0.1 * GPa}

# Angstrom. Wrapping or scaling atoms and cell there and back rounds less; at a force of 10 eV/A it is 1e-7
# eV.
_MOVED = 1e-8
# Angstrom. Surroundings that tell whether symmetry forbids a force or whether there is a stress at all.
_NEAR = 5.0

# eV/atom. Energies relative to that of one structure rarely lie all beyond this.
_FAR = 1.0

# eV/A^3. Four times the pressure at the center of the earth; virials in eV are mostly larger.
_LARGE_STRESS = 10.0

# What labels under other names are called. A key that has one of the second words is a setting.
_LOOKS_LIKE = {
    "energy": ("energy", "etot", "e_tot", "toten", "epot", "e_pot"),
    "force": ("force", "frc", "grad"),
    "virial": ("virial", "stress", "pressure"),
}
_SHORT = {"energy": ("e", "e0", "pe"), "force": ("f", "fxyz"), "virial": ()}
_SETTING = ("weight", "cutoff", "sigma", "kinetic", "std", "unit")

_ATTRIBUTES = {"energy": "energy", "force": "forces", "virial": "stress"}
_PLURALS = {"energy": "energies", "force": "forces", "virial": "stresses"}


@dataclass(frozen=True, eq=False)
class Labels:
    """Targets and weights of n structures.

    Attributes
    ----------
    energy : (n,) float64 or None
        Total energies, eV; NaN is a structure without energy.
    forces : list of n (n_atoms, 3) float64 or None, or None
        eV/A; a None in the list is a structure without forces. May share memory with what they were read
        from.
    stress : (n, 6) float64 or None
        eV/A^3, Voigt order xx yy zz yz xz xy, tension positive; a row of NaN is a structure without stress.
    sample_weight : (n,) or (n, 3) float64
        Weight of each structure, not negative; three columns are the weights of its energy, forces and
        stress.
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

    def present(self, target):
        """Which structures have a label.

        Parameters
        ----------
        target : {"energy", "force", "virial"}

        Returns
        -------
        (n,) bool
        """
        values = getattr(self, _ATTRIBUTES[target])
        if values is None:
            return np.zeros(len(self.sample_weight), bool)
        if target == "force":
            return np.array([value is not None for value in values])
        return ~np.isnan(values if target == "energy" else values[:, 0])

    def weight(self, target):
        """Weight of a label of each structure.

        Parameters
        ----------
        target : {"energy", "force", "virial"}

        Returns
        -------
        (n,) float64
        """
        weight = self.sample_weight
        return weight if weight.ndim == 1 else weight[:, TARGETS.index(target)]

    def used(self, target):
        """Which structures have a label whose weight is not zero, (n,) bool."""
        return self.present(target) & (self.weight(target) > 0)

    def targets(self):
        """Names of the targets that any structure has, among "energy", "force", "virial"."""
        return [target for target in TARGETS if getattr(self, _ATTRIBUTES[target]) is not None]


def read_labels(
    X,
    y=None,
    forces=None,
    stress=None,
    sample_weight=None,
    targets=TARGETS,
    hinted=None,
    first=0,
    purpose="to fit",
    required=True,
):
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
        Those wanted; attached labels of the others are not looked at.
    hinted : collection of {"energy", "force", "virial"}, optional
        Targets whose labels under other names are worth a warning; `targets` by default.
    first : int, default=0
        Place of the first structure in the data, for messages.
    purpose : str, default="to fit"
        What labels are for, for messages.
    required : bool, default=True
        Whether it is an error if no structure has any label.

    Returns
    -------
    Labels

    Raises
    ------
    ValueError
        No target at all; a wrong shape; NaN or infinite values; masked entries within a label; booleans,
        strings, complex numbers, numbers with units; a stress given for a structure whose cell has no volume;
        negative weights or none above zero; attached labels of atoms that have moved since. The message names
        the first such structure.

    Warns
    -----
    LabelWarning
        Structures without any label; labels under names that are not looked at; labels that are exactly zero
        where they cannot be (placeholders of a reader), which are left out; energies that contradict those
        attached beside the forces; labels computed by a potential of plip; free energies attached to some
        structures and only energies of another kind to others.
    """
    found = {}
    for target, read, given in (
        ("energy", _read_energies, y),
        ("force", _read_forces, forces),
        ("virial", _read_stresses, stress),
    ):
        # What is given is checked in any case; what is attached for a target nobody wants is not looked at.
        values = read(X, given, first) if given is not None or target in targets else None
        found[target] = values if target in targets else None
    weight = _read_sample_weight(X, sample_weight, first)
    if y is not None:
        _warn_of_contradiction(X, found, forces, stress)
    given = {"energy": y is not None, "force": forces is not None, "virial": stress is not None}
    _leave_out_placeholders(X, found, given, first)
    if found["virial"] is not None:
        _warn_of_large_stresses(found["virial"])
    labels = Labels(found["energy"], found["force"], found["virial"], weight)
    _warn_of_other_names(X, labels, targets if hinted is None else hinted)
    if required and not labels.targets():
        raise no_labels(X[0], targets, purpose)
    _warn_of_predictions(X, labels, given, first)
    counts = weight.reshape(len(X), -1).any(axis=1)
    unlabelled = ~np.any([labels.present(target) for target in TARGETS], axis=0) & counts
    # A scorer takes what it finds.
    if unlabelled.any() and purpose != "to score against":
        _warn(f"{_name(X, unlabelled, first)}: no label {purpose}; passed over")
    return labels


class LabelWarning(UserWarning):
    """Labels that are probably not what was meant."""


class NoLabels(ValueError):
    """Data without any label of the targets wanted."""


def no_labels(atoms, targets, purpose="to fit"):
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
    hints = [hint for target in TARGETS for hint in _other_names(atoms, target)]
    if hints:
        names = " and ".join(hints)
        message += f". Structure 0 has {names}: pass them, e.g. y=[atoms.info[...] for atoms in X]"
    if unwanted and purpose == "to fit":
        message += (
            f". The weight of {' and '.join(unwanted)} is 0: if they are what there is to fit, raise "
            "energy_weight, force_weight or stress_weight"
        )
    return NoLabels(message)


def stress_from_virial(virial, volume):
    """Stress of a virial.

        stress = -virial / volume

    That is the sign of the virials of extended XYZ files and of GAP: positive under compression.

    Parameters
    ----------
    virial : array-like of shape (3, 3), (9,) or (6,)
        eV. Six components are in Voigt order xx yy zz yz xz xy, nine row by row.
    volume : float
        A^3, of the cell.

    Returns
    -------
    (6,) float64
        eV/A^3, Voigt order, tension positive.

    Raises
    ------
    ValueError
        Another shape; entries that are not finite real numbers; a volume that is not positive.
    """
    if not isinstance(volume, numbers.Real) or not 0 < volume < np.inf:
        raise ValueError(f"a virial needs a cell with a volume to give a stress, got {volume!r}")
    return -_voigt(virial, "virial") / float(volume)


def convert_stress(stress, unit="eV/A^3", sign="tension"):
    """Stress in plip's unit and sign.

    Parameters
    ----------
    stress : array-like of shape (3, 3), (9,) or (6,)
        Six components are in Voigt order xx yy zz yz xz xy, nine row by row.
    unit : {"eV/A^3", "GPa", "kbar"}
        Of `stress`.
    sign : {"tension", "compression"}
        What is positive in `stress`. A pressure tensor is positive under compression.

    Returns
    -------
    (6,) float64
        eV/A^3, Voigt order, tension positive.

    Raises
    ------
    ValueError
        Another unit, sign or shape; entries that are not finite real numbers.
    """
    if unit not in STRESS_UNITS:
        raise ValueError(f"the unit of stresses must be one of {', '.join(STRESS_UNITS)}, got {unit!r}")
    if sign not in ("tension", "compression"):
        raise ValueError(f"the sign of stresses must be tension or compression, got {sign!r}")
    return _voigt(stress, "stress") * (STRESS_UNITS[unit] if sign == "tension" else -STRESS_UNITS[unit])


def _voigt(values, name):
    array = real_array(values, name)
    if array.shape not in ((6,), (9,), (3, 3)):
        raise ValueError(f"{name} must have 6, 9 or 3 x 3 components, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has NaN or infinite values")
    return array.copy() if array.size == 6 else full_3x3_to_voigt_6_stress(array.reshape(3, 3))


# Reading


def _read_energies(X, y, first):
    """Total energies (n,), NaN where there is none, or None if no structure has one."""
    if y is not None:
        energies = _check_vector(y, X, "y", first, may_be_missing=True)
        return None if np.isnan(energies).all() else energies
    attached = [_attached(first + k, atoms, _energy_names(atoms)) for k, atoms in enumerate(X)]
    if all(entry is None for entry in attached):
        return None
    names = [None if entry is None else entry[0] for entry in attached]
    if "free_energy" in names and "energy" in names:
        other = names.index("energy")
        _warn(
            f"some structures have a free_energy attached, but {describe(first + other, X[other])} only an "
            "energy; the two differ wherever electrons are smeared: check that all energies are of one kind"
        )
    energies = np.full(len(X), np.nan)
    for k, entry in enumerate(attached):
        if entry is not None:
            energies[k] = _check_array(entry[1], (), first + k, X[k], entry[0])
    return energies


def _read_forces(X, forces, first):
    """Forces as a list of (n_atoms, 3) or None, or None if no structure has them."""
    if forces is None:
        attached = [_attached(first + k, atoms, ("forces",)) for k, atoms in enumerate(X)]
        values = [None if entry is None else entry[1] for entry in attached]
    else:
        values = _check_length(forces, X, "forces")
    found = [
        None if _is_missing(value) else _check_array(value, (len(atoms), 3), first + k, atoms, "forces")
        for k, (atoms, value) in enumerate(zip(X, values, strict=True))
    ]
    return None if all(value is None for value in found) else found


def _read_stresses(X, stress, first):
    """Stresses (n, 6) with rows of NaN where there is none, or None if no structure has one."""
    given = stress is not None
    if given:
        values = _check_length(stress, X, "stress")
    else:
        attached = [_attached(first + k, atoms, ("stress",)) for k, atoms in enumerate(X)]
        values = [None if entry is None else entry[1] for entry in attached]
    rows = np.full((len(X), 6), np.nan)
    for k, (atoms, value) in enumerate(zip(X, values, strict=True)):
        if _is_missing(value):
            continue
        row = _numeric(value, first + k, atoms, "stress")
        if given and row.size and np.isnan(row).all():
            continue
        if not has_full_cell(atoms):
            if not given:
                continue
            raise ValueError(
                f"{describe(first + k, atoms)}: a stress is given, but its cell has no volume; give None "
                "instead"
            )
        row = _check_array(row, (3, 3) if row.ndim == 2 else (6,), first + k, atoms, "stress")
        rows[k] = row if row.ndim == 1 else full_3x3_to_voigt_6_stress(row)
    return None if np.isnan(rows).all() else rows


def _read_sample_weight(X, sample_weight, first):
    """Weights (n,) of the structures or (n, 3) of their targets, one by default."""
    if sample_weight is None:
        return np.ones(len(X))
    if getattr(sample_weight, "shape", ())[1:] == (len(TARGETS),):
        columns = np.asanyarray(sample_weight).T
        weights = np.column_stack([_check_vector(column, X, "sample_weight", first) for column in columns])
    else:
        weights = _check_vector(sample_weight, X, "sample_weight", first)
    if (weights < 0).any():
        k = np.argwhere(weights < 0)[0, 0]
        raise ValueError(
            f"{describe(first + k, X[k])}: sample_weight is {weights[k].min():g}; it must not be negative"
        )
    if not weights.any():
        raise ValueError("sample_weight is zero for every structure; at least one must count")
    return weights


def _energy_names(atoms):
    """Names of an energy, the best first. A free energy of zero beside an energy is a placeholder."""
    results = _results(atoms)
    if not _is_missing(results.get("energy")) and _plain_number(results.get("free_energy")) == 0.0:
        return ("energy",)
    return ("free_energy", "energy")


def _results(atoms):
    results = getattr(atoms.calc, "results", None)
    return results if isinstance(results, Mapping) else {}


def _attached(index, atoms, names):
    """Return (name, value) of the first of `names` that the calculator of `atoms` holds, or None."""
    results = _results(atoms)
    for name in names:
        if not _is_missing(results.get(name)):
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


# Checks of values


def _is_missing(value):
    if value is None or value is np.ma.masked:
        return True
    if isinstance(value, np.ma.MaskedArray):
        return value.size > 0 and bool(np.ma.getmaskarray(value).all())
    pandas = sys.modules.get("pandas")
    return pandas is not None and value is pandas.NA


def _check_length(values, X, name):
    try:
        values = list(values)
    except TypeError:
        raise ValueError(f"{name} must hold one entry per structure, got {type(values).__name__}") from None
    if len(values) != len(X):
        raise ValueError(f"{name} has {len(values)} entries for {len(X)} structures; give one for each")
    return values


def _check_vector(values, X, name, first, may_be_missing=False):
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) != 1:
        raise ValueError(f"{name} must be one number per structure, shape ({len(X)},), got shape {shape}")
    values = _check_length(values, X, name)
    numbers_found = np.full(len(X), np.nan)
    for k, value in enumerate(values):
        if may_be_missing and _is_missing(value):
            continue
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            raise ValueError(
                f"{describe(first + k, X[k])}: {name} must be one number per structure, got "
                f"{'a masked entry' if value is np.ma.masked else type(value).__name__}"
            )
        try:
            numbers_found[k] = value
        except OverflowError:
            numbers_found[k] = np.inf
        if not np.isfinite(numbers_found[k]):
            raise ValueError(
                f"{describe(first + k, X[k])}: {name} is {value}; correct it or leave the structure out"
            )
    return numbers_found


def real_array(values, name):
    """Array of float64 of values that are real numbers and nothing besides.

    Parameters
    ----------
    values : array-like
    name : str
        For messages.

    Returns
    -------
    ndarray of float64

    Raises
    ------
    ValueError
        Masked entries, booleans, strings, complex numbers, None, numbers with units, rows of unequal length.
    """
    _check_entries(values, name)
    try:
        array = np.asarray(values)
        # A row without numbers is float64.
        if array.dtype.kind not in "iufO":
            raise TypeError
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be an array of real numbers") from None


def _check_entries(values, name):
    """Raise for what `numpy.asarray` would drop or convert without a word."""
    if getattr(values, "unit", None) is not None or getattr(values, "units", None) is not None:
        raise ValueError(f"{name} has a unit: convert it (eV, A) and pass plain numbers")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{name} has masked entries; correct them, or give None for the whole")
    if isinstance(values, (list, tuple)) or (isinstance(values, np.ndarray) and values.dtype == object):
        if isinstance(values, np.ndarray) and values.ndim == 0:
            values = [values.item()]
        for value in values:
            _check_entries(value, name)
    elif isinstance(values, np.ndarray) or hasattr(values, "__array__"):
        array = np.asarray(values)
        if array.dtype == object:
            _check_entries(array, name)
        elif array.dtype.kind not in "iuf":
            raise ValueError(f"{name} must be an array of real numbers, got {array.dtype}")
    elif isinstance(values, bool) or not isinstance(values, numbers.Real):
        what = "a masked entry" if values is np.ma.masked else type(values).__name__
        raise ValueError(f"{name} must be an array of real numbers, got {what}")


def check_plain(values, name):
    """Raise for what scikit-learn's checks would drop or convert without a word.

    Parameters
    ----------
    values : array-like of any shape
    name : str
        For messages.

    Raises
    ------
    ValueError
        Masked entries, booleans or strings.
    """
    rows = [values, *values] if isinstance(values, (list, tuple)) else [values]
    if any(isinstance(row, np.ma.MaskedArray) and np.ma.is_masked(row) for row in rows):
        raise ValueError(f"{name} has masked entries; leave those samples out")
    array = np.asarray(values, dtype=object if isinstance(values, (list, tuple)) else None)
    entries = array.ravel() if array.dtype == object else array.ravel()[:1]
    for entry in entries:
        if isinstance(entry, (str, bytes, bool, np.bool_)) or entry is np.ma.masked:
            what = "a masked entry" if entry is np.ma.masked else type(entry).__name__
            raise ValueError(f"{name} must hold real numbers, got {what}")


def _numeric(value, index, atoms, name):
    try:
        return real_array(value, name)
    except ValueError as error:
        raise ValueError(f"{describe(index, atoms)}: {error}") from None


def _check_array(value, shape, index, atoms, name):
    array = _numeric(value, index, atoms, name)
    if array.shape != shape:
        expected = f"shape {shape}" if shape else "a single number"
        raise ValueError(f"{describe(index, atoms)}: {name} must be {expected}, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(
            f"{describe(index, atoms)}: {name} has NaN or infinite values; correct it, or give None where "
            "there is none"
        )
    return array


# Labels that are none, and none that are


def has_no_neighbors(atoms, cutoff):
    """Whether a structure of one atom has no image of it within the cutoff, in Angstrom."""
    # Mostly a vector of a primitive cell answers.
    if (np.linalg.norm(atoms.cell.array[atoms.pbc], axis=1) < cutoff).any():
        return False
    return not _neighbors(atoms, cutoff).distance_p.size


def _warn(message):
    warnings.warn(message, LabelWarning, stacklevel=4)


def _name(X, chosen, first):
    """Name the first of some structures (n,) bool, and count the others."""
    rows = np.flatnonzero(chosen)
    others = len(rows) - 1
    rest = f" and {others} other{'s' if others > 1 else ''}" if others else ""
    return f"{describe(first + rows[0], X[rows[0]])}{rest}"


def _leave_out_placeholders(X, found, given, first):
    """Take out labels that are exactly zero where no calculation gives zero.

    Readers of files put zeros where the file has nothing: an energy of zero beside forces or a stress that
    are not zero (once in the data that may be the zero of energy, unless all others are far away), forces of
    zero on atoms whose surroundings have no symmetry that forbids them, a stress of zero between neighbors
    (once, either may be true). Where all labels of a structure are zero there is nothing to judge by. Forces
    and stresses that the user has given are kept, with the warning.
    """
    energy, forces, stress = found["energy"], found["force"], found["virial"]
    pushed = np.array(
        [
            _not_zero(atoms, "forces", None if forces is None else forces[k])
            or _not_zero(atoms, "stress", None if stress is None else stress[k])
            for k, atoms in enumerate(X)
        ]
    )
    if energy is not None:
        zero = (energy == 0) & pushed
        others = (energy / [len(atoms) for atoms in X])[np.isfinite(energy) & (energy != 0)]
        alone = zero.sum() == 1 and others.size and np.abs(others).min() <= max(_FAR, np.ptp(others))
        if zero.any() and not alone:
            reason = "an energy of exactly 0 beside forces or a stress that are not zero"
            _warn(f"{_name(X, zero, first)} of {len(X)}: {reason}. {_PLACEHOLDER}")
            energy = np.where(zero, np.nan, energy)
            found["energy"] = None if np.isnan(energy).all() else energy
    # NaN counts as not zero.
    informed = pushed | (np.ones(len(X), bool) if energy is None else energy != 0)
    if forces is not None:
        zero = np.array(
            [
                informed[k] and force is not None and not force.any() and _surroundings(X[k])[1]
                for k, force in enumerate(forces)
            ]
        )
        if _warn_of_zeros(
            X, zero, given["force"], first, "forces of exactly 0 though no symmetry forbids them"
        ):
            forces = [None if out else force for out, force in zip(zero, forces, strict=True)]
            found["force"] = None if all(force is None for force in forces) else forces
    if stress is not None:
        zero = np.array(
            [informed[k] and not row.any() and _surroundings(X[k])[0] for k, row in enumerate(stress)]
        )
        if _warn_of_zeros(X, zero, given["virial"], first, "a stress of exactly 0 between near atoms"):
            stress = np.where(zero[:, None], np.nan, stress)
            found["virial"] = None if np.isnan(stress).all() else stress


_PLACEHOLDER = "Taken for the placeholder of a file without this label and left out; None says so"


def _warn_of_zeros(X, zero, given, first, reason):
    """Warn of several labels of zero; return whether they are to be left out."""
    if zero.sum() < 2:
        return False
    ending = "Give None where there is no label" if given else _PLACEHOLDER
    _warn(f"{_name(X, zero, first)} of {len(X)}: {reason}. {ending}")
    return not given


def _not_zero(atoms, name, values):
    """Whether a structure has forces or a stress that are not all zero, read or only attached."""
    if values is None:
        values = _results(atoms).get(name)
    try:
        return values is not None and bool(np.any(values))
    except (TypeError, ValueError):
        return False


def _neighbors(atoms, cutoff):
    return find_neighbors(atoms, np.zeros(len(atoms), np.int32), 1, cutoff)


def _surroundings(atoms):
    """Whether any atom has neighbours, and whether those of any atom do not balance."""
    near = _neighbors(atoms, _NEAR)
    i = np.repeat(np.arange(len(atoms)), np.diff(near.first_as))
    pull = (1 - near.distance_p / _NEAR) ** 2
    weights = (pull / near.distance_p)[:, None] * near.vector_pc
    sums = np.column_stack([np.bincount(i, weights=w, minlength=len(atoms)) for w in weights.T])
    total = np.bincount(i, weights=pull, minlength=len(atoms))
    # 1e-3 is far above the rounding of positions in files.
    return len(i) > 0, bool((np.linalg.norm(sums, axis=1) > 1e-3 * total).any())


def _other_names(atoms, target):
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


def _warn_of_other_names(X, labels, targets):
    """Warn of labels under names that nobody looks at, where the label is missing."""
    if not labels.targets():
        return  # an error, which names them too
    parts = []
    for target in TARGETS:
        if target not in targets:
            continue
        lacking = np.flatnonzero(~labels.present(target))
        if target == "virial":
            lacking = [k for k in lacking if has_full_cell(X[k])]
        names = [name for k in lacking for name in _other_names(X[k], target)]
        if names:
            parts.append(
                f"{len(lacking)} of {len(X)} structures have no {_ATTRIBUTES[target]}, but "
                f"{' and '.join(dict.fromkeys(names))}, which is not used"
            )
    if parts:
        _warn(
            f"{'; '.join(parts)}. Pass such labels as y=, forces=, stress= (plip.labels.stress_from_virial "
            "converts a virial) or, on the command line, name them with --energy-key, --forces-key, "
            "--stress-key, --virial-key"
        )


def _warn_of_large_stresses(stress):
    largest = np.median(np.nanmax(np.abs(stress[~np.isnan(stress[:, 0])]), axis=1))
    if largest > _LARGE_STRESS:
        _warn(
            f"half of the stresses have a component above {largest / GPa:.0f} GPa: they seem to be virials "
            "(eV), or in GPa or kbar; plip takes eV/A^3 (plip.labels.stress_from_virial and convert_stress "
            "convert them)"
        )


def _warn_of_contradiction(X, found, forces, stress):
    """Warn if energies given are not those beside the attached forces or stresses, up to their zero."""
    attached = [
        name
        for name, values, given in (("forces", found["force"], forces), ("stress", found["virial"], stress))
        if values is not None and given is None
    ]
    energy = found["energy"]
    if energy is None or not attached:
        return
    species = np.unique(np.concatenate([atoms.numbers for atoms in X]))
    zero = np.array([[*(atoms.numbers[:, None] == species).sum(axis=0), 1.0] for atoms in X])
    ratios = []
    for name in ("energy", "free_energy"):
        other = np.array([_plain_number(_results(atoms).get(name)) for atoms in X])
        both = np.isfinite(energy) & np.isfinite(other)
        if both.sum() > zero.shape[1]:
            size, difference = (
                values - zero[both] @ np.linalg.lstsq(zero[both], values, rcond=None)[0]
                for values in (other[both], energy[both] - other[both])
            )
            floor = 1e-6 + 1e-9 * np.abs(other[both]).max()
            ratios.append(np.linalg.norm(difference) / (np.linalg.norm(size) + floor))
    # One per cent is more than extrapolation to zero smearing makes.
    if ratios and min(ratios) > 0.01:
        _warn(
            f"the energies given are not those attached beside the {' and '.join(attached)} that are used: "
            "they differ by more than a constant for each species, so that forces are no longer their "
            "derivatives (sklearn.compose.TransformedTargetRegressor scales y alone). Give forces= and "
            "stress= that belong to y, or set atoms.calc = None"
        )


def _plain_number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def _warn_of_predictions(X, labels, given, first):
    """Warn of attached labels that a potential of plip has computed."""
    used = np.zeros(len(X), bool)
    for target in labels.targets():
        if not given[target]:
            used |= labels.present(target)
    # ASE's name of the calculator, which trajectories and databases keep.
    used &= [getattr(atoms.calc, "name", None) == "plipcalculator" for atoms in X]
    if used.any():
        _warn(
            f"{_name(X, used, first)}: the labels attached were computed by a potential of plip. Errors "
            "against them say nothing about its accuracy; attach labels of the reference method"
        )
