"""Errors of a potential, and what is in it, as text."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from plip._places import with_places
from plip._types import FloatArray
from plip.interactions import Term
from plip.interactions._terms import KINDS
from plip.metrics import UNITS, Evaluation, cancellation
from plip.normal_equations._blas_threads import single_blas_thread
from plip.potential import Potential
from plip.potential._models import as_estimator
from plip.report._close import closer_than_fitted
from plip.report._record import readable_record
from plip.report._uncertainty import FOLDS, LEVEL, cells, uncertainties
from plip.safety._report import lines_of

if TYPE_CHECKING:
    from plip.regressor import PLIPRegressor, PLIPRegressorCV

# Rows of cells of a table.
Rows: TypeAlias = list[list[Any]]

__all__ = [
    "DIGITS",
    "Evaluation",
    "evaluation_report",
    "fit_report",
    "in_lines",
    "reference_energies",
    "safety_text",
    "table",
]

# Digits of the errors of each target in its unit of `plip.metrics`.
DIGITS = {"energy": 2, "force": 4, "stress": 3}
# Letters in a line.
_NARROWEST, _WIDEST = 60, 100
# Between the columns of a table.
_GAP = "  "
# Numbers of terms that the table of cross-validation shows, besides the chosen one.
_SIZES = (5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300)
# Cancellation is computed for at most this many structures.
_SAMPLE = 50


def fit_report(
    model: PLIPRegressor | PLIPRegressorCV, evaluations: Mapping[str, Evaluation], n_strongest: int = 10
) -> str:
    """Report on a fit as text: errors, terms, and where the data end.

    Parameters
    ----------
    model : PLIPRegressor
        Fitted to structures.
    evaluations : dict
        `Evaluation` by name of the data set, such as "train" and "test".
    n_strongest : int, default=10
        How many terms to show. The strength of a term is the root mean square of what it adds to the
        weighted rows of the fit, ``|w_n| s_n``. It is shown relative to the strongest.

    Returns
    -------
    str

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from plip.metrics import Evaluation
    >>> from plip.report import fit_report
    >>> report = fit_report(model, {"test": Evaluation(model.potential_, test)})
    >>> "core repulsion" in report
    True
    """
    model = as_estimator(model)
    strength = np.abs(model.coef_) * model.column_scale_
    order = np.argsort(-strength, kind="stable")[:n_strongest]
    strongest = [
        (strength[n] / strength[order[0]], model.coef_[n], model.descriptors_.terms_[n])
        for n in order
        if strength[n] > 0
    ]
    parts = [
        evaluation_report(evaluations),
        *([_sizes_table(model)] if hasattr(model, "cv_results_") else []),
        _terms_table(model.descriptors_.terms_, model.coef_),
        _cancellation(model.potential_, evaluations),
        _strongest_terms(strongest),
        "\n".join([reference_energies(model.potential_), _where_data_end(model.potential_)]),
    ]
    return "\n\n".join(parts)


def _sizes_table(model: PLIPRegressorCV) -> str:
    """Errors of cross-validation by number of terms."""
    results, chosen = model.cv_results_, model.selected_size_
    units = {"energy": ("meV/atom", 1e3, 2), "force": ("eV/A", 1.0, 4)}
    present = [target for target in units if f"{target}_rmse" in results]
    rows = [
        [f"terms, by {model.n_splits_} folds", *(f"{t} ({units[t][0]})" for t in present), "cancellation"]
    ]
    for size in sorted({chosen, *(n for n in _SIZES if n < len(results["n_terms"]))}):
        cells = [f"{results[f'{t}_rmse'][size] * units[t][1]:.{units[t][2]}f}" for t in present]
        mark = " (chosen)" if size == chosen else ""
        rows.append([f"{size}{mark}", *cells, _number(results["cancellation"][size])])
    return table(rows)


def _cancellation(potential: Potential, evaluations: Mapping[str, Evaluation]) -> str:
    """Median and largest cancellation in a sample of the structures."""
    parts = []
    for name, evaluation in evaluations.items():
        if name == FOLDS:
            continue
        structures = evaluation.structures[:: -(-len(evaluation.structures) // _SAMPLE)]
        found = cancellation(potential, structures)
        found = found[np.isfinite(found)]
        if found.size:
            rest = len(structures) < len(evaluation.structures)
            where = f" ({len(structures)} of {len(evaluation.structures):,} structures)" if rest else ""
            parts.append(f"{name} {np.median(found):.1f}, {found.max():.1f}{where}")
    if not parts:
        return "cancellation: none, since there are no terms"
    text = "cancellation, the sum of |terms| over |their sum|, median and largest: " + "; ".join(parts)
    return in_lines(text)


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.1f}"


@single_blas_thread()  # many products of small matrices: threads of BLAS double the CPU time
def evaluation_report(evaluations: Mapping[str, Evaluation]) -> str:
    """Sizes and errors of data sets, and the errors of each data set by group.

    Parameters
    ----------
    evaluations : dict
        `Evaluation` by name of the data set.

    Returns
    -------
    str

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from plip.metrics import Evaluation
    >>> from plip.report import evaluation_report
    >>> print(evaluation_report({"test": Evaluation(model.potential_, test)}).splitlines()[0])
    data  structures  atoms  energies  forces  stresses
    """
    summaries = {name: evaluation.summary() for name, evaluation in evaluations.items()}
    # Folds are the training data once more.
    sets = {name: evaluation for name, evaluation in evaluations.items() if name != FOLDS}
    parts = [_size_table(sets), _error_table("errors", summaries)]
    for name, summary in summaries.items():
        groups = summary.get("groups", {})
        if len(groups) > 1:
            by_group = {f"{group} ({found['n_structures']})": found for group, found in groups.items()}
            parts.append(_error_table(f"{name}, by group", by_group))
    # Those of the fit are where the repulsion begins, or farther apart.
    parts += [text for name in sets if name != "train" for text in _too_close(name, sets[name])]
    found = uncertainties(evaluations, by_group=len(evaluations) == 1)
    return "\n\n".join([*parts, _uncertainty_table(found)] if found else parts)


def _too_close(name: str, evaluation: Evaluation) -> list[str]:
    """A line on structures whose atoms feel the core repulsion, which is not fitted, and errors without."""
    found = closer_than_fitted(evaluation)
    if not found:
        return []
    rows = np.setdiff1d(np.arange(len(evaluation.structures)), [close.row for close in found])
    errors = evaluation.take(rows).errors()
    others = ", ".join(
        f"{target} {errors[f'{target}_rmse']:.{DIGITS[target]}f} {UNITS[target]}"
        for target in DIGITS
        if f"{target}_rmse" in errors
    )
    row, pair, distance = min(found, key=lambda close: close.distance)
    text = (
        f"{name}: in {len(found)} of {len(evaluation.structures)} structures atoms are closer than any of "
        f"the fit, down to {distance:.2f} A ({'-'.join(pair)}, structure {row}), where the core repulsion "
        "acts"
    )
    text = with_places(text)
    if others:
        text += f"; RMSE without these: {others}"
    return [in_lines(text, indent="", keep_words=True)]


def _size_table(evaluations: Mapping[str, Evaluation]) -> str:
    names = {"energy": "energies", "force": "forces", "stress": "stresses"}
    sizes = {name: evaluation.n_labels for name, evaluation in evaluations.items()}
    present = [target for target in names if any(target in size for size in sizes.values())]
    rows = [["data", "structures", "atoms", *(names[target] for target in present)]]
    for name, evaluation in evaluations.items():
        row = [len(evaluation.n_atoms), evaluation.n_atoms.sum()]
        row += [sizes[name].get(target, 0) for target in present]
        rows.append([name, *(f"{size:,}" for size in row)])
    return table(rows)


def _error_table(title: str, found: Mapping[str, dict[str, Any]]) -> str:
    """Table of what `plip.metrics.errors` returns for each row."""
    present = [target for target in DIGITS if any(f"{target}_rmse" in row for row in found.values())]
    first: list[str | None] = [title]
    second = [""]
    for target in present:
        first += [f"{target} ({UNITS[target]})", None]
        second += ["RMSE", "MAE"]
    rows: Rows = [first, second]
    for name, row in found.items():
        cells = [
            f"{row[key]:.{DIGITS[target]}f}" if key in row else "-"
            for target in present
            for key in (f"{target}_rmse", f"{target}_mae")
        ]
        rows.append([name, *cells])
    return table(rows)


def _uncertainty_table(found: Mapping[str, dict[str, Any]]) -> str:
    """Table of what `Evaluation.uncertainty` returns for each row."""
    rows: Rows = [
        ["uncertainty", f"in {100 * LEVEL:.0f} % intervals (%)", None, "", "extrapolation", None],
        ["", "forces", "energies", "atoms", "above 1", "largest"],
    ]
    rows += [[name, *cells(row)] for name, row in found.items()]
    return table(rows)


def _terms_table(terms: Sequence[Term], coef: FloatArray) -> str:
    rows = [["terms", "offered", "kept"]]
    for kind in KINDS:
        kept = [coef[n] != 0 for n, term in enumerate(terms) if term.interaction == kind]
        if kept:
            rows.append([kind, f"{len(kept):,}", f"{sum(kept):,}"])
    rows.append(["all", f"{len(terms):,}", f"{np.count_nonzero(coef):,}"])
    return table(rows)


def _strongest_terms(strongest: list[tuple[float, float, Term]]) -> str:
    """Lines of (relative strength, coefficient, Term)."""
    if not strongest:
        return "no term was kept: the potential is the sum of its reference energies"
    lines = ["strongest terms: relative strength, coefficient, formula (r in A, energy in eV)"]
    for rank, (strength, coefficient, term) in enumerate(strongest, start=1):
        start = f"{rank:>3}  {strength:5.3f}  {coefficient:>11.4e}  "
        lines.append(in_lines(term.formula(), start, " " * len(start)))
    return "\n".join(lines)


def reference_energies(potential: Potential) -> str:
    """The energies of atoms without neighbors, and whether the data tell them."""
    energies = ", ".join(f"{symbol} {energy:.4f}" for symbol, energy in potential.intercept.items())
    lines = [in_lines(f"reference energies (eV): {energies}")]
    record, _ = readable_record(potential)
    if missing := record.get("data", {}).get("missing_atoms"):
        lines.append(
            in_lines(
                f"no isolated atoms of {', '.join(missing)} in the data: how strongly crystals and liquids "
                "are bound is extrapolated, often too weakly"
            )
        )
    return "\n".join(lines)


def _where_data_end(potential: Potential) -> str:
    """Where the core repulsion replaces the terms."""
    if potential.repulsion is None:
        return "no core repulsion: nothing keeps atoms apart where the data end"
    distances = ", ".join(f"{'-'.join(pair)} {outer:.2f}" for pair, (_, outer) in potential.repulsion.items())
    return in_lines(f"core repulsion below (A): {distances}")


def safety_text(record: Any) -> str:
    """What `SafetyReport.as_record` says; a ValueError says that a record is no such one."""
    head, *findings = lines_of(record)
    return "\n".join([in_lines(head), *(in_lines(finding, "  ", "    ") for finding in findings)])


def in_lines(text: str, start: str = "", indent: str = "  ", keep_words: bool = False) -> str:
    """A text in lines as wide as the terminal, within limits, or of most letters where there is none.

    Names of files and of pairs, which may have hyphens, stay whole on request.
    """
    columns = shutil.get_terminal_size((_WIDEST, 24)).columns
    width = min(max(columns, _NARROWEST), _WIDEST)
    return textwrap.fill(
        text,
        width,
        initial_indent=start,
        subsequent_indent=indent,
        break_long_words=not keep_words,
        break_on_hyphens=not keep_words,
    )


def table(rows: Rows) -> str:
    """Rows of cells as text, with the first column aligned to the left and the others to the right.

    The cell before a None spans both columns.
    """
    assert len({len(row) for row in rows}) == 1, "rows of a table have the same number of cells, None counts"
    widths = _column_widths(rows)
    lines = []
    for row in rows:
        cells = []
        for column, cell in enumerate(row):
            if cell is None:
                continue
            width = widths[column]
            if _spans_two(row, column):
                width += len(_GAP) + widths[column + 1]
            cells.append(cell.ljust(width) if column == 0 else cell.rjust(width))
        lines.append(_GAP.join(cells).rstrip())
    return "\n".join(lines)


def _column_widths(rows: Rows) -> list[int]:
    """Widths that hold every cell; cells that span two columns widen the first of them if need be."""
    columns = range(len(rows[0]))
    widths = [
        max(len(row[k]) for row in rows if row[k] is not None and not _spans_two(row, k)) for k in columns
    ]
    for row in rows:
        for k in columns:
            if _spans_two(row, k):
                missing = len(row[k]) - (widths[k] + len(_GAP) + widths[k + 1])
                widths[k] += max(0, missing)
    return widths


def _spans_two(row: list[Any], column: int) -> bool:
    return column + 1 < len(row) and row[column + 1] is None
