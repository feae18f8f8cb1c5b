"""What a potential does outside its data: core repulsion, limit of the density, floor of the energy."""

import itertools

import numpy as np
import oracle
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from sample_potentials import beyond, densities, floors_of, inside_and_outside, sample_potential
from sample_structures import SAMPLE_NAMES, sample

from plip import load_potential
from plip._core import Core
from plip._structures._evaluation import check_atoms, find_pairs

# Where the functions rest and fade out and the repulsion of nuclei takes over, the force that adds to it, and
# the repulsion of crowded atoms, as in doc/model.rst.
REST, FULL, FORCED, FADE = 0.95, 0.8, 0.7, 0.35
BEGIN_OF_KNOWN, FULL_OF_KNOWN = 0.9, 0.6
FORCE, GROWTH, SHARE, CLOSEST = 12.0, 3.0, 0.05, 0.3
STIFFNESS, EXPONENT, FADED, GONE, SOFT, MOST = 150.0, 2.65, 0.25, 1.2, 2.0, 50.0
TOO_CLOSE, CLOSENESS = 0.9, 25.0
DEPTH = 0.5


def smooth_step(u):
    u = np.clip(u, 0.0, 1.0)
    return u**3 * (6 * u**2 - 15 * u + 10)


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
    force = min(force, SHARE * oracle.nuclear(number, number, CLOSEST) / (outer - end))
    above = smooth_step((r - low) / (high - low))
    repulsion = (1 - above) * oracle.nuclear(number, number, r) + force * way * (1 + GROWTH * way / outer)
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
