"""Files of the published PLIP program, against its equations written out once more and its own numbers."""

import itertools
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from plip import load_potential
from plip.cli import main
from plip.legacy import load_legacy

CUTOFF = 4.5
SHORT = {"AA": 2.1, "BB": 1.4, "AB": 1.7}
RULE = "|" + "|".join(["-" * 12] * 7) + "|"

# Family, grids of both parameters (first, last, step), two-body, powers of cosine and density.
FAMILIES = (
    (1, (0.5, 1.5, 1.0), (1.0, 3.0, 1.0), 1, 2, 5),
    (3, (-3.0, -2.0, 1.0), (0.8, 0.8, 1.0), 1, 0, 0),
    (4, (0.0, 2.0, 1.0), (1.2, 1.2, 0.5), 1, 1, 4),
    (5, (3.0, 3.0, 1.0), (0.0, 1.0, 1.0), 1, 0, 0),
    (6, (0.0, 1.0, 1.0), (0.4, 0.4, 0.5), 0, 1, 4),
    (7, (2.0, 2.0, 1.0), (2.0, 4.0, 2.0), 1, 0, 0),
    (8, (0.5, 0.5, 1.0), (1.5, 1.5, 1.0), 1, 1, 4),
)


def settings_text(families=FAMILIES, cutoff=CUTOFF, short=SHORT, skipped="", first_line=""):
    lines = [
        first_line,
        f"Rcut= {cutoff} |DUMP= Input |RAA= {short['AA']} |RBB= {short['BB']} |RAB= {short['AB']}",
        *(
            "",
            "",
            "",
            "#1:GAUSSIAN 3:SW 4:STO 6:GTO 7:Lorentz",
            RULE,
            "| |0=False 1=True|PARAM: MIN MAX STEP",
        ),
        *(RULE, "| i_nature | INCLUDED | PARAMETER 1 | PARAMETER 2 | 2B | 3B | NB |", RULE),
    ]
    for nature, first, second, *bodies in families:
        grids = "|".join(" ".join(map(str, grid)) for grid in (first, second))
        lines.append(f"| {nature} | 1 | {grids} | {' | '.join(map(str, bodies))} |")
    return "\n".join(lines) + "\n" + skipped


# The equations of Benoit et al. (2021), with f and the blocks of columns written out once more.


def function(nature, a, b, r):
    def plain(r):
        if nature == 1:
            return np.exp(-a * (r - b) ** 2)
        if nature == 3:
            return np.where(r.real > b + 0.1, np.exp(a / (r - b)), 0)
        if nature == 4:
            return r**a * np.exp(-b * r)
        if nature == 5:
            return r**a
        if nature == 6:
            return r**a * np.exp(-b * r * r)
        if nature == 7:
            return 1 / ((r - a) ** b + 1)
        return np.exp(-(np.log((r - a) / b) ** 2))

    norm = plain(np.array(2.0)) if nature in (4, 6) else 1.0
    return plain(r) / norm * (1 + np.cos(np.pi * r / CUTOFF)) / 2


def switched(r, shortest):
    u = (r - 0.95 * shortest) / (0.1 * shortest)
    return np.where(u.real < 0, 0, np.where(u.real > 1, 1, 6 * u**5 - 15 * u**4 + 10 * u**3))


def columns(atoms, positions, families=FAMILIES):
    """Energies of all columns; species Mg and O are A and B."""
    i, j, shifts = neighbor_list("ijS", atoms, CUTOFF)
    d = positions[j] - positions[i] + shifts @ atoms.cell.array
    r = np.sqrt((d * d).sum(axis=1))
    letter = np.where(atoms.symbols == "Mg", "A", "B")
    own, other = letter[i], letter[j]
    values = []
    for nature, first, second, pairs, most_cosine, most_density in families:
        grid = [np.arange(start, end + 0.5 * step, step) for start, end, step in (first, second)]
        grid = list(itertools.product(*grid))
        for first_letter, second_letter in ("AA", "BB", "AB") if pairs else ():
            for a, b in grid:
                chosen = (own == first_letter) & (other == second_letter)
                values.append(function(nature, a, b, r[chosen]).sum() / (1 + (first_letter == second_letter)))
        for triplet in ("AAA", "BBB", "ABB", "AAB", "BAA", "BBA") if most_cosine else ():
            for (a, b), power in itertools.product(grid, range(most_cosine + 1)):
                values.append(triplets(function(nature, a, b, r), triplet, power, i, d, r, own, other))
        for center, neighbor in ("AA", "AB", "BB", "BA"):
            shortest = SHORT["".join(sorted(center + neighbor))]
            chosen = (own == center) & (other == neighbor)
            for power, (a, b) in itertools.product(range(4, most_density + 1), grid):
                density = np.zeros(len(atoms), complex)
                np.add.at(
                    density,
                    i[chosen],
                    function(nature, a, b, r[chosen]) * switched(r[chosen], shortest),
                )
                values.append((density**power).sum())
    return np.array(values)


