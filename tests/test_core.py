"""The compiled core: energies of every variant and kind of term against the oracle, threads, bad input.

Forces and strain derivatives are tested in test_potential.py.
"""

import dataclasses
import itertools
import string
import time

import numpy as np
import oracle
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import chemical_symbols
from core_runs import VARIANTS, core_of, evaluate, neighbors
from sample_potentials import interactions, make_potential, sample_potential
from sample_structures import SAMPLE_NAMES, clear_radius, sample

from plip._core import Core, is_element
from plip._design._rows import Design, StructureDesign
from plip._structures._evaluation import check_atoms
from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.interactions._terms import build_terms
from plip.radial import Gaussian


@pytest.mark.parametrize("simd", VARIANTS)
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_every_variant_gives_the_energy_of_the_oracle(name, mixed, simd):
    atoms, cutoff = sample(name)
    potential = sample_potential(atoms, cutoff, mixed=mixed)
    energies, *_ = evaluate(core_of(potential, simd), potential, atoms)
    terms = [term for term, _ in potential.terms]
    expected = potential.coef @ oracle.oracle_energies(atoms, terms)
    expected += sum(potential.intercept[symbol] for symbol in atoms.symbols)
    # Rounding errors of some hundred numbers of about 1 eV.
    assert energies.sum() == pytest.approx(expected, abs=1e-11)


def test_variants_agree_on_forces_and_strain():
    atoms, cutoff = sample("three species")
    potential = sample_potential(atoms, cutoff, mixed=True)
    reference = evaluate(core_of(potential, "baseline"), potential, atoms, strains=True)
    for simd in VARIANTS[1:]:
        for found, expected in zip(
            evaluate(core_of(potential, simd), potential, atoms, strains=True), reference, strict=True
        ):
            # Sums in another order, and fused multiply-add.
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("max_power", [0, 1, 2, 3, 7, 12])
def test_any_power_of_the_cosine(max_power):
    atoms, cutoff = sample("bulk")
    species = sorted(set(atoms.symbols))
    terms = build_terms(species, cutoff, three_body=ThreeBody(Gaussian(eta=1.0, centers=2.3), max_power))
    potential = make_potential(atoms, terms)
    energy = potential.energy(atoms) - potential.intercept["Si"] * len(atoms)
    assert energy == pytest.approx(potential.coef @ oracle.oracle_energies(atoms, terms), abs=1e-11)


RANKS = ((0, 0, 0), (1, 0, 0), (2, 0, 1), (1, 2, 1), (2, 2, 2), (3, 1, 0), (0, 1, 3))


def test_any_rank_of_four_body():
    atoms, cutoff = sample("molecule")
    species = sorted(set(atoms.symbols))
    terms = build_terms(species, cutoff, four_body=FourBody(Gaussian(eta=1.0, centers=1.3), RANKS))
    potential = make_potential(atoms, terms, n_terms=60)
    terms = [term for term, _ in potential.terms]
    energy = potential.energy(atoms) - sum(potential.intercept[symbol] for symbol in atoms.symbols)
    assert energy == pytest.approx(potential.coef @ oracle.oracle_energies(atoms, terms), abs=1e-11)


@pytest.mark.parametrize("simd", VARIANTS)
def test_four_body_terms_that_share_arms(simd):
    atoms, cutoff = sample("bulk")
    ranks = ((1, 1, 0), (1, 1, 1), (2, 1, 0), (1, 0, 2))
    four_body = FourBody(Gaussian(eta=2.0, centers=[1.8, 2.4, 3.0]), ranks)
    terms = build_terms(["Si"], cutoff, four_body=four_body)
    potential = make_potential(atoms, terms)
    energies, *_ = evaluate(core_of(potential, simd), potential, atoms)
    expected = potential.coef @ oracle.oracle_energies(atoms, terms) + potential.intercept["Si"] * len(atoms)
    assert energies.sum() == pytest.approx(expected, abs=1e-11)


def check_energy_and_forces(potential, atoms, simd):
    """The energy is that of the oracle, a force component of each of three atoms its derivative."""
    core = core_of(potential, simd)
    terms = [term for term, _ in potential.terms]
    energies, forces, *_ = evaluate(core, potential, atoms)
    expected = potential.coef @ oracle.oracle_energies(atoms, terms)
    expected += sum(potential.intercept[symbol] for symbol in atoms.symbols)
    assert energies.sum() == pytest.approx(expected, abs=1e-10)
    for atom, axis in ((0, 0), (1, 1), (len(atoms) - 1, 2)):
        around = []
        for step in (1e-4, -1e-4):
            moved = atoms.copy()
            moved.positions[atom, axis] += step
            around.append(evaluate(core, potential, moved)[0].sum())
        assert forces[atom, axis] == pytest.approx((around[1] - around[0]) / 2e-4, abs=2e-6)


