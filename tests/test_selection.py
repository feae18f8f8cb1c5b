"""Selection of structures: by what lowers the variance of a pool, without copies, in bounded memory."""

import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write
from sample_fits import small_descriptors

from plip import PLIPRegressor, PLIPRegressorCV, selection
from plip.cli import main
from plip.selection import rank_structures, select_structures


@pytest.fixture(scope="module")
def data():
    """Structures of a fit, and a pool."""
    from plip.datasets import load_silicon_carbide

    train, test = load_silicon_carbide()
    return train[::12], [atoms.copy() for atoms in [*train[1::6], *test]]


@pytest.fixture(scope="module")
def model(data):
    return PLIPRegressor(small_descriptors(), max_terms=12).fit(data[0])


def weighted_rows(model, atoms, weights):
    """Rows of all labels in the kept terms and the numbers of atoms."""
    kept = np.flatnonzero(model.coef_)
    energy, forces, virial = model.descriptors_.design_rows(atoms)
    counts = [atoms.symbols.count(symbol) for symbol in model.descriptors_.species_]
    rows = [
        weights["energy"] / len(atoms) * np.append(energy[kept], counts)[None],
        weights["force"] * np.pad(forces[:, kept], ((0, 0), (0, len(counts)))),
        weights["virial"] / len(atoms) * np.pad(virial[:, kept], ((0, 0), (0, len(counts)))),
    ]
    return np.concatenate(rows)


def greedy(model, train, pool, n, weights, cost):
    """The same by adding up rows and inverting matrices, and the variance before and after each choice."""
    products = [rows.T @ rows for rows in (weighted_rows(model, atoms, weights) for atoms in pool)]
    of_pool = sum(products)
    rows = np.concatenate([weighted_rows(model, atoms, weights) for atoms in train])
    matrix = rows.T @ rows + prior_of(model, rows)
    chosen, variances = [], [np.trace(of_pool @ np.linalg.inv(matrix))]
    while len(chosen) < n:
        after = [np.trace(of_pool @ np.linalg.inv(matrix + product)) for product in products]
        gains = [
            -np.inf if k in chosen else (variances[-1] - after[k]) / len(pool[k]) ** cost
            for k in range(len(pool))
        ]
        chosen.append(int(np.argmax(gains)))
        matrix = matrix + products[chosen[-1]]
        variances.append(after[chosen[-1]])
    return chosen, np.array(variances)


def prior_of(model, rows):
    """Known before any data: penalties of the fit, sizes of coefficients, reference energies within 10 eV."""
    kept = np.flatnonzero(model.coef_)
    equations = model.normal_equations_
    problem = model._problem(equations, None, model._penalty(equations))
    coef = model.coef_
    squares = problem.target_square - 2 * coef @ problem.moment + coef @ problem.gram @ coef
    noise = squares / problem.weight_sum
    ridge = problem.weight_sum * problem.ridge[kept] + noise / coef[kept] ** 2
    return np.diag(np.append(ridge, np.full(len(equations.species), noise / 100.0)))


@pytest.mark.parametrize("cost", [0.0, 1.0])
def test_choices_are_those_of_brute_force(data, model, cost):
    train, pool = data
    weights = {"energy": model.energy_weight, "force": model.force_weight, "virial": model.stress_weight}
    expected, variances = greedy(model, train, pool, 6, weights, cost)
    places, shares = rank_structures(pool, 6, model, cost=cost)
    assert places.tolist() == expected
    np.testing.assert_allclose(shares, np.sqrt(variances[1:] / variances[0]), rtol=1e-6)
    assert (np.diff(variances) < 0).all()


def test_fits_of_some_targets_count_the_rows_of_these(data):
    train, pool = data
    weights = {"energy": 0.0, "force": 2.0, "virial": 0.0}
    forces_alone = PLIPRegressor(
        small_descriptors(), max_terms=12, energy_weight=0.0, force_weight=2.0, stress_weight=0.0
    ).fit(train)
    kept = np.flatnonzero(forces_alone.coef_)
    assert kept.size
    expected, _ = greedy(forces_alone, train, pool, 4, weights, 0.0)
    assert select_structures(pool, 4, forces_alone).tolist() == expected


