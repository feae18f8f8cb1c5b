"""The report on a potential as one page of HTML that needs nothing else."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms

import plip
from plip._files import write_whole
from plip._types import StrPath
from plip.interactions._terms import KINDS
from plip.metrics import Evaluation, cancellation
from plip.metrics._errors import SHOWN_UNITS
from plip.normal_equations._blas_threads import single_blas_thread
from plip.potential import Potential
from plip.potential._models import as_potential
from plip.report._crystals import Crystal, find_crystals
from plip.report._mathml import to_mathml
from plip.report._record import readable_record
from plip.report._text import DIGITS
from plip.report._uncertainty import FOLDS, LEVEL, cells, farthest, known, uncertainties
from plip.report._worst import largest_errors, worst_structures
from plip.safety import SafetyReport

__all__ = ["write_report"]

# Structures for mean contributions of terms, and for the figures.
_SAMPLE = 20
_MANY = 2000
_CITATION = (
    "M. Benoit, J. Amodeo, S. Combettes, I. Khaled, A. Roux and J. Lam, Mach. Learn.: Sci. Technol. 2, "
    "025003 (2021), doi:10.1088/2632-2153/abc9fd"
)


def write_report(
    path: StrPath,
    potential: Potential,
    evaluations: Mapping[str, Evaluation] | None = None,
    *,
    places: Mapping[str, Sequence[str]] | None = None,
    findings: Iterable[Any] | None = None,
    remarks: Iterable[Any] = (),
    safety: SafetyReport | None = None,
    title: str | None = None,
) -> None:
    """Write a report on a potential: one HTML file without references to anything else.

    Parameters
    ----------
    path : str or path-like
        File to write.
    potential : Potential, or a fitted estimator
    evaluations : mapping of str to Evaluation, or None
        By name of the data set: "train", "cross-validation" (`Evaluation.of_folds`), "test". The figures show
        the structures of "train", else of the first one; without any, sections that need data are left out.
    places : mapping of str to sequence of str, or None
        Where the structures of each data set come from, such as "b.xyz, structure 3".
    findings : iterable or None
        Findings of an audit of the training data, as of `plip.audit.audit`; None says that there was none.
    remarks : iterable
        Remarks of the audit.
    safety : SafetyReport or None
        As from `Potential.check_safety`; None makes the check.
    title : str or None

    Raises
    ------
    ImportError
        If jinja2 or matplotlib is not installed.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.report import write_report
    >>> train, _ = load_silicon_carbide()
    >>> potential = PLIPRegressor("fast", max_terms=10).fit(train[::4]).potential_
    >>> write_report("SiC.html", potential)
    """
    text = (
        _environment()
        .get_template("report.html")
        .render(
            _context(as_potential(potential), dict(evaluations or {}), places or {}, findings, safety, title),
            remarks=list(remarks),
        )
    )
    with write_whole(path) as file:
        file.write(text)


def _environment() -> Any:
    try:
        import jinja2
        import matplotlib  # noqa: F401, all figures need it
    except ImportError as error:
        raise ImportError(f"a report needs {error.name}: pip install jinja2 matplotlib") from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("plip.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["mathml"] = to_mathml
    return environment


@single_blas_thread()  # for small matrices, threads of BLAS cost more than they save
def _context(
    potential: Potential,
    evaluations: dict[str, Evaluation],
    places: Mapping[str, Sequence[str]],
    findings: Iterable[Any] | None,
    safety: SafetyReport | None,
    title: str | None,
) -> dict[str, Any]:
    """What the template shows."""
    from plip.report import _figures

    record, damaged = readable_record(potential)
    data = evaluations.get("train", next(iter(evaluations.values()), None))
    structures = [] if data is None else _thinned(data.structures, _MANY)
    if safety is None:
        safety = potential.check_safety(structures or None)
    crystals = [] if data is None else find_crystals(potential, data.structures, _names(data))
    # Predictions of folds are other potentials.
    own = {name: found for name, found in evaluations.items() if name != FOLDS}
    test = evaluations.get("test")
    of_test = {} if test is None else _per_size(test)
    audit = None if findings is None else list(findings)
    pairs = _pairs(potential, record.get("data", {}))
    return {
        "title": title or f"Potential of {', '.join(potential.species)}",
        "version": plip.__version__,
        "potential": potential,
        "record": record,
        "damaged": damaged,
        "has_data": data is not None,
        "about": potential.about or {},
        "units": SHOWN_UNITS,
        "citation": _CITATION,
        "summary": _summary(potential, record, evaluations, safety, crystals, audit),
        "errors": _errors(evaluations),
        "worst": {
            name: _worst(potential, found, places.get(name), audit if name == "train" else None)
            for name, found in own.items()
        },
        "parity": _figures.parity(evaluations) if evaluations else [],
        "uncertainty": _uncertainty(evaluations),
        "functions": _figures.functions(potential, structures or None),
        "partition": None if data is None else _figures.partition(potential, _examples(potential, data)),
        "terms": _terms(potential, structures),
        "kinds": list(dict.fromkeys(term.interaction for term, _ in potential.terms)),
        "path": _figures.path(record["sizes"], of_test) if record.get("sizes") else [],
        "crystals": [
            (
                crystal,
                _figures.equation_of_state(potential, crystal.atoms, structures),
                None if crystal.bands is None else _figures.bands(crystal.bands),
            )
            for crystal in crystals
        ],
        "safety": safety,
        "pairs": pairs,
        "far": None if test is None or potential.uncertainty is None else _far(test, places.get("test")),
        "audit": audit,
    }


def _names(evaluation: Evaluation) -> list[str] | None:
    return None if evaluation.groups is None else evaluation.groups.tolist()


def _thinned(structures: Sequence[Atoms], most: int) -> list[Atoms]:
    return list(structures[:: -(-len(structures) // most)]) if structures else []


def _per_size(evaluation: Evaluation) -> dict[str, float]:
    """Errors of a test by the targets and units of the record."""
    summary = evaluation.summary()
    factors = {"energy": 1e-3, "force": 1.0}
    return {
        target: factor * summary[f"{target}_rmse"]
        for target, factor in factors.items()
        if f"{target}_rmse" in summary
    }


# Numbers


def _errors(evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Tables by target: rows of (group, cells), three cells for each data set, "-" without labels."""
    names = (found.groups.tolist() for found in evaluations.values() if found.groups is not None)
    groups = sorted({group for of_set in names for group in of_set})
    tables = {}
    for target in SHOWN_UNITS:
        present = [name for name, found in evaluations.items() if target in found.n_labels]
        if not present:
            continue
        of_row: list[tuple[str, str | None]] = [("all", None), *((group, group) for group in groups)]
        if len(groups) < 2:
            of_row = of_row[:1]
        rows = []
        for label, group in of_row:
            cells = []
            for name in present:
                cells += _cells(evaluations[name], target, group)
            rows.append((label, cells))
        tables[target] = present, rows
    return tables