def triplets(values, species, power, i, d, r, own, other):
    total = 0.0
    for atom in np.unique(i[own == species[0]]):
        near = np.flatnonzero(i == atom)
        for m, n in itertools.combinations(near, 2):
            if sorted(other[m] + other[n]) == sorted(species[1:]):
                total += values[m] * values[n] * (d[m] @ d[n] / (r[m] * r[n])) ** power
    return total


@pytest.fixture(scope="module")
def structure():
    """Eight atoms in a skewed cell, the closest of them within the switches."""
    rng = np.random.default_rng(5)
    cell = [[4.6, 0.0, 0.0], [0.4, 4.4, 0.0], [-0.3, 0.2, 4.5]]
    grid = np.array(list(itertools.product((0.0, 0.5), repeat=3)))
    fractions = grid + rng.uniform(-0.04, 0.04, (8, 3))
    return Atoms("MgOOMgOMgMgO", scaled_positions=fractions, cell=cell, pbc=True)


@pytest.fixture(scope="module")
def legacy_files(tmp_path_factory, structure):
    """Settings and coefficients of about 1 eV and printed as that program does, one in four of them zero."""
    folder = tmp_path_factory.mktemp("legacy")
    (folder / "input.txt").write_text(settings_text(skipped="| 9 | 0 | | |\n\n"))
    rng = np.random.default_rng(2)
    sizes = np.abs(columns(structure, structure.positions))
    weights = rng.normal(size=len(sizes)) / np.maximum(sizes, 1e-3)
    weights[rng.random(len(weights)) < 0.25] = 0.0
    weights[7] = 9e-11  # zero for that program
    lines = [f"{n:g} {weight:g}" for n, weight in enumerate(weights)]
    (folder / "Coeff1e-06_1345678.txt").write_text("\n".join(lines) + "\n")
    printed = np.array([float(line.split()[1]) for line in lines])
    return (
        folder / "input.txt",
        folder / "Coeff1e-06_1345678.txt",
        np.where(np.abs(printed) > 1e-10, printed, 0),
    )


def test_energies_and_forces_are_those_of_the_published_equations(legacy_files, structure):
    *paths, weights = legacy_files
    potential = load_legacy(*paths, ["Mg", "O"])
    assert potential.species == ("Mg", "O")
    assert potential.cutoff == CUTOFF
    results = potential.evaluate(structure)
    energy = (columns(structure, structure.positions) @ weights).real
    np.testing.assert_allclose(results["energy"], energy, rtol=1e-9)
    # The imaginary part of a complex step is the exact derivative.
    for atom, axis in ((0, 0), (1, 2), (6, 1)):
        moved = structure.positions.astype(complex)
        moved[atom, axis] += 1e-30j
        force = -(columns(structure, moved) @ weights).imag / 1e-30
        np.testing.assert_allclose(results["forces"][atom, axis], force, rtol=1e-8)


# Forces of the published program itself: its design matrix times these coefficients, for structures made
# here. Its sources are those of github.com/LAM-GROUP/PLIP, 2023, after version 0.3.3: commit 42e951b, with
# mod_xmat.cpp and mod_fonction.cpp of 100a2ce and mod_tool.cpp of 98d9d51. It printed 17 digits, not six.
# It has no energies: these are the work of its forces while the cluster grew out of atoms beyond the cutoff.
PUBLISHED = json.loads((Path(__file__).parent / "data" / "legacy" / "published.json").read_text())


