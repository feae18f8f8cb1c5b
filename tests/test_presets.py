"""The offers of terms: sizes, reach, robustness, presets."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bcc110, bulk, diamond100, fcc111, molecule
from ase.calculators.morse import MorsePotential
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor
from plip._structures._neighbors import find_neighbors
from plip.datasets import load_silicon_carbide
from plip.descriptors._automatic import shortest_distance
from plip.interactions import ThreeBody, TwoBody
from plip.interactions._presets import OFFERS, automatic_interactions
from plip.interactions._terms import build_terms
from plip.radial import Gaussian, Slater
from plip.solvers import omp_path

SYMBOLS = ("Al", "C", "Co", "Cr", "Cu", "Fe", "H", "Mn", "Mo", "N", "Ni", "O")
PRESETS = ("fast", "balanced", "accurate", "extensive")


def gaussians(interaction):
    return [family for family in interaction.radial if isinstance(family, Gaussian)]


def exponentials(interaction):
    return [family for family in interaction.radial if isinstance(family, Slater)]


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("n_species", range(1, 41))
def test_offers_of_any_number_of_species(offer, n_species):
    """Within the budget, unless pairs alone exceed it, at any cutoff."""
    pairs = n_species * (n_species + 1) // 2
    for shortest, cutoff in ((2.0, 5.0), (0.7, 1.0), (1.0, 1.0), (0.05, 0.1), (0.02, 0.02)):
        chosen = automatic_interactions(n_species, shortest, cutoff, offer)
        count = sum(one.count(n_species, cutoff) for one in chosen.values() if one is not None)
        assert pairs <= count <= max(pairs, OFFERS[offer].all_columns)
        for one in chosen.values():
            for family in gaussians(one) if one is not None else ():
                assert 0 < max(family.centers) < cutoff and 0 < family.eta < np.inf


@pytest.mark.parametrize("offer", OFFERS)
def test_functions_of_several_species_are_wide(offer):
    """Pairs and densities of rare species have few data, in which narrow functions run wild."""
    for n_species, least in ((1, 1.0), (2, 1.5), (5, 1.5)):
        chosen = automatic_interactions(n_species, 2.0, 5.0, offer)
        ratios = [
            np.sqrt(0.5 / family.eta) / (3.0 / len(family.centers))
            for name in ("two_body", "n_body")
            for family in gaussians(chosen[name])
        ]
        assert min(ratios) == pytest.approx(least, rel=1e-3)


@pytest.mark.parametrize("offer", PRESETS)
def test_exponentials_scale_with_the_shortest_distance(offer):
    """The same repulsion in any unit of length; "auto" has Gaussians alone."""
    near, far = (automatic_interactions(2, shortest, 3 * shortest, offer) for shortest in (0.9, 2.7))
    for name in ("two_body", "n_body"):
        (short,), (long,) = exponentials(near[name]), exponentials(far[name])
        np.testing.assert_allclose(short.zeta, 3 * np.array(long.zeta), rtol=1e-4)
        assert short.powers == [0.0]
        assert not exponentials(automatic_interactions(2, 2.0, 5.0)[name])


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("n_species", [1, 2, 3, 4, 5, 6, 8, 10, 12])
def test_columns_fit_the_budget(offer, n_species):
    chosen = automatic_interactions(n_species, 2.0, 5.0, offer)
    terms = build_terms(SYMBOLS[:n_species], 5.0, **chosen)
    assert len(terms) <= OFFERS[offer].all_columns
    assert len(terms) == sum(
        interaction.count(n_species, 5.0) for interaction in chosen.values() if interaction is not None
    )
    pairs = {term.species for term in terms if term.interaction == "two-body"}
    assert pairs == set(itertools.combinations_with_replacement(SYMBOLS[:n_species], 2))


@pytest.mark.parametrize("n_species", [20, 50])
def test_very_many_species_keep_a_pair_interaction(n_species):
    chosen = automatic_interactions(n_species, 2.0, 5.0)
    assert isinstance(chosen["two_body"], TwoBody)
    assert chosen["three_body"] is None


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize(
    ("shortest", "cutoff"), [(0.01, 5.0), (0.7, 6.0), (4.6, 5.0), (5.0, 5.0), (0.1, 0.2)]
)
def test_grids_lie_within_the_cutoff(offer, shortest, cutoff):
    chosen = automatic_interactions(2, shortest, cutoff, offer)
    for interaction in chosen.values():
        if interaction is None:
            continue
        reach = interaction.cutoff or cutoff
        assert reach <= cutoff
        for family in gaussians(interaction):
            centers = np.array(family.centers)
            assert (centers >= 0).all() and (centers < reach).all()
            assert np.isfinite(family.eta) and family.eta > 0
    terms = build_terms(("Al", "Cu"), cutoff, **chosen)
    assert max(term.cutoff for term in terms) == cutoff


def test_grids_start_at_the_shortest_distance():
    structures = [bulk("Cu", cubic=True), Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 1.9]])]
    assert shortest_distance(structures, 5.0) == pytest.approx(1.9)
    terms = PLIPDescriptors().fit(structures).terms_
    assert min(term.radial[0].centers for term in terms) == pytest.approx(1.9)


def test_nothing_within_the_cutoff():
    assert shortest_distance([Atoms("He")], 5.0) == 5.0
    columns = PLIPDescriptors().fit_transform([Atoms("He"), molecule("H2O")])
    assert np.isfinite(columns).all()


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name):
    descriptors = PLIPDescriptors.preset(name)
    structures = [bulk("Si", cubic=True), bulk("Si") * (2, 1, 1)]
    structures[0].rattle(0.05, seed=1)
    terms = descriptors.fit(structures).terms_
    kinds = {"two-body", "three-body", "N-body"} | (set() if name == "fast" else {"four-body"})
    assert {term.interaction for term in terms} == kinds
    assert np.isfinite(descriptors.transform(structures)).all()


def density_cutoff(atoms):
    """Twice the cube root of the volume per atom."""
    return 2 * (atoms.get_volume() / len(atoms)) ** (1 / 3)


def cutoff_of(*structures):
    return PLIPDescriptors(cutoff="auto", three_body=None, n_body=None).fit(structures).cutoff_


def crystals():
    """Symbols and crystals of all elements of which ASE knows one; some need data that are not there."""
    for symbol in chemical_symbols[1:]:
        try:
            yield symbol, bulk(symbol)
        except (ValueError, NotImplementedError, RuntimeError):
            continue


def in_box(atoms, length, pbc=True):
    atoms = atoms.copy()
    atoms.set_cell([length] * 3)
    atoms.center()
    atoms.pbc = pbc
    return atoms


def test_automatic_cutoff_of_every_element():
    """Twice the cube root of the volume per atom, the first two shells well inside."""
    seen = set()
    for symbol, crystal in crystals():
        if symbol == "Np":  # ASE has one of its eight atoms, alone in the whole cell
            continue
        seen.add(symbol)
        cutoff = cutoff_of(crystal)
        assert cutoff == pytest.approx(density_cutoff(crystal), abs=0.15), symbol
        shells = np.sort(find_neighbors(crystal, np.zeros(len(crystal), np.int32), 1, 9.0).distance_p)
        # Neighbors within 10 % are one shell.
        second = shells[shells > 1.1 * shells[0]][0]
        assert second < 0.85 * cutoff, symbol
    assert {"Li", "C", "Si", "K", "Ca", "Kr", "Rb", "Xe", "Cs", "Ba", "La", "U"} <= seen


@pytest.mark.parametrize("symbol", ["Si", "Mo", "Cs", "Xe"])
def test_automatic_cutoff_of_warm_crystals(symbol):
    crystal = bulk(symbol, cubic=True) * (2, 2, 2)
    expected = density_cutoff(crystal)
    crystal.rattle(0.05 * expected / 2, seed=0)
    assert cutoff_of(crystal) == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize("name", ["H2O", "CH4", "N2", "SiH4", "CH3CH2OH", "C6H6", "Na2"])
def test_automatic_cutoff_of_molecules_in_boxes(name):
    """Empty space does not count, nor does a single atom or a box without period."""
    for length in (9.0, 12.0, 20.0):
        assert cutoff_of(in_box(molecule(name), length)) == pytest.approx(5.0, abs=0.2)
    assert cutoff_of(molecule(name)) == pytest.approx(5.0, abs=0.2)
    assert cutoff_of(in_box(Atoms("H"), 10.0), in_box(molecule(name), 12.0)) == pytest.approx(5.0, abs=0.2)


def test_automatic_cutoff_of_isolated_atoms():
    assert cutoff_of(Atoms("He"), in_box(Atoms("Cs"), 12.0), in_box(Atoms("Ne"), 7.0)) == 5.0


@pytest.mark.parametrize("layers", [3, 4, 8])
def test_automatic_cutoff_of_slabs(layers):
    for slab, crystal in (
        (fcc111("Cu", (2, 2, layers), vacuum=12.0), bulk("Cu")),
        (bcc110("Mo", (2, 2, layers), vacuum=12.0), bulk("Mo")),
        (diamond100("Si", (1, 1, 2 * layers), vacuum=12.0), bulk("Si")),
    ):
        assert cutoff_of(slab) == pytest.approx(density_cutoff(crystal), abs=0.2)
        slab.pbc = (True, True, False)
        assert cutoff_of(slab) == pytest.approx(density_cutoff(crystal), abs=0.2)


def test_automatic_cutoff_of_wires_pores_and_gases():
    copper = bulk("Cu", cubic=True) * (4, 4, 3)
    away = np.hypot(*(copper.positions - copper.cell.lengths() / 2).T[:2])
    wire = copper[away < 4.5]
    wire.set_cell(wire.cell * [[3], [3], [1]])
    assert cutoff_of(wire) == pytest.approx(density_cutoff(copper), abs=0.4)
    silicon = bulk("Si", cubic=True) * (4, 4, 4)
    away = np.linalg.norm(silicon.positions - silicon.cell.lengths() / 2, axis=1)
    assert cutoff_of(silicon[away > 9.0]) == pytest.approx(density_cutoff(silicon), abs=0.2)
    chain = Atoms("C", cell=[15, 15, 1.3], pbc=True)
    assert cutoff_of(chain) == 5.0
    rng = np.random.default_rng(0)
    for volume in (300, 1000):
        length = (40 * volume) ** (1 / 3)
        grid = np.stack(np.meshgrid(*3 * [np.arange(4)]), -1).reshape(-1, 3)[rng.permutation(64)[:40]]
        places = (grid + rng.uniform(-0.25, 0.25, grid.shape)) * length / 4
        gas = Atoms("Ar40", places, cell=[length] * 3, pbc=True)
        assert 5.0 <= cutoff_of(gas) < 8.0


def test_automatic_cutoff_of_mixtures():
    """Dense matter decides, wherever there is some."""
    crystal = bulk("Si", cubic=True)
    dimers = [
        in_box(Atoms("Si2", [[0, 0, 0], [distance, 0, 0]]), 15.0) for distance in np.linspace(1.8, 4.0, 16)
    ]
    slab = crystal.copy()
    slab.center(vacuum=20.0, axis=2)
    expected = cutoff_of(crystal)
    assert cutoff_of(*dimers, *[crystal] * 4) == expected
    assert cutoff_of(slab, crystal, slab) == expected
    assert cutoff_of(molecule("H2O"), crystal) == expected


def test_automatic_cutoff_serves_the_largest_atoms():
    """The quartile of the densities is carbon's, at 3.6 Angstrom, where cesium has no neighbors."""
    carbon, cesium = bulk("C"), bulk("Cs")
    assert cutoff_of(carbon) < 4.0
    nearest = 3**0.5 / 2 * 6.05
    assert cutoff_of(carbon, carbon, carbon, cesium) > 1.5 * nearest


