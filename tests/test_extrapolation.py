"""Values of single terms by atom, and the extrapolation grades that are made of them."""

import dataclasses

import numpy as np
import oracle
import pytest
from ase import Atoms
from ase.build import bulk
from sample_potentials import interactions
from sample_structures import SAMPLE_NAMES, random_structure, sample

from plip import PLIPDescriptors
from plip._core import LARGEST_GRADE, Core, TermValues
from plip._structures._evaluation import check_atoms, find_pairs
from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.interactions._terms import build_terms
from plip.radial import Gaussian, Power

VARIANTS = ("baseline", "avx2", "avx512")
# Tables are as accurate as this part of what a term is in matter.
ACCURACY = 2e-9


def term_values(species, terms, simd="auto"):
    try:
        return TermValues(species, terms, simd)
    except ValueError as error:
        if "instruction set" in str(error):
            pytest.skip(f"no {simd} on this machine")
        raise


def arrays(species, atoms, cutoff):
    """What the core takes of a structure."""
    numbers, positions, cell = check_atoms(species, atoms)
    return find_pairs(positions, cell, atoms.pbc, cutoff), positions, cell, numbers


def values_of(species, terms, atoms, simd="auto"):
    core = term_values(species, terms, simd)
    return core.values(*arrays(species, atoms, core.cutoff + 0.3))


def one_by_one(species, terms, atoms):
    """The same by a potential for each term."""
    columns = []
    for term in terms:
        core = Core(species, [(term, 1.0)], np.zeros(len(species)), is_additive=True)
        energies, *_ = core.evaluate(*arrays(species, atoms, core.cutoff), forces=False, strain=False)
        columns.append(energies)
    return np.column_stack(columns)


def all_terms(atoms, cutoff, **options):
    species = sorted(set(atoms.symbols))
    return species, build_terms(species, cutoff, **interactions(cutoff, **options))


def some(terms, n, seed=0):
    rng = np.random.default_rng(seed)
    return [terms[k] for k in sorted(rng.choice(len(terms), min(n, len(terms)), replace=False))]


def assert_close(found, expected, atoms, terms):
    """To the accuracy of the tables, by what each term is made of."""
    scale = oracle.oracle_magnitudes(atoms, terms)
    powers = np.array([max(term.power, 1) if term.interaction == "N-body" else 3 for term in terms])
    error = np.abs(found - expected).max(axis=0) if np.ndim(found) > 1 else np.abs(found - expected)
    assert (error <= ACCURACY * powers * np.maximum(scale, 1e-3)).all()


@pytest.mark.parametrize("simd", VARIANTS)
@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_sums_over_atoms_are_the_terms(name, simd):
    atoms, cutoff = sample(name)
    species, terms = all_terms(atoms, cutoff, mixed=True, switch=None)
    terms = some(terms, 120)
    values = values_of(species, terms, atoms, simd)
    assert values.shape == (len(atoms), len(terms))
    assert_close(values.sum(axis=0), oracle.oracle_energies(atoms, terms), atoms, terms)


@pytest.mark.parametrize("name", ["two species", "three species", "slab", "molecule", "one-atom cell"])
def test_values_of_each_atom_are_those_of_single_terms(name):
    atoms, cutoff = sample(name)
    species, terms = all_terms(atoms, cutoff, mixed=True)
    terms = some(terms, 60, seed=1)
    assert_close(values_of(species, terms, atoms), one_by_one(species, terms, atoms), atoms, terms)


def test_terms_of_any_species_count_all_neighbors():
    atoms, cutoff = sample("three species")
    present = sorted(set(atoms.symbols))
    terms = build_terms(["*", *present], cutoff, **interactions(cutoff, mixed=True))
    terms = some([term for term in terms if "*" in term.species], 150)
    assert {term.interaction for term in terms} == {"two-body", "three-body", "N-body", "four-body"}
    values = values_of(present, terms, atoms)
    assert_close(values, one_by_one(present, terms, atoms), atoms, terms)
    assert_close(values.sum(axis=0), oracle.oracle_energies(atoms, terms), atoms, terms)


