"""The C core: neighbor lists, variants of the kernel, tables, plans of every kind of term."""

import dataclasses
import itertools
import string
import time
from types import SimpleNamespace

import numpy as np
import oracle
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import chemical_symbols
from ase.neighborlist import neighbor_list
from sample_potentials import beyond, interactions, make_potential, sample_potential
from sample_structures import SAMPLE_NAMES, clear_radius, random_structure, sample

from plip._core import (
    Core,
    NeighborList,
    closest_of_each,
    evaluate_each,
    find_neighbors,
    is_element,
    radial_function,
    values_of_each,
)
from plip._design._rows import Design, StructureDesign
from plip._structures._evaluation import check_atoms, gather
from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.interactions._terms import build_terms
from plip.potential import Potential
from plip.radial import (
    Gaussian,
    GaussianType,
    LennardJones,
    LogNormal,
    Lorentzian,
    Power,
    Slater,
    StillingerWeber,
)

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
    species, positions, cell = check_atoms(potential.species, atoms)
    return core.evaluate(neighbors(atoms, core.cutoff + skin), positions, cell, species, **options)


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_terms_of_several_structures_are_those_of_each(name):
    atoms, cutoff = sample(name)
    potential = sample_potential(atoms, cutoff)
    moved = atoms.copy()
    moved.positions[0] += 0.05
    arrays = gather(potential.species, [atoms, moved])
    found, are_done = values_of_each(potential.term_values, *arrays, cutoff)
    assert are_done.all()
    for one, values in zip((atoms, moved), arrays.split(found), strict=True):
        species, positions, cell = check_atoms(potential.species, one)
        expected = potential.term_values.values(neighbors(one, cutoff), positions, cell, species)
        np.testing.assert_array_equal(values, expected)


def test_closest_atoms_of_several_structures():
    structures = [sample(name)[0] for name in SAMPLE_NAMES]
    species = sorted({symbol for atoms in structures for symbol in atoms.symbols})
    radii = np.linspace(0.5, 1.5, len(species))
    found = closest_of_each(*gather(species, structures), radii, 4.0)
    for atoms, ratio in zip(structures, found, strict=True):
        i, j, d = neighbor_list("ijd", atoms, 4.0)
        of_atom = radii[[species.index(symbol) for symbol in atoms.symbols]]
        expected = (d / (of_atom[i] + of_atom[j])).min(initial=np.inf)
        assert ratio == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="places among the radii"):
        closest_of_each(*gather(species, structures), radii[1:], 4.0)