def test_cutoffs_of_interactions_are_obeyed():
    """The automatic cutoff is no shorter; a given one is never changed."""
    far = ThreeBody(Gaussian(eta=1.0, centers=[2.0, 6.0]), max_power=1, cutoff=7.0)
    assert PLIPDescriptors(three_body=far).fit([bulk("Si")]).cutoff_ == 7.0
    near = ThreeBody(Gaussian(eta=1.0, centers=[2.0]), max_power=1, cutoff=3.0)
    assert PLIPDescriptors(three_body=near).fit([bulk("Si")]).cutoff_ == cutoff_of(bulk("Si"))
    assert PLIPDescriptors(cutoff=4.7, three_body=near).fit([bulk("Si")]).cutoff_ == 4.7
    for wrong in ("long", np.nan, -1.0):
        with pytest.raises(ValueError, match="cutoff"):
            PLIPDescriptors(three_body=ThreeBody(Gaussian(), cutoff=wrong)).fit([bulk("Si")])


@pytest.mark.parametrize("symbol", ["K", "Xe"])
def test_default_fit_of_large_atoms(symbol):
    """Their neighbors stand near 5 Angstrom, where a cutoff of 5 leaves nothing but tails of functions."""
    rng = np.random.default_rng(0)
    crystal = bulk(symbol, cubic=True)
    nearest = shortest_distance([crystal], 6.0)
    reach = {"rcut1": 1.3 * nearest, "rcut2": 1.5 * nearest}
    structures = []
    for _ in range(12):
        atoms = crystal.copy()
        atoms.set_cell(atoms.cell * rng.uniform(0.97, 1.06), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.03 * nearest, size=atoms.positions.shape)
        atoms.calc = MorsePotential(epsilon=0.1, r0=nearest, rho0=5.0, **reach)
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        structures.append(atoms)
    model = PLIPRegressor(max_terms=50).fit(structures[:9])
    # The least requirement: the neighbors are within the cutoff.
    assert model.score(structures[9:]) > 0.8


