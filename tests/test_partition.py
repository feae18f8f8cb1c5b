"""Parts of a potential, its functions of pairs, triplets and densities, its tables."""

import copy
import pickle
import sys

import numpy as np
import oracle
import pytest
from ase import Atoms
from ase.build import bulk
from sample_potentials import beyond, inside_and_outside, make_potential, sample_potential
from sample_structures import SAMPLE_NAMES, sample

from plip import load_potential
from plip.interactions import Term
from plip.radial import FAMILIES, Gaussian, Power

ALWAYS = {"reference", "repulsion", "limits"}
BY = ("interaction", "species", "term")


def add_up(parts):
    energies = sum(part["energies"] for part in parts.values())
    return energies, sum(part["forces"] for part in parts.values())


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_parts_add_up_within_and_beyond_the_data(name, by):
    atoms, cutoff = sample(name)
    for potential in (sample_potential(atoms, cutoff), inside_and_outside(atoms, cutoff)):
        whole = potential.evaluate(atoms)
        parts = potential.partition(atoms, by=by)
        energies, forces = add_up(parts)
        scale = sum(np.abs(part["energies"]).max(initial=0.0) for part in parts.values())
        assert np.abs(energies - whole["energies"]).max() < 1e-12 * max(scale, 1.0)
        assert np.abs(forces - whole["forces"]).max() < 1e-9
        assert sum(part["energy"] for part in parts.values()) == pytest.approx(whole["energy"], abs=1e-9)
        for part in parts.values():
            assert part["energy"] == pytest.approx(part["energies"].sum(), abs=1e-10)


def test_each_part_is_the_sum_over_its_terms():
    atoms, cutoff = sample("two species")
    potential = sample_potential(atoms, cutoff, n_terms=30)
    labels = {"interaction": "interaction", "species": "species", "term": "name"}
    for by, attribute in labels.items():
        parts = potential.partition(atoms, by=by)
        expected = dict.fromkeys(parts.keys() - ALWAYS, 0.0)
        for term, coefficient in potential.terms:
            label = getattr(term, attribute)
            label = "-".join(label) if by == "species" else label
            expected[label] += coefficient * oracle.oracle_energy(atoms, term)
        for label, energy in expected.items():
            assert parts[label]["energy"] == pytest.approx(energy, abs=1e-8)
        assert not parts["repulsion"]["energies"].any()
        assert not parts["limits"]["energies"].any()
        reference = [potential.intercept[symbol] for symbol in atoms.symbols]
        assert parts["reference"]["energies"].tolist() == reference
        assert not parts["reference"]["forces"].any()


def test_forces_of_parts_are_derivatives_of_their_energies():
    atoms, cutoff = sample("molecule")
    potential = inside_and_outside(atoms, cutoff)
    parts = potential.partition(atoms)
    step = 1e-5
    moved = []
    for sign in (1, -1):
        other = atoms.copy()
        other.positions[1, 0] += sign * step
        moved.append(potential.partition(other))
    for label, part in parts.items():
        slope = (moved[0][label]["energy"] - moved[1][label]["energy"]) / (2 * step)
        assert part["forces"][1, 0] == pytest.approx(-slope, abs=1e-5 * max(1.0, abs(slope)))
    assert np.abs(parts["limits"]["forces"]).max() > 0.1
    assert np.abs(parts["repulsion"]["forces"]).max() > 0.1


def test_within_the_data_limits_are_exactly_nothing():
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff)
    bounded = beyond(potential, {("Si", "Si"): (0.5, 1.8)}, {"Si": (3.4, 1e3)}, {"Si": -1e3})
    parts = bounded.partition(atoms)
    for label in ("limits", "repulsion"):
        assert not parts[label]["energies"].any()
        assert not parts[label]["forces"].any()


def test_without_terms_only_the_reference_is_left():
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff)
    state = potential.__getstate__() | {"terms": (), "coef": []}
    empty = copy.copy(type(potential).__new__(type(potential)))
    empty.__setstate__(state)
    assert set(empty.partition(atoms)) == ALWAYS
    assert empty.partition(atoms)["reference"]["energy"] == pytest.approx(empty.energy(atoms))