def test_arrays_of_several_structures_are_checked():
    potential = sample_potential(*sample("bulk"))
    arrays = gather(potential.species, [sample("bulk")[0]])
    for change, message in (
        ({"borders": arrays.borders[::-1].copy()}, "begin with 0"),
        ({"borders": np.array([0, 9, 8])}, "one cell per structure"),
        ({"species": arrays.species[1:]}, "one species per position"),
        ({"positions": np.zeros((8, 2))}, "shape"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_each(potential.core, *arrays._replace(**change), 4.0)


# Neighbor lists


def assert_same_pairs(atoms, cutoff):
    i, j, S = neighbors(atoms, cutoff).to_arrays()
    found = np.column_stack([i, j, S]).astype(int)
    expected = np.column_stack(neighbor_list("ijS", atoms, cutoff, self_interaction=False)).astype(int)
    order = [np.lexsort(pairs.T) for pairs in (found, expected)]
    np.testing.assert_array_equal(found[order[0]], expected[order[1]])


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_pairs_are_those_of_ase(name):
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


def skewed(atoms, *numbers):
    """The same crystal by longer cell vectors."""
    numbers = np.array(numbers)
    assert abs(np.linalg.det(numbers)) == pytest.approx(1.0)
    other = atoms.copy()
    other.set_cell(numbers @ atoms.cell.array)
    return other


def test_pairs_of_skewed_cells_are_those_of_the_reduced_ones():
    atoms = sample("two species")[0]
    atoms.set_cell(atoms.cell.array + [[0, 0.1, 0.2], [-0.3, 0, 0.1], [0.2, 0.1, 0]])
    i, *_ = neighbors(atoms, 4.0).to_arrays()
    for numbers in (
        [[1, 0, 0], [900, 1, 0], [0, 0, 1]],
        [[1, 0, 0], [-300, 1, 0], [170, 2000, 1]],
        [[1, 3, 0], [0, 1, 0], [0, -7, 1]],
        [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    ):
        other = skewed(atoms, *numbers)
        k, j, S = neighbors(other, 4.0).to_arrays()
        assert np.bincount(k).tolist() == np.bincount(i).tolist()
        vectors = other.positions[j] - other.positions[k] + S @ other.cell.array
        assert np.linalg.norm(vectors, axis=1).max() < 4.0


def test_cell_with_a_tiny_angle_takes_no_time():
    angle = np.radians(0.15)
    atoms = Atoms(
        "Cu", cell=[[800, 0, 0], [800 * np.cos(angle), 800 * np.sin(angle), 0], [0, 0, 4]], pbc=True
    )
    begin = time.perf_counter()
    n_pairs = neighbors(atoms, 6.0).n_pairs
    assert time.perf_counter() - begin < 0.5
    assert n_pairs == len(neighbor_list("i", Atoms("Cu", cell=atoms.cell.niggli_reduce()[0], pbc=True), 6.0))


def test_vectors_without_period_do_not_matter():
    atoms, cutoff = sample("ribbon")
    expected = neighbors(atoms, cutoff).to_arrays()
    for vector in ([0.0, 0.0, 0.0], [1e-9, 0.0, 0.0], atoms.cell[0] + [0, 1e-7, 0]):
        cell = atoms.cell.array.copy()
        cell[1] = vector
        pairs = NeighborList(atoms.positions, cell, np.array(atoms.pbc, np.int32), cutoff)
        for found, right in zip(pairs.to_arrays(), expected, strict=True):
            np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("distance", [30.0, 1e4, 9e6])
def test_clusters_far_apart(distance):
    cluster = bulk("Cu", cubic=True).repeat(6)
    cluster.pbc = False
    far = cluster.copy()
    far.positions += np.array([1.0, -0.7, 0.4]) * distance
    both = cluster + far
    begin = time.perf_counter()
    pairs = neighbors(both, 3.0)
    assert time.perf_counter() - begin < 1.0  # all pairs would take much longer
    assert pairs.n_pairs == 2 * neighbors(cluster, 3.0).n_pairs
    both.set_cell(np.eye(3) * 1.5 * distance)
    both.pbc = True
    assert neighbors(both, 3.0).n_pairs >= pairs.n_pairs


def test_no_atoms():
    for pbc in (True, False):
        pairs = neighbors(Atoms(cell=[3, 3, 3], pbc=pbc), 5.0)
        assert (pairs.n_local, pairs.n_all, pairs.n_pairs) == (0, 0, 0)
        assert [x.shape for x in pairs.to_arrays()] == [(0,), (0,), (0, 3)]


@pytest.mark.parametrize(
    ("atoms", "cutoff"),
    [
        (Atoms("Cu", cell=[1e-4, 1e-4, 1e-4], pbc=True), 5.0),
        (Atoms("Cu", cell=[1e-7, 4, 4], pbc=True), 5.0),
        (Atoms("Cu", cell=[2.5, 2.5, 2.5], pbc=True), 100.0),
        (Atoms("Cu", cell=[2.5, 2.5, 2.5], pbc=True), 800.0),
        (Atoms("Cu8000", positions=np.random.default_rng(0).uniform(0, 2, (8000, 3))), 5.0),
    ],
)
def test_more_neighbors_than_memory_should_hold(atoms, cutoff):
    begin = time.process_time()
    with pytest.raises(ValueError, match="too many neighbors"):
        neighbors(atoms, cutoff)
    # A second; more under sanitizers.
    assert time.process_time() - begin < 10.0


def test_lengths_that_cannot_be_searched():
    for position in (np.nan, np.inf, 1e9):
        with pytest.raises(ValueError, match="cell"):
            neighbors(Atoms("Cu", positions=[[position, 0, 0]], cell=[3, 3, 3], pbc=True), 5.0)
    for cutoff in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="cutoff"):
            neighbors(Atoms("Cu"), cutoff)
    assert neighbors(bulk("Cu"), 5e-324).n_pairs == 0


def test_pairs_at_the_very_cutoff():
    # Atoms many cells away, pairs closer than the cutoff by the last bits: rounding loses some of them,
    # unless there is a margin for it.
    rng = np.random.default_rng(0)
    for _ in range(300):
        length, n = rng.uniform(2.0, 4.0), int(rng.integers(1, 4))
        x = (rng.uniform(0.1, 0.9) + np.array([0, *rng.integers(-999, 999, 3)])) * length
        atoms = Atoms("Cu4", cell=[length, 100, 100], positions=x[:, None] * [1, 0, 0], pbc=(1, 0, 0))
        cutoff = np.nextafter(n * length, np.inf)
        i, j, S = neighbors(atoms, cutoff).to_arrays()
        wrap = -np.floor(x / length)
        first, second, shift = np.meshgrid(range(4), range(4), np.arange(-2050, 2051), indexing="ij")
        distance = (x[second] + (wrap[first] + shift) * length) - (x[first] + wrap[first] * length)
        inside = (distance**2 < cutoff**2) & ((first != second) | (shift != 0))
        expected = set(zip(first[inside], second[inside], shift[inside], strict=True))
        assert set(zip(i, j, S[:, 0], strict=True)) == expected


def found_by_species(atoms, cutoff):
    species = sorted(set(atoms.numbers))
    species_a = np.searchsorted(species, atoms.numbers).astype(np.int32)
    return species_a, find_neighbors(
        atoms.positions, atoms.cell.array, atoms.pbc, cutoff, species_a, len(species)
    )


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_neighbors_by_species(name):
    atoms, cutoff = sample(name)
    species_a, (first_as, neighbor_p, vector_pc, distance_p) = found_by_species(atoms, cutoff)
    n_species = species_a.max() + 1
    assert first_as.shape == (len(atoms) * n_species + 1,)
    assert (first_as[0], first_as[-1]) == (0, len(neighbor_p))
    bucket_p = np.repeat(np.arange(len(first_as) - 1), np.diff(first_as))
    center_p = bucket_p // n_species
    np.testing.assert_array_equal(species_a[neighbor_p], bucket_p % n_species)
    np.testing.assert_array_equal(distance_p, np.sqrt((vector_pc**2).sum(axis=1)))
    i, j, D = neighbor_list("ijD", atoms, cutoff, self_interaction=False)
    found = np.column_stack([center_p, neighbor_p, vector_pc])
    expected = np.column_stack([i, j, D])
    order = [np.lexsort(np.round(rows, 8).T) for rows in (found, expected)]
    np.testing.assert_allclose(found[order[0]], expected[order[1]], rtol=0, atol=1e-12)
    # Each pair in both directions, to the last bit.
    forth = {(a, b, *v) for a, b, v in zip(center_p, neighbor_p, vector_pc.tolist(), strict=True)}
    back = {(b, a, *v) for a, b, v in zip(center_p, neighbor_p, (-vector_pc).tolist(), strict=True)}
    assert forth == back


def test_neighbors_by_species_want_their_species():
    atoms = bulk("Cu", cubic=True)
    for species, n_species in (([0, 0, 0, 1], 1), ([0, 0, -1, 0], 1), ([0, 0, 0], 1), ([0, 0, 0, 0], 0)):
        with pytest.raises(ValueError, match="species"):
            find_neighbors(
                atoms.positions, atoms.cell.array, atoms.pbc, 3.0, np.array(species, np.int32), n_species
            )


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
    from plip._design._rows import Design, StructureDesign

    for name in ("bulk", "molecule", "three species"):
        atoms, cutoff = sample(name)
        potential = sample_potential(atoms, cutoff, n_terms=None)
        terms = [term for term, _ in potential.terms]
        design = StructureDesign(Design(terms, potential.species), atoms)
        force_rows = np.zeros((3 * len(atoms), len(terms)))
        design.write_rows(0, force_rows)
        exact = (force_rows @ potential.coef).reshape(-1, 3)
        assert np.abs(potential.forces(atoms) - exact).max() < 1e-9


@pytest.mark.parametrize(
    ("interaction", "distance", "unit"),
    [
        ({"four_body": FourBody(Power(powers=-6.0), ranks=((1, 2, 1),))}, 0.069, 1e-26),
        ({"n_body": NBody(LennardJones(sigma=1.9), powers=(7,))}, 0.12, 1e-110),
    ],
)
def test_tables_of_moments_that_grow_beyond_their_bounds(interaction, distance, unit):
    """One neighbor that is much closer than tables expect, against the exact kernels."""
    terms = build_terms(["Cu"], 4.0, **interaction)
    chosen = SimpleNamespace(terms_=terms, species_=("Cu",))
    potential = Potential(chosen, np.full(len(terms), unit), {"Cu": 0.0})
    worst = 0.0
    for stretch in np.linspace(1.0, 1.2, 41):
        atoms = Atoms("Cu3", [[0, 0, 0], [0, 0, distance * stretch], [0, 1.5, 1.5]])
        design = StructureDesign(Design(terms, ("Cu",)), atoms)
        rows = np.zeros((9, len(terms)))
        design.write_rows(0, rows)
        exact = (rows @ potential.coef).reshape(-1, 3)
        worst = max(worst, np.abs(potential.forces(atoms) - exact).max() / (1.0 + np.abs(exact).max()))
    assert worst < 1e-8


def test_switch_is_exact_at_its_ends():
    r_short = 2.0
    terms = build_terms(
        ["Cu"], 4.0, n_body=NBody(Gaussian(eta=1.0, centers=2.0), powers=2, switch={("Cu", "Cu"): r_short})
    )
    potential = Potential(SimpleNamespace(terms_=terms, species_=("Cu",)), [1.0], {"Cu": 0.0})
    for r in (0.9499 * r_short, 0.95 * r_short, 0.951 * r_short, 2.0, 1.0499 * r_short, 1.05 * r_short, 2.5):
        atoms = Atoms("Cu2", positions=[[0, 0, 0], [r, 0, 0]])
        assert potential.energy(atoms) == pytest.approx(oracle.oracle_energy(atoms, terms[0]), abs=1e-10)


FUNCTIONS = [
    Gaussian(eta=2.0, centers=2.0),
    Slater(powers=1.5, zeta=0.8),
    GaussianType(powers=2.0, zeta=0.4),
    StillingerWeber(gamma=-1.5, onset=0.9),
    Power(powers=-3.0),
    Lorentzian(centers=1.5, exponents=6.0),
    Lorentzian(centers=1.5, exponents=2.0),
    LogNormal(onsets=0.5, scales=1.4),
    LennardJones(sigma=1.9),
]


@pytest.mark.parametrize("switch", [0.0, 2.0])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.label())
def test_derivatives_that_tables_are_made_of(function, switch):
    step = 1e-3
    for r in (0.7, 1.3, 1.95, 2.04, 2.6, 4.4):
        near = np.array([radial_function(function, 4.5, switch, r + n * step) for n in range(-3, 4)])
        differences = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60 @ near / step
        value, first, second = near[3]
        scale = np.abs(near).max() + 1e-3
        # Truncation, and rounding over the step.
        assert first == pytest.approx(differences[0], abs=1e-8 * scale)
        assert second == pytest.approx(differences[1], abs=1e-8 * scale)
        expected = function.evaluate(r)[0] * (1 + np.cos(np.pi * r / 4.5)) / 2
        if switch == 0.0:
            assert value == pytest.approx(expected, rel=1e-13)


def test_powers_that_overflow():
    function = Lorentzian(centers=1.0, exponents=1000.0)
    for r in (0.0, 0.5, 1.0, 1.99, 2.0, 2.01, 4.0):
        assert np.isfinite(radial_function(function, 5.0, 0.0, r)).all()


@pytest.mark.parametrize(
    "function",
    [
        Gaussian(eta=1e308, centers=3.0),
        Slater(powers=1.0, zeta=1e308),
        Slater(powers=1e308, zeta=1.0),
        GaussianType(powers=1.0, zeta=1e308),
        GaussianType(powers=1e200, zeta=1.0),
        StillingerWeber(gamma=-1e308, onset=0.5),
        LogNormal(onsets=0.5, scales=1e308),
    ],
    ids=lambda function: function.label(),
)
def test_functions_that_have_vanished_have_no_derivatives(function):
    """Not zero times infinity."""
    for r in (0.6, 0.9):
        np.testing.assert_array_equal(radial_function(function, 5.0, 0.0, r), 0.0)


def test_forces_that_are_not_finite_are_an_error():
    """Of a function whose value at an atom is finite and whose slope is not."""
    function = Lorentzian(centers=1.0, exponents=1e306)
    value, slope, _ = radial_function(function, 5.0, 0.0, 2.0)
    assert value == pytest.approx(0.33, abs=0.01)
    assert slope < -1e304
    terms = build_terms(["Si"], 5.0, two_body=TwoBody(function))
    potential = Potential(SimpleNamespace(terms_=terms, species_=("Si",)), [1e5], {"Si": 0.0})
    atoms = Atoms("Si2", [[0, 0, 0], [0, 0, 2.0]])
    assert np.isfinite(potential.energy(atoms))
    with pytest.raises(ValueError, match="or a force, is not finite"):
        potential.evaluate(atoms)


# Steep functions at short distance


STEEP = [
    LennardJones(sigma=2.3),
    Power(powers=-6.0),
    Slater(powers=-4.0, zeta=0.5),
    GaussianType(powers=-5.0, zeta=0.2),
    StillingerWeber(gamma=-1.5, onset=0.2),
    LogNormal(onsets=0.1, scales=1.0),
]


def potential_of(terms, coef):
    species = tuple(sorted({symbol for term in terms for symbol in term.species}))
    return Potential(SimpleNamespace(terms_=terms, species_=species), coef, dict.fromkeys(species, 0.0))


@pytest.mark.parametrize("function", STEEP, ids=lambda function: type(function).__name__)
def test_isolated_pairs_have_no_three_body_energy(function):
    """None at all where a neighbor's part with itself is large; elsewhere what the tables promise."""
    terms = build_terms(["Cu"], 5.0, three_body=ThreeBody([function, Gaussian(1.0, 1.0)], 3, mixed=True))
    coef = np.random.default_rng(0).normal(size=len(terms))
    potential = potential_of(terms, coef)
    for distance in np.geomspace(0.02, 4.9, 80):
        pair = Atoms("Cu2", [[0, 0, 0], distance * np.array([0.48, 0.6, 0.64])])
        results = potential.evaluate(pair, stress=False)
        assert abs(results["energy"]) < 1e-9
        assert np.abs(results["forces"]).max() < 2e-9
        assert_exact_rows(pair, terms, *(np.zeros((*shape, len(terms))) for shape in ((), (2, 3), (6,))))


def close_neighbors(distance):
    """Atoms at this distance in a cluster, at a right angle, of two species, and in a crystal."""
    near = distance * np.array([0.48, 0.6, 0.64])
    return [
        Atoms("Cu3", [[0, 0, 0], near, [0.3, 2.6, 0.4]]),
        Atoms("Cu3", [[0, 0, 0], [distance, 0, 0], [0, 1.1 * distance, 0]]),
        Atoms("CuAgCuAg", [[0, 0, 0], near, [0.3, 2.6, 0.4], [2.5, -0.3, 0.2]]),
        Atoms("CuAg", [[0, 0, 0], near], cell=[[3.3, 0, 0], [0.2, 3.1, 0], [0, 0.1, 3.2]], pbc=True),
    ]


@pytest.mark.parametrize("distance", [0.2, 0.59, 1.1])
@pytest.mark.parametrize("function", STEEP, ids=lambda function: type(function).__name__)
def test_steep_functions_against_extended_precision(function, distance):
    rng = np.random.default_rng(0)
    for atoms in close_neighbors(distance):
        species = sorted(set(atoms.symbols))
        interaction = {
            "three_body": ThreeBody([function, Gaussian(1.0, 1.0)], 2, mixed=True),
            "n_body": NBody(function, powers=(2, 3)),
            "four_body": FourBody(function, ranks=((1, 1, 0),)) if len(species) == 1 else None,
        }
        terms = build_terms(species, 3.3, **interaction)
        exact = oracle.oracle_derivatives(atoms, terms)
        # Three-body terms count even where powers of densities are larger by far.
        for left_out in ((), ("N-body", "four-body")):
            coef = rng.normal(size=len(terms)) * 10.0 ** rng.integers(-6, 1)
            coef[[term.interaction in left_out for term in terms]] = 0.0
            potential = potential_of(terms, coef)
            energies, forces, strain, _ = evaluate(potential.core, potential, atoms)
            energy, exact_forces, exact_strain = (x @ coef.astype(np.longdouble) for x in exact)
            size = float(np.abs(exact_forces).max())
            # Beside the promise of the tables: rounding of steep functions, of which the table of a
            # neighbor that is hardly close enough holds 20 units over its spacing.
            assert abs(energies.sum() - energy) < 1e-9 + 1e-13 * size
            np.testing.assert_allclose(forces, exact_forces.astype(float), atol=2e-9 + 1e-10 * size, rtol=0)
            np.testing.assert_allclose(strain, exact_strain.astype(float), atol=5e-9 + 1e-10 * size, rtol=0)
        assert_exact_rows(atoms, terms, *exact)


def assert_exact_rows(atoms, terms, values, forces, strain):
    """The columns of a fit are right to rounding, however much larger a neighbor's part with itself is."""
    design = StructureDesign(Design(terms, sorted(set(atoms.symbols))), atoms, has_virials=True)
    force_rows, virial_rows = np.zeros((3 * len(atoms), len(terms))), design.virials
    design.write_rows(0, force_rows)
    # Odd powers of the cosine may cancel by symmetry: the largest force of all powers is what rounds. Bounded
    # functions may vanish at the closest neighbor and not at others, where they are below 1.
    sizes = {}
    for term, force in zip(terms, np.abs(forces).max(axis=(0, 1)), strict=True):
        key = term.interaction, term.species, term.radial
        sizes[key] = max(sizes.get(key, 0.0), float(force))
    atol = 1e-15 + 2e-12 * np.array([sizes[term.interaction, term.species, term.radial] for term in terms])
    assert (np.abs(design.values - values) < atol).all()
    assert (np.abs(force_rows - forces.reshape(force_rows.shape)) < atol).all()
    assert (np.abs(virial_rows - strain) < atol * 10.0).all()


ROOTS = [
    Gaussian(eta=1.0, centers=1.5),
    Gaussian(eta=6.0, centers=3.5),
    Slater(powers=0.0, zeta=3.0),
    GaussianType(powers=2.0, zeta=0.4),
    Lorentzian(centers=2.0, exponents=4.0),
]


@pytest.mark.parametrize("switch", [None, {("Cu", "Cu"): 2.4}], ids=["plain", "switch"])
@pytest.mark.parametrize("function", ROOTS, ids=lambda function: function.label())
def test_roots_of_densities_come_and_go_smoothly(function, switch):
    """One neighbor alone has the root g: no kink at the cutoff, nor errors of tables where g is tiny."""
    cutoff = 4.0
    terms = build_terms(["Cu"], cutoff, n_body=NBody(function, powers=0.5, switch=switch))
    potential = potential_of(terms, np.array([-3.0]))
    ends = cutoff - np.array([3e-4, 1e-3, 5e-3, 0.02, 0.05])
    for r in np.sort(np.concatenate([np.linspace(0.5, 3.9, 100), ends])):
        pair = Atoms("Cu2", [[0, 0, 0], [r, 0, 0]])
        exact_energy, exact_forces, _ = (-3.0 * x[..., 0] for x in oracle.oracle_derivatives(pair, terms))
        energies, forces, _, _ = evaluate(potential.core, potential, pair)
        assert energies.sum() == pytest.approx(float(exact_energy), abs=1e-9)
        np.testing.assert_allclose(forces, exact_forces.astype(float), atol=2e-9, rtol=0)
    # So near the cutoff that the square of g is rounding, it is nothing.
    for distance in (cutoff - 1e-5, cutoff - 1e-7, cutoff):
        last = evaluate(potential.core, potential, Atoms("Cu2", [[0, 0, 0], [distance, 0, 0]]))
        assert np.abs(last[0]).max() < 1e-10
        assert np.abs(last[1]).max() < 1e-5


@pytest.mark.parametrize("unit", [1.0, 1e-5])
@pytest.mark.parametrize("function", STEEP[:3], ids=lambda function: type(function).__name__)
def test_nothing_jumps_where_neighbors_become_steep(function, unit):
    """Found by the energy of a pair, which is exactly 0 where the neighbors are steep."""
    terms = build_terms(["Cu"], 5.0, three_body=ThreeBody(function, 2))
    potential = potential_of(terms, unit * np.array([0.3, -0.2, 0.5]))

    trimer = np.array([[0.0, 0.0, 0.0], [0.48, 0.6, 0.64], [0.3, 2.6, 0.4]])

    def results(distance, n_atoms):
        positions = trimer[:n_atoms] * np.array([[0.0], [distance], [1.0]])[:n_atoms]
        found = potential.evaluate(Atoms(f"Cu{n_atoms}", positions), stress=False)
        return found["energy"], found["forces"]

    def apart(distance):
        energy, forces = results(distance, 2)
        return energy == 0.0 and not forces.any()

    inside, outside = 0.05, 2.5
    assert apart(inside) and not apart(outside)
    while outside - inside > 1e-12:
        middle = 0.5 * (inside + outside)
        inside, outside = (middle, outside) if apart(middle) else (inside, middle)
    (energy, forces), (next_energy, next_forces) = results(inside, 3), results(outside, 3)
    size = np.abs(forces).max()
    assert next_energy - energy == pytest.approx(0.0, abs=1e-10 + 2e-12 * size)
    np.testing.assert_allclose(next_forces, forces, atol=2e-9 + 2e-11 * size, rtol=0)


def test_steep_neighbors_of_crowded_atoms():
    """Forces are the gradient of the energy where binding ends, too."""
    terms = build_terms(["Cu"], 5.0, two_body=TwoBody(Power(powers=-2.0)), three_body=ThreeBody(STEEP[0], 2))
    potential = beyond(potential_of(terms, [1.0, 0.3, -0.2, 0.5]), density_limits={"Cu": (4.0, 0.9)})
    atoms = Atoms("Cu4", [[0, 0, 0], [0.5, 0.6, 0.64], [0.3, 2.6, 0.4], [2.5, -0.3, 0.2]])
    forces, step = potential.forces(atoms), 1e-5
    for place in np.ndindex(4, 3):
        energies = []
        for sign in (-1, 1):
            moved = atoms.copy()
            moved.positions[place] += sign * step
            energies.append(potential.energy(moved))
        difference = (energies[0] - energies[1]) / (2 * step)
        # Second differences of functions that grow 12-fold per relative step.
        assert forces[place] == pytest.approx(difference, abs=1e-6 * np.abs(forces).max())


def test_last_interval_before_the_cutoff():
    # Distances below the cutoff that the spacing of the table rounds up to it.
    reached = 0
    for cutoff in np.linspace(3.0, 5.0, 200):
        r = np.nextafter(cutoff, 0.0)
        if int(r * (1.0 / (cutoff / 256))) < 256:
            continue
        reached += 1
        atoms = Atoms("Cu2", positions=[[0, 0, 0], [r, 0, 0]])
        terms = build_terms(
            ["Cu"],
            cutoff,
            two_body=TwoBody(Gaussian(eta=1.0, centers=2.0)),
            three_body=ThreeBody(Gaussian(eta=1.0, centers=2.0), 2),
        )
        potential = Potential(
            SimpleNamespace(terms_=terms, species_=("Cu",)), np.ones(len(terms)), {"Cu": 0.0}
        )
        energies, forces, strain, _ = evaluate(core_of(potential), potential, atoms, skin=0.1)
        np.testing.assert_allclose(np.concatenate([energies, forces.ravel(), strain]), 0.0, atol=1e-12)
    assert reached > 5


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