@pytest.mark.parametrize("simd", VARIANTS)
@pytest.mark.parametrize(
    "rank",
    [
        (0, 0, 0),
        (0, 3, 0),
        (1, 1, 0),
        (2, 0, 2),
        (1, 1, 1),
        (1, 3, 1),
        (2, 1, 2),
        (2, 2, 2),
        (3, 1, 3),
        (3, 3, 0),
    ],
)
def test_every_way_to_contract_three_moments(simd, rank):
    """Alone, and with arms in common."""
    atoms, cutoff = sample("bulk")
    radial = Gaussian(eta=2.0, centers=[1.8, 2.4])
    terms = build_terms(["Si"], cutoff, four_body=FourBody(radial, (rank,)))
    check_energy_and_forces(make_potential(atoms, terms), atoms, simd)
    check_energy_and_forces(make_potential(atoms, terms, n_terms=1), atoms, simd)


@pytest.mark.parametrize("simd", VARIANTS)
@pytest.mark.parametrize("name", ["bulk", "two species"])
def test_angular_functions_of_different_cutoffs(simd, name):
    """As many functions as fill a vector reach less far than the others."""
    atoms, cutoff = sample(name)
    short = clear_radius(atoms, 0.75 * cutoff)
    parts = {
        "four_body": FourBody(Gaussian(eta=2.0, centers=8), ranks=((1, 1, 0), (2, 0, 0)), cutoff=short),
        "three_body": ThreeBody(Gaussian(eta=2.0, centers=3), max_power=3),
        "n_body": NBody(Gaussian(eta=2.0, centers=2), powers=(2, 3)),
        "two_body": TwoBody(Gaussian(eta=2.0, centers=3)),
    }
    terms = build_terms(sorted(set(atoms.symbols)), cutoff, **parts)
    check_energy_and_forces(make_potential(atoms, terms, n_terms=90), atoms, simd)


@pytest.mark.parametrize("simd", VARIANTS)
def test_atoms_do_not_feel_the_company_in_which_they_are_evaluated(simd):
    """Four-body terms take several atoms of one species at a time, calls take blocks of them."""
    small, cutoff = sample("two species")
    potential = sample_potential(small, cutoff, mixed=True)
    core = core_of(potential, simd)
    cluster = small * (3, 3, 2)
    lone = Atoms(np.array(["C", "Si"])[np.arange(40) % 2], [(0.0, 0.0, 1000.0 + 50.0 * k) for k in range(40)])
    atoms = Atoms(cluster.symbols, cluster.positions) + lone
    assert len(atoms) > 128  # more than a block
    order = np.random.default_rng(5).permutation(len(atoms))
    mixed_up = evaluate(core, potential, atoms[order], strains=True)
    for found, expected in zip(mixed_up, evaluate(core, potential, atoms, strains=True), strict=True):
        if len(expected) == len(atoms):
            expected = expected[order]
        # Sums over neighbors in another order.
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    alone = order >= len(cluster)
    symbols = np.array(atoms.get_chemical_symbols())[order][alone]
    np.testing.assert_array_equal(mixed_up[0][alone], [potential.intercept[symbol] for symbol in symbols])
    assert not mixed_up[1][alone].any()


def test_odd_powers_alone():
    # Only odd moments are summed then; the N-body term needs the even one of the same function.
    atoms, cutoff = sample("bulk")
    radial = Gaussian(eta=1.0, centers=2.3)
    terms = build_terms(
        ["Si"], cutoff, three_body=ThreeBody(radial, 3), n_body=NBody(radial, powers=(0.5, 2))
    )
    terms = [term for term in terms if term.power in (1, 3) or term.interaction == "N-body"]
    potential = make_potential(atoms, terms)
    energy = potential.energy(atoms) - potential.intercept["Si"] * len(atoms)
    assert energy == pytest.approx(potential.coef @ oracle.oracle_energies(atoms, terms), abs=1e-11)


def test_interactions_of_different_cutoffs():
    atoms, _ = sample("two species")
    cutoffs = {"two_body": 3.4, "three_body": 2.9, "n_body": 2.2, "four_body": 2.6}
    parts = interactions(3.4)
    for name, part in parts.items():
        part.set_params(cutoff=cutoffs[name])
    potential = make_potential(atoms, build_terms(["C", "Si"], 3.4, **parts), n_terms=100)
    energy = potential.energy(atoms) - sum(potential.intercept[symbol] for symbol in atoms.symbols)
    terms = [term for term, _ in potential.terms]
    assert energy == pytest.approx(potential.coef @ oracle.oracle_energies(atoms, terms), abs=1e-11)


