"""Shear components in another order, of all structures or of some groups.

Energies, forces and pressures do not depend on the order in which a file has yz, xz and xy. A fit to them
alone tells what the shear should be.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plip._types import BoolArray, FloatArray, IntArray
from plip.audit._readings import Reading, convert, list_order
from plip.audit._report import Finding, weights_remedy
from plip.audit._rows import volumes
from plip.audit._trial import Trial, help_most
from plip.labels import LabelledStructures, Labels

__all__ = ["find_orders"]

_AS_IS = (0, 1, 2)
# Correlation with what is expected, from which on an order is right; share of what another order leaves
# unexplained (1 less the squared correlation) that a right order leaves at most.
_FOLLOWS, _BETTER = 0.7, 0.5
# Standard deviations by which the correlation exceeds that of independent numbers (Fisher's transformation).
_SIGNIFICANT = 5.0


@dataclass(frozen=True)
class _Order:
    """The order of shear components that some structures have.

    Attributes
    ----------
    places : tuple of int
        Places of yz xz xy among the three components.
    correlation, as_is : float
        Of the components with what is expected, in this order and as they are.
    """

    places: tuple[int, ...]
    correlation: float
    as_is: float


def find_orders(
    data: LabelledStructures, groups: NDArray[np.str_], trial: Trial
) -> tuple[list[Finding], list[Finding], Labels]:
    """Find shear components of all structures, or of some groups, in another order.

    Parameters
    ----------
    data : LabelledStructures
        In the right units.
    groups : (n,) str
    trial : Trial
        Of the same labels.

    Returns
    -------
    findings : list of Finding
        Where no group has the intended order.
    remarks : list of Finding
        Where some groups have it and others have not.
    labels : Labels
        In the intended order.
    """
    shear = trial.shear()
    if shear is None:
        return [], [], data.labels
    labels, expected, owner = shear
    of_groups = {}
    for name in np.unique(groups):
        rows = trial.groups[owner] == name
        order = _order_of(labels[rows], expected[rows])
        if order is not None:
            of_groups[str(name)] = order
    right = [name for name, order in of_groups.items() if order.places == _AS_IS]
    present = data.labels.present("virial")
    if not right:
        if len({order.places for order in of_groups.values()}) > 1:
            found, converted = _of_groups(data, groups, of_groups, right)
            return found, [], converted
        order = _order_of(labels, expected)
        if order is None or order.places == _AS_IS:
            return [], [], data.labels
        remedy = "Write the components in the order xx yy zz yz xz xy"
        finding = Finding("stress order", _places(present), _evidence({"": order}), remedy)
        return [finding], [], _reordered(data, data.labels, order, present)
    return [], *_of_groups(data, groups, of_groups, right)


def _of_groups(
    data: LabelledStructures, groups: NDArray[np.str_], of_groups: dict[str, _Order], right: list[str]
) -> tuple[list[Finding], Labels]:
    """A finding for each order that some groups have, and labels in the intended order."""
    names_of: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, order in of_groups.items():
        if order.places != _AS_IS:
            names_of[order.places].append(name)
    remarks, converted = [], data.labels
    for names in names_of.values():
        members = np.isin(groups, names) & data.labels.present("virial")
        evidence = _evidence({name: of_groups[name] for name in names})
        others = ", ".join(f"{name} {of_groups[name].correlation:.2f}" for name in right)
        remarks.append(
            Finding(
                "stress order",
                _places(members),
                evidence + (f"; other groups are right as they are ({others})" if right else ""),
                "Write the components of these groups in the order xx yy zz yz xz xy, or "
                + weights_remedy(names, "stress"),
                "--weights FILE",
            )
        )
        converted = _reordered(data, converted, of_groups[names[0]], members)
    return remarks, converted


def _order_of(labels: FloatArray, expected: FloatArray) -> _Order | None:
    """The order in which shear (m, 3) follows what is expected, if that can be told."""
    found = {order: _correlation(labels[:, order], expected) for order in itertools.permutations(_AS_IS)}
    best = max(found, key=lambda order: found[order])
    left = {order: 1.0 - max(value, 0.0) ** 2 for order, value in found.items()}
    rivals = [left[order] for order in found if order != best] if best == _AS_IS else [left[_AS_IS]]
    least = max(_FOLLOWS, float(np.tanh(_SIGNIFICANT / np.sqrt(max(labels.size - 3, 1)))))
    if found[best] < least or left[best] > _BETTER * min(rivals):
        return None
    if best != _AS_IS:
        before, after = (np.sum((labels[:, order] - expected) ** 2, axis=1) for order in (_AS_IS, best))
        if not help_most(after[before > 0] / before[before > 0]):
            return None
    return _Order(best, found[best], found[_AS_IS])


def _correlation(first: FloatArray, second: FloatArray) -> float:
    size = np.sqrt(np.sum(first**2) * np.sum(second**2))
    return float(np.sum(first * second) / size) if size > 0 else 0.0


def _evidence(orders: dict[str, _Order]) -> str:
    """How structures that all have one order show it, by name of their part."""
    changes = ", ".join(
        f"from {order.as_is:.2f} to {order.correlation:.2f}{name and f' ({name})'}"
        for name, order in orders.items()
    )
    listed = list_order(_all_six(next(iter(orders.values()))))
    return (
        f"stress components in the order {listed}: if they are read so, correlations with the shear that a "
        f"quick fit to energies, forces and pressures expects change {changes}"
    )


def _all_six(order: _Order) -> tuple[int, ...]:
    return (0, 1, 2, *(3 + place for place in order.places))


def _places(members: BoolArray) -> tuple[int, ...]:
    places: IntArray = np.flatnonzero(members)
    return tuple(places.tolist())


def _reordered(data: LabelledStructures, labels: Labels, order: _Order, members: BoolArray) -> Labels:
    return convert(labels, Reading(order=_all_six(order)), data.n_atoms, volumes(data.structures), members)
