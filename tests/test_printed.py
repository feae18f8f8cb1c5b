"""Energies from what `plip show` prints and what doc/model.rst says, and from nothing else."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from ase.data import atomic_numbers
from oracle import centers
from sample_potentials import beyond, densities, make_potential
from sample_structures import sample

from plip import PLIPRegressor
from plip._core import ANY
from plip.datasets import load_silicon_carbide
from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.interactions._sharing import Block
from plip.interactions._terms import build_terms
from plip.potential import Potential
from plip.radial import Gaussian, LogNormal
from plip.report import potential_summary
from plip.report._text import in_lines

# The potential


def all_terms(species, cutoff, families):
    """Terms of every interaction and family, with and without places for any species."""
    functions = [function for family in families.values() for function in family.grid(cutoff)]
    functions += [Gaussian(eta=0.7, centers=-0.5), LogNormal(onsets=-0.2, scales=1.4)]
    smooth = [function for function in functions if not function.changes_sign]
    offers = {
        "two_body": (TwoBody(functions), [(), (True, True), (True, False)]),
        "three_body": (ThreeBody(functions, 2, mixed=True), [(), (True,) * 3, (False, True, False)]),
        "n_body": (
            NBody(smooth, (0.5, 3), switch={(ANY, ANY): 1.77, (species[0], species[-1]): 1.85}),
            [(), (True, True), (True, False), (False, True)],
        ),
        "four_body": (FourBody(smooth[:2], ((1, 1, 0), (2, 1, 1))), [(), (False, True, True, True)]),
    }
    blocks = {name: [Block(own, places) for places in sharings] for name, (own, sharings) in offers.items()}
    return build_terms(species, cutoff, blocks, **{name: own for name, (own, _) in offers.items()})


def printed_exactly(atoms, cutoff, families):
    """A potential whose numbers have as few digits as the text; the structure is beyond its data in part."""
    species = tuple(sorted(set(atoms.symbols)))
    made = make_potential(atoms, all_terms(species, cutoff, families), n_terms=150, size=0.1)
    coef = [float(f"{coefficient:.4e}") for _, coefficient in made.terms]
    plan = SimpleNamespace(terms_=[term for term, _ in made.terms], species_=species)
    distances = np.concatenate([center.r for center in centers(atoms, cutoff)])
    outer = round(float(np.quantile(distances, 0.2)), 3)
    reach = float(f"{0.8 * cutoff:.5g}")
    limit = float(f"{np.mean(densities(atoms, reach)) / 1.05:.4g}")
    return beyond(
        Potential(plan, coef, made.intercept),
        {(a, b): (0.3, outer) for a in species for b in species if a <= b},
        {symbol: (reach, limit) for symbol in species},
        {symbol: -0.3 for symbol in species},
        {(species[0], species[-1]): 7.5},
    )


# Its text


def read(text):
    """Reference energies, distances and force of the repulsion, limits, and terms."""
    energies = dict(re.findall(r"(\w+) (-?[\d.]+)", re.search(r"reference energies \(eV\): (.*)", text)[1]))
    rows = [line.split() for line in text.splitlines()]
    pairs = {
        tuple(row[0].split("-")): (float(row[4]), float(row[3]), float(row[5].replace("-", "nan")))
        for row in rows
        if is_numbers(row, 6)
    }
    limits = {row[0]: [float(cell) for cell in row[1:]] for row in rows if is_numbers(row, 4)}
    found = re.findall(r"^ *(-?\d\.\d+e\S+)  (sum .*(?:\n {5,}.*)*)", text, re.MULTILINE)
    terms = [(float(coefficient), read_term(" ".join(formula.split()))) for coefficient, formula in found]
    return {symbol: float(energy) for symbol, energy in energies.items()}, pairs, limits, terms


def is_numbers(row, length):
    return len(row) == length and all(re.fullmatch(r"-?[\d.]+|-", cell) for cell in row[1:]) and row[0] != "-"


def read_function(expression, cutoff, low, high):
    """A radial function with its cutoff and switch."""
    expression, _, condition = expression.replace("^", "**").partition(" for r > ")
    # A space between factors.
    code = re.sub(r"(?<=[\dr)]) (?=[(e])", " * ", re.sub(r"-(?=[\d.]+ \()", "-1 * ", expression))
    code = compile(re.sub(r"(?<=\d) (?=r)", " * ", code), expression, "eval")
    cutoff, start = float(cutoff), float(condition or "-inf")

    def function(r):
        value = eval(code, {"exp": np.exp, "ln": np.log, "r": r}) if start < r < cutoff else 0.0
        turned_on = step((r - float(low)) / (float(high) - float(low))) if low else 1.0
        return value * (1 + np.cos(np.pi * r / cutoff)) / 2 * turned_on

    return function


def read_term(formula):
    """A function of a center and of its radial functions at the distances of the neighbors: its energy."""
    pattern = r"\[(.*?)\] fc\(r\w*; ([\d.]+)\)(?: fs\(r; ([\d.]+), ([\d.]+)\))?"
    functions = [read_function(*arm) for arm in re.findall(pattern, re.sub("r_i[jkm]", "r", formula))]
    powers = {
        angle: int(power or 1) for angle, power in re.findall(r"cos\(theta_(\w+)\)(?:\^(\d+))?", formula)
    }

    def is_one(place, symbols):
        return np.array([place in ("any", symbol) for symbol in symbols], dtype=float)

    def arms(center, change):
        around = list(zip(center.symbols, center.r, strict=True))
        return [np.array([change(function, center, *arm) for arm in around]) for function in functions]

    def pairs(center, change):
        if "pairs" in formula:
            places = re.match(r"sum over pairs (?:of (any) species|(\w+)-(\w+)) of", formula).groups()
            first, second = ("any", "any") if places[0] else places[1:]
            here, there = is_one(first, [center.symbol])[0], is_one(second, [center.symbol])[0]
            ways = np.maximum(here * is_one(second, center.symbols), there * is_one(first, center.symbols))
        else:
            place = re.match(r"sum over (\w+) and neighbors of any species of", formula)[1]
            ways = is_one(place, [center.symbol])[0] + is_one(place, center.symbols)
        return 0.5 * ways @ arms(center, change)[0]

    def density(center, change):
        pattern = r"sum over (\w+) of \(sum over neighbors (\w+) of .*\)\^([\d.]+)"
        first, second, power = re.fullmatch(pattern, formula).groups()
        values = arms(center, change)[0] ** (2 if power == "0.5" else 1)
        return is_one(first, [center.symbol])[0] * (is_one(second, center.symbols) @ values) ** float(power)

    def angles(center, change):
        pattern = r"sum over (\w+) i and (ordered |all |)neighbors (\w+) j, (\w+) k(?:, (\w+) m)? of .*"
        first, order, *others = re.fullmatch(pattern, formula).groups()
        a, b, *c = (is_one(p, center.symbols) * g for p, g in zip(others, arms(center, change), strict=False))
        jik, kim, mij = (center.cosine ** powers.get(angle, 0) for angle in ("jik", "kim", "mij"))
        if c:
            value = np.einsum("j,k,m,jk,km,mj", a, b, c[0], jik, kim, mij, optimize=True)
        else:
            value = a @ jik @ b - np.sum(a * b)
            # Each pair once: of the same species, the sums above have it twice.
            value *= 0.5 if not order and others[0] == others[1] else 1.0
        return is_one(first, [center.symbol])[0] * value

    if " i and " in formula:
        return angles
    return density if "(sum over" in formula else pairs


# The equations of doc/model.rst


def step(u):
    u = min(max(u, 0.0), 1.0)
    return 6 * u**5 - 15 * u**4 + 10 * u**3


def at_rest(r, a, b):
    u = max((r - a) / (b - a), 0.0)
    return r if r >= b else b - (b - a) * (0.5 - u**3 + 0.5 * u**4)


def nuclei(first, second, r):
    x = r * (first**0.23 + second**0.23) / 0.4685
    screened = 0.18175 * np.exp(-3.1998 * x) + 0.50986 * np.exp(-0.94229 * x)
    screened += 0.28022 * np.exp(-0.4029 * x) + 0.02817 * np.exp(-0.20162 * x)
    return 14.399645 * first * second / r * screened


def printed_energy(text, atoms, cutoff):
    energies, pairs, limits, terms = read(text)

    def distances_of(first, second):
        return pairs[tuple(sorted((first, second)))]

    def change(function, center, symbol, r):
        inner, outer, _ = distances_of(center.symbol, symbol)
        fade = step((r - inner) / (0.35 * (outer - inner))) if r < outer else 1.0
        return fade * function(at_rest(r, 0.95 * outer, outer))

    def repulsion(center, symbol, r):
        inner, outer, force = distances_of(center.symbol, symbol)
        charges = atomic_numbers[center.symbol], atomic_numbers[symbol]
        is_wall = np.isnan(force)
        low, high = (0.8 * outer, outer) if is_wall else (0.6 * outer, 0.9 * outer)
        end, begin = (inner, 0.7 * outer) if is_wall else (low, high)
        force = min(12.0 if is_wall else force, 0.05 * nuclei(*charges, 0.3) / (outer - end))
        way = at_rest(r, 0.95 * outer, outer) - at_rest(r, end, begin)
        faded = 1 - step((r - low) / (high - low))
        return faded * nuclei(*charges, r) + force * way * (1 + 3 * way / outer)

    total = 0.0
    for center in centers(atoms, cutoff):
        learned = sum(coefficient * term(center, change) for coefficient, term in terms)
        repelled = 0.5 * sum(repulsion(center, *arm) for arm in zip(center.symbols, center.r, strict=True))
        limit, reach, floor = limits[center.symbol]
        outer = np.array([distances_of(center.symbol, symbol)[1] for symbol in center.symbols])
        density = np.sum(np.clip(1 - (center.r / reach) ** 2, 0, None) ** 3)
        closeness = 25 * np.sum(np.clip(1 - center.r / (0.9 * outer), 0, None) ** 3)
        x = max(np.log(density / limit), 0.0) if density > 0 else 0.0
        if learned + repelled < floor:
            learned = floor - 0.5 * np.tanh((floor - learned - repelled) / 0.5) - repelled
        share = (1 - step(x / 0.25)) * (1 - step(closeness / 0.25))
        soft = sum(sign * (z + np.sqrt(z * z + 4)) / 2 for sign, z in ((1, learned), (-1, learned - 50)))
        kept = share * learned + (1 - share) * (1 - step((x - 0.25) / 0.95)) * soft
        total += energies[center.symbol] + kept + repelled + 150 * x**2.65
    return total


@pytest.mark.parametrize("name", ["two species", "three species", "chain"])
def test_energies_follow_from_the_text(name, families):
    atoms, cutoff = sample(name)
    potential = printed_exactly(atoms, cutoff, families)
    text = potential_summary(potential, n_terms=len(potential.terms))
    energy = potential.energy(atoms)
    assert len(read(text)[-1]) == len(potential.terms)
    assert printed_energy(text, atoms, cutoff) == pytest.approx(energy, abs=1e-7 * len(atoms))
    # The limits count: far more than the tolerance.
    assert abs(beyond(potential).energy(atoms) - energy) > 1e-3
    assert abs(printed_energy(text.replace("e-02  sum", "e-03  sum", 1), atoms, cutoff) - energy) > 1e-6


def test_text_and_latex_of_a_term_have_the_same_numbers(families):
    for term in all_terms(("C", "Si"), 4.0, families):
        formula = term.formula()
        latex = term.latex().replace("}^{1/2}", "}^{0.5}").replace(")^{1/2}", ")^{0.5}")
        numbers = r"(?<![A-Za-z_])\d+(?:\.\d+)?"
        assert sorted(re.findall(numbers, formula)) == sorted(re.findall(numbers, latex)), (formula, latex)
        assert "- -" not in formula and "00000000" not in formula


@pytest.mark.parametrize(("columns", "widest"), [(40, 60), (80, 80), (300, 100)])
def test_texts_are_as_wide_as_the_terminal(monkeypatch, columns, widest):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = in_lines("potential " * 40, start="* ")
    assert widest - 10 < max(map(len, text.splitlines())) <= widest
    assert text.split() == ["*", *["potential"] * 40]


def test_a_summary_fits_a_terminal_of_80_letters(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    model = PLIPRegressor("fast", max_terms=20).fit(load_silicon_carbide()[0][::8])
    assert max(map(len, potential_summary(model.potential_).splitlines())) <= 80