def test_partition_says_what_it_can_do():
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff)
    for by in ("kind", None, ["term"]):
        with pytest.raises(ValueError, match="by must be one of interaction, species, term"):
            potential.partition(atoms, by=by)
    with pytest.raises(TypeError, match="ase.Atoms"):
        potential.partition([atoms])
    with pytest.raises(ValueError, match="O, which this potential does not know"):
        potential.partition(Atoms("O"))


def test_selected_parts_are_those_of_the_partition(tmp_path):
    atoms, cutoff = sample("two species")
    potential = sample_potential(atoms, cutoff)
    by_kind = potential.partition(atoms)
    by_species = potential.partition(atoms, by="species")
    for label in by_kind.keys() - ALWAYS:
        part = potential.select(interaction=label)
        assert part.energy(atoms) == pytest.approx(by_kind[label]["energy"], abs=1e-9)
        assert part.forces(atoms) == pytest.approx(by_kind[label]["forces"], abs=1e-7)
    for label in by_species.keys() - ALWAYS:
        part = potential.select(species=label)
        assert part.energy(atoms) == pytest.approx(by_species[label]["energy"], abs=1e-9)
        assert {term.species for term, _ in part.terms} == {tuple(label.split("-"))}
    part = potential.select("three-body", ("C", "C", "Si"))
    assert {(term.interaction, term.species) for term, _ in part.terms} == {("three-body", ("C", "C", "Si"))}
    assert part.energy(Atoms("C")) == 0.0
    part.save(tmp_path / "part.json")
    assert load_potential(tmp_path / "part.json").energy(atoms) == part.energy(atoms)
    assert potential.select().terms == potential.terms


def test_shared_and_particular_parts_are_told_apart():
    atoms, cutoff = sample("two species")
    function = Gaussian(eta=1.0, centers=2.0)
    kinds = [
        ("two-body", ("*", "*"), None),
        ("two-body", ("C", "Si"), None),
        ("three-body", ("*", "*", "*"), 2),
        ("three-body", ("Si", "*", "*"), 1),
        ("N-body", ("C", "*"), 3),
        ("four-body", ("*", "*", "*", "*"), (1, 1, 0)),
    ]
    n_arms = {"two-body": 1, "three-body": 2, "N-body": 1, "four-body": 3}
    terms = [Term(kind, species, (function,) * n_arms[kind], power, cutoff) for kind, species, power in kinds]
    potential = make_potential(atoms, terms)
    parts = potential.partition(atoms, by="species")
    assert parts.keys() - ALWAYS == {"-".join(species) for _, species, _ in kinds}
    for term, coefficient in potential.terms:
        label = "-".join(term.species)
        expected = coefficient * oracle.oracle_energy(atoms, term)
        assert parts[label]["energy"] == pytest.approx(expected, abs=1e-8)
        assert potential.select(species=label).terms == [(term, coefficient)]
    energies, forces = add_up(parts)
    assert energies == pytest.approx(potential.evaluate(atoms)["energies"], abs=1e-10)
    assert forces == pytest.approx(potential.forces(atoms), abs=1e-9)


def test_selecting_nothing_is_an_error():
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff)
    with pytest.raises(ValueError, match="interaction must be one of two-body"):
        potential.select("pair")
    with pytest.raises(ValueError, match="one of Si-Si, Si-Si-Si"):
        potential.select(species=("Si", "C"))


def test_parts_of_a_used_potential_do_not_hinder_pickling():
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff, n_terms=5)
    before = potential.partition(atoms)
    after = pickle.loads(pickle.dumps(potential)).partition(atoms)
    assert {label: part["energy"] for label, part in after.items()} == {
        label: part["energy"] for label, part in before.items()
    }


# Functions


