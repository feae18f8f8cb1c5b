"""The C core: neighbour lists, variants of the kernel, tables, plans of every kind of term."""

import itertools
from types import SimpleNamespace

import numpy as np
import oracle
import pytest
from ase import Atoms
from ase.build import bulk
from sample_potentials import interactions, make_potential, sample_potential
from sample_structures import SAMPLE_NAMES, random_structure, sample
from vesin import NeighborList as Vesin

from plip._core import Core, NeighborList
from plip._terms import build_terms
from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.potential import Potential, check_atoms
from plip.radial import Gaussian

VARIANTS = ("baseline", "avx2", "avx512")


def neighbors(atoms, cutoff):
    cell = np.ascontiguousarray(atoms.cell.complete().array)
    return NeighborList(atoms.positions, cell, np.array(atoms.pbc, np.int32), cutoff)


def core_of(potential, simd="auto"):
    try:
        return Core(potential.species, potential.terms, np.array(list(potential.intercept.values())), simd)
    except ValueError as error:
        if "instruction set" in str(error):
            pytest.skip(f"no {simd} on this machine")
        raise


def evaluate(core, potential, atoms, skin=0.0, **options):
    species, positions, cell = check_atoms(potential, atoms)
    return core.evaluate(neighbors(atoms, core.cutoff + skin), positions, cell, species, **options)


# Neighbour lists


def assert_same_pairs(atoms, cutoff):
    i, j, S = neighbors(atoms, cutoff).to_arrays()
    found = np.column_stack([i, j, S]).astype(int)
    search = Vesin(cutoff=cutoff, full_list=True)
    expected = search.compute(atoms.positions, atoms.cell.array, atoms.pbc, "ijS")
    expected = np.column_stack([x.astype(int) for x in expected])
    order = [np.lexsort(pairs.T) for pairs in (found, expected)]
    np.testing.assert_array_equal(found[order[0]], expected[order[1]])


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_pairs_are_those_of_vesin(name):
    atoms, cutoff = sample(name)
    for factor in (0.5, 1.0, 1.7):
        assert_same_pairs(atoms, factor * cutoff)


@pytest.mark.parametrize("periodic", list(itertools.product((True, False), repeat=3)))
def test_pairs_of_random_cells(periodic):
    for seed in range(6):
        atoms = random_structure(7, periodic, seed)
        if atoms is not None:
            atoms.positions += [31.0, -17.0, 5.0]  # far outside the cell
            assert_same_pairs(atoms, 3.7)


def test_pairs_of_sparse_atoms():
    atoms = Atoms("H4", positions=[[0, 0, 0], [0.8, 0, 0], [5000, 0, 0], [5000, 1.1, 4000]])
    i, j, S = neighbors(atoms, 2.0).to_arrays()
    assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 1), (1, 0)]
    assert not S.any()


def test_closest_distance_counts_images():
    assert neighbors(bulk("Cu", a=3.6), 4.0).closest == pytest.approx(3.6 / np.sqrt(2), abs=1e-12)
    assert neighbors(Atoms("Ne"), 4.0).closest == np.inf


def test_more_images_than_can_be_counted():
    atoms = Atoms("Cu", cell=[1e-4, 1e-4, 1e-4], pbc=True)
    with pytest.raises(ValueError, match="more images"):
        neighbors(atoms, 5.0)


# Energies against the oracle; forces and strain derivatives are tested in test_potential.py


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
        # Sums over neighbours in another order.
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    alone = order >= len(cluster)
    symbols = np.array(atoms.get_chemical_symbols())[order][alone]
    np.testing.assert_array_equal(mixed_up[0][alone], [potential.intercept[symbol] for symbol in symbols])
    assert not mixed_up[1][alone].any()


def test_odd_powers_alone():
    # Only odd moments are summed then; the N-body term needs the even one of the same function.
    atoms, cutoff = sample("bulk")
    radial = Gaussian(eta=1.0, centers=2.3)
    terms = build_terms(["Si"], cutoff, three_body=ThreeBody(radial, 3), n_body=NBody(radial, powers=2))
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


