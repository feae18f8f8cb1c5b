"""Groups whose energies were computed with other settings: a constant that forces and stresses do not have.

A group with another reference energy is told from one that is hard to fit by what a free constant for the
group gains on structures that the fit has not seen. A hard group gains nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plip._types import FloatArray, IntArray
from plip.audit._fits import Block, Products, make_blocks
from plip.audit._readings import ENERGY_UNITS
from plip.audit._report import Finding, weights_remedy
from plip.audit._rows import SampleRows, draw, volumes
from plip.labels import LabelledStructures

__all__ = ["find_shifted_groups"]

_TERMS = 40
_STRUCTURES = 300
_ATOMS = 15000
# Structures of a group, and outside it, that say anything.
_FEWEST = 3
# By how much the constant divides the squared errors of the energies, at least. In Si, Mo, Ta, SiC and
# Mo-Nb-Ta as they are it does by at most 1.4, with 0.3 eV/atom added to a group mostly by more than 10.
_GAIN = 3.0
# eV/atom, and as a share of the constant the scatter about it.
_LEAST_SHIFT = 0.02
_SCATTER = 0.2


class _Groups:
    """Energies of sampled structures with and without a constant for a group."""

    def __init__(self, data: LabelledStructures, groups: NDArray[np.str_], fold: IntArray) -> None:
        places = draw(data, groups, _STRUCTURES, _ATOMS)
        self.rows = SampleRows.of(data, places, fold, "balanced")
        sample = data.take(places)
        self.groups = groups[places]
        blocks = make_blocks(self.rows, sample.labels, volumes(sample.structures), sample.n_atoms)
        self.blocks = blocks
        self.products = Products(blocks, self.rows.fold_n)

    def gain(self, group: str) -> tuple[float, float]:
        """What a constant divides squared errors of energies by, and the constant in eV/atom."""
        energy = self.blocks["energy"]
        member = (self.groups[energy.owner] == group).astype(float)
        fraction = self.rows.fraction_ns[energy.owner]
        member -= fraction @ np.linalg.lstsq(fraction, member, rcond=1e-10)[0]
        square = member @ member
        # The composition of the group alone may be what the constant would be.
        if square < 1e-3 * np.count_nonzero(self.groups[energy.owner] == group):
            return 1.0, 0.0
        slope, label = member @ energy.rows / square, member @ energy.labels / square
        free = Block(
            energy.rows - np.outer(member, slope), energy.labels - member * label, energy.owner, energy.size
        )
        blocks = {**self.blocks, "energy": free}
        products = self.products.replaced("energy", free)
        before = self.products.unexplained(self.blocks, _TERMS)
        after = products.unexplained(blocks, _TERMS)
        shift = label - slope @ products.coefficients(blocks, _TERMS).mean(axis=0)
        return before["energy"] / max(after["energy"], 1e-12), float(shift)


def find_shifted_groups(
    data: LabelledStructures, groups: NDArray[np.str_], fold: IntArray
) -> tuple[list[Finding], LabelledStructures]:
    """Find groups whose energies are shifted, and take the shifts off.

    Parameters
    ----------
    data : LabelledStructures
    groups : (n,) str
    fold : (n,) int

    Returns
    -------
    findings : list of Finding
    data : LabelledStructures
        With the energies of these groups brought to those of the others.
    """
    findings: list[Finding] = []
    names = np.unique(groups)
    if len(names) < 2 or len(data.labels.targets()) < 2 or data.labels.energy is None:
        return findings, data
    for _ in range(len(names) - 1):
        tried = _Groups(data, groups, fold)
        if "energy" not in tried.blocks or len(tried.blocks) < 2:
            break
        counts = {name: np.count_nonzero(tried.groups == name) for name in names}
        candidates = [
            (*tried.gain(name), name)
            for name in names
            if _FEWEST <= counts[name] <= len(tried.groups) - _FEWEST
        ]
        gain, shift, name = max(candidates, default=(1.0, 0.0, ""))
        if gain < _GAIN or abs(shift) < _LEAST_SHIFT:
            break
        members = np.flatnonzero(groups == name)
        findings.append(_describe(data, members, name, gain, shift))
        energy = data.labels.energy.copy()
        energy[members] -= shift * data.n_atoms[members]
        data = replace(data, labels=replace(data.labels, energy=energy))
    return findings, data


def _describe(data: LabelledStructures, members: IntArray, name: str, gain: float, shift: float) -> Finding:
    assert data.labels.energy is not None
    label: FloatArray = data.labels.energy[members] / data.n_atoms[members]
    unit = next(
        (
            unit
            for unit, factor in ENERGY_UNITS.items()
            if abs(np.nanmedian(label) * (factor - 1.0) + shift) < 0.02 * abs(shift)
        ),
        None,
    )
    hint = f" (these energies may be in {unit})" if unit else ""
    return Finding(
        "group energies",
        tuple(members.tolist()),
        f"the energies of group '{name}' are {shift:+.3f} eV/atom off those of the other groups, while "
        f"forces and "
        f"stresses fit: a constant for the group lowers the errors of energies of structures that a quick "
        f"fit has "
        f"not seen {np.sqrt(gain):.1f} times{hint}",
        "Compute the group with the settings of the others, subtract the shift, or "
        + weights_remedy([name], "energy"),
        "--weights FILE",
    )