@pytest.mark.parametrize("reference", PUBLISHED["families"], ids=lambda row: f"family {row['settings'][0]}")
def test_energies_and_forces_are_those_of_the_published_program(reference, tmp_path):
    files = write(
        tmp_path,
        [reference["settings"]],
        reference["coefficients"],
        cutoff=PUBLISHED["cutoff"],
        short=PUBLISHED["short"],
    )
    potential = load_legacy(*files, PUBLISHED["species"])
    forces = potential.forces(Atoms(**PUBLISHED["crystal"], pbc=True))
    # The error of the radial tables; the forces are up to 7 eV/Angstrom.
    np.testing.assert_allclose(forces.ravel(), reference["forces"], rtol=0, atol=1e-9)
    energy = potential.energy(Atoms(**PUBLISHED["cluster"]))
    np.testing.assert_allclose(energy, reference["energy"], rtol=1e-9)


def test_every_block_has_terms(legacy_files):
    potential = load_legacy(*legacy_files[:2], ["Mg", "O"])
    found = {(term.interaction, term.species) for term, _ in potential.terms}
    assert len(found) == 3 + 6 + 4
    switches = {tuple(sorted(term.species)): term.switch for term, _ in potential.terms if term.switch}
    assert switches == {("Mg", "Mg"): 2.1, ("O", "O"): 1.4, ("Mg", "O"): 1.7}
    # Its second parameter does not matter to a power: equal columns are one term.
    names = [term.name for term, _ in potential.terms]
    assert len(set(names)) == len(names)
    assert sum("Power" in name for name in names) == 3


def test_command_writes_the_potential(legacy_files, structure, tmp_path, capsys):
    *paths, _ = legacy_files
    output = tmp_path / "model.json"
    assert main(["import", "legacy", *map(str, paths), "--species", "Mg", "O", "-o", str(output)]) == 0
    assert "Mg-O" in capsys.readouterr().out
    assert load_potential(output).energy(structure) == load_legacy(*paths, ["Mg", "O"]).energy(structure)
    assert json.loads(output.read_text())["reference_energies"] == {"Mg": 0.0, "O": 0.0}


def write(folder, families, weights=None, **options):
    (folder / "input.txt").write_text(settings_text(families, **options))
    if weights is not None:
        lines = [f"{n} {weight}" for n, weight in enumerate(weights)]
        (folder / "Coeff.txt").write_text("\n".join(lines) + "\n")
    return folder / "input.txt", folder / "Coeff.txt"


def test_one_species_is_enough_for_coefficients_of_one(tmp_path):
    files = write(tmp_path, [(1, (1, 1, 1), (2, 2, 1), 1, 0, 0)], [1.5, 0, 0])
    potential = load_legacy(*files, "Si")
    assert [(term.species, weight) for term, weight in potential.terms] == [(("Si", "Si"), 1.5)]
    files = write(tmp_path, [(1, (1, 1, 1), (2, 2, 1), 1, 0, 0)], [1.5, 0, 1])
    with pytest.raises(ValueError, match="coefficients of two species"):
        load_legacy(*files, ["Si"])


def test_grids_are_repeated_sums(tmp_path):
    """By rounding, eight sums of 0.1 lie below 0.8 + 0.1: the program makes one value more than it seems."""
    values = [0.1]
    while values[-1] + 0.1 < 0.8 + 0.1:
        values.append(values[-1] + 0.1)
    assert len(values) == 9
    files = write(tmp_path, [(1, (0.1, 0.8, 0.1), (2, 2, 1), 1, 0, 0)], [1.0] * 27)
    terms = load_legacy(*files, ["Si", "O"]).terms
    assert [term.radial[0].eta for term, _ in terms[:9]] == values


def test_no_switch_without_a_shortest_distance(tmp_path):
    files = write(tmp_path, [(1, (1, 1, 1), (2, 2, 1), 0, 0, 4)], [1, 1, 1, 1], short=dict.fromkeys(SHORT, 0))
    assert {term.switch for term, _ in load_legacy(*files, ["Si", "O"]).terms} == {None}


