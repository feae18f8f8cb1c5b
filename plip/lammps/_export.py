"""Export of a potential to the pair styles table, eam/fs and meam/spline of LAMMPS.

The formats follow the manual of LAMMPS and, where it is silent, what the styles read.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from plip._core import ANY, core_repulsion, cutoff_function, switch_function
from plip._files import write_whole
from plip._types import FloatArray
from plip.interactions import Term
from plip.interactions._four_body import FourBody
from plip.interactions._n_body import NBody
from plip.interactions._terms import KINDS
from plip.interactions._three_body import ThreeBody
from plip.interactions._two_body import TwoBody
from plip.potential import Potential

__all__ = ["WRITERS", "Style", "WeightedTerms", "input_lines", "resolved_terms", "write_styles"]

# Knots of every table. Splines with as many agree with the potential to 1e-9 eV/Angstrom.
N_KNOTS = 10_000
# Angstrom; tables begin here, where some functions are already very large.
R_MIN = 0.2
# Knots of the powers of densities, which must be accurate far below the largest density too.
N_DENSITIES = 40_000
# Knots of the eam tables beyond the cutoff: LAMMPS takes differences over two knots on either side.
N_BEYOND = 5
# Atoms per cubic Angstrom up to which densities are tabulated (diamond has 0.176).
MAX_NUMBER_DENSITY = 0.3


Pair: TypeAlias = tuple[str, str]
WeightedTerms: TypeAlias = list[tuple[Term, float]]
# Coefficients by power, and such polynomials by the species of both arms.
Polynomial: TypeAlias = dict[int, float]
Angles: TypeAlias = dict[Pair, Polynomial]


class Style(NamedTuple):
    """A file and the pair style that reads it; `pair` are the species of a table, None for all species."""

    name: str
    path: Path
    pair: Pair | None = None


def write_styles(potential: Potential, folder: Path, species: list[str]) -> Path:
    """Write the files; see `plip.lammps.export`."""
    terms = resolved_terms(potential, species)
    folder.mkdir(parents=True, exist_ok=True)
    styles: list[Style] = []
    for kind, (write, _) in WRITERS.items():
        styles += write(potential, terms[kind], folder, species)
    with write_whole(folder / "pair.in") as file:
        file.write("\n".join(input_lines(styles, species)) + "\n")
    return folder / "pair.in"


def resolved_terms(potential: Potential, species: list[str]) -> dict[str, WeightedTerms]:
    """Terms of these species by interaction; a ValueError says what the styles cannot express."""
    terms: dict[str, WeightedTerms] = {kind: [] for kind in KINDS}
    for term, coefficient in potential.terms:
        for part, ways in _resolved(term, species):
            terms[part.interaction].append((part, ways * coefficient))
    _check_export(potential, terms, species)
    return terms


def _resolved(term: Term, species: list[str]) -> Iterator[tuple[Term, int]]:
    """A term in terms of single species, and how often each counts; nothing if it has other species.

    What no sum of such terms can be stays as it is: a density of neighbors of any species, and four-body
    terms, which have no style.
    """
    if ANY not in term.species or term.interaction == FourBody.kind:
        if set(term.species) <= {ANY, *species}:
            yield term, 1
        return
    *center, first, second = term.species if term.interaction != NBody.kind else (*term.species, "")
    centers: list[tuple[str, ...]] = [()]
    if center:
        centers = [(symbol,) for symbol in species if center[0] in (ANY, symbol)]
    if term.interaction == NBody.kind:
        for own in centers if first in (ANY, *species) else ():
            yield replace(term, species=(*own, first)), 1
        return
    for own, pair in itertools.product(centers, itertools.combinations_with_replacement(sorted(species), 2)):
        orders = [pair] if first == second else [pair, pair[::-1]]
        ways = sum(first in (ANY, s) and second in (ANY, t) for s, t in orders)
        if ways:
            yield replace(term, species=(*own, *pair)), ways


def input_lines(styles: list[Style], species: list[str]) -> list[str]:
    """Lines of the input of LAMMPS that combine all styles."""
    names = [style.name for style in styles]
    used = [f"table spline {N_KNOTS}"] * ("table" in names) + [name for name in names if name != "table"]
    lines = [
        f"# Written by plip for LAMMPS (units metal); atom types: {' '.join(species)}",
        "# No limits of dense surroundings, as pair_style plip has: stay near the densities of the data",
        "pair_style hybrid/overlay " + " ".join(used),
        "pair_modify neigh/trim no",
    ]
    count = dict.fromkeys(names, 0)
    for name, path, pair in styles:
        count[name] += 1
        if pair is not None:
            types = sorted(species.index(symbol) + 1 for symbol in pair)
            lines.append(f'pair_coeff {types[0]} {types[1]} table "{path}" {"-".join(pair)}')
        else:
            number = f" {count[name]}" if names.count(name) > 1 else ""
            lines.append(f'pair_coeff * * {name}{number} "{path}" {" ".join(species)}')
    return lines


def _check_export(potential: Potential, terms: dict[str, WeightedTerms], species: list[str]) -> None:
    if not species or len(set(species)) < len(species) or not set(species) <= set(potential.species):
        raise ValueError(
            f"species must name some of {', '.join(potential.species)}, each once (meam/spline allows one "
            f"atom type per element), got {' '.join(species) or 'none'}"
        )
    refused = []
    for kind, members in terms.items():
        writer = WRITERS.get(kind)
        refused += [term.name for term, _ in members if writer is None or not writer[1](term)]
    if refused:
        shown = "; ".join(refused[:3]) + (f" and {len(refused) - 3} more" if len(refused) > 3 else "")
        raise ValueError(
            f"LAMMPS has no stock style for {len(refused)} of the terms: {shown}. Use pair_style plip "
            "(plip lammps build), or fit with the preset 'stock' (plip fit --target stock), which has no "
            "four-body terms, mixed three-body functions or densities that change their sign"
        )


def _values(term: Term, r: FloatArray) -> tuple[FloatArray, FloatArray]:
    """g(r) of the first arm of a term and its derivative; the cosine cutoff goes on beyond its end."""
    phi, slope = term.radial[0].evaluate(r)
    beyond = r > term.cutoff
    cut, cut_slope, _ = cutoff_function(term.cutoff, np.where(beyond, 2.0 * term.cutoff - r, r))
    cut_slope = np.where(beyond, -cut_slope, cut_slope)
    value, derivative = phi * cut, slope * cut + phi * cut_slope
    if term.switch is not None:
        switch, switch_slope, _ = switch_function(term.switch, r)
        value, derivative = value * switch, derivative * switch + value * switch_slope
    return value, derivative


def _faded_values(
    potential: Potential, term: Term, pair: tuple[str, ...], r: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The same as the core repulsion of the potential changes it for a pair of species."""
    first, second = sorted(pair)
    fade = (potential.repulsion or {}).get((first, second))
    if fade is None:
        return _values(term, r)
    _, factor, reach = core_repulsion((first, second), fade, r)
    value, derivative = _values(term, reach[:, 0])
    return factor[:, 0] * value, factor[:, 1] * value + factor[:, 0] * derivative * reach[:, 1]