def test_values_of_every_family_and_of_high_powers(families):
    atoms, cutoff = sample("two species")
    functions = list(families.values())
    terms = build_terms(
        ["C", "Si"],
        cutoff,
        two_body=TwoBody(functions),
        three_body=ThreeBody(functions, max_power=8, mixed=True, cutoff=0.8 * cutoff),
        n_body=NBody(functions, powers=(2, 7), switch={("C", "Si"): 1.8, ("Si", "Si"): 2.2}),
        four_body=FourBody(functions, ranks=((1, 1, 0), (1, 1, 1), (2, 1, 0), (2, 2, 2), (3, 0, 1))),
    )
    # The root of a density with a function that changes sign is refused.
    positive = [family for family in families.values() if not family.changes_sign]
    roots = build_terms(["C", "Si"], cutoff, n_body=NBody(positive, powers=0.5, switch={("C", "Si"): 1.8}))
    terms = [*some(terms, 200, seed=2), *some(roots, 20)]
    assert_close(values_of(["C", "Si"], terms, atoms), one_by_one(["C", "Si"], terms, atoms), atoms, terms)


def test_values_of_random_structures():
    for seed in range(8):
        atoms = random_structure(9, (True, True, False), seed)
        if atoms is not None:
            species, terms = all_terms(atoms, 3.6, mixed=True)
            terms = some(terms, 40, seed)
            found = values_of(species, terms, atoms).sum(axis=0)
            assert_close(found, oracle.oracle_energies(atoms, terms), atoms, terms)


def test_roots_of_densities_end_smoothly():
    terms = build_terms(["Cu"], 4.0, n_body=NBody(Gaussian(eta=1.0, centers=1.5), powers=0.5))
    for r in (1.5, 2.9, 3.6, 3.99, 4.0 - 1e-5, 4.0, 5.0):
        pair = Atoms("Cu2", [[0, 0, 0], [r, 0, 0]])
        values = values_of(["Cu"], terms, pair)
        assert values.sum() == pytest.approx(oracle.oracle_energy(pair, terms[0]), abs=1e-9)


def test_values_agree_with_the_descriptors():
    atoms = bulk("SiC", "zincblende", a=4.4, cubic=True) * (3, 2, 2)
    atoms.rattle(0.1, seed=3)
    descriptors = PLIPDescriptors(cutoff=4.0, four_body="auto").fit([atoms])
    terms = descriptors.terms_
    values = values_of(descriptors.species_, terms, atoms)
    expected = descriptors.transform([atoms])[0]
    assert (np.abs(values.sum(axis=0) - expected) <= 1e-8 * np.abs(expected).max()).all()
    scale = np.abs(values).sum(axis=0)
    assert (np.abs(values.sum(axis=0) - expected) <= 1e-7 * np.maximum(scale, 1e-6 * scale.max())).all()


def test_atoms_of_species_without_terms_have_zeros():
    atoms, cutoff = sample("three species")
    species = sorted(set(atoms.symbols))
    terms = build_terms(species, cutoff, **interactions(cutoff))
    terms = some([t for t in terms if t.interaction != "two-body" and t.species[0] == species[1]], 50)
    values = values_of(species, terms, atoms)
    others = np.array(atoms.symbols) != species[1]
    assert others.any()
    assert not values[others].any()
    assert values[~others].any()
    assert values_of(species, [], atoms).shape == (len(atoms), 0)


def grade_case(seed=4, n_terms=37):
    atoms, cutoff = sample("two species")
    atoms = atoms * (2, 1, 1)
    atoms.rattle(0.1, seed=seed)
    species, terms = all_terms(atoms, cutoff)
    terms = some(terms, n_terms, seed)
    x = values_of(species, terms, atoms)
    factor = np.tril(np.random.default_rng(seed).normal(size=(len(terms), len(terms))), -1) / len(terms)
    factor += np.eye(len(terms))
    factor *= 0.1 + np.abs(x).max(axis=0)[:, None]
    return atoms, species, terms, x, factor