@pytest.mark.parametrize("name", ["bulk", "two species", "molecule"])
def test_pair_energy_is_that_of_an_isolated_pair(name):
    atoms, cutoff = sample(name)
    for potential in (sample_potential(atoms, cutoff), inside_and_outside(atoms, cutoff)):
        r = np.array([[0.4, 1.1, 1.9], [2.6, 0.99 * cutoff, cutoff + 20.0]])
        for pair in [(first, second) for first in potential.species for second in potential.species]:
            found = potential.pair_energy(r, pair)
            alone = sum(potential.energy(Atoms(symbol)) for symbol in pair)
            for place in np.ndindex(r.shape):
                dimer = Atoms(pair, [[0, 0, 0], [0, 0, r[place]]])
                assert found[place] == pytest.approx(potential.energy(dimer) - alone, abs=1e-9)
            assert found == pytest.approx(potential.pair_energy(r, pair[::-1]), abs=1e-9)
            assert found[1, 2] == 0.0
    assert potential.pair_energy(2.0, pair).shape == ()
    assert potential.pair_energy([], pair).shape == (0,)


def test_triplet_energy_is_that_of_an_isolated_triplet_less_its_pairs():
    atoms, cutoff = sample("two species")
    potential = sample_potential(atoms, cutoff)
    r_ij, r_ik, angle = np.array([1.7, 2.2])[:, None], 2.0, np.array([35.0, 109.5, 180.0])
    for species in (("C", "Si", "Si"), ("Si", "C", "Si"), ("C", "C", "C")):
        found = potential.triplet_energy(r_ij, r_ik, angle, species)
        assert found.shape == (2, 3)
        for a, b in np.ndindex(2, 3):
            triplet = Atoms(species, [[0, 0, 0], [r_ij[a, 0], 0, 0], [0, 0, 0]])
            theta = np.radians(angle[b])
            triplet.positions[2] = r_ik * np.cos(theta), 0.0, r_ik * np.sin(theta)
            energy = potential.energy(triplet) - sum(potential.energy(Atoms(symbol)) for symbol in species)
            for first, second in ((0, 1), (0, 2), (1, 2)):
                r = triplet.get_distance(first, second)
                energy -= potential.pair_energy(r, (species[first], species[second]))
            assert found[a, b] == pytest.approx(energy, abs=1e-9)
    swapped = potential.triplet_energy(r_ik, r_ij, angle, ("Si", "Si", "C"))
    assert potential.triplet_energy(r_ij, r_ik, angle, ("Si", "C", "Si")) == pytest.approx(swapped, abs=1e-9)


def test_two_body_terms_make_no_triplets_and_three_body_terms_no_pairs():
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff)
    pairs, triplets = potential.select("two-body"), potential.select("three-body")
    r = np.linspace(1.5, 3.5, 7)
    assert np.abs(pairs.triplet_energy(r, 2.4, 100.0, ("Si", "Si", "Si"))).max() < 1e-10
    assert np.abs(triplets.pair_energy(r, ("Si", "Si"))).max() < 1e-8
    assert np.abs(triplets.triplet_energy(r, 2.4, 100.0, ("Si", "Si", "Si"))).max() > 1e-3