# Tables


def pair_potential(function, cutoff=4.0, coefficient=1.0):
    terms = build_terms(["Cu"], cutoff, two_body=TwoBody(function))
    return Potential(SimpleNamespace(terms_=terms, species_=("Cu",)), [coefficient], {"Cu": 0.0})


FAMILIES = "Gaussian Slater GaussianType StillingerWeber Power Lorentzian LogNormal LennardJones".split()


@pytest.mark.parametrize("family", FAMILIES)
def test_tables_keep_their_promise_at_any_distance(family, one_of_each):
    """Values and derivatives of a pair function from 1e-3 Angstrom on, by the Python functions."""
    from plip.radial import cutoff_function

    function = one_of_each[family]
    potential = pair_potential(function)
    assert potential.table_error <= 2e-9
    r = np.concatenate([np.geomspace(1e-3, 3.9999999, 300), np.linspace(0.5, 4.0, 1003), [4.0, 4.1]])
    phi, slope = function.evaluate(r)
    cut, cut_slope = cutoff_function(r, 4.0)
    value, derivative = phi * cut, slope * cut + phi * cut_slope
    for n, distance in enumerate(r):
        dimer = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, distance]])
        results = potential.evaluate(dimer, stress=False)
        # The promise, beside the rounding errors of pow() and of tiny distances: 1e-12 of steep functions.
        assert results["energy"] == pytest.approx(value[n], rel=1e-12, abs=1e-9)
        assert results["forces"][0, 2] == pytest.approx(derivative[n], rel=1e-11, abs=1e-9)


def test_table_error_of_a_whole_potential_against_exact_kernels():
    """Forces from the tables against the exact descriptor kernels, far below 1e-8 eV/Angstrom."""
    from plip._design import Design, StructureDesign

    for name in ("bulk", "molecule", "three species"):
        atoms, cutoff = sample(name)
        potential = sample_potential(atoms, cutoff, n_terms=None)
        terms = [term for term, _ in potential.terms]
        design = StructureDesign(Design(terms, potential.species), atoms)
        force_rows = np.zeros((3 * len(atoms), len(terms)))
        design.write_rows(0, force_rows, None)
        exact = (force_rows @ potential.coef).reshape(-1, 3)
        assert np.abs(potential.forces(atoms) - exact).max() < 1e-9


def test_switch_is_exact_at_its_ends():
    r_short = 2.0
    terms = build_terms(
        ["Cu"], 4.0, n_body=NBody(Gaussian(eta=1.0, centers=2.0), powers=2, switch={("Cu", "Cu"): r_short})
    )
    potential = Potential(SimpleNamespace(terms_=terms, species_=("Cu",)), [1.0], {"Cu": 0.0})
    for r in (0.9499 * r_short, 0.95 * r_short, 0.951 * r_short, 2.0, 1.0499 * r_short, 1.05 * r_short, 2.5):
        atoms = Atoms("Cu2", positions=[[0, 0, 0], [r, 0, 0]])
        assert potential.energy(atoms) == pytest.approx(oracle.oracle_energy(atoms, terms[0]), abs=1e-10)


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


# Bad input


def test_terms_that_cannot_be_evaluated():
    term = build_terms(["Cu"], 4.0, three_body=ThreeBody(Gaussian(eta=1.0, centers=2.0), 41))[-1]
    with pytest.raises(ValueError, match="above 40"):
        Core(["Cu"], [(term, 1.0)], np.zeros(1))
    with pytest.raises(ValueError, match="finite"):
        Core(["Cu"], [(term, np.nan)], np.zeros(1))
    with pytest.raises(ValueError, match="one reference energy per species"):
        Core(["Cu"], [], np.zeros(2))
    with pytest.raises(ValueError, match="instruction set"):
        Core(["Cu"], [], np.zeros(1), "vax")


def test_list_and_positions_must_belong_together():
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff)
    species, positions, cell = check_atoms(potential, atoms)
    with pytest.raises(ValueError, match="one row per atom"):
        core_of(potential).evaluate(neighbors(atoms, cutoff), positions[:-1], cell, species)