@pytest.mark.parametrize(
    ("gamma", "weight", "warns"), [(-1, 1, True), (-1.6, 1, True), (-3, 1, False), (-3, 1e6, True)]
)
def test_jumps_of_stillinger_weber_functions_are_a_warning(tmp_path, gamma, weight, warns):
    """A warning says that forces differ by more than the last digit that the program prints."""
    files = write(tmp_path, [(3, (gamma, gamma, 1), (2, 2, 1), 1, 0, 0)], [weight, 0, 0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        potential = load_legacy(*files, "Si")
    assert [("jump to zero" in str(warning.message)) for warning in caught] == [True] * warns
    pairs = [Atoms("Si2", positions=[[0, 0, 0], [0, 0, r]]) for r in np.linspace(2.001, 2.1, 100)]
    steepest = max(np.abs(potential.forces(pair)).max() for pair in pairs)
    assert (steepest > 1e-6) == warns


def test_settings_that_name_the_species_must_agree(tmp_path):
    files = write(tmp_path, [GAUSSIAN], [1, 0, 0], first_line="SPECIES= Si O")
    assert load_legacy(*files, ["Si", "O"]).species == ("O", "Si")
    assert load_legacy(*files, "Si").species == ("Si",)
    for species in (["O", "Si"], ["O"], ["Si", "C"]):
        with pytest.raises(ValueError, match=r"line 1: the species are \['Si', 'O'\], got"):
            load_legacy(*files, species)


def test_first_lines_that_say_something_else_do_not_matter(tmp_path):
    """The program reads lines up to \\n alone, whatever else divides lines elsewhere."""
    files = write(tmp_path, [GAUSSIAN], [1, 0, 0], first_line="# fitted\x85 to O Si \x0c and others")
    assert load_legacy(*files, ["Si", "O"]).species == ("O", "Si")


GAUSSIAN = (1, (1, 1, 1), (2, 2, 1), 1, 0, 0)


@pytest.mark.parametrize(
    ("families", "weights", "message"),
    [
        ([GAUSSIAN], [1, 2], "2 coefficients, but .* has 3 columns"),
        ([(2, (1, 1, 1), (2, 2, 1), 1, 0, 0)], [1, 0, 0], "line 12: Lennard-Jones"),
        ([(5, (2, 2, 1), (2, 2, 1), 1, 0, 0)], [1, 0, 0], "line 12: .* the force of the power 2"),
        ([(7, (2, 2, 1), (3, 3, 1), 1, 0, 0)], [1, 0, 0], "line 12: .*even"),
        ([(9, (2, 2, 1), (3, 3, 1), 1, 0, 0)], [1, 0, 0], "line 12: there is no family 9"),
        ([GAUSSIAN, (3, (-1, -1, 0), (2, 2, 1), 1, 0, 0)], [1, 0, 0], "line 13: steps must be positive"),
        ([(3, *GAUSSIAN[1:]), GAUSSIAN], [1, 0, 0], r"got \[3, 1\]"),
        ([GAUSSIAN, GAUSSIAN], [1, 0, 0], r"got \[1, 1\]"),
        ([GAUSSIAN[:-1]], [1, 0, 0], "line 12: expected"),
        ([(1, (1, 1, 1), (2, 2, 1), 1, 0.5, 0)], [1, 0, 0], "line 12: expected"),
        ([], [], "expected families from line 12 on"),
        ([GAUSSIAN], [1, "nan", 0], "line 2: expected '1 COEFFICIENT'"),
    ],
)
def test_damaged_files_are_errors(tmp_path, families, weights, message):
    with pytest.raises(ValueError, match=message):
        load_legacy(*write(tmp_path, families, weights), ["Si", "O"])


def test_files_that_are_something_else_are_errors(tmp_path):
    settings, coefficients = write(tmp_path, [GAUSSIAN], [1, 0, 0])
    with pytest.raises(ValueError, match="line 2: expected 'Rcut="):
        load_legacy(coefficients, coefficients, "Si")
    with pytest.raises(ValueError, match="line 2: expected '0 COEFFICIENT'"):
        load_legacy(settings, settings, "Si")
    for species in ([], ["Si", "Si"], ["Si", "O", "C"], ["Xx"]):
        with pytest.raises(ValueError, match="one or two chemical symbols"):
            load_legacy(settings, coefficients, species)
