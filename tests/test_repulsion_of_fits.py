"""What a fit makes of the edge of its data: where repulsion begins, how strongly, limits and floors."""

import itertools
import re
import warnings
from collections import Counter

import numpy as np
import oracle
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list
from sample_fits import labeled_by_emt
from sample_potentials import beyond, densities, floors_of, sample_potential

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, PLIPRegressorCV
from plip.datasets import load_silicon_carbide
from plip.labels import LabelledStructures, LabelWarning
from plip.regressor._compression import choose_crystals
from plip.regressor._core_forces import known_forces
from plip.regressor._pushes import Push, find_pushes
from plip.regressor._repulsion import _give_way, automatic_repulsion
from plip.report import Evaluation, fit_report

# As in doc/model.rst: part of the distance at which the repulsion begins where terms have come to rest, and
# how far below its floor an energy can be, in eV.
REST, DEPTH = 0.95, 0.5
# Parts of the shortest distance in the data at which the repulsion may begin.
STARTS = (0.95, 0.955, 0.96, 0.97, 0.98, 1.0)


@pytest.fixture(scope="module")
def silicon_carbide():
    return load_silicon_carbide()[0]


SETTINGS = {"solver": "replacement", "alpha": 0.0, "max_terms": 40, "stress_weight": 10.0}


@pytest.fixture(scope="module")
def model(silicon_carbide):
    return PLIPRegressor("fast", **SETTINGS).fit(silicon_carbide)


def test_training_structures_keep_their_bits(model, silicon_carbide):
    without = PLIPRegressor("fast", **SETTINGS, repulsion=None).fit(silicon_carbide)
    assert without.potential_.repulsion is None and without.potential_.density_limits is None
    assert without.potential_.energy_floors is None
    for atoms in silicon_carbide:
        first, second = model.potential_.evaluate(atoms), without.potential_.evaluate(atoms)
        for key in first:
            np.testing.assert_array_equal(first[key], second[key])


def test_distances_are_those_of_the_data(model, silicon_carbide):
    shortest = {}
    for atoms in silicon_carbide:
        symbols = np.array(atoms.get_chemical_symbols())
        i, j, d = neighbor_list("ijd", atoms, 4.0)
        for pair in (("C", "C"), ("C", "Si"), ("Si", "Si")):
            of_pair = d[(symbols[i] == pair[0]) & (symbols[j] == pair[1])]
            shortest[pair] = min(shortest.get(pair, np.inf), of_pair.min(initial=np.inf))
    assert set(model.potential_.repulsion) == set(shortest)
    for pair, (inner, outer) in model.potential_.repulsion.items():
        starts = [start * shortest[pair] - outer for start in STARTS]
        assert any(0 <= start < 1.0001e-3 for start in starts)
        assert 0 < inner <= 0.5 * outer + 1e-4
    reach = model.potential_.density_limits["C"][0]
    largest = max(densities(atoms, reach)[atoms.symbols == "C"].max(initial=0.0) for atoms in silicon_carbide)
    margins = [pytest.approx(margin * largest) for margin in (1.15, 1.07, 1.001)]
    assert model.potential_.density_limits["C"][1] in margins


def test_floors_are_those_of_the_data(model, silicon_carbide):
    """However the structures come to the fit."""
    floors = model.potential_.energy_floors
    without = beyond(model.potential_, dict(model.potential_.repulsion))
    expected = floors_of(without, silicon_carbide, 0.2)
    assert {symbol: pytest.approx(energy, abs=1.01e-4) for symbol, energy in expected.items()} == floors
    streamed = PLIPRegressor("fast", **SETTINGS).fit(iter(silicon_carbide))
    assert streamed.potential_.energy_floors == floors
    equations = sum(
        NormalEquations.from_structures(part, model.descriptors_)
        for part in (silicon_carbide[:70], silicon_carbide[70:])
    )
    merged = PLIPRegressor("fast", **SETTINGS).fit_normal_equations(equations)
    assert merged.potential_.energy_floors == pytest.approx(floors, abs=1e-3)
    assert set(model.potential_at(10).energy_floors) == {"C", "Si"}


