"""Normal equations: the sums themselves, their merging, their bits and their files."""

from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import read, write
from ase.neighborlist import neighbor_list
from threadpoolctl import threadpool_info, threadpool_limits

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, Potential
from plip._design._rows import Design
from plip._design._sharing import SharedWork
from plip.interactions import NBody, ThreeBody, TwoBody
from plip.labels import TARGETS, LabelWarning
from plip.normal_equations import _sample
from plip.normal_equations._chunks import Cutter
from plip.normal_equations._sample import Sample, Sampler
from plip.radial import Gaussian


def labeled(atoms, rng, energy=True, forces=True, stress=True):
    """Atoms with random labels attached."""
    results = {}
    if energy:
        results["energy"] = -5.0 * len(atoms) + rng.normal()
    if forces:
        results["forces"] = rng.normal(size=(len(atoms), 3))
    if stress:
        results["stress"] = rng.normal(size=6)
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


@pytest.fixture
def structures():
    rng = np.random.default_rng(4)
    made = []
    for size in (1, 2, 3, 2, 1, 3, 2, 2):
        atoms = bulk("SiC", "zincblende", a=4.4) * (size, size, 2)
        atoms.rattle(0.1, rng=rng)
        if size == 1:
            atoms.symbols[0] = "C"
        made.append(labeled(atoms, rng))
    return made


@pytest.fixture
def descriptors(structures):
    return PLIPDescriptors(
        cutoff=4.0,
        two_body=TwoBody(Gaussian(eta=1.0, centers=[1.8, 2.6, 3.4])),
        three_body=ThreeBody(Gaussian(eta=1.0, centers=[2.0, 3.0]), max_power=2, mixed=True, cutoff=3.5),
        n_body=NBody(Gaussian(eta=0.5, centers=[2.0]), powers=(2, 3)),
    ).fit(structures)


def take_labels_away(structures):
    for index, names in {0: ["stress"], 1: ["energy"], 2: ["forces"], 4: ["energy", "forces"]}.items():
        for name in names:
            del structures[index].calc.results[name]
    for name in ("energy", "forces"):
        del structures[5].calc.results[name]


def dense_rows(structures, descriptors, energy_weight, force_weight, stress_weight, sample_weight):
    """Weighted rows and targets of the labels attached, and the composition columns."""
    rows, compositions, targets = [], [], []
    for atoms, weight in zip(structures, sample_weight, strict=True):
        values, forces, virial = descriptors.design_rows(atoms)
        results = atoms.calc.results
        counts = np.array([np.count_nonzero(atoms.symbols == s) for s in descriptors.species_])
        size = len(atoms)
        for factor, name, block, composition, unit in (
            (energy_weight, "energy", values[None] / size, counts[None] / size, 1 / size),
            (force_weight, "forces", forces, np.zeros((3 * size, len(counts))), 1.0),
            (stress_weight, "stress", virial / size, np.zeros((6, len(counts))), atoms.get_volume() / size),
        ):
            if name not in results:
                continue
            target = unit * np.ravel(results[name])
            factor = factor * np.sqrt(weight)
            rows.append(factor * block)
            compositions.append(factor * composition)
            targets.append(factor * target)
    return np.concatenate(rows), np.concatenate(compositions), np.concatenate(targets)


@pytest.mark.parametrize("missing", [False, True])
def test_problem_is_that_of_the_dense_rows(structures, descriptors, missing):
    sample_weight = np.linspace(0.5, 2.0, len(structures))
    if missing:
        take_labels_away(structures)
    equations = NormalEquations.from_structures(structures, descriptors, sample_weight=sample_weight)
    problem = equations.problem(energy_weight=3.0, force_weight=0.7, stress_weight=0.2)
    X, C, y = dense_rows(structures, descriptors, 3.0, 0.7, 0.2, sample_weight)
    projected = np.column_stack([X, y]) - C @ np.linalg.lstsq(C, np.column_stack([X, y]), rcond=None)[0]
    expected = projected.T @ projected
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    # 1e-10: the products before projection are up to 1e5 times those after it.
    np.testing.assert_allclose(
        problem.gram / scale[:-1, :-1], expected[:-1, :-1] / scale[:-1, :-1], atol=1e-10
    )
    np.testing.assert_allclose(
        problem.moment / scale[:-1, -1], expected[:-1, -1] / scale[:-1, -1], atol=1e-10
    )
    assert problem.target_square == pytest.approx(expected[-1, -1], rel=1e-10)
    n = sum(
        weight * sum(np.size(label) for label in atoms.calc.results.values())
        for weight, atoms in zip(sample_weight, structures, strict=True)
    )
    assert problem.weight_sum == pytest.approx(n, rel=1e-14)