def packed(factor):
    return factor[np.tril_indices(len(factor))]


def extrapolation(species, terms, atoms, factor, limits, shortest=None, simd="auto"):
    core = term_values(species, terms, simd)
    if shortest is None:
        shortest = np.zeros((len(species), len(species)))
    pairs = arrays(species, atoms, core.cutoff)
    return core.extrapolation(*pairs, packed(factor), np.array(limits), shortest)


@pytest.mark.parametrize("simd", VARIANTS)
@pytest.mark.parametrize("n_terms", [1, 7, 8, 9, 37])
def test_leverage_is_that_of_the_values(n_terms, simd):
    atoms, species, terms, x, factor = grade_case(n_terms=n_terms)
    leverage = (np.linalg.solve(factor, x.T) ** 2).sum(axis=0)
    limits = np.array([0.5, 3.0])
    expected = leverage / limits[[species.index(symbol) for symbol in atoms.symbols]]
    found = extrapolation(species, terms, atoms, factor, limits, simd=simd)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_closer_than_the_data_is_outside():
    atoms, species, terms, x, factor = grade_case()
    core = term_values(species, terms)
    neighbors, *others = arrays(species, atoms, core.cutoff)
    i, j, shift = neighbors.to_arrays()
    d = np.linalg.norm(atoms.positions[j] + shift @ atoms.cell.array - atoms.positions[i], axis=1)
    kinds = np.array([species.index(symbol) for symbol in atoms.symbols])
    shortest = np.array([[0.0, 1.02], [1.02, 1.01]]) * np.median(d)
    grades = core.extrapolation(neighbors, *others, packed(factor), np.full(2, 1e6), shortest)
    expected = np.zeros(len(atoms))
    for a, b, r in zip(i, j, d, strict=True):
        if r < shortest[kinds[a], kinds[b]]:
            expected[a] = max(expected[a], shortest[kinds[a], kinds[b]] / r)
    assert (expected > 1.0).sum() > 3
    # Others have the leverage, which is tiny here.
    leverage = (np.linalg.solve(factor, x.T) ** 2).sum(axis=0) / 1e6
    np.testing.assert_allclose(grades, np.maximum(expected, leverage), rtol=1e-9)


def test_species_without_data_are_outside():
    atoms, species, terms, _, factor = grade_case()
    grades = extrapolation(species, terms, atoms, factor, [0.0, 2.0])
    first = np.array(atoms.symbols) == species[0]
    assert (grades[first] == LARGEST_GRADE).all()
    assert (grades[~first] < LARGEST_GRADE).all()
    # An isolated atom has nothing that data could contradict.
    alone = Atoms(species[0], cell=[20, 20, 20], pbc=True)
    assert extrapolation(species, terms, alone, factor, [0.0, 2.0]).tolist() == [0.0]


def test_grades_are_finite():
    """Also where moments overflow."""
    parts = {"two_body": TwoBody(Power(powers=-80.0)), "n_body": NBody(Gaussian(eta=1.0, centers=2.0))}
    terms = build_terms(["Si"], 4.0, **parts)
    atoms = Atoms("Si2", [[0, 0, 0], [0, 0, 1e-5]], cell=[12, 12, 12], pbc=True)
    grades = extrapolation(["Si"], terms, atoms, np.eye(len(terms)), [1.0], np.array([[2.0]]))
    assert (grades == LARGEST_GRADE).all()


def test_wrong_arrays_are_refused():
    atoms, species, terms, _, factor = grade_case(n_terms=4)
    with pytest.raises(ValueError, match="lower triangle"):
        extrapolation(species, terms, atoms, factor[:3, :3], [1.0, 1.0])
    with pytest.raises(ValueError, match="those of the species"):
        extrapolation(species, terms, atoms, factor, [1.0])
    with pytest.raises(ValueError, match="term 0"):
        TermValues(species, [dataclasses.replace(terms[0], cutoff=-1.0)])