def _write_tables(
    potential: Potential, terms: WeightedTerms, folder: Path, species: list[str]
) -> list[Style]:
    """Two-body terms and core repulsion: one section of a table file per pair of species."""
    pairs: dict[Pair, WeightedTerms] = {
        pair: [] for pair in potential.repulsion or {} if set(pair) <= set(species)
    }
    for term, w in terms:
        first, second = term.species
        pairs.setdefault((first, second), []).append((term, w))
    path = folder / "pairs.table"
    if pairs:
        lines = [line for pair, members in pairs.items() for line in _table(potential, pair, members)]
        with write_whole(path) as file:
            file.write("# two-body part of a plip potential, UNITS: metal\n\n" + "\n".join(lines))
    return [Style("table", path, pair) for pair in pairs]


def _table(potential: Potential, pair: Pair, terms: WeightedTerms) -> list[str]:
    """Lines of the section of one pair of species."""
    fade = (potential.repulsion or {}).get(pair)
    outer = 0.0 if fade is None else fade[1]
    cutoff = max([outer, *(term.cutoff for term, _ in terms)])
    r = np.linspace(R_MIN, cutoff, N_KNOTS)
    energy, force = np.zeros(N_KNOTS), np.zeros(N_KNOTS)
    if fade is not None:
        core = core_repulsion(pair, fade, r, (potential.core_forces or {}).get(pair, 0.0))[0]
        energy += np.where(r < outer, core[:, 0], 0.0)
        force -= np.where(r < outer, core[:, 1], 0.0)
    for term, w in terms:
        value, slope = _faded_values(potential, term, pair, r)
        inside = r <= term.cutoff
        energy += w * np.where(inside, value, 0.0)
        force -= w * np.where(inside, slope, 0.0)
    # The cubic splines of LAMMPS take the slope of the force at both ends.
    first, last = _end_slopes(force, r[1] - r[0])
    knots = [f"{k + 1} {x!r} {e!r} {f!r}" for k, (x, e, f) in enumerate(_plain(r, energy, force))]
    return ["-".join(pair), f"N {N_KNOTS} R {R_MIN!r} {cutoff!r} FPRIME {first!r} {last!r}", "", *knots, ""]


