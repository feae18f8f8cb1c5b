"""Findings of an audit, and how they name structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["AuditReport", "Finding", "name_places"]

# Structures that a message names one by one.
_MOST_NAMED = 8


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the data.

    Attributes
    ----------
    kind : str
        What is wrong, such as "force unit" or "duplicate"; `plip.audit.audit` lists the kinds.
    structures : tuple of int
        Places of the structures in the data, from 0.
    evidence : str
        How the audit knows, in numbers.
    remedy : str
        What to do, with the option of ``plip fit`` where there is one.
    places : tuple of str
        Where the structures come from, such as "b.xyz, structure 3".
    test_structures : tuple of int
        Places in the test data of structures that the training data hold too.
    test_places : tuple of str
        Where those come from.
    """

    kind: str
    structures: tuple[int, ...]
    evidence: str
    remedy: str
    places: tuple[str, ...] = ()
    test_structures: tuple[int, ...] = ()
    test_places: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """str: structures, evidence and remedy, in one line."""
        where = name_places(self.places or _numbered(self.structures))
        if self.test_structures:
            tests = name_places(self.test_places or _numbered(self.test_structures))
            where = f"{where}; of the test data {tests}"
        return f"{where}: {self.evidence}. {self.remedy}."

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


@dataclass(frozen=True, repr=False)
class AuditReport:
    """What `plip.audit.audit` found.

    Attributes
    ----------
    findings : tuple of Finding
        Empty for clean data.
    n_structures : int
        Number of structures that were looked at, without test data.
    """

    findings: tuple[Finding, ...]
    n_structures: int

    @property
    def is_clean(self) -> bool:
        """Whether there is no finding."""
        return not self.findings

    @property
    def kinds(self) -> tuple[str, ...]:
        """tuple of str: kinds of the findings, each once."""
        return tuple(dict.fromkeys(finding.kind for finding in self.findings))

    def __str__(self) -> str:
        if self.is_clean:
            return f"Audit of {self.n_structures} structures: nothing found"
        lines = [f"Audit of {self.n_structures} structures: {len(self.findings)} found"]
        return "\n".join([*lines, *(f"- {finding}" for finding in self.findings)])

    def __repr__(self) -> str:
        return str(self)


def _numbered(structures: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"structure {index}" for index in structures)


def name_places(places: Sequence[str]) -> str:
    """Name structures by file and number, the first few one by one.

    Parameters
    ----------
    places : sequence of str
        Such as "b.xyz, structure 3" or "structure 3".

    Returns
    -------
    str
        Such as "b.xyz, structures 3, 5 and 7" or "structures 3, 5, ... (61 in all)".
    """
    files: dict[str, list[str]] = {}
    for place in places:
        file, _, number = place.rpartition("structure ")
        files.setdefault(file, []).append(number)
    return "; ".join(f"{file}{_join(numbers)}" for file, numbers in files.items())


def _join(numbers: list[str]) -> str:
    if len(numbers) == 1:
        return f"structure {numbers[0]}"
    if len(numbers) <= _MOST_NAMED:
        return f"structures {', '.join(numbers[:-1])} and {numbers[-1]}"
    return f"structures {', '.join(numbers[:_MOST_NAMED])}, ... ({len(numbers)} in all)"
