"""The value of every column: analytic cases, then the oracle, for every interaction, family and structure."""

import numpy as np
import oracle
import pytest
from ase import Atoms
from sample_structures import SAMPLE_NAMES, sample, switch_radius
from sklearn.base import clone

from plip import PLIPDescriptors
from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.radial import Gaussian, Lorentzian, Power, Slater

RANKS = ((1, 1, 0), (1, 1, 1), (2, 1, 0), (0, 0, 0), (2, 0, 1), (1, 2, 1), (2, 2, 2), (3, 1, 0))


def describe(atoms, cutoff, **interactions):
    """Terms and energy columns of one structure; interactions that are not named are left out."""
    interactions = {"two_body": None, "three_body": None, "n_body": None, "four_body": None} | interactions
    descriptors = PLIPDescriptors(cutoff=cutoff, **interactions).fit([atoms])
    columns = descriptors.transform([atoms])
    assert columns.shape == (1, len(descriptors.terms_))
    assert columns.dtype == np.float64
    return descriptors.terms_, columns[0]


def assert_columns_are(values, expected, magnitudes):
    """1e-10 of a column; where it cancels to less than a hundredth, rounding of its parts (1e-12) decides."""
    bad = ~(np.abs(values - expected) <= 1e-10 * np.abs(expected) + 1e-12 * magnitudes)
    assert not bad.any(), f"columns {np.flatnonzero(bad)}: {values[bad]} instead of {expected[bad]}"


def assert_matches_oracle(atoms, cutoff, **interactions):
    terms, values = describe(atoms, cutoff, **interactions)
    expected = oracle.oracle_energies(atoms, terms)
    assert_columns_are(values, expected, oracle.oracle_magnitudes(atoms, terms))
    return expected


# ------------------------------------------------------------------------------
# Cases that can be solved by hand. They test the oracle and the package.
# ------------------------------------------------------------------------------


def both(atoms, cutoff, **interactions):
    terms, values = describe(atoms, cutoff, **interactions)
    return terms, [values, oracle.oracle_energies(atoms, terms)]


def fc(r, cutoff):
    return 0.5 * (1 + np.cos(np.pi * r / cutoff))


GAUSSIANS = Gaussian(eta=1.0, centers=[1.5, 2.5])


def test_dimer_counts_its_pair_once():
    r = 1.7
    g = np.exp(-((r - np.array([1.5, 2.5])) ** 2)) * fc(r, 4.0)
    for symbols in ("SiSi", "SiO", "OSi"):
        _, results = both(Atoms(symbols, [[0, 0, 0], [0, r, 0]]), 4.0, two_body=TwoBody(GAUSSIANS))
        for values in results:
            np.testing.assert_allclose(values[np.abs(values) > 0], g, rtol=1e-13)


def test_dimer_has_two_centers_and_no_triplet():
    r = 1.7
    g = np.exp(-((r - 1.5) ** 2)) * fc(r, 4.0)
    one = Gaussian(eta=1.0, centers=1.5)
    terms, results = both(
        Atoms("Si2", [[0, 0, 0], [0, r, 0]]),
        4.0,
        three_body=ThreeBody(one),
        n_body=NBody(one, powers=(0.5, 2, 5)),
        four_body=FourBody(one),
    )
    expected = {"three-body": 0.0, "four-body": 2 * g**3}
    for values in results:
        for term, value in zip(terms, values, strict=True):
            wanted = (
                2 * g ** max(term.power, 1) if term.interaction == "N-body" else expected[term.interaction]
            )
            np.testing.assert_allclose(value, wanted, rtol=1e-12, atol=1e-15)


def test_chain_atom_is_its_own_neighbor():
    # One atom per period of 2 A, cutoff below 4 A: one pair per atom; two neighbors at 180 degrees.
    atoms = Atoms("C", cell=[0, 0, 2.0], pbc=(False, False, True))
    terms, results = both(
        atoms,
        3.5,
        two_body=TwoBody(Power(powers=0.0)),
        three_body=ThreeBody(Power(powers=0.0), max_power=3),
        n_body=NBody(Power(powers=0.0), powers=(2, 3)),
    )
    g = fc(2.0, 3.5)
    for values in results:
        np.testing.assert_allclose(values, [g, g**2, -(g**2), g**2, -(g**2), 4 * g**2, 8 * g**3], rtol=1e-12)


