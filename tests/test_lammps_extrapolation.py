"""Extrapolation grades in the real LAMMPS, by fix pair."""

import base64
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from lammps_runs import lammps_setup, needs_compiler, needs_lammps, run_lammps, run_python
from sample_potentials import interactions, make_potential, sample_potential
from sample_structures import sample

from plip import PLIPDescriptors, PLIPRegressor
from plip._core import TermValues
from plip._structures._evaluation import check_atoms, find_pairs
from plip.interactions._terms import build_terms

pytestmark = [needs_lammps, needs_compiler]

EXAMPLE = Path(__file__).resolve().parents[1] / "doc" / "examples" / "extrapolation.lammps"
GRADES = "fix grade all pair 10 plip extrapolation 1"
DUMP = [
    "dump g all custom 10 grades.dump id xu yu zu f_grade",
    "dump_modify g sort id format float %.17g",
]


class Extent:
    """What a file says of the data: factor, limits and shortest distances of some structures."""

    def __init__(self, potential, structures):
        self.species = potential.species
        self.core = TermValues(self.species, [term for term, _ in potential.terms])
        symbols = np.concatenate([atoms.get_chemical_symbols() for atoms in structures])
        x = np.concatenate([self.core.values(*self.arrays(atoms)) for atoms in structures])
        gram = x.T @ x
        # Of any data, also of a few atoms.
        gram += 1e-3 * np.diag(np.maximum(np.diag(gram), 1e-12 * np.diag(gram).max()))
        self.factor = np.linalg.cholesky(gram)
        leverages = (np.linalg.solve(self.factor, x.T) ** 2).sum(axis=0)
        self.limits = {s: float(leverages[symbols == s].max()) for s in self.species if (symbols == s).any()}
        self.shortest = {}
        for atoms in structures:
            for i, j, d in zip(*neighbor_list("ijd", atoms, self.core.cutoff), strict=True):
                pair = tuple(sorted((atoms.symbols[i], atoms.symbols[j])))
                self.shortest[pair] = min(d, self.shortest.get(pair, np.inf))

    def arrays(self, atoms):
        numbers, positions, cell = check_atoms(self.species, atoms)
        return find_pairs(positions, cell, atoms.pbc, self.core.cutoff), positions, cell, numbers

    def block(self):
        triangle = self.factor[np.tril_indices(len(self.factor))]
        return {
            "leverage_factor": base64.b64encode(triangle.astype("<f8").tobytes()).decode(),
            "leverage_limits": self.limits,
            "shortest_distances": [[*pair, distance] for pair, distance in self.shortest.items()],
            "references": {"for": ["Python alone"]},
        }

    def save(self, path, potential):
        potential.save(path)
        document = json.loads(path.read_text()) | {"uncertainty": self.block()}
        path.write_text(json.dumps(document))

    def grades(self, atoms):
        """By definition."""
        neighbors, positions, cell, numbers = self.arrays(atoms)
        x = self.core.values(neighbors, positions, cell, numbers)
        leverages = (np.linalg.solve(self.factor, x.T) ** 2).sum(axis=0)
        limits = np.array([self.limits.get(symbol, 0.0) for symbol in atoms.symbols])
        outside = np.where(leverages > 0.0, 1e6, 0.0)
        grades = np.divide(leverages, limits, out=outside, where=limits > 0.0)
        i, j, shift = neighbors.to_arrays()
        d = np.linalg.norm(positions[j] + shift @ cell - positions[i], axis=1)
        for a, b, r in zip(i, j, d, strict=True):
            shortest = self.shortest.get(tuple(sorted((atoms.symbols[a], atoms.symbols[b]))), 0.0)
            if r < shortest:
                grades[a] = max(grades[a], shortest / r)
        return np.minimum(grades, 1e6)


def rattled(atoms, size, seed):
    atoms = atoms.copy()
    atoms.rattle(size, seed=seed)
    return atoms


