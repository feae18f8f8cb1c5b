"""Terms for any species: "*" in every place of every interaction, in fits and in potentials."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import oracle
import pytest
from ase import Atoms
from sample_potentials import beyond, make_potential
from sample_structures import random_structure, sample
from steep_functions import STEEP, assert_exact_rows, close_neighbors
from test_kernels import assert_derivatives

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, load_potential
from plip._design._rows import Design, StructureDesign
from plip.datasets import load_silicon_carbide
from plip.interactions import FourBody, NBody, Term, ThreeBody, TwoBody
from plip.interactions._sharing import Block, are_complete
from plip.interactions._terms import INTERACTIONS, build_terms
from plip.potential import Potential
from plip.radial import Gaussian, Slater

PAIRS = (["Mo", "Nb"], ["Mo", "Ta"], ["Mo", "Mo"], ["Nb", "Nb"], ["Ta", "Ta"])
SYMBOLS = (
    "Mo",
    "Nb",
    "Ta",
    "W",
    "Al",
    "Cu",
    "Fe",
    "Ni",
    "Co",
    "Cr",
    "V",
    "Ti",
    "Zr",
    "Hf",
    "Mn",
    "Re",
    "Ag",
    "Au",
    "Pt",
    "Pd",
)
SAMPLES = ("two species", "three species", "triclinic", "ribbon", "chain", "molecule")


def labelled_terms(species, cutoff, mixed=True):
    """Terms with "*" and the species in every combination of places."""
    radial = [Gaussian(eta=1.0, centers=1.7), Slater(powers=1.0, zeta=0.8)]
    return build_terms(
        ["*", *species],
        cutoff,
        two_body=TwoBody(radial),
        three_body=ThreeBody(radial, max_power=3, mixed=mixed, cutoff=0.95 * cutoff),
        n_body=NBody(radial, powers=(0.5, 2, 3)),
        four_body=FourBody(radial[:1], ranks=((1, 1, 0), (1, 1, 1), (2, 1, 0))),
    )


def potential_of(terms, coef, species):
    descriptors = SimpleNamespace(terms_=terms, species_=tuple(species))
    return Potential(descriptors, coef, dict.fromkeys(species, 0.0))


def species_of(atoms):
    return sorted(set(atoms.symbols))


def rows_of(atoms, terms):
    design = StructureDesign(Design(terms, species_of(atoms)), atoms, has_virials=True)
    forces = np.zeros((3 * len(atoms), len(terms)))
    design.write_rows(0, forces)
    return design.values, forces, design.virials


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("name", SAMPLES)
def test_columns_are_those_of_the_oracle(name, mixed):
    atoms, cutoff = sample(name)
    terms = labelled_terms(species_of(atoms), cutoff, mixed)
    values, _, _ = rows_of(atoms, terms)
    expected = oracle.oracle_energies(atoms, terms)
    allowed = 1e-10 * np.abs(expected) + 1e-12 * oracle.oracle_magnitudes(atoms, terms)
    bad = [terms[n].name for n in np.flatnonzero(~(np.abs(values - expected) <= allowed))]
    assert not bad


@pytest.mark.parametrize("name", ["two species", "chain"])
def test_derivatives_of_columns_are_those_of_the_oracle(name):
    atoms, cutoff = sample(name)
    atoms = atoms[:5] if name == "two species" else atoms
    terms = labelled_terms(species_of(atoms), cutoff)
    values, forces, virial = oracle.oracle_derivatives(atoms, terms)
    found = rows_of(atoms, terms)
    for rows, exact in zip(found, (values, forces.reshape(-1, len(terms)), virial), strict=True):
        size = 1.0 + np.abs(exact).max(axis=0)
        assert (np.abs(rows - exact) <= 1e-11 * size).all()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_potential_has_the_energies_of_the_oracle(name):
    atoms, cutoff = sample(name)
    potential = make_potential(atoms, labelled_terms(species_of(atoms), cutoff), n_terms=150)
    terms, coef = zip(*potential.terms, strict=True)
    result = potential.evaluate(atoms)
    reference = sum(potential.intercept[symbol] for symbol in atoms.symbols)
    expected = oracle.oracle_energies(atoms, terms) @ np.array(coef)
    # The promise of the tables.
    assert result["energy"] - reference == pytest.approx(expected, abs=1e-8 * len(atoms))
    values, forces, virial = rows_of(atoms, terms)
    assert values @ coef == pytest.approx(expected, abs=1e-9 * len(atoms))
    np.testing.assert_allclose(result["forces"].ravel(), forces @ coef, rtol=0, atol=1e-7)
    if atoms.cell.rank == 3:
        np.testing.assert_allclose(result["stress"] * atoms.get_volume(), virial @ coef, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["triclinic", "molecule"])
def test_forces_and_stress_are_derivatives(name):
    atoms, cutoff = sample(name)
    descriptors = fitted(atoms, cutoff, shared=True)
    assert any("*" in term.species for term in descriptors.terms_)
    assert_derivatives(descriptors, atoms)


def fitted(atoms, cutoff, shared, switch=None):
    radial = Gaussian(eta=1.0, centers=[1.6, 2.4])
    return PLIPDescriptors(
        cutoff=cutoff,
        two_body=TwoBody(radial),
        three_body=ThreeBody(radial, max_power=2, mixed=True),
        n_body=NBody(radial, powers=(0.5, 2, 3), switch=switch),
        four_body=FourBody(Gaussian(eta=1.0, centers=1.8)),
        shared=shared,
    ).fit([atoms])


def matches(label, symbol):
    return label in ("*", symbol)


def resolved(term, species):
    """A two- or three-body term as a sum of resolved ones: (label, coefficient)."""
    first, second = term.species[-2:]
    alike = first == second and len(set(term.radial)) == 1
    centers = [s for s in species if matches(term.species[0], s)] if len(term.species) == 3 else [None]
    for center, s, t in itertools.product(centers, species, species):
        if matches(first, s) and matches(second, t):
            # Both orders of two species are one resolved term, and for "*", "*" one pair of neighbors.
            yield center, (s, t), 0.5 if alike and s != t else 1.0


@pytest.mark.parametrize("name", ["two species", "three species"])
def test_sums_over_any_species_are_sums_of_resolved_terms(name):
    atoms, cutoff = sample(name)
    species = species_of(atoms)
    radial = Gaussian(eta=1.0, centers=[1.6, 2.4])
    kinds = {"two_body": TwoBody(radial), "three_body": ThreeBody(radial, max_power=3)}
    terms = build_terms(["*", *species], cutoff, **kinds)
    values = dict(zip([(t.species, t.radial, t.power) for t in terms], rows_of(atoms, terms)[0], strict=True))
    for term in terms:
        if "*" not in term.species:
            continue
        total = 0.0
        for center, pair, weight in resolved(term, species):
            pair_label = tuple(sorted(pair))
            # A pair of one species stands for both of its orders where the labels differ.
            both = 2.0 if pair[0] == pair[1] and term.species[-2] != term.species[-1] else 1.0
            label = pair_label if center is None else (center, *pair_label)
            total += weight * both * values[label, term.radial, term.power]
        own = values[term.species, term.radial, term.power]
        assert own == pytest.approx(total, rel=1e-10, abs=1e-12), term.name


def test_one_place_resolved_makes_a_hierarchy():
    """What each species is to any adds up to twice the blind sum."""
    atoms, cutoff = sample("three species")
    species = species_of(atoms)
    terms = build_terms(["*", *species], cutoff, two_body=TwoBody(Gaussian(eta=1.0, centers=1.9)))
    values = dict(zip([t.species for t in terms], rows_of(atoms, terms)[0], strict=True))
    assert sum(values["*", s] for s in species) == pytest.approx(2.0 * values["*", "*"], rel=1e-12)


@pytest.mark.parametrize("name", ["three species", "molecule"])
def test_blind_terms_do_not_see_species(name):
    atoms, cutoff = sample(name)
    terms = fitted(atoms, cutoff, shared=True).terms_
    blind = [n for n, term in enumerate(terms) if set(term.species) == {"*"}]
    one = atoms.copy()
    one.symbols[:] = "Cu"
    alike = fitted(one, cutoff, shared=False).terms_
    assert [(terms[n].interaction, terms[n].radial, terms[n].power) for n in blind] == [
        (term.interaction, term.radial, term.power) for term in alike
    ]
    for found, expected in zip(rows_of(atoms, terms), rows_of(one, alike), strict=True):
        size = np.abs(expected).max(axis=0) + 1e-12
        np.testing.assert_allclose(found[..., blind] / size, expected / size, rtol=0, atol=1e-11)


def test_the_order_of_atoms_does_not_matter():
    atoms, cutoff = sample("three species")
    order = np.random.default_rng(0).permutation(len(atoms))
    terms = labelled_terms(species_of(atoms), cutoff)
    values, forces, virial = rows_of(atoms, terms)
    mixed_values, mixed_forces, mixed_virial = rows_of(atoms[order], terms)
    size = np.abs(forces).max(axis=0) + 1e-9
    np.testing.assert_allclose(mixed_values, values, rtol=1e-10, atol=1e-10)
    shape = len(atoms), 3, len(terms)
    difference = mixed_forces.reshape(shape) - forces.reshape(shape)[order]
    assert (np.abs(difference) <= 1e-10 * size).all()
    np.testing.assert_allclose(mixed_virial, virial, rtol=0, atol=1e-9 * np.abs(virial).max())


def test_random_structures_of_three_species():
    for seed in range(6):
        atoms = random_structure(4, (seed % 2 == 0, True, seed % 3 > 0), seed, symbols=("Mo", "Nb", "Ta"))
        if atoms is None:
            continue
        terms = labelled_terms(species_of(atoms), 3.6)
        expected = oracle.oracle_energies(atoms, terms)
        allowed = 1e-10 * np.abs(expected) + 1e-12 * oracle.oracle_magnitudes(atoms, terms)
        assert (np.abs(rows_of(atoms, terms)[0] - expected) <= allowed).all()


@pytest.mark.parametrize("distance", [0.2, 0.59, 1.1])
@pytest.mark.parametrize("function", STEEP, ids=lambda function: type(function).__name__)
def test_close_neighbors_against_extended_precision(function, distance):
    """A neighbor that outweighs all others, of its own or of another species."""
    atoms = close_neighbors(distance)[2]
    terms = build_terms(
        ["*", "Ag", "Cu"],
        3.3,
        three_body=ThreeBody([function, Gaussian(1.0, 1.0)], 2, mixed=True),
        n_body=NBody(function, powers=(2, 3)),
    )
    values, forces, strain = oracle.oracle_derivatives(atoms, terms)
    assert_exact_rows(atoms, terms, values, forces, strain)
    coef = np.random.default_rng(0).normal(size=len(terms))
    potential = potential_of(terms, coef, species_of(atoms))
    result = potential.evaluate(atoms, stress=False)
    size = float(np.abs(forces @ coef.astype(np.longdouble)).max())
    assert abs(result["energy"] - float(values @ coef.astype(np.longdouble))) < 1e-9 + 1e-13 * size
    expected = (forces @ coef.astype(np.longdouble)).astype(float)
    np.testing.assert_allclose(result["forces"], expected, atol=2e-9 + 1e-10 * size, rtol=0)


def test_a_fit_with_shared_terms(tmp_path):
    train, test = load_silicon_carbide()
    descriptors = PLIPDescriptors.preset("fast", cutoff=3.5, shared=True)
    model = PLIPRegressor(descriptors, solver="omp", max_terms=40).fit(train[::4])
    potential = model.potential_
    assert {"*" in term.species for term, _ in potential.terms} == {True, False}
    potential.save(tmp_path / "model.json")
    assert json.loads((tmp_path / "model.json").read_text())["version"] == 3
    loaded = load_potential(tmp_path / "model.json")
    for atoms in test[::4]:
        assert loaded.energy(atoms) == model.predict([atoms])[0] == potential.energy(atoms)
    # Any table of terms has its columns, in whatever order and however few they are.
    equations = NormalEquations.from_structures(train[::8], descriptors)
    equations.save(tmp_path / "sums.npz")
    assert NormalEquations.load(tmp_path / "sums.npz").terms == equations.terms


def test_some_of_the_terms_have_the_same_columns():
    atoms, cutoff = sample("three species")
    terms = labelled_terms(species_of(atoms), cutoff)
    values, forces, virial = rows_of(atoms, terms)
    rng = np.random.default_rng(0)
    for _ in range(5):
        chosen = rng.choice(len(terms), 60, replace=False)
        found = rows_of(atoms, [terms[n] for n in chosen])
        for rows, whole in zip(found, (values, forces, virial), strict=True):
            size = np.abs(whole[..., chosen]).max(axis=0) + 1e-12
            np.testing.assert_allclose(rows / size, whole[..., chosen] / size, rtol=0, atol=1e-11)


def test_densities_of_any_species_share_one_switch():
    atoms, cutoff = sample("two species")
    descriptors = fitted(atoms, cutoff, shared=True, switch={("*", "*"): 1.8, ("C", "Si"): 2.0})
    switches = {term.species: term.switch for term in descriptors.terms_ if term.interaction == "N-body"}
    assert {switch for species, switch in switches.items() if "*" in species} == {1.8}
    assert (switches["C", "Si"], switches["C", "C"]) == (2.0, None)
    expected = oracle.oracle_energies(atoms, descriptors.terms_)
    np.testing.assert_allclose(descriptors.transform([atoms])[0], expected, rtol=1e-9, atol=1e-12)
    terms = [
        Term("N-body", (s, "*"), (Gaussian(1.0, 2.0),), 2, 3.4, switch)
        for s, switch in (("C", 1.5), ("Si", 1.6))
    ]
    with pytest.raises(ValueError, match="one switch in common"):
        Design(terms, ["C", "Si"])
    with pytest.raises(ValueError, match="keys of switch"):
        fitted(atoms, cutoff, shared=True, switch={("*", "C"): 1.8})


def test_core_repulsion_is_that_of_the_pair():
    """Shared functions fade where the repulsion of the two species takes over, and not for other pairs."""
    function, repulsion = Gaussian(1.0, 2.0), {("C", "Si"): (1.0, 2.1)}
    pairs = [*itertools.combinations_with_replacement(("C", "Si"), 2)]
    shared = potential_of(build_terms(["*"], 3.4, two_body=TwoBody(function)), [0.7], ("C", "Si"))
    resolved = potential_of(build_terms(["C", "Si"], 3.4, two_body=TwoBody(function)), [0.7] * 3, ("C", "Si"))
    for (first, second), distance in itertools.product(pairs, np.linspace(0.8, 2.3, 7)):
        dimer = Atoms([first, second], [[0, 0, 0], [distance, 0, 0]])
        found, expected = (beyond(one, repulsion).evaluate(dimer) for one in (shared, resolved))
        assert found["energy"] == pytest.approx(expected["energy"], rel=1e-12)
        np.testing.assert_allclose(found["forces"], expected["forces"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_species", [2, 4, 20])
def test_counts_are_those_of_the_terms(n_species):
    species = sorted(SYMBOLS[:n_species])
    radial = [Gaussian(eta=1.0, centers=[1.7, 2.0])]
    kinds = {
        "two_body": TwoBody(radial),
        "three_body": ThreeBody(radial, max_power=1, mixed=True),
        "n_body": NBody(radial, powers=(0.5, 2, 3)),
    }
    for name, kind in kinds.items():
        for sharing in itertools.product((False, True), repeat=kind.n_arms + 1):
            terms = build_terms(species, 4.0, blocks={name: [Block(kind, sharing)]})
            assert len(terms) == kind.count(n_species, 4.0, sharing)
            assert len({term.name for term in terms}) == len(terms)
            for term in terms:
                assert ["*" in label for label in term.species].count(True) == sum(sharing)
    for center in (False, True):
        sharing = (center, True, True, True)
        terms = build_terms(species, 4.0, blocks={"four_body": [Block(FourBody(radial), sharing)]})
        assert len(terms) == FourBody(radial).count(n_species, 4.0, sharing)


def labels(descriptors, interaction):
    return {term.species for term in descriptors.terms_ if term.interaction == interaction}


@pytest.mark.parametrize("given", ["accurate", "explicit"])
def test_particular_terms_are_those_that_the_data_can_tell(given):
    """Alloys of Mo and Nb and of Mo and Ta: nothing holds Nb and Ta, or all three."""
    structures = [Atoms(pair, cell=[3.2] * 3, pbc=True, positions=[[0] * 3, [1.6] * 3]) for pair in PAIRS]
    descriptors = PLIPDescriptors.preset("accurate", cutoff=4.0)
    if given == "explicit":
        radial = Gaussian(eta=1.0, centers=[2.0, 3.0])
        parameters = {"two_body": TwoBody(radial), "three_body": ThreeBody(radial), "n_body": NBody(radial)}
        descriptors.set_params(**parameters, four_body=FourBody(radial), shared=True)
    descriptors.fit(structures)
    assert labels(descriptors, "two-body") == {
        ("*", "*"), ("*", "Mo"), ("*", "Nb"), ("*", "Ta"), ("Mo", "Nb"), ("Mo", "Ta"), ("Nb", "Ta")
    }  # fmt: skip
    unlike = set(itertools.permutations(("Mo", "Nb", "Ta"), 2))
    of_any = {("*", "*"), ("Mo", "*"), ("Nb", "*"), ("Ta", "*")}
    assert labels(descriptors, "N-body") == unlike | of_any
    assert labels(descriptors, "three-body") == {(s, "*", t) for s, t in unlike} | {
        (s, "*", "*") for s, _ in of_any
    }
    assert labels(descriptors, "four-body") == {(s, "*", "*", "*") for s, _ in of_any}
    # A structure with all of them tells all that is particular.
    every = [*structures, *(Atoms(pair, positions=[[0] * 3, [0, 0, 2.0]]) for pair in (["Nb", "Ta"],))]
    descriptors.fit(every)
    pairs = {("Mo", "Mo"), ("Mo", "Nb"), ("Mo", "Ta"), ("Nb", "Nb"), ("Nb", "Ta"), ("Ta", "Ta")}
    assert pairs < labels(descriptors, "two-body")
    assert ("Mo", "Nb", "Ta") not in labels(descriptors, "three-body")
    descriptors.fit([*every, Atoms("MoNbTa", positions=[[0] * 3, [0, 0, 2.0], [0, 2.0, 0]])])
    assert ("Mo", "Nb", "Ta") in labels(descriptors, "three-body")


def test_unseen_mixtures_are_atoms_among_their_own_kind():
    """Without any data on Nb and Ta together, a mixture has the energies of each atom among its like."""
    rng = np.random.default_rng(0)
    structures = [Atoms(pair, cell=[3.2] * 3, pbc=True, positions=[[0] * 3, [1.6] * 3]) for pair in PAIRS]
    descriptors = PLIPDescriptors.preset("accurate", cutoff=4.0).fit(structures)
    mixture = Atoms("NbTaNbTa", cell=np.diag([3.2, 3.3, 6.6]), pbc=True)
    mixture.set_scaled_positions([[0, 0, 0], [0.5, 0.5, 0.25], [0, 0, 0.5], [0.5, 0.5, 0.75]])
    mixture.rattle(0.1, rng=rng)
    particular = [n for n, term in enumerate(descriptors.terms_) if len(set(term.species) - {"*"}) == 2]
    coef = rng.normal(size=len(descriptors.terms_))
    # The fit knows no such pairs.
    coef[[n for n in particular if {"Nb", "Ta"} <= set(descriptors.terms_[n].species)]] = 0.0
    total = descriptors.transform([mixture])[0] @ coef
    expected = 0.0
    for symbol in ("Nb", "Ta"):
        alike = mixture.copy()
        alike.symbols[:] = symbol
        of_all = Potential(descriptors, coef, dict.fromkeys(descriptors.species_, 0.0)).evaluate(alike)
        expected += of_all["energies"][mixture.symbols == symbol].sum()
    assert total == pytest.approx(expected, rel=1e-9)


def test_auto_shares_where_species_are_alike_or_data_are_missing():
    def is_shared(*structures):
        terms = PLIPDescriptors(cutoff=4.0).fit(list(structures)).terms_
        return {term.interaction for term in terms if "*" in term.species}

    def molecule(symbols):
        return Atoms(symbols, positions=[[0, 0, 1.9 * n] for n in range(len(symbols))])

    everything = {"two-body", "three-body", "N-body"}
    assert is_shared(molecule(["Mo", "Nb"])) == everything
    assert is_shared(molecule(["Al", "Ti"])) == everything
    assert is_shared(molecule(["Si", "Ge"])) == everything
    assert is_shared(molecule(["C", "Si"])) == set()
    assert is_shared(molecule(["C", "Si", "O"])) == set()
    assert is_shared(molecule(["C"]), molecule(["Si"])) == everything
    # Pairs are there, but not the three.
    pairs = [molecule(pair) for pair in (["C", "Si"], ["C", "O"], ["Si", "O"])]
    assert is_shared(*pairs) == {"three-body"}


def test_combinations_that_structures_hold():
    pairs = [frozenset(pair) for pair in (("Mo", "Nb"), ("Mo", "Ta"), ("Nb", "Ta"))]
    species = ("Mo", "Nb", "Ta")
    assert are_complete(pairs, species, 2) and not are_complete(pairs[:2], species, 2)
    assert not are_complete(pairs, species, 3) and are_complete([*pairs, frozenset(species)], species, 4)
    assert are_complete(pairs[:1], species[:2], 4)


@pytest.mark.parametrize("preset", ["fast", "balanced", "accurate", "extensive"])
@pytest.mark.parametrize("n_species", [2, 4, 20])
def test_shared_terms_stay_on_offer_with_many_species(n_species, preset):
    atoms, _ = sample("bulk")
    descriptors = PLIPDescriptors.preset(preset, cutoff=4.2, species=SYMBOLS[:n_species], shared=True)
    atoms.symbols[:] = "Mo"
    terms = descriptors.fit([atoms]).terms_
    kinds = {term.interaction for term in terms if "*" in term.species}
    assert kinds == {kind.kind for kind in INTERACTIONS.values()} - (
        {"four-body"} if preset == "fast" else set()
    )
    one = PLIPDescriptors.preset(preset, cutoff=4.2, shared=True).fit([atoms]).terms_
    assert not any("*" in term.species for term in one)
    blind = [term for term in terms if set(term.species) == {"*"}]
    if preset == "extensive":  # whose columns are dealt out
        assert len(one) / 3 < len(blind) < len(one)
    else:
        assert [(t.interaction, t.radial, t.power) for t in blind] == [
            # Roots are offered to one metal alone.
            (t.interaction, t.radial, t.power)
            for t in one
            if t.power != 0.5
        ]


def test_bad_values_of_shared():
    atoms, _ = sample("two species")
    for value in ("yes", None, 1.0):
        with pytest.raises(ValueError, match="shared must be"):
            PLIPDescriptors(shared=value).fit([atoms])
