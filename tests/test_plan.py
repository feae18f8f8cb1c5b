"""The tables of the kernels: whatever they hold, the kernels stay within them."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from plip._core._rows import MONOMIALS, Kernel, vector_length
from plip._design._plan import build_plan
from plip._structures._neighbors import find_neighbors
from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.interactions._terms import build_terms
from plip.radial import Gaussian, Slater

SPECIES = ["O", "Si"]
RADIAL = [Gaussian(eta=1.0, centers=[1.5, 2.5, 3.0]), Slater(powers=1.0, zeta=1.0)]
# Tables whose entries are places in other tables, and numbers in the plan that are sizes.
TABLES = (
    "sets",
    "families",
    "centers",
    "groups_of",
    "moments",
    "powers",
    "products",
    "groups",
    "contributions",
)
SIZES = ("n_terms", "n_species", "n_labels", "state_size", "n_halves")
OUT_OF_RANGE = (-7, 2**31 - 1)


@pytest.fixture(scope="module")
def plan():
    """All interactions, two species, sets of Gaussians and of several families, two cutoffs."""
    terms = build_terms(
        SPECIES,
        4.0,
        two_body=TwoBody(RADIAL),
        three_body=ThreeBody(RADIAL[0], max_power=3, mixed=True, cutoff=3.5),
        n_body=NBody(RADIAL, powers=(2, 3), switch={("O", "Si"): 1.6}),
        four_body=FourBody(RADIAL[0].grid(4.0)[:1]),
    )
    return build_plan(terms, SPECIES, vector_length())


@pytest.fixture(scope="module")
def neighbors():
    atoms = Atoms("SiO2", [[0, 0, 0], [1.6, 0, 0], [0, 1.7, 0.2]], cell=[4.2, 4.3, 4.4], pbc=True)
    return find_neighbors(atoms, np.array([1, 0, 0], np.int32), 2, 4.0)


def rows(kernel, neighbors):
    n_atoms = len(neighbors.species_a)
    states, dominant = np.zeros((2, n_atoms, kernel.state_size)), np.zeros((n_atoms, kernel.n_labels))
    values, virials = np.zeros(kernel.n_terms), np.zeros((6, kernel.n_terms))
    kernel.values(neighbors, states, dominant, values, virials)
    forces = np.zeros((3 * n_atoms, kernel.n_terms))
    kernel.derivatives(neighbors, states, dominant, 0, forces)
    return values, forces, virials


def numbers_of(table):
    """Views of the integers of a table, one per number of a structure: (name, array of the entries)."""
    if table.dtype.names is None:
        yield "", table.reshape(-1)
        return
    for name in table.dtype.names:
        column = table[name]
        if column.dtype.names is not None:
            yield from ((f"{name}.{inner}", entries) for inner, entries in numbers_of(column))
        elif column.dtype.kind == "i":
            for place in np.ndindex(column.shape[table.ndim :]):
                yield f"{name}{list(place)}", column[(..., *place)].reshape(-1)


def changed(plan, table, number, entry, value):
    """The plan with one number of one entry changed; None if that is a number of the padding."""
    copy = getattr(plan, table).copy()
    flat = dict(numbers_of(copy.reshape(-1)))[number]
    flat[entry] = value
    return replace(plan, **{table: copy})


def is_padding(plan, table, entry):
    return table == "families" and plan.families[entry] == -1


@pytest.mark.parametrize("table", TABLES)
def test_every_number_out_of_range_is_an_error(plan, table):
    n_entries = getattr(plan, table).size
    # Only some entries of long tables: the first, the last, and some in between.
    chosen = {*range(min(n_entries, 40)), *range(0, n_entries, 1 + n_entries // 40), n_entries - 1}
    for number, _ in numbers_of(getattr(plan, table).reshape(-1)):
        for entry in chosen:
            for value in OUT_OF_RANGE:
                if not is_padding(plan, table, entry):
                    with pytest.raises(ValueError, match="tables of the kernels"):
                        Kernel(changed(plan, table, number, entry, value))


@pytest.mark.parametrize("table", TABLES)
def test_other_numbers_are_errors_or_stay_within_the_tables(plan, table, neighbors):
    """Numbers near those that were there may pass; the sanitizers watch what the kernels then read."""
    rng = np.random.default_rng(TABLES.index(table))
    numbers = [number for number, _ in numbers_of(getattr(plan, table).reshape(-1))]
    n_passed = 0
    for _ in range(150):
        number, entry = rng.choice(numbers), rng.integers(getattr(plan, table).size)
        before = dict(numbers_of(getattr(plan, table).reshape(-1)))[number][entry]
        value = int(before + rng.choice([-1000, -64, -8, -2, -1, 1, 2, 3, 8, 64, 1000]))
        try:
            kernel = Kernel(changed(plan, table, number, entry, value))
        except ValueError:
            continue
        n_passed += 1
        rows(kernel, neighbors)
    assert n_passed < 150


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("value", [-7, -1, 2**31, 2**70])
def test_impossible_sizes_are_errors(plan, size, value):
    with pytest.raises(ValueError, match="tables of the kernels"):
        Kernel(replace(plan, **{size: value}))


@pytest.mark.parametrize("size", SIZES)
def test_other_sizes_are_errors_or_stay_within_the_tables(plan, size, neighbors):
    for step in (-9, -8, -1, 1, 8, 9):
        try:
            kernel = Kernel(replace(plan, **{size: getattr(plan, size) + step}))
        except ValueError:
            continue
        if kernel.n_species == 2:
            rows(kernel, neighbors)
        else:
            with pytest.raises(ValueError, match="shapes"):
                rows(kernel, neighbors)


@pytest.mark.parametrize(
    ("table", "value"),
    [
        ("cutoffs", np.nan),
        ("cutoffs", -1.0),
        ("cutoffs", np.inf),
        ("switches", np.nan),
        ("switches", -1.0),
        ("p", np.nan),
        ("q", np.inf),
    ],
)
def test_impossible_lengths_and_parameters_are_errors(plan, table, value):
    copy = getattr(plan, table).copy()
    copy.reshape(-1)[0] = value
    with pytest.raises(ValueError, match="tables of the kernels"):
        Kernel(replace(plan, **{table: copy}))


@pytest.mark.parametrize("table", [*TABLES, "cutoffs", "switches", "p", "q"])
def test_tables_of_another_type_or_shape_are_errors(plan, table):
    whole = getattr(plan, table)
    not_contiguous = np.repeat(whole, 2, axis=0)[::2]
    for other in (whole.tolist(), np.zeros(whole.shape, np.float32), whole[None], not_contiguous):
        with pytest.raises(ValueError, match="tables of the kernels"):
            Kernel(replace(plan, **{table: other}))


def test_a_plan_of_other_vectors_is_an_error(plan):
    terms = build_terms(SPECIES, 4.0, two_body=TwoBody(RADIAL[0]))
    other = build_plan(terms, SPECIES, 3)
    with pytest.raises(ValueError, match="tables of the kernels"):
        Kernel(other)


def test_tables_cannot_be_changed(plan):
    with pytest.raises(ValueError, match="read-only"):
        plan.moments["state"][0] = 1


@pytest.mark.parametrize(
    ("name", "entry", "value", "message"),
    [
        ("species_a", 0, 2, "species"),
        ("species_a", 2, -1, "species"),
        ("first_as", 0, 1, "first"),
        ("first_as", 2, 10**9, "end before"),
        ("first_as", -1, 0, "last"),
        ("neighbor_p", 5, 3, "pair 5"),
        ("neighbor_p", 0, -1, "pair 0"),
    ],
)
def test_neighbors_that_are_not_there_are_errors(plan, neighbors, name, entry, value, message):
    kernel = Kernel(plan)
    array = getattr(neighbors, name).copy()
    array[entry] = value
    states, dominant = np.zeros((2, 3, kernel.state_size)), np.zeros((3, kernel.n_species))
    with pytest.raises(ValueError, match=message):
        kernel.values(replace(neighbors, **{name: array}), states, dominant, np.zeros(kernel.n_terms))


def test_arrays_of_another_shape_are_errors(plan, neighbors):
    kernel = Kernel(plan)
    states, dominant = np.zeros((2, 3, kernel.state_size)), np.zeros((3, kernel.n_species))
    values = np.zeros(kernel.n_terms)
    for arrays in (
        (states[:1].copy(), dominant, values),
        (states[:, 1:].copy(), dominant, values),
        (states[:, :, 1:].copy(), dominant, values),
        (states, dominant[1:], values),
        (states, dominant[:, 1:].copy(), values),
        (states, dominant, values[1:]),
        (states, dominant, values, np.zeros((5, kernel.n_terms))),
        (states, dominant, values, np.zeros((6, kernel.n_terms + 1))),
    ):
        with pytest.raises(ValueError, match="shape"):
            kernel.values(neighbors, *arrays)
    kernel.values(neighbors, states, dominant, values)
    forces = np.zeros((9, kernel.n_terms))
    for atom, of_forces in (
        (0, np.zeros((10, kernel.n_terms))),
        (0, forces[:, 1:]),
        (0, np.zeros((9, 2 * kernel.n_terms))[:, ::2]),
        (1, forces),
        (-1, forces),
        (2**63 - 1, forces),
    ):
        with pytest.raises(ValueError):
            kernel.derivatives(neighbors, states, dominant, atom, of_forces)
    with pytest.raises(ValueError, match="shapes"):
        kernel.values(replace(neighbors, distance_p=neighbors.distance_p[1:]), states, dominant, values)


def test_own_sums_of_monomials_are_an_error(plan):
    sets = plan.sets.copy()
    own = plan.moments["set"][plan.moments["own"] >= 0]
    sets["basis"][own], sets["max_degree"][own] = MONOMIALS, 0
    with pytest.raises(ValueError, match="own sums are those of harmonics"):
        Kernel(replace(plan, sets=sets))
