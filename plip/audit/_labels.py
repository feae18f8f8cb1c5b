"""What labels alone say: some are missing, forces do not add up to zero, forces were set to zero."""

from __future__ import annotations

import numpy as np

from plip._structures._balance import BALANCED, imbalances
from plip._structures._checks import has_full_cell
from plip._types import BoolArray, FloatArray
from plip.audit._report import Finding
from plip.labels import TARGETS, LabelledStructures

__all__ = ["find_missing_labels", "find_net_forces", "frozen_atoms"]

_NAMES = {"energy": "energies", "force": "forces", "virial": "stresses"}
# eV/A, and as a share of what independent errors of the size of the forces would add up to.
_NET_FORCE, _NET_SHARE = 0.1, 0.1
# Expected number of forces of an atom that are zero by the rounding of the file, at most.
_BY_CHANCE = 0.01


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
    return [
        Finding(
            "net force",
            tuple(members.tolist()),
            f"forces add up to as much as {net[worst]:.2f} eV/A ({per_atom:.0f} meV/A per atom in structure "
            f"{data.places[worst]}) instead of zero",
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
