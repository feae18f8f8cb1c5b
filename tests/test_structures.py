"""Checks of structures."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atom, Atoms
from ase.build import bulk, molecule
from ase.db import connect
from ase.neighborlist import neighbor_list

from plip import PLIPDescriptors, PLIPRegressor
from plip._core._close_pairs import first_close_pair
from plip._structures._checks import _estimate_neighbors, check_structures, describe, errors_of, has_full_cell

CELLS = {
    "cuboid": ([[4, 0, 0], [0, 5, 0], [0, 0, 6]], True),
    "triclinic": ([[4, 0.3, 0], [1.9, 3.5, 0.1], [-1.8, 1.2, 4.4]], True),
    "left-handed": ([[0, 5, 0], [4, 0, 0.2], [0, 0.5, 6]], True),
    "skewed": ([[3, 0, 0], [3000, 3, 0], [1, 1, 3]], True),
    "huge": ([[1e6, 0, 0], [0, 1e6, 0], [2e5, 0, 1e6]], True),
    "thin": ([[1e-2, 0, 0], [0, 1e-2, 0], [0, 0, 1e-2]], True),
    "slab": ([[4, 0.3, 0], [1.9, 3.5, 0.1], [0, 0, 0]], (True, True, False)),
    # The vector without period lies in the plane of the others and has no meaning.
    "slab, third vector in plane": ([[4, 0, 0], [0, 4, 0], [1, 1, 0]], (True, True, False)),
    "chain": ([[0, 0, 0], [0.3, 0.2, 4], [0, 0, 0]], (False, True, False)),
    "molecule": (np.zeros((3, 3)), False),
}


def cell_of(name):
    cell, pbc = CELLS[name]
    return np.array(cell, dtype=float), np.broadcast_to(pbc, 3)


def silicon(n):
    return [bulk("Si", cubic=True) for _ in range(n)]


@pytest.mark.parametrize("make", [list, tuple, iter])
def test_any_iterable_of_atoms_becomes_a_list_of_the_same_objects(make):
    X = silicon(3)
    checked = check_structures(make(X))
    assert isinstance(checked, list)
    assert len(checked) == 3
    assert all(a is b for a, b in zip(checked, X, strict=True))


def test_object_array_of_atoms_is_accepted():
    array = np.empty(2, dtype=object)
    array[:] = silicon(2)
    assert len(check_structures(array)) == 2


def test_table_of_one_column_is_accepted():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"atoms": silicon(2), "energy": [1.0, 2.0]})
    assert len(check_structures(table[["atoms"]])) == 2
    with pytest.raises(TypeError, match="X is a table"):
        check_structures(table)


def test_databases_and_their_rows_are_refused_with_a_remedy(tmp_path):
    database = connect(tmp_path / "silicon.db")
    database.write(silicon(1)[0])
    with pytest.raises(TypeError, match=r"X is a database; pass .*toatoms\(\) for row in X.select\(\)"):
        check_structures(database)
    with pytest.raises(TypeError, match=r"structure 0: .* got AtomsRow; pass row.toatoms\(\)"):
        check_structures(database.select())


@pytest.mark.parametrize("use", [check_structures, PLIPRegressor("fast").fit])
def test_generator_that_was_read_is_told_from_no_structures(use):
    generator = iter(silicon(2))
    assert len(check_structures(generator)) == 2
    with pytest.raises(ValueError, match="a generator can be read once only: pass a list"):
        use(generator)
    with pytest.raises(ValueError, match="at least one is needed$"):
        use([])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (bulk("Si"), "single Atoms"),
        ("train.xyz", r"X is the name of a file; read its structures first: ase.io.read\('train.xyz', ':'\)"),
        (Path("train.xyz"), "X is the name of a file"),
        (SimpleNamespace(columns=["atoms"]), r"X is a table; pass the column .* table\['atoms'\]"),
        (["train.xyz"], "structure 0: expected an ase.Atoms, got str"),
        (np.array(silicon(2), dtype=object), "array of single Atom objects"),
        (np.ones((2, 5)), r'numbers.*are for PLIPRegressor\("precomputed"\)'),
        (np.array(silicon(1)[0], dtype=object), "structure 0: expected an ase.Atoms, got Atom"),
        (np.zeros((3, 2)), "dtype float64"),
        (np.zeros(3), "dtype float64"),
        ([bulk("Si"), Atom("Si")], "structure 1: expected an ase.Atoms, got Atom"),
        ([bulk("Si"), None], "structure 1: expected an ase.Atoms, got NoneType"),
        (None, "got NoneType"),
        (7, "got int"),
    ],
)
def test_other_things_than_structures_are_a_type_error(X, message):
    with pytest.raises(TypeError, match=message):
        check_structures(X)


def no_atoms(atoms):
    del atoms[:]


def nan_position(atoms):
    atoms.positions[4, 1] = np.nan


def infinite_position(atoms):
    atoms.positions[4, 1] = -np.inf


def far_position(atoms):
    atoms.positions[4, 1] = 1e300


def nan_cell(atoms):
    atoms.cell[1, 1] = np.nan


def infinite_cell(atoms):
    atoms.cell[1, 1] = np.inf


def zero_cell(atoms):
    atoms.cell[:] = 0


def zero_vector(atoms):
    atoms.cell[2] = 0


def coplanar_cell(atoms):
    atoms.cell[2] = atoms.cell[0] + 0.3 * atoms.cell[1]


def nearly_coplanar_cell(atoms):
    atoms.cell[2] = atoms.cell[0] + 0.3 * atoms.cell[1] + [0, 0, 1e-7]


def on_own_image(atoms):
    atoms.cell[2] = [0, 0, 5e-4]


def same_place(atoms):
    atoms.positions[5] = atoms.positions[2]


def unknown_number(atoms):
    atoms.numbers[3] = 999


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_atoms, "no atoms"),
        (nan_position, r"\(Si8\): its positions hold values that are NaN"),
        (infinite_position, "its positions"),
        (far_position, "its positions"),
        (nan_cell, "its cell"),
        (infinite_cell, "its cell"),
        (zero_cell, "periodic along cell vector a, which is zero"),
        (zero_vector, "periodic along cell vector c, which is zero"),
        (coplanar_cell, "no volume"),
        (nearly_coplanar_cell, "no volume"),
        (on_own_image, "no volume"),
        (same_place, "atoms 2 and 5 are closer than 0.001 A"),
        (unknown_number, "999 is not the atomic number"),
    ],
)
def test_error_names_the_first_unusable_structure(spoil, message):
    X = silicon(5)
    spoil(X[3])
    spoil(X[4])
    with pytest.raises(ValueError, match=f"^structure 3.*{message}"):
        check_structures(X)


def test_empty_sequence():
    with pytest.raises(ValueError, match="no structures"):
        check_structures([])


def test_species():
    X = [molecule("CH4"), molecule("H2O")]
    assert check_structures(X, species=["O", "C", "H"]) == X
    with pytest.raises(ValueError, match=r"structure 1 \(H2O\): element O is not among .*\(C, H\)"):
        check_structures(X, species=("H", "C"))


def test_cells_that_are_thinner_than_the_limit_are_refused():
    # Any two atoms would have images within it.
    X = [molecule("H2O"), Atoms("H", cell=CELLS["thin"][0], pbc=True)]
    check_structures(X)
    with pytest.raises(ValueError, match=r"structure 1 \(H\): its periodic cell is thinner than any atom"):
        check_structures(X, closest=0.05)


@pytest.mark.parametrize(
    ("name", "closest"),
    [*((name, 1e-3) for name in CELLS), *((name, 0.05) for name in CELLS if name not in ("skewed", "thin"))],
)
def test_overlaps_are_found_through_every_image(name, closest):
    """A copy of one atom, moved by lattice vectors and by a little more or less than the limit."""
    cell, pbc = cell_of(name)
    rng = np.random.default_rng(5)
    for trial in range(12):
        # Every third atom sits on a face or corner of the cell, where its copy comes from the other side.
        fractions = rng.random((2, 3)) * (1 if trial % 3 else rng.integers(0, 2, 3))
        positions = fractions @ np.where(pbc[:, None], cell, np.eye(3))
        if name == "thin":
            positions = positions[:1]
        offset = rng.normal(size=3)
        offset /= np.linalg.norm(offset)
        shift = (rng.integers(-2, 3, 3) * pbc) @ cell
        for distance, overlap in ((0.0, True), (0.9 * closest, True), (1.1 * closest, False)):
            atoms = Atoms("H", positions=positions[:1] + shift + distance * offset, cell=cell, pbc=pbc)
            others = Atoms(f"H{len(positions)}", positions=positions, cell=cell, pbc=pbc)
            X = [molecule("H2O"), others + atoms]
            if overlap:
                with pytest.raises(ValueError, match=f"structure 1 .*atoms 0 and {len(others)} are closer"):
                    check_structures(X, closest=closest)
            else:
                check_structures(X, closest=closest)


@pytest.mark.parametrize("name", CELLS)
def test_good_structures_pass_unchanged(name):
    cell, pbc = cell_of(name)
    atoms = Atoms("H", positions=[[-70.0, 3.0, 1e3]], cell=cell, pbc=pbc)
    before = atoms.copy()
    check_structures([atoms, atoms])
    assert atoms == before


def test_structures_do_not_overlap_with_each_other():
    check_structures([bulk("Si"), bulk("Si"), molecule("H2O"), molecule("H2O")])


def test_many_atoms_at_one_place_are_found_soon():
    """A search that lists all pairs would need 10 GB here."""
    with pytest.raises(ValueError, match=r"atoms \d+ and \d+ are closer than 0.001 A"):
        check_structures([Atoms("Si50000", cell=[5, 5, 5], pbc=True)])


def test_cells_that_would_exhaust_memory_are_refused():
    """One atom in a box a hundredth of an Angstrom wide: 5e8 neighbors."""
    atoms = Atoms("H", cell=np.eye(3) * 1e-2, pbc=True)
    check_structures([atoms])
    with pytest.raises(ValueError, match="structure 1 .*5e[+]08 neighbors"):
        check_structures([bulk("Si"), atoms], cutoff=5.0)


@pytest.mark.parametrize(
    ("extent", "cell", "pbc"),
    [
        # Flat or long, by the cell or by the atoms: empty space costs nothing.
        ((3, 3, 3), (3, 2000, 2000), True),
        ((3, 2000, 2000), (0, 0, 0), False),
        ((3, 3, 2000), (3, 2000, 0), (True, True, False)),
        ((0, 0, 1e6), (0, 0, 0), False),
        # Many translations of the cell reach into the sphere, but few of its reduced one.
        ((3, 3, 3), ([10, 0, 0], [10, 0.5, 0], [0, 0, 10]), True),
        ((3, 3, 3), ([10, 0, 0], [300, 3, 0], [0, 300, 10]), True),
    ],
)
def test_empty_space_and_skewed_cells_are_no_matter(extent, cell, pbc):
    atoms = Atoms("H2", positions=[(0, 0, 0), extent], cell=cell, pbc=pbc)
    check_structures([bulk("H", "fcc", a=3.0), atoms], cutoff=5.0)
    columns = PLIPDescriptors(cutoff=5.0, three_body=None, n_body=None).fit_transform([atoms, molecule("H2")])
    assert np.isfinite(columns).all()


def test_errors_of_names_the_structure():
    with pytest.raises(ValueError, match=r"^structure 7 \(Si2\): too far$"), errors_of(7, bulk("Si")):
        raise ValueError("too far")


def test_dense_molecule_is_refused():
    """Atoms that are all within the cutoff of each other, with or without a wide cell around."""
    positions = np.random.default_rng(0).random((15_000, 3)) * 2.9
    for cell, pbc in ((None, False), ([100, 100, 100], True)):
        with pytest.raises(ValueError, match="1e[+]08 neighbors"):
            check_structures([Atoms("H15000", positions=positions, cell=cell, pbc=pbc)], cutoff=12.0)


def test_large_ordinary_structures_are_not_refused():
    crystal = bulk("Cu", cubic=True).repeat(17)
    droplet = crystal.copy()
    droplet.pbc = False
    slab = bulk("Cu", cubic=True).repeat((70, 70, 1))
    slab.pbc = (True, True, False)
    assert min(len(crystal), len(slab)) ** 2 > 50_000_000
    check_structures([crystal, droplet, slab, bulk("Cu")], cutoff=6.0)


@pytest.mark.parametrize("name", sorted(CELLS.keys() - {"huge", "thin", "skewed"}))
def test_estimated_neighbors_are_of_the_right_size(name):
    cell, pbc = cell_of(name)
    positions = np.random.default_rng(1).random((40, 3)) @ np.where(pbc[:, None], cell, 4 * np.eye(3))
    atoms = Atoms("H40", positions=positions, cell=cell, pbc=pbc)
    estimate = _estimate_neighbors(atoms, 5.0)
    # See above.
    atoms.cell[~pbc] = 0
    listed = len(neighbor_list("i", atoms, 5.0))
    # A factor of two is the error of a box in place of a sphere in small structures.
    assert listed / 2 < estimate < 2 * listed


def test_describe():
    assert describe(3, bulk("Si", cubic=True)) == "structure 3 (Si8)"
    assert describe(0, Atoms()) == "structure 0 (no atoms)"


def test_full_cell():
    atoms = bulk("Si")
    assert has_full_cell(atoms)
    atoms.pbc = False
    assert has_full_cell(atoms)
    atoms.cell[2] = atoms.cell[0] - 2 * atoms.cell[1]
    assert not has_full_cell(atoms)
    atoms.cell[2] = 0
    assert not has_full_cell(atoms)
    assert not has_full_cell(molecule("H2O"))
    # Small is not flat.
    assert has_full_cell(Atoms("H", cell=np.eye(3) * 1e-2))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("positions", lambda positions: positions[:, :2].copy()),
        ("positions", lambda positions: positions[1:]),
        ("cells", lambda cells: cells[1:]),
        ("cells", lambda cells: cells[:, :2].copy()),
        ("inverse", lambda inverse: inverse[:, :, :2].copy()),
        ("inverse", lambda inverse: inverse[1:]),
        ("thickness", lambda thickness: thickness[:, :2].copy()),
        ("borders", lambda borders: borders[1:]),
        ("borders", lambda borders: borders + 1),
        ("borders", lambda borders: borders[[0, 2, 1, 3]]),
    ],
)
def test_arrays_of_a_search_that_do_not_fit_are_errors(name, change):
    arguments = {
        "positions": np.arange(12.0).reshape(4, 3),
        "cells": np.zeros((3, 3, 3)),
        "inverse": np.zeros((3, 3, 3)),
        "thickness": np.full((3, 3), np.inf),
        "borders": np.array([0, 1, 3, 4]),
    }
    structure, i, j, distance = first_close_pair(**arguments, distance=5.2)
    assert (structure, i, j) == (1, 0, 1) and distance == pytest.approx(np.sqrt(27))
    assert first_close_pair(**arguments, distance=5.1) is None
    with pytest.raises(ValueError, match="there must be a cell|cells must be|borders must"):
        first_close_pair(**{**arguments, name: change(arguments[name])}, distance=5.2)