def test_reference_energies_are_those_of_least_squares(structures, descriptors):
    equations = NormalEquations.from_structures(structures, descriptors)
    coef = np.random.default_rng(0).normal(size=len(descriptors.terms_))
    X, C, y = dense_rows(structures, descriptors, 1.0, 0.0, 0.0, np.ones(len(structures)))
    expected = np.linalg.lstsq(C, y - X @ coef, rcond=None)[0]
    found = equations.reference_energies(coef)
    assert list(found) == ["C", "Si"]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-8)


def test_reference_energies_have_least_norm_for_one_composition(structures, descriptors):
    same = [atoms for atoms in structures if (atoms.symbols == "C").sum() == len(atoms) / 2]
    equations = NormalEquations.from_structures(same, descriptors)
    found = equations.reference_energies(np.zeros(len(descriptors.terms_)))
    assert found["C"] == pytest.approx(found["Si"], rel=1e-10)
    mean = np.mean([atoms.calc.results["energy"] / len(atoms) for atoms in same])
    assert found["C"] == pytest.approx(mean, rel=1e-10)


def large(rng):
    """A structure of more than two chunks, whose atoms are of two species."""
    atoms = bulk("SiC", "zincblende", a=4.4, cubic=True) * (5, 5, 7)
    atoms.rattle(0.1, rng=rng)
    return labeled(atoms, rng)


def products(equations):
    return {target: sums.products for target, sums in equations._sums.items()}


def test_the_largest_structures_have_no_more_than_32_shares():
    """Each share has a matrix of its own to add up."""
    assert [chunk.n_shares for chunk in Cutter().add([10_000_000])] == [32]


def test_threads_share_a_large_structure(structures, descriptors, tmp_path):
    rng = np.random.default_rng(8)
    atoms = large(rng)
    data = [structures[0], atoms, *structures[1:]]
    weight = rng.uniform(0.5, 2.0, len(data))
    assert next(Cutter().add([len(atoms)])).n_shares == 2
    one = NormalEquations.from_structures(data, descriptors, sample_weight=weight)
    for n_jobs, backend in ((2, "threading"), (3, "threading"), (2, "loky")):
        with joblib.parallel_config(backend=backend):
            same = NormalEquations.from_structures(data, descriptors, sample_weight=weight, n_jobs=n_jobs)
        for target, expected in products(one).items():
            np.testing.assert_array_equal(products(same)[target], expected)
    # What is kept for later fits is not divided.
    whole = NormalEquations.from_structures(data, descriptors, sample_weight=weight, memory=tmp_path)
    assert one.n_structures == whole.n_structures == len(data)
    assert one.n_rows == whole.n_rows and one.data_hash == whole.data_hash
    for name, values in one._counts.arrays().items():
        np.testing.assert_allclose(values, whole._counts.arrays()[name], rtol=1e-12)
    np.testing.assert_array_equal(one._extent.to_array(), whole._extent.to_array())
    for target, expected in products(whole).items():
        np.testing.assert_allclose(products(one)[target], expected, rtol=1e-9, atol=1e-9 * expected.max())


def test_files_of_large_structures(descriptors, tmp_path):
    atoms = large(np.random.default_rng(9))
    write(tmp_path / "large.xyz", [atoms, atoms], format="extxyz")
    found = NormalEquations.from_files([tmp_path / "large.xyz"], descriptors, n_jobs=2)
    expected = NormalEquations.from_structures(read(tmp_path / "large.xyz", ":"), descriptors)
    for target, of_structures in products(expected).items():
        np.testing.assert_array_equal(products(found)[target], of_structures)


def test_every_thread_learns_of_a_failure():
    def fail(number):
        raise MemoryError(f"piece {number}")

    work = SharedWork(3)
    for _ in range(2):
        with pytest.raises(MemoryError, match="piece 0"):
            work.finish(fail)


def test_each_piece_of_shared_work_is_done_once():
    done = []
    work = SharedWork(50)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: work.finish(lambda k: done.append(k) or k**2), range(4)))
    assert sorted(done) == list(range(50))
    assert all(result == [k**2 for k in range(50)] for result in results)


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_bits_do_not_depend_on_workers(structures, descriptors, n_jobs, monkeypatch):
    monkeypatch.setattr("plip.normal_equations._chunks.CHUNK_ATOMS", 20)
    one = NormalEquations.from_structures(structures * 3, descriptors, n_jobs=1).problem(2.0, 1.0, 0.5)
    many = NormalEquations.from_structures(structures * 3, descriptors, n_jobs=n_jobs).problem(2.0, 1.0, 0.5)
    assert np.array_equal(one.gram, many.gram)
    assert np.array_equal(one.moment, many.moment)
    assert one.target_square == many.target_square


