"""Groups whose energies were computed with other settings: a constant that forces and stresses do not have.

A group with another reference energy is told from one that is hard to fit by what a free constant for the
group gains on structures that the fit has not seen. A hard group gains nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plip._types import BoolArray, FloatArray, IntArray
from plip.audit._fits import Block, Products, make_blocks
from plip.audit._readings import ENERGY_UNITS
from plip.audit._report import Finding, weights_remedy
from plip.audit._rows import N_FOLDS, SampleRows, draw, volumes
from plip.labels import LabelledStructures

__all__ = ["find_shifted_groups"]

# Sizes of the fits; the largest one tells what a constant gains.
_SIZES = (20, 40)
_STRUCTURES = 300
_ATOMS = 15000
# Structures of a group, and outside it, that say anything.
_FEWEST = 3
# By how much the constant divides the squared errors of the energies, at least. In Si, Mo, Ta, SiC and
# Mo-Nb-Ta as they are it does by at most 1.7, with 0.3 eV/atom added to a group by 2.4 to 130.
_GAIN = 2.0
# eV/atom, and as a share of the constant how much it differs between fits. What stands for a gap of a small
# model shrinks as models grow.
_LEAST_SHIFT = 0.02
_SCATTER = 0.15
# Energies in the right unit are explained about as well as others.
_AS_WELL = 10.0
# A shift that is within this share what another unit makes may be that unit.
_SAME_SHIFT = 0.2


def _weighted(energy: Block, fraction: FloatArray) -> tuple[Block, FloatArray, FloatArray]:
    """Energies with errors that grow with their distance from most, their weights and composition.

    Without weights a few structures far from equilibrium, which no quick fit describes well, would hide
    shifts of all others.
    """
    distance = np.abs(energy.labels - np.median(energy.labels))
    weight = 1.0 / np.sqrt(1.0 + (distance / max(np.median(distance), 1e-12)) ** 2)
    composition = weight[:, None] * fraction
    both = _without(composition, weight[:, None] * np.column_stack([energy.rows, energy.labels]))
    labels = both[:, -1]
    block = Block(both[:, :-1], labels, energy.owner, float(np.sqrt(np.mean(labels**2))))
    return block, weight, composition


def _without(composition: FloatArray, values: FloatArray) -> FloatArray:
    """What the composition does not explain of some values."""
    rest: FloatArray = values - composition @ np.linalg.lstsq(composition, values, rcond=1e-10)[0]
    return rest


class _Groups:
    """Energies of sampled structures with and without a constant for a group."""

    def __init__(self, data: LabelledStructures, groups: NDArray[np.str_], rows: SampleRows) -> None:
        sample = data.take(rows.places_n)
        self.groups = groups[rows.places_n]
        self._blocks = make_blocks(rows, sample.labels, volumes(sample.structures), sample.n_atoms)
        self.tells = "energy" in self._blocks and len(self._blocks) > 1
        if not self.tells:
            return
        energy = self._blocks["energy"]
        self._energy, self._weight, self._composition = _weighted(energy, rows.fraction_ns[energy.owner])
        self._blocks["energy"] = self._energy
        self._products = Products(self._blocks, rows.fold_n)
        self._left = self._products.unexplained(self._blocks, _SIZES[-1])["energy"]
        self.square = self._left * self._energy.size**2

    def counts(self, sampled: IntArray) -> BoolArray:
        """Whether the energies of some sampled structures are near enough to those of most to count."""
        found: BoolArray = np.isin(sampled, self._energy.owner)
        return found

    def square_of(self, sampled: IntArray) -> float:
        """Mean squared error of the energies of some sampled structures by fits that have not seen them."""
        squares = self._products.residual_squares(self._blocks, _SIZES[-1])["energy"]
        return float(squares[np.isin(self._energy.owner, sampled)].mean())

    def gain(self, group: str) -> tuple[float, float, float]:
        """What a constant divides squared errors of energies by, the constant and its scatter in eV/atom."""
        energy = self._energy
        constant = self._weight * (self.groups[energy.owner] == group)
        member = _without(self._composition, constant)
        square = member @ member
        # The composition of the group alone may be what the constant would be.
        # So far off may its energies be that none of them counts.
        if square <= 1e-3 * (constant @ constant):
            return 1.0, 0.0, np.inf
        slope, label = member @ energy.rows / square, member @ energy.labels / square
        free = Block(
            energy.rows - np.outer(member, slope), energy.labels - member * label, energy.owner, energy.size
        )
        blocks = {**self._blocks, "energy": free}
        products = self._products.replaced("energy", free)
        after = products.unexplained(blocks, _SIZES[-1])
        shifts = np.concatenate([label - products.coefficients(blocks, n) @ slope for n in _SIZES])
        gain = self._left / max(after["energy"], 1e-12)
        return gain, float(shifts[-N_FOLDS:].mean()), float(shifts.std())


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
    rows = SampleRows.of(data, draw(data, groups, _STRUCTURES, _ATOMS), fold, "balanced")
    findings, data = _find_far_groups(data, groups, rows)
    for _ in range(len(names) - 1):
        tried = _Groups(data, groups, rows)
        if not tried.tells:
            break
        counts = {name: np.count_nonzero(tried.groups == name) for name in names}
        found = [
            (*tried.gain(name), str(name))
            for name in names
            if _FEWEST <= counts[name] <= len(tried.groups) - _FEWEST
        ]
        shifted = [
            (gain, shift, name)
            for gain, shift, scatter, name in found
            if gain >= _GAIN and abs(shift) >= max(_LEAST_SHIFT, scatter / _SCATTER)
        ]
        if not shifted:
            break
        gain, shift, name = max(shifted)
        unit = _unit(data, groups, rows, name, shift, tried.square / gain)
        energy, n_atoms = data.labels.values("energy"), data.n_atoms
        members = groups == name
        findings.append(_describe(np.flatnonzero(members & np.isfinite(energy)), name, gain, shift, unit))
        shifted_by = np.where(members, shift, 0.0) * n_atoms
        energy = _in_unit(energy, members, unit) if unit else energy - shifted_by
        data = replace(data, labels=replace(data.labels, energy=energy))
    return findings, data


def _find_far_groups(
    data: LabelledStructures, groups: NDArray[np.str_], rows: SampleRows
) -> tuple[list[Finding], LabelledStructures]:
    """Groups whose energies are so far off that none counts, unless they are read in another unit."""
    findings: list[Finding] = []
    before = _Groups(data, groups, rows)
    if not before.tells:
        return findings, data
    for name in np.unique(groups):
        labels = data.labels.values("energy")
        members = (groups == name) & np.isfinite(labels)
        sampled = np.flatnonzero(members[rows.places_n])
        if len(sampled) < _FEWEST or before.counts(sampled).any():
            continue
        tried = []
        for unit in ENERGY_UNITS:
            converted = replace(data, labels=replace(data.labels, energy=_in_unit(labels, members, unit)))
            read = _Groups(converted, groups, rows)
            if not (read.tells and read.counts(sampled).all()):
                continue
            if (square := read.square_of(sampled)) <= _AS_WELL * before.square:
                tried.append((square, unit, converted))
        if tried:
            _, unit, data = min(tried, key=lambda entry: entry[0])
            shift = np.median((labels - data.labels.values("energy"))[members] / data.n_atoms[members])
            evidence = (
                f"energies in {unit}: the energies of group '{name}' are {shift:+.3f} eV/atom off, and a "
                "quick fit explains them as well as those of the other groups only if they are read so"
            )
            remedy = f"Multiply these energies by {ENERGY_UNITS[unit]:.6g}"
            findings.append(Finding("energy unit", tuple(np.flatnonzero(members).tolist()), evidence, remedy))
            before = _Groups(data, groups, rows)
    return findings, data


def _in_unit(energy: FloatArray, members: BoolArray, unit: str) -> FloatArray:
    """Energies in eV, if those of some structures are in a unit."""
    return np.where(members, ENERGY_UNITS[unit], 1.0) * energy


def _unit(
    data: LabelledStructures,
    groups: NDArray[np.str_],
    rows: SampleRows,
    name: str,
    shift: float,
    square: float,
) -> str | None:
    """The unit that makes a shift and explains the energies of the group as well as a constant, which leaves
    errors of some mean square.
    """
    energy, members = data.labels.values("energy"), groups == name
    label = np.nanmedian(energy[members] / data.n_atoms[members])
    for unit, factor in ENERGY_UNITS.items():
        if abs(label * (factor - 1.0) + shift) < _SAME_SHIFT * abs(shift):
            labels = replace(data.labels, energy=_in_unit(energy, members, unit))
            read = _Groups(replace(data, labels=labels), groups, rows)
            if read.tells and read.square <= square:
                return unit
    return None


def _describe(places: IntArray, name: str, gain: float, shift: float, unit: str | None) -> Finding:
    evidence = (
        f"the energies of group '{name}' are {shift:+.3f} eV/atom off those of the other groups, while "
        "forces and stresses fit: a constant for the group lowers the errors of energies of structures that "
        f"a quick fit has not seen {np.sqrt(gain):.1f} times"
    )
    members = tuple(places.tolist())
    if unit is not None:
        remedy = f"Multiply these energies by {ENERGY_UNITS[unit]:.6g}"
        return Finding("energy unit", members, f"energies in {unit}: {evidence}", remedy)
    remedy = "Compute the group with the settings of the others, subtract the shift, or "
    remedy += weights_remedy([name], "energy")
    return Finding("group energies", members, evidence, remedy, "--weights FILE")