def test_automatic_cutoff_does_not_depend_on_the_cell():
    crystal = bulk("Si")
    skewed = crystal.copy()
    skewed.set_cell(crystal.cell.array @ np.eye(3) + [[0, 0, 0], 7 * crystal.cell.array[0], [0, 0, 0]])
    assert cutoff_of(skewed) == cutoff_of(crystal * (3, 2, 1)) == cutoff_of(crystal)


def test_atoms_far_apart_are_fitted():
    """The search for the grid shrinks; one library ended the interpreter here."""
    near, far = molecule("H2"), Atoms("H2", [[0, 0, 0], [300.0, 300.0, 0]])
    for X in ([near, far], [far, near]):
        assert shortest_distance(X, 5.0) == pytest.approx(0.737, abs=1e-3)
        assert np.isfinite(PLIPDescriptors().fit_transform(X)).all()


@pytest.mark.parametrize("parameters", [{}, {"two_body": TwoBody(Gaussian(eta=1.0, centers=[0.2]))}])
def test_cutoff_below_the_shortest_distance(parameters):
    structures = [Atoms("Si"), bulk("Si"), bulk("Si", a=5.6)]
    with pytest.raises(ValueError, match=r"cutoff of 2 A is below the shortest distance .* 2\.351 A"):
        PLIPDescriptors(cutoff=2.0, **parameters).fit(structures)
    PLIPDescriptors(cutoff=2.4, **parameters).fit(structures)
    # Isolated atoms have no neighbors to miss.
    PLIPDescriptors(cutoff=2.0, **parameters).fit([Atoms("Si"), in_box(Atoms("Si"), 9.0)])