def test_simple_cubic_crystal():
    # Six neighbors: 12 right angles and 3 straight ones; sum of g u u^T is 2 g times the unit matrix.
    atoms = Atoms("Po", cell=[3.0, 3.0, 3.0], pbc=True)
    radial = Slater(powers=1.0, zeta=0.4)
    terms, results = both(
        atoms,
        4.0,
        two_body=TwoBody(radial),
        three_body=ThreeBody(radial, max_power=5),
        n_body=NBody(radial, powers=(4, 7)),
        four_body=FourBody(radial, ranks=((1, 1, 0), (1, 1, 1), (2, 2, 2), (0, 0, 0), (2, 0, 0), (2, 1, 0))),
    )
    g = 3.0 * np.exp(-1.2) * fc(3.0, 4.0)
    triplets = np.array([15, -3, 3, -3, 3, -3])
    four = np.array([0, 24, 24, 216, 72, 0])
    expected = np.concatenate([[3 * g], triplets * g**2, [(6 * g) ** 4, (6 * g) ** 7], four * g**3])
    for values in results:
        np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12 * 216 * g**3)


def test_mixed_arms_of_a_bent_molecule():
    # O between H (1.0 A) and H (1.2 A), 100 degrees: a != b counts both orders.
    angle = np.deg2rad(100.0)
    atoms = Atoms("OHH", [[0, 0, 0], [1.0, 0, 0], [1.2 * np.cos(angle), 1.2 * np.sin(angle), 0]])
    radial = Power(powers=[1.0, 2.0])
    terms, results = both(atoms, 1.5, three_body=ThreeBody(radial, max_power=1, mixed=True))
    f, h = fc(1.0, 1.5), fc(1.2, 1.5)
    expected = {(1, 1): 1.2 * f * h, (1, 2): (1.0 * 1.44 + 1.0 * 1.2) * f * h, (2, 2): 1.44 * f * h}
    for values in results:
        for term, value in zip(terms, values, strict=True):
            powers = tuple(int(f.powers) for f in term.radial)
            wanted = (
                expected[powers] * np.cos(angle) ** term.power if term.species == ("O", "H", "H") else 0.0
            )
            np.testing.assert_allclose(value, wanted, rtol=1e-12, atol=1e-15)


def test_arms_of_different_species_keep_their_functions():
    # C between H (1.1 A, right arm) and O (1.3 A): function a belongs to the arm that comes first in the
    # alphabet.
    atoms = Atoms("CHO", [[0, 0, 0], [1.1, 0, 0], [0, 1.3, 0]])
    terms, results = both(atoms, 1.6, three_body=ThreeBody(Power(powers=[1.0, 3.0]), max_power=0, mixed=True))
    for values in results:
        for term, value in zip(terms, values, strict=True):
            if term.species == ("C", "H", "O"):
                a, b = (f.powers for f in term.radial)
                np.testing.assert_allclose(value, 1.1**a * 1.3**b * fc(1.1, 1.6) * fc(1.3, 1.6), rtol=1e-12)
            else:
                np.testing.assert_allclose(value, 0.0, atol=1e-15)


@pytest.mark.parametrize(("r", "share"), [(1.8, 0.0), (1.9, 0.0), (2.0, 0.5), (2.1, 1.0), (2.3, 1.0)])
@pytest.mark.parametrize("pair", [("Si", "O"), ("O", "Si")])
def test_switch_of_the_density(r, share, pair):
    n_body = NBody(Power(powers=0.0), powers=(2,), switch={pair: 2.0})
    terms, results = both(Atoms("SiO", [[0, 0, 0], [0, 0, r]]), 4.0, n_body=n_body)
    for values in results:
        for term, value in zip(terms, values, strict=True):
            wanted = (share * fc(r, 4.0)) ** 2 if set(term.species) == {"O", "Si"} else 0.0
            # 1e-12: the step's argument u carries the rounding of r / (0.1 r_short).
            np.testing.assert_allclose(value, wanted, rtol=1e-12, atol=1e-25)


# ------------------------------------------------------------------------------
# The oracle
# ------------------------------------------------------------------------------