def _cells(evaluation: Evaluation, target: str, group: str | None) -> list[str]:
    """Root mean square, mean absolute and largest error."""
    found = evaluation.errors(group)
    if f"{target}_rmse" not in found:
        return ["-"] * 3
    reference, predicted = evaluation.parity(target, group)
    worst = np.abs(predicted - reference).max() * (1e3 if target == "energy" else 1.0)
    digits = DIGITS[target]
    return [f"{value:.{digits}f}" for value in (found[f"{target}_rmse"], found[f"{target}_mae"], worst)]


def _worst(
    potential: Potential,
    evaluation: Evaluation,
    places: Sequence[str] | None,
    audit: Sequence[Any] | None,
) -> list[dict[str, Any]]:
    return [
        {
            "place": f"structure {found.index}" if places is None else places[found.index],
            "found": found,
            "errors": ", ".join(f"{t} {e:.{DIGITS[t]}f} {SHOWN_UNITS[t]}" for t, e in found.errors.items()),
            "oddities": [
                *(f"audit: {finding.kind}" for finding in audit or () if found.index in finding.structures),
                *found.oddities,
            ],
        }
        for found in worst_structures(potential, evaluation)
    ]


def _uncertainty(evaluations: Mapping[str, Evaluation]) -> dict[str, Any] | None:
    """Rows of the table of uncertainty, and its figures; None if the potential knows nothing of it."""
    from plip.report import _figures

    found = known(evaluations)
    if not found:
        return None
    rows = [(name, cells(row)) for name, row in uncertainties(found, by_group=True).items()]
    return {"level": f"{100 * LEVEL:.0f}", "rows": rows, "figures": _figures.uncertainty(found)}


