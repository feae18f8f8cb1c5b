"""What a potential does outside its data: core repulsion, limit of the density, floor of the energy."""

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
from sample_potentials import beyond, densities, inside_and_outside, sample_potential
from sample_structures import SAMPLE_NAMES, sample

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, PLIPRegressorCV, load_potential
from plip._core import Core
from plip._structures._evaluation import check_atoms, find_pairs
from plip.datasets import load_silicon_carbide
from plip.labels import LabelWarning
from plip.regressor._repulsion import Push, _give_way, _known_forces, _pushes, automatic_repulsion
from plip.report import Evaluation, fit_report

# Where the functions rest and fade out and the repulsion of nuclei takes over, the force that adds to it, and
# the repulsion of crowded atoms, as in doc/model.rst.
REST, FULL, FORCED, FADE = 0.95, 0.8, 0.7, 0.35
BEGIN_OF_KNOWN, FULL_OF_KNOWN = 0.9, 0.6
FORCE, GROWTH, SHARE, CLOSEST = 12.0, 3.0, 0.05, 0.3
STIFFNESS, EXPONENT, FADED, GONE, SOFT, MOST = 150.0, 2.65, 0.25, 1.2, 2.0, 50.0
TOO_CLOSE, CLOSENESS = 0.9, 25.0
DEPTH = 0.5
# Parts of the shortest distance in the data at which the repulsion may begin.
STARTS = (0.95, 0.955, 0.96, 0.97, 0.98, 1.0)


def smooth_step(u):
    u = np.clip(u, 0.0, 1.0)
    return u**3 * (6 * u**2 - 15 * u + 10)


def nuclear(first, second, r):
    """Ziegler, Biersack & Littmark (1985), in eV and Angstrom."""
    x = r / (0.46850 / (first**0.23 + second**0.23))
    weights, rates = (0.18175, 0.50986, 0.28022, 0.02817), (3.1998, 0.94229, 0.4029, 0.20162)
    screening = sum(weight * np.exp(-rate * x) for weight, rate in zip(weights, rates, strict=True))
    return 14.399645 * first * second / r * screening


def ramp(low, high, r):
    """The integral of 3 u^2 - 2 u^3; r from `high` on."""
    u = np.clip((r - low) / (high - low), 0.0, 1.0)
    return high - (high - low) * (0.5 - u**3 + 0.5 * u**4) + np.maximum(r - high, 0.0)


def core_functions(number, inner, outer, r, force=None):
    """Repulsion of two like atoms, fade of the functions, and the distance at which they are taken."""
    fade = smooth_step((r - inner) / (FADE * (outer - inner)))
    reach = ramp(REST * outer, outer, r)
    if force is None:
        force, low, high, end, begin = FORCE, FULL * outer, outer, min(inner, 0.5 * outer), FORCED * outer
    else:
        low, high = end, begin = FULL_OF_KNOWN * outer, BEGIN_OF_KNOWN * outer
    way = reach - ramp(end, begin, r)
    force = min(force, SHARE * nuclear(number, number, CLOSEST) / (outer - end))
    above = smooth_step((r - low) / (high - low))
    repulsion = (1 - above) * nuclear(number, number, r) + force * way * (1 + GROWTH * way / outer)
    return repulsion, fade, reach


def faded_oracle(monkeypatch, inner, outer):
    """Let the oracle take radial functions as the core repulsion makes them."""
    plain = oracle._g

    def faded(function, r, term):
        _, fade, taken_at = core_functions(14, inner, outer, r)
        return fade * plain(function, taken_at, term)

    monkeypatch.setattr(oracle, "_g", faded)


def parts_of_energy(potential, atoms):
    """Reference energy, sum of terms and core repulsion of atoms of silicon."""
    d = neighbor_list("d", atoms, potential.repulsion["Si", "Si"][1])
    force = (potential.core_forces or {}).get(("Si", "Si"))
    core = 0.5 * np.sum(core_functions(14, *potential.repulsion["Si", "Si"], d, force)[0])
    learned = float(oracle.oracle_energies(atoms, [t for t, _ in potential.terms]) @ potential.coef)
    return len(atoms) * potential.intercept["Si"], learned, core