def test_automatic_cutoff_is_that_of_the_fit():
    crystal = bulk("Si", cubic=True)
    descriptors = PLIPDescriptors(cutoff="auto").fit([crystal])
    fixed = PLIPDescriptors(cutoff=descriptors.cutoff_).fit([crystal])
    stretched = bulk("Si", a=6.5, cubic=True)
    np.testing.assert_array_equal(descriptors.transform([stretched]), fixed.transform([stretched]))
    # Another fit forgets the first one.
    assert descriptors.fit([stretched]).cutoff_ > fixed.cutoff_


@pytest.mark.parametrize("cutoff", ["long", np.array([4.0, 5.0]), None, True, -4.0, np.inf, 5e-324, 1e300])
def test_cutoff_that_is_none(cutoff):
    with pytest.raises(ValueError, match="cutoff must be"):
        PLIPDescriptors(cutoff=cutoff).fit([bulk("Si")])
    with pytest.raises(ValueError, match=r"PLIPDescriptors\.preset\('fast'\)"):
        PLIPDescriptors("fast").fit([bulk("Si")])


def test_presets_grow():
    sizes = [len(PLIPDescriptors.preset(name).fit([bulk("Mo")]).terms_) for name in PRESETS]
    assert sizes == sorted(sizes) and len(set(sizes)) == len(PRESETS)