def test_bad_number_of_workers_is_refused(structures, descriptors):
    with pytest.raises(ValueError, match="n_jobs must be a positive integer.*'2'"):
        NormalEquations.from_structures(structures, descriptors, n_jobs="2")


def test_bits_do_not_depend_on_blas_threads(structures, descriptors):
    with threadpool_limits(1):
        one = NormalEquations.from_structures(structures, descriptors).problem()
    with threadpool_limits(2):
        two = NormalEquations.from_structures(structures, descriptors).problem()
    assert np.array_equal(one.gram, two.gram)


@pytest.mark.parametrize("backend", ["threading", "loky", "multiprocessing"])
def test_every_backend_gives_the_same_bits(structures, descriptors, monkeypatch, tmp_path, backend):
    """Also one that gives lists alone; several batches of several chunks, with and without memory."""
    monkeypatch.setattr("plip.normal_equations._chunks.CHUNK_ATOMS", 8)
    here = NormalEquations.from_structures(structures * 3, descriptors)
    for memory in (None, str(tmp_path), str(tmp_path)):
        with joblib.parallel_config(backend=backend, n_jobs=2):
            there = NormalEquations.from_structures(structures * 3, descriptors, memory=memory)
        if memory is None:
            assert_same_bits(here, there)
        else:
            assert_same(here, there)


def assert_same_bits(a, b):
    a, b = a.problem(2.0, 1.0, 0.5), b.problem(2.0, 1.0, 0.5)
    assert np.array_equal(a.gram, b.gram)
    assert np.array_equal(a.moment, b.moment)
    assert a.target_square == b.target_square


def test_fits_at_the_same_time_give_the_same_bits(structures, descriptors, monkeypatch):
    """Threads that begin and end at different times, each with as many structures as its number."""
    monkeypatch.setattr("plip.normal_equations._chunks.CHUNK_ATOMS", 20)
    alone = [NormalEquations.from_structures(structures[:n], descriptors) for n in range(3, 9)]
    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(3) as pool:
        before = threadpool_info()
        jobs = [
            pool.submit(NormalEquations.from_structures, structures[:n], descriptors, n_jobs=1 + n % 2)
            for n in range(3, 9)
        ]
        for one, job in zip(alone, jobs, strict=True):
            assert_same_bits(one, job.result())
        assert threadpool_info() == before


def assert_same(a, b, rtol=1e-9):
    a, b = a.problem(2.0, 1.0, 0.5), b.problem(2.0, 1.0, 0.5)
    scale = np.sqrt(np.outer(np.diag(a.gram), np.diag(a.gram)))
    np.testing.assert_allclose(a.gram / scale, b.gram / scale, atol=rtol)
    np.testing.assert_allclose(a.moment, b.moment, atol=rtol * np.sqrt(a.target_square) * scale.max())
    assert a.weight_sum == pytest.approx(b.weight_sum, rel=1e-14)


def test_parts_add_up_and_can_be_taken_out(structures, descriptors):
    whole = NormalEquations.from_structures(structures, descriptors)
    first = NormalEquations.from_structures(structures[:3], descriptors)
    rest = NormalEquations.from_structures(structures[3:], descriptors)
    assert_same(whole, first + rest)
    assert_same(rest, whole - first, rtol=1e-8)
    assert (first + rest).n_structures == len(structures)
    assert_same(whole, sum([first, rest]))
    coef = np.random.default_rng(1).normal(size=len(descriptors.terms_))
    a, b = whole.reference_energies(coef), (first + rest).reference_energies(coef)
    np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-8)


def test_generator_gives_the_same_sums(structures, descriptors, monkeypatch):
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 3)
    whole = NormalEquations.from_structures(structures, descriptors)
    assert_same(whole, NormalEquations.from_structures((atoms for atoms in structures), descriptors))
    with pytest.raises(TypeError, match="generator"):
        NormalEquations.from_structures((atoms for atoms in structures), descriptors, y=[0.0])
    with pytest.raises(ValueError, match="no structures"):
        NormalEquations.from_structures(iter([]), descriptors)


@pytest.mark.parametrize("first_batch", [2, 3])
def test_generator_of_structures_of_which_some_lack_labels(structures, descriptors, monkeypatch, first_batch):
    """The first two structures have no energy, so that the first batch may know no reference."""
    take_labels_away(structures)
    del structures[0].calc.results["energy"]
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", first_batch)
    whole = NormalEquations.from_structures(structures, descriptors)
    assert whole.n_rows["energy"] == 4
    assert_same(whole, NormalEquations.from_structures(iter(structures), descriptors))


