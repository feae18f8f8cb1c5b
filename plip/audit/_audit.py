"""The audit: every check of the room, from cheap to dear."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from plip._places import located
from plip._structures._checks import check_structures
from plip._types import BoolArray, IntArray
from plip.audit._duplicates import find_duplicates, find_leaks
from plip.audit._foreign import find_foreign_forces
from plip.audit._geometry import Closest, find_close_atoms, find_length_units, find_missing_cells, find_types
from plip.audit._groups import find_shifted_groups
from plip.audit._labels import find_energies_per_atom, find_missing_labels, find_net_forces, frozen_atoms
from plip.audit._misfits import find_constrained, find_misfits
from plip.audit._orders import find_orders
from plip.audit._predictions import expect
from plip.audit._report import AuditReport, Finding
from plip.audit._rows import N_FOLDS
from plip.audit._trial import Trial
from plip.audit._units import find_units
from plip.labels import LabelledStructures, LabelWarning, read_labels
from plip.labels._outliers import warn_of_outliers
from plip.metrics import read_groups
from plip.normal_equations._blas_threads import single_blas_thread

__all__ = ["audit", "audit_labelled"]

# Most atoms of a molecule, whose atoms have other surroundings than those of clusters.
_MOLECULE = 4


def audit(
    structures: Iterable[Atoms],
    test: Iterable[Atoms] | None = None,
    *,
    groups: ArrayLike | None = None,
    places: Sequence[str] | None = None,
    test_places: Sequence[str] | None = None,
    quick: bool = False,
) -> AuditReport:
    """Find what is wrong with labeled structures, with the evidence.

    Quick fits to a sample of the structures tell whether energies, forces and stresses belong together,
    and what each structure should have; nothing is taken from metadata. Labels are those attached to the
    structures.

    Parameters
    ----------
    structures : iterable of ase.Atoms
        Training data.
    test : iterable of ase.Atoms, optional
        Test data, in which training structures are looked for.
    groups : (n,) array_like of str, optional
        Group of each structure; by default those of `plip.metrics.read_groups`.
    places, test_places : sequence of str, optional
        Where structures come from, for messages, such as "b.xyz, structure 3".
    quick : bool, default=False
        Leave out what fits to all structures tell: group energies, and labels of a part of the structures.

    Returns
    -------
    AuditReport
        Its `findings` are of these kinds: "labels" (doubts of `plip.labels.read_labels`), "missing label",
        "missing cell", "close atoms", "length unit", "species", "duplicate", "near duplicate", "leak",
        "net force", "foreign forces", "constrained", "energy unit", "force unit", "force sign",
        "stress unit", "stress sign", "stress order", "group energies", "energy", "forces" and "stress"
        (labels unlike those of similar structures).
        Its `remarks` are of the kind "stress order": shear components of some groups only.

    Raises
    ------
    TypeError, ValueError
        A structure or label is not valid; the message names the structure.

    Examples
    --------
    >>> from plip.audit import audit
    >>> from plip.datasets import load_silicon_carbide
    >>> train, _ = load_silicon_carbide()
    >>> for atoms in train[::8]:
    ...     atoms.calc.results["forces"] *= -1
    >>> audit(train[::8], quick=True).kinds
    ('force sign',)
    """
    tested = None
    if test is not None:
        with _located(test_places):
            tested = LabelledStructures.read(test, required=False, purpose="to score against")
    with _located(places):
        checked = check_structures(structures)
        data, doubts = _read(checked)
        names = read_groups(checked) if groups is None else np.asarray(groups, dtype=str)
        report = audit_labelled(data, names, tested, quick, test_places)
    # What the fits find says more.
    doubts = [doubt for doubt in doubts if doubt.kind == "labels" or doubt.kind not in report.kinds]
    return replace(report, findings=(*doubts, *report.findings)).placed(places, test_places)


def _located(places: Sequence[str] | None) -> AbstractContextManager[None]:
    return nullcontext() if places is None else located(places.__getitem__)


@single_blas_thread()  # many products of small matrices: threads of BLAS double the CPU time
def audit_labelled(
    data: LabelledStructures,
    groups: NDArray[np.str_] | None,
    test: LabelledStructures | None = None,
    quick: bool = False,
    test_places: Sequence[str] | None = None,
) -> AuditReport:
    """The audit of structures whose labels were read; see `audit`."""
    names = _kinds(data) if groups is None else groups
    closest = Closest(data.structures)
    findings = [
        *find_close_atoms(data, closest),
        *find_length_units(data, closest),
        *find_types(data, closest),
        *find_missing_cells(data),
        *find_missing_labels(data),
        *find_duplicates(data),
        *([] if test is None else find_leaks(data, test, test_places)),
    ]
    found, data = find_energies_per_atom(data)
    findings += found
    fold = _folds(data)
    frozen = frozen_atoms(data)
    # What else is wrong shows with the labels as they should be.
    found, remarks, data = _find_readings(data, names, fold, frozen)
    findings += found
    findings += find_net_forces(data, frozen)
    expected = None
    if not quick:
        if groups is not None:
            shifted, data = find_shifted_groups(data, names, fold)
            findings += shifted
        expected = expect(data, names, fold)
        if expected is not None:
            findings += find_misfits(data, names, expected, frozen)
    findings += find_constrained(data, expected, frozen)
    return AuditReport(tuple(findings), len(data), tuple(remarks))


def _find_readings(
    data: LabelledStructures, names: NDArray[np.str_], fold: IntArray, frozen: list[BoolArray]
) -> tuple[list[Finding], list[Finding], LabelledStructures]:
    """Findings and remarks about units, signs and orders, and the data in the intended ones."""
    if len(data.labels.targets()) < 2 or len(data) < 2 * N_FOLDS:
        return [], [], data
    trial = Trial(data, names, fold)
    findings, labels = find_units(data, names, trial)
    findings += find_foreign_forces(trial, frozen)
    data = replace(data, labels=labels)
    ordered, remarks, labels = find_orders(data, names, trial)
    return [*findings, *ordered], remarks, replace(data, labels=labels)


def _read(structures: list[Atoms]) -> tuple[LabelledStructures, list[Finding]]:
    """Structures with their labels, and the doubts of their reader."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LabelWarning)
        labels = read_labels(structures)
        warn_of_outliers(structures, labels, 0)
    places = np.arange(len(structures))
    doubts = []
    for entry in caught:
        if isinstance(entry.message, LabelWarning):
            members = entry.message.structures or tuple(places.tolist())
            text = str(entry.message)
            if entry.message.structures:  # which the finding names, and all of them
                _, _, text = text.partition(": ")
            evidence, _, remedy = text.partition(". ")
            doubts.append(Finding(entry.message.kind, members, evidence, remedy or "Check these labels"))
        else:
            warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
    return LabelledStructures(tuple(structures), labels, places), doubts


def _kinds(data: LabelledStructures) -> NDArray[np.str_]:
    """Stands for groups where there are none: crystals and slabs, clusters, molecules of a few atoms."""
    return np.array(
        [
            "periodic" if atoms.pbc.any() else "cluster" if len(atoms) > _MOLECULE else "molecule"
            for atoms in data.structures
        ]
    )


def _folds(data: LabelledStructures) -> IntArray:
    """Fold of each structure, the same for the same data."""
    n = len(data)
    return np.random.default_rng(0).permutation(np.arange(n) % N_FOLDS)