@pytest.mark.parametrize("name", ["bulk", "small cell", "chain", "molecule"])
@pytest.mark.parametrize("forces", [None, {("Si", "Si"): 3.5}, {("Si", "Si"): 1e5}])
def test_energy_is_that_of_the_equations(name, forces, monkeypatch):
    atoms, cutoff = sample(name)
    atoms.numbers[:] = 14
    shortest = neighbor_list("d", atoms, cutoff).min()
    # Some pairs are within, none is so close that its atoms bind nothing: the oracle knows totals alone.
    inner, outer = 0.4 * shortest, 1.1 * shortest
    repulsion = {("Si", "Si"): (inner, outer)}
    potential = beyond(sample_potential(atoms, cutoff, seed=3), repulsion, core_forces=forces)
    faded_oracle(monkeypatch, inner, outer)
    parts = parts_of_energy(potential, atoms)
    assert abs(parts[2]) > 0.1
    assert potential.energy(atoms) == pytest.approx(sum(parts), abs=1e-9 * np.abs(parts).sum())


@pytest.mark.parametrize("part", [0.8, 1.3, 1.6])
@pytest.mark.parametrize("dense", [True, False])
def test_energy_of_crowded_atoms(part, dense, monkeypatch):
    """The one atom of a cell has a density beyond the limit, neighbors that are too close, or both."""
    atoms, cutoff = sample("one-atom cell")
    atoms.numbers[:] = 14
    shortest, reach = neighbor_list("d", atoms, cutoff).min(), 0.8 * cutoff
    inner, outer = 0.4 * shortest, part * shortest
    (n,) = densities(atoms, reach)
    limit = n / 1.2 if dense else 2.0 * n
    potential = beyond(
        sample_potential(atoms, cutoff, seed=3), {("Si", "Si"): (inner, outer)}, {"Si": (reach, limit)}
    )
    faded_oracle(monkeypatch, inner, outer)
    reference, learned, core = parts_of_energy(potential, atoms)
    d = neighbor_list("d", atoms, TOO_CLOSE * outer)
    x, y = max(np.log(n / limit), 0.0), CLOSENESS * np.sum((1 - d / (TOO_CLOSE * outer)) ** 3)
    assert (x > 0) == dense and (y > 0) == (part > 1)
    bind = (1 - smooth_step(x / FADED)) * (1 - smooth_step(y / FADED))
    later = smooth_step((x - FADED) / (GONE - FADED))
    soft = [(z + np.sqrt(z**2 + SOFT**2)) / 2 for z in (learned, learned - MOST)]
    expected = reference + bind * learned + (1 - bind) * (1 - later) * (soft[0] - soft[1]) + core
    expected += STIFFNESS * x**EXPONENT
    scale = abs(reference) + abs(learned) + abs(core)
    assert potential.energy(atoms) == pytest.approx(expected, abs=1e-9 * scale)


@pytest.mark.parametrize("below", [-0.3, 1e-6, 0.2, 3.0])
@pytest.mark.parametrize("close", [False, True])
def test_energy_below_the_floor(below, close, monkeypatch):
    """Of the one atom of a cell: what it has less than the floor counts for less and less."""
    atoms, cutoff = sample("one-atom cell")
    atoms.numbers[:] = 14
    shortest = neighbor_list("d", atoms, cutoff).min()
    # Its neighbors repel it, but are not so close that its binding ends.
    inner, outer = 0.4 * shortest, (1.08 if close else 0.9) * shortest
    plain = beyond(sample_potential(atoms, cutoff, seed=3), {("Si", "Si"): (inner, outer)})
    faded_oracle(monkeypatch, inner, outer)
    reference, learned, core = parts_of_energy(plain, atoms)
    assert (core > 1e-3) == close
    floor = learned + core + below
    potential = beyond(plain, dict(plain.repulsion), None, {"Si": floor})
    expected = floor - DEPTH * np.tanh(below / DEPTH) if below > 0 else learned + core
    scale = abs(reference) + abs(learned) + abs(core)
    assert potential.energy(atoms) == pytest.approx(reference + expected, abs=1e-9 * scale)