def test_generator_with_a_batch_without_labels(structures, descriptors, monkeypatch):
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 3)
    for atoms in structures[3:6]:
        atoms.calc = None
    with pytest.warns(UserWarning, match=r"structure 3 .* and 2 others: no label"):
        found = NormalEquations.from_structures(iter(structures), descriptors)
    assert_same(found, NormalEquations.from_structures(structures[:3] + structures[6:], descriptors))
    for atoms in structures:
        atoms.calc = None
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="no energies, forces or stresses to fit"):
        NormalEquations.from_structures(iter(structures), descriptors)


def spoil_label(atoms):
    atoms.calc.results["forces"] = np.full((len(atoms), 3), np.nan)


def spoil_position(atoms):
    atoms.positions[0] = np.nan


def empty(atoms):
    del atoms[:]


def meet(atoms):
    atoms.positions[1] = atoms.positions[0]


@pytest.mark.parametrize("spoil", [spoil_label, spoil_position, empty, meet])
def test_errors_count_within_the_whole_generator(structures, descriptors, monkeypatch, spoil):
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 3)
    spoil(structures[7])
    for X in (structures, iter(structures)):
        with pytest.raises(ValueError, match="^structure 7"):
            NormalEquations.from_structures(X, descriptors)


def test_nothing_is_left_when_all_is_taken_out(structures, descriptors):
    weights = [0.1, 0.2, 0.3, 0.7, 0.9, 1.1, 1.3, 1.7]
    equations = [
        NormalEquations.from_structures([atoms], descriptors, sample_weight=[weight])
        for atoms, weight in zip(structures, weights, strict=True)
    ]
    rest = sum(equations)
    for part in equations:
        rest = rest - part
    # The sum of the weights in another order is not exactly zero.
    assert rest.weight_sums == {"energy": 0.0, "force": 0.0, "virial": 0.0}
    assert rest.mean_squares(np.zeros((1, len(descriptors.terms_))), np.zeros((1, 2))) == {}
    with pytest.raises(ValueError, match="no target has both rows"):
        rest.problem()


def test_different_terms_do_not_merge(structures, descriptors):
    other = PLIPDescriptors(cutoff=3.0, three_body=None, n_body=None).fit(structures)
    with pytest.raises(ValueError, match="same fitted descriptors"):
        NormalEquations.from_structures(structures, descriptors) + NormalEquations.from_structures(
            structures, other
        )


def test_file_holds_every_bit(structures, descriptors, tmp_path):
    equations = NormalEquations.from_structures(structures, descriptors)
    equations.save(tmp_path / "equations.npz")
    loaded = NormalEquations.load(tmp_path / "equations.npz")
    assert loaded.terms == equations.terms
    assert loaded.n_rows == equations.n_rows
    assert loaded.descriptors.get_params(deep=False).keys() == descriptors.get_params(deep=False).keys()
    assert loaded.descriptors.fit(structures).terms_ == descriptors.terms_
    assert np.array_equal(loaded.problem(1, 2, 3).gram, equations.problem(1, 2, 3).gram)
    coef = np.ones(len(descriptors.terms_))
    assert loaded.reference_energies(coef) == equations.reference_energies(coef)
    assert [path.name for path in tmp_path.iterdir()] == ["equations.npz"]


def test_file_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(ValueError, match="does not hold normal equations"):
        NormalEquations.load(tmp_path / "other.npz")


def test_large_structure_is_split_into_blocks(structures, descriptors, monkeypatch):
    whole = NormalEquations.from_structures(structures, descriptors)
    monkeypatch.setattr("plip.normal_equations._chunk_sums._BLOCK_ROWS", 7)
    assert_same(whole, NormalEquations.from_structures(structures, descriptors))


def test_weight_counts_like_repetition(structures, descriptors):
    weights = [1, 2, 0, 3, 1, 1, 2, 1]
    weighted = NormalEquations.from_structures(structures, descriptors, sample_weight=weights)
    repeated = [atoms for atoms, weight in zip(structures, weights, strict=True) for _ in range(weight)]
    assert_same(weighted, NormalEquations.from_structures(repeated, descriptors))


@pytest.mark.parametrize("products", [False, True])
def test_weights_of_the_targets(structures, descriptors, tmp_path, products):
    weights = np.random.default_rng(0).uniform(0.5, 2.0, (len(structures), 3))
    weights[1] = weights[2, 0] = weights[3, 1] = weights[4, 2] = 0.0
    options = {}
    if products:  # structures with more force rows than terms, kept as products of rows
        structures = [labeled(atoms * (2, 2, 1), np.random.default_rng(1)) for atoms in structures]
        options["memory"] = str(tmp_path)
    weighted = NormalEquations.from_structures(structures, descriptors, sample_weight=weights, **options)
    parts = [
        NormalEquations.from_structures(structures, descriptors, sample_weight=column, targets=(target,))
        for target, column in zip(("energy", "force", "virial"), weights.T, strict=True)
    ]
    assert_same(weighted, sum(parts))
    assert weighted.n_rows["energy"] == parts[0].n_rows["energy"] < len(structures)