def _write_embeddings(
    potential: Potential, terms: WeightedTerms, folder: Path, species: list[str]
) -> list[Style]:
    """N-body terms: an eam/fs file takes one density of each center; the first has the reference energies."""
    densities: dict[tuple[object, ...], tuple[Term, Polynomial]] = {}
    for term, w in terms:
        assert isinstance(term.power, int)
        key = (term.cutoff, term.species, term.radial[0].label(), term.switch)
        _, polynomial = densities.setdefault(key, (term, {}))
        polynomial[term.power] = polynomial.get(term.power, 0.0) + w
    files: list[tuple[float, dict[str, tuple[Term, Polynomial]]]] = []
    for term, polynomial in densities.values():
        center = term.species[0]
        for cutoff, content in files:
            if cutoff == term.cutoff and center not in content:
                content[center] = (term, polynomial)
                break
        else:
            files.append((term.cutoff, {center: (term, polynomial)}))
    if not files:
        files.append((1.0, {}))
    styles = []
    for number, (cutoff, content) in enumerate(files, 1):
        path = folder / f"density_{number}.eam.fs"
        _write_embedding(potential, path, cutoff, content, species, is_first=number == 1)
        styles.append(Style("eam/fs", path))
    return styles


def _write_embedding(
    potential: Potential,
    path: Path,
    cutoff: float,
    content: dict[str, tuple[Term, Polynomial]],
    species: list[str],
    is_first: bool,
) -> None:
    step = cutoff / (N_KNOTS - 1)
    r = step * np.arange(N_KNOTS + N_BEYOND)
    tables: dict[Pair, FloatArray] = {}
    largest = 0.0
    for center, (term, _) in content.items():
        for neighbor in species if term.species[1] == ANY else term.species[1:]:
            value, _ = _faded_values(potential, term, (center, neighbor), np.maximum(r, R_MIN))
            tables[center, neighbor] = value
            reached = float(np.sum(4.0 * np.pi * r**2 * np.abs(value)) * step * MAX_NUMBER_DENSITY)
            largest = max(largest, reached)
    density_step = (largest or 1.0) / (N_DENSITIES - 1)
    density = density_step * np.arange(N_DENSITIES)
    lines = [
        "# N-body part of a plip potential, UNITS: metal",
        "# powers of densities",
        "#",
        f"{len(species)} {' '.join(species)}",
        f"{N_DENSITIES} {density_step!r} {r.size} {step!r} {cutoff!r}",
    ]
    for neighbor in species:
        # For each element LAMMPS lists the density that it makes at atoms of all elements.
        number = atomic_numbers[neighbor]
        lines.append(f"{number} {float(atomic_masses[number])!r} 1.0 none")
        energy = np.full(N_DENSITIES, potential.intercept[neighbor] if is_first else 0.0)
        for power, w in content[neighbor][1].items() if neighbor in content else ():
            energy += w * density**power
        lines += _plain_lines(energy)
        for center in species:
            lines += _plain_lines(tables.get((center, neighbor), np.zeros(r.size)))
    for _ in range(len(species) * (len(species) + 1) // 2):
        lines += _plain_lines(np.zeros(r.size))
    with write_whole(path) as file:
        file.write("\n".join(lines) + "\n")


def _write_splines(
    potential: Potential, terms: WeightedTerms, folder: Path, species: list[str]
) -> list[Style]:
    """Three-body terms: a meam/spline file per center and radial function.

    In the formula of the style, U(n) = n, f is the radial function, and g the polynomial of the cosine.
    """
    groups: dict[tuple[object, ...], tuple[Term, Angles]] = {}
    for term, w in terms:
        assert isinstance(term.power, int)
        center, first, second = term.species
        key = (term.cutoff, center, term.radial[0].label())
        _, angles = groups.setdefault(key, (term, {}))
        polynomial = angles.setdefault((first, second), {})
        polynomial[term.power] = polynomial.get(term.power, 0.0) + w
    styles: list[Style] = []
    for term, angles in groups.values():
        for content in _without_collisions(angles, species):
            path = folder / f"angles_{len(styles) + 1}.meam.spline"
            _write_spline(potential, path, term, content, species)
            styles.append(Style("meam/spline", path))
    return styles


def _slots(first: int, second: int, n_species: int) -> set[int]:
    """Where meam/spline looks for the angular function of two neighbors, given by numbers from 0.

    Its formula is meant for sorted numbers, but LAMMPS passes the neighbors in any order.
    """
    return {
        j + i * n_species - i * (i + 1) // 2
        for i, j in ((first, second), (second, first), (min(first, second), max(first, second)))
    }


def _slot_table(angles: Angles, species: list[str]) -> dict[int, Pair] | None:
    """Arms by slot; None if two different pairs of arms share a slot."""
    present = {symbol for arms in angles for symbol in arms}
    table: dict[int, Pair] = {}
    for first in present:
        for second in present:
            arms = (first, second) if first < second else (second, first)
            for slot in _slots(species.index(first), species.index(second), len(species)):
                if table.setdefault(slot, arms) != arms:
                    return None
    return table


def _without_collisions(angles: Angles, species: list[str]) -> list[Angles]:
    """Split the pairs of arms of one function over files in which each slot has one meaning."""
    if _slot_table(angles, species) is not None:
        return [angles]
    return [{arms: powers} for arms, powers in angles.items()]


def _write_spline(potential: Potential, path: Path, term: Term, angles: Angles, species: list[str]) -> None:
    n = len(species)
    slots = _slot_table(angles, species) or {}
    present = {symbol for arms in angles for symbol in arms}
    r = np.linspace(R_MIN, term.cutoff, N_KNOTS)
    cosine = np.linspace(-1.0, 1.0, N_KNOTS)
    zero = _spline(np.array([0.0, 1.0]), np.zeros(2), 0.0, 0.0)
    identity = _spline(np.array([0.0, 1.0]), np.array([0.0, 1.0]), 1.0, 1.0)
    lines = ["# three-body part of a plip potential, UNITS: metal", f"meam/spline {n} {' '.join(species)}"]
    for _ in range(n * (n + 1) // 2 + n):  # pair functions and densities
        lines += zero
    for symbol in species:
        lines += identity if symbol == term.species[0] else zero
    for symbol in species:
        lines += _radial_spline(potential, term, symbol, r) if symbol in present else zero
    for slot in range(n * (n + 1) // 2):
        powers = angles.get(slots[slot], {}) if slot in slots else {}
        polynomial = np.polynomial.Polynomial([powers.get(m, 0.0) for m in range(max(powers, default=0) + 1)])
        slope = polynomial.deriv()
        lines += _spline(cosine, polynomial(cosine), slope(-1.0), slope(1.0)) if powers else zero
    with write_whole(path) as file:
        file.write("\n".join(lines) + "\n")


def _radial_spline(potential: Potential, term: Term, neighbor: str, r: FloatArray) -> list[str]:
    """The radial function of a three-body term for neighbors of one species."""
    value, slope = _faded_values(potential, term, (term.species[0], neighbor), r)
    # The rounding error of the cosine would go on beyond the cutoff.
    value[-1] = 0.0
    return _spline(r, value, slope[0], 0.0)


def _spline(x: FloatArray, y: FloatArray, first: float, last: float) -> list[str]:
    """Lines of one clamped cubic spline."""
    knots = [f"{a!r} {b!r} 0" for a, b in _plain(x, y)]
    return ["spline3eq", str(x.size), f"{float(first)!r} {float(last)!r}", *knots]


def _end_slopes(values: FloatArray, step: float) -> tuple[float, float]:
    """One-sided derivatives at both ends, of fourth order."""
    weights = np.array([-25.0, 48.0, -36.0, 16.0, -3.0]) / (12.0 * step)
    return float(weights @ values[:5]), float(-weights @ values[:-6:-1])


def _plain(*arrays: FloatArray) -> Iterator[tuple[float, ...]]:
    return zip(*(array.tolist() for array in arrays), strict=True)


def _plain_lines(array: FloatArray) -> list[str]:
    return [repr(value) for value in array.tolist()]


def _is_density(term: Term) -> bool:
    """Whether eam/fs can take the term: cubic splines are no root, and densities must not be negative."""
    if term.power == NBody.root:
        return False
    r = np.linspace(R_MIN, term.cutoff, 1000)
    return not (term.radial[0].evaluate(r)[0] < 0).any()


# What writes the terms of an interaction, and whether the style can express a term. Other interactions have
# no stock style.
Writer: TypeAlias = Callable[[Potential, WeightedTerms, Path, list[str]], list[Style]]
WRITERS: dict[str, tuple[Writer, Callable[[Term], bool]]] = {
    TwoBody.kind: (_write_tables, lambda term: True),
    NBody.kind: (_write_embeddings, _is_density),
    ThreeBody.kind: (_write_splines, lambda term: term.radial[0] == term.radial[1]),
}
