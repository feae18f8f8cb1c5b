"""What a check of safety found."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from ase import Atoms

from plip._types import StrPath
from plip._warnings import warn

__all__ = ["Figure", "Finding", "SafetyReport", "kind_of", "lines_of", "name_of", "warn_of_findings"]

# Root mean square in Angstrom of displacements between near duplicates, whose labels tell the same.
_NEAR = 0.05

Figure: TypeAlias = float | tuple[float, ...] | str


def name_of(atoms: Atoms) -> str:
    """What messages call a structure: by the composition of a crystal, by the atoms of a molecule."""
    return str(atoms.get_chemical_formula(empirical=bool(atoms.pbc.any())))


def _plain(value: Figure) -> Figure:
    """The same without types of NumPy."""
    if isinstance(value, tuple):
        return tuple(map(float, value))
    return value if isinstance(value, str) else float(value)


def _is_near(first: Atoms, second: Atoms) -> bool:
    """Whether two structures are the same up to small displacements of the same atoms."""
    if not np.array_equal(first.numbers, second.numbers) or not np.array_equal(first.pbc, second.pbc):
        return False
    moved = np.concatenate([first.positions - second.positions, first.cell.array - second.cell.array])
    return bool((moved**2).sum() < len(first) * _NEAR**2)


def kind_of(atoms: Atoms) -> str:
    return "crystal" if atoms.pbc.any() else "molecule"


@dataclass(frozen=True)
class Finding:
    """One way in which a potential fails.

    Attributes
    ----------
    kind : {"pair", "dimer", "push", "compression", "expansion", "evaporation", "collapse", "drift"}
        What was tried.
    message : str
        What happened, in one line.
    figures : mapping of str to float, tuple of float or str
        The numbers of the message, in eV, Angstrom, kelvin and femtoseconds.
    structures : tuple of ase.Atoms
        Structures that show it, or lead there, without labels. Those whose atoms are so close that labels
        would change nothing are left out. In directions that are not periodic, cells have 10 Angstrom of
        vacuum.

    Examples
    --------
    >>> from plip import PLIPDescriptors, PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, _ = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=40, contribution_penalty=0.0, repulsion=None).fit(train[::4])
    >>> finding = model.potential_.check_safety(train[::4]).findings[0]
    >>> finding.kind
    'pair'
    """

    kind: str
    message: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    structures: tuple[Atoms, ...] = ()

    def __post_init__(self) -> None:
        figures = {name: _plain(value) for name, value in self.figures.items()}
        object.__setattr__(self, "figures", MappingProxyType(figures))

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only view is not pickled.
        return type(self), (self.kind, self.message, dict(self.figures), self.structures)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def lines_of(record: Any) -> list[str]:
    """What `SafetyReport.as_record` says: how much was tried, and a line for each finding.

    A ValueError says that a record is no such one, as files that were edited may have it.
    """
    entries = record if isinstance(record, dict) else {}
    counts, findings = entries.get("counts"), entries.get("findings")
    if not isinstance(counts, dict) or not isinstance(findings, list):
        raise ValueError(f"expected counts and findings of a check, got {record!r}")
    if not all(isinstance(finding, str) for finding in findings):
        raise ValueError(f"findings must be texts, got {findings!r}")
    tried = ", ".join(f"{name}: {count}" for name, count in counts.items() if count)
    number = len(findings)
    found = f"{number} finding{'s' * (number > 1)}" if number else "nothing found"
    return [f"Safety: {found} ({tried})", *findings]


def warn_of_findings(path: StrPath, record: Any) -> None:
    """Warn of the findings that the file of a potential has, as `SafetyReport.as_record` says them."""
    try:
        _, *findings = lines_of(record)
    except ValueError:  # not checked, or edited
        return
    if findings:
        others = f" ({len(findings) - 1} more)" if len(findings) > 1 else ""
        warn(
            f"{os.fspath(path)}: simulations with this potential fail, as the check of its safety has found: "
            f"{findings[0]}{others}. plip show prints all findings; label such structures and fit again"
        )


@dataclass(frozen=True, repr=False)
class SafetyReport:
    """What `plip.Potential.check_safety` found.

    Attributes
    ----------
    findings : tuple of Finding
        Empty if nothing failed.
    counts : mapping of str to int
        How many pairs, pushed atoms, crystals and time steps were tried.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> report = model.potential_.check_safety(train[::8])
    >>> report.is_safe, report.findings
    (True, ())
    """

    findings: tuple[Finding, ...]
    counts: Mapping[str, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", MappingProxyType(dict(self.counts)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.findings, dict(self.counts))

    @property
    def is_safe(self) -> bool:
        """Whether there is no finding."""
        return not self.findings

    def as_record(self) -> dict[str, Any]:
        """What a file of the potential can tell: "counts" and "findings", the latter as text.

        Returns
        -------
        dict
            For the entry "safety" of `Potential.fit_record`.
        """
        return {"counts": dict(self.counts), "findings": [str(finding) for finding in self.findings]}

    @property
    def structures(self) -> tuple[Atoms, ...]:
        """The structures of all findings, a tuple of ase.Atoms without near duplicates.

        Labels of a few often mend the potential.
        """
        found: list[Atoms] = []
        for atoms in itertools.chain.from_iterable(finding.structures for finding in self.findings):
            if not any(_is_near(atoms, other) for other in found):
                found.append(atoms)
        return tuple(found)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of findings, a sorted tuple of str."""
        return tuple(sorted({finding.kind for finding in self.findings}))

    def __str__(self) -> str:
        return "\n  ".join(lines_of(self.as_record()))

    __repr__ = __str__