def test_preset_takes_other_parameters():
    descriptors = PLIPDescriptors.preset("accurate", cutoff=6.0, four_body=None)
    assert descriptors.cutoff == 6.0
    assert descriptors.four_body is None
    assert descriptors.three_body == "accurate"


def test_four_body_on_request():
    atoms = bulk("Si", cubic=True)
    without = PLIPDescriptors().fit([atoms]).terms_
    with_it = PLIPDescriptors(four_body="auto").fit([atoms]).terms_
    assert with_it[: len(without)] == without
    assert {term.interaction for term in with_it[len(without) :]} == {"four-body"}


def test_offers_mix():
    descriptors = PLIPDescriptors(two_body="fast", three_body="accurate", n_body=None)
    terms = descriptors.fit([bulk("Si")]).terms_
    fast, accurate = (automatic_interactions(1, 2.35, 5.0, offer) for offer in ("fast", "accurate"))
    assert sum(t.interaction == "two-body" for t in terms) == fast["two_body"].count(1, 5.0)
    three_body = accurate["three_body"]
    assert isinstance(three_body, ThreeBody)
    assert sum(t.interaction == "three-body" for t in terms) == three_body.count(1, 5.0)


@pytest.mark.parametrize("name", ["auto", "best", "", None, 3])
def test_unknown_preset(name):
    with pytest.raises(ValueError, match="preset must be one of"):
        PLIPDescriptors.preset(name)


def test_unknown_offer_of_an_interaction():
    with pytest.raises(ValueError, match="two_body"):
        PLIPDescriptors(two_body="best").fit([bulk("Si")])


def test_offers_pay():
    """Four-body terms serve structures that were held out of the shipped train data."""
    train, _ = load_silicon_carbide()
    kept, held_out = [atoms for k, atoms in enumerate(train) if k % 5], train[::5]
    found = {}
    for name in PRESETS:
        equations = NormalEquations.from_structures(kept, PLIPDescriptors.preset(name).fit(kept))
        unseen = NormalEquations.from_structures(held_out, equations.descriptors)
        coefs = omp_path(equations.problem(60.0), max_terms=100).coefs[-1:]
        squares = unseen.mean_squares(coefs, equations.references(coefs))
        found[name] = np.sqrt(squares["force"][0] / unseen.null_mean_squares()["force"])
    # A fifth of the forces is no more than "learnt something": 980 atoms of data leave much to chance.
    assert max(found.values()) < 0.2
    assert min(found["balanced"], found["accurate"]) < found["fast"]


@pytest.mark.parametrize(
    ("symbols", "has_roots"), [("Cu4", True), ("CuAg3", False), ("Si4", False), ("SiC", False)]
)
def test_one_metal_alone_has_roots_of_densities(symbols, has_roots):
    rng = np.random.default_rng(0)
    n = len(Atoms(symbols))
    structures = [
        Atoms(symbols, rng.uniform(0, 1, (n, 3)) + 2.4 * np.arange(n)[:, None], cell=[12, 12, 12], pbc=True)
        for _ in range(3)
    ]
    descriptors = PLIPDescriptors.preset("accurate", cutoff=5.0).fit(structures)
    assert any(term.interaction == "N-body" and term.power == 0.5 for term in descriptors.terms_) == has_roots