@pytest.mark.parametrize("products", [False, True])
def test_memory_computes_each_structure_once(structures, descriptors, tmp_path, monkeypatch, products):
    import plip.normal_equations._row_cache as storage

    calls = []
    original = storage.StructureDesign

    def counted(design, atoms, has_virials):
        calls.append(len(atoms))
        return original(design, atoms, has_virials)

    monkeypatch.setattr(storage, "StructureDesign", counted)
    if products:  # structures with more force rows than terms
        structures = [labeled(atoms * (2, 2, 1), np.random.default_rng(1)) for atoms in structures[:3]]
    plain = NormalEquations.from_structures(structures, descriptors)
    calls.clear()
    first = NormalEquations.from_structures(structures, descriptors, memory=str(tmp_path))
    assert len(calls) == len(structures)
    second = NormalEquations.from_structures(structures[1:], descriptors, memory=str(tmp_path))
    assert len(calls) == len(structures)
    assert_same(plain, first)
    assert_same(NormalEquations.from_structures(structures[1:], descriptors), second)


@pytest.mark.parametrize("stored", [False, True])
def test_structures_of_some_of_the_species_update_their_columns_alone(tmp_path, monkeypatch, stored):
    """Four species, of which most structures have one or two: the sums are those of whole rows."""
    rng = np.random.default_rng(5)
    structures = []
    for symbols in (["Mo"], ["Nb", "W"], ["Mo", "Ta"], ["Mo"], ["Mo", "Nb", "Ta", "W"], ["W", "Nb"]):
        atoms = bulk("Mo", "bcc", a=3.2, cubic=True) * (2, 2, 2)
        atoms.symbols[:] = [symbols[k % len(symbols)] for k in range(len(atoms))]
        atoms.rattle(0.1, rng=rng)
        structures.append(labeled(atoms, rng))
    descriptors = PLIPDescriptors(
        cutoff=4.0,
        two_body=TwoBody(Gaussian(eta=1.0, centers=[2.2, 2.8, 3.4])),
        three_body=ThreeBody(Gaussian(eta=1.0, centers=[2.4, 3.2]), max_power=2, mixed=True),
        n_body=NBody(Gaussian(eta=0.5, centers=[2.6]), powers=(2, 3)),
        shared=True,
    ).fit(structures)
    memory = str(tmp_path) if stored else None
    equations = NormalEquations.from_structures(structures, descriptors, memory=memory)
    design = Design(descriptors.terms_, descriptors.species_)
    widths = [len(design.part(atoms).columns) for atoms in structures]
    assert widths[0] == widths[3] < widths[1] == widths[5] < widths[4] == len(descriptors.terms_)
    monkeypatch.setattr(Design, "part", lambda self, atoms: self)
    whole = NormalEquations.from_structures(structures, descriptors)
    for target, weights in zip(TARGETS, np.eye(3), strict=True):
        rows, compositions, targets = dense_rows(structures, descriptors, *weights, np.ones(6))
        if target == "energy":
            targets = targets - compositions @ equations._reference
        rows = np.column_stack([rows, compositions, targets])
        expected = rows.T @ rows
        for each in (equations, whole):
            products = each._sums[target].products
            np.testing.assert_allclose(products, expected, atol=1e-12 * np.abs(expected).max())


def test_constraints_do_not_change_the_labels(structures, descriptors):
    plain = NormalEquations.from_structures(structures, descriptors).problem()
    for atoms in structures:
        atoms.set_constraint(FixAtoms([0]))
    constrained = NormalEquations.from_structures(structures, descriptors).problem()
    assert np.array_equal(plain.moment, constrained.moment)


def test_stress_may_be_given_for_a_part(structures, descriptors):
    molecule = labeled(Atoms("SiC", [[0, 0, 0], [1.9, 0, 0]]), np.random.default_rng(0), stress=False)
    equations = NormalEquations.from_structures([*structures[:2], molecule], descriptors)
    assert equations.n_rows["virial"] == 12
    assert equations.n_rows["energy"] == 3


def test_many_columns_warn_of_memory(structures, descriptors, monkeypatch):
    monkeypatch.setattr("plip.normal_equations._batches._MANY_COLUMNS", 10)
    with pytest.warns(UserWarning, match="GB"):
        NormalEquations.from_structures(structures, descriptors)


def test_descriptors_that_are_not_finite_name_the_structure(structures):
    from plip.radial import Power

    steep = PLIPDescriptors(two_body=TwoBody(Power(powers=-2000.0)), three_body=None, n_body=None)
    close = structures[:1] + [labeled(Atoms("SiC", [[0, 0, 0], [0.5, 0, 0]]), np.random.default_rng(0))]
    with pytest.raises(ValueError, match="structure 1"):
        NormalEquations.from_structures(close, steep, stress=[None, None])


