"""Findings of an audit, and how they name structures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

__all__ = ["AuditReport", "Finding", "name_places", "numbered", "weights_remedy"]

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
        What to do.
    option : str or None
        The option of ``plip fit`` that does it, such as "--stress-unit kbar", if there is one.
    places : tuple of str
        Where the structures come from, such as "b.xyz, structure 3".
    test_structures : tuple of int
        Places in the test data of structures that the training data hold too.
    test_places : tuple of str
        Where those come from.

    Examples
    --------
    >>> from plip.audit import audit
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> report = audit(train[::10], test=train[:1], quick=True)
    >>> report.findings[0].kind, report.findings[0].structures
    ('leak', (0,))
    """

    kind: str
    structures: tuple[int, ...]
    evidence: str
    remedy: str
    option: str | None = None
    places: tuple[str, ...] = ()
    test_structures: tuple[int, ...] = ()
    test_places: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """str: structures, evidence, remedy and option, in one line."""
        where = name_places(self.places or numbered(self.structures))
        if self.test_structures:
            tests = name_places(self.test_places or numbered(self.test_structures))
            where = f"{where}; of the test data {tests}"
        option = "" if self.option is None else f" (option: {self.option})"
        return f"{where}: {self.evidence}. {self.remedy}{option}."

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
    remarks : tuple of Finding
        Groups that disagree with others in what no option mends; data with remarks alone are clean.

    Examples
    --------
    >>> from plip.audit import audit
    >>> from plip.datasets import load_silicon_carbide
    >>> train, _ = load_silicon_carbide()
    >>> print(audit(train[::10], quick=True))
    Audit of 17 structures: nothing found
    """

    findings: tuple[Finding, ...]
    n_structures: int
    remarks: tuple[Finding, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether there is no finding."""
        return not self.findings

    @property
    def kinds(self) -> tuple[str, ...]:
        """tuple of str: kinds of the findings, each once."""
        return tuple(dict.fromkeys(finding.kind for finding in self.findings))

    def placed(self, places: Sequence[str] | None, test_places: Sequence[str] | None = None) -> AuditReport:
        """The report with findings that say where their structures come from."""

        def place(finding: Finding) -> Finding:
            if places is not None:
                finding = replace(finding, places=tuple(places[k] for k in finding.structures))
            if test_places is not None:
                finding = replace(finding, test_places=tuple(test_places[k] for k in finding.test_structures))
            return finding

        return replace(
            self,
            findings=tuple(place(finding) for finding in self.findings),
            remarks=tuple(place(remark) for remark in self.remarks),
        )

    def __str__(self) -> str:
        lines = [
            f"Audit of {self.n_structures} structure{'s' * (self.n_structures > 1)}: "
            f"{len(self.findings) or 'nothing'} found",
            *(f"- {finding}" for finding in self.findings),
            *(f"Remark: {remark}" for remark in self.remarks),
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def numbered(structures: Iterable[int]) -> tuple[str, ...]:
    """Names of structures by their numbers in the data."""
    return tuple(f"structure {index}" for index in structures)


def name_places(places: Sequence[str], separator: str = "; ") -> str:
    """Name structures by file and number, the first few one by one.

    Parameters
    ----------
    places : sequence of str
        Such as "b.xyz, structure 3" or "structure 3".
    separator : str, default="; "
        Between files.

    Returns
    -------
    str
        Such as "b.xyz, structures 3, 5 and 7" or "structures 3, 5, ... (61 in all)".
    """
    files: dict[str, list[str]] = {}
    for place in places:
        file, _, number = place.rpartition("structure ")
        files.setdefault(file, []).append(number)
    return separator.join(f"{file}{_join(numbers)}" for file, numbers in files.items())


def _join(numbers: list[str]) -> str:
    if len(numbers) == 1:
        return f"structure {numbers[0]}"
    if len(numbers) <= _MOST_NAMED:
        return f"structures {', '.join(numbers[:-1])} and {numbers[-1]}"
    return f"structures {', '.join(numbers[:_MOST_NAMED])}, ... ({len(numbers)} in all)"


def weights_remedy(groups: Sequence[str], target: str) -> str:
    """How to fit some groups without the labels of a target."""
    lines = " and ".join(f"'{group}: {target} 0'" for group in groups)
    return f"fit without them: --weights FILE with the line{'s' * (len(groups) > 1)} {lines}"