def case(name):
    """A structure, a potential, and data that hold some of it."""
    atoms, cutoff = sample(name)
    potential = sample_potential(atoms, cutoff, mixed=True, n_terms=60)
    extent = Extent(potential, [rattled(atoms, 0.05, seed) for seed in range(3)])
    # Little more than before in one place: grades on both sides of 1.
    return rattled(atoms * (2, 2, 2) if all(atoms.pbc) else atoms, 0.07, 9), potential, extent


def frames(path):
    """Rows (id, x, y, z, grade) of each frame of a dump."""
    text = path.read_text().split("ITEM: TIMESTEP\n")[1:]
    return [np.loadtxt(frame.splitlines()[8:], ndmin=2) for frame in text]


def assert_same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", ["bulk", "three species", "slab", "triclinic", "small cell"])
def test_grades_agree_with_python(name, ranks, plugin, tmp_path):
    atoms, potential, extent = case(name)
    extent.save(tmp_path / "model.json", potential)
    order = sorted(set(atoms.symbols), reverse=True)
    commands, _ = lammps_setup(tmp_path, atoms, order)
    commands += ["pair_style plip", f"pair_coeff * * model.json {' '.join(order)}"]
    code, log = run_lammps(tmp_path, [*commands, GRADES, *DUMP, "run 0"], plugin, ranks)
    assert code == 0, log[-2000:]
    (rows,) = frames(tmp_path / "grades.dump")
    expected = extent.grades(atoms)
    assert (expected > 1.0).any()
    assert_same(rows[:, 4], expected)


def test_terms_of_any_species(plugin, tmp_path):
    atoms, cutoff = sample("three species")
    terms = build_terms(["*", *sorted(set(atoms.symbols))], cutoff, **interactions(cutoff))
    potential = make_potential(atoms, terms, n_terms=150)
    extent = Extent(potential, [atoms, rattled(atoms, 0.05, 0)])
    extent.save(tmp_path / "model.json", potential)
    commands, _ = lammps_setup(tmp_path, atoms, ["Ti", "Sr", "O"])
    commands += ["pair_style plip", "pair_coeff * * model.json Ti Sr O", GRADES, *DUMP, "run 0"]
    code, log = run_lammps(tmp_path, commands, plugin)
    assert code == 0, log[-2000:]
    assert_same(frames(tmp_path / "grades.dump")[0][:, 4], extent.grades(atoms))


def silicon(tmp_path, n_terms=30):
    """Commands for a crystal of silicon that explodes, and its extent, which forgets shortest distances."""
    atoms = bulk("Si", cubic=True) * (3, 2, 2)
    potential = sample_potential(sample("bulk")[0], 4.2, n_terms=n_terms, four_body=False)
    extent = Extent(potential, [rattled(bulk("Si", cubic=True), 0.05, seed) for seed in range(3)])
    extent.save(tmp_path / "model.json", potential)
    potential.save(tmp_path / "without.json")
    commands, _ = lammps_setup(tmp_path, atoms, ["Si"])
    return [*commands, "pair_style plip", "pair_coeff * * model.json Si"], atoms, extent


@pytest.mark.parametrize("ranks", [1, 2])
def test_grades_of_atoms_that_migrate(ranks, plugin, tmp_path):
    commands, atoms, extent = silicon(tmp_path)
    commands += [
        "velocity all create 8000 1",
        "timestep 0.001",
        "fix bath all langevin 8000 8000 0.02 1",
        "fix nve all nve/limit 0.05",
        GRADES,
        *DUMP,
        "run 200",
    ]
    code, log = run_lammps(tmp_path, commands, plugin, ranks)
    assert code == 0, log[-2000:]
    found = frames(tmp_path / "grades.dump")
    assert len(found) == 21
    for rows in found[::5]:
        atoms.positions = rows[:, 1:4]
        expected = extent.grades(atoms)
        assert_same(rows[:, 4], expected)
    assert expected.max() > 1.0
    home = np.floor(found[0][:, 1] / (atoms.cell[0, 0] / 2))
    assert (home != np.floor(found[-1][:, 1] / (atoms.cell[0, 0] / 2))).any()