def shortest_by_ase(structures, cutoff):
    """By pair of species that comes within the cutoff."""
    shortest = {}
    for atoms in structures:
        for i, j, distance in zip(*neighbor_list("ijd", atoms, cutoff), strict=True):
            pair = tuple(sorted((atoms.symbols[i], atoms.symbols[j])))
            shortest[pair] = min(distance, shortest.get(pair, np.inf))
    return shortest


@pytest.mark.parametrize("memory", [False, True])
def test_shortest_distances_of_each_pair_of_species(structures, descriptors, tmp_path, monkeypatch, memory):
    monkeypatch.setattr("plip.normal_equations._chunks.CHUNK_ATOMS", 20)
    memory = str(tmp_path / "memory") if memory else None
    close = labeled(bulk("SiC", "zincblende", a=3.0), np.random.default_rng(0))
    structures = [close, *structures]
    weights = [0.0] + [1.0] * (len(structures) - 1)
    for _ in range(2):  # computed, then taken from the memory
        found = NormalEquations.from_structures(
            structures, descriptors, sample_weight=weights, memory=memory
        ).shortest_distances
        assert found == pytest.approx(shortest_by_ase(structures[1:], 4.0), rel=1e-12)
        assert list(found) == [("C", "C"), ("C", "Si"), ("Si", "Si")]


def test_shortest_distances_merge_and_are_kept(structures, tmp_path):
    descriptors = PLIPDescriptors(cutoff=2.5, three_body=None, n_body=None, species=["H", "Si", "C"])
    rng = np.random.default_rng(0)
    near = labeled(Atoms("SiC", [[0, 0, 0], [1.6, 0, 0]]), rng, stress=False)
    far = labeled(Atoms("SiCSi", [[0, 0, 0], [1.9, 0, 0], [0, 2.3, 0]]), rng, stress=False)
    first = NormalEquations.from_structures([far], descriptors)
    second = NormalEquations.from_structures([near], first.descriptors)
    assert first.shortest_distances == pytest.approx(
        {**dict.fromkeys([("C", "C"), ("C", "H"), ("H", "H"), ("H", "Si")], np.inf)}
        | {("C", "Si"): 1.9, ("Si", "Si"): 2.3}
    )
    both = first + second
    assert both.shortest_distances == pytest.approx({**first.shortest_distances, ("C", "Si"): 1.6})
    assert (both - second).shortest_distances == both.shortest_distances
    both.save(tmp_path / "both.npz")
    assert NormalEquations.load(tmp_path / "both.npz").shortest_distances == both.shortest_distances


def test_file_without_shortest_distances(structures, descriptors, tmp_path):
    """As written by version 0.1."""
    equations = NormalEquations.from_structures(structures, descriptors)
    equations._extent = equations._counts = None
    equations.save(tmp_path / "old.npz")
    old = NormalEquations.load(tmp_path / "old.npz")
    assert old.shortest_distances is None
    other = NormalEquations.from_structures(structures, descriptors)
    assert (old + other).shortest_distances is None
    assert (other + old).shortest_distances is None


def test_fixed_reference_energies_are_taken_off(structures, descriptors):
    """Not projected out: the rows are those of the interactions and of y less the reference."""
    fixed = {"Si": -4.0, "C": -7.5, "O": 1.0}
    equations = NormalEquations.from_structures(structures, descriptors)
    equations -= NormalEquations.from_structures(structures[:2], descriptors)
    problem = equations.problem(3.0, 0.7, 0.2, reference_energies=fixed)
    X, C, y = dense_rows(structures[2:], descriptors, 3.0, 0.7, 0.2, np.ones(6))
    rows = np.column_stack([X, y - C @ [fixed["C"], fixed["Si"]]])
    expected = rows.T @ rows
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    found = np.block([[problem.gram, problem.moment[:, None]], [problem.moment, problem.target_square]])
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-10)
    coefs = np.random.default_rng(0).normal(size=(2, len(descriptors.terms_)))
    references = equations.references(coefs, fixed)
    np.testing.assert_array_equal(references, [[-7.5, -4.0]] * 2)
    X, C, y = dense_rows(structures[2:], descriptors, 1.0, 0.0, 0.0, np.ones(6))
    energies = [np.mean((X @ coef + C @ [-7.5, -4.0] - y)[: len(y)] ** 2) for coef in coefs]
    errors = equations.mean_squares(coefs, references)["energy"]
    np.testing.assert_allclose(errors, np.array(energies) * len(y) / 6, rtol=1e-9)