@pytest.mark.parametrize("name", SAMPLE_NAMES)
@pytest.mark.parametrize("limited", [False, True])
def test_forces_and_stress_are_derivatives(name, limited):
    atoms, cutoff = sample(name)
    potential = inside_and_outside(atoms, cutoff)
    if not limited:
        potential = beyond(potential, dict(potential.repulsion))
    results = potential.evaluate(atoms)
    step, weights = 1e-4, {2: -1 / 12, 1: 8 / 12, -1: -8 / 12, -2: 1 / 12}

    def slope(energy):
        return sum(weight * energy(k * step) for k, weight in weights.items()) / step

    scale = max(np.abs(results["forces"]).max(), 1.0)
    for atom, axis in [(0, 0), (len(atoms) // 2, 1), (len(atoms) - 1, 2)]:

        def moved(distance, atom=atom, axis=axis):
            other = atoms.copy()
            other.positions[atom, axis] += distance
            return potential.energy(other)

        # 1e-8: rounding of energies over the step, and its fourth power.
        assert results["forces"][atom, axis] == pytest.approx(-slope(moved), abs=2e-8 * scale)
    if np.isnan(results["stress"]).all():
        return
    for component, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):

        def strained(size, a=a, b=b):
            strain = np.zeros((3, 3))
            strain[a, b] += size / 2
            strain[b, a] += size / 2
            other = atoms.copy()
            other.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            return potential.energy(other)

        expected = slope(strained) / atoms.get_volume()
        scale = max(np.abs(results["stress"]).max(), 1.0 / atoms.get_volume())
        # Larger than for forces: strain moves far atoms by more than the step.
        assert results["stress"][component] == pytest.approx(expected, abs=2e-6 * scale)


@pytest.mark.parametrize("name", ["three species", "slab"])
def test_every_variant_agrees(name):
    atoms, cutoff = sample(name)
    potential = inside_and_outside(atoms, cutoff)
    expected = potential.evaluate(atoms)
    species, positions, cell = check_atoms(potential.species, atoms)
    pairs = find_pairs(positions, cell, atoms.pbc, potential.cutoff)
    reference = np.array(list(potential.intercept.values()))
    for simd in ("avx512", "avx2", "baseline"):
        try:
            core = Core(
                potential.species,
                potential.terms,
                reference,
                simd,
                dict(potential.repulsion),
                dict(potential.density_limits),
                dict(potential.energy_floors),
                dict(potential.core_forces),
            )
        except ValueError:
            continue
        energies, forces, strain, _ = core.evaluate(pairs, positions, cell, species)
        np.testing.assert_allclose(energies, expected["energies"], rtol=1e-11, atol=1e-10)
        np.testing.assert_allclose(forces, expected["forces"], atol=1e-9 * np.abs(forces).max())


@pytest.mark.parametrize("forces", [None, {("Si", "Si"): 6.0}])
def test_energy_is_smooth_where_the_repulsion_takes_over(forces):
    """No jump in energy, force or its derivative at either end of the fade."""
    repulsion = {("Si", "Si"): (1.0, 2.4)}
    potential = beyond(sample_potential(bulk("Si"), 4.0, seed=1), repulsion, core_forces=forces)

    def force(r):
        return potential.forces(Atoms("Si2", [[0, 0, 0], [r, 0, 0]]))[1, 0]

    parts = FORCED, FULL, BEGIN_OF_KNOWN, FULL_OF_KNOWN, REST, 1.0
    for r in (1.0, 1.0 + FADE * 1.4, *(part * 2.4 for part in parts)):
        h = 1e-5
        left, right = (force(r) - force(r - h)) / h, (force(r + h) - force(r)) / h
        # The third derivative of the energy times the step; a jump of the second would not shrink with it.
        assert abs(right - left) < 0.05 * max(abs(left), 1.0)


def floors_of(potential, structures, below):
    """Floors that much below the least energy of an atom of each species."""
    least = dict.fromkeys(potential.species, 0.0)
    for atoms in structures:
        energies = potential.evaluate(atoms, forces=False, stress=False)["energies"]
        for symbol, energy in zip(atoms.symbols, energies, strict=True):
            least[symbol] = min(least[symbol], energy - potential.intercept[symbol])
    return {symbol: energy - below for symbol, energy in least.items()}


def test_energy_is_smooth_at_the_floor():
    """Of two atoms: no jump in energy, force or its derivative where their energy meets the floor."""
    plain = beyond(sample_potential(bulk("Si"), 4.0, seed=1), {("Si", "Si"): (0.5, 1.2)})
    pair = Atoms("Si2", [[0, 0, 0], [2.2, 0, 0]])
    floor = plain.evaluate(pair)["energies"][0] - plain.intercept["Si"]
    potential = beyond(plain, dict(plain.repulsion), None, {"Si": floor})

    def force(r):
        return potential.forces(Atoms("Si2", [[0, 0, 0], [r, 0, 0]]))[1, 0]

    assert abs(force(2.2)) > 0.1
    h = 1e-5
    left, right = (force(2.2) - force(2.2 - h)) / h, (force(2.2 + h) - force(2.2)) / h
    assert abs(right - left) < 2e-3 * max(abs(left), 1.0)


def test_bits_within_the_data_do_not_change():
    for name in ("bulk", "three species", "molecule", "slab"):
        atoms, cutoff = sample(name)
        plain = sample_potential(atoms, cutoff, seed=2)
        pairs = itertools.combinations_with_replacement(plain.species, 2)
        shortest = neighbor_list("d", atoms, cutoff).min()
        largest = densities(atoms, 0.8 * cutoff).max()
        guarded = beyond(
            plain,
            {pair: (0.3 * shortest, np.nextafter(shortest, 0.0)) for pair in pairs},
            {symbol: (0.8 * cutoff, 1.001 * largest) for symbol in plain.species},
            floors_of(plain, [atoms], 1e-9),
        )
        before, after = plain.evaluate(atoms), guarded.evaluate(atoms)
        for key in before:
            np.testing.assert_array_equal(before[key], after[key])


def test_file_keeps_every_bit(tmp_path):
    atoms, cutoff = sample("three species")
    potential = inside_and_outside(atoms, cutoff)
    potential.save(tmp_path / "model.json")
    loaded = load_potential(tmp_path / "model.json")
    assert loaded.repulsion == potential.repulsion
    assert loaded.density_limits == potential.density_limits
    assert loaded.energy_floors == potential.energy_floors
    assert loaded.core_forces == potential.core_forces
    for key, value in potential.evaluate(atoms).items():
        np.testing.assert_array_equal(loaded.evaluate(atoms)[key], value)


@pytest.mark.parametrize(
    ("repulsion", "limits", "floors", "match"),
    [
        ({("Si", "Si"): (2.0, 1.0)}, None, None, "below 0.9"),
        ({("Si", "Si"): (0.0, 1.0)}, None, None, "length"),
        ({("Si", "Si"): (1.0,)}, None, None, "two distances"),
        ({("Si", "Ge"): (1.0, 2.0)}, None, None, "pairs of Si"),
        ({"SiSi": (1.0, 2.0)}, None, None, "pairs of Si"),
        ({("Si", "Si"): (1.0, np.nan)}, None, None, "finite"),
        (None, {"Ge": (4.0, 1.0)}, None, "Ge"),
        (None, {"Si": (4.0, -1.0)}, None, "positive"),
        (None, {"Si": (0.0, 1.0)}, None, "length"),
        (None, {"Si": (4.0, np.inf)}, None, "finite"),
        (None, None, {"Ge": -4.0}, "Ge"),
        (None, None, {"Si": np.nan}, "finite"),
        (None, None, {"Si": -np.inf}, "finite"),
    ],
)
def test_bad_distances_limits_and_floors(repulsion, limits, floors, match):
    with pytest.raises(ValueError, match=match):
        beyond(sample_potential(bulk("Si"), 4.0), repulsion, limits, floors)


@pytest.mark.parametrize(
    ("forces", "match"),
    [
        ({("Si", "Si"): 0.0}, "positive"),
        ({("Si", "Si"): -1.0}, "positive"),
        ({("Si", "Si"): np.nan}, "finite"),
        ({("Si", "Ge"): 1.0}, "pairs that have a repulsion"),
        ({"SiSi": 1.0}, "pairs that have a repulsion"),
    ],
)
def test_bad_forces(forces, match):
    plain = sample_potential(bulk("Si"), 4.0)
    with pytest.raises(ValueError, match=match):
        beyond(plain, {("Si", "Si"): (1.0, 2.0)}, core_forces=forces)
    with pytest.raises(ValueError, match="pairs that have a repulsion"):
        beyond(plain, core_forces={("Si", "Si"): 1.0})


# ------------------------------------------------------------------ what a fit makes of it


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
                assert error < 0.4 * np.linalg.norm(expected, axis=1).max()


def test_forces_that_are_not_known(silicon_carbide, monkeypatch):
    """A few pushed atoms say nothing, nor do those that disagree; others feel what the terms had."""
    model = PLIPRegressor("stock", max_terms=20).fit(silicon_carbide)
    shortest = model.normal_equations_.shortest_distances
    wall, terms = beyond(model.potential_, model.potential_.repulsion), beyond(model.potential_)
    structures = list(model.normal_equations_.sample.structures())
    pushes = _pushes(structures, shortest, wall.cutoff)
    known = _known_forces(wall, terms, structures, pushes, shortest)
    assert ("C", "Si") in known
    assert not _known_forces(wall, terms, structures, dict.fromkeys(pushes, ()), shortest)
    push = pushes["C", "Si"][0]
    at_rest = 0.95 * shortest["C", "Si"] - REST * wall.repulsion["C", "Si"][1]
    matched = beyond(model.potential_, wall.repulsion, core_forces=known)
    assert push.resistance(matched, at_rest) == pytest.approx(push.resistance(terms, at_rest), rel=0.1)
    resistance = Push.resistance
    signs = itertools.cycle([-1, 1])

    def disagreeing(push, potential, further=0.0):
        return resistance(push, potential, further) + 50.0 * next(signs) * (potential is terms)

    monkeypatch.setattr(Push, "resistance", disagreeing)
    assert ("C", "Si") not in _known_forces(wall, terms, structures, pushes, shortest)


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
        assert near == pytest.approx(nuclear(*numbers, 0.3), rel=0.1)


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
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        structures.append(atoms)
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
    pushes = _pushes(list(equations.sample.structures()), shortest, model.potential_.cutoff)
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
        "plip.regressor._repulsion._pushes",
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
        warnings.simplefilter("error")
        crystal.get_potential_energy()
    crystal.set_cell(0.75 * crystal.cell, scale_atoms=True)
    message = r"atom \d \((C|Si)\), \d\.\d\d of the limit, and 1 more\. .* is repulsion, not fitted"
    with pytest.warns(UserWarning, match=message) as caught:
        crystal.get_potential_energy()
        crystal.set_cell(0.99 * crystal.cell, scale_atoms=True)
        crystal.get_potential_energy()
    assert len(caught) == 1


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


def test_normal_equations_of_older_versions_give_no_repulsion(silicon_carbide):
    equations = NormalEquations.from_structures(silicon_carbide[:5], PLIPDescriptors.preset("fast"))
    equations._extent = equations._counts = None
    with pytest.warns(UserWarning, match="no core repulsion"):
        model = PLIPRegressor(max_terms=5).fit_normal_equations(equations)
    assert model.potential_.repulsion is None


def test_other_values_are_refused(silicon_carbide):
    with pytest.raises(ValueError, match="repulsion must be"):
        PLIPRegressor(repulsion="zbl").fit(silicon_carbide[:2])