def test_embedding_energy_is_a_polynomial_of_the_density():
    atoms = bulk("Si", cubic=True)
    potential = sample_potential(atoms, 4.2, n_terms=None)
    density = np.array([0.0, 0.5, 1.0, 1.3])
    found = potential.embedding_energy(density, "Si", atoms)
    expected = np.zeros(4)
    for term, coefficient in potential.select("N-body").terms:
        expected += coefficient * oracle.oracle_energy(atoms, term) / len(atoms) * density**term.power
    assert found == pytest.approx(expected, abs=1e-8)
    part = potential.partition(atoms)["N-body"]["energies"].mean()
    assert potential.embedding_energy(1.0, "Si", atoms) == pytest.approx(part, abs=1e-8)
    # Twice as many neighbors at the same places.
    term = Term("N-body", ("Si", "Si"), (Gaussian(eta=1.0, centers=2.0),), 3, 4.0)
    single = Atoms("Si2", [[0, 0, 0], [0, 0, 2.0]])
    triple = Atoms("Si3", [[0, 0, 0], [0, 0, 2.0], [0, 0, -2.0]])
    state = potential.__getstate__() | {"terms": (term,), "coef": [1.5]}
    potential = type(potential).__new__(type(potential))
    potential.__setstate__(state)
    reached = potential.evaluate(triple)["energies"][0] - potential.intercept["Si"]
    assert potential.embedding_energy(2.0, "Si", single) == pytest.approx(reached, abs=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.pair_energy(0.0, ("C", "Si")), "r must be from 0.001"),
        (lambda p: p.pair_energy([1.0, np.nan], ("C", "Si")), "r must be from 0.001"),
        (lambda p: p.pair_energy(1.0, ("C", "O")), "needs 2 species out of C, Si"),
        (lambda p: p.pair_energy(1.0, "CSi"), "needs 2 species"),
        (lambda p: p.triplet_energy(1.0, 1.0, 190.0, ("C", "C", "C")), "from 0 to 180"),
        (lambda p: p.triplet_energy(1.0, 1.0, 0.0, ("C", "C", "C")), "coincide"),
        (lambda p: p.triplet_energy(1.0, 1.0, 90.0, ("C", "C")), "needs 3 species"),
        (lambda p: p.embedding_energy(-1.0, "C", Atoms("C")), "at least 0"),
        (lambda p: p.embedding_energy(1.0, "Si", Atoms("C")), "no atom of Si"),
        (lambda p: p.to_latex(digits=0), "digits"),
    ],
)
def test_functions_say_what_is_wrong(call, message):
    atoms, cutoff = sample("two species")
    with pytest.raises(ValueError, match=message):
        call(sample_potential(atoms, cutoff, n_terms=5))


# Tables


def test_frame_has_a_row_for_each_term():
    pytest.importorskip("pandas")
    atoms, cutoff = sample("two species")
    potential = sample_potential(atoms, cutoff, n_terms=20)
    frame = potential.to_frame()
    assert frame["coefficient"].tolist() == potential.coef.tolist()
    assert frame["name"].tolist() == [term.name for term, _ in potential.terms]
    assert frame["formula"].tolist() == [term.formula() for term, _ in potential.terms]


def test_frame_without_pandas_says_how_to_get_it(monkeypatch):
    atoms, cutoff = sample("bulk")
    potential = sample_potential(atoms, cutoff, n_terms=2)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        potential.to_frame()


def test_latex_is_typeset_by_matplotlib():
    """Its parser of mathematics knows no align environment, but each line."""
    mathtext = pytest.importorskip("matplotlib.mathtext")
    parser = mathtext.MathTextParser("path")
    atoms, cutoff = sample("two species")
    potential = sample_potential(atoms, cutoff, switch={("C", "Si"): 1.7})
    text = potential.to_latex(digits=3)
    assert text.startswith("\\begin{align*}\nE = {} & ")
    assert text.endswith("\n\\end{align*}\n")
    lines = text.splitlines()[1:-1]
    assert len(lines) == len(potential.species) + len(potential.terms)
    for line in lines:
        formula = line.removesuffix(" \\\\").replace("\\Bigl(", "(").replace("\\Bigr)", ")")
        parser.parse(f"${formula.partition('&')[2]}$")
    assert "- 3.21\\, N_{\\mathrm{C}}" in lines[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_callable_and_has_latex(name, one_of_each, families):
    mathtext = pytest.importorskip("matplotlib.mathtext")
    function = one_of_each[name]
    r = np.array([[1.3, 2.0], [2.7, 3.9]])
    assert np.array_equal(function(r), function.evaluate(r)[0])
    assert function(2.0).shape == ()
    mathtext.MathTextParser("path").parse(f"${function.latex('r_{ij}')}$")
    if len(families[name].grid(4.0)) > 1:
        with pytest.raises(ValueError, match="not one function"):
            families[name](r)


def test_latex_of_numbers():
    assert Power(powers=-2.0).latex() == "r^{-2}"
    assert Gaussian(eta=2e-7, centers=-1.5).latex("x") == "e^{-2 \\times 10^{-7} (x + 1.5)^2}"
