"""What is in a file of a potential, for a terminal."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from plip._types import FloatArray
from plip.interactions._terms import KINDS
from plip.potential import Potential
from plip.potential._models import as_potential
from plip.report._record import readable_record
from plip.report._text import in_lines, reference_energies, safety_text, table

__all__ = ["PAIRS", "first_distance", "potential_summary"]

# Columns and rows of a plot, and pairs and angles that are plotted.
_COLUMNS, _ROWS = 60, 8
PAIRS = 6
_MOST_ANGLES = 3
# eV: curves without features are not plotted, and wells without depth are none.
_FLAT = 1e-4
# What a formula may hold, and what that means.
_NOTATION = {
    " fc(": "fc(r; c) is (1 + cos(pi r / c)) / 2 for r < c, else 0",
    " fs(": "fs(r; a, b) is 6u^5 - 15u^4 + 10u^3 with u = (r - a) / (b - a), 0 below a and 1 beyond b",
    " i and neighbors": "neighbors j, k: two different ones, each pair once",
    " ordered neighbors": "ordered neighbors j, k: two different ones, each pair in both orders",
    " all neighbors": "all neighbors j, k, m: in any order, and also the same one twice or three times",
}
# Factors to eV/atom, eV/Angstrom and eV/atom of the errors in a record, as they are shown.
_ERRORS = {"energy": (1e3, "meV/atom", 2), "force": (1.0, "eV/A", 4), "virial": (1.0, "eV/atom", 4)}


def potential_summary(potential: Potential, n_terms: int = 10) -> str:
    """Species, distances, errors, functions and terms of a potential as text.

    Parameters
    ----------
    potential : Potential, or a fitted estimator
    n_terms : int, default=10
        How many terms to show: those with the largest coefficients of each kind in turn, in their order.

    Returns
    -------
    str
        ASCII, at most 100 columns. Energies are in eV, distances in Angstrom, angles in degrees.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from plip.report import potential_summary
    >>> print(potential_summary(model.potential_).splitlines()[0])
    potential of C, Si: 20 terms (...), cutoff 4.3 A
    """
    potential = as_potential(potential)
    record, damaged = readable_record(potential)
    parts = [
        _head(potential),
        _about(potential),
        _distances(potential, record.get("data", {})),
        _limits(potential),
        _data(record.get("data", {})),
    ]
    if damaged:
        text = f"damaged in the file, and left out: {', '.join(damaged)}"
        parts.append(in_lines(text))
    parts.append(_uncertainty(potential))
    parts += [_errors(record.get("errors", {})), _safety(record), _settings(record.get("settings", {}))]
    parts += _pair_plots(potential) + _angle_plots(potential) + [_terms(potential, n_terms)]
    return "\n\n".join(part for part in parts if part)


def _count(number: int, name: str) -> str:
    """Such as "1 term" or "1,200 terms"."""
    return f"{number:,} {name}{'s' * (number != 1)}"


def _head(potential: Potential) -> str:
    kinds = Counter(term.interaction for term, _ in potential.terms)
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind]) or "none"
    species, number = ", ".join(potential.species), _count(len(potential.terms), "term")
    head = f"potential of {species}: {number} ({counts}), cutoff {potential.cutoff:g} A"
    return "\n".join([in_lines(head), reference_energies(potential)])


def _about(potential: Potential) -> str:
    about = potential.about or {}
    texts = {name: ", ".join(text) if name == "authors" else text for name, text in about.items()}
    return "\n".join(in_lines(f"{name}: {text}") for name, text in texts.items())


def _distances(potential: Potential, data: Mapping[str, Any]) -> str:
    """Where the potential knows of data, and where the core repulsion begins, by pair."""
    shortest, analogs = data.get("shortest_distances", {}), data.get("analogs", {})
    repulsion = {"-".join(pair): distances for pair, distances in (potential.repulsion or {}).items()}
    forces = {"-".join(pair): f"{force:g}" for pair, force in (potential.core_forces or {}).items()}
    rows = [["valid distances (A)", "from", "to", "repulsion below", "no terms below", "force (eV/A)"]]
    for pair in map("-".join, itertools.combinations_with_replacement(potential.species, 2)):
        start = f"{shortest[pair]:.3f}" if pair in shortest else "-"
        inner, outer = [f"{distance:g}" for distance in repulsion.get(pair, ())] or ["-", "-"]
        rows.append([pair, start, f"{potential.cutoff:g}", outer, inner, forces.get(pair, "-")])
    lines = [table(rows)]
    for pair in data.get("missing_pairs", ()):
        analog = analogs.get(pair)
        like = f"; it is taken to be like {analog}" if analog else ""
        lines.append(in_lines(f"no training structure has the pair {pair} within the cutoff{like}"))
    if "isolated_pairs" in data:
        pairs = map("-".join, itertools.combinations_with_replacement(potential.species, 2))
        if dense := [pair for pair in pairs if pair not in data["isolated_pairs"]]:
            text = f"no isolated pairs in the data: the energies of {', '.join(dense)} below are extrapolated"
            lines.append(in_lines(text, indent="", keep_words=True))
    if data.get("missing_combinations"):
        text = f"no training structure holds {', '.join(data['missing_combinations'])} together"
        lines.append(in_lines(text))
    return "\n".join(lines)


def _limits(potential: Potential) -> str:
    """Which surroundings are beyond the data, by species."""
    limits, floors = potential.density_limits or {}, potential.energy_floors or {}
    rows = [["limits of an atom", "density", "within (A)", "least energy less reference (eV)"]]
    for symbol in potential.species:
        if symbol in limits or symbol in floors:
            reach, density = [f"{x:.5g}" for x in limits.get(symbol, ())] or ["-", "-"]
            floor = f"{floors[symbol]:.5g}" if symbol in floors else "-"
            rows.append([symbol, density, reach, floor])
    return table(rows) if len(rows) > 1 else ""


def _data(data: Mapping[str, Any]) -> str:
    if not data:
        return "the file says nothing of the data it was fitted to (written by hand or by an older plip)"
    names = {"energy": "energies", "force": "force components", "virial": "stress components"}
    labels = ", ".join(f"{n:,} {names.get(name, name)}" for name, n in data.get("n_labels", {}).items())
    lines = []
    if "n_structures" in data:
        text = f"fitted to {_count(data['n_structures'], 'structure')}" + (f": {labels}" if labels else "")
        lines.append(in_lines(text))
    if "volume_per_atom" in data:
        low, high = data["volume_per_atom"]
        lines.append(f"volumes of crystals and melts: {low:.2f} to {high:.2f} A^3/atom")
    if data.get("hash"):
        lines.append(in_lines(f"hash of the data: {data['hash']}", keep_words=True))
    return "\n".join(lines)


def _uncertainty(potential: Potential) -> str:
    """Whether the file has it, and where grades of extrapolation reach 1."""
    known = potential.uncertainty
    if known is None:
        return (
            "uncertainty: not in the file (plip fit --uncertainty, or save(path, uncertainty=True), keeps it)"
        )
    n_atoms = sum(len(references.points) for references in known.of_atoms.values())
    limits = ", ".join(f"{symbol} {limit:.3g}" for symbol, limit in known.leverage_limits.items())
    return in_lines(
        f"uncertainty: standard deviations by the errors of {n_atoms:,} atoms and "
        f"{len(known.of_structures.points):,} structures; extrapolation grades by a largest leverage of "
        f"{limits}"
    )


def _errors(errors: Mapping[str, Mapping[str, float | None]]) -> str:
    present = [t for t in _ERRORS if any(found.get(f"{t}_rmse") is not None for found in errors.values())]
    if not present:
        return ""
    rows = [["errors, RMSE", *(f"{target} ({_ERRORS[target][1]})" for target in present)]]
    for name, found in errors.items():
        cells = []
        for target in present:
            factor, _, digits = _ERRORS[target]
            value = found.get(f"{target}_rmse")
            cells.append("-" if value is None else f"{factor * value:.{digits}f}")
        rows.append([name, *cells])
    return table(rows)


def _safety(record: Mapping[str, Any]) -> str:
    """What the check after the fit found."""
    if "safety" not in record:
        return "Safety: not checked (plip fit does so, and Potential.check_safety)"
    try:
        return safety_text(record["safety"])
    except ValueError:
        return "Safety: what the file says of it is damaged (Potential.check_safety makes the check)"


def _settings(settings: Mapping[str, Any]) -> str:
    if not settings:
        return ""
    text = ", ".join(f"{name}={value}" for name, value in settings.items() if name != "estimator")
    head = f"settings of {settings.get('estimator', 'the fit')}: "
    return in_lines(head + text)


def first_distance(potential: Potential, pair: tuple[str, str]) -> float:
    """Where a plot of a pair begins, in Angstrom: a little below the data."""
    first, second = sorted(pair)
    known = (potential.repulsion or {}).get((first, second))
    return 0.3 * potential.cutoff if known is None else 0.95 * known[1]


def _pair_plots(potential: Potential) -> list[str]:
    """A plot of each of the first pairs."""
    plots = []
    pairs = list(itertools.combinations_with_replacement(potential.species, 2))
    for pair in pairs[:PAIRS]:
        r = np.linspace(first_distance(potential, pair), potential.cutoff, 400)
        energies = potential.pair_energy(r, pair)
        low = int(np.argmin(energies))
        is_bound = energies[low] < -_FLAT
        depth = f"least {energies[low]:.3f} eV at {r[low]:.2f} A" if is_bound else "no binding"
        # A wall would flatten the rest.
        top = max(1.5 * -float(energies[low]), 0.1)
        plots.append(_plot(f"pair {'-'.join(pair)}, {depth}", r, np.minimum(energies, top), "A"))
    if len(pairs) > PAIRS:
        plots.append(f"{len(pairs) - PAIRS} more pairs are not shown (Potential.pair_energy has them all)")
    return plots


def _angle_plots(potential: Potential) -> list[str]:
    """A plot of each of the triplets that angles change most; their arms are those of the lowest pairs."""
    species, angles = potential.species, np.linspace(50.0, 180.0, 200)
    lowest = {(s, t): _lowest(potential, (s, t)) for s in species for t in species}
    found = []
    for center in species:
        for ends in itertools.combinations_with_replacement(species, 2):
            arms = [lowest[center, end] for end in ends]
            energies = potential.triplet_energy(arms[0], arms[1], angles, (center, *ends))
            if np.ptp(energies) > _FLAT:
                title = f"angle {ends[0]}-{center}-{ends[1]}, arms of {arms[0]:.2f} and {arms[1]:.2f} A, "
                found.append((title + "less its pairs", energies))
    found.sort(key=lambda one: -float(np.ptp(one[1])))
    plots = [_plot(title, angles, energies, "degrees") for title, energies in found[:_MOST_ANGLES]]
    if len(found) > _MOST_ANGLES:
        number = len(found) - _MOST_ANGLES
        plots.append(f"{number} more angles are not shown (Potential.triplet_energy has them all)")
    return plots


def _lowest(potential: Potential, pair: tuple[str, str]) -> float:
    """Distance in Angstrom where the energy of a pair is least, within 0.9 of the cutoff."""
    r = np.linspace(first_distance(potential, pair), 0.9 * potential.cutoff, 400)
    return float(r[np.argmin(potential.pair_energy(r, pair))])


def _plot(title: str, x: FloatArray, y: FloatArray, unit: str) -> str:
    """A curve in characters; ' and . are the upper and the lower half of a cell."""
    low, high = float(y.min()), float(y.max())
    span = (high - low) or 1.0
    grid = [[" "] * _COLUMNS for _ in range(_ROWS)]
    if low <= 0.0 <= high:
        row = min(int((high - 0.0) / span * _ROWS), _ROWS - 1)
        grid[row] = ["-"] * _COLUMNS
    values = np.interp(np.linspace(x[0], x[-1], _COLUMNS), x, y)
    halves = np.minimum(((high - values) / span * 2 * _ROWS).astype(int), 2 * _ROWS - 1)
    for column, half in enumerate(halves.tolist()):
        grid[half // 2][column] = "." if half % 2 else "'"
    digits = max(2, 1 - math.floor(math.log10(span)))
    # Sums with 0.0 have no minus sign where they are zero.
    labels = {row: f"{round(y, digits) + 0.0:.{digits}f}" for row, y in ((0, high), (_ROWS - 1, low))}
    lines = [f"{labels.get(row, ''):>9} |{''.join(cells)}".rstrip() for row, cells in enumerate(grid)]
    axis = f"{x[0]:.2f}".ljust(_COLUMNS - 12) + f"{x[-1]:.2f} {unit}"
    return "\n".join([f"{title}: energy (eV)", *lines, " " * 11 + axis])


def _terms(potential: Potential, n_terms: int) -> str:
    """The terms with the largest coefficients of each kind in turn."""
    if not potential.terms:
        return "no terms: the potential is the sum of its reference energies"
    kinds: dict[str, list[int]] = {}
    for n in np.argsort(-np.abs(potential.coef), kind="stable").tolist():
        kinds.setdefault(potential.terms[n][0].interaction, []).append(n)
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*kinds.values()))
    shown = sorted([n for n in in_turn if n is not None][:n_terms])
    lines = [f"terms ({len(shown)} of {len(potential.terms)}): coefficient, formula (r in A, energy in eV)"]
    for n in shown:
        term, coefficient = potential.terms[n]
        start = f"{coefficient:>12.4e}  "
        lines.append(in_lines(term.formula(), start, " " * len(start)))
    formulas = [potential.terms[n][0].formula() for n in shown]
    lines += [text for part, text in _NOTATION.items() if any(part in formula for formula in formulas)]
    return "\n".join(lines)