def test_oracle_quadruplets_against_literal_loops(one_of_each):
    """The oracle sums quadruplets by broadcasting; here they are written out, atom by atom."""
    atoms, cutoff = sample("molecule")
    radial = [one_of_each["Slater"], one_of_each["Gaussian"]]
    terms, _ = describe(atoms, cutoff, four_body=FourBody(radial, ranks=((2, 1, 0), (3, 1, 2))))
    position, symbols = atoms.positions, atoms.get_chemical_symbols()

    def g(function, i, j):
        r = np.linalg.norm(position[j] - position[i])
        return oracle.phi(function, r) * fc(r, cutoff) if r < cutoff else 0.0

    def cos(i, j, k):
        u, v = position[j] - position[i], position[k] - position[i]
        return u @ v / np.linalg.norm(u) / np.linalg.norm(v)

    for term in terms[::97]:
        value = 0.0
        (s, s_a, s_b, s_c), (a, b, c), (p, q, t) = term.species, term.radial, term.power
        for i in (i for i in range(6) if symbols[i] == s):
            for j in (j for j in range(6) if j != i and symbols[j] == s_a):
                for k in (k for k in range(6) if k != i and symbols[k] == s_b):
                    for m in (m for m in range(6) if m != i and symbols[m] == s_c):
                        angles = cos(i, j, k) ** p * cos(i, k, m) ** q * cos(i, m, j) ** t
                        value += g(a, i, j) * g(b, i, k) * g(c, i, m) * angles
        np.testing.assert_allclose(oracle.oracle_energy(atoms, term), value, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_two_body(families, name):
    atoms, cutoff = sample(name)
    expected = assert_matches_oracle(atoms, cutoff, two_body=TwoBody(list(families.values())))
    assert expected.any() == (name != "isolated atom")


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_three_body(one_of_each, name):
    atoms, cutoff = sample(name)
    assert_matches_oracle(
        atoms, cutoff, three_body=ThreeBody(list(one_of_each.values()), cutoff=0.95 * cutoff)
    )


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_three_body_mixed(one_of_each, name):
    atoms, cutoff = sample(name)
    functions = list(one_of_each.values())
    if len(set(atoms.symbols)) > 1:  # pairs of functions times pairs of species are many columns
        functions = functions[:3]
    assert_matches_oracle(atoms, cutoff, three_body=ThreeBody(functions, max_power=3, mixed=True))


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_n_body(families, name):
    atoms, cutoff = sample(name)
    n_body = NBody(list(families.values()), powers=(2, 3, 4, 5, 7), cutoff=0.9 * cutoff)
    assert_matches_oracle(atoms, cutoff, n_body=n_body)


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_roots_of_densities(families, name):
    atoms, cutoff = sample(name)
    functions = [function for function in families.values() if not function.changes_sign]
    assert_matches_oracle(atoms, cutoff, n_body=NBody(functions, powers=(0.5, 2), cutoff=0.9 * cutoff))


@pytest.mark.parametrize("name", [name for name in SAMPLE_NAMES if name != "isolated atom"])
def test_n_body_with_a_switch(one_of_each, name):
    atoms, cutoff = sample(name)
    # Half way up the switch of the closest pair, so that the step itself is met.
    closest = oracle.pair_distances(atoms, cutoff)[0]
    pairs = {
        (a, b): switch_radius(atoms, closest)
        for a in set(atoms.symbols)
        for b in set(atoms.symbols)
        if a <= b
    }
    with_switch = assert_matches_oracle(
        atoms, cutoff, n_body=NBody(list(one_of_each.values()), powers=(2, 5), switch=pairs)
    )
    without = assert_matches_oracle(atoms, cutoff, n_body=NBody(list(one_of_each.values()), powers=(2, 5)))
    assert not np.allclose(with_switch, without, rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_four_body(one_of_each, name):
    atoms, cutoff = sample(name)
    n_functions = {1: 2, 2: 2, 3: 1}[len(set(atoms.symbols))]
    radial = [one_of_each[family] for family in ("Slater", "Lorentzian")][:n_functions]
    assert_matches_oracle(atoms, cutoff, four_body=FourBody(radial, ranks=RANKS))


@pytest.mark.parametrize("name", ["one-atom cell", "chain"])
def test_four_body_of_every_family(one_of_each, name):
    atoms, cutoff = sample(name)
    for first, second in zip(
        oracle.FAMILY_NAMES, oracle.FAMILY_NAMES[1:] + oracle.FAMILY_NAMES[:1], strict=True
    ):
        radial = [one_of_each[first], one_of_each[second]]
        assert_matches_oracle(atoms, cutoff, four_body=FourBody(radial, cutoff=0.9 * cutoff))


def test_high_powers():
    """Powers above the defaults: cos^9 needs moments up to rank 9."""
    atoms, cutoff = sample("two species")
    radial = Gaussian(eta=1.0, centers=2.0)
    assert_matches_oracle(
        atoms,
        cutoff,
        three_body=ThreeBody(radial, max_power=9),
        n_body=NBody(radial, powers=(11,)),
        four_body=FourBody(radial, ranks=((4, 2, 0), (3, 3, 1), (0, 3, 0))),
    )


def test_each_interaction_has_its_own_cutoff():
    atoms, _ = sample("triclinic")
    radial = Gaussian(eta=0.5, centers=[1.5, 2.5])
    assert_matches_oracle(
        atoms,
        4.5,
        two_body=TwoBody(radial),
        three_body=ThreeBody(radial, cutoff=3.1),
        n_body=NBody(radial, cutoff=3.9),
        four_body=FourBody(radial, cutoff=2.7),
    )


def test_neighbors_exactly_at_the_cutoff_do_not_count():
    # Shells of simple cubic (2 A): 4 A is a shell, and exactly representable.
    atoms = Atoms("Po", cell=[2.0, 2.0, 2.0], pbc=True)
    radial = Power(powers=[0.0, 2.0])
    assert_matches_oracle(
        atoms,
        4.0,
        two_body=TwoBody(radial),
        three_body=ThreeBody(radial),
        n_body=NBody(radial),
        four_body=FourBody(radial),
    )


def test_real_data(shared_datasets):
    """A structure of a published data set, with the default interactions."""
    from ase.io import read

    atoms = read(shared_datasets / "MoNb_train.xyz", index=0)
    descriptors = PLIPDescriptors(cutoff=3.6).fit([atoms])
    terms = descriptors.terms_[::40]
    values = descriptors.transform([atoms])[0, ::40]
    assert_columns_are(values, oracle.oracle_energies(atoms, terms), oracle.oracle_magnitudes(atoms, terms))


# ------------------------------------------------------------------------------
# The parameter classes
# ------------------------------------------------------------------------------

INTERACTIONS = [
    TwoBody(Gaussian(centers=8), cutoff=4.0),
    ThreeBody([Gaussian(centers=4), Lorentzian(centers=3, exponents=2)], max_power=3, mixed=True),
    NBody(Slater(powers=1.0, zeta=1.0), powers=(2, 3), switch={("Si", "O"): 2.4}),
    FourBody(Gaussian(eta=1.0, centers=[1.0, 2.0]), ranks=((1, 1, 1),)),
]


@pytest.mark.parametrize("interaction", INTERACTIONS, ids=lambda i: type(i).__name__)
def test_parameters_round_trip(interaction):
    flat = interaction.get_params(deep=False)
    assert all(getattr(interaction, key) is value for key, value in flat.items())
    twin = clone(interaction)
    assert twin is not interaction
    assert twin == interaction
    assert twin.set_params(cutoff=3.5) is twin
    assert twin.cutoff == 3.5
    assert twin != interaction


def test_nested_parameters_are_reachable():
    three_body = ThreeBody(Gaussian(centers=8))
    assert three_body.get_params()["radial__centers"] == 8
    three_body.set_params(radial__centers=4, max_power=2)
    assert (three_body.radial.centers, three_body.max_power) == (4, 2)
    assert "radial__centers" not in three_body.get_params(deep=False)


def test_defaults_are_the_published_powers():
    assert ThreeBody(Gaussian()).max_power == 5
    assert ThreeBody(Gaussian()).mixed is False
    assert NBody(Gaussian()).powers == (4, 5, 6, 7)
    assert NBody(Gaussian()).switch is None
    assert FourBody(Gaussian()).ranks == ((1, 1, 0), (1, 1, 1), (2, 1, 0))
    assert {i(Gaussian()).cutoff for i in (TwoBody, ThreeBody, NBody, FourBody)} == {None}


def test_constructors_only_assign():
    radial, powers, switch = [Gaussian(eta=-1.0)], [1, "x"], {"Si": -1}
    n_body = NBody(radial, powers=powers, switch=switch, cutoff=-1)
    assert n_body.radial is radial
    assert n_body.powers is powers
    assert n_body.switch is switch
    assert n_body.cutoff == -1
