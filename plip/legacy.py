"""Potentials of the published PLIP program: its settings and coefficients as a `Potential`.

The published program (Benoit et al., Mach. Learn.: Sci. Technol. 2, 025003 (2021); 0.1 to 0.3.5) keeps a
potential in two text files, the settings ``input.txt`` and coefficients such as ``Coeff1e-06_1.txt``.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from plip._core import check_terms, is_element
from plip._types import StrPath
from plip._warnings import warn
from plip.interactions import Term
from plip.interactions._n_body import NBody
from plip.interactions._three_body import ThreeBody
from plip.interactions._two_body import TwoBody
from plip.potential import Potential
from plip.radial import (
    Gaussian,
    GaussianType,
    LogNormal,
    Lorentzian,
    Power,
    RadialFamily,
    Slater,
    StillingerWeber,
)

__all__ = ["load_legacy"]

# Lines of the settings above the functions.
N_HEAD = 11
# The published program takes smaller coefficients for zero.
SMALLEST = 1e-10
# The published Stillinger-Weber function is zero up to this distance beyond its onset, in Angstrom.
ONSET_GAP = 0.1
# The last digit that the published program prints of forces of 0.1 to 1 eV/Angstrom.
LAST_DIGIT = 1e-6
# The least power of a density.
FIRST_POWER = 4

# Species of the blocks of columns; 0 is A, 1 is B. Three-body: center, arms; N-body: center, neighbor.
PAIRS = ((0, 0), (1, 1), (0, 1))
TRIPLETS = ((0, 0, 0), (1, 1, 1), (0, 1, 1), (0, 0, 1), (1, 0, 0), (1, 1, 0))
DENSITIES = ((0, 0), (0, 1), (1, 1), (1, 0))


class Functions(NamedTuple):
    """A line of the settings: a family with its grid, and the interactions that it is in."""

    line: int
    nature: int
    first: list[float]
    second: list[float]
    has_pairs: bool
    max_cosine: int
    max_density: int


class Settings(NamedTuple):
    """`short` has the shortest distances of A-A, B-B and A-B, in the order of `PAIRS`."""

    species: list[str]
    cutoff: float
    short: tuple[float, ...]
    functions: list[Functions]


class Column(NamedTuple):
    """A function, (nature, a, b), in an interaction; `species` by number."""

    line: int
    function: tuple[int, float, float]
    interaction: str
    species: tuple[int, ...]
    power: int | None


def load_legacy(settings: StrPath, coefficients: StrPath, species: Sequence[str]) -> Potential:
    """Read a potential of the published PLIP program.

    Parameters
    ----------
    settings : str or path-like
        The settings of that program, ``input.txt``.
    coefficients : str or path-like
        Its coefficients, such as ``Coeff1e-06_1.txt``.
    species : sequence of str
        Chemical symbols of its species A and B, in this order, or of A alone. Where the first line of the
        settings names them, as the last versions of that program demand, both must agree.

    Returns
    -------
    Potential
        Reference energies are zero, since that program fits forces alone. There are no limits of the data:
        the terms alone hold at any distance.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If the files are damaged or do not belong together, if the settings name other species, or if a
        function with a coefficient cannot be expressed: Lennard-Jones, which that program does not cut off;
        powers whose forces there are not the derivatives of their energies; exponents of Lorentzians that
        are not even.

    Warns
    -----
    UserWarning
        If there are Stillinger-Weber functions that differ by more than 1e-6 eV/Angstrom for a pair, since
        those of that program jump to zero 0.1 Angstrom beyond their onset.

    Notes
    -----
    Energies and forces are those of the columns that the program was fitted to, whose orbital functions,
    r^p exp(-q r) and r^p exp(-q r^2), are divided by their value at 2 Angstrom. The tables that it writes for
    N-body terms in LAMMPS lack this division. That program knows only the nearest image of each atom; here
    every image within the cutoff counts.

    Examples
    --------
    >>> from plip.legacy import load_legacy
    >>> potential = load_legacy("input.txt", "Coeff1e-06_1.txt", ["Si", "O"])  # doctest: +SKIP
    """
    symbols = _check_species(species)
    read = _read_settings(settings)
    if read.species and read.species[: len(symbols)] != symbols:
        raise ValueError(
            f"{os.fspath(settings)}, line 1: the species are {read.species}, got {symbols}; give them in "
            "this order"
        )
    columns = list(_columns(read))
    weights = _read_coefficients(coefficients)
    if len(weights) != len(columns):
        raise ValueError(
            f"{os.fspath(coefficients)}: {len(weights)} coefficients, but {os.fspath(settings)} has "
            f"{len(columns)} columns; give the settings of the same fit, with only its functions included"
        )
    terms: dict[Term, float] = {}
    for column, weight in zip(columns, weights, strict=True):
        if abs(weight) <= SMALLEST:
            continue
        if max(column.species) >= len(symbols):
            raise ValueError(
                f"{os.fspath(coefficients)}: it has coefficients of two species; give the symbols of A and B"
            )
        try:
            term, scale = _term(column, read, symbols)
            check_terms(tuple(sorted(symbols)), [(term, weight)])
        except ValueError as error:
            raise ValueError(f"{os.fspath(settings)}, line {column.line}: {error}") from error
        # Powers have one parameter, so that columns of different second parameters are equal.
        terms[term] = terms.get(term, 0.0) + scale * weight
    _warn_of_jumps(terms)
    return Potential(_Fitted(list(terms), sorted(symbols)), list(terms.values()), dict.fromkeys(symbols, 0.0))


@dataclass
class _Fitted:
    """What `Potential` reads of descriptors."""

    terms_: Sequence[Term]
    species_: Sequence[str]


def _check_species(species: Sequence[str]) -> list[str]:
    symbols = [species] if isinstance(species, str) else list(species)
    if not 1 <= len(symbols) <= 2 or len(set(symbols)) < len(symbols) or not all(map(is_element, symbols)):
        raise ValueError(f"species must be one or two chemical symbols, those of A and B, got {species!r}")
    return symbols


def _read_settings(path: StrPath) -> Settings:
    """Line 1 may have species, line 2 has lengths after words such as ``Rcut=``, line 12 the first family."""
    name = os.fspath(path)
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().split("\n")
    named = lines[0].split()[1:]
    words = lines[1].split() if len(lines) > 1 else []
    lengths = [_number(words[n]) for n in (1, 5, 7, 9) if n < len(words)]
    if len(lengths) < 4 or not min(lengths) >= 0 or lengths[0] == 0 or not words[0].startswith("Rcut"):
        raise ValueError(
            f"{name}, line 2: expected 'Rcut= 6 |DUMP= FOLDER |RAA= 2.1 |RBB= 2.3 |RAB= 2.4', in Angstrom; "
            "give the input.txt of the published program"
        )
    functions: list[Functions] = []
    for number, line in enumerate(lines[N_HEAD:], start=N_HEAD + 1):
        if line.strip():
            functions += _read_functions(f"{name}, line {number}", number, line)
    natures = [row.nature for row in functions]
    if not natures or natures != sorted(set(natures)):
        raise ValueError(
            f"{name}: expected families from line {N_HEAD + 1} on, each once and by rising number, got "
            f"{natures}; in any other order the program mixes up its columns"
        )
    species = named if all(map(is_element, named)) else []
    return Settings(species, lengths[0], tuple(lengths[1:]), functions)


def _number(word: str) -> float:
    """A finite number, or NaN."""
    try:
        value = float(word)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _read_functions(place: str, line: int, text: str) -> list[Functions]:
    """One line, ``| nature | included | min max step | min max step | 2B | 3B | NB |``, if included."""
    numbers = [_number(word) for word in text.replace("|", " ").split()]
    if len(numbers) >= 2 and numbers[1] == 0:
        return []
    integers = (*numbers[:2], *numbers[8:])
    if len(numbers) != 11 or any(map(math.isnan, numbers)) or not all(map(float.is_integer, integers)):
        raise ValueError(
            f"{place}: expected '| family | included | min max step | min max step | 2B | 3B | NB |', "
            f"got {text.strip()!r}"
        )
    nature, _, *grids, pairs, cosine, density = numbers
    if not min(grids[2], grids[5]) > 0 or min(cosine, density) < 0:
        raise ValueError(f"{place}: steps must be positive, and the last three numbers not negative")
    first, second = _grid(*grids[:3]), _grid(*grids[3:])
    return [Functions(line, int(nature), first, second, pairs == 1, int(cosine), int(density))]


def _grid(start: float, end: float, step: float) -> list[float]:
    """Repeated sums below end + step, as that program makes them: rounding may add a value beyond the end."""
    values = []
    while start < end + step:
        values.append(start)
        start += step
    return values


def _columns(settings: Settings) -> Iterator[Column]:
    """The columns in the order of the coefficients."""
    for row in settings.functions:
        grid = [(row.nature, a, b) for a, b in itertools.product(row.first, row.second)]
        if row.has_pairs:
            for pair, function in itertools.product(PAIRS, grid):
                yield Column(row.line, function, TwoBody.kind, pair, None)
        if row.max_cosine:
            for triplet, function, power in itertools.product(TRIPLETS, grid, range(row.max_cosine + 1)):
                yield Column(row.line, function, ThreeBody.kind, triplet, power)
        powers = range(FIRST_POWER, row.max_density + 1)
        for density, power, function in itertools.product(DENSITIES, powers, grid):
            yield Column(row.line, function, NBody.kind, density, power)


def _read_coefficients(path: StrPath) -> list[float]:
    """Lines of a number and a coefficient; the numbers count from 0."""
    weights: list[float] = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            words = [_number(word) for word in line.split()]
            if not words:
                continue
            # Six digits are printed of the number.
            if len(words) != 2 or math.isnan(words[1]) or words[0] != float(f"{len(weights):g}"):
                raise ValueError(
                    f"{os.fspath(path)}, line {number}: expected '{len(weights)} COEFFICIENT', got "
                    f"{line.strip()!r}; give a coefficient file of the published program"
                )
            weights.append(words[1])
    return weights


def _term(column: Column, settings: Settings, symbols: list[str]) -> tuple[Term, float]:
    """The column as a term, and the factor of its coefficient."""
    function, scale = _radial(*column.function)
    places = [symbols[number] for number in column.species]
    switch = None
    if column.interaction == TwoBody.kind:
        places.sort()
    elif column.interaction == ThreeBody.kind:
        places[1:] = sorted(places[1:])
        scale *= scale
    else:
        shortest = settings.short[PAIRS.index((min(column.species), max(column.species)))]
        switch = shortest if shortest > 0 else None
        scale **= column.power or 1
    n_arms = 2 if column.interaction == ThreeBody.kind else 1
    term = Term(
        column.interaction, tuple(places), (function,) * n_arms, column.power, settings.cutoff, switch
    )
    return term, scale


def _radial(nature: int, a: float, b: float) -> tuple[RadialFamily, float]:
    """A function of the published program as ours times a factor."""
    match nature:
        case 1:
            return Gaussian(eta=a, centers=b), 1.0
        case 2:
            raise ValueError(
                "Lennard-Jones functions (family 2) of the published program have no cutoff, and plip has no "
                "such functions"
            )
        case 3:
            return StillingerWeber(gamma=a, onset=b), 1.0
        case 4:
            return Slater(powers=a, zeta=b), 1.0 / (2.0**a * math.exp(-2.0 * b))
        case 5:
            if a <= 2 and a != 1:
                raise ValueError(
                    f"in the published program the force of the power {a:g} is not the derivative of its "
                    "energy, and plip has no such functions"
                )
            return Power(powers=a), 1.0
        case 6:
            return GaussianType(powers=a, zeta=b), 1.0 / (2.0**a * math.exp(-4.0 * b))
        case 7:
            return Lorentzian(centers=a, exponents=b), 1.0
        case 8:
            return LogNormal(onsets=a, scales=b), 1.0
    raise ValueError(f"there is no family {nature}; the published program has 1 to 8")


def _warn_of_jumps(terms: dict[Term, float]) -> None:
    for term, weight in terms.items():
        if not isinstance(term.radial[0], StillingerWeber):
            continue
        gamma = float(term.radial[0].kernel_parameters()[0])
        # The steepest point of exp(gamma / x) where that program has zero.
        x = min(ONSET_GAP, -gamma / 2)
        if abs(weight * gamma) / x**2 * math.exp(gamma / x) > LAST_DIGIT:
            warn(
                f"Stillinger-Weber functions of the published program jump to zero {ONSET_GAP} Angstrom "
                "beyond their onset; here they are smooth, and differ where atoms come as close as that",
            )
            return