def test_less_uncertainty_than_by_chance(data, model):
    pool = data[1]
    _, shares = rank_structures(pool, 8, model)
    prior = selection._Prior(model)
    information = [prior.rows(k, atoms).information for k, atoms in enumerate(pool)]
    random = np.random.default_rng(0)
    for _ in range(5):
        after = prior.matrix + sum(information[k] for k in random.permutation(len(pool))[:8])
        variances = [np.trace(np.linalg.solve(matrix, sum(information))) for matrix in (prior.matrix, after)]
        assert shares[-1] < np.sqrt(variances[1] / variances[0])


def test_list_generator_and_workers_agree(data, model):
    pool = data[1]
    expected = select_structures(pool, 10, model)
    assert expected.dtype == np.int64 and len(set(expected.tolist())) == 10
    assert select_structures(iter(pool), 10, model).tolist() == expected.tolist()
    assert select_structures(pool, 10, model, n_jobs=2).tolist() == expected.tolist()
    assert select_structures(pool, 4, model).tolist() == expected[:4].tolist()


def test_little_memory_costs_little_quality(data, model, monkeypatch):
    pool = data[1]
    _, whole = rank_structures(pool, 5, model)
    monkeypatch.setattr(selection, "_MEMORY", 1.0)  # ten candidates at a time
    places, shares = rank_structures(pool, 5, model)
    assert places.tolist() == rank_structures(iter(pool), 5, model)[0].tolist()
    assert len(set(places.tolist())) == 5
    # The guarantee is weak (half for two parts); what candidates of parts lose here is a tenth at most.
    assert 1.0 - shares[-1] > 0.9 * (1.0 - whole[-1])


def turned(atoms, repeat=1):
    """The same structure elsewhere, in other axes, its atoms in another order."""
    copy = atoms.repeat((repeat, 1, 1))
    copy.rotate(37.0, (1.0, 2.0, -0.5), rotate_cell=True)
    copy.positions += 0.37
    copy = copy[np.random.default_rng(3).permutation(len(copy))]
    copy.wrap()
    return copy


def test_never_a_copy(data, model):
    pool = data[1][:9]
    copies = [*pool, *(turned(atoms) for atoms in pool), *(turned(atoms, 2) for atoms in pool[:3])]
    with pytest.warns(UserWarning, match="only 9 structures .* anything new, fewer than n=15"):
        chosen = select_structures(copies, 15, model)
    assert sorted(k % 9 for k in chosen.tolist()) == list(range(9))


def test_never_a_known_structure(data, model):
    train, pool = data
    mixed = [*(turned(atoms) for atoms in train), *pool[:6]]
    with pytest.warns(UserWarning, match="fewer than"):
        chosen = select_structures(mixed, 20, model)
    assert sorted(chosen.tolist()) == list(range(len(train), len(train) + 6))
    chosen = select_structures(pool[:8], 2, model, known=[turned(atoms) for atoms in pool[:6]])
    assert sorted(chosen.tolist()) == [6, 7]


def test_none_of_a_pool_that_tells_nothing(data):
    """Lone atoms have no terms, and their energies are fixed."""
    references = {"C": -1.0, "Si": -2.0}
    fixed = PLIPRegressor(small_descriptors(), max_terms=12, reference_energies=references).fit(data[0])
    alone = [Atoms(symbol, cell=[30.0] * 3, pbc=True) for symbol in ("Si", "C")]
    with pytest.warns(UserWarning, match="only 0 structures"):
        assert len(select_structures(alone, 2, fixed)) == 0
    assert select_structures([*alone, data[1][0]], 1, fixed).tolist() == [2]


def test_small_displacements_are_no_copies(model, data):
    crystal = data[1][0]
    moved = crystal.copy()
    moved.positions[0] += (0.003, 0.0, 0.0)
    assert len(select_structures([crystal, moved], 2, model)) == 2


def test_cost_prefers_small_cells(data, model):
    pool = data[1]
    sizes = np.array([len(atoms) for atoms in pool])
    assert len(set(sizes.tolist())) > 1
    mean = [sizes[select_structures(pool, 6, model, cost=cost)].mean() for cost in (0.0, 3.0)]
    assert mean[1] < mean[0]