def test_atoms_alone_keep_their_reference_energy(silicon_carbide):
    """Where all atoms of the data have more energy than that, too."""
    references = {"C": -20.0, "Si": -20.0}
    model = PLIPRegressor("fast", reference_energies=references, max_terms=10).fit(silicon_carbide[:30])
    for symbol, energy in references.items():
        assert model.potential_.energy(Atoms(symbol)) == pytest.approx(energy, rel=1e-12)


def test_an_atom_beside_a_molecule_is_bound_like_those_of_the_data():
    """Trimers know nothing of a fourth atom; their terms alone would bind it by tens of eV."""
    rng = np.random.default_rng(4)
    trimers = []
    for _ in range(30):
        side = rng.uniform(2.4, 3.2)
        atoms = Atoms("Ag3", [[0, 0, 0], [side, 0, 0], [side / 2, 0.87 * side, 0]])
        atoms.rattle(0.1, rng=rng)
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        trimers.append(atoms)
    potential = PLIPRegressor().fit(trimers).potential_
    least = min(potential.evaluate(atoms)["energies"].min() for atoms in trimers)
    for _ in range(50):
        atoms = trimers[0].copy()
        atoms.append("Ag")
        atoms.positions[3] = rng.uniform(-3.0, 5.0, 3)
        energies = potential.evaluate(atoms)["energies"]
        assert energies.min() > least - 0.2 - DEPTH - 1e-3


def test_pairs_that_never_come_close():
    """Their repulsion begins at three quarters of the sum of the covalent radii."""
    structures = [bulk("Cu", cubic=True) * 2, bulk("Na", cubic=True) * 2]
    descriptors = PLIPDescriptors.preset("fast", cutoff=5.0)
    equations = NormalEquations.from_structures(structures, descriptors, y=[1.0, 2.0])
    repulsion, limits = automatic_repulsion(equations, Counter())
    radii = covalent_radii[atomic_numbers["Cu"]] + covalent_radii[atomic_numbers["Na"]]
    assert repulsion["Cu", "Na"][1] == pytest.approx(0.75 * radii, abs=1e-3)
    assert set(limits) == {"Cu", "Na"}


def copper_structures(lengths, amplitude):
    """Rattled crystals of copper with the labels of a calculator that needs no quantum mechanics."""
    rng = np.random.default_rng(5)
    structures = []
    for length in lengths:
        atoms = bulk("Cu", cubic=True) * (2, 2, 1)
        atoms.set_cell(length * atoms.cell, scale_atoms=True)
        atoms.rattle(amplitude, rng=rng)
        structures.append(labelled(atoms))
    return structures


def labelled(atoms):
    atoms.calc = EMT()
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