def test_ranks_without_atoms_and_types_without_atoms(plugin, tmp_path):
    atoms, potential, extent = case("molecule")
    extent.save(tmp_path / "model.json", potential)
    atoms.positions += 5.0 - atoms.positions.min(axis=0)
    atoms.set_cell([40, 40, 40])
    atoms.pbc = True
    atoms = atoms[~(atoms.symbols == "O")]
    commands, _ = lammps_setup(tmp_path, atoms, ["C", "O", "H"])
    commands += ["pair_style plip", "pair_coeff * * model.json C O H", GRADES, *DUMP, "run 0"]
    code, log = run_lammps(tmp_path, commands, plugin, ranks=2)
    assert code == 0, log[-2000:]
    assert "1 by 1 by 2 MPI processor grid" in log
    assert atoms.positions[:, 2].max() < 20.0
    assert_same(frames(tmp_path / "grades.dump")[0][:, 4], extent.grades(atoms))


def test_grades_in_hybrid_overlay_and_for_part_of_the_types(plugin, tmp_path):
    atoms = Atoms("Si4Ar2", positions=np.random.default_rng(0).uniform(0, 1, (6, 3)) + 2.2 * np.eye(6, 3))
    atoms.positions[3:] += [[0, 4, 4], [5, 5, 0], [5, 0, 5]]
    atoms.set_cell([12, 12, 12])
    atoms.pbc = True
    potential = sample_potential(sample("bulk")[0], 4.2)
    extent = Extent(potential, [atoms[:4]])
    extent.save(tmp_path / "model.json", potential)
    commands, _ = lammps_setup(tmp_path, atoms, ["Si", "Ar"])
    commands += [
        "pair_style hybrid/overlay plip zero 6.0",
        "pair_coeff * * plip model.json Si NULL",
        "pair_coeff * * zero",
        GRADES,
        *DUMP,
        "displace_atoms all random 0.05 0.05 0.05 7",
        "run 0",
    ]
    code, log = run_lammps(tmp_path, commands, plugin, ranks=2)
    assert code == 0, log[-2000:]
    (rows,) = frames(tmp_path / "grades.dump")
    moved = atoms[:4]
    moved.positions = rows[:4, 1:4]
    assert_same(rows[:4, 4], extent.grades(moved))
    assert rows[:4, 4].max() > 0.0
    assert not rows[4:, 4].any()


def test_excluded_atoms_have_no_grade(plugin, tmp_path):
    commands, atoms, extent = silicon(tmp_path)
    commands += ["group gone id 1:5", "neigh_modify exclude group gone all", GRADES, *DUMP, "run 0"]
    code, log = run_lammps(tmp_path, commands, plugin)
    assert code == 0, log[-2000:]
    grades = frames(tmp_path / "grades.dump")[0][:, 4]
    assert not grades[:5].any()
    assert_same(grades[5:], extent.grades(atoms[5:]))


def test_grades_are_found_only_on_the_steps_of_the_fix(plugin, tmp_path):
    commands, atoms, extent = silicon(tmp_path)
    commands += ["velocity all create 500 1", "timestep 0.001", "fix nve all nve", GRADES]
    commands += [line.replace("custom 10", "custom 4") for line in DUMP]
    code, log = run_lammps(tmp_path, [*commands, "run 12"], plugin)
    assert code == 0, log[-2000:]
    old = extent.grades(atoms)
    found = frames(tmp_path / "grades.dump")
    assert len(found) == 4
    for rows in found[:3]:
        assert_same(rows[:, 4], old)
    assert np.abs(found[3][:, 4] - old).max() > 1e-3