def test_geometry_is_kept(structures, descriptors, tmp_path, monkeypatch):
    """Of the structures with labels, and of no more atoms than fit."""
    unlabeled = structures[0].copy()
    unlabeled.calc = None
    with pytest.warns(LabelWarning, match="passed over"):
        first = NormalEquations.from_structures([unlabeled, *structures[:2]], descriptors)
    both = first + NormalEquations.from_structures(structures[2:], first.descriptors)
    both.save(tmp_path / "both.npz")
    for sample in (both.sample, NormalEquations.load(tmp_path / "both.npz").sample):
        for kept, atoms in zip(sample.structures(), structures, strict=True):
            assert kept == atoms
    assert (both - first).sample is both.sample
    old = NormalEquations.from_structures(structures, first.descriptors)
    old.sample = None
    assert (old + both).sample is None and (both + old).sample is None
    monkeypatch.setattr(_sample, "_MOST_ATOMS", sum(map(len, structures)) // 2)
    thinned = sample_of_parts(structures, len(structures))
    for size in (1, 2, 5):
        parts = sample_of_parts(structures, size)
        assert all(np.array_equal(parts.arrays()[name], array) for name, array in thinned.arrays().items())
    assert 0 < thinned.sizes.sum() <= sum(map(len, structures)) // 2
    assert all(any(kept == atoms for atoms in structures) for kept in thinned.structures())
    assert len(thinned.merged(thinned).sizes) <= len(structures)
    assert len(sample_of_parts([structures[0] * 20], 1).sizes) == 1
    assert list(sample_of_parts([], 1).structures()) == []


def sample_of_parts(structures, size):
    """The sample of structures that come so many at a time."""
    sampler = Sampler()
    for first in range(0, len(structures), size):
        sampler.add(Sample.of_structures(structures[first : first + size]))
    return sampler.sample()


def isolated(symbol, energy, **cell):
    atoms = Atoms(symbol, **cell)
    atoms.calc = SinglePointCalculator(atoms, energy=energy)
    return atoms


def test_isolated_energies_are_noted(structures, descriptors, tmp_path):
    big, small = {"cell": [9, 9, 9], "pbc": True}, {"cell": [9, 9, 3.9], "pbc": True}
    # In a skewed cell the nearest image is along no cell vector.
    skewed = {"cell": [[9, 0, 0], [8, 3, 0], [0, 0, 9]], "pbc": True}
    lone = [isolated("C", -1.5, **big), isolated("C", -1.25), isolated("C", -9.0, **small)]
    lone += [isolated("C", -8.0, **skewed), isolated("Si", -2.0), isolated("Si", None)]
    lone[-1].calc.results["forces"] = np.zeros((1, 3))
    weight = [1.0] * len(structures) + [1.0] * 6
    whole = NormalEquations.from_structures(structures + lone, descriptors, sample_weight=weight)
    assert whole.isolated_energies == {"C": [-1.5, -1.25], "Si": [-2.0]}
    rest = whole - NormalEquations.from_structures(lone[1:5], descriptors)
    assert rest.isolated_energies == {"C": [-1.5], "Si": []}
    sums = NormalEquations.from_structures(structures, descriptors)
    assert (sums + whole).isolated_energies == whole.isolated_energies
    whole.save(tmp_path / "sums.npz")
    assert NormalEquations.load(tmp_path / "sums.npz").isolated_energies == whole.isolated_energies
    weight[len(structures)] = 0.0
    found = NormalEquations.from_structures(structures + lone, descriptors, sample_weight=weight)
    assert found.isolated_energies == {"C": [-1.25], "Si": [-2.0]}


# ------------------------------------------------------------------ errors


def nearly_exact_labels(structures, descriptors, noise):
    """Attach labels of large terms that cancel each other, with a little noise; the coefficients."""
    rng = np.random.default_rng(5)
    coef = rng.normal(size=len(descriptors.terms_))
    for atoms in structures:
        values, forces, virial = descriptors.design_rows(atoms)
        results = {
            "energy": values @ coef - 4.0 * len(atoms) + len(atoms) * noise * rng.normal(),
            "forces": (forces @ coef).reshape(-1, 3) + noise * rng.normal(size=(len(atoms), 3)),
            "stress": (virial @ coef + len(atoms) * noise * rng.normal(size=6)) / atoms.get_volume(),
        }
        atoms.calc = SinglePointCalculator(atoms, **results)
    return coef


def errors_by_potential(potential, structures):
    """Root mean square errors by target, in the units of `NormalEquations.mean_squares`."""
    errors = {"energy": [], "force": [], "virial": []}
    for atoms in structures:
        found, label, n = potential.evaluate(atoms), atoms.calc.results, len(atoms)
        errors["energy"].append((found["energy"] - label["energy"]) / n)
        errors["force"] += (found["forces"] - label["forces"]).ravel().tolist()
        errors["virial"] += ((found["stress"] - label["stress"]) * atoms.get_volume() / n).tolist()
    return {target: np.sqrt(np.mean(np.square(values))) for target, values in errors.items()}


def errors_by_equations(equations, coef):
    squares = equations.mean_squares(coef[None], equations.references(coef[None]))
    return {target: np.sqrt(values[0]) for target, values in squares.items()}


@pytest.mark.parametrize("shape", ["many rows", "many columns"])
def test_errors_by_equations_and_by_potential_agree(structures, descriptors, shape, tmp_path):
    """Also where terms of many eV leave an error of 1e-5 eV, whose square is lost among theirs."""
    if shape == "many columns":
        structures = structures[:3]
        descriptors = PLIPDescriptors(
            cutoff=4.0,
            two_body=TwoBody(Gaussian(eta=2.0, centers=20)),
            three_body=ThreeBody(Gaussian(centers=4), max_power=3),
            n_body=NBody(Gaussian(centers=6), powers=(2, 3, 4)),
        ).fit(structures)
    planted = nearly_exact_labels(structures, descriptors, noise=2e-5)
    half = len(structures) // 2
    equations = {
        "whole": NormalEquations.from_structures(structures, descriptors),
        "merged": NormalEquations.from_structures(structures[:half], descriptors, n_jobs=2)
        + NormalEquations.from_structures(structures[half:], descriptors),
        "stored": NormalEquations.from_structures(structures, descriptors, memory=tmp_path),
        "from the cache": NormalEquations.from_structures(structures, descriptors, memory=tmp_path),
    }
    equations["whole"].save(tmp_path / "sums.npz")
    equations["from a file"] = NormalEquations.load(tmp_path / "sums.npz")
    coefs = [planted] + [
        PLIPRegressor(solver=solver, alpha=0.0, max_terms=None, contribution_penalty=0.0)
        .fit_normal_equations(equations["whole"])
        .coef_
        for solver in ("ridge", "replacement")
    ]
    for coef in coefs:
        potential = Potential(descriptors, coef, equations["whole"].reference_energies(coef))
        expected = errors_by_potential(potential, structures)
        for name, other in equations.items():
            assert errors_by_equations(other, coef) == pytest.approx(expected, rel=1e-6), name
        if coef is planted:
            assert max(expected.values()) < 4e-5


def test_errors_of_rows_that_were_not_kept(structures, descriptors):
    """Of normal equations from which others were taken out, errors follow from products alone."""
    planted = nearly_exact_labels(structures, descriptors, noise=2e-5)
    equations = NormalEquations.from_structures(structures, descriptors)
    rest = equations - NormalEquations.from_structures(structures[:2], descriptors)
    with pytest.warns(UserWarning, match="errors of some models are so small beside the terms"):
        errors_by_equations(rest, planted)
    coef = np.random.default_rng(0).normal(size=len(descriptors.terms_))
    potential = Potential(descriptors, coef, rest.reference_energies(coef))
    assert errors_by_equations(rest, coef) == pytest.approx(
        errors_by_potential(potential, structures[2:]), rel=1e-6
    )


def test_many_forces_in_many_columns_are_products_alone(structures, descriptors, monkeypatch, tmp_path):
    kept = NormalEquations.from_structures(structures, descriptors)
    monkeypatch.setattr("plip.normal_equations._accumulation.NARROW", 0)
    coef = np.random.default_rng(0).normal(size=len(descriptors.terms_))
    expected = kept.problem(0.0, 1.0, 0.0)
    scale = np.sqrt(np.outer(expected.gram.diagonal(), expected.gram.diagonal())) + 1e-300
    # Computed, stored, and read from the cache, where a structure of many rows is a triangular factor.
    for memory in (None, tmp_path, tmp_path):
        alone = NormalEquations.from_structures(structures, descriptors, memory=memory)
        assert alone.n_rows == kept.n_rows
        assert alone.weight_sums == pytest.approx(kept.weight_sums)
        found = alone.problem(0.0, 1.0, 0.0)
        np.testing.assert_allclose(found.gram / scale, expected.gram / scale, atol=1e-12)
        assert errors_by_equations(alone, coef) == pytest.approx(errors_by_equations(kept, coef), rel=1e-9)
    planted = nearly_exact_labels(structures, descriptors, noise=0.0)
    for atoms in structures:
        del atoms.calc.results["energy"], atoms.calc.results["stress"]
    alone = NormalEquations.from_structures(structures, descriptors)
    with pytest.warns(UserWarning, match="force errors of some models are so small"):
        errors_by_equations(alone, planted)