@pytest.mark.parametrize("amplitude", [0.05, 0.15])
def test_pairs_that_are_closer_than_the_data_repel_as_in_matter(amplitude):
    """Whether their repulsion begins at 0.95 of the shortest distance or at all of it."""
    model = PLIPRegressor().fit(copper_structures(np.linspace(0.96, 1.05, 24), amplitude))
    (shortest,) = model.normal_equations_.shortest_distances.values()
    assert model.potential_.core_forces.keys() == {("Cu", "Cu")}
    for atoms in copper_structures([0.97, 1.0, 1.03], 0.05):
        i, j, vector, d = neighbor_list("ijDd", atoms, 2.8)
        for k in range(0, len(i), len(i) // 8):
            for part in (0.98, 0.96, 0.94, 0.92, 0.9):
                pushed = atoms.copy()
                pushed.positions[i[k]] += 0.5 * (1 - part * shortest / d[k]) * vector[k]
                pushed.positions[j[k]] -= 0.5 * (1 - part * shortest / d[k]) * vector[k]
                found = model.potential_.forces(pushed)
                expected = labelled(pushed).get_forces()
                error = np.linalg.norm(found - expected, axis=1).max()
                # A wall is wrong by more than twice the whole, at the least distance at the latest.
                assert error < 0.4 * np.linalg.norm(expected, axis=1).max()


def test_forces_that_are_not_known(silicon_carbide, monkeypatch):
    """A few pushed atoms say nothing, nor do those that disagree; others feel what the terms had."""
    model = PLIPRegressor("stock", max_terms=20).fit(silicon_carbide)
    shortest = model.normal_equations_.shortest_distances
    wall, terms = beyond(model.potential_, model.potential_.repulsion), beyond(model.potential_)
    structures = list(model.normal_equations_.sample.structures())
    pushes = find_pushes(structures, shortest, wall.cutoff)
    known = known_forces(wall, terms, structures, pushes, shortest)
    assert ("C", "Si") in known
    assert not known_forces(wall, terms, structures, dict.fromkeys(pushes, ()), shortest)
    push = pushes["C", "Si"][0]
    at_rest = 0.95 * shortest["C", "Si"] - REST * wall.repulsion["C", "Si"][1]
    matched = beyond(model.potential_, wall.repulsion, core_forces=known)
    # The force of a pair is the median of those in several surroundings.
    assert push.resistance(matched, at_rest) == pytest.approx(push.resistance(terms, at_rest), rel=0.1)
    resistance = Push.resistance
    signs = itertools.cycle([-1, 1])

    def disagreeing(push, potential, further=0.0):
        return resistance(push, potential, further) + 50.0 * next(signs) * (potential is terms)

    monkeypatch.setattr(Push, "resistance", disagreeing)
    assert ("C", "Si") not in known_forces(wall, terms, structures, pushes, shortest)


def test_dummy_atoms_have_no_nucleus_that_repels():
    random = np.random.default_rng(0)
    corners = [[0, 0, 0], [2.5, 0, 0], [0, 2.5, 0], [0, 0, 2.5], [1.2, 1.2, 1.2]]
    structures = [Atoms("Cu4X", corners + 0.3 * random.random((5, 3))) for _ in range(40)]
    energies = [float(atoms.get_all_distances().sum()) for atoms in structures]
    potential = PLIPRegressor("fast", max_terms=20).fit(structures, energies).potential_
    assert set(potential.repulsion) == {("Cu", "Cu"), ("Cu", "X"), ("X", "X")}
    assert not any("X" in pair for pair in potential.core_forces or {})


def test_walls_where_isolated_pairs_fall_together(monkeypatch, silicon_carbide):
    """A wall is tried before the repulsion begins earlier."""
    pair = "C", "Si"
    first = PLIPRegressor("stock", max_terms=20).fit(silicon_carbide).potential_
    assert pair in first.core_forces
    monkeypatch.setattr(
        "plip.regressor._repulsion._falls",
        lambda potential, p, _: p == pair and pair in (potential.core_forces or {}),
    )
    second = PLIPRegressor("stock", max_terms=20).fit(silicon_carbide).potential_
    assert pair not in (second.core_forces or {})
    assert second.repulsion == first.repulsion


def test_report_says_where_the_repulsion_begins(model, silicon_carbide):
    report = fit_report(model, {"train": Evaluation(model.potential_, silicon_carbide[:5])})
    outer = model.potential_.repulsion["C", "Si"][1]
    assert re.search(rf"core repulsion below \(A\): C-C \S+, C-Si {outer:.2f}, ", report)


def test_isolated_pairs_repel_as_nuclei_do(model):
    potential = model.potential_
    shortest = model.normal_equations_.shortest_distances
    for pair in potential.repulsion:
        alone = sum(potential.intercept[symbol] for symbol in pair)
        r = np.arange(0.95 * shortest[pair], 0.1, -0.01)
        energies = [potential.energy(Atoms(pair, [[0, 0, 0], [x, 0, 0]])) - alone for x in r]
        assert (np.diff(energies) > 0).all()
        near = potential.energy(Atoms(pair, [[0, 0, 0], [0.3, 0, 0]])) - alone
        numbers = [atomic_numbers[symbol] for symbol in pair]
        assert near == pytest.approx(oracle.nuclear(*numbers, 0.3), rel=0.1)


def test_compressed_crystals_gain_energy(model):
    crystal = bulk("SiC", "zincblende", a=4.38)
    energies = []
    for length in np.arange(0.9, 0.59, -0.01):
        atoms = crystal.copy()
        atoms.set_cell(crystal.cell * length, scale_atoms=True)
        energies.append(model.potential_.energy(atoms))
    assert (np.diff(energies) > 0).all()


def test_crystals_are_stiff_where_their_data_end():
    """Terms of data that end at 0.93 of the length may fall just beyond."""
    rng = np.random.default_rng(11)
    structures = []
    for k in range(24):
        atoms = bulk("Al", cubic=True) * (2, 1, 1)
        strain = (1 + rng.uniform(-0.05, 0.05)) * np.eye(3) + rng.normal(scale=0.015, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        atoms.rattle((0.03, 0.08, 0.13, 0.2)[k % 4], rng=rng)
        structures.append(labeled_by_emt(atoms, stress=False))
    for preset in ("accurate", "stock"):
        potential = PLIPRegressor(preset).fit(structures).potential_
        energies = []
        for length in np.arange(0.98, 0.59, -0.005):
            atoms = bulk("Al")
            atoms.set_cell(length * atoms.cell, scale_atoms=True)
            energies.append(potential.energy(atoms))
        assert (np.diff(energies) > 0).all(), preset
        plain = beyond(potential)
        for atoms in structures:
            np.testing.assert_array_equal(potential.forces(atoms), plain.forces(atoms))


def test_atoms_and_molecules_in_periodic_boxes_are_no_crystals():
    """Their energies hardly rise in a smaller box, which says nothing of the limits of crystals."""
    rng = np.random.default_rng(0)
    crystal = bulk("Cu", cubic=True, a=3.85) * (2, 1, 1)
    crystal.symbols = ["Cu", "Au", "Au", "Cu", "Cu", "Cu", "Au", "Au"]
    structures = []
    for _ in range(20):
        atoms = crystal.copy()
        atoms.set_cell((1 + rng.uniform(-0.05, 0.05)) * atoms.cell, scale_atoms=True)
        atoms.rattle(0.1, rng=rng)
        structures.append(labeled_by_emt(atoms, stress=False))
    boxed = [
        labeled_by_emt(Atoms(symbol, cell=[12.0] * 3, pbc=True), stress=False) for symbol in ("Cu", "Au")
    ]
    alone = [labeled_by_emt(Atoms(symbol)) for symbol in ("Cu", "Au")]
    potential, expected = (PLIPRegressor().fit(structures + atoms).potential_ for atoms in (boxed, alone))
    assert potential.repulsion == expected.repulsion
    assert potential.density_limits == expected.density_limits
    # Beside a crystal of their composition, molecules in a box are none either.
    two = Atoms("Cu2", [[0, 0, 0], [2.2, 0, 0]], cell=[12.0] * 3, pbc=True)
    (found,) = choose_crystals([[(-3.5, bulk("Cu")), (-1.5, two)]])
    assert len(found.atoms) == 1


def test_no_fall_hides_between_two_lengths():
    """Nickel whose data end at 0.66: with coarse steps, body-centered crystals fell between two of them."""
    rng = np.random.default_rng(3)
    crystals = bulk("Ni", "bcc", a=2.78, cubic=True) * (2, 1, 1), bulk("Ni", "fcc", a=3.5, cubic=True)
    structures = []
    for k in range(24):
        atoms = crystals[k % 2].copy()
        atoms.set_cell((0.66 + 0.39 * (k // 2) / 11) * atoms.cell, scale_atoms=True)
        atoms.rattle((0.0, 0.05, 0.1)[k % 3], rng=rng)
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        structures.append(atoms)
    potential = PLIPRegressor("stock", max_terms=40, contribution_penalty=0.0).fit(structures).potential_
    for crystal in crystals:
        energies = []
        for length in np.arange(0.66, 0.599, -0.002):
            atoms = crystal.copy()
            atoms.set_cell(length * crystal.cell, scale_atoms=True)
            energies.append(potential.energy(atoms))
        assert (np.diff(energies) > 0).all()


def pushed_energies(potential, atoms, shortest, stride):
    """Energies of structures in which one atom comes closer and closer to one neighbor."""
    i, j, vector, d = neighbor_list("ijDd", atoms, 2.4)
    for k in range(0, len(i), stride):
        begin = 0.95 * shortest[tuple(sorted((atoms.symbols[i[k]], atoms.symbols[j[k]])))]
        energies = []
        for r in np.arange(min(begin, d[k]), 0.1, -0.03):
            pushed = atoms.copy()
            pushed.positions[i[k]] += vector[k] * (1 - r / d[k])
            energies.append(potential.energy(pushed))
        yield energies


@pytest.mark.parametrize("target", [None, "stock"])
def test_atoms_are_pushed_back_by_each_neighbor(target, model, silicon_carbide):
    """In structures of the data, and in rattled ones, a surface and molecules, which the data lack."""
    if target is not None:
        model = PLIPRegressor(target).fit(silicon_carbide)
    shortest = model.normal_equations_.shortest_distances
    rattled = [atoms.copy() for atoms in silicon_carbide[20::50]]
    for atoms in rattled:
        atoms.rattle(0.15, seed=1)
    slab = bulk("SiC", "zincblende", a=4.38, cubic=True)
    slab.center(vacuum=6.0, axis=2)
    cluster = bulk("SiC", "zincblende", a=4.38, cubic=True)
    cluster.pbc = False
    for atoms in (*silicon_carbide[::40], *rattled, slab, cluster):
        for energies in pushed_energies(model.potential_, atoms, shortest, 7):
            assert (np.diff(energies) > 0).all()


def test_pushes_of_the_fit_approach_neighbors(model):
    equations = model.normal_equations_
    shortest = equations.shortest_distances
    pushes = find_pushes(list(equations.sample.structures()), shortest, model.potential_.cutoff)
    assert pushes.keys() == shortest.keys()
    for pair, of_pair in pushes.items():
        assert of_pair
        for atoms, pushed, direction in of_pair:
            i, j, d, vector = neighbor_list("ijdD", atoms, 0.96 * shortest[pair])
            (k,) = np.flatnonzero((i == pushed) & (np.abs(d - 0.95 * shortest[pair]) < 1e-9))
            assert {*atoms.symbols[[pushed, j[k]]]} == {*pair}
            np.testing.assert_allclose(vector[k] / d[k], direction, atol=1e-12)


def test_repulsion_begins_earlier_where_pushed_atoms_give_way(monkeypatch, silicon_carbide):
    pair = "C", "Si"
    model = PLIPRegressor("stock", max_terms=5).fit(silicon_carbide)
    before = model.potential_.repulsion
    shortest = model.normal_equations_.shortest_distances[pair]
    monkeypatch.setattr("plip.regressor._repulsion._give_way", lambda potential, pushes: pushes is chosen)
    chosen = []
    monkeypatch.setattr(
        "plip.regressor._repulsion.find_pushes",
        lambda structures, shortest, cutoff: {p: chosen if p == pair else [] for p in shortest},
    )
    after = model.fit(silicon_carbide).potential_.repulsion
    assert before[pair][1] < 0.96 * shortest
    assert after[pair][1] == pytest.approx(shortest, abs=1.001e-3)


def test_repulsion_begins_earlier_where_isolated_pairs_fall_together(monkeypatch, silicon_carbide):
    pair = "C", "Si"
    begin = (
        0.969
        * NormalEquations.from_structures(
            silicon_carbide, PLIPDescriptors.preset("stock")
        ).shortest_distances[pair]
    )
    module = "plip.regressor._repulsion"
    monkeypatch.setattr(f"{module}._give_way", lambda potential, pushes: False)
    monkeypatch.setattr(
        f"{module}._falls", lambda potential, p, first: p == pair and potential.repulsion[pair][1] < begin
    )
    repulsion = PLIPRegressor("stock", max_terms=5).fit(silicon_carbide).potential_.repulsion
    assert begin <= repulsion[pair][1] < 1.01 * begin


def test_repulsion_begins_earlier_where_crystals_fall(monkeypatch, silicon_carbide):
    pair = "C", "Si"
    shortest = NormalEquations.from_structures(
        silicon_carbide, PLIPDescriptors.preset("stock")
    ).shortest_distances[pair]
    monkeypatch.setattr("plip.regressor._repulsion._give_way", lambda potential, pushes: False)
    for enough, expected in ((0.0, 0.95), (0.965, 1.0), (9.0, 1.0)):

        def least_slope(crystal, potential, enough=enough):
            return 1.0 if potential.repulsion[pair][1] > enough * shortest else 0.1

        monkeypatch.setattr("plip.regressor._repulsion.Crystal.least_slope", least_slope)
        potential = PLIPRegressor("stock", max_terms=5).fit(silicon_carbide).potential_
        assert potential.repulsion[pair][1] == pytest.approx(expected * shortest, abs=1.001e-3)


def test_few_pushed_atoms_may_give_way():
    potential = beyond(sample_potential(bulk("Si"), 4.0, seed=1), {("Si", "Si"): (0.5, 2.2)})
    dimer, direction = Atoms("Si2", [[0, 0, 0], [1.2, 0, 0]]), np.array([1.0, 0, 0])
    assert potential.forces(dimer)[0, 0] < -2.0
    repelled, pulled = Push(dimer, 0, direction), Push(dimer, 0, -direction)
    assert not _give_way(potential, [])
    assert not _give_way(potential, [pulled, *[repelled] * 38, pulled])
    assert _give_way(potential, [pulled, *[repelled] * 37, pulled, pulled])


def test_calculator_says_once_that_a_structure_is_denser_than_the_data(model):
    crystal = bulk("SiC", "zincblende", a=4.38)
    crystal.calc = model.potential_.calculator()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        crystal.get_potential_energy()
    crystal.set_cell(0.75 * crystal.cell, scale_atoms=True)
    message = r"atom \d \((C|Si)\) is more .*, \d\.\d\d times the limit, and so is 1 more\. A repulsion"
    with pytest.warns(UserWarning, match=message) as caught:
        crystal.get_potential_energy()
        crystal.set_cell(0.99 * crystal.cell, scale_atoms=True)
        crystal.get_potential_energy()
    assert len([one for one in caught if one.category is UserWarning]) == 1


def test_atoms_that_all_but_coincide_are_refused_before_any_sum(silicon_carbide, monkeypatch):
    train = [atoms.copy() for atoms in silicon_carbide]
    energies = [atoms.calc.results["energy"] for atoms in silicon_carbide]
    train[2].positions[1] = train[2].positions[0] + [0.0, 0.02, 0.0]
    monkeypatch.setattr(NormalEquations, "__init__", lambda *_: pytest.fail("sums were made"))
    message = (
        r"^structure 2 \(.*\): atoms 0 and 1 are closer than 0.05 A \(0.02 A, .*; remove one.*plip\.audit"
    )
    for model in (
        PLIPRegressor("fast", max_terms=5),
        PLIPRegressor("fast", repulsion=None),
        PLIPRegressorCV("fast"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(train, energies)


@pytest.mark.parametrize("distance", [0.06, 0.2, 0.8])
def test_fits_warn_of_close_atoms_whose_forces_do_not_know_of_it(silicon_carbide, distance):
    train = silicon_carbide[::3]
    spoiled = train[2].copy()
    spoiled.positions[1] = spoiled.positions[0] + [0.0, distance, 0.0]
    spoiled.calc = SinglePointCalculator(spoiled, **train[2].calc.results)
    for model in (PLIPRegressor("fast", max_terms=5), PLIPRegressorCV("fast", max_terms=5, cv=2)):
        with pytest.warns(
            LabelWarning, match=rf"^structure 2 \(.*\): .* atoms 0 and 1, {distance:.2f} A apart"
        ):
            model.fit([*train[:2], spoiled, *train[3:]])
        with warnings.catch_warnings():
            warnings.simplefilter("error", LabelWarning)
            model.fit(train)
    data = LabelledStructures.read([*train[:2], spoiled, *train[3:]])
    with pytest.warns(LabelWarning, match=r"^structure 2 \(") as caught:
        model.fit(data.take(np.arange(len(data))[::-1]))
    assert {w.message.structures for w in caught if isinstance(w.message, LabelWarning)} == {(2,)}


def test_normal_equations_of_older_versions_give_no_repulsion(silicon_carbide):
    equations = NormalEquations.from_structures(silicon_carbide[:5], PLIPDescriptors.preset("fast"))
    equations._extent = equations._counts = None
    with pytest.warns(UserWarning, match="no core repulsion"):
        model = PLIPRegressor(max_terms=5).fit_normal_equations(equations)
    assert model.potential_.repulsion is None


def test_other_values_are_refused(silicon_carbide):
    with pytest.raises(ValueError, match="repulsion must be"):
        PLIPRegressor(repulsion="zbl").fit(silicon_carbide[:2])