def test_grades_without_the_flag_and_in_minimizations(plugin, tmp_path):
    """The fix takes them at the beginning of a minimization and in a run, whether it sets the flag or not."""
    commands, atoms, extent = silicon(tmp_path)
    code = f"""
        for flag in (0, 1):
            lmp.commands_list(["clear", *{commands!r}, f"fix grade all pair 1 plip extrapolation {{flag}}"])
            lmp.commands_list(["displace_atoms all random 0.1 0.1 0.1 7", "compute m all reduce max f_grade"])
            for run in ("minimize 0 0 0 20", "run 2"):
                lmp.command(run)
                grades = lmp.numpy.extract_fix("grade", 1, 1)
                x = lmp.numpy.extract_atom("x")[:len(grades)]
                tell(x.tolist(), grades.tolist(), lmp.extract_compute("m", 0, 0))
    """
    (rows,) = run_python(tmp_path, code, plugin)
    assert len(rows) == 4
    for positions, grades, largest in rows:
        atoms.positions = positions
        assert_same(np.array(grades), extent.grades(atoms))
        assert largest == max(grades)


def test_styles_that_are_made_anew(plugin, tmp_path):
    """A fix outlives the pair style that it was made for."""
    commands, atoms, extent = silicon(tmp_path)
    *box, style, coeff = commands
    hybrid = [
        "pair_style hybrid/overlay plip zero 6.0",
        "pair_coeff * * plip model.json Si",
        "pair_coeff * * zero",
    ]
    code = f"""
        def grades():
            lmp.command("run 10")  # fix pair takes grades once on a step
            tell(lmp.numpy.extract_fix("grade", 1, 1).tolist())
        for start in (["clear", *{box!r}, "pair_style plip", {GRADES!r}, {coeff!r}], [{style!r}, {coeff!r}],
                      {hybrid!r}, {hybrid!r}, ["pair_style zero 5.0", "pair_coeff * *", *{hybrid!r}],
                      [{style!r}, {coeff!r}], ["clear", *{commands!r}, {GRADES!r}]):
            lmp.commands_list(start)
            grades()
        lmp.command("pair_coeff * * without.json Si")
        tell(fails("run 10"))
        lmp.command({coeff!r})
        grades()
    """
    (rows,) = run_python(tmp_path, code, plugin)
    expected = extent.grades(atoms)
    assert len(rows) == 9
    assert "uncertainty=True" in rows.pop(7)[0]
    for (grades,) in rows:
        assert_same(np.array(grades), expected)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_file_without_the_data_is_refused(ranks, plugin, tmp_path):
    commands, *_ = silicon(tmp_path)
    *commands, coeff = commands
    without = coeff.replace("model", "without")
    for order in ([without, GRADES], [GRADES, without, "run 0"]):
        code, log = run_lammps(tmp_path, [*commands, *order], plugin, ranks)
        assert code != 0
        assert "write it by potential.save(path, uncertainty=True)" in log
    code, log = run_lammps(tmp_path, [*commands, coeff, GRADES.replace("extrapolation", "other")], plugin)
    assert code != 0
    assert "cannot extract other" in log


def damages(block):
    """Blocks that are damaged, and why."""
    factor = np.frombuffer(base64.b64decode(block["leverage_factor"]))
    broken = {
        "diagonal": np.where(np.arange(len(factor)) == 2, 0.0, factor),
        "finite": np.where(np.arange(len(factor)) == 1, np.nan, factor),
        "triangle": factor[:-1],
    }
    for reason, values in broken.items():
        yield {"leverage_factor": base64.b64encode(values.astype("<f8").tobytes()).decode()}, reason
    text = block["leverage_factor"]
    for damaged in (text[:-1], "!" + text[1:], text[:-4] + "====", text + "AAAA", text[:4] + "=" + text[5:]):
        yield {"leverage_factor": damaged}, "leverage_factor"
    yield {"leverage_factor": 3}, "must be a string"
    yield {"leverage_limits": {"Ge": 1.0}}, "leverage_limits must name"
    yield {"leverage_limits": {"Si": -1.0}}, "must not be negative"
    yield {"leverage_limits": [1.0]}, "must be an object"
    yield {"shortest_distances": [["Si", "Ge", 1.0]]}, "shortest_distances must name"
    yield {"shortest_distances": [["Si", "Si", 1.0]] * 2}, "each once"
    yield {"shortest_distances": [["Si", "Si"]]}, "two species and a number"
    yield {"shortest_distances": [["Si", "Si", -1.0]]}, "shortest distance"