def test_every_regressor(data):
    train, pool = data
    model = PLIPRegressorCV(small_descriptors(), max_terms=10, energy_weights=[10.0, 40.0], cv=3).fit(train)
    assert len(select_structures(pool, 3, model)) == 3
    fixed = PLIPRegressor(small_descriptors(), max_terms=10, reference_energies={"Si": -0.8, "C": -1.3}).fit(
        train
    )
    assert len(select_structures(pool, 3, fixed)) == 3
    added = PLIPRegressor(small_descriptors(), max_terms=10).fit(train[:8]).partial_fit(train[8:])
    assert len(select_structures(pool, 3, added)) == 3


def test_errors(data, model):
    pool = data[1]
    with pytest.raises(ValueError, match="n must be an integer of at least 1, got 0"):
        select_structures(pool, 0, model)
    with pytest.raises(ValueError, match="cost must be a number"):
        select_structures(pool, 1, model, cost=-1.0)
    with pytest.raises(ValueError, match="no structures"):
        select_structures([], 1, model)
    with pytest.raises(TypeError, match=r"pass \[atoms\]"):
        select_structures(pool[0], 1, model)
    with pytest.raises(TypeError, match="PLIPRegressor"):
        select_structures(pool, 1, model.potential_)
    with pytest.raises(ValueError, match=r"structure 3 \(Cu\)"):
        select_structures([*pool[:3], Atoms("Cu")], 1, model)
    nothing = PLIPRegressor(small_descriptors(), solver="lasso_lars", alpha=1e9)
    with pytest.warns(UserWarning, match="no term"):
        nothing.fit(data[0])
    with pytest.raises(ValueError, match="kept no term"):
        select_structures(pool, 1, nothing)


def test_fits_whose_data_do_not_tell_reference_energies_apart():
    """Crystals of one composition at rest: each force is zero, and only the sum of both references counts."""
    from plip.datasets import load_silicon_carbide

    train, pool = load_silicon_carbide()
    model = PLIPRegressor("fast", max_terms=10, stress_weight=0.0).fit(train[:3])
    places, shares = rank_structures(pool, 5, model)
    assert len(set(places.tolist())) == 5
    assert (np.diff(shares) <= 0).all() and 0 < shares[-1] < shares[0] < 1


def test_empty_texts_swallow_nothing_of_what_was_chosen(data, tmp_path):
    train, pool = data
    pool = [atoms.copy() for atoms in pool[:4]]
    for atoms in pool:
        atoms.info = {"comment": ""}
        atoms.pbc = (True, True, False)
    write(tmp_path / "train.xyz", train)
    write(tmp_path / "pool.traj", pool)
    files = [str(tmp_path / name) for name in ("pool.traj", "train.xyz", "chosen.xyz")]
    assert main(["select", files[0], "--train", files[1], "-n", "1", "--terms", "12", "-o", files[2]]) == 0
    (atoms,) = read(files[2], ":")
    assert atoms.info["pool_index"] in range(4) and list(atoms.pbc) == [True, True, False]


def test_command(data, tmp_path, capsys):
    train, pool = data
    write(tmp_path / "train.xyz", train)
    write(tmp_path / "a.xyz", pool[:9])
    write(tmp_path / "b.xyz", [*train[:2], *pool[9:15]])
    files = [str(tmp_path / name) for name in ("a.xyz", "b.xyz@1:")]
    output = tmp_path / "chosen.xyz"
    options = ["--train", str(tmp_path / "train.xyz"), "--terms", "12", "-o", str(output)]
    assert main(["select", *files, *options, "-n", "4"]) == 0
    report = capsys.readouterr().out
    chosen = read(output, ":")
    assert len(chosen) == 4
    whole = [*pool[:9], train[1], *pool[9:15]]
    for rank, atoms in enumerate(chosen, 1):
        index = atoms.info["pool_index"]
        assert index != 9 and atoms.calc is None
        np.testing.assert_allclose(atoms.positions, whole[index].positions, atol=1e-7)
        name = f"a.xyz, structure {index}" if index < 9 else f"b.xyz, structure {index - 8}"
        assert atoms.info["pool_structure"].endswith(name)
        assert name in report.splitlines()[rank]
    assert main(["select", *files, *options, "-n", "40"]) == 0
    assert "no more than 15 structures" in capsys.readouterr().out
    write(tmp_path / "wrong.xyz", [pool[0], Atoms("Cu")])
    assert main(["select", *files, str(tmp_path / "wrong.xyz"), *options]) == 2
    assert "wrong.xyz, structure 1 (Cu)" in capsys.readouterr().err
