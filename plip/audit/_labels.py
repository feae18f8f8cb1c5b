"""What labels alone say: some are missing, forces do not add up to zero, forces were set to zero."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plip._places import with_places
from plip._structures._balance import BALANCED, imbalances
from plip._structures._checks import has_full_cell
from plip._structures._composition import rows_of_compositions
from plip._types import BoolArray, FloatArray, IntArray
from plip.audit._readings import ENERGY_UNITS
from plip.audit._report import Finding
from plip.labels import TARGETS, LabelledStructures

__all__ = ["find_energies_per_atom", "find_missing_labels", "find_net_forces", "frozen_atoms"]

_NAMES = {"energy": "energies", "force": "forces", "virial": "stresses"}
# eV/A, and as a share of what independent errors of the size of the forces would add up to.
_NET_FORCE, _NET_SHARE = 0.1, 0.1
# Expected number of forces of an atom that are zero by the rounding of the file, at most.
_BY_CHANCE = 0.01
# Energies per atom of one composition are alike to the first part for most structures, the second part. These
# quantiles are tried as the usual one. Clusters of a few atoms have parts of it.
_NEARLY, _NEARLY_ALL = 0.3, 0.8
_TRIED = (0.1, 0.5, 0.9)
_FEWEST_ATOMS, _FEWEST_OF_EACH = 4, 3


def find_missing_labels(data: LabelledStructures) -> list[Finding]:
    """Labels that only some structures have, of those that can have them."""
    can_have = {
        "energy": np.ones(len(data), bool),
        "force": np.ones(len(data), bool),
        "virial": np.array([atoms.pbc.all() and has_full_cell(atoms) for atoms in data.structures]),
    }
    findings = []
    for target in TARGETS:
        present = data.labels.present(target)
        missing = np.flatnonzero(can_have[target] & ~present)
        if present.any() and len(missing):
            findings.append(
                Finding(
                    "missing label",
                    tuple(missing.tolist()),
                    f"no {_NAMES[target]}, which {present.sum()} of {len(data)} structures have",
                    "Look for a calculation that has not ended or labels of another name (--energy-key, "
                    "--forces-key,"
                    " --stress-key); a fit uses what there is",
                )
            )
    return findings


def find_net_forces(data: LabelledStructures, frozen: list[BoolArray]) -> list[Finding]:
    """Forces that do not add up to zero, though nothing holds the atoms."""
    if data.labels.forces is None:
        return []
    net, share = np.zeros(len(data)), np.zeros(len(data))
    for k, force in enumerate(data.labels.forces):
        if force is not None and len(force) > 1 and not frozen[k].any():
            net[k] = np.linalg.norm(force.sum(axis=0))
            size = np.sqrt(np.sum(force**2))
            share[k] = net[k] / size if size > 0 else 0.0
    members = np.flatnonzero((net > _NET_FORCE) & (share > _NET_SHARE))
    if not len(members):
        return []
    worst = members[net[members].argmax()]
    per_atom = 1e3 * net[worst] / data.n_atoms[worst]
    where = with_places(f"structure {data.places[worst]}")
    return [
        Finding(
            "net force",
            tuple(members.tolist()),
            f"forces add up to as much as {net[worst]:.2f} eV/A ({per_atom:.0f} meV/A per atom in {where}) "
            "instead of zero",
            "Converge these calculations (grid, self-consistency), or subtract the mean force",
        )
    ]


def frozen_atoms(data: LabelledStructures) -> list[BoolArray]:
    """Atoms of each structure whose force is exactly zero, not by symmetry, beside others that are not.

    Returns
    -------
    list of n (n_atoms,) bool
    """
    found = [np.zeros(len(atoms), bool) for atoms in data.structures]
    forces = data.labels.forces or []
    with_zeros = {
        k: force for k, force in enumerate(forces) if force is not None and not force.any(axis=1).all()
    }
    if not with_zeros:
        return found
    # Of the digits in the files.
    known = [force for force in forces if force is not None and force.any()]
    rounding = min((np.abs(force[force != 0]).min() for force in known), default=0.0)
    for k, force in with_zeros.items():
        zero = ~force.any(axis=1)
        if not zero.all() and _is_no_rounding(force, rounding):
            found[k] = zero & (imbalances(data.structures[k]) > BALANCED)
    return found


def _is_no_rounding(force: FloatArray, rounding: float) -> bool:
    """Whether three components of zero are not what so few digits lead to."""
    chance = min(1.0, rounding / float(np.median(np.abs(force[force != 0]))))
    return bool(len(force) * chance**3 < _BY_CHANCE)


def find_energies_per_atom(data: LabelledStructures) -> tuple[list[Finding], LabelledStructures]:
    """Find energies per atom among total ones, and multiply them by the numbers of atoms.

    Fits do not tell, if they are many: energies that are divided by the number of atoms hardly differ from
    each other, and the rest seems far off. Where all are per atom, the units of labels show it.
    """
    energy = data.labels.energy
    if energy is None:
        return [], data
    per_atom = energy / data.n_atoms
    found: list[int] = []
    for rows in rows_of_compositions(data.structures):
        rows = rows[np.isfinite(energy[rows]) & (data.n_atoms[rows] >= _FEWEST_ATOMS)]
        for usual in np.quantile(per_atom[rows], _TRIED) if len(rows) else ():
            are_total = np.abs(per_atom[rows] - usual) < _NEARLY * abs(usual)
            are_per_atom = ~are_total & (np.abs(energy[rows] - usual) < _NEARLY * abs(usual))
            n_total, n_per_atom = np.count_nonzero(are_total), np.count_nonzero(are_per_atom)
            if min(n_total, n_per_atom) >= _FEWEST_OF_EACH and n_total + n_per_atom > _NEARLY_ALL * len(rows):
                found += _not_in_a_unit(energy, per_atom, usual, rows[are_per_atom])
                break
    if not found:
        return [], data
    found.sort()
    evidence = "energies as large as those per atom of other structures of the same composition"
    remedy = "Multiply each energy by the number of atoms"
    factor = np.ones(len(data), int)
    factor[found] = data.n_atoms[found]
    labels = replace(data.labels, energy=energy * factor)
    return [Finding("energy unit", tuple(found), evidence, remedy)], replace(data, labels=labels)


def _not_in_a_unit(energy: FloatArray, per_atom: FloatArray, usual: float, rows: IntArray) -> list[int]:
    """Of structures whose energies are like the usual one per atom, all or, if a unit makes it, none.

    A rydberg is 13.6 eV, which looks like so many atoms.
    """
    deviation = np.median(np.abs(energy[rows] / usual - 1.0))
    of_units = [np.median(np.abs(factor * per_atom[rows] / usual - 1.0)) for factor in ENERGY_UNITS.values()]
    return rows.tolist() if deviation <= min(of_units) else []