def _far(evaluation: Evaluation, places: Sequence[str] | None) -> list[tuple[str, ...]]:
    """Structures beyond the data: place, formula, group, atom and grade, number of atoms above 1."""
    return [
        (
            f"structure {row}" if places is None else places[row],
            evaluation.structures[row].get_chemical_formula(),
            "" if evaluation.groups is None else str(evaluation.groups[row]),
            symbol,
            f"{grade:.2f}",
            f"{count} of {evaluation.n_atoms[row]}",
        )
        for row, symbol, grade, count in farthest(evaluation)
    ]


def _examples(potential: Potential, evaluation: Evaluation) -> dict[str, Atoms]:
    """The structure of each group whose energy is the median, the largest groups first."""
    if evaluation.groups is None:
        return {"median structure": evaluation.structures[len(evaluation.structures) // 2]}
    energies = [potential.energy(atoms) / len(atoms) for atoms in evaluation.structures]
    chosen = {}
    for group, _ in Counter(evaluation.groups.tolist()).most_common():
        rows = np.flatnonzero(evaluation.groups == group)
        order = rows[np.argsort([energies[row] for row in rows], kind="stable")]
        chosen[str(group)] = evaluation.structures[order[len(order) // 2]]
    return chosen


def _terms(potential: Potential, structures: Sequence[Atoms]) -> list[dict[str, Any]]:
    """Rows of the table of terms, with what each adds to the energy of an atom of the data."""
    sizes: dict[str, list[float]] = {}
    for atoms in _thinned(structures, _SAMPLE):
        for label, part in potential.partition(atoms, by="term").items():
            sizes.setdefault(label, []).append(part["energy"] / len(atoms))
    return [
        {
            "number": number,
            "term": term,
            "species": "-".join(term.species),
            "coefficient": coefficient,
            "contribution": float(np.mean(sizes[term.name])) if term.name in sizes else None,
        }
        for number, (term, coefficient) in enumerate(potential.terms, start=1)
    ]


def _pairs(potential: Potential, data: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Pair, shortest distance in the data, where the repulsion begins, and what is to be said of it."""
    shortest, missing = data.get("shortest_distances", {}), data.get("missing_pairs", [])
    rows = []
    for pair in itertools.combinations_with_replacement(potential.species, 2):
        name, fade = "-".join(pair), (potential.repulsion or {}).get(pair)
        analog = data.get("analogs", {}).get(name)
        note = (
            "not in the data" + (f", taken to be like {analog}" if analog else "") if name in missing else ""
        )
        rows.append(
            (
                name,
                f"{shortest[name]:.3f}" if name in shortest else "-",
                "-" if fade is None else f"{fade[1]:.3f} to {fade[0]:.3f}",
                note,
            )
        )
    return rows


# Words

# What the check of safety does with atoms, by the names of its counts.
_TRIALS = {
    "pairs of species": "brought close in pairs",
    "crystals or lattices": "compressed in crystals",
    "pushed atoms": "pushed onto others",
}


def _summary(
    potential: Potential,
    record: Mapping[str, Any],
    evaluations: Mapping[str, Evaluation],
    safety: SafetyReport,
    crystals: Sequence[Crystal],
    audit: Sequence[Any] | None,
) -> list[str]:
    """The report in plain sentences."""
    kinds = Counter(term.interaction for term, _ in potential.terms)
    parts = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind]) or "none"
    offered = record.get("sizes", {}).get("offered")
    sentences = [
        f"The energy of {', '.join(potential.species)} is a sum of {len(potential.terms)} terms ({parts})"
        + (f", chosen from {offered:,} candidates." if offered else ".")
    ]
    if "n_structures" in record.get("data", {}):
        sentences.append(f"It was fitted to {record['data']['n_structures']:,} structures.")
    name = next((name for name in ("test", FOLDS, "train") if name in evaluations), None)
    if name is not None:
        sentences += _of_errors(name, evaluations[name]) + _of_uncertainty(name, evaluations[name])
    data = evaluations.get("train", next(iter(evaluations.values()), None))
    if data is not None and potential.terms:
        found = cancellation(potential, _thinned(data.structures, _SAMPLE))
        if np.isfinite(found).any():
            sentences.append(
                f"The absolute values of the terms add up to {np.nanmedian(found):.1f} times their sum. The "
                "smaller this number, the more each term means by itself."
            )
    for crystal in crystals:
        sentences.append(_of_crystal(crystal))
    sentences += _of_safety(safety)
    data_record = record.get("data", {})
    missing = [*data_record.get("missing_combinations", ()), *data_record.get("missing_pairs", ())]
    if missing:
        names = ", ".join(dict.fromkeys(missing))
        sentences.append(f"The data hold no structure with {names}: for these the potential is a guess.")
    if atoms := data_record.get("missing_atoms"):
        sentences.append(
            f"They hold no isolated atom of {', '.join(atoms)}: how strongly crystals and liquids are bound, "
            "and when they boil, is extrapolated."
        )
    if audit is not None:
        number = "1 thing" if len(audit) == 1 else f"{len(audit)} things" if audit else "nothing"
        sentences.append(f"The audit of the data found {number}.")
    return sentences


def _of_errors(name: str, evaluation: Evaluation) -> list[str]:
    """Errors of one data set, and where they are largest."""
    where = {
        "test": "on test structures, which the fit has not seen,",
        FOLDS: "on structures that were left out of the fit (cross-validation)",
        "train": "on the structures of the fit",
    }[name]
    summary, worst = evaluation.summary(), largest_errors(evaluation)
    words = {"energy": "energies", "force": "force components", "stress": "stress components"}
    typical = ", ".join(
        f"{summary[f'{target}_rmse']:.{DIGITS[target]}f} {SHOWN_UNITS[target]} for {words[target]}"
        for target in evaluation.n_labels
    )
    sentences = [f"Root mean square errors {where} are {typical}."]
    groups = summary.get("groups", {})
    ranked = {group: found["force_rmse"] for group, found in groups.items() if "force_rmse" in found}
    if len(ranked) > 1:
        first, *_, last = sorted(ranked, key=lambda group: ranked[group])
        sentences.append(
            f"Forces are worst in the group {last} ({ranked[last]:.3f} eV/Å) and best in {first} "
            f"({ranked[first]:.3f} eV/Å)."
        )
    if "force" in worst:
        sentences.append(f"The largest error of a force component is {np.nanmax(worst['force']):.2f} eV/Å.")
    return sentences


def _of_uncertainty(name: str, evaluation: Evaluation) -> list[str]:
    """Whether intervals hold, and whether structures leave the data."""
    found = uncertainties({name: evaluation}, by_group=False).get(name)
    if found is None or not np.isfinite(found.get("force_coverage", np.nan)):
        return []
    sentence = (
        f"Of these forces, {100 * found['force_coverage']:.0f} % are within the {100 * LEVEL:.0f} % "
        "intervals that the potential predicts"
    )
    if name != "test":
        return [f"{sentence}."]
    count = f"{found['n_extrapolated']:,} of {found['n_atoms']:,}" if found["n_extrapolated"] else "none"
    return [f"{sentence}; {count} of the atoms are farther from the data than any atom of the fit."]


def _of_safety(safety: SafetyReport) -> list[str]:
    """What was tried, where nothing failed; without data nothing is heated."""
    if not safety.is_safe:
        return [f"Simulations may fail: {'; '.join(str(finding) for finding in safety.findings)}."]
    tried = [
        _TRIALS.get(name, name.replace("steps at", "heated to")) for name, n in safety.counts.items() if n
    ]
    ways = " and ".join([", ".join(tried[:-1]), tried[-1]] if tried[1:] else tried)
    return [f"The check of safety found nothing. In it, atoms were {ways}."] if tried else []


def _of_crystal(crystal: Crystal) -> str:
    lengths = ", ".join(f"{name} = {value:.3f} Å" for name, value in crystal.lattice.items() if name in "abc")
    bulk, _ = crystal.moduli
    found = [f"{crystal.name}: {lengths}"]
    found.append(f"bulk modulus {bulk:.0f} GPa" if np.isfinite(bulk) else "unstable under strain")
    if crystal.bands is not None:
        found.append("no imaginary phonons" if crystal.bands.is_stable else "imaginary phonons")
    return ", ".join(found) + "."
