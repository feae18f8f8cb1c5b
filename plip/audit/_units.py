"""Units, signs and orders of labels, from whether energies, forces and stresses belong together.

Forces and virials are derivatives of the energy, so one fit serves all of them, unless one has another
unit, sign or order of components. Each reading of the labels that programs and files lead to is tried: the
right one is what a fit explains on structures that it has not seen.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plip._types import BoolArray
from plip.audit._readings import STRESS_UNITS, Reading, convert, possible_readings
from plip.audit._report import Finding
from plip.audit._rows import volumes
from plip.audit._trial import CONSISTENT, SHOWS, Trial
from plip.labels import STRESS_UNITS as OFFERED_UNITS
from plip.labels import LabelledStructures, Labels

__all__ = ["find_units"]

# Share of squares that a right reading leaves unexplained at most. Right readings of Si, Mo, Ta, SiC and
# Mo-Nb-Ta leave less than 0.1, wrong ones more than 0.35.
_EXPLAINED = 0.5
# Readings that are accepted one after the other.
_MOST_READINGS = 4
# Another reading must leave less than this part of what is unexplained as the labels are. Less where most is
# explained as it is, and for another order, since a right order makes all the difference.
_BETTER, _MUCH_BETTER = 0.5, 0.2
# Labels of which this share is unexplained at most are as intended.
_CERTAIN = 0.02
# Readings that are tried in all folds.
_PROMISING = 4
# Labels that are explained at last share the terms of a fit with the others, which lose a little of what is
# gained. With the pressures of Si in kbar, forces lose 0.8 % of it if they are read so, 12 % or more if the
# sign or the power of ten is wrong.
_PRICE = 0.05
# Readings that are nearly as good cannot be told apart.
_ALIKE = 1.2
# Energies that tell their unit, for each species: reference energies explain fewer in any.
_OF_EACH_SPECIES = 5


def find_units(
    data: LabelledStructures, groups: NDArray[np.str_], trial: Trial
) -> tuple[list[Finding], Labels]:
    """Find labels of all structures, or of a group, in another unit, sign or order.

    Parameters
    ----------
    data : LabelledStructures
    groups : (n,) str
    trial : Trial
        Reads labels as found from then on.

    Returns
    -------
    findings : list of Finding
    labels : Labels
        In eV, eV/A and eV/A^3.
    """
    findings: list[Finding] = []
    labels = data.labels
    volume = volumes(data.structures)
    for _ in range(_MOST_READINGS):
        before, _ = trial.unexplained(Reading(), trial.everyone)
        if len(before) < 2:
            break
        parts = [np.ones(len(data), bool), *(groups == name for name in trial.group_names())]
        tried = [(_best(trial, members[trial.places]), members) for members in parts if members.any()]
        found = [
            (sum(trial.unexplained(reading, members[trial.places])[0].values()), k)
            for k, (reading, members) in enumerate(tried)
            if reading.names and trial.helps_most(reading, members[trial.places])
        ]
        if not found:
            break
        # A group must be better than all structures together, which come first.
        place = found[0][1] if found[0][0] <= _ALIKE * min(found)[0] else min(found)[1]
        reading, members = tried[place]
        after, _ = trial.unexplained(reading, members[trial.places])
        findings += _describe(labels, before, after, reading, members)
        labels = convert(labels, reading, data.n_atoms, volume, members)
        trial.accept(reading, members[trial.places])
    return findings, labels


def _best(trial: Trial, members: BoolArray) -> Reading:
    """The best reading of the labels of some structures, as they are unless another is clearly better."""
    of_all, own = trial.unexplained(Reading(), members)
    if max([*of_all.values(), *own.values()]) < _CERTAIN:
        return Reading()
    others = [
        # In another unit a constant of a group may all but vanish: find_shifted_groups tells both apart.
        reading
        for reading in possible_readings()
        if not reading.changes_energy
        or trial.n_energies >= _OF_EACH_SPECIES * trial.n_species
        and (members.all() or reading.force != 1.0)
    ]
    # One fold tells which readings are worth the others.
    fold = trial.fullest_fold(members)
    first = [trial.unexplained(other, members, (fold,))[1] for other in others]
    # Labels that are rounding in another unit are not explained by it.
    usable = [k for k, found in enumerate(first) if set(found) == set(own)]
    promising = sorted(usable, key=lambda k: _total(first[k]))
    tried = [(*trial.unexplained(others[k], members), others[k]) for k in promising[:_PROMISING]]
    ranked = sorted((_total(found), k) for k, (_, found, _) in enumerate(tried))
    if not ranked:
        return Reading()
    least, best = ranked[0]
    found_of_all, found, reading = tried[best]
    if not _mends(reading, own, found):
        return Reading()
    # Energies of molecules follow their size in any unit: only a fit that knows their derivatives tells it.
    derivatives = [share for name, share in found.items() if name != "energy"]
    if reading.changes_energy and min(derivatives, default=1.0) > CONSISTENT:
        return Reading()
    # What helps one label must not harm the others.
    gain = sum(max(of_all[name] - found_of_all[name], 0.0) for name in of_all)
    if any(
        found_of_all[name] > max(_ALIKE * of_all[name], _CERTAIN, of_all[name] + _PRICE * gain)
        for name in of_all
    ):
        return Reading()
    rivals = [tried[k][2] for total, k in ranked[1:] if total < _ALIKE * least]
    return _either(reading, rivals) if rivals else reading


def _total(shares: dict[str, float]) -> float:
    """Sum of what is unexplained; tiny labels, such as forces on relaxed surfaces, must not decide."""
    return sum(min(share, 1.0) for share in shares.values())


def _mends(reading: Reading, before: dict[str, float], after: dict[str, float]) -> bool:
    """Whether each target that a reading changes is explained by it, and much better than before."""
    needs_much = max(before.values()) < CONSISTENT
    for kind, _ in reading.names:
        name = SHOWS[kind]
        better = _MUCH_BETTER if needs_much or kind == "stress order" else _BETTER
        if name not in after or after[name] > min(_EXPLAINED, better * before[name]):
            return False
    return True


def _either(reading: Reading, rivals: list[Reading]) -> Reading:
    """The reading, named together with those that cannot be told from it."""
    alternatives = " or ".join(text for rival in rivals for _, text in rival.names)
    names = tuple((kind, f"{text} (or {alternatives})") for kind, text in reading.names)
    return replace(reading, names=names)


_REMEDIES = {
    "energy unit": "Multiply the energies by {energy:.6g}",
    "force unit": "Multiply the forces by {force:.6g}",
    "force sign": "Change the sign of the forces (gradients are minus the forces)",
    "stress unit": "Multiply the stresses by {stress:.6g} (plip.labels.convert_stress)",
    "stress sign": "Change the sign of the stresses (plip.labels.convert_stress)",
    "stress order": "Write the components in the order xx yy zz yz xz xy",
}
_OF_ATOMS = "Multiply each energy by the number of atoms"
_OF_VIRIALS = "Divide minus these virials by the volume (plip.labels.stress_from_virial)"


def _option(kind: str, reading: Reading, is_of_all: bool) -> str | None:
    """Option of the command line that reads all stresses so."""
    if not is_of_all:
        return None
    if kind == "stress unit" and reading.is_virial:
        return "--virial-key stress" if reading.stress < 0 else None
    factor = abs(reading.stress)
    unit = next((unit for unit, size in STRESS_UNITS.items() if np.isclose(size, factor)), None)
    if kind == "stress unit" and unit in OFFERED_UNITS:
        return f"--stress-unit {unit}"
    return "--stress-sign compression" if kind == "stress sign" and not reading.is_virial else None


def _describe(
    labels: Labels, before: dict[str, float], after: dict[str, float], reading: Reading, members: BoolArray
) -> list[Finding]:
    """One finding for each thing that is not as intended."""
    errors = " and ".join(
        f"{100 * np.sqrt(before[name]):.0f} % to {100 * np.sqrt(after[name]):.0f} % ({name})"
        for name in after
        if name in before
    )
    others = "" if members.all() else ", unlike those of the other groups"
    findings = []
    for kind, text in reading.names:
        target = {"energy": "energy", "force": "force", "stress": "virial"}[kind.split()[0]]
        remedy = _REMEDIES[kind].format(
            energy=reading.energy, force=reading.force, stress=abs(reading.stress)
        )
        if kind == "stress unit" and reading.is_virial:
            remedy = _OF_VIRIALS
        if kind == "energy unit" and reading.is_per_atom:
            remedy = _OF_ATOMS
        evidence = (
            f"{text}{others}: if they are read so, errors of a quick fit on structures that it has not seen, "
            f"relative to the labels, change from {errors}"
        )
        structures = np.flatnonzero(labels.present(target) & members)
        option = _option(kind, reading, bool(members.all()))
        findings.append(Finding(kind, tuple(structures.tolist()), evidence, remedy, option))
    return findings