def test_damaged_data_are_refused(plugin, tmp_path):
    *commands, style, _ = silicon(tmp_path)[0]
    document = json.loads((tmp_path / "model.json").read_text())
    reasons = []
    for n, (change, reason) in enumerate(damages(document["uncertainty"])):
        damaged = document | {"uncertainty": document["uncertainty"] | change}
        (tmp_path / f"bad{n}.json").write_text(json.dumps(damaged))
        reasons.append(reason)
    for key in ("leverage_factor", "leverage_limits", "shortest_distances"):
        block = {name: value for name, value in document["uncertainty"].items() if name != key}
        (tmp_path / f"bad{len(reasons)}.json").write_text(json.dumps(document | {"uncertainty": block}))
        reasons.append(f'there is no "{key}"')
    code = f"""
        lmp.commands_list([*{commands!r}, {style!r}])
        for n in range({len(reasons)}):
            tell(fails(f"pair_coeff * * bad{{n}}.json Si"))
    """
    (rows,) = run_python(tmp_path, code, plugin)
    for (message,), reason in zip(rows, reasons, strict=True):
        assert "damaged potential" in message
        assert reason in message


@pytest.mark.parametrize("ranks", [1, 2])
def test_grades_of_a_fit(ranks, silicon_carbide, plugin, tmp_path):
    """Files of fits give the grades of Python: at most 1 for atoms of the training data, more for others."""
    train, _ = silicon_carbide
    potential = PLIPRegressor(PLIPDescriptors(cutoff=4.0), max_terms=40).fit(train).potential_
    potential.save(tmp_path / "model.json", uncertainty=True)
    crystal = bulk("SiC", "zincblende", a=4.36, cubic=True) * (2, 2, 2)
    structures = [*train[::6], rattled(crystal, 0.3, 1), bulk("Si", cubic=True)]
    largest = []
    for atoms in structures:
        commands, _ = lammps_setup(tmp_path, atoms, ["Si", "C"])
        commands += ["pair_style plip", "pair_coeff * * model.json Si C", GRADES, *DUMP, "run 0"]
        code, log = run_lammps(tmp_path, commands, plugin, ranks)
        assert code == 0, log[-2000:]
        found = frames(tmp_path / "grades.dump")[0][:, 4]
        assert_same(found, potential.evaluate(atoms, uncertainty=True)["extrapolation"])
        largest.append(found.max())
    assert max(largest[:-2]) <= 1.0 + 1e-6
    assert min(largest[-2:]) > 1.0


def test_the_example_stops_when_an_atom_leaves_the_data(silicon_carbide, plugin, tmp_path):
    if not EXAMPLE.is_file():
        pytest.skip("the examples of the documentation are not here")
    train, _ = silicon_carbide
    potential = PLIPRegressor(PLIPDescriptors(cutoff=4.0), max_terms=30).fit(train).potential_
    potential.save(tmp_path / "model.json", uncertainty=True)
    code, log = run_lammps(tmp_path, EXAMPLE.read_text().splitlines(), plugin)
    assert code == 0, log[-2000:]
    assert "Fix halt condition for fix-id stop met" in log
    table = log[log.index("   Step") :]
    rows = itertools.takewhile(lambda row: row[:1] != ["Loop"], map(str.split, table.splitlines()[1:]))
    grades = np.array([float(row[3]) for row in rows if len(row) == 4])
    assert len(grades) < 500
    assert grades[-1] > 2.0
    assert (grades[:-1] <= 2.0).all()
    (stopped,) = frames(tmp_path / "stopped.dump")
    assert stopped[:, 5].max() == pytest.approx(grades[-1], rel=1e-4)