# Threads, blocks, skin


def test_threads_do_not_change_a_bit():
    atoms = bulk("Si", cubic=True) * (9, 9, 9)
    atoms.rattle(0.1, seed=3)
    small, cutoff = sample("bulk")
    potential = sample_potential(small, cutoff, n_terms=30)
    assert len(atoms) >= 4096  # cut into blocks
    core = core_of(potential)
    reference = evaluate(core, potential, atoms, strains=True)
    for n_threads in (2, 3):
        results = evaluate(core, potential, atoms, strains=True, n_threads=n_threads)
        for found, expected in zip(results, reference, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_longer_lists_change_nothing_but_rounding():
    atoms, cutoff = sample("two species")
    potential = sample_potential(atoms, cutoff)
    core = core_of(potential)
    reference = evaluate(core, potential, atoms)
    for found, expected in zip(evaluate(core, potential, atoms, skin=1.5), reference, strict=True):
        if expected is not None:
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_only_what_is_asked_for():
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff)
    energies, *others = evaluate(core_of(potential), potential, atoms, forces=False, strain=False)
    assert energies.shape == (len(atoms),)
    assert others == [None, None, None]


@pytest.mark.parametrize("rank", [(7, 7, 7), (9, 9, 9), (20, 20, 0), (0, 1, 39)])
def test_high_ranks_can_be_fitted_and_evaluated(rank):
    atoms = sample("molecule")[0]
    species = sorted(set(atoms.symbols))
    terms = build_terms(species, 2.0, four_body=FourBody(Gaussian(eta=1.0, centers=1.3), (rank,)))
    terms = [term for term in terms if set(term.species) <= {"C", "H"}]
    begin = time.process_time()
    values = StructureDesign(Design(terms, species), atoms).values
    potential = make_potential(atoms, terms, n_terms=3)
    energy = potential.energy(atoms) - sum(potential.intercept[symbol] for symbol in atoms.symbols)
    assert time.process_time() - begin < 10.0
    kept = [terms.index(term) for term, _ in potential.terms]
    assert energy == pytest.approx(potential.coef @ values[kept], abs=1e-10)
    assert energy == pytest.approx(
        potential.coef @ oracle.oracle_energies(atoms, [term for term, _ in potential.terms]), abs=1e-10
    )


def test_more_products_than_memory_should_hold():
    four_body = FourBody(Gaussian(eta=1.0, centers=np.linspace(1, 2, 20)), ((9, 9, 9),))
    with pytest.raises(ValueError, match="products of moments"):
        Design(build_terms(["Cu"], 4.0, four_body=four_body), ["Cu"])


# Bad input


def test_terms_that_cannot_be_evaluated():
    term = build_terms(["Cu"], 4.0, three_body=ThreeBody(Gaussian(eta=1.0, centers=2.0), 2))[-1]
    for wrong, match in (
        ({"power": 41}, "0 to 40"),
        ({"power": 2**32 + 1}, "0 to 40"),
        ({"cutoff": 1e-300}, "cutoff must be a length"),
        ({"species": ("Cu", "Cu", "Ni")}, "reference energy"),
        ({"radial": (Gaussian(eta=-1.0, centers=2.0),) * 2}, "eta must be positive"),
        ({"switch": 2.0}, "switch"),
    ):
        with pytest.raises(ValueError, match=f"term 0: .*{match}"):
            Core(["Cu"], [(dataclasses.replace(term, **wrong), 1.0)], np.zeros(1))
    with pytest.raises(ValueError, match="finite"):
        Core(["Cu"], [(term, np.nan)], np.zeros(1))
    with pytest.raises(ValueError, match="one reference energy per species"):
        Core(["Cu"], [], np.zeros(2))
    with pytest.raises(ValueError, match="instruction set"):
        Core(["Cu"], [], np.zeros(1), "vax")


def test_elements_are_those_of_ase():
    symbols = {*chemical_symbols, *itertools.product(string.ascii_letters, string.ascii_lowercase)}
    symbols = {"".join(symbol) for symbol in symbols} | {"", " ", "H ", " H", "He Li", "H\0", "\xe9", "*"}
    assert {symbol for symbol in symbols if is_element(symbol)} == set(chemical_symbols)


def test_list_and_positions_must_belong_together():
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff)
    species, positions, cell = check_atoms(potential.species, atoms)
    with pytest.raises(ValueError, match="one row per atom"):
        core_of(potential).evaluate(neighbors(atoms, cutoff), positions[:-1], cell, species)
